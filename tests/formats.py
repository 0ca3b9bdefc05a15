"""The formats that `tests.fuzz` tries: what writes a fixture, what reads all of it, which files are damaged."""

import collections
import hashlib
import importlib.util
import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import scipy.io
import yaml

from mp3d.data import archives, coco, human36m, jta, manifest, mpi_inf_3dhp, mpii, mupots, panoptic, pw3d
from mp3d.data import tdbu_outputs as tdbu
from mp3d.data import threedmppe as tm
from mp3d.data.writers import coco as coco_files
from mp3d.data.writers import human36m as human36m_files
from mp3d.data.writers import jta as jta_files
from mp3d.data.writers import mpi_inf_3dhp as mpi_inf_3dhp_files
from mp3d.data.writers import mpii as mpii_files
from mp3d.data.writers import muco as muco_files
from mp3d.data.writers import mupots as mupots_files
from mp3d.data.writers import panoptic as panoptic_files
from mp3d.data.writers import pw3d as pw3d_files
from mp3d.data.writers import threedmppe as threedmppe_files
from mp3d.metrics import mupots as metrics
from tests.mutations import PLAIN, encode


@dataclass(frozen=True)
class Format:
    """A fixture, of which files that match `keep` are mutated; a function that reads all of it; what comes before."""

    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    keep: tuple[str, ...] = ("*",)
    before: Callable[[Path], Any] = lambda folder: None


def drain(*iterables: Iterable) -> None:
    for iterable in iterables:
        collections.deque(iterable, 0)


def write_tdbu(folder: Path) -> None:
    """TS1 in the release's format: three frames, two people."""
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(3, 2, 3, 17)).astype(np.float32)
    files: dict[str, Any] = {f"{name}/1.pkl": poses for name in tdbu.POSES.values()}
    for p in range(2):
        files[f"est_p2ds/00_0{p}.pkl"] = [
            np.full(s, 1.0, np.float32) for s in ((3, 17, 2), (3, 17, 17), (3, 16, 16), (3, 1, 1))
        ]
        files |= {f"{name}/00_0{p}.pkl": np.full(3, 3000, np.float32) for name in tdbu.DEPTHS.values()}
    for name, thing in files.items():
        (folder / "mupots" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "mupots" / name).write_bytes(pickle.dumps(thing, 2))


def tdbu_archive(folder: Path) -> None:
    with tarfile.open(folder / tdbu.ARCHIVE, "w:xz") as tar:
        write_tdbu(folder / "in")
        tar.add(folder / "in" / "mupots", "mupots", filter=lambda info: info.replace(mtime=0, deep=False))
    tdbu_hashes(folder / "in", folder)
    shutil.rmtree(folder / "in")


def tdbu_hashes(folder: Path, to: Path | None = None) -> None:
    """A list of hashes that fits the files as they are, or the hash would be all that is ever wrong."""
    names = sorted(folder.rglob("*.pkl"))
    rows = [f"{p.relative_to(folder)},{hashlib.sha256(p.read_bytes()).hexdigest()},{p.stat().st_size}" for p in names]
    for name in tdbu._names(1):  # a file that is away
        rows += [] if any(row.startswith(name) for row in rows) else [f"{name},0,1"]
    ((to or folder) / "hashes.csv").write_text("\n".join(["path,sha256,bytes", *rows]))


def read_tdbu(folder: Path) -> None:
    for video in tdbu.read(folder, [1], folder / "hashes.csv"):
        drain(video.scenes(), tdbu.reprojection_error(video, video.xyz()))


def write_predictions(folder: Path) -> None:
    mupots_files.fixture(folder)
    truth = mupots.annotations(folder, "TS1")
    shutil.rmtree(folder / "MultiPersonTestSet")
    for name, poses in (("2d", truth.annot2), ("3d", truth.univ_annot3)):
        scipy.io.savemat(folder / f"{name}.mat", {f"TS1_img_{i:06d}": frame for i, frame in enumerate(poses)})


def mupots_truth() -> dict[str, mupots.Annotations]:
    with tempfile.TemporaryDirectory() as folder:
        mupots_files.fixture(Path(folder))
        return {"TS1": mupots.annotations(folder, "TS1")}


def write_manifest(folder: Path) -> None:
    whole = yaml.safe_load(manifest.PATH.read_text())
    entry = next(d for d in whole["datasets"] if d["id"] == "mpii")
    (folder / "manifest.yaml").write_text(yaml.safe_dump({**whole, "datasets": [entry]}))


def write_archive(folder: Path, name: str) -> None:
    members = [{"name": f"S{i}/{i}.txt", "data": b"A" * 200 * i, **PLAIN} for i in range(4)]
    (folder / name).write_bytes(encode(name, members))


def extract(folder: Path, name: str) -> None:
    archives.extract(folder / name, folder / "out", max_bytes=1 << 24, max_files=100)


def read_h36m_npz(folder: Path) -> None:
    cameras = human36m.mmpose_cameras(folder / "annotation_body3d" / "cameras.pkl")
    drain(human36m.mmpose_scenes(folder / "annotation_body3d" / "fps50" / "h36m_test.npz", cameras))


def forked(command: list[str], timeout: float, **_: Any) -> subprocess.CompletedProcess:
    """`subprocess.run` for the reader of CDF: a fork in place of a new Python, and less time."""
    out, into = os.pipe()
    if not (child := os.fork()):
        os.dup2(into, 1)
        os.dup2(into, 2)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, 0.3)  # of processor time, for the sake of a busy machine
        sys.argv, code = ["", command[-1]], 1
        try:
            exec(command[2].replace("1 << 32", "1 << 30"), {})  # less memory than the reader gives: it fills faster
            sys.stdout.flush()
            code = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        os._exit(code)
    os.close(into)
    data, end = b"", time.monotonic() + timeout
    while ready := select.select([out], [], [], max(0, end - time.monotonic()))[0]:
        if not (block := os.read(out, 1 << 20)):
            break
        data += block
    os.close(out)
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not ready or code == -signal.SIGPROF:
        raise subprocess.TimeoutExpired(command, timeout)
    if code not in (0, -signal.SIGKILL):  # killed on its way out
        raise subprocess.CalledProcessError(code, command, data, data)
    return subprocess.CompletedProcess(command, 0, data)


def read_h36m_cdf(folder: Path) -> None:
    importlib.import_module("cdflib")  # here, not in every fork
    with mock.patch.object(human36m.subprocess, "run", forked):
        for path in sorted((folder / "S9" / "MyPoseFeatures" / "D3_Positions").glob("*.cdf")):
            human36m.read_cdf(path, seconds=20)


def read_panoptic(folder: Path) -> None:
    calibrations = folder.glob("*/calibration*")
    every = [name for path in calibrations for name in panoptic.cameras(path)]
    drain(panoptic.scenes(folder, cameras=sorted(set(every))))


def read_jta(folder: Path) -> None:
    drain(*(jta.scenes(folder, split) for split in ("val", "test")))


def seven(folder: Path) -> tuple[Path, ...]:
    names = ["MuPoTS-3D", "MuPoTS-3D_with_posenet_result", "MuCo-3DHP_with_posenent_result_filter"]
    names += ["MuPoTS-3D_id2pairId", "bbox_mupots_output", "bbox_root_mupots_gt", "bbox_root_mupots_output"]
    return tuple(folder / f"{name}.json" for name in names)


TRUTH = mupots_truth()
S1, OF_PINET = ((1,), (1,), (0,)), ("*posen*", "*pair*")
FORMATS = {
    "mupots": Format(mupots_files.fixture, lambda f: drain(mupots.scenes(f, ["TS1"])), ("*TS1/*",)),
    "mupots_json": Format(
        threedmppe_files.fixture,
        lambda f: drain(map(tm.apart, tm.scenes(seven(f)[0])), tm.file_names(seven(f)[0]), tm.intrinsics(seven(f)[0])),
        ("*MuPoTS-3D.json",),
    ),
    "muco_json": Format(muco_files.fixture, lambda f: drain(map(tm.apart, tm.scenes(f / "MuCo-3DHP.json")))),
    "pinet_json": Format(
        threedmppe_files.fixture,
        lambda f: drain(tm.refinable(seven(f)[1]), tm.refinable(seven(f)[2]), tm.pairs(seven(f)[3])),
        OF_PINET,
    ),
    "detections": Format(
        threedmppe_files.fixture, lambda f: [tm.detections(path) for path in seven(f)[4:]], ("*bbox*",)
    ),
    "3dhp_train": Format(mpi_inf_3dhp_files.fixture, lambda f: drain(mpi_inf_3dhp.scenes(f, *S1)), ("*S1/Seq1*",)),
    "3dhp_test": Format(mpi_inf_3dhp_files.fixture, lambda f: drain(mpi_inf_3dhp.test_scenes(f, ["TS6"])), ("*TS6*",)),
    "panoptic": Format(panoptic_files.fixture, read_panoptic),
    "jta": Format(jta_files.fixture, read_jta, ("*seq_25*",)),
    "h36m_json": Format(human36m_files.older, lambda f: drain(human36m.scenes(f, (11,)))),
    "h36m_npz": Format(human36m_files.fixture, read_h36m_npz, ("*annotation_body3d*",)),
    "h36m_cdf": Format(human36m_files.cdf_fixture, read_h36m_cdf, ("*S9*D3_Positions/*",)),
    "pw3d_pickle": Format(pw3d_files.fixture, lambda f: drain(pw3d.scenes(f)), ("*.pkl",)),
    "pw3d_json": Format(pw3d_files.fixture, lambda f: drain(pw3d.scenes_json(f / "3DPW_test.json")), ("*.json",)),
    "coco": Format(coco_files.fixture, lambda f: drain(coco.scenes(f), coco.scenes(f, like="smap"))),
    "mpii_coco": Format(mpii_files.fixture, lambda f: drain(mpii.scenes(f)), ("*train*",)),
    "mpii_records": Format(mpii_files.fixture, lambda f: drain(mpii.scenes(f, "valid")), ("*valid*",)),
    "tdbu_pickle": Format(write_tdbu, read_tdbu, ("*.pkl",), tdbu_hashes),
    "tdbu_archive": Format(tdbu_archive, read_tdbu, ("*.xz",)),
    "predictions": Format(write_predictions, lambda f: metrics.evaluate(TRUTH, f / "2d.mat", f / "3d.mat")),
    "manifest": Format(write_manifest, lambda f: manifest._load.__wrapped__(f / "manifest.yaml")),
    **{
        name: Format(partial(write_archive, name=f"a.{name}"), partial(extract, name=f"a.{name}"))
        for name in ("zip", "tar", "tar.gz")
    },
}
if importlib.util.find_spec("cdflib") is None:  # an extra
    del FORMATS["h36m_cdf"]
