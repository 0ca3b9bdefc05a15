"""The command line: `mp3d check`, `run`, `refresh`, `claims`, `data`, `evaluate`.

Commands import what they need when they are called, so that `mp3d --help` is immediate.
"""

import hashlib
import json
import os
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from mp3d.cli_data import data_app
from mp3d.cli_evaluate import evaluate_app
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.files import write
from mp3d.profiles import PROFILES

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__.splitlines()[0])
app.add_typer(data_app, name="data")
app.add_typer(evaluate_app, name="evaluate")

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
QUIET = ["--log-level=ERROR"]  # else each kernel warns the terminal of its local sockets
ACCEPTED = (".png", ".jpg", ".csv")  # what an accepted run keeps of its files, beside claims and run.json
BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"

Profile = Annotated[str, typer.Option(help=", ".join(["auto", *PROFILES]))]
Budget = Annotated[float | None, typer.Option(help="multiplies the training steps")]


def clone() -> Path:
    """The clone's folder, which holds the notebooks; `MissingData` if the package is not in one."""
    from mp3d.notebook import checkout

    if not (root := checkout()):
        raise MissingData(
            "the notebooks are not part of the installed package: clone the project and install it "
            "from there (make demo, or pip install -e .)"
        )
    return root


# ------------------------------------------------------------------------------------------- check
@app.command()
def check() -> None:
    """Say of everything that is needed whether it is there: OK or FAIL, and what to do."""
    found = _packages()
    if all(ok for ok, _ in found):  # else the rest cannot even be imported
        found += _machine()
    for ok, text in found:
        print(f"{'OK  ' if ok else 'FAIL'}  {text}")
    raise typer.Exit(0 if all(ok for ok, _ in found) else 1)


def _packages() -> list[tuple[bool, str]]:
    """Python, and each package that mp3d asks for."""
    from packaging.requirements import Requirement

    lock = _lock()
    lines = [(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} (3.11 or newer)")]
    for text in metadata.requires("mp3d") or []:
        need = Requirement(text)
        extra = next((x for x in ("notebooks", "export", "hdf5", "cdf", "dev") if _asks(need, x)), "")
        if need.name == "mp3d":
            continue
        wanted = f"{need.name}{need.specifier}"
        remedy = f'pip install "{wanted}", or make demo for the versions of the lock'
        try:
            version = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            optional = extra in ("export", "hdf5", "cdf", "dev")
            missing = f"{need.name}: none; not needed (extra {extra})"
            lines.append((optional, missing if optional else f"{need.name}: missing; {remedy}"))
            continue
        good = need.specifier.contains(version, prereleases=True)
        pin = lock.get(need.name.lower(), version)
        other = "" if version.partition("+")[0] == pin else f" (the lock has {pin})"
        remark = other if good else f": outside {need.specifier}; {remedy}"
        lines.append((good, f"{need.name} {version}{remark}"))
    return lines


def _lock() -> dict[str, str]:
    """Package to pinned version; empty outside a clone."""
    from mp3d import __file__ as package

    path = Path(package).parents[1] / "requirements.lock"
    lines = path.read_text().lower().splitlines() if path.is_file() else []
    return dict(line.split("==") for line in lines if "==" in line)


def _asks(need: Any, extra: str) -> bool:
    """Whether a requirement belongs to an extra, and not to the core."""
    marker = need.marker
    return bool(marker) and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _machine() -> list[tuple[bool, str]]:
    """Threads, GPU, kernel, browser, real files, data sets, and a folder for results."""
    import torch
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    from mp3d.data import manifest
    from mp3d.notebook import browser, checkout

    threads, cores = torch.get_num_threads(), os.cpu_count()
    lines = [(True, f"threads: torch uses {threads} of {cores} (OMP_NUM_THREADS changes that)")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; not needed"
    lines.append((True, f"GPU: {gpu}"))

    try:
        python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        lines.append((False, "kernel python3: missing; python -m ipykernel install --sys-prefix"))
    else:
        ours = "/" not in python or Path(python).resolve() == Path(sys.executable).resolve()
        remedy = f"starts {python}, not {sys.executable}; jupyter kernelspec remove python3"
        lines.append((ours, f"kernel python3: {'this Python' if ours else remedy}"))

    chrome = browser() or "none; not needed (figures stay interactive, without a PNG beside them)"
    lines.append((True, f"browser for PNGs: {chrome}"))

    samples = os.environ.get("MP3D_SAMPLES", "")
    text = samples or "none; not needed (MP3D_SAMPLES: the real files that some tests read)"
    missing = " is not a folder; correct MP3D_SAMPLES or unset it"
    good = not samples or Path(samples).is_dir()
    lines.append((good, f"real files: {text}" + ("" if good else missing)))

    data = manifest.root()
    good = data is None or data.is_dir()
    if data is None:
        text = "none; not needed (MP3D_DATA; mp3d data list)"
    elif good:
        text = f"{data}: {', '.join(sorted(p.name for p in data.iterdir() if p.is_dir())) or 'empty'}"
    else:
        text = f"{data} is not a folder; correct MP3D_DATA or unset it"
    lines.append((good, f"data sets: {text}"))

    place = checkout() or Path.cwd()
    free = os.access(place, os.W_OK)
    remedy = "" if free else " cannot be written to; run from a folder of your own"
    lines.append((free, f"results: {place / 'runs'}{remedy}"))
    return lines


# --------------------------------------------------------------------------------------------- run
@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="a name, such as pinet, or a path to an .ipynb")],
    profile: Profile = "auto",
    seed: Annotated[int | None, typer.Option(help="default: the notebook's own")] = None,
    budget: Budget = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="any other parameter, as NAME=VALUE; repeatable")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for results [default: runs/NAME/PROFILE]")] = None,
) -> None:
    """Run a notebook with papermill, and say where its tables and figures lie."""
    import papermill

    from mp3d.notebook import checkout, make_folder, resolve_profile

    path = Path(notebook) if notebook.endswith(".ipynb") else clone() / f"notebooks/{notebook}.ipynb"
    if not path.is_file():
        known = ", ".join(p.stem for p in sorted((clone() / "notebooks").glob("*.ipynb")))
        raise BadInput("mp3d run", "NOTEBOOK", notebook, f"one of {known}, or a path")
    name, profile = path.stem, resolve_profile(profile)
    values = {"profile": profile, "seed": seed, "budget": budget, **_pairs(parameter or [])}
    values = {key: value for key, value in values.items() if value is not None}
    folder = Path(values.get("out") or out or (checkout() or Path.cwd()) / "runs" / name / profile).absolute()
    values["out"] = str(folder)
    make_folder("mp3d run", folder)

    print(f"{name}, profile {profile}: {expected(name, profile, budget or 1.0)}")
    # Under another name until it is complete: the notebook of an earlier good run is not touched.
    part, done = folder / f"{name}.part.ipynb", folder / f"{name}.ipynb"
    try:
        papermill.execute_notebook(
            str(path),
            str(part),
            parameters=values,
            kernel_name="python3",
            extra_arguments=QUIET,
        )
    except papermill.PapermillExecutionError as error:
        print(f"mp3d: {error.ename}: {error.evalue}", file=sys.stderr)
        print(f"mp3d: the notebook up to this error: {_short(part)}", file=sys.stderr)
        raise typer.Exit(1) from None
    part.replace(done)
    report(folder, name)


def _pairs(texts: list[str]) -> dict[str, Any]:
    """NAME=VALUE, the value read as YAML, as papermill does."""
    import yaml

    for text in texts:
        if not re.fullmatch(r"\w+=.*", text):
            raise BadInput("mp3d run", "-p", repr(text), "NAME=VALUE")
    return {name: yaml.safe_load(value) for name, _, value in (t.partition("=") for t in texts)}


def _short(path: Path) -> Path:
    """A path from where the reader stands, if it lies below."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def expected(name: str, profile: str, budget: float) -> str:
    """How long a run from nothing will take: an accepted run's time, else the profile's bound."""
    import torch

    from mp3d.notebook import checkout

    accepted = (checkout() or Path.cwd()) / "figures" / name / profile / "run.json"
    if not accepted.is_file():
        return PROFILES[profile]
    facts = json.loads(accepted.read_text())
    then = facts["parameters"]
    minutes = facts["seconds_from_nothing"] / 60 * budget / then.get("budget", 1.0)
    if then.get("seeds"):
        return f"at most {minutes:.1f} min on {facts['device']}, where {then['seeds']} seeds took as long"
    here = "" if facts["device"].startswith("CPU") or torch.cuda.is_available() else "; hours here"
    return f"about {minutes:.1f} min on {facts['device']}, {facts['threads']} threads{here}"


def report(folder: Path, name: str) -> None:
    """Print where the results of a finished run are, and its verdicts."""
    facts = json.loads((folder / "run.json").read_text())
    print(f"done in {facts['seconds']:.0f} s")
    if (folder / "claims.json").is_file():
        from mp3d.claims import read, to_frame

        print(verdicts(to_frame(read(folder / "claims.json"))))
    tables = [file for file in facts["files"] if file.endswith(".csv")]
    print(f"tables:   {_short(folder)}/ {' '.join(tables)}")
    print(f"figures:  {_short(folder / 'index.html')} shows them all: open it in any browser")
    print(f"notebook: {_short(folder / f'{name}.ipynb')}: open it with make lab")


# ----------------------------------------------------------------------------------------- refresh
@app.command()
def refresh(
    notebook: Annotated[str, typer.Argument(help="a name, such as pinet")],
    profile: Profile = "auto",
    budget: Budget = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="any other parameter, as NAME=VALUE; repeatable")
    ] = None,
) -> None:
    """Run notebooks/NAME.py, and store outputs and figures as the accepted ones."""
    from mp3d.notebook import resolve_profile

    refresh_notebook(clone(), notebook, resolve_profile(profile), budget, **_pairs(parameter or []))


def refresh_notebook(root: Path, name: str, profile: str, budget: float | None = None, **more: Any) -> None:
    """Execute `root`/notebooks/NAME.py into its .ipynb and figures/NAME/PROFILE.

    Nothing of either is touched before all has succeeded. Where the outputs are equal, so are the
    bytes: no times, no random ids. The code's hash is stored, so that a later change of the code
    without a refresh shows (tests/test_notebooks.py).
    """
    import nbformat

    from mp3d.notebook import parameters

    script = root / "notebooks" / f"{name}.py"
    if not script.is_file():
        known = ", ".join(p.stem for p in sorted(script.parent.glob("*.py")))
        raise BadInput("mp3d refresh", "NOTEBOOK", name, f"one of {known}")
    book = read_script(script)
    cell = next((c for c in book.cells if "parameters" in c.metadata.get("tags", [])), None)
    if cell is None:
        raise BadInput(script, "parameters", "no cell with this tag", "one")
    results = root / "runs" / name / profile
    values: dict[str, Any] = {"profile": profile, "budget": budget, **more, "out": str(results)}
    values = {key: value for key, value in values.items() if value is not None}
    if unknown := [key for key in values if key not in parameters(cell.source)]:
        raise BadInput(script, "parameters", f"no {unknown[0]}", "an annotated default for it")

    plain = cell.source  # the values stand in the cell while it runs, not in what is stored
    cell.source += "".join(f"\n{key} = {value!r}" for key, value in values.items())
    execute(book, name)
    cell.source = plain
    book.metadata = {"kernelspec": KERNEL, "mp3d": {"code": code_hash(book), "profile": profile}}

    facts = json.loads((results / "run.json").read_text())
    kept = [f for f in facts["files"] if f == "claims.json" or f.endswith(ACCEPTED)]
    accepted = root / "figures" / name / profile
    fresh, old = accepted.with_name(f".{profile}.new"), accepted.with_name(f".{profile}.old")
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in kept:
        shutil.copyfile(results / file, fresh / file)
    facts = {**facts, "files": kept, "code": code_hash(book)}
    facts["parameters"].pop("out")  # a path of this machine
    (fresh / "run.json").write_text(json.dumps(facts, indent=1) + "\n")
    if accepted.exists():
        accepted.rename(old)
    fresh.rename(accepted)
    # Without indentation, a sixth of the bytes; nbformat cannot be told so.
    text = json.dumps(json.loads(nbformat.writes(book)), indent=0, ensure_ascii=False)
    write(script.with_suffix(".ipynb"), (text + "\n").encode())
    shutil.rmtree(old, ignore_errors=True)
    print(f"{name}: outputs and {len(kept)} files of profile {profile} accepted")


def read_script(script: Path) -> Any:
    """A .py (percent format) as a notebook without outputs; ids follow from the cells' text."""
    import jupytext

    book = jupytext.read(script, fmt="py:percent")
    seen: set[str] = set()
    for cell in book.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        text = cell.source
        while (ident := hashlib.sha256(text.encode()).hexdigest()[:12]) in seen:
            text += "'"
        cell.id = ident
        seen.add(ident)
    return book


def execute(book: Any, name: str) -> None:
    """Run all cells of a notebook in a fresh kernel, in place, recording no times."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from tqdm import tqdm

    bar = tqdm(total=len(book.cells), desc=name, unit="cell", disable=None)
    client = NotebookClient(
        book,
        timeout=None,
        extra_arguments=QUIET,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        on_cell_complete=lambda cell, cell_index: bar.update(cell_index + 1 - bar.n),
    )
    try:
        client.execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        what = f"{error.ename}: {error.evalue}"
        raise Mp3dError(f"notebook {name} failed, nothing was changed: {what}") from None
    finally:
        bar.close()


def code_hash(book: Any) -> str:
    """Hash of a notebook's code cells, in order."""
    code = "\n# %%\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


# ------------------------------------------------------------------------------------------ claims
@app.command()
def claims(
    profile: Annotated[str | None, typer.Option(help="of this profile alone [default: the largest accepted]")] = None,
    update_readme: Annotated[
        bool, typer.Option("--update-readme", help="write the README's tables of claims anew")
    ] = False,
) -> None:
    """Every claim with the verdict of the accepted runs."""
    from mp3d.claims import accepted, readme_block
    from mp3d.notebook import resolve_profile

    profile = resolve_profile(profile) if profile else None
    print(verdicts(accepted(clone() / "figures", profile)))
    if update_readme:
        readme = clone() / "README.md"
        write(readme, between_marks(readme, readme_block(clone() / "figures")).encode())


def verdicts(frame: Any) -> str:
    """A line for each claim of a frame of `claims.to_frame`, and a second one for what was found."""
    lines = []
    for name, row in frame.iterrows():
        lines.append(f"{row['verdict']:<13}{name}: {row['statement']}")
        if row["here"]:
            lines.append(f"{'':<13}{row['here']}")
    counts = frame["verdict"].value_counts()
    return "\n".join([*lines, ", ".join(f"{n} {verdict}" for verdict, n in counts.items())])


def between_marks(readme: Path, block: str) -> str:
    """The README's text with `block` between its marks; `BadInput` if it has no marks."""
    text = readme.read_text("utf-8")
    if not re.search(f"{BEGIN}.*{END}", text, re.DOTALL):
        raise BadInput(readme, "claims", "no marks", f"{BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{block}{END}{rest.split(END, 1)[1]}"


def main() -> None:
    """Run the command line; an error of mp3d is one line, not a traceback."""
    try:
        app()
    except Mp3dError as error:
        sys.exit(f"mp3d: {error}")


if __name__ == "__main__":
    main()
