"""Associative embedding: whose joint it is (Newell, Huang and Deng, NIPS 2017; in 3D first by ORPM-AE).

A network gives each joint of each person a number, its tag. Nothing says which number a person has to have: the loss
pulls a person's tags together and pushes people's means apart. Detections with near tags are then one person.

What tags cannot hold: two people's same joint in one cell has one tag, here that of the joint nearest to the cell's
centre in the picture, whoever stands in front. People whose tags differ by less than the threshold are mixed, and the
threshold is in the tags' own unit, which only the loss sets: with its kernel of width sigma a network has no reason to
part people by much more than a few sigma. A network sees a person as a whole only as far as its view reaches.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mp3d.codings.grid import Grid
from mp3d.codings.heatmaps import Peaks
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17

ORDER = tuple(
    MPI17.index(joint)
    for joint in (
        *("neck", "pelvis", "head", "head_top", "spine", "r_shoulder", "l_shoulder", "r_hip", "l_hip"),
        *("r_elbow", "l_elbow", "r_knee", "l_knee", "r_wrist", "l_wrist", "r_ankle", "l_ankle"),
    )
)
"""Which joints of `MPI17` start people first: the neck (ORPM-AE section 3.5); the rest is our choice."""


def encode(
    uv: Float[Tensor, "B P J 2"],
    labelled: Bool[Tensor, "B P J"],
    tags: Float[Tensor, "B P"],
    grid: Grid,
    radius: int = 1,
) -> Float[Tensor, "B J H W"]:
    """Ideal tag maps: a person's tag on the square of (2 radius + 1)^2 cells around each joint's cell, 0 elsewhere.

    Where squares meet, a cell belongs to the joint that is nearest to its centre in the picture (of equal ones to the
    first person). Joints that are not labelled or off the map draw nothing.

    Parameters
    ----------
    uv : px
    radius : cells; one hides that a peak may be found a cell beside the joint's own

    Raises
    ------
    BadInput : a negative radius
    """
    if radius < 0:
        raise BadInput("tags.encode", "radius", radius, "0 or more")
    batch, people, joints = labelled.shape
    cells, inside = grid.cells(uv)
    b, p, j = (inside & labelled).nonzero(as_tuple=True)
    steps = torch.arange(-radius, radius + 1, device=uv.device)
    at = cells[b, p, j][:, None] + torch.cartesian_prod(steps, steps).reshape(-1, 2)
    size = torch.tensor([grid.height, grid.width], device=uv.device)
    on = ((at >= 0) & (at < size)).all(-1)
    distance = (grid.centres(at) - uv[b, p, j][:, None]).square().sum(-1)[on]
    index = ((((b * joints + j) * grid.height)[:, None] + at[..., 0]) * grid.width + at[..., 1])[on]
    person, tag = (x[:, None].expand(on.shape)[on] for x in (p, tags[b, p]))
    maps = tags.new_zeros(batch * joints * grid.height * grid.width)
    # Two passes, so that the result does not hang on the order in which a device writes.
    nearest = torch.full_like(maps, torch.inf, dtype=uv.dtype).scatter_reduce_(0, index, distance, "amin")
    wins = distance == nearest[index]
    index, person, tag = index[wins], person[wins], tag[wins]
    first = torch.full_like(maps, people, dtype=torch.long).scatter_reduce_(0, index, person, "amin")
    wins = person == first[index]
    maps[index[wins]] = tag[wins]
    return maps.reshape(batch, joints, grid.height, grid.width)


def read(
    maps: Float[Tensor, "B J H W"], cells: Int[Tensor, "B J K 2"], grid: Grid | None = None
) -> Float[Tensor, "B J K"]:
    """The tags at cells (row, column), as `Peaks.cell` holds them.

    `BadInput` for a cell off the map, and for maps of another size than the grid that the cells are of, if given.
    """
    if grid is not None:
        grid.check(maps, "tags.read")
    size = torch.tensor(maps.shape[-2:], device=maps.device)
    if ((cells < 0) | (cells >= size)).any():
        raise BadInput("tags.read", "cells", "some off the map", f"rows and columns within {tuple(maps.shape[-2:])}")
    return maps.flatten(2).gather(2, cells[..., 0] * maps.shape[-1] + cells[..., 1])


def loss(
    maps: Float[Tensor, "B J H W"],
    uv: Float[Tensor, "B P J 2"],
    labelled: Bool[Tensor, "B P J"],
    grid: Grid,
    sigma: float | int = 1.0,
    variant: Literal["paper", "public"] = "paper",
) -> dict[str, Float[Tensor, ""]]:
    """Pull a person's tags to their mean, push the means of people apart (ORPM-AE eq. 1 and 2).

    pull: the mean over people of the mean over their joints of (tag - mean)^2. push: the sum over ordered pairs of
    people of exp(-(difference of means)^2 / (2 sigma^2)) / N^2, so (N - 1) / N where all tags are equal. Tags are
    read at the true cells of joints that are labelled and on the map; people without one do not count. Both are means
    over the pictures, where one without people has 0, and with one person push is 0.

    "public": both public codes, Newell's and HigherHRNet's, have exp(-d^2) for the kernel and 2 N (N - 1) for N^2, so
    1/2 where all tags are equal; for two people it is the paper's with sigma^2 = 1/2. (Newell's adds 1e-6 to what it
    divides by.)

    Parameters
    ----------
    sigma : of "paper"; "public" has none

    Raises
    ------
    BadInput : maps of another size than the grid, a sigma that is not positive, an unknown variant
    """
    grid.check(maps, "tags.loss")
    if variant not in ("paper", "public"):
        raise BadInput("tags.loss", "variant", repr(variant), "'paper' or 'public'")
    if not sigma > 0:
        raise BadInput("tags.loss", "sigma", sigma, "a positive number")
    cells, inside = grid.cells(uv)
    tags = read(maps, cells.transpose(1, 2)).mT  # (B, P, J)
    counts = (inside & labelled).to(tags.dtype)
    joints = counts.sum(-1)
    there = joints > 0
    people, joints = there.sum(-1).clamp(min=1), joints.clamp(min=1)
    mean = (tags * counts).sum(-1) / joints
    pull = ((tags - mean[..., None]).square() * counts).sum(-1) / joints
    pairs = there[:, :, None] & there[:, None] & ~torch.eye(there.shape[1], dtype=torch.bool, device=maps.device)
    twice, by = (2 * sigma**2, people**2) if variant == "paper" else (1, (2 * people * (people - 1)).clamp(min=1))
    near = torch.exp(-(mean[:, :, None] - mean[:, None]).square() / twice) * pairs
    return {"pull": (pull.sum(-1) / people).mean(), "push": (near.sum((1, 2)) / by).mean()}


def group(
    peaks: Peaks,
    tags: Float[Tensor, "B J K"],
    method: Literal["greedy", "hungarian"] = "greedy",
    threshold: float | int = 1.0,
    order: tuple[int, ...] = ORDER,
    merge: float | int = 3,
    least: int = 3,
    least_score: float | int = 0.1,
) -> list[Int[Tensor, "N J"]]:
    """Detections with near tags make people; for each picture the index of each person's joints among the K, or -1.

    "greedy" (ORPM-AE section 3.5): every detection of the first joint type of `order` starts a person. Of all
    (person, free detection) pairs of a type that the person lacks and with a tag less than the threshold from the
    person's mean, that of the highest score is taken, of equal scores the nearest tag, and the mean is taken anew;
    until no pair is left. Then the detections that are left start people with the next joint type. The highest score
    first, not the nearest tag: it can take a neighbour's joint.

    "hungarian" (Newell et al., as HigherHRNet's code has it): joint type by joint type, the assignment of detections to
    people with the smallest sum of 100 round(difference of tags) - score. A pair with a tag less than the threshold
    from the person's mean is taken, every other detection starts a person. The rounding makes differences below 1/2
    equal, as in the code; and a detection that belongs to nobody yet takes part, so it can push another person's away.

    Parameters
    ----------
    tags : at the peaks, see `read`
    threshold : in the unit of tags; ORPM-AE gives none, 1 is that of both public codes
    order : joint types, each once
    merge : of two detections that would start a person, with tags nearer than the threshold and less than `merge` cells
        apart, the weaker is dropped (our choice, "greedy" alone)
    least, least_score : people with fewer joints or a lower mean score are dropped (our choice, both methods)

    Returns
    -------
    one (N, J) a picture, people in the order in which they started

    Raises
    ------
    BadInput : an unknown method, an order that is not one of all joints, a tag that is not finite at a detection
    """
    if method not in ("greedy", "hungarian"):
        raise BadInput("tags.group", "method", repr(method), "'greedy' or 'hungarian'")
    joints = peaks.found.shape[1]
    if sorted(order) != list(range(joints)):
        raise BadInput("tags.group", "order", order, f"each of the {joints} joints once")
    found, score, cell, tag = (x.detach().cpu().numpy() for x in (peaks.found, peaks.score, peaks.cell, tags))
    if not np.isfinite(tag[found]).all():
        raise BadInput("tags.group", "tags", "not finite at a detection", "finite numbers")
    people = []
    for b in range(len(found)):
        joint, slot = found[b].nonzero()
        at = (b, joint, slot)
        s, t = score[at].astype(float), tag[at].astype(float)
        if method == "greedy":
            chosen = _greedy(joint, s, t, cell[at], threshold, order, merge)
        else:
            chosen = _hungarian(joint, s, t, threshold, order)
        has = chosen >= 0
        mean = np.where(has, s[chosen], 0).sum(1) / has.sum(1)
        kept = (has.sum(1) >= least) & (mean >= least_score)
        people.append(torch.from_numpy(np.where(has, slot[chosen], -1)[kept]).to(peaks.found.device))
    return people


def _greedy(joint, score, tag, cell, threshold, order, merge) -> np.ndarray:
    """(N, J) index of each person's detections; they come sorted by joint, then by falling score."""
    rank = np.unique(-score, return_inverse=True)[1]  # 0 is the best score
    of = [joint == j for j in range(len(order))]
    free, people = np.ones(len(joint), bool), [np.zeros((0, len(order)), int)]
    for seed in order:
        seeds = np.flatnonzero(free & of[seed])
        if not len(seeds):
            continue
        free[seeds] = False  # duplicates of a person's seed serve nobody
        apart = np.linalg.norm(cell[seeds, None] - cell[seeds], axis=-1)
        double = (np.abs(tag[seeds, None] - tag[seeds]) < threshold) & (apart < merge)
        kept = []
        for i in range(len(seeds)):
            if not double[i, kept].any():
                kept.append(i)
        seeds = seeds[kept]
        chosen = np.full((len(seeds), len(order)), -1)
        chosen[:, seed] = seeds
        total, number = tag[seeds], np.ones(len(seeds))
        # Pairs in the order in which they are taken: by score, then by the difference of tags, put into [0, 1).
        gap = np.abs(tag - tag[seeds, None])
        key = np.where(free & (gap < threshold), rank + gap / (1 + gap), np.inf)
        lacks = np.broadcast_to(~of[seed], key.shape).copy()
        while key.size:
            n, d = divmod(int(key.argmin()), len(joint))
            if key[n, d] == np.inf:
                break
            chosen[n, joint[d]] = d
            free[d], key[:, d] = False, np.inf
            lacks[n] &= ~of[joint[d]]
            total[n] += tag[d]
            number[n] += 1
            gap = np.abs(tag - total[n] / number[n])
            key[n] = np.where(free & lacks[n] & (gap < threshold), rank + gap / (1 + gap), np.inf)
        people.append(chosen)
    return np.concatenate(people)


def _hungarian(joint, score, tag, threshold, order) -> np.ndarray:
    """(N, J) index of each person's detections."""
    chosen = np.full((len(joint), len(order)), -1)  # as many people as detections at most
    total, number, people = np.zeros(len(joint)), np.zeros(len(joint)), 0
    for j in order:
        new = np.flatnonzero(joint == j)
        gap = np.abs(tag[new, None] - total[:people] / number[:people])
        # More detections than people: the rest goes to nobody, at a cost that no person has.
        nobody = np.full((len(new), max(0, len(new) - people)), 1e10)
        row, column = linear_sum_assignment(np.hstack([np.round(gap) * 100 - score[new, None], nobody]))
        near = column < people
        near[near] = gap[row[near], column[near]] < threshold
        column[~near] = people + np.arange((~near).sum())
        people += (~near).sum()
        chosen[column, j] = new[row]
        total[column] += tag[new[row]]
        number[column] += 1
    return chosen[:people]
