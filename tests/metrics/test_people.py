from dataclasses import replace

import numpy as np
import pytest

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.metrics.people import ORACLES, Image, arrays, boxes, helped, known_mean, taken, together
from mp3d.scene import Person, Scene
from mp3d.skeletons import MPI17, PANOPTIC15, PANOPTIC19, SMAP15

CAMERA = Camera(1000, 1000, 500, 500, 1000, 1000)
POSES = np.random.default_rng(0).normal(0, 300, (3, 17, 3)) + [0, 0, 5000]


def person(pose, skeleton=MPI17):
    return Person.of(pose, CAMERA, skeleton=skeleton)


def test_together_says_which_list_is_short():
    scenes = [Scene(CAMERA, ())] * 3
    assert len(list(together(scenes, [[]] * 3))) == 3
    for predicted in ([[]] * 2, [[]] * 4):
        with pytest.raises(BadInput, match="as many as scenes"):
            list(together(iter(scenes), iter(predicted)))


def test_people_are_read_lazily():
    def endless():
        while True:
            yield Scene(CAMERA, ())

    pairs = together(endless(), ([] for _ in range(10**9)))
    assert next(pairs)[0].people == ()


def test_arrays_take_the_joints_that_are_asked_for():
    own = np.random.default_rng(1).normal(0, 300, (19, 3)) + [0, 0, 5000]
    one = person(own, PANOPTIC19).canonical()
    assert (arrays([one], PANOPTIC19)[0][0] == own).all()  # through `native`
    assert (arrays([person(own, PANOPTIC19)], PANOPTIC19)[0][0] == own).all()
    xyz, uv, seen = arrays([one], SMAP15)
    assert xyz[0, 0] == pytest.approx(own[0]) and np.isnan(xyz[0, 1]).all()  # a neck, no top of the head
    assert uv[0, 0] == pytest.approx(CAMERA.project(own[0])) and seen[0, :2].tolist() == [2, 0]
    assert arrays([], PANOPTIC15)[0].shape == (0, 15, 3)


def test_taken():
    chosen = taken(POSES, np.array([2, -1]))
    assert (chosen[0] == POSES[2]).all() and np.isnan(chosen[1]).all()
    assert np.isnan(taken(POSES[:0], np.array([-1]))).all()


def test_known_mean():
    assert known_mean(np.array([[1, np.nan, 3], [np.nan] * 3])).tolist() == pytest.approx([2, np.nan], nan_ok=True)


def test_a_detector_s_box_comes_before_the_box_around_the_joints():
    one, two = (person(pose) for pose in POSES[:2])
    given = np.array([5.0, 6, 70, 80])
    nowhere = replace(one, uv=np.full((17, 2), np.nan), detection=given)
    assert (boxes([replace(one, detection=given), two, nowhere]) == [given, two.box, given]).all()


def test_boxes_of_people_without_pixels():
    nobody = person(np.full((17, 3), np.nan))
    both = boxes([person(POSES[0]), nobody])
    assert both[0] == pytest.approx(person(POSES[0]).box) and np.isnan(both[1]).all()
    assert boxes([]).shape == (0, 4)


class TestOracles:
    def test_none_changes_nothing_and_help_is_announced(self):
        assert helped(POSES, POSES[::-1], "none", MPI17, 14) is POSES
        assert [name for name, text in ORACLES.items() if "ORACLE" not in text] == ["none"]

    def test_scale_keeps_root_and_shape(self):
        true = POSES[::-1]
        new = helped(POSES, true, "scale", MPI17, 14)
        assert new[:, 14] == pytest.approx(POSES[:, 14])
        parent, child = map(list, zip(*MPI17.limbs, strict=True))
        sums = [np.linalg.norm(p[:, child] - p[:, parent], axis=-1).sum(-1) for p in (new, true, POSES)]
        assert sums[0] == pytest.approx(sums[1])
        ratio = (new - new[:, 14:15])[:, :14] / (POSES - POSES[:, 14:15])[:, :14]
        assert ratio == pytest.approx(np.broadcast_to((sums[1] / sums[2])[:, None, None], ratio.shape))

    def test_scale_from_the_bones_that_both_have(self):
        pred = 14.0 * (POSES - POSES[:, 14:15])
        true = pred / 7
        pred[:, 4], true[:, 0] = np.nan, np.nan
        new = helped(pred, true, "scale", MPI17, 14)
        assert new[:, 5:] == pytest.approx(true[:, 5:])
        assert np.isnan(new[:, 4]).all()

    def test_root(self):
        new = helped(POSES, POSES[::-1], "root", MPI17, 14)
        assert new[:, 14] == pytest.approx(POSES[::-1, 14])
        assert new - new[:, 14:15] == pytest.approx(POSES - POSES[:, 14:15])


def test_image():
    pred = POSES + [0, 30, 40]
    pred[1] = np.nan
    pred[2, 0] += [150, 0, 0]
    image = Image(Scene(CAMERA, ()), POSES, pred, np.array([True, False, True]), 2, 14)
    assert image.mpjpe == pytest.approx([0, np.nan, 150 / 17], nan_ok=True, abs=1e-9)
    assert image.root_errors == pytest.approx([50, np.nan, 50], nan_ok=True)
    assert image.good().sum(-1).tolist() == [17, 0, 16]
    assert image.known.all()
