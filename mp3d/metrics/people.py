"""What the protocols share: scenes and predictions side by side, people as arrays, matched, helped or not.

Every figure of a protocol is a mean over images, people or joints. `Image` is the raw material: the people who count
in one image, each with the prediction that was matched to it, or with NaN.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from mp3d.errors import BadInput
from mp3d.metrics.errors import joint_errors
from mp3d.metrics.pck import rescale_bones
from mp3d.scene import Person, Scene
from mp3d.skeletons import Skeleton, convert, convert_visibility

Oracle = Literal["none", "scale", "bones", "root"]

ORACLES = {
    "none": "predictions as they are",
    "scale": "ORACLE: each prediction is scaled to the true sum of bone lengths",
    "bones": "ORACLE: each prediction takes the true bone lengths",
    "root": "ORACLE: each prediction is moved to the true root",
}
"""What a prediction may take from the truth before it is scored, as the table's header says it."""


@dataclass(frozen=True, eq=False)
class Image:
    """The N people of one image who count, and what was predicted for them.

    Parameters
    ----------
    scene : the truth
    true, pred : (N, J, 3) mm; a joint without truth is NaN, so is everything of a person who was missed
    found : (N,)
    predicted : number of predictions in the image, but for those of people who do not count
    root : index of the root joint
    """

    scene: Scene
    true: Float[np.ndarray, "N J 3"]
    pred: Float[np.ndarray, "N J 3"]
    found: Bool[np.ndarray, " N"]
    predicted: int
    root: int

    @property
    def errors(self) -> Float[np.ndarray, "N J"]:
        """(N, J) mm after root alignment, NaN where truth or prediction is."""
        return joint_errors(self.pred, self.true, self.root)

    @property
    def mpjpe(self) -> Float[np.ndarray, " N"]:
        """(N,) mm: mean over the joints that truth and prediction have, the root with its 0; NaN where none is."""
        return known_mean(self.errors)

    @property
    def root_errors(self) -> Float[np.ndarray, " N"]:
        """(N,) mm: distance of absolute roots, NaN for a person who was missed."""
        return np.linalg.norm(self.pred[:, self.root] - self.true[:, self.root], axis=-1)

    @property
    def known(self) -> Bool[np.ndarray, "N J"]:
        """(N, J): joints that have a truth."""
        return np.isfinite(self.true).all(-1)

    def good(self, threshold: float = 150.0) -> Bool[np.ndarray, "N J"]:
        """(N, J): joints closer to the truth than the threshold in mm, both seen from their roots; missed is wrong."""
        return self.errors < threshold


def together(truth: Iterable[Scene], predicted: Iterable[Sequence[Person]]) -> Iterator[tuple[Scene, Sequence[Person]]]:
    """Scenes with their predictions, one at a time; `BadInput` where one of both ends first."""
    pairs = zip(truth, predicted, strict=True)
    for number in range(2**63):
        try:
            pair = next(pairs)
        except StopIteration:
            return
        except ValueError:
            raise BadInput("evaluate", "predicted", f"another number than {number}", "as many as scenes") from None
        yield pair


def arrays(
    people: Sequence[Person], skeleton: Skeleton
) -> tuple[Float[np.ndarray, "P J 3"], Float[np.ndarray, "P J 2"], UInt8[np.ndarray, "P J"]]:
    """Poses (mm), pixels and visibility of people in one joint set: their own where it is that one, else converted."""
    # As one array a joint set, since converting people one by one takes most of an evaluation's time.
    forms = [next((p for p in (q, q.native) if p is not None and p.skeleton == skeleton), q) for q in people]
    points = np.empty((len(forms), len(skeleton), 5))
    seen = np.empty((len(forms), len(skeleton)), np.uint8)
    for source in {form.skeleton for form in forms}:
        index = [i for i, form in enumerate(forms) if form.skeleton == source]
        native = np.stack([np.concatenate([forms[i].xyz, forms[i].uv], -1) for i in index])
        visibility = np.stack([forms[i].visibility for i in index])
        same = source == skeleton
        points[index] = native if same else convert(native, source, skeleton)[0]
        seen[index] = visibility if same else convert_visibility(visibility, source, skeleton)
    return points[..., :3], points[..., 3:], seen


def helped(
    pred: Float[np.ndarray, "N J 3"], true: Float[np.ndarray, "N J 3"], oracle: Oracle, skeleton: Skeleton, root: int
) -> Float[np.ndarray, "N J 3"]:
    """Predictions after the help that `ORACLES` names. A scale comes from the bones that both poses have."""
    if oracle not in ORACLES:
        raise BadInput("evaluate", "oracle", repr(oracle), f"one of {', '.join(ORACLES)}")
    at, goal = pred[:, root : root + 1], true[:, root : root + 1]
    if oracle == "root":
        return pred - at + goal
    if oracle == "bones":
        return rescale_bones(pred, true, skeleton)
    if oracle == "scale":
        parent, child = map(list, zip(*skeleton.limbs, strict=True))
        lengths = [np.linalg.norm(pose[:, child] - pose[:, parent], axis=-1) for pose in (pred, true)]
        both = np.isfinite(lengths[0]) & np.isfinite(lengths[1])
        has, should = (np.where(both, length, 0).sum(-1) for length in lengths)
        factor = should / np.where(has > 0, has, np.nan)
        return at + (pred - at) * factor[:, None, None]
    return pred


def taken(poses: Float[np.ndarray, "P J C"], chosen: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N J C"]:
    """The pose chosen for each person, NaN for -1."""
    nobody = np.full((1, *poses.shape[1:]), np.nan)
    return np.concatenate([poses, nobody])[chosen]


def known_mean(values: Float[np.ndarray, "N J"]) -> Float[np.ndarray, " N"]:
    """Mean over the entries of each row that are numbers, NaN for a row without."""
    known = np.isfinite(values)
    count = known.sum(-1)
    return np.where(count > 0, np.where(known, values, 0).sum(-1) / np.maximum(count, 1), np.nan)


def boxes(people: Sequence[Person]) -> Float[np.ndarray, "P 4"]:
    """(P, 4) x, y, width, height in px: the detector's box, or the tightest around the joints; NaN where neither is."""
    rows = []
    for person in people:
        known = np.isfinite(person.uv).all(-1).any()
        around = person.box if known else np.full(4, np.nan)
        rows.append(around if person.detection is None else person.detection)
    return np.array(rows, float).reshape(-1, 4)


def half_diagonals(people: Sequence[Person]) -> Float[np.ndarray, " P"]:
    """(P,) px: how far off a prediction may be on average, half the diagonal of the true person's box (ours)."""
    return np.linalg.norm(boxes(people)[:, 2:], axis=-1) / 2
