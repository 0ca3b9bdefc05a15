"""What people do in the worlds `studio` and `solo`: games in a circle, meals at a table, one person alone.

The four gatherings are likes of CMU Panoptic's social games, in the form of `interactions`. Of a game's rules nothing
is kept but who sits or stands where, who looks at whom, and whose hands move. A table is a thin round top; nobody's
bones pass through it (`shots` draws those takes anew).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mp3d.synthetic.body import SIDE, Body, Pose
from mp3d.synthetic.interactions import Actor, Performance, _head, _perform, _toward, mirrored_dance
from mp3d.synthetic.motion import (
    ACTIONS,
    LEFT,
    RIGHT,
    Draw,
    Gait,
    _stack,
    gesture,
    settle,
    sit,
    smoothstep,
    stand,
    walk,
)

SIZES = {"haggling": (3, 3), "mafia": (4, 8), "ultimatum": (4, 8), "pizza": (3, 6), "pass_ball": (2, 4)}
"""How many take part, where a kind says so itself; more who pass a ball would not fit into a room."""


def _turns(draw: Draw, t: np.ndarray, count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Who has the floor (n, F), and how much each of them speaks, 0 ... 1; the order is drawn."""
    clock = t / draw.uniform(2.0, 5.0) + draw.uniform(0, 10)
    order = draw.rng.integers(count, size=(draw.n, 64))
    speaker, x = np.take_along_axis(order, np.floor(clock).astype(int) % 64, 1), clock % 1
    share = smoothstep(x / 0.15) - smoothstep((x - 0.9) / 0.1)
    return speaker, [np.where(speaker == i, share, 0.0) for i in range(count)]


def _pick(values: list[np.ndarray], who: np.ndarray) -> np.ndarray:
    """Of each moment the value (n, F, ...) of whom `who` (n, F) names."""
    index = who.reshape(1, *who.shape, *(1,) * (values[0].ndim - 2))
    return np.take_along_axis(np.stack(values), index, 0)[0]


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return _stack(radius * np.cos(angle), radius * np.sin(angle))


def haggling(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Three stand in a triangle: two sellers talk in turn to a buyer, who turns to the one who speaks."""
    speaker, speaks = _turns(draw, t, 3)
    radius, spin, wide = draw.uniform(550, 950), draw.uniform(-np.pi, np.pi), draw.uniform(0.75, 1.15)
    places = [_polar(radius, spin + a * wide) for a in (0.0, 2 * np.pi / 3, -2 * np.pi / 3)]
    places = [place + draw.uniform(-60, 60, 2) + 25 * draw.drift(2)(t) for place in places]
    toward = [_toward(places[0], place) for place in places[1:]]
    half = ((toward[1] - toward[0] + np.pi) % (2 * np.pi) - np.pi) / 2
    to = 0.7 * (speaks[2] - speaks[1]) + 0.15 * draw.drift()(t)  # -1 one seller, 1 the other
    yaws = [toward[0] + half + half * to] + [_toward(p, places[0]) + draw.uniform(-0.25, 0.25) for p in places[1:]]
    actors = []
    for i in range(3):
        body = bodies[:, :, i]
        pose = gesture(draw, stand(draw, body, t, turn=0.15), t, speaks[i] * (1.0 if i else draw.uniform(0.2, 1.0)))
        actors.append(Actor(body, pose, places[i], yaws[i] + np.zeros(t.shape)))
    heads = [_head(actor) for actor in actors]
    actors[0].look(_pick([sum(heads[1:]) / 2, heads[1], heads[2]], speaker), draw.uniform(0.6, 1.0))
    for actor, quiet in zip(actors[1:], (1 - speaks[1], 1 - speaks[2]), strict=True):
        actor.look(heads[0], draw.uniform(0.6, 1.0) * (1 - 0.4 * quiet))
    return _perform(actors, np.ones(t.shape))


def mafia(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """A circle, seated or standing: one speaks and points at somebody, and the others look at one of the two."""
    count = bodies.stature.shape[-1]
    speaker, speaks = _turns(draw, t, count)
    accused = (speaker + 1 + (draw.integer(64) + speaker * 7) % (count - 1)) % count
    seated = draw.chance(0.6)[..., 0]
    radius = np.maximum(draw.uniform(750, 1100) / (2 * np.sin(np.pi / count)), np.where(seated[:, None], 1000, 700))
    spin = draw.uniform(-np.pi, np.pi)
    actors = []
    for i in range(count):
        body, place = bodies[:, :, i], _polar(radius, spin + 2 * np.pi * i / count) + draw.uniform(-60, 60, 2)
        pose = gesture(draw, _either(seated, sit(draw, body, t), stand(draw, body, t)), t, 0.8 * speaks[i])
        yaw = _toward(place, np.zeros(2)) + draw.uniform(-0.25, 0.25) + 0.04 * draw.drift()(t)
        actors.append(Actor(body, pose, place + np.zeros((*t.shape, 2)), yaw))
    heads = [_head(actor) for actor in actors]
    blamed, heard = _pick(heads, accused), _pick(heads, speaker)
    points_ = smoothstep((draw.drift(period=(1.5, 4.0))(t) - 0.05) / 0.2)
    for i, actor in enumerate(actors):
        side = np.where(actor.to_stage(blamed)[..., 0] > 0, RIGHT, LEFT)
        for arm in (RIGHT, LEFT):
            actor.grasp(arm, blamed + [0.0, 250.0, 0.0], 0.9 * points_ * speaks[i] * (side == arm))
        other = np.where((draw.chance(0.5) & (accused != i))[..., None], blamed, heard)
        actor.look(np.where((speaker == i)[..., None], blamed, other), draw.uniform(0.4, 1.0))
    return _perform(actors, np.ones(t.shape))


def ultimatum(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Round a table, seated, in a ring or in two rows that face each other: hands lie on it, one makes an offer."""
    count = bodies.stature.shape[-1]
    speaker, speaks = _turns(draw, t, count)
    # Angles in a ring, or in two arcs of 120 degrees; neighbours are at least 680 mm apart.
    half = (count + 1) // 2
    ring = 2 * np.pi * np.arange(count) / count
    side, seat = np.arange(count) // half, np.arange(count) % half
    arcs = np.pi * side + np.deg2rad(120) * ((seat + 0.5) / np.where(side == 0, half, count - half) - 0.5)
    rows = draw.chance(0.5)
    step = np.where(rows, np.deg2rad(120) / half, 2 * np.pi / count)
    away = np.maximum(draw.uniform(680, 820) / (2 * np.sin(step / 2)), draw.uniform(800, 900))
    radius, height = away - draw.uniform(190, 250), draw.uniform(700, 760)
    spin = draw.uniform(-np.pi, np.pi)
    actors = []
    for i in range(count):
        body = bodies[:, :, i]
        place = _polar(away, spin + np.where(rows, arcs[i], ring[i]))
        pose = sit(draw, body, t)
        ankles = pose.ankles.copy()
        ankles[..., 0] *= 0.6  # legs stay below the top and beside one another
        ankles[..., 2] = body.thigh[..., None] * draw.uniform(0.55, 0.95, 1)
        pose = replace(pose, ankles=ankles, torso=pose.torso * [0.6, 1, 0.5])
        yaw = _toward(place, np.zeros(2)) + draw.uniform(-0.12, 0.12) + 0.04 * draw.drift()(t)
        actors.append(Actor(body, pose, place + np.zeros((*t.shape, 2)), yaw))
    heads = [_head(actor) for actor in actors]
    for i, actor in enumerate(actors):
        rest = draw.uniform(0, 1, 2, 2) * [70.0, 120.0] + [60.0, 260.0]  # aside, ahead
        for arm in (RIGHT, LEFT):
            lift = 110 + 220 * smoothstep(draw.drift(period=(0.7, 2.0))(t)) * speaks[i]
            offer = speaks[i] * draw.chance(0.6) * (draw.integer(2) == arm)
            x = SIDE[arm] * rest[..., arm, 0] + 30 * draw.drift()(t)
            spot = _stack(x * (1 - 0.5 * offer), -height - lift, rest[..., arm, 1] + 130 * offer + 25 * draw.drift()(t))
            actor.grasp(arm, actor.to_floor(spot))
        listens = 1 - speaks[i]
        actor.look(_pick(heads, speaker), listens * draw.uniform(0.4, 1.0))
    return _perform(actors, np.ones(t.shape), table=_table(radius, height))


def pizza(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Standing round a table: each takes something from it, eats, and now and then looks up."""
    count = bodies.stature.shape[-1]
    away = np.maximum(draw.uniform(700, 950) / (2 * np.sin(np.pi / count)), draw.uniform(700, 900))
    radius, height = away - draw.uniform(230, 330), draw.uniform(720, 900)
    spin = draw.uniform(-np.pi, np.pi)
    actors = []
    for i in range(count):
        body = bodies[:, :, i]
        place = _polar(away, spin + 2 * np.pi * i / count) + draw.uniform(-30, 30, 2)
        pose = stand(draw, body, t, turn=0.1)
        yaw = _toward(place, np.zeros(2)) + draw.uniform(-0.35, 0.35) + 0.08 * draw.drift()(t)
        cycle = (t / draw.uniform(3.0, 6.0) + draw.uniform(0, 1)) % 1
        take = smoothstep(cycle / 0.15) - smoothstep((cycle - 0.30) / 0.15)  # the hand is over the table
        eat = smoothstep((cycle - 0.35) / 0.15) - smoothstep((cycle - 0.75) / 0.2)  # and then before the mouth
        lean = _stack(0.0, draw.uniform(0.15, 0.45) * take, 0.0)
        pose = settle(body, replace(pose, torso=pose.torso * [1, 0.5, 1] + lean, hips=pose.hips + 0.5 * lean))
        actor = Actor(body, pose, place + np.zeros((*t.shape, 2)), yaw + np.zeros(t.shape))
        side, depth = draw.integer(2), draw.uniform(350, 620)
        slice_ = actor.to_floor(_stack(draw.uniform(-150, 150), -height - draw.uniform(90, 140), depth))
        mouth = _head(actor) + [0.0, 30.0, 0.0]
        mouth = actor.to_floor(actor.to_stage(mouth) + [0.0, 0.0, 130.0])
        for arm in (RIGHT, LEFT):
            mine = side == arm
            actor.grasp(arm, slice_, 0.98 * take * mine)
            actor.grasp(arm, mouth, 0.95 * eat * mine)
        actor.look(slice_, 0.8 * take)
        actors.append(actor)
    heads = [_head(actor) for actor in actors]
    for i, actor in enumerate(actors):
        glance = smoothstep(draw.drift(period=(2.0, 5.0))(t) / 0.3)
        actor.look(heads[(i + 1 + i % 2) % count], 0.8 * glance)
    return _perform(actors, np.ones(t.shape), table=_table(radius, height))


def _table(radius: np.ndarray, height: np.ndarray) -> np.ndarray:
    zero = np.zeros(len(radius))
    return np.stack([zero, zero, radius[:, 0], height[:, 0]], -1)


def _either(first: np.ndarray, one: Pose, other: Pose) -> Pose:
    """Of each performance one of two poses."""

    def choose(name: str) -> np.ndarray:
        a, b = np.broadcast_arrays(getattr(one, name), getattr(other, name))
        return np.where(first.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return Pose(**{name: choose(name) for name in Pose.__dataclass_fields__})


GATHERINGS: dict[str, Callable[[Draw, Body, np.ndarray], Performance]] = {
    "haggling": haggling,
    "mafia": mafia,
    "ultimatum": ultimatum,
    "pizza": pizza,
}


# ------------------------------------------------------------------------------------------- alone


def _alone(action: Callable[[Draw, Body, np.ndarray], Pose]) -> Callable[[Draw, Body, np.ndarray], Performance]:
    """One person anywhere within 0.9 m of the room's middle along either axis, turned any way."""

    def perform(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
        body = bodies[:, :, 0]
        actor = Actor(body, action(draw, body, t), draw.uniform(-900, 900, 2), draw.uniform(-np.pi, np.pi))
        return _perform([actor], np.zeros(t.shape))

    return perform


def _walking(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """One person walks along a curve, in the middle of the way within 0.6 m of the room's middle."""
    body = bodies[:, :, 0]
    gait = Gait.draw(draw, body)
    path, heading = gait.path(t)
    yaw = draw.uniform(-np.pi, np.pi)
    path = path - path[:, path.shape[1] // 2, None]
    place = _stack(
        np.cos(yaw) * path[..., 0] + np.sin(yaw) * path[..., 1], np.cos(yaw) * path[..., 1] - np.sin(yaw) * path[..., 0]
    )
    place = place + draw.uniform(-600, 600, 2)
    return _perform([Actor(body, walk(draw, body, t, gait), place, yaw + heading)], np.zeros(t.shape))


ALONE: dict[str, Callable[[Draw, Body, np.ndarray], Performance]] = {
    "standing": _alone(ACTIONS["stand"]),
    "talking": _alone(ACTIONS["talk"]),
    "waving": _alone(ACTIONS["wave"]),
    "reaching": _alone(ACTIONS["reach"]),
    "kicking": _alone(ACTIONS["kick"]),
    "sitting": _alone(ACTIONS["sit"]),
    "walking": _walking,
    "dancing": mirrored_dance,
}
"""What one person does in `solo`."""
