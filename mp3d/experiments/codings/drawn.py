"""What each coding draws of one joint, to look at."""

import numpy as np
import torch

from mp3d.batch import Batch
from mp3d.codings import affinity, depth, heatmaps, orpm, tags
from mp3d.codings.grid import Grid
from mp3d.skeletons import MPI17


def drawn(batch: Batch, joint: str, stride: int = 4) -> dict[str, tuple[np.ndarray, float]]:
    """The first picture's maps (H, W) of a joint, or of the bone that ends there, and the value of full colour."""
    grid, uv, on = Grid.over(batch.image.shape[3], batch.image.shape[2], stride), batch.uv, batch.labelled
    j, bones, root = MPI17.index(joint), MPI17.limbs, MPI17.root
    bone = next(e for e, (_, end) in enumerate(bones) if end == j)
    z, names = batch.xyz[..., 2], torch.arange(1.0, uv.shape[1] + 1).expand(uv.shape[:2])
    maps = {
        "heatmap": (heatmaps.encode(uv, on, grid, 1.5)[0, j], 1),
        "tags": (tags.encode(uv, on, names, grid)[0, j], uv.shape[1]),
        "part affinity field, u": (affinity.encode(uv, on, bones, grid, 1.5)[0, bone, 0], 1),
        "pose map, z of the bone": (orpm.encode(orpm.to_bones(batch.xyz), uv, on, z[..., root], grid)[0][0, j, 2], 200),
        "root depth": (depth.encode_root(z[..., root], uv[:, :, root], on[..., root], grid)[0][0, 0], 6000),
        "relative depth along the bone": (depth.encode_parts(z, uv, on, bones, grid, 1.5)[0][0, bone], 200),
    }
    return {name: (values.numpy(), float(high)) for name, (values, high) in maps.items()}
