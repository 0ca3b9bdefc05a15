"""TDBU's speed: who is whom and one pose of two, and poses over a long track.

Run by hand: `python benchmarks/tdbu.py [people] [tracks] [forward]`, all three without arguments; on a machine with
CUDA the networks run there. Medians.

- people: matching and integration of N people seen by both branches, in one thread and by its processor time, which
  other programs touch little. Exits with an error where it takes more than 5 ms for 20 people.
- tracks: frames a second of a long track, the temporal networks sliding over it (dilated), beside the same values
  window by window (strided).
- forward: one crop and one frame, inference mode.
"""

import time
from functools import partial

import measure
import torch
from measure import DEVICE, median

from mp3d.papers.tdbu import SMALL, TDBUConfig, join
from mp3d.papers.tdbu.bottomup import FrameNet
from mp3d.papers.tdbu.integration import IntegrationGate, IntegrationMLP, Seen
from mp3d.papers.tdbu.lifting import Lift
from mp3d.papers.tdbu.topdown import JOINTS, PersonNet
from mp3d.synthetic.worlds import takes

LIMIT = 5.0
"""ms, of 20 people."""


def seen(number: int, spoiled: float, seed: int) -> Seen:
    """People of a street as a branch sees them, each a little off, in any order."""
    some = takes("street", 8, 0, "test")
    poses = torch.from_numpy(some.points[:, :, :17]).float()[some.people.argmax()]
    generator = torch.Generator().manual_seed(seed)
    xyz = poses[poses.isfinite().all(-1).all(-1)][:number]
    xyz = xyz + spoiled * torch.randn(xyz.shape, generator=generator)
    xyz = xyz[torch.randperm(len(xyz), generator=generator)]
    uv = 1000 * xyz[..., :2] / xyz[..., 2:] + 500
    return Seen(uv, torch.rand(uv.shape[:2], generator=generator) * 0.5 + 0.5, xyz, torch.arange(len(xyz)))


def people(runs: int = 15) -> bool:
    """Print the table; whether it is late."""
    threads, late = torch.get_num_threads(), False
    torch.set_num_threads(1)
    camera = torch.tensor([[1000.0, 1000, 500, 500]])
    print("| people | network, ms | gate, ms | linear, ms | |\n|---|---|---|---|---|")
    for number in (2, 10, 20, 40):
        td, bu = seen(number, 20.0, 1), seen(number, 40.0, 2)
        nets = {"network": IntegrationMLP(), "gate": IntegrationGate()}
        ms = [
            median(partial(join, [td], [bu], camera, "network", net), runs, time.process_time) for net in nets.values()
        ]
        ms.append(median(partial(join, [td], [bu], camera, "linear"), runs, time.process_time))
        bad = number == 20 and ms[0] > LIMIT
        late |= bad
        print(f"| {number} | {' | '.join(f'{value:.2f}' for value in ms)} | {'late' * bad} |", flush=True)
    torch.set_num_threads(threads)
    return late


def tracks(frames: int = 2000, runs: int = 3) -> bool:
    """Print frames a second of both forms."""
    print("| size | window | sliding, frames/s | by window, frames/s | ratio |\n|---|---|---|---|---|")
    for name, config in {"SMALL": SMALL, "the paper's": TDBUConfig()}.items():
        lift = Lift(config).to(DEVICE).eval()
        count = frames if name == "SMALL" else frames // 10
        poses = torch.randn(1, count, JOINTS, 3, device=DEVICE)
        window = lift.pose.window
        padded = torch.nn.functional.pad(poses.flatten(2).mT, (window // 2,) * 2, mode="replicate").mT
        some = padded[0].unfold(0, window, 1).mT[:: max(1, count // 50)]
        with torch.inference_mode():
            slide = count / median(partial(lift.refined, poses), runs) * 1000
            each = len(some) / median(partial(lift.pose, some), runs) * 1000
        print(f"| {name} | {window} | {slide:.0f} | {each:.0f} | {slide / each:.1f} |", flush=True)
    return False


def forward(runs: int = 3) -> bool:
    """Print ms of one crop and one frame."""
    print("| size | network | input | parameters | ms |\n|---|---|---|---|---|")
    for name, config in {"SMALL": SMALL, "the paper's": TDBUConfig()}.items():
        person, frame = PersonNet(config).to(DEVICE).eval(), FrameNet(config).to(DEVICE).eval()
        width, height = config.canvas
        crop = torch.rand(1, 3, config.crop, config.crop, device=DEVICE)
        picture = torch.zeros(1, 3, height, width, dtype=torch.uint8, device=DEVICE)
        guide = torch.zeros(1, JOINTS, height, width, device=DEVICE)
        with torch.inference_mode():
            rows = (
                ("crop", f"{config.crop} x {config.crop}", person, partial(person, crop)),
                ("frame", f"{width} x {height}", frame, partial(frame, picture, guide)),
            )
            for kind, size, network, run in rows:
                number = sum(p.numel() for p in network.parameters())
                print(f"| {name} | {kind} | {size} | {number:,} | {median(run, runs):.1f} |", flush=True)
    return False


if __name__ == "__main__":
    measure.main({"people": people, "tracks": tracks, "forward": forward})
