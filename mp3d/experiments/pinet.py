"""PI-Net on the world `duet`: its variants, how each is trained and how it is tested.

The same test people with the same estimates serve every variant and seed, so comparisons are paired. A seed sets
what is drawn for training: people, errors of their estimates, weights, batches. Networks are kept in a folder, so
that the two notebooks share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

import mp3d.nn
import mp3d.papers.pinet as pinet
import mp3d.synthetic
import mp3d.training
from mp3d.errors import BadInput
from mp3d.metrics.errors import joint_errors, mpjpe, pa_mpjpe
from mp3d.metrics.pck import JOINT_GROUPS, auc3d, pck3d_by_group, rescale_bones
from mp3d.papers.pinet import PINet, PINetConfig, Sequences
from mp3d.published import load
from mp3d.scene import Scene
from mp3d.study import Study, digest, interval, matrix, scene_weights, summary
from mp3d.synthetic import worlds
from mp3d.synthetic.estimator import calibrated, estimate

CODE = (pinet, mp3d.training, mp3d.nn, mp3d.synthetic)
"""What a stored result depends on, besides its configuration and the functions here."""

VARIANTS = {
    "pinet": PINetConfig(),
    # Table 4: the order of the companions
    "random": PINetConfig(order="random"),
    "reverse": PINetConfig(order="reverse"),
    # Table 5: attention and direction
    "no_att": PINetConfig(attention=False),
    "no_bi": PINetConfig(bidirectional=False),
    "neither": PINetConfig(attention=False, bidirectional=False),
    # Table 6: the interaction unit
    "gcn": PINetConfig(cell="gcn", layers=4),
    "lstm2": PINetConfig(cell="lstm", layers=2),
    "lstm3": PINetConfig(cell="lstm", layers=3),
    "lstm4": PINetConfig(cell="lstm", layers=4),
    "gru2": PINetConfig(layers=2),
    "gru4": PINetConfig(layers=4),
    # controls that the paper lacks
    "self": PINetConfig(companions="none"),
    "shuffled": PINetConfig(companions="shuffled"),
    # where the paper is silent, or the released code does otherwise
    "near2d": PINetConfig(order="near2d"),
    "update": PINetConfig(head="update"),
    "released_padding": PINetConfig(padding="released"),
}
"""What is trained; "input", the unrefined estimates, needs no training."""

RETESTED = {
    "input": {"other_estimator": {"estimator": "other"}, "input_rootnet": {"estimator": "rootnet"}},
    "pinet": {
        "test_random": {"order": "random"},
        "test_reverse": {"order": "reverse"},
        "test_strangers": {"companions": "shuffled"},
        "pinet_other_estimator": {"estimator": "other"},
        "pinet_rootnet": {"estimator": "rootnet"},
    },
    "shuffled": {"composited": {"companions": "real"}},
}
"""Other ways of testing a trained network, as changes of its configuration or of the test's estimates. `shuffled` is
tested, as trained, among strangers; `composited` is the same network among its real companions: MuCo, PI-Net's
training set, is composited of people recorded alone."""

ESTIMATORS = ("calibrated", "rootnet", "other")
"""The test's estimates: the calibrated stand-in; with erroneous root depths; another estimator, whose errors are half
as large in depth, twice as large across, and whose people are too small rather than too large."""


PARTS = {
    "all of PI-Net": ("pinet", "input"),
    "nobody else (self)": ("self", "input"),
    "by companions": ("pinet", "self"),
    "by real companions, not strangers": ("pinet", "shuffled"),
    "trained on composites": ("composited", "self"),
    "real groups in training": ("pinet", "composited"),
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


@dataclass(frozen=True)
class Job:
    """One variant at one size: what `run` needs besides the seed.

    Parameters
    ----------
    network : None for the unrefined estimates
    profile : of `pinet.PROFILES`
    budget : factor on the profile's training steps
    keep : folder for trained networks
    retests : (name, changes) of `RETESTED`
    """

    network: PINetConfig | None
    profile: str
    budget: float
    keep: str
    retests: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


def study(variants: Sequence[str], profile: str, keep: Path, budget: float = 1.0, seeds: int = 0) -> Study:
    """A `Study` of some of `VARIANTS`, and of "input", at the size of a profile; `spread` its table.

    Parameters
    ----------
    keep : folder for results and networks; studies that share it share both
    budget : factor on the profile's training steps
    seeds : how many; 0: as many as the profile says
    """
    unknown = set(variants) - {"input", *VARIANTS}
    if unknown:
        raise BadInput("pinet.study", "variants", sorted(unknown), "input, " + ", ".join(VARIANTS))
    size = pinet.PROFILES[profile]
    jobs = {}
    for variant in variants:
        retests = tuple((n, tuple(how.items())) for n, how in RETESTED.get(variant, {}).items())
        network = VARIANTS.get(variant)
        if network is not None:
            # a third of the width makes the graph network's training step cost about what the GRU's does
            network = replace(network, hidden=max(1, size.hidden // (3 if network.cell == "gcn" else 1)))
        jobs[variant] = Job(network, profile, budget, str(keep), retests)
    return Study(
        "duet",
        run,
        jobs,
        range(seeds or size.seeds),
        Path(keep) / "results",
        data={"world": "duet", "profile": repr(size)},
        code=CODE,
    )


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Give the retests, columns "metric@variant" of a study's table, rows of their own."""
    plain = [column for column in table if "@" not in column]
    tables = [table[plain]]
    for name in dict.fromkeys(column.split("@")[1] for column in table if "@" in column):
        columns = {c: c.split("@")[0] for c in table if c.endswith("@" + name)}
        rows = table[[*plain[:4], *columns]].dropna(subset=list(columns)).rename(columns=columns)
        tables.append(rows.assign(variant=name))
    return pd.concat(tables, ignore_index=True)


def run(job: Job, seed: int) -> pd.DataFrame:
    """Train one variant with one seed and score it: a row a test sequence, in mm and percent."""
    if job.network is None:
        model, poses = None, test_people(job.profile)[1]
    else:
        model = trained(job.network, job.profile, seed, Path(job.keep), job.budget)
        poses = refined(model, *test_people(job.profile), seed)
    scenes = test_people(job.profile)[0]
    table = scores(scenes, poses)
    if model is not None:
        table["parameters"] = parameters(job.network)
    if job.network == replace(PINetConfig(), hidden=pinet.PROFILES[job.profile].hidden):
        table = table.join(attention(model, *test_people(job.profile)), on="scene")
    for name, changes in job.retests:
        how = dict(changes)
        poses = test_people(job.profile, how.pop("estimator", "calibrated"))[1]
        if model is not None:
            model.config = replace(job.network, **how)
            poses = refined(model, scenes, poses, seed)
        rows = scores(scenes, poses).drop(columns=["scene", "n"])
        table = table.join(rows.add_suffix("@" + name))
    return table


@lru_cache(maxsize=1)
def training_people(profile: str, seed: int) -> tuple[list[Scene], list[np.ndarray]]:
    """Scenes of the training split and their estimates."""
    scenes = worlds.scenes("duet", pinet.PROFILES[profile].scenes, seed=seed, split="train")
    return scenes, estimate(scenes, seed, split="train")


@lru_cache(maxsize=len(ESTIMATORS))
def test_people(profile: str, estimator: str = "calibrated") -> tuple[list[Scene], list[np.ndarray]]:
    """The 20 test sequences, one after the other, and their estimates: the same for every variant and seed."""
    videos = worlds.sequences("duet", seed=0, frames=pinet.PROFILES[profile].frames)
    scenes = [scene for video in videos for scene in video]
    config = calibrated()
    if estimator == "other":
        half = tuple(mm / 2 for mm in config.depth_mm)
        across = 4 * config.cells_per_depth  # of half the depth error: twice as much
        config = replace(config, depth_mm=half, cells_per_depth=across, systematic=-config.systematic)
    return scenes, estimate(scenes, 0, root="rootnet" if estimator == "rootnet" else "gt", config=config)


def trained(config: PINetConfig, profile: str, seed: int, keep: Path, budget: float = 1.0) -> PINet:
    """The variant's network, trained now, or read if it is kept; a training that was killed goes on."""
    folder = place(config, profile, seed, keep, budget)
    if not (folder / "network.pt").exists():
        scenes, estimates = training_people(profile, seed)
        people = sequences(scenes, estimates, config, seed)
        pinet.train(people, config, sized(profile, budget), seed, out=folder).save(folder / "network.pt")
        (folder / "checkpoint.pt").unlink()
    return PINet.load(folder / "network.pt", config)


def sized(profile: str, budget: float) -> pinet.Profile:
    """The profile with `budget` times its training steps."""
    size = pinet.PROFILES[profile]
    return replace(size, fit=replace(size.fit, steps=max(1, round(size.fit.steps * budget))))


def place(config: PINetConfig, profile: str, seed: int, keep: Path, budget: float = 1.0) -> Path:
    """The folder of a trained network; its name holds the hash of all that decides the training."""
    return Path(keep) / "networks" / digest(config, repr(sized(profile, budget)), seed, code=CODE)


def sequences(scenes: Sequence[Scene], estimates: Sequence[np.ndarray], config: PINetConfig, seed: int) -> Sequences:
    """The network's input and truth for all people of these scenes."""
    truth = [scene.xyz for scene in scenes]
    return pinet.sequences(estimates, config, truth, [scene.boxes for scene in scenes], seed)


def refined(
    model: PINet, scenes: Sequence[Scene], estimates: Sequence[np.ndarray], seed: int
) -> list[Float[np.ndarray, "_ 17 3"]]:
    """All people refined, by scene, in mm; among strangers if the model's configuration says so."""
    people = sequences(scenes, estimates, model.config, seed)
    if model.config.companions == "shuffled":
        people = pinet.strangers(people, np.random.default_rng(seed))
    counts = [len(scene.people) for scene in scenes]
    return [part.numpy() for part in model.predict(people).split(counts)]


def by_person(scenes: Sequence[Scene], poses: Sequence[np.ndarray]) -> pd.DataFrame:
    """A row a person and image.

    Columns: scene (the sequence), kind, people, distance (to the nearest, mm), mpjpe, pa_mpjpe (mm).
    """
    true, pred = np.concatenate([s.xyz for s in scenes]), np.concatenate(list(poses))
    counts = [len(scene.people) for scene in scenes]

    def nearest(roots):
        apart = np.linalg.norm(roots[:, None] - roots[None], axis=-1)
        return (apart + np.diag(np.full(len(roots), np.inf))).min(1)

    return pd.DataFrame(
        {
            "scene": np.repeat([scene.sequence for scene in scenes], counts),
            "kind": np.repeat([scene.kind for scene in scenes], counts),
            "people": np.repeat(counts, counts),
            "distance": np.concatenate([nearest(scene.roots) for scene in scenes]),
            "mpjpe": mpjpe(pred, true),
            "pa_mpjpe": pa_mpjpe(pred, true),
        }
    )


def scores(scenes: Sequence[Scene], poses: Sequence[np.ndarray]) -> pd.DataFrame:
    """A row a sequence, by PI-Net's protocols, everybody matched.

    Columns: scene; n, people in images; mpjpe and pa_mpjpe (mm, 17 joints with the pelvis, rigid alignment); mrpe, the
    root's error (mm); pck3d, auc3d and pck3d by joint group (percent, 150 mm, after bone rescaling).
    """
    true, pred = np.concatenate([s.xyz for s in scenes]), np.concatenate(list(poses)).astype(float)
    root_error = np.linalg.norm(pred[:, 14] - true[:, 14], axis=-1)
    true, pred = true - true[:, 14:15], pred - pred[:, 14:15]
    errors = joint_errors(rescale_bones(pred, true), true)
    people = by_person(scenes, poses)
    rows = []
    for scene, group in people.groupby("scene", sort=False):
        e = errors[group.index]
        rows.append(
            {
                "scene": scene,
                "n": len(group),
                "mpjpe": group["mpjpe"].mean(),
                "pa_mpjpe": group["pa_mpjpe"].mean(),
            }
            | {"mrpe": root_error[group.index].mean(), "auc3d": float(auc3d(e))}
            | {
                "pck3d" if name == "Total" else f"pck3d_{name.lower()}": float(value)
                for name, value in pck3d_by_group(e).items()
            }
        )
    return pd.DataFrame(rows)


def floors(profile: str) -> pd.DataFrame:
    """The error that no PI-Net can undercut on the test people, because of how it normalises: in mm.

    The truth, normalised by its own statistics as in training, and de-normalised by the input's as in use. A row for
    people in their group, and one for people alone, whose statistics are only their own.
    """
    scenes, estimates = test_people(profile)
    rows = {"input": scores(scenes, estimates)}
    for name, config in (("in the group", PINetConfig()), ("alone", PINetConfig(companions="none"))):
        people = sequences(scenes, estimates, config, seed=0)
        real = people.real[..., None].expand(people.poses.shape[:-1])
        (mean, std), (to_mean, to_std) = (pinet.statistics(poses, real) for poses in (people.truth, people.poses))
        best = ((people.truth - mean) / std * to_std + to_mean)[:, 0]
        rows[name] = scores(scenes, [part.numpy() for part in best.split([len(s.people) for s in scenes])])
    columns = {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE"}
    out = {name: {t: np.average(r[m], weights=r["n"]) for m, t in columns.items()} for name, r in rows.items()}
    return pd.DataFrame(out).T.rename_axis("perfect network")


def parameters(config: PINetConfig) -> int:
    """The variant's number of parameters at the paper's width, whatever width is trained."""
    model = PINet(replace(config, hidden=PINetConfig().hidden))
    return sum(weights.numel() for weights in model.parameters())


def attention_pairs(model: PINet, scenes: Sequence[Scene], estimates: Sequence[np.ndarray]) -> pd.DataFrame:
    """How much the person to refine takes from everyone: a row a pair.

    Columns: scene, people, place (0 the person, 1 the nearest, ...), distance (of the true roots, mm), weight.
    """
    people = sequences(scenes, estimates, model.config, seed=0)
    counts = [len(scene.people) for scene in scenes]
    names = np.repeat([scene.sequence for scene in scenes], counts)
    parts = []
    for number in people.lengths.unique().tolist():
        chosen = people.lengths == number
        part = people[chosen]
        with torch.no_grad():
            weight = model(part.poses, part.lengths).attention[:, 0]
        roots = part.truth[:, :, 14]
        parts.append(
            pd.DataFrame(
                {
                    "scene": np.repeat(names[chosen.numpy()], number),
                    "people": number,
                    "place": np.tile(np.arange(number), len(part)),
                    "distance": (roots - roots[:, :1]).norm(dim=-1).flatten().numpy(),
                    "weight": weight.flatten().numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def attention(model: PINet, scenes: Sequence[Scene], estimates: Sequence[np.ndarray]) -> pd.DataFrame:
    """Mean weights by sequence: attention_self, attention_near and, with three people, attention_far."""
    pairs = attention_pairs(model, scenes, estimates)
    names = {0: "attention_self", 1: "attention_near", 2: "attention_far"}
    return pairs.pivot_table("weight", "scene", "place").rename(columns=names).rename_axis(columns=None)


# -- tables -----------------------------------------------------------------------------------------------


def by_sequence(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Tables 1 and 2 on `duet`: a row a sequence, means over seeds, then both kinds of average."""
    scenes = {scene.sequence: scene for scene in test_people(profile)[0]}
    columns = {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "pck3d": "3DPCK"}
    parts = {}
    for metric, title in columns.items():
        for variant, word in (("input", "before"), ("pinet", "after")):
            rows = table[table["variant"] == variant]
            parts[f"{title} {word}"] = rows.groupby("scene", sort=False)[metric].mean()
    out = pd.DataFrame(parts)
    n = table.groupby("scene", sort=False)["n"].first()
    means = pd.DataFrame({"mean of sequences": out.mean(), "mean of people": out.mul(n, axis=0).sum() / n.sum()}).T
    out.insert(0, "people", [len(scenes[name].people) for name in out.index])
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
        rows[name] = {"paper before": theirs[0], "paper after": theirs[1], "before": before, "after": after}
        rows[name] |= {"paper's gain": theirs[1] - theirs[0], "gain": after - before}
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
            row[f"paper {title}"] = published.number(f"{reference}/{column}") if reference else np.nan
            mean, low, high = here.loc[variant, metric]
            row[f"here {title}"] = f"{mean:.1f} [{low:.1f}, {high:.1f}]" if low == low else f"{mean:.1f}"
    return pd.DataFrame(out).T.rename_axis("variant")


def gains(table: pd.DataFrame, pairs: dict[str, tuple[str, str]], metric: str = "mpjpe") -> pd.DataFrame:
    """Paired differences with 95 % intervals: label -> (variant, reference); positive where the variant is better.

    Columns: label, variant, difference, low, high (mm).
    """
    rows = []
    for label, (variant, reference) in pairs.items():
        values = (matrix(table, reference, metric) - matrix(table, variant, metric)).dropna(axis=1)
        mean, low, high = interval(values.to_numpy(), scene_weights(table, values.columns, "instance"))
        rows.append({"label": label, "variant": variant, "difference": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def gain_by_scene(table: pd.DataFrame, metric: str = "mpjpe") -> pd.DataFrame:
    """A row a sequence: scene, gain, low, high (mm, over seeds), and the paper's gain in its sequence of that number.

    Columns: scene, gain, low, high, paper.


    The interval is of the seeds alone, 1.96 standard errors: within a sequence there is nothing else to resample.
    """
    before, after = matrix(table, "input", metric), matrix(table, "pinet", metric)
    gain = before - after
    half = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
    published = load("pinet")
    name = {"mpjpe": "T2_mpjpe", "pa_mpjpe": "T2_pa"}[metric]
    theirs = {row: published.row(f"{name}/{row}") for row in ("3DMPPE", "PI-Net")}
    order = list(dict.fromkeys(table["scene"]))
    return pd.DataFrame(
        {
            "scene": order,
            "gain": gain.mean()[order].to_numpy(),
            "low": (gain.mean() - half)[order].to_numpy(),
            "high": (gain.mean() + half)[order].to_numpy(),
            "paper": [theirs["3DMPPE"][f"S{s[1:]}"] - theirs["PI-Net"][f"S{s[1:]}"] for s in order],
        }
    )


def gain_by_group(table: pd.DataFrame) -> pd.DataFrame:
    """A row a joint group: joint, gain, low, high (points of 3DPCK, 95 %), paper (its gain on MuPoTS-3D)."""
    published = load("pinet")
    rows = []
    for name in JOINT_GROUPS:
        metric = f"pck3d_{name.lower()}"
        values = (matrix(table, "pinet", metric) - matrix(table, "input", metric)).to_numpy()
        theirs = published.number(f"T3/PI-Net/{name}") - published.number(f"T3/3DMPPE/{name}")
        rows.append(
            dict(zip(("joint", "gain", "low", "high", "paper"), (name, *interval(values), theirs), strict=True))
        )
    return pd.DataFrame(rows)


def gain_by_kind(table: pd.DataFrame, linear: pd.DataFrame, profile: str) -> pd.DataFrame:
    """What companions give, by kind: kind, method ("ridge", "PI-Net"), gain, low, high in mm.

    Ridge: with against without the companion; PI-Net: against `self`, over the test sequences of that kind.
    """
    kinds = {scene.sequence: scene.kind for scene in test_people(profile)[0]}
    rows = []
    for kind in sorted(set(kinds.values())):
        of_kind = table[table["scene"].map(kinds) == kind]
        parts = {
            "ridge": gains(linear[linear["scene"] == kind], {kind: ("ridge", "ridge_self")}),
            "PI-Net": gains(of_kind, {kind: ("pinet", "self")}),
        }
        for method, part in parts.items():
            rows.append({"kind": kind, "method": method, **part.iloc[0][["difference", "low", "high"]].to_dict()})
    return pd.DataFrame(rows).rename(columns={"difference": "gain"})


def typical(scenes: Sequence[Scene], before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> int:
    """The number of the scene whose gain in MPJPE is the median one: no picked example."""
    gain = [mpjpe(b, s.xyz).mean() - mpjpe(a, s.xyz).mean() for s, b, a in zip(scenes, before, after, strict=True)]
    return int(np.argsort(gain, kind="stable")[len(gain) // 2])


def ablation(table: pd.DataFrame) -> pd.DataFrame:
    """Every variant against PI-Net, as `plots.forest` wants it; positive: worse than PI-Net.

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
    for place, variants in places.items():
        rows = gains(table, {name: ("pinet", name) for name in variants}).drop(columns="variant")
        rows.insert(1, "table", place)
        best = published.number("T6/3 GRU/MPJPE")
        rows["paper"] = [published.number(f"{row}/MPJPE") - best if row else np.nan for row in variants.values()]
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
