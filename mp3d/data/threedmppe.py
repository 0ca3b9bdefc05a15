"""The JSON files of 3DMPPE and PI-Net: MuPoTS-3D and MuCo-3DHP, what detectors found, what PoseNet estimated.

Moon et al., *Camera Distance-aware Top-down Approach for 3D Multi-person Pose Estimation from a Single RGB Image*,
ICCV 2019 (3DMPPE: RootNet and PoseNet); Guo et al., *PI-Net*, WACV 2021. Objects with `images` and `annotations`, as in
COCO but without `categories`; mm in the camera's frame, y down; 2D in px as released, nothing is shifted.

- `MuPoTS-3D.json`: 17 joints, an image's `intrinsic` fx, fy, cx, cy, and `is_valid`: 3DMPPE leaves out people who are
  not, PI-Net does not. Whether its 3D is `annot3` or `univ_annot3` of the data set is documented nowhere.
- `MuCo-3DHP.json`: 21 joints, `f` and `c`; its images are composited of people recorded alone. `keypoints_vis` is no
  occlusion label there and 3DMPPE does not use it: every joint is taken as visible. `R` and `T`, in some copies, are
  not needed, since poses are in the camera's frame.
- `MuPoTS-3D_with_posenet_result.json` and `MuCo-3DHP_with_posenent_result_filter.json` (their spelling) are the same
  with PoseNet's estimate a person, `keypoints_cam_posenet`: PI-Net's whole input.
- Lists of boxes, see `detections`: some are enlarged, some are not.

Images are found by their `id`; neither ids nor the order of the annotations is assumed. Nothing names a person from
frame to frame: `identity` is the place among the image's annotations. The files, up to gigabytes, are read twice: once
for where in the file an image's people begin, once to yield them; of the poses, one image's are in memory at a time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from mp3d.camera import Camera
from mp3d.data import coco, mupots, safe
from mp3d.errors import BadInput
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import MPI17, MUCO21, NATIVE, Skeleton, convert

_NAME = re.compile(r"(TS\d+)/img_(\d{6})\.jpg")
APART = 500.0
"""mm between roots, see `apart`."""


class Refinable(NamedTuple):
    """One image for PI-Net: the truth, and its input.

    Parameters
    ----------
    scene : the people as annotated, in the same order as below
    poses : PoseNet's estimates, mm in the camera's frame
    boxes : x, y, width, height in px as in the file, not enlarged; the released code orders people by their centres
    """

    scene: Scene
    poses: Float[np.ndarray, "P 17 3"]
    boxes: Float[np.ndarray, "P 4"]


@dataclass(frozen=True, eq=False)
class RootDetections:
    """N boxes, in the order of the file.

    Parameters
    ----------
    image_id : `id` of the image, in the JSON file of the data set
    boxes : x, y, width, height in px
    enlarged : whether the boxes are already square and 1.25 times as large, as PoseNet and RootNet crop. Enlarge them
        before cropping if not; never enlarge them again if so
    scores : the detector's confidence; 1 in a file of true boxes
    roots : mm in the camera's frame; None in a file of boxes alone
    """

    image_id: Int[np.ndarray, " N"]
    boxes: Float[np.ndarray, "N 4"]
    enlarged: bool
    scores: Float[np.ndarray, " N"]
    roots: Float[np.ndarray, "N 3"] | None


def scenes(path: str | Path, valid_only: bool = True) -> Iterator[Scene]:
    """Every image of MuPoTS-3D.json or MuCo-3DHP.json, also those without people, in the order of `images`.

    In MuPoTS `sequence` is "TS1" to "TS20" and `frame` counts from 0 as its file names do; in MuCo `sequence` is the
    folder and `frame` the image's id (`file_names`).

    Parameters
    ----------
    valid_only : leave out people whose `is_valid` is 0, as 3DMPPE does and PI-Net does not

    Raises
    ------
    MissingData : no such file
    BadInput : a damaged file; a field that is missing or of another shape; an id twice, an annotation without image
    """
    for image in _images(Path(path), valid_only):
        yield image.scene()


def refinable(path: str | Path, valid_only: bool = False) -> Iterator[Refinable]:
    """PI-Net's input and truth: every image of one of its files in which PoseNet estimated somebody.

    People without an estimate are left out; those who are not valid stay, as in the released code, unless `valid_only`.
    """
    for image in _images(Path(path), valid_only):
        image.people = [(k, a, where) for k, a, where in image.people if "keypoints_cam_posenet" in a]
        if image.people:
            yield Refinable(image.scene(), *image.estimates())


def apart(scene: Scene) -> Scene:
    """3DMPPE's choice of training people in MuCo: the nearest, and who stands clear of everyone else.

    The nearest is the one of the smallest root depth. Clear means a root at least 500 mm from every other's, across the
    optical axis and in space; the first implies the second. In MuCo people are composited, some within others.
    """
    if not scene.people:
        return scene
    roots = scene.roots
    gaps = np.linalg.norm(roots[:, None, :2] - roots[None, :, :2], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    keep = (gaps >= APART).all(1)
    keep[roots[:, 2].argmin()] = True
    people = tuple(person for person, kept in zip(scene.people, keep, strict=True) if kept)
    return Scene(scene.camera, people, scene.world, scene.sequence, scene.frame, scene.kind, scene.image)


def file_names(path: str | Path) -> Iterator[tuple[int, str]]:
    """The id and file name of every image, in the order of the file."""
    path = Path(path)
    for i, (_, _, record) in enumerate(r for r in safe.records(path) if r[0] == "images" and r[1] >= 0):
        where = f"images[{i}]"
        yield _whole(record, "id", path, where), safe.get(record, "file_name", str, path, where)


def intrinsics(path: str | Path) -> dict[str, tuple[float, float, float, float]]:
    """fx, fy, cx, cy in px of each video's first image in MuPoTS-3D.json, for `mupots.compare_intrinsics`."""
    path, found = Path(path), {}
    for i, (_, _, record) in enumerate(r for r in safe.records(path) if r[0] == "images" and r[1] >= 0):
        where = f"images[{i}]"
        sequence, _ = _place(record, path, where)
        if sequence not in found:
            k = safe.array(safe.get(record, "intrinsic", list, path, where), path, f"{where}.intrinsic", (4,))
            found[sequence] = tuple(k.tolist())
    return found


def detections(path: str | Path) -> RootDetections:
    """A list of boxes; which of three kinds it is shows in its fields, the same in every element.

    - `bbox`, `score` (bbox_mupots_output.json, a detector's): not enlarged; RootNet takes these.
    - `bbox`, `score`, `root_cam` (bbox_root_mupots_output.json, RootNet's): square and enlarged by 1.25 already.
    - `bbox`, `root_cam` (bbox_root_mupots_gt.json, PI-Net's true roots): not enlarged.
    """
    path = Path(path)
    ids, boxes, scores, roots = [], [], [], []
    for i, (key, _, record) in enumerate(safe.records(path)):
        if key:
            raise BadInput(path, "contents", f"an object with {key!r:.40}", "a list of boxes")
        where = f"[{i}]"
        ids.append(_whole(record, "image_id", path, where))
        boxes.append(_numbers(record, "bbox", (4,), path, where))
        if "root_cam" in record:
            roots.append(_numbers(record, "root_cam", (3,), path, where))
        if "score" in record:
            scores.append(safe.array(safe.get(record, "score", (int, float), path, where), path, f"{where}.score", ()))
        if len(roots) not in (0, i + 1) or len(scores) not in (0, i + 1) or not (roots or scores):
            raise BadInput(path, where, ", ".join(sorted(record)), "bbox with score, root_cam or both, as the others")
    return RootDetections(
        np.array(ids, np.int64),
        np.array(boxes, float).reshape(-1, 4),
        bool(roots and scores),
        np.array(scores, float) if scores else np.ones(len(ids)),
        np.array(roots, float) if roots else None,
    )


def pairs(path: str | Path) -> dict[int, int]:
    """PI-Net's *_id2pairId.json: an annotation's id to that of the nearest person in the picture, or its own."""
    path, found = Path(path), safe.load_json(path)
    if not isinstance(found, dict):
        raise BadInput(path, "contents", type(found).__name__, "an object")
    for key in found:
        if not re.fullmatch(r"\d{1,15}", key, re.ASCII):
            raise BadInput(path, "key", repr(key)[:40], "an annotation's id")
    return {int(key): _whole(found, key, path, "") for key in found}


# -- Reading one image's records by their place in the file -----------------------------------------------------


class _Image:
    """An image's record and its people's: (place among the image's annotations, record, name for errors)."""

    def __init__(self, record: dict, people: list[tuple[int, dict, str]], path: Path, where: str):
        self.record, self.people, self.path, self.where = record, people, path, where

    def scene(self) -> Scene:
        size = tuple(_whole(self.record, side, self.path, self.where) for side in ("width", "height"))
        mupots_like = "intrinsic" in self.record
        if mupots_like:
            k = _numbers(self.record, "intrinsic", (4,), self.path, self.where)
            sequence, frame = _place(self.record, self.path, self.where)
            skeleton, world = MPI17, "mupots3d"
        else:
            k = np.concatenate([_numbers(self.record, key, (2,), self.path, self.where) for key in ("f", "c")])
            name = safe.get(self.record, "file_name", str, self.path, self.where)
            sequence, frame = name.rpartition("/")[0], self.record["id"]
            skeleton, world = MUCO21, "muco3dhp"
        if not (k[:2] > 0).all() or not min(size) > 0:
            found = f"f {k[0]:g}, {k[1]:g}, size {size[0]} x {size[1]}"
            raise BadInput(self.path, self.where, found, "positive focal lengths and sizes")
        people = tuple(self.person(*one, skeleton) for one in self.people)
        return Scene(
            Camera(*k.tolist(), *size), people, world, sequence, frame, "real" if mupots_like else "composited"
        )

    def person(self, identity: int, record: dict, where: str, skeleton: Skeleton) -> Person:
        n = len(skeleton)
        xyz = _numbers(record, "keypoints_cam", (n, 3), self.path, where)
        uv = _numbers(record, "keypoints_img", (n, 2), self.path, where)
        seen = _seen(record, n, self.path, where)
        if skeleton is MUCO21:
            seen = np.full(n, VISIBLE, np.uint8)
        source = np.full(n, NATIVE, np.uint8)
        return Person(xyz, uv, seen, source, identity=identity, skeleton=skeleton).canonical()

    def estimates(self) -> tuple[np.ndarray, np.ndarray]:
        skeleton = MPI17 if "intrinsic" in self.record else MUCO21
        key, shape = "keypoints_cam_posenet", (len(skeleton), 3)
        poses = np.stack([_numbers(record, key, shape, self.path, where) for _, record, where in self.people])
        boxes = np.stack([_numbers(record, "bbox", (4,), self.path, where) for _, record, where in self.people])
        return convert(poses, skeleton, MPI17)[0], boxes


def _images(path: Path, valid_only: bool) -> Iterator[_Image]:
    """Every image with its annotations, those of people who are not valid left out if so wished."""
    for i, image, found in coco.joined(path):
        people = [(place, record, f"annotations[{row}]") for place, (row, record) in enumerate(found)]
        if "intrinsic" in image:  # MuPoTS; MuCo knows no such thing
            people = [one for one in people if _valid(one[1], path, one[2]) or not valid_only]
        yield _Image(image, people, path, f"images[{i}]")


def _valid(record: dict, path: Path, where: str) -> bool:
    valid = safe.get(record, "is_valid", (int, bool), path, where)
    if valid not in (0, 1):
        raise BadInput(path, f"{where}.is_valid", repr(valid)[:40], "0 or 1")
    return bool(valid)


def _whole(record: Any, key: str, path: Path, where: str) -> int:
    value = safe.get(record, key, int, path, where)
    return int(safe.array(value, path, f"{where}.{key}", (), int))


def _numbers(record: Any, key: str, shape: tuple[int, ...], path: Path, where: str) -> Float[np.ndarray, "*shape"]:
    return safe.array(safe.get(record, key, list, path, where), path, f"{where}.{key}", shape)


def _seen(record: Any, joints: int, path: Path, where: str) -> UInt8[np.ndarray, " J"]:
    """`keypoints_vis`, of shape (J,) in some copies and (J, 1) in others: 0 hidden, else seen."""
    values = safe.array(safe.get(record, "keypoints_vis", list, path, where), path, f"{where}.keypoints_vis")
    if values.shape not in ((joints,), (joints, 1)):
        raise BadInput(path, f"{where}.keypoints_vis", f"shape {values.shape}", f"({joints},) or ({joints}, 1)")
    return np.where(values.reshape(joints) > 0, VISIBLE, HIDDEN).astype(np.uint8)


def _place(record: Any, path: Path, where: str) -> tuple[str, int]:
    """Video and frame from a file name such as "TS1/img_000000.jpg"."""
    name = safe.get(record, "file_name", str, path, where)
    match = _NAME.fullmatch(name)
    if not match or match[1] not in mupots.SEQUENCES:
        raise BadInput(path, f"{where}.file_name", repr(name)[:60], "such as TS1/img_000000.jpg")
    return match[1], int(match[2])
