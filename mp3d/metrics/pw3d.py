"""3DPW: PA-MPJPE on the whole split and on crowded frames (TDBU's Table 6, which compares the two).

TDBU says neither which joints it scores nor which frames are its "occlusion subset", and published no list. Ours:

- joints: `CORE14`, neck to pelvis, which SMPL's 24 joints have natively; not the 14 of the LSP regressor that mesh
  papers use;
- matched by optimal assignment on the mean 2D distance of these joints, up to half the diagonal of the true box;
- crowded: frames in which the boxes around the joints of two people overlap by an IoU above 0.3;
- averaged over the people found; recall beside.

PA-MPJPE is a fit to the truth: rotation, translation and scale, or without scale by option.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from mp3d.errors import BadInput
from mp3d.metrics.detection import iou
from mp3d.metrics.errors import mpjpe, pa_mpjpe
from mp3d.metrics.intervals import summarise
from mp3d.metrics.matching import assign_2d
from mp3d.metrics.people import ORACLES, Oracle, arrays, boxes, half_diagonals, helped, together
from mp3d.scene import Person, Scene
from mp3d.skeletons import CORE14

METRICS = {"pa_mpjpe": ("pa_mpjpe", "found"), "mpjpe": ("mpjpe", "found"), "recall": ("recall", "people")}


def evaluate(
    truth: Iterable[Scene],
    predicted: Iterable[Sequence[Person]],
    scale: bool = True,
    overlap: float = 0.3,
    oracle: Oracle = "none",
    over: Literal["sequence", "image"] | None = None,
) -> pd.DataFrame:
    """The table of a method on 3DPW.

    Parameters
    ----------
    truth : scenes; people without a pelvis do not count
    predicted : for each scene the people predicted, with every joint of `CORE14` that has a truth
    scale : whether PA-MPJPE's alignment may scale
    overlap : IoU above which a frame is crowded
    oracle : of `people.ORACLES`
    over : also give 95 % bootstrap intervals, resampling sequences or images ("drop" has none)

    Returns
    -------
    rows: "all", "occluded" (the crowded frames), "drop" (the second less the first). Columns: pa_mpjpe and mpjpe in
    mm, recall in percent, people, images. `attrs["protocol"]` says how

    Raises
    ------
    BadInput : a matched prediction that lacks joints
    """
    rows, root = [], CORE14.root
    for number, (scene, people) in enumerate(together(truth, predicted)):
        true, true_uv, _ = arrays(scene.people, CORE14)
        pred, pred_uv, _ = arrays(people, CORE14)
        counted = np.isfinite(true[:, root]).all(-1)
        limit = half_diagonals(scene.people)[counted]
        chosen = assign_2d(true_uv[counted], pred_uv, limit)
        true, pred = true[counted][chosen >= 0], pred[chosen[chosen >= 0]]
        pred = helped(pred, true, oracle, CORE14, root)
        errors = pa_mpjpe(pred, true, scale=scale), mpjpe(pred, true, root=root)
        row = {"sequence": scene.sequence, "image": number, "occluded": occluded(scene, overlap), "found": len(true)}
        row |= {"people": counted.sum(), "recall": 100 * len(true)}
        rows.append(row | {name: error.sum() for name, error in zip(("pa_mpjpe", "mpjpe"), errors, strict=True)})
    if not rows:
        raise BadInput("pw3d.evaluate", "truth", "no scene", "at least one")
    table = pd.DataFrame(rows)
    parts = {"all": table, "occluded": table[table["occluded"]]}
    bounds = {"pa_mpjpe": (0.0, np.inf), "mpjpe": (0.0, np.inf), "recall": (0.0, 100.0)}
    result = pd.concat([summarise(p, METRICS, None, over, bounds).set_axis([name]) for name, p in parts.items()])
    result["people"] = [part["people"].sum() for part in parts.values()]
    result["images"] = [len(part) for part in parts.values()]
    result.loc["drop"] = result.loc["occluded"] - result.loc["all"]
    result.loc["drop", [c for c in result if c.endswith((" low", " high")) or c in ("people", "images")]] = np.nan
    result.attrs["protocol"] = (
        f"3DPW, 14 joints (CORE14), PA-MPJPE {'with' if scale else 'without'} scale, over people found by 2D"
        f" assignment, occluded: a pair of boxes with IoU > {overlap:g}; {ORACLES[oracle]}"
    )
    return result


def occluded(scene: Scene, overlap: float = 0.3) -> bool:
    """Whether the boxes of two people in the scene have an IoU above `overlap`."""
    around = boxes(scene.people)
    return bool((np.triu(iou(around, around), 1) > overlap).any())
