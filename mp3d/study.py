"""A Study: variants x seeds -> one tidy table, cached, resumable, parallel.

A unit is one variant with one seed. Its result is stored as soon as it is there, under a hash of all that decides it,
so a killed study resumes with the units that are missing, and a changed configuration or source runs again.

    study = Study("pinet_ablation", train_and_test, {"gru2": {"layers": 2}, "gru3": {"layers": 3}}, seeds=(0, 1, 2),
                  folder=cache, data={"world": "duet", "scenes": 20}, code=(mp3d.papers.pinet,))
    table = study.table(workers=2)          # columns: variant, seed, scene, n, then one a metric
    summary(table, ["mpjpe"])
"""

import ast
import hashlib
import inspect
import json
import multiprocessing
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import bootstrap
from tqdm import tqdm

from mp3d.errors import BadInput, Mp3dError
from mp3d.files import write
from mp3d.metrics.intervals import CONFIDENCE, widening

KEYS = ["variant", "seed", "scene", "n"]
"""Columns before the metrics; `n` is the number of instances, one person in one image, behind a row."""


_UNIT: ContextVar[dict | None] = ContextVar("unit", default=None)
"""The record of the unit that is running: the shared files it made and those it found, with their seconds."""


class UnitFailed(Mp3dError):
    """A unit of a study failed; the message says which, the cause is chained."""


@dataclass(frozen=True)
class Study:
    """Variants x seeds of one experiment.

    Parameters
    ----------
    name : names the cached files
    run : `run(config, seed) -> DataFrame` with a row a scene: columns scene, n, and one a metric. At the top level of a
        module, so that it reaches worker processes
    variants : name -> configuration, plain values or a dataclass of them
    seeds : every variant runs with each of them: comparisons are paired
    folder : where units are stored
    data : plain values that describe the data; changing them runs everything again
    code : modules and packages on which the result depends; `run`'s own source always counts
    """

    name: str
    run: Callable[[Any, int], pd.DataFrame]
    variants: dict[str, Any]
    seeds: Sequence[int]
    folder: Path
    data: Any = None
    code: tuple[ModuleType, ...] = ()

    def path(self, variant: str, seed: int) -> Path:
        """The file of one unit; its name holds the hash of configuration, seed, data and code."""
        key = digest(self.variants[variant], seed, self.data, code=(self.run, *self.code))
        return Path(self.folder) / f"{self.name}-{variant}-{seed}-{key}.json"

    def missing(self) -> list[tuple[str, int]]:
        """The units (variant, seed) that still have to run."""
        units = [(variant, seed) for seed in self.seeds for variant in self.variants]
        return [unit for unit in units if not self.path(*unit).exists()]

    def seconds_kept(self) -> float:
        """What the stored units took, in seconds of one process."""
        stored = [self.path(v, s) for s in self.seeds for v in self.variants]
        return float(sum(json.loads(path.read_text())["seconds"] for path in stored if path.exists()))

    def shared(self) -> tuple[set[str], dict[str, float]]:
        """The shared files (`share`) that the stored units made, and those they found, with the seconds these took."""
        made: set[str] = set()
        found: dict[str, float] = {}
        for path in (self.path(v, s) for s in self.seeds for v in self.variants):
            unit = json.loads(path.read_text()) if path.exists() else {}
            made |= set(unit.get("made", {}))
            found |= unit.get("found", {})
        return made, found

    def seconds_left(self, workers: int = 1) -> float | None:
        """What the missing units will take, judged by the stored ones; None if there are none to judge by."""
        missing = len(self.missing())
        stored = len(self.variants) * len(self.seeds) - missing
        return self.seconds_kept() / stored * missing / workers if stored else None

    def table(self, workers: int = 1, progress: bool | None = None) -> pd.DataFrame:
        """Run what is missing and return all units as one table.

        Parameters
        ----------
        workers : processes, each with one thread; 1 runs here, with this process's device and threads
        progress : a bar with the time left; default: where standard error is a terminal

        Raises
        ------
        UnitFailed : names variant and seed; the units finished until then are kept
        """
        missing = self.missing()
        jobs = [(self.run, self.variants[v], v, s, self.path(v, s)) for v, s in missing]
        bar = tqdm(total=len(jobs), desc=self.name, disable=None if progress is None else not progress)
        if jobs and (left := self.seconds_left(workers)):
            bar.set_postfix_str(f"about {left:.0f} s in all")
        with bar:
            if workers == 1:
                for job in jobs:
                    _run_unit(*job)
                    bar.update()
            elif jobs:
                self._run_parallel(jobs, min(workers, len(jobs)), bar)
        units = [_read(self.path(v, s)).assign(variant=v, seed=s) for v in self.variants for s in self.seeds]
        table = pd.concat(units, ignore_index=True)
        return table[KEYS + [column for column in table if column not in KEYS]]

    def _run_parallel(self, jobs: list[tuple], workers: int, bar: tqdm) -> None:
        if self.run.__module__ == "__main__":
            raise BadInput(self.name, "run", "a function of the notebook", "one of a module, or workers=1")
        # Not fork: torch's threads and CUDA do not survive it.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
            futures = [pool.submit(_run_unit, *job) for job in jobs]
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def digest(*values: Any, code: Sequence[ModuleType | Callable] = ()) -> str:
    """A short hash of plain values or dataclasses of them, and of what modules, packages and functions do.

    Of the code, comments, layout and docstrings do not count: mending a sentence keeps a stored result. A dataclass's
    field with `metadata={"decides": False}`, such as a folder's path, does not count either.
    """
    sources = []
    for thing in code:
        if not isinstance(thing, ModuleType):
            sources.append(_meaning(inspect.getsource(thing)))
            continue
        inside = [file for folder in getattr(thing, "__path__", ()) for file in Path(folder).rglob("*")]
        files = sorted(f for f in inside if f.suffix in (".py", ".yaml")) or [Path(thing.__file__)]
        sources += [_meaning(f.read_text()) if f.suffix == ".py" else f.read_text() for f in files]
    text = json.dumps([values, sources], default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _meaning(source: str) -> str:
    """A source's syntax tree without its docstrings and the annotations of its functions."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
    return ast.dump(tree)


def interval(
    values: Float[np.ndarray, "seeds scenes"],
    weights: Float[np.ndarray, "scenes"] | None = None,
    confidence: float = CONFIDENCE,
) -> tuple[float, float, float]:
    """Weighted mean of a seeds x scenes matrix with its bootstrap interval.

    Seeds and scenes are crossed: every network meets every scene. So both are resampled, rows and columns each on their
    own (`scipy.stats.bootstrap`, percentile method, 4,999 resamples, fixed random state: the same figure each time). An
    axis of length one is not resampled.

    A percentile interval over few values is too short: it misses a factor sqrt(n / (n - 1)) of their spread and takes a
    normal quantile for one of Student's t. So the effects of rows and columns are widened by both first. With 3 seeds
    that differ more than the scenes do, 96 % of such intervals then hold the truth, against 76 % without; where seeds
    hardly differ, the interval is cautious.

    Parameters
    ----------
    values : (S, C), finite
    weights : (C,) of the scenes; default: equal

    Returns
    -------
    mean, low, high; low and high are NaN for a single value
    """
    seeds, scenes = values.shape
    weights = np.ones(scenes) if weights is None else np.asarray(weights, float)

    def mean(rows, columns):
        chosen, weight = values[rows[..., :, None], columns[..., None, :]], weights[columns]
        return (chosen.mean(-2) * weight).sum(-1) / weight.sum(-1)

    every = [np.arange(seeds), np.arange(scenes)]
    resampled = [axis for axis in every if len(axis) > 1]
    centre = float(mean(*every))
    if not resampled:
        return centre, np.nan, np.nan
    rows = np.average(values, axis=1, weights=weights, keepdims=True)
    columns = values.mean(0, keepdims=True)
    values = (  # what `mean` resamples from here on
        values
        + (widening(seeds, confidence) - 1) * (rows - centre)
        + (widening(scenes, confidence) - 1) * (columns - centre)
    )

    def statistic(*samples, axis=-1):
        samples = iter(samples)
        return mean(*(next(samples) if len(e) > 1 else np.zeros(1, int) for e in every))

    result = bootstrap(
        resampled,
        statistic,
        n_resamples=4999,
        batch=500,
        confidence_level=confidence,
        method="percentile",
        rng=0,
    )
    return centre, *map(float, result.confidence_interval)


def matrix(table: pd.DataFrame, variant: str, metric: str) -> pd.DataFrame:
    """One variant's metric as seeds x scenes; `BadInput` if a (seed, scene) stands twice."""
    rows = table[table["variant"] == variant]
    if rows.duplicated(["seed", "scene"]).any():
        raise BadInput("study table", "seed, scene", f"a pair twice for {variant!r}", "each pair once")
    return rows.pivot(index="seed", columns="scene", values=metric)  # noqa: PD010 - pivot_table would average


def difference(table: pd.DataFrame, one: tuple[str, str], other: tuple[str, str]) -> pd.DataFrame:
    """`one` less `other`, each a (variant, metric), paired: seeds x scenes that both have, empty if there are none."""
    both = matrix(table, *one) - matrix(table, *other)
    return both.dropna(how="all").dropna(axis=1)


def summary(table: pd.DataFrame, metrics: Sequence[str], by: str = "instance") -> pd.DataFrame:
    """Mean and 95 % interval of each variant, with the protocol in `.attrs["protocol"]`.

    Parameters
    ----------
    table : of `Study.table`
    metrics : columns of it
    by : "instance" weighs scenes by `n` (MPJPE), "scene" equally (3DPCK)

    Returns
    -------
    one row a variant, columns (metric, "mean" | "low" | "high"). A scene without a value in some seed is left out.
    """
    rows = {}
    for variant in table["variant"].unique():
        row = rows[variant] = {}
        for metric in metrics:
            values = matrix(table, variant, metric).dropna(axis=1)
            weights = scene_weights(table, values.columns, by)
            figures = interval(values.to_numpy(), weights) if values.size else (np.nan,) * 3
            row.update(zip([(metric, part) for part in ("mean", "low", "high")], figures, strict=True))
    result = pd.DataFrame.from_dict(rows, orient="index")
    result.columns = pd.MultiIndex.from_tuples(result.columns)
    seeds, scenes = table["seed"].nunique(), table["scene"].nunique()
    result.attrs["protocol"] = f"{seeds} seeds x {scenes} scenes, mean by {by}, 95 % bootstrap over seeds and scenes"
    return result


def scene_weights(table: pd.DataFrame, scenes: Iterable[str], by: str) -> Float[np.ndarray, "scenes"]:
    """The weight of each scene in a mean by "instance" or by "scene"."""
    scenes = list(scenes)
    if by == "scene":
        return np.ones(len(scenes))
    if by != "instance":
        raise BadInput("study", "by", repr(by), "'instance' or 'scene'")
    counts = table.groupby("scene")["n"].unique()
    if (uneven := counts[counts.str.len() > 1]).size:
        raise BadInput("study table", "n", f"several values for scene {uneven.index[0]!r}", "one a scene")
    return counts[scenes].str[0].to_numpy(float)


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one move (`files.write`). Floats keep every bit."""
    write(path, json.dumps(content, indent=1).encode())


def share(file: Path, make: Callable[[], None]) -> None:
    """Make a file that several units need, e.g. a trained network, unless it is there.

    What it took is noted beside it and in the unit, so that a run's `seconds_from_nothing` has it, once.
    """
    note, unit = file.with_name(file.name + ".seconds"), _UNIT.get()
    if file.exists():
        if unit is not None and note.exists():
            unit["found"][str(file)] = float(note.read_text())
        return
    start = time.perf_counter()
    make()
    taken = time.perf_counter() - start
    write(note, f"{taken:.1f}".encode())
    if unit is not None:
        unit["made"][str(file)] = taken


def _run_unit(run: Callable, config: Any, variant: str, seed: int, path: Path) -> None:
    """Run one unit and store it; here rather than in the parent, so that a killed study keeps it."""
    start, unit = time.perf_counter(), {"made": {}, "found": {}}
    token = _UNIT.set(unit)
    try:
        rows = run(config, seed)
        _check(rows)
        columns = rows.to_dict("list")
        write_json(path, {"seconds": time.perf_counter() - start, **unit, "columns": columns})
    except Exception as error:
        raise UnitFailed(f"variant {variant!r}, seed {seed}: {type(error).__name__}: {error}") from error
    finally:
        _UNIT.reset(token)


def _check(rows: object) -> None:
    expected = "columns scene, n and at least one metric, each scene once"
    if not isinstance(rows, pd.DataFrame):
        raise BadInput("run", "result", type(rows).__name__, f"a DataFrame: {expected}")
    metrics = [column for column in rows if column not in KEYS]
    if not {"scene", "n"} <= set(rows) or not metrics or {"variant", "seed"} & set(rows):
        raise BadInput("run", "columns", list(rows), expected)
    if rows.empty or rows["scene"].duplicated().any():
        raise BadInput("run", "scene", list(rows["scene"]), expected)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.DataFrame(json.loads(path.read_text())["columns"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(path, "content", repr(error), "a stored unit; delete the file to run it again") from None


def _plain(value: Any) -> Any:
    """What json does not know, said in what it knows; anything else could hide what decides a result."""
    if is_dataclass(value):
        deciding = {f.name: getattr(value, f.name) for f in fields(value) if f.metadata.get("decides", True)}
        return {type(value).__name__: deciding}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise BadInput("Study", "variants or data", type(value).__name__, "plain values, dataclasses or arrays")


def _one_thread() -> None:
    """In a worker: two processes of two threads each are slower on two cores than two of one."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
