"""The body: kinematics, joint limits, capsules, and what hides what. Lengths in mm."""

from dataclasses import replace

import numpy as np
import pytest

from mp3d.skeletons import MPI17
from mp3d.synthetic import body as b
from mp3d.synthetic.shots import _shots
from mp3d.synthetic.worlds import DUET

POINT = {name: i for i, name in enumerate(b.POINTS)}


def distance(points, first, last):
    return np.linalg.norm(points[..., POINT[first], :] - points[..., POINT[last], :], axis=-1)


def bend(points, root, hinge, end):
    """How far a hinge is bent, degrees: 0 is straight."""
    upper, lower = (points[..., POINT[q], :] - points[..., POINT[p], :] for p, q in ((root, hinge), (hinge, end)))
    cos = (upper * lower).sum(-1) / np.linalg.norm(upper, axis=-1) / np.linalg.norm(lower, axis=-1)
    return np.degrees(np.arccos(np.clip(cos, -1, 1)))


def wild(rng, n):
    """Poses nobody would strike: every angle and target drawn far beyond what a body can do."""
    return b.Pose(
        pelvis=rng.normal(0, 300, (n, 3)) - [0, 900, 0],
        hips=rng.uniform(-3, 3, (n, 3)),
        torso=rng.uniform(-3, 3, (n, 3)),
        head=rng.uniform(-3, 3, (n, 3)),
        wrists=rng.uniform(-1.5, 1.5, (n, 2, 3)),
        elbows=rng.uniform(-3, 3, (n, 2)),
        ankles=rng.normal(0, 900, (n, 2, 3)),
        knees=rng.uniform(-3, 3, (n, 2)),
        feet=rng.uniform(-2, 2, (n, 2)),
    )


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    body, pose = b.sample_body(rng, (3000,)), wild(rng, 3000)
    return body, pose, b.forward(body, pose)


def upright(n=1):
    """Somebody of average size who stands and lets the arms hang."""
    body = b.sample_body(np.random.default_rng(4), (n,))
    ankles = np.stack([0.06 * body.stature, -body.ankle, 0 * body.ankle], -1)[:, None].repeat(2, 1)
    zero = np.zeros((n, 3))
    pelvis = np.stack([0 * body.leg, -body.ankle - 0.98 * body.leg, 0 * body.leg], -1)
    pose = b.Pose(
        pelvis, zero, zero, zero, np.full((n, 2, 3), (0.15, 0.9, 0.1)), np.zeros((n, 2)), ankles, *np.zeros((2, n, 2))
    )
    return body, pose


# -------------------------------------------------------------------------------------- kinematics


def test_a_column_of_segments_makes_the_stature():
    body = b.sample_body(np.random.default_rng(1), (500,))
    column = body.ankle + body.shank + body.thigh + body.torso + body.neck + body.skull
    np.testing.assert_allclose(column, body.stature)
    assert body.stature.min() >= 1500 and body.stature.max() <= 2000 and body.stature.std() > 60


def test_positive_angles_turn_right_and_lean_forward_and_right():
    turn = b.rotation(np.diag([0.3, 0.3, 0.3]))
    np.testing.assert_allclose(turn @ np.swapaxes(turn, -1, -2), np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-12)
    s, c = np.sin(0.3), np.cos(0.3)
    np.testing.assert_allclose(turn[0] @ [0, 0, 1], [s, 0, c])  # what looked ahead looks to the right (x)
    np.testing.assert_allclose(turn[1] @ [0, -1, 0], [0, -c, s])  # the head comes forward (z)
    np.testing.assert_allclose(turn[2] @ [0, -1, 0], [s, -c, 0])  # the head comes to the right


def test_kinematics_keeps_the_lengths_of_bones(drawn):
    body, _, points = drawn
    lengths = {
        ("pelvis", "spine"): body.torso / 2,
        ("spine", "neck"): body.torso / 2,
        ("neck", "head"): body.neck * np.hypot(1, 0.35),
        ("head", "head_top"): body.skull,
        ("r_hip", "l_hip"): 2 * body.hip,
        ("r_shoulder", "l_shoulder"): 2 * body.shoulder,
    }
    for side in "rl":
        lengths |= {
            (f"{side}_shoulder", f"{side}_elbow"): body.upper_arm,
            (f"{side}_elbow", f"{side}_wrist"): body.forearm,
            (f"{side}_wrist", f"{side}_hand"): body.hand,
            (f"{side}_hip", f"{side}_knee"): body.thigh,
            (f"{side}_knee", f"{side}_ankle"): body.shank,
        }
    for (first, last), length in lengths.items():
        np.testing.assert_allclose(distance(points, first, last), length, rtol=1e-9, err_msg=f"{first} {last}")


def test_joint_limits_hold_whatever_is_asked_for(drawn):
    body, pose, points = drawn
    trunk = b.trunk(body, pose)
    for s, side in enumerate("rl"):
        elbow = bend(points, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        knee = bend(points, f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        for angle, limits in ((elbow, b.ELBOW_RANGE), (knee, b.KNEE_RANGE)):
            low, high = np.degrees(limits)
            assert angle.min() > low - 1e-4 and angle.max() < high + 1e-4
            assert angle.min() < low + 1 and angle.max() > high - 1  # the limits were tried
        bones = (
            ("shoulder", "elbow", trunk.torso_axes, b.ARM_CONE, b.ARM_CONE_ANGLE),
            ("hip", "knee", trunk.pelvis_axes, b.LEG_CONE, b.LEG_CONE_ANGLE),
        )
        for root, hinge, axes, cone, limit in bones:
            bone = points[:, POINT[f"{side}_{hinge}"]] - points[:, POINT[f"{side}_{root}"]]
            bone = np.einsum("nji,nj->ni", axes, bone) * [b.SIDE[s], 1, 1]
            cos = bone @ cone / np.linalg.norm(bone, axis=-1) / np.linalg.norm(cone)
            assert np.arccos(cos).max() < limit + 1e-6
    # A trunk or head turned too far is a trunk or head at its limit.
    for name, limit in (("torso", b.TORSO_LIMIT), ("head", b.HEAD_LIMIT)):
        far, held = (replace(pose, **{name: np.broadcast_to(v, (3000, 3))}) for v in (limit[:, 1] + 1, limit[:, 1]))
        np.testing.assert_array_equal(b.forward(body, far), b.forward(body, held))


def test_the_mirror_image_of_a_pose_has_its_sides_swapped(drawn):
    body, pose, points = drawn
    swap = [*MPI17.mirror, 18, 17, 20, 19, 21]
    np.testing.assert_allclose(b.forward(body, pose.mirrored()), points[:, swap] * [-1, 1, 1], atol=1e-8)


def test_two_bones_reach_what_can_be_reached():
    rng, n = np.random.default_rng(2), 2000
    upper, lower = rng.uniform(200, 350, (2, n))
    way = rng.normal(size=(n, 3))
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    share = rng.uniform(0.0, 1.3, n)  # of the whole length: some are too near, some too far
    target = way * (share * (upper + lower))[:, None]
    pole, swivel = rng.normal(size=(n, 3)), rng.uniform(-1.5, 1.5, n)
    hinge, end = b.two_bone(target, upper, lower, pole, swivel, b.ARM_CONE, np.pi, b.ELBOW_RANGE)
    np.testing.assert_allclose(np.linalg.norm(hinge, axis=-1), upper)
    np.testing.assert_allclose(np.linalg.norm(end - hinge, axis=-1), lower)
    far, near = (np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(a)) for a in b.ELBOW_RANGE)
    length = np.linalg.norm(target, axis=-1)
    can = (length >= near) & (length <= far)
    assert 0.3 < can.mean() < 0.8
    np.testing.assert_allclose(end[can], target[can], atol=1e-9)
    np.testing.assert_allclose(end, way * np.clip(length, near, far)[:, None], atol=1e-9)
    # The hinge bends to the pole's side, by at most the swivel's limit.
    off, side = (v - (v * way).sum(-1, keepdims=True) * way for v in (hinge, pole))
    cos = (off * side).sum(-1) / np.linalg.norm(off, axis=-1) / np.linalg.norm(side, axis=-1)
    np.testing.assert_allclose(cos, np.cos(np.clip(swivel, -b.SWIVEL_LIMIT, b.SWIVEL_LIMIT)), atol=1e-6)


def test_a_limb_out_of_its_cone_is_turned_back_as_a_whole():
    arguments = np.array([[-100.0, 500.0, 0.0]]), np.array([300.0]), np.array([280.0]), np.array([[0.0, 0.0, 1.0]])
    swivel, cone = np.zeros(1), np.array([1.0, 0.0, 0.0])
    hinge, end = b.two_bone(*arguments, swivel, cone, np.pi, b.ELBOW_RANGE)
    hinge_in, end_in = b.two_bone(*arguments, swivel, cone, np.deg2rad(60), b.ELBOW_RANGE)
    np.testing.assert_allclose(np.degrees(np.arccos(hinge_in[0, 0] / 300)), 60)
    for p, q in ((hinge, hinge_in), (end, end_in), (hinge - end, hinge_in - end_in)):
        np.testing.assert_allclose(np.linalg.norm(p), np.linalg.norm(q))


def test_reach_brings_the_wrist_to_a_place():
    body, pose = upright(200)
    rng = np.random.default_rng(3)
    way = rng.uniform((-0.2, -0.6, 0.5), (0.8, 0.6, 1.0), (200, 3))
    way *= (rng.uniform(0.5, 0.95, 200) * body.arm / np.linalg.norm(way, axis=-1))[:, None]
    for side, wrist in ((0, "r_wrist"), (1, "l_wrist")):
        target = b.trunk(body, pose).shoulders[:, side] + way * [b.SIDE[side], 1, 1]
        there = b.forward(body, b.reach(body, pose, side, target))
        np.testing.assert_allclose(there[:, POINT[wrist]], target, atol=1e-8)
        other = POINT["l_wrist" if side == 0 else "r_wrist"]
        before = b.forward(body, pose)
        np.testing.assert_array_equal(there[:, other], before[:, other])
        np.testing.assert_allclose(b.forward(body, b.reach(body, pose, side, target, 0.0)), before, atol=1e-9)


# ---------------------------------------------------------------------------------------- capsules


def test_segment_distance_in_closed_form_and_against_a_grid():
    def of(*ends):
        return b.segment_distance(*(np.array([end], float) for end in ends)).item()

    assert of((0, 0, 0), (10, 0, 0), (5, -5, 3), (5, 5, 3)) == pytest.approx(3)  # they cross
    assert of((0, 0, 0), (10, 0, 0), (2, 4, 0), (8, 4, 0)) == pytest.approx(4)  # parallel
    assert of((0, 0, 0), (10, 0, 0), (13, 4, 0), (20, 4, 0)) == pytest.approx(5)  # end to end
    assert of((1, 1, 1), (1, 1, 1), (1, 1, 7), (1, 1, 9)) == pytest.approx(6)  # a point
    p0, p1, q0, q1 = np.random.default_rng(5).normal(0, 100, (4, 200, 3))
    s = np.linspace(0, 1, 101)[:, None]
    grid = (p0[:, None] + s * (p1 - p0)[:, None])[:, :, None] - (q0[:, None] + s * (q1 - q0)[:, None])[:, None]
    slow, fast = np.linalg.norm(grid, axis=-1).min((1, 2)), b.segment_distance(p0, p1, q0, q1)
    mesh = (np.linalg.norm(p1 - p0, axis=-1) + np.linalg.norm(q1 - q0, axis=-1)) / 200
    assert (fast <= slow + 1e-9).all() and (slow <= fast + mesh).all()


def test_penetration_of_a_body_with_itself_and_from_afar():
    body, pose = upright(1)
    points = b.forward(body, pose)
    trunk_radius = 0.058 * body.stature * body.girth  # the widest capsule
    np.testing.assert_allclose(b.penetration(body, points, body, points), 2 * trunk_radius)
    aside = points + np.array([3000.0, 0, 0])
    assert b.penetration(body, points, body, aside) == 0
    # Arms held out, wrist on wrist: a contact of lower arms, which may be allowed, and of nothing else.
    points = b.forward(body, replace(pose, wrists=np.full((1, 2, 3), (0.9, 0.1, 0.2))))
    touch = points + (points[:, POINT["r_wrist"]] - points[:, POINT["l_wrist"]])[:, None]
    assert b.penetration(body, points, body, touch)[0] >= 2 * 0.022 * (body.stature * body.girth)[0] - 1e-9
    assert b.penetration(body, points, body, touch, contact=False) == 0


def test_ray_capsule_in_closed_form():
    def enter(first, last, ray=(0, 0, 1), radius=50.0):
        ray = np.array([ray], float) / np.linalg.norm(ray)
        return b.ray_capsule(ray, *(np.array([v], float) for v in (first, last, radius))).item()

    assert enter((-100, 0, 1000), (100, 0, 1000)) == pytest.approx(950)  # the cylinder
    assert enter((-100, 30, 1000), (100, 30, 1000)) == pytest.approx(960)  # beside its axis
    assert enter((30, 0, 1000), (200, 0, 1000)) == pytest.approx(960)  # the ball at an end
    assert enter((0, 0, 1000), (0, 0, 1500)) == pytest.approx(950)  # along the axis
    assert enter((0, 0, 1500), (0, 0, 1000)) == pytest.approx(950)
    assert enter((300, 0, 1000), (500, 0, 1000), ray=(0.4, 0, 1)) == pytest.approx(
        1000 * np.hypot(0.4, 1) - 50 * np.hypot(0.4, 1)
    )
    assert enter((-100, 60, 1000), (100, 60, 1000)) == np.inf  # past it
    assert enter((60, 0, 1000), (200, 0, 1000)) == np.inf  # past its end
    assert enter((-100, 0, -1000), (100, 0, -1000)) == np.inf  # behind


def signed_distance(points, first, last, radius):
    """Of points (N, 3) from capsules (K,): (N, K)."""
    axis = last - first
    offset = points[:, None] - first
    share = np.clip((offset * axis).sum(-1) / np.maximum((axis * axis).sum(-1), 1e-12), 0, 1)
    return np.linalg.norm(offset - share[..., None] * axis, axis=-1) - radius


def nearest(capsules, which):
    """The signed distance of N points from the nearest capsule that counts for each (N, K), as a function."""
    return lambda points: np.where(which, signed_distance(points, *capsules), np.inf).min(-1)


def march(rays, distance_at, limit=20000.0):
    """Walk along each ray by the signed distance until a surface is met: distance or infinity, and closest pass."""
    t, closest = np.zeros(len(rays)), np.full(len(rays), np.inf)
    for _ in range(400):
        d = distance_at(rays * t[:, None])
        closest = np.minimum(closest, d)
        t = np.where((d > 1e-7) & (t < limit), t + d, t)
    return np.where(t < limit, t, np.inf), closest


def test_ray_capsule_against_a_marching_ray():
    rng, n = np.random.default_rng(6), 3000
    first = rng.normal(0, 300, (n, 3)) + (0, 0, 1500)
    last, radius = first + rng.normal(0, 200, (n, 3)), rng.uniform(20, 150, n)
    rays = (first + last) / 2 + rng.normal(0, 100, (n, 3))  # at and past them
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)

    def one_to_one(points):
        axis, offset = last - first, points - first
        share = np.clip((offset * axis).sum(-1) / (axis * axis).sum(-1), 0, 1)
        return np.linalg.norm(offset - share[:, None] * axis, axis=-1) - radius

    slow, closest = march(rays, one_to_one)
    fast = b.ray_capsule(rays[:, None], first[:, None], last[:, None], radius[:, None])[:, 0, 0]
    clear = (closest < 1e-6) | (closest > 0.01)  # all but those that graze within a hundredth of a mm
    assert clear.mean() > 0.99 and 0.2 < np.isfinite(fast).mean() < 0.8
    np.testing.assert_array_equal(np.isfinite(fast[clear]), np.isfinite(slow[clear]))
    hit = clear & np.isfinite(fast)
    np.testing.assert_allclose(fast[hit], slow[hit], atol=0.05)


# -------------------------------------------------------------------------------------- visibility


def test_who_stands_behind_somebody_is_hidden():
    body, pose = upright(1)
    body, points = body[[0, 0]], b.forward(body, pose)[0]
    face = points * [-1, 1, -1]  # turned to the camera
    front, aside = face + [0, 900, 3000], face + [1500, 900, 3000]
    seen = b.visibility(body, np.stack([front, front * 2]), np.ones((2, 17), bool))
    assert (seen[1] == 1).all() and (seen[0][[0, 1, 4, 7, 9, 12, 14, 16]] == 2).all()
    seen = b.visibility(body, np.stack([front, aside * 2]), np.ones((2, 17), bool))
    assert (seen[1][[0, 1, 4, 7, 14]] == 2).all()
    outside = np.ones((2, 17), bool)
    outside[0, 4] = False
    assert b.visibility(body, np.stack([front, aside]), outside)[0, 4] == 0
    # A hand behind one's back is hidden by one's own trunk.
    back = b.forward(body[:1], replace(pose, wrists=np.full((1, 2, 3), (-0.1, 0.75, -0.22))))[0] * [-1, 1, -1]
    seen = b.visibility(body, np.stack([back + [0, 900, 3000], aside]), np.ones((2, 17), bool))
    assert (seen[0][[4, 7]] == 1).all()


def test_visibility_against_a_marching_ray():
    """The reference walks each joint's ray through the signed distances of skin and of all else."""
    rng = np.random.default_rng(7)
    compared, different, hidden = 0, 0, 0
    for kind in ("talk", "sparring", "side_by_side"):
        shots = next(_shots(DUET, kind, 3, rng, 3))
        for i in range(len(shots.k)):
            bodies, points = shots.bodies[i, 0], shots.points[i, 0]
            shapes = [v.reshape(-1, *v.shape[2:]) for v in b.capsules(bodies, points)]
            everything = np.ones((3, 17), bool)
            fast = b.visibility(bodies, points, everything)
            for p in range(3):
                joints = points[p, :17]
                far = np.linalg.norm(joints, axis=-1)
                mine = np.repeat(np.arange(3), len(b.CAPSULES)) == p
                ends = np.array([[name in capsule[:2] for capsule in b.CAPSULES] * 3 for name in b.POINTS[:17]])
                skin = mine & (ends | (signed_distance(joints, *shapes) < 0))
                rays = joints / far[:, None]
                met, pass_by = zip(*(march(rays, nearest(shapes, which), limit=12000.0) for which in (skin, ~skin)))
                surface = np.minimum(met[0], far)
                clear = (np.abs(met[1] - surface) > 1) & ((pass_by[1] < 1e-6) | (pass_by[1] > 0.1))
                slow = np.where(met[1] < surface, 1, 2)
                compared += clear.sum()
                different += (slow != fast[p])[clear].sum()
                hidden += (slow == 1)[clear].sum()
    assert different == 0 and compared > 400 and 0.1 < hidden / compared < 0.5
