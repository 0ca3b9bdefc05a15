"""Human3.6M: one actor in a studio with motion capture, seen by four cameras; in the three forms that are in use.

- 3DMPPE's JSON (`scenes`): `annotations/Human36M_subject{n}_{data,camera,joint_3d}.json`; joints in the world, mm,
  z up. Files since June 2020 hold t of x = R X + t; older ones, as the published converter still makes them, hold the
  camera's place there: x = R (X - t). The keys are the same, so `convention` decides by the stored boxes.
  No lens: 3DMPPE projects without the distortion, up to 3.4 px off. `data.json` is read record by record;
  `joint_3d.json` of one subject is in memory (about 60 MB of text; hundreds of MB as Python lists).
- mmpose's npz (`mmpose_scenes`): joints in the camera's frame, METRES; `cameras.pkl`, x = R^T (X - T), metres.
- The original CDF (`raw_scenes`, extra `cdf`): `S1/MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf` in the
  camera's frame, `D3_Positions/Directions 1.cdf` in the world, mm, 32 joints of which 17 are kept.

17 joints, right before left: 9 sits at the mouth (3DMPPE calls it nose, mmpose neck base, TDBU head), 10 on the upper
head, 8 at the neck; in MPI17 they are approximate. The 18th that 3DMPPE appends, the middle of the shoulders, is in no
file and is not scored. Names in files are not trusted: files whose left and right are swapped, by the bend of the
knees, are refused. There are no labels of occlusion: what lies in the picture counts as visible. Pixels are the
files' own.
"""

import importlib.util
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mp3d.camera import Camera, Lens, project
from mp3d.data import coco, pickles, safe
from mp3d.errors import BadInput, MissingData
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import H36M17

WORLD = "h36m"
PROTOCOLS = {
    (1, "train"): ((1, 5, 6, 7, 8, 9), 5),
    (1, "test"): ((11,), 64),
    (2, "train"): ((1, 5, 6, 7, 8), 5),
    (2, "test"): ((9, 11), 64),
}
"""3DMPPE's protocols: subjects, and of how many frames one is taken."""
_NAMES = ("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting")
_NAMES += ("SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether")
ACTIONS = dict(enumerate(_NAMES, 2))
"""3DMPPE's `action_idx`."""
CAMERAS = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}
"""Width and height, px, of each camera, in the order of 3DMPPE's `cam_idx` 1 to 4."""
LEFT_OUT = "s_11_act_02_subact_02_ca_01"
"""A damaged video, which 3DMPPE leaves out."""
SHIFT = (-200.0, 0.0, 0.0)
"""mm in the world: what puts right three of S9's sequences (posepile and MeTRAbs correct them; most papers do not)."""
SHIFTED = {(9, 5, 2): "Greeting", (9, 10, 2): "SittingDown_1", (9, 13, 1): "Waiting_1"}
"""Which these are: subject, 3DMPPE's action and sub-action; the original name."""
PUBLISHED, OLDER = "R X + t", "R (X - t)"
JOINTS = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
"""H36M17 among the original 32."""


# -- 3DMPPE's JSON ------------------------------------------------------------------------------------------


def scenes(
    root: Path | str,
    subjects: Sequence[int] = (9, 11),
    cameras: Sequence[int] = (1, 2, 3, 4),
    every: int = 1,
    correct_s9: bool = False,
) -> Iterator[Scene]:
    """3DMPPE's JSON, a picture at a time; `frame` is `frame_idx`, from 0, `sequence` the folder of the pictures.

    `PROTOCOLS` has subjects and `every` of the usual protocols. The camera is right whichever convention the file has.

    Parameters
    ----------
    root : the folder with the files, or with `annotations/`
    cameras : `cam_idx`
    every : of how many frames one is taken
    correct_s9 : move the three shifted sequences of S9 by `SHIFT`; the papers' numbers are without

    Raises
    ------
    MissingData, BadInput
        also if neither convention, or not one alone, fits the boxes; if left and right are swapped
    """
    if every < 1:
        raise BadInput("human36m.scenes", "every", every, "at least 1")
    for subject in subjects:
        for shot in _shots(Path(root), subject, cameras, every):
            camera, world = shot.camera, shot.world
            if correct_s9 and (subject, shot.action, shot.subaction) in SHIFTED:
                world = world + np.array(SHIFT)
            xyz = camera.to_camera(world)
            yield _scene(xyz, camera, shot.sequence, shot.frame, ACTIONS.get(shot.action, ""), subject)


def convention(root: Path | str, subject: int) -> str:
    """How a subject's camera file is meant: `PUBLISHED`, "R X + t", or `OLDER`, "R (X - t)"."""
    for shot in _shots(Path(root), subject, (1, 2, 3, 4), 1):
        return shot.convention
    raise MissingData(f"{root}: no picture of subject {subject}")


def image_path(root: Path | str, scene: Scene) -> Path:
    """Where 3DMPPE has the scene's picture; the files count from 1."""
    return Path(root) / "images" / scene.sequence / f"{scene.sequence}_{scene.frame + 1:06d}.jpg"


@dataclass(frozen=True, eq=False)
class _Shot:
    """A picture of 3DMPPE's JSON; `world` mm."""

    action: int
    subaction: int
    frame: int
    sequence: str
    world: Float[np.ndarray, "17 3"]
    camera: Camera
    convention: str


def _shots(root: Path, subject: int, cameras: Sequence[int], every: int) -> Iterator[_Shot]:
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    data, rigs, joints = (folder / f"Human36M_subject{subject}_{part}.json" for part in ("data", "camera", "joint_3d"))
    rig, poses = safe.load_json(rigs), safe.load_json(joints)
    _check_sides(np.array([*_samples(poses, joints)]).reshape(-1, 17, 3), joints)
    settled: dict[int, str] = {}

    def number(image: dict[str, Any], key: str) -> int:
        value = safe.get(image, key, int, data, "images[]")
        if not 0 <= value < 10**9:
            raise BadInput(data, f"images[].{key}", f"{value}"[:40], "a number from 0")
        return value

    def sequence(image: dict[str, Any]) -> str:
        s, act, sub, ca = (number(image, key) for key in ("subject", "action_idx", "subaction_idx", "cam_idx"))
        return f"s_{s:02d}_act_{act:02d}_subact_{sub:02d}_ca_{ca:02d}"

    def wanted(image: dict[str, Any]) -> bool:
        if number(image, "subject") != subject:
            raise BadInput(data, "images[].subject", image["subject"], f"{subject}, as the file is called")
        name = safe.get(image, "file_name", str, data, "images[]")
        video = sequence(image)
        if not name.startswith(video):
            raise BadInput(data, "images[].file_name", f"{name!r:.60}", f"a picture in {video}")
        return image["cam_idx"] in cameras and number(image, "frame_idx") % every == 0 and video != LEFT_OUT

    for image, annotations in coco.images(data, wanted):
        name, width, height = coco.picture(image, data)
        if len(annotations) != 1:
            raise BadInput(data, f"annotations of {name}", len(annotations), "one: the data set shows one person")
        keys = image["action_idx"], image["subaction_idx"], image["frame_idx"]
        world = poses
        for depth, key in enumerate(keys):
            world = safe.get(world, str(key), (dict, list), joints, ".".join(map(str, keys[:depth])))
        world = safe.bounded(world, joints, ".".join(map(str, keys)), (17, 3))
        cam = image["cam_idx"]
        turn, shift, f, c = _rig(rig, cam, rigs)
        if cam not in settled:
            box = safe.bounded(safe.get(annotations[0], "bbox", list, data, name), data, f"bbox of {name}", (4,))
            settled[cam] = _convention(world, box, turn, shift, np.array([*f, *c]), data, name)
            if len(set(settled.values())) > 1:
                raise BadInput(rigs, "t", "cameras of two conventions", f"{PUBLISHED} or {OLDER} for all")
        if settled[cam] == OLDER:
            shift = -turn @ shift
        camera = Camera(float(f[0]), float(f[1]), float(c[0]), float(c[1]), width, height, turn, shift)
        yield _Shot(*keys, sequence(image), world, camera, settled[cam])


def _rig(rig: object, cam: int, path: Path) -> tuple[np.ndarray, ...]:
    """R, t, f, c of a camera."""
    one = safe.get(rig, str(cam), dict, path)
    turn = safe.rotation(safe.get(one, "R", list, path, str(cam)), path, f"{cam}.R")
    t, f, c = (
        safe.bounded(safe.get(one, key, list, path, str(cam)), path, f"{cam}.{key}", (n,))
        for key, n in (("t", 3), ("f", 2), ("c", 2))
    )
    if not (f > 0).all():
        raise BadInput(path, f"{cam}.f", f, "positive focal lengths")
    return turn, t, f, c


def _convention(
    world: Float[np.ndarray, "17 3"],
    box: Float[np.ndarray, " 4"],
    turn: Float[np.ndarray, "3 3"],
    t: Float[np.ndarray, " 3"],
    k: Float[np.ndarray, " 4"],
    path: Path,
    name: str,
) -> str:
    """The convention under which the joints lie in the middle of the stored box; the wrong one is 1,000 px off."""
    middle, off = box[:2] + box[2:] / 2, {}
    for name_, shift in ((PUBLISHED, t), (OLDER, -turn @ t)):
        xyz = world @ turn.T + shift
        if (xyz[:, 2] > 0).all():
            uv = project(xyz, k)
            off[name_] = float(np.linalg.norm((uv.min(0) + uv.max(0)) / 2 - middle))
    best = min(off, key=off.__getitem__, default=None)
    if best is None or not (box[2:] > 0).all() or off[best] > 0.25 * box[2:].max():
        found = ", ".join(f"{key}: {value:.0f} px off" for key, value in off.items()) or "people behind the camera"
        raise BadInput(path, f"bbox of {name}", found, f"the joints within it, by {PUBLISHED} or {OLDER}")
    return best


def _samples(poses: object, path: Path) -> Iterator[np.ndarray]:
    """About 8 poses of each sequence in a joint_3d.json."""
    if not isinstance(poses, dict) or not poses:
        raise BadInput(path, "JSON", type(poses).__name__, "an object: action, sub-action, frame")
    for action in poses:
        for sub in safe.get(poses, action, dict, path):
            frames = safe.get(poses[action], sub, dict, path, action)
            for frame in list(frames)[:: max(1, len(frames) // 8)]:
                yield safe.bounded(frames[frame], path, f"{action}.{sub}.{frame}", (17, 3))


# -- mmpose's npz -------------------------------------------------------------------------------------------


def mmpose_scenes(
    npz: Path | str, cameras: Mapping[tuple[int, str], Camera], every: int = 1, correct_s9: bool = False
) -> Iterator[Scene]:
    """mmpose's `h36m_{train,test}.npz`, a picture at a time, whatever its size; `uv` is the stored `part`.

    `sequence` and `frame` are those of the picture's name, which counts from 1. `center` and `scale` are not needed.

    Parameters
    ----------
    cameras : from `mmpose_cameras`
    every : of how many frames one is taken, by their number from 0
    correct_s9 : as in `scenes`; `uv` moves along

    Raises
    ------
    MissingData, BadInput
        also for poses that are not in metres, or do not project onto `part`: not in the camera's frame, or of another
        camera; and if left and right are swapped
    """
    path = Path(npz)
    if every < 1:
        raise BadInput("human36m.mmpose_scenes", "every", every, "at least 1")
    shapes = {"imgname": (), "part": (17, 3), "S": (17, 4)}
    for i, rows in enumerate(_blocks(path, shapes)):
        if i == 0:
            _check_sides(rows["S"][..., :3].astype(float), path)
        for name, part, pose in zip(*(rows[key] for key in shapes), strict=True):
            match = re.fullmatch(r"S(\d{1,2})_(.+)\.(\d{8})_(\d{1,7})\.jpg", str(name).rpartition("/")[2])
            if match is None:
                raise BadInput(path, "imgname", f"{str(name)!r:.60}", "S1_Directions_1.54138969_000001.jpg and alike")
            subject, action, serial, number = int(match[1]), match[2].replace(" ", "_"), match[3], int(match[4])
            if (number - 1) % every:
                continue
            if (subject, serial) not in cameras:
                raise BadInput(path, "imgname", name, "a picture of a camera in cameras.pkl")
            camera = cameras[subject, serial]
            xyz = 1000 * safe.bounded(pose, path, f"S of {name}", (17, 4))[:, :3]
            uv = safe.bounded(part, path, f"part of {name}", (17, 3))[:, :2]
            _check_metres(xyz, path, f"S of {name}")
            off = float(np.median(np.linalg.norm(camera.project(xyz) - uv, axis=1)))
            if not off < 5:
                raise BadInput(
                    path, f"S of {name}", f"{off:.1f} px from part", "the same joints, in the camera's frame"
                )
            if correct_s9 and subject == 9 and action in SHIFTED.values():
                xyz = xyz + camera.rotation @ np.array(SHIFT)
                uv = camera.project(xyz)
            sequence = f"S{subject}_{match[2]}.{serial}"
            yield _scene(xyz, camera, sequence, number, re.sub(r"_\d$", "", action), subject, uv)


def mmpose_cameras(path: Path | str) -> dict[tuple[int, str], Camera]:
    """`cameras.pkl`: the camera of each subject and serial number, its lens in Human3.6M's own model.

    The keys R and T mean x = R^T (X - T), T the camera's place in metres; mmpose's file for MPI-INF-3DHP uses the same
    keys another way. Width and height follow from the serial number. A stored height whose last digit was cut off, as
    in mmpose's files for MPI-INF-3DHP (204.0), is mended; any other that differs is refused.
    """
    path = Path(path)
    stored = pickles.load_pickle(safe.read_bytes(path), path)
    if not isinstance(stored, dict) or not stored:
        raise BadInput(path, "pickle", type(stored).__name__, "a dict of cameras")
    cameras = {}
    for key, one in stored.items():
        field = f"{key!r:.40}"
        name = key if isinstance(key, tuple) and len(key) == 2 and all(isinstance(part, str) for part in key) else ()
        if not name or not re.fullmatch(r"S\d{1,2}", name[0]) or name[1] not in CAMERAS:
            raise BadInput(path, "key", field, "('S1', '54138969') and alike")

        def vector(key: str, n: int, one: object = one, field: str = field) -> np.ndarray:
            value = safe.bounded(safe.get(one, key, (np.ndarray, list), path, field), path, f"{field}.{key}")
            if value.size != n:
                raise BadInput(path, f"{field}.{key}", f"shape {value.shape}", f"{n} numbers")
            return value.ravel()

        turn = safe.rotation(vector("R", 9).reshape(3, 3), path, f"{field}.R").T
        place, f, c, k, p = (vector(key, n) for key, n in (("T", 3), ("f", 2), ("c", 2), ("k", 3), ("p", 2)))
        if not (f > 0).all() or np.abs(place).max() > 100:
            raise BadInput(path, f"{field}.f, T", f"{f}, {place}", "focal lengths in px, the camera's place in metres")
        for side, known in zip(("w", "h"), CAMERAS[name[1]], strict=True):
            size = safe.get(one, side, (int, float, np.number), path, field)
            if size not in (known, known // 10):
                raise BadInput(path, f"{field}.{side}", size, f"{known} px")
        lens = Lens(*(float(v) for v in (k[0], k[1], p[0], p[1], k[2])), tangential=1)
        cameras[int(name[0][1:]), name[1]] = Camera(
            *(float(v) for v in (*f, *c)), *CAMERAS[name[1]], turn, -1000 * turn @ place, lens
        )
    return cameras


_ROWS = 1024


def _blocks(path: Path, shapes: dict[str, tuple[int, ...]]) -> Iterator[dict[str, np.ndarray]]:
    """Some rows at a time of arrays of equal length in an .npz, unpacked no further than that."""
    safe.check(path, None)
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            members = {name: _member(stack.enter_context(archive.open(f"{name}.npy"))) for name in shapes}
        except Exception as error:  # a damaged file may raise anything
            raise BadInput(
                path, "format", f"{type(error).__name__}: {error}"[:120], f"arrays {', '.join(shapes)}"
            ) from None
        count = members["imgname"][1][0] if members["imgname"][1] else 0
        for name, (_, shape, dtype) in members.items():
            kinds = "US" if name == "imgname" else "fiu"
            if shape != (count, *shapes[name]) or dtype.kind not in kinds or dtype.itemsize > 4096:
                wanted = f"({count}, {str(shapes[name])[1:]}"
                raise BadInput(path, name, f"shape {shape}, {dtype}"[:60], f"shape {wanted}, {kinds}")
        if count == 0:
            raise BadInput(path, "imgname", "no pictures", "at least one")
        for first in range(0, count, _ROWS):
            rows = {}
            for name, (member, _, dtype) in members.items():
                n = min(_ROWS, count - first)
                size = n * dtype.itemsize * int(np.prod(shapes[name]))
                try:
                    block = member.read(size)
                except Exception as error:
                    raise BadInput(path, name, f"{type(error).__name__}: {error}"[:120], "a complete array") from None
                if len(block) < size:
                    raise BadInput(path, name, f"the end after row {first}", f"{count} rows")
                rows[name] = np.frombuffer(block, dtype).reshape(n, *shapes[name])
            yield rows


def _member(member: zipfile.ZipExtFile) -> tuple[zipfile.ZipExtFile, tuple[int, ...], np.dtype]:
    """An .npy at the first of its rows, its shape and type."""
    version = np.lib.format.read_magic(member)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read(member)
    if (fortran and len(shape) > 1) or dtype.hasobject:
        raise ValueError("columns first, or Python objects")
    return member, shape, dtype


# -- the original CDF ---------------------------------------------------------------------------------------


def raw_scenes(
    root: Path | str,
    cameras: Mapping[tuple[int, str], Camera],
    subjects: Sequence[int] = (9, 11),
    every: int = 1,
    correct_s9: bool = False,
) -> Iterator[Scene]:
    """The original `D3_Positions_mono`, a frame at a time, numbered from 0; one video's file is in memory.

    The original keeps the cameras elsewhere (`metadata.xml`); those of `mmpose_cameras` are the same. Videos of a
    camera that is not among `cameras` are left out. Needs the extra `cdf`.

    Raises
    ------
    MissingData, BadInput
    """
    if every < 1:
        raise BadInput("human36m.raw_scenes", "every", every, "at least 1")
    for subject in subjects:
        folder = Path(root) / f"S{subject}" / "MyPoseFeatures" / "D3_Positions_mono"
        paths = sorted(path for path in folder.glob("*.cdf") if not path.name.startswith("_"))
        if not paths:
            raise MissingData(f"{folder}: no .cdf files")
        for path in paths:
            action, _, serial = path.stem.rpartition(".")
            if serial not in CAMERAS:
                raise BadInput(path, "name", f"camera {serial}", "one of " + ", ".join(CAMERAS))
            if (subject, serial) not in cameras:
                continue
            camera = cameras[subject, serial]
            shift = correct_s9 and subject == 9 and action.replace(" ", "_") in SHIFTED.values()
            for frame, xyz in enumerate(read_cdf(path)):
                if frame % every == 0:
                    xyz = xyz + camera.rotation @ np.array(SHIFT) if shift else xyz
                    kind = re.sub(r" \d$", "", action)
                    yield _scene(xyz, camera, f"S{subject}_{path.stem}", frame, kind, subject)


def read_cdf(path: Path | str, seconds: float | int = 60) -> Float[np.ndarray, "F 17 3"]:
    """(F, 17, 3) mm: the 17 of the 32 joints in a file of `D3_Positions` (world) or `D3_Positions_mono` (camera).

    cdflib works in a process of its own, for at most so many seconds and 4 GB: a damaged file may make it count to
    two thousand million.

    Raises
    ------
    MissingData : no such file, or cdflib is not installed
    BadInput
    """
    path = safe.check(Path(path), 1 << 28)
    if importlib.util.find_spec("cdflib") is None:
        raise MissingData(f"{path}: needs cdflib: pip install 'mp3d[cdf]'")
    command = [sys.executable, "-c", _CHILD, str(path.resolve())]
    try:
        child = subprocess.run(command, capture_output=True, timeout=seconds, check=True, stdin=subprocess.DEVNULL)
        pose = np.load(io.BytesIO(child.stdout), allow_pickle=False)
    except subprocess.TimeoutExpired:
        raise BadInput(path, "format", f"no end after {seconds} s", "a CDF with Pose") from None
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise BadInput(path, "format", last[:120] or "no CDF", "a CDF with Pose") from None
    except (ValueError, OSError, EOFError) as error:
        raise BadInput(path, "Pose", f"{error}"[:120], "an array of numbers") from None
    return safe.bounded(pose, path, "Pose", (1, None, 96))[0].reshape(-1, 32, 3)[:, JOINTS]


_CHILD = """
import io, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
except ImportError:  # Windows
    pass
import cdflib, numpy
out = io.BytesIO()
numpy.save(out, cdflib.CDF(sys.argv[1]).varget("Pose"), allow_pickle=False)
sys.stdout.buffer.write(out.getvalue())
"""


# -- what the forms share -----------------------------------------------------------------------------------


def sides_swapped(poses: Float[np.ndarray, "N 17 3"]) -> bool:
    """Whether left and right are swapped, by the median of poses in mm: knees bend, and faces look, ahead."""
    across = poses[:, 1] - poses[:, 4] + poses[:, 14] - poses[:, 11]
    ahead = np.cross(poses[:, 8] - poses[:, 0], across)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    middles = ((2, 1, 3), (5, 4, 6), (9, 8, 10))
    out = sum(poses[:, joint] - (poses[:, a] + poses[:, b]) / 2 for joint, a, b in middles)
    return bool(np.median((out * ahead).sum(1)) < -20)


def _check_sides(poses: np.ndarray, path: Path) -> None:
    """mm or m; NaN and other nonsense is left for the checks of each pose."""
    if len(poses) and np.isfinite(poses).all():
        size = np.median(np.ptp(poses, 1).max(1))
        if size > 0 and sides_swapped(poses * (1500 / size)):
            raise BadInput(path, "joints", "left and right swapped, by the bend of the knees", "H36M17: right first")


def _check_metres(xyz: Float[np.ndarray, "J 3"], path: Path, field: str) -> None:
    span = np.ptp(xyz, 0).max()
    if not 300 < span < 3000 or not (xyz[:, 2] > 0).all():
        raise BadInput(path, field, f"a body {span / 1000:.4g} units long", "0.3 to 3: metres, before the camera")


def _scene(
    xyz: Float[np.ndarray, "17 3"],
    camera: Camera,
    sequence: str,
    frame: int,
    kind: str,
    subject: int,
    uv: Float[np.ndarray, "17 2"] | None = None,
) -> Scene:
    """One person; joints outside the picture count as hidden."""
    if not (xyz[:, 2] > 0).all():
        raise BadInput(sequence, f"frame {frame}", "joints behind the camera", "the actor before it")
    uv = camera.project(xyz) if uv is None else uv
    inside = ((uv >= 0) & (uv < [camera.width, camera.height])).all(1)
    seen = np.where(inside, VISIBLE, HIDDEN).astype(np.uint8)
    native = Person(xyz, uv, seen, np.ones(17, np.uint8), subject, H36M17)
    return Scene(camera, (native.canonical(),), WORLD, sequence, frame, kind)
