"""3DMPPE: camera distance-aware top-down 3D multi-person pose (Moon, Chang and Lee, ICCV 2019).

Everyone is cropped out of the picture and estimated alone: RootNet says where the root is, PoseNet where the joints are
relative to it. The idea is k, the distance at which a person of 2 m x 2 m would fill the box in this camera: RootNet
gives only a factor, gamma, that corrects it for the pose, the body's size and the box. All five papers compare with it.

Boxes come from outside: from the truth (`true_boxes`) or from any detector. "Released code" below is the authors' code,
which in places does otherwise than the paper. Crops are tensors of values in 0..1; `places` are coordinates in the
output volume: x and y in cells, z in bins, the root's z in mm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from mp3d.batch import Batch
from mp3d.camera import back_project
from mp3d.codings.crops import Augmentation, Views, crops, disturb, views
from mp3d.errors import BadInput
from mp3d.nn.resnet import ResNet50, SmallResNet, upsample
from mp3d.scene import VISIBLE, Person
from mp3d.skeletons import MPI17, NATIVE
from mp3d.training import FitConfig, fit, load_model, save_model

Net = Literal["root", "pose"]
Each = Sequence[Any] | Tensor  # something for each picture: arrays, lists or tensors, of one length or of several


@dataclass(frozen=True)
class ThreeDMPPEConfig:
    """What the two networks are made of; the defaults are the paper's, `SMALL` is for crops of a few dozen pixels.

    Numbers without a word are the paper's and the released code's.
    """

    trunk: Literal["resnet50", "small"] = "resnet50"
    width: int = 64  # channels at first of the small trunk
    crop: int = 256  # px
    deconvolutions: int = 3  # each doubles the output's side
    channels: int = 256  # of each deconvolution
    bins: int = 64  # of depth
    depth: float | int = 2000.0  # mm, of the volume around the root
    real: float | int = 2000.0  # mm, the side of A_real
    enlarge: float | int = 1.25  # the square box
    # "exact": the box as it is, a cell stands for its centre (the convention of all codings here); "released": the box
    # loses its last pixel, a box cut at the left or top is shifted, a cell stands for its first corner in training and
    # is mirrored about its centre in the flip test, which costs half a cell.
    pixels: Literal["exact", "released"] = "exact"
    # Who is trained on: at least so many joints to be seen (our choice); for RootNet a root at a depth (mm) within
    # these (released code). Its further choice among MuCo's composites is `mp3d.data.threedmppe.apart`: there people
    # stand within others, in rendered pictures nobody does, and to leave out who is near others would leave out all
    # interactions.
    seen: int = 4
    depths: tuple[float | int, float | int] = (1500.0, 7500.0)

    def __post_init__(self):
        for field in ("trunk", "pixels"):
            found, allowed = getattr(self, field), get_args(type(self).__annotations__[field])
            if found not in allowed:
                raise BadInput("ThreeDMPPEConfig", field, repr(found), f"one of {allowed}")
        object.__setattr__(self, "depths", tuple(self.depths))  # a file gives a list
        if self.crop < 1 or self.crop % self.stride:
            raise BadInput("ThreeDMPPEConfig", "crop", self.crop, f"a multiple of the trunk's stride, {self.stride}")
        for field in ("width", "deconvolutions", "channels", "bins", "depth", "real", "enlarge"):
            if not getattr(self, field) > 0:
                raise BadInput("ThreeDMPPEConfig", field, getattr(self, field), "a positive number")

    @property
    def stride(self) -> int:
        """px of a crop that a cell of the trunk covers."""
        return {"resnet50": ResNet50, "small": SmallResNet}[self.trunk].stride

    @property
    def cells(self) -> int:
        """Cells of the output's side."""
        return self.crop // self.stride * 2**self.deconvolutions

    @property
    def offset(self) -> float:
        """Where in a cell its coordinate lies: in the centre, or in the first corner."""
        return 0.5 if self.pixels == "exact" else 0.0


SMALL = ThreeDMPPEConfig("small", width=32, crop=64, deconvolutions=2, channels=64, bins=16)
"""0.52 M and 0.51 M parameters, an output of 16 x 16 cells (our choice)."""


AUGMENTATION = {"pose": Augmentation(), "root": Augmentation(scale=0.0, occlude=0.0)}
"""RootNet's crops are neither scaled nor occluded: a scaled crop belongs to another k; a turned one to the same."""
LIGHT = {"pose": Augmentation(rotate=0, scale=0.1, occlude=0), "root": Augmentation(rotate=0, scale=0, occlude=0)}
"""For trainings of a few thousand steps, which the full augmentation only slows down (our choice): rendered pictures
come in any number, with occlusion of their own."""


@dataclass(frozen=True)
class Profile:
    """The size of an experiment: `pictures` of width x height px and `crops` a step, and how each network is fitted.

    `reuse` and `block` are those of `synthetic.stream.Stream`: how often a picture is shown, how many it draws at once.
    """

    config: ThreeDMPPEConfig
    width: int
    height: int
    pictures: int
    crops: int
    seeds: int
    root: FitConfig
    pose: FitConfig
    reuse: int = 1
    block: int = 256
    light: bool = False  # `LIGHT` instead of `AUGMENTATION`


def _fit(steps: int, lr: float = 1e-3, precision: str = "bf16-mixed") -> FitConfig:
    return FitConfig(steps, lr=lr, warmup=min(100, steps // 4), every=max(1, steps // 10), precision=precision)


_TINY = replace(SMALL, width=8, crop=32, channels=16, bins=8)
_MIDDLE = replace(SMALL, trunk="resnet50", width=64, crop=128, deconvolutions=3, channels=256, bins=32)
PROFILES = {
    "smoke": Profile(
        _TINY, 64, 48, 4, 8, 2, _fit(6, precision="32-true"), _fit(6, precision="32-true"), block=16, light=True
    ),
    "cpu": Profile(SMALL, 256, 160, 16, 32, 2, _fit(1_500, 2e-3), _fit(4_000, 2e-3), reuse=8, block=512, light=True),
    "gpu": Profile(_MIDDLE, 256, 160, 64, 128, 3, _fit(4_000), _fit(6_000), reuse=2, block=1024, light=True),
    # Released code: 20 and 25 epochs of MuCo's 0.4 M pictures and as many of another set, at batch 32, a tenth of the
    # rate after 17, and again after 21.
    "paper": Profile(
        ThreeDMPPEConfig(), 512, 512, 32, 32, 1,
        FitConfig(500_000, schedule="step", milestones=(425_000,), every=5_000),
        FitConfig(625_000, schedule="step", milestones=(425_000, 525_000), every=5_000),
    ),
}  # fmt: skip


# --------------------------------------------------------------------------------------------------
# Boxes, and k


def true_boxes(batch: Batch) -> Float[Tensor, "B P 4"]:
    """x, y, width, height in px of the tightest box around all known joints, hidden ones and those outside included.

    NaN where nobody stands. A detector's box is another one: around what is seen of the body, flesh included.
    """
    uv = _in_front(batch)
    low = uv.where(uv.isfinite(), torch.inf).amin(2)
    high = uv.where(uv.isfinite(), -torch.inf).amax(2)
    return torch.cat([low, high - low], -1).where((low <= high).all(-1, keepdim=True), torch.nan)


def _in_front(batch: Batch) -> Float[Tensor, "B P 17 2"]:
    """px; NaN also where a joint is behind the camera, whose projection is nowhere."""
    return batch.uv.where(~(batch.xyz[..., 2:] <= 0), torch.nan)


def squares(
    boxes: Float[Tensor, "*N 4"], width: int, height: int, config: ThreeDMPPEConfig = ThreeDMPPEConfig()
) -> tuple[Float[Tensor, "*N 4"], Bool[Tensor, "*N"]]:
    """What is cropped: boxes cut at the picture's border, made square about their centre, and enlarged.

    Parameters
    ----------
    boxes : x, y, width, height in px, tight; floats, as whole numbers would be cut down
    width, height : of the picture

    Returns
    -------
    squares : x, y, side, side in px, which may reach beyond the picture
    kept : whether there is anything to crop; False for a box of no area, outside of the picture, or with a NaN
    """
    size = torch.tensor([width, height], dtype=boxes.dtype, device=boxes.device)
    corner, extent = boxes[..., :2], boxes[..., 2:]
    low = corner.clamp(min=0)
    if config.pixels == "exact":
        high = torch.minimum(size, corner + extent)
    else:
        high = torch.minimum(size - 1, low + (extent - 1).clamp(min=0))
    side = config.enlarge * (high - low).amax(-1, keepdim=True)
    kept = (extent > 0).all(-1) & (high >= low).all(-1) & ((high - low).amax(-1) > 0)
    if config.pixels == "exact":
        kept &= (high > low).all(-1)
    return torch.cat([(low + high) / 2 - side / 2, side, side], -1), kept


def distance(
    boxes: Float[Tensor, "*#N 4"], k: Float[Tensor, "*#N 4"], config: ThreeDMPPEConfig = ThreeDMPPEConfig()
) -> Float[Tensor, "*M"]:
    """k = sqrt(fx fy A_real / A_img), mm: how far away something of 2 m x 2 m is that fills the box.

    Parameters
    ----------
    boxes : of `squares`; x, y, width, height in px
    k : fx, fy, cx, cy in px, of the same picture
    """
    return config.real * (k[..., :2].prod(-1) / boxes[..., 2:].prod(-1)).sqrt()


# --------------------------------------------------------------------------------------------------
# Targets


@dataclass(frozen=True, eq=False)
class Targets:
    """Where joints are in the output volume, and what each coordinate counts: 1, or 0 where it is not known."""

    places: Float[Tensor, "N J 3"]
    weight: Float[Tensor, "N J 3"]


def targets(
    uv: Float[Tensor, "N J 2"], z: Float[Tensor, "N J"], views: Views, config: ThreeDMPPEConfig, net: Net
) -> Targets:
    """Joints as the network should place them.

    A joint that is not known, outside the crop or, for PoseNet, outside the volume counts nothing; one that is hidden,
    or outside the picture but inside the crop, counts. Where only the depth is not known, x and y count.

    Parameters
    ----------
    uv : px of the pictures, NaN where not known
    z : mm, NaN where not known; for PoseNet less the root's
    """
    if net == "pose":  # in a mirrored crop the left hand is a right one
        mirror = torch.tensor(MPI17.mirror, device=uv.device)
        uv = uv[:, mirror].where(views.mirrored[:, None, None], uv)
        z = z[:, mirror].where(views.mirrored[:, None], z)
        z = (z / config.depth + 0.5) * config.bins
    xy = views.to_crop(uv) / views.size * config.cells
    counted = ((xy >= 0) & (xy < config.cells)).all(-1)  # False of a NaN
    if net == "pose":
        counted &= ~((z < 0) | (z >= config.bins))
    known = torch.stack([counted, counted, counted & z.isfinite()], -1)
    return Targets(torch.cat([xy, z[..., None]], -1).where(known, 0), known.float())


@dataclass(frozen=True, eq=False)
class Sample:
    """One step's crops of people and their targets; `distance` is their k in mm."""

    crops: Float[Tensor, "N 3 S S"]
    distance: Float[Tensor, " N"]
    targets: Targets

    def to(self, device: torch.device | str) -> "Sample":
        """The same on another device."""
        there = Targets(self.targets.places.to(device), self.targets.weight.to(device))
        return Sample(self.crops.to(device), self.distance.to(device), there)


def sample(
    batch: Batch,
    config: ThreeDMPPEConfig,
    net: Net,
    count: int,
    seed: int,
    augmentation: dict[str, Augmentation] = AUGMENTATION,
) -> Sample:
    """`count` crops of the people in these pictures, augmented; a pure function of its arguments.

    Drawn at random among the people who may be trained on, each at most once while there are enough, those sooner whose
    box lies in the picture (our choice). If there is nobody, nothing counts.
    """
    device = batch.image.device
    generator = torch.Generator(device).manual_seed(seed)
    places = batch.xyz.shape[1]
    height, width = batch.image.shape[2:]
    tight = true_boxes(batch).flatten(0, 1)
    boxes, kept = squares(tight, width, height, config)
    root = batch.xyz[:, :, MPI17.root, 2].flatten()
    useful = kept & ((batch.visibility == VISIBLE).sum(-1).flatten() >= config.seen)
    if net == "root":
        useful &= (root >= config.depths[0]) & (root <= config.depths[1])
    high = tight[:, :2] + tight[:, 2:]
    inside = (tight[:, :2] >= 0).all(-1) & (high[:, 0] <= width) & (high[:, 1] <= height)
    urgency = torch.rand(len(tight), generator=generator, device=device) + 0.5 * inside + 2 * useful
    order = urgency.argsort(descending=True)
    drawn = order[torch.arange(count, device=device) % useful.sum().clamp(min=1)]

    boxes = boxes[drawn].where(useful[drawn, None], torch.tensor([0.0, 0.0, width, height], device=device))
    picture, joints = drawn // places, [MPI17.root] if net == "root" else list(range(len(MPI17)))
    seen = views(boxes, picture, config.crop, augmentation[net], generator)
    uv, z = _in_front(batch).flatten(0, 1)[drawn][:, joints], batch.xyz.flatten(0, 1)[drawn][:, joints, 2]
    goal = targets(uv, z - root[drawn, None] if net == "pose" else z, seen, config, net)
    weight = goal.weight * useful[drawn, None, None]
    image = disturb(crops(batch.image, seen), augmentation[net], generator)
    return Sample(image, distance(boxes, batch.k[picture], config), Targets(goal.places, weight))


# --------------------------------------------------------------------------------------------------
# The networks


def soft_argmax(volume: Float[Tensor, "N J *grid"], offset: float | int) -> Float[Tensor, "N J axes"]:
    """The mean place under a softmax over all cells (integral regression, Sun et al., ECCV 2018); x before y before z.

    Parameters
    ----------
    volume : scores, (z,) y, x
    offset : where in a cell its coordinate lies; a uniform volume of n cells gives (n - 1) / 2 + offset
    """
    with torch.autocast(volume.device.type, enabled=False):
        axes = [torch.arange(n, dtype=torch.float32, device=volume.device) + offset for n in volume.shape[2:]]
        places = torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")][::-1], -1)
        return volume.flatten(2).to(torch.float32).softmax(-1) @ places


def _trunk(config: ThreeDMPPEConfig) -> nn.Module:
    return ResNet50() if config.trunk == "resnet50" else SmallResNet(config.width)


def _normalised(crops: Tensor) -> Tensor:
    """By the mean and deviation of ImageNet's channels."""
    mean = crops.new_tensor([0.485, 0.456, 0.406])[:, None, None]
    std = crops.new_tensor([0.229, 0.224, 0.225])[:, None, None]
    return ((crops - mean) / std).contiguous(memory_format=torch.channels_last)


class RootNet(nn.Module):
    """Where the root is in a crop, and gamma, with which depth = gamma k: 33,997,634 parameters."""

    def __init__(self, config: ThreeDMPPEConfig = ThreeDMPPEConfig()):
        super().__init__()
        self.config = config
        self.trunk = _trunk(config)
        self.upsample = upsample(self.trunk.channels, config.channels, config.deconvolutions)
        self.xy = nn.Conv2d(config.channels, 1, 1)
        self.gamma = nn.Linear(self.trunk.channels, 1)
        nn.init.normal_(self.gamma.weight, std=0.001)
        nn.init.ones_(self.gamma.bias)  # it begins with k alone (our choice)
        self.to(memory_format=torch.channels_last)

    def forward(self, crops: Float[Tensor, "N 3 S S"], distance: Float[Tensor, " N"]) -> Float[Tensor, "N 1 3"]:
        """x, y in cells and the root's depth in mm.

        Parameters
        ----------
        crops : 0..1
        distance : k in mm, of `distance`

        Notes
        -----
        gamma is not bounded: an untrained network may place people behind the camera.
        """
        maps = self.trunk(_normalised(crops))
        xy = soft_argmax(self.xy(self.upsample(maps)), self.config.offset)
        with torch.autocast(maps.device.type, enabled=False):  # in bfloat16 gamma would be good to 20 mm in 5 m
            gamma = self.gamma(maps.to(self.gamma.weight.dtype).mean((2, 3)))
        return torch.cat([xy, (gamma * distance[:, None])[:, None]], -1)


class PoseNet(nn.Module):
    """Every joint's place in a volume around the root: 34,274,944 parameters."""

    def __init__(self, config: ThreeDMPPEConfig = ThreeDMPPEConfig()):
        super().__init__()
        self.config = config
        self.trunk = _trunk(config)
        self.upsample = upsample(self.trunk.channels, config.channels, config.deconvolutions)
        self.volume = nn.Conv2d(config.channels, len(MPI17) * config.bins, 1)
        nn.init.normal_(self.volume.weight, std=0.001)
        nn.init.zeros_(self.volume.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, crops: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N J 3"]:
        """x, y in cells and z in bins of every joint, of crops in 0..1; there is no confidence."""
        maps = self.volume(self.upsample(self.trunk(_normalised(crops))))
        return soft_argmax(maps.unflatten(1, (len(MPI17), self.config.bins)), self.config.offset)

    def flip_test(self, crops: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N J 3"]:
        """The mean of what is seen in a crop and in its mirror image, mirrored back."""
        plain, turned = self(torch.cat([crops, crops.flip(-1)])).chunk(2)
        turned = turned[:, list(MPI17.mirror)]
        x = self.config.cells - 1 + 2 * self.config.offset - turned[..., :1]
        return (plain + torch.cat([x, turned[..., 1:]], -1)) / 2


# --------------------------------------------------------------------------------------------------
# Loss, decoding


def loss(places: Float[Tensor, "N J 3"], targets: Targets) -> dict[str, Float[Tensor, ""]]:
    """L1, the mean over all joints, known or not, by axis, and as "loss" the mean of the three.

    RootNet's z is in mm and outweighs x and y, in cells, as in the released code.
    """
    x, y, z = ((places - targets.places).abs() * targets.weight).mean((0, 1))
    return {"loss": (x + y + z) / 3, "x": x, "y": y, "z": z}


class Outputs(NamedTuple):
    """What the networks say of N people.

    Parameters
    ----------
    places : PoseNet's, cells and bins
    depth : of the root, mm: RootNet's or the truth's
    boxes : of `squares`
    picture, person : which picture, and which of its boxes
    score : the detector's
    """

    places: Float[Tensor, "N J 3"]
    depth: Float[Tensor, " N"]
    boxes: Float[Tensor, "N 4"]
    picture: Int[Tensor, " N"]
    person: Int[Tensor, " N"]
    score: Float[Tensor, " N"]


def decode(outputs: Outputs, cameras: Float[Tensor, "B 4"], config: ThreeDMPPEConfig) -> list[list[Person]]:
    """People in the camera's frame (mm), for each picture: each joint is moved out along its own ray, to its own depth.

    Of the root only the depth is imposed: the pelvis is a joint like the others, and need not lie at it. `identity` is
    the place of a person's box among its picture's.
    """
    uv = _picture_px(outputs.places[..., :2], outputs.boxes, config)
    z = (outputs.places[..., 2] / config.bins - 0.5) * config.depth + outputs.depth[:, None]
    xyz = back_project(uv, z, cameras[outputs.picture][:, None])
    people: list[list[Person]] = [[] for _ in cameras]
    rows = (part.double().cpu().numpy() for part in (xyz, uv, outputs.score))
    for *row, picture, person in zip(*rows, outputs.picture.tolist(), outputs.person.tolist(), strict=True):
        people[picture].append(_person(*row, person))
    return people


def _person(xyz: np.ndarray, uv: np.ndarray, score: float, identity: int) -> Person:
    seen, source = (np.full(len(MPI17), value, np.uint8) for value in (VISIBLE, NATIVE))
    return Person(xyz, uv, seen, source, identity=identity, score=float(score))


def _picture_px(places: Tensor, boxes: Tensor, config: ThreeDMPPEConfig) -> Tensor:
    return boxes[:, None, :2] + places / config.cells * boxes[:, None, 2:]


# --------------------------------------------------------------------------------------------------
# From picture to people


class ThreeDMPPE(nn.Module):
    """RootNet and PoseNet, which are trained apart and share nothing."""

    def __init__(self, config: ThreeDMPPEConfig = ThreeDMPPEConfig()):
        super().__init__()
        self.config = config
        self.root = RootNet(config)
        self.pose = PoseNet(config)

    def locate(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        boxes: Each,
        cameras: Float[Tensor, "B 4"],
        chunk: int = 32,
    ) -> list[Float[np.ndarray, "_ 3"]]:
        """RootNet's roots, mm in the camera's frame, a row a box: what AP_root is measured on.

        NaN for a box that is rejected. Parameters and errors are those of `estimate`.
        """
        images, cameras, crop = self._cropped(images, boxes, cameras)
        places = self._root(images, cameras, crop, chunk)
        uv = _picture_px(places[..., :2], crop.boxes, self.config)
        xyz = back_project(uv, places[..., 2], cameras[crop.picture][:, None])[:, 0].double().cpu().numpy()
        roots = [np.full((len(of_picture), 3), np.nan) for of_picture in boxes]
        for root, picture, person in zip(xyz, crop.picture.tolist(), crop.person.tolist(), strict=True):
            roots[picture][person] = root
        return roots

    def estimate(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        boxes: Each,
        cameras: Float[Tensor, "B 4"],
        depths: Each | None = None,
        scores: Each | None = None,
        flip: bool = True,
        chunk: int = 32,
    ) -> list[list[Person]]:
        """Everyone in every picture. Pictures may be of any size, crops are of the configuration's.

        Parameters
        ----------
        images : RGB
        boxes : for each picture (P, 4) x, y, width, height in px, tight, not enlarged: of a detector, or `true_boxes`.
            One of no area, outside the picture or with a NaN is rejected and gives nobody
        cameras : fx, fy, cx, cy in px of each picture
        depths : for each picture (P,) mm, where the roots are: the truth's, or any other's; None for RootNet's. With
            the truth's this is the mode of all of PI-Net's tables
        scores : for each picture (P,), kept as `Person.score`; None for 1
        flip : average with the mirrored crop, as the released code does
        chunk : people at a time, which bounds the memory: 25 MB each in a picture of 1920 x 1080 px

        Raises
        ------
        BadInput : not one camera and one list of boxes a picture, a focal length that is not positive, a shape that is
            not as above, or a depth of somebody with a box that is not positive
        """
        given = depths
        images, cameras, crop = self._cropped(images, boxes, cameras)
        depths = self._root(images, cameras, crop, chunk)[:, 0, 2] if given is None else crop.of("depths", given)
        if given is not None and not (depths > 0).all():
            raise BadInput("ThreeDMPPE", "depths", float(depths[~(depths > 0)][0]), "positive mm of each person")
        score = torch.ones_like(depths) if scores is None else crop.of("scores", scores)
        run = self.pose.flip_test if flip else self.pose
        places = self._run(images, crop, chunk, run, len(MPI17))
        return decode(Outputs(places, depths, crop.boxes, crop.picture, crop.person, score), cameras, self.config)

    def _root(self, images: Tensor, cameras: Tensor, crop: "_Crops", chunk: int) -> Float[Tensor, "N 1 3"]:
        far = distance(crop.boxes, cameras[crop.picture], self.config)
        return self._run(images, crop, chunk, self.root, 1, far)

    def _run(self, images: Tensor, crop: "_Crops", chunk: int, network: Callable, joints: int, *more: Tensor) -> Tensor:
        """A network on all crops, `chunk` at a time, in use rather than in training."""
        training = self.training
        self.eval()
        out = images.new_zeros((len(crop.boxes), joints, 3), dtype=torch.float32)
        with torch.no_grad():
            for rows in torch.arange(len(crop.boxes), device=images.device).split(chunk):
                if len(rows):
                    seen = views(crop.boxes[rows], crop.picture[rows], self.config.crop)
                    out[rows] = network(crops(images, seen), *(m[rows] for m in more)).float()
        self.train(training)
        return out

    def _cropped(self, images: Tensor, boxes: Each, cameras: Tensor) -> tuple[Tensor, Tensor, "_Crops"]:
        """What comes from outside, checked and on the network's device; the boxes that are not rejected."""
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
            raise BadInput(
                "ThreeDMPPE", "images", f"{tuple(images.shape)}, {images.dtype}", "(B, 3, H, W), torch.uint8"
            )
        device = next(self.parameters()).device
        for name, found in (("boxes", len(boxes)), ("cameras", len(cameras))):
            if found != len(images):
                raise BadInput("ThreeDMPPE", name, found, f"{len(images)}, one for each picture")
        if cameras.shape[1:] != (4,) or not ((cameras[:, :2] > 0).all() and cameras.isfinite().all()):
            found = f"{tuple(cameras.shape)}, {cameras[:1].tolist()}"
            raise BadInput("ThreeDMPPE", "cameras", found, "(B, 4) fx, fy, cx, cy, focal lengths positive")
        tight = []
        for i, one in enumerate(boxes):
            one = torch.as_tensor(one, dtype=torch.float32, device=device)
            if one.numel() == 0:
                one = one.reshape(0, 4)
            if one.ndim != 2 or one.shape[1] != 4:
                raise BadInput("ThreeDMPPE", f"boxes[{i}]", tuple(one.shape), "(P, 4) x, y, width, height")
            tight.append(one)
        counts = [len(one) for one in tight]
        flat = torch.cat(tight) if tight else torch.zeros(0, 4, device=device)
        square, kept = squares(flat, images.shape[3], images.shape[2], self.config)
        picture = torch.arange(len(counts), device=device).repeat_interleave(torch.tensor(counts, device=device).long())
        person = torch.cat([torch.arange(n, device=device) for n in [0, *counts]])
        crop = _Crops(square[kept], picture[kept], person[kept], counts, kept)
        return images.to(device), cameras.to(device, torch.float32), crop

    def save(self, path: Path) -> None:
        """Write the weights and the configuration to one file; BadInput where its folder is not there or closed."""
        save_model(self, path)

    @classmethod
    def load(cls, path: Path, config: ThreeDMPPEConfig | None = None) -> "ThreeDMPPE":
        """Read what `save` wrote; BadInput where it is not of `config`."""
        return load_model(cls, ThreeDMPPEConfig, path, config)


@dataclass(frozen=True, eq=False)
class _Crops:
    """The boxes to crop, whose they are, and how many there were in each picture."""

    boxes: Float[Tensor, "N 4"]
    picture: Int[Tensor, " N"]
    person: Int[Tensor, " N"]
    counts: list[int]
    kept: Bool[Tensor, " M"]

    def of(self, name: str, values: Each) -> Float[Tensor, " N"]:
        """One number a box, of those kept."""
        parts = [torch.as_tensor(v, dtype=torch.float32, device=self.boxes.device).flatten() for v in values]
        if [len(part) for part in parts] != self.counts:
            raise BadInput("ThreeDMPPE", name, [len(part) for part in parts], f"{self.counts}, one a box")
        return torch.cat([self.boxes.new_zeros(0), *parts])[self.kept]


def train(
    stream: Callable[[int], Batch],
    config: ThreeDMPPEConfig,
    profile: Profile,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> ThreeDMPPE:
    """RootNet and then PoseNet, trained on pictures with their truth.

    Parameters
    ----------
    stream : step -> pictures, a pure function; both networks see it from step 0
    config : which networks; not the profile's, so that variants can be trained
    out : folder for `root` and `pose`, see `fit`
    options : the others of `fit`
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ThreeDMPPE(config)

    def terms(network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        more = (batch.distance,) if batch.targets.places.shape[1] == 1 else ()  # RootNet's only joint
        return loss(network(batch.crops, *more), batch.targets)

    for number, net in enumerate(get_args(Net)):

        def batches(step: int, net: Net = net, number: int = number) -> Sample:
            (draw,) = np.random.SeedSequence([seed, number, step]).generate_state(1)
            how = LIGHT if profile.light else AUGMENTATION
            return sample(stream(step), config, net, profile.crops, int(draw), how)

        folder = None if out is None else out / net
        fit(getattr(model, net), batches, terms, getattr(profile, net), folder, **options)
    return model.eval()
