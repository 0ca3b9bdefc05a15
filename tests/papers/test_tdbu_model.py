"""TDBU together: both branches over video, all ways to join them, ideal networks end to end, training part by part."""

from dataclasses import replace
from itertools import chain

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mp3d.batch import Batch
from mp3d.camera import Camera, project
from mp3d.canvas import on_canvas
from mp3d.codings import heatmaps, tags
from mp3d.codings.crops import views
from mp3d.errors import BadInput
from mp3d.experiments.codings.crowds import pair
from mp3d.papers.tdbu import (
    PROFILES,
    SMALL,
    TDBU,
    TDBUConfig,
    bottom_up,
    bottomup,
    boxes_of,
    integration,
    join,
    top_down,
    topdown,
)
from mp3d.papers.tdbu import train as training
from mp3d.papers.tdbu.bottomup import FrameNet
from mp3d.papers.tdbu.discriminators import Joined
from mp3d.papers.tdbu.integration import COMPLETED, IntegrationGate, IntegrationMLP, Seen, Spoiling, spoil
from mp3d.papers.tdbu.lifting import METRES, Lift, filled, pose_loss, to_camera
from mp3d.papers.tdbu.topdown import Found, PersonNet, enlarged, find, sample, tight
from mp3d.papers.tdbu.topdown import grid as crop_grid
from mp3d.papers.tdbu.topdown import loss as crop_loss
from mp3d.papers.tdbu.train import LIMBS, Noise, Windows, disturbed
from mp3d.scene import ABSENT, HIDDEN, VISIBLE
from mp3d.skeletons import MPI17
from mp3d.training import FitConfig, load_model, save_model

TINY = PROFILES["smoke"].config
ROOT, NECK, WRIST, KNEE = map(MPI17.index, ("pelvis", "neck", "r_wrist", "l_knee"))
K = torch.tensor([220.0, 220, 128, 80])


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def people() -> Batch:
    """Six pictures of 256 x 160 px of two people each who do not overlap, of noise."""
    batch = pair(1600, 0, 6)
    noise = torch.randint(0, 255, batch.image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return replace(batch, image=noise)


# ---- ideal networks ---------------------------------------------------------------------------------


def ideal(uv: torch.Tensor, labelled: torch.Tensor, grid, sigma) -> tuple[torch.Tensor, torch.Tensor]:
    own = 10.0 * torch.arange(uv.shape[1]).expand(len(uv), -1)
    return heatmaps.encode(uv, labelled, grid, sigma), tags.encode(uv, labelled, own, grid)


class Asked(nn.Module):
    """Gives its maps in the order in which it is asked for them, from the beginning after the last."""

    def answer(self, config: TDBUConfig, maps) -> None:
        nn.Module.__init__(self)
        self.config, self.weight = config, nn.Parameter(torch.zeros(1))
        self.maps, self.asked, self.guides, self.sizes = maps, 0, [], []

    def forward(self, images, guide=None):
        rows = slice(self.asked, self.asked + len(images))
        self.asked = (self.asked + len(images)) % max(1, len(self.maps[0]))
        self.guides.append(guide)
        self.sizes.append(len(images))
        return type(self.maps)(*(part[rows] for part in self.maps))


class Crops(Asked, PersonNet):
    """A perfect network of crops about these boxes."""

    def __init__(self, config: TDBUConfig, batch: Batch, boxes):
        from mp3d.papers.tdbu.topdown import Maps

        picture = torch.tensor([b for b, some in enumerate(boxes) for _ in some], dtype=torch.long)
        seen = views(enlarged(torch.cat(boxes), config), picture, config.crop)
        uv = seen.to_crop(batch.uv[picture].flatten(1, 2)).unflatten(1, batch.uv.shape[1:3])
        inside = batch.labelled[picture] & ((uv >= 0) & (uv < config.crop)).all(-1)
        self.answer(config, Maps(*ideal(uv, inside, crop_grid(config), config.sigma)))


class Frames(Asked, FrameNet):
    """A perfect network of frames."""

    def __init__(self, config: TDBUConfig, batch: Batch):
        moved, _ = on_canvas(batch, config.canvas)
        goal = bottomup.targets(moved, config)
        heat, tag = ideal(moved.uv, moved.labelled, bottomup.grid(config), config.sigma)
        self.answer(config, bottomup.Maps(heat, tag, goal.root, goal.relative))


class Knowing(Lift):
    """Says of each 2D pose where it stands in truth."""

    def __init__(self, config: TDBUConfig, batch: Batch):
        super().__init__(config)
        uv = to_camera(batch.uv, batch.k[:, None])
        self.uv, self.xyz = uv.flatten(0, 1), batch.xyz.flatten(0, 1)

    def track(self, uv, sure, temporal=True):
        far = ((uv[:, None] - self.uv).norm(dim=-1).nan_to_num(0) * (sure[:, None] > 0)).sum(-1)
        return self.xyz[far.argmin(1)]


def knowing(batch: Batch, config: TDBUConfig = SMALL) -> TDBU:
    """All networks, as good as can be; what joins them is the mean."""
    model = TDBU(config)
    model.detector, model.frame = Frames(replace(config, guide="none"), batch), Frames(config, batch)
    boxes = boxes_of(bottom_up(model.detector, batch.image, batch.k))
    model.person, model.lift = Crops(config, batch, boxes), Knowing(config, batch)
    return model.eval()


def same_people(one, other, atol=1e-3):
    assert [len(some) for some in one] == [len(some) for some in other]
    for a, b in zip(chain(*one), chain(*other), strict=True):
        np.testing.assert_allclose(a.xyz, b.xyz, atol=atol)
        np.testing.assert_allclose(a.uv, b.uv, atol=atol)
        assert a.score == pytest.approx(b.score, abs=1e-5)
        np.testing.assert_array_equal(a.visibility, b.visibility)


# ---- bottom-up over pictures ------------------------------------------------------------------------


def test_frames_are_seen_a_few_at_a_time_each_with_its_own_guide(people):
    boxes = [some[some.isfinite().all(-1)] for some in tight(people)]
    boxes[2] = boxes[2][:0]
    found = find(Crops(SMALL, people, boxes), people.image, boxes)
    network = Frames(SMALL, people)
    network.train()
    k = people.k * torch.linspace(1, 1.5, 6)[:, None] ** torch.tensor([1.0, 1, 0, 0])
    whole = bottom_up(network, people.image, k, found)
    few = bottom_up(network, people.image, k, found, chunk=4)
    assert network.sizes == [6, 4, 2] and network.training
    all_at_once, first, last = network.guides
    torch.testing.assert_close(torch.cat([first, last]), all_at_once)
    assert (all_at_once[2] == 0).all() and all_at_once[:, NECK].amax((1, 2)).gt(0.7).tolist() == [
        b != 2 for b in range(6)
    ]
    for one, other, camera in zip(whole, few, k, strict=True):
        torch.testing.assert_close(one.xyz, other.xyz)
        torch.testing.assert_close(project(one.xyz, camera), one.uv, rtol=0, atol=1e-3)


def test_a_guide_stands_at_the_joints(people):
    """Along the whole way: picture, crop, map, and back onto the canvas."""
    boxes = [some[some.isfinite().all(-1)] for some in tight(people)]
    found = find(Crops(SMALL, people, boxes), people.image, boxes)
    moved, canvas = on_canvas(people, SMALL.canvas)
    whole = bottomup.guide(found, 6, canvas, SMALL)
    cells = torch.floor(moved.uv).long()
    at = whole[torch.arange(6)[:, None, None], torch.arange(17), cells[..., 1], cells[..., 0]]
    assert at.min() > 0.5 and at.median() > 0.8 and (whole > 0.5).float().mean() < 0.02


@pytest.mark.parametrize("guide", ["heatmaps", "joints", "none"])
def test_where_nobody_was_found_the_guide_is_dark(people, guide):
    network = Frames(replace(SMALL, guide=guide), people)
    seen = bottom_up(network, people.image, people.k)
    assert [len(some.sure) for some in seen] == [2] * 6
    (given_,) = network.guides
    assert given_ is None if guide == "none" else (given_.shape == (6, 17, 96, 160) and not given_.any())


def test_bottom_up_people_are_boxes_for_crops(people):
    seen = bottom_up(Frames(replace(SMALL, guide="none"), people), people.image, people.k)
    for some, true in zip(boxes_of(seen), tight(people), strict=True):
        gap = (some[:, None] - true).abs().amax(-1)
        assert gap.amin(1).max() < 1
    assert boxes_of([seen[0], NOBODY])[1].shape == (0, 4)


# ---- top-down over time -----------------------------------------------------------------------------


def moving(frames: int = 12, number: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(T, P, 17, 3) mm of people who walk aside, and their pixels."""
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(number, 17, 3, generator=generator) * torch.tensor([150.0, 400, 150])
    start = torch.tensor([[1200.0 * p - 600, 0, 4000] for p in range(number)])
    walk = torch.arange(frames)[:, None, None, None] * torch.tensor([15.0, 0, 10])
    xyz = (pose + start[:, None]) + walk + 5 * torch.randn(frames, number, 17, 3, generator=generator)
    return xyz, project(xyz, K)


def found_in(uv: torch.Tensor, sure: torch.Tensor, there: torch.Tensor) -> Found:
    """People (T, P) as crops show them, those who are there; the box' number is the person's."""
    picture, person = there.nonzero(as_tuple=True)
    places, known = uv[picture, person], sure[picture, person]
    places = places.where(known[..., None] > 0, torch.nan)
    boxes = torch.tensor([[0.0, 0, 9, 9]]).expand(len(picture), 4)
    return Found(picture, person, places, known, torch.zeros(len(picture), 17, 8, 8), views(boxes, picture, 32))


def lively(config: TDBUConfig = TINY) -> Lift:
    torch.manual_seed(0)
    lift = Lift(config)
    for network in (lift.pose, lift.root):
        nn.init.normal_(network.last.weight, std=0.1)
    return lift.eval()


@pytest.mark.parametrize("temporal", [True, False])
@pytest.mark.parametrize("given_", [True, False])
def test_everybody_is_lifted_along_their_own_track(given_, temporal):
    _, uv = moving()
    sure, there = torch.rand(12, 2, 17) * 0.8 + 0.2, torch.ones(12, 2) > 0
    sure[3:5, 0, WRIST] = 0
    there[5:7, 1] = there[9:, 0] = False
    found, lift, k = found_in(uv, sure, there), lively(), K.expand(12, 4)
    identities = [torch.tensor([7, 4])] * 12 if given_ else None
    seen = top_down(lift, found, k, identities, temporal)
    names = (7, 4) if given_ else (0, 1)
    camera = to_camera(uv.where(sure[..., None] > 0, torch.nan), k[:, None])
    wanted = [
        lift.track(camera[:9, 0], sure[:9, 0], temporal),
        lift.track(camera[:, 1], sure[:, 1] * there[:, 1, None], temporal),
    ]
    for t, some in enumerate(seen):
        here = [p for p in (0, 1) if there[t, p]]
        assert some.identity.tolist() == [names[p] for p in here]
        for row, p in enumerate(here):
            torch.testing.assert_close(some.xyz[row], wanted[p][t])
            torch.testing.assert_close(some.sure[row], sure[t, p].clamp(min=COMPLETED))
            assert torch.equal(some.uv[row].isnan().any(-1), sure[t, p] == 0)
    assert (seen[3].sure[0, WRIST] == torch.tensor(COMPLETED)) and seen[3].xyz.isfinite().all()
    together = torch.cat([some.xyz for some in seen])
    assert together.isfinite().all() and len(together) == there.sum()


def test_a_video_of_nobody_and_one_that_is_empty_at_times():
    _, uv = moving(4)
    there = torch.zeros(4, 2) > 0
    seen = top_down(lively(), found_in(uv, torch.ones(4, 2, 17), there), K.expand(4, 4))
    assert [some.xyz.shape for some in seen] == [(0, 17, 3)] * 4 and all(some.uv.shape == (0, 17, 2) for some in seen)
    there[2, 1] = True
    seen = top_down(lively(), found_in(uv, torch.ones(4, 2, 17), there), K.expand(4, 4))
    assert [len(some.sure) for some in seen] == [0, 0, 1, 0] and seen[2].xyz.isfinite().all()


def test_each_frame_s_own_camera_counts():
    xyz, _ = moving(3)
    k = torch.stack([K, K + torch.tensor([0, 0, 30.0, 0]), K * torch.tensor([2.0, 2, 1, 1])])
    uv = project(xyz, k[:, None, None])
    seen = top_down(lively(), found_in(uv, torch.ones(3, 2, 17), torch.ones(3, 2) > 0), k)
    for some, camera, places in zip(seen, k, uv):
        torch.testing.assert_close(project(some.xyz[:, ROOT], camera), places[:, ROOT], atol=1e-2, rtol=0)


# ---- joined -----------------------------------------------------------------------------------------

NOBODY = Seen(torch.zeros(0, 17, 2), torch.zeros(0, 17), torch.zeros(0, 17, 3), torch.zeros(0, dtype=torch.long))


def seen(xyz: torch.Tensor, sure: torch.Tensor, identity: int = 0) -> Seen:
    """What a branch says; joints of no confidence are not found."""
    on = sure[..., None] > 0
    return Seen(project(xyz, K).where(on, torch.nan), sure, xyz.where(on, torch.nan), identity + torch.arange(len(xyz)))


def both(seed: int = 0, number: int = 3, lost: float = 0.2) -> tuple[Seen, Seen]:
    """Two views of the same people; the bottom-up one lacks joints, but no pelvis."""
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randn(number, 17, 3, generator=generator) * 300
    xyz = xyz + torch.tensor([[1200.0 * p - 1200, 0, 4000 + 300 * p] for p in range(number)])[:, None]
    noise = 40 * torch.randn(2, number, 17, 3, generator=generator)
    sure = 0.2 + 0.8 * torch.rand(2, number, 17, generator=generator)
    gone = torch.rand(number, 17, generator=generator) < lost
    gone[:, ROOT] = False
    return seen(xyz + noise[0], sure[0], 5), seen(xyz + noise[1], sure[1] * ~gone)


def some_network(kind=IntegrationMLP) -> nn.Module:
    torch.manual_seed(0)
    network = kind(16)
    nn.init.normal_(network.layers[-1].weight, std=0.3)
    return network


WAYS = [
    ("network", some_network()),
    ("network", some_network(IntegrationGate)),
]
WAYS += [(name, None) for name in ("linear", "hard", "td", "bu")]


def joined(td: Seen, bu: Seen, way: str, network=None, who: str = "hungarian") -> list:
    (people_,) = join([td], [bu], [K.numpy()], way, network, who)
    return people_


def shuffled(some: Seen, order) -> Seen:
    return Seen(*(getattr(some, name)[list(order)] for name in ("uv", "sure", "xyz", "identity")))


@pytest.mark.parametrize("who", ["hungarian", "released"])
@pytest.mark.parametrize("way, network", WAYS)
@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2)])
def test_bottom_up_people_in_another_order_are_the_same_people(way, network, who, order):
    td, bu = both()
    one, other = joined(td, bu, way, network, who), joined(td, shuffled(bu, order), way, network, who)
    if way == "bu":
        other = [other[order.index(i)] for i in range(3)]
    same_people([one], [other])
    assert [p.identity for p in one] == [p.identity for p in other]


@pytest.mark.parametrize("way, network", WAYS)
def test_two_equal_views_are_the_view(way, network):
    td, _ = both()
    network = IntegrationMLP(8) if isinstance(network, IntegrationMLP) else network  # one that changes nothing
    found = joined(td, td, way, network)
    for person, xyz, uv in zip(found, td.xyz, td.uv, strict=True):
        np.testing.assert_allclose(person.xyz, xyz, atol=0.01)
        np.testing.assert_allclose(person.uv, uv, atol=1e-3)
        assert (person.visibility == VISIBLE).all()


def test_matched_people_have_both_branches_joints_and_the_top_down_number():
    td, bu = both()
    td.uv[0, WRIST] = torch.nan  # completed by the graph network
    td.sure[0, WRIST], bu.sure[0, WRIST] = COMPLETED, 0.6
    bu.uv[0, WRIST], bu.xyz[0, WRIST] = torch.tensor([33.0, 44]), td.xyz[0, WRIST]
    td.uv[1, KNEE] = bu.uv[1, KNEE] = torch.nan
    bu.sure[1, KNEE] = 0
    first, second, _ = joined(td, bu, "linear")
    assert [first.identity, second.identity] == [5, 6]
    assert first.uv[WRIST].tolist() == [33, 44] and first.visibility[WRIST] == VISIBLE
    np.testing.assert_allclose(first.uv[NECK], td.uv[0, NECK])
    assert second.visibility[KNEE] == HIDDEN
    knee = td.xyz[1, KNEE] - td.xyz[1, ROOT] + bu.xyz[1, ROOT]
    np.testing.assert_allclose(second.uv[KNEE], project(knee, K), rtol=1e-5)
    assert first.score == pytest.approx(torch.maximum(td.sure[0], bu.sure[0]).mean().item(), rel=1e-5)
    found = [j for j in range(17) if j != KNEE]
    assert second.score == pytest.approx(torch.maximum(td.sure[1], bu.sure[1])[found].mean().item(), rel=1e-5)


def test_each_way_is_its_function_of_the_pairs():
    td, bu = both(lost=0)
    pairs = integration.Pairs(td.xyz, bu.xyz, td.sure, bu.sure)
    for way, network in WAYS:
        poses = {"linear": integration.linear, "hard": integration.hard, "td": lambda p: p.td, "bu": lambda p: p.bu}
        wanted = (network or poses[way])(pairs).detach()
        found = joined(td, bu, way, network)
        np.testing.assert_allclose([p.xyz for p in found], wanted, atol=0.01)


@pytest.mark.parametrize("way, network", WAYS)
def test_who_is_known_to_one_branch_alone_stays(way, network):
    td, bu = both(lost=0)
    far = replace(bu, xyz=bu.xyz + torch.tensor([0, 0, 5000.0]))
    found = joined(td, far, way, network)
    if way in ("td", "bu"):
        assert len(found) == 3
        return
    assert [p.identity for p in found] == [5, 6, 7, 1000, 1001, 1002]
    if way != "network" or isinstance(network, IntegrationGate):
        np.testing.assert_allclose([p.xyz for p in found], torch.cat([td.xyz, far.xyz]), atol=0.01)
    alone = joined(NOBODY, bu, way, network), joined(td, NOBODY, way, network)
    assert [[p.identity for p in some] for some in alone] == [[1000, 1001, 1002], [5, 6, 7]]
    assert joined(NOBODY, NOBODY, way, network) == []


def test_far_people_are_one_although_their_depths_differ_by_more():
    td, bu = both(lost=0)
    for away, people in ((0.0, 6), (20_000.0, 3)):
        one, other = (replace(some, xyz=some.xyz + torch.tensor([0, 0, away])) for some in (td, bu))
        other = replace(other, xyz=other.xyz + torch.tensor([0, 0, 1200.0]))
        assert len(joined(one, other, "hard")) == people


@pytest.mark.parametrize("way, network", WAYS)
def test_one_branch_of_nobody_and_pictures_of_nobody(way, network):
    td, bu = both()
    found = join([td, NOBODY, NOBODY, td], [bu, bu, NOBODY, NOBODY], K.expand(4, 4), way, network)
    numbers = {"td": [3, 0, 0, 3], "bu": [3, 3, 0, 0]}
    assert [len(some) for some in found] == numbers.get(way, [3, 3, 0, 3])
    assert join([], [], K.expand(0, 4), way, network) == []
    assert join([NOBODY], [NOBODY], K[None], way, network) == [[]]


@pytest.mark.parametrize("way, network", WAYS)
def test_joints_that_nobody_knows_are_absent_not_at_the_camera(way, network):
    _, bu = both(lost=0.4)
    gone = bu.sure == 0
    assert gone.any(1).all()
    if way == "td":
        return
    for person, lost in zip(joined(NOBODY, bu, way, network), gone.numpy(), strict=True):
        if isinstance(network, IntegrationMLP):  # it completes them
            assert np.isfinite(person.xyz).all() and np.array_equal(person.visibility == HIDDEN, lost)
            continue
        assert np.isnan(person.xyz[lost]).all() and np.isnan(person.uv[lost]).all()
        assert (person.visibility[lost] == ABSENT).all() and (person.source[lost] == 0).all()
        assert (person.visibility[~lost] == VISIBLE).all() and np.isfinite(person.xyz[~lost]).all()


def test_people_are_paired_as_is_asked_for():
    td, bu = both(lost=0)
    other = shuffled(bu, (1, 2, 0))
    hard = {who: np.stack([p.xyz[ROOT] for p in joined(td, other, "hard", None, who)]) for who in WHO}
    np.testing.assert_allclose(hard["hungarian"], bu.xyz[:, ROOT], atol=0.01)
    np.testing.assert_allclose(hard["released"], bu.xyz[:, ROOT], atol=0.01)
    np.testing.assert_allclose(hard["order"], other.xyz[:, ROOT], atol=0.01)
    short = shuffled(bu, (1,))
    roots = {who: [p.xyz[ROOT] for p in joined(td, short, "hard", None, who)] for who in WHO}
    np.testing.assert_allclose(roots["released"], bu.xyz[[1, 1, 1], ROOT], atol=0.01)  # one for all
    np.testing.assert_allclose(roots["hungarian"], torch.stack([td.xyz[0], bu.xyz[1], td.xyz[2]])[:, ROOT], atol=0.01)


WHO = ("hungarian", "order", "released")


@pytest.mark.parametrize(
    "change, name",
    [
        ({"way": "mean"}, "way"),
        ({"who": "greedy"}, "who"),
        ({"way": "network"}, "network"),
    ],
)
def test_wrong_ways_are_named(unchecked, change, name):
    with pytest.raises(BadInput, match=name):
        join([NOBODY], [NOBODY], K[None], **({"way": "linear"} | change))


# ---- all together -----------------------------------------------------------------------------------


def test_ideal_networks_give_everyone_back(people):
    found = knowing(people).estimate(people.image, people.k)
    assert [len(some) for some in found] == [2] * 6
    for some, xyz, uv in zip(found, people.xyz.numpy(), people.uv.numpy()):
        order = [int(np.linalg.norm(xyz[:, ROOT] - p.xyz[ROOT], axis=-1).argmin()) for p in some]
        assert sorted(order) == [0, 1]
        for person, p in zip(some, order):
            assert np.linalg.norm(person.xyz - xyz[p], axis=-1).max() < 12
            assert np.abs(person.uv - uv[p]).max() < 0.5 and person.score > 0.7
            assert (person.visibility == VISIBLE).all()


def test_a_video_of_ones_own_is_what_is_estimated(people):
    frames = people.image.permute(0, 2, 3, 1).numpy()
    k = people.k[0].tolist()
    camera = Camera(*k, 256, 160)
    assert (people.k == people.k[0]).all()
    same_people(knowing(people).predict(frames, camera), knowing(people).estimate(people.image, people.k))
    one = people[:1]
    same_people(knowing(one).predict(frames[:1], camera), knowing(one).estimate(one.image, one.k))


def test_boxes_of_another_detector(people):
    model = knowing(people)
    boxes = [some[:1] for some in tight(people)]
    model.person = Crops(SMALL, people, boxes)
    found = model.estimate(people.image, people.k, boxes)
    assert [sum(p.identity < 1000 for p in some) for some in found] == [1] * 6  # the others from the frame alone
    assert [len(some) for some in found] == [2] * 6


@pytest.fixture(scope="module")
def model() -> TDBU:
    torch.manual_seed(0)
    return TDBU(TINY).eval()


def test_wrong_videos_are_named(unchecked, model):
    frames = np.zeros((2, 40, 64, 3), np.uint8)
    assert model.predict(frames) == [[], []] and model.predict(frames[:1]) == [[]] and model.predict(frames[:0]) == []
    for bad, words in (
        ((frames[0], None), r"T, h, w, 3"),
        ((frames.astype(float), None), "uint8"),
        ((frames[..., :2], None), "RGB"),
        ((frames[:, :0], None), "image"),
        ((frames, Camera(60, 60, 20, 32, 40, 64)), "64 x 40"),
    ):
        with pytest.raises(BadInput, match=words):
            model.predict(*bad)


def test_a_saved_model_is_the_same_and_another_configuration_is_refused(model, tmp_path):
    model.save(tmp_path / "tdbu.pt")
    again = TDBU.load(tmp_path / "tdbu.pt", TINY)
    assert again.config == TINY and not again.training
    for (name, one), other in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    with pytest.raises(BadInput, match="graph"):
        TDBU.load(tmp_path / "tdbu.pt", replace(TINY, graph=8))
    with pytest.raises(BadInput, match="folder"):
        model.save(tmp_path / "none" / "tdbu.pt")


@pytest.mark.parametrize("kind", [PersonNet, FrameNet, Lift, Joined])
def test_parts_are_saved_alone(kind, tmp_path):
    config = replace(TINY, combine="gate")
    one = kind(config)
    save_model(one, tmp_path / "part.pt")
    again = load_model(kind, TDBUConfig, tmp_path / "part.pt", config)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_fit_together(name):
    """Pictures fill most of the canvas, learning rates are warmed up within the steps, batches can be normalised."""
    size = PROFILES[name]
    scale = min(size.config.canvas[0] / size.width, size.config.canvas[1] / size.height)
    shown = round(size.width * scale) * round(size.height * scale)
    assert shown >= 0.6 * size.config.canvas[0] * size.config.canvas[1]
    assert size.block % size.batch == 0 and min(size.crops, size.windows, size.batch, size.pairs) > 1
    for fit in (size.top_down, size.bottom_up, size.graph, size.temporal, size.joined):
        assert fit.warmup < fit.steps and fit.every <= fit.steps
    assert PROFILES["paper"].config == TDBUConfig() and PROFILES["cpu"].config == SMALL


# ---- training ---------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def until(calls: int, make):
    """What is learned from, for so many calls."""
    left = [calls]

    def draw(step: int):
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted
        return make(step)

    return draw


HOW = FitConfig(3, lr=1e-3, every=1)


def windows(step: int) -> Windows:
    xyz, _ = moving(9, 4, step)
    xyz = xyz.transpose(0, 1)
    return Windows(xyz[..., :2] / xyz[..., 2:], torch.ones(4, 9, 17), xyz)


def together(step: int, number: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    xyz, _ = moving(1, 2 * number, 1000 + step)
    return xyz[0, :number], xyz[0, number:], torch.arange(number) % 4 > 0


def trainers(people: Batch) -> dict:
    stream = lambda step: people[[step % 6, (step + 1) % 6]]  # noqa: E731
    torch.manual_seed(9)
    person = PersonNet(TINY).eval()
    nn.init.normal_(person.head.weight, std=0.3)
    gate = replace(TINY, combine="gate")
    return {
        "person": lambda n, **how: training.train_top_down(until(n, stream), TINY, HOW, 4, **how),
        "frame": lambda n, **how: training.train_bottom_up(until(n, stream), person, TINY, HOW, **how),
        "detector": lambda n, **how: training.train_bottom_up(
            until(n, stream), None, replace(TINY, guide="none"), HOW, **how
        ),
        "lift": lambda n, **how: training.train_lift(until(n, windows), TINY, HOW, HOW, **how),
        "joined": lambda n, **how: training.train_integration(until(n, together), TINY, HOW, **how),
        "gate": lambda n, **how: training.train_integration(until(n, together), gate, HOW, **how),
        "alone": lambda n, **how: training.train_integration(
            until(n, together), TINY, HOW, discriminators=False, **how
        ),
    }


@pytest.mark.parametrize(
    "part, stop", [("person", 2), ("frame", 2), ("detector", 2), ("lift", 5), ("joined", 2), ("gate", 2)]
)
def test_a_seed_is_a_network_and_who_was_interrupted_goes_on(people, part, stop, tmp_path):
    train = trainers(people)[part]
    torch.manual_seed(1)
    one = train(99, seed=3, progress=False)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    again = train(99, seed=3, progress=False)
    with pytest.raises(Interrupted):
        train(stop, seed=3, progress=False, out=tmp_path)
    resumed = train(99, seed=3, progress=False, out=tmp_path)
    other = train(99, seed=4, progress=False)
    assert not one.training
    for (name, a), b, c in zip(
        one.state_dict().items(), again.state_dict().values(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b) and torch.equal(a, c), name
        assert a.isfinite().all()
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    if part == "lift":
        assert all(p.requires_grad for p in one.parameters())
        torch.set_rng_state(state)


def test_without_discriminators_they_do_not_learn_nor_does_the_network_from_them(people):
    makers, fresh = trainers(people), training._new(3, lambda: Joined(TINY))
    alone, judged = (makers[name](99, seed=3, progress=False) for name in ("alone", "joined"))
    for a, b, c in zip(*(one.judges.parameters() for one in (alone, fresh, judged)), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)
    first = [one.network.layers[0].weight for one in (alone, fresh, judged)]
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_a_guide_needs_a_network_of_crops(people):
    with pytest.raises(BadInput, match="person"):
        training.train_bottom_up(lambda step: people, None, TINY, HOW)


def test_frames_are_learned_with_what_the_network_of_crops_says(people, monkeypatch):
    """One that shouts everywhere lights all crops: everybody's joints, and no pixel far from them."""
    guides = []

    class Loud(PersonNet):
        def forward(self, crops):
            maps = super().forward(crops)
            return type(maps)(torch.ones_like(maps.heatmaps), torch.zeros_like(maps.tags))

    class Listening(FrameNet):
        def forward(self, images, guide):
            guides.append(guide)
            return super().forward(images, guide)

    monkeypatch.setattr(training, "FrameNet", Listening)
    config = replace(TINY, canvas=(160, 96))
    training.train_bottom_up(lambda step: people, Loud(TINY), config, replace(HOW, steps=2), progress=False)
    guide, another = guides
    assert not torch.equal(guide, another)  # boxes are off in a way of their own in each step
    moved, _ = on_canvas(people, config.canvas)
    at = torch.floor(moved.uv).long()
    lit = guide[torch.arange(6)[:, None, None], 0, at[..., 1], at[..., 0]]
    assert (lit > 0.99).float().mean() > 0.99  # but for an edge of a crop that was moved
    v, u = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(160) + 0.5, indexing="ij")
    boxes = tight(moved)
    half = 1.5 / 2 * (1 + 1 / 8)  # of a crop of 8 cells, and half a cell to fade out
    reach = boxes[..., 2:].amax(-1) * (half + topdown.JITTER)
    aside = (torch.stack([u, v], -1) - (boxes[..., :2] + boxes[..., 2:] / 2)[:, :, None, None]).abs().amax(-1)
    outside = (aside > reach[..., None, None]).all(1)
    assert outside.any() and (guide[:, 0][outside] == 0).all()


def test_networks_of_pictures_learn(people):
    """Noise learned by heart, in a few steps: silent maps are left behind."""
    how = FitConfig(40, lr=5e-3, every=40)
    network = training.train_top_down(lambda step: people[:2], TINY, how, 4, progress=False)
    some = sample(people[:2], TINY, 4, training._draw(0, 3))
    network.train()
    with torch.no_grad():
        maps = network(some.crops)
        left, silent = (crop_loss(one, some, TINY) for one in (maps, type(maps)(*map(torch.zeros_like, maps))))
    assert left["heatmaps"] < 0.8 * silent["heatmaps"]
    plain = replace(TINY, guide="none")
    network = training.train_bottom_up(lambda step: people[:2], None, plain, how, progress=False)
    moved, _ = on_canvas(people[:2], plain.canvas)
    goal = bottomup.targets(moved, plain)
    network.train()
    with torch.no_grad():
        maps = network(moved.image, None)
        left, silent = (bottomup.loss(one, goal, plain) for one in (maps, type(maps)(*map(torch.zeros_like, maps))))
    for name in ("heatmaps", "root", "relative"):
        assert left[name] < 0.8 * silent[name], name


# ---- tracks as a detector gives them ----------------------------------------------------------------

QUIET = Noise(0, 0, 0, 0)


def many(number: int = 64, time: int = 27) -> Windows:
    xyz, _ = moving(time, number)
    xyz = xyz.transpose(0, 1)
    return Windows(xyz[..., :2] / xyz[..., 2:], torch.ones(number, time, 17), xyz)


def spoiled(some: Windows, seed: int = 0, **noise) -> Windows:
    return disturbed(some, replace(QUIET, **noise), torch.Generator().manual_seed(seed))


def test_a_perfect_detector_is_only_more_or_less_sure():
    some = many()
    some.sure[3, 4, WRIST] = 0
    found = spoiled(some)
    known = some.sure > 0
    assert torch.equal(found.uv[known], some.uv[known]) and found.xyz is some.xyz
    assert ((found.sure >= 0.5) & (found.sure <= 1))[known].all() and found.sure[3, 4, WRIST] == 0
    assert found.sure[known].mean().item() == pytest.approx(0.75, abs=0.01)
    same, other = spoiled(some), spoiled(some, 1)
    assert torch.equal(found.sure, same.sure) and not torch.equal(found.sure, other.sure)


def test_joints_are_shifted_by_parts_of_the_person_s_size():
    some = many()
    size = (some.uv.amax(2) - some.uv.amin(2)).norm(dim=-1)[..., None, None]
    moved = (spoiled(some, shift=0.02).uv - some.uv) / size
    assert moved.std().item() == pytest.approx(0.02, rel=0.02) and moved.mean().abs() < 1e-3
    near = replace(some, uv=3 * some.uv)
    again = (spoiled(near, shift=0.02).uv - near.uv) / size
    torch.testing.assert_close(again, 3 * moved, rtol=1e-3, atol=1e-4)


def test_joints_and_frames_are_lost_as_often_as_they_should():
    some = many(200)
    lost = spoiled(some, joint=0.1).sure == 0
    assert lost.float().mean().item() == pytest.approx(0.1, abs=0.005)
    assert 0.05 < lost[..., ROOT].float().mean() < 0.15
    frames = spoiled(some, frame=0.2).sure == 0
    assert torch.equal(frames.all(-1), frames.any(-1))
    assert frames.any(-1).float().mean().item() == pytest.approx(0.2, abs=0.02)


def test_limbs_are_lost_together_for_a_while():
    lost = spoiled(many(300), limb=0.3).sure == 0
    named = sorted(joint for limb in LIMBS for joint in limb)
    assert named == sorted(MPI17.index(f"{s}_{p}") for s in "rl" for p in ("elbow", "wrist", "knee", "ankle"))
    assert not lost[..., [j for j in range(17) if j not in named]].any()
    for upper, lower in LIMBS:
        gone = lost[..., upper]
        assert torch.equal(gone, lost[..., lower])
        hit = gone.any(1)
        assert hit.float().mean().item() == pytest.approx(0.3, abs=0.1)
        for one in gone[hit]:
            at = one.nonzero()[:, 0]
            assert len(at) == at[-1] - at[0] + 1 <= 14  # one stretch, half of the window at most


def test_what_is_lost_lies_where_a_gap_is_filled():
    some = many(8)
    found = spoiled(some, joint=0.3, limb=0.5, frame=0.1)
    for uv, sure, true in zip(found.uv, found.sure, some.uv):
        torch.testing.assert_close(uv, filled(true, sure))


def test_joints_that_a_track_never_knew_play_no_part():
    some = many(6)
    some.sure[:, :, WRIST] = some.sure[2] = 0
    hole = replace(some, uv=some.uv.where(some.sure[..., None] > 0, torch.nan))
    far = replace(some, uv=some.uv.where(some.sure[..., None] > 0, 1e6))
    one, other = (spoiled(part, shift=0.02, joint=0.1) for part in (hole, far))
    assert one.uv.isfinite().all() and torch.equal(one.uv, other.uv) and torch.equal(one.sure, other.sure)
    assert (one.sure[:, :, WRIST] == 0).all()


def test_lifting_is_learned():
    """From one batch: poses come nearer than those of the first network, depths than 4 m for all."""
    some = windows(0)
    xyz = some.xyz + torch.tensor([0, 0, 300.0]) * (torch.arange(9) + 1)[:, None, None]  # from 4.3 to 6.7 m
    some = replace(some, uv=xyz[..., :2] / xyz[..., 2:], xyz=xyz)
    graph, temporal = FitConfig(80, lr=1e-2, every=80), FitConfig(80, lr=3e-3, every=80)
    config = replace(TINY, dropout=0.0)
    lift = training.train_lift(lambda step: some, config, graph, temporal, QUIET, progress=False)
    fresh = training._new(0, lambda: Lift(TINY)).eval()
    with torch.no_grad():
        left, before = (pose_loss(one.graph(some.uv[:, 4], some.sure[:, 4]), some.xyz[:, 4]) for one in (lift, fresh))
        lift.train()
        poses = lift.graph(some.uv.flatten(0, 1), some.sure.flatten(0, 1)).unflatten(0, (4, 9))
        refined = pose_loss(lift.refined(poses, every=False), some.xyz[:, 4])
        depth = (lift.depth(some.uv, every=False) - some.xyz[:, 4, ROOT, 2] * METRES).abs().mean()
    assert left < 0.5 * before and refined < 0.8 * left and depth < 0.7


# ---- the integration network ------------------------------------------------------------------------


def test_the_integration_network_learns_to_do_better_than_the_mean():
    """A pose for everybody, so that it can be known: joints that were masked are put where they belong."""
    body, _, _ = together(0, 1)

    def one_body(step: int):
        generator = torch.Generator().manual_seed(step)
        a, b = (body + torch.randn(32, 1, 3, generator=generator) * torch.tensor([800.0, 100, 500]) for _ in range(2))
        return a, b, torch.ones(32, dtype=torch.bool)

    config, how = replace(TINY, integration=64), FitConfig(400, lr=5e-3, every=400)
    little = Spoiling(depth_td=0.02, depth_bu=0.01)
    made = training.train_integration(one_body, config, how, little, discriminators=False, progress=False)
    true, _, _ = one_body(10_000)
    pairs = spoil(true, little, torch.Generator().manual_seed(1))
    nobody = (pairs.sure_td + pairs.sure_bu == 0)[..., None].expand_as(true)
    with torch.no_grad():
        found, mean = made.network(pairs), IntegrationMLP(8)(pairs)
    assert integration.loss(found, true) < 0.9 * integration.loss(mean, true)
    hidden = true.where(nobody, torch.nan)
    assert integration.loss(found, hidden) < 0.4 * integration.loss(mean, hidden)


def test_the_gate_learns_whom_to_believe():
    """Top-down poses are exact and their depths are off, bottom-up ones the other way round."""
    how = Spoiling(mask=0.2, shift_td=0, shift_bu=200, depth_td=0.1, depth_bu=0, drop=0.1)
    config = replace(TINY, combine="gate")
    made = training.train_integration(together, config, FitConfig(250, lr=1e-2, every=250), how, progress=False)
    true, _, _ = together(77, 200)
    pairs = spoil(true, replace(how, mask=0, drop=0), torch.Generator().manual_seed(5))
    with torch.no_grad():
        w, v = made.network.weights(pairs)
    assert w.median() > 0.65 and v.abs().median() < 0.35


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_the_loss_of_a_gate_does_not_count_what_nobody_knows(seed):
    """A joint that is masked twice can be no gate's fault."""
    true, _, _ = together(seed % 1000, 8)
    pairs = spoil(
        true, Spoiling(mask=0.6, shift_td=0, shift_bu=0, depth_td=0, depth_bu=0), torch.Generator().manual_seed(seed)
    )
    found = some_network(IntegrationGate)(pairs)
    nobody = (pairs.sure_td + pairs.sure_bu == 0)[..., None]
    assert torch.equal(found.isnan(), nobody.expand_as(found))
    assert integration.loss(true.where(nobody, found), true) < 1e-8
