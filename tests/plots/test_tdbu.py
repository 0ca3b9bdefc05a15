"""The weights of TDBU's gate, drawn."""

import numpy as np
import pandas as pd
import pytest

from mp3d import plots
from mp3d.errors import BadInput
from mp3d.plots.style import points


def test_weights_and_their_range_by_video():
    rng = np.random.default_rng(0)
    v = rng.uniform(0.5, 1.3, 3000)
    df = pd.DataFrame({"sequence": np.repeat(["TS2", "TS10", "TS1"], 1000), "w": v / 2, "v": v})
    figure = plots.gate_weights(df)
    people, videos = figure.data
    assert points(figure) == 900 + 3 and list(videos.x) == ["TS2", "TS10", "TS1"]
    np.testing.assert_allclose(np.asarray(people.y) / 2, people.x, rtol=1e-5)
    by_video = v.reshape(3, 1000)
    np.testing.assert_allclose(videos.y, np.median(by_video, 1), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(videos.y) + videos.error_y.array, by_video.max(1), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(videos.y) - videos.error_y.arrayminus, by_video.min(1), rtol=1e-5)
    assert [shape.y0 for shape in figure.layout.shapes] == [1, 1]
    with pytest.raises(BadInput, match="gate_weights"):
        plots.gate_weights(df.drop(columns="v"))
