"""Anchors: overlaps, PONO, labels, codes of boxes and poses (PandaNet section 3)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings import anchors
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.metrics import detection
from mp3d.skeletons import COCO17, MPI17, SMAP15

GRID = Grid.over(128, 96, 4)
SIZES = torch.tensor([[12.0, 30], [20, 50], [40, 44], [36, 80]])
seeds = st.integers(0, 10**6)


def boxes_of(rng, *shape):
    """Boxes over a picture of 128 x 96 px, some of them beyond its border."""
    size = rng.uniform([8, 20], [50, 90], (*shape, 2))
    return torch.from_numpy(np.concatenate([rng.uniform(0, 1, (*shape, 2)) * [128, 96] - size / 2, size], -1))


@given(seeds)
def test_iou_is_that_of_the_metrics_symmetric_and_free_of_place_and_scale(seed):
    a, b = boxes_of(np.random.default_rng(seed), 2, 5)
    pairs = anchors.iou(a[:, None], b)
    np.testing.assert_allclose(pairs, detection.iou(a.numpy(), b.numpy()))
    torch.testing.assert_close(anchors.iou(b[:, None], a), pairs.T)
    moved = torch.tensor([7.0, -3, 0, 0])
    torch.testing.assert_close(anchors.iou((a + moved)[:, None] * 3, (b + moved) * 3), pairs)
    torch.testing.assert_close(anchors.iou(a, a), torch.ones(5, dtype=a.dtype))


def test_iou_of_boxes_side_by_side_within_one_another_and_without_area():
    box = torch.tensor([10.0, 20, 8, 16])
    for d in (0.0, 2, 7, 8, 9):
        moved = box + torch.tensor([d, 0, 0, 0])
        assert anchors.iou(box, moved).item() == pytest.approx(max(8 - d, 0) / (8 + min(d, 8)))
    for q in (0.25, 0.5, 0.9):  # concentric
        size = box[2:] * q
        inner = torch.cat([box[:2] + (box[2:] - size) / 2, size])
        assert anchors.iou(box, inner).item() == pytest.approx(q * q)
        assert anchors.iou_of_sizes(box[None, 2:], size[None]).item() == pytest.approx(q * q)
    empty = torch.tensor([[10.0, 20, 0, 0], [10, 20, 0, 5], [float("nan"), 0, 1, 1]])
    assert anchors.iou(empty, box).tolist() == [0, 0, 0] and anchors.iou(empty, empty).tolist() == [0, 0, 0]


def test_iou_has_a_gradient_where_boxes_overlap_and_none_where_they_do_not():
    box = torch.tensor([[10.0, 20, 8, 16], [100, 20, 8, 16]], requires_grad=True)
    anchors.iou(box, torch.tensor([12.0, 20, 8, 16])).sum().backward()
    assert box.grad[0].abs().sum() > 0 and box.grad[1].abs().sum() == 0
    # IoU = (8 - d) / (8 + d): its slope in x at d = 2 is 16 / 100
    assert box.grad[0, 0].item() == pytest.approx(0.16)


def test_unit_squares():
    def overlap(dx, dy=0.0):
        return anchors.iou_of_joints(torch.tensor([0.3, -0.2]), torch.tensor([0.3 + dx, dy - 0.2])).item()

    for x, loss in ((0.1, 0.0331), (0.25, 0.16), (0.5, 0.4444), (1.0, 1.0), (1.7, 1.0)):
        assert (1 - overlap(x)) ** 2 == pytest.approx(loss, abs=5e-5)
        assert overlap(0, -x) == pytest.approx(overlap(x), abs=1e-6)
    assert overlap(0.25, 0.25) == pytest.approx(0.3913, abs=5e-5)
    assert overlap(1 / 3) == pytest.approx(0.5, abs=1e-6) and overlap(0.1835, 0.1835) == pytest.approx(0.5, abs=1e-4)
    assert overlap(1.2, 1.2) == 0  # two negative sides make no area
    for x, slope in ((0.0, 0.0), (0.5, 8 * 0.5 / 1.5**3), (0.999, 8 * 0.999 / 1.999**3), (1.5, 0)):
        at = torch.tensor([x, 0.0], requires_grad=True)
        ((1 - anchors.iou_of_joints(at, torch.zeros(2))) ** 2).backward()
        assert at.grad[0].item() == pytest.approx(slope, abs=1e-4)


@given(seeds, st.integers(1, 6))
def test_kmeans_finds_sizes_that_are_there_in_any_order(seed, count):
    rng = np.random.default_rng(seed)
    distinct = torch.from_numpy(np.unique(rng.integers(5, 60, (count, 2)), axis=0).astype(np.float32))
    sizes = distinct[torch.from_numpy(rng.permutation(np.arange(40 * len(distinct)) % len(distinct)))]
    found = anchors.kmeans(sizes, len(distinct), seed)
    assert {tuple(x) for x in found.tolist()} == {tuple(x) for x in distinct.tolist()}
    area = found.prod(1)
    assert (area[1:] >= area[:-1]).all()
    sizes = torch.from_numpy(rng.uniform(5, 60, (50, 2)))
    shuffled = sizes[torch.from_numpy(rng.permutation(50))]
    assert torch.equal(anchors.kmeans(sizes, count, seed), anchors.kmeans(shuffled, count, seed))


def test_more_anchors_fit_better():
    sizes = torch.from_numpy(np.random.default_rng(0).lognormal([3, 4], 0.5, (300, 2)))
    fit = [
        max(anchors.iou_of_sizes(sizes, anchors.kmeans(sizes, n, seed)).amax(1).mean().item() for seed in range(5))
        for n in range(1, 8)
    ]
    assert fit == sorted(fit) and fit[-1] > fit[0] + 0.2


def test_kmeans_ends_where_every_size_is_its_boxes_median():
    sizes = torch.from_numpy(np.random.default_rng(1).lognormal([3, 4], 0.5, (301, 2)))
    found = anchors.kmeans(sizes, 4)
    owner = anchors.iou_of_sizes(sizes, found).argmax(1)
    for n in range(4):
        torch.testing.assert_close(found[n], sizes[owner == n].median(0).values)


def test_anchors_stand_around_the_centres_of_cells():
    boxes = anchors.grid_anchors(SIZES, GRID)
    assert boxes.shape == (24, 32, 4, 4)
    assert boxes[2, 5, 1].tolist() == [22 - 10, 10 - 25, 20, 50]
    # The mirrored picture's anchors are the mirrored anchors.
    mirrored = torch.cat([128 - boxes[..., :1] - boxes[..., 2:3], boxes[..., 1:]], -1)
    assert torch.equal(mirrored.flip(1), boxes)


def test_the_box_of_a_person():
    uv = torch.full((3, 17, 2), torch.nan)
    uv[0, :3] = torch.tensor([[10.0, 20], [30, 60], [20, 30]])
    uv[1, 4] = torch.tensor([-5.0, 7])
    box = anchors.pose_box(uv)
    torch.testing.assert_close(box[0], torch.tensor([9.0, 17, 22, 46]))  # 20 and a tenth, 40 and 15 %
    assert box[1].tolist() == [-5, 7, 0, 0] and box[2].isnan().all()
    assert anchors.pose_box(uv, 0, 0)[0].tolist() == [10, 20, 20, 40]


@given(seeds)
def test_assignment_and_pono_are_as_worked_out_anchor_by_anchor(seed):
    rng = np.random.default_rng(seed)
    grid = Grid.over(128, 96, 16)
    at, boxes = anchors.grid_anchors(SIZES.double(), grid), boxes_of(rng, 2, 3)
    boxes[1, 1] = torch.nan
    person, overlap = anchors.assign(at, boxes)
    score = anchors.pono(person, overlap, 3)
    for b in range(2):
        pairs = detection.iou(at.reshape(-1, 4).numpy(), boxes[b].numpy())
        best, owner = pairs.max(1), np.where(pairs.max(1) > 0, pairs.argmax(1), -1)
        assert np.array_equal(person[b].flatten(), owner)
        np.testing.assert_allclose(overlap[b].flatten(), best)
        expected = np.zeros(len(best))
        for p in range(3):
            if (owner == p).any():
                expected[owner == p] = best[owner == p] / best[owner == p].max()
        np.testing.assert_allclose(score[b].flatten(), expected)
    alone = anchors.assign(at, boxes[1])
    assert torch.equal(alone[0], person[1]) and torch.equal(alone[1], overlap[1])
    assert torch.equal(anchors.pono(*alone, 3), score[1])


@given(seeds)
def test_assignment_is_the_first_of_the_largest_overlaps(seed):
    rng = np.random.default_rng(seed)
    at, boxes = anchors.grid_anchors(SIZES.double(), Grid.over(128, 96, 16)), boxes_of(rng, 2, 5)
    boxes[0, 1], boxes[0, 3], boxes[1, 4] = torch.nan, boxes[0, 2], boxes[1, 0]  # two and two are equal
    best, person = anchors.iou(at, boxes[:, :, None, None, None]).max(1)
    found = anchors.assign(at, boxes)
    assert torch.equal(found[0], torch.where(best > 0, person, -1)) and torch.equal(found[1], best)


def test_assignment_takes_no_memory_for_each_person(widest):
    """No tensor in it is larger than the anchors, four numbers each, however many people there are."""
    at, boxes = anchors.grid_anchors(SIZES, GRID), boxes_of(np.random.default_rng(0), 50).float()
    assert widest(lambda: anchors.assign(at, boxes)) <= at.numel()


@given(seeds)
def test_everybody_s_best_anchor_scores_one(seed):
    rng = np.random.default_rng(seed)
    at, boxes = anchors.grid_anchors(SIZES.double(), GRID), boxes_of(rng, 4)
    person, overlap = anchors.assign(at, boxes)
    score = anchors.pono(person, overlap, 4)
    positive = anchors.labels(score)
    assert (score >= 0).all() and (score <= 1).all()
    for p in person.unique().tolist():
        if p >= 0:
            assert score[person == p].max() == 1 and positive[person == p].any()
    assert not positive[person < 0].any()
    # Twice the size: the same. People in another order: only their numbers change.
    assert torch.equal(anchors.pono(*anchors.assign(at * 2, boxes * 2), 4), score)
    order = torch.from_numpy(rng.permutation(4))
    again, same = anchors.assign(at, boxes[order])
    assert torch.equal(same, overlap) and torch.equal(torch.where(again < 0, -1, order[again]), person)
    assert torch.equal(anchors.pono(again, same, 4), score)
    # Somebody far away takes and gives nothing.
    far = torch.cat([boxes, torch.tensor([[1e4, 1e4, 30, 60]], dtype=boxes.dtype)])
    assert torch.equal(anchors.pono(*anchors.assign(at, far), 5), score)


def test_an_anchor_that_overlaps_nobody_and_people_whom_others_cover():
    at = anchors.grid_anchors(SIZES[:1], GRID)
    box = torch.tensor([[0.0, 0, 12, 30], [0, 0, 12, 30], [float("nan")] * 4])
    person, overlap = anchors.assign(at, box)
    assert set(person.unique().tolist()) == {-1, 0}  # of two equal boxes the first
    assert (overlap[person < 0] == 0).all()
    assert anchors.labels(anchors.pono(person, overlap, 3)).any()
    for nobody in (box[:0], box[2:]):
        person, overlap = anchors.assign(at, nobody)
        score = anchors.pono(person, overlap, len(nobody))
        assert (person == -1).all() and not overlap.any() and not score.any() and score.shape == person.shape


@given(seeds)
def test_labels_by_box_and_by_pose_are_a_part_of_those_by_pono(seed):
    rng = np.random.default_rng(seed)
    at = anchors.grid_anchors(SIZES, GRID)
    boxes = boxes_of(rng, 3).float()
    uv = boxes[:, None, :2] + torch.from_numpy(rng.uniform(0, 1, (3, 17, 2))).float() * boxes[:, None, 2:]
    person, overlap = anchors.assign(at, boxes)
    score = anchors.pono(person, overlap, 3)
    positive = anchors.labels(score)
    pose = anchors.encode_pose(at[positive], uv[person[positive]])
    noisy = (pose + torch.from_numpy(rng.normal(0, 0.1, pose.shape)).float()).requires_grad_()
    for predicted, expected in ((pose, "all"), (noisy, "some"), (pose + 1.001, "none")):
        quality = anchors.iou_of_joints(predicted, pose).mean(-1)
        label = anchors.labels(score[positive], quality)
        assert not label.requires_grad
        assert torch.equal(label, score[positive] * quality.detach() > 0.5)
        if expected != "some":
            assert label.all() if expected == "all" else not label.any()
    true = boxes[person[positive]]
    decoded = anchors.decode_boxes(at[positive], anchors.encode_boxes(at[positive], true))
    quality = anchors.iou(decoded, true)
    torch.testing.assert_close(quality, torch.ones_like(quality))


def test_half_precision_does_not_tip_a_label():
    score, quality = torch.tensor([0.75], dtype=torch.bfloat16), torch.tensor([0.66796875], dtype=torch.bfloat16)
    assert score * quality == 0.5  # rounded
    assert anchors.labels(score, quality).item()  # 0.501


@given(seeds)
def test_codes_of_boxes_and_poses_go_back(seed):
    rng = np.random.default_rng(seed)
    at, boxes = boxes_of(rng, 2, 6)
    offsets = anchors.encode_boxes(at, boxes)
    torch.testing.assert_close(anchors.decode_boxes(at, offsets), boxes)
    torch.testing.assert_close(anchors.decode_boxes(at, torch.zeros_like(at)), at)
    uv = torch.from_numpy(rng.uniform(-200, 300, (6, 17, 2)))  # outside the picture too
    pose = anchors.encode_pose(at, uv)
    torch.testing.assert_close(anchors.decode_pose(at, pose), uv)
    # Free of scale: the same person twice as large in an anchor twice as large.
    torch.testing.assert_close(anchors.encode_pose(at * 2, uv * 2), pose)


def test_boxes_without_a_size_are_refused_and_those_of_nobody_stay_unknown():
    box, uv = torch.tensor([[10.0, 10, 20, 40], [5, 5, 10, 10]]), torch.zeros(2, 17, 2)
    for size in ([0.0, 40], [20, 0], [-1, 5]):
        flat = box.clone()
        flat[1, 2:] = torch.tensor(size)
        with pytest.raises(BadInput, match=f"encode_boxes: boxes: found a size of {min(size):g}"):
            anchors.encode_boxes(box, flat)
        with pytest.raises(BadInput, match="encode_boxes: anchors"):
            anchors.encode_boxes(flat, box)
        with pytest.raises(BadInput, match="encode_pose: anchors"):
            anchors.encode_pose(flat, uv)
    nobody = torch.stack([box[0], torch.full((4,), torch.nan)])
    assert anchors.encode_boxes(box, nobody).isnan().all(-1).tolist() == [False, True]
    assert anchors.encode_pose(nobody, uv).isnan().all((-1, -2)).tolist() == [False, True]


def test_sizes_that_a_network_makes_up_are_bounded():
    at = torch.tensor([[10.0, 10, 20, 40]])
    box = anchors.decode_boxes(at, torch.tensor([[0.0, 0, 50, -50]]))
    torch.testing.assert_close(box[:, 2:], at[:, 2:] * torch.tensor([4.0, -4]).exp())
    torch.testing.assert_close(box[:, :2] + box[:, 2:] / 2, torch.tensor([[20.0, 30]]))


@given(seeds)
def test_poses_whose_bones_sum_to_one(seed):
    rng = np.random.default_rng(seed)
    for skeleton in (MPI17, SMAP15):
        poses = torch.from_numpy(rng.normal(0, 400, (3, len(skeleton), 3)))
        unit, length = anchors.unit_bones(poses, skeleton)
        parent, child = map(list, zip(*skeleton.limbs, strict=True))
        torch.testing.assert_close((unit[:, child] - unit[:, parent]).norm(dim=-1).sum(-1), torch.ones_like(length))
        assert (unit[:, skeleton.root] == 0).all()
        again, longer = anchors.unit_bones(poses * 3 + torch.tensor([1.0, -200, 4000]), skeleton)
        torch.testing.assert_close(again, unit)
        torch.testing.assert_close(longer, 3 * length)
        torch.testing.assert_close(unit * length[:, None, None], poses - poses[:, [skeleton.root]])
    poses[0, 3] = torch.nan
    unit, length = anchors.unit_bones(poses, skeleton)
    assert unit[0].isnan().all() and length.isnan().tolist() == [True, False, False]


def greedy(boxes, scores, threshold):
    """Non-maximum suppression as it is told: the best box stays, what it covers goes, and so on."""
    left, stays = sorted(range(len(boxes)), key=lambda n: (-scores[n].item(), n)), []
    pairs = detection.iou(boxes.numpy(), boxes.numpy())
    while left:
        stays.append(left.pop(0))
        left = [n for n in left if pairs[stays[-1], n] <= threshold]
    return stays


@given(seeds, st.floats(0.05, 0.9), st.integers(0, 60))
def test_suppression_is_the_greedy_one(seed, threshold, count):
    rng = np.random.default_rng(seed)
    boxes, scores = boxes_of(rng, count), torch.from_numpy(rng.integers(0, 20, count) / 20)  # with ties
    kept = anchors.nms(boxes, scores, threshold)
    assert kept.tolist() == greedy(boxes, scores, threshold)
    if count:
        assert (anchors.iou(boxes[kept, None], boxes[kept]).triu(1) <= threshold).all()
        assert scores[kept[0]] == scores.max()
    assert torch.equal(anchors.nms(boxes[kept], scores[kept], threshold), torch.arange(len(kept)))
    scores = torch.from_numpy(rng.permutation(count) / 1.0)
    order = torch.from_numpy(rng.permutation(count))
    assert torch.equal(
        order[anchors.nms(boxes[order], scores[order], threshold)], anchors.nms(boxes, scores, threshold)
    )


def test_a_chain_of_boxes_is_thinned_out_from_its_best_end():
    boxes = torch.tensor([[10.0 * n, 0, 30, 30] for n in range(40)])  # neighbours overlap by 20 of 40
    assert anchors.nms(boxes, -torch.arange(40.0), 0.3).tolist() == list(range(0, 40, 2))
    assert anchors.nms(boxes, -torch.arange(40.0), 0.5).tolist() == list(range(40))  # 0.5 does not exceed 0.5
    assert anchors.nms(boxes, -torch.arange(40.0), 0.3, most=5).tolist() == [0, 2, 4]


def test_a_box_that_is_not_a_number_never_stays():
    boxes = torch.tensor([[0.0, 0, 5, 5], [float("nan"), 0, 5, 5], [50, 0, 5, 5]])
    assert anchors.nms(boxes, torch.tensor([0.5, 0.9, float("nan")])).tolist() == [0]


@pytest.mark.parametrize(
    ("sizes", "count", "field"),
    [([[5.0, 0]], 1, "sizes"), ([[5.0, float("nan")]], 1, "sizes"), ([[5.0, 6], [5, 6]], 2, "count"),
     ([[5.0, 6]], 0, "count")],
)  # fmt: skip
def test_sizes_that_make_no_anchors(sizes, count, field):
    with pytest.raises(BadInput, match=field):
        anchors.kmeans(torch.tensor(sizes), count)


def test_poses_without_a_root_or_of_another_skeleton():
    for skeleton in (SMAP15, COCO17):
        with pytest.raises(BadInput, match="poses"):
            anchors.unit_bones(torch.zeros(17, 3), skeleton)


@given(seeds)
def test_the_tight_box_is_what_the_box_of_a_person_was_made_of(seed):
    uv = torch.from_numpy(np.random.default_rng(seed).uniform(-20, 150, (3, 17, 2)))
    low, high = uv.amin(1), uv.amax(1)
    torch.testing.assert_close(anchors.tight_box(anchors.pose_box(uv)), torch.cat([low, high - low], 1))
