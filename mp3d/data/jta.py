"""JTA, Joint Track Auto: crowds in streets, from a computer game; 512 videos of 900 frames, 1920x1080.

Read from::

    annotations/{train,val,test}/seq_{n}.json    one matrix N x 10, a row a joint
    frames/{train,val,test}/seq_{n}/{frame}.jpg  as the data set's `to_imgs.py` extracts them, from 1

A row: frame (from 1), person, joint type (0 to 21, `JTA22`), x2D, y2D (px), x3D, y3D, z3D (m, the camera's frame, y
down), occluded, self_occluded. Here: mm; x2D, y2D as stored, not shifted by half a pixel. A frame that nobody is in has
no rows. Rows may come in any order: the file is gone through once for where each frame's rows stand, then read a frame
at a time.

What is easily got wrong, and how it is held here:

- Older files have other axes: third number up, second forward, so y = -col7 and z = col6, counted from 0. The 2D joints
  tell: seen from the principal point, they are 1158 times x / z and y / z in the right axes alone.
- README and LoCO (Fabbri et al., CVPR 2020) have a focal length of 1158, which the annotations follow; posepile takes
  1167, because the game's own lens makes labels drift from the video. `focal` is that knob; it changes nothing in the
  file's 2D and 3D joints.
- `occluded` and `self_occluded` are two things: here visibility is hidden (1) if either holds, else visible (2), also
  outside the picture. Files of the data set's COCO export say 2 for all.
- No root is stored: the pelvis is the midpoint of the hips (`JTA22` has none, `MPI17`'s is derived); spine4, which
  PandaNet takes, stays in `Person.native`.
- Frames count from 1, in labels and pictures.

LoCO's protocol, which TDBU's table follows, is at the end: its frames, its 14 joints, which of them count, its lattice.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from mp3d.camera import Camera, back_project
from mp3d.data.safe import MAX_RECORD, array, check, record_at, records
from mp3d.errors import BadInput, MissingData
from mp3d.scene import ABSENT, HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import JTA22, NATIVE

FOCAL = 1158.0
"""px, of the annotations; 1167 fits the videos better (posepile)."""
FRAMES = 900
SPLITS = ("train", "val", "test")
_ID = "jta"
_FAR = 1e5  # m, px: no street is that long
_SAMPLE = 20_000  # joints that tell the axes
_NEAR = 0.5  # m: closer joints have a 2D position of their own making


def camera(focal: float | int = FOCAL) -> Camera:
    """JTA's one camera: principal point in the middle, no distortion."""
    return Camera(focal, focal, 960.0, 540.0, 1920, 1080)


def split_of(number: int) -> str:
    """Where sequence `number` belongs: 0 to 255 train, then even ones test, odd ones val (LoCO's code)."""
    if not 0 <= number < 512:
        raise BadInput("jta", "sequence", number, "0 to 511")
    return "train" if number < 256 else ("val" if number % 2 else "test")


def image_path(root: Path, split: str, number: int, frame: int) -> Path:
    """Where `to_imgs.py` puts the picture of a frame; both count from 1."""
    if not 1 <= frame <= FRAMES:
        raise BadInput("jta.image_path", "frame", frame, f"1 to {FRAMES}")
    return Path(root) / "frames" / _split(split) / f"seq_{number}" / f"{frame}.jpg"


def _split(split: str) -> str:
    if split not in SPLITS:
        raise BadInput("jta", "split", repr(split), ", ".join(SPLITS))
    return split


@dataclass(frozen=True, eq=False)
class Labels:
    """Everyone in one frame, in the order of JTA22; NaN where a joint has no row.

    Parameters
    ----------
    person : ids, ascending; one id is one person throughout a sequence
    uv : px, as stored
    xyz : mm in the camera's frame
    occluded, self_occluded : by something or somebody else; by the person
    """

    person: Int[np.ndarray, " P"]
    uv: Float[np.ndarray, "P 22 2"]
    xyz: Float[np.ndarray, "P 22 3"]
    occluded: Bool[np.ndarray, "P 22"]
    self_occluded: Bool[np.ndarray, "P 22"]

    def people(self) -> tuple[Person, ...]:
        """The people in MPI17, with JTA's joints as `native`."""
        there = np.isfinite(self.uv).all(-1)
        seen = np.where(self.occluded | self.self_occluded, HIDDEN, VISIBLE)
        visibility = np.where(there, seen, ABSENT).astype(np.uint8)
        source = np.where(there, NATIVE, ABSENT).astype(np.uint8)
        return tuple(
            Person(self.xyz[p], self.uv[p], visibility[p], source[p], int(self.person[p]), JTA22).canonical()
            for p in range(len(self.person))
        )

    def loco(self) -> Float[np.ndarray, "P 14 3"]:
        """What counts as truth in LoCO's evaluation, mm: NaN for all else; see `LOCO14`.

        A joint counts if its 2D position, cut to whole pixels as LoCO does, has 0 <= x <= 1920 and 0 <= y <= 1080: one
        column and one row more than the picture has. Occluded joints count; a person all of whose joints are `occluded`
        (not `self_occluded`) is left out.
        """
        there = np.isfinite(self.uv).all(-1)
        seen = (there & ~self.occluded).any(-1)
        u, v = np.moveaxis(np.trunc(self.uv), -1, 0)
        kept = (u >= 0) & (u <= 1920) & (v >= 0) & (v <= 1080)
        return np.where(kept[..., None], self.xyz, np.nan)[:, list(LOCO14)][seen]


class Annotations:
    """A `seq_{n}.json`, indexed: where each frame's rows stand, and which axes they have.

    Attributes
    ----------
    frames : numbers of the frames that have rows, ascending, from 1
    old : whether the axes are the older ones

    Raises
    ------
    BadInput : no matrix N x 10, a frame that is no whole number from 1 on, axes that are neither the new nor the old
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._runs: dict[int, list[tuple[int, int]]] = {}  # frame: offsets of the first and last row of each run
        sample, last = [], None
        for key, offset, row in records(self.path):
            if key or offset < 0:
                raise BadInput(self.path, "JSON", "an object", "a matrix N x 10")
            frame = self._frame(row, offset)
            runs = self._runs.setdefault(frame, [])
            if frame == last and offset - runs[-1][0] < MAX_RECORD:
                runs[-1] = runs[-1][0], offset
            else:
                runs.append((offset, offset))
            last = frame
            if len(sample) < _SAMPLE:
                sample.append(row)
        self.frames = sorted(self._runs)
        self.old = bool(sample) and self._is_old(self._numbers(sample, "first rows"))

    def _frame(self, row: Any, offset: int) -> int:
        if not isinstance(row, list) or len(row) != 10:
            found = f"{len(row)} numbers" if isinstance(row, list) else type(row).__name__
            raise BadInput(self.path, f"row at byte {offset}", found, "10 numbers")
        frame = row[0]
        if isinstance(frame, bool) or not isinstance(frame, int | float) or not 1 <= frame <= 2**31 or frame % 1:
            raise BadInput(self.path, f"frame, row at byte {offset}", f"{frame!r:.40}", "a whole number, from 1 on")
        return int(frame)

    def _numbers(self, rows: list, field: str) -> Float[np.ndarray, "N 10"]:
        out = array(rows, self.path, field, (None, 10))
        if (np.abs(out[:, 3:8]) > _FAR).any():
            raise BadInput(self.path, field, f"{np.abs(out[:, 3:8]).max():g}", f"pixels and metres, at most {_FAR:g}")
        return out

    def _is_old(self, rows: Float[np.ndarray, "N 10"]) -> bool:
        """Fit (x2D, y2D) - (cx, cy) = f (x, y) / z in both axes: the right ones give f = 1158 within 1 %."""
        cam = camera()
        uv = rows[:, 3:5] - [cam.cx, cam.cy]
        inside = (np.abs(uv) <= [cam.cx, cam.cy]).all(1)
        slopes = []
        for old in (False, True):
            xyz = _xyz(rows, old)
            good = inside & (xyz[:, 2] > _NEAR)
            ray = xyz[good, :2] / xyz[good, 2:]
            slopes.append(float((uv[good] * ray).sum() / max((ray**2).sum(), 1e-12)))
        fits = [abs(slope / FOCAL - 1) <= 0.01 for slope in slopes]
        if fits[0] == fits[1]:
            found = f"2D joints {slopes[0]:.0f} times x / z, y / z, or {slopes[1]:.0f} times in the old axes"
            raise BadInput(self.path, "x2D to z3D", found, f"{FOCAL:.0f} times in one of the two")
        return fits[1]

    def __getitem__(self, frame: int) -> Labels:
        """The labels of a frame, empty if it has no rows.

        Raises
        ------
        BadInput : a joint type beyond 21, a joint twice, a flag that is neither 0 nor 1, a number that is none
        """
        rows: list = []
        with check(self.path, None).open("rb") as file:
            for first, last in self._runs.get(frame, []):
                rows += self._run(file, first, last)
        where = f"frame {frame}"
        table = self._numbers(rows, where) if rows else np.zeros((0, 10))
        if (table[:, 0] != frame).any():
            raise BadInput(self.path, where, "rows of another frame", "a file that does not change while it is read")
        ids = array(table[:, 1], self.path, f"{where}, person", dtype=int)
        joint = array(table[:, 2], self.path, f"{where}, joint type", dtype=int)
        if ((joint < 0) | (joint > 21)).any():
            raise BadInput(self.path, f"{where}, joint type", sorted({*joint.tolist()} - {*range(22)}), "0 to 21")
        flags = table[:, 8:]
        if ((flags != 0) & (flags != 1)).any():
            raise BadInput(self.path, f"{where}, occluded, self_occluded", "another number", "0 or 1")
        person, p = np.unique(ids, return_inverse=True)
        cells, counts = np.unique(22 * p + joint, return_counts=True)
        if (counts > 1).any():
            again = int(cells[counts > 1][0])
            raise BadInput(
                self.path, where, f"joint {again % 22} of person {person[again // 22]} twice", "each joint once"
            )
        uv, xyz = np.full((len(person), 22, 2), np.nan), np.full((len(person), 22, 3), np.nan)
        hidden = np.zeros((len(person), 22, 2), bool)
        uv[p, joint], xyz[p, joint], hidden[p, joint] = table[:, 3:5], 1000 * _xyz(table, self.old), flags == 1
        return Labels(person, uv, xyz, hidden[..., 0], hidden[..., 1])

    def _run(self, file: BinaryIO, first: int, last: int) -> list:
        """The rows that begin at bytes `first` to `last`."""
        file.seek(first)
        try:
            rows = json.loads(b"[" + file.read(last - first).rstrip(b", \t\r\n") + b"]")
        except (ValueError, RecursionError) as error:
            raise BadInput(self.path, f"bytes {first} to {last}", str(error)[:80], "rows, as a moment ago") from None
        return [*rows, record_at(file, last, self.path)]


def _xyz(rows: Float[np.ndarray, "N 10"], old: bool) -> Float[np.ndarray, "N 3"]:
    """Metres, x right, y down, z forward, in either axes."""
    return np.stack([rows[:, 5], -rows[:, 7], rows[:, 6]], -1) if old else rows[:, 5:8]


def sequences(root: Path, split: str) -> list[int]:
    """The numbers n of the split's `seq_{n}.json`, ascending."""
    folder = Path(root) / "annotations" / _split(split)
    names = [re.fullmatch(r"seq_([0-9]{1,6})\.json", file.name) for file in folder.glob("seq_*.json")]
    if not any(names):
        raise MissingData(f"{folder}: no seq_*.json; data_manifest.yaml, {_ID}, says where it is found")
    return sorted(int(name[1]) for name in names if name)


def annotations(root: Path, split: str, number: int) -> Annotations:
    """One sequence's annotations."""
    return Annotations(Path(root) / "annotations" / _split(split) / f"seq_{number}.json")


def scenes(
    root: Path,
    split: str,
    sequences: Iterable[int] | None = None,
    every: int = 1,
    frames: Iterable[int] | None = None,
    focal: float | int = FOCAL,
) -> Iterator[Scene]:
    """Scenes by sequence ("seq_12") and frame (from 1), one frame's rows in memory at a time.

    Parameters
    ----------
    root : the folder that holds `annotations`
    split : "train", "val" or "test": the folder; `split_of` says which sequences belong there
    sequences : numbers n of seq_{n}; None takes all of the split
    every : takes every n-th of the frames that have rows (or of `frames`)
    frames : frame numbers from 1; one without rows gives a Scene with nobody in it. None takes all that have rows
    focal : px, of the Scenes' camera; the joints stay as they are
    """
    if every < 1:
        raise BadInput("jta.scenes", "every", every, "at least 1")
    wanted = None if frames is None else list(frames)
    if wanted and not all(1 <= frame <= FRAMES for frame in wanted):
        raise BadInput("jta.scenes", "frames", f"{min(wanted)} to {max(wanted)}", f"1 to {FRAMES}")
    view = camera(focal)
    for number in _sequences(root, split) if sequences is None else sequences:
        found = annotations(root, split, number)
        for frame in (found.frames if wanted is None else wanted)[::every]:
            yield Scene(view, found[frame].people(), world=_ID, sequence=f"seq_{number}", frame=frame)


_sequences = sequences  # `scenes` names an argument alike

# -- LoCO's protocol (Fabbri et al., Compressed Volumetric Heatmaps for Multi-Person 3D Pose Estimation) -----

LOCO14 = (0, 2, 4, 5, 6, 8, 9, 10, 16, 17, 18, 19, 20, 21)
"""The 14 of JTA22 that count: head top, neck, shoulders to wrists, hips to ankles, right before left."""
LOCO_FRAMES = {"train": tuple(range(1, 901, 5)), "val": (123,), "test": tuple(range(10, 901, 10))}
"""1, 6, ..., 896; frame 123 of each sequence; 10, 20, ..., 900."""

# Volumetric heat maps: distance from the camera in 316 bins over 100 m, pixels by 8.
BINS, ROWS, COLUMNS, MAX_DISTANCE = 316, 136, 240, 100_000.0
BIN = MAX_DISTANCE / (BINS - 1)
"""mm; about 0.317 m."""
CELL = 8
"""px."""


def quantise(
    uv: Num[np.ndarray, "*n 2"], xyz: Num[np.ndarray, "*n 3"]
) -> tuple[Int[np.ndarray, "*n 3"], Bool[np.ndarray, "*n"]]:
    """The cell of LoCO's lattice that each joint falls in.

    Distance is Euclidean, not z. Cells are the nearest (half to even, as Python rounds). Beyond the lattice a joint is
    dropped, not clipped: more than half a bin farther than 100 m, left of or above the picture, or at x >= 1916, which
    rounds to column 240.

    Parameters
    ----------
    uv, xyz : px; mm

    Returns
    -------
    cells : distance bin, row, column; 0 where dropped
    kept : False where dropped, or NaN
    """
    distance = np.linalg.norm(np.asarray(xyz, float), axis=-1)
    cells = np.round(np.stack([distance / BIN, uv[..., 1] / CELL, uv[..., 0] / CELL], -1))
    kept = ((cells >= 0) & (cells < [BINS, ROWS, COLUMNS])).all(-1)
    return np.where(kept[..., None], cells, 0).astype(np.int64), kept


def unquantise(cells: Int[np.ndarray, "*n 3"], focal: float | int = FOCAL) -> Float[np.ndarray, "*n 3"]:
    """The point, mm, of a cell's centre: within half a bin and 4 px of what was quantised."""
    uv = cells[..., :0:-1] * float(CELL)
    ray = back_project(uv, np.ones(uv.shape[:-1]), camera(focal).k)
    return ray / np.linalg.norm(ray, axis=-1, keepdims=True) * cells[..., :1] * BIN
