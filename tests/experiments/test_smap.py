"""SMAP's experiments: scores by hand, exact maps, all methods on the same pictures, studies end to end."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mp3d.batch import Batch
from mp3d.experiments import scores, shown
from mp3d.experiments import threedmppe as crops
from mp3d.experiments.codings.crowds import crowd
from mp3d.experiments.pinet import spread
from mp3d.experiments.smap import cost, networks, show, tables
from mp3d.experiments.smap.cost import exact_maps
from mp3d.papers import smap
from mp3d.papers.smap import PROFILES, SMALL
from mp3d.papers.smap.targets import PICKED
from mp3d.scene import VISIBLE, Person
from mp3d.skeletons import NATIVE, SMAP15
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import takes

CONFIG = replace(SMALL, canvas=(256, 160), labels="plain")


@pytest.fixture(scope="module")
def people() -> Batch:
    return crowd(3, seed=1, scenes=5, depth=(2500, 6000))


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    return tmp_path_factory.mktemp("smap")


def truth(batch: Batch, moved=(0.0, 0, 0), drop=None) -> list[list[Person]]:
    """The true people, all moved by so many mm; `drop` is left out of each picture."""
    found = []
    for b in range(len(batch)):
        found.append([])
        for p in np.flatnonzero(batch.there[b].numpy()):
            if p != drop:
                xyz = batch.xyz[b, p].double().numpy() + np.array(moved)
                seen, source = np.full(17, VISIBLE, np.uint8), np.full(17, NATIVE, np.uint8)
                found[-1].append(Person(xyz, batch.uv[b, p].double().numpy(), seen, source, int(p)))
    return found


def picked(person: Person) -> Person:
    """In SMAP's joints."""
    xyz, uv, seen, source = (a[PICKED] for a in (person.xyz, person.uv, person.visibility, person.source))
    return replace(person, xyz=xyz, uv=uv, visibility=seen, source=source, skeleton=SMAP15)


# ---- scores -------------------------------------------------------------------------------------


def test_the_truth_is_perfect(people):
    found = scores.row("one", people, truth(people))
    perfect = {"recall", "precision", "pck_rel", "pck_abs", "pck_root", "pcod", "pck_rel_all", "pck2d", "pcod_order"}
    assert {name: found[name] for name in perfect} == dict.fromkeys(perfect, 100.0)
    assert found["mpjpe"] == found["rt_error"] == 0
    assert found["auc_rel"] == pytest.approx(100 * 30 / 31) and found["auc_rel_above_0"] == 100
    assert found["n"] == people.there.sum()


def test_moving_everybody_away_costs_places_alone(people):
    found = scores.row("one", people, truth(people, (0, 0, 200)))
    assert found["mpjpe"] == pytest.approx(0, abs=1e-6) and found["pck_rel"] == 100 and found["pcod"] == 100
    assert found["rt_error"] == found["rt_z"] == pytest.approx(200)
    assert found["pck_abs"] == found["pck_root"] == found["pck_root_150"] == 0 and found["pck_root_250"] == 100


def test_a_missed_person_costs_recall_and_the_shares_of_all(people):
    found = scores.row("one", people, truth(people, drop=0))
    there = people.there.sum().item()
    left = sum(map(len, truth(people, drop=0)))
    assert found["recall"] == pytest.approx(100 * left / there) and found["precision"] == 100
    assert found["pck_rel"] == 100 and found["pck_rel_all"] == pytest.approx(100 * left / there)


def test_a_person_who_is_not_there_costs_precision(people):
    found = truth(people)
    one = found[0][0]
    found[0].append(replace(one, xyz=one.xyz + [5000, 0, 0], uv=one.uv + 900))
    assert scores.row("one", people, found)["precision"] == pytest.approx(100 * (1 - 1 / sum(map(len, found))))


def test_joints_that_were_added_play_no_part_in_matching(people):
    """Hidden joints are RefineNet's: wherever they are in the picture, the match is that of the others."""
    found = truth(people)
    for person in (person for some in found for person in some):
        person.visibility[:7] = 1
        person.uv[:7] += 500
    assert scores.row("one", people, found)["recall"] == 100


def test_nobody_found_is_no_error(people):
    found = scores.row("one", people, [[] for _ in range(len(people))])
    assert found["recall"] == found["pck_rel_all"] == 0
    assert np.isnan([found[name] for name in ("precision", "mpjpe", "pck_rel", "pcod", "rt_error")]).all()


def test_exact_maps_are_read_almost_perfectly(people):
    maps, canvas = exact_maps(people, CONFIG)
    found = scores.row("one", people, smap.decode(maps, canvas, people.k, CONFIG))
    assert found["recall"] > 80 and found["precision"] == 100 and found["pck_root_50"] > 90 and found["pcod"] == 100


# ---- methods ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch() -> Batch:
    return render(takes("duet", 3, 0, "test"), 64, 40, seed=1).batch


def test_a_fit_of_the_true_pose_to_the_true_picture_finds_the_place(batch):
    moved = truth(batch, (300, -200, 900))
    for some, true in zip(tables.fitted(moved, batch), truth(batch), strict=True):
        for one, other in zip(some, true, strict=True):
            np.testing.assert_allclose(one.xyz, other.xyz, atol=2)


def test_depths_that_are_read_out_move_people_along_their_rays(batch):
    class Wall:
        def read(self, images, k, uv):
            return torch.full(uv.shape[:2], 4000.0)

    found = [[picked(person) for person in some] for some in truth(batch)]
    for some, before in zip(tables.read_out(Wall(), found, batch), found, strict=True):
        for one, other in zip(some, before, strict=True):
            assert one.root[2] == pytest.approx(4000)
            np.testing.assert_allclose(one.root[:2] / one.root[2], other.root[:2] / other.root[2])
            np.testing.assert_allclose(one.xyz - one.root, other.xyz - other.root, atol=1e-6)


def test_surfaces_are_before_the_joints_and_only_where_people_are(batch):
    pictures = render(takes("duet", 3, 0, "test"), 64, 40, seed=1)
    config = replace(PROFILES["smoke"].config, normalisation="none")
    found = networks.surfaces(pictures, config).depth
    assert found.shape == (3, 16, 16) and found.isfinite().any() and not found.isfinite().all()
    z = batch.xyz[..., 2]
    low, high = z.nan_to_num(nan=torch.inf).min(), z.nan_to_num().max()
    known = found[found.isfinite()]
    assert low - 400 < known.min() and known.max() < high + 100
    # grey beside the picture belongs to nobody
    assert not found[:, [0, 1, 2, 13, 14, 15]].isfinite().any()


# ---- studies, whole -----------------------------------------------------------------------------


def test_all_tables_at_smoke_size(keep):
    """Every study runs from training to its table; a second call trains nothing and gives the same."""
    parts = tables.networks("smoke", keep)
    results = tables.with_same(spread(parts.table(workers=1)), "smoke")
    assert {*networks.VARIANTS, *tables.READINGS, "threedmppe"} == set(results["variant"])
    assert "one_stage" not in parts.variants  # the profile's own network has one
    full, dapa = (results[results["variant"] == name].set_index("scene")["pck_rel_all"] for name in ("full", "dapa"))
    pd.testing.assert_series_equal(full, dapa)
    again = tables.with_same(spread(tables.networks("smoke", keep).table(workers=1)), "smoke")
    pd.testing.assert_frame_equal(results, again)

    duet = spread(tables.worlds(["duet"], "smoke", keep).table(workers=1))
    assert {"smap", "smap_unrefined", "threedmppe", "fit_t", "k_alone", "dense", "truth"} == set(duet["variant"])
    assert (duet.loc[duet["variant"] == "truth", "pck_root_50"] == 100).all()
    assert duet.groupby("scene")["n"].nunique().max() == 1

    cameras = tables.intrinsics("smoke", keep).table(workers=1)
    assert set(cameras["variant"]) == {"known", "default_f", "no_normalisation"}
    assert cameras["scene"].str.endswith("_fov").sum() == len(cameras) / 2

    model = networks.trained("full", "duet", "smoke", 0, keep)
    other = crops.trained("smoke", 0, keep, tables.CROPS)
    costs = cost.cost(model, other, (1, 2), rounds=2, repeats=1)
    seconds = costs.set_index(["variant", "seed"])["seconds_2"]
    whole = sum(seconds[name, 0] for name in ("smap", "dapa", "refine"))
    assert seconds["smap_whole", 0] == pytest.approx(whole)
    assert set(show.costs(costs)["x"]) == {1, 2}


def test_networks_are_named_after_what_decides_them(keep):
    names = {networks.place(variant, "duet", "smoke", 0, keep) for variant in networks.VARIANTS}
    # one stage is the profile's own network
    assert len(names) == len(networks.VARIANTS) - 1


def test_default_cameras_are_as_wide_as_the_picture(batch):
    assert tables.default_cameras(batch)[1].tolist() == [64, 64, 32, 20]


# ---- what is shown ------------------------------------------------------------------------------


def test_activities_are_means_of_their_videos():
    rows = [
        {"variant": "smap", "seed": 0, "scene": f"P{i}", "n": 5, "mpjpe": 10.0 * i, "rt_error": 1.0, "pcod": 90.0}
        for i in range(1, 10)
    ]
    found = shown.activities(pd.DataFrame(rows))
    assert found.loc[("mpjpe", "smap")].to_dict() == {
        "haggling": 15, "mafia": 35, "ultimatum": 55, "pizza": 75, "average": 45,
    }  # fmt: skip


def test_a_picture_of_ones_own_is_read_or_named(tmp_path, batch):
    from PIL import Image

    from mp3d.errors import BadInput, MissingData

    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(tmp_path / "a.png")
    image, camera = shown.own(str(tmp_path / "a.png"), 0, batch)
    assert image.shape == (30, 50, 3) and camera.fx == 50 and camera.cx == 25
    assert shown.own(str(tmp_path / "a.png"), 80.0, batch)[1].fx == 80
    assert shown.own("", 0, batch)[0].shape == (40, 64, 3)
    with pytest.raises(MissingData, match=r"none\.jpg"):
        shown.own(str(tmp_path / "none.jpg"), 0, batch)
    (tmp_path / "b.jpg").write_text("no picture")
    with pytest.raises(BadInput, match=r"b\.jpg"):
        shown.own(str(tmp_path / "b.jpg"), 0, batch)


def test_differences_are_of_pairs():
    rows = [
        {"variant": v, "seed": s, "scene": c, "n": 1, "pck2d": value + s}
        for v, value in (("dapa", 80.0), ("2dpa", 78.0))
        for s in (0, 1)
        for c in "ab"
    ]
    (row,) = show.differences(pd.DataFrame(rows), "dapa", ["pck2d"]).to_dict("records")
    assert row["label"] == "2dpa" and row["difference"] == row["low"] == row["high"] == 2
