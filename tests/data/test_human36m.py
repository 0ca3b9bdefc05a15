"""The three forms against closed-form numbers; conventions, units, sides; damaged and hostile files."""

import io
import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mp3d.data import human36m
from mp3d.data.human36m import OLDER, PROTOCOLS, PUBLISHED
from mp3d.data.writers import human36m as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import HIDDEN, VISIBLE
from mp3d.skeletons import APPROXIMATE, H36M17, MPI17, NATIVE
from mp3d.synthetic.worlds import sequences

NPZ, PKL = "annotation_body3d/fps50/h36m_test.npz", "annotation_body3d/cameras.pkl"
R_SHOULDER, L_SHOULDER = H36M17.index("r_shoulder"), H36M17.index("l_shoulder")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h36m")
    writer.fixture(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


def change(folder, part, edit, subject=9):
    """Edit one of a subject's files in place; what an edit returns in a tuple takes the contents' place."""
    path = folder / "annotations" / f"Human36M_subject{subject}_{part}.json"
    content = json.loads(path.read_text())
    edited = edit(content)
    path.write_text(json.dumps(edited[0] if isinstance(edited, tuple) else content))


def change_npz(folder, **changes):
    with np.load(folder / NPZ) as file:
        arrays = {name: file[name] for name in file.files}
    for name, edit in changes.items():
        arrays[name] = edit(arrays[name])
    np.savez(folder / NPZ, **arrays)


def change_cameras(folder, edit):
    stored = pickle.loads((folder / PKL).read_bytes())
    edit(stored["S9", "54138969"])
    (folder / PKL).write_bytes(pickle.dumps(stored))


def mmpose(folder, **more):
    return list(human36m.mmpose_scenes(folder / NPZ, human36m.mmpose_cameras(folder / PKL), **more))


def truth(scene, seed=0):
    """Camera frame, mm, from the writer's numbers: R (X - C), by the names in the sequence."""
    cam = int(scene.sequence[-2:])
    rows, place = writer.rig(cam)
    return np.array([rows @ (joint - place) for joint in writer.world(scene.frame, seed)])


# -- 3DMPPE's JSON ------------------------------------------------------------------------------------------


def test_fixture_is_small_and_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        writer.fixture(tmp_path / name, seed=3)
    files = sorted(f.relative_to(tmp_path / "a") for f in (tmp_path / "a").rglob("*") if f.is_file())
    assert len(files) == 8
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert sum((tmp_path / "a" / f).stat().st_size for f in files) < 200_000


def test_json_in_camera_frame(made):
    scenes = list(human36m.scenes(made))
    assert len(scenes) == 60  # 2 subjects, 2 sequences, 4 cameras, 4 frames, less LEFT_OUT's 4
    for scene in scenes:
        (person,) = scene.people
        np.testing.assert_allclose(person.native.xyz, truth(scene), atol=1e-9)
        x, y, z = person.native.xyz.T
        expected = np.stack([1145 * x / z + 512.5, 1144 * y / z + 515.5], 1)
        np.testing.assert_allclose(person.native.uv, expected, atol=1e-9)
        assert (scene.camera.width, scene.camera.height) == (1000, 1002 if scene.sequence[-1] in "14" else 1000)
        assert person.skeleton == MPI17
        assert person.native.skeleton == H36M17
        np.testing.assert_allclose(person.root, person.native.xyz[0])
    first = scenes[0]
    assert (first.world, first.sequence, first.frame, first.kind) == (
        "h36m",
        "s_09_act_05_subact_01_ca_01",
        0,
        "Greeting",
    )
    assert {scene.people[0].identity for scene in scenes} == {9, 11}
    assert scenes[1].frame == 1
    name = str(human36m.image_path(made, scenes[1]))
    assert name.endswith("images/s_09_act_05_subact_01_ca_01/s_09_act_05_subact_01_ca_01_000002.jpg")


def test_protocols_and_strides(made):
    assert PROTOCOLS[1, "train"] == ((1, 5, 6, 7, 8, 9), 5)
    assert PROTOCOLS[1, "test"] == ((11,), 64)
    subjects, every = PROTOCOLS[2, "test"]
    assert {scene.frame for scene in human36m.scenes(made, subjects, every=every)} == {0, 64}
    assert {scene.frame for scene in human36m.scenes(made, (9,), every=5)} == {0, 5}
    assert {scene.sequence[-1] for scene in human36m.scenes(made, (9,), cameras=(2, 4))} == {"2", "4"}
    with pytest.raises(BadInput, match="every"):
        next(human36m.scenes(made, every=0))


def test_a_damaged_video_is_left_out(made):
    found = {scene.sequence for scene in human36m.scenes(made, (11,))}
    assert human36m.LEFT_OUT not in found
    assert len(found) == 7


def test_people_come_one_at_a_time(folder):
    """What is wrong with the last picture shows only when it is reached."""
    change(folder, "data", lambda data: data["images"][-1].update(width=0))
    stream = human36m.scenes(folder, (9,))
    assert [next(stream).frame for _ in range(31)][:5] == [0, 1, 5, 64, 0]
    with pytest.raises(BadInput, match="width"):
        next(stream)


def test_trap_01_sides_are_told_by_geometry_not_labels(folder):
    swap = list(H36M17.mirror)

    def edit(joints):
        for sub in joints["5"].values():
            for frame in sub:
                sub[frame] = [sub[frame][j] for j in swap]

    change(folder, "joint_3d", edit)
    with pytest.raises(BadInput, match="left and right swapped"):
        next(human36m.scenes(folder, (9,)))
    change_npz(folder, S=lambda s: s[:, swap], part=lambda p: p[:, swap])
    with pytest.raises(BadInput, match="left and right swapped"):
        mmpose(folder)


def test_trap_02_right_shoulder_is_left_in_the_picture_of_somebody_who_faces_us(made):
    for scenes in (human36m.scenes(made), mmpose(made)):
        for scene in scenes:
            if scene.sequence.endswith(("ca_01", "54138969", "ca_03", "58860488")):
                uv = scene.people[0].native.uv
                in_front = scene.sequence.endswith(("ca_01", "54138969"))
                assert (uv[R_SHOULDER, 0] < uv[L_SHOULDER, 0]) == in_front
                mirrored = uv[list(H36M17.mirror)]
                assert (mirrored[R_SHOULDER, 0] > mirrored[L_SHOULDER, 0]) == in_front
                same = scene.people[0].uv  # in MPI17
                assert (same[MPI17.index("r_shoulder"), 0] < same[MPI17.index("l_shoulder"), 0]) == in_front


def test_trap_04_head_neck_and_spine_are_approximate(made, folder):
    person = next(human36m.scenes(made)).people[0]
    loose = {MPI17.joints[j] for j in np.flatnonzero(person.source == APPROXIMATE)}
    assert loose == {"head_top", "neck", "spine", "head"}
    assert (person.source[[j not in loose for j in MPI17.joints]] == NATIVE).all()
    np.testing.assert_array_equal(person.xyz[MPI17.index("head")], person.native.xyz[9])
    np.testing.assert_array_equal(person.xyz[MPI17.index("head_top")], person.native.xyz[10])
    np.testing.assert_array_equal(person.xyz[MPI17.index("neck")], person.native.xyz[8])  # not the middle of shoulders
    change(folder, "joint_3d", lambda joints: joints["5"]["1"]["0"].append([0, 0, 0]))  # 3DMPPE's thorax: in no file
    with pytest.raises(BadInput, match=r"shape \(18, 3\), expected shape \(17, 3\)"):
        next(human36m.scenes(folder, (9,)))


def test_trap_06_both_conventions_give_the_same(made, tmp_path):
    writer.older(tmp_path)
    assert human36m.convention(made, 11) == PUBLISHED
    assert human36m.convention(tmp_path, 11) == OLDER
    new, old = list(human36m.scenes(made, (11,))), list(human36m.scenes(tmp_path, (11,)))
    assert len(new) == len(old) == 28
    for a, b in zip(new, old, strict=True):
        np.testing.assert_allclose(a.people[0].xyz, b.people[0].xyz, atol=1e-9)
        np.testing.assert_allclose(a.camera.translation, b.camera.translation, atol=1e-9)


def test_trap_06_the_wrong_convention_is_far_off_and_neither_is_refused(folder):
    for cam in "1234":  # nobody's convention: t in metres
        change(folder, "camera", lambda c, cam=cam: c[cam].update(t=[x / 1000 for x in c[cam]["t"]]))
    with pytest.raises(BadInput, match=r"bbox of .*R X \+ t or R \(X - t\)"):
        next(human36m.scenes(folder, (9,)))


def test_trap_06_two_conventions_in_one_file_are_refused(folder):
    change(folder, "camera", lambda c: c["3"].update(t=writer.rig(3)[1].tolist()))
    with pytest.raises(BadInput, match="two conventions"):
        list(human36m.scenes(folder, (9,)))


def test_trap_09_s9_is_moved_only_when_asked(made):
    plain = list(human36m.scenes(made))
    moved = list(human36m.scenes(made, correct_s9=True))
    for a, b in zip(plain, moved, strict=True):
        shift = a.camera.to_world(b.people[0].xyz) - a.camera.to_world(a.people[0].xyz)
        wrong = a.sequence.startswith("s_09_act_05_subact_02")
        np.testing.assert_allclose(shift, np.broadcast_to([-200.0 * wrong, 0, 0], (17, 3)), atol=1e-9)
    names = {"S9_Greeting." in s.sequence for s in mmpose(made)}
    assert names == {True, False}
    for a, b in zip(mmpose(made), mmpose(made, correct_s9=True), strict=True):
        shift = a.camera.to_world(b.people[0].xyz) - a.camera.to_world(a.people[0].xyz)
        wrong = a.sequence.startswith("S9_Greeting.")
        np.testing.assert_allclose(shift, np.broadcast_to([-200.0 * wrong, 0, 0], (17, 3)), atol=1e-9)
        np.testing.assert_allclose(b.people[0].uv, b.camera.project(b.people[0].xyz), atol=1e-6)


def test_trap_15_nothing_is_occluded_what_is_outside_is_hidden(made, folder):
    assert all((scene.visibility == VISIBLE).all() for scene in human36m.scenes(made))
    change(folder, "data", lambda data: [image.update(width=510) for image in data["images"]])
    scene = next(human36m.scenes(folder, (9,)))
    native = scene.people[0].native
    np.testing.assert_array_equal(native.visibility, np.where(native.uv[:, 0] < 510, VISIBLE, HIDDEN))
    assert 0 < (native.visibility == HIDDEN).sum() < 17


@pytest.mark.parametrize("part", ["data", "camera", "joint_3d"])
def test_trap_29_a_git_lfs_pointer_is_told(folder, part):
    path = folder / "annotations" / f"Human36M_subject9_{part}.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(BadInput, match="Git LFS pointer"):
        next(human36m.scenes(folder, (9,)))
    path.unlink()
    with pytest.raises(MissingData):
        next(human36m.scenes(folder, (9,)))


MIRROR = np.diag([-1.0, 1, 1])
DAMAGE = {
    "no camera": ("camera", lambda c: c.pop("1"), "camera.json: 1"),
    "R a mirror": ("camera", lambda c: c["1"].update(R=(MIRROR @ c["1"]["R"]).tolist()), "1.R"),
    "R not a rotation": ("camera", lambda c: c["1"].update(R=np.ones((3, 3)).tolist()), "1.R"),
    "t too short": ("camera", lambda c: c["1"].update(t=[1, 2]), "1.t"),
    "t a string": ("camera", lambda c: c["1"].update(t="left"), "1.t"),
    "f negative": ("camera", lambda c: c["1"].update(f=[-1145, 1144]), "1.f"),
    "f infinite": ("camera", lambda c: c["1"].update(f=["1e999", 1]), "1.f"),
    "camera a list": ("camera", lambda c: ([c],), "camera.json"),
    "no action": ("joint_3d", lambda j: j.update({"5": {}}), "5"),
    "no frame": ("joint_3d", lambda j: j["5"]["1"].pop("0"), "5.1"),
    "poses a list": ("joint_3d", lambda j: ([j],), "joint_3d"),
    "nothing": ("joint_3d", lambda j: ({},), "joint_3d"),
    "pose of strings": ("joint_3d", lambda j: j["5"]["1"].update({"0": [["a"] * 3] * 17}), "5.1.0"),
    "pose huge": ("joint_3d", lambda j: j["5"]["1"].update({"0": [[10**400, 0, 0]] * 17}), "5.1.0"),
    "other subject": ("data", lambda d: d["images"][3].update(subject=1), "subject"),
    "name against fields": ("data", lambda d: d["images"][3].update(action_idx=6), "file_name"),
    "no width": ("data", lambda d: d["images"][0].pop("width"), "width"),
    "width 0": ("data", lambda d: d["images"][0].update(width=0), "width"),
    "frame a float": ("data", lambda d: d["images"][0].update(frame_idx=0.5), "frame_idx"),
    "frame negative": ("data", lambda d: d["images"][0].update(frame_idx=-1), "frame_idx"),
    "ids twice": ("data", lambda d: d["images"][1].update(id=0), "2 times, expected every id once"),
    "id huge": ("data", lambda d: d["images"][1].update(id=10**30), "id"),
    "nobody's annotation": ("data", lambda d: d["annotations"][0].update(image_id=999), "image_id"),
    "two people": ("data", lambda d: d["annotations"][1].update(image_id=0), "one person"),
    "no bbox": ("data", lambda d: d["annotations"][0].pop("bbox"), "bbox"),
    "bbox elsewhere": ("data", lambda d: d["annotations"][0].update(bbox=[0, 0, 50, 50]), "bbox"),
    "images an object": ("data", lambda d: d.update(images={}), "images"),
    "no annotations": ("data", lambda d: d.update(annotations=[]), "annotations"),
    "a bare list": ("data", lambda d: (d["images"],), "images"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_malformed_json_names_the_field(folder, name):
    part, edit, field = DAMAGE[name]
    change(folder, part, edit)
    with pytest.raises(BadInput) as error:
        list(human36m.scenes(folder, (9,)))
    assert field in str(error.value)
    assert f"subject9_{part}" in str(error.value)


@pytest.fixture(scope="module")
def world():
    return sequences("duet", seed=0, frames=5)


@pytest.mark.parametrize("older", [False, True])
def test_round_trip_of_a_world(tmp_path, older, world):
    """Each person of each sequence comes back as a scene of their own, to 1e-6 mm and px, in all 17 joints."""
    writer.write([scene for take in world for scene in take], tmp_path, older=older)
    for subject in (1, 9, 11, 14):
        take = world[subject - 1]
        assert human36m.convention(tmp_path, subject) == (OLDER if older else PUBLISHED)
        scenes = human36m.scenes(tmp_path, (subject,))
        back = {(int(scene.sequence.split("_")[5]) - 1, scene.frame): scene for scene in scenes}
        assert len(back) == sum(len(scene.people) for scene in take)
        for scene in take:
            for person in scene.people:
                found = back[person.identity, scene.frame]
                np.testing.assert_allclose(found.people[0].xyz, person.xyz, atol=1e-6)
                np.testing.assert_allclose(found.people[0].uv, person.uv, atol=1e-6)
                np.testing.assert_allclose(found.camera.translation, scene.camera.translation, atol=1e-6)
                np.testing.assert_allclose(found.camera.rotation, scene.camera.rotation)


def test_a_world_with_an_absent_joint_cannot_be_written(tmp_path, world):
    scene = world[0][0]
    person = replace(scene.people[0], xyz=scene.people[0].xyz.copy())
    person.xyz[3] = np.nan
    scene = replace(scene, people=(person,))
    with pytest.raises(BadInput, match="NaN"):
        writer.write([scene], tmp_path)
    assert not list(tmp_path.iterdir())


# -- mmpose's npz -------------------------------------------------------------------------------------------


def test_npz_in_camera_frame_through_the_lens(made):
    scenes = mmpose(made)
    assert len(scenes) == 64
    for scene in scenes:
        (person,) = scene.people
        cam = list(human36m.CAMERAS).index(scene.sequence[-8:]) + 1
        rows, place = writer.rig(cam)
        np.testing.assert_allclose(person.native.xyz, (writer.world(scene.frame - 1) - place) @ rows.T, atol=1e-9)
        # the stored 2D, which the writer computed with the lens written out, is what the camera makes of the pose
        np.testing.assert_allclose(scene.camera.project(person.native.xyz), person.native.uv, atol=1e-9)
        straight = scene.camera.k[:2] * person.xyz[:, :2] / person.xyz[:, 2:] + scene.camera.k[2:]
        assert 0.5 < np.abs(straight - person.uv).max() < 12  # a lens bends by some px
    assert scenes[0].sequence == "S9_Greeting_1.54138969"
    assert (scenes[0].frame, scenes[0].kind, scenes[0].world) == (1, "Greeting", "h36m")  # the names count from 1
    assert {scene.frame for scene in mmpose(made, every=64)} == {1, 65}


def test_trap_07_T_is_the_camera_in_metres_and_R_turns_camera_to_world(made):
    cameras = human36m.mmpose_cameras(made / PKL)
    assert set(cameras) == {(s, c) for s in (9, 11) for c in human36m.CAMERAS}
    for (_, serial), camera in cameras.items():
        rows, place = writer.rig(list(human36m.CAMERAS).index(serial) + 1)
        np.testing.assert_allclose(camera.to_camera(place), 0, atol=1e-9)
        np.testing.assert_allclose(camera.rotation, rows)
        assert camera.lens.tangential == 1


@pytest.mark.parametrize(("height", "fine"), [(1002, True), (100.0, True), (204.0, False), (1000, False), (0, False)])
def test_trap_07_a_cut_off_height_is_mended_any_other_refused(folder, height, fine):
    change_cameras(folder, lambda camera: camera.update(h=height))
    if fine:
        assert human36m.mmpose_cameras(folder / PKL)[9, "54138969"].height == 1002
    else:
        with pytest.raises(BadInput, match=r"\.h: found .*, expected 1002 px"):
            human36m.mmpose_cameras(folder / PKL)


def test_trap_07_poses_in_mm_in_the_world_or_of_another_camera_are_refused(folder, tmp_path):
    good = (folder / NPZ).read_bytes()
    change_npz(folder, S=lambda s: s * 1000)
    with pytest.raises(BadInput, match="metres"):
        mmpose(folder)
    (folder / NPZ).write_bytes(good)
    shift = np.array([0.3, 0, 0, 0])
    change_npz(folder, S=lambda s: s + shift)
    with pytest.raises(BadInput, match="px from part"):
        mmpose(folder)
    (folder / NPZ).write_bytes(good)
    change_npz(folder, imgname=lambda n: np.char.replace(n, "54138969", "55011271"))
    change_cameras(folder, lambda camera: None)
    stored = pickle.loads((folder / PKL).read_bytes())
    stored["S9", "55011271"]["c"] = stored["S9", "55011271"]["c"] + 50
    (folder / PKL).write_bytes(pickle.dumps(stored))
    with pytest.raises(BadInput, match="px from part"):
        mmpose(folder)


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_trap_26_a_hostile_pickle_is_refused_and_runs_nothing(folder):
    for bad in (Hostile(folder / "ran"), {("S1", "54138969"): Hostile(folder / "ran")}):
        (folder / PKL).write_bytes(pickle.dumps(bad))
        with pytest.raises(BadInput, match="system"):
            human36m.mmpose_cameras(folder / PKL)
    assert not (folder / "ran").exists()


def test_trap_26_objects_in_an_npz_are_refused(folder):
    change_npz(folder, S=lambda s: np.array([Hostile(folder / "ran")], object))
    with pytest.raises(BadInput, match="objects"):
        mmpose(folder)
    assert not (folder / "ran").exists()


CAMERA_DAMAGE = {
    "R": lambda c: c.update(R=np.ones((3, 3))),
    "T": lambda c: c.update(T=c["T"] * 1000),
    "f": lambda c: c.update(f=np.array([1.0])),
    "k": lambda c: c.update(k=np.array([np.nan, 0, 0])),
    "p": lambda c: c.pop("p"),
    "w": lambda c: c.update(w="wide"),
}


@pytest.mark.parametrize("field", CAMERA_DAMAGE)
def test_malformed_cameras_name_the_field(folder, field):
    change_cameras(folder, CAMERA_DAMAGE[field])
    with pytest.raises(BadInput, match=field):
        human36m.mmpose_cameras(folder / PKL)


@pytest.mark.parametrize("content", [[], {}, {"S1": 1}, {("S1", "54138969"): 3}, {("S1", "1"): {}}, {(1, 2): {}}, None])
def test_cameras_of_another_shape(folder, content):
    (folder / PKL).write_bytes(pickle.dumps(content))
    with pytest.raises(BadInput):
        human36m.mmpose_cameras(folder / PKL)


NPZ_DAMAGE = {
    "S": lambda s: s[:, :, :3],
    "part": lambda p: p[:-1],
    "imgname": lambda n: np.arange(len(n)),
}


@pytest.mark.parametrize("field", NPZ_DAMAGE)
def test_malformed_npz_names_the_field(folder, field):
    change_npz(folder, **{field: NPZ_DAMAGE[field]})
    with pytest.raises(BadInput, match=field):
        mmpose(folder)


def test_npz_with_nan_or_odd_names_or_nothing(folder):
    good = (folder / NPZ).read_bytes()
    for edits, message in (
        ({"S": lambda s: np.full_like(s, np.nan)}, "NaN"),
        ({"imgname": lambda n: np.char.add(n, ".png")}, "imgname"),
        ({"imgname": lambda n: np.char.replace(n, "S9", "S8")}, "cameras.pkl"),
        ({k: lambda a: a[:0] for k in ("imgname", "S", "part")}, "no pictures"),
    ):
        (folder / NPZ).write_bytes(good)
        change_npz(folder, **edits)
        with pytest.raises(BadInput, match=message):
            mmpose(folder)
    (folder / NPZ).write_bytes(good[: len(good) // 2])
    with pytest.raises(BadInput):
        mmpose(folder)


def test_npz_of_many_rows_is_read_by_blocks(folder, monkeypatch):
    whole = mmpose(folder)
    monkeypatch.setattr(human36m, "_ROWS", 7)
    parts = mmpose(folder)
    assert len(parts) == 64
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a.xyz, b.xyz)
        assert (a.sequence, a.frame) == (b.sequence, b.frame)


def test_an_npz_that_promises_more_rows_than_it_has(folder):
    """A header of 10^12 rows costs no memory."""
    import zipfile

    with zipfile.ZipFile(folder / NPZ, "w") as archive:
        for name, shape, dtype in (("imgname", (), "<U60"), ("part", (17, 3), "<f8"), ("S", (17, 4), "<f8")):
            file = io.BytesIO()
            header = {"descr": dtype, "fortran_order": False, "shape": (10**12, *shape)}
            np.lib.format.write_array_header_1_0(file, header)
            archive.writestr(f"{name}.npy", file.getvalue() + bytes(1000))
    with pytest.raises(BadInput, match="the end after row 0"):
        mmpose(folder)


# -- the original CDF ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    pytest.importorskip("cdflib", reason="cdflib is not installed: the extra `cdf`")
    folder = tmp_path_factory.mktemp("raw")
    writer.cdf_fixture(folder)
    return folder


def test_cdf_world_and_camera_agree(raw, made):
    two = ("54138969", "60457274")
    cameras = {key: camera for key, camera in human36m.mmpose_cameras(made / PKL).items() if key[1] in two}
    scenes = list(human36m.raw_scenes(raw, cameras))
    assert len(scenes) == 4 * 2 * 6
    places = {
        f"S{s}_{name}": human36m.read_cdf(raw / f"S{s}/MyPoseFeatures/D3_Positions/{name}.cdf")
        for s, _, _, name in writer.SEQUENCES
    }
    for scene in scenes:
        name, serial = scene.sequence.split(".")
        world = places[name]
        np.testing.assert_allclose(world[scene.frame], writer.world(scene.frame), atol=1e-3)  # single precision
        native = scene.people[0].native
        np.testing.assert_allclose(scene.camera.to_camera(world[scene.frame]), native.xyz, atol=1e-2)
        assert serial in human36m.CAMERAS
        assert native.uv[R_SHOULDER, 0] < native.uv[L_SHOULDER, 0] or serial != "54138969"
    assert scenes[0].sequence == "S9_Greeting 1.54138969"
    assert scenes[0].kind == "Greeting"
    moved = list(human36m.raw_scenes(raw, cameras, (9,), every=3, correct_s9=True))
    plain = [scene for scene in scenes if scene.sequence.startswith("S9") and scene.frame % 3 == 0]
    assert len(moved) == 2 * 2 * 2
    for a, b in zip(plain, moved, strict=True):
        shift = a.camera.to_world(b.xyz[0]) - a.camera.to_world(a.xyz[0])
        expected = [-200.0 * a.sequence.startswith("S9_Greeting."), 0, 0]
        np.testing.assert_allclose(shift, np.broadcast_to(expected, (17, 3)), atol=1e-9)


def test_cdf_missing_damaged_or_of_another_camera(raw, made, tmp_path):
    cameras = human36m.mmpose_cameras(made / PKL)
    with pytest.raises(MissingData, match="cdf"):
        next(human36m.raw_scenes(tmp_path, cameras))
    assert list(human36m.raw_scenes(raw, {})) == []
    odd = tmp_path / "S9/MyPoseFeatures/D3_Positions_mono/Greeting.12345678.cdf"
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"x")
    with pytest.raises(BadInput, match="camera 12345678"):
        next(human36m.raw_scenes(tmp_path, cameras))
    good = (raw / "S9/MyPoseFeatures/D3_Positions/Greeting.cdf").read_bytes()
    for bad in (good[:300], good[: len(good) // 2], b"x" * 5000, b"version https://git-lfs.github.com/spec/v1\n"):
        (tmp_path / "bad.cdf").write_bytes(bad)
        with pytest.raises(BadInput, match=r"bad\.cdf"):
            human36m.read_cdf(tmp_path / "bad.cdf")


def test_a_cdf_that_keeps_the_parser_busy_is_given_up(raw, tmp_path):
    """The general record's number of dimensions, 2^31 - 1: cdflib appends to a list that often."""
    data = bytearray((raw / "S9/MyPoseFeatures/D3_Positions/Greeting.cdf").read_bytes())
    general = int.from_bytes(data[20:28], "big")  # behind magic numbers, size and type of the first record
    assert int.from_bytes(data[general + 8 : general + 12], "big") == 2  # a GDR
    data[general + 56 : general + 60] = (2**31 - 1).to_bytes(4, "big")
    (tmp_path / "busy.cdf").write_bytes(data)
    with pytest.raises(BadInput, match=r"busy\.cdf"):
        human36m.read_cdf(tmp_path / "busy.cdf", seconds=1)


def test_without_cdflib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(human36m.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "a.cdf").write_bytes(b"x")
    with pytest.raises(MissingData, match=r"mp3d\[cdf\]"):
        human36m.read_cdf(tmp_path / "a.cdf")


# -- any bytes ----------------------------------------------------------------------------------------------

FILES = [
    *(f"annotations/Human36M_subject9_{part}.json" for part in ("data", "camera", "joint_3d")),
    *(NPZ, PKL),
]


@pytest.fixture(scope="module")
def fuzzed(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    writer.fixture(folder)
    return folder


@settings(max_examples=150)
@given(st.sampled_from(FILES), st.floats(0, 1), st.binary(max_size=8), st.booleans())
def test_fuzz_only_our_errors(made, fuzzed, name, place, patch, cut):
    """Truncated, or overwritten anywhere."""
    good = (made / name).read_bytes()
    at = int(place * len(good))
    (fuzzed / name).write_bytes(good[:at] if cut else good[:at] + patch + good[at + len(patch) :])
    try:
        if name.startswith("annotations/"):
            assert len(list(human36m.scenes(fuzzed, (9,), (1,), every=64))) <= 4
        else:
            assert len(mmpose(fuzzed, every=64)) <= 64
    except Mp3dError as error:
        assert "h36m" in str(error) or "Human36M" in str(error) or "cameras.pkl" in str(error)
    finally:
        (fuzzed / name).write_bytes(good)
