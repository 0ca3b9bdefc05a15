"""PandaNet's networks, and ORPM-AE's for a street, trained on the synthetic worlds or on the reader's data, and kept.

A network is named after everything that decides it. A training that was killed goes on where it was.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import mp3d.batch
import mp3d.camera
import mp3d.canvas
import mp3d.codings.anchors
import mp3d.codings.grid
import mp3d.codings.orpm
import mp3d.data.pictures
import mp3d.nn.darknet
import mp3d.papers.pandanet
import mp3d.skeletons
import mp3d.synthetic
import mp3d.training
from mp3d.batch import Batch
from mp3d.data.panoptic import TEST_CAMERAS
from mp3d.data.pictures import FileStream, Shot
from mp3d.errors import MissingData
from mp3d.experiments import real, shown
from mp3d.experiments.orpm_ae import networks as orpm_ae_networks
from mp3d.experiments.shown import device
from mp3d.papers import orpm_ae, pandanet
from mp3d.papers.orpm_ae import ORPMAE
from mp3d.papers.pandanet import PROFILES, PandaNet, Profile, windows
from mp3d.skeletons import MPI17
from mp3d.study import digest, share
from mp3d.synthetic.stream import Stream

TRAINING = (
    *(mp3d.papers.pandanet, mp3d.nn.darknet, mp3d.codings.anchors, mp3d.codings.grid, mp3d.codings.orpm),
    *(mp3d.training, mp3d.synthetic, mp3d.batch, mp3d.camera, mp3d.canvas, mp3d.skeletons),
)
"""The code on which trained networks depend."""

WIDE = {"smoke": (96, 64), "cpu": (480, 288), "gpu": (480, 288), "paper": (928, 576)}
"""px, pictures of `street` and the canvas they are seen on: people far off are small."""
VARIANTS: dict[str, dict] = {
    "full": {},
    "box": {"selection": "box"},
    "none": {"selection": "none"},
    "unit": {"weighting": "none"},
    "task": {"weighting": "task"},
    "anchor": {"weighting": "anchor"},
    "no_subpixel": {"subpixel": 0},
}
"""Networks of Tables 1 and 2, and one with maps of half the sides; "full" selects by poses and learns all weights."""
MIRRORS = shown.MIRRORS | {"jta": "street"}
"""The world that mirrors each data set."""
INPUTS: dict[str, dict] = {"panoptic": {"canvas": (512, 320)}, "mupots3d": {"canvas": (512, 512), "subpixel": 0}}
"""What sections 4.2 and 4.3 change in the network of JTA, in "paper"."""


def sized(variant: str, world: str, profile: str, budget: float | int) -> Profile:
    """The profile with the variant's network, the world's pictures, and its steps multiplied."""
    size = PROFILES[profile]
    config = replace(size.config, **VARIANTS[variant])
    if world == "street":
        width, height = WIDE[profile]
        size, config = replace(size, width=width, height=height), replace(config, canvas=(width, height))
    steps = max(1, round(size.fit.steps * budget))
    warmup = round(size.fit.warmup * steps / size.fit.steps)
    fit = replace(size.fit, steps=steps, warmup=warmup, every=max(1, round(size.fit.every * budget)))
    return replace(size, config=config, fit=fit)


def stream(world: str, size: Profile, seed: int) -> Callable[[int], Batch]:
    """step -> windows of a world's training pictures."""
    pictures = Stream(
        world, seed, size.width, size.height, size.batch, reuse=size.reuse, block=size.block, device=device()
    )
    return lambda step: windows(pictures(step), size.config.canvas, size.windows, [seed, step])


def place(variant: str, world: str, profile: str, seed: int, keep: Path, budget: float | int = 1.0) -> Path:
    """The folder of a network, by all that decides its training."""
    size = sized(variant, world, profile, budget)
    return Path(keep) / f"pandanet-{world}-{profile}-{seed}-{digest(size, world, seed, code=TRAINING)}"


def trained(variant: str, world: str, profile: str, seed: int, keep: Path, budget: float | int = 1.0) -> PandaNet:
    """A variant trained on a world, from `keep` if it is there."""
    size, folder = sized(variant, world, profile, budget), place(variant, world, profile, seed, keep, budget)
    stored, pictures = folder / "network.pt", stream(world, size, seed)
    share(stored, lambda: pandanet.train(pictures, size.config, size.fit, seed, folder).save(stored))
    return PandaNet.load(stored, size.config).to(device())


def budget_beside(profile: str, budget: float | int) -> float:
    """The budget with which ORPM-AE sees as many training pictures as PandaNet with its own."""
    ours, other = PROFILES[profile], orpm_ae.PROFILES[profile]
    return budget * ours.fit.steps * ours.batch / (other.fit.steps * other.batch)


def trained_other(world: str, profile: str, seed: int, keep: Path, budget: float | int = 1.0) -> ORPMAE:
    """ORPM-AE for a world, of its own notebook's kind, from as many pictures as PandaNet; on `street` from the same
    windows."""
    share_of = budget_beside(profile, budget)
    if world != "street":
        return orpm_ae_networks.trained("full", world, profile, seed, keep, share_of)
    size, ours = orpm_ae_networks.resized(orpm_ae.PROFILES[profile], share_of), sized("full", world, profile, 1)
    config = orpm_ae_networks.config("full", profile)
    width, height = _divisible((ours.windows.width, ours.windows.height), config)
    ours = replace(ours, windows=replace(ours.windows, width=width, height=height))
    config = replace(config, canvas=(width, height))
    size = replace(size, config=config)
    code = (*orpm_ae_networks.TRAINING, mp3d.papers.pandanet)
    stored = Path(keep) / f"orpm-ae-street-{profile}-{seed}-{digest(size, ours, seed, code=code)}" / "network.pt"
    pictures = stream(world, replace(ours, batch=size.batch), seed)
    share(stored, lambda: orpm_ae.train(pictures, config, size.fit, seed, stored.parent).save(stored))
    model = ORPMAE.load(stored, config).to(device())
    model.config = replace(config, canvas=_divisible(ours.config.canvas, config))  # fully convolutional
    return model


def _divisible(sides: tuple[int, int], config: orpm_ae.ORPMAEConfig) -> tuple[int, int]:
    """px, the sides of the smallest canvas of ORPM-AE's network that has room for them."""
    multiple = orpm_ae.STRIDE * 2**config.depth
    return -(-sides[0] // multiple) * multiple, -(-sides[1] // multiple) * multiple


def sized_for(kind: str, profile: str, budget: float | int) -> Profile:
    """The profile for a real test set: that of the world which mirrors it, in "paper" with the paper's input."""
    size = sized("full", MIRRORS[kind], profile, budget)
    if profile != "paper" or kind not in INPUTS:
        return size
    config = replace(size.config, **INPUTS[kind])
    width, height = config.canvas
    return replace(
        size, config=config, width=width, height=height, windows=replace(size.windows, width=width, height=height)
    )


def for_data(
    data: Path | str, kind: str, profile: str, seed: int, keep: Path, budget: float | int
) -> tuple[PandaNet, str]:
    """The full network for a real test set, and what it was trained on.

    Windows of the data set's own training split, of Panoptic without the two cameras of the test (section 4.2; its
    sequences are not named, here they are SMAP's); for MuPoTS-3D MuCo-3DHP, half of it COCO, if it lies in the same
    folder (section 4.3). Where there is nothing to train on, the synthetic world that mirrors the data set.

    Parameters
    ----------
    data, kind : of `real.load_train`
    """
    try:
        shots, flat = real.load_train(data, kind)
    except MissingData:
        return trained("full", MIRRORS[kind], profile, seed, keep, budget), MIRRORS[kind]
    if kind == "panoptic":
        shots = [with_all_joints(shot) for shot in shots if shot.path.parent.name not in TEST_CAMERAS]
    flat = flat if kind == "mupots3d" else []
    size, code = sized_for(kind, profile, budget), (*TRAINING, mp3d.data.pictures, with_all_joints)
    where = digest(size, kind, [str(shot.path) for shot in (*shots, *flat)], seed, code=code)
    stored = Path(keep) / f"pandanet-{kind}-{profile}-{seed}-{where}" / "network.pt"
    pictures = FileStream(shots, seed, size.width, size.height, size.batch, flat, augment=False)

    def stream(step: int) -> Batch:
        return windows(pictures(step), size.config.canvas, size.windows, [seed, step])

    share(stored, lambda: pandanet.train(stream, size.config, size.fit, seed, stored.parent).save(stored))
    return PandaNet.load(stored, size.config).to(device()), kind + (" and coco" if flat else "")


def with_all_joints(shot: Shot) -> Shot:
    """The shot with those joints of `MPI17` that Panoptic's joint sets lack, as PandaNet learns whole poses alone.

    Our choice: the spine is half way from pelvis to neck, the head (of `joints19`, between the ears) half way from neck
    to the top of the head, which `joints15` alone has. A person who lacks a joint of the data set's stays in part.
    """
    top, head, neck, spine, pelvis = (MPI17.index(name) for name in ("head_top", "head", "neck", "spine", "pelvis"))
    people = []
    for person in shot.scene.people:
        xyz, uv = person.xyz.copy(), person.uv.copy()
        made = {spine: (xyz[pelvis] + xyz[neck]) / 2, head: (xyz[neck] + xyz[top]) / 2, top: 2 * xyz[head] - xyz[neck]}
        for joint in (joint for joint in made if not np.isfinite(xyz[joint]).all()):
            xyz[joint], uv[joint] = made[joint], shot.scene.camera.project(made[joint])
        people.append(replace(person, xyz=xyz, uv=uv))
    return replace(shot, scene=replace(shot.scene, people=tuple(people)))
