"""ORPM-AE: deep, robust and single-shot multi-person 3D pose estimation (Benzine et al., ICIP 2019).

One pass over the whole picture. Stacked hourglasses say where joints are (heatmaps), whose they are (a tag a joint,
alike within a person) and how each stands to its parent in space (bone vectors, written redundantly into
occlusion-robust pose maps). People are grouped by tags, and each of their bones is read where it can be read best.

In the paper's order: configuration; targets (sections 3.2 and 3.3); losses (equations 2 and 3); network (3.1); from
maps to people (3.2 and 3.5); training (4). The authors released no code; "public code" is that of associative
embedding (pose-ae-train), on which they built.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from mp3d.batch import Batch
from mp3d.camera import Camera, project
from mp3d.canvas import Canvas, fit_canvas, on_canvas, one_picture
from mp3d.codings import heatmaps, orpm, tags, translation
from mp3d.codings.grid import Grid
from mp3d.codings.heatmaps import Peaks
from mp3d.errors import BadInput, MissingData
from mp3d.files import write
from mp3d.nn.hourglass import Hourglass, plain
from mp3d.scene import HIDDEN, VISIBLE, Person
from mp3d.skeletons import MPI17, NATIVE
from mp3d.training import FitConfig, fit, load_model, save_model

STRIDE = 4
"""px of the canvas a cell (public code)."""
JOINTS, ROOT = len(MPI17), MPI17.root
METRES = 1e-3
"""Bones are learned in metres, so that they are of the size of heatmaps (our choice)."""
QUIET = 0.1
"""Deviation of an untrained network's maps, about: most cells hold nothing (our choice)."""
GROUPS = 8
"""Of channels that are normalised together (our choice)."""
MOST = 30
"""Detections of a joint type that are kept (public code)."""

# --------------------------------------------------------------------------------------------------
# Configuration


def _choices(config: Any, *fields: str) -> None:
    for field in fields:
        found, allowed = getattr(config, field), get_args(type(config).__annotations__[field])
        if found not in allowed:
            raise BadInput(type(config).__name__, field, repr(found), f"one of {allowed}")


@dataclass(frozen=True)
class ORPMAEConfig:
    """The network and its targets; the defaults are the paper's, and where it is silent the public code's or ours."""

    stacks: int = 4  # section 4
    width: int = 256  # channels (public code)
    increase: int = 128  # channels that each halving adds (public code)
    depth: int = 4  # halvings (public code)
    norm: Literal["group", "none"] = "group"  # after each convolution but the first (our choice; public code: none)
    canvas: tuple[int, int] = (512, 512)  # px, width and height of the network's input (public code)
    relative: Literal["parent", "pelvis"] = "parent"  # what a joint's vector begins at (section 3.1)
    # Pose maps are compared where something is written (our choice), or everywhere, as section 3.4 has it.
    orpm: Literal["masked", "literal"] = "masked"
    push: Literal["paper", "public"] = "paper"  # equation 2, or the public codes' kernel, see `codings.tags.loss`
    push_sigma: float | int = 1.0  # sigma of equation 2 (our choice)
    heatmap_sigma: float | int = 2.0  # cells (public code, at 128 cells)
    hidden: bool = True  # whether joints that are not seen are drawn into heatmaps (our choice)
    radius: int = 1  # cells, of the squares that bones are written into (our choice)
    weights: tuple[float | int, ...] = (1.0, 1.0, 1e-3)  # lambdas of heatmaps, pose maps, tags (our choice)
    t_det: float | int = 0.1  # least height of a heatmap's peak (our choice)

    def __post_init__(self):
        for field in ("canvas", "weights"):
            object.__setattr__(self, field, tuple(getattr(self, field)))  # a file gives a list
        _choices(self, "norm", "relative", "orpm", "push")
        multiple = STRIDE * 2 ** max(self.depth, 0)
        if len(self.canvas) != 2 or any(side < 1 or side % multiple for side in self.canvas):
            raise BadInput("ORPMAEConfig", "canvas", self.canvas, f"width and height, multiples of {multiple}")
        if len(self.weights) != 3 or not all(weight >= 0 for weight in self.weights):
            raise BadInput("ORPMAEConfig", "weights", self.weights, "three numbers, none below 0")
        for field in ("stacks", "width", "depth", "push_sigma", "heatmap_sigma"):
            if not getattr(self, field) > 0:
                raise BadInput("ORPMAEConfig", field, getattr(self, field), "a positive number")
        for field in ("increase", "radius", "t_det"):
            if not getattr(self, field) >= 0:
                raise BadInput("ORPMAEConfig", field, getattr(self, field), "0 or more")
        for field, least in (("width", 2 * GROUPS if self.norm == "group" else 4), ("increase", GROUPS)):
            found = getattr(self, field)
            if (self.norm == "group" or field == "width") and (found % least or found < 0):
                raise BadInput("ORPMAEConfig", field, found, f"a multiple of {least}")

    @property
    def grid(self) -> Grid:
        """The cells of all maps."""
        return Grid.over(*self.canvas, STRIDE)


SMALL = ORPMAEConfig(
    stacks=3, width=64, increase=32, depth=3, canvas=(160, 96), heatmap_sigma=1.1, weights=(1.0, 0.1, 1e-2)
)
"""Maps of 40 x 24 cells, for pictures of a few hundred pixels. Other weights than the default's: in a
short trial with those heatmaps and tags were learned more slowly, and poses no better."""


@dataclass(frozen=True)
class Reading:
    """How detections become people (sections 3.2 and 3.5).

    Parameters
    ----------
    grouping : "greedy", by score, the paper's; "hungarian", the public code's
    readout : "paper", "mehta" or "naive", see `codings.orpm.read`
    near : a joint belongs to a person if its tag is nearer than this to the person's mean (public code)
    t_c : a joint's place may be read from if its score is above this (our choice, as the next)
    t_d : cells, and if it is this far from other people's places
    """

    grouping: Literal["greedy", "hungarian"] = "greedy"
    readout: Literal["paper", "mehta", "naive"] = "paper"
    near: float | int = 1.0
    t_c: float | int = 0.2
    t_d: float | int = 3

    def __post_init__(self):
        _choices(self, "grouping", "readout")
        for field in ("near", "t_c", "t_d"):
            if not getattr(self, field) >= 0:
                raise BadInput("Reading", field, getattr(self, field), "0 or more")


# --------------------------------------------------------------------------------------------------
# Targets (sections 3.2 and 3.3)


class Maps(NamedTuple):
    """What a stack says of B pictures, 5 maps a joint."""

    heatmaps: Float[Tensor, "B 17 H W"]  # up to 1
    bones: Float[Tensor, "B 17 3 H W"]  # m, each joint from its parent
    tags: Float[Tensor, "B 17 H W"]


@dataclass(frozen=True, eq=False)
class Targets:
    """What the maps should be, and where tags are compared.

    Parameters
    ----------
    bones : m; 0 where nothing is written
    mask : where something is written
    uv : px of the canvas
    labelled : joints whose tags are compared
    """

    heatmaps: Float[Tensor, "B 17 H W"]
    bones: Float[Tensor, "B 17 3 H W"]
    mask: Bool[Tensor, "B 17 H W"]
    uv: Float[Tensor, "B P 17 2"]
    labelled: Bool[Tensor, "B P 17"]


def vectors(xyz: Float[Tensor, "*people 17 3"], config: ORPMAEConfig) -> Float[Tensor, "*people 17 3"]:
    """What is stored of poses, in their unit: bone vectors, or joints seen from the pelvis."""
    return orpm.to_bones(xyz) if config.relative == "parent" else xyz - xyz[..., ROOT : ROOT + 1, :]


def poses(found: Float[Tensor, "*people 17 3"], config: ORPMAEConfig) -> Float[Tensor, "*people 17 3"]:
    """Poses relative to the pelvis from what is stored: the inverse of `vectors`."""
    if config.relative == "parent":
        return orpm.from_bones(found)
    return found - found[..., ROOT : ROOT + 1, :]


def targets(batch: Batch, config: ORPMAEConfig) -> Targets:
    """Maps of a batch of canvases; bones are written at joints in the picture, hidden ones too, the nearest on top."""
    grid, labelled = config.grid, batch.labelled
    drawn = labelled if config.hidden else batch.visibility == VISIBLE
    stored = METRES * vectors(batch.xyz, config)
    bones, mask = orpm.encode(stored, batch.uv, labelled, batch.xyz[:, :, ROOT, 2], grid, config.radius)
    return Targets(
        heatmaps.encode(batch.uv, drawn, grid, config.heatmap_sigma, "cell"), bones, mask, batch.uv, labelled
    )


# --------------------------------------------------------------------------------------------------
# Losses (equations 2 and 3)


def loss(outputs: list[Maps], goal: Targets, config: ORPMAEConfig) -> dict[str, Float[Tensor, ""]]:
    """The weighted sum over all stacks, as "loss", and its terms "heatmaps", "bones", "tags".

    heatmaps: the mean squared difference. bones: the squared difference in m², the mean over all cells in which
    something is written (our choice; nothing is asked of the others), or with `config.orpm="literal"` over all cells,
    as the paper's words have it. tags: equation 2. The sum over stacks is our reading of "each one outputting".
    """
    terms = dict.fromkeys(("heatmaps", "bones", "tags"), goal.heatmaps.new_zeros(()))
    for maps in outputs:
        heat, bones, tag = (x.float() for x in maps)
        off = (bones - goal.bones).square().sum(2)
        where = goal.mask if config.orpm == "masked" else torch.ones_like(goal.mask)
        ae = tags.loss(tag, goal.uv, goal.labelled, config.grid, config.push_sigma, config.push)
        each = {
            "heatmaps": (heat - goal.heatmaps).square().mean(),
            "bones": (off * where).sum() / (3 * where.sum().clamp(min=1)),
            "tags": ae["pull"] + ae["push"],
        }
        for (name, term), weight in zip(each.items(), config.weights, strict=True):
            terms[name] = terms[name] + weight * term
    return {"loss": sum(terms.values()), **terms}


# --------------------------------------------------------------------------------------------------
# Network (section 3.1)


def normed(channels: int, out: int) -> nn.Sequential:
    """3x3, group normalisation, ReLU: batches are small, and the public code's plain layers learn slowly."""
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.GroupNorm(GROUPS, out), nn.ReLU(inplace=True))


class Network(nn.Module):
    """Stacked hourglasses, 5 maps a joint each. The paper's size: 139,000,000 parameters or so, see the tests."""

    def __init__(self, config: ORPMAEConfig = ORPMAEConfig()):
        super().__init__()
        self.config = config
        block = normed if config.norm == "group" else plain
        branches = (JOINTS, 3 * JOINTS, JOINTS)
        self.trunk = Hourglass(branches, config.stacks, config.width, config.depth, config.increase, block)
        for head in self.trunk.maps:
            nn.init.normal_(head.weight, std=QUIET / config.width**0.5)
            nn.init.zeros_(head.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> list[Maps]:
        """Canvases, RGB; the maps of each stack."""
        x = (images / 255).contiguous(memory_format=torch.channels_last)
        return [Maps(heat, bones.unflatten(1, (JOINTS, 3)), tag) for ((heat, bones, tag),) in self.trunk(x)]


# --------------------------------------------------------------------------------------------------
# From maps to people (sections 3.2 and 3.5)


@dataclass(frozen=True, eq=False)
class Detections:
    """All that is kept of the maps of B pictures: what they say at the peaks of their heatmaps.

    Every grouping and read-out works on it, so that the network need see a picture but once.

    Parameters
    ----------
    peaks : up to K of each joint type; px of the canvas
    tags : (B, 17, K) at the peaks
    bones : (D, 17, 3) mm: what all joints' pose maps hold in the cell of each peak, in the order of
        `peaks.found.nonzero()`
    canvas : where the pictures lie
    """

    peaks: Peaks
    tags: Float[Tensor, "B 17 K"]
    bones: Float[Tensor, "D 17 3"]
    canvas: Canvas

    def save(self, path: Path) -> None:
        """Write all to one file that `load` reads; BadInput where its folder is not there."""
        if not path.parent.is_dir():
            raise BadInput(path, "folder", "none", "one that is there")
        at = self.peaks.found.nonzero()
        picked = tuple(at.T)
        content = {
            "at": at.int(),
            "shape": torch.tensor(self.peaks.found.shape),
            "cell": self.peaks.cell[picked].int(),
            "uv": self.peaks.uv[picked],
            "score": self.peaks.score[picked],
            "tags": self.tags[picked],
            "bones": self.bones,
            "canvas": torch.tensor([*self.canvas.scale, *self.canvas.corner, self.canvas.shown], dtype=torch.float64),
        }
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{name: value.cpu().numpy() for name, value in content.items()})
        write(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Detections":
        """Read what `save` wrote.

        Raises
        ------
        MissingData : there is no such file
        BadInput : it is no file of detections
        """
        if not path.exists():
            raise MissingData(f"{path}: there are no such detections")
        try:
            with np.load(path, allow_pickle=False) as stored:
                part = {name: torch.from_numpy(stored[name]) for name in stored.files}
            shape, at = tuple(part["shape"].tolist()), tuple(part["at"].long().T)
            found = torch.zeros(shape, dtype=torch.bool)
            found[at] = True

            def spread(name: str, fill: float | int) -> Tensor:
                values = part[name].long() if name == "cell" else part[name]
                whole = values.new_full((*shape, *values.shape[1:]), fill)
                whole[at] = values
                return whole

            peaks = Peaks(spread("uv", torch.nan), spread("score", 0), spread("cell", 0), found)
            sx, sy, x, y, shown = part["canvas"].tolist()
            return cls(peaks, spread("tags", 0), part["bones"], Canvas((sx, sy), (int(x), int(y)), int(shown)))
        except Exception as error:  # a broken archive fails in many ways
            raise BadInput(path, "file", str(error)[:200], "detections that mp3d wrote") from error


def detect(maps: Maps, canvas: Canvas, config: ORPMAEConfig) -> Detections:
    """The peaks of the heatmaps, with their tags and with the bones in their cells (sections 3.3 and 3.5).

    A peak whose tag or bones are not finite is none.

    Raises
    ------
    BadInput : maps of another size than the configuration's
    """
    grid = config.grid
    peaks = heatmaps.peaks(maps.heatmaps.float(), grid, MOST, config.t_det, window=5 if grid.width >= 128 else 3)
    tag = tags.read(maps.tags.float(), peaks.cell, grid)
    picture, _, _ = at = peaks.found.nonzero(as_tuple=True)
    row, column = peaks.cell[at].unbind(-1)
    bones = maps.bones[picture, :, :, row, column].float() / METRES
    good = bones.isfinite().all(-1).all(-1) & tag[at].isfinite()
    found = peaks.found.clone()
    found[at] = good
    return Detections(replace(peaks, found=found), tag, bones[good], canvas)


def decode(
    found: Detections,
    cameras: Float[Tensor, "B 4"],
    config: ORPMAEConfig,
    mean: Float[Tensor, "17 3"],
    reading: Reading = Reading(),
) -> list[list[Person]]:
    """The people of each picture: grouped by tags, their bones read, summed, and put where they fit their pixels.

    Joints that were found are visible, the others hidden, where the pose has them in the picture. The paper's poses are
    relative to the pelvis; the place is where the pose fits the joints found best (`codings.translation`), and who has
    none in front of the camera is nobody.

    Parameters
    ----------
    cameras : fx, fy, cx, cy of the pictures, px
    mean : mm, the mean of what is stored over the training set

    Raises
    ------
    BadInput : another number of cameras than of pictures
    """
    grid, peaks = config.grid, found.peaks
    if len(cameras) != len(peaks.found):
        raise BadInput("orpm_ae.decode", "cameras", len(cameras), f"{len(peaks.found)}, one a picture")
    groups = tags.group(peaks, found.tags, reading.grouping, reading.near)
    most = max([len(group) for group in groups], default=0) or 1
    uv = peaks.uv.new_full((len(groups), most, JOINTS, 2), torch.nan)
    centre, score = uv.clone(), uv[..., 0].nan_to_num(0.0)
    for b, group in enumerate(groups):
        uv[b, : len(group)], score[b, : len(group)], cell = peaks.take(b, group)
        centre[b, : len(group)] = grid.centres(cell).to(uv).where(group[..., None] >= 0, torch.nan)
    # Maps of which only the cells of peaks are known, which is where they are read.
    maps = uv.new_zeros(len(groups), JOINTS, 3, grid.height, grid.width)
    picture, _, _ = at = peaks.found.nonzero(as_tuple=True)
    row, column = peaks.cell[at].unbind(-1)
    maps[picture, :, :, row, column] = found.bones
    stored, _ = orpm.read(maps, centre, score, grid, reading.readout, mean, reading.t_d, reading.t_c)
    pose, k = poses(stored, config), cameras.to(uv)[:, None]
    pixels = found.canvas.back(uv)
    place = translation.fit(pose, pixels, k)
    xyz = pose + place[..., None, :].to(pose)
    shown = pixels.where(pixels.isfinite(), project(xyz, k[:, :, None]).to(pixels))
    there = xyz.isfinite().all(-1).all(-1).cpu().numpy()
    seen = np.where(score.cpu() > 0, VISIBLE, HIDDEN).astype(np.uint8)
    height = (score.sum(-1) / (score > 0).sum(-1)).cpu().numpy()
    xyz, shown = xyz.double().cpu().numpy(), shown.double().cpu().numpy()
    native = np.full(JOINTS, NATIVE, np.uint8)
    return [
        [
            Person(xyz[b, p], shown[b, p], seen[b, p], native, i, score=float(height[b, p]))
            for i, p in enumerate(np.flatnonzero(there[b, : len(group)]))
        ]
        for b, group in enumerate(groups)
    ]


class ORPMAE(nn.Module):
    """The network, and the mean of what it stores over the training set, for joints that can be read nowhere."""

    def __init__(self, config: ORPMAEConfig = ORPMAEConfig()):
        super().__init__()
        self.config = config
        self.network = Network(config)
        self.register_buffer("mean", torch.zeros(JOINTS, 3))  # mm

    def maps(self, images: UInt8[Tensor, "B 3 h w"], chunk: int = 16) -> tuple[list[Maps], Canvas]:
        """The maps of every stack, of pictures of any one size, `chunk` at a time; BadInput where they are none."""
        images, canvas = fit_canvas(images.to(self.mean.device), self.config.canvas)
        training = self.training
        self.eval()
        with torch.inference_mode():
            parts = [self.network(some) for some in images.split(chunk)]
        self.train(training)
        stacks = [
            Maps(*(torch.cat(part).float().clone() for part in zip(*stack, strict=True)))
            for stack in zip(*parts, strict=True)
        ]
        return stacks, canvas

    def detect(self, images: UInt8[Tensor, "B 3 h w"]) -> list[Detections]:
        """What is kept of the maps of pictures, by stack; the last one's count. See `Detections`."""
        stacks, canvas = self.maps(images)
        return [detect(maps, canvas, self.config) for maps in stacks]

    def people(
        self, found: Detections, cameras: Float[Tensor, "B 4"], reading: Reading = Reading()
    ) -> list[list[Person]]:
        """`decode` with this network's configuration and mean."""
        return decode(found, cameras, self.config, self.mean, reading)

    def estimate(
        self, images: UInt8[Tensor, "B 3 h w"], cameras: Float[Tensor, "B 4"], reading: Reading = Reading()
    ) -> list[list[Person]]:
        """Everyone in every picture (RGB), in `MPI17`, mm. `cameras`: fx, fy, cx, cy in px of each."""
        return self.people(self.detect(images)[-1], cameras, reading)

    def predict(self, image: UInt8[np.ndarray, "h w 3"], camera: Camera | None = None) -> list[Person]:
        """The people in one picture, in `MPI17`, mm.

        Parameters
        ----------
        image : RGB, as Pillow reads it
        camera : None: a focal length of the picture's width. Poses do not depend on it, places do

        Raises
        ------
        BadInput : as `canvas.one_picture`
        """
        return self.estimate(*one_picture(image, camera, "ORPMAE.predict"))[0]

    def save(self, path: Path) -> None:
        """Write the weights and the configuration to one file; BadInput where its folder is not there or closed."""
        save_model(self, path)

    @classmethod
    def load(cls, path: Path, config: ORPMAEConfig | None = None) -> "ORPMAE":
        """Read what `save` wrote; BadInput where it is not of `config`."""
        return load_model(cls, ORPMAEConfig, path, config)


# --------------------------------------------------------------------------------------------------
# Training (section 4)


@dataclass(frozen=True, eq=False)
class Sample:
    """Canvases and what their maps should be."""

    images: UInt8[Tensor, "B 3 H W"]
    targets: Targets

    def to(self, device: torch.device | str) -> "Sample":
        """The same on another device."""
        goal = self.targets
        moved = {name: getattr(goal, name).to(device) for name in goal.__dataclass_fields__}
        return Sample(self.images.to(device), Targets(**moved))


def sample(batch: Batch, config: ORPMAEConfig) -> Sample:
    """A step's pictures, of any size."""
    moved, _ = on_canvas(batch, config.canvas)
    return Sample(moved.image, targets(moved, config))


@dataclass(frozen=True)
class Profile:
    """The size of an experiment: `batch` pictures of width x height px a step.

    `reuse` and `block` are those of `synthetic.stream.Stream`: how often a picture is shown, how many it draws at once.
    """

    config: ORPMAEConfig
    width: int
    height: int
    batch: int
    seeds: int
    fit: FitConfig
    reuse: int = 1
    block: int = 256


def _fit(steps: int, lr: float) -> FitConfig:
    """Short trainings learn more with a rate that falls all the time than with the paper's steps (our choice)."""
    return FitConfig(steps, lr=lr, warmup=min(100, steps // 10), every=max(1, steps // 10), precision="bf16-mixed")


_PAPER = FitConfig(240_000, lr=1e-4, schedule="step", milestones=(70_000, 200_000, 220_000), every=2_000)
"""Section 4: Adam, its rate divided by 10 three times."""


def train(
    stream: Callable[[int], Batch],
    config: ORPMAEConfig,
    how: FitConfig,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> ORPMAE:
    """The network, trained on pictures with their truth.

    Parameters
    ----------
    stream : step -> pictures, a pure function
    out, options : see `fit`
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ORPMAE(config)
    model.mean.copy_(mean_vectors(stream, config))

    def terms(network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        return loss(network(batch.images), batch.targets, config)

    fit(model.network, lambda step: sample(stream(step), config), terms, how, out, **options)
    return model.to(next(model.network.parameters()).device).eval()  # where `fit` moved the network


def mean_vectors(stream: Callable[[int], Batch], config: ORPMAEConfig, people: int = 500) -> Float[Tensor, "17 3"]:
    """mm: the mean of what is stored of some people of the training set, in the camera's axes."""
    seen, step = [], 0
    while sum(map(len, seen)) < people and step < people:
        batch = stream(step)
        seen.append(vectors(batch.xyz, config)[batch.there])
        step += 1
    return torch.cat(seen).nanmean(0).nan_to_num().cpu()


_MIDDLE = replace(SMALL, width=128, increase=64, canvas=(256, 160))
_TINY = replace(SMALL, stacks=2, width=16, increase=8, canvas=(64, 64))
PROFILES = {
    "smoke": Profile(_TINY, 64, 40, 4, 1, _fit(3, 1e-3), block=16),
    "cpu": Profile(SMALL, 256, 160, 16, 1, _fit(250, 2e-3), reuse=4, block=512),
    "gpu": Profile(_MIDDLE, 256, 160, 64, 3, _fit(8_000, 1e-3), reuse=2, block=1024),
    # Pictures of 512 px are those of the public code.
    "paper": Profile(ORPMAEConfig(), 512, 512, 30, 1, _PAPER, block=240),
}
