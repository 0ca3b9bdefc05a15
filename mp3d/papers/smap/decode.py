"""From maps to people: depth-aware part association (section 3.2), and reconstruction (section 3.3)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mp3d.camera import back_project
from mp3d.canvas import Canvas
from mp3d.codings import affinity, depth, heatmaps
from mp3d.codings.grid import Grid
from mp3d.codings.heatmaps import Peaks
from mp3d.errors import BadInput
from mp3d.papers.smap.config import Reading, SMAPConfig
from mp3d.papers.smap.targets import BONES, ROOT, STRIDE, Maps, metric
from mp3d.scene import ABSENT, VISIBLE, Person
from mp3d.skeletons import ABSENT as NONE
from mp3d.skeletons import NATIVE, SMAP15

LENGTHS = torch.tensor(
    [483.7, 264.2, 149.8, 312.8, 239.2, 124.6, 481.9, 390.4, 148.8, 312.8, 239.2, 124.6, 482.7, 390.4]
)
"""mm: mean lengths of `BONES`, D_bone of equation 2, in the released code, which has them for all data sets; `train`
measures those of its own, as the paper says."""
MOST = 40
"""Detections of a joint type that are kept, the highest ones."""


@dataclass(frozen=True, eq=False)
class Found:
    """What the maps of B pictures hold before anybody is put together.

    Parameters
    ----------
    peaks : detections, px of the canvas
    links : (B, 14, K, K) how well the fields link a bone's parent (row) with its child (column)
    z : (B, K) mm, root depth at each detected root; NaN where it is not positive
    """

    peaks: Peaks
    links: Float[Tensor, "B E K K"]
    z: Float[Tensor, "B K"]


def find(maps: Maps, k: Float[Tensor, "B 4"], canvas: Canvas, config: SMAPConfig, reading: Reading) -> Found:
    """Detections, their links and the roots' depths. `k` is of the canvas.

    Raises
    ------
    BadInput : maps of another size than the configuration's
    """
    grid = Grid.over(*config.canvas, STRIDE)
    grid.check(maps.heatmaps, "smap.decode")
    peaks = heatmaps.peaks(maps.heatmaps, grid, MOST, reading.threshold)
    root = 0 if config.branches == "root" else ROOT
    z = depth.read_root(maps.roots, peaks.uv[:, root], grid)
    z = metric(z, k, config, canvas.shown)
    if maps.fields is None:
        return Found(peaks, z.new_full((len(z), 0, MOST, MOST), -1), z.where(z > 0, torch.nan))
    links = affinity.links(maps.fields, peaks, BONES, grid, threshold=reading.link)
    return Found(peaks, links, z.where(z > 0, torch.nan))


def associate(
    found: Found,
    picture: int,
    k: Float[Tensor, " 4"],
    height: int,
    reading: Reading = Reading(),
    lengths: Float[Tensor, " E"] = LENGTHS,
) -> Int[Tensor, "N 15"]:
    """The people of one picture as indices of detections, -1 for a missing joint (section 3.2, Figure 3).

    A root of which the map says no positive depth is nobody.

    Parameters
    ----------
    k : of the canvas
    height : px of the canvas: OpenPose lets pairs fall that are longer than half of it
    lengths : mm, of the bones
    """
    uv, links, z = found.peaks.uv[picture], found.links[picture], found.z[picture]
    if reading.association == "2dpa":
        people = affinity.greedy(links, uv, BONES, reference=height / 2)
        rooted = people[:, ROOT] >= 0
        people = people[rooted]
        return people[z[people[:, ROOT]].isfinite()]
    order = z.nan_to_num(nan=torch.inf).argsort(stable=True)[: int(z.isfinite().sum())]
    if reading.order == "far":
        order = order.flip(0)
    reference = None
    if reading.length != "none":
        reference = reading.relaxation * lengths.to(z) * k[0] / z[order, None]
    rule = "filter" if reading.length == "filter" else "penalty"
    return affinity.associate(links, uv, BONES, ROOT, order, reference, rule)


def decode(
    maps: Maps,
    canvas: Canvas,
    cameras: Float[Tensor, "B 4"],
    config: SMAPConfig,
    reading: Reading = Reading(),
    lengths: Float[Tensor, " E"] = LENGTHS,
) -> list[list[Person]]:
    """People in the camera's frame (mm), in `SMAP15`, for each picture, in the order of association, if there is one.

    A joint that was not found is NaN, with visibility 0. Without part depths only roots are placed; with nothing but
    roots there is nothing else.

    Parameters
    ----------
    cameras : fx, fy, cx, cy in px of the pictures, not of the canvas
    lengths : mm, of the bones

    Raises
    ------
    BadInput : maps of another size than the configuration's; not a camera a picture; a focal length not positive
    """
    if cameras.shape != (len(maps.heatmaps), 4) or not (cameras.isfinite().all() and (cameras[:, :2] > 0).all()):
        found = f"{tuple(cameras.shape)}, {cameras[:1].tolist()}"
        raise BadInput("smap.decode", "cameras", found, "(B, 4) fx, fy, cx, cy, focal lengths positive")
    k = canvas.camera(cameras)
    found = find(maps, k, canvas, config, reading)
    grid = Grid.over(*config.canvas, STRIDE)
    people = []
    for b in range(len(cameras)):
        if config.branches == "root":
            chosen = found.z[b].isfinite().nonzero()[:, 0]
            uv = found.peaks.uv.new_full((len(chosen), len(SMAP15), 2), torch.nan)
            uv[:, ROOT] = found.peaks.uv[b, 0, chosen]
            score, z = found.peaks.score[b, 0, chosen], found.z[b, chosen]
        else:
            rows = associate(found, b, k[b], config.canvas[1], reading, lengths)
            uv, scores, _ = found.peaks.take(b, rows)
            score, z = scores[:, ROOT], found.z[b, rows[:, ROOT]]
        if maps.parts is None:
            zs = torch.full_like(uv[..., 0], torch.nan)
            zs[:, ROOT] = z
        else:
            zs = joint_depths(maps.parts[b], uv, z, grid)
        uv = canvas.back(uv)
        people.append(_people(uv, back_project(uv, zs, cameras[b]), score))
    return people


def joint_depths(
    parts: Float[Tensor, "E H W"], uv: Float[Tensor, "N 15 2"], root: Float[Tensor, " N"], grid: Grid
) -> Float[Tensor, "N 15"]:
    """Depths of people's joints, mm: along the tree, each bone adds what its map says between its two ends."""
    parent, child = ([bone[end] for bone in BONES] for end in (0, 1))
    return depth.chain(depth.read_parts(parts, uv[:, parent], uv[:, child], grid), root, BONES)


def _people(uv: Tensor, xyz: Tensor, score: Tensor) -> list[Person]:
    there = uv.isfinite().all(-1).cpu().numpy()
    seen, source = np.where(there, VISIBLE, ABSENT).astype(np.uint8), np.where(there, NATIVE, NONE).astype(np.uint8)
    uv, xyz, score = (x.double().cpu().numpy() for x in (uv, xyz, score))
    return [
        Person(xyz[i], uv[i], seen[i], source[i], identity=i, skeleton=SMAP15, score=float(score[i]))
        for i in range(len(uv))
    ]
