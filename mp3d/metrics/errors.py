"""Errors in millimetres: MPJPE, PA-MPJPE, MRPE.

Conventions of PI-Net's evaluation, which papers seldom state and which move the figures:

- MPJPE averages all 17 joints, the pelvis included, whose error is 0 after root alignment. Over the other 16 joints
  the same result reads 17/16 higher (126.0 mm becomes 133.9); `mask` selects joints.
- PA-MPJPE aligns rigidly, without scale. Alignment minimises the *squared* error, so on a single pose the mean distance
  after it may exceed MPJPE.
- An average over people and one over sequences differ (`average`): 126.0 and 122.9 mm for the same table.

Truth that is absent is NaN or masked and does not count; a NaN prediction where the truth counts is an error.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from mp3d.errors import BadInput


def joint_errors(
    pred: Float[np.ndarray, "*B J 3"], true: Float[np.ndarray, "*B J 3"], root: int | None = 14
) -> Float[np.ndarray, "*B J"]:
    """Distance in mm of every joint to the truth, each pose seen from its own root.

    Parameters
    ----------
    pred, true : (..., J, 3) mm
    root : the joint subtracted from each pose; None compares absolute positions

    Returns
    -------
    (..., J) mm, NaN where either pose is
    """
    pred, true = _pair("joint_errors", pred, true)
    if root is not None:
        pred, true = (pose - pose[..., root : root + 1, :] for pose in (pred, true))
    return np.linalg.norm(pred - true, axis=-1)


def mpjpe(
    pred: Float[np.ndarray, "*B J 3"],
    true: Float[np.ndarray, "*B J 3"],
    root: int | None = 14,
    mask: Bool[np.ndarray, "*B J"] | None = None,
) -> Float[np.ndarray, "*B"]:
    """Mean per-joint position error of each pose, after root alignment.

    Parameters
    ----------
    pred, true : (..., J, 3) mm
    root : the joint subtracted from each pose; None for absolute positions
    mask : (..., J), the joints that count; default: those whose truth is finite

    Returns
    -------
    (...,) mm; NaN for a pose of which no joint counts, or whose root has no truth

    Raises
    ------
    BadInput : on other shapes, or NaN where a joint counts
    """
    pred, true = _pair("mpjpe", pred, true)
    if root is not None:
        pred, true = (pose - pose[..., root : root + 1, :] for pose in (pred, true))
    counts = _counts("mpjpe", pred, true, mask)
    return _mean_distance(pred, true, counts)


def pa_mpjpe(
    pred: Float[np.ndarray, "*B J 3"],
    true: Float[np.ndarray, "*B J 3"],
    mask: Bool[np.ndarray, "*B J"] | None = None,
    scale: bool = False,
) -> Float[np.ndarray, "*B"]:
    """MPJPE after Procrustes alignment of each pose to its truth: rigid (PI-Net), or with scale.

    Parameters, returns and raises as `mpjpe` and `align`.
    """
    pred, true = _pair("pa_mpjpe", pred, true)
    counts = _counts("pa_mpjpe", pred, true, mask)
    return _mean_distance(align(pred, true, counts, scale), true, counts)


def align(
    pred: Float[np.ndarray, "*B J 3"],
    true: Float[np.ndarray, "*B J 3"],
    mask: Bool[np.ndarray, "*B J"] | None = None,
    scale: bool = False,
) -> Float[np.ndarray, "*B J 3"]:
    """Move each pose onto its truth: the rotation and translation (and scale) of least squared error.

    Kabsch's and Umeyama's solution, in float64; never a reflection. All joints are moved, those of `mask` decide.

    Parameters
    ----------
    pred, true : (..., J, 3) mm
    mask : (..., J), the joints that count; default: those whose truth is finite
    scale : a similarity instead of a rigid motion

    Returns
    -------
    (..., J, 3) mm
    """
    pred, true = _pair("align", pred, true)
    weight = _counts("align", pred, true, mask)[..., None]
    count = np.maximum(weight.sum(-2, keepdims=True), 1)
    centre_pred, centre_true = (np.where(weight, pose, 0).sum(-2, keepdims=True) / count for pose in (pred, true))
    p, t = (np.where(weight, pose - centre, 0) for pose, centre in ((pred, centre_pred), (true, centre_true)))
    u, s, vt = np.linalg.svd(np.swapaxes(p, -1, -2) @ t)
    # Flip the direction that matters least where the best orthogonal map is a mirror.
    s[..., 2] *= (sign := np.sign(np.linalg.det(u @ vt)))
    u[..., :, 2] *= sign[..., None]
    moved = (pred - centre_pred) @ (u @ vt)
    if scale:
        spread = (p**2).sum((-1, -2))
        moved = moved * (s.sum(-1) / np.where(spread > 0, spread, 1))[..., None, None]
    return moved + centre_true


def mrpe(pred_root: Float[np.ndarray, "*B 3"], true_root: Float[np.ndarray, "*B 3"]) -> float:
    """Mean root position error (3DMPPE): mean distance in mm of absolute roots; `BadInput` on NaN."""
    return float(np.linalg.norm(_root_offsets(pred_root, true_root), axis=-1).mean())


def mrpe_axes(pred_root: Float[np.ndarray, "*B 3"], true_root: Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "3"]:
    """Mean absolute error in mm of absolute roots along x, y and z (3DMPPE); `BadInput` on NaN."""
    return np.abs(_root_offsets(pred_root, true_root)).reshape(-1, 3).mean(0)


def average(values: Float[np.ndarray, "S"], count: np.ndarray, by: Literal["instance", "scene"]) -> float:
    """One figure from one a scene, by a stated rule, since a paper's "AVG" may be either.

    Parameters
    ----------
    values : (S,) a scene's mean
    count : (S,) its number of instances (one person in one image)
    by : "instance" weighs scenes by `count` (PI-Net's Table 2), "scene" weighs them equally (MuPoTS 3DPCK)
    """
    if by not in ("instance", "scene"):
        raise BadInput("average", "by", repr(by), "'instance' or 'scene'")
    if np.shape(values) != np.shape(count):
        raise BadInput("average", "count", np.shape(count), f"{np.shape(values)}, as values")
    return float(np.average(values, weights=count if by == "instance" else None))


def _pair(where: str, pred: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both poses in float64, of one shape (..., J, 3)."""
    pred, true = np.asarray(pred, np.float64), np.asarray(true, np.float64)
    if pred.ndim < 2 or pred.shape[-1] != 3:
        raise BadInput(where, "pred", f"shape {pred.shape}", "(..., joints, 3)")
    if pred.shape != true.shape:
        raise BadInput(where, "true", f"shape {true.shape}", f"{pred.shape}, as pred")
    return pred, true


def _counts(where: str, pred: np.ndarray, true: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """(..., J): which joints count; none of them may be NaN."""
    known = np.isfinite(true).all(-1)
    if mask is None:
        mask = known
    elif np.shape(mask) != known.shape:
        raise BadInput(where, "mask", f"shape {np.shape(mask)}", str(known.shape))
    elif (mask & ~known).any():
        raise BadInput(where, "true", "NaN where mask counts the joint", "numbers in mm")
    if (mask & ~np.isfinite(pred).all(-1)).any():
        raise BadInput(where, "pred", "NaN or infinity", "numbers in mm for every joint that counts")
    return mask


def _mean_distance(pred: np.ndarray, true: np.ndarray, counts: np.ndarray) -> np.ndarray:
    distance = np.where(counts, np.linalg.norm(pred - true, axis=-1), 0)
    number = counts.sum(-1)
    return np.where(number > 0, distance.sum(-1) / np.maximum(number, 1), np.nan)


def _root_offsets(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    offset = np.subtract(*_pair("mrpe", np.atleast_2d(pred), np.atleast_2d(true)))
    if not np.isfinite(offset).all():
        raise BadInput("mrpe", "roots", "NaN or infinity", "numbers in mm")
    return offset
