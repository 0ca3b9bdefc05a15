"""3DMPPE's and PI-Net's JSON files: the reader on the writers' fixtures, and on damaged files."""

import json
import tracemalloc

import numpy as np
import pytest

from mp3d.camera import Camera
from mp3d.data import mupots, threedmppe
from mp3d.data.writers import muco
from mp3d.data.writers import mupots as mupots_writer
from mp3d.data.writers import threedmppe as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.papers import pinet
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import MUCO21
from mp3d.synthetic.worlds import sequences

ERROR = [30.0, -20.0, 150.0]


@pytest.fixture
def folder(tmp_path):
    writer.fixture(tmp_path)
    muco.fixture(tmp_path)
    return tmp_path


def change(path, edit):
    """Rewrite a JSON file after `edit` of what it holds."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def test_fixtures_are_small_and_the_same_again(folder, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    writer.fixture(again)
    muco.fixture(again)
    names = sorted(p.name for p in folder.iterdir())
    assert names == sorted(p.name for p in again.iterdir())
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)
    assert sum((folder / name).stat().st_size for name in names) < 200_000


def test_mupots(folder):
    found = list(threedmppe.scenes(folder / "MuPoTS-3D.json"))
    assert [(s.world, s.sequence, s.frame, len(s.people)) for s in found] == [
        ("mupots3d", "TS1", 0, 2),
        ("mupots3d", "TS1", 1, 1),
        ("mupots3d", "TS1", 2, 0),
        ("mupots3d", "TS10", 0, 3),
    ]
    np.testing.assert_array_equal(found[3].camera.k, [1100, 1105, 950, 545])
    assert (found[3].camera.width, found[3].camera.height) == (1920, 1080)
    person = found[0].people[1]
    assert np.abs(person.xyz - mupots_writer.STANDING - [500, 100, 4300]).max() <= 20
    x, y, z = person.xyz.T
    np.testing.assert_allclose(person.uv, np.stack([1500 * x / z + 1020, 1510 * y / z + 1030], -1), atol=1e-9)


def test_the_json_agrees_with_the_matlab_files(folder, tmp_path):
    """Both fixtures hold the same people; the camera of one is found, of the other stated."""
    mupots_writer.fixture(tmp_path)
    one = [next(mupots.scenes(tmp_path, [name])) for name in ("TS1", "TS10")]
    other = [s for s in threedmppe.scenes(folder / "MuPoTS-3D.json") if s.frame == 0]
    stated = threedmppe.intrinsics(folder / "MuPoTS-3D.json")
    for a, b in zip(one, other, strict=True):
        if a.sequence == "TS10":  # in TS1 the fixtures have other lengths, so other numbers
            np.testing.assert_allclose(a.roots, b.roots, atol=40)
        assert mupots.compare_intrinsics(tuple(a.camera.k.tolist()), stated[b.sequence], b.sequence) < 1e-6


def test_muco(folder):
    found = list(threedmppe.scenes(folder / "MuCo-3DHP.json"))
    assert [(s.world, s.sequence, s.frame, len(s.people)) for s in found] == [
        ("muco3dhp", "augmented_set/1", 7, 2),
        ("muco3dhp", "augmented_set/1", 9, 0),
        ("muco3dhp", "unaugmented_set/2", 3, 3),
    ]
    assert list(threedmppe.file_names(folder / "MuCo-3DHP.json"))[1] == (9, "augmented_set/1/000009.jpg")
    np.testing.assert_array_equal(found[0].camera.k, [1500, 1495, 1024, 1050])
    person = found[2].people[2]
    assert np.abs(person.xyz - mupots_writer.STANDING - [1400, 100, 4600]).max() <= 20
    native = person.native
    assert native.skeleton == MUCO21
    np.testing.assert_array_equal(native.xyz[:17], person.xyz)
    # Toes before the ankles, hands below the wrists, right before left.
    np.testing.assert_allclose(native.xyz[17:19] - person.xyz[[4, 7]], [[0, 80, 0]] * 2, atol=1e-9)
    np.testing.assert_allclose(native.xyz[19:21] - person.xyz[[10, 13]], [[0, 0, -150]] * 2, atol=1e-9)


def test_trap_11_a_file_name_is_read_whole(folder):
    path = folder / "MuPoTS-3D.json"
    for name in ("TS21/img_000000.jpg", "TS1/img_000000.png", "TS1x/img_000000.jpg", "TS1/img_0.jpg", "../TS1"):
        change(path, lambda content, name=name: content["images"][3].update(file_name=name))
        with pytest.raises(BadInput, match=r"images\[3\]\.file_name"):
            list(threedmppe.scenes(path))


def test_trap_12_first_stated_camera_of_each_video(folder):
    path = change(folder / "MuPoTS-3D.json", lambda content: content["images"][1].update(intrinsic=[1.0, 2, 3, 4]))
    assert threedmppe.intrinsics(path) == {"TS1": (1500, 1510, 1020, 1030), "TS10": (1100, 1105, 950, 545)}


def test_trap_13_who_is_not_valid(folder):
    path = folder / "MuPoTS-3D.json"
    assert [len(s.people) for s in threedmppe.scenes(path, valid_only=False)] == [2, 2, 2, 3]
    change(path, lambda content: content["annotations"][0].update(is_valid=0))
    assert [p.identity for p in next(threedmppe.scenes(path)).people] == [1]
    change(path, lambda content: content["annotations"][0].pop("is_valid"))
    with pytest.raises(BadInput, match=r"annotations\[0\]\.is_valid"):
        list(threedmppe.scenes(path))


def test_trap_15_visibility(folder):
    """Of shape (17,) or (17, 1) in MuPoTS; MuCo's is no occlusion label."""
    for scene in threedmppe.scenes(folder / "MuPoTS-3D.json"):
        for person in scene.people:
            assert (person.visibility == HIDDEN).nonzero()[0].tolist() == [4]
    path = change(
        folder / "MuCo-3DHP.json", lambda content: [a.update(keypoints_vis=[0] * 21) for a in content["annotations"]]
    )
    assert all((s.visibility == VISIBLE).all() for s in threedmppe.scenes(path) if s.people)
    change(path, lambda content: content["annotations"][0].update(keypoints_vis=[[1, 1]] * 21))
    with pytest.raises(BadInput, match="keypoints_vis"):
        list(threedmppe.scenes(path))


def test_trap_29_pointer_files(folder):
    path = folder / "MuCo-3DHP.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(BadInput, match="LFS"):
        list(threedmppe.scenes(path))


def test_images_are_found_by_id_wherever_they_stand(folder):
    path = folder / "MuCo-3DHP.json"
    before = {s.frame: s for s in threedmppe.scenes(path)}
    content = json.loads(path.read_text())
    content["images"].reverse()
    turned = {"info": {"year": 2018}, "annotations": content["annotations"], "images": content["images"]}
    path.write_text(json.dumps(turned, indent=1))
    after = list(threedmppe.scenes(path))
    assert [s.frame for s in after] == [3, 9, 7]
    for scene in after:
        assert len(scene.people) == len(before[scene.frame].people)
        for a, b in zip(scene.people, before[scene.frame].people, strict=True):
            np.testing.assert_array_equal(a.xyz, b.xyz)


def edit_image(**changes):
    return lambda content: content["images"][0].update(changes)


def edit_person(**changes):
    return lambda content: content["annotations"][1].update(changes)


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (edit_image(id=3), "images: found id 3 2 times"),
        (edit_image(id="7"), r"images\[0\]\.id"),
        (edit_image(id=10**30), r"images\[0\]\.id"),
        (edit_image(id=True), r"images\[0\]\.id"),
        (edit_image(f=[1500.0]), r"images\[0\]\.f"),
        (edit_image(f=[0.0, 1500.0]), r"images\[0\]: found f 0"),
        (edit_image(c="1024"), r"images\[0\]\.c"),
        (edit_image(width=-2048), r"images\[0\]: found .*-2048"),
        (edit_image(height=None), r"images\[0\]\.height"),
        (edit_image(file_name=7), r"images\[0\]\.file_name"),
        (lambda content: content["images"][0].pop("f"), r"images\[0\]\.f: found nothing"),
        (lambda content: content["images"].insert(0, [1]), r"images\[0\]\.id"),
        (lambda content: content.pop("images"), "images: found nothing"),
        (edit_person(image_id=8), r"annotations\[1\]\.image_id: found 8"),
        (edit_person(keypoints_cam=[[0, 0, 1]] * 17), r"annotations\[1\]\.keypoints_cam: found shape \(17, 3\)"),
        (edit_person(keypoints_img=[[0, "x"]] * 21), r"annotations\[1\]\.keypoints_img"),
        (edit_person(keypoints_cam=None), r"annotations\[1\]\.keypoints_cam"),
        (lambda content: content["annotations"][1].pop("keypoints_cam"), r"annotations\[1\]\.keypoints_cam"),
    ],
)
def test_malformed_muco(folder, edit, field):
    path = change(folder / "MuCo-3DHP.json", edit)
    with pytest.raises(BadInput, match=r"MuCo-3DHP\.json: .*" + field):
        list(threedmppe.scenes(path))


@pytest.mark.parametrize("content", ["", "[]", "{}", "[1, 2]", '{"images": 3}', "nonsense", '{"images": [{}]}', "3"])
def test_other_json(folder, content):
    path = folder / "MuCo-3DHP.json"
    path.write_text(content)
    for read in (threedmppe.scenes, threedmppe.refinable):
        with pytest.raises(BadInput):
            list(read(path))


def test_nan_is_no_number(folder):
    path = folder / "MuCo-3DHP.json"
    path.write_text(path.read_text().replace("1024.0", "NaN", 1))
    with pytest.raises(BadInput):
        list(threedmppe.scenes(path))


def test_truncated_and_absent(folder):
    path = folder / "MuCo-3DHP.json"
    whole = path.read_bytes()
    for size in range(0, len(whole), 397):
        path.write_bytes(whole[:size])
        with pytest.raises(Mp3dError):
            list(threedmppe.scenes(path))
    with pytest.raises(MissingData):
        list(threedmppe.scenes(folder / "nothing.json"))


def test_memory_does_not_grow_with_the_file(folder):
    """9 MB more of people, four times as many, take less than 3 MB more."""
    content = json.loads((folder / "MuCo-3DHP.json").read_text())

    def peak(images):
        path = folder / f"{images}.json"
        image, person = content["images"][0], content["annotations"][0] | {"comment": "x" * 100_000}
        many = {
            "images": [image | {"id": i} for i in range(images)],
            "annotations": [person | {"image_id": i} for i in range(images)],
        }
        path.write_text(json.dumps(many))
        tracemalloc.start()
        assert sum(len(s.people) for s in threedmppe.scenes(path)) == images
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, path.stat().st_size

    (small, short), (large, long) = peak(30), peak(120)
    assert long - short > 9e6
    assert large - small < 3e6


# -- PI-Net's files


def test_posenet_poses_beside_the_truth(folder):
    found = list(threedmppe.refinable(folder / "MuPoTS-3D_with_posenet_result.json"))
    # Who is not valid stays; TS10's last person has no estimate.
    assert [(r.scene.sequence, r.scene.frame, len(r.poses)) for r in found] == [
        ("TS1", 0, 2),
        ("TS1", 1, 2),
        ("TS1", 2, 2),
        ("TS10", 0, 2),
    ]
    for image in found:
        np.testing.assert_allclose(image.poses - image.scene.xyz, np.broadcast_to(ERROR, image.poses.shape))
        np.testing.assert_allclose(image.boxes, image.scene.boxes)
    valid = list(threedmppe.refinable(folder / "MuPoTS-3D_with_posenet_result.json", valid_only=True))
    assert [len(r.poses) for r in valid] == [2, 1, 2]


def test_posenet_poses_of_muco_become_mpi17(folder):
    found = list(threedmppe.refinable(folder / "MuCo-3DHP_with_posenent_result_filter.json"))
    assert [r.poses.shape for r in found] == [(2, 17, 3)] * 2
    for image in found:
        np.testing.assert_allclose(image.poses - image.scene.xyz, np.broadcast_to(ERROR, image.poses.shape))


def test_pinet_takes_them(folder):
    """The original experiment's input: everybody's sequence, in the released code's order."""
    images = list(threedmppe.refinable(folder / "MuPoTS-3D_with_posenet_result.json"))
    people = pinet.sequences(
        [i.poses for i in images],
        pinet.PINetConfig(order="near2d"),
        [i.scene.xyz for i in images],
        [i.boxes for i in images],
    )
    assert people.poses.shape == (8, 2, 17, 3)
    np.testing.assert_allclose((people.poses - people.truth).mean((0, 1, 2)), ERROR)


@pytest.mark.parametrize("value", [[[0, 0, 1]] * 21, "x", None, [[1, 2]] * 17])
def test_malformed_estimates(folder, value):
    path = change(folder / "MuPoTS-3D_with_posenet_result.json", edit_person(keypoints_cam_posenet=value))
    with pytest.raises(BadInput, match=r"annotations\[1\]\.keypoints_cam_posenet"):
        list(threedmppe.refinable(path))


# -- Who is trained on in MuCo


def scene_of(roots):
    camera = Camera(1500, 1500, 1024, 1024, 2048, 2048)
    return Scene(
        camera, tuple(Person.of(np.array(r) + np.zeros((17, 3)), camera, identity=i) for i, r in enumerate(roots))
    )


@pytest.mark.parametrize(
    ("roots", "kept"),
    [
        ([(0, 0, 3000), (600, 0, 3500), (-500, 0, 4000)], [0, 1, 2]),  # exactly 500 mm is clear
        ([(0, 0, 3000), (499, 0, 3000)], [0]),  # of two within 500 mm the nearest stays
        ([(0, 0, 5000), (100, 0, 3000)], [1]),  # 2 m apart in depth, but one behind the other
        ([(0, 0, 3000), (2000, 0, 5000), (2300, 300, 7000), (-900, 0, 8000)], [0, 3]),  # neither of the two far ones
        ([(10, 0, 3000)], [0]),
        ([], []),
    ],
)
def test_apart_by_hand(roots, kept):
    assert [p.identity for p in threedmppe.apart(scene_of(roots)).people] == kept


# -- Boxes


def test_which_boxes_are_enlarged(folder):
    raw, rooted, true = (
        threedmppe.detections(folder / f"{name}.json")
        for name in ("bbox_mupots_output", "bbox_root_mupots_output", "bbox_root_mupots_gt")
    )
    assert (raw.enlarged, rooted.enlarged, true.enlarged) == (False, True, False)
    np.testing.assert_array_equal(raw.boxes, true.boxes)
    np.testing.assert_allclose(rooted.boxes[:, 2:].max(1), 1.25 * raw.boxes[:, 2:].max(1))
    np.testing.assert_allclose(rooted.boxes[:, :2] + rooted.boxes[:, 2:] / 2, raw.boxes[:, :2] + raw.boxes[:, 2:] / 2)
    assert raw.roots is None
    np.testing.assert_allclose(rooted.roots - true.roots, np.broadcast_to(ERROR, true.roots.shape))
    assert (raw.scores == 0.9).all()
    assert (true.scores == 1).all()
    names = dict(threedmppe.file_names(folder / "MuPoTS-3D.json"))
    assert names[int(raw.image_id[-1])] == "TS10/img_000000.jpg"


@pytest.mark.parametrize(
    "edit",
    [
        lambda boxes: boxes[2].pop("score"),
        lambda boxes: boxes[2].pop("bbox"),
        lambda boxes: boxes[2].update(root_cam=[0, 0, 1]),
        lambda boxes: boxes[2].update(bbox=[0, 0, 1]),
        lambda boxes: boxes[2].update(score="high"),
        lambda boxes: boxes[2].update(image_id=1.5),
        lambda boxes: boxes.insert(2, 3),
    ],
)
def test_malformed_boxes(folder, edit):
    path = change(folder / "bbox_mupots_output.json", edit)
    with pytest.raises(BadInput, match=r"\[2\]"):
        threedmppe.detections(path)


def test_boxes_are_a_list(folder):
    with pytest.raises(BadInput, match="list"):
        threedmppe.detections(folder / "MuPoTS-3D.json")


def test_pairs(folder):
    path = folder / "MuPoTS-3D_id2pairId.json"
    assert threedmppe.pairs(path) == {500: 501, 501: 500, 510: 511, 511: 510, 520: 521, 521: 520}
    for content in ('{"a": 1}', '{"1": "2"}', "[1]", '{"1": 1e400}', '{"-1": 2}'):
        path.write_text(content)
        with pytest.raises(BadInput, match="id2pairId"):
            threedmppe.pairs(path)


# -- A synthetic world in MuCo's format


def test_world_there_and_back(tmp_path):
    duet = [scene for video in sequences("duet", seed=0, frames=5) for scene in video]
    muco.write(duet, tmp_path)
    found = list(threedmppe.scenes(tmp_path / "MuCo-3DHP.json"))
    assert len(found) == len(duet) == 100
    for a, b in zip(found, duet, strict=True):
        assert a.sequence == "unaugmented_set/" + b.sequence[1:]
        np.testing.assert_array_equal(a.xyz, b.xyz)
        np.testing.assert_array_equal(a.uv, b.uv)
        np.testing.assert_array_equal(a.camera.k, b.camera.k)
        assert (a.camera.width, a.camera.height) == (b.camera.width, b.camera.height)
        assert [p.identity for p in a.people] == [p.identity for p in b.people]
    names = [name for _, name in threedmppe.file_names(tmp_path / "MuCo-3DHP.json")]
    assert names[33] == "unaugmented_set/7/000003.jpg"
