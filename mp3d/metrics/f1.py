"""F1 of joints as points in space (LoCO, Fabbri et al., CVPR 2020): how many are found, whoever they belong to.

Joints are a bag: a true joint may be found by any predicted joint of the same type, so a pose put together from two
people scores like two right ones. LoCO's rule of who finds whom is not the best possible one: each truth keeps its
nearest prediction, then each prediction keeps its nearest such truth, and a truth that loses takes no second choice.
"optimal" counts the largest number of pairs within the threshold instead, and is never lower.
"""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from mp3d.errors import BadInput

Rule = Literal["loco", "optimal"]

THRESHOLDS = (400.0, 800.0, 1200.0)
"""mm, LoCO's on JTA."""


def joint_matches(
    pred: Float[np.ndarray, "P J 3"],
    true: Float[np.ndarray, "N J 3"],
    threshold: float | int,
    rule: Rule = "loco",
) -> tuple[int, int, int]:
    """Joints of one image that were found, invented and missed, over all joint types.

    Parameters
    ----------
    pred, true : (P, J, 3) and (N, J, 3) mm; NaN is no joint
    threshold : mm; a distance equal to it is close enough
    rule : "loco" or "optimal"

    Returns
    -------
    true positives, false positives, false negatives
    """
    if rule not in ("loco", "optimal"):
        raise BadInput("joint_matches", "rule", repr(rule), "'loco' or 'optimal'")
    if pred.shape[1:] != true.shape[1:]:
        raise BadInput("joint_matches", "pred", f"shape {pred.shape}", f"(P, {true.shape[1]}, 3), as true")
    predicted, there = (int(np.isfinite(points).all(-1).sum()) for points in (pred, true))
    # (J, N, P): only joints of one type may meet
    distance = np.linalg.norm(true.swapaxes(0, 1)[:, :, None] - pred.swapaxes(0, 1)[:, None], axis=-1)
    distance = np.where(distance <= threshold, distance, np.inf)
    if not distance.size:
        found = 0
    elif rule == "loco":
        nearest = distance.argmin(-1)  # (J, N)
        close = np.isfinite(distance.min(-1))
        # Truths that keep the same prediction: all but the nearest lose, so the predictions kept are to be counted.
        kept = (np.arange(pred.shape[1])[:, None] * len(pred) + nearest)[close]
        found = len(np.unique(kept))
    else:
        found = sum(int((maximum_bipartite_matching(csr_array(np.isfinite(layer))) >= 0).sum()) for layer in distance)
    return found, predicted - found, there - found


def precision_recall_f1(tp: Any, fp: Any, fn: Any) -> Float[np.ndarray, "... 3"]:
    """Precision, recall and F1 = 2 tp / (2 tp + fp + fn) from counts, element by element.

    Where there is nothing to find and nothing was predicted, all three are 1; where one of both is empty, all are 0.

    Parameters
    ----------
    tp, fp, fn : counts, of `joint_matches`; numbers or arrays (...)

    Returns
    -------
    (..., 3), 0 to 1
    """
    tp, fp, fn = (np.asarray(count, float) for count in (tp, fp, fn))
    parts = np.stack(np.broadcast_arrays(tp + fp, tp + fn, tp + (fp + fn) / 2), -1)
    empty = (tp + fp + fn == 0)[..., None]
    return np.where(empty, 1.0, tp[..., None] / np.where(parts > 0, parts, 1))
