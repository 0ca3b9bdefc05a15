"""3DMPPE's numbers, most of them other papers', and what is asked of a study."""

import numpy as np
import pandas as pd
import pytest
import torch

from mp3d.claims import judge
from mp3d.papers.threedmppe import PoseNet, RootNet, ThreeDMPPEConfig, distance, squares
from mp3d.published import AUDITS, Better, Increasing, Similar, load

PAPER = load("threedmppe")
FALSE = {"true_boxes_all"}


def test_audits_find_what_we_found():
    verdicts = {v.claim: v.verdict for v in judge(PAPER.claims)}
    audits = [claim for claim in PAPER.claims if isinstance(claim.test, AUDITS)]
    assert {claim.id.split(".")[2] for claim in audits if verdicts[claim.id] == "contradicted"} == FALSE
    assert {verdicts[claim.id] for claim in audits if claim.by == "mp3d"} == {"holds"}
    assert all(".audit." in claim.id for claim in audits)


def test_audits_name_the_figures():
    notes = {v.claim.split(".")[2]: v.note for v in judge(PAPER.claims)}
    for name, expected in {
        "true_boxes_all": "not in 1 of 1: AVG 81.2 against 81.8",
        "pck_root": "facts/ap_root 31, smap:T2_matched/3DMPPE/PCK_root 31",
        "time": "in 2 of 2",
        "time_posenet": "3.359 (stated 3.36)",
        "time_rootnet": "2.700 (stated 2.7)",
        "relative_and_absolute": "in 20 of 20",
    }.items():
        assert notes[name].startswith(expected), notes[name]


@pytest.mark.parametrize("network", [RootNet, PoseNet])
def test_parameters_are_those_of_the_code_here(network):
    row = PAPER.row(f"parameters/{network.__name__}")
    counts = {name: sum(w.numel() for w in part.parameters()) for name, part in network().named_children()}
    assert row["trunk"] == counts.pop("trunk") and row["deconvolutions"] == counts.pop("upsample")
    assert row["heads"] == sum(counts.values())


def test_the_example_is_that_of_the_code_here():
    released = ThreeDMPPEConfig(pixels="released")
    square, _ = squares(torch.tensor([100.0, 50, 200, 400]), 1920, 1080, released)
    focal = PAPER.number("facts/example_focal")
    assert square[2].item() == PAPER.number("facts/example_side")
    k = distance(square, torch.tensor([focal, focal, 960, 540]), released)
    assert k.item() == pytest.approx(PAPER.number("facts/example_k"), abs=0.005)
    assert PAPER.number("facts/real_side") == released.real


def test_a_study_is_asked_for_what_the_file_says_it_has():
    variants = {"rootnet", "true_roots", "k_alone", "constant", "no_flip"}
    kinds = {"whole", "cut", "hidden", "standing", "bent", "usual", "unusual"}
    metrics = {"mpjpe", "pck3d_abs", "depth_error", "seconds_1", "seconds_4", "seconds_16"}
    metrics |= {f"depth_error_{kind}" for kind in kinds}
    asked, named = set(), set()
    for claim in PAPER.claims:
        match claim.test:
            case Better(better=one, than=others, metric=metric) | Similar(similar=one, to=others, metric=metric):
                asked, named = asked | {metric}, named | {one, *others}
            case Increasing(increasing=some, variant=one):
                asked, named = asked | set(some), named | {one}
    assert (asked, named) == (metrics, variants)


def test_a_study_can_settle_them():
    rng, rows = np.random.default_rng(0), []
    asked = [c for c in PAPER.claims if c.test and not isinstance(c.test, AUDITS)]
    worth = {"mpjpe": 100, "pck3d_abs": 30, "depth_error": 8, "seconds_1": 1, "seconds_4": 2, "seconds_16": 6}
    for kind, value in {"whole": 5, "cut": 9, "hidden": 8, "standing": 5, "bent": 8, "usual": 5, "unusual": 7}.items():
        worth[f"depth_error_{kind}"] = value
    changes = {
        "rootnet": {},
        "true_roots": {"pck3d_abs": 80, "mpjpe": 99},
        "k_alone": {"depth_error": 20},
        "constant": {"depth_error": 12},
        "no_flip": {"mpjpe": 105},
    }
    for variant, change in changes.items():
        for seed in range(3):
            for scene in range(8):
                values = {name: value + rng.normal(0, 0.01) for name, value in (worth | change).items()}
                rows.append({"variant": variant, "seed": seed, "scene": str(scene), "n": 4} | values)
    verdicts = judge(asked, pd.DataFrame(rows))
    assert {v.verdict for v in verdicts} == {"holds"} and len(verdicts) == len(asked) == 11
