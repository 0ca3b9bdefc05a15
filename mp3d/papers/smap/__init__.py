"""SMAP: single-shot multi-person absolute 3D pose estimation (Zhen et al., ECCV 2020).

One pass over the whole picture, bottom-up: heatmaps and part affinity fields say where joints are and which belong
together; a root-depth map says how far away each person is, in focal lengths; part relative-depth maps say
how far each joint is behind its parent. People are put together from near to far, with bones no longer than their
depth allows, placed by the camera, and completed by RefineNet.

To be read in this order: `config`, `targets` (with the loss), `network`, `decode`, `refine`, `train`. "Released code"
is the authors', which differs from the paper in many places; what differs is an option where it matters.
"""

from mp3d.papers.smap.config import PROFILES, SMALL, Profile, Reading, Refinement, SMAPConfig
from mp3d.papers.smap.decode import associate, decode, find, joint_depths
from mp3d.papers.smap.network import SMAP, Network
from mp3d.papers.smap.refine import RefineNet, refine
from mp3d.papers.smap.targets import BONES, Maps, Targets, loss, targets
from mp3d.papers.smap.train import sample, train

__all__ = ["BONES", "PROFILES", "SMALL", "SMAP", "Maps", "Network", "Profile", "Reading", "RefineNet"]
__all__ += ["Refinement", "SMAPConfig", "Targets", "associate", "decode", "find", "joint_depths", "loss"]
__all__ += ["refine", "sample", "targets", "train"]
