"""ORPM-AE's figures: what must be in them is."""

import numpy as np
import pandas as pd
import pytest

from mp3d import plots
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    uv = rng.uniform(20, 60, (2, 17, 2))
    uv[1] += [60, 0]
    return uv


@pytest.fixture
def walk():
    rows = [("own pixel", "l_wrist", False, "not found"), ("neck", "neck", True, "read here")]
    return pd.DataFrame(rows, columns=["rule", "site", "valid", "why"])


def test_the_sheet_shows_bones_at_their_sites_alone(people):
    image = np.full((96, 160, 3), 90, np.uint8)
    heat, bones, tags = np.zeros((17, 24, 40)), np.zeros((17, 3, 24, 40)), np.zeros((17, 24, 40))
    before = plots.orpm_sheet(image, heat, bones, tags, people)
    assert before.shape[1] == 760
    bones[MPI17.index("l_ankle")] = 0.3  # not the joint that is drawn
    np.testing.assert_array_equal(before, plots.orpm_sheet(image, heat, bones, tags, people))
    bones[MPI17.index("r_wrist"), 0] = 0.3
    after = plots.orpm_sheet(image, heat, bones, tags, people)
    changed = (before != after).any(-1)
    assert changed.any() and changed.mean() < 0.05  # patches, not the whole tile


def test_the_sheet_has_a_row_of_tags_a_person(people):
    image, tags = np.full((96, 160, 3), 90, np.uint8), np.zeros((17, 24, 40))
    heat, bones = np.zeros((17, 24, 40)), np.zeros((17, 3, 24, 40))
    two = plots.orpm_sheet(image, heat, bones, tags, people)
    one = plots.orpm_sheet(image, heat, bones, tags, people[:1])
    none = plots.orpm_sheet(image, heat, bones, tags, people[:0])
    assert two.shape[0] - one.shape[0] == one.shape[0] - none.shape[0] == 16


def test_an_unknown_joint_is_named(people):
    with pytest.raises(BadInput, match="nose"):
        plots.orpm_sheet(
            np.zeros((96, 160, 3), np.uint8), np.zeros((17, 24, 40)), np.zeros((17, 3, 24, 40)),
            np.zeros((17, 24, 40)), people, "nose",
        )  # fmt: skip


def test_a_frame_a_rule_and_all_of_them_at_first(people, walk):
    image, bone = np.zeros((96, 160, 3), np.uint8), np.array([[30.0, 30], [40, 40]])
    fig = plots.readout_steps(image, people, walk, 0, bone, bone + 1)
    assert len(fig.frames) == len(fig.layout.sliders[0].steps) == 2
    assert [step.label for step in fig.layout.sliders[0].steps] == ["own pixel", "neck"]
    assert fig.layout.sliders[0].active == 1
    words = fig.data[-1].text
    assert words[0] == "1. own pixel: not found" and words[1] == "<b>2. neck: read here</b>"
    assert fig.frames[0].data[1].text == ("<b>1. own pixel: not found</b>",)
    assert [len(frame.data[0].x) for frame in fig.frames] == [1, 2]
    corner = np.floor(people[0].min(0) + np.ptp(people[0], axis=0) / 2 - 0.62 * np.ptp(people[0], axis=0).max()).clip(0)
    assert fig.data[-2].x[1] == pytest.approx(people[0, MPI17.index("neck"), 0] - corner[0], abs=1e-3)


def test_the_mean_has_no_place(people, walk):
    walk.loc[1] = ("mean", "", True, "of the training set")
    fig = plots.readout_steps(np.zeros((96, 160, 3), np.uint8), people, walk, 0, np.ones((2, 2)), np.ones((2, 2)))
    assert np.isnan(fig.data[-2].x[1]) and "mean" in fig.data[-1].text[1]


def test_somebody_has_to_be_there(people, walk):
    with pytest.raises(BadInput, match="person"):
        plots.readout_steps(np.zeros((96, 160, 3), np.uint8), people, walk, 2, np.ones((2, 2)), np.ones((2, 2)))
