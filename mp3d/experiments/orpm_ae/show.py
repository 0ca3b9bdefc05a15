"""What the notebooks show of ORPM-AE besides tables of claims."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8

from mp3d import plots
from mp3d.batch import Batch
from mp3d.canvas import fit_canvas, on_canvas
from mp3d.codings import tags
from mp3d.experiments.codings.curves import point
from mp3d.experiments.orpm_ae.tables import LEVELS, NOISE
from mp3d.papers import orpm_ae
from mp3d.papers.orpm_ae import ORPMAE, Maps, ORPMAEConfig
from mp3d.study import difference, interval, matrix, scene_weights, summary

NAMES = {"paper": "ORPM-AE's order", "mehta": "Mehta's order", "naive": "naive"}
"""What figures call the read-outs."""
BINS = (0, 10, 30, 50, 100)
"""%, between which `level_curves` takes people together; those with nothing lost apart."""


def true_maps(batch: Batch, config: ORPMAEConfig) -> UInt8[np.ndarray, "H W 3"]:
    """The first picture, and the right wrist's maps as they should be; tags are any that part people."""
    moved, _ = on_canvas(batch[:1], config.canvas)
    goal = orpm_ae.targets(moved, config)
    own = torch.arange(moved.uv.shape[1]).float()[None] - (moved.uv.shape[1] - 1) / 2
    tag = tags.encode(moved.uv, moved.labelled, own, config.grid)
    uv = moved.uv[0].where(moved.labelled[0][..., None], torch.nan)[moved.there[0]]
    return _sheet(moved.image, Maps(goal.heatmaps, goal.bones, tag), uv.numpy())


def found_maps(batch: Batch, model: ORPMAE) -> UInt8[np.ndarray, "H W 3"]:
    """The first picture, the right wrist's maps that the network makes of it, and the people read from all maps."""
    (*_, maps), canvas = model.maps(batch.image[:1])
    people = model.people(orpm_ae.detect(maps, canvas, model.config), batch.k[:1])[0]
    uv = canvas.to(torch.from_numpy(np.stack([p.uv for p in people]) if people else np.zeros((0, 17, 2)))).numpy()
    return _sheet(fit_canvas(batch.image[:1], model.config.canvas)[0], maps, uv)


def _sheet(image: torch.Tensor, maps: Maps, uv: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    heat, bones, tag = (x[0].float().cpu().numpy() for x in maps)
    return plots.orpm_sheet(image[0].permute(1, 2, 0).cpu().numpy(), heat, bones, tag, uv)


def level_curves(levels: pd.DataFrame) -> pd.DataFrame:
    """MPJPE by the share of joints that are hidden or cut off, as `plots.curves` draws it; intervals over test videos.

    Nobody found, no rows.

    Parameters
    ----------
    levels : of `tables.levels`
    """
    rows = []
    words = {"hidden": "joints hidden", "cut": "joints off the picture"}
    for share in LEVELS:
        # what else a person has lost would show in both panels: the other share is at most a tenth
        other = next(name for name in LEVELS if name != share)
        some = levels[levels[other] <= 10]
        at = np.digitize(some[share], BINS, right=True)
        for (reading, place), people in some.groupby(["reading", at], sort=False):
            scenes = people.groupby("scene")["mpjpe"].agg(["mean", "size"])
            row = point(NAMES[reading], people[share].mean(), scenes[["mean"]].to_numpy().T, scenes["size"].to_numpy())
            rows.append(row | {"panel": words[share], "place": place, "people": len(people)})
    order = {name: i for i, name in enumerate(NAMES.values())}
    df = pd.DataFrame(rows, columns=["panel", "series", "x", "value", "low", "high", "place", "people"])
    return df.sort_values(["panel", "series", "x"], key=lambda c: c.map(order) if c.name == "series" else c)


def noise_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Recall, precision and 3DPCK over everybody by the noise on tags and grouping, as `plots.curves` draws them.

    Parameters
    ----------
    table : of `tables.tag_noise`, a row a method (`pinet.spread`)
    """
    rows = []
    panels = {"recall": "recall", "precision": "precision", "right": "3DPCK, everybody"}
    for metric, panel in panels.items():
        for method, name in {"greedy": "by score (paper)", "hungarian": "assignment (public code)"}.items():
            for level in NOISE:
                values = matrix(table, method, f"{metric}_{level}").dropna(axis=1)
                mean, low, high = interval(values.to_numpy())
                row = {"panel": panel, "series": name, "x": level, "value": mean}
                rows.append(row | {"low": max(low, 0.0), "high": min(high, 100.0)})
    return pd.DataFrame(rows)


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds and test videos: of mm by people, of % by video, as the claims have them; a row a variant."""
    by = {"instance": ["mpjpe", "mpjpe_visible", "mpjpe_hidden", "mpjpe_outside"]}
    by["scene"] = ["recall", "precision", "pck_rel_all"]
    parts = [summary(table, metrics, how).xs("mean", axis=1, level=1) for how, metrics in by.items()]
    whole = pd.concat(parts, axis=1)
    whole.attrs["protocol"] = f"{table['scene'].nunique()} test videos; mean of mm by people, of % by video"
    return whole


def gaps(table: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """MPJPE of the first variant less that of the second of each pair, over seeds and scenes, for `plots.forest`.

    NaN where no scene has both, as where nobody is found.
    """
    rows = []
    for one, other in pairs:
        each = difference(table, (one, "mpjpe"), (other, "mpjpe"))
        weights = scene_weights(table, each.columns, "instance")
        rows.append((f"{one} - {other}", *(interval(each.to_numpy(), weights) if each.size else (np.nan,) * 3)))
    return pd.DataFrame(rows, columns=["label", "difference", "low", "high"])


def choices(table: pd.DataFrame) -> pd.DataFrame:
    """What each threshold and each rule that the paper leaves open changes: mean, low, high; mm and points."""
    rows = []
    for choice, variant in CHOICES.items():
        for metric, by in (("mpjpe", "instance"), ("recall", "scene"), ("pck_rel_all", "scene")):
            each = difference(table, (variant, metric), ("paper", metric))
            weights = scene_weights(table, each.columns, by)
            figures = interval(each.to_numpy(), weights) if each.size else (np.nan,) * 3
            rows.append((choice, metric, *figures))
    return pd.DataFrame(rows, columns=["choice", "metric", "change", "low", "high"]).set_index(["choice", "metric"])


CHOICES = {
    "tags nearer than 0.5 instead of 1": "near_0.5",
    "tags nearer than 2 instead of 1": "near_2",
    "scores above 0.1 instead of 0.2": "t_c_0.1",
    "scores above 0.5 instead of 0.2": "t_c_0.5",
    "2 cells from others' joints instead of 3": "t_d2",
    "no distance from others' joints": "no_test",
    "assignment instead of the best score first": "hungarian",
}
"""What `choices` lists, and the reading that has it."""


def tag_spread(model: ORPMAE, batch: Batch) -> pd.Series:
    """How far tags lie apart, in their unit: medians over people of pictures with two or more.

    within: of a person's tags from their mean; between: from the mean to the nearest other person's.
    """
    (*_, maps), canvas = model.maps(batch.image)
    uv, grid = canvas.to(batch.uv.to(maps.tags)), model.config.grid
    cells, inside = grid.cells(uv)
    on = (inside & batch.labelled.to(inside.device)).double()
    tag = tags.read(maps.tags, cells.transpose(1, 2)).mT.double()
    counts = on.sum(-1)
    mean = (tag * on).sum(-1) / counts
    within = ((tag - mean[..., None]).square() * on).sum(-1).div(counts).sqrt()
    between = (mean[:, :, None] - mean[:, None]).abs()
    between = between.nan_to_num(nan=torch.inf) + torch.diag(torch.full((between.shape[1],), torch.inf)).to(between)
    nearest = between.amin(-1)
    both = (counts > 0) & nearest.isfinite()
    return pd.Series({"within": within[both].median().item(), "between": nearest[both].median().item()})
