"""Contact sheets, drawn people, overlays and curves show what they are given."""

import numpy as np
import pandas as pd
import pytest

from mp3d import plots
from mp3d.errors import BadInput
from mp3d.plots import style
from mp3d.scene import HIDDEN, VISIBLE

GREY = np.full((30, 40, 3), 128, np.uint8)
CURVE = pd.DataFrame({"series": ["a", "a", "b", "b"], "x": [1.0, 2, 1, 2], "value": [3.0, 4, 5, 6]})
CURVE = CURVE.assign(low=CURVE["value"] - 1, high=CURVE["value"] + 1)


def test_a_sheet_holds_each_picture_once_in_its_place():
    shades = [np.full((30, 40, 3), 20 * i, np.uint8) for i in range(1, 6)]
    whole = plots.sheet(shades, ["one\ntwo"] * 5, columns=3, width=400)
    assert whole.shape[1] == 400
    wide = (400 - 6 * 4) // 3
    high = round(wide * 0.75)
    step = high + 2 * 17 + 6
    for i, shade in enumerate(shades):
        x, y = 6 + i % 3 * (wide + 6), 6 + i // 3 * step
        assert (whole[y : y + high, x : x + wide] == shade[0, 0]).all()
    words = whole[6 + high : 6 + step - 6, 6 : 6 + wide]
    assert (words < 100).any()


def test_sheets_want_pictures_and_a_title_each():
    for pictures, titles in (([], []), ([GREY, GREY], ["one"])):
        with pytest.raises(BadInput, match="one title a picture"):
            plots.sheet(pictures, titles)


def test_visible_joints_are_dots_hidden_ones_rings_absent_ones_nothing():
    uv = np.full((1, 17, 2), np.nan)
    uv[0, 3], uv[0, 10], uv[0, 12] = (10.5, 10.5), (30.5, 10.5), (20.5, 25.5)
    seen = np.zeros((1, 17), np.uint8)
    seen[0, 3], seen[0, 10] = VISIBLE, HIDDEN
    drawn = plots.drawn_people(GREY, uv, seen, scale=4)
    assert drawn.shape == (120, 160, 3)
    assert (drawn[42, 42] != 128).any()  # the dot's middle
    assert (drawn[42, 122] == 128).all() and (drawn[36:48, 116:128] != 128).any()  # a ring around nothing
    assert (drawn[90:115, 70:95] == 128).all()


def test_an_overlay_colours_by_sign_and_leaves_the_rest_pale():
    values = np.zeros((3, 4), np.float32)
    values[0, 0], values[2, 3] = 1, -2
    out = plots.overlay(GREY, values, -2, 1).astype(int)
    assert out[5, 5, 2] > out[5, 5, 0] and out[25, 35, 0] > out[25, 35, 2]
    assert (out[15, 15] == out[15, 15, 0]).all() and out[15, 15, 0] > 128
    with pytest.raises(BadInput, match="whole part"):
        plots.overlay(GREY, values[:, :3], -2, 1)


@pytest.mark.parametrize("panels", [1, 3])
def test_curves_carry_each_series_with_its_band(panels):
    df = pd.concat([CURVE.assign(panel=f"p{i}") for i in range(panels)]) if panels > 1 else CURVE
    fig = plots.curves(df, "noise (px)", "error (mm)", log="x")
    lines = [t for t in fig.data if t.mode == "lines+markers"]
    assert len(lines) == 2 * panels and sum(bool(t.showlegend) for t in lines) == 2
    assert lines[1].y.tolist() == [5, 6] and style.points(fig) == 12 * panels and fig.data[0].y.tolist() == [2, 3, 5, 4]
    assert fig.layout.xaxis.type == "log" and fig.layout.xaxis.title.text == "noise (px)"
    with pytest.raises(BadInput, match="low"):
        plots.curves(df.drop(columns="low"), "x", "y")


def test_layers_shade_depth_and_colour_people():
    depth = np.full((30, 40), 4000.0)
    depth[:5], depth[5:10] = np.inf, 1000
    instance = np.full((30, 40), -1)
    instance[5:10], instance[12:14], instance[20:22] = 0, -2, 1
    picture, shade, whose = plots.layers(GREY, depth, instance)
    assert (picture == GREY).all() and (shade[0] == 255).all() and (shade[6] == 63).all()
    assert len({tuple(whose[row, 0]) for row in (0, 6, 12, 20)}) == 4


def test_gammas_are_drawn_by_group_on_equal_axes():
    df = pd.DataFrame({"group": ["a"] * 200 + ["b"] * 10, "needed": 0.8, "found": np.linspace(0.5, 1, 210)})
    fig = plots.gammas(df)
    assert [len(t.x) for t in fig.data] == [2, 150, 10]
    assert fig.layout.xaxis.range == fig.layout.yaxis.range and fig.layout.yaxis.scaleanchor == "x"
    assert fig.layout.xaxis.range[0] < 0.5
