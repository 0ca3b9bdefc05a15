"""Is a data set on disk what the manifest says: the right files, of the right size, with the right bytes, that mean it?

Four levels, each with those before it: `layout` (which files), `size`, `hash`, `semantic` (the readers open some of
them, and what they read obeys the camera, the floor and the length of a human back).

Publishers of pose data give no checksums. A hash that several independent copies share is believed, and a mismatch is
a failure; one that a single third party gave makes a warning. Where there is none, the first hash seen is kept in
`data_lock.json` beside the data, and a later change is a failure (trust on first use).
"""

import csv
import gzip
import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import translate
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mp3d import __version__, files
from mp3d.data import (
    coco,
    human36m,
    jta,
    matlab,
    mpi_inf_3dhp,
    mpii,
    mupots,
    panoptic,
    pickles,
    pw3d,
    safe,
    tdbu_outputs,
    threedmppe,
)
from mp3d.data.manifest import ROOT, Check, Dataset, HashList
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import Person, Scene

LEVELS = ("layout", "size", "hash", "semantic")
LOCK = "data_lock.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    dataset, level : of what, by which level
    status : "ok", "warning", "failure" or "absent"
    what : a file, a glob or a check
    text : what was found
    """

    dataset: str
    level: str
    status: str
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<8}{self.dataset}  {self.level:<9}{self.what}: {self.text}"


def exit_code(findings: Iterable[Finding]) -> int:
    """0 ok, 1 failure, 2 warnings only, 3 absent (and nothing wrong with what is there)."""
    seen = {finding.status for finding in findings}
    return next((code for status, code in (("failure", 1), ("absent", 3), ("warning", 2)) if status in seen), 0)


def verify(dataset: Dataset, folder: Path, level: str = "layout", update_lock: bool = False) -> list[Finding]:
    """Look at a data set, up to a level.

    Parameters
    ----------
    folder : the data set's own, `$MP3D_DATA/<id>`
    update_lock : believe the files as they are now, where the manifest has no hash

    Raises
    ------
    BadInput
        for an unknown level; never for what is found in the files
    """
    if level not in LEVELS:
        raise BadInput("verify", "level", repr(level), "one of " + ", ".join(LEVELS))
    folder, depth = Path(folder), LEVELS.index(level)
    if dataset.access.kind == "builtin":
        return [Finding(dataset.id, "layout", "ok", dataset.id, "made here, nothing to check")]
    found = list(_layout(dataset, folder))
    if any(finding.status == "absent" for finding in found):
        return found
    known = _known(dataset, folder)
    if depth >= 1:
        found += _sizes(dataset, folder, known)
    if depth >= 2:
        found += _hashes(dataset, folder, known, update_lock)
    if depth >= 3:
        found += _meaning(dataset, folder)
    return found


# -- layout -------------------------------------------------------------------------------------------------


def _matches(folder: Path, glob: str) -> list[Path]:
    return sorted(path for path in folder.glob(glob) if path.is_file())


def _layout(dataset: Dataset, folder: Path) -> Iterator[Finding]:
    """A finding for each row of the layout, and one for each file that is empty or a pointer."""
    rows = [(row, _matches(folder, row.glob)) for row in dataset.layout]
    listed = [file for file in dataset.files if (folder / file.path).is_file()]
    if not any(paths for _, paths in rows) and not listed:
        text = "nothing of it is here" if folder.is_dir() else "no such folder"
        yield Finding(dataset.id, "layout", "absent", str(folder), text)
        return
    for row, paths in rows:
        low, high = row.min, row.max
        wanted = f"{low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"
        text = f"{len(paths)} files, expected {wanted}"
        status = "ok"
        if len(paths) < row.min and (row.required or paths):
            status = "failure" if row.required else "warning"
            text += _other_case(folder, row.glob)
        elif row.max is not None and len(paths) > row.max:
            status, text = "warning", text + ": too many"
        elif not paths:
            text += ", optional"
        yield Finding(dataset.id, "layout", status, row.glob, text)
        for path in paths:
            try:
                safe.check(path, None)
            except Mp3dError as error:
                yield Finding(dataset.id, "layout", "failure", path.relative_to(folder).as_posix(), _short(error))
    if not any(paths for _, paths in rows):
        text = f"not unpacked yet: mp3d data import {dataset.id} {folder / listed[0].path}"
        yield Finding(dataset.id, "layout", "warning", listed[0].path, text)


def _other_case(folder: Path, glob: str) -> str:
    """Which files would match if upper and lower case were one."""
    pattern = re.compile(translate(glob), re.IGNORECASE)
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    other = [name for name in islice(names, 100_000) if pattern.match(name) and not re.match(translate(glob), name)]
    return f"; {other[0]} differs in upper and lower case" if other else ""


def _short(error: Exception) -> str:
    """An error without the path at its beginning, which stands beside it."""
    if isinstance(error, BadInput):
        return f"{error.field}: found {error.found}, expected {error.expected}"
    return " ".join(str(error).split())[:200]


# -- size and hash ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What somebody says of a file's bytes."""

    bytes: int | None
    sha256: str | None
    md5: str | None
    source: str
    confidence: str

    @property
    def mismatch(self) -> str:
        """The status of a file that is another."""
        return "warning" if self.confidence == "single" else "failure"

    @property
    def says(self) -> str:
        """Whose word it is."""
        return f"{self.confidence}: {self.source}"


def hash_list(rows: HashList) -> dict[str, Known]:
    """A list of hashes of the package, by path."""
    path = ROOT / rows.csv
    data = safe.read_bytes(path)
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return {
        row["path"]: Known(int(row["bytes"]), row["sha256"], None, rows.hash_source, rows.confidence)
        for row in csv.DictReader(io.StringIO(text))
    }


def _known(dataset: Dataset, folder: Path) -> dict[str, Known]:
    """What is known of the files that are there."""
    found: dict[str, Known] = {}
    for rows in dataset.hash_lists:
        found |= hash_list(rows)
    for file in dataset.files:
        if file.confidence or file.bytes:
            source, confidence = file.hash_source or file.reason or "", file.confidence or "single"
            found[file.path] = Known(file.bytes, file.sha256, file.md5, source, confidence)
    return {name: known for name, known in found.items() if (folder / name).is_file()}


def _sizes(dataset: Dataset, folder: Path, known: dict[str, Known]) -> Iterator[Finding]:
    good, sized = 0, {name: k for name, k in known.items() if k.bytes is not None}
    for name, row in sized.items():
        if (size := (folder / name).stat().st_size) == row.bytes:
            good += 1
            continue
        how = "cut off: " if size < row.bytes else ""
        text = f"{how}{size} bytes, not {row.bytes} ({row.says})"
        yield Finding(dataset.id, "size", row.mismatch, name, text)
    yield Finding(dataset.id, "size", "ok", "all", f"{good} of {len(sized)} files with a known size have it")


def digest(path: Path, kind: str = "sha256") -> str:
    """The hash of a file, a block at a time."""
    value = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value.update(block)
    return value.hexdigest()


def compare(path: Path, known: Known) -> str | None:
    """None if the file is the one known, else what differs."""
    kind = "sha256" if known.sha256 else "md5"
    expected = known.sha256 or known.md5
    if expected is None or (found := digest(path, kind)) == expected:
        return None
    return f"{kind} {found}, not {expected} ({known.says})"


def _hashes(dataset: Dataset, folder: Path, known: dict[str, Known], update_lock: bool) -> Iterator[Finding]:
    """Each file with a hash against it, every other one against the lock."""
    hashed = {name: row for name, row in known.items() if row.sha256 or row.md5}
    good = 0
    for name, row in tqdm(hashed.items(), desc=f"{dataset.id}: hashes", unit="file", disable=None, leave=False):
        if text := compare(folder / name, row):
            yield Finding(dataset.id, "hash", row.mismatch, name, text)
        else:
            good += 1
    yield Finding(dataset.id, "hash", "ok", "all", f"{good} of {len(hashed)} files with a known hash have it")

    paths = {path for row in dataset.layout for path in _matches(folder, row.glob)}
    paths |= {folder / file.path for file in dataset.files if (folder / file.path).is_file()}
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    unknown = [name for name in names if name not in hashed]
    try:
        lock = _read_lock(folder / LOCK)
    except BadInput as error:
        yield Finding(dataset.id, "hash", "failure", LOCK, _short(error))
        return
    new, changed = dict(lock), 0
    for name in tqdm(unknown, desc=f"{dataset.id}: lock", unit="file", disable=None, leave=False):
        path = folder / name
        stat, found = path.stat(), digest(path)
        if name in lock and lock[name]["sha256"] != found and not update_lock:
            when = time.strftime("%Y-%m-%d", time.gmtime(lock[name]["mtime"]))
            text = (
                f"sha256 {found}, not {lock[name]['sha256']} as locked, of a file of {when}; --update-lock accepts it"
            )
            yield Finding(dataset.id, "hash", "failure", name, text)
        elif name not in lock or update_lock:
            changed += 1
            row = {"bytes": stat.st_size, "sha256": found, "mtime": stat.st_mtime, "mp3d": __version__}
            new[name] = row
    for name in sorted(set(lock) - set(names)):
        if update_lock:
            del new[name]
        else:
            yield Finding(dataset.id, "hash", "failure", name, "locked, but no longer there; --update-lock accepts it")
    if new != lock:
        try:
            files.write(folder / LOCK, (json.dumps(new, indent=1, sort_keys=True) + "\n").encode())
        except OSError as error:
            yield Finding(dataset.id, "hash", "warning", LOCK, f"could not be written: {error}")
    if unknown:
        text = f"{len(unknown)} files without a known hash, {changed} of them locked now"
        yield Finding(dataset.id, "hash", "ok", LOCK, text)


def _read_lock(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    lock = safe.load_json(path)
    if not isinstance(lock, dict):
        raise BadInput(path, "contents", type(lock).__name__, "an object")
    for name, row in lock.items():
        safe.get(row, "sha256", str, path, name)
        mtime = safe.get(row, "mtime", (int, float), path, name)
        if not 0 <= mtime < 1 << 36:
            raise BadInput(path, f"{name}.mtime", mtime, "seconds since 1970")
    return lock


# -- semantic -----------------------------------------------------------------------------------------------


def _subfolders(folder: Path, glob: str) -> list[Path]:
    return sorted(path for path in folder.glob(glob) if path.is_dir())


def _mupots(folder: Path) -> Iterator[Scene]:
    try:
        names = mupots.present(folder)
    except MissingData:
        yield from threedmppe.scenes(folder / "MuPoTS-3D.json")
    else:
        yield from mupots.scenes(folder, names)


def _mpi_inf_3dhp(folder: Path) -> Iterator[Scene]:
    for path in _subfolders(folder, "S[1-8]/Seq[12]"):
        yield from mpi_inf_3dhp.scenes(folder, [int(path.parent.name[1:])], [int(path.name[3:])])


def _jta(folder: Path) -> Iterator[Scene]:
    for path in _subfolders(folder, "annotations/*"):
        yield from jta.scenes(folder, path.name)


def _human36m(folder: Path) -> Iterator[Scene]:
    """mmpose's files first: they alone hold 2D joints, which tell the lens."""
    for path in _matches(folder, "annotation_body3d/**/h36m_*.npz"):
        yield from _mmpose(path)
    for path in _matches(folder, "annotations/Human36M_subject*_data.json"):
        yield from human36m.scenes(folder, [int(re.sub(r"\D", "", path.stem.split("_")[1]))])


def _mmpose(path: Path) -> Iterator[Scene]:
    cameras = next((place / "cameras.pkl" for place in path.parents[:2] if (place / "cameras.pkl").is_file()), None)
    if cameras is None:
        raise MissingData(f"{path.parents[1] / 'cameras.pkl'}: no such file")
    return human36m.mmpose_scenes(path, human36m.mmpose_cameras(cameras))


def _pw3d(folder: Path) -> Iterator[Scene]:
    for path in _subfolders(folder, "sequenceFiles/*"):
        yield from pw3d.scenes(folder, path.name)


def _coco(folder: Path) -> Iterator[Scene]:
    for path in _matches(folder, "annotations/person_keypoints_*2017.json"):
        yield from coco.scenes(path)


def _mpii(folder: Path) -> Iterator[Scene]:
    for split in ("train", "valid"):
        if any((folder / name.format(split=split)).is_file() for name in mpii.FILES):
            yield from mpii.scenes(folder, split)


def _tdbu(folder: Path) -> Iterator[Scene]:
    for video in tdbu_outputs.read(folder):
        yield from video.scenes()


SCENES: dict[str, Callable[[Path], Iterator[Scene]]] = {
    "mupots3d": _mupots,
    "muco3dhp": lambda folder: threedmppe.scenes(folder / "MuCo-3DHP.json"),
    "mpi_inf_3dhp": _mpi_inf_3dhp,
    "panoptic": panoptic.scenes,
    "jta": _jta,
    "h36m": _human36m,
    "pw3d": _pw3d,
    "coco2017": _coco,
    "mpii": _mpii,
    "tdbu_mupots": _tdbu,
}
"""The scenes of all that is in a data set's folder."""


def _jpeg(path: Path) -> None:
    data = safe.read_bytes(path)
    if data[:2] != b"\xff\xd8" or b"\xff\xd9" not in data[-64:]:
        raise BadInput(path, "contents", "no complete JPEG", "a JPEG from its first marker to its last")


def _first(scenes: Iterator[Scene]) -> None:
    if next(scenes, None) is None:
        raise BadInput("file", "contents", "nobody", "at least one person")


FORMATS: dict[str, Callable[[Path], Any]] = {
    "mupots.annot_mat": lambda path: mupots.annotations(path.parents[1], path.parent.name),
    "mupots.occlusion_mat": lambda path: mupots.annotations(path.parents[1], path.parent.name),
    "threedmppe.json": lambda path: _first(threedmppe.scenes(path)),
    "threedmppe.roots": threedmppe.detections,
    "mpi_inf_3dhp.calibration": mpi_inf_3dhp.calibration,
    "mpi_inf_3dhp.annot_mat": matlab.load_mat,
    "mpi_inf_3dhp.test_mat": lambda path: _first(
        mpi_inf_3dhp.test_scenes(path.parents[1], [path.parent.name]),
    ),
    "panoptic.calibration": panoptic.cameras,
    "panoptic.coco19": lambda path: panoptic.bodies(path, panoptic.FOLDERS[19][1]),
    "panoptic.mpi15": lambda path: panoptic.bodies(path, panoptic.FOLDERS[15][1]),
    "jta.json": lambda path: jta.annotations(path.parents[2], path.parent.name, int(path.stem[4:])),
    "human36m.json": lambda path: list(islice(safe.records(path), 10)),
    "human36m.npz": lambda path: _first(_mmpose(path)),
    "human36m.cdf": human36m.read_cdf,
    "pw3d.pickle": lambda path: pickles.load_pickle(safe.read_bytes(path), path, "latin1"),
    "coco.keypoints": lambda path: _first(coco.scenes(path)),
    "json": lambda path: list(islice(safe.records(path), 10)),
    "image.jpeg": _jpeg,
    "tdbu_outputs": lambda path: pickles.load_pickle(safe.read_bytes(path), path),
    "other": lambda path: safe.check(path, None),
}
"""What opens a file of each format that the manifest names; it raises if the file is not what it should be."""


def _meaning(dataset: Dataset, folder: Path) -> Iterator[Finding]:
    """Some files of each row are opened; the checks are run on the scenes."""
    for row in dataset.layout:
        paths = _matches(folder, row.glob)
        chosen = (
            [paths[i] for i in sorted({int(i) for i in np.linspace(0, len(paths) - 1, row.sample)})] if paths else []
        )
        bad = 0
        for path in chosen:
            try:
                FORMATS[row.format](path)
            except Mp3dError as error:
                bad += 1
                status = "warning" if isinstance(error, MissingData) else "failure"
                yield Finding(dataset.id, "semantic", status, path.relative_to(folder).as_posix(), _short(error))
        if chosen and not bad:
            yield Finding(dataset.id, "semantic", "ok", row.glob, f"{len(chosen)} read")
    read: dict[int, list[Scene]] = {}
    for check in dataset.checks:
        try:
            if check.kind in FILE_CHECKS:
                value = FILE_CHECKS[check.kind](dataset.id, folder, check.params)
            else:
                number = check.params.get("scenes", 200)
                if number not in read:
                    read[number] = _scenes(dataset.id, folder, number)
                if not read[number]:
                    raise MissingData("no scene with people in it")
                value = CHECKS[check.kind](read[number], check.params)
        except Mp3dError as error:
            status = "warning" if isinstance(error, MissingData) else "failure"
            yield Finding(dataset.id, "semantic", status, check.id, f"not checked: {_short(error)}")
            continue
        good, wanted = _within(value, check)
        yield Finding(dataset.id, "semantic", "ok" if good else "failure", check.id, f"{value:.6g}, {wanted}")


def _within(value: float | int, check: Check) -> tuple[bool, str]:
    """Whether a value is within the tolerance; what it should be."""
    limits = check.tolerance
    low, high = limits.get("min", -np.inf), limits.get("max", np.inf)
    if "equal" in limits:
        slack = limits.get("relative", 0) * abs(limits["equal"])
        low, high = limits["equal"] - slack, limits["equal"] + slack
    wanted = f"{low:g} to {high:g}" if low < high else f"{low:g}"
    wanted = f"at most {high:g}" if low == -np.inf else f"at least {low:g}" if high == np.inf else wanted
    return bool(low <= value <= high), f"expected {wanted}"


def _scenes(name: str, folder: Path, number: int) -> list[Scene]:
    """The first scenes with people."""
    return list(islice((scene for scene in SCENES[name](folder) if scene.people), number))


def _people(scenes: list[Scene], params: dict[str, Any]) -> Iterator[tuple[Scene, Person, np.ndarray]]:
    """Each person in the data set's own joints, and which of them count: there, in 3D, and not left out."""
    for scene in scenes:
        for person in scene.people:
            native = person.native or person
            there = (native.visibility > 0) & np.isfinite(native.xyz).all(-1) & np.isfinite(native.uv).all(-1)
            there &= ~np.isin(native.skeleton.joints, params.get("drop", []))
            yield scene, native, there


def _reprojection(scenes: list[Scene], params: dict[str, Any]) -> float:
    """px between projected and stored joints: the median, or the largest with `statistic: max`."""
    off = []
    for scene, person, there in _people(scenes, params):
        off.append(np.linalg.norm(scene.camera.project(person.xyz[there]) - person.uv[there], axis=-1))
    return float({"median": np.median, "max": np.max}[params.get("statistic", "median")](np.concatenate(off)))


def _y_down(scenes: list[Scene], params: dict[str, Any]) -> float:
    """mm by which necks lie below pelvises, on average: negative where y points down."""
    rise = [p.xyz[1, 1] - p.xyz[14, 1] for scene in scenes for p in scene.people]
    return float(np.nanmean(rise))


def _in_front(scenes: list[Scene], params: dict[str, Any]) -> float:
    """The share of joints before the camera."""
    return float(np.concatenate([p.xyz[there, 2] > 0 for _, p, there in _people(scenes, params)]).mean())


def _inside(scenes: list[Scene], params: dict[str, Any]) -> float:
    """The share of joints inside the picture."""
    found = []
    for scene, person, there in _people(scenes, params):
        size = [scene.camera.width, scene.camera.height]
        found.append(((person.uv[there] >= 0) & (person.uv[there] < size)).all(-1))
    return float(np.concatenate(found).mean())


def _length(scenes: list[Scene], params: dict[str, Any]) -> float:
    """mm from neck to pelvis, the median: tells metres and centimetres from millimetres."""
    back = [np.linalg.norm(p.xyz[1] - p.xyz[14]) for scene in scenes for p in scene.people]
    return float(np.nanmedian(back))


def _focal(scenes: list[Scene], params: dict[str, Any]) -> float:
    """px: the slope of u on x / z, which is the focal length whatever camera the reader believes in."""
    x, u = [], []
    for _, person, there in _people(scenes, params):
        x.append(person.xyz[there, 0] / person.xyz[there, 2])
        u.append(person.uv[there, 0])
    return float(np.polyfit(np.concatenate(x), np.concatenate(u), 1)[0])


def _count(name: str, folder: Path, params: dict[str, Any]) -> float:
    """People, or with `what: cells` frames times annotated people, valid or not."""
    if name == "mupots3d" and params["what"] == "cells":
        try:
            names = mupots.present(folder)
        except MissingData:
            everyone = threedmppe.scenes(folder / "MuPoTS-3D.json", valid_only=False)
            return float(sum(len(scene.people) for scene in everyone))
        return float(sum(mupots.annotations(folder, sequence).valid.size for sequence in names))
    return float(sum(len(scene.people) for scene in SCENES[name](folder)))


def _num_keypoints(name: str, folder: Path, params: dict[str, Any]) -> float:
    """The share of annotations whose `num_keypoints` is the number of their key points with v > 0 (COCO)."""
    right = []
    for path in _matches(folder, params["glob"]):
        for key, _, record in safe.records(path):
            if key == "annotations" and len(right) < params.get("records", 20_000):
                points = safe.array(safe.get(record, "keypoints", list, path), path, "keypoints", (51,))
                right.append(safe.get(record, "num_keypoints", int, path) == np.count_nonzero(points[2::3] > 0))
    if not right:
        raise MissingData(f"no annotations in {params['glob']}")
    return float(np.mean(right))


CHECKS: dict[str, Callable[[list[Scene], dict[str, Any]], float]] = {
    "reprojection": _reprojection,
    "y_down": _y_down,
    "in_front": _in_front,
    "inside": _inside,
    "length": _length,
    "focal": _focal,
}
"""What the manifest's checks measure on the first scenes with people (200 unless `scenes` says how many)."""

FILE_CHECKS: dict[str, Callable[[str, Path, dict[str, Any]], float]] = {
    "count": _count,
    "num_keypoints": _num_keypoints,
}
"""What its other checks measure, on whole files."""


def to_json(findings: Iterable[Finding]) -> str:
    """The findings as JSON, a list of objects."""
    return json.dumps([asdict(finding) for finding in findings], indent=1)
