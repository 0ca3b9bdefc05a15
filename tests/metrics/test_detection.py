import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.errors import BadInput
from mp3d.metrics.detection import average_precision, iou, match_boxes

seeds = st.integers(0, 2**31)


def boxes(*rows):
    return np.array(rows, float).reshape(-1, 4)


def row_of(count, size=10.0):
    return boxes(*[(100 * i, 0, size, size) for i in range(count)])


def plain_ap(pred, scores, true):
    """VOC's rule written out, with the area under the envelope summed point by point."""
    people = sum(map(len, true))
    order = sorted(((s, i, j) for i, c in enumerate(scores) for j, s in enumerate(c)), key=lambda e: -e[0])
    used, hits, points = set(), 0, []
    for seen, (_, i, j) in enumerate(order, 1):
        overlaps = iou(pred[i][j : j + 1], true[i])[0]
        best = int(np.argmax(overlaps)) if len(overlaps) else -1
        if best >= 0 and overlaps[best] >= 0.5 and (i, best) not in used:
            used.add((i, best))
            hits += 1
        points.append((hits / people, hits / seen))
    area, last = 0.0, 0.0
    for k, (recall, _) in enumerate(points):
        area += (recall - last) * max(precision for _, precision in points[k:])
        last = recall
    eleven = np.mean([max([p for r, p in points if r >= k / 10 - 1e-12], default=0) for k in range(11)])
    return area, eleven


class TestIou:
    @pytest.mark.parametrize("shift", [0.0, 2.0, 5.0, 10.0, 12.0])
    def test_shifted_boxes(self, shift):
        one, other = boxes((3, 4, 10, 7)), boxes((3 + shift, 4, 10, 7))
        assert iou(one, other)[0, 0] == pytest.approx(max(10 - shift, 0) / (10 + min(shift, 10)))

    def test_concentric_boxes(self):
        assert iou(boxes((0, 0, 10, 10)), boxes((3, 3, 4, 4)))[0, 0] == pytest.approx(0.4**2)

    def test_empty_and_unknown_boxes(self):
        empty = boxes((1, 1, 0, 0), (np.nan,) * 4)
        assert (iou(empty, empty) == 0).all()

    @given(seeds)
    def test_invariants(self, seed):
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(0, 50, (2, 4, 4))
        value = iou(a, b)
        assert value == pytest.approx(iou(b, a).T)
        assert np.diag(iou(a, a)) == pytest.approx(1)
        assert (value >= 0).all() and (value <= 1).all()
        moved = np.array([5, -7, 0, 0])
        assert iou(3 * (a + moved), 3 * (b + moved)) == pytest.approx(value)


class TestAveragePrecision:
    @pytest.mark.parametrize("interpolation", ["all", "11"])
    def test_perfect(self, interpolation):
        true = [row_of(3), row_of(0), row_of(4)]
        scores = [np.linspace(0.5, 1, len(t)) for t in true]
        assert average_precision(true, scores, true, interpolation=interpolation) == pytest.approx(1)

    @pytest.mark.parametrize("people", [2, 5, 10])
    def test_one_of_m_missed(self, people):
        true = row_of(people)
        found = average_precision([true[1:]], [np.ones(people - 1)], [true])
        assert found == pytest.approx((people - 1) / people)

    def test_one_of_ten_missed_at_eleven_points(self):
        """Recall reaches 0.9: ten of the eleven points."""
        true = row_of(10)
        assert average_precision([true[1:]], [np.ones(9)], [true], interpolation="11") == pytest.approx(10 / 11)

    def test_duplicates(self):
        true = row_of(2)
        late = [np.vstack([true, true])], [np.array([0.9, 0.8, 0.2, 0.1])], [true]
        assert average_precision(*late) == pytest.approx(1)
        early = [np.vstack([true, true])], [np.array([0.9, 0.1, 0.8, 0.05])], [true]
        assert average_precision(*early) == pytest.approx(0.5 + 0.5 * 2 / 3)

    def test_the_threshold_is_enough(self):
        true, pred = boxes((0, 0, 10, 10)), boxes((0, 0, 10, 5))
        assert average_precision([pred], [np.ones(1)], [true]) == 1
        assert average_precision([pred], [np.ones(1)], [true], threshold=0.51) == 0

    def test_ignored_boxes_neither_count_nor_cost(self):
        true = row_of(2)
        ignore = [np.array([True, False])]
        assert average_precision([true], [np.array([0.9, 0.8])], [true], ignore=ignore) == 1
        assert average_precision([true[1:]], [np.ones(1)], [true], ignore=ignore) == 1
        assert np.isnan(average_precision([true], [np.ones(2)], [true], ignore=[np.ones(2, bool)]))

    @pytest.mark.parametrize("interpolation", ["all", "11"])
    def test_nobody(self, interpolation):
        none = row_of(0)
        assert average_precision([none], [np.zeros(0)], [row_of(2)], interpolation=interpolation) == 0
        assert np.isnan(average_precision([row_of(1)], [np.ones(1)], [none], interpolation=interpolation))

    @given(seeds)
    def test_as_the_plain_loop(self, seed):
        rng = np.random.default_rng(seed)
        true = [np.hstack([rng.uniform(0, 40, (n, 2)), rng.uniform(10, 30, (n, 2))]) for n in rng.integers(1, 5, 5)]
        pred = [np.vstack([t + rng.normal(0, 3, t.shape), t[::-1] + rng.normal(0, 6, t.shape)]) for t in true]
        scores = [rng.integers(0, 9, len(p)) / 8 for p in pred]
        area, eleven = plain_ap(pred, scores, true)
        assert average_precision(pred, scores, true) == pytest.approx(area)
        assert average_precision(pred, scores, true, interpolation="11") == pytest.approx(eleven)

    def test_bad_input(self):
        free, one = inspect.unwrap(average_precision), [row_of(1)]
        with pytest.raises(BadInput, match="scores"):
            free(one, [np.array([np.nan])], one)
        with pytest.raises(BadInput, match="scores"):
            free(one, [np.ones(2)], one)
        with pytest.raises(BadInput, match="images"):
            free(one, [np.ones(1)], [])
        with pytest.raises(BadInput, match="'11'"):
            free(one, [np.ones(1)], one, interpolation="101")


class TestMatchBoxes:
    def test_the_higher_score_wins(self):
        true = row_of(2)
        pred = np.vstack([true[0] + [1, 0, 0, 0], true[0], true[1] + [9, 0, 0, 0]])
        assert match_boxes(pred, np.array([0.9, 0.5, 0.9]), true).tolist() == [0, -1]
        assert match_boxes(pred, np.array([0.4, 0.5, 0.9]), true).tolist() == [1, -1]

    def test_nobody(self):
        assert match_boxes(row_of(0), np.zeros(0), row_of(2)).tolist() == [-1, -1]
        assert match_boxes(row_of(2), np.ones(2), row_of(0)).tolist() == []

    @given(seeds)
    def test_order_does_not_matter_and_nobody_serves_twice(self, seed):
        rng = np.random.default_rng(seed)
        true = np.hstack([rng.uniform(0, 40, (5, 2)), rng.uniform(10, 30, (5, 2))])
        pred, scores = true[rng.integers(0, 5, 8)] + rng.normal(0, 3, (8, 4)), rng.permutation(8) / 8
        chosen = match_boxes(pred, scores, true)
        order = rng.permutation(8)
        other = match_boxes(pred[order], scores[order], true)
        assert [-1 if c < 0 else order[c] for c in other] == chosen.tolist()
        used = chosen[chosen >= 0]
        assert len(set(used)) == len(used)
