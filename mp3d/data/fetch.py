"""Download what the manifest calls open, and nothing else: hash by hash, from the first address that gives it.

A file that is there with the right hash is not fetched again. A download that breaks off is kept as `.NAME.part` and
goes on where it stopped, if the server allows that. Only a file with the right hash gets its name.
"""

import shutil
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pooch
from tqdm import tqdm

from mp3d import __version__
from mp3d.data.manifest import Dataset
from mp3d.data.verify import hash_list
from mp3d.errors import BadInput, MissingData

_BLOCK = 1 << 18
_TIMEOUT = 60  # seconds without a byte


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: path below the data set's folder, pooch's hash ("sha256:..."), size if known, addresses."""

    path: str
    hash: str
    bytes: int | None
    urls: tuple[str, ...]


def wanted(dataset: Dataset, only: Iterable[str] | None = None) -> list[Wanted]:
    """The files with a hash and an address: those that are required, or those named.

    Raises
    ------
    MissingData
        with the steps, where mp3d must not download, or there is nothing to download
    BadInput
        for a name that is not among them
    """
    if not dataset.access.automated:
        raise MissingData(f"{dataset.id} is not downloaded by mp3d ({dataset.access.kind}):\n{dataset.steps}")
    found, optional = [], []
    for file in dataset.files:
        if file.urls and (file.sha256 or file.md5):
            kind = f"sha256:{file.sha256}" if file.sha256 else f"md5:{file.md5}"
            row = Wanted(file.path, kind, file.bytes, file.urls)
            (found if file.required else optional).append(row)
    for rows in dataset.hash_lists:
        for path, known in hash_list(rows).items():
            urls = tuple(f"{base.rstrip('/')}/{path}" for base in rows.base_urls)
            if urls:
                found.append(Wanted(path, f"sha256:{known.sha256}", known.bytes, urls))
    if only is None:
        return found
    known = {row.path: row for row in found + optional}
    for name in only:
        if name not in known:
            raise BadInput(dataset.id, "file", repr(name)[:80], "one of " + ", ".join(list(known)[:5]))
    return [known[name] for name in only]


def fetch(dataset: Dataset, folder: Path, only: Iterable[str] | None = None) -> list[Path]:
    """Bring the files of `wanted` into the data set's folder; returns their paths.

    Raises
    ------
    MissingData
        if no address gives a file; what each said
    BadInput
        if a file came, with another hash than it should have
    """
    rows = wanted(dataset, only)
    pooch.get_logger().setLevel("CRITICAL")  # our own errors say more
    return [
        _fetch(row, Path(folder)) for row in tqdm(rows, dataset.id, unit="file", disable=None if rows[1:] else True)
    ]


def _fetch(row: Wanted, folder: Path) -> Path:
    path = folder / row.path
    said, mismatch = [], False
    for url in row.urls:
        download = _Download(path, row.bytes)
        for _ in range(2):
            try:
                pooch.retrieve(url, row.hash, fname=path.name, path=path.parent, downloader=download)
                return path
            except (OSError, HTTPException) as error:
                said.append(f"{url}: {error}")
            except ValueError as error:  # pooch: another hash
                said.append(f"{url}: another hash ({' '.join(str(error).split())[-150:]})")
                mismatch = True
                if download.resumed:  # the first part may have been of another file: once more, from the beginning
                    continue
            break
    if mismatch:
        raise BadInput(path, "hash", "; ".join(said), row.hash)
    raise MissingData(f"{path}: no address gives it\n" + "\n".join(f"  {line}" for line in said))


class _Download:
    """Fetches an address into the file that pooch asks for, through `.NAME.part`, which outlives a lost connection."""

    def __init__(self, path: Path, size: int | None):
        self.part, self.size, self.resumed = path.with_name(f".{path.name}.part"), size, False

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        have = self.part.stat().st_size if self.part.is_file() else 0
        if self.size is not None and have >= self.size:  # not of this file
            self.part.unlink()
            have = 0
        headers = {"User-Agent": f"mp3d/{__version__}"} | ({"Range": f"bytes={have}-"} if have else {})
        request = urllib.request.Request(url, headers=headers)  # noqa: S310, the manifest allows http and https alone
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            self.resumed = bool(have) and answer.status == 206
            length = answer.headers.get("Content-Length")
            total = None if length is None else int(length) + have * self.resumed
            if None not in (total, self.size) and total != self.size:
                raise OSError(f"{total} bytes offered, not {self.size}")
            quiet = None if (total or 0) > 5_000_000 else True
            bar = tqdm(total=total, initial=have * self.resumed, unit="B", unit_scale=True, disable=quiet)
            got = have * self.resumed
            with bar, self.part.open("ab" if self.resumed else "wb") as file:
                while block := answer.read(_BLOCK):
                    got += len(block)
                    if self.size is not None and got > self.size:
                        raise OSError(f"more than {self.size} bytes")
                    file.write(block)
                    bar.update(len(block))
        if total is not None and got < total:
            raise OSError(f"broke off after {got} of {total} bytes")
        shutil.move(self.part, output_file)
