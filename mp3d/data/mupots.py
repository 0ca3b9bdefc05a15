"""MuPoTS-3D as it was released, `MultiPersonTestSet`: 20 videos of two or three people, MATLAB files.

Mehta et al., *Single-Shot Multi-Person 3D Pose Estimation from Monocular RGB*, 3DV 2018. `TS1` to `TS20` each hold
`annot.mat` (a cell a frame and person: 2D and 3D truth, and whether it counts), `occlusion.mat` and
`img_000000.jpg` onwards, counted from 0.

- Both 3D truths are in the camera's frame, mm, y down. `annot3` is where people stand and projects onto `annot2`;
  `univ_annot3` is the same pose on a skeleton of one height for all, which the official evaluation scores.
- 2D in px as released: nothing says where in a pixel a whole number lies; nothing is shifted.
- No intrinsics are shipped: `intrinsics` finds them from `annot2` and `annot3`. Hips and spine are left out, because
  in MPI-INF-3DHP, by the same authors, these joints of 2D and 3D disagree by 0.6 to 2.1 px.
- Cells that are not valid are dropped; a frame may be left with nobody. There are bystanders without annotation.
- Occlusion 1 means hidden. A person's identity is the column of the cell.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from mp3d.camera import Camera
from mp3d.data import matlab, safe
from mp3d.errors import BadInput, MissingData
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import MPI17, NATIVE

SEQUENCES = tuple(f"TS{n}" for n in range(1, 21))
_SHAPES = {"annot2": (2, 17), "annot3": (3, 17), "univ_annot3": (3, 17)}
_AGREE = [j for j, name in enumerate(MPI17.joints) if name not in ("r_hip", "l_hip", "spine")]
"""Joints whose 2D and 3D truth are the same point."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """One video: F frames, P people; in cells that are not valid the numbers mean nothing and may be NaN.

    Parameters
    ----------
    annot2 : px
    annot3 : mm in the camera's frame
    univ_annot3 : mm in the camera's frame, on a skeleton of one height for all
    valid : whether the cell counts
    occluded : whether the joint is hidden
    file : where this was read, for errors
    """

    annot2: Float[np.ndarray, "F P 17 2"]
    annot3: Float[np.ndarray, "F P 17 3"]
    univ_annot3: Float[np.ndarray, "F P 17 3"]
    valid: Bool[np.ndarray, "F P"]
    occluded: Bool[np.ndarray, "F P 17"]
    file: str = "annot.mat"


def size(sequence: str) -> tuple[int, int]:
    """Width and height in px of a video's images; `BadInput` for a name that is not "TS1" to "TS20"."""
    if sequence not in SEQUENCES:
        raise BadInput("mupots", "sequence", repr(sequence), "TS1 to TS20")
    return (2048, 2048) if SEQUENCES.index(sequence) < 5 else (1920, 1080)


def folder(root: str | Path, sequence: str) -> Path:
    """A video's folder; `root` is `MultiPersonTestSet` or the folder that holds it."""
    size(sequence)
    inner = Path(root) / "MultiPersonTestSet"
    return (inner if inner.is_dir() else Path(root)) / sequence


def image_path(root: str | Path, sequence: str, frame: int) -> Path:
    """Where the image of a frame lies; frames count from 0."""
    return folder(root, sequence) / f"img_{frame:06d}.jpg"


def present(root: str | Path) -> tuple[str, ...]:
    """The names of the videos that are there; `MissingData` if there is none."""
    found = tuple(name for name in SEQUENCES if (folder(root, name) / "annot.mat").exists())
    if not found:
        raise MissingData(f"{root}: no annot.mat in any of TS1 to TS20, the folders of MultiPersonTestSet")
    return found


def annotations(root: str | Path, sequence: str) -> Annotations:
    """The truth of one video.

    Parameters
    ----------
    root : the folder `MultiPersonTestSet`, or the one that holds it

    Raises
    ------
    MissingData : annot.mat or occlusion.mat is not there
    BadInput : a file is damaged, a variable or field is missing or has another shape, the two files have different
        numbers of cells, or a valid cell holds NaN
    """
    path = folder(root, sequence) / "annot.mat"
    cells = _cells(path, "annotations")
    for (i, k), cell in np.ndenumerate(cells):
        names = cell.dtype.names or () if isinstance(cell, np.ndarray) and cell.shape == (1, 1) else ()
        for name in ("isValidFrame", *_SHAPES):
            if name not in names:
                raise BadInput(path, f"annotations[{i},{k}].{name}", "nothing", "this field of a struct")
    flat = [cell[0, 0] for cell in cells.flat]
    valid = _stack([s["isValidFrame"] for s in flat], (1, 1), path, "annotations", ".isValidFrame", cells.shape, None)
    if not np.isin(valid, (0, 1)).all():
        raise BadInput(path, "annotations.isValidFrame", f"{valid[~np.isin(valid, (0, 1))][0]:g}", "0 or 1")
    valid = valid[..., 0, 0] == 1
    truth = {
        name: _stack([s[name] for s in flat], shape, path, "annotations", f".{name}", cells.shape, valid).swapaxes(2, 3)
        for name, shape in _SHAPES.items()
    }

    path = path.with_name("occlusion.mat")
    labels = _cells(path, "occlusion_labels")
    if labels.shape != cells.shape:
        raise BadInput(path, "occlusion_labels", f"{labels.shape} cells", f"{cells.shape}, as in annot.mat")
    hidden = _stack(list(labels.flat), (1, 17), path, "occlusion_labels", "", cells.shape, valid)[..., 0, :]
    if not np.isin(hidden[valid], (0, 1)).all():
        odd = hidden[valid][~np.isin(hidden[valid], (0, 1))][0]
        raise BadInput(path, "occlusion_labels", f"{odd:g}", "0, seen, or 1, hidden")
    return Annotations(**truth, valid=valid, occluded=hidden == 1, file=str(path.with_name("annot.mat")))


def _cells(path: Path, name: str) -> np.ndarray:
    """A cell matrix (frames, people) of a MATLAB file."""
    variables = matlab.load_mat(path)
    if name not in variables:
        raise BadInput(path, name, "nothing", "this variable")
    cells = variables[name]
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.ndim != 2 or not cells.size:
        found = f"{getattr(cells, 'dtype', type(cells).__name__)} {getattr(cells, 'shape', '')}"
        raise BadInput(path, name, found, "a cell matrix, frames x people")
    return cells


def _stack(
    values: list,
    shape: tuple[int, int],
    path: Path,
    variable: str,
    field: str,
    size: tuple[int, ...],
    valid: Bool[np.ndarray, "F P"] | None,
) -> Float[np.ndarray, "F P n m"]:
    """One field of all cells; what does not fit is NaN where the cell is not valid, else refused (None: all are)."""
    good = [isinstance(v, np.ndarray) and v.shape == shape and v.dtype.kind in "iufb" for v in values]
    blank = np.full(shape, np.nan)
    out = np.array([v if ok else blank for v, ok in zip(values, good, strict=True)], float).reshape(*size, *shape)
    wrong = ~np.isfinite(out).all((2, 3))
    if valid is not None:
        wrong &= valid
    if wrong.any():
        i, k = np.argwhere(wrong)[0]
        safe.array(values[i * size[1] + k], path, f"{variable}[{i},{k}]{field}", shape)
        raise BadInput(path, f"{variable}[{i},{k}]{field}", "another kind of array", f"a matrix {shape} of numbers")
    return out


def intrinsics(truth: Annotations, joints: Sequence[int] = tuple(_AGREE)) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in px of the video's one camera, by least squares: u = fx X / Z + cx, v = fy Y / Z + cy.

    From the valid cells, `annot2` and `annot3`; `univ_annot3` would not do: it is of another size. `joints` are by
    default all but hips and spine (see the module's text).

    Raises
    ------
    BadInput : no valid cell, a joint of one that is not before the camera, or joints all in one line of sight
    """
    where = truth.file
    xyz, uv = (pose[truth.valid][:, list(joints)] for pose in (truth.annot3, truth.annot2))
    if not len(xyz):
        raise BadInput(where, "annotations.isValidFrame", "no valid cell", "at least one, to find the camera")
    if not (xyz[..., 2] > 0).all():
        i, k = np.argwhere(truth.valid)[(xyz[..., 2] <= 0).any(1)][0]
        raise BadInput(where, f"annotations[{i},{k}].annot3", f"depth {xyz[..., 2].min():g} mm", "positive depths")
    rays, uv = (xyz[..., :2] / xyz[..., 2:]).reshape(-1, 2), uv.reshape(-1, 2)
    with np.errstate(all="ignore"):  # numbers of any size may stand in a file
        mean = rays.mean(0)
        spread = ((rays - mean) ** 2).sum(0)
        f = ((rays - mean) * (uv - uv.mean(0))).sum(0) / spread
        c = uv.mean(0) - f * mean
    if not (spread > 1e-12).all():
        raise BadInput(where, "annotations.annot3", "joints on one line of sight", "a body")
    if not ((f > 0) & np.isfinite(f + c)).all():
        raise BadInput(where, "annotations", f"focal lengths {f[0]:g}, {f[1]:g} px", "annot2 that annot3 projects onto")
    return float(f[0]), float(f[1]), float(c[0]), float(c[1])


def compare_intrinsics(
    found: tuple[float, float, float, float], stated: tuple[float, float, float, float], sequence: str
) -> float:
    """The largest difference in px of fx, fy, cx, cy; above 1 px a warning.

    `stated` is what 3DMPPE's MuPoTS-3D.json gives as `intrinsic` (`mp3d.data.threedmppe`).
    """
    difference = float(np.abs(np.subtract(found, stated)).max())
    if difference > 1:
        text = ", ".join(f"{a:.2f} or {b:.2f}" for a, b in zip(found, stated, strict=True))
        warnings.warn(
            f"{sequence}: fx, fy, cx, cy by least squares or in MuPoTS-3D.json: {text} px; {difference:.2f} px apart",
            stacklevel=2,
        )
    return difference


def scenes(
    root: str | Path,
    sequences: Iterable[str] = SEQUENCES,
    truth: str = "annot3",
) -> Iterator[Scene]:
    """Every frame, also those without a valid person; one video in memory at a time.

    Parameters
    ----------
    root : the folder `MultiPersonTestSet`, or the one that holds it
    truth : which 3D truth; `annot3` projects onto the picture, `univ_annot3` is what the official evaluation scores

    Raises
    ------
    MissingData, BadInput : as `annotations` and `intrinsics`
    """
    sequences = tuple(sequences)
    for sequence in sequences:
        size(sequence)
    if truth not in ("annot3", "univ_annot3"):
        raise BadInput("mupots.scenes", "truth", repr(truth), "annot3 or univ_annot3")
    source = np.full(len(MPI17), NATIVE, np.uint8)
    for sequence in sequences:
        video = annotations(root, sequence)
        camera = Camera(*intrinsics(video), *size(sequence))
        xyz = getattr(video, truth)
        seen = np.where(video.occluded, HIDDEN, VISIBLE).astype(np.uint8)
        for frame, valid in enumerate(video.valid):
            people = tuple(
                Person(xyz[frame, p], video.annot2[frame, p], seen[frame, p], source, identity=int(p))
                for p in np.flatnonzero(valid)
            )
            yield Scene(camera, people, world="mupots3d", sequence=sequence, frame=frame, kind="real")
