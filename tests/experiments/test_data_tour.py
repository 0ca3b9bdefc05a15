"""The tour's numbers: one scene of each data set, conversions, lenses, least squares, formats there and back."""

from dataclasses import replace

import numpy as np
import pytest

from mp3d.camera import Lens
from mp3d.data import jta, manifest, mupots
from mp3d.data.writers import mupots as mupots_writer
from mp3d.errors import BadInput
from mp3d.experiments import data_tour as tour
from mp3d.scene import Person
from mp3d.skeletons import ABSENT, APPROXIMATE, DERIVED, H36M17, MPI17, NATIVE
from mp3d.synthetic import worlds

NECK = MPI17.index("neck")


@pytest.fixture(scope="module")
def videos():
    return worlds.sequences("duet", 0, frames=2)[5:8]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return tour.fixtures(tmp_path_factory.mktemp("fixtures"))


# -- samples ------------------------------------------------------------------------------------------------
def test_every_data_set_with_a_fixture_is_read(roots, monkeypatch):
    monkeypatch.delenv(manifest.VARIABLE, raising=False)
    found = tour.samples(roots)
    assert set(found) == {d.id for d in manifest.load().datasets if d.fixtures} | {"duet"} == set(tour.CODES)
    assert {sample.whose for name, sample in found.items() if name != "duet"} == {"fixture"}
    assert all(found[name].scene.people and found[name].scene.world == name for name in found)
    df = tour.read_table(found)
    assert df.loc["panoptic", ["joint set", "root", "lens"]].tolist() == ["PANOPTIC19", "2", "5 coefficients"]
    assert df.loc["jta", ["joint set", "root", "f, px", "3D truth"]].tolist() == ["JTA22", "none", "1158", "yes"]
    assert df.loc["coco2017", ["f, px", "3D truth", "native in MPI17"]].tolist() == ["1500 (assumed)", "no", 12]
    assert list(tour.disk_table(found).index) == list(found)
    assert tour.disk_table(["panoptic"]).loc["panoptic", "unit"] == "cm"


def test_own_copies_are_read_where_they_are(roots, tmp_path, monkeypatch):
    monkeypatch.setenv(manifest.VARIABLE, str(tmp_path))
    manifest.fixture("jta", tmp_path / "jta")
    (tmp_path / "panoptic").mkdir()
    (tmp_path / "panoptic" / "README").write_text("pictures only")
    found = tour.samples(roots)
    assert [name for name, sample in found.items() if sample.whose == "own copy"] == ["jta"]
    assert tour.samples(roots, own=False)["jta"].whose == "fixture"
    next((tmp_path / "jta").rglob("seq_256.json")).write_text("[[1, 2]]")
    with pytest.raises(BadInput, match="10 numbers"):
        tour.samples(roots)


# -- conversions --------------------------------------------------------------------------------------------
def test_sources_of_joints():
    df = tour.sources()
    assert (df.loc["MPI17"] == NATIVE).all() and (df[list(MPI17.joints[2:14])] == NATIVE).all(axis=None)
    assert df.loc["COCO17", ["head_top", "neck", "pelvis", "head"]].tolist() == [ABSENT, DERIVED, DERIVED, APPROXIMATE]
    assert df.loc["H36M17", "neck"] == APPROXIMATE and df.loc["JTA22", "pelvis"] == DERIVED


def standing():
    """Shoulders 500 mm above the hips, the neck 50 mm above their middle, the pelvis 30 mm before the hips'."""
    pose = np.random.default_rng(0).uniform(-1000, 1000, (17, 3))
    for joint, point in {
        "r_shoulder": (-200, -500, 0), "l_shoulder": (200, -500, 0), "r_hip": (-100, 0, 0), "l_hip": (100, 0, 0),
        "neck": (0, -550, 0), "pelvis": (0, 0, -30),
    }.items():  # fmt: skip
        pose[MPI17.index(joint)] = point
    return pose


def test_there_and_back():
    df = tour.there_and_back(np.stack([standing(), standing() + 100]))
    assert df.loc["COCO17", ["neck", "pelvis"]].tolist() == pytest.approx([50, 30])
    assert df.loc["JTA22", "pelvis"] == pytest.approx(30) and np.isnan(df.loc["JTA22", "neck"])
    assert df.loc["COCO17", "lost"] == "head_top, spine, head" and df.loc["COCO17", "return"] == 14
    assert (df["other"] == 0).all() and df.loc["MPI28", "return"] == 17
    assert (df["return"] + df["lost"].str.split(", ").map(lambda names: len([n for n in names if n])) == 17).all()


def test_neck_rule():
    off = tour.neck_rule(standing()[None], np.array([0.0, 0.1, 0.185]))
    assert off == pytest.approx([50, 0, 42.5])
    assert (tour.NECKS["low"] <= tour.NECKS["high"]).all() and tour.measured().shape == (6, 3)


def test_neck_in_pixels_is_that_of_the_plain_formulas(videos):
    off = {"threedmppe": [], "smap": []}
    for scene in (scene for video in videos for scene in video):
        for person in scene.people:
            uv = person.uv
            seen = ((uv >= 0) & (uv < (scene.camera.width, scene.camera.height))).all(1)
            middle, hips = (uv[2] + uv[5]) / 2, (uv[8] + uv[11]) / 2
            if seen[[2, 5]].all():
                off["threedmppe"].append(np.linalg.norm(middle - uv[NECK]))
            if seen[[2, 5, 8, 11]].all():
                off["smap"].append(np.linalg.norm(middle + 0.185 * (middle - hips) - uv[NECK]))
    found = tour.neck_pixels(videos)
    assert found == {name: pytest.approx(np.mean(values), abs=0.01) for name, values in off.items()}


# -- cameras ------------------------------------------------------------------------------------------------
def test_a_lens_with_a_pencil():
    lens = Lens(0, 0, 0, -0.0015, 0, tangential=1)  # x = 0.4: p2 times 2 x² = 0.48 px; OpenCV has 3 x² = 0.72 px
    df = tour.lens_gap(lens, 1000, np.array([0.0, 400.0]))
    assert df["none"].tolist() == pytest.approx([0, 0.48]) and df["tangential"].tolist() == pytest.approx([0, 0.24])
    other = tour.lens_gap(replace(lens, tangential=2), 1000, np.array([400.0]))
    assert other["none"].tolist() == pytest.approx([0.72]) and other["tangential"].tolist() == pytest.approx([0.24])


def test_old_axes_are_seen_and_undone(roots, tmp_path):
    new, old = roots["jta"] / "annotations/test/seq_256.json", tmp_path / "old.json"
    tour.old_axes(new, old)
    new, old = jta.Annotations(new), jta.Annotations(old)
    assert (new.old, old.old) == (False, True)
    np.testing.assert_array_equal(new[3].xyz, old[3].xyz)


def test_intrinsics_by_least_squares(videos, tmp_path):
    mupots_writer.write(videos[1], tmp_path)
    truth = mupots.annotations(tmp_path, "TS7")
    agree = [j for j in range(17) if j not in (8, 11, 15)]
    noisy = replace(truth, annot2=truth.annot2 + np.random.default_rng(0).normal(0, 1, truth.annot2.shape))
    rays = (noisy.annot3[..., agree, :2] / noisy.annot3[..., agree, 2:])[noisy.valid].reshape(-1, 2)
    pixels = noisy.annot2[..., agree, :][noisy.valid].reshape(-1, 2)
    lines = [np.polyfit(ray, pixel, 1) for ray, pixel in zip(rays.T, pixels.T, strict=True)]
    assert np.array(lines).T.ravel() == pytest.approx(mupots.intrinsics(noisy))
    assert mupots.intrinsics(noisy, agree) == mupots.intrinsics(noisy)
    assert mupots.intrinsics(noisy, range(17)) != mupots.intrinsics(noisy)
    df = tour.intrinsics_bias(videos[1])
    apart = df.xs("without hips and spine", level=1)
    assert np.abs(apart.to_numpy()).max() < 1e-6 and (df.xs("17 joints", level=1).abs().max(axis=1) > 0.1).all()
    assert np.abs(tour.intrinsics_bias(videos[1], shift=0).to_numpy()).max() < 1e-6


# -- round trips --------------------------------------------------------------------------------------------
def test_round_trips_within_the_precision_of_each_format(videos):
    df = tour.round_trips(videos)
    people = sum(len(scene.people) for video in videos for scene in video)
    assert list(df.index) == list(tour.FORMATS) and (df["people"] == people).all()
    assert df["joints"].to_dict() == {"mupots": 17, "muco": 17, "panoptic": 15, "jta": 15, "human36m": 13, "coco": 12}
    exact = df.loc[["mupots", "muco", "human36m"]]
    assert (exact["mm"] < 1e-9).all() and (exact["px"] < 1e-9).all()
    assert 0 < df.loc["panoptic", "mm"] < 0.05 and 0 < df.loc["jta", "mm"] <= 0.001 * np.sqrt(3) / 2
    assert 0.5 < df.loc["jta", "px"] <= np.sqrt(0.5) + 1e-2 and 0 < df.loc["coco", "px"] <= 0.00708
    assert np.isnan(df.loc["coco", "mm"])
    assert set(df.index[df["visibility"] > 99]) == {"mupots", "jta", "coco"}


def test_a_reader_that_is_5_mm_off_is_seen(videos, monkeypatch):
    writer, read = tour.FORMATS["mupots"]

    def aside(root):
        for scene in read(root):
            yield replace(scene, people=tuple(replace(p, xyz=p.xyz + [0, 3.0, 4.0]) for p in scene.people))

    monkeypatch.setattr(tour, "FORMATS", {"mupots": (writer, aside)})
    assert tour.round_trips(videos[:1]).loc["mupots", "mm"] == pytest.approx(5)


# -- traps --------------------------------------------------------------------------------------------------
def test_swapped_names_move_nobody():
    poses = np.random.default_rng(0).normal(size=(3, 17, 3))
    mixed = tour.swapped(poses)
    np.testing.assert_array_equal(tour.swapped(mixed), poses)
    right, left = H36M17.index("r_wrist"), H36M17.index("l_wrist")
    np.testing.assert_array_equal(mixed[:, right], poses[:, left])


def test_absent_joints_by_name():
    seen = np.full(17, 2, np.uint8)
    seen[[1, 14]] = 0, 1
    person = Person(np.zeros((17, 3)), np.zeros((17, 2)), seen, np.ones(17, np.uint8))
    assert tour.absent(person) == ["neck"]
