"""Who is whom in the two branches: similarity of camera-centric poses, and the assignment (section 3.3).

Both branches say where everybody's joints are in the camera's frame, and how sure they are of each. People of the two
are one person where their joints lie near one another in space. Confidence 0 means that a branch does not know a joint;
what stands at such a joint, NaN included, plays no part.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from mp3d.errors import BadInput
from mp3d.skeletons import MPI17

REACH = 250.0
"""mm, s sigma of equation 6: where a joint's similarity has fallen to exp(-1/2) (our choice; not in the paper)."""
DEEP = 0.05
"""Of somebody's depth: their reach in `model.join` where it is above `REACH`, as depths err by a share (our choice)."""
LEAST = 0.02
"""Of the confidence that two people share: pairs with less similarity are none (our choice)."""


def oks(
    distance: Float[np.ndarray, "*joints"], reach: float | int | Float[np.ndarray, "..."] = REACH
) -> Float[np.ndarray, "*joints"]:
    """Equation 6: exp(-d² / (2 s² sigma²)) of a distance in mm; 1 at 0, exp(-1/2) at `reach`."""
    if not np.all(np.greater(reach, 0)):
        raise BadInput("matching.oks", "reach", reach, "a positive number, mm")
    return np.exp(-np.square(distance / reach) / 2)


def similarity(
    td: Float[np.ndarray, "N J 3"],
    bu: Float[np.ndarray, "M J 3"],
    sure_td: Float[np.ndarray, "N J"],
    sure_bu: Float[np.ndarray, "M J"],
    reach: float | int | Float[np.ndarray, " N"] = REACH,
) -> Float[np.ndarray, "N M"]:
    """Equation 5: the sum over joints of the smaller confidence times `oks`; as printed it has a term too many.

    Parameters
    ----------
    td, bu : mm, camera-centric
    sure_td, sure_bu : confidences, 0 where a joint is not known
    reach : mm, of all, or of each of td

    Raises
    ------
    BadInput : poses of different joints, negative confidences, a pose that is not finite where it has confidence
    """
    for name, pose, sure in (("td", td, sure_td), ("bu", bu, sure_bu)):
        if pose.shape[1:] != (td.shape[1], 3) or sure.shape != pose.shape[:2]:
            raise BadInput("matching.similarity", name, (pose.shape, sure.shape), f"(_, {td.shape[1]}, 3) and (_, J)")
        if not (sure >= 0).all() or not np.isfinite(pose[sure > 0]).all():
            raise BadInput("matching.similarity", name, "NaN or below 0", "finite joints where confidence is above 0")
    shared = np.minimum(sure_td[:, None], sure_bu[None])
    td, bu = (np.where(sure[..., None] > 0, pose, 0.0) for pose, sure in ((td, sure_td), (bu, sure_bu)))
    far = np.linalg.norm(td[:, None] - bu[None], axis=-1)
    return (shared * oks(far, np.reshape(reach, (-1, 1, 1)))).sum(-1)


def match(
    td: Float[np.ndarray, "N J 3"],
    bu: Float[np.ndarray, "M J 3"],
    sure_td: Float[np.ndarray, "N J"],
    sure_bu: Float[np.ndarray, "M J"],
    reach: float | int | Float[np.ndarray, " N"] = REACH,
    least: float | int = LEAST,
) -> list[tuple[int, int]]:
    """Pairs (of td, of bu) with the largest sum of similarities: nobody twice, the Hungarian method.

    Pairs that are not alike, `least` of the confidence they share, are dropped: both stay, unmatched.
    """
    alike = similarity(td, bu, sure_td, sure_bu, reach)
    shared = np.minimum(sure_td[:, None], sure_bu[None]).sum(-1)
    rows, columns = linear_sum_assignment(-alike)
    good = (alike[rows, columns] > 0) & (alike[rows, columns] >= least * shared[rows, columns])
    return list(zip(rows[good].tolist(), columns[good].tolist(), strict=True))


def match_in_order(people: int, others: int) -> list[tuple[int, int]]:
    """Without matching ("w/o PM", our reading): the first of one branch with the first of the other."""
    return [(i, i) for i in range(min(people, others))]


RELEASED_JOINTS = tuple(
    MPI17.index(name)
    for name in ("pelvis", *(f"{side}_{part}" for side in "rl" for part in ("hip", "knee", "shoulder", "elbow")))
)
"""The nine joints that the released code compares."""
RELEASED_REACH = 50.0
"""mm, sigma of the released code."""


def match_released(td: Float[np.ndarray, "N 17 3"], bu: Float[np.ndarray, "M 17 3"]) -> list[tuple[int, int]]:
    """What the released code does instead of equations 5 and 6: for each of `td` the pose of the most alike shape.

    Every pose of `bu` is moved, turned and scaled onto the other first, so that neither place nor heading tells people
    apart, and x and y of nine joints are compared. Confidence plays no part, all pairs are accepted, and two of `td`
    may get the same of `bu`. Joints that are not finite lie at the pelvis.
    """
    if not len(bu):
        return []
    root, nine = MPI17.root, list(RELEASED_JOINTS)
    td, bu = (np.nan_to_num(pose - pose[:, root : root + 1]) for pose in (td, bu))
    pairs = []
    for i, one in enumerate(td):
        alike = [oks(np.linalg.norm((_moved(other, one) - one)[nine, :2], axis=-1), RELEASED_REACH) for other in bu]
        pairs.append((i, int(np.argmax([part.mean() for part in alike]))))
    return pairs


def _moved(pose: Float[np.ndarray, "J 3"], onto: Float[np.ndarray, "J 3"]) -> Float[np.ndarray, "J 3"]:
    """The similarity of least squares, without reflections; seen from the pelvis again."""
    source, goal = pose - pose.mean(0), onto - onto.mean(0)
    u, stretch, v = np.linalg.svd(source.T @ goal)
    proper = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    size = np.square(source).sum()
    moved = source @ (u * proper) @ v * ((stretch * proper).sum() / size if size else 1.0)
    return moved - moved[MPI17.root]
