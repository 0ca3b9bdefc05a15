"""`fit`: the one training loop, for every paper.

It runs on Lightning Fabric, which brings devices, precision and several processes under `torchrun`.
The rest is here to be read: the learning rate and the batch are pure functions of the step, so a
run that was killed continues from its last checkpoint with exactly the numbers it would have had.
"""

import io
import logging
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.files import write


class Diverged(Mp3dError, ArithmeticError):
    """The loss is not a number any more."""


@dataclass(frozen=True)
class FitConfig:
    """How long, how fast, and with what a network is trained.

    Parameters
    ----------
    steps : optimiser steps
    optimiser : "adam", or "sgd" with `momentum`
    lr, lr_end : learning rate at the start and, for "poly", at the end
    schedule : "poly": lr_end + (lr - lr_end) (1 - step / steps)^power;
        "step": lr times `gamma` for each of the `milestones` (steps) passed
    warmup : steps in which the learning rate rises linearly to its schedule
    clip : largest norm of the gradient, None for no limit
    minutes : stop at the first row of metrics after this time, None for no limit
    every : steps between two rows of metrics, each with a checkpoint
    precision : Fabric's, e.g. "32-true", "bf16-mixed"
    """

    steps: int
    optimiser: Literal["adam", "sgd"] = "adam"
    lr: float = 1e-3
    lr_end: float = 0.0
    schedule: Literal["poly", "step"] = "poly"
    power: float = 0.9
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    warmup: int = 0
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float | None = None
    minutes: float | None = None
    every: int = 100
    precision: str = "32-true"

    def __post_init__(self):
        for field in ("optimiser", "schedule"):
            found, allowed = getattr(self, field), get_args(type(self).__annotations__[field])
            if found not in allowed:
                raise BadInput("FitConfig", field, repr(found), f"one of {allowed}")
        if self.steps < 1 or self.every < 1:
            raise BadInput("FitConfig", "steps, every", (self.steps, self.every), "at least 1")


def learning_rate(step: int, config: FitConfig) -> float:
    """The learning rate of a step, counted from 0."""
    if config.schedule == "poly":
        left = 1 - step / config.steps
        rate = config.lr_end + (config.lr - config.lr_end) * left**config.power
    else:
        rate = config.lr * config.gamma ** sum(step >= m for m in config.milestones)
    return rate * min(1.0, (step + 1) / (config.warmup + 1))


def fit(
    model: nn.Module,
    batches: Callable[[int], Any],
    loss: Callable[[nn.Module, Any], dict[str, Tensor]],
    config: FitConfig,
    out: Path | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Train a network in place; continue where the checkpoint in `out` stands, if there is one.

    Under `torchrun` every process takes a batch of its own, so the batch grows with their number.

    Parameters
    ----------
    model : the network; a `config` that it carries is stored and compared on resuming
    batches : step -> batch, a pure function: seed a generator with the step. A batch is a tensor, a
        container of tensors, or anything with `.to(device)`
    loss : (network, batch) -> terms, each a scalar; the one named "loss" is minimised, all are
        recorded
    out : folder for `metrics.csv` and `checkpoint.pt`, None to keep nothing
    validate : network -> numbers to record with each row of metrics; called in eval mode, without
        gradients
    device : "auto", "cpu", "cuda" or "mps"
    progress : show a bar; by default where a person watches the terminal

    Returns
    -------
    One row for each `config.every` steps: step (done so far), lr, the mean of each term since the
    last row, and what `validate` returned.

    Raises
    ------
    BadInput
        `out` cannot be written to, or holds the checkpoint of another run. Nothing is trained or
        written then.
    Diverged
        The loss is not finite. The last checkpoint is from before.
    """
    from lightning_fabric import Fabric  # here, because it takes a second to import

    if out is not None:
        _require_writable(out)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it names the precision at each start
    fabric = Fabric(
        accelerator=device,
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),  # set by torchrun
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
        precision=config.precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    optimiser = _optimiser(model, config)
    network, stepper = fabric.setup(model, optimiser)

    start, seconds, rows = 0, 0.0, []
    if out is not None and (out / "checkpoint.pt").exists():
        start, seconds, rows = _resume(out / "checkpoint.pt", model, optimiser, config)
        if fabric.is_global_zero:
            _save_rows(out, rows)  # as of the checkpoint: it may have been killed between the two
    clock = time.monotonic() - seconds
    watched = sys.stderr.isatty() if progress is None else progress
    bar = tqdm(total=config.steps, initial=start, disable=not (watched and fabric.is_global_zero))

    network.train()
    sums: dict[str, Tensor] = {}
    for step in range(start, config.steps):
        rate = learning_rate(step, config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = fabric.to_device(batches(step * fabric.world_size + fabric.global_rank))
        terms = loss(network, batch)
        stepper.zero_grad()
        fabric.backward(terms["loss"])
        if config.clip is not None:
            fabric.clip_gradients(network, stepper, max_norm=config.clip, error_if_nonfinite=False)
        stepper.step()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0) + term.detach()
        bar.update()

        done = step + 1
        if done % config.every == 0 or done == config.steps:
            since = done - (rows[-1]["step"] if rows else 0)
            row = {"step": done, "lr": rate}
            row |= {name: float(fabric.all_reduce(s)) / since for name, s in sums.items()}
            sums = {}
            if not torch.tensor(row["loss"]).isfinite():
                bar.close()
                raise Diverged(
                    f"the loss is {row['loss']} between steps {done - since} and {done}, at "
                    f"learning rate {rate:.3g}: lower it, warm up or clip the gradient (FitConfig)"
                )
            if validate is not None:
                network.eval()
                with torch.no_grad():
                    row |= {name: float(value) for name, value in validate(model).items()}
                network.train()
            rows.append(row)
            bar.set_postfix(loss=f"{row['loss']:.4f}")
            seconds = time.monotonic() - clock
            if out is not None and fabric.is_global_zero:
                _save(out, model, optimiser, config, done, seconds, rows)
            late = config.minutes is not None and seconds > 60 * config.minutes
            if fabric.broadcast(late):
                break
    bar.close()
    network.eval()
    return pd.DataFrame(rows)


def save_model(model: nn.Module, path: Path) -> None:
    """Write a network and its `config`, a frozen dataclass, to one file that `load_model` reads.

    Raises
    ------
    BadInput
        The file's folder is not there or cannot be written to.
    """
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise BadInput(path, "folder", "none that can be written to", "one: make it, or choose another")
    _write(path, {"config": asdict(model.config), "model": model.state_dict()})


def load_model(network: type[nn.Module], config: type, path: Path, expected: Any = None) -> Any:
    """Read what `save_model` or `fit` wrote: `network(config(...))` with its weights, on the CPU.

    Parameters
    ----------
    network, config : the classes, e.g. PINet and PINetConfig
    expected : the configuration that the file must have, None for any

    Raises
    ------
    MissingData
        There is no such file.
    BadInput
        It is no checkpoint, or one of another configuration.
    """
    stored = _read(path)
    names = {field.name for field in fields(config)}
    if not isinstance(stored.get("config"), dict) or set(stored["config"]) != names:
        raise BadInput(path, "config", stored.get("config"), f"the fields of {config.__name__}")
    found = config(**stored["config"])
    if expected is not None:
        _compare(path, asdict(found), asdict(expected))
    model = network(found)
    _load_weights(path, model, stored)
    return model.eval()


def _optimiser(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    weights = [p for p in model.parameters() if p.requires_grad]
    if config.optimiser == "adam":
        return torch.optim.Adam(weights, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    return torch.optim.SGD(weights, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)


def _save(out: Path, model, optimiser, config, step, seconds, rows) -> None:
    state = {
        "fit": asdict(config),
        "config": asdict(model.config) if hasattr(model, "config") else None,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "rng": torch.get_rng_state(),  # dropout goes on where it was
        "step": step,
        "seconds": seconds,
        "rows": rows,
    }
    _write(out / "checkpoint.pt", state)
    _save_rows(out, rows)


def _save_rows(out: Path, rows: list[dict]) -> None:
    """The table is written whole, so a run that goes on can neither lose nor repeat a row."""
    write(out / "metrics.csv", pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode())


def _resume(path: Path, model, optimiser, config) -> tuple[int, float, list[dict]]:
    stored = _read(path)
    if "fit" not in stored:
        raise BadInput(path, "fit", "none", "a checkpoint that fit() wrote")
    # More time may be given to a run, nothing else.
    _compare(path, stored["fit"] | {"minutes": None}, asdict(config) | {"minutes": None})
    if hasattr(model, "config"):
        _compare(path, stored["config"], asdict(model.config))
    _load_weights(path, model, stored)
    optimiser.load_state_dict(stored["optimiser"])
    torch.set_rng_state(stored["rng"])
    return stored["step"], stored["seconds"], stored["rows"]


def _compare(path: Path, found: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    for field, value in expected.items():
        if found is None or field not in found or found[field] != value:
            raise BadInput(path, field, repr((found or {}).get(field)), repr(value))


def _load_weights(path: Path, model: nn.Module, stored: dict[str, Any]) -> None:
    try:
        model.load_state_dict(stored["model"])
    except (KeyError, RuntimeError) as error:
        said = str(error).splitlines()[-1].strip()
        raise BadInput(path, "model", said, f"the weights of a {type(model).__name__}") from error


def _write(path: Path, content: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write(path, buffer.getvalue())


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise MissingData(f"{path}: there is no such checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(path, "file", said[:200], "a checkpoint that mp3d wrote") from error
    if not isinstance(content, dict) or "model" not in content:
        raise BadInput(path, "file", type(content).__name__, "a checkpoint that mp3d wrote")
    return content


def _require_writable(out: Path) -> None:
    trial = out / f".trial-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise BadInput(out, "output folder", error.strerror, "a folder to write to") from error
