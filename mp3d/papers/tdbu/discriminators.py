"""Are these natural people, and are these two naturally together? (section 3.3, equations 8 and 9)

The paper gives no sizes and the release nothing usable: widths and inputs are our choice. Poses in mm.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from mp3d.papers.tdbu.config import TDBUConfig
from mp3d.papers.tdbu.integration import IntegrationGate, IntegrationMLP
from mp3d.papers.tdbu.lifting import incidence
from mp3d.skeletons import MPI17

JOINTS, ROOT = len(MPI17), MPI17.root
METRES = 1e-3
NATURAL = 0.01
"""Weight of what the discriminators say, beside squared errors in m² (our choice)."""
LEAST = 1e-4
"""Probabilities stay so far from 0 and 1: a logarithm of 0 has no gradient."""


def _judge(features: int, *widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip((features, *widths), widths, strict=False):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Sigmoid())


class Discriminators(nn.Module):
    """D1 of one pose seen from its pelvis, with its lengths of bones; D2 of two poses, seen from between them."""

    def __init__(self):
        super().__init__()
        self.one, self.two = _judge(3 * JOINTS + JOINTS - 1, 256, 256), _judge(6 * JOINTS, 512, 256)
        self.register_buffer("bones", incidence(), persistent=False)

    def single(self, pose: Float[Tensor, "N 17 3"]) -> Float[Tensor, " N"]:
        """D1: 1 for natural. Where somebody stands plays no part."""
        pose = (pose - pose[:, ROOT, None]) * METRES
        return self.one(torch.cat([pose.flatten(1), (self.bones @ pose).norm(dim=-1)], 1)).squeeze(1)

    def pair(self, a: Float[Tensor, "N 17 3"], b: Float[Tensor, "N 17 3"]) -> Float[Tensor, " N"]:
        """D2: how they stand to one another, whoever is called first; where both stand plays no part."""
        middle = (a[:, ROOT] + b[:, ROOT])[:, None] / 2
        a, b = ((pose - middle) * METRES for pose in (a, b))
        both = [self.two(torch.cat([x.flatten(1), y.flatten(1)], 1)) for x, y in ((a, b), (b, a))]
        return (sum(both) / 2).squeeze(1)

    def forward(
        self, a: Float[Tensor, "N 17 3"], b: Float[Tensor, "N 17 3"], paired: Bool[Tensor, " N"] | None = None
    ) -> Float[Tensor, " N"]:
        """C of equation 9: 0.25 (D1(a) + D1(b)) + 0.5 D2(a, b); D1(a) alone where somebody is alone (our choice).

        Parameters
        ----------
        paired : (N,) bool; None: all are. Where False, b plays no part
        """
        own = self.single(a)
        b = b if paired is None else b.where(paired[:, None, None], a)
        whole = 0.25 * (own + self.single(b)) + 0.5 * self.pair(a, b)
        return (whole if paired is None else whole.where(paired, own)).clamp(LEAST, 1 - LEAST)


def discriminator_loss(true: Float[Tensor, " N"], found: Float[Tensor, " M"]) -> Float[Tensor, ""]:
    """Equation 8, log C~ + log(1 - C), which the discriminators want large: 0 at best, 2 log 0.5 where they know
    nothing."""
    return true.log().mean() + (1 - found).log().mean()


def generator_loss(found: Float[Tensor, " N"], printed: bool = False) -> Float[Tensor, ""]:
    """What the poses' network wants small: -log C (our choice), or log(1 - C) as printed, which hardly moves a network
    that the discriminators see through."""
    return (1 - found).log().mean() if printed else -found.log().mean()


class Joined(nn.Module):
    """What is trained together: the integration network of a configuration, and its discriminators."""

    def __init__(self, config: TDBUConfig = TDBUConfig()):
        super().__init__()
        self.config = config
        self.network = (IntegrationGate if config.combine == "gate" else IntegrationMLP)(config.integration)
        self.judges = Discriminators()


def adversarial(
    judges: Discriminators,
    found: tuple[Tensor, Tensor, Tensor],
    true: tuple[Tensor, Tensor, Tensor],
    printed: bool = False,
) -> dict[str, Float[Tensor, ""]]:
    """Both sides in one loss for one optimiser: "natural", which moves the poses alone, and "judges", (8) with its sign
    turned, which moves the discriminators alone.

    Parameters
    ----------
    found, true : poses a and b (mm) of people who are together, and whether there is a b, see `Discriminators.forward`
    """
    still = {name: value.detach() for name, value in judges.named_parameters()}
    a, b, paired = found
    return {
        "natural": generator_loss(functional_call(judges, still, (a, b, paired)), printed),
        "judges": -discriminator_loss(judges(*true), judges(a.detach(), b.detach(), paired)),
    }


def neighbours(roots: Float[Tensor, "P 3"]) -> Int[Tensor, " P"]:
    """Everybody's nearest other in a frame, -1 for who is alone: whom D2 looks at together."""
    if len(roots) < 2:
        return torch.full((len(roots),), -1, dtype=torch.long, device=roots.device)
    apart = torch.cdist(roots, roots)
    apart.fill_diagonal_(torch.inf)
    return apart.argmin(1)
