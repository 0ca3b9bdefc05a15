import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.errors import BadInput
from mp3d.metrics.roots import FAR, ap_root, ordinal_pairs, pck_root, pcod

seeds = st.integers(0, 2**31)


def points(*rows):
    return np.array(rows, float).reshape(-1, 3)


def people_on_a_line(count):
    return points(*[(1000 * i, 0, 3000) for i in range(count)])


def plain_ap(pred, scores, true, released):
    """3DMPPE's loop, image by image and prediction by prediction."""
    people = sum(map(len, true))
    order = sorted(
        ((s, i, j) for i, image in enumerate(scores) for j, s in enumerate(image)), key=lambda entry: -entry[0]
    )
    used, hits, seen, last, area = set(), 0, 0, 0.0, 0.0
    for _, i, j in order:
        if not len(true[i]):
            continue
        distances = [np.linalg.norm(t - pred[i][j]) for t in true[i]]
        best = int(np.argmin(distances))
        if distances[best] < 250 and (i, best) not in used:
            used.add((i, best))
            hits += 1
        seen += 1
        if not (released and seen == 1):
            area += hits / seen * (hits / people - last)
        last = hits / people
    return area


class TestApRoot:
    def test_two_images(self):
        """Hit, miss (taken), hit, miss (invalid); nobody is valid in the second image, so it does not count."""
        pred = [points((100, 0, 3000), (120, 0, 3000), (1000, 0, 3240), (2000, 0, 3000)), points((0, 0, 3000))]
        scores = [np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.99])]
        true = [points((0, 0, 3000), (1000, 0, 3000)), points()]
        released = ap_root(pred, scores, true, definition="released")
        assert released == pytest.approx(1 / 3)
        assert ap_root(pred, scores, true) == pytest.approx(released + 1 / 2)  # precision 1 times a step of 1/2

    @pytest.mark.parametrize("people, released", [(1, 0), (2, 0.5), (4, 0.75)])
    def test_a_perfect_detector(self, people, released):
        true = people_on_a_line(people)
        arguments = [true], [np.ones(people)], [true]
        assert ap_root(*arguments, definition="released") == pytest.approx(released)
        assert ap_root(*arguments) == pytest.approx(1)

    def test_exactly_the_threshold_is_too_far(self):
        true = [points((0, 0, 3000))]
        assert ap_root([points((250, 0, 3000))], [np.ones(1)], true) == 0
        assert ap_root([points((249.999, 0, 3000))], [np.ones(1)], true) == pytest.approx(1)

    def test_there_is_no_second_choice(self):
        true = [points((0, 0, 0), (100, 0, 0))]
        pred, scores = [points((10, 0, 0), (20, 0, 0))], [np.array([0.9, 0.8])]
        assert ap_root(pred, scores, true, definition="released") == 0
        assert ap_root(pred, scores, true) == pytest.approx(0.5)

    def test_what_costs_and_what_does_not(self):
        true = people_on_a_line(2)
        late = [np.vstack([true, true[:1]])], [np.array([0.9, 0.8, 0.1])], [true]
        assert ap_root(*late) == pytest.approx(1)  # a duplicate after full recall
        early = [np.vstack([true, true[:1]])], [np.array([0.9, 0.1, 0.8])], [true]
        assert ap_root(*early) == pytest.approx(0.5 + 0.5 * 2 / 3)
        assert ap_root([true[:0]], [np.zeros(0)], [true]) == 0
        assert np.isnan(ap_root([true], [np.ones(2)], [true[:0]]))

    @given(seeds)
    def test_as_the_plain_loop(self, seed):
        rng = np.random.default_rng(seed)
        true = [rng.uniform(0, 1500, (n, 3)) for n in rng.integers(0, 5, 6)]
        if not sum(map(len, true)):
            return
        pred = [rng.uniform(0, 1500, (n, 3)) for n in rng.integers(0, 7, 6)]
        pred = [np.vstack([p, t + rng.normal(0, 100, t.shape)]) for p, t in zip(pred, true, strict=True)]
        scores = [rng.integers(0, 8, len(p)) / 8 for p in pred]  # with ties
        corrected, released = (ap_root(pred, scores, true, definition=d) for d in ("corrected", "released"))
        assert corrected == pytest.approx(plain_ap(pred, scores, true, False))
        assert released == pytest.approx(plain_ap(pred, scores, true, True))
        assert 0 <= released <= corrected <= 1
        first = min(corrected - released, abs(corrected - released - 1 / sum(map(len, true))))
        assert first == pytest.approx(0, abs=1e-12)  # they differ by precision_0 x recall_0, 0 or 1/M

    def test_bad_input(self):
        free = inspect.unwrap(ap_root)
        one = [points((0, 0, 0))]
        with pytest.raises(BadInput, match="scores"):
            free(one, [np.ones(2)], one)
        with pytest.raises(BadInput, match="NaN"):
            free([points((np.nan, 0, 0))], [np.ones(1)], one)
        with pytest.raises(BadInput, match="images"):
            free(one, [], one)
        with pytest.raises(BadInput, match="released"):
            free(one, [np.ones(1)], one, definition="official")


def test_pck_root():
    true = people_on_a_line(4)
    pred = true + [[0, 0, 149], [0, 0, 150], [0, 0, 151], [np.nan] * 3]
    assert pck_root(pred, true) == 25
    assert pck_root(pred, true, strict=False) == 50
    assert np.isnan(pck_root(true[:0], true[:0]))


def column(*z):
    return np.array(z, float)


class TestPcod:
    @pytest.mark.parametrize(
        "pred, true, paper, mupots, panoptic",
        [
            (500, 500, 1, 1, 1),  # the same class
            (10, 5000, 0, 1, 1),  # the right sign alone
            (-10, 10, 1, 1, 0),  # side by side, swapped by 20 mm
            (-400, 10, 0, 0, 0),  # a gap where there is none, the other way round
            (400, 10, 0, 1, 1),
            (-500, 500, 0, 0, 0),
            (0, 500, 0, 0, 1),  # no sign, so not reversed
            (300, 299, 0, 1, 1),  # 300 mm is not within 300 mm
        ],
    )
    def test_one_pair(self, pred, true, paper, mupots, panoptic):
        z = column(3000 + pred, 3000), column(3000 + true, 3000)
        assert ordinal_pairs(*z, "paper") == (paper, 1)
        assert ordinal_pairs(*z, "mupots") == (mupots, 1)
        assert ordinal_pairs(*z, "panoptic") == (panoptic, 1)

    def test_panoptic_looks_at_neighbours_alone(self):
        true, pred = column(1000, 2000, 3000), column(3000, 2000, 2500)
        assert ordinal_pairs(pred, true) == (1, 3)
        assert ordinal_pairs(pred, true, "panoptic") == (1, 2)

    def test_missed_people(self):
        true, pred = column(1000, 2000, 3000), column(1000, np.nan, 3000)
        assert ordinal_pairs(pred, true, missed="skip") == (1, 1)
        assert ordinal_pairs(pred, true, missed="wrong") == (1, 3)
        # at 100 m the missed one is behind the first, rightly, and behind the third, wrongly
        assert ordinal_pairs(pred, true, missed="far") == (2, 3)
        filled = np.where(np.isnan(pred), FAR, pred)
        assert ordinal_pairs(filled, true, "mupots") == ordinal_pairs(pred, true, "mupots", "far")
        assert ordinal_pairs(pred, true, "panoptic") == (0, 0)

    def test_mean_of_sequences_is_not_the_pooled_one(self):
        good, bad, alone = column(1000, 2000, 3000), column(2000, 1000), column(1000)
        pred, true = [good, bad, alone], [good, bad[::-1].copy(), alone]
        assert pcod(pred, true) == 75
        assert pcod(pred, true, ["TS1", "TS2", "TS3"]) == 50  # TS3 has no pair
        assert pcod(pred, true, ["TS1", "TS1", "TS1"]) == 75
        assert np.isnan(pcod([alone], [alone]))
        assert np.isnan(pcod([], []))

    @given(seeds, st.sampled_from(["skip", "wrong", "far"]))
    def test_the_code_is_never_stricter_than_the_paper(self, seed, missed):
        rng = np.random.default_rng(seed)
        true, pred = 100.0 * rng.integers(20, 60, (2, 6))  # ties and exact thresholds included
        pred[rng.random(6) < 0.2] = np.nan
        paper, code = (ordinal_pairs(pred, true, d, missed) for d in ("paper", "mupots"))
        assert code[0] >= paper[0] and code[1] == paper[1]

    @given(seeds)
    def test_invariants(self, seed):
        rng = np.random.default_rng(seed)
        true, pred = rng.uniform(2000, 9000, (2, 5))
        for definition in ("paper", "mupots", "panoptic"):
            there = ordinal_pairs(pred, true, definition)
            assert ordinal_pairs(pred + 777, true - 55, definition) == there
            assert ordinal_pairs(true, true, definition)[0] == there[1]
        signs = ordinal_pairs(pred, true, "panoptic")
        assert ordinal_pairs(3 * pred, true, "panoptic") == signs
        order = rng.permutation(5)
        assert ordinal_pairs(pred[order], true[order]) == ordinal_pairs(pred, true)

    def test_bad_input(self):
        free = inspect.unwrap(ordinal_pairs)
        with pytest.raises(BadInput, match="paper"):
            free(column(1), column(1), "official")
        with pytest.raises(BadInput, match="skip"):
            free(column(1), column(1), missed="drop")
        with pytest.raises(BadInput, match="shape"):
            free(column(1), column(1, 2))
        with pytest.raises(BadInput, match="true_z"):
            free(column(1), column(np.nan))
        with pytest.raises(BadInput, match="images"):
            pcod([column(1)], [])
