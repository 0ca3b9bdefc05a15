"""Occlusion-robust pose maps (ORPM; Mehta et al., 3DV 2018), as ORPM-AE (Benzine et al., ICIP 2019) uses them.

A joint has three maps. They hold its bone vector, from its parent to itself, at its own pixel and at those of its
relatives: the joints of its limb, the neck and the pelvis (`sites`). A joint that cannot be read where it is, being
hidden, cut off or covered by a neighbour, is read at one of them. Values are written in the unit of the bones.
"""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.codings.grid import Grid
from mp3d.codings.raster import nearest
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17, Skeleton

Readout = Literal["paper", "mehta", "naive"]

LIMBS = [
    f"{side}_{a} {side}_{b} {side}_{c}".split()
    for side in "rl"
    for a, b, c in (("wrist", "elbow", "shoulder"), ("ankle", "knee", "hip"))
] + [["head_top", "head"]]
"""From the extremity up the tree, the order in which a limb's sites are tried (ORPM-AE section 3.2)."""


def tree_sum(values: Float[Tensor, "*people J C"], parents: Sequence[int]) -> Float[Tensor, "*people J C"]:
    """The sum of the values of all joints on the way from the root to each joint, both included.

    A NaN stays within the subtree of its joint.

    Raises
    ------
    BadInput : parents that are no tree with one root (parent -1), or of another number than the joints
    """
    if values.shape[-2] != len(parents):
        raise BadInput("tree_sum", "values", f"{values.shape[-2]} joints", f"{len(parents)}, one a parent")
    values = torch.cat([values, torch.zeros_like(values[..., :1, :])], -2)  # where paths that are short are padded
    return values[..., _paths(tuple(parents)).to(values.device), :].sum(-2)


@cache
def _paths(parents: tuple[int, ...]) -> Int[Tensor, "J D"]:
    """The joints on the way to each joint, padded with J."""
    if parents.count(-1) != 1 or not all(-1 <= p < len(parents) for p in parents):
        raise BadInput("tree_sum", "parents", parents, "joints, and -1 for one root")
    paths = []
    for joint in range(len(parents)):
        path = [joint]
        while parents[path[-1]] >= 0:
            path.append(parents[path[-1]])
            if len(path) > len(parents):
                raise BadInput("tree_sum", "parents", parents, "a tree without a cycle")
        paths.append(path)
    longest = max(map(len, paths))
    return torch.tensor([path + [len(parents)] * (longest - len(path)) for path in paths])


def to_bones(poses: Float[Tensor, "*people J 3"], skeleton: Skeleton = MPI17) -> Float[Tensor, "*people J 3"]:
    """The vector to each joint from its parent, 0 for the root; NaN where either of the two is unknown."""
    return poses - poses[..., [joint if p < 0 else p for joint, p in enumerate(skeleton.parents)], :]


def from_bones(bones: Float[Tensor, "*people J 3"], skeleton: Skeleton = MPI17) -> Float[Tensor, "*people J 3"]:
    """Poses relative to the root: the sum of the bones along the tree (ORPM-AE section 3.1).

    The root is 0 whatever its own bone is, except NaN: then there is no person, and all joints are NaN.
    """
    root = torch.tensor([p < 0 for p in skeleton.parents], device=bones.device)[:, None]
    return tree_sum(torch.where(root & ~bones.isnan(), 0, bones), skeleton.parents)


def sites(skeleton: Skeleton = MPI17) -> Bool[Tensor, "J J"]:
    """Whether joint j (row) is written at the pixel of joint s (column): rho(j) of ORPM's eq. 1.

    These are the joint itself, those of its limb, the neck and the pelvis. Limbs are the arms from the shoulder on, the
    legs from the hip on, and the head; neck, pelvis and spine are in none. Hence 5 sites of each joint of an arm or a
    leg, 4 of the two joints of MPI17's head (3 where the set has one alone), 3 of the spine, 2 of neck and pelvis.
    Our choice: the joint itself, which ORPM's formula leaves out for the spine though ORPM-AE reads it there.
    """
    tried = order(skeleton, "paper")
    return torch.stack([(tried == s).any(1) for s in range(len(skeleton))], 1)


@cache
def order(skeleton: Skeleton, readout: Readout) -> Int[Tensor, "J S"]:
    """The sites of each joint in the order in which they are tried, padded with -1."""
    neck, pelvis = skeleton.index("neck"), skeleton.index("pelvis")
    limbs = [[skeleton.index(joint) for joint in limb if joint in skeleton.joints] for limb in LIMBS]
    rows = []
    for joint in range(len(skeleton)):
        limb = next((limb for limb in limbs if joint in limb), [])
        tried = {"paper": [joint, *limb, neck, pelvis], "mehta": [*limb, neck, pelvis], "naive": [joint]}[readout]
        rows.append(list(dict.fromkeys(tried)))
    longest = max(map(len, rows))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])


def encode(
    bones: Float[Tensor, "B P J 3"],
    uv: Float[Tensor, "B P J 2"],
    labelled: Bool[Tensor, "B P J"],
    depth: Float[Tensor, "B P"],
    grid: Grid,
    radius: int = 1,
    skeleton: Skeleton = MPI17,
) -> tuple[Float[Tensor, "B J 3 H W"], Bool[Tensor, "B J H W"]]:
    """Write bone vectors into squares of (2 radius + 1)² cells around all sites (ORPM-AE section 3.2).

    Where two people meet, the nearer root has the cell, of equally near ones the first; nothing is averaged.

    Parameters
    ----------
    bones : (B, P, J, 3) any unit; one that is not finite is not written, one whose joint is off the picture is, at
        the sites that are on it
    uv : (B, P, J, 2) px
    labelled : (B, P, J) whether a joint's pixel is a site, False for places where nobody stands
    depth : (B, P) of the roots, any unit; NaN counts as farthest

    Returns
    -------
    maps : (B, J, 3, H, W) in the unit of the bones, 0 where nothing is written
    mask : (B, J, H, W) whether something is written

    Raises
    ------
    BadInput : another number of joints than the skeleton's
    """
    _check("encode", bones, skeleton)
    joint, site = sites(skeleton).to(bones.device).nonzero(as_tuple=True)
    on = labelled[:, :, site] & bones.isfinite().all(-1)[:, :, joint]
    owner = nearest(uv[:, :, site], on, joint, depth, grid, len(skeleton), radius)
    mask = owner >= 0
    maps = bones.new_zeros(*owner.shape[:2], 3, *owner.shape[2:])
    b, j, row, column = mask.nonzero(as_tuple=True)
    maps[b, j, :, row, column] = bones[b, owner[b, j, row, column], j]
    return maps, mask


def read(
    maps: Float[Tensor, "*B J 3 H W"],
    uv: Float[Tensor, "*B P J 2"],
    found: Bool[Tensor, "*B P J"] | Float[Tensor, "*B P J"],
    grid: Grid,
    readout: Readout,
    mean_bones: Float[Tensor, "J 3"],
    t_d: float | int = 3,
    t_c: float | int = 0.2,
    skeleton: Skeleton = MPI17,
) -> tuple[Float[Tensor, "*B P J 3"], Int[Tensor, "*B P J"]]:
    """Read bone vectors at detected joints, of one picture or of several; maps are read at whole cells alone.

    - "paper" (ORPM-AE section 3.2): each joint at its own pixel; if that is not valid at those of its limb, beginning
      with the extremity; then at the neck, then at the pelvis; else it is the mean.
    - "mehta" (ORPM, algorithm 1): the full pose at the neck, else at the pelvis; then each limb as a whole at its first
      valid site, beginning with the extremity. Somebody with neither neck nor pelvis is not reported: NaN.
    - "naive": each joint at its own pixel; one that was not found is the mean (zero would punish it more).

    A pixel is valid for joint j if (a) it lies on the picture, (b) its score is above `t_c`, and (c) it is `t_d` cells
    away from all found sites of j of everybody else, in rows or in columns: so far apart two squares of
    (t_d - 1) / 2 cells' radius share none (ORPM eq. 2; ORPM-AE says "not too close to another joint").

    Parameters
    ----------
    maps : (..., J, 3, H, W)
    uv : (..., P, J, 2) px; NaN is not found
    found : (..., P, J) whether a joint was found, or its score
    mean_bones : (J, 3) in the maps' unit, a statistic of the training set
    t_d : cells
    t_c : a score has to exceed it; without meaning where `found` says yes or no

    Returns
    -------
    bones : (..., P, J, 3) in the maps' unit; NaN for somebody of whom nothing was found
    site : (..., P, J) the joint at whose pixel each was read, -1 for the mean and for who is not there

    Raises
    ------
    BadInput : maps of another size than the grid, an unknown read-out, another number of joints than the skeleton's
    """
    grid.check(maps, "orpm.read")
    if readout not in ("paper", "mehta", "naive"):
        raise BadInput("read", "readout", repr(readout), "'paper', 'mehta' or 'naive'")
    _check("read", uv, skeleton)
    sequence = order(skeleton, readout).to(uv.device)
    cells, ok = grid.cells(uv)
    ok = ok & (found if found.dtype == torch.bool else found > t_c)
    tried = sequence.clamp(min=0)
    valid = ok[..., tried] & (sequence >= 0)
    person = ok.any(-1)
    if readout != "naive":
        clear = _clear(cells, ok, sites(skeleton).to(uv.device), t_d)  # ... P J S
        joint = torch.arange(len(skeleton), device=uv.device)[:, None].expand_as(tried)
        if readout == "mehta":  # neck and pelvis are valid for the pose as a whole, or not at all
            joint = torch.where((tried == skeleton.index("neck")) | (tried == skeleton.index("pelvis")), tried, joint)
            valid &= clear[..., joint, tried]
            person = valid[..., skeleton.index("neck"), :].any(-1)
        else:
            valid &= clear[..., joint, tried]
    first = valid.long().argmax(-1, keepdim=True)
    there = valid.any(-1) & person[..., None]
    site = torch.where(there, tried.expand(valid.shape).gather(-1, first)[..., 0], -1)
    place = (cells[..., 0] * grid.width + cells[..., 1]).gather(-1, site.clamp(min=0)).transpose(-1, -2)
    bones = maps.flatten(-2).gather(-1, place[..., None, :].expand(*place.shape[:-1], 3, -1)).movedim(-1, -3)
    bones = torch.where(there[..., None], bones, mean_bones.to(maps))
    return torch.where(person[..., None, None], bones, torch.nan), site


def _clear(
    cells: Int[Tensor, "*B P J 2"], ok: Bool[Tensor, "*B P J"], rho: Bool[Tensor, "J J"], t_d: float | int
) -> Bool[Tensor, "*B P J J"]:
    """[..., j, s] whether a person's pixel s is `t_d` cells from all sites of j of everybody else (ORPM eq. 2)."""
    cells = cells.to(torch.float32)
    gap = (cells[..., :, None, :, None, :] - cells[..., None, :, None, :, :]).abs_().amax(-1)  # P, other, s, s'
    close = (gap < t_d) & ok[..., None, :, None, :]
    people = torch.arange(cells.shape[-3], device=cells.device)
    close &= (people[:, None] != people)[..., None, None]
    return (rho.float() @ close.any(-3).float().transpose(-1, -2)) == 0


def _check(where: str, values: Tensor, skeleton: Skeleton) -> None:
    if values.shape[-2] != len(skeleton):
        raise BadInput(f"orpm.{where}", "joints", values.shape[-2], f"{len(skeleton)} of {skeleton}")
