"""What the synthetic worlds look like in numbers, beside what is printed or measured of the data that they mirror."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mp3d.data.tdbu_outputs import Video
from mp3d.synthetic.mupots import mupots_takes
from mp3d.synthetic.takes import Takes, largest_iou
from mp3d.synthetic.worlds import WORLDS, takes

QUANTITIES = {
    "people": "people a frame",
    "distance": "distance, m",
    "height": "height, px",
    "hidden": "joints hidden",
    "outside": "joints outside",
    "overlap": "largest box IoU",
}
"""What is measured: of each frame the people, the share of their joints in the image that others or they themselves
hide, the share outside the image, and the largest intersection over union of two people's tight boxes (frames of two
people or more); of each person the root's distance from the camera and how high the joints reach in the image."""

_SEQUEL = "ORPM-AE's sequel (Benzine et al., arXiv 1911.03391): JTA's test set, every tenth frame"
_PANDANET = "PandaNet, section 4.1"
_MUPOTS = "MuPoTS-3D's annotated frames: data_manifest.yaml, mupots3d"
_PANOPTIC = "measured: 4 frames of 160906_band1 and 160906_band2, 31 HD cameras"

# world, data, quantity, what is known, value, and of a share how much lies up to the value
_ROWS = [
    ("duet", "MuPoTS-3D", "people", "share", 2, 2 - 20899 / 8370 + 1, _MUPOTS),
    ("duet", "MuPoTS-3D", "people", "share", 3, 1.0, _MUPOTS),
    (
        "studio",
        "CMU Panoptic",
        "outside",
        "mean",
        1 - (1452 + 1453 + 1549 + 1549) / (2 * 1643 + 2 * 1767),
        np.nan,
        _PANOPTIC,
    ),
    ("street", "JTA", "people", "least", 0, np.nan, _PANDANET),
    ("street", "JTA", "people", "mean", 21, np.nan, _PANDANET),
    ("street", "JTA", "people", "most", 60, np.nan, _PANDANET),
    ("street", "JTA", "distance", "least", 0.1, np.nan, _PANDANET),
    ("street", "JTA", "distance", "share", 10, 0.10, _SEQUEL),
    ("street", "JTA", "distance", "share", 20, 0.33, _SEQUEL),
    ("street", "JTA", "distance", "share", 30, 0.54, _SEQUEL),
    ("street", "JTA", "distance", "share", 40, 0.68, _SEQUEL),
    ("street", "JTA", "distance", "most", 100, np.nan, _PANDANET),
    ("street", "JTA", "height", "least", 20, np.nan, _PANDANET),
    ("street", "JTA", "height", "most", 1100, np.nan, _PANDANET),
    ("solo", "Human3.6M", "people", "share", 1, 1.0, "ORPM-AE, section 4: single-person images"),
]
PUBLISHED = pd.DataFrame(_ROWS, columns=["world", "data", "quantity", "what", "value", "share", "source"])
"""What is known of the real data sets: a row a number, with its source; quantities that nobody prints are left out."""


def measure(some: Takes) -> pd.DataFrame:
    """World, split, motion, quantity, value: a row for each frame or person (`QUANTITIES`)."""
    there, uv = np.isfinite(some.size), some.uv
    inside = ((uv >= 0) & (uv < some.image[:, None, None])).all(-1)
    joints, shown = 17 * some.people, inside.sum((1, 2))
    values = {
        "people": some.people,
        "distance": np.linalg.norm(some.points[:, :, 14], axis=-1)[there] / 1000,
        "height": (uv[..., 1].max(-1) - uv[..., 1].min(-1))[there],
        "hidden": ((some.visibility == 1).sum((1, 2)) / np.maximum(shown, 1))[shown > 0],
        "outside": (1 - shown / np.maximum(joints, 1))[joints > 0],
        "overlap": largest_iou(uv)[some.people > 1],
    }
    long = [pd.DataFrame({"quantity": name, "value": np.asarray(value, float)}) for name, value in values.items()]
    return pd.concat(long, ignore_index=True).assign(world=some.world, split=some.split, motion=some.motion)[
        ["world", "split", "motion", "quantity", "value"]
    ]


def table(count: int = 256, seed: int = 0, split: str = "test", videos: Sequence[Video] = ()) -> pd.DataFrame:
    """`measure` of `count` frames of every world, and of `duet` with the motion of `videos` where there are any."""
    parts = [measure(takes(world, count, seed, split)) for world in WORLDS]
    if videos:
        parts.append(measure(mupots_takes(videos, seed, count)))
    return pd.concat(parts, ignore_index=True)


def summary(df: pd.DataFrame) -> pd.DataFrame:
    """A row a world, motion and quantity: mean, 5 %, 50 % and 95 % quantile, number of frames or people."""
    groups = df.groupby(["world", "motion", "quantity"], sort=False)["value"]
    return groups.agg(
        mean="mean", low=lambda v: v.quantile(0.05), median="median", high=lambda v: v.quantile(0.95), n="size"
    ).reset_index()
