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
from mp3d.metrics.pck import auc3d, pck3d_by_group, rescale_bones
from mp3d.papers.pinet import PINet, PINetConfig, Profile, Sequences
from mp3d.scene import Scene
from mp3d.study import Study, digest
from mp3d.synthetic import worlds
from mp3d.synthetic.estimator import estimate

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
    "shuffled": {"composited": {"companions": "real"}},
    "pinet": {
        "test_random": {"order": "random"},
        "test_reverse": {"order": "reverse"},
        "test_strangers": {"companions": "shuffled"},
    },
}
"""Other ways of testing a trained network. `shuffled` is tested, as trained, among strangers; `composited` is the
same network among its real companions: MuCo, PI-Net's training set, is composited of people recorded alone."""

METRICS = ("mpjpe", "pa_mpjpe", "pck3d", "auc3d")


@dataclass(frozen=True)
class Job:
    """One variant at one size: what `run` needs besides the seed.

    Parameters
    ----------
    network : None for the unrefined estimates
    profile : of `pinet.PROFILES`
    budget : factor on the profile's training steps
    keep : folder for trained networks
    retests : name -> changed fields of the configuration
    """

    network: PINetConfig | None
    profile: str
    budget: float
    keep: str
    retests: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


def study(
    name: str,
    variants: Sequence[str],
    profile: str,
    keep: Path,
    budget: float = 1.0,
    seeds: int | None = None,
) -> Study:
    """A `Study` of some of `VARIANTS`, and of "input", at the size of a profile; `spread` its table."""
    unknown = set(variants) - {"input", *VARIANTS}
    if unknown:
        raise BadInput("pinet.study", "variants", sorted(unknown), "input, " + ", ".join(VARIANTS))
    size = pinet.PROFILES[profile]
    jobs = {}
    for variant in variants:
        retests = tuple((n, tuple(how.items())) for n, how in RETESTED.get(variant, {}).items())
        network = VARIANTS.get(variant)
        if network is not None:
            network = replace(network, hidden=size.hidden)
        jobs[variant] = Job(network, profile, budget, str(keep), retests)
    return Study(
        name,
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
    scenes, estimates = test_people(job.profile)
    if job.network is None:
        return scores(scenes, estimates)
    model = trained(job.network, job.profile, seed, Path(job.keep), job.budget)
    table = scores(scenes, refined(model, scenes, estimates, seed))
    table["parameters"] = parameters(job.network)
    if job.network == replace(PINetConfig(), hidden=job.network.hidden):
        table = table.join(attention(model, scenes, estimates), on="scene")
    for name, how in job.retests:
        model.config = replace(job.network, **dict(how))
        rows = scores(scenes, refined(model, scenes, estimates, seed))
        table = table.join(rows.drop(columns=["scene", "n"]).add_suffix("@" + name))
    return table


@lru_cache(maxsize=1)
def training_people(profile: str, seed: int) -> tuple[list[Scene], list[np.ndarray]]:
    """Scenes of the training split and their estimates."""
    scenes = worlds.scenes("duet", pinet.PROFILES[profile].scenes, seed=seed, split="train")
    return scenes, estimate(scenes, seed, split="train")


@lru_cache(maxsize=1)
def test_people(profile: str) -> tuple[list[Scene], list[np.ndarray]]:
    """The 20 test sequences, one after the other, and their estimates: the same for every variant and seed."""
    videos = worlds.sequences("duet", seed=0, frames=pinet.PROFILES[profile].frames)
    scenes = [scene for video in videos for scene in video]
    return scenes, estimate(scenes, seed=0, split="test")


def trained(config: PINetConfig, profile: str, seed: int, keep: Path, budget: float = 1.0) -> PINet:
    """The variant's network, trained now, or read if it is kept; a training that was killed goes on."""
    size = pinet.PROFILES[profile]
    size = replace(size, fit=replace(size.fit, steps=max(1, round(size.fit.steps * budget))))
    folder = Path(keep) / "networks" / digest(config, size, seed, code=CODE)
    scenes, estimates = training_people(profile, seed)
    return pinet.train(sequences(scenes, estimates, config, seed), config, size, seed, out=folder)


def sequences(
    scenes: Sequence[Scene], estimates: Sequence[np.ndarray], config: PINetConfig, seed: int
) -> Sequences:
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
    """A row a person and image: scene (the sequence), kind, people, distance (to the nearest, mm), mpjpe, pa_mpjpe (mm)."""
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
    """A row a sequence: scene, n (people in images), mpjpe and pa_mpjpe (mm, 17 joints with the pelvis, rigid), pck3d,
    auc3d and pck3d by joint group (percent, 150 mm, after bone rescaling: PI-Net's protocols, all people matched)."""
    true, pred = np.concatenate([s.xyz for s in scenes]), np.concatenate(list(poses)).astype(float)
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
            | {"auc3d": float(auc3d(e))}
            | {
                "pck3d" if name == "Total" else f"pck3d_{name.lower()}": float(value)
                for name, value in pck3d_by_group(e).items()
            }
        )
    return pd.DataFrame(rows)


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
