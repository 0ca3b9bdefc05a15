"""What the synthetic worlds look like in numbers: small multiples, a row a quantity and a column a world."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mp3d.plots.style import BLUE, DASHES, ORANGE, PAPER, checked, f32, figure, need

_LEVELS = np.linspace(0, 1, 25)
_AT = {"least": 0.0, "most": 1.0, "mean": 0.5}
_LOG = ("distance", "height")


def world_statistics(df: pd.DataFrame, published: pd.DataFrame, labels: Mapping[str, str]) -> go.Figure:
    """The share of frames or people up to each value; what is known of the real data as open diamonds.

    A known share stands where the curve should pass, the least and the most at 0 and 1, a mean at one half, with
    its name. A second motion of a world is drawn beside the first.

    Parameters
    ----------
    df : columns world, motion, quantity, value, as `experiments.world_statistics.table` gives them
    published : columns world, data, quantity, what ("share", "least", "most", "mean"), value, share
    labels : the quantities in their order, and how their axes are called
    """
    need(df, "world_statistics", "world", "motion", "quantity", "value")
    need(published, "world_statistics", "world", "quantity", "what", "value", "share")
    names, motions = list(dict.fromkeys(df["world"])), list(dict.fromkeys(df["motion"]))
    rows, columns = len(labels), len(names)
    titles = [world if row == 0 else "" for row in range(rows) for world in names]
    plain = figure(width=230 * columns + 60, height=190 * rows + 80, showlegend=True)
    fig = make_subplots(
        rows, columns, subplot_titles=titles, vertical_spacing=0.07, horizontal_spacing=0.05, figure=plain
    )
    fig.update_annotations(font_size=16)
    told = set()
    for r, (quantity, label) in enumerate(labels.items(), 1):
        for c, world in enumerate(names, 1):
            place = {"row": r, "col": c}
            mine = df[(df["world"] == world) & (df["quantity"] == quantity)]
            for i, motion in enumerate(motions):
                value = mine.loc[mine["motion"] == motion, "value"]
                if len(value):
                    line = {"color": (BLUE, ORANGE)[i % 2], "dash": DASHES[2 * i % 6], "width": 2, "shape": "hv"}
                    x = np.quantile(value, _LEVELS, method="inverted_cdf")
                    name = f"here, motion by {motion}"
                    fig.add_scatter(
                        x=f32(x), y=f32(_LEVELS), mode="lines", line=line, name=name, **_once(told, name), **place
                    )
            known = published[(published["world"] == world) & (published["quantity"] == quantity)]
            if len(known):
                y = known["what"].map(_AT).fillna(known["share"])
                text = known["what"].where(known["what"] == "mean", "").tolist()
                look = {"mode": "markers+text", "marker": PAPER | {"size": 10}, "textposition": "middle right"}
                fig.add_scatter(
                    x=f32(known["value"]), y=f32(y), text=text, name="real data", cliponaxis=False,
                    **look, **_once(told, "real data"), **place,
                )  # fmt: skip
            fig.update_xaxes(
                title_text=label if len(mine) else "", type="log" if quantity in _LOG else "linear", **place
            )
            if not len(mine):
                fig.update_xaxes(visible=False, **place)
                fig.update_yaxes(visible=False, **place)
    fig.update_xaxes(title_font_size=14, tickfont_size=13, title_standoff=2, nticks=5)
    fig.update_yaxes(range=[-0.04, 1.04], tickfont_size=13, nticks=3)
    fig.update_yaxes(title_text="share up to", title_font_size=14, col=1)
    fig.update_layout(margin_t=70, legend={"y": 1.03})
    return checked(fig, "world_statistics")


def _once(told: set[str], name: str) -> dict[str, object]:
    """One entry a name in the legend, which switches all its curves."""
    first = name not in told
    told.add(name)
    return {"legendgroup": name, "showlegend": first}
