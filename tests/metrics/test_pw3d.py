import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.metrics import mpjpe, pa_mpjpe
from mp3d.metrics.pw3d import evaluate, occluded
from mp3d.scene import Person, Scene
from mp3d.skeletons import CORE14, NATIVE, SMPL24, convert

CAMERA = Camera(1960, 1960, 540, 960, 1080, 1920)
POSE = np.random.default_rng(0).uniform((-300, -800, -200), (300, 800, 200), (24, 3))
POSE[0] = 0


def person(x=0.0, z=5000.0, pose=POSE):
    return Person.of(pose + [x, 0, z], CAMERA, skeleton=SMPL24).canonical()


def scene(*people, sequence="downtown_walking_00"):
    return Scene(CAMERA, people, "pw3d", sequence)


def crowd(gap):
    """Two equal people `gap` widths of a box apart."""
    width = person().box[2] * 5000 / 1960
    return scene(person(-gap * width / 2), person(gap * width / 2))


def test_the_fourteen_are_native():
    assert (convert(POSE, SMPL24, CORE14)[1] == NATIVE).all()


def test_pa_mpjpe_with_and_without_scale():
    turned = 1.2 * POSE @ Rotation.from_euler("y", 20, degrees=True).as_matrix().T
    true, pred = (convert(pose, SMPL24, CORE14)[0] for pose in (POSE, turned))
    row = evaluate([scene(person())], [[person(pose=turned)]]).loc["all"]
    assert row["pa_mpjpe"] == pytest.approx(0, abs=1e-9)
    assert row["mpjpe"] == pytest.approx(mpjpe(pred, true, root=13))
    table = evaluate([scene(person())], [[person(pose=turned)]], scale=False)
    assert table.loc["all", "pa_mpjpe"] == pytest.approx(pa_mpjpe(pred, true))
    assert "without scale" in table.attrs["protocol"]


@pytest.mark.parametrize("gap, crowded", [(0.0, True), (0.5, True), (0.6, False), (2.0, False)])
def test_crowded_frames(gap, crowded):
    """Equal boxes a share g of their width apart: IoU (1 - g) / (1 + g), 0.333 and 0.25 in the middle."""
    assert occluded(crowd(gap)) == crowded
    assert not occluded(crowd(gap), overlap=1.0)
    assert not occluded(scene(person())) and not occluded(scene())


def test_full_split_and_subset():
    alone, close = scene(person()), crowd(0.5)
    worse = POSE.copy()
    worse[7] += [0, 0, 140]
    pred = [[person()], [person(p.xyz[14, 0], pose=worse) for p in close.people]]
    table = evaluate([alone, close], pred)
    assert table["people"][:2].tolist() == [3, 2] and table["images"][:2].tolist() == [2, 1]
    assert table["mpjpe"].tolist() == pytest.approx([10 * 2 / 3, 10, 10 / 3])
    assert table.loc["drop", "pa_mpjpe"] == pytest.approx(table["pa_mpjpe"]["occluded"] - table["pa_mpjpe"]["all"])


def test_missed_people_and_the_order():
    true = crowd(2.0)
    table = evaluate([true, true], [true.people[::-1], true.people[1:]])
    assert table.loc["all", ["mpjpe", "recall"]].tolist() == pytest.approx([0, 75])
    assert np.isnan(table.loc["occluded", "mpjpe"])
    assert evaluate([true], [[]]).loc["all", "recall"] == 0


def test_somebody_elsewhere_is_nobody():
    assert evaluate([scene(person())], [[person(8000.0)]]).loc["all", "recall"] == 0


def test_intervals_and_oracle():
    true = [scene(person(), sequence=f"s{i}") for i in range(4)]
    pred = [[person(pose=(1 + 0.1 * i) * POSE)] for i in range(4)]
    row = evaluate(true, pred, over="sequence").loc["all"]
    assert 0 <= row["mpjpe low"] < row["mpjpe"] < row["mpjpe high"]
    table = evaluate(true, pred, oracle="scale")
    assert "ORACLE" in table.attrs["protocol"] and table.loc["all", "mpjpe"] == pytest.approx(0, abs=1e-9)


def test_bad_input():
    with pytest.raises(BadInput, match="no scene"):
        evaluate([], [])
    one = POSE.copy()
    one[7] = np.nan
    with pytest.raises(BadInput, match="NaN"):
        evaluate([scene(person())], [[person(pose=one)]])
