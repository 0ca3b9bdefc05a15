"""ORPM-AE's numbers: all of them, and what recomputing them by hand gives."""

import numpy as np
import pytest

from mp3d.claims import judge
from mp3d.published import AUDITS, load

PAPER = load("orpm_ae")
OWN = ("1-HG", "2-HG", "3-HG", "NR", "full")
FALSE = {
    "mean_plain",
    "one_mean",
    "one_mean_without_mubynet",
    "mean_mubynet",
    "h36m_mean",
    "h36m_mean_others",
}


def scenarios(row):
    return np.array(list(PAPER.row(f"T1/{row}", ["Haggling", "Mafia", "Ultimatum", "Pizza"]).values()))


def mean(row, table="T1"):
    return PAPER.number(f"{table}/{row}/AVG")


def test_every_table_of_the_paper_is_here():
    sizes = {name: (len(table.rows), len(table.columns)) for name, table in PAPER.tables.items() if name[0] == "T"}
    assert sizes == {"T1": (8, 5), "T2": (9, 16)}
    assert all(None not in row for table in PAPER.tables.values() for row in table.rows.values())


def test_sums_of_the_tables():
    # Added up from the paper's text, so that a cell that changes here is noticed.
    assert sum(scenarios(row).sum() for row in PAPER.tables["T1"].rows) == pytest.approx(3442.12)
    actions = [sum(row[:-1]) for row in PAPER.tables["T2"].rows.values()]
    assert actions == pytest.approx([907.7, 1072.3, 969.0, 943.3, 1207.0, 1026.6, 1305.2, 1041.62, 1002.0])


def test_audits_find_what_we_found():
    verdicts = {v.claim: v.verdict for v in judge(PAPER.claims)}
    audits = [claim for claim in PAPER.claims if isinstance(claim.test, AUDITS)]
    assert {claim.id.split(".")[2] for claim in audits if verdicts[claim.id] == "contradicted"} == FALSE
    assert all(verdicts[claim.id] == "holds" for claim in audits if claim.by == "mp3d")
    assert all(claim.note for claim in PAPER.claims if claim.test is None)


def test_plain_means_by_hand():
    assert (70.1 + 66.6 + 55.6 + 78.4) / 4 == pytest.approx(67.675) == pytest.approx(scenarios("full").mean())
    assert (101.5 + 124.2 + 105.7 + 130.3) / 4 == pytest.approx(115.425) == pytest.approx(scenarios("NR").mean())
    assert scenarios("MubyNet").mean() == pytest.approx(78.075)
    off = {row: mean(row) - scenarios(row).mean() for row in OWN}
    assert min(off.values()) > 0.5  # all five printed means lie above the plain ones: Pizza and Mafia weigh more


def test_one_weighting_of_the_own_rows():
    weights = np.array(list(PAPER.row("weights/own").values()))
    assert weights.sum() == pytest.approx(1, abs=1e-9)
    for row in OWN:
        assert scenarios(row) @ weights == pytest.approx(mean(row), abs=0.05)
    assert scenarios("Zanfir") @ weights == pytest.approx(155.76, abs=0.01)
    assert scenarios("MubyNet") @ weights == pytest.approx(80.09, abs=0.01)
    assert scenarios("Popa") @ weights == pytest.approx(203.70, abs=0.01)


def test_no_weighting_gives_mubynets_mean():
    # Each weighted mean of 3-HG is at most MubyNet's, since no scenario is larger; the printed one is larger.
    assert (scenarios("3-HG") <= scenarios("MubyNet")).all()
    assert mean("3-HG") - mean("MubyNet") == pytest.approx(1.7)


def test_human36m_by_hand():
    total = sum(PAPER.tables["T2"].rows["Ours"][:-1])  # 50.1 + 66.4 + ... + 53.1
    assert total == pytest.approx(1002.0) and total / 15 == pytest.approx(66.8)
    assert mean("Ours", "T2") == 66.4
    assert sum(mean("Ours", "T2") < mean(row, "T2") for row in PAPER.tables["T2"].rows) == 5
