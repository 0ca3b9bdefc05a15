"""The training loop: schedules, both optimisers, and a run that is killed and goes on."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mp3d.errors import BadInput, MissingData
from mp3d.training import Diverged, FitConfig, fit, learning_rate, load_model, save_model


@dataclass(frozen=True)
class NetConfig:
    width: int = 4
    dropout: float = 0.5


class Net(nn.Module):
    """Small, with dropout: the state of the generator matters, too."""

    def __init__(self, config: NetConfig = NetConfig()):
        super().__init__()
        torch.manual_seed(0)
        self.config = config
        self.layers = nn.Sequential(nn.Linear(3, config.width), nn.Dropout(config.dropout), nn.Linear(config.width, 1))

    def forward(self, x):
        return self.layers(x)


def batch(step: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(step).normal(size=(8, 3))).float()


def squares(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    error = net(x)[:, 0] - x.sum(1)
    return {"loss": (error**2).mean(), "l1": error.abs().mean()}


CONFIG = FitConfig(60, lr=0.05, warmup=5, clip=1.0, every=10)

# --------------------------------------------------------------------------------------------------
# Learning rates


def test_poly_is_the_papers():
    config = FitConfig(1000, lr=1e-5, lr_end=1e-8, power=0.9)
    assert learning_rate(0, config) == 1e-5
    assert learning_rate(500, config) == pytest.approx(1e-8 + (1e-5 - 1e-8) * 0.5**0.9)
    assert learning_rate(999, config) == pytest.approx(1e-8 + (1e-5 - 1e-8) * 0.001**0.9)
    rates = [learning_rate(step, config) for step in range(1000)]
    assert rates == sorted(rates, reverse=True)


def test_step_falls_at_each_milestone():
    config = FitConfig(30, schedule="step", lr=1.0, milestones=(17, 21), gamma=0.1)
    rates = [learning_rate(step, config) for step in (0, 16, 17, 20, 21, 29)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_warmup_rises_to_the_schedule():
    config = FitConfig(100, schedule="step", lr=1.0, warmup=4)
    assert [learning_rate(s, config) for s in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


# --------------------------------------------------------------------------------------------------
# Steps


def test_sgd_is_the_update_written_out():
    net = Net(NetConfig(dropout=0.0))
    weights = [w.detach().clone().requires_grad_() for w in net.parameters()]
    config = FitConfig(3, "sgd", lr=0.1, schedule="step", momentum=0.9, weight_decay=0.01)
    fit(net, batch, squares, config, device="cpu")

    velocity = [torch.zeros_like(w) for w in weights]
    for step in range(3):
        hidden = batch(step) @ weights[0].T + weights[1]
        error = (hidden @ weights[2].T + weights[3])[:, 0] - batch(step).sum(1)
        gradients = torch.autograd.grad((error**2).mean(), weights)
        for w, g, v in zip(weights, gradients, velocity, strict=True):
            v.mul_(0.9).add_(g + 0.01 * w.detach())
            w.data.sub_(0.1 * v)
    for w, trained in zip(weights, net.parameters(), strict=True):
        torch.testing.assert_close(trained, w)


def test_adams_first_step_is_the_learning_rate_and_clipping_bounds_sgds():
    net = Net(NetConfig(dropout=0.0))
    before = [w.detach().clone() for w in net.parameters()]
    fit(net, batch, squares, FitConfig(1, lr=0.01), device="cpu")
    for w, old in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close((w - old).abs(), torch.full_like(w, 0.01), rtol=1e-3, atol=1e-5)

    net = Net(NetConfig(dropout=0.0))
    fit(net, batch, squares, FitConfig(1, "sgd", lr=1.0, clip=0.02), device="cpu")
    moved = torch.cat([(w - o).flatten() for w, o in zip(net.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.02, rel=1e-3)


def test_rows_are_means_since_the_last(tmp_path):
    seen = []

    def terms(net, x):
        seen.append(squares(net, x))
        return seen[-1]

    def validate(net):
        assert not net.training
        assert not torch.is_grad_enabled()
        return {"error": 7.0}

    net = Net()
    rows = fit(net, batch, terms, replace(CONFIG, steps=25), tmp_path, validate, device="cpu")
    assert not net.training
    assert rows["step"].tolist() == [10, 20, 25]
    assert rows["error"].tolist() == [7.0] * 3
    for (start, end), row in zip([(0, 10), (10, 20), (20, 25)], rows.itertuples(), strict=True):
        assert row.loss == pytest.approx(np.mean([t["loss"].item() for t in seen[start:end]]))
        assert row.l1 == pytest.approx(np.mean([t["l1"].item() for t in seen[start:end]]))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "metrics.csv"), rows)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "metrics.csv"]


def test_time_budget_ends_a_run_early_and_more_time_continues_it(tmp_path):
    rows = fit(Net(), batch, squares, replace(CONFIG, minutes=1e-9), tmp_path, device="cpu")
    assert rows["step"].tolist() == [10]
    net = Net()
    rows = fit(net, batch, squares, replace(CONFIG, minutes=5.0), tmp_path, device="cpu")
    assert rows["step"].tolist() == [10, 20, 30, 40, 50, 60]
    again = fit(Net(), batch, squares, CONFIG, device="cpu")
    pd.testing.assert_frame_equal(rows, again)


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_a_bar_is_shown_only_where_it_is_watched(progress, shown, capfd):
    fit(Net(), batch, squares, replace(CONFIG, steps=2), device="cpu", progress=progress)
    assert ("2/2" in capfd.readouterr().err) is shown


# --------------------------------------------------------------------------------------------------
# Killed and resumed

RUN = """
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("killed", sys.argv[1])
test = importlib.util.module_from_spec(spec); sys.modules["killed"] = test
spec.loader.exec_module(test)
test.torch.set_num_threads(1)

def slow(step):
    if step == 37:
        print("at step 37", flush=True)
        time.sleep(60)
    return test.batch(step)

test.fit(test.Net(), slow, test.squares, test.CONFIG, Path(sys.argv[2]), device="cpu")
"""


def test_a_killed_run_continues_bit_for_bit(tmp_path):
    whole = Net()
    rows = fit(whole, batch, squares, CONFIG, tmp_path / "whole", device="cpu")

    killed = tmp_path / "killed"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", RUN, __file__, str(killed)],
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout.readline() == b"at step 37\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(pd.read_csv(killed / "metrics.csv")) == 3

    torch.manual_seed(99)  # whatever the generator did in between
    net = Net()
    resumed = fit(net, batch, squares, CONFIG, killed, device="cpu")
    for a, b in zip(whole.parameters(), net.parameters(), strict=True):
        assert torch.equal(a, b)
    pd.testing.assert_frame_equal(resumed, rows, check_exact=True)
    assert (killed / "metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()


def test_a_finished_run_is_not_trained_again(tmp_path):
    net = Net()
    rows = fit(net, batch, squares, CONFIG, tmp_path, device="cpu")

    def never(step):
        raise AssertionError

    (tmp_path / "metrics.csv").unlink()  # killed between checkpoint and table
    again = Net()
    pd.testing.assert_frame_equal(fit(again, never, squares, CONFIG, tmp_path, device="cpu"), rows)
    assert torch.equal(again.layers[0].weight, net.layers[0].weight)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "metrics.csv"), rows)


# --------------------------------------------------------------------------------------------------
# Several processes

RANK = """
import importlib.util, json, os, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("ranks", sys.argv[1])
test = importlib.util.module_from_spec(spec); sys.modules["ranks"] = test
spec.loader.exec_module(test)
test.torch.set_num_threads(1)
out, steps, net = Path(sys.argv[2]), [], test.Net(test.NetConfig(dropout=0.0))

def noted(step):
    steps.append(step)
    return test.batch(step)

rows = test.fit(net, noted, test.squares, test.SHORT, out / "run", device="cpu")
weights = [w.tolist() for w in net.parameters()]
facts = {"steps": steps, "weights": weights, "rows": rows.to_dict("list")}
(out / f"rank{os.environ['RANK']}.json").write_text(json.dumps(facts))
test.torch.distributed.destroy_process_group()  # else its threads may outlive the interpreter, and abort it
"""
SHORT = FitConfig(6, lr=0.05, clip=1.0, every=3)


def test_two_processes_train_one_network_on_batches_of_their_own(tmp_path):
    (tmp_path / "rank.py").write_text(RANK)
    words = ["--standalone", "--nproc-per-node", "2", str(tmp_path / "rank.py"), __file__, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "torch.distributed.run", *words]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["steps"] == [0, 2, 4, 6, 8, 10] and second["steps"] == [1, 3, 5, 7, 9, 11]
    assert first["weights"] == second["weights"]
    assert first["rows"] == second["rows"]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["checkpoint.pt", "metrics.csv"]
    table = pd.read_csv(tmp_path / "run/metrics.csv")
    assert table["step"].tolist() == [3, 6]

    def both(step):  # the mean over two batches is the mean over both of them
        return torch.cat([batch(2 * step), batch(2 * step + 1)])

    alone = Net(NetConfig(dropout=0.0))
    rows = fit(alone, both, squares, SHORT, device="cpu")
    for found, expected in zip(first["weights"], alone.parameters(), strict=True):
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-6)
    pd.testing.assert_frame_equal(table, rows, rtol=1e-4)


# --------------------------------------------------------------------------------------------------
# What goes wrong


def test_a_loss_that_is_no_number_is_an_error_and_the_checkpoint_is_from_before(tmp_path):
    def explode(step):
        return batch(step) if step < 14 else batch(step) * np.inf

    with pytest.raises(Diverged, match="nan between steps 10 and 20"):
        fit(Net(), explode, squares, CONFIG, tmp_path, device="cpu")
    assert pd.read_csv(tmp_path / "metrics.csv")["step"].tolist() == [10]
    assert load_model(Net, NetConfig, tmp_path / "checkpoint.pt").layers[0].weight.isfinite().all()


def test_no_permission_to_write(tmp_path):
    (tmp_path / "file").touch()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    calls = []
    outs = [tmp_path / "file" / "out"]
    if not os.access(closed, os.W_OK):  # root may write anywhere
        outs.append(closed)
    for out in outs:
        with pytest.raises(BadInput, match="output folder"):
            fit(Net(), calls.append, squares, CONFIG, out, device="cpu")
    assert not calls


def test_checkpoint_of_another_run(tmp_path):
    fit(Net(), batch, squares, CONFIG, tmp_path, device="cpu")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    for net, config, said in (
        (Net(), replace(CONFIG, lr=0.1), r"checkpoint\.pt: lr: found 0.05, expected 0.1"),
        (Net(NetConfig(width=5)), CONFIG, r"checkpoint\.pt: width: found 4, expected 5"),
    ):
        with pytest.raises(BadInput, match=said):
            fit(net, batch, squares, config, tmp_path, device="cpu")
    other = nn.Linear(3, 1)
    with pytest.raises(BadInput, match=r"checkpoint\.pt: model: .*weights of a Linear"):
        fit(other, batch, squares, CONFIG, tmp_path, device="cpu")
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)


def test_files_that_are_no_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pt"
    save_model(Net(), path)
    assert load_model(Net, NetConfig, path).config == NetConfig()
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"net\.pt: file"):
        load_model(Net, NetConfig, path)
    path.write_bytes(b"")
    with pytest.raises(BadInput, match=r"net\.pt: file"):
        load_model(Net, NetConfig, path)
    torch.save(Hostile(), path)
    with pytest.raises(BadInput, match=r"net\.pt: file"):
        load_model(Net, NetConfig, path)
    assert not (tmp_path / "hostile").exists()
    torch.save([1, 2], path)
    with pytest.raises(BadInput, match=r"net\.pt: file"):
        load_model(Net, NetConfig, path)
    torch.save({"config": {"depth": 3}, "model": {}}, path)
    with pytest.raises(BadInput, match=r"net\.pt: config"):
        load_model(Net, NetConfig, path)
    with pytest.raises(MissingData, match=r"none\.pt"):
        load_model(Net, NetConfig, tmp_path / "none.pt")


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "net.pt"
    save_model(Net(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)  # all is written by then, under the temporary name
    with pytest.raises(OSError, match="no space"):
        save_model(Net(NetConfig(width=9)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("field", [{"schedule": "cosine"}, {"optimiser": "lion"}, {"every": 0}])
def test_configurations_that_do_not_exist(field):
    jaxtyping.config.update("jaxtyping_disable", True)  # the hook would be first to complain
    try:
        with pytest.raises(BadInput, match=f"FitConfig: .*{next(iter(field))}"):
            FitConfig(10, **field)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
