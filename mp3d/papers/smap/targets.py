"""What the network is to say of a picture (section 3.1), and what it costs to say otherwise (supplement 1.1)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mp3d.batch import Batch
from mp3d.codings import affinity, depth, heatmaps
from mp3d.codings.grid import Grid
from mp3d.papers.smap.config import SMAPConfig
from mp3d.scene import VISIBLE
from mp3d.skeletons import MPI17, SMAP15

STRIDE = 4
BONES = SMAP15.limbs
"""(parent, child) of the 14 bones, from the pelvis outwards; the released code's first two start at the neck."""
ROOT = SMAP15.root
PICKED = [MPI17.index(joint) for joint in SMAP15.joints]
"""SMAP's joints among those of a batch."""

LABEL_SETS = ((2.6, 3.0), (2.0, 2.0), (1.7, 1.0), (1.4, 1.0), (1.1, 1.0))
"""Sigma and half-width of fields in cells of the released label sets, coarse to fine."""
UNITS = {"heatmaps": 255.0, "fields": 127.0, "parts": 0.1, "root": 0.1}
"""The released code's loss is in 255ths, 127ths and centimetres; the root's in centimetres a pixel of the canvas."""
WEIGHTS = {"2d": 0.1, "parts": 5.0, "root": 10.0}
"""Of heatmaps and fields together, relative depth, root depth (supplement 1.1)."""
HARDEST = {"heatmaps": 8, "fields": 16, "parts": 8}


class Maps(NamedTuple):
    """What SMAP says of a picture, or should, at a quarter of the canvas' sides; None for branches it lacks.

    Parameters
    ----------
    heatmaps : (B, 15, H, W) up to 1; one map, the root's, for the branches "root"
    roots : (B, 1, H, W) normalised depth, mm or mm/px
    fields : (B, 14, 2, H, W) unit vectors along the bones
    parts : (B, 14, H, W) the child's depth minus its parent's, mm
    """

    heatmaps: Float[Tensor, "B J H W"]
    roots: Float[Tensor, "B 1 H W"]
    fields: Float[Tensor, "B E 2 H W"] | None = None
    parts: Float[Tensor, "B E H W"] | None = None


@dataclass(frozen=True, eq=False)
class Targets:
    """What the maps should be.

    Parameters
    ----------
    sets : maps for each label set, coarse to fine; one where all scales have the same. `roots` is not used: only the
        places of roots count
    root : (B, P) normalised depth; NaN where nobody has a root in the picture, or one without depth
    root_uv : (B, P, 2) px of the canvas
    valid : which maps count for a picture, by branch: without depth only what 2D joints tell
    """

    sets: tuple[Maps, ...]
    root: Float[Tensor, "B P"]
    root_uv: Float[Tensor, "B P 2"]
    valid: dict[str, Bool[Tensor, "B _"]]

    def to(self, device: torch.device | str) -> "Targets":
        """The same on another device."""
        sets = tuple(Maps(*(part if part is None else part.to(device) for part in maps)) for maps in self.sets)
        valid = {name: mask.to(device) for name, mask in self.valid.items()}
        return Targets(sets, self.root.to(device), self.root_uv.to(device), valid)


def targets(batch: Batch, config: SMAPConfig, shown: float | int | None = None) -> Targets:
    """Maps of a batch of canvases.

    Joints that somebody or something hides are drawn like the others (released code). A picture in which no joint has a
    depth, as in COCO, counts for what its 2D joints tell: not for relative depth, nor for joints that nobody in it has,
    such as the head's top, and their fields. (The released code leaves out the head's top alone.)

    Parameters
    ----------
    batch : pictures of the canvas' size
    shown : px, how wide the pictures themselves are on the canvas; None: as wide as the canvas
    """
    grid = Grid.over(*config.canvas, STRIDE)
    uv, z, seen = batch.uv[:, :, PICKED], batch.xyz[:, :, PICKED, 2], batch.visibility[:, :, PICKED]
    labelled = seen > 0
    deep = (labelled & z.isfinite()).any((1, 2)) | ~labelled.any((1, 2))  # without anybody there is nothing to ask for
    known = labelled.any(1) | deep[:, None]
    sets = LABEL_SETS if config.labels == "released" else ((config.sigma, config.band),)
    drawn = tuple(
        _maps(
            uv, z, labelled, seen == VISIBLE if config.labels == "released" and i < 2 else labelled, grid, s, w, config
        )
        for i, (s, w) in enumerate(sets)
    )
    parent, child = (torch.tensor([bone[end] for bone in BONES], device=uv.device) for end in (0, 1))
    field = known[:, parent] & known[:, child]
    valid = {"heatmaps": known, "fields": field, "parts": deep[:, None].expand(-1, len(BONES))}
    if config.branches == "root":
        valid["heatmaps"] = known[:, ROOT : ROOT + 1]
    root = normalised(z[:, :, ROOT], batch.k, config, shown)
    there = labelled[:, :, ROOT] & (root > 0) & grid.cells(uv[:, :, ROOT])[1]
    return Targets(drawn, root.where(there, torch.nan), uv[:, :, ROOT], valid)


def _maps(uv, z, labelled, drawn, grid, sigma, width, config) -> Maps:
    heat, roots = heatmaps.encode(uv, labelled, grid, sigma), uv.new_zeros(len(uv), 1, grid.height, grid.width)
    if config.branches == "root":
        return Maps(heat[:, ROOT : ROOT + 1], roots)
    field = affinity.encode(uv, drawn, BONES, grid, width)
    parts = depth.encode_parts(z, uv, drawn, BONES, grid, width)[0] if config.branches == "all" else None
    return Maps(heat, roots, field, parts)


def normalised(
    z: Float[Tensor, "B P"], k: Float[Tensor, "B 4"], config: SMAPConfig, shown: float | int | None = None
) -> Float[Tensor, "B P"]:
    """Depths in mm as the root-depth map holds them. `k` is of the canvas, for `shown` see `targets`."""
    return z * _factor(k, config, shown)


def metric(
    depth: Float[Tensor, "B P"], k: Float[Tensor, "B 4"], config: SMAPConfig, shown: float | int | None = None
) -> Float[Tensor, "B P"]:
    """The root-depth map's values in mm, the inverse of `normalised`."""
    return depth / _factor(k, config, shown)


def _factor(k: Tensor, config: SMAPConfig, shown: float | int | None) -> Tensor:
    one = torch.ones_like(k[:, :1])
    if config.normalisation == "none":
        return one
    own = config.normalisation == "paper" and shown is not None
    return depth.normalise(one, k[:, :1], float(shown if own else config.canvas[0]))


# --------------------------------------------------------------------------------------------------
# Loss


def loss(outputs: list[list[Maps]], targets: Targets, config: SMAPConfig) -> dict[str, Float[Tensor, ""]]:
    """The weighted sum over stages and scales, as "loss", and the terms "heatmaps", "fields", "parts", "root".

    Roots are compared at the true ones' cells: the supplement's "detected" ones are nowhere at first.
    """
    terms: dict[str, Tensor] = {}
    for stage, scales in enumerate(outputs):
        for scale, maps in enumerate(scales):
            finest = scale == len(scales) - 1
            if not (finest or config.multiscale):
                continue
            last = stage == len(outputs) - 1
            # of five sets the last stage takes the finer four, the others the coarser four; counted from the finest
            wanted = targets.sets[max(-len(targets.sets), scale - len(scales) + last - 1)]
            share = 0.25 if config.loss == "released" and not finest else 1.0
            for name, term in _terms(maps, wanted, targets, config, finest).items():
                terms[name] = terms.get(name, 0) + share * term
    return {"loss": sum(terms.values()), **terms}


def _terms(maps: Maps, wanted: Maps, targets: Targets, config: SMAPConfig, finest: bool) -> dict[str, Tensor]:
    terms, released = {}, config.loss == "released"
    for name in ("heatmaps", "fields", "parts"):
        found, goal = getattr(maps, name), getattr(wanted, name)
        if found is None:
            continue
        error = (found.float() - goal).flatten(1, -3) if name == "fields" else found.float() - goal
        valid = targets.valid[name]
        valid = valid.repeat_interleave(2, 1) if name == "fields" else valid
        weight = WEIGHTS["parts" if name == "parts" else "2d"]
        if not released:
            unit = 1e-3 if name == "parts" else 1.0
            terms[name] = weight * unit**2 * (error.square().sum((2, 3)) * valid).sum(1).mean()
            continue
        each = UNITS[name] ** 2 * error.square().mean((2, 3)) * valid
        # the mean over 15 + 28 maps together; of the hardest, each kind's own
        if finest:
            terms[name] = weight * each.topk(min(HARDEST[name], each.shape[1]), 1).values.mean()
        else:
            together = (maps.heatmaps, maps.fields) if name != "parts" else (found,)
            number = sum(part[0].flatten(0, -3).shape[0] for part in together if part is not None)
            terms[name] = weight * each.sum(1).mean() / number
    terms["root"] = WEIGHTS["root"] * _root(maps.roots, targets, config)
    return terms


def _root(roots: Tensor, targets: Targets, config: SMAPConfig) -> Tensor:
    """L1 at the true roots: the sum over a picture's people, m ("paper"); the mean over all people, cm/px.

    Depth without normalisation counts as if f were the canvas' width, so that it weighs as much as with it.
    """
    at = targets.root.isfinite()
    grid = Grid(roots.shape[3], roots.shape[2], STRIDE)
    found = depth.read_root(roots.float(), targets.root_uv.where(at[..., None], 0.0), grid)
    gap = (found - targets.root).abs().where(at, 0.0)
    if config.loss == "paper":
        return 1e-3 * gap.sum(1).mean()
    return UNITS["root"] / config.canvas[0] * gap.sum() / at.sum().clamp(min=1)
