"""Small groups before one camera: the takes of `duet`, `studio` and `solo`.

What a group does comes from `interactions` or `gatherings`; a camera is put before it, and takes that break the world's
promises are drawn anew.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from mp3d.camera import project
from mp3d.synthetic.body import CAPSULES, POINTS, Body, penetration, sample_body, visibility
from mp3d.synthetic.gatherings import ALONE, GATHERINGS, SIZES
from mp3d.synthetic.interactions import INTERACTIONS
from mp3d.synthetic.motion import Draw
from mp3d.synthetic.takes import Takes, join

# How deep the capsules of two people may pass into one another, mm: lower arms that meet; everything else.
MAX_PENETRATION = 90.0, 30.0
CHEST = 930.0  # what a camera looks at, above the floor, mm
PERFORMANCES = INTERACTIONS | GATHERINGS | ALONE


@dataclass(frozen=True)
class World:
    """What a world keeps of the real data it mirrors, in numbers.

    Parameters
    ----------
    people : smallest and largest number of people
    kinds : what they do
    focal : px, drawn evenly on a logarithmic scale, whatever the image's size
    images : (width, height) in px, one drawn for each scene
    height : of the camera above the floor, mm
    depth : of the group's centre from the camera, mm; at least what the picture needs to hold the people
    pair_yaw : largest angle between the line that joins a pair and the image plane, rad
    corners : where fixed cameras stand: x, z and height in mm; each take is seen from one of them, whose focal length
        is evenly on `focal`, and which looks at the room's middle
    fit : the part of a standing person's height that the picture holds at least, where the group's middle is
    inside : the part of each person's joints that lies in the image at least, over a take
    videos : (name, kind, people) of each test sequence
    indoors : the share of scenes within doors
    rate : frames a second
    pan, tilt : how far the camera looks past the group: standard deviations, of the angle aside as a part of the
        image's width over the focal length, of the angle up or down in rad
    wanted : what a split asks of a take besides: of the joints in px and of those inside the image, whether to keep it
    crowd : whether people are drawn by `street`, not in one group
    block : scenes drawn together
    """

    name: str
    people: tuple[int, int]
    kinds: tuple[str, ...]
    focal: tuple[float, float]
    images: tuple[tuple[int, int], ...]
    height: tuple[float, float]
    depth: tuple[float, float]
    pair_yaw: float
    inside: float
    videos: tuple[tuple[str, str, int], ...]
    indoors: float
    rate: float = 12.5
    pan: float = 0.05
    tilt: float = math.radians(1.2)
    wanted: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    corners: tuple[tuple[float, float, float], ...] = ()
    fit: float = 1.0
    crowd: bool = False
    block: int = 256


@dataclass(frozen=True, eq=False)
class Shots:
    """n takes of F frames with P people: what happens, and what the camera makes of it."""

    bodies: Body  # (n, 1, P)
    points: Float[np.ndarray, "n F P 22 3"]  # camera frame, mm; the MPI17 joints come first
    ball: Float[np.ndarray, "n F 3"]  # camera frame, mm
    table: Float[np.ndarray, "n 4"]
    k: Float[np.ndarray, "n 4"]
    image: Int[np.ndarray, "n 2"]  # width, height
    rotation: Float[np.ndarray, "n 3 3"]
    translation: Float[np.ndarray, "n 3"]
    visibility: UInt8[np.ndarray, "n F P 17"]

    def takes(self, world: World, split: str, seed: int, kind: str, sequence: str, frame: np.ndarray) -> Takes:
        """All frames of all takes, with places for as many people as the world holds; `frame` numbers them."""
        n, frames, people = self.points.shape[:3]
        room = ((0, 0), (0, world.people[1] - people))
        points = np.pad(self.points.reshape(n * frames, people, 22, 3), (*room, *((0, 0),) * 2), constant_values=np.nan)
        size = np.broadcast_to(self.bodies.stature * self.bodies.girth, (n, frames, people)).reshape(-1, people)
        fixed = ("table", "k", "image", "rotation", "translation")
        return Takes(
            points=points,
            size=np.pad(size, room, constant_values=np.nan),
            visibility=np.pad(self.visibility.reshape(-1, people, 17), (*room, (0, 0))),
            ball=self.ball.reshape(-1, 3),
            kind=(kind,) * (n * frames),
            sequence=(sequence,) * (n * frames),
            frame=frame,
            world=world.name,
            split=split,
            seed=seed,
            **{name: getattr(self, name).repeat(frames, 0) for name in fixed},
        )


def block(world: World, kinds: tuple[str, ...], rng: np.random.Generator, split: str, seed: int, start: int) -> Takes:
    """`world.block` takes: kinds and numbers of people equally often, each take drawn until it keeps the promises."""
    kind = rng.integers(len(kinds), size=world.block)
    people = rng.integers(world.people[0], world.people[1] + 1, size=world.block)
    people = np.clip(people, *np.array([SIZES.get(k, world.people) for k in kinds])[kind].T)
    parts, order, sequence = [], [], f"{split}-{seed}"
    for k, p in sorted(set(zip(kind.tolist(), people.tolist(), strict=True))):
        slots = np.flatnonzero((kind == k) & (people == p))
        for shots in _shots(world, kinds[k], p, rng, len(slots)):
            mine, slots = slots[: len(shots.k)], slots[len(shots.k) :]
            parts.append(shots.takes(world, split, seed, kinds[k], sequence, start + mine))
            order.append(mine)
    return join(parts).take(np.argsort(np.concatenate(order)))


def video(
    world: World, name: str, kind: str, people: int, rng: np.random.Generator, split: str, seed: int, frames: int
) -> Takes:
    """One take of `frames` frames."""
    shots = next(_shots(world, kind, people, rng, 1, frames))
    return shots.takes(world, split, seed, kind, name, np.arange(frames))


def _shots(
    world: World, kind: str, people: int, rng: np.random.Generator, count: int, frames: int = 1
) -> Iterator[Shots]:
    """Takes that keep the world's promises, `count` in all; those that do not are drawn anew."""
    while count > 0:
        n = min(count + count // 2 + 4, 64 if frames == 1 else 8)
        bodies = sample_body(rng, (n, 1, people))
        t = rng.uniform(0, 20, (n, 1)) + np.arange(frames) / world.rate
        act = PERFORMANCES[kind](Draw(rng, n), bodies, t)
        k, image, rotation, translation = _cameras(world, rng, act.points)
        points = _seen(act.points, rotation, translation)
        uv = project(points[..., :17, :], k[:, None, None, None])
        inside = ((uv >= 0) & (uv < image[:, None, None, None])).all(-1)
        keep = (points[..., 2] > 0.6 * world.depth[0]).all((1, 2, 3))
        keep &= (inside.mean((1, 3)) >= world.inside).all(1)
        if world.wanted is not None:
            keep &= world.wanted(uv, inside)
        keep = np.flatnonzero(keep)  # the dear tests come last
        keep = keep[_clear(bodies[keep], act.points[keep])]
        table = np.full((n, 4), np.nan) if act.table is None else act.table
        keep = keep[_spared(act.points[keep], table[keep])][:count]
        if len(keep):
            count -= len(keep)
            bodies, points, ball = bodies[keep], points[keep], _seen(act.ball, rotation, translation)[keep]
            see, camera = visibility(bodies, points, inside[keep]), (k, image, rotation, translation)
            yield Shots(bodies, points, ball, table[keep], *(v[keep] for v in camera), see)


def _seen(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """(n, ..., 3) of the floor frame in the camera's."""
    rows = points.reshape(len(points), math.prod(points.shape[1:-1]), 3)
    return (rows @ rotation.swapaxes(1, 2) + translation[:, None]).reshape(points.shape)


def _clear(bodies: Body, points: np.ndarray) -> np.ndarray:
    """(n,) whether in all frames nobody passes through anybody by more than `MAX_PENETRATION`."""
    good = np.ones(len(points), bool)
    low, high = points.min(-2), points.max(-2)  # the joints' boxes, (n, F, P, 3)
    skin = 0.06 * (bodies.stature * bodies.girth)[..., None]  # no capsule is thicker
    arms, rest = MAX_PENETRATION

    def depth(which: np.ndarray, a: int, b: int, contact: bool) -> np.ndarray:
        some, shape = bodies[which], points[which]
        return penetration(some[..., a], shape[..., a, :, :], some[..., b], shape[..., b, :, :], contact)

    for b in range(points.shape[2]):
        for a in range(b):
            room = (
                np.maximum(low[:, :, a] - high[:, :, b], low[:, :, b] - high[:, :, a]) - skin[:, :, a] - skin[:, :, b]
            )
            near = np.flatnonzero(good & (room < 0).all(-1).any(1))  # the others' boxes are apart
            found = depth(near, a, b, True)
            good[near] = (found <= arms).all(1)
            deep = near[good[near] & (found > rest).any(1)]  # which only arms may be
            good[deep] = (depth(deep, a, b, False) <= rest).all(1)
    return good


def _spared(points: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(n,) whether no bone passes through the table's top in any frame; points and table on the floor frame."""
    first, last = (points[..., [POINTS.index(c[i]) for c in CAPSULES], :] for i in (0, 1))
    x, z, radius, height = table.T[..., None, None, None]
    above, below = -height - first[..., 1], -height - last[..., 1]  # positive above the top
    share = above / np.where(above == below, 1.0, above - below)
    where = first + share[..., None] * (last - first)
    through = (above * below < 0) & (
        np.hypot(where[..., 0] - x, where[..., 2] - z) < radius
    )  # never where there is none
    return ~through.any((1, 2, 3))


def _cameras(world: World, rng: np.random.Generator, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """One camera a take: k, image size, rotation, translation."""
    n = len(points)
    if world.corners:
        which = rng.integers(len(world.corners), size=n)
        image = np.array(world.images)[which % len(world.images)]
        focal = np.linspace(*world.focal, len(world.corners))[which]
        x, z, height = np.array(world.corners)[which].T
        return _aimed(world, rng, image, focal, np.arctan2(-x, -z), np.hypot(x, z), height, np.zeros((n, 2)))
    image = np.array(world.images)[rng.integers(len(world.images), size=n)]
    focal = np.exp(rng.uniform(*np.log(world.focal), n))
    # Turn the group about its middle; either end of a pair may stand on the left.
    turn = rng.uniform(-world.pair_yaw, world.pair_yaw, n) + np.pi * rng.integers(2, size=n)
    roots = points[:, :, :, 14, ::2]  # (n, F, P, 2)
    middle = (roots.min((1, 2)) + roots.max((1, 2))) / 2
    c, s = np.cos(turn), np.sin(turn)
    gap = roots - middle[:, None, None]
    across = np.abs(c[:, None, None] * gap[..., 0] + s[:, None, None] * gap[..., 1]).max((1, 2))
    deep = np.abs(c[:, None, None] * gap[..., 1] - s[:, None, None] * gap[..., 0]).max((1, 2))
    # Far enough off to hold the people in the picture, in height and in width.
    least = np.maximum(world.depth[0] + deep, world.fit * 2150 * focal / image[:, 1])
    least = np.minimum(np.maximum(least, world.fit * (2 * across + 900) * focal / image[:, 0]), world.depth[1])
    depth = least + (world.depth[1] - least) * rng.random(n) ** 1.5
    return _aimed(world, rng, image, focal, turn, depth, rng.uniform(*world.height, n), middle)


def _aimed(
    world: World,
    rng: np.random.Generator,
    image: np.ndarray,
    focal: np.ndarray,
    turn: np.ndarray,
    depth: np.ndarray,
    height: np.ndarray,
    middle: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Cameras `height` above the floor that look, more or less, at what stands `depth` off at `middle`, turned."""
    n, c, s = len(focal), np.cos(turn), np.sin(turn)
    pitch = np.arctan2(height - CHEST, depth) + rng.normal(0, world.tilt, n)
    pan = rng.normal(0, world.pan, n) * image[:, 0] / focal
    zero, one = np.zeros(n), np.ones(n)

    def matrix(*rows: np.ndarray) -> np.ndarray:
        return np.stack(rows, -1).reshape(n, 3, 3)

    place = np.stack([zero, height, depth], -1)  # of the middle's floor below and before the camera
    around = matrix(c, zero, s, zero, one, zero, -s, zero, c)
    aside = matrix(np.cos(pan), zero, np.sin(pan), zero, one, zero, -np.sin(pan), zero, np.cos(pan))
    down = matrix(one, zero, zero, zero, np.cos(pitch), -np.sin(pitch), zero, np.sin(pitch), np.cos(pitch))
    look = down @ aside
    rotation = look @ around
    origin = np.stack([middle[:, 0], zero, middle[:, 1]], -1)
    translation = (look @ place[..., None] - rotation @ origin[..., None])[..., 0]
    k = np.stack([focal, focal, image[:, 0] / 2, image[:, 1] / 2], -1)
    return k, image, rotation, translation
