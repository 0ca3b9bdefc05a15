"""The network: one pass over the whole picture, whoever is in it (section 3.1)."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mp3d.camera import Camera
from mp3d.canvas import Canvas, fit_canvas, one_picture
from mp3d.errors import BadInput
from mp3d.nn.hourglass import Hourglass
from mp3d.nn.mspn import MSPN, Head
from mp3d.papers.smap.config import Reading, SMAPConfig
from mp3d.papers.smap.decode import LENGTHS, decode
from mp3d.papers.smap.refine import RefineNet, refine
from mp3d.papers.smap.targets import BONES, Maps
from mp3d.scene import Person
from mp3d.skeletons import SMAP15
from mp3d.training import load_model, save_model

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, RGB."""
TYPICAL = 5000.0
"""mm: root depth of an untrained network, so that training need not begin at 0 (our choice)."""
DEEP = 200.0
"""mm of relative depth for 1 of the network's last layer (our choice)."""
QUIET = 0.1
"""Deviation of an untrained network's maps: most cells hold nothing (our choice)."""


class Network(nn.Module):
    """Trunk and branches: `Maps` by stage and scale, coarse to fine. The paper's: 91,318,696 parameters."""

    def __init__(self, config: SMAPConfig = SMAPConfig()):
        super().__init__()
        self.config = config
        if config.trunk == "mspn":
            self.trunk = MSPN(config.maps, config.stages, config.width, config.blocks, config.decoder)
        else:
            self.trunk = Hourglass(config.maps, config.stages, config.width)
        for layer in self.modules():
            if isinstance(layer, Head):
                nn.init.constant_(layer[-1][-1].weight, QUIET)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> list[list[Maps]]:
        """Canvases, RGB."""
        mean, deviation = (torch.tensor(x, device=images.device).view(3, 1, 1) for x in (MEAN, DEVIATION))
        x = ((images / 255 - mean) / deviation).contiguous(memory_format=torch.channels_last)
        return [[self._maps(*branches) for branches in scales] for scales in self.trunk(x)]

    def _maps(self, first: Tensor, *others: Tensor) -> Maps:
        roots = TYPICAL * (1 + others[-1].float())  # bfloat16 would round it to 3 cm
        if self.config.branches == "root":
            return Maps(first, roots)
        heat, fields = first[:, : len(SMAP15)], first[:, len(SMAP15) :].unflatten(1, (len(BONES), 2))
        return Maps(heat, roots, fields, DEEP * others[0] if self.config.branches == "all" else None)


class SMAP(nn.Module):
    """The network, the mean lengths of bones, and RefineNet, which is trained afterwards, on what the network says."""

    def __init__(self, config: SMAPConfig = SMAPConfig()):
        super().__init__()
        self.config = config
        self.network = Network(config)
        self.refinement = RefineNet()
        self.register_buffer("refines", torch.tensor(False))  # whether RefineNet has been trained
        self.register_buffer("lengths", LENGTHS.clone())

    def maps(
        self, images: UInt8[Tensor, "B 3 h w"], reading: Reading = Reading(), chunk: int = 16
    ) -> tuple[Maps, Canvas]:
        """The maps that are read, of pictures of any one size, `chunk` at a time.

        Raises
        ------
        BadInput : no pictures of (B, 3, h, w), uint8
        """
        if reading.scales > 1 and not (self.config.multiscale and self.config.trunk == "mspn"):
            raise BadInput(
                "SMAP", "reading.scales", reading.scales, "1: coarser scales were not trained, or are not there"
            )
        images, canvas = fit_canvas(images.to(next(self.network.parameters()).device), self.config.canvas)
        training = self.training
        self.eval()
        with torch.inference_mode():
            parts = []
            for some in images.split(chunk):
                maps = read(self.network(some), reading)
                if reading.flip:
                    maps = _with_mirrored(maps, read(self.network(some.flip(-1)), reading))
                parts.append(maps)
        self.train(training)
        return Maps(
            *(None if part[0] is None else torch.cat(part).clone() for part in zip(*parts, strict=True))
        ), canvas

    def estimate(
        self, images: UInt8[Tensor, "B 3 h w"], cameras: Float[Tensor, "B 4"], reading: Reading = Reading()
    ) -> list[list[Person]]:
        """Everyone in every picture, in `SMAP15`, mm; completed by RefineNet if it was trained and is asked for.

        Parameters
        ----------
        images : RGB
        cameras : fx, fy, cx, cy in px of each picture

        Raises
        ------
        BadInput : as `maps` and `decode`
        """
        return self.people(*self.maps(images, reading), cameras, reading)

    def people(
        self, maps: Maps, canvas: Canvas, cameras: Float[Tensor, "B 4"], reading: Reading = Reading()
    ) -> list[list[Person]]:
        """As `estimate`, from maps that were had before: readings that differ after them can share one pass."""
        cameras = cameras.to(maps.heatmaps.device, torch.float32)
        found = decode(maps, canvas, cameras, self.config, reading, self.lengths)
        if reading.refined == "no" or not self.refines or maps.parts is None:
            return found
        self.refinement.eval()
        rays = reading.refined == "rays"
        return [
            refine(self.refinement, some, canvas.to(_uv(some, camera)), camera, rays)
            for some, camera in zip(found, cameras, strict=True)
        ]

    def predict(self, image: UInt8[np.ndarray, "h w 3"], camera: Camera | None = None) -> list[Person]:
        """The people in one picture, in `SMAP15`, mm.

        Parameters
        ----------
        image : RGB, as Pillow reads it
        camera : None: a focal length of the picture's width, the paper's default. Who is nearer than whom does not
            depend on it; how far they are does (section 3.3)

        Raises
        ------
        BadInput : no picture of (h, w, 3), uint8; a camera of another size, or with a lens, which must be undone first
        """
        return self.estimate(*one_picture(image, camera, "SMAP.predict"))[0]

    def save(self, path: Path) -> None:
        """Write the weights and the configuration to one file; BadInput where its folder is not there or closed."""
        save_model(self, path)

    @classmethod
    def load(cls, path: Path, config: SMAPConfig | None = None) -> "SMAP":
        """Read what `save` wrote; BadInput where it is not of `config`."""
        return load_model(cls, SMAPConfig, path, config)


def _uv(people: list[Person], like: Tensor) -> Tensor:
    uv = np.stack([p.uv for p in people]) if people else np.zeros((0, len(SMAP15), 2))
    return torch.from_numpy(uv).to(like)


def read(outputs: list[list[Maps]], reading: Reading = Reading()) -> Maps:
    """The maps that are read: of the last stage the finest, or of heatmaps and fields the sum of its finest three."""
    scales = outputs[-1][-reading.scales :]
    maps = scales[-1]
    heat = torch.stack([s.heatmaps for s in scales]).sum(0)
    fields = maps.fields if maps.fields is None else torch.stack([s.fields for s in scales]).sum(0)
    return Maps(heat.float(), maps.roots.float(), *(x if x is None else x.float() for x in (fields, maps.parts)))


def _with_mirrored(maps: Maps, other: Maps) -> Maps:
    """Heatmaps and fields with those of the mirrored picture (released code: fields are halved, heatmaps are not)."""
    mirror = list(SMAP15.mirror)
    if maps.fields is None:
        return maps._replace(heatmaps=maps.heatmaps + other.heatmaps.flip(-1))
    bones = [BONES.index((mirror[a], mirror[b])) for a, b in BONES]
    fields = other.fields[:, bones].flip(-1) * other.fields.new_tensor([-1, 1])[:, None, None]
    heat = maps.heatmaps + other.heatmaps[:, mirror].flip(-1)
    return maps._replace(heatmaps=heat, fields=(maps.fields + fields) / 2)
