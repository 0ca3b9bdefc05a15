"""PandaNet: counts, targets, losses by hand, exact maps read back, weights, windows, training, bad input."""

import math
from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mp3d.batch import Batch
from mp3d.camera import Camera, project
from mp3d.canvas import on_canvas
from mp3d.codings import anchors as coding
from mp3d.errors import BadInput, MissingData
from mp3d.experiments.codings.crowds import crowd, pair
from mp3d.experiments.pandanet.cost import exact_maps
from mp3d.papers import pandanet
from mp3d.papers.pandanet import JOINTS, PROFILES, ROOT, SMALL, TASKS, Maps, PandaNet, PandaNetConfig, Reading, Weights
from mp3d.scene import ABSENT, Person
from mp3d.skeletons import MPI17
from mp3d.synthetic.stream import Stream
from mp3d.training import FitConfig, learning_rate

TINY = PROFILES["smoke"].config
CANVAS = replace(SMALL, canvas=(256, 160), count=3)
SIZES = torch.tensor([[14.0, 36], [30, 80], [60, 140]])
"""Anchors for people of 4 to 12 m in pictures of 256 x 160."""


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def apart(scenes: int = 6) -> Batch:
    """Pictures of two people who do not overlap."""
    return pair(1600, 0, scenes)


def goal_of(batch: Batch, config: PandaNetConfig = CANVAS) -> pandanet.Targets:
    return pandanet.targets(batch, SIZES, config)


def silent(batch: Batch, config: PandaNetConfig = CANVAS) -> Maps:
    """Maps of zeros, which carry gradients."""
    grid = config.grid(*config.canvas)
    shape = (len(batch), grid.height, grid.width, config.count)
    return Maps(*(torch.zeros(*shape, *more, requires_grad=True) for more in ((), (4,), (17, 2), (17, 3))))


def loss(maps: Maps, batch: Batch, config: PandaNetConfig = CANVAS, weights: Weights | None = None) -> dict:
    return pandanet.loss(maps, goal_of(batch, config), SIZES, weights or Weights(config), config)


# ---- network ----------------------------------------------------------------------------------------


def count(config: PandaNetConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in pandanet.Network(config).parameters())


def test_parameters_of_the_paper_s_network():
    """Darknet-53; laterals of 1x1; at each of three levels, and in each of four heads, four 3x3 of 256 channels; the
    sub-pixel convolution; the heads' last layers."""
    three = 9 * 256 * 256 + 2 * 256
    laterals = (256 + 512 + 1024 + 3) * 256
    subpixel = 9 * 768 * 1024 + 1024
    last = sum((256 + 1) * 10 * size for size in (1, 4, 2 * JOINTS, 3 * JOINTS))
    assert count(PandaNetConfig()) == 40_584_928 + laterals + 12 * three + subpixel + 16 * three + last


def test_parameters_of_the_small_network():
    assert count(SMALL) == sum(p.numel() for p in pandanet.Network(SMALL).parameters()) < 1_500_000


@pytest.mark.parametrize("subpixel, stride", [(0, 8), (1, 4), (2, 2)])
def test_sub_pixel_convolutions_double_the_maps(subpixel, stride):
    config = replace(TINY, residuals=(0, 1, 1, 1, 1), widths=(4, 4, 4, 8, 8, 8), canvas=(96, 64), subpixel=subpixel)
    maps = pandanet.Network(config)(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    assert config.stride == stride and config.grid(96, 64).width == 96 // stride
    assert maps.score.shape == (2, 64 // stride, 96 // stride, 3)
    assert maps.boxes.shape[3:] == (3, 4) and maps.uv.shape[3:] == (3, 17, 2) and maps.xyz.shape[3:] == (3, 17, 3)


def test_an_untrained_network_takes_one_anchor_in_a_hundred_for_somebody():
    torch.manual_seed(0)
    maps = pandanet.Network(SMALL).eval()(torch.randint(0, 256, (1, 3, 128, 192), dtype=torch.uint8))
    assert maps.score.sigmoid().mean().item() == pytest.approx(pandanet.RARE, rel=0.2)
    assert maps.uv.abs().max() < 0.5  # joints begin near the anchor's middle


def test_anchors_stand_where_the_network_looks():
    """A bright spot moved by a cell moves what the network says by a cell: strides agree.

    A constant offset is not seen here: convolutions of stride 2 centre on the first of each pair of pixels, which adds
    up to half a cell of the coarsest level. It is left to training.
    """
    torch.manual_seed(0)
    network = pandanet.Network(TINY).eval()
    images = torch.full((2, 3, 448, 448), 128, dtype=torch.uint8)
    cell = 2 ** len(TINY.residuals)  # of the coarsest level
    images[0, :, 224:228, 224:228] = 255
    images[1, :, 224:228, 224 + cell : 228 + cell] = 255
    first, second = network(images).xyz.detach()
    moved, rim = cell // TINY.stride, 32  # cells whose surroundings reach beyond the picture
    first, moved, still = (
        first[rim:-rim, rim : -rim - moved],
        second[rim:-rim, rim + moved : -rim],
        second[rim:-rim, rim : -rim - moved],
    )
    torch.testing.assert_close(first, moved, atol=5e-8, rtol=0)
    assert (first - still).abs().max() > 3e-7


# ---- targets ----------------------------------------------------------------------------------------


def test_everybody_apart_has_an_anchor_and_a_best_one():
    goal = goal_of(apart())
    for b in range(len(goal.pono)):
        for person in range(2):
            assert goal.pono[b][goal.person[b] == person].max() == 1


def test_targets_are_the_boxes_and_poses_of_the_batch():
    batch = apart(2)
    goal = goal_of(batch)
    torch.testing.assert_close(goal.boxes, coding.pose_box(batch.uv))
    relative = goal.xyz * coding.unit_bones(batch.xyz)[1][..., None, None]
    torch.testing.assert_close(relative, batch.xyz - batch.xyz[:, :, ROOT, None], atol=0.1, rtol=1e-4)


def test_whoever_is_not_in_the_picture_has_no_anchor():
    batch = apart(2)
    out = batch.visibility.clone()
    out[:, 1] = ABSENT
    goal = goal_of(replace(batch, visibility=out))
    assert not (goal.person == 1).any() and goal.boxes[:, 1].isnan().all() and goal.boxes[:, 0].isfinite().all()


def test_joints_outside_the_picture_are_targets_too():
    batch = apart(1)
    moved = replace(batch, uv=batch.uv - torch.tensor([110.0, 0]))
    goal = goal_of(moved)
    assert (moved.uv[..., 0] < 0).any() and goal.uv.isfinite().all() and (goal.boxes[..., 0] < 0).any()


def test_a_person_of_one_known_joint_has_no_box():
    batch = apart(1)
    uv = batch.uv.clone()
    uv[0, 0, 1:] = torch.nan
    goal = goal_of(replace(batch, uv=uv))
    assert goal.boxes[0, 0].isnan().all() and not (goal.person == 0).any() and (goal.person == 1).any()


# ---- losses -----------------------------------------------------------------------------------------


def test_losses_of_silence_by_hand():
    batch = apart()
    goal, terms = goal_of(batch), loss(silent(batch), batch)
    at = coding.labels(goal.pono).nonzero(as_tuple=True)
    person = goal.person[at]
    anchor = coding.grid_anchors(SIZES, CANVAS.grid(*CANVAS.canvas))[at[1:]]
    uv = (goal.uv[at[0], person] - (anchor[:, None, :2] + anchor[:, None, 2:] / 2)) / anchor[:, None, 2:]
    common = (1 - uv.abs()).clamp(min=0).prod(-1)
    assert terms["uv"].item() == pytest.approx((1 - common / (2 - common)).square().mean().item(), rel=1e-5)
    assert terms["xyz"].item() == pytest.approx(goal.xyz[at[0], person].square().sum(-1).mean().item(), rel=1e-5)
    boxes = coding.iou(anchor, goal.boxes[at[0], person])
    assert terms["boxes"].item() == pytest.approx((1 - boxes).square().mean().item(), rel=1e-5)
    assert terms["score"].item() == pytest.approx(math.log(2), rel=1e-6)  # whatever the labels
    assert terms["positives"].item() == len(person)
    assert terms["loss"].item() == pytest.approx(sum(terms[name].item() for name in TASKS), rel=1e-6)


def test_perfect_maps_cost_nothing_but_the_score():
    batch = apart()
    maps, _ = exact_maps(batch, SIZES, CANVAS)
    terms = loss(maps, batch)
    for name in ("boxes", "uv", "xyz"):
        assert terms[name].item() == pytest.approx(0, abs=1e-6)


def test_perfect_maps_make_all_selections_one():
    batch = pair(500, 0, 6)
    maps, _ = exact_maps(batch, SIZES, CANVAS)
    each = [loss(maps, batch, replace(CANVAS, selection=how))["score"].item() for how in ("pose", "box", "none")]
    assert each[0] == pytest.approx(each[2], rel=1e-5) and each[1] == pytest.approx(each[2], rel=1e-5)


def test_poses_an_anchor_away_are_not_to_be_read():
    """Pose-aware labels are all negative then; box-aware ones are not."""
    batch = apart()
    maps, _ = exact_maps(batch, SIZES, CANVAS)
    wrong = maps._replace(uv=maps.uv + 1.0, score=torch.full_like(maps.score, -20.0))
    assert loss(wrong, batch)["score"].item() == pytest.approx(0, abs=1e-6)
    assert loss(wrong, batch, replace(CANVAS, selection="box"))["score"].item() > 0.01


def test_labels_carry_no_gradient():
    batch = apart(2)
    maps = silent(batch)
    loss(maps, batch)["score"].backward()
    assert maps.score.grad is not None and maps.uv.grad is None and maps.boxes.grad is None


def test_anchors_of_nobody_learn_no_pose():
    batch = apart(2)
    maps, goal = silent(batch), goal_of(batch)
    loss(maps, batch)["loss"].backward()
    learns = coding.labels(goal.pono)
    for part in (maps.boxes, maps.uv, maps.xyz):
        moved = part.grad.flatten(4).abs().sum(-1) > 0
        assert not moved[~learns].any() and moved[learns].any()
    assert (maps.score.grad != 0).all()


def test_people_without_3d_poses_teach_the_3d_head_nothing():
    batch = apart(2)
    maps = silent(batch)
    terms = loss(maps, replace(batch, xyz=torch.full_like(batch.xyz, torch.nan)))
    terms["loss"].backward()
    assert terms["xyz"].item() == 0 and (maps.xyz.grad == 0).all() and (maps.uv.grad != 0).any()


def test_mixing_in_people_without_3d_poses_leaves_the_3d_loss():
    """Their anchors do not count in N+, so that the average does not shrink."""
    batch = apart(4)
    xyz = batch.xyz.clone()
    xyz[2:] = torch.nan
    half = loss(silent(batch), replace(batch, xyz=xyz))["xyz"].item()
    assert half == pytest.approx(loss(silent(batch[:2]), batch[:2])["xyz"].item(), rel=1e-5)


def test_nobody_in_a_batch():
    batch = apart(2)
    nobody = replace(batch, xyz=batch.xyz * torch.nan, uv=batch.uv * torch.nan, visibility=batch.visibility * 0)
    maps = silent(nobody)
    terms = loss(maps, nobody)
    terms["loss"].backward()
    assert all(term.isfinite() for term in terms.values()) and terms["positives"] == 0
    assert all(part.grad.isfinite().all() for part in maps)


def test_two_people_in_one_box():
    """The first has the anchors, the second none; nothing is not a number."""
    same = in_one_box(apart(1))
    goal = goal_of(same)
    assert (goal.person == 0).any() and not (goal.person == 1).any()
    assert loss(silent(same), same)["loss"].isfinite()


def in_one_box(batch: Batch) -> Batch:
    return replace(batch, **{name: getattr(batch, name)[:, [0, 0]] for name in ("uv", "xyz", "visibility")})


def test_people_who_own_no_anchor_are_counted():
    """Of all pictures; who is not in the picture, or has no box, is not left out."""
    batch = apart(3)
    same = in_one_box(batch)
    assert loss(silent(batch), batch)["left_out"] == 0
    assert loss(silent(same), same)["left_out"] == 3
    mixed = replace(batch, uv=torch.cat([batch.uv[:2], same.uv[2:]]))  # whoever is left out in one has some in another
    assert loss(silent(mixed), mixed)["left_out"] == 1
    uv, seen = same.uv.clone(), same.visibility.clone()
    uv[0, 1, 1:] = torch.nan  # one known joint
    seen[1, 1] = ABSENT
    assert loss(silent(same), replace(same, uv=uv, visibility=seen))["left_out"] == 1
    nobody = replace(same, visibility=torch.zeros_like(seen))
    assert loss(silent(nobody), nobody)["left_out"] == 0


def test_a_network_that_says_what_is_not_a_number_has_no_loss():
    """Only at anchors that learn: it is not taken for a pose that is not known."""
    batch = apart(2)
    learns = coding.labels(goal_of(batch).pono)
    exact, _ = exact_maps(batch, SIZES, CANVAS)
    for at, joint in ((learns.nonzero()[0], 3), (learns.nonzero()[-1], 16)):
        xyz = exact.xyz.clone()
        xyz[*at, joint, 1] = torch.nan
        terms = loss(exact._replace(xyz=xyz), batch)
        assert terms["xyz"].isnan() and terms["loss"].isnan() and terms["uv"].isfinite()
    elsewhere = exact.xyz.where(learns[..., None, None], torch.nan)
    assert elsewhere.isnan().any()
    for name, term in loss(exact._replace(xyz=elsewhere), batch).items():
        assert term.isfinite() and term == loss(exact, batch)[name]
    unknown = replace(batch, xyz=torch.full_like(batch.xyz, torch.nan))
    assert loss(exact._replace(xyz=torch.full_like(exact.xyz, torch.nan)), unknown)["loss"].isfinite()


def test_a_person_far_larger_than_all_anchors_has_one():
    batch = apart(1)
    uv = (batch.uv - batch.uv.mean()) * 30
    assert (goal_of(replace(batch, uv=uv)).pono == 1).any()


# ---- learned weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("level, number", [("none", 0), ("task", 4), ("anchor", 4 + 6), ("joint", 4 + 6 + 6 * 17)])
def test_each_level_learns_so_many_weights(level, number):
    weights = Weights(replace(CANVAS, weighting=level))
    assert sum(p.numel() for p in weights.parameters() if p.requires_grad) == number
    assert all((weights.log(name) == 0).all() for name in TASKS)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(TASKS), st.floats(0.01, 100))
def test_a_task_s_weight_can_be_had_for_its_anchors(task, factor):
    """With both regularisers scaling one by c and the other by 1 / c changes nothing, exactly."""
    batch, weights = apart(1), Weights(replace(CANVAS, pace=1.0)).double()
    with torch.no_grad():
        for parameter in weights.parameters():
            parameter.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
        before = loss(silent(batch), batch, weights=weights)
        weights.task[TASKS.index(task)] += math.log(factor)
        getattr(weights, task).sub_(math.log(factor))
        after = loss(silent(batch), batch, weights=weights)
    for name in ("loss", *TASKS):
        assert after[name].item() == pytest.approx(before[name].item(), abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_a_weight_s_optimum_is_the_inverse_of_its_loss(task):
    batch = apart(1)
    unweighted = loss(silent(batch), batch)[task].item()
    weights = Weights(replace(CANVAS, weighting="task", pace=1.0))
    with torch.no_grad():
        weights.task[TASKS.index(task)] = -math.log(unweighted)
    terms = loss(silent(batch), batch, weights=weights)
    assert terms[task].item() == pytest.approx(1 + math.log(unweighted), abs=1e-5)
    terms["loss"].backward()
    assert weights.task.grad[TASKS.index(task)].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("sign", [1, -1])
def test_weights_have_a_most_and_a_least(task, sign):
    batch, weights = apart(1), Weights(CANVAS)
    with torch.no_grad():
        getattr(weights, task)[0] = sign * 1e6
        getattr(weights, task)[1] = sign * 0.99 * pandanet.MOST / CANVAS.pace
    log = weights.log(task)
    assert (log[0] == sign * pandanet.MOST).all() and (log[2] == 0).all()
    torch.testing.assert_close(log[1], torch.full_like(log[1], sign * 0.99 * pandanet.MOST))
    maps = silent(batch)
    terms = loss(maps, batch, weights=weights)
    terms["loss"].backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(part.grad.isfinite().all() for part in maps)
    assert (getattr(weights, task).grad[0] != 0).all()  # there is a way back
    with torch.no_grad():
        weights.task.fill_(-sign * 1e6)
    assert all((weights.log(name) == -sign * pandanet.MOST).all() for name in set(TASKS) - {task})


def test_pace_only_changes_how_fast_weights_move():
    weights = [Weights(replace(CANVAS, pace=pace)) for pace in (1.0, 30.0)]
    with torch.no_grad():
        weights[0].task += 0.6
        weights[1].task += 0.02
    for name in TASKS:
        torch.testing.assert_close(weights[0].log(name), weights[1].log(name))


# ---- from maps to people ------------------------------------------------------------------------------


def matched(people: list[Person], uv: torch.Tensor) -> list[int]:
    """The place of the true person, by px, of each one found: nobody is taken twice."""
    found = np.stack([person.uv for person in people])
    off = np.linalg.norm(found[:, None] - uv.numpy(), axis=-1).mean(-1)
    return linear_sum_assignment(off)[1].tolist()


def read(maps, canvas, batch, length, **reading):
    found = pandanet.detect(maps, SIZES, CANVAS, Reading(**reading))
    return found, pandanet.decode(found, canvas, batch.k, length)


@pytest.mark.parametrize("length", [4000.0, 5000])
@pytest.mark.parametrize("scale", [1, 2])
def test_exact_maps_give_the_people(scale, length):
    """Their true selves, but for the size: a pose q times as large is q times as far."""
    batch = apart(4)
    if scale > 1:  # a picture larger than the canvas
        image = torch.zeros(4, 3, 320, 512, dtype=torch.uint8)
        batch = replace(batch, image=image, uv=scale * batch.uv, k=scale * batch.k)
    maps, canvas = exact_maps(batch, SIZES, CANVAS)
    found, people = read(maps, canvas, batch, length)
    true = batch.xyz * (length / coding.unit_bones(batch.xyz)[1])[..., None, None]
    for b, some in enumerate(people):
        assert len(some) == len(found[b].score) == 2
        taken = matched(some, batch.uv[b])
        for person, p in zip(some, taken, strict=True):
            np.testing.assert_allclose(person.xyz, true[b, p].numpy(), atol=0.01)
            np.testing.assert_allclose(person.uv, batch.uv[b, p].numpy(), atol=1e-3 * scale)


def test_a_wrong_length_puts_people_that_much_nearer():
    batch = apart(2)
    maps, canvas = exact_maps(batch, SIZES, CANVAS)
    _, at_one = read(maps, canvas, batch, 4000.0)
    _, at_half = read(maps, canvas, batch, 2000)
    for people, smaller in zip(at_one, at_half, strict=True):
        for a, b in zip(people, smaller, strict=True):
            np.testing.assert_allclose(b.xyz, a.xyz / 2, rtol=1e-3)
            np.testing.assert_allclose(b.uv, a.uv)


def test_of_boxes_that_overlap_the_best_stays():
    batch = pair(200, 0, 4)
    maps, canvas = exact_maps(batch, SIZES, CANVAS)
    for overlap in (0.4, 0.7):
        found, _ = read(maps, canvas, batch, 4000, overlap=overlap)
        for some in found:
            assert (some.score.diff() <= 0).all()
            pairs = coding.iou(some.boxes[:, None], some.boxes)
            assert (pairs.fill_diagonal_(0) <= overlap + 1e-5).all()


def test_no_more_than_asked_for():
    batch = crowd(12, 0, 1)
    maps, canvas = exact_maps(batch, SIZES, CANVAS)
    found, people = read(maps, canvas, batch, 4000, most=(500, 3))
    assert len(found[0].score) == len(people[0]) == 3


def test_nobody_above_the_score():
    batch = apart(1)
    maps, canvas = exact_maps(batch, SIZES, CANVAS)
    quiet = maps._replace(score=torch.full_like(maps.score, -20.0))
    found, people = read(quiet, canvas, batch, 4000)
    assert people == [[]] and found[0].uv.shape == (0, 17, 2)


@pytest.mark.parametrize("part", ["score", "boxes", "uv", "xyz"])
def test_what_is_not_finite_is_nobody_s(part):
    batch = apart(1)
    maps, canvas = exact_maps(batch, SIZES, CANVAS)
    spoilt = maps._replace(**{part: torch.full_like(getattr(maps, part), torch.nan)})
    assert read(spoilt, canvas, batch, 4000)[1] == [[]]
    half = getattr(maps, part).clone()
    half[:, :, : half.shape[2] // 2] = torch.nan
    assert len(read(maps._replace(**{part: half}), canvas, batch, 4000)[1][0]) == 1


def test_boxes_outside_the_picture_are_people_too():
    batch = apart(1)
    maps, canvas = exact_maps(replace(batch, uv=batch.uv - torch.tensor([75.0, 0])), SIZES, CANVAS)
    found, people = read(maps, canvas, batch, 4000)
    assert (found[0].boxes[:, 0] < 0).any() and len(people[0]) >= 1


@pytest.mark.parametrize("spread, found", [(0, 0), (1e-3, 2)])
def test_a_pose_all_in_one_pixel_is_nobody_or_far_off(spread, found):
    """Both boxes are read. Whoever is seen as a point would be infinitely far and is nobody; next to a point, they are
    far off, as a pose a thousandth as large in the picture is."""
    batch = apart(1)
    maps, canvas = exact_maps(batch, SIZES, CANVAS)
    true = read(maps, canvas, batch, 4000)[1][0]
    some, people = read(maps._replace(uv=spread * maps.uv), canvas, batch, 4000)
    assert len(some[0].score) == 2 and some[0].uv.std(1).max() < 0.1
    assert len(people[0]) == found
    for far in people[0]:
        assert np.isfinite(far.xyz).all() and far.root[2] > 500 * max(person.root[2] for person in true)


def test_maps_of_another_size():
    batch = apart(1)
    maps, _ = exact_maps(batch, SIZES, CANVAS)
    with pytest.raises(BadInput, match="rows, columns, anchors"):
        pandanet.detect(maps, SIZES, replace(CANVAS, canvas=(192, 128)))
    with pytest.raises(BadInput, match="rows, columns, anchors"):
        pandanet.detect(maps, SIZES[:2], CANVAS)


# ---- windows --------------------------------------------------------------------------------------------


def test_windows_move_joints_and_camera_with_the_picture():
    batch = crowd(4, 0, 8)
    how = pandanet.Windows(192, 128)
    seen = pandanet.windows(batch, (192, 128), how, 3)
    assert seen.image.shape == (8, 3, 128, 192)
    torch.testing.assert_close(project(seen.xyz, seen.k[:, None, None]), seen.uv, atol=0.05, rtol=1e-4)
    inside = ((seen.uv >= 0) & (seen.uv < torch.tensor([192, 128]))).all(-1)
    assert not (seen.labelled & ~inside).any()
    zoom = seen.k[:, 0] / batch.k[:, 0] / (192 / 256)
    assert (zoom >= 0.7).all() and (zoom <= 1.4).all() and zoom.std() > 0.1


def test_a_window_shows_what_is_there():
    """A white square at a joint stays at the joint."""
    batch = crowd(1, 0, 6)
    image = torch.zeros(6, 3, 160, 256, dtype=torch.uint8)
    for b in range(6):
        u, v = batch.uv[b, 0, ROOT].round().int().tolist()
        image[b, :, max(0, v - 3) : v + 3, max(0, u - 3) : u + 3] = 255
    seen = pandanet.windows(replace(batch, image=image), (256, 160), pandanet.Windows(256, 160), 0)
    for b in range(6):
        u, v = seen.uv[b, 0, ROOT].tolist()
        if 4 < u < 252 and 4 < v < 156:
            bright = (seen.image[b, 0] > 200).nonzero().float().mean(0) + 0.5
            assert (bright - torch.tensor([v, u])).abs().max() < 1


def test_windows_are_a_pure_function_of_the_seed():
    batch, how = crowd(2, 0, 4), pandanet.Windows(96, 64)
    one, same, other = (pandanet.windows(batch, (128, 80), how, seed) for seed in ([0, 1], [0, 1], [0, 2]))
    assert torch.equal(one.k, same.k) and torch.equal(one.image, same.image) and not torch.equal(one.k, other.k)


def test_what_a_window_leaves_free_is_grey():
    seen = pandanet.windows(crowd(1, 0, 2), (64, 40), pandanet.Windows(256, 160), 0)
    assert (seen.image == 128).float().mean() > 0.8


# ---- training ---------------------------------------------------------------------------------------------


def tiny_stream() -> Stream:
    return Stream("duet", 0, 64, 40, 4, block=16)


def some_windows(step: int) -> Batch:
    size = PROFILES["smoke"]
    return pandanet.windows(tiny_stream()(step), size.config.canvas, size.windows, [0, step])


def test_statistics_are_of_the_training_boxes():
    sizes, length = pandanet.statistics(some_windows, TINY, people=40)
    assert sizes.shape == (3, 2) and (sizes.prod(-1).diff() >= 0).all() and 2000 < length < 7000


def test_statistics_of_nobody():
    def nobody(step):
        batch = some_windows(step)
        return replace(batch, uv=batch.uv * torch.nan, xyz=batch.xyz * torch.nan, visibility=batch.visibility * 0)

    with pytest.raises(BadInput, match="nobody"):
        pandanet.statistics(nobody, TINY, steps=2)


def test_a_training_is_repeatable_and_goes_on_where_it_stopped(tmp_path):
    how = FitConfig(4, lr=1e-3, every=2)
    whole = pandanet.train(some_windows, TINY, how, 0)
    pandanet.train(some_windows, TINY, replace(how, minutes=0.0), 0, tmp_path)  # stops at the first row
    resumed = pandanet.train(some_windows, TINY, how, 0, tmp_path)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, msg=name)
    assert not torch.equal(pandanet.train(some_windows, TINY, how, 1).network.heads[0][-1].weight,
                           whole.network.heads[0][-1].weight)  # fmt: skip


def test_weights_are_learned_and_recorded(tmp_path):
    import pandas as pd

    model = pandanet.train(some_windows, replace(TINY, pace=30), FitConfig(6, lr=1e-3, every=3), 0, tmp_path)
    assert (model.weights.task != 0).all()
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert {f"log_lambda_{name}" for name in TASKS} <= set(table) and table["log_lambda_xyz"].iloc[-1] > 0
    unit = pandanet.train(some_windows, replace(TINY, weighting="none"), FitConfig(3, lr=1e-3), 0)
    assert all((p == 0).all() for p in unit.weights.parameters())


def test_the_small_network_learns_two_pictures_by_heart():
    """Some seconds: afterwards it finds both people of each picture, and nobody else, with their own poses."""
    batch, _ = on_canvas(apart(2), (128, 96))
    image = torch.full_like(batch.image, 128)
    for b in range(2):
        for p in range(2):
            for j, (u, v) in enumerate(batch.uv[b, p].round().int().tolist()):
                colour = torch.tensor([15 * j, 255 - 15 * j, 90 * p]).byte()
                image[b, :, max(0, v - 2) : v + 2, max(0, u - 2) : u + 2] = colour[:, None, None]
    batch = replace(batch, image=image)
    config = replace(SMALL, canvas=(128, 96), widths=(8, 8, 16, 32, 32, 32), neck=32, count=2)
    model = pandanet.train(lambda _: batch, config, FitConfig(120, lr=3e-3, every=40), 0)
    unit, lengths = coding.unit_bones(batch.xyz)
    mean = (unit - unit.mean((0, 1))) * lengths[..., None, None]
    assert (mean.norm(dim=-1).amax(-1) > 150).all()  # to say one pose for all would not do
    for b, people in enumerate(model.estimate(batch.image, batch.k)):
        assert len(people) == 2
        for person, p in zip(people, matched(people, batch.uv[b]), strict=True):
            assert np.linalg.norm(person.uv - batch.uv[b, p].numpy(), axis=-1).mean() < 1.5  # 3 px of a whole picture
            pose = (person.xyz - person.root) * (lengths[b, p] / model.length).item()
            true = (batch.xyz[b, p] - batch.xyz[b, p, ROOT]).numpy()
            assert np.linalg.norm(pose - true, axis=-1).max() < 150  # 3DPCK 100


def test_the_paper_s_learning_rate():
    how = PROFILES["paper"].fit
    assert how.optimiser == "sgd" and how.momentum == 0.9 and PROFILES["paper"].batch == 24
    assert learning_rate(30_000, how) == pytest.approx(0.005 * 0.5**0.9)


# ---- files, one's own picture, bad input ------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> PandaNet:
    return pandanet.train(some_windows, TINY, FitConfig(2, lr=1e-3), 0)


def test_saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "network.pt")
    again = PandaNet.load(tmp_path / "network.pt", TINY)
    assert again.config == TINY
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)
    with pytest.raises(BadInput, match="neck"):
        PandaNet.load(tmp_path / "network.pt", replace(TINY, neck=16))
    with pytest.raises(MissingData):
        PandaNet.load(tmp_path / "other.pt")


def test_predict_takes_any_picture(model):
    picture = np.random.default_rng(0).integers(0, 256, (90, 50, 3), dtype=np.uint8)
    for camera in (None, Camera(60, 60, 25, 45, 50, 90)):
        people = model.predict(picture, camera)
        assert all(p.skeleton == MPI17 and np.isfinite(p.xyz).all() for p in people)


@pytest.mark.parametrize(
    "picture, what",
    [
        (np.zeros((90, 50), np.uint8), "image"),
        (np.zeros((90, 50, 3), np.float32), "image"),
        (np.zeros((0, 50, 3), np.uint8), "image"),
    ],
)
def test_predict_refuses_what_is_no_picture(model, unchecked, picture, what):
    with pytest.raises(BadInput, match=what):
        model.predict(picture)


def test_a_camera_of_another_size(model):
    with pytest.raises(BadInput, match="camera"):
        model.predict(np.zeros((90, 50, 3), np.uint8), Camera(60, 60, 25, 45, 60, 90))


@pytest.mark.parametrize(
    "field, value",
    [
        ("selection", "best"),
        ("weighting", "all"),
        ("canvas", (100, 64)),
        ("canvas", (64,)),
        ("widths", (4, 8)),
        ("neck", 0),
        ("count", 0),
        ("pace", 0),
        ("subpixel", 3),
        ("levels", 9),
    ],
)
def test_configurations_that_cannot_be(unchecked, field, value):
    with pytest.raises(BadInput, match=field):
        replace(TINY, **{field: value})


@pytest.mark.parametrize("field, value", [("score", -0.1), ("score", 1.5), ("overlap", 2)])
def test_readings_that_cannot_be(field, value):
    with pytest.raises(BadInput, match=field):
        Reading(**{field: value})
