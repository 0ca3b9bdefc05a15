"""What the PI-Net notebooks run, at the smallest size, and the numbers that need no training."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mp3d.errors import BadInput
from mp3d.experiments import pinet as experiment
from mp3d.experiments import pinet_tables as tables
from mp3d.metrics.errors import mpjpe
from mp3d.papers.pinet import PINet, PINetConfig


@pytest.fixture(scope="module")
def people():
    return experiment.people_to_test("smoke")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    study = experiment.study(["input", "pinet", "shuffled", "self"], "smoke", tmp_path_factory.mktemp("keep"), seeds=2)
    return study, study.table()


def test_the_test_people_are_twenty_sequences_and_estimates_of_them(people):
    scenes, estimates = people
    assert list(dict.fromkeys(s.sequence for s in scenes)) == [f"D{n}" for n in range(1, 21)]
    assert all(e.shape == s.xyz.shape for s, e in zip(scenes, estimates, strict=True))
    again = experiment.people_to_test("smoke", "rootnet")[1]
    roots = [np.abs(a[:, 14, 2] / s.roots[:, 2] - 1).max() for s, a in zip(scenes, again, strict=True)]
    assert 0.01 < np.mean(roots) < 0.2


def test_scores_against_a_plain_loop(people):
    scenes, estimates = people
    rows = experiment.scores(scenes, estimates).set_index("scene")
    for name in ("D1", "D7"):
        errors = [
            np.linalg.norm((e - e[14]) - (t - t[14]), axis=1).mean()
            for scene, estimate in zip(scenes, estimates, strict=True)
            if scene.sequence == name
            for e, t in zip(estimate, scene.xyz, strict=True)
        ]
        assert rows.loc[name, "n"] == len(errors)
        assert rows.loc[name, "mpjpe"] == pytest.approx(np.mean(errors))
    perfect = experiment.scores(scenes, [s.xyz for s in scenes])
    assert perfect["mpjpe"].max() < 1e-9 and (perfect["pck3d"] == 100).all()
    np.testing.assert_allclose(perfect["auc3d"], 100 * 30 / 31)


def test_a_study_has_all_rows_and_retests_become_variants(table):
    _, wide = table
    rows = experiment.spread(wide)
    assert set(rows["variant"]) == {
        *("input", "pinet", "self", "shuffled", "composited", "other_estimator", "input_rootnet"),
        *("test_random", "test_reverse", "test_strangers", "pinet_other_estimator", "pinet_rootnet"),
    }
    assert (rows.groupby(["variant", "seed"])["scene"].nunique() == 20).all()
    assert not any("@" in column for column in rows)
    pairs = rows[rows["scene"].isin(["D1", "D2"])].pivot_table("mpjpe", ["seed", "scene"], "variant")
    np.testing.assert_allclose(pairs["pinet"], pairs["test_random"])  # two people: the order cannot matter
    triples = rows[rows["scene"] == "D14"].pivot_table("mpjpe", "seed", "variant")
    assert (triples["pinet"] != triples["test_reverse"]).all()
    assert (rows.query("variant == 'pinet'")["parameters"] == 3_408_896).all()


def test_trained_networks_are_kept_and_read(table, tmp_path):
    study, _ = table
    job = study.variants["pinet"]
    folder = experiment.place(job.network, "smoke", 0, study.folder.parent)
    stamp = (folder / "network.pt").stat().st_mtime_ns
    first = experiment.trained(job.network, "smoke", 0, study.folder.parent)
    assert (folder / "network.pt").stat().st_mtime_ns == stamp
    fresh = experiment.trained(job.network, "smoke", 0, tmp_path)  # the same seed gives the same weights
    for a, b in zip(first.parameters(), fresh.parameters(), strict=True):
        assert a.equal(b)
    assert experiment.place(job.network, "smoke", 1, tmp_path) != experiment.place(job.network, "smoke", 0, tmp_path)
    curves = tables.curves(replace(study, variants={"pinet": job}))
    assert set(curves["seed"]) == {0, 1} and (curves["loss"] > 0).all()


def test_attention_rows_sum_to_one(people):
    scenes, estimates = people
    pairs = experiment.attention_pairs(PINet(PINetConfig(hidden=8)), scenes, estimates)
    assert (pairs.query("place == 0")["distance"] == 0).all()
    assert pairs.query("place > 0")["distance"].min() > 200
    firsts = pairs.groupby((pairs["place"] == 0).cumsum())
    np.testing.assert_allclose(firsts["weight"].sum(), 1, rtol=1e-5)
    assert firsts["distance"].min().eq(0).all()
    assert (pairs.query("place == 2")["distance"].to_numpy() > 200).all()
    wide = experiment.attention(PINet(PINetConfig(hidden=8)), scenes, estimates)
    assert wide["attention_far"].isna().sum() == 11  # the sequences of two people


def test_floors_are_what_a_met_target_leaves(people):
    scenes, estimates = people
    floor = experiment.floors("smoke")
    assert floor.loc["in the group", "MPJPE"] < floor.loc["alone", "MPJPE"] < floor.loc["input", "MPJPE"]
    errors = {"in the group": [], "alone": []}
    for scene, estimate in zip(scenes, estimates, strict=True):  # a plain loop over groups, and over people
        parts = {"in the group": [slice(None)], "alone": [slice(n, n + 1) for n in range(len(estimate))]}
        for name, groups in parts.items():
            for group in groups:
                true, wrong = scene.xyz[group].reshape(-1, 3), estimate[group].reshape(-1, 3)
                best = (true - true.mean(0)) / true.std(0, ddof=1) * wrong.std(0, ddof=1) + wrong.mean(0)
                errors[name].extend(mpjpe(best.reshape(-1, 17, 3), scene.xyz[group]))
    for name, of_people in errors.items():
        assert floor.loc[name, "MPJPE"] == pytest.approx(np.mean(of_people), rel=1e-4)


def test_signs_of_the_tables(people, table):
    """A variant that is 3 mm better than PI-Net everywhere gains 3, and PI-Net is not 3 mm worse than itself."""
    inputs = table[1].query("variant == 'input'")[["seed", "scene", "n", "mpjpe", "pck3d_wrist"]]
    shifts = {"pinet": 10.0, "shuffled": 7.0, "input": 0.0}
    made = pd.concat(
        inputs.assign(variant=v, mpjpe=inputs["mpjpe"] - s, pck3d_wrist=inputs["pck3d_wrist"] + s)
        for v, s in shifts.items()
    )
    every = [v for v in experiment.VARIANTS if v not in shifts] + ["composited"]
    made = pd.concat([made, *(inputs.assign(variant=v, mpjpe=inputs["mpjpe"] - 8.0) for v in every)])
    rows = tables.ablation(made).set_index("label")
    assert rows.loc["random", "difference"] == pytest.approx(-2)
    assert rows.loc["input", "difference"] == pytest.approx(-10)
    assert rows.loc["random", "paper"] == pytest.approx(-0.18)  # 121.88 - 121.7
    assert tables.gain_by_scene(made)["gain"].tolist() == pytest.approx([10] * 20)
    linear = pd.DataFrame({"variant": ["ridge_self", "ridge"] * 2, "seed": [0, 0, 1, 1], "n": 5, "mpjpe": [9.0, 8] * 2})
    kinds = {scene.kind for scene in people[0]}
    linear = pd.concat(linear.assign(scene=kind) for kind in kinds)
    by_kind = tables.gain_by_kind(made, linear, "smoke").set_index(["kind", "method"])["gain"]
    assert by_kind.xs("ridge", level="method").tolist() == pytest.approx([1] * len(kinds))
    assert by_kind.xs("PI-Net", level="method").tolist() == pytest.approx([3] * len(kinds))
    only = made.assign(
        **{f"pck3d_{g}": made["pck3d_wrist"] for g in ("head", "neck", "shou", "elbow", "hip", "knee", "ankle")}
    )
    assert tables.gain_by_group(only)["gain"].tolist() == pytest.approx([10] * 8)
    with pytest.raises(BadInput, match="in common"):
        tables.gains(made[made["seed"] == 0], {"x": ("nobody", "input")})


def test_the_typical_scene_has_the_median_gain(people):
    scenes, _ = people
    before = [s.xyz + np.linspace(0, 100, 17)[:, None] for s in scenes]
    after = [b - 0.01 * i * np.linspace(0, 1, 17)[:, None] for i, b in enumerate(before)]
    pairs = [i for i, scene in enumerate(scenes) if len(scene.people) == 2]  # gains rise with i
    assert tables.typical(scenes, before, after) == pairs[len(pairs) // 2]


def test_what_scores_depend_on_is_hashed(table, monkeypatch):
    study, _ = table
    before = study.path("pinet", 0)
    moved = replace(study, variants={"pinet": replace(study.variants["pinet"], keep="elsewhere")})
    assert moved.path("pinet", 0) == before  # a folder decides nothing
    assert any(module.__name__ == "mp3d.metrics" for module in study.code)
    assert replace(study, code=study.code[1:]).path("pinet", 0) != before


def test_gains_are_paired_and_positive_where_the_variant_is_better(table):
    rows = experiment.spread(table[1])
    shifted = rows[rows["variant"] == "input"].assign(variant="better")
    shifted["mpjpe"] -= 3.0
    both = tables.gains(
        pd.concat([rows.query("variant == 'input'"), shifted]), {"x": ("better", "input"), "y": ("input", "better")}
    )
    np.testing.assert_allclose(both["difference"], [3, -3])
    np.testing.assert_allclose(both["low"], [3, -3], atol=1e-9)


def test_tables_of_the_notebooks(table):
    rows = experiment.spread(table[1])
    by_sequence = tables.by_sequence(rows, "smoke")
    assert list(by_sequence.index[-2:]) == ["mean of sequences", "mean of people"]
    inputs = rows[(rows["variant"] == "input") & (rows["seed"] == 0)]
    weighted = np.average(inputs["mpjpe"], weights=inputs["n"])
    assert by_sequence.loc["mean of people", "MPJPE before"] == pytest.approx(weighted)
    joints = tables.by_joint(rows)
    assert joints.loc["Wrist", "gain, MuPoTS-3D (paper)"] == pytest.approx(1.5)
    beside = tables.against_paper(rows, {"pinet": "T5/PI-Net", "self": ""})
    assert beside.loc["pinet", "MPJPE, MuPoTS-3D (paper)"] == 121.7
    assert np.isnan(beside.loc["self", "MPJPE, MuPoTS-3D (paper)"])
    assert tables.gain_by_scene(rows)["paper"].iloc[1] == pytest.approx(8.0)  # S2: 159.3 to 151.3


def test_bad_input(tmp_path):
    for wrong, told in (
        ({"variants": ["gru5"]}, "gru5"),
        ({"budget": -1.0}, "budget: found -1.0"),
        ({"budget": np.inf}, "budget: found inf"),
        ({"seeds": -2}, "seed, seeds: found"),
        ({"seed": -1}, "seed, seeds: found"),
    ):
        with pytest.raises(BadInput, match=told):
            experiment.study(**({"variants": ["pinet"], "profile": "smoke", "keep": tmp_path} | wrong))
