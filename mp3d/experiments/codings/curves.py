"""From figures of single scenes to curves with intervals."""

import numpy as np
import pandas as pd

from mp3d.metrics.intervals import Bounds, ratio_interval


def curve(rows: pd.DataFrame, bounds: Bounds = (-np.inf, np.inf)) -> pd.DataFrame:
    """Ratios of sums over scenes, with their 95 % bootstrap intervals over scenes (`intervals.ratio_interval`).

    Parameters
    ----------
    rows : a row a scene, with columns series, x, top and bottom, and panel if there is one; scenes without anything to
        count have bottom 0
    bounds : what the figure cannot leave, e.g. (0, 100)

    Returns
    -------
    columns series, x, value, low, high, and panel if there is one; in the order of appearance
    """
    keys = [key for key in ("panel", "series", "x") if key in rows]
    found = []
    for place, part in rows.groupby(keys, sort=False):
        ends = ratio_interval(part["top"].to_numpy(float), part["bottom"].to_numpy(float), bounds)
        found.append(dict(zip(keys, place, strict=True)) | dict(zip(("value", "low", "high"), ends, strict=True)))
    return pd.DataFrame(found)
