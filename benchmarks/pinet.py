"""PI-Net's speed: everyone in one batched pass against one pass a person, and training steps a second.

Run by hand: `python benchmarks/pinet.py`. Medians of runs that take turns in one process, and ratios; exits with
an error if the two ways differ by 1e-3 mm or the ratio is below what is promised (1.8 for 3 people, 4 for 20).
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from mp3d.papers.pinet import PINet, PINetConfig, Sequences, decode, loss, order, targets
from mp3d.training import FitConfig, fit

PROMISED = {3: 1.8, 20: 4.0}


def people(*shape: int) -> np.ndarray:
    """People who stand about a metre apart, mm. Float32 resolves about 1e-6 of a group's extent."""
    rng = np.random.default_rng(0)
    roots = rng.normal((0, 0, 4000), (500, 100, 500), (*shape, 1, 3))
    return roots + rng.normal(0, (200, 400, 200), (*shape, 17, 3))


def one_by_one(model: PINet, poses: np.ndarray) -> np.ndarray:
    """Section 3.4 of the paper to the letter: n passes, each with its order, the first person kept."""
    refined = []
    with torch.no_grad():
        for rho in order(poses, model.config.order):
            sequence = torch.from_numpy(poses[rho])[None]
            lengths = torch.tensor([len(poses)])
            refined.append(decode(model(sequence, lengths, only_first=True))[0].numpy())
    return np.stack(refined)


def seconds(ways: list[Callable[[], object]], runs: int) -> list[float]:
    """Median of each way, the ways taking turns."""
    times: list[list[float]] = [[] for _ in ways]
    for run in range(runs + 1):
        for way, found in zip(ways, times, strict=True):
            start = time.perf_counter()
            way()
            if run:  # the first warms up
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def steps_a_second(batch: int, steps: int) -> float:
    """Of `fit` with two and three people in a batch, the batch already made."""
    poses = torch.from_numpy(people(batch, 3)).float()
    lengths = torch.arange(batch) % 2 + 2
    poses[lengths == 2, 2] = 0
    drawn = Sequences(poses, lengths, poses)
    model = PINet()

    def terms(network: PINet, data: Sequences) -> dict[str, torch.Tensor]:
        return loss(network(data.poses, data.lengths), targets(data, model.config))

    config = FitConfig(steps, lr=1e-5, lr_end=1e-8)
    fit(model, lambda step: drawn, terms, FitConfig(2), device="cpu")
    start = time.perf_counter()
    fit(model, lambda step: drawn, terms, config, device="cpu")
    return steps / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(2)
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    torch.manual_seed(0)
    model, kept = PINet(PINetConfig()).eval(), True
    print("people | one pass a person, ms | one batched pass, ms | ratio | largest difference, mm")
    for count in (1, 2, 3, 5, 10, 20):
        poses = people(count)
        ways = [lambda p=poses: one_by_one(model, p), lambda p=poses: model.refine(p)]
        slow, fast = seconds(ways, runs=41 if count < 10 else 21)
        apart = np.abs(ways[0]() - ways[1]()).max()
        kept &= apart < 1e-3 and slow / fast >= PROMISED.get(count, 0)
        print(f"{count:6} | {slow * 1e3:21.2f} | {fast * 1e3:20.2f} | {slow / fast:5.2f} | {apart:.1e}")
    print("batch | training steps a second | sequences a second")
    for batch, steps in ((4, 60), (64, 30), (256, 12)):
        rate = statistics.median(steps_a_second(batch, steps) for _ in range(3))
        print(f"{batch:5} | {rate:23.1f} | {rate * batch:18.0f}")
    if not kept:
        sys.exit("not as promised")


if __name__ == "__main__":
    main()
