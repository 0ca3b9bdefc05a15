"""Segments and squares of cells, against loops over cells."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings.grid import Grid
from mp3d.codings.raster import nearest, on_bones, on_segments

seeds = st.integers(0, 10**6)


def distance(point, a, b):
    """From a point to a closed segment, in the plainest way: to the foot of the perpendicular or to the nearer end."""
    along = b - a
    if not along.any():
        return np.linalg.norm(point - a)
    return np.linalg.norm(point - a - np.clip((point - a) @ along / (along @ along), 0, 1) * along)


@given(seeds, st.sampled_from([1, 2, 4]), st.floats(0.3, 3))
def test_a_cell_is_on_a_segment_if_its_centre_is_near_it(seed, stride, width):
    rng = np.random.default_rng(seed)
    grid = Grid(7, 5, stride)
    a, b = rng.uniform(-2 * stride, 9 * stride, (2, 4, 2))
    b[0] = a[0]
    on = on_segments(torch.from_numpy(a), torch.from_numpy(b), grid, width)
    assert on.shape == (4, 5, 7)
    for n, row, column in np.ndindex(*on.shape):
        centre = np.array([column + 0.5, row + 0.5]) * stride
        assert on[n, row, column] == (distance(centre, a[n], b[n]) < width * stride)


def test_the_band_is_open_and_ends_round():
    grid = Grid(8, 5, 4)
    a, b = torch.tensor([[10.0, 10]]), torch.tensor([[22.0, 10]])  # centres of cells (2, 2) and (2, 5)
    assert on_segments(a, b, grid, 1)[0].nonzero().tolist() == [[2, 2], [2, 3], [2, 4], [2, 5]]
    on = on_segments(a, b, grid, 1.01)[0]
    assert on[2].tolist() == [False, True, True, True, True, True, True, False]
    for row in (1, 3):
        assert on[row].tolist() == [False, False, True, True, True, True, False, False]
    assert not on[[0, 4]].any()
    assert torch.equal(on, on_segments(b, a, grid, 1.01)[0])
    assert on_segments(a, a, grid, 1.01).sum() == 5  # a point is a disc


def test_a_segment_without_an_end_covers_nothing():
    a = torch.tensor([[float("nan"), 3], [float("inf"), 3], [3, 3]])
    on = on_segments(a, torch.full((3, 2), 4.0), Grid(4, 4, 2), 2)
    assert not on[:2].any() and on[2].any()
    assert on_segments(torch.zeros(0, 2), torch.zeros(0, 2), Grid(4, 3), 1).shape == (0, 3, 4)


def test_bones_that_draw_are_those_as_long_as_asked():
    a = torch.tensor([[[[10.0, 10], [10, 10], [10, 10], [10, 10]]]])
    b = a + torch.tensor([[4.0, 0], [3.99, 0], [8, 0], [torch.nan, 0]])
    drawn = torch.tensor([[[True, True, False, True]]])
    bones, (n, row, column) = on_bones(a, b, drawn, Grid(8, 5, 4), 1, shortest=1)
    assert [x.tolist() for x in bones] == [[0], [0], [0]]
    assert [x.tolist() for x in (n, row, column)] == [[0, 0], [2, 2], [2, 3]]
    assert on_bones(a, b, drawn, Grid(8, 5, 4), 1)[0][2].tolist() == [0, 1]


@given(seeds, st.integers(0, 2))
def test_near_wins_as_painting_from_far_to_near_does(seed, radius):
    rng = np.random.default_rng(seed)
    batch, people, grid = 2, 4, Grid(6, 5, 4)
    channel = torch.tensor([0, 2, 2])
    uv = torch.from_numpy(rng.uniform(-6, 30, (batch, people, 3, 2)))
    on = torch.from_numpy(rng.random((batch, people, 3)) < 0.8)
    uv[torch.from_numpy(rng.random((batch, people, 3)) < 0.1)] = torch.nan
    depth = torch.from_numpy(rng.integers(1, 4, (batch, people)).astype(float))  # with ties
    depth[torch.from_numpy(rng.random((batch, people)) < 0.1)] = torch.nan
    owner = nearest(uv, on, channel, depth, grid, 3, radius)

    painted = np.full((batch, 3, 5, 6), -1)
    for b in range(batch):
        far_first = sorted(range(people), key=lambda p: (-np.nan_to_num(depth[b, p].item(), nan=np.inf), -p))
        for p in far_first:
            for s, c in enumerate(channel.tolist()):
                (row, column), inside = (x.numpy() for x in grid.cells(uv[b, p, s]))
                if on[b, p, s] and inside:
                    rows = slice(max(row - radius, 0), row + radius + 1)
                    painted[b, c, rows, max(column - radius, 0) : column + radius + 1] = p
    assert np.array_equal(owner.numpy(), painted)


def test_nobody_writes_nothing():
    owner = nearest(torch.zeros(2, 0, 1, 2), torch.zeros(2, 0, 1, dtype=torch.bool), torch.tensor([0]),
                    torch.zeros(2, 0), Grid(3, 2), 1)  # fmt: skip
    assert owner.shape == (2, 1, 2, 3) and (owner == -1).all()
