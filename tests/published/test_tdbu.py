import pytest

from mp3d.claims import judge
from mp3d.experiments.tdbu.release import VARIANTS
from mp3d.published import AUDITS, Better, load

TDBU = load("tdbu")
FALSE = {
    "gain_pck_abs",
    "gain_pck",
    "gain_f1_points",
    "same_people_3dmppe",
    "same_people_smap",
    "cited_3dmppe_pinet",
    "cited_singleshot_others",
    "released_pck",
    "auc_thresholds",
}


def test_every_table_of_the_paper_is_here():
    assert {name: (len(table.rows), len(table.columns)) for name, table in TDBU.tables.items()} == {
        "T1": (9, 4),
        "T2": (4, 4),
        "T3": (10, 2),
        "T4": (3, 3),
        "T5": (10, 2),
        "T6": (8, 3),
    }
    gaps = {
        name: sum(cell is None for row in table.rows.values() for cell in row) for name, table in TDBU.tables.items()
    }
    assert gaps == {
        "T1": 0,
        "T2": 0,
        "T3": 4,
        "T4": 0,
        "T5": 2,
        "T6": 6,
    }  # printed "n/a"; three methods not in the subset


def test_audits_find_what_we_found():
    verdicts = {v.claim: v.verdict for v in judge(TDBU.claims)}
    audits = [claim for claim in TDBU.claims if isinstance(claim.test, AUDITS)]
    assert {claim.id.split(".")[2] for claim in audits if verdicts[claim.id] == "contradicted"} == FALSE
    assert all(verdicts[claim.id] == "holds" for claim in audits if claim.by == "mp3d")


def test_gains_of_the_text_are_those_over_gntcn():
    best, gntcn = TDBU.row("T3/TDBU"), TDBU.row("T3/GnTCN")
    assert best["PCK"] - gntcn["PCK"] == pytest.approx(TDBU.number("facts/gain_pck"))
    assert best["PCK_abs"] - gntcn["PCK_abs"] == pytest.approx(TDBU.number("facts/gain_pck_abs"))
    assert best["PCK"] - TDBU.number("T3/HDNet/PCK") == pytest.approx(5.9)
    assert best["PCK_abs"] - TDBU.number("T3/HMOR/PCK_abs") == pytest.approx(4.2)
    assert TDBU.number("facts/gain_f1") == pytest.approx(100 * (57.22 - 50.82) / 50.82, abs=0.05)


def test_drops_on_the_occlusion_subset():
    rows = {name: row for name, row in TDBU.tables["T6"].rows.items() if row[2] is not None}
    assert list(rows) == ["Cheng 2020", "Sun", "SPIN", "VIBE", "TDBU"]
    for original, subset, delta in rows.values():
        assert subset - original == pytest.approx(delta)


def test_audits_name_the_figures():
    notes = {v.claim.split(".")[2]: v.note for v in judge(TDBU.claims)}
    for name, expected in {
        "gain_pck_abs": "TDBU - HMOR 4.2 (stated 2.3)",
        "gain_pck": "TDBU - HDNet 5.9 (stated 2.1)",
        "reprojection_below_supervised": "TD + BU IN - T2/Rep 11.7 (stated 11.7)",
        "same_people_smap": "T3/SMAP/PCK 80.5, smap:T2_all/SMAP/PCK_rel 73.5",
        "released_pck": "T3/TDBU/PCK 89.6, facts/released_pck 89.23",
    }.items():
        assert notes[name].startswith(expected)


def test_every_table_and_stated_gain_serves_a_claim():
    texts = " ".join(str(claim.model_dump()) for claim in TDBU.claims)
    for name in TDBU.tables:
        assert f"{name}/" in texts or f"'{name}'" in texts, name
    for name in TDBU.facts:
        if name.startswith("gain"):
            assert f"facts/{name}" in texts


def test_claims_on_the_released_outputs_ask_for_what_the_table_has():
    known = {"mae", "within_250", "pck_root", "ap_unknown", "line_250", "pcod", "px"}
    claims = [claim for claim in TDBU.claims if claim.id.startswith("tdbu.R6.")]
    assert len(claims) == 15
    for claim in claims:
        if claim.test is None:
            continue
        first = claim.test.better if isinstance(claim.test, Better) else claim.test.similar
        others = claim.test.than if isinstance(claim.test, Better) else claim.test.to
        assert {first, *others} <= set(VARIANTS), claim.id
        metrics = [claim.test.metric] if isinstance(claim.test.metric, str) else claim.test.metric
        assert set(metrics) <= known and claim.test.by == "scene", claim.id
        if isinstance(claim.test, Better):
            assert claim.test.lower_is_better == (metrics == ["mae"]), claim.id
