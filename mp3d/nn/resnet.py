"""Residual trunks (He et al., CVPR 2016): ResNet-50, and a small one for pictures of a few dozen pixels.

A trunk maps a picture to `channels` maps of 1/`stride` of its sides. Parameters are named as torchvision names them, so
that its `state_dict` fits without the last layer, `fc`.
"""

from jaxtyping import Float
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; 4 `width` channels out. The stride is the 3x3's, as in torchvision (v1.5)."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int = 1, bias: bool = False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=bias), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=bias), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=bias), nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(channels, 4 * width, stride, bias)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        """ReLU(branch + shortcut)."""
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


class Basic(nn.Module):
    """Two 3x3 with a shortcut."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int = 1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        """ReLU(branch + shortcut)."""
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + self.downsample(x)).relu()


def _shortcut(channels: int, out: int, stride: int, bias: bool = False) -> nn.Module:
    if stride == 1 and channels == out:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=bias), nn.BatchNorm2d(out))


class ResNet50(nn.Module):
    """ResNet-50 without its classifier: 23,508,032 parameters, 2048 maps of stride 32."""

    channels, stride = 2048, 32

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for layer, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
            stage = [Bottleneck(channels, width, 1 if layer == 1 else 2)]
            channels = 4 * width
            stage += [Bottleneck(channels, width) for _ in range(blocks - 1)]
            self.add_module(f"layer{layer}", nn.Sequential(*stage))
        initialise(self)

    def forward(self, x: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 2048 h w"]:
        """(N, 2048, H / 32, W / 32)."""
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class SmallResNet(nn.Module):
    """A basic block a halving: 4 `width` maps of stride 16, 0.31 M parameters at width 32 (our choice)."""

    stride = 16

    def __init__(self, width: int = 32):
        super().__init__()
        self.channels = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width)
        self.layer1, self.layer2 = Basic(width, width, 2), Basic(width, 2 * width, 2)
        self.layer3 = Basic(2 * width, 4 * width, 2)
        initialise(self)

    def forward(self, x: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N D h w"]:
        """(N, 4 width, H / 16, W / 16)."""
        return self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))


def upsample(channels: int, width: int, times: int) -> nn.Sequential:
    """Deconvolutions of 4x4 and stride 2, each with batch normalisation and ReLU (Xiao et al., ECCV 2018)."""
    layers = []
    for _ in range(times):
        deconvolution = nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False)
        nn.init.normal_(deconvolution.weight, std=0.001)  # theirs; batch normalisation restores the scale
        layers += [deconvolution, nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers)


def initialise(trunk: nn.Module) -> None:
    """He et al., ICCV 2015, for what a ReLU follows."""
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
