"""Depth maps: normalisation, labels and read-out (SMAP section 3 and its released code; TDBU eq. 2 to 4)."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mp3d.camera import Camera, project
from mp3d.codings import depth
from mp3d.codings.grid import Grid
from mp3d.codings.raster import on_segments
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17

GRID = Grid.over(128, 96, 4)
BONES = MPI17.limbs
PARENT, CHILD = map(list, zip(*BONES, strict=True))
seeds = st.integers(0, 10**6)
CAMERA = Camera(1100, 1100, 900, 500, 1920, 1080)


def crowd(seed, people, batch=1):
    """People anywhere, some joints unlabelled, some unknown: z, uv, labelled."""
    rng = np.random.default_rng(seed)
    uv = rng.uniform(0, 1, (batch, people, 1, 2)) * [128, 96] + rng.normal(0, 14, (batch, people, 17, 2))
    z = rng.uniform(2000, 9000, (batch, people, 1)) + rng.normal(0, 200, (batch, people, 17))
    z[rng.random(z.shape) < 0.05] = np.nan
    uv[rng.random(z.shape) < 0.05] = np.nan
    uv, z = torch.from_numpy(uv), torch.from_numpy(z)
    return z, uv, ((uv >= 0) & (uv < torch.tensor([128, 96]))).all(-1)


@given(st.floats(500, 1e5), st.floats(100, 4000), st.floats(0.05, 4), st.integers(50, 4000))
def test_normalised_depth_does_not_change_with_the_picture_s_size_and_goes_back(z, focal, scale, width):
    z = torch.tensor([z], dtype=torch.float64)
    paper, released = depth.normalise(z, focal, width), depth.normalise(z, focal * scale)
    torch.testing.assert_close(depth.normalise(z, focal * scale, width * scale), paper)
    torch.testing.assert_close(released * width * scale, paper)
    torch.testing.assert_close(depth.denormalise(paper, focal, width), z)
    torch.testing.assert_close(depth.denormalise(released, focal * scale), z)


def test_pictures_of_two_fields_of_view_that_look_alike_have_one_depth():
    # The same person, twice as far, under a lens of twice the focal length: the same picture, but for perspective.
    z, focal = torch.tensor([3000.0, 6000.0]), torch.tensor([500.0, 1000.0])
    for width in (1, 1280):
        near, far = depth.normalise(z, focal, width)
        assert near == far


def test_a_length_across_the_line_of_sight_is_that_many_released_depths_long():
    ends = torch.tensor([[100.0, 200, 4000], [400.0, 600, 4000]])  # 500 mm, fronto-parallel
    scale = 0.25
    camera = CAMERA.resize(480, 270)
    uv = project(ends, torch.from_numpy(camera.k).float())
    per_pixel = depth.normalise(ends[:1, 2], CAMERA.fx * scale)
    torch.testing.assert_close((uv[1] - uv[0]).norm(), 500 / per_pixel[0])


@given(seeds, st.integers(0, 2))
def test_points_are_as_painted_from_far_to_near(seed, radius):
    z, uv, on = crowd(seed, 4, batch=2)
    near = z[..., 14].nan_to_num(1e9)
    maps, mask = depth.encode_points(z, uv, on, near, GRID, radius)
    expected, there = torch.zeros_like(maps), torch.zeros_like(mask)
    for b in range(2):
        for p in near[b].argsort(descending=True, stable=True).tolist():
            for j in range(17):
                if on[b, p, j] and z[b, p, j].isfinite():
                    column, row = (uv[b, p, j] // 4).int().tolist()
                    rows = slice(max(row - radius, 0), row + radius + 1)
                    columns = slice(max(column - radius, 0), column + radius + 1)
                    expected[b, j, rows, columns], there[b, j, rows, columns] = z[b, p, j], True
    assert torch.equal(maps, expected) and torch.equal(mask, there)


def test_the_nearer_root_has_the_cell_and_is_read_exactly():
    z = torch.tensor([[5000.0, 3000.0, 4000.0, float("nan")]])
    uv = torch.tensor([[[50.0, 50], [53, 50], [100, 20], [10, 10]]])
    maps, mask = depth.encode_root(z, uv, torch.ones(1, 4, dtype=torch.bool), GRID)
    assert maps.shape == (1, 1, 24, 32) and mask.sum() == 9 + 3 + 9  # the third person stands apart
    # 50 lies in column 12, 53 in column 13: the nearer one has all but one column of the farther one's square.
    assert (maps[0, 0, 11:14, 12:15] == 3000).all() and (maps[0, 0, 11:14, 11] == 5000).all()
    read = depth.read_root(maps, uv, GRID)
    assert read[0, :3].tolist() == [3000, 3000, 4000] and read[0, 3] == 0
    off = torch.tensor([[[float("nan"), 3], [128, 3], [3, -0.1], [0, 95.9]]])
    assert depth.read_root(maps, off, GRID).isnan().tolist() == [[True, True, True, False]]


def test_each_joint_is_read_from_its_own_map():
    maps = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    uv = torch.tensor([[1.0, 2], [9, 3], [4.5, 0.5]]) + torch.zeros(2, 2, 3, 2)
    uv[1, 1] = uv[1, 1].flip(0)
    read = depth.read_points(maps, uv, Grid(5, 4, 2))
    assert read.shape == (2, 2, 3)
    assert read[0, 0].tolist() == [maps[0, 0, 1, 0], maps[0, 1, 1, 4], maps[0, 2, 0, 2]]
    assert read[1, 1].tolist() == [maps[1, 0, 0, 2], maps[1, 1, 1, 4], maps[1, 2, 1, 0]]


@given(seeds, st.sampled_from(["mean", "near"]))
def test_parts_are_the_child_s_depth_less_the_parent_s(seed, overlap):
    z, uv, labelled = crowd(seed, 3, batch=2)
    maps, mask = depth.encode_parts(z, uv, labelled, BONES, GRID, 1.5, overlap)
    for b in range(2):
        for e, (parent, child) in enumerate(BONES):
            covered, total, nearest = torch.zeros(24, 32), torch.zeros(24, 32, dtype=z.dtype), {}
            for p in range(3):
                if labelled[b, p, [parent, child]].all() and z[b, p, [parent, child]].isfinite().all():
                    on = on_segments(uv[b, p, parent], uv[b, p, child], GRID, 1.5)
                    difference = z[b, p, child] - z[b, p, parent]
                    covered, total = covered + on, total + on * difference
                    nearest[z[b, p, [parent, child]].sum().item()] = (on, difference)
            expected = total / covered.clamp(min=1)
            if overlap == "near":
                for _, (on, difference) in sorted(nearest.items(), key=lambda item: -item[0]):
                    expected[on] = difference
            assert torch.equal(mask[b, e], covered > 0)
            torch.testing.assert_close(maps[b, e], expected)


@given(seeds, st.sampled_from(["mean", "near"]))
def test_parts_change_their_sign_with_the_ends_and_nothing_with_the_order_of_people(seed, overlap):
    z, uv, labelled = crowd(seed, 4, batch=2)
    maps, mask = depth.encode_parts(z, uv, labelled, BONES, GRID, 2, overlap)
    turned, same = depth.encode_parts(z, uv, labelled, [(c, p) for p, c in BONES[:2]], GRID, 2, overlap)
    torch.testing.assert_close(turned, -maps[:, :2])
    assert torch.equal(same, mask[:, :2])
    order = torch.from_numpy(np.random.default_rng(seed).permutation(4))
    again, same = depth.encode_parts(z[:, order], uv[:, order], labelled[:, order], BONES, GRID, 2, overlap)
    torch.testing.assert_close(again, maps)
    assert torch.equal(same, mask)
    padded = [torch.cat([x, torch.full_like(x[:, :1], nan)], 1) for x, nan in
              ((z, torch.nan), (uv, torch.nan), (labelled, False))]  # fmt: skip
    torch.testing.assert_close(depth.encode_parts(*padded, BONES, GRID, 2, overlap)[0], maps)
    alone, _ = depth.encode_parts(z[1:], uv[1:], labelled[1:], BONES, GRID, 2, overlap)
    torch.testing.assert_close(alone[0], maps[1])


@given(seeds)
def test_a_person_alone_comes_back_joint_by_joint(seed):
    rng = np.random.default_rng(seed)
    uv = torch.from_numpy(rng.uniform(0, 1, (1, 1, 17, 2)) * [128, 96])
    assume((uv[..., PARENT, :] - uv[..., CHILD, :]).norm(dim=-1).min() >= GRID.stride)
    z = torch.from_numpy(rng.uniform(2000, 4000, (1, 1, 17)))
    labelled = torch.ones(1, 1, 17, dtype=torch.bool)
    parts, _ = depth.encode_parts(z, uv, labelled, BONES, GRID, 1)
    roots, _ = depth.encode_root(z[..., 14], uv[..., 14, :], labelled[..., 14], GRID)
    dz = depth.read_parts(parts, uv[..., PARENT, :], uv[..., CHILD, :], GRID)
    root = depth.read_root(roots, uv[..., 14, :], GRID)
    torch.testing.assert_close(depth.chain(dz, root, BONES), z)


@given(seeds, st.integers(2, 12))
def test_a_part_s_read_out_is_the_winsorised_mean(seed, samples):
    rng = np.random.default_rng(seed)
    maps = torch.from_numpy(rng.normal(0, 100, (2, 3, 24, 32)))
    a, b = torch.from_numpy(rng.uniform(0, 1, (2, 2, 4, 3, 2)) * [128, 96])
    read = depth.read_parts(maps, a, b, GRID, samples)
    for index in np.ndindex(2, 4, 3):
        t = np.linspace(0, 1, samples)[:, None]
        points = a[index].numpy() * (1 - t) + b[index].numpy() * t
        column, row = np.floor(points / 4).astype(int).T
        found = maps[index[0], index[2]].numpy()[row, column]
        low, high = np.percentile(found, [10, 90])
        assert read[index].item() == pytest.approx(np.clip(found, low, high).mean())
    one = depth.read_parts(maps[0], a[0], b[0], GRID, samples)
    torch.testing.assert_close(one, read[0])


def test_one_outlier_among_ten_does_little():
    maps = torch.full((1, 1, 24), 50.0)
    a, b = torch.tensor([[[2.0, 2.0]]]), torch.tensor([[[38.0, 2.0]]])  # ten cells in a row
    grid = Grid(24, 1, 4)
    assert depth.read_parts(maps, a, b, grid).item() == 50
    for outlier in (1e3, 1e6):
        maps[0, 0, 4] = outlier
        # It is pulled in to the 90th percentile, a tenth of the way to it.
        assert depth.read_parts(maps, a, b, grid).item() == pytest.approx(50 + (outlier - 50) / 100)
    maps[0, 0, 4] = -1e3
    assert depth.read_parts(maps, a, b, grid).item() == pytest.approx(50 - 1050 / 100)


def test_a_bone_with_an_end_off_the_map_or_unknown_is_nan():
    ends = torch.tensor([[5.0, 5], [float("nan"), 5], [200, 5], [5, -1]])[None]
    read = depth.read_parts(torch.ones(4, 24, 32), ends, torch.full((1, 4, 2), 6.0), GRID)
    assert read.isnan().tolist() == [[False, True, True, True]]


@given(seeds)
def test_a_chain_is_the_sum_along_the_tree_whatever_the_order_of_bones(seed):
    rng = np.random.default_rng(seed)
    dz, root = torch.from_numpy(rng.normal(0, 100, (2, 16))), torch.tensor([3000.0, 5000], dtype=torch.float64)
    order = rng.permutation(16)
    z = depth.chain(dz[:, order], root, [BONES[e] for e in order])
    for joint in range(17):
        expected, at = root.clone(), joint
        while MPI17.parents[at] >= 0:
            expected += dz[:, CHILD.index(at)]
            at = MPI17.parents[at]
        torch.testing.assert_close(z[:, joint], expected)
    dz[0, CHILD.index(MPI17.index("neck"))] = torch.nan
    lost = depth.chain(dz, root, BONES).isnan()
    assert not lost[1].any() and not lost[0, [8, 9, 10, 11, 12, 13, 14, 15]].any() and lost[0].sum() == 9


@pytest.mark.parametrize("people", [0, 1])
def test_an_empty_picture(people):
    z, uv = torch.full((1, people, 17), torch.nan), torch.full((1, people, 17, 2), torch.nan)
    nobody = torch.zeros(1, people, 17, dtype=torch.bool)
    for overlap in ("mean", "near"):
        maps, mask = depth.encode_parts(z, uv, nobody, BONES, GRID, 1, overlap)
        assert maps.shape == (1, 16, 24, 32) and not maps.any() and not mask.any()
    roots, mask = depth.encode_root(z[..., 14], uv[..., 14, :], nobody[..., 14], GRID)
    assert not roots.any() and not mask.any()
    assert depth.read_root(roots, uv[..., 14, :], GRID).isnan().all()
    assert depth.read_parts(maps, uv[..., PARENT, :], uv[..., CHILD, :], GRID).isnan().all()


def test_bones_seen_end_on_draw_too_and_a_width_away_is_off_the_band():
    uv, labelled = torch.tensor([[[10.0, 22], [13.9, 22], [10, 42], [30, 42]]])[None], torch.ones(1, 1, 4) > 0
    z = torch.tensor([[[0.0, 50, 0, 70]]])
    for overlap in ("mean", "near"):
        maps, mask = depth.encode_parts(z, uv, labelled, [(0, 1), (2, 3)], GRID, 1, overlap)
        assert maps[0, 0][mask[0, 0]].tolist() == [50, 50]
        # Columns 2 to 7, whose centres are 10 to 30 px; those of the rows above and below are a cell off.
        assert mask[0, 1].nonzero().tolist() == [[10, column] for column in range(2, 8)]
        assert (maps[0, 1][mask[0, 1]] == 70).all()


def test_maps_of_another_size_than_the_grid_are_refused():
    maps, uv = torch.ones(1, 1, 32, 24), torch.ones(1, 2, 1, 2)
    for name, read in {
        "read_points": lambda: depth.read_points(maps, uv, GRID),
        "read_root": lambda: depth.read_root(maps, uv[:, :, 0], GRID),
        "read_parts": lambda: depth.read_parts(maps, uv, uv, GRID),
    }.items():
        with pytest.raises(BadInput, match=rf"depth.{name}: maps: found \(32, 24\), expected .*\(24, 32\)"):
            read()


def test_bad_input_is_named(unchecked):
    z = torch.ones(3)
    for focal in (0, -5.0, torch.tensor([1.0, 0, 2])):
        with pytest.raises(BadInput, match="focal"):
            depth.normalise(z, focal)
    with pytest.raises(BadInput, match="width"):
        depth.denormalise(z, 100, 0)
    with pytest.raises(BadInput, match="samples"):
        depth.read_parts(torch.ones(1, 2, 2), torch.ones(1, 1, 2), torch.ones(1, 1, 2), Grid(2, 2), 1)
    for bones in ([(0, 1), (2, 1)], [(0, 3), (0, 1)]):
        with pytest.raises(BadInput, match="bones"):
            depth.chain(torch.ones(2), torch.tensor(1.0), bones)
    with pytest.raises(BadInput, match="parents"):
        depth.chain(torch.ones(2), torch.tensor(1.0), [(1, 2), (2, 1)])
    one = z[None, None], torch.ones(1, 1, 3, 2), z[None, None] > 0, [(0, 1)], GRID
    with pytest.raises(BadInput, match="overlap"):
        depth.encode_parts(*one, 1, "far")
    with pytest.raises(BadInput, match="width"):
        depth.encode_parts(*one, 0)
