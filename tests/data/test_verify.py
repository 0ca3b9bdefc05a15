"""Verification: what is right passes, and each thing that can be wrong with files on disk is named."""

import hashlib
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from mp3d.data import manifest, verify
from mp3d.data import threedmppe as threedmppe_reader
from mp3d.data.manifest import Dataset
from mp3d.data.verify import exit_code, to_json
from mp3d.data.writers import muco, threedmppe
from mp3d.errors import BadInput, MissingData

A, B = b"first file, of 30 bytes or more.", b"second"


def entry(**changes) -> Dataset:
    """A data set of `a.txt`, with a hash that several know, and `sub/b*.txt` without."""
    file = {
        "path": "a.txt",
        "bytes": len(A),
        "sha256": hashlib.sha256(A).hexdigest(),
        "md5": None,
        "hash_source": "two copies",
        "confidence": "multiple",
        "reason": None,
        "required": True,
        "for": ["all"],
    } | changes.pop("file", {})
    whole = manifest.get("panoptic").model_dump(by_alias=True)
    whole |= {"id": "toy", "files": [file], "hash_lists": [], "checks": [], "protocols": {}}
    rows = [("a.txt", 1, 1, True), ("sub/b*.txt", 2, 2, True), ("more/*.jpg", 1, None, False)]
    keys = ("glob", "min", "max", "required")
    whole["layout"] = [dict(zip(keys, row)) | {"format": "other", "sample": 1} for row in rows]
    return Dataset.model_validate(whole | changes)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_bytes(A)
    (tmp_path / "sub" / "b1.txt").write_bytes(B)
    (tmp_path / "sub" / "b2.txt").write_bytes(B)
    return tmp_path


def look(dataset, folder, level="layout", **more):
    """Exit code, and the findings that are not ok as 'status what: text'."""
    findings = verify.verify(dataset, folder, level, **more)
    return exit_code(findings), [f"{f.status} {f.what}: {f.text}" for f in findings if f.status != "ok"]


@pytest.mark.parametrize("level", verify.LEVELS)
def test_what_is_right_passes(folder, level):
    assert look(entry(), folder, level) == (0, [])


def test_exit_codes():
    def code(*status):
        return exit_code([verify.Finding("d", "layout", s, "w", "t") for s in status])

    assert [code("ok"), code("failure", "absent", "warning"), code("ok", "warning")] == [0, 1, 2]
    assert [code("ok", "absent", "warning"), code()] == [3, 0]


def test_a_level_that_is_none(folder):
    with pytest.raises(BadInput, match="layout, size, hash, semantic"):
        verify.verify(entry(), folder, "all")


def test_absent(tmp_path):
    code, text = look(entry(), tmp_path / "nowhere", "semantic")
    assert (code, len(text)) == (3, 1)
    assert "no such folder" in text[0]
    assert look(entry(), tmp_path)[0] == 3
    assert look(manifest.get("duet"), tmp_path / "nowhere", "hash") == (0, [])


def test_an_archive_that_is_not_unpacked(tmp_path):
    row = {"glob": "b", "min": 1, "max": 1, "format": "other", "required": False, "sample": 0}
    (tmp_path / "a.txt").write_bytes(A)
    code, text = look(entry(layout=[row]), tmp_path, "hash")
    assert code == 2
    assert "mp3d data import toy" in text[0]


def test_files_that_are_missing_or_too_many(folder):
    (folder / "sub" / "b2.txt").rename(folder / "sub" / "B2.txt")
    code, text = look(entry(), folder)
    assert code == 1
    assert text == ["failure sub/b*.txt: 1 files, expected 2; sub/B2.txt differs in upper and lower case"]
    for i in (2, 3):
        (folder / "sub" / f"b{i}.txt").write_bytes(B)
    assert look(entry(), folder)[0] == 2


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "0 bytes"), (b"version https://git-lfs.github.com/spec/v1\noid x\n", "LFS"), (b"/annex/objects/x", "annex")],
)
def test_trap_29_pointers_and_empty_files(folder, content, text):
    (folder / "sub" / "b1.txt").write_bytes(content)
    code, found = look(entry(), folder)
    assert code == 1
    assert found[0].startswith("failure sub/b1.txt")
    assert text in found[0]


@pytest.mark.parametrize(("confidence", "code"), [("official", 1), ("multiple", 1), ("single", 2)])
def test_trap_24_whose_word_a_hash_is(folder, confidence, code):
    dataset = entry(file={"confidence": confidence})
    (folder / "a.txt").write_bytes(A[:-5])
    found = look(dataset, folder, "size")
    assert found[0] == code
    assert f"cut off: {len(A) - 5} bytes, not {len(A)} ({confidence}: two copies)" in found[1][0]
    (folder / "a.txt").write_bytes(A[:-1] + b"!")
    assert look(dataset, folder, "size")[0] == 0
    found = look(dataset, folder, "hash")
    assert found[0] == code
    assert "two copies" in found[1][0]


def test_md5_alone(folder):
    md5 = hashlib.md5(A).hexdigest()
    dataset = entry(file={"sha256": None, "md5": md5, "reason": "md5 alone"})
    assert look(dataset, folder, "hash") == (0, [])
    (folder / "a.txt").write_bytes(A[::-1])
    assert look(dataset, folder, "hash")[0] == 1


def test_the_lock_trusts_on_first_use(folder):
    dataset = entry()
    assert look(dataset, folder, "hash") == (0, [])
    lock = json.loads((folder / verify.LOCK).read_text())
    assert set(lock) == {"sub/b1.txt", "sub/b2.txt"}  # a.txt has a hash of its own
    assert lock["sub/b1.txt"]["sha256"] == hashlib.sha256(B).hexdigest()
    assert (lock["sub/b1.txt"]["bytes"], lock["sub/b1.txt"]["mp3d"]) == (len(B), "0.1.0")
    (folder / "sub" / "b1.txt").write_bytes(b"SECOND")
    for _ in range(2):  # looking does not make it right
        code, text = look(dataset, folder, "hash")
        assert code == 1
        assert "as locked" in text[0]
    assert look(dataset, folder, "hash", update_lock=True) == (0, [])
    assert look(dataset, folder, "hash") == (0, [])


def test_a_locked_file_that_is_gone(folder):
    dataset = entry(
        layout=[{"glob": "**/*.txt", "min": 1, "max": None, "format": "other", "required": True, "sample": 0}]
    )
    look(dataset, folder, "hash")
    (folder / "sub" / "b2.txt").unlink()
    code, text = look(dataset, folder, "hash")
    assert code == 1
    assert "no longer there" in text[0]
    assert look(dataset, folder, "hash", update_lock=True)[0] == 0
    assert "sub/b2.txt" not in json.loads((folder / verify.LOCK).read_text())


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"sub/b1.txt": 1}', '{"a": {"sha256": "x", "mtime": 1e300}}', '{"a": {}}']
)
def test_a_damaged_lock(folder, text):
    (folder / verify.LOCK).write_text(text)
    code, found = look(entry(), folder, "hash")
    assert code == 1
    assert verify.LOCK in found[0]
    assert (folder / verify.LOCK).read_text() == text


def test_to_json(folder):
    findings = verify.verify(entry(), folder, "hash")
    assert [row["what"] for row in json.loads(to_json(findings))] == [finding.what for finding in findings]


# -- semantic -----------------------------------------------------------------------------------------------


def relaxed(name):
    """A data set's entry without what its fixture, of some frames, cannot have: all the files, and their hashes."""
    whole = manifest.get(name).model_dump(by_alias=True)
    whole["layout"] = [row | {"min": 0} for row in whole["layout"]]
    whole |= {"hash_lists": [], "checks": [c for c in whole["checks"] if c["tolerance"].get("equal", 1) < 2000]}
    return Dataset.model_validate(whole)


FIXTURES = [dataset.id for dataset in manifest.load().datasets if dataset.fixtures]


@pytest.mark.parametrize("name", FIXTURES)
def test_fixtures_mean_what_the_manifest_says(tmp_path, name):
    manifest.fixture(name, tmp_path)
    dataset = relaxed(name)
    findings = verify.verify(dataset, tmp_path, "semantic")
    assert [str(finding) for finding in findings if finding.status != "ok"] == []
    done = {finding.what for finding in findings if finding.level == "semantic"}
    assert {check.id for check in dataset.checks} <= done
    assert len(done) > len(dataset.checks)  # and files were opened


def test_mupots_by_3dmppe_alone(tmp_path):
    """Without the MATLAB files, MuPoTS-3D.json is read, and every check runs on it."""
    threedmppe.fixture(tmp_path)
    scenes = list(verify.SCENES["mupots3d"](tmp_path))
    assert [(scene.sequence, len(scene.people)) for scene in scenes] == [
        ("TS1", 2),
        ("TS1", 1),
        ("TS1", 0),
        ("TS10", 3),
    ]
    dataset = manifest.get("mupots3d")
    found = {f.what: f for f in verify.verify(dataset, tmp_path, "semantic") if f.level == "semantic"}
    results = [found[check.id] for check in dataset.checks]
    assert not any("not checked" in finding.text for finding in results)
    assert [finding.what for finding in results if finding.status != "ok"] == ["cells"]
    assert found["cells"].text.startswith("9, ")  # three frames of two, one of three, valid or not
    (tmp_path / "MuPoTS-3D.json").unlink()
    with pytest.raises(MissingData):
        list(verify.SCENES["mupots3d"](tmp_path))


def test_people_behind_the_camera_are_found_out(tmp_path):
    for name, fixture in (("mupots3d", threedmppe.fixture), ("muco3dhp", muco.fixture)):
        fixture(tmp_path / name)
        path = next((tmp_path / name).glob("Mu*3D*.json" if name == "muco3dhp" else "MuPoTS-3D.json"))
        content = json.loads(path.read_text())
        content["annotations"][0]["keypoints_cam"][0][2] *= -1
        path.write_text(json.dumps(content))
        assert any(line.startswith("failure in_front") for line in look(relaxed(name), tmp_path / name, "semantic")[1])


def test_scenes_are_read_once_and_empty_ones_do_not_count(tmp_path, monkeypatch):
    """People come after 300 scenes without: the checks run, on as many scenes as are asked for."""
    manifest.fixture("muco3dhp", tmp_path)
    some = next(scene for scene in threedmppe_reader.scenes(tmp_path / "MuCo-3DHP.json") if scene.people)
    nobody = replace(some, people=())
    reads, taken = [], []

    def scenes(folder):
        reads.append(folder)
        yield from [nobody] * 300
        for i in range(500):
            taken.append(i)
            yield some

    monkeypatch.setitem(verify.SCENES, "muco3dhp", scenes)
    dataset = relaxed("muco3dhp")
    found = look(dataset, tmp_path, "semantic")
    assert (found, len(reads), len(taken)) == ((0, []), 1, 200)
    assert len(dataset.checks) > 1

    checks = [check.model_dump() for check in dataset.checks]
    checks.append(checks[0] | {"id": "few", "params": checks[0]["params"] | {"scenes": 3}})
    found = look(Dataset.model_validate(dataset.model_dump(by_alias=True) | {"checks": checks}), tmp_path, "semantic")
    assert (found, len(reads), len(taken)) == ((0, []), 3, 403)

    reads.clear()
    monkeypatch.setitem(verify.SCENES, "muco3dhp", lambda folder: iter(reads.append(folder) or [nobody]))
    code, text = look(dataset, tmp_path, "semantic")
    assert (code, len(text), len(reads)) == (2, len(dataset.checks), 1)
    assert all("not checked: no scene with people" in line for line in text)


def test_json_in_metres_is_found_out(tmp_path):
    manifest.fixture("muco3dhp", tmp_path)
    path = tmp_path / "MuCo-3DHP.json"
    content = json.loads(path.read_text())
    for person in content["annotations"]:
        person["keypoints_cam"] = (np.array(person["keypoints_cam"]) / 1000).tolist()
    path.write_text(json.dumps(content))
    text = look(relaxed("muco3dhp"), tmp_path, "semantic")[1]
    assert any(line.startswith("failure millimetres: 0.5") for line in text)


def test_y_up_and_other_cameras_are_found_out(tmp_path):
    manifest.fixture("muco3dhp", tmp_path)
    path = tmp_path / "MuCo-3DHP.json"
    content = json.loads(path.read_text())
    for person in content["annotations"]:
        person["keypoints_cam"] = (np.array(person["keypoints_cam"]) * [1, -1, 1]).tolist()
    path.write_text(json.dumps(content))
    text = look(relaxed("muco3dhp"), tmp_path, "semantic")[1]
    assert [line.split(":")[0] for line in text] == ["failure reprojection", "failure y_down"]


def test_another_lens_is_found_out(tmp_path):
    """Human3.6M's tangential terms are of a model of its own: twice as large, joints move by tenths of a pixel."""
    manifest.fixture("h36m", tmp_path)
    path = tmp_path / "annotation_body3d" / "cameras.pkl"
    cameras = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({key: one | {"p": 2 * one["p"]} for key, one in cameras.items()}))
    code, found = look(manifest.get("h36m"), tmp_path, "semantic")
    assert code == 1
    assert [line.split(":")[0] for line in found] == ["failure lens"]
    path.unlink()
    assert "cameras.pkl" in look(manifest.get("h36m"), tmp_path, "semantic")[1][0]


def test_the_number_of_key_points_is_counted(tmp_path):
    manifest.fixture("coco2017", tmp_path)
    path = next((tmp_path / "annotations").glob("*.json"))
    content = json.loads(path.read_text())
    content["annotations"][0]["num_keypoints"] += 1
    path.write_text(json.dumps(content))
    code, text = look(relaxed("coco2017"), tmp_path, "semantic")
    assert code == 1
    assert "num_keypoints" in text[-1]


def test_a_damaged_file_is_a_failure_of_its_own(tmp_path):
    manifest.fixture("mupots3d", tmp_path)
    path = tmp_path / "MultiPersonTestSet" / "TS1" / "annot.mat"
    path.write_bytes(path.read_bytes()[:-100])
    code, text = look(relaxed("mupots3d"), tmp_path, "semantic")
    assert code == 1
    assert any(line.startswith("failure MultiPersonTestSet/TS1/annot.mat: format") for line in text)


def test_a_cut_off_jpeg(tmp_path):
    good = b"\xff\xd8" + bytes(2000) + b"\xff\xd9"
    dataset = entry(
        layout=[{"glob": "*.jpg", "min": 1, "max": None, "format": "image.jpeg", "required": True, "sample": 9}]
    )
    (tmp_path / "1.jpg").write_bytes(good)
    assert look(dataset, tmp_path, "semantic") == (0, [])
    (tmp_path / "2.jpg").write_bytes(good[:1500])
    assert look(dataset, tmp_path, "semantic")[0] == 1


def test_the_real_outputs_of_tdbu(samples, tmp_path):
    import tarfile

    if not (samples / "tdbu_mupots.tar.xz").is_file():
        pytest.skip("tdbu_mupots.tar.xz is not among the samples")
    with tarfile.open(samples / "tdbu_mupots.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    findings = verify.verify(manifest.get("tdbu_mupots"), tmp_path, "hash")
    assert exit_code(findings) == 0
    assert "305 of 305 files with a known hash have it" in [finding.text for finding in findings]
