"""Tables of the PI-Net notebooks, from a study's table; no number of the paper stands here, see `published`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mp3d.errors import BadInput
from mp3d.experiments.pinet import VARIANTS, by_person, parameters, people_to_test, place
from mp3d.metrics.errors import mpjpe
from mp3d.metrics.pck import JOINT_GROUPS
from mp3d.published import load
from mp3d.scene import Scene
from mp3d.study import Study, difference, interval, scene_weights, summary

PARTS = {
    "all of PI-Net": ("pinet", "input"),
    "seeing nobody else (self)": ("self", "input"),
    "by companions (self)": ("pinet", "self"),
    "by companions beyond the group's statistics (neither)": ("pinet", "neither"),
    "by companions beyond their layout (shuffled)": ("pinet", "shuffled"),
    "trained on composites, against self": ("composited", "self"),
    "trained on real groups, against composites": ("pinet", "composited"),
}
"""Where the gain comes from: label -> (variant, reference), for `gains`."""

CHOICES = {
    "order by 2D boxes": ("near2d", "pinet"),
    "head on u alone": ("update", "pinet"),
    "padding leaks": ("released_padding", "pinet"),
    "used in random order": ("test_random", "pinet"),
    "used in reverse order": ("test_reverse", "pinet"),
    "used among strangers": ("test_strangers", "pinet"),
}
"""What the paper leaves open or contradicts, against our choice."""


OTHERS = {
    "another estimator": ("pinet_other_estimator", "other_estimator"),
    "erroneous root depths": ("pinet_rootnet", "input_rootnet"),
}
"""PI-Net used on estimates that it was not trained for, against those estimates."""


def counts() -> pd.DataFrame:
    """Parameters of the variants at the paper's width, and what Table 6 prints of them, in millions."""
    rows = {"gru2": "2 GRU", "pinet": "3 GRU", "gru4": "4 GRU", "lstm2": "2 LSTM", "lstm3": "3 LSTM", "lstm4": "4 LSTM"}
    published = load("pinet")
    out = [
        (
            name,
            f"{parameters(VARIANTS[name]):,d}",
            f"{published.number(f'T6/{rows[name]}/parameters'):.2f}" if name in rows else "",
        )
        for name in (*rows, "update", "no_att", "no_bi", "neither", "gcn")
    ]
    return pd.DataFrame(out, columns=["variant", "parameters here", "millions in Table 6"])


def by_sequence(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Tables 1 and 2 on `duet`: a row a sequence, means over seeds, then both kinds of average."""
    scenes = {scene.sequence: scene for scene in people_to_test(profile)[0]}
    columns = {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "pck3d": "3DPCK"}
    parts = {}
    for metric, title in columns.items():
        for variant, word in (("input", "before"), ("pinet", "after")):
            rows = table[table["variant"] == variant]
            parts[f"{title} {word}"] = rows.groupby("scene", sort=False)[metric].mean()
    out = pd.DataFrame(parts)
    n = table.groupby("scene", sort=False)["n"].first()
    means = pd.DataFrame({"mean of sequences": out.mean(), "mean of people": out.mul(n, axis=0).sum() / n.sum()}).T
    out.insert(0, "people", [str(len(scenes[name].people)) for name in out.index])
    out.insert(0, "kind", [scenes[name].kind for name in out.index])
    return pd.concat([out, means]).rename_axis("sequence")


def by_joint(table: pd.DataFrame) -> pd.DataFrame:
    """Table 3 on `duet`: 3DPCK by joint, mean of sequences and seeds, with the paper's rows on MuPoTS-3D."""
    published = load("pinet")
    rows = {}
    for name in JOINT_GROUPS:
        metric = f"pck3d_{name.lower()}"
        before, after = (table[table["variant"] == v][metric].mean() for v in ("input", "pinet"))
        theirs = [published.number(f"T3/{row}/{name}") for row in ("3DMPPE", "PI-Net")]
        rows[name] = dict(zip(("before", "after", "gain"), (*theirs, theirs[1] - theirs[0]), strict=True))
        rows[name] = {f"{k}, MuPoTS-3D (paper)": v for k, v in rows[name].items()}
        rows[name] |= {"before, duet (here)": before, "after, duet (here)": after, "gain, duet (here)": after - before}
    return pd.DataFrame(rows).T.rename_axis("joint")


def against_paper(table: pd.DataFrame, rows: dict[str, str]) -> pd.DataFrame:
    """Variants beside the paper's row of each: MPJPE and PA-MPJPE in mm, ours with the 95 % interval.

    Parameters
    ----------
    rows : variant -> "table/row" of `published/pinet.yaml`, or "" where the paper has none
    """
    published = load("pinet")
    here = summary(table[table["variant"].isin(rows)], ["mpjpe", "pa_mpjpe"])
    out = {}
    for variant, reference in rows.items():
        row = out[variant] = {}
        for metric, column in (("pa_mpjpe", "PA"), ("mpjpe", "MPJPE")):
            title = {"PA": "PA-MPJPE"}.get(column, column)
            row[f"{title}, MuPoTS-3D (paper)"] = published.number(f"{reference}/{column}") if reference else np.nan
            mean, low, high = here.loc[variant, metric]
            row[f"{title}, duet (here)"] = f"{mean:.1f} [{low:.1f}, {high:.1f}]" if low == low else f"{mean:.1f}"
    return pd.DataFrame(out).T.rename_axis("variant")


def alignments(table: pd.DataFrame) -> pd.DataFrame:
    """PA-MPJPE before and after, aligned without scale (PI-Net's code) and with it: mm, 95 % interval of the gain."""
    rows = {}
    for metric, name in (("pa_mpjpe", "without scale"), ("pa_mpjpe_scaled", "with scale")):
        here = summary(table[table["variant"].isin(["input", "pinet"])], [metric])[metric]["mean"]
        gain = gains(table, {name: ("pinet", "input")}, metric).iloc[0]
        rows[name] = {"before": here["input"], "after": here["pinet"], "gain": gain["difference"]}
        rows[name] |= {"low": gain["low"], "high": gain["high"]}
    return pd.DataFrame(rows).T.rename_axis("alignment")


def gains(table: pd.DataFrame, pairs: dict[str, tuple[str, str]], metric: str = "mpjpe") -> pd.DataFrame:
    """Paired differences with 95 % intervals: label -> (variant, reference); positive where the variant is better.

    Columns: label, variant, difference, low, high (mm).
    """
    rows = []
    for label, (variant, reference) in pairs.items():
        values = difference(table, (reference, metric), (variant, metric))
        if values.empty:
            raise BadInput("gains", label, f"no seed and scene with {variant!r} and {reference!r}", "some in common")
        mean, low, high = interval(values.to_numpy(), scene_weights(table, values.columns, "instance"))
        rows.append({"label": label, "variant": variant, "difference": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def gain_by_scene(table: pd.DataFrame, metric: str = "mpjpe") -> pd.DataFrame:
    """A row a sequence: scene, gain, low, high (mm, 95 % over seeds), and paper: its sequence of that number."""
    published = load("pinet")
    name = {"mpjpe": "T2_mpjpe", "pa_mpjpe": "T2_pa"}[metric]
    before, after = (published.row(f"{name}/{row}") for row in ("3DMPPE", "PI-Net"))
    gain = difference(table, ("input", metric), ("pinet", metric))
    rows = []
    for scene in dict.fromkeys(table["scene"]):
        theirs = before[f"S{scene[1:]}"] - after[f"S{scene[1:]}"]
        figures = (scene, *interval(gain[[scene]].to_numpy()), theirs)
        rows.append(dict(zip(("scene", "gain", "low", "high", "paper"), figures, strict=True)))
    return pd.DataFrame(rows)


def gain_by_group(table: pd.DataFrame) -> pd.DataFrame:
    """A row a joint group: joint, gain, low, high (points of 3DPCK, 95 %), paper (its gain on MuPoTS-3D)."""
    published = load("pinet")
    rows = []
    for name in JOINT_GROUPS:
        metric = f"pck3d_{name.lower()}"
        values = difference(table, ("pinet", metric), ("input", metric)).to_numpy()
        theirs = published.number(f"T3/PI-Net/{name}") - published.number(f"T3/3DMPPE/{name}")
        rows.append(
            dict(zip(("joint", "gain", "low", "high", "paper"), (name, *interval(values), theirs), strict=True))
        )
    return pd.DataFrame(rows)


def gain_by_kind(table: pd.DataFrame, linear: pd.DataFrame, profile: str) -> pd.DataFrame:
    """What companions give, by kind: kind, method ("ridge", "PI-Net"), gain, low, high in mm.

    Ridge: with against without the companion; PI-Net: among its companions against the network that knows strangers
    alone, `shuffled`, over the test sequences of that kind. Both controls know where the others stand. Intervals are
    over seeds: two or three sequences a kind are too few to be drawn again.
    """
    kinds = {scene.sequence: scene.kind for scene in people_to_test(profile)[0]}
    rows = []
    for kind in sorted(set(kinds.values())):
        parts = {
            "ridge": (linear[linear["scene"] == kind], "ridge", "ridge_self"),
            "PI-Net": (table[table["scene"].map(kinds) == kind], "pinet", "shuffled"),
        }
        for method, (part, variant, reference) in parts.items():
            values = difference(part, (reference, "mpjpe"), (variant, "mpjpe"))
            by_seed = np.average(values, axis=1, weights=scene_weights(part, values.columns, "instance"))
            figures = (kind, method, *interval(by_seed[:, None]))
            rows.append(dict(zip(("kind", "method", "gain", "low", "high"), figures, strict=True)))
    return pd.DataFrame(rows)


def typical(scenes: Sequence[Scene], before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> int:
    """The number of the scene of two people whose gain in MPJPE is the median one: no picked example."""
    pairs = [i for i, scene in enumerate(scenes) if len(scene.people) == 2]
    gain = [mpjpe(before[i], scenes[i].xyz).mean() - mpjpe(after[i], scenes[i].xyz).mean() for i in pairs]
    return pairs[int(np.argsort(gain, kind="stable")[len(gain) // 2])]


def by_layer(scenes: Sequence[Scene], layers: dict[str, Sequence[np.ndarray]]) -> pd.DataFrame:
    """`by_person` of several layers of poses, told apart in the column variant."""
    return pd.concat([by_person(scenes, poses).assign(variant=name) for name, poses in layers.items()])


def ablation(table: pd.DataFrame) -> pd.DataFrame:
    """Every variant against PI-Net, as `plots.forest` wants it; positive: better than PI-Net.

    Columns: label (the variant), table, difference, low, high, and paper, the same difference in the paper, in mm.
    """
    places = {
        "Table 4": {"random": "T4/Random", "reverse": "T4/Reverse"},
        "Table 5": {"no_att": "T5/no_att", "no_bi": "T5/no_bi", "neither": "T5/neither"},
        "Table 6": {"gru2": "T6/2 GRU", "gru4": "T6/4 GRU", "lstm2": "T6/2 LSTM", "lstm3": "T6/3 LSTM"}
        | {"lstm4": "T6/4 LSTM", "gcn": "T6/GCN", "input": "T6/None"},
        "controls": {"self": "", "shuffled": "", "composited": ""},
        "open choices": {"near2d": "", "update": "", "released_padding": ""},
    }
    published = load("pinet")
    parts = []
    for name, variants in places.items():
        rows = gains(table, {v: (v, "pinet") for v in variants}).drop(columns="variant")
        rows.insert(1, "table", name)
        best = published.number("T6/3 GRU/MPJPE")
        rows["paper"] = [best - published.number(f"{row}/MPJPE") if row else np.nan for row in variants.values()]
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def curves(study: Study) -> pd.DataFrame:
    """The training loss of all networks of a study: variant, seed, step, loss (normalised units)."""
    parts = []
    for variant, job in study.variants.items():
        if job.network is not None:
            for seed in study.seeds:
                kept = place(job.network, job.profile, seed, Path(job.keep), job.budget) / "metrics.csv"
                parts.append(pd.read_csv(kept)[["step", "loss"]].assign(variant=variant, seed=seed))
    return pd.concat(parts, ignore_index=True)
