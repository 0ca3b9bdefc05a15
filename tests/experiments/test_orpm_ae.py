"""ORPM-AE's experiments: exact detections scored by state and level, studies end to end, real data's formats."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mp3d.batch import Batch
from mp3d.canvas import on_canvas
from mp3d.codings import tags
from mp3d.data import panoptic, pictures
from mp3d.data.writers import human36m as human36m_files
from mp3d.data.writers import mupots as mupots_files
from mp3d.data.writers import panoptic as panoptic_files
from mp3d.errors import MissingData
from mp3d.experiments import shown
from mp3d.experiments.codings.crowds import crowd
from mp3d.experiments.orpm_ae import networks, show, tables
from mp3d.experiments.pinet import spread
from mp3d.papers import orpm_ae
from mp3d.papers.orpm_ae import ORPMAE, PROFILES, SMALL, Reading
from mp3d.scene import ABSENT, HIDDEN
from mp3d.skeletons import MPI17
from mp3d.synthetic.stream import Stream

CONFIG = replace(SMALL, canvas=(256, 160), radius=0)


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    return tmp_path_factory.mktemp("orpm_ae")


@pytest.fixture(scope="module")
def people() -> Batch:
    return crowd(3, seed=1, scenes=5, depth=(2500, 6000))


def exact(batch: Batch, config=CONFIG) -> orpm_ae.Detections:
    """What a perfect network's maps hold."""
    moved, canvas = on_canvas(batch, config.canvas)
    goal = orpm_ae.targets(moved, config)
    own = 10.0 * torch.arange(moved.uv.shape[1]).float().expand(len(batch), -1)
    tag = tags.encode(moved.uv, moved.labelled, own, config.grid)
    return orpm_ae.detect(orpm_ae.Maps(goal.heatmaps, goal.bones, tag), canvas, config)


def test_errors_are_told_apart_by_the_state_of_the_true_joint(people):
    """What is 100 mm off at hidden joints alone is so in that column alone."""
    found, mean = exact(people), torch.zeros(17, 3)
    seen = people.visibility.clone()
    wrist = MPI17.index("l_wrist")
    seen[:, :, wrist] = HIDDEN
    seen[:, :, MPI17.index("r_wrist")] = ABSENT
    batch = replace(people, visibility=seen)
    true = orpm_ae.decode(found, people.k, CONFIG, mean)
    moved = []
    for some in true:
        moved.append([])
        for person in some:
            xyz = person.xyz.copy()
            xyz[wrist] += [0, 0, 100]
            moved[-1].append(replace(person, xyz=xyz))
    before, after = tables.row(batch, true), tables.row(batch, moved)
    assert after["mpjpe_visible"] == before["mpjpe_visible"]
    assert after["mpjpe_outside"] == before["mpjpe_outside"]
    assert 0 < after["mpjpe_hidden"] - before["mpjpe_hidden"] <= 100 + 1e-6
    assert np.isnan(after["mpjpe_whole"])  # everybody lacks a wrist
    assert {"recall", "precision", "mpjpe", "pck_rel_all"} <= set(after)


def test_nobody_found_is_no_error(people):
    row = tables.row(people, [()] * len(people))
    assert row["recall"] == 0 and np.isnan(row["mpjpe"]) and np.isnan(row["mpjpe_hidden"])


def test_all_tables_at_smoke_size(keep):
    """Every study runs from training to its table; a second call trains nothing and gives the same."""
    study = tables.stacks("smoke", keep)
    whole = tables.named(study.table(workers=1), "smoke")
    assert set(whole["variant"]) == {"1-HG", "2-HG", "full", "stack1", "1-HG_naive", *tables.READINGS}
    for other in ("paper", "2-HG"):
        one, same = (whole[whole["variant"] == v].set_index("scene")["precision"] for v in ("full", other))
        pd.testing.assert_series_equal(one, same)
    assert not tables.stacks("smoke", keep).missing()
    changed = tables.changes("smoke", keep)
    of_one = ["1-HG", *networks.CHANGES]
    assert set(spread(changed.table(workers=1))["variant"]) == {*of_one, *(f"{name}_naive" for name in of_one)}
    assert len(list(keep.glob("orpm-ae-studio-smoke-0-*/seen-P1-*-2.npz"))) == 1  # of the second stack
    alone = spread(tables.alone("smoke", keep).table(workers=1))
    assert set(alone["variant"]) == {"full", "full_naive"} and len(show.means(alone)) == 2
    assert set(show.choices(whole).index.get_level_values(0)) == set(show.CHOICES)
    noisy = spread(tables.tag_noise("smoke", keep).table(workers=1))
    assert set(noisy["variant"]) == {"greedy", "hungarian"}
    curves = show.noise_curves(noisy)
    assert set(curves["x"]) == set(tables.NOISE) and (curves["low"] <= curves["high"]).all()
    assert (noisy["lost_0.0"] == 0).all() and noisy["lost_0.5"].notna().all()
    levels = tables.levels("smoke", [0], keep, 1.0)
    assert list(levels.columns) == ["scene", "reading", "hidden", "cut", "mpjpe"]
    assert {"panel", "series", "x", "value"} <= set(show.level_curves(levels))


def test_a_network_looks_once(keep, monkeypatch):
    first = tables.seen("1-HG", "studio", "smoke", 0, keep)
    monkeypatch.setattr(ORPMAE, "detect", lambda *_: pytest.fail("it looked again"))
    again = tables.seen("1-HG", "studio", "smoke", 0, keep)
    assert list(first) == [scene for scene, _ in shown.test_pictures("studio", "smoke")]
    for scene, (found,) in first.items():
        assert torch.equal(found.peaks.found, again[scene][0].peaks.found)


def test_networks_are_named_after_what_decides_them(keep):
    names = [networks.place(v, "studio", "cpu", 0, keep) for v in ("1-HG", "2-HG", "3-HG", "full", *networks.CHANGES)]
    assert names[2] == names[3] and len(set(names)) == len(names) - 1
    assert networks.place("1-HG", "studio", "cpu", 0, keep, 2.0) not in names


def test_a_longer_training_lowers_its_rate_at_the_same_parts():
    size = networks.resized(PROFILES["paper"], 0.001)
    assert size.fit.steps == 240 and size.fit.milestones == (70, 200, 220)
    assert networks.resized(PROFILES["cpu"], 0.1).fit.warmup == PROFILES["cpu"].fit.warmup // 10


def test_pose_maps_weigh_the_same_in_what_is_compared():
    sizes = networks.bones_size("studio", "cpu")
    for name in ("pelvis", "literal"):
        assert networks.CHANGES[name][1] * sizes[name] == pytest.approx(1, abs=0.05)


def test_levels_are_curves_of_those_who_lost_little_else():
    rows = [
        {"scene": s, "reading": "paper", "hidden": h, "cut": c, "mpjpe": m}
        for s in "ab"
        for h, c, m in ((0, 0, 10.0), (20, 0, 30.0), (20, 50, 999.0), (60, 0, 50.0))
    ]
    found = show.level_curves(pd.DataFrame(rows)).set_index(["panel", "x"])["value"]
    hidden = found["joints hidden"]
    assert hidden.to_dict() == {0: 10, 20: 30, 60: 50}  # the one who is cut off too is left out
    assert len(show.level_curves(pd.DataFrame(rows).iloc[:0])) == 0


def test_gaps_are_of_pairs():
    rows = [
        {"variant": v, "seed": s, "scene": c, "n": 1, "mpjpe": value + s}
        for v, value in (("2-HG", 80.0), ("1-HG", 90.0))
        for s in (0, 1)
        for c in "ab"
    ]
    row, none = show.gaps(pd.DataFrame(rows), [("2-HG", "1-HG"), ("3-HG", "2-HG")]).to_dict("records")
    assert none["label"] == "3-HG - 2-HG" and np.isnan(none["difference"])
    assert row["label"] == "2-HG - 1-HG" and row["difference"] == row["low"] == row["high"] == -10


def test_the_spread_of_tags_by_hand(people, monkeypatch):
    """Tags -1, 0, 1, of whom the left wrists are 0.3 off: apart by 1."""
    model, (moved, canvas) = ORPMAE(CONFIG), on_canvas(people, CONFIG.canvas)
    own = torch.tensor([-1.0, 0.0, 1.0]).expand(len(people), -1)
    tag = tags.encode(moved.uv, moved.labelled, own, CONFIG.grid, radius=0)
    empty = torch.zeros(len(people), 17, 3, CONFIG.grid.height, CONFIG.grid.width)
    monkeypatch.setattr(ORPMAE, "maps", lambda *_: ([orpm_ae.Maps(tag, empty, tag)], canvas))
    found = show.tag_spread(model, people)
    assert found["between"] == pytest.approx(1, abs=0.15)  # a few cells are shared
    assert found["within"] < 0.15
    first = {name: getattr(people, name)[:, :1] for name in ("xyz", "uv", "visibility")}
    alone = show.tag_spread(model, replace(people, **first))
    assert np.isnan(alone["between"])


def paint(shots):
    for shot in shots:
        shot.path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (shot.scene.camera.width, shot.scene.camera.height)).save(shot.path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    base = tmp_path_factory.mktemp("data")
    mupots_files.fixture(base / "mupots3d")
    panoptic_files.fixture(base / "panoptic")
    human36m_files.fixture(base / "h36m")
    paint(pictures.from_human36m(base / "h36m", "test"))
    paint(pictures.from_mupots(base / "mupots3d"))
    for sequence, camera, frames in (("160226_mafia1", "00_16", (20, 21)), ("160422_ultimatum1", "00_30", (100, 103))):
        for frame in frames:
            path = panoptic.image_path(base / "panoptic", sequence, camera, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (1920, 1080)).save(path)
    return base


def test_the_papers_data_sets_are_read_where_they_are(data, keep, monkeypatch):
    monkeypatch.setattr(tables, "for_data", lambda *_: (ORPMAE(PROFILES["smoke"].config), "nothing"))
    found = tables.on_data(str(data), {"paper": Reading()}, "smoke", 0, keep, 1.0)
    assert set(found) == {"panoptic", "h36m"}  # not MuPoTS-3D
    for table in found.values():
        assert "trained on nothing" in table.attrs["protocol"] and {"recall", "mpjpe"} <= set(table)
    with pytest.raises(MissingData):
        tables.on_data(str(keep), {"paper": Reading()}, "smoke", 0, keep, 1.0)


def test_a_training_on_the_readers_data_is_kept(data, keep, monkeypatch):
    trained = []

    def train(stream, config, how, seed, out):
        assert stream(0).image.shape[2:] == config.canvas[::-1]
        out.mkdir(parents=True)
        trained.append(config)
        return ORPMAE(config)

    shots = list(pictures.from_human36m(data / "h36m"))  # the fixture has no training subjects
    monkeypatch.setattr(networks.real, "load_train", lambda *_: (shots, []))
    monkeypatch.setattr(orpm_ae, "train", train)
    for _ in range(2):
        model, learned = networks.for_data(data, "h36m", "smoke", 0, keep, 1.0)
        assert learned == "h36m" and model.config == networks.config("full", "smoke")
    assert len(trained) == 1


def test_the_test_cameras_are_not_trained_on(data, keep, monkeypatch):
    """Section 4: the other 28 of Panoptic's HD cameras."""
    seen = []
    monkeypatch.setattr(networks, "FileStream", lambda shots, *_: seen.extend(shots))
    monkeypatch.setattr(orpm_ae, "train", lambda stream, config, how, seed, out: out.mkdir() or ORPMAE(config))
    shots = list(pictures.from_panoptic(data / "panoptic"))  # as if the test split were the training split
    others = [replace(shot, path=shot.path.parent.parent / "00_07" / shot.path.name) for shot in shots]
    monkeypatch.setattr(networks.real, "load_train", lambda *_: (shots + others, []))
    networks.for_data(data, "panoptic", "smoke", 1, keep, 1.0)
    assert seen == others


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_s_pictures_can_be_drawn(profile):
    size = PROFILES[profile]
    Stream("studio", 0, size.width, size.height, size.batch, reuse=size.reuse, block=size.block)
