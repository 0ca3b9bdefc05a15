"""ORPM-AE's tables as studies: each network sees the test pictures once, and what it says is read in all ways.

Scores are `scores`': the same pictures, matching and joints as in SMAP's notebook. The paper says neither how
predictions are matched to people nor how those count who were not found; here MPJPE is over matched people, recall and
the 3DPCK over everybody stand beside it.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import mp3d.codings.translation
import mp3d.experiments.orpm_ae.networks
import mp3d.experiments.scores
import mp3d.experiments.shown
import mp3d.metrics
from mp3d.batch import Batch
from mp3d.experiments import real
from mp3d.experiments.orpm_ae.networks import CHANGES, PROFILES, STACKS, TRAINING, for_data, place, trained
from mp3d.experiments.pinet import checked_budget, seed_range, spread
from mp3d.experiments.scores import SCORED, People, scores
from mp3d.experiments.shown import test_pictures
from mp3d.papers.orpm_ae import ORPMAE, Detections, Reading
from mp3d.scene import ABSENT, HIDDEN, VISIBLE, Person
from mp3d.study import Study

READINGS = {
    "paper": Reading(),
    "naive": Reading(readout="naive"),
    "mehta": Reading(readout="mehta"),
    "no_test": Reading(t_d=0),
    "t_d2": Reading(t_d=2),
    "t_c_0.1": Reading(t_c=0.1),
    "t_c_0.5": Reading(t_c=0.5),
    "hungarian": Reading(grouping="hungarian"),
    "near_0.5": Reading(near=0.5),
    "near_2": Reading(near=2.0),
}
"""Ways to read one network's detections; "naive" is Table 1's NR."""
STATES = {"visible": VISIBLE, "hidden": HIDDEN, "outside": ABSENT}
"""Of a true joint: seen, hidden by somebody or something, off the picture."""
NOISE = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Deviations of what is added to tags, in their unit, of which the threshold is 1."""


@dataclass(frozen=True)
class Job:
    """What a unit needs besides the seed.

    Parameters
    ----------
    what : the variant of the network
    world : on which it is trained and tested
    budget : factor on the profile's training steps
    keep : folder for trained networks; does not decide the result
    """

    what: str
    world: str
    profile: str
    budget: float
    keep: str = field(metadata={"decides": False})


def study(
    name: str,
    run: Callable,
    what: Sequence[tuple[str, str]],
    profile: str,
    keep: Path,
    budget: float,
    seed: int,
    seeds: int,
) -> Study:
    """A `Study` with one unit for each (variant, world) and each seed."""
    code = (sys.modules[__name__], mp3d.experiments.orpm_ae.networks, mp3d.experiments.shown, *TRAINING)
    code += (mp3d.experiments.scores, mp3d.metrics, mp3d.codings.translation)
    worlds = {world for _, world in what}
    jobs = {
        variant if len(worlds) == 1 else world: Job(variant, world, profile, checked_budget(budget), str(keep))
        for variant, world in what
    }
    size = PROFILES[profile]
    return Study(
        name, run, jobs, seed_range(seed, seeds or size.seeds), Path(keep) / "results", {"profile": repr(size)}, code
    )


def seen(
    variant: str, world: str, profile: str, seed: int, keep: Path, budget: float = 1.0
) -> dict[str, list[Detections]]:
    """What a network says of each test video, by stack, from the files that it left when it saw them first.

    Every read-out and every grouping starts from it: the network looks once.
    """
    model = trained(variant, world, profile, seed, keep, budget)
    folder, found = place(variant, world, profile, seed, keep, budget), {}
    for scene, batch in test_pictures(world, profile):
        shown = hashlib.sha256(batch.image.numpy().tobytes() + batch.k.numpy().tobytes()).hexdigest()[:12]
        files = [folder / f"seen-{scene}-{shown}-{stack + 1}.npz" for stack in range(model.config.stacks)]
        if not all(file.exists() for file in files):
            for file, detections in zip(files, model.detect(batch.image), strict=True):
                detections.save(file)
        found[scene] = [Detections.load(file) for file in files]
    return found


def row(batch: Batch, found: Sequence[Sequence[Person]]) -> dict[str, float | int]:
    """`scores.scores`, and MPJPE (mm) of joints by their state, of matched people: mpjpe_visible and so on.

    mpjpe_whole: of people of whom every joint is in the picture and nine of ten are seen.
    """
    people = People(batch, found)
    errors = people.errors
    state = {f"mpjpe_{name}": _mean(errors[:, SCORED][people.seen[:, SCORED] == s]) for name, s in STATES.items()}
    whole = (people.seen > ABSENT).all(1) & ((people.seen == VISIBLE).mean(1) >= 0.9)
    return {"n": len(people.found), **scores(people), **state, "mpjpe_whole": _mean(errors[whole])}


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan


# ---- Tables 1 and 2 --------------------------------------------------------------------------------


def stacks(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """Table 1 on `studio`: networks of 1 and more stacks, each trained for as many steps. The full one is read in all
    `READINGS`, and at its earlier stacks, as columns "metric@reading" and "metric@stack1"."""
    what = [(f"{number}-HG", "studio") for number in STACKS[profile][:-1]] + [("full", "studio")]
    return study("orpm-ae-stacks", run_network, what, profile, keep, budget, seed, seeds)


def alone(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """Table 2: the full network, trained and tested on `solo`, one person a picture."""
    return study("orpm-ae-alone", run_network, [("full", "solo")], profile, keep, budget, seed, seeds)


def changes(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """`CHANGES` of the network of one stack, on `studio`, and that network; "metric@VARIANT_naive": read naively."""
    what = [("1-HG", "studio"), *((name, "studio") for name in CHANGES)]
    return study("orpm-ae-changes", run_network, what, profile, keep, budget, seed, seeds)


def run_network(job: Job, seed: int) -> pd.DataFrame:
    """Train one variant and score it: a row a test video."""
    where = (job.what, job.world, job.profile, seed, Path(job.keep), job.budget)
    model, detections = trained(*where), seen(*where)
    rows = []
    for scene, batch in test_pictures(job.world, job.profile):
        *early, last = detections[scene]
        ways = {"": (last, Reading()), f"{job.what}_naive": (last, READINGS["naive"])}
        if job.world == "studio" and job.what == "full":
            ways = {"": (last, Reading())} | {name: (last, how) for name, how in READINGS.items()}
            ways |= {f"stack{number + 1}": (found, Reading()) for number, found in enumerate(early)}
        rows.append({"scene": scene})
        for name, (found, how) in ways.items():
            scored = row(batch, model.people(found, batch.k, how))
            rows[-1] |= {f"{key}@{name}" if name else key: v for key, v in scored.items() if not name or key != "n"}
    return pd.DataFrame(rows)


def named(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """The table of `stacks` with a row a network and a reading; the full one also under its number of stacks."""
    rows = spread(table)
    full = rows[rows["variant"] == "full"]
    return pd.concat([rows, full.assign(variant=f"{STACKS[profile][-1]}-HG")], ignore_index=True)


# ---- how many sites are worth what --------------------------------------------------------------


def levels(profile: str, seeds: Sequence[int], keep: Path, budget: float) -> pd.DataFrame:
    """MPJPE of each matched person of the test videos, by read-out: what share of their joints is hidden or cut off.

    Returns
    -------
    a row a person, seed and read-out: scene, reading, hidden, cut (% of the joints), mpjpe (mm)
    """
    rows = []
    for seed in seeds:
        model = trained("full", "studio", profile, seed, keep, budget)
        detections = seen("full", "studio", profile, seed, keep, budget)
        for scene, batch in test_pictures("studio", profile):
            for reading in ("paper", "mehta", "naive"):
                people = People(batch, model.people(detections[scene][-1], batch.k, READINGS[reading]))
                share = {name: 100 * (people.seen == STATES[of]).mean(1) for name, of in LEVELS.items()}
                error = np.array([_mean(one) for one in people.errors])
                rows.append(pd.DataFrame({"scene": scene, "reading": reading, **share, "mpjpe": error})[people.found])
    return pd.concat(rows, ignore_index=True)


LEVELS = {"hidden": "hidden", "cut": "outside"}
"""Names of `levels`' shares, and the state of the joints they count."""


# ---- noise on the tags ----------------------------------------------------------------------------


def tag_noise(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """The full network's tags with normal noise, grouped by both methods: columns "metric_NOISE@method"."""
    return study("orpm-ae-tags", run_tags, [("full", "studio")], profile, keep, budget, seed, seeds)


def run_tags(job: Job, seed: int) -> pd.DataFrame:
    """A row a test video: recall_NOISE, precision_NOISE, right_NOISE (3DPCK over everybody), and lost_NOISE, how much
    lower that is than without noise, %."""
    where = (job.what, job.world, job.profile, seed, Path(job.keep), job.budget)
    model, detections = trained(*where), seen(*where)
    rows = []
    for i, (scene, batch) in enumerate(test_pictures(job.world, job.profile)):
        found = detections[scene][-1]
        rng = np.random.default_rng([seed, i])
        noise = torch.from_numpy(rng.normal(size=found.tags.shape)).to(found.tags)
        rows.append({"scene": scene, "n": len(People(batch, [()] * len(batch)).found)})
        for method in ("greedy", "hungarian"):
            for level in NOISE:
                noisy = replace(found, tags=found.tags + level * noise)
                one = row(batch, model.people(noisy, batch.k, Reading(grouping=method)))
                one["right"], one["lost"] = one["pck_rel_all"], 0.0
                if level:
                    one["lost"] = rows[-1][f"right_0.0@{method}"] - one["right"]
                names = ("recall", "precision", "right", "lost")
                rows[-1] |= {f"{name}_{level}@{method}": one[name] for name in names}
    return pd.DataFrame(rows)


# ---- the reader's own data ------------------------------------------------------------------------

DATA = ("panoptic", "h36m")
"""What the paper is tested on."""


def on_data(
    data: str, ways: dict[str, Reading], profile: str, seed: int, keep: Path, budget: float
) -> dict[str, pd.DataFrame]:
    """The full network on Panoptic and Human3.6M where they are in a folder: a study's table for each.

    Parameters
    ----------
    data : the data sets' folder, see `real.load_test`, which says what is raised
    """
    found, folder = {}, Path(data).expanduser()
    for kind, shots in real.load_test(folder).items():
        if kind not in DATA:
            continue
        model, learned = for_data(folder, kind, profile, seed, keep, budget)

        def predict(images: torch.Tensor, k: torch.Tensor, model: ORPMAE = model) -> dict[str, list[list[Person]]]:
            seen = model.detect(images)[-1]
            return {name: model.people(seen, k, reading) for name, reading in ways.items()}

        found[kind] = real.evaluate(predict, shots, kind, *model.config.canvas, seed)
        found[kind].attrs["protocol"] = f"trained on {learned}; {found[kind].attrs['protocol']}"
    return found
