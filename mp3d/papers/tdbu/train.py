"""Training, part by part (section 4): each network sees what those before it give, which stay as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from mp3d.batch import Batch
from mp3d.canvas import on_canvas
from mp3d.errors import BadInput
from mp3d.papers.tdbu import bottomup, integration, topdown
from mp3d.papers.tdbu.bottomup import FrameNet
from mp3d.papers.tdbu.config import TDBUConfig
from mp3d.papers.tdbu.discriminators import NATURAL, Joined, adversarial
from mp3d.papers.tdbu.integration import Pairs, Spoiling, spoil
from mp3d.papers.tdbu.lifting import JOINTS, METRES, ROOT, Lift, filled, pose_loss
from mp3d.papers.tdbu.topdown import PersonNet, find
from mp3d.skeletons import MPI17
from mp3d.training import FitConfig, fit

Stream = Callable[[int], Batch]
"""step -> pictures with their truth, a pure function."""


def _new(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def _draw(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


# ---- pictures ------------------------------------------------------------------------------------------------------


def train_top_down(
    stream: Stream,
    config: TDBUConfig,
    how: FitConfig,
    crops: int,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> PersonNet:
    """The network of crops.

    Parameters
    ----------
    crops : a step
    out, options : see `fit`, here and below
    """
    network = _new(seed, lambda: PersonNet(config))

    def batches(step: int) -> topdown.Sample:
        return topdown.sample(stream(step), config, crops, _draw(seed, step))

    def terms(model: nn.Module, batch: topdown.Sample) -> dict[str, Tensor]:
        return topdown.loss(model(batch.crops), batch, config)

    fit(network, batches, terms, how, out, **options)
    return network.eval()


@dataclass(frozen=True, eq=False)
class FrameSample:
    """Canvases with their guide, and what their maps should be."""

    images: UInt8[Tensor, "B 3 H W"]
    guide: Float[Tensor, "B 17 H W"] | None
    targets: bottomup.Targets

    def to(self, device: torch.device | str) -> "FrameSample":
        """The same on another device."""
        goal = {name: getattr(self.targets, name).to(device) for name in self.targets.__dataclass_fields__}
        guide = None if self.guide is None else self.guide.to(device)
        return FrameSample(self.images.to(device), guide, bottomup.Targets(**goal))


def train_bottom_up(
    stream: Stream,
    person: PersonNet | None,
    config: TDBUConfig,
    how: FitConfig,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> FrameNet:
    """The network of frames; with a guide it sees what `person` says of true boxes, each a little off.

    `BadInput` for a guide without a `person`.
    """
    if config.guide != "none" and person is None:
        raise BadInput("train_bottom_up", "person", None, f"a network of crops, for the guide {config.guide!r}")
    network = _new(seed, lambda: FrameNet(config))

    def batches(step: int) -> FrameSample:
        batch = stream(step)
        moved, canvas = on_canvas(batch, config.canvas)
        guide = None
        if config.guide != "none":
            generator = torch.Generator().manual_seed(_draw(seed, step, 1))
            boxes = []
            for some in topdown.tight(batch).cpu():
                some = some[some.isfinite().all(-1)]
                noise = topdown.JITTER * (2 * torch.rand(len(some), 2, generator=generator) - 1)
                boxes.append(torch.cat([some[:, :2] + noise * some[:, 2:], some[:, 2:]], 1))
            guide = bottomup.guide(find(person, batch.image, boxes), len(batch), canvas, config).to(moved.image.device)
        return FrameSample(moved.image, guide, bottomup.targets(moved, config))

    def terms(model: nn.Module, batch: FrameSample) -> dict[str, Tensor]:
        return bottomup.loss(model(batch.images, batch.guide), batch.targets, config)

    fit(network, batches, terms, how, out, **options)
    return network.eval()


# ---- tracks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Windows:
    """B stretches of T frames of one person each.

    Parameters
    ----------
    uv : joints in the camera's units
    sure : confidences
    xyz : mm, camera-centric
    """

    uv: Float[Tensor, "B T 17 2"]
    sure: Float[Tensor, "B T 17"]
    xyz: Float[Tensor, "B T 17 3"]

    def to(self, device: torch.device | str) -> "Windows":
        """The same on another device."""
        return Windows(self.uv.to(device), self.sure.to(device), self.xyz.to(device))


@dataclass(frozen=True)
class Noise:
    """How true 2D tracks become such as a detector gives (GnTCN trains on both; occlusion as in the paper's [8]).

    Parameters
    ----------
    shift : standard deviation of each joint, in parts of the person's size
    joint, limb, frame : how often a joint, an arm or leg, a whole frame is not seen (our choice)
    """

    shift: float | int = 0.015
    joint: float | int = 0.05
    limb: float | int = 0.1
    frame: float | int = 0.03


APART = 9
"""Of a window's frames the graph network learns from every ninth: its neighbours are nearly the same (our choice)."""
LIMBS = tuple(
    tuple(MPI17.index(f"{side}_{part}") for part in parts)
    for side in "rl"
    for parts in (("elbow", "wrist"), ("knee", "ankle"))
)


def disturbed(windows: Windows, how: Noise, generator: torch.Generator) -> Windows:
    """The same tracks, seen by a detector; what is not seen has confidence 0, and lies where `filled` has it."""
    b, t = windows.uv.shape[:2]
    on = (windows.sure > 0)[..., None]
    low, high = windows.uv.where(on, torch.inf).amin(2), windows.uv.where(on, -torch.inf).amax(2)
    size = (high - low).norm(dim=-1)[..., None, None].nan_to_num(posinf=0.0)
    uv = windows.uv + how.shift * size * torch.randn(windows.uv.shape, generator=generator)
    seen = torch.rand(b, t, JOINTS, generator=generator) >= how.joint
    for limb in LIMBS:
        hidden = torch.rand(b, 1, generator=generator) < how.limb  # for a while: a stretch of the window
        start = torch.rand(b, 1, generator=generator) * t
        time = torch.arange(t)
        gone = hidden & (time >= start) & (time < start + t / 2)
        seen[:, :, list(limb)] &= ~gone[..., None]
    seen &= (torch.rand(b, t, generator=generator) >= how.frame)[..., None]
    sure = seen * (0.5 + 0.5 * torch.rand(b, t, JOINTS, generator=generator)) * windows.sure
    full = torch.stack([filled(one, known) for one, known in zip(uv, sure, strict=True)])
    return Windows(full, sure, windows.xyz)


def train_lift(
    windows: Callable[[int], Windows],
    config: TDBUConfig,
    graph: FitConfig,
    temporal: FitConfig,
    noise: Noise = Noise(),
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> Lift:
    """The graph network on frames, then both temporal networks on windows of what it gives.

    Parameters
    ----------
    windows : step -> stretches of `Lift.pose.window` frames, a pure function
    """
    lift = _new(seed, lambda: Lift(config))

    def batches(step: int) -> Windows:
        return disturbed(windows(step), noise, torch.Generator().manual_seed(_draw(seed, step)))

    def graph_terms(model: nn.Module, some: Windows) -> dict[str, Tensor]:
        uv, sure, xyz = (part[:, ::APART].flatten(0, 1) for part in (some.uv, some.sure, some.xyz))
        return {"loss": pose_loss(model(uv, sure), xyz)}

    fit(lift.graph, batches, graph_terms, graph, None if out is None else out / "graph", **options)
    lift.graph.requires_grad_(False)

    def temporal_terms(model: nn.Module, some: Windows) -> dict[str, Tensor]:
        centre = some.xyz[:, some.xyz.shape[1] // 2]
        with torch.no_grad():
            poses = lift.graph(some.uv.flatten(0, 1), some.sure.flatten(0, 1)).unflatten(0, some.uv.shape[:2])
        pose = pose_loss(lift.refined(poses, every=False), centre)
        depth = (lift.depth(some.uv, every=False) - centre[:, ROOT, 2] * METRES).abs().mean()
        return {"loss": pose + 0.1 * depth, "pose": pose, "depth": depth}

    time = nn.ModuleDict({"pose": lift.pose, "root": lift.root})
    with torch.random.fork_rng():
        torch.manual_seed(_draw(seed, 0, 1))  # dropout is drawn too
        fit(time, batches, temporal_terms, temporal, None if out is None else out / "temporal", **options)
    lift.graph.requires_grad_(True)
    return lift.eval()


# ---- pairs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Together:
    """Spoiled pairs with their truth, mm; each person with their nearest other, or alone.

    Parameters
    ----------
    first, second : the pairs of both
    a, b : their true poses
    paired : whether there is a second; where not, it is the first again
    """

    first: Pairs
    second: Pairs
    a: Float[Tensor, "N 17 3"]
    b: Float[Tensor, "N 17 3"]
    paired: Bool[Tensor, " N"]

    def to(self, device: torch.device | str) -> "Together":
        """The same on another device."""
        return Together(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def train_integration(
    people: Callable[[int], tuple[Tensor, Tensor, Tensor]],
    config: TDBUConfig,
    how: FitConfig,
    spoiling: Spoiling = Spoiling(),
    discriminators: bool = True,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> Joined:
    """The integration network with its discriminators, on true poses that are spoiled (section 3.3).

    Parameters
    ----------
    people : step -> true poses a and b (N, 17, 3) mm of people who are together, and (N,) whether there is a b
    discriminators : whether equation 8 is part of the loss
    """
    joined = _new(seed, lambda: Joined(config))

    def batches(step: int) -> Together:
        generator = torch.Generator().manual_seed(_draw(seed, step))
        a, b, paired = people(step)
        return Together(spoil(a, spoiling, generator), spoil(b, spoiling, generator), a, b, paired)

    def posed(model: nn.Module, pairs: Pairs, true: Tensor) -> Tensor:
        nobody = (pairs.sure_td + pairs.sure_bu <= 0)[..., None]  # no mean of two: a gate cannot say where these are
        found = model.network(pairs)
        return true.where(nobody, found) if config.combine == "gate" else found

    def terms(model: nn.Module, some: Together) -> dict[str, Tensor]:
        a, b = posed(model, some.first, some.a), posed(model, some.second, some.b)
        parts = {"pose": (integration.loss(a, some.a) + integration.loss(b, some.b)) / 2}
        if discriminators:
            sides = adversarial(model.judges, (a, b, some.paired), (some.a, some.b, some.paired))
            parts |= {"natural": NATURAL * sides["natural"], "judges": sides["judges"]}
        return {"loss": sum(parts.values()), **parts}

    fit(joined, batches, terms, how, out, **options)
    return joined.eval()
