"""CMU Panoptic's files: calibration and bodies, cm, 6 significant digits as in the release."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.files import write as write_file
from mp3d.scene import Scene
from mp3d.skeletons import PANOPTIC15, convert

_FRAME_MS = 33.356
_STANDING = np.array(  # cm about bodyCenter, Y down, facing -Z: coco19's order
    [
        [0, -52, 0],
        [0, -66, -12],
        [0, 0, 0],
        [16, -51, 0],
        [21, -22, 3],
        [19, 2, -4],
        [10, 0, 0],
        [11, 44, 0],
        [12, 86, 5],
        [-16, -51, 0],
        [-21, -22, 3],
        [-19, 2, -4],
        [-10, 0, 0],
        [-11, 44, 0],
        [-12, 86, 5],
        [3, -70, -9],
        [8, -68, 0],
        [-3, -70, -9],
        [-8, -68, 0],
    ],
    float,
)
# Two turns of a 3-4-5 triangle and none: x = R X + t can be checked with a pencil.
_TURNS = {
    "00_03": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
    "00_16": [[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]],
    "00_30": [[0.6, 0, -0.8], [0, 1, 0], [0.8, 0, 0.6]],
}


def numbers(seed: int = 0) -> dict[str, dict[int, list[tuple[int, Float[np.ndarray, "_ 4"]]]]]:
    """What the fixture holds: sequence, frame, (id, joints in cm with confidence)."""
    rng = np.random.default_rng(seed)

    def body(x: int, z: int, joints: int = 19) -> np.ndarray:
        place = [x + rng.integers(-20, 21), -90, z + rng.integers(-20, 21)]
        points = _STANDING[:joints] + place
        if joints == 15:
            points[1] = points[0] + [0, -28, 0]  # the top of the head
        return np.column_stack([points, 0.3 + 0.02 * np.arange(joints)])

    torn = body(60, 40)
    torn[12] = 0, 0, 0, -1  # the right hip is missing, bodyCenter is not
    torn[14, 3] = 0.1  # not above the threshold
    close = body(0, -150)  # near the camera: legs out of the picture
    ghost = body(-300, 300)
    return {
        "160422_ultimatum1": {
            100: [(0, body(-50, 0)), (3, torn), (-1, ghost)],
            101: [],
            103: [(0, close), (7, body(70, 60))],
        },
        "160226_mafia1": {f: [(0, body(-40, 10, 15)), (1, body(50, 30, 15))] for f in (20, 21)},
    }


def fixture(folder: Path, seed: int = 0) -> None:
    """Two sequences: 160422_ultimatum1 with joints19, and 160226_mafia1 with joints15 one folder deeper, in `hd`.

    In it: a missing hip, a joint at the threshold, an outlier, a frame without people, a gap between frames, people cut
    off by the picture, a VGA camera, lenses.
    """
    folder = Path(folder)
    for sequence, frames in numbers(seed).items():
        records = [_vga()] + [_record(name, *_fixture_camera(name)) for name in _TURNS]
        write_file(folder / sequence / f"calibration_{sequence}.json", calibration(sequence, records))
        where = "hdPose3d_stage1/hd" if "mafia" in sequence else "hdPose3d_stage1_coco19"
        for frame, people in frames.items():
            write_file(folder / sequence / where / f"body3DScene_{frame:08d}.json", scene_json(frame, people))


def _fixture_camera(name: str) -> tuple:
    k = [[1400.0, 0, 950], [0, 1390, 540], [0, 0, 1]]
    return k, [-0.25, 0.15, 0.0005, -0.0004, -0.03], _TURNS[name], [5.0, 90, 300], [1920, 1080]


def _vga() -> dict:
    k = [[745.7, 0, 375.5], [0, 745.9, 226.0], [0, 0, 1]]
    return _record("01_01", k, [-0.3, 0.1, 0, 0, 0], _TURNS["00_16"], [0.0, 100, 280], [640, 480], "vga")


def _record(name, k, lens, rotation, t, size, kind="hd") -> dict:
    panel, node = (int(part) for part in name.split("_"))
    place = {"K": k, "distCoef": lens, "R": rotation, "t": [[x] for x in t]}
    return {"name": name, "type": kind, "resolution": size, "panel": panel, "node": node, **place}


def calibration(sequence: str, records: list[dict]) -> bytes:
    """The contents of a `calibration_{sequence}.json`."""
    return json.dumps({"calibDataSource": f"{sequence[:6]}_calib_norm", "cameras": records}, indent="\t").encode()


def scene_json(frame: int, people: list[tuple[int, Float[np.ndarray, "_ 4"]]]) -> bytes:
    """The contents of a `body3DScene_%08d.json`: (id, joints in cm with confidence)."""
    found = [{"id": i, f"joints{len(j)}": [float(f"{x:.6g}") for x in j.ravel()]} for i, j in people]
    head = {"version": 0.7, "univTime": round(_FRAME_MS * frame, 3), "fpsType": "hd_29_97"}
    return json.dumps(head | {"bodies": found}).encode()


def write(scenes: Iterable[Scene], folder: Path) -> None:
    """Scenes as Panoptic's: one camera a sequence, "00_16", and people as `joints15` in `hdPose3d_stage1`.

    `joints15` holds the first 15 joints of MPI17, head top included; `joints19` would have lost it. What is lost: spine
    and head; whether a joint is hidden (Panoptic does not say: all get confidence 0.5). Coordinates are cm with 6
    digits: within 0.05 mm up to 10 m from the world's origin.

    Raises
    ------
    BadInput : two cameras in a sequence, a frame that comes twice, a lens of Human3.6M's model
    """
    folder = Path(folder)
    seen: dict[str, Camera] = {}
    written: set[tuple[str, int]] = set()
    for scene in scenes:
        name, camera = scene.sequence, scene.camera
        if name not in seen:
            seen[name] = camera
            write_file(folder / name / f"calibration_{name}.json", calibration(name, [_from_camera(camera)]))
        elif _from_camera(seen[name]) != _from_camera(camera):
            raise BadInput("writers.panoptic", f"camera of {name}", "another", "one camera a sequence")
        if (name, scene.frame) in written:
            raise BadInput("writers.panoptic", f"frame of {name}", f"{scene.frame} again", "each frame once")
        written.add((name, scene.frame))
        people = []
        for person in scene.people:
            world = convert(camera.to_world(person.xyz) / 10, person.skeleton, PANOPTIC15)[0]
            there = np.isfinite(world).all(-1)
            rows = np.where(there[:, None], np.column_stack([world, np.full(len(world), 0.5)]), [0, 0, 0, -1])
            people.append((person.identity, rows))
        write_file(
            folder / name / "hdPose3d_stage1" / f"body3DScene_{scene.frame:08d}.json", scene_json(scene.frame, people)
        )


def _from_camera(camera: Camera) -> dict:
    lens = camera.lens
    if lens is not None and lens.tangential != 2:
        raise BadInput("writers.panoptic", "lens.tangential", lens.tangential, "2: OpenCV's model")
    coefficients = [0.0] * 5 if lens is None else [lens.k1, lens.k2, lens.p1, lens.p2, lens.k3]
    k = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
    t = (camera.translation / 10).tolist()
    return _record("00_16", k, coefficients, camera.rotation.tolist(), t, [camera.width, camera.height])
