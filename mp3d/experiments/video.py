"""The question on which PI-Net stands, asked of real people: do companions tell anything in MuPoTS-3D's videos?

There is no 3D truth in the release that is read here, so TDBU's integrated poses at the true root depths stand in
for it: a truth that is itself estimated. The stand-in's errors are added, and ridge regression and PI-Net learn
on some videos and are tested on the others, with and without companions. PI-Net comes from the world `duet` and is
trained on: some three thousand poses are too few to begin with nothing (it then ends worse than its input).

Only people whose pseudo-truth agrees with their 2D joints are used, and none of their joints counts as hidden. Errors
of the stand-in's test split are added in training, too: what is asked is what companions tell, not what a
change of the data costs.
"""

import sys
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

import mp3d.data.tdbu_outputs as tdbu_outputs
import mp3d.metrics
from mp3d.coupling import companion_gain
from mp3d.data.tdbu_outputs import folder
from mp3d.experiments import pinet as experiment
from mp3d.experiments.pinet import (
    TRAINING,
    checked_budget,
    refined,
    scores,
    seed_range,
    sequences,
    sized,
    trained,
)
from mp3d.papers import pinet
from mp3d.papers.pinet import PINet, PINetConfig
from mp3d.scene import Scene
from mp3d.study import Study
from mp3d.synthetic.estimator import estimate

__all__ = ["before_after", "folder", "people", "ridge", "run", "study"]

NETWORKS = {
    "pinet_video": PINetConfig(),
    "self_video": PINetConfig(companions="none"),
    "shuffled_video": PINetConfig(companions="shuffled"),
}
DATA = "TDBU's integrated poses of MuPoTS-3D as pseudo-truth"
CHECKS = "median distance to the release's 2D joints (px); jitter, the mean acceleration (mm/frame^2)"

PAIRS = {
    "ridge": ("ridge_video", "ridge_self_video"),
    "ridge, companion of another moment": ("ridge_strangers_video", "ridge_self_video"),
    "PI-Net": ("pinet_video", "self_video"),
    "PI-Net, not strangers": ("pinet_video", "shuffled_video"),
    "PI-Net, trained among real people, not strangers": ("pinet_video", "composited_video"),
}
"""What companions give: label -> (variant, reference), for `pinet.gains`."""

FOLDS, DRAWS = 5, 4
"""Parts into which videos are dealt, and draws of the stand-in's errors that a network is trained on."""
SMOKE = (1, 9, 11, 14, 18)
"""Videos of the `smoke` profile: as many as there are folds."""


@dataclass(frozen=True)
class Job:
    """One variant: a network or None for the estimates as they are, at the size of a profile.

    `samples` is the folder of the release, `keep` the one of the networks trained on `duet`.
    """

    network: PINetConfig | None
    profile: str
    budget: float
    samples: str = field(metadata={"decides": False})
    keep: str = field(metadata={"decides": False})


def study(samples: Path, profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """A `Study` of PI-Net trained and tested across videos, each video once a test video; parameters as for `duet`."""
    size = pinet.PROFILES[profile]
    networks = {"input_video": None} | {n: replace(c, hidden=size.hidden) for n, c in NETWORKS.items()}
    size_of_job = (profile, checked_budget(budget), str(samples), str(keep))
    jobs = {name: Job(network, *size_of_job) for name, network in networks.items()}
    code = (sys.modules[__name__], experiment, *TRAINING, mp3d.metrics, tdbu_outputs)
    seeds_ = seed_range(seed, seeds or size.seeds)
    return Study("video", run, jobs, seeds_, Path(keep) / "results", repr(size), code)


@lru_cache(maxsize=1)
def people(samples: str, profile: str) -> list[Scene]:
    """Real scenes of at least two people whose pseudo-truth can be relied on; every fifth frame."""
    some = {"videos": SMOKE} if profile == "smoke" else {}
    every = 40 if profile == "smoke" else 5
    videos = tdbu_outputs.read(Path(samples), **some)
    scenes = [scene for video in videos for scene in video.scenes(every=every, sure=True)]
    return [scene for scene in scenes if len(scene.people) > 1]


def folds(scenes: list[Scene], seed: int) -> list[np.ndarray]:
    """Row numbers of each fold's scenes; a video is never divided."""
    names = sorted({scene.sequence for scene in scenes})
    dealt = dict(zip(np.random.default_rng(seed).permutation(names), np.arange(len(names)) % FOLDS, strict=True))
    fold = np.array([dealt[scene.sequence] for scene in scenes])
    return [np.flatnonzero(fold == number) for number in range(FOLDS)]


def run(job: Job, seed: int) -> pd.DataFrame:
    """Train on some videos, refine the others: a row a video, in mm and percent.

    A network that was trained among strangers is also tested among the real companions, "@composited_video".
    """
    scenes = people(job.samples, job.profile)
    estimates = estimate(scenes, seed, split="test")
    if job.network is None:
        return scores(scenes, estimates)
    start = trained(job.network, job.profile, seed, Path(job.keep), job.budget)
    size = sized(job.profile, job.budget / 10)
    size = replace(size, fit=replace(size.fit, lr=size.fit.lr / 3))
    suffixes = {"": job.network.companions}
    if job.network.companions == "shuffled":
        suffixes["@composited_video"] = "real"
    poses = {suffix: [np.empty(0)] * len(scenes) for suffix in suffixes}
    for test in folds(scenes, seed):
        train = [scenes[i] for i in np.setdiff1d(np.arange(len(scenes)), test)] * DRAWS
        data = sequences(train, estimate(train, seed + 1000, split="test"), job.network, seed)
        model = pinet.train(data, job.network, size, seed, start)
        for suffix, companions in suffixes.items():
            model.config = replace(job.network, companions=companions)
            after = refined(model, [scenes[i] for i in test], [estimates[i] for i in test], seed)
            for i, pose in zip(test, after, strict=True):
                poses[suffix][i] = pose
    tables = [scores(scenes, some).set_index(["scene", "n"]).add_suffix(suffix) for suffix, some in poses.items()]
    return pd.concat(tables, axis=1).reset_index()


def ridge(samples: Path, profile: str, seed: int = 0, seeds: int = 0) -> pd.DataFrame:
    """The same with ridge regression, as a study's table: `ridge_self_video` and `ridge_video`, a row a video."""
    scenes = people(str(samples), profile)
    truths, groups = [s.xyz for s in scenes], [s.sequence for s in scenes]
    tables = []
    for draw in seed_range(seed, seeds or pinet.PROFILES[profile].seeds):
        found = companion_gain(estimate(scenes, draw), truths, groups, folds=FOLDS, seed=draw)
        for column, variant in (
            ("input", "ridge_input_video"),
            ("alone", "ridge_self_video"),
            ("companion", "ridge_video"),
            ("shuffled_within", "ridge_strangers_video"),
        ):
            rows = found[["group", "n", column]].set_axis(["scene", "n", "mpjpe"], axis=1)
            tables.append(rows.assign(variant=variant, seed=draw))
    return pd.concat(tables, ignore_index=True)[["variant", "seed", "scene", "n", "mpjpe"]]


def before_after(samples: Path, model: PINet, profile: str) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    """TDBU's integrated poses before and after a PI-Net that was not trained on them.

    Returns
    -------
    layers : "estimate" and "refined" (P, 17, 3) mm, of the middle frame of TS9, for `plots.skeletons_3d`
    track : the height of a wrist of the first person of TS9: frame, before, after (mm, up)
    checks : a row a video: median re-projection error against the release's 2D joints (px), jitter (mm/frame^2),
        and how far PI-Net moves a joint (mm)
    """
    rows, layers, track = {}, {}, pd.DataFrame()
    for seen in tdbu_outputs.read(samples, SMOKE if profile == "smoke" else range(1, 21)):
        before = seen.xyz("integrated", "true")
        after = np.stack(model.refine_all(list(before)))
        there = seen.seen & seen.agrees("integrated")  # elsewhere the release's own poses miss its 2D joints
        row = rows[seen.name] = {}
        for word, xyz in (("before", before), ("after", after)):
            row[f"px {word}"] = float(np.median(tdbu_outputs.reprojection_error(seen, xyz)[there]))
            row[f"jitter {word}"] = tdbu_outputs.jitter(xyz)
        row["moved, mm"] = float(np.linalg.norm(after - before, axis=-1).mean())
        if seen.name == "TS9":
            middle = len(before) // 2
            layers = {"estimate": before[middle], "refined": after[middle]}
            track = pd.DataFrame({"before": -before[:150, 0, 4, 1], "after": -after[:150, 0, 4, 1]})
    return layers, track.rename_axis("frame").reset_index(), pd.DataFrame(rows).T.rename_axis("video")


def by_video(table: pd.DataFrame) -> pd.DataFrame:
    """MPJPE in mm, a row a video, means over seeds."""
    columns = {
        "input_video": "estimates",
        "ridge_self_video": "ridge, alone",
        "ridge_video": "ridge, companion",
        "self_video": "PI-Net, alone",
        "pinet_video": "PI-Net",
        "shuffled_video": "PI-Net, strangers",
        "composited_video": "PI-Net, trained among strangers",
    }
    wide = table.pivot_table("mpjpe", "scene", "variant")[list(columns)].rename(columns=columns)
    order = sorted(wide.index, key=lambda name: int(name[2:]))
    return wide.loc[order].rename_axis(index="video", columns=None)
