"""TDBU's networks, part by part, trained on the synthetic worlds and kept.

A part is named after everything that decides it, the parts it learned from included: an ablation that changes one part
shares all others. A training that was killed goes on where it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mp3d.batch
import mp3d.camera
import mp3d.canvas
import mp3d.codings.crops
import mp3d.codings.depth
import mp3d.codings.grid
import mp3d.codings.heatmaps
import mp3d.codings.tags
import mp3d.nn.hrnet
import mp3d.nn.resnet
import mp3d.nn.tcn
import mp3d.papers.pandanet
import mp3d.papers.tdbu
import mp3d.skeletons
import mp3d.synthetic
import mp3d.training
from mp3d.experiments.pandanet import networks as pandanet
from mp3d.experiments.pandanet.networks import WIDE
from mp3d.experiments.shown import device
from mp3d.papers import pandanet as pandanet_paper
from mp3d.papers.tdbu import PROFILES, TDBU, Profile, TDBUConfig, train
from mp3d.papers.tdbu.bottomup import FrameNet
from mp3d.papers.tdbu.discriminators import Joined, neighbours
from mp3d.papers.tdbu.lifting import ROOT, Lift, to_camera
from mp3d.papers.tdbu.topdown import PersonNet
from mp3d.papers.tdbu.train import Noise, Windows
from mp3d.study import digest, share
from mp3d.synthetic.stream import Stream
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import films
from mp3d.training import FitConfig, load_model, save_model

TRAINING = (
    *(mp3d.papers.tdbu, mp3d.nn.hrnet, mp3d.nn.resnet, mp3d.nn.tcn, mp3d.codings.crops, mp3d.codings.depth),
    *(mp3d.codings.grid, mp3d.codings.heatmaps, mp3d.codings.tags, mp3d.training, mp3d.synthetic, mp3d.batch),
    *(mp3d.camera, mp3d.canvas, mp3d.skeletons, mp3d.papers.pandanet),
)
"""The code on which trained networks depend."""

PARTS: dict[str, dict] = {
    "person": {},
    "person_one": {"people": "one"},
    "detector": {"guide": "none"},
    "frame": {},
    "frame_joints": {"guide": "joints"},
    "lift": {},
    "joined": {},
    "gate": {"combine": "gate"},
    "joined_alone": {},
}
"""Parts, and what each changes in the configuration: one person a crop ("w/o MP"); no guide ("w/o CH"; also the
detector); the guide drawn anew; the released gate; integration without discriminators."""
NOISE = Noise(shift=0.04)
"""Of the 2D tracks that lifting learns from (our choice): small networks of crops err about as much on videos of the
training split."""


@dataclass(frozen=True)
class Home:
    """Which networks: the world they learn from, the size, the seed, and where they are kept."""

    world: str
    profile: str
    seed: int
    keep: Path
    budget: float | int = 1.0


def sized(home: Home) -> Profile:
    """The profile, its steps multiplied, with the world's pictures."""
    size = PROFILES[home.profile]

    def longer(fit: FitConfig) -> FitConfig:
        steps = max(1, round(fit.steps * home.budget))
        drops = tuple(round(drop * steps / fit.steps) for drop in fit.milestones)
        return replace(
            fit, steps=steps, milestones=drops, warmup=round(fit.warmup * steps / fit.steps), every=max(1, steps // 10)
        )

    fits = {name: longer(getattr(size, name)) for name in ("top_down", "bottom_up", "graph", "temporal", "joined")}
    if home.world == "street":
        width, height = WIDE[home.profile]
        config = replace(size.config, canvas=(width, height), view=size.config.view / 4)  # people are as much farther
        reuse = 4 * size.reuse  # each time another window, and large pictures take long to draw
        size = replace(size, width=width, height=height, config=config, reuse=reuse)
    return replace(size, **fits)


def stream(home: Home) -> train.Stream:
    """A world's training pictures; of `street` windows, as PandaNet learns from: whole, people would be few px high."""
    size = sized(home)
    if home.world == "street":
        some = pandanet.sized("full", "street", home.profile, 1)
        return pandanet.stream("street", replace(some, batch=size.batch, reuse=size.reuse, block=size.block), home.seed)
    return Stream(
        home.world, home.seed, size.width, size.height, size.batch, reuse=size.reuse, block=size.block, device=device()
    )


def _learned(home: Home, config: TDBUConfig) -> TDBUConfig:
    """The configuration in training, in which a canvas of `street` is a window."""
    how = pandanet_paper.PROFILES[home.profile].windows
    return replace(config, canvas=(how.width, how.height)) if home.world == "street" else config


@lru_cache(maxsize=4)
def tracks(world: str, profile: str, seed: int, split: str = "train") -> list[Takes]:
    """Videos to learn motion from, drawn several times over with other people."""
    size = PROFILES[profile]
    return [
        film for again in range(size.videos) for film in films(world, 1000 * seed + again, split, frames=size.frames)
    ]


def everyone(some: list[Takes]) -> list[tuple[Tensor, Tensor]]:
    """Everybody's track, from first to last frame: joints in the camera's units, and mm."""
    found = []
    for film in some:
        xyz = torch.from_numpy(film.points[:, :, :17]).float()
        uv = to_camera(torch.from_numpy(film.uv).float(), torch.from_numpy(film.k).float()[:, None])
        here = xyz.isfinite().all(-1).all(-1).all(0)
        found += [(uv[:, p], xyz[:, p]) for p in torch.nonzero(here)[:, 0].tolist()]
    return found


def windows(people: list[tuple[Tensor, Tensor]], length: int, count: int, seed: int) -> Callable[[int], Windows]:
    """step -> stretches of tracks, anybody's, around any moment; beyond a track's ends its first and last frame."""
    lengths = np.array([len(uv) for uv, _ in people])

    def draw(step: int) -> Windows:
        rng = np.random.default_rng([seed, step])
        who = rng.integers(len(people), size=count)
        centre = (rng.random(count) * lengths[who]).astype(int)
        at = np.clip(centre[:, None] + np.arange(length) - length // 2, 0, lengths[who, None] - 1)
        uv, xyz = (torch.stack([people[p][i][t] for p, t in zip(who, at, strict=True)]) for i in (0, 1))
        return Windows(uv, torch.ones(uv.shape[:-1]), xyz)

    return draw


def pairs(some: list[Takes], count: int, seed: int) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
    """step -> true poses (mm) of people and of their nearest others in single frames, and whether there is one."""

    def draw(step: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([seed, step])
        a, b, together = [], [], []
        for _ in range(count):
            film = some[rng.integers(len(some))]
            poses = torch.from_numpy(film.points[rng.integers(len(film)), :, :17]).float()
            poses = poses[poses.isfinite().all(-1).all(-1)]
            one = int(rng.integers(len(poses)))
            other = int(neighbours(poses[:, ROOT])[one])
            a.append(poses[one])
            b.append(poses[max(other, 0)])
            together.append(other >= 0)
        return torch.stack(a), torch.stack(b), torch.tensor(together)

    return draw


def place(part: str, home: Home) -> Path:
    """The folder of a part, by all that decides it; what does not depend on a part's own change is shared."""
    size = sized(home)
    config = replace(size.config, **PARTS[part])
    if part in ("person", "person_one"):
        by = (size.top_down, size.crops)
    elif part in ("frame", "frame_joints"):
        by = (size.bottom_up, place("person", home).name)
    elif part == "detector":
        by = (size.bottom_up,)
    else:
        by = (size.graph, size.temporal, NOISE) if part == "lift" else (size.joined, size.spoiling)
    pictures = (size.width, size.height, size.batch, size.reuse, size.block)
    motion = (size.windows, size.pairs, size.frames, size.videos)
    drawn = (stream, pandanet.stream, _learned, tracks.__wrapped__, everyone, windows, pairs)
    name = digest(part, config, by, pictures, motion, home.world, home.seed, code=(*TRAINING, *drawn))
    return Path(home.keep) / f"tdbu-{part}-{home.world}-{home.profile}-{home.seed}-{name}"


def trained(part: str, home: Home) -> PersonNet | FrameNet | Lift | Joined:
    """A part, from where it is kept if it is there; what it learns from is trained before it."""
    size, folder = sized(home), place(part, home)
    config, stored = replace(size.config, **PARTS[part]), folder / "network.pt"
    if part in ("person", "person_one"):
        kind = PersonNet
    elif part in ("detector", "frame", "frame_joints"):
        kind = FrameNet
    else:
        kind = Lift if part == "lift" else Joined

    def make() -> None:
        if kind is PersonNet:
            made = train.train_top_down(stream(home), config, size.top_down, size.crops, home.seed, folder)
        elif kind is FrameNet:
            person, here = None if part == "detector" else trained("person", home), _learned(home, config)
            made = train.train_bottom_up(stream(home), person, here, size.bottom_up, home.seed, folder)
            made.config = config  # fully convolutional
        elif kind is Lift:
            people = everyone(tracks(home.world, home.profile, home.seed))
            some = windows(people, 3**config.layers, size.windows, home.seed)
            made = train.train_lift(some, config, size.graph, size.temporal, NOISE, home.seed, folder)
        else:
            poses = pairs(tracks(home.world, home.profile, home.seed), size.pairs, home.seed)
            judged = part != "joined_alone"
            made = train.train_integration(
                poses, config, size.joined, size.spoiling, judged, seed=home.seed, out=folder
            )
        save_model(made, stored)

    share(stored, make)
    return _loaded(kind, config, stored)


@lru_cache(maxsize=16)
def _loaded(kind: type, config: TDBUConfig, stored: Path) -> PersonNet | FrameNet | Lift | Joined:
    return load_model(kind, TDBUConfig, stored, config).to(device())


def whole(home: Home) -> TDBU:
    """All parts together."""
    model = TDBU(sized(home).config)
    model.detector, model.person, model.lift = (trained(part, home) for part in ("detector", "person", "lift"))
    model.frame, model.joined = (trained(part, home) for part in ("frame", "joined"))
    return model.eval()
