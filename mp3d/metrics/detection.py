"""Boxes: intersection over union, matching by score, and PASCAL VOC's average precision."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from mp3d.errors import BadInput
from mp3d.metrics.roots import first_claims


def iou(a: Float[np.ndarray, "A 4"], b: Float[np.ndarray, "B 4"]) -> Float[np.ndarray, "A B"]:
    """Intersection over union of boxes x, y, width, height in px; 0 where both are empty or one is NaN.

    Sizes are real numbers: without the "+ 1" of tools that count whole pixels.
    """
    a, b = np.asarray(a, float)[:, None], np.asarray(b, float)[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.maximum(high - low, 0).prod(-1)
    union = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - common
    return np.where(union > 0, common / np.where(union > 0, union, 1), 0.0)


def match_boxes(
    pred: Float[np.ndarray, "P 4"],
    scores: Float[np.ndarray, " P"],
    true: Float[np.ndarray, "N 4"],
    threshold: float | int = 0.5,
) -> Int[np.ndarray, " N"]:
    """For each true box of one image the prediction that takes it by PASCAL VOC's rule, -1 for none.

    By falling score each prediction looks only at the true box that it overlaps most; the first to claim a box with an
    IoU of at least the threshold has it, later ones are duplicates.
    """
    owner = _owners(pred, true, threshold)
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    winners = order[first_claims(owner[order])]
    taken = np.full(len(true), -1)
    taken[owner[winners]] = winners
    return taken


def average_precision(
    pred: Sequence[Float[np.ndarray, "_ 4"]],
    scores: Sequence[Float[np.ndarray, " _"]],
    true: Sequence[Float[np.ndarray, "_ 4"]],
    threshold: float | int = 0.5,
    interpolation: Literal["all", "11"] = "all",
    ignore: Sequence[Bool[np.ndarray, " _"]] | None = None,
) -> float:
    """Average precision of boxes over a set of images (PASCAL VOC).

    Predictions are taken by falling score and matched as in `match_boxes`; duplicates are false positives. An IoU equal
    to the threshold is enough, as in the VOC development kit (Everingham et al., IJCV 2010, write "exceed").

    Parameters
    ----------
    pred, true : for each image (P, 4) and (N, 4): x, y, width, height in px
    scores : for each image (P,)
    interpolation : "all", the area under the falling envelope of precision over recall (VOC 2010 and later), or "11",
        the mean of the envelope at recalls 0, 0.1, ..., 1 (VOC 2007)
    ignore : for each image (N,), true boxes that neither count nor cost: VOC's "difficult"

    Returns
    -------
    0 to 1; NaN where no true box counts

    Raises
    ------
    BadInput : lists of different lengths, NaN scores, or an unknown interpolation
    """
    if interpolation not in ("all", "11"):
        raise BadInput("average_precision", "interpolation", repr(interpolation), "'all' or '11'")
    ignore = [np.zeros(len(t), bool) for t in true] if ignore is None else ignore
    if not len(pred) == len(scores) == len(true) == len(ignore):
        raise BadInput("average_precision", "images", "lists of different lengths", "one entry an image in each")
    owners, flat, start = [np.empty(0, int)], [np.empty(0)], 0
    for image, (p, s, t) in enumerate(zip(pred, scores, true, strict=True)):
        if len(p) != len(s) or not np.isfinite(s).all():
            raise BadInput("average_precision", f"scores[{image}]", s, f"{len(p)} numbers, one a prediction")
        owner = _owners(p, t, threshold)
        owners.append(np.where(owner >= 0, owner + start, -1))
        flat.append(np.asarray(s, float))
        start += len(t)
    ignored = np.concatenate([np.zeros(0, bool), *ignore])
    people = int((~ignored).sum())
    if not people:
        return float("nan")
    owner = np.concatenate(owners)[np.argsort(-np.concatenate(flat), kind="stable")]
    owner = owner[(owner < 0) | ~ignored[owner]]  # whoever took an ignored box is neither right nor wrong
    good = first_claims(owner).cumsum()
    precision, recall = good / np.arange(1, len(good) + 1), good / people
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "11":
        # recall >= k / 10, in whole numbers: 0.3 as a float is not 3 / 10
        reached = np.searchsorted(10 * good, people * np.arange(11))
        return float(np.append(envelope, 0)[np.minimum(reached, len(envelope))].mean())
    return float((np.diff(recall, prepend=0) * envelope).sum())


def _owners(pred: np.ndarray, true: np.ndarray, threshold: float) -> np.ndarray:
    """For each prediction the true box that it overlaps most, -1 if that is not enough."""
    if not len(true):
        return np.full(len(pred), -1)
    overlap = iou(pred, true)
    return np.where(overlap.max(-1, initial=0) >= threshold, overlap.argmax(-1), -1)
