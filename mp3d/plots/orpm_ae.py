"""What ORPM-AE writes into maps, and how a joint is read from them, rule by rule."""

import base64
import io

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float, Num, UInt8
from PIL import Image, ImageDraw, ImageFont

from mp3d.errors import BadInput
from mp3d.plots.pictures import drawn_people, overlay, sheet
from mp3d.plots.style import BLUE, GREY, INK, ORANGE, PEOPLE, VERMILION, checked, f32, figure, need
from mp3d.skeletons import MPI17

_SCALE = 3  # px of a tile for one of the network's


def orpm_sheet(
    image: UInt8[np.ndarray, "H W 3"],
    heatmaps: Float[np.ndarray, "17 h w"],
    bones: Float[np.ndarray, "17 3 h w"],
    tags: Float[np.ndarray, "17 h w"],
    people: Num[np.ndarray, "P 17 2"],
    joint: str = "r_wrist",
) -> UInt8[np.ndarray, "rows columns 3"]:
    """A picture with its people, and the five maps of one joint (ORPM-AE Fig. 1).

    Pose maps and tags are drawn where they mean something: within a cell and a half of a joint of somebody. Tags of all
    joints stand below one another, a row a person.

    Parameters
    ----------
    image : what the network saw, its sides the same whole number of times the maps'
    heatmaps : peak 1; bones : m
    people : px of the image; NaN: a joint not found
    joint : whose maps are drawn

    Raises
    ------
    BadInput : an unknown joint, maps that do not fit the image
    """
    index, (h, w) = MPI17.index(joint), heatmaps.shape[1:]
    stride = image.shape[1] / w
    large = np.repeat(np.repeat(image, _SCALE, 0), _SCALE, 1)
    near = _near(people.reshape(-1, 2), (h, w), stride)
    own = _near(people[:, _sites(index)].reshape(-1, 2), (h, w), stride)
    reach = 0.4  # m, about the longest bone
    spread = max(1e-3, float(np.abs(tags[:, near]).max(initial=0)))
    tiles = {
        f"picture, {len(people)} people": drawn_people(image, people, None, MPI17, scale=_SCALE),
        f"heatmap: {joint}": overlay(large, heatmaps[index], 0, 1, heatmaps[index] > 0.1),
    }
    for axis, (name, ways) in enumerate({"X": "left, right", "Y": "up, down", "Z": "nearer, farther"}.items()):
        title = f"pose map {name} of {joint}:\n{ways} (red, blue; {reach} m: full)"
        tiles[title] = overlay(large, bones[index, axis], -reach, reach, own)
    tiles[f"tags of {joint}\n(red, blue: -{spread:.1f}, {spread:.1f})"] = overlay(
        large, tags[index], -spread, spread, own
    )
    shown = sheet(list(tiles.values()), list(tiles), columns=3, width=760)
    strip = _tag_strip(people, tags, stride, shown.shape[1])
    return np.concatenate([shown, strip])


def _sites(joint: int) -> np.ndarray:
    from mp3d.codings import orpm  # here: plots import without torch

    return orpm.sites()[joint].nonzero()[:, 0].numpy()


def _near(points: np.ndarray, size: tuple[int, int], stride: float) -> np.ndarray:
    """(h, w) whether a cell's centre is within a cell and a half of a point, in rows and in columns."""
    at = points[np.isfinite(points).all(-1)] / stride - 0.5
    rows, columns = np.arange(size[0])[:, None, None], np.arange(size[1])[None, :, None]
    return (np.maximum(abs(rows - at[:, 1]), abs(columns - at[:, 0])) <= 1.5).any(-1)


def _tag_strip(people: np.ndarray, tags: np.ndarray, stride: float, width: int) -> np.ndarray:
    """Every joint's tag as a dot, a row a person, in the person's colour."""
    h, w = tags.shape[1:]
    rows = []
    for person in people:
        cell = np.floor(np.nan_to_num(person, nan=-1e6) / stride).astype(int)
        on = ((cell >= 0) & (cell < [w, h])).all(-1)
        rows.append(tags[np.flatnonzero(on), cell[on, 1], cell[on, 0]])
    values = np.concatenate([*rows, [0.0]])
    low, high = values.min() - 0.2, values.max() + 0.2
    height, left = 16, 150
    strip = Image.new("RGB", (width, height * (len(rows) + 2)), "white")
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(size=13)

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - 20)

    for tick in np.arange(np.ceil(low), high):
        pen.line([x(tick), 0, x(tick), height * len(rows)], fill="#dddddd")
        pen.text((x(tick), height * len(rows)), f"{tick:.0f}", fill="black", font=font, anchor="ma")
    pen.text((6, height * len(rows)), "tags of all joints:", fill="black", font=font)
    for i, row in enumerate(rows):
        pen.text((6, height * i), f"person {i + 1}", fill=PEOPLE[i % len(PEOPLE)], font=font)
        for value in row:
            at = [x(value) - 4, height * i + 3, x(value) + 4, height * i + 11]
            pen.ellipse(at, outline=PEOPLE[i % len(PEOPLE)], width=2)
    return np.asarray(strip)


def readout_steps(
    image: UInt8[np.ndarray, "H W 3"],
    people: Num[np.ndarray, "P 17 2"],
    walk: pd.DataFrame,
    person: int,
    bone: Float[np.ndarray, "2 2"],
    truth: Float[np.ndarray, "2 2"],
) -> go.Figure:
    """How a joint of somebody is read: the sites tried, in order; a slider goes from rule to rule.

    Parameters
    ----------
    people : px; NaN: off the picture
    walk : of `experiments.orpm_ae.steps.walk`: rule, site, why, valid
    person : whose joint it is
    bone, truth : px, where the bone that was read begins and ends in the picture, and the true one
    """
    need(walk, "readout_steps", "rule", "site", "why", "valid")
    if not 0 <= person < len(people):
        raise BadInput("plots.readout_steps", "person", person, f"one of {len(people)}")
    height, width = image.shape[:2]
    # the picture is cut to those who matter: the person, and whoever is near
    low, high = np.nanmin(people[person], 0), np.nanmax(people[person], 0)
    middle, reach = (low + high) / 2, 0.62 * max(*(high - low))
    left, top = np.maximum(np.floor(middle - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + reach), [width, height]).astype(int)
    corner = np.array([left, top])
    image, people, bone, truth = image[top:bottom, left:right], people - corner, bone - corner, truth - corner
    height, width = image.shape[:2]
    fig = figure(width=900, height=520)
    fig.add_layout_image(
        source=_jpeg(image), x=0, y=0, sizex=width, sizey=height, xref="x", yref="y", layer="below", opacity=0.75
    )
    for one, colour, wide in (*((p, GREY, 1.5) for p in range(len(people)) if p != person), (person, INK, 3)):
        u, v = _bones(people[one], width, height)
        fig.add_scatter(
            x=u, y=v, mode="lines", line={"color": colour, "width": wide}, hoverinfo="skip", showlegend=False
        )
    for ends, colour, wide, name in ((truth, ORANGE, 14, "true bone"), (bone, BLUE, 5, "bone that is read")):
        line = {"color": colour, "width": wide}
        fig.add_scatter(x=f32(ends[:, 0]), y=f32(ends[:, 1]), mode="lines", line=line, name=name)
    drawn = len(fig.data)
    first = _tried(people[person], walk, len(walk), width, height)
    fig.add_traces(first)
    places = [drawn + i for i in range(len(first))]
    steps = []
    for number in range(1, len(walk) + 1):
        traces = _tried(people[person], walk, number, width, height)
        fig.frames = (*fig.frames, go.Frame(data=traces, traces=places, name=str(number)))
        shown = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
        label = walk["rule"].iloc[number - 1]
        steps.append({"label": label, "method": "animate", "args": [[str(number)], shown]})
    slider = {
        "active": len(steps) - 1,
        "steps": steps,
        "x": 0,
        "len": 1,
        "pad": {"t": 8},
        "currentvalue": {"visible": False},
    }
    run = {"frame": {"duration": 1500, "redraw": True}, "transition": {"duration": 0}}
    play = {"label": "play", "method": "animate", "args": [None, run]}
    fig.update_layout(updatemenus=[{"type": "buttons", "buttons": [play], "x": 1, "y": 1.02, "yanchor": "bottom"}])
    fig.update_layout(sliders=[slider], margin={"l": 45, "r": 45, "t": 40, "b": 70}, legend={"y": 1.0})
    fig.update_xaxes(range=[0, 2.1 * width], visible=False)
    fig.update_yaxes(range=[height, 0], visible=False, scaleanchor="x")
    return checked(fig, "readout_steps")


def _tried(person: np.ndarray, walk: pd.DataFrame, number: int, width: int, height: int) -> list[go.Scatter]:
    """Numbered sites of the first rules on the picture, and their list beside it."""
    some = walk.head(number)
    at = np.array([person[MPI17.index(site)] if site else [np.nan] * 2 for site in some["site"]]).reshape(-1, 2)
    hue = np.where(some["valid"], BLUE, VERMILION).tolist()
    marks = {"size": 22, "color": "rgba(255,255,255,0.8)", "line": {"color": hue, "width": 3}}
    numbers = [str(i + 1) for i in range(len(some))]
    rings = go.Scatter(
        x=f32(at[:, 0]), y=f32(at[:, 1]), mode="markers+text", marker=marks, text=numbers,
        textfont={"size": 13, "color": hue}, hovertext=some["why"].tolist(), hoverinfo="text", showlegend=False,
    )  # fmt: skip
    words = [f"{i}. {row.rule}: {row.why}" for i, row in zip(numbers, some.itertuples(), strict=True)]
    words[-1] = f"<b>{words[-1]}</b>"
    down = np.linspace(0.12, 0.88, len(walk))[: len(some)] * height
    beside = go.Scatter(
        x=f32(np.full(len(some), 1.03 * width)), y=f32(down), mode="text", text=words, textposition="middle right",
        textfont={"size": 15, "color": hue}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    return [rings, beside]


def _bones(person: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """u and v of a skeleton as one broken line, of the bones that lie on the picture."""
    ends = person[np.array(MPI17.limbs)]
    ends = ends[((ends >= 0) & (ends <= [width, height])).all((1, 2))]
    gap = np.full((len(ends), 1, 2), np.nan)
    line = np.concatenate([ends, gap], 1).reshape(-1, 2)
    return f32(line[:, 0]), f32(line[:, 1])


def _jpeg(image: np.ndarray) -> str:
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(stored.getvalue()).decode()
