"""PandaNet: anchor-based single-shot multi-person 3D pose estimation (Benzine et al., CVPR 2020).

One pass over the whole picture. At every cell stand anchors, boxes of a few sizes; each says whether it holds a person,
where that person's box is, where the joints are in the picture and how they stand to the pelvis in space. Nobody has to
be put together: a box that is kept is a person. Two additions make it work in crowds: anchors that cannot make out
one pose learn to be silent (pose-aware selection), and the weights of all losses are learned.

In the paper's order: configuration; the network (section 3.1); targets (3.2); losses (3.3 to 3.5); from maps to people;
training (4). The authors released no code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from mp3d.batch import Batch
from mp3d.camera import Camera
from mp3d.canvas import GREY, Canvas, fit_canvas, one_picture
from mp3d.codings import anchors as coding
from mp3d.codings import translation
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.nn.darknet import Darknet, leaky
from mp3d.scene import ABSENT, VISIBLE, Person
from mp3d.skeletons import MPI17, NATIVE
from mp3d.training import FitConfig, fit, load_model, save_model

JOINTS, ROOT = len(MPI17), MPI17.root
RARE = 0.01
"""How many anchors an untrained network takes for people (RetinaNet's prior; our choice)."""


@dataclass(frozen=True)
class PandaNetConfig:
    """The network and its losses; the defaults are the paper's, and where it is silent ours."""

    canvas: tuple[int, int] = (928, 576)  # px, width and height of the network's input on JTA (section 4.1)
    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)  # Darknet-53 (section 4)
    residuals: tuple[int, ...] = (1, 2, 8, 8, 4)
    levels: int = 3  # of the backbone's groups, the coarsest (our choice)
    neck: int = 256  # channels of pyramid and heads (our choice)
    convolutions: int = 4  # 3x3, at each level of the pyramid and in each head (section 3.1)
    subpixel: int = 1  # sub-pixel convolutions, each doubles the maps' sides; 0 for MuPoTS-3D (section 4.3)
    count: int = 10  # anchors at a cell (section 4)
    selection: Literal["pose", "box", "none"] = "pose"  # which anchors are called people (section 3.4, Table 1)
    # Weights that are learned: each task's, each anchor's too, each joint's too (section 3.5, Table 2).
    weighting: Literal["joint", "anchor", "task", "none"] = "joint"
    # A weight is e to the power of so many times its parameter (our choice): Adam moves all parameters alike, these too
    # slowly in short trainings.
    pace: float | int = 1.0

    def __post_init__(self):
        for field in ("canvas", "widths", "residuals"):
            object.__setattr__(self, field, tuple(getattr(self, field)))  # a file gives a list
        for field in ("selection", "weighting"):
            found, allowed = getattr(self, field), get_args(type(self).__annotations__[field])
            if found not in allowed:
                raise BadInput("PandaNetConfig", field, repr(found), f"one of {allowed}")
        if len(self.widths) != len(self.residuals) + 1 or not 1 <= self.levels <= len(self.residuals):
            raise BadInput(
                "PandaNetConfig", "widths, residuals, levels", (self.widths, self.residuals, self.levels), "fitting"
            )
        multiple = 2 ** len(self.residuals)
        if len(self.canvas) != 2 or any(side < 1 or side % multiple for side in self.canvas):
            raise BadInput("PandaNetConfig", "canvas", self.canvas, f"width and height, multiples of {multiple}")
        for field in ("neck", "convolutions", "count", "pace"):
            if not getattr(self, field) > 0:
                raise BadInput("PandaNetConfig", field, getattr(self, field), "a positive number")
        if not 0 <= self.subpixel <= len(self.residuals) - self.levels:
            raise BadInput("PandaNetConfig", "subpixel", self.subpixel, "0 or more, and maps no larger than the input")

    @property
    def stride(self) -> int:
        """px of the canvas a cell."""
        return 2 ** (len(self.residuals) - self.levels + 1 - self.subpixel)

    def grid(self, width: int, height: int) -> Grid:
        """The cells of the maps of a picture of so many px."""
        return Grid.over(width, height, self.stride)


SMALL = PandaNetConfig(
    canvas=(192, 128),
    widths=(8, 16, 32, 64, 128, 192),
    residuals=(0, 1, 2, 2, 1),
    neck=48,
    convolutions=2,
    count=6,
    pace=30,
)
"""Maps of 48 x 32 cells for pictures of a few hundred pixels."""


@dataclass(frozen=True)
class Reading:
    """How maps become people.

    Parameters
    ----------
    score : an anchor is looked at if its probability is above this (our choice)
    overlap : of two boxes with a larger IoU the one with the lower score goes (our choice)
    most : anchors looked at, a large person has hundreds; and people
    """

    score: float | int = 0.3
    overlap: float | int = 0.5
    most: tuple[int, int] = (5000, 100)

    def __post_init__(self):
        for field in ("score", "overlap"):
            if not 0 <= getattr(self, field) <= 1:
                raise BadInput("Reading", field, getattr(self, field), "0 to 1")


# --------------------------------------------------------------------------------------------------
# Network (section 3.1, Figure 3)


class Maps(NamedTuple):
    """What the network says at every cell and anchor of B pictures.

    Parameters
    ----------
    score : logits, whether there is a person
    boxes : offsets, see `codings.anchors.decode_boxes`
    uv : joints in anchor coordinates, see `codings.anchors.decode_pose`
    xyz : joints seen from the pelvis, in sums of bone lengths
    """

    score: Float[Tensor, "B H W A"]
    boxes: Float[Tensor, "B H W A 4"]
    uv: Float[Tensor, "B H W A 17 2"]
    xyz: Float[Tensor, "B H W A 17 3"]


class Network(nn.Module):
    """Backbone, pyramid, all levels at the finest's size together, sub-pixel convolutions, four heads."""

    def __init__(self, config: PandaNetConfig = PandaNetConfig()):
        super().__init__()
        self.config, neck = config, config.neck
        self.backbone = Darknet(config.widths, config.residuals)
        self.lateral = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in config.widths[-config.levels :])
        self.smooth = nn.ModuleList(_chain(neck, config.convolutions) for _ in range(config.levels))
        layers, channels = [], neck * config.levels
        for _ in range(config.subpixel):
            layers += [nn.Conv2d(channels, 4 * neck, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU(0.1, inplace=True)]
            channels = neck
        self.fuse = nn.Sequential(*layers) if layers else leaky(channels, neck)
        sizes = (1, 4, 2 * JOINTS, 3 * JOINTS)
        self.heads = nn.ModuleList(
            nn.Sequential(_chain(neck, config.convolutions), nn.Conv2d(neck, config.count * size, 1)) for size in sizes
        )
        for head in self.heads:
            nn.init.normal_(head[-1].weight, std=0.01)
            nn.init.zeros_(head[-1].bias)
        nn.init.constant_(self.heads[0][-1].bias, float(np.log(RARE / (1 - RARE))))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> Maps:
        """Canvases, RGB."""
        x = (images / 255).contiguous(memory_format=torch.channels_last)
        levels = self.backbone(x)[-self.config.levels :]
        down = None
        found = []
        for features, lateral, smooth in zip(levels[::-1], reversed(self.lateral), reversed(self.smooth), strict=True):
            own = lateral(features)
            down = own if down is None else own + F.interpolate(down, own.shape[2:])
            found.append(smooth(down))
        size = found[-1].shape[2:]
        whole = torch.cat([F.interpolate(level, size, mode="bilinear") for level in found], 1)
        x = self.fuse(whole)
        parts = [head(x).unflatten(1, (self.config.count, -1)).permute(0, 3, 4, 1, 2) for head in self.heads]
        score, boxes, uv, xyz = parts
        return Maps(score[..., 0], boxes, uv.unflatten(-1, (JOINTS, 2)), xyz.unflatten(-1, (JOINTS, 3)))


def _chain(channels: int, number: int) -> nn.Sequential:
    return nn.Sequential(*(leaky(channels, channels) for _ in range(number)))


# --------------------------------------------------------------------------------------------------
# Targets (section 3.2)


@dataclass(frozen=True, eq=False)
class Targets:
    """Whose each anchor is, and what they are like.

    Parameters
    ----------
    person : the place of the person whose box an anchor overlaps most, -1 for nobody
    pono : per-object normalised overlap, 1 at everybody's best anchor
    boxes, uv : px of the canvas; NaN where nobody is or a joint is not known
    xyz : joints seen from the pelvis, in sums of bone lengths; NaN where the pose is not known as a whole
    """

    person: Int[Tensor, "B H W A"]
    pono: Float[Tensor, "B H W A"]
    boxes: Float[Tensor, "B P 4"]
    uv: Float[Tensor, "B P 17 2"]
    xyz: Float[Tensor, "B P 17 3"]


def people_of(batch: Batch) -> Bool[Tensor, "B P"]:
    """Who counts: somebody with a joint in the picture (our choice)."""
    return batch.labelled.any(-1)


def targets(batch: Batch, sizes: Float[Tensor, "A 2"], config: PandaNetConfig) -> Targets:
    """Targets of a batch of canvases; `sizes` are the anchors', px."""
    here = people_of(batch)
    uv = batch.uv.where(here[..., None, None], torch.nan)
    boxes = coding.pose_box(uv)
    boxes = boxes.where((boxes[..., 2:] > 0).all(-1, keepdim=True), torch.nan)  # one known joint has no box
    grid = config.grid(*batch.image.shape[:1:-1])
    person, overlap = coding.assign(coding.grid_anchors(sizes.to(uv), grid), boxes)
    return Targets(person, coding.pono(person, overlap, boxes.shape[1]), boxes, uv, coding.unit_bones(batch.xyz)[0])


# --------------------------------------------------------------------------------------------------
# Losses (sections 3.3 to 3.5)


TASKS = ("score", "boxes", "uv", "xyz")


MOST = 12.0
"""The bound of a weight's logarithm (our choice): that of an anchor which is rarely anybody's could overflow."""


class Weights(nn.Module):
    """All lambdas of equations 11 to 14; those that the configuration does not learn stay 1."""

    def __init__(self, config: PandaNetConfig):
        super().__init__()
        self.pace = config.pace
        level = ("none", "task", "anchor", "joint").index(config.weighting)
        self.task = nn.Parameter(torch.zeros(len(TASKS)), level >= 1)
        self.score, self.boxes = (nn.Parameter(torch.zeros(config.count), level >= 2) for _ in range(2))
        self.uv, self.xyz = (nn.Parameter(torch.zeros(config.count, JOINTS), level >= 3) for _ in range(2))

    def log(self, name: str) -> Float[Tensor, "A *J"]:
        """The logarithms of a task's lambdas times those of its anchors, or of its anchors and joints: one of both can
        be had for the other, so that neither means anything alone."""
        log = self.pace * (self.task[TASKS.index(name)] + getattr(self, name))
        return log + (log.clamp(-MOST, MOST) - log).detach()  # with a gradient beyond the bound too, to come back


def loss(
    maps: Maps, goal: Targets, sizes: Float[Tensor, "A 2"], weights: Weights, config: PandaNetConfig
) -> dict[str, Float[Tensor, ""]]:
    """Equation 15 as "loss", its terms "score", "boxes", "uv", "xyz"; "positives", how many anchors regress, and
    "left_out", how many people own no anchor, so that nothing is learned of them.

    As printed, equations 13 and 14 lack log(1 / lambda) of the task's weight; with it, as the text has it, they cannot
    fall for ever (our choice). N+ is that of the batch; poses that are not known as a whole count neither in the sum
    nor in it.
    """
    at = coding.labels(goal.pono).nonzero(as_tuple=True)  # A+
    picture, row, column, kind = at
    person = goal.person[at]
    grid = Grid(goal.pono.shape[2], goal.pono.shape[1], config.stride)
    anchor = coding.some_anchors(sizes.to(goal.boxes), grid, torch.stack([row, column], -1), kind)
    true, found = goal.boxes[picture, person], coding.decode_boxes(anchor, maps.boxes[at].float())
    overlap = coding.iou(true, found)
    uv = coding.encode_pose(anchor, goal.uv[picture, person])
    known = uv.isfinite().all(-1)
    joints = coding.iou_of_joints(uv.nan_to_num(), maps.uv[at].float())
    fits = (joints * known).sum(-1) / known.sum(-1).clamp(min=1)
    quality = {"pose": fits, "box": overlap, "none": None}[config.selection]
    label = torch.zeros_like(maps.score, dtype=torch.float32)
    label[at] = coding.labels(goal.pono[at], quality).float()
    pose = goal.xyz[picture, person]
    whole = pose.isfinite().all(-1).all(-1)
    off = (maps.xyz[at].float() - pose.nan_to_num()).where(whole[:, None, None], 0.0).square().sum(-1)

    entropy = F.binary_cross_entropy_with_logits(maps.score.float(), label, reduction="none")
    logs = {name: weights.log(name) for name in TASKS}
    scale = {name: log.exp() if name == "score" else log.exp()[kind] for name, log in logs.items()}
    terms = {
        "score": (scale["score"] * entropy.mean((0, 1, 2))).mean(),
        "boxes": (scale["boxes"] * (1 - overlap).square()).sum() / max(len(kind), 1),
        "uv": (scale["uv"] * (1 - joints).square() * known).sum() / known.sum().clamp(min=1),
        "xyz": (scale["xyz"] * off).sum() / (JOINTS * whole.sum()).clamp(min=1),
    }
    terms = {name: term - logs[name].mean() for name, term in terms.items()}
    owned = torch.zeros(goal.boxes.shape[:2], dtype=torch.bool, device=person.device)
    owned[picture, person] = True
    left_out = (goal.boxes.isfinite().all(-1) & ~owned).sum().float()
    return {"loss": sum(terms.values()), **terms, "positives": entropy.new_tensor(len(kind)), "left_out": left_out}


# --------------------------------------------------------------------------------------------------
# From maps to people


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes that were kept in one picture, by falling score: px of the canvas, poses in sums of bone lengths."""

    score: Float[Tensor, " N"]
    boxes: Float[Tensor, "N 4"]
    uv: Float[Tensor, "N 17 2"]
    xyz: Float[Tensor, "N 17 3"]


def detect(
    maps: Maps, sizes: Float[Tensor, "A 2"], config: PandaNetConfig, reading: Reading = Reading()
) -> list[Detections]:
    """For each picture the anchors above the score, one a person: of boxes that overlap the best stays.

    What is not finite is nobody's.

    Raises
    ------
    BadInput : maps of another size than the configuration's
    """
    grid, found = config.grid(*config.canvas), []
    shape = grid.height, grid.width, len(sizes)
    if maps.score.shape[1:] != shape:
        raise BadInput("pandanet.detect", "maps", tuple(maps.score.shape[1:]), f"{shape}, rows, columns, anchors")
    for score, boxes, uv, xyz in zip(*maps, strict=True):
        score, at = score.sigmoid().flatten().nan_to_num(0).topk(min(reading.most[0], score.numel()))
        score, at = (part[score > reading.score] for part in (score, at))
        boxes, uv, xyz = (part.flatten(0, 2) for part in (boxes, uv, xyz))
        whole = boxes[at].sum(-1) + uv[at].sum((1, 2)) + xyz[at].sum((1, 2))  # of all that is said: is it finite?
        score, at = (part[whole.isfinite()] for part in (score, at))
        row, column, kind = torch.unravel_index(at, shape)
        anchor = coding.some_anchors(sizes.to(boxes), grid, torch.stack([row, column], -1), kind)
        box = coding.decode_boxes(anchor, boxes[at])
        kept = coding.nms(box, score, reading.overlap, reading.most[0])[: reading.most[1]]
        pose = coding.decode_pose(anchor[kept], uv[at[kept]])
        found.append(Detections(score[kept], box[kept], pose, xyz[at[kept]]))
    return found


def decode(
    found: list[Detections], canvas: Canvas, cameras: Float[Tensor, "B 4"], length: float | int
) -> list[list[Person]]:
    """People in mm: poses times the sum of bone lengths, put where they fit their pixels best (section 3.3.2).

    A picture does not tell a child from somebody farther off: the length has to come from elsewhere.

    Parameters
    ----------
    canvas : where the pictures lie
    cameras : fx, fy, cx, cy of the pictures, px
    length : mm, everybody's sum of bone lengths: the training set's mean
    """
    people = []
    for b, some in enumerate(found):
        uv = canvas.back(some.uv)
        pose = some.xyz * length
        tight = coding.tight_box(some.boxes)
        low, high = canvas.back(tight[:, :2]), canvas.back(tight[:, :2] + tight[:, 2:])
        boxes = torch.cat([low, high - low], -1).double().cpu().numpy()
        place = translation.fit(pose - pose[:, ROOT : ROOT + 1], uv, cameras[b].to(uv))
        xyz = (pose - pose[:, ROOT : ROOT + 1] + place[:, None]).double().cpu().numpy()
        pixels, score = uv.double().cpu().numpy(), some.score.cpu().numpy()
        seen, native = np.full(JOINTS, VISIBLE, np.uint8), np.full(JOINTS, NATIVE, np.uint8)
        people.append(
            [
                Person(xyz[i], pixels[i], seen, native, i, score=float(score[i]), detection=boxes[i])
                for i in range(len(xyz))
                if np.isfinite(xyz[i]).all()
            ]
        )
    return people


class PandaNet(nn.Module):
    """The network, its anchors, the weights of its losses, and the mean sum of bone lengths of the training set."""

    def __init__(self, config: PandaNetConfig = PandaNetConfig()):
        super().__init__()
        self.config = config
        self.network, self.weights = Network(config), Weights(config)
        self.register_buffer("sizes", torch.ones(config.count, 2))  # px of the canvas
        self.register_buffer("length", torch.tensor(0.0))  # mm

    def maps(self, images: UInt8[Tensor, "B 3 h w"], chunk: int = 16) -> tuple[Maps, Canvas]:
        """The maps of pictures of any one size, `chunk` at a time; BadInput where they are none."""
        images, canvas = fit_canvas(images.to(self.sizes.device), self.config.canvas)
        training = self.training
        self.eval()
        with torch.inference_mode():
            parts = [self.network(some) for some in images.split(chunk)]
        self.train(training)
        return Maps(*(torch.cat(part).float().clone() for part in zip(*parts, strict=True))), canvas

    def estimate(
        self, images: UInt8[Tensor, "B 3 h w"], cameras: Float[Tensor, "B 4"], reading: Reading = Reading()
    ) -> list[list[Person]]:
        """Everyone in every picture (RGB), in `MPI17`, mm, all of the training set's mean size."""
        maps, canvas = self.maps(images)
        return decode(detect(maps, self.sizes, self.config, reading), canvas, cameras, self.length.item())

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
        return self.estimate(*one_picture(image, camera, "PandaNet.predict"))[0]

    def save(self, path: Path) -> None:
        """Write the weights and the configuration to one file; BadInput where its folder is not there or closed."""
        save_model(self, path)

    @classmethod
    def load(cls, path: Path, config: PandaNetConfig | None = None) -> "PandaNet":
        """Read what `save` wrote; BadInput where it is not of `config`."""
        return load_model(cls, PandaNetConfig, path, config)


# --------------------------------------------------------------------------------------------------
# Training (section 4)


@dataclass(frozen=True, eq=False)
class Sample:
    """Canvases and what their anchors should say."""

    images: UInt8[Tensor, "B 3 H W"]
    targets: Targets

    def to(self, device: torch.device | str) -> "Sample":
        """The same on another device."""
        goal = self.targets
        moved = {name: getattr(goal, name).to(device) for name in goal.__dataclass_fields__}
        return Sample(self.images.to(device), Targets(**moved))


def sample(batch: Batch, sizes: Float[Tensor, "A 2"], config: PandaNetConfig) -> Sample:
    """A step's pictures, which have the scale of the canvas already, with their targets."""
    return Sample(batch.image, targets(batch, sizes, config))


@dataclass(frozen=True)
class Windows:
    """What training sees of a picture: width x height px of it, at a zoom drawn evenly from a range (our choice)."""

    width: int
    height: int
    zoom: tuple[float, float] = (0.7, 1.4)


def windows(batch: Batch, canvas: tuple[int, int], how: Windows, seed: int | Sequence[int]) -> Batch:
    """A window of each picture at a random place and scale (section 4: random crops and scales); grey beside it.

    Parameters
    ----------
    canvas : px, width and height that the whole picture has at zoom 1

    Returns
    -------
    pictures of `how.width` x `how.height` px, with everybody's joints there; what is not seen in the window is absent
    """
    height, width = batch.image.shape[2:]
    rng = np.random.default_rng(seed)
    fit = min(canvas[0] / width, canvas[1] / height)
    scale = fit * rng.uniform(*how.zoom, len(batch))
    size = np.array([how.width, how.height])
    free = size - scale[:, None] * (width, height)  # negative: there is more than the window shows
    corner = free * rng.random(free.shape)
    scale, corner = (torch.from_numpy(x).to(batch.uv) for x in (scale, corner))
    u, v = (torch.arange(side, device=batch.uv.device) + 0.5 for side in size)
    pixels = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)
    there = (pixels - corner[:, None, None]) / scale[:, None, None, None]
    grid = 2 * there / there.new_tensor([width, height]) - 1
    image = F.grid_sample(batch.image.float() - GREY, grid, align_corners=False) + GREY
    uv = batch.uv * scale[:, None, None, None] + corner[:, None, None]
    inside = ((uv >= 0) & (uv < uv.new_tensor(size))).all(-1)
    k = batch.k * scale[:, None] + torch.cat([torch.zeros_like(corner), corner], -1)
    seen = batch.visibility.where(inside, ABSENT)
    return Batch(image.round().clamp(0, 255).byte(), batch.xyz, uv, seen, k)


@dataclass(frozen=True)
class Profile:
    """The size of an experiment: `batch` pictures of width x height px a step, of each a window.

    `reuse` and `block` are those of `synthetic.stream.Stream`: how often a picture is shown, how many it draws at once.
    """

    config: PandaNetConfig
    width: int
    height: int
    windows: Windows
    batch: int
    seeds: int
    fit: FitConfig
    reuse: int = 1
    block: int = 256


def _fit(steps: int) -> FitConfig:
    """In short trainings Adam learns more than the paper's optimiser (our choice)."""
    every = max(1, steps // 10)
    return FitConfig(steps, lr=2e-3, warmup=steps // 10, clip=10.0, every=every, precision="bf16-mixed")


_PAPER = FitConfig(60_000, "sgd", lr=0.005, power=0.9, momentum=0.9, warmup=500, clip=10.0, every=1_000)
"""Section 4, which does not say how many steps; warm-up and clipping are our choice."""
_TINY = replace(SMALL, canvas=(64, 64), widths=(4, 4, 8, 8, 16, 16), neck=8, convolutions=1, count=3)
_MIDDLE = replace(SMALL, widths=(16, 32, 64, 128, 256, 384), neck=128)
PROFILES = {
    "smoke": Profile(_TINY, 64, 40, Windows(64, 64), 4, 1, _fit(3), block=16),
    "cpu": Profile(SMALL, 256, 160, Windows(192, 128), 8, 1, _fit(400), reuse=4, block=256),
    "gpu": Profile(_MIDDLE, 256, 160, Windows(192, 128), 24, 3, _fit(8_000), reuse=2, block=768),
    "paper": Profile(PandaNetConfig(), 928, 576, Windows(928, 576), 24, 1, _PAPER, block=240),
}


class _Learned(nn.Module):
    """The network and the weights of its losses, which are trained together."""

    def __init__(self, model: PandaNet):
        super().__init__()
        self.config, self.network, self.weights = model.config, model.network, model.weights

    def forward(self, images: Tensor) -> tuple[Maps, Weights]:
        return self.network(images), self.weights


def train(
    stream: Callable[[int], Batch],
    config: PandaNetConfig,
    how: FitConfig,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> PandaNet:
    """Anchors from the boxes of training pictures, then the network with its weights.

    Parameters
    ----------
    stream : step -> pictures at the scale of the canvas, a pure function, see `windows`
    out, options : see `fit`
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PandaNet(config)
    sizes, length = statistics(stream, config, steps=how.steps)
    model.sizes.copy_(sizes)
    model.length.fill_(length)
    learned = _Learned(model)

    def terms(network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        maps, weights = network(batch.images)
        learned = {f"log_lambda_{name}": weights.log(name).mean() for name in TASKS}
        return loss(maps, batch.targets, sizes, weights, config) | learned

    fit(learned, lambda step: sample(stream(step), sizes, config), terms, how, out, **options)
    return model.to(next(model.network.parameters()).device).eval()  # where `fit` moved the network


def statistics(
    stream: Callable[[int], Batch], config: PandaNetConfig, people: int = 2000, steps: int = 200
) -> tuple[Float[Tensor, "A 2"], float]:
    """The anchors' sizes, px of the canvas, and the mean sum of bone lengths, mm, of people of the training set.

    Raises
    ------
    BadInput : pictures without people
    """
    boxes, lengths, step = [], [], 0
    while sum(map(len, boxes)) < people and step < steps:
        batch = stream(step)
        box = coding.pose_box(batch.uv[people_of(batch)])
        boxes.append(box[(box[:, 2:] > 0).all(-1), 2:])
        lengths.append(coding.unit_bones(batch.xyz[batch.there])[1])
        step += 1
    if not sum(map(len, boxes)):
        raise BadInput("pandanet.train", "stream", "nobody", "pictures with people")
    return coding.kmeans(torch.cat(boxes).cpu(), config.count), torch.cat(lengths).nanmean().item()
