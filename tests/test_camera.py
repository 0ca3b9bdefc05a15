from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mp3d.camera import Camera, Lens, back_project, project
from mp3d.errors import BadInput
from mp3d.scene import ABSENT, VISIBLE, Person, Scene
from mp3d.skeletons import MPI17, flip

seeds = st.integers(0, 10_000)


def some(seed):
    """A camera anywhere and 17 points before it."""
    rng = np.random.default_rng(seed)
    camera = Camera(
        *rng.uniform(500, 2000, 2),
        *rng.uniform(300, 900, 2),
        1920,
        1080,
        Rotation.random(rng=rng).as_matrix(),
        rng.normal(size=3) * 1000,
    )
    return camera, np.stack([*rng.normal(size=(2, 17)) * 1000, rng.uniform(1500, 9000, 17)], -1)


def test_by_hand():
    camera = Camera(1000, 1000, 500, 400, 1000, 800)
    np.testing.assert_allclose(camera.project(np.array([500.0, -200.0, 2000.0])), (750, 300))
    # PI-Net's spec 3.3: box [400, 300, 256, 256], f 1500, c (960, 540), root depth 4000
    other = Camera(1500, 1500, 960, 540, 1920, 1080)
    np.testing.assert_allclose(
        other.back_project(np.array([528.0, 428.0]), np.array(4000.0)), (-1152, -298.667, 4000), atol=1e-3
    )
    np.testing.assert_allclose(
        other.back_project(np.array([464.0, 492.0]), np.array(4250.0)), (-1405.333, -136, 4250), atol=1e-3
    )


def test_field_of_view():
    assert Camera(500, 500, 500, 250, 1000, 500).fov == pytest.approx((90, 2 * np.degrees(np.arctan(0.5))))
    off_centre = Camera(500, 500, 0, 250, 1000, 500).fov[0]  # all of the image on one side of the axis
    assert off_centre == pytest.approx(np.degrees(np.arctan(2)))


@given(seeds)
def test_round_trips(seed):
    camera, xyz = some(seed)
    np.testing.assert_allclose(camera.back_project(camera.project(xyz), xyz[:, 2]), xyz, rtol=1e-9)
    np.testing.assert_allclose(camera.to_world(camera.to_camera(xyz)), xyz, atol=1e-8)


@given(seeds, st.floats(-300, 300), st.floats(-300, 300))
def test_projecting_after_a_crop_is_cropping_the_projection(seed, x, y):
    camera, xyz = some(seed)
    np.testing.assert_allclose(camera.crop(x, y, 256, 256).project(xyz), camera.project(xyz) - (x, y), atol=1e-8)


@given(seeds, st.integers(10, 4000), st.integers(10, 4000))
def test_projecting_after_a_resize_is_resizing_the_projection(seed, width, height):
    camera, xyz = some(seed)
    scale = (width / camera.width, height / camera.height)
    small = camera.resize(width, height)
    np.testing.assert_allclose(small.project(xyz), camera.project(xyz) * scale, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(small.fov, camera.fov)
    np.testing.assert_allclose(small.resize(camera.width, camera.height).k, camera.k)


@given(seeds)
def test_flips(seed):
    camera, xyz = some(seed)
    mirrored = camera.flip()
    uv = camera.project(xyz)[list(MPI17.mirror)]
    np.testing.assert_allclose(mirrored.project(flip(xyz, MPI17)), np.c_[camera.width - uv[:, 0], uv[:, 1]], atol=1e-8)
    world = camera.to_world(xyz)
    np.testing.assert_allclose(mirrored.to_camera(flip(world, MPI17)), flip(xyz, MPI17), atol=1e-8)
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1)
    again = mirrored.flip()
    for name in ("k", "rotation", "translation"):
        np.testing.assert_allclose(getattr(again, name), getattr(camera, name))


def test_torch_and_batches_of_cameras_agree_with_numpy():
    cameras, points = zip(*(some(seed) for seed in range(4)), strict=True)
    k, xyz = np.stack([c.k for c in cameras])[:, None], np.stack(points)
    uv = project(xyz, k)
    np.testing.assert_allclose(uv[2], cameras[2].project(points[2]))
    t_uv = project(torch.from_numpy(xyz), torch.from_numpy(k))
    np.testing.assert_allclose(t_uv.numpy(), uv)
    t_xyz = back_project(t_uv, torch.from_numpy(xyz[..., 2]), torch.from_numpy(k))
    np.testing.assert_allclose(t_xyz.numpy(), xyz, rtol=1e-9)


def test_a_camera_needs_a_focal_length():
    with pytest.raises(BadInput, match="fx: found 0"):
        Camera(0, 1000, 0, 0, 10, 10)


def test_person_and_scene():
    camera, xyz = some(3)
    xyz[16] = np.nan
    person = Person.of(xyz, camera, identity=7)
    np.testing.assert_allclose(person.uv[:16], camera.project(xyz[:16]))
    assert person.visibility[16] == ABSENT and (person.visibility[:16] == VISIBLE).all()
    np.testing.assert_array_equal(person.root, xyz[14])
    x, y, width, height = person.box
    assert (x, y) == tuple(np.nanmin(person.uv, 0)) and (x + width, y + height) == pytest.approx(
        tuple(np.nanmax(person.uv, 0))
    )
    scene = Scene(camera, (person, person))
    assert scene.xyz.shape == (2, 17, 3) and scene.boxes.shape == (2, 4) and scene.roots.shape == (2, 3)
    with pytest.raises(BadInput, match=r"xyz: found \(15, 3\), expected \(17, 3\) for MPI17"):
        Person.of(xyz[:15], camera)


OPENCV = Lens(-0.28, 0.11, 0.0013, -0.0007, -0.02)


def test_lens_by_hand():
    """x = 0.3, y = -0.4: r² = 0.25; OpenCV's documentation, term by term."""
    lens = Lens(0.1, 0.2, 0.01, 0.02, 0.3)
    radial = 1 + 0.1 * 0.25 + 0.2 * 0.0625 + 0.3 * 0.015625
    x = 0.3 * radial + 2 * 0.01 * 0.3 * -0.4 + 0.02 * (0.25 + 2 * 0.09)
    y = -0.4 * radial + 0.01 * (0.25 + 2 * 0.16) + 2 * 0.02 * 0.3 * -0.4
    assert np.allclose(lens.distort(np.array([0.3, -0.4])), [x, y], atol=1e-15)
    once = 0.3 * (radial + 0.01 * -0.4 + 0.02 * 0.3) + 0.02 * 0.25  # Human3.6M's own model
    assert np.isclose(replace(lens, tangential=1).distort(np.array([0.3, -0.4]))[0], once, atol=1e-15)


def test_lens_there_and_back_and_mirrored():
    camera = Camera(1400, 1395, 955, 550, 1920, 1080, lens=OPENCV)
    xyz = np.random.default_rng(0).uniform((-1500, -800, 2500), (1500, 800, 6000), (50, 3))
    uv = camera.project(xyz)
    assert np.abs(uv - replace(camera, lens=None).project(xyz)).max() > 5  # it does something
    assert np.allclose(camera.back_project(uv, xyz[:, 2]), xyz, atol=1e-6)
    mirrored = camera.flip().project(xyz * (-1, 1, 1))
    assert np.allclose(mirrored, [camera.width, 0] + uv * (-1, 1))
    half = camera.crop(100, 50, 960, 540).resize(480, 270)
    assert np.allclose(half.project(xyz), (uv - (100, 50)) / 2)
