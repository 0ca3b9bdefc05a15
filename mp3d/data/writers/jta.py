"""JTA's files: one matrix N x 10 a sequence, metres with 6 decimals, 2D joints in whole pixels."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mp3d.errors import BadInput
from mp3d.files import write as write_file
from mp3d.scene import ABSENT, HIDDEN, Scene
from mp3d.skeletons import JTA22, convert, convert_visibility

FOCAL, CENTRE = 1158.0, (960.0, 540.0)
_STANDING = np.array(  # metres about the hips, y down, facing the camera (so that its right is at smaller x): JTA22
    [
        [0, -0.84, 0],
        [0, -0.70, -0.02],
        [0, -0.56, 0],
        [-0.08, -0.54, 0],
        [-0.18, -0.52, 0],
        [-0.22, -0.24, 0.03],
        [-0.20, 0.02, -0.05],
        [0.08, -0.54, 0],
        [0.18, -0.52, 0],
        [0.22, -0.24, 0.03],
        [0.20, 0.02, -0.05],
        [0, -0.45, 0.01],
        [0, -0.35, 0.02],
        [0, -0.25, 0.02],
        [0, -0.15, 0.01],
        [0, -0.05, 0],
        [-0.10, 0, 0],
        [-0.11, 0.44, -0.01],
        [-0.12, 0.88, 0.04],
        [0.10, 0, 0],
        [0.11, 0.44, -0.01],
        [0.12, 0.88, 0.04],
    ]
)
_CLAVICLE = 0.5  # of the way from neck to shoulder
_SPINE = np.arange(1, 6) / 5  # spine0 to spine4, of the way from neck to pelvis


def numbers(seed: int = 0, count: int = 10) -> Float[np.ndarray, "F 4 22 3"]:
    """Metres: four people in `count` frames.

    0 walks across; 1 stands far off; 2 is cut off at the right edge; 3 is beyond LoCO's 100 m.
    """
    rng = np.random.default_rng(seed)
    start = np.array([[-2.0, 0.4, 8.0], [3.0, 0.5, 40.0], [5.0, 0.4, 6.1], [-6.0, 1.0, 120.0]])
    start[:, 2] += rng.integers(0, 100, 4) / 1000
    step = np.array([[0.05, 0, 0.01], [0, 0, 0], [0, 0, -0.01], [0.02, 0, 0]])
    return _STANDING + (start + step * np.arange(count)[:, None, None])[:, :, None]


def fixture(folder: Path, seed: int = 0) -> None:
    """Three sequences: train 0 (frames 1 to 6), test 256 (frames 1 to 10, person 1 all occluded), val 257 (frame 123).

    The numbers are those of `numbers`; people's ids are 0, 10, 20, 30; right wrists are self-occluded, left ones
    occluded.
    """
    points = numbers(seed)
    occluded, by_self = np.zeros((4, 22), bool), np.zeros((4, 22), bool)
    occluded[:, 10], by_self[:, 6] = True, True
    ids = [0, 10, 20, 30]
    hidden = occluded.copy()
    hidden[1] = True
    for split, number, frames, flags in (
        ("train", 0, range(1, 7), occluded),
        ("test", 256, range(1, 11), hidden),
        ("val", 257, [123], occluded),
    ):
        rows = [row for f in frames for row in _rows(f, ids, points[(f - 1) % 10], flags, by_self)]
        write_file(Path(folder) / "annotations" / split / f"seq_{number}.json", json.dumps(rows).encode())


def _rows(frame: int, ids: list[int], points: np.ndarray, occluded: np.ndarray, by_self: np.ndarray) -> list[list]:
    """Rows of one frame from metres (P, 22, 3); a joint that is NaN has none."""
    rows = []
    for p, j in zip(*np.nonzero(np.isfinite(points).all(-1)), strict=True):
        x, y, z = points[p, j].tolist()
        u, v = round(FOCAL * x / z + CENTRE[0]), round(FOCAL * y / z + CENTRE[1])
        flags = [int(occluded[p, j]), int(by_self[p, j])]
        rows.append([frame, ids[p], int(j), u, v, round(x, 6), round(y, 6), round(z, 6), *flags])
    return rows


def write(scenes: Iterable[Scene], folder: Path, split: str = "test") -> None:
    """Scenes as JTA's: the k-th sequence becomes seq_{k}, seq_{256 + 2k} (test) or seq_{257 + 2k} (val).

    JTA has one camera and stores none: the 3D joints are kept in the scene's camera frame and seen anew through JTA's
    (f = 1158, centre 960, 540); 2D joints are those, in whole pixels. Frame f becomes f + 1. Joints that MPI17 lacks
    are made: clavicles half way from neck to shoulder, spine0 to spine4 at fifths from neck to pelvis (so spine4 is
    the pelvis, and MPI17's own spine is lost). A hidden joint is `occluded`: nothing says by whom. An absent one has
    no row.

    Raises
    ------
    BadInput : an unknown split, too many sequences, a person twice in a frame, a frame twice
    """
    first, step, most = {"train": (0, 1, 256), "val": (257, 2, 128), "test": (256, 2, 128)}.get(split, (0, 0, 0))
    if not most:
        raise BadInput("writers.jta", "split", repr(split), "train, val or test")
    found: dict[str, dict[int, list[list]]] = {}
    for scene in scenes:
        frames = found.setdefault(scene.sequence, {})
        ids = [person.identity for person in scene.people]
        if scene.frame + 1 in frames or len(set(ids)) < len(ids):
            raise BadInput("writers.jta", f"{scene.sequence}, frame {scene.frame}", "it or a person twice", "once")
        points = np.array([_jta22(person.xyz, person.skeleton) for person in scene.people]).reshape(-1, 22, 3)
        hidden = np.array([_hidden(person.visibility, person.skeleton) for person in scene.people]).reshape(-1, 22)
        if (points[..., 2] <= 0).any():
            raise BadInput("writers.jta", f"{scene.sequence}, frame {scene.frame}", "depth <= 0", "people in front")
        frames[scene.frame + 1] = _rows(scene.frame + 1, ids, points / 1000, hidden, np.zeros_like(hidden))
    if len(found) > most:
        raise BadInput("writers.jta", "sequences", len(found), f"at most {most} in {split}")
    for k, frames in enumerate(found.values()):
        rows = [row for frame in sorted(frames) for row in frames[frame]]
        path = Path(folder) / "annotations" / split / f"seq_{first + step * k}.json"
        write_file(path, json.dumps(rows).encode())


def _jta22(xyz: np.ndarray, skeleton) -> Float[np.ndarray, "22 3"]:
    """All 22 joints, made as `write` says where the set has none."""
    out = convert(xyz, skeleton, JTA22)[0]
    pelvis = xyz[skeleton.root] if skeleton.root is not None else (out[16] + out[19]) / 2
    made = {JTA22.index(f"spine{i}"): out[2] + a * (pelvis - out[2]) for i, a in enumerate(_SPINE)}
    made |= {3: out[2] + _CLAVICLE * (out[4] - out[2]), 7: out[2] + _CLAVICLE * (out[8] - out[2])}
    if skeleton != JTA22:
        for joint, point in made.items():
            out[joint] = point
    return out


def _hidden(visibility: np.ndarray, skeleton) -> np.ndarray:
    """A made joint is hidden if the neck is (clavicles) or a hip is (spine)."""
    out = convert_visibility(visibility, skeleton, JTA22)
    if skeleton != JTA22:
        out[[3, 7]] = out[2]
        out[11:16] = min(out[16], out[19])
    return (out == HIDDEN) | (out == ABSENT)
