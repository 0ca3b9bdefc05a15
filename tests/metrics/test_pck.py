import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mp3d.errors import BadInput
from mp3d.metrics import (
    AUC_THRESHOLDS,
    JOINT_GROUPS,
    auc3d,
    joint_errors,
    pck3d,
    pck3d_by_group,
    rescale_bones,
)
from mp3d.skeletons import MPI17

UPPER = [(0, -700, 0), (0, -500, 0), (-200, -500, 0), (-200, -200, 0), (-200, 50, 0)]
ARM = [(200, -500, 0), (200, -200, 0), (200, 50, 0)]
LEGS = [(-100, 0, 0), (-100, 400, 0), (-100, 800, 0), (100, 0, 0), (100, 400, 0), (100, 800, 0)]
G = np.array(UPPER + ARM + LEGS + [(0, 0, 0), (0, -250, 0), (0, -600, 0)], float)

seeds = st.integers(0, 2**31)
few = settings(max_examples=30, deadline=None)


def bone_lengths(poses):
    child, parent = zip(*[(j, p) for j, p in enumerate(MPI17.parents) if p >= 0], strict=True)
    return np.linalg.norm(poses[..., child, :] - poses[..., parent, :], axis=-1)


def errors_of(*people):
    """One row of 14 errors a person: a constant, or {joint: error} and zero elsewhere."""
    rows = np.zeros((len(people), 14))
    for row, person in zip(rows, people, strict=True):
        if isinstance(person, dict):
            row[list(person)] = list(person.values())
        else:
            row[:] = person
    return rows


class TestBones:
    def test_scale_vanishes(self):
        assert joint_errors(rescale_bones(1.3 * G, G), G).max() < 1e-9

    def test_directions_are_those_of_the_prediction(self):
        pred = G.copy()
        pred[3], pred[4] = (-200, 100, 0), (-200, 100, 250)
        new = rescale_bones(pred, G)
        assert new[3] == pytest.approx((-200, -200, 0))
        assert new[4] == pytest.approx((-200, -200, 250))
        expected = np.zeros(17)
        expected[4] = 353.553
        assert joint_errors(new, G) == pytest.approx(expected, abs=5e-4)

    def test_a_turned_giant(self):
        turn = Rotation.from_euler("y", 90, degrees=True).as_matrix().T
        errors = joint_errors(rescale_bones(2 * G @ turn, G), G)
        expected = np.zeros(17)
        expected[2:8], expected[8:14] = 282.843, 141.421
        assert errors == pytest.approx(expected, abs=5e-4)
        assert pck3d(errors) == pytest.approx(57.1429, abs=5e-5)

    def test_the_pelvis_stays_in_absolute_mode(self):
        errors = joint_errors(rescale_bones(1.1 * G + (30, 40, 120), G), G, root=None)
        assert errors == pytest.approx(np.full(17, 130))

    def test_a_bone_of_no_length_is_wrong_with_all_beyond_it(self):
        pred = G.copy()
        pred[3] = pred[2]
        new = rescale_bones(pred, G)
        assert np.isnan(new).all(-1).nonzero()[0].tolist() == [3, 4]
        assert pck3d(joint_errors(new, G)) == pytest.approx(85.7143, abs=5e-5)

    @few
    @given(seeds)
    def test_properties(self, seed):
        rng = np.random.default_rng(seed)
        pred, true = rng.normal(0, 300, (2, 4, 17, 3))
        new = rescale_bones(pred, true)
        assert bone_lengths(new) == pytest.approx(bone_lengths(true))
        assert new[:, 14] == pytest.approx(pred[:, 14])
        assert rescale_bones(new, true) == pytest.approx(new)  # identity on the right lengths
        shift, factor = rng.normal(0, 1000, 3), rng.uniform(0.1, 10)
        other = rescale_bones(factor * pred + shift, true)
        assert joint_errors(other, true) == pytest.approx(joint_errors(new, true))

    def test_other_shapes_are_refused(self):
        with pytest.raises(BadInput, match="17, 3"):
            inspect.unwrap(rescale_bones)(G[:14], G[:14])


class TestPckAndAuc:
    @pytest.mark.parametrize(
        "error, pck, auc",
        [(0, 100, 96.7742), (149.999, 100, 3.2258), (75, 100, 48.3871), (150, 0, 0)],
    )
    def test_everybody_equally_wrong(self, error, pck, auc):
        assert pck3d(errors_of(error)) == pytest.approx(pck)
        assert auc3d(errors_of(error)) == pytest.approx(auc, abs=5e-5)

    def test_ramp_beside_a_failure(self):
        errors = np.stack([15.0 * np.arange(14), np.full(14, 150.0)])
        *groups, total = pck3d_by_group(errors).values()
        assert groups == pytest.approx([50, 50, 50, 50, 50, 25, 25, 0])
        assert total == pytest.approx(35.7143, abs=5e-5)
        assert auc3d(errors) == pytest.approx(19.0092, abs=5e-5)

    def test_an_unmatched_person_counts_in_mode_all(self):
        filled = np.stack([G, np.full_like(G, 1e5)])
        absolute = joint_errors(filled, np.stack([G, G + 7]), root=None)
        assert pck3d(absolute) == 50
        assert auc3d(absolute) == pytest.approx(48.3871, abs=5e-5)

    def test_four_people(self):
        errors = errors_of({4: 151, 7: 151}, {10: 200}, {0: 149.9}, {1: 150})
        *groups, total = pck3d_by_group(errors).values()
        assert groups == pytest.approx([100, 75, 100, 100, 75, 100, 100, 87.5])
        assert total == pytest.approx(92.857, abs=5e-4)
        assert auc3d(errors) == pytest.approx(88.191, abs=5e-4)

    def test_thresholds_by_name(self):
        assert len(AUC_THRESHOLDS["mupots"]) == 31 and len(AUC_THRESHOLDS["tdbu"]) == 40
        assert auc3d(errors_of(0), thresholds=AUC_THRESHOLDS["tdbu"]) == pytest.approx(97.5)

    def test_visible_and_hidden_joints(self):
        errors, visible = errors_of({0: 150, 1: 200}), np.arange(14)[None] % 2 == 0
        assert pck3d(errors, visible) == pytest.approx(100 * 6 / 7)
        assert pck3d(errors, visible, strict=False) == 100
        assert pck3d(errors, ~visible) == pytest.approx(100 * 6 / 7)
        assert np.isnan(pck3d(errors, np.zeros_like(visible)))

    def test_nan_is_wrong_and_unscored_joints_do_not_matter(self):
        errors = np.zeros((1, 17))
        errors[0, 14:] = 1e6
        assert pck3d(errors) == 100
        errors[0, 0] = np.nan
        assert pck3d(errors) == pytest.approx(100 * 13 / 14)

    @few
    @given(seeds)
    def test_properties(self, seed):
        rng = np.random.default_rng(seed)
        errors = rng.exponential(150, (3, 5, 17))
        *groups, total = pck3d_by_group(errors).values()
        sizes = [len(joints) for joints in JOINT_GROUPS.values()]
        assert total == pytest.approx(np.average(groups, weights=sizes))
        assert total == pytest.approx(pck3d(errors, axis=-1).mean())
        curve = [pck3d(errors, threshold=t) for t in AUC_THRESHOLDS["mupots"]]
        assert (np.diff(curve) >= 0).all()
        assert auc3d(errors) == pytest.approx(np.mean(curve))
        # matched = all / recall, with unmatched people far away
        matched = rng.random((3, 5)) < 0.7
        matched[0, 0] = True
        everybody = np.where(matched[..., None], errors, 1e5)
        assert pck3d(everybody) == pytest.approx(pck3d(errors[matched]) * matched.mean())

    @pytest.mark.parametrize("arguments", [{"joints": (17,)}, {"joints": ()}, {"mask": np.ones(3, bool)}])
    def test_bad_input(self, arguments):
        with pytest.raises(BadInput, match="pck3d"):
            inspect.unwrap(pck3d)(np.zeros((2, 17)), **arguments)
