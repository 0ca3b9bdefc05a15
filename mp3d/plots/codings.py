"""Curves with bands, side by side, and RootNet's factor against the one that was needed."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mp3d.plots.style import DASHES, GREY, SYMBOLS, TEMPLATE, VARIANTS, VERMILION, checked, f32, figure, need, soft

_HUES = (*VARIANTS, VERMILION, GREY)


def curves(df: pd.DataFrame, xlabel: str, ylabel: str = "", log: str = "", columns: int = 3) -> go.Figure:
    """Lines with their 95 % bands; one panel for each value of `panel`, where there is this column.

    Columns: series, x, value, low, high; optional: panel. Series are told apart by colour, dash and symbol.

    Parameters
    ----------
    ylabel : none where the panels' names say what is drawn
    log : "x", "y" or "xy": logarithmic axes
    columns : panels in a row, at most
    """
    need(df, "curves", "series", "x", "value", "low", "high")
    panels = list(df["panel"].unique()) if "panel" in df else [""]
    names = list(df["series"].unique())
    columns = min(columns, len(panels))
    deep = -(-len(panels) // columns)
    titles = panels if panels != [""] else None
    fig = make_subplots(deep, columns, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=0.24 / deep)
    for number, panel in enumerate(panels):
        rows_ = df[df["panel"] == panel] if "panel" in df else df
        for name, rows in rows_.groupby("series", sort=False):
            i, rows = names.index(name), rows.sort_values("x")
            look = _HUES[i % 8], DASHES[i % 6], SYMBOLS[(i + i // 6) % 6]
            where = {"row": number // columns + 1, "col": number % columns + 1}
            around = {"x": f32([*rows["x"], *rows["x"][::-1]]), "y": f32([*rows["low"], *rows["high"][::-1]])}
            fig.add_scatter(
                **around, fill="toself", fillcolor=soft(look[0], 0.15), mode="none", hoverinfo="skip",
                showlegend=False, legendgroup=name, **where,
            )  # fmt: skip
            first = panel == df.loc[df["series"] == name, "panel"].iloc[0] if "panel" in df else True
            fig.add_scatter(
                x=f32(rows["x"]), y=f32(rows["value"]), mode="lines+markers", name=str(name), legendgroup=name,
                showlegend=bool(first), line={"color": look[0], "dash": look[1], "width": 2.5},
                marker={"symbol": look[2], "size": 8}, **where,
            )  # fmt: skip
    fig.update_layout(template=TEMPLATE, width=max(640, 360 * columns), height=110 + 310 * deep)
    fig.update_layout(legend={"y": 1 + 0.1 / deep}, margin_t=90)
    fig.update_annotations(font_size=15)
    fig.update_xaxes(type="log" if "x" in log else None)
    fig.update_xaxes(title_text=xlabel, row=deep)
    fig.update_yaxes(type="log" if "y" in log else None)
    fig.update_yaxes(title_text=ylabel, col=1)
    return checked(fig, "curves")


def gammas(df: pd.DataFrame, each: int = 150) -> go.Figure:
    """RootNet's gamma against the one that the person needed, on the diagonal where the depth is right.

    Columns: group, needed, found. At most `each` people of a group are drawn, the first; at most six groups.
    """
    need(df, "gammas", "group", "needed", "found")
    fig = figure(width=640, height=560)
    fig.update_layout(xaxis_title="gamma needed: true depth / k", yaxis_title="gamma found: RootNet's")
    low, high = (np.quantile(df[["needed", "found"]], [0.005, 0.995]) * [0.9, 1.1]).tolist()
    diagonal = {"color": GREY, "width": 1.5}
    fig.add_scatter(x=f32([low, high]), y=f32([low, high]), mode="lines", line=diagonal, name="right", hoverinfo="skip")
    for i, (group, rows) in enumerate(df.groupby("group", sort=False)):
        some = rows.head(each)
        look = {"color": VARIANTS[i % 6], "symbol": SYMBOLS[i % 6], "size": 7, "opacity": 0.65}
        fig.add_scatter(x=f32(some["needed"]), y=f32(some["found"]), mode="markers", marker=look, name=str(group))
    fig.update_xaxes(range=[low, high])
    fig.update_yaxes(range=[low, high], scaleanchor="x")
    return checked(fig, "gammas")
