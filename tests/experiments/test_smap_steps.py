"""SMAP's association step by step, and Figure 3's two cases: where two dimensions err and depth does not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mp3d.codings import affinity
from mp3d.experiments.smap import steps
from mp3d.papers.smap import BONES, Reading
from mp3d.papers.smap.decode import LENGTHS
from mp3d.skeletons import SMAP15

FLAT = Reading(association="2dpa")
NECK, PELVIS, KNEE, ANKLE = (SMAP15.index(j) for j in ("neck", "pelvis", "r_knee", "r_ankle"))
BEHIND = torch.tensor([j.removeprefix("l_").removeprefix("r_") not in steps.HIDDEN for j in SMAP15.joints])
BEHIND[NECK] = False


def placed(case, people):
    """Where each joint of people is that association made, by whose pelvis they have: (P, 15, 2), NaN for none."""
    uv = case.found.peaks.take(0, people)[0]
    whose = torch.cdist(case.uv[:, PELVIS], uv[:, PELVIS]).argmin(1)
    assert (uv[whose, PELVIS] - case.uv[:, PELVIS]).abs().max() < 1
    return uv[whose]


def has(case, people):
    """Which joints (P, 15) people have, each within 1 px of its true place."""
    uv = placed(case, people)
    there = uv.isfinite().all(-1)
    assert (uv - case.uv)[there].abs().max() < 1
    return there


class TestContested:
    def test_all_at_once_the_person_behind_takes_the_neck_and_near_first_the_one_in_front(self):
        case = steps.contested()
        assert case.found.peaks.found[0].sum(-1).tolist() == [2 if alone else 1 for alone in BEHIND]
        assert has(case, case.people()).tolist() == [[True] * 15, BEHIND.tolist()]
        behind = placed(case, case.people(FLAT))
        assert behind[0].isfinite().all(-1).tolist() == BEHIND.tolist() and behind[1].isfinite().all()
        # Head and arms behind are those of the person in front.
        torch.testing.assert_close(behind[1, ~BEHIND], case.uv[0, ~BEHIND], atol=0.1, rtol=0)
        torch.testing.assert_close(behind[1, BEHIND], case.uv[1, BEHIND], atol=1, rtol=0)

    def test_the_scores_in_closed_form(self):
        """Points 2 / 8 of the short trunk lie where the field is the mean of both; 0 / 10 of the long one."""
        case = steps.contested()
        trunk = case.uv[:, NECK] - case.uv[:, PELVIS]
        length = trunk.norm(dim=-1) / 4
        assert length[0] < length[1] / 1.3
        cosine = float(torch.cosine_similarity(trunk[0], trunk[1], dim=0))
        bone = BONES.index((PELVIS, NECK))
        front = case.found.z[0, :2].argmin()
        scores = case.found.links[0, bone, [front, 1 - front], 0]
        assert round(math.sqrt(5 * length[0])) == 8
        assert scores.tolist() == pytest.approx([1 - 2 / 8 * (1 - cosine) / 2, 1], abs=1e-5)

    @pytest.mark.parametrize("wrong", ["order", "depths"])
    def test_the_far_one_first_or_with_depths_swapped_it_is_as_in_two_dimensions(self, wrong):
        case = steps.contested()
        if wrong == "order":
            people = case.people(Reading(order="far"))
        else:
            z = case.found.z.clone()
            z[0, :2] = z[0, :2].flip(0)
            people = replace(case, found=replace(case.found, z=z)).people()
        assert torch.equal(placed(case, people).nan_to_num(), placed(case, case.people(FLAT)).nan_to_num())

    def test_it_is_the_order_and_not_the_length(self):
        case = steps.contested()
        for reading in (Reading(length="none"), Reading(length="filter"), Reading(relaxation=10)):
            assert torch.equal(case.people(reading), case.people())


class TestNoisyAnkle:
    def test_two_dimensions_link_the_stray_ankle_and_depth_does_not(self):
        case = steps.noisy_ankle()
        stray = case.uv[0, SMAP15.index("l_ankle")]
        for reading in (FLAT, Reading(length="none"), Reading(relaxation=4)):
            uv = placed(case, case.people(reading))
            assert (uv[1, ANKLE] - stray).abs().max() < 1 and uv.isfinite().all()
        for reading in (Reading(), Reading(order="far"), Reading(length="filter")):
            assert torch.equal(has(case, case.people(reading)), case.seen)
        assert case.seen.sum() == 29 and not case.seen[1, ANKLE]

    @pytest.mark.parametrize("strength", [0.4, 0.7, 1])
    def test_the_total_in_closed_form(self, strength):
        """Strength + 1 / k - 1, where the link is k times as long as it may be: a link of 1 is never refused."""
        case = steps.noisy_ankle(strength)
        rows = steps.walk(case.found, case.k)
        row = rows[(rows["bone"] == "r_knee-r_ankle") & (rows["person"] == 1) & (rows["score"] > 0)]
        distance = float((case.uv[1, KNEE] - case.uv[0, SMAP15.index("l_ankle")]).norm())
        allowed = 1.2 * float(LENGTHS[BONES.index((KNEE, ANKLE))]) * steps.WIDTH / 6000
        assert 2 * allowed < distance < steps.HEIGHT / 2
        assert row["score"].item() == pytest.approx(strength, abs=1e-4)
        assert row["total"].item() == pytest.approx(strength + allowed / distance - 1, abs=1e-3)
        assert row["chosen"].item() == (strength > 1 - allowed / distance)
        assert not (case.people(Reading(length="filter"))[:, ANKLE] >= 0).all()


@pytest.mark.parametrize("reading", [Reading(), Reading(order="far", length="filter"), Reading(length="none")])
def test_the_walk_is_the_association(reading):
    """From its rows alone, what everybody takes: of what is free, the best above 0, the first of equal ones."""
    case = steps.crowded(10)
    rows = steps.walk(case.found, case.k, reading)
    people = case.people(reading)
    z = case.found.z[0, people[:, PELVIS]].numpy()
    assert (np.diff(z) * (1 if reading.order == "near" else -1) >= 0).all()
    reference = reading.relaxation * LENGTHS * case.k[0] / torch.from_numpy(z)[:, None]
    kind = {} if reading.length == "none" else {"reference": reference, "length": reading.length}
    place, links = case.found.peaks.uv[0], case.found.links[0]
    again = affinity.associate(links, place, BONES, PELVIS, people[:, PELVIS], **kind)
    assert torch.equal(again, people)
    taken = torch.full_like(people, -1)
    taken[:, PELVIS] = people[:, PELVIS]
    for (_, bone, person), part in rows.groupby(["step", "bone", "person"], sort=False):
        joint = SMAP15.index(bone.partition("-")[2])
        assert (part["free"] == ~part["candidate"].isin(taken[:, joint].tolist())).all()
        assert part["total"].to_numpy() == pytest.approx(part["score"] + part["penalty"])
        free = part[part["free"]]
        best = free.loc[free["total"].idxmax()] if len(free) else {"total": 0}
        assert part["chosen"].sum() == (best["total"] > 0)
        if best["total"] > 0:
            taken[person, joint] = best["candidate"]
            assert part.loc[part["chosen"], "candidate"].item() == best["candidate"]
    assert torch.equal(taken, people) and (people >= 0).sum() > 80
    assert (rows["penalty"] < 0).any() == (reading.length != "none")
    assert rows["step"].is_monotonic_increasing and rows["bone"].nunique() == 14


def test_nobody_walks():
    case = steps.crowded(2)
    nobody = replace(case.found, z=case.found.z * torch.nan)
    assert steps.walk(nobody, case.k).empty and "chosen" in steps.walk(nobody, case.k)
