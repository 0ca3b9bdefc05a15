import inspect

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mp3d.errors import BadInput
from mp3d.metrics.detection import average_precision
from mp3d.metrics.intervals import interval, metric_interval, ratio_interval, summarise

COUNTS = pd.DataFrame(
    {
        "sequence": ["a", "a", "b", "c"],
        "activity": ["x", "x", "x", "y"],
        "good": [10, 0, 5, 7],
        "joints": [10, 10, 5, 7],
        "none": [0, 0, 0, 0],
    }
)
METRICS = {"pck": ("good", "joints")}


class TestInterval:
    def test_equal_sequences_leave_no_doubt(self):
        assert interval(np.full(5, 80.0)) == pytest.approx((80, 80, 80))

    def test_plain_and_pooled(self):
        """MuPoTS-3D's own example: one perfect person, and three who fail: 50 or 25."""
        values, people = np.array([100.0, 0.0]), np.array([1, 3])
        assert interval(values)[0] == 50
        assert interval(values, people)[0] == 25
        assert ratio_interval(values * people, people.astype(float)) == interval(values, people)

    def test_repeatable_and_bounded(self):
        values = np.array([99.0, 100.0, 100.0, 97.0])
        one = interval(values, bounds=(0.0, 100.0))
        assert one == interval(values, bounds=(0.0, 100.0))
        mean, low, high = one
        assert low < mean < high == 100
        assert interval(values)[2] > 100

    def test_close_to_students_interval(self):
        values = np.random.default_rng(0).normal(70, 5, 30)
        expected = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
        assert interval(values)[1:] == pytest.approx(expected, rel=0.01)

    @pytest.mark.parametrize("count, least", [(5, 0.92), (20, 0.93)])
    def test_holds_the_truth_as_often_as_it_says(self, count, least):
        rng = np.random.default_rng(1)
        inside = 0
        for _ in range(200):
            values, weights = rng.normal(0, 1, count), rng.integers(1, 3, count).astype(float)
            _, low, high = interval(values, weights)
            inside += low <= 0 <= high
        assert least <= inside / 200 <= 1

    def test_weights(self):
        values = np.array([0.0, 10.0, 20.0, 1000.0])
        assert interval(values, np.array([1, 1, 1, 0])) == interval(values[:3])
        values[3] = np.nan
        assert interval(values) == interval(values[:3])

    def test_sequences_without_instances(self):
        """They are not drawn: a resample may not come out empty."""
        good, count = np.array([3.0, 8.0, 0.0, 0.0]), np.array([10.0, 10.0, 0.0, 0.0])
        assert ratio_interval(good, count) == ratio_interval(good[:2], count[:2])

    def test_too_few(self):
        one = interval(np.array([3.0]))
        assert one[0] == 3 and np.isnan(one[1:]).all()
        assert np.isnan(interval(np.zeros(0))).all()

    def test_bad_input(self):
        with pytest.raises(BadInput, match="weights"):
            inspect.unwrap(interval)(np.ones(3), np.ones(2))
        with pytest.raises(BadInput, match="negative"):
            interval(np.ones(2), np.array([1.0, -1.0]))


class TestMetricInterval:
    def test_of_a_mean_is_that_of_the_mean(self):
        values = np.random.default_rng(0).normal(50, 10, 12)
        one = metric_interval(lambda chosen: float(values[chosen].mean()), 12, resamples=4999)
        assert one == pytest.approx(interval(values), rel=1e-9)

    def test_of_an_average_precision(self):
        box = np.array([[0.0, 0, 10, 10]])
        pred = [box if image % 4 else box + 100 for image in range(40)]

        def ap(chosen):
            return average_precision([pred[i] for i in chosen], [np.ones(1)] * len(chosen), [box] * len(chosen))

        value, low, high = metric_interval(ap, 40, (0.0, 1.0), resamples=200)
        assert value == ap(np.arange(40))
        assert 0 < low < value < high <= 1


class TestSummarise:
    def test_ratios_of_sums(self):
        assert summarise(COUNTS, METRICS)["pck"].to_dict() == {"all": 22 / 32}
        assert summarise(COUNTS, METRICS, "activity")["pck"].to_dict() == {"x": 15 / 25, "y": 1}
        assert np.isnan(summarise(COUNTS, {"pck": ("good", "none")}).loc["all", "pck"])

    def test_intervals_resample_sequences_as_a_whole(self):
        table = summarise(COUNTS, METRICS, "activity", "sequence", {"pck": (0.0, 1.0)})
        expected = ratio_interval(np.array([10.0, 5]), np.array([20.0, 5]), (0.0, 1.0))
        assert table.loc["x"].tolist() == list(expected)
        assert table.columns.tolist() == ["pck", "pck low", "pck high"]
        assert np.isnan(table.loc["y", ["pck low", "pck high"]].astype(float)).all()

    def test_unknown_columns(self):
        with pytest.raises(BadInput, match="people"):
            summarise(COUNTS, {"recall": ("good", "people")})
