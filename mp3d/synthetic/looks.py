"""How a synthetic world looks: clothes, faces, hair, rooms, streets, things that stand about, light.

`dress` turns bare skeletons into solids with paint, and draws all chance of a picture on the CPU with numpy, so that a
picture is the same whatever draws it. Lengths are metres here and in `render`, for the sake of float32.

Left and right are never told by colour: a person's paint is its own mirror image in their midplane (sleeves, trousers,
shoes, face and hair alike; the print on a chest is symmetric). What tells left from right is what does so on people:
where the face, the chest and the toes are, and how knees and elbows bend.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mp3d.synthetic.body import CAPSULES, POINTS, skin
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import WORLDS

NOSE, HAIR, PROP = len(CAPSULES), len(CAPSULES) + 1, len(CAPSULES) + 2
"""Parts beside the capsules of the body: a nose, long hair, and what is no person."""

TEXELS = 64


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Arrays with a common first axis."""

    def to(self, device: torch.device | str) -> "_Arrays":
        """As tensors on a device: float32 and int64."""
        kinds = {"f": np.float32, "i": np.int64, "b": np.bool_}
        made = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{n: torch.from_numpy(v.astype(kinds[v.dtype.kind])).to(device) for n, v in made.items()})


@dataclass(frozen=True, eq=False)
class Capsules(_Arrays):
    """Everything round, of all pictures in one list.

    Parameters
    ----------
    picture, owner, part : which picture, which person (-1: a thing), which of `body.CAPSULES`, `NOSE`, `HAIR` or `PROP`
    first, last : (N, 3) m, camera frame
    radius : (N,) m
    frame : (N, 4, 3) origin and the axes right, down, forward in which its paint lies, m
    paint, below : (N,) rows of the paint table: above and below `limit`
    limit : (N,) m along `down`; where a sleeve, a shirt or a pair of shorts ends
    """

    picture: np.ndarray | Tensor
    owner: np.ndarray | Tensor
    part: np.ndarray | Tensor
    first: np.ndarray | Tensor
    last: np.ndarray | Tensor
    radius: np.ndarray | Tensor
    frame: np.ndarray | Tensor
    paint: np.ndarray | Tensor
    below: np.ndarray | Tensor
    limit: np.ndarray | Tensor


@dataclass(frozen=True, eq=False)
class Boxes(_Arrays):
    """Everything square: centre (m) and the rows of `axes` in the camera frame, half sizes along these (m), paint."""

    picture: np.ndarray | Tensor
    centre: np.ndarray | Tensor
    axes: np.ndarray | Tensor
    half: np.ndarray | Tensor
    paint: np.ndarray | Tensor


@dataclass(frozen=True, eq=False)
class Paints(_Arrays):
    """Two colours (0 to 1) and a pattern between them that repeats every `scale` m."""

    pattern: np.ndarray | Tensor
    scale: np.ndarray | Tensor
    one: np.ndarray | Tensor
    two: np.ndarray | Tensor


@dataclass(frozen=True, eq=False)
class Places(_Arrays):
    """Where it is, a row a picture: a box seen from inside, its light, and what the camera does to the picture.

    Parameters
    ----------
    low, high : (B, 3) m, corners in the world frame (y down, floor at 0); `high` of y is 0
    rotation, translation : world to camera, m
    floor, wall, ceiling : rows of the paint table
    skyline : m; out of doors the walls end here, and the sky begins
    sky : (B, 2, 3) colours at the horizon and above
    light : (B, 3) direction to the light, world frame
    ambient, direct, shade : strengths; `shade` is how dark a shadow is
    softness : m, the width of a shadow's edge
    gain : (B, 3) exposure and tint
    contrast, blur, noise : gain about a middle grey; standard deviations, in px of 128 columns (at most 0.75 px of the
        picture) and of 0 to 1
    """

    low: np.ndarray | Tensor
    high: np.ndarray | Tensor
    rotation: np.ndarray | Tensor
    translation: np.ndarray | Tensor
    floor: np.ndarray | Tensor
    wall: np.ndarray | Tensor
    ceiling: np.ndarray | Tensor
    skyline: np.ndarray | Tensor
    sky: np.ndarray | Tensor
    light: np.ndarray | Tensor
    ambient: np.ndarray | Tensor
    direct: np.ndarray | Tensor
    shade: np.ndarray | Tensor
    softness: np.ndarray | Tensor
    gain: np.ndarray | Tensor
    contrast: np.ndarray | Tensor
    blur: np.ndarray | Tensor
    noise: np.ndarray | Tensor


@dataclass(frozen=True, eq=False)
class Set:
    """All that is drawn."""

    capsules: Capsules
    boxes: Boxes
    paints: Paints
    places: Places

    def to(self, device: torch.device | str) -> "Set":
        """As tensors on a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


# ----------------------------------------------------------------------------------------- patterns

PATTERNS = (
    "plain",
    "clouds",
    "fine",
    "grain",
    "stripes",
    "hoops",
    "checks",
    "dots",
    "planks",
    "bricks",
    "tiles",
    "print",
)
PRINT = PATTERNS.index("print")


def _rows(names: str) -> list[int]:
    return [PATTERNS.index(name) for name in names.split()]


_CLOTH = _rows("plain plain plain clouds fine stripes hoops checks dots print")
_TROUSERS = _rows("plain plain plain clouds fine checks")
_THINGS = _rows("plain clouds fine stripes planks")
_FLOORS = {True: _rows("planks tiles fine clouds"), False: _rows("clouds fine grain tiles")}
_WALLS = {True: _rows("plain clouds stripes bricks grain"), False: _rows("bricks tiles clouds grain planks")}
"""Indoors, and out of doors."""


def patterns() -> Float[np.ndarray, "patterns 64 64"]:
    """The bank of patterns, (row, column), 0 to 1, each continuing itself; drawn with a seed of its own."""
    rng, n = np.random.default_rng(20201), TEXELS
    row, column = np.mgrid[:n, :n]

    def noise(*octaves: int) -> np.ndarray:
        total = np.zeros((n, n))
        for size in octaves:  # bilinear on a torus
            lattice = rng.random((size, size))
            at = np.arange(n) * size / n
            i, f = at.astype(int), at % 1
            f = f * f * (3 - 2 * f)
            up, down = lattice[i], lattice[(i + 1) % size]
            mix = up * (1 - f)[:, None] + down * f[:, None]
            total += (mix[:, i] * (1 - f) + mix[:, (i + 1) % size] * f) / size**0.5
        low, high = total.min(), total.max()
        return (total - low) / (high - low)

    grout = lambda gap, line: (row % gap < line) | (column % gap < line)  # noqa: E731
    shifted = column + n // 4 * (row // (n // 8) % 2)
    bank = [
        np.zeros((n, n)),
        noise(2, 4, 8),
        noise(16, 32),
        noise(4, 16, 64),
        (column % 16 < 8) * 1.0,
        (row % 16 < 8) * 1.0,
        ((row // 8 + column // 8) % 2) * 1.0,
        (((row % 16) - 8) ** 2 + ((column % 16) - 8) ** 2 < 20) * 1.0,
        0.75 * (row % 16 < 1) + 0.25 * noise(2, 32) + 0.0 * column,
        0.8 * ((row % (n // 8) < 1) | (shifted % (n // 2) < 1)) + 0.2 * noise(8, 32),
        0.8 * grout(n // 4, 2) + 0.2 * noise(4, 16),
        ((np.abs(row - 18) < 12) & (np.minimum(column, n - column) < 14)) * 1.0,  # on the midline, at the chest
    ]
    return np.stack(bank)


# -------------------------------------------------------------------------------------------- people

_SKIN = np.array([[0.95, 0.78, 0.68], [0.87, 0.67, 0.53], [0.72, 0.50, 0.36], [0.52, 0.34, 0.24], [0.34, 0.22, 0.16]])
_HAIR = np.array([[0.08, 0.06, 0.05], [0.22, 0.14, 0.08], [0.45, 0.30, 0.15], [0.78, 0.65, 0.40], [0.55, 0.52, 0.50]])
_TRUNK = [
    i
    for i, (a, b, _) in enumerate(CAPSULES)
    if {a, b} <= {"r_shoulder", "l_shoulder", "r_hip", "l_hip", "neck", "pelvis"}
]
_THROAT = [(a, b) for a, b, _ in CAPSULES].index(("neck", "head"))
_SKULL = [b for _, b, _ in CAPSULES].index("head_top")


def _part(name: str) -> list[int]:
    """The capsules, right and left, whose second end is this joint."""
    return [i for i, (_, b, _) in enumerate(CAPSULES) if b in (f"r_{name}", f"l_{name}")]


def _at(points: np.ndarray, name: str) -> np.ndarray:
    return points[..., POINTS.index(name), :]


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _axes(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(..., 3, 3) right, down, forward: right is made upright on down."""
    down = _unit(down)
    right = _unit(right - (right * down).sum(-1, keepdims=True) * down)
    return np.stack([right, down, np.cross(right, down)], -2)


def _bright(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 3) colours, from grey to vivid, from dark to light."""
    hue, vivid, value = rng.random((n, 1)), rng.random((n, 1)) ** 1.5, rng.uniform(0.08, 0.98, (n, 1))
    wheel = np.clip(np.abs((hue * 6 + np.array([0.0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return value * (1 - vivid * (1 - wheel))


def _muted(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 3) colours of walls and floors: light, a fifth as vivid."""
    value = rng.uniform(0.3, 1.0, (n, 1))
    return value * (0.8 + 0.2 * _bright(rng, n))


def _people(rng: np.random.Generator, takes: Takes) -> tuple[Capsules, Paints]:
    """Everybody's capsules, six paints a person: shirt, trousers, skin, hair, shoes, and the face."""
    picture, person = np.nonzero(np.isfinite(takes.size))
    points, size = takes.points[picture, person] / 1000, takes.size[picture, person] / 1000
    n = len(size)
    first, last, radius = skin(points, size)

    right = _at(points, "r_shoulder") - _at(points, "l_shoulder")
    torso = _axes(_at(points, "pelvis") - _at(points, "neck"), right)
    # The face looks where the nose is.
    crown = _at(points, "head_top") - _at(points, "head")
    up = _unit(crown)
    ahead = _at(points, "nose") - _at(points, "head")
    ahead = _unit(ahead - (ahead * up).sum(-1, keepdims=True) * up)
    head = np.stack([np.cross(-up, ahead), -up, ahead], -2)
    middle = _at(points, "head") + 0.35 * crown  # at the height of the nose

    frame = np.empty((n, len(CAPSULES) + 2, 4, 3))
    frame[:, :, 0] = np.concatenate([first, middle[:, None], middle[:, None]], 1)
    for i in range(len(CAPSULES)):
        frame[:, i, 1:] = _axes(last[:, i] - first[:, i], torso[:, 0])
    frame[:, _TRUNK, 0], frame[:, _TRUNK, 1:] = _at(points, "neck")[:, None], torso[:, None]
    frame[:, _SKULL, 0] = middle
    frame[:, [_SKULL, NOSE, HAIR], 1:] = head[:, None]

    broad = radius[:, _SKULL, None]
    nose = _at(points, "nose")
    long = rng.random(n) < 0.4
    back = middle - 0.45 * broad * ahead  # the hair falls from behind the skull to behind the neck
    tip = back - up * broad * rng.uniform(0.8, 2.2, (n, 1)) - 0.15 * broad * ahead
    extra = [nose, np.where(long[:, None], back, np.nan)], [nose - 0.2 * broad * up, tip]
    first = np.concatenate([first, np.stack(extra[0], 1)], 1)
    last = np.concatenate([last, np.stack(extra[1], 1)], 1)
    radius = np.concatenate([radius, 0.2 * broad, 0.78 * broad], 1)

    shirt, trousers, bare, hair, shoes = (np.arange(n) * 5 + i for i in range(5))
    paint = np.repeat(shirt[:, None], len(CAPSULES) + 2, 1)
    below, limit = np.repeat(bare[:, None], len(CAPSULES) + 2, 1), np.full(paint.shape, np.inf)
    waist = np.linalg.norm(_at(points, "pelvis") - _at(points, "neck"), axis=-1)
    below[:, _TRUNK], limit[:, _TRUNK] = trousers[:, None], (waist * rng.uniform(0.72, 1.05, n))[:, None]

    def length(part: int) -> np.ndarray:
        return np.linalg.norm(last[:, part] - first[:, part], axis=-1)

    arm, fore = _part("elbow"), _part("wrist")
    sleeve = rng.choice([0.1, 0.55, 9.0, 9.0], n)  # none, short, long
    limit[:, arm] = (sleeve * length(arm[0]))[:, None]
    paint[:, fore] = np.where(sleeve > 1, shirt, bare)[:, None]
    thigh, shank = _part("knee"), _part("ankle")
    leg = rng.choice([0.5, 0.85, 9.0, 9.0, 9.0], n)  # shorts of two lengths, trousers
    paint[:, thigh], limit[:, thigh] = trousers[:, None], (leg * length(thigh[0]))[:, None]
    paint[:, shank] = np.where(leg > 1, trousers, bare)[:, None]
    paint[:, _part("hand")], paint[:, _part("toe")] = bare[:, None], shoes[:, None]
    paint[:, [_THROAT, NOSE]] = bare[:, None]
    # The skull: skin where the face is, else hair (`below`), or skin where there is none.
    bald = rng.random(n) < 0.08
    paint[:, _SKULL], below[:, _SKULL] = bare, np.where(bald, bare, hair)
    paint[:, HAIR] = np.where(bald, bare, hair)

    tone = rng.random((n, 1)) * (len(_SKIN) - 1.001)
    low = tone.astype(int)[:, 0]
    flesh = _SKIN[low] * (1 - tone % 1) + _SKIN[low + 1] * (tone % 1)
    locks = _HAIR[rng.integers(len(_HAIR), size=n)] * rng.uniform(0.8, 1.2, (n, 1))
    cloth, other = (_bright(rng, 2 * n).reshape(n, 2, 3) for _ in range(2))
    sole = _bright(rng, n) * 0.6
    one = np.stack([cloth[:, 0], cloth[:, 1], flesh, locks, sole], 1)
    two = np.stack([other[:, 0], cloth[:, 1] * 0.75, flesh * 0.9, locks * 0.7, sole], 1)
    pattern = np.zeros((n, 5), int)
    pattern[:, 0], pattern[:, 1] = rng.choice(_CLOTH, n), rng.choice(_TROUSERS, n)
    pattern[:, 2:4] = PATTERNS.index("fine")
    scale = np.tile([0.0, 0.5, 0.4, 0.1, 1.0], (n, 1))
    scale[:, 0] = np.where(pattern[:, 0] == PRINT, 1.4, rng.uniform(0.25, 0.8, n))

    def flat(v: np.ndarray) -> np.ndarray:
        return v.reshape(-1, *v.shape[2:])

    parts = np.broadcast_to(np.arange(paint.shape[1]), paint.shape)
    row = lambda v: np.broadcast_to(v[:, None], paint.shape)  # noqa: E731
    everything = (row(picture), row(person), parts, first, last, radius, frame, paint, below, limit)
    made = Capsules(*map(flat, everything))
    return _only(made, np.isfinite(made.first).all(-1)), Paints(*map(flat, (pattern, scale, one, np.clip(two, 0, 1))))


def _only(some: Capsules | Boxes, keep: np.ndarray) -> Capsules | Boxes:
    return type(some)(**{f.name: getattr(some, f.name)[keep] for f in fields(some)})


# -------------------------------------------------------------------------------------------- places


def _stools(takes: Takes, to_camera: Callable) -> tuple[np.ndarray, ...]:
    """A stool under everybody who sits: both thighs lie, and nearly level."""
    world = np.einsum("nji,npkj->npki", takes.rotation, takes.points - takes.translation[:, None, None]) / 1000
    thigh = world[:, :, [9, 12]] - world[:, :, [8, 11]]
    level = np.abs(thigh[..., 1]) < 0.5 * np.linalg.norm(thigh, axis=-1)
    i, p = np.nonzero(level.all(-1))
    seat = world[i, p, 14]
    height = -seat[:, 1] - 0.06 * takes.size[i, p] / 1000
    i, seat, height = (a[height > 0.15] for a in (i, seat, height))
    side = np.full_like(height, 0.17)
    half = np.stack([side, height / 2, side], -1)
    return i, to_camera(i, seat * [1, 0, 1] - half * [0, 1, 0]), takes.rotation[i].swapaxes(1, 2), half


def _props(rng: np.random.Generator, takes: Takes, paint: int) -> tuple[Capsules, Boxes, Paints]:
    """Posts, crates and screens about the people and before them, the table and the ball where a take has one."""
    n, each = len(takes), 3
    camera = -np.einsum("nji,nj->ni", takes.rotation, takes.translation) / 1000
    standing = np.isfinite(takes.size)
    roots = np.einsum("nji,npj->npi", takes.rotation, takes.points[:, :, 14] - takes.translation[:, None]) / 1000
    who = np.array([rng.choice(np.flatnonzero(s)) if s.any() else -1 for s in standing])
    goal = np.where((who >= 0)[:, None], roots[np.arange(n), who], camera + [0.0, 0, 6])
    # Between the camera and somebody, or beside and behind them.
    share = rng.uniform(0.35, 1.5, (n, each))
    place = camera[:, None] + share[..., None] * (goal - camera)[:, None]
    place[..., [0, 2]] += rng.normal(0, 0.7, (n, each, 2)) * (1 + (share > 0.9))[..., None]
    near = np.linalg.norm((place - camera[:, None])[..., [0, 2]], axis=-1)
    gap = np.linalg.norm((place[:, :, None] - roots[:, None])[..., [0, 2]], axis=-1)
    room = np.nan_to_num(gap, nan=np.inf).min(-1, initial=np.inf)
    there = (rng.random((n, each)) < 0.4) & (near > 2.2) & (room > 0.65)
    kind = rng.integers(3, size=(n, each))  # a post, a crate, a screen
    tall = np.where(kind == 0, rng.uniform(1.0, 3.0, kind.shape), rng.uniform(0.35, 1.0, kind.shape))
    place[..., 1] = 0
    yaw = rng.uniform(0, np.pi, (n, each))
    half = np.stack([rng.uniform(0.15, 0.45, kind.shape), tall / 2, rng.uniform(0.15, 0.4, kind.shape)], -1)
    half[..., 2] = np.where(kind == 2, 0.03, half[..., 2])

    def to_camera(picture: np.ndarray, world: np.ndarray) -> np.ndarray:
        return np.einsum("nij,nj->ni", takes.rotation[picture], world) + takes.translation[picture] / 1000

    i, j = np.nonzero(there & (kind == 0))
    foot = place[i, j]
    posts = [
        (i, to_camera(i, foot), to_camera(i, foot - tall[i, j, None] * [0, 1, 0]), rng.uniform(0.03, 0.12, len(i)))
    ]
    i, j = np.nonzero(there & (kind > 0))
    centre, c, s, zero = place[i, j] - half[i, j] * [0, 1, 0], np.cos(yaw[i, j]), np.sin(yaw[i, j]), np.zeros(len(i))
    turned = np.stack([c, zero, s, zero, zero + 1, zero, -s, zero, c], -1).reshape(-1, 3, 3)
    crates = [(i, to_camera(i, centre), turned @ takes.rotation[i].swapaxes(1, 2), half[i, j])]

    crates.append(_stools(takes, to_camera))
    i = np.flatnonzero(np.isfinite(takes.table[:, 0]))
    x, z, reach, height = (takes.table[i] / 1000).T
    if len(i):  # a square top, as large as the round one that people stand about, and one leg
        reach = 0.85 * reach
        top = np.stack([x, -height + 0.02, z], -1)
        crates.append(
            (i, to_camera(i, top), takes.rotation[i].swapaxes(1, 2), np.stack([reach, 0 * x + 0.02, reach], -1))
        )
        foot = np.stack([x, 0 * x, z], -1)
        posts.append((i, to_camera(i, foot), to_camera(i, top + [0, 0.1, 0]), np.full(len(i), 0.06)))
    i = np.flatnonzero(np.isfinite(takes.ball[:, 0]))
    posts.append((i, takes.ball[i] / 1000, takes.ball[i] / 1000, np.full(len(i), 0.11)))

    picture, first, last, radius = (np.concatenate(column) for column in zip(*posts, strict=True))
    boxes = [np.concatenate(column) for column in zip(*crates, strict=True)]
    m, b = len(picture), len(boxes[0])
    frame = np.concatenate([first[:, None], np.broadcast_to(np.eye(3), (m, 3, 3))], 1)
    thing = np.full(m, PROP)
    row = paint + np.arange(m)
    capsules = Capsules(picture, 0 * thing - 1, thing, first, last, radius, frame, row, row, np.full(m, np.inf))
    paints = Paints(rng.choice(_THINGS, m + b), rng.uniform(0.3, 1.2, m + b), _bright(rng, m + b), _bright(rng, m + b))
    return capsules, Boxes(*boxes, paint + m + np.arange(b)), paints


def _places(rng: np.random.Generator, takes: Takes, paint: int) -> tuple[Places, Paints]:
    """A room or the open, three paints each (floor, wall, ceiling), light and the camera's faults."""
    n = len(takes)
    indoors = rng.random(n) < WORLDS[takes.world].indoors
    camera = -np.einsum("nji,nj->ni", takes.rotation, takes.translation) / 1000
    world = np.einsum("nji,npkj->npki", takes.rotation, takes.points - takes.translation[:, None, None]) / 1000
    low, high = (
        np.fmin(np.nan_to_num(world, nan=np.inf).min((1, 2), initial=np.inf), camera) - 0.3,
        np.fmax(np.nan_to_num(world, nan=-np.inf).max((1, 2), initial=-np.inf), camera) + 0.3,
    )
    margin = np.where(indoors[:, None], rng.uniform(0.3, 3.0, (n, 3)), rng.uniform(5, 40, (n, 3)))
    low, high = low - margin, high + margin
    low[:, 1] = np.minimum(low[:, 1], np.where(indoors, -rng.uniform(2.4, 4.0, n), -60))
    high[:, 1] = 0
    rows = paint + np.arange(3 * n).reshape(n, 3)
    pattern = np.stack(
        [[rng.choice(_FLOORS[i]) for i in indoors], [rng.choice(_WALLS[i]) for i in indoors], np.zeros(n)], -1
    ).astype(int)
    scale = np.stack([rng.uniform(0.8, 3, n), rng.uniform(1, 4, n), np.ones(n)], -1) * np.where(indoors, 1, 2)[:, None]
    one = 0.2 + 0.75 * _muted(rng, 3 * n)
    grass = rng.random(n) < 0.4 * ~indoors
    one.reshape(n, 3, 3)[grass, 0] = np.array([0.30, 0.42, 0.18]) * rng.uniform(0.7, 1.4, (int(grass.sum()), 1))
    one.reshape(n, 3, 3)[:, 2] = 0.85
    two = np.clip(one * rng.uniform(0.55, 1.35, (3 * n, 1)), 0, 1)
    paints = Paints(pattern.reshape(-1), scale.reshape(-1), np.clip(one, 0, 1), two)

    blue = rng.random((n, 1))
    horizon = blue * [0.75, 0.85, 0.95] + (1 - blue) * [0.85, 0.85, 0.85]
    zenith = blue * [0.30, 0.52, 0.85] + (1 - blue) * [0.70, 0.72, 0.75]
    turn, rise = rng.uniform(0, 2 * np.pi, n), np.where(indoors, rng.uniform(1.0, 1.5, n), rng.uniform(0.5, 1.3, n))
    light = np.stack([np.cos(turn) * np.cos(rise), -np.sin(rise), np.sin(turn) * np.cos(rise)], -1)
    overcast = rng.random(n) < 0.4
    direct = np.where(indoors | overcast, rng.uniform(0.2, 0.45, n), rng.uniform(0.45, 0.75, n))
    places = Places(
        low=low,
        high=high,
        rotation=takes.rotation,
        translation=takes.translation / 1000,
        floor=rows[:, 0],
        wall=rows[:, 1],
        ceiling=rows[:, 2],
        skyline=np.where(indoors, np.inf, rng.uniform(0.5, 12, n)),
        sky=np.stack([horizon, zenith], 1) * rng.uniform(0.8, 1.05, (n, 1, 1)),
        light=light,
        ambient=1.05 - direct,
        direct=direct,
        shade=np.where(overcast, 0.2, direct),
        softness=np.where(indoors | overcast, 0.15, 0.02) * rng.uniform(0.5, 1.5, n),
        gain=np.exp(rng.normal(0, 0.16, (n, 1)) + rng.normal(0, 0.05, (n, 3))),
        contrast=np.exp(rng.normal(0, 0.12, n)),
        blur=rng.uniform(0.3, 0.9, n),
        noise=rng.uniform(0.005, 0.03, n),
    )
    return places, paints


def dress(takes: Takes, seed: int) -> Set:
    """Paint, things, places and light for each take; the same for the same seed, on every device."""
    rng = np.random.default_rng([seed, 41])
    people, cloth = _people(rng, takes)
    things, boxes, wood = _props(rng, takes, len(cloth.pattern))
    places, walls = _places(rng, takes, len(cloth.pattern) + len(wood.pattern))

    def joined(*parts):
        return type(parts[0])(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(parts[0])})

    return Set(joined(people, things), boxes, joined(cloth, wood, walls), places)
