"""From figures of single scenes to tables: curves with intervals, and studies that claims are judged by."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.metrics.intervals import Bounds, interval


def point(
    series: str,
    x: float | int | str,
    values: Float[np.ndarray, "seeds scenes"],
    n: np.ndarray | None = None,
    panel: str = "",
    bounds: Bounds = (-np.inf, np.inf),
) -> dict:
    """A row of a curve table: the mean with its 95 % interval; scenes are resampled, after their mean over seeds.

    Parameters
    ----------
    values : (S, C) a scene's mean; NaN does not count. Where each seed has scenes of its own, all may be in one row
    n : (S, C) or (C,) how many it is the mean of; default: one
    bounds : what the figure cannot leave, e.g. (0, 100)
    """
    n = np.broadcast_to(1.0 if n is None else n, values.shape) * np.isfinite(values)
    total = n.sum(0)
    mean = (np.nan_to_num(values) * n).sum(0) / np.maximum(total, 1e-12)
    value, low, high = interval(np.where(total > 0, mean, np.nan), total, bounds)
    return {"panel": panel, "series": series, "x": x, "value": value, "low": low, "high": high}


def share(top: Int[Tensor, " scenes"], bottom: Int[Tensor, " scenes"]) -> tuple[np.ndarray, np.ndarray]:
    """`values` (in %, in one row) and `n` of `point` for parts of a whole."""
    return (100 * top / bottom.clamp(min=1)).double().numpy()[None], bottom.numpy()


def study_table(name: str, units: dict[tuple[str, int], tuple[np.ndarray, dict[str, np.ndarray]]]) -> pd.DataFrame:
    """A study table of {(variant, seed): (n of each scene, {metric: value of each scene})}.

    Scenes are called after the study, so that tables of several can be joined and judged at once.
    """
    rows = []
    for (variant, seed), (n, metrics) in units.items():
        scene = [f"{name}-{i:03d}" for i in range(len(n))]
        rows.append(pd.DataFrame({"variant": variant, "seed": seed, "scene": scene, "n": n} | metrics))
    return pd.concat(rows, ignore_index=True)


def scene_mean(values: Tensor, counts: Bool[Tensor, "..."]) -> Float[np.ndarray, " scenes"]:
    """The mean of each scene over people, joints or what else there is, where `counts`; NaN where nothing does."""
    values, counts = values.flatten(1).double(), counts.flatten(1)
    total = torch.where(counts, values, 0).sum(1)
    return torch.where(counts.any(1), total / counts.sum(1).clamp(min=1), torch.nan).numpy()


def wide(df: pd.DataFrame, index: Sequence[str] = ("panel", "series"), columns: str = "x") -> pd.DataFrame:
    """A curve table with its x side by side, to be read as a table."""
    pivot = df.pivot_table("value", [name for name in index if name in df], columns, sort=False)
    return pivot.rename(columns=lambda x: x if isinstance(x, str) else f"{x:.3g}").rename_axis(columns=None)
