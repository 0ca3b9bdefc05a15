"""The speed of the MuPoTS-3D evaluation: as many frames and people as the real set has, against a plain loop.

Run by hand: `python benchmarks/mupots.py`. Medians of runs that take turns in one process, and their ratio; files are
not read. Exits with an error if the two tables differ by more than 1e-9, or if one mode takes 2 s or more.
"""

import math
import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from mp3d.data.mupots import SEQUENCES, Annotations
from mp3d.metrics import mupots
from mp3d.published import load

FRAMES, PEOPLE = (
    tuple(int(cell) for cell in load("pinet").row(f"mupots/{row}").values()) for row in ("frames", "people")
)
"""Of each video: its frames, and how many people are annotated in each; 8,370 and 20,899 people in all."""
SECONDS = 2.0

GROUPS = {"Head": [0], "Neck": [1], "Shou": [2, 5], "Elbow": [3, 6], "Wrist": [4, 7]} | {
    "Hip": [8, 11],
    "Knee": [9, 12],
    "Ankle": [10, 13],
}
PARENTS = [1, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, 14, 14, 1]
TRAVERSAL = [15, 1, 0, 16, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]


def made(rng: np.random.Generator, frames: int, people: int, rough: bool = False) -> Annotations:
    """Annotations of people about 4 m away; `rough`: also invalid cells and frames, and people in one another's way."""
    roots = rng.normal((0, 0, 4000), (800, 100, 600), (frames, people, 1, 3))
    annot3 = roots + rng.normal(0, (200, 350, 150), (frames, people, 17, 3))
    annot3[..., 14, :] = roots[..., 0, :]
    univ = roots + (annot3 - roots) * rng.uniform(0.85, 1.15, (frames, people, 1, 1))
    spread = 60 if rough else 400
    uv = rng.normal(500, spread, (frames, people, 1, 2)) + rng.normal(0, 80, (frames, people, 17, 2))
    valid = rng.random((frames, people)) < (0.7 if rough else 0.95)
    return Annotations(uv, annot3, univ, valid, rng.random((frames, people, 17)) < 0.2)


def predicted(
    rng: np.random.Generator, truth: dict[str, Annotations], rough: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Predictions of most people and of some that are not there, in any order, under the official names.

    `rough`: also images with nobody, joints at (0, 0), bones of no length, joints at the edge of the threshold.
    """
    uvs, poses = {}, {}
    for name, video in truth.items():
        for frame in range(len(video.valid)):
            kept = rng.random(video.valid.shape[1]) < (0.7 if rough else 0.93)
            uv = video.annot2[frame, kept]
            uv = uv + rng.normal(0, 40 if rough else 8, uv.shape)
            xyz = video.univ_annot3[frame, kept] * rng.uniform(0.9, 1.1) + rng.normal(0, 60, (kept.sum(), 17, 3))
            more = rng.integers(0, 3 if rough else 2)
            uv = np.concatenate([uv, rng.normal(500, 200, (more, 17, 2))])
            xyz = np.concatenate([xyz, rng.normal((0, 0, 4000), 400, (more, 17, 3))])
            if rough:
                uv[rng.random(uv.shape[:2]) < 0.1] = 0
                stub = rng.random(len(xyz)) < 0.1
                xyz[stub, 3] = xyz[stub, 2]
                if len(uv) and rng.random() < 0.1:
                    uv, xyz = uv[:0], xyz[:0]
                elif len(uv) > 1 and rng.random() < 0.1:
                    uv[1] = uv[0]  # a tie
            order = rng.permutation(len(uv))
            uvs[f"{name}_img_{frame:06d}"], poses[f"{name}_img_{frame:06d}"] = uv[order], xyz[order]
    return uvs, poses


def plain(
    truth: dict[str, Annotations],
    preds_2d: dict[str, np.ndarray],
    preds_3d: dict[str, np.ndarray],
    matched: bool = False,
    relative: bool = True,
) -> pd.DataFrame:
    """The protocol as it is described, a person, a joint, a coordinate at a time; shares no code with the library."""
    rows = {}
    for name, video in truth.items():
        everybody = []  # a list of 17 errors for each person who is scored
        for frame, valid in enumerate(video.valid.tolist()):
            people = [k for k, good in enumerate(valid) if good]
            if not people:
                continue
            uv = preds_2d[f"{name}_img_{frame:06d}"].tolist()
            xyz = preds_3d[f"{name}_img_{frame:06d}"].tolist()
            taken = set()
            for k in people:
                best, most = None, 0
                for q in range(len(uv)):
                    if q in taken:
                        continue
                    agreeing = 0
                    for j in range(1, 14):
                        u, v = uv[q][j]
                        if u == 0 and v == 0:
                            continue
                        true_u, true_v = video.annot2[frame, k, j].tolist()
                        if abs(u - true_u) < 40 and abs(v - true_v) < 40:
                            agreeing += 1
                    if agreeing > most:
                        best, most = q, agreeing
                true = video.univ_annot3[frame, k].tolist()
                if relative:
                    true = minus(true, true[14])
                if best is not None:
                    taken.add(best)
                    pose = minus(xyz[best], xyz[best][14]) if relative else xyz[best]
                    everybody.append([math.dist(a, b) for a, b in zip(stretched(pose, true), true, strict=True)])
                elif not matched:
                    everybody.append([math.dist((1e5, 1e5, 1e5), joint) for joint in true])
        row, total = {}, 0
        for group, joints in GROUPS.items():
            good = sum(errors[j] < 150 for errors in everybody for j in joints)
            row[group] = 100 * good / (len(joints) * len(everybody)) if everybody else math.nan
            total += good
        rows[name] = row | {"Total": 100 * total / (14 * len(everybody)) if everybody else math.nan}
    return pd.DataFrame.from_dict(rows, orient="index")


def minus(pose: list, origin: list) -> list:
    return [[a - b for a, b in zip(joint, origin, strict=True)] for joint in pose]


def stretched(pose: list, true: list) -> list:
    """The pose with the bone lengths of the truth."""
    new = [list(joint) for joint in pose]
    for j in TRAVERSAL:
        parent = PARENTS[j]
        old, length = math.dist(pose[j], pose[parent]), math.dist(true[j], true[parent])
        for axis in range(3):
            bone = pose[j][axis] - pose[parent][axis]
            new[j][axis] = new[parent][axis] + (bone * length / old if old > 0 else math.nan)
    return new


def seconds(ways: list[Callable[[], object]], runs: int) -> list[float]:
    """Median of each way, the ways taking turns."""
    times: list[list[float]] = [[] for _ in ways]
    for run in range(runs + 1):
        for way, found in zip(ways, times, strict=True):
            start = time.perf_counter()
            way()
            if run:  # the first warms up
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    truth = {name: made(rng, frames, people) for name, frames, people in zip(SEQUENCES, FRAMES, PEOPLE, strict=True)}
    preds = predicted(rng, truth)
    frames = sum(len(video.valid) for video in truth.values())
    cells = sum(video.valid.size for video in truth.values())
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"{frames} frames, {cells} people, {sum(map(len, preds[0].values()))} predictions")
    kept = (frames, cells) == (8370, 20899)
    print("matched | relative | plain loop, s | mupots.evaluate, s | ratio | largest difference, percent points")
    for matched in (False, True):
        for relative in (True, False):
            mode = {"matched": matched, "relative": relative}
            ways = [lambda m=mode: plain(truth, *preds, **m), lambda m=mode: mupots.evaluate(truth, *preds, **m)]
            slow, fast = seconds(ways, runs=3)
            apart = (ways[0]() - ways[1]()).abs().to_numpy().max()
            kept &= bool(apart < 1e-9) and fast < SECONDS
            print(f"{matched!s:7} | {relative!s:8} | {slow:13.2f} | {fast:18.3f} | {slow / fast:5.1f} | {apart:.1e}")
    if not kept:
        sys.exit("not as promised")


if __name__ == "__main__":
    main()
