"""Worlds: who meets where before which camera. Seeded streams of scenes and of short sequences.

The same call gives the same bytes. `scenes` draws in blocks with a seed of their own each, so a shorter call is
the beginning of a longer one; splits never share a random stream. Nobody passes through anybody by more than
`MAX_PENETRATION`: 90 mm where lower arms meet (the capsules overlap when wrists touch), 30 mm anywhere else. Hands
that shake come within 30 mm of each other, but for about 1 frame in 1,000, in which a joint limit holds an arm back
(tests/synthetic/test_interactions.py measures it).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from jaxtyping import Float

from mp3d.camera import Camera, project
from mp3d.errors import BadInput
from mp3d.scene import Person, Scene
from mp3d.skeletons import NATIVE
from mp3d.synthetic.body import Body, penetration, sample_body, visibility
from mp3d.synthetic.interactions import INTERACTIONS
from mp3d.synthetic.motion import Draw

KINDS: tuple[str, ...] = tuple(INTERACTIONS)
SPLITS = ("train", "test")
# How deep the capsules of two people may pass into one another, mm: lower arms that meet; everything else.
MAX_PENETRATION = 90.0, 30.0
_BLOCK = 256  # scenes drawn together


@dataclass(frozen=True)
class World:
    """What a world keeps of the real data it mirrors, in numbers.

    Parameters
    ----------
    people : smallest and largest number of people
    kinds : what they do
    focal : px, drawn evenly on a logarithmic scale, for an image of `images[0]`'s height
    images : (width, height) in px, one drawn for each scene
    height : of the camera above the floor, mm
    depth : of the group's centre from the camera, mm; at least what the picture needs to hold the people
    pair_yaw : largest angle between the line that joins a pair and the image plane, rad
    inside : the part of each person's joints that lies in the image at least, over a take
    videos : (name, kind, people) of each test sequence
    rate : frames a second
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
    rate: float = 12.5


DUET = World(
    name="duet",
    people=(2, 3),
    kinds=KINDS,
    focal=(1100.0, 2000.0),
    images=((2048, 2048), (1920, 1080), (1920, 1080), (1920, 1080)),
    height=(1000.0, 2000.0),
    depth=(2500.0, 7000.0),
    pair_yaw=math.radians(60),
    inside=0.9,
    videos=(
        ("D1", "handshake", 2),
        ("D2", "sparring", 2),  # MuPoTS-3D's TS2: taekwondo
        ("D3", "mirrored_dance", 2),
        ("D4", "talk", 2),
        ("D5", "high_five", 2),
        ("D6", "side_by_side", 2),
        ("D7", "pass_ball", 3),
        ("D8", "apart", 2),
        ("D9", "mirrored_dance", 2),
        ("D10", "sparring", 2),
        ("D11", "talk", 2),
        ("D12", "handshake", 2),
        ("D13", "side_by_side", 3),
        ("D14", "pass_ball", 3),  # TS14: a ball
        ("D15", "talk", 3),
        ("D16", "apart", 3),
        ("D17", "mirrored_dance", 3),
        ("D18", "high_five", 3),
        ("D19", "sparring", 3),
        ("D20", "pass_ball", 3),
    ),
)
"""Mirrors MuPoTS-3D: two or three people who do something together before a fixed camera.

Kept: 20 test videos, three people in D7 and D13 to D20, two in the others; image sizes; people within 2.5 to 7 m
and for the most part inside the image, seen from eye height, the pair mostly across the view as somebody who
films two people would stand; one kind of interaction a video; everyone's identity; occlusion by oneself and by
others. Not kept: pictures, clothes, furniture, ground that is not flat; MuPoTS's length (126 to 801 frames) and
its actors, who come back from video to video (here everyone is new); its height-normalised skeletons (here each
person has their own size); annotation errors. Motion is made by rules: it is smooth and purposeful, but poorer than
people's.
"""

STUDIO = World(
    name="studio",
    people=(3, 8),
    kinds=("talk", "pass_ball", "mirrored_dance", "handshake", "high_five", "apart"),
    focal=(1390.0, 1870.0),
    images=((1920, 1080),),
    height=(2500.0, 4000.0),
    depth=(2600.0, 4800.0),
    pair_yaw=math.pi,
    inside=0.6,
    videos=(
        ("P1", "talk", 3),
        ("P2", "talk", 6),
        ("P3", "talk", 8),
        ("P4", "apart", 5),
        ("P5", "apart", 7),
        ("P6", "pass_ball", 4),
        ("P7", "handshake", 5),
        ("P8", "mirrored_dance", 4),
    ),
)
"""Mirrors CMU Panoptic: three to eight people in a domed room of 5 m, seen from above.

Kept: the number of people, HD images and focal lengths, cameras at 2.5 to 4 m that look down into the middle, people
who stand, sit, talk and play close together, much occlusion, joints that fall out of the image. Not kept: the games'
rules (haggling, mafia, ultimatum), tables, instruments, the lens's distortion, the calibrated set of 31 cameras (here
each scene has one of its own), Panoptic's joints (19, hips 200 mm apart) and its missing ones.
"""

WORLDS: dict[str, World] = {world.name: world for world in (DUET, STUDIO)}


def scenes(world: str, count: int, seed: int, split: str = "train", kinds: Iterable[str] | None = None) -> list[Scene]:
    """Independent single frames: every scene has its own people, kind, moment and camera.

    Parameters
    ----------
    world : "duet" or "studio"
    kinds : only these of the world's kinds; all, equally often, if None

    Raises
    ------
    BadInput
        for an unknown world, split or kind, or a negative count
    """
    place, kinds = _world(world, split), tuple(kinds) if kinds is not None else None
    chosen = place.kinds if kinds is None else kinds
    for kind in chosen:
        if kind not in place.kinds:
            raise BadInput("scenes", "kinds", repr(kind), "some of " + ", ".join(place.kinds))
    if count < 0 or not chosen:
        raise BadInput("scenes", "count, kinds", (count, chosen), "a count >= 0 and a kind")
    made: list[Scene] = []
    while len(made) < count:
        made += _block(place, seed, split, chosen, start=len(made))
    return made[:count]


def _block(world: World, seed: int, split: str, kinds: tuple[str, ...], start: int) -> list[Scene]:
    rng = _stream(world, split, "scenes", seed, start)
    kind = rng.integers(len(kinds), size=_BLOCK)
    people = rng.integers(world.people[0], world.people[1] + 1, size=_BLOCK)
    made: dict[int, Scene] = {}
    for k, p in sorted(set(zip(kind.tolist(), people.tolist(), strict=True))):
        slots = np.flatnonzero((kind == k) & (people == p)).tolist()
        for shots in _shots(world, kinds[k], p, rng, len(slots)):
            for slot, i in zip(slots, range(len(shots.k)), strict=False):
                made[slot] = shots.scene(i, 0, world.name, f"{split}-{seed}", start + slot, kinds[k])
            slots = slots[len(shots.k) :]
    return [made[slot] for slot in range(_BLOCK)]


def sequences(world: str, seed: int, split: str = "test", frames: int = 50) -> list[list[Scene]]:
    """The world's videos: one kind of interaction each, the same people, a fixed camera, 12.5 frames a second.

    Raises
    ------
    BadInput
        for an unknown world or split, or fewer than one frame
    """
    place = _world(world, split)
    if frames < 1:
        raise BadInput("sequences", "frames", frames, "at least 1")
    made = []
    for i, (name, kind, people) in enumerate(place.videos):
        rng = _stream(place, split, "sequences", seed, i)
        shots = next(_shots(place, kind, people, rng, 1, frames))
        made.append([shots.scene(0, f, world, name, f, kind) for f in range(frames)])
    return made


def _world(name: str, split: str) -> World:
    if name not in WORLDS:
        raise BadInput("synthetic.worlds", "world", repr(name), "one of " + ", ".join(WORLDS))
    if split not in SPLITS:
        raise BadInput("synthetic.worlds", "split", repr(split), "one of " + ", ".join(SPLITS))
    return WORLDS[name]


def _stream(world: World, split: str, what: str, seed: int, index: int) -> np.random.Generator:
    """A random stream of its own for every world, split, purpose, seed and part."""
    purpose = crc32(f"{world.name}/{split}/{what}".encode())
    return np.random.default_rng([purpose, seed, index])


@dataclass(frozen=True, eq=False)
class Shots:
    """n takes of F frames with P people: what happens, and what the camera makes of it."""

    bodies: Body  # (n, 1, P)
    points: Float[np.ndarray, "n F P 22 3"]  # camera frame, mm; the MPI17 joints come first
    k: Float[np.ndarray, "n 4"]
    image: np.ndarray  # (n, 2) width, height
    rotation: Float[np.ndarray, "n 3 3"]
    translation: Float[np.ndarray, "n 3"]
    uv: Float[np.ndarray, "n F P 17 2"]
    visibility: np.ndarray  # (n, F, P, 17)

    def scene(self, i: int, f: int, world: str, sequence: str, frame: int, kind: str) -> Scene:
        """Frame `f` of take `i`."""
        fx, fy, cx, cy = self.k[i].tolist()
        size = self.image[i].tolist()
        camera = Camera(fx, fy, cx, cy, *size, self.rotation[i], self.translation[i])
        people = tuple(
            Person(self.points[i, f, p, :17], self.uv[i, f, p], self.visibility[i, f, p], _ALL, p)
            for p in range(self.points.shape[2])
        )
        return Scene(camera, people, world, sequence, frame, kind)


_ALL = np.full(17, NATIVE, np.uint8)


def _shots(
    world: World, kind: str, people: int, rng: np.random.Generator, count: int, frames: int = 1
) -> Iterator[Shots]:
    """Takes that keep the world's promises, `count` in all; those that do not are drawn anew."""
    while count > 0:
        n = min(count + count // 2 + 4, 64 if frames == 1 else 8)
        bodies = sample_body(rng, (n, 1, people))
        t = rng.uniform(0, 20, (n, 1)) + np.arange(frames) / world.rate
        act = INTERACTIONS[kind](Draw(rng, n), bodies, t)
        k, image, rotation, translation = _cameras(world, rng, act.points)
        shape = (n, frames, people, -1, 3)
        points = act.points.reshape(n, -1, 3) @ rotation.swapaxes(1, 2) + translation[:, None]
        points = points.reshape(shape)
        uv = project(points[..., :17, :], k[:, None, None, None])
        inside = ((uv >= 0) & (uv < image[:, None, None, None])).all(-1)
        keep = (points[..., 2] > 0.6 * world.depth[0]).all((1, 2, 3)) & _clear(bodies, act.points)
        keep &= (inside.mean((1, 3)) >= world.inside).all(1)
        keep = np.flatnonzero(keep)[:count]
        if len(keep):
            count -= len(keep)
            bodies, points, inside = bodies[keep], points[keep], inside[keep]
            seen = visibility(bodies, points, inside)
            yield Shots(bodies, points, k[keep], image[keep], rotation[keep], translation[keep], uv[keep], seen)


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


def _cameras(world: World, rng: np.random.Generator, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """One camera a take (k, image size, rotation, translation), the group turned and put before it."""
    n = len(points)
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
    least = np.maximum(world.depth[0] + deep, 2150 * focal / image[:, 1])
    least = np.minimum(np.maximum(least, (2 * across + 900) * focal / image[:, 0]), world.depth[1])
    depth = least + (world.depth[1] - least) * rng.random(n) ** 1.5
    height = rng.uniform(*world.height, n)
    pitch = np.arctan2(height - 930, depth) + rng.normal(0, np.deg2rad(1.2), n)
    pan = rng.normal(0, 0.05, n) * image[:, 0] / focal
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
