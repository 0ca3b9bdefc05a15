"""CMU Panoptic: people in a dome of 31 HD cameras, fitted in 3D from hundreds of views.

Read from the files that the toolbox's `getData.sh` leaves::

    {sequence}/calibration_{sequence}.json            K, distCoef, R, t of every camera
    {sequence}/hdPose3d_stage1_coco19/body3DScene_00000168.json     joints19; some archives nest one more hd/
    {sequence}/hdPose3d_stage1/body3DScene_00000168.json            joints15, of the older release
    {sequence}/hdImgs/00_16/00_16_00000168.jpg        the same number: frames count from 0

Units and frame: cm, a world with Y down; x = R X + t, then a lens in OpenCV's order k1, k2, p1, p2, k3 (the toolbox's
`panutils.py`, whose y sees a distorted x: up to 0.02 px, not repeated here). Here: mm, the camera's frame. Pixels are
the calibration's own, not shifted by half a pixel.

What is easily got wrong, and how it is held here:

- Joint 1 is the nose in `joints19` and the top of the head in `joints15`: two joint sets, never mixed.
- A missing joint is (0, 0, 0) with confidence -1, and the world's origin lies well inside many pictures. A joint counts
  from a confidence above 0.1 on, as everyone has it; below, it is absent: NaN, visibility 0.
- A joint that counts is visible (2) if it falls inside the picture and hidden (1) if not. Whether something stands in
  front of it is not known. One behind the camera is absent: that camera says nothing about it.
- Far outside the picture a lens's polynomial folds back, so that a joint beside the camera may seem to be inside. One
  is inside only if the ray through its pixel leads back to it.
- `bodyCenter`, called pelvis here, may be there when a hip is missing: it is never made anew from the hips.
- id -1 is an outlier and left out, as is a person with no joint that counts. Other ids are tracks: the same person
  may get several over time. A frame may hold nobody: its Scene has no people.
"""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from mp3d.camera import Camera, Lens
from mp3d.data.safe import array, get, load_json, rotation
from mp3d.errors import BadInput, MissingData
from mp3d.scene import ABSENT, HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import NATIVE, PANOPTIC15, PANOPTIC19, Skeleton

CONFIDENCE = 0.1
"""A joint counts if its confidence is above this."""
FOLDERS = {19: ("hdPose3d_stage1_coco19", PANOPTIC19), 15: ("hdPose3d_stage1", PANOPTIC15)}
"""Joints of a body: where they are found, and their names."""
TEST_CAMERAS = ("00_16", "00_30")
"""Those of the papers' test images."""
_ID = "panoptic"
_LIMIT = 1 << 24  # bytes of a file; the largest is the calibration, 250 kB
_FAR = 1e5  # cm: nothing in the dome is a kilometre away

BROKEN = {
    "160422_haggling1": ("00_20",),
    "160906_band3": ("00_03",),
    "171204_pose3": ("00_20",),
    "171204_pose4": ("00_20",),
    "171204_pose5": ("00_20",),
}
"""Cameras whose HD video is missing or damaged, by sequence (posepile's list); their calibration may be there."""


@dataclass(frozen=True)
class Split:
    """What one paper trains and tests on.

    Parameters
    ----------
    test, val, train : sequences; empty where the authors do not say
    cameras : of the test images
    images : number of test images, None where it is not said
    source : who says so
    """

    test: tuple[str, ...]
    cameras: tuple[str, ...]
    images: int | None
    source: str
    val: tuple[str, ...] = ()
    train: tuple[str, ...] = ()


SPLITS = {
    "smap": Split(
        test=(
            "160226_haggling1",
            "160422_haggling1",
            "160226_mafia1",
            "160226_ultimatum1",
            "160422_ultimatum1",
            "160906_pizza1",
        ),
        cameras=TEST_CAMERAS,
        images=9600,
        source="the authors of SMAP, issues 1 and 24 of their repository; 2,400 images an activity, evenly spread, "
        "half of them from each sequence where there are two; scored on the 15 joints; frame ids never given, nor the "
        "cameras of the 160,000 training images",
        val=("160422_mafia2",),
        train=(
            "160224_haggling1",
            "160226_mafia2",
            "160224_mafia1",
            "160224_mafia2",
            "160224_ultimatum1",
            "160224_ultimatum2",
        ),
    ),
    "das": Split(
        test=(
            "160226_haggling1",
            "160422_haggling1",
            "160226_mafia1",
            "160422_mafia2",
            "160422_ultimatum1",
            "160906_pizza1",
        ),
        cameras=TEST_CAMERAS,
        images=9600,
        source="the code of DAS (Wang et al., CVPR 2022); 2,400 images an activity by linspace over those that exist; "
        "it leaves out 160226_ultimatum1, whose annotation it doubts, and falls back to joints15 without joints19",
    ),
    "zanfir": Split(
        test=("160422_ultimatum1", "160422_haggling1", "160906_pizza1", "160422_mafia2"),
        cameras=TEST_CAMERAS,
        images=None,
        source="Zanfir et al. (CVPR 2018), by way of the data notes of CRMH (Jiang et al., CVPR 2020), which give the "
        "frame ids in files; scored on 17 joints of Human3.6M",
    ),
}
"""Three tests that are not the same: numbers from two of them do not belong in one column."""


def activity(sequence: str) -> str:
    """What people do there, the row of the papers' tables: "160422_ultimatum1" is "ultimatum"."""
    return sequence.partition("_")[2].rstrip("0123456789")


def cameras(path: Path, kind: str = "hd") -> dict[str, Camera]:
    """The cameras of a `calibration_{sequence}.json`, by name, e.g. "00_16"; mm.

    Parameters
    ----------
    kind : "hd" (31 cameras), "vga" (480) or "kinect-color"

    Raises
    ------
    BadInput : a matrix that is no rotation, a skewed K, a name that comes twice
    """
    found: dict[str, Camera] = {}
    for i, record in enumerate(get(load_json(path, _LIMIT), "cameras", list, path)):
        at = f"cameras[{i}]"
        if get(record, "type", str, path, at) != kind:
            continue
        name = get(record, "name", str, path, at)
        if name in found:
            raise BadInput(path, f"{at}.name", f"{name!r} again", "a name of its own")
        at = f"cameras[{i}] ({name})"

        def numbers(key: str, *shape: int, record: dict = record, at: str = at) -> np.ndarray:
            return array(get(record, key, list, path, at), path, f"{at}.{key}", shape)

        k, t = numbers("K", 3, 3), numbers("t", 3, 1)
        turn = rotation(get(record, "R", list, path, at), path, f"{at}.R")
        lens, size = numbers("distCoef", 5), numbers("resolution", 2)
        if k[0, 1] != 0 or k[1, 0] != 0 or (k[2] != [0, 0, 1]).any() or not (k[[0, 1], [0, 1]] > 0).all():
            raise BadInput(path, f"{at}.K", k.tolist(), "[[fx, 0, cx], [0, fy, cy], [0, 0, 1]], fx and fy positive")
        if np.abs(t).max() > _FAR or np.abs(lens).max() > 1e3 or np.abs(k).max() > 1e6:
            raise BadInput(path, at, "t, distCoef or K out of all bounds", "a camera in a dome 5 m wide, in cm and px")
        if (size != np.round(size)).any() or not ((size > 0) & (size < 1e5)).all():
            raise BadInput(path, f"{at}.resolution", size.tolist(), "[width, height]")
        width, height = (int(n) for n in size)
        fx, fy, cx, cy = k[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        found[name] = Camera(fx, fy, cx, cy, width, height, turn, 10 * t[:, 0], Lens(*lens.tolist()))
    return found


@dataclass(frozen=True, eq=False)
class Body:
    """One fitted person of one frame.

    Parameters
    ----------
    track : id, unique in a frame; -1 for an outlier
    xyz : mm in the world's frame; a missing joint is at the origin, with confidence -1
    confidence : of each joint
    """

    track: int
    xyz: Float[np.ndarray, "J 3"]
    confidence: Float[np.ndarray, " J"]


def bodies(path: Path, skeleton: Skeleton = PANOPTIC19) -> list[Body]:
    """All that a `body3DScene_%08d.json` holds, outliers too.

    Raises
    ------
    BadInput : not JSON (a few files of the release are not), joints of the other set, numbers out of all bounds
    """
    key = f"joints{len(skeleton)}"
    found = []
    for i, record in enumerate(get(load_json(path, _LIMIT), "bodies", list, path)):
        at = f"bodies[{i}]"
        track = get(record, "id", int, path, at)
        rows = array(get(record, key, list, path, at), path, f"{at}.{key}", (4 * len(skeleton),)).reshape(-1, 4)
        if (np.abs(rows) > _FAR).any():
            raise BadInput(path, f"{at}.{key}", f"{np.abs(rows).max():g}", f"cm, at most {_FAR:g}")
        found.append(Body(track, 10 * rows[:, :3], rows[:, 3]))
    return found


def inside(camera: Camera, xyz: Float[np.ndarray, "N 3"]) -> Bool[np.ndarray, " N"]:
    """Whether points (mm, camera frame) are seen in the picture, not behind it, nor folded into it by the lens."""
    good = np.isfinite(xyz).all(-1) & (xyz[..., 2] > 0)
    with np.errstate(all="ignore"):
        uv = camera.project(np.where(good[..., None], xyz, np.nan))
        good &= ((uv >= 0) & (uv < [camera.width, camera.height])).all(-1)
        back = camera.back_project(np.where(good[..., None], uv, np.nan), xyz[..., 2])
        return good & (np.linalg.norm(back - xyz, axis=-1) <= 1e-3 * xyz[..., 2])


def _person(body: Body, camera: Camera, skeleton: Skeleton) -> Person:
    """The person as this camera has it, in MPI17, with Panoptic's joints beside."""
    xyz = camera.to_camera(body.xyz)
    there = (body.confidence > CONFIDENCE) & (xyz[:, 2] > 0)
    xyz = np.where(there[:, None], xyz, np.nan)
    with np.errstate(all="ignore"):
        uv = camera.project(xyz)
    visibility = np.where(there, np.where(inside(camera, xyz), VISIBLE, HIDDEN), ABSENT).astype(np.uint8)
    source = np.where(there, NATIVE, ABSENT).astype(np.uint8)
    return Person(xyz, uv, visibility, source, identity=body.track, skeleton=skeleton).canonical()


def sequences(root: Path) -> list[str]:
    """The sequences under `root`: folders that hold a calibration of their own name."""
    found = sorted(p.parent.name for p in Path(root).glob("*/calibration_*.json") if p.stem[12:] == p.parent.name)
    if not found:
        raise MissingData(
            f"{root}: no {{sequence}}/calibration_{{sequence}}.json; data_manifest.yaml, {_ID}, says where"
        )
    return found


def frames(root: Path, sequence: str, joints: int | None = None) -> tuple[dict[int, Path], Skeleton]:
    """The body files of a sequence by frame, ascending, and their joint set.

    Parameters
    ----------
    joints : 19 or 15; None takes 19 where there are such files, else 15
    """
    if joints not in (None, *FOLDERS):
        raise BadInput("panoptic", "joints", joints, "19, 15 or None")
    for name, skeleton in FOLDERS.values() if joints is None else [FOLDERS[joints]]:
        folder = Path(root) / sequence / name
        for place in (folder, folder / "hd"):
            found = {
                int(match[1]): file
                for file in place.glob("body3DScene_*.json")
                if (match := re.fullmatch(r"body3DScene_([0-9]{8})\.json", file.name))
            }
            if found:
                return dict(sorted(found.items())), skeleton
    names = " or ".join(FOLDERS[n][0] for n in ([joints] if joints else FOLDERS))
    raise MissingData(
        f"{Path(root) / sequence}: no body3DScene_*.json in {names}; data_manifest.yaml, {_ID}, says where"
    )


def image_path(root: Path, sequence: str, camera: str, frame: int) -> Path:
    """Where the frame's picture is: `.jpg`, or `.png` if only that is there; its number is the body file's.

    Raises
    ------
    MissingData : this video is known to be missing or damaged (`BROKEN`)
    """
    if camera in BROKEN.get(sequence, ()):
        raise MissingData(f"{sequence}: the video of camera {camera} is missing or damaged in the release")
    path = Path(root) / sequence / "hdImgs" / camera / f"{camera}_{frame:08d}.jpg"
    return path.with_suffix(".png") if not path.exists() and path.with_suffix(".png").exists() else path


def scenes(
    root: Path,
    sequences: Iterable[str] | None = None,
    cameras: Sequence[str] | None = None,
    every: int = 1,
    frames: Iterable[int] | None = None,
    joints: int | None = None,
    skip_damaged: bool = False,
) -> Iterator[Scene]:
    """Scenes by sequence, frame, camera; each body file is read when its turn comes.

    Parameters
    ----------
    root : the folder of the sequences
    sequences : their names; None takes all under `root`
    cameras : names of HD cameras; one Scene each for every frame. None takes `TEST_CAMERAS`, or the one of them that
        is there, as in a synthetic world's files
    every : takes every n-th of the frames that are there (or of `frames`)
    frames : frame numbers, in the data set's own counting; None takes all
    joints : 19 or 15; None takes 19 where there are such files, else 15: `Person.native.skeleton` says which
    skip_damaged : leave out frames whose file cannot be read, with a warning each: the release has some

    Raises
    ------
    MissingData : a sequence, calibration, frame or camera that is not there
    BadInput : a file that is not what it should be
    """
    if every < 1:
        raise BadInput("panoptic.scenes", "every", every, "at least 1")
    wanted = None if frames is None else list(frames)
    for sequence in _sequences(root) if sequences is None else sequences:
        views = _views(Path(root), sequence, cameras)
        files, skeleton = _frames(root, sequence, joints)
        for frame in (list(files) if wanted is None else wanted)[::every]:
            if frame not in files:
                raise MissingData(f"{Path(root) / sequence}: no body3DScene_{frame:08d}.json")
            try:
                found = bodies(files[frame], skeleton)
            except BadInput as error:
                if not skip_damaged:
                    raise
                warnings.warn(f"frame left out: {error}", stacklevel=2)
                continue
            kept = [body for body in found if body.track >= 0 and (body.confidence > CONFIDENCE).any()]
            for camera in views.values():
                people = tuple(_person(body, camera, skeleton) for body in kept)
                people = tuple(person for person in people if person.native.visibility.any())
                yield Scene(camera, people, world=_ID, sequence=sequence, frame=frame, kind=activity(sequence))


_sequences, _frames = sequences, frames  # `scenes` names its arguments alike


def _views(root: Path, sequence: str, names: Sequence[str] | None) -> dict[str, Camera]:
    path = root / sequence / f"calibration_{sequence}.json"
    found = cameras(path)
    if names is None:
        names = [name for name in TEST_CAMERAS if name in found] or TEST_CAMERAS
    if missing := [name for name in names if name not in found]:
        there = ", ".join(found) or "none"
        raise MissingData(f"{path}: no HD camera {', '.join(missing):.80}; it has {there:.400}")
    return {name: found[name] for name in names}
