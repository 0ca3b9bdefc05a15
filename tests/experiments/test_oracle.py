"""The oracle audit: least squares in closed form, made-up depths, and the released ones where they are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.data import tdbu_outputs
from mp3d.data.tdbu_outputs import Video
from mp3d.errors import BadInput
from mp3d.experiments import oracle
from mp3d.experiments.oracle import PREDICTIONS, SERIES

TRUE = np.array([2000.0, 3000.0, 4000.0, 5000.0])


def video(name="TS1", frames=6, **series):
    """Two people at 3 and 5 m who walk 100 mm a frame, and predictions of them."""
    true = np.array([3000.0, 5000.0]) + 100 * np.arange(frames)[:, None]
    depths = {"true": true} | {name: series.get(name, true) for name in PREDICTIONS}
    uv = np.zeros((frames, 2, 17, 2))
    camera = tdbu_outputs._SQUARE
    return Video(name, camera, uv, uv[..., 0], np.ones((frames, 2), bool), depths, {})


def table(frames=6, **series):
    return oracle.depths([video(frames=frames, **series)])


def test_depths_and_constants():
    df = oracle.depths([video(), video("TS2", frames=2)])
    assert len(df) == 12 + 4 and list(df.columns[3:]) == ["true", *SERIES]
    assert df.loc[0, ["sequence", "frame", "person"]].tolist() == ["TS1", 0, 0]
    assert df.loc[3, ["frame", "person", "true"]].tolist() == [1, 1, 5100.0]
    assert df["constant"].unique().tolist() == [4250.0, 4050.0]
    assert df["constant_person"].unique().tolist() == [3250.0, 5250.0, 3050.0, 5050.0]
    with pytest.raises(BadInput, match="at least one"):
        oracle.depths([])


def test_score_by_hand():
    got = oracle.score(np.array([2100.0, 3000.0, 4150.0, 4700.0]), TRUE)
    assert got["mae"] == pytest.approx((100 + 0 + 150 + 300) / 4)
    assert got["within_150"] == 50 and got["within_250"] == 75  # an error of 150 is not below 150
    assert got["r2"] == pytest.approx(1 - (100**2 + 150**2 + 300**2) / (2 * 1500**2 + 2 * 500**2))
    assert got["shift"] == pytest.approx(-12.5)
    flat = oracle.score(np.full(4, 3500.0), TRUE)
    assert flat["r2"] == 0 and flat["sd"] == 0 and np.isnan(flat["rho"]) and np.isnan(flat["slope"])


@given(st.integers(0, 999), st.floats(-3, 3), st.floats(-5000, 5000), st.floats(0, 3000))
def test_a_fit_leaves_its_traces(seed, scale, offset, noise):
    if abs(scale) + noise < 1e-2:
        return
    true = np.random.default_rng(seed + 1).uniform(2000, 8000, 40)
    raw, fitted = oracle.lift(true, noise, scale, offset, seed).to_dict("records")
    assert fitted["shift"] == pytest.approx(0, abs=1e-6)
    assert fitted["slope"] == pytest.approx(1, abs=1e-6)
    assert fitted["rho"] == pytest.approx(abs(raw["rho"]), abs=1e-9)  # a negative scale is turned round
    assert fitted["sd_ratio"] == pytest.approx(abs(raw["rho"]), abs=1e-9)
    assert fitted["r2"] == pytest.approx(raw["rho"] ** 2, abs=1e-9)
    assert fitted["r2"] >= raw["r2"] - 1e-9 and fitted["r2"] >= -1e-12


def test_the_fit_is_procrustes_in_one_dimension():
    rng = np.random.default_rng(0)
    true, pred = rng.normal(size=(2, 50)) * 500 + 4000
    p, t = pred - pred.mean(), true - true.mean()
    for sign in (1, -1):  # a "rotation" of the line; the better one gives the scale that Procrustes finds
        scale = sign * max(0.0, sign * (p @ t) / (p @ p))
        if scale:
            assert oracle.fit(pred, true) == pytest.approx((scale, true.mean() - scale * pred.mean()))
    assert oracle.fit(pred, true) == pytest.approx(np.polyfit(pred, true, 1))
    assert oracle.fit(np.full(50, 7.0), true) == (0.0, pytest.approx(true.mean()))


def test_lift_hides_scale_and_offset_and_an_empty_prediction():
    raw, fitted = oracle.lift(TRUE, scale=-2, offset=1e5).to_dict("records")
    assert raw["mae"] > 80_000 and fitted["mae"] == pytest.approx(0, abs=1e-6) and fitted["r2"] == pytest.approx(1)
    raw, fitted = oracle.lift(TRUE, scale=0, offset=1e5).to_dict("records")
    assert fitted["r2"] == pytest.approx(0) and fitted["mae"] == 1000  # the truth's mean, whatever was predicted
    true = np.random.default_rng(3).normal(4000, 500, 100_000)
    fitted = oracle.lift(true, noise=500).loc["fitted"]
    assert fitted["rho"] ** 2 == pytest.approx(0.5, abs=0.01)  # sd^2 / (sd^2 + noise^2)
    assert fitted["mae"] == pytest.approx(500 * np.sqrt(0.5) * np.sqrt(2 / np.pi), rel=0.01)


def test_scores_and_their_summary():
    off = video().depths["true"] + 200
    long = oracle.depths([video(td=off), video("TS2", frames=2)])
    df = oracle.scores(long)
    assert len(df) == 2 * len(SERIES)
    td = df[df["series"] == "td"]
    assert td["mae"].tolist() == [200, 0] and td["within_150"].tolist() == [0, 100] and td["n"].tolist() == [12, 4]
    means = oracle.summary(df)
    assert means.loc["td", "mae"] == 100 and means.loc["td", "pooled_mae"] == 200 * 12 / 16
    assert means.loc["constant", "r2"] == pytest.approx(0, abs=1e-12)
    assert means["sequences"].tolist() == [2] * 5
    both = oracle.summary(oracle.refitted(long), ["series", "fit"])
    assert both.loc[("td", "whole video"), "pooled_mae"] == pytest.approx(0, abs=1e-6)


def test_integration_outside_of_both():
    true = video().depths["true"]
    inside = oracle.integration(table(td=true - 100, bu=true + 100, integrated=true))
    assert inside.loc[0, ["mae_td", "mae_integrated", "outside"]].tolist() == [100, 0, 0]
    mixed = true + np.where(np.arange(6)[:, None] < 3, 101.0, 100.0)  # half of it beyond bu; on it is not outside
    assert oracle.integration(table(td=true - 100, bu=true + 100, integrated=mixed)).loc[0, "outside"] == 50


def test_order_of_two_people():
    true = video().depths["true"]  # 2 m apart
    swapped = true[:, ::-1].copy()
    half = np.where(np.arange(6)[:, None] < 3, true, swapped)
    near = np.array([4000.0, 4100.0]) + 0 * true
    df = oracle.order(table(td=half, bu=swapped, integrated=near)).set_index("series")
    assert df.loc["td"].tolist() == [50, 50, 50]
    assert df.loc["bu"].tolist() == [0, 0, 0]
    assert df.loc["integrated"].tolist() == [0, 100, 100]  # 0.1 m for 2 m: another class, but the same sign
    assert df.loc["constant"].tolist() == [0, 0, 100]  # the code for Panoptic counts no difference as right
    assert df.loc["constant_person"].tolist() == [100, 100, 100]
    assert oracle.order(table(td=half), every=5).set_index("series").loc["td", "paper"] == 50  # frames 0 and 5


@given(st.floats(0.2, 4), st.floats(-9000, 9000), st.booleans())
def test_refitted_does_not_care_about_an_earlier_scale_and_shift(scale, offset, turned):
    noisy = video().depths["true"] + np.random.default_rng(0).normal(0, 150, (6, 2))
    moved = (-scale if turned else scale) * noisy + offset
    a, b = (oracle.refitted(table(td=values)).query("series == 'td'") for values in (noisy, moved))
    assert np.allclose(a.iloc[:, 4:].astype(float), b.iloc[:, 4:].astype(float), atol=1e-6, equal_nan=True)


def test_refitted_against_a_plain_loop():
    true = video(frames=5).depths["true"]
    pred = true + np.random.default_rng(1).normal(0, 200, (5, 2))
    df = oracle.refitted(table(frames=5, td=pred)).query("series == 'td'").set_index("fit")
    for kind, parts in {
        "whole video": [np.ones((5, 2), bool)],
        "other half": [np.arange(5)[:, None] + [0, 0] < 3, np.arange(5)[:, None] + [0, 0] >= 3],
        "other people": [np.arange(2) + np.zeros((5, 1)) == 0, np.arange(2) + np.zeros((5, 1)) == 1],
    }.items():
        errors = []
        for part in parts:
            train = part if part.all() else ~part
            slope, intercept = np.polyfit(pred[train], true[train], 1)
            errors.extend(np.abs(slope * pred[part] + intercept - true[part]))
        assert df.loc[kind, "mae"] == pytest.approx(np.mean(errors)), kind


# ---- the released depths ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(samples):
    return oracle.depths(tdbu_outputs.read(samples))


def test_the_released_depths_were_fitted_to_the_truth(released):
    """To the precision of float32, in all twenty videos; what the integration made of them was not fitted again."""
    df = oracle.scores(released).set_index("series")
    for name in ("td", "bu"):
        rows = df.loc[name]
        assert len(rows) == 20 and (rows["n"].sum(), rows["shift"].abs().max() < 3e-3) == (20_899, True)
        assert (rows["sd_ratio"] - rows["rho"].abs()).abs().max() < 1e-5 and (
            rows["r2"] - rows["rho"] ** 2
        ).abs().max() < 1e-5
        assert (rows["slope"] - 1).abs().max() < 2e-4
    assert df.loc["integrated", "shift"].abs().max() > 50 and (df.loc["integrated", "slope"] - 1).abs().max() > 0.1
    assert 0.635 < df.loc["td", "rho"].min() < 0.645 and round(df.loc["td", "rho"].max(), 2) == 0.99
    bu = df.loc["bu"].set_index("sequence")
    assert bu.loc["TS1":"TS5", "sd"].round().tolist() == [257, 197, 75, 435, 613]
    assert bu.loc[["TS6", "TS10", "TS15"], "sd"].round().tolist() == [15, 3, 3]
    assert (round(bu.loc["TS1":"TS5", "rho"].mean(), 2), round(bu.loc["TS6":, "rho"].mean(), 2)) == (0.44, 0.16)
    assert round(bu.loc["TS6":, "rho"].median(), 2) == 0.09


def test_scores_of_the_released_depths(released):
    means = oracle.summary(oracle.scores(released))
    expected = {
        "td": (168, 54.7, 76.9, 0.84),
        "bu": (511, 13.5, 28.4, 0.10),
        "integrated": (160, 57.5, 79.5, 0.85),
        "constant": (554, 12.0, 22.9, 0.00),
        "constant_person": (281, 52.5, 65.3, 0.62),
    }
    for name, (mae, near, far, r2) in expected.items():
        row = means.loc[name]
        assert (round(row["mae"]), round(row["within_150"], 1), round(row["within_250"], 1)) == (mae, near, far), name
        assert round(row["r2"], 2) == r2, name
    assert means.loc[list(PREDICTIONS), "pooled_mae"].round().tolist() == [168, 539, 157]


def test_integrated_depths_against_top_down(released):
    df = oracle.integration(released)
    assert (df["mae_integrated"] < df["mae_td"]).sum() == 12
    assert round(df["outside"].mean()) == 55  # over sequences; 57 over people
    assert round((df["outside"] * df["n"]).sum() / df["n"].sum()) == 57


def test_order_of_the_released_depths(released):
    df = oracle.order(released, every=40).set_index("series")
    assert (df["mupots"] >= df["paper"]).all()  # the code is the more lenient
    assert df.loc["constant", "panoptic"] == 100 and df.loc["constant", "paper"] < 15
    assert df.loc["bu", "mupots"] < 60 < 80 < df.loc["td", "paper"]


def test_fits_to_a_part_of_the_truth(released):
    df = oracle.summary(oracle.refitted(released), ["series", "fit"])
    for name in ("td", "bu"):  # fitted before: a second fit changes nothing
        assert df.loc[(name, "whole video"), "mae"] == pytest.approx(
            oracle.summary(oracle.scores(released)).loc[name, "mae"], abs=0.01
        )
    assert df.loc[("td", "other half"), "mae"].round() == 218 and df.loc[("td", "other people"), "mae"].round() == 477
    assert df.loc[("bu", "other half"), "r2"] < 0  # worse than the truth's mean


def test_a_fit_mends_what_is_biased_and_leaves_its_traces():
    table = oracle.lifts()
    fitted = table.xs("fitted", level=1)
    assert fitted.loc[["5 % too far", "half a metre too far"], "mae"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert (fitted["mae"] <= table.xs("raw", level=1)["mae"]).all()
    assert fitted["slope"].to_numpy() == pytest.approx(1)
    rng = np.random.default_rng(0)
    true = rng.normal(4000, 900, 300)
    slope, intercept = oracle.fit(raw := 0.5 * true + rng.normal(0, 300, 300), true)
    rows = [{"series": "td"} | oracle.score(p, true) for p in (raw, slope * raw + intercept)]
    worst = oracle.traces(pd.DataFrame(rows[1:])).loc["td"]
    assert worst.to_numpy() == pytest.approx(0, abs=1e-6)
    assert (oracle.traces(pd.DataFrame(rows)).loc["td"] > 0.1).all()  # before the fit


def test_a_constant_whose_mean_rounds_has_no_slope():
    pred = np.full(7, 0.1 + 0.2) * 1e4
    assert oracle.fit(pred, np.arange(7.0)) == (0.0, 3.0)
    assert oracle.fit(pred + np.linspace(0, 1e-11, 7), np.arange(7.0)) == (0.0, 3.0)
