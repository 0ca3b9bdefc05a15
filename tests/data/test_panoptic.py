"""Panoptic's files, from closed-form numbers; the counts of the real ones where they are."""

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.camera import Camera, Lens
from mp3d.data import panoptic
from mp3d.data.writers import panoptic as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import ABSENT, HIDDEN, VISIBLE
from mp3d.skeletons import MPI17, PANOPTIC15, PANOPTIC19
from mp3d.synthetic import worlds

ULTIMATUM, MAFIA = "160422_ultimatum1", "160226_mafia1"


@pytest.fixture
def root(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


def calibration(root, sequence=ULTIMATUM):
    return root / sequence / f"calibration_{sequence}.json"


def change(path, edit):
    """Rewrite a JSON file."""
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def body_file(root, frame=100):
    return root / ULTIMATUM / "hdPose3d_stage1_coco19" / f"body3DScene_{frame:08d}.json"


def by_hand(joints, name):
    """mm in the camera's frame, and px, written out for the fixture's turns and lens."""
    x, y, z = joints[:, :3].T
    c, s = {"00_03": (1, 0), "00_16": (0.8, 0.6), "00_30": (0.6, -0.8)}[name]
    x, y, z = c * x + s * z + 5, y + 90, -s * x + c * z + 300
    a, b = x / z, y / z
    r2 = a * a + b * b
    radial = 1 - 0.25 * r2 + 0.15 * r2**2 - 0.03 * r2**3
    u = a * radial + 2 * 0.0005 * a * b - 0.0004 * (r2 + 2 * a * a)
    v = b * radial + 0.0005 * (r2 + 2 * b * b) + 2 * -0.0004 * a * b
    return 10 * np.stack([x, y, z], -1), np.stack([1400 * u + 950, 1390 * v + 540], -1)


def test_the_fixture_is_small_and_seeded(tmp_path):
    for folder in ("a", "b"):
        writer.fixture(tmp_path / folder, seed=3)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert sum((tmp_path / "a" / f).stat().st_size for f in files) < 200_000
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert (writer.numbers(3)[MAFIA][20][0][1] != writer.numbers(4)[MAFIA][20][0][1]).any()


def test_scenes_are_the_numbers(root):
    numbers = writer.numbers()
    found = list(panoptic.scenes(root))
    assert [(s.sequence, s.frame) for s in found[::2]] == [(MAFIA, 20), (MAFIA, 21)] + [
        (ULTIMATUM, f) for f in (100, 101, 103)
    ]
    assert {(s.world, s.kind) for s in found} == {("panoptic", "mafia"), ("panoptic", "ultimatum")}
    for i, scene in enumerate(found):
        name = ("00_16", "00_30")[i % 2]
        truth = {track: j for track, j in numbers[scene.sequence][scene.frame] if track >= 0}
        assert [p.identity for p in scene.people] == list(truth)
        assert (scene.camera.width, scene.camera.height) == (1920, 1080)
        for person in scene.people:
            joints = truth[person.identity]
            xyz, uv = by_hand(joints, name)
            there = joints[:, 3] > 0.1
            native = person.native
            assert native.skeleton is (PANOPTIC15 if "mafia" in scene.sequence else PANOPTIC19)
            np.testing.assert_allclose(native.xyz[there], xyz[there], atol=1e-3)
            np.testing.assert_allclose(native.uv[there], uv[there], atol=1e-3)
            assert np.isnan(native.xyz[~there]).all()
            inside = ((uv >= 0) & (uv < [1920, 1080])).all(-1)
            expected = np.where(there, np.where(inside, VISIBLE, HIDDEN), ABSENT)
            np.testing.assert_array_equal(native.visibility, expected)
            assert person.skeleton == MPI17
    assert any((person.native.visibility == HIDDEN).any() for s in found for person in s.people)


def test_one_number_with_a_pencil(root):
    camera = panoptic.cameras(calibration(root))["00_16"]
    # 0.8 * 100 + 0.6 * 50 + 5, -90 + 90, -0.6 * 100 + 0.8 * 50 + 300, in cm
    np.testing.assert_allclose(camera.to_camera(np.array([1000.0, -900.0, 500.0])), [1150, 0, 2800], atol=1e-9)
    assert camera.lens == Lens(-0.25, 0.15, 0.0005, -0.0004, -0.03)
    assert list(panoptic.cameras(calibration(root))) == ["00_03", "00_16", "00_30"]
    assert list(panoptic.cameras(calibration(root), "vga")) == ["01_01"]


def test_selection_is_lazy(root, monkeypatch):
    opened = []
    read = panoptic.bodies
    monkeypatch.setattr(panoptic, "bodies", lambda *a: opened.append(a[0].name) or read(*a))
    stream = panoptic.scenes(root, [ULTIMATUM], ["00_30"])
    assert opened == []
    assert next(stream).frame == 100
    assert opened == ["body3DScene_00000100.json"]
    chosen = panoptic.scenes(root, [ULTIMATUM], ["00_03", "00_30"], frames=[103, 101])
    assert [s.frame for s in chosen] == [103, 103, 101, 101]
    assert [s.frame for s in panoptic.scenes(root, [ULTIMATUM], ["00_03"], every=2)] == [100, 103]
    with pytest.raises(MissingData, match=r"no body3DScene_00000102.json"):
        list(panoptic.scenes(root, [ULTIMATUM], frames=[102]))
    with pytest.raises(BadInput, match="every"):
        list(panoptic.scenes(root, every=0))


def test_trap_03_joint_1_is_the_nose_or_the_top_of_the_head(root):
    mafia, ultimatum = (next(panoptic.scenes(root, [s])).people[0] for s in (MAFIA, ULTIMATUM))
    top = MPI17.index("head_top")
    np.testing.assert_array_equal(mafia.xyz[top], mafia.native.xyz[1])
    assert np.isnan(ultimatum.xyz[top]).all()
    assert ultimatum.visibility[top] == ultimatum.source[top] == ABSENT
    assert PANOPTIC19.joints[1] == "nose"
    assert PANOPTIC15.joints[1] == "head_top"
    # neither set passes for the other, by folder or by file
    with pytest.raises(MissingData, match="hdPose3d_stage1_coco19"):
        list(panoptic.scenes(root, [MAFIA], joints=19))
    with pytest.raises(BadInput, match=r"bodies\[0\].joints15: found nothing"):
        panoptic.bodies(body_file(root), PANOPTIC15)
    change(body_file(root), lambda d: d["bodies"][0].update(joints19=d["bodies"][0]["joints19"][:60]))
    with pytest.raises(BadInput, match=r"joints19: found shape \(60,\)"):
        list(panoptic.scenes(root, [ULTIMATUM]))


def test_trap_05_bones_count_from_0():
    body = [(0, 1), (0, 3), (3, 4), (4, 5), (0, 2), (2, 6), (6, 7), (7, 8), (2, 12), (12, 13), (13, 14)]
    body += [(0, 9), (9, 10), (10, 11)]
    face = [(1, 15), (15, 16), (1, 17), (17, 18)]
    for skeleton, bones in ((PANOPTIC15, body), (PANOPTIC19, body + face)):
        assert {frozenset(bone) for bone in skeleton.limbs} == {frozenset(bone) for bone in bones}


def test_trap_13_missing_joints_outliers_and_empty_frames(root):
    scenes = list(panoptic.scenes(root, [ULTIMATUM], ["00_16"]))
    assert [[p.identity for p in s.people] for s in scenes] == [[0, 3], [], [0, 7]]
    torn = scenes[0].people[1].native
    hip, ankle, pelvis = (PANOPTIC19.index(j) for j in ("r_hip", "r_ankle", "pelvis"))
    # the world's origin is inside the picture: unmasked, the hip would look plausible
    origin = scenes[0].camera.to_camera(np.zeros((1, 3)))
    assert panoptic.inside(scenes[0].camera, origin)
    for joint in (hip, ankle):  # confidence -1, and 0.1, which is not above the threshold
        assert np.isnan(torn.xyz[joint]).all()
        assert np.isnan(torn.uv[joint]).all()
        assert torn.visibility[joint] == torn.source[joint] == ABSENT
    # bodyCenter stays where it was measured
    truth = dict(writer.numbers()[ULTIMATUM][100])[3]
    np.testing.assert_allclose(scenes[0].people[1].root, by_hand(truth, "00_16")[0][pelvis], atol=1e-3)
    assert scenes[0].people[1].visibility[MPI17.root] == VISIBLE
    everyone = panoptic.bodies(body_file(root))
    assert [b.track for b in everyone] == [0, 3, -1]


def test_trap_13_a_person_without_a_joint_is_nobody(root):
    change(body_file(root), lambda d: d["bodies"][1].update(joints19=[0, 0, 0, -1] * 19))
    assert [p.identity for p in next(panoptic.scenes(root, [ULTIMATUM])).people] == [0]


def test_trap_14_a_bone_needs_both_ends(root):
    torn = next(panoptic.scenes(root, [ULTIMATUM])).people[1].native
    drawn = [bone for bone in PANOPTIC19.limbs if np.isfinite(torn.xyz[list(bone)]).all()]
    hip, ankle = PANOPTIC19.index("r_hip"), PANOPTIC19.index("r_ankle")
    assert len(drawn) == 18 - 3  # pelvis to hip, hip to knee, knee to ankle
    assert not any({hip, ankle} & set(bone) for bone in drawn)


def test_trap_15_visibility_is_confidence_and_picture(root):
    close = next(panoptic.scenes(root, [ULTIMATUM], ["00_03"], frames=[103])).people[0].native
    ankle = PANOPTIC19.index("l_ankle")
    assert close.visibility[ankle] == HIDDEN
    assert close.uv[ankle, 1] > 1080
    assert np.isfinite(close.xyz[ankle]).all()
    assert close.visibility[PANOPTIC19.index("pelvis")] == VISIBLE


def test_trap_16_ids_are_tracks(root):
    change(body_file(root, 103), lambda d: d["bodies"][0].update(id=12))
    first, _, last = panoptic.scenes(root, [ULTIMATUM], ["00_16"])
    assert (first.people[0].identity, last.people[0].identity) == (0, 12)  # nothing is merged


def test_trap_29_a_pointer_is_no_file(root):
    for path in (calibration(root), body_file(root)):
        text = path.read_bytes()
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2280\n")
        with pytest.raises(BadInput, match=rf"{path.name}.*Git LFS pointer"):
            list(panoptic.scenes(root, [ULTIMATUM]))
        path.write_bytes(text)


def test_behind_the_camera_is_absent(root):
    def move(document):
        rows = np.array(document["bodies"][0]["joints19"]).reshape(19, 4)
        rows[:9, 2] -= 500
        document["bodies"][0]["joints19"] = rows.ravel().tolist()

    change(body_file(root), move)
    person = next(panoptic.scenes(root, [ULTIMATUM], ["00_03"])).people[0].native
    assert (person.visibility[:9] == ABSENT).all()
    assert np.isnan(person.xyz[:9]).all()
    assert np.isnan(person.uv[:9]).all()
    assert (person.visibility[9:] != ABSENT).all()


def test_a_lens_that_folds_back_shows_nothing():
    camera = Camera(1000.0, 1000.0, 960.0, 540.0, 1920, 1080, lens=Lens(-0.3, 0, 0, 0))
    # radius r becomes r - 0.3 r^3: 1.7 lands at 0.226, well inside, where 0.23 is seen
    beside, middle = np.array([[1700.0, 0, 1000], [230, 0, 1000]])
    assert ((camera.project(beside) > 0) & (camera.project(beside) < [1920, 1080])).all()
    assert panoptic.inside(camera, np.stack([beside, middle, -middle])).tolist() == [False, True, False]


def test_where_things_are(root, tmp_path):
    assert panoptic.sequences(root) == [MAFIA, ULTIMATUM]
    with pytest.raises(MissingData, match="data_manifest"):
        panoptic.sequences(tmp_path / "empty")
    with pytest.raises(MissingData, match=r"no HD camera 00_07, 01_01; it has 00_03, 00_16, 00_30"):
        list(panoptic.scenes(root, [ULTIMATUM], ["00_16", "00_07", "01_01"]))
    path = root / ULTIMATUM / f"calibration_{ULTIMATUM}.json"
    path.write_text(path.read_text().replace('"00_16"', '"00_01"').replace('"00_30"', '"00_02"'))
    with pytest.raises(MissingData, match=r"no HD camera 00_16, 00_30; it has 00_03, 00_01, 00_02"):
        list(panoptic.scenes(root, [ULTIMATUM]))
    with pytest.raises(MissingData, match="calibration_160422_nobody"):
        list(panoptic.scenes(root, ["160422_nobody"]))
    path = panoptic.image_path(root, ULTIMATUM, "00_16", 100)
    assert path == root / ULTIMATUM / "hdImgs/00_16/00_16_00000100.jpg"
    path.parent.mkdir(parents=True)
    path.with_suffix(".png").touch()
    assert panoptic.image_path(root, ULTIMATUM, "00_16", 100).suffix == ".png"
    with pytest.raises(MissingData, match="00_20 is missing or damaged"):
        panoptic.image_path(root, "160422_haggling1", "00_20", 0)


def test_splits_are_apart():
    assert [panoptic.activity(s) for s in panoptic.SPLITS["zanfir"].test] == ["ultimatum", "haggling", "pizza", "mafia"]
    for split in panoptic.SPLITS.values():
        assert split.cameras == ("00_16", "00_30")
        assert not set(split.test) & {*split.val, *split.train}
        assert {panoptic.activity(s) for s in split.test} == {"haggling", "mafia", "ultimatum", "pizza"}
    assert "160226_ultimatum1" not in panoptic.SPLITS["das"].test


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("K", [[1400, 0.5, 950], [0, 1390, 540], [0, 0, 1]], "K"),
        ("K", [[-1400, 0, 950], [0, 1390, 540], [0, 0, 1]], "K"),
        ("K", [[1400, 0, 950], [0, 1390, 540]], "K"),
        ("R", [[1, 0, 0], [0, 1, 0], [0, 0, -1]], "a rotation"),
        ("R", [[1, 0, 0], [0, 1, 0], [0, 0, 1.01]], "a rotation"),
        ("R", [[1e300, 0, 0], [0, 1e300, 0], [0, 0, 1e300]], "a rotation"),
        ("t", [1, 2, 3], r"t: found shape \(3,\)"),
        ("t", [[1], [2], ["3"]], "t"),
        ("t", [[1], [2], [1e9]], "out of all bounds"),
        ("distCoef", [0.1, 0.2, 0.3, 0.4], "distCoef"),
        ("resolution", [1920.5, 1080], "resolution"),
        ("resolution", [0, 1080], "resolution"),
        ("name", 16, "name"),
        ("name", "00_03", "a name of its own"),
        ("type", None, "type"),
    ],
)
def test_a_calibration_that_is_wrong(root, field, value, named):
    change(calibration(root), lambda d: d["cameras"][2].update({field: value}))
    with pytest.raises(BadInput, match=rf"calibration_{ULTIMATUM}.json: .*{named}"):
        panoptic.cameras(calibration(root))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{ "version": 0.7, "bodies": [', "JSON"),
        ("", "size: found 0 bytes"),
        ("[]", "an object"),
        ('{"bodies": {}}', "bodies"),
        ('{"bodies": [1]}', r"bodies\[0\].id"),
        ('{"bodies": [{"id": true, "joints19": []}]}', "id"),
        ('{"bodies": [{"id": 0, "joints19": "many"}]}', "joints19"),
        ('{"bodies": [{"id": 0, "joints19": [' + "NaN," * 75 + "1]}]}", "NaN"),
        ('{"bodies": [{"id": 0, "joints19": [' + "1e400," * 75 + "1]}]}", "joints19"),
        ('{"bodies": [{"id": 0, "joints19": [' + "1e300," * 75 + "1]}]}", "at most"),
        ('{"bodies": [{"id": 0, "joints19": [' + "9" * 400 + "," + "1," * 74 + "1]}]}", "joints19"),
    ],
)
def test_a_body_file_that_is_wrong_is_named(root, text, named):
    body_file(root).write_text(text)
    with pytest.raises(BadInput, match=rf"body3DScene_00000100.json: .*{named}"):
        list(panoptic.scenes(root, [ULTIMATUM]))


@given(st.data())
def test_damaged_files_raise_only_our_errors(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "panoptic_fuzz"
    writer.fixture(folder)
    path = data.draw(st.sampled_from([calibration(folder), body_file(folder)]))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from(b'0917-.,[]{}"eE \x00\xff'))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with suppress(Mp3dError):
        assert len(list(panoptic.scenes(folder, [ULTIMATUM]))) == 6


def test_a_world_comes_back(tmp_path):
    world = [scene for video in worlds.sequences("duet", seed=1, frames=5) for scene in video]
    writer.write(iter(world), tmp_path)
    back = {(s.sequence, s.frame): s for s in panoptic.scenes(tmp_path)}  # its one camera, by default
    assert len(back) == len(world) == 100
    for scene in world:
        found = back[scene.sequence, scene.frame]
        np.testing.assert_array_equal(found.camera.k, scene.camera.k)
        assert (found.camera.width, found.camera.height) == (scene.camera.width, scene.camera.height)
        np.testing.assert_allclose(found.camera.rotation, scene.camera.rotation, atol=1e-12)
        assert [p.identity for p in found.people] == [p.identity for p in scene.people]
        # 6 digits: half of 0.1 mm an axis up to 100 m, seldom that much; MPI17's first 15 are all native
        np.testing.assert_allclose(found.xyz[:, :15], scene.xyz[:, :15], atol=0.09)
        np.testing.assert_allclose(found.uv[:, :15], scene.uv[:, :15], atol=0.06)
        inside = ((scene.uv >= 0) & (scene.uv < [scene.camera.width, scene.camera.height])).all(-1)
        edge = np.abs(scene.uv - np.clip(scene.uv, 0, [scene.camera.width, scene.camera.height])).max(-1) < 0.1
        agree = found.visibility == np.where(inside, VISIBLE, HIDDEN)
        assert (agree | edge)[:, :15].all()
        assert (found.visibility[:, 15:] == ABSENT).all()


def test_a_world_that_panoptic_cannot_hold(tmp_path):
    one, other = (video[0] for video in worlds.sequences("duet", seed=1, frames=1)[:2])
    with pytest.raises(BadInput, match="each frame once"):
        writer.write([one, one], tmp_path)
    moved = type(one)(other.camera, one.people, sequence=one.sequence, frame=1)
    with pytest.raises(BadInput, match="one camera a sequence"):
        writer.write([one, moved], tmp_path)


# The real files


def test_real_counts(samples):
    root = samples / "panoptic"
    inside, both, moved = {}, {}, []
    for sequence in ("160906_band1", "160906_band2"):
        views = panoptic.cameras(root / sequence / f"calibration_{sequence}.json")
        assert len(views) == 31
        assert max(np.abs(c.rotation @ c.rotation.T - np.eye(3)).max() for c in views.values()) < 1e-9
        assert all(1393 < c.fx < 1863 for c in views.values())
        files, skeleton = panoptic.frames(root, sequence)
        for frame, file in files.items():
            good = [b.xyz[b.confidence > panoptic.CONFIDENCE] for b in panoptic.bodies(file, skeleton)]
            points = {name: camera.to_camera(np.concatenate(good)) for name, camera in views.items()}
            assert all((xyz[:, 2] > 0).all() for xyz in points.values())
            counts = {name: int(panoptic.inside(views[name], xyz).sum()) for name, xyz in points.items()}
            inside[frame] = sum(counts.values()), sum(map(len, points.values()))
            both[frame] = counts["00_16"], counts["00_30"], len(points["00_16"])
            for name in ("00_16", "00_30"):  # how far the lens moves what is in the picture
                camera, xyz = views[name], points[name][panoptic.inside(views[name], points[name])]
                px = np.linalg.norm(replace(camera, lens=None).project(xyz) - camera.project(xyz), axis=-1)
                moved.append((px.mean(), px.max()))
    assert inside == {168: (1452, 1643), 169: (1453, 1643), 139: (1549, 1767), 140: (1549, 1767)}
    assert 6 < min(mean for mean, _ in moved) < max(mean for mean, _ in moved) < 13
    assert round(max(most for _, most in moved)) == 59
    assert (both[168], both[139]) == ((45, 41, 53), (45, 44, 57))


def test_real_scenes(samples):
    found = list(panoptic.scenes(samples / "panoptic"))
    assert [(s.frame, len(s.people)) for s in found[::2]] == [(168, 3), (169, 3), (139, 3), (140, 3)]
    visible = [int((s.people[i].native.visibility == VISIBLE).sum()) for s in found[:1] for i in range(3)]
    assert sum(visible) == 45
    # band1, id 2: bodyCenter is there, a hip is not
    person = found[0].people[2]
    assert np.isfinite(person.root).all()
    assert np.isnan(person.xyz[[8, 11]]).any()
    # standing or sitting, heads are above pelvises: y down
    for scene in found:
        for p in scene.people:
            assert p.xyz[1, 1] < p.xyz[14, 1]


def test_a_damaged_frame_is_an_error_or_left_out(root):
    """The release has some body files that no reader can parse."""
    whole = [scene.frame for scene in panoptic.scenes(root, [ULTIMATUM])]
    damaged = body_file(root, whole[0])
    damaged.write_text(damaged.read_text()[:-40])
    with pytest.raises(BadInput, match=damaged.name):
        list(panoptic.scenes(root, [ULTIMATUM]))
    with pytest.warns(UserWarning, match=damaged.name):
        left = [scene.frame for scene in panoptic.scenes(root, [ULTIMATUM], skip_damaged=True)]
    assert left == [frame for frame in whole if frame != whole[0]]


def test_names_of_cameras_as_long_as_a_page(root):
    change(calibration(root), lambda document: [c.update(name=5000 * c["name"]) for c in document["cameras"]])
    with pytest.raises(MissingData, match="no HD camera 00_16, 00_30; it has 00_") as error:
        list(panoptic.scenes(root, [ULTIMATUM], ("00_16", "00_30")))
    assert len(str(error.value)) < 1000
