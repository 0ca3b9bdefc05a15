"""MuCo-3DHP.json as 3DMPPE composited it, written: a fixture, or a synthetic world in this format."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mp3d import files
from mp3d.data.writers.mupots import poses, seen_by, video_number
from mp3d.errors import BadInput
from mp3d.scene import Scene

_ENDS = [4, 7, 10, 13]  # wrists and ankles, where the fixture's and a synthetic world's hands and toes are


def with_ends(pose: Float[np.ndarray, "*n 17 axes"]) -> Float[np.ndarray, "*n 21 axes"]:
    """17 joints and, as MuCo's last four, r_hand, l_hand, r_toe, l_toe at the wrists and ankles."""
    return np.concatenate([pose, pose[..., _ENDS, :]], -2)


def person(number: int, image: int, xyz: np.ndarray, uv: np.ndarray) -> dict:
    """An annotation; its box is the tightest around the joints."""
    low, high = uv.min(0), uv.max(0)
    return {
        "id": number,
        "image_id": image,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "keypoints_img": uv.tolist(),
        "keypoints_cam": xyz.tolist(),
        "keypoints_vis": [1] * len(xyz),
    }


def dumps(images: list[dict], annotations: list[dict]) -> bytes:
    """A file of images and annotations, without categories."""
    return json.dumps({"images": images, "annotations": annotations}).encode()


def fixture(folder: Path, seed: int = 0) -> None:
    """`MuCo-3DHP.json`: images 7, of two people, 9, of nobody, and 3, of three; 2048 x 2048 px.

    f is 1500, 1495 and c 1024, 1050 px. The annotations of the images alternate, and their ids skip numbers. Toes are
    150 mm before the ankles (z), hands 80 mm below the wrists (y).
    """
    images = [
        {"id": 7, "file_name": "augmented_set/1/000007.jpg"},
        {"id": 9, "file_name": "augmented_set/1/000009.jpg"},
        {"id": 3, "file_name": "unaugmented_set/2/000003.jpg"},
    ]
    images = [i | {"width": 2048, "height": 2048, "f": [1500.0, 1495.0], "c": [1024.0, 1050.0]} for i in images]
    people = []
    for image, count in ((7, 2), (3, 3)):
        xyz = with_ends(poses(1, count, seed + image)[0])
        xyz[:, 17:19, 1] += 80
        xyz[:, 19:21, 2] -= 150
        uv = seen_by(xyz, (1500.0, 1495.0, 1024.0, 1050.0))
        people += [person(10 * k + image, image, xyz[k], uv[k]) for k in range(count)]
    people.sort(key=lambda annotation: annotation["id"])
    files.write(Path(folder) / "MuCo-3DHP.json", dumps(images, people))


def write(scenes: Iterable[Scene], folder: Path) -> None:
    """A synthetic world as `MuCo-3DHP.json`, in `unaugmented_set`, frame 3 of D7 as 7/000003.jpg.

    Hands and toes, which a synthetic world has not, are at the wrists and ankles. Not kept: what is hidden, identities
    (the order of people remains), the world's frame, kinds.

    Raises
    ------
    BadInput : a person of other joints than MPI17, or with a joint that is not there; a name without a number
    """
    images, people = [], []
    for i, scene in enumerate(scenes):
        camera = scene.camera
        images.append(
            {
                "id": i,
                "file_name": f"unaugmented_set/{video_number(scene.sequence)}/{scene.frame:06d}.jpg",
                "width": camera.width,
                "height": camera.height,
                "f": [float(camera.fx), float(camera.fy)],
                "c": [float(camera.cx), float(camera.cy)],
            }
        )
        for one in scene.people:
            if one.xyz.shape != (17, 3) or not np.isfinite(one.xyz).all():
                raise BadInput("writers.muco", f"{scene.sequence}, frame {scene.frame}", "a person", "MPI17, whole")
            people.append(person(len(people), i, with_ends(one.xyz), with_ends(one.uv)))
    files.write(Path(folder) / "MuCo-3DHP.json", dumps(images, people))
