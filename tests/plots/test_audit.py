"""The audit's figures carry the numbers they are given, stay small and refuse what they cannot draw."""

import numpy as np
import pandas as pd
import pytest

from mp3d.errors import BadInput
from mp3d.plots import audit, style

OFF = pd.DataFrame(
    {
        "table": ["T1", "T1", "T2"],
        "row": ["a", "b", "a"],
        "off_plain": [1.0, -2.0, 0.0],
        "off_weighted": [0.0, 0.05, np.nan],
    }
)


def depths(people=4000):
    true = np.linspace(2000, 6000, people)
    sequence = np.repeat([f"TS{i}" for i in range(1, 9)], people // 8)
    return pd.DataFrame({"sequence": sequence, "true": true, "td": true + 100, "bu": 4000.0, "integrated": true - 50})


def errors():
    rows = [(f"TS{i}", name, 100.0 * i) for i in range(1, 4) for name in audit.NAMES]
    return pd.DataFrame(rows, columns=["sequence", "series", "mae"])


def test_averages_draw_each_row_once_and_leave_out_unknown_ones():
    fig = audit.averages(OFF)
    plain, weighted = fig.data
    assert plain.x.tolist() == [0, -2, 1] and [list(level) for level in plain.y] == [
        ["T2", "T1", "T1"],
        ["a", "b", "a"],
    ]
    assert np.isnan(weighted.x[0]) and plain.marker.symbol != weighted.marker.symbol
    assert (fig.layout.shapes[0].x0, fig.layout.shapes[0].x1) == (-0.1, 0.1)


def test_depth_scatter_draws_metres_on_equal_axes_and_few_points():
    df = depths()
    fig = audit.depth_scatter(df, ["TS1", "TS5"])
    assert style.points(fig) <= audit.MOST
    dots = [trace for trace in fig.data if trace.mode == "markers"]
    assert [t.name for t in dots] == ["TS1", "TS5"] * 3 and [t.showlegend for t in dots] == [True, True] + [False] * 4
    td, bu = dots[0], dots[2]
    assert np.allclose(td.y - td.x, 0.1, atol=1e-5) and np.allclose(bu.y, 4)
    assert len({(t.marker.color, t.marker.symbol) for t in dots}) == 2
    assert fig.layout.xaxis.range == fig.layout.yaxis.range == fig.layout.xaxis3.range == fig.layout.yaxis3.range
    every = audit.depth_scatter(df, [f"TS{i}" for i in range(1, 7)])
    assert 1000 < style.points(every) <= audit.MOST and len(every.to_json()) < 60_000


def test_depth_errors_tell_predictions_from_constants():
    fig = audit.depth_errors(errors())
    assert [t.type for t in fig.data] == ["bar"] * 3 + ["scatter"] * 2
    assert all(list(t.y) == [100, 200, 300] and list(t.x) == ["TS1", "TS2", "TS3"] for t in fig.data)
    assert len({t.marker.pattern.shape for t in fig.data[:3]}) == 3
    some = errors()
    assert len(audit.depth_errors(some[some["series"] != "constant"]).data) == 4


@pytest.mark.parametrize(
    "draw",
    [
        lambda: audit.averages(OFF.drop(columns="off_plain")),
        lambda: audit.averages(OFF.iloc[:0]),
        lambda: audit.depth_scatter(depths(), ["TS99"]),
        lambda: audit.depth_scatter(depths(), []),
        lambda: audit.depth_scatter(depths(), [f"TS{i}" for i in range(1, 8)]),
        lambda: audit.depth_errors(errors().replace("bu", "other")),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw):
    with pytest.raises(BadInput, match="plots"):
        draw()


def test_figures_have_our_template_and_large_letters():
    for fig in (audit.averages(OFF), audit.depth_scatter(depths(), ["TS1"]), audit.depth_errors(errors())):
        assert fig.layout.template.layout.font.size == style.TEMPLATE["layout"]["font"]["size"]
        assert len(fig.to_json()) < 60_000
