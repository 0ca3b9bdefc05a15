"""Figures: plotly, with a small template, readable at half a page's width and without telling colours apart."""

from mp3d.plots.audit import averages, depth_errors, depth_scatter
from mp3d.plots.bodies import scene_2d, scene_sheet, skeletons_3d
from mp3d.plots.charts import (
    attention_by_distance,
    attention_matrix,
    coupling,
    error_by_distance,
    forest,
    gain_by_joint,
    gain_by_sequence,
    learning_curves,
    over_time,
)
from mp3d.plots.codings import curves, gammas
from mp3d.plots.joints import joint_sets, lens_gap, neck_rule, side_by_side, source_map
from mp3d.plots.lessons import hand_check, joint_chart
from mp3d.plots.orpm_ae import orpm_sheet, readout_steps
from mp3d.plots.pandanet import anchor_sheet, from_above, weights_map
from mp3d.plots.pictures import drawn_people, layers, overlay, sheet
from mp3d.plots.protocols import matching, poses_by_hand, protocol_slide, threshold_curve
from mp3d.plots.smap import association_picture, maps_sheet, ordinal, root_depths
from mp3d.plots.tdbu import gate_weights
from mp3d.plots.worlds import world_statistics

__all__ = [
    "anchor_sheet",
    "association_picture",
    "attention_by_distance",
    "attention_matrix",
    "averages",
    "coupling",
    "curves",
    "depth_errors",
    "depth_scatter",
    "drawn_people",
    "error_by_distance",
    "forest",
    "from_above",
    "gain_by_joint",
    "gain_by_sequence",
    "gammas",
    "gate_weights",
    "hand_check",
    "joint_chart",
    "joint_sets",
    "layers",
    "learning_curves",
    "lens_gap",
    "maps_sheet",
    "matching",
    "neck_rule",
    "ordinal",
    "orpm_sheet",
    "over_time",
    "overlay",
    "poses_by_hand",
    "protocol_slide",
    "readout_steps",
    "root_depths",
    "scene_2d",
    "scene_sheet",
    "sheet",
    "side_by_side",
    "skeletons_3d",
    "source_map",
    "threshold_curve",
    "weights_map",
    "world_statistics",
]
