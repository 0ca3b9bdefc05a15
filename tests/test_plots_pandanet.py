"""PandaNet's figures: what must be in them is, where, and in which colours."""

import numpy as np
import pandas as pd
import pytest

from mp3d import plots
from mp3d.errors import BadInput
from mp3d.plots.style import PEOPLE

ROWS, COLUMNS = 24, 40


@pytest.fixture
def cells() -> dict[str, np.ndarray]:
    """A picture with a person in it and anchors that are nobody's."""
    shape = ROWS, COLUMNS
    uv = np.random.default_rng(0).uniform(20, 60, (1, 17, 2))
    values = {name: np.zeros(shape) for name in ("pono", "pose", "score")}
    masks = {name: np.zeros(shape, bool) for name in ("positive", "readable")}
    image = np.full((96, 160, 3), 90, np.uint8)
    box = np.array([[18.0, 18, 44, 44]])
    return {"image": image, "people": uv, "boxes": box, "owner": np.full(shape, -1)} | values | masks


def tiles(sheet: np.ndarray) -> np.ndarray:
    """The six tiles of a sheet with their titles."""
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 3
    return np.stack([sheet[r * height :, c * width :][:height, :width] for r in range(2) for c in range(3)])


def changed(cells: dict, **new: tuple[slice, float]) -> set[int]:
    """Which tiles look different with new values in some cells."""
    before = tiles(plots.anchor_sheet(**cells))
    after = {name: values.copy() for name, values in cells.items()}
    for name, (where, value) in new.items():
        after[name][where] = value
    after = tiles(plots.anchor_sheet(**after))
    return set(np.flatnonzero((before != after).any((1, 2, 3))).tolist())


HERE = np.s_[4:16, 10:20]


def test_six_tiles_of_bytes(cells):
    sheet = plots.anchor_sheet(**cells)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 900 and 350 < sheet.shape[0] < 600


def test_each_tile_shows_its_own(cells):
    """In reading order: picture, owners, A+, pose, A++, score."""
    assert changed(cells, boxes=(np.s_[:], 40)) == {0}
    assert changed(cells, owner=(HERE, 0)) == set()  # strength is the overlap
    assert changed(cells, owner=(HERE, 0), pono=(HERE, 0.4)) == {1}
    assert changed(cells, owner=(HERE, 0), pono=(HERE, 0.8), positive=(HERE, True)) == {1, 2, 3}
    assert changed(cells, pose=(HERE, 0.9)) == set()  # poses of A+ alone
    assert changed(cells, readable=(HERE, True)) == {4}
    assert changed(cells, score=(HERE, 0.9)) == {5}
    assert changed(cells, score=(HERE, 0.04)) == set()


def test_anchors_have_the_colour_of_the_person_whose_box_they_are_in(cells):
    """The fifth person has the first one's again."""

    def middle(owner):
        new = cells | {"owner": np.full((ROWS, COLUMNS), owner), "readable": np.ones((ROWS, COLUMNS), bool)}
        return tiles(plots.anchor_sheet(**new))[4, 90, 150].astype(int)

    colours = [middle(owner) for owner in range(5)]
    np.testing.assert_array_equal(colours[0], colours[4])
    pale = 0.55 * 90 + 0.45 * 255
    for colour, hue in zip(colours, PEOPLE, strict=False):
        expected = 0.85 * np.array([int(hue[i : i + 2], 16) for i in (1, 3, 5)]) + 0.15 * pale
        np.testing.assert_allclose(colour, expected, atol=2)


def test_a_picture_of_nobody(cells):
    sheet = plots.anchor_sheet(**cells | {"people": np.zeros((0, 17, 2)), "boxes": np.zeros((0, 4))})
    assert sheet.shape[1] == 900


def test_cells_that_do_not_fit_the_picture_are_refused(cells):
    for size in ((90, 160), (96, 150), (20, 40)):
        with pytest.raises(BadInput, match="image"):
            plots.anchor_sheet(**cells | {"image": np.zeros((*size, 3), np.uint8)})


# ---- learned weights --------------------------------------------------------------------------------


@pytest.fixture
def weights() -> pd.DataFrame:
    """Two anchors and three joints of 2D and 3D poses: 1 to 6, and a thousand times as much; and the score's."""
    rows = [
        (task, anchor, joint, factor * (1.0 + 3 * a + j))
        for task, factor in (("uv", 1), ("xyz", 1000))
        for a, anchor in enumerate(("9 x 20", "10 x 30"))
        for j, joint in enumerate(("neck", "head", "l_wrist"))
    ]
    rows += [("score", anchor, "", 7.0) for anchor in ("9 x 20", "10 x 30")]
    return pd.DataFrame(rows, columns=["task", "anchor", "joint", "value"])


def test_weights_have_a_panel_a_task_in_the_table_s_order(weights):
    fig = plots.weights_map(weights, {"uv": "2D poses", "xyz": "3D poses"})
    assert [a.text for a in fig.layout.annotations] == ["2D poses", "3D poses"] and len(fig.data) == 2
    for panel, factor in zip(fig.data, (1, 1000), strict=True):
        assert panel.x == ("9 x 20", "10 x 30") and panel.y == ("neck", "head", "l_wrist")
        assert panel.z.dtype == np.float32
        np.testing.assert_allclose(10**panel.z, factor * np.array([[1, 4], [2, 5], [3, 6]]), rtol=1e-5)
        ticks = np.array(panel.colorbar.ticktext, float)
        np.testing.assert_allclose(ticks[[0, -1]], [factor, 6 * factor])
        np.testing.assert_allclose(np.log10(ticks), panel.colorbar.tickvals, atol=0.01)
    assert fig.data[0].colorbar.x < 0.5 < fig.data[1].colorbar.x
    assert all(axis.autorange == "reversed" for axis in fig.select_yaxes())


def test_weights_that_were_not_learned_are_one_colour(weights):
    fig = plots.weights_map(weights.assign(value=1.0), {"xyz": "3D poses"})
    (panel,) = fig.data
    assert (panel.z == 0).all() and set(panel.colorbar.ticktext) == {"1"}


def test_weights_without_a_column_are_named(weights):
    with pytest.raises(BadInput, match="anchor"):
        plots.weights_map(weights.drop(columns="anchor"), {"uv": "2D poses"})
    with pytest.raises(BadInput, match="no rows"):
        plots.weights_map(weights.iloc[:0], {"uv": "2D poses"})
    with pytest.raises(BadInput, match="weights_map, boxes"):
        plots.weights_map(weights, {"uv": "2D poses", "boxes": "boxes"})


# ---- from above ---------------------------------------------------------------------------------------


@pytest.fixture
def crowd() -> pd.DataFrame:
    """Two people who were found, one who was missed, one who is not there."""
    nan = np.nan
    rows = [(0.0, 5.0, 0.5, 6.0), (nan, nan, 3.0, 7.0), (1.0, 8.0, 1.0, 7.0), (-2.0, 9.0, nan, nan)]
    return pd.DataFrame(rows, columns=["x", "z", "x_found", "z_found"])


def places(fig) -> dict[tuple[str, str], list[tuple[float, float]]]:
    return {
        (trace.xaxis or "x", trace.name): list(zip(trace.x.tolist(), trace.y.tolist(), strict=True))
        for trace in fig.data
        if trace.mode == "markers"
    }


def test_everybody_stands_where_they_are_and_where_they_were_put(crowd):
    fig = plots.from_above({"mean size": crowd})
    assert places(fig) == {
        ("x", "true, found"): [(0, 5), (1, 8)],
        ("x", "true, missed"): [(-2, 9)],
        ("x", "put there"): [(0.5, 6), (1, 7)],
        ("x", "nobody is there"): [(3, 7)],
    }
    (lines,) = (trace for trace in fig.data if trace.mode == "lines")
    np.testing.assert_array_equal(lines.x, [0, 0.5, np.nan, 1, 1, np.nan])
    np.testing.assert_array_equal(lines.y, [5, 6, np.nan, 8, 7, np.nan])
    assert all(trace.x.dtype == trace.y.dtype == np.float32 for trace in fig.data)


def test_a_panel_a_table_and_one_legend(crowd):
    """The legend has all kinds of people, though nobody was missed in the first panel."""
    fig = plots.from_above({"true sizes": crowd.iloc[:1], "mean size": crowd})
    assert [a.text for a in fig.layout.annotations] == ["true sizes", "mean size"]
    shown = [trace.name for trace in fig.data if trace.showlegend]
    assert shown == ["true, found", "true, missed", "put there", "nobody is there"]
    found = places(fig)
    assert found["x2", "true, missed"] == [(-2, 9)] and found["x", "true, missed"] == []
    assert len({(t.marker.symbol, t.marker.color) for t in fig.data if t.mode == "markers"}) == 4
    assert [axis.title.text for axis in fig.select_xaxes()] == 2 * ["across (m)"]
    assert fig.layout.yaxis.title.text == "depth (m)"
    assert (fig.layout.xaxis2.matches, fig.layout.yaxis2.matches) == ("x", "y")


def test_tables_that_cannot_be_drawn_are_named(crowd):
    with pytest.raises(BadInput, match="z_found"):
        plots.from_above({"a": crowd, "b": crowd.drop(columns="z_found")})
    with pytest.raises(BadInput, match="no rows"):
        plots.from_above({"a": crowd.iloc[:0]})
    with pytest.raises(BadInput, match="fewer people"):
        plots.from_above({"a": pd.concat([crowd] * 500, ignore_index=True)})
