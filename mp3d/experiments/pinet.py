"""PI-Net on the world `duet`: its variants, how each is trained and how it is tested.

The same test people with the same estimates serve every variant and seed, so comparisons are paired. A seed sets
what is drawn for training: people, errors of their estimates, weights, batches. Networks are kept in a folder, so
that the two notebooks share them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

import mp3d.camera
import mp3d.metrics
import mp3d.papers.pinet as pinet
import mp3d.scene
import mp3d.skeletons
import mp3d.training
from mp3d.errors import BadInput
from mp3d.metrics.errors import joint_errors, mpjpe, pa_mpjpe
from mp3d.metrics.pck import auc3d, pck3d_by_group, rescale_bones
from mp3d.nn import gcn
from mp3d.papers.pinet import PINet, PINetConfig, Sequences
from mp3d.scene import Scene
from mp3d.study import KEYS, Study, digest, share
from mp3d.synthetic import body, estimator, interactions, motion, shots, takes, worlds
from mp3d.synthetic.estimator import calibrated, estimate

TRAINING = (pinet, mp3d.training, gcn, worlds, shots, takes, body, motion, interactions, estimator)
"""The code on which a trained network depends, no more: pictures and other networks leave it alone. Its scores depend
on more, see `study`."""

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


@dataclass(frozen=True)
class Job:
    """One variant at one size: what `run` needs besides the seed.

    Parameters
    ----------
    network : None for the unrefined estimates
    profile : of `pinet.PROFILES`
    budget : factor on the profile's training steps
    keep : folder for trained networks; does not decide the result
    retests : (name, changes) of `RETESTED`
    """

    network: PINetConfig | None
    profile: str
    budget: float
    keep: str = field(metadata={"decides": False})
    retests: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


def study(
    variants: Sequence[str], profile: str, keep: Path, budget: float = 1.0, seed: int = 0, seeds: int = 0
) -> Study:
    """A `Study` of some of `VARIANTS`, and of "input", at the size of a profile; `spread` its table.

    Parameters
    ----------
    keep : folder for results and networks; studies that share it share both
    budget : factor on the profile's training steps
    seed, seeds : the first seed, and how many; 0: as many as the profile says

    Raises
    ------
    BadInput : an unknown variant, a budget that is not positive, a negative number of seeds
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
        jobs[variant] = Job(network, profile, checked_budget(budget), str(keep), retests)
    code = (sys.modules[__name__], *TRAINING, mp3d.metrics, mp3d.camera, mp3d.skeletons, mp3d.scene)
    return Study(
        "duet", run, jobs, seed_range(seed, seeds or size.seeds), Path(keep) / "results", {"profile": repr(size)}, code
    )


def checked_budget(budget: float) -> float:
    """The budget; `BadInput` unless it is positive."""
    if not 0 < budget < np.inf:
        raise BadInput("study", "budget", budget, "a positive number")
    return budget


def seed_range(seed: int, seeds: int) -> range:
    """`seeds` seeds from `seed` on; `BadInput` if that is none."""
    if seed < 0 or seeds < 1:
        raise BadInput("study", "seed, seeds", (seed, seeds), "seed at least 0, and at least one of them")
    return range(seed, seed + seeds)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Give the retests, columns "metric@variant" of a study's table, rows of their own."""
    plain = [column for column in table if "@" not in column]
    tables = [table[plain]] if len(plain) > len(KEYS) else []
    for name in dict.fromkeys(column.split("@")[1] for column in table if "@" in column):
        columns = {c: c.split("@")[0] for c in table if c.endswith("@" + name)}
        rows = table[[*KEYS, *columns]].dropna(subset=list(columns), how="all").rename(columns=columns)
        tables.append(rows.assign(variant=name))
    return pd.concat(tables, ignore_index=True)


def run(job: Job, seed: int) -> pd.DataFrame:
    """Train one variant with one seed and score it: a row a test sequence, in mm and percent."""
    if job.network is None:
        model, poses = None, people_to_test(job.profile)[1]
    else:
        model = trained(job.network, job.profile, seed, Path(job.keep), job.budget)
        poses = refined(model, *people_to_test(job.profile), seed)
    scenes = people_to_test(job.profile)[0]
    table = scores(scenes, poses)
    if model is not None:
        table["parameters"] = parameters(job.network)
        table["trained_parameters"] = sum(weights.numel() for weights in model.parameters())
    if job.network == replace(PINetConfig(), hidden=pinet.PROFILES[job.profile].hidden):
        table = table.join(attention(model, *people_to_test(job.profile)), on="scene")
    for name, changes in job.retests:
        how = dict(changes)
        poses = people_to_test(job.profile, how.pop("estimator", "calibrated"))[1]
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
def people_to_test(profile: str, estimator: str = "calibrated") -> tuple[list[Scene], list[np.ndarray]]:
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

    def make() -> None:
        scenes, estimates = training_people(profile, seed)
        people = sequences(scenes, estimates, config, seed)
        pinet.train(people, config, sized(profile, budget), seed, out=folder).save(folder / "network.pt")
        (folder / "checkpoint.pt").unlink()

    share(folder / "network.pt", make)
    return PINet.load(folder / "network.pt", config)


def sized(profile: str, budget: float) -> pinet.Profile:
    """The profile with `budget` times its training steps; a short training warms up for an eighth of it at most."""
    size = pinet.PROFILES[profile]
    steps = max(1, round(size.fit.steps * budget))
    return replace(size, fit=replace(size.fit, steps=steps, warmup=min(size.fit.warmup, steps // 8)))


def place(config: PINetConfig, profile: str, seed: int, keep: Path, budget: float = 1.0) -> Path:
    """The folder of a trained network; its name holds the hash of all that decides the training."""
    return Path(keep) / "networks" / digest(config, repr(sized(profile, budget)), seed, code=TRAINING)


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

    Columns: scene; n, people in images; mpjpe and pa_mpjpe (mm, 17 joints with the pelvis, rigid alignment);
    pa_mpjpe_scaled (mm, alignment with scale: not PI-Net's); mrpe, the root's error (mm); pck3d, auc3d and pck3d by
    joint group (percent, 150 mm, after bone rescaling).
    """
    true, pred = np.concatenate([s.xyz for s in scenes]), np.concatenate(list(poses)).astype(float)
    root_error = np.linalg.norm(pred[:, 14] - true[:, 14], axis=-1)
    true, pred = true - true[:, 14:15], pred - pred[:, 14:15]
    errors = joint_errors(rescale_bones(pred, true), true)
    people = by_person(scenes, poses)
    scaled = pa_mpjpe(pred, true, scale=True)
    rows = []
    for scene, group in people.groupby("scene", sort=False):
        e = errors[group.index]
        row = {"scene": scene, "n": len(group)}
        row |= {metric: group[metric].mean() for metric in ("mpjpe", "pa_mpjpe")}
        row |= {"pa_mpjpe_scaled": scaled[group.index].mean(), "mrpe": root_error[group.index].mean()}
        row["auc3d"] = float(auc3d(e))
        for name, value in pck3d_by_group(e).items():
            row["pck3d" if name == "Total" else f"pck3d_{name.lower()}"] = float(value)
        rows.append(row)
    return pd.DataFrame(rows)


def floors(profile: str) -> pd.DataFrame:
    """What a network leaves on the test people that meets its training target exactly: mm.

    The truth, normalised by its own statistics as in training, and de-normalised by the input's as in use. A row for
    people in their group, and one for people alone, whose statistics are only their own.
    """
    scenes, estimates = people_to_test(profile)
    rows = {"input": scores(scenes, estimates)}
    for name, config in (("in the group", PINetConfig()), ("alone", PINetConfig(companions="none"))):
        people = sequences(scenes, estimates, config, seed=0)
        real = people.real[..., None].expand(people.poses.shape[:-1])
        (mean, std), (to_mean, to_std) = (pinet.statistics(poses, real) for poses in (people.truth, people.poses))
        best = ((people.truth - mean) / std * to_std + to_mean)[:, 0]
        rows[name] = scores(scenes, [part.numpy() for part in best.split([len(s.people) for s in scenes])])
    columns = {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "pa_mpjpe_scaled": "PA-MPJPE with scale"}
    out = {name: {t: np.average(r[m], weights=r["n"]) for m, t in columns.items()} for name, r in rows.items()}
    return pd.DataFrame(out).T.rename_axis("target met")


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


def attention_matrix(
    model: PINet, scenes: Sequence[Scene], estimates: Sequence[np.ndarray]
) -> Float[np.ndarray, "3 3"]:
    """Mean attention in scenes of three, in reading order: the person, the nearest, the farther one."""
    people = sequences(scenes, estimates, model.config, seed=0)
    part = people[people.lengths == 3]
    with torch.no_grad():
        return model(part.poses, part.lengths).attention.mean(0).numpy()


def attention(model: PINet, scenes: Sequence[Scene], estimates: Sequence[np.ndarray]) -> pd.DataFrame:
    """Mean weights by sequence: attention_self, attention_near and, with three people, attention_far."""
    pairs = attention_pairs(model, scenes, estimates)
    names = {0: "attention_self", 1: "attention_near", 2: "attention_far"}
    return pairs.pivot_table("weight", "scene", "place").rename(columns=names).rename_axis(columns=None)
