"""Pictures from files with their truth, on a canvas of one size: what networks are trained and tested on.

A `Shot` is a `Scene` that knows its picture's file; `from_mupots`, `from_muco`, `from_panoptic`, `from_human36m` and
`from_coco` give those of a data set. `place` puts one on a canvas as SMAP's released code does: the whole picture, in
proportion, in the middle, grey around it. `FileStream` makes batches to train on, augmented in the release's order. All
of this is one affine map of pixels, and what it does to the picture it does to camera and people:

- turning the picture turns rays about the optical axis. The release turns about the picture's centre and leaves 3D
  poses as they are, since it needs their depth alone; here poses turn too, and the principal point moves along, so
  that the result is exact;
- mirroring negates x, exchanges left and right, and mirrors the principal point;
- a lens is taken out: the canvas shows what a pinhole camera with the same k would see, wide enough for all of the
  picture. Where it has nothing to show, there is grey.

So poses that project onto their pixels by the file's camera do so on the canvas.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from mp3d.batch import Batch
from mp3d.camera import Camera, project
from mp3d.data import coco, human36m, mupots, panoptic, safe, threedmppe
from mp3d.errors import BadInput, MissingData
from mp3d.scene import ABSENT, Scene
from mp3d.skeletons import MPI17

GREY = 128
DEGREES, SHIFT, SCALE = 10.0, 40 / 832, (0.8, 1.1)
"""SMAP's augmentation: turned by at most so much, shifted by at most this part of the canvas's width, and pictures
without 3D poses made larger or smaller."""
PANOPTIC_IMAGES = {"test": 9600, "train": 160_000}
"""How many of Panoptic SMAP uses."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A scene in `MPI17`, its image left out, and the file that holds it."""

    scene: Scene
    path: Path


@dataclass(frozen=True)
class Change:
    """How a picture is put on the canvas: turned (radians), scaled about the fit, shifted (px), then mirrored."""

    angle: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False

    @classmethod
    def drawn(cls, generator: np.random.Generator, width: int, flat: bool) -> "Change":
        """SMAP's augmentation for a canvas of this width; `flat` for pictures without 3D poses (released code)."""
        angle, scale = np.deg2rad(generator.uniform(-DEGREES, DEGREES)), generator.uniform(*SCALE)
        shift = generator.uniform(-SHIFT * width, SHIFT * width, 2)
        return cls(float(angle), float(scale) if flat else 1.0, tuple(shift.tolist()), bool(generator.random() < 0.5))


@dataclass(frozen=True, eq=False)
class Placed:
    """A shot on a canvas.

    Parameters
    ----------
    scene : what the canvas shows: its image, a pinhole camera, people, joints that are not on it with visibility 0
    source : the file's camera
    matrix, corner : px of the canvas = `matrix` px of the file without its lens + `corner`
    width : px of the canvas that the picture takes in width, before it is turned: the w of SMAP's Z w / f
    """

    scene: Scene
    source: Camera
    matrix: Float[np.ndarray, "2 2"]
    corner: Float[np.ndarray, " 2"]
    width: float

    def to_file(self, uv: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
        """px of the canvas to px of the file, through its lens."""
        return _in_file(self.source, (uv - self.corner) @ np.linalg.inv(self.matrix).T)[0]


# -- data sets ------------------------------------------------------------------------------------------------


def from_mupots(root: Path | str) -> Iterator[Shot]:
    """MuPoTS-3D's videos that are there; frames in which nobody is valid are left out."""
    for scene in mupots.scenes(root, mupots.present(root)):
        if scene.people:
            yield Shot(scene, mupots.image_path(root, scene.sequence, scene.frame))


def from_muco(root: Path | str) -> Iterator[Shot]:
    """MuCo-3DHP as 3DMPPE composited it, `MuCo-3DHP.json` and its folders of pictures, for training."""
    path = Path(root) / "MuCo-3DHP.json"
    for scene, (_, name) in zip(threedmppe.scenes(path), threedmppe.file_names(path), strict=True):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BadInput(path, "images[].file_name", f"{name!r:.60}", "a path below this file's folder")
        if scene.people:
            yield Shot(_lean(scene), path.parent / name)


def from_panoptic(root: Path | str, split: str = "test") -> Iterator[Shot]:
    """CMU Panoptic as SMAP splits it, of the frames that have a picture; those with nobody in them are left out.

    `PANOPTIC_IMAGES`, as many of each activity, of each of its sequences, of each camera, evenly spread over time.
    Cameras are the papers' two in the test; in training, where SMAP does not say, all that have pictures.

    Raises
    ------
    BadInput, MissingData : an unknown split; no picture of it
    """
    if split not in PANOPTIC_IMAGES:
        raise BadInput("pictures.from_panoptic", "split", repr(split), "test or train")
    root, names, found = Path(root), getattr(panoptic.SPLITS["smap"], split), False
    activities = [panoptic.activity(name) for name in names]
    for sequence, activity in zip(names, activities, strict=True):
        calibration = root / sequence / f"calibration_{sequence}.json"
        if not calibration.exists():
            continue
        views = set(panoptic.cameras(calibration)) - set(panoptic.BROKEN.get(sequence, ()))
        views = sorted(views & set(panoptic.TEST_CAMERAS) if split == "test" else views)
        files = panoptic.frames(root, sequence)[0]
        shown = {v: [f for f in files if panoptic.image_path(root, sequence, v, f).exists()] for v in views}
        shown = {view: frames for view, frames in shown.items() if frames}
        each = PANOPTIC_IMAGES[split] / len(set(activities)) / activities.count(activity) / max(1, len(shown))
        for view, frames in shown.items():
            at = np.linspace(0, len(frames) - 1, min(len(frames), max(1, round(each)))).round().astype(int)
            chosen = [frames[i] for i in at]
            for scene in panoptic.scenes(root, [sequence], [view], frames=chosen, skip_damaged=True):
                if scene.people:
                    found = True
                    scene = scene if split == "test" else _lean(scene)
                    yield Shot(scene, panoptic.image_path(root, sequence, view, scene.frame))
    if not found:
        raise MissingData(f"{root}: no hdImgs with people in them of SMAP's {split} sequences, {', '.join(names)}")


def from_human36m(root: Path | str, split: str = "test") -> Iterator[Shot]:
    """Human3.6M in 3DMPPE's form, protocol 2: every 64th frame of subjects 9 and 11, or every 5th of the others."""
    if (2, split) not in human36m.PROTOCOLS:
        raise BadInput("pictures.from_human36m", "split", repr(split), "test or train")
    subjects, every = human36m.PROTOCOLS[2, split]
    for scene in human36m.scenes(root, subjects, every=every):
        yield Shot(scene if split == "test" else _lean(scene), human36m.image_path(root, scene))


def from_coco(root: Path | str, split: str = "train2017") -> Iterator[Shot]:
    """COCO's key points as SMAP uses them: people in 2D alone, f = the picture's width."""
    for scene in coco.scenes(root, split, like="smap"):
        yield Shot(_lean(scene), coco.image_path(root, split, scene))


def _lean(scene: Scene) -> Scene:
    """Without the data set's own joints, in single precision: a training set is in memory, some 1 kB a person."""

    def thin(a: np.ndarray) -> np.ndarray:
        return a.astype(np.float32)

    people = (replace(p, xyz=thin(p.xyz), uv=thin(p.uv), native=None) for p in scene.people)
    return replace(scene, people=tuple(people))


# -- pictures -------------------------------------------------------------------------------------------------


def read(path: Path, camera: Camera, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """A picture as it is stored, not turned by its Exif tag: labels were drawn on the stored pixels.

    Parameters
    ----------
    size : px, width and height to which it is resampled, without aliasing; None: as it is

    Raises
    ------
    MissingData : no such file
    BadInput : not a picture, a damaged one, or one of another size than the camera's
    """
    safe.check(path)
    try:
        with Image.open(path) as image:
            if image.size != (camera.width, camera.height):
                expected = f"{camera.width} x {camera.height}, as annotated"
                raise BadInput(path, "size", "{} x {}".format(*image.size), expected)
            if size is None:
                return np.asarray(image.convert("RGB"))
            # A JPEG is decoded at a half, quarter or eighth of its size, where that is twice what is wanted or more.
            drafted = image.draft(None, (2 * size[0], 2 * size[1]))
            box = drafted[1] if drafted else (0, 0, *image.size)
            return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR, box))
    except BadInput:
        raise
    except Exception as error:  # a damaged picture may raise anything
        raise BadInput(path, "picture", f"{type(error).__name__}: {error}"[:120], "a complete picture") from None


def place(shot: Shot, width: int, height: int, change: Change = Change()) -> Placed:
    """A shot on a canvas of `width` x `height` px (SMAP's input is 832 x 512); see the module's text.

    Raises
    ------
    MissingData, BadInput : as `read`
    """
    camera, k = shot.scene.camera, shot.scene.camera.k
    low, high = _frame(camera)
    sin, cos = np.sin(change.angle), np.cos(change.angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = turn * k[:2, None] / k[:2]  # of px: that of rays, whatever fx / fy
    corners = np.array([low, high, (low[0], high[1]), (high[0], low[1])]) @ matrix.T
    scale = change.scale * float(min(np.array([width, height]) / np.ptp(corners, 0)))
    matrix = scale * matrix
    corner = np.array([width, height]) / 2 + change.shift - matrix @ (low + high) / 2
    if change.mirrored:
        mirror = np.diag([-1.0, 1.0])
        turn, matrix, corner = mirror @ turn, mirror @ matrix, mirror @ corner + (width, 0)
    joints = list(MPI17.mirror) if change.mirrored else slice(None)
    people = []
    for person in shot.scene.people:
        xyz, uv = person.xyz[joints], person.uv[joints]
        if camera.lens is not None:
            uv = project(xyz, k)
        shown = _in_file(camera, uv)[1]
        uv = uv @ matrix.T + corner
        shown &= ((uv >= 0) & (uv < (width, height))).all(-1)
        xyz = np.concatenate([xyz[:, :2] @ turn.T, xyz[:, 2:]], -1)
        seen = np.where(shown, person.visibility[joints], ABSENT).astype(np.uint8)
        people.append(replace(person, xyz=xyz, uv=uv, visibility=seen, source=person.source[joints], native=None))
    fx, fy, cx, cy = (float(v) for v in (*scale * k[:2], *matrix @ k[2:] + corner))
    image = _image(shot, width, height, matrix, corner, scale)
    scene = replace(shot.scene, camera=Camera(fx, fy, cx, cy, width, height), people=tuple(people), image=image)
    return Placed(scene, camera, matrix, corner, float(scale * (high - low)[0]))


def load(shots: Sequence[Shot], width: int, height: int) -> Batch:
    """Shots as a batch, not changed but for what `place` does."""
    return Batch.of([place(shot, width, height).scene for shot in shots])


@lru_cache(maxsize=64)
def _frame(camera: Camera) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """The corners of the smallest upright rectangle that holds the picture without its lens, px."""
    size = np.array([camera.width, camera.height], float)
    if camera.lens is None:
        return 0 * size, size
    rim = np.array([(i, j) for i in (0, 0.5, 1) for j in (0, 0.5, 1)]) * size
    flat = camera.back_project(rim, np.ones(len(rim)))[:, :2] * camera.k[:2] + camera.k[2:]
    return flat.min(0), flat.max(0)


def _in_file(
    camera: Camera, uv: Float[np.ndarray, "*points 2"]
) -> tuple[Float[np.ndarray, "*points 2"], Bool[np.ndarray, "*points"]]:
    """px of the pinhole camera as px of the file, and whether they are in the picture."""
    low, high = _frame(camera)
    shown = ((uv >= low) & (uv <= high)).all(-1)  # beyond, a lens may fold what it does not show into the picture
    if camera.lens is None:
        return uv, shown
    uv = camera.lens.distort((uv - camera.k[2:]) / camera.k[:2]) * camera.k[:2] + camera.k[2:]
    return uv, shown & ((uv >= 0) & (uv <= (camera.width, camera.height))).all(-1)


def _image(
    shot: Shot, width: int, height: int, matrix: Float[np.ndarray, "2 2"], corner: Float[np.ndarray, " 2"], scale: float
) -> UInt8[np.ndarray, "H W 3"]:
    """The canvas: the picture, made small first so that nothing aliases, then sampled bilinearly."""
    camera = shot.scene.camera
    size = tuple(max(1, round(scale * side)) for side in (camera.width, camera.height))
    small = read(shot.path, camera, size)
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    flat = (np.stack([u, v], -1) - corner) @ np.linalg.inv(matrix).T
    file, shown = _in_file(camera, flat)
    grid = 2 * file / (camera.width, camera.height) - 1
    found = torch.nn.functional.grid_sample(
        torch.from_numpy(small.transpose(2, 0, 1).astype(np.float32))[None],
        torch.from_numpy(grid.astype(np.float32))[None],
        padding_mode="border",
        align_corners=False,
    )[0]
    filled = np.where(shown[..., None], found.permute(1, 2, 0).numpy(), GREY)
    return np.rint(filled).astype(np.uint8)


# -- training -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FileStream:
    """Batches to train on; `stream(step)` is a function of the step alone, as `training.fit` wants it.

    Each epoch takes every shot once, in another order.

    Parameters
    ----------
    shots : with 3D poses
    seed : of orders and augmentation
    width, height : of the canvas, px
    batch : pictures a step
    mixed_with : shots in 2D alone, COCO's; of each batch they are `share` (SMAP section 4.2: a half)
    augment : whether pictures are changed at random (`Change.drawn`)

    Raises
    ------
    BadInput : no shots; a batch or share out of bounds
    """

    shots: Sequence[Shot]
    seed: int
    width: int
    height: int
    batch: int
    mixed_with: Sequence[Shot] = ()
    share: float | int = 0.5
    augment: bool = True

    def __post_init__(self):
        if not self.shots:
            raise BadInput("FileStream", "shots", "none", "at least one")
        if self.batch < 1 or not 0 <= self.share <= 1:
            raise BadInput("FileStream", "batch, share", (self.batch, self.share), "at least 1, and 0 to 1")

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        return Batch.of([placed.scene for placed in self.placed(step)])

    def placed(self, step: int) -> list[Placed]:
        """The same, with what a `Batch` cannot hold: how each picture was placed."""
        flat = round(self.batch * self.share) if self.mixed_with else 0
        found = []
        for part, (shots, count) in enumerate(((self.shots, self.batch - flat), (self.mixed_with, flat))):
            for i in range(count):
                epoch, at = divmod(step * count + i, len(shots))
                shot = shots[_order(self.seed, part, epoch, len(shots))[at]]
                change = Change()
                if self.augment:
                    change = Change.drawn(np.random.default_rng([self.seed, step, part, i]), self.width, part == 1)
                found.append(place(shot, self.width, self.height, change))
        return found


@lru_cache(maxsize=4)
def _order(seed: int, part: int, epoch: int, count: int) -> Int[np.ndarray, " n"]:
    return np.random.default_rng([seed, part, epoch]).permutation(count)
