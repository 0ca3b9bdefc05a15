"""What people do together: actors on a common floor, coupled by geometry.

Each interaction takes a `Draw`, bodies (n, 1, P) and times (n, F) in s and returns a `Performance`. The floor
frame has y down, the floor at y = 0 and, for what pairs do, the pair along x. Wrists meet, a dancer is the other's
mirror image, a block is where the blow is. Styles, timing and places are drawn widely, so that the kind alone tells
little of a pose and the partner much; `apart` is the control in which the partner tells nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Float

from mp3d.synthetic.body import SIDE, Body, Pose, forward, reach, trunk
from mp3d.synthetic.motion import (
    ACTIONS,
    LEFT,
    RIGHT,
    Draw,
    Gait,
    _stack,
    gesture,
    raise_leg,
    settle,
    smoothstep,
    stand,
    strike,
    walk,
)


@dataclass(frozen=True, eq=False)
class Performance:
    """People in the floor frame.

    Parameters
    ----------
    points : mm, see `body.POINTS`
    event : 1 while what the kind is about happens (hands met, a blow landed, a ball caught), down to 0 away
        from it; all 1 for kinds that couple always, all 0 for `apart`
    ball : centre of the ball in mm, NaN where there is none
    table : x, z, radius, height of a round table's top in mm; None if there is none
    """

    points: Float[np.ndarray, "n F P 22 3"]
    event: Float[np.ndarray, "n F"]
    ball: Float[np.ndarray, "n F 3"]
    table: Float[np.ndarray, "n 4"] | None = None


@dataclass(eq=False)
class Actor:
    """A body in a pose, at a place on the floor (x, z; mm) and a yaw (0 looks along z)."""

    body: Body
    pose: Pose
    place: np.ndarray
    yaw: np.ndarray

    def to_floor(self, points: np.ndarray) -> np.ndarray:
        """Points (n, F, 3) of the stage frame on the common floor."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        x, y, z = np.moveaxis(points, -1, 0)
        return _stack(c * x + s * z + self.place[..., 0], y, c * z - s * x + self.place[..., 1])

    def to_stage(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `to_floor`."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        x, z = points[..., 0] - self.place[..., 0], points[..., 2] - self.place[..., 1]
        return _stack(c * x - s * z, points[..., 1], s * x + c * z)

    def points(self) -> np.ndarray:
        """(n, F, 22, 3) on the floor."""
        c, s = (f(self.yaw)[..., None] for f in (np.cos, np.sin))
        x, y, z = np.moveaxis(forward(self.body, self.pose), -1, 0)
        return _stack(c * x + s * z + self.place[..., :1], y, c * z - s * x + self.place[..., 1:])

    def grasp(self, side: int, target: np.ndarray, weight: float | np.ndarray = 1.0) -> None:
        """Bring a wrist to a place on the floor frame."""
        self.pose = reach(self.body, self.pose, side, self.to_stage(target), weight)

    def look(self, target: np.ndarray, weight: float | np.ndarray = 1.0) -> None:
        """Turn the head to a place, as far as the neck allows."""
        t = trunk(self.body, self.pose)
        x, y, z = np.moveaxis(self.to_stage(target) - t.neck, -1, 0)
        yaw = self.pose.hips[..., 0] + self.pose.torso[..., 0]
        turn = (np.arctan2(x, z) - yaw + np.pi) % (2 * np.pi) - np.pi
        nod = np.arctan2(y + 0.08 * self.body.stature, np.hypot(x, z)) - self.pose.torso[..., 1]
        aim = _stack(np.clip(turn, -1.2, 1.2), np.clip(nod, -0.7, 0.7), 0.0)
        weight = np.asarray(weight)[..., None]
        self.pose = replace(self.pose, head=(1 - weight) * self.pose.head + weight * aim)


def _perform(
    actors: list[Actor], event: np.ndarray, ball: np.ndarray | None = None, table: np.ndarray | None = None
) -> Performance:
    points = np.stack([actor.points() for actor in actors], 2)
    event = event + np.zeros(points.shape[:2])
    return Performance(points, event, np.full((*event.shape, 3), np.nan) if ball is None else ball, table)


def _head(actor: Actor) -> np.ndarray:
    """About where the face is, on the floor frame."""
    return actor.to_floor(trunk(actor.body, actor.pose).neck - [0.0, 100.0, 0.0])


def _toward(place: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The yaw with which somebody at `place` faces `other` (x, z)."""
    gap = other - place
    return np.arctan2(gap[..., 0], gap[..., 1])


def _onlookers(draw: Draw, bodies: Body, t: np.ndarray, radius: float = 0.0) -> list[Actor]:
    """Everyone from the third on: stands beside the pair at the origin, watches, talks or waves."""
    count = bodies.stature.shape[-1] - 2
    start, side = draw.uniform(0.3, 0.7), draw.sign()
    actors = []
    for i in range(count):
        # A single onlooker stands across the pair's line; many share the circle, off the line's ends.
        share = start if count == 1 else (i // 2 + draw.uniform(0.35, 0.65)) / ((count + 1) // 2)
        angle = np.pi * share * side * (-1) ** i
        away = draw.uniform(1000, 1600) + radius + 150 * max(count - 2, 0)
        place = _stack(away * np.cos(angle), away * np.sin(angle)) + np.zeros((*t.shape, 2))
        yaw = _toward(place, np.zeros(2)) + draw.uniform(-0.4, 0.4) + 0.1 * draw.drift()(t)
        pose = _mixed(draw, bodies[:, :, 2 + i], t, {"stand": 0.6, "talk": 0.3, "wave": 0.1})[0]
        actors.append(Actor(bodies[:, :, 2 + i], pose, place, yaw))
        actors[-1].look(np.array([0.0, -1300.0, 0.0]), draw.uniform(0, 1))
    return actors


def _mixed(draw: Draw, body: Body, t: np.ndarray, weights: dict[str, float]) -> tuple[Pose, np.ndarray, np.ndarray]:
    """Each performance its own action, drawn by weight: the poses, and for walkers their paths and headings."""
    choice = draw.rng.choice(len(weights), draw.n, p=np.array(list(weights.values())))
    parts, path, heading = {}, np.zeros((*t.shape, 2)), np.zeros(t.shape)
    for i, name in enumerate(weights):
        index = np.flatnonzero(choice == i)
        if len(index) == 0:
            continue
        own, some, when = Draw(draw.rng, len(index)), body[index], t[index]
        if name == "walk":
            gait = Gait.draw(own, some)
            pose = walk(own, some, when, gait)
            path[index], heading[index] = gait.path(when)
        else:
            pose = ACTIONS[name](own, some, when)
        for f in fields(Pose):
            value = getattr(pose, f.name)
            if f.name not in parts:
                parts[f.name] = np.empty((*t.shape, *value.shape[2:]))
            parts[f.name][index] = value
    return Pose(**parts), path, heading


# ---------------------------------------------------------------------------------- hands that meet


def _meet(
    draw: Draw,
    bodies: Body,
    t: np.ndarray,
    hands: list[tuple[int, int, np.ndarray, np.ndarray]],
    rise: np.ndarray,
    weight: np.ndarray,
    beat: np.ndarray,
) -> list[Actor]:
    """Two people face one another along x and bring wrists together in the plane between them.

    Parameters
    ----------
    hands : side of the first, side of the second, where the two meet along z (mm), 1 or 0 for taking part
    rise : how far above the shoulders they meet, in arm lengths
    weight : 0 at rest ... 1 together; `beat` moves the meeting point up and down, mm
    """
    actors, ahead, level = [], [], 0.0
    for i in range(2):
        body = bodies[:, :, i]
        pose = stand(draw, body, t, turn=0.15)
        lean = _stack(0.0, draw.uniform(0.0, 0.25), 0.0)
        actors.append(Actor(body, replace(pose, torso=pose.torso + lean), np.zeros(2), np.zeros(1)))  # placed below
        shoulders = trunk(body, actors[i].pose).shoulders.mean(1, keepdims=True)  # (n, 1, 2, 3)
        level = level + (shoulders[..., 1].mean(-1) - rise * body.arm) / 2
        ahead.append((shoulders, draw.uniform(0.72, 0.92) * body.arm))
        actors[i].pose = replace(pose, torso=pose.torso + lean * weight[..., None])
    for i, (actor, (shoulders, arm)) in enumerate(zip(actors, ahead, strict=True)):
        front = -1.0 if i == 0 else 1.0  # the first stands at -x and looks along +x
        room = np.inf
        for *sides, z, active in hands:
            shoulder = shoulders[..., sides[i], :]
            flat = arm**2 - (shoulder[..., 0] - front * z) ** 2 - (shoulder[..., 1] - level) ** 2
            need = shoulder[..., 2] + np.sqrt(np.maximum(flat, (0.3 * arm) ** 2))
            room = np.minimum(room, np.where(active, need, np.inf))
        actor.place = _stack(front * room, 0.0) + np.zeros((*t.shape, 2))
        actor.yaw = -front * np.pi / 2 + np.zeros(t.shape)
        for *sides, z, active in hands:
            point = _stack(0.0, level + beat, z) + draw.uniform(-7, 7, 3)
            actor.grasp(sides[i], point, weight * active)
    for actor, other in zip(actors, actors[::-1], strict=True):
        actor.look(_head(other), draw.uniform(0.3, 1.0))
    return actors


def handshake(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Two people shake right hands, some with the left at the other's elbow.

    At the shake the wrists are within 30 mm, but for about one frame in a thousand in which a joint limit holds an
    arm back.
    """
    x = (t / draw.uniform(2.2, 3.6) + draw.uniform(0, 1)) % 1
    weight = smoothstep(x / 0.18) - smoothstep((x - 0.75) / 0.2)
    beat = draw.uniform(8, 45) * np.sin(2 * np.pi * draw.uniform(1.8, 3.0) * t) * weight
    hands = [(RIGHT, RIGHT, draw.uniform(-90, 90), np.ones((draw.n, 1), bool))]
    actors = _meet(draw, bodies, t, hands, -draw.uniform(0.35, 0.75), weight, beat)
    for actor, other in zip(actors, actors[::-1], strict=True):
        elbow = other.points()[..., 3, :] - [0.0, 40.0, 0.0]
        actor.grasp(LEFT, elbow, 0.9 * weight * draw.chance(0.2))
    return _perform(actors + _onlookers(draw, bodies, t), weight)


def high_five(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Two people bring right hands, left hands, or both together at head height.

    The wrists then are within 30 mm, but for about two frames in a thousand in which a joint limit holds an arm back.
    """
    x = (t / draw.uniform(1.4, 2.6) + draw.uniform(0, 1)) % 1
    weight = smoothstep(x / 0.35) - smoothstep((x - 0.55) / 0.4)
    way, z = draw.integer(3), draw.uniform(-80, 80)
    wide = draw.uniform(90, 260)
    hands = [(RIGHT, RIGHT, z, way == 0), (LEFT, LEFT, z, way == 1)]
    hands += [(RIGHT, LEFT, -wide, way == 2), (LEFT, RIGHT, wide, way == 2)]
    actors = _meet(draw, bodies, t, hands, draw.uniform(0.0, 0.65), weight, np.zeros(t.shape))
    return _perform(actors + _onlookers(draw, bodies, t), weight)


# ------------------------------------------------------------------------------------------- dance


def _choreography(draw: Draw) -> Callable[[Body, np.ndarray], Pose]:
    """A dance of its own: smooth random arms, trunk, steps and lifted legs; danced by any body."""
    rise, turn = draw.uniform(-0.9, 0.9, 2), draw.uniform(0.0, 1.3, 2)
    arm, trunk_way, head_way = draw.drift(2, 4), draw.drift(2, 3), draw.drift(3)
    leg, sway, lift_by = draw.drift(period=(2.0, 6.0)), draw.drift(3), draw.uniform(0.1, 1.0)
    kick_to = draw.uniform(0, 1, 3) * [0.22, 0.20, 0.32] + [0.08, 0.08, -0.08]
    half, toes = draw.uniform(0.05, 0.13), draw.uniform(0.1, 0.6, 2)
    stagger, crouch = draw.uniform(-0.05, 0.05), draw.uniform(0.01, 0.09)

    def dance(body: Body, t: np.ndarray) -> Pose:
        h, zero = body.stature, np.zeros(t.shape)
        way = arm(t) * [1.5, 1.2, 0.45, 0.6]
        up, out = rise + way[..., 0], turn + way[..., 1]
        far = np.clip(0.74 + way[..., 2], 0.35, 0.98)
        wrists = _stack(np.cos(up) * np.sin(out), -np.sin(up), np.cos(up) * np.cos(out) + 0.1)
        d = leg(t)[..., None] * [1.0, -1.0]  # right leg up where positive, left where negative
        lift = smoothstep((d - 0.12) / 0.45) * lift_by[..., None]
        ankles = _stack(h * half, -body.ankle, h * stagger)[..., None, :] * [[1, 1, 1], [1, 1, -1]]
        goal = _stack(kick_to[..., 0] * h, -body.ankle - kick_to[..., 1] * h, kick_to[..., 2] * h)
        ankles = ankles + lift[..., None] * (goal[..., None, :] - ankles)
        shift = sway(t) * [0.05, 0.0, 0.02] * h[..., None]
        over = smoothstep(lift / 0.3)  # over the standing foot before the other leaves the floor
        x = shift[..., 0] * (1 - over.max(-1)) + 0.85 * half * h * (over[..., 1] - over[..., 0])
        angles = trunk_way(t) * [[0.5, 0.20, 0.20], [0.75, 0.45, 0.45]]
        pose = Pose(
            pelvis=_stack(x, zero, shift[..., 2]),
            hips=angles[..., 0, :],
            torso=angles[..., 1, :],
            head=head_way(t) * [0.9, 0.4, 0.3],
            wrists=wrists * far[..., None],
            elbows=way[..., 3],
            ankles=ankles,
            knees=np.full((*t.shape, 2), 0.15),
            feet=toes + np.zeros((*t.shape, 2)),
        )
        return settle(body, pose, lift, h * crouch * (1 + sway(t)[..., 1]))

    return dance


def mirrored_dance(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """The first dances; each other dancer is the first's reflection in the plane between the two.

    The followers lag by up to 0.1 s and err by some centimetres.
    """
    count, dance = bodies.stature.shape[-1], _choreography(draw)
    square = np.pi / 2 if count > 2 else 0.0  # before a row of followers one faces the audience
    facing = np.pi / 2 - draw.sign() * (square + draw.uniform(-0.3, 1.7 if count == 2 else 0.3))
    yaw = facing + 0.3 * draw.drift(period=(3.0, 8.0))(t)
    first = Actor(bodies[:, :, 0], dance(bodies[:, :, 0], t), np.zeros((*t.shape, 2)), yaw)
    actors, side = [first], draw.sign()
    for i in range(1, count):
        body, gap = bodies[:, :, i], draw.uniform(1000, 1900) + 350 * ((i - 1) // 2)
        bearing = np.pi * (i - 1) * 2 / max(count - 1, 2) + draw.uniform(-0.2, 0.2) * (count > 2)
        normal = _stack(np.cos(bearing), np.sin(bearing) * side)
        follow = dance(body, t - draw.uniform(0.0, 0.1)).mirrored()
        noise = draw.uniform(0.02, 0.12)[..., None]
        follow = replace(
            follow,
            wrists=follow.wrists + noise[..., None] * draw.drift(2, 3)(t),
            torso=follow.torso + noise * draw.drift(3)(t),
            head=follow.head + 2 * noise * draw.drift(3)(t),
            hips=follow.hips + 0.5 * noise * draw.drift(3)(t),
        )
        heading = 2 * np.arctan2(normal[..., 1], -normal[..., 0]) - yaw  # of h - 2 (h . n) n
        place = gap[..., None] * normal + np.zeros((*t.shape, 2))
        actors.append(Actor(body, follow, place, heading + 0.5 * noise[..., 0] * draw.drift()(t)))
    return _perform(actors, np.ones(t.shape))


# ---------------------------------------------------------------------------------------- sparring


def _guard(draw: Draw, body: Body, t: np.ndarray) -> Pose:
    """A fighting stance: one foot ahead, knees bent, fists before chin and chest, bouncing."""
    h, front = body.stature, draw.integer(2)[..., None] == [0, 1]
    pose = stand(draw, body, t, width=(0.05, 0.10), turn=0.1)
    toward = np.where(front[..., 0], -1.0, 1.0)  # the front foot's hip comes forward
    ankles = pose.ankles.copy()
    ankles[..., 2] = h[..., None] * draw.uniform(0.07, 0.14)[..., None] * np.where(front, 1, -1)
    lead, rear = np.array([0.00, 0.10, 0.58]), np.array([-0.12, 0.12, 0.36])
    fists = np.where(front[..., None], lead, rear) + draw.uniform(-0.16, 0.16, 2, 3)
    bounce = h * (0.04 + 0.012 * np.sin(2 * np.pi * draw.uniform(1.2, 2.2) * t))
    pose = replace(
        pose,
        ankles=ankles,
        pelvis=pose.pelvis + _stack(0.0, 0.0, 0.02 * h * draw.drift()(t)),
        hips=_stack(0.5 * toward, 0.05, 0.0) + 0.05 * draw.drift(3)(t),
        torso=_stack(-0.1 * toward, draw.uniform(0.0, 0.2), 0.0) + 0.06 * draw.drift(3)(t),
        head=_stack(-0.4 * toward, 0.1, 0.0) + 0.08 * draw.drift(3)(t),
        wrists=fists + 0.05 * draw.drift(2, 3, period=(0.8, 2.0))(t),
        elbows=draw.uniform(-0.3, 0.1, 2) + np.zeros((*t.shape, 2)),
    )
    return settle(body, pose, crouch=bounce)


def sparring(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Blow and answer: one punches or kicks, the other blocks there or leans out of the way.

    About four blows of ten meet a wrist (within 60 mm); a quarter is dodged, the rest is out of the arms' reach.
    """
    period, start = draw.uniform(1.1, 1.9), draw.uniform(0, 50)
    clock = t / period + start
    number = np.floor(clock).astype(int) % 64
    x = clock % 1
    scale = bodies.stature[..., :2].mean(-1) / 1730
    gap = draw.uniform(1080, 1300) * scale
    actors = []
    for i, sign in enumerate((-1.0, 1.0)):
        body = bodies[:, :, i]
        place = _stack(sign * gap / 2 + 30 * draw.drift()(t), 40 * draw.drift()(t))
        yaw = -sign * np.pi / 2 + 0.12 * draw.drift()(t)
        actors.append(Actor(body, _guard(draw, body, t), place, yaw))
    for actor, other in zip(actors, actors[::-1], strict=True):
        actor.look(_head(other), 0.8)

    def exchange(values: np.ndarray) -> np.ndarray:  # (n, 64, ...) drawn -> of this moment (n, F, ...)
        return values[np.arange(draw.n)[:, None], number]

    u = draw.rng.random((draw.n, 64, 8))
    who, limb, side, height, across, answer, cover, depth = np.moveaxis(exchange(u), -1, 0)
    chamber, out = strike(x)
    for i, (attacker, defender) in enumerate(zip(actors, actors[::-1], strict=True)):
        turn = np.where((who < 0.5) == (i == 0), 1.0, 0.0)
        kicks = turn * (limb < 0.4)
        punches = turn - kicks
        body, h = attacker.body, defender.body.stature
        lateral = (across - 0.5) * 300
        level = np.where(limb < 0.4, -h * (0.50 + 0.22 * height), -h * (0.62 + 0.26 * height))
        mark = defender.to_floor(_stack(lateral, level, 360 + 100 * depth))
        aim = attacker.to_stage(mark)
        # The attacker: a lunge with the fist, or a raised leg.
        fist = np.where(side < 0.5, 1.0, -1.0)
        w = out * punches
        pose = attacker.pose
        pose = replace(
            pose,
            torso=pose.torso + _stack(-0.45 * fist * w, 0.18 * w, 0.0),
            hips=pose.hips + _stack(-0.2 * fist * w, 0.08 * w, 0.0),
            pelvis=pose.pelvis + _stack(0.0, 0.0, 0.08 * body.stature * w),
        )
        attacker.pose = settle(body, pose, crouch=0.045 * body.stature)
        for leg in (RIGHT, LEFT):
            w = kicks * ((side < 0.5) == (leg == RIGHT))
            goal = aim * [SIDE[leg], 1, 1]
            attacker.pose = raise_leg(body, attacker.pose, np.full(t.shape, leg), goal, w * chamber, w * out)
            attacker.grasp(leg, mark, out * punches * ((side < 0.5) == (leg == RIGHT)))
        points = attacker.points()
        struck = np.where(side[..., None] < 0.5, points[..., 4, :], points[..., 7, :])
        foot = np.where(side[..., None] < 0.5, points[..., 10, :], points[..., 13, :])
        struck = np.where(kicks[..., None] > 0, foot, struck)
        # The defender: one or two arms to where the blow is, or out of its way.
        dodges = out * turn * (answer < 0.25)
        blocks = out * turn * (answer >= 0.25)
        away = np.where(lateral > 0, -1.0, 1.0)
        pose = defender.pose
        pose = replace(
            pose,
            torso=pose.torso + _stack(0.2 * away, -0.25, 0.55 * away) * dodges[..., None],
            hips=pose.hips + _stack(0.0, -0.1, 0.2 * away) * dodges[..., None],
            pelvis=pose.pelvis + _stack(0.05 * h * away, 0.02 * h, 0.0) * dodges[..., None],
        )
        defender.pose = replace(pose, torso=pose.torso + _stack(0.0, 0.15 * blocks, 0.0))
        for arm in (RIGHT, LEFT):
            near = (lateral > 0) == (arm == RIGHT)
            w = blocks * (near | (cover < 0.3))
            apart = defender.to_stage(struck) + _stack(SIDE[arm] * 25, 15 * SIDE[arm], -35.0)
            defender.grasp(arm, defender.to_floor(apart), w)
    return _perform(actors + _onlookers(draw, bodies, t, radius=300.0), out)


# -------------------------------------------------------------------------------------------- ball

BALL_RADIUS = 120.0  # mm


def _ring(draw: Draw, bodies: Body, t: np.ndarray, gap: tuple[float, float]) -> list[np.ndarray]:
    """Places (n, 1, 2) for P people: two along x, more on a ring, `gap` mm between neighbours."""
    count = bodies.stature.shape[-1]
    radius = draw.uniform(*gap) / (2 * np.sin(np.pi / count))
    spin = 0.0 if count == 2 else draw.uniform(-0.4, 0.4)
    angles = [np.pi - 2 * np.pi * i / count + spin for i in range(count)]
    shift = draw.uniform(-80, 80, count, 2)
    return [_stack(radius * np.cos(a), radius * np.sin(a)) + shift[..., i, :] for i, a in enumerate(angles)]


def pass_ball(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """A ball goes round: thrown with both hands, caught where and when it arrives."""
    count = bodies.stature.shape[-1]
    places = _ring(draw, bodies, t, (1300.0, 2600.0))
    centre = sum(places) / count
    clock = t / draw.uniform(1.0, 1.7) + draw.uniform(0, 32)
    number, x = np.floor(clock).astype(int), clock % 1
    step = np.where(draw.chance(0.5), 1, -1)
    row = np.arange(draw.n)[:, None]
    u = draw.rng.random((draw.n, 64, 6))

    # Hold points in each person's stage frame: caught, drawn in, thrown from; (n, F, 3).
    def spot(i: int, which: int, number: np.ndarray) -> np.ndarray:
        h, r = bodies.stature[:, :, i], u[row, (number + 7 * i) % 64]
        level = (0.60 + 0.32 * r[..., which], 0.62 + 0.12 * r[..., which], 0.60 + 0.35 * r[..., which])
        far = (0.26 + 0.06 * r[..., 3], 0.17 + 0.03 * r[..., 4], 0.27 + 0.05 * r[..., 3])
        return _stack((0.12 * (r[..., 5] - 0.5)) * h, -level[which] * h, far[which] * h)

    actors, throws, catches = [], [], []
    for i in range(count):
        body = bodies[:, :, i]
        pose = stand(draw, body, t, width=(0.05, 0.11), turn=0.15)
        ready = draw.uniform(0, 1, 2, 3) * [0.3, 0.35, 0.25] + [-0.1, 0.3, 0.3]
        alert = draw.uniform(0.2, 1.0)[..., None, None]
        wrists = pose.wrists + alert * (ready + 0.05 * draw.drift(2, 3)(t) - pose.wrists)
        pose = settle(body, replace(pose, wrists=wrists), crouch=body.stature * draw.uniform(0.0, 0.05))
        yaw = _toward(places[i], centre) + 0.08 * draw.drift()(t)
        throws.append(np.where(number * step % count == i, 1.0, 0.0))
        catches.append(np.where((number + 1) * step % count == i, 1.0, 0.0))
        actors.append(Actor(body, pose, places[i] + np.zeros((*t.shape, 2)), yaw))
    ball, spots = np.zeros((*t.shape, 3)), []
    for i, actor in enumerate(actors):
        caught, drawn, thrown = (actor.to_floor(spot(i, k, number)) for k in range(3))
        goal = actor.to_floor(spot(i, 0, number + 1))
        hold = caught + smoothstep(x / 0.22)[..., None] * (drawn - caught)
        hold = hold + smoothstep((x - 0.22) / 0.23)[..., None] * (thrown - hold)
        spots.append((hold, thrown, goal))
        ball += throws[i][..., None] * hold
    fly = np.clip((x - 0.45) / 0.55, 0, 1)
    start = sum(w[..., None] * s[1] for w, s in zip(throws, spots, strict=True))
    end = sum(w[..., None] * s[2] for w, s in zip(catches, spots, strict=True))
    arc = 4 * fly * (1 - fly) * draw.uniform(50, 500)
    flight = start + fly[..., None] * (end - start) - _stack(0.0, arc, 0.0)
    ball = np.where((fly > 0)[..., None], flight, ball)
    for i, actor in enumerate(actors):
        hold, _, goal = spots[i]
        give = throws[i] * (1 - smoothstep((x - 0.5) / 0.3))
        take = catches[i] * smoothstep((x - 0.5) / 0.42)
        for w, where in ((give, hold), (take, goal)):
            local = actor.to_stage(where)
            lean = _stack(0.5 * np.arctan2(local[..., 0], local[..., 2]), 0.12, 0.0) * w[..., None]
            actor.pose = replace(actor.pose, torso=actor.pose.torso + lean)
            for side in (RIGHT, LEFT):
                grip = local + _stack(SIDE[side] * 0.8 * BALL_RADIUS, 20.0, -0.5 * BALL_RADIUS)
                actor.grasp(side, actor.to_floor(grip), w)
        actor.look(ball, 0.9)
    return _perform(actors, np.where(x > 0.5, smoothstep((x - 0.9) / 0.1), 1 - smoothstep(x / 0.1)), ball)


# --------------------------------------------------------------------------------- walking, talking


def side_by_side(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """People walk side by side along a curve, in step: one phase and period, strides to match."""
    count = bodies.stature.shape[-1]
    gait = Gait.draw(draw, bodies[:, :, 0])
    middle, heading = gait.path(t)
    gap = draw.uniform(620, 950)
    actors = []
    for i in range(count):
        right = gap * (i - (count - 1) / 2)  # of the middle line, mm
        right = right + draw.uniform(-40, 40)
        ratio = 1 - right * gait.curve  # the outer walker has the longer way
        phase = gait.phase + 0.02 * draw.drift()(t)
        own = Gait(gait.period, phase, gait.stride * ratio, gait.curve / ratio)
        place = middle + right[..., None] * _stack(np.cos(heading), -np.sin(heading))
        body = bodies[:, :, i]
        actors.append(Actor(body, walk(draw, body, t, own), place, heading))
    for i, actor in enumerate(actors):  # now and then a look at the neighbour
        glance = smoothstep(draw.drift(period=(2.0, 5.0))(t) / 0.3)
        actor.look(_head(actors[i - 1 if i else 1]), 0.8 * glance * draw.chance(0.6))
    return _perform(actors, np.ones(t.shape))


def conversation(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """One speaks with the hands, the others face the speaker and listen: a weak coupling."""
    count = bodies.stature.shape[-1]
    places = _ring(draw, bodies, t, (850.0, 1500.0))
    centre = sum(places) / count
    turn = t / draw.uniform(2.5, 6.0) + draw.uniform(0, 10)
    speaker, x = np.floor(turn).astype(int) % count, turn % 1
    actors, speaks = [], []
    for i in range(count):
        body = bodies[:, :, i]
        # Whoever speaks next begins as the last one ends.
        w = np.where(speaker == i, smoothstep(x / 0.15) - smoothstep((x - 0.9) / 0.1), 0.0)
        pose = gesture(draw, stand(draw, body, t), t, w)
        yaw = _toward(places[i], centre) + draw.uniform(-0.3, 0.3) + 0.06 * draw.drift()(t)
        actors.append(Actor(body, pose, places[i] + np.zeros((*t.shape, 2)), yaw))
        speaks.append(w)
    face = sum(w[..., None] * _head(a) for w, a in zip(speaks, actors, strict=True))
    face = face + (1 - sum(speaks))[..., None] * _stack(centre[..., 0], -1450.0, centre[..., 1])
    for actor, w in zip(actors, speaks, strict=True):
        actor.look(face, (1 - w) * draw.uniform(0.5, 1.0))
    return _perform(actors, np.ones(t.shape))


def apart(draw: Draw, bodies: Body, t: np.ndarray) -> Performance:
    """Strangers: everyone does something of their own and looks where they like. No coupling."""
    count = bodies.stature.shape[-1]
    weights = {"stand": 0.2, "talk": 0.15, "wave": 0.1, "reach": 0.15, "kick": 0.1, "sit": 0.1}
    weights |= {"walk": 0.2}
    columns = int(np.ceil(np.sqrt(count))) if count > 3 else count
    gap = draw.uniform(850, 1900)
    order = draw.rng.permuted(np.tile(np.arange(count), (draw.n, 1)), axis=1)[:, None]
    actors = []
    for i in range(count):
        body, k = bodies[:, :, i], order[..., i]
        pose, path, heading = _mixed(draw, body, t, weights)
        x, z = k % columns - (columns - 1) / 2, k // columns - (count / columns - 1) / 2
        place = gap[..., None] * _stack(x, z) + draw.uniform(-150, 150, 2) + [0.0, 1.0] * draw.uniform(-400, 400, 1)
        yaw = draw.uniform(-np.pi, np.pi)
        path = path - path.mean(1, keepdims=True)
        path = _stack(
            np.cos(yaw) * path[..., 0] + np.sin(yaw) * path[..., 1],
            np.cos(yaw) * path[..., 1] - np.sin(yaw) * path[..., 0],
        )
        actors.append(Actor(body, pose, place + path, yaw + heading))
    return _perform(actors, np.zeros(t.shape))


INTERACTIONS: dict[str, Callable[[Draw, Body, np.ndarray], Performance]] = {
    "handshake": handshake,
    "high_five": high_five,
    "mirrored_dance": mirrored_dance,
    "sparring": sparring,
    "pass_ball": pass_ball,
    "side_by_side": side_by_side,
    "talk": conversation,
    "apart": apart,
}
