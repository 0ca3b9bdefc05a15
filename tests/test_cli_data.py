"""`mp3d data`: what it prints, its exit codes, and downloads from a server that fails in all the usual ways."""

import hashlib
import json
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from mp3d.cli_data import FORMATS, data_app
from mp3d.data import fetch as download
from mp3d.data import manifest
from mp3d.data.manifest import Dataset
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.synthetic import worlds

CONTENT = bytes(range(256)) * 3000
SHA = hashlib.sha256(CONTENT).hexdigest()


def call(*words: object):
    """What `mp3d data WORDS` prints and returns."""
    result = CliRunner().invoke(data_app, [str(word) for word in words])
    if isinstance(result.exception, Mp3dError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("MP3D_DATA", raising=False)


# -- list ---------------------------------------------------------------------------------------------------


def test_list_is_a_table_of_100_columns(tmp_path, monkeypatch):
    (tmp_path / "jta").mkdir()
    (tmp_path / "jta" / "x").write_text("x")
    lines = call("list", "--root", tmp_path).stdout.splitlines()
    rows = 1 + len(manifest.load().datasets)
    assert max(map(len, lines[:rows])) <= 100
    state = {line.split()[0]: line.split()[-1] for line in lines[1:rows]}
    assert (state["jta"], state["h36m"], state["duet"]) == ("present", "absent", "in")
    assert list(state) == [dataset.id for dataset in manifest.load().datasets]
    assert "MP3D_DATA is not set" in call("list").stdout
    monkeypatch.setenv("MP3D_DATA", str(tmp_path))
    assert call("list").stdout.splitlines()[:rows] == lines[:rows]


@pytest.mark.parametrize("name", [dataset.id for dataset in manifest.load().datasets])
def test_list_of_one(name):
    text = call("list", name).stdout
    dataset = manifest.get(name)
    assert "\n".join(dataset.numbered) in text
    for url in dataset.urls:
        assert url.url in text


def test_a_name_that_is_none():
    for words in (["list"], ["fetch"], ["verify", "--root", "."]):
        with pytest.raises(BadInput, match="one of duet"):
            call(words[0], "mupots", *words[1:])


# -- fetch --------------------------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; /dead, /other, /short and /noresume each do something else. Keeps a diary."""

    diary: list[tuple[str, str | None]]

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.diary.append((self.path, wanted))
        place = self.path.split("/")[1]
        if place == "dead":
            self.send_error(404)
            return
        body = CONTENT[::-1] if place == "other" else CONTENT
        begin = int(wanted[6:-1]) if wanted and place != "noresume" else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        self.wfile.write(body[begin : len(body) // 2] if place == "short" and not begin else body[begin:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as found:
        found.diary = []
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        found.at = f"http://127.0.0.1:{found.server_address[1]}"
        yield found
        found.shutdown()
        thread.join()


def dataset(*urls, **changes) -> Dataset:
    whole = manifest.get("coco2017").model_dump(by_alias=True)
    file = whole["files"][0] | {"path": "sub/data.bin", "bytes": len(CONTENT), "sha256": SHA, "md5": None, "urls": urls}
    return Dataset.model_validate(whole | {"files": [file | changes]})


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once(server, tmp_path):
    for _ in range(2):
        (path,) = download.fetch(dataset(f"{server.at}/good"), tmp_path)
        assert path.read_bytes() == CONTENT
    assert server.diary == [("/good", None)]
    assert names(tmp_path) == ["sub/data.bin"]
    path.write_bytes(b"damaged")
    download.fetch(dataset(f"{server.at}/good"), tmp_path)
    assert path.read_bytes() == CONTENT


def test_the_next_address_is_tried(server, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as closed:
        port = closed.server_address[1]
    urls = [f"http://127.0.0.1:{port}/x", f"{server.at}/dead", f"{server.at}/other", f"{server.at}/good"]
    (path,) = download.fetch(dataset(*urls), tmp_path)
    assert path.read_bytes() == CONTENT
    assert [place for place, _ in server.diary] == ["/dead", "/other", "/good"]


def test_every_address_has_its_say(server, tmp_path):
    with pytest.raises(MissingData, match=r"(?s)no address gives it.*dead/1: HTTP Error 404.*dead/2: HTTP"):
        download.fetch(dataset(f"{server.at}/dead/1", f"{server.at}/dead/2"), tmp_path)
    assert names(tmp_path) == []


def test_another_hash_is_refused(server, tmp_path):
    with pytest.raises(BadInput, match=f"another hash.*expected sha256:{SHA}"):
        download.fetch(dataset(f"{server.at}/other"), tmp_path)
    assert names(tmp_path) == []
    md5 = {"sha256": None, "md5": hashlib.md5(CONTENT).hexdigest(), "reason": "md5 alone"}
    download.fetch(dataset(f"{server.at}/good", **md5), tmp_path)
    assert names(tmp_path) == ["sub/data.bin"]


def test_another_size_is_refused_before_it_is_fetched(server, tmp_path):
    with pytest.raises(MissingData, match=f"{len(CONTENT)} bytes offered, not 10"):
        download.fetch(dataset(f"{server.at}/good", bytes=10), tmp_path)


def test_a_download_goes_on_where_it_stopped(server, tmp_path):
    with pytest.raises(MissingData, match=f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes"):
        download.fetch(dataset(f"{server.at}/short"), tmp_path)
    assert names(tmp_path) == ["sub/.data.bin.part"]
    (path,) = download.fetch(dataset(f"{server.at}/good"), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.diary[-1] == ("/good", f"bytes={len(CONTENT) // 2}-")
    assert names(tmp_path) == ["sub/data.bin"]


@pytest.mark.parametrize("place", ["good", "noresume"])
def test_a_part_of_something_else_is_thrown_away(server, tmp_path, place):
    """A server that cannot resume sends all; a part that does not fit costs a second download."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".data.bin.part").write_bytes(b"x" * 1000)
    (path,) = download.fetch(dataset(f"{server.at}/{place}"), tmp_path)
    assert path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.diary] == (["bytes=1000-", None] if place == "good" else ["bytes=1000-"])


def test_fetch_of_what_one_must_ask_for(tmp_path):
    for name in ("h36m", "jta", "mupots3d", "duet"):
        with pytest.raises(MissingData, match=re.escape(f"1. {manifest.get(name).access.steps[0]}")):
            call("fetch", name)
        with pytest.raises(MissingData):
            call("fetch", name, "--root", tmp_path)
    assert names(tmp_path) == []


def test_fetch_by_the_command(server, tmp_path, monkeypatch):
    toy = dataset(f"{server.at}/good", path="data.zip")
    monkeypatch.setattr(manifest, "get", lambda name: toy)
    result = call("fetch", "coco2017", "--root", tmp_path)
    assert (tmp_path / "coco2017" / "data.zip").read_bytes() == CONTENT
    assert f"mp3d data import coco2017 {tmp_path / 'coco2017' / 'data.zip'}" in result.stdout
    with pytest.raises(MissingData, match="--root"):
        call("fetch", "coco2017")
    with pytest.raises(BadInput, match=r"one of data\.zip"):
        call("fetch", "coco2017", "--root", tmp_path, "--file", "other")


def test_what_is_fetched_by_default():
    coco = manifest.get("coco2017")
    assert [row.path for row in download.wanted(coco)] == ["annotations_trainval2017.zip"]
    (train,) = download.wanted(coco, ["train2017.zip"])
    assert train.hash == "md5:cced6f7f71b7629ddf16f17bbcfab6b2"
    tdbu = download.wanted(manifest.get("tdbu_mupots"))
    assert len(tdbu) == 305
    assert tdbu[0].urls[0].endswith("/ea245d22231ebf57354575a27af62790458cffab/mupots/depths/00_00.pkl")


# -- import -------------------------------------------------------------------------------------------------


def test_import_unpacks_or_does_nothing(tmp_path):
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    with zipfile.ZipFile(good, "w") as file:
        file.writestr("sequenceFiles/test/a.pkl", "1")
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("sequenceFiles/test/b.pkl", "1")
        file.writestr("../../outside", "1")
    root = tmp_path / "data"
    with pytest.raises(BadInput, match="outside"):
        call("import", "pw3d", bad, "--root", root)
    assert names(root) == []
    assert "1 files" in call("import", "pw3d", good, "--root", root).stdout
    assert names(root) == ["pw3d/sequenceFiles/test/a.pkl"]
    with pytest.raises(MissingData, match="no such file"):
        call("import", "pw3d", tmp_path / "none.zip", "--root", root)


def test_import_into_what_is_made_here_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", "1")
    with pytest.raises(BadInput, match="duet"):
        call("import", "duet", tmp_path / "a.zip", "--root", tmp_path / "data")
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("words", [("import", "pw3d", "a.zip", "--root"), ("make", "duet", "--format", "coco")])
def test_a_place_that_cannot_be_written_to(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.zip", "w") as file:
        file.writestr("a", "1")
    with pytest.raises(BadInput, match=r"a\.zip"):
        call(*words, tmp_path / "a.zip" / "below")
    assert names(tmp_path) == ["a.zip"]


def test_import_of_another_file_than_the_manifest_knows(tmp_path):
    """Several say what COCO's zip is: refused. One says what Human3.6M's archives are: a warning."""
    for name in ("val2017.zip", "Videos_S1.tgz"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("a", "1")
    with pytest.raises(BadInput, match="multiple"):
        call("import", "coco2017", tmp_path / "val2017.zip", "--root", tmp_path / "data")
    assert names(tmp_path / "data") == []
    assert (
        "warning: Videos_S1.tgz"
        in call("import", "h36m", tmp_path / "Videos_S1.tgz", "--root", tmp_path / "data").stdout
    )


# -- verify -------------------------------------------------------------------------------------------------


def test_verify_of_an_unknown_level(tmp_path):
    """Also where nothing is there to be verified."""
    with pytest.raises(BadInput, match="one of layout, size, hash, semantic"):
        call("verify", "--root", tmp_path, "--level", "deep")


def test_verify_has_four_exit_codes(tmp_path):
    result = call("verify", "panoptic", "--root", tmp_path)
    assert result.exit_code == 3
    assert result.stdout.startswith("absent  panoptic  layout")
    assert call("verify", "--root", tmp_path).exit_code == 3
    manifest.fixture("panoptic", tmp_path / "panoptic")
    result = call("verify", "--root", tmp_path, "--level", "semantic")
    assert result.exit_code == 0, result.stdout
    assert (tmp_path / "panoptic" / "data_lock.json").is_file()
    manifest.fixture("jta", tmp_path / "jta")
    assert call("verify", "jta", "--root", tmp_path).exit_code == 2  # three of 512 sequences
    path = next((tmp_path / "panoptic").rglob("body3DScene*.json"))
    path.write_text("{}")
    assert call("verify", "--root", tmp_path, "--level", "layout").exit_code == 2
    result = call("verify", "jta", "panoptic", "--root", tmp_path, "--level", "hash", "--json")
    assert result.exit_code == 1
    assert [row["what"] for row in json.loads(result.stdout) if row["status"] == "failure"] == [
        path.relative_to(tmp_path / "panoptic").as_posix()
    ]
    assert call("verify", "panoptic", "--root", tmp_path, "--level", "hash", "--update-lock").exit_code == 0
    assert call("verify", "panoptic", "--root", tmp_path, "--level", "semantic").exit_code == 1  # {} is no body
    with pytest.raises(BadInput, match="level"):
        call("verify", "--root", tmp_path, "panoptic", "--level", "deep")
    with pytest.raises(MissingData, match="MP3D_DATA"):
        call("verify")


# -- make ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos():
    return worlds.sequences("duet", 0, frames=3)


@pytest.mark.parametrize("format", FORMATS)
def test_make_writes_what_the_readers_read(tmp_path, monkeypatch, videos, format):
    from mp3d.data import coco, human36m, jta, mupots, panoptic, threedmppe

    monkeypatch.setattr(worlds, "sequences", lambda world, seed, frames: videos)  # made once, for it takes a while
    folder = tmp_path / "made"
    call("make", "duet", folder, "--format", format, "--sequences", 2, "--frames", 3)
    facts = json.loads((folder / "provenance.json").read_text())
    assert (facts["world"], facts["format"], facts["sequences"], facts["frames"]) == ("duet", format, 2, 3)
    scenes = {
        "mupots": lambda: mupots.scenes(folder, mupots.present(folder)),
        "muco": lambda: threedmppe.scenes(folder / "MuCo-3DHP.json"),
        "panoptic": lambda: panoptic.scenes(folder, cameras=("00_16",)),
        "jta": lambda: jta.scenes(folder, "test"),
        "human36m": lambda: human36m.scenes(folder, subjects=(1, 2)),
        "coco": lambda: coco.scenes(folder),
    }[format]
    assert sum(len(scene.people) for scene in scenes()) == 12  # two videos, three frames, two people
    with pytest.raises(BadInput, match="not empty"):
        call("make", "duet", folder, "--format", format)


def test_make_leaves_nothing_behind(tmp_path, monkeypatch, videos):
    from mp3d.data.writers import mupots

    def fails(scenes, folder):
        (folder / "half").write_text("x")
        raise BadInput("writer", "scenes", "x", "y")

    whole = worlds.sequences
    monkeypatch.setattr(worlds, "sequences", lambda world, seed, frames: videos)
    monkeypatch.setattr(mupots, "write", fails)
    with pytest.raises(BadInput, match="writer"):
        call("make", "duet", tmp_path / "made", "--format", "mupots", "--frames", 1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadInput, match="mupots, muco"):
        call("make", "duet", tmp_path / "made", "--format", "bvh")
    monkeypatch.setattr(worlds, "sequences", whole)
    with pytest.raises(BadInput, match="duet"):
        call("make", "nowhere", tmp_path / "made", "--format", "mupots")
    (tmp_path / "empty").mkdir()
    monkeypatch.undo()
    monkeypatch.setattr(worlds, "sequences", lambda world, seed, frames: videos)
    call("make", "duet", tmp_path / "empty", "--format", "mupots", "--frames", 1, "--sequences", 1)
    assert (tmp_path / "empty" / "provenance.json").is_file()
