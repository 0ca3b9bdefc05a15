"""HRNet: branches at 1/4, 1/8, 1/16 and 1/32 of the sides, side by side to the end (Sun et al., CVPR 2019)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from mp3d.errors import BadInput
from mp3d.nn.resnet import Basic, Bottleneck, initialise


def unit(channels: int, out: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution without a bias, batch normalisation, ReLU."""
    layers = [nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *[nn.ReLU()] * relu)


def way(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """What brings branch `source` to the size and width of branch `target`; branches count from the finest, 0.

    From a coarser one 1x1 and nearest neighbours, from a finer one a 3x3 of stride 2 for each halving, of which the
    last changes the width and has no ReLU.
    """
    if source == target:
        return nn.Identity()
    if source > target:
        narrow = unit(widths[source], widths[target], 1, relu=False)
        return nn.Sequential(narrow, nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"))
    halvings = [unit(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, unit(widths[source], widths[target], stride=2, relu=False))


class Exchange(nn.Module):
    """Basic blocks in every branch, then each of the finest `outputs` branches becomes the ReLU of a sum over all.

    Parameters
    ----------
    widths : channels of the branches, fine to coarse
    blocks : basic blocks a branch
    outputs : branches that go on
    """

    def __init__(self, widths: Sequence[int], blocks: int, outputs: int):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(Basic(w, w) for _ in range(blocks))) for w in widths)
        self.ways = nn.ModuleList(
            nn.ModuleList(way(widths, source, target) for source in range(len(widths))) for target in range(outputs)
        )

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """The branches, fine to coarse, in and out."""
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        return [sum(bring(x) for bring, x in zip(ways, xs, strict=True)).relu() for ways in self.ways]


class HRNet(nn.Module):
    """The body of HRNet, to its finest branch; sides must be multiples of `multiple`, 32 with four branches.

    The last module only makes the finest branch, into which it sums all others: that is the released pose network,
    whose heads are 1x1 convolutions of this. The variant that hands on all four branches is not here. The defaults are
    HRNet-W32's: 28,535,552 parameters, and 28,536,113 with a head of 17 maps.

    Parameters
    ----------
    channels : of the input; TDBU's bottom-up network has 20
    width : of the finest branch; each coarser one has twice as many
    modules : exchanges of stages 2, 3, 4; each stage adds a branch, so a shorter sequence is a smaller network
    blocks : basic blocks of a branch in each exchange
    bottlenecks, stem : of stage 1 at 1/4 of the sides, and channels before it; it gives 4 `stem`
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
        bottlenecks: int = 4,
        stem: int = 64,
    ):
        super().__init__()
        sizes = {"channels": channels, "width": width, "blocks": blocks, "bottlenecks": bottlenecks, "stem": stem}
        for field, found in sizes.items():
            if found < 1:
                raise BadInput("HRNet", field, found, "at least 1")
        if not modules or min(modules) < 1:
            raise BadInput("HRNet", "modules", modules, "at least 1 in each of stages 2, 3, 4, or of the first of them")
        self.given, self.multiple = channels, 4 * 2 ** len(modules)
        layers = [unit(channels, stem, stride=2), unit(stem, stem, stride=2), Bottleneck(stem, stem)]
        self.stem = nn.Sequential(*layers, *(Bottleneck(4 * stem, stem) for _ in range(bottlenecks - 1)))
        self.transitions, self.stages = nn.ModuleList(), nn.ModuleList()
        before = [4 * stem]
        for stage, number in enumerate(modules, 1):
            widths = [width * 2**branch for branch in range(stage + 1)]
            kept = [nn.Identity() if a == b else unit(a, b) for a, b in zip(before, widths[:-1], strict=True)]
            self.transitions.append(nn.ModuleList([*kept, unit(before[-1], widths[-1], stride=2)]))
            outputs = [len(widths)] * number
            if stage == len(modules):
                outputs[-1] = 1
            self.stages.append(nn.Sequential(*(Exchange(widths, blocks, out) for out in outputs)))
            before = widths
        initialise(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """(B, width, H / 4, W / 4), none below 0.

        Raises
        ------
        BadInput
            Other channels, or a side that is no multiple of `multiple`.
        """
        if x.shape[1] != self.given:
            raise BadInput("HRNet", "x", f"{x.shape[1]} channels", self.given)
        if any(side < 1 or side % self.multiple for side in x.shape[2:]):
            raise BadInput("HRNet", "x", f"sides {tuple(x.shape[2:])}", f"multiples of {self.multiple}")
        xs = [self.stem(x)]
        for transition, stage in zip(self.transitions, self.stages, strict=True):
            # The new branch is made of the coarsest there is.
            xs = stage([change(y) for change, y in zip(transition, [*xs, xs[-1]], strict=True)])
        return xs[0]
