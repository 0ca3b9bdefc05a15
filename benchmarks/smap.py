"""SMAP's speed: the network's forward pass, what becomes of its maps, and training.

Run by hand: `python benchmarks/smap.py [forward] [people] [training]`, all three without arguments; on a machine with
CUDA the network's parts run there. Medians, and ratios of runs that take turns in one process.

- forward: one 832x512 picture, channels last, inference mode, beside a chain: the same layers called one after another
  on the same tensors without any module, and in place where nothing else reads a tensor. Nothing in PyTorch that runs
  each layer by itself can do with less. The two are compared by processor time of one thread, which other programs
  touch little, or with CUDA by the clock. GFLOP: two a multiplication and addition. MiB: at the peak of one pass,
  weights included; without CUDA all of a process that does nothing else, PyTorch too. Exits with an error if a network
  takes more than 1.05 times its chain at this size.
- people: what becomes of exact maps of 128x208 cells, in one thread. The paper has 4.5 ms for 3 people and 8.8 ms for
  20 of its association in C++ (Table 5), whose parts it does not name. Exits with an error where detections, links and
  association take more than 5 ms for 3 people or 10 ms for 20. 2DPA is another association of the same links; decode
  is all together.
- training: pictures a second of `fit`, with targets and loss, pictures drawn before.
"""

import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import measure
import torch
from measure import DEVICE, median, turns
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from mp3d.camera import back_project
from mp3d.canvas import Canvas, on_canvas
from mp3d.codings import affinity, depth, heatmaps
from mp3d.codings.grid import Grid
from mp3d.experiments.codings.crowds import crowd
from mp3d.nn.hourglass import Hourglass
from mp3d.nn.mspn import MSPN
from mp3d.papers import smap
from mp3d.papers.smap.decode import MOST
from mp3d.papers.smap.targets import ROOT, STRIDE
from mp3d.papers.smap.train import Sample

BRANCHES = smap.SMAPConfig().maps
SMALL = smap.SMALL
PRESETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "MSPN, 1 stage": (lambda: MSPN(BRANCHES, 1), (832, 512)),
    "MSPN, 2 stages": (lambda: MSPN(BRANCHES, 2), (832, 512)),
    "MSPN, 3 stages (the paper's)": (lambda: MSPN(BRANCHES, 3), (832, 512)),
    "hourglass, 3 stages": (lambda: Hourglass(BRANCHES, 3), (832, 512)),
    "SMALL": (lambda: smap.Network(SMALL).trunk, SMALL.canvas),
}
"""What is built, and its picture, px."""
SLOWER = 1.05
"""Times the chain."""
LIMITS = {3: 5.0, 20: 10.0}
"""ms of detections, links and association, by number of people."""


# --------------------------------------------------------------------------------------------------
# Forward


class Recorder(TorchDispatchMode):
    """Writes down every call that PyTorch's dispatcher sees."""

    def __init__(self):
        super().__init__()
        self.calls: list[tuple[Callable, tuple, dict, object]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out


IN_PLACE = {torch.ops.aten.relu.default: torch.ops.aten.relu_.default}
IN_PLACE |= {torch.ops.aten.add.Tensor: torch.ops.aten.add_.Tensor}


def chain(network: nn.Module, x: Tensor) -> Callable[[Tensor], list[Tensor]]:
    """The network's layers as a flat list of calls; a tensor is let go once nothing further down reads it."""
    with torch.no_grad(), Recorder() as recorder:
        outputs = tree_leaves(network(x))
    slots: dict[int, int] = {id(x): 0}
    for *_, out in recorder.calls:
        for tensor in _tensors(out):
            slots[id(tensor)] = len(slots)
    last, calls = {slots[id(tensor)]: len(recorder.calls) for tensor in outputs}, []
    for at in reversed(range(len(recorder.calls))):
        func, args, kwargs, out = recorder.calls[at]
        made = [slots[id(tensor)] for tensor in _tensors(out)]
        if not any(slot in last for slot in made):
            continue  # nobody reads it
        read = [slots[id(tensor)] for tensor in _tensors((args, kwargs)) if id(tensor) in slots]
        ends = [slot for slot in read if slot not in last]
        last.update((slot, at) for slot in ends)
        if func in IN_PLACE and read[0] in ends and args[0].shape == out.shape:
            func = IN_PLACE[func]
        where = tree_map(lambda v: _Slot(slots[id(v)]) if isinstance(v, Tensor) and id(v) in slots else v, args)
        calls.append((func, where, kwargs, made, [*ends, *(slot for slot in made if slot not in last)]))
    calls.reverse()
    wanted, first = [slots[id(tensor)] for tensor in outputs], x

    def run(x: Tensor = first) -> list[Tensor]:
        held: dict[int, Tensor] = {0: x}
        for func, args, kwargs, made, ends in calls:
            out = func(*[held[a.number] if type(a) is _Slot else a for a in args], **kwargs)
            for slot in ends:
                held.pop(slot, None)
            for slot, tensor in zip(made, out if isinstance(out, tuple | list) else (out,), strict=True):
                if slot not in ends:
                    held[slot] = tensor
        return [held[slot] for slot in wanted]

    return run


class _Slot:
    def __init__(self, number: int):
        self.number = number


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _built(name: str) -> tuple[nn.Module, Tensor]:
    build, (width, height) = PRESETS[name]
    torch.manual_seed(0)
    x = torch.rand(1, 3, height, width, device=DEVICE).contiguous(memory_format=torch.channels_last)
    return build().eval().to(DEVICE, memory_format=torch.channels_last), x


def memory(name: str) -> float:
    """MiB at the peak of one pass; to be asked in a process that did nothing before."""
    network, x = _built(name)
    with torch.inference_mode():
        network(x)
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def beside_chain(name: str) -> tuple[float, float]:
    """ms of a network's pass, and how many times its chain it takes."""
    network, x = _built(name)
    flat, threads = chain(network, x), torch.get_num_threads()
    runs = 4 if DEVICE == "cpu" and x.shape[3] == 832 else 30
    with torch.inference_mode():
        for a, b in zip(flat(x), tree_leaves(network(x)), strict=True):
            torch.testing.assert_close(a, b)
        ms = median(lambda: network(x), runs)
        torch.set_num_threads(1)
        clock = time.process_time if DEVICE == "cpu" else time.perf_counter
        times = turns({"network": lambda: network(x), "chain": lambda: flat(x)}, runs, clock)
        torch.set_num_threads(threads)
    return ms, statistics.median(a / b for a, b in zip(times["network"], times["chain"], strict=True))


def forward() -> bool:
    """Print the table; whether a network at 832x512 is slower than its chain allows."""
    taken, bad = {}, False
    for name in PRESETS:  # first: a process inherits the peak of the one that starts it
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            taken[name] = fresh.submit(memory, name).result()
    print("| network | px | parameters | GFLOP | MiB | forward, ms | times its chain | |")
    print(f"|{'---|' * 8}")
    for name, (build, (width, height)) in PRESETS.items():
        count, flop = measure.size(build, width, height, torch.float32)
        ms, ratio = beside_chain(name)
        slow = ratio > SLOWER and width == 832
        bad |= slow
        print(
            f"| {name} | {width}x{height} | {count:,} | {flop:.1f} | {taken[name]:.0f} | "
            f"{ms:.1f} | {ratio:.3f} | {'slow' * slow} |",
            flush=True,
        )
    return bad


# --------------------------------------------------------------------------------------------------
# People


def crowds(people: int, scenes: int, config: smap.SMAPConfig) -> tuple[smap.Maps, Canvas, Tensor]:
    """Exact maps of synthetic crowds, where they lie on the canvas, and the pictures' cameras."""
    batch, grid = crowd(people, 0, scenes), Grid.over(*config.canvas, STRIDE)
    moved, canvas = on_canvas(batch, config.canvas)
    goal = smap.targets(moved, config, canvas.shown)
    # Squares of 5x5 cells, so that a detection that is a little off does not read a depth of 0.
    roots = depth.encode_root(goal.root.nan_to_num(nan=1e9), goal.root_uv, goal.root.isfinite(), grid, 2)[0]
    return goal.sets[-1]._replace(roots=roots), canvas, batch.k


def reading(maps: smap.Maps, canvas: Canvas, camera: Tensor, runs: int) -> tuple[dict[str, list[float]], int]:
    """ms of each step with the maps of one picture, and how many people are found."""
    config, near_first, at_once = smap.SMAPConfig(), smap.Reading(), smap.Reading(association="2dpa")
    grid, k, height = Grid.over(*config.canvas, STRIDE), canvas.camera(camera), config.canvas[1]
    found = smap.find(maps, k, canvas, config, near_first)
    chosen = smap.associate(found, 0, k[0], height, near_first)

    def read_out():
        uv = found.peaks.take(0, chosen)[0]
        z = smap.joint_depths(maps.parts[0], uv, found.z[0, chosen[:, ROOT]], grid)
        return back_project(canvas.back(uv), z, camera[0])

    ways = {
        "detections": lambda: heatmaps.peaks(maps.heatmaps, grid, MOST, near_first.threshold),
        "links": lambda: affinity.links(maps.fields, found.peaks, smap.BONES, grid, near_first.link),
        "association": lambda: smap.associate(found, 0, k[0], height, near_first),
        "2DPA": lambda: smap.associate(found, 0, k[0], height, at_once),
        "read-out": read_out,
        "decode": lambda: smap.decode(maps, canvas, camera, config, near_first),
    }
    return turns(ways, runs), len(chosen)


def people(scenes: int = 10, runs: int = 10) -> bool:
    """Print the table; whether association is late."""
    bad, head, threads = False, True, torch.get_num_threads()
    torch.set_num_threads(1)  # of so little work several would spend most of their time waiting
    for number in (1, 3, 5, 10, 20):
        maps, canvas, cameras = crowds(number, scenes, smap.SMAPConfig())
        each = [
            reading(smap.Maps(*(part[b : b + 1] for part in maps)), canvas, cameras[b : b + 1], runs)
            for b in range(scenes)
        ]
        ms = {name: statistics.median(t for times, _ in each for t in times[name]) for name in each[0][0]}
        if head:
            print(f"| people | found | {' | '.join(ms)} | |\n|{'---|' * (len(ms) + 3)}")
            head = False
        late = ms["detections"] + ms["links"] + ms["association"] > LIMITS.get(number, float("inf"))
        bad |= late
        row = " | ".join(f"{value:.2f}" for value in ms.values())
        print(f"| {number} | {sum(n for _, n in each) / scenes:.1f} | {row} | {'late' * late} |", flush=True)
    torch.set_num_threads(threads)
    return bad


# --------------------------------------------------------------------------------------------------
# Training


def rates(profile: smap.Profile, seconds: float) -> tuple[float, float]:
    """Pictures a second: targets alone, and whole steps, measured for about so long."""
    config, batch = profile.config, crowd(3, 0, profile.batch).to(DEVICE)

    def terms(network: nn.Module, data: Sample) -> dict[str, Tensor]:
        return smap.loss(network(data.images), data.targets, config)

    whole = measure.rate(lambda: smap.Network(config), lambda _: smap.sample(batch, config), terms, profile, seconds)
    return 1000 * profile.batch / median(lambda: smap.sample(batch, config), 10), whole


def training(seconds: float = 20.0) -> None:
    """Print the table."""
    print("| profile | px | batch | precision | targets, pictures a second | training, pictures a second |")
    print("|---|---|---|---|---|---|")
    for name in ("cpu", "gpu") if DEVICE == "cuda" else ("cpu",):
        profile = smap.PROFILES[name]
        (width, height), (alone, whole) = profile.config.canvas, rates(profile, seconds)
        precision = profile.fit.precision
        print(f"| {name} | {width}x{height} | {profile.batch} | {precision} | {alone:.0f} | {whole:.1f} |", flush=True)


if __name__ == "__main__":
    measure.main({"forward": forward, "people": people, "training": training})
