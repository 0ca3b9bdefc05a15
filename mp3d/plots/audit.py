"""Figures of the audit: printed averages against recomputed ones, and root depths against the truth."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from mp3d.errors import BadInput
from mp3d.plots.style import BLUE, GREY, INK, ORANGE, SYMBOLS, VARIANTS, VERMILION, checked, f32, figure, need

NAMES = {
    "td": "top-down",
    "bu": "bottom-up",
    "integrated": "integrated",
    "constant": "constant: mean of the video",
    "constant_person": "constant: mean of each person",
}
MOST = 1500
"""Points of `depth_scatter`, so that a notebook stays small."""


def averages(df: pd.DataFrame, unit: str = "mm or points") -> go.Figure:
    """How far a printed average lies from the plain and from the weighted mean of its own row; a band of +-0.1.

    Columns: table (groups the lines), row, off_plain, off_weighted (printed minus recomputed; NaN: not drawn).
    """
    need(df, "averages", "table", "row", "off_plain", "off_weighted")
    df = df.iloc[::-1]
    y = [df["table"].tolist(), df["row"].tolist()]
    fig = figure(width=760, height=150 + 24 * len(df), xaxis_title=f"printed minus recomputed ({unit})", margin_l=190)
    fig.add_vrect(x0=-0.1, x1=0.1, fillcolor="#dddddd", line_width=0, layer="below")
    for name, column, colour, symbol in (
        ("plain mean", "off_plain", VERMILION, "circle-open"),
        ("weighted mean", "off_weighted", BLUE, "diamond"),
    ):
        marker = {"color": colour, "symbol": symbol, "size": 10, "line": {"color": colour, "width": 2}}
        fig.add_scatter(x=f32(df[column]), y=y, mode="markers", marker=marker, name=name)
    fig.update_xaxes(zeroline=True, zerolinewidth=1)
    fig.update_yaxes(showgrid=True, tickfont_size=14, dividerwidth=1)
    return checked(fig, "averages")


def depth_scatter(df: pd.DataFrame, sequences: Sequence[str]) -> go.Figure:
    """Predicted against true root depth, a panel a series, for some sequences; the diagonal is the truth.

    A sample of the rows is drawn, the same each time, at most 1,500 points in all.

    Columns: sequence, true, td, bu, integrated (mm); at most six sequences.
    """
    need(df, "depth_scatter", "sequence", "true", "td", "bu", "integrated")
    if lack := [name for name in sequences if name not in set(df["sequence"])]:
        raise BadInput("plots.depth_scatter", "sequences", lack, "sequences of the table")
    if not 0 < len(sequences) <= len(VARIANTS):
        raise BadInput("plots.depth_scatter", "sequences", len(sequences), f"1 to {len(VARIANTS)}")
    series = ("td", "bu", "integrated")
    rows = df[df["sequence"].isin(sequences)]
    # At random: every so-manieth row may always be the same person. Six points draw the diagonals.
    rows = rows.sample(min(len(rows), (MOST - 6) // 3), random_state=0)
    drawn = rows[["true", *series]].to_numpy() / 1000
    span = f32([drawn.min() - 0.1, drawn.max() + 0.1])  # m; room for the outermost marks
    fig = figure(width=900, height=420, margin_b=70)
    for panel, name in enumerate(series):
        x, y = (f"{axis}{panel + 1 if panel else ''}" for axis in "xy")
        left = panel / 3 + 0.02 * panel
        fig.update_layout({f"{x[0]}axis{x[1:]}": {"domain": [left, left + 0.29], "anchor": y, "range": span.tolist()}})
        fig.update_layout({f"{y[0]}axis{y[1:]}": {"anchor": x, "range": span.tolist(), "showticklabels": panel == 0}})
        fig.add_annotation(
            x=0, y=1, xref=f"{x} domain", yref=f"{y} domain", text=NAMES[name], showarrow=False,
            xanchor="left", yanchor="top", xshift=6, bgcolor="rgba(255,255,255,0.8)",
        )  # fmt: skip
        line = {"color": GREY, "width": 1, "dash": "dash"}
        fig.add_scatter(x=span, y=span, xaxis=x, yaxis=y, mode="lines", line=line, showlegend=False, hoverinfo="skip")
        for i, sequence in enumerate(sequences):
            own = rows[rows["sequence"] == sequence]
            fig.add_scatter(
                x=f32(own["true"] / 1000), y=f32(own[name] / 1000), xaxis=x, yaxis=y, mode="markers", name=sequence,
                legendgroup=sequence, showlegend=panel == 0,
                marker={"color": VARIANTS[i], "symbol": SYMBOLS[i], "size": 6, "opacity": 0.6},
            )  # fmt: skip
    fig.update_layout(xaxis2_title="true root depth (m)", yaxis_title="predicted root depth (m)")
    return checked(fig, "depth_scatter")


def depth_errors(df: pd.DataFrame) -> go.Figure:
    """Mean absolute error of the root depth by sequence: predictions as bars, constants that know the truth as marks.

    Columns: sequence, series (td, bu, integrated, constant, constant_person), mae (mm).
    """
    need(df, "depth_errors", "sequence", "series", "mae")
    if unknown := set(df["series"]) - set(NAMES):
        raise BadInput("plots.depth_errors", "series", sorted(unknown), f"{', '.join(NAMES)}")
    fig = figure(width=900, height=460, yaxis_title="mean error of root depth (mm)", xaxis_title="sequence")
    looks = {"td": (ORANGE, ""), "bu": (GREY, "/"), "integrated": (BLUE, "x")}
    marks = {"constant": "line-ew", "constant_person": "diamond-wide"}
    for name, label in NAMES.items():
        rows = df[df["series"] == name]
        if rows.empty:
            continue
        if name in looks:
            colour, shape = looks[name]
            marker = {"color": colour, "pattern": {"shape": shape, "fillmode": "overlay", "fgcolor": "white"}}
            fig.add_bar(x=rows["sequence"].tolist(), y=f32(rows["mae"]), marker=marker, name=label)
        else:
            marker = {"symbol": marks[name], "color": INK, "size": 12, "line": {"color": INK, "width": 2}}
            fig.add_scatter(x=rows["sequence"].tolist(), y=f32(rows["mae"]), mode="markers", marker=marker, name=label)
    fig.update_xaxes(tickangle=-60, tickfont_size=14, type="category")
    fig.update_layout(legend={"entrywidth": 250})
    return checked(fig, "depth_errors")
