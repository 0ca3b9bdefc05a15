"""What SMAP costs by number of people, beside a top-down method (supplement 1.2, Table 5)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mp3d.batch import Batch
from mp3d.canvas import Canvas, on_canvas
from mp3d.codings import depth
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.experiments.codings.crowds import crowd
from mp3d.papers import smap
from mp3d.papers.smap import SMAP, Maps, Reading, SMAPConfig
from mp3d.papers.smap.refine import refine
from mp3d.papers.threedmppe import ThreeDMPPE, true_boxes


def exact_maps(batch: Batch, config: SMAPConfig) -> tuple[Maps, Canvas]:
    """What a perfect network says of pictures; root depth stands in a square of nine cells about each root."""
    moved, canvas = on_canvas(batch, config.canvas)
    goal = smap.targets(moved, config, canvas.shown)
    grid = Grid.over(*config.canvas, 4)
    roots, _ = depth.encode_root(goal.root.nan_to_num(), goal.root_uv, goal.root.isfinite(), grid)
    return goal.sets[-1]._replace(roots=roots), canvas


def whole_crowd(people: int, config: SMAPConfig) -> Batch:
    """A crowd of which everybody is found in exact maps: the first of a hundred.

    Raises
    ------
    BadInput : there is none among them
    """
    crowds = crowd(people, seed=0, scenes=100)
    for i in range(len(crowds)):
        one = crowds[i : i + 1]
        maps, canvas = exact_maps(one, config)
        if len(smap.decode(maps, canvas, one.k, config)[0]) == people:
            return one
    raise BadInput("cost", "people", people, "fewer, so that everybody can be found")


def cost(
    model: SMAP, other: ThreeDMPPE, people: Sequence[int] = (3, 20), rounds: int = 5, repeats: int = 5
) -> pd.DataFrame:
    """Seconds of one picture with so many people, as a study's table: of this machine at this moment.

    Variants: smap, the network alone, on its own canvas; dapa, detections, association and reconstruction of exact maps
    of the paper's size, 208 x 128, in which everybody is found: more than on the network's own; refine, RefineNet;
    smap_whole, the three together; threedmppe with true boxes, RootNet and PoseNet with its flip test.
    Metrics: seconds_N and, for the first and the last number of people, growth in %; on a GPU also memory_N, the most
    that was allocated beyond the networks, MB. Rows "smap, N people" have time (and memory) in % of the network's mean
    for the first number.

    Each of the rounds, which take the place of seeds, is the median of some repeats.
    """
    device = next(model.parameters()).device
    config = replace(model.config, canvas=SMAPConfig().canvas, branches="all")
    pictures = {number: whole_crowd(number, config).to(device) for number in people}
    rows = []
    for seed in range(rounds):
        for number, batch in pictures.items():
            maps, canvas = exact_maps(batch, config)
            found = smap.decode(maps, canvas, batch.k, config, Reading(), model.lengths)
            uv = canvas.to(torch.tensor(np.stack([p.uv for p in found[0]]), dtype=torch.float32, device=device))
            parts: dict[str, Callable] = {
                "smap": lambda b=batch: model.maps(b.image),
                "dapa": lambda b=batch, m=maps, c=canvas: smap.decode(m, c, b.k, config, Reading(), model.lengths),
                "refine": lambda b=batch, f=found, uv=uv: refine(model.refinement.eval(), f[0], uv, b.k[0]),
                "threedmppe": lambda b=batch: other.estimate(b.image, [true_boxes(b)[0][b.there[0]]], b.k),
            }
            for variant, work in parts.items():
                seconds, memory = median(work, repeats, device)
                rows.append((variant, seed, number, seconds, memory))
    long = pd.DataFrame(rows, columns=["variant", "seed", "people", "seconds", "memory"])
    return _study_table(long, people)


def median(work: Callable, repeats: int, device: torch.device) -> tuple[float, float]:
    """Seconds that work takes, the median of some repeats after a first one, and on a GPU the most memory, MB."""
    taken = []
    cuda = device.type == "cuda"
    for _ in range(repeats + 1):
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    memory = (torch.cuda.max_memory_allocated() - before) / 1e6 if cuda else np.nan
    return float(np.median(taken[1:])), memory


def _study_table(long: pd.DataFrame, people: Sequence[int]) -> pd.DataFrame:
    ours = long[long["variant"].isin(["smap", "dapa", "refine"])]
    whole = ours.groupby(["seed", "people"], as_index=False)[["seconds", "memory"]].sum(min_count=1)
    long = pd.concat([long, whole.assign(variant="smap_whole")], ignore_index=True)
    wide = long.pivot_table(index=["variant", "seed"], columns="people", values=["seconds", "memory"], dropna=False)
    wide.columns = [f"{name}_{number}" for name, number in wide.columns]
    first, last = people[0], people[-1]
    wide["growth"] = 100 * (wide[f"seconds_{last}"] / wide[f"seconds_{first}"] - 1)
    table = wide.reset_index()
    network = long[long["variant"] == "smap"]
    mean = network[network["people"] == first][["seconds", "memory"]].mean()
    extra = network.assign(
        variant=[f"smap, {number} people" for number in network["people"]],
        time=100 * network["seconds"] / mean["seconds"],
        memory=100 * network["memory"] / mean["memory"],
    )
    table = pd.concat([table, extra[["variant", "seed", "time", "memory"]]], ignore_index=True)
    return table.assign(scene="one picture", n=1)
