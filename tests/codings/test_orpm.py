"""Occlusion-robust pose maps: sites, near wins, the three read-outs (ORPM-AE section 3.2; ORPM, algorithm 1)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings import orpm
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.skeletons import H36M17, MPI17, SMAP15

GRID = Grid.over(128, 96, 4)
NECK, PELVIS, SPINE, HEAD = map(MPI17.index, ("neck", "pelvis", "spine", "head"))
ARM = [MPI17.index(f"r_{joint}") for joint in ("wrist", "elbow", "shoulder")]
LEG = [MPI17.index(f"l_{joint}") for joint in ("ankle", "knee", "hip")]
MEAN = torch.full((17, 3), 7.0)
seeds = st.integers(0, 10**6)


def crowd(seed, people, batch=1):
    """People anywhere, also beyond the border, some joints unlabelled, some NaN: bones, uv, labelled, depth."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, 1, (batch, people, 1, 2)) * [128, 96]
    uv = torch.from_numpy(centre + rng.normal(0, 12, (batch, people, 17, 2))).float()
    bones = torch.from_numpy(rng.normal(0, 200, (batch, people, 17, 3))).float()
    labelled = ((uv >= 0) & (uv < torch.tensor([128, 96]))).all(-1) & torch.from_numpy(rng.random(uv.shape[:-1]) < 0.8)
    uv[torch.from_numpy(rng.random(labelled.shape) < 0.05)] = torch.nan
    bones[torch.from_numpy(rng.random(labelled.shape) < 0.05)] = torch.nan
    depth = torch.from_numpy(rng.uniform(2000, 9000, (batch, people))).float()
    return bones, uv, labelled, depth


def apart(seed=0, people=3):
    """People side by side, so far apart that no square of one meets another's: bones, uv, labelled, depth."""
    rng = np.random.default_rng(seed)
    u = 4 * (rng.integers(0, 7, (people, 17)) + 10 * np.arange(people)[:, None]) + rng.uniform(0, 4, (people, 17))
    uv = torch.from_numpy(np.stack([u, rng.uniform(0, 96, (people, 17))], -1)).float()[None]
    bones = torch.from_numpy(rng.normal(0, 200, (1, people, 17, 3))).float()
    return bones, uv, torch.ones(1, people, 17, dtype=torch.bool), torch.arange(1.0, people + 1)[None]


@given(seeds)
def test_bones_and_poses_are_one_another_s_inverse(seed):
    rng = np.random.default_rng(seed)
    poses = torch.from_numpy(rng.normal(0, 500, (2, 3, 17, 3)))
    for skeleton in (MPI17, H36M17):
        bones = orpm.to_bones(poses, skeleton)
        assert (bones[..., skeleton.root, :] == 0).all()
        relative = poses - poses[..., [skeleton.root], :]
        torch.testing.assert_close(orpm.from_bones(bones, skeleton), relative)
    joint = int(rng.integers(17))
    moved, shift = orpm.to_bones(poses), torch.tensor([100.0, 0, -50])
    moved[..., joint, :] += shift
    below = torch.tensor([joint in ancestors(j) for j in range(17)]) & (joint != PELVIS)
    expected = poses - poses[..., [PELVIS], :] + below[:, None] * shift
    torch.testing.assert_close(orpm.from_bones(moved), expected)


def ancestors(joint):
    while joint >= 0:
        yield joint
        joint = MPI17.parents[joint]


def test_an_unknown_bone_takes_its_subtree_along_and_an_unknown_root_everything():
    bones = torch.ones(2, 17, 3)
    bones[0, ARM[1]] = torch.nan
    bones[1, PELVIS] = torch.nan
    poses = orpm.from_bones(bones)
    assert poses.isnan().all(-1)[0].nonzero()[:, 0].tolist() == sorted(ARM[:2])
    assert poses[1].isnan().all()
    assert poses[0, PELVIS].tolist() == [0, 0, 0]
    assert poses[0, HEAD].tolist() == [3, 3, 3]  # pelvis, spine, neck, head


@pytest.mark.parametrize("parents", [(-1, -1, 0), (-1, 2, 1), (-1, 0, 5), (0, 0, 0)])
def test_what_is_no_tree_is_refused(parents):
    with pytest.raises(BadInput, match="parents"):
        orpm.tree_sum(torch.zeros(3, 1), parents)


def test_each_joint_has_its_sites():
    rho = orpm.sites()
    limb = [j for j, name in enumerate(MPI17.joints) if name[:2] in ("r_", "l_")]
    assert len(limb) == 12 and (rho[limb].sum(1) == 5).all()
    assert rho.sum(1)[[NECK, PELVIS, SPINE, HEAD, MPI17.index("head_top")]].tolist() == [2, 2, 3, 4, 4]
    assert rho[ARM[0]].nonzero()[:, 0].tolist() == sorted([*ARM, NECK, PELVIS])
    assert rho.diagonal().all() and rho[:, NECK].all() and rho[:, PELVIS].all()
    assert orpm.sites(SMAP15)[SMAP15.index("head_top")].sum() == 3  # a head of one joint
    with pytest.raises(BadInput, match="neck"):
        orpm.sites(H36M17)


@given(seeds, st.integers(0, 2))
def test_maps_are_as_painted_from_far_to_near(seed, radius):
    bones, uv, labelled, depth = crowd(seed, 4, batch=2)
    maps, mask = orpm.encode(bones, uv, labelled, depth, GRID, radius)
    expected, there = torch.zeros(maps.shape), torch.zeros(mask.shape, dtype=torch.bool)
    rho = orpm.sites()
    for b in range(2):
        for p in depth[b].argsort(descending=True).tolist():
            for j, s in rho.nonzero().tolist():
                u, v = uv[b, p, s].tolist()
                if labelled[b, p, s] and u == u and bones[b, p, j].isfinite().all():
                    row, column = int(v // 4), int(u // 4)
                    rows = slice(max(row - radius, 0), row + radius + 1)
                    columns = slice(max(column - radius, 0), column + radius + 1)
                    expected[b, j, :, rows, columns] = bones[b, p, j, :, None, None]
                    there[b, j, rows, columns] = True
    assert torch.equal(maps, expected) and torch.equal(mask, there)


@given(seeds)
def test_people_in_another_order_or_padded_make_the_same_maps(seed):
    bones, uv, labelled, depth = crowd(seed, 5)
    maps, mask = orpm.encode(bones, uv, labelled, depth, GRID)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(5))
    again = orpm.encode(bones[:, order], uv[:, order], labelled[:, order], depth[:, order], GRID)
    assert torch.equal(maps, again[0]) and torch.equal(mask, again[1])
    padded = [torch.cat([x, torch.full_like(x[:, :2], nan)], 1) for x, nan in
              ((bones, torch.nan), (uv, torch.nan), (labelled, False), (depth, torch.nan))]  # fmt: skip
    assert torch.equal(maps, orpm.encode(*padded, GRID)[0])
    kept = labelled.clone()  # and what is not labelled leaves no trace, whatever its pixel is
    uv[~kept] = torch.nan
    assert torch.equal(maps, orpm.encode(bones, uv, kept, depth, GRID)[0])


def test_near_wins_whoever_comes_first_and_of_equally_near_ones_the_first():
    bones, uv, labelled, _ = apart(people=2)
    uv[:, 1] = uv[:, 0]
    for depth, winner in (([2.0, 1.0], 1), ([1.0, 2.0], 0), ([1.0, 1.0], 0), ([float("nan"), 1e9], 1)):
        maps, _ = orpm.encode(bones, uv, labelled, torch.tensor([depth]), GRID)
        read, _ = orpm.read(maps, uv[:, :1], labelled[:, :1], GRID, "naive", MEAN)
        assert torch.equal(read[0, 0], bones[0, winner])


@pytest.mark.parametrize("readout", ["paper", "mehta", "naive"])
def test_people_who_stand_apart_are_read_exactly(readout):
    bones, uv, labelled, depth = apart()
    maps, _ = orpm.encode(bones, uv, labelled, depth, GRID)
    read, site = orpm.read(maps, uv, labelled, GRID, readout, MEAN)
    assert torch.equal(read, bones)
    own = torch.arange(17).expand(1, 3, 17)
    if readout == "mehta":  # a limb at its extremity, all else at the neck
        assert site[0, 0, [*ARM, *LEG]].tolist() == [ARM[0]] * 3 + [LEG[0]] * 3
        assert site[0, 0, [NECK, PELVIS, SPINE]].tolist() == [NECK] * 3
    else:
        assert torch.equal(site, own)


@pytest.mark.parametrize(
    ("lost", "paper", "mehta"),  # where the right wrist, elbow and shoulder are read
    [
        ([], ARM, [ARM[0]] * 3),
        ([ARM[0]], [ARM[1], ARM[1], ARM[2]], [ARM[1]] * 3),
        ([ARM[1]], [ARM[0], ARM[0], ARM[2]], [ARM[0]] * 3),
        (ARM[:2], [ARM[2]] * 3, [ARM[2]] * 3),
        (ARM, [NECK] * 3, [NECK] * 3),
        ([*ARM, NECK], [PELVIS] * 3, [PELVIS] * 3),
        ([*ARM, NECK, PELVIS], [-1] * 3, None),
        ([NECK, PELVIS], ARM, None),
    ],
)
def test_a_lost_joint_is_read_elsewhere(lost, paper, mehta):
    bones, uv, labelled, depth = apart(people=1)
    maps, _ = orpm.encode(bones, uv, labelled, depth, GRID)
    found = labelled.clone()
    found[..., lost] = False
    read, site = orpm.read(maps, uv, found, GRID, "paper", MEAN)
    assert site[0, 0, ARM].tolist() == paper
    assert torch.equal(read[0, 0, ARM], MEAN[ARM] if paper == [-1] * 3 else bones[0, 0, ARM])
    read, site = orpm.read(maps, uv, found, GRID, "mehta", MEAN)
    if mehta is None:
        assert read.isnan().all() and (site == -1).all()
    else:
        assert site[0, 0, ARM].tolist() == mehta and torch.equal(read, bones)
    read, site = orpm.read(maps, uv, found, GRID, "naive", MEAN)
    assert torch.equal(read[0, 0], torch.where(found[0, 0, :, None], bones[0, 0], MEAN))
    assert torch.equal(site[0, 0], torch.where(found[0, 0], torch.arange(17), -1))


@given(seeds)
def test_drop_out_costs_nothing_while_neck_or_pelvis_is_left(seed):
    bones, uv, labelled, depth = apart(seed)
    maps, _ = orpm.encode(bones, uv, labelled, depth, GRID)
    found = torch.from_numpy(np.random.default_rng(seed).random((1, 3, 17)) < 0.4)
    anchored = found[..., NECK] | found[..., PELVIS]
    for readout in ("paper", "mehta"):
        read, site = orpm.read(maps, uv, found, GRID, readout, MEAN)
        assert torch.equal(read[anchored], bones[anchored]) and (site[anchored] >= 0).all()
    assert read[~anchored].isnan().all()


def test_who_was_not_found_at_all_is_not_there():
    bones, uv, labelled, depth = apart()
    maps, _ = orpm.encode(bones, uv, labelled, depth, GRID)
    labelled[:, 1] = False
    for readout in ("paper", "mehta", "naive"):
        read, site = orpm.read(maps, uv, labelled, GRID, readout, MEAN)
        assert read[0, 1].isnan().all() and (site[0, 1] == -1).all()
        assert torch.equal(read[0, [0, 2]], bones[0, [0, 2]])


def lattice():
    """Two people, every joint of either four cells from every other."""
    joint, person = torch.arange(17), torch.arange(2)[:, None]
    column, row = 4 * (joint % 4) + 16 * person, 4 * (joint // 4).expand(2, 17)
    bones, _, labelled, depth = apart(people=2)
    return bones, GRID.centres(torch.stack([row, column], -1))[None], labelled, depth


def test_a_neighbour_s_wrist_spoils_mine_for_the_arm_and_for_nothing_else():
    bones, uv, labelled, depth = lattice()
    uv[0, 1, ARM[0]] = uv[0, 0, ARM[0]] + torch.tensor([4.0, 0])
    maps, _ = orpm.encode(bones, uv, labelled, depth, GRID)

    def sites_of(found):
        return orpm.read(maps, uv, found, GRID, "paper", MEAN)[1][0, 0]

    site = sites_of(labelled)
    expected = torch.arange(17)
    expected[ARM[0]] = ARM[1]
    assert torch.equal(site, expected)
    for hidden, then in ((ARM[1], ARM[2]), (ARM[2], ARM[1])):  # nor are elbow and shoulder read at my wrist
        found = labelled.clone()
        found[0, 0, hidden] = False
        assert sites_of(found)[hidden] == then
    found = labelled.clone()  # a wrist that was not found is in nobody's way
    found[0, 1, ARM[0]] = False
    assert torch.equal(sites_of(found), torch.arange(17))


def test_a_neighbour_s_ankle_is_not_in_a_wrist_s_way():
    bones, uv, labelled, depth = lattice()
    uv[0, 1, LEG[0]] = uv[0, 0, ARM[0]]
    maps, _ = orpm.encode(bones, uv, labelled, depth, GRID)
    read, site = orpm.read(maps, uv, labelled, GRID, "paper", MEAN)
    assert torch.equal(site[0, 0], torch.arange(17)) and torch.equal(read, bones)


@pytest.mark.parametrize(("gap", "valid"), [((3, 0), True), ((0, 3), True), ((3, 2), True), ((2, 2), False),
                                            ((2, 0), False), ((0, 0), False)])  # fmt: skip
def test_a_distance_is_counted_in_rows_or_columns_and_may_be_t_d(gap, valid):
    uv = torch.full((2, 17, 2), torch.nan)
    uv[0, NECK] = torch.tensor([42.0, 42])
    uv[1, NECK] = uv[0, NECK] + 4 * torch.tensor(gap)
    _, site = orpm.read(torch.zeros(17, 3, 24, 32), uv, torch.ones(2, 17, dtype=torch.bool), GRID, "paper", MEAN)
    assert (site == (NECK if valid else -1)).all()


def test_scores_have_to_exceed_t_c_and_pixels_to_be_on_the_map():
    uv = torch.full((1, 17, 2), 10.0)
    uv[0, ARM[1]] = torch.nan
    uv[0, ARM[2]] = torch.tensor([128.0, 5])
    score = torch.full((1, 17), 0.5)
    score[0, ARM[0]] = 0.2
    maps = torch.zeros(17, 3, 24, 32)
    _, site = orpm.read(maps, uv, score, GRID, "naive", MEAN, t_c=0.2)
    assert (site == -1).nonzero()[:, 1].tolist() == sorted(ARM)
    _, site = orpm.read(maps, uv, score, GRID, "naive", MEAN, t_c=0.19)
    assert site[0, ARM].tolist() == [ARM[0], -1, -1]


def read_plainly(maps, uv, found, readout, t_d):
    """One picture's people, one joint at a time, as ORPM-AE section 3.2 tells it."""
    rho, people = orpm.sites(), len(uv)
    cell = [[tuple((x // 4).int().tolist()) for x in person] for person in uv.nan_to_num(-9)]
    ok = [[bool(found[p, j]) and 0 <= cell[p][j][0] < 32 and 0 <= cell[p][j][1] < 24 for j in range(17)]
          for p in range(people)]  # fmt: skip

    def valid(p, j, s):
        if not ok[p][s]:
            return False
        others = [cell[o][t] for o in range(people) for t in range(17) if o != p and ok[o][t] and rho[j, t]]
        return all(max(abs(a - b) for a, b in zip(cell[p][s], other, strict=True)) >= t_d for other in others)

    limbs = [[MPI17.index(f"{side}_{j}") for j in limb] for side in "rl" for limb in
             (("wrist", "elbow", "shoulder"), ("ankle", "knee", "hip"))] + [[0, HEAD]]  # fmt: skip
    out, sites = torch.full((people, 17, 3), torch.nan), torch.full((people, 17), -1)
    for p in range(people):
        if not any(ok[p]):
            continue
        if readout == "mehta":
            base = next((s for s in (NECK, PELVIS) if valid(p, s, s)), None)
            if base is None:
                continue
            sites[p] = base
            for limb in limbs:
                at = next((s for s in limb if valid(p, limb[0], s)), base)
                sites[p, limb] = at
        else:
            for j in range(17):
                limb = next((limb for limb in limbs if j in limb), [])
                for s in [j, *limb, NECK, PELVIS] if readout == "paper" else [j]:
                    if valid(p, j, s) if readout == "paper" else ok[p][s]:
                        sites[p, j] = s
                        break
        for j in range(17):
            s = sites[p, j].item()
            out[p, j] = MEAN[j] if s < 0 else maps[j, :, cell[p][s][1], cell[p][s][0]]
    return out, sites


@given(seeds, st.sampled_from(["paper", "mehta", "naive"]))
def test_reading_is_as_read_plainly(seed, readout):
    bones, uv, labelled, depth = crowd(seed, 4)
    maps, _ = orpm.encode(bones, uv, labelled, depth, GRID)
    read, site = orpm.read(maps[0], uv[0], labelled[0], GRID, readout, MEAN, t_d=2)
    expected, sites = read_plainly(maps[0], uv[0], labelled[0], readout, 2)
    assert torch.equal(site, sites)
    torch.testing.assert_close(read, expected, equal_nan=True, rtol=0, atol=0)


@given(seeds, st.sampled_from(["paper", "mehta", "naive"]))
def test_several_pictures_are_as_each_alone_and_people_in_any_order(seed, readout):
    bones, uv, labelled, depth = crowd(seed, 4, batch=3)
    maps, mask = orpm.encode(bones, uv, labelled, depth, GRID)
    read, site = orpm.read(maps, uv, labelled, GRID, readout, MEAN)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(4))
    for b in range(3):
        alone, there = orpm.encode(bones[b : b + 1], uv[b : b + 1], labelled[b : b + 1], depth[b : b + 1], GRID)
        assert torch.equal(alone[0], maps[b]) and torch.equal(there[0], mask[b])
        one, at = orpm.read(maps[b], uv[b, order], labelled[b, order], GRID, readout, MEAN)
        torch.testing.assert_close(one, read[b, order], equal_nan=True, rtol=0, atol=0)
        assert torch.equal(at, site[b, order])


@given(seeds)
def test_mirrored_people_make_mirrored_maps(seed):
    bones, uv, labelled, depth = crowd(seed, 3)
    maps, mask = orpm.encode(bones, uv, labelled, depth, GRID)
    swap, sign = list(MPI17.mirror), torch.tensor([-1.0, 1, 1])
    mirrored = torch.stack([128 - uv[..., 0], uv[..., 1]], -1)[:, :, swap]
    flipped, there = orpm.encode(bones[:, :, swap] * sign, mirrored, labelled[:, :, swap], depth, GRID)
    assert torch.equal(flipped, (maps * sign[:, None, None])[:, swap].flip(-1))
    assert torch.equal(there, mask[:, swap].flip(-1))


@pytest.mark.parametrize("people", [0, 2])
def test_an_empty_picture(people):
    uv = torch.full((1, people, 17, 2), torch.nan)
    nobody = torch.zeros(1, people, 17, dtype=torch.bool)
    maps, mask = orpm.encode(torch.full((1, people, 17, 3), torch.nan), uv, nobody, torch.full((1, people), torch.nan), GRID)  # fmt: skip  # noqa: E501
    assert not maps.any() and not mask.any() and maps.shape == (1, 17, 3, 24, 32)
    for readout in ("paper", "mehta", "naive"):
        read, site = orpm.read(maps, uv, nobody, GRID, readout, MEAN)
        assert read.shape == (1, people, 17, 3) and read.isnan().all() and (site == -1).all()


def test_bad_input_is_named(unchecked):
    bones, uv, labelled, depth = apart()
    with pytest.raises(BadInput, match="joints: found 17, expected 15 of SMAP15"):
        orpm.encode(bones, uv, labelled, depth, GRID, skeleton=SMAP15)
    with pytest.raises(BadInput, match="readout"):
        orpm.read(torch.zeros(1, 17, 3, 24, 32), uv, labelled, GRID, "nearest", MEAN)
    with pytest.raises(BadInput, match="joints"):
        orpm.read(torch.zeros(1, 17, 3, 24, 32), uv, labelled, GRID, "paper", MEAN, skeleton=SMAP15)
    with pytest.raises(BadInput, match=r"orpm.read: maps: found \(32, 24\), expected the grid's \(24, 32\)"):
        orpm.read(torch.zeros(1, 17, 3, 32, 24), uv, labelled, GRID, "paper", MEAN)
