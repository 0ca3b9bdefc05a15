"""Pickles of arrays and plain values, of which nothing is ever called."""

import codecs
import io
import math
import pickletools
import re
from typing import Any

import numpy as np

from mp3d.data.safe import MAX_DEPTH
from mp3d.errors import BadInput

MAX_OPCODES = 5_000_000
"""Instructions of a pickle; an array is some ten of them, whatever its size."""


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
