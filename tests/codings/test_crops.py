"""Crops: exact to a fraction of a pixel, and joints go with them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings.crops import Augmentation, crops, disturb, views

WILD = Augmentation(rotate=1.0)
NUMBERS = st.floats(-300, 300, width=32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seen(box, size=32, augmentation=None, seed=0):
    box = torch.tensor(box, dtype=torch.float32).reshape(-1, 4)
    return views(box, torch.zeros(len(box), dtype=torch.long), size, augmentation, generator(seed))


def centroid(crop):
    """(u, v) px of a crop's mass."""
    at = torch.arange(crop.shape[-1]) + 0.5
    mass = crop.mean(0).double()
    return torch.stack([(mass.sum(0) * at).sum(), (mass.sum(1) * at).sum()]) / mass.sum()


@given(NUMBERS, NUMBERS, st.floats(1, 400, width=32), st.integers(0, 99), st.sampled_from([None, WILD]))
def test_joints_come_back(x, y, side, seed, augmentation):
    view = seen([x, y, side, side], 64, augmentation, seed)
    crop = torch.rand(1, 17, 2, generator=generator(seed)) * 80 - 8
    torch.testing.assert_close(view.to_crop(view.to_picture(crop)), crop, atol=2e-3, rtol=0)
    picture = torch.rand(1, 17, 2, generator=generator(seed)) * side + torch.tensor([x, y])
    torch.testing.assert_close(view.to_picture(view.to_crop(picture)), picture, atol=1e-4, rtol=2e-6)


def test_corners_and_centre():
    view = seen([10, 20, 64, 64])
    corners = torch.tensor([[[0.0, 0.0], [32, 32], [16, 16], [0.5, 0.5]]])
    expected = torch.tensor([[[10.0, 20.0], [74, 84], [42, 52], [11, 21]]])
    torch.testing.assert_close(view.to_picture(corners), expected)


def test_a_box_of_the_crops_size_is_cut_out_unchanged():
    image = torch.randint(0, 256, (1, 3, 40, 50), dtype=torch.uint8, generator=generator())
    crop = crops(image, seen([7, 5, 32, 32]))
    torch.testing.assert_close(crop[0], image[0, :, 5:37, 7:39] / 255, atol=1e-5, rtol=0)


def test_outside_of_the_picture_it_is_black():
    crop = crops(torch.full((1, 3, 40, 50), 255, dtype=torch.uint8), seen([-16, -8, 32, 32]))[0]
    assert (crop[:, :7] == 0).all() and (crop[:, :, :15] == 0).all()
    torch.testing.assert_close(crop[:, 9:, 17:], torch.ones(3, 23, 15))


@pytest.mark.parametrize(
    "column, row, x, y, zoom", [(20, 15, 14, 9, 1), (20, 15, 16.25, 10.5, 4), (9, 30, 7.9, 28.1, 8)]
)
def test_a_bright_pixel_lies_where_its_centre_projects(column, row, x, y, zoom):
    image = torch.zeros(1, 3, 40, 50, dtype=torch.uint8)
    image[..., row, column] = 255
    view = seen([x, y, 32 / zoom, 32 / zoom])
    joint = view.to_crop(torch.tensor([[[column + 0.5, row + 0.5]]]))[0, 0]
    torch.testing.assert_close(centroid(crops(image, view)[0]).float(), joint, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(6))
def test_turned_scaled_and_mirrored_crops_show_a_blob_where_the_joint_says(seed):
    centre = torch.tensor([61.3, 38.8])
    v, u = torch.meshgrid(torch.arange(100) + 0.5, torch.arange(120) + 0.5, indexing="ij")
    blob = torch.exp(-((u - centre[0]) ** 2 + (v - centre[1]) ** 2) / 18) * 255
    image = blob.round().to(torch.uint8).expand(1, 3, -1, -1)
    view = seen([35, 15, 48, 48], 64, WILD, seed)
    expected = view.to_crop(centre.expand(1, 1, 2))[0, 0]
    torch.testing.assert_close(centroid(crops(image, view)[0]).float(), expected, atol=0.05, rtol=0)


def test_mirroring_is_a_flip_of_the_crop():
    image = torch.randint(0, 256, (1, 3, 40, 50), dtype=torch.uint8, generator=generator())
    plain = crops(image, seen([7.3, 5.1, 20, 20]))
    mirrored = crops(image, seen([7.3, 5.1, 20, 20], 32, Augmentation(rotate=0, scale=0, flip=1)))
    torch.testing.assert_close(mirrored, plain.flip(-1), atol=1e-5, rtol=0)


def test_augmentation_is_drawn_within_its_limits_and_by_its_generator():
    boxes = [[10.0, 20, 50, 50]] * 2000
    view, again, other = (seen(boxes, 25, Augmentation(), seed) for seed in (1, 1, 2))
    assert torch.equal(view.matrix, again.matrix) and not torch.equal(view.matrix, other.matrix)
    scale = view.matrix.det().abs().sqrt() / 2
    assert 0.7499 <= scale.min() < 0.76 and 1.24 < scale.max() <= 1.2501
    angle = torch.rad2deg(torch.atan2(-view.matrix[:, 0, 1], view.matrix[:, 1, 1]))
    assert 59 < angle.abs().max() < 60.01
    assert (angle == 0).float().mean() == pytest.approx(0.4, abs=0.04)
    assert view.mirrored.float().mean() == pytest.approx(0.5, abs=0.04)
    assert torch.equal(view.matrix.det() < 0, view.mirrored)
    middle = view.to_picture(torch.full((len(boxes), 1, 2), 12.5))
    torch.testing.assert_close(middle, torch.tensor([35.0, 45.0]).expand_as(middle))


def test_colours_change_by_channel():
    crop = torch.full((500, 3, 4, 4), 0.5)
    changed = disturb(crop, Augmentation(occlude=0), generator())
    assert (changed == changed[..., :1, :1]).all()
    gain = changed[..., 0, 0] / 0.5
    assert 0.8 <= gain.min() < 0.81 and 1.19 < gain.max() <= 1.2
    assert (gain.std(1) > 0).all()
    assert disturb(torch.ones(50, 3, 4, 4), Augmentation(), generator()).max() <= 1


def test_rectangles_of_noise():
    crop = torch.full((800, 3, 40, 40), 2.0)  # no noise is as bright
    changed = disturb(crop, Augmentation(colour=0), generator())
    assert changed.max() <= 1  # colours stay in 0..1
    hidden = (disturb(crop - 1.5, Augmentation(colour=0), generator()) != 0.5).any(1)
    share = hidden.float().mean((1, 2))
    assert (share > 0).float().mean() == pytest.approx(0.5, abs=0.06)
    assert share.max() < 0.75  # 0.7, and what the edges' rounding adds
    for one in hidden[share > 0][:50]:
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns)  # a rectangle
        assert rows.diff().sum() <= 2 and columns.diff().sum() <= 2
