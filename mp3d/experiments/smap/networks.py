"""SMAP's networks and those it is compared with, trained on the synthetic worlds and kept.

A network is named after everything that decides it. A training that was killed goes on where it was.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

import mp3d.batch
import mp3d.camera
import mp3d.canvas
import mp3d.codings.affinity
import mp3d.codings.depth
import mp3d.codings.grid
import mp3d.codings.heatmaps
import mp3d.codings.orpm
import mp3d.codings.raster
import mp3d.data.pictures
import mp3d.nn.hourglass
import mp3d.nn.mspn
import mp3d.nn.resnet
import mp3d.papers.smap
import mp3d.skeletons
import mp3d.synthetic
import mp3d.training
from mp3d.canvas import fit_canvas, on_canvas
from mp3d.codings import depth
from mp3d.codings.grid import Grid
from mp3d.data.pictures import FileStream
from mp3d.errors import MissingData
from mp3d.experiments import real
from mp3d.experiments.shown import MIRRORS, device
from mp3d.papers import smap
from mp3d.papers.smap import PROFILES, SMAP, Profile, SMAPConfig
from mp3d.papers.smap.network import TYPICAL
from mp3d.papers.smap.targets import STRIDE, metric, normalised
from mp3d.study import digest, share
from mp3d.synthetic.render import Pictures, render
from mp3d.synthetic.stream import Stream
from mp3d.synthetic.worlds import takes
from mp3d.training import fit, load_model, save_model

TRAINING = (
    *(mp3d.papers.smap, mp3d.nn.mspn, mp3d.nn.hourglass, mp3d.nn.resnet),
    *(mp3d.codings.affinity, mp3d.codings.depth, mp3d.codings.grid, mp3d.codings.heatmaps, mp3d.codings.orpm),
    *(mp3d.codings.raster, mp3d.training, mp3d.synthetic, mp3d.batch, mp3d.camera, mp3d.canvas, mp3d.skeletons),
)
"""The code on which trained networks depend."""

VARIANTS: dict[str, dict] = {
    "full": {},
    "no_normalisation": {"normalisation": "none"},
    "no_multiscale": {"multiscale": False},
    "one_stage": {"stages": 1},
    "two_stages": {"stages": 2},
    "root_2d": {"branches": "root_2d"},
    "root_only": {"branches": "root"},
    "paper_loss": {"loss": "paper", "labels": "plain"},
}
"""Networks of Tables 3 and 11, and one of ours, as changes of the profile's configuration."""
OTHERS = 1_000_000
"""Added to a stream's seed for the pictures that RefineNet learns from; drawn ones the network has never seen."""


def resized(size: Profile, budget: float) -> Profile:
    """The profile with its training steps multiplied, RefineNet's too."""
    steps = max(1, round(size.fit.steps * budget))
    refinement = replace(size.refinement, pictures=max(1, round(size.refinement.pictures * budget)))
    return replace(size, fit=replace(size.fit, steps=steps, every=max(1, steps // 10)), refinement=refinement)


def stream(world: str, size: Profile, seed: int, device: str) -> Stream:
    """Training pictures of a world."""
    return Stream(world, seed, size.width, size.height, size.batch, reuse=size.reuse, block=size.block, device=device)


def place(variant: str, world: str, profile: str, seed: int, keep: Path, budget: float = 1.0) -> Path:
    """The folder of a network, by all that decides its training: variants that are one network share it."""
    size = resized(PROFILES[profile], budget)
    config = replace(size.config, **VARIANTS[variant])
    return Path(keep) / f"smap-{world}-{profile}-{seed}-{digest(config, size, world, seed, code=TRAINING)}"


def trained(variant: str, world: str, profile: str, seed: int, keep: Path, budget: float = 1.0) -> SMAP:
    """One of `VARIANTS` with its RefineNet, trained on a world, from `keep` if it is there."""
    size, folder = resized(PROFILES[profile], budget), place(variant, world, profile, seed, keep, budget)
    config, stored = replace(size.config, **VARIANTS[variant]), folder / "network.pt"
    pictures = stream(world, size, seed, device())
    others = replace(stream(world, size, seed + OTHERS, device()), reuse=1)  # read once: a repetition teaches nothing
    share(stored, lambda: smap.train(pictures, others, config, size, seed, folder).save(stored))
    return SMAP.load(stored, config).to(device())


def for_data(data: Path | str, kind: str, profile: str, seed: int, keep: Path, budget: float) -> tuple[SMAP, str]:
    """The network for a real test set, and what it was trained on.

    What the papers train on, half of it COCO, if it lies in the same folder; else the synthetic world that mirrors it.

    Parameters
    ----------
    data, kind : of `real.load_train`
    """
    try:
        shots, flat = real.load_train(data, kind)
    except MissingData:
        return trained("full", MIRRORS[kind], profile, seed, keep, budget), MIRRORS[kind]
    size = resized(PROFILES[profile], budget)
    where = digest(size, kind, [str(shot.path) for shot in (*shots, *flat)], seed, code=(*TRAINING, mp3d.data.pictures))
    place = Path(keep) / f"smap-{kind}-{profile}-{seed}-{where}"
    if not (place / "network.pt").exists():
        pictures = FileStream(shots, seed, *size.config.canvas, size.batch, flat)
        plain = FileStream(shots, seed + OTHERS, *size.config.canvas, size.batch, augment=False)
        smap.train(pictures, plain, size.config, size, seed, place).save(place / "network.pt")
    return SMAP.load(place / "network.pt", size.config).to(device()), kind + (" and coco" if flat else "")


# --------------------------------------------------------------------------------------------------
# Dense depth, the first alternative of section 4.4: every pixel of a person has a depth, and roots are read from it


class Dense(nn.Module):
    """SMAP's trunk with one branch, normalised depth in every cell: it sees surfaces, roots lie behind them."""

    def __init__(self, config: SMAPConfig):
        super().__init__()
        self.config = config
        self.network = smap.Network(replace(config, branches="root"))

    def forward(self, images: Tensor) -> list[list[smap.Maps]]:
        """By stage and scale."""
        return self.network(images)

    def read(self, images: Tensor, k: Float[Tensor, "B 4"], uv: Float[Tensor, "B P 2"]) -> Float[Tensor, "B P"]:
        """Depth in mm in the cell of each of the places, px of the picture; NaN off it."""
        canvases, canvas = fit_canvas(images, self.config.canvas)
        grid = Grid.over(*self.config.canvas, STRIDE)
        self.eval()
        with torch.inference_mode():
            roots = torch.cat([self(some)[-1][-1].roots for some in canvases.split(16)])
        found = depth.read_root(roots.float(), canvas.to(uv), grid)
        return metric(found, canvas.camera(k), self.config, canvas.shown)


@dataclass(frozen=True, eq=False)
class _Surfaces:
    images: Tensor
    depth: Float[Tensor, "B H W"]  # normalised, NaN where nobody is

    def to(self, device):
        return _Surfaces(self.images.to(device), self.depth.to(device))


def trained_dense(world: str, profile: str, seed: int, keep: Path, budget: float = 1.0) -> Dense:
    """The dense-depth network, trained on the depth of every pixel of a person, as long as SMAP's."""
    size = resized(PROFILES[profile], budget)
    code = (*TRAINING, Dense, surfaces, dense_loss, _blocks)
    place = Path(keep) / f"dense-{world}-{profile}-{seed}-{digest(size, world, seed, code=code)}"
    stored = place / "network.pt"

    def make() -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Dense(size.config)
        pictures = _blocks(world, size, seed, device())
        fit(model, lambda step: surfaces(pictures(step), size.config), dense_loss, size.fit, place)
        save_model(model, stored)

    share(stored, make)
    return load_model(Dense, SMAPConfig, stored, size.config).to(device())


def dense_loss(network: nn.Module, batch: _Surfaces) -> dict[str, Tensor]:
    """L1 at people's cells, at every scale."""
    there = batch.depth.isfinite()
    found = [maps.roots[:, 0].float() for scales in network(batch.images) for maps in scales]
    total = sum((roots - batch.depth).abs()[there].sum() for roots in found)
    return {"loss": total / (TYPICAL * there.sum().clamp(min=1))}


def _blocks(world: str, size: Profile, seed: int, device: str):
    """step -> `Pictures`, a pure function; each block of pictures is shown `reuse` times before the next."""
    steps = size.block // size.batch

    @lru_cache(maxsize=1)
    def block(number: int) -> Pictures:
        some = takes(world, size.block, seed, start=number * size.block)
        return render(some, size.width, size.height, seed + number, device)

    def pictures(step: int) -> Pictures:
        turn, at = divmod(step, steps)
        whole, part = block(turn // size.reuse), slice(at * size.batch, (at + 1) * size.batch)
        return Pictures(whole.batch[part], whole.depth[part], whole.instance[part])

    return pictures


def surfaces(pictures: Pictures, config: SMAPConfig) -> _Surfaces:
    """Canvases, and the normalised depth of whoever is seen at the centre of each cell."""
    batch, canvas = on_canvas(pictures.batch, config.canvas)
    grid = Grid.over(*config.canvas, STRIDE)
    u, v = grid.axes(batch.k.device)
    places = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)
    column, row = canvas.back(places).floor().long().unbind(-1)
    inside = (row >= 0) & (row < pictures.depth.shape[1]) & (column >= 0) & (column < pictures.depth.shape[2])
    row, column = row.clamp(0, pictures.depth.shape[1] - 1), column.clamp(0, pictures.depth.shape[2] - 1)
    seen = pictures.depth[:, row, column].where((pictures.instance[:, row, column] >= 0) & inside, torch.nan)
    depths = normalised(seen.flatten(1), batch.k, config, canvas.shown).unflatten(1, seen.shape[1:])
    return _Surfaces(batch.image, depths)
