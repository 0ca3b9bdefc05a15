"""Figures of the data sets: every joint set on one body, where joints come from, cameras side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mp3d.errors import BadInput
from mp3d.plots.bodies import SIDES, _chains, _pen
from mp3d.plots.style import (
    BLUE,
    DASHES,
    GREY,
    INK,
    ORANGE,
    PEOPLE,
    SKY,
    SYMBOLS,
    VARIANTS,
    VERMILION,
    checked,
    f32,
    figure,
    need,
    shade,
)
from mp3d.scene import Scene
from mp3d.skeletons import MPI17, NATIVE, Skeleton, convert

PLACES = {  # a person who faces the reader; x to the person's left, y up; the head is drawn large
    "head_top": (0, 11.2), "head_upper": (0, 10.6), "head": (0, 9.8), "upper_neck": (0, 8.9), "nose": (0, 9.2),
    "eye": (0.65, 9.9), "ear": (1.4, 9.6), "neck": (0, 8.0), "thorax": (0, 8.0),
    "clavicle": (0.85, 7.8), "shoulder": (1.75, 7.4), "elbow": (2.2, 5.8), "wrist": (2.7, 4.3), "hand": (3.1, 3.2),
    "spine0": (0, 7.35), "spine1": (0, 6.7), "spine2": (0, 6.05), "spine3": (0, 5.4), "spine4": (0, 4.75),
    "spine": (0, 5.2), "torso": (0, 6.05), "mpi_spine2": (0, 5.9), "mpi_spine3": (0, 6.6), "mpi_spine4": (0, 7.3),
    "smpl_spine1": (0, 5.2), "smpl_spine2": (0, 6.05), "smpl_spine3": (0, 6.9),
    "pelvis": (0, 4.4), "hip": (1.0, 4.0), "knee": (1.15, 2.2), "ankle": (1.25, 0.6), "foot": (1.5, -0.1),
    "toe": (2.25, -0.35),
}  # fmt: skip
"""Where each joint is drawn; names without `r_` and `l_`."""

_USES = (
    ("in MPI17 as it is", "circle", BLUE, "white"),
    ("in place of another joint", "diamond", ORANGE, INK),
    ("left out", "square", "white", INK),
)


def _uses(skeleton: Skeleton) -> np.ndarray:
    """For each joint: 0 if MPI17 has it, 1 if MPI17 makes another joint of it, 2 if it is left out."""
    weights, flags = convert(np.eye(len(skeleton)), skeleton, MPI17)
    weights = np.nan_to_num(weights) > 0
    native, other = weights[flags == NATIVE].any(0), weights[flags > NATIVE].any(0)
    return np.where(native, 0, np.where(other, 1, 2))


def joint_sets(skeletons: Sequence[Skeleton], columns: int = 6) -> go.Figure:
    """Every joint set on one body that faces you, a number a joint; colour and shape say what MPI17 takes of it.

    Parameters
    ----------
    skeletons : whose joints are all in `PLACES`; else `BadInput`
    """
    rows = -(-len(skeletons) // columns)
    fig = figure(width=190 * columns, height=330 * rows + 40, margin={"l": 5, "r": 5, "t": 45, "b": 5})
    for number, skeleton in enumerate(skeletons):
        at = []
        for joint in skeleton.joints:
            side, name = (joint[:2], joint[2:]) if joint[:2] in ("r_", "l_") else ("", joint)
            if name not in PLACES:
                raise BadInput("plots.joint_sets", f"joint of {skeleton}", repr(joint), "one with a place in PLACES")
            x, y = PLACES[name]
            at.append((-x if side == "r_" else x, y))
        x, y = f32(at).T
        here = _panel(fig, number, columns, rows, [-3.6, 3.6], [-1.0, 12.8])
        bones = [end for parent, child in skeleton.limbs for end in (parent, child, -1)]
        x_bones, y_bones = (np.append(values, np.nan)[bones] for values in (x, y))
        line = {"color": "#bbb", "width": 4}
        fig.add_scatter(
            x=f32(x_bones), y=f32(y_bones), mode="lines", line=line, hoverinfo="skip", showlegend=False, **here
        )
        uses = _uses(skeleton)
        for use, (word, symbol, fill, ink) in enumerate(_USES):
            own = np.flatnonzero(uses == use)
            marker = {"symbol": symbol, "color": fill, "size": 17 - 2 * (use == 2), "line": {"color": INK, "width": 1}}
            fig.add_scatter(
                x=x[own], y=y[own], mode="markers+text", marker=marker, text=[str(j) for j in own],
                textfont={"size": 11, "color": ink}, hovertext=[skeleton.joints[j] for j in own], hoverinfo="text+name",
                name=word, legendgroup=word, showlegend=False, **here,
            )  # fmt: skip
        root = "no root" if skeleton.root is None else f"root {skeleton.root}"
        _title(fig, here, f"<b>{skeleton}</b>, {root}", 12.3)
    for word, symbol, fill, _ in _USES:
        marker = {"symbol": symbol, "color": fill, "size": 15, "line": {"color": INK, "width": 1}}
        fig.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=word, legendgroup=word)
    return checked(fig, "joint_sets")


def _panel(
    fig: go.Figure, number: int, columns: int, rows: int, x: Sequence[float], y: Sequence[float]
) -> dict[str, str]:
    """A small framed picture in a grid, one unit as wide as high; which axes a trace in it needs."""
    row, column = divmod(number, columns)
    name, gap = "" if number == 0 else str(number + 1), 0.006
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "showline": True}
    bare |= {"mirror": True, "linecolor": "#bbb", "automargin": False}
    across = {"domain": [column / columns + gap, (column + 1) / columns - gap], "range": list(x), "anchor": f"y{name}"}
    along = {"domain": [1 - (row + 1) / rows + gap, 1 - row / rows - gap], "range": list(y), "anchor": f"x{name}"}
    along |= {"scaleanchor": f"x{name}"}
    fig.update_layout({f"xaxis{name}": bare | across, f"yaxis{name}": bare | along})
    return {"xaxis": f"x{name}", "yaxis": f"y{name}"}


def _title(fig: go.Figure, here: Mapping[str, str], text: str, y: float) -> None:
    place = {"x": 0, "xref": here["xaxis"], "y": y, "yref": here["yaxis"]}
    fig.add_annotation(text=text, showarrow=False, font_size=15, yanchor="middle", **place)


def source_map(flags: pd.DataFrame) -> go.Figure:
    """Heat map of source flags: a row a joint set, a column a joint of MPI17; words in the cells that are not native.

    Parameters
    ----------
    flags : 0 absent, 1 native, 2 derived, 3 approximate
    """
    if flags.empty or not flags.isin(range(4)).all(axis=None):
        raise BadInput("plots.source_map", "flags", flags.shape, "a table of 0, 1, 2, 3")
    colours, words = ("white", SKY, ORANGE, VERMILION), ("–", "", "mid", "≈")
    scale = [[(i + end) / 4, colour] for i, colour in enumerate(colours) for end in (0, 1)]
    fig = figure(width=820, height=120 + 33 * len(flags), margin={"l": 130, "t": 45, "b": 105})
    fig.add_heatmap(
        z=flags.to_numpy().astype(np.int8), x=[name.replace("_", " ") for name in flags], y=list(flags.index),
        zmin=-0.5, zmax=3.5, colorscale=scale, showscale=False, xgap=1, ygap=1,
        text=[[words[flag] for flag in row] for row in flags.to_numpy()], texttemplate="%{text}",
        hovertemplate="%{y}, %{x}<extra></extra>",
    )  # fmt: skip
    for colour, word in zip(colours, ("absent (–)", "native", "a midpoint (mid)", "approximate (≈)"), strict=True):
        marker = {"symbol": "square", "color": colour, "size": 14, "line": {"color": INK, "width": 1}}
        fig.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=word)
    fig.update_xaxes(tickangle=-60, showgrid=False, side="bottom", tickfont_size=15, type="category")
    fig.update_yaxes(autorange="reversed", showgrid=False, tickfont_size=15, type="category")
    return checked(fig, "source_map")


def side_by_side(scenes: Mapping[str, Scene], people: int = 4, columns: int = 5) -> go.Figure:
    """One scene of each data set in its own joints, as rays: (u - cx) / f to the right, (v - cy) / f down, one scale.

    The frame is the picture's edge, so a wide one is a wide field of view; left limbs are darker. Lenses are left as
    they are: what lies in a corner is where the picture has it.

    Parameters
    ----------
    scenes : title to scene; the picture's size and focal length are added
    people : how many are drawn, the nearest (or first) ones
    """
    if not scenes:
        raise BadInput("plots.side_by_side", "scenes", "none", "at least one")
    rows = -(-len(scenes) // columns)
    fig = figure(width=220 * columns, height=245 * rows, margin={"l": 5, "r": 5, "t": 5, "b": 5})
    for number, (title, scene) in enumerate(scenes.items()):
        here = _panel(fig, number, columns, rows, [-0.86, 0.86], [0.75, -1.1])
        k = scene.camera.k
        left, top = -k[2:] / k[:2]
        right, bottom = ([scene.camera.width, scene.camera.height] - k[2:]) / k[:2]
        edge = f32([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]).T
        line = {"color": GREY, "width": 2}
        fig.add_scatter(x=edge[0], y=edge[1], mode="lines", line=line, showlegend=False, hoverinfo="skip", **here)
        depth = [-1.0 if np.isnan(p.xyz).all() else float(np.nanmin(p.xyz[:, 2])) for p in scene.people]
        for person in np.argsort(depth, kind="stable")[:people][::-1]:
            native = scene.people[person].native or scene.people[person]
            rays = (native.uv - k[2:]) / k[:2]
            for side, (chain, own) in _chains(native.skeleton).items():
                symbol, tint = SIDES[side]
                colour = shade(PEOPLE[person % len(PEOPLE)], tint)
                x, y = _pen(rays, chain)
                fig.add_scatter(
                    x=x, y=y, mode="lines+markers", line={"color": colour, "width": 3}, showlegend=False,
                    marker={"symbol": symbol, "color": colour, "size": f32(own) * 5},
                    text=[[*native.skeleton.joints, ""][j] for j in chain], hovertemplate="%{text}<extra></extra>",
                    **here,
                )  # fmt: skip
        camera = scene.camera
        about = f"{camera.width} x {camera.height}, f {camera.fx:.0f}"
        _title(fig, here, f"<b>{title}</b><br>{about} px", -0.92)
    return checked(fig, "side_by_side")


def lens_gap(gaps: Mapping[str, pd.DataFrame], radius: float | int = 960) -> go.Figure:
    """What a wrong model of a lens costs against the distance from the principal point, a line a mistake, log scale.

    Parameters
    ----------
    gaps : mistake to a table with columns radius and gap (px)
    radius : where the axis ends
    """
    fig = figure(width=700, height=430, xaxis_title="distance from the principal point (px)", margin_t=90)
    for i, (name, rows) in enumerate(gaps.items()):
        need(rows, "lens_gap", "radius", "gap")
        rows = rows[(rows["radius"] > 0) & (rows["radius"] <= radius)]
        fig.add_scatter(
            x=f32(rows["radius"]), y=f32(rows["gap"]), mode="lines+markers", name=name,
            line={"color": VARIANTS[i], "dash": DASHES[i], "width": 3}, marker={"symbol": SYMBOLS[i], "size": 8},
        )  # fmt: skip
    ticks = [0.001, 0.01, 0.1, 1, 10, 100]
    fig.update_yaxes(type="log", title_text="joint off by (px)", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    return checked(fig, "lens_gap")


def neck_rule(shares: np.ndarray, errors: np.ndarray, real: pd.DataFrame, marks: Mapping[str, float]) -> go.Figure:
    """How far the neck is missed by a share of the trunk above the shoulders: a line here, real people's ranges beside.

    Parameters
    ----------
    shares, errors : of the line; mm
    real : columns data, share, low, high (mm)
    marks : label to share: the rules in use
    """
    need(real, "neck_rule", "data", "share", "low", "high")
    fig = figure(width=700, height=430, xaxis_title="share of the trunk above the shoulders", margin_t=85)
    fig.add_scatter(x=f32(shares), y=f32(errors), mode="lines", name="duet, mean", line={"color": INK, "width": 3})
    for label, share in marks.items():
        fig.add_vline(x=share, line={"color": GREY, "width": 1, "dash": "dot"})
        fig.add_annotation(
            x=share, y=0.99, yref="paper", text=f" {label} ", showarrow=False, xanchor="left", font_size=15
        )
    for i, (data, rows) in enumerate(real.groupby("data", sort=False)):
        middle, half = (rows["low"] + rows["high"]) / 2, (rows["high"] - rows["low"]) / 2
        fig.add_scatter(
            x=f32(rows["share"] + 0.004 * (i + 1)), y=f32(middle), mode="markers", name=f"{data}, real",
            error_y={"type": "data", "array": f32(half), "thickness": 2.5, "width": 5},
            marker={"color": PEOPLE[i], "symbol": SYMBOLS[i + 1], "size": 11},
        )  # fmt: skip
    fig.update_yaxes(title_text="neck off by (mm)", range=[0, 1.15 * max(real["high"].max(), float(np.max(errors)))])
    return checked(fig, "neck_rule")
