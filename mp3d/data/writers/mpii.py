"""MPII's two JSON dialects: 3DMPPE's `annotations/train.json`, HRNet's and mmpose's `annot/valid.json`."""

import json
from pathlib import Path

import numpy as np

from mp3d.files import write as write_file

# px to the person's own right of and above the pelvis, for someone who looks at the camera.
_BODY = np.array(
    [
        *((40, -200), (38, -100), (28, 0), (-28, 0), (-37, -102), (-41, -203)),  # right leg up, left leg down
        *((0, 0), (0, 110), (0, 130), (2, 190)),  # pelvis, thorax, upper neck, head top
        *((70, 0), (60, 55), (42, 112), (-42, 112), (-58, 52), (-66, -4)),  # right arm up, left arm down
    ],
    float,
)


def joints(number: int, seed: int = 0) -> np.ndarray:
    """(16, 2) px, counted from 0: person `number`, 200 px to the right of the one before."""
    right, up = (_BODY + np.random.default_rng(seed).integers(-2, 3, (16, 2))).T
    return np.stack([150 + 200 * number - right, 300 - up], 1)


def fixture(folder: Path, seed: int = 0) -> None:
    """Two pictures of 1280 x 720 in each dialect, with two people and with one.

    HRNet's counts pixels from 1; 3DMPPE's has v = 1 for labelled joints, hidden or not. The second person's left arm is
    hidden and the right ankle not labelled; the third has all joints.
    """
    hidden, absent = np.isin(np.arange(16), (14, 15)), np.arange(16) == 0
    people = [("000001.jpg", 0, False), ("000001.jpg", 1, True), ("000002.jpg", 2, False)]
    images = [
        {"id": i, "file_name": f"images/{name}", "width": 1280, "height": 720}
        for i, name in enumerate(("000001.jpg", "000002.jpg"))
    ]
    annotations, records = [], []
    for i, (name, number, part) in enumerate(people):
        uv = joints(number, seed)
        v = np.where(part & absent, 0, np.where(part & hidden, 1, 2))
        low, high = uv.min(0), uv.max(0)
        annotations.append(
            {
                "id": i,
                "image_id": int(name[:6]) - 1,
                "category_id": 1,
                "iscrowd": 0,
                "num_keypoints": int((v > 0).sum()),
                "keypoints": np.where(v[:, None] > 0, np.column_stack([uv, v > 0]), 0).ravel().tolist(),
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "area": float(np.prod(high - low)),
            }
        )
        one_based = np.where(v[:, None] > 0, uv + 1, -1)
        records.append(
            {
                "joints_vis": (v == 2).astype(int).tolist(),
                "joints": one_based.tolist(),
                "image": name,
                "scale": float(np.ptp(uv[:, 1]) / 200),
                "center": ((low + high) / 2 + 1).tolist(),
            }
        )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    write_file(Path(folder) / "annotations" / "train.json", json.dumps(content, allow_nan=False).encode())
    write_file(Path(folder) / "annot" / "valid.json", json.dumps(records, allow_nan=False).encode())
