"""Darknet-53, YOLOv3's backbone (Redmon and Farhadi, arXiv:1804.02767), of any width and depth."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


def leaky(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without a bias, batch normalisation, leaky ReLU of slope 0.1."""
    convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.LeakyReLU(0.1, inplace=True))


class Residual(nn.Module):
    """1x1 to half the channels, 3x3 back, and the input added."""

    def __init__(self, channels: int):
        super().__init__()
        self.branch = nn.Sequential(leaky(channels, channels // 2, 1), leaky(channels // 2, channels))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """x + branch."""
        return x + self.branch(x)


class Darknet(nn.Module):
    """A 3x3 convolution, then groups of a 3x3 of stride 2 and residuals: features at 1/2, 1/4 ...

    The defaults are Darknet-53's: 40,584,928 parameters without its classifier.

    Parameters
    ----------
    widths : channels of the first convolution, then of each group
    residuals : of each group
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256, 512, 1024),
        residuals: Sequence[int] = (1, 2, 8, 8, 4),
    ):
        super().__init__()
        self.first = leaky(3, widths[0])
        self.groups = nn.ModuleList(
            nn.Sequential(leaky(before, width, stride=2), *(Residual(width) for _ in range(number)))
            for before, width, number in zip(widths[:-1], widths[1:], residuals, strict=True)
        )

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The features of every group, fine to coarse."""
        x, found = self.first(x), []
        for group in self.groups:
            x = group(x)
            found.append(x)
        return found
