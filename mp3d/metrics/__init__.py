"""What a prediction is worth: metrics of poses, roots, boxes and joints, and protocols that combine them; no torch.

Metrics: `errors` (mm), `pck` (shares of good joints), `roots` (where people are), `detection` (boxes), `f1` (joints as
a bag), `matching` (who is compared with whom), `intervals` (how sure a number is). Protocols, each with an `evaluate`:
`mupots`, `panoptic`, `jta`, `human36m`, `pw3d`.
"""

from mp3d.metrics.detection import average_precision, iou
from mp3d.metrics.errors import align, average, joint_errors, mpjpe, mrpe, mrpe_axes, pa_mpjpe
from mp3d.metrics.f1 import joint_matches, precision_recall_f1
from mp3d.metrics.intervals import interval, metric_interval, ratio_interval
from mp3d.metrics.matching import assign_2d, greedy_2d, nearest_poses, nearest_roots
from mp3d.metrics.pck import (
    AUC_THRESHOLDS,
    JOINT_GROUPS,
    SCORED_JOINTS,
    auc3d,
    pck3d,
    pck3d_by_group,
    rescale_bones,
)
from mp3d.metrics.roots import ap_root, pck_root, pcod

__all__ = [
    "AUC_THRESHOLDS",
    "JOINT_GROUPS",
    "SCORED_JOINTS",
    "align",
    "ap_root",
    "assign_2d",
    "auc3d",
    "average",
    "average_precision",
    "greedy_2d",
    "interval",
    "iou",
    "joint_errors",
    "joint_matches",
    "metric_interval",
    "mpjpe",
    "mrpe",
    "mrpe_axes",
    "nearest_poses",
    "nearest_roots",
    "pa_mpjpe",
    "pck3d",
    "pck3d_by_group",
    "pck_root",
    "pcod",
    "precision_recall_f1",
    "ratio_interval",
    "rescale_bones",
]
