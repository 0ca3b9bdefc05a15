"""PandaNet's anchors over a picture, its learned weights, and a crowd seen from above."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Bool, Float, Int, Num, UInt8
from PIL import Image, ImageDraw
from plotly.subplots import make_subplots

from mp3d.errors import BadInput
from mp3d.plots.pictures import drawn_people, overlay, sheet
from mp3d.plots.style import BLUE, INK, ORANGE, PEOPLE, TEMPLATE, VERMILION, checked, f32, need

_SCALE = 3  # px of a tile for one of the network's


def anchor_sheet(
    image: UInt8[np.ndarray, "h w 3"],
    people: Num[np.ndarray, "P 17 2"],
    boxes: Num[np.ndarray, "P 4"],
    owner: Int[np.ndarray, "H W"],
    pono: Float[np.ndarray, "H W"],
    pose: Float[np.ndarray, "H W"],
    positive: Bool[np.ndarray, "H W"],
    readable: Bool[np.ndarray, "H W"],
    score: Float[np.ndarray, "H W"],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """A picture and what the best anchor of each cell is (PandaNet Fig. 4): of `experiments.pandanet.steps.Looked`.

    Parameters
    ----------
    image : what the network saw, its sides the same whole number of times the maps'
    people, boxes : px of the image
    """
    ratio = image.shape[0] // owner.shape[0]
    if image.shape[:2] != (ratio * owner.shape[0], ratio * owner.shape[1]):
        raise BadInput("plots.anchor_sheet", "image", image.shape[:2], f"a whole number of times {owner.shape}")
    large = np.repeat(np.repeat(image, _SCALE, 0), _SCALE, 1)
    shown = Image.fromarray(drawn_people(image, people, None, scale=_SCALE))
    pen = ImageDraw.Draw(shown)
    for i, (x, y, width, height) in enumerate(boxes * _SCALE):
        pen.rectangle([x, y, x + width, y + height], outline=PEOPLE[i % len(PEOPLE)], width=2)
    tiles = {
        f"picture, {len(people)} people, their boxes": np.asarray(shown),
        "whose the anchor is, the stronger the\nlarger its overlap (PONO)": _owners(large, owner, pono, owner >= 0),
        "A+: overlap above half of the best:\nthese learn boxes and poses": _owners(large, owner, pono, positive),
        "overlap of the pose that the network\nsays there (0 to 1)": overlay(large, pose, 0, 1, positive),
        "A++: the product above 0.5:\nthese shall score": _owners(large, owner, np.ones_like(pono), readable),
        "score that the network gives (0 to 1)": overlay(large, score, 0, 1, score > 0.05),
    }
    return sheet(list(tiles.values()), list(tiles), columns=3, width=900)


def _owners(large: np.ndarray, owner: np.ndarray, strength: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cells in their owner's colour over a pale picture."""
    ratio = large.shape[0] // owner.shape[0]
    hues = np.array([tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in PEOPLE], float)
    colour = hues[np.maximum(owner, 0) % len(PEOPLE)]
    share = np.where(mask, 0.85 * strength, 0)[..., None]
    colour, share = (np.repeat(np.repeat(a, ratio, 0), ratio, 1) for a in (colour, share))
    pale = 0.55 * large + 0.45 * 255
    return np.round(pale * (1 - share) + colour * share).astype(np.uint8)


def weights_map(df: pd.DataFrame, titles: Mapping[str, str]) -> go.Figure:
    """Learned weights by joint and anchor, a panel a task, each on its own logarithmic scale of colours.

    Columns: task, anchor, joint, value.

    Parameters
    ----------
    titles : of the panels, by task; other tasks are left out
    """
    need(df, "weights_map", "task", "anchor", "joint", "value")
    fig = make_subplots(1, len(titles), subplot_titles=list(titles.values()), horizontal_spacing=0.3)
    for column, task in enumerate(titles, 1):
        some = df[df["task"] == task]
        need(some, f"weights_map, {task}", "value")
        some = some.pivot_table("value", "joint", "anchor", sort=False)
        z = np.log10(some.to_numpy())
        low, high = float(z.min()), float(z.max())
        ticks = np.linspace(low, high, 4)
        bar = {"x": 0.36 if column == 1 and len(titles) == 2 else 1.0, "thickness": 14, "tickvals": ticks.tolist()}
        fig.add_heatmap(
            x=list(some.columns), y=list(some.index), z=f32(z), colorscale=[[0, "white"], [1, BLUE]],
            colorbar=bar | {"ticktext": [f"{10**tick:.3g}" for tick in ticks]}, row=1, col=column,
        )  # fmt: skip
    fig.update_layout(template=TEMPLATE, width=900, height=560)
    fig.update_yaxes(autorange="reversed", tickfont_size=13)
    fig.update_xaxes(title_text="anchor (px)", tickangle=60, tickfont_size=13)
    fig.update_annotations(font_size=15)
    return checked(fig, "weights_map")


def from_above(panels: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Where people stand and where they were put, seen from above, a panel a table; a line joins the two.

    Columns: x, z, x_found, z_found, in m; NaN where somebody is not there, or was missed.
    """
    for df in panels.values():
        need(df, "from_above", "x", "z", "x_found", "z_found")
    fig = make_subplots(1, len(panels), subplot_titles=list(panels), shared_yaxes=True, horizontal_spacing=0.06)
    for column, df in enumerate(panels.values(), 1):
        first, where = column == 1, {"row": 1, "col": column}
        both = df.dropna()
        gap = np.full(len(both), np.nan)
        fig.add_scatter(
            x=f32(np.stack([both["x"], both["x_found"], gap], 1).ravel()),
            y=f32(np.stack([both["z"], both["z_found"], gap], 1).ravel()),
            mode="lines", line={"color": "#999", "width": 1}, hoverinfo="skip", showlegend=False, **where,
        )  # fmt: skip
        missed = df[df["x_found"].isna()]
        wrong = df[df["x"].isna()]
        for name, x, y, marker in (
            ("true, found", both["x"], both["z"], {"color": INK, "symbol": "circle", "size": 7}),
            ("true, missed", missed["x"], missed["z"], {"color": VERMILION, "symbol": "x", "size": 8}),
            ("put there", both["x_found"], both["z_found"], {"color": BLUE, "symbol": "circle-open", "size": 8}),
            (
                "nobody is there",
                wrong["x_found"],
                wrong["z_found"],
                {"color": ORANGE, "symbol": "square-open", "size": 8},
            ),
        ):
            if len(x) or first:
                fig.add_scatter(x=f32(x), y=f32(y), mode="markers", name=name, marker=marker, showlegend=first, **where)
    fig.update_layout(template=TEMPLATE, width=900, height=560, margin_t=110, legend={"y": 1.08})
    fig.update_xaxes(title_text="across (m)", matches="x")
    fig.update_yaxes(title_text="depth (m)", col=1)
    fig.update_annotations(font_size=15)
    return checked(fig, "from_above")
