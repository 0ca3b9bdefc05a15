"""ORPM-AE's speed: what becomes of its maps, the network's forward pass, and training.

Run by hand: `python benchmarks/orpm_ae.py [people] [forward] [training]`, all three without arguments; on a machine
with CUDA the network's parts run there. Medians.

- people: exact maps of 128 x 128 cells with the people of a synthetic crowd, one picture at a time, in one thread and
  by its processor time, which other programs touch little. Detection is what is kept of the maps; all else works on
  that alone. Decode is group, read-out and place, with people to hand out. Exits with an error where it takes more than
  5 ms for 10 people. Hungarian is another grouping.
- forward: one picture, inference mode. GFLOP: two a multiplication and addition.
- training: pictures a second of `fit`, with targets and loss, pictures drawn before.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from mp3d.codings import orpm, tags, translation
from mp3d.experiments.codings.crowds import crowd
from mp3d.papers import orpm_ae
from mp3d.training import FitConfig, fit

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PAPER, SMALL, READING = orpm_ae.ORPMAEConfig(), orpm_ae.SMALL, orpm_ae.Reading()
PRESETS = {f"SMALL, {n} stacks": replace(SMALL, stacks=n) for n in (1, 2, 3)} | {"the paper's": PAPER}
LIMITS = {10: 5.0}
"""ms of decode, by number of people."""


def median(way: Callable[[], object], runs: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """ms, after one run that does not count."""
    times = []
    for _ in range(runs + 1):
        start = clock()
        way()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (clock() - start))
    return statistics.median(times[1:])


def reading(number: int, picture: int, runs: int) -> tuple[dict[str, float], int]:
    """ms of each step with one picture's exact maps, and how many people are found."""
    batch, grid = crowd(number, picture, 1), PAPER.grid
    moved, canvas = orpm_ae.on_canvas(batch, PAPER.canvas)
    goal = orpm_ae.targets(moved, PAPER)
    own = 10.0 * torch.arange(number)[None]
    maps = orpm_ae.Maps(goal.heatmaps, goal.bones, tags.encode(moved.uv, moved.labelled, own, grid))
    mean = orpm_ae.mean_vectors(lambda _: batch, PAPER, 1)
    found = orpm_ae.detect(maps, canvas, PAPER)
    (chosen,) = tags.group(found.peaks, found.tags)
    uv, score, cell = found.peaks.take(0, chosen)
    centre = grid.centres(cell).where(chosen[..., None] >= 0, torch.nan)[None]
    pose = orpm_ae.poses(orpm.read(maps.bones / orpm_ae.METRES, centre, score[None], grid, "paper", mean)[0], PAPER)
    ways = {
        "detection": lambda: orpm_ae.detect(maps, canvas, PAPER),
        "group": lambda: tags.group(found.peaks, found.tags),
        "Hungarian": lambda: tags.group(found.peaks, found.tags, "hungarian"),
        "read-out": lambda: orpm.read(maps.bones, centre, score[None], grid, "paper", mean),
        "place": lambda: translation.fit(pose, canvas.back(uv)[None], batch.k[:, None]),
        "decode": lambda: orpm_ae.decode(found, batch.k, PAPER, mean, READING),
    }
    return {name: median(way, runs, time.process_time) for name, way in ways.items()}, len(chosen)


def people(pictures: int = 10, runs: int = 15) -> bool:
    """Print the table; whether decode is late."""
    threads, bad = torch.get_num_threads(), False
    torch.set_num_threads(1)  # of so little work several would spend most of their time waiting
    for row, number in enumerate((3, 10, 20)):
        each = [reading(number, picture, runs) for picture in range(pictures)]
        ms = {name: statistics.median(times[name] for times, _ in each) for name in each[0][0]}
        if not row:
            print(f"| people | found | {' | '.join(f'{name}, ms' for name in ms)} | |\n|{'---|' * (len(ms) + 3)}")
        late = ms["decode"] > LIMITS.get(number, float("inf"))
        bad |= late
        cells = " | ".join(f"{value:.2f}" for value in ms.values())
        print(f"| {number} | {sum(n for _, n in each) / pictures:.1f} | {cells} | {'late' * late} |", flush=True)
    torch.set_num_threads(threads)
    return bad


def forward() -> None:
    """Print the table."""
    print("| network | px | parameters | GFLOP | forward, ms |\n|---|---|---|---|---|")
    for name, config in PRESETS.items():
        width, height = config.canvas
        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            network = orpm_ae.Network(config)
            network(torch.empty(1, 3, height, width, dtype=torch.uint8))
        count = sum(weight.numel() for weight in network.parameters())
        network = orpm_ae.Network(config).eval().to(DEVICE)
        image = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, device=DEVICE)
        with torch.inference_mode():
            ms = median(lambda network=network, image=image: network(image), 5 if config is PAPER else 30)
        flop = counter.get_total_flops() / 1e9
        print(f"| {name} | {width}x{height} | {count:,} | {flop:.1f} | {ms:.1f} |", flush=True)


def rate(profile: orpm_ae.Profile, seconds: float) -> float:
    """Pictures a second of whole steps, measured for about so long."""
    config, batch = profile.config, crowd(3, 0, profile.batch).to(DEVICE)

    def steps(number: int) -> float:
        network = orpm_ae.Network(config)
        how = FitConfig(number, lr=1e-4, every=number, precision=profile.fit.precision)
        start = time.perf_counter()
        fit(
            network,
            lambda _: orpm_ae.sample(batch, config),
            lambda network, data: orpm_ae.loss(network(data.images), data.targets, config),
            how,
            device=DEVICE,
            progress=False,
        )
        return time.perf_counter() - start

    steps(2)
    few = steps(5)
    more = max(10, round(5 * seconds / few))
    return (more - 5) * profile.batch / (steps(more) - few)  # without what a run costs before its first step


def training(seconds: float = 20.0) -> None:
    """Print the table."""
    print("| profile | px | batch | precision | training, pictures a second |\n|---|---|---|---|---|")
    for name in ("cpu", "gpu") if DEVICE == "cuda" else ("cpu",):
        profile = orpm_ae.PROFILES[name]
        (width, height), precision = profile.config.canvas, profile.fit.precision
        print(
            f"| {name} | {width}x{height} | {profile.batch} | {precision} | {rate(profile, seconds):.1f} |", flush=True
        )


def main() -> None:
    """Print the tables asked for; exit with 1 where a limit is not kept."""
    asked = sys.argv[1:] or ["people", "forward", "training"]
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else platform.processor() or platform.machine()
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    bad = False
    for part in asked:
        print(f"\n{part}\n")
        bad |= bool({"people": people, "forward": forward, "training": training}[part]())
    sys.exit(bad)


if __name__ == "__main__":
    main()
