"""JTA's files, from closed-form numbers; LoCO's published predictions where they are."""

import json
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.data import jta
from mp3d.data.writers import jta as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import ABSENT, HIDDEN, VISIBLE
from mp3d.skeletons import DERIVED, JTA22, MPI17, NATIVE
from mp3d.synthetic import worlds

FAR = 3  # the fixture's person at 120 m


@pytest.fixture
def root(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


def file(root, split="test", number=256):
    return root / "annotations" / split / f"seq_{number}.json"


def rows(root, **where):
    return json.loads(file(root, **where).read_text())


def put(root, rows):
    file(root).write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return jta.annotations(root, "test", 256)


def test_the_fixture_is_small_and_seeded(tmp_path):
    for folder in ("a", "b"):
        writer.fixture(tmp_path / folder, seed=3)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.json"))
    assert len(files) == 3
    assert sum((tmp_path / "a" / f).stat().st_size for f in files) < 200_000
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert (writer.numbers(3) != writer.numbers(4)).any()


@pytest.mark.parametrize(
    ("split", "number", "frames"), [("train", 0, range(1, 7)), ("test", 256, range(1, 11)), ("val", 257, [123])]
)
def test_scenes_are_the_numbers(root, split, number, frames):
    points = writer.numbers()
    found = list(jta.scenes(root, split))
    assert [(s.world, s.sequence, s.frame) for s in found] == [("jta", f"seq_{number}", f) for f in frames]
    for scene in found:
        assert scene.camera.k.tolist() == [1158, 1158, 960, 540]
        assert (scene.camera.width, scene.camera.height) == (1920, 1080)
        assert [p.identity for p in scene.people] == [0, 10, 20, 30]
        truth = points[(scene.frame - 1) % 10]
        native = np.stack([p.native.xyz for p in scene.people])
        np.testing.assert_allclose(native, 1000 * truth, atol=1e-3)
        uv = np.stack([p.native.uv for p in scene.people])
        by_hand = np.stack([1158 * truth[..., 0] / truth[..., 2] + 960, 1158 * truth[..., 1] / truth[..., 2] + 540], -1)
        assert np.abs(uv - by_hand).max() <= 0.5
        person = scene.people[0]
        assert person.skeleton == MPI17
        # the pelvis is the midpoint of the hips, not spine4, which stands 50 mm higher here
        np.testing.assert_allclose(person.root, 1000 * truth[0, [16, 19]].mean(0), atol=1e-3)
        assert person.source[MPI17.root] == DERIVED
        assert abs(person.native.xyz[JTA22.index("spine4"), 1] - person.root[1]) > 49
        for joint in ("head_top", "neck", "r_wrist", "l_ankle"):
            np.testing.assert_array_equal(person.xyz[MPI17.index(joint)], person.native.xyz[JTA22.index(joint)])
            assert person.source[MPI17.index(joint)] == NATIVE
        assert person.xyz[MPI17.index("r_shoulder"), 0] < person.xyz[MPI17.index("l_shoulder"), 0]  # faces the camera


def test_selection_is_lazy(root, monkeypatch):
    read = []
    run = jta.Annotations._run
    monkeypatch.setattr(jta.Annotations, "_run", lambda self, *a: read.append(a[1:]) or run(self, *a))
    stream = jta.scenes(root, "test")
    assert read == []
    assert next(stream).frame == 1
    assert len(read) == 1  # one frame's rows, of ten
    assert [s.frame for s in jta.scenes(root, "test", every=4)] == [1, 5, 9]
    found = list(jta.scenes(root, "test", [256], frames=[2, 11, 7]))
    assert [(s.frame, len(s.people)) for s in found] == [(2, 4), (11, 0), (7, 4)]
    assert next(jta.scenes(root, "test", focal=1167)).camera.fx == 1167
    for wrong in ({"every": 0}, {"frames": [0]}, {"frames": [901]}, {"split": "demo"}):
        with pytest.raises(BadInput, match="jta"):
            list(jta.scenes(**{"root": root, "split": "test"} | wrong))


def test_where_things_are(root, tmp_path):
    assert jta.sequences(root, "test") == [256]
    with pytest.raises(MissingData, match="data_manifest"):
        jta.sequences(tmp_path / "empty", "train")
    with pytest.raises(MissingData, match=r"seq_300\.json"):
        list(jta.scenes(root, "test", [300]))
    parts = {split: [n for n in range(512) if jta.split_of(n) == split] for split in jta.SPLITS}
    assert {split: len(p) for split, p in parts.items()} == {"train": 256, "val": 128, "test": 128}
    assert (parts["train"][-1], parts["test"][0], parts["val"][0]) == (255, 256, 257)
    # LoCO's demo frames are of the test set
    assert {jta.split_of(n) for n in (314, 450, 466)} == {"test"}
    with pytest.raises(BadInput, match="found 512"):
        jta.split_of(512)


@pytest.mark.parametrize("order", ["shuffled", "by person", "backwards"])
def test_rows_in_any_order(root, order):
    plain = [s.xyz for s in jta.scenes(root, "test")]
    mixed = rows(root)
    if order == "shuffled":
        np.random.default_rng(0).shuffle(mixed)
    elif order == "by person":
        mixed.sort(key=lambda row: row[1:3])
    else:
        mixed.reverse()
    put(root, mixed)
    again = list(jta.scenes(root, "test"))
    assert [s.frame for s in again] == list(range(1, 11))
    np.testing.assert_array_equal([s.xyz for s in again], plain)


def test_memory_holds_one_frame(root):
    found = put(root, rows(root))
    assert {len(runs) for runs in found._runs.values()} == {1}  # a sorted file: one place a frame
    assert put(root, json.dumps(rows(root), indent=1))[4].xyz.shape == (4, 22, 3)  # white space is no matter


def test_trap_05_bones_count_from_0():
    chains = [[0, 1, 2], [2, 3, 4, 5, 6], [2, 7, 8, 9, 10], [2, 11, 12, 13, 14, 15], [15, 16, 17, 18], [15, 19, 20, 21]]
    bones = {frozenset(bone) for chain in chains for bone in pairwise(chain)}
    assert {frozenset(bone) for bone in JTA22.limbs} == bones
    assert len(bones) == 21


def test_trap_15_two_kinds_of_occlusion_hide(root):
    people = next(jta.scenes(root, "train")).people
    right, left = JTA22.index("r_wrist"), JTA22.index("l_wrist")
    labels = jta.annotations(root, "train", 0)[1]
    assert labels.occluded[0].nonzero()[0].tolist() == [left]
    assert labels.self_occluded[0].nonzero()[0].tolist() == [right]
    for person in people:
        hidden = np.isin(np.arange(22), [right, left])
        np.testing.assert_array_equal(person.native.visibility, np.where(hidden, HIDDEN, VISIBLE))
        assert person.visibility[MPI17.index("r_wrist")] == HIDDEN


def test_trap_17_distance_is_along_the_ray_and_100_m_the_end():
    assert round(jta.BIN, 2) == 317.46
    uv = np.array([[960.0, 540], [1915, 540], [1916, 540], [960, 1080], [960, 540], [960, 540], [-5, 540], [np.nan, 0]])
    # the ray through the corner: z of 10 m is 13.8 m from the camera
    xyz = np.array([[0.0, 0, 1e4]] * 3 + [[8290.0, 4663, 10000], [0, 0, 100_158], [0, 0, 100_160]] + [[0, 0, 1e4]] * 2)
    cells, kept = jta.quantise(uv, xyz)
    assert kept.tolist() == [True, True, False, True, True, False, False, False]  # dropped, not clipped
    assert cells[0].tolist() == [32, 68, 120]  # 10 m / 0.31746 m = 31.5, to even
    assert cells[1, 2] == 239
    assert cells[3].tolist() == [43, 135, 120]  # not 32, as z alone would say
    assert cells[4, 0] == 315
    assert (cells[~kept] == 0).all()


@given(st.floats(0, 1915.9), st.floats(0, 1080), st.floats(200, 100_000))
def test_trap_17_there_and_back_is_half_a_bin(u, v, distance):
    uv = np.array([[u, v]])
    ray = np.array([[(u - 960) / 1158, (v - 540) / 1158, 1]])
    xyz = distance * ray / np.linalg.norm(ray)
    cells, kept = jta.quantise(uv, xyz)
    assert kept.all()
    back = jta.unquantise(cells)
    assert abs(np.linalg.norm(back) - distance) <= jta.BIN / 2 + 1e-6
    assert np.abs(jta.camera().project(back) - uv).max() <= 4 + 1e-6
    again, _ = jta.quantise(jta.camera().project(back), back)
    np.testing.assert_array_equal(again, cells)


def old_axes(table):
    """As the first release had them: x, forward, up."""
    return [[*row[:5], row[5], row[7], -row[6], *row[8:]] for row in table]


def test_trap_18_the_axes_of_older_files_are_told(root):
    plain = list(jta.scenes(root, "test"))
    table = rows(root)
    found = put(root, old_axes(table))
    assert found.old
    assert not jta.annotations(root, "train", 0).old
    for before, after in zip(plain, jta.scenes(root, "test"), strict=True):
        np.testing.assert_allclose(after.xyz, before.xyz, atol=1e-9)
    # neither: y up; another camera; other units of the picture
    for wrong in (
        [[*row[:6], -row[6], *row[7:]] for row in table],
        [[*row[:3], row[3] * 1.05, row[4] * 1.05, *row[5:]] for row in table],
        [[*row[:3], row[3] / 2, row[4] / 2, *row[5:]] for row in table],
    ):
        with pytest.raises(BadInput, match=r"x2D to z3D: found 2D joints .* expected 1158 times"):
            put(root, wrong)


def test_trap_18_the_knob_of_1167_passes(root):
    table = [[*r[:3], 1167 * r[5] / r[7] + 960, 1167 * r[6] / r[7] + 540, *r[5:]] for r in rows(root)]
    assert not put(root, table).old


def test_trap_19_bounds_are_inclusive_and_whole(root):
    table = [row for row in rows(root) if row[:2] == [1, 0]]
    for j, (u, v) in enumerate(
        [(1920, 1080), (1921, 5), (5, 1081), (0, 0), (-1, 5), (1920.9, 5), (-0.9, 5), (5, -1), (5, 1080.5)]
    ):
        table[jta.LOCO14[j]][3:5] = u, v
    found = put(root, rows(root)[200:] + table)
    kept = np.isfinite(found[1].loco()).all(-1)
    position = list(found[1].person).index(0)
    assert kept[position, :9].tolist() == [True, False, False, True, False, True, True, False, True]
    np.testing.assert_allclose(found[1].loco()[position, 0], found[1].xyz[position, 0])


def test_loco_leaves_out_whom_nobody_sees(root):
    train, test = (jta.annotations(root, s, n)[1] for s, n in (("train", 0), ("test", 256)))
    assert train.loco().shape == (4, 14, 3)
    assert test.loco().shape == (3, 14, 3)  # person 10: all its joints are `occluded`
    assert np.isfinite(train.loco()[:, 7]).all(-1).any()  # occluded left wrists count
    all_self = [[*row[:8], 0, 1] if row[1] == 10 else row for row in rows(root)]
    assert put(root, all_self)[1].loco().shape == (4, 14, 3)  # hidden by themselves: kept
    cut = np.isfinite(train.loco()[2]).all(-1)
    assert 0 < cut.sum() < 14  # the one at the right edge
    assert [JTA22.joints[j] for j in jta.LOCO14[:3]] == ["head_top", "neck", "r_shoulder"]
    assert {name: (f[0], f[-1], len(f)) for name, f in jta.LOCO_FRAMES.items()} == {
        "train": (1, 896, 180),
        "val": (123, 123, 1),
        "test": (10, 900, 90),
    }
    assert (256 * 180, 128 * 90) == (46_080, 11_520)


def test_trap_20_frames_count_from_1(root):
    assert jta.image_path(root, "test", 314, 551) == root / "frames/test/seq_314/551.jpg"
    for frame in (0, 901):
        with pytest.raises(BadInput, match=f"frame: found {frame}, expected 1 to 900"):
            jta.image_path(root, "test", 314, frame)
    table = rows(root)
    table[3][0] = 0
    with pytest.raises(
        BadInput, match=r"seq_256.json: frame, row at byte \d+: found 0, expected a whole number, from 1"
    ):
        put(root, table)
    put(root, table[22:])
    assert next(jta.scenes(root, "test")).frame == 1


def test_trap_29_a_pointer_is_no_file(root):
    with pytest.raises(BadInput, match=r"seq_256.json: .*Git LFS pointer"):
        put(root, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2280\n")


def test_a_joint_without_a_row_is_absent(root):
    table = [row for row in rows(root) if row[1:3] not in ([0, 16], [0, 0])]
    put(root, table)
    person = next(jta.scenes(root, "test")).people[0]
    for joint in ("r_hip", "head_top", "pelvis"):  # half a pelvis is none
        assert np.isnan(person.xyz[MPI17.index(joint)]).all()
        assert person.visibility[MPI17.index(joint)] == ABSENT
    assert np.isfinite(person.xyz[MPI17.index("l_hip")]).all()


def test_nobody_there(root):
    assert list(jta.scenes(root, "test", [256], frames=[5])) != []
    found = put(root, [])
    assert found.frames == []
    assert list(jta.scenes(root, "test")) == []


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        (0, 1.5, "frame"),
        (0, True, "frame"),
        (0, "1", "frame"),
        (0, 10**400, "frame"),
        (1, 0.5, "person"),
        (2, 22, r"joint type: found \[22\], expected 0 to 21"),
        (2, -1, "joint type"),
        (2, 3.5, "joint type"),
        (2, 1, "joint 1 of person 0 twice"),
        (3, None, "rows"),
        (5, "x", "rows"),
        (7, 1e300, "at most"),
        (7, 10**400, "rows"),
        (8, 2, "0 or 1"),
        (9, 0.5, "0 or 1"),
    ],
)
def test_a_row_that_is_wrong(root, column, value, named):
    table = rows(root)
    table[0][column] = value
    with pytest.raises(BadInput, match=rf"seq_256.json: .*{named}"):
        put(root, table)[1]


@pytest.mark.parametrize(
    "text",
    [
        "{}x",
        '{"rows": [[1]]}',
        '{"version": 1}',
        "[[1, 2]]",
        "[1, 2]",
        "[[1,0,0,5,5,NaN,0,1,0,0]]",
        "[[1,0,",
        "",
        "[]]",
    ],
)
def test_a_file_that_is_wrong(root, text):
    with pytest.raises(BadInput, match=r"seq_256.json"):
        put(root, text)


def test_a_file_that_changes_underway(root):
    found = put(root, rows(root))
    file(root).write_text(json.dumps(rows(root))[: 22 * 60])
    with pytest.raises(BadInput, match=r"seq_256.json"):
        [found[frame] for frame in found.frames]


@given(st.data())
def test_damaged_files_raise_only_our_errors(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "jta_fuzz"
    writer.fixture(folder)
    path = file(folder, "val", 257)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from(b'0917-.,[]{}"eE \x00\xff'))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with suppress(Mp3dError):
        assert all(len(scene.people) >= 1 for scene in jta.scenes(folder, "val"))


def test_a_world_comes_back(tmp_path):
    videos = worlds.sequences("duet", seed=1, frames=5)
    writer.write((scene for video in videos for scene in video), tmp_path)
    assert jta.sequences(tmp_path, "test") == list(range(256, 296, 2))
    # all but the pelvis, a midpoint here, and the spine
    both = [j for j, name in enumerate(MPI17.joints) if name in JTA22.joints]
    assert len(both) == 15
    for k, video in enumerate(videos):
        back = list(jta.scenes(tmp_path, "test", [256 + 2 * k]))
        assert [s.frame for s in back] == [s.frame + 1 for s in video]
        for found, scene in zip(back, video, strict=True):
            assert [p.identity for p in found.people] == [p.identity for p in scene.people]
            np.testing.assert_allclose(found.xyz[:, both], scene.xyz[:, both], atol=6e-4)  # 6 decimals of a metre
            x, y, z = np.moveaxis(scene.xyz, -1, 0)
            seen = np.stack([1158 * x / z + 960, 1158 * y / z + 540], -1)  # through JTA's camera, in whole pixels
            assert np.abs(found.uv - seen)[:, both].max() <= 0.5 + 1e-9
            np.testing.assert_array_equal(found.visibility[:, both], scene.visibility[:, both])
            # what the writer makes: clavicles half way to the shoulders, a spine from neck to pelvis
            native = found.people[0].native.xyz
            person = scene.people[0].xyz
            np.testing.assert_allclose(native[15], person[14], atol=1e-3)
            np.testing.assert_allclose(
                native[11:16], person[1] + np.arange(1, 6)[:, None] / 5 * (person[14] - person[1]), atol=1e-3
            )
            np.testing.assert_allclose(native[[3, 7]], (person[[2, 5]] + person[1]) / 2, atol=1e-3)


def test_a_world_that_jta_cannot_hold(tmp_path):
    scene = worlds.sequences("duet", seed=1, frames=1)[0][0]
    with pytest.raises(BadInput, match="twice"):
        writer.write([scene, scene], tmp_path)
    with pytest.raises(BadInput, match="split"):
        writer.write([scene], tmp_path, split="demo")
    assert not list(tmp_path.rglob("*.json"))
    writer.write([scene], tmp_path, split="val")
    assert jta.sequences(tmp_path, "val") == [257]
    native = next(jta.scenes(tmp_path, "val")).people[0].native
    again = type(scene)(scene.camera, (native,), sequence="again")
    writer.write([again], tmp_path, split="train")  # people in JTA22 are written as they are
    np.testing.assert_allclose(next(jta.scenes(tmp_path, "train")).people[0].native.xyz, native.xyz, atol=6e-4)


# The real files: predictions


def test_real_predictions_stand_on_the_lattice_with_1158_alone(samples):
    """One joint of each pose is where LoCO found it in its heat maps; the others were moved by its refinement."""
    for i in (1, 2, 3):
        document = json.loads((samples / "jta" / f"{i}_pred.json").read_text())
        xyz = 1000 * np.array(document["poses"])[..., 1:]
        share = {}
        for focal in (1158, 1167, 1157, 1159):
            cells, kept = jta.quantise(jta.camera(focal).project(xyz), xyz)
            near = np.linalg.norm(jta.unquantise(cells, focal) - xyz, axis=-1) < 1e-3
            share[focal] = (near & kept).any(-1).mean()
        assert share[1158] == 1
        assert share[1167] == share[1157] == share[1159] == 0
