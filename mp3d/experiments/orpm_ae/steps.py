"""How one joint of one person is read, rule by rule (ORPM-AE section 3.2), from exact maps of a drawn picture."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mp3d.batch import Batch
from mp3d.camera import project
from mp3d.canvas import on_canvas
from mp3d.codings import orpm, tags
from mp3d.errors import BadInput
from mp3d.papers import orpm_ae
from mp3d.papers.orpm_ae import Detections, Maps, ORPMAEConfig, Reading
from mp3d.scene import VISIBLE
from mp3d.skeletons import MPI17
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import takes

CONFIG = ORPMAEConfig(canvas=(320, 192))
"""Maps of 80 x 48 cells; only the canvas and the patches matter here."""
PAPER = Reading()


def walk(found: Detections, person: int, joint: str, config: ORPMAEConfig, reading: Reading = PAPER) -> pd.DataFrame:
    """The sites at which a joint of somebody in the first picture is tried, in order, up to the one that is read.

    Parameters
    ----------
    person : their place in the order of `tags.group`
    joint : of `MPI17`
    reading : thresholds; the read-out is the paper's

    Returns
    -------
    a row a site:

    - rule: "own pixel", "limb: elbow", "neck", "pelvis", or "mean" at the end
    - site (joint, "" for the mean), score
    - gap: cells to the nearest place of somebody else that counts, infinity if there is none
    - valid, and why: "read here", or what is wrong
    - x, y, z of the bone there, mm; NaN where there is no detection

    Raises
    ------
    BadInput : no such person or joint, another read-out
    """
    if reading.readout != "paper":
        raise BadInput("steps.walk", "reading.readout", repr(reading.readout), "'paper'")
    people = tags.group(found.peaks, found.tags, reading.grouping, reading.near)[0]
    if not 0 <= person < len(people):
        raise BadInput("steps.walk", "person", person, f"one of {len(people)}")
    _, score, cell = (x.cpu().numpy() for x in found.peaks.take(0, people))
    number = torch.full(found.peaks.found.shape, -1)
    number[found.peaks.found] = torch.arange(len(found.bones))
    names, j = MPI17.joints, MPI17.index(joint)
    counts = orpm.sites()[j].numpy() & (score > reading.t_c)
    counts[person] = False
    limb = next((limb for limb in orpm.LIMBS if joint in limb), [])
    rows = []
    for s in orpm.order(MPI17, reading.readout)[j].tolist():
        if s < 0:
            break
        rule = "own pixel" if s == j else f"limb: {_plain(names[s])}" if names[s] in limb else names[s]
        gaps = np.abs(cell - cell[person, s]).max(-1)
        gaps = np.where(counts, gaps, np.inf)
        gap, whose = float(gaps.min()), _plain(names[int(gaps.argmin()) % len(names)])
        bone, why = np.full(3, np.nan), ""
        if people[person, s] < 0:
            why, gap = "not found", np.inf
        else:
            bone = found.bones[number[0, s, people[person, s]], j].cpu().numpy()
            if score[person, s] <= reading.t_c:
                why = f"score {score[person, s]:.2f}"
            elif gap < reading.t_d:
                why = f"{gap:.0f} cell{'s' * (gap != 1)} from another's {whose}"
        rows.append((rule, names[s], score[person, s], gap, not why, why or "read here", *bone))
        if not why:
            break
    if not rows or not rows[-1][4]:
        rows.append(("mean", "", 0.0, np.inf, True, "of the training set", np.nan, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["rule", "site", "score", "gap", "valid", "why", "x", "y", "z"])


def _plain(joint: str) -> str:
    return joint.removeprefix("l_").removeprefix("r_")


@dataclass(frozen=True, eq=False)
class Case:
    """A picture, its exact maps, and a joint that is hard to read.

    Parameters
    ----------
    batch : one picture on the canvas
    maps : with tags 10 apart
    person : who, in the batch; joint : which
    """

    batch: Batch
    maps: Maps
    person: int
    joint: str

    def found(self, *missed: str) -> Detections:
        """What is found if all that is hidden is not, nor these joints of the person."""
        seen = self.batch.visibility[0] == VISIBLE
        seen[self.person, [MPI17.index(joint) for joint in missed]] = False
        return _detected(self.batch, self.maps, seen)

    def walk(self, *missed: str) -> pd.DataFrame:
        """`walk` of the joint, if these joints of the person are missed too."""
        found = self.found(*missed)
        group = tags.group(found.peaks, found.tags)[0]
        mean = [found.tags[0, (row >= 0).nonzero()[0, 0], row[row >= 0][0]].item() for row in group]
        owner = [round(tag / 10) for tag in mean]
        if self.person not in owner:
            raise BadInput("steps.Case.walk", "missed", missed, "so few that the person is found")
        return walk(found, owner.index(self.person), self.joint, CONFIG)

    @property
    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        """The canvas."""
        return self.batch.image[0].permute(1, 2, 0).numpy()

    @property
    def people(self) -> Float[np.ndarray, "P 17 2"]:
        """px, of true joints in the picture."""
        uv = self.batch.uv[0].where(self.batch.labelled[0][..., None], torch.nan)
        return uv[self.batch.there[0]].numpy()

    def ends(self, bone: Float[np.ndarray, " 3"] | None = None) -> Float[np.ndarray, "2 2"]:
        """px, where the true bone that ends in the joint lies in the picture, or another (mm) from the same parent."""
        j = MPI17.index(self.joint)
        parent, child = self.batch.xyz[0, self.person, [MPI17.parents[j], j]]
        if bone is not None:
            child = parent + torch.from_numpy(np.asarray(bone)).to(parent)
        return project(torch.stack([parent, child]), self.batch.k[:1]).numpy()


def exact(batch: Batch) -> Maps:
    """The maps of canvases as they should be, people's tags 10 apart."""
    goal = orpm_ae.targets(batch, CONFIG)
    own = 10.0 * torch.arange(batch.uv.shape[1]).float().expand(len(batch), -1)
    return Maps(goal.heatmaps, goal.bones, tags.encode(batch.uv, batch.labelled, own, CONFIG.grid))


def _detected(batch: Batch, maps: Maps, seen: Tensor) -> Detections:
    """Detections of the joints that are seen; pose maps stay whole."""
    goal = orpm_ae.targets(replace(batch, visibility=torch.where(seen, VISIBLE, 0).to(torch.uint8)[None]), CONFIG)
    _, canvas = on_canvas(batch, CONFIG.canvas)
    return orpm_ae.detect(maps._replace(heatmaps=goal.heatmaps), canvas, CONFIG)


@cache
def case() -> Case:
    """Of six pictures of `duet` in which people overlap, the one in which most rules are tried for a hidden left wrist.

    Somebody else's joint is in the way at one of the sites, and the person is half as high as the canvas or higher.
    """
    batch, _ = on_canvas(render(takes("duet", 6, 51, "overlap"), 320, 180, 3).batch, CONFIG.canvas)
    best, most, joint = None, 0, "l_wrist"
    j = MPI17.index(joint)
    for b in range(len(batch)):
        one = batch[b : b + 1]
        maps = exact(one)
        for person in one.there[0].nonzero()[:, 0].tolist():
            hidden = one.labelled[0, person, j] and one.visibility[0, person, j] != VISIBLE
            high = np.ptp(one.uv[0, person, :, 1].numpy()) > CONFIG.canvas[1] / 2
            if not (hidden and high and one.labelled[0, person].all()):
                continue
            some = Case(one, maps, person, joint)
            try:
                tried = some.walk()
            except BadInput:
                continue
            near = tried["why"].str.contains("another").any()
            if near and tried["rule"].iloc[-1] != "mean" and len(tried) > most:
                best, most = some, len(tried)
    return best
