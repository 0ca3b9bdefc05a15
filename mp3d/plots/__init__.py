"""Figures: plotly, with a small template, readable at half a page's width and without telling colours apart."""

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
from mp3d.plots.lessons import hand_check, joint_chart

__all__ = [
    "attention_by_distance",
    "attention_matrix",
    "coupling",
    "error_by_distance",
    "forest",
    "gain_by_joint",
    "gain_by_sequence",
    "hand_check",
    "joint_chart",
    "learning_curves",
    "over_time",
    "scene_2d",
    "scene_sheet",
    "skeletons_3d",
]
