"""MPI-INF-3DHP's files, written: a fixture of a training sequence and of two test videos (these need h5py)."""

import io
from pathlib import Path

import numpy as np

from mp3d import files
from mp3d.data.writers.mupots import UNIVERSAL, mat, poses, seen_by

# Where MuPoTS's 17 joints stand among the 28; the others are the mean of two of the 17, or off a wrist or an ankle.
_OF_28 = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
_BETWEEN = {0: (1, 15), 1: (1, 15), 2: (14, 15), 8: (1, 5), 13: (1, 2)}
_OFF = {12: 7, 17: 4, 21: 13, 22: 13, 26: 10, 27: 10}
_UPRIGHT = np.diag([1.0, -1.0, -1.0])  # the world's y axis is up, the camera's is down


def fixture(folder: Path, seed: int = 0) -> None:
    """`S1/Seq1`, 2 frames before 14 cameras, and `TS1` and `TS6`, 6 frames each.

    Camera c: fx, fy, cx, cy are 1500 + c, 1490 + c, 1024 + c, 1050 px; it looks along the world's -z, is 1540 mm above
    the floor and 100 c mm to the right. The person stands on the floor, which is at y = 0.
    TS1 has f 1500, 1501 and c 1017, 1043 px, TS6 1683, 1671 and 950, 556; frames 2 and 3 (of 1 to 6) are not valid in
    either. Activities are 1 to 6. `univ_annot3` is `annot3` times `UNIVERSAL`.
    """
    folder = Path(folder)
    pose = _with_28(poses(2, 1, seed)[:, 0])
    cells = {name: np.empty((14, 1), object) for name in ("annot2", "annot3", "univ_annot3")}
    text = ["Skeletool Camera Calibration File V1.0"]
    for c in range(14):
        t = np.array([-100.0 * c, 1540, 4000])
        k = 1500.0 + c, 1490.0 + c, 1024.0 + c, 1050.0
        xyz = pose + t - [0, 950, 4000]  # the feet, 950 mm below `poses`' axis and 4000 mm off, at the camera's height
        cells["annot2"][c, 0] = seen_by(xyz, k).reshape(len(xyz), 56)
        cells["annot3"][c, 0] = xyz.reshape(len(xyz), 84)
        cells["univ_annot3"][c, 0] = UNIVERSAL * xyz.reshape(len(xyz), 84)
        text += _calibration(c, k, np.column_stack([_UPRIGHT, t]))
    others = {"cameras": np.arange(14)[None], "frames": np.arange(2.0)[:, None]}
    files.write(folder / "S1" / "Seq1" / "annot.mat", mat(cells | others))
    files.write(folder / "S1" / "Seq1" / "camera.calibration", ("\n".join(text) + "\n").encode())

    for name, k in (("TS1", (1500.0, 1501.0, 1017.0, 1043.0)), ("TS6", (1683.0, 1671.0, 950.0, 556.0))):
        xyz = poses(6, 1, seed)
        variables = {
            "annot2": seen_by(xyz, k),
            "annot3": xyz,
            "univ_annot3": UNIVERSAL * xyz,
            "valid_frame": np.array([[1.0, 0, 0, 1, 1, 1]]).T,
            "activity_annotation": np.arange(1.0, 7)[:, None],
        }
        files.write(folder / name / "annot_data.mat", hdf5(variables))


def hdf5(variables: dict[str, np.ndarray]) -> bytes:
    """A MATLAB v7.3 file: HDF5 behind a header of 512 bytes; the axes of MATLAB's matrices are the reverse of these."""
    import h5py

    out = io.BytesIO()
    with h5py.File(out, "w", userblock_size=512) as file:
        for name, values in variables.items():
            data = file.create_dataset(name, data=values, track_times=False)
            data.attrs["MATLAB_class"] = np.bytes_("double")
    header = b"MATLAB 7.3 MAT-file, written by mp3d".ljust(116) + b" " * 8 + b"\x00\x02IM"
    return header.ljust(512, b"\0") + out.getvalue()[512:]


def _with_28(pose: np.ndarray) -> np.ndarray:
    out = np.full((*pose.shape[:-2], 28, 3), np.nan)
    out[..., _OF_28, :] = pose
    for j, (a, b) in _BETWEEN.items():
        out[..., j, :] = (pose[..., a, :] + pose[..., b, :]) / 2
    for j, a in _OFF.items():
        out[..., j, :] = pose[..., a, :] + [0, 30, -20]
    return out


def _calibration(camera: int, k: tuple[float, float, float, float], pose: np.ndarray) -> list[str]:
    intrinsic = [k[0], 0, k[2], 0, 0, k[1], k[3], 0, 0, 0, 1, 0, 0, 0, 0, 1]
    extrinsic = [*pose.ravel().tolist(), 0, 0, 0, 1]
    return [
        f"name          {camera}",
        "  sensor      10 10",
        "  size        2048 2048",
        "  animated    0",
        "  intrinsic   " + " ".join(f"{x:.7g}" for x in intrinsic) + " ",
        "  extrinsic   " + " ".join(f"{x:.7g}" for x in extrinsic) + " ",
        "  radial      0",
    ]
