"""The splits beside train and test: what each promises, told from the scenes alone. Lengths in mm."""

from dataclasses import replace

import numpy as np
import pytest

from mp3d.synthetic import worlds
from mp3d.synthetic.worlds import SPLITS, WORLDS, scenes, takes

KINDS = {
    "duet": ("talk", "sparring"),
    "studio": ("talk", "pizza"),
    "street": ("mixed",),
    "solo": ("sitting", "walking"),
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Streams are drawn by the block: what a test does not ask for costs time."""
    for name, world in WORLDS.items():
        people = (14, 20) if name == "street" else world.people
        monkeypatch.setitem(WORLDS, name, replace(world, block=8, people=people))


def inside(scene):
    """(P, 17): which joints fall into the image."""
    return ((scene.uv >= 0) & (scene.uv < [scene.camera.width, scene.camera.height])).all(-1)


@pytest.mark.parametrize("world", WORLDS)
def test_other_fields_of_view_and_the_same_pictures(world, small_blocks):
    plain, fov = (takes(world, 16, 0, split, KINDS[world]) for split in ("test", "fov"))
    s = 1.1 * WORLDS[world].focal[1] / WORLDS[world].focal[0]
    assert fov.k[:, 0].min() > WORLDS[world].focal[1] and len(fov) == 16
    depth, height = [], []
    for some in (plain, fov):
        there = np.isfinite(some.size)
        depth.append(np.median(some.points[:, :, 14, 2][there]))
        height.append(np.median((some.uv[..., 1].max(-1) - some.uv[..., 1].min(-1))[there]))
    ratio = 2.0 if world == "street" else 1.3  # a few scenes of a few people: crowds differ much in depth
    assert max(s, 1.5) / ratio < depth[1] / depth[0] < max(s, 1.5) * ratio
    assert 1 / ratio < height[1] / height[0] < ratio


def boxes_iou(a, b):
    """Intersection over union of two boxes x, y, width, height."""
    width, height = (min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in range(2))
    both = max(width, 0) * max(height, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


@pytest.mark.parametrize("world", ["duet", "studio", "street"])
def test_in_the_split_overlap_two_people_overlap(world, small_blocks):
    some = scenes(world, 8, 0, "overlap", KINDS[world])
    assert {scene.kind for scene in some} == set(KINDS[world])
    for scene in some:
        boxes = scene.boxes
        assert max(boxes_iou(a, b) for i, a in enumerate(boxes) for b in boxes[:i]) > 0.3


@pytest.mark.parametrize("world", WORLDS)
def test_in_the_split_border_somebody_is_cut(world, small_blocks):
    for scene in scenes(world, 8, 0, "border", KINDS[world]):
        share = inside(scene).mean(-1)
        assert share.min() > 0 and ((share > 0) & (share <= 0.75)).any()
        np.testing.assert_array_equal(scene.visibility == 0, ~inside(scene))


def test_every_split_is_told(small_blocks):
    assert all(f"- {split}" in worlds.__doc__ for split in SPLITS[2:])
    poses = [scene.xyz.tobytes() for split in SPLITS for scene in scenes("duet", 4, 0, split, ["talk"])]
    assert len(set(poses)) == 4 * len(SPLITS)
