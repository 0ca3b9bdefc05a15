"""Experiments on anchors and placement (PandaNet): closed forms and limits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mp3d.claims import judge, load_claims
from mp3d.codings import anchors as coding
from mp3d.codings.grid import Grid
from mp3d.experiments.codings import selection
from mp3d.experiments.codings.crowds import crowd
from mp3d.skeletons import MPI17
from mp3d.synthetic import worlds


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Worlds draw whole blocks; here few frames are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(worlds.WORLDS, "duet", replace(worlds.DUET, block=16))
        yield


ROOT = MPI17.root


def values(table, panel, series):
    rows = table[(table["panel"] == panel) & (table["series"] == series)]
    return dict(zip(rows["x"], rows["value"]))


@pytest.mark.parametrize("offset", [0, 0.25, 0.6, 1])
def test_two_boxes_overlap_by_their_offset(offset):
    boxes = selection.two_boxes(offset)[0]
    assert coding.iou(boxes[0], boxes[1]).item() == pytest.approx((1 - offset) / (1 + offset), abs=1e-6)
    small = selection.two_boxes(offset, scale=0.5)[0]
    torch.testing.assert_close(small[0, 1] + small[0, 3], small[1, 1] + small[1, 3])
    centre = small[:, 0] + small[:, 2] / 2
    assert (centre[1] - centre[0]).item() == pytest.approx(offset * 34, abs=1e-4)


def test_more_sizes_fit_better():
    table = selection.anchor_fit((0, 1), 60, worlds=("solo",), counts=(1, 3, 8))
    fit = values(table, "mean best IoU", "solo")
    assert fit[1] < fit[3] < fit[8] < 1


def test_pono_of_two_people():
    for offset, found in selection.pono_of_two().items():
        assert found.boxes.shape == (2, 4) and found.score.shape == (40, 64)
        for person in range(2):
            assert found.score[found.owner == person].max() == 1
        np.testing.assert_array_equal(found.positive, found.score > 0.5)
        left, right = (np.flatnonzero((found.owner == p).any(0)).mean() for p in range(2))
        assert left < right and (found.positive & (found.owner < 0)).sum() == 0, offset


@pytest.mark.parametrize("offset, shared", [(0.5, True), (0.63, True), (0.7, False), (0.9, False)])
def test_two_of_one_size_share_anchors_within_two_thirds_of_a_width(offset, shared):
    """The anchor in between has IoU (1 - d/2) / (1 + d/2) with both, above a half if d < 2/3: box IoU above 0.2."""
    found = selection.Assigned.of(selection.two_boxes(offset), torch.tensor([[34.0, 92]]), Grid(256, 160, 1))
    assert bool(found.shared.any()) == shared
    assert not found.empty.any()


def test_of_two_in_one_place_one_has_no_anchor():
    found = selection.Assigned.of(selection.two_boxes(0))
    assert found.empty.tolist() == [[False, True]] and (found.shared == found.positive).all()
    boxes = torch.cat([selection.two_boxes(0.5), torch.full((1, 1, 4), torch.nan)], 1)
    assert not selection.Assigned.of(boxes).empty.any()  # nobody lacks nothing


def test_sharing_ends_with_overlap():
    table = selection.sharing(offsets=(0, 0.4, 1), scales=(1,))
    shared = values(table, "anchors shared, %", "1 of the size")
    assert shared[1.0] == 100 and shared[0.0] == 0 and 0 < shared[sorted(shared)[1]] < 100
    assert values(table, "people without an anchor, %", "1 of the size")[1.0] == 50
    table = selection.sharing(offsets=(0, 0.5, 1))
    wide = table.pivot_table("value", ["panel", "series"], "gap")
    assert list(wide) == [0, 0.5, 1] and wide.notna().all(axis=None)
    # A gap is of the first's width: its IoU with one of half the size is 1/4 where the two have one middle.
    half = table[(table["series"] == "0.5 of the size") & (table["gap"] == 0)]
    np.testing.assert_allclose(half["x"], 0.25, atol=1e-6)


def test_a_perfect_regressor_keeps_every_anchor_and_one_alone_is_always_perfect():
    table = selection.selections((0, 1), 10, people=6).set_index(["variant", "seed", "scene"])
    table = table.sort_index()
    perfect = [table.loc[f"{name}_perfect"] for name in selection.SELECTIONS]
    assert all(one.equals(perfect[0]) for one in perfect[1:])
    assert (perfect[0]["mpjpe"].dropna() < 1e-2).all() and (perfect[0]["kept_own"].dropna() == 100).all()
    np.testing.assert_allclose(perfect[0]["pck3d"], perfect[0]["recall"], atol=1e-4)
    for name in selection.SELECTIONS:
        assert (table.loc[name, "labelled"] <= perfect[0]["labelled"]).all()
    alone = selection.selections((0,), 5, people=1).set_index(["variant", "seed", "scene"])
    assert alone.loc["pose"].equals(alone.loc["none_perfect"]) and (alone["recall"] == 100).all()


def test_an_averaging_regressor_says_the_mean_of_two():
    """Two of one size, halfway apart: the anchor in the middle sees both alike."""
    batch = crowd(2, 0, 1)
    uv = torch.rand(1, 2, 17, 2) * 20
    boxes = selection.two_boxes(0.4)
    grid = Grid(256, 160, 1)
    found = selection.Assigned.of(boxes, torch.tensor([[34.0, 92]]), grid)
    seen = selection._predicted(found, type(batch)(batch.image, batch.xyz, uv, batch.visibility, batch.k), True)
    middle = (seen.where[1] == 80) & (seen.where[2] == 128)
    weight = coding.iou(found.anchors[80, 128, 0], boxes[0])
    assert middle.sum() == 1 and weight[0].item() == pytest.approx(weight[1].item(), rel=0.1)
    expected = (weight[:, None, None] * uv[0]).sum(0) / weight.sum()
    torch.testing.assert_close(seen.uv[middle][0], expected)
    far = (seen.where[2] < 115).nonzero()[0]  # where the left one alone is claimed
    torch.testing.assert_close(seen.uv[far][0], uv[0, 0])


@pytest.mark.parametrize("distance", [4, 30])
def test_without_noise_people_stand_where_they_are(distance):
    for error in selection._placed(0, 20, distance, 0).values():
        assert np.abs(error).max() < 1e-3
    for error in selection._placed(0, 20, distance, 0, scale=1.1).values():
        np.testing.assert_allclose(error[:, ROOT, 2], 0.1 * distance, rtol=1e-3)


def test_how_near_linear_least_squares_sets_far_people():
    """Noise in n makes z smaller by 1 / (1 + 2 (J - 1) sigma^2 z^2 / (f^2 S)), S the pose's spread across the view."""
    draws, z, noise = 400, 40.0, 1.0
    error = {name: joints[:, ROOT, 2] for name, joints in selection._placed(3, draws, z, noise).items()}
    xyz = crowd(1, 3, draws, depth=(4000, 12_000)).xyz[:, 0].double()
    spread = (xyz[..., :2] - xyz[..., :2].mean(1, keepdim=True)).square().sum((1, 2)).numpy()
    expected = z / (1 + 2 * 16 * (noise * 1000 * z / selection.FOCAL) ** 2 / spread) - z
    assert error["linear"].mean() == pytest.approx(expected.mean(), rel=0.2)
    assert abs(error["refined"].mean()) < 0.3 * abs(error["linear"].mean())
    table = selection.placement((0,), 40, distances=(10, 40), noises=(1,))
    spread = values(table, "standard deviation, m", "refined, 1 px")
    assert spread[40] == pytest.approx(16 * spread[10], rel=0.1)  # as the square of the distance


def test_noisy_predictions_are_read_out_with_errors_of_their_kind():
    table = selection.noisy_readout((0, 1), 60, noises=(0, 2), noises_3d=(0, 0.01), distance=8)
    pose, root = (
        {s: values(table, p, s) for s in ("3D: 0 %", "3D: 1 %")} for p in ("absolute pose, mm", "root depth, mm")
    )
    assert pose["3D: 0 %"][0] < 0.1 and root["3D: 0 %"][0] < 0.1
    # The pose is right: all joints are moved by the root's error, which lies along the line of sight but for little.
    assert pose["3D: 0 %"][2] == pytest.approx(root["3D: 0 %"][2], rel=0.05)
    assert root["3D: 1 %"][2] > root["3D: 1 %"][0] > 50 and pose["3D: 1 %"][2] > pose["3D: 1 %"][0]
    draws, z = 400, 8.0
    xyz = crowd(1, 3, draws, depth=(4000, 12_000)).xyz[:, 0].double()
    spread = (xyz[..., :2] - xyz[..., :2].mean(1, keepdim=True)).square().sum((1, 2)).numpy()  # S
    # In the picture: z^2 s / (f sqrt(S)) to first order, of a pose that is known.
    error = selection._placed(3, draws, z, 1)["refined"][:, ROOT, 2]
    assert error.std() == pytest.approx(np.sqrt(np.mean((z**2 * 1000 / selection.FOCAL) ** 2 / spread)), rel=0.15)
    # Of the pose's noise what lies across the view, s in each direction, moves the root by z s / sqrt(S), and makes
    # the pose wider, which the smallest residuals answer with a distance larger by 2 (J - 1) s^2 / S.
    bones = (xyz - xyz[:, list(MPI17.parents)]).norm(dim=-1)[:, np.arange(17) != ROOT].sum(1).numpy()
    off = 0.01 * bones / np.sqrt(3)
    error = {name: joints[:, ROOT, 2] for name, joints in selection._placed(3, draws, z, 0, 1.0, 0.01).items()}
    assert error["linear"].std() == pytest.approx(z * np.sqrt(np.mean(off**2 / spread)), rel=0.15)
    assert (error["refined"] - error["linear"]).mean() == pytest.approx(z * np.mean(32 * off**2 / spread), rel=0.15)


def test_weights_go_to_one_over_the_loss():
    table = selection.weighting({"a": 0.5, "b": 0.02}, steps=300)
    for task, loss in {"a": 0.5, "b": 0.02}.items():
        path = values(table, "weight times loss", task)
        assert path[0] == pytest.approx(loss) and path[300] == pytest.approx(1, abs=1e-3)
    table = selection.weighting(steps=1500)
    longer, both = (values(table, "total", name) for name in ("as printed (13)", "both levels held"))
    assert list(longer.values()) == sorted(longer.values(), reverse=True)
    # Held, the total ends at 1 + the mean of log losses; as printed it goes on falling.
    assert both[1500] == pytest.approx(1 + np.log(0.4 * np.linspace(0.5, 1.5, 17)).mean(), abs=0.01)
    assert longer[1500] < both[1500] - 5


def test_every_claim_on_anchors_is_judged():
    tables = {
        "C.selection": selection.selections((0, 1), 8),
        "C.place": selection.placements((0, 1), 10),
    }
    for start, table in tables.items():
        verdicts = judge(load_claims("pandanet", start), table)
        assert verdicts and all(v.verdict != "not run" and v.seeds == 2 for v in verdicts), start
