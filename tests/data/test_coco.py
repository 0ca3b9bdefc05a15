"""COCO's key points: closed-form fixture, real sample, a world there and back, traps and damage."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mp3d.camera import Camera
from mp3d.data import coco, pictures, safe
from mp3d.data.writers import coco as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import ABSENT, HIDDEN, VISIBLE
from mp3d.skeletons import APPROXIMATE, COCO17, DERIVED, MPI17, NATIVE
from mp3d.synthetic.worlds import sequences

FILE = "annotations/person_keypoints_val2017.json"
NECK, PELVIS, HEAD = (MPI17.index(j) for j in ("neck", "pelvis", "head"))


@pytest.fixture
def folder(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


def change(folder, edit):
    content = json.loads((folder / FILE).read_text())
    edited = edit(content)
    (folder / FILE).write_text(json.dumps(edited[0] if isinstance(edited, tuple) else content))


def test_fixture_is_small_and_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        writer.fixture(tmp_path / name, seed=3)
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()
    assert (tmp_path / "a" / FILE).stat().st_size < 200_000


def test_people_in_2d(folder):
    first, second = coco.scenes(folder)
    assert [(s.world, s.sequence, s.frame) for s in (first, second)] == [
        ("coco2017", "val2017", 1000),
        ("coco2017", "val2017", 1001),
    ]
    assert [p.identity for p in first.people] == [1, 2, 3]
    whole, part, two = first.people
    np.testing.assert_array_equal(whole.native.uv, writer.joints(0))
    assert np.isnan(first.xyz).all()
    assert (whole.native.visibility == VISIBLE).all()
    np.testing.assert_array_equal(part.native.uv[:13], writer.joints(1)[:13])
    assert np.isnan(part.native.uv[13:]).all()
    np.testing.assert_array_equal(part.native.visibility, [2, 2, 2, 2, 2, 2, 2, 1, 2, 1, 2, 2, 2, 0, 0, 0, 0])
    assert (two.visibility == ABSENT).all()  # nose and an eye: nothing of MPI17
    assert np.count_nonzero(two.native.visibility) == 2


def test_midpoints_and_their_visibility(folder):
    person = next(coco.scenes(folder)).people[0]
    uv = writer.joints(0)
    np.testing.assert_allclose(person.uv[NECK], (uv[5] + uv[6]) / 2)
    np.testing.assert_allclose(person.uv[PELVIS], (uv[11] + uv[12]) / 2)
    assert (person.source[NECK], person.source[PELVIS], person.source[HEAD]) == (DERIVED, DERIVED, APPROXIMATE)
    assert (person.source[2:14] == NATIVE).all()
    assert (person.source[[0, 15]] == ABSENT).all()


def test_like_smap(folder):
    scenes = list(coco.scenes(folder, like="smap"))
    assert [len(scene.people) for scene in scenes] == [2, 1]  # the one with two key points is dropped
    assert scenes[0].camera.fx == scenes[0].camera.fy == 640
    assert (scenes[0].camera.cx, scenes[0].camera.cy) == (320, 240)
    uv = writer.joints(0)
    shoulders, hips = (uv[5] + uv[6]) / 2, (uv[11] + uv[12]) / 2
    person = scenes[0].people[0]
    np.testing.assert_allclose(person.uv[NECK], shoulders + 0.185 * (shoulders - hips))
    assert (person.visibility[NECK], person.source[NECK]) == (VISIBLE, APPROXIMATE)
    threed = next(coco.scenes(folder))
    assert (threed.camera.fx, threed.camera.cx, threed.camera.cy) == (1500, 320, 240)
    with pytest.raises(BadInput, match="like"):
        next(coco.scenes(folder, like="coco"))


def test_smap_has_no_neck_without_hips(folder):
    def edit(content):
        record = content["annotations"][0]
        record["keypoints"][36:39] = [0, 0, 0]  # the right hip
        record["num_keypoints"] = 16

    change(folder, edit)
    person = next(coco.scenes(folder, like="smap")).people[0]
    assert person.visibility[NECK] == person.source[NECK] == ABSENT
    assert np.isnan(person.uv[NECK]).all()
    assert next(coco.scenes(folder)).people[0].visibility[NECK] == VISIBLE


def test_crowds_and_unlabelled_people_are_left_out(folder):
    scenes = list(coco.scenes(folder))
    assert [scene.frame for scene in scenes] == [1000, 1001]
    assert len(scenes[1].people) == 1
    change(folder, lambda c: c["annotations"][4].update(iscrowd=0))
    assert len(list(coco.scenes(folder))[1].people) == 2


def test_annotations_in_any_order_and_before_the_images(folder):
    before = list(coco.scenes(folder))
    change(folder, lambda c: ({"annotations": c["annotations"][::-1], "images": c["images"]},))
    after = list(coco.scenes(folder))
    for a, b in zip(before, after, strict=True):
        assert a.frame == b.frame
        found = {person.identity: person for person in b.people}
        for person in a.people:
            np.testing.assert_array_equal(person.uv, found[person.identity].uv)


def test_only_one_picture_is_in_memory(folder, monkeypatch):
    """What is wrong with the second picture shows only when it is reached; records are read again by their place."""
    change(folder, lambda c: c["annotations"][3].update(num_keypoints=1))
    stream = coco.scenes(folder)
    assert next(stream).frame == 1000
    with pytest.raises(BadInput, match="num_keypoints"):
        next(stream)
    offsets = {o for _, o, _ in safe.records(folder / FILE) if o >= 0}
    read = []
    plain = safe.record_at
    monkeypatch.setattr(safe, "record_at", lambda file, offset, path: read.append(offset) or plain(file, offset, path))
    next(coco.scenes(folder))
    assert len(read) == 4  # one picture, three people
    assert set(read) <= offsets


def test_trap_02_left_comes_before_right(folder):
    for scene in coco.scenes(folder):
        for person in scene.people:
            uv, native = person.uv, person.native.uv
            if person.visibility[2] and person.visibility[5]:
                assert uv[MPI17.index("r_shoulder"), 0] < uv[MPI17.index("l_shoulder"), 0]  # all look at the camera
                assert native[6, 0] < native[5, 0]
                mirrored = native[list(COCO17.mirror)]
                assert mirrored[6, 0] > mirrored[5, 0]


def test_trap_02_another_order_of_names_is_refused(folder):
    def edit(content):
        names = content["categories"][0]["keypoints"]
        names[5], names[6] = names[6], names[5]

    change(folder, edit)
    with pytest.raises(BadInput, match="keypoints"):
        next(coco.scenes(folder))


def test_trap_05_the_skeleton_counts_from_1(folder):
    category = json.loads((folder / FILE).read_text())["categories"][0]
    edges = coco.edges(category)
    names = {frozenset((COCO17.joints[a], COCO17.joints[b])) for a, b in edges}
    assert len(edges) == 19
    assert {"l_ankle", "l_knee"} in names
    assert {"r_shoulder", "r_elbow"} in names
    assert {"l_shoulder", "l_hip"} in names
    sides = {"l_": 0, "r_": 0}
    for a, b in names:
        sides[a[:2]] = sides.get(a[:2], 0) + (a[:2] == b[:2])
    assert sides["l_"] == sides["r_"] == 7
    for bad in ([[0, 1]], [[1, 18]], [[1, 2, 3]], "none"):
        with pytest.raises(BadInput, match="skeleton"):
            coco.edges({**category, "skeleton": bad})


def test_trap_13_an_unlabelled_joint_is_nowhere_not_at_zero(folder):
    part = next(coco.scenes(folder)).people[1]
    stored = json.loads((folder / FILE).read_text())["annotations"][1]["keypoints"]
    assert stored[-3:] == [0, 0, 0]
    assert np.isnan(part.uv[[9, 10, 12, 13]]).all()
    assert part.visibility[9] == ABSENT
    np.testing.assert_allclose(part.box[:2], np.nanmin(part.uv, 0))
    assert part.box[1] > 80  # with zeros it would reach up to the corner


def test_trap_15_v_1_is_hidden(folder):
    part = next(coco.scenes(folder)).people[1]
    assert part.visibility[MPI17.index("l_elbow")] == HIDDEN
    assert part.visibility[MPI17.index("r_elbow")] == VISIBLE


def test_trap_28_a_picture_is_not_turned_by_its_exif_tag(tmp_path):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    camera = Camera(1500, 1500, 3, 2, 6, 4)
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.png", camera), pixels)
    with pytest.raises(BadInput, match=r"6 x 4.*4 x 6, as annotated"):
        pictures.read(tmp_path / "a.png", Camera(1500, 1500, 2, 3, 4, 6))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(BadInput, match="picture"):
        pictures.read(tmp_path / "b.png", camera)


def test_trap_29_pointers_and_missing_files(folder):
    (folder / FILE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(BadInput, match="Git LFS pointer"):
        next(coco.scenes(folder))
    with pytest.raises(MissingData):
        next(coco.scenes(folder, "train2017"))


DAMAGE = {
    "v 3": (lambda c: c["annotations"][0]["keypoints"].__setitem__(2, 3), "keypoints"),
    "v half": (lambda c: c["annotations"][0]["keypoints"].__setitem__(2, 0.5), "keypoints"),
    "50 numbers": (lambda c: c["annotations"][0].update(keypoints=[0] * 50), "keypoints"),
    "strings": (lambda c: c["annotations"][0].update(keypoints=["a"] * 51), "keypoints"),
    "huge": (lambda c: c["annotations"][0].update(keypoints=[10**400] * 51), "keypoints"),
    "no keypoints": (lambda c: c["annotations"][0].update(keypoints=None), "keypoints"),
    "count": (lambda c: c["annotations"][0].update(num_keypoints=16), "num_keypoints"),
    "count true": (lambda c: c["annotations"][0].update(num_keypoints=True), "num_keypoints"),
    "crowd 2": (lambda c: c["annotations"][0].update(iscrowd=2), "iscrowd"),
    "owner": (lambda c: c["annotations"][0].update(image_id=7), "image_id"),
    "owner float": (lambda c: c["annotations"][0].update(image_id=1000.5), "image_id"),
    "id negative": (lambda c: c["annotations"][0].update(id=-1), "id"),
    "width": (lambda c: c["images"][0].update(width="640"), "width"),
    "height": (lambda c: c["images"][0].update(height=10**9), "height"),
    "twice": (lambda c: c["images"].append(c["images"][0]), "images: found id 1000 2 times"),
    "image a list": (lambda c: c["images"].append([]), "images"),
    "no images": (lambda c: c.update(images=[]), "images"),
    "annotations an object": (lambda c: c.update(annotations={"1": 2}), "annotations"),
    "a list": (lambda c: (c["annotations"],), "images"),
    "a number": (lambda c: (7,), "JSON"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_malformed_json_names_the_field(folder, name):
    edit, field = DAMAGE[name]
    change(folder, edit)
    with pytest.raises(BadInput, match=field) as error:
        list(coco.scenes(folder))
    assert "person_keypoints_val2017.json" in str(error.value)


def test_nan_is_not_json(folder):
    text = (folder / FILE).read_text().replace('"area": ', '"area": NaN, "was": ', 1)
    (folder / FILE).write_text(text)
    with pytest.raises(BadInput, match="JSON"):
        list(coco.scenes(folder))


def test_round_trip_of_a_world(tmp_path):
    """12 joints come back to 0.005 px with their visibility, neck and pelvis as midpoints; 2D alone."""
    scenes = sequences("duet", seed=1, frames=5)[3] + sequences("duet", seed=1, frames=5)[6]
    writer.write(scenes, tmp_path)
    back = {scene.frame: scene for scene in coco.scenes(tmp_path)}
    assert len(back) == len(scenes)
    for number, scene in enumerate(scenes):
        found = back[number]
        assert (found.camera.width, found.camera.height) == (scene.camera.width, scene.camera.height)
        for person, other in zip(scene.people, found.people, strict=True):
            inside = ((person.uv >= 0) & (person.uv < [scene.camera.width, scene.camera.height])).all(1)
            there = inside[2:14]
            np.testing.assert_allclose(other.uv[2:14][there], person.uv[2:14][there], atol=0.005 + 1e-9)
            np.testing.assert_array_equal(other.visibility[2:14], np.where(there, person.visibility[2:14], ABSENT))
            if inside[[2, 5]].all():
                np.testing.assert_allclose(other.uv[NECK], person.uv[[2, 5]].mean(0), atol=0.006)
            assert np.isnan(other.xyz).all()


def test_real_sample(samples):
    """mmpose's sample of val2017: 14 people, num_keypoints = count(v > 0), left and right by people who face us."""
    path = samples / "coco" / "test_coco.json"
    pairs = list(coco.images(path, names=coco.NAMES))
    records = [record for _, found in pairs for record in found]
    assert len(pairs) == 4
    assert len(records) == 14
    assert all(r["num_keypoints"] == sum(v > 0 for v in r["keypoints"][2::3]) for r in records)
    scenes = list(coco.scenes(path))
    assert sum(len(scene.people) for scene in scenes) == sum(
        r["num_keypoints"] > 0 and not r["iscrowd"] for r in records
    )
    assert sum(np.count_nonzero(p.native.visibility) for s in scenes for p in s.people) == sum(
        r["num_keypoints"] for r in records if not r["iscrowd"]
    )
    (category,) = (record for key, _, record in safe.records(path) if key == "categories")
    assert len(coco.edges(category)) == 19


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    writer.fixture(folder)
    return folder, (folder / FILE).read_bytes()


@settings(max_examples=200)
@given(st.floats(0, 1), st.binary(max_size=8), st.booleans())
def test_fuzz_only_our_errors(good, place, patch, cut):
    """Truncated, or overwritten anywhere."""
    folder, data = good
    at = int(place * len(data))
    (folder / FILE).write_bytes(data[:at] if cut else data[:at] + patch + data[at + len(patch) :])
    try:
        for scene in coco.scenes(folder):
            assert scene.people
    except Mp3dError as error:
        assert "person_keypoints" in str(error)
