"""Pictures of any size on the canvas of a network that sees the whole picture, and the way back."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from mp3d.batch import Batch
from mp3d.camera import Camera
from mp3d.errors import BadInput

GREY = 128
"""Of what the picture leaves free (SMAP's released code)."""


@dataclass(frozen=True)
class Canvas:
    """Where a picture lies on the canvas: its pixel uv is at scale uv + corner.

    Parameters
    ----------
    scale : of u and v; they differ by rounding to whole pixels
    corner : px, left and top
    shown : px, how wide the picture is there
    """

    scale: tuple[float, float]
    corner: tuple[int, int]
    shown: int

    def to(self, uv: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """px of the picture to px of the canvas."""
        return uv * uv.new_tensor(self.scale) + uv.new_tensor(self.corner)

    def back(self, uv: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """px of the canvas to px of the picture."""
        return (uv - uv.new_tensor(self.corner)) / uv.new_tensor(self.scale)

    def camera(self, k: Float[Tensor, "B 4"]) -> Float[Tensor, "B 4"]:
        """fx, fy, cx, cy of pictures as cameras of the canvas."""
        return k.new_tensor([*self.scale, *self.scale]) * k + k.new_tensor([0, 0, *self.corner])


def fit_canvas(images: UInt8[Tensor, "B 3 h w"], size: tuple[int, int]) -> tuple[UInt8[Tensor, "B 3 H W"], Canvas]:
    """Pictures of one size, as large as the canvas lets them be, in its middle; grey beside.

    Parameters
    ----------
    size : px, width and height of the canvas

    Raises
    ------
    BadInput : no pictures of (B, 3, h, w), uint8
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8 or 0 in images.shape:
        raise BadInput("fit_canvas", "images", f"{tuple(images.shape)}, {images.dtype}", "(B, 3, h, w), torch.uint8")
    width, height = size
    h, w = images.shape[2:]
    scale = min(width / w, height / h)
    sides = max(1, round(w * scale)), max(1, round(h * scale))  # whole pixels: the two scales may differ a little
    left, top = (width - sides[0]) // 2, (height - sides[1]) // 2
    if (w, h) != sides:
        resized = F.interpolate(images.float(), sides[::-1], mode="bilinear", antialias=True)
        images = resized.round().clamp(0, 255).byte()
    border = (left, width - left - sides[0], top, height - top - sides[1])
    return F.pad(images, border, value=GREY) if any(border) else images, Canvas(
        (sides[0] / w, sides[1] / h), (left, top), sides[0]
    )


def on_canvas(batch: Batch, size: tuple[int, int]) -> tuple[Batch, Canvas]:
    """Pictures with their truth on the canvas."""
    image, canvas = fit_canvas(batch.image, size)
    moved = Batch(image, batch.xyz, canvas.to(batch.uv), batch.visibility, canvas.camera(batch.k))
    return moved, canvas


def one_picture(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera | None, where: str
) -> tuple[UInt8[Tensor, "1 3 h w"], Float[Tensor, "1 4"]]:
    """A picture as Pillow reads it and its camera, None for a focal length of the picture's width, as tensors.

    Raises
    ------
    BadInput : no picture of (h, w, 3), uint8; a camera of another size, or with a lens, which must be undone first
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise BadInput(where, "image", f"{image.shape}, {image.dtype}", "(h, w, 3), uint8, RGB")
    height, width = image.shape[:2]
    if camera is None:
        camera = Camera(width, width, width / 2, height / 2, width, height)
    if (camera.width, camera.height) != (width, height):
        raise BadInput(where, "camera", f"{camera.width} x {camera.height}", f"{width} x {height} px")
    if camera.lens is not None:
        raise BadInput(where, "camera.lens", camera.lens, "none: a picture without distortion")
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    return pixels, torch.from_numpy(camera.k).float()[None]
