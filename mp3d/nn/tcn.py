"""Temporal convolutions over a track of poses (Pavllo et al., CVPR 2019), with PReLU as TDBU's release has them."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mp3d.errors import BadInput

KERNEL = 3


class Unit(nn.Module):
    """Convolution over time without a bias, batch normalisation, PReLU (one slope for all channels), dropout."""

    def __init__(self, channels: int, out: int, kernel: int, dropout: float | int = 0):
        super().__init__()
        self.conv = nn.Conv1d(channels, out, kernel, stride=kernel, bias=False)
        self.after = nn.Sequential(nn.BatchNorm1d(out), nn.PReLU(), nn.Dropout(dropout))

    def forward(self, x: Float[Tensor, "B C T"], dilation: int | None = None) -> Float[Tensor, "B D t"]:
        """Strided by its kernel; or, with a dilation, at every frame that has all its taps."""
        if dilation is None:
            return self.after(self.conv(x))
        return self.after(F.conv1d(x, self.conv.weight, dilation=dilation))


class TemporalConvNet(nn.Module):
    """From the frames around it to one frame's value: 243, 81, 27, 9, 3, 1 of them, in residual blocks after the first.

    The same weights in two forms. `forward` strides, and computes no more than a window's one value needs: for
    training. `slide` dilates, and shares what the windows of a track have in common: for evaluation. TDBU's defaults
    have 17,004,604 parameters from 17 joints to 17 (51 numbers each) and 16,901,130 from 17 in 2D to a depth.

    Parameters
    ----------
    features : numbers a frame, in
    out : numbers a frame, out
    channels : in between
    layers : the window is 3^layers frames, 243 by default
    dropout : after each activation of the blocks
    """

    def __init__(self, features: int, out: int, channels: int = 1024, layers: int = 5, dropout: float | int = 0.5):
        super().__init__()
        for field, found in {"features": features, "out": out, "channels": channels, "layers": layers}.items():
            if found < 1:
                raise BadInput("TemporalConvNet", field, found, "at least 1")
        if not 0 <= dropout < 1:
            raise BadInput("TemporalConvNet", "dropout", dropout, "0 or more, below 1")
        self.features, self.window = features, KERNEL**layers
        self.first = Unit(features, channels, KERNEL)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Unit(channels, channels, KERNEL, dropout), Unit(channels, channels, 1, dropout)])
            for _ in range(layers - 1)
        )
        self.last = nn.Conv1d(channels, out, 1)

    def forward(self, x: Float[Tensor, "B T F"]) -> Float[Tensor, "B out"]:
        """The values of the windows' centres; T must be `window`. To train, B must be at least 2.

        Raises
        ------
        BadInput
            Windows of another length, or frames of other features.
        """
        self._require_features(x)
        if x.shape[1] != self.window:
            raise BadInput("TemporalConvNet", "x", f"{x.shape[1]} frames", f"{self.window}; slide() takes any number")
        y = self.first(x.mT)
        for wide, narrow in self.blocks:
            y = y[:, :, KERNEL // 2 :: KERNEL] + narrow(wide(y))
        return self.last(y).squeeze(2)

    def slide(self, x: Float[Tensor, "B T F"]) -> Float[Tensor, "B T out"]:
        """A value for every frame of a track of any length, its first and last frame repeated beyond its ends.

        Raises
        ------
        BadInput
            In training mode: overlapping windows are no batch to normalise by. Frames of other features, or none.
        """
        if self.training:
            raise BadInput("TemporalConvNet.slide", "mode", "training", "evaluation: call eval() first")
        self._require_features(x)
        if not x.shape[1]:
            raise BadInput("TemporalConvNet.slide", "x", "0 frames", "at least 1")
        edge = self.window // 2
        y = self.first(F.pad(x.mT, (edge, edge), mode="replicate"), 1)
        for level, (wide, narrow) in enumerate(self.blocks, 1):
            step = KERNEL**level
            y = y[:, :, step:-step] + narrow(wide(y, step))
        return self.last(y).mT

    def _require_features(self, x: Tensor) -> None:
        if x.shape[2] != self.features:
            raise BadInput("TemporalConvNet", "x", f"{x.shape[2]} features a frame", self.features)
