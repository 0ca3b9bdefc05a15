"""Which cells of a map bones cover, and whose square of cells lies in front where people overlap."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.codings.grid import Grid


def on_segments(
    a: Float[Tensor, "*segments 2"], b: Float[Tensor, "*segments 2"], grid: Grid, width: float | int
) -> Bool[Tensor, "*segments H W"]:
    """Whether a cell's centre lies less than `width` cells from the segment from `a` to `b`, both ends included.

    Parameters
    ----------
    a, b : (..., 2) px; a segment with an end that is not finite covers no cell, one of length zero a disc
    width : half the width of the band, cells; a centre at exactly this distance is off it
    """
    along = b - a
    step = along / along.square().sum(-1, keepdim=True).clamp(min=1e-12)
    u, v = (axis.to(a) for axis in grid.axes(a.device))
    du, dv = (u - a[..., :1])[..., None, :], (v - a[..., 1:])[..., :, None]
    # The foot of the perpendicular from each centre, held between the ends. Rows and columns meet in this sum alone.
    foot = (du * step[..., 0, None, None] + dv * step[..., 1, None, None]).clamp_(0, 1)
    off = torch.addcmul(du, foot, along[..., 0, None, None], value=-1).square_()
    off_v = torch.addcmul(dv, foot, along[..., 1, None, None], value=-1)
    return off.addcmul_(off_v, off_v) < (width * grid.stride) ** 2


def on_bones(
    a: Float[Tensor, "B P E 2"],
    b: Float[Tensor, "B P E 2"],
    drawn: Bool[Tensor, "B P E"],
    grid: Grid,
    width: float | int,
    shortest: float | int = 0,
) -> tuple[tuple[Int[Tensor, " N"], ...], tuple[Int[Tensor, " cells"], ...]]:
    """The bones that draw something and the cells on them, as `on_segments`.

    Parameters
    ----------
    a, b : (B, P, E, 2) px
    drawn : (B, P, E) whether a bone draws
    shortest : cells; shorter bones draw nothing

    Returns
    -------
    bones : picture, person and bone of each of the N
    cells : which of the N, row and column of each cell on one
    """
    # Only the bones there are: most places of a padded batch are empty.
    bones = (drawn & ((b - a).norm(dim=-1) >= shortest * grid.stride)).nonzero(as_tuple=True)
    return bones, on_segments(a[bones], b[bones], grid, width).nonzero(as_tuple=True)


def nearest(
    uv: Float[Tensor, "B P S 2"],
    on: Bool[Tensor, "B P S"],
    channel: Int[Tensor, " S"],
    depth: Float[Tensor, "B P"],
    grid: Grid,
    channels: int,
    radius: int = 1,
) -> Int[Tensor, "B C H W"]:
    """Whose squares of (2 radius + 1)² cells lie in front: near wins, and values of two people are never mixed.

    Parameters
    ----------
    uv : (B, P, S, 2) px, the sites at which each person is written
    on : (B, P, S) whether a site counts; one off the map never does
    channel : (S,) the map that each site belongs to
    depth : (B, P) any unit; the nearest person has a cell, of equally near ones the first; NaN counts as farthest

    Returns
    -------
    owner : (B, C, H, W) index of the person, -1 where nobody wrote
    """
    batch, people = depth.shape
    order = torch.where(depth.isnan(), torch.inf, depth).argsort(stable=True, dim=1)
    cells, inside = grid.cells(uv)
    span = torch.arange(-radius, radius + 1, device=uv.device)
    rows, columns = cells[..., 0, None, None] + span[:, None], cells[..., 1, None, None] + span
    on = (on & inside)[..., None, None] & (rows >= 0) & (rows < grid.height) & (columns >= 0) & (columns < grid.width)
    first = torch.arange(batch, device=uv.device)[:, None, None] * channels + channel
    place = (first[..., None, None] * grid.height + rows) * grid.width + columns
    # Who comes first in the order of depth has the least rank: a minimum does not depend on the order of writing.
    size = batch * channels * grid.height * grid.width
    ranks = torch.full((size + 1,), people, device=uv.device)
    place = torch.where(on, place, size)  # what does not count goes to a cell behind the last
    rank = order.argsort(1)[..., None, None, None].expand_as(place)
    ranks.scatter_reduce_(0, place.flatten(), rank.flatten(), "amin")
    order = torch.cat([order, order.new_full((batch, 1), -1)], 1)
    return order.gather(1, ranks[:size].view(batch, -1)).view(batch, channels, grid.height, grid.width)
