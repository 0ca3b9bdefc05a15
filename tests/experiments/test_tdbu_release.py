"""What the released outputs tell: on made-up videos in closed form, and the facts on the real files where they are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mp3d.claims import judge, load_claims
from mp3d.data import tdbu_outputs
from mp3d.data.pickles import load_pickle
from mp3d.data.tdbu_outputs import Video
from mp3d.experiments import oracle
from mp3d.experiments.tdbu import release
from mp3d.experiments.tdbu.release import VARIANTS
from mp3d.metrics import align
from mp3d.papers.tdbu.integration import IntegrationMLP

F, P = 6, 2
ROOT = 14


def turned(pose, angle, scale):
    """A pose about the camera's y axis, and larger."""
    c, s = np.cos(angle), np.sin(angle)
    return scale * pose @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def video(name="TS6", bu=None, w=0.75, v=1.0, depth_bu=None, depth_td=None):
    """Two people at 3 and 4 m who come nearer; top-down poses fit the 2D joints exactly, near the picture's middle."""
    rng = np.random.default_rng(int(name[2:]))
    td = rng.normal(0, 300, (F, P, 17, 3))
    td -= td[:, :, ROOT, None]
    bu = td if bu is None else bu(td)
    true = np.array([3000.0, 4000]) - 100 * np.arange(F)[:, None]
    depths = {"true": true, "td": true if depth_td is None else depth_td, "bu": true if depth_bu is None else depth_bu}
    depths["integrated"] = v * depths["td"] + (1 - v) * depths["bu"]
    camera = tdbu_outputs._WIDE
    uv = camera.k[2:] + np.array([[-50.0, 0], [50, 20]])[:, None] + camera.fx * td[..., :2] / true[..., None, None]
    poses = {"td": td, "bu": bu, "integrated": w * td + (1 - w) * bu}
    return Video(name, camera, uv, np.full((F, P, 17), 1 / 17), np.ones((F, P), bool), depths, poses)


def other(pose):
    """Poses of another shape, pelvis at zero."""
    noisy = pose + np.random.default_rng(9).normal(0, 30, pose.shape)
    return noisy - noisy[:, :, ROOT, None]


def laid(td):
    """Another shape, laid on the top-down pose as in the release."""
    moved = align(other(td), td, scale=True)
    return moved - moved[:, :, ROOT, None]


def test_holdings():
    def one_for_both(td):
        bu = other(td)
        bu[:3, 1] = turned(bu[:3, 0], 0.7, 1.3)  # the same person, as it is laid on somebody else
        bu[..., 2] *= np.where(np.arange(F) < 3, 1, 0)[:, None, None]
        return bu

    some = video(bu=one_for_both)
    depth = np.where(np.arange(F)[:, None] < 4, 3000.0, some.depths["true"])  # equal in four frames, shapes in three
    seen = some.seen.copy()
    seen[0] = False
    row = release.holdings([replace(some, depths=some.depths | {"bu": depth}, seen=seen)]).loc["TS6"]
    assert row[["frames", "people"]].tolist() == [F, P]
    assert row["hidden"] == pytest.approx(100 / F)
    assert (row["same_person"], row["same_depth"]) == (pytest.approx(50), pytest.approx(400 / 6))
    below = some.uv[:, :, 1, 1] > some.uv[:, :, ROOT, 1]
    assert row["neck_below"] == pytest.approx(100 * below.mean()) and row["other_way"] == 0


def test_thickness_is_the_distance_from_a_plane():
    flat = np.zeros((2, 17, 3))
    flat[:, 1:, :2] = np.repeat(np.random.default_rng(0).normal(0, 300, (8, 2)), 2, 0)
    flat[:, 0, :2] = flat[:, 1:, :2].mean(1)
    flat[1, 1:, 2] = 20 * (-1.0) ** np.arange(16)  # in pairs, 20 mm before and behind the plane; one in it
    found = release.thickness(turned(flat, 0.4, 1.0))
    assert found == pytest.approx([0, 20 * np.sqrt(16 / 17)], abs=1e-9)


def test_moved_poses_are_told():
    assert release.moved(video(bu=laid)) == pytest.approx(0, abs=1e-6)
    assert release.moved(video(bu=other)) > 1
    assert release.moved(video(bu=lambda td: turned(laid(td), 0.1, 1.0))) > 10


def test_pairs_are_found_again_where_depths_agree():
    near = release.pairings([video(bu=laid)]).set_index("rule")
    assert near["right"].tolist() == [100] * 4 and near["none"].tolist() == near["twice"].tolist() == [0] * 4
    assert near["n"].tolist() == [F * P] * 4
    true = video().depths["true"]
    far = release.pairings([video(bu=laid, depth_bu=true + 3000)]).set_index("rule")
    assert far.loc["equations 5 and 6", ["right", "none"]].tolist() == [0, 100]
    assert far.loc["equations 5 and 6, shapes alone", "right"] == 100
    assert far.loc["released rule", "right"] == 100
    swapped = release.pairings([video(bu=laid, depth_bu=true[:, ::-1].copy())]).set_index("rule")
    assert swapped.loc["equations 5 and 6, shapes alone", "right"] == 100
    half = release.pairings([video(bu=laid)], every=2)
    assert half["n"].tolist() == [F * P // 2] * 4
    row = release.by_rule(pd.concat([release.pairings([video(bu=laid)]), half.assign(right=0)]))
    assert row["right"].tolist() == pytest.approx([200 / 3] * 4) and row["people"].tolist() == [F * P * 1.5] * 4
    both = video(bu=lambda td: np.repeat(other(td)[:, :1], 2, 1), depth_bu=np.full((F, P), 3000.0))
    assert release.pairings([both]).empty  # one person for two: nothing that could be right


def test_pairs_that_are_alike_enough():
    true = video().depths["true"]
    limit = release.REACH * np.sqrt(2 * np.log(50))  # all joints as far as this: 0.02 of what they could be
    for far, share in ((0.98 * limit, 100), (1.02 * limit, 0)):
        row = release.reached([video(depth_bu=true + far / np.linalg.norm([50 / 1180, 10 / 1180, 1]))]).loc["TS6"]
        assert (row["accepted"], row["accepted_shape"]) == (share, 100)
        assert row["apart"] == pytest.approx(far, rel=0.01)


def test_weights_are_recovered():
    rng = np.random.default_rng(3)
    w, v = rng.uniform(0, 1, (F, P, 1, 1)), rng.uniform(-0.5, 1.5, (F, P))
    depth = video().depths["true"] + rng.uniform(200, 400, (F, P))
    some = video(bu=laid, w=w, v=v, depth_bu=depth)
    df = release.weights([some, video("TS7", bu=laid, w=0.5, v=0.5, depth_bu=depth)])
    assert len(df) == 2 * F * P and list(df.columns[-3:]) == ["w", "off", "v"]
    first = df[df["sequence"] == "TS6"]
    assert first["w"].to_numpy() == pytest.approx(w.ravel()) and first["v"].to_numpy() == pytest.approx(v.ravel())
    assert df["off"].max() < 1e-9
    rows = release.gate(df)
    assert list(rows.index) == ["TS6", "TS7", "all"] and rows.loc["all", "w_max"] == df["w"].max()
    assert rows.loc["TS6", ["w_min", "v_median"]].tolist() == pytest.approx([w.min(), np.median(v)])
    assert rows.loc["TS6", "above_1"] == pytest.approx(100 * (v > 1).mean()) and rows.loc["TS7", "above_1"] == 0
    assert rows.loc["TS6", "bu_nearer"] == 0 and np.isnan(rows.loc["TS6", "v_there"])  # top-down is exact
    assert rows.loc["TS6", "v_else"] == rows.loc["TS6", "v_median"]


@pytest.mark.parametrize("w, v, same", [(0.8, 1.2, "gated"), (1.0, 0.0, "hard"), (0.5, 0.0, "linear")])
def test_ours_gives_what_was_released(w, v, same):
    some = video(bu=laid, w=w, v=v, depth_bu=video().depths["true"] + 300)
    off = release.rebuilt(some, release.weights([some]))
    assert off["gated"] == pytest.approx(0, abs=1e-6) and off[same] == pytest.approx(0, abs=1e-6)
    assert sum(value > 1 for value in off.values()) == (2 if same == "gated" else 1)


def test_depths_by_hand():
    true = video().depths["true"]
    some = video(bu=laid, v=1.5, depth_td=true + 10, depth_bu=true + 50)
    df = release.depths(release.weights([some]))
    assert set(VARIANTS) - {"ours"} <= set(df)
    t = df["true"]
    assert (df["linear"] - t).to_numpy() == pytest.approx(30)
    assert (df["one_weight"] - t).to_numpy() == pytest.approx(1.5 * 10 - 0.5 * 50)
    assert (df["shuffled"] - t).to_numpy() == pytest.approx(-10)  # one weight for all, whoever gets it
    assert (df["mean_for_bu"]).to_numpy() == pytest.approx(1.5 * (t + 10) - 0.5 * t.mean())
    for name in ("td_half", "bu_half", "integrated_half"):
        assert (df[name] - t).to_numpy() == pytest.approx(0, abs=1e-6)  # a shift is what a fit takes away
    early = df["frame"] < 3
    assert df.loc[early, "constant_half"].to_numpy() == pytest.approx(t[~early].mean())
    assert df.loc[~early, "constant_half"].to_numpy() == pytest.approx(t[early].mean())


def test_track():
    some = video(bu=laid, depth_bu=np.full((F, P), [3500.0, 3600.0]))
    rows = release.track(release.weights([some]), "TS6")
    assert rows["frame"].tolist() == list(range(F)) and rows["true, one person"].tolist() == pytest.approx(
        [3, 2.9, 2.8, 2.7, 2.6, 2.5]
    )
    assert rows.iloc[0, 2:].tolist() == [3.5, 3.6]


def test_depths_in_the_true_order():
    true = video().depths["true"]
    some = np.where(np.arange(F)[:, None] < 4, true + 5, true[:, ::-1])
    some[3] = 3000.0  # equal: no order
    row = release.in_order(release.weights([video(bu=laid, depth_bu=some)]), least=3).loc["TS6"]
    assert row["chosen"] == pytest.approx(50) and row["rho_chosen"] == pytest.approx(1) and row["rho_dealt"] < 0.99
    assert row["rho_all"] == pytest.approx(np.corrcoef(some.ravel(), true.ravel())[0, 1])
    assert np.isnan(release.in_order(release.weights([video(bu=laid, depth_bu=some)])).loc["TS6", "rho_chosen"])


def test_table_of_perfect_and_of_constant_depths():
    true = video().depths["true"]
    videos = [video(name, bu=laid, depth_bu=true + 400) for name in ("TS6", "TS7")]
    found = release.table(videos, release.depths(release.weights(videos)))
    assert len(found) == 2 * (len(VARIANTS) - 1) and set(found["n"]) == {F * P}
    mean = found.groupby("variant")[["mae", "pck_root", "ap_unknown", "ap_best", "pcod", "line_250"]].mean()
    assert mean.loc["td"].tolist() == pytest.approx([0, 100, 100, 100, 100, 100])
    assert mean.loc["bu", ["mae", "pck_root", "ap_best", "pcod", "line_250"]].tolist() == [400, 0, 0, 100, 100]
    assert mean.loc["constant", "pcod"] == 0 and np.isnan(mean.loc["constant", "line_250"])
    px = found.set_index("variant")["px"].groupby(level=0).mean()
    assert px["td"] < px["bu"] and px["td"] <= px["linear"] < px["bu"] and np.isnan(px["constant"])
    some = release.means(found, ["mae"], ["td", "bu"])
    assert some["mae"].tolist() == [0, 400] and some["depth"].tolist() == [VARIANTS["td"], VARIANTS["bu"]]
    wide = release.by_video(found)
    assert list(wide.index) == ["TS6", "TS7"] and wide["mae bu"].tolist() == [400, 400]
    beside = release.beside_paper(found)
    assert beside.loc["BU", "paper AP_root"] == 46.1 and beside.loc["TD + BU hard", "paper PCK_abs"] == 46.2
    assert beside["pck_root"].iloc[0] == 100 and beside["paper AP_root"].isna().sum() == 2
    row = release.differences(found, "mae", "td", ["bu"]).iloc[0]
    assert row.tolist() == ["bu", 400, 400, 400]


def test_our_network_starts_at_the_mean_of_both_poses():
    true = video().depths["true"]
    videos = [video(name, bu=laid, depth_td=true + 10, depth_bu=true + 400) for name in ("TS6", "TS7")]
    ours = {some.name: release.joined(some, IntegrationMLP(8)) for some in videos}
    mean = (videos[0].xyz("td", "td") + videos[0].xyz("bu", "bu")) / 2
    assert ours["TS6"] == pytest.approx(mean, abs=0.01)
    df = release.depths(release.weights(videos), ours=ours)
    assert (df["ours"] - df["true"]).to_numpy() == pytest.approx(205, abs=0.01)
    found = release.table(videos, df, ours=ours).set_index("variant")
    assert found.loc["ours", "mae"].tolist() == pytest.approx([205] * 2, abs=0.01)
    moved = mean + videos[0].xyz("td")[:, :, ROOT, None] - mean[:, :, ROOT, None]  # to the true depth
    off = videos[0].camera.k[:2] * moved[..., :2] / moved[..., 2:] + videos[0].camera.k[2:] - videos[0].uv
    px = np.median(np.linalg.norm(np.delete(off, ROOT, 2), axis=-1))
    assert found.loc["ours", "px"].iloc[0] == pytest.approx(px, abs=0.01)


def test_the_best_line_forgives_those_who_are_far_off():
    rng = np.random.default_rng(0)
    true = rng.uniform(3000, 6000, 400)
    pred = np.where(np.arange(400) < 240, -0.01 * true + 7, rng.uniform(-60, 0, 400))
    slope, start = oracle.fit(pred, true)
    by_squares = 100 * (np.abs(slope * pred + start - true) < 100).mean()
    assert release.best_line(pred, true, 100) >= 60 > by_squares
    assert release.best_line(np.full(400, 7.0), true) == 100 * (np.abs(true - true.mean()) < 250).mean()


# ---- the real files --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos(samples):
    return tdbu_outputs.read(samples)


@pytest.fixture(scope="module")
def df(videos):
    return release.weights(videos)


@pytest.fixture(scope="module")
def found(videos, df):
    ours = {video.name: release.joined(video, IntegrationMLP(8)) for video in videos}  # untrained: the mean of both
    return release.table(videos, release.depths(df, ours=ours), ours=ours)


def test_real_holdings(videos):
    rows = release.holdings(videos)
    square, wide = rows.iloc[:5], rows.iloc[5:]
    assert rows["frames"].sum() == 8370 and (rows["frames"] * rows["people"]).sum() == 20_899
    assert (square["same_depth"].min().round(), square["same_depth"].max().round()) == (3, 37)
    assert (wide["same_depth"].min().round(), wide["same_depth"].max().round()) == (9, 93)
    assert (rows["same_person"] <= rows["same_depth"]).all()
    assert (rows["same_depth"] - rows["same_person"]).max() < 4
    assert square["thick_bu"].min() > 55 and wide["thick_bu"].max() < 36 and rows["thick_td"].min() > 69
    assert rows.loc["TS6", "neck_below"].round() == 43 and rows.drop("TS6")["neck_below"].max() < 1.2
    assert rows.loc["TS6", ["other_way", "other_way_below"]].round(1).tolist() == [14.4, 20.2]
    assert rows.drop("TS6")["other_way"].max() == 0


def test_real_bottom_up_poses_were_laid_on_the_top_down_ones(videos):
    assert max(release.moved(video) for video in videos) < 0.002


def test_real_pairs(videos):
    found = release.pairings(videos)
    rules = dict(list(found.groupby("rule")))
    assert set(rules["released rule"]["right"]) == {100}  # the rule as it was read makes every pair
    mean = {rule: np.average(rows["right"], weights=rows["n"]) for rule, rows in rules.items()}
    assert rules["released rule"]["n"].sum() == 10_048
    assert mean["equations 5 and 6, shapes alone"] > 99.5
    assert 80 < mean["equations 5 and 6"] < 90 < mean["the same, each takes the best"] < 98
    assert rules["equations 5 and 6"]["twice"].max() == 0
    reached = release.reached(videos)
    assert reached["accepted"].mean().round() == 80 and reached["accepted_shape"].min() == 100


def test_real_weights(df):
    assert len(df) == 20_899 and df["off"].max() < 1e-4  # mm
    assert df["w"].quantile([0, 0.5, 1]).round(3).tolist() == [0.585, 0.765, 0.851]
    assert df["v"].quantile([0, 0.5, 1]).round(2).tolist() == [0.33, 1.02, 1.34]
    assert (100 * (df["v"] > 1).mean()).round() == 57
    assert df[["w", "v"]].corr().iloc[0, 1] > 0.9999  # two numbers, but hardly two


def test_real_integration_rebuilt(videos, df):
    assert max(release.rebuilt(video, df)["gated"] for video in videos) < 1e-3


def test_real_bottom_up_depths_follow_the_truth_in_square_videos(df):
    rows = release.in_order(df)
    square = rows.iloc[:5]
    assert square["rho_chosen"].min().round(2) == 0.80 and square["rho_chosen"].max().round(2) == 0.86
    assert ((square["rho_chosen"] - square["rho_dealt"]) > 0.1).all()
    assert rows["rho_chosen"].isna().sum() == 6
    above = (rows["rho_chosen"] - rows["rho_dealt"]).iloc[5:].dropna()
    assert len(above) == 9 and above.drop("TS12").max() < 0.1 and above["TS12"].round(1) == 0.4
    clear = release.in_order(df, gap=100).loc["TS1"]
    assert clear["chosen"] == pytest.approx(100 * 96 / 201) and clear["rho_chosen"].round(2) == 0.98


def test_real_table(found):
    mean = found.groupby("variant")[["mae", "within_150", "within_250", "r2", "pck_root"]].mean()
    expected = {"td": (168, 54.7, 76.9, 0.84), "bu": (511, 13.5, 28.4, 0.10), "integrated": (160, 57.5, 79.5, 0.85)}
    expected |= {"constant": (554, 12.0, 22.9, 0), "constant_person": (281, 52.5, 65.3, 0.62)}
    for name, (mae, near, far, r2) in expected.items():
        row = mean.loc[name]
        assert (row["mae"].round(), row["within_150"].round(1), row["within_250"].round(1)) == (mae, near, far)
        assert row["r2"].round(2) == pytest.approx(r2, abs=1e-9)
    assert mean["mae"].round()[["mean_for_bu", "one_weight", "shuffled"]].tolist() == [161, 168, 174]
    assert mean["pck_root"].round(1)[["td", "integrated", "integrated_half"]].tolist() == [53.0, 55.8, 44.5]
    assert mean.loc["ours", "mae"] == pytest.approx(mean.loc["linear", "mae"], abs=0.1)
    wide = release.by_video(found)
    assert (wide["mae integrated"] < wide["mae td"]).sum() == 12
    assert 50 < found[found["variant"] == "bu"]["line_250"].mean() < 56


def test_real_verdicts(found):
    verdicts = {v.claim.split(".")[2]: v.verdict for v in judge(load_claims("tdbu", "R6."), found)}
    wrong = {name for name, verdict in verdicts.items() if verdict == "contradicted"}
    assert wrong == {"bu_roots", "hard", "linear", "ours"}
    assert {name for name, verdict in verdicts.items() if verdict == "open"} == {"integration_abs", "constant_pck"}
    assert verdicts["poses"] == "not run" and len(verdicts) == 15


def test_real_affinities_have_equal_rows(samples):
    """Why the reader keeps one row: "message passing" by them hands every joint the same mean."""
    tracks = [(video, p) for video, people in enumerate(tdbu_outputs.PEOPLE) for p in range(people)]
    names = [f"mupots/est_p2ds/{video:02d}_{p:02d}.pkl" for video, p in tracks]
    listed = tdbu_outputs._read_hashes(None)
    files = tdbu_outputs._files(samples, {name: listed[name][1] for name in names})
    assert len(files) == 49
    for name in names:
        affinity = np.asarray(load_pickle(files[name], name)[1])
        assert (affinity == affinity[:, :1]).all() and np.allclose(affinity.sum(-1), 1, atol=1e-5)
