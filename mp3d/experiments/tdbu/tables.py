"""TDBU's tables as studies: each part sees the test videos once, and what it says is joined in all ways.

Scores are `experiments.scores`', those of SMAP's and ORPM-AE's notebooks; Table 1's PCK and PCK_abs are `pck_rel_all`
and `pck_abs_all`, in which whoever was missed is wrong; `pck_rel_both` and `pck_abs_both` are of those alone whom both
branches found. People's boxes come from the bottom-up network without a guide, not from the truth.
"""

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

import mp3d.experiments.scores
import mp3d.experiments.shown
import mp3d.experiments.smap.tables
import mp3d.experiments.tdbu.networks
import mp3d.metrics
from mp3d.batch import Batch
from mp3d.codings.anchors import iou
from mp3d.experiments import threedmppe as crops
from mp3d.experiments.orpm_ae.tables import Job
from mp3d.experiments.pinet import checked_budget, seed_range
from mp3d.experiments.scores import ROOT as SMAP_ROOT
from mp3d.experiments.scores import SCORED, THRESHOLDS, People, scores
from mp3d.experiments.shown import SIZES, device, scenes
from mp3d.experiments.smap.tables import top_down as with_true_boxes
from mp3d.experiments.tdbu.networks import (
    NOISE,
    PROFILES,
    TRAINING,
    WIDE,
    Home,
    everyone,
    pairs,
    sized,
    tracks,
    trained,
    windows,
)
from mp3d.metrics import jta
from mp3d.metrics.errors import joint_errors, pa_mpjpe
from mp3d.metrics.roots import ap_root
from mp3d.papers.tdbu import bottom_up, boxes_of, join, semi, top_down, train
from mp3d.papers.tdbu.discriminators import neighbours
from mp3d.papers.tdbu.integration import Seen
from mp3d.papers.tdbu.lifting import ROOT, Lift, placed
from mp3d.papers.tdbu.semi import Lesson
from mp3d.papers.tdbu.topdown import Found, find, tight
from mp3d.papers.tdbu.train import Windows, disturbed
from mp3d.scene import Person
from mp3d.study import Study
from mp3d.synthetic.render import render
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import films, takes

FRAMES = {"smoke": 2, "cpu": 20, "gpu": 40, "paper": 40}
"""Pictures of each test video, one after the other: 12.5 a second, as tracks need them."""
ROWS = ("td_one", "td", "bu_plain", "bu", "both_plain", "hard", "linear", "order", "full")
"""Table 1: top-down without and with everybody in the crop; bottom-up without and with the guide; both without; and
what joins the two."""
OTHERS = ("gate", "released", "alone", "true_boxes", "true_joints", "frames", "frame_joints")
"""Not in the paper's table: the released gate; the released matching; integration without discriminators; top-down with
true boxes; and with the true 2D joints in them, hidden ones too; poses lifted frame by frame; the guide drawn anew
around joints."""
CROPS = 0.1
"""3DMPPE's budget as a part of TDBU's: 150 steps of RootNet and 400 of PoseNet ("cpu") take about half as long as
TDBU's five networks, 250 steps of that of crops and 200 each of the detector and of that of frames among them."""


class Look(NamedTuple):
    """What both branches say of one video."""

    found: Found
    td: list[Seen]
    bu: list[Seen]
    plain: list[Seen]


@lru_cache(maxsize=4)
def videos(world: str, profile: str) -> list[tuple[str, Batch]]:
    """Test videos, whole stretches of them."""
    size = WIDE[profile] if world == "street" else SIZES[profile]
    made = films(world, seed=0, frames=FRAMES[profile])[: 4 if profile == "smoke" else None]
    return [(film.sequence[0], render(film, *size, seed=1).batch) for film in made]


def in_boxes(home: Home, batch: Batch) -> tuple[Found, list[Seen]]:
    """What the network of crops sees of one video, and the detector's people, whose boxes these are."""
    plain = bottom_up(trained("detector", home), batch.image, batch.k)
    return find(trained("person", home), batch.image, boxes_of(plain)), plain


def look(home: Home, batch: Batch) -> Look:
    """One video, by the full method's parts."""
    found, plain = in_boxes(home, batch)
    td = top_down(trained("lift", home), found, batch.k)
    return Look(found, td, bottom_up(trained("frame", home), batch.image, batch.k, found), plain)


def all_ways(home: Home, batch: Batch) -> dict[str, list[list[Person]]]:
    """The people of a video by `ROWS` and `OTHERS`."""
    seen, k, lift = look(home, batch), batch.k, trained("lift", home)
    joined = {name: trained(name, home).network for name in ("joined", "gate", "joined_alone")}
    one = top_down(lift, find(trained("person_one", home), batch.image, boxes_of(seen.plain)), k)
    sure = find(trained("person", home), batch.image, [boxes[boxes.isfinite().all(-1)] for boxes in tight(batch)])
    anew = bottom_up(trained("frame_joints", home), batch.image, k, seen.found)
    full = joined["joined"]
    return {
        "td_one": join(one, seen.bu, k, "td"),
        "td": join(seen.td, seen.bu, k, "td"),
        "bu_plain": join(seen.td, seen.plain, k, "bu"),
        "bu": join(seen.td, seen.bu, k, "bu"),
        "both_plain": join(one, seen.plain, k, "network", full),
        "hard": join(seen.td, seen.bu, k, "hard"),
        "linear": join(seen.td, seen.bu, k, "linear"),
        "order": join(seen.td, seen.bu, k, "network", full, "order"),
        "full": join(seen.td, seen.bu, k, "network", full),
        "gate": join(seen.td, seen.bu, k, "network", joined["gate"]),
        "released": join(seen.td, seen.bu, k, "network", full, "released"),
        "alone": join(seen.td, seen.bu, k, "network", joined["joined_alone"]),
        "true_boxes": join(top_down(lift, sure, k), seen.bu, k, "td"),
        "true_joints": join(top_down(lift, true_joints(sure, batch), k), seen.bu, k, "td"),
        "frames": join(top_down(lift, seen.found, k, temporal=False), seen.bu, k, "td"),
        "frame_joints": join(seen.td, anew, k, "bu"),
    }


def true_joints(found: Found, batch: Batch) -> Found:
    """What was found in the true boxes, with the true 2D joints in the picture, hidden ones too."""
    boxed = [torch.nonzero(boxes.isfinite().all(-1))[:, 0] for boxes in tight(batch)]
    who = [int(boxed[b][i]) for b, i in zip(found.picture, found.box, strict=True)]
    at = found.picture.cpu(), torch.tensor(who, dtype=torch.long)
    shown = batch.labelled[at].to(found.uv.device)
    joints = batch.uv[at].to(found.uv).where(shown[..., None], torch.nan)
    return replace(found, uv=joints, sure=shown.to(found.sure))


# ---- scores ----------------------------------------------------------------------------------------


def scored(scene: str, batch: Batch, people: Sequence[Sequence[Person]]) -> dict:
    """A row of a study's table: `experiments.scores.scores`; ap_root within 250 mm, auc_rel_all of everybody, pa_mpjpe
    of matched people, with scale; pck_rel_GROUP, recall_GROUP and rt_error_GROUP of `groups`."""
    known = People(batch, people)
    true = [xyz[some][:, ROOT].double().numpy() for xyz, some in zip(batch.xyz.cpu(), _counts(batch), strict=True)]
    roots = [np.array([p.xyz[ROOT] for p in some]).reshape(-1, 3) for some in people]
    sure = [np.array([p.score for p in some], float) for some in people]
    good = [np.isfinite(root).all(1) for root in roots]
    errors = known.errors[:, SCORED]
    found = {
        "scene": scene,
        "n": len(known.found),
        **scores(known),
        "ap_root": 100
        * ap_root(
            [root[ok] for root, ok in zip(roots, good, strict=True)],
            [score[ok] for score, ok in zip(sure, good, strict=True)],
            true,
        ),
        "auc_rel_all": float(np.mean([100 * (errors < t).mean() for t in THRESHOLDS])) if errors.size else np.nan,
        "pa_mpjpe": _pa(known, _whole(known)),
    }
    far = np.linalg.norm(known.root_error, axis=-1)
    for name, some in groups(batch, known).items():
        if some.any():
            found[f"pck_rel_{name}"] = 100 * float((errors[some] < 150).mean())
            found[f"recall_{name}"] = 100 * float(known.found[some].mean())
            if (rooted := some & np.isfinite(far)).any():
                found[f"rt_error_{name}"] = float(far[rooted].mean())
    return found


def _whole(people: People) -> np.ndarray:
    """Who was found with all joints."""
    return people.found & np.isfinite(people.pred).all((1, 2))


def _pa(people: People, some: np.ndarray) -> float:
    return float(pa_mpjpe(people.pred[some], people.true[some], scale=True).mean()) if some.any() else np.nan


def compared(scene: str, batch: Batch, ways: dict[str, list[list[Person]]], suffix: str = "") -> dict:
    """`scored` of each way as columns "metric@way", and, where the branches are among them, pck_rel_both and
    pck_abs_both (%) of those whom both found."""
    found = {"scene": scene}
    known = {name: People(batch, people) for name, people in ways.items()}
    for name, people in ways.items():
        one = scored(scene, batch, people)
        found["n"] = one["n"]
        if {"td", "bu"} <= set(ways) and (both := known["td"].found & known["bu"].found).any():
            for how, root in (("rel", SMAP_ROOT), ("abs", None)):
                errors = joint_errors(known[name].pred[both], known[name].true[both], root)[:, SCORED]
                one[f"pck_{how}_both"] = 100 * float((errors < 150).mean())
        found |= {f"{key}{suffix}@{name}": value for key, value in one.items() if key not in ("scene", "n")}
    return found


def _counts(batch: Batch) -> torch.Tensor:
    return batch.labelled.any(-1).cpu() & batch.xyz[:, :, ROOT].isfinite().all(-1).cpu()


def groups(batch: Batch, people: People) -> dict[str, np.ndarray]:
    """Who is near (below 4 m) or far; overlapped (IoU of their box and another's above 0.3); cut (a quarter of their
    joints or more is off the picture); clear, neither of the two."""
    depth = people.true[:, SMAP_ROOT, 2]
    low, high = people.true_uv.min(1), people.true_uv.max(1)
    boxes = torch.from_numpy(np.concatenate([low, high - low], 1))
    overlapped = np.zeros(len(boxes), bool)
    for b in np.unique(people.picture):
        at = np.flatnonzero(people.picture == b)
        shared = iou(boxes[at][:, None], boxes[at][None]).fill_diagonal_(0)
        overlapped[at] = (shared.amax(1) > 0.3).numpy()
    cut = (people.seen == 0).mean(1) >= 0.25
    alone = ~overlapped & ~cut
    return {"near": depth < 4000, "far": depth >= 4000, "overlapped": overlapped, "cut": cut, "clear": alone}


# ---- Tables 1 and 3 --------------------------------------------------------------------------------


def study(
    name: str, run: Callable, what: Sequence[str], profile: str, keep: Path, budget: float, seed: int, seeds: int
) -> Study:
    """A `Study` with one unit for each of `what` and each seed."""
    code = (sys.modules[__name__], mp3d.experiments.tdbu.networks, mp3d.experiments.scores, mp3d.experiments.shown)
    code += (*TRAINING, *crops.TRAINING, crops, mp3d.experiments.smap.tables, mp3d.metrics)
    jobs = {one: Job(one, one, profile, checked_budget(budget), str(keep)) for one in what}
    size = PROFILES[profile]
    return Study(
        name, run, jobs, seed_range(seed, seeds or size.seeds), Path(keep) / "results", {"profile": repr(size)}, code
    )


def _home(job: Job, seed: int, world: str = "duet") -> Home:
    return Home(world, job.profile, seed, Path(job.keep), job.budget)


def branches(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """`ROWS` and `OTHERS` on `duet`, as columns "metric@row"."""
    return study("tdbu-branches", run_branches, ["duet"], profile, keep, budget, seed, seeds)


def run_branches(job: Job, seed: int) -> pd.DataFrame:
    """A row a test video."""
    home = _home(job, seed)
    rows = [compared(scene, batch, all_ways(home, batch)) for scene, batch in videos("duet", job.profile)]
    return pd.DataFrame(rows)


def worlds(names: Sequence[str], profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """Both branches and both together, on each world's test videos, as columns "metric@method"; on `duet` also 3DMPPE,
    which is given the true boxes. `solo` is seen by the networks of `duet`."""
    return study("tdbu-worlds", run_world, names, profile, keep, budget, seed, seeds)


def run_world(job: Job, seed: int) -> pd.DataFrame:
    """A row a test video."""
    home, rows = _home(job, seed, "street" if job.what == "street" else "duet"), []
    full = trained("joined", home).network
    if job.what == "duet":
        other = crops.trained(job.profile, seed, Path(job.keep), CROPS * job.budget)
    for scene, batch in videos(job.what, job.profile):
        seen = look(home, batch)
        ways: dict[str, list[list[Person]]] = {
            "td": join(seen.td, seen.bu, batch.k, "td"),
            "bu": join(seen.td, seen.bu, batch.k, "bu"),
            "full": join(seen.td, seen.bu, batch.k, "network", full),
        }
        if job.what == "duet":
            ways["threedmppe"] = with_true_boxes(other, batch, "rootnet")
        rows.append(compared(scene, batch, ways))
        if job.what == "street":
            for name, people in ways.items():
                rows[-1] |= {f"{key}@{name}": value for key, value in f1(batch, people).items()}
    return pd.DataFrame(rows)


def f1(batch: Batch, people: Sequence[Sequence[Person]]) -> dict[str, float]:
    """LoCO's F1 in % within 0.4, 0.8 and 1.2 m (Table 4)."""
    table = jta.evaluate(scenes(batch), people)
    return {f"f1_{threshold}": value for threshold, value in table["f1"].items()}


# ---- Table 2: learning without poses ----------------------------------------------------------------

LABELLED = 0.1
"""Of the training videos, those with poses; all others are 2D tracks alone."""
TERMS = {
    "rep": ("reprojection",),
    "mp": ("perspective",),
    "rep_dis": ("reprojection", "discriminators"),
    "rep_mp_dis": ("reprojection", "perspective", "discriminators"),
}
"""Rows of Table 2; beside them "teacher", and "labelled", a graph network that learned from all videos with poses."""
SHARP = 0.01
"""r of equation 11 for the rows "sharp" and "sharp_printed", all terms with either sign: errors are hundredths of m²,
so with r = 10, as in the other rows, all samples weigh the same whatever the sign."""
LESSON = 64
"""People a step."""


def unlabelled(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """Table 2 on `duet`, as columns "metric@row". Frames are lifted alone, and placed by the teacher's depths.

    Students learn half as many steps as the teacher's graph network did, at a tenth of its rate (our choice).
    """
    return study("tdbu-unlabelled", run_unlabelled, ["duet"], profile, keep, budget, seed, seeds)


def run_unlabelled(job: Job, seed: int) -> pd.DataFrame:
    """A row a test video."""
    home = _home(job, seed)
    size, films = sized(home), tracks("duet", job.profile, seed)
    many = max(1, round(LABELLED * len(films)))
    known, rest = films[:many], films[many:]
    some = windows(everyone(known), 3**size.config.layers, size.windows, seed)
    teacher = train.train_lift(some, size.config, size.graph, size.temporal, NOISE, seed)
    learn = lessons(known, rest, teacher, seed)
    steps = max(1, size.graph.steps // 2)
    how = replace(size.graph, lr=size.graph.lr / 10, steps=steps, warmup=size.graph.warmup // 2)
    graphs = {"teacher": teacher.graph, "labelled": trained("lift", home).graph}
    for name, terms in TERMS.items():
        graphs[name] = semi.train_student(teacher.graph, learn, how, terms, seed=seed)
    for name, sign in (("sharp", "easy"), ("sharp_printed", "printed")):
        graphs[name] = semi.train_student(teacher.graph, learn, how, TERMS["rep_mp_dis"], SHARP, sign, seed)
    rows = []
    for scene, batch in videos("duet", job.profile):
        found, _ = in_boxes(home, batch)
        ways = {}
        for name, graph in graphs.items():
            lift = deepcopy(teacher)
            lift.graph = graph
            seen = top_down(lift.to(device()), found, batch.k, temporal=False)
            ways[name] = join(seen, [NOBODY] * len(seen), batch.k, "td")
        rows.append(compared(scene, batch, ways))
    return pd.DataFrame(rows)


NOBODY = Seen(torch.zeros(0, 17, 2), torch.zeros(0, 17), torch.zeros(0, 17, 3), torch.zeros(0, dtype=torch.long))
"""What a branch says of a picture in which it sees no one."""


def lessons(known: Sequence[Takes], rest: Sequence[Takes], teacher: Lift, seed: int) -> Callable[[int], Lesson]:
    """step -> frames of videos without poses: 2D joints as a detector gives them, places as the teacher does, and
    natural poses from the videos with poses."""
    natural = pairs(known, LESSON, seed)
    generator, place = torch.Generator().manual_seed(seed), next(teacher.parameters()).device
    videos = []
    for film in rest:
        people = everyone([film])
        if not people:
            continue
        uv, xyz = (torch.stack(part) for part in zip(*people, strict=True))
        seen = disturbed(Windows(uv, torch.ones(uv.shape[:-1]), xyz), NOISE, generator)
        with torch.no_grad():
            root = placed(seen.uv[:, :, ROOT], teacher.depth(seen.uv.to(place)).cpu())
        videos.append((seen.uv, seen.sure, root))

    def draw(step: int) -> Lesson:
        rng = np.random.default_rng([seed, step])
        parts: list[semi.People] = []
        while (number := sum(len(part.root) for part in parts)) < LESSON:
            uv, sure, root = videos[rng.integers(len(videos))]
            at = int(rng.integers(uv.shape[1]))
            mates = neighbours(root[:, at])
            parts.append(semi.People(uv[:, at], sure[:, at], root[:, at], mates.where(mates < 0, mates + number)))
        fields = ("uv", "sure", "root", "other")
        people = semi.People(*(torch.cat([getattr(part, name) for part in parts]) for name in fields))
        angles = torch.from_numpy(rng.uniform(0, 2 * np.pi, len(people.root))).float()
        return Lesson(people, angles, natural(step))

    return draw


# ---- Figure 1 and Table 6: where people overlap, are cut, or far --------------------------------------


def overlapped(profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0) -> Study:
    """Both branches, also w/o MP and CH (Table 1), both together and 3DMPPE on single pictures of `duet`, as columns
    "metric@method": of the test split, of that in which people overlap ("..._overlap"), and of that in which the border
    cuts people ("..._border").

    pa_mpjpe_common (mm) is of those whom all of `RIVALS` found with all joints in that split, common (%) how many they
    are; drop: by how much pa_mpjpe_common is larger where people overlap. loss_far, loss_overlapped (points): how much
    lower pck_rel is of people who are far than near, and of overlapped people of the overlap split than of clear ones.
    """
    return study("tdbu-overlap", run_overlapped, ["duet"], profile, keep, budget, seed, seeds)


PICTURES = {"smoke": 6, "cpu": 120, "gpu": 480, "paper": 480}
"""Of each split, in `GROUPS` scenes, or one a scene if these are fewer."""
GROUPS = 12
SPLITS = {"test": "", "overlap": "_overlap", "border": "_border"}
"""And what their metrics end in."""
RIVALS = ("td", "full", "threedmppe")
"""Of Table 6."""
CHANGES = {
    "drop": ("pa_mpjpe_common_overlap", "pa_mpjpe_common"),
    "loss_overlapped": ("pck_rel_clear", "pck_rel_overlapped_overlap"),
    "loss_far": ("pck_rel_near", "pck_rel_far"),
}
"""Of `overlapped`: one metric less another."""


@lru_cache(maxsize=4)
def singles(profile: str, split: str) -> list[tuple[str, Batch]]:
    """Single pictures of a split of `duet`, by groups."""
    each = max(1, PICTURES[profile] // GROUPS)
    some = takes("duet", PICTURES[profile], 0, split)
    parts = [some[start : start + each] for start in range(0, len(some), each)]
    return [(f"O{i}", render(part, *SIZES[profile], seed=1).batch) for i, part in enumerate(parts)]


def run_overlapped(job: Job, seed: int) -> pd.DataFrame:
    """A row a group of pictures, of all splits."""
    home, rows = _home(job, seed), []
    full = trained("joined", home).network
    person, lift = trained("person_one", home), trained("lift", home)
    other = crops.trained(job.profile, seed, Path(job.keep), CROPS * job.budget)
    for parts in zip(*(singles(job.profile, split) for split in SPLITS), strict=True):
        rows.append({})
        for (scene, batch), suffix in zip(parts, SPLITS.values(), strict=True):
            alone = [batch[i : i + 1] for i in range(len(batch))]  # each a video of one frame
            each = [look(home, one) for one in alone]
            td, bu, plain = ([getattr(one, name)[0] for one in each] for name in ("td", "bu", "plain"))
            one = [
                top_down(lift, find(person, some.image, boxes_of([boxes])), some.k)[0]
                for some, boxes in zip(alone, plain, strict=True)
            ]
            ways = {
                "td_one": join(one, bu, batch.k, "td"),
                "bu_plain": join(td, plain, batch.k, "bu"),
                "td": join(td, bu, batch.k, "td"),
                "bu": join(td, bu, batch.k, "bu"),
                "full": join(td, bu, batch.k, "network", full),
                "threedmppe": with_true_boxes(other, batch, "rootnet"),
            }
            rows[-1] = compared(scene, batch, ways, suffix) | rows[-1]  # n is the first split's
            known = {name: People(batch, ways[name]) for name in RIVALS}
            some = np.logical_and.reduce([_whole(people) for people in known.values()])
            for name, people in known.items():
                rows[-1][f"pa_mpjpe_common{suffix}@{name}"] = _pa(people, some)
                rows[-1][f"common{suffix}@{name}"] = 100 * float(some.mean()) if some.size else np.nan
        for name in ways:
            for key, pair in CHANGES.items():
                more, less = (rows[-1].get(f"{metric}@{name}", np.nan) for metric in pair)
                rows[-1][f"{key}@{name}"] = more - less
    return pd.DataFrame(rows)
