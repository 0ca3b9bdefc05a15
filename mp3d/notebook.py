"""What every notebook begins with, shows its results with, and ends with.

    run = begin("pinet", globals())                 # the cell after the parameters
    run.provenance()
    run.show(fig, "gain_by_joint", "caption")       # interactive, and PNG where a browser is
    run.table(df, "caption", "table_2")             # a result: says profile, data, seeds
    run.claims(verdicts)
    run.finish()                                    # now the files are written

`table`, `source` and `exercise` show what does not depend on the run. Nothing here seeds a global
generator: the library takes seeds, so `run.seed` is handed on by the notebook.
"""

import ast
import base64
import difflib
import html
import inspect
import io
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from IPython import get_ipython
from IPython.display import display as show_bundle
from jaxtyping import UInt8
from PIL import Image
from plotly.offline import get_plotlyjs

from mp3d import __version__
from mp3d.claims import Run as Origin
from mp3d.claims import Verdict, dumps, judge, load_claims, to_frame
from mp3d.errors import BadInput
from mp3d.files import write
from mp3d.plots.style import MAX_POINTS, points
from mp3d.profiles import PROFILES
from mp3d.study import Study

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
VERSIONS = ("torch", "numpy", "scipy", "pandas", "plotly")
TYPES = {"str": str, "int": int, "float": float, "bool": bool}


# ----------------------------------------------------------------------------------- where and what
def checkout() -> Path | None:
    """The folder of the clone that this package is imported from, None if installed elsewhere."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "notebooks" / "jupytext.toml").is_file() else None


def parameters(source: str) -> dict[str, str]:
    """Annotated assignments at the top level of a piece of code: name to annotation, as written."""
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def resolve_profile(profile: str = "auto") -> str:
    """The profile to run: "auto" is `MP3D_PROFILE` if set, else "gpu" where CUDA is, else "cpu".

    Raises `BadInput` for a name that is not one of `PROFILES`.
    """
    where = "profile"
    if profile == "auto" and os.environ.get("MP3D_PROFILE"):
        where, profile = "environment variable MP3D_PROFILE", os.environ["MP3D_PROFILE"]
    if profile == "auto":
        profile = "gpu" if torch.cuda.is_available() else "cpu"
    if profile not in PROFILES:
        raise BadInput(where, "profile", repr(profile), "auto, " + ", ".join(PROFILES))
    return profile


def revision(*paths: str) -> str:
    """Git revision of the checkout, "+dirty" if one of `paths` changed; else the version."""
    root = checkout()

    def git(*words: str) -> str:
        call = ["git", "-C", str(root), *words]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    try:
        head = git("rev-parse", "--short=12", "HEAD") if root else ""
        if not head:
            return f"mp3d {__version__}"
        return head + ("+dirty" if git("status", "--porcelain", "--", *paths) else "")
    except (OSError, subprocess.CalledProcessError):
        return f"mp3d {__version__}"


def browser() -> str | None:
    """The browser that draws PNGs: `BROWSER_PATH`, else a Chromium or Chrome on the path."""
    found = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, BROWSERS)), None)
    return found if found and Path(found).is_file() else None


def png(figure: go.Figure) -> bytes | None:
    """A figure as PNG in 32 colours (a quarter of the bytes); None without kaleido or a browser."""
    try:
        import kaleido
    except ImportError:
        return None
    if not (path := browser()):
        return None
    layout = figure.layout
    size = {
        "width": layout.width or 800,
        "height": layout.height or 500,
        "scale": 1,
        "format": "png",
    }
    before = logging.root.manager.disable
    logging.disable()  # the browser's last words, cut short when it is closed, are logged as errors now and then
    try:
        raw = kaleido.calc_fig_sync(figure.to_dict(), opts=size, kopts={"path": path, "mathjax": False, "timeout": 60})
    except Exception as error:  # any failure of a foreign browser: the run goes on without pictures
        print(f"no PNG: {path} failed ({type(error).__name__}); the interactive figure is complete")
        return None
    finally:
        logging.disable(before)
    small = io.BytesIO()
    Image.open(io.BytesIO(raw)).convert("RGB").quantize(32, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        small, "PNG", optimize=True
    )
    return small.getvalue()


def make_folder(where: str, folder: Path) -> None:
    """Make a folder for results and try it; `BadInput` if nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        found = f"{folder} ({error.strerror})"
        raise BadInput(where, "out", found, "a folder that can be written to") from error


# ------------------------------------------------------------------------------------ what is shown
def display(text: str, **rich: object) -> None:
    """Show one output in several forms: plain `text`, and `html`, `markdown`, `png`, `jpeg`, `plotly`."""
    kinds = {
        "html": "text/html",
        "markdown": "text/markdown",
        "png": "image/png",
        "jpeg": "image/jpeg",
        "plotly": "application/vnd.plotly.v1+json",
    }
    if get_ipython() is None:  # a plain Python process
        print(text)
    else:
        bundle = {kinds[kind]: form for kind, form in rich.items() if form is not None}
        show_bundle({**bundle, "text/plain": text}, raw=True)


def _html(df: pd.DataFrame, caption: str, digits: int) -> str:
    """An HTML table that a screen reader can read: a caption, and headers with their scope."""
    index = not isinstance(df.index, pd.RangeIndex)
    text = df.to_html(border=0, na_rep="", index=index, float_format=f"{{:.{digits}f}}".format)
    text = text.replace(">", f">\n  <caption>{html.escape(caption)}</caption>", 1)
    text = re.sub(r"\n\s*(?=<t[dh]|</tr>)", "", text)  # a row a line: a third of a stored table is white space
    head, body = text.split("</thead>", 1)
    return head.replace("<th>", '<th scope="col">') + "</thead>" + body.replace("<th>", '<th scope="row">')


def table(df: pd.DataFrame, caption: str, digits: int = 1) -> None:
    """Show a table that does not depend on the run: symbols, counts, published numbers.

    Parameters
    ----------
    df : its index is shown unless it only numbers the rows
    caption : one sentence
    digits : decimals of floating-point columns
    """
    index = not isinstance(df.index, pd.RangeIndex)
    text = df.to_string(index=index, na_rep="", float_format=f"{{:.{digits}f}}".format)
    display(f"{caption}\n{text}", html=_html(df, caption, digits))


def source(thing: Callable | type) -> None:
    """Show the library's own source of a function, method or class: text and code cannot drift."""
    code = inspect.cleandoc("\n" + inspect.getsource(thing))
    name = f"{thing.__module__}.{thing.__qualname__}"
    display(f"# {name}\n{code}", markdown=f"`{name}`\n\n```python\n{code}\n```")


def exercise(attempt: object, solution: Callable, *cases: tuple) -> None:
    """Compare the reader's attempt with a tested solution, then show the solution, folded.

    Parameters
    ----------
    attempt : the reader's function, or a plain answer. `...`, and a function that returns None or
        `...`, is a stub
    solution : a function of the library; its source is what is shown
    cases : the arguments of each call; none means one call without arguments

    Notes
    -----
    Prints one line, and never raises on account of the attempt: an unsolved exercise must not stop
    the notebook.
    """
    verdict = "not yet"
    try:
        close = []
        for case in cases or ((),):
            answer = attempt(*case) if callable(attempt) else attempt
            if answer is None or answer is ...:
                break
            answer, truth = np.asarray(answer, float), np.asarray(solution(*case), float)
            same = answer.shape == truth.shape
            close.append(same and np.allclose(answer, truth, rtol=1e-4, atol=1e-6, equal_nan=True))
        else:
            verdict = f"close to the solution: {all(close)}"
    except Exception as error:  # whatever the reader wrote
        verdict = f"not yet: {type(error).__name__}: {error}"
    print(f"{solution.__name__}: {verdict}")
    code = inspect.cleandoc("\n" + inspect.getsource(solution))
    fold = f"<details><summary>Solution</summary>\n\n```python\n{code}\n```\n\n</details>"
    display(f"solution: {solution.__module__}.{solution.__name__}", markdown=fold)


# -------------------------------------------------------------------------------------------- a run
@dataclass
class Run:
    """One run of a notebook: its checked parameters and what it has shown. Made by `begin`."""

    name: str
    profile: str
    parameters: dict[str, Any]
    out: Path
    started: float = field(default_factory=time.time)
    _files: dict[str, bytes] = field(default_factory=dict, repr=False)
    _page: list[str] = field(default_factory=list, repr=False)
    _verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict, repr=False)
    _kept_seconds: float = field(default=0.0, repr=False)
    _made: set[str] = field(default_factory=set, repr=False)
    _found: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def seed(self) -> int:
        """The run's seed, to be handed to everything random."""
        return self.parameters["seed"]

    @property
    def budget(self) -> float:
        """What the profile's training steps are multiplied by."""
        return self.parameters.get("budget", 1.0)

    @property
    def device(self) -> torch.device:
        """CUDA where it is, else the CPU. A profile is a size, not a device."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def cache(self) -> Path:
        """Where studies and networks are kept for all notebooks: runs/cache, or in an `out` elsewhere."""
        runs = (checkout() or Path.cwd()) / "runs"
        return (runs if self.out.is_relative_to(runs) else self.out) / "cache"

    @property
    def workers(self) -> int:
        """Processes for a study: one a core, but one alone with a GPU, or for the smoke profile."""
        if self.device.type == "cuda" or self.profile == "smoke":
            return 1
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def study(self, study: Study) -> pd.DataFrame:
        """A study's table: units that are kept are read, the others run, a process a core.

        The time that kept units once took, and kept networks (`study.share`), counts towards the run's
        `seconds_from_nothing`: what a reader who starts without them has to expect.
        """
        self._kept_seconds += study.seconds_kept() / self.workers
        table = study.table(workers=self.workers)
        made, found = study.shared()
        self._made |= made
        self._found |= found
        return table

    def facts(self) -> dict[str, Any]:
        """Where the numbers come from: what goes into run.json."""
        cuda, seconds = self.device.type == "cuda", time.time() - self.started
        shared = sum(taken for file, taken in self._found.items() if file not in self._made) / self.workers
        return {
            "notebook": self.name,
            "profile": self.profile,
            "parameters": self.parameters,
            "revision": revision("mp3d", "requirements.lock", f"notebooks/{self.name}.py"),
            "device": torch.cuda.get_device_name() if cuda else f"CPU, {_processor()}",
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "versions": {package: metadata.version(package) for package in VERSIONS},
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "seconds_from_nothing": round(seconds + self._kept_seconds + shared, 1),
        }

    def provenance(self) -> None:
        """Show where this run's numbers come from, and where its files will be."""
        facts = self.facts()
        shown = {
            "revision": facts["revision"],
            "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
            "device": f"{facts['device']}, {facts['threads']} threads",
            "profile": f"{self.profile}, budget {self.budget:g}, seed {self.seed}",
            "results": _relative(self.out),
        }
        rows = pd.DataFrame({"value": shown.values()}, index=pd.Index(shown))
        table(rows, "Where the numbers of this run come from.")

    def _keep(self, name: str, suffix: str, content: bytes) -> None:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise BadInput(self.name, "name", repr(name), "small letters, digits and _: it names a file")
        self._files[name + suffix] = content

    def show(self, figure: go.Figure, name: str, caption: str = "") -> None:
        """Show a figure, and keep it for `finish`.

        The output holds plotly's own form, a PNG where a browser is found (GitHub and nbconvert
        draw nothing else; not in the smoke profile, which has no time for it), and one line of
        text.

        Parameters
        ----------
        figure : at most `MAX_POINTS` points (`plots.style.points`); else `BadInput`
        name : of the file, e.g. "gain_by_joint"
        caption : what the figure shows, in a sentence, for those who do not see it; default: its
            title
        """
        if points(figure) > MAX_POINTS:
            raise BadInput(f"figure {name}", "points", points(figure), f"at most {MAX_POINTS}")
        caption = caption or figure.layout.title.text or name
        picture = png(figure) if self.profile != "smoke" else None
        if picture:
            self._keep(name, ".png", picture)
        self._keep(name, ".json", figure.to_json().encode())
        drawn = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name)
        words = f"<figcaption>{html.escape(caption)}</figcaption>"
        self._page.append(f"<figure>{drawn}{words}</figure>")
        display(
            f"Figure {name}: {caption}",
            plotly={**json.loads(figure.to_json()), "config": {"responsive": True}},
            png=base64.b64encode(picture).decode() if picture else None,
        )

    def picture(self, pixels: UInt8[np.ndarray, "H W 3"], name: str, caption: str) -> None:
        """Show a picture, e.g. of `plots.sheet`, as JPEG, and keep it for `finish`."""
        stored = io.BytesIO()
        Image.fromarray(pixels).save(stored, "JPEG", quality=50, optimize=True)
        self._keep(name, ".jpg", stored.getvalue())
        coded = base64.b64encode(stored.getvalue()).decode()
        words = html.escape(caption)
        shown = f'<img src="data:image/jpeg;base64,{coded}" alt="{words}"/>'
        self._page.append(f"<figure>{shown}<figcaption>{words}</figcaption></figure>")
        display(f"Picture {name}: {caption}", jpeg=coded)

    def table(
        self,
        df: pd.DataFrame,
        caption: str,
        name: str,
        seeds: int = 1,
        protocol: str = "",
        digits: int = 1,
        data: str = "synthetic",
    ) -> None:
        """Show a table of results, keep it as CSV; profile, data and seeds end its caption.

        `seeds` is 0 where nothing is random.
        """
        origin = f"Profile {self.profile}, {data} data"
        origin += f", {seeds} seed{'s' * (seeds > 1)}" if seeds else ""
        caption = f"{caption} {origin}{', ' + protocol if protocol else ''}."
        index = not isinstance(df.index, pd.RangeIndex)
        self._keep(name, ".csv", df.to_csv(index=index, lineterminator="\n").encode())
        self._page.append(_html(df, caption, digits))
        table(df, caption, digits)

    def judge(self, paper: str, table: pd.DataFrame | None, *starts: str, data: str = "synthetic") -> None:
        """Show a study table's verdicts (None: audits') on the claims whose ids begin so, e.g. "T4", "ours.head"."""
        self.claims(judge(load_claims(paper, *starts), table), data)

    def claims(self, verdicts: Sequence[Verdict], data: str = "synthetic") -> None:
        """Show verdicts beside the results they judge; `finish` keeps all of a run's as claims.json."""
        facts = self.facts() | {"data": data, "budget": self.budget}
        origin = {name: facts[name] for name in Origin.model_fields}
        verdicts = [verdict.model_copy(update=origin) for verdict in verdicts]
        self._verdicts |= {(verdict.claim, data): verdict for verdict in verdicts}
        self._files["claims.json"] = dumps(list(self._verdicts.values()))
        caption = f"Claims. Profile {self.profile}, {data} data."
        shown = to_frame(verdicts)[["statement", "paper", "here", "verdict"]]
        self._page.append(_html(shown, caption, 1))
        text = "\n".join(f"{v.verdict:<13}{v.claim}" for v in verdicts)
        display(f"{caption}\n{text}", html=_html(shown, caption, 1))

    def finish(self) -> None:
        """Write figures, tables and claims to the run's folder, and a page that shows them all.

        run.json comes last: it says where the numbers come from and names the files. Files that an
        earlier run left and this one did not make are removed.
        """
        facts = {**self.facts(), "files": sorted(self._files)}
        seal = self.out / "run.json"
        before = json.loads(seal.read_text())["files"] if seal.is_file() else []
        seal.unlink(missing_ok=True)
        for name in set(before) - set(self._files):
            (self.out / name).unlink(missing_ok=True)
        for name, content in self._files.items():
            write(self.out / name, content)
        if any(name.endswith(".json") for name in self._files):
            write(self.out / "plotly.min.js", get_plotlyjs().encode())
        write(self.out / "index.html", _index(self.name, facts, self._page).encode())
        write(seal, (json.dumps(facts, indent=1) + "\n").encode())
        print(f"{self.name}: finished")


def begin(name: str, namespace: dict[str, Any], folders: bool = False) -> Run:
    """Check a notebook's parameters, before any work, and start its run.

    papermill goes on with the defaults when a parameter is misspelt; here that is an error, and so
    is a value of another type than annotated. What it prints is the same in every profile and on
    every machine.

    Parameters
    ----------
    name : the notebook's, e.g. "pinet"
    namespace : the notebook's `globals()`. `profile: str` and `seed: int` must be among its
        parameters; `budget`, `data` and `out` (the folder for results; default runs/NAME/PROFILE)
        have the meaning of DESIGN.md
    folders : whether `data` may also be a folder of data sets

    Raises
    ------
    BadInput
        unknown or mistyped parameter, unknown profile, `data` that is not there, or a folder for results that cannot
        be written to
    """
    cells = [cell for cell in namespace.get("In", []) if cell]
    if not cells and (root := checkout()) and (root / f"notebooks/{name}.py").is_file():
        cells = [(root / f"notebooks/{name}.py").read_text("utf-8")]  # nbval keeps no history of cells
    declared: dict[str, str] = {}
    injected: list[str] = []
    for cell in cells:
        try:
            declared |= parameters(cell)
            if cell.startswith("# Parameters\n"):  # what papermill writes over the cell that it injects
                injected = [n.targets[0].id for n in ast.parse(cell).body if isinstance(n, ast.Assign)]
        except SyntaxError:  # a cell that failed earlier in an interactive session
            continue
    where = f"notebook {name}"
    for word in injected:
        if word not in declared:
            near = difflib.get_close_matches(word, declared, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise BadInput(where, "parameter", repr(word), f"one of {', '.join(declared)}{hint}")
    for word in ("profile", "seed"):
        if word not in declared:
            raise BadInput(where, word, "no such parameter", f"{word} in the parameters cell, annotated")
    values = {word: _typed(where, word, namespace.get(word), declared[word]) for word in declared}

    data = values.get("data", "synthetic")
    if data != "synthetic" and not (folders and Path(data).expanduser().is_dir()):
        expected = "'synthetic', or a folder that is there" if folders else "'synthetic', all that this notebook reads"
        raise BadInput(where, "data", repr(data), expected)
    profile = resolve_profile(values["profile"])
    out = Path(values.get("out") or (checkout() or Path.cwd()) / "runs" / name / profile).absolute()
    make_folder(where, out)
    print(f"{name}: parameters {', '.join(values)}")
    return Run(name, profile, values, out)


def _typed(where: str, word: str, value: object, annotation: str) -> object:
    """The value, if it is of the annotated type (a whole number will do for a float)."""
    if annotation not in TYPES:
        raise BadInput(where, word, f"annotation {annotation}", "one of " + ", ".join(TYPES))
    if annotation == "float" and type(value) is int:
        return float(value)
    if type(value) is not TYPES[annotation]:
        raise BadInput(where, word, f"{value!r} ({type(value).__name__})", annotation)
    return value


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _relative(path: Path) -> str:
    """A path as seen from the checkout, so that stored outputs tell nothing of the machine."""
    root = checkout()
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name


def _index(name: str, facts: dict[str, Any], parts: list[str]) -> str:
    """One page with all figures and tables of a run; needs plotly.min.js beside it, no network."""
    style = (
        "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}table,figure{margin:2rem 0}"
        "caption,figcaption{text-align:left;padding:.5rem 0}"
        "td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}"
    )
    origin = html.escape(
        f"Profile {facts['profile']}, revision {facts['revision']}, {facts['device']}, "
        f"{facts['seconds']} s, {facts['started']}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<style>{style}</style><script src="plotly.min.js"></script></head>\n'
        f"<body><h1>{name}</h1><p>{origin}</p>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
