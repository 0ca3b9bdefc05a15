"""The speed of the renderer and of a training stream, and the memory of a stream.

Run by hand: `python benchmarks/render.py [DEVICE]`. Medians of runs in one process. The plain reference is what the
renderer is tested against: every pixel's ray against every capsule, in numpy, without paint. Asked of 2 cores: 300
pictures a second at 128x96 and 80 at 256x160 with 3 people; of a GPU 5,000 and 2,000. Exits with an error below that,
or if a stream's memory grows.
"""

import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from mp3d.synthetic.body import ray_capsule, skin
from mp3d.synthetic.render import render
from mp3d.synthetic.stream import Stream
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import takes

SIZES = {(128, 96): (300, 5000), (256, 160): (80, 2000)}
"""Pictures a second that are asked for with 3 people: on 2 cores, on a GPU."""


def seconds(run: Callable[[], object], device: str, repeats: int = 5) -> float:
    """The median time of a call, one call to warm up before."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def plain(some: Takes, width: int, height: int) -> None:
    """Depth of every pixel of each picture, one after the other."""
    for i in range(len(some)):
        there = np.isfinite(some.size[i])
        first, last, radius = skin(some.points[i, there], some.size[i, there])
        scale = np.array([width, height]) / some.image[i]
        u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        focal, middle = some.k[i, :2] * scale, some.k[i, 2:] * scale
        rays = np.stack([(u - middle[0]) / focal[0], (v - middle[1]) / focal[1], np.ones_like(u)], -1).reshape(-1, 3)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        ray_capsule(rays, first.reshape(-1, 3), last.reshape(-1, 3), radius.reshape(-1)).min(-1)


def main() -> None:
    """Print the tables; exit with 1 where less than what is asked comes out."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    where = torch.cuda.get_device_name() if device != "cpu" else f"{platform.processor() or platform.machine()}"
    print(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    some = takes("duet", 512, seed=0)
    three = some.take(np.flatnonzero(some.people == 3)[: 128 if device == "cpu" else 256])
    bad = False
    print("| size | pictures/s, 3 people | asked | plain numpy, shape only | ratio |\n|---|---|---|---|---|")
    for (width, height), asked in SIZES.items():
        fast = len(three) / seconds(lambda w=width, h=height: render(three, w, h, 0, device), device)
        slow = 4 / seconds(lambda w=width, h=height: plain(three[:4], w, h), "cpu", repeats=3)
        wanted = asked[device != "cpu"]
        bad |= fast < wanted
        print(f"| {width}x{height} | {fast:.0f} | {wanted} | {slow:.1f} | {fast / slow:.0f} |")

    print("\n| world, 256x160 | people a picture | takes/s, one core | pictures/s |\n|---|---|---|---|")
    for world in ("duet", "studio", "street", "solo"):
        start = time.perf_counter()
        some = takes(world, 64, seed=int(time.time()))  # never drawn before
        drawn = 64 / (time.perf_counter() - start)
        fast = 64 / seconds(lambda s=some: render(s, 256, 160, 0, device), device, repeats=3)
        print(f"| {world} | {some.people.mean():.1f} | {drawn:.0f} | {fast:.0f} |")

    print("\n| stream of duet, batches of 16 | reuse | pictures/s | MB more after 4 blocks |\n|---|---|---|---|")
    for reuse in (1, 4):
        stream = Stream("duet", 1, 256, 160, batch=16, reuse=reuse, block=128, device=device)
        for step in range(8 * reuse):
            stream(step)
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        for step in range(8 * reuse, 40 * reuse):
            stream(step)
        rate = 32 * reuse * 16 / (time.perf_counter() - start)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        bad |= more > 200
        print(f"| 256x160 | {reuse} | {rate:.0f} | {more:.0f} |")
    sys.exit(bad)


if __name__ == "__main__":
    main()
