"""Part affinity fields: labels, the link test and both associations (SMAP section 3 and its released code)."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings import affinity, depth, heatmaps
from mp3d.codings.grid import Grid
from mp3d.codings.heatmaps import Peaks
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17

GRID = Grid(16, 12, 4)
BONES = ((0, 1), (1, 2))
seeds = st.integers(0, 2**31)


def crowd(seed, batch=2, people=3):
    torch.manual_seed(seed)
    uv = (torch.rand(batch, people, 3, 2) * 1.2 - 0.1) * torch.tensor([64.0, 48])
    labelled = torch.rand(batch, people, 3) < 0.9
    return uv.where(labelled[..., None], torch.nan), labelled


def there(*people):
    """One picture of people given by their joints' px."""
    uv = torch.tensor([people], dtype=torch.float32)
    return uv, torch.ones(uv.shape[:3], dtype=torch.bool)


class TestEncode:
    @given(seed=seeds, width=st.sampled_from([0.5, 1, 2.3]))
    def test_equals_a_plain_loop(self, seed, width):
        uv, labelled = crowd(seed, people=4)
        fields = affinity.encode(uv, labelled, BONES, GRID, width)
        inside = ((uv >= 0) & (uv < torch.tensor([64, 48]))).all(-1)
        for b, (e, bone) in [(0, (0, BONES[0])), (1, (1, BONES[1]))]:
            for row, column in np.ndindex(12, 16):
                at, vectors = np.array([column + 0.5, row + 0.5]), []
                for p in range(4):
                    if not all(labelled[b, p, j] and inside[b, p, j] for j in bone):
                        continue
                    start, end = (uv[b, p, j].double().numpy() / 4 for j in bone)
                    length = np.linalg.norm(end - start)
                    along = np.clip((at - start) @ (end - start) / length**2, 0, 1)
                    if length >= 1 and np.linalg.norm(start + along * (end - start) - at) < width:
                        vectors.append((end - start) / length)
                expected = np.mean(vectors, 0) if vectors else [0, 0]
                assert fields[b, e, :, row, column].tolist() == pytest.approx(expected, abs=1e-5)

    @given(seed=seeds)
    def test_invariances(self, seed):
        uv, labelled = crowd(seed)
        fields = affinity.encode(uv, labelled, BONES, GRID, 1.5)
        assert fields.isfinite().all() and (fields.norm(dim=2) <= 1 + 1e-6).all()
        turn = torch.tensor([2, 0, 1])
        close = {"atol": 1e-6, "rtol": 0}
        turned = affinity.encode(uv[:, turn], labelled[:, turn], BONES, GRID, 1.5)
        torch.testing.assert_close(turned, fields, **close)
        assert torch.equal(affinity.encode(uv[1:], labelled[1:], BONES, GRID, 1.5), fields[1:])
        more = torch.cat([uv, uv * torch.nan], 1), torch.cat([labelled, labelled & False], 1)
        assert torch.equal(affinity.encode(*more, BONES, GRID, 1.5), fields)
        swapped = affinity.encode(uv, labelled, [(b, a) for a, b in BONES], GRID, 1.5)
        torch.testing.assert_close(swapped, -fields, **close)

    def test_a_mirrored_picture_has_mirrored_fields(self):
        uv, labelled = there([[5.3, 7.1], [40.6, 30.2], [12.9, 41.7]])
        mirrored = torch.stack([64 - uv[..., 0], uv[..., 1]], -1)
        fields = affinity.encode(uv, labelled, BONES, GRID, 1.5).flip(-1) * torch.tensor([-1, 1])[:, None, None]
        torch.testing.assert_close(affinity.encode(mirrored, labelled, BONES, GRID, 1.5), fields, atol=1e-6, rtol=0)

    def test_the_band_is_less_than_the_width_from_the_bone(self):
        uv, labelled = there([[10, 22], [30, 22], [30, 22]])
        rows = {}
        for width in (0.9, 1, 1.1, 2.1):
            (u, v), second = affinity.encode(uv, labelled, BONES, GRID, width)[0]
            assert set(u.flatten().tolist()) == {0.0, 1.0} and not v.any() and not second.any()  # no length: nothing
            rows[width] = u.sum(1).tolist()
        assert rows[0.9] == rows[1] == [0] * 5 + [6] + [0] * 6  # columns 2 to 7, whose centres are 10 to 30 px
        assert rows[1.1][4:7] == [6, 8, 6] and rows[2.1][3:8] == [6, 8, 10, 8, 6]

    def test_the_mean_over_people(self):
        across = [[2, 22], [60, 22], [60, 22]]
        down = [[30, 2], [30, 46], [30, 46]]
        back = [[60, 22], [2, 22], [2, 22]]
        fields = affinity.encode(*there(across, down), BONES, GRID, 1)[0, 0]
        assert fields[:, 5, 7].tolist() == [0.5, 0.5] and fields[:, 5, 3].tolist() == [1, 0]
        assert affinity.encode(*there(across, across, down), BONES, GRID, 1)[0, 0, :, 5, 7].tolist() == pytest.approx(
            [2 / 3, 1 / 3]
        )
        assert not affinity.encode(*there(across, back), BONES, GRID, 1).any()  # where two point apart, nothing is left

    @pytest.mark.parametrize("end, drawn", [((13.9, 22), False), ((14, 22), True), ((-1, 22), False), ((64, 5), False)])
    def test_short_bones_and_ends_off_the_map(self, end, drawn):
        uv, labelled = there([[10, 22], end, end])
        assert affinity.encode(uv, labelled, BONES, GRID, 1).any() == drawn
        labelled[0, 0, 1] = False
        assert not affinity.encode(uv, labelled, BONES, GRID, 1).any()

    @given(seed=seeds, width=st.sampled_from([0.7, 1, 2]))
    def test_the_cells_are_those_of_part_relative_depth(self, seed, width):
        """One band, for bones of a cell or more."""
        uv, labelled = crowd(seed)
        long = (uv[:, :, [a for a, _ in BONES]] - uv[:, :, [b for _, b in BONES]]).norm(dim=-1) >= GRID.stride
        labelled &= long.all(-1, keepdim=True)
        z = torch.tensor([0.0, 1, 2]).expand(labelled.shape)
        labelled = labelled & GRID.cells(uv)[1]
        union = False
        for p in range(3):  # one by one: two people's vectors may cancel out
            fields = affinity.encode(uv[:, [p]], labelled[:, [p]], BONES, GRID, width)
            union |= (fields != 0).any(2)
            assert torch.equal(
                (fields != 0).any(2), depth.encode_parts(z[:, [p]], uv[:, [p]], labelled[:, [p]], BONES, GRID, width)[1]
            )
        assert torch.equal(union, depth.encode_parts(z, uv, labelled, BONES, GRID, width)[1])

    def test_nobody_and_bad_input(self):
        nobody = torch.zeros(2, 0, 3, 2), torch.zeros(2, 0, 3, dtype=torch.bool)
        fields = affinity.encode(*nobody, BONES, GRID, 1)
        assert fields.shape == (2, 2, 2, 12, 16) and not fields.any()
        with pytest.raises(BadInput, match="width"):
            affinity.encode(*nobody, BONES, GRID, 0)
        with pytest.raises(BadInput, match="bones"):
            affinity.encode(*nobody, [(0, 3)], GRID, 1)


def seen(*joints, stride=4):
    """Peaks of one picture: for each joint type the px of its detections."""
    count = max(map(len, joints))
    uv = torch.full((1, len(joints), count, 2), torch.nan)
    for j, own in enumerate(joints):
        for k, at in enumerate(own):
            uv[0, j, k] = torch.tensor(at, dtype=torch.float32)
    found = uv.isfinite().all(-1)
    return Peaks(uv, found.float(), (uv.nan_to_num(0).flip(-1) / stride).long(), found)


def plain_link(field, start, end, threshold=0.05, share=0.95, short=1.088):
    """SMAP's test of one pair, in cells, as its released code has it."""
    du, dv = end[0] - start[0], end[1] - start[1]
    length = math.hypot(du, dv)
    if length == 0:
        return -1
    n = min(max(int(math.sqrt(5 * max(abs(du), abs(dv))) + 0.5), 5), 25)
    values = []
    for m in range(n):
        u, v = start[0] + m * du / n, start[1] + m * dv / n
        values.append(float(field[0, int(v), int(u)]) * du / length + float(field[1, int(v), int(u)]) * dv / length)
    counted = [v for v in values if v > threshold]
    if len(counted) / n > share:
        return sum(counted) / len(counted)
    return 0.1 if length < short else -1


class TestLinks:
    @given(seed=seeds, share=st.sampled_from([0.6, 0.95]), lost=st.booleans())
    def test_equal_a_plain_loop(self, seed, share, lost):
        """Two pictures, a bone that points to the root; some detections and some cells are missing."""
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        maps, bones = torch.rand(2, 2, 2, 12, 16) * 2 - 0.4, ((0, 1), (2, 1))
        maps[torch.rand(maps.shape) < 0.02 * lost] = torch.nan
        pictures = [seen(*[rng.uniform(0, 1, (3, 2)) * [64, 48] for _ in range(3)]) for _ in range(2)]
        peaks = Peaks(*(torch.cat([getattr(p, name) for p in pictures]) for name in ("uv", "score", "cell", "found")))
        found = peaks.found & (torch.rand(peaks.found.shape) < 0.8)
        peaks = replace(peaks, uv=peaks.uv.where(found[..., None], torch.nan), found=found)
        scores = affinity.links(maps, peaks, bones, GRID, share=share)
        for b, e, i, j in np.ndindex(2, 2, 3, 3):
            ends = [(b, joint, k) for joint, k in zip(bones[e], (i, j), strict=True)]
            start, end = (peaks.uv[at].double().numpy() / 4 for at in ends)
            expected = plain_link(maps[b, e], start, end, share=share) if all(found[at] for at in ends) else -1
            assert scores[b, e, i, j].item() == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize("length, n", [(1, 5), (20, 10), (50, 16), (80, 20), (121, 25), (126, 25)])
    def test_the_number_of_points(self, length, n):
        """A field that is 1 at the first cell alone: only a share below 1 / n is enough."""
        grid = Grid(128, 3, 4)
        maps = torch.zeros(1, 1, 2, 3, 128)
        maps[0, 0, 0, 1, 0] = 1
        peaks = seen([(0.4, 6)], [(0.4 + 4 * length, 6)])
        first = math.ceil(n / length * 0.9)  # points within the first cell
        for share, score in ((first / n * 0.999, 1), (first / n * 1.001, 0.1 if length == 1 else -1)):
            assert affinity.links(maps, peaks, ((0, 1),), grid, share=share).item() == pytest.approx(score)

    @pytest.mark.parametrize(
        "length, n, misses, linked", [(80, 20, 1, False), (88.2, 21, 1, True), (88.2, 21, 2, False)]
    )
    def test_one_miss_in_more_than_twenty(self, length, n, misses, linked):
        maps = torch.zeros(1, 1, 2, 3, 128)
        maps[0, 0, 0] = 1
        for m in range(misses):
            maps[0, 0, 0, 1, int(0.1 + (m + 3) * length / n)] = 0.05  # the threshold is strict
        peaks = seen([(0.4, 6)], [(0.4 + 4 * length, 6)])
        score = affinity.links(maps, peaks, ((0, 1),), Grid(128, 3, 4)).item()
        assert score == (1 if linked else -1)

    def test_short_pairs_pairs_at_one_place_and_no_pairs(self):
        maps = torch.zeros(1, 1, 2, 12, 16)
        peaks = seen([(10, 10)], [(14, 10), (14.4, 10), (10, 10)])
        assert affinity.links(maps, peaks, ((0, 1),), GRID)[0, 0, 0].tolist() == pytest.approx([0.1, -1, -1])
        assert (affinity.links(maps, peaks, ((0, 1),), GRID)[0, 0, 1:] == -1).all()  # there is one first joint
        nobody = heatmaps.peaks(torch.zeros(1, 2, 12, 16), GRID, 3)
        assert (affinity.links(maps, nobody, ((0, 1),), GRID) == -1).all()

    def test_the_direction_counts(self):
        maps = affinity.encode(*there([[10, 10], [50, 30]]), ((0, 1),), GRID, 1)
        forth, back = seen([(10, 10)], [(50, 30)]), seen([(50, 30)], [(10, 10)])
        assert affinity.links(maps, forth, ((0, 1),), GRID).item() == pytest.approx(1, abs=1e-6)
        assert affinity.links(maps, back, ((0, 1),), GRID).item() == -1

    @given(seed=seeds)
    def test_ideal_fields_of_one_person_are_links_of_one(self, seed):
        """Every point lies less than sqrt(1/2) cells from its cell's centre, so that the band holds it."""
        torch.manual_seed(seed)
        uv = torch.rand(4, 1, 3, 2) * torch.tensor([64.0, 48])
        labelled = torch.ones(4, 1, 3, dtype=torch.bool)
        maps = affinity.encode(uv, labelled, BONES, GRID, 0.708)
        found = labelled.transpose(1, 2)
        peaks = Peaks(uv.transpose(1, 2), found.float(), GRID.cells(uv.transpose(1, 2))[0], found)
        scores = affinity.links(maps, peaks, BONES, GRID)[..., 0, 0]
        drawn = (uv[:, 0, 1:] - uv[:, 0, :-1]).norm(dim=-1) >= 4
        torch.testing.assert_close(scores[drawn], torch.ones(int(drawn.sum())), atol=1e-5, rtol=0)
        torch.testing.assert_close(scores[~drawn], torch.full((int((~drawn).sum()),), 0.1))

    def test_not_a_number_does_not_count(self):
        """One point of 21 may be lost, of 20 none; a map of nothing else links nobody."""
        maps = torch.zeros(1, 1, 2, 3, 128)
        maps[0, 0, 0] = 1
        maps[0, 0, 0, 1, int(0.1 + 3 * 88.2 / 21)] = torch.nan
        peaks = seen([(0.4, 6)], [(0.4 + 4 * 88.2, 6)])
        assert affinity.links(maps, peaks, ((0, 1),), Grid(128, 3, 4)).item() == 1
        maps[0, 0, 0, 1, int(0.1 + 5 * 88.2 / 21)] = torch.nan
        assert affinity.links(maps, peaks, ((0, 1),), Grid(128, 3, 4)).item() == -1
        assert affinity.links(maps * torch.nan, peaks, ((0, 1),), Grid(128, 3, 4)).item() == -1
        nobody = heatmaps.peaks(torch.full((1, 2, 12, 16), torch.nan), GRID, 3)
        scores = affinity.links(torch.full((1, 1, 2, 12, 16), torch.nan), nobody, ((0, 1),), GRID)[0]
        assert (scores == -1).all()
        order = nobody.found[0, 0].nonzero()[:, 0]
        assert affinity.associate(scores, nobody.uv[0], ((0, 1),), 0, order).shape == (0, 2)

    @given(seed=seeds)
    def test_another_picture_changes_nothing(self, seed):
        uv, labelled = crowd(seed)
        maps = affinity.encode(uv, labelled, BONES, GRID, 1.5)
        peaks = heatmaps.peaks(heatmaps.encode(uv, labelled, GRID, 0.8), GRID, 5)
        alone = Peaks(*(x[1:] for x in (peaks.uv, peaks.score, peaks.cell, peaks.found)))
        assert torch.equal(affinity.links(maps[1:], alone, BONES, GRID), affinity.links(maps, peaks, BONES, GRID)[1:])

    def test_bad_input(self):
        with pytest.raises(BadInput, match="maps"):
            affinity.links(torch.zeros(1, 2, 2, 12, 16), seen([(1, 1)], [(2, 2)]), ((0, 1),), GRID)
        with pytest.raises(BadInput, match=r"maps: found \(16, 12\), expected the grid's \(12, 16\)"):
            affinity.links(torch.zeros(1, 1, 2, 16, 12), seen([(1, 1)], [(2, 2)]), ((0, 1),), GRID)


def table(joints, *entries, count=2):
    """Links of -1 but for (bone, first, second, score), and places 10 px apart in a row for each joint."""
    links = torch.full((joints - 1, count, count), -1.0)
    for e, i, j, score in entries:
        links[e, i, j] = score
    uv = torch.stack(torch.meshgrid(torch.arange(joints) * 10.0, torch.arange(count) * 10.0, indexing="ij"), -1)
    return links, uv


CHAIN = ((0, 1), (1, 2))


def plain_associate(links, uv, bones, root, order, reference, length):
    """SMAP's association of one picture, as the spec tells it; in numbers of single precision."""
    people, chosen = range(len(order)), [{root: k} for k in order]
    left = list(enumerate(bones))
    while left:
        reached = {root} | {joint for bone in bones if bone not in [b for _, b in left] for joint in bone}
        e, bone = next((e, bone) for e, bone in left if set(bone) & reached)
        left.remove((e, bone))
        near, far = bone if bone[0] in reached else bone[::-1]
        used = set()
        for n in people:
            if near not in chosen[n]:
                continue
            best, score = None, 0
            for k in range(len(uv[far])):
                if k in used or math.isnan(uv[far, k, 0]):
                    continue
                source = chosen[n][near]
                own = links[e, source, k] if near == bone[0] else links[e, k, source]
                if own > 0 and reference is not None and reference[n, e] > 0:
                    times = np.linalg.norm(uv[near, source] - uv[far, k]) / reference[n, e]
                    if times > 1:
                        own = own + (1 / times - 1) if length == "penalty" else -1
                if own > score:
                    best, score = k, own
            if best is not None:
                chosen[n][far] = best
                used.add(best)
    return [[one.get(joint, -1) for joint in range(len(uv))] for one in chosen]


TREES = (((0, 1), (1, 2), (1, 3)), ((2, 3), (1, 0), (1, 2)))
"""The second is out of order, and its bones point to the root 0 as well as from it."""


def scattered(seed, count=5):
    """Random detections of four joints and random links, none alike; a fifth of both is missing."""
    rng = np.random.default_rng(seed)
    links, uv = rng.uniform(0, 1.2, (3, count, count)), rng.uniform(0, 60, (4, count, 2))
    links[rng.random(links.shape) < 0.2], uv[rng.random((4, count)) < 0.2] = -1, np.nan
    order = rng.permutation(np.flatnonzero(np.isfinite(uv[0, :, 0])))
    reference = rng.uniform(-10, 60, (len(order), 3))
    return tuple(torch.from_numpy(x) for x in (links, uv, order, reference))


class TestAssociate:
    def test_a_contested_joint_goes_to_who_chooses_first(self):
        links, uv = table(3, (0, 0, 0, 0.9), (0, 1, 0, 0.8), (1, 0, 1, 0.5))
        assert affinity.associate(links, uv, CHAIN, 0, torch.tensor([0, 1])).tolist() == [[0, 0, 1], [1, -1, -1]]
        assert affinity.associate(links, uv, CHAIN, 0, torch.tensor([1, 0])).tolist() == [[1, 0, 1], [0, -1, -1]]
        assert affinity.associate(links, uv, CHAIN, 0, torch.tensor([1])).tolist() == [[1, 0, 1]]

    def test_bones_may_point_to_the_root_and_come_in_any_order(self):
        links, uv = table(3, (0, 0, 1, 0.9), (0, 1, 0, 0.8), (1, 0, 0, 0.5), (1, 1, 1, 0.6))
        expected = affinity.associate(links, uv, CHAIN, 0, torch.tensor([0, 1]))
        assert expected.tolist() == [[0, 1, 1], [1, 0, 0]]
        turned = links.flip(0).clone()
        turned[1] = turned[1].T.clone()
        assert torch.equal(affinity.associate(turned, uv, ((1, 2), (1, 0)), 0, torch.tensor([0, 1])), expected)

    def test_a_score_of_zero_is_no_link_and_of_equals_the_first_is_taken(self):
        links, uv = table(3, (0, 0, 0, 0.0), (0, 1, 0, 0.4), (0, 1, 1, 0.4))
        assert affinity.associate(links, uv, CHAIN, 0, torch.tensor([0, 1])).tolist() == [[0, -1, -1], [1, 0, -1]]

    @given(seed=seeds, bones=st.sampled_from(TREES), length=st.sampled_from(["penalty", "filter", None]))
    def test_equals_a_plain_loop(self, seed, bones, length):
        """In this order and in the other; no detection is anybody's twice."""
        links, uv, order, reference = scattered(seed)
        rule = {"length": length} if length else {}
        reference = reference if length else None
        for turn in (slice(None), torch.arange(len(order)).flip(0)):
            own = None if reference is None else reference[turn]
            chosen = affinity.associate(links, uv, bones, 0, order[turn], own, **rule)
            numbers = (None if x is None else x.numpy() for x in (links, uv, order[turn], own))
            one, two, three, four = numbers
            assert chosen.tolist() == plain_associate(one, two, bones, 0, three.tolist(), four, length)
            for column in chosen.T:
                taken = column[column >= 0]
                assert len(taken.unique()) == len(taken)

    @given(seed=seeds, length=st.sampled_from(["penalty", "filter"]))
    def test_the_order_of_detections_does_not_matter(self, seed, length):
        links, uv, order, reference = scattered(seed)
        chosen = affinity.associate(links, uv, TREES[0], 0, order, reference, length)
        rng, count = np.random.default_rng(seed), uv.shape[1]
        turns = torch.from_numpy(np.stack([rng.permutation(count) for _ in range(4)]))  # new place to old
        turned = torch.stack([links[e][turns[a]][:, turns[b]] for e, (a, b) in enumerate(TREES[0])])
        place = torch.stack([uv[joint][turns[joint]] for joint in range(4)])
        back = turns.argsort(1)
        again = affinity.associate(turned, place, TREES[0], 0, back[0][order], reference, length)
        old = torch.stack([turns[j][again[:, j].clamp(min=0)] for j in range(4)], 1)
        assert torch.equal(old.where(again >= 0, -1), chosen)

    def test_the_penalty(self):
        """Nothing up to the reference, 1 / k - 1 for a link k times as long; filtered, it is nothing or all."""
        distance = np.array([0, 5, 10, 20, 100])
        assert affinity.penalty(distance, 10).tolist() == pytest.approx([0, 0, 0, -1 / 2, -9 / 10])
        assert affinity.penalty(distance, 10, "filter").tolist() == [0, 0, 0, -math.inf, -math.inf]
        for length in ("penalty", "filter"):
            for without in (0, -5, math.nan, math.inf):
                assert not affinity.penalty(distance, without, length).any()

    @pytest.mark.parametrize("length", ["penalty", "filter"])
    def test_a_long_link(self, length):
        """Ten px long, of score 0.6, then 1."""
        links, uv = table(2, (0, 0, 0, 0.6), count=1)

        def linked(links, reference):
            one = torch.tensor([[float(reference)]])
            return affinity.associate(links, uv, ((0, 1),), 0, torch.tensor([0]), one, length).tolist() == [[0, 0]]

        assert all(linked(links, reference) for reference in (10, 0, -5, math.nan))
        assert not linked(links, 3.9)
        assert linked(links, 4.1) == linked(links, 9.9) == (length == "penalty")
        assert linked(links + 0.4, 1e-3) == (length == "penalty")  # a score of 1 is never refused by the penalty

    def test_swapping_depths_swaps_who_has_a_contested_joint(self):
        """From the map of root depths to the people."""
        uv, labelled = there([[10, 10], [34, 24], [50, 24]], [[10, 40], [34, 24], [50, 24]])
        peaks = heatmaps.peaks(heatmaps.encode(uv, labelled, GRID, 0.7), GRID, 4)
        links = affinity.links(affinity.encode(uv, labelled, BONES, GRID, 1.5), peaks, BONES, GRID)[0]
        for near in (0, 1):
            z = torch.tensor([[3000.0, 3000]])
            z[0, 1 - near] = 5000
            roots = depth.encode_root(z, uv[:, :, 0], labelled[:, :, 0], GRID)[0]
            order = depth.read_root(roots, peaks.uv[:, 0], GRID)[0, :2].argsort()
            place = peaks.take(0, affinity.associate(links, peaks.uv[0], BONES, 0, order))[0]
            torch.testing.assert_close(place[0], uv[0, near], atol=0.1, rtol=0)
            torch.testing.assert_close(place[1, 0], uv[0, 1 - near, 0], atol=0.1, rtol=0)
            assert place[1, 1:].isnan().all()

    def test_the_penalty_is_of_the_person_and_the_bone(self):
        links, uv = table(2, (0, 0, 0, 0.5), (0, 0, 1, 0.6), (0, 1, 0, 0.5), (0, 1, 1, 0.6))
        uv[1, 1, 1] = 40
        short, long = affinity.associate(
            links, uv, ((0, 1),), 0, torch.tensor([0, 1]), torch.tensor([[15.0], [100.0]])
        ).tolist()
        assert short == [0, 0] and long == [1, 1]

    def test_a_lost_joint_takes_what_hangs_on_it(self):
        uv, labelled = people(1)
        neck = MPI17.index("neck")
        labelled[0, 0, neck] = False
        chosen, _ = decode(uv, labelled)
        hangs = ["head_top", "neck", "head", *(f"{s}_{j}" for s in "rl" for j in ("shoulder", "elbow", "wrist"))]
        assert {MPI17.joints[j] for j in (chosen[0] < 0).nonzero()[:, 0].tolist()} == set(hangs)

    def test_without_a_root_there_is_nobody(self):
        uv, labelled = people(2)
        labelled[0, 0, MPI17.root] = False
        assert decode(uv, labelled)[0].shape == (1, 17)
        labelled[0, 1, MPI17.root] = False
        assert decode(uv, labelled)[0].shape == (0, 17)

    def test_nobody_and_bad_input(self):
        links, uv = table(3)
        order = torch.tensor([0, 1])
        assert affinity.associate(links, uv, CHAIN, 0, order[:0]).shape == (0, 3)
        assert affinity.associate(links, uv, CHAIN, 0, order).tolist() == [[0, -1, -1], [1, -1, -1]]
        uv[0, 1] = torch.nan
        for wrong in ([0, 0], [0, 1], [0, 2], [-1]):
            with pytest.raises(BadInput, match="order"):
                affinity.associate(links, uv, CHAIN, 0, torch.tensor(wrong))
        for bones in (((0, 1), (1, 0)), ((0, 1), (2, 2)), ((0, 3), (0, 1))):
            with pytest.raises(BadInput, match="bones"):
                affinity.associate(links, uv, bones, 0, order[:1])

    def test_an_unknown_rule_for_the_length(self, unchecked):
        links, uv = table(3)
        with pytest.raises(BadInput, match="length: found 'cut', expected 'penalty' or 'filter'"):
            affinity.associate(links, uv, CHAIN, 0, torch.tensor([0]), torch.ones(1, 2), "cut")


class TestGreedy:
    def test_the_best_pair_first_whoever_it_is(self):
        links, uv = table(3, (0, 0, 0, 0.7), (0, 0, 1, 0.6), (0, 1, 0, 0.8), (1, 0, 1, 0.5))
        assert affinity.greedy(links, uv, CHAIN, least=1).tolist() == [[0, 1, -1], [1, 0, 1]]
        assert affinity.greedy(links, uv, CHAIN).tolist() == [[1, 0, 1]]
        assert affinity.associate(links, uv, CHAIN, 0, torch.tensor([0, 1])).tolist() == [[0, 0, 1], [1, -1, -1]]

    def test_nobody_needs_a_root(self):
        links, uv = table(3, (1, 1, 0, 0.5))
        assert affinity.greedy(links, uv, CHAIN, least=2).tolist() == [[-1, 1, 0]]

    def test_long_pairs_fall(self):
        links, uv = table(2, (0, 0, 0, 0.5), (0, 0, 1, 0.6))
        uv[1, 1] = 40
        assert affinity.greedy(links, uv, ((0, 1),), least=2).tolist() == [[0, 1]]
        assert affinity.greedy(links, uv, ((0, 1),), 20, least=2).tolist() == [[0, 0]]

    def test_nobody_and_bad_input(self):
        links, uv = table(3)
        assert affinity.greedy(links, uv * torch.nan, CHAIN).shape == (0, 3)
        with pytest.raises(BadInput, match="bones"):
            affinity.greedy(links, uv, ((0, 1), (0, 1)))


WIDE = Grid(90, 40, 4)


def people(count, seed=0):
    """People with spread limbs, 120 px apart, on WIDE."""
    torch.manual_seed(seed)
    depth = {}
    for j in [14, 15, 1, 0, 16, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]:
        depth[j] = depth[MPI17.parents[j]] + 1 if MPI17.parents[j] >= 0 else 0
    side = torch.tensor([-1.0 if n.startswith("r_") else 1 if n.startswith("l_") else 0 for n in MPI17.joints])
    up = torch.tensor([1.0 if any(w in n for w in ("hip", "knee", "ankle")) else -1 for n in MPI17.joints])
    steps = torch.tensor([depth[j] for j in range(17)])
    body = torch.stack([side * (8 + 4 * steps), 70 + up * 9 * steps + 3 * side], -1)
    uv = body + torch.tensor([[60.0 + 120 * n, 0] for n in range(count)]).reshape(count, 1, 2)
    uv = uv + torch.rand(count, 17, 2) * 3
    return uv[None], torch.ones(1, count, 17, dtype=torch.bool)


def decode(uv, labelled, method="associate", turn=None):
    peaks = heatmaps.peaks(heatmaps.encode(uv, labelled, WIDE, 0.7), WIDE, 4)
    if turn is not None:
        peaks = Peaks(*(x[:, :, turn] for x in (peaks.uv, peaks.score, peaks.cell, peaks.found)))
    scores = affinity.links(affinity.encode(uv, labelled, MPI17.limbs, WIDE, 1.5), peaks, MPI17.limbs, WIDE)
    if method == "greedy":
        chosen = affinity.greedy(scores[0], peaks.uv[0], MPI17.limbs)
    else:
        order = peaks.found[0, MPI17.root].nonzero()[:, 0]
        chosen = affinity.associate(scores[0], peaks.uv[0], MPI17.limbs, MPI17.root, order)
    return chosen, peaks.take(0, chosen)[0]


@pytest.mark.parametrize("method", ["associate", "greedy"])
@given(seed=seeds, count=st.integers(0, 3))
def test_people_apart_come_back_in_any_order_of_detections(method, seed, count):
    uv, labelled = people(count, seed)
    for turn in (None, torch.tensor([2, 0, 3, 1])):
        chosen, found = decode(uv, labelled, method, turn)
        assert (chosen >= 0).all()
        found = found[found[:, MPI17.root, 0].argsort()]
        assert found.shape == (count, 17, 2)
        assert count == 0 or (found - uv[0]).abs().max() < 1e-3 * WIDE.stride
