"""MuPoTS-3D scored: the official evaluation, and two that papers report under the same name.

Mehta et al., *Single-Shot Multi-Person 3D Pose Estimation from Monocular RGB*, 3DV 2018. The official evaluation is
MATLAB; `evaluate` gives its table, 20 videos x 8 joint groups and their total, in all four modes:

    table = mupots.evaluate("MultiPersonTestSet", "preds_2d_kpt_mupots.mat", "preds_3d_kpt_mupots.mat")
    table["Total"].mean()  # the number in the papers: the plain mean over the videos

Scoring has two steps, so that people are matched once for all tables: `pair` finds each annotated person's prediction,
`score` measures the distances, and `Errors` makes tables of them.

What the number rests on, and papers seldom say (each table says it, in `table.attrs["protocol"]`):

- predictions take the *bone lengths of the ground truth* before they are compared, in absolute mode too;
- truth is `univ_annot3`, people rescaled to one height, although these do not project onto the picture;
- one joint within 40 px in u and in v makes a match; predictions left over cost nothing;
- "matched" leaves out whoever was missed, so it cannot be lower than "all";
- 14 of 17 joints count, below 150 mm; the mean over videos is not the mean over people.

TDBU's numbers come from ddddwee1's Python port (`tdbu`), SMAP's from an edited MATLAB (`smap`). Neither is comparable
with the official ones; the same predictions move by several points between the three.

All is computed in double precision. MATLAB computes in single where a prediction file holds single, which matters only
to a joint whose error is 150 mm to seven digits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from mp3d.data import matlab, safe
from mp3d.data.mupots import SEQUENCES, Annotations, annotations
from mp3d.errors import BadInput
from mp3d.metrics import roots
from mp3d.metrics.errors import align, joint_errors
from mp3d.metrics.intervals import interval
from mp3d.metrics.matching import greedy_2d, nearest_poses
from mp3d.metrics.pck import AUC_THRESHOLDS, JOINT_GROUPS, SCORED_JOINTS, auc3d, pck3d_by_group, rescale_bones
from mp3d.skeletons import MPI17, Skeleton

ROOT = MPI17.index("pelvis")
MISSED = 1e5
"""mm: every coordinate of the prediction that a missed person is given, so that all its joints are wrong."""
HUGE = 1e100
"""No px or mm: what is larger overflows when it is squared."""

SMAP_MPI15 = Skeleton("SMAP_MPI15", MPI17.joints[:15], (1, ROOT, *MPI17.parents[2:15]), ROOT)
"""SMAP's joints in the order of `MPI17`, spine and head left out: the neck hangs on the pelvis."""

_TRAVERSAL = (15, 1, 0, 16, *range(2, 14))
"""The order in which the official evaluation gives joints their new place."""
_PARENTS = tuple(ROOT if parent < 0 else parent for parent in MPI17.parents)
MISINDEXED_BONES = tuple(zip(_TRAVERSAL, _PARENTS[: len(_TRAVERSAL)], strict=True))
"""(joint, "parent") of ddddwee1's port, which looks parents up by the loop's counter instead of by the joint: the spine
hangs on the neck, the neck on the spine, the right shoulder on the right elbow."""

Predictions = str | Path | Mapping[str, Any]
"""A .mat file with one variable an image, or a dict of arrays under the same names ("TS1_img_000000")."""
Truth = str | Path | Mapping[str, Annotations]
"""The folder `MultiPersonTestSet`, or the one that holds it, of which all 20 videos are read; or videos read before."""
Alignment = Literal["bones", "none", "rigid", "similarity", "misindexed"]

_MATCHING = {
    "greedy_2d": "2D: joints within 40 px in u and in v, greedy, each prediction once",
    "nearest_poses": "3D: smallest mean error after a similarity fit, at most 250 mm, a prediction may serve twice",
}
_ALIGNMENT = {
    "bones": ("bone rescaling", "bone lengths"),
    "none": ("none", ""),
    "rigid": ("rigid Procrustes (rotation, translation)", "rotation and translation of each pose"),
    "similarity": (
        "similarity Procrustes (rotation, translation, scale)",
        "rotation, translation and size of each pose",
    ),
    "misindexed": ("bone rescaling along mis-indexed bones", "distances between joints"),
}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every valid annotated person, N in all, with the prediction they were given.

    Parameters
    ----------
    names : the S videos
    sequence : index into `names`
    frame : of the video, from 0
    person : the column of the annotation
    choice : which of the image's predictions, -1 for none
    true, pred : mm in the camera's frame; `pred` is NaN for people without one
    occluded : whether the joint is hidden
    predicted : predictions in each video's images with valid people
    protocol : what was done, in words; goes into `attrs["protocol"]` of each table
    """

    names: tuple[str, ...]
    sequence: Int[np.ndarray, "N"]
    frame: Int[np.ndarray, "N"]
    person: Int[np.ndarray, "N"]
    choice: Int[np.ndarray, "N"]
    true: Float[np.ndarray, "N J 3"]
    pred: Float[np.ndarray, "N J 3"]
    occluded: Bool[np.ndarray, "N J"]
    predicted: Int[np.ndarray, "S"]
    protocol: dict[str, str]

    @property
    def matched(self) -> Bool[np.ndarray, "N"]:
        """Whether the person has a prediction."""
        return self.choice >= 0


@dataclass(frozen=True, eq=False)
class Errors:
    """Distances of every valid annotated person's joints to the truth, and the tables made of them.

    Rows of videos in which nobody counts are NaN, where the MATLAB stops with an error; `DataFrame.mean` skips them.

    Parameters
    ----------
    pairs : the people
    errors : mm; about 1e5 for missed people, NaN after a predicted bone of no length
    protocol : in words
    """

    pairs: Pairs
    errors: Float[np.ndarray, "N J"]
    protocol: dict[str, str]

    def pck(
        self,
        matched: bool = False,
        joints: Literal["all", "visible", "occluded"] = "all",
        threshold: float = 150.0,
        pooled: bool = False,
    ) -> pd.DataFrame:
        """3DPCK in percent: a row a video, columns Head Neck Shou Elbow Wrist Hip Knee Ankle Total.

        Parameters
        ----------
        matched : leave out missed people instead of counting their joints as wrong
        joints : only those annotated as visible, or as occluded; an error equal to the threshold is then good, as in
            the official tables by visibility
        threshold : mm
        pooled : one row, over everybody, instead of one a video
        """
        if joints not in ("all", "visible", "occluded"):
            raise BadInput("mupots.pck", "joints", repr(joints), "all, visible or occluded")
        strict, hidden = joints == "all", self.pairs.occluded
        mask = {"all": hidden | True, "visible": ~hidden, "occluded": hidden}[joints]
        words = {"joints": f"14 of {self.errors.shape[1]}" + ("" if strict else f", only {joints} ones")}
        words["threshold"] = f"error {'<' if strict else '<='} {threshold:g} mm"
        return self._table(
            lambda rows: pck3d_by_group(self.errors[rows], mask[rows], threshold, strict), matched, pooled, words
        )

    def auc(
        self,
        matched: bool = False,
        thresholds: tuple[float, ...] = AUC_THRESHOLDS["mupots"],
        pooled: bool = False,
    ) -> pd.DataFrame:
        """Mean of `pck` over the thresholds, in percent; official: 0, 5, ..., 150 mm, where perfect is 96.774."""

        def measure(rows: np.ndarray) -> dict[str, float]:
            groups = JOINT_GROUPS | {"Total": SCORED_JOINTS}
            return {name: auc3d(self.errors[rows], None, thresholds, joints) for name, joints in groups.items()}

        words = {"joints": f"14 of {self.errors.shape[1]}"}
        words["threshold"] = f"mean over {len(thresholds)} thresholds, {thresholds[0]:g} to {thresholds[-1]:g} mm"
        return self._table(measure, matched, pooled, words)

    def mpjpe(self, pooled: bool = False) -> pd.DataFrame:
        """Mean error in mm of each joint over the matched people, and its mean, "Total".

        The pelvis counts, which is 0 in relative mode. NaN if an error is. Over all people it would mean nothing, since
        the distance of missed people is an invention.
        """
        names = MPI17.joints[: self.errors.shape[1]]

        def measure(rows: np.ndarray) -> dict[str, float]:
            mean = self.errors[rows].mean(0) if len(rows) else np.full(len(names), np.nan)
            return dict(zip(names, map(float, mean), strict=True)) | {"Total": float(mean.mean())}

        return self._table(measure, True, pooled, {"joints": f"{len(names)} of {len(names)}", "threshold": "none"})

    def averages(self, matched: bool = False) -> pd.DataFrame:
        """3DPCK as the mean of the videos' rows, which papers report, and pooled over people; percent.

        `low` and `high` are the 95 % interval of "Total", by resampling videos (`metrics.interval`).
        """
        rows = self.pck(matched)
        both = pd.concat([rows.mean().to_frame("mean of videos").T, self.pck(matched, pooled=True)])
        people = self.counts()["matched" if matched else "annotated"].to_numpy()
        ends = [interval(rows["Total"].to_numpy(), weights, (0, 100))[1:] for weights in (None, people)]
        both[["low", "high"]] = ends
        both.attrs["protocol"] = rows.attrs["protocol"].rpartition("; average")[0]
        return both

    def counts(self) -> pd.DataFrame:
        """A row a video: valid people annotated, matched and missed; predictions that nobody took.

        The latter stand for people who are not there, or not annotated, or whose cell is not valid.
        """
        pairs, size = self.pairs, len(self.pairs.names)
        annotated = np.bincount(pairs.sequence, minlength=size)
        found = np.bincount(pairs.sequence[pairs.matched], minlength=size)
        taken = np.stack([pairs.sequence, pairs.frame, pairs.choice])[:, pairs.matched]
        taken = np.bincount(np.unique(taken, axis=1)[0], minlength=size)
        columns = {
            "annotated": annotated,
            "matched": found,
            "missed": annotated - found,
            "extra": pairs.predicted - taken,
        }
        return pd.DataFrame(columns, index=list(pairs.names))

    def _table(
        self,
        measure: Callable[[np.ndarray], dict[str, float]],
        matched: bool,
        pooled: bool,
        words: dict[str, str],
    ) -> pd.DataFrame:
        """`measure` of the people of each video, or of all."""
        pairs = self.pairs
        counts = pairs.matched if matched else np.ones(len(self.errors), bool)
        if pooled:
            rows = {"all people": measure(np.flatnonzero(counts))}
            average = "pooled over people"
        else:
            rows = {name: measure(np.flatnonzero(counts & (pairs.sequence == i))) for i, name in enumerate(pairs.names)}
            average = "one row a video (published: their plain mean)"
        table = pd.DataFrame.from_dict(rows, orient="index")
        people = "matched people only" if matched else "all annotated people, missed ones wrong"
        table.attrs["protocol"] = caption({**self.protocol, "people": people, **words, "average": average})
        return table


# ------------------------------------------------------------------------------------- the three protocols
def evaluate(
    root: Truth,
    preds_2d: Predictions,
    preds_3d: Predictions,
    matched: bool = False,
    relative: bool = True,
) -> pd.DataFrame:
    """The official MuPoTS-3D table: 3DPCK in percent, TS1 to TS20 x Head Neck Shou Elbow Wrist Hip Knee Ankle Total.

    Parameters
    ----------
    root : the folder `MultiPersonTestSet`, or the one that holds it
    preds_2d, preds_3d : .mat files with one variable an image, `TS1_img_000000`: people x 17 x 2 px, and people x 17 x
        3 mm in the camera's frame, people in the same order; or dicts of such arrays. An image without predictions
        needs an empty array
    matched : score only people who were found (the MATLAB's mode 1) instead of all (mode 0)
    relative : subtract the pelvis from prediction and truth; False: 3DPCK_abs

    Returns
    -------
    `attrs["protocol"]` says in words what was done, ground truth used by the protocol included

    Raises
    ------
    MissingData : a file of the truth or of the predictions is not there
    BadInput : an image with valid people has no variable, its 2D and 3D hold different numbers of people, or an array
        has another shape or holds NaN or infinity; names file and variable
    """
    return official(root, preds_2d, preds_3d, relative).pck(matched)


def official(root: Truth, preds_2d: Predictions, preds_3d: Predictions, relative: bool = True) -> Errors:
    """All that `evaluate` can tell, after matching once. Parameters and errors as there."""
    return score(pair(root, preds_2d, preds_3d), relative)


def tdbu(
    root: Truth,
    preds_3d: Predictions,
    relative: bool = True,
    alignment: Literal["misindexed", "similarity"] = "misindexed",
    depths: Mapping[str, Any] | None = None,
) -> Errors:
    """ddddwee1's Python port of the evaluation, which TDBU (Cheng et al., CVPR 2021) uses; its AUC has 40 thresholds.

    It matches by the shape of poses instead of by place, and scores against `annot3`. TDBU's number rests on bone
    rescaling along the wrong bones, the port's own on a similarity fit to the truth. In absolute mode it places each
    pose at the *true* root, moved along its ray by predicted depth / true depth: of the root only the depth is tested.

    The port prints fractions; these are percent. It crashes on an image without predictions, whose people are missed
    here.

    Parameters
    ----------
    alignment : what TDBU's script does, or what its comment offers and the port does
    depths : for each image the true depths in mm that the release files under each *prediction's* number, (people,).
        Default: the depth of the person the prediction was matched with
    """
    pairs = pair(root, None, preds_3d, by="nearest_poses", against="annot3")
    pairs = replace(pairs, protocol={**pairs.protocol, "name": "TDBU / ddddwee1's Python port"})
    if relative:
        return score(pairs, True, alignment)
    found = np.flatnonzero(pairs.matched)
    origin, placed = pairs.true[found, ROOT], pairs.pred.copy()
    depth = origin[:, 2]
    if depths is not None:
        depth = np.array([_depth(depths, _image(pairs, n), int(pairs.choice[n])) for n in found.tolist()])
    ratio = (pairs.pred[found, ROOT, 2] / depth)[:, None]
    placed[found] += (origin * ratio - pairs.pred[found, ROOT])[:, None]
    errors = score(replace(pairs, pred=placed), False, alignment)
    used = (
        f"{errors.protocol['uses ground truth']}, direction of each root, its depth where the prediction's is a ratio"
    )
    return replace(errors, protocol={**errors.protocol, "uses ground truth": used})


def smap(root: Truth, preds_2d: Predictions, preds_3d: Predictions, relative: bool = True) -> Errors:
    """SMAP's edit of the MATLAB (Zhen et al., ECCV 2020): 15 joints, and the neck hangs on the pelvis.

    Predictions in the order of `MPI17`, or its first 15 joints. See `pck_root`.
    """
    pairs = pair(root, preds_2d, preds_3d, joints=len(SMAP_MPI15))
    pairs = replace(pairs, protocol={**pairs.protocol, "name": "SMAP's MATLAB"})
    return score(pairs, relative, skeleton=SMAP_MPI15)


def pck_root(pairs: Pairs, matched: bool = False, threshold: float = 150.0) -> float:
    """SMAP's PCK_root: percent of absolute roots at most `threshold` mm off, pooled over the people of all videos."""
    who = pairs.matched if matched else slice(None)
    return roots.pck_root(pairs.pred[who, ROOT], pairs.true[who, ROOT], threshold, strict=False)


def caption(protocol: Mapping[str, str]) -> str:
    """A protocol in one line, "name: ...; truth: ...; ..."."""
    return "; ".join(f"{key}: {value}" for key, value in protocol.items())


# --------------------------------------------------------------------------------------------- the two steps
def truth(root: Truth, names: tuple[str, ...] = SEQUENCES) -> Mapping[str, Annotations]:
    """The annotations of all 20 videos, or of those named, to be read once for several calls."""
    return root if isinstance(root, Mapping) else {name: annotations(root, name) for name in names}


def pair(
    root: Truth,
    preds_2d: Predictions | None,
    preds_3d: Predictions,
    by: Literal["greedy_2d", "nearest_poses"] = "greedy_2d",
    against: Literal["univ_annot3", "annot3"] = "univ_annot3",
    joints: int = len(MPI17),
) -> Pairs:
    """Give each valid annotated person a prediction, or none.

    Cells that are not valid are dropped before; images without a valid person are skipped, and need no predictions.

    Parameters
    ----------
    root, preds_2d, preds_3d : as in `evaluate`; "nearest_poses" needs no 2D
    by : a function of `mp3d.metrics.matching`
    against : the 3D truth
    joints : how many of `MPI17` are kept; predictions may hold as many, or all

    Raises
    ------
    as `evaluate`
    """
    if by not in _MATCHING or against not in ("univ_annot3", "annot3") or (by == "greedy_2d" and preds_2d is None):
        raise BadInput(
            "mupots.pair", "by, against", f"{by}, {against}", "greedy_2d (with 2D) or nearest_poses, (univ_)annot3"
        )
    videos = truth(root)
    if not videos:
        raise BadInput("mupots.pair", "root", "no video", "at least one")
    most = max(video.valid.shape[1] for video in videos.values())

    def joined(field: str) -> np.ndarray:
        """A field of all videos, a frame after another; people who are not there are invalid."""
        parts = [getattr(video, field) for video in videos.values()]
        return np.concatenate([np.pad(a, [(0, 0), (0, most - a.shape[1])] + [(0, 0)] * (a.ndim - 2)) for a in parts])

    valid = joined("valid")
    kept = valid.any(1)  # images
    lengths = [len(video.valid) for video in videos.values()]
    sequence = np.repeat(np.arange(len(videos)), lengths)[kept]
    frame = np.concatenate([np.arange(length) for length in lengths])[kept]
    valid, xyz, uv, occluded = (a[kept] for a in (valid, joined(against), joined("annot2"), joined("occluded")))
    xyz, uv, occluded = xyz[..., :joints, :], uv[..., :joints, :], occluded[..., :joints]
    if not (np.abs(xyz[valid]) < HUGE).all():
        raise BadInput("mupots.pair", against, f"{np.abs(xyz[valid]).max():g} in a valid cell", "mm, finite")
    names = tuple(videos)
    images = [f"{names[s]}_img_{f:06d}" for s, f in zip(sequence, frame, strict=True)]

    number, pred = _read(preds_3d, "preds_3d", images, joints, 3)
    if by == "greedy_2d":
        number_2d, pred_uv = _read(preds_2d, "preds_2d", images, joints, 2)
        if len(wrong := np.flatnonzero(number != number_2d)):
            n = wrong[0]
            expected = f"{number_2d[n]}, as in {_where(preds_2d, 'preds_2d')}"
            raise BadInput(_where(preds_3d, "preds_3d"), images[n], f"{number[n]} people", expected)

    start = np.cumsum(number) - number
    choice = np.full(valid.shape, -1)
    for count in np.unique(number):  # images with as many predictions form a rectangle
        rows = np.flatnonzero(number == count)
        among = start[rows, None] + np.arange(count)
        if by == "greedy_2d":
            choice[rows] = greedy_2d(uv[rows], pred_uv[among], valid[rows])
        else:
            here = np.where(valid[rows, :, None, None], xyz[rows], 0)  # what is not valid may be NaN
            choice[rows] = nearest_poses(_from_root(here), _from_root(pred[among]))

    image, person = np.nonzero(valid)
    choice = choice[image, person]
    found = choice >= 0
    given = np.full((len(choice), joints, 3), np.nan)
    given[found] = pred[start[image[found]] + choice[found]]
    words = {"name": "MuPoTS-3D, official", "videos": f"{len(names)} of {len(SEQUENCES)}"}
    words |= {"truth": against, "matching": _MATCHING[by]}
    predicted = np.bincount(sequence, number, len(names)).astype(int)
    return Pairs(
        names,
        sequence[image],
        frame[image],
        person,
        choice,
        xyz[image, person],
        given,
        occluded[image, person],
        predicted,
        words,
    )


def score(pairs: Pairs, relative: bool = True, alignment: Alignment = "bones", skeleton: Skeleton = MPI17) -> Errors:
    """Distances to the truth.

    Parameters
    ----------
    relative : subtract the root of prediction and truth
    alignment : what is done to a prediction first, with the help of the ground truth: "bones" gives it the truth's bone
        lengths (official); "none"; "rigid" and "similarity" turn (and scale) its root-relative pose onto the truth's;
        "misindexed" is TDBU's form of "bones"
    skeleton : whose bones

    Raises
    ------
    BadInput : an unknown alignment, or a skeleton with other joints than the pairs
    """
    if alignment not in _ALIGNMENT:
        raise BadInput("mupots.score", "alignment", repr(alignment), ", ".join(_ALIGNMENT))
    found = pairs.matched
    true, pred = pairs.true, np.where(found[:, None, None], pairs.pred, MISSED)
    if relative:
        true = _from_root(true)
    p, t = pred[found], true[found]
    place = p[:, ROOT : ROOT + 1]
    if alignment in ("rigid", "similarity"):
        p = align(p - place, _from_root(t), scale=alignment == "similarity") + (0 if relative else place)
    else:
        p = p - place if relative else p
        if alignment == "bones":
            p = rescale_bones(p, t, skeleton)
        elif alignment == "misindexed":
            p = rescale_misindexed(p, t)
    pred[found] = p
    what, used = _ALIGNMENT[alignment]
    words = {
        "alignment": what,
        "uses ground truth": used or "nothing",
        "frame": "root-relative" if relative else "absolute",
    }
    return Errors(pairs, joint_errors(pred, true, root=None), {**pairs.protocol, **words})


def rescale_misindexed(
    pred: Float[np.ndarray, "*B 17 3"], true: Float[np.ndarray, "*B 17 3"]
) -> Float[np.ndarray, "*B 17 3"]:
    """`rescale_bones` as ddddwee1's port does it, along `MISINDEXED_BONES`: no bone has the truth's length after it.

    Kept to reproduce TDBU's numbers: on a prediction that is 1.3 times too large it leaves errors instead of none.
    """
    new = np.array(pred, np.float64)
    for joint, parent in MISINDEXED_BONES:
        bone = pred[..., joint, :] - pred[..., parent, :]
        length = np.linalg.norm(true[..., joint, :] - true[..., parent, :], axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):  # a bone of no length: NaN, a wrong joint
            new[..., joint, :] = new[..., parent, :] + bone * length / np.linalg.norm(bone, axis=-1, keepdims=True)
    return new


def _from_root(poses: np.ndarray) -> np.ndarray:
    return poses - poses[..., ROOT : ROOT + 1, :]


def _image(pairs: Pairs, n: int) -> str:
    return f"{pairs.names[pairs.sequence[n]]}_img_{pairs.frame[n]:06d}"


# ---------------------------------------------------------------------------------------------- predictions
def _where(preds: Predictions, name: str) -> str:
    return name if isinstance(preds, Mapping) else str(preds)


def _read(
    preds: Predictions, name: str, images: list[str], joints: int, axes: int
) -> tuple[Int[np.ndarray, "F"], Float[np.ndarray, "Q {joints} {axes}"]]:
    """How many predictions each image has, and all of them one after another."""
    where = _where(preds, name)
    variables = preds if isinstance(preds, Mapping) else matlab.load_mat(Path(preds))
    shapes = {(count, axes) for count in (joints, len(MPI17))}
    arrays = []
    for image in images:
        if image not in variables:
            raise BadInput(where, image, "nothing", "an array, empty if nobody is predicted")
        array = np.asarray(variables[image])
        if array.ndim != 3 or array.shape[1:] not in shapes or array.dtype.kind not in "iuf":
            array = _odd(variables[image], where, image, joints, axes)
        arrays.append(array[:, :joints])
    number = np.array([len(array) for array in arrays], int)
    flat = np.concatenate([np.zeros((0, joints, axes)), *arrays]).astype(np.float64, copy=False)
    if not (np.abs(flat) < HUGE).all():
        n = next(n for n, array in enumerate(arrays) if not (np.abs(array) < HUGE).all())
        largest = np.abs(arrays[n]).max()
        raise BadInput(
            where, images[n], f"{largest:g}" if np.isfinite(largest) else "NaN or infinity", "px or mm, finite"
        )
    return number, flat


def _odd(value: object, where: str, image: str, joints: int, axes: int) -> np.ndarray:
    """An array of nobody may have lost its shape on its way through MATLAB; any other is refused."""
    array = safe.array(value, where, image, finite=False)
    if array.size == 0 and (array.ndim < 3 or len(array) == 0):
        return np.zeros((0, joints, axes))
    return safe.array(value, where, image, (None, joints, axes), finite=False)


def _depth(depths: Mapping[str, Any], image: str, number: int) -> float:
    """The true depth that belongs to a prediction's number."""
    if image not in depths:
        raise BadInput("depths", image, "nothing", "the true depths of its people")
    values = safe.array(depths[image], "depths", image, (None,))
    if number >= len(values) or values[number] <= 0:
        raise BadInput("depths", image, values.tolist(), f"a positive depth for prediction {number}")
    return float(values[number])
