"""Part affinity fields: which joints a bone links (Cao et al., CVPR 2017; with depth in SMAP).

Along each bone, on a band of cells, stands the unit vector from its first joint to its second. A pair of detections is
linked if the field between them points from one to the other. `associate` then builds people along the tree, each
person in turn taking its best link; SMAP lets the nearest choose first, and forbids long bones softly. `greedy` is the
two-dimensional baseline, OpenPose's, in which all people choose at once.

What the fields cannot hold: where two people's same bones cross, a cell holds the mean of the two directions, whoever
is in front; along the same line they cannot tell whose half is whose. A bone seen end on, shorter than a cell, draws
nothing. People are trees: a lost joint takes all that hangs on it, and a lost root the person.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from mp3d.codings.grid import Grid
from mp3d.codings.heatmaps import Peaks
from mp3d.codings.raster import on_bones
from mp3d.errors import BadInput

Bones = Sequence[tuple[int, int]]
"""(from, to) joints of each bone, e.g. `MPI17.limbs`."""


def encode(
    uv: Float[Tensor, "B P J 2"],
    labelled: Bool[Tensor, "B P J"],
    bones: Bones,
    grid: Grid,
    width: float | int,
) -> Float[Tensor, "B E 2 H W"]:
    """Part affinity fields: (u, v) of the unit vector along each bone, the mean over people whose band holds a cell.

    A band is all cells whose centre is less than `width` cells from the segment. Bones with an end that is not
    labelled or off the map, and those shorter than a cell (SMAP's release), draw nothing.

    Parameters
    ----------
    uv : px; of joints that are not labelled it may be NaN
    width : half the band's width, cells; SMAP's label sets have 3, 2, 1, 1, 1. Above sqrt(1/2) every cell that the
        bone itself crosses at a sample of `links` is drawn; with peaks at cells' centres it takes sqrt(2)

    Raises
    ------
    BadInput : a width that is not positive, a bone with an end that is no joint
    """
    if not width > 0:
        raise BadInput("affinity.encode", "width", width, "a positive number of cells")
    first, second = _ends(bones, uv.shape[2])
    drawn = labelled & grid.cells(uv)[1]
    a, b = uv[:, :, first], uv[:, :, second]
    at, (n, row, column) = on_bones(a, b, drawn[:, :, first] & drawn[:, :, second], grid, width, shortest=1)
    bone = (b - a)[at]
    drawing = torch.cat([bone / bone.norm(dim=-1, keepdim=True), torch.ones_like(bone[:, :1])], -1)
    fields = uv.new_zeros(len(uv) * len(bones), grid.height, grid.width, 3)
    fields.index_put_(((at[0] * len(bones) + at[2])[n], row, column), drawing[n], accumulate=True)
    mean = fields[..., :2] / fields[..., 2:].clamp(min=1)
    return mean.movedim(-1, 1).reshape(len(uv), len(bones), 2, grid.height, grid.width)


def _ends(bones: Bones, joints: int) -> tuple[list[int], list[int]]:
    """First and second joints of the bones."""
    for bone in bones:
        if not all(0 <= joint < joints for joint in bone):
            raise BadInput("affinity", "bones", bone, f"two of {joints} joints")
    return [a for a, _ in bones], [b for _, b in bones]


def walk(bones: Bones, root: int) -> list[tuple[int, int, int, bool]]:
    """(bone, from, to, whether backwards) from the root outwards; bones that can be reached keep their order."""
    reached, left, steps = {root}, list(range(len(bones))), []
    while left:
        for e in left:
            ends = [joint in reached for joint in bones[e]]
            if any(ends):
                break
        else:
            raise BadInput("affinity", "bones", [tuple(bones[e]) for e in left], f"bones that hang on joint {root}")
        if all(ends):
            raise BadInput("affinity", "bones", f"{tuple(bones[e])}, which closes a loop", "a tree")
        left.remove(e)
        source, target = bones[e] if ends[0] else bones[e][::-1]
        reached.add(target)
        steps.append((e, source, target, not ends[0]))
    return steps


def links(
    maps: Float[Tensor, "B E 2 H W"],
    peaks: Peaks,
    bones: Bones,
    grid: Grid,
    threshold: float | int = 0.05,
    share: float | int = 0.95,
    short: float | int = 1.088,
) -> Float[Tensor, "B E K K"]:
    """How well the field links each detection of a bone's first joint (row) with each of its second (column).

    The field is read at n points from the first on, without the second, at the cell that holds each point (no
    interpolation, as everywhere here), n = sqrt(5 max(|du|, |dv|)) rounded, from 5 to 25. A point counts if the field
    along the pair is above the threshold; a NaN does not. If more than `share` of the points count, the link scores
    their mean: 1 on ideal maps. If not, a pair closer than `short` scores 0.1, because so short a bone draws nothing;
    any other -1, as do two detections at the same place, and places without a detection. The constants are those of
    SMAP's release.

    Parameters
    ----------
    maps : unit vectors have norm 1. SMAP reads the sum of three maps, so that its threshold is three times as low
    short : cells; sqrt(208 x 128) / 150 in SMAP, whatever the map's size here

    Raises
    ------
    BadInput : maps of another size than the grid or with another number of bones, a bone with an end that is no joint
    """
    grid.check(maps, "affinity.links")
    if maps.shape[1:3] != (len(bones), 2):
        raise BadInput("affinity.links", "maps", f"{tuple(maps.shape[1:3])} fields", f"{(len(bones), 2)}, two a bone")
    first, second = _ends(bones, peaks.found.shape[1])
    maps = maps.detach()
    b, e, i, j = (peaks.found[:, first, :, None] & peaks.found[:, second, None]).nonzero(as_tuple=True)
    place = peaks.uv / grid.stride
    start = place[:, first][b, e, i]
    along = place[:, second][b, e, j] - start
    length = along.norm(dim=-1)
    number = ((5 * along.abs().amax(-1)).sqrt() + 0.5).floor().clamp(5, 25)[:, None]
    step = torch.arange(25, device=maps.device)
    part = step / number
    # A detection may lie on the map's far edge, where no cell is.
    column, row = (
        (start[:, k, None] + part * along[:, k, None]).floor().long().clamp(0, n - 1)
        for k, n in enumerate((grid.width, grid.height))
    )
    # Places in the flattened maps: one index is read several times as fast as five.
    area = grid.width * grid.height
    at = ((b * len(bones) + e) * 2 * area)[:, None] + row * grid.width + column
    unit, flat = along / length.clamp(min=1e-9)[:, None], maps.flatten()
    value = sum(flat.index_select(0, (at + k * area).flatten()).view_as(at) * unit[:, k, None] for k in range(2))
    counted = (value > threshold) & (step < number)
    hits = counted.sum(-1)
    score = torch.where(length < short, 0.1, -1.0).to(value.dtype)
    score = torch.where(hits > share * number[:, 0], (value * counted).nansum(-1) / hits.clamp(min=1), score)
    out = maps.new_full((len(maps), len(bones), *2 * peaks.found.shape[-1:]), -1)
    out[b, e, i, j] = score.where(length > 0, -1).to(out.dtype)
    return out


def penalty(
    distance: Shaped[np.ndarray, "*#pairs"],
    reference: Shaped[np.ndarray, "*#pairs"] | float | int,
    length: Literal["penalty", "filter"] = "penalty",
) -> Shaped[np.ndarray, "*#pairs"]:
    """What a link's length adds to its score if that is above 0 (SMAP eq. 2).

    min(reference / distance - 1, 0) in SMAP's release: never as much as -1, so that a link of 1 always stays. The paper
    says that longer links are filtered: -inf beyond the reference, whatever they score, and 0 up to it.

    Where the reference is not positive nothing is added: a network's root depth may be negative, and with it the length
    it stands for.

    Raises
    ------
    BadInput : an unknown `length`
    """
    if length not in ("penalty", "filter"):
        raise BadInput("affinity.penalty", "length", repr(length), "'penalty' or 'filter'")
    with np.errstate(divide="ignore", invalid="ignore"):
        if length == "filter":
            return np.where((reference > 0) & (distance > reference), -np.inf, 0)
        lost = np.minimum(reference / distance - 1, 0)
        return np.where((reference > 0) & np.isfinite(lost), lost, 0)


def associate(
    links: Float[Tensor, "E K K"],
    uv: Float[Tensor, "J K 2"],
    bones: Bones,
    root: int,
    order: Int[Tensor, " N"],
    reference: Float[Tensor, "N E"] | None = None,
    length: Literal["penalty", "filter"] = "penalty",
) -> Int[Tensor, "N J"]:
    """People of one picture, built along the tree: each in turn takes its best link (SMAP section 3.2).

    Each root detection in `order` is a person. Bone by bone from the root outwards, each person in this order takes
    the free detection with the best score above 0, of equal ones that with the higher peak. A person without a bone's
    near joint goes without the far one. No one is dropped: a stray root is a person.

    Parameters
    ----------
    links : of one picture, see `links`
    uv : px, of the same detections, NaN where there is none: `peaks.uv[b]`
    bones : a tree, in the order of `links`; each may point to the root or from it
    order : indices of root detections; SMAP's is by depth, the nearest first
    reference : px, how long each person's bone may be before its score falls, see `penalty`; SMAP's is 1.2 times the
        mean length at the person's depth. None: SMAP without this constraint
    length : "penalty", as SMAP's release has it, or "filter", the paper's word

    Returns
    -------
    (N, J) index of each joint's detection, or -1; people as in `order`

    Raises
    ------
    BadInput : bones that are no tree, an order with a repeated index or one without a detection
    """
    steps = walk(bones, root)
    _ends(bones, len(uv))
    score, place, first = (x.detach().cpu().numpy() for x in (links, uv, order))
    found = np.isfinite(place).all(-1)
    if len(set(first.tolist())) < len(first) or not all(0 <= i < found.shape[1] and found[root, i] for i in first):
        raise BadInput("affinity.associate", "order", first.tolist(), f"detections of joint {root}, each once")
    allowed = None if reference is None else reference.detach().cpu().numpy()
    chosen = np.full((len(first), len(uv)), -1)
    chosen[:, root] = first
    for e, source, target, backwards in steps:
        people = np.flatnonzero(chosen[:, source] >= 0)
        near = chosen[people, source]
        table = (score[e].T if backwards else score[e])[near]
        if allowed is not None:
            distance = np.linalg.norm(place[source, near, None] - place[target], axis=-1)
            table = table + np.where(table > 0, penalty(distance, allowed[people, e, None], length), 0)
        table = np.where(found[target], table, -1)
        for n, row in zip(people, table, strict=True):
            best = row.argmax()
            if row[best] > 0:
                chosen[n, target] = best
                table[:, best] = -1
    return torch.from_numpy(chosen).to(uv.device)


def greedy(
    links: Float[Tensor, "E K K"],
    uv: Float[Tensor, "J K 2"],
    bones: Bones,
    reference: float | int | None = None,
    least: int = 3,
) -> Int[Tensor, "N J"]:
    """People of one picture, all choosing at once: the two-dimensional baseline of SMAP's Table 4 (OpenPose).

    Bone by bone, the pairs above 0 are taken from the best down, each detection once; pairs with a detection in common
    are one person. Nobody needs a root. SMAP did not release its baseline: this is OpenPose's rule on the same links.

    Parameters
    ----------
    links, uv, bones : as in `associate`
    reference : px; OpenPose lets positive scores of pairs fall that are longer than half the picture's height
    least : people with fewer joints are dropped

    Returns
    -------
    (N, J) index of each joint's detection, or -1; people in the order of their first joint's detections

    Raises
    ------
    BadInput : bones that are no tree
    """
    walk(bones, bones[0][0])
    ends = _ends(bones, len(uv))
    score, place = links.detach().cpu().numpy(), uv.detach().cpu().numpy()
    if reference is not None:
        distance = np.linalg.norm(place[ends[0], :, None] - place[ends[1], None], axis=-1)
        score = score + np.where(score > 0, penalty(distance, reference), 0)
    joints, count = place.shape[:2]
    e, i, j = (score > 0).nonzero()
    falling = np.argsort(-score[e, i, j], kind="stable")
    taken, pairs = set(), []
    for bone, a, b in zip(e[falling], i[falling], j[falling], strict=True):
        if (bone, 0, a) not in taken and (bone, 1, b) not in taken:
            taken |= {(bone, 0, a), (bone, 1, b)}
            pairs.append((ends[0][bone] * count + a, ends[1][bone] * count + b))
    # A bone links a detection to one other at most and the bones are a tree: no joint comes twice in a component.
    nodes = joints * count
    a, b = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(nodes, nodes))
    label = connected_components(graph, directed=False)[1]
    chosen = np.full((nodes, joints), -1)
    chosen[label, np.arange(nodes) // count] = np.arange(nodes) % count
    return torch.from_numpy(chosen[(chosen >= 0).sum(1) >= max(least, 2)]).to(uv.device)
