"""Crowds before one camera: the takes of `street`.

People come in groups of one to five that walk or stand. Groups are drawn, each with a place of its own, and put into
the scene one after the other, unless somebody in them would pass through somebody who is there already. All scenes of
a block are worked on together, their people in one long row.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int

from mp3d.camera import project
from mp3d.synthetic.body import Body, penetration, sample_body
from mp3d.synthetic.gatherings import ALONE
from mp3d.synthetic.interactions import INTERACTIONS, Actor, Performance, _mixed, _perform
from mp3d.synthetic.motion import Draw
from mp3d.synthetic.shots import CHEST, MAX_PENETRATION, World, _clear, _seen
from mp3d.synthetic.takes import Takes, join, takes_of

EDGES, SHARES = (3.0, 10.0, 20.0, 30.0, 40.0, 100.0), (0.10, 0.23, 0.21, 0.14, 0.31)
"""m from the camera; the shares of JTA's people between them, as ORPM-AE's sequel prints them."""
_DRAWN = (0.17, 0.22, 0.20, 0.13, 0.28)  # places near by are refused more often: by the border, and by who is there
_CROWD = 1.2, 2.2  # the number of people is a beta variable: 21 of 60 on average, as in JTA (PandaNet section 4.1)
_ROUNDS = 60  # after as many in vain there is no more room


def _alone(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Somebody who stands about, talks to the air, waves, reaches for something or sits."""
    body, weights = bodies[:, :, 0], {"stand": 0.5, "talk": 0.2, "wave": 0.1, "reach": 0.1, "sit": 0.1}
    actor = Actor(body, _mixed(draw, body, t, weights)[0], np.zeros(2), np.zeros(1))
    return _perform([actor], np.zeros(t.shape))


_GROUPS = ((_alone, 1), (ALONE["walking"], 1))
_GROUPS += tuple((INTERACTIONS["side_by_side"], size) for size in (2, 3))
_GROUPS += tuple((INTERACTIONS["talk"], size) for size in (2, 3, 4, 5))
_SIZES = np.array([size for _, size in _GROUPS])
KINDS = {
    "passing": (0.10, 0.55, 0.20, 0.10, 0.05, 0.0, 0.0, 0.0),
    "gathered": (0.25, 0.15, 0.05, 0.0, 0.20, 0.15, 0.10, 0.10),
    "mixed": (0.20, 0.35, 0.10, 0.05, 0.15, 0.05, 0.05, 0.05),
}
"""What most people in a street do: walk past, stand in groups, either; how often each of the groups above is drawn."""


def block(world: World, kinds: tuple[str, ...], rng: np.random.Generator, split: str, seed: int, start: int) -> Takes:
    """`world.block` takes, kinds equally often, each drawn until it keeps the promises."""
    kind, (low, high) = rng.integers(len(kinds), size=world.block), world.people
    slots, parts, order = np.arange(world.block), [], []
    while len(slots):
        people = low + np.rint((high - low) * rng.beta(*_CROWD, len(slots))).astype(int)
        names = tuple(kinds[k] for k in kind[slots])
        made, keep = _takes(world, names, people, rng, split, seed, (f"{split}-{seed}",) * len(slots), start + slots)
        parts.append(made)
        order.append(slots[keep])
        slots = np.delete(slots, keep)
    return join(parts).take(np.argsort(np.concatenate(order)))


def video(
    world: World, name: str, kind: str, people: int, rng: np.random.Generator, split: str, seed: int, frames: int
) -> Takes:
    """One take of `frames` frames."""
    return _takes(world, (kind,), np.array([people]), rng, split, seed, (name,) * frames, np.arange(frames), frames)[0]


def _takes(
    world: World,
    kinds: tuple[str, ...],
    people: np.ndarray,
    rng: np.random.Generator,
    split: str,
    seed: int,
    sequence: tuple[str, ...],
    frame: np.ndarray,
    frames: int = 1,
) -> tuple[Takes, np.ndarray]:
    """A take of `frames` frames for each of `kinds`, with so many people; those the split wants, and their numbers."""
    n, room = len(people), world.people[1]
    k, image, rotation, translation = _cameras(world, rng, n)
    crowd = _crowd(world, kinds, people, rng, k, image, rotation, translation, frames)
    # One row a person and frame; of each frame the people from the first place on.
    scene = (crowd.scene[:, None] * frames + np.arange(frames)).ravel()
    order = np.argsort(scene, kind="stable")
    scene, who = scene[order], order // frames
    place = np.arange(len(scene)) - np.searchsorted(scene, scene)
    points = np.full((n * frames, room, 22, 3), np.nan)
    points[scene, place] = _seen(crowd.points, rotation[crowd.scene], translation[crowd.scene]).reshape(-1, 22, 3)[
        order
    ]
    size = np.full((n * frames, room), np.nan)
    size[scene, place] = (crowd.body.stature * crowd.body.girth)[who]
    k, image, rotation, translation = (value.repeat(frames, 0) for value in (k, image, rotation, translation))
    keep = np.arange(n)
    if world.wanted is not None:
        uv = project(points[:, :, :17], k[:, None, None])
        inside = ((uv >= 0) & (uv < image[:, None, None])).all(-1)
        keep = np.flatnonzero(world.wanted(*(v.reshape(n, frames, *v.shape[1:]) for v in (uv, inside))))
    rows = (keep[:, None] * frames + np.arange(frames)).ravel()
    made = takes_of(
        points[rows],
        size[rows],
        k[rows],
        image[rows],
        rotation[rows],
        translation[rows],
        kind=tuple(kinds[i] for i in keep for _ in range(frames)),
        sequence=tuple(sequence[i] for i in rows),
        frame=frame[rows],
        world=world.name,
        split=split,
        seed=seed,
    )
    return made, keep


def _cameras(world: World, rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Cameras above the origin that look along z, and down at somebody 8 to 40 m off."""
    image = np.array(world.images)[rng.integers(len(world.images), size=n)]
    focal = rng.uniform(*world.focal, n)
    height = np.exp(rng.uniform(*np.log(world.height), n))
    far = np.exp(rng.uniform(np.log(8000), np.log(40000), n)) * world.depth[1] / (1000 * EDGES[-1])
    pitch = np.arctan2(height - CHEST, far) + rng.normal(0, world.tilt, n)
    zero, one, c, s = np.zeros(n), np.ones(n), np.cos(pitch), np.sin(pitch)
    rotation = np.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).reshape(n, 3, 3)
    translation = rotation[:, :, 1] * height[:, None]
    k = np.stack([focal, focal, image[:, 0] / 2, image[:, 1] / 2], -1)
    return k, image, rotation, translation


# --------------------------------------------------------------------------------------- the crowd


@dataclass(eq=False)
class Crowd:
    """M people of any scenes in a row."""

    scene: Int[np.ndarray, " M"]
    group: Int[np.ndarray, " M"]
    body: Body  # (M,)
    points: Float[np.ndarray, "M F 22 3"]  # world frame, mm

    def take(self, index: np.ndarray) -> "Crowd":
        """Some of them."""
        return Crowd(self.scene[index], self.group[index], self.body[index], self.points[index])


def _joined(crowds: list[Crowd]) -> Crowd:
    scene, group, points = (np.concatenate([getattr(c, name) for c in crowds]) for name in ("scene", "group", "points"))
    sizes = (np.concatenate([getattr(c.body, f.name) for c in crowds]) for f in fields(Body))
    return Crowd(scene, group, Body(*sizes), points)


def _crowd(
    world: World,
    kinds: tuple[str, ...],
    people: np.ndarray,
    rng: np.random.Generator,
    k: np.ndarray,
    image: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    frames: int,
) -> Crowd:
    """As many people as each scene is to have, or as many as there is room for."""
    weights, groups, none = np.array([KINDS[kind] for kind in kinds]).cumsum(1), 0, np.zeros(0, int)
    crowd = Crowd(none, none, sample_body(rng, (0,)), np.zeros((0, frames, 22, 3)))
    for _ in range(_ROUNDS):
        lack = people - np.bincount(crowd.scene, minlength=len(people))
        if not lack.any():
            break
        # More groups than it takes, for some are refused; their kinds by each scene's weights.
        scene = np.repeat(np.arange(len(people)), np.where(lack > 0, lack // 2 + 3, 0))
        sort = (rng.random(len(scene))[:, None] > weights[scene]).sum(1).clip(max=len(_GROUPS) - 1)
        number = np.arange(len(scene)) + groups
        groups += len(scene)
        sorts = sorted(set(sort.tolist()))
        new = _joined([_groups(world, rng, scene[sort == s], s, number[sort == s], frames) for s in sorts])
        both = _joined([crowd, new.take(_in_view(world, new, k, image, rotation, translation))])
        crowd = both.take(_admitted(both, len(crowd.scene), people))
    return crowd.take(rng.permutation(len(crowd.scene)))  # a place among the people tells nothing


def _groups(
    world: World, rng: np.random.Generator, scene: np.ndarray, sort: int, number: np.ndarray, frames: int
) -> Crowd:
    """A group of one sort for each of `scene`, somewhere before the camera; those that are entangled are left out."""
    n, (act, size) = len(scene), _GROUPS[sort]
    bodies = sample_body(rng, (n, 1, size))
    t = rng.uniform(0, 20, (n, 1)) + np.arange(frames) / world.rate
    points = act(Draw(rng, n), bodies, t).points  # (n, F, P, 22, 3)
    roots = points[:, :, :, 14, ::2]
    middle = (roots.min((1, 2)) + roots.max((1, 2))) / 2
    which = rng.choice(len(_DRAWN), n, p=_DRAWN)
    low, high = np.log(np.array([EDGES[:-1], EDGES[1:]]))[:, which]
    away = np.exp(low + (high - low) * rng.random(n)) * world.depth[1] / EDGES[-1]
    half = np.arctan2(world.images[0][0] / 2, world.focal[0]) + np.deg2rad(1.5)
    angle, turn = rng.uniform(-half, half, n), rng.uniform(-np.pi, np.pi, n)
    c, s = (f(turn)[:, None, None, None] for f in (np.cos, np.sin))
    x, z = (points[..., 2 * i] - middle[:, i, None, None, None] for i in range(2))
    at = np.stack([away * np.sin(angle), away * np.cos(angle)])[..., None, None, None]
    points = np.stack([c * x + s * z + at[0], points[..., 1], c * z - s * x + at[1]], -1)
    good = np.flatnonzero(_clear(bodies, points)) if size > 1 else np.arange(n)
    flat = bodies[good][:, 0]
    flat = Body(*(getattr(flat, f.name).reshape(-1) for f in fields(Body)))
    points = np.moveaxis(points[good], 2, 1).reshape(-1, frames, 22, 3)
    return Crowd(np.repeat(scene[good], size), np.repeat(number[good], size), flat, points)


def _in_view(
    world: World, crowd: Crowd, k: np.ndarray, image: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> np.ndarray:
    """Numbers of the people whose whole group is as far off and as much inside the image as the world promises."""
    s = crowd.scene
    points = _seen(crowd.points, rotation[s], translation[s])
    away = np.linalg.norm(points[:, :, 14], axis=-1)
    good = ((away >= world.depth[0]) & (away <= world.depth[1])).all(1) & (points[..., 2] > 500).all((1, 2))
    uv = project(points[:, :, :17], k[s, None, None])
    share = ((uv >= 0) & (uv < image[s, None, None])).all(-1).mean((1, 2))
    bad = ~good | (share < world.inside) | (share == 0)
    return np.flatnonzero(~np.isin(crowd.group, crowd.group[bad]))


def _admitted(crowd: Crowd, before: int, people: np.ndarray) -> np.ndarray:
    """Numbers of the first `before` people, and of those after whose groups find room, in their order."""
    touching = _touching(crowd, before)
    pairs: dict[int, set[int]] = {}
    for a, b in zip(crowd.group[touching[0]].tolist(), crowd.group[touching[1]].tolist(), strict=True):
        if a != b:
            pairs.setdefault(a, set()).add(b)
            pairs.setdefault(b, set()).add(a)
    there = set(crowd.group[:before].tolist())
    have = np.bincount(crowd.scene[:before], minlength=len(people))
    numbers, first, sizes = np.unique(crowd.group[before:], return_index=True, return_counts=True)
    for group, scene, size in zip(numbers.tolist(), crowd.scene[before:][first].tolist(), sizes.tolist(), strict=True):
        if have[scene] + size <= people[scene] and there.isdisjoint(pairs.get(group, ())):
            there.add(group)
            have[scene] += size
    return np.flatnonzero(np.isin(crowd.group, list(there)))


def _touching(crowd: Crowd, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of people of one scene, not both of the first `before`, who pass through one another in any frame."""
    skin = 0.06 * (crowd.body.stature * crowd.body.girth)[:, None, None]  # no capsule is thicker
    low, high = crowd.points[..., ::2].min(2) - skin, crowd.points[..., ::2].max(2) + skin  # (M, F, 2)
    first, second = [], []
    for scene in np.unique(crowd.scene[before:]):
        mine = np.flatnonzero(crowd.scene == scene)
        a, b = (mine[side] for side in np.triu_indices(len(mine), 1))
        new = (np.maximum(a, b) >= before) & (crowd.group[a] != crowd.group[b])
        a, b = a[new], b[new]
        near = ((low[a] < high[b]) & (low[b] < high[a])).all(-1).any(-1)  # the others' boxes are apart
        first.append(a[near])
        second.append(b[near])
    a, b = (np.concatenate(side) if side else np.zeros(0, int) for side in (first, second))
    arms, rest = MAX_PENETRATION

    def depth(contact: bool) -> np.ndarray:
        one, other = crowd.body[a][:, None], crowd.body[b][:, None]
        return penetration(one, crowd.points[a], other, crowd.points[b], contact)

    deep = ((depth(True) > arms) | (depth(False) > rest)).any(1) if len(a) else np.zeros(0, bool)
    return a[deep], b[deep]
