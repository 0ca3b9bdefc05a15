"""Which prediction belongs to which person: the four answers that the field's evaluations give.

All return, for each annotated person, the index of a prediction, or -1 for nobody. They differ in what they look at
(pixels or millimetres), in whether a prediction may serve twice, and in what they forgive:

- `greedy_2d`, the official MuPoTS-3D evaluation: joints within 40 px, one agreeing joint is enough.
- `assign_2d`: optimal assignment on 2D distance. ORPM-AE states no matching; this is our choice for it.
- `nearest_roots`, SMAP: roots within 30 px, the nearest pair first.
- `nearest_poses`, ddddwee1's Python port that TDBU uses: the pose of the most similar shape, wherever it stands, and
  as often as it likes. Identity and place are not tested at all.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from mp3d.errors import BadInput
from mp3d.metrics.errors import align

MATCHED_JOINTS = tuple(range(1, 14))
"""The joints of `MPI17` that the official matching looks at: neck to left ankle."""


def greedy_2d(
    true: Float[np.ndarray, "*B P J 2"],
    pred: Float[np.ndarray, "*B Q J 2"],
    valid: Bool[np.ndarray, "*B P"] | None = None,
    threshold: float = 40.0,
    joints: tuple[int, ...] = MATCHED_JOINTS,
) -> Int[np.ndarray, "*B P"]:
    """The official MuPoTS-3D matching, for one image or for many with as many predictions each.

    A joint agrees if |du| and |dv| are both *below* the threshold (a box, not a circle), unless the prediction lies at
    exactly (0, 0), which means not predicted. In the order of annotation each person takes the free prediction with
    the most agreeing joints, the first of equals, if there is at least one such joint. So the order of annotation
    matters, predictions left over cost nothing, and the threshold is the same whatever the image's size.

    Parameters
    ----------
    true, pred : (..., P, J, 2) and (..., Q, J, 2) px
    valid : (..., P), the people who take part; default: all
    threshold : px
    joints : the joints compared

    Returns
    -------
    (..., P) index into the Q predictions, or -1

    Raises
    ------
    BadInput : images or joints that differ in number
    """
    _same("greedy_2d", true, pred)
    chosen = np.full(true.shape[:-2], -1)
    if not pred.shape[-3]:
        return chosen
    t, p = true[..., list(joints), :], pred[..., list(joints), :]
    near = np.abs(t[..., :, None, :, :] - p[..., None, :, :, :]) < threshold
    seen = (p != 0).any(-1)
    agreeing = (near.all(-1) & seen[..., None, :, :]).sum(-1)  # (..., P, Q)
    if valid is not None:
        agreeing *= valid[..., None]
    free = np.ones(agreeing.shape[:-2] + agreeing.shape[-1:], bool)
    for person in range(true.shape[-3]):
        score = agreeing[..., person, :] * free
        best = score.argmax(-1)[..., None]
        took = np.take_along_axis(score, best, -1) > 0
        chosen[..., person] = np.where(took, best, -1)[..., 0]
        np.put_along_axis(free, best, np.take_along_axis(free, best, -1) & ~took, -1)
    return chosen


def assign_2d(
    true: Float[np.ndarray, "P J 2"],
    pred: Float[np.ndarray, "Q J 2"],
    limit: float | Float[np.ndarray, " P"] = np.inf,
) -> Int[np.ndarray, "P"]:
    """Optimal assignment (Hungarian) on the mean 2D distance over the joints that both have.

    As many pairs as possible, and of these the assignment with the smallest sum of distances. Our choice for ORPM-AE,
    whose paper does not say how it matches.

    Parameters
    ----------
    true, pred : (P, J, 2) and (Q, J, 2) px, NaN where a joint is absent
    limit : px, for all or for each person; pairs further apart, or without a common joint, are none

    Returns
    -------
    (P,) index into the Q predictions, or -1
    """
    from scipy.optimize import linear_sum_assignment

    _same("assign_2d", true, pred)
    distance = np.linalg.norm(true[:, None] - pred[None], axis=-1)  # (P, Q, J)
    common = np.isfinite(distance)
    mean = np.where(common, distance, 0).sum(-1) / np.maximum(common.sum(-1), 1)
    possible = common.any(-1) & (mean <= np.reshape(limit, (-1, 1)))
    # One pair that is none must cost more than any sum of pairs that are.
    never = 1 + np.where(possible, mean, 0).sum()
    rows, columns = linear_sum_assignment(np.where(possible, mean, never))
    chosen = np.full(len(true), -1)
    good = possible[rows, columns]
    chosen[rows[good]] = columns[good]
    return chosen


def nearest_roots(
    true: Float[np.ndarray, "P 2"],
    pred: Float[np.ndarray, "Q 2"],
    limit: float = 30.0,
) -> Int[np.ndarray, "P"]:
    """SMAP's registration to the truth: the nearest pair of roots first, each used once, until `limit` is reached.

    Parameters
    ----------
    true, pred : (P, 2) and (Q, 2), roots in px of the network's input; NaN for people who take no part (SMAP keeps
        those whose root is visible)
    limit : px; a distance that equals it is too far

    Returns
    -------
    (P,) index into the Q predictions, or -1
    """
    distance = np.linalg.norm(true[:, None] - pred[None], axis=-1)
    chosen = np.full(len(true), -1)
    for flat in np.argsort(distance, axis=None, kind="stable"):  # NaN last
        person, candidate = divmod(int(flat), len(pred))
        if not distance[person, candidate] < limit:
            break
        if chosen[person] < 0 and candidate not in chosen:
            chosen[person] = candidate
    return chosen


def nearest_poses(
    true: Float[np.ndarray, "*B P J 3"],
    pred: Float[np.ndarray, "*B Q J 3"],
    limit: float = 250.0,
) -> Int[np.ndarray, "*B P"]:
    """The matching of ddddwee1's port, used by TDBU: the prediction whose shape is most like the person's.

    Each prediction is laid on the person by a similarity (rotation, scale, translation); the one with the smallest mean
    error is taken if that is at most `limit`. Not exclusive: two people may take the same prediction.

    Parameters
    ----------
    true, pred : (..., P, J, 3) and (..., Q, J, 3) mm
    limit : mm; a mean error that equals it is accepted. 250 is TDBU's; one version of the port itself has 56.6, the
        diagonal of the official 40 px, although these are millimetres

    Returns
    -------
    (..., P) index into the Q predictions, or -1

    Raises
    ------
    BadInput : images or joints that differ in number
    """
    _same("nearest_poses", true, pred)
    if not pred.shape[-3]:
        return np.full(true.shape[:-2], -1)
    shape = true.shape[:-2] + pred.shape[-3:]
    t = np.broadcast_to(true[..., :, None, :, :], shape)
    p = np.broadcast_to(pred[..., None, :, :, :], shape)
    error = np.linalg.norm(align(p, t, scale=True) - t, axis=-1).mean(-1)
    return np.where(error.min(-1) <= limit, error.argmin(-1), -1)


def _same(where: str, true: np.ndarray, pred: np.ndarray) -> None:
    """As many images and joints on both sides; the number of people may differ."""
    if true.shape[:-3] != pred.shape[:-3] or true.shape[-2:] != pred.shape[-2:]:
        raise BadInput(where, "pred", f"shape {pred.shape}", f"{true.shape} but for the number of people")
