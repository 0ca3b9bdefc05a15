"""COCO's key points: `annotations/person_keypoints_val2017.json`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mp3d.files import write as write_file
from mp3d.scene import Scene
from mp3d.skeletons import COCO17, convert, convert_visibility

_CATEGORY = {
    "supercategory": "person",
    "id": 1,
    "name": "person",
    "keypoints": [
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ],
    "skeleton": [
        *([16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9]),
        *([8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]),
    ],
}
# px to the person's own left of and above the middle of the hips, for someone who looks at the camera.
_BODY = np.array(
    [
        *((0, 150), (6, 157), (-6, 157), (14, 152), (-14, 152), (38, 110), (-38, 110)),
        *((52, 50), (-54, 52), (56, 0), (-66, 6), (25, 0), (-25, 0), (28, -90), (-29, -88), (30, -180), (-32, -178)),
    ],
    float,
)


def joints(number: int, seed: int = 0) -> np.ndarray:
    """(17, 2) px: whole numbers, as COCO's are: person `number`, 150 px to the right of the one before."""
    left, up = (_BODY + np.random.default_rng(seed).integers(-2, 3, (17, 2))).T
    return np.stack([120 + 150 * number + left, 240 - up], 1)


def fixture(folder: Path, seed: int = 0) -> None:
    """Four pictures of 640 x 480.

    1000: three people: all joints seen; the left arm hidden (v = 1), the legs not labelled; two joints labelled.
    1001: one person and a crowd. 1002: a person without key points. 1003: nobody.
    """
    everything = np.full(17, 2)
    part = np.array([2, 2, 2, 2, 2, 2, 2, 1, 2, 1, 2, 2, 2, 0, 0, 0, 0])
    two = np.where(np.arange(17) < 2, 2, 0)
    people = [
        (1000, joints(0, seed), everything, 0),
        (1000, joints(1, seed), part, 0),
        (1000, joints(2, seed), two, 0),
        (1001, joints(1, seed), everything, 0),
        (1001, joints(2, seed), everything, 1),
        (1002, joints(0, seed), 0 * everything, 0),
    ]
    _write(Path(folder), [(number, 640, 480) for number in range(1000, 1004)], people)


def write(scenes: Iterable[Scene], folder: Path) -> None:
    """A synthetic world's people in 2D alone, to a hundredth of a px; the pictures are numbered from 0.

    The format has no neck, pelvis, spine or head of MPI17, the worlds no face: 12 joints remain. What lies outside
    the picture is not labelled, as in COCO.
    """
    images, people = [], []
    for number, scene in enumerate(scenes):
        size = (scene.camera.width, scene.camera.height)
        images.append((number, *size))
        for person in scene.people:
            uv = convert(person.uv, person.skeleton, COCO17)[0]
            inside = ((uv >= 0) & (uv < size)).all(1)
            v = convert_visibility(person.visibility, person.skeleton, COCO17) * inside
            people.append((number, np.round(uv, 2), v, 0))
    _write(Path(folder), images, people)


def _write(folder: Path, sizes: list[tuple[int, int, int]], people: list[tuple[int, np.ndarray, Any, int]]) -> None:
    """`people`: the picture's id, 17 joints in px, their v, iscrowd."""
    images = [
        {"license": 1, "file_name": f"{number:012d}.jpg", "height": height, "width": width, "id": number}
        for number, width, height in sizes
    ]
    annotations = []
    for i, (number, uv, v, crowd) in enumerate(people):
        there = np.asarray(v) > 0
        uv = np.where(there[:, None], uv, 0)
        low, high = (uv[there].min(0), uv[there].max(0)) if there.any() else (np.zeros(2), np.ones(2))
        corners = [low[0], low[1], high[0], low[1], high[0], high[1], low[0], high[1]]
        annotations.append(
            {
                "segmentation": {"counts": [0], "size": [1, 1]} if crowd else [[float(c) for c in corners]],
                "num_keypoints": int(there.sum()),
                "area": float(np.prod(high - low)),
                "iscrowd": crowd,
                "keypoints": [
                    n for (x, y), one in zip(uv.tolist(), v, strict=True) for n in (_plain(x), _plain(y), int(one))
                ],
                "image_id": number,
                "bbox": [float(n) for n in (*low, *(high - low))],
                "category_id": 1,
                "id": i + 1,
            }
        )
    content = {
        "info": {"description": "made by mp3d in COCO's format"},
        "licenses": [{"id": 1, "name": "made by mp3d", "url": ""}],
        "images": images,
        "annotations": annotations,
        "categories": [_CATEGORY],
    }
    path = folder / "annotations" / "person_keypoints_val2017.json"
    write_file(path, json.dumps(content, allow_nan=False).encode())


def _plain(x: float) -> float | int:
    return int(x) if x == int(x) else x
