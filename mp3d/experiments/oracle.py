"""The oracle audit: what a fit to the truth, made before scoring, does to root depths.

TDBU's released pipeline (Cheng et al., CVPR 2021) aligns the root depths of all people of a video to the true ones
before it scores them, with Procrustes analysis in one dimension. That is ordinary least squares with an intercept,
and it leaves traces in any prediction that went through it, whoever made it:

- its mean is the truth's mean, and truth = prediction + an error uncorrelated with the prediction (slope 1);
- its standard deviation is |rho| times the truth's, rho being the correlation of the two, and R2 = rho^2;
- a prediction that knows nothing becomes a constant, the truth's mean, which only the truth tells.

`scores` looks for these traces in real depths (`mp3d.data.tdbu_outputs`) and sets two constants beside them that know
the truth and no image. `lift` shows on made-up depths what the fit hides. `refitted` fits on one part of a video and
scores on another: least squares does not care by which scale and shift a prediction was changed before, so what it
gives on the released depths is what it would have given on the raw ones, which were not released. All depths in mm.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mp3d.data.tdbu_outputs import Video
from mp3d.errors import BadInput
from mp3d.metrics.roots import pcod

PREDICTIONS = ("td", "bu", "integrated")
CONSTANTS = ("constant", "constant_person")
"""The true mean depth of the video, and of each person in it."""
SERIES = PREDICTIONS + CONSTANTS


def depths(videos: Iterable[Video]) -> pd.DataFrame:
    """Root depths, a row a person and frame.

    Returns
    -------
    columns sequence, frame, person, true, td, bu, integrated, constant, constant_person; depths in mm
    """
    frames = []
    for video in videos:
        frame, person = np.indices(video.depths["true"].shape)
        columns = {name: video.depths[name].ravel() for name in ("true", *PREDICTIONS)}
        frames.append(
            pd.DataFrame({"sequence": video.name, "frame": frame.ravel(), "person": person.ravel()} | columns)
        )
    if not frames:
        raise BadInput("oracle.depths", "videos", "none", "at least one")
    df = pd.concat(frames, ignore_index=True)
    df["constant"] = df.groupby("sequence", sort=False)["true"].transform("mean")
    df["constant_person"] = df.groupby(["sequence", "person"], sort=False)["true"].transform("mean")
    return df


def score(pred: Float[np.ndarray, " N"], true: Float[np.ndarray, " N"]) -> dict[str, float]:
    """One prediction's score and the traces of a fit.

    Returns
    -------
    mae : mm
    within_150, within_250 : percent with an error below 150 and 250 mm
    r2 : 1 - squared error / squared error of the truth's mean: 0 for that constant, negative for worse
    shift : mean prediction - mean truth, mm; 0 after a fit
    slope : of the truth on the prediction, cov / var; 1 after a fit, NaN for a constant
    rho : correlation; NaN for a constant
    sd_ratio : standard deviation of the prediction over the truth's; |rho| after a fit
    sd : standard deviation of the prediction, mm
    """
    error = np.abs(pred - true)
    p, t = pred - pred.mean(), true - true.mean()
    flat = _flat(pred)
    covariance = (p * t).mean()
    return {
        "mae": error.mean(),
        "within_150": 100 * (error < 150).mean(),
        "within_250": 100 * (error < 250).mean(),
        "r2": 1 - (error**2).sum() / (t**2).sum(),
        "shift": pred.mean() - true.mean(),
        "slope": np.nan if flat else covariance / p.var(),
        "rho": np.nan if flat else covariance / (p.std() * t.std()),
        "sd_ratio": p.std() / t.std(),
        "sd": p.std(),
    }


def _flat(pred: Float[np.ndarray, " N"]) -> bool:
    """Whether all are one number but for rounding."""
    return bool(pred.std() < 1e-9 * max(1.0, abs(pred.mean())))


def scores(df: pd.DataFrame) -> pd.DataFrame:
    """`score` of every series in every sequence; columns sequence, series, n (people in frames), and those.

    Parameters
    ----------
    df : of `depths`
    """
    return pd.DataFrame(
        {"sequence": sequence, "series": name, "n": len(rows)} | score(rows[name].to_numpy(), rows["true"].to_numpy())
        for sequence, rows in df.groupby("sequence", sort=False)
        for name in SERIES
    )


def summary(table: pd.DataFrame, by: str | list[str] = "series") -> pd.DataFrame:
    """Means over sequences of `scores` or `refitted`, and the MAE pooled over everybody; indexed by `by`."""
    groups = table.groupby(by, sort=False)
    means = groups[["mae", "within_150", "within_250", "r2"]].mean()
    pooled = (table["mae"] * table["n"]).groupby([table[b] for b in np.atleast_1d(by)], sort=False).sum()
    return means.assign(pooled_mae=(pooled / groups["n"].sum()).to_numpy(), sequences=groups["sequence"].nunique())


def traces(table: pd.DataFrame) -> pd.DataFrame:
    """How far the traces of a fit are from exact, the worst sequence of each prediction.

    Parameters
    ----------
    table : of `scores`

    Returns
    -------
    |mean shift| (mm), |slope - 1| and |sd ratio - |rho||; index series
    """
    rows = table[table["series"].isin(PREDICTIONS)]
    gaps = {
        "|mean shift|, mm": rows["shift"].abs(),
        "|slope - 1|": (rows["slope"] - 1).abs(),
        "|sd ratio - |rho||": (rows["sd_ratio"] - rows["rho"].abs()).abs(),
    }
    return pd.DataFrame(gaps).groupby(rows["series"], sort=False).max()


def integration(df: pd.DataFrame) -> pd.DataFrame:
    """What integrating adds, a row a sequence.

    Returns
    -------
    columns sequence, n; mae_td, mae_integrated (mm); outside: percent of the integrated depths that lie outside the
    interval between the top-down and the bottom-up one, where no mean of the two can be
    """
    low, high = np.minimum(df["td"], df["bu"]), np.maximum(df["td"], df["bu"])
    parts = pd.DataFrame(
        {
            "sequence": df["sequence"],
            "n": 1,
            "mae_td": (df["td"] - df["true"]).abs(),
            "mae_integrated": (df["integrated"] - df["true"]).abs(),
            "outside": 100.0 * ((df["integrated"] < low) | (df["integrated"] > high)),
        }
    )
    means = {"n": "sum", "mae_td": "mean", "mae_integrated": "mean", "outside": "mean"}
    return parts.groupby("sequence", sort=False).agg(means).reset_index()


def order(df: pd.DataFrame, every: int = 1) -> pd.DataFrame:
    """PCOD of every series: is nearer told from farther, among people of one frame?

    Parameters
    ----------
    every : only every so-manieth frame

    Returns
    -------
    columns series, and for each definition of `mp3d.metrics.pcod` the percentage: paper, mupots, panoptic; means over
    sequences
    """
    df = df[df["frame"] % every == 0]
    images = (df["sequence"] + " " + df["frame"].astype(str)).to_numpy()
    starts = np.flatnonzero(images[1:] != images[:-1]) + 1
    sequences = df["sequence"].to_numpy()[np.r_[0, starts]].tolist()
    true, *pred = (np.split(df[name].to_numpy(), starts) for name in ("true", *SERIES))
    return pd.DataFrame(
        {"series": name, **{kind: pcod(p, true, sequences, kind) for kind in ("paper", "mupots", "panoptic")}}
        for name, p in zip(SERIES, pred, strict=True)
    )


# ---- the fit itself --------------------------------------------------------------------------------------------------


def fit(pred: Float[np.ndarray, " N"], true: Float[np.ndarray, " N"]) -> tuple[float, float]:
    """Slope and intercept of least squares, true ~ slope * pred + intercept; a constant prediction has slope 0.

    The same as Procrustes alignment in one dimension, where the only rotations are a factor of +1 or -1.
    """
    p = pred - pred.mean()
    slope = 0.0 if _flat(pred) else float((p * true).sum() / (p**2).sum())
    return slope, float(true.mean() - slope * pred.mean())


def lift(
    true: Float[np.ndarray, " N"],
    noise: float | int = 0.0,
    scale: float | int = 1.0,
    offset: float | int = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores of a made-up prediction, scale * true + offset + noise, before and after it is fitted to the truth.

    The fit takes away scale and offset whatever they are, even where scale is 0 or negative, and shrinks the noise: the
    error's standard deviation becomes sd(true) * sqrt(1 - rho^2), never more than that of the truth itself.

    Parameters
    ----------
    true : mm
    noise : standard deviation of normal noise, mm

    Returns
    -------
    index "raw", "fitted"; columns as `score`
    """
    pred = scale * true + offset + noise * np.random.default_rng(seed).standard_normal(len(true))
    slope, intercept = fit(pred, true)
    return pd.DataFrame([score(pred, true), score(slope * pred + intercept, true)], ["raw", "fitted"])


def lifts(seed: int = 0) -> pd.DataFrame:
    """`lift` for five made-up predictions of 500 people at 2.5 to 6 m: two that are biased, three that are noisy."""
    true = np.random.default_rng(seed).uniform(2500, 6000, 500)
    kinds = {
        "5 % too far": {"scale": 1.05},
        "half a metre too far": {"offset": 500},
        "noise of 300 mm": {"noise": 300},
        "noise of 2 m": {"noise": 2000},
        "nothing but noise": {"scale": 0, "noise": 500, "offset": 3000},
    }
    rows = {(name, when): row for name, how in kinds.items() for when, row in lift(true, seed=seed, **how).iterrows()}
    return pd.DataFrame(rows).T[["mae", "within_250", "r2", "slope"]]


def refitted(df: pd.DataFrame) -> pd.DataFrame:
    """Scores after fits to a part of the truth: how much of a score did the fit to all of it bring?

    Three fits of each predicted series in each sequence:

    - "whole video": to everything that is then scored, as released;
    - "other half": the frames of either half with the fit to the other half;
    - "other people": each person with the fit to everybody else in the video.

    For td and bu the last two equal what the same fits would make of the raw depths, because least squares takes any
    earlier scale and shift along. The integrated depths were computed from fitted ones and keep what they took over
    from there. None of this is the score of the raw depths themselves, which were not released: a network that knows
    metres needs no fit, and one from a single other person, who hardly moves in depth, can do harm.

    Returns
    -------
    columns sequence, series, fit, n, and those of `score`
    """
    out = []
    for sequence, rows in df.groupby("sequence", sort=False):
        true, person = rows["true"].to_numpy(), rows["person"].to_numpy()
        late = rows["frame"].to_numpy() >= (rows["frame"].max() + 1) / 2
        parts = {
            "whole video": [np.ones(len(rows), bool)],
            "other half": [~late, late],
            "other people": [person == p for p in np.unique(person)],
        }
        for name in PREDICTIONS:
            for kind, tested in parts.items():
                moved = _cross_fitted(rows[name].to_numpy(), true, tested)
                out.append({"sequence": sequence, "series": name, "fit": kind, "n": len(rows)} | score(moved, true))
    return pd.DataFrame(out)


def _cross_fitted(
    pred: Float[np.ndarray, " N"], true: Float[np.ndarray, " N"], tested: list[Bool[np.ndarray, " N"]]
) -> Float[np.ndarray, " N"]:
    """Each part moved by the fit to what is not in it; a part that is everything, by the fit to itself."""
    moved = np.empty(len(pred))
    for part in tested:
        others = part if part.all() else ~part
        slope, intercept = fit(pred[others], true[others])
        moved[part] = slope * pred[part] + intercept
    return moved
