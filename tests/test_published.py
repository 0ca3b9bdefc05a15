import re

import numpy as np
import pytest

from mp3d.claims import judge, to_frame
from mp3d.errors import BadInput
from mp3d.metrics import JOINT_GROUPS, average
from mp3d.published import AUDITS, Better, Equal, Increasing, Similar, load, papers, parse

PINET = load("pinet")
SEQUENCES = [f"S{number}" for number in range(1, 21)]
INSTANCES = np.array(list(PINET.row("mupots/instances").values()))
FALSE = {
    "gain_over_published",
    "text_gain_mpjpe",
    "text_gain_pa",
    "every_sequence_pck",
    "every_sequence_matched",
    "every_sequence_pa",
    "every_sequence_mpjpe",
    "largest_gains",
    "matched_not_below_all",
    "table1_one_average",
    "table2_image_average",
    "table3_average",
    "attention_alone",
    "bi_gain_with_attention",
    "images",
    "instances",
    "shortest",
}


def sequences(reference):
    return np.array(list(PINET.row(reference, SEQUENCES).values()))


def test_every_table_of_the_paper_is_here():
    sizes = {name: (len(table.rows), len(table.columns)) for name, table in PINET.tables.items() if name[0] == "T"}
    assert sizes == {
        "T1_all": (7, 21),
        "T1_matched": (6, 21),
        "T2_pa": (2, 21),
        "T2_mpjpe": (2, 21),
        "T3": (4, 9),
        "T4": (3, 2),
        "T5": (4, 2),
        "T6": (8, 3),
    }
    assert papers() == ["orpm_ae", "pandanet", "pinet", "smap", "tdbu", "threedmppe"]
    assert list(PINET.tables["T3"].columns[:-1]) == list(JOINT_GROUPS)
    assert list(PINET.row("joints/count").values()) == [len(joints) for joints in JOINT_GROUPS.values()]


@pytest.mark.parametrize(
    "row, by_scene, by_instance",
    [
        ("LCR", 55.06, 53.84),
        ("SingleShot", 66.51, 66.00),
        ("XNect", 71.07, 70.24),
        ("LCR++", 70.56, 68.90),
        ("3DMPPE", 81.23, 80.19),
        ("PI-Net", 82.51, 81.49),
    ],
)
def test_averages_of_table_1(row, by_scene, by_instance):
    values = sequences(f"T1_all/{row}")
    assert average(values, INSTANCES, "scene") == pytest.approx(by_scene, abs=0.0051)
    assert average(values, INSTANCES, "instance") == pytest.approx(by_instance, abs=0.0051)


@pytest.mark.parametrize(
    "row, by_scene, by_instance",
    [
        ("LCR", 63.64, 62.40),
        ("SingleShot", 70.92, 70.80),
        ("XNect", 76.22, 75.86),
        ("LCR++", 74.01, 72.62),
        ("3DMPPE", 82.57, 81.62),
        ("PI-Net", 83.88, 82.95),
    ],
)
def test_averages_over_matched_people(row, by_scene, by_instance):
    values = sequences(f"T1_matched/{row}")
    matched = INSTANCES * sequences(f"T1_all/{row}") / values  # matched 3DPCK = 3DPCK / share matched
    assert average(values, matched, "scene") == pytest.approx(by_scene, abs=0.0051)
    assert average(values, matched, "instance") == pytest.approx(by_instance, abs=0.0051)
    if row in PINET.tables["matched"].rows:
        assert sequences(f"matched/{row}") == pytest.approx(matched, abs=0.5)


@pytest.mark.parametrize(
    "row, by_scene, by_instance",
    [
        ("T2_pa/3DMPPE", 86.46, 88.367),
        ("T2_pa/PI-Net", 83.99, 85.796),
        ("T2_mpjpe/3DMPPE", 122.91, 125.955),
        ("T2_mpjpe/PI-Net", 118.67, 121.684),
    ],
)
def test_averages_of_table_2(row, by_scene, by_instance):
    assert average(sequences(row), INSTANCES, "scene") == pytest.approx(by_scene, abs=0.0051)
    assert average(sequences(row), INSTANCES, "instance") == pytest.approx(by_instance, abs=0.00051)


@pytest.mark.parametrize("table, pairs, triples", [("T2_pa", 1.73, 3.14), ("T2_mpjpe", 3.57, 4.75)])
def test_gain_by_number_of_people(table, pairs, triples):
    gain = sequences(f"{table}/3DMPPE") - sequences(f"{table}/PI-Net")
    people = sequences("mupots/people")
    for number, expected in ((2, pairs), (3, triples)):
        chosen = people == number
        assert average(gain[chosen], INSTANCES[chosen], "instance") == pytest.approx(expected, abs=0.0051)


def test_counts_of_the_data_set():
    assert sequences("mupots/frames").sum() == 8370
    assert (sequences("mupots/frames") * sequences("mupots/people") == INSTANCES).all()
    assert INSTANCES.sum() == 20899


def test_audits_find_what_we_found():
    verdicts = {v.claim: v.verdict for v in judge(PINET.claims)}
    audits = [claim for claim in PINET.claims if isinstance(claim.test, AUDITS)]
    wrong = {claim.id.split(".")[2] for claim in audits if verdicts[claim.id] == "contradicted"}
    assert wrong == FALSE
    assert all(verdicts[claim.id] == "holds" for claim in audits if claim.by == "mp3d")


def test_audits_name_the_figures():
    notes = {v.claim.split(".")[2]: v.note for v in judge(PINET.claims)}
    for name, expected in {
        "text_gain_mpjpe": "3DMPPE - PI-Net 4.3 (stated 2.6)",
        "every_sequence_pck": "not in 1 of 20: S7 84 against 84.5",
        "largest_gains": "S5 +2.6, S8 +2.2, S14 +2.2, S17 +2.2",
        "gain_over_published": "PI-Net - threedmppe/all 0.7 (stated 1.3)",
        "table1_one_average": "LCR 55.06 (stated 53.8), SingleShot 66.51 (stated 66), XNect 71.07 (stated 70.4)",
        "attention_alone": "not in 1 of 2: MPJPE 123.1 against 122.7",
        "instances": "instances 20899 (stated 23000)",
    }.items():
        assert notes[name].startswith(expected)
    below = re.findall(r"S\d+", notes["matched_not_below_all"])
    assert below == ["S3", "S6", "S12", "S15", "S17", "S18"]


def test_every_table_and_stated_gain_serves_a_claim():
    texts = " ".join(str(claim.model_dump()) for claim in PINET.claims)
    for name in PINET.tables:
        assert f"{name}/" in texts or f"'{name}'" in texts
    for name in PINET.facts:
        if name.startswith("gain"):
            assert f"facts/{name}" in texts


def test_studies_are_asked_for_known_metrics():
    known = {"mpjpe", "pa_mpjpe", "mrpe", "pck3d", "parameters", "seconds_per_person"}
    known |= {f"pck3d_{group.lower()}" for group in JOINT_GROUPS} | {f"attention_{p}" for p in ("self", "near", "far")}
    for claim in PINET.claims:
        match claim.test:
            case Better(metric=metric) | Similar(metric=metric) | Equal(metric=metric):
                assert set([metric] if isinstance(metric, str) else metric) <= known, claim.id
            case Increasing(increasing=metrics):
                assert set(metrics) <= known, claim.id
        if isinstance(claim.test, Better):  # 3DPCK is averaged over scenes, errors over people
            pck = str(claim.test.metric).lstrip("['").startswith("pck3d")
            assert claim.test.by == ("scene" if pck else "instance"), claim.id
            assert claim.test.lower_is_better != pck, claim.id


@pytest.mark.parametrize("paper", papers())
def test_every_reference_leads_somewhere(paper):
    """References to other papers are looked up only when judged and shown."""
    claims = load(paper).claims
    audits = [claim for claim in claims if isinstance(claim.test, AUDITS)]
    verdicts = {v.claim: v.verdict for v in judge(claims)}
    assert audits and {verdicts[claim.id] for claim in audits} == {"holds", "contradicted"}
    frame = to_frame(judge(claims))
    assert list(frame.index) == [claim.id for claim in claims]
    assert (frame.loc[[claim.id for claim in audits], "here"] != "").all()


GOOD = """
paper: toy
title: Toy
tables:
  T1: {caption: c, source: s, unit: mm, protocol: p, columns: [A, AVG], rows: {x: [1.0, 2.0], y: [null, 3.0]}}
facts:
  gain: {value: 1.0, unit: mm, source: s, statement: t}
claims:
  - {id: toy.T1.gain, statement: s, source: t, paper: {x: T1/x/A}, %s}
"""
TEST = "test: {recompute: [x], table: T1, equals: AVG, tolerance: 1}"
GOOD %= TEST


def test_the_toy_file_is_good():
    toy = parse(GOOD, "toy")
    assert toy.number("T1/x/A") == 1 and toy.number("facts/gain") == 1 and toy.number(5.0) == 5
    assert toy.row("T1/y") == {"AVG": 3.0}
    assert toy.numbers(toy.claims[0]) == {"x": 1.0}
    assert judge([])[:] == []


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("T1/x/A", "T1/x/B", "no column of T1 'B'"),
        ("T1/x/A", "T2/x/A", "no table 'T2'"),
        ("T1/x/A", "facts/loss", "no fact 'loss'"),
        ("T1/x/A", "T1/y/A", "has no number"),
        ("recompute: [x]", "recompute: [z]", "no row of T1 'z'"),
        ("equals: AVG", "equals: MEAN", "no column of T1 'MEAN'"),
        ("tolerance: 1", "tolerance: -1", "greater than or equal to 0"),
        ("tolerance: 1", "tolerance: 1, colour: red", "Extra inputs"),
        ("recompute: [x]", "guess: [x]", "discriminator"),
        ("[1.0, 2.0]", "[1.0]", "1 cells, there are 2 columns"),
        ("[1.0, 2.0]", "[1.0, one]", "valid number"),
        ("id: toy.T1", "id: other.T1", "must begin with 'toy'"),
        ("id: toy.T1.gain", "id: gain", "match pattern"),
        (TEST, "test: null", "must be a note"),
        ("title: Toy", "", "title: found nothing"),
        ("title: Toy", "title: [", "YAML"),
        ("title: Toy", "title: !!python/object/apply:os.getcwd []", "YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_a_reason(old, new, message):
    assert old in GOOD
    with pytest.raises(BadInput, match="toy") as error:
        parse(GOOD.replace(old, new), "toy")
    assert message in str(error.value)


WEIGHTED = "test: {weighted: [x], table: T1, equals: AVG, tolerance: 1}"
AGREE = 'test: {agree: T1/x/A, with: [T1/y/AVG, "smap:T9/Nobody/AVG"], tolerance: 1}'
COMPARE = 'test: {compare: T1/x, relation: "=", to: ["smap:T9/Nobody"]}'
ACROSS = (
    'test: {recompute: [x], minus: "smap:T9/No", table: T1, weights: "smap:T0", equals: "smap:T0/x/y", tolerance: 1}'
)


@pytest.mark.parametrize("test", [WEIGHTED, AGREE, COMPARE, ACROSS])
def test_new_tests_are_read_and_other_papers_left_alone(test):
    assert parse(GOOD.replace(TEST, test), "toy").claims[0].test is not None


@pytest.mark.parametrize(
    "test, old, new, message",
    [
        (WEIGHTED, "[x]", "[z]", "no row of T1 'z'"),
        (WEIGHTED, "[x]", "[y]", "has no number in ['A']"),
        (WEIGHTED, "[x]", "[]", "at least 1 item"),
        (WEIGHTED, "equals: AVG", "equals: MEAN", "no column of T1 'MEAN'"),
        (WEIGHTED, "table: T1", "table: T1, columns: [B]", "no column of T1 'B'"),
        (WEIGHTED, "table: T1", "table: T2", "no table 'T2'"),
        (WEIGHTED, "tolerance: 1", "tolerance: -1", "greater than or equal to 0"),
        (AGREE, "T1/x/A", "T1/z/A", "no row of T1 'z'"),
        (AGREE, "T1/y/AVG", "T1/y/A", "has no number in ['A']"),
        (AGREE, "with", "others", "Field required"),
        (COMPARE, "T1/x", "T1/z", "no row of T1 'z'"),
        (COMPARE, '"="', '"=="', "Input should be"),
        (ACROSS, "[x]", "[z]", "no row of T1 'z'"),
    ],
)
def test_a_wrong_new_test_is_refused_with_a_reason(test, old, new, message):
    assert old in test
    with pytest.raises(BadInput, match="toy") as error:
        parse(GOOD.replace(TEST, test.replace(old, new)), "toy")
    assert message in str(error.value)


def test_numbers_of_other_papers():
    assert PINET.number("smap:T9/3DMPPE/AVG") == 81.8
    assert PINET.number("tdbu:facts/gain_f1") == 12.6
    assert PINET.row("smap:T2_all/SMAP", ["PCK_abs"]) == {"PCK_abs": 35.4}
    for reference, field, message in (
        ("smap:T9/Nobody/AVG", "published/smap.yaml", "no row of T9 'Nobody'"),
        ("smap:facts/nothing", "published/smap.yaml", "no fact 'nothing'"),
        ("resnet:T1/x/y", "published", "'resnet'"),
    ):
        with pytest.raises(BadInput) as error:
            PINET.number(reference)
        assert error.value.where == field and message in str(error.value)


def test_a_claim_defined_twice_is_refused():
    with pytest.raises(BadInput, match="defined twice"):
        parse(GOOD + GOOD.splitlines()[-1] + "\n", "toy")


def test_an_unknown_paper_is_refused():
    with pytest.raises(BadInput, match="'pinet'"):
        load("resnet")
