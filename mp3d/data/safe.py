"""Files from outside: read whole or refused, never run, never more than a stated size.

Paths, values and JSON are here, MATLAB's files in `matlab`, pickles in `pickles`. All three raise
`MissingData` (not there) or `BadInput` (names file, field, found, expected), whatever the file holds: truncated, of
another kind, a Git LFS pointer, NaN where numbers belong, a pickle that calls something.
"""

import json
import re
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mp3d.errors import BadInput, MissingData

MAX_BYTES = 1 << 30
"""Of a file that is read whole."""
MAX_RECORD = 1 << 24
"""Bytes of one record of a JSON file that is read record by record."""
MAX_VALUES = 50_000_000
"""Values of a JSON file that is read whole: Python needs some 60 bytes for the smallest, `[]`."""
MAX_DEPTH = 32
"""Cells in cells, lists in lists."""
LARGEST = 1e8
"""mm (100 km) or px: no coordinate is larger, see `bounded`."""
_BLOCK = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_POINTERS = {b"version https://git-lfs": "a Git LFS pointer", b"/annex/objects/": "a git-annex pointer"}


def check(path: Path, limit: int | None = MAX_BYTES) -> Path:
    """The path, if it is a file that holds something of its own, of at most `limit` bytes (None: any size)."""
    path = Path(path)
    if not path.is_file():
        raise MissingData(f"{path}: no such file")
    size = path.stat().st_size
    if size == 0:
        raise BadInput(path, "size", "0 bytes", "a file with contents")
    if limit is not None and size > limit:
        raise BadInput(path, "size", f"{size} bytes", f"at most {limit} bytes")
    if size < 1024:
        with path.open("rb") as file:
            head = file.read(64)
        for mark, what in _POINTERS.items():
            if head.startswith(mark):
                raise BadInput(
                    path, "contents", f"{what}, not the file itself", "the file: git lfs pull, or git annex get"
                )
    return path


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A whole file, after `check`."""
    return check(path, limit).read_bytes()


def room(packed: int, limit: int = MAX_BYTES) -> int:
    """How many bytes may come out of so many compressed ones: no more than 100 times, or 64 MiB for small files."""
    return min(limit, (64 << 20) + 100 * packed)


def array(
    value: object,
    where: object,
    field: str,
    shape: Sequence[int | None] | None = None,
    dtype: type = float,
    finite: bool = True,
) -> np.ndarray:
    """`value` as an array of numbers, or `BadInput`.

    Parameters
    ----------
    where, field : for the error
    shape : None for an axis of any length; default: any shape
    dtype : float or int; an int must be whole and fit 64 bits
    finite : whether NaN and infinity are refused
    """
    try:
        if not _plain(value):  # looked at first: numpy would make every text of a list as long as the longest
            raise TypeError("not numbers")
        out = np.asarray(value)
        out = out.astype(float) if out.dtype.kind in "iufb" else np.asarray(value, float)  # integers beyond 64 bits
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise BadInput(where, field, f"{type(value).__name__} ({error})"[:120], "numbers") from None
    if shape is not None and (
        out.ndim != len(shape) or any(n not in (m, None) for m, n in zip(out.shape, shape, strict=True))
    ):
        wanted = "(" + ", ".join("n" if n is None else str(n) for n in shape) + ")"
        raise BadInput(where, field, f"shape {out.shape}", f"shape {wanted}")
    if finite and not np.isfinite(out).all():
        raise BadInput(where, field, "NaN or infinity", "finite numbers")
    if dtype is int:
        if not np.isfinite(out).all() or (out != np.round(out)).any() or (np.abs(out) > 2**53).any():
            raise BadInput(where, field, "numbers that are not whole or too large", "whole numbers")
        return out.astype(np.int64)
    return out


def _plain(value: object) -> bool:
    """Numbers, arrays of them, nested lists of either; no text."""
    if isinstance(value, list | tuple):
        return set(map(type, value)) <= {int, float} or all(map(_plain, value))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "iufb"
    return isinstance(value, int | float)


def bounded(value: object, where: object, field: str, shape: Sequence[int | None] | None = None) -> np.ndarray:
    """Numbers as `array` has them, none so large that what is computed from them overflows."""
    out = array(value, where, field, shape)
    if np.abs(out).max(initial=0) > LARGEST:
        raise BadInput(where, field, f"{np.abs(out).max():.3g}", f"at most {LARGEST:g}, whatever the unit")
    return out


def rotation(value: object, where: object, field: str) -> np.ndarray:
    """A rotation matrix (3, 3), or `BadInput` for anything else, a mirror image included."""
    out = array(value, where, field, (3, 3))
    if np.abs(out).max() > 2 or np.abs(out @ out.T - np.eye(3)).max() > 1e-3 or np.linalg.det(out) < 0:
        raise BadInput(where, field, "a matrix that does not rotate", "a rotation, orthonormal, determinant +1")
    return out


def get(record: object, key: str, kind: type | tuple[type, ...], where: object, field: str = "") -> Any:
    """`record[key]` if `record` is a dict that has it and it is of that kind; a bool is no number."""
    field = f"{field}.{key}" if field else key
    if not isinstance(record, dict):
        raise BadInput(where, field, type(record).__name__, "an object")
    if key not in record:
        raise BadInput(where, field, "nothing", "this key")
    value = record[key]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        found = f"{reprlib.repr(value):.40} ({type(value).__name__})"
        raise BadInput(where, field, found, " or ".join(k.__name__ for k in kinds))
    return value


# -- JSON ---------------------------------------------------------------------------------------------------


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_constant)


def load_json(path: Path, limit: int = MAX_BYTES) -> Any:
    """A whole JSON file; NaN and Infinity are refused, as JSON does."""
    data = read_bytes(path, limit)
    if (values := sum(map(data.count, (b",", b"[", b"{")))) > MAX_VALUES:
        raise BadInput(path, "JSON", f"about {values} values", f"at most {MAX_VALUES}")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_constant)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise BadInput(path, "JSON", str(error)[:120], "a complete JSON file") from None


def records(path: Path) -> Iterator[tuple[str, int, Any]]:
    """The elements of a JSON file's top-level arrays, one at a time, whatever its size.

    Yields
    ------
    key : of the array in the top-level object; "" if the file is itself an array
    offset : byte at which the element begins, for `record_at`; -1 for a value that is no array
    value : the element; or, for a top-level value that is no array, the whole of it
    """
    with check(path, None).open("rb") as file:
        text = _Text(file, path)
        if text.next() == "[":
            yield from text.elements("")
        elif text.char == "{":
            text.skip()
            while text.next() != "}":
                key = text.value()
                if not isinstance(key, str) or text.next() != ":":
                    raise text.wrong("a key")
                text.skip()
                if text.next() == "[":
                    yield from text.elements(key)
                else:
                    yield key, -1, text.value()
                if text.next() == ",":
                    text.skip()
                elif text.char != "}":
                    raise text.wrong("',' or '}'")
            text.skip()
        else:
            raise text.wrong("an object or an array")
        if text.next():
            raise text.wrong("nothing more")


def record_at(file: BinaryIO, offset: int, path: Path) -> Any:
    """The element at an offset that `records` gave, of the same file opened in binary mode."""
    file.seek(offset)
    return _Text(file, path).value()


class _Text:
    """A JSON file seen through a window that moves on; a character a byte (Latin-1), so that offsets are the file's."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path, self.base = file, path, file.tell()
        self.window, self.at, self.size = "", 0, 1 << 12  # a single record is small
        self.more()
        if self.base == 0 and self.window.startswith("\u00ef\u00bb\u00bf"):  # a byte order mark
            self.at = 3

    def more(self) -> bool:
        """A longer window that begins where we stand; False at the end of the file."""
        block = self.file.read(self.size)
        self.size = min(2 * self.size, _BLOCK)
        self.base, self.window, self.at = self.base + self.at, self.window[self.at :] + block.decode("latin-1"), 0
        if len(self.window) > MAX_RECORD + _BLOCK:
            raise BadInput(self.path, "JSON", f"more at byte {self.base}", f"records of at most {MAX_RECORD} bytes")
        return bool(block)

    @property
    def char(self) -> str:
        return self.window[self.at : self.at + 1]

    def skip(self) -> None:
        self.at += 1

    def next(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            self.at = _SPACE.match(self.window, self.at).end()
            if self.at < len(self.window) or not self.more():
                return self.char

    def value(self) -> Any:
        """The JSON value that begins here."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.window, self.at)
            except (ValueError, RecursionError) as error:
                # Near the window's end, or in a string that goes on, more of the file may mend it.
                near = getattr(error, "pos", 0) > len(self.window) - 16 or "Unterminated" in str(error)
                if isinstance(error, RecursionError) or not near or not self.more():
                    found = f"byte {self.base + self.at}: {error}"[:120]
                    raise BadInput(self.path, "JSON", found, "a complete JSON value") from None
                continue
            size = end - self.at
            if end == len(self.window) and self.more():  # a number may go on
                continue
            text = self.window[self.at : self.at + size]
            self.at += size
            if text.isascii():
                return value
            try:
                return json.loads(text.encode("latin-1").decode())
            except ValueError as error:
                raise BadInput(self.path, "JSON", str(error)[:80], "UTF-8") from None

    def elements(self, key: str) -> Iterator[tuple[str, int, Any]]:
        """The elements of the array that begins here."""
        self.skip()
        if self.next() == "]":
            self.skip()
            return
        while True:
            self.next()
            offset = self.base + self.at
            yield key, offset, self.value()
            if self.next() == "]":
                self.skip()
                return
            if self.char != ",":
                raise self.wrong("',' or ']'")
            self.skip()

    def wrong(self, expected: str) -> BadInput:
        found = repr(self.char) if self.char else "the end"
        return BadInput(self.path, "JSON", f"{found} at byte {self.base + self.at}", expected)
