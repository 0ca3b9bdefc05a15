"""MPI-INF-3DHP: the reader on the writer's fixture, and on damaged files."""

import builtins

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from mp3d.data import mpi_inf_3dhp
from mp3d.data.writers import mpi_inf_3dhp as writer
from mp3d.data.writers.mupots import STANDING
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.skeletons import MPI17, MPI28

h5py = pytest.importorskip("h5py")


@pytest.fixture
def root(tmp_path):
    writer.fixture(tmp_path)
    return tmp_path


@pytest.fixture
def train(root):
    return root / "S1" / "Seq1"


def read(root, **more):
    return list(mpi_inf_3dhp.scenes(root, [1], [1], **more))


def change_mat(path, edit):
    variables = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    edit(variables)
    savemat(path, variables)


def change_hdf5(path, name, values):
    with h5py.File(path, "r+") as file:
        del file[name]
        if values is not None:
            file[name] = values


def test_fixture_is_small_and_the_same_again(root, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    writer.fixture(again)
    files = [p.relative_to(root) for p in root.rglob("*") if p.is_file()]
    assert sorted(map(str, files)) == [
        "S1/Seq1/annot.mat",
        "S1/Seq1/camera.calibration",
        "TS1/annot_data.mat",
        "TS6/annot_data.mat",
    ]
    assert all((root / f).read_bytes() == (again / f).read_bytes() for f in files)
    assert sum((root / f).stat().st_size for f in files) < 200_000


# -- Training


def test_training(root):
    found = read(root)
    assert len(found) == 8 * 2
    assert [s.sequence for s in found[::2]] == [f"S1/Seq1/video_{c}" for c in (0, 1, 2, 4, 5, 6, 7, 8)]
    assert [s.frame for s in found[:2]] == [0, 1]
    for scene in found:
        c = int(scene.sequence.rpartition("_")[2])
        (person,) = scene.people
        np.testing.assert_array_equal(scene.camera.k, [1500 + c, 1490 + c, 1024 + c, 1050])
        assert (scene.camera.width, scene.camera.height) == (2048, 2048)
        native = person.native
        assert native.skeleton == MPI28
        x, y, z = native.xyz.T
        uv = np.stack([(1500 + c) * x / z + 1024 + c, (1490 + c) * y / z + 1050], -1)
        np.testing.assert_allclose(native.uv, uv, atol=1e-9)
        assert (person.source == 1).all()
        # The same body for every camera, one frame 10 mm to the right.
        root_at = [-400 + 10 * scene.frame - 100 * c, 690, 4000]
        assert np.abs(person.xyz - STANDING - root_at).max() <= 20


def test_world_has_y_up_and_is_the_same_for_all_cameras(root):
    found = read(root)
    first = found[0].camera.to_world(found[0].xyz[0])
    for scene in found[::2]:
        np.testing.assert_allclose(scene.camera.to_world(scene.xyz[0]), first, atol=1e-9)
        # The camera stands 1.54 m above the floor, on which the ankles are.
        assert scene.camera.to_world(np.zeros(3))[1] == 1540
    assert abs(first[[10, 13], 1]).max() <= 20
    assert first[0, 1] > 1500


def test_universal_truth(root):
    true, univ = read(root, cameras=[3]), read(root, cameras=[3], truth="univ_annot3")
    np.testing.assert_allclose(univ[0].xyz, 0.9 * true[0].xyz)
    for scenes in (mpi_inf_3dhp.scenes, mpi_inf_3dhp.test_scenes):
        with pytest.raises(BadInput, match="truth"):
            next(scenes(root, truth="annot2"))


@pytest.mark.parametrize(("name", "value"), [("subjects", [9]), ("sequences", [0]), ("cameras", [14])])
def test_what_the_set_has_not(root, name, value):
    with pytest.raises(BadInput, match=name):
        next(mpi_inf_3dhp.scenes(root, **{name: value}))


def test_what_is_not_there(root, train):
    with pytest.raises(MissingData, match="S2"):
        next(mpi_inf_3dhp.scenes(root, [2]))
    (train / "annot.mat").unlink()
    with pytest.raises(MissingData, match=r"annot\.mat"):
        read(root)
    with pytest.raises(MissingData, match="TS2"):
        next(mpi_inf_3dhp.test_scenes(root, ["TS2"]))


def edit_cell(name, camera, value):
    def edit(variables):
        cells = variables[name]
        cells[camera, 0] = value(cells[camera, 0])

    return edit


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda v: v.pop("annot2"), "annot2: found nothing"),
        (lambda v: v.update(annot3=np.zeros((14, 84))), "annot3: found float64"),
        (lambda v: v.update(annot3=v["annot3"][:13]), "annot3: found object of 13"),
        (edit_cell("annot3", 2, lambda a: a[:, :83]), r"annot3\[2\]: found shape \(2, 83\)"),
        (edit_cell("annot3", 2, lambda a: a[:1]), r"annot2\[2\]: found 2 frames"),
        (edit_cell("annot2", 2, lambda a: a * np.nan), r"annot2\[2\]: found NaN"),
        (edit_cell("annot2", 2, lambda a: "text"), r"annot2\[2\]"),
    ],
)
def test_malformed_training(root, train, edit, field):
    change_mat(train / "annot.mat", edit)
    with pytest.raises(BadInput, match=r"S1/Seq1/annot\.mat: " + field):
        read(root)


# -- Calibration


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Skeletool", "Other"),
        ("  animated    0\n", ""),
        ("  sensor ", "  censor "),
        ("name          1\n", "name          0\n"),
        ("name          1\n", "name          one\n"),
        ("name          1\n", "name          nan\n"),
        ("name          1\n", "name          1.5\n"),
        ("intrinsic   1500 0 1024", "intrinsic   1500 1 1024"),
        ("intrinsic   1500 0 1024", "intrinsic   1500 0"),
        ("intrinsic   1500 0 1024", "intrinsic   -1500 0 1024"),
        ("intrinsic   1500 0 1024", "intrinsic   inf 0 1024"),
        ("extrinsic   1 0 0", "extrinsic   -1 0 0"),
        ("extrinsic   1 0 0", "extrinsic   2 0 0"),
        ("radial      0", "radial      0.1"),
        ("size        2048 2048", "size        2048 0"),
    ],
)
def test_malformed_calibration(train, old, new):
    path = train / "camera.calibration"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BadInput, match=r"camera\.calibration"):
        mpi_inf_3dhp.calibration(path)


def test_calibration_of_other_files(train):
    path = train / "camera.calibration"
    for content in (b"\xff\xfe", b"Skeletool Camera Calibration File V1.0\n", b"\n\n", b"{}"):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="contents"):
            mpi_inf_3dhp.calibration(path)


def test_a_camera_that_is_not_calibrated(root, train):
    path = train / "camera.calibration"
    path.write_text("\n".join(path.read_text().splitlines()[:15]))  # cameras 0 and 1
    assert len(read(root, cameras=[1])) == 2
    with pytest.raises(BadInput, match="no camera 2"):
        read(root)


# -- Test


def test_trap_13_only_valid_frames(root):
    found = list(mpi_inf_3dhp.test_scenes(root, ["TS1"]))
    assert [(s.frame, s.kind) for s in found] == [(f, f"activity_{f}") for f in (1, 4, 5, 6)]
    for scene in found:
        (person,) = scene.people
        assert person.skeleton == MPI17
        assert np.abs(person.xyz - STANDING - [-400 + 10 * (scene.frame - 1), 100, 4000]).max() <= 20


def test_trap_20_images_count_from_one(root):
    first = next(mpi_inf_3dhp.test_scenes(root, ["TS1"]))
    assert mpi_inf_3dhp.image_path(root, "TS1", first.frame) == root / "TS1" / "imageSequence" / "img_000001.jpg"


def test_cameras_of_the_test_videos(root):
    for name, k, size in (
        ("TS1", (1500, 1501, 1017, 1043), (2048, 2048)),
        ("TS6", (1683, 1671, 950, 556), (1920, 1080)),
    ):
        camera = next(mpi_inf_3dhp.test_scenes(root, [name])).camera
        np.testing.assert_allclose(camera.k, k, atol=1e-6)
        assert (camera.width, camera.height) == size


def test_trap_10_camera_in_spite_of_hips_and_spine(root):
    path = root / "TS1" / "annot_data.mat"
    with h5py.File(path, "r") as file:
        uv = file["annot2"][()]
    uv[:, :, [8, 11, 15]] += 2.1
    uv[1] += 300  # not valid
    change_hdf5(path, "annot2", uv)
    np.testing.assert_allclose(
        next(mpi_inf_3dhp.test_scenes(root, ["TS1"])).camera.k, (1500, 1501, 1017, 1043), atol=1e-6
    )


def test_trap_11_names_are_read_whole(root):
    for name in ("TS7", "TS10", "TS", "ts1", "../TS1"):
        with pytest.raises(BadInput, match="TS1 to TS6"):
            next(mpi_inf_3dhp.test_scenes(root, [name]))


def test_trap_27_the_format_shows_in_the_first_bytes(root, train):
    """Version 5 in a test file's place is read; 7.3 in a training file's is refused and named, whatever the ending."""
    path = root / "TS1" / "annot_data.mat"
    before = list(mpi_inf_3dhp.test_scenes(root, ["TS1"]))
    with h5py.File(path, "r") as file:
        variables = {name: file[name][()].T for name in file}
    whole = path.read_bytes()
    savemat(path, variables)
    after = list(mpi_inf_3dhp.test_scenes(root, ["TS1"]))
    assert len(after) == len(before) == 4
    for a, b in zip(after, before, strict=True):
        assert (a.frame, a.kind) == (b.frame, b.kind)
        np.testing.assert_array_equal(a.xyz, b.xyz)
        np.testing.assert_array_equal(a.uv, b.uv)
    (train / "annot.mat").write_bytes(whole)
    with pytest.raises(BadInput, match=r"7\.3"):
        read(root)


def test_without_h5py(root, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **more):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingData, match=r"mp3d\[hdf5\]"):
        next(mpi_inf_3dhp.test_scenes(root, ["TS1"]))


@pytest.mark.parametrize("name", ["annot2", "annot3", "univ_annot3", "valid_frame", "activity_annotation"])
@pytest.mark.parametrize("values", [None, np.zeros((6, 2)), np.zeros(3), np.full((6, 1, 17, 3), b"x")])
def test_malformed_test_variables(root, name, values):
    change_hdf5(root / "TS1" / "annot_data.mat", name, values)
    with pytest.raises(BadInput, match=r"TS1/annot_data\.mat: \w"):
        next(mpi_inf_3dhp.test_scenes(root, ["TS1"]))


def test_nan_in_a_valid_frame(root):
    path = root / "TS1" / "annot_data.mat"
    with h5py.File(path, "r") as file:
        pose = file["univ_annot3"][()]
    pose[1] = np.nan  # not valid
    change_hdf5(path, "univ_annot3", pose)
    assert len(list(mpi_inf_3dhp.test_scenes(root, ["TS1"]))) == 4
    pose[4, 0, 3, 2] = np.nan
    change_hdf5(path, "univ_annot3", pose)
    with pytest.raises(BadInput, match=r"univ_annot3\[4\]: found NaN"):
        next(mpi_inf_3dhp.test_scenes(root, ["TS1"]))


@pytest.mark.parametrize("values", [np.full((6, 1), 2.0), np.full((6, 1), np.nan), np.full((6, 1), 0.5)])
def test_valid_frame_is_zero_or_one(root, values):
    change_hdf5(root / "TS1" / "annot_data.mat", "valid_frame", values)
    with pytest.raises(BadInput, match="valid_frame"):
        next(mpi_inf_3dhp.test_scenes(root, ["TS1"]))


def test_an_hdf5_file_of_10_kb_is_no_gigabyte(root):
    path = root / "TS1" / "annot_data.mat"
    change_hdf5(path, "annot2", None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("annot2", (1_000_000, 1, 17, 2), "f8", chunks=(64, 1, 17, 2))
    with pytest.raises(BadInput, match="annot2: found float64, shape"):
        list(mpi_inf_3dhp.test_scenes(root, ["TS1"]))


@pytest.mark.parametrize("link", ["external", "soft", "virtual", "huge", "stored elsewhere"])
def test_hdf5_that_leads_out_of_the_file(root, tmp_path_factory, link):
    path, other = root / "TS1" / "annot_data.mat", tmp_path_factory.mktemp("other") / "secret.h5"
    with h5py.File(other, "w") as file:
        file["annot2"] = np.ones((6, 1, 17, 2))
    change_hdf5(path, "annot2", None)
    shape = (6, 1, 17, 2)
    with h5py.File(path, "r+") as file:
        if link == "external":
            file["annot2"] = h5py.ExternalLink(str(other), "/annot2")
        elif link == "soft":
            file["annot2"] = h5py.SoftLink("/annot3")
        elif link == "virtual":
            layout = h5py.VirtualLayout(shape, float)
            layout[:] = h5py.VirtualSource(str(other), "annot2", shape, float)
            file.create_virtual_dataset("annot2", layout)
        elif link == "huge":
            file.create_dataset("annot2", (10**9, 1, 17, 2), float, chunks=(1000, 1, 17, 2), compression="gzip")
        else:
            file.create_dataset("annot2", shape, float, external=[(str(other), 0, 8 * 6 * 34)])
    with pytest.raises(BadInput, match="annot2"):
        next(mpi_inf_3dhp.test_scenes(root, ["TS1"]))


def test_truncated(root, train):
    for path, scenes in (
        (root / "TS1" / "annot_data.mat", lambda: list(mpi_inf_3dhp.test_scenes(root, ["TS1"]))),
        (train / "annot.mat", lambda: read(root)),
        (train / "camera.calibration", lambda: read(root)),
    ):
        whole = path.read_bytes()
        for size in range(0, len(whole) - 60, max(1, len(whole) // 40)):
            path.write_bytes(whole[:size])
            with pytest.raises(Mp3dError):
                scenes()
        path.write_bytes(whole)
    assert len(read(root)) == 16


def test_trap_29_pointer_files(root):
    path = root / "TS1" / "annot_data.mat"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(BadInput, match="LFS"):
        next(mpi_inf_3dhp.test_scenes(root, ["TS1"]))


def test_test_set_in_its_own_folder(root):
    inner = root / "mpi_inf_3dhp_test_set"
    inner.mkdir()
    (root / "TS6").rename(inner / "TS6")
    assert next(mpi_inf_3dhp.test_scenes(root, ["TS6"])).sequence == "TS6"
