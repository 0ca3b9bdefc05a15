"""TDBU's figures: the weights that its gate gave to real people."""

import pandas as pd
import plotly.graph_objects as go

from mp3d.plots.style import BLUE, INK, VERMILION, checked, f32, figure, need

MOST = 900
"""People of the left panel, so that a notebook stays small."""


def gate_weights(df: pd.DataFrame) -> go.Figure:
    """The two weights of the top-down branch: against one another, and the depth's range and median by video.

    At most 900 rows are drawn in the left panel, the same each time. Beyond the line at 1 a depth lies outside of both.

    Columns: sequence, w, v.
    """
    need(df, "gate_weights", "sequence", "w", "v")
    some = df.sample(min(len(df), MOST), random_state=0)
    videos = list(df["sequence"].unique())
    fig = figure(width=900, height=440, margin_t=40, margin_b=80)
    fig.update_layout(
        xaxis={"domain": [0, 0.36], "title": "weight w of the top-down pose"},
        yaxis={"title": "weight v of the top-down depth"},
        xaxis2={"domain": [0.46, 1], "anchor": "y2", "type": "category", "tickangle": -60, "tickfont_size": 14},
        yaxis2={"anchor": "x2", "title": "v: smallest, median, largest"},
        showlegend=False,
    )
    dots = {"color": BLUE, "size": 5, "opacity": 0.5}
    fig.add_scatter(x=f32(some["w"]), y=f32(some["v"]), mode="markers", marker=dots, name="a person in a frame")
    spread = df.groupby("sequence", sort=False)["v"].agg(["min", "median", "max"]).loc[videos]
    reach = {"array": f32(spread["max"] - spread["median"]), "arrayminus": f32(spread["median"] - spread["min"])}
    fig.add_scatter(
        x=videos, y=f32(spread["median"]), xaxis="x2", yaxis="y2", mode="markers", name="video",
        marker={"color": INK, "size": 9}, error_y={"type": "data", "symmetric": False, "color": INK, **reach},
    )  # fmt: skip
    for x, y in (("x domain", "y"), ("x2 domain", "y2")):
        line = {"color": VERMILION, "dash": "dash", "width": 2}
        fig.add_shape(type="line", xref=x, yref=y, x0=0, x1=1, y0=1, y1=1, line=line)
    return checked(fig, "gate_weights")
