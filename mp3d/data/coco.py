"""COCO key points 2017, `person_keypoints_{train,val}2017.json`: people in 2D, in pictures of everyday life.

17 joints, left before right, each x, y in px and v: 0 not labelled (x = y = 0), 1 hidden, 2 visible. There is no
third dimension and no calibration: `xyz` is NaN, and the camera is the dummy that a paper trains with. Pixels are
the file's own. The file is read twice, record by record, whatever its size: first where each record begins, then
picture by picture. Guarded against: crowds (`iscrowd`), whose key points mean nothing; unlabelled joints taken for
joints at (0, 0); key points in another order than COCO's; `skeleton`, which counts from 1; pictures turned by their
Exif tag. `images` and `person` serve other data sets in COCO's layout (Human3.6M, 3DPW, MPII).
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mp3d.camera import Camera
from mp3d.data import safe
from mp3d.errors import BadInput
from mp3d.scene import ABSENT, Person, Scene
from mp3d.skeletons import APPROXIMATE, COCO17, MPI17, NATIVE, Skeleton

WORLD = "coco2017"
NAMES = tuple({"l_": "left_", "r_": "right_"}.get(j[:2], j[:2]) + j[2:] for j in COCO17.joints)
"""The key points as the file's own category names them."""
SMAP_NECK = 0.185
"""SMAP puts the neck above the middle of the shoulders, by this part of the trunk (its `create_annot.py`)."""


def scenes(root: Path | str, split: str = "val2017", like: str = "threedmppe") -> Iterator[Scene]:
    """The pictures with people in them, a picture at a time; `frame` is COCO's picture id, `identity` its label's id.

    Parameters
    ----------
    root : the folder with `annotations/`, or the JSON file itself
    split : "train2017" or "val2017"
    like : whose use of COCO. Both take neck and pelvis as midpoints, at most as visible as the ends, unless said.
        "threedmppe": f = 1500 px, everyone with a key point. "smap": f = the picture's width, people with at
        least 3 key points, the neck by `SMAP_NECK`

    Raises
    ------
    MissingData, BadInput
    """
    if like not in ("threedmppe", "smap"):
        raise BadInput("coco.scenes", "like", repr(like), "threedmppe or smap")
    path = Path(root)
    if path.suffix != ".json":
        path = path / "annotations" / f"person_keypoints_{split}.json"
    for image, annotations in images(path, names=NAMES):
        _, width, height = picture(image, path)
        people = []
        for annotation in annotations:
            native = person(annotation, COCO17, path)
            if native is None or (like == "smap" and np.count_nonzero(native.visibility) < 3):
                continue
            people.append(_smap(native.canonical()) if like == "smap" else native.canonical())
        if people:
            f = float(width) if like == "smap" else 1500.0
            camera = Camera(f, f, width / 2, height / 2, width, height)
            yield Scene(camera, tuple(people), WORLD, path.stem.removeprefix("person_keypoints_"), image["id"])


def image_path(root: Path | str, split: str, scene: Scene) -> Path:
    """Where the scene's picture lies, as COCO unpacks."""
    return Path(root) / split / f"{scene.frame:012d}.jpg"


def edges(category: dict[str, Any], where: object = "categories[0]") -> list[tuple[int, int]]:
    """The bones of a category's `skeleton`, which counts joints from 1, as pairs that count from 0."""
    joints = len(safe.get(category, "keypoints", list, where))
    pairs = safe.array(safe.get(category, "skeleton", list, where), where, "skeleton", (None, 2), int)
    if pairs.min(initial=1) < 1 or pairs.max(initial=1) > joints:
        raise BadInput(where, "skeleton", f"{pairs.min()} to {pairs.max()}", f"joints from 1 to {joints}")
    return [(int(a), int(b)) for a, b in pairs - 1]


# -- COCO's layout, which other data sets use too -----------------------------------------------------------


def images(
    path: Path | str, wanted: Callable[[dict[str, Any]], bool] | None = None, names: Sequence[str] | None = None
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """`joined` without the rows: each record of `images` with its records of `annotations`."""
    for _, image, found in joined(path, wanted, names):
        yield image, [annotation for _, annotation in found]


def joined(
    path: Path | str, wanted: Callable[[dict[str, Any]], bool] | None = None, names: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, Any], list[tuple[int, dict[str, Any]]]]]:
    """Each record of `images` with its records of `annotations`, and their rows in these arrays; in the file's order.

    In memory are two numbers a record, and the records of one picture.

    Parameters
    ----------
    wanted : which pictures; all if None
    names : what `categories` must name as its key points, where it names any
    """
    path = Path(path)
    ids, rows, starts, of, at = (array("q") for _ in range(5))
    lists = set()
    for key, offset, record in safe.records(path):
        if key in ("images", "annotations") and offset < 0:
            raise BadInput(path, key, type(record).__name__, "an array")
        lists.add(key)
        if key == "images":
            ids.append(_number(record, "id", path, f"images[{len(ids)}]"))
            if wanted is None or wanted(record):
                rows.append(len(ids) - 1)
                starts.append(offset)
        elif key == "annotations":
            of.append(_number(record, "image_id", path, f"annotations[{len(of)}]"))
            at.append(offset)
        elif key == "categories" and names is not None and isinstance(record, dict):
            named = record.get("keypoints", list(names))
            if named != list(names):
                raise BadInput(path, "categories[].keypoints", f"{named}"[:80], f"{list(names)}"[:80])
    for key in ("images", "annotations"):
        if key not in lists:
            raise BadInput(path, key, "nothing", "an array with records")
    known, counts = np.unique(np.frombuffer(ids, np.int64), return_counts=True)
    if (counts > 1).any():
        raise BadInput(path, "images", f"id {known[counts > 1][0]} {counts.max()} times", "every id once")
    owner = np.frombuffer(of, np.int64)
    if len(lost := np.flatnonzero(~np.isin(owner, known))):
        raise BadInput(path, f"annotations[{lost[0]}].image_id", int(owner[lost[0]]), "an id in images")
    order = np.argsort(owner, kind="stable")
    owner = owner[order]
    with path.open("rb") as file:
        for row, start in zip(rows, starts, strict=True):
            first, last = (np.searchsorted(owner, ids[row], side) for side in ("left", "right"))
            found = [(int(k), safe.record_at(file, at[k], path)) for k in order[first:last]]
            yield row, safe.record_at(file, start, path), found


def _number(record: Any, key: str, path: Path, field: str) -> int:
    """An id: a whole number that fits 63 bits."""
    value = safe.get(record, key, int, path, field)
    if not 0 <= value < 2**62:
        raise BadInput(path, f"{field}.{key}", f"{value}"[:40], "a whole number from 0, of at most 62 bits")
    return value


def picture(image: dict[str, Any], path: Path) -> tuple[str, int, int]:
    """File name, width and height in px of a record of `images`."""
    name = safe.get(image, "file_name", str, path, "images[]")
    size = [safe.get(image, key, int, path, "images[]") for key in ("width", "height")]
    if not all(0 < side <= 1 << 16 for side in size):
        raise BadInput(path, "images[].width, height", size, "1 to 65536 px")
    return name, *size


def person(annotation: dict[str, Any], skeleton: Skeleton, path: Path) -> Person | None:
    """A record of `annotations` as a person in 2D; None for a crowd, and for someone without a key point."""
    where = f"annotations[] of id {annotation.get('id')}"[:60]
    identity = _number(annotation, "id", path, "annotations[]")
    if annotation.get("iscrowd", 0) not in (0, 1):
        raise BadInput(path, f"{where}.iscrowd", f"{annotation['iscrowd']!r:.40}", "0 or 1")
    if annotation.get("iscrowd", 0):
        return None
    flat = safe.get(annotation, "keypoints", list, path, where)
    points = safe.array(flat, path, f"{where}.keypoints", (3 * len(skeleton),)).reshape(-1, 3)
    if np.abs(points).max() > 1 << 16:
        raise BadInput(path, f"{where}.keypoints", f"{np.abs(points).max():.3g}", "at most 65536 px")
    v = points[:, 2]
    if not np.isin(v, (0, 1, 2)).all():
        raise BadInput(path, f"{where}.keypoints", "v = " + ", ".join(map(str, np.unique(v)[:5])), "v = 0, 1 or 2")
    visibility = v.astype(np.uint8)
    count = safe.get(annotation, "num_keypoints", int, path, where)
    if count != np.count_nonzero(visibility):
        raise BadInput(path, f"{where}.num_keypoints", count, f"{np.count_nonzero(visibility)}, the joints with v > 0")
    return flat_person(points[:, :2], visibility, skeleton, identity) if count else None


def flat_person(uv: np.ndarray, visibility: UInt8[np.ndarray, " J"], skeleton: Skeleton, identity: int) -> Person:
    """A person in 2D alone, in the data set's joints."""
    there = visibility > ABSENT
    return Person(
        np.full((len(skeleton), 3), np.nan),
        np.where(there[:, None], uv, np.nan),
        visibility,
        np.where(there, NATIVE, ABSENT).astype(np.uint8),
        identity,
        skeleton,
    )


def _smap(one: Person) -> Person:
    """The neck where SMAP puts it: seen no better than the worst of shoulders and pelvis."""
    neck, pelvis, shoulders = MPI17.index("neck"), MPI17.index("pelvis"), [2, 5]
    middle = one.uv[shoulders].mean(0)
    uv, visibility, source = one.uv.copy(), one.visibility.copy(), one.source.copy()
    uv[neck] = middle + SMAP_NECK * (middle - one.uv[pelvis])
    visibility[neck] = min(visibility[[*shoulders, pelvis]])
    source[neck] = APPROXIMATE if visibility[neck] else ABSENT
    return replace(one, uv=uv, visibility=visibility, source=source)
