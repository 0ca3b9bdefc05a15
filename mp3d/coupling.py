"""How much companions can tell: ridge regression of a person's true pose, with and without theirs.

PI-Net stands on the claim that the poses of people in one picture tell of one another. A linear
regression finds the linear part of that, in closed form, before any network is trained:

1. everyone's own estimate is improved by a regression on itself alone, in the camera's frame,
   where a camera's errors have their axes;
2. what error is left is regressed on one's own improved pose and where the companion stands,
   without (`alone`) and with (`companion`) the companion's improved pose.

The gain of the second over the first is what companions tell. Where a companion from another
moment gives it as well, they tell of the place or the camera, not of the moment.

One companion is used: the nearest by the distance of the roots (our choice; PI-Net reads people in
that order).
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.linalg import solve
from scipy.stats import bootstrap

from mp3d.errors import BadInput
from mp3d.skeletons import MPI17

ALPHAS = 10.0 ** np.array([1, 2, 3, 4, 5, 6, 9])
"""Penalties tried, mm² an instance: from next to none to next to no use of the feature."""


def to_pair_frame(xyz: Float[np.ndarray, "N *J 3"], offset: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N *J 3"]:
    """Rotate about the vertical (y) so that the horizontal part of `offset` becomes +x.

    With `offset` from a person to the companion, a mirrored dance is one linear map in this frame,
    wherever the two stand.
    """
    angle = np.arctan2(offset[:, 2], offset[:, 0])
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    turn = np.array([[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]])
    return np.einsum("ijn,n...j->n...i", turn, xyz)


def ridge(
    xx: Float[np.ndarray, "D D"], xy: Float[np.ndarray, "D T"], alpha: Float[np.ndarray, " D"]
) -> Float[np.ndarray, "D T"]:
    """Weights that minimise |Y - X W|² + sum_d alpha_d |W_d|², from the moments X'X and X'Y."""
    return solve(xx + np.diag(alpha), xy, assume_a="pos", check_finite=False)


def companion_gain(
    estimates: Sequence[Float[np.ndarray, "_ J 3"]],
    truths: Sequence[Float[np.ndarray, "_ J 3"]],
    groups: Sequence[str],
    kinds: Sequence[str] | None = None,
    frame: str = "pair",
    companions: Sequence[Float[np.ndarray, "_ J 3"]] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """MPJPE after ridge regression of the truth on the estimates, without and with companions.

    Groups are kept whole: what is predicted stood in no training fold. Penalties are chosen by
    cross-validation on the training folds, one for one's own features and one for the companion's,
    so that a companion who tells nothing costs next to nothing. Scenes of one person are left out.

    Parameters
    ----------
    estimates, truths : one (P, 17, 3) a scene, absolute, mm, with y vertical (in camera frames
        nearly so; give poses of a pitched camera in the world's frame)
    groups : a name a scene: its video; or a name of its own for each independent scene
    kinds : a name a scene, e.g. the interaction; each kind is fitted on its own
    frame : of step 2: "pair" (see `to_pair_frame`) or "camera" (as the poses are given)
    companions : what is known of people as companions: their improved estimates unless given
        (the truths: the most that companions could tell)
    folds : parts into which groups are dealt out, at random by `seed`

    Returns
    -------
    One row a kind and group: n (instances), and mm: `input`, `alone`, `companion`, and two controls
    with the companion's pose of another scene: `shuffled_within` the group (NaN where every group
    is one scene) and `shuffled_between` groups.
    """
    if frame not in ("pair", "camera"):
        raise BadInput("companion_gain", "frame", repr(frame), "'pair' or 'camera'")
    data = _instances(estimates, truths, truths if companions is None else companions)
    if companions is None:
        del data["exact"]
    rng = np.random.default_rng(seed)
    group = np.asarray(groups)[data["scene"]]
    kind = np.asarray(["all"] * len(estimates) if kinds is None else kinds)[data["scene"]]
    tables = []
    for name in pd.unique(kind):
        member = kind == name
        part = {key: value[member] for key, value in data.items()}
        part["companion"] = np.cumsum(member)[part["companion"]] - 1
        tables.append(_gain(part, group[member], frame, folds, rng).assign(kind=name))
    return pd.concat(tables, ignore_index=True)[["kind", *tables[0].columns[:-1]]]


def summary(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """One row a kind of `companion_gain`'s table: means over instances, and the gain's interval.

    gain = alone - companion, mm; low, high: 95 % bootstrap over groups (2,000 resamples);
    gain_within, gain_between: what is left of it with the companion of another scene.
    """
    rows = []
    for kind, part in table.groupby("kind", sort=False):
        n = part["n"].to_numpy(float)
        gains = {
            name: (part["alone"] - part[column]).to_numpy()
            for name, column in (
                ("gain", "companion"),
                ("gain_within", "shuffled_within"),
                ("gain_between", "shuffled_between"),
            )
        }
        interval = bootstrap(
            (gains["gain"], n),
            lambda values, weights, axis: np.average(values, axis, weights),
            paired=True,
            n_resamples=2000,
            method="percentile",
            rng=seed,
        ).confidence_interval
        rows.append(
            {"kind": kind, "n": int(n.sum()), "groups": len(part)}
            | {c: np.average(part[c], weights=n) for c in ("input", "alone", "companion")}
            | {"low": interval.low, "high": interval.high}
            | {name: np.average(values, weights=n) for name, values in gains.items()}
        )
    columns = ["kind", "n", "groups", "input", "alone", "companion", "gain", "low", "high"]
    return pd.DataFrame(rows)[[*columns, "gain_within", "gain_between"]]


def _instances(estimates: Sequence, truths: Sequence, exact: Sequence) -> dict[str, np.ndarray]:
    """Everyone who has company. Poses (N, 17, 3) relative to the root; `companion` is a row."""
    names = ("scene", "person", "companion", "offset", "own", "truth", "exact")
    rows = {name: [] for name in names}
    count = 0
    for scene, poses in enumerate(zip(estimates, truths, exact, strict=True)):
        if len({p.shape for p in poses}) > 1 or not all(np.isfinite(p).all() for p in poses):
            found = f"shapes {[p.shape for p in poses]}, finite or not"
            raise BadInput("companion_gain", f"scene {scene}", found, "finite, of one shape")
        people = len(poses[0])
        if people < 2:
            continue
        root = poses[0][:, MPI17.root]
        offset = root - root[:, None]
        far = np.diag(np.full(people, np.inf))
        nearest = (np.linalg.norm(offset, axis=-1) + far).argmin(1)
        own, truth, known = (p - p[:, MPI17.root, None] for p in poses)
        values = np.full(people, scene), np.arange(people), count + nearest
        values += offset[np.arange(people), nearest], own, truth, known
        for name, value in zip(names, values, strict=True):
            rows[name].append(value)
        count += people
    if not count:
        raise BadInput("companion_gain", "estimates", "nobody in company", "two people in a scene")
    return {name: np.concatenate(values) for name, values in rows.items()}


def _gain(
    data: dict[str, np.ndarray], group: np.ndarray, frame: str, folds: int, rng: np.random.Generator
) -> pd.DataFrame:
    names, member = np.unique(group, return_inverse=True)
    if min(len(names), folds) < 3:
        raise BadInput("companion_gain", "groups, folds", (len(names), folds), "3 of each at least")
    fold = (rng.permutation(len(names)) % folds)[member]
    n = len(fold)
    orders = {"companion": np.arange(n)} | _shuffles(data["person"], member, rng)
    own, truth = data["own"].reshape(n, -1), data["truth"].reshape(n, -1)
    mpjpe = {"input": _mpjpe(truth - own)} | {name: np.empty(n) for name in ("alone", *orders)}
    one = np.ones((n, 1))

    def turned(flat: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        if frame == "camera":
            return flat
        return to_pair_frame(flat.reshape(n, -1, 3), data["offset"]).reshape(n, -1)

    x = np.concatenate([one, own], 1)
    first = _moments(x, truth - own, fold)
    for test in first:
        better = own + x @ _fit(first, test, [x.shape[1]])
        known = data["exact"].reshape(n, -1) if "exact" in data else better
        left = turned(truth - better)
        base = np.concatenate([one, turned(better), turned(data["offset"])], 1)
        companion = turned(known[data["companion"]])
        for name, order in {"alone": None, **orders}.items():
            z = base if order is None else np.concatenate([base, companion[order]], 1)
            moments = _moments(z, left, fold)
            weights = _fit(moments, test, [base.shape[1], z.shape[1] - base.shape[1]])
            rows = fold == test
            mpjpe[name][rows] = _mpjpe(left[rows] - z[rows] @ weights)
    if len(names) == len(np.unique(data["scene"])):
        mpjpe["shuffled_within"][:] = np.nan
    table = pd.DataFrame({"group": group, "n": 1, **mpjpe}).groupby("group", sort=False)
    return table.agg({"n": "sum", **dict.fromkeys(mpjpe, "mean")}).reset_index()


def _shuffles(person: np.ndarray, member: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows whose companion is taken instead: the same track's at another time, and anybody's."""
    within, between = np.empty(len(person), int), np.empty(len(person), int)
    for track in np.unique(person):
        mine = np.flatnonzero(person == track)
        between[mine] = rng.permutation(mine)
        mixed = rng.permutation(mine)
        within[mine[np.argsort(member[mine], kind="stable")]] = mixed[np.argsort(member[mixed], kind="stable")]
    return {"shuffled_within": within, "shuffled_between": between}


def _mpjpe(error: Float[np.ndarray, "N D"]) -> Float[np.ndarray, " N"]:
    return np.linalg.norm(error.reshape(len(error), -1, 3), axis=-1).mean(-1)


def _moments(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "N T"], fold: Int[np.ndarray, " N"]
) -> dict[int, tuple[np.ndarray, np.ndarray, int]]:
    """X'X, X'Y and the rows of each fold: all that fitting and scoring by squared error need."""
    parts = {int(f): fold == f for f in np.unique(fold)}
    return {f: (x[m].T @ x[m], x[m].T @ y[m], int(m.sum())) for f, m in parts.items()}


def _sum(moments: dict, left_out: Sequence[int]) -> list:
    """The moments and rows of all folds but some."""
    return [sum(part) for part in zip(*(moments[f] for f in moments if f not in left_out), strict=True)]


def _fit(moments: dict, test: int, blocks: Sequence[int]) -> Float[np.ndarray, "D T"]:
    """Weights from the folds other than `test`, with the penalties that predict these folds best.

    One penalty a block of features, chosen by leaving out one fold after the other; the constant,
    which is the first feature, goes free.
    """
    choices = []
    for values in product(*(ALPHAS if size else [0.0] for size in blocks)):
        alpha = np.repeat(values, blocks)
        alpha[0] = 0.0
        choices.append(alpha)
    loss = np.zeros(len(choices))
    for f in moments:
        if f != test:
            xx, xy, rows = _sum(moments, (test, f))
            xx_f, xy_f, _ = moments[f]
            for i, alpha in enumerate(choices):
                weights = ridge(xx, xy, alpha * rows)
                loss[i] += (weights * (xx_f @ weights - 2 * xy_f)).sum()
    xx, xy, rows = _sum(moments, (test,))
    return ridge(xx, xy, choices[loss.argmin()] * rows)
