"""What a method's people are worth against the truth, by SMAP's metrics (section 4.3) in one protocol for all methods.

Predictions are as they come, not registered to the truth: those left over cost precision. True and found people are
matched one to one on the mean 2D distance of the joints that were found, up to half the diagonal of the true box (our
choice; SMAP's own matching uses the truth's roots). Joints that RefineNet added, and 3D, play no part in it. Everybody
with a joint in the picture counts. Errors are of matched people; the shares are of matched people too, but for those
that end in `_all`, in which whoever was missed is wrong in every joint.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mp3d.batch import Batch
from mp3d.metrics.errors import joint_errors
from mp3d.metrics.matching import assign_2d
from mp3d.metrics.people import arrays, taken
from mp3d.metrics.roots import ordinal_pairs
from mp3d.scene import ABSENT, VISIBLE, Person
from mp3d.skeletons import MPI17, SMAP15

ROOT = SMAP15.root
SCORED = [joint for joint in range(len(SMAP15)) if joint != ROOT]
"""The joints of 3DPCK: all but the root, which relative poses share."""
THRESHOLDS = np.arange(0, 151, 5)
"""mm, of the AUC; nothing is below 0, so that a perfect result has 96.8 (released code)."""
ROOT_THRESHOLDS = (50, 100, 150, 250, 500, 1000)
"""mm, Figure 4, left."""
THRESHOLDS_REL = (25, 50, 75, 100, 125)
"""mm, Figure 4, right, beside 150."""
_NECK, _TOP = SMAP15.index("neck"), SMAP15.index("head_top")


class People:
    """True and found people of some pictures, matched.

    Parameters
    ----------
    batch : pictures with their truth
    found : for each the people predicted, in any joints
    """

    def __init__(self, batch: Batch, found: Sequence[Sequence[Person]]):
        picked = [MPI17.index(joint) for joint in SMAP15.joints]
        xyz, uv = (x[:, :, picked].double().cpu().numpy() for x in (batch.xyz, batch.uv))
        seen = batch.visibility[:, :, picked].cpu().numpy()
        rows, self.picture, self.predicted = [], [], 0
        for b, people in enumerate(found):
            counts = (seen[b] > ABSENT).any(-1)
            pred, pred_uv, pred_seen = arrays(people, SMAP15)
            pred_uv = np.where((pred_seen == VISIBLE)[..., None], pred_uv, np.nan)
            true_uv = uv[b, counts]
            limit = np.linalg.norm(np.ptp(true_uv, axis=1), axis=-1) / 2
            chosen = assign_2d(true_uv, pred_uv, limit)
            rows.append((xyz[b, counts], true_uv, seen[b, counts], taken(pred, chosen), taken(pred_uv, chosen), chosen))
            self.picture += [b] * len(chosen)
            self.predicted += len(people)
        self.true, self.true_uv, self.seen, self.pred, self.pred_uv, self.chosen = (
            np.concatenate(part) for part in zip(*rows, strict=True)
        )
        self.picture = np.array(self.picture, int)
        self.found = self.chosen >= 0

    @property
    def errors(self) -> Float[np.ndarray, "N 15"]:
        """mm, after root alignment; NaN where a joint was not found."""
        return joint_errors(self.pred, self.true, ROOT)

    @property
    def root_error(self) -> Float[np.ndarray, "N 3"]:
        """mm, found less true."""
        return self.pred[:, ROOT] - self.true[:, ROOT]

    def pairs(self, definition: str = "paper", tolerance: float | int = 300) -> tuple[int, int]:
        """Pairs of found people in the right order of depth, and pairs."""
        good, number = 0, 0
        for b in np.unique(self.picture):
            some = (self.picture == b) & self.found
            one = ordinal_pairs(self.pred[some, ROOT, 2], self.true[some, ROOT, 2], definition, tolerance=tolerance)
            good, number = good + one[0], number + one[1]
        return good, number


def scores(people: People) -> dict[str, float]:
    """All metrics of some pictures: see the module; NaN where nobody is to be judged.

    mpjpe (of the joints found, the root's 0 among them), rt_error, rt_z (of the depth alone) in mm; depth_error in % of
    the depth; these three of roots that were found. All others in %. Where there are roots alone, poses have no metric.
    """
    found, errors = people.found, people.errors
    roots = np.linalg.norm(people.root_error, axis=-1)
    rooted = found & np.isfinite(roots)
    scored, absolute = errors[:, SCORED], joint_errors(people.pred, people.true, None)[:, SCORED]
    posed = not found.any() or np.isfinite(scored).any()  # else there are roots alone, and nothing to say of poses
    z = np.abs(people.root_error[:, 2])
    head = 0.5 * np.linalg.norm(people.true_uv[:, _NECK] - people.true_uv[:, _TOP], axis=-1)
    near = np.linalg.norm(people.pred_uv - people.true_uv, axis=-1) < head[:, None]
    row = {
        "recall": _share(found),
        "precision": 100 * found.sum() / people.predicted if people.predicted else np.nan,
        "mpjpe": _mean(np.nanmean(errors[np.isfinite(errors[:, SCORED]).any(1)], axis=1)),
        "rt_error": _mean(roots[rooted]),
        "rt_z": _mean(z[rooted]),
        "depth_error": _mean(100 * z[rooted] / people.true[rooted, ROOT, 2]),
        "pck_rel": _share(scored[found] < 150),
        **{f"pck_rel_{t}": _share(scored[found] < t) for t in THRESHOLDS_REL},
        "pck_abs": _share(absolute[found] < 150),
        "pck_rel_all": _share(scored < 150),
        "pck_abs_all": _share(absolute < 150),
        "pck_root": _share(roots[found] < 150),
        "auc_rel": _mean([_share(scored[found] < t) for t in THRESHOLDS]),
        "auc_rel_above_0": _mean([_share(scored[found] < t) for t in THRESHOLDS[1:]]),
        "pck2d": _share(near[found][people.seen[found] == VISIBLE]),
    }
    if not posed:
        row |= {name: np.nan for name in row if name.startswith(("pck_rel", "pck_abs", "auc"))}
    row |= {f"pck_root_{t}": _share(roots[found] < t) for t in ROOT_THRESHOLDS}
    for name, how in {
        "pcod": ("paper", 300),
        "pcod_mupots": ("mupots", 300),
        "pcod_order": ("paper", 0),  # nobody is within 0 mm: signs alone
    }.items():
        good, number = people.pairs(*how)
        row[name] = 100 * good / number if number else np.nan
    return row


def _share(good: Bool[np.ndarray, "..."]) -> float:
    return 100 * float(np.mean(good)) if np.size(good) else np.nan


def _mean(values) -> float:
    return float(np.mean(values)) if np.size(values) else np.nan


def row(scene: str, batch: Batch, found: Sequence[Sequence[Person]]) -> dict[str, float | str | int]:
    """A row of a study's table: the scene, n (people who count) and `scores`."""
    people = People(batch, found)
    return {"scene": scene, "n": len(people.found), **scores(people)}


def by_person(batch: Batch, found: Sequence[Sequence[Person]]) -> pd.DataFrame:
    """A row a person who counts: picture, true and predicted depth of the root (m; NaN: not found)."""
    people = People(batch, found)
    depths = {"true": people.true[:, ROOT, 2] / 1000, "predicted": people.pred[:, ROOT, 2] / 1000}
    return pd.DataFrame({"picture": people.picture} | depths)
