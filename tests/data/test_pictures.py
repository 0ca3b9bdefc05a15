"""Pictures on canvases: what they show is where the numbers say, whatever was done to them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from mp3d.camera import Camera, Lens, project
from mp3d.data import coco, panoptic, pictures
from mp3d.data.pictures import Change, FileStream, Shot, load, place
from mp3d.data.writers import coco as coco_files
from mp3d.data.writers import human36m as human36m_files
from mp3d.data.writers import muco as muco_files
from mp3d.data.writers import mupots as mupots_files
from mp3d.data.writers import panoptic as panoptic_files
from mp3d.errors import BadInput, MissingData
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import MPI17

LENS = Lens(-0.25, 0.15, 0.0005, -0.0004, -0.03)
CHANGES = st.builds(
    Change,
    st.floats(-0.2, 0.2),
    st.floats(0.8, 1.1),
    st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    st.booleans(),
)


def somebody(camera, depth=4000.0):
    return Person.of(mupots_files.STANDING + [0, 0, depth], camera)


def shot(path, width=200, height=130, lens=None, people=1):
    """A picture with a smooth spot at the first person's left wrist."""
    camera = Camera(190.0, 180.0, width / 2 + 7, height / 2 - 4, width, height, lens=lens)
    scene = Scene(camera, tuple(somebody(camera, 4000 + 500 * i) for i in range(people)))
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    du, dv = (scene.uv[0, MPI17.index("l_wrist")] - np.stack([u, v], -1)).T
    spot = (200 * np.exp(-(du**2 + dv**2) / 2 / 3**2)).T
    Image.fromarray(np.repeat(spot[..., None].astype(np.uint8), 3, 2)).save(path)
    return Shot(scene, path)


def paint(shots, colour=(200, 30, 60)):
    """A plain picture for every shot."""
    for one in shots:
        one.path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (one.scene.camera.width, one.scene.camera.height), colour).save(one.path)
    return shots


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A picture without a lens and one through a lens."""
    folder = tmp_path_factory.mktemp("pictures")
    return shot(folder / "pinhole.png"), shot(folder / "lens.png", lens=LENS)


@given(st.integers(0, 1), CHANGES, st.sampled_from([(160, 128), (208, 96), (320, 320)]))
def test_poses_project_onto_their_pixels_and_these_show_what_they_did(files, which, change, size):
    placed = place(files[which], *size, change)
    (person,), camera = placed.scene.people, placed.scene.camera
    assert np.abs(project(person.xyz, camera.k) - person.uv).max() < 1e-6
    source = files[which].scene.people[0]
    sides = list(MPI17.mirror) if change.mirrored else list(range(17))
    assert np.allclose(np.linalg.norm(person.xyz, axis=1), np.linalg.norm(source.xyz[sides], axis=1))
    assert np.allclose(person.xyz[:, 2], source.xyz[sides, 2])
    assert np.abs(placed.to_file(person.uv) - source.uv[sides]).max() < 1e-6

    wrist = MPI17.index("r_wrist" if change.mirrored else "l_wrist")
    uv = person.uv[wrist]
    assume(((uv > 20) & (uv < np.array(size) - 20)).all())
    bright = placed.scene.image[..., 0].astype(float)
    u, v = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    near = np.hypot(u - uv[0], v - uv[1]) < 15
    near &= bright != pictures.GREY
    centre = [(bright * near * w).sum() / (bright * near).sum() for w in (u, v)]
    assert np.abs(uv - centre).max() < 0.3


@given(st.integers(0, 1), CHANGES)
def test_joints_that_leave_the_canvas_are_not_labelled(files, which, change):
    moved = replace(change, shift=(change.shift[0] * 10, change.shift[1] * 10))
    placed = place(files[which], 128, 96, moved)
    (person,) = placed.scene.people
    inside = ((person.uv >= 0) & (person.uv < (128, 96))).all(1)
    source = placed.source
    inside &= ((placed.to_file(person.uv) >= 0) & (placed.to_file(person.uv) <= (source.width, source.height))).all(1)
    assert ((person.visibility > 0) == inside).all()


def test_the_whole_picture_is_fitted_into_the_middle_of_grey(tmp_path):
    wide = shot(tmp_path / "wide.png", 200, 120)
    tall = replace(wide, scene=Scene(Camera(190.0, 180.0, 60.0, 100.0, 130, 200), ()), path=tmp_path / "tall.png")
    for one, scale in ((wide, 0.5), (tall, 0.4)):
        paint([one], (200, 30, 60))
        width, height = one.scene.camera.width, one.scene.camera.height
        placed = place(one, 100, 80)
        (batch,) = load([one], 100, 80).image.numpy().transpose(0, 2, 3, 1)
        inside = (batch == (200, 30, 60)).all(-1)
        assert placed.width == pytest.approx(scale * width)
        assert inside.sum() == round(scale * width) * round(scale * height)
        assert (batch[~inside] == 128).all()
        assert (inside == inside[::-1, ::-1]).all()
        assert placed.scene.camera.fx == pytest.approx(scale * 190)


def test_a_lens_loses_nothing_of_the_picture(files):
    placed = place(files[1], 400, 300)
    width, height = files[1].scene.camera.width, files[1].scene.camera.height
    u, v = np.meshgrid(np.arange(400) + 0.5, np.arange(300) + 0.5)
    shown = placed.to_file(np.stack([u, v], -1)[(placed.scene.image != 128).any(-1)])
    assert shown.min() < 1.5
    assert (shown.max(0) > (width - 1.5, height - 1.5)).all()


def test_2d_only_people_stay_without_depth(tmp_path):
    coco_files.fixture(tmp_path)
    shots = paint(list(pictures.from_coco(tmp_path, "val2017")))
    assert [one.path.name for one in shots] == ["000000001000.jpg", "000000001001.jpg"]
    batch = FileStream(shots, 0, 128, 96, 4)(0)
    assert batch.xyz.isnan().all()
    assert (batch.visibility > 0).any(-1).sum() >= 4
    assert batch.uv[batch.visibility > 0].isfinite().all()
    assert tuple(load(shots, 320, 240).k[0].tolist()) == (320, 320, 160, 120)  # f: the picture's width


def test_mupots_is_found_with_its_pictures(tmp_path):
    mupots_files.fixture(tmp_path)
    shots = paint(list(pictures.from_mupots(tmp_path)))
    places = [(one.scene.sequence, one.scene.frame) for one in shots]
    assert places == [("TS1", 0), ("TS1", 1), ("TS1", 3), ("TS10", 0), ("TS10", 1), ("TS10", 2)]  # nobody in TS1, 2
    batch = load(shots, 128, 80)
    assert batch.there.sum(1).tolist() == [2, 1, 2, 3, 3, 3]
    off = (project(batch.xyz, batch.k[:, None, None]) - batch.uv).abs()
    assert off[batch.there].max() < 0.01
    assert (batch.visibility[0, 0, 3:5] == HIDDEN).all()
    assert (batch.visibility[0, 0, 5:8] == VISIBLE).all()


def test_muco_is_found_with_its_pictures(tmp_path):
    muco_files.fixture(tmp_path)
    shots = paint(list(pictures.from_muco(tmp_path)))
    assert [str(one.path.relative_to(tmp_path)) for one in shots] == [
        "augmented_set/1/000007.jpg",
        "unaugmented_set/2/000003.jpg",
    ]
    assert all(person.native is None for one in shots for person in one.scene.people)
    stream = FileStream(shots, 3, 208, 128, 2)
    for step in range(4):
        batch = stream(step)
        off = (project(batch.xyz, batch.k[:, None, None]) - batch.uv).abs()
        assert off[batch.there].max() < 0.01
    path = tmp_path / "MuCo-3DHP.json"
    path.write_text(path.read_text().replace("augmented_set/1/000007", "../../000007"))
    with pytest.raises(BadInput, match=r"MuCo-3DHP.json: images\[\].file_name: found '../../000007.jpg'"):
        list(pictures.from_muco(tmp_path))


def with_pictures(root, sequence, camera, frames):
    for frame in frames:
        path = panoptic.image_path(root, sequence, camera, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1920, 1080), (200, 30, 60)).save(path)


def test_panoptic_is_found_where_it_has_pictures(tmp_path, monkeypatch):
    panoptic_files.fixture(tmp_path)
    with pytest.raises(MissingData, match="no hdImgs with people in them of SMAP's test sequences, 160226_haggling1"):
        list(pictures.from_panoptic(tmp_path))
    with_pictures(tmp_path, "160226_mafia1", "00_16", (20, 21))
    with_pictures(tmp_path, "160226_mafia1", "00_03", (20,))  # no camera of the test
    with_pictures(tmp_path, "160422_ultimatum1", "00_30", (101, 103))  # nobody in 101
    shots = list(pictures.from_panoptic(tmp_path))
    places = [(one.scene.sequence, one.path.name) for one in shots]
    assert places == [
        ("160226_mafia1", "00_16_00000020.jpg"),
        ("160226_mafia1", "00_16_00000021.jpg"),
        ("160422_ultimatum1", "00_30_00000103.jpg"),
    ]
    batch = load(shots, 208, 128)
    off = (project(batch.xyz, batch.k[:, None, None]) - batch.uv).abs()
    assert off[batch.uv.isfinite()].max() < 0.01
    monkeypatch.setitem(pictures.PANOPTIC_IMAGES, "test", 4)  # one of each of the four activities
    assert [one.path.name for one in pictures.from_panoptic(tmp_path)] == ["00_16_00000020.jpg"]  # nobody in 101
    with pytest.raises(BadInput, match="split: found 'val'"):
        list(pictures.from_panoptic(tmp_path, "val"))


def test_panoptics_frames_are_spread_over_its_videos(tmp_path, monkeypatch):
    panoptic_files.fixture(tmp_path)
    folder = tmp_path / "160226_mafia1"
    bodies = folder / "hdPose3d_stage1" / "hd" / "body3DScene_00000020.json"
    for frame in range(30, 49):
        bodies.with_name(f"body3DScene_{frame:08d}.json").write_text(bodies.read_text())
    with_pictures(tmp_path, "160226_mafia1", "00_16", range(30, 49))
    with_pictures(tmp_path, "160226_mafia1", "00_30", range(40, 49))
    monkeypatch.setitem(pictures.PANOPTIC_IMAGES, "test", 24)  # 6 for mafia, 3 for each camera
    names = [one.path.stem for one in pictures.from_panoptic(tmp_path)]
    assert names == [f"00_16_{f:08d}" for f in (30, 39, 48)] + [f"00_30_{f:08d}" for f in (40, 44, 48)]


def test_human36m_is_found_with_its_pictures(tmp_path):
    human36m_files.fixture(tmp_path)
    shots = paint(list(pictures.from_human36m(tmp_path, "test"))[:2])
    batch = load(shots, 96, 96)
    assert batch.there.sum(1).tolist() == [1, 1]
    assert (project(batch.xyz, batch.k[:, None, None]) - batch.uv).abs().nan_to_num().max() < 0.01
    with pytest.raises(BadInput, match="split: found 'val'"):
        list(pictures.from_human36m(tmp_path, "val"))


@pytest.fixture
def two(tmp_path):
    """Shots with 3D poses, whose pictures are red, and without, blue; each of its own brightness."""
    three, flat = [], []
    for i in range(5):
        camera = Camera(150.0, 150.0, 80.0, 60.0, 160, 120)
        three.append(Shot(Scene(camera, (somebody(camera),), frame=i), tmp_path / f"{i}.png"))
        paint(three[-1:], (200 + 10 * i, 0, 0))
    for i in range(3):
        person = replace(three[0].scene.people[0], xyz=np.full((17, 3), np.nan))
        flat.append(Shot(replace(three[0].scene, people=(person,), frame=i), tmp_path / f"flat{i}.png"))
        paint(flat[-1:], (0, 0, 200 + 10 * i))
    return three, flat


def test_a_stream_depends_on_seed_and_step_alone(two):
    stream, again, other = (FileStream(two[0], seed, 96, 64, 2, two[1]) for seed in (1, 1, 2))
    batches = {step: stream(step) for step in (7, 0, 3)}
    for step in (0, 3, 7):
        for name in ("image", "xyz", "uv", "visibility", "k"):
            a, b = (getattr(x, name).numpy() for x in (batches[step], again(step)))
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(batches[0].image, other(0).image)
    assert not np.array_equal(batches[0].image, batches[3].image)
    alone = [FileStream(two[0][:1], seed, 96, 64, 1)(0).uv for seed in (1, 2)]
    assert not np.array_equal(*alone)  # not the order alone, what is done to a picture differs too


def test_each_epoch_shows_every_picture_once_in_another_order(two):
    stream = FileStream(two[0], 0, 96, 64, 3, augment=False)
    frames = [placed.scene.frame for step in range(10) for placed in stream.placed(step)]
    epochs = [frames[i : i + 5] for i in range(0, 30, 5)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1


@pytest.mark.parametrize(("share", "count"), [(0.5, 3), (0, 0), (1, 6), (1 / 3, 2)])
def test_a_share_of_each_batch_is_of_pictures_without_depth(two, share, count):
    stream = FileStream(two[0], 0, 96, 64, 6, two[1], share)
    for step in range(3):
        batch = stream(step)
        assert len(batch) == 6
        assert int(batch.xyz.isnan().all(-1).all(-1).all(-1).sum()) == count


def test_augmentation_is_as_large_as_the_release_says_and_scales_pictures_without_depth_alone(two):
    stream = FileStream(two[0], 0, 96, 64, 64, two[1])
    still = place(two[0][0], 96, 64)
    found = stream.placed(0)
    angles, scales = [], []
    for placed in found:
        mirrored = np.linalg.det(placed.matrix) < 0
        matrix = placed.matrix * ([[-1], [1]] if mirrored else 1)
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        turned = place(two[0][0], 96, 64, Change(np.radians(angles[-1])))
        scales.append(placed.scene.camera.fx / turned.scene.camera.fx)
        middle = placed.matrix @ (80, 60) + placed.corner
        assert np.abs(middle - (48, 32)).max() <= 40 * 96 / 832
    assert 8 < np.abs(angles).max() <= 10
    assert np.allclose(scales[:32], 1)
    assert 0.8 <= min(scales[32:]) < 0.85 < 1.05 < max(scales[32:]) <= 1.1
    mirrored = np.array([np.linalg.det(placed.matrix) < 0 for placed in found])
    assert 0.3 < mirrored.mean() < 0.7
    for placed, other in zip(found[:32], mirrored, strict=False):
        assert placed.scene.camera.fx <= still.scene.camera.fx + 1e-9  # a turned picture has to fit
        left, right = (placed.scene.people[0].uv[MPI17.index(f"{side}_shoulder"), 0] for side in "lr")
        assert left > right, other  # mirrored or not, somebody who faces the camera has the left side at larger u


def test_mirrored_joints_change_their_names(files):
    plain, mirrored = (place(files[0], 160, 128, Change(mirrored=m)).scene for m in (False, True))
    for a, b in (("l_wrist", "r_wrist"), ("head_top", "head_top"), ("r_knee", "l_knee")):
        before, after = plain.people[0].uv[MPI17.index(a)], mirrored.people[0].uv[MPI17.index(b)]
        assert np.allclose(after, (160 - before[0], before[1]))
    assert np.array_equal(plain.image[:, ::-1], mirrored.image)


def test_pictures_that_cannot_be_used_are_named(two, tmp_path):
    one = two[0][0]
    with pytest.raises(MissingData, match=r"gone.jpg: no such file"):
        place(replace(one, path=tmp_path / "gone.jpg"), 96, 64)
    broken = tmp_path / "broken.jpg"
    Image.effect_noise((160, 120), 50).convert("RGB").save(broken)
    broken.write_bytes(broken.read_bytes()[:2000])
    with pytest.raises(BadInput, match=r"broken.jpg: picture: found OSError.*expected a complete picture"):
        place(replace(one, path=broken), 96, 64)
    broken.write_text("no picture at all")
    with pytest.raises(BadInput, match=r"broken.jpg: picture: found UnidentifiedImageError"):
        place(replace(one, path=broken), 96, 64)
    Image.new("RGB", (120, 160)).save(broken)
    with pytest.raises(BadInput, match=r"broken.jpg: size: found 120 x 160, expected 160 x 120, as annotated"):
        load([one, replace(one, path=broken)], 96, 64)
    with pytest.raises(BadInput, match="shots: found none"):
        FileStream([], 0, 96, 64, 2)
    for batch, share in ((0, 0.5), (2, 1.5)):
        with pytest.raises(BadInput, match="batch, share"):
            FileStream([one], 0, 96, 64, batch, (), share)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_kind_of_picture_becomes_rgb(two, tmp_path, mode):
    path = tmp_path / ("kind.jpg" if mode == "CMYK" else "kind.png")
    picture = Image.new("RGB", (160, 120), (90, 90, 90))
    (picture.quantize(4) if mode == "P" else picture.convert(mode)).save(path)
    image = place(replace(two[0][0], path=path), 96, 72).scene.image
    assert image.shape == (72, 96, 3)
    assert np.abs(image.astype(int) - 90).max() <= 2


def test_a_large_jpeg_is_made_small_without_aliasing(tmp_path):
    stripes = np.zeros((1080, 1920, 3), np.uint8)
    stripes[:, ::2] = 200  # their mean is 100; a picture sampled here and there would be all of one or of the other
    Image.fromarray(stripes).save(tmp_path / "stripes.jpg", quality=95)
    camera = Camera(1000.0, 1000.0, 960.0, 540.0, 1920, 1080)
    image = place(Shot(Scene(camera, ()), tmp_path / "stripes.jpg"), 96, 54).scene.image
    assert np.abs(image.astype(int) - 100).max() <= 4
    stripes[:] = np.where(np.arange(1920) // 4 % 2, 200, 0)[:, None]
    Image.fromarray(stripes).save(tmp_path / "stripes.jpg", quality=95)
    image = place(Shot(Scene(camera, ()), tmp_path / "stripes.jpg"), 960, 540).scene.image
    assert np.ptp(image[270, :, 0].astype(int)) > 90  # stripes two px wide are still there


def test_exif_does_not_turn_pictures(tmp_path, two):
    path = tmp_path / "turned.jpg"
    picture = Image.new("RGB", (160, 120), (90, 90, 90))
    exif = picture.getexif()
    exif[0x0112] = 6  # "rotate by 90 degrees"
    picture.save(path, exif=exif)
    assert place(replace(two[0][0], path=path), 160, 120).scene.image.shape == (120, 160, 3)


def test_real_people_project_onto_their_pixels(samples, tmp_path):
    found = 0
    for sequence in ("160906_band1", "160906_band2"):
        for scene in panoptic.scenes(samples / "panoptic", [sequence], panoptic.TEST_CAMERAS):
            one = Shot(scene, tmp_path / f"{sequence}.jpg")
            paint([one])
            for seed in range(3):
                batch = load([one], 208, 128) if not seed else FileStream([one], seed, 208, 128, 1)(seed)
                off = (project(batch.xyz, batch.k[:, None, None]) - batch.uv).abs()
                assert off[batch.uv.isfinite()].max() < 0.01
                found += int(batch.there.sum())
    assert found > 20


def test_real_coco_people_are_where_they_were(samples, tmp_path):
    root = tmp_path / "person_keypoints_val2017.json"
    root.write_text((samples / "coco" / "test_coco.json").read_text())
    scenes = list(coco.scenes(root, like="smap"))
    assert scenes
    for scene in scenes:
        placed = place(paint([Shot(scene, tmp_path / f"{scene.frame}.jpg")])[0], 256, 160)
        back = placed.to_file(placed.scene.uv)
        assert np.nanmax(np.abs(back - scene.uv)) < 1e-9
        assert (placed.scene.visibility <= scene.visibility).all()


def test_mupots_own_2d_is_kept_where_it_differs_from_3d(tmp_path):
    """2D and 3D of hips and spine are not the same points in the data set: the 2D label stays what it is."""
    mupots_files.fixture(tmp_path)
    one = paint(list(pictures.from_mupots(tmp_path))[:1])[0]
    person = one.scene.people[0]
    moved = replace(person, uv=person.uv + (2.0, 0.0))
    other = replace(one, scene=replace(one.scene, people=(moved,)))
    shift = place(other, 128, 80).scene.uv - place(one, 128, 80).scene.uv[:1]
    assert np.allclose(shift, (2 * 80 / 2048, 0))
