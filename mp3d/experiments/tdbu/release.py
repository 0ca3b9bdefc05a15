"""What TDBU's released outputs for MuPoTS-3D tell of its pairs, its weights and its root depths (section 3.3, Table 1).

The released code was read beside its outputs, and each step that left a trace in the files is checked on them:

- `holdings`, `moved`: what the files hold. The bottom-up (BU) poses are not the network's: each was turned, scaled and
  shifted onto the top-down (TD) pose it was paired with.
- `pairings`, `reached`: the pairs, against equations 5 and 6 and the released rule. Which people the bottom-up network
  found, and where in the picture, is not in the files, so the pairs can be tested for consistency, not for truth.
- `weights`, `gate`, `rebuilt`: two numbers a person and frame, recovered from what was mixed and what came out.
- `table`: root depths, as released and changed in one respect, against the truth, a row a video, for claims.

How the depths were fitted to the truth before they were stored is `mp3d.experiments.oracle`. Depths in mm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from mp3d import study
from mp3d.data.tdbu_outputs import Video, reprojection_error
from mp3d.experiments import oracle
from mp3d.metrics import align, ap_root, pck_root, pcod
from mp3d.papers.tdbu.integration import IntegrationMLP, Pairs, gated, hard, linear
from mp3d.papers.tdbu.matching import LEAST, REACH, match, match_released, oks, similarity
from mp3d.published import load
from mp3d.skeletons import MPI17

NECK, ROOT = MPI17.index("neck"), MPI17.root
BODY = [joint for joint in range(len(MPI17)) if joint != ROOT]
SMOKE = (1, 6)
"""Videos of the `smoke` profile, one of each picture size."""

VARIANTS = {
    "td": "top-down",
    "bu": "bottom-up; also hard integration, which takes its depth",
    "integrated": "released integration",
    "linear": "mean of both",
    "mean_for_bu": "released weights, true mean of the video in place of bottom-up",
    "one_weight": "one weight a video, the median of the released ones",
    "shuffled": "released weights, dealt to other people and frames of the video",
    "ours": "our integration network, trained on synthetic people",
    "constant": "true mean of the video",
    "constant_person": "true mean of each person in the video",
    "td_half": "top-down, fitted to the other half of the video",
    "bu_half": "bottom-up, fitted to the other half",
    "integrated_half": "integrated, fitted to the other half",
    "constant_half": "true mean of the other half",
}
"""Root depths that `table` scores; "ours" where `ours` is given to it."""


# ---- what the files hold ---------------------------------------------------------------------------------------------


def holdings(videos: Iterable[Video]) -> pd.DataFrame:
    """A row a video: its size, and what can be seen in its poses without any truth.

    Returns
    -------
    frames, people; hidden : % of person-frames whose flag says that the 2D joints are guesses
    same_person, same_depth : % of frames in which two people have the same bottom-up person, or depth, to the last bit
    thick_td, thick_bu : mm, median distance (rms over joints) from the plane that fits a pose best; 0 is flat
    neck_below : % of person-frames in which the neck is below the pelvis in the picture
    other_way, other_way_below : % of person-frames, and of those with the neck below, whose integrated pose points the
    other way from its 2D joints
    """
    rows = {}
    for video in videos:
        frames, people = video.seen.shape
        depth = video.depths["bu"]
        equal = np.zeros(frames, bool)
        for a, b in combinations(range(people), 2):
            equal |= depth[:, a] == depth[:, b]
        below = video.uv[:, :, NECK, 1] > video.uv[:, :, ROOT, 1]
        rows[video.name] = {
            "frames": frames,
            "people": people,
            "hidden": 100 * (~video.seen).mean(),
            "same_person": 100 * repeated(video).mean(),
            "same_depth": 100 * equal.mean(),
            "thick_td": np.median(thickness(video.poses["td"])),
            "thick_bu": np.median(thickness(video.poses["bu"])),
            "neck_below": 100 * below.mean(),
            "other_way": 100 * (~video.agrees()).mean(),
            "other_way_below": 100 * (~video.agrees())[below].mean() if below.any() else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("video")


def repeated(video: Video) -> Bool[np.ndarray, " F"]:
    """Frames in which two tracks were given the same bottom-up person: one shape, to within 1 mm, and one depth.

    Turned and scaled onto two top-down poses a person looks like two; laid on one another they are one again.
    """
    pose, depth = video.poses["bu"], video.depths["bu"]
    twice = np.zeros(len(pose), bool)
    for a, b in combinations(range(pose.shape[1]), 2):
        off = np.linalg.norm(align(pose[:, a], pose[:, b], scale=True) - pose[:, b], axis=-1).mean(-1)
        twice |= (off < 1) & (depth[:, a] == depth[:, b])
    return twice


def thickness(pose: Float[np.ndarray, "*people 17 3"]) -> Float[np.ndarray, "*people"]:
    """The rms distance of a pose's joints from the plane that fits them best, in its unit."""
    centred = pose - pose.mean(-2, keepdims=True)
    return np.linalg.svd(centred, compute_uv=False)[..., -1] / np.sqrt(pose.shape[-2])


def moved(video: Video) -> float:
    """How far a stored bottom-up pose still moves, mm at most, when it is laid on its top-down pose: turned and scaled.

    0 for poses to which this was done before they were stored.
    """
    td, bu = video.poses["td"], video.poses["bu"]
    laid = align(bu, td, scale=True)
    return float(np.abs(laid - laid[..., ROOT, None, :] - bu).max())


# ---- pairs -----------------------------------------------------------------------------------------------------------


def pairings(videos: Iterable[Video], seed: int = 0, every: int = 1) -> pd.DataFrame:
    """Which rule finds the released pairs again after the bottom-up people of each frame were shuffled?

    Only frames that hold as many bottom-up people as top-down ones, where the question has an answer. A bottom-up
    person has no place of its own in the files: it is put on the ray of its partner, at its own depth, which gives
    away much. Confidences are 1, since the files have none of the bottom-up network.

    Returns
    -------
    a row a rule and video: n (people in frames), right, none, twice: % of top-down people who got their own partner
    back, nobody, or a partner whom somebody else got, too
    """
    rng, rows = np.random.default_rng(seed), []
    for video in videos:
        frames = np.flatnonzero(~repeated(video))[::every]
        if not len(frames):
            continue
        people = video.seen.shape[1]
        order = rng.permuted(np.tile(np.arange(people), (len(frames), 1)), axis=1)
        own = order.argsort(1)  # where each one's partner went
        placed = video.xyz("td", "td")[frames], _dealt(video.xyz("bu", "bu")[frames], order)
        shapes = tuple(pose - pose[:, :, ROOT, None] for pose in placed)
        stored = video.poses["td"][frames], _dealt(video.poses["bu"][frames], order)
        found = {
            "equations 5 and 6": _assigned(*placed),
            "the same, each takes the best": _best(*placed),
            "equations 5 and 6, shapes alone": _assigned(*shapes),
            "released rule": np.array([[j for _, j in match_released(*some)] for some in zip(*stored, strict=True)]),
        }
        for rule, chosen in found.items():
            twice = (chosen[:, :, None] == chosen[:, None]).sum(-1) > 1
            rows.append(
                {"rule": rule, "video": video.name, "n": chosen.size, "right": 100 * (chosen == own).mean()}
                | {"none": 100 * (chosen < 0).mean(), "twice": 100 * (twice & (chosen >= 0)).mean()}
            )
    return pd.DataFrame(rows)


def by_rule(found: pd.DataFrame) -> pd.DataFrame:
    """`pairings` over all people, a row a rule."""
    columns = ["right", "none", "twice"]
    groups = (found[columns].mul(found["n"], axis=0).assign(n=found["n"])).groupby(found["rule"], sort=False).sum()
    return groups[columns].div(groups["n"], axis=0).assign(people=groups["n"])


def _dealt(poses: Float[np.ndarray, "F P 17 3"], order: Int[np.ndarray, "F P"]) -> Float[np.ndarray, "F P 17 3"]:
    return np.take_along_axis(poses, order[:, :, None, None], 1)


def _assigned(td: Float[np.ndarray, "F N 17 3"], bu: Float[np.ndarray, "F M 17 3"]) -> Int[np.ndarray, "F N"]:
    """`matching.match` of each frame; -1 for nobody."""
    chosen = np.full(td.shape[:2], -1)
    for f, (one, other) in enumerate(zip(td, bu, strict=True)):
        for i, j in match(one, other, np.ones(one.shape[:2]), np.ones(other.shape[:2])):
            chosen[f, i] = j
    return chosen


def _best(td: Float[np.ndarray, "F N 17 3"], bu: Float[np.ndarray, "F M 17 3"]) -> Int[np.ndarray, "F N"]:
    """For each the most similar one by equation 5, however similar, without an assignment."""
    ones = np.ones(td.shape[1:3])
    return np.array([similarity(one, other, ones, ones).argmax(1) for one, other in zip(td, bu, strict=True)])


def reached(videos: Iterable[Video]) -> pd.DataFrame:
    """How many of the released pairs are alike enough for equations 5 and 6: at least `LEAST` of what they could be.

    A row a video; apart: median difference of the two root depths, mm; accepted: % of the pairs; accepted_shape: with
    the roots laid on one another.
    """
    rows = {}
    for video in videos:
        td, bu = video.xyz("td", "td"), video.xyz("bu", "bu")
        near = oks(np.linalg.norm(td - bu, axis=-1), REACH).mean(-1)
        shape = oks(np.linalg.norm((td - td[:, :, ROOT, None]) - (bu - bu[:, :, ROOT, None]), axis=-1), REACH).mean(-1)
        rows[video.name] = {
            "apart": np.median(np.abs(video.depths["td"] - video.depths["bu"])),
            "accepted": 100 * (near >= LEAST).mean(),
            "accepted_shape": 100 * (shape >= LEAST).mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("video")


# ---- the gate --------------------------------------------------------------------------------------------------------


def weights(videos: Sequence[Video]) -> pd.DataFrame:
    """The two weights of every person and frame, recovered: `oracle.depths` with columns w, v, off.

    w : of the top-down pose; the least squares of integrated = w td + (1 - w) bu over 17 joints
    v : of the top-down depth, from integrated = v td + (1 - v) bu
    off : mm, the largest coordinate that w leaves unexplained
    """
    df, found = oracle.depths(videos), []
    for video in videos:
        td, bu, mixed = (video.poses[name].reshape(-1, 51) for name in ("td", "bu", "integrated"))
        w = ((mixed - bu) * (td - bu)).sum(1) / ((td - bu) ** 2).sum(1)
        off = np.abs(mixed - bu - w[:, None] * (td - bu)).max(1)
        found.append(pd.DataFrame({"w": w, "off": off}))
    df = pd.concat([df, pd.concat(found, ignore_index=True)], axis=1)
    df["v"] = (df["integrated"] - df["bu"]) / (df["td"] - df["bu"])
    return df


def gate(df: pd.DataFrame) -> pd.DataFrame:
    """A row a video, and one for all: smallest, median, largest w and v, % of v above 1: a depth outside of both.

    bu_nearer: % of person-frames whose bottom-up depth is nearer to the truth; v_there, v_else: median v there and
    elsewhere.
    """
    df = pd.concat([df, df.assign(sequence="all")])
    df["nearer"] = (df["bu"] - df["true"]).abs() < (df["td"] - df["true"]).abs()
    groups = df.assign(above=df["v"] > 1).groupby("sequence", sort=False)
    columns = {f"{name}_{word}": groups[name].agg(word) for name in ("w", "v") for word in ("min", "median", "max")}
    columns |= {"above_1": 100 * groups["above"].mean(), "bu_nearer": 100 * groups["nearer"].mean()}
    for name, rows in (("v_there", df[df["nearer"]]), ("v_else", df[~df["nearer"]])):
        columns[name] = rows.groupby("sequence", sort=False)["v"].median()
    return pd.DataFrame(columns).loc[df["sequence"].unique()].rename_axis("video")


def rebuilt(video: Video, df: pd.DataFrame) -> dict[str, float]:
    """How far `gated`, with the recovered weights, is from the released integration, mm at most; and `hard`, `linear`.

    Poses as stored, each at its depth on the ray of the top-down pelvis.

    Returns
    -------
    gated, hard, linear : the largest distance of a joint from the released pose at the released depth
    """
    rows = df[df["sequence"] == video.name]
    rays = video.camera.back_project(video.uv[:, :, ROOT], np.ones(video.seen.shape))[:, :, None]

    def placed(name: str) -> torch.Tensor:
        pose = video.poses[name] + rays * video.depths[name][..., None, None]
        return torch.from_numpy(pose.reshape(-1, 17, 3))

    ones = torch.ones(len(rows), 17, dtype=torch.float64)
    pairs, truth = Pairs(placed("td"), placed("bu"), ones, ones), placed("integrated")
    w, v = (torch.from_numpy(rows[name].to_numpy(copy=True)) for name in ("w", "v"))
    found = {"gated": gated(pairs, w, v), "hard": hard(pairs), "linear": linear(pairs)}
    return {name: float((pose - truth).norm(dim=-1).max()) for name, pose in found.items()}


@torch.no_grad()
def joined(video: Video, network: IntegrationMLP) -> Float[np.ndarray, "F P 17 3"]:
    """What our integration network makes of the released top-down and bottom-up poses, mm in the camera's frame.

    Each of the two stands at its own released depth, as large as `Video.xyz` makes it; all confidences are 1.
    """
    shape = video.uv.shape[:2]
    td, bu = (torch.from_numpy(video.xyz(name, name)).float().flatten(0, 1) for name in ("td", "bu"))
    ones = torch.ones(td.shape[:2])
    place = next(network.parameters()).device
    return network(Pairs(td, bu, ones, ones).to(place)).cpu().double().unflatten(0, shape).numpy()


# ---- root depths -----------------------------------------------------------------------------------------------------


Ours = Mapping[str, Float[np.ndarray, "F P 17 3"]]
"""`joined` of each video, by its name."""


def depths(df: pd.DataFrame, seed: int = 0, ours: Ours | None = None) -> pd.DataFrame:
    """`weights` with a column for each of `VARIANTS`."""
    if ours is not None:
        df = df.assign(ours=np.concatenate([ours[name][:, :, ROOT, 2].ravel() for name in df["sequence"].unique()]))
    groups = df.groupby("sequence", sort=False)
    rng = np.random.default_rng(seed)
    some = {"one_weight": groups["v"].transform("median"), "shuffled": groups["v"].transform(rng.permutation)}
    mixed = {name: v * df["td"] + (1 - v) * df["bu"] for name, v in some.items()}
    df = df.assign(
        linear=(df["td"] + df["bu"]) / 2,
        mean_for_bu=df["v"] * df["td"] + (1 - df["v"]) * df["constant"],
        **mixed,
    )
    late = df["frame"] >= (groups["frame"].transform("max") + 1) / 2
    for _, rows in df.groupby("sequence", sort=False):
        for half in (late[rows.index], ~late[rows.index]):
            here, true = rows[half], rows.loc[~half, "true"].to_numpy()
            df.loc[here.index, "constant_half"] = true.mean()
            for name in oracle.PREDICTIONS:
                slope, intercept = oracle.fit(rows.loc[~half, name].to_numpy(), true)
                df.loc[here.index, f"{name}_half"] = slope * here[name] + intercept
    return df


def table(videos: Sequence[Video], df: pd.DataFrame, seed: int = 0, ours: Ours | None = None) -> pd.DataFrame:
    """Every one of `VARIANTS` against the truth, a row a video, as a study's table.

    A root lies on the ray of its 2D pelvis, the same for truth and prediction, since the files have no other.

    Parameters
    ----------
    df : of `depths`
    seed : of the scores that `ap_unknown` draws

    Returns
    -------
    variant, seed (0), scene, n (people in frames); those of `oracle.score`; pcod (%); pck_root: % of roots within 150
    mm in space, and PCK_abs of a pose that is otherwise exact; ap_unknown, ap_best: AP_root (%) with scores that know
    nothing, and with scores by the distance to the nearest true root; line_150, line_250: `best_line`; px: median
    distance to the 2D joints, of a pose at the true depth
    """
    rng, rows = np.random.default_rng(seed), []
    for video in videos:
        own = df[df["sequence"] == video.name]
        shape = video.seen.shape
        rays = video.camera.back_project(video.uv[:, :, ROOT], np.ones(shape))
        true = own["true"].to_numpy().reshape(shape)
        places, chance = true[..., None] * rays, rng.random(shape)
        px = reprojection(video, {} if ours is None else {"ours": ours[video.name]})
        for name in (name for name in VARIANTS if name in own):
            z = own[name].to_numpy().reshape(shape)
            pred = z[..., None] * rays
            far = np.linalg.norm(pred[:, :, None] - places[:, None], axis=-1).min(-1)
            row = {"variant": name, "seed": 0, "scene": video.name, "n": z.size}
            row |= oracle.score(z.ravel(), true.ravel()) | {"pcod": pcod(list(z), list(true))}
            row["pck_root"] = pck_root(pred.reshape(-1, 3), places.reshape(-1, 3))
            row["ap_unknown"] = 100 * ap_root(list(pred), list(chance), list(places))
            row["ap_best"] = 100 * ap_root(list(pred), list(-far), list(places))
            for within in (150, 250):
                known = name in oracle.PREDICTIONS
                row[f"line_{within}"] = best_line(z.ravel(), true.ravel(), within) if known else np.nan
            rows.append(row | {"px": px.get(name, np.nan)})
    return pd.DataFrame(rows)


def best_line(
    pred: Float[np.ndarray, " N"],
    true: Float[np.ndarray, " N"],
    within: float | int = 250.0,
    lines: int = 4000,
    seed: int = 0,
) -> float:
    """The largest share (%) of people that any scale and shift of their depths puts within so many mm of the truth.

    Least squares is not after that: a few who are far off turn its line away from many who are right. The raw depths,
    which were not released, are some line of the released ones, so their share is no larger. Found among lines through
    two people at random, each up to `within` off, and the constant: a search, which may miss the very best.
    """
    rng = np.random.default_rng(seed)
    i, j = rng.integers(len(pred), size=(2, lines))
    shift = rng.uniform(-within, within, (2, lines))
    apart = pred[i] != pred[j]
    i, j, shift = i[apart], j[apart], shift[:, apart]
    slope = np.append((true[i] + shift[0] - true[j] - shift[1]) / (pred[i] - pred[j]), 0.0)
    start = np.append(true[i] + shift[0] - slope[:-1] * pred[i], true.mean())
    near = [(np.abs(a * pred + b - true) < within).mean() for a, b in zip(slope, start, strict=True)]
    return 100 * float(max(near))


def reprojection(video: Video, others: Ours | None = None) -> dict[str, float]:
    """Median distance in px from the 2D joints of td, bu, integrated, linear: poses at the true depth, people seen.

    Parameters
    ----------
    others : more poses in the camera's frame, by name; their roots are moved to where the others' are
    """
    video = replace(video, poses=video.poses | {"linear": (video.poses["td"] + video.poses["bu"]) / 2})
    good = video.seen & video.agrees()
    poses = {name: video.xyz(name) for name in ("td", "bu", "integrated", "linear")}
    root = poses["td"][:, :, ROOT, None]
    poses |= {name: pose - pose[:, :, ROOT, None] + root for name, pose in (others or {}).items()}
    return {name: float(np.median(reprojection_error(video, pose)[good][:, BODY])) for name, pose in poses.items()}


def means(found: pd.DataFrame, columns: Sequence[str], names: Sequence[str] = ()) -> pd.DataFrame:
    """Means over videos of `table`, a row a variant; what a variant is in the column depth."""
    rows = found.groupby("variant", sort=False)[list(columns)].mean()
    rows = rows.loc[list(names) or list(rows.index)]
    rows.insert(0, "depth", [VARIANTS[name] for name in rows.index])
    return rows


def in_order(df: pd.DataFrame, gap: float | int = 0.0, seed: int = 0, least: int = 30) -> pd.DataFrame:
    """Do bottom-up depths follow the truth where nobody was confused with anybody?

    Frames are chosen in which the bottom-up depths stand in the true order, each more than `gap` mm from the next.
    Choosing by the truth raises a correlation by itself. So beside it stands that of the same depths when they are
    dealt to other chosen frames, in the true order again: what the order alone gives.

    Returns
    -------
    a row a video: chosen (% of frames), rho_all, rho_chosen, rho_dealt (mean of ten deals); the last two NaN with fewer
    than `least` chosen frames
    """
    rng, rows = np.random.default_rng(seed), {}
    for sequence, own in df.groupby("sequence", sort=False):
        people = own["person"].nunique()
        bu, true = (own[name].to_numpy(float).reshape(-1, people) for name in ("bu", "true"))
        place = true.argsort(1).argsort(1)
        ascending = np.sort(bu, 1)
        right = (np.take_along_axis(ascending, place, 1) == bu).all(1) & (np.diff(ascending, axis=1) > gap).all(1)
        row = rows[sequence] = {"chosen": 100 * right.mean(), "rho_all": _rho(bu, true)}
        if right.sum() < least:
            row |= {"rho_chosen": np.nan, "rho_dealt": np.nan}
            continue
        row["rho_chosen"] = _rho(bu[right], true[right])
        dealt = [np.take_along_axis(rng.permutation(ascending[right]), place[right], 1) for _ in range(10)]
        row["rho_dealt"] = float(np.mean([_rho(some, true[right]) for some in dealt]))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("video")


def _rho(one: Float[np.ndarray, "F P"], other: Float[np.ndarray, "F P"]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def by_video(found: pd.DataFrame, names: Sequence[str] = oracle.SERIES) -> pd.DataFrame:
    """MAE, share within 150 and 250 mm, R2 and PCOD of each series, a row a video."""
    metrics = ["mae", "within_150", "within_250", "r2", "pcod"]
    wide = found[found["variant"].isin(names)].pivot_table(metrics, "scene", "variant", sort=False)
    wide = wide[[(metric, name) for metric in metrics for name in names if (metric, name) in wide]]
    wide.columns = [f"{metric} {name}" for metric, name in wide.columns]
    return wide.rename_axis("video")


def track(df: pd.DataFrame, sequence: str = "TS1") -> pd.DataFrame:
    """The first person's true depth, and the bottom-up depths of the first two people, in metres; a row a frame."""
    one, two = (df[(df["sequence"] == sequence) & (df["person"] == p)].set_index("frame") for p in (0, 1))
    columns = {"true, one person": one["true"], "bottom-up, that person": one["bu"], "bottom-up, the other": two["bu"]}
    return (pd.DataFrame(columns) / 1000).reset_index()


def beside_paper(found: pd.DataFrame) -> pd.DataFrame:
    """AP_root and PCK_abs (%) of Table 1 beside those of the released roots, here with poses that are exact."""
    mean = (
        found.groupby("variant", sort=False)[["ap_unknown", "ap_best", "pck_root", "line_150"]]
        .mean()
        .rename(columns={"line_150": "best line"})
    )
    rows = {"TD": "td", "BU": "bu", "TD + BU hard": "bu", "TD + BU linear": "linear", "TD + BU IN": "integrated"}
    rows |= {"no picture: true mean of the video": "constant", "no picture: of each person": "constant_person"}
    out = mean.loc[list(rows.values())].set_axis(list(rows)).rename_axis("row of Table 1")
    table1 = load("tdbu").tables["T1"]
    for place, metric in ((0, "AP_root"), (3, "PCK_abs")):
        cells = [table1.rows[row][table1.columns.index(metric)] if row in table1.rows else np.nan for row in out.index]
        out.insert(place, f"paper {metric}", cells)
    return out


def differences(found: pd.DataFrame, metric: str, reference: str, names: Iterable[str]) -> pd.DataFrame:
    """Each variant less the reference, paired by video, with its 95 % interval: label, difference, low, high."""
    rows = []
    for name in names:
        values = study.difference(found, (name, metric), (reference, metric)).to_numpy()
        rows.append({"label": name, **dict(zip(("difference", "low", "high"), study.interval(values), strict=True))})
    return pd.DataFrame(rows)
