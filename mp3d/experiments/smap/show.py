"""What the notebooks show of SMAP besides tables of claims: pictures of maps, curves, tables by test video."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from jaxtyping import UInt8

from mp3d import plots
from mp3d.batch import Batch
from mp3d.camera import Camera
from mp3d.canvas import fit_canvas, on_canvas
from mp3d.experiments import scores
from mp3d.experiments import threedmppe as crops
from mp3d.experiments.shown import test_pictures
from mp3d.experiments.smap import tables
from mp3d.experiments.smap.cost import exact_maps
from mp3d.experiments.smap.networks import trained, trained_dense
from mp3d.experiments.smap.steps import HEIGHT, WIDTH, Case
from mp3d.papers.smap import SMAP, Maps, Reading, SMAPConfig
from mp3d.papers.smap.targets import PICKED
from mp3d.skeletons import SMAP15
from mp3d.study import difference, interval, matrix, summary

METHODS = {"smap": "SMAP", "threedmppe": "3DMPPE", "fit_t": "FitT", "k_alone": "k alone", "dense": "dense depth"}
"""What figures call the methods of `tables.methods`."""
TABLE_2 = ["recall", "precision", "pck_rel", "pck_abs", "pck_root", "auc_rel", "pcod", "pck_rel_all", "pck_abs_all"]
TABLE_2 += ["mpjpe", "rt_error", "depth_error"]
"""Metrics of Table 2, with recall, precision and errors."""
ASKED = {"mupots3d": ("T7.misses", "T8.misses", "ours.duet_pcod"), "panoptic": ("T1.refine",), "h36m": ("T10.",)}
"""Claims of SMAP alone, or none, that its notebook can ask of real data."""


def true_maps(batch: Batch, config: SMAPConfig) -> UInt8[np.ndarray, "H W 3"]:
    """The first picture, and the maps as they should be."""
    moved, _ = on_canvas(batch, config.canvas)
    maps, _ = exact_maps(batch, config)
    seen = moved.labelled[0][:, PICKED][..., None]
    uv = moved.uv[0][:, PICKED].where(seen, torch.nan)[moved.there[0]]
    return _sheet(moved.image, maps, uv.numpy())


def found_maps(batch: Batch, model: SMAP) -> UInt8[np.ndarray, "H W 3"]:
    """The first picture, the maps that the network makes of it, and the people read from them."""
    maps, canvas = model.maps(batch.image[:1])
    people = model.people(maps, canvas, batch.k[:1], Reading(refined="no"))[0]
    uv = np.stack([p.uv for p in people]) if people else np.zeros((0, len(SMAP15), 2))
    on = canvas.to(torch.from_numpy(uv)).numpy()
    return _sheet(fit_canvas(batch.image[:1], model.config.canvas)[0], maps, on)


def _sheet(image: torch.Tensor, maps: Maps, uv: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    heat, fields, parts, roots = (
        x[0].float().cpu().numpy() for x in (maps.heatmaps, maps.fields, maps.parts, maps.roots)
    )
    return plots.maps_sheet(image[0].permute(1, 2, 0).cpu().numpy(), heat, fields, parts, roots, uv)


def case(case: Case) -> UInt8[np.ndarray, "H W 3"]:
    """Links, fields, and what both associations make of them."""
    paper = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    detections, links, fields = (x[0].numpy() for x in (case.found.peaks.uv, case.found.links, case.maps.fields))
    people = {"2DPA": case.people(Reading(association="2dpa")), "DAPA": case.people()}
    low, high = np.nanmin(detections, (0, 1)), np.nanmax(detections, (0, 1))
    low, high = np.maximum(low - 30, 0), np.minimum(high + 30, (WIDTH, HEIGHT))
    window = [int(x) for x in (*low, *(high - low))]
    chosen = {name: rows.numpy() for name, rows in people.items()}
    return plots.association_picture(paper, detections, links, fields, chosen, window)


def by_scene(
    table: pd.DataFrame,
    metrics: Sequence[str] = ("pck_rel", "pck_abs", "pck_rel_all", "pck_abs_all"),
    methods: Sequence[str] = ("smap", "threedmppe"),
) -> pd.DataFrame:
    """Mean over seeds by test video and in all, a column a metric and method (Tables 6 to 9)."""
    rows = table[table["variant"].isin(methods)]
    some = rows.pivot_table(index="scene", columns="variant", values=list(metrics), sort=False)
    some.loc["mean"] = some.mean()
    return some


def pck_curves(table: pd.DataFrame) -> pd.DataFrame:
    """PCK_root and PCK_rel over their thresholds with intervals, as `plots.curves` draws them (Figure 4)."""
    rows = []
    at = [("PCK_root", t, f"pck_root_{t}") for t in scores.ROOT_THRESHOLDS]
    at += [("PCK_rel", t, f"pck_rel_{t}") for t in scores.THRESHOLDS_REL] + [("PCK_rel", 150, "pck_rel")]
    for method, name in METHODS.items():
        for panel, threshold, metric in at:
            if panel == "PCK_rel" and method not in ("smap", "threedmppe"):
                continue  # the others differ in where people are, not in how they stand
            values = matrix(table, method, metric).dropna(axis=1).to_numpy()
            if values.size:
                mean, low, high = interval(values)
                row = {"panel": panel, "series": name, "x": threshold, "value": mean}
                rows.append(row | {"low": max(0.0, low), "high": min(100.0, high)})
    return pd.DataFrame(rows)


def root_depths(profile: str, seed: int, keep: Path, budget: float) -> pd.DataFrame:
    """A row a true person and method: variant, predicted and true depth of the root, m; NaN: not found (Figure 6)."""
    model = trained("full", "duet", profile, seed, keep, budget)
    other = crops.trained(profile, seed, keep, tables.CROPS * budget)
    dense, rows = trained_dense("duet", profile, seed, keep, budget), []
    for _, batch in test_pictures("duet", profile):
        found = tables.methods(model, other, dense, batch)
        for method in ("dense", "threedmppe", "smap"):
            rows.append(scores.by_person(batch, found[method]).assign(variant=METHODS[method]))
    order = {METHODS[m]: i for i, m in enumerate(("dense", "threedmppe", "smap"))}
    return pd.concat(rows).sort_values("variant", key=lambda v: v.map(order), kind="stable", ignore_index=True)


def order(model: SMAP, profile: str, world: str = "duet", video: int = 13) -> go.Figure:
    """The first picture of a test video from above, true and found; D14 has three people."""
    batch = test_pictures(world, profile)[video][1][:1]
    people = scores.People(batch, model.estimate(batch.image, batch.k))
    height, width = batch.image.shape[2:]
    camera = Camera(*batch.k[0].double().tolist(), width, height)
    image = batch.image[0].permute(1, 2, 0).numpy()
    return plots.ordinal(image, camera, people.true[:, scores.ROOT], {"SMAP": people.pred[:, scores.ROOT]})


def differences(table: pd.DataFrame, full: str, metrics: Sequence[str]) -> pd.DataFrame:
    """What `full` is above each other variant, paired over seeds and scenes, as `plots.forest` draws it."""
    rows = []
    for metric in metrics:
        for variant in table["variant"].unique():
            if variant != full:
                mean, low, high = _gap(table, (full, metric), (variant, metric))
                rows.append({"label": variant, "difference": mean, "low": low, "high": high, "table": metric})
    return pd.DataFrame(rows)


def _gap(table: pd.DataFrame, one: tuple[str, str], other: tuple[str, str]) -> tuple[float, float, float]:
    """Mean of the paired differences with its interval; NaN where there is no pair."""
    gap = difference(table, one, other)
    return interval(gap.to_numpy()) if gap.size else (np.nan,) * 3


def costs(table: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds by number of people as `plots.curves` draws them: the rounds' median, least and most."""
    rows = []
    for variant in ("smap", "dapa", "refine", "smap_whole", "threedmppe"):
        some = table[table["variant"] == variant].filter(regex="seconds_")
        for column in some:
            low, middle, high = 1000 * some[column].quantile([0, 0.5, 1])
            row = {"series": COSTS[variant], "x": int(column.removeprefix("seconds_"))}
            rows.append(row | {"value": middle, "low": low, "high": high})
    return pd.DataFrame(rows)


def median_costs(table: pd.DataFrame) -> pd.DataFrame:
    """Medians of the rounds, a row a part: ms and, on a GPU, MB, by number of people."""
    some = table[table["variant"].isin(COSTS)].set_index("variant").filter(regex="seconds_|memory_").dropna(axis=1)
    middle = some.groupby(level=0).median().reindex(COSTS)
    times = [column for column in middle if column.startswith("seconds_")]
    middle[times] *= 1000
    return middle.rename(columns=lambda name: name.replace("seconds_", "ms, ").replace("memory_", "MB, ")).rename(COSTS)


COSTS = {"smap": "network", "dapa": "association", "refine": "RefineNet", "smap_whole": "all of SMAP"}
COSTS |= {"threedmppe": "3DMPPE, true boxes"}


def choices(readings: pd.DataFrame) -> pd.DataFrame:
    """What each choice that the paper leaves open changes, points: mean, low, high; of all `READINGS`."""
    asked = {
        "far first instead of near first": ("dapa_far", "dapa", ("pck2d", "pck_rel")),
        "no limit on bones instead of the penalty": ("dapa_no_length", "dapa", ("pck2d", "pck_rel")),
        "filter instead of penalty": ("dapa_filter", "dapa", ("pck2d", "pck_rel")),
        "three scales instead of the finest": ("sum3", "dapa", ("recall", "precision", "pck2d")),
        "with the mirrored picture": ("flip", "dapa", ("recall", "precision", "pck2d")),
        "joints back on their rays": ("rays", "dapa", ("pck_abs", "pck_rel")),
    }
    rows = []
    for choice, (new, old, metrics) in asked.items():
        for metric in metrics:
            rows.append((choice, metric, *_gap(readings, (new, metric), (old, metric))))
    for choice, new, old in (
        ("AUC without 0 mm", "auc_rel_above_0", "auc_rel"),
        ("PCOD as released instead of the paper's", "pcod_mupots", "pcod"),
    ):
        rows.append((choice, old, *_gap(readings, ("dapa", new), ("dapa", old))))
    return pd.DataFrame(rows, columns=["choice", "metric", "change", "low", "high"]).set_index(["choice", "metric"])


def means(table: pd.DataFrame, metrics: Sequence[str] = TABLE_2) -> pd.DataFrame:
    """Means over seeds and test videos, a row a method; how they were taken in `.attrs["protocol"]`."""
    whole = summary(table, metrics, by="scene")
    middle = whole.xs("mean", axis=1, level=1)
    middle.attrs["protocol"] = whole.attrs["protocol"]
    return middle
