"""What TDBU's released pipeline takes and gives for MuPoTS-3D's 20 videos: real people, no pictures.

305 pickles: 2D joints, the true depth of each pelvis, and predicted poses and depths of the
top-down (TD), the bottom-up (BU) and the integrated model. `data_manifest.yaml`, `tdbu_mupots`,
says where anyone gets them. They come from a stranger: size and sha256 of each are checked against a list in
this package, and an unpickler that knows numpy arrays and nothing else reads them.

What the files hold is documented nowhere. This was found, and the tests on the real files check it:

- 2D joints are in the order of Human3.6M, in pixels of the picture at half its size (the release
  doubles them).
- Poses are in the order of MPI17, metres, x right, y down, z away from the camera; the pelvis is
  near zero, not at it.
- Their z axis is not the camera's: it is the ray through the pelvis, as of a camera that looks at
  the person. Turned onto that ray (`Video.xyz`) they fit the 2D joints better in each of the 20
  videos: the median distance falls from 9 to 51 px to 7 to 29 px.
- Every track is there in every frame. A flag a person and frame, which the release loads and does
  not use, is 0 where the 2D joints move about twice as fast (hidden people).
- TS6, people on the floor: about one pose in seven points the other way from its 2D joints.
- TD, BU and integrated depths were fitted to the true depths of the whole video (mean and scale)
  before they were stored: they are no fair prediction of depth.
- MuPoTS-3D's true 3D poses are not in it.
"""

import csv
import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, Float

from mp3d.camera import Camera
from mp3d.data import manifest
from mp3d.data.archives import Header
from mp3d.data.pickles import load_pickle
from mp3d.errors import BadInput, MissingData
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import H36M17, MPI17, convert

ARCHIVE = "tdbu_mupots.tar.xz"
HASHES = resources.files("mp3d.data") / "hashes" / "tdbu_mupots.csv"
PEOPLE = (2, 2, 2, 2, 2, 2, 3, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)
"""Annotated people in TS1 to TS20."""
_LARGEST = 1 << 26  # bytes of one file of the release, with room
_WHERE = "data_manifest.yaml, tdbu_mupots, says where it is found"

POSES = {"td": "pred", "bu": "pred_bu", "integrated": "pred_inte"}
DEPTHS = {"true": "depths", "td": "pred_dep", "bu": "pred_dep_bu", "integrated": "pred_dep_inte"}

# Neither the release nor MuPoTS-3D ships intrinsics, and the poses do not tell the focal length: the
# 2D joints fit as well, within 2 px, with any longer one and a smaller body. These make the median
# person's leg 860 mm, as of an adult 1.75 m tall (`focal_from_legs`); uncertain by some 5 %, as body
# height is. Square pixels and a principal point in the middle are assumed.
_SQUARE = Camera(1640.0, 1640.0, 1024.0, 1024.0, 2048, 2048)
_WIDE = Camera(1180.0, 1180.0, 960.0, 540.0, 1920, 1080)


def _camera(video: int) -> Camera:
    return _SQUARE if video <= 5 else _WIDE


@dataclass(frozen=True, eq=False)
class Video:
    """One video: F frames, P tracked people.

    Parameters
    ----------
    name : "TS1" to "TS20"
    camera : assumed, see the module's source
    uv : 2D joints, px of the full picture
    confidence : share of each joint in its person's total confidence: sums to 1, no more is stored
    seen : the release's flag, False where the 2D joints are guesses because the person is hidden
    depths : mm of the pelvis, by origin: "true", "td", "bu", "integrated"
    poses : mm relative to the pelvis, as released, by origin: "td", "bu", "integrated"
    """

    name: str
    camera: Camera
    uv: Float[np.ndarray, "F P 17 2"]
    confidence: Float[np.ndarray, "F P 17"]
    seen: Bool[np.ndarray, "F P"]
    depths: dict[str, Float[np.ndarray, "F P"]]
    poses: dict[str, Float[np.ndarray, "F P 17 3"]]

    def agrees(self, pose: str = "integrated") -> Bool[np.ndarray, "F P"]:
        """False where a pose points the other way from its 2D joints: one in seven in TS6."""
        uv = self.uv - self.uv[:, :, MPI17.root, None]
        return (self.poses[pose][..., :2] * uv).sum((-2, -1)) > 0

    def xyz(self, pose: str = "integrated", depth: str = "true") -> Float[np.ndarray, "F P 17 3"]:
        """Absolute poses, mm in the camera's frame.

        The pelvis lies on the ray through its 2D joint, at the chosen depth. The pose is scaled by
        one factor a person (least squares of the 2D joints over the video: the network does not
        know how tall people are) and turned by the smallest rotation from the optical axis to that ray.
        """
        local, z = self.poses[pose], self.depths[depth]
        root_uv = self.uv[:, :, MPI17.root]
        good = (self.seen & self.agrees(pose))[..., None, None]
        flat = np.where(good, local[..., :2], 0)
        shift = (self.uv - root_uv[:, :, None]) * self.depths["true"][..., None, None]
        scale = (flat * shift).sum((0, 2, 3)) / (flat**2).sum((0, 2, 3)) / self.camera.fx
        root = self.camera.back_project(root_uv, z)
        turned = np.einsum("fpij,fpkj->fpki", _towards(root), local)
        return root[:, :, None] + scale[:, None, None] * turned

    def scenes(self, pose: str = "integrated", depth: str = "true", every: int = 1, sure: bool = False) -> list[Scene]:
        """Every `every`-th frame: `xyz` as above, `uv` the detected 2D joints, identity the track.

        Joints of a person who is not `seen` are marked hidden. With `sure`, as for a pseudo-truth,
        people who are not seen or whose pose does not agree are left out, and frames without people.
        """
        xyz = self.xyz(pose, depth)
        keep = self.seen & self.agrees(pose) | (not sure)
        source = convert(self.uv[0, 0], H36M17, MPI17)[1]
        visibility = np.where(self.seen[..., None], VISIBLE, HIDDEN).repeat(17, -1).astype(np.uint8)
        return [
            Scene(
                self.camera,
                tuple(
                    Person(xyz[f, p], self.uv[f, p], visibility[f, p], source, identity=int(p))
                    for p in np.flatnonzero(keep[f])
                ),
                world="tdbu_mupots",
                sequence=self.name,
                frame=f,
                kind="real",
            )
            for f in range(0, len(xyz), every)
            if keep[f].any()
        ]


def _towards(root: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3 3"]:
    """The smallest rotation that takes (0, 0, 1) to the direction of `root`, before the camera."""
    x, y, z = np.moveaxis(root / np.linalg.norm(root, axis=-1, keepdims=True), -1, 0)
    k = 1 / (1 + z)
    rows = [[1 - k * x * x, -k * x * y, x], [-k * x * y, 1 - k * y * y, y], [-x, -y, z]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def reprojection_error(video: Video, xyz: Float[np.ndarray, "F P J 3"]) -> Float[np.ndarray, "F P J"]:
    """Distance in px between projected joints and the video's 2D joints."""
    return np.linalg.norm(video.camera.project(xyz) - video.uv, axis=-1)


def jitter(xyz: Float[np.ndarray, "F *any 3"]) -> float:
    """Mean acceleration, mm/frame²: mean length of the second difference over time (axis 0)."""
    return float(np.linalg.norm(np.diff(xyz, 2, axis=0), axis=-1).mean())


def focal_from_legs(videos: Sequence[Video], leg: float = 860.0) -> Float[np.ndarray, " tracks"]:
    """The focal length, px, at which each person's thigh and shank together are `leg` mm long.

    From the longer leg's length in the picture times the true depth; the 90 % quantile over time,
    because a leg seen at an angle looks shorter, never longer.
    """
    focal = []
    for video in videos:
        uv = video.uv
        bones = [np.linalg.norm(uv[:, :, a] - uv[:, :, b], axis=-1) for a, b in ((8, 9), (9, 10), (11, 12), (12, 13))]
        long = np.maximum(bones[0] + bones[1], bones[2] + bones[3]) * video.depths["true"] / leg
        focal += [np.quantile(long[video.seen[:, p], p], 0.9) for p in range(uv.shape[1])]
    return np.array(focal)


# Reading


def folder(samples: str = "") -> Path | None:
    """Where the release's files are: `samples`, else `$MP3D_DATA/tdbu_mupots`, else `$MP3D_SAMPLES`; None if nowhere.

    Raises
    ------
    BadInput : `samples` names nothing that exists
    """
    if samples and not Path(samples).exists():
        raise BadInput("notebook", "samples", samples, "the folder or archive of the TDBU release")
    data = manifest.root()
    places = (samples, data and data / "tdbu_mupots", os.environ.get("MP3D_SAMPLES", ""))
    return next((Path(place) for place in places if place and Path(place).exists()), None)


def read(source: str | Path, videos: Iterable[int] = range(1, 21), hashes: str | Path | None = None) -> list[Video]:
    """Read videos from the archive, or from a folder that holds it, or that holds it unpacked.

    Parameters
    ----------
    source : `tdbu_mupots.tar.xz`; a folder with that file or with `mupots/` in it; `mupots/` itself
    videos : numbers, 1 to 20
    hashes : CSV of path, sha256, bytes to check against; the package's own list unless given

    Raises
    ------
    MissingData : nothing of the kind at `source`, or one of the files is not there
    BadInput : a size or a sha256 differs; a pickle is truncated, or holds anything but arrays of
        the expected shapes; the archive is damaged, or holds more than files with plain relative names
    """
    videos = list(videos)
    for number in videos:
        if number not in range(1, 21):
            raise BadInput("tdbu_outputs.read", "videos", number, "1 to 20")
    rows = _read_hashes(hashes)
    names = [name for number in videos for name in _names(number)]
    files = _files(Path(source), {name: rows[name][1] for name in names})
    for name in names:
        if name not in files:
            raise MissingData(f"{source}: {name} is missing; {_WHERE}")
        found = hashlib.sha256(files[name]).hexdigest()
        if found != rows[name][0]:
            raise BadInput(name, "sha256", found, rows[name][0])
    return [_video(number, {name: load_pickle(files[name], name) for name in _names(number)}) for number in videos]


def _names(video: int) -> list[str]:
    """The files of a video: one a person in five folders, one for all in three."""
    people = range(PEOPLE[video - 1])
    one = [f"mupots/{folder}/{video - 1:02d}_{p:02d}.pkl" for folder in ("est_p2ds", *DEPTHS.values()) for p in people]
    return one + [f"mupots/{folder}/{video}.pkl" for folder in POSES.values()]


def _read_hashes(path: str | Path | None) -> dict[str, tuple[str, int]]:
    text = (HASHES if path is None else Path(path)).read_text()
    return {row["path"]: (row["sha256"], int(row["bytes"])) for row in csv.DictReader(io.StringIO(text))}


def _check_size(name: str, found: int, expected: int) -> None:
    """Before a file is read, so that no file can fill the memory."""
    if found != expected:
        raise BadInput(name, "size", f"{found} bytes", f"{expected} bytes")


def _files(source: Path, sizes: dict[str, int]) -> dict[str, bytes]:
    """The bytes of the files named in `sizes`, from wherever `source` has them, if it has them."""
    if source.is_dir():
        folder = source.parent if source.name == "mupots" else source
        if (folder / "mupots").is_dir():
            files = {}
            for name, size in sizes.items():
                if (folder / name).is_file():
                    _check_size(name, (folder / name).stat().st_size, size)
                    files[name] = (folder / name).read_bytes()
            return files
        source = source / ARCHIVE
    if not source.is_file():
        raise MissingData(f"{source}: no {ARCHIVE} and no folder mupots/; {_WHERE}")
    try:
        return dict(_members(source, sizes))
    except BadInput:
        raise
    except Exception as error:  # a damaged archive may raise anything
        found = f"{type(error).__name__}: {error}"[:160]
        raise BadInput(source.name, "archive", found, "a complete tar archive") from error


def _members(archive: Path, sizes: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """Wanted members, in one pass; nothing goes to disk, and what would like to is refused."""
    with tarfile.open(archive, "r|*", tarinfo=Header) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or "\\" in member.name:
                raise BadInput(archive.name, "member", member.name, "a relative path without ..")
            if not (member.isreg() or member.isdir()):
                raise BadInput(archive.name, "member", f"{member.name}, a link or device", "files and folders")
            if member.isreg() and str(path) in sizes:
                _check_size(str(path), member.size, sizes[str(path)])
                yield str(path), tar.extractfile(member).read()
            elif member.size > _LARGEST:  # which would have to be gone through, to the next one
                found = f"{member.name}, {member.size} bytes"
                raise BadInput(archive.name, "member", found, f"at most {_LARGEST} bytes")


def _video(number: int, files: dict[str, object]) -> Video:
    people = range(PEOPLE[number - 1])
    tracks = [f"mupots/est_p2ds/{number - 1:02d}_{p:02d}.pkl" for p in people]
    frames = len(_array(files[tracks[0]], tracks[0], (None, 17, 2), 0))
    uv = np.stack([_array(files[t], t, (frames, 17, 2), 0) for t in tracks], 1)
    affinity = np.stack([_array(files[t], t, (frames, 17, 17), 1)[:, 0] for t in tracks], 1)
    seen = np.stack([_array(files[t], t, (frames, 1, 1), 3)[:, 0, 0] > 0 for t in tracks], 1)

    def depth(folder: str) -> np.ndarray:
        names = [f"mupots/{folder}/{number - 1:02d}_{p:02d}.pkl" for p in people]
        return np.stack([_array(files[name], name, (frames,)) for name in names], 1)

    def pose(folder: str) -> np.ndarray:
        name = f"mupots/{folder}/{number}.pkl"
        metres = np.swapaxes(_array(files[name], name, (frames, len(people), 3, 17)), -1, -2)
        return 1000 * (metres - metres[..., MPI17.root, None, :])

    return Video(
        f"TS{number}",
        _camera(number),
        2 * convert(uv, H36M17, MPI17)[0],
        convert(affinity[..., None], H36M17, MPI17)[0][..., 0],
        seen,
        {name: depth(folder) for name, folder in DEPTHS.items()},
        {name: pose(folder) for name, folder in POSES.items()},
    )


def _array(value: object, where: str, shape: tuple[int | None, ...], item: int | None = None) -> np.ndarray:
    """`value`, or its item, as finite floats of the given shape (None: any length)."""
    field = "contents" if item is None else f"item {item}"
    try:
        array = np.asarray(value if item is None else value[item], float)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise BadInput(where, field, f"{error}"[:120], f"numbers of shape {shape}") from error
    if array.ndim != len(shape) or any(n not in (m, None) for m, n in zip(array.shape, shape, strict=True)):
        raise BadInput(where, field, f"shape {array.shape}", f"shape {shape}")
    if not np.isfinite(array).all():
        raise BadInput(where, field, "NaN or infinity", "finite numbers")
    return array
