"""Raw MuPoTS-3D: the reader on the writer's fixture, its numbers written out here again, and on damaged files."""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from mp3d.data import mupots
from mp3d.data.writers import mupots as writer
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import HIDDEN, VISIBLE
from mp3d.synthetic.worlds import sequences

K1, K10 = (1500.0, 1510.0, 1020.0, 1030.0), (1100.0, 1105.0, 950.0, 545.0)


@pytest.fixture
def root(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


def change(root, edit, name="annot.mat", sequence="TS1"):
    """Rewrite a file of the fixture after `edit` of its cells."""
    path = root / "MultiPersonTestSet" / sequence / name
    variables = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    (key,) = variables
    cells = variables[key].copy()
    savemat(path, {key: edit(cells)})


def cell(f, p, name, value):
    """An edit of one field of one cell; None takes the field away."""

    def edit(cells):
        struct = {key: cells[f, p][key][0, 0] for key in cells[f, p].dtype.names}
        struct[name] = value(struct[name]) if callable(value) else value
        cells[f, p] = {key: value for key, value in struct.items() if value is not None}
        return cells

    return edit


def label(f, p, value):
    def edit(cells):
        cells[f, p] = value
        return cells

    return edit


def test_fixture_is_read(root):
    assert mupots.present(root) == ("TS1", "TS10")
    found = list(mupots.scenes(root, ["TS1", "TS10"]))
    assert [(s.sequence, s.frame, len(s.people)) for s in found] == [
        ("TS1", 0, 2),
        ("TS1", 1, 1),
        ("TS1", 2, 0),
        ("TS1", 3, 2),
        ("TS10", 0, 3),
        ("TS10", 1, 3),
        ("TS10", 2, 3),
    ]
    first = found[0]
    assert first.world == "mupots3d"
    assert first.image is None
    # Person 0 stands on -400, 100, 4000 mm, every joint within 20 mm of its place in the body.
    assert np.abs(first.people[0].xyz - writer.STANDING - [-400, 100, 4000]).max() <= 20
    assert [p.identity for p in first.people] == [0, 1]
    expected = np.full(17, VISIBLE)
    expected[3:5] = HIDDEN
    np.testing.assert_array_equal(first.people[0].visibility, expected)
    for scene in found:
        k = K1 if scene.sequence == "TS1" else K10
        np.testing.assert_allclose(scene.camera.k, k, rtol=0, atol=1e-9)
        for person in scene.people:
            x, y, z = person.xyz.T
            np.testing.assert_allclose(person.uv, np.stack([k[0] * x / z + k[2], k[1] * y / z + k[3]], -1), atol=1e-9)


def test_root_is_the_folder_or_the_one_that_holds_it(root):
    outer, inner = (mupots.annotations(r, "TS1") for r in (root, root / "MultiPersonTestSet"))
    np.testing.assert_array_equal(outer.annot3, inner.annot3)


def test_universal_truth_is_the_other_one(root):
    true = next(mupots.scenes(root, ["TS1"])).xyz
    univ = next(mupots.scenes(root, ["TS1"], truth="univ_annot3")).xyz
    np.testing.assert_allclose(univ, 0.9 * true)
    with pytest.raises(BadInput, match="truth"):
        next(mupots.scenes(root, ["TS1"], truth="annot2"))


def test_scenes_are_lazy(root):
    """TS10 may be damaged as long as nobody asks for it."""
    (root / "MultiPersonTestSet" / "TS10" / "annot.mat").write_bytes(b"MATLAB 5.0")
    found = mupots.scenes(root, ["TS1", "TS10"])
    assert [next(found).frame for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(BadInput, match="TS10"):
        next(found)


def test_image_paths_count_from_zero(root):
    path = mupots.image_path(root, "TS10", next(mupots.scenes(root, ["TS10"])).frame)
    assert path == root / "MultiPersonTestSet" / "TS10" / "img_000000.jpg"


def test_same_seed_same_bytes(root, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    writer.fixture(again)
    files = [p.relative_to(root) for p in root.rglob("*.mat")]
    assert len(files) == 4
    assert all((root / f).read_bytes() == (again / f).read_bytes() for f in files)
    assert sum((root / f).stat().st_size for f in files) < 200_000


# -- Intrinsics


def plain_fit(uv, xyz):
    """Least squares as in the textbook: one design matrix an axis."""
    out = []
    for axis in (0, 1):
        rays = (xyz[..., axis] / xyz[..., 2]).ravel()
        f, c = np.linalg.lstsq(np.stack([rays, np.ones_like(rays)], 1), uv[..., axis].ravel(), rcond=None)[0]
        out.append((f, c))
    (fx, cx), (fy, cy) = out
    return fx, fy, cx, cy


def noisy():
    rng = np.random.default_rng(3)
    xyz = writer.poses(5, 2)
    uv = writer.seen_by(xyz, K1) + rng.normal(size=(5, 2, 17, 2))
    return mupots.Annotations(uv, xyz, 0.9 * xyz, rng.random((5, 2)) < 0.7, np.zeros((5, 2, 17), bool))


def test_intrinsics_against_the_textbook():
    truth = noisy()
    keep = [j for j in range(17) if j not in (8, 11, 15)]
    expected = plain_fit(truth.annot2[truth.valid][:, keep], truth.annot3[truth.valid][:, keep])
    np.testing.assert_allclose(mupots.intrinsics(truth), expected, rtol=1e-9)


def test_trap_10_intrinsics_without_hips_and_spine_from_valid_cells_and_annot3(root):
    truth = mupots.annotations(root, "TS1")
    truth.annot2[:, :, [8, 11, 15]] += 2.1  # as in MPI-INF-3DHP
    truth.annot2[1, 1] += 500  # not valid
    truth.univ_annot3[:] *= np.linspace(0.5, 2, 2)[:, None, None]
    np.testing.assert_allclose(mupots.intrinsics(truth), K1, rtol=0, atol=1e-6)
    truth.annot2[:, :, 4] += 2.1  # any other joint moves it
    assert np.abs(np.subtract(mupots.intrinsics(truth), K1)).max() > 1e-3


def test_trap_11_hidden_joints_are_no_choice_of_joints(root):
    """All joints of valid cells count, not only the hidden ones."""
    truth = mupots.annotations(root, "TS1")
    truth.annot2[~truth.occluded] += [7, 3]
    assert np.abs(np.subtract(mupots.intrinsics(truth), K1)).max() > 1


def test_trap_11_ts10_is_not_ts1(root):
    sizes = {s: mupots.size(s) for s in mupots.SEQUENCES}
    assert [s for s, size in sizes.items() if size == (2048, 2048)] == ["TS1", "TS2", "TS3", "TS4", "TS5"]
    assert sizes["TS10"] == (1920, 1080)
    camera = next(mupots.scenes(root, ["TS10"])).camera
    assert (camera.width, camera.height) == (1920, 1080)
    for wrong in ("TS0", "TS21", "TS01", "ts1", "TS1/", "TS", "1", "TS1 ", "../TS1", "TS１"):
        with pytest.raises(BadInput, match="TS1 to TS20"):
            mupots.annotations(root, wrong)


def test_trap_12_warns_above_a_pixel():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mupots.compare_intrinsics(K1, (1500.5, 1509.0, 1020.0, 1030.0), "TS1") == 1
    with pytest.warns(UserWarning, match=r"TS1: .*1\.25 px"):
        assert mupots.compare_intrinsics(K1, (1500.0, 1510.0, 1020.0, 1031.25), "TS1") == 1.25


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.valid.fill(False), "no valid cell"),
        (lambda t: t.annot3[0, 1, 5, 2:].fill(-3.0), r"annotations\[0,1\].annot3: found depth -3 mm"),
        (lambda t: t.annot3[0, 0, 0, 2:].fill(0.0), r"annotations\[0,0\].annot3"),
        (lambda t: t.annot3.__setitem__(..., [1.0, 2, 3]), "line of sight"),
        (lambda t: np.negative(t.annot2, out=t.annot2), "focal"),
        (lambda t: t.annot2.fill(np.inf), "focal"),
    ],
)
def test_intrinsics_refuse(edit, message):
    truth = noisy()
    truth.valid[0] = True
    edit(truth)
    with pytest.raises(BadInput, match=message):
        mupots.intrinsics(truth)


# -- Validity and occlusion


def test_trap_13_cells_that_are_not_valid_are_dropped(root):
    truth = mupots.annotations(root, "TS1")
    np.testing.assert_array_equal(truth.valid, [[1, 1], [1, 0], [0, 0], [1, 1]])
    change(root, cell(0, 0, "isValidFrame", np.array([[0]], np.uint8)))
    first = next(mupots.scenes(root, ["TS1"]))
    assert [p.identity for p in first.people] == [1]  # who stays keeps the column


@pytest.mark.parametrize("nothing", [np.full((2, 17), np.nan), np.zeros((0, 0)), "none"])
def test_cells_that_are_not_valid_may_hold_anything(root, nothing):
    change(root, cell(1, 1, "annot2", nothing))
    assert np.isnan(mupots.annotations(root, "TS1").annot2[1, 1]).all()
    change(root, cell(0, 1, "annot2", nothing))
    with pytest.raises(BadInput, match=r"annotations\[0,1\]\.annot2"):
        mupots.annotations(root, "TS1")


@pytest.mark.parametrize("flag", [True, 1, np.uint8(1), 1.0])
def test_valid_of_any_numeric_type(root, flag):
    change(root, cell(0, 0, "isValidFrame", np.array([[flag]])))
    assert mupots.annotations(root, "TS1").valid[0, 0]


def test_trap_15_one_is_hidden(root):
    truth = mupots.annotations(root, "TS1")
    assert truth.occluded[0, 0].nonzero()[0].tolist() == [3, 4]
    assert truth.occluded.sum() == 2


def test_trap_29_pointer_files(root):
    path = root / "MultiPersonTestSet" / "TS1" / "annot.mat"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(BadInput, match="LFS"):
        mupots.annotations(root, "TS1")


# -- What is malformed


@pytest.mark.parametrize(
    ("name", "edit", "field"),
    [
        ("annot.mat", cell(3, 1, "annot3", None), r"annotations\[3,1\]\.annot3: found nothing"),
        ("annot.mat", cell(3, 1, "isValidFrame", None), r"annotations\[3,1\]\.isValidFrame: found nothing"),
        ("annot.mat", cell(3, 1, "annot3", lambda a: a.T), r"annotations\[3,1\]\.annot3: found shape \(17, 3\)"),
        ("annot.mat", cell(3, 1, "annot3", lambda a: a[:, :16]), r"annotations\[3,1\]\.annot3"),
        ("annot.mat", cell(3, 1, "univ_annot3", lambda a: a * np.nan), r"annotations\[3,1\]\.univ_annot3: found NaN"),
        ("annot.mat", cell(3, 1, "annot2", lambda a: a + 1j), r"annotations\[3,1\]\.annot2"),
        ("annot.mat", cell(3, 1, "annot2", "text"), r"annotations\[3,1\]\.annot2"),
        ("annot.mat", cell(0, 0, "isValidFrame", "1"), r"annotations\[0,0\]\.isValidFrame"),
        ("annot.mat", cell(0, 0, "isValidFrame", np.zeros((0, 0))), r"annotations\[0,0\]\.isValidFrame"),
        ("annot.mat", cell(0, 0, "isValidFrame", np.array([[2]])), r"isValidFrame: found 2"),
        ("annot.mat", cell(0, 0, "isValidFrame", np.array([[np.nan]])), r"annotations\[0,0\]\.isValidFrame"),
        ("annot.mat", label(2, 0, np.zeros((3, 3))), r"annotations\[2,0\]"),
        ("annot.mat", lambda cells: np.zeros((4, 2)), "annotations: found"),
        ("annot.mat", lambda cells: cells[:0], "annotations"),
        ("annot.mat", lambda cells: cells[:3], r"occlusion_labels: found \(4, 2\) cells"),
        ("occlusion.mat", lambda cells: cells[:, :1], r"occlusion_labels: found \(4, 1\) cells"),
        ("occlusion.mat", label(0, 1, np.zeros((1, 16))), r"occlusion_labels\[0,1\]: found shape \(1, 16\)"),
        ("occlusion.mat", label(0, 1, np.full((1, 17), np.nan)), r"occlusion_labels\[0,1\]"),
        ("occlusion.mat", label(0, 1, np.full((1, 17), 2.0)), "occlusion_labels: found 2"),
    ],
)
def test_malformed_cells(root, name, edit, field):
    change(root, edit, name)
    with pytest.raises(BadInput, match=r"TS1/(annot|occlusion)\.mat: .*" + field):
        mupots.annotations(root, "TS1")


def test_a_variable_of_another_name(root):
    path = root / "MultiPersonTestSet" / "TS1" / "annot.mat"
    savemat(path, {"labels": np.zeros((2, 2))})
    with pytest.raises(BadInput, match=r"TS1/annot\.mat: annotations: found nothing"):
        mupots.annotations(root, "TS1")


def test_what_is_not_there(root, tmp_path_factory):
    with pytest.raises(MissingData, match="TS2"):
        mupots.annotations(root, "TS2")
    (root / "MultiPersonTestSet" / "TS1" / "occlusion.mat").unlink()
    with pytest.raises(MissingData, match=r"TS1/occlusion\.mat"):
        mupots.annotations(root, "TS1")
    with pytest.raises(MissingData, match="TS1 to TS20"):
        mupots.present(tmp_path_factory.mktemp("empty"))


def test_truncated_files(root):
    path = root / "MultiPersonTestSet" / "TS1" / "annot.mat"
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(Mp3dError):
            mupots.annotations(root, "TS1")


# -- A synthetic world in this format


@pytest.fixture(scope="module")
def duet():
    return sequences("duet", seed=0, frames=5)


def test_world_there_and_back(duet, tmp_path):
    writer.write((scene for video in duet for scene in video), tmp_path)
    back = mupots.scenes(tmp_path)
    count = 0
    for scene in (scene for video in duet for scene in video):
        found, count = next(back), count + 1
        assert (found.sequence, found.frame) == ("TS" + scene.sequence[1:], scene.frame)
        np.testing.assert_array_equal(found.xyz, scene.xyz)
        np.testing.assert_array_equal(found.uv, scene.uv)
        np.testing.assert_array_equal(found.visibility == HIDDEN, scene.visibility <= HIDDEN)  # absent is not seen
        np.testing.assert_allclose(found.camera.k, scene.camera.k, rtol=0, atol=1e-6)
        assert [p.identity for p in found.people] == [p.identity for p in scene.people]
    assert count == 100
    assert next(back, None) is None


def test_write_refuses_what_the_format_cannot_hold(duet, tmp_path):
    video = duet[0]
    for scenes in (video[1:], [*video, *duet[1], *video], video[::-1]):
        with pytest.raises(BadInput, match="frames"):
            writer.write(scenes, tmp_path)
    with pytest.raises(BadInput, match="sequence"):
        writer.video_number("D21")


def test_one_video_in_memory_at_a_time(tmp_path):
    """Four videos need no more memory than one; 60 frames of 3 people, about 0.4 MB of numbers each."""
    xyz = writer.poses(60, 3)
    uv, valid = writer.seen_by(xyz, K10), np.ones((60, 3), bool)
    for n in range(6, 10):
        writer._video(tmp_path / f"TS{n}", uv, xyz, xyz, valid, np.zeros((60, 3, 17), bool))

    def peak(names):
        tracemalloc.start()
        for _ in mupots.scenes(tmp_path, names):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    one = peak(["TS6"])
    assert peak([f"TS{n}" for n in range(6, 10)]) < 1.5 * one
