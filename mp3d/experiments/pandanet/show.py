"""What the notebooks show of PandaNet besides tables of claims."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from mp3d.batch import Batch
from mp3d.codings import anchors as coding
from mp3d.experiments.pandanet.networks import place
from mp3d.experiments.pandanet.tables import scenes
from mp3d.metrics.jta import DISTANCES, JOINT_GROUPS
from mp3d.metrics.matching import assign_2d
from mp3d.metrics.people import half_diagonals
from mp3d.papers import pandanet
from mp3d.papers.pandanet import TASKS, PandaNet
from mp3d.scene import Person
from mp3d.skeletons import MPI17
from mp3d.study import difference, interval, matrix, scene_weights, summary

NAMES = {
    "full": "PandaNet",
    "orpm_ae": "ORPM-AE",
    "threedmppe": "3DMPPE, true boxes",
    "nms_ceiling": "ceiling: the truth, after suppression",
    "size_ceiling": "ceiling: true poses of mean size",
}
"""What tables and figures call variants."""


def module_table(config: pandanet.PandaNetConfig) -> pd.DataFrame:
    """Figure 3: every part of the network with what it gives and its parameters; a row a part."""
    with torch.device("meta"):
        network = pandanet.Network(config)
        rows, hooks = [], []

        def note(name: str, module: torch.nn.Module) -> None:
            def write(_, __, out):
                shape = out[-1].shape if isinstance(out, list) else out.shape
                size = sum(weight.numel() for weight in module.parameters())
                rows.append((name, " x ".join(map(str, shape[1:])), size))

            hooks.append(module.register_forward_hook(write))

        note("backbone, its last group", network.backbone)
        for level in range(config.levels):
            note(f"pyramid, level {level + 1}: lateral 1x1", network.lateral[level])
            note(f"pyramid, level {level + 1}: 3x3", network.smooth[level])
        note("sub-pixel convolution" if config.subpixel else "fusion", network.fuse)
        for head, what in zip(network.heads, ("score", "boxes", "2D poses", "3D poses"), strict=True):
            note(f"head: {what}", head)
        network(torch.empty(1, 3, *config.canvas[::-1], dtype=torch.uint8))
    return pd.DataFrame(rows, columns=["part", "gives", "parameters"]).set_index("part")


def means(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Means over seeds and scenes, of mm by people, of % by scene, as the claims have them; a row a variant."""
    some = [metric for metric in metrics if metric in table]
    parts = [summary(table, some, by).xs("mean", axis=1, level=1) for by in ("scene", "instance")]
    whole = pd.concat(parts, axis=1, keys=("scene", "instance"))
    columns = {metric: whole["instance" if "mpjpe" in metric else "scene", metric] for metric in some}
    out = pd.DataFrame(columns).rename(index=NAMES)
    number = table.dropna(subset=some, how="all")["scene"].nunique()
    out.attrs["protocol"] = (
        f"{number} scenes; JTA's 3DPCK at 150 mm, roots between the hips, matched in 2D, who was missed is wrong;"
        " AP of boxes: PandaNet's own, others' around their joints;"
        " scaled: ORACLE, the true sum of limb lengths"
    )
    return out


def by_distance(table: pd.DataFrame, prefix: str = "pck_") -> pd.DataFrame:
    """Table 3: a column a bin of distance, and all; a row a variant."""
    some = means(table, [f"{prefix}{name}" for name in DISTANCES] + [prefix.rstrip("_")])
    return some.rename(columns=lambda name: name.removeprefix(prefix)).rename(columns={prefix.rstrip("_"): "all"})


def by_joint(table: pd.DataFrame, prefix: str = "pck_") -> pd.DataFrame:
    """Table 4: a column a group of joints, all, and recall; a row a variant."""
    some = means(table, [f"{prefix}{name}" for name in JOINT_GROUPS] + [prefix.rstrip("_"), "recall"])
    return some.rename(columns=lambda name: name.removeprefix(prefix)).rename(columns={prefix.rstrip("_"): "all"})


def gaps(table: pd.DataFrame, pairs: Sequence[tuple[str, str]], metric: str) -> pd.DataFrame:
    """A metric of the first variant less that of the second of each pair, over seeds and scenes, for `plots.forest`."""
    rows = []
    for one, other in pairs:
        each = difference(table, (one, metric), (other, metric))
        weights = scene_weights(table, each.columns, "instance" if "mpjpe" in metric else "scene")
        rows.append((f"{one} - {other}", *(interval(each.to_numpy(), weights) if each.size else (np.nan,) * 3)))
    return pd.DataFrame(rows, columns=["label", "difference", "low", "high"])


def distance_curves(table: pd.DataFrame, prefix: str = "pck_") -> pd.DataFrame:
    """3DPCK by distance (the middle of a bin, m) and variant, as `plots.curves` draws it."""
    middles = {"<10": 5, "10-20": 15, "20-30": 25, "30-40": 35, ">40": 50}
    rows = []
    for variant in (name for name in NAMES if name in set(table["variant"])):
        for name, x in middles.items():
            values = matrix(table, variant, f"{prefix}{name}").dropna(axis=1)
            if values.size:
                mean, low, high = interval(values.to_numpy())
                rows.append((NAMES[variant], x, mean, max(low, 0.0), min(high, 100.0)))
    return pd.DataFrame(rows, columns=["series", "x", "value", "low", "high"])


# ---- learned weights --------------------------------------------------------------------------------


def learned(model: PandaNet) -> pd.DataFrame:
    """Every lambda, task times anchor and joint: a row each with task, anchor (number: size, px), joint, value."""
    rows = []
    sizes = ["{}: {:.0f} x {:.0f}".format(number, *size) for number, size in enumerate(model.sizes.tolist(), 1)]
    for name in TASKS:
        values = model.weights.log(name).exp().detach().cpu().numpy()
        for anchor, of_anchor in zip(sizes, values.reshape(len(sizes), -1), strict=True):
            joints = MPI17.joints if len(of_anchor) > 1 else ("",)
            rows += [(name, anchor, joint, float(value)) for joint, value in zip(joints, of_anchor, strict=True)]
    return pd.DataFrame(rows, columns=["task", "anchor", "joint", "value"])


TORSO, ENDS = ("neck", "spine", "r_hip", "l_hip"), ("r_wrist", "l_wrist", "r_ankle", "l_ankle")


def weight_table(model: PandaNet, shares: Float[np.ndarray, " A"]) -> pd.DataFrame:
    """Natural logarithms of the learned weights of poses, as a study's table.

    Variants torso and ends (wrists and ankles), a scene an anchor; small and large, the smaller and the larger half of
    the anchors, a scene a joint. Metrics: uv, xyz; uv_certainty, xyz_certainty, with the logarithm of the number of
    anchors times the anchor's share added.

    Parameters
    ----------
    shares : of the anchors among those that learn poses. By equations 13 and 14 a weight is best at 1 / (number of
        anchors times the anchor's share of all losses): a rare anchor's is large however certain it is
    """
    table = learned(model)
    table = table[table["task"].isin(["uv", "xyz"])].assign(value=lambda t: np.log(t["value"]))
    names = table["anchor"].unique()  # small first
    often = dict(zip(names, np.log(len(names) * np.maximum(shares, 1e-9)), strict=True))
    certain = table.assign(value=table["value"] + table["anchor"].map(often), task=table["task"] + "_certainty")
    table, half = pd.concat([table, certain]), max(1, len(names) // 2)
    parts = {
        "torso": (table["joint"].isin(TORSO), "anchor"),
        "ends": (table["joint"].isin(ENDS), "anchor"),
        "small": (table["anchor"].isin(names[:half]), "joint"),
        "large": (table["anchor"].isin(names[-half:]), "joint"),
    }
    rows = []
    for variant, (which, scene) in parts.items():
        some = table[which].pivot_table("value", scene, "task", sort=False)
        rows.append(some.rename_axis(columns=None).rename_axis("scene").reset_index().assign(variant=variant))
    return pd.concat(rows, ignore_index=True).assign(seed=0, n=1)


def paths(variant: str, profile: str, seed: int, keep: Path, budget: float) -> pd.DataFrame:
    """How the weights of the tasks went in training: the mean of the logarithms of each task's lambdas, for
    `plots.curves`."""
    file = place(variant, "studio", profile, seed, keep, budget) / "metrics.csv"
    rows = pd.read_csv(file).melt("step", [f"log_lambda_{name}" for name in TASKS], "series")
    rows["series"] = rows["series"].str.removeprefix("log_lambda_")
    return rows.rename(columns={"step": "x"}).assign(low=rows["value"], high=rows["value"])


# ---- a crowd ------------------------------------------------------------------------------------------


def from_above(batch: Batch, people: Sequence[Person], length: float | None) -> pd.DataFrame:
    """Where everybody in the first picture is and was put, seen from above: a row a person.

    Parameters
    ----------
    length : mm, the sum of bone lengths of `people`, who get their true sizes, an oracle; None: as they are

    Returns
    -------
    x, z (m, the true root; NaN for somebody who is not there), x_found, z_found (NaN: missed)
    """
    truth = [p for p in scenes(batch[:1])[0].people if (p.visibility > 0).any()]
    uv = (np.array([p.uv for p in some]).reshape(-1, len(MPI17), 2) for some in (truth, people))
    chosen = assign_2d(*uv, half_diagonals(truth))  # as in the tables
    lengths = coding.unit_bones(torch.from_numpy(np.stack([p.xyz for p in truth])))[1].tolist() if truth else []
    rows = []
    for person, at, own in zip(truth, chosen, lengths, strict=True):
        scale = 1.0 if length is None or at < 0 else own / length
        found = scale * people[at].root if at >= 0 else np.full(3, np.nan)  # a pose q times as large is q times as far
        rows.append((person.root[0], person.root[2], found[0], found[2]))
    for i in set(range(len(people))) - set(chosen.tolist()):
        rows.append((np.nan, np.nan, people[i].root[0], people[i].root[2]))
    return pd.DataFrame(np.array(rows).reshape(-1, 4) / 1000, columns=["x", "z", "x_found", "z_found"])


# ---- time -----------------------------------------------------------------------------------------------

COSTS = {"network": "network", "reading": "suppression, places", "pandanet": "all of PandaNet"}
COSTS |= {"threedmppe": "3DMPPE, a loop", "threedmppe_batch": "3DMPPE, a batch"}


def costs(table: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds by number of people as `plots.curves` draws them: the rounds' median, least and most."""
    long = table[table["variant"].isin(COSTS)].melt("variant", list(table.filter(regex="^ms_")), "x")
    grouped = long.assign(x=long["x"].str.removeprefix("ms_").astype(int)).groupby(["variant", "x"])["value"]
    found = grouped.agg(value="median", low="min", high="max").reindex(list(COSTS), level=0)
    return found.rename(COSTS, level=0).rename_axis(["series", "x"]).reset_index()


def median_costs(table: pd.DataFrame) -> pd.DataFrame:
    """Medians of the rounds, ms by number of people and the growth, a row a part."""
    some = table[table["variant"].isin(COSTS)].set_index("variant").filter(regex="^ms_|^growth")
    return (
        some.groupby(level=0).median().reindex(COSTS).rename(columns=lambda c: c.replace("ms_", "ms, ")).rename(COSTS)
    )


# ---- what the paper does not say ----------------------------------------------------------------------

CHOICES = {
    "score above 0.05 instead of 0.3": ("score_0.05", ("recall", "precision", "pck")),
    "score above 0.5 instead of 0.3": ("score_0.5", ("recall", "precision", "pck")),
    "boxes may overlap by 0.4 instead of 0.5": ("nms_0.4", ("recall", "precision", "ap", "pck")),
    "boxes may overlap by 0.6 instead of 0.5": ("nms_0.6", ("recall", "precision", "ap", "pck")),
    "boxes may overlap by 0.7 instead of 0.5": ("nms_0.7", ("recall", "precision", "ap", "pck")),
    "AP at 11 recalls, as in VOC 2007": ("voc07", ("ap",)),
    "people are matched by boxes, not their joints": ("boxes", ("recall", "pck")),
    "one sub-pixel convolution less": ("no_subpixel", ("recall", "precision", "ap", "pck")),
}
"""What `choices` lists: the variant that has it, and the metrics that it can change."""


def choices(table: pd.DataFrame) -> pd.DataFrame:
    """What each choice changes against ours: mean, low, high, points."""
    rows = []
    for choice, (variant, metrics) in CHOICES.items():
        for metric in metrics:
            found = gaps(table, [(variant, "full")], metric).iloc[0]
            rows.append((choice, metric, found["difference"], found["low"], found["high"]))
    table = table[table["variant"] == "full"]
    table = pd.concat([table.assign(variant="mean"), table.assign(variant="true", pck=table["pck_scaled"])])
    found = gaps(table, [("true", "mean")], "pck").iloc[0]
    rows.append(("true sizes instead of the mean one", "pck", found["difference"], found["low"], found["high"]))
    columns = ["choice", "metric", "change", "low", "high"]
    return pd.DataFrame(rows, columns=columns).set_index(["choice", "metric"])
