"""What every method is shown: the same test pictures of the worlds, or a picture of the reader's."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from PIL import Image

from mp3d import plots
from mp3d.batch import Batch
from mp3d.camera import Camera
from mp3d.errors import BadInput, MissingData
from mp3d.scene import NATIVE, Person, Scene
from mp3d.skeletons import MPI17, SMAP15, Skeleton
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import films

MIRRORS = {"mupots3d": "duet", "panoptic": "studio", "h36m": "solo"}
"""The world that mirrors each data set."""
SIZES = {"smoke": (64, 40), "cpu": (256, 160), "gpu": (256, 160), "paper": (832, 512)}
"""px, of a profile's test pictures."""
FRAMES = {"smoke": 1, "cpu": 10, "gpu": 40, "paper": 40}
"""Pictures of each test video."""


def device() -> str:
    """Where networks are trained and tested."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=8)
def test_pictures(world: str, profile: str, split: str = "test") -> list[tuple[str, Batch]]:
    """The world's test videos, some frames of each: the same for every network and seed."""
    videos = films(world, seed=0, split=split, frames=FRAMES[profile])
    return [(film.sequence[0], render(film, *SIZES[profile], seed=1).batch) for film in videos]


def scenes(batch: Batch) -> list[Scene]:
    """The truth of some pictures as records."""
    height, width = batch.image.shape[2:]
    xyz, uv, k = (x.double().cpu().numpy() for x in (batch.xyz, batch.uv, batch.k))
    seen, there = batch.visibility.cpu().numpy(), batch.there.cpu().numpy()
    native = np.full(len(MPI17), NATIVE, np.uint8)
    return [
        Scene(
            Camera(*k[b].tolist(), width, height),
            tuple(Person(xyz[b, p], uv[b, p], seen[b, p], native, p) for p in np.flatnonzero(there[b]).tolist()),
        )
        for b in range(len(batch))
    ]


def activities(table: pd.DataFrame, metrics: Sequence[str] = ("mpjpe", "rt_error", "pcod")) -> pd.DataFrame:
    """Table 1: mean of the test videos of each activity, and of the four, by metric and method."""
    some = table.assign(activity=[ACTIVITY.get(scene, "others") for scene in table["scene"]])
    long = some.melt(["variant", "activity"], list(metrics), "metric")
    wide = long.pivot_table(index=["metric", "variant"], columns="activity", values="value", sort=False)
    names = [name for name in ("haggling", "mafia", "ultimatum", "pizza") if name in wide]
    return wide[names].assign(average=wide[names].mean(axis=1)).rename_axis(["metric", "method"])


ACTIVITY = {"P1": "haggling", "P2": "haggling", "P3": "mafia", "P4": "mafia", "P5": "ultimatum", "P6": "ultimatum"}
ACTIVITY |= {"P7": "pizza", "P8": "pizza"}
"""Videos of `studio` that mirror Panoptic's four test activities (`synthetic.worlds.STUDIO`)."""


def own(picture: str, focal: float | int, batch: Batch) -> tuple[UInt8[np.ndarray, "H W 3"], Camera]:
    """A file of the reader's with its camera, or the first picture of a batch where there is no file.

    Parameters
    ----------
    focal : px of the file; 0: its width

    Raises
    ------
    MissingData : there is no such file
    BadInput : it is no picture, or a negative focal length
    """
    if not picture:
        height, width = batch.image.shape[2:]
        return batch.image[0].permute(1, 2, 0).numpy(), Camera(*batch.k[0].double().tolist(), width, height)
    path = Path(picture).expanduser()
    if not path.is_file():
        raise MissingData(f"{path}: there is no such picture")
    if focal < 0:
        raise BadInput("picture", "focal", focal, "px, or 0 for the picture's width")
    try:
        image = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise BadInput(path, "file", str(error), "a picture that Pillow can read") from error
    height, width = image.shape[:2]
    focal = focal or width
    return image, Camera(focal, focal, width / 2, height / 2, width, height)


def drawn(
    image: UInt8[np.ndarray, "h w 3"], people: Sequence[Person], skeleton: Skeleton = SMAP15
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The picture with its people; joints that were not found in it are marked as hidden ones are."""
    uv = np.stack([p.uv for p in people]) if people else np.zeros((0, len(skeleton), 2))
    seen = np.stack([p.visibility for p in people]) if people else np.zeros((0, len(skeleton)), np.uint8)
    return plots.drawn_people(image, uv, seen, skeleton, scale=max(1, 512 // image.shape[1]))
