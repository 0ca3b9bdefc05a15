"""The solutions that readers are measured by, against the library and against numbers from the papers."""

import numpy as np
import pytest
import torch

from mp3d import exercises
from mp3d.camera import Camera
from mp3d.metrics.errors import mpjpe
from mp3d.papers import pinet


def poses(people=3, seed=0):
    return np.random.default_rng(seed).normal(size=(people, 17, 3)) * (200, 500, 150) + (0, 0, 4000)


def test_start():
    camera = Camera(1500, 1500, 960, 540, 1920, 1080)
    feet_and_head = camera.project(np.array([[0.0, 900, 5000], [0, -850, 5000]]))
    assert exercises.depth_from_height(1500, 1750, feet_and_head[0, 1] - feet_and_head[1, 1]) == pytest.approx(5000)
    a, b = poses(2)
    assert exercises.mpjpe_by_hand(a, b) == pytest.approx(mpjpe(a, b).item())
    relative = np.linalg.norm((a - a[14]) - (b - b[14]), axis=1)
    assert exercises.without_the_pelvis(relative.mean()) == pytest.approx(np.delete(relative, 14).mean())
    assert exercises.without_the_pelvis(126.0) == pytest.approx(133.9, abs=0.05)  # PI-Net's spec 4.7
    uv = camera.project(a)
    np.testing.assert_allclose(exercises.wrong_root(a, 0.05), camera.back_project(uv, a[:, 2] * 1.05), rtol=1e-9)


def test_pinet():
    group = poses(4)
    expected = pinet.order(group, "near")
    for person in range(4):
        np.testing.assert_array_equal(exercises.near_to_far(group[:, 14], person), expected[person])
    together = np.zeros((3, 3))  # three people at one place: nobody is lost, each comes first in turn
    assert [list(exercises.near_to_far(together, n)) for n in range(3)] == [
        [0, 1, 2],
        [1, 0, 2],
        [2, 0, 1],
    ]

    batch = torch.from_numpy(group)[None]
    mean, std = pinet.statistics(batch, torch.ones(1, 4, 17, dtype=torch.bool))
    np.testing.assert_allclose(exercises.normalised(group), ((batch - mean) / std)[0].numpy())

    model = pinet.PINet(pinet.PINetConfig(hidden=8)).double()
    e = torch.randn(1, 3, 16, dtype=torch.float64)
    _, weights = model.attend(e, torch.ones(1, 3, dtype=torch.bool))
    a, b = (p.detach().numpy() for p in model.attention.parameters())
    np.testing.assert_allclose(exercises.attention_weights(e[0].numpy(), a, b), weights[0].detach().numpy())


def test_pinet_scale():
    toy = np.zeros((17, 3))
    toy[:, 1] = np.linspace(-700, 800, 17)
    assert exercises.what_scale_hides(toy, 1.0) == pytest.approx((0, 0), abs=1e-6)
    rigid = 0.1 * np.abs(toy[:, 1] - toy[:, 1].mean()).mean()
    assert exercises.what_scale_hides(toy, 1.1) == pytest.approx((rigid, 0), abs=1e-6)
    assert exercises.what_scale_hides(exercises.TOY_POSE, 1.1)[0] == pytest.approx(39.3417, abs=1e-4)  # spec 4.9


@pytest.mark.parametrize(("inputs", "hidden", "layers"), [(51, 256, 2), (51, 256, 3), (5, 7, 4)])
def test_gru_parameters(inputs, hidden, layers):
    gru = torch.nn.GRU(inputs, hidden, layers, bidirectional=True)
    assert exercises.gru_parameters(inputs, hidden, layers) == sum(p.numel() for p in gru.parameters())


def test_averages():
    a, b = np.array([3.0, 5, 7]), np.array([2.0, 3, 4])
    assert exercises.paired_interval(a, b) == pytest.approx((2, 4.302653 / np.sqrt(3)))  # t of two degrees of freedom
    # PI-Net's Table 2, row 3DMPPE, MPJPE: 122.91 over sequences, 126.0 over people
    error = [90.9, 159.3, 121.8, 113.5, 107.8, 121.1, 113.8, 138.2, 99.7, 98.4]
    error += [119.6, 115.4, 143.7, 151.7, 111.7, 101.8, 105.6, 115.8, 140.7, 187.7]
    frames = [
        201,
        251,
        401,
        301,
        261,
        541,
        431,
        551,
        501,
        251,
        701,
        251,
        341,
        626,
        801,
        501,
        401,
        126,
        431,
        501,
    ]
    people = np.array([3 if n in (7, *range(13, 21)) else 2 for n in range(1, 21)]) * frames
    assert exercises.two_averages(np.array(error), people) == pytest.approx((122.91, 125.955), abs=0.006)
