"""PandaNet on the reader's own data: formats of JTA, Panoptic and MuPoTS-3D, made up, from a folder to tables."""

from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from mp3d.codings import anchors as coding
from mp3d.data import jta, panoptic, pictures
from mp3d.data.writers import coco as coco_files
from mp3d.data.writers import jta as jta_files
from mp3d.data.writers import muco as muco_files
from mp3d.data.writers import mupots as mupots_files
from mp3d.data.writers import panoptic as panoptic_files
from mp3d.errors import MissingData
from mp3d.experiments import real
from mp3d.experiments.pandanet import networks, tables
from mp3d.experiments.pandanet.cost import exact_maps
from mp3d.papers import pandanet
from mp3d.papers.pandanet import PROFILES, PandaNet, Reading
from mp3d.skeletons import MPI17
from mp3d.synthetic import worlds


def blank(path, width=1920, height=1080):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def paint(shots):
    for shot in shots:
        blank(shot.path, shot.scene.camera.width, shot.scene.camera.height)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """JTA with a training split, MuPoTS-3D with MuCo-3DHP and COCO, Panoptic's test split alone."""
    base = tmp_path_factory.mktemp("data")
    videos = worlds.sequences("street", seed=0, frames=1)[:2]
    for split in ("test", "train"):
        frame = jta.LOCO_FRAMES[split][0]
        jta_files.write([replace(scene, frame=frame - 1) for video in videos for scene in video], base / "jta", split)
        for number in jta.sequences(base / "jta", split):
            blank(jta.image_path(base / "jta", split, number, frame))
    mupots_files.fixture(base / "mupots3d")
    muco_files.fixture(base / "muco3dhp")
    coco_files.fixture(base / "coco2017")
    annotations = base / "coco2017" / "annotations"
    (annotations / "person_keypoints_val2017.json").rename(annotations / "person_keypoints_train2017.json")
    panoptic_files.fixture(base / "panoptic")
    paint(pictures.from_mupots(base / "mupots3d"))
    paint(pictures.from_muco(base / "muco3dhp"))
    paint(pictures.from_coco(base / "coco2017"))
    for sequence, camera, frames in (("160226_mafia1", "00_16", (20, 21)), ("160422_ultimatum1", "00_30", (100, 103))):
        for frame in frames:
            blank(panoptic.image_path(base / "panoptic", sequence, camera, frame))
    return base


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    return tmp_path_factory.mktemp("pandanet")


@pytest.fixture(scope="module")
def found(data, keep):
    ways = {"full": Reading(score=0, most=(50, 10)), "sure": Reading(score=0.999)}
    few = partial(pandanet.statistics, people=60)  # so that few pictures are read
    with mock.patch.object(pandanet, "statistics", few):
        return tables.on_data(str(data), "smoke", 0, keep, 1.0, ways)


def test_a_notebook_s_way_from_a_folder_to_tables(found):
    """Trained on what is there, else on the world that mirrors the data; read in two ways."""
    learned = {"jta": "jta", "panoptic": "studio", "mupots3d": "mupots3d and coco"}
    assert list(found) == ["jta", "panoptic", "mupots3d"]
    for kind, table in found.items():
        assert table.attrs["protocol"].startswith(f"trained on {learned[kind]}; ")
        assert table["variant"].unique().tolist() == ["full", "sure"]
        assert {"scene", "n", "seed", "recall", "precision", "mpjpe"} <= set(table)
    assert found["jta"]["scene"].tolist() == 2 * ["seq_256", "seq_258"]
    assert "mpjpe_scaled" in found["panoptic"] and "pck_rel_all" in found["mupots3d"]


def test_what_a_perfect_network_says_is_right_in_every_format(data, keep, monkeypatch):
    """Its maps of the canvases, read and put into files' pixels and millimetres: right but for people's size."""
    config = replace(PROFILES["cpu"].config, canvas=(480, 288))
    batches = {
        kind: pictures.load([networks.with_all_joints(shot) for shot in shots], *config.canvas)
        for kind, shots in real.load_test(data, kinds=tables.DATA).items()
    }
    boxes = torch.cat([coding.pose_box(batch.uv[pandanet.people_of(batch)]) for batch in batches.values()])
    model = PandaNet(config)
    model.sizes.copy_(coding.kmeans(boxes[:, 2:], config.count))
    model.length.fill_(4500.0)
    coming = iter(batches.values())
    monkeypatch.setattr(PandaNet, "maps", lambda *_: exact_maps(next(coming), model.sizes, config))
    monkeypatch.setattr(tables, "for_data", lambda *_: (model, "nothing"))
    found = tables.on_data(str(data), "smoke", 0, keep, 1.0)
    for (kind, table), scaled in zip(found.items(), ("pck_scaled", "pck_rel_all_scaled", "pck_rel_all"), strict=True):
        assert np.allclose(table["precision"], 100)
        known = table["scene"] != "160422_ultimatum1"  # where somebody lacks joints, and so has no pose to be said
        assert np.allclose(table.loc[known, ["recall", scaled]], 100), kind
        assert (table["recall"] >= 75).all()
    assert (found["panoptic"]["mpjpe_scaled"] < 0.1).all() and (found["jta"]["mpjpe_scaled"] < 0.1).all()
    assert np.allclose(found["jta"]["ap"], 100)


def test_jta_has_the_metrics_of_the_street(found, keep):
    batch = tables.pictures("street", "smoke")[0][1]
    ours = tables.row("S", batch, *(2 * [[()] * len(batch)]))
    table = found["jta"]
    assert set(ours) == set(table) - {"variant", "seed"}
    assert table["ap"].notna().all()
    assert (table.loc[table["variant"] == "sure", "recall"] == 0).all()  # an untrained network is sure of nobody


def test_the_network_is_trained_once_and_named_after_its_pictures(data, keep, found, monkeypatch):
    monkeypatch.setattr(pandanet, "train", lambda *_: pytest.fail("it trained again"))
    for kind, learned in (("jta", "jta"), ("mupots3d", "mupots3d and coco"), ("panoptic", "studio")):
        model, what = networks.for_data(data, kind, "smoke", 0, keep, 1.0)
        assert what == learned
        assert model.config == networks.sized_for(kind, "smoke", 1.0).config
        assert model.length > 1000
    shots, flat = real.load_train(data, "jta")
    monkeypatch.setattr(real, "load_train", lambda *_: (shots[:1], flat))
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        networks.for_data(data, "jta", "smoke", 0, keep, 1.0)


def test_what_it_is_trained_on_goes_through_windows(data, tmp_path, monkeypatch):
    seen = {}

    def train(stream, config, how, seed, out):
        seen.update(batch=stream(3), again=stream(3), other=stream(4))
        out.mkdir()
        return PandaNet(config)

    monkeypatch.setattr(pandanet, "train", train)
    networks.for_data(data, "mupots3d", "smoke", 0, tmp_path, 1.0)
    size = PROFILES["smoke"]
    assert seen["batch"].image.shape == (size.batch, 3, size.windows.height, size.windows.width)
    assert torch.equal(seen["batch"].uv.nan_to_num(), seen["again"].uv.nan_to_num())
    assert not torch.equal(seen["batch"].uv.nan_to_num(), seen["other"].uv.nan_to_num())
    whole = coding.unit_bones(seen["batch"].xyz)[0].isfinite().all((1, 2, 3))
    assert not whole[size.batch // 2 :].any()  # COCO's half, without 3D poses


def test_panoptic_s_people_are_whole_and_its_test_cameras_not_trained_on(data, keep, monkeypatch):
    shots = list(pictures.from_panoptic(data / "panoptic"))  # as if the test split were the training split
    others = [replace(shot, path=shot.path.parent.parent / "00_07" / shot.path.name) for shot in shots]
    monkeypatch.setattr(real, "load_train", lambda *_: (shots + others, list(shots)))
    seen = []

    def stream(shots, seed, width, height, batch, flat, augment):
        seen.extend(shots)
        assert not flat and not augment  # COCO is MuPoTS-3D's
        assert (width, height) == (PROFILES["smoke"].width, PROFILES["smoke"].height)

    monkeypatch.setattr(networks, "FileStream", stream)
    monkeypatch.setattr(pandanet, "train", lambda stream, config, how, seed, out: out.mkdir() or PandaNet(config))
    networks.for_data(data, "panoptic", "smoke", 1, keep, 1.0)
    assert [shot.path for shot in seen] == [shot.path for shot in others]
    lengths = coding.unit_bones(torch.from_numpy(np.concatenate([shot.scene.xyz for shot in seen])))[1]
    before = coding.unit_bones(torch.from_numpy(np.concatenate([shot.scene.xyz for shot in others])))[1]
    assert before.isnan().all() and lengths.isfinite().any()


def test_joints_are_made_where_there_are_none(data):
    """Of `joints15`, which has no head, and `joints19`, which has no top of the head; neither has a spine."""
    top, head, neck, spine, pelvis = (MPI17.index(name) for name in ("head_top", "head", "neck", "spine", "pelvis"))
    lost = set()
    for shot in pictures.from_panoptic(data / "panoptic"):
        made = networks.with_all_joints(shot)
        for before, after in zip(shot.scene.people, made.scene.people, strict=True):
            np.testing.assert_allclose(after.xyz[head], (after.xyz[top] + after.xyz[neck]) / 2)
            np.testing.assert_allclose(after.xyz[spine], (after.xyz[pelvis] + after.xyz[neck]) / 2)
            missing = [joint for joint in (top, head, spine) if np.isnan(before.xyz[joint, 0])]
            np.testing.assert_allclose(after.uv[missing], shot.scene.camera.project(after.xyz[missing]))
            lost |= {*missing}
            others = np.setdiff1d(np.arange(17), missing)
            np.testing.assert_array_equal(after.xyz[others], before.xyz[others])
            np.testing.assert_array_equal(after.visibility, before.visibility)  # nobody is seen better
    assert lost == {top, head, spine}
    (whole, *_) = pictures.from_mupots(data / "mupots3d")
    for before, after in zip(whole.scene.people, networks.with_all_joints(whole).scene.people, strict=True):
        np.testing.assert_array_equal(after.xyz, before.xyz)  # where they are, they stay


def test_the_paper_s_inputs():
    """Sections 4.1 to 4.3."""
    expected = {"jta": (928, 576, 1), "panoptic": (512, 320, 1), "mupots3d": (512, 512, 0)}
    for kind, (width, height, subpixel) in expected.items():
        size = networks.sized_for(kind, "paper", 1.0)
        assert size.config.canvas == (size.width, size.height) == (width, height)
        assert (size.windows.width, size.windows.height, size.config.subpixel) == (width, height, subpixel)
    small = networks.sized_for("mupots3d", "cpu", 2.0)
    assert small.config == PROFILES["cpu"].config and small.fit.steps == 2 * PROFILES["cpu"].fit.steps
    assert networks.sized_for("jta", "cpu", 1.0).config.canvas == networks.WIDE["cpu"]


def test_a_folder_without_data_is_named(tmp_path):
    with pytest.raises(MissingData, match="no test pictures of jta, panoptic, mupots3d"):
        tables.on_data(str(tmp_path), "smoke", 0, tmp_path, 1.0)
