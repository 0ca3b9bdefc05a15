"""The time of each coding for one picture: encode, and decode with grouping.

Run by hand: `python benchmarks/codings.py`. Medians of 50 calls in one process. Asked of a processor at 128x96 px:
encode in 5 ms for 3 people, decode with grouping in 5 ms for 3 and in 10 ms for 20. Exits with an error above that.

The picture has 128x96 px, and networks put out maps a quarter as large (ORPM-AE, SMAP): what counts is stride 4, maps
of 32x24 cells. Stride 1 has sixteen times as many cells; it shows what grows with the map and what with the people.

A row is all that a method needs: SMAP's has root depth too, by which it orders people and bounds their bones.

A second table follows SMAP's association by its parts as people grow more, on exact maps of SMAP's own size, 208x128
cells for a picture of 832x512 px; in sum it keeps the limits of decoding.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch

from mp3d.codings import affinity, anchors, depth, heatmaps, orpm, tags
from mp3d.codings.grid import Grid
from mp3d.experiments.codings.crowds import crowd
from mp3d.experiments.codings.grouping import group_by_fields
from mp3d.papers.smap.decode import LENGTHS
from mp3d.papers.smap.targets import PICKED
from mp3d.skeletons import MPI17, SMAP15

LIMITS = {"encode": {3: 5.0}, "decode": {3: 5.0, 20: 10.0}}
"""ms, by number of people."""
ROOT = MPI17.root


def milliseconds(run: Callable[[], object]) -> float:
    """The median of 50 calls after 3."""
    taken = []
    for _ in range(53):
        start = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken[3:])


def timings(people: int, stride: int) -> dict[str, tuple[float, float]]:
    """(encode, decode) in ms of every coding, for one picture with so many people."""
    batch = crowd(people, seed=0, scenes=1)
    scale = 0.5  # from 256x160 to 128 columns; 80 of the 96 rows are used
    uv, on, xyz = batch.uv * scale, batch.labelled, batch.xyz
    grid, bones = Grid.over(128, 96, stride), MPI17.limbs
    z, there = xyz[:, :, ROOT, 2], on[:, :, ROOT]
    steps = orpm.to_bones(xyz)
    maps = heatmaps.encode(uv, on, grid, 1.5)
    names = torch.arange(float(uv.shape[1]))[None] * 10
    tag_maps = tags.encode(uv, on, names, grid)
    fields = affinity.encode(uv, on, bones, grid, 1.5)
    poses, _ = orpm.encode(steps, uv, on, z, grid)
    root_map, _ = depth.encode_root(z, uv[:, :, ROOT], there, grid)
    part_maps, _ = depth.encode_parts(xyz[..., 2], uv, on, bones, grid, 1.5)
    boxes = anchors.pose_box(uv)
    sizes = anchors.kmeans(boxes[0, :, 2:], min(6, people))
    every = anchors.grid_anchors(sizes, grid)
    a, b = ([bone[i] for bone in bones] for i in (0, 1))
    focal = batch.k[:, 0] * scale

    def selected():
        person, overlap = anchors.assign(every, boxes[0])
        pono = anchors.pono(person, overlap, people)
        good = anchors.labels(pono)
        own, truth = every[good], person[good]
        return (
            own,
            pono[good],
            anchors.encode_boxes(own, boxes[0, truth]),
            anchors.encode_pose(own, uv[0, truth]),
        )

    own, scores, offsets, anchor_poses = selected()

    def by_tags(method):
        peaks = heatmaps.peaks(maps, grid)
        return tags.group(peaks, tags.read(tag_maps, peaks.cell, grid), method)

    def at_once():
        peaks = heatmaps.peaks(maps, grid)
        return affinity.greedy(affinity.links(fields, peaks, bones, grid)[0], peaks.uv[0], bones, reference=48)

    def near_first():
        peaks = heatmaps.peaks(maps, grid)
        z = depth.read_root(root_map, peaks.uv[:, ROOT], grid)
        return group_by_fields(peaks, affinity.links(fields, peaks, bones, grid), z, focal, "near first, length")

    def relative():
        dz = depth.read_parts(part_maps, uv[:, :, a], uv[:, :, b], grid)
        return depth.chain(dz, depth.read_root(root_map, uv[:, :, ROOT], grid), bones)

    def kept():
        stays = anchors.nms(anchors.decode_boxes(own, offsets), scores)
        return anchors.decode_pose(own[stays], anchor_poses[stays])

    def clocked(encode, decode):
        return milliseconds(encode), milliseconds(decode)

    def tagged():
        return heatmaps.encode(uv, on, grid, 1.5), tags.encode(uv, on, names, grid)

    def linked():
        return heatmaps.encode(uv, on, grid, 1.5), affinity.encode(uv, on, bones, grid, 1.5)

    return {
        "heatmaps + tags, greedy": clocked(tagged, lambda: by_tags("greedy")),
        "heatmaps + tags, Hungarian": clocked(tagged, lambda: by_tags("hungarian")),
        "heatmaps + part affinity fields, 2D": clocked(linked, at_once),
        "heatmaps + part affinity fields + root depth, near first": clocked(
            lambda: (*linked(), depth.encode_root(z, uv[:, :, ROOT], there, grid)), near_first
        ),
        "occlusion-robust pose maps": clocked(
            lambda: orpm.encode(steps, uv, on, z, grid),
            lambda: orpm.from_bones(orpm.read(poses, uv, on, grid, "paper", torch.zeros(17, 3))[0]),
        ),
        "root depth + part relative depth": clocked(
            lambda: (
                depth.encode_root(z, uv[:, :, ROOT], there, grid),
                depth.encode_parts(xyz[..., 2], uv, on, bones, grid, 1.5),
            ),
            relative,
        ),
        "anchors": clocked(selected, kept),
    }


def association(people: int) -> dict[str, float]:
    """ms of each part of SMAP's decoding of one picture with so many people, on its own maps; and of all."""
    batch, grid = crowd(people, seed=0, scenes=1), Grid.over(832, 512)
    scale = 3.25  # from 256 columns
    uv, z, focal = batch.uv[:, :, PICKED] * scale, batch.xyz[:, :, PICKED, 2], batch.k[0, 0] * scale
    on = batch.labelled[:, :, PICKED] & grid.cells(uv)[1]
    bones, root = SMAP15.limbs, SMAP15.root
    parent, child = ([bone[i] for bone in bones] for i in (0, 1))
    maps = heatmaps.encode(uv, on, grid, 1.1)
    fields = affinity.encode(uv, on, bones, grid, 1.5).contiguous()
    root_map, _ = depth.encode_root(z[:, :, root], uv[:, :, root], on[:, :, root], grid, 3)
    part_maps, _ = depth.encode_parts(z, uv, on, bones, grid, 1.5)
    peaks = heatmaps.peaks(maps, grid)
    links = affinity.links(fields, peaks, bones, grid)

    def grouped():
        roots = depth.read_root(root_map, peaks.uv[:, root], grid)[0]
        order = roots.nan_to_num(nan=torch.inf).argsort(stable=True)[: int(peaks.found[0, root].sum())]
        reference = 1.2 * LENGTHS * focal / roots[order, None]
        return affinity.associate(links[0], peaks.uv[0], bones, root, order, reference), roots[order]

    chosen, roots = grouped()

    def placed():
        found = peaks.take(0, chosen)[0]
        return depth.chain(depth.read_parts(part_maps[0], found[:, parent], found[:, child], grid), roots, bones)

    taken = {
        "peaks": milliseconds(lambda: heatmaps.peaks(maps, grid)),
        "links": milliseconds(lambda: affinity.links(fields, peaks, bones, grid)),
        "association": milliseconds(grouped),
        "depths": milliseconds(placed),
    }
    return taken | {"all": sum(taken.values())}


def main() -> None:
    """Print the tables; exit with 1 where a limit is not kept."""
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    print("| stride | people | coding | encode, ms | decode, ms | |\n|---|---|---|---|---|---|")
    bad = False
    for stride in (4, 1):
        for people in (3, 20):
            for name, times in timings(people, stride).items():
                limits = [LIMITS[what].get(people, float("inf")) for what in ("encode", "decode")]
                late = any(t > limit for t, limit in zip(times, limits, strict=True))
                bad |= late and stride == 4
                print(f"| {stride} | {people} | {name} | {times[0]:.2f} | {times[1]:.2f} | {'late' * late} |")
    print("\n| people | peaks, ms | links, ms | association, ms | depths, ms | all, ms | |\n" + "|---" * 7 + "|")
    for people in (1, 3, 5, 10, 20):
        taken = association(people)
        late = taken["all"] > LIMITS["decode"].get(people, float("inf"))
        bad |= late
        print(f"| {people} | {' | '.join(f'{t:.2f}' for t in taken.values())} | {'late' * late} |")
    sys.exit(bad)


if __name__ == "__main__":
    main()
