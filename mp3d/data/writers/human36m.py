"""Human3.6M's formats: 3DMPPE's JSON in both conventions, mmpose's npz with cameras.pkl, the original CDF."""

import io
import json
import pickle
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mp3d.errors import BadInput
from mp3d.files import write as write_file
from mp3d.scene import Scene
from mp3d.skeletons import H36M17, MPI17, convert

# mm to the person's own right, up and ahead of the pelvis: someone who stands a little asymmetrically, knees bent.
_POSE = np.array(
    [
        (0, 0, 0),  # pelvis
        *((132, 0, 0), (140, -440, 70), (150, -880, -10)),  # right hip, knee, ankle
        *((-132, 0, 0), (-138, -445, 60), (-145, -885, -30)),
        *((0, 240, -10), (0, 480, 0), (5, 600, 80), (0, 700, 20)),  # torso, thorax, nose, head
        *((-160, 465, 0), (-210, 190, -20), (-230, -50, 60)),  # left shoulder, elbow, wrist
        *((158, 460, 0), (220, 200, -30), (290, 10, 40)),
    ],
    float,
)
_F, _C = (1145.0, 1144.0), (512.5, 515.5)
_K, _P = (-0.207, 0.247, -0.003), (-0.0009, -0.0015)
_SIZES = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}
FRAMES = (0, 1, 5, 64)
SEQUENCES = ((9, 5, 1, "Greeting 1"), (9, 5, 2, "Greeting"), (11, 2, 1, "Directions 1"), (11, 2, 2, "Directions"))
"""Subject, action, sub-action, original name."""


def world(frame: int, seed: int = 0) -> Float[np.ndarray, "17 3"]:
    """mm, z up: the person of the fixture, who looks along -y, at camera 1, and walks 8 mm a frame along x."""
    right, up, ahead = (_POSE + np.random.default_rng(seed).uniform(-2, 2, (17, 3))).T
    return np.stack([8 * frame - right, -ahead, 950 + up], 1)


def rig(camera: int) -> tuple[np.ndarray, np.ndarray]:
    """Of camera 1 to 4: the rows right, down, forward; the place, mm. They stand around, 4.5 m off, 1.5 m high."""
    s, c = ((0, 1), (1, 0), (0, -1), (-1, 0))[camera - 1]
    rows = np.array([(c, s, 0), (0, 0, -1), (-s, c, 0)], float)
    return rows, np.array([4500 * s, -4500 * c, 1500], float)


def fixture(folder: Path, seed: int = 0) -> None:
    """S9 and S11, two sequences each, four cameras, frames 0, 1, 5 and 64: 3DMPPE's JSON (R X + t), mmpose's npz."""
    folder = Path(folder)
    for subject in (9, 11):
        _json(folder, subject, *_shots(subject, seed))
    _mmpose(folder / "annotation_body3d", seed)


def older(folder: Path, seed: int = 0) -> None:
    """S11 of the fixture alone, in the older convention: the camera's place for t, R (X - t)."""
    shots, cameras = _shots(11, seed)
    _json(Path(folder), 11, shots, cameras, older=True)


def cdf_fixture(folder: Path, seed: int = 0) -> None:
    """The fixture's sequences as the original has them: `D3_Positions`, `D3_Positions_mono`; needs cdflib."""
    for subject, _, _, name in SEQUENCES:
        features = Path(folder) / f"S{subject}" / "MyPoseFeatures"
        poses = np.stack([world(frame, seed) for frame in range(6)])
        _cdf(features / "D3_Positions" / f"{name}.cdf", poses)
        for camera, serial in enumerate(_SIZES, 1):
            rows, place = rig(camera)
            _cdf(features / "D3_Positions_mono" / f"{name}.{serial}.cdf", (poses - place) @ rows.T)


def write(scenes: Iterable[Scene], folder: Path, older: bool = False) -> None:
    """A synthetic world in 3DMPPE's JSON, R X + t, or R (X - t) with `older`.

    Human3.6M has one person in a picture and four cameras for each subject: here each sequence becomes a subject,
    numbered from 1, with one camera; each of its people a sub-action, their identity plus 1, of action 3 (of action 2
    readers leave a video of subject 11 out). MPI17's head stands for Human3.6M's joint 9; head top, neck and spine for
    its 10, 8 and 7: what the reader makes of them is what they were.
    """
    subjects: dict[str, int] = {}
    shots: dict[int, list[dict[str, Any]]] = {}
    cameras: dict[int, dict[int, dict[str, np.ndarray]]] = {}
    for scene in scenes:
        subject = subjects.setdefault(scene.sequence, len(subjects) + 1)
        camera = scene.camera
        place = -camera.rotation.T @ camera.translation
        cameras[subject] = {1: {"R": camera.rotation, "place": place, "f": camera.k[:2], "c": camera.k[2:]}}
        for person in scene.people:
            joints = convert(person.xyz, MPI17, H36M17)[0]
            joints[H36M17.index("nose")] = person.xyz[MPI17.index("head")]
            if not np.isfinite(joints).all():
                raise BadInput("writers.human36m", "xyz", "NaN", "all joints: the format has no absent ones")
            shots.setdefault(subject, []).append(
                {
                    "action_name": "Discussion",
                    "key": (3, person.identity + 1, 1, scene.frame),
                    "size": (camera.width, camera.height),
                    "world": camera.to_world(joints),
                }
            )
    for subject, found in shots.items():
        _json(Path(folder), subject, found, cameras[subject], older)


def _shots(subject: int, seed: int) -> tuple[list[dict[str, Any]], dict[int, dict[str, np.ndarray]]]:
    cameras = {}
    for camera in range(1, 5):
        rows, place = rig(camera)
        cameras[camera] = {"R": rows, "place": place, "f": np.array(_F), "c": np.array(_C)}
    return [
        {
            "action_name": name.split()[0],
            "key": (action, sub, camera, frame),
            "size": size,
            "world": world(frame, seed),
        }
        for owner, action, sub, name in SEQUENCES
        for camera, size in enumerate(_SIZES.values(), 1)
        for frame in FRAMES
        if owner == subject
    ], cameras


def _json(
    folder: Path,
    subject: int,
    shots: list[dict[str, Any]],
    cameras: dict[int, dict[str, np.ndarray]],
    older: bool = False,
) -> None:
    """A subject's three files; a box is 1.2 times the joints' extent less 1 px, as the published converter makes it."""
    images, annotations, joints = [], [], {}
    for i, shot in enumerate(shots):
        action, sub, cam, frame = shot["key"]
        (width, height), camera = shot["size"], cameras[cam]
        x, y, z = ((shot["world"] - camera["place"]) @ camera["R"].T).T
        u, v = camera["f"][0] * x / z + camera["c"][0], camera["f"][1] * y / z + camera["c"][1]
        w, h = 1.2 * (np.ptp(u) - 1), 1.2 * (np.ptp(v) - 1)
        name = f"s_{subject:02d}_act_{action:02d}_subact_{sub:02d}_ca_{cam:02d}"
        images.append(
            {
                "id": i,
                "file_name": f"{name}/{name}_{frame + 1:06d}.jpg",
                "width": width,
                "height": height,
                "subject": subject,
                "action_name": shot["action_name"],
                "action_idx": action,
                "subaction_idx": sub,
                "cam_idx": cam,
                "frame_idx": frame,
            }
        )
        annotations.append(
            {
                "id": i,
                "image_id": i,
                "keypoints_vis": ((u >= 0) & (u < width) & (v >= 0) & (v < height)).tolist(),
                "bbox": [(u.min() + u.max() - w) / 2, (v.min() + v.max() - h) / 2, w, h],
            }
        )
        joints.setdefault(str(action), {}).setdefault(str(sub), {})[str(frame)] = shot["world"].tolist()
    stored = {
        str(cam): {
            "R": camera["R"].tolist(),
            "t": (camera["place"] if older else -camera["R"] @ camera["place"]).tolist(),
            "f": camera["f"].tolist(),
            "c": camera["c"].tolist(),
        }
        for cam, camera in cameras.items()
    }
    parts = {"data": {"images": images, "annotations": annotations}, "camera": stored, "joint_3d": joints}
    for part, content in parts.items():
        write_file(
            folder / "annotations" / f"Human36M_subject{subject}_{part}.json",
            json.dumps(content, allow_nan=False).encode(),
        )


def _mmpose(folder: Path, seed: int) -> None:
    """`fps50/h36m_test.npz` and `cameras.pkl`: metres, the lens in Human3.6M's own model."""
    names, centers, scales, parts, poses, stored = [], [], [], [], [], {}
    for camera, (serial, (width, height)) in enumerate(_SIZES.items(), 1):
        rows, place = rig(camera)
        for subject in (9, 11):
            stored[f"S{subject}", serial] = {
                "R": rows.T,
                "T": place[:, None] / 1000,
                "c": np.array(_C)[:, None],
                "f": np.array(_F)[:, None],
                "k": np.array(_K)[:, None],
                "p": np.array(_P)[:, None],
                "w": width,
                "h": height,
                "name": f"camera{camera}",
                "id": serial,
            }
        for subject, _, _, original in SEQUENCES:
            for frame in FRAMES:
                xyz = (world(frame, seed) - place) @ rows.T
                x, y = xyz[:, 0] / xyz[:, 2], xyz[:, 1] / xyz[:, 2]
                r2 = x * x + y * y
                factor = 1 + _K[0] * r2 + _K[1] * r2**2 + _K[2] * r2**3 + _P[0] * y + _P[1] * x
                u = _F[0] * (x * factor + _P[1] * r2) + _C[0]
                v = _F[1] * (y * factor + _P[0] * r2) + _C[1]
                video = f"S{subject}_{original.replace(' ', '_')}.{serial}"
                names.append(f"S{subject}/{video}/{video}_{frame + 1:06d}.jpg")
                centers.append([(u.min() + u.max()) / 2, (v.min() + v.max()) / 2])
                scales.append(max(np.ptp(u), np.ptp(v)) / 200 * 1.25)
                parts.append(np.stack([u, v, np.ones(17)], 1))
                poses.append(np.concatenate([xyz / 1000, np.ones((17, 1))], 1))
    file = io.BytesIO()
    arrays = {"imgname": names, "center": centers, "scale": scales, "part": parts, "S": poses}
    np.savez_compressed(file, **{key: np.array(value) for key, value in arrays.items()})
    write_file(folder / "fps50" / "h36m_test.npz", file.getvalue())
    write_file(folder / "cameras.pkl", pickle.dumps(stored, protocol=3))


def _cdf(path: Path, poses: Float[np.ndarray, "F 17 3"]) -> None:
    """The variable Pose (1, F, 96); joints that the 17 leave out are at their neighbours' middle, or zero."""
    from cdflib.cdfwrite import CDF

    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    joints = np.zeros((len(poses), 32, 3), np.float32)
    joints[:, kept] = poses
    flat = joints.reshape(1, len(poses), 96)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "pose.cdf"
        file = CDF(made)
        spec = {
            "Variable": "Pose",
            "Data_Type": CDF.CDF_REAL4,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": [len(poses), 96],
        }
        file.write_var(spec, var_data=flat)
        file.close()
        write_file(path, made.read_bytes())
