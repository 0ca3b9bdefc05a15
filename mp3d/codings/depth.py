"""Depth in the picture: maps of root depth and of relative depth along bones (SMAP) or at joints (TDBU)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mp3d.codings.grid import Grid
from mp3d.codings.orpm import tree_sum
from mp3d.codings.raster import nearest, on_bones
from mp3d.errors import BadInput

Bones = Sequence[tuple[int, int]]
"""(parent, child) of every bone, e.g. `MPI17.limbs`: always away from the root."""


def normalise(
    z: Float[Tensor, "*points"],
    focal: Float[Tensor, "*#points"] | float | int,
    width: Float[Tensor, "*#points"] | float | int = 1,
) -> Float[Tensor, "*points"]:
    """Depth that a change of the field of view leaves alone: Z width / f, in mm.

    What a picture shows of depth is size, and size goes with f / Z. SMAP has two forms, and this is both:

    - the paper's eq. 1: Z w / f, with the focal length and the width w of one and the same picture;
    - the released code's: Z / (f s), in mm a pixel of the network's picture, which is s times as large. That is
      `focal` = f s, with no width. A length D across the line of sight is D over this many pixels long.

    The first is the second times w s, the width that the picture itself has on the network's canvas. Where all pictures
    fill the canvas' width it is a constant; where some are padded at the sides the second form alone is consistent.

    Parameters
    ----------
    z : (...) mm along the optical axis
    focal : px; of the network's picture, or of the one that `width` belongs to
    width : px, or 1 for the released form

    Raises
    ------
    BadInput : a focal length or a width that is not positive
    """
    return z * _ratio(focal, width)


def denormalise(
    depth: Float[Tensor, "*points"],
    focal: Float[Tensor, "*#points"] | float | int,
    width: Float[Tensor, "*#points"] | float | int = 1,
) -> Float[Tensor, "*points"]:
    """Normalised depth to mm, the inverse of `normalise`."""
    return depth / _ratio(focal, width)


def _ratio(focal, width):
    for name, value in {"focal": focal, "width": width}.items():
        if not torch.as_tensor(value > 0).all():
            raise BadInput("normalise", name, value, "positive numbers, px")
    return width / focal


def encode_points(
    values: Float[Tensor, "B P C"],
    uv: Float[Tensor, "B P C 2"],
    on: Bool[Tensor, "B P C"],
    depth: Float[Tensor, "B P"],
    grid: Grid,
    radius: int = 1,
) -> tuple[Float[Tensor, "B C H W"], Bool[Tensor, "B C H W"]]:
    """A value a joint in a square of (2 radius + 1)² cells around it; near wins (TDBU eq. 2 supervises these points).

    Parameters
    ----------
    values : (B, P, C) any unit, one map each; what is not finite is not written
    uv : (B, P, C, 2) px
    on : (B, P, C) whether it is written
    depth : (B, P) who is nearer, any unit

    Returns
    -------
    maps : (B, C, H, W) in the unit of the values, 0 where nothing is written
    mask : (B, C, H, W)
    """
    channels = torch.arange(values.shape[-1], device=values.device)
    owner = nearest(uv, on & values.isfinite(), channels, depth, grid, len(channels), radius)
    mask = owner >= 0
    maps = values.new_zeros(owner.shape)
    b, c, row, column = mask.nonzero(as_tuple=True)
    maps[b, c, row, column] = values[b, owner[b, c, row, column], c]
    return maps, mask


def encode_root(
    z: Float[Tensor, "B P"],
    uv_root: Float[Tensor, "B P 2"],
    there: Bool[Tensor, "B P"],
    grid: Grid,
    radius: int = 1,
) -> tuple[Float[Tensor, "B 1 H W"], Bool[Tensor, "B 1 H W"]]:
    """The root-depth map (SMAP section 3.1): the depth in a square of cells around each root, near wins.

    Parameters
    ----------
    z : (B, P) of the roots, normalised or not
    uv_root : (B, P, 2) px
    there : (B, P) whether somebody stands there, with the root on the picture

    Returns
    -------
    map : (B, 1, H, W) in the unit of z, 0 where nothing is written
    mask : (B, 1, H, W)
    """
    return encode_points(z[..., None], uv_root[:, :, None], there[..., None], z, grid, radius)


def encode_parts(
    z: Float[Tensor, "B P J"],
    uv: Float[Tensor, "B P J 2"],
    labelled: Bool[Tensor, "B P J"],
    bones: Bones,
    grid: Grid,
    width: float | int,
    overlap: Literal["mean", "near"] = "mean",
) -> tuple[Float[Tensor, "B E H W"], Bool[Tensor, "B E H W"]]:
    """Part relative-depth maps (SMAP section 3.1): the child's depth minus its parent's, along the bone in the picture.

    The band is that of `affinity.encode`. But a bone seen end on, shorter than a cell, draws too, where SMAP's release
    draws none: it has no direction worth a field, but depth is all of its length.

    Parameters
    ----------
    z : (B, P, J) mm, raw: SMAP normalises roots alone
    uv : (B, P, J, 2) px
    labelled : (B, P, J); a bone is drawn if both of its ends are
    width : half the band's width, cells: one is on the bone if its centre is less than this away
    overlap : where several people's same bone covers a cell: "mean" of all, as SMAP, or "near", the nearest middle

    Returns
    -------
    maps : (B, E, H, W) mm, 0 off the bones
    mask : (B, E, H, W)

    Raises
    ------
    BadInput : an unknown overlap, a width that is not positive, a bone with an end that is no joint, a child of two
    """
    if overlap not in ("mean", "near"):
        raise BadInput("encode_parts", "overlap", repr(overlap), "'mean' or 'near'")
    if not width > 0:
        raise BadInput("encode_parts", "width", width, "a positive number of cells")
    parent, child = _ends(bones, z.shape[-1])
    difference = z[..., child] - z[..., parent]
    drawn = labelled[..., parent] & labelled[..., child] & difference.isfinite()
    at, (n, row, column) = on_bones(uv[..., parent, :], uv[..., child, :], drawn, grid, width)
    shape = (len(z), len(bones), grid.height, grid.width)
    place = (((at[0] * shape[1] + at[2])[n] * grid.height) + row) * grid.width + column
    difference = difference[at][n]
    if overlap == "near":
        order = torch.where(drawn, z[..., child] + z[..., parent], torch.inf).argsort(stable=True, dim=1)
        rank = order.argsort(1)[at][n]
        first = rank.new_full((math.prod(shape),), z.shape[1]).scatter_reduce_(0, place, rank, "amin")
        wins = rank == first[place]
        maps = z.new_zeros(first.shape)
        maps[place[wins]] = difference[wins]
        return maps.view(shape), (first < z.shape[1]).view(shape)
    drawing = torch.stack([difference, torch.ones_like(difference)], -1)
    total, number = z.new_zeros(math.prod(shape), 2).index_put_((place,), drawing, accumulate=True).unbind(-1)
    return (total / number.clamp(min=1)).view(shape), (number > 0).view(shape)


def read_points(maps: Float[Tensor, "*B C H W"], uv: Float[Tensor, "*B P C 2"], grid: Grid) -> Float[Tensor, "*B P C"]:
    """Each map's value in the cell of its own joint (TDBU eq. 3 and 4); NaN where that is off the map or NaN.

    `BadInput` for maps of another size than the grid, here and in the other readers.
    """
    grid.check(maps, "depth.read_points")
    cells, inside = grid.cells(uv)
    place = (cells[..., 0] * grid.width + cells[..., 1]).transpose(-1, -2)
    return torch.where(inside, maps.flatten(-2).gather(-1, place).transpose(-1, -2), torch.nan)


def read_root(map: Float[Tensor, "*B 1 H W"], uv: Float[Tensor, "*B P 2"], grid: Grid) -> Float[Tensor, "*B P"]:
    """The root-depth map's value in the cell of each root, in the map's unit; NaN where that is off the map or NaN."""
    grid.check(map, "depth.read_root")
    return read_points(map, uv[..., None, :], grid)[..., 0]


def read_parts(
    maps: Float[Tensor, "*B E H W"],
    uv_a: Float[Tensor, "*B P E 2"],
    uv_b: Float[Tensor, "*B P E 2"],
    grid: Grid,
    samples: int = 10,
) -> Float[Tensor, "*B P E"]:
    """Relative depth of each bone: the mean over points from A to B, both included (released SMAP code).

    Values beyond the samples' 10th and 90th percentile are pulled in to them, so that one outlier does little.

    Parameters
    ----------
    maps : (..., E, H, W) mm
    uv_a, uv_b : (..., P, E, 2) px of each bone's parent and child

    Returns
    -------
    (..., P, E) mm; NaN where an end is NaN or off the map

    Raises
    ------
    BadInput : maps of another size than the grid, fewer than two samples
    """
    grid.check(maps, "depth.read_parts")
    if samples < 2:
        raise BadInput("read_parts", "samples", samples, "at least 2, the two ends")
    t = torch.linspace(0, 1, samples, device=uv_a.device, dtype=uv_a.dtype)[:, None]
    points = uv_a[..., None, :] * (1 - t) + uv_b[..., None, :] * t
    cells, inside = grid.cells(points)
    place = (cells[..., 0] * grid.width + cells[..., 1]).movedim(-2, -3).flatten(-2)  # ... E (P samples)
    found = maps.flatten(-2).gather(-1, place).unflatten(-1, (-1, samples)).movedim(-2, -3)
    ranked, (at, part) = found.sort(-1).values, divmod((samples - 1) / 10, 1)
    low, high = (torch.lerp(r[..., int(at)], r[..., int(at) + 1], part)[..., None] for r in (ranked, ranked.flip(-1)))
    return torch.where(inside.all(-1), found.clamp(low, high).mean(-1), torch.nan)


def chain(dz: Float[Tensor, "*people E"], root: Float[Tensor, "*people"], bones: Bones) -> Float[Tensor, "*people J"]:
    """Depths of the joints: the root's, and bone by bone along the tree what is added (SMAP section 3.3).

    A bone that is NaN leaves NaN in all that hangs on it; the released code has zero for it.

    Raises
    ------
    BadInput : bones that do not reach all joints from one root
    """
    joints = len(bones) + 1
    _, child = _ends(bones, joints)
    parents = [-1] * joints
    for a, b in bones:
        parents[b] = a
    values = root[..., None].repeat(*[1] * root.ndim, joints)
    values[..., child] = dz
    return tree_sum(values[..., None], parents)[..., 0]


def _ends(bones: Bones, joints: int) -> tuple[list[int], list[int]]:
    """The parents and the children of bones, checked against the number of joints."""
    parent, child = ([bone[end] for bone in bones] for end in (0, 1))
    if len(set(child)) < len(child) or not all(0 <= joint < joints for joint in parent + child):
        raise BadInput("depth", "bones", list(bones), f"(parent, child) among {joints} joints, each child once")
    return parent, child
