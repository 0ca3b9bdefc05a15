"""MuPoTS-3D's MATLAB files (`MultiPersonTestSet`), written: a fixture, or a synthetic world in this format."""

import io
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mp3d import files
from mp3d.errors import BadInput
from mp3d.scene import HIDDEN, Scene

STANDING = np.array(
    [
        [0, -780, 0], [0, -500, 20],  # head_top, neck
        [-180, -490, 0], [-250, -220, 30], [-260, 20, -40],  # right arm; right is at smaller x, who faces the camera
        [180, -490, 0], [250, -220, 30], [260, 20, -40],  # left arm
        [-120, 0, 10], [-130, 430, 0], [-130, 850, 40],  # right leg
        [120, 0, 10], [130, 430, 0], [130, 850, 40],  # left leg
        [0, 0, 0], [0, -250, 25], [0, -640, -30],  # pelvis, spine, head
    ],
    float,
)  # fmt: skip
"""(17, 3) mm: somebody who stands facing the camera, MuPoTS's joints, pelvis at 0."""
UNIVERSAL = 0.9
"""The fixture's `univ_annot3` is `annot3` times this."""


def poses(frames: int, people: int, seed: int = 0) -> Float[np.ndarray, "F P 17 3"]:
    """`STANDING`, 900 mm apart, 10 mm to the right a frame, each joint up to 20 mm off; mm in the camera's frame."""
    noise = np.random.default_rng(seed).uniform(-20, 20, (frames, people, 17, 3))
    k, f = np.arange(people), np.arange(frames)[:, None]
    root = np.stack(np.broadcast_arrays(900.0 * k - 400 + 10 * f, 100.0 + 0 * f, 4000.0 + 300 * k + 0 * f), -1)
    return root[:, :, None] + STANDING + noise


def seen_by(xyz: Float[np.ndarray, "*n 3"], k: tuple[float, float, float, float]) -> Float[np.ndarray, "*n 2"]:
    """Where a camera of fx, fy, cx, cy sees these points, px."""
    x, y, z = np.moveaxis(xyz, -1, 0)
    return np.stack([k[0] * x / z + k[2], k[1] * y / z + k[3]], -1)


def fixture(folder: Path, seed: int = 0) -> None:
    """`MultiPersonTestSet/TS1`, 4 frames of 2 people, and `TS10`, 3 frames of 3.

    fx, fy, cx, cy are 1500, 1510, 1020, 1030 px in TS1 and 1100, 1105, 950, 545 in TS10. In TS1 person 1 is not valid
    in frame 1, and nobody is in frame 2, where cells hold NaN; person 0's joints 3 and 4 are hidden in frame 0.
    """
    for name, frames, people, k in (
        ("TS1", 4, 2, (1500.0, 1510.0, 1020.0, 1030.0)),
        ("TS10", 3, 3, (1100.0, 1105.0, 950.0, 545.0)),
    ):
        xyz = poses(frames, people, seed)
        uv, univ = seen_by(xyz, k), UNIVERSAL * xyz
        valid, hidden = np.ones((frames, people), bool), np.zeros((frames, people, 17), bool)
        if name == "TS1":
            valid[1, 1], valid[2], hidden[0, 0, 3:5] = False, False, True
            uv[2], xyz[2], univ[2] = np.nan, np.nan, np.nan
        _video(Path(folder) / "MultiPersonTestSet" / name, uv, xyz, univ, valid, hidden)


def write(scenes: Iterable[Scene], folder: Path) -> None:
    """Sequences of a synthetic world; D7 becomes `MultiPersonTestSet/TS7`, one sequence in memory at a time.

    A cell a frame and identity; who is not there is not valid. A synthetic world has no skeleton of one height:
    `univ_annot3` is `annot3`. Not kept: image sizes (a reader takes MuPoTS's own), the world's frame, kinds.

    Raises
    ------
    BadInput : a sequence whose name does not end in 1 to 20, comes twice, has no people, or whose frames do not count
        from 0; a person of other joints than MPI17, or with a joint that is not there
    """
    written = set()
    for name, group in groupby(scenes, lambda scene: scene.sequence):
        video, frames = video_number(name), list(group)
        if video in written or [scene.frame for scene in frames] != list(range(len(frames))):
            raise BadInput(
                "writers.mupots", "scenes", f"{name}, frames out of order", "sequences with frames 0, 1, 2, ..."
            )
        written.add(video)
        columns = 1 + max((person.identity for scene in frames for person in scene.people), default=-1)
        if columns == 0:
            raise BadInput("writers.mupots", "scenes", f"{name} without people", "somebody")
        uv, xyz = np.zeros((len(frames), columns, 17, 2)), np.zeros((len(frames), columns, 17, 3))
        valid, hidden = np.zeros(uv.shape[:2], bool), np.zeros(uv.shape[:3], bool)
        for f, scene in enumerate(frames):
            for person in scene.people:
                place = f, person.identity
                if person.xyz.shape != (17, 3) or not np.isfinite(person.xyz).all() or valid[place]:
                    raise BadInput(
                        "writers.mupots", f"{name}, frame {f}", "a person", "one of MPI17 an identity, whole"
                    )
                xyz[place], uv[place], valid[place] = person.xyz, person.uv, True
                hidden[place] = person.visibility <= HIDDEN
        _video(Path(folder) / "MultiPersonTestSet" / f"TS{video}", uv, xyz, xyz, valid, hidden)


def video_number(name: str) -> int:
    """7 for "D7" or "TS7"."""
    digits = name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if not digits.isdecimal() or not 1 <= int(digits) <= 20:
        raise BadInput("writers", "sequence", repr(name), "a name such as D1 to D20")
    return int(digits)


def mat(variables: dict[str, np.ndarray]) -> bytes:
    """A MATLAB v5 file; the same variables give the same bytes."""
    from scipy.io import savemat

    out = io.BytesIO()
    savemat(out, variables, do_compression=True)
    return b"MATLAB 5.0 MAT-file, written by mp3d".ljust(116) + out.getvalue()[116:]  # instead of the date


def _video(folder: Path, uv: np.ndarray, xyz: np.ndarray, univ: np.ndarray, valid: np.ndarray, hidden: np.ndarray):
    cells, labels = np.empty(valid.shape, object), np.empty(valid.shape, object)
    for f, p in np.ndindex(valid.shape):
        cells[f, p] = {
            "annot2": uv[f, p].T,
            "annot3": xyz[f, p].T,
            "univ_annot3": univ[f, p].T,
            "isValidFrame": np.array([[valid[f, p]]]),
        }
        labels[f, p] = hidden[f, p][None].astype(float)
    files.write(folder / "annot.mat", mat({"annotations": cells}))
    files.write(folder / "occlusion.mat", mat({"occlusion_labels": labels}))
