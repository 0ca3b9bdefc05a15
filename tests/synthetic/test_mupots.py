"""Takes from estimated poses: what is invented, where the floor is, who is left out. Lengths in mm."""

import numpy as np
import pytest

import mp3d.data.tdbu_outputs as tdbu_outputs
from mp3d.camera import Camera
from mp3d.data.tdbu_outputs import Video
from mp3d.errors import BadInput
from mp3d.synthetic.mupots import complete, floor, mupots_takes, stature
from mp3d.synthetic.worlds import takes


@pytest.fixture(scope="module")
def people():
    """Points (M, 22, 3) and sizes of `duet`'s people, who are upright before a camera."""
    some = takes("solo", 64, 0, kinds=["standing", "walking"])
    return some.points[:, 0], some.size[:, 0]


@pytest.fixture
def video(people):
    """Six frames of two people whose poses are exact; the second is not seen in frame 2, nobody is in frame 4."""
    points = people[0][:12, :17].reshape(6, 2, 17, 3) + [[[[-600.0, 0, 0]], [[600.0, 0, 0]]]]
    camera = Camera(1180, 1180, 960, 540, 1920, 1080)
    root = points[:, :, 14]
    axis = np.array([0.0, 0, 1])
    local = np.empty_like(points)
    for f in range(6):
        for p in range(2):  # the release's frame: the ray through the pelvis is its z axis (Rodrigues' formula)
            ray = root[f, p] / np.linalg.norm(root[f, p])
            v, c = np.cross(axis, ray), ray[2]
            cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
            turn = np.eye(3) + cross + cross @ cross / (1 + c)
            local[f, p] = (points[f, p] - root[f, p]) @ turn
    seen = np.ones((6, 2), bool)
    seen[2, 1] = seen[4] = False
    depths = {name: root[..., 2].copy() for name in tdbu_outputs.DEPTHS}
    poses = {name: local.copy() for name in tdbu_outputs.POSES}
    confidence = np.full((6, 2, 17), 1 / 17)
    return Video("TS7", camera, camera.project(points), confidence, seen, depths, poses), points


def test_stature_and_what_is_invented(people):
    points, _ = people
    whole = complete(points[:, :17])
    assert whole.shape == points.shape
    np.testing.assert_array_equal(whole[:, :17], points[:, :17])
    off = np.linalg.norm(whole - points, axis=-1)[:, 17:]
    assert off[:, :2].max() < 15 and off[:, 2:4].max() < 230 and off[:, 4].max() < 130  # hands, toes, nose
    tall = stature(points[:, :17])
    assert tall.min() > 1400 and tall.max() < 2100


def test_what_is_invented_turns_with_the_person(people):
    angle = np.deg2rad(70)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    xyz = people[0][:, :17]
    np.testing.assert_allclose(complete(xyz @ turn.T), complete(xyz) @ turn.T, atol=1e-6)
    mirrored = (xyz * [-1.0, 1, 1])[:, [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14, 15, 16]]
    np.testing.assert_allclose(
        complete(mirrored), (complete(xyz) * [-1.0, 1, 1])[:, SWAPPED], atol=1e-6
    )  # left and right are told apart


SWAPPED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14, 15, 16, 18, 17, 20, 19, 21]


@pytest.mark.parametrize(("pitch", "roll"), [(0.0, 0.0), (0.2, 0.0), (0.1, -0.06)])
def test_the_floor_of_a_known_camera(pitch, roll):
    """Ankles 70 mm above a floor 1,500 mm below the camera, a fifth of them lifted: found within 1.5 degrees, 60 mm."""
    rng = np.random.default_rng(0)
    world = np.stack([rng.uniform(-2500, 2500, 400), np.full(400, -70.0), rng.uniform(2500, 7000, 400)], -1)
    world[:80, 1] -= rng.uniform(50, 500, 80)
    world += rng.normal(0, 15, world.shape)
    x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    true = z @ x
    rotation, translation = floor((world + [0, 1500, 0]) @ true.T, 70.0)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0
    assert np.degrees(np.arccos(rotation[:, 1] @ true[:, 1])) < 1.5
    assert abs(-(-rotation.T @ translation)[1] - 1500) < 60


def test_takes_of_exact_poses_are_those_poses(video):
    video, points = video
    some = mupots_takes([video], seed=0, count=5)
    assert len(some) == 5 and some.motion == "tdbu" and set(some.kind) == {"mupots"} and some.world == "duet"
    assert set(some.sequence) == {"TS7"} and sorted(some.frame.tolist()) == [0, 1, 2, 3, 5]  # nobody is in 4
    for i, f in enumerate(some.frame.tolist()):
        n = 1 if f == 2 else 2
        assert some.people[i] == n and np.isnan(some.points[i, n:]).all()
        np.testing.assert_allclose(some.points[i, :n, :17], points[f, :n], atol=30)  # one scale a person
        assert ((some.size[i, :n] > 1300) & (some.size[i, :n] < 2400)).all()
    again, other = mupots_takes([video], seed=0, count=8), mupots_takes([video], seed=1, count=5)
    assert again.frame[:5].tolist() == some.frame.tolist() and len(again) == 8
    assert other.frame.tolist() != some.frame.tolist()
    np.testing.assert_array_equal(again.points[:5], some.points)


def test_bad_input(video):
    with pytest.raises(BadInput, match="videos, count: found \\('0 frames', 3\\)"):
        mupots_takes([], 0, 3)
    with pytest.raises(BadInput, match="expected a frame and a count >= 0"):
        mupots_takes([video[0]], 0, -1)


def test_real_people_stand_on_the_floor(samples):
    """The released poses of four videos with people upright: ankles near the floor, heads 1.2 to 2 m above it."""
    some = mupots_takes(tdbu_outputs.read(samples, [1, 9, 16, 20]), 0, 400)
    there = np.isfinite(some.size)
    world = (some.points - some.translation[:, None, None]) @ some.rotation[:, None]
    lower = world[..., [10, 13], 1].max(-1)[there]
    assert abs(np.median(lower) + 65) < 40 and (np.abs(lower + 65) < 200).mean() > 0.9
    assert -2000 < np.median(world[..., 0, 1][there]) < -1200
    assert (some.points[..., 2][there] > 0).all() and set(some.people) <= {1, 2, 3}
