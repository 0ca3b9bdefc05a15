"""Anchors, exactly: which people they can stand for, what selecting them by overlap or by pose does, and where people
are placed afterwards (PandaNet).

No network is trained: a regressor here is the truth, or the truth blurred as a network would that cannot tell two
people apart. Tables are those of `maps`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mp3d.batch import Batch
from mp3d.camera import project
from mp3d.codings import anchors as coding
from mp3d.codings import translation
from mp3d.codings.grid import Grid
from mp3d.experiments.codings.crowds import HEIGHT, WIDTH, blank, crowd
from mp3d.experiments.codings.curves import point, scene_mean, study_table
from mp3d.skeletons import MPI17
from mp3d.synthetic.worlds import takes

GRID = Grid.over(WIDTH, HEIGHT, 4)
ANCHORS = torch.tensor([[14.0, 36], [20, 52], [26, 70], [34, 92], [46, 120], [62, 150]])
"""Sizes (px) for pictures of 256 x 160, for the experiments that need some; upright, 26 to 60 % larger each in area."""
SELECTIONS = ("none", "box", "pose")
"""Of PandaNet's Table 1: anchors by overlap alone; times the decoded box's; times the 2D pose's."""

_ROOT = MPI17.root


def boxes_of(batch: Batch) -> Float[Tensor, "B P 4"]:
    """`coding.pose_box` of everybody with a joint in the picture, NaN for the others."""
    some = batch.labelled.any(-1)[..., None]
    return torch.where(some, coding.pose_box(batch.uv), torch.nan)


# ---- which sizes ---------------------------------------------------------------------------------


def anchor_fit(
    seeds: Sequence[int],
    scenes: int,
    worlds: Sequence[str] = ("duet", "studio"),
    counts: Sequence[int] = tuple(range(1, 13)),
) -> pd.DataFrame:
    """How well so many anchor sizes fit the boxes of a world (PandaNet section 3.1; it takes 10).

    A curve table: x is the number of sizes, the value the mean over test people of the best IoU with a size, centres
    alike; series are worlds. Sizes are found on other people of the world; a seed is of k-means.
    """
    rows = []
    for world in worlds:
        train, test = boxes_of(blank(takes(world, 2 * scenes, 0, "test")))[..., 2:].split(scenes)
        known = test.isfinite().all(-1)
        flat = train.flatten(0, 1)
        flat = flat[flat.isfinite().all(-1)]
        for count in counts:
            values = []
            for seed in seeds:
                best = torch.zeros(known.shape)
                best[known] = coding.iou_of_sizes(test[known], coding.kmeans(flat, count, seed)).amax(1)
                values.append(scene_mean(best, known))
            rows.append(point(world, count, np.stack(values), known.sum(1).numpy(), "mean best IoU"))
    return pd.DataFrame(rows)


# ---- who has which anchors -----------------------------------------------------------------------


@dataclass(frozen=True)
class Selected:
    """What two people's anchors are, to draw.

    Parameters
    ----------
    boxes : (2, 4) px
    score : (H, W) the largest PONO of the anchors at a cell
    owner : (H, W) the person that this anchor belongs to, -1 for nobody
    positive : (H, W) whether it is in A+
    """

    boxes: Float[np.ndarray, "2 4"]
    score: Float[np.ndarray, "H W"]
    owner: Int[np.ndarray, "H W"]
    positive: Bool[np.ndarray, "H W"]


def two_boxes(offset: float | int, size: tuple[float | int, float | int] = (34, 92), scale: float | int = 1.0):
    """Two boxes (1, 2, 4) in px: one in the middle of the picture, one moved aside by a part of its width and scaled.

    The first stands half the offset to the left. Feet are level.
    """
    width, height = size
    left, bottom = WIDTH / 2 - width / 2 - offset * width / 2, HEIGHT / 2 + height / 2
    second = left + width / 2 + offset * width - scale * width / 2
    boxes = [[left, bottom - height, width, height], [second, bottom - scale * height, scale * width, scale * height]]
    return torch.tensor([boxes], dtype=torch.float32)


def pono_of_two(
    offsets: Sequence[float | int] = (1.0, 0.5, 0.25), scale: float | int = 1.0, sizes: Float[Tensor, "A 2"] = ANCHORS
) -> dict[float, Selected]:
    """The PONO maps of two people at several offsets (of `two_boxes`), each cell's best anchor."""
    grid_anchors, maps = coding.grid_anchors(sizes, GRID), {}
    for offset in offsets:
        boxes = two_boxes(offset, scale=scale)
        owner, overlap = coding.assign(grid_anchors, boxes)
        score, at = coding.pono(owner, overlap, 2)[0].max(-1)
        mine = owner[0].gather(-1, at[..., None])[..., 0]
        maps[float(offset)] = Selected(boxes[0].numpy(), score.numpy(), mine.numpy(), coding.labels(score).numpy())
    return maps


@dataclass(frozen=True)
class Assigned:
    """The anchors of a batch.

    Parameters
    ----------
    person, pono : of `coding.assign` and `coding.pono`
    positive : A+
    claims : whether an anchor overlaps a person by more than half of what the best anchor does, whoever owns it: it
        would be in their A+ if they were alone
    """

    anchors: Float[Tensor, "H W A 4"]
    boxes: Float[Tensor, "B P 4"]
    person: Int[Tensor, "B H W A"]
    pono: Float[Tensor, "B H W A"]
    positive: Bool[Tensor, "B H W A"]
    claims: Bool[Tensor, "B H W A P"]

    @classmethod
    def of(cls, boxes: Float[Tensor, "B P 4"], sizes: Float[Tensor, "A 2"] = ANCHORS, grid: Grid = GRID) -> "Assigned":
        """The assignment of these boxes; NaN for nobody."""
        anchors = coding.grid_anchors(sizes, grid)
        person, overlap = coding.assign(anchors, boxes)
        pono = coding.pono(person, overlap, boxes.shape[1])
        each = [coding.iou(anchors, box[:, None, None, None]) for box in boxes.unbind(1)]
        claims = torch.stack([o > 0.5 * o.flatten(1).amax(1)[:, None, None, None] for o in each], -1)
        return cls(anchors, boxes, person, pono, coding.labels(pono), claims)

    @property
    def shared(self) -> Bool[Tensor, "B H W A"]:
        """The anchors of A+ that somebody else claims."""
        return self.positive & (self.claims.sum(-1) > 1)

    @property
    def empty(self) -> Bool[Tensor, "B P"]:
        """People who own no anchor at all: nothing is ever learnt from them."""
        places = torch.arange(self.boxes.shape[1])
        owns = torch.stack([(self.person == place).flatten(1).any(1) for place in places], 1)
        return self.boxes.isfinite().all(-1) & ~owns


def sharing(
    offsets: Sequence[float | int] = tuple(np.linspace(0, 1, 11)), scales: Sequence[float | int] = (1, 0.8, 0.5)
) -> pd.DataFrame:
    """Anchors that two people share, and people without any, as two boxes come together.

    A curve table with a column more: x is the IoU of the boxes, `gap` how far they are apart in widths of the first;
    panels "anchors shared, %" (of A+) and "people without an anchor, %"; series are the second box's size as a part of
    the first's. Each value is a mean over 16 places on the grid.
    """
    rows = []
    for scale in scales:
        for offset in offsets:
            shift = torch.tensor([[i, j, 0, 0] for i in range(4) for j in range(4)], dtype=torch.float32)
            boxes = two_boxes(float(offset), scale=scale) + shift[:, None]
            found = Assigned.of(boxes)
            overlap = float(coding.iou(boxes[0, 0], boxes[0, 1]))
            shared, empty = scene_mean(found.shared, found.positive), found.empty.double().mean(1).numpy()
            name = f"{scale:g} of the size"
            for panel, values in (("anchors shared, %", shared), ("people without an anchor, %", empty)):
                rows.append(point(name, overlap, 100 * values[None], None, panel) | {"gap": float(offset)})
    return pd.DataFrame(rows)


# ---- labels, and what is read --------------------------------------------------------------------


@dataclass(frozen=True)
class Predicted:
    """What a regressor says at the N anchors of A+: `where` is their index, `person` who owns each."""

    where: tuple[Tensor, ...]
    person: Int[Tensor, " N"]
    box: Float[Tensor, "N 4"]
    uv: Float[Tensor, "N 17 2"]
    pose: Float[Tensor, "N 17 3"]


def _predicted(found: Assigned, batch: Batch, averages: bool) -> Predicted:
    """The truth; or, with `averages`, the mean, weighted by IoU, over all who claim an anchor.

    That is what squared errors teach a network that sees two people in an anchor and cannot tell who is meant.
    """
    at = found.positive.nonzero(as_tuple=True)
    person, boxes = found.person[at], found.boxes[at[0]]
    weight = torch.nn.functional.one_hot(person, boxes.shape[1]).to(boxes)
    if averages:
        weight = coding.iou(found.anchors[at[1:]][:, None], boxes) * (found.claims[at] | (weight > 0))
        weight = weight / weight.sum(1, keepdim=True)

    def mean(values: Tensor) -> Tensor:
        values = values[at[0]].nan_to_num()
        return (values.flatten(2) * weight[..., None]).sum(1).view(-1, *values.shape[2:])

    return Predicted(at, person, mean(found.boxes), mean(batch.uv), mean(_relative(batch)))


def _relative(batch: Batch) -> Float[Tensor, "B P 17 3"]:
    return batch.xyz - batch.xyz[:, :, _ROOT, None]


def _labelled(selection: str, found: Assigned, seen: Predicted, batch: Batch) -> Bool[Tensor, " N"]:
    """Which anchors of A+ the score shall call a person, in a variant of Table 1."""
    pono, anchor = found.pono[seen.where], found.anchors[seen.where[1:]]
    if selection == "none":
        return coding.labels(pono)
    if selection == "box":
        return coding.labels(pono, coding.iou(seen.box, found.boxes[seen.where[0], seen.person]))
    true, said = (coding.encode_pose(anchor, uv) for uv in (batch.uv[seen.where[0], seen.person], seen.uv))
    return coding.labels(pono, coding.iou_of_joints(said, true).mean(-1))


def _in_view(batch: Batch) -> Batch:
    """The same with everybody gone of whom no joint is in the picture."""
    out = ~batch.labelled.any(-1)[..., None, None]
    return replace(batch, xyz=batch.xyz.masked_fill(out, torch.nan), uv=batch.uv.masked_fill(out, torch.nan))


def selections(
    seeds: Sequence[int], scenes: int, world: str = "duet", split: str = "overlap", people: int | None = None
) -> pd.DataFrame:
    """PandaNet's Table 1 without a network: anchors selected by overlap, by box, by pose; a study table.

    A classifier that learnt its labels scores 1 at labelled anchors and 0 elsewhere, with a little noise that a seed
    draws; non-maximum suppression at 0.5 follows, and each person is matched with the best box above IoU 0.5.

    Variants: none, box, pose, each also "_perfect". The regressor is that of PandaNet's argument, which averages two
    people where both would have the anchor; "_perfect" has the truth.
    Metrics: labelled (anchors a person), kept_shared and kept_own (% of A+), recall (%), ap50 (%, recall times
    precision: all scores are alike), pck3d (% of joints within 150 mm relative to the root, people not found are
    wrong), mpjpe (mm, of those found).

    Parameters
    ----------
    people : in a crowd of so many instead of the world's
    """
    batch = _in_view(blank(takes(world, scenes, 0, split)) if people is None else crowd(people, 0, scenes))
    found = Assigned.of(boxes_of(batch))
    count, poses, units, done = batch.there.sum(1).numpy(), _relative(batch), {}, {}
    for averages in (True, False):
        seen = _predicted(found, batch, averages)
        scene, shared = seen.where[0], found.shared[seen.where]
        for selection in SELECTIONS:
            label = _labelled(selection, found, seen, batch)
            fixed = {"labelled": np.bincount(scene[label], minlength=scenes) / np.maximum(count, 1)}
            for name, some in {"kept_shared": shared, "kept_own": ~shared}.items():
                kept = [label[(scene == i) & some].double().mean().item() for i in range(scenes)]
                fixed[name] = 100 * np.array(kept)
            for seed in seeds:
                score = torch.rand(len(label), generator=torch.Generator().manual_seed(seed))
                same = averages, seed, label.numpy().tobytes()
                if same not in done:
                    rows = [_score(found, seen, poses, i, (scene == i) & label, score) for i in range(scenes)]
                    done[same] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
                units[selection + ("" if averages else "_perfect"), seed] = count, fixed | done[same]
    return study_table("selections", units)


def _score(
    found: Assigned,
    seen: Predicted,
    poses: Float[Tensor, "B P 17 3"],
    scene: int,
    on: Bool[Tensor, " N"],
    score: Float[Tensor, " N"],
) -> dict[str, float]:
    """Recall, AP, 3DPCK (%) and MPJPE (mm) of one scene, from the anchors that are `on`."""
    kept = on.nonzero()[:, 0]
    kept = kept[coding.nms(seen.box[kept], score[kept])]
    there = found.boxes[scene].isfinite().all(-1).nonzero()[:, 0]
    overlap = coding.iou(found.boxes[scene, there, None], seen.box[kept])  # people, detections
    error, hits = torch.full((len(there), 17), torch.nan), 0
    while overlap.numel() and overlap.max() > 0.5:
        p, d = divmod(int(overlap.argmax()), overlap.shape[1])
        error[p] = (seen.pose[kept[d]] - poses[scene, there[p]]).norm(dim=-1)
        overlap[p], overlap[:, d], hits = 0, 0, hits + 1
    people = max(len(there), 1)
    return {
        "recall": 100 * hits / people,
        "ap50": 100 * hits / people * hits / max(len(kept), 1),
        "pck3d": 100 * float((error < 150).sum()) / (17 * people),
        "mpjpe": float(error.nanmean()),
    }


# ---- where people are placed ---------------------------------------------------------------------

FOCAL = 1158.0
"""px: JTA's camera, 1920 x 1080."""
FITS = {"linear": 0, "refined": 5}
"""Gauss-Newton steps of `translation.fit`."""


def _placed(
    seed: int,
    draws: int,
    distance: float | int,
    noise: float | int,
    scale: float | int = 1.0,
    noise_3d: float | int = 0.0,
) -> dict[str, Float[np.ndarray, "N 17 3"]]:
    """Errors in m (found less true) of the joints of people at a distance (m), for each of `FITS`.

    Parameters
    ----------
    noise : of a joint in the picture, px in each direction
    scale : of the pose that is placed
    noise_3d : of a joint relative to the root, root mean square, in sums of the person's bone lengths
    """
    rng = np.random.default_rng([seed, 4])
    xyz = crowd(1, seed, draws, depth=(4000, 12_000)).xyz[:, 0].double()
    pose = xyz - xyz[:, [_ROOT]]
    k = torch.tensor([FOCAL, FOCAL, 960.0, 540.0], dtype=torch.double)
    true = pose + torch.tensor([0.0, 0.0, 1000.0 * distance])
    uv = project(true, k) + torch.from_numpy(rng.normal(0, noise, (draws, 17, 2)))
    off = torch.from_numpy(rng.normal(0, noise_3d / np.sqrt(3), pose.shape)) * coding.unit_bones(pose)[1][:, None, None]
    off[:, _ROOT] = 0
    said = scale * (pose + off)
    return {
        name: (said + translation.fit(said, uv, k, steps=steps)[:, None] - true).numpy() / 1000
        for name, steps in FITS.items()
    }


def placement(
    seeds: Sequence[int],
    draws: int,
    distances: Sequence[float | int] = (3, 5, 10, 20, 30, 40, 50, 60),
    noises: Sequence[float | int] = (0.5, 1, 2),
) -> pd.DataFrame:
    """Absolute depth from a perfect root-relative pose of the right size and noisy joints in JTA's picture.

    A curve table: x is the distance in m; panels "mean error, m" (negative: too near), "standard deviation, m" and
    "mean absolute error, m"; series linear or refined, and the noise of a joint in px. Poses are `solo`'s, 17 joints.
    """
    rows = []
    for noise in noises:
        for distance in distances:
            drawn = [_placed(seed, draws, distance, noise) for seed in seeds]
            for name in FITS:
                error, series = np.stack([d[name][:, _ROOT, 2] for d in drawn]), f"{name}, {noise:g} px"
                rows.append(point(series, distance, error, None, "mean error, m"))
                rows.append(point(series, distance, np.abs(error), None, "mean absolute error, m"))
                row = point(series, distance, (error - error.mean()) ** 2, None, "standard deviation, m")
                rows.append(row | {part: np.sqrt(max(row[part], 0)) for part in ("value", "low", "high")})
    return pd.DataFrame(rows)


def placements(seeds: Sequence[int], draws: int, noise: float | int = 1.0) -> pd.DataFrame:
    """`placement` as a study table: variants linear, refined, size_wrong (refined; everyone taken for 5 % taller).

    Metrics bias_5, bias_20, bias_50 (m, signed) and mae_5, mae_20, mae_50 (m) at these distances.
    """
    units = {}
    for seed in seeds:
        for variant in (*FITS, "size_wrong"):
            metrics = {}
            for distance in (5, 20, 50):
                drawn = _placed(seed, draws, distance, noise, 1.05 if variant == "size_wrong" else 1.0)
                error = drawn["linear" if variant == "linear" else "refined"][:, _ROOT, 2]
                metrics |= {f"bias_{distance}": error, f"mae_{distance}": np.abs(error)}
            units[variant, seed] = np.ones(draws, int), metrics
    return study_table("placements", units)


def noisy_readout(
    seeds: Sequence[int],
    draws: int,
    noises: Sequence[float | int] = (0, 0.5, 1, 2, 4),
    noises_3d: Sequence[float | int] = (0, 0.005, 0.01, 0.02),
    distance: float | int = 10,
) -> pd.DataFrame:
    """PandaNet's read-out where predictions are the truth and noise, independent in every joint (section 3.3).

    The scale is the true one. A curve table: x is the noise in the picture (px in each direction), series is that of
    the pose (root mean square, in % of the sum of the bones), panels are mean errors in mm: "absolute pose", of all
    joints in the camera frame, and "root depth".

    Parameters
    ----------
    noises_3d : in sums of a person's bone lengths
    distance : m, in JTA's camera
    """
    rows = []
    for noise_3d in noises_3d:
        for noise in noises:
            errors = [_placed(seed, draws, distance, noise, 1.0, noise_3d)["refined"] * 1000 for seed in seeds]
            panels = {
                "absolute pose": [np.linalg.norm(e, axis=-1).mean(-1) for e in errors],
                "root depth": [np.abs(e[:, _ROOT, 2]) for e in errors],
            }
            series = f"3D: {100 * noise_3d:g} %"
            rows += [point(series, noise, np.stack(v), None, f"{panel}, mm") for panel, v in panels.items()]
    return pd.DataFrame(rows)


# ---- weights of losses ---------------------------------------------------------------------------


def weighting(
    losses: dict[str, float] | None = None, steps: int = 400, rate: float = 0.1, joints: int = 17
) -> pd.DataFrame:
    """PandaNet's learnt weights when the losses themselves stand still: gradient descent on the logarithms alone.

    A curve table over the step, panels: "weight times loss" of each task, which goes to 1 (section 3.3.6; the weight to
    1 / loss); "total", of one task with weights for task and joints, with the regulariser of both and with that of the
    joints alone, as equation 13 is printed: nothing holds the task's weight, and the total falls for ever.

    Parameters
    ----------
    losses : of each task
    joints : how many weights the second panel's task has beside its own
    """
    losses = losses or {"score": 0.3, "box": 0.1, "2D pose": 0.4, "3D pose": 0.001}
    value = torch.tensor(list(losses.values()), dtype=torch.double)
    s = torch.zeros(len(value), dtype=torch.double, requires_grad=True)
    parts = torch.linspace(0.5, 1.5, joints, dtype=torch.double) * 0.4
    levels = {name: torch.zeros(joints + 1, dtype=torch.double, requires_grad=True) for name in ("both", "printed")}
    rows = []
    shown = set(np.unique(np.geomspace(1, steps, 40).astype(int))) | {0}
    for step in range(steps + 1):
        weighted = s.exp() * value
        totals = {
            name: (w[0].exp() * w[1:].exp() * parts).mean() - w[1:].mean() - (w[0] if name == "both" else 0)
            for name, w in levels.items()
        }
        if step in shown:
            now = dict(zip(losses, weighted.tolist(), strict=True))
            rows += [_at(step, "weight times loss", name, y) for name, y in now.items()]
            names = {"both": "both levels held", "printed": "as printed (13)"}
            rows += [_at(step, "total", names[name], total.item()) for name, total in totals.items()]
        for total, w in [((weighted - s).sum(), s), *((totals[name], levels[name]) for name in levels)]:
            (gradient,) = torch.autograd.grad(total, w)
            w.data -= rate * gradient
    return pd.DataFrame(rows)


def _at(x: int, panel: str, series: str, value: float) -> dict:
    return {"panel": panel, "series": series, "x": x, "value": value, "low": np.nan, "high": np.nan}
