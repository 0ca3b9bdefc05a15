"""What people do together, as geometric facts. Lengths in mm, everything on the common floor."""

import numpy as np
import pytest

from mp3d.skeletons import MPI17
from mp3d.synthetic.body import sample_body
from mp3d.synthetic.interactions import BALL_RADIUS, INTERACTIONS, mirrored_dance
from mp3d.synthetic.motion import Draw

R_WRIST, L_WRIST = 4, 7


def perform(kind, n=200, people=2, frames=25, step=0.04, seed=0):
    """Bodies (n, 1, P) and the performance of n groups."""
    rng = np.random.default_rng(seed)
    bodies = sample_body(rng, (n, 1, people))
    t = rng.uniform(0, 20, (n, 1)) + np.arange(frames) * step
    return bodies, INTERACTIONS[kind](Draw(rng, n), bodies, t)


def gap(a, b):
    return np.linalg.norm(a - b, axis=-1)


@pytest.mark.parametrize("people", [2, 3])
@pytest.mark.parametrize("kind", INTERACTIONS)
def test_nobody_sinks_floats_jumps_or_breaks_a_hinge(kind, people):
    bodies, act = perform(kind, 40, people, step=0.08)
    ankles = -act.points[..., [10, 13], 1] - bodies.ankle[..., None]  # 0: the sole is on the floor
    assert ankles.min() > -0.01 and ankles.min(-1).max() < 10 and act.points[..., 1].max() < 0
    assert (gap(act.points[:, 1:], act.points[:, :-1]) / 0.08).max() < 10_000  # 10 m/s
    for root, hinge, end in ((2, 3, 4), (5, 6, 7), (8, 9, 10), (11, 12, 13)):
        u, v = (act.points[..., q, :] - act.points[..., p, :] for p, q in ((root, hinge), (hinge, end)))
        cos = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
        bend = np.degrees(np.arccos(np.clip(cos, -1, 1)))
        assert bend.min() > 2 - 1e-3 and bend.max() < 150 + 1e-3
    assert act.event.min() > -1e-12 and act.event.max() < 1 + 1e-12


def meeting(act):
    """How far apart the wrists are that meet: right, left, or both crosswise."""
    (r0, r1), (l0, l1) = (np.moveaxis(act.points[:, :, :2, wrist], 2, 0) for wrist in (R_WRIST, L_WRIST))
    return gap(r0, r1), gap(l0, l1), np.maximum(gap(r0, l1), gap(l0, r1))


@pytest.mark.parametrize("people", [2, 3])
def test_hands_that_shake_meet(people):
    _, act = perform("handshake", 2000, people, frames=3, step=0.3)
    together, right = act.event > 0.999, meeting(act)[0]
    assert 0.4 < together.mean() < 0.8
    # Within 30 mm; in one frame of a thousand a joint limit holds an arm back.
    assert (right[together] > 30).mean() < 2e-3 and right[together].max() < 200 and np.median(right[together]) < 15
    assert np.median(right[act.event < 0.01]) > 300  # and they part


@pytest.mark.parametrize("people", [2, 3])
def test_hands_that_give_five_meet_at_head_height(people):
    _, act = perform("high_five", 2000, people, frames=3, step=0.3)
    together, ways = act.event > 0.999, np.stack(meeting(act))
    best = ways.min(0)
    assert (best[together] > 30).mean() < 4e-3 and best[together].max() < 200 and np.median(best[together]) < 15
    assert np.median(best[act.event < 0.01]) > 300
    share = np.bincount(ways.argmin(0)[together], minlength=3) / together.sum()
    assert share.min() > 0.25  # right, left and both, about equally often
    high = -act.points[:, :, :2, [R_WRIST, L_WRIST], 1].min((2, 3))
    shoulders = -act.points[:, :, :2, [2, 5], 1].mean((2, 3))
    assert (high > shoulders - 60)[together].mean() > 0.95


def reflection_error(first, other):
    """Mean distance (n,) of the other from the first's image in the plane x = half the gap (swapped sides)."""
    image = first[..., list(MPI17.mirror), :] * [-1, 1, 1]
    difference = other - image
    difference[..., 0] -= np.median(difference[..., 0], axis=(1, 2), keepdims=True)  # where the plane is
    return np.linalg.norm(difference, axis=-1).mean((1, 2))


def test_a_mirrored_dance_is_a_reflection():
    rng = np.random.default_rng(0)
    twins = sample_body(rng, (300, 1, 2))[:, :, [0, 0]]
    t = rng.uniform(0, 20, (300, 1)) + np.arange(25) * 0.04
    for bodies, typical, worst in ((twins, 40, 80), (sample_body(rng, (300, 1, 2)), 90, 260)):
        points = mirrored_dance(Draw(rng, 300), bodies, t).points[..., :17, :]
        first, other = points[:, :, 0], points[:, :, 1]
        error = reflection_error(first, other)  # noise and lag; for the second kind sizes too
        assert np.median(error) < typical and error.max() < worst
        stranger = reflection_error(np.roll(first, 1, 0), other)
        assert np.median(stranger) > 2.5 * np.median(error)
        unswapped = reflection_error(first[..., list(MPI17.mirror), :] * [-1, 1, 1], other)  # a copy, no image
        assert np.median(unswapped) > 2.5 * np.median(error)


@pytest.mark.parametrize("people", [2, 3])
def test_who_walks_side_by_side_walks_in_step(people):
    _, act = perform("side_by_side", 150, people, frames=50)
    root = act.points[..., 14, ::2]
    heading = np.gradient(root, axis=1)
    heading /= np.linalg.norm(heading, axis=-1, keepdims=True)
    stride = ((act.points[..., 10, ::2] - act.points[..., 13, ::2]) * heading).sum(-1)  # right foot ahead
    for p in range(1, people):
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip(stride[..., p - 1], stride[..., p])]
        assert min(r) > 0.95
        beside = gap(root[:, :, p], root[:, :, p - 1])
        assert beside.min() > 500 and beside.max() < 1050 and np.ptp(beside, axis=1).max() < 150
        assert ((heading[:, :, p] * heading[:, :, p - 1]).sum(-1)).min() > 0.9


@pytest.mark.parametrize("people", [2, 3, 5])
def test_a_ball_comes_into_the_catchers_hands(people):
    _, act = perform("pass_ball", 300, people)
    wrists = act.points[..., [R_WRIST, L_WRIST], :]
    nearest = gap(wrists, act.ball[:, :, None, None]).max(-1).min(-1)  # both wrists of one person
    caught = act.event > 0.9
    assert caught.sum() > 100 and nearest[caught].max() < 1.6 * BALL_RADIUS
    assert np.median(nearest[caught]) < BALL_RADIUS  # the hands are on the ball
    speed = gap(act.ball[:, 1:], act.ball[:, :-1]) / 40
    assert speed.max() < 10  # m/s; it does not jump
    away = nearest.max(1)
    assert np.median(away) > 300  # and it flies in between


def test_a_blow_is_blocked_where_it_lands():
    _, act = perform("sparring", 400)
    limbs, arms = act.points[..., [4, 7, 10, 13], :], act.points[..., [4, 7], :]
    blocked = np.minimum(
        *(gap(limbs[:, :, p, :, None], arms[:, :, 1 - p, None]).min((-1, -2)) for p in (0, 1))
    )  # a wrist of the one at a wrist or foot of the other
    landed, rest = act.event > 0.999, act.event < 0.01
    assert 0.05 < landed.mean() < 0.2
    assert (blocked[landed] < 60).mean() > 0.33  # the others dodge, or the blow is out of the arms' reach
    assert (blocked[rest] < 60).mean() < 0.01


def test_listeners_face_who_speaks():
    _, act = perform("talk", 300, frames=5)
    face = (act.points[..., 21, :] - act.points[..., 16, :])[..., ::2]
    other = (act.points[:, :, ::-1, 16] - act.points[..., 16, :])[..., ::2]
    cos = (face * other).sum(-1) / np.linalg.norm(face, axis=-1) / np.linalg.norm(other, axis=-1)
    assert np.median(cos) > 0.95 and np.quantile(cos, 0.05) > 0.7


def correlation(kind):
    """Of the two people's right and left wrist heights over 4,000 independent moments: (2, 2)."""
    _, act = perform(kind, 4000, frames=1)
    heights = act.points[:, 0, :, [R_WRIST, L_WRIST], 1]  # (2, n, P)
    return np.corrcoef(np.concatenate([heights[..., 0], heights[..., 1]]))[:2, 2:]


def test_strangers_tell_nothing_of_one_another_and_partners_do():
    bound = 4 / np.sqrt(4000)  # four standard errors of a correlation that is nil
    assert np.abs(correlation("apart")).max() < bound
    assert correlation("mirrored_dance")[0, 1] > 0.8  # right wrist with left wrist
    assert correlation("high_five")[0, 0] > 0.7 and correlation("handshake")[0, 0] > 0.4
    _, act = perform("apart", 4000, frames=1)
    pose = (act.points[..., :17, :] - act.points[..., 14:15, :])[:, 0, :, np.delete(np.arange(17), 14)]
    pose = pose.transpose(2, 1, 0, 3).reshape(2, 4000, -1)  # (P, n, 48): nothing in the whole pose either
    r = np.corrcoef(pose[0].T, pose[1].T)[:48, 48:]
    assert np.abs(r).max() < 5.5 / np.sqrt(4000) and r.std() < 1.2 / np.sqrt(4000)


def test_an_onlooker_is_not_coupled_to_the_pair():
    _, act = perform("handshake", 3000, people=3, frames=1)
    heights = act.points[:, 0, :, R_WRIST, 1]
    assert np.abs(np.corrcoef(heights.T)[2, :2]).max() < 4 / np.sqrt(3000)
