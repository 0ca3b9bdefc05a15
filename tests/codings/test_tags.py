"""Associative embedding: ideal maps, the loss's closed forms, both groupings (ORPM-AE section 3.5; Newell et al.)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings import heatmaps, tags
from mp3d.codings.grid import Grid
from mp3d.codings.heatmaps import Peaks
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17

GRID = Grid(16, 12, 4)
NECK, PELVIS, WRIST, KNEE = (MPI17.index(j) for j in ("neck", "pelvis", "r_wrist", "r_knee"))
seeds = st.integers(0, 2**31)


def crowd(seed, batch=2, people=3, joints=2, margin=0.2):
    torch.manual_seed(seed)
    uv = (torch.rand(batch, people, joints, 2) * (1 + 2 * margin) - margin) * torch.tensor([64.0, 48])
    labelled = torch.rand(batch, people, joints) < 0.8
    return uv.where(labelled[..., None], torch.nan), labelled


class TestMaps:
    @pytest.mark.parametrize("radius", [0, 1, 2])
    @given(seed=seeds)
    def test_equal_a_plain_loop(self, radius, seed):
        uv, labelled = crowd(seed, people=6)
        own = torch.arange(1.0, 13).reshape(2, 6)
        maps = tags.encode(uv, labelled, own, GRID, radius)
        expected = torch.zeros(2, 2, 12, 16)
        for b, j, row, column in np.ndindex(2, 2, 12, 16):
            best = math.inf
            for p in range(6):
                if not labelled[b, p, j]:
                    continue
                u, v = uv[b, p, j].tolist()
                r, c = v // 4, u // 4
                distance = (u - 4 * column - 2) ** 2 + (v - 4 * row - 2) ** 2
                if 0 <= r < 12 and 0 <= c < 16 and max(abs(row - r), abs(column - c)) <= radius and distance < best:
                    best, expected[b, j, row, column] = distance, own[b, p]
        assert torch.equal(maps, expected)

    @given(seed=seeds)
    def test_neither_people_s_order_nor_padding_nor_other_pictures_matter(self, seed):
        uv, labelled = crowd(seed, people=4)
        own = torch.rand(2, 4)
        maps = tags.encode(uv, labelled, own, GRID)
        turn = torch.tensor([2, 0, 3, 1])
        assert torch.equal(tags.encode(uv[:, turn], labelled[:, turn], own[:, turn], GRID), maps)
        assert torch.equal(tags.encode(uv[1:], labelled[1:], own[1:], GRID), maps[1:])
        more = (torch.cat(x, 1) for x in ((uv, uv * torch.nan), (labelled, labelled & False), (own, own)))
        assert torch.equal(tags.encode(*more, GRID), maps)

    def test_of_two_in_one_cell_the_nearer_to_its_centre_stays_of_equals_the_first(self):
        uv = torch.tensor([[[[21.0, 20]], [[22, 21]]]])
        there = torch.ones(1, 2, 1, dtype=torch.bool)
        assert tags.encode(uv, there, torch.tensor([[7.0, 8]]), GRID, 0)[0, 0, 5, 5] == 8
        assert tags.encode(uv[:, [1, 1]], there, torch.tensor([[7.0, 8]]), GRID, 0)[0, 0, 5, 5] == 7

    def test_read(self):
        maps = torch.arange(2 * 3 * 12 * 16.0).reshape(2, 3, 12, 16)
        cells = torch.tensor([[0, 0], [11, 15], [4, 9]]).expand(2, 3, 3, 2)
        assert torch.equal(tags.read(maps, cells), maps[:, :, [0, 11, 4], [0, 15, 9]])
        for cell in ([0, 16], [12, 0], [-1, 0]):
            with pytest.raises(BadInput, match="cells"):
                tags.read(maps, torch.tensor(cell).expand(2, 3, 1, 2))
        assert torch.equal(tags.read(maps, cells, GRID), tags.read(maps, cells))
        with pytest.raises(BadInput, match=r"tags.read: maps: found \(12, 16\), expected .*\(6, 8\)"):
            tags.read(maps, cells, Grid(8, 6, 8))

    def test_nobody_and_bad_input(self):
        nobody = torch.zeros(2, 0, 3, 2), torch.zeros(2, 0, 3, dtype=torch.bool), torch.zeros(2, 0)
        maps = tags.encode(*nobody, GRID)
        assert maps.shape == (2, 3, 12, 16) and not maps.any()
        with pytest.raises(BadInput, match="radius"):
            tags.encode(*nobody, GRID, -1)


def plain_loss(maps, uv, labelled, sigma):
    """Equations 1 and 2 of ORPM-AE, one picture after the other."""
    pull, push = [], []
    for b in range(len(uv)):
        people = own_tags(maps[b], uv[b], labelled[b])
        n = max(len(people), 1)
        pull.append(sum(((own - own.mean()) ** 2).mean() for own in people) / n)
        means = [own.mean() for own in people]
        pairs = [(a, b) for i, a in enumerate(means) for k, b in enumerate(means) if i != k]
        push.append(sum(math.exp(-((a - b) ** 2) / (2 * sigma**2)) for a, b in pairs) / n**2)
    return np.mean(pull), np.mean(push)


def own_tags(maps, uv, labelled):
    """The tags of each person of one picture who has any, at the cells of their joints."""
    people = []
    for at, shown in zip(uv.tolist(), labelled.tolist()):
        own = [
            maps[j, int(v // 4), int(u // 4)].item()
            for j, (u, v) in enumerate(at)
            if shown[j] and 0 <= u < 64 and 0 <= v < 48
        ]
        if own:
            people.append(np.array(own))
    return people


def newell(people, eps=1e-6):
    """pull and push of one picture as pose-ae-train has them."""
    n, push = len(people), 0.0
    pull = sum(((own - own.mean()) ** 2).mean() for own in people) / (n + eps)
    for one in people:
        for other in people:
            push += math.exp(-((one.mean() - other.mean()) ** 2))
    return pull, 0.5 * (push - n) / ((n - 1) * n + eps)


def higher_hrnet(people):
    """pull and push of one picture as HigherHRNet's code has them."""
    n = len(people)
    if n == 0:
        return 0.0, 0.0
    pull = sum(((own - own.mean()) ** 2).mean() for own in people)
    if n == 1:
        return pull, 0.0
    push = sum(math.exp(-((one.mean() - other.mean()) ** 2)) for one in people for other in people) - n
    return pull / n, 0.5 * push / ((n - 1) * n)


def people_with(*means, joints=4):
    """Maps with a person in each row whose tags all are that number."""
    uv = torch.tensor([[[8.0 * j + 2, 4.0 * p + 2] for j in range(joints)] for p in range(len(means))])[None]
    labelled = torch.ones(uv.shape[:3], dtype=torch.bool)
    return tags.encode(uv, labelled, torch.tensor([means], dtype=torch.float32), GRID, 0), uv, labelled


class TestLoss:
    @given(seed=seeds, sigma=st.sampled_from([0.5, 1, 2]))
    def test_equals_a_plain_loop(self, seed, sigma):
        uv, labelled = crowd(seed, batch=3, people=4, joints=5)
        labelled[0, 1:] = False
        maps = torch.randn(3, 5, 12, 16)
        terms = tags.loss(maps, uv, labelled, GRID, sigma)
        assert [terms["pull"].item(), terms["push"].item()] == pytest.approx(
            plain_loss(maps, uv, labelled, sigma), 1e-5
        )
        alone = [tags.loss(*(x[b : b + 1] for x in (maps, uv, labelled)), GRID, sigma) for b in range(3)]
        for term in terms:
            assert torch.stack([one[term] for one in alone]).mean().item() == pytest.approx(terms[term].item(), 1e-5)

    @pytest.mark.parametrize("people", [1, 2, 5])
    def test_all_tags_equal(self, people):
        terms = tags.loss(*people_with(*[3.0] * people), GRID)
        assert terms["pull"] == 0 and terms["push"].item() == pytest.approx((people - 1) / people)

    def test_two_people_apart(self):
        terms = tags.loss(*people_with(5, 7), GRID)
        assert terms["push"].item() == pytest.approx(0.5 * math.exp(-2)) and round(terms["push"].item(), 4) == 0.0677

    def test_one_tag_of_k_is_off(self):
        maps, uv, labelled = people_with(2.0, joints=5)
        maps[0, 3] += 0.6
        terms = tags.loss(maps, uv, labelled, GRID)
        assert terms["pull"].item() == pytest.approx(0.36 * 4 / 25) and terms["push"] == 0

    def test_one_person_has_no_push_and_nobody_nothing_with_a_gradient(self):
        for people in (0, 1, 3):
            maps = torch.randn(2, 4, 12, 16, requires_grad=True)
            uv = torch.full((2, people, 4, 2), torch.nan)
            labelled = torch.zeros(2, people, 4, dtype=torch.bool)
            if people == 1:
                uv, labelled = uv.nan_to_num(9.0), ~labelled
            terms = tags.loss(maps, uv, labelled, GRID)
            (terms["pull"] + terms["push"]).backward()
            assert maps.grad.isfinite().all() and terms["push"] == 0
            assert (terms["pull"] == 0) == (people != 1)

    @given(seed=seeds)
    def test_invariances(self, seed):
        uv, labelled = crowd(seed, people=4, joints=5)
        maps = torch.randn(2, 5, 12, 16, dtype=torch.float64, requires_grad=True)
        base = tags.loss(maps, uv, labelled, GRID)
        people, joints = torch.randperm(4), torch.randperm(5)
        same = [
            tags.loss(maps + 3, uv, labelled, GRID),
            tags.loss(-maps, uv, labelled, GRID),
            tags.loss(maps, uv[:, people], labelled[:, people], GRID),
            tags.loss(maps[:, joints], uv[:, :, joints], labelled[:, :, joints], GRID),
        ]
        for term in base:
            for other in same:
                assert other[term].item() == pytest.approx(base[term].item(), abs=1e-12)
            assert torch.autograd.grad(base[term], maps, retain_graph=True)[0].sum().abs() < 1e-12
        wide = tags.loss(3 * maps, uv, labelled, GRID, 3)  # in another unit
        assert wide["pull"].item() == pytest.approx(9 * base["pull"].item())
        assert wide["push"].item() == pytest.approx(base["push"].item())

    @given(seed=seeds)
    def test_the_public_variant_equals_both_public_codes(self, seed):
        """Newell's up to the 1e-6 that it adds to what it divides by."""
        uv, labelled = crowd(seed, batch=3, people=4, joints=5)
        labelled[0, 1:] = False
        maps = torch.randn(3, 5, 12, 16)
        terms = tags.loss(maps, uv, labelled, GRID, variant="public")
        each = [own_tags(maps[b], uv[b], labelled[b]) for b in range(3)]
        for code, digits in ((newell, 1e-5), (higher_hrnet, 1e-6)):
            pull, push = np.mean([code(people) for people in each], 0)
            assert terms["pull"].item() == pytest.approx(pull, rel=digits, abs=1e-7)
            assert terms["push"].item() == pytest.approx(push, rel=digits, abs=1e-7)

    @pytest.mark.parametrize("people", [1, 2, 5])
    def test_all_tags_equal_in_the_public_variant(self, people):
        terms = tags.loss(*people_with(*[3.0] * people), GRID, variant="public")
        assert terms["pull"] == 0 and terms["push"].item() == pytest.approx(0.5 * (people > 1))

    def test_of_two_people_the_public_variant_is_the_paper_s_at_another_width(self):
        public = tags.loss(*people_with(5, 7), GRID, variant="public")["push"].item()
        assert public == pytest.approx(0.5 * math.exp(-4))
        assert tags.loss(*people_with(5, 7), GRID, 0.5**0.5)["push"].item() == pytest.approx(public)
        three = people_with(5, 7, 8)  # 2 N (N - 1) = 12 against N^2 = 9
        public, paper = tags.loss(*three, GRID, variant="public"), tags.loss(*three, GRID, 0.5**0.5)
        assert 12 * public["push"].item() == pytest.approx(9 * paper["push"].item())
        assert public["pull"] == paper["pull"]

    @pytest.mark.parametrize("people", [0, 1])
    def test_nobody_and_one_alone_in_the_public_variant(self, people):
        """Finite, and with a gradient, where N (N - 1) is 0."""
        maps = torch.randn(2, 4, 12, 16, requires_grad=True)
        uv = torch.tensor([2.0, 6, 10, 14]).expand(2, people, 2, 4).mT.contiguous()
        terms = tags.loss(maps, uv, torch.ones(2, people, 4, dtype=torch.bool), GRID, variant="public")
        (terms["pull"] + terms["push"]).backward()
        assert terms["push"] == 0 and (terms["pull"] > 0) == (people == 1)
        assert maps.grad.isfinite().all() and maps.grad.any() == (people == 1)

    def test_an_unknown_variant(self, unchecked):
        with pytest.raises(BadInput, match="variant: found 'newell', expected 'paper' or 'public'"):
            tags.loss(*people_with(1, 2), GRID, variant="newell")

    def test_bad_input(self):
        maps, uv, labelled = people_with(1, 2)
        with pytest.raises(BadInput, match="sigma"):
            tags.loss(maps, uv, labelled, GRID, 0)
        with pytest.raises(BadInput, match="maps"):
            tags.loss(maps[..., :5], uv, labelled, GRID)


def detections(*rows, joints=17):
    """Peaks and tags of one picture from (joint, tag, score) or (joint, tag, score, cell), in any order."""
    count = max(1, *(sum(r[0] == j for r in rows) for j in range(joints)))
    shape = (1, joints, count)
    score, tag, cell = torch.zeros(shape), torch.zeros(shape), torch.zeros((*shape, 2), dtype=torch.long)
    found = torch.zeros(shape, dtype=torch.bool)
    for j in range(joints):
        own = sorted((r for r in rows if r[0] == j), key=lambda r: -r[2])
        for k, (_, t, s, *at) in enumerate(own):
            score[0, j, k], tag[0, j, k], found[0, j, k] = s, t, True
            cell[0, j, k] = torch.tensor(at[0] if at else (0, 30 * k))
    return Peaks(cell.float(), score, cell, found), tag


def group(rows, method="greedy", **given):
    """Each person as {joint: tag}."""
    peaks, tag = detections(*rows)
    (people,) = tags.group(peaks, tag, method, **{"least": 1, "least_score": 0, **given})
    return [{j: round(tag[0, j, k].item(), 3) for j, k in enumerate(p.tolist()) if k >= 0} for p in people]


BOTH = pytest.mark.parametrize("method", ["greedy", "hungarian"])


def plain_greedy(joint, tag, score, threshold, joints):
    """ORPM-AE section 3.5 as it is said, on detections sorted by joint and falling score; without merging."""
    free, people = set(range(len(joint))), []
    for seed in tags.ORDER[:joints] if joints == 17 else range(joints):
        new = [[d] for d in sorted(free) if joint[d] == seed]
        free -= {d for p in new for d in p}
        while True:
            pairs = []
            for n, person in enumerate(new):
                reference = sum(tag[d] for d in person) / len(person)
                for d in sorted(free):
                    gap = abs(tag[d] - reference)
                    if gap < threshold and joint[d] not in {joint[e] for e in person}:
                        pairs.append((-score[d], gap, n, d))
            if not pairs:
                break
            *_, n, d = min(pairs)
            new[n].append(d)
            free.remove(d)
        people += new
    return [{joint[d]: d for d in person} for person in people]


class TestGroup:
    def test_the_order_names_each_joint_once_and_the_neck_first(self):
        assert sorted(tags.ORDER) == list(range(17)) and tags.ORDER[:2] == (NECK, PELVIS)

    @BOTH
    @given(seed=seeds, people=st.integers(1, 10))
    def test_ideal_tags_recover_people_in_any_order(self, method, seed, people):
        """ "hungarian" if nobody lacks the first joint, see below."""
        rng = np.random.default_rng(seed)
        share = np.where(np.arange(17) == NECK, 1.0, 0.8) if method == "hungarian" else np.full(17, 0.5)
        rows = [(j, 10.0 * p, rng.uniform(0.3, 1)) for p in range(people) for j in range(17) if rng.random() < share[j]]
        expected = [{j: t for j, t, _ in rows if t == 10 * p} for p in range(people)]
        rng.shuffle(rows)
        rows = [(int(j), t, s) for j, t, s in rows]
        result = group(rows, method)
        assert sorted(result, key=str) == sorted((p for p in expected if p), key=str)

    @BOTH
    @pytest.mark.parametrize("people", [1, 4])
    def test_all_tags_equal(self, method, people):
        rows = [(j, 1.0, 0.9 - 0.1 * p) for p in range(people) for j in range(17)]
        peaks, tag = detections(*rows)
        (chosen,) = tags.group(peaks, tag, method)
        assert chosen.shape == (people, 17)  # so each joint of each person is one detection
        for j in range(17):
            assert sorted(chosen[:, j].tolist()) == list(range(people))

    def test_greedy_against_hungarian(self):
        """The strong wrist is as near to both; the assignment minds the weak one."""
        rows = [(NECK, 0.0, 1.0), (NECK, 1.0, 0.95), (WRIST, 0.5, 0.9), (WRIST, 0.1, 0.8)]
        greedy, hungarian = (group(rows, method, threshold=1.2) for method in ("greedy", "hungarian"))
        assert greedy == [{NECK: 0.0, WRIST: 0.5}, {NECK: 1.0, WRIST: 0.1}]
        assert hungarian == [{NECK: 0.0, WRIST: 0.1}, {NECK: 1.0, WRIST: 0.5}]

    def test_the_score_goes_first_then_the_nearer_tag(self):
        necks = [(NECK, 0.0, 1.0), (NECK, 2.0, 1.0)]
        assert group([*necks, (WRIST, 0.9, 0.9), (WRIST, 0.0, 0.8)])[0] == {NECK: 0.0, WRIST: 0.9}
        assert group([*necks, (WRIST, 0.9, 0.8), (WRIST, 0.0, 0.8)])[0] == {NECK: 0.0, WRIST: 0.0}

    def test_the_mean_moves(self):
        rows = [(NECK, 0.0, 1.0), (KNEE, 0.9, 0.9), (WRIST, 1.3, 0.8)]
        assert group(rows) == [{NECK: 0.0, KNEE: 0.9, WRIST: 1.3}]  # 1.3 is 0.85 from the mean of 0 and 0.9
        assert group([(j, t, 1.7 - s) for j, t, s in rows]) == [{NECK: 0.0, KNEE: 0.9, WRIST: 1.3}]
        assert group([rows[0], rows[2]]) == [{NECK: 0.0}, {WRIST: 1.3}]

    @BOTH
    def test_the_threshold_is_strict(self, method):
        rows = [(NECK, 0.0, 1.0), (WRIST, 0.5, 0.9)]
        assert len(group(rows, method, threshold=0.5)) == 2 and len(group(rows, method, threshold=0.51)) == 1

    def test_without_a_neck_the_pelvis_starts_a_person(self):
        rows = [(NECK, 0.0, 0.5), (WRIST, 5.0, 1.0), (PELVIS, 5.2, 0.4)]
        assert group(rows) == [{NECK: 0.0}, {PELVIS: 5.2, WRIST: 5.0}]

    def test_two_necks_of_one_person_merge_in_greedy(self):
        near = [(NECK, 0.0, 1.0, (4, 4)), (NECK, 0.3, 0.9, (4, 6)), (KNEE, 0.1, 0.9)]
        assert group(near) == [{NECK: 0.0, KNEE: 0.1}]
        assert len(group(near, merge=0)) == 2 and len(group(near, "hungarian")) == 2
        assert len(group([near[0], (NECK, 0.3, 0.9, (4, 7)), near[2]])) == 2  # three cells apart
        assert len(group([near[0], (NECK, 1.3, 0.9, (4, 6)), near[2]])) == 2  # other tags

    @BOTH
    def test_few_joints_and_low_scores_are_dropped(self, method):
        rows = [(NECK, 0.0, 0.9), (KNEE, 0.0, 0.9), (NECK, 9.0, 0.3), (KNEE, 9.0, 0.2), (WRIST, 9.0, 0.1)]
        assert len(group(rows, method, least=3)) == 1 and len(group(rows, method, least=2)) == 2
        assert len(group(rows, method, least_score=0.21)) == 1 and len(group(rows, method, least_score=0.19)) == 2

    def test_hungarian_leaves_the_weaker_of_too_many(self):
        rows = [(NECK, 0.0, 0.9), (WRIST, 0.2, 0.5), (WRIST, 0.3, 0.6)]  # both round to 0: the score decides
        assert group(rows, "hungarian") == [{NECK: 0.0, WRIST: 0.3}, {WRIST: 0.2}]

    def test_in_hungarian_a_lost_neck_can_cost_another_person_a_joint(self):
        """The wrist at 30 has nobody yet, but has to be assigned: 10 + 10 is less than 1 + 20."""
        rows = [(NECK, 10.0, 1.0), (NECK, 20.4, 0.9), (WRIST, 19.8, 0.9), (WRIST, 30.0, 0.8)]
        assert group(rows) == [{NECK: 10.0}, {NECK: 20.4, WRIST: 19.8}, {WRIST: 30.0}]
        assert len(group(rows, "hungarian")) == 4

    @given(seed=seeds, joints=st.integers(1, 4), levels=st.sampled_from([2, 50]))
    def test_greedy_equals_the_rule_as_it_is_said(self, seed, joints, levels):
        rng = np.random.default_rng(seed)
        joint = np.sort(rng.integers(0, joints, rng.integers(1, 12)))
        score = rng.integers(1, levels, len(joint)) / levels
        tag = rng.integers(0, 40, len(joint)) / 8
        by = np.lexsort([-score, joint])
        joint, score, tag = joint.tolist(), score[by].tolist(), tag[by].tolist()
        rows = list(zip(joint, tag, score))
        expected = plain_greedy(joint, tag, score, 1.0, joints)
        peaks, at = detections(*rows, joints=joints)
        (chosen,) = tags.group(peaks, at, order=tuple(range(joints)), merge=0, least=1, least_score=0)
        first = [joint.index(j) if j in joint else 0 for j in range(joints)]
        result = [{j: first[j] + k for j, k in enumerate(p) if k >= 0} for p in chosen.tolist()]
        assert result == expected

    @BOTH
    @given(seed=seeds, people=st.integers(0, 6))
    def test_maps_there_and_back(self, method, seed, people):
        """Everyone's joints lie in a column of their own: exact places, and everyone whole."""
        torch.manual_seed(seed)
        grid = Grid(48, 136, 4)
        base = torch.stack(torch.meshgrid(torch.arange(6) * 32.0 + 10, torch.arange(17) * 32.0 + 10, indexing="ij"), -1)
        uv = (base + torch.rand(6, 17, 2) * 12)[torch.randperm(6)[:people]][None]
        labelled = torch.rand(1, people, 17) < 0.9
        labelled[..., NECK] = True
        labelled[..., PELVIS] = labelled[..., KNEE] = True
        maps = heatmaps.encode(uv, labelled, grid, 1)
        peaks = heatmaps.peaks(maps, grid)
        at = tags.read(tags.encode(uv, labelled, torch.arange(people)[None] * 10.0, grid), peaks.cell)
        two = Peaks(*(torch.cat([x, x]) for x in (peaks.uv, peaks.score, peaks.cell, peaks.found)))
        (chosen, again) = tags.group(two, torch.cat([at, at]), method)
        assert torch.equal(chosen, again) and len(chosen) == people
        decoded = peaks.take(0, chosen)[0]
        order = [int((decoded[:, NECK] - uv[0, p, NECK]).norm(dim=-1).argmin()) for p in range(people)]
        truth = uv[0].where(labelled[0, ..., None], torch.nan)
        torch.testing.assert_close(decoded[order], truth, atol=4e-3, rtol=0, equal_nan=True)

    @BOTH
    def test_nobody(self, method):
        peaks, tag = detections()
        (chosen,) = tags.group(peaks, tag, method)
        assert chosen.shape == (0, 17) and chosen.dtype == torch.long

    def test_bad_input(self):
        peaks, tag = detections((NECK, 0.0, 1.0))
        with pytest.raises(BadInput, match="order"):
            tags.group(peaks, tag, order=(0, 1, 1))
        with pytest.raises(BadInput, match="finite"):
            tags.group(peaks, tag * torch.nan)

    def test_an_unknown_method(self, unchecked):
        with pytest.raises(BadInput, match="method: found 'Greedy', expected 'greedy' or 'hungarian'"):
            tags.group(*detections((NECK, 0.0, 1.0)), "Greedy")
