"""The codings on a GPU: what they encode and decode there is what they do here."""

import pytest
import torch

from mp3d.codings import affinity, anchors, depth, heatmaps, orpm, tags, translation
from mp3d.codings.grid import Grid
from mp3d.skeletons import MPI17

GRID, BONES, ROOT = Grid.over(128, 96, 4), MPI17.limbs, MPI17.root
PARENT, CHILD = map(list, zip(*BONES, strict=True))


def crowd() -> dict[str, torch.Tensor]:
    """Two pictures with three people and an empty place; some joints unlabelled."""
    rng = torch.Generator().manual_seed(0)
    labelled = torch.rand(2, 4, 17, generator=rng) < 0.9
    labelled[:, :3, ROOT], labelled[:, 3] = True, False
    uv = torch.rand(2, 4, 17, 2, generator=rng) * torch.tensor([128.0, 96])
    xyz = torch.randn(2, 4, 17, 3, generator=rng) * 300 + torch.tensor([0, 0, 4000])
    return {"uv": uv.where(labelled[..., None], torch.nan), "labelled": labelled, "xyz": xyz}


def with_heatmaps(uv, labelled, xyz):
    maps = heatmaps.encode(uv, labelled, GRID, 1)
    return maps, *vars(heatmaps.peaks(maps, GRID, 5)).values()


def with_tags(uv, labelled, xyz):
    peaks = heatmaps.peaks(heatmaps.encode(uv, labelled, GRID, 1), GRID, 5)
    maps = tags.encode(uv, labelled, 10 * torch.arange(4.0, device=uv.device).expand(2, 4), GRID)
    read = tags.read(maps, peaks.cell, GRID)
    people = [person for method in ("greedy", "hungarian") for person in tags.group(peaks, read, method)]
    return maps, read, *people, *tags.loss(maps, uv, labelled, GRID).values()


def with_affinity(uv, labelled, xyz):
    peaks = heatmaps.peaks(heatmaps.encode(uv, labelled, GRID, 1), GRID, 5)
    maps = affinity.encode(uv, labelled, BONES, GRID, 1.5)
    links = affinity.links(maps, peaks, BONES, GRID)
    order = peaks.found[0, ROOT].nonzero()[:, 0]
    long = torch.full((len(order), len(BONES)), 50.0, device=uv.device)
    one = links[0], peaks.uv[0], BONES
    return maps, links, affinity.associate(*one, ROOT, order, long), affinity.greedy(*one, 48)


def with_orpm(uv, labelled, xyz):
    maps, mask = orpm.encode(orpm.to_bones(xyz), uv, labelled, xyz[:, :, ROOT, 2], GRID)
    read = [orpm.read(maps, uv, labelled, GRID, how, torch.zeros(17, 3)) for how in ("paper", "mehta", "naive")]
    return maps, mask, *(x for pair in read for x in pair), orpm.from_bones(read[0][0])


def with_depth(uv, labelled, xyz):
    z = xyz[..., 2]
    root = depth.encode_root(z[..., ROOT], uv[:, :, ROOT], labelled[:, :, ROOT], GRID)
    parts = [depth.encode_parts(z, uv, labelled, BONES, GRID, 1.5, overlap) for overlap in ("mean", "near")]
    points = depth.encode_points(z, uv, labelled, z[..., ROOT], GRID)
    dz = depth.read_parts(parts[0][0], uv[:, :, PARENT], uv[:, :, CHILD], GRID)
    roots = depth.read_root(root[0], uv[:, :, ROOT], GRID)
    maps = (*root, *parts[0], *parts[1], *points)
    return *maps, dz, roots, depth.chain(dz, roots, BONES), depth.read_points(points[0], uv, GRID)


def with_anchors(uv, labelled, xyz):
    boxes = anchors.pose_box(uv)
    sizes = anchors.kmeans(boxes[:, :3, 2:].flatten(0, 1), 3)
    at = anchors.grid_anchors(sizes, GRID)
    person, overlap = anchors.assign(at, boxes)
    pono = anchors.pono(person, overlap, 4)
    good = anchors.labels(pono[0])
    own, truth = at[good], person[0][good]
    offsets, pose = anchors.encode_boxes(own, boxes[0, truth]), anchors.encode_pose(own, uv[0, truth])
    decoded = anchors.decode_boxes(own, offsets)
    stays = anchors.nms(decoded, pono[0][good])
    unit = anchors.unit_bones(xyz)
    return sizes, at, person, overlap, pono, good, offsets, pose, decoded, stays, anchors.decode_pose(own, pose), *unit


def with_translation(uv, labelled, xyz):
    k = torch.tensor([200.0, 200, 64, 48], device=uv.device)
    true = xyz[..., :2] / xyz[..., 2:] * 200 + k[2:]
    return (translation.fit(xyz - xyz[:, :, [ROOT]], true, k),)


CODINGS = [with_heatmaps, with_tags, with_affinity, with_orpm, with_depth, with_anchors, with_translation]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
@pytest.mark.parametrize("coding", CODINGS, ids=lambda f: f.__name__.removeprefix("with_"))
def test_a_gpu_encodes_and_decodes_as_a_processor_does(coding):
    batch = crowd()
    here, there = coding(**batch), coding(**{name: x.cuda() for name, x in batch.items()})
    for one, other in zip(here, there, strict=True):
        assert other.is_cuda
        torch.testing.assert_close(other.cpu(), one, rtol=1e-5, atol=1e-5, equal_nan=True)
