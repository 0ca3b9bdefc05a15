"""Occlusion-robust pose maps and depth maps, exactly: what the read-outs recover, and where the maps break.

Maps are written from the truth and read at once; what is lost, moved or noisy is said in each function. The people are
those of `crowds`, or of a world. Curve tables have the columns series, x, value, low, high and panel: the mean over
people with its 95 % interval over scenes. Study tables are for `claims.judge`: variant, seed, scene, n and metrics.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mp3d.batch import Batch
from mp3d.camera import back_project, project
from mp3d.codings import depth as depths
from mp3d.codings import orpm
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.experiments.codings.crowds import HEIGHT, WIDTH, blank, crowd, pair
from mp3d.experiments.codings.curves import point, scene_mean, study_table
from mp3d.metrics.roots import ordinal_pairs
from mp3d.skeletons import MPI17
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import takes

GRID = Grid.over(WIDTH, HEIGHT, 4)
READOUTS: dict[str, tuple[orpm.Readout, int]] = {
    "paper": ("paper", 3),
    "paper_t2": ("paper", 2),
    "mehta": ("mehta", 3),
    "naive": ("naive", 0),
}
"""Read-outs and how many cells (t_D) their sites are from other people's. Squares of 3 x 3 cells meet below 3 cells,
and a nearer person's covers a site below 2."""
LOSSES = ("nothing", "hidden", "wrist", "limb", "neck", "pelvis", "neck and pelvis")
"""What `found_after` takes away; "hidden": all joints that are not visible."""
EXACT = 0.1
"""mm: a joint this near to the truth counts as exact; 32-bit sums are off by less."""

_ROOT, _NECK = MPI17.root, MPI17.index("neck")
_LIMBS = [
    [MPI17.index(f"{side}_{joint}") for joint in limb]
    for side in "rl"
    for limb in (("wrist", "elbow", "shoulder"), ("ankle", "knee", "hip"))
]
_NOT_ROOT = [joint for joint in range(17) if joint != _ROOT]
DEPTH_IN_TREE = [int((row < 17).sum()) - 1 for row in orpm._paths(MPI17.parents)]
"""How many bones lie between the pelvis and each joint."""


# ---- occlusion-robust pose maps ------------------------------------------------------------------


def mean_bones(people: int = 256) -> Float[Tensor, "17 3"]:
    """The mean bone vectors (mm) of other people than the experiments have."""
    return orpm.to_bones(crowd(1, 1000, people, depth=(4000, 12_000)).xyz[:, 0]).mean(0)


def found_after(loss: str | float, batch: Batch, rng: np.random.Generator) -> Bool[Tensor, "B P 17"]:
    """Which labelled joints are found after a loss: one of `LOSSES`, or the share of joints dropped at random.

    "wrist" and "limb" take one wrist or one whole arm or leg of everybody, drawn at random.
    """
    shape = batch.labelled.shape
    gone = torch.zeros(shape, dtype=torch.bool)
    if not isinstance(loss, str):
        gone = torch.from_numpy(rng.random(shape) < loss)
    elif loss == "hidden":
        gone = batch.visibility < 2
    elif loss in ("wrist", "limb"):
        limbs = torch.zeros(2 if loss == "wrist" else 4, 17, dtype=torch.bool)
        for row, limb in zip(limbs, _LIMBS[::2] if loss == "wrist" else _LIMBS, strict=True):
            row[limb[:1] if loss == "wrist" else limb] = True
        gone = limbs[torch.from_numpy(rng.integers(len(limbs), size=shape[:2]))]
    elif loss in LOSSES:
        gone[..., [MPI17.index(joint) for joint in loss.split(" and ") if joint != "nothing"]] = True
    else:
        raise BadInput("found_after", "loss", repr(loss), f"a share, or one of {', '.join(LOSSES)}")
    return batch.labelled & ~gone


class Written:
    """The maps of a batch, to be read in several ways.

    Parameters
    ----------
    batch : who is written; joints off the picture are, at the sites on it
    mean : (17, 3) mm, read where nothing else can be
    """

    def __init__(self, batch: Batch, mean: Float[Tensor, "17 3"]):
        self.batch, self.mean = batch, mean
        self.bones, self.depth = orpm.to_bones(batch.xyz), batch.xyz[:, :, _ROOT, 2]
        self.maps, _ = orpm.encode(self.bones, batch.uv, batch.labelled, self.depth, GRID)
        self.true = batch.xyz - batch.xyz[:, :, _ROOT, None]

    def errors(
        self, found: Bool[Tensor, "B P 17"], readout: orpm.Readout, t_d: float | int
    ) -> tuple[Float[Tensor, "B P 17"], Bool[Tensor, "B P"]]:
        """Each joint's error relative to the pelvis, mm, and who is reported.

        Who is not reported is given the mean pose, whichever the read-out, so that errors have the same people.
        """
        bones, _ = orpm.read(self.maps, self.batch.uv, found, GRID, readout, self.mean, t_d)
        reported = bones.isfinite().all(-1).all(-1)
        pose = orpm.from_bones(torch.where(reported[..., None, None], bones, self.mean))
        return (pose - self.true).norm(dim=-1), reported

    def overwritten(self) -> Bool[Tensor, "B P 17"]:
        """Whether a bone is written at none of its sites, off the picture or under someone nearer's; not the root's."""
        cells, inside = GRID.cells(self.batch.uv)
        place = (cells[..., 0] * GRID.width + cells[..., 1]).flatten(1)[:, None, None].expand(-1, 17, 3, -1)
        there = self.maps.flatten(-2).gather(-1, place).unflatten(-1, inside.shape[1:]).permute(0, 3, 1, 4, 2)
        own = (there == self.bones[..., None, :]).all(-1)  # B P J S
        at = own & (inside & self.batch.labelled)[:, :, None] & orpm.sites()
        return ~at.any(-1) & self.batch.there[..., None] & (torch.arange(17) != _ROOT)


def expected_exact(rate: float | int, readout: orpm.Readout) -> float:
    """The share of the 16 joints beside the root that an isolated, wholly visible person keeps in closed form.

    Every joint is lost with probability `rate`, alone. With q = 1 - rate:

    - naive: a joint needs all joints on its way from the pelvis, q to the power of its depth in the tree;
    - mehta: all or nothing, neck or pelvis, 1 - rate²;
    - paper: that too for whatever hangs on the neck; a leg (1 - rate⁵) and the spine (1 - rate³) have more sites.
    """
    if readout == "naive":
        return float(np.mean([(1 - rate) ** DEPTH_IN_TREE[joint] for joint in _NOT_ROOT]))
    if readout == "mehta":
        return 1.0 - rate**2
    return 1 - (9 * rate**2 + 6 * rate**5 + rate**3) / 16


def dropout(
    seeds: Sequence[int],
    scenes: int,
    people: Sequence[int] = (1, 4, 10),
    rates: Sequence[float | int] = tuple(np.arange(10) / 10),
) -> pd.DataFrame:
    """Read-outs against the share of joints that are lost at random, in crowds of several sizes (ORPM-AE, Table 1, NR).

    A curve table: panels "MPJPE, mm, N people" and "joints exact, %, N people"; of one person, also the closed form.
    """
    rows, mean = [], mean_bones()
    for number in people:
        written = Written(_some(number, scenes), mean)
        who = _many(number)
        for rate in rates:
            found = [found_after(float(rate), written.batch, np.random.default_rng([s, number])) for s in seeds]
            for name in READOUTS:
                rows += [
                    point(name, float(rate), values, None, f"{what}, {who}")
                    for what, values in _summed(written, found, name).items()
                ]
                if number == 1 and name != "paper_t2":  # nobody else is there: as "paper"
                    exact = np.array([[100 * expected_exact(float(rate), READOUTS[name][0])]])
                    rows.append(point(f"{name}, closed form", float(rate), exact, None, f"{_EXACT}, {who}"))
    return pd.DataFrame(rows)


_MPJPE, _EXACT = "MPJPE, mm", "joints exact, %"


def _summed(written: Written, found: Sequence[Bool[Tensor, "B P 17"]], name: str) -> dict[str, np.ndarray]:
    """(seeds, scenes) of MPJPE (mm) and of the joints that are exact (%), the root aside."""
    values = {_MPJPE: [], _EXACT: []}
    there = written.batch.there[..., None].expand(-1, -1, 17)
    for some in found:
        error, reported = written.errors(some, *READOUTS[name])
        values[_MPJPE].append(scene_mean(error, there))
        exact = ((error < EXACT) & reported[..., None])[..., _NOT_ROOT]
        values[_EXACT].append(100 * scene_mean(exact, there[..., _NOT_ROOT]))
    return {name: np.stack(v) for name, v in values.items()}


def losses(seeds: Sequence[int], scenes: int, people: Sequence[int] = (1, 4)) -> pd.DataFrame:
    """Read-outs after the `LOSSES`, alone and in a crowd: a curve table as of `dropout` whose x are names."""
    rows, mean = [], mean_bones()
    for number in people:
        written = Written(_some(number, scenes), mean)
        for loss in LOSSES:
            found = [found_after(loss, written.batch, np.random.default_rng([s, number])) for s in seeds]
            rows += [
                point(name, loss, values, None, f"{what}, {_many(number)}")
                for name in READOUTS
                for what, values in _summed(written, found, name).items()
            ]
    return pd.DataFrame(rows)


def _some(people: int, scenes: int) -> Batch:
    """A crowd far enough off to be seen from head to foot; of one person, those scenes that have all joints."""
    batch = crowd(people, 0, scenes if people > 1 else 2 * scenes, depth=(4000, 12_000))
    return batch if people > 1 else batch[batch.labelled.all(-1)[:, 0]][:scenes]


def _many(people: int) -> str:
    return f"{people} people" if people > 1 else "one person"


def readouts(seeds: Sequence[int], scenes: int, world: str = "studio", split: str = "test") -> pd.DataFrame:
    """The read-outs in a world with its own occlusion and cropping, and after other losses; a study table.

    Variants as in `READOUTS`. Metrics: mpjpe_LOSS (mm) and exact_LOSS (%); LOSS is one of `LOSSES`, with underscores,
    or 30 or 60, a share in %. "hidden" stands for a detector that finds what is visible, and nothing else.
    """
    written, units = Written(blank(takes(world, scenes, 0, split)), mean_bones()), {}
    n = written.batch.there.sum(1).numpy()
    for seed in seeds:
        for readout in READOUTS:
            metrics = {}
            for loss in (*LOSSES, 0.3, 0.6):
                found = found_after(loss, written.batch, np.random.default_rng([seed, 0]))
                name = loss.replace(" ", "_") if isinstance(loss, str) else f"{100 * loss:.0f}"
                summed = _summed(written, [found], readout)
                metrics |= {f"mpjpe_{name}": summed[_MPJPE][0], f"exact_{name}": summed[_EXACT][0]}
            units[readout, seed] = n, metrics
    return study_table("readouts", units)


T_D = (0, 2, 3)
GAPS = tuple(range(0, 1001, 100))


def conflicts(
    seeds: Sequence[int], scenes: int, gaps: Sequence[float | int] = GAPS, behind: float | int = 500
) -> pd.DataFrame:
    """Two people who come together, the second `behind` mm farther: bones that are nowhere, and errors when read.

    A curve table: x is the gap between the roots in cells, panels "farther person: bones lost, %", "farther person:
    MPJPE, mm" and "nearer person: MPJPE, mm", series "no test" and "t_D = 2" and "3" cells ("paper" read-out).
    """
    rows, mean = [], mean_bones()
    for gap in gaps:
        pairs = [Written(pair(gap, seed, scenes, behind), mean) for seed in seeds]
        x = gap * float(pairs[0].batch.k[0, 0]) / 4000 / GRID.stride
        gone = [100 * scene_mean(w.overwritten()[:, 1, _NOT_ROOT], torch.ones(scenes, 16) > 0) for w in pairs]
        rows.append(point("all sites", x, np.stack(gone), None, "farther person: bones lost, %"))
        for t_d in T_D:
            errors = [w.errors(w.batch.labelled, "paper", t_d)[0].mean(-1) for w in pairs]
            for place, who in enumerate(("nearer", "farther")):
                values = np.stack([e[:, place].numpy() for e in errors])
                rows.append(point(_T_D[t_d], x, values, None, f"{who} person: MPJPE, mm"))
    return pd.DataFrame(rows)


_T_D = {0: "no test", 2: "t_D = 2", 3: "t_D = 3"}


def meetings(
    seeds: Sequence[int], scenes: int, gaps: Sequence[float | int] = GAPS[:6], behind: float | int = 500
) -> pd.DataFrame:
    """`conflicts` as a study table: variants no_test, t_d2, t_d3; metrics near, far, both: MPJPE (mm) over the gaps."""
    units, mean = {}, mean_bones()
    for seed in seeds:
        pairs = [Written(pair(gap, seed, scenes, behind), mean) for gap in gaps]
        for t_d in T_D:
            error = torch.stack([w.errors(w.batch.labelled, "paper", t_d)[0].mean(-1) for w in pairs]).mean(0).numpy()
            metrics = {"near": error[:, 0], "far": error[:, 1], "both": error.mean(1)}
            units[f"t_d{t_d}" if t_d else "no_test", seed] = np.full(scenes, 2), metrics
    return study_table("meetings", units)


def _noisy(seed: int, scenes: int, noise: float | int) -> dict[str, Float[np.ndarray, "scenes 17"]]:
    """Squared errors (mm²) of joints from bones summed along the tree, and stored relative to the pelvis."""
    rng = np.random.default_rng(seed)
    error = torch.from_numpy(rng.normal(0, noise / np.sqrt(3), (scenes, 17, 3)))
    error[:, _ROOT] = 0
    return {"bones": orpm.from_bones(error).square().sum(-1).numpy(), "direct": error.square().sum(-1).numpy()}


def propagation(seeds: Sequence[int], scenes: int, noise: float | int = 20.0) -> pd.DataFrame:
    """Each joint's error when every stored vector has one of `noise` mm (root mean square), independent of the others.

    A curve table: x is the joint, by its depth in the tree, the value a root mean square in mm. Series: bones summed
    along the tree; the closed form noise sqrt(depth); vectors from the pelvis.
    """
    rows, draws = [], [_noisy(seed, scenes, noise) for seed in seeds]
    for joint in sorted(_NOT_ROOT, key=DEPTH_IN_TREE.__getitem__):
        form = np.array([[noise**2 * DEPTH_IN_TREE[joint]]], float)
        series = {
            "bones": np.stack([d["bones"][:, joint] for d in draws]),
            "closed form": form,
            "direct": np.stack([d["direct"][:, joint] for d in draws]),
        }
        for name, squares in series.items():
            row = point(name, MPI17.joints[joint], squares, None, "RMS error, mm")
            rows.append(row | {part: np.sqrt(max(row[part], 0)) for part in ("value", "low", "high")})
            rows[-1]["depth"] = DEPTH_IN_TREE[joint]
    return pd.DataFrame(rows)


def errors_along_tree(seeds: Sequence[int], scenes: int, noise: float | int = 20.0) -> pd.DataFrame:
    """`propagation` as a study table: variants bones, direct; metrics mpjpe and depth1 to depth5, mean errors in mm."""
    units = {}
    for seed in seeds:
        for variant, squares in _noisy(seed, scenes, noise).items():
            error = np.sqrt(squares)
            of = np.array(DEPTH_IN_TREE)
            levels = {f"depth{d}": error[:, of == d].mean(1) for d in range(1, max(of) + 1)}
            units[variant, seed] = np.ones(scenes, int), {"mpjpe": error.mean(1)} | levels
    return study_table("errors_along_tree", units)


# ---- depth: the field of view --------------------------------------------------------------------


class SizeReader:
    """Reads depth from nothing but how tall somebody is in the picture: log depth = a + b log height, least squares.

    Parameters
    ----------
    height : (N,) px of the network's picture
    target : (N,) the depth to learn, in any unit
    """

    def __init__(self, height: Float[np.ndarray, " N"], target: Float[np.ndarray, " N"]):
        self.slope, self.offset = np.polyfit(np.log(height), np.log(target), 1)

    def __call__(self, height: np.ndarray) -> np.ndarray:
        """The depth that belongs to heights (px), in the unit of the target."""
        return np.exp(self.offset + self.slope * np.log(height))


VIEWS = ("raw", "released", "paper", "default_f")
"""What is learnt: Z; Z / (f s), the released code's form; Z w / f, the paper's; the released one, read with f = w."""


def _people(takes: Takes, noise: float | int, rng: np.random.Generator, zoom: float | int = 1.0) -> dict:
    """Height in the network's picture (px), focal length, width, scale, root, its pixel: flat over people, with scenes.

    With `zoom` focal lengths and distances are both so many times as large.
    """
    scene, place = np.isfinite(takes.size).nonzero()
    pose = takes.points[scene, place, :17]
    root = pose[:, [_ROOT]]
    pose = pose - root + zoom * root
    k = takes.k[scene] * [zoom, zoom, 1, 1]
    scale = (np.array([WIDTH, HEIGHT]) / takes.image).min(1)[scene]
    v = project(pose, k[:, None])[..., 1] * scale[:, None] + rng.normal(0, noise, pose.shape[:2])
    return {
        "scene": scene,
        "height": np.ptp(v, axis=1),
        "k": k,
        "width": takes.image[scene, 0].astype(float),
        "scale": scale,
        "root": pose[:, _ROOT],
    }


def _target(view: str, people: dict) -> np.ndarray:
    """How many mm of depth one unit of what is learnt is, for each person."""
    unit = {"raw": 1.0, "released": people["k"][:, 0] * people["scale"], "paper": people["k"][:, 0] / people["width"]}
    return np.broadcast_to(unit[view], people["height"].shape)


def _fov_errors(view: str, reader: Callable, people: dict) -> tuple[np.ndarray, np.ndarray]:
    """Error of the absolute root (mm) and its predicted depth (mm) of each person."""
    k = people["k"]
    uv = project(people["root"], k)
    if view == "default_f":
        k = np.concatenate([np.repeat(people["width"][:, None], 2, 1), k[:, 2:]], 1)
    z = reader(people["height"]) * _target("released" if view == "default_f" else view, people | {"k": k})
    return np.linalg.norm(back_project(uv, z, k) - people["root"], axis=-1), z


def _scene_scores(error: np.ndarray, z: np.ndarray, people: dict, scenes: int) -> dict[str, np.ndarray]:
    """Of each scene: rt (mm), pck_root (%), order (% of pairs by sign), pcod (%, three classes)."""
    out = {name: np.full(scenes, np.nan) for name in ("rt", "pck_root", "order", "pcod")}
    for i in range(scenes):
        mine = people["scene"] == i
        out["rt"][i], out["pck_root"][i] = error[mine].mean(), 100 * (error[mine] < 150).mean()
        for name, tolerance in (("order", 0), ("pcod", 300)):
            good, pairs = ordinal_pairs(z[mine], people["root"][mine, 2], tolerance=tolerance)
            out[name][i] = 100 * good / pairs if pairs else np.nan
    return out


def _readers(world: str, train: int, noise: float | int, seed: int) -> dict[str, SizeReader]:
    """A reader of each target, fitted to the training people of one seed."""
    people = _people(takes(world, train, 0, start=seed * train), noise, np.random.default_rng([seed, 0]))
    z = people["root"][:, 2]
    readers = {view: SizeReader(people["height"], z / _target(view, people)) for view in VIEWS[:3]}
    return readers | {"default_f": readers["released"]}


def zoom(
    seeds: Sequence[int],
    scenes: int,
    factors: Sequence[float | int] = (0.5, 0.7, 1, 1.4, 2, 2.8),
    world: str = "duet",
    train: int = 80,
    noise: float | int = 0.5,
) -> pd.DataFrame:
    """Root depth read from size while focal length and distance grow alike: pictures hardly change.

    Trained at factor 1. A curve table: x is the factor, panels "RtError, m" and "pairs in the right order, %", series
    as in `VIEWS`.

    Parameters
    ----------
    noise : standard deviation of each joint's place, px of a picture of 256 x 160
    """
    frames, rows = takes(world, scenes, 0, "test"), []
    readers = {seed: _readers(world, train, noise, seed) for seed in seeds}
    for factor in factors:
        found = {view: {"rt": [], "order": []} for view in VIEWS}
        for seed in seeds:
            people = _people(frames, noise, np.random.default_rng([seed, 1]), factor)
            for view in VIEWS:
                scores = _scene_scores(*_fov_errors(view, readers[seed][view], people), people, scenes)
                for name, values in found[view].items():
                    values.append(scores[name])
        n = np.bincount(people["scene"], minlength=scenes)
        for view, values in found.items():
            rows.append(point(view, factor, np.stack(values["rt"]) / 1000, n, "RtError, m"))
            rows.append(point(view, factor, np.stack(values["order"]), None, "pairs in the right order, %"))
    return pd.DataFrame(rows)


def field_of_view(
    seeds: Sequence[int], scenes: int, world: str = "duet", train: int = 80, noise: float | int = 0.5
) -> pd.DataFrame:
    """Root depth read from size, within the field of view of training and beyond it (split "fov"); a study table.

    Variants as in `VIEWS`. Metrics, each "_within" and "_beyond": rt (RtError, mm), pck_root (% within 150 mm), order
    (% of pairs in the right order, by sign) and pcod (%, SMAP's three classes). A seed draws training people and noise.
    """
    units = {}
    splits = {"within": takes(world, scenes, 0, "test"), "beyond": takes(world, scenes, 0, "fov")}
    n = splits["within"].people
    for seed in seeds:
        readers = _readers(world, train, noise, seed)
        for view in VIEWS:
            metrics = {}
            for where, frames in splits.items():
                people = _people(frames, noise, np.random.default_rng([seed, 1]))
                scores = _scene_scores(*_fov_errors(view, readers[view], people), people, scenes)
                metrics |= {f"{name}_{where}": values for name, values in scores.items()}
            units[view, seed] = n, metrics
    return study_table("field_of_view", units)


# ---- depth: read-outs ----------------------------------------------------------------------------


def root_readout(
    seeds: Sequence[int],
    scenes: int,
    people: Sequence[int] = (1, 6, 16),
    errors: Sequence[float | int] = (0, 0.5, 1, 1.5, 2, 2.5, 3, 4),
    radius: int = 1,
) -> pd.DataFrame:
    """The root-depth map read where the pelvis is not: x cells off, in any direction.

    A curve table: panels "own depth, %", "somebody else's, %" and "nothing there, %", series the number of people.
    """
    rows = []
    for number in people:
        batches = [crowd(number, seed, scenes) for seed in seeds]
        for error in errors:
            values = {"own depth, %": [], "somebody else's, %": [], "nothing there, %": []}
            for seed, batch in zip(seeds, batches, strict=True):
                z, uv, there = batch.xyz[:, :, _ROOT, 2], batch.uv[:, :, _ROOT], batch.labelled[:, :, _ROOT]
                angle = torch.from_numpy(np.random.default_rng([seed, 2]).uniform(0, 2 * np.pi, z.shape))
                off = torch.stack([angle.cos(), angle.sin()], -1).to(uv) * error * GRID.stride
                maps, _ = depths.encode_root(z, uv, there, GRID, radius)
                read = depths.read_root(maps, uv + off, GRID)
                own, none = read == z, ~(read > 0)
                for name, hit in zip(values, (own, ~own & ~none, none), strict=True):
                    values[name].append(100 * scene_mean(hit, there))
            who = _many(number)
            rows += [point(who, float(error), np.stack(v), None, name) for name, v in values.items()]
    return pd.DataFrame(rows)


def _parts(batch: Batch, overlap: str, width: float | int) -> Float[Tensor, "B P E"]:
    """Errors (mm) of the relative depths of bones, written and read at the true pixels; NaN where not both ends are."""
    z, bones = batch.xyz[..., 2], MPI17.limbs
    maps, _ = depths.encode_parts(z, batch.uv, batch.labelled, bones, GRID, width, overlap)
    parent, child = (list(ends) for ends in zip(*bones, strict=True))
    read = depths.read_parts(maps, batch.uv[..., parent, :], batch.uv[..., child, :], GRID)
    both = batch.labelled[..., parent] & batch.labelled[..., child]
    return torch.where(both, (read - (z[..., child] - z[..., parent])).abs(), torch.nan)


def overlaps(
    seeds: Sequence[int], scenes: int, gaps: Sequence[float | int] = GAPS[:6], behind: float | int = 500
) -> pd.DataFrame:
    """Part relative depth of two people who come together, where the same bone of both covers a cell; a study table.

    Variants mean (SMAP) and near (near wins); metrics near_person, far_person, both: mean absolute error in mm of a
    bone's relative depth, over the gaps.
    """
    units = {}
    for seed in seeds:
        pairs = [pair(gap, seed, scenes, behind) for gap in gaps]
        for overlap in ("mean", "near"):
            error = torch.stack([_parts(batch, overlap, 1.5) for batch in pairs]).nanmean(-1).nanmean(0).numpy()
            metrics = {"near_person": error[:, 0], "far_person": error[:, 1], "both": error.mean(1)}
            units[overlap, seed] = np.full(scenes, 2), metrics
    return study_table("overlaps", units)


def _point_and_line(
    seed: int, scenes: int, noise: float | int, share: float | int
) -> dict[str, Float[Tensor, "B P E"]]:
    """Errors (mm) of a bone's relative depth from its child's cell, and from ten points along it, of a noisy map."""
    batch = crowd(1, seed, scenes, depth=(2500, 6000))
    z, bones, rng = batch.xyz[..., 2], MPI17.limbs, np.random.default_rng([seed, 3])
    parent, child = (list(ends) for ends in zip(*bones, strict=True))
    true = z[..., child] - z[..., parent]
    maps, _ = depths.encode_parts(z, batch.uv, batch.labelled, bones, GRID, 3)
    if noise:
        maps = maps + noise * torch.from_numpy(rng.standard_normal(maps.shape, np.float32))
    if share:
        wild = torch.from_numpy(2000 * rng.random(maps.shape, np.float32) - 1000)
        maps = torch.where(torch.from_numpy(rng.random(maps.shape, np.float32) < share), wild, maps)
    line = depths.read_parts(maps, batch.uv[..., parent, :], batch.uv[..., child, :], GRID)
    at = depths.read_points(maps, batch.uv[..., child, :], GRID)
    known = batch.labelled[..., parent] & batch.labelled[..., child]
    return {
        name: torch.where(known, (read - true).abs(), torch.nan) for name, read in {"point": at, "line": line}.items()
    }


def noise_and_outliers(
    seeds: Sequence[int],
    scenes: int,
    noises: Sequence[float | int] = (0, 25, 50, 100, 200),
    shares: Sequence[float | int] = (0, 0.05, 0.1, 0.2, 0.3, 0.5),
) -> pd.DataFrame:
    """Reading a bone's relative depth in one cell (TDBU's way) or along the line (SMAP's), of one and the same map.

    One person; every cell has its own noise. A curve table of mean absolute errors in mm: panel "noise, mm" over its
    standard deviation, panel "share of cells that are anything within +-1 m" over that share.
    """
    rows = []
    for panel, cases in {
        "noise, mm": [(x, x, 0) for x in noises],
        "share of cells that are anything within +-1 m": [(x, 0, x) for x in shares],
    }.items():
        for x, noise, share in cases:
            draws = [_point_and_line(seed, scenes, noise, share) for seed in seeds]
            for name in ("point", "line"):
                values = np.stack([scene_mean(d[name].nan_to_num(), ~d[name].isnan()) for d in draws])
                rows.append(point(name, float(x), values, None, panel))
    return pd.DataFrame(rows)


def point_against_line(seeds: Sequence[int], scenes: int) -> pd.DataFrame:
    """`noise_and_outliers` as a study table: variants point, line; metrics noise (sd 50 mm), outliers (10 %), in mm."""
    units = {}
    for seed in seeds:
        cases = {"noise": _point_and_line(seed, scenes, 50, 0), "outliers": _point_and_line(seed, scenes, 0, 0.1)}
        for variant in ("point", "line"):
            metrics = {k: scene_mean(v[variant].nan_to_num(), ~v[variant].isnan()) for k, v in cases.items()}
            units[variant, seed] = np.ones(scenes, int), metrics
    return study_table("point_against_line", units)
