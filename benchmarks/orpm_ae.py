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

import statistics
import time
from dataclasses import replace
from functools import partial

import measure
import torch
from measure import DEVICE, median

from mp3d.codings import orpm, tags, translation
from mp3d.experiments.codings.crowds import crowd
from mp3d.papers import orpm_ae

PAPER, SMALL, READING = orpm_ae.ORPMAEConfig(), orpm_ae.SMALL, orpm_ae.Reading()
PRESETS = {f"SMALL, {n} stacks": replace(SMALL, stacks=n) for n in (1, 2, 3)} | {"the paper's": PAPER}
LIMITS = {10: 5.0}
"""ms of decode, by number of people."""


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


def rate(profile: orpm_ae.Profile, seconds: float) -> float:
    """Pictures a second of whole steps."""
    config, batch = profile.config, crowd(3, 0, profile.batch).to(DEVICE)
    return measure.rate(
        lambda: orpm_ae.Network(config),
        lambda _: orpm_ae.sample(batch, config),
        lambda network, data: orpm_ae.loss(network(data.images), data.targets, config),
        profile,
        seconds,
    )


if __name__ == "__main__":
    networks = {name: (partial(orpm_ae.Network, config), config.canvas) for name, config in PRESETS.items()}
    measure.main(
        {
            "people": people,
            "forward": lambda: measure.forward(networks),
            "training": lambda: measure.training(orpm_ae.PROFILES, rate),
        }
    )
