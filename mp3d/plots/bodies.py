"""Figures of bodies: skeletons in space, in the image plane, on a contact sheet; the camera and the joints.

People differ in hue. Left and right differ in shade and marker: left is darker with squares, right lighter with
circles (the darker left is PI-Net's Fig. 3). Layers differ in line: truth a wide pale band, the estimate dotted, the
refined pose solid.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Num

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.plots.style import GREY, INK, PEOPLE, checked, f32, figure, shade
from mp3d.scene import ABSENT, VISIBLE, Scene
from mp3d.skeletons import MPI17, Skeleton

LAYERS = {
    "truth": {"dash": "solid", "width": 14, "opacity": 0.35, "marker": 0},
    "estimate": {"dash": "dot", "width": 4, "opacity": 0.8, "marker": 4},
    "refined": {"dash": "solid", "width": 5, "opacity": 1.0, "marker": 5},
}
"""How each layer is drawn, bottom to top: line dash, width (px), opacity, marker size (px)."""

SIDES = {"centre": ("circle", 0.0), "right": ("circle", 0.25), "left": ("square", -0.3)}
"""Marker and shade of the joints of each side of the body."""


def _side(joint: str) -> str:
    return {"l_": "left", "r_": "right"}.get(joint[:2], "centre")


def _chains(skeleton: Skeleton) -> dict[str, tuple[list[int], list[bool]]]:
    """For each side: joint indices in drawing order, -1 to lift the pen; and which of these are its own joints."""
    chains: dict[str, list[int]] = {side: [] for side in SIDES}
    for parent, child in skeleton.limbs:
        chain = chains[_side(skeleton.joints[child])]
        chain += [child] if chain and chain[-1] == parent else [-1] * bool(chain) + [parent, child]
    return {
        side: (chain, [j >= 0 and _side(skeleton.joints[j]) == side for j in chain]) for side, chain in chains.items()
    }


def _pen(pose: Num[np.ndarray, "J C"], chain: list[int]) -> Float[np.ndarray, "C N"]:
    """The coordinates along a chain, NaN where the pen is lifted."""
    return f32(np.vstack([pose, np.full(pose.shape[1], np.nan)])[chain].T)


def _check(poses: object, skeleton: Skeleton, where: str, coordinates: int = 3) -> np.ndarray:
    poses = np.asarray(poses, float)
    if poses.ndim != 3 or poses.shape[1:] != (len(skeleton), coordinates) or not len(poses):
        raise BadInput(f"plots.{where}", "poses", poses.shape, f"(people, {len(skeleton)}, {coordinates})")
    return poses


def _strokes(layers: Mapping[str, object], skeleton: Skeleton, where: str, coordinates: int):
    """Yield (coordinates, style) for each layer, person and side, bottom to top: the one way to draw skeletons."""
    unknown = set(layers) - set(LAYERS)
    if unknown or not layers:
        raise BadInput(f"plots.{where}", "layers", sorted(layers), "some of " + ", ".join(LAYERS))
    names = [*skeleton.joints, ""]
    for layer, look in LAYERS.items():
        if layer not in layers:
            continue
        for person, pose in enumerate(_check(layers[layer], skeleton, where, coordinates)):
            for side, (chain, own) in _chains(skeleton).items():
                symbol, tint = SIDES[side]
                colour = shade(PEOPLE[person % len(PEOPLE)], tint)
                yield (
                    _pen(pose, chain),
                    {
                        "mode": "lines+markers" if look["marker"] else "lines",
                        "line": {"color": colour, "width": look["width"], "dash": look["dash"]},
                        "opacity": look["opacity"],
                        "marker": {"symbol": symbol, "color": colour, "size": f32(own) * look["marker"]},
                        "text": [names[j] for j in chain],
                        "hovertemplate": f"%{{text}}<extra>{layer}, person {person}</extra>",
                        "legendgroup": layer,
                        "showlegend": False,
                    },
                )


def _key(trace: type, layers: Mapping[str, object], **where: str) -> list[object]:
    """Legend entries without points: the layers (a click hides one), then left and right."""
    blank = {"x": [None], "y": [None]} | ({"z": [None]} if trace is go.Scatter3d else {}) | where
    key = [
        trace(
            **blank,
            name=layer,
            legendgroup=layer,
            mode="lines",
            opacity=look["opacity"],
            line={"color": GREY, "width": look["width"], "dash": look["dash"]},
        )
        for layer, look in LAYERS.items()
        if layer in layers
    ]
    for side in ("left", "right"):
        symbol, tint = SIDES[side]
        marker = {"symbol": symbol, "color": shade(GREY, 1.4 * tint), "size": 9}
        key.append(trace(**blank, name=side, mode="markers", marker=marker))
    return key


def _up(xyz: Num[np.ndarray, "*batch 3"]) -> Num[np.ndarray, "*batch 3"]:
    """x right, y down, z forward -> x right, y forward, z up: how plotly's space is drawn."""
    return np.stack([xyz[..., 0], xyz[..., 2], -xyz[..., 1]], -1)


def _ticks(low: float, high: float) -> dict[str, object]:
    """Axis ticks at round metres (values stay in mm), at most 8 of them."""
    step = next(s for s in (500, 1000, 2000, 5000, 10_000, 20_000, 50_000) if (high - low) / s <= 8)
    values = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return {"tickvals": values.tolist(), "ticktext": [f"{v / 1000:g}" for v in values]}


def _space(
    layers: Mapping[str, object], skeleton: Skeleton, camera: Camera | None, where: str
) -> tuple[list[object], dict[str, object]]:
    """Traces and `layout.scene` of skeletons in space, on a floor with a grid."""
    space = {
        name: _up(_check(poses, skeleton, where) if camera is None else camera.to_world(_check(poses, skeleton, where)))
        for name, poses in layers.items()
    }
    strokes = [
        go.Scatter3d(x=x, y=y, z=z, **style) for (x, y, z), style in _strokes(space, skeleton, where, coordinates=3)
    ]
    everyone = np.concatenate(list(space.values())).reshape(-1, 3)
    low, high = np.nanmin(everyone, 0), np.nanmax(everyone, 0)
    if camera is not None:
        low[2] = min(low[2], 0)
    low[:2], high[:2] = np.floor(low[:2] / 500 - 0.3) * 500, np.ceil(high[:2] / 500 + 0.3) * 500
    step = 500 * np.ceil((high - low)[:2].max() / 8000)
    grid = []
    for x in np.arange(low[0], high[0] + 1, step):
        grid += [(x, low[1], low[2]), (x, high[1], low[2]), (np.nan,) * 3]
    for y in np.arange(low[1], high[1] + 1, step):
        grid += [(low[0], y, low[2]), (high[0], y, low[2]), (np.nan,) * 3]
    x, y, z = f32(grid).T
    floor = go.Scatter3d(
        x=x, y=y, z=z, mode="lines", line={"color": "#d0d0d0", "width": 1.5}, hoverinfo="skip", showlegend=False
    )
    heads = next(iter(space.values()))
    tops = np.stack([pose[np.nanargmax(pose[:, 2])] for pose in heads]) + (0, 0, 130)
    x, y, z = f32(tops).T
    names = go.Scatter3d(
        x=x,
        y=y,
        z=z,
        mode="text",
        text=[f"P{person}" for person in range(len(tops))],
        textfont={"color": [shade(PEOPLE[p % len(PEOPLE)], -0.3) for p in range(len(tops))]},
        hoverinfo="skip",
        showlegend=False,
    )
    bare = {"showbackground": False, "showgrid": False, "zeroline": False, "showspikes": False}
    axes = {
        f"{axis}axis": bare | {"title": {"text": title}, "tickfont": {"size": 13}} | _ticks(low[i], high[i])
        for i, (axis, title) in enumerate(zip("xyz", ("right (m)", "depth (m)", "up (m)"), strict=True))
    }
    view = {"eye": {"x": 0.85, "y": -2.0, "z": 0.5}, "center": {"x": 0, "y": 0, "z": -0.12}}
    return [floor, *strokes, names], axes | {"aspectmode": "data", "camera": view}


def skeletons_3d(
    layers: Mapping[str, Num[np.ndarray, "P J 3"]],
    skeleton: Skeleton = MPI17,
    camera: Camera | None = None,
    title: str = "",
) -> go.Figure:
    """People in space, to be turned with the mouse: estimate, refined pose and truth in one figure.

    Parameters
    ----------
    layers : "truth", "estimate", "refined" (some or all) -> (P, J, 3) mm in the camera frame; NaN joints are left out
    camera : if given, poses are turned into its world frame, whose floor is y = 0; else the floor lies under the
        lowest joint

    Raises
    ------
    BadInput : another layer name, another shape, or more than 2,000 points
    """
    traces, space = _space(layers, skeleton, camera, "skeletons_3d")
    fig = figure(title, 600, 520, margin={"l": 0, "r": 0, "t": 70, "b": 0}, scene=space)
    fig.add_traces([*_key(go.Scatter3d, layers), *traces])
    return checked(fig, "skeletons_3d")


def _image_axes(camera: Camera) -> tuple[dict[str, object], dict[str, object]]:
    """The image plane: u to the right, v down, a pixel as wide as it is high."""
    frame = {"showgrid": False, "zeroline": False, "mirror": True, "showline": True, "constrain": "domain"}
    return (
        frame | {"range": [0, camera.width], "title": {"text": "u (px)"}},
        frame | {"range": [camera.height, 0], "title": {"text": "v (px)"}, "scaleanchor": "x"},
    )


def scene_2d(scene: Scene, title: str = "", boxes: bool = True) -> go.Figure:
    """The image plane: joints and limbs in px, v down; hidden joints are hollow, absent ones left out.

    Raises
    ------
    BadInput : a scene without people, or more than 2,000 points
    """
    if not scene.people:
        raise BadInput("plots.scene_2d", "scene.people", "nobody", "at least one person")
    x_axis, y_axis = _image_axes(scene.camera)
    height = 130 + round(510 * scene.camera.height / scene.camera.width)
    fig = figure(title, 600, height, xaxis=x_axis, yaxis=y_axis)
    for label, fill in (("visible", INK), ("hidden", "white")):
        marker = {"symbol": "circle", "color": fill, "size": 10, "line": {"color": INK, "width": 2}}
        fig.add_scatter(x=[None], y=[None], mode="markers", name=label, marker=marker)
    fig.add_traces(_key(go.Scatter, {}))
    # farther people first, so that nearer ones are drawn over them
    for i in sorted(range(len(scene.people)), key=lambda i: -np.nanmean(scene.people[i].xyz[:, 2])):
        person, hue = scene.people[i], PEOPLE[i % len(PEOPLE)]
        uv = np.where((person.visibility == ABSENT)[:, None], np.nan, person.uv)
        for side, (chain, own) in _chains(person.skeleton).items():
            symbol, tint = SIDES[side]
            colour = shade(hue, tint)
            x, y = _pen(uv, chain)
            fill = [colour if person.visibility[j] == VISIBLE else "white" for j in chain]
            marker = {"symbol": symbol, "color": fill, "size": f32(own) * 9, "opacity": 1}
            fig.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                line={"color": colour, "width": 4},
                marker=marker | {"line": {"color": colour, "width": 2}},
                text=[[*person.skeleton.joints, ""][j] for j in chain],
                hovertemplate=f"%{{text}} (%{{x:.1f}}, %{{y:.1f}})<extra>person {i}</extra>",
                showlegend=False,
            )
        x, y, w, h = person.box.tolist()
        if boxes:
            fig.add_shape(x0=x, y0=y, x1=x + w, y1=y + h, line={"color": hue, "width": 1.5, "dash": "dash"})
        fig.add_annotation(
            x=x + w / 2, y=y, text=f"P{i}", showarrow=False, yanchor="bottom", font={"color": shade(hue, -0.3)}
        )
    return checked(fig, "scene_2d")


def scene_sheet(scenes: Sequence[Scene], titles: Sequence[str] = (), columns: int = 4) -> go.Figure:
    """Small pictures side by side, each from its own camera: what people do, at a glance.

    Limbs are as wide as bodies, nearer people over farther ones. The window around each scene is a square that holds
    everybody; sizes differ from picture to picture.

    Raises
    ------
    BadInput : no scene, or more than 2,000 points
    """
    if not scenes:
        raise BadInput("plots.scene_sheet", "scenes", "none", "at least one")
    rows = -(-len(scenes) // columns)
    fig = figure(width=200 * columns + 20, height=225 * rows + 10, margin={"l": 5, "r": 5, "t": 5, "b": 5})
    gap = 0.012
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        name = "" if number == 0 else str(number + 1)
        low, high = np.nanmin(scene.uv, (0, 1)), np.nanmax(scene.uv, (0, 1))
        middle, half = (low + high) / 2, (high - low).max() * 0.58
        x = [column / columns + gap, (column + 1) / columns - gap]
        y = [1 - (row + 1) / rows + gap, 1 - row / rows - 0.12 / rows]
        here = {"xaxis": f"x{name}", "yaxis": f"y{name}"}
        bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "mirror": True}
        bare |= {"showline": True, "linecolor": "#bbb"}
        fig.update_layout(
            {
                f"xaxis{name}": bare | {"domain": x, "anchor": f"y{name}"} | {"range": f32([-half, half] + middle[0])},
                f"yaxis{name}": bare | {"domain": y, "anchor": f"x{name}"} | {"range": f32([half, -half] + middle[1])},
            }
        )
        for i in sorted(range(len(scene.people)), key=lambda i: -np.nanmean(scene.people[i].xyz[:, 2])):
            person, hue = scene.people[i], PEOPLE[i % len(PEOPLE)]
            stature = np.ptp(scene.uv[i, :, 1])
            for side in ("left", "centre", "right"):
                chain, _ = _chains(person.skeleton)[side]
                u, v = _pen(person.uv, chain)
                width = 85 / half * stature / 12 * (1.5 if side == "centre" else 1)
                line = {"color": shade(hue, SIDES[side][1]), "width": float(np.clip(width, 2, 14))}
                fig.add_scatter(x=u, y=v, mode="lines", line=line, showlegend=False, hoverinfo="skip", **here)
            head = person.uv[[0, 16]].mean(0) if person.skeleton == MPI17 else person.uv[0]
            marker = {"color": hue, "size": float(np.clip(85 / half * stature / 8, 5, 22))}
            x_head, y_head = f32(head[:1]), f32(head[1:])
            fig.add_scatter(
                x=x_head, y=y_head, mode="markers", marker=marker, showlegend=False, hoverinfo="skip", **here
            )
        if titles:
            fig.add_annotation(
                x=sum(x) / 2,
                y=y[1],
                xref="paper",
                yref="paper",
                xanchor="center",
                yanchor="bottom",
                text=titles[number],
                showarrow=False,
            )
    return checked(fig, "scene_sheet")
