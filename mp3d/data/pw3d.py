"""3DPW: one or two people outdoors, from a phone in somebody's hand and sensors on the body.

`sequenceFiles/{train,validation,test}/{sequence}.pkl`, pickles of Python 2 (`pickles.load_pickle` reads them and runs
nothing). `jointPositions`: SMPL's 24 joints, left before right, metres, in the world; `cam_poses` N x 4 x 4 take them
to the camera, x = R X + t, t in metres; no distortion. N is the number of pictures; the picture of frame i is
`imageFiles/{sequence}/image_%05d.jpg`, i from 0 (`img_frame_ids` are places in the 60 Hz poses, not pictures).

A person counts in a frame if `campose_valid` is 1 and `poses2d` is not all zero (3DPW's own evaluation); frames with
nobody are left out. `poses2d` (rows x, y, confidence of OpenPose's 18) is kept as evidence of visibility alone: a
joint that OpenPose found too is visible, any other hidden, which here means unsure. The pickles hold no size of
pictures: it is 1920 x 1080 or, where the principal point says so, 1080 x 1920. Pixels are the files' own.

Also 3DMPPE's and I2L-MeshNet's `3DPW_{split}.json`, in the camera's frame, metres too (`scenes_json`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from mp3d.camera import Camera
from mp3d.data import coco, pickles, safe
from mp3d.errors import BadInput, MissingData
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import SMPL24

WORLD = "pw3d"
SPLITS = ("train", "validation", "test")

# OpenPose's 18 that SMPL's 24 have too, in OpenPose's order from its joint 1.
_OPENPOSE = [SMPL24.index(f"{s}_{j}") for s, j in (
    *(("r", j) for j in ("shoulder", "elbow", "wrist")),
    *(("l", j) for j in ("shoulder", "elbow", "wrist")),
    *(("r", j) for j in ("hip", "knee", "ankle")),
    *(("l", j) for j in ("hip", "knee", "ankle")),
)]  # fmt: skip


def scenes(root: Path | str, split: str = "test", sequences: Sequence[str] | None = None) -> Iterator[Scene]:
    """The frames of a split in which somebody is valid, one at a time; one sequence's file is in memory.

    Parameters
    ----------
    root : the folder with `sequenceFiles/`, or with the splits
    split : "train", "validation" or "test"
    sequences : only these; all if None

    Raises
    ------
    MissingData, BadInput
        also if the people of a sequence have tracks of different lengths: nothing says where a shorter one begins
    """
    if split not in SPLITS:
        raise BadInput("pw3d.scenes", "split", repr(split), "one of " + ", ".join(SPLITS))
    places = [Path(root) / inner / split for inner in (".", "sequenceFiles", "sequenceFiles/sequenceFiles")]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise MissingData(f"{root}: no sequenceFiles/{split}")
    paths = {path.stem: path for path in sorted(folder.glob("*.pkl")) if not path.name.startswith("._")}
    for name in paths if sequences is None else sequences:
        if name not in paths:
            raise MissingData(f"{folder}: no {name}.pkl")
        yield from _sequence(paths[name])


def image_path(root: Path | str, scene: Scene) -> Path:
    """Where the scene's picture lies."""
    return Path(root) / "imageFiles" / scene.sequence / f"image_{scene.frame:05d}.jpg"


def _sequence(path: Path) -> Iterator[Scene]:
    data = pickles.load_pickle(safe.read_bytes(path), path, "latin1")
    poses = safe.array(safe.get(data, "cam_poses", np.ndarray, path), path, "cam_poses", (None, 4, 4), finite=False)
    k = safe.bounded(safe.get(data, "cam_intrinsics", np.ndarray, path), path, "cam_intrinsics", (3, 3))
    frames = len(poses)

    def tracks(key: str, *shape: int) -> list[np.ndarray]:
        arrays = safe.get(data, key, (list, np.ndarray), path)
        if isinstance(arrays, np.ndarray) and arrays.ndim == 0:
            raise BadInput(path, key, "a single value", "an array for each person")
        return [safe.array(a, path, f"{key}[{p}]", (frames, *shape), finite=False) for p, a in enumerate(arrays)]

    joints, found, valid = tracks("jointPositions", 72), tracks("poses2d", 3, 18), tracks("campose_valid")
    if not 0 < len(joints) == len(found) == len(valid):
        count = f"{len(joints)}, {len(found)}, {len(valid)} people"
        raise BadInput(path, "jointPositions, poses2d, campose_valid", count, "as many in each, at least one")
    for frame in range(frames):
        there = [p for p in range(len(joints)) if valid[p][frame] == 1 and found[p][frame].any()]
        if not there:
            continue
        field = f"cam_poses[{frame}]"
        camera = _camera(
            k[[0, 1], [0, 1]],
            k[:2, 2],
            path,
            safe.rotation(poses[frame, :3, :3], path, field),
            1000 * safe.bounded(poses[frame, :3, 3], path, field),
        )
        people = []
        for p in there:
            world = 1000 * safe.bounded(joints[p][frame], path, f"jointPositions[{p}][{frame}]").reshape(24, 3)
            confidence = safe.array(found[p][frame, 2], path, f"poses2d[{p}][{frame}]")
            people.append(_person(camera.to_camera(world), camera, confidence, p, path, f"[{p}][{frame}]"))
        yield Scene(camera, tuple(people), WORLD, path.stem, frame)


def scenes_json(path: Path | str) -> Iterator[Scene]:
    """The same from `3DPW_{split}.json`, whose `joint_cam` is in the camera's frame, metres.

    `campose_valid` was heeded when the file was made; people with nothing in `openpose_result` are left out here.
    """
    path = Path(path)
    for image, annotations in coco.images(path):
        _, width, height = coco.picture(image, path)
        sequence = safe.get(image, "sequence", str, path, "images[]")
        frame = safe.get(image, "frame_idx", int, path, "images[]")
        parameters = safe.get(image, "cam_param", dict, path, "images[]")
        f, c = (
            safe.bounded(safe.get(parameters, key, list, path, "images[].cam_param"), path, f"cam_param.{key}", (2,))
            for key in ("focal", "princpt")
        )
        camera = _camera(f, c, path, size=(width, height))
        people = []
        for annotation in annotations:
            where = f"annotations[] of {sequence} {frame}"[:60]
            xyz = safe.get(annotation, "joint_cam", list, path, where)
            xyz = 1000 * safe.bounded(xyz, path, f"{where}.joint_cam", (24, 3))
            openpose = safe.get(annotation, "openpose_result", list, path, where)
            openpose = safe.array(openpose, path, f"{where}.openpose_result", (18, 3))
            identity = safe.get(annotation, "person_id", int, path, where)
            if openpose.any():
                people.append(_person(xyz, camera, openpose[:, 2], identity, path, where))
        if people:
            yield Scene(camera, tuple(people), WORLD, sequence, frame)


def _camera(
    f: Float[np.ndarray, " 2"],
    c: Float[np.ndarray, " 2"],
    path: Path,
    turn: Float[np.ndarray, "3 3"] | None = None,
    shift: Float[np.ndarray, " 3"] | None = None,
    size: tuple[int, int] | None = None,
) -> Camera:
    """A camera of this focal length and principal point, px; of the size that these tell if none is given."""
    if size is None:
        size = (1920, 1080) if c[0] > c[1] else (1080, 1920)
    if not (f > 0).all() or not ((c > 0) & (c < size)).all():
        raise BadInput(path, "intrinsics", f"f {f}, c {c}", f"f > 0, c inside {size[0]} x {size[1]}")
    turn, shift = np.eye(3) if turn is None else turn, np.zeros(3) if shift is None else shift
    return Camera(float(f[0]), float(f[1]), float(c[0]), float(c[1]), *size, turn, shift)


def _person(
    xyz: Float[np.ndarray, "24 3"],
    camera: Camera,
    confidence: Float[np.ndarray, " 18"],
    identity: int,
    path: Path,
    field: str,
) -> Person:
    """In MPI17; a joint that lies behind the camera has no place in the picture."""
    span = np.ptp(xyz, 0).max()
    if not 300 < span < 3000:
        raise BadInput(path, f"joints {field}", f"a body {span / 1000:.4g} units long", "0.3 to 3: metres")
    visibility: UInt8[np.ndarray, " 24"] = np.full(24, HIDDEN, np.uint8)
    visibility[_OPENPOSE] = np.where(confidence[2:14] > 0, VISIBLE, HIDDEN)
    visibility[SMPL24.index("neck")] = VISIBLE if confidence[1] > 0 else HIDDEN
    before = xyz[:, 2] > 0
    visibility[~before] = HIDDEN
    uv = np.where(before[:, None], camera.project(np.where(before[:, None], xyz, 1.0)), np.nan)
    native = Person(xyz, uv, visibility, np.ones(24, np.uint8), identity, SMPL24)
    return native.canonical()
