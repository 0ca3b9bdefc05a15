"""CMU Panoptic: MPJPE per activity, as ORPM-AE and PandaNet report it, and SMAP's root error, PCOD and recall.

Joints: the 15 that `joints15` and `MPI17` share (`SMAP15`); a joint without truth does not count. `joints19` has
a nose where `joints15` has the top of the head: people read from it have 14 joints with truth, so an average
over activities may mix 14 and 15 joints.

Published evaluations agree in little but the four activities. What is done here, and where it is our choice:

- who counts: people whose root has a truth and, with "registration", is visible (SMAP), else who have a visible joint
  (ours);
- matched how: "registration", SMAP's, on roots within 30 px of a 832 x 512 network input, nearest pair first: it uses
  the truth and hides false positives; "hungarian" (ours: ORPM-AE and PandaNet do not say), on the mean 2D distance of
  common joints up to half the diagonal of the true box. Recall and precision stand beside, the latter without
  predictions that match somebody who does not count;
- MPJPE and RtError: over matched people; MPJPE after root alignment, over the joints that were predicted, root
  included;
- 3DPCK: 150 mm, strict, after root alignment; every joint of a person who was missed is wrong;
- PCOD: `roots.pcod`, among the people found; an image in which nobody was detected counts all its people as missed
  (SMAP's result file drops such images);
- averaged: per activity over its people; "mean" is the plain mean of the activities (SMAP), "all" is over all people
  (ORPM-AE's and PandaNet's printed "Mean" is weighted).
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from mp3d.errors import BadInput
from mp3d.metrics.intervals import summarise
from mp3d.metrics.matching import assign_2d, nearest_roots
from mp3d.metrics.people import ORACLES, Image, Oracle, arrays, half_diagonals, helped, taken, together
from mp3d.metrics.roots import PCODDefinition, ordinal_pairs
from mp3d.scene import VISIBLE, Person, Scene
from mp3d.skeletons import SMAP15

ACTIVITIES = ("haggling", "mafia", "ultimatum", "pizza")
NETWORK_INPUT = 832, 512
REGISTRATION_LIMIT = 30.0
"""px of the network's input, SMAP."""

METRICS = {
    "mpjpe": ("mpjpe_sum", "mpjpe_people"),
    "rt_error": ("rt_sum", "rt_people"),
    "pck": ("good_joints", "joints"),
    "pcod": ("good_pairs", "pairs"),
    "recall": ("found", "people"),
    "precision": ("found", "predicted"),
}
"""Each metric's numerator and denominator among the columns of `counts`."""

PERCENT = ("pck", "pcod", "recall", "precision")
Matching = Literal["hungarian", "registration"]


def evaluate(
    truth: Iterable[Scene],
    predicted: Iterable[Sequence[Person]],
    matching: Matching = "hungarian",
    pcod: PCODDefinition = "paper",
    oracle: Oracle = "none",
    over: Literal["sequence", "image"] | None = None,
) -> pd.DataFrame:
    """The table of a method on CMU Panoptic.

    Parameters
    ----------
    truth : scenes; the activity is read from the name of the sequence
    predicted : for each scene the people predicted
    matching, pcod, oracle : see the module; `people.ORACLES`
    over : also give 95 % bootstrap intervals, resampling sequences or images ("mean" has none)

    Returns
    -------
    rows: activities, "mean", "all"; columns: mpjpe and rt_error in mm; pck, pcod, recall and precision in percent;
    people. `attrs["protocol"]` says how
    """
    table = counts(truth, predicted, matching, pcod, oracle)
    percent = dict.fromkeys(PERCENT, (0.0, 100.0))
    rows = summarise(table, METRICS, "activity", over, percent)
    rows["people"] = table.groupby("activity", sort=False)["people"].sum()
    known = [a for a in (*ACTIVITIES, "other") if a in rows.index]
    rows = rows.loc[known]
    everybody = summarise(table, METRICS, None, over, percent).assign(people=table["people"].sum())
    mean = rows.mean().to_frame("mean").T
    mean[[c for c in rows if c.endswith((" low", " high"))]] = np.nan
    mean["people"] = table["people"].sum()
    result = pd.concat([rows, mean, everybody])
    result.attrs["protocol"] = (
        f"CMU Panoptic, 15 joints, matching: {matching}, MPJPE and RtError over matched people,"
        f" 3DPCK 150 mm with missed people wrong, PCOD: {pcod}, among people found; {ORACLES[oracle]}"
    )
    return result


def counts(
    truth: Iterable[Scene],
    predicted: Iterable[Sequence[Person]],
    matching: Matching = "hungarian",
    pcod: PCODDefinition = "paper",
    oracle: Oracle = "none",
) -> pd.DataFrame:
    """A row an image: the sums of which `METRICS` are ratios, for averages of one's own.

    Sums of errors are in mm; what counts good joints, good pairs and people found is times 100, so that ratios are
    percent.
    """
    rows = []
    for number, (scene, people) in enumerate(together(truth, predicted)):
        image = compare(scene, people, matching, oracle)
        mpjpe, roots = image.mpjpe, image.root_errors
        z = image.pred[:, image.root, 2], image.true[:, image.root, 2]
        pairs = ordinal_pairs(*z, definition=pcod)
        rows.append(
            {
                "sequence": scene.sequence,
                "image": number,
                "activity": activity(scene.sequence),
                "mpjpe_sum": np.nansum(mpjpe),
                "mpjpe_people": np.isfinite(mpjpe).sum(),
                "rt_sum": np.nansum(roots),
                "rt_people": np.isfinite(roots).sum(),
                "good_joints": 100 * image.good()[image.known].sum(),
                "joints": image.known.sum(),
                "good_pairs": 100 * pairs[0],
                "pairs": pairs[1],
                "found": 100 * image.found.sum(),
                "people": len(image.found),
                "predicted": image.predicted,
            }
        )
    if not rows:
        raise BadInput("panoptic.evaluate", "truth", "no scene", "at least one")
    return pd.DataFrame(rows)


def compare(scene: Scene, people: Sequence[Person], matching: Matching = "hungarian", oracle: Oracle = "none") -> Image:
    """The people of one scene who count, and what was predicted for them."""
    root = SMAP15.root
    true, true_uv, seen = arrays(scene.people, SMAP15)
    pred, pred_uv, _ = arrays(people, SMAP15)
    if matching not in ("hungarian", "registration"):
        raise BadInput("panoptic.evaluate", "matching", repr(matching), "'hungarian' or 'registration'")
    visible = seen == VISIBLE
    counted = np.isfinite(true[:, root]).all(-1) & (visible[:, root] if matching == "registration" else visible.any(-1))
    limits = half_diagonals(scene.people)
    scale = min(NETWORK_INPUT[0] / scene.camera.width, NETWORK_INPUT[1] / scene.camera.height)

    def match(who, candidates):
        if matching == "registration":
            return nearest_roots(scale * true_uv[who, root], scale * pred_uv[candidates, root], REGISTRATION_LIMIT)
        return assign_2d(true_uv[who], pred_uv[candidates], limits[who])

    chosen = match(counted, slice(None))
    left = np.setdiff1d(np.arange(len(people)), chosen)
    others = (match(~counted, left) >= 0).sum()  # neither right nor wrong
    true = true[counted]
    pred = helped(taken(pred, chosen), true, oracle, SMAP15, root)
    return Image(scene, true, pred, chosen >= 0, len(people) - int(others), root)


def activity(sequence: str) -> str:
    """One of `ACTIVITIES`, from a name such as "160422_haggling1"; "other" if it names none."""
    return next((name for name in ACTIVITIES if name in sequence.lower()), "other")
