"""Plans that hypothesis draws, and what they do to a file: for `tests.fuzz`.

A plan is a list of steps, (name, arguments), that prints as text. Steps on the structure see the file decoded into
dicts, lists and arrays; a path is a few numbers, each of which chooses a child (modulo their number).
"""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from typing import Any

import h5py
import numpy as np
import scipy.io
import yaml
from hypothesis import strategies as st

from mp3d.data import matlab

# -- What is drawn ------------------------------------------------------------------------------------------

FIXED = [None, True, False, 0, 1, -1, 2, 0.5, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, -(2**64), 10**400, 1e308, -1e308]
FIXED += [5e-324, float("nan"), float("inf"), -float("inf"), "", "NaN", "1e999", "\0", "é\u202e\U0001f600", "\ud800"]
FIXED += [
    "../../../evil",
    "/etc/passwd",
    "A" * 5000,
    "TS1/img_999999.jpg",
    [],
    {},
    [[]],
    [{}],
    {"": 0},
    [None],
    [[1], 2],
]
FIXED += [[0] * 51, [[0.0] * 3] * 17, ["a", 1], {"0": {"0": {}}}, [1e308] * 4, [float("nan")] * 3]
ARRAYS = [np.zeros((0, 0)), np.zeros(0), np.array(5.0), np.full((17, 3), np.nan), np.full((3, 17), 1e308), np.eye(3)]
ARRAYS += [
    np.zeros((1, 1), bool),
    np.array([["x", "yz"]]),
    np.ones((2, 17, 3), complex),
    np.full((2, 2), 2**63, np.uint64),
]
ARRAYS += [np.zeros((1,) * 20), np.zeros((0, 17, 3)), np.array([[None, [1]]], object), np.zeros((200, 300), np.int8)]
ARRAYS += [
    np.arange(6, dtype=np.float16),
    np.zeros(3, [("x", "f8")]),
    np.array(["2024-01-01"], "M8[D]"),
    np.array(b"a"),
]
PIECES = [
    b"\xff" * 4,
    b"\0" * 8,
    b"\xff\xff\xff\x7f",
    b"\x80",
    b"NaN",
    b"Infinity",
    b"1e999",
    b"9" * 400,
    b"[",
    b"]",
    b"{}",
]
PIECES += [
    b",",
    b'"',
    b"null",
    b"-",
    b"\n",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\r\n\r\n",
    b"../",
    b"&a [*a]",
    b"\x89HDF\r\n\x1a\n",
]

text = st.text("aZ09_./- \0\n\\\u0301é中\u202e\U0001f600", max_size=12)
place = st.integers(0, 1 << 16)
path = st.lists(st.integers(0, 255), max_size=7).map(tuple)
value = st.one_of(
    st.sampled_from(FIXED),
    st.integers(-(2**70), 2**70),
    st.floats(),
    text,
    st.recursive(st.none() | st.integers() | text, lambda v: st.lists(v, max_size=4), max_leaves=6),
)
piece = st.sampled_from(PIECES) | st.binary(min_size=1, max_size=12)
small = st.integers(0, 40)
structural = st.one_of(
    st.tuples(st.just("set"), path, value),
    st.tuples(st.just("drop"), path),
    st.tuples(st.just("odd"), path, st.integers(0, len(ARRAYS) - 1)),
    st.tuples(st.just("again"), path, small),
    st.tuples(st.just("nest"), path, small),
    st.tuples(st.just("rename"), path, text),
    st.tuples(st.just("move"), path, place),
    st.tuples(st.just("warp"), path, st.integers(0, 11), place),
)
binary = st.one_of(
    st.tuples(st.just("flip"), place, st.integers(1, 255)),
    st.tuples(st.just("write"), place, piece),
    st.tuples(st.just("insert"), place, piece),
    st.tuples(st.just("cut"), place),
    st.tuples(st.just("behead"), place),
    st.tuples(st.just("remove"), place, st.integers(1, 4096)),
    st.tuples(st.just("repeat"), place, st.integers(1, 4096), st.integers(1, 9)),
)
whole = st.tuples(st.sampled_from(("swap", "hostile", "hostile", "missing")), place)
plans = st.tuples(
    place,  # which file
    st.one_of(
        st.lists(structural, min_size=1, max_size=3),
        st.lists(binary, min_size=1, max_size=3),
        st.tuples(structural, binary).map(list),
        st.tuples(whole).map(list),
        st.tuples(whole, binary).map(list),
    ),
)

# -- Files as structures, and back --------------------------------------------------------------------------


PLAIN = {"mode": 0o100644, "how": 8, "type": b"0", "linkname": ""}
"""Of a member of an archive."""


def kind(name: str, data: bytes = b"") -> str:
    """What is in a file of this name."""
    kinds = {"pkl": "pickle", "gz": "tar", "tar": "tar", "xz": "tar", "mat": "hdf5" if matlab.is_hdf5(data) else "mat"}
    suffix = name.rpartition(".")[2]
    return kinds.get(suffix, suffix)


def decode(name: str, data: bytes) -> Any:
    """A fixture's file as dicts, lists, arrays; None if there is no such form."""
    match kind(name, data):
        case "json":
            return json.loads(data)
        case "yaml":
            return yaml.safe_load(data)
        case "pickle":
            return pickle.loads(data, encoding="latin1")
        case "npz":
            return dict(np.load(io.BytesIO(data)))
        case "mat":
            return {k: _plain(v) for k, v in scipy.io.loadmat(io.BytesIO(data)).items() if k[0] != "_"}
        case "hdf5":
            with h5py.File(io.BytesIO(data)) as file:
                return {key: file[key][()] for key in file}
        case "calibration":
            return [line.split(" ") for line in data.decode().splitlines()]
        case "zip":
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                return [{"name": i.filename, "data": file.read(i), **PLAIN} for i in file.infolist()]
        case "tar":
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                return [{"name": m.name, "data": tar.extractfile(m).read(), **PLAIN} for m in tar if m.isreg()]
    return None


def _plain(value: Any) -> Any:
    """MATLAB's structs as dicts, its cells as arrays of objects."""
    if value.dtype.names:
        return {name: _plain(value.flat[0][name]) for name in value.dtype.names}
    if value.dtype == object:
        out = np.empty(value.shape, object)
        out.flat[:] = [_plain(cell) for cell in value.flat]
        return out
    return value


def encode(name: str, tree: Any, hdf5: bool = False) -> bytes:
    """The file of a structure; any exception if it cannot be written."""
    out = io.BytesIO()
    match "hdf5" if hdf5 else kind(name):
        case "json":
            out.write(json.dumps(tree, default=lambda v: v.tolist() if isinstance(v, np.ndarray) else str(v)).encode())
        case "yaml":
            out.write(yaml.dump(tree, Dumper=yaml.Dumper).encode("utf-8", "surrogatepass"))
        case "pickle":
            out.write(pickle.dumps(tree, 2))
        case "npz":
            np.savez(out, **tree)
        case "mat":
            scipy.io.savemat(out, tree)
        case "hdf5":
            with h5py.File(out, "w", userblock_size=512) as file:
                for key, item in tree.items():
                    file[key] = item
            out.seek(0)
            out.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
        case "calibration":
            out.write(
                "\n".join(" ".join(map(str, line if isinstance(line, list) else [line])) for line in tree).encode()
            )
        case "zip":
            with zipfile.ZipFile(out, "w") as file:
                for member in tree:
                    info = zipfile.ZipInfo("x")
                    info.filename, info.compress_type = member["name"], member["how"]
                    info.external_attr = (member["mode"] & 0xFFFF) << 16
                    file.writestr(info, member["data"])
        case "tar":
            for member in tree:
                info = tarfile.TarInfo(member["name"])
                info.size, info.type, info.linkname = len(member["data"]), member["type"], member["linkname"]
                info.mode = member["mode"] & 0o777
                out.write(info.tobuf(tarfile.GNU_FORMAT) + member["data"] + bytes(-len(member["data"]) % 512))
            out.write(bytes(1024))
    data = out.getvalue()
    if name.endswith((".gz", ".xz")):
        data = gzip.compress(data, 1, mtime=0)  # the readers look at the contents, not at the name
    return data


# -- Steps --------------------------------------------------------------------------------------------------


def edit(tree: Any, where: tuple[int, ...], step: tuple) -> Any:
    """The tree with one step done at a path; what is not on the path is shared, not copied."""

    def descend(parent: Any, key: Any, rest: tuple[int, ...]) -> None:
        node = parent[key]
        if isinstance(node, tuple):
            node = parent[key] = list(node)
        keys = _keys(node)
        if rest and keys:
            copy = parent[key] = node.copy()
            descend(copy, keys[rest[0] % len(keys)], rest[1:])
        else:
            _act(parent, key, step)

    box = [tree]
    descend(box, 0, where)
    return box[0] if box else None


def _keys(node: Any) -> list:
    if isinstance(node, dict):
        return list(node)
    if isinstance(node, list):
        return list(range(len(node)))
    return list(np.ndindex(node.shape)) if isinstance(node, np.ndarray) and node.dtype == object else []


def corners(node: Any, depth: int = 0) -> list[tuple[int, ...]]:
    """Paths to one node of each sort: every key of a dict, the first and the last of what is in a row."""
    keys = _keys(list(node) if isinstance(node, tuple) else node)
    picked = range(len(keys)) if isinstance(node, dict) else sorted({0, len(keys) - 1}) if keys else ()
    deeper = [(i, *rest) for i in picked for rest in corners(node[keys[i]], depth + 1)] if depth < 8 else []
    return [(), *deeper]


def _act(parent: Any, key: Any, step: tuple) -> None:
    """One step, on `parent[key]`."""
    name, _, *more = step
    node = parent[key]
    if name == "set":
        parent[key] = more[0]
    elif name == "odd":
        parent[key] = ARRAYS[more[0]]
    elif name == "drop" and isinstance(parent, dict | list):
        del parent[key]
    elif name == "again" and isinstance(parent, list):
        parent[key:key] = [node] * more[0]
    elif name == "nest":
        for i in range(more[0] + 1):
            node = {"a": node} if more[0] % 3 == 0 and i % 2 else [node]
        parent[key] = node
    elif name == "rename" and isinstance(parent, dict):
        parent[more[0]] = parent.pop(key)
    elif name == "move":
        keys = _keys(parent)
        other = keys[more[0] % len(keys)]
        parent[key], parent[other] = parent[other], node
    elif name == "warp":
        parent[key] = _warp(node, *more)


def _warp(node: Any, how: int, at: int) -> Any:
    """The same, but for its sign, size, order, type or one of its numbers."""
    if isinstance(node, str | bytes):
        return [node[::-1], node.upper(), node * 2, node[:-1], node + node[:0].ljust(at % 300)][how % 5]
    if isinstance(node, list):
        return [node[::-1], node[: len(node) // 2], node * 2, node[:-1], [*node, None], dict(enumerate(node))][how % 6]
    if isinstance(node, dict):
        return [list(node.values()), list(node), list(node.items())][how % 3]
    if isinstance(node, bool | None) or not isinstance(node, int | float | np.ndarray):
        return [node]
    if not isinstance(node, np.ndarray):
        return [-node, node + 1, node * 1000, node / 1000, float(node), str(node), [node], node + 0.5][how % 8]
    if node.dtype.kind not in "iuf" or not node.size or not node.ndim:
        return node.tolist()
    if how < 5:
        node = node.astype(float)
        node.flat[at % node.size] = (np.nan, np.inf, 1e308, -1e6, 0)[how]
        return node
    changes = (node.T, node[:-1], node.ravel(), np.concatenate([node, node]), node.astype(np.int8), -node, node * 1j)
    return changes[how - 5]


def bytes_step(data: bytes, step: tuple) -> bytes:
    """One step on the bytes; places are in 65536ths of the length."""
    name, at, *more = step
    at = at * len(data) >> 16
    match name:
        case "flip":
            return data[:at] + bytes([data[at] ^ more[0]]) + data[at + 1 :] if at < len(data) else data
        case "write":
            return data[:at] + more[0] + data[at + len(more[0]) :]
        case "insert":
            return data[:at] + more[0] + data[at:]
        case "cut":
            return data[:at]
        case "behead":
            return data[at:]
        case "remove":
            return data[:at] + data[at + more[0] :]
        case "repeat":
            return data[:at] + data[at : at + more[0]] * more[1] + data[at:]
    raise ValueError(name)


STRUCTURAL = {"set", "drop", "odd", "again", "nest", "rename", "move", "warp"}


def mutate(
    name: str, data: bytes, tree: Any, plan: list[tuple], others: list[bytes], evil: dict[str, bytes]
) -> tuple[bytes | None, str]:
    """The file's new bytes (None: no file), and which hostile file it is, if it is one as it stands."""
    label, hdf5 = "", kind(name, data) == "hdf5"
    for step in plan:
        if step[0] == "missing":
            return None, ""
        if step[0] == "swap":
            data = others[step[1] % len(others)]
        elif step[0] == "hostile":
            label = sorted(evil)[step[1] % len(evil)]
            data = evil[label]
        elif step[0] not in STRUCTURAL:
            data, label = bytes_step(data, step), ""
        elif tree is not None:
            tree = edit(tree, step[1], step)
            if step is [s for s in plan if s[0] in STRUCTURAL][-1]:
                data = encode(name, tree, hdf5)
    return data, label
