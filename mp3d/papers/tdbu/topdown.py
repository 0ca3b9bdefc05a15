"""The top-down branch in the picture: everybody's joints in a box, and which of them are the box's own (section 3.1).

A box that holds two people, or half of one, misleads a network that looks for one person. This one says where all
people's joints in the enlarged box are and whose each is (tags), and the box's own person is chosen afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from mp3d.batch import Batch
from mp3d.codings import heatmaps, tags
from mp3d.codings.crops import Views, crops, views
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.nn.hrnet import HRNet
from mp3d.papers.tdbu.config import Reading, TDBUConfig
from mp3d.skeletons import MPI17

JOINTS = len(MPI17)
STRIDE = 4
"""px of a crop a cell."""
JITTER = 0.15
"""How far training boxes are moved, and changed in size, in parts of it (our choice): detectors are not exact."""
SPREAD = 0.1
"""Of the square root of a person's box: the distance at which OKS in the picture is exp(-1/2) (our choice)."""


class Maps(NamedTuple):
    """What the network says of N crops; without tags where one person is looked for."""

    heatmaps: Float[Tensor, "N 17 S S"]
    tags: Float[Tensor, "N 17 S S"] | None


class PersonNet(nn.Module):
    """HRNet and 1x1 heads: heatmaps and tags of crops."""

    def __init__(self, config: TDBUConfig = TDBUConfig()):
        super().__init__()
        self.config = config
        self.body = HRNet(3, **config.body)
        self.head = nn.Conv2d(config.width, (1 + (config.people == "all")) * JOINTS, 1)
        nn.init.normal_(self.head.weight, std=0.001)
        nn.init.zeros_(self.head.bias)
        nn.init.normal_(self.head.weight[JOINTS:], std=0.1 / config.width**0.5)  # of tags, see `bottomup.SPREAD`
        self.to(memory_format=torch.channels_last)

    def forward(self, crops: Float[Tensor, "N 3 S S"]) -> Maps:
        """Crops of values in 0..1."""
        maps = self.head(self.body(crops.contiguous(memory_format=torch.channels_last)))
        return Maps(maps[:, :JOINTS], maps[:, JOINTS:] if maps.shape[1] > JOINTS else None)


# ---- crops and targets ---------------------------------------------------------------------------------------------


def enlarged(boxes: Float[Tensor, "N 4"], config: TDBUConfig) -> Float[Tensor, "N 4"]:
    """Squares about the middles of tight boxes, `config.enlarge` times as large; px."""
    side = config.enlarge * boxes[:, 2:].amax(1, keepdim=True)
    return torch.cat([boxes[:, :2] + (boxes[:, 2:] - side) / 2, side, side], 1)


def grid(config: TDBUConfig) -> Grid:
    """The cells of a crop's maps."""
    return Grid.over(config.crop, config.crop, STRIDE)


@dataclass(frozen=True, eq=False)
class Sample:
    """Crops, and who is in them.

    Parameters
    ----------
    uv : px of the crops, everybody in the picture; the box's own person comes first
    labelled : whose joints count: in the picture and in the crop, hidden ones too
    """

    crops: Float[Tensor, "N 3 S S"]
    uv: Float[Tensor, "N P 17 2"]
    labelled: Bool[Tensor, "N P 17"]

    def to(self, device: torch.device | str) -> "Sample":
        """The same on another device."""
        return Sample(self.crops.to(device), self.uv.to(device), self.labelled.to(device))


def sample(batch: Batch, config: TDBUConfig, count: int, seed: int) -> Sample:
    """`count` crops of people in these pictures, around boxes that are a little off; a pure function.

    Who shows but one joint has no box; where nobody has one, all crops are of the whole first picture.
    """
    device, (height, width) = batch.image.device, batch.image.shape[2:]
    generator = torch.Generator(device).manual_seed(seed)
    each = tight(batch)
    picture, person = (each[..., 2:] > 0).all(-1).nonzero(as_tuple=True)
    if len(picture):
        order = torch.randperm(len(picture), generator=generator, device=device)
        chosen = order[torch.arange(count, device=device) % len(order)]
        picture, person = picture[chosen], person[chosen]
        boxes = each[picture, person]
    else:
        picture = person = torch.zeros(count, dtype=torch.long, device=device)
        boxes = each.new_tensor([0.0, 0.0, width, height]).expand(count, 4)
    noise = JITTER * (2 * torch.rand(len(boxes), 4, generator=generator, device=boxes.device) - 1)
    size = boxes[:, 2:] * (1 + noise[:, 2:])
    middle = boxes[:, :2] + boxes[:, 2:] * (0.5 + noise[:, :2])
    seen = views(enlarged(torch.cat([middle - size / 2, size], 1), config), picture, config.crop)
    own_first = torch.arange(batch.uv.shape[1], device=person.device).expand(len(person), -1)
    own_first = (own_first - (own_first == person[:, None]).long() * batch.uv.shape[1]).argsort(1)
    everybody = batch.uv[picture].gather(1, own_first[..., None, None].expand(-1, -1, JOINTS, 2))
    labelled = batch.labelled[picture].gather(1, own_first[..., None].expand(-1, -1, JOINTS))
    uv = seen.to_crop(everybody.flatten(1, 2)).unflatten(1, everybody.shape[1:3])
    inside = ((uv >= 0) & (uv < config.crop)).all(-1)
    return Sample(crops(batch.image, seen), uv, labelled & inside)


def tight(batch: Batch) -> Float[Tensor, "B P 4"]:
    """x, y, width, height in px around everybody's joints in the picture; NaN where there is none."""
    on = batch.labelled[..., None]
    low, high = batch.uv.where(on, torch.inf).amin(2), batch.uv.where(on, -torch.inf).amax(2)
    return torch.cat([low, high - low], -1).where(on.any(2), torch.nan)


def loss(maps: Maps, goal: Sample, config: TDBUConfig) -> dict[str, Float[Tensor, ""]]:
    """ "heatmaps", equation 1 as a mean, times 100; "tags", pull and push; and their sum, "loss"."""
    cells, shown = grid(config), goal.labelled
    if config.people == "one":
        shown = shown & (torch.arange(shown.shape[1], device=shown.device) == 0)[:, None]
    target = heatmaps.encode(goal.uv, shown, cells, config.sigma)
    terms = {"heatmaps": 100 * (maps.heatmaps.float() - target).square().mean()}
    if maps.tags is not None:
        found = tags.loss(maps.tags.float(), goal.uv, goal.labelled, cells, sigma=config.push)
        terms["tags"] = 100 * config.tags * (found["pull"] + found["push"])
    return {"loss": sum(terms.values()), **terms}


# ---- from maps to people -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Found:
    """The people of N boxes.

    Parameters
    ----------
    picture : which picture each is in
    box : which of the boxes that were asked for
    uv : px of the picture, NaN where not found
    sure : height of the joint's peak, 0 to 1, 0 where not found
    heatmaps, views : what the network said, and where: for the bottom-up network
    """

    picture: Int[Tensor, " N"]
    box: Int[Tensor, " N"]
    uv: Float[Tensor, "N 17 2"]
    sure: Float[Tensor, "N 17"]
    heatmaps: Float[Tensor, "N 17 S S"]
    views: Views


@torch.no_grad()
def find(
    network: PersonNet,
    images: UInt8[Tensor, "B 3 H W"],
    boxes: Sequence[Float[Tensor, "_ 4"]],
    reading: Reading = Reading(),
    chunk: int = 64,
) -> Found:
    """The person of each box: of the groups of joints in it, the one whose own box fits it best (our rule).

    Boxes of no area, and such in which nobody is found, give nobody; who is found twice stays once (`Reading.double`).

    Parameters
    ----------
    images : RGB
    boxes : for each picture, x, y, width, height in px, tight
    """
    config, device = network.config, next(network.parameters()).device
    if len(boxes) != len(images):
        raise BadInput("tdbu.find", "boxes", len(boxes), f"{len(images)}, one list a picture")
    tables = [torch.as_tensor(some, dtype=torch.float32, device=device).reshape(-1, 4) for some in boxes]
    flat = torch.cat([torch.zeros(0, 4, device=device), *tables])
    origin = [(b, i) for b, some in enumerate(tables) for i in range(len(some))]
    picture, number = torch.tensor(origin, dtype=torch.long, device=device).reshape(-1, 2).unbind(1)
    good = (flat[:, 2:] > 0).all(-1) & flat.isfinite().all(-1)
    flat, picture, number = flat[good], picture[good], number[good]
    seen = views(enlarged(flat, config), picture, config.crop)
    images = images.to(device)
    training = network.training
    network.eval()
    parts = []
    for rows in torch.arange(len(flat), device=device).split(chunk):
        some = Views(picture[rows], seen.matrix[rows], seen.corner[rows], seen.mirrored[rows], config.crop)
        maps = network(crops(images, some))
        parts.append((maps.heatmaps.float(), *_chosen(maps, some, flat[rows], config, reading)))
    network.train(training)
    cells = config.crop // STRIDE
    empty = [flat.new_zeros(0, *shape) for shape in ((JOINTS, cells, cells), (JOINTS, 2), (JOINTS,))]
    heat, uv, sure = (torch.cat(part) for part in zip(empty, *parts, strict=True))
    kept = once(picture, uv, sure, reading.double)
    matrix, corner, mirrored = seen.matrix[kept], seen.corner[kept], seen.mirrored[kept]
    some = Views(picture[kept], matrix, corner, mirrored, config.crop)
    return Found(picture[kept], number[kept], uv[kept], sure[kept], heat[kept].clamp(0, 1), some)


def _chosen(
    maps: Maps, seen: Views, boxes: Tensor, config: TDBUConfig, reading: Reading
) -> tuple[Float[Tensor, "N 17 2"], Float[Tensor, "N 17"]]:
    """px of the picture and scores of each crop's own person; nothing where nobody is found."""
    cells = grid(config)
    peaks = heatmaps.peaks(maps.heatmaps.float(), cells, reading.most, reading.threshold, window=3)
    if maps.tags is None:  # the highest peak of each joint
        uv, score = peaks.uv[:, :, 0], peaks.score[:, :, 0]
        return seen.to_picture(uv), score.clamp(0, 1)
    read = tags.read(maps.tags.float(), peaks.cell, cells)
    groups = tags.group(peaks, read / reading.tag, "hungarian", least=1, least_score=0)
    uv, score = peaks.uv.new_full((len(groups), JOINTS, 2), torch.nan), peaks.score.new_zeros(len(groups), JOINTS)
    for i, group in enumerate(groups):
        if not len(group):
            continue
        places, heights, _ = peaks.take(i, group)
        one = Views(
            seen.picture[:1], *(part[i : i + 1] for part in (seen.matrix, seen.corner, seen.mirrored)), seen.size
        )
        places = one.to_picture(places.flatten(0, 1)[None])[0].unflatten(0, places.shape[:2])
        fit = overlap(around(places), boxes[i].expand(len(places), 4)) + 1e-3 * heights.mean(1)
        best = fit.argmax()
        uv[i], score[i] = places[best], heights[best]
    return uv, score.clamp(0, 1)


def around(uv: Float[Tensor, "N 17 2"]) -> Float[Tensor, "N 4"]:
    """x, y, width, height of the boxes around joints that are not NaN."""
    known = uv.isfinite()
    low, high = uv.where(known, torch.inf).amin(1), uv.where(known, -torch.inf).amax(1)
    return torch.cat([low, high - low], 1)


def overlap(a: Float[Tensor, "N 4"], b: Float[Tensor, "N 4"]) -> Float[Tensor, " N"]:
    """IoU of boxes, pair by pair."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    return both / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - both).clamp(min=1e-9)


def once(
    picture: Int[Tensor, " N"], uv: Float[Tensor, "N 17 2"], sure: Float[Tensor, "N 17"], double: float | int
) -> Int[Tensor, " M"]:
    """Who stays, in the order given: of two in one picture that are alike the one with more confidence."""
    total = sure.sum(1)
    kept: list[int] = []
    for i in total.argsort(descending=True, stable=True).tolist():
        if total[i] > 0 and not any(
            picture[i] == picture[j] and picture_oks(uv[i], sure[i], uv[j], sure[j]) > double for j in kept
        ):
            kept.append(i)
    return torch.tensor(sorted(kept), dtype=torch.long, device=uv.device)


def picture_oks(
    uv: Float[Tensor, "17 2"], sure: Float[Tensor, "17"], other: Float[Tensor, "17 2"], sure_other: Float[Tensor, "17"]
) -> float:
    """How alike two 2D poses are, 0 to 1: the mean over joints both know, by the larger of their boxes; 0 where they
    share none."""
    on = (sure > 0) & (sure_other > 0)
    if not on.any():
        return 0.0
    known = (uv[sure > 0], other[sure_other > 0])
    area = max((some.amax(0) - some.amin(0)).clamp(min=1).prod() for some in known)
    off = (uv - other).square().sum(-1)[on]
    return torch.exp(-off / (2 * SPREAD**2 * area)).mean().item()
