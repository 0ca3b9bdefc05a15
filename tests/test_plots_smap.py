"""SMAP's figures: what they draw, where, in which colours, and what they refuse."""

import numpy as np
import pandas as pd
import pytest

from mp3d import plots
from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.plots.smap import depth_agreement
from mp3d.plots.style import PEOPLE
from mp3d.skeletons import SMAP15

JOINTS, BONES = len(SMAP15), len(SMAP15.limbs)


def maps(height: int = 8, width: int = 12) -> tuple[np.ndarray, ...]:
    """A peak of each joint in cell (3, 4), a field to the right, a child 150 mm nearer, a root at 3 m."""
    heat, fields = np.zeros((JOINTS, height, width)), np.zeros((BONES, 2, height, width))
    parts, roots = np.zeros((BONES, height, width)), np.full((1, height, width), 4000.0)
    heat[:, 3, 4] = 1
    fields[0, 0, 3, 4:7] = 1
    parts[0, 3, 4:7] = -150
    roots[0, 3, 4] = 3000
    return heat, fields, parts, roots


def image(height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def test_maps_stand_on_a_sheet_of_eight():
    people = np.full((1, JOINTS, 2), np.nan)
    people[0, :3] = [[10, 10], [10, 5], [12, 20]]
    sheet = plots.maps_sheet(image(), *maps(), people)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 540 and sheet.shape[0] > 300
    assert not np.array_equal(sheet, plots.maps_sheet(image(), *maps(), people, joint="r_ankle"))


def test_maps_that_do_not_fit_are_refused():
    people = np.zeros((0, JOINTS, 2))
    with pytest.raises(BadInput, match="joint"):
        plots.maps_sheet(image(), *maps(), people, joint="tail")
    with pytest.raises(BadInput, match="fields"):
        plots.association_picture(
            image(30), np.full((JOINTS, 1, 2), 5.0), np.zeros((BONES, 1, 1)), maps()[1], {"a": ONE}
        )


ONE = np.zeros((1, JOINTS), int)


def detections() -> np.ndarray:
    """Two of each joint: those of somebody on the left, and of somebody on the right."""
    at = np.zeros((JOINTS, 2, 2))
    at[:, :, 1] = np.linspace(4, 28, JOINTS)[:, None]
    at[:, 0, 0], at[:, 1, 0] = 10, 38
    return at


def test_a_person_has_one_colour_in_all_results():
    """2DPA has them in another order, and one joint of the other's: still each has the colour of DAPA's."""
    links = np.zeros((BONES, 2, 2))
    dapa = np.stack([np.zeros(JOINTS, int), np.ones(JOINTS, int)])
    other = dapa[::-1].copy()
    other[0, 4], other[1, 4] = 0, 1
    picture = plots.association_picture(image(), detections(), links, maps()[1], {"2DPA": other, "DAPA": dapa})
    tall, wide = picture.shape[0] // 2, picture.shape[1] // 2
    tiles = [picture[tall:, :wide], picture[tall:, wide:]]  # the second row

    def side(tile, colour):
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        near = (np.abs(tile.astype(int) - wanted).sum(-1) < 40).nonzero()[1]
        return near.mean() / tile.shape[1]

    for tile in tiles:
        assert side(tile, PEOPLE[0]) < 0.45 < 0.55 < side(tile, PEOPLE[1])


def test_a_picture_higher_than_wide_has_its_results_in_a_row():
    people = {"DAPA": ONE}
    links, fields = np.zeros((BONES, 2, 2)), maps()[1]
    wide = plots.association_picture(image(), detections(), links, fields, people)
    narrow = plots.association_picture(image(), detections(), links, fields, people, (4, 0, 12, 32))
    assert (wide.shape[1], narrow.shape[1]) == (450, 520) and wide.shape[0] / 2 < narrow.shape[0]
    with pytest.raises(BadInput, match="people"):
        plots.association_picture(image(), detections(), links, fields, {})


def test_agreement_in_closed_form():
    true = np.array([2.0, 3, 4, 5])
    assert depth_agreement(true, true) == pytest.approx({"r": 1, "slope": 1, "mae": 0})
    assert depth_agreement(2 * true, true) == pytest.approx({"r": 1, "slope": 0.5, "mae": 3.5})
    holes = np.array([2.5, np.nan, 4.5, 5.5])
    assert depth_agreement(holes, true) == pytest.approx({"r": 1, "slope": 1, "mae": 0.5})
    with pytest.raises(BadInput, match="two at least"):
        depth_agreement(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))


def test_root_depths_have_a_panel_a_method_and_its_figures_above():
    rng = np.random.default_rng(0)
    true = rng.uniform(2, 7, 3000)
    tables = [
        pd.DataFrame({"variant": name, "true": true, "predicted": factor * true})
        for name, factor in (("SMAP", 1.0), ("dense depth", 0.5))
    ]
    fig = plots.root_depths(pd.concat(tables, ignore_index=True))
    titles = [a.text for a in fig.layout.annotations]
    assert "slope 1.00, MAE 0.00 m" in titles[0] and "slope 2.00" in titles[1]
    assert sum(len(trace.x) for trace in fig.data if trace.mode == "markers") <= 600
    assert "predicted root depth (m)" in [axis.title.text for axis in fig.select_xaxes()]
    with pytest.raises(BadInput, match="variant"):
        plots.root_depths(tables[0].assign(predicted=np.nan))


def test_order_from_above_numbers_people_by_depth():
    camera = Camera(48, 48, 24, 16, 48, 32)
    true = np.array([[0.0, 0, 5000], [500, 0, 3000], [-800, 0, 4000]])
    swapped = true[[2, 1, 0]] * [0, 0, 1] + true * [1, 1, 0]
    fig = plots.ordinal(image(), camera, true, {"right": true, "wrong": swapped})
    titles = [a.text for a in fig.layout.annotations]
    assert any("<b>right</b>: 3 of 3" in title for title in titles)
    assert any("<b>wrong</b>: 2 of 3" in title for title in titles)
    with pytest.raises(BadInput, match="a person"):
        plots.ordinal(image(), camera, true[:0], {"a": true[:0]})
    with pytest.raises(BadInput, match="image"):
        plots.ordinal(image(30), camera, true, {"a": true})
