"""Where a pose stands (PandaNet section 3.3.2; SMAP section 4.4)."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.camera import project
from mp3d.codings import translation
from mp3d.errors import BadInput

K = torch.tensor([1158.0, 1200.0, 960.0, 500.0], dtype=torch.float64)
seeds = st.integers(0, 10**6)


def people(seed, count=3, joints=17):
    """Poses, where they stand and where they are seen."""
    rng = np.random.default_rng(seed)
    xyz = torch.from_numpy(rng.normal(0, [200, 450, 200], (count, joints, 3)))
    t = torch.from_numpy(rng.uniform([-3000, -500, 2500], [3000, 500, 40000], (count, 3)))
    return xyz, t, project(xyz + t[:, None], K)


@given(seeds, st.integers(2, 17), st.integers(0, 5))
def test_exact_pixels_give_the_exact_place(seed, joints, steps):
    xyz, t, uv = people(seed, joints=joints)
    torch.testing.assert_close(translation.fit(xyz, uv, K, steps=steps), t, rtol=1e-6, atol=1e-4)


@given(seeds)
def test_a_pose_of_another_scale_stands_as_many_times_as_far_and_fits_as_well(seed):
    xyz, t, uv = people(seed)
    for q in (0.5, 0.9, 1.3):
        found = translation.fit(xyz * q, uv, K)
        torch.testing.assert_close(found, t * q, rtol=1e-6, atol=1e-4)
        torch.testing.assert_close(project(xyz * q + found[:, None], K), uv, rtol=0, atol=1e-4)


@given(seeds)
def test_a_crop_moves_the_principal_point_and_nobody(seed):
    xyz, t, uv = people(seed)
    shift = torch.tensor([300.0, -40])
    k = torch.stack([K, K + torch.cat([torch.zeros(2), -shift])])[:, None]  # one camera a picture
    found = translation.fit(xyz.expand(2, 3, 17, 3), torch.stack([uv, uv - shift]), k)
    torch.testing.assert_close(found, t.expand(2, 3, 3), rtol=1e-6, atol=1e-3)


def cost(xyz, t, uv, weights):
    return (weights[..., None] * (project(xyz + t[..., None, :], K) - uv) ** 2).sum((-2, -1))


@given(seeds)
def test_the_linear_start_is_least_squares_and_steps_never_make_it_worse(seed):
    rng = np.random.default_rng(seed)
    xyz, _, uv = people(seed)
    uv = uv + torch.from_numpy(rng.normal(0, 3, uv.shape))
    weights = torch.from_numpy(rng.uniform(0, 2, uv.shape[:-1]))
    linear = translation.fit(xyz, uv, K, weights, steps=0)
    n = (uv - K[2:]) / K[:2]
    for p in range(3):
        zero, one = np.zeros(17), np.ones(17)
        a = np.concatenate(
            [np.stack([one, zero, -n[p, :, 0].numpy()], 1), np.stack([zero, one, -n[p, :, 1].numpy()], 1)]
        )
        b = (n[p] * xyz[p, :, 2:] - xyz[p, :, :2]).T.flatten().numpy()
        root = np.sqrt(np.tile(weights[p].numpy(), 2))
        expected = np.linalg.lstsq(a * root[:, None], b * root, rcond=None)[0]
        np.testing.assert_allclose(linear[p], expected, rtol=1e-6, atol=1e-3)
    costs = [cost(xyz, translation.fit(xyz, uv, K, weights, steps=n), uv, weights) for n in range(6)]
    for before, after in itertools.pairwise(costs):
        assert (after <= before * (1 + 1e-12)).all()
    # It is a minimum: no way to step aside is better.
    best = translation.fit(xyz, uv, K, weights, steps=20)
    for axis in torch.eye(3, dtype=torch.float64):
        for sign in (-5, 5):
            assert (cost(xyz, best + sign * axis, uv, weights) > cost(xyz, best, uv, weights)).all()


def test_the_linear_start_sets_far_people_too_near_and_steps_mend_most_of_it():
    rng = np.random.default_rng(0)
    xyz = torch.from_numpy(rng.normal(0, [200, 450, 200], (4000, 22, 3)))
    t = torch.tensor([0.0, 0, 50_000], dtype=torch.float64)
    uv = project(xyz + t, K) + torch.from_numpy(rng.normal(0, 1, (4000, 22, 2)))
    linear, refined = (translation.fit(xyz, uv, K, steps=steps)[:, 2].mean() - 50_000 for steps in (0, 5))
    assert -1500 < linear < -200 and abs(refined) < abs(linear) / 2


def test_joints_that_are_unknown_or_weigh_nothing_do_not_count():
    xyz, t, uv = people(1)
    spoilt, pixels, weights = xyz.clone(), uv.clone(), torch.ones(3, 17)
    spoilt[0, 3], pixels[1, 5] = torch.nan, torch.nan
    pixels[2, 7] += 500
    weights[2, 7] = 0
    torch.testing.assert_close(translation.fit(spoilt, pixels, K, weights), t, rtol=1e-6, atol=1e-3)
    noisy = uv + torch.from_numpy(np.random.default_rng(1).normal(0, 2, uv.shape))
    found = translation.fit(xyz, noisy, K)
    torch.testing.assert_close(translation.fit(xyz, noisy, K, weights * 0 + 7.0), found)
    order = torch.from_numpy(np.random.default_rng(2).permutation(17))
    torch.testing.assert_close(translation.fit(xyz[:, order], noisy[:, order], K), found)
    torch.testing.assert_close(translation.fit(xyz[1], noisy[1], K), found[1])  # one alone as among others


def test_where_there_is_no_solution_there_is_nan_and_for_nobody_else():
    xyz, t, uv = people(2, count=6)
    uv[0] = torch.nan  # nobody
    uv[1, 1:] = torch.nan  # one joint
    uv[2] = uv[2, :1]  # one pixel
    weights = torch.ones(6, 17)
    weights[3, 1:] = 0  # one joint that counts
    xyz[4] = -xyz[4]  # upside down: a picture that only somebody behind the camera makes
    found = translation.fit(xyz, uv, K, weights)
    assert found.isnan().all(-1).tolist() == [True] * 5 + [False]
    torch.testing.assert_close(found[5], t[5], rtol=1e-6, atol=1e-3)
    near = torch.tensor([[0.0, 0, 90], [0, 0, 110]], dtype=torch.float64)
    flat = xyz[5:] * torch.tensor([1.0, 1, 0])  # a pose without depth, so that all of it is before the camera
    found = translation.fit(flat.expand(2, 17, 3), project(flat + near[:, None], K), K)
    assert found[0].isnan().all()
    torch.testing.assert_close(found[1], near[1], rtol=1e-6, atol=1e-3)


def test_single_precision_is_enough_at_the_door():
    xyz, t, uv = people(3)
    found = translation.fit(xyz.float(), uv.float(), K.float())
    assert found.dtype == torch.float32 and ((found - t).norm(dim=-1) < 1e-3 * t.norm(dim=-1)).all()
    assert translation.fit(xyz[:0], uv[:0], K).shape == (0, 3)


def test_bad_input_is_named():
    xyz, _, uv = people(4)
    for k in (K * torch.tensor([0, 1, 1, 1]), -K):
        with pytest.raises(BadInput, match="focal"):
            translation.fit(xyz, uv, k)
    with pytest.raises(BadInput, match="weights"):
        translation.fit(xyz, uv, K, -torch.ones(3, 17))
