"""The one pixel convention of all codings: which cell of a map a position falls into, and where a cell's centre is."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.errors import BadInput


@dataclass(frozen=True)
class Grid:
    """The cells of a map over a picture.

    The cell in row i and column j covers [j s, (j+1) s) x [i s, (i+1) s) px; its centre is ((j+0.5) s, (i+0.5) s).
    Targets and read-outs use the same `cells`: half a cell of difference between the two would cost s / 2 px.

    Parameters
    ----------
    width, height : of the map, cells
    stride : px a cell

    Raises
    ------
    BadInput : a side or a stride that is not positive
    """

    width: int
    height: int
    stride: float | int = 4

    def __post_init__(self):
        for name in ("width", "height", "stride"):
            if not getattr(self, name) > 0:
                raise BadInput("Grid", name, getattr(self, name), "a positive number")

    @classmethod
    def over(cls, width: int, height: int, stride: int = 4) -> "Grid":
        """The grid over a picture of width x height px; `BadInput` where the stride does not divide both."""
        if stride < 1 or width % stride or height % stride:
            raise BadInput("Grid", "width, height", (width, height), f"multiples of the stride {stride}")
        return cls(width // stride, height // stride, stride)

    def check(self, maps: Tensor, where: str) -> None:
        """`BadInput` from `where` unless maps (..., H, W) have the grid's size: another one would be read askew."""
        if maps.shape[-2:] != (self.height, self.width):
            raise BadInput(where, "maps", tuple(maps.shape[-2:]), f"the grid's {(self.height, self.width)}")

    def cells(self, uv: Float[Tensor, "*points 2"]) -> tuple[Int[Tensor, "*points 2"], Bool[Tensor, "*points"]]:
        """(row, column) of the cells that hold these positions (px), and whether they lie on the map.

        Cells of positions off the map are clamped onto it, so that they can always be read; a NaN lies off the map.
        """
        place = torch.floor(torch.nan_to_num(uv, nan=-1.0, posinf=-1.0, neginf=-1.0).flip(-1) / self.stride)
        size = torch.tensor([self.height, self.width], device=uv.device)
        inside = ((place >= 0) & (place < size)).all(-1)
        return torch.minimum(place.clamp(min=0), size - 1).long(), inside

    def centres(self, cells: Int[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """(u, v) in px of the centres of cells (row, column)."""
        return (cells.flip(-1) + 0.5) * self.stride

    def axes(self, device: torch.device | str = "cpu") -> tuple[Float[Tensor, " width"], Float[Tensor, " height"]]:
        """u of each column's and v of each row's centre, px."""
        u, v = (torch.arange(n, device=device) for n in (self.width, self.height))
        return (u + 0.5) * self.stride, (v + 0.5) * self.stride
