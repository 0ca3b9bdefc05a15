"""A refresh stores all or nothing, a run says what went wrong, a check says what to do."""

import json
import re
import sys

import nbformat
import pytest
from typer.testing import CliRunner

from mp3d import cli, notebook
from mp3d.claims import accepted
from mp3d.errors import BadInput, MissingData, Mp3dError


def call(*words: str):
    """What `mp3d WORDS` prints and returns."""
    result = CliRunner().invoke(cli.app, list(words))
    if isinstance(result.exception, Mp3dError):
        raise result.exception
    return result


def files(root) -> dict[str, bytes]:
    kept = ("notebooks", "figures")
    paths = [path for folder in kept for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


# --------------------------------------------------------------------------------------- refresh
def test_refresh_stores_outputs_and_figures_or_nothing(toy):
    cli.refresh_notebook(toy, "toy", "smoke", budget=0.5)
    first = files(toy)
    assert set(first) == {
        "notebooks/toy.py",
        "notebooks/toy.ipynb",
        "figures/toy/smoke/budget.csv",
        "figures/toy/smoke/run.json",
    }
    book = nbformat.reads(first["notebooks/toy.ipynb"].decode(), 4)
    nbformat.validate(book)
    script = cli.read_script(toy / "notebooks/toy.py")
    assert [cell.source for cell in book.cells] == [cell.source for cell in script.cells]
    assert book.cells[-1].outputs[0].text == "toy: finished\n"
    kinds = {kind for cell in book.cells[4:5] for out in cell.outputs for kind in out.data}
    assert kinds == {"application/vnd.plotly.v1+json", "text/html", "text/plain"}
    assert book.metadata.mp3d == {"code": cli.code_hash(script), "profile": "smoke"}
    assert set(book.metadata) == {"kernelspec", "mp3d"}
    assert str(toy) not in first["notebooks/toy.ipynb"].decode()
    facts = json.loads(first["figures/toy/smoke/run.json"])
    assert facts["parameters"] == {"profile": "smoke", "seed": 0, "budget": 0.5}
    assert first["figures/toy/smoke/budget.csv"] == b"budget\n0.5\n"
    assert facts["code"] == cli.code_hash(script)

    # Once more: where the outputs are equal, so are the bytes.
    cli.refresh_notebook(toy, "toy", "smoke", budget=0.5)
    second = files(toy)
    assert second["notebooks/toy.ipynb"] == first["notebooks/toy.ipynb"]

    # A run that fails on its way leaves all as it was.
    text = (toy / "notebooks/toy.py").read_text()
    broken = text.replace("run.table(", "1 / 0\nrun.table(")
    (toy / "notebooks/toy.py").write_text(broken)
    with pytest.raises(Mp3dError, match="toy failed, nothing was changed: ZeroDivisionError"):
        cli.refresh_notebook(toy, "toy", "smoke", budget=2.0)
    assert files(toy) == {**second, "notebooks/toy.py": broken.encode()}


def test_refresh_refuses_before_it_runs(toy):
    with pytest.raises(BadInput, match="found nope, expected one of toy"):
        cli.refresh_notebook(toy, "nope", "smoke")
    script = toy / "notebooks/toy.py"
    text = script.read_text()
    script.write_text(re.sub("budget: .*\n", "", text))
    with pytest.raises(BadInput, match="found no budget"):
        cli.refresh_notebook(toy, "toy", "smoke", budget=2.0)
    script.write_text(text.replace('["parameters"]', '["parameter"]'))
    with pytest.raises(BadInput, match="no cell with this tag"):
        cli.refresh_notebook(toy, "toy", "smoke")


def test_ids_follow_from_the_text(toy):
    script = toy / "notebooks/toy.py"
    script.write_text(script.read_text() + "\n# %%\nprint(1)\n\n# %%\nprint(1)\n")
    once, again = (cli.read_script(script) for _ in range(2))
    ids = [cell.id for cell in once.cells]
    assert ids == [cell.id for cell in again.cells]
    assert len(set(ids)) == len(ids)


# ------------------------------------------------------------------------------------------- run
def test_run_says_where_results_lie_and_keeps_them_when_the_next_run_fails(toy, capfd):
    book = cli.read_script(toy / "notebooks/toy.py")
    book.metadata = {"kernelspec": cli.KERNEL}
    path = toy / "notebooks/toy.ipynb"
    nbformat.write(book, path)
    words = ("run", str(path), "--profile", "smoke", "--out", str(toy / "out"))
    done = call(*words, "--seed", "4", "-p", "budget=3")
    assert done.exit_code == 0, done.output
    assert "toy, profile smoke: at most 20 s on 2 cores" in done.output
    assert "budget.csv" in done.output
    assert "index.html" in done.output
    assert (toy / "out/budget.csv").read_text() == "budget\n3.0\n"
    assert json.loads((toy / "out/run.json").read_text())["parameters"]["seed"] == 4
    before = (toy / "out/toy.ipynb").read_bytes()

    failed = call(*words, "-p", "sedd=4")
    assert failed.exit_code == 1
    assert "did you mean seed" in failed.output
    assert (toy / "out/toy.ipynb").read_bytes() == before
    assert (toy / "out/budget.csv").read_text() == "budget\n3.0\n"


def test_run_refuses_what_it_does_not_know(toy):
    with pytest.raises(BadInput, match="found nope, expected one of"):
        call("run", "nope")
    path = toy / "notebooks/toy.ipynb"
    path.touch()
    with pytest.raises(BadInput, match="'fast', expected auto, smoke"):
        call("run", str(path), "--profile", "fast")
    with pytest.raises(BadInput, match="found 'budget 3', expected NAME=VALUE"):
        call("run", str(path), "--profile", "smoke", "-p", "budget 3")
    (toy / "file").touch()
    with pytest.raises(BadInput, match=r"out: found .* expected a folder"):
        call("run", str(path), "--profile", "smoke", "--out", str(toy / "file/below"))


def test_the_expected_time_is_an_accepted_run_s(toy, monkeypatch):
    monkeypatch.setattr(notebook, "checkout", lambda: toy)
    assert cli.expected("toy", "cpu", 1.0) == "at most 10 min on 2 cores"
    folder = toy / "figures/toy/cpu"
    folder.mkdir(parents=True)
    facts = {"seconds": 9, "seconds_from_nothing": 180, "parameters": {"budget": 0.5}}
    facts |= {"device": "CPU, Z80", "threads": 2}
    (folder / "run.json").write_text(json.dumps(facts))
    assert cli.expected("toy", "cpu", 1.0) == "about 6.0 min on CPU, Z80, 2 threads"


def test_without_a_clone_the_notebooks_are_missing(monkeypatch):
    monkeypatch.setattr(notebook, "checkout", lambda: None)
    with pytest.raises(MissingData, match="clone the project"):
        call("run", "pinet")


# ----------------------------------------------------------------------------------------- check
def test_check_says_ok_or_fail_and_what_to_do(monkeypatch):
    monkeypatch.delenv("MP3D_SAMPLES", raising=False)
    good = call("check")
    lines = good.output.splitlines()
    assert all(re.match("(OK|FAIL)  ", line.replace("OK  ", "OK", 1)) for line in lines if line)
    assert "FAIL" not in good.output, good.output
    assert good.exit_code == 0
    for word in ("Python 3", "torch ", "threads", "GPU", "kernel python3", "browser", "results"):
        assert word in good.output
    monkeypatch.setenv("MP3D_SAMPLES", "nowhere")
    bad = call("check")
    assert "FAIL  real files: nowhere is not a folder; correct MP3D_SAMPLES" in bad.output
    monkeypatch.setenv("MP3D_DATA", "nowhere either")
    assert "FAIL  data sets: nowhere either is not a folder; correct MP3D_DATA" in call("check").output
    assert bad.exit_code == 1


def test_check_of_versions(monkeypatch):
    needs = [
        "numpy>=99",
        "scipy>=0.1",
        "nosuchpackage>=1",
        'nosuchextra>=1; extra == "export"',
        'mp3d[dev]; extra == "all"',
    ]
    monkeypatch.setattr(cli.metadata, "requires", lambda _: needs)
    monkeypatch.setattr(cli, "_lock", lambda: {"scipy": "0.1"})
    (python, numpy, scipy, missing, extra) = cli._packages()
    assert python[0]
    assert not numpy[0]
    assert 'outside >=99; pip install "numpy>=99"' in numpy[1]
    assert scipy[0]
    assert scipy[1].endswith("(the lock has 0.1)")
    assert not missing[0]
    assert "missing; pip install" in missing[1]
    assert extra == (True, "nosuchextra: none; not needed (extra export)")


def test_an_error_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mp3d", "run", "nope"])
    with pytest.raises(SystemExit, match=r"^mp3d: mp3d run: NOTEBOOK: found nope[^\n]*$"):
        cli.main()


# ---------------------------------------------------------------------------------------- claims
def test_claims_lists_every_claim_with_a_verdict():
    shown = call("claims").output
    frame = accepted(cli.clone() / "figures")
    for name, row in frame.iterrows():
        assert f"{row['verdict']:<13}{name}: " in shown


def test_the_readme_s_block_is_replaced_between_its_marks(toy, monkeypatch):
    monkeypatch.setattr(notebook, "checkout", lambda: toy)
    readme = toy / "README.md"
    readme.write_text(f"# before\n{cli.BEGIN}\nstale\n{cli.END}\nafter\n")
    assert call("claims", "--update-readme").exit_code == 0
    text = readme.read_text()
    assert text.startswith(f"# before\n{cli.BEGIN}\n###")
    assert text.endswith(f"{cli.END}\nafter\n")
    assert "stale" not in text
    assert call("claims", "--update-readme").exit_code == 0
    assert readme.read_text() == text
    readme.write_text("# no marks\n")
    with pytest.raises(BadInput, match="found no marks"):
        call("claims", "--update-readme")


def test_the_readme_is_up_to_date():
    from mp3d.claims import readme_block

    readme = cli.clone() / "README.md"
    block = readme_block(cli.clone() / "figures")
    stale = "run mp3d claims --update-readme"
    assert cli.between_marks(readme, block) == readme.read_text("utf-8"), stale
