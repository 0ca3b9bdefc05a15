"""MPII Human Pose: people in 2D, in pictures from videos of everyday activities; two JSON dialects.

- 3DMPPE's `annotations/train.json`, in COCO's layout with 16 joints, v = 1 for every labelled joint: whether it is
  hidden was not kept, so they count as hidden, which here means unsure. Its category's `skeleton` counts from 0.
- HRNet's and mmpose's list, `annot/{train,valid}.json`: a record a person, {image, joints 16 x 2, joints_vis 16,
  center, scale}; `scale` times 200 px is the person's height. A joint that is not visible is hidden if it has
  coordinates, absent if these are not positive. No sizes of pictures are stored.

HRNet's list has the pixels of the original MATLAB file, which counts from 1: HRNet and mmpose take 1 off when they read
it, and so does this reader. From where 3DMPPE's counts is documented nowhere; it is read as it is, as 3DMPPE does.

16 joints, right before left, root 6. There is no third dimension and no calibration: `xyz` is NaN, the camera a
dummy with f = 1500 px and its centre in the middle (3DMPPE's).
"""

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mp3d.camera import Camera
from mp3d.data import coco, safe
from mp3d.errors import BadInput, MissingData
from mp3d.scene import ABSENT, HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import MPII16

WORLD = "mpii"
FILES = ("annotations/{split}.json", "annot/{split}.json", "annotations/mpii_{split}.json")
"""Where 3DMPPE, HRNet and mmpose put it."""


def scenes(root: Path | str, split: str = "train") -> Iterator[Scene]:
    """The pictures with people in them, one at a time; `sequence` is the picture's name, `frame` 0.

    Parameters
    ----------
    root : the folder that holds one of `FILES`, or the JSON file itself
    split : "train", "valid" or "val", as the file is called

    Raises
    ------
    MissingData, BadInput
    """
    path = Path(root)
    if path.suffix != ".json":
        places = [path / name.format(split=split) for name in FILES]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise MissingData(f"{root}: none of " + ", ".join(name.format(split=split) for name in FILES))
    for key, _, _ in safe.records(path):
        yield from _records(path, Path(root)) if key == "" else _coco(path)
        return
    raise BadInput(path, "JSON", "nothing in it", "MPII's annotations")


def _coco(path: Path) -> Iterator[Scene]:
    """3DMPPE's dialect."""
    for image, annotations in coco.images(path):
        name, width, height = coco.picture(image, path)
        people = [coco.person(annotation, MPII16, path) for annotation in annotations]
        people = tuple(one.canonical() for one in people if one is not None)
        if people:
            yield _scene(people, name, width, height)


def _records(path: Path, root: Path) -> Iterator[Scene]:
    """HRNet's and mmpose's dialect. In memory: each picture's name, and a number a person."""
    pictures: dict[str, array] = {}
    for _, offset, record in safe.records(path):
        pictures.setdefault(safe.get(record, "image", str, path, "[]"), array("q")).append(offset)
    with path.open("rb") as file:
        for name, offsets in pictures.items():
            found = [_person(safe.record_at(file, offset, path), i, path) for i, offset in enumerate(offsets)]
            people = tuple(one for one, _ in found if one is not None)
            if people:
                reach = np.ceil(np.max([corner for _, corner in found], 0)).astype(int)
                yield _scene(people, name, *_size(root, name, reach))


def _person(record: dict, identity: int, path: Path) -> tuple[Person | None, np.ndarray]:
    """The person of a record, None if no joint is labelled; and the right lower corner of all that is theirs, px."""
    where = f"[] of image {record.get('image')}"[:60]
    uv = safe.array(safe.get(record, "joints", list, path, where), path, f"{where}.joints", (16, 2)) - 1
    seen = safe.array(safe.get(record, "joints_vis", list, path, where), path, f"{where}.joints_vis", (16,))
    if not np.isin(seen, (0, 1)).all():
        raise BadInput(path, f"{where}.joints_vis", f"{seen.max()}", "0 or 1")
    centre = safe.array(safe.get(record, "center", list, path, where), path, f"{where}.center", (2,)) - 1
    scale = safe.get(record, "scale", (int, float), path, where)
    if not 0 < scale < 1000:
        raise BadInput(path, f"{where}.scale", scale, "the person's height in units of 200 px")
    there = (uv > -1).all(1)
    visibility = np.where(seen > 0, VISIBLE, np.where(there, HIDDEN, ABSENT)).astype(np.uint8)
    if np.abs(uv[visibility > ABSENT]).max(initial=0) > 1 << 16:
        raise BadInput(path, f"{where}.joints", f"{np.abs(uv).max()}", "px of a picture")
    corner = np.max([centre + 1, *uv[visibility > ABSENT] + 1], 0)
    one = coco.flat_person(uv, visibility, MPII16, identity) if visibility.any() else None
    return one and one.canonical(), np.clip(corner, 1, 1 << 16)


def _size(root: Path, name: str, reach: np.ndarray) -> tuple[int, int]:
    """Width and height, px: the picture's, where `root` has it; else the smallest that holds its people's joints."""
    picture = root / "images" / Path(name).name
    try:
        there = picture.is_file()
    except OSError as error:  # a name that no file can have
        raise BadInput(root, "[].image", f"{name!r:.60}", f"a file name ({error.strerror})") from None
    if not there:
        return int(reach[0]), int(reach[1])
    from PIL import Image

    safe.check(picture)
    try:
        with Image.open(picture) as image:
            return image.size
    except Exception as error:  # a damaged picture may raise anything
        raise BadInput(picture, "picture", f"{type(error).__name__}: {error}"[:120], "a picture") from None


def _scene(people: tuple[Person, ...], name: str, width: int, height: int) -> Scene:
    return Scene(Camera(1500.0, 1500.0, width / 2, height / 2, width, height), people, WORLD, name)
