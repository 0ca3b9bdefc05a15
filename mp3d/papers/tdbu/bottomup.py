"""The bottom-up branch: everybody in the frame at once, led by what the top-down branch saw in its boxes (section 3.2).

Its input is the frame and, joint by joint, the top-down heatmaps put back where their crops were. It gives heatmaps,
tags, the depth of roots, and the depth of each joint behind its root, at half the input's sides. Depth is read at the
joint's place on the map: the released code, which stretches its maps to the input's size, reads at a quarter of the
*picture's* coordinates, which is the same place only where the input is a quarter of the picture, with nothing beside
it (`misread`: a test shows what that does).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from mp3d.batch import Batch
from mp3d.camera import back_project
from mp3d.canvas import Canvas
from mp3d.codings import depth as coding
from mp3d.codings import heatmaps, tags
from mp3d.codings.grid import Grid
from mp3d.nn.hrnet import HRNet
from mp3d.papers.tdbu.config import Reading, TDBUConfig
from mp3d.papers.tdbu.integration import COMPLETED, Seen
from mp3d.papers.tdbu.topdown import Found
from mp3d.skeletons import MPI17

JOINTS, ROOT = len(MPI17), MPI17.root
OTHERS = [joint for joint in range(JOINTS) if joint != ROOT]
STRIDE = 2
"""px of the canvas a cell."""
MIDDLE, SPAN = 3625.0, 2500.0
"""mm: a root at depth Z has the value (Z - MIDDLE) / SPAN, which is Z / 2500 - 1.45 (our reading of the release's
constants); of Z view / f instead of Z, see `scale`."""
BEHIND = 1000.0
"""mm: a joint so far behind its root has the value 1 (released)."""
SPREAD = 0.1
"""Deviation of an untrained network's tags, about: where all are equal, the push has no gradient (our choice)."""


class Maps(NamedTuple):
    """What the network says of B pictures."""

    heatmaps: Float[Tensor, "B 17 H W"]
    tags: Float[Tensor, "B 17 H W"]
    root: Float[Tensor, "B 1 H W"]
    relative: Float[Tensor, "B 16 H W"]


def _unit(channels: int, out: int, norm: bool = True, kernel: int = 3) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)]
    return [*layers, *[nn.BatchNorm2d(out)] * norm, nn.PReLU()]


class FrameNet(nn.Module):
    """HRNet on 3 + 17 channels, depth to space to half the sides, four heads (widths: released code)."""

    def __init__(self, config: TDBUConfig = TDBUConfig()):
        super().__init__()
        self.config, width = config, config.width
        self.body = HRNet(3 + JOINTS * (config.guide != "none"), **config.body)
        up = [*_unit(width, width), *_unit(width, 4 * width, norm=False), nn.PixelShuffle(2), *_unit(width, width)]
        self.up = nn.Sequential(*up)
        self.heads = nn.ModuleList(
            nn.Sequential(*_unit(width, width), nn.Conv2d(width, maps, 1)) for maps in (JOINTS, JOINTS, 1, JOINTS - 1)
        )
        for head in self.heads:
            nn.init.normal_(head[-1].weight, std=0.001)
            nn.init.zeros_(head[-1].bias)
        nn.init.normal_(self.heads[1][-1].weight, std=SPREAD / width**0.5)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: UInt8[Tensor, "B 3 H W"], guide: Float[Tensor, "B 17 H W"] | None) -> Maps:
        """Canvases, RGB, and top-down heatmaps on them, `None` where the configuration has no guide."""
        x = images / 255 if guide is None else torch.cat([images / 255, guide], 1)
        x = self.up(self.body(x.contiguous(memory_format=torch.channels_last)))
        return Maps(*(head(x) for head in self.heads))


# ---- the guide -----------------------------------------------------------------------------------------------------


def guide(found: Found | None, pictures: int, canvas: Canvas, config: TDBUConfig) -> Float[Tensor, "B 17 H W"] | None:
    """The top-down heatmaps on the canvas: of all crops that reach a pixel the highest; 0 where nobody's crop lies.

    With `config.guide="joints"` Gaussians of `config.sigma` cells of the maps around the joints found, confidence aside
    (released; there 4 px, as by default).
    """
    if config.guide == "none" or found is None:
        return None
    width, height = config.canvas
    whole = found.heatmaps.new_zeros(pictures, JOINTS, height, width)
    if config.guide == "joints":
        fine = Grid.over(width, height, 1)
        for b in range(pictures):
            here = found.picture == b
            uv, sure = canvas.to(found.uv[here])[None], found.sure[here][None] > 0
            if here.any():
                whole[b] = heatmaps.encode(uv, sure, fine, STRIDE * config.sigma)[0]
        return whole
    v, u = torch.meshgrid(*(torch.arange(n, device=whole.device) + 0.5 for n in (height, width)), indexing="ij")
    pixels = canvas.back(torch.stack([u, v], -1).flatten(0, 1))
    for i, b in enumerate(found.picture.tolist()):
        matrix, corner = found.views.matrix[i], found.views.corner[i]
        at = (pixels - corner) @ matrix.inverse().mT / found.views.size * 2 - 1
        seen = F.grid_sample(found.heatmaps[i : i + 1], at.view(1, height, width, 2).to(whole), align_corners=False)[0]
        whole[b] = torch.maximum(whole[b], seen)
    return whole


# ---- targets and losses --------------------------------------------------------------------------------------------


def grid(config: TDBUConfig) -> Grid:
    """The cells of all maps."""
    return Grid.over(*config.canvas, STRIDE)


def scale(k: Float[Tensor, "B 4"], config: TDBUConfig) -> Float[Tensor, " B"]:
    """What depth is multiplied with before it is learned: a picture shows f / Z, f in px of the canvas."""
    return config.view / k[:, 0]


@dataclass(frozen=True, eq=False)
class Targets:
    """What the maps should be, and where depths and tags are compared."""

    heatmaps: Float[Tensor, "B 17 H W"]
    root: Float[Tensor, "B 1 H W"]
    on_root: Bool[Tensor, "B 1 H W"]
    relative: Float[Tensor, "B 16 H W"]
    on_relative: Bool[Tensor, "B 16 H W"]
    uv: Float[Tensor, "B P 17 2"]
    labelled: Bool[Tensor, "B P 17"]


def targets(batch: Batch, config: TDBUConfig) -> Targets:
    """Maps of canvases; depths stand in squares of 3 x 3 cells, or in one, the nearest person's on top."""
    cells, labelled, radius = grid(config), batch.labelled, 0 if config.point else 1
    z = batch.xyz[..., 2]
    root = (z[:, :, ROOT] * scale(batch.k, config)[:, None] - MIDDLE) / SPAN
    behind = (z - z[:, :, ROOT, None]) / BEHIND
    roots = coding.encode_root(root, batch.uv[:, :, ROOT], labelled[:, :, ROOT], cells, radius)
    others = coding.encode_points(
        behind[..., OTHERS], batch.uv[:, :, OTHERS], labelled[..., OTHERS], z[:, :, ROOT], cells, radius
    )
    heat = heatmaps.encode(batch.uv, labelled, cells, 2 * config.sigma)  # as wide as the top-down ones, px
    return Targets(heat, *roots, *others, batch.uv, labelled)


def loss(maps: Maps, goal: Targets, config: TDBUConfig) -> dict[str, Float[Tensor, ""]]:
    """ "heatmaps", "tags", "root", "relative" and their sum, "loss".

    Squared differences of depth with `config.point`, as printed; else their smooth absolute values, whose size does not
    hang on the few who are far off (our choice). Equation 2 is one mean over all joints, of which one of 17 is a root;
    here roots and all others have a mean each (our choice).
    """
    heat = 100 * (maps.heatmaps.float() - goal.heatmaps).square().mean()
    found = tags.loss(maps.tags.float(), goal.uv, goal.labelled, grid(config), sigma=config.push)
    terms = {"heatmaps": heat, "tags": 100 * config.tags * (found["pull"] + found["push"])}
    for name, on in (("root", goal.on_root), ("relative", goal.on_relative)):
        off = F.mse_loss if config.point else F.smooth_l1_loss
        each = off(getattr(maps, name).float(), getattr(goal, name), reduction="none")
        weight = config.relative if name == "relative" else 1.0
        terms[name] = weight * (each * on).sum() / on.sum().clamp(min=1)
    return {"loss": sum(terms.values()), **terms}


# ---- from maps to people -------------------------------------------------------------------------------------------


def decode(
    maps: Maps,
    canvas: Canvas,
    cameras: Float[Tensor, "B 4"],
    config: TDBUConfig,
    reading: Reading = Reading(),
) -> list[Seen]:
    """Groups of joints, each at its own depth on its own ray (equations 3 and 4); groups of few joints are none.

    Where the pelvis was not found, it lies, and its depth is read, between the hips, or in the middle of all joints,
    with confidence `COMPLETED` (our choice). Other joints that were not found stay unknown; the released code looks for
    them on the whole map once more.

    Parameters
    ----------
    cameras : fx, fy, cx, cy of the pictures, px
    """
    cells = grid(config)
    peaks = heatmaps.peaks(maps.heatmaps, cells, reading.most, reading.threshold, window=5)
    read = tags.read(maps.tags, peaks.cell, cells)
    grouped = tags.group(peaks, read / reading.tag, "hungarian", least=reading.least)
    factor = scale(canvas.camera(cameras), config)
    found = []
    for b, group in enumerate(grouped):
        uv, sure, cell = peaks.take(b, group)
        # A peak may lie on its cell's far border, which at the map's border is off the map.
        at = cells.centres(cell).where((sure > 0)[..., None], torch.nan)
        said = read_depth(Maps(*(part[b : b + 1] for part in maps)), at[None], sure[None], cells)[0]
        root = (said[:, ROOT] * SPAN + MIDDLE) / factor[b]
        depth = root[:, None] + BEHIND * said
        depth[:, ROOT] = root
        pixels = canvas.back(uv)
        places = pixels.clone()
        places[:, ROOT] = pelvis(pixels, sure > 0)
        sure[:, ROOT] = sure[:, ROOT].clamp(min=COMPLETED)
        xyz = back_project(places, depth.clamp(min=1.0), cameras[b].to(pixels))
        xyz = xyz.where((sure > 0)[..., None], torch.nan)
        found.append(Seen(pixels, sure.clamp(max=1), xyz, torch.arange(len(sure))))
    return found


def read_depth(
    maps: Maps, uv: Float[Tensor, "B N 17 2"], sure: Float[Tensor, "B N 17"], cells: Grid
) -> Float[Tensor, "B N 17"]:
    """What the depth maps hold at people's joints: in the root's place its own value, elsewhere that of each joint.

    Parameters
    ----------
    uv : px of the canvas: places on the map, whatever size the picture had
    """
    root = pelvis(uv, sure > 0)
    depth = uv.new_zeros(uv.shape[:-1])
    depth[..., ROOT] = coding.read_root(maps.root, root, cells)
    depth[..., OTHERS] = coding.read_points(maps.relative, uv[..., OTHERS, :], cells)
    return depth


def pelvis(uv: Float[Tensor, "*n 17 2"], on: Bool[Tensor, "*n 17"]) -> Float[Tensor, "*n 2"]:
    """Where it was found; else between the hips, or else in the middle of all joints that were found."""
    hips = [MPI17.index("r_hip"), MPI17.index("l_hip")]
    both = on[..., hips].all(-1, keepdim=True)
    middle = uv.where(on[..., None], 0.0).sum(-2) / on.sum(-1, keepdim=True).clamp(min=1)
    return uv[..., ROOT, :].where(on[..., ROOT, None], uv[..., hips, :].mean(-2).where(both, middle))


def misread(uv: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
    """px of the canvas where the released code would read the depth of a joint that lies at px `uv` of the picture.

    It takes a quarter of the picture's coordinates for the canvas': right if the canvas is a quarter of the picture,
    with nothing beside it, as with 2048 px on 512.
    """
    return uv / 4
