"""MPII's two dialects: the same people by both, traps and damage."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mp3d.data import mpii
from mp3d.data.writers import mpii as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import ABSENT, HIDDEN, VISIBLE
from mp3d.skeletons import MPI17, MPII16, NATIVE

TRAIN, VALID = "annotations/train.json", "annot/valid.json"
R_ANKLE, L_ELBOW, L_WRIST = (MPII16.index(j) for j in ("r_ankle", "l_elbow", "l_wrist"))


@pytest.fixture
def folder(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


def change(folder, name, edit):
    content = json.loads((folder / name).read_text())
    edited = edit(content)
    (folder / name).write_text(json.dumps(edited[0] if isinstance(edited, tuple) else content))


def test_fixture_is_small_and_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        writer.fixture(tmp_path / name, seed=3)
    for file in (TRAIN, VALID):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert (tmp_path / "a" / file).stat().st_size < 100_000


@pytest.mark.parametrize("split", ["train", "valid"])
def test_both_dialects_hold_the_same_people(folder, split):
    scenes = list(mpii.scenes(folder, split))
    assert [scene.world for scene in scenes] == ["mpii", "mpii"]
    assert [scene.sequence.removeprefix("images/") for scene in scenes] == ["000001.jpg", "000002.jpg"]
    assert [len(scene.people) for scene in scenes] == [2, 1]
    people = [person for scene in scenes for person in scene.people]
    for number, person in enumerate(people):
        native, labelled = person.native, np.arange(16) != (R_ANKLE if number == 1 else -1)
        np.testing.assert_array_equal(
            native.uv[labelled], writer.joints(number)[labelled]
        )  # of HRNet's, 1 is taken off
        assert np.isnan(native.uv[~labelled]).all()
        np.testing.assert_array_equal(native.visibility > ABSENT, labelled)
        assert np.isnan(person.xyz).all()
        np.testing.assert_array_equal(person.uv[14], native.uv[6])
        np.testing.assert_array_equal(person.uv[1], native.uv[7])
        assert (person.source[[0, 1, 14]] == NATIVE).all()
        assert (person.source[[15, 16]] == ABSENT).all()
    assert np.isnan(people[1].uv[MPI17.index("r_ankle")]).all()


def test_trap_15_what_visible_means_in_each_dialect(folder):
    """HRNet's tells hidden joints; 3DMPPE's tells only labelled ones: all are unsure."""
    seen = [scene.people[-1].native.visibility for scene in mpii.scenes(folder, "valid")]
    np.testing.assert_array_equal(np.flatnonzero(seen[0] == HIDDEN), [L_ELBOW, L_WRIST])
    assert (seen[0] == VISIBLE).sum() == 13
    assert (seen[1] == VISIBLE).all()
    for scene in mpii.scenes(folder, "train"):
        assert not (scene.visibility == VISIBLE).any()


@pytest.mark.parametrize("split", ["train", "valid"])
def test_trap_02_right_comes_before_left(folder, split):
    for scene in mpii.scenes(folder, split):
        for person in scene.people:  # all look at the camera
            assert person.native.uv[12, 0] < person.native.uv[13, 0]
            assert person.uv[MPI17.index("r_shoulder"), 0] < person.uv[MPI17.index("l_shoulder"), 0]
            mirrored = person.native.uv[list(MPII16.mirror)]
            assert mirrored[12, 0] > mirrored[13, 0]


def test_size_of_the_picture(folder):
    """Stored by 3DMPPE; of the list the picture's own, or what holds the people."""
    assert [(s.camera.width, s.camera.height) for s in mpii.scenes(folder, "train")] == [(1280, 720)] * 2
    for scene in mpii.scenes(folder, "valid"):
        low = np.nanmax([person.native.uv.max(0) for person in scene.people if person.visibility.all()] or [[1, 1]], 0)
        assert scene.camera.width > low[0]
        assert scene.camera.height > low[1]
        assert scene.camera.width < 700
    (folder / "images").mkdir()
    Image.new("RGB", (1280, 720)).save(folder / "images" / "000001.jpg")
    camera = next(mpii.scenes(folder, "valid")).camera
    assert (camera.width, camera.height, camera.fx, camera.cx) == (1280, 720, 1500, 640)
    (folder / "images" / "000001.jpg").write_bytes(b"no picture")
    with pytest.raises(BadInput, match="picture"):
        next(mpii.scenes(folder, "valid"))


def test_people_of_a_picture_need_not_follow_each_other(folder):
    change(folder, VALID, lambda records: ([records[0], records[2], records[1]],))
    assert [len(scene.people) for scene in mpii.scenes(folder, "valid")] == [2, 1]


def test_someone_without_joints_is_left_out(folder):
    change(folder, VALID, lambda r: r[2].update(joints=[[-1, -1]] * 16, joints_vis=[0] * 16))
    assert [scene.sequence for scene in mpii.scenes(folder, "valid")] == ["000001.jpg"]


@pytest.mark.parametrize("name", ["annot/train.json", "annotations/mpii_train.json"])
def test_where_the_file_may_lie(folder, name):
    (folder / TRAIN).unlink()
    with pytest.raises(MissingData, match="mpii_train"):
        next(mpii.scenes(folder))
    (folder / name).write_bytes((folder / VALID).read_bytes())
    assert len(list(mpii.scenes(folder))) == 2
    assert len(list(mpii.scenes(folder / VALID))) == 2


@pytest.mark.parametrize(("name", "split"), [(TRAIN, "train"), (VALID, "valid")])
def test_trap_29_a_git_lfs_pointer_is_told(folder, name, split):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(BadInput, match="Git LFS pointer"):
        next(mpii.scenes(folder, split))


DAMAGE = {
    "joints": (VALID, lambda r: r[0].update(joints=[[1, 2]] * 15), "joints"),
    "joints of strings": (VALID, lambda r: r[0].update(joints=[["1", "2"]] * 16), "joints"),
    "joints far off": (VALID, lambda r: r[0].update(joints=[[1e9, 2]] * 16), "joints"),
    "no joints": (VALID, lambda r: r[0].update(joints=None), "joints"),
    "vis 2": (VALID, lambda r: r[0].update(joints_vis=[2] * 16), "joints_vis"),
    "center": (VALID, lambda r: r[0].update(center=[1]), "center"),
    "scale 0": (VALID, lambda r: r[0].update(scale=0), "scale"),
    "scale a string": (VALID, lambda r: r[0].update(scale="1"), "scale"),
    "image": (VALID, lambda r: r[0].update(image=3), "image"),
    "a record a list": (VALID, lambda r: r.append([]), "image"),
    "nothing": (VALID, lambda r: ([],), "JSON"),
    "test set": (VALID, lambda r: ([{"image": "1.jpg", "center": [1, 1], "scale": 1.0}],), "joints"),
    "key points": (TRAIN, lambda c: c["annotations"][0].update(keypoints=[0] * 51), "keypoints"),
    "count": (TRAIN, lambda c: c["annotations"][0].update(num_keypoints=3), "num_keypoints"),
    "width": (TRAIN, lambda c: c["images"][0].pop("width"), "width"),
    "no annotations": (TRAIN, lambda c: c.pop("annotations") and None, "annotations"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_malformed_json_names_the_field(folder, damage):
    name, edit, field = DAMAGE[damage]
    change(folder, name, edit)
    with pytest.raises(BadInput, match=field):
        list(mpii.scenes(folder, "train" if name == TRAIN else "valid"))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mpii")
    writer.fixture(folder)
    return folder, {name: (folder / name).read_bytes() for name in (TRAIN, VALID)}


@settings(max_examples=200)
@given(st.sampled_from((TRAIN, VALID)), st.floats(0, 1), st.binary(max_size=8), st.booleans())
def test_fuzz_only_our_errors(good, name, place, patch, cut):
    """Truncated, or overwritten anywhere."""
    folder, files = good
    data = files[name]
    at = int(place * len(data))
    (folder / name).write_bytes(data[:at] if cut else data[:at] + patch + data[at + len(patch) :])
    try:
        for scene in mpii.scenes(folder / name):
            assert scene.people
    except Mp3dError as error:
        assert ".json" in str(error)


def test_a_picture_whose_name_no_file_can_have(folder):
    change(folder, VALID, lambda content: content[0].update(image="A" * 5000))
    with pytest.raises(BadInput, match=r"\[\]\.image: found 'AAA"):
        list(mpii.scenes(folder, "valid"))
