"""What a pose is worth: errors in millimetres (`errors`), and shares of good joints (`pck`). Numpy only."""

from mp3d.metrics.errors import align, average, joint_errors, mpjpe, mrpe, mrpe_axes, pa_mpjpe
from mp3d.metrics.pck import (
    AUC_THRESHOLDS,
    JOINT_GROUPS,
    SCORED_JOINTS,
    auc3d,
    pck3d,
    pck3d_by_group,
    rescale_bones,
)

__all__ = [
    "AUC_THRESHOLDS",
    "JOINT_GROUPS",
    "SCORED_JOINTS",
    "align",
    "auc3d",
    "average",
    "joint_errors",
    "mpjpe",
    "mrpe",
    "mrpe_axes",
    "pa_mpjpe",
    "pck3d",
    "pck3d_by_group",
    "rescale_bones",
]
