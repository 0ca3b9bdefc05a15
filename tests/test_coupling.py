"""Companions that tell by construction, companions that tell nothing, and the pair frame."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.coupling import companion_gain, ridge, summary, to_pair_frame
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17

MIRROR = list(MPI17.mirror)


def about_vertical(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def world(rng, scenes, people=2, sd=100.0):
    """People in any direction from one another, poses independent."""
    pose = rng.normal(size=(scenes, people, 17, 3)) * sd
    pose[:, :, 14] = 0
    root = np.array([0, 0, 4000]) + rng.normal(size=(scenes, people, 1, 3)) * [800, 100, 800]
    return pose, root


def noisy(rng, truth, sd=100.0):
    noise = rng.normal(size=truth.shape) * sd
    noise[:, :, 14] = 0
    return truth + noise


def mirrored(pose, root):
    """The second person becomes the first one's image in a vertical mirror halfway between them."""
    for i in range(len(pose)):
        x, _, z = (root[i, 1] - root[i, 0])[0]
        turn = about_vertical(np.arctan2(z, x))  # takes the line between them to +x
        image = (pose[i, 0] @ turn.T)[MIRROR] * [-1, 1, 1]
        pose[i, 1] = image @ turn
    return pose + root


def gain(estimates, truths, **options):
    groups = [f"{i}" for i in range(len(truths))]
    return summary(companion_gain(list(estimates), list(truths), groups, folds=3, **options)).iloc[0]


def test_ridge_is_least_squares_with_extra_rows(rng):
    x, y, alpha = rng.normal(size=(30, 4)), rng.normal(size=(30, 2)), np.array([0.0, 1, 5, 50])
    padded = np.concatenate([x, np.diag(np.sqrt(alpha))])
    expected = np.linalg.lstsq(padded, np.concatenate([y, np.zeros((4, 2))]))[0]
    np.testing.assert_allclose(ridge(x.T @ x, x.T @ y, alpha), expected, atol=1e-12)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_a_copy_is_worth_what_averaging_two_looks_is_worth(rng):
    # Both show one pose of sd 100 mm, each with noise of sd 100: from one look an error of variance
    # 1/(1/100² + 1/100²), from two of 1/(1/100² + 2/100²). The mean length of a 3D normal error is
    # sqrt(8/pi) sd, the pelvis (1 of 17 joints) has none.
    pose, root = world(rng, 3000)
    pose[:, 1] = pose[:, 0]
    truth = pose + root
    result = gain(noisy(rng, truth), truth, frame="camera")
    length = np.sqrt(8 / np.pi) * 16 / 17
    assert result["input"] == pytest.approx(100 * length, rel=0.01)
    assert result["alone"] == pytest.approx(100 / np.sqrt(2) * length, rel=0.02)
    assert result["companion"] == pytest.approx(100 / np.sqrt(3) * length, rel=0.02)
    assert result["low"] < result["gain"] < result["high"]
    assert abs(result["gain_between"]) < 0.5


def test_a_mirror_tells_in_the_pair_frame_and_nothing_in_the_cameras(rng):
    pose, root = world(rng, 2000)
    truth = mirrored(pose, root)
    estimates = noisy(rng, truth)
    pair, camera = (gain(estimates, truth, frame=frame) for frame in ("pair", "camera"))
    length = np.sqrt(8 / np.pi) * 16 / 17
    assert pair["companion"] == pytest.approx(100 / np.sqrt(3) * length, rel=0.03)
    assert pair["low"] > 15
    assert abs(pair["gain_between"]) < 0.5
    # where the second stands is random: what a mirror does to y is all that is left
    assert camera["gain"] < 0.4 * pair["gain"]


def test_people_who_ignore_one_another_gain_nothing(rng):
    pose, root = world(rng, 800, people=3)
    truth = pose + root
    for frame in ("pair", "camera"):
        result = gain(noisy(rng, truth), truth, frame=frame)
        assert abs(result["gain"]) < 0.3
        assert result["alone"] < result["input"]


def test_companions_known_exactly_tell_more(rng):
    pose, root = world(rng, 800)
    pose[:, 1] = pose[:, 0]
    truth = pose + root
    estimates = noisy(rng, truth)
    exact = gain(estimates, truth, companions=list(truth), frame="camera")
    assert exact["companion"] < 10  # the copy is the answer
    assert exact["alone"] == pytest.approx(gain(estimates, truth, frame="camera")["alone"])


def test_what_a_video_shares_is_told_by_a_companion_at_any_time_in_it(rng):
    # One posture a video, the same for both: the companion of another moment tells as much.
    _, root = world(rng, 1500)
    posture = rng.normal(size=(300, 1, 1, 17, 3)) * 100
    posture[..., 14, :] = 0
    truth = np.broadcast_to(posture, (300, 5, 2, 17, 3)).reshape(1500, 2, 17, 3) + root
    groups = [f"video {i // 5}" for i in range(1500)]
    estimates = noisy(rng, truth)
    table = companion_gain(list(estimates), list(truth), groups, frame="camera", folds=3)
    result = summary(table).iloc[0]
    assert result["groups"] == 300
    assert result["gain"] > 10
    assert result["gain_within"] == pytest.approx(result["gain"], rel=0.1)
    assert abs(result["gain_between"]) < 1


def test_table_has_a_row_a_kind_and_group(rng):
    pose, root = world(rng, 90, people=3)
    truth = list(pose + root)
    truth[0] = truth[0][:1]  # alone, left out
    truth[1] = truth[1][:2]
    groups = [f"v{i % 6}" for i in range(90)]
    kinds = ["walk" if i % 6 < 3 else "talk" for i in range(90)]
    table = companion_gain(truth, truth, groups, kinds, folds=3)
    assert table["n"].sum() == 3 * 90 - 3 - 1
    assert table.groupby("kind")["group"].agg(set).to_dict() == {
        "walk": {"v0", "v1", "v2"},
        "talk": {"v3", "v4", "v5"},
    }
    assert table["input"].max() == 0
    again = companion_gain(truth, truth, groups, kinds, folds=3)
    pd.testing.assert_frame_equal(table, again)


def test_single_scenes_have_no_other_time(rng):
    pose, root = world(rng, 30)
    table = companion_gain(list(pose + root), list(pose + root), [f"{i}" for i in range(30)], folds=3)
    assert table["shuffled_within"].isna().all()
    assert table["shuffled_between"].notna().all()


@given(st.floats(-3, 3), st.integers(0, 1000))
def test_pair_frame_does_not_see_a_rotation_about_the_vertical(angle, seed):
    rng = np.random.default_rng(seed)
    pose, offset = rng.normal(size=(5, 17, 3)), rng.normal(size=(5, 3))
    turn = about_vertical(angle)
    np.testing.assert_allclose(to_pair_frame(pose @ turn.T, offset @ turn.T), to_pair_frame(pose, offset), atol=1e-12)
    turned = to_pair_frame(offset, offset)
    np.testing.assert_allclose(turned[:, 0], np.hypot(offset[:, 0], offset[:, 2]))
    np.testing.assert_allclose(turned[:, 1:], np.stack([offset[:, 1], np.zeros(5)], 1), atol=1e-12)


def test_bad_input(rng):
    pose, root = world(rng, 6)
    truth, groups = list(pose + root), list("abcdef")
    broken = [poses.copy() for poses in truth]
    broken[2][0, 0] = np.nan
    with pytest.raises(BadInput, match="scene 2"):
        companion_gain(broken, truth, groups)
    with pytest.raises(BadInput, match="scene 0"):
        companion_gain([poses[:1] for poses in truth], truth, groups)
    with pytest.raises(BadInput, match="nobody in company"):
        companion_gain([p[:1] for p in truth], [p[:1] for p in truth], groups)
    with pytest.raises(BadInput, match="3 of each"):
        companion_gain(truth, truth, list("aaabbb"))
    with pytest.raises(BadInput, match="'pair' or 'camera'"):
        companion_gain(truth, truth, groups, frame="world")
