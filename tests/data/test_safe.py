"""Files from outside, one kind after another: what is good is read, all else is refused by name."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.data import safe
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
        safe.load_mat(pointer)
    pointer.write_text("/annex/objects/SHA256E-s1--0.mat\n")
    with pytest.raises(BadInput, match="git-annex"):
        safe.load_mat(pointer)
    pointer.write_text("")
    with pytest.raises(BadInput, match="0 bytes"):
        safe.load_mat(pointer)
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
