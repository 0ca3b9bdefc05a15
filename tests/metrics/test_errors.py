import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from mp3d.errors import BadInput
from mp3d.metrics import align, average, joint_errors, mpjpe, mrpe, mrpe_axes, pa_mpjpe

SHOULDERS = [(0, -700, 0), (0, -500, 0), (-200, -500, 0), (-200, -200, 0), (-200, 50, 0)]
ARM = [(200, -500, 0), (200, -200, 0), (200, 50, 0)]
LEGS = [(-100, 0, 0), (-100, 400, 0), (-100, 800, 0), (100, 0, 0), (100, 400, 0), (100, 800, 0)]
G = np.array(SHOULDERS + ARM + LEGS + [(0, 0, 0), (0, -250, 0), (0, -600, 0)], float)
T = G.copy()
T[:, 2] = (0, 0, 0, 100, 200, 0, -50, 50, 0, -100, 0, 0, 50, 100, 0, 20, 10)

seeds = st.integers(0, 2**31)
few = settings(max_examples=30, deadline=None)
plain = inspect.unwrap  # without the shape checks of the tests: what a user's call runs


def moved(pose, joint, by):
    pose = pose.copy()
    pose[joint] += by
    return pose


def random_poses(seed, *shape):
    return np.random.default_rng(seed).normal(0, 300, (*shape, 17, 3))


TURN = Rotation.from_euler("y", 90, degrees=True).as_matrix().T
OTHERS = [joint for joint in range(17) if joint != 14]


@pytest.mark.parametrize(
    "pred, true, expected, expected_pa",
    [
        (1.1 * G, G, 39.6594, 39.3417),
        (G @ TURN, G, 149.7403, 0),
        (T * (-1, 1, 1), T, 211.7647, 87.5828),
        (moved(T, 4, (0, 0, 170)), T, 10.0, 20.2413),  # PA may exceed MPJPE
        (moved(T, OTHERS, (30, 0, 40)), T, 47.0588, 5.5328),
        (moved(T, 14, (0, 0, 17)), T, 16.0, 1.8806),
    ],
)
def test_worked_examples(pred, true, expected, expected_pa):
    assert mpjpe(pred, true) == pytest.approx(expected, abs=6e-5)
    assert pa_mpjpe(pred, true) == pytest.approx(expected_pa, abs=6e-5)


def test_the_pelvis_counts_by_default():
    others = np.ones(17, bool)
    others[14] = False
    assert mpjpe(1.1 * G, G, mask=others) == pytest.approx(mpjpe(1.1 * G, G) * 17 / 16)


def test_absolute_errors():
    shifted = G + np.array([30, 40, 0])
    assert mpjpe(shifted, G, root=None) == pytest.approx(50)
    assert joint_errors(shifted, G, root=None) == pytest.approx(np.full(17, 50))
    assert mrpe(np.array([[3.0, 4, 0], [0, 0, 1]]), np.zeros((2, 3))) == pytest.approx(3)
    assert mrpe_axes(np.array([[3.0, 4, 0], [0, 0, -1]]), np.zeros((2, 3))) == pytest.approx((1.5, 2, 0.5))


def plain_pa(pred, true, scale):
    """Alignment by scipy, one pose at a time; SVD only for the scale."""
    p, t = pred - pred.mean(0), true - true.mean(0)
    turned = Rotation.align_vectors(t, p)[0].apply(p)
    factor = (turned * t).sum() / (p**2).sum() if scale else 1
    return np.linalg.norm(factor * turned - t, axis=-1).mean()


@pytest.mark.parametrize("scale", [False, True])
def test_batched_alignment_equals_scipy_pose_by_pose(scale):
    pred, true = random_poses(0, 4, 3), random_poses(1, 4, 3)
    pred[0] *= (-1, 1, 1)
    loop = [[plain_pa(p, t, scale) for p, t in zip(*row, strict=True)] for row in zip(pred, true, strict=True)]
    assert pa_mpjpe(pred, true, scale=scale) == pytest.approx(np.array(loop), abs=1e-6)


def test_similarity_equals_scipy_procrustes_where_no_mirror_is_needed():
    pred = T @ TURN * 2 + np.random.default_rng(0).normal(0, 20, T.shape)
    reference, moved_by_scipy, _ = procrustes(T, pred)
    norm = np.linalg.norm(T - T.mean(0))
    expected = np.linalg.norm(reference - moved_by_scipy, axis=-1).mean() * norm
    assert pa_mpjpe(pred, T, scale=True) == pytest.approx(expected, abs=1e-6)


@few
@given(seeds)
def test_invariances(seed):
    rng = np.random.default_rng(seed)
    pred, true = random_poses(seed, 2), random_poses(seed + 1, 2)
    shift, turn = rng.normal(0, 1000, 3), Rotation.random(rng=rng).as_matrix()
    assert mpjpe(pred + shift, true) == pytest.approx(mpjpe(pred, true))
    assert pa_mpjpe(pred @ turn + shift, true) == pytest.approx(pa_mpjpe(pred, true))
    assert pa_mpjpe(pred * 3, true, scale=True) == pytest.approx(pa_mpjpe(pred, true, scale=True))
    assert (np.abs(pa_mpjpe(pred * 3, true) - pa_mpjpe(pred, true)) > 1).all()  # rigid: not to scale
    assert (pa_mpjpe(true * (-1, 1, 1), true) > 1).all()  # no reflection


@few
@given(seeds)
def test_alignment_never_raises_the_squared_error(seed):
    pred, true = random_poses(seed), random_poses(seed + 1)
    centred = ((pred - pred.mean(0) - true + true.mean(0)) ** 2).sum()
    rigid, similar = (((align(pred, true, scale=s) - true) ** 2).sum() for s in (False, True))
    assert similar <= rigid + 1e-6 <= centred + 2e-6


@few
@given(seeds, st.integers(4, 17))
def test_a_masked_joint_is_as_if_it_were_not_there(seed, kept):
    pred, true = random_poses(seed, 3), random_poses(seed + 1, 3)
    mask = np.broadcast_to(np.arange(17) < kept, (3, 17))
    rest = pred.copy()
    rest[~mask] = np.nan  # NaN is allowed where nothing counts
    absent = true.copy()
    absent[~mask] = np.nan
    short, short_true = pred[:, :kept], true[:, :kept]
    for scale in (False, True):
        expected = pa_mpjpe(short, short_true, scale=scale)
        assert pa_mpjpe(rest, true, mask, scale) == pytest.approx(expected)
        assert pa_mpjpe(pred, absent, scale=scale) == pytest.approx(expected)
    assert mpjpe(rest, absent, root=0) == pytest.approx(mpjpe(short, short_true, root=0))


def test_a_pose_without_truth_has_no_error():
    assert np.isnan(mpjpe(G, np.full_like(G, np.nan)))
    assert np.isnan(pa_mpjpe(G, np.full_like(G, np.nan)))


def test_float32_is_computed_in_float64():
    far = (G + np.array([0, 0, 4000])).astype(np.float32)
    assert pa_mpjpe(far, far) < 1e-9


@pytest.mark.parametrize(
    "metric, arguments, field",
    [
        (mpjpe, (G[:, :2], G[:, :2]), "pred"),
        (mpjpe, (G, G[:16]), "true"),
        (mpjpe, (moved(G, 3, np.nan), G), "pred"),
        (pa_mpjpe, (moved(G, 3, np.inf), G), "pred"),
        (pa_mpjpe, (G, moved(G, 3, np.nan), np.ones(17, bool)), "true"),
        (pa_mpjpe, (G, G, np.ones(16, bool)), "mask"),
        (mrpe, (np.full((2, 3), np.nan), np.zeros((2, 3))), "roots"),
        (average, (np.ones(3), np.ones(2), "scene"), "count"),
        (average, (np.ones(3), np.ones(3), "image"), "by"),
    ],
)
def test_bad_input_is_named(metric, arguments, field):
    with pytest.raises(BadInput) as error:
        plain(metric)(*arguments)
    assert error.value.field == field


def test_averages_by_instance_and_by_scene_differ():
    values, count = np.array([100.0, 0.0]), np.array([1, 3])
    assert average(values, count, "instance") == 25
    assert average(values, count, "scene") == 50
    assert average(np.full(2, 7.0), count, "instance") == average(np.full(2, 7.0), count, "scene") == 7
