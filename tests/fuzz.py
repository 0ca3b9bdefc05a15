"""Every reader against files that are damaged, swapped or hostile: it reads them or raises an `Mp3dError`, no more.

    python -m tests.fuzz [--cases 10000] [--format NAME ...] [--seed 0]    make fuzz
    python -m tests.fuzz --format NAME --replay N                          one case again, with its traceback

A third of the cases put an odd value in place of one in the fixture; for the others hypothesis draws a plan, from the
seed alone: which file of the fixture, and one to three changes to its structure (a value of another type, a record
twice, a key away), to its bytes, or another file in its place, some of them hostile (`tests.hostile`). No two cases
have the same bytes. All is read to the end. A failure is any other exception, more than 5 s of processor time, a crash,
more than 3 GiB, a process started, a file written elsewhere, a hostile file that is not refused. Each format runs in a
process of its own in an empty folder, and another is its HOME.
"""

import argparse
import contextlib
import hashlib
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import UnsatisfiedAssumption

from mp3d.errors import Mp3dError
from tests.formats import FORMATS, Format
from tests.hostile import KINDS, hostile
from tests.mutations import FIXED, corners, decode, kind, mutate, plans

CPU, WALL, MEMORY = 5, 30, 3 << 30  # seconds, seconds, bytes
SHARED = "/dev/shm" if Path("/dev/shm").is_dir() else None  # files in memory, where there is such a place


# -- One format, in a process of its own --------------------------------------------------------------------


class Hang(BaseException):
    """No Exception: a reader must not catch it."""


class Breach(BaseException):
    """Something that no reader of data does."""


def _alarm(*_: object) -> None:
    raise Hang(f"a hang: more than {CPU} s of processor time, or {WALL} s")


def listing(*folders: Path) -> dict[str, tuple[int, int]]:
    """Kind and time of change of all that is below some folders, links not followed."""
    found = {}
    for folder in folders:
        for place, inner, names in os.walk(folder):
            for name in (*inner, *names):
                info = os.lstat(path := f"{place}/{name}")
                found[path] = (info.st_mode, 0 if name in inner else info.st_mtime_ns)
    return found


class Guard:
    """What Python is about to do while a reader runs: no process, no connection, no file written beside the data."""

    def __init__(self, folder: Path):
        self.folder, self.armed = f"{folder}{os.sep}", False
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple) -> None:
        if not self.armed:
            return
        if event in ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect"):
            raise Breach(f"{event} {arguments}")
        writes = event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes and not os.path.realpath(os.fsdecode(arguments[0])).startswith(self.folder):
            raise Breach(f"wrote {arguments[0]!r}")


def attempt(fmt: Format, folder: Path, guard: Guard, quiet: list[Path]) -> str:
    """What came of it: "read", "refused", or what went wrong."""
    before, there = listing(*quiet), listing(folder)
    signal.setitimer(signal.ITIMER_PROF, CPU)
    signal.setitimer(signal.ITIMER_REAL, WALL)
    try:
        guard.armed = True
        fmt.read(folder)
        outcome = "read"
    except Mp3dError as error:
        outcome = "refused" if 0 < len(str(error)) < 3000 else f"a message of {len(str(error))} characters"
    except BaseException:
        outcome = traceback.format_exc(limit=-4)
    finally:
        guard.armed = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    if changed := set(listing(*quiet).items()) ^ set(before.items()):
        return f"changed outside its folder: {sorted(changed)[:3]}"
    out = str(folder / "out")
    new = {p: found for p, found in listing(folder).items() if there.get(p) != found}
    wild = [
        p
        for p, (mode, _) in new.items()
        if not p.startswith(out) or stat.S_IFMT(mode) not in (stat.S_IFREG, stat.S_IFDIR)
    ]
    if wild or (new and outcome == "refused" and any(stat.S_ISREG(mode) for mode, _ in new.values())):
        return f"left behind: {sorted(wild or new)[:3]}"
    shutil.rmtree(out, ignore_errors=True)
    return outcome


def campaign(name: str, fmt: Format, cases: int, seed: int, replay: int | None, base: Path, report: Any, number: Any):
    """Run one format's cases; in `number` stands which one is being read, for when this process does not return."""
    folder, quiet = base / "case", [base / "home", base / "cwd", EVIL.parent]
    for place in (folder, *quiet[:2]):
        place.mkdir()
    os.environ.update(HOME=str(quiet[0]), TMPDIR=str(quiet[0]))
    tempfile.tempdir = sys.pycache_prefix = None
    sys.dont_write_bytecode = True
    os.chdir(quiet[1])
    set_hypothesis_home_dir(base / "hypothesis")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGPROF, _alarm)

    fmt.write(folder)
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    names = [n for n in files if any(fnmatch(n, pattern) for pattern in fmt.keep)]
    trees = {n: decode(n, files[n]) for n in names}
    evil = {n: hostile(kind(n, files[n]), str(EVIL)) for n in names}
    for n in names:  # the other version of MATLAB's files
        evil[n] = evil[n] | (hostile("hdf5", str(EVIL)) if n.endswith(".mat") else {})
    fmt.before(folder)
    guard, seen, counts, slowest, failures = Guard(folder), set(), Counter(), (0.0, -1), {}
    with contextlib.suppress(Mp3dError):
        fmt.read(folder)  # once without the guard: libraries are loaded, and may do what they like
    shutil.rmtree(folder / "out", ignore_errors=True)
    if (outcome := attempt(fmt, folder, guard, quiet)) != "read":
        failures["fixture"] = f"{name}, the fixture itself: {outcome}"

    def case(plan: tuple[int, list]) -> None:
        nonlocal slowest
        n = names[plan[0] % len(names)]
        try:
            data, label = mutate(n, files[n], trees[n], plan[1], OTHERS, evil[n])
        except Exception:  # a structure that this format cannot hold
            hypothesis.reject()
        digest = hashlib.blake2b(n.encode() + (b"missing" if data is None else b":" + data), digest_size=12).digest()
        if data == files[n] or digest in seen or len(seen) >= cases:
            hypothesis.reject()
        number.value = len(seen)
        seen.add(digest)
        if replay not in (None, number.value):
            return
        start = time.perf_counter()
        try:
            (folder / n).unlink() if data is None else (folder / n).write_bytes(data)
            fmt.before(folder)
            outcome = attempt(fmt, folder, guard, quiet)
        except BaseException:  # of the harness: hypothesis would try again and wonder at the same bytes
            outcome = traceback.format_exc(limit=-4)
        slowest = max(slowest, (time.perf_counter() - start, number.value))
        if outcome == "read" and label and not label.endswith("?"):
            outcome = f"read a hostile file: {label}"
        counts[outcome if outcome in ("read", "refused") else "failed"] += 1
        if replay is not None or outcome not in ("read", "refused"):
            text = f"{name} --replay {number.value}: {n}: {label or plan[1]!r:.500}\n{outcome}"
            if replay is not None:
                text += f"\nfiles: {shutil.copytree(folder, f'{base}.case')}"
            failures.setdefault(outcome.splitlines()[-1][:60], text)
        (folder / n).write_bytes(files[n])

    # Every hostile file once; odd values in odd places, a third of all cases; then what is drawn.
    sure = {label: (i, [("hostile", sorted(evil[n]).index(label))]) for i, n in enumerate(names) for label in evil[n]}
    odd = [(i, [("set", at, v)]) for i, n in enumerate(names) for at in corners(trees[n]) for v in FIXED]
    for plan in [*sure.values(), *random.Random(seed).sample(odd, min(len(odd), cases // 3))]:
        with contextlib.suppress(UnsatisfiedAssumption):
            case(plan)
    for part in itertools.count():
        if len(seen) >= cases or (replay is not None and number.value >= replay):
            break
        quick = hypothesis.settings(
            max_examples=min(1000, cases - len(seen)),
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(seed * 1_000_003 + part)(quick(hypothesis.given(plans)(case)))()
    report.send((counts, slowest, list(failures.values())))


def run(name: str, fmt: Format, cases: int, seed: int = 0, replay: int | None = None) -> tuple[Counter, list[str]]:
    """Counts of one format's cases, and its failures."""
    fork = multiprocessing.get_context("fork")
    start = time.monotonic()
    counts, slowest, failures = Counter(), (0.0, -1), []
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=SHARED) as base:
        receive, send = fork.Pipe(False)
        number = fork.RawValue("q", -1)
        arguments = (name, fmt, cases, seed, replay, Path(base), send, number)
        child = fork.Process(target=campaign, args=arguments)
        child.start()
        send.close()
        last, since = None, time.monotonic()
        while not receive.poll(0.2) and time.monotonic() - since < WALL + 10:
            if number.value != last:
                last, since = number.value, time.monotonic()
        try:
            counts, slowest, failures = receive.recv() if receive.poll() else ({}, slowest, ["no end"])
        except EOFError:
            child.join()
            failures = [f"exit {child.exitcode}"]
        if failures in (["no end"], [f"exit {child.exitcode}"]):
            failures = [f"{name} --replay {number.value}: {failures[0]}"]
            counts = Counter(failed=1)
        child.kill()
        child.join()
    seconds = time.monotonic() - start
    line = f"{name:13}{counts.total():7,} cases{counts['refused']:8,} refused{counts['read']:7,} read{seconds:8.1f} s"
    print(f"{line}   slowest {1000 * slowest[0]:5.0f} ms (case {slowest[1]})", *failures, sep="\n", flush=True)
    return counts, failures


def everything() -> list[bytes]:
    """Every file of every fixture, to stand in another's place."""
    with tempfile.TemporaryDirectory() as folder:
        for i, fmt in enumerate(FORMATS.values()):
            (Path(folder) / str(i)).mkdir()
            fmt.write(Path(folder) / str(i))
        return [p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()]


OTHERS: list[bytes] = []
EVIL = Path(SHARED or tempfile.gettempdir()) / "mp3d-fuzz" / "evil"
"""What a hostile file would leave; nothing ever stands there. The same in every run, as the cases are."""
EVIL.parent.mkdir(exist_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="a format")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", type=int, help="this case alone; needs --format, and the same --cases and --seed")
    options = parser.parse_args(arguments)
    OTHERS[:] = OTHERS or everything()
    warnings.simplefilter("ignore")
    plans.validate()  # once, before the processes part
    for what in KINDS:
        hostile(what, str(EVIL))
    cases = options.cases
    found = [run(name, FORMATS[name], cases, options.seed, options.replay) for name in options.format]
    total = sum((counts for counts, _ in found), Counter())
    print(f"{'total':13}{total.total():7,} cases{total['refused']:8,} refused{total['read']:7,} read")
    return int(any(failures for _, failures in found))


if __name__ == "__main__":
    sys.exit(main())
