"""Training: the network on pictures, then RefineNet on what the network says of others."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from mp3d.batch import Batch
from mp3d.canvas import on_canvas
from mp3d.papers.smap.config import Profile, Reading, Refinement, SMAPConfig
from mp3d.papers.smap.network import SMAP
from mp3d.papers.smap.refine import inputs
from mp3d.papers.smap.targets import BONES, PICKED, ROOT, Targets, loss, targets
from mp3d.scene import VISIBLE
from mp3d.training import FitConfig, fit

REGISTERED = 30 / 832
"""Of the canvas' width: how far a found root may lie from the true one in RefineNet's training (released code)."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Canvases and what their maps should be."""

    images: UInt8[Tensor, "B 3 H W"]
    targets: Targets

    def to(self, device: torch.device | str) -> "Sample":
        """The same on another device."""
        return Sample(self.images.to(device), self.targets.to(device))


def sample(batch: Batch, config: SMAPConfig) -> Sample:
    """A step's pictures, of any size; for the paper's normalisation as they are, not on a canvas already."""
    moved, canvas = on_canvas(batch, config.canvas)
    return Sample(moved.image, targets(moved, config, canvas.shown))


def train(
    stream: Callable[[int], Batch],
    others: Callable[[int], Batch],
    config: SMAPConfig,
    profile: Profile,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> SMAP:
    """The network, trained on pictures with their truth, and then RefineNet.

    Parameters
    ----------
    stream : step -> pictures, a pure function
    others : the same for RefineNet, of the training split too, but best of pictures that the network was not trained
        on: what it says of those it knows is better than what RefineNet will have to mend
    config : which network; not the profile's, so that variants can be trained
    out : folder for `network` and `refinement`, see `fit`
    options : the others of `fit`
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SMAP(config)
    model.lengths.copy_(mean_lengths(stream))

    def terms(network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        return loss(network(batch.images), batch.targets, config)

    folder = None if out is None else out / "network"
    fit(model.network, lambda step: sample(stream(step), config), terms, profile.fit, folder, **options)
    model.to(next(model.network.parameters()).device)  # where `fit` moved the network
    if config.branches == "all":
        folder = None if out is None else out / "refinement"
        train_refinement(model, others, profile.refinement, seed, folder, **options)
    return model.eval()


def mean_lengths(stream: Callable[[int], Batch], people: int = 200) -> Float[Tensor, " E"]:
    """mm: how long the bones of some people of the training set are (equation 2's D_bone)."""
    parent, child = ([bone[end] for bone in BONES] for end in (0, 1))
    lengths, step = [], 0
    while sum(map(len, lengths)) < people:
        xyz = (batch := stream(step)).xyz[:, :, PICKED][batch.there]
        lengths.append((xyz[:, child] - xyz[:, parent]).norm(dim=-1))
        step += 1
    return torch.cat(lengths).nanmean(0).cpu()


def train_refinement(
    model: SMAP,
    others: Callable[[int], Batch],
    how: Refinement,
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> None:
    """Train RefineNet on the poses that the network finds, against the true ones relative to their roots.

    The squared error of all 15 joints, of those that have a truth; Adam, its rate halved every `how.halve` epochs.
    Nobody found in any picture: RefineNet stays untrained, and unused.
    """
    rows, goals = pairs(model, others, how.pictures)
    if len(rows) < 2:  # batch normalisation needs two
        return
    size = min(how.batch, len(rows))
    steps = how.epochs * (len(rows) // size)
    halved = tuple(range(how.halve * (len(rows) // size), steps, how.halve * (len(rows) // size)))
    config = FitConfig(steps, lr=how.lr, schedule="step", milestones=halved, gamma=0.5, every=max(1, steps // 4))

    def batches(step: int) -> tuple[Tensor, Tensor]:
        epoch, at = divmod(step * size, len(rows) // size * size)
        order = np.random.default_rng([seed, epoch]).permutation(len(rows))[at : at + size]
        return rows[order], goals[order]

    def terms(network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        given, goal = batch
        known = goal.isfinite()
        return {"loss": (network(given) - goal.where(known, 0.0)).square().where(known, 0.0).mean()}

    fit(model.refinement, batches, terms, config, out, **options)
    model.refines.fill_(True)


def pairs(
    model: SMAP, stream: Callable[[int], Batch], pictures: int
) -> tuple[Float[Tensor, "N 75"], Float[Tensor, "N 45"]]:
    """RefineNet's inputs, and true joints less their root, cm, of people whose root was found and is visible."""
    rows, goals, step, seen = [], [], 0, 0
    while seen < pictures:
        batch = stream(step)
        step, seen = step + 1, seen + len(batch)
        maps, canvas = model.maps(batch.image, Reading(refined="no"))
        truth, uv = batch.xyz[:, :, PICKED].cpu(), canvas.to(batch.uv[:, :, PICKED]).cpu()
        visible = (batch.visibility[:, :, PICKED][:, :, ROOT] == VISIBLE).cpu()
        for b, people in enumerate(model.people(maps, canvas, batch.k, Reading(refined="no"))):
            if not people or not visible[b].any():
                continue
            found = canvas.to(torch.from_numpy(np.stack([p.uv for p in people])).float())
            poses = torch.from_numpy(np.stack([p.xyz for p in people])).float()
            who, whom = registered(found[:, ROOT], uv[b, visible[b], ROOT], REGISTERED * model.config.canvas[0])
            true = truth[b, visible[b]][whom]
            rows.append(inputs(found[who], poses[who]))
            goals.append((true - true[:, ROOT : ROOT + 1]).flatten(1) / 10)
    if not rows:
        return torch.zeros(0, 75), torch.zeros(0, 45)
    return torch.cat(rows), torch.cat(goals)


def registered(
    found: Float[Tensor, "N 2"], true: Float[Tensor, "P 2"], limit: float | int
) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
    """Pairs of a found and a true root that are each other's nearest, less than `limit` apart."""
    apart = torch.cdist(found, true).nan_to_num(nan=torch.inf)
    who = torch.arange(len(found))
    nearest = apart.argmin(1)
    good = (apart.argmin(0)[nearest] == who) & (apart[who, nearest] < limit)
    return who[good], nearest[good]
