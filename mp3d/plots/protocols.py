"""Figures of the lesson on metrics: poses judged by hand, a matching, a curve of thresholds, protocols side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from mp3d.plots.style import (
    BLUE,
    DASHES,
    GREY,
    INK,
    ORANGE,
    SYMBOLS,
    VARIANTS,
    VERMILION,
    checked,
    f32,
    figure,
    need,
)
from mp3d.skeletons import MPI17


def poses_by_hand(
    cases: Mapping[str, Float[np.ndarray, "17 3"]], truth: Float[np.ndarray, "17 3"], threshold: float = 150.0
) -> go.Figure:
    """Estimates of one person from the front, each over the truth; a joint off by the threshold or more is crossed.

    Parameters
    ----------
    cases : title to pose, mm from the pelvis
    threshold : mm, in three dimensions, of which the figure shows two
    """
    plain = figure(width=200 * len(cases) + 40, height=420, margin={"t": 70, "l": 60, "b": 90})
    fig = make_subplots(
        1, len(cases), subplot_titles=list(cases), shared_yaxes=True, horizontal_spacing=0.02, figure=plain
    )
    fig.update_annotations(font_size=15)
    for column, pose in enumerate(cases.values(), 1):
        wrong = np.linalg.norm(pose - truth, axis=-1) >= threshold
        for name, body, colour, width in (("truth", truth, GREY, 8), ("estimate", pose, BLUE, 3)):
            bones = [(body[p], body[c], (np.nan,) * 3) for p, c in MPI17.limbs]
            x, y, _ = f32(np.concatenate([np.array(b) for b in bones])).T
            line = {"color": colour, "width": width, "dash": "solid"}
            fig.add_scatter(x=x, y=y, mode="lines", line=line, name=name, showlegend=column == 1, row=1, col=column)
        for name, chosen, symbol, colour in (
            ("joint below 150 mm", ~wrong, "circle", BLUE),
            ("150 mm or more", wrong, "x", VERMILION),
        ):
            fig.add_scatter(
                x=f32(pose[chosen, 0]), y=f32(pose[chosen, 1]), mode="markers", row=1, col=column,
                marker={"symbol": symbol, "color": colour, "size": 9 if symbol == "circle" else 12},
                name=name, showlegend=False,
            )  # fmt: skip
        fig.update_xaxes(range=[-420, 420], title_text="x (mm)", tickvals=[-200, 0, 200], row=1, col=column)
    for name, symbol, colour in (("joint below 150 mm", "circle", BLUE), ("150 mm or more", "x", VERMILION)):
        fig.add_scatter(
            x=[None], y=[None], mode="markers", name=name, marker={"symbol": symbol, "color": colour, "size": 12}
        )
    fig.update_yaxes(range=[1120, -980])
    fig.update_yaxes(title_text="y, down (mm)", row=1, col=1)
    fig.update_layout(legend={"y": -0.22, "yanchor": "top"})
    return checked(fig, "poses_by_hand")


def matching(people: Mapping[str, Float[np.ndarray, "J 2"]], pairs: Sequence[tuple[str, str]]) -> go.Figure:
    """Joints of annotated people and of predictions along u, a row each; a line joins what was matched.

    Parameters
    ----------
    people : name to joints, px
    pairs : (annotated, predicted) names
    """
    names = list(people)
    fig = figure(width=720, height=120 + 62 * len(names), xaxis_title="u (px)")
    for one, other in pairs:
        a, b = people[one], people[other]
        both = np.stack([a[:, 0], b[:, 0], np.full(len(a), np.nan)], 1).ravel()
        rows = np.tile([names.index(one), names.index(other), np.nan], len(a))
        fig.add_scatter(
            x=f32(both),
            y=f32(rows),
            mode="lines",
            line={"color": GREY, "width": 1.5},
            showlegend=False,
            hoverinfo="skip",
        )
    for row, (name, joints) in enumerate(people.items()):
        kind = name.startswith("p")
        fig.add_scatter(
            x=f32(joints[:, 0]), y=np.full(len(joints), row), mode="markers", name=name, showlegend=False,
            marker={"color": (BLUE, ORANGE)[kind], "symbol": ("circle", "square")[kind], "size": 8},
        )  # fmt: skip
    fig.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.5, -0.5], showgrid=False, zeroline=False
    )
    fig.update_xaxes(zeroline=False)
    return checked(fig, "matching")


def threshold_curve(errors: Mapping[str, Float[np.ndarray, "N J"]], highest: float = 300.0) -> go.Figure:
    """Share of joints below each threshold, a line a set of errors (mm); the official threshold is marked."""
    fig = figure(width=700, height=430, xaxis_title="threshold (mm)", yaxis_title="joints below it (%)")
    fig.update_layout(margin_t=70)
    at = np.arange(0, highest + 1, 5)
    for i, (name, values) in enumerate(errors.items()):
        share = 100 * (values.reshape(-1, 1) < at).mean(0)
        line = {"color": VARIANTS[i], "dash": DASHES[i], "width": 3}
        fig.add_scatter(x=f32(at), y=f32(share), mode="lines", name=name, line=line)
    fig.add_vline(x=150, line={"color": INK, "width": 1})
    fig.add_annotation(x=150, y=4, text=" 150 mm: 3DPCK", xanchor="left", showarrow=False, font_size=15)
    fig.update_yaxes(range=[0, 102])
    return checked(fig, "threshold_curve")


def protocol_slide(df: pd.DataFrame) -> go.Figure:
    """The same predictions under each protocol: a row a protocol, all people and matched people, with intervals.

    Columns: variant, people ("all", "matched"), pck, low, high (%).
    """
    need(df, "protocol_slide", "variant", "people", "pck", "low", "high")
    names = list(dict.fromkeys(df["variant"]))[::-1]
    fig = figure(width=780, height=130 + 44 * len(names), xaxis_title="3DPCK of the same predictions (%)")
    fig.update_layout(margin_l=250, margin_t=60)
    fig.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[-0.6, len(names) - 0.4],
        zeroline=False,
        tickfont_size=16,
    )
    for i, (people, rows) in enumerate(df.groupby("people", sort=False)):
        y = np.array([names.index(name) for name in rows["variant"]]) + (0.14 if i == 0 else -0.14)
        reach = {"array": f32(rows["high"] - rows["pck"]), "arrayminus": f32(rows["pck"] - rows["low"])}
        fig.add_scatter(
            x=f32(rows["pck"]), y=f32(y), mode="markers", name=f"{people} people",
            error_x={"type": "data", "symmetric": False, "thickness": 2, "width": 4, **reach},
            marker={"color": VARIANTS[i], "symbol": SYMBOLS[i], "size": 11},
        )  # fmt: skip
    fig.update_xaxes(range=[0, 100])
    return checked(fig, "protocol_slide")
