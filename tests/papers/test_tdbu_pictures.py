"""TDBU in pictures: crops, exact maps read back to truth by both branches, the guide, trap 1, tracks of people."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mp3d.batch import Batch
from mp3d.camera import back_project, project
from mp3d.canvas import fit_canvas, on_canvas
from mp3d.codings import heatmaps, tags
from mp3d.codings.crops import views
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.experiments.codings.crowds import pair
from mp3d.papers.tdbu import bottomup, topdown
from mp3d.papers.tdbu.bottomup import BEHIND, MIDDLE, OTHERS, SPAN, FrameNet, decode, misread, read_depth
from mp3d.papers.tdbu.config import PROFILES, SMALL, Reading, TDBUConfig
from mp3d.papers.tdbu.integration import COMPLETED
from mp3d.papers.tdbu.topdown import (
    JITTER,
    SPREAD,
    Found,
    PersonNet,
    around,
    enlarged,
    find,
    once,
    overlap,
    picture_oks,
    sample,
    tight,
)
from mp3d.papers.tdbu.tracking import PATIENCE, track
from mp3d.skeletons import MPI17

TINY = PROFILES["smoke"].config
JOINTS, ROOT, NECK, WRIST, KNEE = 17, *map(MPI17.index, ("pelvis", "neck", "r_wrist", "l_knee"))
HIPS = [MPI17.index("r_hip"), MPI17.index("l_hip")]


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def people() -> Batch:
    """Six pictures of 256 x 160 px of two people each who do not overlap."""
    return pair(1600, 0, 6)


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def nobody(batch: Batch) -> Batch:
    gone = {name: getattr(batch, name) * torch.nan for name in ("xyz", "uv")}
    return replace(batch, **gone, visibility=batch.visibility * 0)


def boxes_of(batch: Batch) -> list[torch.Tensor]:
    return [some[some.isfinite().all(-1)] for some in tight(batch)]


# ---- networks ---------------------------------------------------------------------------------------


def test_parameters_are_those_of_hrnet_w32_and_its_heads():
    """HRNet-W32's body has 28,535,552, with a head of 17 maps 28,536,113."""
    with torch.device("meta"):
        one, guided = count(PersonNet(TDBUConfig(people="one"))), count(FrameNet())
        small, plain = count(PersonNet(SMALL)), count(FrameNet(replace(SMALL, guide="none")))
    assert one == 28_536_113 == 28_535_552 + (32 + 1) * 17

    def unit(out: int, features: int, norm: bool = True) -> int:
        return 9 * features * out + 2 * out * norm + 1  # no bias; one slope

    def heads(w: int) -> int:
        up = unit(w, w) + unit(4 * w, w, norm=False) + unit(w, w)
        return up + sum(unit(w, w) + (w + 1) * maps for maps in (17, 17, 1, 16))

    assert guided == 28_535_552 + 9 * 17 * 64 + heads(32)
    assert small - (SMALL.width + 1) * 2 * 17 == plain - heads(SMALL.width)  # the same body


@pytest.mark.parametrize("who", ["all", "one"])
def test_maps_of_crops_are_a_quarter_of_their_sides(who):
    network = PersonNet(replace(TINY, people=who))
    maps = network(torch.rand(3, 3, 32, 32))
    assert maps.heatmaps.shape == (3, 17, 8, 8)
    assert maps.tags is None if who == "one" else maps.tags.shape == (3, 17, 8, 8)


@pytest.mark.parametrize("guide", ["heatmaps", "joints", "none"])
def test_maps_of_frames_are_half_of_their_sides_and_the_guide_is_seen_where_there_is_one(guide):
    torch.manual_seed(0)
    network = FrameNet(replace(TINY, guide=guide)).eval()
    images, more = torch.randint(0, 255, (2, 3, 32, 64), dtype=torch.uint8), torch.rand(2, 17, 32, 64)
    with torch.no_grad():
        maps = network(images, None if guide == "none" else more)
        assert [part.shape[1] for part in maps] == [17, 17, 1, 16]
        assert all(part.shape[2:] == (16, 32) and part.abs().max() < 0.2 for part in maps)  # quiet at first
        if guide != "none":
            assert not torch.equal(network(images, 1 - more).heatmaps, maps.heatmaps)


def test_all_parameters_learn(people):
    torch.manual_seed(0)
    noise = torch.randint(0, 255, people.image.shape, dtype=torch.uint8)
    people = replace(people, image=noise)
    network, some = PersonNet(TINY), sample(people, TINY, 4, 0)
    topdown.loss(network(some.crops), some, TINY)["loss"].backward()
    moved, _ = on_canvas(people, TINY.canvas)
    frames = FrameNet(TINY)
    maps = frames(moved.image, torch.rand(6, 17, 64, 64))
    bottomup.loss(maps, bottomup.targets(moved, TINY), TINY)["loss"].backward()
    for p in (*network.parameters(), *frames.parameters()):
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.any()


# ---- crops ------------------------------------------------------------------------------------------


def test_boxes_are_enlarged_to_squares_about_their_middles():
    boxes = torch.tensor([[10.0, 20, 40, 100], [-5, 0, 30, 10]])
    found = enlarged(boxes, TINY)
    assert found.tolist() == [[30 - 75, 70 - 75, 150, 150], [10 - 22.5, 5 - 22.5, 45, 45]]
    assert enlarged(boxes, replace(TINY, enlarge=1))[0].tolist() == [-20, 20, 100, 100]


def test_boxes_are_tight_about_joints_in_the_picture(people):
    seen = people.visibility.clone()
    seen[0, 0], seen[1, 1, :9] = 0, 0
    found = tight(replace(people, visibility=seen))
    assert found[0, 0].isnan().all() and found.shape == (6, 2, 4)
    uv = people.uv[1, 1, 9:]
    torch.testing.assert_close(found[1, 1], torch.cat([uv.amin(0), uv.amax(0) - uv.amin(0)]))
    assert tight(nobody(people)).isnan().all()


def test_samples_are_a_function_of_their_seed(people):
    one, same, other = (sample(people, TINY, 5, seed) for seed in (3, 3, 4))
    for name in ("crops", "uv", "labelled"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.uv, other.uv)
    moved = one.to("cpu")
    assert torch.equal(moved.uv, one.uv) and torch.equal(moved.labelled, one.labelled)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_crops_are_of_the_first_person_and_labels_lie_in_them(people, seed):
    config = SMALL
    some = sample(people, config, 12, seed)
    assert some.crops.shape == (12, 3, 64, 64) and some.uv.shape == (12, 2, 17, 2)
    assert (some.uv[some.labelled] >= 0).all() and (some.uv[some.labelled] < 64).all()
    low, high = some.uv[:, 0].amin(1), some.uv[:, 0].amax(1)
    side = (high - low).amax(1)  # of the crop, px; the box is 2/3 of it, a little larger or smaller
    assert (side >= 64 / 1.5 / (1 + JITTER) - 1e-3).all() and (side <= 64 / 1.5 / (1 - JITTER) + 1e-3).all()
    middle = (low + high) / 2
    assert ((middle - 32).abs() <= JITTER * (high - low) + 1e-3).all()
    assert some.labelled[:, 0].all()


def test_everyone_is_shown_once_before_anybody_is_again(people):
    some = sample(people, SMALL, 24, 0)
    low, high = some.uv[:, 0].amin(1), some.uv[:, 0].amax(1)
    spans = (high - low)[:, 1] / (high - low)[:, 0]
    assert len({round(value, 3) for value in spans.tolist()}) == 12  # shapes of boxes of 12 people
    assert sample(people, SMALL, 3, 0).crops.shape[0] == 3


def test_joints_in_a_crop_are_where_they_are_in_the_picture(people):
    """A white square of 5 px about a wrist is white in the crop, there and nowhere far."""
    image = people.image.clone()
    u, v = (int(x) for x in people.uv[2, 1, WRIST])
    image[2, :, v - 2 : v + 3, u - 2 : u + 3] = 255
    own, hits = replace(people, image=image)[2:3], 0
    for seed in range(4):
        some = sample(own, SMALL, 2, seed)
        for crop, uv in zip(some.crops, some.uv):
            lit = (crop[0] > 0.9).nonzero().float().flip(-1) + 0.5
            if len(lit):  # one of both people's: whoever has the mark
                assert (lit.mean(0) - uv[:, WRIST]).norm(dim=-1).min() < 1.0
                hits += 1
    assert hits >= 4


def test_somebody_who_shows_one_joint_has_no_box(people):
    seen = people.visibility.clone()
    seen[:, 1], seen[:, 1, WRIST] = 0, 2
    one = sample(replace(people, visibility=seen), TINY, 8, 0)
    assert one.labelled[:, 0].sum(1).min() > 1
    seen[:, 0] = 0
    none = sample(replace(people, visibility=seen), TINY, 8, 0)  # the whole first picture, eight times
    assert none.crops.shape == (8, 3, 32, 32) and none.labelled.sum() == 8


def test_where_nobody_is_nothing_is_labelled(people):
    some = sample(nobody(people), TINY, 4, 0)
    assert not some.labelled.any() and some.crops.isfinite().all()
    maps = topdown.Maps(torch.full((4, 17, 8, 8), 0.1), torch.full((4, 17, 8, 8), 0.3))
    terms = topdown.loss(maps, some, TINY)
    assert terms["heatmaps"].item() == pytest.approx(100 * 0.01) and terms["tags"] == 0


def ideal(uv: torch.Tensor, labelled: torch.Tensor, config: TDBUConfig) -> topdown.Maps:
    """What a perfect network says; people's tags are 10 apart."""
    own = 10.0 * torch.arange(uv.shape[1]).expand(len(uv), -1)
    cells = topdown.grid(config)
    return topdown.Maps(heatmaps.encode(uv, labelled, cells, config.sigma), tags.encode(uv, labelled, own, cells))


def test_perfect_maps_cost_nothing_and_silent_ones_equation_1(people):
    some = sample(people, SMALL, 6, 0)
    maps = ideal(some.uv, some.labelled, SMALL)
    terms = topdown.loss(maps, some, SMALL)
    assert terms["heatmaps"] == 0 and terms["tags"] < 1e-6
    silent = topdown.loss(topdown.Maps(*map(torch.zeros_like, maps)), some, SMALL)
    assert silent["heatmaps"].item() == pytest.approx(100 * maps.heatmaps.square().mean().item())
    two = (some.labelled.any(-1).sum(1) == 2).float().mean().item()  # all tags 0: push is 1/2 where two are there
    assert silent["tags"].item() == pytest.approx(100 * SMALL.tags * two / 2)
    assert silent["loss"].item() == pytest.approx(silent["heatmaps"].item() + silent["tags"].item())


def test_one_person_s_maps_show_the_first_alone(people):
    config, some = replace(SMALL, people="one"), sample(pair(500, 0, 3), SMALL, 6, 0)
    assert some.labelled[:, 1].any()
    own = heatmaps.encode(some.uv[:, :1], some.labelled[:, :1], topdown.grid(config), config.sigma)
    terms = topdown.loss(topdown.Maps(own, None), some, config)
    assert set(terms) == {"loss", "heatmaps"} and terms["loss"] == 0
    assert topdown.loss(topdown.Maps(own, torch.zeros_like(own)), some, SMALL)["heatmaps"] > 0.1


# ---- from crops to people ---------------------------------------------------------------------------


class Seer(PersonNet):
    """Says of crops of these boxes, in the order in which they come, what a perfect network would say."""

    def __init__(self, config: TDBUConfig, batch: Batch, boxes, strength=1.0):
        nn.Module.__init__(self)
        self.config, self.weight, self.asked, self.sizes = config, nn.Parameter(torch.zeros(1)), 0, []
        picture = torch.tensor([b for b, some in enumerate(boxes) for _ in some], dtype=torch.long)
        flat = torch.cat([torch.zeros(0, 4), *boxes])
        good = flat.isfinite().all(-1) & (flat[:, 2:] > 0).all(-1)
        picture, flat = picture[good], flat[good]
        seen = views(enlarged(flat, config), picture, config.crop)
        uv = seen.to_crop(batch.uv[picture].flatten(1, 2)).unflatten(1, batch.uv.shape[1:3])
        labelled = batch.labelled[picture] & ((uv >= 0) & (uv < config.crop)).all(-1)
        self.maps = ideal(uv, labelled, config)
        self.strength = torch.as_tensor(strength).expand(len(flat))

    def forward(self, crops):
        rows = slice(self.asked, self.asked + len(crops))
        self.asked = (self.asked + len(crops)) % max(1, len(self.maps.heatmaps))
        self.sizes.append(len(crops))
        heat = self.maps.heatmaps[rows] * self.strength[rows, None, None, None]
        return topdown.Maps(heat, None if self.config.people == "one" else self.maps.tags[rows])


def seen_by(batch: Batch, boxes, config: TDBUConfig = SMALL, strength=1.0, **more) -> Found:
    return find(Seer(config, batch, boxes, strength), batch.image, boxes, **more)


def test_exact_maps_are_read_back_to_a_fraction_of_a_cell(people):
    boxes = boxes_of(people)
    found = seen_by(people, boxes)
    assert found.picture.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5] and found.box.tolist() == [0, 1] * 6
    cell = enlarged(torch.cat(boxes), SMALL)[:, 2] / 16
    true = people.uv.flatten(0, 1)
    off = (found.uv - true).norm(dim=-1) / cell[:, None]
    assert off.max() < 0.05 and (found.sure > 0.75).all() and (found.sure <= 1).all()
    assert found.heatmaps.shape == (12, 17, 16, 16) and (found.heatmaps <= 1).all()
    assert torch.equal(found.views.picture, found.picture) and found.views.size == 64


def test_crops_are_asked_for_a_few_at_a_time(people):
    boxes = boxes_of(people)
    network = Seer(SMALL, people, boxes)
    network.train()
    few = find(network, people.image, boxes, chunk=5)
    assert network.sizes == [5, 5, 2] and network.training
    whole = seen_by(people, boxes)
    for name in ("picture", "box", "uv", "sure", "heatmaps"):
        torch.testing.assert_close(getattr(few, name), getattr(whole, name), equal_nan=True)
    for name in ("picture", "matrix", "corner", "mirrored"):
        assert torch.equal(getattr(few.views, name), getattr(whole.views, name))


def test_of_two_people_in_a_box_its_own_is_taken():
    """Each in the other's crop and partly in the other's box: who fits the box, also where it is a little off."""
    batch = pair(300, 1, 4)
    boxes = boxes_of(batch)
    assert all((overlap(some[:1], some[1:]) > 0.05).all() for some in boxes)
    for chosen in (0, 1):
        for shift in (0.0, 0.08):
            one = [some[chosen : chosen + 1] + shift * some[chosen, 2] * torch.tensor([1.0, 1, 0, 0]) for some in boxes]
            found = seen_by(batch, one)
            assert found.picture.tolist() == [0, 1, 2, 3]
            gap = (found.uv[:, None] - batch.uv).norm(dim=-1).nan_to_num(0).mean(-1)
            assert gap.argmin(1).tolist() == [chosen] * 4


def test_one_person_a_crop_takes_the_highest_peaks_whoever_s_they_are():
    batch = pair(500, 1, 2)
    config, one = replace(SMALL, people="one"), [some[:1] for some in boxes_of(batch)]
    alone = replace(batch, visibility=batch.visibility * torch.tensor([1, 0], dtype=torch.uint8)[:, None])
    found = seen_by(alone, one, config)
    assert (found.uv - batch.uv[:, 0]).norm(dim=-1).max() < 0.5
    both = Seer(config, alone, one)
    both.maps.heatmaps[:, WRIST] = ideal_other(batch, one, config)
    mixed = find(both, batch.image, one)
    assert (mixed.uv[:, WRIST] - batch.uv[:, 1, WRIST]).norm(dim=-1).max() < 0.5  # the other's
    torch.testing.assert_close(mixed.uv[:, NECK], found.uv[:, NECK])  # the box's own


def ideal_other(batch: Batch, boxes, config: TDBUConfig) -> torch.Tensor:
    """Heatmaps in which only the second's wrist is high."""
    hidden = replace(batch, visibility=batch.visibility * torch.tensor([0, 1], dtype=torch.uint8)[:, None])
    return Seer(config, hidden, boxes).maps.heatmaps[:, WRIST]


def test_who_is_found_in_two_boxes_stays_once_as_the_surer_found_them(people):
    boxes = [
        some[:1].repeat(3, 1) + torch.tensor([[0.0, 0, 0, 0], [3, 2, 0, 0], [-4, 0, 5, 0]]) for some in boxes_of(people)
    ]
    strength = torch.tensor([0.5, 0.9, 0.7]).repeat(6)
    found = seen_by(people, boxes, strength=strength)
    assert found.picture.tolist() == list(range(6)) and found.box.tolist() == [1] * 6
    assert (found.sure.amax(1) <= 0.9).all() and found.sure.mean() > 0.7
    both = [torch.cat([some, some + 1]) for some in boxes_of(people)]
    assert len(seen_by(people, both).uv) == 12
    assert len(seen_by(people, both, reading=Reading(double=1.0)).uv) == 24


def test_boxes_that_are_none_give_nobody_and_keep_their_numbers(people):
    good = boxes_of(people)
    bad = torch.tensor([[5.0, 5, 0, 20], [5, 5, 20, -1], [torch.nan] * 4, [0, 0, torch.inf, 5], [-900, -900, 30, 60]])
    mixed = [torch.cat([bad[:2], some[:1], bad[2:], some[1:]]) for some in good]
    mixed[3] = mixed[3][:0]
    found = seen_by(people, mixed)
    assert found.picture.tolist() == [0, 0, 1, 1, 2, 2, 4, 4, 5, 5] and found.box.tolist() == [2, 6] * 5
    at = [0, 1, 2, 4, 5]
    assert (found.uv - people.uv[at].flatten(0, 1)).norm(dim=-1).max() < 0.5


def test_no_boxes_are_nobody(people):
    network = PersonNet(TINY)
    for images, boxes in ((people.image, [torch.zeros(0, 4)] * 6), (people.image[:0], [])):
        found = find(network, images, boxes)
        assert found.uv.shape == (0, 17, 2) and found.heatmaps.shape == (0, 17, 8, 8) and not len(found.views.corner)


def test_an_empty_crop_is_nobody(people):
    assert len(seen_by(nobody(people), boxes_of(people)).uv) == 0
    assert len(seen_by(nobody(people), boxes_of(people), replace(SMALL, people="one")).uv) == 0


@pytest.mark.parametrize("number", [0, 5, 7])
def test_every_picture_needs_its_boxes(people, number):
    with pytest.raises(BadInput, match=r"boxes.*6, one list a picture"):
        find(PersonNet(TINY), people.image, [torch.zeros(0, 4)] * number)


def test_joints_off_the_crop_are_not_known(people):
    """A box of the upper half, enlarged as it is, does not reach the ankles."""
    upper = [some[:1] * torch.tensor([1.0, 1, 1, 0.4]) for some in boxes_of(people)]
    found = seen_by(people, upper)
    ankles = [MPI17.index("r_ankle"), MPI17.index("l_ankle")]
    assert found.uv[:, ankles].isnan().all() and (found.sure[:, ankles] == 0).all()
    known = found.sure > 0
    assert known[:, NECK].all() and torch.equal(known, found.uv.isfinite().all(-1))
    assert (found.uv - people.uv[:, 0])[known].norm(dim=-1).max() < 0.5


def test_boxes_and_how_they_overlap():
    uv = torch.full((2, 17, 2), torch.nan)
    uv[0, :2] = torch.tensor([[3.0, 9], [1, 20]])
    uv[1, 5] = torch.tensor([4.0, 4])
    assert around(uv).tolist() == [[1, 9, 2, 11], [4, 4, 0, 0]]
    a = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 0, 0]])
    b = torch.tensor([[0.0, 0, 4, 4], [2, 2, 4, 4], [4, 0, 4, 4], [1, 1, 0, 0]])
    assert overlap(a, b).tolist() == pytest.approx([1, 4 / 28, 0, 0])


def standing(u: float = 0.0, v: float = 0.0, size: float = 1.0) -> torch.Tensor:
    """px: somebody about 40 wide and 100 high."""
    generator = torch.Generator().manual_seed(1)
    uv = torch.rand(17, 2, generator=generator) * torch.tensor([40.0, 100])
    uv[0], uv[1] = torch.tensor([0.0, 0]), torch.tensor([40.0, 100])
    return uv * size + torch.tensor([u, v])


def test_likeness_in_the_picture_by_hand():
    uv, ones = standing(), torch.ones(17)
    assert picture_oks(uv, ones, uv, ones) == pytest.approx(1)
    aside = uv + torch.tensor([SPREAD * (40 * 100) ** 0.5, 0])
    assert picture_oks(uv, ones, aside, ones) == pytest.approx(np.exp(-0.5), rel=1e-5)
    upper, lower = ones * (torch.arange(17) < 8), ones * (torch.arange(17) >= 8)
    assert picture_oks(uv, upper, uv, lower) == 0 == picture_oks(uv, 0 * ones, uv, ones)
    hole = uv.clone()
    hole[3] = torch.nan
    assert picture_oks(hole, ones * (torch.arange(17) != 3), uv, ones) == pytest.approx(1)


@given(seed=st.integers(0, 2**31))
def test_likeness_is_the_same_from_either_side(seed):
    rng = torch.Generator().manual_seed(seed)
    a, b = (standing() + 5 * torch.randn(17, 2, generator=rng) for _ in range(2))
    sure = [torch.rand(17, generator=rng) * (torch.rand(17, generator=rng) < 0.6) for _ in range(2)]
    forth, back = picture_oks(a, sure[0], b, sure[1]), picture_oks(b, sure[1], a, sure[0])
    assert forth == pytest.approx(back) and 0 <= forth <= 1


def test_a_fragment_of_somebody_is_the_same_person():
    """One joint, 2 px off, has no size of its own to be measured by."""
    whole, ones = standing(), torch.ones(17)
    wrist = (whole + 2).where((torch.arange(17) == WRIST)[:, None], torch.nan)
    sure = torch.stack([ones * 0.4, ones * (torch.arange(17) == WRIST)])
    kept = once(torch.tensor([0, 0]), torch.stack([whole, wrist]), sure, 0.7)
    assert kept.tolist() == [0]


def test_once_in_each_picture_the_surest_first_in_the_order_given():
    uv = torch.stack([standing(), standing(1), standing(200), standing(), standing()])
    sure = torch.tensor([0.4, 0.9, 0.2, 0.3, 0.0])[:, None].expand(5, 17)
    assert once(torch.tensor([0, 0, 0, 1, 2]), uv, sure, 0.7).tolist() == [1, 2, 3]
    assert once(torch.tensor([0, 0, 0, 1, 2]), uv, sure, 1.0).tolist() == [0, 1, 2, 3]  # who has no joint is nobody
    assert once(torch.zeros(0, dtype=torch.long), uv[:0], sure[:0], 0.7).tolist() == []


# ---- the guide --------------------------------------------------------------------------------------

WIDE = torch.zeros(3, 3, 90, 200, dtype=torch.uint8)
"""Three pictures that leave the canvas' upper and lower part free."""


def in_crops(boxes: torch.Tensor, picture: torch.Tensor, config: TDBUConfig, seed: int = 0) -> Found:
    """People with random maps in crops of these boxes."""
    generator = torch.Generator().manual_seed(seed)
    n, s = len(boxes), config.crop // 4
    uv = boxes[:, None, :2] + boxes[:, None, 2:] * torch.rand(n, 17, 2, generator=generator)
    heat, sure = torch.rand(n, 17, s, s, generator=generator), torch.rand(n, 17, generator=generator) + 0.1
    return Found(
        picture, torch.zeros(n, dtype=torch.long), uv, sure, heat, views(enlarged(boxes, config), picture, config.crop)
    )


BOXES = torch.tensor([[40.0, 20, 30, 60], [50, 25, 30, 60], [150, 40, 20, 50], [-10, 5, 30, 40]])
IN = torch.tensor([0, 0, 0, 2])


def test_a_gaussian_in_a_crop_is_where_it_was_in_the_picture():
    _, canvas = fit_canvas(WIDE, SMALL.canvas)
    assert canvas.corner[1] > 5 and canvas.scale[0] < 1
    found = in_crops(BOXES[:1], IN[:1], SMALL)
    for row, column in ((3, 4), (8, 8), (12, 9)):
        at = torch.tensor([[[4 * column + 2.0, 4 * row + 2.0]]])  # px of the crop: the middle of a cell
        heat = heatmaps.encode(at[:, :, None].expand(1, 1, 17, 2), torch.ones(1, 1, 17) > 0, topdown.grid(SMALL), 1.0)
        whole = bottomup.guide(replace(found, heatmaps=heat), 3, canvas, SMALL)
        assert whole.shape == (3, 17, 96, 160) and not whole[1:].any()
        v, u = divmod(int(whole[0, 5].argmax()), 160)
        wanted = canvas.to(found.views.to_picture(at))[0, 0]
        assert (torch.tensor([u + 0.5, v + 0.5]) - wanted).abs().max() <= 1
        assert whole.max() > 0.9


@pytest.mark.parametrize("size", [(200, 90), (90, 200), (320, 192), (100, 100)])
def test_each_pixel_of_the_guide_is_read_between_the_cells(size):
    images = torch.zeros(3, 3, *size[::-1], dtype=torch.uint8)
    _, canvas = fit_canvas(images, SMALL.canvas)
    found = in_crops(BOXES, IN, SMALL)
    whole, rng = bottomup.guide(found, 3, canvas, SMALL), np.random.default_rng(0)
    hits = 0
    for u, v in zip(rng.integers(0, 160, 300), rng.integers(0, 96, 300)):
        pixel = (np.array([u + 0.5, v + 0.5]) - canvas.corner) / np.array(canvas.scale)
        wanted = np.zeros((3, 17))
        for i, box in enumerate(enlarged(BOXES, SMALL).numpy()):
            cell = (pixel - box[:2]) / box[2] * 16 - 0.5
            x, y = np.floor(cell).astype(int)
            fx, fy = cell - (x, y)
            value = np.zeros(17)
            for dx, dy, w in (
                (0, 0, (1 - fx) * (1 - fy)),
                (1, 0, fx * (1 - fy)),
                (0, 1, (1 - fx) * fy),
                (1, 1, fx * fy),
            ):
                if 0 <= x + dx < 16 and 0 <= y + dy < 16:
                    value += w * found.heatmaps[i, :, y + dy, x + dx].numpy()
            wanted[IN[i]] = np.maximum(wanted[IN[i]], value)
        np.testing.assert_allclose(whole[:, :, v, u], wanted, atol=2e-3)
        hits += wanted.any()
    assert 20 < hits < 300


def test_of_several_people_s_crops_the_highest_counts():
    _, canvas = fit_canvas(WIDE, SMALL.canvas)
    found = in_crops(BOXES, IN, SMALL)

    def alone(i: int) -> torch.Tensor:
        seen = found.views
        one = replace(seen, **{n: getattr(seen, n)[i : i + 1] for n in ("picture", "matrix", "corner", "mirrored")})
        parts = {n: getattr(found, n)[i : i + 1] for n in ("picture", "box", "uv", "sure", "heatmaps")}
        return bottomup.guide(Found(**parts, views=one), 3, canvas, SMALL)

    torch.testing.assert_close(
        bottomup.guide(found, 3, canvas, SMALL), torch.stack([alone(i) for i in range(4)]).amax(0)
    )


def test_the_released_guide_is_drawn_anew_around_joints():
    """4 px wide at the paper's size, as in the release."""
    config = replace(SMALL, guide="joints", sigma=2.0)
    _, canvas = fit_canvas(WIDE, config.canvas)
    found = in_crops(BOXES, IN, config)
    found.uv[0, WRIST], found.sure[0, WRIST] = torch.nan, 0
    whole = bottomup.guide(found, 3, canvas, config)
    v, u = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(160) + 0.5, indexing="ij")
    for joint in (WRIST, NECK):
        wanted = torch.zeros(3, 96, 160)
        for i, b in enumerate(IN.tolist()):
            at = canvas.to(found.uv[i, joint])
            if at.isfinite().all() and (at >= 0).all():
                far = (u - at[0]).square() + (v - at[1]).square()
                wanted[b] = torch.maximum(wanted[b], torch.exp(-far / (2 * 4.0**2)))
        torch.testing.assert_close(whole[:, joint], wanted)
    quiet = replace(found, sure=0.01 * found.sure, heatmaps=0 * found.heatmaps)
    assert torch.equal(bottomup.guide(quiet, 3, canvas, config), whole)  # confidence aside


def test_without_anybody_or_a_guide_there_is_none():
    _, canvas = fit_canvas(WIDE, SMALL.canvas)
    assert bottomup.guide(in_crops(BOXES, IN, SMALL), 3, canvas, replace(SMALL, guide="none")) is None
    for kind in ("heatmaps", "joints"):
        config = replace(SMALL, guide=kind)
        assert bottomup.guide(None, 3, canvas, config) is None
        assert not bottomup.guide(in_crops(BOXES[:0], IN[:0], config), 3, canvas, config).any()


# ---- bottom-up targets and losses -------------------------------------------------------------------


def exact(batch: Batch, config: TDBUConfig = SMALL) -> tuple[bottomup.Maps, object]:
    """What a perfect network says of frames; people's tags are 10 apart."""
    moved, canvas = on_canvas(batch, config.canvas)
    goal = bottomup.targets(moved, config)
    own = 10.0 * torch.arange(batch.uv.shape[1]).expand(len(batch), -1)
    return bottomup.Maps(
        goal.heatmaps, tags.encode(moved.uv, moved.labelled, own, bottomup.grid(config)), goal.root, goal.relative
    ), canvas


def test_the_units_of_depth():
    assert (MIDDLE / SPAN, SPAN, BEHIND) == (1.45, 2500, 1000)  # config.py of the release
    k = torch.tensor([[200.0, 200, 80, 48], [400, 400, 80, 48]])
    assert bottomup.scale(k, SMALL).tolist() == pytest.approx([0.8, 0.4])  # 160 px / f
    assert bottomup.scale(k, replace(SMALL, canvas=(480, 288))).tolist() == pytest.approx([0.8, 0.4])  # of any size


def test_somebody_twice_as_far_before_twice_the_focal_length_is_the_same_to_the_network():
    batch = pair(1600, 0, 2)
    moved, _ = on_canvas(batch, SMALL.canvas)
    far = replace(moved, xyz=2 * moved.xyz, k=moved.k * torch.tensor([2.0, 2, 1, 1]))
    torch.testing.assert_close(bottomup.targets(far, SMALL).root, bottomup.targets(moved, SMALL).root)


@pytest.mark.parametrize("point, cells", [(True, 1), (False, 9)])
def test_depth_stands_at_joints_of_the_root_from_the_camera_and_of_others_from_the_root(point, cells):
    config = replace(SMALL, point=point)
    moved, _ = on_canvas(pair(1600, 0, 2), config.canvas)
    goal, at = bottomup.targets(moved, config), bottomup.grid(config).cells(moved.uv)[0]
    assert [*range(14), 15, 16] == OTHERS
    scale = bottomup.scale(moved.k, config).tolist()
    assert goal.on_root.sum() == 4 * cells and goal.on_relative.sum() <= 4 * 16 * cells
    for b, p in np.ndindex(2, 2):
        z = moved.xyz[b, p, :, 2]
        row, column = at[b, p, ROOT]
        assert goal.root[b, 0, row, column].item() == pytest.approx((z[ROOT].item() * scale[b] - MIDDLE) / SPAN)
        for channel, joint in enumerate(OTHERS):
            row, column = at[b, p, joint]
            assert goal.relative[b, channel, row, column].item() == pytest.approx((z[joint] - z[ROOT]).item() / 1000)


def test_where_people_meet_the_nearer_is_written():
    batch = pair(0, 0, 1, behind=500)
    moved, _ = on_canvas(batch, SMALL.canvas)
    same = replace(moved, uv=moved.uv[:, :1].expand(-1, 2, -1, -1).clone(), visibility=moved.visibility * 0 + 2)
    near = bottomup.targets(replace(same, xyz=same.xyz.flip(1)), SMALL)
    assert torch.equal(near.root, bottomup.targets(same, SMALL).root)
    z = same.xyz[0, :, ROOT, 2].min() * bottomup.scale(moved.k, SMALL)[0]
    assert near.root[near.on_root].tolist() == pytest.approx([(z.item() - MIDDLE) / SPAN] * 9)


@pytest.mark.parametrize("point", [True, False])
def test_perfect_frames_cost_nothing(people, point):
    config = replace(SMALL, point=point)
    maps, _ = exact(people, config)
    terms = bottomup.loss(maps, bottomup.targets(on_canvas(people, config.canvas)[0], config), config)
    assert terms["heatmaps"] == terms["root"] == terms["relative"] == 0 and terms["tags"] < 1e-6


def test_equation_2_by_hand(people):
    """Maps of one value h: the mean over people and joints of (h - d)², of which a root is one of 17."""
    config, h = replace(SMALL, point=True, relative=1), 0.3
    moved, _ = on_canvas(people[:2], config.canvas)
    goal = bottomup.targets(moved, config)
    maps = bottomup.Maps(*(torch.full_like(part, h) for part in exact(people[:2], config)[0]))
    terms = bottomup.loss(maps, goal, config)
    z, scale = moved.xyz[..., 2], bottomup.scale(moved.k, config)
    roots = [(h - (z[b, p, ROOT] * scale[b] - MIDDLE) / SPAN) ** 2 for b in range(2) for p in range(2)]
    others = [(h - (z[b, p, j] - z[b, p, ROOT]) / BEHIND) ** 2 for b in range(2) for p in range(2) for j in OTHERS]
    assert terms["root"].item() == pytest.approx(torch.stack(roots).mean().item(), rel=1e-5)
    assert terms["relative"].item() == pytest.approx(torch.stack(others).mean().item(), rel=1e-5)
    whole = torch.stack(roots + others).sum() / (4 * 17)
    assert (terms["root"] + 16 * terms["relative"]).item() / 17 == pytest.approx(whole.item(), rel=1e-5)
    smooth = bottomup.loss(maps, goal, replace(config, point=False))
    plain = [abs(x.sqrt()) for x in others]
    wanted = torch.stack([0.5 * x**2 if x < 1 else x - 0.5 for x in plain]).mean()
    assert smooth["relative"].item() == pytest.approx(wanted.item(), rel=1e-5)
    parts = ("heatmaps", "tags", "root", "relative")
    assert terms["loss"].item() == pytest.approx(sum(terms[name].item() for name in parts))


def test_a_frame_of_nobody_teaches_heatmaps_alone(people):
    moved, _ = on_canvas(nobody(people), SMALL.canvas)
    goal = bottomup.targets(moved, SMALL)
    maps = bottomup.Maps(*(torch.full_like(part, 0.3).requires_grad_() for part in exact(people)[0]))
    terms = bottomup.loss(maps, goal, SMALL)
    terms["loss"].backward()
    assert terms["heatmaps"].item() == pytest.approx(9) and terms["root"] == terms["relative"] == terms["tags"] == 0
    assert maps.heatmaps.grad.all() and not (maps.root.grad.any() or maps.relative.grad.any())


# ---- from frames to people --------------------------------------------------------------------------

SIDES = [(160, 96), (160, 160), (96, 160), (256, 160)]


@pytest.mark.parametrize("canvas", SIDES)
def test_exact_maps_give_everyone_back_whatever_the_canvas(people, canvas):
    config = replace(SMALL, canvas=canvas)
    assert people.labelled.all()
    maps, where = exact(people, config)
    seen = decode(maps, where, people.k, config)
    for some, xyz, uv in zip(seen, people.xyz, people.uv, strict=True):
        assert len(some.sure) == 2 and some.identity.tolist() == [0, 1]
        order = (some.xyz[:, None, ROOT] - xyz[None, :, ROOT]).norm(dim=-1).argmin(1)
        assert sorted(order.tolist()) == [0, 1]
        off = some.xyz - xyz[order]
        assert off[..., 2].abs().max() < 0.01  # as deep as the maps say
        assert off.norm(dim=-1).max() < 12 and off.norm(dim=-1).median() < 1
        assert (some.uv - uv[order]).norm(dim=-1).max() < 0.6
        assert (some.sure > 0.5).all() and (some.sure <= 1).all()


def test_joints_lie_on_the_rays_of_their_pixels(people):
    maps, where = exact(people)
    for some, k in zip(decode(maps, where, people.k, SMALL), people.k):
        torch.testing.assert_close(project(some.xyz, k), some.uv, atol=1e-3, rtol=0)


def ramps(config: TDBUConfig, pictures: int = 1) -> bottomup.Maps:
    """Depth maps that tell where they are read: the root's 0.001 u, others' 0.001 v, in px of the canvas."""
    u, v = bottomup.grid(config).axes()
    root = 0.001 * u.expand(pictures, 1, len(v), -1)
    others = 0.001 * v[:, None].expand(pictures, 16, -1, len(u))
    return bottomup.Maps(others[:, :1].expand(-1, 17, -1, -1), others[:, :1].expand(-1, 17, -1, -1), root, others)


@pytest.mark.parametrize("size", [(256, 160), (640, 384), (200, 90), (384, 640)])
def test_depth_is_read_where_the_joint_is_on_the_map(size):
    """Trap 1: within half a cell, whatever the picture's size; the release is right on four times the canvas alone."""
    _, canvas = fit_canvas(torch.zeros(1, 3, *size[::-1], dtype=torch.uint8), SMALL.canvas)
    uv = torch.rand(1, 2, 17, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor(size)
    sure, maps, cells = torch.ones(1, 2, 17), ramps(SMALL), bottomup.grid(SMALL)
    at = canvas.to(uv)

    def off(places: torch.Tensor) -> torch.Tensor:
        said = 1000 * read_depth(maps, places, sure, cells)
        return torch.cat([said[..., [ROOT]] - at[..., [ROOT], 0], said[..., OTHERS] - at[..., OTHERS, 1]], -1).abs()

    assert off(at).max() <= 1 + 1e-3
    if size == (640, 384):
        torch.testing.assert_close(misread(uv), at)
        assert off(misread(uv)).max() <= 1 + 1e-3
    else:
        assert off(misread(uv)).nan_to_num(1e3).median() > 8  # or off the map


def test_read_at_a_quarter_of_a_wide_picture_hardly_any_depth_is_right(people):
    """Pictures of 256 x 160 on 160 x 96: the release's places are those of joints elsewhere, or of none."""
    maps, _ = exact(people)
    sure, cells = torch.ones(6, 2, 17), bottomup.grid(SMALL)
    moved, _ = on_canvas(people, SMALL.canvas)
    root = (moved.xyz[:, :, ROOT, 2] * bottomup.scale(moved.k, SMALL)[:, None] - MIDDLE) / SPAN
    right, wrong = (read_depth(maps, uv, sure, cells)[..., ROOT] - root for uv in (moved.uv, misread(people.uv)))
    assert (right.abs() < 1e-6).all()
    assert (wrong.abs() > 0.1).all()  # of 2.5 m


def test_without_a_pelvis_the_root_s_depth_is_read_between_the_hips_or_in_the_middle():
    uv = torch.rand(1, 3, 17, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([150.0, 90]) + 5
    sure = torch.ones(1, 3, 17)
    sure[0, 1:, ROOT] = sure[0, 2, HIPS[0]] = sure[0, :, WRIST] = 0
    unknown = uv.where(sure[..., None] > 0, torch.nan)
    root = 1000 * read_depth(ramps(SMALL), unknown, sure, bottomup.grid(SMALL))[0, :, ROOT]
    known = sure[0, 2] > 0
    wanted = torch.stack([uv[0, 0, ROOT, 0], uv[0, 1, HIPS, 0].mean(), uv[0, 2, known, 0].mean()])
    assert (root - wanted).abs().max() <= 1 + 1e-3


@pytest.mark.parametrize("lost", [[ROOT], [ROOT, HIPS[0]], [ROOT, *HIPS, WRIST]])
def test_joints_that_are_not_found_are_unknown_and_the_others_as_they_were(people, lost):
    maps, where = exact(people)
    maps = maps._replace(root=torch.full_like(maps.root, 0.2))
    whole = decode(maps, where, people.k, SMALL)
    maps.heatmaps[:, lost] = 0
    for some, before, k in zip(decode(maps, where, people.k, SMALL), whole, people.k, strict=True):
        unknown = [j for j in lost if j != ROOT]
        assert some.xyz[:, unknown].isnan().all() and (some.sure[:, unknown] == 0).all()
        assert some.uv[:, lost].isnan().all()
        kept = [j for j in range(17) if j not in lost]
        torch.testing.assert_close(some.xyz[:, kept], before.xyz[:, kept])
        # The pelvis has a place nevertheless: on the ray between the hips, or of the middle of all joints.
        ray = some.uv[:, HIPS if HIPS[0] in kept else kept].mean(1)
        assert (some.sure[:, ROOT] == COMPLETED).all()
        wanted = back_project(ray, before.xyz[:, ROOT, 2], k)
        torch.testing.assert_close(some.xyz[:, ROOT], wanted, rtol=1e-4, atol=1e-2)


def test_a_peak_on_the_border_of_the_map_has_a_depth():
    """Its top lies beyond the last cell: the joint is put on the border itself, which belongs to no cell."""
    config = replace(SMALL, canvas=(160, 96))
    for flip in (None, 2, 3):
        maps = bottomup.Maps(*(torch.zeros(1, n, 48, 80) for n in (17, 17, 1, 16)))
        if flip == 2:  # rising downwards
            maps.heatmaps[0, :, 45:, 30] = torch.tensor([-1.2, -0.5, 0]).exp()
        else:
            maps.heatmaps[0, :, 30, 77:] = torch.tensor([-1.2, -0.5, 0]).exp()
        maps.relative[:], maps.root[:] = 0.1, 0.2
        if flip == 3:
            maps = bottomup.Maps(*(part.flip(-1) for part in maps))
        _, canvas = fit_canvas(torch.zeros(1, 3, 96, 160, dtype=torch.uint8), config.canvas)
        (some,) = decode(maps, canvas, torch.tensor([[160.0, 160, 80, 48]]), config)
        assert len(some.sure) == 1 and (some.sure > 0).all() and some.xyz.isfinite().all()
        wanted = torch.full((17,), 0.2 * SPAN + MIDDLE + 100)
        wanted[ROOT] -= 100
        torch.testing.assert_close(some.xyz[0, :, 2], wanted)


def test_few_joints_are_nobody_and_silent_maps_too(people):
    maps, where = exact(people)
    for kept, number in ((5, 0), (6, 2)):
        few = maps._replace(heatmaps=maps.heatmaps * (torch.arange(17) < kept)[:, None, None])
        assert {len(some.sure) for some in decode(few, where, people.k, SMALL)} == {number}
    silent = bottomup.Maps(*map(torch.zeros_like, maps))
    for some in decode(silent, where, people.k, SMALL):
        assert some.uv.shape == (0, 17, 2) and some.xyz.shape == (0, 17, 3) and some.sure.shape == (0, 17)


def test_confidences_are_1_at_most_and_depths_before_the_camera(people):
    maps, where = exact(people)
    loud = maps._replace(heatmaps=2 * maps.heatmaps, root=maps.root - 10)
    for some in decode(loud, where, people.k, SMALL):
        assert (some.sure <= 1).all() and (some.xyz[..., 2] >= 1).all()


def test_maps_of_another_canvas_are_refused(people):
    maps, where = exact(people)
    with pytest.raises(BadInput, match="maps"):
        decode(maps, where, people.k, replace(SMALL, canvas=(160, 160)))


def test_the_grids_of_both_branches():
    assert topdown.grid(TDBUConfig()) == Grid(64, 64, 4) and bottomup.grid(TDBUConfig()) == Grid(480, 256, 2)


# ---- tracks -----------------------------------------------------------------------------------------


def video(*paths) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Frames of people who are at (u, v), or None where they are not seen."""
    frames = [[standing(*at) for at in some if at is not None] for some in zip(*paths)]
    uv = [torch.stack(some) if some else torch.zeros(0, 17, 2) for some in frames]
    return uv, [torch.ones(places.shape[:2]) for places in uv]


def test_two_people_who_cross_keep_their_numbers():
    right = [(4.0 * t, 0) for t in range(30)]
    left = [(116 - 4.0 * t, 12) for t in range(30)]
    assert all(numbers.tolist() == [0, 1] for numbers in track(*video(right, left)))


def test_of_two_who_are_near_each_keeps_the_number_of_the_nearer_place():
    """6 px apart, either would do for either track."""
    still = [[(0.0, 0)] * 3, [(6.0, 0)] * 3]
    assert [n.tolist() for n in track(*video(*still))] == [[0, 1]] * 3
    uv, sure = video([(0.0, 0), (0.0, 0)], [None, (3.0, 0)])
    for order in ([0, 1], [1, 0]):  # nobody's number goes to two
        found = track([uv[0], uv[1][order]], [sure[0], sure[1][order]])
        assert found[1].tolist() == order


@pytest.mark.parametrize("away, number", [(1, 0), (PATIENCE, 0), (PATIENCE + 1, 1)])
def test_who_is_back_in_time_is_the_same(away, number):
    path = [(0.0, 0.0), *[None] * away, (1.0, 0.0)]
    found = track(*video(path))
    assert [numbers.tolist() for numbers in found] == [[0], *[[]] * away, [number]]


def test_who_comes_later_is_somebody_new_and_who_is_like_nobody_too():
    stays = [(0.0, 0.0)] * 4
    comes = [None, None, (300.0, 0.0), (301.0, 0.0)]
    assert [n.tolist() for n in track(*video(stays, comes))] == [[0], [0], [0, 1], [0, 1]]
    jumps = [(0.0, 0.0), (200.0, 0.0), (200.0, 0.0)]
    assert [n.tolist() for n in track(*video(jumps))] == [[0], [1], [1]]


def test_frames_without_anybody():
    assert track([], []) == []
    assert [n.tolist() for n in track(*video([None, None]))] == [[], []]


@given(data=st.data(), seed=st.integers(0, 2**31))
def test_the_order_of_people_in_a_frame_does_not_matter(data, seed):
    generator = torch.Generator().manual_seed(seed)
    start = torch.stack([standing(*place) for place in (300 * torch.rand(4, 2, generator=generator)).tolist()])
    uv = [start + 4 * t + torch.randn(start.shape, generator=generator) for t in range(6)]
    sure = [torch.rand(4, 17, generator=generator) + 0.1 for _ in uv]
    before = track(uv, sure)
    orders = [list(range(4)), *(data.draw(st.permutations(range(4))) for _ in uv[1:])]
    after = track([f[o] for f, o in zip(uv, orders)], [s[o] for s, o in zip(sure, orders)])
    for one, other, order in zip(before, after, orders):
        assert other.tolist() == one[order].tolist() and len(set(one.tolist())) == 4


def test_people_are_compared_by_joints_that_both_frames_show():
    uv, sure = video([(0.0, 0.0)] * 3, [(15.0, 0.0)] * 3)
    sure[1][0, 8:] = 0
    uv[1][0, 8:] = torch.nan
    sure[2][1, :4] = 0
    assert [n.tolist() for n in track(uv, sure)] == [[0, 1]] * 3
    sure[1][0] = 0  # nothing to be told by
    assert track(uv, sure)[1].tolist() == [2, 1]


def test_how_alike_is_alike_enough():
    uv, sure = video([(0.0, 0.0), (6.0, 0.0)])
    value = picture_oks(uv[0][0], sure[0][0], uv[1][0], sure[1][0])
    assert track(uv, sure, value - 1e-3)[1].tolist() == [0] and track(uv, sure, value + 1e-3)[1].tolist() == [1]
    assert track(uv, sure, 1)[1].tolist() == [1]


# ---- configurations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"people": "two"},
        {"guide": "boxes"},
        {"combine": "mean"},
        {"crop": 0},
        {"crop": 60},
        {"canvas": (160, 100)},
        {"canvas": (160,)},
        {"canvas": (0, 96)},
        {"enlarge": 0.9},
        {"enlarge": float("nan")},
        {"view": 0},
        {"sigma": 0},
        {"graph": 0},
        {"channels": -1},
        {"layers": 0},
        {"integration": 0},
    ],
)
def test_a_configuration_says_what_is_wrong(unchecked, change):
    with pytest.raises(BadInput, match=next(iter(change))):
        replace(SMALL, **change)


def test_a_configuration_from_a_file_is_the_same(unchecked):
    assert replace(SMALL, canvas=[160, 96], modules=[1, 1, 1]) == SMALL
    assert TDBUConfig().body == {"width": 32, "modules": (1, 4, 3), "blocks": 4, "bottlenecks": 4, "stem": 64}


@pytest.mark.parametrize("reading, match", [({"threshold": -0.1}, "threshold"), ({"most": 0}, "count")])
def test_wrong_readings_are_named(people, reading, match):
    maps, where = exact(people)
    with pytest.raises(BadInput, match=match):
        decode(maps, where, people.k, SMALL, Reading(**reading))
