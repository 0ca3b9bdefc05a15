"""3DMPPE's experiment: what its modes impose, who is counted as what, and that it runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mp3d.experiments import network_made
from mp3d.experiments import pinet as stand_in
from mp3d.experiments import threedmppe as experiment
from mp3d.papers.threedmppe import PROFILES, ThreeDMPPE
from mp3d.scene import Person
from mp3d.synthetic import worlds
from mp3d.synthetic.render import render

REMEMBERED = [stand_in.training_people, stand_in.people_to_test, experiment.best_constant, experiment.test_pictures]
REMEMBERED += [experiment.odd_pictures, network_made.people_to_train_on, network_made.people_to_test]


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Takes are drawn by the block; splits that are drawn by rejection take their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(worlds.WORLDS, "duet", replace(worlds.DUET, block=16))
        yield
    for remembered in REMEMBERED:
        remembered.cache_clear()


@pytest.fixture(scope="module")
def takes():
    return worlds.takes("duet", 12, seed=5, split="test")


@pytest.fixture(scope="module")
def batch(takes):
    return render(takes, 64, 48, seed=0).batch


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    return tmp_path_factory.mktemp("keep")


@pytest.fixture(scope="module")
def table(keep):
    return stand_in.spread(experiment.study("smoke", keep).table())


class Truthful(ThreeDMPPE):
    """It knows the poses and puts them where it is told, or where they are."""

    def __init__(self, batch):
        super().__init__(PROFILES["smoke"].config)
        self.batch, self.flips, self.pelvis = batch, [], 0.0

    def locate(self, images, boxes, cameras):
        return [xyz[there, 14].double().numpy() for xyz, there in zip(self.batch.xyz, self.batch.there, strict=True)]

    def estimate(self, images, boxes, cameras, depths=None, flip=True):
        self.flips.append(flip)
        out = []
        for i, there in enumerate(self.batch.there):
            out.append([])
            for p, xyz in enumerate(self.batch.xyz[i, there].double().numpy()):
                far = xyz[14, 2] if depths is None else float(depths[i][p])
                pose = xyz + (0, 0, far - xyz[14, 2])
                pose[14, 2] += self.pelvis
                uv, seen = np.zeros((17, 2)), np.full(17, 2, np.uint8)
                out[-1].append(Person(pose, uv, seen, seen, identity=p))
        return out


def test_modes_impose_the_depths_that_they_say(batch):
    model = Truthful(batch)
    far = torch.cat(experiment._far(batch)).double().numpy()
    true = np.concatenate([xyz[there, 14, 2] for xyz, there in zip(batch.xyz.numpy(), batch.there, strict=True)])
    expected = {"true_roots": true, "rootnet": true, "k_alone": far, "constant": 0.9 * far}
    for mode, depth in expected.items():
        poses, roots = map(np.concatenate, experiment.estimates(model, batch, mode, 0.9))
        assert np.allclose(poses[:, 14, 2], depth, rtol=1e-4), mode
        assert np.allclose(roots[:, 2], depth, rtol=1e-4), mode
        rays = [np.concatenate(model.locate(None, None, None))[:, :2], roots[:, :2]]
        assert np.allclose(rays[0] / true[:, None], rays[1] / roots[:, 2:], atol=1e-6), mode  # along the ray
    experiment.estimates(model, batch, "no_flip")
    assert model.flips == [True, True, True, True, False]


def test_perfect_poses_score_perfectly_and_shifted_roots_only_relatively(batch):
    poses, roots = experiment.estimates(Truthful(batch), batch, "true_roots")
    best = experiment.scores(poses, roots, batch)
    assert best["mpjpe"] < 1e-3 and best["depth_error"] < 1e-5
    assert best["pck3d"] == best["pck3d_abs"] == best["pck_root"] == 100
    assert best["ap_root"] == pytest.approx(100)
    away = np.array([0.0, 0, 200])
    moved = experiment.scores([p + away for p in poses], [r + away for r in roots], batch)
    assert moved["pck3d"] == 100 and moved["pck3d_abs"] == moved["pck_root"] == 0
    assert moved["root_error"] == pytest.approx(200) and moved["ap_root"] == pytest.approx(100)


def test_the_root_is_rootnet_s_and_not_posenet_s_pelvis(batch):
    model = Truthful(batch)
    model.pelvis = 70.0
    score = experiment.scores(*experiment.estimates(model, batch, "true_roots"), batch)
    assert score["depth_error"] < 1e-5 and score["mpjpe"] > 10


def test_a_rejected_box_is_wrong_and_not_averaged(batch):
    poses, roots = experiment.estimates(Truthful(batch), batch, "true_roots")
    people = sum(map(len, poses))
    poses[0][0] = roots[0][0] = np.nan
    score = experiment.scores(poses, roots, batch)
    assert score["mpjpe"] < 1e-3
    assert score["pck_root"] == pytest.approx(100 * (people - 1) / people)


def test_the_best_constant_is_1_where_depths_are_k(monkeypatch):
    far = experiment._far
    monkeypatch.setattr(experiment, "_far", lambda batch: experiment._people(batch)[1])
    assert experiment.best_constant.__wrapped__("smoke", 0) == pytest.approx(1)
    monkeypatch.setattr(experiment, "_far", far)
    assert 0.8 < experiment.best_constant.__wrapped__("smoke", 0) < 1.2


def test_failures_of_a_model_that_makes_none(monkeypatch):
    shown = [batch for _, _, batch in experiment.odd_pictures("smoke")]

    def locate(self, images, boxes, cameras):
        pictures = shown.pop(0)
        return [xyz[there, 14].double().numpy() for xyz, there in zip(pictures.xyz, pictures.there, strict=True)]

    monkeypatch.setattr(Truthful, "locate", locate)
    found = experiment.failures(Truthful(None), "smoke")
    assert found["error"].max() < 1e-3 and np.allclose(found["needed"], found["found"], atol=1e-5)
    median = found.groupby("group")["needed"].median()
    assert {"standing", "cut", "child"} <= set(median.index)
    assert median["child"] < 0.75 * median["standing"] and median["cut"] < median["standing"]


def test_children_are_smaller_in_the_same_place(takes):
    small = experiment.shrunk(takes, 0.65)

    def world(some):
        return np.einsum("nji,npkj->npki", some.rotation, some.points - some.translation[:, None, None])

    before, after = world(takes), world(small)
    assert np.allclose(after[:, :, 14, ::2], before[:, :, 14, ::2], equal_nan=True)  # x and z of the pelvis
    assert np.allclose(after[..., 1], 0.65 * before[..., 1], equal_nan=True)  # heights above the floor
    bones = [np.linalg.norm(p[:, :, 9] - p[:, :, 8], axis=-1) for p in (before, after)]
    assert np.allclose(bones[1], 0.65 * bones[0], equal_nan=True)


def test_groups_are_what_their_names_say(takes, batch):
    groups = experiment.groups(batch, takes, "")
    assert [len(g) for g in groups] == batch.there.sum(1).tolist()
    seen = batch.visibility.numpy()
    for i, of_picture in enumerate(groups):
        for p, group in enumerate(of_picture):
            outside, hidden = (seen[i, p] == 0).any(), (seen[i, p] < 2).mean() >= 0.5
            assert (group == "") == outside
            assert (group == "hidden") == (hidden and not outside)
    cut = experiment.groups(batch, takes, "cut")
    assert {g for of_picture in cut for g in of_picture} <= {"", "cut"}
    child = experiment.groups(batch, takes, "child")
    assert any("cut" in of_picture for of_picture in cut) or (seen > 0)[batch.there.numpy()].mean() > 0.9
    flat = [(a, b) for x, y in zip(groups, child, strict=True) for a, b in zip(x, y, strict=True)]
    assert all((a == "standing") == (b == "child") for a, b in flat)


def test_the_study_has_every_mode_and_every_contrast(table):
    assert set(table["variant"]) == set(experiment.MODES)
    assert table["seed"].nunique() == PROFILES["smoke"].seeds
    videos = table[(table["variant"] == "k_alone") & table["mpjpe"].notna()]
    assert sorted(set(videos["scene"])) == sorted(f"D{i}" for i in range(1, 21))
    rootnet = table[table["variant"] == "rootnet"]
    assert {f"depth_error_{name}" for name in experiment.CONTRASTS} <= set(rootnet)


def test_networks_are_kept_and_read_again(table, keep, monkeypatch):
    def untouchable(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(experiment.threedmppe, "train", untouchable)
    one = experiment.trained("smoke", 0, keep)
    other = experiment.trained("smoke", 1, keep)
    assert not torch.equal(one.pose.volume.weight, other.pose.volume.weight)
    assert len(experiment.by_split(one, "smoke", 1.0)) == 12
    cost = experiment.cost(one, (1, 2), rounds=3, repeats=1)
    assert (cost[["seconds_1", "seconds_2"]] > 0).all(axis=None) and cost["seed"].tolist() == [0, 1, 2]


def test_a_budget_multiplies_the_steps_and_what_hangs_on_them():
    half = experiment.resized(PROFILES["paper"], 0.5)
    assert half.root.steps == 250_000 and half.root.milestones == (212_500,)
    assert half.pose.milestones == (212_500, 262_500) and half.config == PROFILES["paper"].config


def test_pi_net_refines_what_3dmppe_makes(table, keep):
    made = stand_in.spread(network_made.study("smoke", keep, seeds=1).table())
    assert set(made["variant"]) == set(network_made.NAMES)
    assert sorted(set(made["scene"])) == sorted(f"D{i}" for i in range(1, 21))
    assert made["mpjpe"].between(10, 2000).all()
    assert list(network_made.errors(made).index) == list(network_made.NAMES.values())
    scenes, poses = network_made.people_to_train_on("smoke", str(keep), 1.0)
    others = [*worlds.scenes("duet", 64, seed=0), *network_made.people_to_test("smoke", str(keep), 1.0)[0]]
    assert not {scene.xyz.tobytes() for scene in scenes} & {scene.xyz.tobytes() for scene in others}
    assert all(p.shape == scene.xyz.shape for p, scene in zip(poses, scenes, strict=True))
