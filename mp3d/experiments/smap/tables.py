"""SMAP's tables as studies: each trains what it lacks, shows everybody the same pictures and scores them alike.

One network a seed serves all that differs after training. Pictures are `synthetic.render`'s; 3DMPPE, the top-down
method that SMAP compares with, gets the true boxes.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import mp3d.camera
import mp3d.codings.translation
import mp3d.experiments.scores
import mp3d.experiments.shown
import mp3d.experiments.smap.networks
import mp3d.metrics
import mp3d.papers.threedmppe
import mp3d.skeletons
from mp3d.batch import Batch
from mp3d.codings import translation
from mp3d.experiments import real
from mp3d.experiments import threedmppe as crops
from mp3d.experiments.pinet import checked_budget, seed_range
from mp3d.experiments.scores import ROOT, People, row
from mp3d.experiments.shown import test_pictures
from mp3d.experiments.smap.networks import PROFILES, TRAINING, VARIANTS, for_data, trained, trained_dense
from mp3d.papers.smap import SMAP, Reading, SMAPConfig
from mp3d.papers.threedmppe import ThreeDMPPE
from mp3d.scene import NATIVE, VISIBLE, Person
from mp3d.skeletons import MPI17, SMAP15
from mp3d.study import Study

READINGS = {
    "dapa": Reading(),
    "2dpa": Reading(association="2dpa"),
    "dapa_far": Reading(order="far"),
    "dapa_no_length": Reading(length="none"),
    "dapa_filter": Reading(length="filter"),
    "sum3": Reading(scales=3),
    "flip": Reading(flip=True),
    "rays": Reading(refined="rays"),
    "no_refine": Reading(refined="no"),
}
"""Ways to read one network's maps. With `scales` the thresholds are left alone: a sum of three maps passes them three
times as easily, as in the released code."""

CROPS = 0.08
"""3DMPPE's budget as a part of SMAP's: RootNet's and PoseNet's trainings then take about as long together as SMAP's."""


@dataclass(frozen=True)
class Job:
    """What a unit needs besides the seed.

    Parameters
    ----------
    what : the variant of the network, or the world
    budget : factor on the profile's training steps
    keep : folder for trained networks; does not decide the result
    """

    what: str
    profile: str
    budget: float
    keep: str = field(metadata={"decides": False})


def study(
    name: str, run: Callable, what: Sequence[str], profile: str, keep: Path, budget: float, seed: int, seeds: int
) -> Study:
    """A `Study` with one unit for each of `what` and each seed."""
    code = (sys.modules[__name__], mp3d.experiments.smap.networks, mp3d.experiments.scores, *TRAINING)
    code += (mp3d.experiments.shown,)
    code += (*crops.TRAINING, crops, mp3d.metrics, mp3d.camera, mp3d.skeletons, mp3d.codings.translation)
    jobs = {one: Job(one, profile, checked_budget(budget), str(keep)) for one in what}
    size = PROFILES[profile]
    options = {"profile": repr(size)}
    return Study(name, run, jobs, seed_range(seed, seeds or size.seeds), Path(keep) / "results", options, code)


# ---- Tables 3, 4 and 11: parts left out, ways of reading --------------------------------------------


def networks(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """`VARIANTS` on `duet`, and 3DMPPE; the full one read in all `READINGS`, as columns "metric@reading".

    Variants that are one network at this profile are one unit: `with_same` gives the others their rows.
    """
    what = [*dict.fromkeys(_same(profile).values()), "threedmppe"]
    return study("smap-networks", run_network, what, profile, keep, budget, seed, seeds)


def _same(profile: str) -> dict[str, str]:
    """The first variant with the same network, for each."""
    first: dict[SMAPConfig, str] = {}
    configs = {name: replace(PROFILES[profile].config, **change) for name, change in VARIANTS.items()}
    return {name: first.setdefault(config, name) for name, config in configs.items()}


def with_same(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """The table of `networks` with rows for variants that are another's network: in "cpu", full is the one stage."""
    copies = [
        table[table["variant"] == first].assign(variant=name) for name, first in _same(profile).items() if name != first
    ]
    return pd.concat([table, *copies], ignore_index=True)


def run_network(job: Job, seed: int) -> pd.DataFrame:
    """Train one variant and score it on `duet`: a row a test video."""
    pictures = test_pictures("duet", job.profile)
    if job.what == "threedmppe":
        other = crops.trained(job.profile, seed, Path(job.keep), CROPS * job.budget)
        return pd.DataFrame([row(scene, batch, top_down(other, batch, "rootnet")) for scene, batch in pictures])
    model = trained(job.what, "duet", job.profile, seed, Path(job.keep), job.budget)
    return _read(model, pictures, READINGS if job.what == "full" else {})


def readings(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """The full network, trained on `studio`, in all `READINGS`."""
    return study("smap-readings", run_readings, ["studio"], profile, keep, budget, seed, seeds)


def run_readings(job: Job, seed: int) -> pd.DataFrame:
    """A row a test video of the world, columns "metric@reading"."""
    model = trained("full", job.what, job.profile, seed, Path(job.keep), job.budget)
    return _read(model, test_pictures(job.what, job.profile), READINGS, plain=False)


def _read(
    model: SMAP, pictures: Sequence[tuple[str, Batch]], ways: dict[str, Reading], plain: bool = True
) -> pd.DataFrame:
    """A row a video: of the paper's reading, where `plain`, and columns "metric@reading"."""
    rows = []
    for scene, batch in pictures:
        found = _ways(model, batch.image, batch.k, {"": Reading()} | ways)
        scored = {name: row(scene, batch, people) for name, people in found.items()}
        rows.append(scored[""] if plain else {"scene": scene, "n": scored[""]["n"]})
        for name in ways:
            rows[-1] |= {f"{key}@{name}": value for key, value in scored[name].items() if key not in ("scene", "n")}
    return pd.DataFrame(rows)


def _ways(
    model: SMAP, images: torch.Tensor, k: torch.Tensor, ways: dict[str, Reading]
) -> dict[str, list[list[Person]]]:
    """Everyone in the pictures by each reading; those that read the same maps share them, and equal ones are one."""
    maps: dict[tuple, tuple] = {}
    people: dict[Reading, list[list[Person]]] = {}
    for reading in ways.values():
        seen = (reading.scales, reading.flip)
        if seen not in maps:
            maps[seen] = model.maps(images, reading)
        if reading not in people:
            people[reading] = model.people(*maps[seen], k, reading)
    return {name: people[reading] for name, reading in ways.items()}


# ---- Tables 1, 2, 6 to 10, Figure 4: against others ---------------------------------------------


def worlds(names: Sequence[str], profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """SMAP and those it is compared with, each trained and tested on a world: columns "metric@method"."""
    return study("smap-worlds", run_world, names, profile, keep, budget, seed, seeds)


def run_world(job: Job, seed: int) -> pd.DataFrame:
    """A row a test video, columns "metric@method"; the methods that only Figures 4 and 6 have on `duet` alone."""
    keep = Path(job.keep)
    model = trained("full", job.what, job.profile, seed, keep, job.budget)
    other = crops.trained(job.profile, seed, keep, CROPS * job.budget, job.what)
    dense = trained_dense(job.what, job.profile, seed, keep, job.budget) if job.what == "duet" else None
    rows = []
    for scene, batch in test_pictures(job.what, job.profile):
        rows.append({"scene": scene, "n": len(People(batch, [()] * len(batch)).found)})
        for name, people in methods(model, other, dense, batch).items():
            found = row(scene, batch, people)
            rows[-1] |= {f"{key}@{name}": value for key, value in found.items() if key not in ("scene", "n")}
    return pd.DataFrame(rows)


def methods(model: SMAP, other: ThreeDMPPE, dense, batch: Batch) -> dict[str, list[list[Person]]]:
    """Everyone in the pictures by each method.

    smap and smap_unrefined; threedmppe, with RootNet's roots; and with a dense network also
    fit_t: 3DMPPE's pose where it fits the true joints in the picture best ('FitT' of Figure 4);
    k_alone: 3DMPPE with its k for a depth; dense: SMAP, its roots' depths read from the dense depth;
    truth: the truth.
    """
    maps, canvas = model.maps(batch.image)
    ours = model.people(maps, canvas, batch.k)
    found = {"smap": ours, "smap_unrefined": model.people(maps, canvas, batch.k, Reading(refined="no"))}
    found["threedmppe"] = top_down(other, batch, "rootnet")
    if dense is None:
        return found
    found["fit_t"] = fitted(found["threedmppe"], batch)
    found["k_alone"] = top_down(other, batch, "k_alone")
    found["dense"] = read_out(dense, ours, batch)
    found["truth"] = [
        [_person(xyz, uv) for xyz, uv, there in zip(*each, strict=True) if there]
        for each in zip(*(x.cpu().numpy() for x in (batch.xyz.double(), batch.uv.double(), batch.there)), strict=True)
    ]
    return found


def _person(xyz: np.ndarray, uv: np.ndarray, identity: int = 0) -> Person:
    seen, source = np.full(len(MPI17), VISIBLE, np.uint8), np.full(len(MPI17), NATIVE, np.uint8)
    return Person(xyz, uv, seen, source, identity)


def top_down(other: ThreeDMPPE, batch: Batch, mode: str) -> list[list[Person]]:
    """3DMPPE's people from true boxes, their pelvis at RootNet's root: PoseNet's own is another point near it."""
    poses, roots = crops.estimates(other, batch, mode)
    people = []
    for some, at, k in zip(poses, roots, batch.k.double().numpy(), strict=True):
        moved = some - some[:, MPI17.root :][:, :1] + at[:, None]
        people.append([_person(xyz, _shown(xyz, k), i) for i, xyz in enumerate(moved) if np.isfinite(xyz).all()])
    return people


def _shown(xyz: np.ndarray, k: np.ndarray) -> np.ndarray:
    return xyz[..., :2] / xyz[..., 2:] * k[:2] + k[2:]


def fitted(people: Sequence[Sequence[Person]], batch: Batch) -> list[list[Person]]:
    """The same poses, moved to where they fit their true joints in the picture best (`codings.translation`)."""
    moved = []
    for b, some in enumerate(people):
        moved.append([])
        true = batch.uv[b][batch.there[b]].double()
        for person in some:
            pose = torch.from_numpy(person.xyz - person.root)
            at = translation.fit(pose, true[person.identity], batch.k[b].double()).numpy()
            if np.isfinite(at).all():
                xyz = pose.numpy() + at
                moved[-1].append(_person(xyz, _shown(xyz, batch.k[b].double().numpy()), person.identity))
    return moved


def read_out(dense, people: Sequence[Sequence[Person]], batch: Batch) -> list[list[Person]]:
    """The same people with their roots at the depth that a dense map has at them, on the same ray."""
    most = max(1, *(len(some) for some in people))
    uv = torch.full((len(people), most, 2), torch.nan)
    for b, some in enumerate(people):
        for i, person in enumerate(some):
            uv[b, i] = torch.from_numpy(person.uv[ROOT]).float()
    z = dense.read(batch.image, batch.k, uv).double().numpy()
    return [
        [replace(p, xyz=p.xyz + p.root * (z[b, i] / p.root[2] - 1)) for i, p in enumerate(some) if z[b, i] > 0]
        for b, some in enumerate(people)
    ]


def on_data(
    data: str, ways: dict[str, Reading], profile: str, seed: int, keep: Path, budget: float
) -> dict[str, pd.DataFrame]:
    """The same network, or one trained on the data, on the reader's own test sets: a study's table for each.

    Parameters
    ----------
    data : the data sets' folder, see `real.load_test`, which says what is raised
    ways : variants, as ways to read one network's maps
    """
    found, folder = {}, Path(data).expanduser()
    for kind, shots in real.load_test(folder).items():
        model, seen = for_data(folder, kind, profile, seed, keep, budget)

        def predict(images: torch.Tensor, k: torch.Tensor, model: SMAP = model) -> dict[str, list[list[Person]]]:
            return _ways(model, images, k, ways)

        found[kind] = real.evaluate(predict, shots, kind, *model.config.canvas, seed)
        found[kind].attrs["protocol"] = f"trained on {seen}; {found[kind].attrs['protocol']}"
    return found


# ---- supplement 3.2: intrinsics -----------------------------------------------------------------


def intrinsics(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """Known and default focal length, and no normalisation; scenes of the split "test", and of "fov", whose metrics
    are called "..._fov"."""
    what = ["known", "default_f", "no_normalisation"]
    return study("smap-intrinsics", run_intrinsics, what, profile, keep, budget, seed, seeds)


def run_intrinsics(job: Job, seed: int) -> pd.DataFrame:
    """A row a video of each split: rt_error (mm), pcod and pcod_order (%)."""
    variant = "no_normalisation" if job.what == "no_normalisation" else "full"
    model = trained(variant, "duet", job.profile, seed, Path(job.keep), job.budget)
    rows = []
    for split, suffix in (("test", ""), ("fov", "_fov")):
        for scene, batch in test_pictures("duet", job.profile, split):
            k = default_cameras(batch) if job.what == "default_f" else batch.k
            found = row(scene, batch, model.estimate(batch.image, k))
            kept = {f"{name}{suffix}": found[name] for name in ("rt_error", "depth_error", "pcod", "pcod_order")}
            rows.append({"scene": f"{scene}{suffix}", "n": found["n"], **kept})
    return pd.DataFrame(rows)


def default_cameras(batch: Batch) -> torch.Tensor:
    """(B, 4) a focal length of the picture's width, and its middle."""
    height, width = batch.image.shape[2:]
    return torch.tensor([width, width, width / 2, height / 2]).float().expand(len(batch), 4)


# ---- Figure 5: odd poses, occlusion, truncation -------------------------------------------------


def failures(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """The error of the roots' depth by what is unusual about a person (`experiments.threedmppe.failures`)."""
    return study("smap-failures", run_failures, ["duet"], profile, keep, budget, seed, seeds)


def run_failures(job: Job, seed: int) -> pd.DataFrame:
    """Ten parts of the people, F0 to F9: mean depth_error_GROUP (%), and depth_loss_GROUP, what it is more than that of
    people who stand (for "bent") or are whole; columns "...@method"."""
    people = by_group(job.profile, seed, Path(job.keep), job.budget)
    rows = []
    for part, some in people.groupby(people.index * 10 // len(people)):
        rows.append({"scene": f"F{part}", "n": len(some)})
        for method in ("smap", "threedmppe"):
            error = some.groupby("group")[method].mean()
            whole = some.loc[some["group"].isin(["standing", "bent"]), method].mean()
            for group, usual in (("bent", error.get("standing")), ("hidden", whole), ("cut", whole)):
                if group in error and usual is not None:
                    rows[-1][f"depth_error_{group}@{method}"] = error[group]
                    rows[-1][f"depth_loss_{group}@{method}"] = error[group] - usual
    return pd.DataFrame(rows)


def by_group(profile: str, seed: int, keep: Path, budget: float) -> pd.DataFrame:
    """Error of the root's depth in % for each person, by method, NaN where SMAP missed them; and the person's group.

    Rows are shuffled.
    """
    model = trained("full", "duet", profile, seed, keep, budget)
    other = crops.trained(profile, seed, keep, CROPS * budget)
    rows = []
    for name, some, batch in crops.odd_pictures(profile):
        groups = crops.groups(batch, some, name)
        ours, theirs = (
            People(batch, found) for found in (model.estimate(batch.image, batch.k), top_down(other, batch, "rootnet"))
        )
        flat = [group for b, of in enumerate(groups) for p, group in enumerate(of) if _counts(batch, b, p)]
        for i, group in enumerate(flat):
            if group:
                error = [100 * abs(p.root_error[i, 2]) / p.true[i, ROOT, 2] for p in (ours, theirs)]
                rows.append((group, *error, ours.true[i, ROOT, 2] / 1000))
    df = pd.DataFrame(rows, columns=["group", "smap", "threedmppe", "depth"])
    return df.sample(frac=1, random_state=0, ignore_index=True)


def _counts(batch: Batch, b: int, p: int) -> bool:
    picked = [MPI17.index(joint) for joint in SMAP15.joints]
    return bool((batch.visibility[b, p, picked] > 0).any())
