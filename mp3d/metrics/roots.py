"""Where people are: AP_root, PCK_root, and whether nearer is told from farther (PCOD).

RtError (SMAP) and MRPE (3DMPPE) are one figure, the mean distance of absolute roots: `mp3d.metrics.mrpe`.

Papers and released code differ here, so what differs is asked for by name:

- AP_root: 3DMPPE's loop sums precision x recall step from the second prediction on; a perfect detector of M people
  scores (M - 1) / M ("released"). With the first step it scores 1 ("corrected").
- PCK_root: SMAP's MuPoTS tool counts an error *equal to* 150 mm as good (`strict=False`), 3DPCK does not.
- PCOD: three classes in SMAP's text, signs in its code; see `pcod`.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from mp3d.errors import BadInput

PCODDefinition = Literal["paper", "mupots", "panoptic"]
Missed = Literal["skip", "wrong", "far"]

FAR = 1e5
"""mm: where SMAP's MuPoTS tool puts a person who was missed."""


def ap_root(
    pred: Sequence[Float[np.ndarray, "_ 3"]],
    scores: Sequence[Float[np.ndarray, " _"]],
    true: Sequence[Float[np.ndarray, "_ 3"]],
    threshold: float | int = 250.0,
    definition: Literal["corrected", "released"] = "corrected",
) -> float:
    """Average precision of absolute root positions over a set of images (3DMPPE's AP_root_25), without interpolation.

    All predictions are taken by falling score. Each looks only at the *nearest* true root of its image: a hit if that
    one is closer than the threshold and still free, otherwise a false positive, even if a second one is in reach.

    Parameters
    ----------
    pred : for each image (P, 3) mm
    scores : for each image (P,); of equal scores the earlier counts as the higher
    true : for each image (N, 3) mm, the valid people alone. An image without any is left out with its predictions,
        which are then no false positives
    threshold : mm; a distance equal to it is too far
    definition : "corrected", or "released", which lacks the first prediction's term

    Returns
    -------
    0 to 1; NaN where nobody is true

    Raises
    ------
    BadInput : lists of different lengths, another number of scores than of predictions, or NaN
    """
    if definition not in ("corrected", "released"):
        raise BadInput("ap_root", "definition", repr(definition), "'corrected' or 'released'")
    if not len(pred) == len(scores) == len(true):
        raise BadInput("ap_root", "images", f"{len(pred)}, {len(scores)}, {len(true)}", "one entry an image in each")
    owners, all_scores, people = [np.empty(0, int)], [np.empty(0)], 0
    for image, (p, s, t) in enumerate(zip(pred, scores, true, strict=True)):
        if len(p) != len(s):
            raise BadInput("ap_root", f"scores[{image}]", len(s), f"{len(p)}, as predictions")
        if not all(np.isfinite(x).all() for x in (p, s, t)):
            raise BadInput("ap_root", f"image {image}", "NaN or infinity", "numbers")
        if not len(t):
            continue
        distance = np.linalg.norm(np.asarray(p, float)[:, None] - t, axis=-1)
        nearest = distance.argmin(-1)
        hit = distance[np.arange(len(p)), nearest] < threshold
        owners.append(np.where(hit, people + nearest, -1))
        all_scores.append(np.asarray(s, float))
        people += len(t)
    owner = np.concatenate(owners)[np.argsort(-np.concatenate(all_scores), kind="stable")]
    if not people:
        return float("nan")
    good = first_claims(owner)
    precision = good.cumsum() / np.arange(1, len(good) + 1)
    terms = precision * good / people  # recall rises by 1 / people at a hit
    return float(terms[1 if definition == "released" else 0 :].sum())


def first_claims(owner: Int[np.ndarray, " P"]) -> Bool[np.ndarray, " P"]:
    """Of predictions in order, which are the first to claim their owner; -1 claims nobody."""
    good = np.zeros(len(owner), bool)
    good[np.unique(owner, return_index=True)[1]] = True
    return good & (owner >= 0)


def pck_root(
    pred: Float[np.ndarray, "P 3"],
    true: Float[np.ndarray, "P 3"],
    threshold: float | int = 150.0,
    strict: bool = True,
) -> float:
    """Percentage of people whose absolute root is closer to the truth than the threshold, pooled over everybody.

    Parameters
    ----------
    pred : (P, 3) mm; NaN, a person who was missed, is wrong
    true : (P, 3) mm
    strict : whether an error equal to the threshold is wrong; SMAP's MuPoTS tool counts it as good

    Returns
    -------
    percent; NaN for nobody
    """
    error = np.linalg.norm(np.asarray(pred, float) - true, axis=-1)
    good = error < threshold if strict else error <= threshold
    return float(100 * good.mean()) if len(good) else float("nan")


def ordinal_pairs(
    pred_z: Float[np.ndarray, " P"],
    true_z: Float[np.ndarray, " P"],
    definition: PCODDefinition = "paper",
    missed: Missed = "skip",
    tolerance: float | int = 300.0,
) -> tuple[int, int]:
    """Pairs of people of one image in the right order of depth, and pairs considered. Parameters as in `pcod`."""
    if definition not in ("paper", "mupots", "panoptic"):
        raise BadInput("pcod", "definition", repr(definition), "'paper', 'mupots' or 'panoptic'")
    if missed not in ("skip", "wrong", "far"):
        raise BadInput("pcod", "missed", repr(missed), "'skip', 'wrong' or 'far'")
    if np.shape(pred_z) != np.shape(true_z):
        raise BadInput("pcod", "pred_z", f"shape {np.shape(pred_z)}", f"{np.shape(true_z)}, as true_z")
    if not np.isfinite(true_z).all():
        raise BadInput("pcod", "true_z", "NaN or infinity", "depths in mm of the people who count")
    found = np.isfinite(pred_z)
    pred_z = np.where(found, pred_z, FAR)
    i, j = np.triu_indices(len(true_z), 1)
    if definition == "panoptic":
        i, j = i[j == i + 1], j[j == i + 1]
    pred, true, both = pred_z[i] - pred_z[j], true_z[i] - true_z[j], found[i] & found[j]
    near = (np.abs(pred) < tolerance, np.abs(true) < tolerance)
    if definition == "paper":
        good = np.where(near[0], 0, np.sign(pred)) == np.where(near[1], 0, np.sign(true))
    elif definition == "mupots":
        good = (pred * true > 0) | (near[0] & near[1])
    else:
        good = pred * true >= 0
    if missed == "skip":
        return int((good & both).sum()), int(both.sum())
    return int((good & (both | (missed == "far"))).sum()), len(i)


def pcod(
    pred_z: Sequence[Float[np.ndarray, " _"]],
    true_z: Sequence[Float[np.ndarray, " _"]],
    sequences: Sequence[str] | None = None,
    definition: PCODDefinition = "paper",
    missed: Missed = "skip",
    tolerance: float | int = 300.0,
) -> float:
    """Percentage of correct ordinal depth relations between people (SMAP section 4.1), in three definitions:

    - "paper": all pairs; closer, farther and within the tolerance are three classes, and the class must be right;
    - "mupots", SMAP's code for MuPoTS-3D: all pairs; right if the signs of the differences agree *or* both
      are within the tolerance, so that 10 mm for 5 m is right: never below "paper";
    - "panoptic", SMAP's code for Panoptic: neighbours in the list only, (0, 1), (1, 2), ...; wrong if the signs are
      opposite, so two people side by side who are swapped by a millimetre are wrong.

    Parameters
    ----------
    pred_z : for each image (P,) mm, root depths in the order of the truth; NaN for a person who was missed
    true_z : for each image (P,) mm
    sequences : for each image its sequence: the rate is taken per sequence, then their mean (SMAP on MuPoTS-3D); a
        sequence without a pair is left out. Default: pooled over all images
    missed : what becomes of pairs with somebody missed: "skip" (the code for Panoptic, and for MuPoTS in mode
        "matched"; report recall beside), "wrong" (ours), or "far": at a depth of 100 m, as the code for MuPoTS in
        mode "all" has it, by which a missed person who stands behind is right
    tolerance : mm; a difference equal to it is not within

    Returns
    -------
    percent; NaN without any pair
    """
    if len(pred_z) != len(true_z) or (sequences is not None and len(sequences) != len(true_z)):
        raise BadInput("pcod", "images", "lists of different lengths", "one entry an image in each")
    counts = np.array([ordinal_pairs(p, t, definition, missed, tolerance) for p, t in zip(pred_z, true_z, strict=True)])
    names, group = np.unique(sequences if sequences is not None else [""] * len(true_z), return_inverse=True)
    good, pairs = (np.bincount(group, counts.reshape(-1, 2)[:, column], len(names)) for column in (0, 1))
    rates = 100 * good[pairs > 0] / pairs[pairs > 0]
    return float(rates.mean()) if len(rates) else float("nan")
