"""PI-Net on poses that a network made from pictures: 3DMPPE's, trained here, in the place of the stand-in's.

The stand-in's errors are drawn as we think that 3DMPPE's are; these are whatever a trained 3DMPPE does with pictures of
`duet`. One 3DMPPE, of seed 0, makes all poses, with the truth's root depths, as in all of PI-Net's tables. Those to
train on come from pictures that it was not trained on, of the training split; PI-Net's paper trains on poses of
3DMPPE's own training pictures, which are better than those it will meet. PI-Net begins with the network trained
on the stand-in's poses and goes on from there, as for real people (`experiments.video`).
"""

import sys
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

import mp3d.metrics
from mp3d.experiments import pinet as experiment
from mp3d.experiments import threedmppe
from mp3d.experiments.pinet import TRAINING, checked_budget, refined, scores, seed_range, sequences, sized, trained
from mp3d.papers import pinet
from mp3d.papers.pinet import PINetConfig
from mp3d.papers.threedmppe import PROFILES
from mp3d.scene import Scene
from mp3d.study import Study, summary
from mp3d.synthetic.render import render
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import films, takes

NETWORKS = {
    "pinet_crops": PINetConfig(),
    "self_crops": PINetConfig(companions="none"),
    "shuffled_crops": PINetConfig(companions="shuffled"),
}
PAIRS = {
    "PI-Net against the poses as they come": ("pinet_crops", "input_crops"),
    "the same, not trained on them": ("untuned_crops", "input_crops"),
    "alone against the poses as they come": ("self_crops", "input_crops"),
    "companions: PI-Net against alone": ("pinet_crops", "self_crops"),
    "companions: PI-Net against strangers": ("pinet_crops", "shuffled_crops"),
}
"""What is compared: label -> (variant, reference), for `pinet_tables.gains`."""
NAMES = {
    "input_crops": "3DMPPE",
    "untuned_crops": "PI-Net, not trained on them",
    "self_crops": "PI-Net, alone",
    "shuffled_crops": "PI-Net, among strangers",
    "pinet_crops": "PI-Net",
}
PICTURES = {"smoke": 24, "cpu": 2000, "gpu": 8000, "paper": 8000}
"""Pictures whose poses PI-Net is trained on."""
_SEED = 500  # of these pictures: 3DMPPE's own have its seed
_LONGEST = 2.0  # budget of 3DMPPE's training at most, whatever PI-Net's is: that of its own notebook's accepted run


@dataclass(frozen=True)
class Job:
    """One variant: a network or None for 3DMPPE's poses as they are; `keep` is the folder of trained networks."""

    network: PINetConfig | None
    profile: str
    budget: float
    keep: str = field(metadata={"decides": False})


def study(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """A `Study` of PI-Net on 3DMPPE's poses; `experiments.pinet.spread` its table. Parameters as for `duet`.

    3DMPPE is trained here, with all threads, if it is not kept: every unit needs it.
    """
    threedmppe.trained(profile, 0, Path(keep), min(checked_budget(budget), _LONGEST))
    size = pinet.PROFILES[profile]
    networks = {"input_crops": None} | {n: replace(c, hidden=size.hidden) for n, c in NETWORKS.items()}
    jobs = {name: Job(network, profile, budget, str(keep)) for name, network in networks.items()}
    code = (sys.modules[__name__], experiment, threedmppe, *TRAINING, *threedmppe.TRAINING, mp3d.metrics)
    seeds_ = seed_range(seed, seeds or size.seeds)
    return Study("crops", run, jobs, seeds_, Path(keep) / "results", repr((size, PROFILES[profile])), code)


def run(job: Job, seed: int) -> pd.DataFrame:
    """Train on some poses, refine those of the 20 test videos: a row a video, in mm and percent.

    "@untuned_crops" is the network as it was before: trained on the stand-in's poses alone.
    """
    scenes, estimates = people_to_test(job.profile, job.keep, job.budget)
    if job.network is None:
        return scores(scenes, estimates)
    start = trained(job.network, job.profile, seed, Path(job.keep), job.budget)
    data = sequences(*people_to_train_on(job.profile, job.keep, job.budget), job.network, seed)
    size = sized(job.profile, job.budget / 4)
    size = replace(size, fit=replace(size.fit, lr=size.fit.lr / 3))
    table = scores(scenes, refined(pinet.train(data, job.network, size, seed, start), scenes, estimates, seed))
    if job.network.companions == "real":
        rows = scores(scenes, refined(start, scenes, estimates, seed)).drop(columns=["scene", "n"])
        table = table.join(rows.add_suffix("@untuned_crops"))
    return table


@lru_cache(maxsize=1)
def people_to_test(profile: str, keep: str, budget: float) -> tuple[list[Scene], list[np.ndarray]]:
    """The 20 test videos, and everybody as 3DMPPE sees them."""
    return _seen(films("duet", seed=0, frames=threedmppe.FRAMES[profile]), profile, keep, budget)


@lru_cache(maxsize=1)
def people_to_train_on(profile: str, keep: str, budget: float) -> tuple[list[Scene], list[np.ndarray]]:
    """Scenes of the training split that 3DMPPE was not trained on, and everybody as it sees them."""
    step = 250  # pictures at a time, to bound the memory
    starts = range(0, PICTURES[profile], step)
    parts = [takes("duet", min(step, PICTURES[profile] - s), _SEED, start=s) for s in starts]
    return _seen(parts, profile, keep, budget)


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds and videos with 95 % intervals: mpjpe and pa_mpjpe in mm, pck3d in percent."""
    return summary(table, ["mpjpe", "pa_mpjpe", "pck3d"]).reindex(NAMES).rename(index=NAMES)


def _seen(parts: list[Takes], profile: str, keep: str, budget: float) -> tuple[list[Scene], list[np.ndarray]]:
    model = threedmppe.trained(profile, 0, Path(keep), min(budget, _LONGEST))
    scenes, estimates = [], []
    for number, part in enumerate(parts):
        batch = render(part, PROFILES[profile].width, PROFILES[profile].height, seed=number).batch
        poses, _ = threedmppe.estimates(model, batch, "true_roots")
        whole = [np.isfinite(people).all() for people in poses]  # somebody outside the picture has no crop
        scenes += [scene for scene, good in zip(part.scenes(), whole, strict=True) if good]
        estimates += [people for people, good in zip(poses, whole, strict=True) if good]
    return scenes, estimates
