"""The same predictions under the protocols of several papers: how far a number moves when nobody has moved.

People of the world `duet` take the place of MuPoTS-3D's, and the stand-in estimator, with a detector that misses the
hidden, that of a method. What is real are the protocols; how large a difference is depends on these predictions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mp3d.data.mupots import Annotations
from mp3d.metrics import mupots
from mp3d.metrics.mupots import Errors, Pairs
from mp3d.published import load
from mp3d.scene import HIDDEN, Scene
from mp3d.skeletons import MPI17
from mp3d.synthetic import worlds
from mp3d.synthetic.estimator import estimate

ADULT = 4350.0
"""mm: the sum of the 16 bones that `univ_annot3` gives everybody, about the mean of `duet`'s people."""


def test_videos(longest: int) -> list[list[Scene]]:
    """The 20 test videos of `duet`, as long in proportion as those of MuPoTS-3D; `longest` frames at most."""
    frames = np.array(list(load("pinet").row("mupots/frames").values()))
    lengths = np.maximum(1, np.round(frames / frames.max() * longest)).astype(int)
    videos = worlds.sequences("duet", seed=0, frames=longest)
    return [video[:length] for video, length in zip(videos, lengths, strict=True)]


def annotated(videos: Sequence[Sequence[Scene]]) -> dict[str, Annotations]:
    """The truth as MuPoTS-3D has it, under its names TS1 to TS20: everybody valid, hidden joints labelled.

    `univ_annot3` is everybody at one size: each pose is scaled about its own pelvis until its bones sum up to `ADULT`.
    """
    found = {}
    for number, video in enumerate(videos, 1):
        xyz, uv = (np.stack([getattr(scene, what) for scene in video]) for what in ("xyz", "uv"))
        root = xyz[:, :, MPI17.root, None]
        parents, children = map(list, zip(*MPI17.limbs, strict=True))
        size = np.linalg.norm(xyz[:, :, children] - xyz[:, :, parents], axis=-1).sum(-1)[..., None, None]
        occluded = np.stack([scene.visibility for scene in video]) <= HIDDEN
        everybody = np.ones(xyz.shape[:2], bool)
        found[f"TS{number}"] = Annotations(uv, xyz, root + (xyz - root) * ADULT / size, everybody, occluded)
    return found


def predicted(videos: Sequence[Sequence[Scene]], seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What a method would hand in: 2D (px) and 3D (mm, absolute) of the people it found, an array an image.

    The more of a person is hidden, the sooner they are missed: the probability is the square of the share. In one image
    of ten somebody is found who is not there. The order is the detector's, large boxes first, not the annotation's.
    """
    rng = np.random.default_rng([seed, 3])
    scenes = [scene for video in videos for scene in video]
    names = [f"TS{n}_img_{f:06d}" for n, video in enumerate(videos, 1) for f in range(len(video))]
    uv, xyz = {}, {}
    for name, scene, poses in zip(names, scenes, estimate(scenes, seed, root="rootnet"), strict=True):
        keep = rng.random(len(poses)) >= (scene.visibility <= HIDDEN).mean(-1) ** 2
        poses = poses[keep]
        if rng.random() < 0.1:  # the same body, two metres aside
            ghost = scene.xyz[rng.integers(len(scene.people))] + (rng.choice((-2000, 2000)), 0, 1500)
            poses = np.concatenate([poses, ghost[None]])
        pixels = scene.camera.project(poses)
        order = np.argsort(-np.ptp(pixels, axis=1).prod(-1), kind="stable")
        uv[name], xyz[name] = pixels[order], poses[order]
    return uv, xyz


def variants(
    truth: Mapping[str, Annotations], uv: Mapping[str, np.ndarray], xyz: Mapping[str, np.ndarray]
) -> dict[str, Errors]:
    """The same people matched and measured in each way, root-relative and absolute."""
    pairs = mupots.pair(truth, uv, xyz)
    found = {"official": mupots.score(pairs), "no bone rescaling": mupots.score(pairs, alignment="none")}
    found |= {f"{how} Procrustes": mupots.score(pairs, alignment=how) for how in ("rigid", "similarity")}
    found |= {"SMAP": mupots.smap(truth, uv, xyz), "TDBU": mupots.tdbu(truth, xyz)}
    found |= {"TDBU, Procrustes": mupots.tdbu(truth, xyz, alignment="similarity")}
    found |= {"absolute, official": mupots.score(pairs, relative=False)}
    found |= {"absolute, no bone rescaling": mupots.score(pairs, relative=False, alignment="none")}
    return found | {"absolute, TDBU": mupots.tdbu(truth, xyz, relative=False)}


def pck_table(found: Mapping[str, Errors]) -> pd.DataFrame:
    """3DPCK (%) of each variant, over all people and over the matched, with 95 % intervals over videos.

    Columns: variant, people, mean (of "videos" or pooled over "people"), pck, low, high, uses (of the ground truth).
    """
    rows = []
    for name, errors in found.items():
        for matched in (False, True):
            averages = errors.averages(matched)[["Total", "low", "high"]]
            for mean, row in (("videos", "mean of videos"), ("people", "all people")):
                people, used = "matched" if matched else "all", errors.protocol["uses ground truth"]
                rows.append((name, people, mean, *averages.loc[row], used))
    return pd.DataFrame(rows, columns=["variant", "people", "mean", "pck", "low", "high", "uses"])


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """3DPCK (%) of each variant as the mean over videos: columns all, matched, and what is taken from the truth.

    Parameters
    ----------
    table : of `pck_table`
    """
    by_video = table[table["mean"] == "videos"]
    wide = by_video.pivot_table(index="variant", columns="people", values="pck").loc[by_video["variant"].unique()]
    return wide.assign(**{"taken from the truth": by_video.groupby("variant")["uses"].first()}).rename_axis(
        columns=None
    )


def error_table(pairs: Pairs) -> pd.DataFrame:
    """Mean joint error (mm) of the matched people under each alignment; a row an alignment, a column a convention."""
    rows = {}
    for name, how in {"MPJPE": "none", "PA-MPJPE, rigid": "rigid", "PA-MPJPE, with scale": "similarity"}.items():
        errors = mupots.score(pairs, alignment=how)
        videos, people = errors.mpjpe()["Total"], errors.mpjpe(pooled=True)["Total"]
        without = errors.errors[pairs.matched][:, [j for j in range(len(MPI17)) if j != MPI17.root]].mean()
        rows[name] = {"mean of videos": videos.mean(), "over people": people.iloc[0], "over people, no pelvis": without}
    return pd.DataFrame(rows).T.rename_axis("error, mm")
