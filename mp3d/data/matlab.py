"""MATLAB's files, version 5 to 7, without belief in what they say of their own sizes; 7.3 is HDF5 (`is_hdf5`)."""

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from mp3d.data.safe import MAX_BYTES, MAX_DEPTH, read_bytes, room
from mp3d.errors import BadInput

MAX_ELEMENTS = 20_000_000
"""Arrays in a MATLAB file, cells and fields of structs counted one by one."""


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
