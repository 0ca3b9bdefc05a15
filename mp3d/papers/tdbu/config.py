"""What TDBU is made of, how its pictures are read, and the sizes of the experiments."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mp3d.errors import BadInput
from mp3d.papers.tdbu.integration import Spoiling
from mp3d.training import FitConfig


def _choices(config: Any, *fields: str) -> None:
    for field in fields:
        found, allowed = getattr(config, field), get_args(type(config).__annotations__[field])
        if found not in allowed:
            raise BadInput(type(config).__name__, field, repr(found), f"one of {allowed}")


@dataclass(frozen=True)
class TDBUConfig:
    """All networks; the defaults are the paper's, and where it is silent the released code's or ours."""

    # HRNet-w32, the body of both 2D networks (section 4)
    width: int = 32
    modules: tuple[int, ...] = (1, 4, 3)
    blocks: int = 4
    bottlenecks: int = 4
    stem: int = 64
    # Top-down (section 3.1)
    crop: int = 256  # px (our choice)
    enlarge: float | int = 1.5  # boxes are enlarged to hold who was missed; by how much is our choice
    people: Literal["all", "one"] = "all"  # whom a crop's heatmaps show: everybody, with tags, or the box's own person
    # Bottom-up (section 3.2)
    canvas: tuple[int, int] = (960, 512)  # px, width and height of the input (released)
    # The top-down heatmaps beside the picture: as they come, put back into the frame; drawn anew around its joints
    # (released); or none ("w/o CH").
    guide: Literal["heatmaps", "joints", "none"] = "heatmaps"
    # Root depth is learned as Z view / f, f of the canvas, since focal lengths differ here (our choice, as SMAP's Z w /
    # f): a person's height in the picture tells it, on a canvas of any size.
    view: float | int = 960  # px, of the size of the canvas; less where people are far
    point: bool = False  # depths are supervised in the joint's cell alone (equation 2), or also in the eight around it
    # Both
    sigma: float | int = 2.0  # cells of heatmaps (our choice)
    tags: float | int = 1e-3  # weight of the tags' loss (public code)
    # Width of the push's kernel, see `codings.tags.loss` (our choice): with 1, as in the public code's form, the pull
    # wins where tags are still alike, and everybody's stay the same.
    push: float | int = 0.3
    relative: float | int = 1.0  # weight of the loss of depth behind the root
    # Lifting
    graph: int = 256  # of the graph network (released)
    decay: bool = True  # affinities fall with hops (GnTCN; not in the released files)
    channels: int = 1024  # of the temporal networks (released), as the next two
    layers: int = 5  # a window of 3^5 = 243 frames
    dropout: float | int = 0.5
    # Integration: three layers of so many (released; the paper does not say), to a pose, or to the released gate's two
    # numbers.
    integration: int = 512
    combine: Literal["pose", "gate"] = "pose"

    def __post_init__(self):
        for field in ("modules", "canvas"):
            object.__setattr__(self, field, tuple(getattr(self, field)))  # a file gives a list
        _choices(self, "people", "guide", "combine")
        multiple = 4 * 2 ** len(self.modules)
        if self.crop < 1 or self.crop % multiple:
            raise BadInput("TDBUConfig", "crop", self.crop, f"a multiple of {multiple}")
        if len(self.canvas) != 2 or any(side < 1 or side % multiple for side in self.canvas):
            raise BadInput("TDBUConfig", "canvas", self.canvas, f"width and height, multiples of {multiple}")
        if not self.enlarge >= 1:
            raise BadInput("TDBUConfig", "enlarge", self.enlarge, "1 or more")
        for field in ("view", "sigma", "push", "graph", "channels", "layers", "integration"):
            if not getattr(self, field) > 0:
                raise BadInput("TDBUConfig", field, getattr(self, field), "a positive number")

    @property
    def body(self) -> dict[str, Any]:
        """HRNet's parameters, but for its input's channels."""
        return {name: getattr(self, name) for name in ("width", "modules", "blocks", "bottlenecks", "stem")}


SMALL = TDBUConfig(
    width=16, modules=(1, 1, 1), blocks=1, bottlenecks=1, stem=24, crop=64, canvas=(160, 96), view=160, sigma=1.0,
    tags=1e-2, relative=10,
    graph=48, channels=128, layers=3, dropout=0.25, integration=256,
)  # fmt: skip
"""For pictures of a few hundred pixels: maps of 16 x 16 cells a person and 80 x 48 a picture, windows of 27 frames.
With the default's weights a short training learns neither tags nor relative depth."""


@dataclass(frozen=True)
class Reading:
    """How maps become people; released, where it does not say otherwise.

    Parameters
    ----------
    threshold : least height of a heatmap's peak (released: 0.1; ours was chosen on training pictures, as the next)
    least : people of the bottom-up branch have at least so many joints
    most : peaks of a joint type
    tag : a joint belongs to a person if its tag is nearer than this to the person's mean (released: 1; ours goes with
        `TDBUConfig.push`)
    double : OKS in the picture above which two crops have found the same person; the better one stays (our choice)
    """

    threshold: float | int = 0.2
    least: int = 6
    most: int = 30
    tag: float | int = 0.5
    double: float | int = 0.7


@dataclass(frozen=True)
class Profile:
    """The size of an experiment: `batch` pictures of width x height px a step for the bottom-up network, `crops` of
    people a step for the top-down one, `windows` of tracks for lifting, `pairs` of people for the integration.

    `reuse` and `block` are those of `synthetic.stream.Stream`. `frames` of each training video make tracks.
    """

    config: TDBUConfig
    width: int
    height: int
    batch: int
    crops: int
    windows: int
    pairs: int
    frames: int
    videos: int  # of each world's test videos, drawn anew so many times
    seeds: int
    top_down: FitConfig
    bottom_up: FitConfig
    graph: FitConfig
    temporal: FitConfig
    joined: FitConfig
    reuse: int = 1
    block: int = 256
    spoiling: Spoiling = Spoiling()


def _fit(steps: int, lr: float, precision: str = "32-true") -> FitConfig:
    return FitConfig(steps, lr=lr, warmup=min(100, steps // 10), every=max(1, steps // 10), precision=precision)


_TINY = replace(
    SMALL, modules=(1, 1), width=8, stem=8, crop=32, canvas=(64, 64), view=64, graph=16, channels=16, layers=2,
    integration=32,
)  # fmt: skip
_MIDDLE = replace(
    SMALL, width=32, modules=(1, 2, 1), blocks=2, bottlenecks=2, stem=48, crop=128, canvas=(256, 160), view=256,
    sigma=1.5, graph=128, channels=512, layers=4, integration=512,
)  # fmt: skip
_PAPER = FitConfig(300_000, lr=1e-3, schedule="step", milestones=(200_000, 270_000), every=2_000)
"""Section 4 has Adam at 1e-3, and 100 epochs of COCO; steps and drops are our choice."""
PROFILES = {
    "smoke": Profile(
        _TINY, 64, 40, 4, 8, 4, 8, 12, 1, 1,
        _fit(3, 1e-3), _fit(3, 1e-3), _fit(3, 1e-3), _fit(3, 1e-3), _fit(3, 1e-3), block=16,
    ),
    "cpu": Profile(
        SMALL, 256, 160, 8, 16, 24, 128, 60, 4, 1,
        _fit(250, 2e-3, "bf16-mixed"), _fit(200, 3e-3, "bf16-mixed"), _fit(500, 1e-3), _fit(500, 1e-3),
        _fit(500, 1e-3), reuse=4, block=256,
    ),
    "gpu": Profile(
        _MIDDLE, 256, 160, 32, 128, 128, 1024, 120, 40, 3,
        _fit(8_000, 1e-3, "bf16-mixed"), _fit(8_000, 1e-3, "bf16-mixed"), _fit(10_000, 1e-3), _fit(10_000, 1e-3),
        _fit(10_000, 1e-3), reuse=2, block=1024,
    ),
    "paper": Profile(
        TDBUConfig(), 960, 512, 16, 32, 512, 1024, 243, 40, 1,
        _PAPER, _PAPER, _fit(100_000, 1e-3), _fit(100_000, 1e-3), _fit(100_000, 1e-3), block=240,
    ),
}  # fmt: skip
