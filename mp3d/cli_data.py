"""`mp3d data`: which data sets there are and how to get them; fetch, import, verify, make.

`$MP3D_DATA`, or `--root`, is the folder that holds one folder for each data set, named by its id.
"""

import json
import shutil
import tempfile
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from mp3d.errors import BadInput, MissingData

data_app = typer.Typer(no_args_is_help=True, help="Data sets: list, fetch, import, verify, make.")

FORMATS = ("mupots", "muco", "panoptic", "jta", "human36m", "coco")
Root = Annotated[Path | None, typer.Option(help="holds a folder for each data set [default: $MP3D_DATA]")]


def _root(root: Path | None) -> Path:
    from mp3d.data import manifest

    if (found := manifest.root(root)) is None:
        raise MissingData(f"where to? Give --root, or set {manifest.VARIABLE}, the folder that holds all data sets")
    return found


@data_app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="ID", help="all that is known of this one")] = None,
    root: Root = None,
) -> None:
    """Each data set: what, under which licence, how to get it, whether it is here."""
    from mp3d.data import manifest

    base = manifest.root(root)
    if name is not None:
        print(_details(manifest.get(name), base))
        return
    print(f"{'id':<14}{'what':<43}{'licence':<20}{'access':<14}here")
    for dataset in manifest.load().datasets:
        title, licence = _cut(dataset.title, 41), _cut(dataset.licence.name, 18)
        print(f"{dataset.id:<14}{title:<43}{licence:<20}{dataset.access.kind:<14}{_state(dataset, base)}")
    print(
        f"\nhere: in {base}"
        if base
        else f"\nhere: {manifest.VARIABLE} is not set; it names the folder with all of them"
    )
    print("mp3d data list ID says how to get one, and what it holds.")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _state(dataset, base: Path | None) -> str:
    from mp3d.data import manifest

    if dataset.access.kind == "builtin":
        return "built in"
    return "present" if base and manifest.present(base / dataset.id) else "absent"


def _details(dataset, base: Path | None) -> str:
    state = _state(dataset, base)
    lines = [f"{dataset.id}: {dataset.title}", f"  {dataset.homepage or 'part of mp3d'}", ""]
    lines.append(f"here: {f'present at {base / dataset.id}' if state == 'present' else state}")
    terms = dataset.licence
    read = "" if terms.verified else " (not read by us: see for yourself)"
    lines.append(f"licence: {terms.name}: {terms.summary}{read}")
    lines.append(
        f"access: {dataset.access.kind}{'; mp3d data fetch ' + dataset.id if dataset.access.automated else ''}"
    )
    lines += dataset.numbered
    if dataset.urls:
        lines += ["addresses:", *(f"  {url.url}\n    {url.what}" for url in dataset.urls)]
    lines.append("facts:")
    for fact in type(dataset.facts).model_fields:
        if fact != "notes":
            value, note = getattr(dataset.facts, fact), dataset.facts.notes.get(fact, "")
            text = "unknown" if value is None else json.dumps(value, default=str, ensure_ascii=False)
            lines.append(f"  {fact}: {text.strip(chr(34))}{f'  [{note}]' if note else ''}")
    lines.append(f"used by: {', '.join(dataset.used_by) or 'no notebook yet'}")
    lines.append(f"cite: {dataset.citation} in references.bib")
    return "\n".join(lines)


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="ID")],
    root: Root = None,
    file: Annotated[list[str] | None, typer.Option(help="only this file of it, optional ones too; repeatable")] = None,
) -> None:
    """Download a data set whose access is open; of any other, say how to get it."""
    from mp3d.data import fetch as download
    from mp3d.data import manifest

    dataset = manifest.get(name)
    download.wanted(dataset, file)  # how to get it, before anyone is asked where to
    folder = _root(root) / name
    paths = download.fetch(dataset, folder, file)
    print(f"{name}: {len(paths)} files, each with its hash, in {folder}")
    for path in paths:
        if path.suffix in (".zip", ".gz", ".tgz"):
            print(f"unpack: mp3d data import {name} {path}")


@data_app.command("import")
def import_(
    name: Annotated[str, typer.Argument(metavar="ID")],
    archive: Annotated[Path, typer.Argument(help="a zip or tar that you downloaded")],
    root: Root = None,
) -> None:
    """Unpack an archive into the data set's folder, after a look at every name in it: all of it or nothing."""
    from mp3d.data import manifest
    from mp3d.data.archives import extract
    from mp3d.data.verify import Known, compare

    dataset = manifest.get(name)
    if dataset.access.kind == "builtin":
        raise BadInput("mp3d data import", "ID", name, "a data set that is not made here")
    folder = _root(root) / name
    if not archive.is_file():
        raise MissingData(f"{archive}: no such file")
    for file in dataset.files:
        if file.confidence and Path(file.path).name == archive.name:
            known = Known(file.bytes, file.sha256, file.md5, file.hash_source or "", file.confidence)
            if text := compare(archive, known):
                if known.mismatch == "failure":
                    raise BadInput(archive, "hash", text, "the file that the manifest knows")
                print(f"warning: {archive.name}: {text}")
    paths = extract(archive, folder)
    print(f"{name}: {len(paths)} files in {folder}\ncheck: mp3d data verify {name} --level semantic")


@data_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="default: all that are here")] = None,
    root: Root = None,
    level: Annotated[str, typer.Option(help="layout, size, hash or semantic; each with those before it")] = "layout",
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
    update_lock: Annotated[
        bool, typer.Option("--update-lock", help="believe the files as they are, where no hash is known")
    ] = False,
) -> None:
    """Compare data sets on disk with the manifest. Exit code 0: ok; 1: failure; 2: warnings only; 3: absent."""
    from mp3d.data import manifest
    from mp3d.data import verify as checks

    base = _root(root)
    if level not in checks.LEVELS:
        raise BadInput("mp3d data verify", "--level", repr(level), "one of " + ", ".join(checks.LEVELS))
    if names:
        datasets = [manifest.get(name) for name in names]
    else:
        datasets = [dataset for dataset in manifest.load().datasets if _state(dataset, base) == "present"]
    findings = [f for dataset in datasets for f in checks.verify(dataset, base / dataset.id, level, update_lock)]
    if not datasets:
        findings = [checks.Finding("all", "layout", "absent", str(base), "no data set is here; mp3d data list")]
    print(checks.to_json(findings) if as_json else "\n".join(map(str, findings)))
    raise typer.Exit(checks.exit_code(findings))


@data_app.command()
def make(
    world: Annotated[str, typer.Argument(help="duet or studio")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where to; must be empty or not there")],
    format: Annotated[str, typer.Option(help=", ".join(FORMATS))],
    sequences: Annotated[int, typer.Option(min=1, help="how many of the world's videos")] = 3,
    frames: Annotated[int, typer.Option(min=1, help="of each video")] = 50,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Write a synthetic world in the format of a real data set."""
    import importlib

    from mp3d import __version__
    from mp3d.files import write
    from mp3d.synthetic import worlds

    if format not in FORMATS:
        raise BadInput("mp3d data make", "--format", repr(format), "one of " + ", ".join(FORMATS))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("mp3d data make", "DIR", f"{folder}, which is not empty", "a folder that is empty or not there")
    made = worlds.sequences(world, seed, frames=frames)[:sequences]
    facts = {"world": world, "split": "test", "sequences": len(made), "frames": frames, "seed": seed}
    facts |= {"format": format, "mp3d": __version__, "note": "synthetic people: numbers on them are no results on data"}
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise BadInput("mp3d data make", "DIR", error, "a place that can be written to") from None
    try:
        importlib.import_module(f"mp3d.data.writers.{format}").write(chain.from_iterable(made), part)
        write(part / "provenance.json", (json.dumps(facts, indent=1) + "\n").encode())
        if folder.exists():
            folder.rmdir()
        part.chmod(0o755)  # mkdtemp's folders are for their owner alone
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{world}: {len(made)} videos of {frames} frames, as {format}, in {folder}")
