"""Shares of good joints: 3DPCK, its AUC, joint groups, and the bone rescaling of MuPoTS-3D.

The MuPoTS-3D protocol scores 14 of the 17 joints; pelvis, spine and head are left out. A joint is good if its error
is *below* 150 mm; nothing is below 0, so a perfect result has an AUC of 30/31 only. Predictions take the bone lengths
of the truth first (`rescale_bones`): errors of scale vanish from 3DPCK, not from MPJPE.
"""

import numpy as np
from jaxtyping import Bool, Float

from mp3d.errors import BadInput
from mp3d.skeletons import MPI17, Skeleton

SCORED_JOINTS = tuple(range(14))
"""The joints of `MPI17` that MuPoTS-3D scores."""

JOINT_GROUPS = {
    "Head": (0,),
    "Neck": (1,),
    "Shou": (2, 5),
    "Elbow": (3, 6),
    "Wrist": (4, 7),
    "Hip": (8, 11),
    "Knee": (9, 12),
    "Ankle": (10, 13),
}
"""Columns of the joint-wise tables (PI-Net Table 3). "Total" weighs joints equally, hence these 1, 1, 2, 2, ..."""

AUC_THRESHOLDS = {
    "mupots": tuple(map(float, range(0, 151, 5))),
    "tdbu": tuple(map(float, range(0, 196, 5))),
}
"""Thresholds in mm: the official MATLAB's 31 (perfect: 96.7742), and the 40 of TDBU's Python port (perfect: 97.5)."""


def pck3d(
    errors: Float[np.ndarray, "*B J"],
    mask: Bool[np.ndarray, "*B J"] | None = None,
    threshold: float = 150.0,
    joints: tuple[int, ...] = SCORED_JOINTS,
    axis: int | tuple[int, ...] | None = None,
    strict: bool = True,
) -> Float[np.ndarray, "..."] | float:
    """Percentage of joints closer to the truth than the threshold (Mehta et al., 3DV 2017; MuPoTS-3D: 3DV 2018).

    Parameters
    ----------
    errors : (..., J) mm, of `joint_errors`; NaN is a wrong joint
    mask : (..., J), the joints that count, e.g. the visible ones; default: all
    threshold : mm
    joints : the joints scored
    axis : axes to pool over; default: all, as MuPoTS-3D does within a sequence; -1 gives one figure a person
    strict : whether an error equal to the threshold is wrong. MuPoTS-3D's tables by visibility count it as good

    Returns
    -------
    percent; NaN where no joint counts

    Raises
    ------
    BadInput : a mask of another shape, no joint, or one that the errors lack
    """
    return _share(errors, mask, (threshold,), joints, axis, strict)


def auc3d(
    errors: Float[np.ndarray, "*B J"],
    mask: Bool[np.ndarray, "*B J"] | None = None,
    thresholds: tuple[float, ...] = AUC_THRESHOLDS["mupots"],
    joints: tuple[int, ...] = SCORED_JOINTS,
    axis: int | tuple[int, ...] | None = None,
) -> Float[np.ndarray, "..."] | float:
    """Area under the 3DPCK curve: the mean of `pck3d` over the thresholds, in percent. Parameters as there."""
    return _share(errors, mask, thresholds, joints, axis, strict=True)


def pck3d_by_group(
    errors: Float[np.ndarray, "*B J"],
    mask: Bool[np.ndarray, "*B J"] | None = None,
    threshold: float = 150.0,
    strict: bool = True,
) -> dict[str, float]:
    """`pck3d` pooled over everybody for each of `JOINT_GROUPS`, and "Total" over the 14 joints."""
    groups = JOINT_GROUPS | {"Total": SCORED_JOINTS}
    return {name: pck3d(errors, mask, threshold, joints, strict=strict) for name, joints in groups.items()}


def rescale_bones(
    pred: Float[np.ndarray, "*B J 3"],
    true: Float[np.ndarray, "*B J 3"],
    skeleton: Skeleton = MPI17,
) -> Float[np.ndarray, "*B J 3"]:
    """Give predictions the bone lengths of the truth, keeping the direction of each bone.

    The official MuPoTS-3D step, from the root outwards: new[j] = new[parent] + (pred[j] - pred[parent]) * length_true /
    length_pred. The root stays. A predicted bone of no length has no direction: its joint and all beyond it become NaN,
    which 3DPCK counts as wrong.

    Parameters
    ----------
    pred, true : (..., J, 3) mm, in one frame or each in its own: only lengths are taken from the truth

    Returns
    -------
    (..., J, 3) mm

    Raises
    ------
    BadInput : poses of different shapes, or of another number of joints than the skeleton's
    """
    if pred.shape != true.shape or pred.shape[-2:] != (len(skeleton), 3):
        raise BadInput(
            "rescale_bones",
            "poses",
            f"{pred.shape} and {true.shape}",
            f"(..., {len(skeleton)}, 3) both",
        )
    new = np.array(pred, np.float64)
    done = [joint for joint, parent in enumerate(skeleton.parents) if parent < 0]
    for parent in done:  # grows while it is walked: parents before children
        for joint in (j for j, p in enumerate(skeleton.parents) if p == parent):
            bone_true = np.subtract(true[..., joint, :], true[..., parent, :], dtype=np.float64)
            bone = np.subtract(pred[..., joint, :], pred[..., parent, :], dtype=np.float64)
            length = np.linalg.norm(bone_true, axis=-1, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0, the NaN promised above
                scaled = bone * length / np.linalg.norm(bone, axis=-1, keepdims=True)
            new[..., joint, :] = new[..., parent, :] + scaled
            done.append(joint)
    return new


def _share(errors, mask, thresholds, joints, axis, strict):
    """Percent of counting joints below each threshold, averaged over the thresholds."""
    errors = np.asarray(errors, np.float64)
    if mask is not None and np.shape(mask) != errors.shape:
        raise BadInput("pck3d", "mask", f"shape {np.shape(mask)}", str(errors.shape))
    if not joints or max(joints) >= errors.shape[-1]:
        raise BadInput("pck3d", "joints", joints, f"indices below {errors.shape[-1]}")
    below = np.less if strict else np.less_equal
    scored = errors[..., list(joints)]
    counts = np.ones(scored.shape, bool) if mask is None else mask[..., list(joints)]
    good = np.mean([below(scored, threshold) for threshold in thresholds], axis=0) * counts
    number = counts.sum(axis)
    share = 100 * np.where(number > 0, good.sum(axis) / np.maximum(number, 1), np.nan)
    return float(share) if axis is None else share
