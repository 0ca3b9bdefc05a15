"""From video to people: both branches, who is whom, and one pose of two."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from mp3d.camera import Camera
from mp3d.canvas import fit_canvas, one_picture
from mp3d.errors import BadInput
from mp3d.papers.tdbu import bottomup, integration, matching
from mp3d.papers.tdbu.bottomup import FrameNet
from mp3d.papers.tdbu.config import Reading, TDBUConfig
from mp3d.papers.tdbu.discriminators import Joined
from mp3d.papers.tdbu.integration import COMPLETED, IntegrationGate, IntegrationMLP, Pairs, Seen
from mp3d.papers.tdbu.lifting import JOINTS, ROOT, Lift, to_camera
from mp3d.papers.tdbu.topdown import Found, PersonNet, around, find
from mp3d.papers.tdbu.tracking import track
from mp3d.scene import ABSENT, HIDDEN, VISIBLE, Person
from mp3d.skeletons import ABSENT as NONE
from mp3d.skeletons import NATIVE
from mp3d.training import load_model, save_model

Way = Literal["network", "linear", "hard", "td", "bu"]
"""How two poses become one; "td" and "bu" are one branch alone."""
Matching = Literal["hungarian", "order", "released"]
"""Who is whom: equations 5 and 6; the first with the first ("w/o PM", our reading); the released code's."""


@torch.no_grad()
def bottom_up(
    network: FrameNet,
    images: UInt8[Tensor, "B 3 h w"],
    cameras: Float[Tensor, "B 4"],
    found: Found | None = None,
    reading: Reading = Reading(),
    chunk: int = 16,
) -> list[Seen]:
    """The bottom-up branch: everybody in every picture.

    Parameters
    ----------
    cameras : fx, fy, cx, cy, px
    found : what the top-down branch saw there; None: nothing, or the network has no guide
    """
    config, device = network.config, next(network.parameters()).device
    pictures, canvas = fit_canvas(images.to(device), config.canvas)
    training = network.training
    network.eval()
    seen = []
    for rows in torch.arange(len(pictures), device=device).split(chunk):
        guide = None
        if config.guide != "none":
            here = bottomup.guide(None if found is None else _of(found, rows), len(rows), canvas, config)
            guide = torch.zeros(len(rows), JOINTS, *pictures.shape[2:], device=device) if here is None else here
        maps = bottomup.Maps(*(part.float() for part in network(pictures[rows], guide)))
        seen += bottomup.decode(maps, canvas, cameras.to(device)[rows], config, reading)
    network.train(training)
    return seen


def _of(found: Found, pictures: Int[Tensor, " n"]) -> Found:
    """What was found in pictures that follow one another, counted from the first of them."""
    on = torch.isin(found.picture, pictures)
    views = type(found.views)(
        found.picture[on], found.views.matrix[on], found.views.corner[on], found.views.mirrored[on], found.views.size
    )
    return Found(
        found.picture[on] - pictures[0], found.box[on], found.uv[on], found.sure[on], found.heatmaps[on], views
    )


def boxes_of(seen: Sequence[Seen]) -> list[Float[Tensor, "_ 4"]]:
    """Tight boxes around everybody's joints in each picture, px: the bottom-up branch as a detector."""
    return [around(some.uv) for some in seen]


def top_down(
    lift: Lift,
    found: Found,
    cameras: Float[Tensor, "B 4"],
    identities: Sequence[Int[Tensor, " _"]] | None = None,
    temporal: bool = True,
) -> list[Seen]:
    """The top-down branch in space: what was found in pictures of one video, followed and lifted, track by track.

    Joints that were not found are completed, with confidence `COMPLETED`.

    Parameters
    ----------
    identities : for each picture, of each of its boxes; None: people are followed from frame to frame
    temporal : False: every frame is lifted alone
    """
    device = next(lift.parameters()).device
    frames = [torch.nonzero(found.picture == b)[:, 0] for b in range(len(cameras))]
    if identities is None:
        numbers = track([found.uv[at].cpu() for at in frames], [found.sure[at].cpu() for at in frames])
    else:
        numbers = [identity[found.box[at].cpu()] for identity, at in zip(identities, frames, strict=True)]
    uv = to_camera(found.uv, cameras.to(found.uv)[found.picture])
    number = torch.cat([torch.zeros(0, dtype=torch.long), *numbers])
    order = torch.cat([torch.zeros(0, dtype=torch.long), *(at.cpu() for at in frames)])
    xyz = torch.full((len(found.uv), JOINTS, 3), torch.nan)
    for one in number.unique().tolist():
        rows = order[number == one]
        time = found.picture[rows].cpu()
        length = int(time[-1] - time[0]) + 1
        whole, sure = torch.zeros(length, JOINTS, 2, device=device), torch.zeros(length, JOINTS, device=device)
        whole[time - time[0]], sure[time - time[0]] = uv[rows].to(device), found.sure[rows].to(device)
        xyz[rows] = lift.track(whole, sure, temporal)[time - time[0]].cpu()
    return [
        Seen(found.uv[at].cpu(), found.sure[at].cpu().clamp(min=COMPLETED), xyz[at.cpu()], one)
        for at, one in zip(frames, numbers, strict=True)
    ]


@torch.no_grad()
def join(
    td: Sequence[Seen],
    bu: Sequence[Seen],
    cameras: Sequence[Float[np.ndarray, " 4"]] | Float[Tensor, "B 4"],
    way: Way = "network",
    network: IntegrationMLP | IntegrationGate | None = None,
    who: Matching = "hungarian",
) -> list[list[Person]]:
    """One pose of two, in every picture; who is known to one branch alone stays.

    Returns
    -------
    people in `MPI17`, mm; joints that a branch found in the picture are visible, the others hidden and where the pose
    has them, or absent where it has none. `score` is the mean confidence of what the branches found. Tracks' numbers
    are the top-down branch's; people of the bottom-up branch alone count on from 1000

    Raises
    ------
    BadInput : an unknown way or matching, a way that needs a network without one
    """
    for name, value, allowed in (("way", way, get_args(Way)), ("who", who, get_args(Matching))):
        if value not in allowed:
            raise BadInput("tdbu.join", name, repr(value), f"one of {allowed}")
    if way == "network" and network is None:
        raise BadInput("tdbu.join", "network", None, f"one, to join by {way!r}")
    parts = [_paired(a, b, way, who) for a, b in zip(td, bu, strict=True)]
    counts = [len(part[0].sure_td) for part in parts]
    whole = Pairs(*(torch.cat(fields) for fields in zip(*(part[0] for part in parts), strict=True))) if parts else None
    if whole is None or not len(whole.sure_td):
        return [[] for _ in parts]
    if way == "linear":
        xyz = integration.linear(whole)
    elif way == "hard":
        xyz = integration.hard(whole)
    elif way == "network":
        device = next(network.parameters()).device
        xyz = network(whole.to(device)).cpu()
    else:
        xyz = whole.td if way == "td" else whole.bu
    people = []
    for poses, (_, uv, sure, identity), k in zip(xyz.split(counts), parts, cameras, strict=True):
        people.append(_persons(poses, uv, sure, identity, torch.as_tensor(k).double().cpu().numpy()))
    return people


def _paired(td: Seen, bu: Seen, way: Way, who: Matching) -> tuple[Pairs, Tensor, Tensor, Tensor]:
    """The pairs of a picture, and of each where it was seen, how surely, and its number."""
    if way == "td":
        bu = Seen(*(getattr(bu, name)[:0] for name in ("uv", "sure", "xyz", "identity")))
    elif way == "bu":
        td = Seen(*(getattr(td, name)[:0] for name in ("uv", "sure", "xyz", "identity")))
    arrays = [part.double().cpu().numpy() for part in (td.xyz, bu.xyz, td.sure, bu.sure)]
    if who == "hungarian":
        reach = np.fmax(matching.REACH, matching.DEEP * arrays[0][:, ROOT, 2])
        pairs = matching.match(*arrays, reach)
    elif who == "order":
        pairs = matching.match_in_order(len(td.sure), len(bu.sure))
    else:
        pairs = matching.match_released(*arrays[:2])
    mate = dict(pairs)
    rows = [(i, mate.get(i, -1)) for i in range(len(td.sure))]
    rows += [(-1, j) for j in range(len(bu.sure)) if j not in mate.values()]
    index = torch.tensor(rows, dtype=torch.long).reshape(-1, 2)

    def pick(field: str, empty: float) -> tuple[Tensor, Tensor]:
        found = []
        for seen, at in ((td, index[:, 0]), (bu, index[:, 1])):
            values = getattr(seen, field).cpu().float()
            padded = torch.cat([values, torch.full((1, *values.shape[1:]), empty)])
            found.append(padded[at])  # -1 is the last
        return found[0], found[1]

    xyz, sure, uv = pick("xyz", 0.0), pick("sure", 0.0), pick("uv", torch.nan)
    seen = uv[0].where(uv[0].isfinite(), uv[1])
    numbers = torch.cat([td.identity.cpu(), 1000 + bu.identity.cpu()])
    at = torch.where(index[:, 0] >= 0, index[:, 0], len(td.sure) + index[:, 1])
    return Pairs(*xyz, *sure), seen, torch.maximum(*sure), numbers[at]


def _persons(xyz: Tensor, uv: Tensor, sure: Tensor, identity: Tensor, k: np.ndarray) -> list[Person]:
    poses, places = xyz.double().numpy(), uv.double().numpy()
    people = []
    for pose, place, known, number in zip(poses, places, sure.numpy(), identity.tolist(), strict=True):
        found, there = np.isfinite(place).all(-1), np.isfinite(pose).all(-1)
        if not (found & there).any():
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            shown = k[:2] * pose[:, :2] / pose[:, 2:] + k[2:]
        where = np.where(found[:, None], place, shown)
        seen = np.where(there, np.where(found, VISIBLE, HIDDEN), ABSENT).astype(np.uint8)
        source = np.where(there, NATIVE, NONE).astype(np.uint8)
        people.append(Person(pose, where, seen, source, number, score=float(known[found].mean())))
    return people


class TDBU(nn.Module):
    """All networks: a detector, the two branches, and the integration.

    The paper's detector is Mask R-CNN, in its own words "a human detector [12]". Here a bottom-up network without a
    guide is one (our choice): the ablation needs it anyway.
    """

    def __init__(self, config: TDBUConfig = TDBUConfig()):
        super().__init__()
        self.config = config
        self.detector = FrameNet(replace(config, guide="none"))
        self.person, self.lift, self.frame = PersonNet(config), Lift(config), FrameNet(config)
        self.joined = Joined(config)

    def estimate(
        self,
        images: UInt8[Tensor, "T 3 h w"],
        cameras: Float[Tensor, "T 4"],
        boxes: Sequence[Float[Tensor, "_ 4"]] | None = None,
        reading: Reading = Reading(),
    ) -> list[list[Person]]:
        """Everyone in every picture of one video, in `MPI17`, mm, with the number of their track.

        Parameters
        ----------
        images : RGB, in order
        cameras : fx, fy, cx, cy, px
        boxes : for each picture x, y, width, height in px of tight boxes, of another detector; None: our own
        """
        if boxes is None:
            boxes = boxes_of(bottom_up(self.detector, images, cameras, reading=reading))
        found = find(self.person, images, boxes, reading)
        td = top_down(self.lift, found, cameras)
        bu = bottom_up(self.frame, images, cameras, found, reading)
        return join(td, bu, cameras, "network", self.joined.network)

    def predict(self, frames: UInt8[np.ndarray, "T h w 3"], camera: Camera | None = None) -> list[list[Person]]:
        """The people in each frame of a video, in `MPI17`, mm; `identity` is the track.

        Parameters
        ----------
        frames : RGB, as Pillow reads them, in order
        camera : None: a focal length of the pictures' width

        Raises
        ------
        BadInput : frames of no (T, h, w, 3), uint8; a camera of another size, or with a lens
        """
        if frames.ndim != 4:
            raise BadInput("TDBU.predict", "frames", frames.shape, "(T, h, w, 3), uint8, RGB")
        if not len(frames):
            return []
        _, k = one_picture(frames[0], camera, "TDBU.predict")
        images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        return self.estimate(images, k.expand(len(frames), 4))

    def save(self, path: Path) -> None:
        """Write the weights and the configuration to one file; BadInput where its folder is not there or closed."""
        save_model(self, path)

    @classmethod
    def load(cls, path: Path, config: TDBUConfig | None = None) -> "TDBU":
        """Read what `save` wrote; BadInput where it is not of `config`."""
        return load_model(cls, TDBUConfig, path, config)
