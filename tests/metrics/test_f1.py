import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.errors import BadInput
from mp3d.metrics.f1 import THRESHOLDS, joint_matches, precision_recall_f1

seeds = st.integers(0, 2**31)


def on_a_line(*metres):
    """People of one joint each, on the x axis."""
    return np.array([[(1000 * x, 0, 0)] for x in metres], float).reshape(-1, 1, 3)


def f1(pred, true, threshold, rule="loco"):
    return precision_recall_f1(*joint_matches(pred, true, threshold, rule))[2]


def plain_loco(pred, true, threshold):
    """The rule as it is told, one joint type after the other."""
    found = 0
    for joint in range(true.shape[1]):
        choice = {}  # of each truth: (distance, prediction)
        for n, t in enumerate(true[:, joint]):
            distances = [np.linalg.norm(p - t) for p in pred[:, joint]]
            close = [(d, k) for k, d in enumerate(distances) if d <= threshold]
            if close:
                choice[n] = min(close)
        winner = {}  # of each prediction: the nearest of the truths that chose it
        for n, (d, k) in choice.items():
            if k not in winner or d < choice[winner[k]][0]:
                winner[k] = n
        found += sum(winner[k] == n for n, (_, k) in choice.items())  # truths that were not turned down
    return found


class TestLoco:
    def test_the_rule_is_not_optimal(self):
        true, pred = on_a_line(0, 0.3), on_a_line(0.1, -0.35)
        assert joint_matches(pred, true, 400.0) == (1, 1, 1)
        assert f1(pred, true, 400.0) == 0.5
        assert f1(pred, true, 400.0, "optimal") == 1

    def test_pred_is_truth(self):
        true = np.random.default_rng(0).normal(0, 1000, (5, 14, 3))
        for threshold in THRESHOLDS:
            for rule in ("loco", "optimal"):
                assert f1(true[::-1], true, threshold, rule) == 1

    def test_a_distance_equal_to_the_threshold_is_close_enough(self):
        assert f1(on_a_line(0.5), on_a_line(0), 500.0) == 1
        assert f1(on_a_line(0.5), on_a_line(0), 499.0) == 0

    def test_joints_are_a_bag(self):
        """Two people who swapped their heads: right for F1."""
        true = np.zeros((2, 2, 3))
        true[1] += 5000
        swapped = true.copy()
        swapped[:, 0] = true[::-1, 0]
        assert f1(swapped, true, 400.0) == 1

    def test_joint_types_do_not_mix(self):
        true = np.array([[(0, 0, 0), (5000, 0, 0)]], float)
        assert f1(true[:, ::-1].copy(), true, 400.0) == 0

    def test_missing_joints(self):
        true = np.zeros((1, 3, 3))
        true[0, 2] = np.nan
        pred = np.zeros((1, 3, 3))
        pred[0, 0] = np.nan
        assert joint_matches(pred, true, 400.0) == (1, 1, 1)

    @given(seeds)
    def test_properties(self, seed):
        rng = np.random.default_rng(seed)
        true, pred = (rng.uniform(0, 1500, (rng.integers(0, 7), 3, 3)) for _ in range(2))
        for poses in (true, pred):
            poses[rng.random(poses.shape[:2]) < 0.2] = np.nan
        found = {rule: [joint_matches(pred, true, t, rule)[0] for t in THRESHOLDS] for rule in ("loco", "optimal")}
        assert found["loco"] == [plain_loco(pred, true, t) for t in THRESHOLDS]
        for rule in found.values():
            assert (np.diff(rule) >= 0).all()
        assert (np.subtract(found["optimal"], found["loco"]) >= 0).all()
        tp, fp, fn = joint_matches(pred, true, 400.0)
        assert tp + fp == np.isfinite(pred).all(-1).sum() and tp + fn == np.isfinite(true).all(-1).sum()
        assert joint_matches(pred[::-1], true[::-1], 400.0) == (tp, fp, fn)

    def test_optimal_is_the_largest_number_of_pairs(self):
        """Not the smallest sum of distances: 0 takes 0.3 so that 0.1 is left for -0.2."""
        true, pred = on_a_line(0, -0.2), on_a_line(0.1, 0.3)
        assert joint_matches(pred, true, 300.0, "optimal")[0] == 2

    def test_bad_input(self):
        free, one = inspect.unwrap(joint_matches), np.zeros((1, 2, 3))
        with pytest.raises(BadInput, match="loco"):
            free(one, one, 400.0, "hungarian")
        with pytest.raises(BadInput, match="shape"):
            free(np.zeros((1, 3, 3)), one, 400.0)


class TestCounts:
    def test_empty(self):
        nobody, one = on_a_line(), on_a_line(0)
        assert f1(nobody, nobody, 400.0) == 1
        assert f1(one, nobody, 400.0) == 0
        assert f1(nobody, one, 400.0) == 0
        assert precision_recall_f1(0, 0, 0).tolist() == [1, 1, 1]
        assert precision_recall_f1(0, 3, 0).tolist() == [0, 0, 0]

    def test_many_at_once(self):
        figures = precision_recall_f1([1, 0], [1, 0], [3, 0])
        assert figures == pytest.approx(np.array([[1 / 2, 1 / 4, 1 / 3], [1, 1, 1]]))
