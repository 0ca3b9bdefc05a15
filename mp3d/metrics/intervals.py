"""Bootstrap intervals of metrics over sequences or scenes, and tables that carry them.

Frames of a video resemble each other, so what is resampled is a sequence as a whole (or a scene, where scenes are
independent), never a frame of a video or a joint. A pooled figure such as 3DPCK is a ratio of sums: sequences are
drawn with their weights, and numerator and denominator are summed anew.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import bootstrap, norm, t

from mp3d.errors import BadInput

Bounds = tuple[float | int, float | int]
Interval = tuple[float, float, float]
"""The figure, and the ends of its interval."""

CONFIDENCE = 0.95
"""How often an interval is to hold the truth."""


def interval(
    values: Float[np.ndarray, " S"],
    weights: Float[np.ndarray, " S"] | Int[np.ndarray, " S"] | None = None,
    bounds: Bounds = (-np.inf, np.inf),
) -> Interval:
    """Mean over sequences with its bootstrap interval.

    Parameters
    ----------
    values : (S,) one figure a sequence, e.g. its 3DPCK; NaN is left out, as is a sequence of no weight
    weights : (S,) numbers of instances for a pooled mean: joints for a 3DPCK, people for an MPJPE. Default: equal, a
        plain mean over sequences. Either way a sequence is what is drawn
    bounds : what the metric cannot leave, e.g. (0, 100)

    Returns
    -------
    mean, low, high; low and high are NaN for fewer than two sequences
    """
    values = np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    if weights.shape != values.shape:
        raise BadInput("interval", "weights", f"shape {weights.shape}", f"{values.shape}, as values")
    if not (weights >= 0).all():
        raise BadInput("interval", "weights", "negative or NaN", "numbers of instances")
    counts = np.isfinite(values) & (weights > 0)
    return ratio_interval((values * weights)[counts], weights[counts], bounds)


def ratio_interval(
    numerators: Float[np.ndarray, " S"],
    denominators: Float[np.ndarray, " S"],
    bounds: Bounds = (-np.inf, np.inf),
) -> Interval:
    """Ratio of sums over sequences, sum(numerators) / sum(denominators), with its interval; as `interval` otherwise."""

    def metric(chosen, axis=-1):
        return numerators[chosen].sum(axis) / denominators[chosen].sum(axis)

    used = denominators > 0
    numerators, denominators = numerators[used], denominators[used]
    return _resample(metric, len(numerators), bounds, vectorized=True)


def metric_interval(
    metric: Callable[[Int[np.ndarray, " S"]], float],
    count: int,
    bounds: Bounds = (-np.inf, np.inf),
    resamples: int = 999,
) -> Interval:
    """Any metric of a set of sequences, e.g. an average precision, with its interval.

    Parameters
    ----------
    metric : takes indices of sequences, some of them several times, and returns the figure
    count : the number of sequences
    """
    return _resample(metric, count, bounds, vectorized=False, resamples=resamples)


def summarise(
    counts: pd.DataFrame,
    metrics: dict[str, tuple[str, str]],
    by: str | None = None,
    over: str | None = None,
    bounds: dict[str, Bounds] | None = None,
) -> pd.DataFrame:
    """Metrics that are ratios of sums, from a tidy table of their parts.

    Parameters
    ----------
    counts : a row a frame, say, with the columns named below
    metrics : name of the metric -> (column of numerators, column of denominators)
    by : column that makes the rows of the result; default: one row, "all"
    over : column of what is resampled, "sequence" or "frame"; the result then carries "X low" and "X high" after each
        metric X. Default: no intervals
    bounds : of a metric, as in `interval`

    Returns
    -------
    one row a group in order of appearance, one column a metric (NaN where the denominator is 0)
    """
    asked = [*(c for pair in metrics.values() for c in pair), *(c for c in (by, over) if c)]
    if missing := [column for column in asked if column not in counts]:
        raise BadInput("summarise", "columns", list(counts), f"{missing} too")
    groups = [("all", counts)] if by is None else counts.groupby(by, sort=False)
    rows = {}
    for group, part in groups:
        row = rows[group] = {}
        for name, (numerator, denominator) in metrics.items():
            sums = part if over is None else part.groupby(over, sort=False)[[numerator, denominator]].sum()
            top, bottom = (sums[column].to_numpy(float) for column in (numerator, denominator))
            if over is None:
                row[name] = top.sum() / bottom.sum() if bottom.sum() else np.nan
            else:
                ends = ratio_interval(top, bottom, (bounds or {}).get(name, (-np.inf, np.inf)))
                row.update(zip((name, f"{name} low", f"{name} high"), ends, strict=True))
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def widening(count: int, confidence: float = CONFIDENCE) -> float:
    """By how much a percentile interval over so few values is too short; 1 for one value, which has no interval.

    It misses a factor sqrt(n / (n - 1)) of their spread and takes a normal quantile for one of Student's t.
    """
    if count == 1:
        return 1.0
    tail = (1 + confidence) / 2
    return float(np.sqrt(count / (count - 1)) * t.ppf(tail, count - 1) / norm.ppf(tail))


def _resample(metric: Callable, count: int, bounds: Bounds, vectorized: bool, resamples: int = 4999) -> Interval:
    """The metric of all, and its percentile interval (`scipy.stats.bootstrap`, the same resamples each time).

    The interval is put right by `widening`, to either side of the figure.
    """
    if count == 0:
        return (np.nan,) * 3
    every = np.arange(count)
    centre = float(metric(every))
    if count == 1:
        return centre, np.nan, np.nan
    result = bootstrap(
        (every,),
        metric,
        n_resamples=resamples,
        batch=500 if vectorized else None,
        vectorized=vectorized,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=0,
    )
    wider = widening(count)
    low, high = (centre + wider * (end - centre) for end in result.confidence_interval)
    return centre, *(float(np.clip(end, *bounds)) for end in (low, high))
