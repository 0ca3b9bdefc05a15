"""Where heatmaps, tags and part affinity fields break: exact maps, made worse on purpose, without a network.

Joints of a person are *right* if the person that grouping found has them within a tolerance of their true place. Found
people and true ones are matched one to one so that most joints are right (`match`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mp3d.batch import Batch
from mp3d.codings import affinity, depth, heatmaps, tags
from mp3d.codings.grid import Grid
from mp3d.codings.heatmaps import Peaks
from mp3d.experiments.codings.crowds import HEIGHT, WIDTH, crowd
from mp3d.experiments.codings.curves import point, share
from mp3d.scene import VISIBLE
from mp3d.skeletons import MPI17
from mp3d.synthetic.worlds import takes

BONES = MPI17.limbs
GROUPINGS = ("near first, length", "near first", "far first, length", "far first", "2D")
"""Of detections by part affinity fields: SMAP's order of people or another, with its length penalty or without; and
the baseline in which all people choose at once."""
RELAXATION = 1.2
"""SMAP's lambda: how much longer than the mean a bone may be."""


def match(
    found: Float[Tensor, "N J 2"], uv: Float[Tensor, "P J 2"], labelled: Bool[Tensor, "P J"], tolerance: float | int
) -> tuple[Bool[Tensor, "P J"], int]:
    """Which true joints are right, and how many joints of matched people are not.

    Parameters
    ----------
    found : px, NaN where a joint is missing
    tolerance : px
    """
    right, whose = paired(found, uv, labelled, tolerance)
    return right, int(found[whose[whose >= 0]].isfinite().all(-1).sum() - right.sum())


def paired(
    found: Float[Tensor, "N J 2"], uv: Float[Tensor, "P J 2"], labelled: Bool[Tensor, "P J"], tolerance: float | int
) -> tuple[Bool[Tensor, "P J"], Int[Tensor, " P"]]:
    """As `match`: which true joints are right, and which found person stands for each true one, -1 for none."""
    near = ((found[:, None] - uv).norm(dim=-1) <= tolerance) & labelled
    n, p = (torch.from_numpy(i) for i in linear_sum_assignment(near.sum(-1), maximize=True))
    some = near[n, p].any(-1)
    right, whose = torch.zeros_like(labelled), torch.full((len(uv),), -1)
    right[p[some]], whose[p[some]] = near[n[some], p[some]], n[some]
    return right, whose


# ------------------------------------------------------------------------------------------ heatmaps


def precision(
    seeds: Sequence[int], samples: int, strides: Sequence[int] = (1, 2, 4, 8), sigma: float | int = 1.0
) -> pd.DataFrame:
    """How far decode(encode) is from the joint, by resolution, centre of the Gaussian and refinement.

    Each of the `samples` is a joint alone, anywhere in a cell. A curve table: x is the stride in px, a series is
    "centre, refine", the panels are the mean error in px and in cells.

    Parameters
    ----------
    sigma : cells
    """
    rows = []
    place = torch.from_numpy(np.stack([np.random.default_rng(seed).random((samples, 2)) for seed in seeds])).float()
    for stride in strides:
        grid, uv = Grid(13, 13, stride), (6 + place.reshape(-1, 1, 1, 2)) * stride
        for centre in ("exact", "cell"):
            maps = heatmaps.encode(uv, _all(*uv.shape[:3]), grid, sigma, centre)
            for refine in ("none", "quarter", "log", "centroid"):
                error = (heatmaps.peaks(maps, grid, 1, refine=refine).uv - uv).norm(dim=-1)
                values = error.view(len(seeds), samples).double().numpy()
                rows.append(point(f"{centre}, {refine}", stride, values, None, "px", (0, np.inf)))
    px = pd.DataFrame(rows)
    cells = px.assign(panel="cells", **{name: px[name] / px["x"] for name in ("value", "low", "high")})
    return pd.concat([px, cells], ignore_index=True)


MERGING = {
    "exact, log": ("exact", "log", "one", False),
    "cell, quarter": ("cell", "quarter", "one", False),
    "cell, centroid, plateaus lost": ("cell", "centroid", "none", False),
    "cell, centroid, plateaus lost, summed": ("cell", "centroid", "none", True),
}
"""Of `merging`: Gaussians' centre, refinement, plateaus, and whether Gaussians are summed. The second is as in the
public code of associative embedding. The last is SMAP's release, which blurs one picture of all joints, so that
Gaussians add up, and then makes the largest value 1."""


def merging(
    seeds: Sequence[int],
    samples: int,
    distances: Sequence[float | int] = tuple(np.arange(0, 6.5, 0.5).tolist()),
    sigma: float | int = 1.1,
) -> pd.DataFrame:
    """What is left of two people's same joint as they come together, along a row or a column of cells.

    A curve table: x is their distance in cells, series are those of `MERGING`, panels are the number of peaks, the mean
    error of a joint's nearest peak in cells, and the distance of the two peaks in cells where there are two. Each of
    the `samples` lies elsewhere within its cell.

    Parameters
    ----------
    sigma : cells; 1.1 is that of SMAP's finest labels
    """
    grid, rows = Grid(24, 24, 1), []
    draws = [np.random.default_rng(seed) for seed in seeds]
    start = np.concatenate([8 + rng.random((samples, 2)) for rng in draws])
    axis = np.concatenate([np.eye(2)[rng.integers(2, size=samples)] for rng in draws])
    for distance in distances:
        uv = torch.from_numpy(np.stack([start, start + distance * axis], 1)[:, :, None]).float()
        for series, (centre, refine, plateaus, summed) in MERGING.items():
            each = heatmaps.encode(uv.flatten(0, 1)[:, None], _all(2 * len(uv), 1, 1), grid, sigma, centre)
            each = each.unflatten(0, (-1, 2))
            maps = each.sum(1) / each.sum(1).amax((-1, -2), keepdim=True) if summed else each.amax(1)
            peaks = heatmaps.peaks(maps, grid, 9, refine=refine, plateaus=plateaus)
            number = peaks.found.sum((1, 2))
            error = (uv - peaks.uv).norm(dim=-1).nan_to_num(nan=torch.inf).amin(-1).mean(1)
            apart = (peaks.uv[:, 0, 0] - peaks.uv[:, 0, 1]).norm(dim=-1).where(number == 2, torch.nan)
            panels = {"peaks": number, "error (cells)": error, "peaks' distance (cells)": apart}
            for panel, values in panels.items():
                values = values.view(len(seeds), samples).double().numpy()  # infinite without a peak: does not count
                rows.append(point(series, distance, values, None, panel, (0, np.inf)))
    return pd.DataFrame(rows)


def _all(*shape: int) -> Bool[Tensor, "..."]:
    return torch.ones(shape, dtype=torch.bool)


# ------------------------------------------------------------------------------------------ tags


def true_peaks(batch: Batch, grid: Grid, drawn: Bool[Tensor, "B P J"], rng: np.random.Generator) -> Peaks:
    """Detections at the true joints, in the order of people, with scores drawn from 0.5 to 1."""
    found = drawn.mT
    cell, inside = grid.cells(batch.uv.transpose(1, 2))
    found = found & inside
    score = torch.from_numpy(rng.uniform(0.5, 1, found.shape)).float()
    return Peaks(batch.uv.transpose(1, 2).where(found[..., None], torch.nan), score * found, cell, found)


def tag_noise(
    seeds: Sequence[int],
    scenes: int,
    people: Sequence[int] = (3, 10),
    noise: Sequence[float | int] = (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1),
    gap: float | int = 2,
) -> pd.DataFrame:
    """Grouping by tags as these get noisy: ORPM-AE's way (section 3.5) and that of associative embedding's public code.

    Detections are the true joints, hidden ones too, with random scores; a person's tag is their place in a random order
    times the gap, and every detection's has Gaussian noise on it. The threshold is 1, half of the default gap. Accuracy
    is the share of joints, in %, that are in the one found person who stands for theirs, people being matched one to
    one so that it is largest.

    A curve table: x is the noise's standard deviation over the gap, series are the two methods, panels the numbers of
    people.
    """
    rows = []
    for count in people:
        batches = {seed: crowd(count, seed, scenes) for seed in seeds}
        for level in noise:
            found = [_tagged(batch, seed, level * gap, gap) for seed, batch in batches.items()]
            for series in found[0]:
                right, joints = (
                    torch.tensor(part).flatten() for part in zip(*(one[series] for one in found), strict=True)
                )
                rows.append(point(series, level, *share(right, joints), f"{count} people", (0, 100)))
    return pd.DataFrame(rows)


def tag_study(
    seeds: Sequence[int], scenes: int, people: int = 10, noise: float | int = 0.2, gap: float | int = 2
) -> pd.DataFrame:
    """`tag_noise` at one noise as a study's table for claims: seeds are of the tags, the scenes are the same for all.

    Metric: accuracy, %.
    """
    batch, rows = crowd(people, 0, scenes), []
    for seed in seeds:
        for variant, (right, joints) in _tagged(batch, seed, noise * gap, gap).items():
            rows += [
                {"variant": variant, "seed": seed, "scene": f"{i}", "n": n, "accuracy": 100 * r / n}
                for i, (r, n) in enumerate(zip(right, joints, strict=True))
            ]
    return pd.DataFrame(rows)


def _tagged(batch: Batch, seed: int, noise: float | int, gap: float | int) -> dict[str, tuple[list[int], list[int]]]:
    """Right joints and all joints of each picture, for both methods on the same detections."""
    rng, grid = np.random.default_rng(seed), Grid.over(WIDTH, HEIGHT, 1)
    peaks = true_peaks(batch, grid, batch.labelled, rng)
    places, joints, people = peaks.found.shape
    order = rng.permuted(np.tile(np.arange(people), (places, 1)), axis=1)
    tag = gap * order[:, None] + noise * rng.standard_normal((places, joints, people))
    found = {}
    for method in ("greedy", "hungarian"):
        right = []
        for chosen in tags.group(peaks, torch.from_numpy(tag).float(), method):
            # A detection's index is its person: who is whose is exact even where two joints share a place.
            same = chosen[:, None] == torch.arange(people)[:, None]
            at = linear_sum_assignment(same.sum(-1), maximize=True)
            right.append(int(same.sum(-1).numpy()[at].sum()))
        found[method] = right, peaks.found.sum((1, 2)).tolist()
    return found


# ------------------------------------------------------------------------------------------ part affinity fields


def link_acceptance(
    seeds: Sequence[int],
    scenes: int,
    widths: Sequence[float | int] = (1, 1.5, 2),
    blurs: Sequence[float | int] = (0, 0.7),
) -> pd.DataFrame:
    """How many true links pass SMAP's test on exact fields, by width of the band and by convention of the cells.

    One person 2.5 to 6 m off, focal lengths of 180 to 260 cells (SMAP's maps are 208 cells wide). A curve table: x is
    half the band's width in cells, value the share in % of true links, at least a cell long, that score above 0;
    panels are blurs. Series:

    - one convention, joints between the cells / at cells' centres: fields and detections agree (this library)
    - release: joints are rounded down to quarter cells, fields are drawn about the cells' corners and in a box whose
      upper borders are left out; detections stand at cells' centres, and points of a link are rounded to cells
    - release, not rounded: as before, but points of a link are rounded down
    """
    batches = [crowd(1, seed, scenes, depth=(2500, 6000)) for seed in seeds]
    ends = torch.cat([batch.uv[:, 0, list(BONES)] for batch in batches])  # (scenes, bones, 2, 2)
    labelled = torch.cat([batch.labelled[:, 0, list(BONES)].all(-1) for batch in batches])
    scene, bone = (labelled & (_length(ends) >= 1)).nonzero(as_tuple=True)
    number = torch.bincount(scene, minlength=len(labelled))
    # Each bone on a map of its own; what matters is where in their cells its ends lie.
    ends = ends[scene, bone]
    ends = ends - ends.amin(-2, keepdim=True).floor() + 4
    grid = Grid(*(int(side) + 6 for side in ends.amax((0, 1))), 1)
    cell = grid.cells(ends)[0]
    here, there = _all(len(ends), 2, 1), grid.centres(cell)
    conventions = {
        "one convention, between the cells": (ends, 0, ends),
        "one convention, cells' centres": (ends, 0, there),
        "release": ((4 * ends).floor() / 4, 0.5, there + 0.5),
        "release, not rounded": ((4 * ends).floor() / 4, 0.5, there),
    }
    rows = []
    for (series, (drawn, shift, found)), width in product(conventions.items(), widths):
        maps = affinity.encode(drawn[:, None] + shift, here.mT, [(0, 1)], grid, width)
        if shift:
            maps = maps * _box(drawn, width, grid)[:, None, None]
        peaks = Peaks(found[:, :, None], here.float(), cell[:, :, None], here)
        for blur in blurs:
            accepted = affinity.links(_blurred(maps, blur), peaks, [(0, 1)], grid).flatten() > 0
            passed = torch.bincount(scene[accepted], minlength=len(number))
            panel = f"blurred by {blur:g} cells" if blur else "as drawn"
            rows.append(point(series, width, *share(passed, number), panel, (0, 100)))
    return pd.DataFrame(rows).sort_values("panel", kind="stable", ignore_index=True)


def _length(ends: Float[Tensor, "*bones 2 2"]) -> Float[Tensor, "*bones"]:
    return (ends[..., 0, :] - ends[..., 1, :]).norm(dim=-1)


def _box(ends: Float[Tensor, "N 2 2"], width: float | int, grid: Grid) -> Bool[Tensor, "N H W"]:
    """The box about a bone in which SMAP's release draws it, cells: from round(least - width) up to, and without,
    round(largest + width)."""
    low, high = (ends.amin(1) - width).round(), (ends.amax(1) + width).round()
    u, v = (axis - 0.5 for axis in grid.axes())
    columns, rows = ((x >= low[:, i, None]) & (x < high[:, i, None]) for i, x in enumerate((u, v)))
    return rows[:, :, None] & columns[:, None]


def _blurred(maps: Float[Tensor, "B E 2 H W"], sigma: float | int) -> Float[Tensor, "B E 2 H W"]:
    """Convolved with a Gaussian, cells."""
    if not sigma:
        return maps
    bands = []
    for side in maps.shape[-2:]:
        off = (torch.arange(side)[:, None] - torch.arange(side)) / sigma
        bands.append(torch.exp(-(off**2) / 2) * (off.abs() <= 4))
    whole = torch.exp(-((torch.arange(-math.floor(4 * sigma), math.floor(4 * sigma) + 1) / sigma) ** 2) / 2).sum()
    return bands[0] / whole @ maps @ (bands[1] / whole)


@cache
def bone_lengths() -> Float[Tensor, " E"]:
    """Mean lengths of the bones in `solo`'s training split, mm: SMAP's D_bone."""
    points = takes("solo", 256, 0).points[:, 0]
    first, second = np.array(BONES).T
    return torch.from_numpy(np.linalg.norm(points[:, first] - points[:, second], axis=-1).mean(0)).float()


def group_by_fields(
    peaks: Peaks, links: Float[Tensor, "B E K K"], z: Float[Tensor, "B K"], focal: Float[Tensor, " B"], grouping: str
) -> list[Int[Tensor, "N J"]]:
    """People of each picture by one of `GROUPINGS`.

    Parameters
    ----------
    z : mm, what the root-depth map says at each detected root
    focal : px
    """
    people = []
    for b, (score, uv, found) in enumerate(zip(links, peaks.uv, peaks.found[:, MPI17.root], strict=True)):
        if grouping == "2D":
            people.append(affinity.greedy(score, uv, BONES, reference=HEIGHT / 2))
            continue
        # A root on the picture's very edge reads no depth: it comes last.
        order = z[b].nan_to_num(nan=1e9).where(found, torch.inf).argsort(stable=True)[: int(found.sum())]
        if grouping.startswith("far"):
            order = order.flip(0)
        reference = RELAXATION * bone_lengths() * focal[b] / z[b, order, None] if grouping.endswith("length") else None
        people.append(affinity.associate(score, uv, BONES, MPI17.root, order, reference))
    return people


def association(
    seeds: Sequence[int],
    scenes: int,
    people: Sequence[int] = (2, 5, 10, 20),
    stride: int = 2,
    noise: float | int = 0.3,
    jitter: float | int = 0.3,
) -> pd.DataFrame:
    """Grouping by part affinity fields in a crowd, near first, far first or all at once (SMAP section 3.2, Table 4).

    Four kinds of maps: joints that somebody else covers drawn or not, clean or noisy. Those that people cover
    themselves are always drawn: a body tells where its own are. The same detections, links and root depths go to all
    groupings. Joints that are not drawn are nobody's loss: figures are of those that are. With the default noise about
    92 % of the joints of people found are right in the baseline, as in SMAP's table 4.

    Parameters
    ----------
    stride : px a cell
    noise : standard deviation of what is added to the fields (unit vectors), smooth over 4 cells, in noisy maps
    jitter : standard deviation of a detection's place in either direction, cells, in noisy maps

    Returns
    -------
    a row a variant (of `GROUPINGS`), seed, scene, number of people and kind of maps; n, the number of joints;
    in %: right, the share of joints that are right within 2 cells; wrong, joints that matched people have and should
    not over all joints; recall, the share of people whose root is right; pck, the share of these people's joints that
    are (SMAP's table 4 has recall and 2DPCK of people whose root was found)
    """
    rows = []
    for count, seed in product(people, seeds):
        batch = crowd(count, seed, scenes, themselves=False)
        for behind in ("drawn", "not drawn"):
            exact = _exact(batch, behind, stride)
            for quality in ("clean", "noisy"):
                seen = exact if quality == "clean" else _noisy(exact, seed, noise, jitter)
                found = {"seed": seed, "people": count, "maps": f"joints behind others {behind}, {quality}"}
                rows += [found | row for row in _grouped(seen)]
    return pd.DataFrame(rows)


def association_study(
    seeds: Sequence[int],
    scenes: int,
    people: int = 10,
    stride: int = 2,
    noise: float | int = 0.3,
    jitter: float | int = 0.3,
) -> pd.DataFrame:
    """`association` as a study's table for claims: seeds are of the noise, the scenes are the same for all.

    Maps are noisy. Variants are `GROUPINGS` where joints behind others are not drawn, and the same with ", drawn" where
    they are. Metrics as in `association`.
    """
    batch, rows = crowd(people, 0, scenes, themselves=False), []
    for behind, suffix in (("not drawn", ""), ("drawn", ", drawn")):
        exact = _exact(batch, behind, stride)
        for seed in seeds:
            for row in _grouped(_noisy(exact, seed, noise, jitter)):
                rows.append(row | {"seed": seed, "variant": row["variant"] + suffix})
    return pd.DataFrame(rows)


def association_curves(table: pd.DataFrame, metric: str = "right") -> pd.DataFrame:
    """A metric of `association` in % as a curve table: x is the number of people, panels are kinds of maps."""
    weight = "people" if metric == "recall" else "n"
    rows = [
        point(series, x, part[[metric]].to_numpy(float).T, part[weight].to_numpy(float), panel, (0, 100))
        for (panel, series, x), part in table.groupby(["maps", "variant", "people"], sort=False)
    ]
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What association has to go by: detections, fields and root depths of some pictures."""

    batch: Batch
    drawn: Bool[Tensor, "B P J"]
    grid: Grid
    peaks: Peaks
    fields: Float[Tensor, "B E 2 H W"]
    depths: Float[Tensor, "B 1 H W"]


def _exact(batch: Batch, behind: str, stride: int) -> _Seen:
    grid = Grid.over(WIDTH, HEIGHT, stride)
    drawn = batch.labelled if behind == "drawn" else batch.visibility == VISIBLE
    fields = affinity.encode(batch.uv, drawn, BONES, grid, width=1.5)
    peaks = heatmaps.peaks(heatmaps.encode(batch.uv, drawn, grid, sigma=1.1), grid)
    # Wide squares: a detection that is a little off must not read a depth of 0.
    root = MPI17.root
    depths = depth.encode_root(batch.xyz[:, :, root, 2], batch.uv[:, :, root], drawn[:, :, root], grid, 3)[0]
    return _Seen(batch, drawn, grid, peaks, fields, depths)


def _noisy(seen: _Seen, seed: int, noise: float | int, jitter: float | int) -> _Seen:
    rng, size = torch.Generator().manual_seed(seed), seen.fields.shape
    coarse = torch.randn(size[0], 2 * size[1], -(-size[3] // 4), -(-size[4] // 4), generator=rng)
    smooth = F.interpolate(coarse, size[3:], mode="bicubic")
    fields = seen.fields + noise * (smooth / smooth.std()).reshape(size)
    uv = seen.peaks.uv + jitter * seen.grid.stride * torch.randn(seen.peaks.uv.shape, generator=rng)
    uv = uv.clamp(torch.zeros(2), torch.tensor([WIDTH, HEIGHT]) - 1e-3)
    return replace(seen, fields=fields, peaks=replace(seen.peaks, uv=uv))


def _grouped(seen: _Seen) -> list[dict]:
    """What every one of `GROUPINGS` makes of it: a row a variant and scene."""
    rows, batch, drawn = [], seen.batch, seen.drawn
    links = affinity.links(seen.fields, seen.peaks, BONES, seen.grid)
    roots = depth.read_root(seen.depths, seen.peaks.uv[:, MPI17.root], seen.grid)
    for variant in GROUPINGS:
        for b, people in enumerate(group_by_fields(seen.peaks, links, roots, batch.k[:, 0], variant)):
            place, tolerance = seen.peaks.take(b, people)[0], 2 * seen.grid.stride
            right, wrong = match(place, batch.uv[b], drawn[b], tolerance)
            n, rooted = int(drawn[b].sum()), right[:, MPI17.root]
            figures = {
                "right": int(right.sum()) / n,
                "wrong": wrong / n,
                "recall": float(rooted.float().mean()),
                "pck": int(right[rooted].sum()) / max(int(drawn[b][rooted].sum()), 1),
            }
            row = {"variant": variant, "scene": f"{b}", "n": n}
            rows.append(row | {name: 100 * value for name, value in figures.items()})
    return rows
