"""The one pixel convention."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings.grid import Grid
from mp3d.errors import BadInput


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 4, 8]))
def test_a_cell_s_centre_lies_in_that_cell(width, height, stride):
    grid = Grid.over(width * stride, height * stride, stride)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    cells = torch.stack([rows, columns], -1)
    found, inside = grid.cells(grid.centres(cells))
    assert inside.all() and torch.equal(found, cells)
    u, v = grid.axes()
    assert torch.equal(grid.centres(cells), torch.stack(torch.meshgrid(u, v, indexing="xy"), -1))


def test_edges_belong_to_the_cell_to_their_right_and_below():
    grid = Grid(3, 2, 4)
    uv = torch.tensor([[0.0, 0], [4, 3.99], [11.99, 7.99], [12, 0], [0, 8], [-0.01, 0], [float("nan"), 1]])
    cells, inside = grid.cells(uv)
    assert cells[:3].tolist() == [[0, 0], [0, 1], [1, 2]]
    assert inside.tolist() == [True, True, True, False, False, False, False]
    assert ((cells >= 0) & (cells < torch.tensor([2, 3]))).all()  # what is off the map can still be read


def test_maps_of_another_size_are_refused_and_named():
    Grid(3, 2).check(torch.zeros(5, 2, 3), "here")
    for shape in ((3, 2), (1, 2, 4), (2, 2, 2)):
        with pytest.raises(BadInput, match="here: maps: found") as caught:
            Grid(3, 2).check(torch.zeros(shape), "here")
        assert caught.value.found == shape[-2:]


def test_a_stride_that_does_not_divide_the_picture_is_refused():
    with pytest.raises(BadInput, match="multiples of the stride 4"):
        Grid.over(130, 96)
    with pytest.raises(BadInput, match="stride"):
        Grid(3, 2, 0)
