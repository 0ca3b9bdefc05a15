"""`data_manifest.yaml`: every data set, under which terms it may be had, what it holds, how to check it.

The file stands at the project's root, for people to read; these classes say what may stand in it. A fact that is
somebody's word says whose, a hash that is unknown is null with the reason, and nothing is downloaded that asks for an
account, a registration or a click.
"""

import datetime
import importlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mp3d.errors import BadInput, MissingData

ROOT = Path(__file__).resolve().parents[2]
"""The clone: the manifest and the lists of hashes are named from here."""
PATH = ROOT / "data_manifest.yaml"
VARIABLE = "MP3D_DATA"
"""Environment variable: the folder with one sub-folder for each data set, named by its id."""


def _relative(text: str) -> str:
    """A path or glob below the data set's folder."""
    if re.search(r"[\x00-\x1f\\]|^/|^[A-Za-z]:", text) or ".." in text.split("/"):
        raise ValueError("not a relative path without ..")
    return text


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Relative = Annotated[Text, AfterValidator(_relative)]
Address = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Confidence = Literal["official", "multiple", "single"]
"""Whose word it is: the publisher's; that of several independent copies that agree; one third party's."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Access(_Model):
    """How anyone gets the data; mp3d fetches it only if it is open and `automated`."""

    kind: Literal["open", "click_through", "account", "email", "builtin"]
    steps: Annotated[tuple[Text, ...], Field(min_length=1)]
    automated: bool

    @model_validator(mode="after")
    def _open(self) -> "Access":
        if self.automated and self.kind != "open":
            raise ValueError(f"automated, but {self.kind}")
        return self


class Licence(_Model):
    """Terms; `verified` once somebody has read them, not only heard of them."""

    name: Text
    spdx: Text | None
    url: Address | None
    redistribute: Literal["yes", "no", "share_alike", "unknown"]
    commercial: bool | None
    summary: Text
    verified: bool


class Url(_Model):
    """An address, what is there, when that was seen, and of which data set it is a mirror."""

    url: Address
    what: Text
    as_of: datetime.date | None
    mirror_of: Id | None


class File(_Model):
    """A file, what is known of its bytes, and addresses in the order in which they are tried.

    `required`: fetched unless told otherwise; the others one by one (`mp3d data fetch ID --file PATH`).
    """

    path: Relative
    bytes: Annotated[int, Field(ge=1)] | None
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None
    hash_source: Text | None
    confidence: Confidence | None
    reason: Text | None
    required: bool
    splits: Annotated[tuple[Text, ...], Field(alias="for")]
    urls: tuple[Address, ...] = ()

    @model_validator(mode="after")
    def _hashes(self) -> "File":
        if self.sha256 is None and self.reason is None:
            raise ValueError("sha256 is null without a reason")
        known = self.sha256 is not None or self.md5 is not None
        if known != (self.hash_source is not None) or known != (self.confidence is not None):
            raise ValueError("a hash, its hash_source and its confidence belong together")
        return self


class HashList(_Model):
    """sha256 and bytes of many files, in a CSV of the package; `base_urls` are where they can be fetched."""

    glob: Relative
    csv: Annotated[Relative, StringConstraints(pattern=r"^mp3d/data/hashes/\w+\.csv(\.gz)?$")]
    columns: tuple[Literal["path"], Literal["sha256"], Literal["bytes"]]
    hash_source: Text
    confidence: Confidence
    base_urls: tuple[Address, ...] = ()


class Layout(_Model):
    """How many files a glob finds, in which format, and how many of them `verify` opens."""

    glob: Relative
    min: Annotated[int, Field(ge=0)]
    max: Annotated[int, Field(ge=0)] | None
    format: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]+$")]
    required: bool
    sample: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _range(self) -> "Layout":
        if self.max is not None and self.max < self.min:
            raise ValueError("max is less than min")
        return self


class Facts(_Model):
    """What the data is; a fact that is null, or somebody's word, has a line in `notes`."""

    frames: Any
    sequences: Any
    persons: Any
    image_size: Any
    fps: Any
    unit: Any
    frame_index_base: Any
    joint_set: Any
    root: Any
    camera: Any
    coordinate_frame: Any
    notes: dict[str, Text]

    @model_validator(mode="after")
    def _notes(self) -> "Facts":
        names = set(type(self).model_fields) - {"notes"}
        if unknown := set(self.notes) - names:
            raise ValueError(f"a note on {min(unknown)}, which is no fact")
        if bare := [name for name in sorted(names) if getattr(self, name) is None and name not in self.notes]:
            raise ValueError(f"{bare[0]} is null without a note")
        return self


class Split(_Model):
    """Which part is for what."""

    sequences: tuple[str | int, ...] | None
    cameras: tuple[str | int, ...] | None
    sampling: dict[str, Any]
    count: int | None
    source: Text
    confidence: Confidence


class Protocol(_Model):
    """How a paper scores on it."""

    split: Text
    metric: Text
    joints: Text
    notes: Text


class Fixture(_Model):
    """What writes a tiny data set in the exact format."""

    builder: Annotated[str, StringConstraints(pattern=r"^mp3d\.data\.writers\.[a-z0-9_]+\.fixture$")]
    seed: int


class Check(_Model):
    """A test of what the files mean, `mp3d.data.verify.CHECKS` and `FILE_CHECKS`."""

    id: Id
    kind: Literal["reprojection", "y_down", "in_front", "inside", "length", "focal", "count", "num_keypoints"]
    params: dict[str, Any]
    tolerance: Annotated[dict[str, float | int], Field(min_length=1)]


class Dataset(_Model):
    """One entry."""

    id: Id
    title: Text
    homepage: Address | None
    citation: Text
    access: Access
    licence: Licence
    urls: tuple[Url, ...]
    files: tuple[File, ...]
    hash_lists: tuple[HashList, ...]
    layout: tuple[Layout, ...]
    facts: Facts
    splits: dict[str, Split]
    protocols: dict[str, Protocol]
    used_by: tuple[Annotated[str, StringConstraints(pattern=r"^notebooks/[a-z0-9_]+\.ipynb$")], ...]
    fixtures: Fixture | None
    checks: tuple[Check, ...]

    @model_validator(mode="after")
    def _unique(self) -> "Dataset":
        for what, names in (("file", [f.path for f in self.files]), ("check", [c.id for c in self.checks])):
            if double := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{what} {min(double)} is there twice")
        if self.access.automated and not self.fetchable:
            raise ValueError("automated, but no address with a hash")
        for name, protocol in self.protocols.items():
            if protocol.split not in self.splits:
                raise ValueError(f"protocol {name} is of the split {protocol.split}, which is not there")
        return self

    @property
    def fetchable(self) -> bool:
        """Whether it names something to download."""
        hashed = any(file.urls and (file.sha256 or file.md5) for file in self.files)
        return hashed or any(found.base_urls for found in self.hash_lists)

    @property
    def numbered(self) -> list[str]:
        """How to get it, a numbered line a step."""
        return [f"  {i}. {step}" for i, step in enumerate(self.access.steps, 1)]

    @property
    def steps(self) -> str:
        """What it is, and how to get it."""
        return "\n".join([f"{self.title} ({self.licence.name}; {self.licence.summary})", *self.numbered])


class Manifest(_Model):
    """The whole file."""

    version: Annotated[Literal["mp3d.data_manifest/1"], Field(alias="schema")]
    datasets: tuple[Dataset, ...]

    @model_validator(mode="after")
    def _unique(self) -> "Manifest":
        names = [dataset.id for dataset in self.datasets]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"id {min(double)} is there twice")
        return self


class _Loader(yaml.SafeLoader):
    """YAML without repeated keys (the last would win, unseen) and without aliases (which can grow without end)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"{self.peek_event().start_mark}: an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if (name := (key.tag, key.value if isinstance(key.value, str) else "")) in seen:
                raise yaml.YAMLError(f"{key.start_mark}: key {name[1]!r} is there twice")
            seen.add(name)
        return super().construct_mapping(node, deep)


def load(path: Path | None = None) -> Manifest:
    """The manifest, the project's own by default.

    Raises
    ------
    BadInput
        that names the field, e.g. "coco2017.files[1].sha256"
    MissingData
        if the package was installed without the clone in which the manifest stands
    """
    return _load(PATH if path is None else Path(path))


@cache
def _load(path: Path) -> Manifest:
    if not path.is_file():
        raise MissingData(
            f"{path}: not there; the manifest is part of the clone: git clone the project, pip install -e ."
        )
    try:
        content = yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506, a SafeLoader of our own
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise BadInput(path.name, "YAML", " ".join(str(error).split())[:200], "YAML without repeated keys") from None
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        try:
            field, found = _field(first["loc"], content), f"{first['input']!r:.60}"
        except ValueError:  # YAML's 1:59:59... can make an integer of more digits than Python prints
            field, found = "contents", "a number too long to print"
        raise BadInput(path.name, field[:200], found, first["msg"][:200]) from None


def _field(place: tuple[str | int, ...], content: Any) -> str:
    """("datasets", 3, "files", 0, "md5") as "coco2017.files[0].md5"."""
    start = ""
    if place[:1] == ("datasets",) and len(place) > 1 and isinstance(content["datasets"], list):
        entry = content["datasets"][place[1]]
        start = str(entry.get("id", f"datasets[{place[1]}]")) if isinstance(entry, dict) else f"datasets[{place[1]}]"
        place = place[2:]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return (start + text).lstrip(".") or "contents"


def get(name: str, manifest: Manifest | None = None) -> Dataset:
    """The entry of this id; `BadInput` that lists the ids if there is none."""
    datasets = (manifest or load()).datasets
    for dataset in datasets:
        if dataset.id == name:
            return dataset
    raise BadInput("data_manifest.yaml", "id", repr(name)[:60], "one of " + ", ".join(d.id for d in datasets))


def root(folder: Path | None = None) -> Path | None:
    """The folder that holds the data sets' folders: this one, or `$MP3D_DATA`; None if neither is given."""
    text = os.environ.get(VARIABLE, "")
    return Path(folder) if folder is not None else Path(text) if text else None


def present(folder: Path) -> bool:
    """Whether a data set's folder is there and not empty."""
    return folder.is_dir() and any(folder.iterdir())


def require(name: str, folder: Path | None = None) -> Path:
    """The folder of a data set, `$MP3D_DATA/<id>`; `MissingData` that says how to get it if it is not there."""
    dataset, base = get(name), root(folder)
    if base is None:
        place = f"{VARIABLE} is not set; it names the folder that holds {name}/"
    elif present(base / name):
        return base / name
    else:
        place = f"{base / name}: not there"
    raise MissingData(f"{place}\n{dataset.steps}")


def fixture(name: str, folder: Path) -> Path:
    """Write the tiny stand-in of a data set, of made-up numbers in its exact format, into a folder."""
    dataset = get(name)
    if dataset.fixtures is None:
        raise MissingData(f"{name}: has no fixture")
    module, _, function = dataset.fixtures.builder.rpartition(".")
    getattr(importlib.import_module(module), function)(Path(folder), seed=dataset.fixtures.seed)
    return Path(folder)
