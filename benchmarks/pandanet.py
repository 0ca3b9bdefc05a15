"""PandaNet's speed: what becomes of its maps, the network's forward pass, and training.

Run by hand: `python benchmarks/pandanet.py [people] [forward] [training]`, all three without arguments; on a machine
with CUDA the network's parts run there. Medians.

- people: exact maps of test pictures of `street`, in which all anchors of A+ are above the score, one picture at a
  time, in one thread and by its processor time, which other programs touch little. Decode is suppression and placing,
  with people to hand out. Exits with an error where it takes more than 5 ms for 60 people.
- forward: one picture, inference mode. GFLOP: two a multiplication and addition.
- training: pictures a second of `fit`, with targets and loss, windows of pictures drawn before.
"""

import statistics
import time
from functools import partial

import measure
import torch
from measure import DEVICE, median

from mp3d.codings import anchors as coding
from mp3d.experiments.codings.crowds import crowd
from mp3d.experiments.pandanet import networks, tables
from mp3d.experiments.pandanet.cost import exact_maps
from mp3d.papers import pandanet

CONFIG = networks.sized("full", "street", "cpu", 1).config
PRESETS = {"SMALL": pandanet.SMALL, "SMALL, street": CONFIG, "the paper's": pandanet.PandaNetConfig()}
LIMITS = {60: 5.0}
"""ms of decode, by number of people."""


def people(runs: int = 15) -> bool:
    """Print the table; whether decode is late."""
    threads, bad = torch.get_num_threads(), False
    torch.set_num_threads(1)  # of so little work several would spend most of their time waiting
    pictures = [batch for _, batch in tables.pictures("street", "cpu")]
    boxes = torch.cat([coding.pose_box(batch.uv[pandanet.people_of(batch)])[:, 2:] for batch in pictures])
    sizes = coding.kmeans(boxes, CONFIG.count)
    print("| people | anchors | found | suppression, ms | places, ms | decode, ms | |\n|---|---|---|---|---|---|---|")
    for number in (8, 12, 21, 30, 40, 60):
        rows = []
        for batch in (some[:1] for some in pictures if some.there[0].sum() == number):
            maps, canvas = exact_maps(batch, sizes, CONFIG)
            found = pandanet.detect(maps, sizes, CONFIG)

            def places(found=found, canvas=canvas, k=batch.k):
                return pandanet.decode(found, canvas, k, 4000.0)

            def suppression(maps=maps):
                return pandanet.detect(maps, sizes, CONFIG)

            ways = (suppression, places, lambda a=suppression, b=places: b(a()))
            ms = [median(way, runs, time.process_time) for way in ways]
            above = int((maps.score.sigmoid() > pandanet.Reading().score).sum())
            rows.append((above, len(found[0].score), *ms))
        middle = [statistics.median(column) for column in zip(*rows, strict=True)]
        late = middle[-1] > LIMITS.get(number, float("inf"))
        bad |= late
        cells = " | ".join(f"{value:.2f}" for value in middle[2:])
        print(f"| {number} | {middle[0]:.0f} | {middle[1]:.0f} | {cells} | {'late' * late} |", flush=True)
    torch.set_num_threads(threads)
    return bad


def rate(profile: pandanet.Profile, seconds: float) -> float:
    """Pictures a second of whole steps."""
    config = profile.config
    batch = pandanet.windows(crowd(5, 0, profile.batch), config.canvas, profile.windows, 0).to(DEVICE)
    sizes, _ = pandanet.statistics(lambda _: batch, config, steps=1)
    weights = pandanet.Weights(config).to(DEVICE)
    return measure.rate(
        lambda: pandanet.Network(config),
        lambda _: pandanet.sample(batch, sizes, config),
        lambda network, data: pandanet.loss(network(data.images), data.targets, sizes, weights, config),
        profile,
        seconds,
    )


if __name__ == "__main__":
    built = {name: (partial(pandanet.Network, config), config.canvas) for name, config in PRESETS.items()}
    measure.main(
        {
            "people": people,
            "forward": lambda: measure.forward(built),
            "training": lambda: measure.training(pandanet.PROFILES, rate),
        }
    )
