"""Worlds: who meets where before which camera. Seeded streams of scenes and of short sequences.

The same call gives the same bytes. A stream is drawn in blocks with a seed of their own each, so a shorter call is
the beginning of a longer one, and any part of it can be had without what comes before; splits never share a random
stream. Nobody passes through anybody by more than
`MAX_PENETRATION`: 90 mm where lower arms meet (the capsules overlap when wrists touch), 30 mm anywhere else. Hands
that shake come within 30 mm of each other, but for about 1 frame in 1,000, in which a joint limit holds an arm back
(tests/synthetic/test_interactions.py measures it).

Splits:

- train, test: alike, of different random streams.
- fov: as test, but every focal length and every distance is s times as large, s = 1.1 times the world's largest focal
  length over its smallest, and at least 1.5. So all fields of view are narrower than any in training, pictures look
  much as in training, and everybody is s times as far off.
- overlap: in every scene the tight boxes of two people have an intersection over union above 0.3. Pairs may stand one
  behind the other, and cameras 1.5 m high.
- border: in every scene the border cuts somebody: some of their joints are in the image, at least a quarter is not.
  Everybody has a joint in the image. Cameras look past the group.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from zlib import crc32

import numpy as np

from mp3d.errors import BadInput
from mp3d.scene import Scene
from mp3d.synthetic import shots, street
from mp3d.synthetic.gatherings import ALONE, GATHERINGS
from mp3d.synthetic.interactions import INTERACTIONS
from mp3d.synthetic.shots import CHEST, MAX_PENETRATION, World
from mp3d.synthetic.takes import Takes, join, largest_iou

__all__ = ["DUET", "KINDS", "MAX_PENETRATION", "SOLO", "SPLITS", "STREET", "STUDIO", "WORLDS", "Takes", "World"]
__all__ += ["films", "scenes", "sequences", "takes"]

KINDS: tuple[str, ...] = tuple(INTERACTIONS)
"""What people do in `duet`."""
SPLITS = ("train", "test", "fov", "overlap", "border")
MIN_IOU, MAX_INSIDE, SHIFT = 0.3, 0.75, 1.5
"""Of the splits: two boxes' overlap, the part of somebody's joints in the image, the focal length's factor."""

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
    indoors=0.5,
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
people's. `synthetic.mupots` takes it from TDBU's published estimates of MuPoTS-3D instead, where they are at hand.
"""

STUDIO = World(
    name="studio",
    people=(3, 8),
    kinds=(*GATHERINGS, "talk", "pass_ball", "mirrored_dance", "handshake", "high_five", "apart"),
    focal=(1390.0, 1870.0),
    images=((1920, 1080),),
    height=(2500.0, 4000.0),
    depth=(1500.0, 3700.0),
    pair_yaw=math.pi,
    inside=0.3,
    fit=0.5,
    pan=0.15,
    tilt=math.radians(5),
    indoors=1.0,
    videos=(
        ("P1", "haggling", 3),
        ("P2", "haggling", 3),
        ("P3", "mafia", 8),
        ("P4", "mafia", 6),
        ("P5", "ultimatum", 7),
        ("P6", "ultimatum", 5),
        ("P7", "pizza", 6),
        ("P8", "pizza", 4),
        ("P9", "mirrored_dance", 4),
        ("P10", "pass_ball", 4),
        ("P11", "apart", 7),
        ("P12", "talk", 6),
    ),
)
"""Mirrors CMU Panoptic: three to eight people in a domed room of 5 m, seen from above.

Kept: the number of people, HD images and focal lengths, cameras at 2.5 to 4 m that look down into the middle, people
who stand, sit, talk and play close together, much occlusion, people cut by the image's border. Of the social games:
three who stand and haggle, a circle that accuses in turn (Mafia), two rows or a ring seated round a table (Ultimatum),
people who stand round a table, reach for something and eat (Pizza). Not kept: the games' rules, roles and talk, chairs,
things on the table and in the hands, instruments, the lens's distortion, the calibrated set of 31 cameras (here
each scene has one of its own), Panoptic's joints (19, hips 200 mm apart) and its missing ones. Tables are round, and
`Takes.visibility` does not know of them: a renderer does.
"""

SOLO = World(
    name="solo",
    people=(1, 1),
    kinds=tuple(ALONE),
    focal=(1143.0, 1150.0),
    images=((1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002)),
    height=(1450.0, 1600.0),
    depth=(3000.0, 6000.0),
    pair_yaw=0.0,
    inside=0.9,
    pan=0.0,
    tilt=0.0,
    corners=(
        (2000.0, 4100.0, 1450.0),
        (-1900.0, 4200.0, 1500.0),
        (2100.0, -4000.0, 1550.0),
        (-2000.0, -4150.0, 1600.0),
    ),
    indoors=1.0,
    videos=tuple((f"S{i}", kind, 1) for i, kind in enumerate(ALONE, 1)),
)
"""Mirrors Human3.6M: one person in a room with four fixed cameras.

Kept: four cameras at the room's corners, at chest to eye height, always the same ones; images of 1000 x 1000 and
1000 x 1002 px, focal lengths of about 1145 px; a person who stands, talks, waves, reaches, kicks, sits, walks or
dances 3 to 6 m away, anywhere in the middle of the room and turned any way. Not kept: the lenses' distortion, a
calibration of anybody's, principal points off the middle, the fifteen actions and their props, chairs, the eleven
actors (here everyone is new), 50 frames a second.
"""

STREET = World(
    name="street",
    people=(0, 60),
    kinds=tuple(street.KINDS),
    focal=(1158.0, 1158.0),
    images=((1920, 1080),),
    height=(1500.0, 6000.0),
    depth=(3000.0, 100000.0),
    pair_yaw=math.pi,
    inside=0.5,
    tilt=math.radians(3),
    indoors=0.0,
    videos=(
        ("C1", "passing", 8),
        ("C2", "gathered", 12),
        ("C3", "mixed", 21),
        ("C4", "passing", 30),
        ("C5", "gathered", 40),
        ("C6", "mixed", 60),
    ),
    crowd=True,
    block=64,
)
"""Mirrors JTA: up to 60 people, 21 on average, 3 to 100 m from a camera in a street.

Kept: the size of images and the focal length; the number of people; the shares of people within 10, 20, 30, 40 and
100 m (about); people who walk alone or in step, stand in groups and talk, sit; cameras 1.5 to 6 m high that look down
at somebody 8 to 40 m off; nobody passes through anybody. Not kept: houses, cars and trees, which in JTA hide many
people (here people alone hide people), slopes and stairs, cameras that move, people nearer than 3 m, running, JTA's 22
joints, 30 frames a second.
"""

WORLDS: dict[str, World] = {world.name: world for world in (DUET, STUDIO, STREET, SOLO)}


def takes(
    world: str, count: int, seed: int, split: str = "train", kinds: Iterable[str] | None = None, start: int = 0
) -> Takes:
    """The frames start ... start + count - 1 of a stream: each has its own people, kind, moment and camera.

    Parameters
    ----------
    world : a name in `WORLDS`
    kinds : only these of the world's kinds; all, equally often, if None
    start : any; what is drawn is whole blocks of `World.block` frames, of which the last four are remembered

    Raises
    ------
    BadInput
        for an unknown world, split or kind, or a negative count or start
    """
    place, kinds = _world(world, split), tuple(kinds) if kinds is not None else None
    chosen = place.kinds if kinds is None else kinds
    for kind in chosen:
        if kind not in place.kinds:
            raise BadInput("scenes", "kinds", repr(kind), "some of " + ", ".join(place.kinds))
    if min(count, start) < 0 or not chosen:
        raise BadInput("scenes", "count, start, kinds", (count, start, chosen), "count and start >= 0 and a kind")
    first = start - start % place.block
    parts = [_block(place, split, seed, chosen, at) for at in range(first, max(start + count, first + 1), place.block)]
    return join(parts)[start - first : start - first + count]


def scenes(
    world: str,
    count: int,
    seed: int,
    split: str = "train",
    kinds: Iterable[str] | None = None,
    start: int = 0,
) -> list[Scene]:
    """`takes` as scenes."""
    return takes(world, count, seed, split, kinds, start).scenes()


@lru_cache(maxsize=4)
def _block(place: World, split: str, seed: int, kinds: tuple[str, ...], start: int) -> Takes:
    return _source(place).block(place, kinds, _stream(place, split, "scenes", seed, start), split, seed, start)


def films(world: str, seed: int, split: str = "test", frames: int = 50) -> list[Takes]:
    """The world's videos: one kind of interaction each, the same people, a fixed camera, `World.rate` frames a second.

    Raises
    ------
    BadInput
        for an unknown world or split, or fewer than one frame
    """
    place = _world(world, split)
    if frames < 1:
        raise BadInput("sequences", "frames", frames, "at least 1")
    if place.wanted is not None:
        raise BadInput("sequences", "split", repr(split), "one of train, test, fov: the others are single frames")
    made = []
    for i, (name, kind, people) in enumerate(place.videos):
        rng = _stream(place, split, "sequences", seed, i)
        made.append(_source(place).video(place, name, kind, people, rng, split, seed, frames))
    return made


def sequences(world: str, seed: int, split: str = "test", frames: int = 50) -> list[list[Scene]]:
    """`films` as scenes."""
    return [film.scenes() for film in films(world, seed, split, frames)]


def _world(name: str, split: str) -> World:
    """The world as the split changes it."""
    if name not in WORLDS:
        raise BadInput("synthetic.worlds", "world", repr(name), "one of " + ", ".join(WORLDS))
    if split not in SPLITS:
        raise BadInput("synthetic.worlds", "split", repr(split), "one of " + ", ".join(SPLITS))
    world = WORLDS[name]
    if split == "fov":
        s = max(SHIFT, 1.1 * world.focal[1] / world.focal[0])
        corners = tuple((s * x, s * z, CHEST + s * (h - CHEST)) for x, z, h in world.corners)
        focal, depth = (tuple(s * value for value in pair) for pair in (world.focal, world.depth))
        height = tuple(CHEST + s * (value - CHEST) for value in world.height)  # cameras look down as steeply
        return replace(world, focal=focal, depth=depth, height=height, corners=corners)
    if split == "overlap":
        if world.people[1] < 2:
            raise BadInput("synthetic.worlds", "split", f"'overlap' of {name}", "a world of two people or more")
        height = min(world.height[0], 1500.0), world.height[1]  # from above, people rarely overlap
        return replace(world, pair_yaw=math.pi, height=height, wanted=_overlap)
    if split == "border":
        return replace(world, inside=0.0, pan=0.3, tilt=math.radians(8), wanted=_cut)
    return world


def _source(place: World) -> ModuleType:
    return street if place.crowd else shots


def _overlap(uv: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(n,) of joints in px (n, F, P, 17, 2): two people's boxes overlap in every frame."""
    return (largest_iou(uv) > MIN_IOU).all(-1)


def _cut(uv: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(n,) of what is inside the image (n, F, P, 17): the border cuts somebody in every frame, nobody is out of it."""
    share = inside.mean(-1)
    somebody = np.isfinite(uv).all((-1, -2))
    cut = ((share > 0) & (share <= MAX_INSIDE)).any(-1) & ((share > 0) | ~somebody).all(-1)
    return cut.all(-1)


def _stream(world: World, split: str, what: str, seed: int, index: int) -> np.random.Generator:
    """A random stream of its own for every world, split, purpose, seed and part."""
    purpose = crc32(f"{world.name}/{split}/{what}".encode())
    return np.random.default_rng([purpose, seed, index])
