"""PandaNet's anchors looked at one by one: whose they are, which learn, what the unit squares teach; losses by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mp3d.batch import Batch
from mp3d.canvas import on_canvas
from mp3d.codings import anchors as coding
from mp3d.experiments.codings.crowds import crowd, pair
from mp3d.experiments.pandanet import steps
from mp3d.experiments.pandanet.cost import exact_maps
from mp3d.papers import pandanet
from mp3d.papers.pandanet import PandaNet, PandaNetConfig
from mp3d.scene import ABSENT, VISIBLE
from mp3d.skeletons import MPI17

CONFIG = PandaNetConfig(
    canvas=(256, 160), widths=(4, 4, 8, 8, 16), residuals=(0, 1, 1, 1), neck=8, convolutions=1, count=3
)  # fmt: skip
"""Cells of 2 px."""
SIZES = torch.tensor([[14.0, 36], [30, 80], [60, 140]])
"""Anchors for people of 4 to 12 m in pictures of 256 x 160."""


def saying(maps: pandanet.Maps, batch: Batch, config: PandaNetConfig = CONFIG) -> PandaNet:
    """A network that says this of pictures like those of a batch, whatever they show."""
    model, canvas = PandaNet(config), on_canvas(batch, config.canvas)[1]
    model.sizes.copy_(SIZES)
    model.maps = lambda images: (pandanet.Maps(*(part[: len(images)] for part in maps)), canvas)
    return model


def goal_of(batch: Batch, config: PandaNetConfig = CONFIG) -> pandanet.Targets:
    return pandanet.targets(on_canvas(batch, config.canvas)[0], SIZES, config)


@pytest.fixture(scope="module")
def two() -> Batch:
    """A picture of two people who overlap."""
    return pair(500, 0, 1, behind=400)


@pytest.fixture(scope="module")
def exact(two) -> pandanet.Maps:
    return exact_maps(two, SIZES, CONFIG)[0]


# ---- anchors ----------------------------------------------------------------------------------------


def test_the_picture_is_of_the_two_whole_people_who_overlap_most(monkeypatch):
    """But not by 0.75 or more; others than a third cost a tenth of overlap each."""
    shifts = ((4.0,), (10.0,), (13.0, 500.0, 1000.0, 1500.0), (15.0,), (20.0,))  # IoU 0.83, 0.63, 0.54, 0.49, 0.38
    uv, seen = torch.full((5, 5, 17, 2), torch.nan), torch.zeros(5, 5, 17, dtype=torch.uint8)
    for b, some in enumerate(shifts):
        for p, shift in enumerate((0.0, *some)):
            uv[b, p] = torch.linspace(0, 40, 17)[:, None] + torch.tensor([shift, 0])  # boxes of 44 x 46 px
            seen[b, p] = VISIBLE
    seen[1, 0, 3] = ABSENT  # not whole
    k = torch.arange(5.0)[:, None].expand(-1, 4)
    batch = Batch(torch.zeros(5, 3, 40, 64, dtype=torch.uint8), torch.zeros(5, 5, 17, 3), uv, seen, k)
    monkeypatch.setattr(steps, "takes", lambda *how: how)
    monkeypatch.setattr(steps, "render", lambda *how: shown.append(how) or SimpleNamespace(batch=batch))
    shown = []
    assert steps.overlapping.__wrapped__(64, 40).k[:, 0].tolist() == [3]
    assert shown == [(("studio", 48, 0, "overlap"), 64, 40, 1)]


def test_anchors_of_two_people(two, exact):
    looked = steps.look(saying(exact, two), two)
    grid, goal = CONFIG.grid(256, 160), goal_of(two)
    assert looked.image.shape == (160, 256, 3) and looked.people.shape == (2, 17, 2) and looked.boxes.shape == (2, 4)
    for name in ("owner", "pono", "pose", "positive", "readable", "score"):
        assert getattr(looked, name).shape == (grid.height, grid.width)
    assert set(np.unique(looked.owner)) == {-1, 0, 1}
    assert (looked.owner[looked.positive] >= 0).all() and looked.positive[looked.readable].all()
    assert looked.positive.any() and not looked.positive.all()
    np.testing.assert_array_equal(looked.owner >= 0, looked.pono > 0)
    np.testing.assert_array_equal(looked.pono, goal.pono[0].amax(-1))
    np.testing.assert_array_equal(looked.positive, looked.pono > 0.5)
    np.testing.assert_allclose(looked.boxes, goal.boxes[0])
    for person in range(2):
        assert looked.pono[looked.owner == person].max() == 1


def test_what_fits_is_read_and_what_does_not_is_silent(two, exact):
    looked = steps.look(saying(exact, two), two)
    np.testing.assert_allclose(looked.pose, looked.positive, atol=1e-5)  # 1 at A+, 0 elsewhere
    np.testing.assert_array_equal(looked.readable, looked.positive)
    np.testing.assert_allclose(looked.score[looked.positive], looked.pono[looked.positive].clip(max=0.999), atol=1e-5)
    assert (looked.score[~looked.positive] < 1e-6).all()
    far = steps.look(saying(exact._replace(uv=exact.uv + 0.25), two), two)  # a quarter of an anchor off both ways
    overlap = 0.75**2 / (2 - 0.75**2)
    np.testing.assert_allclose(far.pose[far.positive], overlap, atol=1e-5)
    assert not far.readable.any() and far.positive.any()  # 0.39 at most
    near = steps.look(saying(exact._replace(uv=exact.uv + 0.1), two), two)
    overlap = 0.9**2 / (2 - 0.9**2)
    np.testing.assert_array_equal(near.readable, near.pono * overlap > 0.5)
    assert near.readable.sum() < near.positive.sum()


def test_whoever_is_not_in_the_picture_is_left_out(two, exact):
    """The owner is a place among those who are shown."""
    gone = two.visibility.clone()
    gone[0, 0] = ABSENT
    looked = steps.look(saying(exact, two), replace(two, visibility=gone))
    assert len(looked.people) == len(looked.boxes) == 1 and set(np.unique(looked.owner)) == {-1, 0}
    np.testing.assert_allclose(looked.people[0], two.uv[0, 1], rtol=1e-5)
    none = steps.look(saying(exact, two), replace(two, visibility=torch.zeros_like(gone)))
    assert none.people.shape == (0, 17, 2) and (none.owner == -1).all() and not none.positive.any()


def test_a_picture_of_another_size_is_looked_at_on_the_canvas():
    config = replace(CONFIG, canvas=(192, 128))
    batch = pair(1600, 0, 1)
    maps, canvas = exact_maps(batch, SIZES, config)
    looked = steps.look(saying(maps, batch, config), batch)
    assert looked.image.shape == (128, 192, 3) and looked.owner.shape == (64, 96)
    np.testing.assert_allclose(looked.people, canvas.to(batch.uv)[0], rtol=1e-5)


def test_joints_that_are_not_known_do_not_count(two, exact):
    """Of the others the mean stays as it was, wherever the unknown ones are said to be."""
    uv = two.uv.clone()
    uv[0, 0, MPI17.index("head")] = torch.nan  # inside the box
    unknown = replace(two, uv=uv)
    said = exact.uv.clone()
    said[..., MPI17.index("head"), :] += 0.5
    goal, model = goal_of(unknown), saying(exact, two)
    found = steps.pose_overlap(model, exact._replace(uv=said), goal)
    at = goal.pono > 0.5
    first = at & (goal.person == 0)
    np.testing.assert_allclose(found[first], 1, atol=1e-5)
    expected = (16 + 0.25 / 1.75) / 17
    np.testing.assert_allclose(found[at & (goal.person == 1)], expected, atol=1e-5)
    assert (found[~at] == 0).all()


def shared_by_hand(batch: Batch):
    """Of the anchors of A+ in one picture: whether a second person's overlap is above half of their best, PONO, and
    whose they are."""
    goal = goal_of(batch)
    anchors = coding.grid_anchors(SIZES, CONFIG.grid(256, 160))
    overlap = torch.stack([coding.iou(anchors, box) for box in goal.boxes[0]])
    claims = overlap > 0.5 * overlap.flatten(1).amax(1)[:, None, None, None]
    at = goal.pono[0] > 0.5
    return claims.all(0)[at].numpy(), goal.pono[0][at].double().numpy(), goal.person[0][at].numpy()


def test_anchors_that_two_share_are_told_from_the_others_at_one_pono():
    """Poses fit at anchors of the person on the left alone, and there where PONO is above 0.75."""
    batch = pair(300, 0, 1)
    maps, goal = exact_maps(batch, SIZES, CONFIG)[0], goal_of(batch)
    fits = (goal.person == 0) & (goal.pono > 0.75)
    model = saying(maps._replace(uv=maps.uv.where(fits[..., None, None], 5.0)), batch)
    found = steps.crossed(model, [("O", batch)])
    assert list(found.columns) == ["variant", "seed", "scene", "n", "pono", "kept", "overlap"]
    assert found["variant"].tolist() == ["shared", "own"] and set(found["scene"]) == {"O"}
    found = found.set_index("variant")
    shared, pono, owner = shared_by_hand(batch)
    good = (owner == 0) & (pono > 0.75)
    means = {"shared": [], "own": []}  # for each shared anchor: of its bin, how many fit
    bins = np.floor(10 * pono).clip(max=9)  # a PONO of 1 is in the last
    for bin_ in bins[shared]:
        near = bins == bin_
        assert near[~shared].any()
        means["shared"].append(100 * good[near & shared].mean())
        means["own"].append(100 * good[near & ~shared].mean())
    for name, some in (("shared", shared), ("own", ~shared)):
        assert found.loc[name, "n"] == some.sum() > 50
        assert found.loc[name, "pono"] == pytest.approx(pono[some].mean(), rel=1e-6)
        for metric in ("kept", "overlap"):
            assert found.loc[name, metric] == pytest.approx(np.mean(means[name]), abs=1e-3)
    assert np.mean(means["own"]) > 100 * good[~shared].mean() + 10  # of all of them, fewer fit


@pytest.mark.parametrize("off", [0.1, 0.15, 0.2, 0.25])
def test_anchors_of_one_pono_and_one_overlap_are_kept_alike_whoever_shares_them(off):
    """Every pose is as far off in anchor coordinates: only PONO decides, of which anchors that are shared have more."""
    batch = pair(300, 0, 1)
    exact = exact_maps(batch, SIZES, CONFIG)[0]
    model = saying(exact._replace(uv=exact.uv + torch.tensor([off, 0.0])), batch)
    found = steps.crossed(model, [("O", batch)]).set_index("variant")
    overlap = (1 - off) / (1 + off)
    np.testing.assert_allclose(found["overlap"], 100 * overlap, rtol=1e-4)
    assert found.loc["shared", "pono"] > found.loc["own", "pono"] + 0.1
    shared, pono, _ = shared_by_hand(batch)
    kept = pono * overlap > 0.5
    assert 100 * abs(kept[shared].mean() - kept[~shared].mean()) > 15
    edge = np.floor(10 * pono[shared]) == np.floor(10 * 0.5 / overlap)  # the one bin of which a part is kept
    assert abs(found.loc["shared", "kept"] - found.loc["own", "kept"]) < min(4, 100 * edge.mean())


def test_a_row_a_scene_and_none_for_one_where_nothing_is_shared(two, exact):
    both = steps.crossed(saying(exact, two), [("A", two), ("B", pair(1600, 0, 1)), ("C", two)])
    assert both["scene"].tolist() == ["A", "A", "C", "C"]
    assert both["variant"].tolist() == 2 * ["shared", "own"]
    assert both["n"].tolist() == 2 * both["n"][:2].tolist()
    np.testing.assert_allclose(both[["kept", "overlap"]], 100, rtol=1e-5)


def test_people_apart_share_nothing():
    """No rows: there is nothing to compare."""
    batch = pair(1600, 0, 1)
    assert not shared_by_hand(batch)[0].any()
    found = steps.crossed(saying(exact_maps(batch, SIZES, CONFIG)[0], batch), [("O", batch)])
    assert not len(found) and {"variant", "kept", "overlap"} <= set(found)


def test_two_people_in_one_box_share_everything():
    """No rows: there is nothing to compare with."""
    batch = pair(500, 0, 1)
    same = replace(batch, **{name: getattr(batch, name)[:, [0, 0]] for name in ("xyz", "uv", "visibility")})
    assert shared_by_hand(same)[0].all()
    assert not len(steps.crossed(saying(exact_maps(same, SIZES, CONFIG)[0], same), [("O", same)]))


def test_shares_of_anchor_sizes_are_of_the_anchors_of_all_batches():
    """Not means of the batches' shares: one has more people."""
    few, many = pair(1600, 0, 1), crowd(6, 1, 3, depth=(4000, 9000))
    number = np.zeros(3)
    for batch in (few, many):
        for kind in (goal_of(batch).pono > 0.5).nonzero()[:, 3].tolist():
            number[kind] += 1
    model = PandaNet(CONFIG)
    model.sizes.copy_(SIZES)
    found = steps.shares(model, [few, many])
    assert found.shape == (3,) and found.sum() == pytest.approx(1) and (number > 0).all()
    np.testing.assert_allclose(found, number / number.sum(), rtol=1e-6)
    assert np.abs(found - (steps.shares(model, [few]) + steps.shares(model, [many])) / 2).max() > 0.01


# ---- joints that are an anchor's side off -------------------------------------------------------------


def test_joints_that_teach_nothing_are_counted_by_anchor_size():
    batch = crowd(4, 1, 3, depth=(4000, 9000))
    maps, goal = exact_maps(batch, SIZES, CONFIG)[0], goal_of(batch)
    anchors = coding.grid_anchors(SIZES, CONFIG.grid(256, 160))
    number, lost = np.zeros(3), np.zeros(3)
    for b, row, column, kind in (goal.pono > 0.5).nonzero().tolist():
        x, y, width, height = anchors[row, column, kind].tolist()
        uv = batch.uv[b, goal.person[b, row, column, kind]].numpy()
        off = np.abs(uv - [x + width / 2, y + height / 2]) / [width, height]
        number[kind] += 17
        lost[kind] += (off >= 1).any(-1).sum()
    found = steps.beyond(saying(maps, batch), [batch])
    assert found["size"].tolist() == ["14 x 36", "30 x 80", "60 x 140"]
    assert found["joints"].tolist() == number.tolist() and lost.sum() > 0
    np.testing.assert_allclose(found["untrained"], 100 * lost / number.clip(1), rtol=1e-5)
    assert (found["trained"] == 0).all()
    silent = maps._replace(uv=torch.zeros_like(maps.uv))
    same = steps.beyond(saying(silent, batch), [batch])
    np.testing.assert_array_equal(same["trained"], same["untrained"])


@pytest.mark.parametrize("off, share", [((0.9, -0.9), 0), ((1.01, 0.0), 100), ((0.0, -1.01), 100)])
def test_one_side_off_is_enough_to_teach_nothing(two, exact, off, share):
    found = steps.beyond(saying(exact._replace(uv=exact.uv + torch.tensor(off)), two), [two])
    assert set(found.loc[found["joints"] > 0, "trained"]) == {share}


def test_batches_add_up_and_unknown_joints_do_not_count(two, exact):
    once, twice = (steps.beyond(saying(exact, two), some) for some in ([two], [two, two]))
    assert twice["joints"].tolist() == (2 * once["joints"]).tolist()
    np.testing.assert_allclose(once["untrained"], twice["untrained"])
    uv = two.uv.clone()
    uv[:, :, MPI17.index("head")] = torch.nan  # inside the box
    said = exact.uv.clone()
    said[..., MPI17.index("head"), :] += 2
    less = steps.beyond(saying(exact._replace(uv=said), two), [replace(two, uv=uv)])
    assert (less["trained"] == 0).all()
    assert (17 * less["joints"]).tolist() == (16 * once["joints"]).tolist()


# ---- losses with a pencil ---------------------------------------------------------------------------------


def curve(panel: str, series: str):
    table = steps.unit_square()
    some = table[(table["panel"] == panel) & (table["series"] == series)]
    assert some["low"].equals(some["value"]) and some["high"].equals(some["value"])
    return some["x"].to_numpy(), some["value"].to_numpy()


def test_curves_go_by_steps_of_a_fortieth_to_one_and_a_half():
    table = steps.unit_square()
    assert len(table) == 4 * 61
    for _, some in table.groupby(["panel", "series"]):
        np.testing.assert_allclose(some["x"], np.arange(61) / 40)


@pytest.mark.parametrize("off, loss", [(0, 0), (0.1, 0.0331), (0.25, 0.16), (0.5, 0.4444), (1, 1), (1.5, 1)])
def test_the_loss_of_a_joint_off_in_one_direction(off, loss):
    x, value = curve("loss", "in one direction")
    assert value[np.isclose(x, off)] == pytest.approx([loss], abs=1e-4)


def test_the_loss_of_a_joint_in_closed_form():
    x, value = curve("loss", "in one direction")
    near = x.clip(max=1)
    np.testing.assert_allclose(value, (2 * near / (1 + near)) ** 2)
    x, value = curve("loss", "in both")
    common = (1 - near) ** 2
    np.testing.assert_allclose(value, (1 - common / (2 - common)) ** 2)


def test_the_slope_is_largest_half_an_anchor_off_and_nothing_beyond_one():
    x, slope = curve("derivative", "in one direction")
    inside, beyond = x < 0.999, x > 1.001
    np.testing.assert_allclose(slope[inside], 8 * x[inside] / (1 + x[inside]) ** 3)
    assert x[slope.argmax()] == pytest.approx(0.5) and (slope[beyond] == 0).all() and beyond.sum() == 20
    x, slope = curve("derivative", "in both")
    common = (1 - x[inside]) ** 2
    closed = 8 * (1 - common / (2 - common)) * (1 - x[inside]) / (2 - common) ** 2
    np.testing.assert_allclose(slope[inside], closed)
    assert (slope[beyond] == 0).all()


@pytest.mark.parametrize("factor", [1, 10, 5000, 0.1])
def test_without_the_tasks_term_the_loss_falls_for_nothing(factor):
    found = steps.balance(factor)
    assert found["printed"] == pytest.approx(0.4 - math.log(factor))
    assert found["with the task's term"] == pytest.approx(0.4)
