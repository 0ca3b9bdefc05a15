"""Joint sets of the field: names, parents, mirror partners, and conversions between them.

`MPI17`, in the order of MuPoTS-3D, is the canonical set; `CORE14` (its joints 1 to 14) is what metrics across
data sets use, because only these joints are native or a midpoint everywhere, but for Human3.6M's neck, which is another
point.

Same-named joints of two data sets are not the same points: a Human3.6M neck lies 42 to 79 mm off the midpoint of
the shoulders, Panoptic's hips stand 60 mm closer together than MPI's. `convert` therefore says of each joint
whether it is native, derived or approximate, and leaves NaN where there is none.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Num, UInt8

from mp3d.errors import BadInput

ABSENT, NATIVE, DERIVED, APPROXIMATE = range(4)


@dataclass(frozen=True)
class Skeleton:
    """A joint set.

    Parameters
    ----------
    name : as it is imported, e.g. "MPI17"
    joints : names; `r_` and `l_` are the person's own right and left
    parents : index of the parent joint, -1 for the top of the tree
    root : the joint that root-relative poses subtract, None where the data set has no such joint
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    root: int | None

    def __len__(self) -> int:
        return len(self.joints)

    def __repr__(self) -> str:
        return self.name

    def index(self, joint: str) -> int:
        """The index of a joint by name; `BadInput` if the set has no such joint."""
        if joint not in self.joints:
            raise BadInput(self.name, "joint", repr(joint), "one of " + ", ".join(self.joints))
        return self.joints.index(joint)

    @property
    def mirror(self) -> tuple[int, ...]:
        """The mirror partner of each joint: left for right, itself on the midline."""
        other = {"r_": "l_", "l_": "r_"}
        return tuple(self.joints.index(other.get(j[:2], j[:2]) + j[2:]) for j in self.joints)

    @property
    def limbs(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every bone."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p >= 0)


def _skeleton(name: str, root: str | None, tree: str) -> Skeleton:
    """Build a set from "joint<parent" words in the data set's order; the top of the tree names no parent."""
    pairs = [word.partition("<")[::2] for word in tree.split()]
    joints = tuple(joint for joint, _ in pairs)
    parents = tuple(joints.index(parent) if parent else -1 for _, parent in pairs)
    return Skeleton(name, joints, parents, None if root is None else joints.index(root))


_MPI = """
    head_top<neck neck<spine
    r_shoulder<neck r_elbow<r_shoulder r_wrist<r_elbow l_shoulder<neck l_elbow<l_shoulder l_wrist<l_elbow
    r_hip<pelvis r_knee<r_hip r_ankle<r_knee l_hip<pelvis l_knee<l_hip l_ankle<l_knee
    pelvis spine<pelvis head<neck
"""
_PANOPTIC = """
    neck<pelvis {joint1}<neck pelvis
    l_shoulder<neck l_elbow<l_shoulder l_wrist<l_elbow l_hip<pelvis l_knee<l_hip l_ankle<l_knee
    r_shoulder<neck r_elbow<r_shoulder r_wrist<r_elbow r_hip<pelvis r_knee<r_hip r_ankle<r_knee
"""

MPI17 = _skeleton("MPI17", "pelvis", _MPI)
"""MuPoTS-3D's order, the canonical set."""

CORE14 = _skeleton(
    "CORE14",
    "pelvis",
    """
    neck<pelvis
    r_shoulder<neck r_elbow<r_shoulder r_wrist<r_elbow l_shoulder<neck l_elbow<l_shoulder l_wrist<l_elbow
    r_hip<pelvis r_knee<r_hip r_ankle<r_knee l_hip<pelvis l_knee<l_hip l_ankle<l_knee
    pelvis
    """,
)
"""MPI17's joints 1 to 14: what metrics across data sets use."""

MUCO21 = _skeleton("MUCO21", "pelvis", _MPI + "r_hand<r_wrist l_hand<l_wrist r_toe<r_ankle l_toe<l_ankle")
"""MuCo-3DHP in 3DMPPE's composites."""

SMAP15 = _skeleton("SMAP15", "pelvis", _PANOPTIC.format(joint1="head_top"))
"""SMAP's order: 15 joints of MPI17, neck below the pelvis."""

PANOPTIC15 = _skeleton("PANOPTIC15", "pelvis", _PANOPTIC.format(joint1="head_top"))
"""CMU Panoptic's old `joints15`: joint 1 is the top of the head."""

PANOPTIC19 = _skeleton(
    "PANOPTIC19",
    "pelvis",
    _PANOPTIC.format(joint1="nose") + "l_eye<nose l_ear<l_eye r_eye<nose r_ear<r_eye",
)
"""CMU Panoptic's `joints19`: joint 1 is the nose; `bodyCenter` is called pelvis here."""

MPI28 = _skeleton(
    "MPI28",
    "pelvis",
    """
    mpi_spine3<mpi_spine2 mpi_spine4<mpi_spine3 mpi_spine2<spine spine<pelvis pelvis neck<mpi_spine4 head<neck
    head_top<head
    l_clavicle<neck l_shoulder<l_clavicle l_elbow<l_shoulder l_wrist<l_elbow l_hand<l_wrist
    r_clavicle<neck r_shoulder<r_clavicle r_elbow<r_shoulder r_wrist<r_elbow r_hand<r_wrist
    l_hip<pelvis l_knee<l_hip l_ankle<l_knee l_foot<l_ankle l_toe<l_foot
    r_hip<pelvis r_knee<r_hip r_ankle<r_knee r_foot<r_ankle r_toe<r_foot
    """,
)
"""MPI-INF-3DHP's 28, of which MPI17 and MUCO21 are selections; its `spine2` to `spine4` are not JTA's."""

H36M17 = _skeleton(
    "H36M17",
    "pelvis",
    """
    pelvis r_hip<pelvis r_knee<r_hip r_ankle<r_knee l_hip<pelvis l_knee<l_hip l_ankle<l_knee
    torso<pelvis thorax<torso nose<thorax head_upper<nose
    l_shoulder<thorax l_elbow<l_shoulder l_wrist<l_elbow r_shoulder<thorax r_elbow<r_shoulder r_wrist<r_elbow
    """,
)
"""Human3.6M's 17: joint 9 sits at the mouth, joint 10 on the upper head, neither is the top of the head."""

COCO17 = _skeleton(
    "COCO17",
    None,
    """
    nose l_eye<nose r_eye<nose l_ear<l_eye r_ear<r_eye
    l_shoulder<l_ear r_shoulder<r_ear l_elbow<l_shoulder r_elbow<r_shoulder l_wrist<l_elbow r_wrist<r_elbow
    l_hip<l_shoulder r_hip<r_shoulder l_knee<l_hip r_knee<r_hip l_ankle<l_knee r_ankle<r_knee
    """,
)
"""COCO key points: left before right, no neck, no pelvis."""

JTA22 = _skeleton(
    "JTA22",
    None,
    """
    head_top<head head<neck neck<spine0
    r_clavicle<neck r_shoulder<r_clavicle r_elbow<r_shoulder r_wrist<r_elbow
    l_clavicle<neck l_shoulder<l_clavicle l_elbow<l_shoulder l_wrist<l_elbow
    spine0<spine1 spine1<spine2 spine2<spine3 spine3<spine4 spine4
    r_hip<spine4 r_knee<r_hip r_ankle<r_knee l_hip<spine4 l_knee<l_hip l_ankle<l_knee
    """,
)
"""Joint Track Auto; no root is stored: the midpoint of the hips is safer than spine4."""

MPII16 = _skeleton(
    "MPII16",
    "pelvis",
    """
    r_ankle<r_knee r_knee<r_hip r_hip<pelvis l_hip<pelvis l_knee<l_hip l_ankle<l_knee
    pelvis neck<pelvis upper_neck<neck head_top<upper_neck
    r_wrist<r_elbow r_elbow<r_shoulder r_shoulder<neck l_shoulder<neck l_elbow<l_shoulder l_wrist<l_elbow
    """,
)
"""MPII Human Pose, two-dimensional; its `thorax` is called neck here."""

SMPL24 = _skeleton(
    "SMPL24",
    "pelvis",
    """
    pelvis l_hip<pelvis r_hip<pelvis smpl_spine1<pelvis l_knee<l_hip r_knee<r_hip smpl_spine2<smpl_spine1
    l_ankle<l_knee r_ankle<r_knee smpl_spine3<smpl_spine2 l_toe<l_ankle r_toe<r_ankle
    neck<smpl_spine3 l_clavicle<smpl_spine3 r_clavicle<smpl_spine3 head<neck
    l_shoulder<l_clavicle r_shoulder<r_clavicle l_elbow<l_shoulder r_elbow<r_shoulder
    l_wrist<l_elbow r_wrist<r_elbow l_hand<l_wrist r_hand<r_wrist
    """,
)
"""3DPW: the joints of the SMPL body model, left before right; its `spine1` to `spine3` are not JTA's."""

# How a joint is made where the data set has none of that name, best first: the mean of the named joints.
_RULES = {
    "neck": [(("thorax",), APPROXIMATE), (("l_shoulder", "r_shoulder"), DERIVED)],
    "pelvis": [(("l_hip", "r_hip"), DERIVED)],
    "head_top": [(("head_upper",), APPROXIMATE)],
    "spine": [(("torso",), APPROXIMATE), (("spine2",), APPROXIMATE), (("smpl_spine2",), APPROXIMATE)],
    "head": [(("l_ear", "r_ear"), APPROXIMATE), (("nose",), APPROXIMATE)],
    "thorax": [(("neck",), APPROXIMATE)],
    "torso": [(("spine",), APPROXIMATE), (("spine2",), APPROXIMATE)],
    "head_upper": [(("head_top",), APPROXIMATE)],
    "spine2": [(("spine",), APPROXIMATE), (("torso",), APPROXIMATE)],
}


@cache
def _plan(src: Skeleton, dst: Skeleton) -> tuple[tuple[tuple[int, ...], int], ...]:
    """For each joint of `dst`: the joints of `src` whose mean it is, and the source flag."""
    plan = []
    for joint in dst.joints:
        for names, flag in [((joint,), NATIVE), *_RULES.get(joint, [])]:
            if set(names) <= set(src.joints):
                plan.append((tuple(src.joints.index(name) for name in names), flag))
                break
        else:
            plan.append(((), ABSENT))
    return tuple(plan)


def convert(
    poses: Num[np.ndarray, "*batch J C"], src: Skeleton, dst: Skeleton
) -> tuple[Num[np.ndarray, "*batch K C"], UInt8[np.ndarray, " K"]]:
    """Convert poses from one joint set to another.

    Parameters
    ----------
    poses : (..., J, C) in the order of `src`, any unit; NaN where a joint is missing

    Returns
    -------
    poses : (..., K, C) in the order of `dst`; NaN where `src` has nothing to offer or what it offers is NaN
    source : (K,) 0 absent, 1 native, 2 derived (a midpoint), 3 approximate (a different point of the body)

    Raises
    ------
    BadInput : if the poses have not as many joints as `src`
    """
    if poses.shape[-2] != len(src):
        raise BadInput("convert", "poses", f"{poses.shape[-2]} joints", f"{len(src)} for {src}")
    plan = _plan(src, dst)
    out = np.full((*poses.shape[:-2], len(dst), poses.shape[-1]), np.nan, np.result_type(poses, np.float32))
    single = [(joint, parts[0]) for joint, (parts, _) in enumerate(plan) if len(parts) == 1]
    if single:
        to, of = map(list, zip(*single, strict=True))
        out[..., to, :] = poses[..., of, :]
    for joint, (parts, _) in enumerate(plan):
        if len(parts) > 1:
            out[..., joint, :] = poses[..., list(parts), :].mean(-2)
    return out, np.array([flag for _, flag in plan], np.uint8)


def convert_visibility(
    visibility: UInt8[np.ndarray, "*batch J"], src: Skeleton, dst: Skeleton
) -> UInt8[np.ndarray, "*batch K"]:
    """Convert 0 absent, 1 hidden, 2 visible as `convert` does poses: a midpoint is as visible as its worse end."""
    if visibility.shape[-1] != len(src):
        raise BadInput("convert_visibility", "visibility", f"{visibility.shape[-1]} joints", f"{len(src)} for {src}")
    columns = [
        visibility[..., list(parts)].min(-1) if parts else 0 * visibility[..., 0] for parts, _ in _plan(src, dst)
    ]
    return np.stack(columns, -1).astype(np.uint8)


def flip(poses: Num[np.ndarray, "*batch J 3"], skeleton: Skeleton) -> Num[np.ndarray, "*batch J 3"]:
    """Mirror poses in the plane x = 0 of the camera and swap left and right; `Camera.flip` is its camera."""
    return poses[..., list(skeleton.mirror), :] * np.array([-1, 1, 1], poses.dtype)
