"""The stacked hourglass (Newell et al., ECCV 2016): what SMAP's paper says its trunk is, and ORPM-AE's is based on.

Each stage goes down to a few cells and back up, adding what it saw on the way at each resolution; its maps and features
are added to its input, which makes the next stage's. `forward` returns the maps by stage and branch at a quarter of the
picture's sides, of one scale.
"""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mp3d.nn.mspn import Outputs, unit


class Residual(nn.Module):
    """1x1, 3x3, 1x1 with half of `out` between, each after batch normalisation and ReLU, and a shortcut."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        widths, layers = [channels, out // 2, out // 2, out], []
        for width, wanted, kernel in zip(widths[:-1], widths[1:], (1, 3, 1), strict=True):
            layers += [
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, wanted, kernel, padding=kernel // 2),
            ]
        self.branch = nn.Sequential(*layers)
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """branch + shortcut, without a ReLU after it."""
        return self.branch(x) + self.shortcut(x)


def plain(channels: int, out: int) -> nn.Sequential:
    """3x3 and ReLU: what the associative-embedding code, on which ORPM-AE builds, has for a residual."""
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True))


Block = Callable[[int, int], nn.Module]
"""From channels in and out to a layer that keeps the sides."""


class Level(nn.Module):
    """Down by two, all the coarser levels, back up (nearest), and past them a block at this resolution."""

    def __init__(self, depth: int, width: int, increase: int, block: Block):
        super().__init__()
        wider = width + increase
        self.past = block(width, width)
        inner = Level(depth - 1, wider, increase, block) if depth > 1 else block(wider, wider)
        self.inner = nn.Sequential(nn.MaxPool2d(2), block(width, wider), inner, block(wider, width))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """As large as it came; an odd side's last row or column is not seen further down."""
        return self.past(x) + F.interpolate(self.inner(x), x.shape[2:])


class Hourglass(nn.Module):
    """The picture's stem, once, and the stages.

    Sides must be multiples of `multiple` and 4 * 2**depth or more; of multiples of that every level sees all cells.

    The authors' PyTorch version (pytorch_stacked_hourglass), layer by layer: 25,434,112 parameters with its 8 stages
    and 16 maps, once the shortcuts are left out that it makes and does not use; 12,933,736 with the defaults and SMAP's
    43, 14 and 1 maps. With `increase=128, block=plain` and 68 maps it is the associative-embedding code's
    (pose-ae-train): its 138,893,840 parameters and the 128 of the stem's batch normalisation, which that code has off.

    Parameters
    ----------
    branches : maps of each output branch; all are one 1x1 convolution's
    width : channels between the stages, a multiple of 4
    depth : how often a stage halves its maps' sides
    increase : channels that each halving adds, even with residuals
    block : `Residual` as in the paper, `plain`, or any other
    """

    multiple = 4
    least = 64  # px of a side, at the default depth

    def __init__(
        self,
        branches: Sequence[int],
        stages: int = 4,
        width: int = 256,
        depth: int = 4,
        increase: int = 0,
        block: Block = Residual,
    ):
        super().__init__()
        self.branches, half, maps = tuple(branches), width // 2, sum(branches)
        self.stem = nn.Sequential(
            unit(3, half // 2, 7, 2), block(half // 2, half), nn.MaxPool2d(2), block(half, half), block(half, width)
        )
        # A residual ends without a ReLU: what follows the last one has it.
        last = unit if block is Residual else block
        self.stages = nn.ModuleList(
            nn.Sequential(Level(depth, width, increase, block), block(width, width), last(width, width))
            for _ in range(stages)
        )
        self.maps = nn.ModuleList(nn.Conv2d(width, maps, 1) for _ in range(stages))
        self.from_features = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(stages - 1))
        self.from_maps = nn.ModuleList(nn.Conv2d(maps, width, 1) for _ in range(stages - 1))

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Outputs:
        """(B, C, H / 4, W / 4) of every branch, by stage and the one scale."""
        x, outputs = self.stem(x), []
        for number, (stage, head) in enumerate(zip(self.stages, self.maps, strict=True)):
            features = stage(x)
            maps = head(features)
            outputs.append([maps.split(self.branches, 1)])
            if number < len(self.from_maps):
                x = x + self.from_features[number](features) + self.from_maps[number](maps)
        return outputs
