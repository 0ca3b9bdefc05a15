"""What the benchmarks of networks share: times, parameters and operations, training's rate, and the command line."""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mp3d.training import FitConfig, fit

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Clock = Callable[[], float]


def turns(
    ways: Mapping[str, Callable[[], object]], runs: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """ms of each way, the ways taking turns; one run of each before."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            start = clock()
            way()
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            if run:
                times[name].append(1000 * (clock() - start))
    return times


def median(way: Callable[[], object], runs: int, clock: Clock = time.perf_counter) -> float:
    """ms, after one run that does not count."""
    return statistics.median(turns({"": way}, runs, clock)[""])


def size(build: Callable[[], nn.Module], width: int, height: int, dtype: torch.dtype) -> tuple[int, float]:
    """Parameters of a network, and GFLOP of one picture: two a multiplication and addition."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = build()
        network(torch.empty(1, 3, height, width, dtype=dtype))
    return sum(weight.numel() for weight in network.parameters()), counter.get_total_flops() / 1e9


def forward(presets: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, int]]]) -> None:
    """Print parameters, GFLOP and ms of each network: how it is built, and its picture, px."""
    print("| network | px | parameters | GFLOP | forward, ms |\n|---|---|---|---|---|")
    for name, (build, (width, height)) in presets.items():
        count, flop = size(build, width, height, torch.uint8)
        network = build().eval().to(DEVICE)
        image = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, device=DEVICE)
        with torch.inference_mode():
            ms = median(lambda network=network, image=image: network(image), 30 if flop < 20 else 5)
        print(f"| {name} | {width}x{height} | {count:,} | {flop:.1f} | {ms:.1f} |", flush=True)


def rate(
    build: Callable[[], nn.Module],
    batch: Callable[[int], Any],
    terms: Callable[[nn.Module, Any], dict[str, Tensor]],
    profile: Any,
    seconds: float,
) -> float:
    """Pictures a second of whole steps of a profile, measured for about so long."""

    def steps(number: int) -> float:
        how = FitConfig(number, lr=1e-4, every=number, precision=profile.fit.precision)
        start = time.perf_counter()
        fit(build(), batch, terms, how, device=DEVICE, progress=False)
        return time.perf_counter() - start

    steps(2)
    few = steps(5)
    more = max(10, round(5 * seconds / few))
    return (more - 5) * profile.batch / (steps(more) - few)  # without what a run costs before its first step


def training(profiles: Mapping[str, Any], rate: Callable[[Any, float], float], seconds: float = 20.0) -> None:
    """Print pictures a second of the profiles that this device can train."""
    print("| profile | px | batch | precision | training, pictures a second |\n|---|---|---|---|---|")
    for name in ("cpu", "gpu") if DEVICE == "cuda" else ("cpu",):
        profile = profiles[name]
        (width, height), precision = profile.config.canvas, profile.fit.precision
        print(
            f"| {name} | {width}x{height} | {profile.batch} | {precision} | {rate(profile, seconds):.1f} |", flush=True
        )


def main(parts: Mapping[str, Callable[[], bool | None]]) -> None:
    """Print the tables asked for on the command line, or all; exit with 1 where a limit is not kept."""
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else platform.processor() or platform.machine()
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    bad = False
    for part in sys.argv[1:] or parts:
        print(f"\n{part}\n")
        bad |= bool(parts[part]())
    sys.exit(bad)
