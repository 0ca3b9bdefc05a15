"""Small multiples of the worlds: curves end at 1, what is known is an open diamond, empty panels are empty."""

import numpy as np
import pandas as pd
import pytest

from mp3d import plots
from mp3d.errors import BadInput
from mp3d.plots import style

LABELS = {"people": "people a frame", "distance": "distance, m"}


def numbers():
    rows = [("duet", "rules", "people", v) for v in (2, 2, 2, 3)]
    rows += [("duet", "rules", "distance", v) for v in np.linspace(2, 8, 50)]
    rows += [("duet", "tdbu", "distance", v) for v in np.linspace(3, 6, 50)]
    rows += [("solo", "rules", "people", 1)]
    return pd.DataFrame(rows, columns=["world", "motion", "quantity", "value"])


KNOWN = pd.DataFrame(
    [
        ("duet", "people", "share", 2, 0.5),
        ("duet", "people", "mean", 2.5, np.nan),
        ("duet", "people", "most", 3, np.nan),
    ],
    columns=["world", "quantity", "what", "value", "share"],
)


def test_curves_and_diamonds():
    fig = plots.world_statistics(numbers(), KNOWN, LABELS)
    curves = [trace for trace in fig.data if trace.mode == "lines"]
    (diamonds,) = (trace for trace in fig.data if trace.mode != "lines")
    assert len(curves) == 4 and len({(c.line.color, c.line.dash) for c in curves}) == 2
    people = curves[0]
    assert people.y[-1] == 1 and people.x.tolist() == [2.0] * 19 + [3.0] * 6  # three of four
    assert diamonds.marker.symbol == style.PAPER["symbol"] and diamonds.x.tolist() == [2, 2.5, 3]
    assert diamonds.y.tolist() == [0.5, 0.5, 1] and list(diamonds.text) == ["", "mean", ""]
    named = [trace.name for trace in fig.data if trace.showlegend]
    assert sorted(named) == sorted(set(named)) and len(named) == 3
    assert fig.layout.template.layout.font.size == style.TEMPLATE["layout"]["font"]["size"]
    assert style.points(fig) < 200 and len(fig.to_json()) < 60_000


def test_a_panel_without_numbers_is_empty():
    fig = plots.world_statistics(numbers(), KNOWN, LABELS)
    visible = [fig.layout[f"xaxis{i}"].visible for i in ("", 2, 3, 4)]
    assert visible == [None, None, None, False]  # nobody measured how far off solo is
    assert fig.layout.xaxis3.type == "log" and fig.layout.xaxis3.title.text == "distance, m"


def test_bad_input():
    with pytest.raises(BadInput, match=r"plots.world_statistics: motion"):
        plots.world_statistics(numbers().drop(columns="motion"), KNOWN, LABELS)
    with pytest.raises(BadInput, match="share"):
        plots.world_statistics(numbers(), KNOWN.drop(columns="share"), LABELS)
    with pytest.raises(BadInput, match="df: found no rows"):
        plots.world_statistics(numbers()[:0], KNOWN, LABELS)
