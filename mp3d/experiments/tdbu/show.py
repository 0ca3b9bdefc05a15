"""What the notebooks show of TDBU besides tables of claims."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8

from mp3d import plots
from mp3d.batch import Batch
from mp3d.canvas import fit_canvas
from mp3d.codings.anchors import iou
from mp3d.codings.crops import crops, views
from mp3d.experiments.scores import ROOT as SMAP_ROOT
from mp3d.experiments.scores import People
from mp3d.experiments.shown import drawn, scenes
from mp3d.experiments.tdbu.networks import Home, trained
from mp3d.experiments.tdbu.tables import look
from mp3d.papers.tdbu import bottomup, join
from mp3d.papers.tdbu.topdown import enlarged, find, tight
from mp3d.scene import Person
from mp3d.skeletons import MPI17
from mp3d.study import interval, matrix, summary

NAMES = {
    "td_one": "TD, one person a box (w/o MP)",
    "td": "TD",
    "bu_plain": "BU, no guide (w/o CH)",
    "bu": "BU",
    "both_plain": "both, w/o MP and CH",
    "hard": "hard",
    "linear": "linear",
    "order": "paired in order (w/o PM)",
    "full": "integration network",
    "gate": "released gate",
    "released": "released matching",
    "alone": "without discriminators",
    "true_boxes": "TD, true boxes",
    "frames": "TD, frame by frame",
    "frame_joints": "BU, guide drawn anew",
    "threedmppe": "3DMPPE, true boxes",
    "teacher": "teacher, a tenth of the videos",
    "labelled": "all videos with poses",
    "rep": "Rep",
    "mp": "MP",
    "rep_dis": "Rep + dis",
    "rep_mp_dis": "Rep + MP + dis",
}
"""What tables and figures call rows."""
TABLE_1 = ["ap_root", "auc_rel_all", "pck_rel_all", "pck_abs_all", "recall", "precision", "mpjpe", "rt_error"]
"""The paper's four metrics, and what they are to be read with."""
GROUPS = {
    "near": "below 4 m",
    "far": "above 4 m",
    "overlapped": "overlapped",
    "cut": "cut off",
    "clear": "whole, alone",
}
"""Of `tables.groups`."""


def means(table: pd.DataFrame, rows: Sequence[str], metrics: Sequence[str] = TABLE_1) -> pd.DataFrame:
    """Means over seeds and test videos, of mm by people, of % by video, as the claims have them; a row a variant."""
    some = table[table["variant"].isin(rows)]
    parts = []
    for by, ours in (("scene", False), ("instance", True)):
        chosen = [m for m in metrics if m in some and ("mpjpe" in m or "error" in m or "drop" in m) == ours]
        if chosen:
            parts.append(summary(some, chosen, by).xs("mean", axis=1, level=1))
    whole = pd.concat(parts, axis=1)[[m for m in metrics if m in some]]
    whole = whole.loc[[row for row in rows if row in whole.index]].rename(index=NAMES)
    whole.attrs["protocol"] = (
        f"{table['scene'].nunique()} test videos or groups of pictures; mean of mm by people, of % by video; "
        "MPJPE, PA and root errors of matched people, `_all` of everybody, boxes from our own detector"
    )
    return whole


def by_group(table: pd.DataFrame, rows: Sequence[str] = ("td", "bu", "full")) -> pd.DataFrame:
    """PCK_rel of everybody (%) and error of the root of those found (mm), by who they are: columns row, metric,
    group, mean, low, high."""
    found = []
    for row in rows:
        for metric in ("pck_rel", "recall", "rt_error"):
            for group, words in GROUPS.items():
                name = f"{metric}_{group}"
                values = matrix(table, row, name).dropna(axis=1) if name in table else pd.DataFrame()
                if values.size:
                    found.append((NAMES[row], metric, words, *interval(values.to_numpy())))
    return pd.DataFrame(found, columns=["row", "metric", "group", "mean", "low", "high"])


def grouped(table: pd.DataFrame) -> pd.DataFrame:
    """`by_group` as it is printed: rows by metric and group, a column a method."""
    some = by_group(table)
    order = dict.fromkeys(zip(some["metric"], some["group"], strict=True))
    wide = some.pivot_table("mean", ["metric", "group"], "row", sort=False)
    return wide.loc[list(order)] if len(some) else wide


# ---- pictures --------------------------------------------------------------------------------------


def closest(batch: Batch) -> int:
    """The picture in which two people's boxes overlap most, but not wholly."""
    best, most = 0, -1.0
    for b, boxes in enumerate(tight(batch)):
        some = boxes[boxes.isfinite().all(-1)]
        shared = iou(some[:, None], some[None]).fill_diagonal_(0) if len(some) > 1 else torch.zeros(1, 1)
        high = shared.max().item()
        if most < high < 0.7:
            best, most = b, high
    return best


def bad_box(home: Home, batch: Batch) -> UInt8[np.ndarray, "H W 3"]:
    """Figure 3: a box that lies between two people, and what the networks of one person and of all people see in it."""
    b = closest(batch)
    boxes = tight(batch)[b]
    boxes = boxes[boxes.isfinite().all(-1)]
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    between = boxes[0].clone()
    if len(boxes) > 1:
        between[:2] = (middle[0] + middle[1]) / 2 - between[2:] / 2
    shown = []
    for part in ("person_one", "person"):
        network = trained(part, home)
        seen = views(enlarged(between[None], network.config), torch.tensor([b]), network.config.crop)
        picture = crops(batch.image, seen)
        with torch.no_grad():
            heat = network(picture.to(next(network.parameters()).device)).heatmaps[0].amax(0).float().cpu().numpy()
        crop = (255 * picture[0].permute(1, 2, 0)).round().byte().numpy()
        shown = shown or [_large(crop)]
        shown.append(plots.overlay(_large(crop), np.clip(heat, 0, 1).astype(float), 0.0, 1.0))
    return plots.sheet(
        shown, ["the enlarged box", "one person a box: highest heatmap", "everybody: highest heatmap"], 3
    )


def _large(crop: np.ndarray, times: int = 5) -> np.ndarray:
    return np.repeat(np.repeat(crop, times, 0), times, 1)


def branches(home: Home, batch: Batch) -> dict[str, list[list[Person]]]:
    """The people of a video by each branch and by both."""
    seen, full = look(home, batch), trained("joined", home).network
    return {
        "top-down": join(seen.td, seen.bu, batch.k, "td"),
        "bottom-up": join(seen.td, seen.bu, batch.k, "bu"),
        "joined": join(seen.td, seen.bu, batch.k, "network", full),
    }


def beside(batch: Batch, ways: dict[str, list[list[Person]]], pictures: Sequence[int]) -> UInt8[np.ndarray, "H W 3"]:
    """Figure 4: some pictures with the true people and with those of each branch, a row a picture."""
    shown, titles = [], []
    for b in pictures:
        image = batch.image[b].permute(1, 2, 0).cpu().numpy()
        for name, people in ({"truth": [scene.people for scene in scenes(batch)]} | ways).items():
            shown.append(drawn(image, people[b], MPI17))
            titles.append(name)
    return plots.sheet(shown, titles, 1 + len(ways), 1200)


def worst(batch: Batch, people: Sequence[Sequence[Person]], count: int = 2) -> list[int]:
    """The pictures in which the whole method fails most (Figure 6): by its mean error over everybody who is there."""
    known = People(batch, people)
    far = np.nan_to_num(np.linalg.norm(known.root_error, axis=-1), nan=3000.0).clip(max=3000.0)
    mean = [far[known.picture == b].mean() if (known.picture == b).any() else 0.0 for b in range(len(batch))]
    return np.argsort(mean)[::-1][:count].tolist()


def above(batch: Batch, ways: dict[str, list[list[Person]]]) -> dict[str, pd.DataFrame]:
    """Where people stand and where each branch puts them, for `plots.from_above`; m."""
    panels = {}
    for name, people in ways.items():
        known = People(batch, people)
        true, found = known.true[:, SMAP_ROOT] / 1000, known.pred[:, SMAP_ROOT] / 1000
        panels[name] = pd.DataFrame({"x": true[:, 0], "z": true[:, 2], "x_found": found[:, 0], "z_found": found[:, 2]})
    return panels


def in_space(batch: Batch, people: Sequence[Sequence[Person]], b: int) -> dict[str, Float[np.ndarray, "_ 17 3"]]:
    """The true people of a picture and those found, for `plots.skeletons_3d` (Figure 5)."""
    there = batch.there[b]
    found = [p.xyz for p in people[b]]
    return {
        "truth": batch.xyz[b][there].double().cpu().numpy(),
        "estimate": np.stack(found) if found else np.full((1, 17, 3), np.nan),
    }


def guided(home: Home, batch: Batch) -> UInt8[np.ndarray, "H W 3"]:
    """A picture and what stands beside it at the bottom-up network's door: the highest of the top-down heatmaps."""
    config = trained("frame", home).config
    picture, canvas = fit_canvas(batch.image[:1], config.canvas)
    boxes = tight(batch)[0]
    found = find(trained("person", home), batch.image[:1], [boxes[boxes.isfinite().all(-1)]])
    guide = bottomup.guide(found, 1, canvas, config)[0].amax(0).cpu().numpy().astype(float)
    image = picture[0].permute(1, 2, 0).cpu().numpy()
    return plots.sheet(
        [image, plots.overlay(image, guide, 0.0, 1.0)], ["the picture", "top-down heatmaps, the highest"], 2
    )
