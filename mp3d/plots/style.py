"""What all figures share: a small template, colours that survive colour blindness, checks on the way out."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mp3d.errors import BadInput

MAX_POINTS = 2000
"""A stored figure holds no more points than this (DESIGN.md section 5)."""

_AXIS = {"gridcolor": "#e3e3e3", "linecolor": "#777", "zerolinecolor": "#777", "automargin": True}
_AXIS |= {"ticks": "outside", "tickcolor": "#777", "title": {"standoff": 8}}

TEMPLATE = {
    "layout": {
        "font": {"family": "Arial, Helvetica, sans-serif", "size": 17, "color": "#111"},
        "title": {"font": {"size": 19}, "x": 0.02, "y": 0.98, "yanchor": "top"},
        "margin": {"l": 70, "r": 20, "t": 50, "b": 60},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "bgcolor": "rgba(255,255,255,0.7)"},
    }
}
"""The `mp3d` template. Set on each figure, never registered: plotly's own is 7 KB a figure, this under 1 KB."""

# Okabe and Ito's colours, in an order in which neighbours differ most when red and green look alike.
BLUE, ORANGE, GREEN, SKY, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7"
GREY, INK = "#8c8c8c", "#111111"
PEOPLE = (BLUE, ORANGE, GREEN, SKY)
"""The hue of person 0, 1, 2, ...; after the last it begins anew."""

VARIANTS = (BLUE, ORANGE, GREEN, INK, SKY, PURPLE)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
"""Series i has `VARIANTS[i]`, `DASHES[i]` and `SYMBOLS[i]`: never told apart by colour alone."""

PAPER = {"symbol": "diamond-open", "size": 12, "color": INK, "line": {"width": 2}}
"""How a paper's own number is drawn, and nothing else: an open diamond."""


def figure(title: str = "", width: int = 600, height: int = 420, **layout: object) -> go.Figure:
    """An empty figure with the `mp3d` template and its size in px."""
    return go.Figure(layout={"template": TEMPLATE, "title_text": title, "width": width, "height": height} | layout)


def shade(colour: str, amount: float) -> str:
    """Mix a "#rrggbb" colour with black (amount < 0) or white (amount > 0); 1 is all of it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    mixed = rgb + abs(amount) * ((255 if amount > 0 else 0) - rgb)
    return "#" + "".join(f"{round(c):02x}" for c in mixed)


def soft(colour: str, alpha: float) -> str:
    """The colour as "rgba(...)", for bands."""
    return f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:], 16)},{alpha})"


def f32(values: object) -> np.ndarray:
    """float32: plotly stores it as four bytes a number instead of up to 18 characters."""
    return np.asarray(values, np.float32)


def need(df: pd.DataFrame, where: str, *columns: str) -> None:
    """Raise `BadInput` unless the table has rows and all these columns."""
    for column in columns:
        if column not in df.columns:
            raise BadInput(f"plots.{where}", column, f"columns {', '.join(map(str, df.columns))}", "this column too")
    if df.empty:
        raise BadInput(f"plots.{where}", "df", "no rows", "at least one")


def points(fig: go.Figure) -> int:
    """How many points a figure holds: of each trace, in every frame, the longest coordinate, or a map's cells."""
    traces = [*fig.data, *(trace for frame in fig.frames for trace in frame.data)]
    sizes = [[np.size(t[c]) for c in ("x", "y", "z") if c in t and t[c] is not None] for t in traces]
    return sum(max(size, default=0) for size in sizes)


def checked(fig: go.Figure, where: str) -> go.Figure:
    """The figure itself; `BadInput` if it holds more than `MAX_POINTS` points."""
    if points(fig) > MAX_POINTS:
        raise BadInput(f"plots.{where}", "points", points(fig), f"at most {MAX_POINTS}: fewer people, frames or rows")
    return fig
