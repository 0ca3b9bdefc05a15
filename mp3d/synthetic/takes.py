"""Takes: single frames of a synthetic world as arrays, what scenes, pictures and statistics are made of."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from mp3d.camera import Camera, project
from mp3d.errors import BadInput
from mp3d.scene import Person, Scene
from mp3d.skeletons import NATIVE
from mp3d.synthetic.sight import seen

_ALL = np.full(17, NATIVE, np.uint8)


@dataclass(frozen=True, eq=False)
class Takes:
    """N frames with up to P people each; a frame's people come first, the places after them are empty.

    Parameters
    ----------
    points : `body.POINTS` in the camera frame, mm; NaN where nobody stands
    size : stature times girth in mm, what the radii of `body.capsules` are parts of; NaN where nobody stands
    visibility : of the MPI17 joints among people alone (tables and balls hide nothing): 0 outside the image or
        nobody there, 1 hidden, 2 visible
    k, image : fx, fy, cx, cy in px; width and height of the full image in px
    rotation, translation : x_camera = rotation @ x_world + translation, mm; the floor is the plane y_world = 0
    ball : centre of a ball (radius `interactions.BALL_RADIUS`) in the camera frame, mm; NaN where there is none
    table : x, z, radius, height of a round table's top in the world frame, mm; NaN where there is none
    kind : what the people do, of each frame
    sequence, frame : where each comes from: "train-0" and its number in that stream, or a video and its frame
    world, split, seed : of the stream
    motion : "rules", or "tdbu" for motion that TDBU published for MuPoTS-3D's videos (`synthetic.mupots`)
    """

    points: Float[np.ndarray, "N P 22 3"]
    size: Float[np.ndarray, "N P"]
    visibility: UInt8[np.ndarray, "N P 17"]
    k: Float[np.ndarray, "N 4"]
    image: Int[np.ndarray, "N 2"]
    rotation: Float[np.ndarray, "N 3 3"]
    translation: Float[np.ndarray, "N 3"]
    ball: Float[np.ndarray, "N 3"]
    table: Float[np.ndarray, "N 4"]
    kind: tuple[str, ...]
    sequence: tuple[str, ...]
    frame: Int[np.ndarray, " N"]
    world: str
    split: str
    seed: int
    motion: str = "rules"

    def __len__(self) -> int:
        return len(self.points)

    @property
    def start(self) -> int:
        """The number of the first frame, 0 where there is none."""
        return int(self.frame[0]) if len(self) else 0

    @property
    def people(self) -> Int[np.ndarray, " N"]:
        """How many people there are."""
        return np.isfinite(self.size).sum(-1)

    @property
    def uv(self) -> Float[np.ndarray, "N P 17 2"]:
        """The MPI17 joints in px, NaN where nobody stands."""
        return project(self.points[:, :, :17], self.k[:, None, None])

    def __getitem__(self, index: object) -> "Takes":
        """The frames of a slice."""
        if not isinstance(index, slice):
            raise BadInput("Takes", "index", index, "a slice")
        return replace(self, **{name: getattr(self, name)[index] for name in _EACH})

    def take(self, index: Int[np.ndarray, " M"]) -> "Takes":
        """The frames of these numbers, counted from 0."""
        words = {name: tuple(getattr(self, name)[i] for i in index.tolist()) for name in ("kind", "sequence")}
        return replace(self, **{name: getattr(self, name)[index] for name in _EACH if name not in words}, **words)

    def scenes(self) -> list[Scene]:
        """The frames as scenes: people are native in MPI17, identities count from 0.

        Where motion is not by rules the scene's world says so: "duet, motion: tdbu".
        """
        world = self.world if self.motion == "rules" else f"{self.world}, motion: {self.motion}"
        uv, people = self.uv, self.people.tolist()
        cameras = zip(self.k.tolist(), self.image.tolist(), self.rotation, self.translation, strict=True)
        return [
            Scene(
                Camera(*k, *size, rotation, translation),
                tuple(
                    Person(self.points[i, p, :17], uv[i, p], self.visibility[i, p], _ALL, p) for p in range(people[i])
                ),
                world,
                self.sequence[i],
                int(self.frame[i]),
                self.kind[i],
            )
            for i, (k, size, rotation, translation) in enumerate(cameras)
        ]


_EACH = ("points", "size", "visibility", "k", "image", "rotation", "translation", "ball", "table")
_EACH += ("kind", "sequence", "frame")


def takes_of(
    points: Float[np.ndarray, "N P 22 3"],
    size: Float[np.ndarray, "N P"],
    k: Float[np.ndarray, "N 4"],
    image: Int[np.ndarray, "N 2"],
    rotation: Float[np.ndarray, "N 3 3"],
    translation: Float[np.ndarray, "N 3"],
    **more: object,
) -> Takes:
    """Takes of people before cameras: visibility by geometry, no ball and no table; the rest as for `Takes`.

    Raises
    ------
    BadInput
        if somebody stands after an empty place, or has a joint behind the camera
    """
    there = np.isfinite(size)
    if (there[:, 1:] > there[:, :-1]).any():
        raise BadInput("takes_of", "size", "an empty place before somebody", "people in the first places")
    some = points[there]
    if not (some[..., 2] > 0).all():
        raise BadInput("takes_of", "points", "a joint behind the camera or NaN", "depths > 0 where somebody stands")
    scene = np.nonzero(there)[0]
    uv = project(some[:, :17], k[scene, None])
    visibility = np.zeros((*there.shape, 17), np.uint8)
    visibility[there] = seen(size[there], some, ((uv >= 0) & (uv < image[scene, None])).all(-1), scene)
    ball, table = (np.full((len(k), columns), np.nan) for columns in (3, 4))
    return Takes(points, size, visibility, k, image, rotation, translation, ball, table, **more)


def join(parts: list[Takes]) -> Takes:
    """Takes of one stream one after the other; there is at least one part."""
    arrays = {name: [getattr(part, name) for part in parts] for name in _EACH}
    whole = {n: sum(v, ()) if isinstance(v[0], tuple) else np.concatenate(v) for n, v in arrays.items()}
    return replace(parts[0], **whole)


def largest_iou(uv: Float[np.ndarray, "*n P J 2"]) -> Float[np.ndarray, "*n"]:
    """The largest intersection over union of two people's tight boxes (NaN joints: nobody), 0 for fewer than two."""
    low, high = uv.min(-2), uv.max(-2)  # NaN stays NaN: a box is somebody's or nobody's
    area = (high - low).prod(-1)
    both = np.minimum(high[..., :, None, :], high[..., None, :, :]) - np.maximum(
        low[..., :, None, :], low[..., None, :, :]
    )
    both = np.maximum(both, 0).prod(-1)
    iou = np.nan_to_num(both / (area[..., :, None] + area[..., None, :] - both))
    a, b = np.triu_indices(uv.shape[-3], 1)
    return iou[..., a, b].max(-1, initial=0.0)
