"""What SMAP is made of, how its maps are read, and the sizes of the experiments."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mp3d.errors import BadInput
from mp3d.nn.hourglass import Hourglass
from mp3d.nn.mspn import MSPN
from mp3d.training import FitConfig


def _choices(config: Any, *fields: str) -> None:
    for field in fields:
        found, allowed = getattr(config, field), get_args(type(config).__annotations__[field])
        if found not in allowed:
            raise BadInput(type(config).__name__, field, repr(found), f"one of {allowed}")


@dataclass(frozen=True)
class SMAPConfig:
    """The network and its targets; the defaults are the paper's, and where it is silent the released code's."""

    trunk: Literal["mspn", "hourglass"] = "mspn"  # the paper says hourglass, the released code has MSPN
    stages: int = 3
    width: int = 64  # MSPN: channels at first; hourglass: all
    blocks: tuple[int, ...] = (3, 4, 6, 3)  # of MSPN's levels
    decoder: int = 256
    canvas: tuple[int, int] = (832, 512)  # px, width and height of the network's input (section 4.2)
    # What is regressed (Table 11): all; heatmaps, fields and root depth; the root's heatmap and depth alone.
    branches: Literal["all", "root_2d", "root"] = "all"
    # The root-depth map holds "paper": Z w / f, w the picture's own width (equation 1); "released": Z / (f s) times the
    # canvas' width, the same where pictures fill the width, and right where they do not; "none": Z (Table 3).
    normalisation: Literal["paper", "released", "none"] = "released"
    multiscale: bool = True  # every scale is supervised (section 3.1), or the finest of each stage alone
    # "paper": sums over pixels and maps, of heatmaps up to 1, unit vectors and metres (supplement 1.1; units are our
    # choice). "released": means, of heatmaps up to 255, vectors of 127 and centimetres, a quarter of it at the coarser
    # scales, at the finest one the hardest 8 joints, 16 fields and 8 parts of each picture.
    loss: Literal["paper", "released"] = "paper"
    # "plain": one size for all scales. "released": five, coarse to fine; the last stage takes the finer four, and the
    # two coarsest draw only bones of which both ends are seen.
    labels: Literal["plain", "released"] = "plain"
    sigma: float | int = 1.1  # cells; the finest of the released ones
    band: float | int = 1.5  # cells, half the width of a field; the released code's 1 fails its own link test

    def __post_init__(self):
        for field, value in (("blocks", self.blocks), ("canvas", self.canvas)):
            object.__setattr__(self, field, tuple(value))  # a file gives a list
        _choices(self, "trunk", "branches", "normalisation", "loss", "labels")
        multiple = {"mspn": MSPN, "hourglass": Hourglass}[self.trunk].multiple
        if len(self.canvas) != 2 or min(self.canvas) < 1 or any(side % multiple for side in self.canvas):
            raise BadInput("SMAPConfig", "canvas", self.canvas, f"width and height, multiples of {multiple}")
        if self.trunk == "hourglass" and min(self.canvas) < Hourglass.least:
            raise BadInput(
                "SMAPConfig", "canvas", self.canvas, f"sides of {Hourglass.least} px or more for an hourglass"
            )
        for field in ("stages", "width", "decoder", "sigma", "band"):
            if not getattr(self, field) > 0:
                raise BadInput("SMAPConfig", field, getattr(self, field), "a positive number")

    @property
    def maps(self) -> tuple[int, ...]:
        """Maps of each output branch: heatmaps and fields together, parts, root depth. 4 J - 2 in all (section 3.1)."""
        return {"all": (43, 14, 1), "root_2d": (43, 1), "root": (1, 1)}[self.branches]


SMALL = SMAPConfig(
    stages=1, width=32, blocks=(1, 1, 1, 1), decoder=48, canvas=(160, 96), loss="released", labels="released"
)
"""Maps of 40 x 24 cells, for pictures of a few hundred pixels. In short trainings the released losses and label sets,
whose coarse ones can be met at coarse scales, learn more than the paper's (our choice; `smap_ablation` measures it)."""


@dataclass(frozen=True)
class Reading:
    """How maps become people; the defaults are the paper's, and where it is silent the released code's.

    Parameters
    ----------
    association : "dapa", depth-aware (section 3.2), or "2dpa", OpenPose's, of which SMAP released none
    order : who chooses first: the nearest, or the farthest, for comparison
    length : what becomes of bones longer than `relaxation` times the mean at a person's depth (equation 2): "penalty",
        as released; "filter", the paper's word; or "none"
    scales : 1: the finest maps of the last stage. 3: the sum of its finest three, which makes the thresholds below
        three times as low (released)
    flip : the heatmaps and fields of the mirrored picture are added (released: fields are halved then, heatmaps not)
    threshold : a detection's least height, of a heatmap whose peaks are 1 high
    link : the least field along a link, of unit vectors
    refined : "paper": RefineNet has the last word. "rays": joints that were found are then put back on their rays, at
        the refined depth (released code for MuPoTS-3D). "no": no RefineNet
    """

    association: Literal["dapa", "2dpa"] = "dapa"
    order: Literal["near", "far"] = "near"
    length: Literal["penalty", "filter", "none"] = "penalty"
    relaxation: float | int = 1.2
    scales: int = 1
    flip: bool = False
    threshold: float | int = 0.2
    link: float | int = 0.05
    refined: Literal["paper", "rays", "no"] = "paper"

    def __post_init__(self):
        _choices(self, "association", "order", "length", "refined")
        if self.scales not in (1, 3):
            raise BadInput("Reading", "scales", self.scales, "1 or 3")
        for field in ("relaxation", "threshold", "link"):
            if not getattr(self, field) > 0:
                raise BadInput("Reading", field, getattr(self, field), "a positive number")


@dataclass(frozen=True)
class Refinement:
    """RefineNet's training, as released: the rate is halved every 30 of 200 epochs.

    Parameters
    ----------
    pictures : of the training split, shown to SMAP once
    """

    pictures: int = 160_000
    epochs: int = 200
    batch: int = 1024
    lr: float = 0.08
    halve: int = 30


@dataclass(frozen=True)
class Profile:
    """The size of an experiment: `batch` pictures of width x height px a step.

    `reuse` and `block` are those of `synthetic.stream.Stream`: how often a picture is shown, how many it draws at once.
    """

    config: SMAPConfig
    width: int
    height: int
    batch: int
    seeds: int
    fit: FitConfig
    refinement: Refinement
    reuse: int = 1
    block: int = 256


def _fit(steps: int, lr: float) -> FitConfig:
    return FitConfig(steps, lr=lr, warmup=100, every=steps // 10, precision="bf16-mixed")


_TINY = replace(SMALL, width=4, decoder=16, canvas=(64, 64))
_MIDDLE = replace(SMALL, stages=2, blocks=(2, 2, 2, 2), decoder=128, canvas=(256, 160))
_SMOKE = FitConfig(3, lr=1e-3, every=3)
PROFILES = {
    "smoke": Profile(_TINY, 64, 40, 4, 1, _SMOKE, Refinement(16, 2, 16, 0.01), block=16),
    "cpu": Profile(SMALL, 256, 160, 16, 1, _fit(160, 6e-3), Refinement(256, 100, 256, 0.02), reuse=4, block=512),
    "gpu": Profile(_MIDDLE, 256, 160, 64, 3, _fit(8_000, 2e-3), Refinement(8_192), reuse=2, block=1024),
    # Section 4.2: 20 epochs at batch 32, of which half is COCO. 160,000 pictures of Panoptic: 10,000 steps an epoch.
    "paper": Profile(SMAPConfig(), 832, 512, 32, 1, FitConfig(200_000, lr=2e-4, power=0.0, every=2_000), Refinement()),
}
