"""Figures of the first lesson: the pinhole camera, and where the joints are."""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Num

from mp3d.camera import Camera
from mp3d.plots.style import BLUE, GREY, INK, ORANGE, VERMILION, checked, f32, figure
from mp3d.skeletons import Skeleton


def hand_check(point: Num[np.ndarray, " 3"], camera: Camera) -> go.Figure:
    """The camera from above: two points of one ray, the image at the focal distance, similar triangles.

    Parameters
    ----------
    point : X, Y, Z in mm; a second point is drawn twice as far
    """
    x, z = float(point[0]), float(point[2])
    u = float(camera.project(np.asarray(point, float))[0])
    plane = 0.35 * z  # where the image is drawn; its true distance of f px has no place on a scale in mm
    fig = figure(width=640, height=460, xaxis_title="Z, forward (mm)", yaxis_title="X, right (mm)")
    fig.update_yaxes(range=[-0.9 * x, 2.5 * x])
    fig.update_xaxes(range=[-0.15 * z, 2.3 * z])
    lines = {"mode": "lines", "showlegend": False, "hoverinfo": "skip"}
    fig.add_scatter(x=f32([0, 2.2 * z]), y=f32([0, 0]), line={"color": GREY, "dash": "dash"}, **lines)
    fig.add_scatter(x=f32([0, 2.2 * z]), y=f32([0, 2.2 * x]), line={"color": VERMILION, "width": 2.5}, **lines)
    fig.add_scatter(x=f32([plane, plane]), y=f32([-0.6 * x, 0.9 * x]), line={"color": INK, "width": 5}, **lines)
    for k, name, colour in ((1, f"X = {x:g}, Z = {z:g}", BLUE), (2, f"X = {2 * x:g}, Z = {2 * z:g}", ORANGE)):
        line = {"color": colour, "dash": "dot", "width": 2}
        fig.add_scatter(x=f32([k * z, k * z]), y=f32([0, k * x]), line=line, **lines)
        fig.add_scatter(
            x=f32([k * z]), y=f32([k * x]), mode="markers+text", text=[name], textposition="top left", showlegend=False,
            marker={"color": colour, "size": 14, "symbol": ("circle", "square")[k - 1]},
        )  # fmt: skip
    note = {"showarrow": False, "font": {"size": 15}}
    fig.add_annotation(x=plane, y=-0.6 * x, text="image", yanchor="top", **note)
    fig.add_annotation(x=plane * 1.05, y=0.12 * x, text=f"u - c = {u - camera.cx:g} px", xanchor="left", **note)
    fig.add_annotation(x=0, y=0, text="camera", yanchor="top", **note)
    fig.add_annotation(
        x=1.5 * z, y=-0.45 * x, text=f"u = f X/Z + c = {camera.fx:g} · {x:g}/{z:g} + {camera.cx:g} = {u:g}", **note
    )
    return checked(fig, "hand_check")


_PLACES = {  # a person who faces the reader with arms half raised: right is on the left; units of a head
    "head_top": (0, 9.0), "head": (0, 8.3), "neck": (0, 7.4), "spine": (0, 5.9), "pelvis": (0, 4.6),
    "shoulder": (1.1, 7.2), "elbow": (2.4, 6.3), "wrist": (3.5, 7.2), "hip": (0.7, 4.4), "knee": (0.9, 2.4),
    "ankle": (1.0, 0.4),
}  # fmt: skip


def joint_chart(skeleton: Skeleton) -> go.Figure:
    """Numbers and names of the joints of `MPI17` or `CORE14`, on a person who faces you."""
    at = []
    for joint in skeleton.joints:
        side, _, name = joint.rpartition("_") if joint[:2] in ("l_", "r_") else ("", "", joint)
        x, y = _PLACES[name]
        at.append((-x if side == "r" else x, y))
    x, y = f32(at).T
    fig = figure(width=620, height=560, margin={"l": 10, "r": 10, "t": 40, "b": 10})
    fig.update_xaxes(visible=False, range=[-6.3, 6.3])
    fig.update_yaxes(visible=False, range=[-0.4, 9.8])
    for parent, child in skeleton.limbs:
        right, left = (skeleton.joints[child].startswith(side) for side in ("r_", "l_"))
        line = {"color": ORANGE if right else BLUE if left else GREY, "width": 5, "dash": "dot" if right else "solid"}
        fig.add_scatter(
            x=x[[parent, child]], y=y[[parent, child]], mode="lines", line=line, showlegend=False, hoverinfo="skip"
        )
    for side, symbol, colour in (("r_", "circle", ORANGE), ("l_", "square", BLUE), ("", "diamond", GREY)):
        own = [i for i, j in enumerate(skeleton.joints) if (j[:2] if j[:2] in ("r_", "l_") else "") == side]
        where = [{"r_": "middle left", "l_": "middle right"}.get(side, "top right")] * len(own)
        fig.add_scatter(
            x=x[own], y=y[own], mode="markers+text", textposition=where, textfont={"size": 15},
            text=[f" {i} {skeleton.joints[i]} " for i in own], marker={"symbol": symbol, "color": colour, "size": 13},
            name={"r_": "right", "l_": "left", "": "midline"}[side],
        )  # fmt: skip
    return checked(fig, "joint_chart")
