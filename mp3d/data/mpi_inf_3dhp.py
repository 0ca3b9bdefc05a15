"""MPI-INF-3DHP: one person in a studio before 14 cameras, and six test videos, two of them outdoors.

Mehta et al., *Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision*, 3DV 2017. Poses are in
mm in the camera's frame, y down; 2D in px as released, nothing is shifted. No label says what is hidden: every joint is
taken as visible. In 2D and 3D, hips and spine are not the same points (0.6 to 2.1 px apart), by design.

- Training: `S1` to `S8`, `Seq1`, `Seq2`: `annot.mat` (MATLAB v5: `annot2`, `annot3`, `univ_annot3`, cells of 14
  cameras, a row a frame, 28 joints) and `camera.calibration` (text; x_camera = R x_world + t, mm, the world's y axis
  up). Papers use 8 of the cameras, see `CAMERAS`. Images are videos; `frame` counts their frames from 0. Read whole, a
  sequence's `annot.mat` takes up to half a gigabyte.
- Test: `TS1` to `TS6`: `annot_data.mat` (MATLAB v7.3, that is HDF5: needs h5py; which of the formats it is shows in its
  first bytes, not in its name), 17 joints. Only frames with `valid_frame` 1 count. `frame` counts from 1, as images'
  names do. No intrinsics are shipped; they are found as MuPoTS's are, video by video: TS2 has a camera of its own.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mp3d.camera import Camera
from mp3d.data import matlab, mupots, safe
from mp3d.errors import BadInput, MissingData
from mp3d.scene import VISIBLE, Person, Scene
from mp3d.skeletons import MPI17, MPI28, NATIVE, Skeleton

SUBJECTS = tuple(range(1, 9))
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""Those that papers use."""
TESTS = tuple(f"TS{n}" for n in range(1, 7))


def scenes(
    root: str | Path,
    subjects: Iterable[int] = SUBJECTS,
    sequences: Iterable[int] = (1, 2),
    cameras: Iterable[int] = CAMERAS,
    truth: str = "annot3",
) -> Iterator[Scene]:
    """The training set: sequence by sequence, camera by camera, frame by frame, one person each.

    `Scene.sequence` is such as "S1/Seq2/video_4"; people carry MPI28 as `native`.

    Parameters
    ----------
    root : the folder that holds S1 to S8
    truth : `annot3` projects onto the picture; `univ_annot3` is the pose on a skeleton of one height for all

    Raises
    ------
    MissingData : a file that was asked for is not there
    BadInput : a damaged file; a variable or camera that is missing; numbers of another shape, or not finite
    """
    subjects, sequences, cameras = tuple(subjects), tuple(sequences), tuple(cameras)
    for name, asked, there in (
        ("subjects", subjects, SUBJECTS),
        ("sequences", sequences, (1, 2)),
        ("cameras", cameras, range(14)),
    ):
        if not set(asked) <= set(there):
            raise BadInput("mpi_inf_3dhp.scenes", name, asked, f"some of {there[0]} to {there[-1]}")
    _check_truth(truth)
    for subject in subjects:
        for sequence in sequences:
            folder = Path(root) / f"S{subject}" / f"Seq{sequence}"
            calibrated = calibration(folder / "camera.calibration")
            for c in cameras:
                if c not in calibrated:
                    raise BadInput(folder / "camera.calibration", "name", f"no camera {c}", "every camera asked for")
            path = folder / "annot.mat"
            variables = matlab.load_mat(path)
            for c in cameras:
                uv = _camera_rows(variables, "annot2", c, 2, path)
                xyz = _camera_rows(variables, truth, c, 3, path)
                if len(uv) != len(xyz):
                    raise BadInput(path, f"annot2[{c}]", f"{len(uv)} frames", f"{len(xyz)}, as in {truth}")
                name = f"S{subject}/Seq{sequence}/video_{c}"
                for frame in range(len(xyz)):
                    person = _person(xyz[frame], uv[frame], MPI28)
                    yield Scene(calibrated[c], (person,), "mpi_inf_3dhp", name, frame, "real")


def test_scenes(root: str | Path, sequences: Iterable[str] = TESTS, truth: str = "annot3") -> Iterator[Scene]:
    """The test set's valid frames, one person each; `kind` is "activity_1" to "activity_7" of `activity_annotation`.

    Parameters
    ----------
    root : the folder that holds TS1 to TS6, or that holds `mpi_inf_3dhp_test_set`
    truth : as in `scenes`

    Raises
    ------
    MissingData : a file is not there, or h5py is not installed
    BadInput : as `scenes`
    """
    sequences = tuple(sequences)
    _check_truth(truth)
    for sequence in sequences:
        path = _test_folder(root, sequence) / "annot_data.mat"
        variables = _test_variables(path)
        uv = safe.array(variables["annot2"], path, "annot2", (None, 1, 17, 2), finite=False)
        n = len(uv)
        poses = {
            name: safe.array(variables[name], path, name, (n, 1, 17, 3), finite=False)
            for name in ("annot3", "univ_annot3")
        }
        valid, activity = (_row(variables, name, n, path) for name in ("valid_frame", "activity_annotation"))
        if not np.isin(valid, (0, 1)).all():
            raise BadInput(path, "valid_frame", f"{valid[~np.isin(valid, (0, 1))][0]}", "0 or 1")
        valid = valid == 1
        for name, numbers in {"annot2": uv, **poses}.items():
            bad = np.flatnonzero(valid & ~np.isfinite(numbers).all((1, 2, 3)))
            if len(bad):
                raise BadInput(path, f"{name}[{bad[0]}]", "NaN or infinity in a valid frame", "finite numbers")
        found = mupots.Annotations(
            uv, poses["annot3"], poses["univ_annot3"], valid[:, None], np.zeros((n, 1, 17), bool), str(path)
        )
        camera = Camera(*mupots.intrinsics(found), *((1920, 1080) if sequence in ("TS5", "TS6") else (2048, 2048)))
        for i in np.flatnonzero(valid):
            person = _person(poses[truth][i, 0], uv[i, 0], MPI17)
            yield Scene(camera, (person,), "mpi_inf_3dhp", sequence, int(i) + 1, f"activity_{activity[i]}")


def image_path(root: str | Path, sequence: str, frame: int) -> Path:
    """Where the image of a test frame lies; `frame` counts from 1, as `Scene.frame` of `test_scenes` does."""
    return _test_folder(root, sequence) / "imageSequence" / f"img_{frame:06d}.jpg"


def calibration(path: str | Path) -> dict[int, Camera]:
    """The cameras of a `camera.calibration` file, by number.

    Raises
    ------
    BadInput : another kind of file, a line that is missing, a skewed or distorting camera, a matrix that is no rotation
    """
    path = Path(path)
    try:
        lines = safe.read_bytes(path, 1 << 20).decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise BadInput(path, "contents", "bytes that are no text", "a Skeletool calibration file") from None
    lines = [line.split() for line in lines if line.strip()]
    if not lines or lines[0][:3] != ["Skeletool", "Camera", "Calibration"] or len(lines) % 7 != 1 or len(lines) < 8:
        raise BadInput(path, "contents", f"{len(lines)} lines", "a Skeletool calibration file: 1 line, and 7 a camera")
    cameras = {}
    for first in range(1, len(lines), 7):
        fields = {}
        for (key, *words), (expected, n) in zip(lines[first : first + 7], _LINES.items(), strict=True):
            if key != expected:
                raise BadInput(path, f"line {first + len(fields) + 1}", key[:40], expected)
            try:
                numbers = [float(word) for word in words]
            except ValueError:
                numbers = None  # which is refused
            fields[key] = safe.array(numbers, path, f"camera {len(cameras)}: {key}", (n,))
        name = f"camera {len(cameras)}"
        k, pose = fields["intrinsic"].reshape(4, 4), fields["extrinsic"].reshape(4, 4)
        turn = safe.rotation(pose[:3, :3], path, f"{name}: extrinsic")
        if k[0, 1] != 0 or fields["radial"][0] != 0:
            raise BadInput(path, name, f"skew {k[0, 1]:g}, radial {fields['radial'][0]:g}", "0, a plain pinhole camera")
        number, width, height = (
            int(safe.array(value, path, f"{name}: name, size", (), int)) for value in (*fields["name"], *fields["size"])
        )
        if number in cameras or not min(k[0, 0], k[1, 1], width, height) > 0:
            raise BadInput(
                path, name, f"number {number}, f {k[0, 0]:g}, {k[1, 1]:g}", "every number once, f and size > 0"
            )
        cameras[number] = Camera(
            float(k[0, 0]),
            float(k[1, 1]),
            float(k[0, 2]),
            float(k[1, 2]),
            width,
            height,
            turn.copy(),
            pose[:3, 3].copy(),
        )
    return cameras


_LINES = {"name": 1, "sensor": 2, "size": 2, "animated": 1, "intrinsic": 16, "extrinsic": 16, "radial": 1}
"""The lines of a camera, and how many numbers each has."""


def _check_truth(truth: str) -> None:
    if truth not in ("annot3", "univ_annot3"):
        raise BadInput("mpi_inf_3dhp", "truth", repr(truth), "annot3 or univ_annot3")


def _person(xyz: Float[np.ndarray, "J 3"], uv: Float[np.ndarray, "J 2"], skeleton: Skeleton) -> Person:
    n = len(skeleton)
    seen, source = np.full(n, VISIBLE, np.uint8), np.full(n, NATIVE, np.uint8)
    return Person(xyz, uv, seen, source, skeleton=skeleton).canonical()


def _camera_rows(variables: dict, name: str, camera: int, axes: int, path: Path) -> Float[np.ndarray, "F 28 axes"]:
    """One camera's cell of a training variable."""
    cells = variables.get(name)
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.size != 14:
        found = "nothing" if cells is None else f"{getattr(cells, 'dtype', type(cells).__name__)} of {np.size(cells)}"
        raise BadInput(path, name, found, "a cell for each of 14 cameras")
    return safe.array(cells.ravel()[camera], path, f"{name}[{camera}]", (None, 28 * axes)).reshape(-1, 28, axes)


def _row(variables: dict, name: str, n: int, path: Path) -> np.ndarray:
    """(n,) whole numbers; stored as a row or as a column."""
    values = safe.array(variables[name], path, name, (None, None), int)
    if values.shape not in ((n, 1), (1, n)):
        raise BadInput(path, name, f"shape {values.shape}", f"({n}, 1), one a frame")
    return values.ravel()


def _test_folder(root: str | Path, sequence: str) -> Path:
    if sequence not in TESTS:
        raise BadInput("mpi_inf_3dhp", "sequence", repr(sequence), "TS1 to TS6")
    inner = Path(root) / "mpi_inf_3dhp_test_set"
    return (inner if inner.is_dir() else Path(root)) / sequence


_TEST_VARIABLES = ("annot2", "annot3", "univ_annot3", "valid_frame", "activity_annotation")


def _test_variables(path: Path) -> dict[str, np.ndarray]:
    """The variables of `annot_data.mat`, axes as HDF5 has them: MATLAB's in reverse."""
    with safe.check(path).open("rb") as file:
        hdf5 = matlab.is_hdf5(file.read(1024))
    if hdf5:
        return _hdf5(path)
    variables = matlab.load_mat(path)
    for name in _TEST_VARIABLES:
        if not isinstance(variables.get(name), np.ndarray):
            raise BadInput(path, name, type(variables.get(name)).__name__, "a variable, an array")
    return {name: variables[name].T for name in _TEST_VARIABLES}


def _hdf5(path: Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise MissingData(f'{path}: MATLAB v7.3 files need h5py: pip install "mp3d[hdf5]"') from None
    room = safe.room(path.stat().st_size)  # a few bytes can say that they are many zeros
    try:
        with h5py.File(path, "r") as file:
            out = {}
            for name in _TEST_VARIABLES:
                # A link to another file is not followed: what is read is what is in this one.
                link = file.get(name, getlink=True)
                data = file[name] if isinstance(link, h5py.HardLink) else None
                if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
                    raise BadInput(path, name, type(link).__name__, "a variable in this file")
                # Told from the header, before anything is unpacked.
                room -= math.prod(data.shape) * data.dtype.itemsize if data.dtype.kind in "iuf" else room + 1
                if room < 0:
                    raise BadInput(path, name, f"{data.dtype}, shape {data.shape}", "numbers, of a test video's size")
                out[name] = data[()]
            return out
    except BadInput:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise BadInput(path, "format", f"{type(error).__name__}: {error}"[:120], "a complete HDF5 file") from None
