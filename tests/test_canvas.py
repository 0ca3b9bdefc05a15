"""Pictures on a network's canvas and back: pixels, truth, cameras, and what is no picture."""

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mp3d.batch import Batch
from mp3d.camera import Camera, Lens, project
from mp3d.canvas import GREY, Canvas, fit_canvas, on_canvas, one_picture
from mp3d.errors import BadInput

SIZE = (256, 160)
sides = st.integers(1, 400)


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def blank(height: int, width: int, value: int = 7) -> torch.Tensor:
    return torch.full((1, 3, height, width), value, dtype=torch.uint8)


@given(width=sides, height=sides)
@settings(max_examples=30)
def test_a_picture_of_any_size_is_as_large_as_the_canvas_lets_it_be_in_its_middle(width, height):
    fitted, canvas = fit_canvas(blank(height, width), SIZE)
    assert fitted.shape == (1, 3, 160, 256) and fitted.dtype == torch.uint8
    inside = fitted[0, 0] == 7
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    assert inside.sum() == len(rows) * len(columns) and (fitted[0, :, ~inside] == GREY).all()
    assert len(rows) == 160 or len(columns) == 256
    assert len(columns) == canvas.shown and canvas.corner == (columns[0], rows[0])
    assert abs(columns[0] - (255 - columns[-1])) <= 1 and abs(rows[0] - (159 - rows[-1])) <= 1
    assert canvas.scale == (len(columns) / width, len(rows) / height)
    scale = min(256 / width, 160 / height)
    assert abs(len(columns) - scale * width) <= max(0.5, 1 - scale * width)  # one pixel at least
    assert abs(len(rows) - scale * height) <= max(0.5, 1 - scale * height)


@given(width=sides, height=sides, seed=st.integers(0, 2**31))
@settings(max_examples=20)
def test_pixels_there_and_back_and_the_picture_s_corners(width, height, seed):
    torch.manual_seed(seed)
    _, canvas = fit_canvas(blank(height, width), SIZE)
    uv = torch.rand(5, 2) * torch.tensor([width, height])
    torch.testing.assert_close(canvas.back(canvas.to(uv)), uv, atol=1e-3, rtol=1e-5)
    (left, top), (right, bottom) = canvas.to(torch.tensor([[0.0, 0], [width, height]])).tolist()
    assert (left, top) == canvas.corner
    assert (right, bottom) == pytest.approx((256 - left, 160 - top), abs=1.01)


def test_a_bright_spot_lands_where_its_pixel_is_said_to():
    """Its centre of mass, in a picture enlarged 3 times and in one shrunk to half."""
    for height, width, u, v in ((53, 40, 13, 30), (320, 512, 301, 77)):
        image = blank(height, width, 0)
        image[..., v, u] = 255
        fitted, canvas = fit_canvas(image, SIZE)
        left, top = canvas.corner
        light = fitted[0, 0].double()
        light[:, :left] = light[:, left + canvas.shown :] = light[:top] = 0
        columns, rows = torch.arange(256) + 0.5, torch.arange(160) + 0.5
        found = [(light.sum(0) * columns).sum() / light.sum(), (light.sum(1) * rows).sum() / light.sum()]
        expected = canvas.to(torch.tensor([[u + 0.5, v + 0.5]]))[0].tolist()
        assert [x.item() for x in found] == pytest.approx(expected, abs=0.1)


def test_a_picture_that_fits_is_handed_on():
    image = torch.randint(0, 256, (2, 3, 160, 256), dtype=torch.uint8)
    fitted, canvas = fit_canvas(image, SIZE)
    assert fitted is image and canvas == Canvas((1.0, 1.0), (0, 0), 256)


def test_the_canvas_camera_sees_what_the_picture_s_camera_sees():
    _, canvas = fit_canvas(blank(200, 103), SIZE)
    assert canvas.scale[0] != canvas.scale[1]  # whole pixels
    k, xyz = torch.tensor([[150.0, 140, 52, 97]]), torch.tensor([[300.0, -200, 4000]])
    torch.testing.assert_close(project(xyz, canvas.camera(k)), canvas.to(project(xyz, k)))


def test_a_batch_on_the_canvas_keeps_space_and_projects_to_its_pixels():
    xyz = torch.tensor([0.0, 0, 3000]) + 500 * torch.randn(2, 3, 17, 3).clamp(-2, 2)
    k = torch.tensor([[150.0, 140, 52, 97], [90, 90, 50, 100]])
    seen = torch.randint(0, 3, (2, 3, 17), dtype=torch.uint8)
    batch = Batch(blank(200, 100).repeat(2, 1, 1, 1), xyz, project(xyz, k[:, None, None]), seen, k)
    moved, canvas = on_canvas(batch, SIZE)
    assert canvas == Canvas((0.8, 0.8), (88, 0), 80)
    assert moved.xyz is xyz and moved.visibility is seen and moved.image.shape == (2, 3, 160, 256)
    torch.testing.assert_close(moved.uv, batch.uv * 0.8 + torch.tensor([88.0, 0]))
    torch.testing.assert_close(project(xyz, moved.k[:, None, None]), moved.uv)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 40, 64),
        torch.zeros(3, 40, 64, dtype=torch.uint8),
        torch.zeros(1, 4, 40, 64, dtype=torch.uint8),
        torch.zeros(1, 3, 0, 64, dtype=torch.uint8),
        torch.zeros(0, 3, 40, 64, dtype=torch.uint8),
    ],
)
def test_what_is_no_picture_is_refused(unchecked, images):
    with pytest.raises(BadInput, match=r"fit_canvas: images: found .*expected \(B, 3, h, w\), torch\.uint8"):
        fit_canvas(images, SIZE)


def test_one_picture_with_and_without_a_camera():
    image = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    camera = Camera(121, 122, 65, 45, 130, 90)
    for turned in (image, image[::-1, ::-1]):  # the second is not contiguous
        pixels, k = one_picture(turned, camera, "here")
        assert np.array_equal(pixels[0].permute(1, 2, 0).numpy(), turned) and k.tolist() == [[121, 122, 65, 45]]
    assert one_picture(image, None, "here")[1].tolist() == [[130, 130, 65, 45]]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"image": np.zeros((90, 130, 3))}, "here: image: found .*float64"),
        ({"image": np.zeros((90, 130), np.uint8)}, r"here: image: found \(90, 130\)"),
        ({"image": np.zeros((90, 130, 4), np.uint8)}, "here: image"),
        ({"image": np.zeros((0, 130, 3), np.uint8)}, "here: image"),
        ({"camera": Camera(120, 120, 65, 45, 90, 130)}, "here: camera: found 90 x 130, expected 130 x 90 px"),
        ({"camera": Camera(120, 120, 65, 45, 130, 90, lens=Lens(0.1, 0, 0, 0))}, r"here: camera\.lens"),
    ],
)
def test_what_is_no_picture_of_a_camera_s_is_refused(unchecked, change, words):
    given_ = {"image": np.zeros((90, 130, 3), np.uint8), "camera": None} | change
    with pytest.raises(BadInput, match=words):
        one_picture(given_["image"], given_["camera"], "here")
