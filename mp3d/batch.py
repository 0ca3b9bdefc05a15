"""Pictures with their truth as padded tensors: what networks are trained and tested on."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mp3d.errors import BadInput
from mp3d.scene import ABSENT, HIDDEN, Scene


@dataclass(frozen=True, eq=False)
class Batch:
    """B pictures of one size with up to P people in each, in `MPI17`.

    Parameters
    ----------
    image : (B, 3, H, W) RGB
    xyz : (B, P, 17, 3) mm in the camera frame; NaN where nobody stands or a joint is not annotated
    uv : (B, P, 17, 2) px of the picture, NaN likewise; also of joints outside of it
    visibility : (B, P, 17) 0 absent or outside the picture, 1 hidden, 2 visible
    k : (B, 4) fx, fy, cx, cy in px of the picture
    """

    image: UInt8[Tensor, "B 3 H W"]
    xyz: Float[Tensor, "B P 17 3"]
    uv: Float[Tensor, "B P 17 2"]
    visibility: UInt8[Tensor, "B P 17"]
    k: Float[Tensor, "B 4"]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index) -> "Batch":
        """The pictures at `index`, any index of the first axis that keeps it."""
        return Batch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> "Batch":
        """The same on another device."""
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @property
    def there(self) -> Bool[Tensor, "B P"]:
        """(B, P) whether somebody stands at a place: one joint at least is known."""
        return self.uv.isfinite().all(-1).any(-1)

    @property
    def labelled(self) -> Bool[Tensor, "B P 17"]:
        """(B, P, 17) whether a joint is annotated and lies in the picture, hidden ones included."""
        return self.visibility >= HIDDEN

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> "Batch":
        """Scenes with pictures of one size; people are padded to the largest number, one place at least.

        Raises
        ------
        BadInput : no scene, a scene without a picture, pictures of several sizes, or of another size than the camera
        """
        if not scenes:
            raise BadInput("Batch.of", "scenes", "none", "at least one")
        size = (scenes[0].camera.height, scenes[0].camera.width, 3)
        for i, scene in enumerate(scenes):
            found = None if scene.image is None else scene.image.shape
            if found != size:
                raise BadInput("Batch.of", f"scenes[{i}].image", found, f"{size}, as the first camera has it")
        places = max(1, *(len(scene.people) for scene in scenes))
        xyz = np.full((len(scenes), places, 17, 3), np.nan, np.float32)
        uv, seen = xyz[..., :2].copy(), np.full(xyz.shape[:-1], ABSENT, np.uint8)
        for i, scene in enumerate(scenes):
            people = len(scene.people)
            xyz[i, :people], uv[i, :people], seen[i, :people] = scene.xyz, scene.uv, scene.visibility
        image = np.stack([scene.image for scene in scenes]).transpose(0, 3, 1, 2)
        k = np.stack([scene.camera.k for scene in scenes]).astype(np.float32)
        return cls(*map(torch.from_numpy, (np.ascontiguousarray(image), xyz, uv, seen, k)))
