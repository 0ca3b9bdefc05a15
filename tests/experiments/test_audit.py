import numpy as np
import pytest

from mp3d.experiments.audit import NAMES, WEIGHTS, averages, cited, counts, findings, notable, remarks, unexplained
from mp3d.published import load, papers


def test_averages_beside_the_printed_ones():
    df = averages().set_index(["paper", "table", "row"])
    row = df.loc[("orpm_ae", "T1", "full")]
    assert row["printed"] == 68.5 and row["plain"] == pytest.approx(67.675)  # (70.1 + 66.6 + 55.6 + 78.4) / 4
    assert row["off_plain"] == pytest.approx(0.825) and abs(row["off_weighted"]) < 0.05
    assert df.loc[("pinet", "T2_mpjpe", "3DMPPE"), "weighted"] == pytest.approx(125.955, abs=0.001)
    assert df.loc[("pandanet", "T4", "PandaNet"), "weighted"] == pytest.approx(83.38, abs=0.005)


def test_rows_that_cannot_be_averaged_are_left_out_and_unknown_weights_are_nan():
    df = averages()
    assert ("pinet", "T1_all", "PandaNet") not in set(zip(df["paper"], df["table"], df["row"], strict=True))
    assert df.loc[df["table"] == "T2", "weighted"].isna().all()
    unweighted = df[(df["table"] == "T1_matched") & df["row"].isin(["LCR++", "3DMPPE", "PI-Net"])]
    assert len(unweighted) == 3 and np.isnan(unweighted["weighted"]).all()


def test_every_table_of_a_paper_with_averages_is_named():
    for paper in {key.partition(":")[0] for key in WEIGHTS}:
        tables = {
            name
            for name, table in load(paper).tables.items()
            if name[0] == "T" and "AVG" in table.columns and len(table.columns) > 2
        }
        named = {key.partition(":")[2] for key in WEIGHTS if key.startswith(f"{paper}:")}
        assert named == tables - ({"T3"} if paper == "pandanet" else set())  # its shares are unknown


def test_findings_are_the_audits_and_their_counts():
    table = counts()
    assert list(table.index) == ["PI-Net", "SMAP", "ORPM-AE", "PandaNet", "TDBU"]
    assert (table["audits"] == table["holds"] + table["contradicted"]).all()
    assert set(NAMES) == set(papers()) - {"threedmppe"}  # the baseline's audits stand in its own notebook
    found = findings("pinet")
    assert found.loc["pinet.audit.text_gain_mpjpe", "verdict"] == "contradicted"
    assert found.loc["pinet.audit.gain_pck", "verdict"] == "holds"


def test_one_method_has_several_numbers():
    table = cited()
    assert table.loc["3DMPPE"].to_dict() == {
        "its own paper": 81.8, "PI-Net": 81.2, "SMAP": 81.8, "PandaNet": 81.8, "TDBU": 82.5
    }  # fmt: skip
    assert table.loc["SingleShot", "SMAP"] == 65.0 and np.isnan(table.loc["SingleShot", "its own paper"])


def test_remarks_are_audits_without_a_test():
    table = remarks().set_index("statement")
    assert set(table["paper"]) <= set(NAMES.values()) and table["remark"].str.len().gt(0).all()
    assert "[48]" in table.loc["The labels of Table 5 name the methods as the text does.", "remark"]
    assert not table["source"].str.contains("Figure 3").any()  # a claim that cannot be measured is no remark


def test_what_is_unexplained_and_what_is_drawn():
    means = averages()
    off = unexplained(means).set_index(["paper", "table", "row"])
    assert ("orpm_ae", "T1", "MubyNet") in off.index and ("orpm_ae", "T1", "full") not in off.index
    drawn = notable(means)
    assert set(drawn["table"]) == {"PI-Net T1 all", "PI-Net T2 mpjpe", "ORPM-AE T1", "PandaNet T5"}
    assert "MubyNet" not in set(drawn["row"]) and drawn["off_plain"].abs().max() < 4
