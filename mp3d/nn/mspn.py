"""MSPN: a chain of ResNet encoders with top-down decoders (Li et al., arXiv:1901.00148), what SMAP's release trains.

Each stage sees the picture's features at four resolutions, from coarse to fine, and gives its maps at each of the four:
`forward` returns them by stage, scale and branch, all at a quarter of the picture's sides. A later stage also gets the
encoder's and the decoder's features of the one before, level by level.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mp3d.nn.resnet import Bottleneck, initialise

LEVELS = 4

Outputs = list[list[tuple[Tensor, ...]]]
"""By stage and by scale, coarse to fine: a (B, C, H / 4, W / 4) tensor a branch."""


def unit(channels: int, out: int, kernel: int = 1, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution with a bias, batch normalisation, ReLU."""
    layers = [nn.Conv2d(channels, out, kernel, stride, kernel // 2), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *[nn.ReLU()] * relu)


class Head(nn.Sequential):
    """An output branch: 1x1, then 3x3 to its maps, which batch normalisation scales (two layers, SMAP section 3.1)."""

    def __init__(self, channels: int, out: int):
        super().__init__(unit(channels, channels), unit(channels, out, 3, relu=False))


class Stage(nn.Module):
    """An encoder of four levels, a decoder back to the finest, and the branches at every level.

    Parameters
    ----------
    width, blocks : of the residual levels: bottlenecks of `width` times 1, 2, 4, 8, so many of them
    decoder : channels of the decoder
    branches : maps of each output branch
    last : whether no stage follows
    """

    def __init__(self, width: int, blocks: Sequence[int], decoder: int, branches: Sequence[int], last: bool):
        super().__init__()
        wide = [4 * width * 2**level for level in range(LEVELS)]
        levels, channels = [], width
        for level, number in enumerate(blocks):
            narrow, stride = wide[level] // 4, 1 if level == 0 else 2
            layers = [Bottleneck(channels, narrow, stride, bias=True)]
            layers += [Bottleneck(wide[level], narrow, bias=True) for _ in range(number - 1)]
            levels.append(nn.Sequential(*layers))
            channels = wide[level]
        self.encoder = nn.ModuleList(levels)
        initialise(self.encoder)
        falling = wide[::-1]  # coarse to fine, as the decoder goes
        self.lateral = nn.ModuleList(unit(c, decoder, relu=False) for c in falling)
        self.up = nn.ModuleList(unit(decoder, decoder, relu=False) for _ in falling[1:])
        self.heads = nn.ModuleList(nn.ModuleList(Head(decoder, out) for out in branches) for _ in falling)
        self.skip_encoder = nn.ModuleList(unit(c, c) for c in ([] if last else wide))
        self.skip_decoder = nn.ModuleList(unit(decoder, c) for c in ([] if last else wide))
        self.onward = None if last else unit(decoder, width)

    def forward(
        self, x: Float[Tensor, "B C H W"], skips: list[Tensor] | None = None
    ) -> tuple[list[tuple[Tensor, ...]], Tensor | None, list[Tensor]]:
        """The branches' maps by scale; the next stage's input; and what is added to its encoder, level by level."""
        size, encoded, decoded, maps = x.shape[2:], [], [], []
        for level, layers in enumerate(self.encoder):
            x = layers(x)
            if skips:
                x = x + skips[level]
            encoded.append(x)
        for step, (lateral, heads) in enumerate(zip(self.lateral, self.heads, strict=True)):
            y = lateral(encoded[-1 - step])
            if step:
                y = y + self.up[step - 1](_resized(decoded[-1], y.shape[2:]))
            decoded.append(y.relu())
            maps.append(tuple(_resized(head(decoded[-1]), size) for head in heads))
        if self.onward is None:
            return maps, None, []
        fine_first = zip(self.skip_encoder, encoded, self.skip_decoder, decoded[::-1], strict=True)
        return maps, self.onward(decoded[-1]), [a(e) + b(d) for a, e, b, d in fine_first]


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, the corners' cells on one another (MSPN)."""
    return x if x.shape[2:] == tuple(size) else F.interpolate(x, tuple(size), mode="bilinear", align_corners=True)


class MSPN(nn.Module):
    """The picture's stem, once, and the stages; sides must be multiples of `multiple`.

    With the defaults and SMAP's three branches of 43, 14 and 1 maps: 91,318,696 parameters, 58,684,592 with two stages
    and 26,050,488 with one, as released.

    Parameters
    ----------
    branches : maps of each output branch
    width, blocks, decoder : see `Stage`; the defaults are ResNet-50's
    """

    multiple = 32

    def __init__(
        self,
        branches: Sequence[int],
        stages: int = 3,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        decoder: int = 256,
    ):
        super().__init__()
        self.stem = nn.Sequential(unit(3, width, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList(
            Stage(width, blocks, decoder, branches, last=number == stages - 1) for number in range(stages)
        )

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Outputs:
        """(B, C, H / 4, W / 4) of every branch, by stage and scale."""
        x, skips, outputs = self.stem(x), None, []
        for stage in self.stages:
            maps, x, skips = stage(x, skips)
            outputs.append(maps)
        return outputs
