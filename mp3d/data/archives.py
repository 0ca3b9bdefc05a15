"""Archives from outside: unpacked whole into their folder, or refused, with nothing left behind.

An archive is a list of instructions to write files. These are followed: plain files and folders below the target.
These are not: absolute paths, `..`, drive letters, backslashes, links, devices, two names that are one on some file
systems, and more bytes than stated (a "bomb" of 42 kB can unpack to petabytes).
"""

import io
import re
import shutil
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mp3d.data.safe import check
from mp3d.errors import BadInput

MAX_BYTES = 64 << 30
MAX_FILES = 2_000_000
MAX_RATIO = 100
"""Unpacked to packed size; text reaches 20. Small archives may unpack to 64 MiB in any case."""
_BLOCK = 1 << 20
_HEADER = 1 << 16  # bytes of a tar archive's long name or extended header
_UNSAFE = re.compile(r"[\x00-\x1f\\]|^[A-Za-z]:|^/")


def extract(
    archive: Path,
    target: Path,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
    max_ratio: float | int = MAX_RATIO,
) -> list[Path]:
    """Unpack a zip or a tar (plain, gz, bz2, xz) into a folder.

    All is unpacked beside the target first and moved when it is complete. Files that are in the target stay; if the
    archive holds one of them, nothing is done. `__MACOSX` and `.DS_Store` are left out.

    Parameters
    ----------
    target : made if it is not there
    max_bytes, max_files : of all that is unpacked
    max_ratio : of its size to the archive's

    Returns
    -------
    list of Path
        the files, below `target`

    Raises
    ------
    BadInput
        for anything that an archive of data has no need of, and if the disk is full
    """
    archive, target = check(archive, None), Path(target)
    room = min(max_bytes, int((64 << 20) + max_ratio * archive.stat().st_size))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise BadInput(archive, "target", error, "a place that can be written to") from None
    try:
        names = _unpack(archive, part, room, max_files)
        if taken := [name for name in names if (target / name).exists()]:
            raise BadInput(archive, str(taken[0]), f"{target / taken[0]} already there", "a place that is free")
        _move(part, target, names)
    except BadInput:
        raise
    except Exception as error:  # a damaged archive may raise anything
        raise BadInput(archive, "archive", f"{type(error).__name__}: {error}"[:160], "a complete archive") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [target / name for name in names]


def _move(part: Path, target: Path, names: list[Path]) -> None:
    """Files into place, none of which is there; if one cannot be moved, those that were go away again."""
    moved = []
    try:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).rename(target / name)
            moved.append(target / name)
    except BaseException:
        for path in moved:
            path.unlink()
        raise


def _unpack(archive: Path, part: Path, room: int, max_files: int) -> list[Path]:
    """Write all files into an empty folder; their relative paths."""
    names: list[Path] = []
    spelling: dict[str, PurePosixPath] = {}
    for number, (name, size, file) in enumerate(_members(archive)):
        if number >= max_files:
            raise BadInput(archive, "files", f"more than {max_files}", f"at most {max_files}")
        path = _checked(archive, name, spelling)
        if "__MACOSX" in path.parts or path.name == ".DS_Store":
            continue
        if file is None:
            continue  # a folder: made with its first file
        if (part / path).exists():
            raise BadInput(archive, "member", f"{name!r} twice", "each name once")
        if size > room:
            raise BadInput(archive, "size", f"more than {room} bytes left, with {name!r}", "less: is it a bomb?")
        (part / path).parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with (part / path).open("xb") as out:
            while block := file.read(_BLOCK):
                written, room = written + len(block), room - len(block)
                if room < 0:
                    raise BadInput(archive, "size", f"more than allowed, with {name!r}", "less: is it a bomb?")
                out.write(block)
        if written != size:
            raise BadInput(archive, "member", f"{written} bytes in {name!r:.80}", f"{size}, as its header says")
        names.append(Path(path))
    if not names:
        raise BadInput(archive, "archive", "no files", "some")
    return names


def _checked(archive: Path, name: str, spelling: dict[str, PurePosixPath]) -> PurePosixPath:
    """A member's name as a path that stays inside, spelled as it was before."""
    path = PurePosixPath(name)
    if _UNSAFE.search(name) or ".." in path.parts or not path.parts or len(name) > 1024:
        raise BadInput(archive, "member", f"{name!r:.80}", "a relative path without .., drive or backslash")
    for place in (path, *path.parents):
        key = unicodedata.normalize("NFC", str(place)).casefold()
        if (known := spelling.setdefault(key, place)) != place:
            raise BadInput(
                archive, "member", f"{str(known)!r} and {str(place)!r}", "names that differ by more than case"
            )
    return path


def _members(archive: Path) -> Iterator[tuple[str, int, BinaryIO | None]]:
    """Name, declared size and contents (None: a folder) of each member, in turn."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                kind = info.external_attr >> 28  # Unix: 8 a plain file, 4 a folder, 0 not said
                if kind not in (0, 4, 8) or info.flag_bits & 1:
                    raise BadInput(archive, "member", f"{info.filename!r}, a link, device or encrypted", "plain files")
                # zipfile itself turns backslashes and NUL of the name; the name as it stands is what is judged.
                if info.is_dir():
                    yield info.orig_filename, 0, None
                else:
                    with file.open(info) as member:
                        yield info.orig_filename, info.file_size, member
        return
    with tarfile.open(archive, "r|*", tarinfo=Header) as tar:
        for info in tar:
            if not (info.isdir() or info.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
                raise BadInput(archive, "member", f"{info.name!r}, a link or device", "plain files")
            yield info.name, info.size, None if info.isdir() else tar.extractfile(info) or io.BytesIO()


class Header(tarfile.TarInfo):
    """A tar header; what would make `tarfile` read a lot before anybody has seen its name is refused."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "Header":
        """From the 512 bytes of a header."""
        found = super().frombuf(buf, encoding, errors)
        extended = found.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
        if found.size < 0 or (extended and found.size > _HEADER) or found.type == tarfile.GNUTYPE_SPARSE:
            raise BadInput("tar", "header", f"type {found.type!r}, {found.size} bytes", "plain files")
        return found

    def _sparse(self, *_: object) -> None:
        raise BadInput("tar", "header", "a sparse file", "plain files")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _sparse
