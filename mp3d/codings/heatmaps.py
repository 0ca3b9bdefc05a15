"""Gaussian heatmaps: where a joint of some person is, one map a joint type (Tompson et al., NIPS 2014).

Every bottom-up method of this field starts from them. A map says that somebody's joint is here, not whose: that is
what `tags` and `affinity` add. Where several people's Gaussians meet, a cell holds their maximum; a sum would grow a
peak between two people (Cao et al., CVPR 2017, section 2.2).

What they cannot hold: two people's same joint in one cell, or less than about two sigmas apart, is one peak; of two
that stay apart, each is moved by the other's flank; `plateaus="none"` loses both of two equal neighbours. A joint off
the map draws nothing, even where its Gaussian would reach onto it: nobody could tell that joint's place.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.codings.grid import Grid
from mp3d.errors import BadInput


@dataclass(frozen=True, eq=False)
class Peaks:
    """Up to K detections of each joint type, by falling score; equal scores in the order of rows, then columns.

    Parameters
    ----------
    uv : (B, J, K, 2) px; NaN where there is none
    score : (B, J, K) the map's value at the peak; 0 where there is none
    cell : (B, J, K, 2) (row, column) of the peak; (0, 0) where there is none, so that it can be read everywhere
    found : (B, J, K) whether there is one
    """

    uv: Float[Tensor, "B J K 2"]
    score: Float[Tensor, "B J K"]
    cell: Int[Tensor, "B J K 2"]
    found: Bool[Tensor, "B J K"]

    def take(
        self, picture: int, chosen: Int[Tensor, "N J"]
    ) -> tuple[Float[Tensor, "N J 2"], Float[Tensor, "N J"], Int[Tensor, "N J 2"]]:
        """uv, score and cell of grouped people: `chosen` indexes one picture's K detections, -1 is a missing joint."""
        joints, there = torch.arange(chosen.shape[1], device=chosen.device), chosen >= 0
        at = (picture, joints, chosen.clamp(min=0))
        uv, score, cell = self.uv[at], self.score[at], self.cell[at]
        return uv.where(there[..., None], torch.nan), score * there, cell * there[..., None]


def encode(
    uv: Float[Tensor, "B P J 2"],
    labelled: Bool[Tensor, "B P J"],
    grid: Grid,
    sigma: float | int,
    centre: Literal["exact", "cell"] = "exact",
) -> Float[Tensor, "B J H W"]:
    """Heatmaps of people: at each cell's centre the largest of their Gaussians exp(-d^2 / (2 sigma^2)).

    Parameters
    ----------
    uv : px
    labelled : joints that are drawn, if they lie on the map; the positions of others may be NaN
    sigma : cells
    centre : "exact" draws around the joint itself; "cell" around the centre of its cell, which then holds exactly 1,
        as ORPM-AE's, SMAP's and most public code does: what lies between the cells is lost

    Raises
    ------
    BadInput : a sigma that is not positive, an unknown centre
    """
    if centre not in ("exact", "cell"):
        raise BadInput("heatmaps.encode", "centre", repr(centre), "'exact' or 'cell'")
    if not sigma > 0:
        raise BadInput("heatmaps.encode", "sigma", sigma, "a positive number of cells")
    cells, inside = grid.cells(uv)
    drawn = inside & labelled
    middle = grid.centres(cells).to(uv.dtype) if centre == "cell" else uv
    scale = 2**0.5 * sigma * grid.stride
    u, v = (
        ((axis - at[..., None]) / scale).square().where(drawn[..., None], torch.inf)
        for axis, at in zip(grid.axes(uv.device), middle.unbind(-1), strict=True)
    )
    # Person by person: all at once would take as much memory as all their maps.
    least = uv.new_full((len(uv), uv.shape[2], grid.height, grid.width), torch.inf)
    for one_u, one_v in zip(u.unbind(1), v.unbind(1), strict=True):
        least = torch.minimum(least, one_u[..., None, :] + one_v[..., None])
    return least.neg().exp()


def _highest(maps: Tensor, threshold: float, window: int, plateaus: str) -> tuple[Tensor, ...]:
    """Picture, joint, row and column of the cells above the threshold that are the highest of their window."""
    reach = window // 2
    padded = F.pad(maps, (reach,) * 4, value=-torch.inf)
    width, values = padded.shape[-1], padded.flatten()
    # Few cells are above the threshold, and fewer are left by each neighbour: the rest need not be looked at.
    at = (values > threshold).nonzero()[:, 0]
    score = values[at]
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            if (row, column) == (0, 0):
                continue
            other = values[at + row * width + column]
            strict = plateaus == "none" or (row, column) < (0, 0)
            stays = score > other if strict else score >= other
            at, score = at[stays], score[stays]
    picture, joint, row, column = torch.unravel_index(at, padded.shape)
    return picture, joint, row - reach, column - reach


def _offsets(maps: Tensor, at: tuple[Tensor, ...], refine: str) -> Tensor:
    """(row, column) of the refined peaks against their cells' centres, cells."""
    plane, cell, size = at[:2], torch.stack(at[2:], -1), torch.tensor(maps.shape[-2:], device=maps.device)
    offset = torch.zeros(cell.shape, dtype=torch.promote_types(maps.dtype, torch.float32), device=maps.device)
    if refine == "centroid":
        steps = torch.arange(-3, 4, device=maps.device)
        rows, columns = cell[:, :1] + steps, cell[:, 1:] + steps
        on = [(x >= 0) & (x < n) for x, n in zip((rows, columns), size, strict=True)]
        rows, columns = (x.clamp(min=0).minimum(n - 1) for x, n in zip((rows, columns), size, strict=True))
        weight = maps[plane[0][:, None, None], plane[1][:, None, None], rows[:, :, None], columns[:, None]].to(offset)
        weight = weight.clamp(min=0) * (on[0][:, :, None] & on[1][:, None])
        total = weight.sum((1, 2))
        return torch.stack([(weight.sum(2) * steps).sum(1), (weight.sum(1) * steps).sum(1)], -1) / total[:, None]
    if refine == "none":
        return offset
    for axis in range(2):
        if size[axis] < 3:  # three samples are needed to see on which side the top lies
            continue
        # At the border the three samples next to it: "log" finds a Gaussian's top from any three.
        middle = cell.clone()
        middle[:, axis] = cell[:, axis].clamp(1, int(size[axis]) - 2)
        step = torch.zeros_like(cell)
        step[:, axis] = 1
        low, here, high = (maps[(*plane, *(middle + k * step).unbind(-1))].to(offset) for k in (-1, 0, 1))
        moved = middle[:, axis] - cell[:, axis]
        if refine == "log":
            low, here, high = (x.clamp(min=torch.finfo(x.dtype).tiny).log() for x in (low, here, high))
            bend = low - 2 * here + high
            top = torch.where(bend < 0, moved + (low - high) / (2 * bend), 0)
            offset[:, axis] = top.clamp(-0.5, 0.5)  # a peak lies in its own cell
        else:
            offset[:, axis] = torch.where(moved == 0, 0.25 * (high - low).sign(), 0)
    return offset


def peaks(
    maps: Float[Tensor, "B J H W"],
    grid: Grid,
    count: int = 30,
    threshold: float | int = 0.1,
    window: int = 3,
    refine: Literal["none", "quarter", "log", "centroid"] = "log",
    plateaus: Literal["one", "none"] = "one",
) -> Peaks:
    """The maps' highest cells, and where between the cells the joints are.

    A peak is above the threshold, above all cells of its window that come before it (in rows, then columns), and not
    below any that comes after: two equal neighbours are one peak, the first. `plateaus="none"` asks for more than all
    others of the window, as SMAP's released code does: two equal neighbours are no peak. Border cells take part. A NaN
    is no peak, and its neighbours are none.

    Parameters
    ----------
    count : K, of each joint type; ORPM-AE's code keeps 30
    window : side of the square in which a peak is alone, cells, odd; here 3 at maps of 32 cells, 5 at 128
    refine : "none": the cell's centre. "quarter": a quarter cell to the higher neighbour (Newell et al.; nothing at
        the border). "log": the top of the parabola through the logarithms, in each axis, the second-order step of
        Zhang et al. (CVPR 2020): exact for one Gaussian of `centre="exact"`. "centroid": of the positive values
        in the 7x7 window (SMAP's release), which pulls neighbours towards one another

    Raises
    ------
    BadInput : maps of another size than the grid, a count below 1, an even window, a threshold below 0, an unknown
        refinement or rule for plateaus
    """
    grid.check(maps, "heatmaps.peaks")
    if refine not in ("none", "quarter", "log", "centroid"):
        raise BadInput("heatmaps.peaks", "refine", repr(refine), "'none', 'quarter', 'log' or 'centroid'")
    if plateaus not in ("one", "none"):
        raise BadInput("heatmaps.peaks", "plateaus", repr(plateaus), "'one' or 'none'")
    if count < 1:
        raise BadInput("heatmaps.peaks", "count", count, "1 or more")
    if window < 1 or window % 2 == 0:
        raise BadInput("heatmaps.peaks", "window", window, "an odd number")
    if not threshold >= 0:
        raise BadInput("heatmaps.peaks", "threshold", threshold, "0 or more")
    maps = maps.detach()
    batch, joints = maps.shape[:2]
    at = _highest(maps, threshold, window, plateaus)
    score = maps[at]
    # By falling score within each map; both sorts are stable, so equal scores keep the order of the cells.
    order = score.argsort(descending=True, stable=True)
    order = order[(at[0] * joints + at[1])[order].argsort(stable=True)]
    plane = (at[0] * joints + at[1])[order]
    number = torch.bincount(plane, minlength=batch * joints)
    rank = torch.arange(len(plane), device=maps.device) - (number.cumsum(0) - number)[plane]
    order, slot = order[rank < count], (plane * count + rank)[rank < count]
    at, score = tuple(x[order] for x in at), score[order]
    cell = torch.stack(at[2:], -1)
    uv = grid.centres(cell) + _offsets(maps, at, refine).flip(-1) * grid.stride

    def padded(values: Tensor, empty: float | int) -> Tensor:
        out = values.new_full((batch * joints * count, *values.shape[1:]), empty)
        out[slot] = values
        return out.reshape(batch, joints, count, *values.shape[1:])

    return Peaks(padded(uv, torch.nan), padded(score, 0), padded(cell, 0), padded(score.new_ones(len(slot)), 0) > 0)
