"""A file is there whole or not at all."""

from pathlib import Path

import pytest

from mp3d.files import write


def test_write_makes_the_folder_and_replaces_the_file(tmp_path):
    path = tmp_path / "new" / "a.csv"
    write(path, b"old")
    assert path.read_bytes() == b"old"
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["chmod", "replace"])
def test_write_leaves_the_old_file_if_it_fails(tmp_path, monkeypatch, step):
    path = tmp_path / "a.csv"
    write(path, b"old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, step, full)
    with pytest.raises(OSError, match="no space"):
        write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"
