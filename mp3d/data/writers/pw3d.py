"""3DPW's formats: a pickle of Python 2 for each sequence, and 3DMPPE's JSON."""

import io
import json
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mp3d.files import write as write_file

# m to the person's own LEFT, up and ahead of the pelvis, in SMPL's order, left before right.
_POSE = np.array(
    [
        *((0, 0, 0), (0.07, -0.09, 0), (-0.07, -0.09, 0), (0, 0.11, -0.02)),  # pelvis, hips, torso
        *((0.10, -0.47, 0.05), (-0.11, -0.46, 0.06), (0, 0.24, 0)),  # knees, spine
        *((0.10, -0.89, -0.03), (-0.12, -0.88, -0.02), (0, 0.30, 0.02)),  # ankles, chest
        *((0.12, -0.94, 0.09), (-0.14, -0.93, 0.10), (0, 0.51, 0)),  # toes, neck
        *((0.08, 0.41, 0), (-0.08, 0.41, 0), (0, 0.60, 0.05)),  # thorax, head
        *((0.18, 0.43, 0), (-0.19, 0.42, 0), (0.24, 0.17, -0.02), (-0.26, 0.18, -0.03)),  # shoulders, elbows
        *((0.25, -0.07, 0.05), (-0.30, -0.05, 0.04), (0.25, -0.15, 0.07), (-0.31, -0.13, 0.06)),  # wrists, hands
    ]
)
# OpenPose's 18 as SMPL's; nose, eyes and ears stand at the head.
_OPENPOSE = [15, 12, 17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7, 15, 15, 15, 15]
FRAMES = 4
SEQUENCES = {"alone_00": (1, 1080, 1920), "together_00": (2, 1920, 1080)}
"""People, width and height in px."""
FOCAL = (1960.0, 1965.0)


def world(person: int, frame: int, seed: int = 0) -> Float[np.ndarray, "24 3"]:
    """m, y up: people side by side who look along z, at the camera, and step 5 cm a frame towards it."""
    left, up, ahead = (_POSE + np.random.default_rng(seed).uniform(-0.002, 0.002, (24, 3))).T
    return np.stack([0.9 * person - 0.4 + left, 0.95 + up, 0.05 * frame + ahead], 1)


def extrinsics(frame: int) -> Float[np.ndarray, "4 4"]:
    """World to camera, m: the camera stands 5 m off, 1.2 m high, and sways 1 cm a frame to the right."""
    return np.array([(1, 0, 0, -0.01 * frame), (0, -1, 0, 1.2), (0, 0, -1, 5), (0, 0, 0, 1)], float)


def valid(person: int, frame: int) -> tuple[bool, bool]:
    """Whether `campose_valid` holds, and whether `poses2d` has something: neither of nobody in frame 3."""
    return (person, frame) != (1, 1) and frame != 3, (person, frame) != (0, 2)


def fixture(folder: Path, seed: int = 0) -> None:
    """A sequence with one person and one with two, in `sequenceFiles/test`, and `3DPW_test.json`."""
    images, annotations = [], []
    for name, (people, width, height) in SEQUENCES.items():
        centre = (width / 2, height / 2)
        k = np.array([(FOCAL[0], 0, centre[0]), (0, FOCAL[1], centre[1]), (0, 0, 1)])
        joints = [np.stack([world(p, f, seed) for f in range(FRAMES)]) for p in range(people)]
        found = np.zeros((people, FRAMES, 3, 18))
        for frame in range(FRAMES):
            pose = extrinsics(frame)
            images.append(
                {
                    "id": len(images),
                    "file_name": f"image_{frame:05d}.jpg",
                    "sequence": name,
                    "frame_idx": frame,
                    "width": width,
                    "height": height,
                    "cam_param": {"focal": list(FOCAL), "princpt": list(centre)},
                }
            )
            for p in range(people):
                xyz = joints[p][frame] @ pose[:3, :3].T + pose[:3, 3]
                u, v = FOCAL[0] * xyz[:, 0] / xyz[:, 2] + centre[0], FOCAL[1] * xyz[:, 1] / xyz[:, 2] + centre[1]
                cam, openpose = valid(p, frame)
                if openpose:
                    found[p, frame] = u[_OPENPOSE], v[_OPENPOSE], np.full(18, 0.8)
                    found[p, frame, :, 4] = 0  # the right wrist was not found
                if cam:
                    annotations.append(
                        {
                            "id": len(annotations),
                            "image_id": len(images) - 1,
                            "person_id": p,
                            "joint_cam": xyz.tolist(),
                            "joint_img": np.stack([u, v], 1).tolist(),
                            "openpose_result": found[p, frame].T.tolist(),
                            "bbox": [u.min(), v.min(), np.ptp(u), np.ptp(v)],
                        }
                    )
        data = {
            "sequence": name,
            "genders": ["m", "f"][:people],
            "betas": [np.zeros(10) for _ in range(people)],
            "poses": [np.zeros((FRAMES, 72)) for _ in range(people)],
            "trans": [track[:, 0] for track in joints],
            "poses2d": list(found),
            "jointPositions": [track.reshape(FRAMES, 72) for track in joints],
            "img_frame_ids": 2 * np.arange(FRAMES),
            "cam_poses": np.stack([extrinsics(f) for f in range(FRAMES)]),
            "campose_valid": [np.array([int(valid(p, f)[0]) for f in range(FRAMES)]) for p in range(people)],
            "cam_intrinsics": k,
        }
        write_file(Path(folder) / "sequenceFiles" / "test" / f"{name}.pkl", python2_pickle(data))
    content = {"images": images, "annotations": annotations}
    write_file(Path(folder) / "3DPW_test.json", json.dumps(content, allow_nan=False).encode())


class _Python2(pickle._Pickler):
    """Writes str and bytes alike, as Python 2's one kind of string, which Python 3 reads with encoding latin1."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: str | bytes) -> None:
        data = value.encode("latin-1") if isinstance(value, str) else value
        if len(data) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def python2_pickle(value: object) -> bytes:
    """As Python 2 and its numpy wrote it: protocol 2, byte strings, numpy's old module names."""
    file = io.BytesIO()
    _Python2(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")
