"""Joint Track Auto: LoCO's F1 of joints in space, and PandaNet's 3DPCK by distance and by joint.

`evaluate`, LoCO's (TDBU's Table 4 too): 14 joint types (`MPI17`'s 0 to 13), a bag of joints without skeletons, within
0.4, 0.8 and 1.2 m; precision, recall and F1 per image, then their mean over images. A true joint counts if 0 <= u <=
width and 0 <= v <= height in whole pixels, both ends included, hidden or not. People of whom no joint is visible do
not count (LoCO drops those whose joints are all `occluded`; here a joint that is hidden by its own body is hidden
too). No matching of people.

`evaluate_pck`, PandaNet's: 22 joints (`JTA22`), a joint is good if it is closer than 150 mm after alignment of the
roots; every joint of a person who was missed is wrong, so 3DPCK <= recall, and false positives cost nothing, which is
why recall and AP stand beside. Not stated in the paper, ours: people count with at least one joint inside the image
and at least one visible; matched as for AP (the method's boxes, else those around its joints, IoU >= 0.5, by score);
the root is spine4, or the middle of the hips; distance from the camera is Euclidean, of the root.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from mp3d.errors import BadInput
from mp3d.metrics.detection import average_precision, match_boxes
from mp3d.metrics.f1 import THRESHOLDS, Rule, joint_matches, precision_recall_f1
from mp3d.metrics.intervals import metric_interval, summarise
from mp3d.metrics.matching import assign_2d
from mp3d.metrics.people import (
    ORACLES,
    Image,
    Oracle,
    arrays,
    boxes,
    half_diagonals,
    helped,
    known_mean,
    taken,
    together,
)
from mp3d.scene import ABSENT, VISIBLE, Person, Scene
from mp3d.skeletons import JTA22, MPI17, Skeleton

F1_JOINTS = tuple(range(14))
"""LoCO's 14 joint types in `MPI17`: head top, neck, shoulders, elbows, wrists, hips, knees, ankles."""

DISTANCES = {"<10": 10.0, "10-20": 20.0, "20-30": 30.0, "30-40": 40.0, ">40": np.inf}
"""Rows of PandaNet's Table 3 -> upper end in m; the lower end belongs to the bin."""

JOINT_GROUPS = {
    "head": ("head_top", "head"),
    "neck": ("neck",),
    "clavicles": ("r_clavicle", "l_clavicle"),
    "shoulders": ("r_shoulder", "l_shoulder"),
    "elbows": ("r_elbow", "l_elbow"),
    "wrists": ("r_wrist", "l_wrist"),
    "spines": ("spine0", "spine1", "spine2", "spine3", "spine4"),
    "hips": ("r_hip", "l_hip"),
    "knees": ("r_knee", "l_knee"),
    "ankles": ("r_ankle", "l_ankle"),
}
"""Columns of PandaNet's Table 4."""

Root = Literal["spine4", "mid_hip"]
Over = Literal["sequence", "image"]
PERCENT = (0.0, 100.0)
SCORED = len(JTA22)
_HIPS = JTA22.index("r_hip"), JTA22.index("l_hip")


def evaluate(
    truth: Iterable[Scene],
    predicted: Iterable[Sequence[Person]],
    rule: Rule = "loco",
    thresholds: Sequence[float] = THRESHOLDS,
    drop_hidden: bool = True,
    over: Over | None = None,
) -> pd.DataFrame:
    """LoCO's table: precision, recall and F1 of joints, in percent, at each threshold.

    Parameters
    ----------
    truth, predicted : scenes, and for each the people predicted; a NaN joint was not predicted
    rule : "loco", or "optimal" matching of joints, which is never lower
    thresholds : mm
    drop_hidden : leave out people of whom no joint is visible; False for scenes that hold only whom LoCO counts
    over : also give 95 % bootstrap intervals, resampling sequences or images

    Returns
    -------
    a row a threshold (m), columns precision, recall, f1; `attrs["protocol"]` says how, `attrs["images"]` of how many
    """
    rows = []
    for number, (scene, people) in enumerate(together(truth, predicted)):
        true, uv, seen = arrays(scene.people, MPI17)
        counted = np.array([not drop_hidden or _some_visible(person) for person in scene.people], bool)
        inside = _inside(scene, np.trunc(uv)) & (seen > ABSENT)
        true = np.where(inside[..., None], true, np.nan)[counted][:, list(F1_JOINTS)]
        pred = arrays(people, MPI17)[0][:, list(F1_JOINTS)]
        for threshold in thresholds:
            figures = precision_recall_f1(*joint_matches(pred, true, threshold, rule))
            rows.append((scene.sequence, number, f"{threshold / 1000:g}", *(100 * figures), 1))
    if not rows:
        raise BadInput("jta.evaluate", "truth", "no scene", "at least one")
    names = ("precision", "recall", "f1")
    table = pd.DataFrame(rows, columns=["sequence", "image", "threshold", *names, "one"])
    result = summarise(table, {n: (n, "one") for n in names}, "threshold", over, dict.fromkeys(names, PERCENT))
    result.attrs["protocol"] = (
        f"JTA, LoCO's F1, 14 joint types inside the image, {rule} rule, per image, mean over images; joints as a bag"
    )
    result.attrs["images"] = table["image"].nunique()
    return result


def evaluate_pck(
    truth: Iterable[Scene],
    predicted: Iterable[Sequence[Person]],
    by: Literal["distance", "joint"] = "distance",
    matching: Literal["boxes", "hungarian"] = "boxes",
    root: Root = "spine4",
    oracle: Oracle = "none",
    over: Over | None = None,
) -> pd.DataFrame:
    """PandaNet's tables of 3DPCK at 150 mm, undetected people wrong.

    Parameters
    ----------
    truth, predicted : scenes, and for each the people predicted, in `JTA22` (as `native`, or as they are) or in joints
        that convert to it; a joint without truth does not count
    by : rows by "distance" (Table 3) or by group of joints, "joint" (Table 4)
    matching : "boxes", as for AP; or "hungarian", on the mean 2D distance up to half the diagonal of the true box
    root : "spine4", or "mid_hip" for people without JTA's spine
    oracle : of `people.ORACLES`; PandaNet scales predictions by the truth's bones
    over : also give 95 % bootstrap intervals of 3DPCK, recall and MPJPE, resampling sequences or images

    Returns
    -------
    rows: bins or groups, and "all". Columns: pck in percent; by distance also mpjpe (mm, over matched people, root
    included), recall and ap (in percent; people of other bins are ignored in a bin's AP) and people. "all" is over
    all people by distance, and the plain mean over the 22 joints by joint: the same figure where every joint has a
    truth. `attrs["protocol"]` says how; recall, ap and people stand in `attrs` as well
    """
    images, detections = [], []
    for scene, people in together(truth, predicted):
        image, detection = compare(scene, people, matching, root, oracle)
        images.append(image)
        detections.append(detection)
    if not images:
        raise BadInput("jta.evaluate_pck", "truth", "no scene", "at least one")
    people = sum(len(image.found) for image in images)
    found = 100 * sum(int(image.found.sum()) for image in images) / people if people else np.nan
    if by == "distance":
        result = _by_distance(images, detections, over)
    elif by == "joint":
        result = _by_joint(images, over)
    else:
        raise BadInput("jta.evaluate_pck", "by", repr(by), "'distance' or 'joint'")
    result.attrs["protocol"] = (
        f"JTA, 3DPCK 150 mm after alignment at {root}, 22 joints, matching: {matching}, missed people wrong,"
        f" people with a joint inside the image and one visible; {ORACLES[oracle]}"
    )
    result.attrs |= {"people": people, "recall": found, "ap": _ap(detections)}
    return result


def compare(
    scene: Scene,
    people: Sequence[Person],
    matching: Literal["boxes", "hungarian"],
    root: Root,
    oracle: Oracle,
) -> tuple[Image, tuple]:
    """The people of one scene who count with what was predicted for them, and (boxes, scores, true boxes, ignored)."""
    skeleton = _skeleton(root)
    true, uv, seen = arrays(scene.people, JTA22)
    pred, pred_uv, _ = arrays(people, JTA22)
    if root == "mid_hip":  # one joint more, behind the 22, which is not scored
        true, pred = (np.concatenate([pose, pose[:, list(_HIPS)].mean(1, keepdims=True)], 1) for pose in (true, pred))
    counted = (_inside(scene, uv) & (seen > ABSENT)).any(-1) & (seen == VISIBLE).any(-1)
    counted &= np.isfinite(true[:, skeleton.root]).all(-1)
    scores = np.array([person.score for person in people], float)
    pred_boxes, true_boxes = boxes(people), boxes(scene.people)
    if matching == "boxes":
        chosen = match_boxes(pred_boxes, scores, true_boxes)[counted]
    elif matching == "hungarian":
        chosen = assign_2d(uv[counted], pred_uv, half_diagonals(scene.people)[counted])
    else:
        raise BadInput("jta.evaluate_pck", "matching", repr(matching), "'boxes' or 'hungarian'")
    true = true[counted]
    pred = helped(taken(pred, chosen), true, oracle, skeleton, skeleton.root)
    image = Image(scene, true, pred, chosen >= 0, len(people), skeleton.root)
    return image, (pred_boxes, scores, true_boxes, ~counted)


@cache
def _skeleton(root: Root) -> Skeleton:
    """`JTA22` with a root: spine4, or one joint more between the hips, above spine4 in the tree."""
    if root == "spine4":
        return replace(JTA22, root=JTA22.index("spine4"))
    if root != "mid_hip":
        raise BadInput("jta.evaluate_pck", "root", repr(root), "'spine4' or 'mid_hip'")
    last = len(JTA22)
    parents = (*(last if parent < 0 else parent for parent in JTA22.parents), -1)
    return Skeleton("JTA22 and its root", (*JTA22.joints, "mid_hip"), parents, last)


def _by_distance(images: list[Image], detections: list[tuple], over: Over | None) -> pd.DataFrame:
    bins = np.array([1000 * end for end in DISTANCES.values()])
    rows, places = [], []
    for number, image in enumerate(images):
        at = np.digitize(np.linalg.norm(image.true[:, image.root], axis=-1), bins[:-1])
        places.append(at)
        known, good = image.known[:, :SCORED], image.good()[:, :SCORED]
        mpjpe = known_mean(image.errors[:, :SCORED])
        for person, place in enumerate(at):
            rows.append(
                (
                    image.scene.sequence,
                    number,
                    place,
                    100 * (good & known)[person].sum(),
                    known[person].sum(),
                    np.nan_to_num(mpjpe[person]),
                    np.isfinite(mpjpe[person]),
                    100 * image.found[person],
                    1,
                )
            )
    columns = ["sequence", "image", "bin", "good", "joints", "error", "matched", "found", "people"]
    table = pd.DataFrame(rows, columns=columns)
    metrics = {"pck": ("good", "joints"), "recall": ("found", "people"), "mpjpe": ("error", "matched")}
    bounds = {"pck": PERCENT, "recall": PERCENT}
    parts = {name: table[table["bin"] == place] for place, name in enumerate(DISTANCES)} | {"all": table}
    result = pd.concat([summarise(part, metrics, None, over, bounds).set_axis([n]) for n, part in parts.items()])
    result["ap"] = [*(_ap(detections, [at == place for at in places]) for place in range(len(bins))), _ap(detections)]
    result["people"] = [len(part) for part in parts.values()]
    return result


def _by_joint(images: list[Image], over: Over | None) -> pd.DataFrame:
    known = np.stack([image.known[:, :SCORED].sum(0) for image in images])  # (images, 22)
    good = np.stack([(image.good() & image.known)[:, :SCORED].sum(0) for image in images])
    names = [image.scene.sequence if over == "sequence" else number for number, image in enumerate(images)]
    names, unit = np.unique(names, return_inverse=True)
    known, good = (np.stack([np.bincount(unit, c, len(names)) for c in part.T], 1) for part in (known, good))

    rows = {}
    for name, joints in [*JOINT_GROUPS.items(), ("all", JTA22.joints)]:
        columns = [JTA22.index(joint) for joint in joints]

        def share(chosen, columns=columns):
            """Plain mean over the joints, of those that have a truth."""
            top, bottom = good[chosen][:, columns].sum(0), known[chosen][:, columns].sum(0)
            return float(100 * (top[bottom > 0] / bottom[bottom > 0]).mean()) if bottom.any() else float("nan")

        value = share(np.arange(len(names)))
        rows[name] = {"pck": value}
        if over is not None:
            ends = metric_interval(share, len(names), PERCENT) if np.isfinite(value) else (value, np.nan, np.nan)
            rows[name] |= {"pck low": ends[1], "pck high": ends[2]}
    return pd.DataFrame.from_dict(rows, orient="index")


def _ap(detections: list[tuple], chosen: list[np.ndarray] | None = None) -> float:
    """AP in percent; `chosen` are the people who count, of those who count at all, in each image."""
    pred, scores, true, ignored = zip(*detections, strict=True)
    if chosen is not None:
        ignored = [part.copy() for part in ignored]
        for part, some in zip(ignored, chosen, strict=True):
            part[np.flatnonzero(~part)[~some]] = True
    return 100 * average_precision(list(pred), list(scores), list(true), ignore=list(ignored))


def _inside(scene: Scene, uv: np.ndarray) -> Bool[np.ndarray, "P J"]:
    """Within the image, both ends included, as LoCO has it."""
    size = np.array([scene.camera.width, scene.camera.height])
    return ((uv >= 0) & (uv <= size)).all(-1)


def _some_visible(person: Person) -> bool:
    return bool(((person.native or person).visibility == VISIBLE).any())
