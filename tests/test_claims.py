import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mp3d.claims import accepted, dumps, fit_weights, judge, load_claims, markdown_table, read, readme_block, to_frame
from mp3d.errors import BadInput
from mp3d.files import write
from mp3d.published import AUDITS, Claim, load, papers

CLAIMS = {claim.id: claim for claim in load_claims("pinet")}
EVERY = {claim.id: claim for paper in papers() for claim in load_claims(paper)}


def table(effects, seeds=5, scenes=8, noise=0.1, metric="mpjpe", n=None):
    """Every variant has the scenes' (large) and the seeds' level, its own effect, and a little noise."""
    rng = np.random.default_rng(0)
    level = rng.normal(100, 30, scenes) + rng.normal(0, 5, (seeds, 1))
    rows = [
        {"variant": variant, "seed": seed, "scene": f"D{scene}", "n": 1 if n is None else n[scene]}
        | {metric: level[seed, scene] + np.broadcast_to(effect, scenes)[scene] + noise * rng.normal()}
        for variant, effect in effects.items()
        for seed in range(seeds)
        for scene in range(scenes)
    ]
    return pd.DataFrame(rows)


def verdict(test, rows):
    claim = Claim(id="pinet.toy.claim", statement="", source="", unit="mm", test=test)
    return judge([claim], rows)[0]


def better(**changes):
    return {"better": "new", "than": ["old"], "metric": "mpjpe", "lower_is_better": True} | changes


class TestBetter:
    def test_the_three_outcomes(self):
        gain = verdict(better(), table({"new": -1, "old": 0}))
        assert gain.verdict == "holds" and gain.low > 0
        assert gain.difference == pytest.approx(1, abs=0.1)
        assert (gain.seeds, gain.scenes, gain.comparison) == (5, 8, "new against old, mpjpe")
        loss = verdict(better(), table({"new": 1, "old": 0}))
        assert loss.verdict == "contradicted" and loss.high < 0
        tie = verdict(better(), table({"new": 0, "old": 0}))
        assert tie.verdict == "open" and tie.low < 0 < tie.high
        assert tie.resolution == pytest.approx((tie.high - tie.low) / 2)

    def test_higher_may_be_better(self):
        rows = table({"new": 1, "old": 0}, metric="pck3d")
        assert verdict(better(metric="pck3d", lower_is_better=False), rows).verdict == "holds"

    def test_swapping_the_sides_changes_the_sign_alone(self):
        rows = table({"new": -0.05, "old": 0})
        one, other = verdict(better(), rows), verdict(better(better="old", than=["new"]), rows)
        assert one.difference == pytest.approx(-other.difference)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.02)

    def test_it_must_hold_against_each_and_the_weakest_is_told(self):
        rows = table({"new": -2, "old": 0, "older": -1, "oldest": 0})
        test = better(than=["old", "older", "oldest"])
        assert verdict(test, rows).comparison == "new against older, mpjpe"
        assert verdict(test, table({"new": -2, "old": 0, "older": -2, "oldest": 0})).verdict == "open"
        against = verdict(test, table({"new": -2, "old": 0, "older": -3, "oldest": -2}))
        assert (against.verdict, against.comparison) == ("contradicted", "new against older, mpjpe")

    def test_several_metrics(self):
        rows = table({"new": -1, "old": 0})
        rows["pa_mpjpe"] = table({"new": 1, "old": 0})["mpjpe"]
        found = verdict(better(metric=["mpjpe", "pa_mpjpe"]), rows)
        assert (found.verdict, found.comparison) == ("contradicted", "new against old, pa_mpjpe")

    def test_margin(self):
        rows = table({"new": 0.2, "old": 0})
        assert verdict(better(margin=-0.5), rows).verdict == "holds"
        assert verdict(better(margin=0.5), table({"new": -1, "old": 0})).verdict == "holds"
        assert verdict(better(margin=2.0), table({"new": -1, "old": 0})).verdict == "contradicted"

    def test_the_mean_is_the_one_named(self):
        rows = table({"new": [-3] + 7 * [0.4], "old": 0}, n=[100] + 7 * [1])
        by_instance, by_scene = (verdict(better(by=by), rows).difference for by in ("instance", "scene"))
        assert by_instance == pytest.approx((300 - 2.8) / 107, abs=0.1)
        assert by_scene == pytest.approx((3 - 2.8) / 8, abs=0.1)

    def test_only_seeds_and_scenes_of_both_are_compared(self):
        rows = table({"new": -1, "old": 0})
        drop = (rows["variant"] == "old") & ((rows["seed"] == 4) | (rows["scene"] == "D7"))
        found = verdict(better(), rows[~drop])
        assert (found.verdict, found.seeds, found.scenes) == ("holds", 4, 7)
        rows.loc[(rows["scene"] == "D0") & (rows["seed"] == 2), "mpjpe"] = np.nan
        assert verdict(better(), rows).scenes == 7

    def test_one_seed_has_the_interval_of_its_scenes_and_says_so(self):
        found = verdict(better(), table({"new": -1, "old": 0}, seeds=1))
        assert found.verdict == "holds" and 0 < found.low < found.difference
        assert "scenes alone" in found.note
        assert not verdict(better(), table({"new": -1, "old": 0})).note

    def test_one_seed_and_one_scene_settle_nothing(self):
        rows = table({"new": -1, "old": 0}, seeds=1)
        found = verdict(better(), rows[rows["scene"] == "D0"])
        assert (found.verdict, found.low, found.resolution) == ("open", None, None)

    def test_what_is_missing_is_named(self):
        rows = table({"new": -1})
        assert verdict(better(), rows).note == "no variant old"
        assert verdict(better(metric="pck3d"), rows).note == "no variant old, no metric pck3d"
        apart = table({"new": -1, "old": 0})
        apart = apart[(apart["variant"] == "new") == (apart["seed"] < 2)]
        assert "no seed and scene in common" in verdict(better(), apart).note
        assert verdict(better(), rows).verdict == verdict(better(), apart).verdict == "not run"

    @settings(max_examples=5)
    @given(st.integers(0, 1000))
    def test_the_order_of_rows_does_not_matter(self, seed):
        rows = table({"new": -0.05, "old": 0}, seeds=3, scenes=4)
        assert verdict(better(), rows.sample(frac=1, random_state=seed)) == verdict(better(), rows)


class TestOtherTests:
    @pytest.mark.parametrize(
        "effect, expected", [(0.0, "holds"), (-2, "contradicted"), (2, "contradicted"), (0.5, "open")]
    )
    def test_similar(self, effect, expected):
        test = {"similar": "new", "to": ["old"], "metric": "mpjpe", "margin": 0.5}
        assert verdict(test, table({"new": effect, "old": 0})).verdict == expected

    @pytest.mark.parametrize("far, expected", [(0.1, "holds"), (0.3, "contradicted"), (0.2, "open")])
    def test_increasing(self, far, expected):
        rows = table({"new": 0}, metric="self")
        rows["near"] = rows["self"] - 0.5
        rows["far"] = rows["near"] + far - 0.2 + 0.01 * np.random.default_rng(1).normal(size=len(rows))
        found = verdict({"increasing": ["far", "near", "self"], "variant": "new"}, rows)
        assert (found.verdict, found.comparison) == (expected, "near against far")

    def test_equal(self):
        rows = table({"gru2": 0, "pinet": 0})
        rows["parameters"] = rows["variant"].map({"gru2": 2_225_664, "pinet": 3_408_896})
        equal = {"gru2": "T6/2 GRU/parameters", "pinet": "T6/3 GRU/parameters"}
        test = {"equal": equal, "metric": "parameters", "scale": 1e-6, "decimals": 2}
        found = verdict(test, rows)
        assert (found.verdict, found.note) == ("holds", "gru2 2.23 (printed 2.23), pinet 3.41 (printed 3.41)")
        rows["parameters"] = rows["parameters"].replace(3_408_896, 3_276_800)  # the head on u alone
        assert verdict(test, rows).verdict == "contradicted"
        assert verdict(test, rows[rows["variant"] == "pinet"]).verdict == "not run"
        unknown = rows.assign(parameters=rows["parameters"].where(rows["variant"] == "pinet"))
        assert verdict(test, unknown).note == "no parameters of gru2"
        with pytest.raises(BadInput, match="40 values for gru2"):
            verdict(test, rows.assign(parameters=range(len(rows))))


class TestWeights:
    def test_by_hand(self):
        weights, deviation = fit_weights(np.array([[0.0, 10.0], [10.0, 0.0]]), np.array([2.5, 7.5]))
        assert weights == pytest.approx([0.75, 0.25]) and deviation == pytest.approx(0, abs=1e-9)
        weights, deviation = fit_weights(np.array([[0.0, 10.0], [10.0, 0.0]]), np.array([6.0, 6.0]))
        assert weights == pytest.approx([0.5, 0.5]) and deviation == pytest.approx(1)  # 5 and 5
        weights, deviation = fit_weights(np.array([[1.0, 2.0]]), np.array([3.0]))
        assert weights == pytest.approx([0, 1], abs=1e-9) and deviation == pytest.approx(1)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 8))
    def test_no_weighting_is_better(self, seed, rows, columns):
        rng = np.random.default_rng(seed)
        cells = rng.uniform(0, 100, (rows, columns))
        true, other = rng.dirichlet(np.ones(columns), 2)
        assert fit_weights(cells, cells @ true)[1] == pytest.approx(0, abs=1e-6)
        stated = cells @ true + rng.normal(0, 1, rows)
        weights, deviation = fit_weights(cells, stated)
        assert weights.sum() == pytest.approx(1) and (weights >= -1e-9).all()
        assert np.abs(cells @ weights - stated).max() == pytest.approx(deviation, abs=1e-6)
        for w in (true, other, np.full(columns, 1 / columns)):
            assert deviation <= np.abs(cells @ w - stated).max() + 1e-6

    def test_verdicts(self):
        rows = {"weighted": ["LCR", "SingleShot", "3DMPPE", "PI-Net"], "table": "T3", "equals": "AVG"}
        loose, tight = (verdict(rows | {"tolerance": t}, None) for t in (0.5, 1e-4))
        assert (loose.verdict, tight.verdict) == ("holds", "holds")  # eight weights for four rows
        short = rows | {"columns": ["Head", "Neck"], "tolerance": 0.5}
        found = verdict(short, None)
        assert found.verdict == "contradicted" and found.note.startswith("at best off by ")
        assert "Neck" in found.note and found.difference is None


class TestAgree:
    @pytest.mark.parametrize("tolerance, expected", [(0.6, "holds"), (0.5, "contradicted")])
    def test_tolerance(self, tolerance, expected):
        test = {"agree": "T1_all/3DMPPE/AVG", "with": ["threedmppe/all/AVG"], "tolerance": tolerance}
        found = verdict(test, None)
        assert (found.verdict, found.note) == (expected, "T1_all/3DMPPE/AVG 81.2, threedmppe/all/AVG 81.8")

    def test_one_that_disagrees_is_enough(self):
        places = ["pandanet:T6/3DMPPE/3DPCK", "smap:T9/3DMPPE/AVG"]
        assert verdict({"agree": "threedmppe/all/AVG", "with": places, "tolerance": 0}, None).verdict == "holds"
        places.append("smap:T7/3DMPPE/AVG")
        assert verdict({"agree": "threedmppe/all/AVG", "with": places, "tolerance": 0}, None).verdict == "contradicted"

    def test_other_tests_reach_other_papers_too(self):
        same = {"compare": "T1_all/LCR++", "relation": "=", "to": ["smap:T9/LCR++"]}
        assert verdict(same, None).note == "in 20 of 20"
        less = {"recompute": ["PI-Net"], "minus": "smap:T9/3DMPPE", "table": "T1_all", "columns": ["AVG"]}
        assert verdict(less | {"equals": 0.7, "tolerance": 0.01}, None).verdict == "holds"
        weighted = {"recompute": ["XNect"], "table": "T1_all", "weights": "pinet:mupots/instances"}
        assert verdict(weighted | {"equals": 70.24, "tolerance": 0.01}, None).verdict == "holds"
        ratio = {"ratio": ["T1_all/PI-Net/AVG", "smap:T2_all/SMAP/PCK_rel", 1, 0], "equals": 9.0, "tolerance": 0.01}
        assert verdict(ratio, None).verdict == "holds"

    @pytest.mark.parametrize(
        "test, message",
        [
            ({"agree": "T1_all/LCR/AVG", "with": ["smap:T99/LCR/AVG"], "tolerance": 0}, "no table 'T99'"),
            ({"agree": "T1_all/LCR/AVG", "with": ["resnet:T1/LCR/AVG"], "tolerance": 0}, "'resnet'"),
            ({"compare": "T1_all/LCR", "relation": "=", "to": ["smap:T10/LCR"]}, "a column in common"),
        ],
    )
    def test_what_is_not_there_is_named(self, test, message):
        with pytest.raises(BadInput) as error:
            verdict(test, None)
        assert message in str(error.value)


def test_judge_without_a_study_settles_audits_alone():
    verdicts = {v.claim: v for v in judge(load_claims("pinet"))}
    assert verdicts["pinet.audit.gain_pck"].verdict == "holds"
    assert verdicts["pinet.T2.mpjpe"].verdict == verdicts["pinet.F3.coco"].verdict == "not run"
    assert verdicts["pinet.T2.mpjpe"].note.startswith("no study")


def test_a_table_without_its_keys_is_refused():
    with pytest.raises(BadInput, match="seed"):
        judge(load_claims("pinet"), pd.DataFrame({"variant": [], "scene": [], "n": []}))


def verdicts_of(effects, seeds=3):
    return judge(load_claims("pinet"), table(effects, seeds=seeds))


def test_stored_verdicts_return_unchanged(tmp_path):
    verdicts = verdicts_of({"pinet": -4, "input": 0, "self": -3})
    write(tmp_path / "claims.json", dumps(verdicts))
    assert read(tmp_path / "claims.json") == verdicts


@pytest.mark.parametrize(
    "text, field",
    [
        ("[{", "content"),
        ('[{"claim": "pinet.T2.mpjpe"}]', "0.verdict"),
        ('[{"claim": "pinet.T2.mpjpe", "verdict": "proved"}]', "0.verdict"),
        ('[{"claim": "pinet.T2.mpjpe", "verdict": "holds", "p": 0.05}]', "0.p"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, field):
    path = tmp_path / "claims.json"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        read(path)
    assert (error.value.where, error.value.field) == (str(path), field)


class TestAccepted:
    def store(self, folder, notebook, profile, effects, seeds=3, budget=1.0):
        chosen = [v for v in verdicts_of(effects, seeds) if not v.claim.startswith("pinet.audit")]
        run = {"notebook": notebook, "profile": profile, "data": "synthetic", "budget": budget}
        write(folder / notebook / profile / "claims.json", dumps([v.model_copy(update=run) for v in chosen]))

    def test_without_runs_all_but_audits_is_not_run(self, tmp_path):
        frame = accepted(tmp_path)
        assert list(frame.index) == list(EVERY)
        audits = np.array([isinstance(claim.test, AUDITS) for claim in EVERY.values()])
        assert (frame["verdict"][~audits] == "not run").all()
        assert frame["verdict"][audits].isin(["holds", "contradicted"]).all()

    def test_the_largest_profile_counts_then_the_most_seeds(self, tmp_path):
        self.store(tmp_path, "pinet", "cpu", {"pinet": 4, "input": 0, "self": 4})
        assert accepted(tmp_path).loc["pinet.T2.mpjpe", "verdict"] == "contradicted"
        self.store(tmp_path, "pinet", "gpu", {"pinet": -4, "input": 0})
        frame = accepted(tmp_path)
        assert frame.loc["pinet.T2.mpjpe", ["verdict", "run"]].tolist() == [
            "holds",
            "pinet gpu, synthetic, 3 seeds x 8 scenes",
        ]
        assert frame.loc["pinet.ours.companions", "run"].startswith("pinet cpu")  # gpu did not judge it
        assert accepted(tmp_path, "cpu").loc["pinet.T2.mpjpe", "verdict"] == "contradicted"
        assert accepted(tmp_path, "smoke").loc["pinet.T2.mpjpe", "verdict"] == "not run"
        self.store(tmp_path, "pinet_ablation", "gpu", {"pinet": 4, "input": 0}, seeds=5)
        assert "5 seeds" in accepted(tmp_path).loc["pinet.T2.mpjpe", "run"]

    def test_within_a_profile_the_larger_budget_counts_then_more_seeds(self, tmp_path):
        def shown():
            return accepted(tmp_path).loc["pinet.T2.mpjpe", "run"]

        for notebook, seeds, budget, best in (
            ("a", 3, 1.0, "a"),
            ("b", 5, 1.0, "b"),
            ("c", 3, 2.5, "c"),
            ("d", 9, 1.5, "c"),
        ):
            self.store(tmp_path, notebook, "cpu", {"pinet": -4, "input": 0}, seeds, budget)
            assert shown().startswith(f"{best} cpu")

    def test_a_smoke_run_settles_nothing(self, tmp_path):
        self.store(tmp_path, "pinet", "smoke", {"pinet": -4, "input": 0})
        assert accepted(tmp_path).loc["pinet.T2.mpjpe", "verdict"] == "not run"
        assert accepted(tmp_path, "smoke").loc["pinet.T2.mpjpe", "verdict"] == "holds"

    def test_a_run_cut_short_counts_less_than_any_full_one(self, tmp_path):
        self.store(tmp_path, "pinet", "gpu", {"pinet": 4, "input": 0}, seeds=9, budget=0.01)
        assert accepted(tmp_path).loc["pinet.T2.mpjpe", "verdict"] == "contradicted"  # for want of a better one
        self.store(tmp_path, "pinet", "cpu", {"pinet": -4, "input": 0})
        assert accepted(tmp_path).loc["pinet.T2.mpjpe", "verdict"] == "holds"
        assert accepted(tmp_path, "gpu").loc["pinet.T2.mpjpe", "verdict"] == "contradicted"

    def test_audits_are_never_taken_from_a_file(self, tmp_path):
        stored = [{"claim": "pinet.audit.gain_pck", "verdict": "contradicted", "profile": "gpu"}]
        path = tmp_path / "pinet" / "gpu" / "claims.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(stored))
        assert accepted(tmp_path).loc["pinet.audit.gain_pck", "verdict"] == "holds"
        path.write_text(json.dumps([stored[0] | {"claim": "pinet.T9.gone"}]))
        with pytest.raises(BadInput, match=r"pinet\.T9\.gone"):
            accepted(tmp_path)

    def test_readme_block_has_a_row_for_every_claim_but_the_audits_that_hold(self, tmp_path):
        self.store(tmp_path, "pinet", "gpu", {"pinet": -4, "input": 0})
        block, found = readme_block(tmp_path), accepted(tmp_path)
        for paper in papers():
            assert f"### {load(paper).title}\n\n{len(load_claims(paper))} claims: " in block
        shown = 0
        for claim in EVERY.values():
            held = isinstance(claim.test, AUDITS) and found.loc[claim.id, "verdict"] == "holds"
            assert held or f"| {claim.statement} | {claim.source} |" in block
            shown += not held
        assert block.count("\n| ") == shown + 2 * block.count("Verdict | Run |")  # and each table's head
        assert "34 of 51 audits hold" in block
        assert "Verdict | Run |\n| --- | --- | --- | --- | --- | --- |\n\n" not in block  # no table without a row
        assert "| 3DMPPE 126, PI-Net 121.7 | +4." in block


def test_what_a_reader_sees(tmp_path):
    rows = table({"pinet": -1, "random": -1, "reverse": 0})
    frame = to_frame(judge([CLAIMS["pinet.T4.near_to_far"]], rows))
    row = frame.loc["pinet.T4.near_to_far"]
    assert row["paper"] == "near 121.7, random 121.88, reverse 122.23"
    assert row["verdict"] == "open" and "could have seen 0." in row["here"] and "against random" in row["here"]
    lines = markdown_table(frame.assign(statement="a|b")).splitlines()
    assert lines[0] == "| Claim | Source | Paper | Here | Verdict | Run |"
    assert lines[2].startswith(r"| a\|b | Table 4")


def test_claims_are_chosen_by_how_their_id_begins():
    chosen = [claim.id for claim in load_claims("pinet", "T4", "S1.time")]
    assert chosen and all(i.startswith(("pinet.T4.", "pinet.S1.time")) for i in chosen)
    with pytest.raises(BadInput, match="T9"):
        load_claims("pinet", "T4", "T9")
