"""ORPM-AE's networks, trained on the synthetic worlds or on the reader's data, and kept.

A network is named after everything that decides it. A training that was killed goes on where it was.
"""

from dataclasses import replace
from pathlib import Path

import mp3d.batch
import mp3d.camera
import mp3d.canvas
import mp3d.codings.grid
import mp3d.codings.heatmaps
import mp3d.codings.orpm
import mp3d.codings.raster
import mp3d.codings.tags
import mp3d.data.pictures
import mp3d.nn.hourglass
import mp3d.nn.mspn
import mp3d.papers.orpm_ae
import mp3d.skeletons
import mp3d.synthetic
import mp3d.training
from mp3d.canvas import on_canvas
from mp3d.data.panoptic import TEST_CAMERAS
from mp3d.data.pictures import FileStream
from mp3d.errors import MissingData
from mp3d.experiments import real
from mp3d.experiments.shown import MIRRORS, device
from mp3d.papers import orpm_ae
from mp3d.papers.orpm_ae import ORPMAE, PROFILES, ORPMAEConfig, Profile
from mp3d.study import digest, share
from mp3d.synthetic.stream import Stream

TRAINING = (
    *(mp3d.papers.orpm_ae, mp3d.nn.hourglass, mp3d.nn.mspn, mp3d.codings.grid, mp3d.codings.heatmaps),
    *(mp3d.codings.orpm, mp3d.codings.raster, mp3d.codings.tags, mp3d.training, mp3d.synthetic, mp3d.batch),
    *(mp3d.camera, mp3d.canvas, mp3d.skeletons),
)
"""The code on which trained networks depend."""

STACKS = {"smoke": (1, 2), "cpu": (1, 2, 3), "gpu": (1, 2, 3, 4), "paper": (1, 2, 3, 4)}
"""Networks of Table 1; the last is the full one."""
CHANGES: dict[str, tuple[dict, float]] = {
    "pelvis": ({"relative": "pelvis"}, 0.33),
    "literal": ({"orpm": "literal"}, 7.0),
    "public_push": ({"push": "public"}, 1.0),
    "seen_only": ({"hidden": False}, 1.0),
}
"""What the ablation changes in the network of one stack, and by what the weight of pose maps goes with it, so that
their loss stays as large: vectors from the pelvis are longer, and most cells are empty (`bones_size` measures both)."""


def config(variant: str, profile: str) -> ORPMAEConfig:
    """The network of a variant: "full", a number of stacks ("2-HG"), or one of `CHANGES`."""
    base = PROFILES[profile].config
    if variant == "full":
        return replace(base, stacks=STACKS[profile][-1])
    if variant in CHANGES:
        change, factor = CHANGES[variant]
        heat, bones, tags = base.weights
        return replace(base, stacks=1, weights=(heat, factor * bones, tags), **change)
    return replace(base, stacks=int(variant.removesuffix("-HG")))


def resized(size: Profile, budget: float | int) -> Profile:
    """The profile with its training steps multiplied; the rate falls at the same parts of them."""
    steps = max(1, round(size.fit.steps * budget))
    times = steps / size.fit.steps
    drops, warmup = tuple(round(drop * times) for drop in size.fit.milestones), round(size.fit.warmup * times)
    fit = replace(size.fit, steps=steps, milestones=drops, warmup=warmup, every=max(1, steps // 10))
    return replace(size, fit=fit)


def bones_size(world: str, profile: str, pictures: int = 64) -> dict[str, float]:
    """What a network that says 0 would pay for pose maps, as a factor on that of the paper's form; the weights of
    `CHANGES` undo it."""
    size = PROFILES[profile]
    batch = Stream(world, 0, size.width, size.height, pictures, block=pictures)(0)
    paid = {}
    for name in ("1-HG", "pelvis", "literal"):
        what = config(name, profile)
        goal = orpm_ae.targets(on_canvas(batch, what.canvas)[0], what)
        where = goal.mask.sum() if what.orpm == "masked" else goal.mask.numel()
        paid[name] = (goal.bones.square().sum() / (3 * where)).item()
    return {name: value / paid["1-HG"] for name, value in paid.items()}


def place(variant: str, world: str, profile: str, seed: int, keep: Path, budget: float | int = 1.0) -> Path:
    """The folder of a network, by all that decides its training: variants that are one network share it."""
    size, what = resized(PROFILES[profile], budget), config(variant, profile)
    size = replace(size, config=what)
    return Path(keep) / f"orpm-ae-{world}-{profile}-{seed}-{digest(size, world, seed, code=TRAINING)}"


def trained(variant: str, world: str, profile: str, seed: int, keep: Path, budget: float | int = 1.0) -> ORPMAE:
    """A variant trained on a world, from `keep` if it is there."""
    size, folder = resized(PROFILES[profile], budget), place(variant, world, profile, seed, keep, budget)
    what, stored = config(variant, profile), folder / "network.pt"
    pictures = Stream(
        world, seed, size.width, size.height, size.batch, reuse=size.reuse, block=size.block, device=device()
    )
    share(stored, lambda: orpm_ae.train(pictures, what, size.fit, seed, folder).save(stored))
    return ORPMAE.load(stored, what).to(device())


def for_data(
    data: Path | str, kind: str, profile: str, seed: int, keep: Path, budget: float | int
) -> tuple[ORPMAE, str]:
    """The full network for a real test set, and what it was trained on.

    The data set's own training split, without other data, and of Panoptic without the two cameras of the test (section
    4; its sequences are not named, here they are SMAP's); else the synthetic world that mirrors it.

    Parameters
    ----------
    data, kind : of `real.load_train`
    """
    try:
        shots, _ = real.load_train(data, kind)
    except MissingData:
        return trained("full", MIRRORS[kind], profile, seed, keep, budget), MIRRORS[kind]
    shots = [shot for shot in shots if kind != "panoptic" or shot.path.parent.name not in TEST_CAMERAS]
    size, what = resized(PROFILES[profile], budget), config("full", profile)
    code = (*TRAINING, mp3d.data.pictures)
    where = digest(replace(size, config=what), kind, [str(shot.path) for shot in shots], seed, code=code)
    stored = Path(keep) / f"orpm-ae-{kind}-{profile}-{seed}-{where}" / "network.pt"
    pictures = FileStream(shots, seed, *what.canvas, size.batch)
    share(stored, lambda: orpm_ae.train(pictures, what, size.fit, seed, stored.parent).save(stored))
    return ORPMAE.load(stored, what).to(device()), kind
