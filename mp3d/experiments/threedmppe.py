"""3DMPPE on pictures of `duet`: trained, tested in all its modes, and asked where the depth of a crop fails.

One network a seed serves every mode: with the truth's root depths or RootNet's, with k alone, with and without the flip
test. The same test pictures serve all modes and seeds, so comparisons are paired. Boxes are the truth's throughout:
what a detector would add is not measured.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

import mp3d.batch
import mp3d.camera
import mp3d.metrics
import mp3d.nn.resnet
import mp3d.papers.threedmppe as threedmppe
import mp3d.skeletons
import mp3d.synthetic
import mp3d.training
from mp3d.batch import Batch
from mp3d.codings import crops
from mp3d.experiments.pinet import checked_budget, seed_range
from mp3d.metrics.errors import joint_errors, mpjpe
from mp3d.metrics.pck import pck3d
from mp3d.metrics.roots import ap_root, pck_root
from mp3d.papers.threedmppe import PROFILES, Profile, ThreeDMPPE, distance, squares, true_boxes
from mp3d.scene import VISIBLE
from mp3d.skeletons import MPI17
from mp3d.study import Study, digest, share
from mp3d.synthetic.render import render
from mp3d.synthetic.stream import Stream
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import films, takes

TRAINING = (threedmppe, crops, mp3d.training, mp3d.nn.resnet, mp3d.synthetic, mp3d.batch)
"""The code on which trained networks depend."""

FRAMES = {"smoke": 1, "cpu": 10, "gpu": 40, "paper": 40}
"""Pictures of each of the 20 test videos."""
SINGLE = {"smoke": 8, "cpu": 256, "gpu": 768, "paper": 768}
"""Pictures of each of the other splits, and of each group of `failures`."""

MODES = ("true_roots", "rootnet", "no_flip", "k_alone", "constant")
"""Root depths of the truth; of RootNet; the same without the flip test; k itself; k times the best constant, which is
fitted to training pictures."""
CHILD = 0.65
"""The size of a child of four or five, as a part of an adult's; its proportions stay an adult's, which a child's are
not."""


@dataclass(frozen=True)
class Job:
    """One training at one size: what `run` needs besides the seed.

    Parameters
    ----------
    profile : of `threedmppe.PROFILES`
    budget : factor on the profile's training steps
    keep : folder for trained networks; does not decide the result
    """

    profile: str
    budget: float
    keep: str = field(metadata={"decides": False})


def study(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """A `Study` with one unit a seed; `experiments.pinet.spread` gives each of `MODES` rows of its own.

    Parameters
    ----------
    keep : folder for results and networks
    budget : factor on the profile's training steps
    seed, seeds : the first seed, and how many; 0: as many as the profile says
    """
    size = PROFILES[profile]
    code = (sys.modules[__name__], *TRAINING, mp3d.metrics, mp3d.camera, mp3d.skeletons)
    return Study(
        "threedmppe",
        run,
        {"all": Job(profile, checked_budget(budget), str(keep))},
        seed_range(seed, seeds or size.seeds),
        Path(keep) / "results",
        {"profile": repr(size)},
        code,
    )


def run(job: Job, seed: int) -> pd.DataFrame:
    """Train with one seed and score every mode: a row a test video, columns metric@mode, as `scores` names them.

    Ten more rows, F0 to F9, are parts of the people of `failures`: the mean error of RootNet's depth for each of
    `CONTRASTS`, in % of the depth.
    """
    model = trained(job.profile, seed, Path(job.keep), job.budget)
    constant = best_constant(job.profile, seed)
    rows = []
    for name, batch in test_pictures(job.profile):
        row = {"scene": name, "n": int(batch.there.sum())}
        for mode in MODES:
            found = scores(*estimates(model, batch, mode, constant), batch)
            row |= {f"{name}@{mode}": value for name, value in found.items()}
        rows.append(row)
    people = failures(model, job.profile)
    for part, some in people.groupby(people.index * 10 // len(people)):
        row = {"scene": f"F{part}", "n": len(some)}
        for name, groups in CONTRASTS.items():
            row[f"depth_error_{name}@rootnet"] = some.loc[some["group"].isin(groups), "error"].mean()
        rows.append(row)
    return pd.DataFrame(rows)


@lru_cache(maxsize=1)
def test_pictures(profile: str) -> list[tuple[str, Batch]]:
    """The 20 test videos, the same for every seed."""
    videos = films("duet", seed=0, frames=FRAMES[profile])
    return [(film.sequence[0], render(film, *_size(profile), seed=1).batch) for film in videos]


def trained(profile: str, seed: int, keep: Path, budget: float = 1.0, world: str = "duet") -> ThreeDMPPE:
    """The two networks of a seed, trained on a world, from `keep` if they are there; a killed training goes on."""
    size = resized(PROFILES[profile], budget)
    place = Path(keep) / f"threedmppe-{world}-{profile}-{seed}-{digest(size, seed, code=TRAINING)}"
    stored, device = place / "network.pt", "cuda" if torch.cuda.is_available() else "cpu"
    stream = Stream(
        world, seed, size.width, size.height, size.pictures, reuse=size.reuse, block=size.block, device=device
    )
    share(stored, lambda: threedmppe.train(stream, size.config, size, seed, place).save(stored))
    return ThreeDMPPE.load(stored, size.config)


def resized(size: Profile, budget: float) -> Profile:
    """The profile with its training steps, and what hangs on them, multiplied."""

    def longer(fit):
        steps = max(1, round(fit.steps * budget))
        milestones = tuple(round(m * budget) for m in fit.milestones)
        return replace(fit, steps=steps, milestones=milestones, every=max(1, steps // 10))

    return replace(size, root=longer(size.root), pose=longer(size.pose))


def _size(profile: str) -> tuple[int, int]:
    return PROFILES[profile].width, PROFILES[profile].height


def _people(batch: Batch) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """True boxes (P, 4) px and root depths (P,) mm of each picture."""
    boxes, depth = true_boxes(batch), batch.xyz[:, :, MPI17.root, 2]
    pairs = [(boxes[i, there], depth[i, there]) for i, there in enumerate(batch.there)]
    return [box for box, _ in pairs], [z for _, z in pairs]


def _far(batch: Batch) -> list[torch.Tensor]:
    """k of each person's true box, mm."""
    height, width = batch.image.shape[2:]
    square = [squares(boxes, width, height)[0] for boxes in _people(batch)[0]]
    return [distance(some, camera[None]) for some, camera in zip(square, batch.k, strict=True)]


@lru_cache(maxsize=4)
def best_constant(profile: str, seed: int) -> float:
    """The factor by which k is off on average in training pictures: least squares of depth on k."""
    batch = render(takes("duet", 256 if profile != "smoke" else 32, seed), *_size(profile), seed=2).batch
    k, z = torch.cat(_far(batch)), torch.cat(_people(batch)[1])
    near = k.isfinite() & z.isfinite()
    return float((k * z)[near].sum() / (k * k)[near].sum())


def estimates(
    model: ThreeDMPPE, batch: Batch, mode: str, constant: float = 1.0
) -> tuple[list[Float[np.ndarray, "_ 17 3"]], list[Float[np.ndarray, "_ 3"]]]:
    """Everybody's pose and root in each picture, camera frame, mm, in the truth's order; NaN for a rejected box.

    The root is RootNet's, moved along its ray to the depth that a mode imposes. PoseNet's pelvis is another point: a
    joint like the others, near that depth and not at it.

    Parameters
    ----------
    mode : one of `MODES`
    constant : gamma of "constant"
    """
    boxes, depths = _people(batch)
    roots = model.locate(batch.image, boxes, batch.k)
    if mode in ("rootnet", "no_flip"):
        depths = None
    elif mode != "true_roots":
        gamma = constant if mode == "constant" else 1.0
        depths = [gamma * k for k in _far(batch)]
    if depths is not None:
        roots = [root * (z[:, None].numpy() / root[:, 2:]) for root, z in zip(roots, depths, strict=True)]
    found = model.estimate(batch.image, boxes, batch.k, depths, flip=mode != "no_flip")
    poses = [np.full((len(box), len(MPI17), 3), np.nan) for box in boxes]
    for some, people in zip(poses, found, strict=True):
        for person in people:
            some[person.identity] = person.xyz
    return poses, roots


def scores(
    poses: Sequence[Float[np.ndarray, "_ 17 3"]], roots: Sequence[Float[np.ndarray, "_ 3"]], batch: Batch
) -> dict[str, float]:
    """What one mode is worth: poses after root alignment and without any, and roots.

    mpjpe and root_error in mm; depth_error in % of the root's depth; pck3d, pck3d_abs, pck_root in percent at 150 mm;
    ap_root in percent at 250 mm. All people count; a rejected box is left out of the errors, and wrong in the others.
    """
    true = [xyz[there].double().numpy() for xyz, there in zip(batch.xyz.cpu(), batch.there.cpu(), strict=True)]
    pred, truth, root = (np.concatenate(part) for part in (poses, true, roots))
    kept, goal = np.isfinite(pred).all((1, 2)), truth[:, MPI17.root]
    gap = (root - goal)[kept]
    known = [p[np.isfinite(p).all(1)] for p in roots]
    return {
        "mpjpe": float(mpjpe(pred[kept], truth[kept]).mean()),
        "pck3d": float(pck3d(joint_errors(pred, truth))),
        "pck3d_abs": float(pck3d(joint_errors(pred, truth, root=None))),
        "root_error": float(np.linalg.norm(gap, axis=-1).mean()),
        "depth_error": float(100 * (np.abs(gap[:, 2]) / goal[kept, 2]).mean()),
        "pck_root": pck_root(root, goal),
        "ap_root": 100 * ap_root(known, [np.ones(len(r)) for r in known], [t[:, MPI17.root] for t in true]),
    }


def by_split(model: ThreeDMPPE, profile: str, constant: float) -> pd.DataFrame:
    """The scores of "rootnet" and "true_roots" on single pictures of each split of `duet`."""
    rows = []
    for split in ("test", "fov", "overlap", "border"):
        some = takes("duet", SINGLE[profile], seed=0, split=split)
        batch = render(some, *_size(profile), seed=3).batch
        for mode in ("true_roots", "rootnet", "constant"):
            rows.append({"split": split, "mode": mode, "n": int(batch.there.sum())})
            rows[-1] |= scores(*estimates(model, batch, mode, constant), batch)
    return pd.DataFrame(rows)


# ---- where the depth of a crop fails --------------------------------------------------------------


CONTRASTS = {
    "whole": ("standing", "bent"),
    "cut": ("cut",),
    "hidden": ("hidden",),
    "standing": ("standing",),
    "bent": ("bent",),
    "usual": ("standing",),
    "unusual": ("child",),
}
"""The claims' words for the groups of `failures`."""


def failures(model: ThreeDMPPE, profile: str) -> pd.DataFrame:
    """The gamma that each person would need and the one that RootNet gives, by what is unusual about the person.

    Columns: group, needed and found (depth / k), depth (mm), error (in % of the depth). Groups: "standing" (whole, at
    least 0.9 of their own standing height), "bent" (whole, lower), "hidden" (nothing outside the picture, half of the
    joints hidden at least), "cut" (a quarter of the joints outside the picture at least; split "border"), "child" (who
    stands, drawn again at `CHILD` of the size in the same place). Rows are shuffled.
    """
    rows = []
    for name, some, batch in odd_pictures(profile):
        boxes, depths = _people(batch)
        found = model.locate(batch.image, boxes, batch.k)
        named = groups(batch, some, name)
        for i, (k, z, root) in enumerate(zip(_far(batch), depths, found, strict=True)):
            for p, group in enumerate(named[i]):
                far, depth = float(k[p]), float(z[p])
                if group and np.isfinite(root[p]).all():
                    error = 100 * abs(root[p, 2] - depth) / depth
                    rows.append((group, depth / far, root[p, 2] / far, depth, error))
    df = pd.DataFrame(rows, columns=["group", "needed", "found", "depth", "error"])
    return df.sample(frac=1, random_state=0, ignore_index=True)


@lru_cache(maxsize=1)
def odd_pictures(profile: str) -> list[tuple[str, Takes, Batch]]:
    """The pictures of `failures`, the same for every seed: "", "cut" and "child"."""
    found = []
    for name, split in {"": "test", "cut": "border", "child": "test"}.items():
        some = takes("duet", SINGLE[profile], seed=1, split=split)
        if name == "child":
            some = shrunk(some, CHILD)
        found.append((name, some, render(some, *_size(profile), seed=4).batch))
    return found


def groups(batch: Batch, some: Takes, name: str) -> list[list[str]]:
    """The group of each person in each picture, "" for those who are in none; `name`: "", "cut" or "child"."""
    seen, there = batch.visibility.numpy(), batch.there.numpy()
    down = some.rotation[:, :, 1]  # in the camera's frame
    high = np.ptp(np.einsum("npjk,nk->npj", some.points[:, :, :17], down), axis=-1) / _standing(some)
    found = []
    for i in range(len(some)):
        found.append([])
        for p in np.flatnonzero(there[i]):
            outside, hidden = (seen[i, p] == 0).mean(), (seen[i, p] < VISIBLE).mean()
            group = "" if outside else "hidden" if hidden >= 0.5 else "standing" if high[i, p] >= 0.9 else "bent"
            if name == "cut":
                group = "cut" if 0.25 <= outside < 0.8 else ""
            elif name == "child":
                group = "child" if group == "standing" else ""
            found[-1].append(group)
    return found


def _standing(some: Takes) -> np.ndarray:
    """(N, P) mm: from ankle to head top of everybody, stretched: the bones of one side, one above the other."""
    chain = (
        [MPI17.index(j) for j in ("r_ankle", "r_knee", "r_hip")],
        [MPI17.index(j) for j in ("pelvis", "spine", "neck", "head", "head_top")],
    )
    lengths = [np.linalg.norm(np.diff(some.points[:, :, part], axis=2), axis=-1).sum(-1) for part in chain]
    return lengths[0] + lengths[1]


def shrunk(some: Takes, factor: float) -> Takes:
    """The same people in the same places, smaller: each scaled about the floor below their own pelvis."""
    world = np.einsum("nji,npkj->npki", some.rotation, some.points - some.translation[:, None, None])
    foot = world[:, :, 14:15] * [1, 0, 1]
    points = np.einsum("nij,npkj->npki", some.rotation, foot + factor * (world - foot))
    return replace(some, points=points + some.translation[:, None, None], size=factor * some.size)


def cost(model: ThreeDMPPE, people: Sequence[int] = (1, 4, 16), rounds: int = 5, repeats: int = 5) -> pd.DataFrame:
    """Seconds of one picture with so many people, RootNet and PoseNet with its flip test, as a study's table.

    A measurement of this machine at this moment: each of the rounds, which take the place of seeds, is the median of
    some repeats. Metrics: seconds_N.
    """
    size = model.config.crop
    image = torch.zeros(1, 3, 2 * size, 2 * size, dtype=torch.uint8)
    camera = torch.tensor([[500.0, 500, size, size]])
    rows = []
    for seed in range(rounds):
        rows.append({"variant": "rootnet", "seed": seed, "scene": "one picture", "n": 1})
        for number in people:
            boxes = [torch.tensor([[size / 2, size / 2, size, size]]).repeat(number, 1)]
            taken = []
            for _ in range(repeats + 1):
                start = time.perf_counter()
                model.estimate(image, boxes, camera)
                taken.append(time.perf_counter() - start)
            rows[-1][f"seconds_{number}"] = float(np.median(taken[1:]))
    return pd.DataFrame(rows)
