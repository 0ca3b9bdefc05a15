"""PandaNet's anchors looked at one by one, and the traps in its losses, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, UInt8

from mp3d.batch import Batch
from mp3d.canvas import on_canvas
from mp3d.codings import anchors as coding
from mp3d.experiments.codings.selection import Assigned
from mp3d.papers import pandanet
from mp3d.papers.pandanet import PandaNet
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import takes

# ---- two people who overlap (Figure 4) ------------------------------------------------------------


@lru_cache(maxsize=2)
def overlapping(width: int, height: int) -> Batch:
    """Of 48 test pictures of `studio` in which people overlap, the one in which two whole people do most; nobody
    else is in it as far as can be had."""
    batch = render(takes("studio", 48, 0, "overlap"), width, height, 1).batch
    best, most = 0, -np.inf
    for b in range(len(batch)):
        some = batch.there[b] & batch.labelled[b].all(-1)
        boxes = coding.pose_box(batch.uv[b][some])
        overlap = coding.iou(boxes[:, None], boxes).fill_diagonal_(0) if len(boxes) > 1 else torch.zeros(1, 1)
        high = overlap.max().item() - 0.1 * max(0, int(batch.there[b].sum()) - 3)
        if high > most and overlap.max() < 0.75:
            best, most = b, high
    return batch[best : best + 1]


@dataclass(frozen=True)
class Looked:
    """What a trained network's anchors are, at each cell the one of the best PONO.

    Parameters
    ----------
    image : the canvas
    people : px of the canvas
    boxes : (P, 4) px, those that anchors are matched with
    owner : whose an anchor is, -1: nobody's
    pono, pose : overlap with the owner's box, by the owner's best; mean overlap of the pose's unit squares
    positive, readable : A+, A++
    score : the probability that the network gives
    """

    image: UInt8[np.ndarray, "h w 3"]
    people: Float[np.ndarray, "P 17 2"]
    boxes: Float[np.ndarray, "P 4"]
    owner: Int[np.ndarray, "H W"]
    pono: Float[np.ndarray, "H W"]
    pose: Float[np.ndarray, "H W"]
    positive: Bool[np.ndarray, "H W"]
    readable: Bool[np.ndarray, "H W"]
    score: Float[np.ndarray, "H W"]


def look(model: PandaNet, batch: Batch) -> Looked:
    """The anchors of one picture."""
    moved, _ = on_canvas(batch[:1], model.config.canvas)
    goal = pandanet.targets(moved, model.sizes, model.config)
    maps = _said(model, batch[:1])
    pose = pose_overlap(model, maps, goal)[0]
    pono, kind = goal.pono[0].max(-1)

    def best(values: torch.Tensor) -> np.ndarray:
        return values.gather(-1, kind[..., None])[..., 0].cpu().numpy()

    known = goal.boxes[0].isfinite().all(-1)
    place = np.append(known.cpu().numpy().cumsum() - 1, -1)  # of a person among those who have a box
    return Looked(
        moved.image[0].permute(1, 2, 0).cpu().numpy(),
        moved.uv[0][known].cpu().numpy(),
        goal.boxes[0][known].cpu().numpy(),
        place[best(goal.person[0])],
        pono.cpu().numpy(),
        best(pose),
        coding.labels(pono).cpu().numpy(),
        best(coding.labels(goal.pono[0], pose)),
        best(maps.score[0].sigmoid()),
    )


def pose_overlap(model: PandaNet, maps: pandanet.Maps, goal: pandanet.Targets) -> Float[torch.Tensor, "B H W A"]:
    """The mean overlap of the unit squares of everybody's joints, true and found, at anchors of A+; 0 elsewhere."""
    uv, known, at = _joints(model, goal)
    overlap = (coding.iou_of_joints(uv, maps.uv[at]) * known).sum(-1) / known.sum(-1).clamp(min=1)
    whole = torch.zeros_like(goal.pono)
    whole[at] = overlap
    return whole


def _said(model: PandaNet, batch: Batch) -> pandanet.Maps:
    """The network's maps, where the pictures are."""
    return pandanet.Maps(*(part.to(batch.image.device) for part in model.maps(batch.image)[0]))


def _joints(model: PandaNet, goal: pandanet.Targets):
    """True joints in the coordinates of the anchors of A+, which are known, and where these anchors are."""
    at = coding.labels(goal.pono).nonzero(as_tuple=True)
    anchors = coding.grid_anchors(model.sizes.to(goal.uv), model.config.grid(*model.config.canvas))[at[1:]]
    uv = coding.encode_pose(anchors, goal.uv[at[0], goal.person[at]])
    return uv.nan_to_num(), uv.isfinite().all(-1), at


def crossed(model: PandaNet, scenes: Sequence[tuple[str, Batch]]) -> pd.DataFrame:
    """How many anchors of A+ stay in A++, and how well their 2D poses fit, as a study's table, a row a scene.

    Variants: shared, anchors whose overlap with somebody else too is above half of that one's best; own, all others.
    Metrics: kept, %; overlap, the mean of the unit squares', %; both of own anchors at the PONO of the shared ones (in
    tenths), since shared ones have a larger one and A++ asks for it as well; n and pono, before that.
    """
    rows = []
    for scene, batch in scenes:
        moved, _ = on_canvas(batch, model.config.canvas)
        goal = pandanet.targets(moved, model.sizes, model.config)
        pose = pose_overlap(model, _said(model, batch), goal)
        found = Assigned.of(goal.boxes, model.sizes.to(goal.boxes), model.config.grid(*model.config.canvas))
        each = pd.DataFrame(
            {
                "shared": found.shared[found.positive].numpy(),
                "pono": goal.pono[found.positive].double().numpy(),
                "overlap": 100 * pose[found.positive].double().numpy(),
                "kept": 100.0 * coding.labels(goal.pono, pose)[found.positive].numpy(),
            }
        )
        each["bin"] = (10 * each["pono"]).astype(int).clip(upper=9)
        both = pd.MultiIndex.from_product([["kept", "overlap"], [False, True]])
        bins = each.pivot_table(index="bin", columns="shared", values=["kept", "overlap"]).reindex(columns=both)
        weight = each[each["shared"]].groupby("bin").size().reindex(bins.index, fill_value=0)
        weight = weight.where(bins.notna().all(axis=1), 0)  # bins that both have
        for variant, shared in (("shared", True), ("own", False)):
            some = each[each["shared"] == shared]
            row = {"variant": variant, "seed": 0, "scene": scene, "n": len(some), "pono": some["pono"].mean()}
            if weight.sum():
                row |= {name: np.average(bins[name][shared].fillna(0), weights=weight) for name in ("kept", "overlap")}
                rows.append(row)
    return pd.DataFrame(rows, columns=["variant", "seed", "scene", "n", "pono", "kept", "overlap"])


def shares(model: PandaNet, batches: Sequence[Batch]) -> Float[np.ndarray, " A"]:
    """The share of each anchor size among the anchors of A+, in pictures at the scale of the canvas."""
    number = torch.zeros(model.config.count)
    for batch in batches:
        goal = pandanet.targets(batch, model.sizes, model.config)
        number += coding.labels(goal.pono).sum((0, 1, 2)).cpu()
    return (number / number.sum()).double().numpy()


def beyond(model: PandaNet, batches: Sequence[Batch]) -> pd.DataFrame:
    """How many joints of anchors of A+ the unit squares teach nothing, since they are an anchor's side off or more.

    Returns
    -------
    a row an anchor size: size (px), joints (of A+ in all pictures), untrained (% at the start, when every joint is
    said to lie in the anchor's middle), trained (%)
    """
    count, rows = model.config.count, []
    number, lost = torch.zeros(count), torch.zeros(2, count)
    for batch in batches:
        moved, _ = on_canvas(batch, model.config.canvas)
        goal = pandanet.targets(moved, model.sizes, model.config)
        maps = _said(model, batch)
        uv, known, at = _joints(model, goal)
        far = torch.stack([(uv - said).abs().amax(-1) >= 1 for said in (torch.zeros_like(uv), maps.uv[at])]) & known
        kind = at[3]
        number.index_add_(0, kind, known.sum(-1).float())
        lost.index_add_(1, kind, far.sum(-1).float())
    for kind, size in enumerate(model.sizes.tolist()):
        shares = (100 * lost[:, kind] / number[kind].clamp(min=1)).tolist()
        rows.append(("{:.0f} x {:.0f}".format(*size), int(number[kind]), *shares))
    return pd.DataFrame(rows, columns=["size", "joints", "untrained", "trained"])


# ---- the losses, with a pencil ----------------------------------------------------------------------


def unit_square() -> pd.DataFrame:
    """The loss of one joint that is x anchor widths off, and its derivative, by automatic differentiation: curves for
    `plots.curves`. Rows in which both are off by x too."""
    points = 61
    x = torch.linspace(0, 1.5, points, dtype=torch.float64)
    rows = []
    for name, both in (("in one direction", 0.0), ("in both", 1.0)):
        off = x.clone().requires_grad_()
        loss = (1 - coding.iou_of_joints(torch.stack([off, both * off], -1), torch.zeros(points, 2).double())).square()
        slope = torch.autograd.grad(loss.sum(), off)[0]
        for panel, values in (("loss", loss.detach()), ("derivative", slope)):
            part = {"panel": panel, "series": name, "x": x.numpy(), "value": values.numpy()}
            rows.append(pd.DataFrame(part | {"low": values.numpy(), "high": values.numpy()}))
    return pd.concat(rows, ignore_index=True)


def balance(factor: float | int) -> dict[str, float]:
    """The loss of one task when its weight is divided by a factor and the weights of its anchors and joints are
    multiplied by it: as equations 13 and 14 are printed, without the task's log(1 / lambda), and with it.

    With weights of 1 the loss of every anchor and joint is 0.4.
    """
    task, own = -np.log(factor), np.log(factor)
    data = float(np.exp(task + own) * 0.4)
    return {"printed": data - float(own), "with the task's term": data - float(own) - float(task)}
