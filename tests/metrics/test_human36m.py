import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.metrics.human36m import ACTIONS, action, evaluate
from mp3d.scene import Person, Scene
from mp3d.skeletons import H36M17

CAMERA = Camera(1145, 1144, 512, 515, 1000, 1002)
POSE = np.random.default_rng(0).normal(0, 300, (17, 3))
POSE[0] = 0
AT = np.array([100.0, 50, 5000])


def person(pose=POSE, at=AT, score=1.0):
    return Person.of(pose + at, CAMERA, skeleton=H36M17, score=score).canonical()


def scene(kind="Walking", sequence="s_09_act_14_subact_01_ca_01"):
    return Scene(CAMERA, (person(),), "h36m", sequence, kind=kind)


def frames(*pred, **options):
    return evaluate([scene()] * len(pred), [[p] for p in pred], **options).loc["mean of frames"]


def test_the_pelvis_is_one_of_seventeen():
    """All joints but the pelvis off by 50 mm: 50 * 16 / 17, which reads 50 over the other sixteen."""
    moved = POSE + [30.0, 0, 40]
    moved[0] = 0
    assert frames(person(moved))["mpjpe"] == pytest.approx(50 * 16 / 17)


def test_scale():
    row = frames(person(1.1 * POSE))
    assert row["mpjpe"] == pytest.approx(0.1 * np.linalg.norm(POSE, axis=-1).mean())
    assert row["pa_mpjpe"] == pytest.approx(0, abs=1e-9)
    assert frames(person(1.1 * POSE), scale=False)["pa_mpjpe"] > 10


@given(st.integers(0, 2**31))
def test_pa_is_blind_to_rigid_motion(seed):
    turn = Rotation.random(random_state=seed % 2**31).as_matrix()
    assert frames(person(POSE @ turn.T, AT + 70))["pa_mpjpe"] == pytest.approx(0, abs=1e-7)


def test_roots_along_the_axes():
    row = frames(person(at=AT + [3, -4, 12]), person(at=AT + [-3, 4, 12]))
    assert row[["mrpe", "mrpe_x", "mrpe_y", "mrpe_z", "mpjpe"]].tolist() == pytest.approx([13, 3, 4, 12, 0])


def test_mean_of_actions_is_not_that_of_frames():
    true = [scene("Eating"), *[scene("Walking")] * 3]
    pred = [[person(at=AT + [0, 0, z])] for z in (10, 30, 30, 30)]
    table = evaluate(true, pred)
    assert table.index.tolist() == ["Eating", "Walking", "mean of actions", "mean of frames"]
    assert table["mrpe"].tolist() == pytest.approx([10, 30, 20, 25])
    assert table["frames"].tolist() == [1, 3, 4, 4]


def test_the_highest_score_and_nobody():
    good, bad = person(score=0.4), person(at=AT + 500, score=0.9)
    table = evaluate([scene()] * 4, [[good, bad], [bad, good], [good], []])
    row = table.loc["mean of frames"]
    assert row["recall"] == 75
    assert row["mrpe"] == pytest.approx(2 * 500 * np.sqrt(3) / 3)
    nobody = evaluate([scene()], [[]]).loc["Walking"]
    assert nobody["recall"] == 0 and np.isnan(nobody["mpjpe"])


def test_joints_without_truth_do_not_count():
    one = POSE.copy()
    one[9] = np.nan
    true = Scene(CAMERA, (person(one),), kind="Posing")
    assert evaluate([true], [[person()]]).loc["Posing", "mpjpe"] == pytest.approx(0)


def test_actions():
    assert len(ACTIONS) == 15
    assert action(scene("Posing")) == "Posing"
    assert action(scene("", "s_11_act_02_subact_02_ca_01")) == "Directions"
    assert action(scene("", "s_11_act_16_subact_02_ca_01")) == "WalkTogether"
    assert action(scene("", "S9_SittingDown 1.54138969")) == "SittingDown"
    assert action(scene("", "D7")) == action(scene("", "s_11_act_99")) == "other"


def test_oracle_and_alignment_stand_in_the_header():
    options = {"oracle": "scale", "scale": False}
    table = evaluate([scene()], [[person(1.2 * POSE)]], **options)
    assert "ORACLE" in table.attrs["protocol"] and "without scale" in table.attrs["protocol"]
    assert table.loc["mean of frames", "mpjpe"] == pytest.approx(0, abs=1e-9)


def test_intervals():
    pred = [[person(at=AT + [0, 0, z])] for z in (0, 10, 20, 30)]
    row = evaluate([scene()] * 4, pred, over="image").loc["Walking"]
    assert 0 <= row["mrpe low"] < row["mrpe"] == pytest.approx(15)
    assert row["mrpe high"] > 15


def test_bad_input():
    with pytest.raises(BadInput, match="0 people"):
        evaluate([Scene(CAMERA, ())], [[]])
    with pytest.raises(BadInput, match="no scene"):
        evaluate([], [])
    one = POSE.copy()
    one[3] = np.nan
    with pytest.raises(BadInput, match="NaN"):
        evaluate([scene()], [[person(one)]])
