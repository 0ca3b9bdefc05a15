"""Anchors: boxes of fixed sizes at every cell, each of which may stand for one person (PandaNet, CVPR 2020).

Boxes are x, y, width, height in px: the top left corner and the size.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.codings.grid import Grid
from mp3d.codings.orpm import to_bones
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17, Skeleton


def iou(a: Float[Tensor, "*#boxes 4"], b: Float[Tensor, "*#boxes 4"]) -> Float[Tensor, "*boxes"]:
    """Intersection over union of boxes, broadcast; 0 where one is NaN or both are empty.

    It carries a gradient where the boxes overlap (PandaNet eq. 5 is the square of 1 - IoU).
    """
    common = None
    for axis in (0, 1):
        low = torch.maximum(a[..., axis], b[..., axis])
        high = torch.minimum(a[..., axis] + a[..., axis + 2], b[..., axis] + b[..., axis + 2])
        side = (high - low).clamp(min=0)
        common = side if common is None else common * side
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - common
    return torch.where(union > 0, common / torch.where(union > 0, union, 1), 0)


def iou_of_sizes(a: Float[Tensor, "N 2"], b: Float[Tensor, "A 2"]) -> Float[Tensor, "N A"]:
    """Intersection over union of boxes (width, height) with one centre, all pairs."""
    common = torch.minimum(a[:, None], b).prod(-1)
    return common / (a.prod(-1)[:, None] + b.prod(-1) - common)


def kmeans(sizes: Float[Tensor, "N 2"], count: int, seed: int = 0) -> Float[Tensor, "A 2"]:
    """The sizes of `count` anchors that fit the boxes of a training set best: k-means with the distance 1 - IoU.

    YOLOv2's recipe, which PandaNet cites. Our choices: seeds far from one another (k-means++), medians as centres, and
    an order by area. The order of the boxes does not matter.

    Parameters
    ----------
    sizes : (N, 2) width and height in px

    Raises
    ------
    BadInput : sizes that are not positive, or fewer different ones than `count`
    """
    if not (sizes > 0).all() or not sizes.isfinite().all():
        raise BadInput("kmeans", "sizes", "some that are not", "positive numbers, px")
    different = len(sizes.unique(dim=0))
    if not 1 <= count <= different:
        raise BadInput("kmeans", "count", count, f"1 to {different}, the number of different sizes")
    for axis in (1, 0):
        sizes = sizes[sizes[:, axis].argsort(stable=True)]
    rng = np.random.default_rng(seed)
    centres = sizes[rng.integers(len(sizes)), None]
    while len(centres) < count:
        far = (1 - iou_of_sizes(sizes, centres).amax(1)).double().clamp(min=0).square().cumsum(0)
        at = torch.searchsorted(far, far[-1] * rng.random(), right=True).clamp(max=len(sizes) - 1)
        centres = torch.cat([centres, sizes[at, None]])
    owner = None
    for _ in range(100):
        before, owner = owner, iou_of_sizes(sizes, centres).argmax(1)
        if before is not None and torch.equal(before, owner):
            break
        mine = owner[:, None] == torch.arange(count, device=sizes.device)
        medians = torch.where(mine[..., None], sizes[:, None], torch.nan).nanmedian(0).values
        centres = torch.where(medians.isnan(), centres, medians)  # a centre that lost all its boxes stays
    return centres[centres.prod(-1).argsort(stable=True)]


def grid_anchors(sizes: Float[Tensor, "A 2"], grid: Grid) -> Float[Tensor, "H W A 4"]:
    """The anchors: a box of each size (px) around the centre of each cell."""
    u, v = (axis.to(sizes) for axis in grid.axes(sizes.device))
    centre = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[:, :, None]
    shape = (grid.height, grid.width, *sizes.shape)
    return torch.cat([centre - sizes / 2, sizes.expand(shape)], -1)


def some_anchors(
    sizes: Float[Tensor, "A 2"], grid: Grid, cells: Int[Tensor, "N 2"], kind: Int[Tensor, " N"]
) -> Float[Tensor, "N 4"]:
    """Those of `grid_anchors` at cells (row, column), of the sizes numbered `kind`."""
    size = sizes[kind]
    return torch.cat([grid.centres(cells).to(size) - size / 2, size], -1)


def pose_box(
    uv: Float[Tensor, "*people J 2"], wider: float | int = 0.1, taller: float | int = 0.15
) -> Float[Tensor, "*people 4"]:
    """The box of a person: tight around all joints that are not NaN, hidden and cut-off ones too, then made larger.

    Our choice, after JTA's own tool: a tenth wider and 15 % taller in total, about its centre; not clipped. NaN where
    no joint is known.
    """
    known = uv.isfinite().all(-1, keepdim=True)
    low = torch.where(known, uv, torch.inf).amin(-2)
    high = torch.where(known, uv, -torch.inf).amax(-2)
    more = (high - low) * torch.tensor([wider, taller], device=uv.device, dtype=uv.dtype)
    box = torch.cat([low - more / 2, high - low + more], -1)
    return torch.where(known.any(-2), box, torch.nan)


def tight_box(
    box: Float[Tensor, "*people 4"], wider: float | int = 0.1, taller: float | int = 0.15
) -> Float[Tensor, "*people 4"]:
    """The box tight around the joints, from that of `pose_box`."""
    centre = box[..., :2] + box[..., 2:] / 2
    size = box[..., 2:] / box.new_tensor([1 + wider, 1 + taller])
    return torch.cat([centre - size / 2, size], -1)


def assign(
    anchors: Float[Tensor, "H W A 4"], boxes: Float[Tensor, "*B P 4"]
) -> tuple[Int[Tensor, "*B H W A"], Float[Tensor, "*B H W A"]]:
    """For each anchor the person whose box it overlaps most, and that IoU (PandaNet eq. 1).

    Of equally good people the first. Our choice: an anchor that overlaps nobody belongs to nobody, person -1; an argmax
    alone would say person 0. Places without a person are NaN boxes.
    """
    shape = (*boxes.shape[:-2], *anchors.shape[:-1])
    person, best = torch.full(shape, -1, device=boxes.device), boxes.new_zeros(shape)
    # Person by person: all at once would take as much memory as all their overlaps.
    for p, box in enumerate(boxes.unbind(-2)):
        overlap = iou(anchors, box[..., None, None, None, :])
        person, best = person.masked_fill(overlap > best, p), torch.maximum(best, overlap)
    return person, best


def pono(person: Int[Tensor, "*B H W A"], overlap: Float[Tensor, "*B H W A"], people: int) -> Float[Tensor, "*B H W A"]:
    """Per-object normalised overlap: an anchor's IoU over the best that the same person has; 0 for nobody's anchors.

    The best anchor of everybody who has one scores 1 (PandaNet section 3.2); somebody whom others cover may have none.

    Parameters
    ----------
    person, overlap : what `assign` returns
    people : P, the number of places
    """
    owner, flat = (x.flatten(-3) for x in (torch.where(person < 0, people, person), overlap))
    best = flat.new_zeros(*flat.shape[:-1], people + 1)
    best = best.scatter_reduce(-1, owner, flat, "amax")
    score = flat / best.gather(-1, owner).clamp(min=torch.finfo(flat.dtype).tiny)
    return torch.where(owner < people, score, 0).view(overlap.shape)


def labels(
    pono: Float[Tensor, "*anchors"], quality: Float[Tensor, "*anchors"] | None = None, threshold: float | int = 0.5
) -> Bool[Tensor, "*anchors"]:
    """Which anchors the score shall call a person: PONO times the quality of what was predicted above 0.5.

    Parameters
    ----------
    pono : (...) what `pono` returns
    quality : (...) in 0 to 1, by which PandaNet's table 1 names its variants: None, PONO alone (also the set A+ that
        regression learns from); the `iou` of the decoded box, "box-aware"; the mean of `iou_of_joints` over the
        joints, "pose-aware" (eq. 9)

    No gradient passes; the product is taken in 32 bits at least, since half precision would tip the threshold.
    """
    score = pono.detach()
    score = score.to(torch.promote_types(score.dtype, torch.float32))
    return (score if quality is None else score * quality.detach()) > threshold


def iou_of_joints(a: Float[Tensor, "*#joints 2"], b: Float[Tensor, "*#joints 2"]) -> Float[Tensor, "*joints"]:
    """Intersection over union of unit squares around two points in anchor coordinates (PandaNet eq. 7).

    I / (2 - I) with I = (1 - |dx|)(1 - |dy|). Without a gradient once the points are an anchor's side apart.
    """
    common = (1 - (a - b).abs()).clamp(min=0).prod(-1)
    return common / (2 - common)


def encode_boxes(anchors: Float[Tensor, "*#boxes 4"], boxes: Float[Tensor, "*#boxes 4"]) -> Float[Tensor, "*boxes 4"]:
    """Offsets from anchors to boxes: centre by the anchor's size, logarithm of the ratio of sizes (our choice).

    NaN for a NaN box, a place without a person; `BadInput` for a size that is not positive, which has no logarithm:
    the box of a single joint is such a one.
    """
    _sized(anchors, "encode_boxes", "anchors")
    _sized(boxes, "encode_boxes", "boxes")
    return torch.cat([(_centre(boxes) - _centre(anchors)) / anchors[..., 2:], (boxes / anchors)[..., 2:].log()], -1)


def decode_boxes(
    anchors: Float[Tensor, "*#boxes 4"], offsets: Float[Tensor, "*#boxes 4"], limit: float | int = 4
) -> Float[Tensor, "*boxes 4"]:
    """Boxes from anchors and offsets, the inverse of `encode_boxes`; logarithms of sizes are held within +-`limit`."""
    size = anchors[..., 2:] * offsets[..., 2:].clamp(-limit, limit).exp()
    return torch.cat([_centre(anchors) + offsets[..., :2] * anchors[..., 2:] - size / 2, size], -1)


def encode_pose(
    anchors: Float[Tensor, "*#people 4"], uv: Float[Tensor, "*#people J 2"]
) -> Float[Tensor, "*people J 2"]:
    """Joints (px) in anchor coordinates: from the anchor's centre, by its size (PandaNet eq. 6); never clipped.

    `BadInput` for an anchor whose size is not positive.
    """
    _sized(anchors, "encode_pose", "anchors")
    return (uv - _centre(anchors)[..., None, :]) / anchors[..., None, 2:]


def decode_pose(
    anchors: Float[Tensor, "*#people 4"], pose: Float[Tensor, "*#people J 2"]
) -> Float[Tensor, "*people J 2"]:
    """Joints in px from anchor coordinates, the inverse of `encode_pose`."""
    return pose * anchors[..., None, 2:] + _centre(anchors)[..., None, :]


def _sized(boxes: Float[Tensor, "*boxes 4"], where: str, field: str) -> None:
    """`BadInput` for a box that has no size; one that is NaN is nobody's."""
    if (boxes[..., 2:] <= 0).any():
        raise BadInput(where, field, f"a size of {boxes[..., 2:].nan_to_num(torch.inf).min():g}", "positive sizes, px")


def _centre(boxes: Float[Tensor, "*boxes 4"]) -> Float[Tensor, "*boxes 2"]:
    return boxes[..., :2] + boxes[..., 2:] / 2


def unit_bones(
    poses: Float[Tensor, "*people J 3"], skeleton: Skeleton = MPI17
) -> tuple[Float[Tensor, "*people J 3"], Float[Tensor, "*people"]]:
    """Poses relative to the root whose bones have the sum of lengths 1, and that sum in mm (PandaNet section 3.3.3).

    All bones count: a person with an unknown joint has no such pose, NaN.
    """
    if skeleton.root is None or poses.shape[-2] != len(skeleton):
        raise BadInput("unit_bones", "poses", f"{poses.shape[-2]} joints", f"those of {skeleton}, with a root")
    length = to_bones(poses, skeleton).norm(dim=-1).sum(-1)
    relative = poses - poses[..., [skeleton.root], :]
    return relative / length[..., None, None], length


def nms(
    boxes: Float[Tensor, "N 4"], scores: Float[Tensor, " N"], threshold: float | int = 0.5, most: int = 1000
) -> Int[Tensor, " K"]:
    """Greedy non-maximum suppression: the indices of the boxes that stay, by falling score.

    A box stays unless one that stays has a higher score (of equal ones: comes first) and an IoU above the threshold.
    Only the `most` highest scores are looked at; a box or a score that is NaN never stays.
    """
    known = (boxes.isfinite().all(-1) & ~scores.isnan()).nonzero()[:, 0]
    order = known[scores[known].argsort(stable=True, descending=True)[:most]]
    x, y, width, height = boxes[order].cpu().numpy().T.copy()
    right, bottom = x + width, y + height
    # IoU > t is: common > t / (1 + t) times the sum of both areas. What is gone is looked at no more.
    area = width * height * x.dtype.type(threshold / (1 + threshold))
    left, stays = np.arange(len(order)), []
    while len(left):
        best = left[0]
        stays.append(best)
        common = np.minimum(right[left], right[best]) - np.maximum(x[left], x[best])
        common = common.clip(0) * (np.minimum(bottom[left], bottom[best]) - np.maximum(y[left], y[best])).clip(0)
        apart = common - area[left] <= area[best]
        apart[0] = False
        left = left[apart]
    return order[torch.tensor(stays, dtype=torch.long, device=order.device)]
