"""What holds of every notebook: pairs agree, outputs are stored, fresh, small, and tell of no
machine.

nbval runs the notebooks themselves (`make test`); these tests make sure that it has something to
compare: a notebook that was never run would pass it.
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mp3d import cli
from mp3d.claims import load_claims
from mp3d.experiments.smap import show as smap_show
from mp3d.notebook import PROFILES, TYPES

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = sorted({path.stem for path in FOLDER.glob("*.*") if path.suffix in (".py", ".ipynb")})
MOST_BYTES, MOST_LINES, MOST_CELL_LINES = 300_000, 150, 25
PLOTLY = "application/vnd.plotly.v1+json"


def problems(folder: Path, name: str) -> list[str]:
    """Everything that is wrong with notebooks/NAME.py and NAME.ipynb, in words."""
    script, path = folder / f"{name}.py", folder / f"{name}.ipynb"
    if missing := [p.name for p in (script, path) if not p.is_file()]:
        return [f"no {missing[0]}"]
    text, book = cli.read_script(script), nbformat.read(path, 4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    found = [*_pair(text, book), *_order(name, book, code)]

    if book.metadata.get("kernelspec") != cli.KERNEL or text.metadata.get("kernelspec") != cli.KERNEL:
        found.append("kernelspec is not python3's")
    mark = book.metadata.get("mp3d", {})
    if mark.get("code") != cli.code_hash(book):
        found.append(f"code changed since the outputs were stored: mp3d refresh {name}")
    if mark.get("profile") not in PROFILES:
        found.append("the profile of the stored outputs is not told")
    if (size := path.stat().st_size) > MOST_BYTES:
        found.append(f"{size} bytes, more than {MOST_BYTES}")
    lines = [len(cell.source.splitlines()) for cell in code]
    if sum(lines) > MOST_LINES:
        found.append(f"{sum(lines)} lines of code, more than {MOST_LINES}")
    if max(lines, default=0) > MOST_CELL_LINES:
        found.append(f"a cell of {max(lines)} lines, more than {MOST_CELL_LINES}")
    for cell in code:
        found += [f"{fault}: {cell.source[:40]!r}" for fault in _outputs(cell, mark.get("profile"))]
    return found


def _pair(text, book) -> list[str]:
    """The .py and the .ipynb say the same: kinds, sources and tags of all cells."""

    def cells(notebook):
        return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]

    one, other = cells(text), cells(book)
    if one == other:
        return []
    same = (a == b for a, b in zip(one, other, strict=False))
    return [f".py and .ipynb differ, first in cell {[*same, False].index(False)}"]


def _order(name: str, book, code) -> list[str]:
    """A title first, then the parameters, then begin; finish is the last code."""
    found = []
    if not (book.cells and book.cells[0].cell_type == "markdown" and book.cells[0].source.startswith("# ")):
        found.append("the first cell is no title")
    tagged = [i for i, c in enumerate(code) if "parameters" in c.metadata.get("tags", [])]
    if tagged != [0]:
        return [*found, "the first code cell is not the one and only parameters cell"]
    found += _parameters(code[0].source)
    begins = [i for i, cell in enumerate(code) if f'begin("{name}", globals()' in cell.source]
    if begins != [1] or "nbval-check-output" not in code[1].metadata.get("tags", []):
        found.append("the second code cell is not begin, tagged nbval-check-output")
    if "run.finish()" not in code[-1].source:
        found.append("the last code cell is not run.finish()")
    return found


def _parameters(source: str) -> list[str]:
    """Annotated with a type that begin can check, each with a default and a comment."""
    found, declared = [], {}
    for node in ast.parse(source).body:
        good = isinstance(node, ast.AnnAssign) and node.value is not None
        if not good or ast.unparse(node.annotation) not in TYPES:
            found.append(f"parameter without type or default: {ast.unparse(node)}")
            continue
        declared[node.target.id] = ast.literal_eval(node.value)
        if "#" not in source.splitlines()[node.end_lineno - 1]:
            found.append(f"parameter without a comment: {node.target.id}")
    if declared.get("profile") != "auto" or declared.get("out") != "" or "seed" not in declared:
        found.append('parameters lack profile = "auto", seed, or out = ""')
    return found


def _outputs(cell, profile: str | None) -> list[str]:
    """Stored where nbval compares; no error, warning or path; a PNG beside each figure."""
    found = []
    if cell.execution_count is None:
        found.append("never run")
    if "nbval-check-output" in cell.metadata.get("tags", []) and not cell.outputs:
        found.append("nothing stored for nbval to compare")
    for output in cell.outputs:
        if output.output_type == "error" or output.get("name") == "stderr":
            found.append(f"stored {output.get('name', 'error')}")
        data = output.get("data", {})
        if PLOTLY in data and "image/png" not in data and profile != "smoke":
            found.append("figure without PNG")
        if PLOTLY in data and "nbval-check-output" in cell.metadata.get("tags", []):
            found.append("a figure's digits differ between processors: not to be compared")
        texts = [v for kind, v in data.items() if kind.startswith("text/")]
        for text in [*texts, output.get("text", "")]:
            if place := re.search(r"(?<![\w./])(/(home|root|Users|tmp|work|opt|mnt)/|[A-Z]:\\)\S*", text):
                found.append(f"a path of some machine, {place.group()}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_notebook(name):
    assert problems(FOLDER, name) == []


def test_a_copy_elsewhere_is_not_paired():
    assert (FOLDER / "jupytext.toml").is_file()
    assert not (FOLDER.parent / "jupytext.toml").exists()


# -------------------------------------------------------- the rules themselves, on a small notebook
@pytest.fixture
def stored(toy):
    """The toy as a refresh leaves it, its outputs made up: how to change it and judge the change."""
    folder = toy / "notebooks"
    book = cli.read_script(folder / "toy.py")
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        if "nbval-check-output" in cell.metadata.get("tags", []):
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="the same\n")]
    data = {PLOTLY: {}, "image/png": "iVBO", "text/plain": "Figure a_line"}
    code[3].outputs = [nbformat.v4.new_output("display_data", data=data)]
    book.metadata = {"kernelspec": cli.KERNEL, "mp3d": {"code": cli.code_hash(book), "profile": "cpu"}}

    def judge(change=None):
        changed = nbformat.from_dict(json.loads(json.dumps(book)))
        if change:
            change(changed, [cell for cell in changed.cells if cell.cell_type == "code"])
        nbformat.write(changed, folder / "toy.ipynb")
        return problems(folder, "toy")

    return judge


def test_a_good_notebook_has_no_problems(stored):
    assert stored() == []


def output(**data):
    return nbformat.v4.new_output("display_data", data={k.replace("_", "/"): v for k, v in data.items()})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b, c: b.cells.pop(), "differ, first in cell"),
        (lambda b, c: b.cells[0].update(source="# Another"), "differ, first in cell 0"),
        (lambda b, c: c[3].metadata.update(tags=["nbval-skip"]), "differ, first in cell 4"),
        (lambda b, c: c[3].update(source=c[3].source + "\n1"), "code changed since"),
        (lambda b, c: b.metadata.pop("mp3d"), "profile of the stored"),
        (lambda b, c: b.metadata.kernelspec.update(name="other"), "kernelspec"),
        (lambda b, c: b.cells[0].update(source="A toy"), "no title"),
        (lambda b, c: c[0].metadata.pop("tags"), "parameters cell"),
        (lambda b, c: c[0].update(source='profile = "auto"'), "without type or default"),
        (lambda b, c: c[0].update(source='profile: str = "auto"'), "without a comment"),
        (lambda b, c: c[0].update(source='profile: str = "gpu"  # size'), 'lack profile = "auto"'),
        (lambda b, c: c[1].update(source=c[1].source.replace("toy", "tow")), "not begin"),
        (lambda b, c: c[-1].update(source="run"), "not run.finish()"),
        (lambda b, c: c[2].update(execution_count=None), "never run"),
        (lambda b, c: c[1].update(outputs=[]), "nothing stored for nbval"),
        (lambda b, c: c[3].update(source="1\n" * 26), "a cell of 26 lines"),
        (lambda b, c: c[3].update(source="1\n" * 151), "lines of code, more than 150"),
        (lambda b, c: c[3].outputs.append(output(text_html="x" * 300_000)), "bytes, more than"),
        (lambda b, c: c[3].outputs.append(output(text_html="in /tmp/x")), "path of some machine"),
        (lambda b, c: c[3].outputs[0].data.pop("image/png"), "figure without PNG"),
        (lambda b, c: c[3].metadata.update(tags=["nbval-check-output"]), "figure's digits"),
        (lambda b, c: c[1].outputs[0].update(name="stderr"), "stored stderr"),
    ],
)
def test_each_problem_is_seen(stored, change, told):
    assert any(told in problem for problem in stored(change)), stored(change)


def test_half_a_pair_is_seen(toy):
    assert problems(toy / "notebooks", "toy") == ["no toy.ipynb"]


def test_every_name_is_known_also_in_cells_that_only_readers_with_data_run():
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "F821",
        "--quiet",
        *map(str, FOLDER.glob("*.py")),
    ]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_claims_that_are_judged_exist(name):
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    for paper, rest in re.findall(r'run\.judge\(\s*"(\w+)",([^)]*)\)', text):
        load_claims(paper, *re.findall(r'(?<!f)"([A-Z]\w*\.\w*|ours\.\w+|audit\.\w+)"', rest))
    if name == "smap":
        for starts in smap_show.ASKED.values():
            load_claims("smap", *starts)
