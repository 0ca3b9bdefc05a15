"""RefineNet: a pose, put right and completed by what poses are like (section 3.3)."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mp3d.camera import back_project
from mp3d.papers.smap.targets import ROOT
from mp3d.scene import HIDDEN, Person
from mp3d.skeletons import NATIVE, SMAP15

JOINTS = len(SMAP15)


class RefineNet(nn.Sequential):
    """Five fully connected layers, from a pose in 2D and 3D to the 3D pose: 159,469 parameters.

    Nothing is normalised but by the layers (released code): pixels of the canvas beside centimetres.
    """

    def __init__(self):
        layers, widths = [], (5 * JOINTS, 160, 256, 256, 128)
        for a, b in itertools.pairwise(widths):
            layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], 3 * JOINTS))

    def forward(self, rows: Float[Tensor, "N 75"]) -> Float[Tensor, "N 45"]:
        """Joints relative to the root, cm, of what `inputs` gives."""
        return super().forward(rows)


def inputs(uv: Float[Tensor, "N 15 2"], xyz: Float[Tensor, "N 15 3"]) -> Float[Tensor, "N 75"]:
    """u, v, X, Y, Z of each joint less the root's, and the root's own; zeros for a joint that is missing.

    Parameters
    ----------
    uv : px of the canvas, NaN where missing
    xyz : mm, camera frame, NaN where missing
    """
    rows = torch.cat([uv, xyz / 10], -1)
    root = rows[:, ROOT : ROOT + 1]
    relative = rows - root
    relative[:, ROOT] = root[:, 0]
    return relative.where(rows.isfinite().all(-1, keepdim=True), 0.0).flatten(1)


def refine(
    network: RefineNet,
    people: Sequence[Person],
    uv: Float[Tensor, "N 15 2"],
    camera: Float[Tensor, " 4"],
    rays: bool = False,
) -> list[Person]:
    """The people of one picture with refined, complete poses; roots stay. Joints not found before are hidden (1).

    Parameters
    ----------
    people : with roots
    uv : px of the canvas, of the same people
    camera : fx, fy, cx, cy of the picture, px
    rays : put joints that were found back on their rays, at the refined depth: so the released code for MuPoTS-3D does,
        of which the paper says nothing
    """
    if not people:
        return []
    device = uv.device
    xyz = torch.from_numpy(np.stack([person.xyz for person in people])).to(device, torch.float32)
    with torch.no_grad():
        moved = 10 * network(inputs(uv.float(), xyz)).unflatten(1, (JOINTS, 3)) + xyz[:, ROOT : ROOT + 1]
    moved[:, ROOT] = xyz[:, ROOT]
    seen = torch.from_numpy(np.stack([person.uv for person in people])).to(device, torch.float32)
    there = seen.isfinite().all(-1)
    if rays:
        on_ray = back_project(seen, moved[..., 2], camera.float())
        moved = on_ray.where((there & (moved[..., 2] > 0))[..., None], moved)
    moved = moved.double().cpu().numpy()
    k = camera.double().cpu().numpy()
    done = []
    for person, pose, found in zip(people, moved, there.cpu().numpy(), strict=True):
        shown = np.where(pose[:, 2:] > 0, pose[:, :2] / pose[:, 2:] * k[:2] + k[2:], np.nan)
        visibility = np.where(found, person.visibility, HIDDEN).astype(np.uint8)
        source = np.full(JOINTS, NATIVE, np.uint8)
        done.append(
            replace(
                person, xyz=pose, uv=np.where(found[:, None], person.uv, shown), visibility=visibility, source=source
            )
        )
    return done
