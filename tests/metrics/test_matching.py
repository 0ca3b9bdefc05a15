import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mp3d.errors import BadInput
from mp3d.metrics import pa_mpjpe
from mp3d.metrics.matching import MATCHED_JOINTS, assign_2d, greedy_2d, nearest_poses, nearest_roots

seeds = st.integers(0, 2**31)


def person(u=0.0, v=0.0):
    """Joints 1 to 13 at u = 100, 110, ..., 220 and v = 200, moved; the other four far away."""
    uv = np.full((17, 2), 9e3)
    uv[1:14, 0], uv[1:14, 1] = 100 + 10 * np.arange(13) + u, 200 + v
    return uv


def match(true, pred):
    return greedy_2d(np.array(true), np.array(pred).reshape(-1, 17, 2)).tolist()


class TestOfficial:
    @pytest.mark.parametrize(
        "shift, chosen",
        [((40, 40), -1), ((39.999, 39.999), 0), ((39, 39), 0), ((40, 0), -1), ((0, -40), -1), ((-39, 39), 0)],
    )
    def test_the_threshold_is_a_box_and_strict(self, shift, chosen):
        assert match([person()], [person(*shift)]) == [chosen]

    def test_one_joint_is_enough(self):
        far = person(500)
        far[7] = person()[7]
        assert match([person()], [far]) == [0]

    @pytest.mark.parametrize("joint", [0, 14, 15, 16])
    def test_only_joints_1_to_13_count(self, joint):
        assert tuple(range(1, 14)) == MATCHED_JOINTS
        far = person(500)
        far[[0, 14, 15, 16]] -= 5e3
        far[joint] = person()[joint]
        assert match([person()], [far]) == [-1]

    def test_the_first_of_equals(self):
        assert match([person()], [person(500), person(5), person(-5)]) == [1]

    def test_each_prediction_once(self):
        assert match([person(), person()], [person()]) == [0, -1]
        assert match([person(), person()], [person(), person(1)]) == [0, 1]

    def test_the_order_of_annotation_matters(self):
        first, second = person(), person(10)
        crooked = person(-35)
        crooked[1:7, 0] -= 500
        pred = [person(10), crooked]
        assert match([first, second], pred) == [0, -1]
        assert match([second, first], pred) == [0, 1]

    def test_a_joint_at_zero_is_not_predicted(self):
        near_zero = np.full((17, 2), 5.0)
        assert match([near_zero], [np.zeros((17, 2))]) == [-1]
        half = np.zeros((17, 2))
        half[3] = (0, 1e-9)  # one coordinate that is not zero
        assert match([near_zero], [half]) == [0]

    def test_nobody(self):
        assert match([person()], []) == [-1]
        assert greedy_2d(np.zeros((0, 17, 2)), np.zeros((3, 17, 2))).shape == (0,)

    @given(seeds)
    def test_many_images_at_once_are_as_one_by_one_and_as_a_plain_loop(self, seed):
        rng = np.random.default_rng(seed)
        true = rng.normal(200, 40, (6, 3, 17, 2)).round(-1)
        pred = rng.normal(200, 40, (6, int(rng.integers(0, 5)), 17, 2)).round(-1)
        pred[rng.random(pred.shape[:-1]) < 0.2] = 0
        valid = rng.random((6, 3)) < 0.7
        many = greedy_2d(true, pred, valid)
        for image in range(6):
            taken, expected = set(), []
            for p in range(3):
                best, most = -1, 0
                for q in range(pred.shape[1]):
                    if q not in taken and valid[image, p]:
                        joints = [j for j in range(1, 14) if pred[image, q, j].any()]
                        apart = [np.abs(pred[image, q, j] - true[image, p, j]).max() for j in joints]
                        agreeing = sum(distance < 40 for distance in apart)
                        if agreeing > most:
                            best, most = q, agreeing
                taken.add(best)
                expected.append(best)
            assert many[image].tolist() == expected
            assert greedy_2d(true[image], pred[image], valid[image]).tolist() == expected
            used = [q for q in expected if q >= 0]
            assert len(used) == len(set(used))

    @given(seeds)
    def test_a_prediction_after_the_others_changes_only_what_it_wins(self, seed):
        rng = np.random.default_rng(seed)
        true, pred = rng.normal(200, 60, (2, 3, 17, 2))
        before = greedy_2d(true, pred)
        far = greedy_2d(true, np.concatenate([pred, np.full((2, 17, 2), 1e4)]))
        assert far.tolist() == before.tolist()

    def test_other_shapes_are_refused(self):
        with pytest.raises(BadInput, match="number of people"):
            inspect.unwrap(greedy_2d)(np.zeros((2, 3, 17, 2)), np.zeros((3, 3, 17, 2)))
        with pytest.raises(BadInput, match="number of people"):
            inspect.unwrap(nearest_poses)(np.zeros((3, 17, 3)), np.zeros((3, 15, 3)))


class TestAssignment:
    def test_the_sum_is_smallest_not_each_distance(self):
        true = np.array([[[0.0, 0]], [[10.0, 0]]])
        pred = np.array([[[9.0, 0]], [[30.0, 0]]])
        # nearest first would give 10 -> 9 and 0 -> 30, 31 px in all; this is 29
        assert assign_2d(true, pred).tolist() == [0, 1]

    def test_common_joints_alone_decide(self):
        true = np.array([[[0.0, 0], [np.nan, np.nan]], [[50.0, 0], [60.0, 0]]])
        pred = np.array([[[50.0, 0], [60.0, 0]], [[1.0, 0], [900.0, 0]]])
        assert assign_2d(true, pred).tolist() == [1, 0]

    def test_no_common_joint_no_pair(self):
        true = np.array([[[0.0, 0], [np.nan, np.nan]]])
        pred = np.array([[[np.nan, np.nan], [0.0, 0]]])
        assert assign_2d(true, pred).tolist() == [-1]

    def test_limit(self):
        true = np.array([[[0.0, 0]], [[100.0, 0]]])
        pred = np.array([[[20.0, 0]]])
        assert assign_2d(true, pred).tolist() == [0, -1]
        assert assign_2d(true, pred, limit=20.0).tolist() == [0, -1]
        assert assign_2d(true, pred, limit=19.0).tolist() == [-1, -1]
        # of each person: who is farther may be allowed more
        assert assign_2d(true, pred, limit=np.array([19.0, 80.0])).tolist() == [-1, 0]

    def test_as_many_pairs_as_possible(self):
        # The first person could take either, the second only prediction 0.
        true, pred = np.array([[[0.0, 0]], [[-10.0, 0]]]), np.array([[[1.0, 0]], [[11.0, 0]]])
        assert assign_2d(true, pred, limit=11.0).tolist() == [1, 0]

    def test_nobody(self):
        assert assign_2d(np.zeros((2, 3, 2)), np.zeros((0, 3, 2))).tolist() == [-1, -1]
        assert assign_2d(np.zeros((0, 3, 2)), np.zeros((2, 3, 2))).tolist() == []

    @given(seeds)
    def test_order_does_not_matter(self, seed):
        rng = np.random.default_rng(seed)
        true, pred = rng.normal(0, 100, (4, 5, 2)), rng.normal(0, 100, (3, 5, 2))
        order = rng.permutation(4)
        assert assign_2d(true[order], pred).tolist() == assign_2d(true, pred)[order].tolist()


class TestRoots:
    def test_nearest_pair_first(self):
        true = np.array([[0.0, 0], [10.0, 0]])
        pred = np.array([[9.0, 0], [25.0, 0]])
        assert nearest_roots(true, pred).tolist() == [1, 0]

    @pytest.mark.parametrize("distance, chosen", [(29.999, 0), (30.0, -1)])
    def test_limit_is_strict(self, distance, chosen):
        assert nearest_roots(np.zeros((1, 2)), np.array([[distance, 0.0]])).tolist() == [chosen]

    def test_who_has_no_root_takes_no_part(self):
        assert nearest_roots(np.array([[np.nan, np.nan], [1.0, 0]]), np.zeros((1, 2))).tolist() == [-1, 0]
        assert nearest_roots(np.zeros((1, 2)), np.array([[np.nan, np.nan], [3.0, 4]])).tolist() == [1]
        assert nearest_roots(np.zeros((2, 2)), np.zeros((0, 2))).tolist() == [-1, -1]

    @given(seeds)
    def test_each_once(self, seed):
        rng = np.random.default_rng(seed)
        chosen = nearest_roots(rng.normal(0, 20, (5, 2)), rng.normal(0, 20, (4, 2)))
        used = chosen[chosen >= 0]
        assert len(used) == len(set(used.tolist()))


class TestPoses:
    def test_place_size_and_direction_do_not_matter(self):
        rng = np.random.default_rng(0)
        true = rng.normal(0, 300, (2, 17, 3))
        turn = Rotation.random(rng=1).as_matrix()
        pred = 0.3 * true[::-1] @ turn + (9000, 0, 100)
        assert nearest_poses(true, pred).tolist() == [1, 0]

    def test_a_prediction_may_serve_twice(self):
        true = np.random.default_rng(0).normal(0, 300, (1, 17, 3)).repeat(2, 0)
        assert nearest_poses(true, true[:1] + 5).tolist() == [0, 0]

    def test_limit_is_inclusive_and_of_the_mean_error(self):
        true, pred = np.random.default_rng(0).normal(0, 600, (2, 1, 17, 3))
        error = float(pa_mpjpe(pred[0], true[0], scale=True))
        assert nearest_poses(true, pred, error + 1e-9).tolist() == [0]
        assert nearest_poses(true, pred, error - 1e-9).tolist() == [-1]
        assert error > 250 and nearest_poses(true, pred).tolist() == [-1]

    @given(seeds)
    def test_many_images_at_once(self, seed):
        rng = np.random.default_rng(seed)
        true, pred = rng.normal(0, 250, (4, 3, 17, 3)), rng.normal(0, 250, (4, int(rng.integers(0, 4)), 17, 3))
        one_by_one = [nearest_poses(t, p).tolist() for t, p in zip(true, pred)]
        assert nearest_poses(true, pred).tolist() == one_by_one
