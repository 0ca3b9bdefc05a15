"""Crowds: people of the world `solo` set on one floor before one camera, truth alone, for exact experiments.

Poses, sizes and joint limits are `solo`'s; that they stand together is chance: nobody minds anybody, but no two roots
are nearer than `GAP` on the floor, and places are even over the floor that the camera sees. Visibility is exact.
Pictures are blank.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from mp3d.batch import Batch
from mp3d.camera import project
from mp3d.errors import BadInput
from mp3d.scene import ABSENT, HIDDEN, VISIBLE
from mp3d.skeletons import MPI17
from mp3d.synthetic.body import ray_capsule, skin
from mp3d.synthetic.sight import _pairs, seen
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import takes

WIDTH, HEIGHT = 256, 160
"""Of the pictures, px."""
FOCAL = (180.0, 260.0)
"""Range of the focal length, px."""
DEPTH = (2500.0, 12_000.0)
"""Range of the roots' depth, mm."""
GAP = 600.0
"""Smallest distance of two roots on the floor, mm."""


def crowd(
    people: int,
    seed: int,
    scenes: int,
    depth: tuple[float | int, float | int] = DEPTH,
    themselves: bool = True,
) -> Batch:
    """Scenes of so many people each, at random on the floor in view.

    The camera stands 1.4 to 2.2 m high and looks at chest height in the middle of the depths. All roots lie before
    it and between its left and right border; limbs may be off the picture. The same call gives the same people.

    Parameters
    ----------
    people : in each scene, 1 or more
    depth : nearest and farthest along the floor, mm
    themselves : whether people hide their own joints; if not, only others do

    Raises
    ------
    BadInput : no people, no scenes, or more people than the floor has room for
    """
    if min(people, scenes) < 1:
        raise BadInput("crowd", "people, scenes", (people, scenes), "1 or more")
    rng = np.random.default_rng([people, seed])
    points, size = _people(people * scenes, seed)
    points, size = points.reshape(scenes, people, -1, 3), size.reshape(scenes, people)
    focal, height = rng.uniform(*FOCAL, scenes), rng.uniform(1400, 2200, scenes)
    points = _turned(points, rng.uniform(-np.pi, np.pi, (scenes, people)))
    place = _places(people, focal, depth, rng)
    points = points + np.stack([place[..., 0], np.zeros_like(place[..., 0]), place[..., 1]], -1)[:, :, None]
    return _seen(points, size, focal, height, sum(depth) / 2, themselves)


def pair(gap: float | int, seed: int, scenes: int, behind: float | int = 0, depth: float | int = 4000) -> Batch:
    """Scenes of two people who face the camera, side by side: how codings fail as people meet.

    The same seed gives the same people in the same poses (of `solo`'s standing, talking and waving), so that a curve
    over gaps follows them. The first place is the person on the left, who is nearer if `behind` is above 0.

    Parameters
    ----------
    gap : from root to root across the view, mm; below a shoulder's width the two pass through one another
    behind : how much farther the second is, mm
    depth : of the first, mm

    Raises
    ------
    BadInput : no scenes, or somebody behind the camera
    """
    if scenes < 1 or min(depth, depth + behind) < 1000:
        found = (scenes, depth, behind)
        raise BadInput("pair", "scenes, depth, behind", found, "a scene or more, 1 m or more before the camera")
    points, size = _people(2 * scenes, seed, ("standing", "talking", "waving"))
    points, size = points.reshape(scenes, 2, -1, 3), size.reshape(scenes, 2)
    right, left = (points[:, :, MPI17.index(f"{side}_hip")] for side in "rl")
    # Before the turn their left hip lies this way; faced, it lies along +x, the picture's right.
    across = left - right
    points = _turned(points, np.arctan2(across[..., 2], across[..., 0]))
    points = points + np.array([[-gap / 2, 0, depth], [gap / 2, 0, depth + behind]])[:, None]
    focal, height = np.full(scenes, np.mean(FOCAL)), np.full(scenes, 1500.0)
    return _seen(points, size, focal, height, depth)


def blank(takes: Takes, width: int = WIDTH, height: int = HEIGHT) -> Batch:
    """The truth of takes as `render.render` would show it, without the picture: whole images, centred."""
    scale = (np.array([width, height]) / takes.image).min(1)
    centre = (takes.k[:, 2:] - takes.image / 2) * scale[:, None] + [width / 2, height / 2]
    k = np.concatenate([takes.k[:, :2] * scale[:, None], centre], 1)
    xyz = takes.points[:, :, :17]
    uv = project(xyz, k[:, None, None])
    image = torch.zeros(1, 3, height, width, dtype=torch.uint8).expand(len(takes), -1, -1, -1)
    xyz, uv, k = (torch.from_numpy(a.astype(np.float32)) for a in (xyz, uv, k))
    return Batch(image, xyz, uv, torch.from_numpy(takes.visibility), k)


def _people(
    count: int, seed: int, kinds: tuple[str, ...] | None = None
) -> tuple[Float[np.ndarray, "N 22 3"], Float[np.ndarray, " N"]]:
    """People with the root above the floor's origin, on the floor y = 0, and their `Takes.size`."""
    alone = takes("solo", count, seed, "test", kinds)
    points = np.einsum("nji,nkj->nki", alone.rotation, alone.points[:, 0] - alone.translation[:, None])
    return points - points[:, MPI17.root, None] * [1, 0, 1], alone.size[:, 0]


def _turned(points: Float[np.ndarray, "*n J 3"], yaw: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n J 3"]:
    """Turned about the vertical axis by `yaw` rad, from z towards x."""
    c, s = np.cos(yaw)[..., None], np.sin(yaw)[..., None]
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([c * x + s * z, y, c * z - s * x], -1)


def _places(
    people: int, focal: Float[np.ndarray, " N"], depth: tuple[float | int, float | int], rng: np.random.Generator
) -> Float[np.ndarray, "N P 2"]:
    """x and z on the floor, mm: even over what is seen, none nearer than `GAP` to another of the scene."""
    place = np.full((len(focal), people, 2), np.inf)
    for person in range(people):
        left = np.arange(len(focal))
        for _ in range(1000):
            z = np.sqrt(rng.uniform(depth[0] ** 2, depth[1] ** 2, len(left)))  # as wide as it is far
            x = rng.uniform(-0.5, 0.5, len(left)) * WIDTH / focal[left] * z
            new = np.stack([x, z], -1)
            free = (np.linalg.norm(place[left, :person] - new[:, None], axis=-1) >= GAP).all(1)
            place[left[free], person] = new[free]
            left = left[~free]
            if not len(left):
                break
        else:
            raise BadInput("crowd", "people", people, f"as many as have room {GAP:g} mm apart")
    return place


def _seen(
    points: Float[np.ndarray, "N P 22 3"],
    size: Float[np.ndarray, "N P"],
    focal: Float[np.ndarray, " N"],
    height: Float[np.ndarray, " N"],
    middle: float | int,
    themselves: bool = True,
) -> Batch:
    """What a camera `height` above the floor sees that looks at chest height `middle` before it."""
    pitch = np.arctan2(height - 930, middle)  # down, as a positive number
    c, s, zero, one = np.cos(pitch), np.sin(pitch), np.zeros_like(pitch), np.ones_like(pitch)
    rotation = np.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).reshape(-1, 3, 3)
    points = points + np.stack([zero, height, zero], -1)[:, None, None]
    points = np.einsum("nij,npkj->npki", rotation, points)
    k = np.stack([focal, focal, WIDTH / 2 * one, HEIGHT / 2 * one], -1)
    xyz = points[:, :, :17]
    uv = project(xyz, k[:, None, None])
    inside = ((uv >= 0) & (uv < [WIDTH, HEIGHT])).all(-1) & (xyz[..., 2] > 0)
    visible = _visibility(points, size, inside, themselves)
    image = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8).expand(len(points), -1, -1, -1)
    xyz, uv, k = (torch.from_numpy(a.astype(np.float32)) for a in (xyz, uv, k))
    return Batch(image, xyz, uv, torch.from_numpy(visible), k)


def _visibility(
    points: Float[np.ndarray, "N P 22 3"],
    size: Float[np.ndarray, "N P"],
    inside: Bool[np.ndarray, "N P 17"],
    themselves: bool,
) -> UInt8[np.ndarray, "N P 17"]:
    """`sight.seen` of scenes; without `themselves` a joint is hidden if somebody else is before the joint itself."""
    scene = np.arange(size.size) // size.shape[1]
    shape, points, size, inside = inside.shape, points.reshape(-1, 22, 3), size.ravel(), inside.reshape(-1, 17)
    if themselves:
        return seen(size, points, inside, scene).reshape(shape)
    capsules = skin(points, size)
    distance = np.linalg.norm(points[:, :17], axis=-1)
    rays, enter = points[:, :17] / distance[..., None], np.full(distance.shape, np.inf)
    pairs = _pairs(*capsules, scene)
    for start in range(0, len(pairs[0]), 256):
        i, j = (people[start : start + 256] for people in pairs)
        np.minimum.at(enter, i, ray_capsule(rays[i], *(part[j] for part in capsules)).min(-1))
    return np.where(inside, np.where(enter < distance, HIDDEN, VISIBLE), ABSENT).astype(np.uint8).reshape(shape)
