"""3DMPPE: counts, the decode examples of the spec's section 3, targets that stay true, and what is refused."""

import functools
import itertools
import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d import profiles
from mp3d.batch import Batch
from mp3d.camera import back_project, project
from mp3d.codings.crops import Augmentation, views
from mp3d.errors import BadInput
from mp3d.papers import threedmppe
from mp3d.papers.threedmppe import (
    AUGMENTATION,
    LIGHT,
    PROFILES,
    SMALL,
    Outputs,
    PoseNet,
    Profile,
    RootNet,
    Targets,
    ThreeDMPPE,
    ThreeDMPPEConfig,
    decode,
    distance,
    loss,
    sample,
    soft_argmax,
    squares,
    targets,
    train,
    true_boxes,
)
from mp3d.skeletons import MPI17
from mp3d.training import FitConfig

FULL, RELEASED = ThreeDMPPEConfig(), ThreeDMPPEConfig(pixels="released")
TINY = threedmppe.replace(SMALL, width=8, crop=32, channels=16, bins=8)
NAN = math.nan
UPRIGHT = Augmentation(rotate=0, scale=0, flip=0, colour=0, occlude=0)


def count(network) -> int:
    return sum(weight.numel() for weight in network.parameters())


def tensor(*numbers) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def pictures(count: int = 3, places: int = 3, seed: int = 0, width: int = 64, height: int = 48) -> Batch:
    """Pictures of coarse noise and people before them, all well in the picture; the last place of the last is empty."""
    g = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, height // 8, width // 8, generator=g).repeat_interleave(8, 2).repeat_interleave(8, 3)
    k = tensor(60, 60, width / 2, height / 2).expand(count, 4)
    root = torch.rand(count, places, 3, generator=g) * tensor(1600, 400, 2500) + tensor(-800, -200, 3000)
    body = (torch.rand(count, places, 17, 3, generator=g) - 0.5) * tensor(700, 1500, 600)
    body[:, :, 14] = 0
    xyz = root[:, :, None] + body
    xyz[-1, -1] = math.nan
    visible = torch.where(xyz[..., 0].isfinite(), 2, 0).to(torch.uint8)
    return Batch((image * 255).to(torch.uint8), xyz, project(xyz, k[:, None, None]), visible, k)


@functools.cache
def network(config: ThreeDMPPEConfig = TINY) -> ThreeDMPPE:
    torch.manual_seed(0)
    net = ThreeDMPPE(config)
    for weight in net.parameters():  # also those that start near zero: all must matter
        weight.data += 0.1 * torch.randn(weight.shape)
    return net.eval()


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# --------------------------------------------------------------------------------------------------
# The counted models


def test_parameters_are_those_of_the_released_networks():
    assert count(PoseNet()) == 34_274_944
    assert count(RootNet()) == 33_997_634
    assert (FULL.cells, FULL.stride) == (64, 32)


def test_the_small_preset_is_small():
    assert (count(PoseNet(SMALL)), count(RootNet(SMALL)), SMALL.cells) == (522_992, 505_506, 16)


def test_the_papers_sizes_run():
    crops = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        assert PoseNet().eval()(crops).shape == (1, 17, 3)
        places = RootNet().eval()(crops, tensor(5000))
    assert places.shape == (1, 1, 3) and places.isfinite().all()


def test_profiles():
    assert list(PROFILES) == list(profiles.PROFILES)
    paper = PROFILES["paper"]
    assert (paper.config, paper.crops, paper.root.lr, paper.root.steps, paper.pose.steps) == (
        FULL, 32, 1e-3, 20 * 25_000, 25 * 25_000
    )  # fmt: skip
    assert not paper.light
    for augmentation in (AUGMENTATION, LIGHT):  # a scaled crop belongs to another k
        assert augmentation["root"].scale == augmentation["root"].occlude == 0
    assert all(p.config.cells >= 8 and p.crops <= 4 * p.pictures for p in PROFILES.values())


@pytest.mark.parametrize(
    "field, value", [("trunk", "vgg"), ("pixels", "half"), ("crop", 100), ("crop", 0), ("bins", 0), ("enlarge", -1.0)]
)
def test_a_wrong_configuration_is_refused(unchecked, field, value):
    with pytest.raises(BadInput) as error:
        ThreeDMPPEConfig(**{field: value})
    assert error.value.field == field


# --------------------------------------------------------------------------------------------------
# Boxes and k


@pytest.mark.parametrize(
    "config, box, square",
    [
        (RELEASED, (100, 50, 200, 400), (-49.875, 0.125, 498.75, 498.75)),
        (RELEASED, (1800, 1000, 400, 400), (1785.125, 965.125, 148.75, 148.75)),
        (FULL, (100, 50, 200, 400), (-50, 0, 500, 500)),
        (FULL, (1800, 1000, 400, 400), (1785, 965, 150, 150)),
        (FULL, (-100, 0, 200, 50), (-12.5, -37.5, 125, 125)),
        (RELEASED, (-100, 0, 200, 50), (-24.875, -99.875, 248.75, 248.75)),  # cut at the left, it is not shortened
    ],
)
def test_squares_of_the_spec(config, box, square):
    found, kept = squares(tensor(*box)[None], 1920, 1080, config)
    assert kept.all()
    torch.testing.assert_close(found[0], tensor(*square))


@pytest.mark.parametrize("config", [FULL, RELEASED])
@pytest.mark.parametrize(
    "box",
    [(5, 5, 0, 9), (5, 5, 9, 0), (5, 5, -3, 9), (2000, 5, 9, 9), (5, 1200, 9, 9), (NAN, 5, 9, 9), (5, 5, NAN, 9)],
)
def test_boxes_without_area_are_rejected(config, box):
    assert not squares(tensor(*box)[None], 1920, 1080, config)[1].any()


def test_a_box_of_one_pixel():
    assert squares(tensor(5, 5, 1, 1), 1920, 1080, FULL)[1]
    assert not squares(tensor(5, 5, 1, 1), 1920, 1080, RELEASED)[1]  # it has lost its only pixel


@given(st.tuples(*[st.floats(-200, 2200, width=32)] * 2, *[st.floats(1, 1500, width=32)] * 2))
def test_squares_hold_what_is_in_the_picture(box):
    (x, y, w, h), (found, kept) = box, squares(tensor(*box), 1920, 1080)
    assert kept == (x < 1920 and y < 1080 and x + w > 0 and y + h > 0)
    if kept:
        left, top, side, again = found.tolist()
        assert side == again
        assert left <= max(x, 0) + 1e-3 and left + side >= min(x + w, 1920) - 1e-3
        assert top <= max(y, 0) + 1e-3 and top + side >= min(y + h, 1080) - 1e-3


def test_k():
    k, box = tensor(1500, 1500, 960, 540), tensor(0, 0, 498.75, 498.75)
    assert distance(box, k).item() == pytest.approx(6015.04, abs=0.005)
    assert distance(box, k * 2) == pytest.approx(2 * 6015.04, abs=0.01)
    assert distance(box * 2, k) == pytest.approx(6015.04 / 2, abs=0.005)
    assert distance(box + tensor(70, -3, 0, 0), k) == distance(box, k)
    assert distance(box, tensor(3000, 750, 0, 0)).item() == pytest.approx(6015.04, abs=0.005)


def test_a_standing_square_of_two_metres_is_at_k():
    xyz = tensor(-1000, -1000, 4321), tensor(1000, 1000, 4321)
    k = tensor(800, 700, 300, 200)
    low, high = (project(point, k) for point in xyz)
    assert distance(torch.cat([low, high - low]), k).item() == pytest.approx(4321, rel=1e-5)


def test_true_boxes_are_tight_and_know_nothing_of_nobody():
    batch = pictures()
    boxes = true_boxes(batch)
    assert boxes[-1, -1].isnan().all() and boxes[-1, 0].isfinite().all()
    uv = batch.uv[0, 1]
    torch.testing.assert_close(boxes[0, 1], torch.cat([uv.amin(0), uv.amax(0) - uv.amin(0)]))
    batch.uv[0, 1, 3:] = math.nan
    torch.testing.assert_close(true_boxes(batch)[0, 1, :2], uv[:3].amin(0))
    batch.xyz[0, 0, :, 2] = -100
    batch.xyz[0, 2, 5, 2] = -100
    behind = true_boxes(batch)[0]
    assert behind[0].isnan().all()
    torch.testing.assert_close(behind[2, :2], torch.cat([batch.uv[0, 2, :5], batch.uv[0, 2, 6:]]).amin(0))


# --------------------------------------------------------------------------------------------------
# Decoding


def test_decode_examples_of_the_spec():
    places = torch.full((1, 17, 3), 32.0)
    places[0, 3] = tensor(16, 48, 40)
    one = torch.zeros(1, dtype=torch.long)
    outputs = Outputs(places, tensor(4000), tensor(400, 300, 256, 256)[None], one, one + 7, tensor(0.5))
    (person,) = decode(outputs, tensor(1500, 1500, 960, 540)[None], FULL)[0]
    np.testing.assert_allclose(person.uv[[0, 3]], [(528, 428), (464, 492)])
    np.testing.assert_allclose(person.xyz[[0, 3]], [(-1152, -298.667, 4000), (-1405.333, -136, 4250)], atol=1e-3)
    assert (person.identity, person.score) == (7, 0.5)
    np.testing.assert_allclose(project(person.xyz, np.array([1500.0, 1500, 960, 540])), person.uv, atol=1e-3)


@pytest.mark.parametrize("pixels, place, z", [("released", 31.5, -15.625), ("exact", 32, 0)])
def test_a_uniform_volume(pixels, place, z):
    config = threedmppe.replace(SMALL, bins=64, pixels=pixels)
    net = PoseNet(config).eval()
    for weight in net.volume.parameters():
        torch.nn.init.zeros_(weight)
    crops = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        places = net(crops)
        torch.testing.assert_close(net.flip_test(crops), places)
    expected = tensor(7.5 + config.offset, 7.5 + config.offset, place).expand(2, 17, 3)
    torch.testing.assert_close(places, expected)
    zero = torch.zeros(2, dtype=torch.long)
    square = tensor(0, 0, 64, 64).expand(2, 4)
    people = decode(Outputs(places, tensor(3000, 3000), square, zero, zero, tensor(1, 1)), torch.ones(1, 4), config)
    np.testing.assert_allclose(people[0][0].xyz[:, 2] - 3000, z, atol=1e-3)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_soft_argmax_reads_x_y_z_of_the_cell(offset):
    volume = torch.zeros(1, 2, 4, 5, 6)
    volume[0, 0, 1, 2, 3], volume[0, 1, 3, 0, 5] = 100, 100
    torch.testing.assert_close(soft_argmax(volume, offset)[0], tensor((3, 2, 1), (5, 0, 3)) + offset)
    volume[0, 0, 1, 2, 4] = 100  # two cells: the middle of them
    torch.testing.assert_close(soft_argmax(volume, offset)[0, 0], tensor(3.5, 2, 1) + offset)
    plane = soft_argmax(volume[:, :, 1].bfloat16(), offset)
    torch.testing.assert_close(plane[0, 0], tensor(3.5, 2) + offset)


def test_soft_argmax_is_the_mean_written_out():
    volume = torch.randn(2, 3, 4, 5, 6)
    share = volume.flatten(2).softmax(-1).view_as(volume)
    expected = sum(
        share[:, :, z, y, x, None] * tensor(x + 0.5, y + 0.5, z + 0.5)
        for z in range(4) for y in range(5) for x in range(6)
    )  # fmt: skip
    torch.testing.assert_close(soft_argmax(volume, 0.5), expected)


def everyone(batch: Batch, config: ThreeDMPPEConfig, net="pose", augmentation=None, seed=0):
    """Upright or augmented targets of everybody in a batch, with the squares and the views."""
    boxes, kept = squares(true_boxes(batch).flatten(0, 1), batch.image.shape[3], batch.image.shape[2], config)
    rows = kept.nonzero()[:, 0]
    view = views(boxes[rows], rows // 3, config.crop, augmentation, torch.Generator().manual_seed(seed))
    uv, xyz = batch.uv.flatten(0, 1)[rows], batch.xyz.flatten(0, 1)[rows]
    z = xyz[..., 2] - xyz[:, 14:15, 2] if net == "pose" else xyz[:, 14:15, 2]
    uv = uv if net == "pose" else uv[:, 14:15]
    return rows, boxes[rows], view, targets(uv, z, view, config, net)


def test_decoding_the_targets_gives_the_truth():
    batch = pictures()
    rows, boxes, _, goal = everyone(batch, SMALL)
    assert goal.weight.all()  # everybody is in the picture
    truth = batch.xyz.flatten(0, 1)[rows]
    outputs = Outputs(goal.places, truth[:, 14, 2], boxes, rows // 3, rows % 3, torch.ones(len(rows)))
    people = decode(outputs, batch.k, SMALL)
    assert [len(one) for one in people] == [3, 3, 2]
    for person, xyz, uv in zip(itertools.chain(*people), truth, batch.uv.flatten(0, 1)[rows]):
        np.testing.assert_allclose(person.xyz, xyz, atol=0.05)
        np.testing.assert_allclose(person.uv, uv, atol=1e-4)


def test_a_root_farther_by_a_tenth_makes_equal_depths_larger_by_a_tenth():
    places = torch.rand(1, 17, 3) * 16
    places[..., 2] = 8
    zero, box, k = torch.zeros(1, dtype=torch.long), tensor(30, 20, 50, 50)[None], tensor(90, 80, 40, 30)[None]
    near, far = (
        decode(Outputs(places, tensor(depth), box, zero, zero, tensor(1)), k, SMALL)[0][0].xyz for depth in (3000, 3300)
    )
    np.testing.assert_allclose(far - far[14], 1.1 * (near - near[14]), atol=0.01)


# --------------------------------------------------------------------------------------------------
# Targets


@pytest.mark.parametrize("seed", range(4))
def test_augmented_targets_are_the_same_joints(seed):
    batch = pictures(seed=seed)
    rows, _, view, goal = everyone(batch, SMALL, augmentation=AUGMENTATION["pose"], seed=seed)
    assert view.mirrored.any() and not view.mirrored.all() and goal.weight.mean() > 0.8
    back = view.to_picture(goal.places[..., :2] / SMALL.cells * SMALL.crop)
    z = (goal.places[..., 2] / SMALL.bins - 0.5) * SMALL.depth
    unswapped = torch.tensor(MPI17.mirror)
    for n, row in enumerate(rows.tolist()):
        order = unswapped if view.mirrored[n] else torch.arange(17)
        known = goal.weight[n, order, 0] > 0
        uv, xyz = batch.uv.flatten(0, 1)[row], batch.xyz.flatten(0, 1)[row]
        torch.testing.assert_close(back[n, order][known], uv[known], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(z[n, order][known], (xyz - xyz[14])[known, 2], atol=1e-2, rtol=0)


def test_a_mirrored_root_is_still_the_root():
    batch = pictures()
    rows, _, view, goal = everyone(batch, SMALL, "root", Augmentation(rotate=0, scale=0, flip=1))
    upright = everyone(batch, SMALL, "root")[3]
    assert goal.places.shape == (8, 1, 3) and view.mirrored.all()
    torch.testing.assert_close(goal.places[..., 0], SMALL.cells - upright.places[..., 0])
    torch.testing.assert_close(goal.places[..., 1:], upright.places[..., 1:])
    torch.testing.assert_close(goal.places[:, 0, 2], batch.xyz.flatten(0, 1)[rows, 14, 2])


def test_what_is_not_known_or_outside_counts_nothing():
    view = views(tensor(0, 0, 64, 64)[None], torch.zeros(1, dtype=torch.long), 64)
    uv, z = torch.full((1, 17, 2), 32.0), torch.zeros(1, 17)
    uv[0, 0, 0], uv[0, 1, 1], uv[0, 2] = 65, -1, math.nan
    z[0, 3], z[0, 4], z[0, 5] = math.nan, 1001, -1001
    goal = targets(uv, z, view, SMALL, "pose")
    assert goal.places.isfinite().all()
    assert goal.weight[0, :6].tolist() == [[0, 0, 0]] * 3 + [[1, 1, 0]] + [[0, 0, 0]] * 2
    assert goal.weight[0, 6:].all()
    torch.testing.assert_close(goal.places[0, 6], tensor(8, 8, 8))


def test_what_counts_nothing_has_no_gradient():
    places = torch.rand(2, 17, 3, requires_grad=True)
    weight = torch.ones(2, 17, 3)
    weight[0, 5], weight[1, :, 2] = 0, 0
    terms = loss(places, Targets(torch.rand(2, 17, 3) + 2, weight))
    terms["loss"].backward()
    assert torch.equal(places.grad != 0, weight > 0)
    torch.testing.assert_close(places.grad[weight > 0], torch.full((int(weight.sum()),), -1 / (3 * 34)))
    torch.testing.assert_close(terms["loss"], (terms["x"] + terms["y"] + terms["z"]) / 3)
    assert loss(places, Targets(places.detach(), weight))["loss"] == 0


@pytest.mark.parametrize("net", ["root", "pose"])
def test_a_sample_is_a_pure_function_of_its_seed(net):
    one, again, other = (sample(pictures(), TINY, net, 6, seed) for seed in (3, 3, 4))
    assert torch.equal(one.crops, again.crops) and torch.equal(one.targets.places, again.targets.places)
    assert not torch.equal(one.crops, other.crops)
    assert one.crops.shape == (6, 3, 32, 32) and one.crops.min() >= 0 and one.crops.max() <= 1
    assert one.targets.places.shape == (6, 1 if net == "root" else 17, 3)


def drawn(batch: Batch, config=TINY, net="root", count=8, seed=0) -> set[float]:
    """The root depths of those who are drawn and count."""
    goal = sample(batch, config, net, count, seed, {net: UPRIGHT}).targets
    return {round(z, 2) for z in goal.places[goal.weight[..., 2] > 0][:, 2].tolist()}


def test_everybody_is_drawn_once_while_there_are_enough():
    batch = pictures()
    depths = {round(z, 2) for z in batch.xyz[:, :, 14, 2].flatten()[:-1].tolist()}
    assert drawn(batch) == drawn(batch, count=20) == depths
    assert len(drawn(batch, count=5)) == 5


def test_who_is_trained_on():
    batch = pictures(1, 3)
    batch.xyz[0, :, 14, 2] = tensor(1499, 7501, 3000)
    assert (
        drawn(batch, threedmppe.replace(TINY, depths=(1500, 7500))) == set()
    )  # too near, and nobody at the last place
    batch.xyz[0, 0, 14, 2] = 1501
    batch.xyz[0, 1, 14, 2] = 3000
    assert drawn(batch) == {1501, 3000}
    batch.visibility[0, 0, 3:] = 1  # three joints are seen
    assert drawn(batch) == {3000}
    batch.xyz[0, 1, 14, 2] = 8000
    assert drawn(batch) == set()
    assert sample(batch, TINY, "pose", 4, 0).targets.weight.any()  # the depth is RootNet's condition alone


def test_those_in_the_picture_are_drawn_sooner():
    batch = pictures(1, 3)
    batch.uv[0, 0, 3, 0] = -20
    cut, whole = (round(batch.xyz[0, place, 14, 2].item(), 2) for place in (0, 1))
    picked = [drawn(batch, count=1, seed=seed) for seed in range(200)]
    assert picked.count({whole}) > 2 * picked.count({cut}) > 0


@pytest.mark.parametrize("net", ["root", "pose"])
def test_nobody_teaches_nothing(net):
    batch = pictures(2, 2)
    batch.xyz[:], batch.uv[:], batch.visibility[:] = math.nan, math.nan, 0
    found = sample(batch, TINY, net, 4, 0)
    assert not found.targets.weight.any() and found.crops.isfinite().all() and found.distance.isfinite().all()
    model = getattr(ThreeDMPPE(TINY), net)
    places = model(found.crops, found.distance) if net == "root" else model(found.crops)
    loss(places, found.targets)["loss"].backward()
    assert all((weight.grad == 0).all() for weight in model.parameters())


def test_k_belongs_to_the_box_however_the_crop_is_turned():
    batch = pictures(1, 1, width=96)
    batch.xyz[:], batch.uv[:] = pictures(1, 2).xyz[:, :1], pictures(1, 2).uv[:, :1]
    batch.visibility[:] = 2
    found = {sample(batch, TINY, "root", 1, seed).distance.item() for seed in range(8)}
    assert len(found) == 1


# --------------------------------------------------------------------------------------------------
# From picture to people


def estimate(net: ThreeDMPPE, batch: Batch, **more):
    return net.estimate(batch.image, true_boxes(batch), batch.k, **more)


def everything(people) -> np.ndarray:
    return np.stack([person.xyz for one in people for person in one])


def test_people_come_in_the_order_of_their_boxes():
    batch, net = pictures(), network()
    people = estimate(net, batch)
    assert [[person.identity for person in one] for one in people] == [[0, 1, 2], [0, 1, 2], [0, 1]]
    turned = net.estimate(batch.image, true_boxes(batch).flip(1), batch.k)
    assert [[person.identity for person in one] for one in turned] == [[0, 1, 2], [0, 1, 2], [1, 2]]
    np.testing.assert_allclose(turned[0][2].xyz, people[0][0].xyz, rtol=1e-4)


def test_one_by_one_is_all_at_once():
    batch, net = pictures(), network()
    people = everything(estimate(net, batch))
    np.testing.assert_allclose(everything(estimate(net, batch, chunk=1)), people, rtol=1e-4)
    alone = [net.estimate(batch.image[i : i + 1], [true_boxes(batch)[i]], batch.k[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(everything(alone), people, rtol=1e-4)


def test_the_roots_depth_is_rootnets_or_the_truths():
    batch, net = pictures(), network()
    roots = net.locate(batch.image, true_boxes(batch), batch.k)
    assert [one.shape for one in roots] == [(3, 3)] * 3 and np.isnan(roots[2][2]).all()
    own = estimate(net, batch)
    np.testing.assert_allclose(everything(estimate(net, batch, depths=[one[:, 2] for one in roots])), everything(own))
    true = everything(estimate(net, batch, depths=batch.xyz[:, :, 14, 2]))
    shift = true[..., 2] - everything(own)[..., 2]  # the whole person moves, its pixels do not
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-2)
    k = np.array([60.0, 60, 32, 24])
    np.testing.assert_allclose(project(true, k), project(everything(own), k), atol=1e-3)


def test_gamma_of_one_is_k_alone():
    batch, net = pictures(), ThreeDMPPE(TINY)
    torch.nn.init.zeros_(net.root.gamma.weight)
    found = net.locate(batch.image, true_boxes(batch), batch.k)
    boxes, _ = squares(true_boxes(batch), 64, 48, TINY)
    np.testing.assert_allclose(np.stack(found)[..., 2], distance(boxes, batch.k[:, None], TINY), rtol=1e-5)


def test_a_symmetric_crop_has_a_symmetric_pose():
    net = network().pose
    crops = torch.rand(2, 3, 32, 32)
    crops = (crops + crops.flip(-1)) / 2
    with torch.no_grad():
        found, plain = net.flip_test(crops), net(crops)
    mirrored = found[:, list(MPI17.mirror)]
    torch.testing.assert_close(mirrored[..., 0], TINY.cells - found[..., 0])
    torch.testing.assert_close(mirrored[..., 1:], found[..., 1:])
    middle = [j for j, other in enumerate(MPI17.mirror) if j == other]
    torch.testing.assert_close(found[:, middle, 1:], plain[:, middle, 1:])


class Bright(PoseNet):
    """A perfect PoseNet of white dots on black: all joints are where the dot is."""

    def forward(self, crops):
        at = (torch.arange(crops.shape[-1]) + 0.5) / crops.shape[-1] * self.config.cells
        mass = crops.mean(1)
        x, y = (mass.sum(1) * at).sum(-1), (mass.sum(2) * at).sum(-1)
        place = torch.stack([x, y, torch.full_like(x, 4) * mass.sum((1, 2))], -1) / mass.sum((1, 2))[:, None]
        return place[:, None].expand(-1, 17, -1)


@pytest.mark.parametrize("pixels, bias", [("exact", 0), ("released", -0.5)])
def test_the_flip_test_of_a_perfect_network(pixels, bias):
    net = Bright(threedmppe.replace(TINY, pixels=pixels))
    crops = torch.zeros(1, 3, 32, 32)
    crops[..., 20, 9] = 1
    torch.testing.assert_close(net(crops)[0, 0, :2], tensor(9.5, 20.5) / 4)
    torch.testing.assert_close(net.flip_test(crops) - net(crops), tensor(bias, 0, 0).expand(1, 17, 3))


def test_nobody_and_nothing():
    batch, net = pictures(), network()
    assert net.estimate(batch.image, [[], np.zeros((0, 4)), torch.zeros(0, 4)], batch.k) == [[], [], []]
    assert net.estimate(batch.image[:0], [], batch.k[:0]) == []
    assert net.locate(batch.image[:0], [], batch.k[:0]) == []
    some = [[(5, 5, 0, 0)], [(1, 2, 20, 30), (900, 2, 20, 30)], []]
    people = net.estimate(batch.image, some, batch.k, scores=[[0.5], [0.25, 1], []])
    assert [[(p.identity, p.score) for p in one] for one in people] == [[], [(0, 0.25)], []]
    roots = net.locate(batch.image, some, batch.k)
    assert [len(one) for one in roots] == [1, 2, 0] and np.isnan(roots[0]).all() and np.isfinite(roots[1][0]).all()


def test_pictures_of_any_size():
    net = network()
    for size in ((33, 70), (200, 41)):
        image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        (people,) = net.estimate(image, [[(3.0, 2, 30, 25)]], tensor(60, 60, 16, 16)[None])
        assert np.isfinite(people[0].xyz).all()


@pytest.mark.parametrize(
    "field, change",
    [
        ("images", {"images": torch.zeros(3, 48, 64, 3, dtype=torch.uint8)}),
        ("images", {"images": torch.zeros(3, 3, 48, 64)}),
        ("boxes", {"boxes": [[(1.0, 2, 20, 30)]]}),
        ("boxes[1]", {"boxes": [[], [(1.0, 2, 20)], []]}),
        ("boxes[0]", {"boxes": [torch.ones(1, 2, 4), [], []]}),
        ("cameras", {"cameras": torch.ones(2, 4)}),
        ("cameras", {"cameras": tensor(60, 0, 32, 24).expand(3, 4)}),
        ("cameras", {"cameras": tensor(-60, 60, 32, 24).expand(3, 4)}),
        ("cameras", {"cameras": tensor(60, 60, math.nan, 24).expand(3, 4)}),
        ("cameras", {"cameras": torch.ones(3, 3)}),
        ("depths", {"depths": [[3000.0], [3000, 3000], [3000, 3000, 3000]]}),
        ("depths", {"depths": torch.full((3, 3), -5.0)}),
        ("depths", {"depths": torch.full((3, 3), math.nan)}),
        ("scores", {"scores": [[1.0]] * 3}),
    ],
)
def test_what_is_refused(unchecked, field, change):
    batch = pictures()
    good = {"images": batch.image, "boxes": true_boxes(batch), "cameras": batch.k}
    with pytest.raises(BadInput) as error:
        network().estimate(**good | change)
    assert error.value.field == field


def test_saved_and_read_again(tmp_path):
    net, batch = network(), pictures()
    net.save(tmp_path / "net.pt")
    again = ThreeDMPPE.load(tmp_path / "net.pt", TINY)
    np.testing.assert_array_equal(everything(estimate(again, batch)), everything(estimate(net, batch)))
    with pytest.raises(BadInput, match="width"):
        ThreeDMPPE.load(tmp_path / "net.pt", SMALL)


def test_estimating_leaves_training_as_it_was():
    net, batch = ThreeDMPPE(TINY).train(), pictures()
    before = net.pose.trunk.bn1.running_mean.clone()
    estimate(net, batch)
    assert net.training and net.pose.training
    assert torch.equal(net.pose.trunk.bn1.running_mean, before)


# --------------------------------------------------------------------------------------------------
# Training


def profile(steps: int, precision: str = "32-true") -> Profile:
    step = FitConfig(steps, lr=1e-2, warmup=5, every=steps, precision=precision)
    return Profile(TINY, 64, 48, 3, 8, 1, step, step)


def test_both_networks_learn_a_few_pictures(monkeypatch, tmp_path):
    for net in AUGMENTATION:
        monkeypatch.setitem(AUGMENTATION, net, UPRIGHT)
    batch = pictures()
    there = batch.there.numpy()
    truth = batch.xyz.numpy()[there]

    def errors(model):
        # Not the flip test: these networks have never seen a mirrored crop.
        people = everything(estimate(model, batch, depths=batch.xyz[:, :, 14, 2], flip=False))
        pose = np.linalg.norm((people - people[:, 14:15]) - (truth - truth[:, 14:15]), axis=-1).mean()
        roots = np.stack(model.locate(batch.image, true_boxes(batch), batch.k))[there]
        return pose, np.abs(roots - truth[:, 14])[:, 2].mean()

    torch.manual_seed(0)
    before = errors(ThreeDMPPE(TINY))
    model = train(lambda step: batch, TINY, profile(160), out=tmp_path, progress=False)
    assert not model.training
    after = errors(model)
    assert after[0] < before[0] / 4 and after[1] < before[1] / 4
    assert {path.parent.name for path in tmp_path.glob("*/checkpoint.pt")} == {"root", "pose"}


def test_training_is_repeated_and_goes_on_where_it_stopped(tmp_path):
    def stream(step):
        return pictures(seed=step)

    one = train(stream, TINY, profile(4), seed=1, progress=False)
    again = train(stream, TINY, profile(4), seed=1, out=tmp_path, progress=False)
    done = train(stream, TINY, profile(4), seed=1, out=tmp_path, progress=False)  # nothing is left to do
    other = train(stream, TINY, profile(4), seed=2, progress=False)
    for a, b, c in zip(one.state_dict().values(), again.state_dict().values(), done.state_dict().values()):
        assert torch.equal(a, b) and torch.equal(a, c)
    assert not torch.equal(one.pose.volume.weight, other.pose.volume.weight)


def test_training_in_bfloat16_gives_float32(tmp_path):
    model = train(lambda step: pictures(seed=step), TINY, profile(2, "bf16-mixed"), progress=False)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert np.isfinite(everything(estimate(model, pictures()))).all()


def test_back_projection_is_that_of_the_camera():
    batch, net = pictures(), network()
    for person in estimate(net, batch, flip=False)[0]:
        np.testing.assert_allclose(
            back_project(person.uv, person.xyz[:, 2], batch.k[0].numpy().astype(float)),
            person.xyz,
            rtol=1e-4,
            atol=0.05,
        )
