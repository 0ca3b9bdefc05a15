"""The pins agree, the package is light and clean, its parts know only what is to their left."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from jaxtyping import TypeCheckError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mp3d

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]

# DESIGN section 1: data flows from left to right; no module imports one that stands to its right.
LAYERS = [
    {"errors"},
    {"files", "profiles"},
    {"skeletons", "camera"},
    {"scene"},
    {"batch"},
    {"data", "synthetic"},
    {"codings", "canvas"},
    {"nn"},
    {"training"},
    {"papers"},
    {"metrics"},
    {"study", "published"},
    {"claims"},
    {"plots", "coupling"},
    {"experiments", "exercises"},
    {"notebook"},
    {"cli_data", "cli_evaluate"},
    {"cli"},
]
# What the order alone does not say: these know nothing of each other.
APART = [("metrics", "papers"), ("metrics", "nn"), ("metrics", "training"), ("study", "papers")]


def pins() -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in (p.split("==") for p in LOCK)}


def test_the_lock_holds_exact_public_versions():
    loose = [p for p in LOCK if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", p)]
    assert loose == []  # so no local version, no path, no address
    assert len(pins()) == len(LOCK)
    assert pins()["torch"] == "2.13.0"


@pytest.mark.parametrize("extra", ["core", *EXTRAS])
def test_every_dependency_is_pinned_within_its_range(extra):
    for need in map(Requirement, EXTRAS.get(extra, PROJECT["dependencies"])):
        if need.name != "mp3d":
            assert need.specifier, f"{need.name} has no range"
            version = pins()[canonicalize_name(need.name)]
            assert need.specifier.contains(version), f"{need} but {version} in requirements.lock"


def test_the_extra_all_is_all():
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.name == "mp3d"
    assert everything.extras == set(EXTRAS) - {"all"}


def test_conda_installs_the_same():
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert conda == ["python" + PROJECT["requires-python"], "pip"]
    assert pip == {"pip": ["-r requirements.lock", "-e .[all]"]}


def test_the_version_stands_once():
    assert PROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == mp3d.__version__


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(mp3d.__path__, "mp3d.")]


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_mp3d_alone_is_light():
    heavy = python("import mp3d, sys; print(*{'torch', 'numpy', 'pandas'} & set(sys.modules))")
    assert heavy.stdout.strip() == "", heavy.stderr
    assert heavy.returncode == 0


def test_importing_prints_nothing():
    names = [name for name in modules() if not name.endswith("__main__")]
    done = python("\n".join(f"import {name}" for name in names))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def imported(path: Path) -> set[str]:
    """Which parts of mp3d a file imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "mp3d":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mp3d."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            found |= {p[1] for p in parts if p[0] == "mp3d" and len(p) > 1}
    return found


def test_no_part_imports_one_to_its_right():
    rank = {part: place for place, layer in enumerate(LAYERS) for part in layer}
    wrong = []
    for path in sorted((ROOT / "mp3d").rglob("*.py")):
        part = path.relative_to(ROOT / "mp3d").parts[0].removesuffix(".py")
        if part in ("__init__", "__main__"):
            continue
        assert part in rank, f"{part} is new: give it its place in LAYERS"
        for other in imported(path) & set(rank):
            if rank[other] > rank[part] or (part, other) in APART:
                wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert wrong == []


def test_shapes_are_checked_in_the_tests():
    camera = importlib.import_module("mp3d.camera")
    with pytest.raises(TypeCheckError):
        camera.project(np.zeros((4, 2)), np.ones(4))  # two coordinates instead of three


def test_no_file_tells_of_the_machine_it_was_made_on():
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git clone")
    places = re.compile("(?<![\\w.])/(" + "|".join(("work", "root", "home", "Users", "opt")) + ")/")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in (".png", ".jpg", ".ipynb", ".gz") or not path.is_file():
            continue  # pictures and hashes; notebooks have their own test
        found += [f"{name}: {m.group()}" for m in places.finditer(path.read_text())]
    assert found == []
