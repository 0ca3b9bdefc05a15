"""Files from outside: read whole or refused, never run, never more than a stated size.

Everything here raises `MissingData` (not there) or `BadInput` (names file, field, found, expected), whatever the file
holds: truncated, of another kind, a Git LFS pointer, NaN where numbers belong, a pickle that calls something.
"""

import codecs
import io
import json
import math
import pickletools
import re
import reprlib
import struct
import zipfile
import zlib
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
MAX_ELEMENTS = 20_000_000
"""Arrays in a MATLAB file, cells and fields of structs counted one by one."""
MAX_OPCODES = 5_000_000
"""Instructions of a pickle; an array is some ten of them, whatever its size."""
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


# -- MATLAB -------------------------------------------------------------------------------------------------


def load_mat(path: Path, limit: int = MAX_BYTES) -> dict[str, Any]:
    """The variables of a MATLAB v5 to v7 file, in the form of `scipy.io.loadmat`; version 7.3 (HDF5) is refused.

    Read here and not by scipy, which believes what a file says of its own sizes: one changed byte can end the
    process. Only numbers, text, cells and structs, each of the size that it says.

    Returns
    -------
    dict
        name to array, two axes or more: numbers in their own type; cells as an array of objects; structs as a
        structured array of objects, of which `value["annot3"][0, 0]` is a field; text as an array of str
    """
    data = read_bytes(path, limit)
    if is_hdf5(data):
        raise BadInput(path, "format", "MATLAB v7.3 (HDF5)", "MATLAB v5 to v7")
    try:
        return _Mat(data, room(len(data), limit)).variables()
    except Exception as error:  # a damaged file may raise anything
        raise BadInput(path, "format", f"{type(error).__name__}: {error}"[:120], "a complete MATLAB v5 file") from None


def is_hdf5(data: bytes) -> bool:
    """Whether a file's first kilobyte says HDF5, at its beginning or behind MATLAB's header."""
    return data[:8] == _HDF5 or data[512:520] == _HDF5


_HDF5 = b"\x89HDF\r\n\x1a\n"
# MATLAB's codes (MAT-File Format, tables 1-1 and 1-3): how numbers are stored; what they are; what else there is
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS = dict(zip(range(6, 16), ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), strict=True))
_TEXTS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_CELL, _STRUCT, _CHAR = 1, 2, 4


class _Mat:
    """A MATLAB v5 file in memory; whatever does not fit raises `ValueError`.

    Parameters
    ----------
    room : bytes to which it may unpack; also the largest number of numbers, times eight
    """

    def __init__(self, data: bytes, room: int):
        self.file, self.data, self.room, self.elements, self.numbers = data, data, room, 0, 0
        self.order = {b"IM": "<", b"MI": ">"}.get(data[126:128], "")
        if not self.order or struct.unpack_from(self.order + "H", data, 124) != (0x0100,):
            raise ValueError("no header of MATLAB v5")
        self.pair = struct.Struct(self.order + "II").unpack_from

    def variables(self) -> dict[str, Any]:
        found, at, left = {}, 128, self.room
        while at < len(self.file):
            self.data = self.file
            kind, start, size, _ = self.tag(at, len(self.file), padded=False)
            self.data, at = self.file[at : start + size], start + size
            if kind == _COMPRESSED:
                unpacker = zlib.decompressobj()
                self.data = unpacker.decompress(self.data[8:], max(left, 1))
                if not unpacker.eof:
                    raise ValueError(f"compressed data that is cut off, or of more than {self.room} bytes")
            left -= len(self.data)
            kind, start, size, end = self.tag(0, len(self.data))
            if kind != _MATRIX or end != len(self.data):
                raise ValueError("an element that is not one variable")
            name, value = self.matrix(start, end, 0)
            if name in found or not name:
                raise ValueError(f"variable {name!r} is there twice, or has no name")
            found[name] = value
        return found

    def tag(self, at: int, end: int, padded: bool = True) -> tuple[int, int, int, int]:
        """Code, first byte and number of bytes of the element at `at`, and where the next one begins."""
        if at + 8 > end:
            raise ValueError(f"cut off at byte {at}")
        kind, size = self.pair(self.data, at)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, size, start, stop = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
        else:
            start = at + 8
            stop = start + size + (-size % 8 if padded else 0)
        if stop > end:
            raise ValueError(f"an element of {size} bytes where {end - at} are left")
        return kind, start, size, stop

    def matrix(self, at: int, end: int, depth: int) -> tuple[str, Any]:
        """Name and value of the variable, cell or field that fills the bytes from `at` to `end`."""
        self.elements += 1
        if depth > MAX_DEPTH or self.elements > MAX_ELEMENTS:
            raise ValueError(f"more than {MAX_DEPTH} levels, or {MAX_ELEMENTS} arrays")
        kind, start, size, at = self.tag(at, end)
        if (kind, size) != (_UINT32, 8):
            raise ValueError("no array flags")
        flags = self.pair(self.data, start)[0]
        what = flags & 0xFF
        kind, start, size, at = self.tag(at, end)
        if kind != _INT32 or size % 4 or not 8 <= size <= 4 * MAX_DEPTH:
            raise ValueError("no dimensions")
        shape = struct.unpack_from(f"{self.order}{size // 4}i", self.data, start)
        if min(shape) < 0:
            raise ValueError(f"dimensions {shape}")
        n = math.prod(shape)
        kind, start, size, at = self.tag(at, end)
        if kind not in (_INT8, _UTF8) or size > 4096:
            raise ValueError("no name")
        name = self.data[start : start + size].decode("latin-1")
        if what in _NUMBERS:
            value, at = self.array(at, end, n, _NUMBERS[what])
            if flags & 0x800:
                imaginary, at = self.array(at, end, n, _NUMBERS[what])
                value = value + 1j * imaginary
        elif what == _CHAR:
            kind, start, size, at = self.tag(at, end)
            code = _TEXTS[kind] + {"<": "-le", ">": "-be"}[self.order] * (kind in (4, 17, 18))
            text = self.data[start : start + size].decode(code)
            if len(text) != n or len(shape) != 2:
                raise ValueError(f"{len(text)} characters for {shape}")
            value = np.array(["".join(text[row :: shape[0]]) for row in range(shape[0])] if n else [], str)
            shape = value.shape
        elif what == _CELL:
            cells, at = self.cells(at, end, n, depth)
            value = np.empty(n, object)
            for i, cell in enumerate(cells):
                value[i] = cell
        elif what == _STRUCT:
            kind, start, size, at = self.tag(at, end)
            width = self.pair(self.data, start)[0] if (kind, size) == (_INT32, 4) else 0
            kind, start, size, at = self.tag(at, end)
            if not 1 <= width <= 64 or kind != _INT8 or size % width or (size == 0 and n > 1):
                raise ValueError("no names of fields")
            names = [self.data[i : i + width].split(b"\0")[0].decode() for i in range(start, start + size, width)]
            cells, at = self.cells(at, end, n * len(names), depth)
            value = np.empty(n, [(field, object) for field in names])
            for i in range(n if names else 0):
                value[i] = tuple(cells[i * len(names) : (i + 1) * len(names)])
        else:
            raise ValueError(f"class {what}, not numbers, text, cells or structs")
        if at != end:
            raise ValueError(f"{end - at} bytes too many")
        return name, value.reshape(shape, order="F")

    def array(self, at: int, end: int, n: int, dtype: str) -> tuple[np.ndarray, int]:
        """`n` numbers, which may be stored in a smaller type than theirs, and where they end."""
        kind, start, size, at = self.tag(at, end)
        stored = np.dtype(self.order + _STORED[kind])
        self.numbers += n
        if size != n * stored.itemsize or self.numbers > self.room // 4:
            raise ValueError(f"{size} bytes of code {kind} for {n} numbers")
        return np.frombuffer(self.data, stored, n, start).astype(dtype), at

    def cells(self, at: int, end: int, n: int, depth: int) -> tuple[list[Any], int]:
        """`n` cells or fields in a row, and where they end; one without contents is an empty array."""
        if 8 * n > end - at:
            raise ValueError(f"{n} cells or fields in {end - at} bytes")
        found = []
        for _ in range(n):
            kind, start, size, at = self.tag(at, end)
            if kind != _MATRIX:
                raise ValueError(f"code {kind} in a cell or field")
            found.append(self.matrix(start, at, depth + 1)[1] if size else np.zeros((0, 0)))
        return found, at


# -- numpy --------------------------------------------------------------------------------------------------


def load_npz(path: Path, limit: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays of an .npz file: numbers and texts; arrays of Python objects are refused."""
    most = room(check(path, limit).stat().st_size, limit)
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            if (total := sum(info.file_size for info in members)) > most:
                raise BadInput(path, "size", f"{total} bytes unpacked", f"at most {most} bytes")
            for info in members:
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
                    raise BadInput(path, info.filename, "an unusual compression", "stored or deflated")
            arrays = {info.filename.removesuffix(".npy"): _npy(file.read(info)) for info in members}
    except BadInput:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise BadInput(path, "format", f"{type(error).__name__}: {error}"[:120], "an .npz of plain arrays") from None
    if len(arrays) < len(members):
        raise BadInput(path, "names", "one of them twice", "each once")
    return arrays


def _npy(data: bytes) -> np.ndarray:
    """An .npy file in memory; `ValueError` if its header does not fit what follows."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read(file, max_header_size=2000)
    if dtype.kind not in "biufSU" or min(shape, default=0) < 0:
        raise ValueError(f"{dtype} of shape {shape}, not numbers or texts")
    if math.prod(shape) * dtype.itemsize != len(data) - file.tell() or dtype.itemsize == 0:
        raise ValueError(f"{len(data) - file.tell()} bytes for {dtype} of shape {shape}")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy(order="K")


# -- pickles ------------------------------------------------------------------------------------------------


def load_pickle(data: bytes, where: object, encoding: str = "ASCII") -> Any:
    """Unpickle arrays, numbers, texts, lists, tuples, dicts; `BadInput` for more, or a truncated file.

    A pickle is a program. This one is run by an interpreter that has no instruction to look up or call anything:
    the five names that numpy's arrays need are words to it, and arrays are made here, of the bytes that are there.

    Parameters
    ----------
    encoding : of Python 2's strings: "ASCII", or "latin1" for 3DPW
    """
    try:
        machine = _Machine(where, encoding)
        value = machine.run(data)
        if machine.weigh(value, 0, {}) > 10_000_000 + len(data):
            raise ValueError("one thing in many places, many times over")
    except BadInput:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise BadInput(where, "pickle", f"{type(error).__name__}: {error}"[:200], "a complete pickle") from error
    return value


# What a pickle of numpy arrays names, in numpy 1 and 2.
_NAMES = {
    "numpy.core.multiarray _reconstruct": "_reconstruct",
    "numpy._core.multiarray _reconstruct": "_reconstruct",
    "numpy.core.multiarray scalar": "scalar",
    "numpy._core.multiarray scalar": "scalar",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
}
_PUSHED = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_PUSHED |= {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_MADE = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU]\d{1,5}|O8?)")


class _Name(str):
    """A name of numpy's in a pickle, to be told from a text."""


class _Unbuilt:
    """A dtype, or an array to come, that waits for its state; `keys` are those under which it is remembered."""

    def __init__(self, dtype: np.dtype | None = None):
        self.dtype, self.keys = dtype, []


class _Machine:
    """Python's pickle machine: a stack, marks in it, and a memory; without any calls."""

    def __init__(self, where: object, encoding: str):
        self.where, self.encoding = where, encoding
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """What is on the stack at the end."""
        file = io.BytesIO(data)
        for _ in range(MAX_OPCODES):
            code = pickletools.code2op[file.read(1).decode("latin-1")]
            if code.name == "STOP":
                (value,) = self.stack
                return value
            if code.name == "STRING":  # pickletools allows ASCII alone
                text = file.readline().strip()
                if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
                    raise ValueError("a text without quotes")
                argument = codecs.escape_decode(text[1:-1])[0].decode("latin-1")
            else:
                argument = code.arg.reader(file) if code.arg else None
            self.step(code.name, argument)
        raise ValueError(f"more than {MAX_OPCODES} instructions")

    def step(self, name: str, argument: Any) -> None:
        """One instruction."""
        stack = self.stack
        if name in _PUSHED:
            if isinstance(argument, int) and argument.bit_length() > 512:
                raise ValueError("an integer of more than 512 bits")
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            key = len(self.memory) if argument is None else argument
            self.memory[key] = stack[-1]
            if isinstance(stack[-1], _Unbuilt):
                stack[-1].keys.append(key)
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memory[argument])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "APPEND":
            value = stack.pop()
            self.top(list).append(value)
        elif name == "APPENDS":
            values = self.marked()
            self.top(list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = self.marked() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            self.top(dict).update(self.pairs(values))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack[-int(name[-1]) :] = [tuple(self.last(int(name[-1])))]
        elif name == "TUPLE":
            stack.append(tuple(self.marked()))
        elif name == "LIST":
            stack.append(self.marked())
        elif name == "DICT":
            stack.append(self.pairs(self.marked()))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in _MADE:
            stack.append(_MADE[name])
        elif name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):  # Python 2's, of which nobody knows the encoding
            stack.append(argument.encode("latin-1").decode(self.encoding))
        elif name == "GLOBAL":
            stack.append(self.named(argument))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [self.named(" ".join(map(str, self.last(2))))]
        elif name == "REDUCE":
            stack[-2:] = [self.made(*self.last(2))]
        elif name == "BUILD":
            thing, state = self.last(2)
            stack[-2:] = [self.built(thing, state)]
        elif name not in ("PROTO", "FRAME"):
            raise BadInput(self.where, "pickle", f"instruction {name}", "numpy arrays and nothing else")

    def last(self, n: int) -> list[Any]:
        if len(self.stack) < n:
            raise ValueError("an empty stack")
        return self.stack[-n:]

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"a {type(self.stack[-1]).__name__} in place of a {kind.__name__}")
        return self.stack[-1]

    def marked(self) -> list[Any]:
        """Take all above the last mark from the stack."""
        at = self.marks.pop()
        if at > len(self.stack):
            raise ValueError("a mark beyond the stack")
        values, self.stack[at:] = self.stack[at:], []
        return values

    def pairs(self, values: list[Any]) -> dict[Any, Any]:
        """A dict; its keys are plain, for a tuple of tuples of tuples could keep hash() busy for ever."""
        keys = values[::2]
        for key in keys:
            for part in key if type(key) is tuple else (key,):
                if type(part) not in (str, bytes, int, float, bool, type(None)) and not isinstance(part, np.generic):
                    raise TypeError(f"a {type(part).__name__} in a key")
        return dict(zip(keys, values[1::2], strict=True))

    def named(self, name: str) -> _Name:
        if name not in _NAMES:
            found = f"a call of {name.replace(' ', '.'):.80}"
            raise BadInput(self.where, "pickle", found, "numpy arrays and nothing else")
        return _Name(_NAMES[name])

    def made(self, name: Any, arguments: Any) -> Any:
        """What a call of one of numpy's names stands for."""
        first, *more = arguments
        if type(name) is not _Name:
            raise TypeError(f"a call of a {type(name).__name__}")
        if name == "encode" and type(first) is str and more == ["latin1"]:
            return first.encode("latin-1")
        if name == "dtype" and type(first) is str and _DTYPE.fullmatch(first):
            return _Unbuilt(np.dtype(first))
        if name == "_reconstruct" and type(first) is _Name and first == "ndarray" and more[0] == (0,):
            return _Unbuilt()
        if name == "scalar" and isinstance(first, _Unbuilt) and len(more) == 1:
            return self.numbers(first.dtype, (), more[0])[()]
        raise ValueError(f"a call of {name} with other arguments than numpy's")

    def built(self, thing: Any, state: Any) -> Any:
        """A dtype or an array with its state; an array takes the place of what stood for it."""
        if type(thing) is not _Unbuilt:
            raise TypeError(f"a state for a {type(thing).__name__}")
        if thing.dtype is not None:
            _, order, *parts = state
            if order not in ("<", ">", "|", "=") or parts[:3] != [None] * 3:
                raise ValueError("a dtype with parts")
            if order in "<>":
                thing.dtype = thing.dtype.newbyteorder(order)
            return thing
        _, shape, dtype, fortran, raw = state
        array = self.numbers(dtype.dtype, shape, raw, "F" if fortran else "C")
        for key in thing.keys:
            self.memory[key] = array
        return array

    @staticmethod
    def numbers(dtype: np.dtype, shape: tuple[int, ...], raw: Any, order: str = "C") -> np.ndarray:
        """An array of exactly these bytes (or objects)."""
        if type(shape) is not tuple or len(shape) > MAX_DEPTH or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError("no shape")
        size = math.prod(shape)
        if dtype.hasobject:
            if type(raw) is not list or len(raw) != size:
                raise ValueError(f"{size} objects are not there")
            flat = np.empty(size, object)
            for i, value in enumerate(raw):
                flat[i] = value
        else:
            raw = raw.encode("latin-1") if type(raw) is str else raw  # Python 2's bytes
            if type(raw) is not bytes or len(raw) != size * dtype.itemsize or dtype.itemsize == 0:
                raise ValueError(f"not the bytes of {dtype} of shape {shape}")
            flat = np.frombuffer(raw, dtype).copy()
        return flat.reshape(shape, order=order)

    def weigh(self, value: Any, depth: int, known: dict[int, int]) -> int:
        """How many numbers a value is, written out: what stands in two places counts twice."""
        if isinstance(value, _Unbuilt | _Name):
            raise ValueError("numpy's own parts in place of values")
        if isinstance(value, str | bytes):
            return 1 + len(value) // 8
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return 1 + value.size
        if not isinstance(value, list | tuple | dict | np.ndarray):
            return 1
        if id(value) not in known:
            if depth > MAX_DEPTH:
                raise ValueError(f"more than {MAX_DEPTH} levels")
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            parts = parts.ravel() if isinstance(parts, np.ndarray) else parts
            known[id(value)] = 1 + sum(self.weigh(part, depth + 1, known) for part in parts)
        return known[id(value)]
