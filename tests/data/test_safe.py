"""Files from outside, one kind after another: what is good is read, all else is refused by name."""

import codecs
import json
import pickle
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from mp3d.data import matlab, pickles, safe
from mp3d.errors import BadInput, MissingData

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "value",
    [
        np.diag([1.0, 1, -1]),
        np.diag([1.0, 1, 1.01]),
        np.full((3, 3), 1e300),
        np.full((3, 3), np.nan),
        np.eye(4),
        [["1", 0, 0]] * 3,
    ],
)
def test_what_is_no_rotation(value):
    """A mirror, a stretch, numbers whose squares overflow, NaN, another shape, text."""
    with pytest.raises(BadInput, match="cam: R: "):
        safe.rotation(value, "cam", "R")


def test_rotations_and_bounds():
    turn = [[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]]
    np.testing.assert_array_equal(safe.rotation(turn, "cam", "R"), turn)
    np.testing.assert_array_equal(safe.bounded([1e8, -1e8], "f", "x", (2,)), [1e8, -1e8])
    for value in ([1.1e8], [-1.1e8]):
        with pytest.raises(BadInput, match=r"1\.1e\+08"):
            safe.bounded(value, "f", "x")


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_records_are_what_json_says(tmp_path_factory, value, indent, ascii):
    """Element by element, and again at the offset given, in a window of few bytes."""
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_bytes(json.dumps(value, indent=indent, ensure_ascii=ascii).encode())
    seen = {key: [] if isinstance(v, list) else v for key, v in value.items()}
    with path.open("rb") as file:
        for key, offset, element in safe.records(path):
            if offset < 0:
                assert element == value[key]
            else:
                seen[key].append(element)
                assert safe.record_at(file, offset, path) == element
    assert seen == value


def test_records_in_a_small_window(tmp_path, monkeypatch):
    monkeypatch.setattr(safe, "_BLOCK", 8)
    path = tmp_path / "a.json"
    rows = [[i, i / 7, -1.5e-7 * i, "é" * i] for i in range(40)]
    path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    found = list(safe.records(path))
    assert [row for _, _, row in found] == rows
    with path.open("rb") as file:
        assert [safe.record_at(file, offset, path) for _, offset, _ in found] == rows


@pytest.mark.parametrize(
    "text",
    ["", "[", "[1", "[1,", "[1,]", "[1]]", "[1] x", '{"a"', '{"a":', '{"a": [1}', '{"a": 1,,}', "{1: 2}"]
    + ["[NaN]", "[Infinity]", "3", '["\\ud8', "[" * 100_000, '["' + "a" * 100],
)
def test_damaged_json_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"a\.json"):
        list(safe.records(path))
    if text not in ("3",):
        with pytest.raises(BadInput, match=r"a\.json"):
            safe.load_json(path)


def test_a_record_has_a_largest_size(tmp_path, monkeypatch):
    monkeypatch.setattr(safe, "MAX_RECORD", 1000)
    monkeypatch.setattr(safe, "_BLOCK", 1000)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([["x" * 10_000]]))
    with pytest.raises(BadInput, match="at most 1000 bytes"):
        list(safe.records(path))


def test_pointers_empty_and_missing_files_are_named(tmp_path):
    pointer = tmp_path / "annot.mat"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(BadInput, match="Git LFS pointer"):
        matlab.load_mat(pointer)
    pointer.write_text("/annex/objects/SHA256E-s1--0.mat\n")
    with pytest.raises(BadInput, match="git-annex"):
        matlab.load_mat(pointer)
    pointer.write_text("")
    with pytest.raises(BadInput, match="0 bytes"):
        matlab.load_mat(pointer)
    with pytest.raises(MissingData, match="nowhere"):
        safe.load_json(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "value",
    ["12", ["1"], [[1, 2], [3]], {"a": 1}, None, [None], [10**400], [float("nan")], np.array([1j]), np.array(["a"])],
)
def test_what_is_no_array_of_numbers(value):
    with pytest.raises(BadInput, match="poses"):
        safe.array(value, "file", "poses")


def test_arrays_have_shapes_and_kinds():
    assert safe.array([[1, 2]], "f", "x", (None, 2)).dtype == float
    assert safe.array([1.0, 2], "f", "x", (2,), int).tolist() == [1, 2]
    assert np.isnan(safe.array([np.nan], "f", "x", finite=False)).all()
    for bad in ([1.5], [1e17], [10**30]):
        with pytest.raises(BadInput):
            safe.array(bad, "f", "x", dtype=int)
    with pytest.raises(BadInput, match=r"shape \(1, 2\), expected shape \(n, 3\)"):
        safe.array([[1, 2]], "f", "x", (None, 3))


def test_get_wants_the_kind():
    assert safe.get({"a": 1}, "a", int, "f") == 1
    for record in ({}, {"a": True}, {"a": "1"}, [1]):
        with pytest.raises(BadInput, match=r"f: b\.a"):
            safe.get(record, "a", (int, float), "f", "b")


def test_many_values_and_white_space(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("[1" + " " * (5 << 20) + "]")
    start = time.perf_counter()
    assert [value for _, _, value in safe.records(path)] == [1]
    assert time.perf_counter() - start < 2
    monkeypatch.setattr(safe, "MAX_VALUES", 100)
    path.write_text("[" + "[]," * 200 + "[]]")
    with pytest.raises(BadInput, match="at most 100"):
        safe.load_json(path)


def test_a_long_text_among_short_ones_fills_no_memory():
    """numpy makes each as long as the longest: 2,000 times 4 MB here."""
    tracemalloc.start()
    with pytest.raises(BadInput):
        safe.array(["x" * 1_000_000, *[""] * 2000], "f", "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_errors_are_short_whatever_was_found():
    with pytest.raises(BadInput) as error:
        safe.get({"a": [[1] * 1000] * 1000}, "a", int, "f")
    assert len(str(error.value)) < 200


# -- MATLAB -------------------------------------------------------------------------------------------------

CELLS = np.empty((3, 2), object)
for i in range(6):
    CELLS.flat[i] = {"annot2": np.arange(34.0).reshape(2, 17) + i, "isValidFrame": np.array([[i % 2]])}
VARIABLES = {
    "annotations": CELLS,
    "numbers": np.arange(24.0).reshape(2, 3, 4),
    "small": np.arange(5, dtype=np.int8),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j, 3]),
    "empty": np.zeros((0, 3)),
    "text": np.array(["abc", "de "]),
    "umlaut": "größe",
    "nothing": "",
    "struct": {"p": 1, "q": {"r": np.ones((2, 2), np.float32), "w": "z"}},
    "structs": np.array([(1, "a"), (2, "b")], [("u", object), ("v", object)]),
    "list": [1, "a", [2.5, 3]],
}


def mat(folder, variables=VARIABLES, compress=False):
    path = folder / "a.mat"
    savemat(path, variables, do_compression=compress)
    return path


def same(a, b):
    assert a.shape == b.shape
    assert a.dtype.names == b.dtype.names
    if a.dtype.names:
        for name in a.dtype.names:
            same(a[name], b[name])
    elif a.dtype == object:
        for x, y in zip(a.flat, b.flat):
            same(x, y)
    else:
        assert a.tolist() == b.tolist()


@pytest.mark.parametrize("compress", [False, True])
def test_mat_is_what_scipy_reads(tmp_path, compress):
    path = mat(tmp_path, compress=compress)
    found, expected = matlab.load_mat(path), loadmat(path)
    assert set(found) == set(VARIABLES)
    for name, value in found.items():
        same(value, expected[name])
    assert found["annotations"][2, 1]["annot2"][0, 0].tolist() == CELLS[2, 1]["annot2"].tolist()
    assert found["small"].dtype == np.int8


def test_mat_keeps_the_class_of_numbers_that_are_stored_small(tmp_path):
    """MATLAB writes whole doubles as bytes, `isValidFrame` among them."""
    element = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, 1, 2) + struct.pack("<HHI", 1, 1, 120)
    element += struct.pack("<HHBBH", 2, 2, 200, 100, 0)
    data = b" " * 124 + struct.pack("<H", 0x0100) + b"IM" + struct.pack("<II", 14, len(element)) + element
    (tmp_path / "a.mat").write_bytes(data)
    value = matlab.load_mat(tmp_path / "a.mat")["x"]
    assert (value.dtype, value.tolist()) == (float, [[200, 100]])
    assert (value.sum()) == 300  # which two bytes would not hold


def header():
    return b" " * 124 + struct.pack("<H", 0x0100) + b"IM"


def element(kind, body):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def matrix(kind, shape, *parts, name=b"x"):
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name) + b"".join(parts))


def nested(depth):
    value = matrix(6, (1, 1), element(9, struct.pack("<d", 1)), name=b"")
    for _ in range(depth):
        value = matrix(1, (1, 1), value, name=b"x")
    return value


FIELD = element(5, struct.pack("<i", 4))
HOSTILE = {
    "many cells, none there": matrix(1, (2**31 - 1, 2**31 - 1)),
    "many numbers, none there": matrix(6, (2**31 - 1, 2), element(9, b"")),
    "a negative size": matrix(6, (-1, -1), element(9, struct.pack("<d", 1))),
    "many spaces": matrix(4, (2**31 - 1, 1), element(16, b"")),
    "many structs without fields": matrix(2, (2**31 - 1, 1), FIELD, element(1, b"")),
    "names of no width": matrix(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"abcd")),
    "the same field twice": matrix(2, (0, 0), FIELD, element(1, b"abc\0abc\0")),
    "deep": nested(3000),
    "a function": matrix(16, (1, 1), element(9, struct.pack("<d", 1))),
    "an object": matrix(3, (1, 1), element(1, b"c"), FIELD, element(1, b"")),
    "a sparse matrix": matrix(5, (1, 1), element(5, b""), element(5, b""), element(9, b"")),
    "a number of no kind": matrix(6, (1, 1), element(99, bytes(8))),
    "an element beyond the end": struct.pack("<II", 14, 1 << 30) + bytes(50),
    "no matrix": element(9, bytes(16)),
    "the same name twice": nested(0)[:8] + nested(0)[8:] + nested(0),
    "zip bomb": struct.pack("<II", 15, 0),
    "compressed, cut off": element(15, zlib.compress(nested(1))[:-8]),
    "compressed in compressed": element(15, zlib.compress(element(15, zlib.compress(nested(0))))),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_mat_files(tmp_path, what, monkeypatch):
    path = tmp_path / "a.mat"
    body = HOSTILE[what]
    if what == "zip bomb":
        body = zlib.compress(matrix(9, (1, 200 << 20), element(2, bytes(200 << 20))), 9)
        body = struct.pack("<II", 15, len(body)) + body
    path.write_bytes(header() + body)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(BadInput, match=r"a\.mat: format"):
        matlab.load_mat(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 5
    assert peak < 250e6  # zlib doubles its buffer on the way to 64 MiB


def test_mat_of_another_version(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"x": np.ones(3)}, format="4")
    with pytest.raises(BadInput, match="v5"):
        matlab.load_mat(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(BadInput, match=r"v7\.3"):
        matlab.load_mat(path)


# -- pickles ------------------------------------------------------------------------------------------------

THINGS = {
    "array": np.arange(6.0).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "texts": np.array(["ab", "c"]),
    "list": [1, -2, 2.5, 10**20, None, True, False, "x", "é", ()],
    "tuples": {(1, "54138969"): (1, (2, 3)), (2, "a"): (np.float32(3.5), np.int64(-2))},
}
OBJECTS = np.empty(2, object)
OBJECTS[:] = [np.ones(2), {"a": 1}]


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_are_what_pickle_says(protocol):
    found = pickles.load_pickle(pickle.dumps(THINGS, protocol), "f", "latin1")
    assert found["list"] == THINGS["list"]
    assert found["tuples"] == THINGS["tuples"]
    for name in ("array", "columns", "texts"):
        assert np.array_equal(found[name], THINGS[name])
        assert found[name].dtype == THINGS[name].dtype
    assert found["columns"].flags.f_contiguous
    objects = pickles.load_pickle(pickle.dumps(OBJECTS, protocol), "f", "latin1")
    assert objects[1] == {"a": 1}
    shared = pickles.load_pickle(pickle.dumps([THINGS["array"]] * 2, protocol), "f", "latin1")
    assert shared[0] is shared[1]


def test_python_2s_strings_hold_bytes():
    """As Python 2 wrote them: the data of an array is a str, in any protocol."""
    raw = np.array([1.5, -2.0]).tobytes()
    text = b"S'" + codecs.escape_encode(raw)[0] + b"'\n"
    begin = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nt"
    begin += b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    for value in (text, b"U" + bytes([len(raw)]) + raw, b"T" + struct.pack("<i", len(raw)) + raw):
        assert pickles.load_pickle(begin + value + b"tb.", "f", "latin1").tolist() == [1.5, -2.0]
        with pytest.raises(BadInput):
            pickles.load_pickle(begin + value + b"tb.", "f")  # ASCII, which bytes of floats are not


def array_state(shape=b"K\x01\x85", dtype=b"f8", order=b"<", parts=b"NNN", raw=b"C\x08" + bytes(8)):
    """A pickle of one array, with something else in one of its places."""
    code = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01" + shape + b"cnumpy\ndtype\n"
    )
    code += b"(X" + struct.pack("<I", len(dtype)) + dtype + b"K\x00K\x01tR(K\x03X\x01\x00\x00\x00" + order + parts
    return b"\x80\x02" + code + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + raw + b"tb."


def laughs(depth):
    """A list of ten of a list of ten of ...: few bytes, 10^depth numbers."""
    code = b"]q\x00(" + b"K\x01" * 10 + b"e"
    for i in range(depth):
        code += b"]q" + bytes([i + 1]) + b"(" + (b"h" + bytes([i])) * 10 + b"e"
    return b"(" + code + b"l."


def keys(depth):
    """A tuple of twice a tuple of twice ... as the key of a dict: hash() would take 2^depth steps."""
    code = b"}K\x01\x85q\x00"
    for i in range(depth):
        code += b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1])
    return b"\x80\x02" + code + b"K\x01s."


def test_the_plain_array_is_read():
    assert pickles.load_pickle(array_state(), "f").tolist() == [0.0]


@pytest.mark.parametrize(
    "data",
    {
        "a call": b"cos\nsystem\n(S'true'\ntR.",
        "a call by the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        "eval": b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        "a class": b"(S'x'\nios\nsystem\n.",
        "an object of a class": b"\x80\x02cnumpy\nndarray\n)\x81.",
        "a persistent id": b"Pid\n.",
        "a persistent id of the stack": b"\x80\x02K\x01Q.",
        "an extension": b"\x80\x02\x82\x01.",
        "a buffer from elsewhere": b"\x80\x05\x97.",
        "a memory of 2^31 places": b"\x80\x02K\x01r\xff\xff\xff\x7fh\x01.",
        "a text of 2^62 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b".",
        "bytes of 2^62 bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".",
        "an array of bytes of 2^40": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
        "an integer of 2^30 bytes": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b".",
        "an integer of 100 bytes": b"\x80\x02\x8a\x64" + b"\x01" * 100 + b".",
        "a frame of 2^62 bytes alone": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62),
        "deep": b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",
        "a list in itself": b"\x80\x02]q\x00h\x00a.",
        "ten of ten of ten": laughs(12),
        "keys of keys": keys(60),
        "an empty stack": b"\x80\x02.",
        "two values": b"K\x01K\x02.",
        "a mark that is none": b"\x80\x02e.",
        "a name alone": b"cnumpy\ndtype\n.",
        "an array without state": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR.",
        "an array of 2^40 made at once": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n\x8a\x06"
        + (1 << 40).to_bytes(6, "little")
        + b"\x85C\x01btR.",
        "ndarray called": b"cnumpy\nndarray\n(K\x05\x85X\x02\x00\x00\x00f8tR.",
        "a shape without bytes": array_state(shape=b"\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"\x85"),
        "a negative shape": array_state(shape=b"J\xff\xff\xff\xff\x85"),
        "a dtype with fields": array_state(parts=b"NX\x01\x00\x00\x00a\x85}"),
        "a dtype of objects": array_state(dtype=b"O8"),
        "a dtype of time": array_state(dtype=b"M8"),
        "a dtype of fields": array_state(dtype=b"f8,f8"),
        "another order": array_state(order=b"!"),
        "too few bytes": array_state(raw=b"C\x07" + bytes(7)),
        "text in place of bytes": array_state(raw=b"X\x02\x00\x00\x00\xc4\x80"),
        "another encoding": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.",
    }.items(),
    ids=lambda item: item[0],
)
def test_hostile_pickles(data):
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(BadInput, match="f: pickle"):
        pickles.load_pickle(data[1], "f")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 5
    assert peak < 100e6


def test_a_pickle_of_too_many_instructions(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_OPCODES", 100)
    with pytest.raises(BadInput, match="100 instructions"):
        pickles.load_pickle(pickle.dumps(list(range(200)), 2), "f")


# -- damaged ------------------------------------------------------------------------------------------------


def whole(folder):
    """A good file of each kind, and what reads it."""
    small = {name: VARIABLES[name] for name in ("annotations", "text", "struct", "complex")}
    return {
        "mat": (mat(folder, small).read_bytes(), matlab.load_mat),
        "matz": (mat(folder, small, True).read_bytes(), matlab.load_mat),
        "pkl0": (pickle.dumps(THINGS, 0), lambda p: pickles.load_pickle(safe.read_bytes(p), p, "latin1")),
        "pkl4": (pickle.dumps(THINGS, 4), lambda p: pickles.load_pickle(safe.read_bytes(p), p)),
        "json": (json.dumps({"a": [[1.5, 2], {"b": "é"}], "c": 3}).encode(), safe.load_json),
        "records": (json.dumps({"a": [[1.5, 2], {"b": "é"}], "c": 3}).encode(), lambda p: list(safe.records(p))),
    }


@pytest.mark.parametrize("kind", ["mat", "matz", "pkl0", "pkl4", "json", "records"])
@settings(max_examples=60)
@given(st.data())
def test_damaged_files_are_refused_or_read(kind, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    content, read = whole(folder)[kind]
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(
            st.sampled_from([b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff" * 8, b"[", b"9" * 50, b""])
            | st.binary(max_size=4)
        )
        content[at : at + data.draw(st.integers(0, 8))] = piece
        content = content or bytearray(b"x")
    path = folder / "damaged"
    path.write_bytes(content)
    try:
        read(path)
    except BadInput as error:
        assert len(str(error)) < 600
