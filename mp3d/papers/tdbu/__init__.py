"""TDBU: monocular multi-person pose by integrating top-down and bottom-up networks (Cheng et al., CVPR 2021).

Two ways to find people in space fail in different places: from boxes, everybody at one scale but each alone; from the
whole frame, everybody together but small where they are far. Here both look: the top-down branch at everybody in each
box, over time; the bottom-up branch at the frame, with the top-down heatmaps beside it. Their people are matched where
they stand, and a small network makes one pose of two, watched by discriminators of one person and of two. Unlabelled
video teaches the lifting by what it can check itself.

In the paper's order: `config`; `topdown` and `lifting` (section 3.1), `tracking`; `bottomup` (3.2); `matching`,
`integration`, `discriminators` (3.3); `semi` (3.4); `model` puts all together, `train` trains it.
"""

from mp3d.papers.tdbu.config import PROFILES, SMALL, Profile, Reading, TDBUConfig
from mp3d.papers.tdbu.model import TDBU, bottom_up, boxes_of, join, top_down

__all__ = ["PROFILES", "SMALL", "TDBU", "Profile", "Reading", "TDBUConfig", "bottom_up", "boxes_of", "join", "top_down"]
