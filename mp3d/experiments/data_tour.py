"""The data sets side by side: what readers yield, what conversions lose, what a format keeps, what a slip costs.

Each data set is read from the reader's own copy (`$MP3D_DATA/<id>`) or, where there is none, from a tiny fixture in the
exact format. Fixtures are stick figures of our own numbers: they show formats, never results.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mp3d.camera import Lens
from mp3d.data import coco, human36m, jta, manifest, mpi_inf_3dhp, mpii, mupots, panoptic, pw3d, threedmppe
from mp3d.data.writers import coco as coco_writer
from mp3d.data.writers import human36m as human36m_writer
from mp3d.data.writers import jta as jta_writer
from mp3d.data.writers import muco as muco_writer
from mp3d.data.writers import mupots as mupots_writer
from mp3d.data.writers import panoptic as panoptic_writer
from mp3d.errors import MissingData
from mp3d.files import write
from mp3d.scene import Person, Scene
from mp3d.skeletons import (
    ABSENT,
    COCO17,
    DERIVED,
    H36M17,
    JTA22,
    MPI17,
    MPI28,
    MPII16,
    MUCO21,
    NATIVE,
    PANOPTIC15,
    PANOPTIC19,
    SMAP15,
    SMPL24,
    convert,
)
from mp3d.synthetic import worlds

SETS = (MPI17, MUCO21, MPI28, PANOPTIC19, PANOPTIC15, SMAP15, JTA22, H36M17, SMPL24, MPII16, COCO17)
"""The joint sets of the data sets, and SMAP's."""


# -- One scene of each data set ---------------------------------------------------------------------------------
def _panoptic_scenes(root: Path) -> Iterator[Scene]:
    """Those with 19 joints first."""
    for sequence in panoptic.sequences(root):
        with suppress(MissingData):
            yield from panoptic.scenes(root, [sequence], joints=19)
    yield from panoptic.scenes(root)


READERS: dict[str, Callable[[Path], Iterator[Scene]]] = {
    "mupots3d": lambda root: mupots.scenes(root, mupots.present(root)),
    "muco3dhp": lambda root: threedmppe.scenes(root / "MuCo-3DHP.json"),
    "mpi_inf_3dhp": lambda root: mpi_inf_3dhp.scenes(root, [1], [1]),
    "panoptic": _panoptic_scenes,
    "jta": lambda root: jta.scenes(root, "test"),
    "h36m": human36m.scenes,
    "pw3d": pw3d.scenes,
    "coco2017": coco.scenes,
    "mpii": mpii.scenes,
}
"""How the scenes of a data set's folder are read, by its id in data_manifest.yaml."""
CODES = {
    "mupots3d": "occluded: 1 is hidden",
    "muco3dhp": "all 1, not used",
    "mpi_inf_3dhp": "none",
    "panoptic": "confidence; below 0.1 is absent",
    "jta": "occluded and self_occluded",
    "h36m": "none",
    "pw3d": "OpenPose's confidence",
    "coco2017": "0 absent, 1 hidden, 2 visible",
    "mpii": "3DMPPE: 1 is labelled",
    "duet": "0 absent, 1 hidden, 2 visible",
}
"""What the files say of a joint's visibility."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A data set's first scene with people, and whose files it was read from: "own copy", "fixture", "made here"."""

    scene: Scene
    whose: str

    @property
    def native(self) -> Person:
        """The scene's first person, in the data set's own joints."""
        return self.scene.people[0].native or self.scene.people[0]


def fixtures(folder: Path) -> dict[str, Path]:
    """Every data set's fixture, below a folder: id to root."""
    return {name: manifest.fixture(name, Path(folder) / name) for name in READERS}


def samples(stand_ins: Mapping[str, Path], own: bool = True, seed: int = 0) -> dict[str, Sample]:
    """A sample of every data set, by id; last `duet`, the synthetic world.

    Parameters
    ----------
    stand_ins : id to root, from `fixtures`
    own : read `$MP3D_DATA/<id>` where it is there and holds the files; a damaged one is an error, not a fixture
    seed : of `duet`
    """
    found = {}
    for name, read in READERS.items():
        if own:
            with suppress(MissingData):
                found[name] = Sample(_first(read(manifest.require(name))), "own copy")
        if name not in found:
            found[name] = Sample(_first(read(stand_ins[name])), "fixture")
    duet = worlds.scenes("duet", 1, seed=seed, split="test", kinds=["handshake"])
    return found | {"duet": Sample(_first(duet), "made here")}


def _first(scenes: Iterable[Scene]) -> Scene:
    for scene in scenes:
        if scene.people:
            return scene
    raise MissingData("no scene with people")


def read_table(found: Mapping[str, Sample]) -> pd.DataFrame:
    """What the readers yield: joints, root, camera, visibility, and whose files they were."""
    rows = {}
    for name, sample in found.items():
        native, camera = sample.native, sample.scene.camera
        skeleton, k = native.skeleton, camera.k
        rows[name] = {
            "joint set": skeleton.name,
            "root": "none" if skeleton.root is None else f"{skeleton.root}",
            "native in MPI17": int((convert(np.zeros((len(skeleton), 3)), skeleton, MPI17)[1] == NATIVE).sum()),
            "3D truth": "yes" if np.isfinite(native.xyz).any() else "no",
            "image, px": f"{camera.width} x {camera.height}",
            "f, px": f"{k[0]:.0f}" + ("" if np.isfinite(native.xyz).any() else " (assumed)"),
            "lens": "none" if camera.lens is None else "5 coefficients",
            "visibility on disk": CODES[name],
            "read from": sample.whose,
        }
    return pd.DataFrame(rows).T


def disk_table(names: Iterable[str]) -> pd.DataFrame:
    """What lies on disk and under which terms, from data_manifest.yaml."""
    rows = {}
    for name in names:
        dataset = manifest.get(name)
        facts, licence = dataset.facts, dataset.licence
        rows[name] = {
            "unit": _words(facts.unit),
            "frame of the 3D joints": _words(facts.coordinate_frame),
            "first frame": _words(facts.frame_index_base),
            "licence": licence.name,
            "passed on": licence.redistribute,
            "access": dataset.access.kind,
        }
    return pd.DataFrame(rows).T


def _words(fact: Any) -> str:
    if isinstance(fact, dict):
        return "; ".join(f"{key}: {value}" for key, value in fact.items())
    return "-" if fact is None else str(fact)


# -- Conversions ------------------------------------------------------------------------------------------------
def sources() -> pd.DataFrame:
    """Where each joint of MPI17 comes from (0 absent, 1 native, 2 derived, 3 approximate), a row a joint set."""
    flags = [convert(np.zeros((len(skeleton), 3)), skeleton, MPI17)[1] for skeleton in SETS]
    return pd.DataFrame(flags, index=[skeleton.name for skeleton in SETS], columns=list(MPI17.joints)).astype(int)


def there_and_back(poses: Float[np.ndarray, "N 17 3"]) -> pd.DataFrame:
    """Poses sent from MPI17 to each joint set and back: how many joints return, which are lost, how far others move.

    Columns: joints, return, lost, neck, pelvis (mm, mean; NaN where it is no midpoint), other (mm, the largest).
    """
    rows = {}
    for skeleton in SETS:
        back, flags = convert(convert(poses, MPI17, skeleton)[0], skeleton, MPI17)
        lost = np.isnan(back).any((0, 2))
        off = np.linalg.norm(back - poses, axis=-1)
        made = {name: bool(flags[MPI17.index(name)] == DERIVED) for name in ("neck", "pelvis")}
        other = [j for j, name in enumerate(MPI17.joints) if not made.get(name) and not lost[j]]
        rows[skeleton.name] = {
            "joints": len(skeleton),
            "return": int((~lost).sum()),
            "lost": ", ".join(np.array(MPI17.joints)[lost]),
            **{name: float(off[:, MPI17.index(name)].mean()) if is_made else np.nan for name, is_made in made.items()},
            "other": float(off[:, other].max()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def neck_rule(poses: Float[np.ndarray, "N 17 3"], shares: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """Mean distance in mm of the neck from middle of the shoulders + share of the trunk (shoulders less hips)."""
    at = {name: poses[:, MPI17.index(name)] for name in ("neck", "l_shoulder", "r_shoulder", "l_hip", "r_hip")}
    shoulders, hips = (at["l_shoulder"] + at["r_shoulder"]) / 2, (at["l_hip"] + at["r_hip"]) / 2
    guess = shoulders + shares[:, None, None] * (shoulders - hips)
    return np.linalg.norm(guess - at["neck"], axis=-1).mean(-1)


def neck_pixels(videos: Sequence[Sequence[Scene]]) -> dict[str, float]:
    """Its mean error in px, as papers meet it: people written as COCO's and read as 3DMPPE (midpoint) or SMAP does."""
    neck, found = MPI17.index("neck"), {}
    true = np.concatenate([scene.uv[:, neck] for scene in chain.from_iterable(videos)])
    with tempfile.TemporaryDirectory() as folder:
        coco_writer.write(chain.from_iterable(videos), Path(folder))
        for like in ("threedmppe", "smap"):
            people = [person for scene in coco.scenes(Path(folder), like=like) for person in scene.people]
            guess = np.full_like(true, np.nan)
            guess[[person.identity - 1 for person in people]] = [person.uv[neck] for person in people]
            found[like] = float(np.nanmean(np.linalg.norm(guess - true, axis=-1)))
    return found


def measured() -> pd.DataFrame:
    """How far same-named joints of real data sets are apart, in mm, on a few poses of mmpose's public samples.

    4 poses of Human3.6M, 4 of MPI-INF-3DHP, 10 of CMU Panoptic (joints19), of different people: orders of magnitude.
    """
    return pd.DataFrame(
        {
            "Human3.6M": ["0.001 or less", "42 to 79", "about 0.10 (30)", "41", "222 to 236", "239 to 293"],
            "MPI-INF-3DHP": ["0", "27 to 70", "0.05 to 0.10 (28)", "52", "267 to 299", "249 to 278"],
            "Panoptic": ["0.005 or less", "4 to 10", "0 (7)", "85", "no head top", "181 to 221"],
        },
        index=[
            "pelvis from the middle of the hips",
            "neck from the middle of the shoulders",
            "best share of the trunk for the neck (what remains)",
            "neck by SMAP's share, 0.185",
            "neck to the topmost joint",
            "hip to hip",
        ],
    )


NECKS = pd.DataFrame(
    [("Human3.6M", 0.0, 42.0, 79.0), ("MPI-INF-3DHP", 0.0, 27.0, 70.0), ("Panoptic", 0.0, 4.0, 10.0)]
    + [("Human3.6M", 0.185, 41.0, 41.0), ("MPI-INF-3DHP", 0.185, 52.0, 52.0), ("Panoptic", 0.185, 85.0, 85.0)],
    columns=["data", "share", "low", "high"],
)
"""The neck's rows of `measured` as numbers, mm: a range over the poses, or their mean."""


# -- Cameras ----------------------------------------------------------------------------------------------------
def lens_gap(lens: Lens, focal: float | int, radii: Float[np.ndarray, " R"]) -> pd.DataFrame:
    """What another model of a lens costs, in px, at a distance from the principal point; the worst of 72 directions.

    Columns: radius (px), none (no lens at all), tangential (this lens, its tangential term once for twice or twice for
    once: Human3.6M's model for OpenCV's, or the other way round).
    """
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    rays = radii[:, None, None] / focal * np.stack([np.cos(angle), np.sin(angle)], -1)
    bent = lens.distort(rays)
    others = {"none": rays, "tangential": replace(lens, tangential=3 - lens.tangential).distort(rays)}
    gaps = {name: focal * np.linalg.norm(other - bent, axis=-1).max(1) for name, other in others.items()}
    return pd.DataFrame({"radius": radii, **gaps})


def old_axes(new: Path, old: Path) -> None:
    """Rewrite a JTA file as older ones are: x, z forward, then up, where newer ones have x, y down, z."""
    rows = [[*row[:6], row[7], -row[6], *row[8:]] for row in json.loads(Path(new).read_text())]
    write(Path(old), json.dumps(rows).encode())


def intrinsics_bias(video: Sequence[Scene], shift: float | int = 2.0) -> pd.DataFrame:
    """Error in px of the camera found, when hips and spine lie `shift` px farther from the pelvis in 2D than in 3D."""
    k, number = video[0].camera.k, mupots_writer.video_number(video[0].sequence)
    with tempfile.TemporaryDirectory() as folder:
        mupots_writer.write(video, Path(folder))
        truth = mupots.annotations(Path(folder), f"TS{number}")
    apart = [MPI17.index(name) for name in ("r_hip", "l_hip", "spine")]
    outward = truth.annot2[:, :, apart] - truth.annot2[:, :, [MPI17.root]]
    moved = truth.annot2.copy()
    moved[:, :, apart] += shift * outward / np.linalg.norm(outward, axis=-1, keepdims=True)
    alone = np.zeros_like(truth.valid)
    alone[0, 0] = True
    rows = {}
    for name, valid in (("one person, once", alone), ("all people, all frames", truth.valid)):
        these = replace(truth, annot2=moved, valid=valid)
        rows[name, "17 joints"] = np.array(mupots.intrinsics(these, range(17))) - k
        rows[name, "without hips and spine"] = np.array(mupots.intrinsics(these)) - k
    return pd.DataFrame(rows, index=["fx", "fy", "cx", "cy"]).T


# -- Round trips ------------------------------------------------------------------------------------------------
FORMATS: dict[str, tuple[Callable[..., None], Callable[[Path], Iterator[Scene]]]] = {
    "mupots": (mupots_writer.write, lambda root: mupots.scenes(root, mupots.present(root))),
    "muco": (muco_writer.write, lambda root: threedmppe.scenes(root / "MuCo-3DHP.json")),
    "panoptic": (panoptic_writer.write, lambda root: panoptic.scenes(root, cameras=["00_16"])),
    "jta": (jta_writer.write, lambda root: jta.scenes(root, "test")),
    "human36m": (human36m_writer.write, lambda root: _human36m_scenes(root)),
    "coco": (coco_writer.write, coco.scenes),
}
"""What `mp3d data make duet DIR --format F` writes with, and what reads it."""


def _human36m_scenes(root: Path) -> Iterator[Scene]:
    numbers = [int(path.stem.split("subject")[1].split("_")[0]) for path in root.glob("annotations/*_data.json")]
    return human36m.scenes(root, sorted(numbers))


def round_trips(videos: Sequence[Sequence[Scene]]) -> pd.DataFrame:
    """A synthetic world written in each format and read back: the largest difference of a native joint.

    Columns: people, joints (native ones in MPI17), mm and px (the largest; NaN if the format has none), visibility (%
    of these joints with the same 0, 1, 2). In px it is the reader's 2D joint against the original; JTA's, which
    has one camera for all, against the original seen through that camera.
    """
    rows = {}
    for name, (writer, read) in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            writer(chain.from_iterable(videos), Path(folder))
            pairs = list(_pairs(name, read(Path(folder)), videos))
        there = np.stack([one.source == NATIVE for _, one, _ in pairs])
        mm = np.stack([np.linalg.norm(one.xyz - true.xyz, axis=-1) for true, one, _ in pairs])
        px = np.stack([np.linalg.norm(one.uv - uv, axis=-1) for _, one, uv in pairs])
        seen = np.stack([one.visibility == true.visibility for true, one, _ in pairs])
        rows[name] = {
            "people": len(pairs),
            "joints": int(there.any(0).sum()),
            "mm": _largest(mm, there),
            "px": _largest(px, there),
            "visibility": 100 * float(seen[there].mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _largest(off: Float[np.ndarray, "N 17"], there: Bool[np.ndarray, "N 17"]) -> float:
    known = off[there & np.isfinite(off)]
    return float(known.max()) if len(known) else np.nan


def _pairs(
    name: str, read: Iterable[Scene], videos: Sequence[Sequence[Scene]]
) -> Iterator[tuple[Person, Person, Float[np.ndarray, "17 2"]]]:
    """(original, as read, the original's 2D joints as this format should have them) of everyone that was read."""
    flat = [scene for video in videos for scene in video]
    by_name = {scene.sequence: {s.frame: s for s in video} for video in videos for scene in video[:1]}
    labels = [person for scene in flat for person in scene.people]
    order = list(by_name)
    for scene in read:
        frame, words = scene.frame, scene.sequence
        for person in scene.people:
            who = person.identity
            if name == "coco":  # identity numbers the labels, from 1
                true = labels[who - 1]
            elif name == "muco":  # frame is the picture's id; identity the place among its people
                true = flat[frame].people[who]
            else:
                if name == "mupots":
                    original = by_name[f"D{words[2:]}"][frame]
                elif name == "panoptic":
                    original = by_name[words][frame]
                elif name == "jta":  # seq_256, 258, ...; frames from 1
                    original = by_name[order[(int(words[4:]) - 256) // 2]][frame - 1]
                else:  # s_01_act_02_subact_02_ca_01: subject, and person plus 1
                    original = by_name[order[int(words[2:4]) - 1]][frame]
                    who = int(words[19:21]) - 1
                true = next(p for p in original.people if p.identity == who)
            yield true, person, jta.camera().project(true.xyz) if name == "jta" else true.uv


# -- Traps ------------------------------------------------------------------------------------------------------
def swapped(poses: Float[np.ndarray, "N 17 3"]) -> Float[np.ndarray, "N 17 3"]:
    """Poses of H36M17 under a wrong list of names: left and right exchanged, nobody moved."""
    return poses[:, list(H36M17.mirror)]


def absent(person: Person) -> list[str]:
    """The names of the joints that are not there."""
    return [name for name, seen in zip(person.skeleton.joints, person.visibility, strict=True) if seen == ABSENT]
