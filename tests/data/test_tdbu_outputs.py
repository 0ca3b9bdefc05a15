"""Files in the exact format, written here with closed-form numbers; the real ones where they are."""

import codecs
import csv
import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from mp3d.camera import project
from mp3d.data import tdbu_outputs
from mp3d.data.pickles import load_pickle
from mp3d.data.tdbu_outputs import read
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.scene import HIDDEN, VISIBLE

F, P = 7, 2  # frames and people of the fixture, which is TS6
FOCAL, CENTRE = 1180.0, np.array([960.0, 540.0])
SCALE = np.array([1.25, 0.75])
H36M_TO_MPI = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]  # specs/tdbu.md, section 1


def numbers():
    """Poses in mm; 2D joints as seen along the ray through the pelvis, at a depth of 3000 mm."""
    rng = np.random.default_rng(1)
    pose = rng.normal(size=(F, P, 17, 3)) * 300
    pose -= pose[:, :, 14:15]
    root_uv = CENTRE + np.array([[0.0, 0.0], [400.0, -100.0]])  # person 0 stands on the optical axis
    uv = root_uv[:, None] + FOCAL * SCALE[:, None, None] * pose[..., :2] / 3000
    return pose, uv


def old_numpy(thing) -> bytes:
    """As the release was written: protocol 2 or 3 and the module names of numpy 1."""
    return pickle.dumps(thing, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


@pytest.fixture
def release(tmp_path):
    """A folder with TS6 in it, and the list of its files' hashes."""
    pose, uv = numbers()
    metres = np.swapaxes(pose / 1000 + 0.05, -1, -2).astype(np.float32)  # the pelvis is not at zero
    files = {f"{folder}/6.pkl": metres for folder in ("pred", "pred_inte")}
    files["pred_bu/6.pkl"] = [list(frame) for frame in metres]
    for p in range(P):
        half = np.empty((F, 17, 2), np.float32)
        half[:, H36M_TO_MPI] = uv[:, p] / 2
        share = np.arange(17, dtype=np.float32) / 136
        seen = np.ones((F, 1, 1), np.float32)
        seen[2] = p
        rows = np.broadcast_to(share, (F, 17, 17)).copy()
        files[f"est_p2ds/05_0{p}.pkl"] = [half, rows, np.ones((F, 16, 16), np.float32), seen]
        for i, folder in enumerate(("depths", "pred_dep", "pred_dep_bu", "pred_dep_inte")):
            files[f"{folder}/05_0{p}.pkl"] = np.full(F, 3000 + 100 * i, np.float32)
    for name, thing in files.items():
        put(tmp_path, name, old_numpy(thing) if "bu" in name else pickle.dumps(thing, protocol=3))
    return tmp_path


def put(folder, name, data: bytes):
    """Write a file and bring the list up to date."""
    path = folder / "mupots" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with (folder / "hashes.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "sha256", "bytes"])
        for file in sorted((folder / "mupots").rglob("*.pkl")):
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            writer.writerow([file.relative_to(folder).as_posix(), digest, len(content)])


def ts6(folder, source=None):
    return read(folder if source is None else source, [6], folder / "hashes.csv")[0]


def archive(folder, members=()):
    """The folder as an archive, with hostile members first."""
    path = folder / "archive" / tdbu_outputs.ARCHIVE
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:xz") as tar:
        for member in members:
            tar.addfile(member)
        tar.add(folder / "mupots", "mupots")
    return path


def test_units_order_and_frame(release):
    pose, uv = numbers()
    video = ts6(release)
    assert (video.name, video.camera.width, video.camera.height) == ("TS6", 1920, 1080)
    np.testing.assert_allclose(video.uv, uv, atol=1e-3)
    np.testing.assert_allclose(video.confidence[0, 0], np.array(H36M_TO_MPI) / 136, atol=1e-6)
    for name in ("td", "bu", "integrated"):
        np.testing.assert_allclose(video.poses[name], pose, atol=1e-3)
    assert [video.depths[d][3, 1] for d in ("true", "td", "bu", "integrated")] == [
        3000,
        3100,
        3200,
        3300,
    ]
    assert not video.seen[2, 0]
    assert video.seen.sum() == F * P - 1
    assert video.agrees().all()


def test_absolute_poses(release):
    pose, uv = numbers()
    video = ts6(release)
    xyz = video.xyz()
    # on the axis nothing is turned; off it, lengths stay and the pelvis projects to its 2D joint
    np.testing.assert_allclose(xyz[:, 0], [0, 0, 3000] + SCALE[0] * pose[:, 0], atol=0.02)
    relative = xyz - xyz[:, :, 14:15]
    lengths = np.linalg.norm(relative, axis=-1)
    expected = SCALE[:, None] * np.linalg.norm(pose, axis=-1)
    np.testing.assert_allclose(lengths, expected, atol=0.02)
    k = np.array([FOCAL, FOCAL, *CENTRE])
    np.testing.assert_allclose(project(xyz[:, :, 14], k), uv[:, :, 14], atol=1e-3)
    ray = xyz[:, 1, 14] / np.linalg.norm(xyz[:, 1, 14], axis=-1, keepdims=True)
    depth_along_ray = (relative[:, 1] * ray[:, None]).sum(-1)
    np.testing.assert_allclose(depth_along_ray, SCALE[1] * pose[:, 1, :, 2], atol=0.02)
    assert np.allclose(tdbu_outputs.reprojection_error(video, xyz)[:, :, 14], 0, atol=1e-3)
    np.testing.assert_allclose(video.xyz(depth="td")[:, :, 14, 2], 3100, rtol=1e-6)


def test_a_pose_that_points_the_other_way_is_told_and_left_out_of_the_scale(release):
    pose, _ = numbers()
    pose[4] *= [-1, -1, 1]
    put(release, "pred_inte/6.pkl", old_numpy(np.swapaxes(pose / 1000, -1, -2).astype(np.float32)))
    video = ts6(release)
    assert video.agrees().all(1).tolist() == [True] * 4 + [False] + [True] * 2
    np.testing.assert_allclose(video.xyz()[0, 0], [0, 0, 3000] + SCALE[0] * pose[0, 0], atol=0.02)


def test_scenes(release):
    video = ts6(release)
    scenes = video.scenes(every=2)
    assert [scene.frame for scene in scenes] == [0, 2, 4, 6]
    assert {(scene.sequence, scene.world) for scene in scenes} == {("TS6", "tdbu_mupots")}
    assert [person.identity for person in scenes[1].people] == [0, 1]
    np.testing.assert_array_equal(scenes[1].xyz, video.xyz()[2])
    np.testing.assert_array_equal(scenes[1].uv, video.uv[2])
    np.testing.assert_array_equal(scenes[1].visibility[:, 0], [HIDDEN, VISIBLE])
    sure = video.scenes(sure=True)
    assert [[person.identity for person in scene.people] for scene in sure[1:4]] == [[0, 1], [1], [0, 1]]


def test_archive_and_folders_are_the_same(release):
    path = archive(release)
    for source in (path, path.parent, release / "mupots"):
        np.testing.assert_array_equal(ts6(release, source).uv, ts6(release).uv)


def test_missing_and_changed_files_are_named(release):
    (release / "mupots/pred_dep/05_01.pkl").unlink()
    with pytest.raises(MissingData, match=r"mupots/pred_dep/05_01.pkl is missing; data_manifest"):
        ts6(release)
    target = release / "mupots/depths/05_00.pkl"
    content = target.read_bytes()
    target.write_bytes(content[:-1])
    with pytest.raises(BadInput, match=rf"mupots/depths/05_00.pkl: size: found {len(content) - 1} "):
        ts6(release)


def test_sha256_names_found_and_expected(release):
    target = release / "mupots/pred/6.pkl"
    content = bytearray(target.read_bytes())
    expected = hashlib.sha256(content).hexdigest()
    content[-20] ^= 1
    target.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(BadInput, match=f"pred/6.pkl: sha256: found {found}, expected {expected}"):
        ts6(release)


def test_nothing_there(tmp_path):
    with pytest.raises(MissingData, match=r"no tdbu_mupots.tar.xz and no folder mupots/"):
        read(tmp_path)
    with pytest.raises(BadInput, match=r"videos: found 21"):
        read(tmp_path, [21])


def test_truncated_pickle_and_archive(release):
    content = (release / "mupots/pred/6.pkl").read_bytes()
    put(release, "pred/6.pkl", content[: len(content) // 2])
    with pytest.raises(BadInput, match=r"pred/6.pkl: pickle"):
        ts6(release)
    path = archive(release)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(Mp3dError, match="archive"):  # cut before the first member it may seem empty
        ts6(release, path)


def test_tracks_of_one_length(release):
    put(release, "est_p2ds/05_01.pkl", old_numpy([np.ones((F - 1, 17, 2), np.float32)]))
    with pytest.raises(BadInput, match=r"05_01.pkl: item 0: found shape \(6, 17, 2\), expected shape \(7, 17, 2\)"):
        ts6(release)


def test_a_message_stays_short(release):
    put(release, "depths/05_01.pkl", old_numpy(["A" * 5000]))
    with pytest.raises(BadInput, match=r"depths/05_01\.pkl: contents") as error:
        ts6(release)
    assert len(str(error.value)) < 300


class Hostile:
    """Unpickled by the standard library, this would run a command."""

    def __init__(self, call, *args):
        self.call = call, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("thing", "named"),
    [
        (Hostile(os.system, "touch {}"), r"(posix|nt)\.system"),
        (Hostile(eval, "1"), r"builtins\.eval"),
        (Hostile(codecs.lookup, "utf-8"), r"codecs\.lookup"),
        (Hostile(np.load, "{}"), r"numpy.*load"),
    ],
)
def test_hostile_pickle(release, thing, named):
    mark = release / "mark"
    thing.call = thing.call[0], tuple(a.format(mark) for a in thing.call[1])
    put(release, "pred/6.pkl", pickle.dumps([thing], protocol=3))
    with pytest.raises(BadInput, match=rf"pred/6.pkl: pickle: found a call of .*{named}"):
        ts6(release)
    assert not mark.exists()


def test_unpickler_reads_what_numpy_writes():
    for array in (np.arange(4.0), np.float32(2.5), [np.ones((2, 3), np.float32)] * 2):
        for data in (pickle.dumps(array, protocol=4), old_numpy(array)):
            np.testing.assert_array_equal(load_pickle(data, "here"), array)


def test_wrong_shape_and_nan(release):
    put(release, "pred_dep/05_01.pkl", old_numpy(np.ones(F - 1, np.float32)))
    with pytest.raises(BadInput, match=r"pred_dep/05_01.pkl: contents: found shape \(6,\), expected"):
        ts6(release)
    put(release, "pred_dep/05_01.pkl", old_numpy(np.full(F, np.nan, np.float32)))
    with pytest.raises(BadInput, match=r"pred_dep/05_01.pkl: contents: found NaN"):
        ts6(release)
    put(release, "pred_dep/05_01.pkl", old_numpy("text"))
    with pytest.raises(BadInput, match=r"pred_dep/05_01.pkl: contents"):
        ts6(release)


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        member("/etc/mark"),
        member("mupots/../../mark"),
        member("mupots\\..\\mark"),
        member("mupots/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("mupots/hard", tarfile.LNKTYPE, "mupots/pred/6.pkl"),
        member("mupots/device", tarfile.CHRTYPE),
        member("mupots/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: info.name,
)
def test_hostile_archive(release, hostile):
    with pytest.raises(BadInput, match="member: found"):
        ts6(release, archive(release, [hostile]))


def test_a_member_too_large_is_not_read(release, monkeypatch):
    path = release / "archive.tar"
    info = member("mupots/pred/6.pkl")
    info.size = 1 << 40
    path.write_bytes(info.tobuf() + bytes(1024))
    monkeypatch.setattr(tarfile.TarFile, "extractfile", lambda *_: pytest.fail("read"))
    with pytest.raises(BadInput, match=rf"pred/6.pkl: size: found {1 << 40} bytes"):
        ts6(release, path)


def test_a_member_that_nobody_wants_is_no_endless_one(release):
    path = release / "archive.tar"
    info = member("mupots/else.pkl")
    info.size = 1 << 62
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(BadInput, match="at most 67108864 bytes"):
        ts6(release, path)


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08", b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff", b"BZh9", b"\xfd7zXZ\0"])
def test_an_archive_of_which_hardly_anything_is_there(release, data):
    (release / "archive.tar").write_bytes(data)
    with pytest.raises(BadInput, match="archive: found"):
        ts6(release, release / "archive.tar")


def test_jitter_of_a_fall_is_its_acceleration():
    time = np.arange(6.0)
    fall = np.stack([3 * time, 5 * time**2, 0 * time], -1)
    assert tdbu_outputs.jitter(fall[:, None]) == pytest.approx(10)


def test_packaged_list_is_that_of_all_files():
    rows = list(csv.DictReader(io.StringIO(tdbu_outputs.HASHES.read_text())))
    names = [name for video in range(1, 21) for name in tdbu_outputs._names(video)]
    assert len(rows) == 305
    assert sorted(row["path"] for row in rows) == sorted(names)
    assert all(len(row["sha256"]) == 64 and int(row["bytes"]) > 0 for row in rows)


# The facts in the module's docstring, on the real files


@pytest.fixture(scope="module")
def videos(samples):
    return read(samples)


def test_real_size(videos):
    frames = "201 251 401 301 261 541 431 551 501 251 701 251 341 626 801 501 401 126 431 501"
    assert [len(video.uv) for video in videos] == [int(f) for f in frames.split()]
    assert sum(video.seen.size for video in videos) == 20_899


def test_real_poses_are_in_the_order_of_mpi17_and_stand_upright(videos):
    video = videos[8]
    pose = video.poses["integrated"][..., :2].reshape(-1, 17, 2)
    uv = (video.uv - video.uv[:, :, 14:15]).reshape(-1, 17, 2)
    uv = uv / np.linalg.norm(uv, axis=(1, 2), keepdims=True)
    pose = pose / np.linalg.norm(pose, axis=(1, 2), keepdims=True)
    distance = np.linalg.norm(pose[:, :, None] - uv[:, None], axis=-1).mean(0)
    assert (distance.argmin(1) == np.arange(17)).all()  # x right, y down, and every joint its own
    for video in videos:
        pose = video.poses["integrated"]
        left, up = pose[:, :, 11] - pose[:, :, 8], pose[:, :, 1] - pose[:, :, 14]
        forward = np.cross(left, up)  # of a person in a right-handed frame: z away from the camera
        knee = pose[:, :, 9] - (pose[:, :, 8] + pose[:, :, 10]) / 2
        assert (knee * forward).sum(-1).mean() > 0


def test_real_poses_are_seen_along_the_ray(videos):
    body = np.arange(17) != 14
    for video in videos:
        good = video.seen & video.agrees()
        xyz = video.xyz()
        root = xyz[:, :, 14:15]
        # the same pose, scaled the same, but not turned
        scale = np.linalg.norm(xyz - root, axis=-1).sum((0, 2))
        scale /= np.linalg.norm(video.poses["integrated"], axis=-1).sum((0, 2))
        plain = root + scale[:, None, None] * video.poses["integrated"]
        turned, plain = (np.median(tdbu_outputs.reprojection_error(video, x)[good][:, body]) for x in (xyz, plain))
        assert 7 < turned < 29
        assert turned < plain


def test_real_focal_length_flag_and_flips(videos):
    for part, camera in ((videos[:5], videos[0].camera), (videos[5:], videos[5].camera)):
        assert np.median(tdbu_outputs.focal_from_legs(part)) == pytest.approx(camera.fx, rel=0.005)
    speed = {True: [], False: []}
    for video in videos:
        step = np.linalg.norm(np.diff(video.uv, axis=0), axis=-1).mean(-1) / video.camera.width
        for flag in speed:
            speed[flag].append(step[video.seen[1:] == flag])
    assert np.concatenate(speed[False]).mean() > 1.8 * np.concatenate(speed[True]).mean()
    flipped = [1 - video.agrees().mean() for video in videos]
    assert 0.1 < flipped[5] < 0.2
    assert max(flipped[:5] + flipped[6:]) < 0.005


def test_real_depths_were_fitted_to_the_truth(videos):
    for video in videos:
        true = video.depths["true"].ravel()
        for name in ("td", "bu"):
            predicted = video.depths[name].ravel()
            slope = np.polyfit(predicted, true, 1)[0]
            assert predicted.mean() == pytest.approx(true.mean(), rel=1e-4)
            assert slope == pytest.approx(1, abs=0.02)
