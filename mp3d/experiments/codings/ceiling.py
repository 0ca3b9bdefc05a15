"""How many people of a picture each coding can carry at best, and which ones it cannot.

Everything is exact: maps are written from the truth and read back. A coding *carries* a joint if it comes back as it
was and as that person's, and a person if it carries all joints that are in the picture, hidden ones included. One
tolerance for all: half a cell in the picture, 50 mm in space. Codings (`CODINGS`):

- tags, greedy / tags, hungarian: heatmaps with sub-pixel decode, ideal tags far apart, ORPM-AE's grouping or the public
  code's
- fields, 2D / fields, near first: heatmaps and part affinity fields, OpenPose's grouping or SMAP's with the root-depth
  map; what the picture's border cuts from the rest of a body is lost even of somebody alone
- ORPM: pose maps with ORPM-AE's read-out, where joints and whose they are is given: the pose relative to the root
- root depth: SMAP's root-depth map, read at the given root: all of a person's joints or none
- anchors: a person needs an anchor of their own (A+ of PandaNet), and their box has to stay when boxes that overlap
  another by more than half are dropped: all joints or none
- top-down: each box its own picture (3DMPPE): a person is lost with their box alone, at the detector's suppression

The last three say whether there is a place for somebody, not how well what stands there can be predicted.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Literal

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.batch import Batch
from mp3d.camera import back_project
from mp3d.codings import affinity, anchors, depth, heatmaps, orpm, tags
from mp3d.codings.grid import Grid
from mp3d.experiments.codings.crowds import HEIGHT, WIDTH, crowd, pair
from mp3d.experiments.codings.curves import point, share
from mp3d.experiments.codings.grouping import BONES, group_by_fields, match, paired
from mp3d.experiments.codings.maps import mean_bones
from mp3d.scene import HIDDEN, VISIBLE
from mp3d.skeletons import MPI17

CODINGS = (
    *("tags, greedy", "tags, hungarian", "fields, 2D", "fields, near first"),
    *("ORPM", "root depth", "anchors", "top-down"),
)
CELL, MM = 0.5, 50.0
"""The tolerance: cells in the picture, mm in space."""
OVERLAP = 0.5
"""IoU above which the farther of two boxes is dropped."""
LABELS: dict[str, Literal["none", "log"]] = {"exact": "log", "cell": "none"}
"""How `round_trip` draws heatmaps, about the joint itself or the centre of its cell, and how it reads them."""
SIZES = 9
"""Of anchors, by k-means over other crowds' boxes."""


def carried(batch: Batch, stride: int = 4) -> dict[str, Bool[Tensor, "B P 17"]]:
    """Whether each of `CODINGS` carries each joint; never one that is not in the picture.

    Parameters
    ----------
    stride : of all maps, px; anchors stand on every second cell
    """
    grid, on = Grid.over(WIDTH, HEIGHT, stride), batch.labelled
    found = _grouped(batch, grid)
    found["ORPM"] = _posed(batch, grid) & on
    z, read = batch.xyz[:, :, MPI17.root, 2], _root_depth(batch, grid)
    whole = {
        "root depth": (read - z).abs() <= MM,  # NaN, where the root is off the picture, is not
        "anchors": _kept(batch, _anchored(batch, stride)) & _anchored(batch, stride),
        "top-down": _kept(batch, batch.there),
    }
    found |= {coding: people[..., None] & on for coding, people in whole.items()}
    return {coding: found[coding] for coding in CODINGS}


def ceiling(
    seeds: Sequence[int], scenes: int, people: Sequence[int] = (1, 2, 3, 5, 8, 12, 20, 30), stride: int = 4
) -> pd.DataFrame:
    """The share in % that each coding carries, against the number of people in the picture.

    A curve table: x is the number of people, series are `CODINGS`, panels are people and joints.
    """
    return pd.DataFrame([row for n in people for row in _shares([crowd(n, s, scenes) for s in seeds], n, stride)])


def ceiling_by_stride(
    seeds: Sequence[int], scenes: int, people: int = 8, strides: Sequence[int] = (2, 4, 8)
) -> pd.DataFrame:
    """`ceiling` of one number of people, against the stride of the maps in px (x)."""
    batches = [crowd(people, seed, scenes) for seed in seeds]
    return pd.DataFrame([row for stride in strides for row in _shares(batches, stride, stride)])


def meeting(
    seeds: Sequence[int],
    scenes: int,
    gaps: Sequence[float | int] = (0, 50, 100, 200, 300, 450, 600, 800),
    behind: float | int = 500,
    stride: int = 4,
) -> pd.DataFrame:
    """The share in % that each coding carries as two people come together, 4 m off, one `behind` mm behind the other.

    A curve table: x is the gap from root to root across the view in mm, series are `CODINGS`, panels are people and
    joints.
    """
    return pd.DataFrame([r for g in gaps for r in _shares([pair(g, s, scenes, behind) for s in seeds], g, stride)])


def _shares(batches: Sequence[Batch], x: float | int, stride: int) -> list[dict]:
    """Rows of a curve table: what each coding carries of these pictures."""
    rows, found, on = [], [carried(batch, stride) for batch in batches], torch.cat([b.labelled for b in batches])
    for series in CODINGS:
        joints = torch.cat([one[series] for one in found])
        people = (joints == on).all(-1) & on.any(-1)
        parts = {"people": (people.sum(1), on.any(-1).sum(1)), "joints": (joints.sum((1, 2)), on.sum((1, 2)))}
        rows += [point(series, x, *share(*part), panel, (0, 100)) for panel, part in parts.items()]
    return rows


# ------------------------------------------------------------------------------------------ each coding


def _grouped(batch: Batch, grid: Grid) -> dict[str, Bool[Tensor, "B P 17"]]:
    """By heatmaps, and tags or fields."""
    on = batch.labelled
    peaks = heatmaps.peaks(heatmaps.encode(batch.uv, on, grid, sigma=1), grid)
    numbers = 10.0 * torch.arange(batch.uv.shape[1]).expand(len(batch), -1)
    tag = tags.read(tags.encode(batch.uv, on, numbers, grid), peaks.cell)
    links = affinity.links(affinity.encode(batch.uv, on, BONES, grid, width=1), peaks, BONES, grid)
    root = _root_map(batch, grid)
    z = depth.read_root(root, peaks.uv[:, MPI17.root], grid)
    people = {f"tags, {method}": tags.group(peaks, tag, method) for method in ("greedy", "hungarian")}
    people["fields, 2D"] = group_by_fields(peaks, links, z, batch.k[:, 0], "2D")
    people["fields, near first"] = group_by_fields(peaks, links, z, batch.k[:, 0], "near first, length")
    return {
        coding: torch.stack(
            [
                match(peaks.take(b, chosen)[0], batch.uv[b], on[b], CELL * grid.stride)[0]
                for b, chosen in enumerate(pictures)
            ]
        )
        for coding, pictures in people.items()
    }


def _posed(batch: Batch, grid: Grid) -> Bool[Tensor, "B P 17"]:
    """By ORPM: joints relative to the root within the tolerance."""
    truth = batch.xyz - batch.xyz[:, :, MPI17.root, None]
    maps, _ = orpm.encode(orpm.to_bones(batch.xyz), batch.uv, batch.labelled, batch.xyz[:, :, MPI17.root, 2], grid)
    bones, _ = orpm.read(maps, batch.uv, batch.labelled, grid, "paper", _mean_bones())
    return (orpm.from_bones(bones) - truth).norm(dim=-1) <= MM


def _root_map(batch: Batch, grid: Grid) -> Float[Tensor, "B 1 H W"]:
    root = MPI17.root
    return depth.encode_root(batch.xyz[:, :, root, 2], batch.uv[:, :, root], batch.labelled[:, :, root], grid)[0]


def _root_depth(batch: Batch, grid: Grid) -> Float[Tensor, "B P"]:
    return depth.read_root(_root_map(batch, grid), batch.uv[:, :, MPI17.root], grid)


_mean_bones = cache(mean_bones)


@cache
def anchor_sizes() -> Float[Tensor, "A 2"]:
    """Widths and heights of the anchors, px: of the boxes of people in crowds that no experiment sees."""
    boxes = anchors.pose_box(crowd(8, 1_000_000, 64).uv)
    return anchors.kmeans(boxes[..., 2:].flatten(0, 1), SIZES)


def _anchored(batch: Batch, stride: int) -> Bool[Tensor, "B P"]:
    """Who has an anchor in A+."""
    grid = Grid.over(WIDTH, HEIGHT, 2 * stride)
    person, overlap = anchors.assign(anchors.grid_anchors(anchor_sizes(), grid), anchors.pose_box(batch.uv))
    people = batch.uv.shape[1]
    mine = anchors.labels(anchors.pono(person, overlap, people))
    counts = torch.zeros(len(batch), people + 1)
    counts.scatter_add_(1, torch.where(mine, person, people).flatten(1), torch.ones(mine.shape).flatten(1))
    return counts[:, :people] > 0


def _kept(batch: Batch, offered: Bool[Tensor, "B P"]) -> Bool[Tensor, "B P"]:
    """Whose box stays of those that are offered: the nearer has the higher score."""
    boxes, z = anchors.pose_box(batch.uv), batch.xyz[:, :, MPI17.root, 2]
    kept = torch.zeros_like(offered)
    for b, some in enumerate(offered):
        kept[b, anchors.nms(boxes[b].where(some[:, None], torch.nan), -z[b], OVERLAP)] = True
    return kept


# ------------------------------------------------------------------------------------------ who is lost


def lost(batch: Batch, stride: int = 4, hidden_roots: bool = False) -> pd.DataFrame:
    """Who each coding cannot represent, and why, told from the truth without maps.

    Parameters
    ----------
    stride : of all maps, px
    hidden_roots : whether fields lose who hides their root, too, as where hidden joints are not drawn

    Returns
    -------
    a row a picture, person, coding and reason, with `other`, the person who is in the way (-1 for none), and `joints`,
    how many it concerns. Codings and their reasons:

    - heatmaps: "same cell", a nearer person's same joint lies in the same cell
    - tags: "another's tag", somebody's same joint is nearer to the middle of this joint's cell
    - fields: "cut off", joints in the picture to which the way from the root leads out of it, which one person alone
      may have; "root hidden", if asked for: nobody to start from
    - fields, root depth: "root off the picture"
    - pose maps: "overwritten", nearer people's squares cover all sites of a joint; "too close", not all, but the
      others lie so near to somebody's site that they are not read (t_D = 3 cells)
    - root depth: "same cell", a nearer root lies so close that it has this root's cell
    - anchors: "no anchor of their own", others overlap all of a person's anchors more; `other` has most of the best
    - anchors, top-down: "box dropped", a nearer person's box overlaps too much
    """
    grid, root, rows = Grid.over(WIDTH, HEIGHT, stride), MPI17.root, []
    z = batch.xyz[:, :, root, 2]
    cells, _ = grid.cells(batch.uv)
    on, seen = batch.labelled, batch.visibility
    another = batch.there[:, None] & ~torch.eye(batch.uv.shape[1], dtype=torch.bool)  # (B, P, other)
    nearer = (z[:, None] < z[:, :, None]) & another
    gap = (cells[:, :, None] - cells[:, None]).abs().amax(-1)  # (B, P, other, J)
    both = on[:, :, None] & on[:, None]

    def note(coding: str, reason: str, others: Tensor) -> None:
        """`others` (B, P, other) says how many joints of a person another one concerns."""
        for b, p, q in others.nonzero().tolist():
            row = {"picture": b, "person": p, "coding": coding, "reason": reason}
            rows.append(row | {"other": q, "joints": int(others[b, p, q])})

    def alone(coding: str, reason: str, people: Tensor, joints: Tensor) -> None:
        for b, p in people.nonzero().tolist():
            row = {"picture": b, "person": p, "coding": coding, "reason": reason}
            rows.append(row | {"other": -1, "joints": int(joints[b, p].sum())})

    note("heatmaps", "same cell", ((gap == 0) & both & nearer[..., None]).sum(-1))
    middle = grid.centres(cells)
    closer = (batch.uv[:, None] - middle[:, :, None]).norm(dim=-1) < (batch.uv - middle).norm(dim=-1)[:, :, None]
    note("tags", "another's tag", ((gap <= 1) & closer & both & another[..., None]).sum(-1))
    reached = orpm.tree_sum((~on).float()[..., None], MPI17.parents)[..., 0] == 0
    off = batch.there & ~on[..., root]
    alone("fields", "root off the picture", off, on)
    alone("fields", "cut off", (on & ~reached).any(-1) & ~off, on & ~reached)
    if hidden_roots:
        alone("fields", "root hidden", (seen[..., root] == HIDDEN) & (seen == VISIBLE).any(-1), on)
    over, close = _met(cells, on, nearer, 1), _met(cells, on, another, 2)
    use = orpm.sites() & on[:, :, None]
    covered, unread = (on & (met.any(2) | ~use).all(-1) for met in (over, over | close))
    note("pose maps", "overwritten", (over.any(-1) & covered[:, :, None]).sum(-1))
    note("pose maps", "too close", (close.any(-1) & (unread & ~covered)[:, :, None]).sum(-1))
    alone("root depth", "root off the picture", off, on)
    note("root depth", "same cell", ((gap <= 1) & both & nearer[..., None])[..., root] * on.sum(-1)[..., None])
    boxes, whose = anchors.pose_box(batch.uv), _anchored(batch, stride)
    overlap = anchors.iou(boxes[:, :, None], boxes[:, None])
    for b, p in (batch.there & ~whose).nonzero().tolist():
        row = {"picture": b, "person": p, "coding": "anchors", "reason": "no anchor of their own"}
        others = overlap[b, p].scatter(0, torch.tensor(p), -1)
        rows.append(row | {"other": int(others.argmax()), "joints": int(on[b, p].sum())})
    for coding, offered in (("anchors", whose), ("top-down", batch.there)):
        kept = _kept(batch, offered)
        over = (overlap > OVERLAP) & nearer & kept[:, None] & (offered & ~kept)[..., None]
        note(coding, "box dropped", over * on.sum(-1)[..., None])
    return pd.DataFrame(rows, columns=["picture", "person", "coding", "reason", "other", "joints"])


def _met(
    cells: Int[Tensor, "B P 17 2"], on: Bool[Tensor, "B P 17"], others: Bool[Tensor, "B P P"], reach: int
) -> Bool[Tensor, "B P P 17 17"]:
    """[..., j, s] whether a person's site s of joint j lies within `reach` cells of another's site of j."""
    gap = (cells[:, :, None, :, None] - cells[:, None, :, None]).abs().amax(-1)
    near = (gap <= reach) & on[:, :, None, :, None] & on[:, None, :, None] & others[..., None, None]
    rho = orpm.sites()
    return (near.float() @ rho.T.float() > 0).mT & rho


# ------------------------------------------------------------------------------------------ all the way to space


def round_trip(
    seeds: Sequence[int], scenes: int, strides: Sequence[int] = (2, 4, 8), people: Sequence[int] = (1, 5)
) -> pd.DataFrame:
    """SMAP's whole way on ideal maps: peaks, links, association, depth read-out, back-projection (section 3).

    A row a number of people, way of drawing the heatmaps and stride. `labels` is "exact" (about the joint) or "cell"
    (about its cell's centre, as the release does; peaks are found there). Columns: found, the joints in % that end
    with the right person within a cell; uv, their mean error in px; dz and dz_median, that of a bone's relative depth
    in mm, of bones with both ends; root, that of the root's place in mm; mpjpe, the mean error in mm relative to the
    root of the joints of people whose root was found. There is no RefineNet, which would fill in what is missing.
    """
    rows = []
    for count in people:
        batches = [crowd(count, seed, scenes) for seed in seeds]
        joints = sum(int(batch.labelled.sum()) for batch in batches)
        for stride in strides:
            tries = [_read_back(batch, Grid.over(WIDTH, HEIGHT, stride)) for batch in batches]
            for labels in LABELS:
                uv, dz, root, pose = (torch.cat(part) for part in zip(*(one[labels] for one in tries), strict=True))
                row = {"people": count, "labels": labels, "stride": stride, "found": 100 * len(uv) / joints}
                row |= {"uv": uv.mean(), "dz": dz.mean(), "dz_median": dz.median()}
                rows.append(row | {"root": root.mean(), "mpjpe": pose.mean()})
    return pd.DataFrame(rows).astype(dict.fromkeys(("uv", "dz", "dz_median", "root", "mpjpe"), float))


def _read_back(batch: Batch, grid: Grid) -> dict[str, tuple[Float[Tensor, " _"], ...]]:
    """For each of `LABELS` errors of joints (px), relative depths (mm), roots (mm), joints about the root (mm)."""
    on, z, root, focal = batch.labelled, batch.xyz[..., 2], MPI17.root, batch.k[:, 0]
    first, second = (list(ends) for ends in zip(*BONES, strict=True))
    unit = depth.normalise(z[:, :, root], focal[:, None])
    roots = depth.encode_root(unit, batch.uv[:, :, root], on[:, :, root], grid)[0]
    parts = depth.encode_parts(z, batch.uv, on, BONES, grid, 1)[0]
    fields = affinity.encode(batch.uv, on, BONES, grid, 1)
    edge = torch.tensor([WIDTH, HEIGHT]) - 1e-3
    errors = {}
    for labels, refine in LABELS.items():
        peaks = heatmaps.peaks(heatmaps.encode(batch.uv, on, grid, 1, labels), grid, refine=refine)
        peaks = replace(peaks, uv=peaks.uv.clamp(torch.zeros(2), edge))
        far = depth.denormalise(depth.read_root(roots, peaks.uv[:, root], grid), focal[:, None])
        links = affinity.links(fields, peaks, BONES, grid)
        found = []
        for b, chosen in enumerate(group_by_fields(peaks, links, far, focal, "near first, length")):
            uv = peaks.take(b, chosen)[0]
            dz = depth.read_parts(parts[b], uv[:, first], uv[:, second], grid)
            xyz = back_project(uv, depth.chain(dz, far[b, chosen[:, root]], BONES), batch.k[b])
            right, whose = paired(uv, batch.uv[b], on[b], grid.stride)
            true = batch.xyz[b]
            # Row -1 stands for who is not found.
            uv, dz, place = (torch.cat([x, x.new_full((1, *x.shape[1:]), torch.nan)])[whose] for x in (uv, dz, xyz))
            off = ((place - place[:, [root]]) - (true - true[:, [root]])).norm(dim=-1)
            found.append(
                (
                    (uv - batch.uv[b]).norm(dim=-1)[right],
                    (dz - (z[b][:, second] - z[b][:, first])).abs()[right[:, first] & right[:, second]],
                    (place - true).norm(dim=-1)[:, root][right[:, root]],
                    off[right & right[:, [root]]],
                )
            )
        errors[labels] = tuple(torch.cat(part) for part in zip(*found, strict=True))
    return errors
