"""SMAP's association step by step, and the two cases of its Figure 3 made exactly, without a network.

Maps are exact for people who are given in mm before one camera, and read as the network's are; what is wrong in them is
added by hand and named.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.canvas import Canvas
from mp3d.codings import affinity, depth, heatmaps
from mp3d.codings.grid import Grid
from mp3d.codings.orpm import tree_sum
from mp3d.experiments.codings.crowds import crowd
from mp3d.papers.smap import BONES, Maps, Reading, SMAPConfig, associate, find
from mp3d.papers.smap.decode import LENGTHS, Found
from mp3d.papers.smap.targets import PICKED, ROOT, normalised
from mp3d.scene import VISIBLE
from mp3d.skeletons import SMAP15

CONFIG = SMAPConfig()
WIDTH, HEIGHT = CONFIG.canvas
CAMERA = torch.tensor([WIDTH, WIDTH, WIDTH / 2, HEIGHT / 2])
"""fx, fy, cx, cy in px: what SMAP takes where it knows no camera."""
HIDDEN = {"head_top", "shoulder", "elbow", "wrist"}
"""What `contested` hides of the person behind."""
PAPER = Reading()


def walk(found: Found, k: Float[Tensor, " 4"], reading: Reading = PAPER, picture: int = 0) -> pd.DataFrame:
    """What everybody could choose from at each bone, and what they took: depth-aware association as a table.

    Parameters
    ----------
    k : fx, fy, cx, cy in px of the canvas

    Returns
    -------
    a row a bone, person and detection of the bone's far joint, in the order in which they are looked at:

    - step, from 1; bone, "near-far"; person, their place in the order; candidate, the index of the detection
    - score of the link, the penalty for its length, and the total of the two
    - free: whether nobody before has taken it; chosen: whether this person takes it
    """
    chosen = associate(found, picture, k, HEIGHT, reading).numpy()
    place, score, z = (x[picture].numpy() for x in (found.peaks.uv, found.links, found.z))
    rows = []
    for step, (e, near, far, _) in enumerate(affinity.walk(BONES, ROOT), 1):
        candidates = np.flatnonzero(np.isfinite(place[far]).all(-1))
        for person in np.flatnonzero(chosen[:, near] >= 0):
            source = chosen[person, near]
            own, lost = score[e, source, candidates], np.zeros(len(candidates))
            if reading.length != "none":
                distance = np.linalg.norm(place[near, source] - place[far, candidates], axis=-1)
                allowed = float(reading.relaxation * LENGTHS[e] * k[0] / z[chosen[person, ROOT]])
                lost = np.where(own > 0, affinity.penalty(distance, allowed, reading.length), 0)
            free, takes = ~np.isin(candidates, chosen[:person, far]), candidates == chosen[person, far]
            bone = f"{SMAP15.joints[near]}-{SMAP15.joints[far]}"
            columns = candidates, own, lost, own + lost, free, takes
            rows += [(step, bone, person, *row) for row in zip(*columns, strict=True)]
    names = ["step", "bone", "person", "candidate", "score", "penalty", "total", "free", "chosen"]
    return pd.DataFrame(rows, columns=names)


@dataclass(frozen=True, eq=False)
class Case:
    """A picture of `WIDTH` x `HEIGHT` px: the truth, maps, and what they hold before anybody is put together.

    Parameters
    ----------
    uv : (P, 15, 2) px, where people's joints truly are
    seen : (P, 15) which of them left a response; two in one place are one
    k : fx, fy, cx, cy in px
    """

    uv: Float[Tensor, "P 15 2"]
    seen: Bool[Tensor, "P 15"]
    maps: Maps
    found: Found
    k: Float[Tensor, " 4"]

    def people(self, reading: Reading = PAPER) -> Int[Tensor, "N 15"]:
        """Whom association makes of it: indices of detections, -1 for a missing joint."""
        return associate(self.found, 0, self.k, HEIGHT, reading)


def contested() -> Case:
    """Two people, one neck: Figure 3's upper case.

    The first bows towards the camera, so that the trunk is short in the picture. The second stands farther away, leans
    to the side, and has the upper body hidden by the first: the two necks lie on one line of sight and are one
    response, and of the second's head and arms there is none. Where the two trunks meet, the field is their mean; that
    is more of the short one, and so the link from the pelvis behind scores higher. All at once, the person behind takes
    the neck, and with it head and arms of the one in front. Near first, who is in front takes what is theirs.

    In the paper's figure the contested joint is the pelvis. There a tree that hangs on the pelvis could not decide: one
    pelvis is one person.
    """
    front = _person([0, 0, 3000], neck=[0, -0.34, -0.94], head_top=[0, -0.8, -0.6])
    neck, lean = SMAP15.index("neck"), [-0.64, -0.77, 0]
    trunk = _person([0, 0, 0], neck=lean)[neck]
    behind = _person(front[neck] * 5000 / front[neck, 2] - trunk, neck=lean)
    seen = torch.ones(2, len(SMAP15), dtype=torch.bool)
    seen[1] = torch.tensor([_of(joint) not in HIDDEN for joint in SMAP15.joints])
    return _case(torch.stack([front, behind]), seen, CAMERA)


def noisy_ankle(strength: float | int = 0.4) -> Case:
    """An ankle far away that is hidden, and a stray response at somebody else's: Figure 3's lower case.

    The second person's right ankle is hidden. At the left ankle of the first, who is nearer, the map of right ankles
    responds too, and a weak field leads there from the second's right knee, in a straight line that is shorter than
    half the picture's height and much longer than a shin at that depth.

    Parameters
    ----------
    strength : of the stray field, and so the score of its link; a bone's is 1
    """
    knee, own, other = (SMAP15.index(joint) for joint in ("r_knee", "r_ankle", "l_ankle"))
    xyz = torch.stack([_person([-300, 150, 3600]), _person([900, 150, 6000])])
    seen = torch.ones(2, len(SMAP15), dtype=torch.bool)
    seen[1, own] = False
    return _case(xyz, seen, CAMERA, stray=((1, knee), (0, other), own, strength))


def crowded(people: int = 8, seed: int = 3) -> Case:
    """A crowd of the world `solo`, in which a joint that somebody else hides left no response."""
    batch = crowd(people, seed, 1, themselves=False)
    focal = batch.k[0, :1] * WIDTH / batch.image.shape[-1]
    return _case(
        batch.xyz[0, :, PICKED], batch.visibility[0, :, PICKED] == VISIBLE, torch.cat([focal, focal, CAMERA[2:]])
    )


def _of(joint: str) -> str:
    return joint.removeprefix("l_").removeprefix("r_")


def _person(pelvis: list | Tensor, **bones: list) -> Float[Tensor, "15 3"]:
    """Somebody of mean size who faces the camera, arms and legs a little apart; mm. `bones` have other directions."""
    steps = torch.zeros(len(SMAP15), 3)
    for (_, child), length in zip(BONES, LENGTHS, strict=True):
        joint = SMAP15.joints[child]
        side = 1.0 if joint.startswith("l_") else -1.0  # their left is the picture's right
        ways = {"neck": [0, -1, 0], "head_top": [0, -1, 0], "shoulder": [side, 0, 0], "hip": [side, 0, 0]}
        way = torch.tensor(bones.get(joint, ways.get(_of(joint), [0.2 * side, 1, 0])), dtype=torch.float32)
        steps[child] = length * way / way.norm()
    return tree_sum(steps, SMAP15.parents) + torch.as_tensor(pelvis)


def _case(
    xyz: Float[Tensor, "P 15 3"],
    seen: Bool[Tensor, "P 15"],
    k: Float[Tensor, " 4"],
    stray: tuple[tuple[int, int], tuple[int, int], int, float | int] | None = None,
) -> Case:
    """Exact maps of people before a camera that looks along z, read. A bone is drawn if both of its ends are seen.

    Parameters
    ----------
    stray : (person, joint) from which and (person, joint) to which a field of another bone leads, the joint at which
        this bone ends, and the field's strength
    """
    grid, on, z = Grid.over(*CONFIG.canvas), seen[None], xyz[None, ..., 2]
    uv = xyz[None, ..., :2] / z[..., None] * k[:2] + k[2:]
    maps = heatmaps.encode(uv, on, grid, CONFIG.sigma)
    fields = affinity.encode(uv, on, BONES, grid, CONFIG.band)
    if stray:
        start, end, joint, strength = stray
        ends, there = torch.stack([uv[0][start], uv[0][end]])[None, None], torch.ones(1, 1, 2, dtype=torch.bool)
        bone = [child for _, child in BONES].index(joint)
        maps[:, joint] = maps[:, joint].maximum(heatmaps.encode(ends, there, grid, CONFIG.sigma)[:, 1])
        fields[:, bone] += strength * affinity.encode(ends, there, [(0, 1)], grid, CONFIG.band)[:, 0]
    # Wide squares: a detection that others pulled aside must not read a depth of 0.
    roots = depth.encode_root(normalised(z[..., ROOT], k[None], CONFIG), uv[:, :, ROOT], on[..., ROOT], grid, 3)[0]
    maps = Maps(maps, roots, fields)
    return Case(uv[0], seen, maps, find(maps, k[None], Canvas((1.0, 1.0), (0, 0), WIDTH), CONFIG, PAPER), k)
