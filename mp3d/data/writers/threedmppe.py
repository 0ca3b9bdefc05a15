"""MuPoTS-3D.json and the files that go with it, of 3DMPPE and PI-Net: fixtures."""

import json
from pathlib import Path

import numpy as np

from mp3d import files
from mp3d.data.writers.muco import dumps, person, with_ends
from mp3d.data.writers.mupots import poses, seen_by

ERROR = np.array([30.0, -20.0, 150.0])
"""mm: the fixture's PoseNet is off by this, at every joint of every person."""


def fixture(folder: Path, seed: int = 0) -> None:
    """Seven small files.

    - `MuPoTS-3D.json`: TS1, frames 0 to 2, and TS10, frame 0; intrinsics as in the fixture of the MATLAB files. Image
      ids are 5, 6, 7, 20; `keypoints_vis` is (17,) in TS1 and (17, 1) in TS10, 0 at joint 4. In TS1 person 1 is not
      valid in frame 1, nobody is in frame 2.
    - `MuPoTS-3D_with_posenet_result.json`: the same with `keypoints_cam_posenet`, `ERROR` off the truth; TS10's last
      person has none.
    - `MuCo-3DHP_with_posenent_result_filter.json` (sic): two images of two people, 21 joints, the same error.
    - `bbox_mupots_output.json` (raw boxes), `bbox_root_mupots_output.json` (square, enlarged by 1.25, with `ERROR` at
      the root), `bbox_root_mupots_gt.json` (raw, no score), `MuPoTS-3D_id2pairId.json`.
    """
    folder = Path(folder)
    images, people = [], []
    for name, frames, count, first, size, k in (
        ("TS1", 3, 2, 5, (2048, 2048), (1500.0, 1510.0, 1020.0, 1030.0)),
        ("TS10", 1, 3, 20, (1920, 1080), (1100.0, 1105.0, 950.0, 545.0)),
    ):
        xyz = poses(frames, count, seed)
        uv = seen_by(xyz, k)
        for f in range(frames):
            place = {"id": first + f, "file_name": f"{name}/img_{f:06d}.jpg"}
            images.append(place | {"width": size[0], "height": size[1], "intrinsic": list(k)})
            for p in range(count):
                vis = [int(j != 4) for j in range(17)]
                one = person(100 * first + 10 * f + p, first + f, xyz[f, p], uv[f, p]) | {
                    "keypoints_vis": vis if name == "TS1" else [[v] for v in vis],
                    "is_valid": int((name, f, p) not in {("TS1", 1, 1), ("TS1", 2, 0), ("TS1", 2, 1)}),
                }
                people.append(one)
    files.write(folder / "MuPoTS-3D.json", dumps(images, people))
    files.write(folder / "MuPoTS-3D_with_posenet_result.json", dumps(images, [*_estimated(people[:-1]), people[-1]]))

    xyz = with_ends(poses(2, 2, seed))
    uv = seen_by(xyz, (1500.0, 1495.0, 1024.0, 1050.0))
    composites = [
        {"id": f, "file_name": f"augmented_set/1/{f:06d}.jpg", "width": 2048, "height": 2048}
        | {"f": [1500.0, 1495.0], "c": [1024.0, 1050.0]}
        for f in range(2)
    ]
    both = [person(2 * f + p, f, xyz[f, p], uv[f, p]) for f in range(2) for p in range(2)]
    files.write(folder / "MuCo-3DHP_with_posenent_result_filter.json", dumps(composites, _estimated(both)))

    found, rooted, true = [], [], []
    for one in people:
        root, box = np.array(one["keypoints_cam"][14]), one["bbox"]
        side = 1.25 * max(box[2:])
        square = [box[0] + box[2] / 2 - side / 2, box[1] + box[3] / 2 - side / 2, side, side]
        found.append({"image_id": one["image_id"], "bbox": box, "score": 0.9})
        rooted.append({"image_id": one["image_id"], "root_cam": (root + ERROR).tolist(), "bbox": square, "score": 0.9})
        true.append({"image_id": one["image_id"], "root_cam": root.tolist(), "bbox": box})
    pair = {str(one["id"]): one["id"] ^ 1 for one in people[:6]}  # TS1's people are two an image: 500, 501, ...
    for name, content in (
        ("bbox_mupots_output", found),
        ("bbox_root_mupots_output", rooted),
        ("bbox_root_mupots_gt", true),
        ("MuPoTS-3D_id2pairId", pair),
    ):
        files.write(folder / f"{name}.json", json.dumps(content).encode())


def _estimated(people: list[dict]) -> list[dict]:
    return [one | {"keypoints_cam_posenet": (np.array(one["keypoints_cam"]) + ERROR).tolist()} for one in people]
