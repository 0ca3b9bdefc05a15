"""What the notebooks show of TDBU besides tables of claims."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from mp3d import plots
from mp3d.batch import Batch
from mp3d.canvas import fit_canvas
from mp3d.codings.anchors import iou
from mp3d.codings.crops import crops, views
from mp3d.experiments import threedmppe as other_method
from mp3d.experiments.scores import ROOT as SMAP_ROOT
from mp3d.experiments.scores import People
from mp3d.experiments.tdbu.networks import Home, sized, trained
from mp3d.experiments.tdbu.tables import CROPS, SPLITS, groups, look, singles
from mp3d.papers.tdbu import bottom_up, bottomup, boxes_of, join
from mp3d.papers.tdbu.topdown import enlarged, find, tight
from mp3d.plots.style import VERMILION
from mp3d.scene import HIDDEN, VISIBLE, Person
from mp3d.skeletons import MPI17, SMAP15
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
    "true_joints": "TD, true boxes and 2D joints",
    "frames": "TD, poses frame by frame",
    "frame_joints": "BU, guide drawn anew",
    "threedmppe": "3DMPPE, true boxes",
    "teacher": "teacher, a tenth of the videos",
    "labelled": "all videos with poses",
    "rep": "Rep",
    "mp": "MP",
    "rep_dis": "Rep + dis",
    "rep_mp_dis": "Rep + MP + dis",
    "sharp": "the same, r = 0.01",
    "sharp_printed": "the same, r = 0.01, sign of eq. 11 as printed",
}
"""What tables and figures call rows."""
TABLE_1 = ["ap_root", "auc_rel_all", "pck_rel_all", "pck_abs_all", "pck_rel_both", "pck_abs_both"]
TABLE_1 += ["recall", "precision", "mpjpe", "rt_error"]
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
    words = {"_all": "of everybody", "_both": "of those whom both branches found", "_common": "of `common`"}
    ends = [f"`{end}` {what}" for end, what in words.items() if any(end in name for name in whole)]
    parts = [f"{table['scene'].nunique()} test videos or groups of pictures; mean of mm by people, of % by video"]
    parts += ["; ".join([parts.pop(), ", ".join(["other errors of matched people", *ends])])]
    whole.attrs["protocol"] = ", ".join([*parts, "boxes from our own detector"])
    return whole


def by_group(
    table: pd.DataFrame, rows: Sequence[str] = ("td", "bu", "full"), places: dict[str, str] | None = None
) -> pd.DataFrame:
    """PCK_rel of everybody and recall (%), and the error of the root of those found (mm), by who they are.

    Parameters
    ----------
    places : the groups to show, and the end of the names of the columns that each is taken from; None: all, of columns
        without an end

    Returns
    -------
    row, metric, group, mean, low, high
    """
    found = []
    for row in rows:
        for metric in ("pck_rel", "recall", "rt_error"):
            for group, end in (dict.fromkeys(GROUPS, "") if places is None else places).items():
                name = f"{metric}_{group}{end}"
                values = matrix(table, row, name).dropna(axis=1) if name in table else pd.DataFrame()
                if values.size:
                    found.append((NAMES[row], metric, GROUPS[group], *interval(values.to_numpy())))
    return pd.DataFrame(found, columns=["row", "metric", "group", "mean", "low", "high"])


def grouped(
    table: pd.DataFrame, rows: Sequence[str] = ("td", "bu", "full"), places: dict[str, str] | None = None
) -> pd.DataFrame:
    """`by_group` as it is printed: rows by metric and group, a column a method; "mean [low, high]"."""
    some = by_group(table, rows, places)
    order = dict.fromkeys(zip(some["metric"], some["group"], strict=True))
    some["text"] = [
        f"{mean:.1f}" if np.isnan(low) else f"{mean:.1f} [{low:.1f}, {high:.1f}]"
        for mean, low, high in some[["mean", "low", "high"]].to_numpy()
    ]
    wide = some.pivot_table("text", ["metric", "group"], "row", "first", sort=False)
    return wide.loc[list(order)] if len(some) else wide


PLACES = {"near": "", "far": "", "overlapped": "_overlap", "cut": "_border"}
"""Whom Figure 1 is about, and the end of the columns of `tables.overlapped` that have enough of them."""


def who_gains(table: pd.DataFrame, profile: str) -> pd.DataFrame:
    """`grouped` of the table of `tables.overlapped`, each of `PLACES` in its split; first how many people they are."""
    wide = grouped(table, ("td_one", "td", "bu_plain", "bu", "full", "threedmppe"), PLACES)
    split, number = {end: name for name, end in SPLITS.items()}, {}
    for group, end in PLACES.items():
        batches = [batch for _, batch in singles(profile, split[end])]
        parts = [groups(batch, People(batch, [[] for _ in range(len(batch))]))[group] for batch in batches]
        number[GROUPS[group]] = int(sum(part.sum() for part in parts))
    wide.insert(0, "people", [number[group] for _, group in wide.index])
    return wide


def trainings(home: Home) -> pd.DataFrame:
    """What each network of Table 3 learns from, and for how long; a row a network."""
    size, other = sized(home), other_method.resized(other_method.PROFILES[home.profile], CROPS * home.budget)
    rows = [
        ("TDBU: detector", size.bottom_up.steps, size.batch, "pictures"),
        ("TDBU: top-down, 2D", size.top_down.steps, size.crops, "crops"),
        ("TDBU: bottom-up", size.bottom_up.steps, size.batch, "pictures"),
        ("TDBU: graph network", size.graph.steps, size.windows, "windows of tracks"),
        ("TDBU: two temporal networks", size.temporal.steps, size.windows, "windows of tracks"),
        ("TDBU: integration", size.joined.steps, size.pairs, "people"),
        ("3DMPPE: RootNet", other.root.steps, other.crops, "crops"),
        ("3DMPPE: PoseNet", other.pose.steps, other.crops, "crops"),
    ]
    return pd.DataFrame(rows, columns=["network", "steps", "a step", "of"]).set_index("network")


SHEET = 720
"""px of sheets: a notebook has to hold all of them."""


# ---- pictures --------------------------------------------------------------------------------------


def closest(batch: Batch) -> tuple[int, int, int]:
    """A picture, and the largest two people in it whose boxes overlap so that both are seen (IoU of 0.2 to 0.5); where
    there are none, those whose boxes overlap most."""
    best, most = (0, 0, 0), -1.0
    for b, boxes in enumerate(tight(batch)):
        shared = iou(boxes[:, None], boxes[None]).nan_to_num(0.0).fill_diagonal_(0.0)
        low = torch.minimum(boxes[:, None, 3], boxes[None, :, 3])  # of the smaller one
        fit = shared.where((shared < 0.2) | (shared > 0.5), 1 + low.nan_to_num(0.0))
        if fit.max().item() > most:
            most, at = fit.max().item(), int(fit.argmax())
            best = (b, at // len(boxes), at % len(boxes))
    return best


def bad_box(home: Home, batch: Batch) -> UInt8[np.ndarray, "H W 3"]:
    """Figure 3: one box around two people, and what the networks of one person and of all people see in it."""
    b, one, other = closest(batch)
    pair = tight(batch)[b, [one, other]]
    low, high = pair[:, :2].amin(0), (pair[:, :2] + pair[:, 2:]).amax(0)
    shown = []
    for part in ("person_one", "person"):
        network = trained(part, home)
        square = enlarged(torch.cat([low, high - low])[None], network.config)
        picture = crops(batch.image, views(square, torch.tensor([b]), network.config.crop))
        with torch.no_grad():
            heat = network(picture.to(next(network.parameters()).device)).heatmaps[0].amax(0).float().cpu().numpy()
        crop = _large((255 * picture[0].permute(1, 2, 0)).round().byte().numpy())
        if not shown:
            scale = len(crop) / square[0, 2]
            corners = [*((low - square[0, :2]) * scale).tolist(), *((high - square[0, :2]) * scale).tolist()]
            whole = Image.fromarray(crop)
            ImageDraw.Draw(whole).rectangle(corners, outline=VERMILION, width=3)
            shown.append(np.asarray(whole))
        shown.append(plots.overlay(crop, np.clip(heat, 0, 1).astype(float), 0.0, 1.0))
    titles = [
        "the enlarged box;\nred: one box for two",
        "one person a box:\nhighest heatmap",
        "everybody:\nhighest heatmap",
    ]
    return plots.sheet(shown, titles, 3, SHEET * 3 // 4)


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
    """Figure 4, without SMAP's row: some pictures with the true people and with those of each branch.

    Two rows a picture: everybody's pose in space projected by the picture's camera; the same poses from the side, with
    the truth in pale grey. Joints that were not found in the picture are rings. A person has one colour in a picture's
    rows; whom a branch invented has one of the next.
    """
    shown, titles = [], []
    for b in pictures:
        image = batch.image[b].permute(1, 2, 0).cpu().numpy()
        view = View.of(batch, b)
        whole = {"truth": view.true} | {name: view.ordered(batch, people[b]) for name, people in ways.items()}
        shown += [view.on_picture(image, *seen) for seen in whole.values()]
        shown += [view.turned(90, *seen) for seen in whole.values()]
        titles += [*whole, *(f"{name}, from the side" for name in whole)]
    return plots.sheet(shown, titles, 1 + len(ways), SHEET)


def from_sides(batch: Batch, people: Sequence[Sequence[Person]], pictures: Sequence[int]) -> UInt8[np.ndarray, "H W 3"]:
    """Figure 5: the people found in some pictures, projected, and as cameras see them that went around them by 0, 45
    and 90 degrees; a row a picture, the truth in pale grey."""
    shown, angles = [], (0, 45, 90)
    for b in pictures:
        view = View.of(batch, b)
        seen = view.ordered(batch, people[b])
        shown.append(view.on_picture(batch.image[b].permute(1, 2, 0).cpu().numpy(), *seen))
        shown += [view.turned(angle, *seen) for angle in angles]
    titles = ["projected", *(f"turned by {angle} degrees" for angle in angles)]
    return plots.sheet(shown, titles * len(pictures), len(titles), SHEET)


WIDE = 128
"""px of a turned view before it is enlarged, so that lines are thick."""
Drawn = tuple[Float[np.ndarray, "P 17 3"], UInt8[np.ndarray, "P 17"]]
"""Poses, mm, and which joints were found in the picture."""


@dataclass(frozen=True, eq=False)
class View:
    """A picture's people, to be drawn as its camera and as others would see them.

    Parameters
    ----------
    b : the picture
    true : poses of all who count, as `scores.People` has it
    k : fx, fy, cx, cy, px
    size : px, width and height
    """

    b: int
    true: Drawn
    k: Float[np.ndarray, " 4"]
    size: tuple[int, int]

    @classmethod
    def of(cls, batch: Batch, b: int) -> "View":
        """Of a picture of a batch."""
        on = batch.labelled[b][:, [MPI17.index(joint) for joint in SMAP15.joints]].any(-1)
        true = batch.xyz[b][on].double().cpu().numpy(), batch.visibility[b][on].cpu().numpy()
        return cls(b, true, batch.k[b].double().cpu().numpy(), tuple(batch.image.shape[:1:-1]))

    def ordered(self, batch: Batch, people: Sequence[Person]) -> Drawn:
        """People found, in the order of the truth: NaN for whom nobody was found, then whom nobody is there for."""
        chosen = People(batch[self.b : self.b + 1], [people]).chosen
        order = [*chosen.tolist(), *np.setdiff1d(np.arange(len(people)), chosen).tolist()]
        xyz, seen = np.full((len(order), 17, 3), np.nan), np.zeros((len(order), 17), np.uint8)
        for row, i in enumerate(order):
            if i >= 0:
                xyz[row], seen[row] = people[i].xyz, people[i].visibility
        return xyz, seen

    def on_picture(self, image: UInt8[np.ndarray, "h w 3"], xyz: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Poses projected onto the picture, which is pale, so that they are seen better."""
        z = np.where(xyz[..., 2:] > 1, xyz[..., 2:], np.nan)
        pale = np.round(0.55 * image + 0.45 * 255).astype(np.uint8)
        return _people(pale, self.k[:2] * xyz[..., :2] / z + self.k[2:], seen)

    def turned(self, angle: float | int, xyz: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Poses on white as a camera sees them that went around them by so many degrees, clockwise from above; without
        perspective. The truth is pale grey; it sets where the middle is and how large all is, the same for each angle.
        """
        middle = (np.nanmin(self.true[0], (0, 1)) + np.nanmax(self.true[0], (0, 1))) / 2
        off = self.true[0] - middle
        reach = np.nanmax(np.hypot(off[..., 0], off[..., 2])), np.nanmax(np.abs(off[..., 1]))
        size = WIDE, round(WIDE * self.size[1] / self.size[0])
        scale = min(side / 2 / far for side, far in zip(size, reach, strict=True)) / 1.15
        turn = np.deg2rad(angle)
        right = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0]]) * scale
        white = np.full((*size[::-1], 3), 255, np.uint8)
        truth, found = (
            _people(white, (poses - middle) @ right.T + np.array(size) / 2, known)
            for poses, known in (self.true, (xyz, seen))
        )
        pale = np.repeat(255 - (255 - truth.min(-1, keepdims=True)) // 4, 3, -1)
        return np.minimum(found, pale)


def _people(image: np.ndarray, uv: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A row a person, so that each keeps a colour; joints that were not found are rings."""
    marks = np.where(np.isfinite(uv).all(-1), np.where(seen == VISIBLE, VISIBLE, HIDDEN), 0).astype(np.uint8)
    return plots.drawn_people(image, uv, marks, MPI17, scale=max(1, 512 // image.shape[1]))


def worst(batch: Batch, people: Sequence[Sequence[Person]], count: int = 2) -> list[int]:
    """The pictures in which the whole method fails most (Figure 6): by the mean error of the root of everybody who is
    there, whom it missed counting 3 m, which is also the most that anybody counts."""
    known = People(batch, people)
    far = np.nan_to_num(np.linalg.norm(known.root_error, axis=-1), nan=3000.0).clip(max=3000.0)
    mean = [far[known.picture == b].mean() if (known.picture == b).any() else 0.0 for b in range(len(batch))]
    return np.argsort(mean)[::-1][:count].tolist()


def above(batch: Batch, ways: dict[str, list[list[Person]]]) -> dict[str, pd.DataFrame]:
    """Where people stand and where each branch puts them, for `plots.from_above`; m. Whom a branch
    invented has no true place."""
    panels = {}
    for name, people in ways.items():
        known = People(batch, people)
        rows = [*np.concatenate([known.true[:, SMAP_ROOT], known.pred[:, SMAP_ROOT]], 1)]
        for b, some in enumerate(people):
            chosen = known.chosen[known.picture == b].tolist()
            rows += [[np.nan] * 3 + person.root.tolist() for i, person in enumerate(some) if i not in chosen]
        places = np.array(rows, float).reshape(-1, 6)[:, [0, 2, 3, 5]] / 1000
        panels[name] = pd.DataFrame(places, columns=["x", "z", "x_found", "z_found"])
    return panels


def in_space(batch: Batch, people: Sequence[Sequence[Person]], b: int) -> dict[str, Float[np.ndarray, "_ 17 3"]]:
    """The true people of a picture and those found, in the order of the truth, for `plots.skeletons_3d` (Figure 5)."""
    view = View.of(batch, b)
    found, _ = view.ordered(batch, people[b])
    return {"truth": view.true[0], "estimate": found if len(found) else np.full((1, 17, 3), np.nan)}


def guided(home: Home, batch: Batch) -> UInt8[np.ndarray, "H W 3"]:
    """A picture and what stands beside it at the bottom-up network's door: the highest of the top-down heatmaps, of the
    boxes that the detector gives."""
    config, some = trained("frame", home).config, batch[:1]
    picture, canvas = fit_canvas(some.image, config.canvas)
    found = find(
        trained("person", home), some.image, boxes_of(bottom_up(trained("detector", home), some.image, some.k))
    )
    guide = bottomup.guide(found, 1, canvas, config)[0].amax(0).cpu().numpy().astype(float)
    image = picture[0].permute(1, 2, 0).cpu().numpy()
    return plots.sheet(
        [image, plots.overlay(image, guide, 0.0, 1.0)],
        ["the picture", "top-down heatmaps, the highest"],
        2,
        SHEET * 3 // 4,
    )
