"""Methods on the reader's own data: MuPoTS-3D, CMU Panoptic, Human3.6M, JTA.

    tests = real.load_test(folder)                      # "mupots3d", "panoptic", "h36m": what is there
    shots, flat = real.load_train(folder, "mupots3d")   # for pictures.FileStream: with 3D poses, and COCO
    table = real.evaluate(lambda *seen: {"smap": model.estimate(*seen)}, tests["mupots3d"], "mupots3d", 832, 512)

The tables are those of a study, a row a video (Human3.6M: an action), so that the claims which are judged on synthetic
pictures are judged on these too. SMAP's figures are plain means, of MuPoTS-3D's videos, of Panoptic's activities; but
its PCK_root is pooled over matched people, here the mean of the rows with weights n x recall.

Every picture is put on a canvas of the network's size, without its lens, as in training (`data.pictures`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mp3d.batch import Batch
from mp3d.data import jta, manifest, mupots, pictures
from mp3d.data.pictures import Shot
from mp3d.errors import BadInput, MissingData
from mp3d.metrics import mupots as official
from mp3d.metrics import panoptic as protocol
from mp3d.metrics.errors import joint_errors
from mp3d.metrics.human36m import action
from mp3d.metrics.intervals import summarise
from mp3d.metrics.jta import DISTANCES, JOINT_GROUPS, evaluate_pck
from mp3d.metrics.people import arrays, known_mean
from mp3d.metrics.roots import pck_root, pcod
from mp3d.scene import ABSENT, VISIBLE, Person, Scene
from mp3d.skeletons import JTA22, MPI17, SMAP15, convert

KINDS = ("mupots3d", "panoptic", "h36m", "jta")
"""Data sets by their ids in the manifest."""
Predict = Callable[[UInt8[Tensor, "B 3 H W"], Float[Tensor, "B 4"]], dict[str, list[list[Person]]]]
"""Pictures and their fx, fy, cx, cy to people with px of these pictures, in `SMAP15` or `MPI17`, by variant: what
differs after the network can share one look."""

NECK, TOP = SMAP15.index("neck"), SMAP15.index("head_top")
NOWHERE = 1e50
"""mm: a joint that was not predicted, on its way through a protocol that refuses NaN."""
HEAD = 0.5
"""Part of the head's size within which a joint is right in 2DPCK (section 4.1); the released code takes a third."""
SHARED = np.isfinite(convert(np.zeros((len(MPI17), 1)), MPI17, JTA22)[0]).all(-1)
"""Which of JTA's 22 joints people in `MPI17` have: all but clavicles and four of the spine."""


def load_test(data: Path | str, every: int = 1, kinds: Sequence[str] = KINDS[:3]) -> dict[str, list[Shot]]:
    """The test pictures of every data set that is in a folder, by `KINDS`.

    Parameters
    ----------
    data : the folder that holds data sets, each in a folder named by its id, or one data set's own
    every : takes every n-th picture
    kinds : which of `KINDS` to look for; JTA has to be asked for, as only some methods are made for crowds

    Raises
    ------
    MissingData : none of them is there, or one without its pictures
    BadInput : its files are damaged; an unknown kind
    """
    for kind in kinds:
        _check(kind)
    base, found = Path(data), {}
    marks = {
        "mupots3d": ("MultiPersonTestSet/TS*/annot.mat", "TS*/annot.mat"),
        "panoptic": ("*/calibration_*.json",),
        "h36m": ("annotations/Human36M_subject*_data.json", "Human36M_subject*_data.json"),
        "jta": ("annotations/test/seq_*.json",),
    }
    readers = {
        "mupots3d": pictures.from_mupots,
        "panoptic": pictures.from_panoptic,
        "h36m": pictures.from_human36m,
        "jta": from_jta,
    }
    for kind in kinds:
        for folder in (base / kind, base):
            if any(True for pattern in marks[kind] for _ in folder.glob(pattern)):
                found[kind] = list(readers[kind](folder))[::every]
                break
    if not found:
        raise MissingData(f"{base}: no test pictures of {', '.join(kinds)}; data_manifest.yaml says where they are had")
    for shots in found.values():
        if not shots[0].path.exists():
            raise MissingData(f"{shots[0].path}: no such picture; data_manifest.yaml says where they are had")
    return found


def load_train(data: Path | str, kind: str) -> tuple[list[Shot], list[Shot]]:
    """What a method is trained on for a test, and COCO to mix in: two lists for `FileStream`; the second may be empty.

    MuCo-3DHP for MuPoTS-3D, the training splits of the others; COCO if its folder is there (SMAP section 4.2).

    Raises
    ------
    MissingData, BadInput
    """
    base = Path(data)
    reader = {
        "mupots3d": ("muco3dhp", pictures.from_muco),
        "panoptic": ("panoptic", lambda folder: pictures.from_panoptic(folder, "train")),
        "h36m": ("h36m", lambda folder: pictures.from_human36m(folder, "train")),
        "jta": ("jta", lambda folder: from_jta(folder, "train")),
    }
    _check(kind)
    name, read = reader[kind]
    coco = base / "coco2017"
    flat = list(pictures.from_coco(coco)) if manifest.present(coco) else []
    return list(read(manifest.require(name, base))), flat


def from_jta(root: Path | str, split: str = "test") -> Iterator[Shot]:
    """JTA's pictures, of the frames that LoCO takes, since PandaNet does not say which: 10, 20, ..., 900 of each test
    sequence, 1, 6, ..., 896 of each for training.

    Frames that nobody is in are test pictures too: who is found there lowers AP.

    Raises
    ------
    MissingData : no sequence of the split, or no picture of it, extracted from its video as the data set's `to_imgs.py`
        does
    BadInput : an unknown split; damaged files
    """
    root, found = Path(root), False
    for number in jta.sequences(root, split):
        frames = [f for f in jta.LOCO_FRAMES[split] if jta.image_path(root, split, number, f).exists()]
        for scene in jta.scenes(root, split, [number], frames=frames) if frames else ():
            if scene.people or split != "train":
                found = True
                scene = pictures._lean(scene) if split == "train" else scene
                yield Shot(scene, jta.image_path(root, split, number, scene.frame))
    if not found:
        first = jta.LOCO_FRAMES[split][0]
        place = root / "frames" / split / "seq_*" / f"{first}.jpg"
        raise MissingData(f"{place}: no picture of a frame that is read; JTA's to_imgs.py makes them of its videos")


def evaluate(
    predict: Predict,
    shots: Sequence[Shot],
    kind: str,
    width: int,
    height: int,
    seed: int = 0,
    batch: int = 16,
    above: Mapping[str, float | int] | None = None,
) -> pd.DataFrame:
    """`score` of what a network says of these pictures, in each of its variants.

    Parameters
    ----------
    predict : sees `batch` pictures at a time
    width, height : px of the canvas
    above : by variant, see `score`; where it says nothing, everybody counts
    """
    people: dict[str, list[list[Person]]] = {}
    for start in range(0, len(shots), batch):
        some = [pictures.place(shot, width, height) for shot in shots[start : start + batch]]
        seen = Batch.of([placed.scene for placed in some])
        with torch.inference_mode():
            ways = predict(seen.image, seen.k)
        for name, found in ways.items():
            if len(found) != len(some):
                raise BadInput("real.evaluate", name, f"people of {len(found)} pictures", f"{len(some)}, as it got")
            for placed, persons in zip(some, found, strict=True):
                people.setdefault(name, []).append([_in_file(person, placed) for person in persons])
    above = above or {}
    parts = [score(shots, found, kind, name, seed, above.get(name, -np.inf)) for name, found in people.items()]
    whole = pd.concat(parts, ignore_index=True)
    whole.attrs["protocol"] = parts[0].attrs["protocol"]
    return whole


def _in_file(person: Person, placed: pictures.Placed) -> Person:
    """Somebody with px of the file instead of the canvas."""
    box = person.detection
    if box is not None:
        low, high = placed.to_file(np.stack([box[:2], box[:2] + box[2:]]))
        box = np.concatenate([low, high - low])
    return replace(person, uv=placed.to_file(person.uv), detection=box)


def score(
    shots: Sequence[Shot],
    people: Sequence[Sequence[Person]],
    kind: str,
    variant: str = "smap",
    seed: int = 0,
    above: float | int = -np.inf,
) -> pd.DataFrame:
    """A study's table: variant, seed, scene, n (people annotated), and metrics. `attrs["protocol"]` says how.

    "jta": `crowd_scores`, on the joints that MPI17 has. All others: recall, precision, pcod in percent; mpjpe, rt_error
    in mm; depth_error in % of the root's depth; pck2d in percent of matched people's visible joints, within half of the
    head's size of the truth. "mupots3d", by SMAP's edit of the official evaluation, also pck_rel, pck_abs, pck_root,
    auc_rel of matched people, pck_rel_all and pck_abs_all of all, pcod_mupots; a joint that was not predicted is wrong,
    and so are those beyond it, since bones are rescaled. "panoptic" and "h36m", by `metrics.panoptic`, also
    pck_rel_all; mpjpe_scaled and pck_rel_all_scaled with the true sum of bone lengths, an oracle; Human3.6M on 15
    joints, not on the 17 of others.

    Parameters
    ----------
    people : for each shot those predicted, with px of its file, mm in the camera's frame. In 2D only their visible
        joints play a part, but for "jta": what RefineNet added was not seen
    above : people count whose score is higher; others are looked at for JTA's AP alone

    Raises
    ------
    BadInput : an unknown kind; no shots; another number of predictions
    """
    _check(kind)
    if not shots or len(people) != len(shots):
        raise BadInput("real.score", "people", f"of {len(people)} pictures", f"of {len(shots) or 'some'}, as shots")
    sure = [[person for person in some if person.score > above] for some in people]
    if kind == "jta":
        table, words = _jta(shots, sure, people)
    else:
        sure = [[_as_seen(person) for person in some] for some in sure]
        table, words = (_mupots if kind == "mupots3d" else _panoptic)(shots, sure, kind)
    table.insert(0, "variant", variant)
    table.insert(1, "seed", seed)
    table.attrs["protocol"] = words
    return table


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise BadInput("real", "kind", repr(kind), f"one of {', '.join(KINDS)}")


def _as_seen(person: Person) -> Person:
    return replace(person, uv=np.where((person.visibility == VISIBLE)[:, None], person.uv, np.nan))


# -- MuPoTS-3D ------------------------------------------------------------------------------------------------


def _mupots(shots: Sequence[Shot], people: Sequence[Sequence[Person]], _: str) -> tuple[pd.DataFrame, str]:
    joints, root = len(official.SMAP_MPI15), official.ROOT
    videos, valid, flat, deep = {}, {}, {}, {}
    for shot, persons in zip(shots, people, strict=True):
        name, frame = shot.scene.sequence, shot.scene.frame
        if name not in videos:  # scenes lack the truth that is scored
            video = mupots.annotations(shot.path.parents[1], name)
            videos[name], valid[name] = replace(video, valid=np.zeros_like(video.valid)), video.valid
        videos[name].valid[frame] = valid[name][frame]
        xyz, uv, _ = arrays(persons, official.SMAP_MPI15)
        flat[f"{name}_img_{frame:06d}"] = np.nan_to_num(uv)  # (0, 0) means not predicted there
        deep[f"{name}_img_{frame:06d}"] = np.where(np.isfinite(xyz), xyz, NOWHERE)
    pairs = official.pair(videos, flat, deep, joints=joints)
    pred = np.where(pairs.pred == NOWHERE, np.nan, pairs.pred)
    pairs = replace(pairs, pred=pred, protocol={**pairs.protocol, "name": "SMAP's MATLAB"})
    relative, absolute = (official.score(pairs, own, skeleton=official.SMAP_MPI15) for own in (True, False))
    counts = relative.counts()
    table = counts[["annotated"]].rename(columns={"annotated": "n"}).rename_axis("scene").reset_index()
    taken = counts["matched"].to_numpy(float)
    table["recall"] = 100 * taken / table["n"]
    table["precision"] = 100 * taken / np.where(pairs.predicted > 0, pairs.predicted, np.nan)
    for errors, mode in ((relative, "rel"), (absolute, "abs")):
        table[f"pck_{mode}"] = errors.pck(matched=True)["Total"].to_numpy()
        table[f"pck_{mode}_all"] = errors.pck()["Total"].to_numpy()
    table["auc_rel"] = relative.auc(matched=True)["Total"].to_numpy()
    rows = []
    for number, name in enumerate(pairs.names):
        here = np.flatnonzero((pairs.sequence == number) & pairs.matched)
        true, pred, frame = pairs.true[here], pairs.pred[here], pairs.frame[here]
        images = (f"{name}_img_{f:06d}" for f in frame)
        found = np.array([flat[i][n] for i, n in zip(images, pairs.choice[here], strict=True)]).reshape(-1, joints, 2)
        seen = videos[name].annot2[frame, pairs.person[here], :joints]
        near = _near(np.where(found == 0, np.nan, found), seen, np.linalg.norm(seen[:, 0] - seen[:, 1], axis=-1))
        depths = [[pose[frame == f, root, 2] for f in np.unique(frame)] for pose in (pred, true)]
        gap = (pred - true)[:, root]
        rows.append(
            {
                "mpjpe": _mean(known_mean(joint_errors(pred, true, root))),
                "rt_error": _mean(np.linalg.norm(gap, axis=-1)),
                "depth_error": 100 * _mean(np.abs(gap[:, 2]) / true[:, root, 2]),
                "pck_root": pck_root(pred[:, root], true[:, root], strict=False),
                "pcod": pcod(*depths),
                "pcod_mupots": pcod(*depths, definition="mupots"),
                "pck2d": 100 * _mean(near[~pairs.occluded[here]]),
            }
        )
    return table.join(pd.DataFrame(rows)), official.caption(relative.protocol)


def _near(
    pred: Float[np.ndarray, "N J 2"], true: Float[np.ndarray, "N J 2"], head: Float[np.ndarray, " N"]
) -> Bool[np.ndarray, "N J"]:
    """Whether joints are right in 2DPCK; one that was not predicted is not."""
    return np.linalg.norm(pred - true, axis=-1) < HEAD * head[:, None]


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


# -- CMU Panoptic, Human3.6M ----------------------------------------------------------------------------------


def _panoptic(shots: Sequence[Shot], people: Sequence[Sequence[Person]], kind: str) -> tuple[pd.DataFrame, str]:
    scenes = [shot.scene for shot in shots]
    table = protocol.counts(scenes, people)
    rows = []
    for scene, persons in zip(scenes, people, strict=True):
        image = protocol.compare(scene, persons)
        flat = protocol.compare(replace(scene, people=_in_2d(scene.people, True)), _in_2d(persons))
        head = np.linalg.norm((flat.true[:, TOP] - flat.true[:, NECK])[:, :2], axis=-1)
        near = _near(flat.pred[..., :2], flat.true[..., :2], head)
        points = (flat.true[..., 2] == VISIBLE) & flat.found[:, None] & np.isfinite(head)[:, None]
        depth = np.abs(image.pred - image.true)[:, image.root, 2] / image.true[:, image.root, 2]
        rows.append(
            {
                "scene": action(scene) if kind == "h36m" else scene.sequence,
                "depth_sum": 100 * np.nansum(depth),
                "near": 100 * near[points].sum(),
                "points": points.sum(),
            }
        )
    scaled = protocol.counts(scenes, people, oracle="scale")[["mpjpe_sum", "mpjpe_people", "good_joints"]]
    table = table.join(pd.DataFrame(rows)).join(scaled.add_prefix("scaled_"))
    metrics = protocol.METRICS | {"depth_error": ("depth_sum", "rt_people"), "pck2d": ("near", "points")}
    metrics |= {"mpjpe_scaled": ("scaled_mpjpe_sum", "scaled_mpjpe_people")}
    metrics |= {"pck_rel_all_scaled": ("scaled_good_joints", "joints")}
    result = summarise(table, metrics, "scene").rename(columns={"pck": "pck_rel_all"}).rename_axis("scene")
    result.insert(0, "n", table.groupby("scene", sort=False)["people"].sum())
    words = "CMU Panoptic's" if kind == "panoptic" else "Human3.6M by CMU Panoptic's"
    words += " protocol: 15 joints, matched in 2D by optimal assignment, errors over matched people, PCOD: paper"
    return result.reset_index(), words


def _in_2d(people: Sequence[Person], measured: bool = False) -> tuple[Person, ...]:
    """People whose "pose" is u, v and visibility, so that 2D is matched as 3D is.

    `measured`: who has no head top, as in `joints19`, has the ears' middle there, unseen, to measure the head by.
    """
    found = []
    for person in people:
        pose = np.column_stack([person.uv, person.visibility]).astype(float)
        if measured and np.isnan(pose[MPI17.index("head_top"), 0]):
            pose[MPI17.index("head_top")] = *person.uv[MPI17.index("head")], ABSENT
        found.append(replace(person, xyz=pose, native=None))
    return tuple(found)


# -- JTA, and streets that mirror it --------------------------------------------------------------------------


def crowd_scores(
    truth: Sequence[Scene], people: Sequence[Sequence[Person]], low: Sequence[Sequence[Person]]
) -> dict[str, float | int]:
    """A row of a study's table by PandaNet's protocol on JTA, `metrics.jta.evaluate_pck`: n (who counts), % and mm.

    recall, precision; ap of the detections `low`, by boxes; all else of people matched by the mean distance of their
    joints in the picture, alike for those who have boxes and who have none: pck (3DPCK at 150 mm, who was missed is
    wrong) and mpjpe of those found; pck_BIN by distance in m, recall_BIN, pck_GROUP by joints. With "_scaled" behind
    pck or mpjpe each pose has the true sum of the lengths of limbs that JTA's skeleton shares, an oracle. Roots are
    between the hips. Precision counts as wrong who was found and does not count, e.g. somebody wholly hidden; AP
    ignores them.

    Parameters
    ----------
    truth, people : scenes, and for each those predicted
    low : the same with those of whom the network is less sure
    """
    whole: dict[str, float | int] = {"n": 0}
    for suffix, oracle in (("", "none"), ("_scaled", "scale")):
        how = {"matching": "hungarian", "root": "mid_hip", "oracle": oracle}
        far = evaluate_pck(truth, people, "distance", **how)
        joints = evaluate_pck(truth, people, "joint", **how)["pck"]
        whole |= {f"{name}{suffix}": far.loc["all", name] for name in ("pck", "mpjpe")}
        whole |= {f"pck{suffix}_{name}": far.loc[name, "pck"] for name in DISTANCES}
        whole |= {f"pck{suffix}_{name}": joints[name] for name in JOINT_GROUPS if np.isfinite(joints[name])}
    whole |= {f"recall_{name}": far.loc[name, "recall"] for name in DISTANCES}
    number, recall, predicted = far.attrs["people"], far.attrs["recall"], sum(map(len, people))
    precision = number * recall / predicted if predicted else np.nan
    ap = evaluate_pck(truth, low, root="mid_hip").attrs["ap"]
    return whole | {"n": number, "recall": recall, "precision": precision, "ap": ap}


def _jta(
    shots: Sequence[Shot], people: Sequence[Sequence[Person]], low: Sequence[Sequence[Person]]
) -> tuple[pd.DataFrame, str]:
    videos: dict[str, list[int]] = {}
    for i, shot in enumerate(shots):
        videos.setdefault(shot.scene.sequence, []).append(i)
    rows = []
    for name, at in videos.items():
        truth = [_in_mpi17(shots[i].scene) for i in at]
        rows.append({"scene": name, **crowd_scores(truth, [people[i] for i in at], [low[i] for i in at])})
    words = (
        f"JTA, 3DPCK at 150 mm, {SHARED.sum()} of its 22 joints, roots between the hips, matched in 2D, AP by boxes,"
        " who was missed is wrong; people with a joint in the picture and one visible; scaled: ORACLE, the true sum of"
        " bone lengths"
    )
    return pd.DataFrame(rows), words


def _in_mpi17(scene: Scene) -> Scene:
    """Without the truth of joints that no prediction has; all 22 still say whether somebody is seen."""
    people = []
    for person in scene.people:
        if person.native is not None:
            xyz = np.where(SHARED[:, None], person.native.xyz, np.nan)
            person = replace(person, native=replace(person.native, xyz=xyz))
        people.append(person)
    return replace(scene, people=tuple(people))
