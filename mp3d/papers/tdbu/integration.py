"""One pose of two (section 3.3): the paper's network, the released gate, and what they are compared with.

A pair is what the top-down and the bottom-up branch say of one person: joints in the camera's frame, and how sure they
are of each. Whoever was found by one branch alone has zeros and confidence 0 in the other. mm outside, metres inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mp3d.skeletons import MPI17

JOINTS, ROOT = len(MPI17), MPI17.root
METRES = 1e-3
COMPLETED = 0.1
"""Confidence of joints that a branch places without having found them (our choice)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The people of one picture as a branch sees them.

    Parameters
    ----------
    uv : px of the picture, NaN where a joint was not found
    sure : confidences, 0 where a joint is not known
    xyz : mm, camera-centric; NaN where not known
    identity : of the track, or a number
    """

    uv: Float[Tensor, "N 17 2"]
    sure: Float[Tensor, "N 17"]
    xyz: Float[Tensor, "N 17 3"]
    identity: Int[Tensor, " N"]


class Pairs(NamedTuple):
    """N people, as two branches see them.

    Parameters
    ----------
    td, bu : mm, camera-centric; where the confidence is 0 anything
    sure_td, sure_bu : confidences, not negative
    """

    td: Float[Tensor, "N 17 3"]
    bu: Float[Tensor, "N 17 3"]
    sure_td: Float[Tensor, "N 17"]
    sure_bu: Float[Tensor, "N 17"]

    @property
    def there(self) -> tuple[Bool[Tensor, " N"], Bool[Tensor, " N"]]:
        """Whether each branch knows somebody: any confidence."""
        return (self.sure_td > 0).any(-1), (self.sure_bu > 0).any(-1)

    @property
    def known(self) -> tuple[Bool[Tensor, "N 17 1"], Bool[Tensor, "N 17 1"]]:
        """Whether each branch knows a joint."""
        return (self.sure_td > 0)[..., None], (self.sure_bu > 0)[..., None]

    def to(self, device: torch.device | str) -> "Pairs":
        """The same on another device."""
        return Pairs(*(part.to(device) for part in self))


def mean(pairs: Pairs) -> Float[Tensor, "N 17 3"]:
    """Joint by joint the mean of both where they stand, weighted by confidence; NaN where neither knows a joint.

    A missing pose has confidence 0, and does not pull the other halfway to the camera.
    """
    weight = torch.stack([pairs.sure_td, pairs.sure_bu])[..., None]
    poses = torch.stack([pairs.td, pairs.bu]).where(weight > 0, 0.0)
    return (weight * poses).sum(0) / weight.sum(0).where(weight.sum(0) > 0, torch.nan)


def linear(pairs: Pairs) -> Float[Tensor, "N 17 3"]:
    """The `mean` of both poses, each seen from its pelvis, at the bottom-up root (section 4, and Table 1's AP_root).

    Joints, and people, that one branch lacks are the other's. Where a branch lacks the root joints stay as the top-down
    branch has them, or else the other; NaN where neither knows a joint.
    """
    td, bu = pairs.known
    local = pairs._replace(td=pairs.td - pairs.td[:, ROOT, None], bu=pairs.bu - pairs.bu[:, ROOT, None])
    both = (td & bu)[:, ROOT, None]
    moved = mean(local) + pairs.bu[:, ROOT, None]
    return moved.where(both, pairs.td.where(td, pairs.bu)).where(td | bu, torch.nan)


def hard(pairs: Pairs) -> Float[Tensor, "N 17 3"]:
    """The top-down pose at the bottom-up root, and not moved where a branch lacks the root.

    Joints, and people, that the top-down branch lacks are the bottom-up branch's; NaN where neither knows a joint.
    """
    td, bu = pairs.known
    moved = pairs.td - pairs.td[:, ROOT, None] + pairs.bu[:, ROOT, None]
    both = (td & bu)[:, ROOT, None]
    return moved.where(both, pairs.td).where(td, pairs.bu).where(td | bu, torch.nan)


def _layers(features: int, widths: Sequence[int], out: int, activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise([features, *widths]):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], out))


class IntegrationMLP(nn.Module):
    """The paper's: three fully connected layers from both poses and their confidences to one pose.

    Places are seen from the middle of the two roots, so that moving both people moves the result, and what comes out is
    added to `mean` (our choice): an untrained network is that mean already. A joint that nobody knows starts at the
    middle.
    """

    def __init__(self, width: int = 512):
        super().__init__()
        self.layers = _layers(2 * 3 * JOINTS + 2 * JOINTS, [width] * 2, 3 * JOINTS, nn.ReLU)
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, pairs: Pairs) -> Float[Tensor, "N 17 3"]:
        """mm. Who is known to nobody comes out at the camera."""
        middle = self.middle(pairs)[:, None]
        start = mean(pairs)
        start = start.where(start.isfinite(), middle)
        seen = [
            ((pose - middle) * METRES).where(sure[..., None] > 0, 0.0).flatten(1)
            for pose, sure in ((pairs.td, pairs.sure_td), (pairs.bu, pairs.sure_bu))
        ]
        moved = self.layers(torch.cat([*seen, pairs.sure_td, pairs.sure_bu], 1)).unflatten(1, (JOINTS, 3))
        return start + moved / METRES

    @staticmethod
    def middle(pairs: Pairs) -> Float[Tensor, "N 3"]:
        """Between the two places; each branch's place is its pelvis, or the mean of what it knows."""
        places, known = [], []
        for pose, sure in ((pairs.td, pairs.sure_td), (pairs.bu, pairs.sure_bu)):
            on = sure[..., None] > 0
            mean = pose.where(on, 0.0).sum(1) / on.sum(1).clamp(min=1)
            places.append(pose[:, ROOT].where(on[:, ROOT], mean))
            known.append(on.any(1))
        places, known = torch.stack(places), torch.stack(known)
        return places.where(known, 0.0).sum(0) / known.sum(0).clamp(min=1)


class IntegrationGate(nn.Module):
    """The released form: two numbers for a whole person, w = sigmoid(a) for the pose, v = 2 tanh(b) for the depth.

    pose = w td + (1 - w) bu, depth = v td + (1 - v) bu, from poses relative to the pelvis and the two depths; no
    confidence goes in, and v may be negative or above 1: depths outside of both. x and y of the root are those of the
    ray of the top-down pelvis (the released code has none). What is not known goes in as 0; see `gated` for what comes
    out. One layer more than the paper's three; the release's 580,098 parameters.
    """

    def __init__(self, width: int = 512):
        super().__init__()
        self.layers = _layers(2 * 3 * JOINTS + 2, [width] * 3, 2, nn.GELU)

    def weights(self, pairs: Pairs) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """w and v of each pair."""
        relative, depth = [], []
        for pose, known in zip((pairs.td * METRES, pairs.bu * METRES), pairs.known, strict=True):
            root = known[:, ROOT]
            relative.append((pose - pose[:, ROOT, None]).where(known & root[:, None], 0.0).flatten(1))
            depth.append(pose[:, ROOT, 2:].where(root, 0.0))
        a, b = self.layers(torch.cat([*relative, *depth], 1)).unbind(1)
        return a.sigmoid(), 2 * b.tanh()

    def forward(self, pairs: Pairs) -> Float[Tensor, "N 17 3"]:
        """mm."""
        return gated(pairs, *self.weights(pairs))


def gated(pairs: Pairs, pose: Float[Tensor, " N"], depth: Float[Tensor, " N"]) -> Float[Tensor, "N 17 3"]:
    """What the gate gives with weights w and v of the top-down branch.

    Of joints that one branch lacks the other's count alone. Where a branch lacks the root, or the person, joints stay
    as the top-down branch has them, or else the other; NaN where neither knows a joint.
    """
    td, bu = pairs.known
    both = (td & bu)[:, ROOT]
    # What is not known is 0 from here on: NaN times a weight of 0 would be NaN, and so would its gradient.
    local_td, local_bu = (
        (p - p[:, ROOT, None]).where(known & both[:, None], 0.0) for p, known in ((pairs.td, td), (pairs.bu, bu))
    )
    w, v = pose[:, None, None].where(td & bu, td.to(pose)), depth[:, None]
    local = w * local_td + (1 - w) * local_bu
    root, other = (p[:, ROOT].where(both, 0.0) for p in (pairs.td, pairs.bu))
    z = v * root[:, 2:] + (1 - v) * other[:, 2:]
    whole = local + (root * z / root[:, 2:].where(root[:, 2:] != 0, 1.0))[:, None]
    return whole.where(both[:, None], pairs.td.where(td, pairs.bu)).where(td | bu, torch.nan)


def loss(found: Float[Tensor, "N 17 3"], true: Float[Tensor, "N 17 3"]) -> Float[Tensor, ""]:
    """Equation 7: the mean over people and joints of the squared distance, m²; NaN truth does not count."""
    known = true.isfinite().all(-1)
    off = ((found - true.where(known[..., None], 0.0)) * METRES).square().sum(-1)
    return (off * known).sum() / known.sum().clamp(min=1)


# ---- training pairs, made of true poses (section 3.3) ---------------------------------------------------------------


@dataclass(frozen=True)
class Spoiling:
    """How true poses become pairs: the paper's three augmentations, whose strengths are our choice.

    Parameters
    ----------
    mask : how often a joint is not known to a branch
    shift_td, shift_bu : mm, standard deviation of a joint of confidence 1; of c it is 1 / c times as large
    depth_td, depth_bu : of the root's depth, relative, about what small networks err by: everybody is moved along their
        own ray
    drop : how often a branch does not know somebody
    """

    mask: float | int = 0.2
    shift_td: float | int = 30.0
    shift_bu: float | int = 60.0
    depth_td: float | int = 0.05
    depth_bu: float | int = 0.05
    drop: float | int = 0.15


SURE = 0.3
"""The least confidence of a joint that is known, in training."""


def spoil(true: Float[Tensor, "N 17 3"], how: Spoiling, generator: torch.Generator) -> Pairs:
    """Pairs of true poses, mm; one branch at most is dropped. Known joints have confidences of `SURE` to 1 (ours): a
    network that has only seen 0 and 1 could not use those in between."""
    n = len(true)

    def normal(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator)

    dropped, which = uniform(1) < how.drop, uniform(1) < 0.5
    parts = []
    for shift, depth, gone in (
        (how.shift_td, how.depth_td, dropped & which),
        (how.shift_bu, how.depth_bu, dropped & ~which),
    ):
        known = (uniform(JOINTS) >= how.mask) & ~gone & true.isfinite().all(-1)
        sure = (SURE + (1 - SURE) * uniform(JOINTS)) * known
        off = shift / sure.where(known, 1.0)[..., None] * normal(JOINTS, 3)
        pose = true + true[:, ROOT, None].nan_to_num() * depth * normal(1, 1) + off
        parts.append((pose.where(sure[..., None] > 0, 0.0), sure))
    (td, sure_td), (bu, sure_bu) = parts
    return Pairs(td, bu, sure_td, sure_bu)
