"""Figures: they carry the numbers they are given, say what they lack, and stay small and tellable apart."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from mp3d import plots
from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.plots import style
from mp3d.plots.bodies import LAYERS, SIDES
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import CORE14, MPI17

CAMERA = Camera(1000, 1000, 500, 500, 1000, 1000)
POSES = np.random.default_rng(0).normal(size=(3, 17, 3)) * (200, 500, 100) + (0, 0, 4000)
GAINS = pd.DataFrame({"gain": [1.0, -2], "low": [0.5, -3], "high": [2.0, -1], "paper": [0.3, np.nan]})


def scene(people=3):
    visibility = np.where(np.arange(17) == 4, HIDDEN, VISIBLE).astype(np.uint8)
    return Scene(CAMERA, tuple(Person.of(pose, CAMERA, visibility) for pose in POSES[:people]))


def every_figure():
    weights = pd.DataFrame({"people": 2, "place": [0, 1] * 20, "distance": np.arange(40) * 50.0, "weight": 0.5})
    errors = pd.DataFrame({"variant": ["a", "b"] * 40, "distance": np.arange(80) * 30.0, "mpjpe": np.arange(80.0)})
    forest = GAINS.rename(columns={"gain": "difference"}).assign(label=["x", "y"])
    curve = pd.DataFrame({"variant": "a", "seed": [0, 0, 1, 1], "step": [1, 2, 1, 2], "loss": [4.0, 2, 3, 1]})
    yield plots.skeletons_3d({"truth": POSES, "estimate": POSES + 30, "refined": POSES}, camera=CAMERA)
    yield plots.scene_2d(scene())
    yield plots.scene_sheet([scene()] * 8, ["talk"] * 8)
    yield plots.gain_by_sequence(GAINS.assign(scene=["D1", "D2"]))
    yield plots.gain_by_joint(GAINS.assign(joint=["Head", "Neck"]))
    yield plots.forest(forest)
    yield plots.forest(forest.assign(table=["Table 4", "Table 5"]))
    yield plots.coupling(GAINS.assign(kind=["talk", "talk"], method=["ridge", "PI-Net"]))
    yield plots.error_by_distance(errors)
    yield plots.attention_by_distance(weights)
    yield plots.attention_matrix(np.eye(3), ["a", "b", "c"])
    yield plots.learning_curves(curve)
    yield plots.over_time(pd.DataFrame({"frame": [0, 1], "before": [1.0, 2], "after": [1.0, 1]}), "mm")
    yield plots.hand_check(np.array([500.0, -200, 2000]), CAMERA)
    yield plots.joint_chart(MPI17)
    yield plots.joint_chart(CORE14)
    yield plots.poses_by_hand({"one": POSES[0], "two": POSES[1]}, POSES[2])
    yield plots.matching({"g1": POSES[0][:, :2], "p1": POSES[1][:, :2]}, [("g1", "p1")])
    yield plots.threshold_curve({"a": np.arange(34.0).reshape(2, 17), "b": np.ones((2, 17))})
    numbers = pd.DataFrame({"variant": ["a", "a"], "people": ["all", "matched"], "pck": [50.0, 60]})
    yield plots.protocol_slide(numbers.assign(low=45.0, high=65.0))


@pytest.mark.parametrize("figure", list(every_figure()), ids=lambda f: f.data[0].type)
def test_every_figure_is_small_and_has_our_template(figure):
    assert (
        figure.layout.template.to_plotly_json()["layout"] == go.layout.Template(style.TEMPLATE).layout.to_plotly_json()
    )
    assert len(json.dumps(style.TEMPLATE)) < 1200
    assert len(figure.to_json()) < 60_000 and 0 < style.points(figure) <= style.MAX_POINTS
    if figure.data[0].type in ("bar", "scatter") and figure.layout.xaxis.visible is not False:
        assert figure.layout.font.size is None or figure.layout.font.size >= 14


def test_every_public_figure_is_tested():
    here = Path(__file__).parent
    tests = "".join(path.read_text() for path in (*here.glob("test_plots*.py"), *here.glob("plots/*.py")))
    assert [name for name in plots.__all__ if f"{name}(" not in tests] == []


def test_a_joint_off_by_the_threshold_is_crossed():
    truth = POSES[0] - POSES[0, 14]
    pose = truth.copy()
    pose[4, 2] += 150  # in depth, which the figure does not show
    figure = plots.poses_by_hand({"wrist": pose}, truth)
    (crossed,) = [t for t in figure.data if t.marker.symbol == "x" and t.x[0] is not None]
    np.testing.assert_allclose([crossed.x, crossed.y], pose[[4], :2].T, rtol=1e-5)


def test_protocols_carry_their_numbers():
    rows = pd.DataFrame({"variant": ["a", "b"] * 2, "people": ["all"] * 2 + ["matched"] * 2, "pck": [1.0, 2, 3, 4]})
    figure = plots.protocol_slide(rows.assign(low=0.0, high=5.0))
    assert figure.layout.yaxis.ticktext == ("b", "a")  # the first row at the top
    np.testing.assert_allclose(figure.data[1].x, [3, 4])
    np.testing.assert_allclose(figure.data[1].error_x.array, [2, 1])
    curve = plots.threshold_curve({"x": np.array([[0.0, 10, 100, 1000]])}).data[0]
    at = dict(zip(curve.x, curve.y, strict=True))
    assert [at[0], at[5], at[10], at[15], at[150]] == [0, 25, 25, 50, 75]  # below, not at


def test_skeletons_carry_the_poses_and_are_equally_scaled():
    figure = plots.skeletons_3d({"truth": POSES})
    drawn = np.concatenate([np.stack([t.x, t.y, t.z], -1) for t in figure.data if t.legendgroup == "truth" and t.x[0]])
    expected = np.stack([POSES[..., 0], POSES[..., 2], -POSES[..., 1]], -1).reshape(-1, 3)  # up is up
    drawn = drawn[np.isfinite(drawn).all(1)]
    assert {tuple(p) for p in np.round(expected, 1)} == {tuple(p) for p in np.round(drawn.astype(float), 1)}
    assert figure.layout.scene.aspectmode == "data"


def test_left_and_right_layers_and_people_differ_by_more_than_colour():
    (right, tint_right), (left, tint_left) = SIDES["right"], SIDES["left"]
    assert right != left and tint_right * tint_left < 0
    looks = [(look["dash"], look["width"]) for look in LAYERS.values()]
    assert len(set(looks)) == len(LAYERS)
    assert len(set(zip(style.DASHES, style.SYMBOLS, strict=True))) == len(style.VARIANTS)


def test_people_differ_for_those_who_confuse_red_and_green():
    confuse = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])  # Machado 2009

    def linear(colour):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return confuse @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)

    for a, b in ((0, 1), (1, 2), (0, 2), (2, 3)):
        assert np.linalg.norm(linear(style.PEOPLE[a]) - linear(style.PEOPLE[b])) > 0.15


def test_charts_carry_gain_interval_and_the_papers_number():
    bars, paper = plots.gain_by_joint(GAINS.assign(joint=["Head", "Neck"])).data
    np.testing.assert_allclose(bars.y, GAINS["gain"])
    np.testing.assert_allclose(bars.error_y.array, GAINS["high"] - GAINS["gain"])
    np.testing.assert_allclose(bars.error_y.arrayminus, GAINS["gain"] - GAINS["low"])
    np.testing.assert_allclose(paper.y, GAINS["paper"].astype(np.float32))
    assert "paper" in paper.name and paper.marker.symbol == "diamond-open"


def test_a_forest_draws_what_crosses_zero_hollow():
    rows = pd.DataFrame({"label": ["clear", "open"], "difference": [1.0, 0.2], "low": [0.5, -1], "high": [2.0, 1]})
    figure = plots.forest(rows)
    assert list(figure.data[0].y) == ["open", "clear"]  # the first line at the top
    assert list(figure.data[0].marker.color) == ["white", style.BLUE]


def test_bins_hold_medians():
    table = pd.DataFrame({"variant": "a", "distance": np.arange(1000.0), "mpjpe": np.repeat([10.0, 30.0], 500)})
    line = plots.error_by_distance(table, bins=2).data[-1]
    np.testing.assert_allclose(line.y, [10, 30])
    np.testing.assert_allclose(line.x, [0.2495, 0.7495], atol=1e-3)


def test_hidden_joints_are_hollow():
    figure = plots.scene_2d(scene(1))
    arms = [t for t in figure.data if t.text is not None and "r_wrist" in t.text]
    (arm,) = arms
    fills = dict(zip(arm.text, arm.marker.color, strict=True))
    assert fills["r_wrist"] == "white" and fills["r_elbow"] != "white"


def test_bad_input():
    with pytest.raises(BadInput, match="forest: low"):
        plots.forest(pd.DataFrame({"label": ["a"], "difference": [1.0]}))
    with pytest.raises(BadInput, match="no rows"):
        plots.gain_by_joint(GAINS.assign(joint="a").iloc[:0])
    with pytest.raises(BadInput, match="layers"):
        plots.skeletons_3d({"before": POSES})
    with pytest.raises(BadInput, match=r"\(2, 15, 3\)"):
        plots.skeletons_3d({"truth": np.zeros((2, 15, 3))})
    with pytest.raises(BadInput, match="at most 2000"):
        plots.over_time(pd.DataFrame({"frame": np.arange(3000), "z": 0.0}), "mm")
    with pytest.raises(BadInput, match="nobody"):
        plots.scene_2d(Scene(CAMERA, ()))
