"""The pinhole camera: x right, y down, z forward; millimetres; the centre of the top left pixel is at (0.5, 0.5)."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from mp3d.errors import BadInput


def project(xyz: Num[Any, "*points 3"], k: Num[Any, "*#points 4"]) -> Num[Any, "*points 2"]:
    """u = fx X / Z + cx, v = fy Y / Z + cy (the pinhole model), for numpy arrays or torch tensors.

    Parameters
    ----------
    xyz : (..., 3) mm in the camera's frame
    k : (..., 4) fx, fy, cx, cy in px, broadcast against the points

    Returns
    -------
    uv : (..., 2) px
    """
    return xyz[..., :2] / xyz[..., 2:] * k[..., :2] + k[..., 2:]


def back_project(
    uv: Num[Any, "*points 2"], z: Num[Any, "*#points"], k: Num[Any, "*#points 4"]
) -> Num[Any, "*points 3"]:
    """X = (u - cx) Z / fx, Y = (v - cy) Z / fy: the inverse of `project`, for numpy arrays or torch tensors.

    Parameters
    ----------
    uv : (..., 2) px
    z : (...) mm, the depth along the optical axis, not along the ray; broadcast against the pixels
    k : (..., 4) fx, fy, cx, cy in px, broadcast too

    Returns
    -------
    xyz : (..., 3) mm in the camera's frame; a depth that is not positive is not refused
    """
    z = z[..., None]
    xy = (uv - k[..., 2:]) / k[..., :2] * z
    if isinstance(xy, np.ndarray):
        return np.concatenate([xy, np.broadcast_to(z, (*xy.shape[:-1], 1))], -1)
    import torch

    return torch.cat([xy, z.expand(*xy.shape[:-1], 1)], -1)


@dataclass(frozen=True)
class Lens:
    """What a lens does to normalised coordinates x = X / Z, y = Y / Z, before `k` makes pixels of them (Brown's model).

    x' = x (1 + k1 r² + k2 r⁴ + k3 r⁶) + 2 p1 x y + p2 (r² + 2 x²), and y' alike: OpenCV's k1, k2, p1, p2, k3.

    Parameters
    ----------
    tangential : 2 as above (OpenCV, Panoptic); 1 for Human3.6M, whose own model takes the terms 2 p1 x y + 2 p2 x²
        (of y': 2 p1 y² + 2 p2 x y) once, not twice
    """

    k1: float | int
    k2: float | int
    p1: float | int
    p2: float | int
    k3: float | int = 0.0
    tangential: float | int = 2.0

    def distort(self, xy: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
        """Where the rays through these normalised coordinates end up, normalised."""
        p = np.array([self.p1, self.p2], float)
        r2 = (xy**2).sum(-1, keepdims=True)
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        return xy * (radial + self.tangential * (xy[..., ::-1] * p).sum(-1, keepdims=True)) + p[::-1] * r2

    def undistort(self, xy: Float[np.ndarray, "*points 2"], steps: int = 50) -> Float[np.ndarray, "*points 2"]:
        """The inverse by fixed-point iteration; good to 1e-10 inside the picture of any usual lens."""
        out = np.array(xy, float)
        for _ in range(steps):
            out = out - (self.distort(out) - xy)
        return out


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera, and where it stands: x_camera = rotation @ x_world + translation.

    Parameters
    ----------
    fx, fy, cx, cy : focal lengths and principal point, px
    width, height : of the image, px
    rotation : (3, 3) world to camera
    translation : (3,) mm
    lens : its distortion, None for a pinhole (Hartley and Zisserman, Multiple View Geometry, section 6.1)

    Raises
    ------
    BadInput : a focal length or an image size that is not positive
    """

    fx: float | int
    fy: float | int
    cx: float | int
    cy: float | int
    width: int
    height: int
    rotation: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))
    translation: Float[np.ndarray, " 3"] = field(default_factory=lambda: np.zeros(3))
    lens: Lens | None = None

    def __post_init__(self):
        for name in ("fx", "fy", "width", "height"):
            if not getattr(self, name) > 0:
                raise BadInput("Camera", name, getattr(self, name), "a positive number")

    @property
    def k(self) -> Float[np.ndarray, " 4"]:
        """fx, fy, cx, cy in px, as `project` wants them."""
        return np.array([self.fx, self.fy, self.cx, self.cy], float)

    @property
    def fov(self) -> tuple[float, float]:
        """Horizontal and vertical field of view in degrees, also where the principal point is off centre."""

        def angle(size, c, f):
            return float(np.degrees(np.arctan((size - c) / f) + np.arctan(c / f)))

        return angle(self.width, self.cx, self.fx), angle(self.height, self.cy, self.fy)

    def project(self, xyz: Num[np.ndarray, "*points 3"]) -> Num[np.ndarray, "*points 2"]:
        """Camera frame (mm) to pixels, through the lens if there is one."""
        if self.lens is None:
            return project(xyz, self.k)
        return self.lens.distort(xyz[..., :2] / xyz[..., 2:]) * self.k[:2] + self.k[2:]

    def back_project(
        self, uv: Num[np.ndarray, "*points 2"], z: Num[np.ndarray, "*#points"]
    ) -> Num[np.ndarray, "*points 3"]:
        """Pixels and depths (mm) to the camera frame (mm), through the lens if there is one."""
        if self.lens is not None:
            uv = self.lens.undistort((uv - self.k[2:]) / self.k[:2]) * self.k[:2] + self.k[2:]
        return back_project(uv, z, self.k)

    def to_camera(self, world: Num[np.ndarray, "*points 3"]) -> Num[np.ndarray, "*points 3"]:
        """World frame to camera frame, mm."""
        return world @ self.rotation.T + self.translation

    def to_world(self, xyz: Num[np.ndarray, "*points 3"]) -> Num[np.ndarray, "*points 3"]:
        """Camera frame to world frame, mm."""
        return (xyz - self.translation) @ self.rotation

    def crop(self, x: float | int, y: float | int, width: int, height: int) -> "Camera":
        """The camera of the sub-image whose top left corner is at (x, y) px: pixels shift, rays stay."""
        return replace(self, cx=self.cx - x, cy=self.cy - y, width=width, height=height)

    def resize(self, width: int, height: int) -> "Camera":
        """The camera of the image scaled to width x height px; corners map to corners."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            fx=self.fx * sx,
            cx=self.cx * sx,
            fy=self.fy * sy,
            cy=self.cy * sy,
            width=width,
            height=height,
        )

    def flip(self) -> "Camera":
        """The camera of the mirrored image (u -> width - u), for a world mirrored in x (`skeletons.flip`)."""
        mirror = np.diag([-1.0, 1.0, 1.0])
        return replace(
            self,
            cx=self.width - self.cx,
            rotation=mirror @ self.rotation @ mirror,
            translation=mirror @ self.translation,
            lens=self.lens and replace(self.lens, p2=-self.lens.p2),
        )
