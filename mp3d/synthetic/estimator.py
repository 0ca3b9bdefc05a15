"""A stand-in for 3DMPPE: the truth plus an error of the structure that a crop-by-crop estimator makes.

PI-Net never sees a pixel, only 3DMPPE's poses, so a stand-in needs no image, but its errors must have the right
structure (3DMPPE sections 3 and 4; what was kept and what not is listed here):

- every person is estimated alone, from the square crop around the box, 1.25 times its size;
- the error is made in crop space, in cells of a 64 x 64 x 64 grid over the crop and 2000 mm of depth around the
  root; back-projection with each joint's own wrong depth then moves the joint along its ray;
- it is larger in depth than across, accumulates along limbs, and is larger for hidden joints; where two boxes
  overlap a hidden joint may be taken from the other person; now and then left and right are swapped;
- a part is systematic, the same for all people of a split: what the network believes of limb lengths, for the most
  part one common enlargement (10 % on the test split, 5 % on the training split), and besides a pattern over the
  bones that is alike in train and test only in part (their correlation is about 0.4): what a self-only refiner can
  learn, and what it then gets wrong;
- how far a body is turned or tilted is drawn anew for each person;
- errors are smaller on the training split, on which 3DMPPE itself was trained.

Not kept: errors are independent from frame to frame, and nobody is missed or found twice (PI-Net is tested with
true boxes). How large each part is follows from a calibration against Tables 2 and 3 of PI-Net:

    python -m mp3d.experiments.calibration        # fits, prints the table, writes estimator.yaml
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import yaml
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from mp3d.camera import back_project, project
from mp3d.errors import BadInput
from mp3d.scene import HIDDEN, Scene
from mp3d.skeletons import MPI17

GRID, DEPTH_MM, ENLARGE = (
    64,
    2000.0,
    1.25,
)  # 3DMPPE's crop: cells a side, mm of depth, enlargement of the box
_GROUP_JOINTS = {
    "head": (0, 16),
    "neck": (1, 15),
    "shou": (2, 5),
    "elbow": (3, 6),
    "wrist": (4, 7),
    "hip": (8, 11),
    "knee": (9, 12),
    "ankle": (10, 13),
}
GROUPS = tuple(_GROUP_JOINTS)
# Joints in the order in which error is handed on, with the joint it comes from; torso joints start anew.
_CHAIN = ((3, 2), (4, 3), (6, 5), (7, 6), (9, 8), (10, 9), (12, 11), (13, 12), (0, 1), (16, 1))
_SWAPS = (((2, 5), (3, 6), (4, 7)), ((8, 11), (9, 12), (10, 13)))  # the arms, the legs


@dataclass(frozen=True)
class EstimatorConfig:
    """How large each part of the error is. Calibrated fields first, then what is our choice.

    Parameters
    ----------
    depth_mm : standard deviation of a joint's own depth error, by `GROUPS`, before the factors below
    turn : scale, in rad, of a person's false rotation about the vertical axis (y); drawn for each person from
        Student's t with two degrees of freedom: mostly small, for some people large
    systematic : size of the systematic part on the test split: the relative enlargement that all bones share
    cells_per_depth : lateral error in cells a millimetre of depth error; 1/90 makes depth about 3 times worse
    carry : share of a joint's error that its child on the limb inherits
    hidden : factor on the error of hidden joints
    confused : probability that a hidden joint under another's box is taken from that person
    swapped : probability that a person's arms, and that the legs, are swapped
    tilt : as `turn`, about one horizontal axis, the camera's x: a person leans forwards or backwards
    pelvis : the pelvis's own depth error, as a factor on the hips'
    difficulty : standard deviation of the log of a person's common factor
    stature : standard deviation of a person's own enlargement, the same for all their bones
    uneven : how much the systematic part differs from bone to bone, as a share of `systematic`
    shared : factor on the systematic part of the training split
    train : factor on the random errors of the training split
    root : relative standard deviation of the root's depth with `root="rootnet"`
    """

    depth_mm: tuple[float, ...]
    turn: float
    systematic: float
    cells_per_depth: float = 1 / 90
    carry: float = 0.6
    hidden: float = 1.7
    confused: float = 0.1
    swapped: float = 0.02
    tilt: float = 0.06
    pelvis: float = 0.5
    difficulty: float = 0.5
    stature: float = 0.05
    uneven: float = 0.4
    shared: float = 0.5
    train: float = 0.7
    root: float = 0.05


@cache
def calibrated() -> EstimatorConfig:
    """The configuration that `python -m mp3d.experiments.calibration` wrote."""
    stored = yaml.safe_load(files("mp3d.synthetic").joinpath("estimator.yaml").read_text())
    return EstimatorConfig(tuple(stored["depth_mm"][group] for group in GROUPS), stored["turn"], stored["systematic"])


def estimate(
    scenes: Sequence[Scene],
    seed: int,
    split: str = "test",
    root: str = "gt",
    config: EstimatorConfig | None = None,
) -> list[Float[np.ndarray, "P 17 3"]]:
    """Estimated poses of all people, as 3DMPPE would give them.

    Parameters
    ----------
    scenes : true poses of `MPI17`, complete
    seed : of the errors
    split : "train" or "test": sets the systematic part and the size of the random one
    root : "gt", the true root depth (all of PI-Net's tables), or "rootnet", with an error
    config : by default the calibrated one

    Returns
    -------
    one (P, 17, 3) array a scene, mm in the camera frame, people in the scene's order

    Raises
    ------
    BadInput : unknown split or root mode, a person of another joint set, or with missing joints
    """
    if split not in ("train", "test"):
        raise BadInput("estimate", "split", repr(split), "'train' or 'test'")
    if root not in ("gt", "rootnet"):
        raise BadInput("estimate", "root", repr(root), "'gt' or 'rootnet'")
    if not scenes:
        return []
    for scene in scenes:
        if not scene.people or any(person.skeleton != MPI17 for person in scene.people):
            raise BadInput(
                "estimate",
                "people",
                [str(p.skeleton) for p in scene.people],
                "at least one, of MPI17",
            )
    config = config or calibrated()
    rng = np.random.default_rng([seed, split == "test"])
    counts = [len(scene.people) for scene in scenes]
    truth = np.concatenate([scene.xyz for scene in scenes])
    if not np.isfinite(truth).all():
        raise BadInput("estimate", "xyz", "missing joints", "complete poses")
    hidden = np.concatenate([scene.visibility for scene in scenes]) <= HIDDEN
    k = np.repeat([scene.camera.k for scene in scenes], counts, axis=0)[:, None]  # (M, 1, 4)
    draw = _draws(rng, len(truth))

    # 1. how the body stands: mostly right, for some people turned or tilted a good deal
    size = config.train if split == "train" else 1
    turned = _turn(truth, size * draw["turn"] * (config.turn, config.tilt))
    uv, z_rel = project(turned, k), turned[..., 2] - truth[:, 14:15, 2]

    # 2. the crop: a square around the box of the true joints
    uv_true = project(truth, k)
    low, high = uv_true.min(1), uv_true.max(1)
    side = (high - low).max(-1) * ENLARGE
    corner = (low + high) / 2 - side[:, None] / 2

    # 3. random error in cells and mm, handed on along the limbs
    error = draw["joint"] * np.concatenate([np.full(2, config.cells_per_depth), [1.0]])
    scale = np.empty(17)
    for group, mm in zip(GROUPS, config.depth_mm, strict=True):
        scale[list(_GROUP_JOINTS[group])] = mm
    scale[14] = config.pelvis * scale[8]
    error *= (scale * np.where(hidden, config.hidden, 1))[..., None]
    error *= np.exp(config.difficulty * draw["difficulty"])[:, None, None]
    for child, parent in _CHAIN:
        error[:, child] += config.carry * error[:, parent]
    error *= size
    cells = (uv - corner[:, None]) / side[:, None, None] * GRID + error[..., :2]
    z_rel = z_rel + error[..., 2]

    # 4. confusions with a neighbour and of left with right
    other = _overlapping(low, high, counts)
    taken = hidden & (draw["confused"] < config.confused) & (other >= 0)[:, None]
    theirs = (uv_true[other] - corner[:, None]) / side[:, None, None] * GRID
    cells = np.where(taken[..., None], theirs, cells)
    for part, pairs in enumerate(_SWAPS):
        rows = np.flatnonzero(draw["swapped"][:, part] < config.swapped)[:, None]
        right, left = np.array(pairs).T
        for values in (cells, z_rel):
            values[rows, right], values[rows, left] = values[rows, left], values[rows, right]

    # 5. read-out: the grid ends at the crop and at +-1000 mm; then along the ray
    cells, z_rel = cells.clip(0, GRID), z_rel.clip(-DEPTH_MM / 2, DEPTH_MM / 2)
    z_root = truth[:, 14, 2] * (1 + (config.root * draw["root"] if root == "rootnet" else 0))
    poses = back_project(cells / GRID * side[:, None, None] + corner[:, None], z_rel + z_root[:, None], k)

    # 6. limb lengths and stature of another skeleton than the truth's
    factor = 1 + systematic(split, config) + config.stature * draw["stature"][:, None]
    return np.split(_stretch(poses, factor), np.cumsum(counts)[:-1])


def _draws(rng: np.random.Generator, people: int) -> dict[str, np.ndarray]:
    """All random numbers, a row a person, so that the first scenes do not depend on the ones behind them."""
    normal = rng.spawn(1)[0].standard_normal((people, 17 * 3 + 5))
    uniform = rng.spawn(1)[0].random((people, 17 + 3))
    heavy = np.sqrt(-np.log(1 - uniform[:, 19:]))  # makes Student's t with two degrees of freedom of a normal
    return {
        "joint": normal[:, :51].reshape(people, 17, 3).copy(),
        "turn": normal[:, 51:53] / heavy,
        "difficulty": normal[:, 53],
        "root": normal[:, 54],
        "stature": normal[:, 55],
        "confused": uniform[:, :17],
        "swapped": uniform[:, 17:19],
    }


def systematic(split: str, config: EstimatorConfig) -> Float[np.ndarray, " 17"]:
    """(17,) relative error of the length of the bone above each joint, equal left and right.

    A common enlargement, `config.systematic` on the test split and `config.shared` times that on the training split,
    and on it a random pattern, half of whose variance the splits share.
    """
    common, train, test = np.random.default_rng(2021).standard_normal((3, 17))
    own = (common + (train if split == "train" else test)) / np.sqrt(2)
    own = (own + own[list(MPI17.mirror)]) / 2
    size = config.systematic * (config.shared if split == "train" else 1)
    return size * (1 + config.uneven * own)


def _turn(poses, angles):
    """Turn each pose about the vertical and then about the horizontal axis through its pelvis."""
    rotation = Rotation.from_euler("yx", angles.clip(-np.pi, np.pi)).as_matrix()
    root = poses[:, 14:15]
    return (poses - root) @ rotation.transpose(0, 2, 1) + root


def _stretch(poses, factor):
    """Multiply the bone above each joint by `factor` (M, 17); the pelvis stays."""
    out = poses.copy()
    for joint in (15, 1, 0, 16, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13):  # parents before children
        parent = MPI17.parents[joint]
        out[:, joint] = out[:, parent] + factor[:, joint, None] * (poses[:, joint] - poses[:, parent])
    return out


def _overlapping(low, high, counts):
    """(M,) the row of the person of the same scene whose box covers most of this person's, or -1."""
    other, start = np.full(len(low), -1), 0
    starts = np.concatenate([[0], np.cumsum(counts)])
    for number in set(counts):  # all scenes of one size at once
        start = starts[:-1][np.array(counts) == number]
        rows = start[:, None] + np.arange(number)
        width = np.minimum(high[rows][:, :, None], high[rows][:, None]) - np.maximum(
            low[rows][:, :, None], low[rows][:, None]
        )
        area = width.clip(0).prod(-1) * (1 - np.eye(number))
        best = area.argmax(-1)
        other[rows] = np.where(area.max(-1) > 0, np.take_along_axis(rows, best, 1), -1)
    return other
