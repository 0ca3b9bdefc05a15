"""How one person moves: standing, talking, waving, reaching, kicking, sitting, walking.

An action is a function of time with an individual style: it takes a `Draw` (the source of chance), the bodies
(n, 1) and times (n, F) in s, and returns a `Pose` of shape (n, F) in each person's stage frame (mm, rad).
Styles, amplitudes and timing are drawn widely, so that an action's name alone tells little of a pose.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mp3d.synthetic.body import SIDE, Body, Pose, trunk

RIGHT, LEFT = 0, 1


class Draw:
    """Chance for n performances: arrays of shape (n, 1, *shape), constant over the frames."""

    def __init__(self, rng: np.random.Generator, n: int):
        self.rng, self.n = rng, n

    def uniform(self, low: float | int, high: float | int, *shape: int) -> np.ndarray:
        """Evenly from `low` to `high`."""
        return self.rng.uniform(low, high, (self.n, 1, *shape))

    def integer(self, count: int, *shape: int) -> np.ndarray:
        """Evenly from 0 ... count - 1."""
        return self.rng.integers(count, size=(self.n, 1, *shape))

    def chance(self, probability: float, *shape: int) -> np.ndarray:
        """True with this probability."""
        return self.rng.random((self.n, 1, *shape)) < probability

    def sign(self, *shape: int) -> np.ndarray:
        """-1 or 1."""
        return 2.0 * self.integer(2, *shape) - 1

    def drift(self, *shape: int, period: tuple[float, float] = (1.5, 6.0)) -> Callable:
        """A smooth random function of time within -1 and 1: three sinusoids, periods in s."""
        size = (self.n, 1, *shape, 3)
        share = self.rng.dirichlet(np.ones(3), size[:-1])
        speed = 2 * np.pi / self.rng.uniform(*period, size)
        phase = self.rng.uniform(0, 2 * np.pi, size)

        def at(t: Float[np.ndarray, "n F"]) -> np.ndarray:
            t = t.reshape(*t.shape, *(1 for _ in shape), 1)
            return (share * np.sin(speed * t + phase)).sum(-1)

        return at


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _stack(*values) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*values), -1)


def _wrap(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


# ---------------------------------------------------------------------------------------- actions

# Where idle hands rest: (outward, down, forward) in arm lengths and the elbow's swivel.
_HANG, _HIP = (0.12, 0.95, 0.07, 0.0), (0.12, 0.70, 0.10, 0.7)
_POCKET, _BACK = (0.10, 0.80, 0.14, 0.2), (-0.08, 0.78, -0.20, 0.2)
_CLASP, _CHIN = (-0.24, 0.70, 0.36, 0.1), (-0.20, -0.02, 0.42, 0.0)
_FOLD, _UNDER = (-0.38, 0.42, 0.42, 0.1), (-0.34, 0.48, 0.34, 0.1)
_IDLE = [(_HANG, _HANG)] * 4 + [(_HIP, _HIP), (_HIP, _HANG), (_HANG, _HIP), (_POCKET, _POCKET)]
_IDLE += [(_POCKET, _HANG), (_BACK, _BACK), (_CLASP, _CLASP), (_FOLD, _UNDER), (_UNDER, _FOLD)]
IDLE = np.array(_IDLE + [(_CHIN, _UNDER), (_UNDER, _CHIN)])  # (styles, 2, 4)


def settle(body: Body, pose: Pose, free: float | np.ndarray = 0.0, crouch: float | np.ndarray = 0.0) -> Pose:
    """The pose with the pelvis lowered until the feet reach the floor with all but straight knees.

    Parameters
    ----------
    free : (..., 2) 0 for a standing foot, 1 for one that bears nothing
    crouch : (...) mm further down
    """
    t = trunk(body, pose)
    gap = pose.ankles * np.array([1.0, 0, 1]) * _sides() - t.hips * np.array([1.0, 0, 1])
    leg = 0.985 * body.leg[..., None]
    rise = np.sqrt(np.maximum(leg**2 - (gap**2).sum(-1), (0.3 * leg) ** 2))
    lower = pose.ankles[..., 1] - rise - t.hips[..., 1] - np.asarray(free) * leg
    pelvis = pose.pelvis + _stack(0.0, lower.max(-1) + crouch, 0.0)
    return replace(pose, pelvis=pelvis)


def _sides() -> np.ndarray:
    return np.stack([SIDE, np.ones(2), np.ones(2)], -1)


def stand(draw: Draw, body: Body, t: np.ndarray, width=(0.04, 0.11), turn: float = 0.25) -> Pose:
    """Stand, listen, look about: weight shifts between the feet, hands rest in one of many ways."""
    h = body.stature
    half, stagger = h * draw.uniform(*width), h * draw.uniform(-0.06, 0.06)
    sway = draw.drift(2)(t) * [0.020, 0.012] * h[..., None]
    lean = half * draw.uniform(-0.6, 0.6) * draw.chance(0.5)  # on one leg more than on the other
    ankles = np.zeros((*t.shape, 2, 3))
    ankles[..., 0], ankles[..., 1] = half[..., None], -body.ankle[..., None]
    ankles[..., 2] = stagger[..., None] * SIDE
    yaw = draw.uniform(-turn, turn) * 0.6 + 0.06 * draw.drift()(t)
    roll = -0.10 * lean / (0.1 * h)
    upper = draw.drift(3)(t) * [0.10, 0.05, 0.05]
    upper = upper + _stack(draw.uniform(-turn, turn), draw.uniform(-0.08, 0.16), -1.3 * roll)
    look = draw.drift(3)(t) * [0.45, 0.15, 0.10] + draw.uniform(-0.25, 0.25, 3) * [1, 0.6, 0.5]
    rest = IDLE[draw.integer(len(IDLE))[:, 0]][:, None]  # (n, 1, 2, 4)
    hands = rest[..., :3] + draw.uniform(-0.05, 0.05, 2, 3) + 0.03 * draw.drift(2, 3)(t)
    pose = Pose(
        pelvis=_stack(sway[..., 0] + lean, 0.0, sway[..., 1] - 0.010 * h),
        hips=_stack(yaw, 0.02, roll),
        torso=upper,
        head=look,
        wrists=hands,
        elbows=rest[..., 3] + draw.uniform(-0.15, 0.2, 2) + np.zeros((*t.shape, 2)),
        ankles=ankles,
        knees=draw.uniform(-0.05, 0.25, 2) + np.zeros((*t.shape, 2)),
        feet=draw.uniform(0.0, 0.45, 2) + np.zeros((*t.shape, 2)),
    )
    return settle(body, pose, crouch=0.015 * h * (1 + draw.drift()(t)))


def gesture(draw: Draw, pose: Pose, t: np.ndarray, weight: float | np.ndarray = 1.0) -> Pose:
    """Talk with the hands: one or both move before the body; `weight` fades the gestures in."""
    place = draw.uniform(0, 1, 2, 3) * [0.35, 0.45, 0.25] + [-0.15, 0.20, 0.38]
    swing = draw.drift(2, 3, period=(0.6, 2.2))(t) * [0.22, 0.26, 0.20]
    both = draw.integer(4)[..., None]
    active = np.where(both == 0, [1.0, 0.0], np.where(both == 1, [0.0, 1.0], 1.0))
    share = active * np.asarray(weight)[..., None] * np.ones((*t.shape, 2))
    nod = _stack(0.0, 0.10 * draw.drift(period=(0.5, 1.5))(t), 0.0)
    return replace(
        pose,
        wrists=pose.wrists + share[..., None] * (place + swing - pose.wrists),
        elbows=pose.elbows * (1 - share),
        head=pose.head + nod * np.asarray(weight)[..., None],
    )


def talk(draw: Draw, body: Body, t: np.ndarray) -> Pose:
    """Stand and talk with the hands."""
    return gesture(draw, stand(draw, body, t), t)


def wave(draw: Draw, body: Body, t: np.ndarray) -> Pose:
    """Wave with one hand beside or above the head."""
    pose, side = stand(draw, body, t), draw.integer(2)[..., None] == [0, 1]
    beat = np.sin(2 * np.pi * draw.uniform(1.2, 2.4) * t + draw.uniform(0, 6.3))
    out = draw.uniform(0.10, 0.45) + draw.uniform(0.15, 0.28) * beat
    hand = _stack(out, -draw.uniform(0.30, 0.75), draw.uniform(0.10, 0.40))
    return replace(
        pose,
        wrists=np.where(side[..., None], hand[..., None, :], pose.wrists),
        elbows=np.where(side, 0.35, pose.elbows),
    )


def reach_out(draw: Draw, body: Body, t: np.ndarray) -> Pose:
    """Reach for something high, low or ahead with one hand, and draw back, again and again."""
    pose, side = stand(draw, body, t), draw.integer(2)[..., None] == [0, 1]
    cycle = t / draw.uniform(2.5, 4.0) + draw.uniform(0, 1)
    w = np.sin(np.pi * (cycle % 1)) ** 2
    rise = draw.uniform(-0.9, 0.9)
    out = draw.uniform(-0.2, 0.6)
    hand = _stack(out, -np.sin(rise), np.cos(rise)) * 0.95
    bend = np.maximum(-rise, 0.0) * 0.9 + 0.15
    toward = np.where(side[..., 0], 1.0, -1.0)
    w2 = np.where(side, w[..., None], 0.0)
    pose = replace(
        pose,
        torso=pose.torso + _stack(-0.25 * toward * w, bend * w, 0.1 * toward * w * out),
        hips=pose.hips + _stack(0.0 * w, 0.35 * bend * w, 0.0 * w),
        head=pose.head * (1 - w)[..., None] + _stack(0.3 * toward * out, -0.4 * rise, 0.0) * w[..., None],
        wrists=pose.wrists + w2[..., None] * (hand[..., None, :] - pose.wrists),
        elbows=pose.elbows * (1 - w2),
        pelvis=pose.pelvis - _stack(0.0 * w, 0.0, 120 * w * bend),
    )
    return settle(body, pose)


def kick(draw: Draw, body: Body, t: np.ndarray) -> Pose:
    """Kick forward with one leg: knee up, leg out, knee back, foot down."""
    h = body.stature
    pose, side = stand(draw, body, t, turn=0.1), draw.integer(2)
    x = (t / draw.uniform(1.4, 2.4) + draw.uniform(0, 1)) % 1
    target = _stack(draw.uniform(-0.03, 0.08), -draw.uniform(0.15, 0.60), draw.uniform(0.34, 0.44))
    pose = raise_leg(body, pose, side, target * h[..., None], *strike(x))
    guard = np.array([0.05, 0.35, 0.40]) + draw.uniform(-0.15, 0.15, 2, 3)
    w = np.maximum(*strike(x))[..., None, None]
    return replace(pose, wrists=pose.wrists + w * (guard - pose.wrists))


def strike(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chamber and extension of a blow over its phase x (0 ... 1): both 0 ... 1; out at x = 0.42 ... 0.52."""
    chamber = smoothstep(x / 0.28) - smoothstep((x - 0.66) / 0.30)
    return chamber, smoothstep((x - 0.22) / 0.20) - smoothstep((x - 0.52) / 0.20)


def raise_leg(
    body: Body, pose: Pose, side: np.ndarray, target: np.ndarray, chamber: np.ndarray, out: np.ndarray
) -> Pose:
    """Stand on one leg and bring the other foot to `target` (outward, down, forward; stage, mm)."""
    h, mine = body.stature, (side[..., None] == [0, 1]).astype(float)  # (n, 1, 2)
    sign = np.where(side == RIGHT, 1.0, -1.0)
    knee_up = _stack(0.05 * h, 0.45 * target[..., 1] - 0.12 * h, 0.06 * h)
    path = pose.ankles + (mine * chamber[..., None])[..., None] * (knee_up[..., None, :] - pose.ankles)
    path = path + (mine * out[..., None])[..., None] * (target[..., None, :] - path)
    support = (pose.ankles[..., 0] * (1 - mine)).sum(-1) * -sign  # x of the standing foot
    height = np.clip(-target[..., 1] / h - 0.2, 0, 1)
    pelvis = pose.pelvis.copy() + np.zeros_like(path[..., 0, :])
    pelvis[..., 0] += chamber * (0.75 * support - pelvis[..., 0])
    back = _stack(0.25 * sign * out, -(0.15 + 0.7 * height) * out, 0.15 * sign * out)
    pose = replace(
        pose,
        pelvis=pelvis,
        ankles=path,
        torso=pose.torso + back,
        hips=pose.hips + _stack(-0.3 * sign * out, -0.25 * out, 0.0),
    )
    return settle(body, pose, free=mine * chamber[..., None])


def sit(draw: Draw, body: Body, t: np.ndarray) -> Pose:
    """Sit on a chair 0.40 to 0.50 m high: hands on the lap, on a table, or talking."""
    pose, h = stand(draw, body, t), body.stature
    ankles = pose.ankles.copy()
    ankles[..., 0] = h[..., None] * draw.uniform(0.03, 0.13, 2)
    ankles[..., 2] = body.thigh[..., None] * draw.uniform(0.65, 1.15, 1) + h[..., None] * draw.uniform(-0.05, 0.05, 2)
    lap = draw.uniform(0, 1, 2, 3) * [0.20, 0.20, 0.20] + [-0.20, 0.52, 0.42]
    table = draw.uniform(0, 1, 2, 3) * [0.30, 0.15, 0.25] + [-0.20, 0.38, 0.50]
    hands = np.where(draw.chance(0.5)[..., None, None], lap, table) + 0.04 * draw.drift(2, 3)(t)
    zero = np.zeros(t.shape)
    pose = replace(
        pose,
        pelvis=_stack(zero, -draw.uniform(0.40, 0.50) * 1000 - 0.054 * h, zero),
        hips=_stack(zero, draw.uniform(-0.35, 0.25), zero),
        torso=pose.torso + _stack(0.0, draw.uniform(-0.05, 0.30), 0.0),
        ankles=ankles,
        wrists=hands,
        elbows=draw.uniform(0.0, 0.5, 2) + zero[..., None],
    )
    return gesture(draw, pose, t, draw.chance(0.4) * 1.0)


@dataclass(frozen=True, eq=False)
class Gait:
    """A way of walking; walkers in step share `period` and `phase`."""

    period: np.ndarray  # s a cycle
    phase: np.ndarray  # cycles at t = 0
    stride: np.ndarray  # mm a cycle
    curve: np.ndarray  # 1/mm, the path's curvature, positive to the right

    @classmethod
    def draw(cls, draw: Draw, body: Body) -> "Gait":
        """A gait that suits the body: 0.95 to 1.35 s and 0.55 to 0.85 statures a cycle, turns of 1.8 to 6 m radius."""
        radius = draw.uniform(1800, 6000) * draw.sign()
        pace = draw.uniform(0.95, 1.35)
        stride = body.stature * draw.uniform(0.55, 0.85)
        return cls(pace, draw.uniform(0, 1), stride, 1 / radius)

    def path(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (n, F, 2) (x, z; mm) and heading (n, F) (rad) on the curve, from the origin along z at t = 0."""
        s = self.stride * t / self.period
        heading = s * self.curve
        place = _stack((1 - np.cos(heading)) / self.curve, np.sin(heading) / self.curve)
        return place, heading


def walk(draw: Draw, body: Body, t: np.ndarray, gait: Gait) -> Pose:
    """Walk: a standing foot stays on its place on the floor, arms swing against the legs.

    The pose (n, F) is in the stage frame that moves along `gait.path(t)`.
    """
    h, duty = body.stature, 0.62
    cycle = (t / gait.period + gait.phase)[..., None] + [0.0, 0.5]  # right, left
    u = cycle % 1
    length = (gait.stride * duty)[..., None]  # what the foot moves back under the body in a stance
    w, slope = np.clip((u - duty) / (1 - duty), 0, 1), -(1 - duty) / duty
    ahead = w * w * (3 - 2 * w) + slope * (2 * w**3 - 3 * w**2 + w)
    s = length * np.where(u < duty, 0.5 - u / duty, ahead - 0.5)
    lift = np.sin(np.pi * np.clip((u - 0.5) / 0.5, 0, 1)) ** 1.5
    # Feet follow the curved path beside its middle line.
    side = h[..., None] * draw.uniform(0.03, 0.06, 1) * SIDE
    radius = 1 / gait.curve[..., None] - side
    place_x = 1 / gait.curve[..., None] - radius * np.cos(gait.curve[..., None] * s)
    place_z = radius * np.sin(gait.curve[..., None] * s)
    height = body.ankle[..., None] + h[..., None] * draw.uniform(0.05, 0.09, 1) * lift
    ankles = _stack(place_x * SIDE, -height, place_z)
    swing = np.cos(2 * np.pi * (cycle - 0.02))  # 1 with this foot foremost
    amount, bent = draw.uniform(0.10, 0.32)[..., None], draw.uniform(0.03, 0.20)[..., None]
    forward_hand = 0.10 + bent - amount * swing
    wrists = _stack(draw.uniform(0.06, 0.20, 2), 0.95 - bent * 0.8 - 0.1 * amount, forward_hand)
    rest = IDLE[draw.integer(len(IDLE))[:, 0]][:, None]
    still = draw.chance(0.15)[..., None]  # some walk with their hands in the pockets
    zero = np.zeros(t.shape)
    reach_now = 0.5 * length[..., 0] * np.cos(2 * np.pi * cycle[..., 0])
    top = np.sqrt((0.985 * body.leg) ** 2 - reach_now**2) + body.ankle
    twist = draw.uniform(0.04, 0.14) * (swing[..., 0] - swing[..., 1]) / 2
    look = draw.drift(3)(t) * [0.35, 0.12, 0.05]
    return Pose(
        pelvis=_stack(0.012 * h * np.sin(2 * np.pi * (cycle[..., 0] - 0.06)), -top, zero),
        hips=_stack(-twist * 0.7, 0.03, 0.03 * np.sin(2 * np.pi * (cycle[..., 0] - 0.06))),
        torso=_stack(twist * 1.7, draw.uniform(-0.03, 0.12), zero),
        head=look,
        wrists=np.where(still[..., None], rest[..., :3], wrists),
        elbows=np.where(still, rest[..., 3], 0.0) + zero[..., None],
        ankles=ankles,
        knees=draw.uniform(-0.05, 0.1, 2) + zero[..., None],
        feet=draw.uniform(0.0, 0.2, 2) + zero[..., None] + gait.curve[..., None] * s * SIDE,
    )


ACTIONS: dict[str, Callable[[Draw, Body, np.ndarray], Pose]] = {
    "stand": stand,
    "talk": talk,
    "wave": wave,
    "reach": reach_out,
    "kick": kick,
    "sit": sit,
}
