"""Two things shown exactly, without a network: what re-projection cannot see; depth that is read at a wrong place."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mp3d.batch import Batch
from mp3d.canvas import on_canvas
from mp3d.codings import depth
from mp3d.papers.tdbu import SMALL, TDBUConfig, bottomup
from mp3d.papers.tdbu.lifting import METRES, ROOT, reprojection_error
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import takes


def along_rays(spreads: tuple[int, ...] = (0, 100, 300)) -> dict[int, dict[str, float]]:
    """The re-projection error and the true one (mpjpe, mm) of poses of `duet` whose joints, but for the pelvis, are
    moved along their rays by a normal amount of so many mm."""
    some = takes("duet", 64, 0, "test")
    xyz = torch.from_numpy(some.points[:, 0, :17]).double()
    uv = xyz[..., :2] / xyz[..., 2:]
    generator = torch.Generator().manual_seed(0)
    shift = torch.randn(xyz.shape[:2], generator=generator, dtype=torch.float64)
    shift[:, ROOT] = 0.0
    found = {}
    for spread in spreads:
        moved = xyz + spread * shift[..., None] * xyz / xyz.norm(dim=-1, keepdim=True)
        root = moved[:, ROOT] * METRES
        poses = moved * METRES - root[:, None]
        error = reprojection_error(poses, root, uv, torch.ones_like(uv[..., 0]))
        found[spread] = {
            "reprojection": error.mean().item(),
            "mpjpe": (moved - xyz).norm(dim=-1).mean().item(),
        }
    return found


def misread(pictures: int = 24) -> pd.DataFrame:
    """How far off in depth roots are when exact maps are read where the pelvis is, and where the released code reads:
    medians in mm, on a square picture of four times the canvas' sides, and on a wide one of about twice.

    Roots alone are read. Every cell of a map holds the depth of the root nearest to it in the picture: a wrong place
    gives somebody else's depth, and no error where that is the same person's.
    """
    square, wide = (replace(SMALL, canvas=sides) for sides in ((96, 96), (160, 96)))
    rows = {}
    for name, size, how in (("square, 384 x 384", (384, 384), square), ("wide, 340 x 191", (340, 191), wide)):
        batch = render(takes("duet", pictures, 0, "test"), *size, seed=1).batch
        moved, canvas = on_canvas(batch, how.canvas)
        maps, on = _exact(moved, how)
        rows[name] = {
            "where the pelvis is": _off(maps, moved.uv, moved, on, how),
            "a quarter of the picture's": _off(maps, bottomup.misread(batch.uv), moved, on, how),
            "canvas px per picture px": canvas.scale[0],
        }
    return pd.DataFrame(rows).T


def _exact(moved: Batch, config: TDBUConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps that hold in every cell the depth of the root nearest to it in the picture, so that any cell can be read."""
    cells = bottomup.grid(config)
    z = moved.xyz[:, :, ROOT, 2]
    u, v = cells.axes()
    centres = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)
    uv = moved.uv[:, :, ROOT].nan_to_num(1e6)
    nearest = (centres[None, :, :, None] - uv[:, None, None]).norm(dim=-1).argmin(-1)
    maps = z.gather(1, nearest.flatten(1)).unflatten(1, nearest.shape[1:])[:, None]
    return maps, moved.labelled[:, :, ROOT] & z.isfinite()


def _off(maps: torch.Tensor, uv: torch.Tensor, moved: Batch, on: torch.Tensor, config: TDBUConfig) -> float:
    read = depth.read_root(maps, uv[:, :, ROOT], bottomup.grid(config))
    z = moved.xyz[:, :, ROOT, 2]
    error = (read - z).abs()[on]
    return float(np.median(error[error.isfinite()].numpy()))
