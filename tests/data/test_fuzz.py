"""A hundred damaged and hostile files a format, of the 10,000 of `make fuzz`; and that the harness sees faults."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given

from tests import mutations

ROOT = Path(__file__).resolve().parents[2]

# Readers with a fault each, of one JSON file, as formats of their own.
PLANTED = """
import json, os, pathlib, sys, time
from tests import fuzz
from mp3d.data import safe

def write(folder):
    (folder / "a.json").write_text('{"a": [1, 2, 3], "b": {"c": 1}}')

def raises(folder):  # a KeyError where a key is missing
    content = safe.load_json(folder / "a.json")
    return isinstance(content, dict) and content["a"]

def believes(folder):  # reads what must be refused
    return (folder / "a.json").exists() and (folder / "a.json").read_bytes()

def writes(folder):
    safe.load_json(folder / "a.json")
    pathlib.Path("beside").write_text("x")

def makes(folder):
    safe.load_json(folder / "a.json")
    os.mkdir(pathlib.Path.home() / str(time.time()))

def runs(folder):
    safe.load_json(folder / "a.json")
    os.system("true")

def spins(folder):
    while isinstance(safe.load_json(folder / "a.json"), list):
        pass

def sleeps(folder):
    if isinstance(safe.load_json(folder / "a.json"), list):
        time.sleep(99)

def crashes(folder):
    if isinstance(safe.load_json(folder / "a.json"), list):
        os.abort()

def talks(folder):
    raise safe.BadInput("a.json", "x" * 10_000, 1, 2)

def eats(folder):
    if isinstance(safe.load_json(folder / "a.json"), list):
        return bytes(4 << 30)

fuzz.CPU, fuzz.WALL = 0.2, 0.6
readers = (raises, believes, writes, makes, runs, spins, sleeps, crashes, talks, eats)
fuzz.FORMATS = {f.__name__: fuzz.Format(write, f) for f in readers}
sys.exit(fuzz.main(sys.argv[1:]))
"""


def command(*arguments: str, timeout: float | int = 250) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout
    )


def test_no_reader_does_more_than_read_or_refuse():
    """In a process of its own: without the checks of shapes, as readers run at work."""
    done = command("-m", "tests.fuzz", "--cases", "100")
    assert done.returncode == 0, done.stdout + done.stderr
    *formats, total = done.stdout.splitlines()
    assert len(formats) >= 23
    assert all(int(line.split()[1].replace(",", "")) == 100 for line in formats), done.stdout
    assert total.startswith("total")


@pytest.fixture(scope="module")
def planted() -> str:
    done = command("-c", PLANTED, "--cases", "30")
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


FOUND = {
    "raises": "KeyError: 'a'",
    "believes": "read a hostile file",
    "writes": "Breach: wrote",
    "makes": "changed outside its folder",
    "runs": "Breach: os.system",
    "spins": "a hang",
    "sleeps": "a hang",
    "crashes": "exit -6",
    "talks": "a message of 10",
    "eats": "MemoryError",
}


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_fault_is_found(planted, name):
    part = re.search(rf"^{name} +[\d,]+ cases.*?(?=^\w+ +[\d,]+ cases)", planted, re.S | re.M)[0]
    assert FOUND[name] in part
    assert f"{name} --replay" in part


def test_a_case_can_be_run_again(planted):
    line = next(line for line in planted.splitlines() if line.startswith("raises --replay"))
    number = line.split()[2].rstrip(":")
    done = command("-c", PLANTED, "--cases", "30", "--format", "raises", "--replay", number)
    assert done.returncode == 1
    assert line in done.stdout.splitlines()
    assert "KeyError: 'a'" in done.stdout
    files = Path(done.stdout.partition("files: ")[2].splitlines()[0])
    assert (files / "a.json").is_file()
    shutil.rmtree(files)


@given(mutations.plans)
def test_a_plan_does_what_it_says_twice(plan):
    data = b'{"a": [1, 2, 3], "b": {"c": [0.5, "x", null]}}'
    tree = mutations.decode("a.json", data)

    def once():
        try:
            return mutations.mutate("a.json", data, tree, plan[1], [b"[]", b"x"], {"evil": b""})
        except Exception as error:  # a structure that JSON cannot hold
            return type(error)

    assert once() == once()
    assert tree == mutations.decode("a.json", data)  # left as it was
