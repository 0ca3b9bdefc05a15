"""Archives: what is plain comes out whole; everything else leaves nothing behind, inside the target or out of it."""

import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.data.archives import extract
from mp3d.errors import BadInput, MissingData

FILES = {"data/a.txt": b"one", "data/sub/b.bin": bytes(range(256)) * 9, "empty": b""}


def tar_of(path, files, mode="w", members=()):
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in members:
            tar.addfile(info)
    return path


def zip_of(path, files, members=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it is, backslashes too
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
        for info in members:
            file.writestr(info, "target")
    return path


def archive(folder, kind, files, members=()):
    path = folder / f"a.{kind}"
    if kind == "zip":
        return zip_of(path, files, members)
    return tar_of(path, files, {"tar": "w", "tgz": "w:gz", "tbz": "w:bz2", "txz": "w:xz"}[kind], members)


def tree(folder):
    """Every file below a folder, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder, path, match, **limits):
    before = tree(folder)
    with pytest.raises(BadInput, match=match):
        extract(path, folder / "in" / "target", **limits)
    assert tree(folder) == before
    assert not list((folder / "in").glob("*"))  # hidden folders too


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz", "tbz", "txz"])
def test_what_is_plain_comes_out(tmp_path, kind):
    path = archive(tmp_path, kind, FILES | {"__MACOSX/data/._a.txt": b"x", "data/.DS_Store": b"x"})
    paths = extract(path, tmp_path / "in" / "target")
    assert tree(tmp_path / "in") == {f"target/{name}": content for name, content in FILES.items()}
    assert sorted(paths) == sorted(tmp_path / "in" / "target" / name for name in FILES)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name",
    ["/etc/x", "../x", "a/../../x", "a/..", "C:/x", "c:x", "a\\..\\x", "\\\\host\\x", "a\nb", "x" * 2000, "a/../b"],
)
def test_trap_25_names_that_lead_outside(tmp_path, kind, name):
    refused(tmp_path, archive(tmp_path, kind, {"good.txt": b"1", name: b"2"}), r"member|archive")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "names", [("a/b.txt", "A/b.txt"), ("a.txt", "A.TXT"), ("x/y", "X/z"), ("é", "e\u0301"), ("a", "a/b"), ("a/b", "a")]
)
def test_trap_25_names_that_are_one_elsewhere(tmp_path, kind, names):
    refused(tmp_path, archive(tmp_path, kind, dict.fromkeys(names, b"1")), r"case|twice|already|archive")


def test_a_name_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a", "1")
        file.writestr("a", "2")
    refused(tmp_path, tmp_path / "a.zip", "twice")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a"))
    refused(tmp_path, tmp_path / "a.tar", "twice")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_trap_25_links_and_devices_in_a_tar(tmp_path, kind):
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(tmp_path, archive(tmp_path, "tar", FILES, [info]), "link or device")


def test_trap_25_links_in_a_zip(tmp_path):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    refused(tmp_path, archive(tmp_path, "zip", FILES, [info]), "a link")


@pytest.mark.parametrize("kind", ["zip", "tgz", "txz"])
def test_trap_25_bombs(tmp_path, kind):
    path = archive(tmp_path, kind, {"zeros": bytes(80 << 20)})
    refused(tmp_path, path, "bomb", max_ratio=10)
    refused(tmp_path, path, "bomb", max_bytes=1000)
    path = archive(tmp_path, kind, {f"f{i}": b"1" for i in range(20)})
    refused(tmp_path, path, "at most 10", max_files=10)


def test_a_zip_that_says_less_than_it_holds(tmp_path):
    data = bytearray(zip_of(tmp_path / "a.zip", {"zeros": bytes(5000)}).read_bytes())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + place
        data[at : at + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path, tmp_path / "a.zip", "archive")


def test_a_zip_that_says_more_than_it_holds(tmp_path):
    data = bytearray(zip_of(tmp_path / "a.zip", {"zeros": bytes(5000)}).read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (6000).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path, tmp_path / "a.zip", "5000 bytes in 'zeros', expected 6000")


def test_headers_that_would_fill_memory_or_never_end(tmp_path):
    big = tarfile.TarInfo("pax")
    big.type, big.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a.tar").write_bytes(big.tobuf(tarfile.USTAR_FORMAT if big.size < 1 << 33 else tarfile.GNU_FORMAT))
    refused(tmp_path, tmp_path / "a.tar", "header")
    sparse = tarfile.TarInfo("s")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(sparse)
    refused(tmp_path, tmp_path / "b.tar", "sparse")


def test_what_is_there_stays(tmp_path):
    target = tmp_path / "in" / "target"
    extract(archive(tmp_path, "zip", {"a/1": b"1"}), target)
    extract(archive(tmp_path, "tar", {"a/2": b"2"}), target)
    assert tree(target) == {"a/1": b"1", "a/2": b"2"}
    before = tree(tmp_path)
    with pytest.raises(BadInput, match="already there"):
        extract(archive(tmp_path, "zip", {"a/0": b"0", "a/1": b"other"}), target)
    assert tree(target) == {"a/1": b"1", "a/2": b"2"}
    assert set(tree(tmp_path)) == set(before)


@pytest.mark.parametrize("error", [OSError("disk full"), ZeroDivisionError("odd")])
def test_whatever_unpacking_raises_is_ours(tmp_path, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr("mp3d.data.archives._unpack", fails)
    refused(tmp_path, archive(tmp_path, "zip", FILES), f"archive.*{type(error).__name__}: {error}")


def test_what_is_no_archive(tmp_path):
    with pytest.raises(MissingData):
        extract(tmp_path / "nowhere.zip", tmp_path / "t")
    for content in (b"no archive", b"PK\x03\x04" + bytes(30), b"\x1f\x8b\x08" + bytes(40), b"\xfd7zXZ\x00" + bytes(9)):
        (tmp_path / "a").write_bytes(content)
        refused(tmp_path, tmp_path / "a", r"archive|size")
    pointer = tmp_path / "p.zip"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused(tmp_path, pointer, "Git LFS")


@given(st.sampled_from(["zip", "tar", "tgz", "txz"]), st.data())
def test_damaged_archives(tmp_path_factory, kind, data):
    """Any byte changed, or the end cut off: an error of ours or the files, and nothing but the target."""
    folder = tmp_path_factory.mktemp("a")
    path = archive(folder, kind, FILES)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(1, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        extract(path, folder / "in" / "target")
    except BadInput:
        assert set(tree(folder)) == {path.name}
    else:
        assert all(name.startswith("in/target/") for name in tree(folder) if name != path.name)
