"""PandaNet's tables as studies: each network sees the test pictures once, and what it says is read in all ways.

All methods are scored by `metrics.jta.evaluate_pck`, on every world: people who count have a joint in the picture and
one that is visible, they are matched by the mean distance of joints in the picture, up to half the diagonal of the true
box, roots lie between the hips. AP is of boxes: PandaNet's own, of all its detections above `LOW`; others' around
their joints, of the people they give. Everything else is over those that a user would get (`Reading`).

A pose whose bones sum to 1 has no size. The paper does not say which one its millimetres have, so there are two: that
of the training set's mean, which a user gets; and everybody's own, taken from the truth, an oracle ("scaled").
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch

import mp3d.codings.translation
import mp3d.experiments.orpm_ae.networks
import mp3d.experiments.pandanet.networks
import mp3d.experiments.real
import mp3d.experiments.shown
import mp3d.experiments.smap.tables
import mp3d.metrics
from mp3d.batch import Batch
from mp3d.codings import anchors as coding
from mp3d.experiments import real
from mp3d.experiments import threedmppe as crops
from mp3d.experiments.orpm_ae.tables import Job
from mp3d.experiments.pandanet.networks import PROFILES, TRAINING, VARIANTS, WIDE, for_data, trained, trained_other
from mp3d.experiments.pinet import checked_budget, seed_range
from mp3d.experiments.shown import FRAMES, SIZES, scenes, test_pictures
from mp3d.experiments.smap.tables import top_down
from mp3d.metrics.detection import average_precision
from mp3d.metrics.jta import compare, evaluate_pck
from mp3d.papers.pandanet import PandaNet, Reading, decode, detect
from mp3d.scene import Person
from mp3d.skeletons import MPI17
from mp3d.study import Study
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import films, takes

READINGS = {
    "0.3": Reading(),
    "score_0.05": Reading(score=0.05),
    "score_0.5": Reading(score=0.5),
    "nms_0.4": Reading(overlap=0.4),
    "nms_0.6": Reading(overlap=0.6),
    "nms_0.7": Reading(overlap=0.7),
}
"""Ways to read one network's maps."""
LOW = Reading(score=0.05)
"""Detections for AP (our choice)."""
CROPS = 0.2
"""3DMPPE's budget as a part of PandaNet's: both then train for about as long; pictures cannot be made equal, as it
learns from crops."""
STREETS = 4
"""How many times `street`'s six test videos are filmed, with other people: six would leave wide intervals."""
OVERLAPS = {"smoke": 8, "cpu": 240, "gpu": 480, "paper": 480}
"""Single pictures of the split "overlap", in `GROUPS` scenes."""
GROUPS = 12


def study(
    name: str,
    run: Callable,
    what: Sequence[str],
    world: str,
    profile: str,
    keep: Path,
    budget: float,
    seed: int,
    seeds: int,
) -> Study:
    """A `Study` with one unit for each variant or method and each seed."""
    code = (sys.modules[__name__], mp3d.experiments.pandanet.networks, mp3d.experiments.shown, *TRAINING)
    code += (*mp3d.experiments.orpm_ae.networks.TRAINING, mp3d.experiments.smap.tables)
    code += (mp3d.metrics, mp3d.codings.translation, mp3d.experiments.orpm_ae.networks, *crops.TRAINING)
    code += (mp3d.experiments.real,)
    jobs = {one: Job(one, world, profile, checked_budget(budget), str(keep)) for one in what}
    size = PROFILES[profile]
    return Study(
        name, run, jobs, seed_range(seed, seeds or size.seeds), Path(keep) / "results", {"profile": repr(size)}, code
    )


# ---- test pictures, and their truth ----------------------------------------------------------------


@lru_cache(maxsize=8)
def pictures(world: str, profile: str, split: str = "test") -> list[tuple[str, Batch]]:
    """Test pictures by scene: a world's videos, those of `street` several times over; of "overlap" single frames."""
    if split == "overlap":
        some = takes(world, OVERLAPS[profile], 0, "overlap")
        each = max(1, OVERLAPS[profile] // GROUPS)
        parts = [some[start : start + each] for start in range(0, len(some), each)]
        return [(f"O{i}", render(part, *SIZES[profile], seed=1).batch) for i, part in enumerate(parts)]
    if world != "street":
        return test_pictures(world, profile, split)
    frames = max(1, FRAMES[profile] // STREETS)
    return [
        (f"{film.sequence[0]}.{again}", render(film, *WIDE[profile], seed=1 + again).batch)
        for again in range(STREETS if frames > 1 else 1)
        for film in films("street", seed=again, frames=frames)
    ]


# ---- scores ----------------------------------------------------------------------------------------


def row(scene: str, batch: Batch, people: Sequence[Sequence[Person]], low: Sequence[Sequence[Person]]) -> dict:
    """A row of a study's table: scene, and `real.crowd_scores` with AP of the detections `low`."""
    return {"scene": scene, **real.crowd_scores(scenes(batch), people, low)}


def read(model: PandaNet, scene: str, batch: Batch, readings: dict[str, Reading]) -> dict:
    """`row` of one network. With more than one reading also: the others, as columns "metric@reading"; ap as in VOC
    2007, "@voc07"; recall and pck of people matched by boxes, "@boxes"."""
    maps, canvas = model.maps(batch.image)

    def people(reading: Reading) -> list[list[Person]]:
        found = detect(maps, model.sizes, model.config, reading)
        return decode(found, canvas, batch.k, model.length.item())

    whole: dict = {}
    for number, (name, reading) in enumerate(readings.items()):
        low = replace(reading, score=LOW.score)
        one = row(scene, batch, people(reading), people(low))
        if len(readings) > 1 and not number:
            matched = evaluate_pck(scenes(batch), people(reading), matching="boxes", root="mid_hip")
            one |= {"pck@boxes": matched.loc["all", "pck"], "recall@boxes": matched.attrs["recall"]}
            pairs = zip(scenes(batch), people(low), strict=True)
            each = (compare(*pair, "boxes", "mid_hip", "none")[1] for pair in pairs)
            pred, scores, true, ignore = map(list, zip(*each, strict=True))
            one["ap@voc07"] = 100 * average_precision(pred, scores, true, interpolation="11", ignore=ignore)
        whole |= {f"{key}@{name}": v for key, v in one.items() if key not in ("scene", "n")} if number else one
    return whole


def ceilings(batch: Batch, length: float) -> dict[str, list[list[Person]]]:
    """The best that could come out, by what stands in the way: true people of whom boxes that overlap by more than
    half are dropped, the nearer stays; true poses at the mean size."""
    kept, mean = [], []
    relative, _ = coding.unit_bones(batch.xyz)
    sized = batch.xyz[:, :, MPI17.root, None] + relative * length
    for scene, boxes, z, same in zip(
        scenes(batch), coding.pose_box(batch.uv), batch.xyz[:, :, MPI17.root, 2], sized, strict=True
    ):
        stay = coding.nms(boxes, -z, Reading().overlap).tolist()
        kept.append([replace(person, score=1.0) for person in scene.people if person.identity in stay])
        mean.append([replace(p, xyz=same[p.identity].double().cpu().numpy()) for p in scene.people])
    return {"nms_ceiling": kept, "size_ceiling": mean}


def _ceilings(scene: str, batch: Batch, model: PandaNet) -> dict:
    found = {}
    for name, people in ceilings(batch, model.length.item()).items():
        best = row(scene, batch, people, people)
        found |= {f"{key}@{name}": v for key, v in best.items() if key not in ("scene", "n")}
    return found


# ---- Tables 3 to 6 ----------------------------------------------------------------------------------

BESIDE = {"street": "orpm_ae", "studio": "orpm_ae", "duet": "threedmppe"}
"""The method beside PandaNet on each world; 3DMPPE has the true boxes."""


def world(name: str, profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """PandaNet and the method of `BESIDE`, trained and tested on a world; `ceilings` as columns "metric@ceiling"."""
    return study(f"pandanet-{name}", run_world, ["full", BESIDE[name]], name, profile, keep, budget, seed, seeds)


def run_world(job: Job, seed: int) -> pd.DataFrame:
    """Train one method and score it: a row a test video."""
    where, rows = (job.world, job.profile, seed, Path(job.keep)), []
    if job.what == "full":
        model = trained("full", *where, job.budget)
        for scene, batch in pictures(job.world, job.profile):
            rows.append(read(model, scene, batch, {"0.3": Reading()}) | _ceilings(scene, batch, model))
        return pd.DataFrame(rows)
    for scene, batch in pictures(job.world, job.profile):
        if job.what == "orpm_ae":
            people = trained_other(*where, job.budget).estimate(batch.image, batch.k)
        else:
            other = crops.trained(job.profile, seed, Path(job.keep), CROPS * job.budget, job.world)
            people = top_down(other, batch, "rootnet")
        rows.append(row(scene, batch, people, people))
    return pd.DataFrame(rows)


# ---- Tables 1 and 2 ---------------------------------------------------------------------------------


def variants(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """`VARIANTS`, trained on `studio`; tested on its videos, and on pictures of people who overlap, whose metrics are
    called "..._overlap". The full one is read in all `READINGS`."""
    return study("pandanet-variants", run_variant, [*VARIANTS], "studio", profile, keep, budget, seed, seeds)


def run_variant(job: Job, seed: int) -> pd.DataFrame:
    """Train one variant and score it: a row a test video, and a row a group of pictures."""
    model = trained(job.what, job.world, job.profile, seed, Path(job.keep), job.budget)
    readings = READINGS if job.what == "full" else {"0.3": Reading()}
    rows = []
    for split, suffix in (("test", ""), ("overlap", "_overlap")):
        for scene, batch in pictures(job.world, job.profile, split):
            found = read(model, scene, batch, readings)
            if job.what == "full":
                found |= _ceilings(scene, batch, model)
            rows.append({key if key in ("scene", "n") else _ending(key, suffix): v for key, v in found.items()})
    return pd.DataFrame(rows)


def _ending(key: str, suffix: str) -> str:
    metric, at, reading = key.partition("@")
    return f"{metric}{suffix}{at}{reading}"


# ---- the reader's own data --------------------------------------------------------------------------

DATA = ("jta", "panoptic", "mupots3d")
"""What the paper is tested on."""


def on_data(
    data: str,
    profile: str,
    seed: int,
    keep: Path,
    budget: float | int,
    ways: dict[str, Reading] | None = None,
) -> dict[str, pd.DataFrame]:
    """The full network on JTA, Panoptic and MuPoTS-3D where they are in a folder: a study's table for each.

    Parameters
    ----------
    data : the data sets' folder, see `real.load_test`, which says what is raised
    ways : variants, as ways to read one network's maps; None: "full" alone, as in the other tables
    """
    found, folder = {}, Path(data).expanduser()
    ways = ways or {"full": Reading()}
    above = {name: reading.score for name, reading in ways.items()}
    for kind, shots in real.load_test(folder, kinds=DATA).items():
        model, learned = for_data(folder, kind, profile, seed, keep, budget)

        def predict(images: torch.Tensor, k: torch.Tensor, model: PandaNet = model) -> dict[str, list[list[Person]]]:
            maps, canvas = model.maps(images)
            low = {name: replace(way, score=min(way.score, LOW.score)) for name, way in ways.items()}
            some = {name: detect(maps, model.sizes, model.config, reading) for name, reading in low.items()}
            return {name: decode(each, canvas, k, model.length.item()) for name, each in some.items()}

        found[kind] = real.evaluate(predict, shots, kind, *model.config.canvas, seed, above=above)
        found[kind].attrs["protocol"] = f"trained on {learned}; {found[kind].attrs['protocol']}"
    return found
