"""Actions of one person: feet on the floor, hinges the right way, smooth, and each what its name says."""

from dataclasses import replace

import numpy as np
import pytest

from mp3d.synthetic.body import POINTS, forward, sample_body, trunk
from mp3d.synthetic.motion import ACTIONS, IDLE, Draw, Gait, settle, smoothstep, stand, strike, walk

POINT = {name: i for i, name in enumerate(POINTS)}
N, FRAMES, STEP = 120, 40, 0.05  # performers, frames, s from frame to frame


def perform(action, seed=0):
    """Bodies (N, 1), the pose (N, FRAMES) and its points; walkers stay in their moving stage frame."""
    rng = np.random.default_rng(seed)
    body = sample_body(rng, (N, 1))
    t, draw = rng.uniform(0, 20, (N, 1)) + np.arange(FRAMES) * STEP, Draw(rng, N)
    pose = walk(draw, body, t, Gait.draw(draw, body)) if action == "walk" else ACTIONS[action](draw, body, t)
    return body, pose, forward(body, pose)


@pytest.mark.parametrize("action", [*ACTIONS, "walk"])
def test_feet_stand_on_the_floor_and_knees_bend_forward(action):
    body, pose, points = perform(action)
    ankles, toes = points[..., [10, 13], 1], points[..., [19, 20], 1]
    height = -ankles - body.ankle[..., None]  # 0: the sole is on the floor
    assert height.min() > -0.01 and toes.max() < 0  # mm: nothing sinks
    assert height.min(-1).max() < 10  # a foot is on the floor at any time
    assert points[..., 1].max() < 0
    axes = trunk(body, pose).pelvis_axes
    for hip, knee, ankle in ((8, 9, 10), (11, 12, 13)):
        leg, thigh = (
            np.einsum("nfji,nfj->nfi", axes, points[..., end, :] - points[..., hip, :]) for end in (ankle, knee)
        )
        leg /= np.linalg.norm(leg, axis=-1, keepdims=True)
        off = thigh - (thigh * leg).sum(-1, keepdims=True) * leg
        ahead = np.stack([0 * leg[..., 0], -leg[..., 2], leg[..., 1]], -1)  # before the leg, in its plane
        cos = (off * ahead).sum(-1) / np.linalg.norm(off, axis=-1) / np.linalg.norm(ahead, axis=-1)
        assert cos.min() > np.cos(np.deg2rad(45))


@pytest.mark.parametrize("action", [*ACTIONS, "walk"])
def test_motion_is_smooth_and_everyone_has_a_style(action):
    points = perform(action)[2]
    speed = np.linalg.norm(np.diff(points, axis=1), axis=-1) / STEP / 1000
    assert 0.01 < speed.max() < 10  # m/s
    spread = (points - points[..., 14:15, :])[:, 0, [4, 7]].std(0)
    assert spread.max() > 50  # mm, of the wrists over people
    np.testing.assert_array_equal(perform(action)[2], points)
    assert not np.array_equal(perform(action, seed=1)[2], points)


def test_walking_swings_opposite_arm_and_leg():
    _, pose, points = perform("walk")
    swings = np.ptp(pose.wrists[..., 2], axis=1).min(-1) > 0.1  # the others keep their hands in the pockets
    assert 0.7 < swings.mean() < 0.95
    z = points[swings][..., 2]

    def r(i, j):
        return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(z[..., i], z[..., j])])

    for wrist, opposite, same in ((4, 13, 10), (7, 10, 13)):
        assert r(wrist, opposite).min() > 0.8 and r(wrist, same).max() < -0.8


def test_a_standing_foot_of_a_walker_stays_on_its_place():
    rng = np.random.default_rng(3)
    body = sample_body(rng, (N, 1))
    t, draw = np.arange(100) * 0.02 + np.zeros((N, 1)), Draw(rng, N)
    gait = Gait.draw(draw, body)
    points, (path, heading) = forward(body, walk(draw, body, t, gait)), gait.path(t)
    x, z = points[..., [10, 13], 0], points[..., [10, 13], 2]
    c, s = np.cos(heading)[..., None], np.sin(heading)[..., None]
    floor = np.stack([c * x + s * z + path[..., :1], c * z - s * x + path[..., 1:]], -1)
    stands = -points[..., [10, 13], 1] - body.ankle[..., None] < 0.5
    stands = stands[:, 1:] & stands[:, :-1]
    slide = np.linalg.norm(np.diff(floor, axis=1), axis=-1) / 0.02
    forward_speed = np.linalg.norm(np.diff(path, axis=1), axis=-1) / 0.02
    assert 0.4 < stands.mean() < 0.7 and forward_speed.min() > 500  # mm/s
    assert slide[stands].max() < 0.1 * forward_speed.max() and np.median(slide[stands]) < 30


def test_actions_do_what_their_names_say():
    h = -perform("sit")[2][..., 14, 1]
    assert h.min() > 400 and h.max() < 650  # mm: the pelvis above the seat
    wave = perform("wave")[2]
    assert (wave[..., [4, 7], 1].min((1, 2)) < wave[..., [2, 5], 1].min((1, 2))).all()  # above the shoulder
    body, _, kick = perform("kick")
    lift = -kick[..., [10, 13], 1].min((1, 2)) - body.ankle[:, 0]
    assert np.median(lift) > 0.2 * 1730 and lift.min() > 100
    body, _, reach = perform("reach")
    arm = np.linalg.norm(reach[..., [4, 7], :] - reach[..., [2, 5], :], axis=-1) / body.arm[..., None]
    assert np.median(arm.max((1, 2))) > 0.9  # stretched


def test_idle_hands_rest_in_mirrored_ways_too():
    styles = {tuple(map(tuple, style)) for style in IDLE.tolist()}
    assert {style[::-1] for style in styles} >= {s for s in styles if s[0] == s[1]} and len(styles) > 8


def test_strike_and_smoothstep_in_closed_form():
    np.testing.assert_allclose(smoothstep(np.array([-1, 0, 0.5, 1, 2])), [0, 0, 0.5, 1, 1])
    chamber, out = strike(np.array([0.0, 0.28, 0.45, 0.52, 0.72, 0.96]))
    np.testing.assert_allclose(chamber, [0, 1, 1, 1, 1 - smoothstep(np.array([0.2])).item(), 0])
    np.testing.assert_allclose(out, [0, smoothstep(np.array([0.3])).item(), 1, 1, 0, 0], atol=1e-12)


def test_settle_brings_a_floating_pelvis_down_to_nearly_straight_legs():
    rng = np.random.default_rng(0)
    body, draw = sample_body(rng, (N, 1)), Draw(rng, N)
    pose = stand(draw, body, np.zeros((N, 1)))
    for height in (-3000.0, -100.0):  # wherever the pelvis was
        lifted = replace(pose, pelvis=pose.pelvis * [1, 0, 1] + [0, height, 0])
        points = forward(body, settle(body, lifted))
        leg = np.linalg.norm(points[..., [8, 11], :] - points[..., [10, 13], :], axis=-1) / body.leg[..., None]
        np.testing.assert_allclose(leg.max(-1), 0.985, atol=1e-6)
    lower = forward(body, settle(body, lifted, crouch=50.0)) - points
    np.testing.assert_allclose(lower[..., 14, 1], 50.0)
