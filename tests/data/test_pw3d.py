"""3DPW: pickles of Python 2 and 3DMPPE's JSON against closed-form numbers; traps and damage."""

import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mp3d.data import pickles, pw3d
from mp3d.data.writers import pw3d as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import HIDDEN, VISIBLE
from mp3d.skeletons import APPROXIMATE, MPI17, NATIVE, SMPL24

ALONE, TOGETHER = (f"sequenceFiles/test/{name}.pkl" for name in ("alone_00", "together_00"))
JSON = "3DPW_test.json"


@pytest.fixture
def folder(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


def change(folder, edit, name=TOGETHER):
    data = pickle.loads((folder / name).read_bytes(), encoding="latin1")
    edit(data)
    (folder / name).write_bytes(writer.python2_pickle(data))


def change_json(folder, edit):
    content = json.loads((folder / JSON).read_text())
    edit(content)
    (folder / JSON).write_text(json.dumps(content))


def both(folder):
    return {"pickle": list(pw3d.scenes(folder)), "json": list(pw3d.scenes_json(folder / JSON))}


def test_fixture_is_small_and_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        writer.fixture(tmp_path / name, seed=3)
    for file in (ALONE, TOGETHER, JSON):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert sum((tmp_path / "a" / file).stat().st_size for file in (ALONE, TOGETHER, JSON)) < 200_000


def test_the_fixture_is_a_pickle_of_python_2(folder):
    data = (folder / ALONE).read_bytes()
    assert data[:2] == b"\x80\x02"
    assert b"cnumpy.core.multiarray" in data
    assert b"X" not in data[2:12]  # keys are byte strings: with the default encoding the arrays cannot be read
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(data)


@pytest.mark.parametrize("form", ["pickle", "json"])
def test_camera_frame_in_mm(folder, form):
    scenes = both(folder)[form]
    for scene in scenes:
        people, width, height = writer.SEQUENCES[scene.sequence]
        camera = scene.camera
        assert (camera.width, camera.height) == (width, height)
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (*writer.FOCAL, width / 2, height / 2)
        pose = writer.extrinsics(scene.frame)
        for person in scene.people:
            world = writer.world(person.identity, scene.frame)
            xyz = 1000 * np.array([pose[:3, :3] @ joint + pose[:3, 3] for joint in world])
            np.testing.assert_allclose(person.native.xyz, xyz, atol=1e-9)
            x, y, z = xyz.T
            uv = np.stack([1960 * x / z + width / 2, 1965 * y / z + height / 2], 1)
            np.testing.assert_allclose(person.native.uv, uv, atol=1e-9)
            if form == "pickle":
                np.testing.assert_allclose(camera.to_camera(1000 * world), xyz, atol=1e-9)
            assert person.identity < people
    first = scenes[0]
    assert (first.world, first.sequence, first.frame) == ("pw3d", "alone_00", 0)
    name = pw3d.image_path(folder, scenes[1])
    assert name == folder / "imageFiles" / "alone_00" / "image_00001.jpg"


def test_mpi17_of_smpl(folder):
    person = next(pw3d.scenes(folder)).people[0]
    assert person.native.skeleton == SMPL24
    for joint, place in {"r_shoulder": 17, "l_wrist": 20, "r_hip": 2, "pelvis": 0, "neck": 12, "head": 15}.items():
        np.testing.assert_array_equal(person.xyz[MPI17.index(joint)], person.native.xyz[place])
        assert person.source[MPI17.index(joint)] == NATIVE
    assert person.source[MPI17.index("spine")] == APPROXIMATE
    assert np.isnan(person.xyz[MPI17.index("head_top")]).all()


@pytest.mark.parametrize("form", ["pickle", "json"])
def test_trap_02_left_comes_before_right(folder, form):
    for scene in both(folder)[form]:
        for person in scene.people:  # all look at the camera
            uv = person.native.uv
            assert uv[17, 0] < uv[16, 0]
            assert person.uv[MPI17.index("r_shoulder"), 0] < person.uv[MPI17.index("l_shoulder"), 0]
            mirrored = uv[list(SMPL24.mirror)]
            assert mirrored[17, 0] > mirrored[16, 0]


@pytest.mark.parametrize("form", ["pickle", "json"])
def test_trap_13_both_conditions_make_a_person_valid(folder, form):
    found = {(s.sequence, s.frame): [p.identity for p in s.people] for s in both(folder)[form]}
    assert found == {
        ("alone_00", 0): [0],
        ("alone_00", 1): [0],  # frame 2: poses2d is zero; frame 3: the camera is not valid
        ("together_00", 0): [0, 1],
        ("together_00", 1): [0],  # campose_valid
        ("together_00", 2): [1],  # poses2d
    }


@pytest.mark.parametrize("form", ["pickle", "json"])
def test_trap_15_openpose_tells_what_is_visible(folder, form):
    for scene in both(folder)[form]:
        for person in scene.people:
            seen = dict(zip(MPI17.joints, person.visibility, strict=True))
            assert seen["r_wrist"] == HIDDEN
            assert seen["l_wrist"] == seen["r_ankle"] == seen["neck"] == seen["l_hip"] == VISIBLE
            assert seen["pelvis"] == seen["spine"] == seen["head"] == HIDDEN  # OpenPose's 18 have none: unsure
    change(folder, lambda data: data["poses2d"][0][0, 2].__setitem__(5, 0))  # OpenPose's 5: the left shoulder
    person = next(s for s in pw3d.scenes(folder) if s.sequence == "together_00").people[0]
    assert [MPI17.joints[j] for j in np.flatnonzero(person.visibility[1:15] == HIDDEN) + 1] == [
        *("r_wrist", "l_shoulder", "pelvis")
    ]


def test_an_invalid_frame_may_hold_anything(folder):
    def edit(data):
        data["cam_poses"][3] = np.nan
        data["jointPositions"][1][1] = np.inf

    before = [scene.xyz for scene in pw3d.scenes(folder)]
    change(folder, edit)
    for a, b in zip(before, pw3d.scenes(folder), strict=True):
        np.testing.assert_array_equal(a, b.xyz)


def test_a_joint_behind_the_camera_has_no_place_in_the_picture(folder):
    def edit(data):
        data["jointPositions"][0][0, 3 * 20 + 2] = 6  # the left wrist, m: 1 m behind the camera

    change(folder, edit, ALONE)
    with pytest.raises(BadInput, match="metres"):  # that far off the body it is no body
        next(pw3d.scenes(folder))

    def closer(data):
        data["jointPositions"][0][0].reshape(24, 3)[:, 2] += 4.5
        data["jointPositions"][0][0, 3 * 20 + 2] = 5.1

    writer.fixture(folder)
    change(folder, closer, ALONE)
    person = next(pw3d.scenes(folder)).people[0]
    wrist = MPI17.index("l_wrist")
    assert person.xyz[wrist, 2] < 0
    assert np.isnan(person.uv[wrist]).all()
    assert person.visibility[wrist] == HIDDEN
    assert np.isfinite(person.uv[MPI17.index("r_wrist")]).all()


@pytest.mark.parametrize("where", [".", "sequenceFiles", "sequenceFiles/sequenceFiles"])
def test_where_the_files_may_lie(folder, where, tmp_path_factory):
    target = tmp_path_factory.mktemp("other") / where / "test"
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / "sequenceFiles" / "test").rename(target)
    (target / "._alone_00.pkl").write_bytes(b"what macOS leaves")
    root = target.parent if where == "." else target.parents[where.count("/") + 1]
    assert len(list(pw3d.scenes(root))) == 5
    assert {s.sequence for s in pw3d.scenes(root, sequences=["together_00"])} == {"together_00"}
    with pytest.raises(MissingData, match="nobody"):
        next(pw3d.scenes(root, sequences=["nobody"]))
    with pytest.raises(MissingData, match="train"):
        next(pw3d.scenes(root, "train"))
    with pytest.raises(BadInput, match="split"):
        next(pw3d.scenes(root, "val"))


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_trap_26_a_hostile_pickle_is_refused_and_runs_nothing(folder):
    for bad in (Hostile(folder / "ran"), {"jointPositions": [Hostile(folder / "ran")]}):
        (folder / ALONE).write_bytes(pickle.dumps(bad, protocol=2))
        with pytest.raises(BadInput, match="system"):
            next(pw3d.scenes(folder))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", [ALONE, JSON])
def test_trap_29_a_git_lfs_pointer_is_told(folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(BadInput, match="Git LFS pointer"):
        next(pw3d.scenes(folder) if name == ALONE else pw3d.scenes_json(folder / JSON))


DAMAGE = {
    "no people": (lambda d: d.update(jointPositions=np.array(0.0)), "jointPositions: found a single value"),
    "no jointPositions": (lambda d: d.pop("jointPositions"), "jointPositions"),
    "mm, not m": (lambda d: d["jointPositions"].__setitem__(0, 1000 * d["jointPositions"][0]), "metres"),
    "23 joints": (lambda d: d["jointPositions"].__setitem__(0, np.zeros((4, 69))), r"jointPositions\[0\]"),
    "a shorter track": (lambda d: d["jointPositions"].__setitem__(1, np.zeros((3, 72))), r"jointPositions\[1\]"),
    "a person more": (lambda d: d["poses2d"].append(d["poses2d"][0]), "people"),
    "nobody": (lambda d: d.update(jointPositions=[], poses2d=[], campose_valid=[]), "people"),
    "rows last": (lambda d: d["poses2d"].__setitem__(0, np.zeros((4, 18, 3))), r"poses2d\[0\]"),
    "NaN joints": (lambda d: d["jointPositions"][0].fill(np.nan), "jointPositions"),
    "camera 3 x 4": (lambda d: d.update(cam_poses=d["cam_poses"][:, :3]), "cam_poses"),
    "camera a mirror": (lambda d: d["cam_poses"].__setitem__((slice(None), 0), -d["cam_poses"][:, 0]), "cam_poses"),
    "camera NaN": (lambda d: d["cam_poses"].fill(np.nan), "cam_poses"),
    "intrinsics": (lambda d: d.update(cam_intrinsics=np.zeros((3, 3))), "intrinsics"),
    "intrinsics a list": (lambda d: d.update(cam_intrinsics=[1]), "cam_intrinsics"),
    "strings": (lambda d: d.update(campose_valid=["yes", "no"]), "campose_valid"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_malformed_pickles_name_the_field(folder, name):
    edit, field = DAMAGE[name]
    change(folder, edit)
    with pytest.raises(BadInput, match=field) as error:
        list(pw3d.scenes(folder, sequences=["together_00"]))
    assert "together_00.pkl" in str(error.value)


@pytest.mark.parametrize("content", [[], {}, None, 3, "x", {"cam_poses": 1}])
def test_pickles_of_another_kind(folder, content):
    (folder / ALONE).write_bytes(writer.python2_pickle(content))
    with pytest.raises(BadInput, match="alone_00"):
        list(pw3d.scenes(folder))


JSON_DAMAGE = {
    "mm, not m": (
        lambda c: c["annotations"][0].update(joint_cam=(1000 * np.array(c["annotations"][0]["joint_cam"])).tolist()),
        "metres",
    ),
    "17 joints": (lambda c: c["annotations"][0].update(joint_cam=[[0, 0, 1]] * 17), "joint_cam"),
    "no openpose": (lambda c: c["annotations"][0].pop("openpose_result"), "openpose_result"),
    "rows first": (lambda c: c["annotations"][0].update(openpose_result=[[0] * 18] * 3), "openpose_result"),
    "no focal": (lambda c: c["images"][0]["cam_param"].pop("focal"), "focal"),
    "focal 0": (lambda c: c["images"][0]["cam_param"].update(focal=[0, 1]), "intrinsics"),
    "no sequence": (lambda c: c["images"][0].pop("sequence"), "sequence"),
    "frame": (lambda c: c["images"][0].update(frame_idx="0"), "frame_idx"),
    "person": (lambda c: c["annotations"][0].update(person_id=None), "person_id"),
}


@pytest.mark.parametrize("name", JSON_DAMAGE)
def test_malformed_json_names_the_field(folder, name):
    edit, field = JSON_DAMAGE[name]
    change_json(folder, edit)
    with pytest.raises(BadInput, match=field):
        list(pw3d.scenes_json(folder / JSON))


def test_one_sequence_at_a_time(folder, monkeypatch):
    read = []
    plain = pickles.load_pickle
    monkeypatch.setattr(
        pickles, "load_pickle", lambda data, where, *more: read.append(where) or plain(data, where, *more)
    )
    stream = pw3d.scenes(folder)
    next(stream)
    assert [path.stem for path in read] == ["alone_00"]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pw3d")
    writer.fixture(folder)
    return folder, {name: (folder / name).read_bytes() for name in (ALONE, JSON)}


@settings(max_examples=200)
@given(st.sampled_from((ALONE, JSON)), st.floats(0, 1), st.binary(max_size=8), st.booleans())
def test_fuzz_only_our_errors(good, name, place, patch, cut):
    """Truncated, or overwritten anywhere."""
    folder, files = good
    data = files[name]
    at = int(place * len(data))
    (folder / name).write_bytes(data[:at] if cut else data[:at] + patch + data[at + len(patch) :])
    try:
        scenes = pw3d.scenes(folder, sequences=["alone_00"]) if name == ALONE else pw3d.scenes_json(folder / JSON)
        for scene in scenes:
            assert scene.people
    except Mp3dError as error:
        assert "alone_00" in str(error) or "3DPW" in str(error)
    finally:
        (folder / name).write_bytes(data)
