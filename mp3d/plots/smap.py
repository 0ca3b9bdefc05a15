"""Figures of SMAP: its maps over the picture, how joints become people, root depths, and people seen from above."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float, Int, Num, UInt8
from PIL import Image, ImageColor, ImageDraw
from plotly.subplots import make_subplots
from scipy.optimize import linear_sum_assignment

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.metrics.roots import ordinal_pairs
from mp3d.plots.pictures import drawn_people, overlay, sheet
from mp3d.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PEOPLE,
    PURPLE,
    SYMBOLS,
    VARIANTS,
    VERMILION,
    checked,
    f32,
    figure,
    need,
    shade,
)
from mp3d.skeletons import SMAP15

AROUND = (GREEN, BLUE, PURPLE, ORANGE)
"""The colours of directions right, down, left and up; what points between two has a mixture."""

PART = 300
"""mm: the part depth of full colour."""
LINE = 6
"""px of a tile that is shown half as large."""
DRAWN = 600
"""People of a scatter plot, in all panels: a notebook holds their places twice, as numbers and as a picture."""


def maps_sheet(
    image: UInt8[np.ndarray, "H W 3"],
    heatmaps: Float[np.ndarray, "15 h w"],
    fields: Float[np.ndarray, "14 2 h w"],
    parts: Float[np.ndarray, "14 h w"],
    roots: Float[np.ndarray, "1 h w"],
    people: Num[np.ndarray, "P 15 2"],
    joint: str = "l_wrist",
) -> UInt8[np.ndarray, "rows columns 3"]:
    """A picture, the maps that SMAP makes of it, and who is read from them (SMAP Fig. 2).

    Of fields and parts a cell shows the bone whose field is strongest there, parts where that is above a half.

    Parameters
    ----------
    image : what the network saw, its sides the same whole number of times the maps'
    heatmaps : peak 1; fields : unit vectors; parts : mm
    roots : mm; drawn where the pelvis' heatmap is above a half, and once more everywhere
    people : px of the image; NaN: a joint not found
    joint : whose heatmap is drawn alone

    Raises
    ------
    BadInput : an unknown joint, maps that do not fit the image
    """
    near = heatmaps[SMAP15.root] > 0.5
    depth = roots[0]
    low, high = (float(end(depth[near] if near.any() else depth)) for end in (np.min, np.max))
    dark = np.clip(1 - 0.7 * (depth - low) / max(high - low, 1e-9), 0, 1)  # the farthest root is pale, not white
    norm = np.hypot(fields[:, 0], fields[:, 1])
    part = np.take_along_axis(parts, norm.argmax(0)[None], 0)[0]
    tiles = {
        "picture": image,
        "heatmaps, highest of 15": _heat(image, heatmaps.max(0)),
        f"heatmap: {joint}": _heat(image, heatmaps[SMAP15.index(joint)]),
        "affinity fields,\nby direction": _wheel(_fields(image, fields)),
        f"part depths: child farther red,\nnearer blue ({PART} mm: full)": overlay(
            image, -part, -PART, PART, norm.max(0) > 0.5
        ),
        f"root depth at roots:\ndark {low / 1000:.1f} m, pale {high / 1000:.1f} m": overlay(image, dark, 0, 1, near),
        "root depth everywhere:\nelsewhere nothing is asked": overlay(image, dark, 0, 1, np.ones_like(near)),
        f"read: {len(people)} people": drawn_people(image, people, None, SMAP15),
    }
    return sheet(list(tiles.values()), list(tiles), columns=3, width=540)


def _heat(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    return overlay(image, heat, 0, 1, heat > 0.1)


def _hues(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(..., 3) the colours of directions, 0 to 255."""
    anchors = np.array([ImageColor.getrgb(colour) for colour in AROUND], float)
    quarter, part = np.divmod(np.arctan2(v, u) / (np.pi / 2) % 4, 1)
    first, part = quarter.astype(int) % 4, part[..., None]
    return anchors[first] * (1 - part) + anchors[(first + 1) % 4] * part


def _fields(image: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Directions over a pale picture, of the bone whose field is strongest in a cell, the stronger the less pale."""
    ratio = image.shape[0] // fields.shape[2]
    if image.shape[:2] != (fields.shape[2] * ratio, fields.shape[3] * ratio):
        raise BadInput("plots.smap", "fields", fields.shape[2:], f"a whole part of {image.shape[:2]}")
    norm = np.hypot(fields[:, 0], fields[:, 1])
    u, v = np.take_along_axis(fields, norm.argmax(0)[None, None], 0)[0]
    strength = np.where(norm.max(0) > 0.1, np.clip(0.2 + 0.75 * norm.max(0), 0, 0.95), 0)[..., None]
    colour, strength = (np.repeat(np.repeat(a, ratio, 0), ratio, 1) for a in (_hues(u, v), strength))
    return np.round((0.55 * image + 0.45 * 255) * (1 - strength) + colour * strength).astype(np.uint8)


def _wheel(tile: np.ndarray) -> np.ndarray:
    """The tile with a ring of the directions' colours in its lower right corner."""
    size = min(tile.shape[:2]) // 4
    u = np.broadcast_to(np.arange(size) + 0.5 - size / 2, (size, size))
    far = np.hypot(u, u.T)[..., None] / (size / 2)
    ring = np.where((far < 0.9) & (far > 0.4), _hues(u, u.T), 255)
    tile = tile.copy()
    corner = tile[-size:, -size:]
    corner[:] = np.where(far < 1, ring, corner)
    return tile


def association_picture(
    image: UInt8[np.ndarray, "H W 3"],
    detections: Num[np.ndarray, "15 K 2"],
    links: Float[np.ndarray, "14 K K"],
    fields: Float[np.ndarray, "14 2 h w"],
    people: Mapping[str, Int[np.ndarray, "_ 15"]],
    window: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Candidate links, fields, and the people that each association makes of them, in a row (SMAP Fig. 3).

    A person has one colour in all results, by the joints that they share with the last; what nobody took is a ring.

    Parameters
    ----------
    detections : px of the image, NaN where there is none: `peaks.uv[b]`
    links : `affinity.links`' scores; those above 0 are drawn, the better the darker
    people : name to detections' indices, as `affinity.associate` and `affinity.greedy` return them
    window : x, y, width, height of the part to be seen, px; default: all

    Raises
    ------
    BadInput : no result, fields that do not fit the image
    """
    if not people:
        raise BadInput("plots.association_picture", "people", "nothing", "the result of one association at least")
    x, y, wide, high = (0, 0, *image.shape[1::-1]) if window is None else window
    columns = len(people) + 2 if wide < high else 2
    scale = max(1, round(1400 / columns / wide))  # twice as large as it will be shown
    found = np.isfinite(detections).all(-1)
    candidates = _enlarged(image, scale)
    pen = ImageDraw.Draw(candidates)
    for e, i, j in sorted(np.argwhere(links > 0).tolist(), key=lambda at: links[tuple(at)]):
        parent, child = SMAP15.limbs[e]
        ends = [*detections[parent, i] * scale, *detections[child, j] * scale]
        pen.line(ends, fill=shade(BLUE, 0.8 * max(0.0, 1 - float(links[e, i, j]))), width=LINE)
    _dots(pen, detections[found] * scale, LINE, INK, "white")
    tiles = {"candidate links": np.asarray(candidates)}
    tiles["affinity fields"] = np.asarray(_enlarged(_fields(image, fields), scale))
    like = list(people.values())[-1]
    for name, chosen in people.items():
        uv = np.take_along_axis(detections, _alike(chosen, like).T[..., None], 1).swapaxes(0, 1)
        uv = np.where((_alike(chosen, like) >= 0)[..., None], uv, np.nan)
        tile = _enlarged(image, scale)
        _bones(ImageDraw.Draw(tile), uv * scale)
        left = found.copy()
        joint = np.broadcast_to(np.arange(chosen.shape[1]), chosen.shape)
        left[joint[chosen >= 0], chosen[chosen >= 0]] = False
        _dots(ImageDraw.Draw(tile), detections[left] * scale, 1.5 * LINE, None, VERMILION)
        tiles[name] = np.asarray(tile)
    shown = [tile[y * scale : (y + high) * scale, x * scale : (x + wide) * scale] for tile in tiles.values()]
    shown[1] = _wheel(shown[1])
    return sheet(shown, list(tiles), columns=columns, width=450 if columns == 2 else 520)


def _bones(pen: ImageDraw.ImageDraw, uv: np.ndarray) -> None:
    for person, joints in enumerate(uv):
        there = np.isfinite(joints).all(-1)
        for a, b in SMAP15.limbs:
            if there[a] and there[b]:
                pen.line([*joints[a], *joints[b]], fill=PEOPLE[person % len(PEOPLE)], width=LINE)
        _dots(pen, joints[there], LINE, PEOPLE[person % len(PEOPLE)], "white")


def _enlarged(picture: np.ndarray, scale: int) -> Image.Image:
    return Image.fromarray(picture).resize((picture.shape[1] * scale, picture.shape[0] * scale), Image.Resampling.BOX)


def _dots(pen: ImageDraw.ImageDraw, places: np.ndarray, radius: float | int, fill: str | None, outline: str) -> None:
    for u, v in places:
        pen.ellipse([u - radius, v - radius, u + radius, v + radius], fill=fill, outline=outline, width=2)


def _alike(chosen: np.ndarray, like: np.ndarray) -> np.ndarray:
    """People `chosen` (N, J) in the rows of those of `like` with whom they share most; -1 for nobody; others follow."""
    shared = ((chosen[:, None] == like) & (like >= 0)).sum(-1)
    mine, theirs = linear_sum_assignment(-shared)
    alone = np.setdiff1d(np.arange(len(chosen)), mine)
    return np.concatenate([_placed(chosen[mine], theirs, len(like)), chosen[alone]])


def _placed(rows: np.ndarray, at: np.ndarray, number: int) -> np.ndarray:
    out = np.full((number, rows.shape[1]), -1)
    out[at] = rows
    return out


def depth_agreement(predicted: Num[np.ndarray, " N"], true: Num[np.ndarray, " N"]) -> dict[str, float]:
    """How well depths agree: correlation `r`, `slope`, and the mean absolute error `mae`, in the unit of the depths.

    The slope is that of the line of least squares through the truth over the prediction, as it is drawn: 0.5 where
    every depth is doubled. Whoever was not found (NaN) does not count.

    Raises
    ------
    BadInput : fewer than two people who count
    """
    both = np.isfinite(predicted) & np.isfinite(true)
    if both.sum() < 2:
        raise BadInput("depth_agreement", "predicted, true", f"{both.sum()} people found", "two at least")
    p, t = predicted[both].astype(float), true[both].astype(float)
    (vp, c), (_, vt) = np.cov(p, t)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"r": float(c / np.sqrt(vp * vt)), "slope": float(c / vp), "mae": float(np.abs(p - t).mean())}


def root_depths(df: pd.DataFrame) -> go.Figure:
    """True against predicted root depth, a panel a variant (SMAP Fig. 6); dashed, where the two are one.

    Above each panel stands what `depth_agreement` says of all its rows, and the solid line has that slope. A sample of
    750 people at most is drawn, the same each time; predictions off the axis stand at its edge.

    Columns: variant, predicted (NaN: not found), true (m); at most six variants.
    """
    need(df, "root_depths", "variant", "predicted", "true")
    groups = list(df.dropna(subset=["predicted", "true"]).groupby("variant", sort=False))
    if not 0 < len(groups) <= len(VARIANTS):
        raise BadInput("plots.root_depths", "variant", len(groups), f"1 to {len(VARIANTS)} variants that found people")
    low, high = max(0.0, df["true"].min() - 0.5), 1.2 * df["true"].max()
    told = [depth_agreement(rows["predicted"].to_numpy(), rows["true"].to_numpy()) for _, rows in groups]
    titles = [
        f"<b>{variant}</b><br>r {it['r']:.2f}, slope {it['slope']:.2f}, MAE {it['mae']:.2f} m"
        for (variant, _), it in zip(groups, told, strict=True)
    ]
    plain = figure(width=60 + 310 * len(groups), height=420, margin={"t": 60, "b": 75})
    fig = make_subplots(1, len(groups), subplot_titles=titles, horizontal_spacing=0.03, figure=plain)
    fig.update_annotations(font_size=15)
    for i, ((variant, rows), it) in enumerate(zip(groups, told, strict=True)):
        here, ends = {"row": 1, "col": i + 1, "showlegend": False}, np.array([low, high])
        fig.add_scatter(
            x=f32(ends), y=f32(ends), mode="lines", line={"color": INK, "width": 1.5, "dash": "dash"},
            hoverinfo="skip", **here,
        )  # fmt: skip
        some = rows.sample(min(len(rows), DRAWN // len(groups)), random_state=0)
        fig.add_scatter(
            x=f32(some["predicted"].clip(low, high)), y=f32(some["true"]), mode="markers", name=str(variant),
            marker={"color": VARIANTS[i], "symbol": SYMBOLS[i], "size": 6, "opacity": 0.5}, **here,
        )  # fmt: skip
        fitted = rows["true"].mean() + it["slope"] * (ends - rows["predicted"].mean())
        fig.add_scatter(
            x=f32(ends), y=f32(fitted), mode="lines", line={"color": VERMILION, "width": 2.5}, hoverinfo="skip", **here
        )
    fig.update_xaxes(range=[low, high], constrain="domain")
    fig.update_yaxes(range=[low, high], showticklabels=False, scaleanchor="x")
    fig.update_yaxes(title_text="true root depth (m)", showticklabels=True, col=1)
    fig.update_xaxes(title_text="predicted root depth (m)", col=(len(groups) + 1) // 2)
    return checked(fig, "root_depths")


def ordinal(
    image: UInt8[np.ndarray, "H W 3"],
    camera: Camera,
    true: Num[np.ndarray, "P 3"],
    predicted: Mapping[str, Num[np.ndarray, "P 3"]],
) -> go.Figure:
    """A picture, and its people from above: who stands before whom, and who was said to (SMAP Fig. 1 and 5).

    People are numbered from the nearest on; a predicted person's number is its place among those who were found. So
    equal numbers at both ends of a line mean the right order; others are red. Above each view stands how many
    pairs are in the right class, nearer, farther or within 300 mm (`metrics.pcod`).

    Parameters
    ----------
    camera : of the image; its field of view is drawn, with the camera at (0, 0)
    true : roots, mm in the camera's frame
    predicted : name of a method to its roots in the order of the truth; NaN: not found

    Raises
    ------
    BadInput : nobody, another number of people than the truth's, an image of another size than the camera's
    """
    if not len(true) or not predicted:
        raise BadInput(
            "plots.ordinal", "true, predicted", (len(true), len(predicted)), "a person and a method, at least"
        )
    if image.shape[:2] != (camera.height, camera.width):
        raise BadInput("plots.ordinal", "image", image.shape[:2], f"the camera's {(camera.height, camera.width)}")
    order = np.argsort(true[:, 2])
    number = np.empty(len(true), int)
    number[order] = np.arange(len(true)) + 1
    titles = ["the picture: numbers by true depth"]
    for name, roots in predicted.items():
        if roots.shape != true.shape:
            raise BadInput("plots.ordinal", name, roots.shape, f"{true.shape}, a row a true person")
        right, pairs = ordinal_pairs(roots[:, 2].astype(float), true[:, 2].astype(float))
        titles.append(f"<b>{name}</b>: {right} of {pairs} pairs right")
    columns = len(titles)
    plain = figure(width=min(1000, 340 * columns), height=410, margin={"l": 10, "r": 10, "t": 40, "b": 65})
    fig = make_subplots(1, columns, subplot_titles=titles, horizontal_spacing=0.12, figure=plain)
    fig.update_annotations(font_size=15)
    fig.update_layout(legend={"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"})
    _pictured(fig, image, camera.project(true), number)
    everyone = np.concatenate([true, *predicted.values()])
    far = 1.08 * np.nanmax(everyone[:, 2]) / 1000
    sides = [(edge - camera.cx) / camera.fx * far for edge in (0, camera.width)]
    for column, roots in enumerate(predicted.values(), 2):
        here = {"row": 1, "col": column, "showlegend": column == 2}
        fig.add_scatter(
            x=f32([sides[0], 0, sides[1]]), y=f32([far, 0, far]), mode="lines", name="field of view",
            line={"color": GREY, "width": 1.5, "dash": "dot"}, hoverinfo="skip", **here,
        )  # fmt: skip
        _people_from_above(fig, true, roots, number, here)
    reach = [
        min(sides[0], np.nanmin(everyone[:, 0]) / 1000) - 0.3,
        max(sides[1], np.nanmax(everyone[:, 0]) / 1000) + 0.3,
    ]
    for column in range(2, columns + 1):
        fig.update_xaxes(range=f32(reach), title_text="right (m)", constrain="domain", row=1, col=column)
        fig.update_yaxes(range=[-0.2, far], scaleanchor=f"x{column}", constrain="domain", row=1, col=column)
    fig.update_yaxes(title_text="away from the camera (m)", col=2)
    return checked(fig, "ordinal")


def _pictured(fig: go.Figure, image: np.ndarray, uv: np.ndarray, number: np.ndarray) -> None:
    """The picture in the first panel, with a number at each person's root."""
    height, width = image.shape[:2]
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=80)
    source = "data:image/jpeg;base64," + base64.b64encode(stored.getvalue()).decode()
    fig.add_layout_image(
        source=source, xref="x", yref="y", x=0, y=0, sizex=width, sizey=height, sizing="stretch", layer="below"
    )
    fig.add_scatter(
        x=f32(uv[:, 0]), y=f32(uv[:, 1]), mode="markers+text", text=[str(n) for n in number], showlegend=False,
        marker={"color": "white", "size": 20, "line": {"color": INK, "width": 2}}, textfont_size=14,
        hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "constrain": "domain"}
    fig.update_xaxes(bare | {"range": [0, width]}, row=1, col=1)
    fig.update_yaxes(bare | {"range": [height, 0], "scaleanchor": "x"}, row=1, col=1)


def _people_from_above(
    fig: go.Figure, true: np.ndarray, roots: np.ndarray, number: np.ndarray, here: Mapping[str, int | bool]
) -> None:
    """Rings for the truth, dots for who was found, a line between the two."""
    found = np.flatnonzero(np.isfinite(roots[:, 2]))
    said = np.zeros(len(true), int)
    said[found[np.argsort(roots[found, 2])]] = np.sort(number[found])
    between = np.stack([true[found], roots[found], np.full((len(found), 3), np.nan)], 1).reshape(-1, 3) / 1000
    fig.add_scatter(
        x=f32(between[:, 0]), y=f32(between[:, 2]), mode="lines", line={"color": GREY, "width": 2}, name="one person",
        hoverinfo="skip", **here,
    )  # fmt: skip
    wrong = said != number
    rings = {"color": "rgba(255,255,255,0)", "size": 14, "line": {"color": INK, "width": 2}}
    dots = {"color": np.where(wrong, VERMILION, BLUE)[found].tolist(), "size": 9, "symbol": "circle"}
    for name, at, text, marker, side in (
        ("true", true / 1000, number, rings, "middle left"),
        ("predicted", roots[found] / 1000, said[found], dots, "middle right"),
    ):
        colour = INK if name == "true" else dots["color"]
        fig.add_scatter(
            x=f32(at[:, 0]), y=f32(at[:, 2]), mode="markers+text", name=name, marker=marker, textposition=side,
            text=[f" {n} " for n in text], textfont={"size": 15, "color": colour}, **here,
        )  # fmt: skip
