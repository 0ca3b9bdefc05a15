"""Crops: people cut out of pictures upright, or turned, scaled, mirrored and disturbed, as training wants them.

One pixel convention, in pictures and in crops: the origin is the top left corner of the top left pixel, whose centre is
at (0.5, 0.5). So a crop of a box is exact to a fraction of a pixel, whatever its size.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn


@dataclass(frozen=True)
class Augmentation:
    """How training crops are changed, at random; the defaults are PoseNet's (released code).

    Parameters
    ----------
    rotate, degrees : how often, and the standard deviation, which is cut at twice it
    scale : standard deviation of the box's side about 1, cut at it
    flip : how often left and right are exchanged
    colour : each channel is multiplied by 1 - colour to 1 + colour
    occlude : how often a rectangle of noise hides a part: 0 to `area` of the crop, sides 0.3 to 3.33 to one another
    """

    rotate: float | int = 0.6
    degrees: float | int = 30.0
    scale: float | int = 0.25
    flip: float | int = 0.5
    colour: float | int = 0.2
    occlude: float | int = 0.5
    area: float | int = 0.7


@dataclass(frozen=True, eq=False)
class Views:
    """N crops of `size` px: what point of which picture is seen where, picture px = `matrix` crop px + `corner`."""

    picture: Int[Tensor, " N"]
    matrix: Float[Tensor, "N 2 2"]
    corner: Float[Tensor, "N 2"]
    mirrored: Bool[Tensor, " N"]
    size: int

    def to_picture(self, uv: Float[Tensor, "N J 2"]) -> Float[Tensor, "N J 2"]:
        """px of the crops to px of their pictures."""
        return uv @ self.matrix.mT + self.corner[:, None]

    def to_crop(self, uv: Float[Tensor, "N J 2"]) -> Float[Tensor, "N J 2"]:
        """px of the pictures to px of the crops."""
        return (uv - self.corner[:, None]) @ self.matrix.inverse().mT


def views(
    boxes: Float[Tensor, "N 4"],
    picture: Int[Tensor, " N"],
    size: int,
    augmentation: Augmentation | None = None,
    generator: torch.Generator | None = None,
) -> Views:
    """How these squares are seen: upright, or turned, scaled and mirrored about their centres at random.

    Parameters
    ----------
    boxes : of `squares`
    picture : which picture each belongs to
    size : px of the crops
    augmentation, generator : None for upright crops; the generator is of the boxes' device
    """
    zero = torch.zeros_like(boxes[:, 0])
    angle, scale, mirrored = zero, zero + 1, zero > 1
    if augmentation is not None:

        def uniform() -> Tensor:
            return torch.rand(len(boxes), generator=generator, device=boxes.device)

        def normal() -> Tensor:
            return torch.randn(len(boxes), generator=generator, device=boxes.device)

        turned = uniform() < augmentation.rotate
        angle = torch.deg2rad(normal().clamp(-2, 2) * augmentation.degrees).where(turned, zero)
        scale = 1 + normal().clamp(-1, 1) * augmentation.scale
        mirrored = uniform() < augmentation.flip
    per_px = boxes[:, 2] / size * scale
    sin, cos = angle.sin() * per_px, angle.cos() * per_px
    sign = torch.where(mirrored, -1.0, 1.0)
    matrix = torch.stack([sign * cos, -sin, sign * sin, cos], -1).unflatten(-1, (2, 2))
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return Views(picture, matrix, centre - matrix.sum(-1) * size / 2, mirrored, size)


def crops(images: UInt8[Tensor, "B 3 H W"], views: Views) -> Float[Tensor, "N 3 S S"]:
    """What is seen, 0..1, bilinear between the centres of pixels; black where there is no picture."""
    height, width = images.shape[2:]
    centres = torch.arange(views.size, device=images.device) + 0.5
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    at = views.to_picture(torch.stack([u, v], -1).flatten(0, 1).expand(len(views.corner), -1, -1))
    at = at / torch.tensor([width, height], device=images.device) * 2 - 1
    grid = at.unflatten(1, (views.size, views.size))
    return nn.functional.grid_sample(images[views.picture] / 255, grid, align_corners=False)


def disturb(
    crops: Float[Tensor, "N 3 S S"], augmentation: Augmentation, generator: torch.Generator
) -> Float[Tensor, "N 3 S S"]:
    """Other colours, and here and there a rectangle of noise.

    The released code draws the rectangle into the picture, before it is turned; here it is upright in the crop.
    """
    count, size = len(crops), crops.shape[-1]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=crops.device)

    gain = 1 + augmentation.colour * (2 * uniform(count, 3, 1, 1) - 1)
    crops = (crops * gain).clamp(max=1)
    if not augmentation.occlude:
        return crops
    hidden = uniform(count, 1) < augmentation.occlude
    area = uniform(count) * augmentation.area
    aspect = (0.3 ** (2 * uniform(count) - 1)).sqrt()  # of the sides' logarithms, so that neither is preferred
    sides = torch.stack([area.sqrt() * aspect, area.sqrt() / aspect], -1).clamp(max=1)
    low = uniform(count, 2) * (1 - sides)
    centres = (torch.arange(size, device=crops.device) + 0.5) / size
    inside = (centres >= low[..., None]) & (centres < (low + sides)[..., None])  # (N, 2, S)
    rectangle = (inside[:, 1, :, None] & inside[:, 0, None, :] & hidden[..., None])[:, None]
    return torch.where(rectangle, uniform(*crops.shape), crops)
