"""Human3.6M: MPJPE (protocol 2), PA-MPJPE (protocol 1) and MRPE, per action.

Joints: all 17 of `H36M17`, the pelvis included, whose error after root alignment is 0 (over the other 16 the same
result reads 17/16 higher). One person an image; of several predictions the one with the highest score is taken, and an
image without any does not enter the errors: recall stands beside.

Protocol 1 (train on S1, 5, 6, 7, 8, 9, test on S11) reports PA-MPJPE, protocol 2 (train on S1, 5, 6, 7, 8, test on S9
and 11) MPJPE; which subjects and frames these are, every 5th or 64th, is decided by the scenes that are passed.
PA-MPJPE is a fit to the truth: rotation, translation and scale, as 3DMPPE has it; without scale by option.

Averaged: per action over frames; "mean of actions" is the plain mean of the rows, "mean of frames" is over everything.
Papers print either under one name.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from mp3d.errors import BadInput
from mp3d.metrics.errors import mpjpe, pa_mpjpe
from mp3d.metrics.intervals import summarise
from mp3d.metrics.people import ORACLES, Oracle, arrays, helped, together
from mp3d.scene import Person, Scene
from mp3d.skeletons import H36M17

ACTIONS = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Photo",
    "Waiting",
    "Walking",
    "WalkDog",
    "WalkTogether",
)
"""In the order of 3DMPPE's action_idx, which starts at 2."""

METRICS = ("mpjpe", "pa_mpjpe", "mrpe", "mrpe_x", "mrpe_y", "mrpe_z")


def evaluate(
    truth: Iterable[Scene],
    predicted: Iterable[Sequence[Person]],
    scale: bool = True,
    oracle: Oracle = "none",
    over: Literal["sequence", "image"] | None = None,
) -> pd.DataFrame:
    """The table of a method on Human3.6M.

    Parameters
    ----------
    truth : scenes of one person each
    predicted : for each scene the people predicted, with every joint of `H36M17` that has a truth
    scale : whether PA-MPJPE's alignment may scale
    oracle : of `people.ORACLES`
    over : also give 95 % bootstrap intervals, resampling sequences or images ("mean of actions" has none)

    Returns
    -------
    rows: actions, "mean of actions", "mean of frames". Columns: mpjpe, pa_mpjpe, mrpe and mean absolute root errors
    along the axes, mrpe_x to mrpe_z, in mm; recall in percent; frames. `attrs["protocol"]` says how

    Raises
    ------
    BadInput : a scene of another number of people, or a prediction that lacks joints
    """
    rows = []
    for number, (scene, people) in enumerate(together(truth, predicted)):
        if len(scene.people) != 1:
            raise BadInput("human36m.evaluate", f"scene {number}", f"{len(scene.people)} people", "one")
        row = {"sequence": scene.sequence, "image": number, "action": action(scene), "one": 1, "found": 0, "recall": 0}
        row |= dict.fromkeys(METRICS, 0.0)
        if people:
            best = max(people, key=lambda person: person.score)
            true, pred = (arrays([person], H36M17)[0] for person in (scene.people[0], best))
            pred = helped(pred, true, oracle, H36M17, 0)
            offset = np.abs(pred[0, 0] - true[0, 0])
            errors = mpjpe(pred, true, root=0)[0], pa_mpjpe(pred, true, scale=scale)[0], np.linalg.norm(offset)
            row |= {"found": 1, "recall": 100} | dict(zip(METRICS, (*errors, *offset), strict=True))
        rows.append(row)
    if not rows:
        raise BadInput("human36m.evaluate", "truth", "no scene", "at least one")
    table = pd.DataFrame(rows)
    metrics = {name: (name, "found") for name in METRICS} | {"recall": ("recall", "one")}
    bounds = dict.fromkeys(METRICS, (0.0, np.inf)) | {"recall": (0.0, 100.0)}
    actions = summarise(table, metrics, "action", over, bounds)
    actions["frames"] = table["action"].value_counts()
    frames = summarise(table, metrics, None, over, bounds).set_axis(["mean of frames"]).assign(frames=len(table))
    known = [name for name in ACTIONS if name in actions.index]
    actions = actions.loc[[*known, *(name for name in actions.index if name not in known)]]
    mean = actions.mean().to_frame("mean of actions").T.assign(frames=len(table))
    mean[[column for column in actions if column.endswith((" low", " high"))]] = np.nan
    result = pd.concat([actions, mean, frames])
    result.attrs["protocol"] = (
        "Human3.6M, 17 joints, the root included; MPJPE (protocol 2) after root alignment,"
        f" PA-MPJPE (protocol 1) after alignment to the truth {'with' if scale else 'without'} scale,"
        f" over frames with a prediction; {ORACLES[oracle]}"
    )
    return result


def action(scene: Scene) -> str:
    """The action of a scene: its `kind` if it has one, else by 3DMPPE's "act_02" or by name from the sequence.

    "other" if nothing says.
    """
    if scene.kind:
        return scene.kind
    if (number := re.search(r"act_(\d+)", scene.sequence)) and 0 <= int(number[1]) - 2 < len(ACTIONS):
        return ACTIONS[int(number[1]) - 2]
    # the longest name first: SittingDown is not Sitting
    named = (name for name in sorted(ACTIONS, key=len, reverse=True) if name.lower() in scene.sequence.lower())
    return next(named, "other")
