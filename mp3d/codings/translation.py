"""Where in space a pose stands, from where its joints are in the picture."""

import torch
from jaxtyping import Float
from torch import Tensor

from mp3d.camera import project
from mp3d.errors import BadInput

NEAREST = 100.0
"""mm: a root that is not farther than this is no solution."""


def fit(
    xyz: Float[Tensor, "*people J 3"],
    uv: Float[Tensor, "*people J 2"],
    k: Float[Tensor, "*#people 4"],
    weights: Float[Tensor, "*people J"] | None = None,
    steps: int = 5,
) -> Float[Tensor, "*people 3"]:
    """The translation t for which the projection of xyz + t fits the pixels (PandaNet section 3.3.2; SMAP section 4.4).

    It begins with linear least squares: with n = (uv - c) / f, every joint says t_xy - n t_z = n Z - (X, Y). Under
    noise these equations set far and small people too near, so Gauss-Newton steps on the squared pixel residuals
    follow, each kept only if it lowers them.

    Depth comes from size: a pose of q times the true size ends up at q times the true place, and fits as well.

    Parameters
    ----------
    xyz : (..., J, 3) mm, relative to the root; a joint that is NaN does not count
    uv : (..., J, 2) px, likewise
    k : (..., 4) fx, fy, cx, cy in px, broadcast against the people
    weights : (..., J) of the squared residuals, not negative; None for all alike
    steps : Gauss-Newton steps, 0 for linear least squares alone

    Returns
    -------
    (..., 3) mm; NaN where fewer than two joints count, where all of them share one pixel, and where the depth
    is not greater than 100 mm

    Raises
    ------
    BadInput : a focal length that is not positive, a negative weight
    """
    if not (k[..., :2] > 0).all():
        raise BadInput("translation.fit", "k", k[..., :2].min().item(), "positive focal lengths, px")
    if weights is not None and (weights < 0).any():
        raise BadInput("translation.fit", "weights", weights.min().item(), "none below zero")
    counts = (xyz.isfinite().all(-1) & uv.isfinite().all(-1))[..., None]
    w = counts.double() if weights is None else torch.where(counts, weights[..., None].nan_to_num().double(), 0)
    p, uv, k = torch.where(counts, xyz, 0).double(), torch.where(counts, uv, 0).double(), k[..., None, :].double()
    # The two equations of each joint less their mean hold t_z alone: depth comes from the spread of n.
    n = (uv - k[..., 2:]) / k[..., :2]
    right = n * p[..., 2:] - p[..., :2]
    total = w.sum(-2, keepdim=True)
    n_mean, right_mean = ((w * x).sum(-2, keepdim=True) / total for x in (n, right))
    spread = n - n_mean
    z = -(w * spread * (right - right_mean)).sum((-2, -1)) / (w * spread.square()).sum((-2, -1))
    t = torch.cat([(right_mean + n_mean * z[..., None, None])[..., 0, :], z[..., None]], -1)
    good = ((w > 0).sum((-2, -1)) >= 2) & t.isfinite().all(-1) & (z > NEAREST)
    t = torch.where(good[..., None], t, torch.tensor([0.0, 0.0, 1e4], device=t.device, dtype=t.dtype))
    cost = _cost(p, t, uv, k, w)
    for _ in range(steps):
        x = p + t[..., None, :]
        scale = k[..., :2] / x[..., 2:]
        zero = torch.zeros_like(scale[..., 0])
        jacobian = torch.stack(
            [
                torch.stack([scale[..., 0], zero, -scale[..., 0] * x[..., 0] / x[..., 2]], -1),
                torch.stack([zero, scale[..., 1], -scale[..., 1] * x[..., 1] / x[..., 2]], -1),
            ],
            -2,
        )
        weighted = (w[..., None] * jacobian).flatten(-3, -2).mT
        residual = (project(x, k) - uv).flatten(-2)[..., None]
        step, _ = torch.linalg.solve_ex(weighted @ jacobian.flatten(-3, -2), weighted @ residual)
        moved = t - step[..., 0]
        new = _cost(p, moved, uv, k, w)
        better = (new < cost) & (moved[..., 2] > NEAREST)
        t, cost = torch.where(better[..., None], moved, t), torch.where(better, new, cost)
    return torch.where(good[..., None], t, torch.nan).to(xyz.dtype)


def _cost(p, t, uv, k, w) -> Tensor:
    """The weighted sum of squared pixel residuals."""
    return (w * (project(p + t[..., None, :], k) - uv).square()).sum((-2, -1))
