"""A human body: sizes, kinematics, joint limits, capsules, and what a camera sees of it.

Frames are right-handed with x to the right, y down and z forward: the camera's axes, and the axes of
a person who looks along z. A person's *stage frame* has its origin on the floor below them. Limbs
are written with x *outward* (right limb: x, left limb: -x), so that the mirror image of a pose is
its two sides swapped and nothing else.

Everything is vectorised: a leading "..." stands for any batch, and sizes broadcast against poses.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8

from mp3d.skeletons import MUCO21

# MuCo's 21 joints (MPI17, hands, toes) and the nose, which shows where the face is.
POINTS: tuple[str, ...] = (*MUCO21.joints, "nose")
SIDE = np.array([1.0, -1.0])  # right, left: the sign of "outward" along x

# Joint limits, rad. A limb's upper bone stays in a cone (axis: outward, down, forward), its hinge
# bends one way only, and the hinge's plane swivels about the line from root to end.
ARM_CONE, ARM_CONE_ANGLE = np.array([0.60, 0.25, 0.76]), np.deg2rad(118)
LEG_CONE, LEG_CONE_ANGLE = np.array([0.15, 0.75, 0.64]), np.deg2rad(85)
ELBOW_RANGE = KNEE_RANGE = tuple(np.deg2rad([2.0, 150.0]))
SWIVEL_LIMIT = np.deg2rad(75)
TORSO_LIMIT = np.deg2rad([[-50, 50], [-30, 85], [-35, 35]])  # twist, bend, side
HEAD_LIMIT = np.deg2rad([[-75, 75], [-50, 50], [-35, 35]])  # turn, nod, tilt

# Segment lengths and joint heights as parts of the stature: Drillis and Contini, in Winter,
# "Biomechanics and Motor Control of Human Movement", figure 4.1; hips, neck and head as the joints of
# MPI-INF-3DHP have them (hips 265 mm apart, neck above the mid-shoulders, neck to head top 280 mm).
_COLUMN = {"ankle": 0.039, "shank": 0.246, "thigh": 0.245, "torso": 0.306, "neck": 0.054}
_COLUMN |= {"skull": 0.110}
_ACROSS = {"hip": 0.073, "shoulder": 0.106, "slope": 0.024, "upper_arm": 0.186, "forearm": 0.146}
_ACROSS |= {"hand": 0.055, "foot": 0.105}

# Capsules: two points and the radius as a part of the stature. The head's lies inside the skull.
CAPSULES: tuple[tuple[str, str, float], ...] = (
    ("r_shoulder", "l_shoulder", 0.042),
    ("r_hip", "l_hip", 0.054),
    ("r_shoulder", "r_hip", 0.046),
    ("l_shoulder", "l_hip", 0.046),
    ("neck", "pelvis", 0.058),
    ("neck", "head", 0.034),
    ("head", "head_top", 0.050),
    *(
        (f"{side}_{a}", f"{side}_{b}", radius)
        for side in "rl"
        for a, b, radius in (
            ("shoulder", "elbow", 0.027),
            ("elbow", "wrist", 0.022),
            ("wrist", "hand", 0.019),
            ("hip", "knee", 0.044),
            ("knee", "ankle", 0.030),
            ("ankle", "toe", 0.022),
        )
    ),
)


@dataclass(frozen=True, eq=False)
class Body:
    """Sizes of a batch of bodies, mm; every field has the batch's shape.

    `hip` and `shoulder` are half widths, `slope` is how far the shoulders lie below the neck,
    `ankle` the ankle's height; `girth` scales the capsules' radii (1 is average).
    """

    stature: Float[np.ndarray, "..."]
    ankle: Float[np.ndarray, "..."]
    shank: Float[np.ndarray, "..."]
    thigh: Float[np.ndarray, "..."]
    torso: Float[np.ndarray, "..."]
    neck: Float[np.ndarray, "..."]
    skull: Float[np.ndarray, "..."]
    hip: Float[np.ndarray, "..."]
    shoulder: Float[np.ndarray, "..."]
    slope: Float[np.ndarray, "..."]
    upper_arm: Float[np.ndarray, "..."]
    forearm: Float[np.ndarray, "..."]
    hand: Float[np.ndarray, "..."]
    foot: Float[np.ndarray, "..."]
    girth: Float[np.ndarray, "..."]

    def __getitem__(self, index) -> "Body":
        """The bodies at `index`, any numpy index of the batch."""
        return Body(*(np.asarray(getattr(self, f.name)[index]) for f in fields(self)))

    @property
    def arm(self) -> Float[np.ndarray, "..."]:
        """Shoulder to wrist, stretched."""
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> Float[np.ndarray, "..."]:
        """Hip to ankle, stretched."""
        return self.thigh + self.shank


def sample_body(rng: np.random.Generator, shape: tuple[int, ...]) -> Body:
    """Draw bodies of 1.5 to 2.0 m with individual proportions (about 4 % a segment)."""
    stature = np.clip(rng.normal(1730, 95, shape), 1500, 2000)

    def vary(ratio: float) -> np.ndarray:
        return ratio * (1 + 0.04 * np.clip(rng.standard_normal(shape), -2.5, 2.5))

    column = {name: vary(ratio) for name, ratio in _COLUMN.items()}
    total = sum(column.values())  # the segments one above the other make up the stature
    sizes = {name: stature * ratio / total for name, ratio in column.items()}
    sizes |= {name: stature * vary(ratio) for name, ratio in _ACROSS.items()}
    return Body(stature=stature, girth=vary(1.0) + rng.uniform(-0.08, 0.15, shape), **sizes)


@dataclass(frozen=True, eq=False)
class Pose:
    """What an animator would hold: trunk angles, and where hands and feet are. Stage frame.

    Angles in rad. Yaw turns to one's right, bend leans forward, side leans to one's right. Wrists
    are measured from the shoulder in the torso's axes (outward, down, forward) in arm lengths, so
    that people of different size can share them; ankles stand in the stage frame (outward, down,
    forward), mm. `elbows` and `knees` swivel the hinges outward, `feet` point the toes outward.
    """

    pelvis: Float[np.ndarray, "... 3"]
    hips: Float[np.ndarray, "... 3"]  # yaw, bend, side of the pelvis
    torso: Float[np.ndarray, "... 3"]  # twist, bend, side of the shoulders against the pelvis
    head: Float[np.ndarray, "... 3"]  # turn, nod, tilt
    wrists: Float[np.ndarray, "... 2 3"]
    elbows: Float[np.ndarray, "... 2"]
    ankles: Float[np.ndarray, "... 2 3"]
    knees: Float[np.ndarray, "... 2"]
    feet: Float[np.ndarray, "... 2"]

    def mirrored(self) -> "Pose":
        """The mirror image in the plane x = 0 of the stage frame."""
        flip = np.array([-1.0, 1.0, -1.0])  # yaw and side change sign, bend does not
        return Pose(
            pelvis=self.pelvis * [-1.0, 1.0, 1.0],
            hips=self.hips * flip,
            torso=self.torso * flip,
            head=self.head * flip,
            **{n: getattr(self, n)[..., ::-1, :] for n in ("wrists", "ankles")},
            **{n: getattr(self, n)[..., ::-1] for n in ("elbows", "knees", "feet")},
        )


def rotation(angles: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3 3"]:
    """Rotation matrix of yaw (to the right), bend (forward) and side (to the right)."""
    (sa, sb, sc), (ca, cb, cc) = (np.moveaxis(f(angles), -1, 0) for f in (np.sin, np.cos))
    sb = -sb  # a positive bend brings the head, which is up (-y), forward (+z)
    rows = (ca * cc + sa * sb * sc, -ca * sc + sa * sb * cc, sa * cb)
    rows += (cb * sc, cb * cc, -sb)
    rows += (-sa * cc + ca * sb * sc, sa * sc + ca * sb * cc, ca * cb)
    return np.stack(rows, -1).reshape(*sa.shape, 3, 3)


def _turn(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]


def _up(length: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros_like(length), -length, np.zeros_like(length)], -1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.sqrt((v * v).sum(-1, keepdims=True)), 1e-9)


@dataclass(frozen=True, eq=False)
class Trunk:
    """The trunk of a pose: joints and axes in the stage frame."""

    hips: Float[np.ndarray, "... 2 3"]
    spine: Float[np.ndarray, "... 3"]
    neck: Float[np.ndarray, "... 3"]
    shoulders: Float[np.ndarray, "... 2 3"]
    pelvis_axes: Float[np.ndarray, "... 3 3"]
    torso_axes: Float[np.ndarray, "... 3 3"]


def trunk(body: Body, pose: Pose) -> Trunk:
    """Forward kinematics from the pelvis to the shoulders, joint limits applied."""
    torso = np.clip(pose.torso, *TORSO_LIMIT.T)
    pelvis_axes = rotation(pose.hips)
    torso_axes = pelvis_axes @ rotation(torso)
    half = _up(body.torso / 2)
    spine = pose.pelvis + _turn(pelvis_axes @ rotation(torso * 0.35), half)
    neck = spine + _turn(torso_axes, half)
    across = torso_axes[..., None, :, 0] * SIDE[:, None]  # (..., 2, 3)
    down = (body.slope[..., None] * torso_axes[..., :, 1])[..., None, :]
    shoulders = (neck[..., None, :] + down) + across * body.shoulder[..., None, None]
    hips = pelvis_axes[..., None, :, 0] * SIDE[:, None] * body.hip[..., None, None]
    return Trunk(pose.pelvis[..., None, :] + hips, spine, neck, shoulders, pelvis_axes, torso_axes)


def two_bone(
    target: Float[np.ndarray, "... 3"],
    upper: Float[np.ndarray, "..."],
    lower: Float[np.ndarray, "..."],
    pole: Float[np.ndarray, "... 3"],
    swivel: Float[np.ndarray, "..."],
    cone: Float[np.ndarray, "3"],
    cone_angle: float,
    bend: tuple[float, float],
) -> tuple[Float[np.ndarray, "... 3"], Float[np.ndarray, "... 3"]]:
    """Analytic inverse kinematics of a limb of two bones; the limb's root is the origin.

    The hinge lies on the side of `pole`, swivelled about the line to the target. A target out of
    reach is brought into reach along its ray; a limb whose upper bone leaves its cone is turned back as a
    whole, so that hinge and bend stay legal and the end misses the target.

    Returns
    -------
    hinge, end : positions of elbow and wrist (knee and ankle), mm.
    """
    reach = [np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(a)) for a in bend]
    axis = _unit(target)
    distance = np.clip(np.sqrt((target * target).sum(-1)), reach[1], reach[0])
    side = _unit(pole - (pole * axis).sum(-1, keepdims=True) * axis)
    swivel = np.clip(swivel, -SWIVEL_LIMIT, SWIVEL_LIMIT)[..., None]
    side = np.cos(swivel) * side + np.sin(swivel) * np.cross(side, axis)
    along = (distance**2 + upper**2 - lower**2) / (2 * distance)
    off = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    hinge = axis * along[..., None] + side * off[..., None]
    end = axis * distance[..., None]
    # Back into the cone: turn about (upper bone) x (cone axis) by what is too much.
    cone = cone / np.linalg.norm(cone)
    excess = np.arccos(np.clip(_unit(hinge) @ cone, -1, 1)) - cone_angle
    angle = np.maximum(excess, 0.0)[..., None]
    spin = _unit(np.cross(hinge, cone))

    def back(v: np.ndarray) -> np.ndarray:
        dot = (spin * v).sum(-1, keepdims=True)
        return v * np.cos(angle) + np.cross(spin, v) * np.sin(angle) + spin * dot * (1 - np.cos(angle))

    return (back(hinge), back(end)) if (excess > 0).any() else (hinge, end)


def _elbow_pole(target: np.ndarray) -> np.ndarray:
    """Elbows point down and out before the body, back when the hand hangs, out when it is up."""
    down = _unit(target)[..., 1]
    forward = np.where(down > 0, -0.9 * down, -0.5 * down)
    return np.stack([np.full_like(down, 0.45), 1 - 0.8 * np.abs(down), forward], -1)


def _knee_pole(target: np.ndarray) -> np.ndarray:
    """Knees point forward, and up when the leg is held forward."""
    axis = _unit(target)
    return np.stack([np.full_like(axis[..., 0], 0.1), -axis[..., 2], axis[..., 1] + 0.25], -1)


def forward(body: Body, pose: Pose) -> Float[np.ndarray, "... 22 3"]:
    """The points (`POINTS`) of a pose in its stage frame, mm. Joint limits hold by construction.

    The trunk is plain forward kinematics; arms and legs come from `two_bone`. Toes that would sink
    bend on the floor.
    """
    t = trunk(body, pose)
    neck_axes = t.torso_axes @ rotation(np.clip(pose.head, *HEAD_LIMIT.T) * 0.5)
    head_axes = t.torso_axes @ rotation(np.clip(pose.head, *HEAD_LIMIT.T))
    zero = np.zeros_like(body.neck)
    head = t.neck + _turn(neck_axes, np.stack([zero, -body.neck, 0.35 * body.neck], -1))
    head_top = head + _turn(head_axes, _up(body.skull))
    nose = head + _turn(head_axes, np.stack([zero, -0.35 * body.skull, 0.55 * body.skull], -1))

    two = (body.upper_arm[..., None], body.forearm[..., None])
    target = pose.wrists * body.arm[..., None, None]
    elbow, wrist = two_bone(target, *two, _elbow_pole(target), pose.elbows, ARM_CONE, ARM_CONE_ANGLE, ELBOW_RANGE)
    elbow, wrist = (_limb_to_stage(v, t.shoulders, t.torso_axes) for v in (elbow, wrist))
    hand = wrist + _unit(wrist - elbow) * body.hand[..., None, None]

    two = (body.thigh[..., None], body.shank[..., None])
    target = stage_to_limb(pose.ankles * _OUTWARD, t.hips, t.pelvis_axes)
    knee, ankle = two_bone(target, *two, _knee_pole(target), pose.knees, LEG_CONE, LEG_CONE_ANGLE, KNEE_RANGE)
    knee, ankle = (_limb_to_stage(v, t.hips, t.pelvis_axes) for v in (knee, ankle))
    # The foot hangs at right angles to the shank as far as the toes' direction allows.
    heading = np.stack([SIDE * np.sin(pose.feet), np.zeros_like(pose.feet), np.cos(pose.feet)], -1)
    shank = _unit(ankle - knee)
    instep = _unit(heading - 0.85 * (heading * shank).sum(-1, keepdims=True) * shank)
    toe = ankle + _unit(instep + 0.35 * shank) * body.foot[..., None, None]
    sole = -_RADIUS["toe"] * (body.stature * body.girth)[..., None]
    toe[..., 1] = np.minimum(toe[..., 1], sole)

    points = np.empty((*np.broadcast_shapes(head.shape[:-1], ankle.shape[:-2]), len(POINTS), 3))
    points[..., [0, 1, 14, 15, 16, 21], :] = np.stack(
        np.broadcast_arrays(head_top, t.neck, pose.pelvis, t.spine, head, nose), -2
    )
    for index, joint in zip(
        ([2, 5], [3, 6], [4, 7], [8, 11], [9, 12], [10, 13], [17, 18], [19, 20]),
        (t.shoulders, elbow, wrist, t.hips, knee, ankle, hand, toe),
        strict=True,
    ):
        points[..., index, :] = joint
    return points


_OUTWARD = np.stack([SIDE, np.ones(2), np.ones(2)], -1)  # (2, 3): stage axes <-> limb axes
_RADIUS = {b.removeprefix("r_"): radius for _, b, radius in CAPSULES}


def _limb_to_stage(limb: np.ndarray, root: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(..., 2, 3) from limb axes (outward, down, forward) to the stage frame."""
    return root + np.einsum("...ij,...sj->...si", axes, limb * _OUTWARD)


def stage_to_limb(
    points: Float[np.ndarray, "... 2 3"],
    root: Float[np.ndarray, "... 2 3"],
    axes: Float[np.ndarray, "... 3 3"],
) -> Float[np.ndarray, "... 2 3"]:
    """Points of the stage frame, one a side, seen from each limb's root (outward, down, forward)."""
    return np.einsum("...ji,...sj->...si", axes, points - root) * _OUTWARD


def reach(
    body: Body,
    pose: Pose,
    side: int,
    target: Float[np.ndarray, "... 3"],
    weight: float | Float[np.ndarray, "..."] = 1.0,
) -> Pose:
    """The pose with one wrist brought to `target` (stage frame, mm); 0 right, 1 left.

    `weight` blends from where the wrist is (0) to the target (1).
    """
    t = trunk(body, pose)
    both = stage_to_limb(np.stack([target, target], -2), t.shoulders, t.torso_axes)
    weight = np.asarray(weight, float)[..., None]
    shape = np.broadcast_shapes(both.shape, pose.wrists.shape)
    wrists = np.broadcast_to(pose.wrists, shape).copy()
    aim = both[..., side, :] / body.arm[..., None]
    wrists[..., side, :] = (1 - weight) * wrists[..., side, :] + weight * aim
    return replace(pose, wrists=wrists)


def capsules(
    body: Body, points: Float[np.ndarray, "... 22 3"]
) -> tuple[Float[np.ndarray, "... 19 3"], Float[np.ndarray, "... 19 3"], Float[np.ndarray, "... 19"]]:
    """The two ends (mm) and the radius (mm) of a body's capsules, in the order of `CAPSULES`."""
    return skin(points, body.stature * body.girth)


def skin(
    points: Float[np.ndarray, "... 22 3"], size: Float[np.ndarray, "..."]
) -> tuple[Float[np.ndarray, "... 19 3"], Float[np.ndarray, "... 19 3"], Float[np.ndarray, "... 19"]]:
    """As `capsules`, from the points and what the radii are parts of: stature times girth, mm."""
    first = points[..., _FIRST, :]
    last = points[..., _LAST, :].copy()
    radius = _RADII * size[..., None]
    skull = last[..., _HEAD, :] - first[..., _HEAD, :]
    last[..., _HEAD, :] -= _unit(skull) * radius[..., _HEAD, None]  # the top touches head_top
    return first, last, np.broadcast_to(radius, first.shape[:-1])


_FIRST = np.array([POINTS.index(a) for a, _, _ in CAPSULES])
_LAST = np.array([POINTS.index(b) for _, b, _ in CAPSULES])
_RADII = np.array([r for _, _, r in CAPSULES])
_HEAD = [b for _, b, _ in CAPSULES].index("head_top")
LOWER_ARMS = np.array(["wrist" in a + b for a, b, _ in CAPSULES])  # forearms and hands


def penetration(
    body_a: Body,
    points_a: Float[np.ndarray, "... 22 3"],
    body_b: Body,
    points_b: Float[np.ndarray, "... 22 3"],
    contact: bool = True,
) -> Float[np.ndarray, "..."]:
    """How deep two bodies pass into one another, mm: the largest overlap of any two capsules.

    With `contact=False` pairs of lower arms (forearm, hand) do not count: hands that meet may.
    """
    a0, a1, ra = (v[..., :, None, :] for v in _as_vectors(body_a, points_a))
    b0, b1, rb = (v[..., None, :, :] for v in _as_vectors(body_b, points_b))
    depth = (ra + rb)[..., 0] - segment_distance(a0, a1, b0, b1)
    if not contact:
        depth = np.where(LOWER_ARMS[:, None] & LOWER_ARMS, -np.inf, depth)
    return np.maximum(depth.max((-1, -2)), 0.0)


def _as_vectors(body: Body, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, last, radius = capsules(body, points)
    return first, last, radius[..., None]


def segment_distance(
    p0: Float[np.ndarray, "... 3"],
    p1: Float[np.ndarray, "... 3"],
    q0: Float[np.ndarray, "... 3"],
    q1: Float[np.ndarray, "... 3"],
) -> Float[np.ndarray, "..."]:
    """Smallest distance between two segments (Ericson, "Real-Time Collision Detection", 5.1.9)."""
    d1, d2, r = p1 - p0, q1 - q0, p0 - q0
    a, e, b = ((u * v).sum(-1) for u, v in ((d1, d1), (d2, d2), (d1, d2)))
    c, f = ((u * r).sum(-1) for u in (d1, d2))
    a, e = np.maximum(a, 1e-9), np.maximum(e, 1e-9)
    determinant = a * e - b * b
    s = np.where(determinant > 1e-9 * a * e, (b * f - c * e) / np.maximum(determinant, 1e-9), 0.0)
    t = np.clip((b * np.clip(s, 0, 1) + f) / e, 0, 1)
    s = np.clip((b * t - c) / a, 0, 1)
    gap = r + s[..., None] * d1 - t[..., None] * d2
    return np.sqrt((gap * gap).sum(-1))


def ray_capsule(
    rays: Float[np.ndarray, "... R 3"],
    first: Float[np.ndarray, "... K 3"],
    last: Float[np.ndarray, "... K 3"],
    radius: Float[np.ndarray, "... K"],
) -> Float[np.ndarray, "... R K"]:
    """Where rays from the origin enter capsules: the distance in mm, infinity for a miss.

    `rays` are unit vectors and the origin lies outside of every capsule. A capsule is its cylinder
    between two balls, so a ray that misses the endless cylinder misses all; one that enters it
    beyond an end can only meet that end's ball.
    """
    axis = last - first
    square = (axis * axis).sum(-1)[..., None, :]
    across = (first * axis).sum(-1)[..., None, :]
    swap = lambda v: np.swapaxes(v, -1, -2)  # noqa: E731
    along, to_first = rays @ swap(axis), rays @ swap(first)  # (..., R, K)
    beyond = (first * first).sum(-1)[..., None, :] - radius[..., None, :] ** 2
    # The cylinder: |(t ray - first) x axis|^2 = radius^2 |axis|^2, a quadratic in t.
    qa = np.maximum(square - along**2, 1e-9 * square)
    qb = square * to_first - across * along
    root = qb * qb - qa * (square * beyond - across**2)
    hit = root >= 0
    t = (qb - np.sqrt(np.where(hit, root, 0.0))) / qa
    place = t * along - across  # 0 ... square between the ends
    # The balls at the ends: |t ray - end|^2 = radius^2.
    lower, upper = place < 0, place > square
    to_end = np.where(upper, to_first + along, to_first)
    far = beyond + np.where(upper, square + 2 * across, 0.0)
    ball = to_end**2 - far
    t = np.where(lower | upper, to_end - np.sqrt(np.maximum(ball, 0.0)), t)
    return np.where(hit & (t > 0) & ((ball >= 0) | ~(lower | upper)), t, np.inf)


def visibility(
    body: Body,
    points: Float[np.ndarray, "... P 22 3"],
    inside: Bool[np.ndarray, "... P 17"],
) -> UInt8[np.ndarray, "... P 17"]:
    """What a camera at the origin sees of the MPI17 joints: 0 outside, 1 hidden, 2 visible.

    A joint is visible where the first surface on its ray is the skin around it: a capsule of its own
    body which ends at the joint or contains it. `points` are in the camera frame, `body` has the
    batch's shape (..., P), `inside` says which joints fall into the image.
    """
    batch, people = points.shape[:-3], points.shape[-3]
    joints = points[..., :17, :]
    first, last, radius = capsules(body, points)
    distance = np.sqrt((joints * joints).sum(-1))
    enter = ray_capsule(
        (joints / distance[..., None]).reshape(*batch, people * 17, 3),
        first.reshape(*batch, -1, 3),
        last.reshape(*batch, -1, 3),
        radius.reshape(*batch, -1),
    ).reshape(*batch, people, 17, people, len(CAPSULES))
    own = np.arange(people)
    mine = np.moveaxis(enter[..., own, :, own, :], 0, -3)  # (..., P, 17, K)
    skin = _ADJOIN | (_axis_distance(joints, first, last) < radius[..., None, :])
    surface = np.minimum(np.where(skin, mine, np.inf).min(-1), distance)
    enter[..., own, :, own, :] = np.moveaxis(np.where(skin, np.inf, mine), -3, 0)
    hidden = enter.min((-1, -2)) < surface - 1e-6
    return np.where(inside, np.where(hidden, 1, 2), 0).astype(np.uint8)


_ADJOIN = np.array([[joint in (a, b) for a, b, _ in CAPSULES] for joint in POINTS[:17]])


def _axis_distance(points: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Distance of points (..., N, 3) from segments (..., K, 3): (..., N, K)."""
    axis, offset = (last - first)[..., None, :, :], points[..., :, None, :] - first[..., None, :, :]
    place = (offset * axis).sum(-1) / np.maximum((axis * axis).sum(-1), 1e-9)
    gap = offset - np.clip(place, 0, 1)[..., None] * axis
    return np.sqrt((gap * gap).sum(-1))
