"""Figures of tables: gains with their intervals, forests, attention, curves.

What a paper printed is drawn as an open diamond and nothing else is, so its numbers, made on other data, are never
taken for ours.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mp3d.plots.style import (
    BLUE,
    DASHES,
    GREY,
    INK,
    ORANGE,
    PAPER,
    SYMBOLS,
    VARIANTS,
    VERMILION,
    checked,
    f32,
    figure,
    need,
    soft,
)


def _bars(df: pd.DataFrame, value: str = "gain") -> dict[str, object]:
    """Error bars from `low` to `high`; none where they are NaN."""
    reach = {"array": f32(df["high"] - df[value]), "arrayminus": f32(df[value] - df["low"])}
    return {"type": "data", "symmetric": False, "thickness": 2, "width": 5, **reach}


def gain_by_sequence(df: pd.DataFrame, unit: str = "MPJPE, mm") -> go.Figure:
    """Gain of each test sequence with its interval, and the paper's sequences of the same number.

    Columns: scene, gain, low, high, paper (NaN: not drawn).
    """
    need(df, "gain_by_sequence", "scene", "gain", "low", "high", "paper")
    fig = figure(width=760, height=420, xaxis_title="test sequence", yaxis_title=f"gain ({unit})")
    fig.update_xaxes(tickangle=-60, tickfont_size=14, type="category")
    fig.add_bar(x=df["scene"], y=f32(df["gain"]), error_y=_bars(df), marker_color=BLUE, name="here, duet")
    fig.add_scatter(
        x=df["scene"], y=f32(df["paper"]), mode="markers", marker=PAPER, name="paper, MuPoTS-3D (S1 to S20)"
    )
    return checked(fig, "gain_by_sequence")


def gain_by_joint(df: pd.DataFrame, unit: str = "3DPCK, points") -> go.Figure:
    """Gain of each joint group with its interval, and the paper's.

    Columns: joint, gain, low, high, paper (NaN: not drawn).
    """
    need(df, "gain_by_joint", "joint", "gain", "low", "high", "paper")
    fig = figure(xaxis_title="joint", yaxis_title=f"gain ({unit})")
    fig.add_bar(x=df["joint"], y=f32(df["gain"]), error_y=_bars(df), marker_color=BLUE, name="here, duet")
    fig.add_scatter(x=df["joint"], y=f32(df["paper"]), mode="markers", marker=PAPER, name="paper, MuPoTS-3D")
    return checked(fig, "gain_by_joint")


def forest(
    df: pd.DataFrame, title: str = "difference in MPJPE (mm)", here: str = "duet", data: str = "MuPoTS-3D"
) -> go.Figure:
    """Differences with their intervals, one below the other; a line at zero.

    Columns: label, difference, low, high; optional: table (groups the lines), paper (an open diamond). A difference
    whose interval lies across zero is drawn hollow.

    Parameters
    ----------
    here, data : what is measured on, by us and by the paper
    """
    need(df, "forest", "label", "difference", "low", "high")
    df = df.iloc[::-1]
    groups = df.get("table")
    y = df["label"].tolist() if groups is None else [groups.tolist(), df["label"].tolist()]
    clear = ((df["low"] > 0) | (df["high"] < 0)).to_numpy()
    fig = figure(width=700, height=130 + 30 * len(df), xaxis_title=title)
    fig.update_layout(margin_l=90 if groups is None else 150, xaxis_zeroline=True, xaxis_zerolinewidth=2)
    fig.update_yaxes(showgrid=False, tickfont_size=15, dividerwidth=1)
    marker = {"color": np.where(clear, BLUE, "white").tolist(), "size": 11, "line": {"color": BLUE, "width": 2}}
    fig.add_scatter(
        x=f32(df["difference"]), y=y, mode="markers", marker=marker, error_x=_bars(df, "difference") | {"color": BLUE},
        name=f"here, {here} (hollow: across zero)",
    )  # fmt: skip
    if "paper" in df and df["paper"].notna().any():
        fig.add_scatter(x=f32(df["paper"]), y=y, mode="markers", marker=PAPER, name=f"paper, {data}")
    return checked(fig, "forest")


def coupling(df: pd.DataFrame) -> go.Figure:
    """What companions give, by kind of interaction: methods side by side with their intervals.

    Columns: kind, method, gain, low, high (mm).
    """
    need(df, "coupling", "kind", "method", "gain", "low", "high")
    order = df.groupby("kind")["gain"].max().sort_values(ascending=False).index
    fig = figure(width=700, height=460, yaxis_title="gain by companions (mm)", margin_b=110)
    for i, (method, rows) in enumerate(df.groupby("method", sort=False)):
        rows = rows.set_index("kind").loc[[k for k in order if k in set(rows["kind"])]].reset_index()
        fig.add_bar(
            x=rows["kind"].str.replace("_", " "), y=f32(rows["gain"]), error_y=_bars(rows), name=method,
            marker={"color": (ORANGE, BLUE)[i % 2], "pattern_shape": ("/", "")[i % 2]},
        )  # fmt: skip
    fig.update_xaxes(tickangle=-35)
    return checked(fig, "coupling")


def _binned(distance: pd.Series, values: pd.Series, bins: int) -> pd.DataFrame:
    """Quantile bins: middle of the distance (m), median and quartiles of the values."""
    bin_ = pd.qcut(distance, bins, duplicates="drop")
    grouped = values.groupby(bin_, observed=True)
    return pd.DataFrame(
        {"x": distance.groupby(bin_, observed=True).median() / 1000, "mid": grouped.median()}
        | {"low": grouped.quantile(0.25), "high": grouped.quantile(0.75)}
    )


def _band(fig: go.Figure, rows: pd.DataFrame, i: int, name: str, middle: str = "mid") -> None:
    """A line with markers over a band from `low` to `high`; series `i`'s colour, dash and symbol."""
    outline = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    fig.add_scatter(x=f32(rows["x"]), y=f32(rows["high"]), **outline)
    fig.add_scatter(x=f32(rows["x"]), y=f32(rows["low"]), fill="tonexty", fillcolor=soft(VARIANTS[i], 0.15), **outline)
    fig.add_scatter(
        x=f32(rows["x"]), y=f32(rows[middle]), mode="lines+markers", name=name,
        line={"color": VARIANTS[i], "dash": DASHES[i], "width": 3}, marker={"symbol": SYMBOLS[i], "size": 9},
    )  # fmt: skip


def error_by_distance(df: pd.DataFrame, bins: int = 8) -> go.Figure:
    """Error against the distance to the nearest person: median and quartiles in bins of equal numbers of people.

    Columns: variant, distance (mm), mpjpe (mm); at most six variants.
    """
    need(df, "error_by_distance", "variant", "distance", "mpjpe")
    fig = figure(xaxis_title="distance to the nearest person (m)", yaxis_title="MPJPE (mm)", yaxis_rangemode="tozero")
    for i, (variant, rows) in enumerate(df.groupby("variant", sort=False)):
        _band(fig, _binned(rows["distance"], rows["mpjpe"], bins), i, f"{variant} (median, quartiles)")
    return checked(fig, "error_by_distance")


def attention_matrix(weights: np.ndarray, labels: Sequence[str], title: str = "") -> go.Figure:
    """Heat map of attention: row n is what person n takes from everyone; numbers in the cells.

    Parameters
    ----------
    weights : (N, N), rows sum to 1
    """
    weights = f32(weights)
    fig = figure(title, width=480, height=420, xaxis_title="takes from", yaxis_title="person")
    fig.add_heatmap(
        z=weights, x=list(labels), y=list(labels), zmin=0, zmax=1, colorscale=[[0, "white"], [1, BLUE]],
        text=[[f"{w:.2f}" for w in row] for row in weights], texttemplate="%{text}",
        colorbar={"title": "weight", "thickness": 14},
    )  # fmt: skip
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(showgrid=False)
    return checked(fig, "attention_matrix")


def attention_by_distance(df: pd.DataFrame, bins: int = 8) -> go.Figure:
    """Attention on companions against their distance, by number of people; what is on oneself as a level line.

    Columns: people, place (0 oneself), distance (mm), weight.
    """
    need(df, "attention_by_distance", "people", "place", "distance", "weight")
    fig = figure(xaxis_title="distance of the companion (m)", yaxis_title="attention weight", yaxis_rangemode="tozero")
    for i, (people, rows) in enumerate(df.groupby("people")):
        others = rows[rows["place"] > 0]
        _band(fig, _binned(others["distance"], others["weight"], bins), i, f"{people} people: on a companion")
        own = rows.loc[rows["place"] == 0, "weight"].median()
        span = f32(others["distance"].quantile([0.02, 0.98]) / 1000)
        fig.add_scatter(
            x=span, y=f32([own, own]), mode="lines", name=f"{people} people: on oneself",
            line={"color": VARIANTS[i], "dash": "dot", "width": 2},
        )  # fmt: skip
    fig.update_layout(height=460, legend={"entrywidth": 240})
    return checked(fig, "attention_by_distance")


def learning_curves(df: pd.DataFrame, shown: Sequence[str] = ()) -> go.Figure:
    """Training loss against steps: the mean over seeds, a band from the smallest to the largest.

    Columns: variant, seed, step, loss; `shown` (default: all) are told apart, the others are grey.
    """
    need(df, "learning_curves", "variant", "seed", "step", "loss")
    fig = figure(width=700, height=460, xaxis_title="training step", yaxis_title="L1 loss (normalised units)")
    fig.update_yaxes(type="log")
    shown = list(shown or df["variant"].unique())[: len(VARIANTS)]
    for variant, rows in df.groupby("variant", sort=False):
        by_step = rows.groupby("step")["loss"]
        line = pd.DataFrame({"mid": by_step.mean(), "low": by_step.min(), "high": by_step.max()})
        line = line.iloc[:: max(1, len(line) // 20)].rename_axis("x").reset_index()
        if variant in shown:
            _band(fig, line, shown.index(variant), variant)
        else:
            grey = {"color": GREY, "width": 1}
            fig.add_scatter(
                x=f32(line["x"]), y=f32(line["mid"]), mode="lines", line=grey, showlegend=False, name=variant
            )
    return checked(fig, "learning_curves")


def over_time(df: pd.DataFrame, ylabel: str) -> go.Figure:
    """Lines over frames, e.g. a joint's height before and after: jitter is what the eye sees.

    Columns: frame, then one a line.
    """
    need(df, "over_time", "frame")
    fig = figure(xaxis_title="frame", yaxis_title=ylabel)
    for i, name in enumerate(c for c in df if c != "frame"):
        line = {"color": (VERMILION, BLUE, INK)[i % 3], "dash": DASHES[i], "width": 2.5}
        fig.add_scatter(x=f32(df["frame"]), y=f32(df[name]), mode="lines", name=name, line=line)
    return checked(fig, "over_time")
