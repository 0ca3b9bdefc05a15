"""Gaussian heatmaps and their peaks, against closed forms and plain loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.codings import heatmaps
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput

GRID = Grid(16, 12, 4)
seeds = st.integers(0, 2**31)


def crowd(seed, batch=2, people=3, joints=2, grid=GRID):
    """People with joints on and off the map, some not labelled and NaN."""
    torch.manual_seed(seed)
    size = torch.tensor([grid.width, grid.height]) * grid.stride
    uv = (torch.rand(batch, people, joints, 2) * 1.4 - 0.2) * size
    labelled = torch.rand(batch, people, joints) < 0.8
    return uv.where(labelled[..., None], torch.nan), labelled


def place(*points):
    """One picture with one joint type, at these px."""
    uv = torch.tensor(points, dtype=torch.float32).reshape(1, -1, 1, 2)
    return uv, torch.ones(uv.shape[:3], dtype=torch.bool)


def impulses(*cells, value=1.0):
    maps = torch.zeros(1, 1, GRID.height, GRID.width)
    for row, column in cells:
        maps[0, 0, row, column] = value
    return maps


def found(peaks, picture=0, joint=0):
    return peaks.cell[picture, joint][peaks.found[picture, joint]].tolist()


class TestEncode:
    @pytest.mark.parametrize("centre", ["exact", "cell"])
    @given(seed=seeds)
    def test_equals_a_plain_loop(self, centre, seed):
        uv, labelled = crowd(seed)
        maps, sigma = heatmaps.encode(uv, labelled, GRID, 1.3, centre), 1.3 * 4
        for b, j in [(0, 0), (1, 1)]:
            for row, column in [(0, 0), (5, 7), (11, 15), (3, 9)]:
                value = 0.0
                for (u, v), there in zip(uv[b, :, j].tolist(), labelled[b, :, j].tolist()):
                    if there and 0 <= u < 64 and 0 <= v < 48:
                        if centre == "cell":
                            u, v = (u // 4 + 0.5) * 4, (v // 4 + 0.5) * 4
                        d2 = ((column + 0.5) * 4 - u) ** 2 + ((row + 0.5) * 4 - v) ** 2
                        value = max(value, math.exp(-d2 / (2 * sigma**2)))
                assert maps[b, j, row, column].item() == pytest.approx(value, abs=1e-6)

    @given(seed=seeds)
    def test_neither_people_s_order_nor_padding_nor_other_pictures_matter(self, seed):
        uv, labelled = crowd(seed)
        maps = heatmaps.encode(uv, labelled, GRID, 1)
        assert maps.isfinite().all()
        turn = torch.tensor([2, 0, 1])
        assert torch.equal(heatmaps.encode(uv[:, turn], labelled[:, turn], GRID, 1), maps)
        empty = torch.full_like(uv, torch.nan)
        more = torch.cat([uv, empty], 1), torch.cat([labelled, torch.zeros_like(labelled)], 1)
        assert torch.equal(heatmaps.encode(*more, GRID, 1), maps)
        assert torch.equal(heatmaps.encode(uv[1:], labelled[1:], GRID, 1), maps[1:])

    def test_in_a_cell_the_peak_is_one(self):
        maps = heatmaps.encode(*place((9.9, 20.1)), GRID, 1, "cell")
        assert maps[0, 0, 5, 2] == 1 and maps.sum(dtype=float) == pytest.approx(2 * math.pi, rel=1e-2)
        assert maps[0, 0, 5, 3].item() == pytest.approx(math.exp(-0.5))
        assert torch.equal(maps[0, 0, :11], maps[0, 0, :11].flip(0)) and torch.equal(maps[0, 0, 4], maps[0, 0, 6])
        assert heatmaps.encode(*place((9.9, 20.1)), GRID, 1)[0, 0, 5, 2] < 1

    def test_the_largest_not_the_sum(self):
        one = heatmaps.encode(*place((20, 20)), GRID, 2)
        assert torch.equal(heatmaps.encode(*place((20, 20), (20, 20)), GRID, 2), one)
        other = heatmaps.encode(*place((28, 24)), GRID, 2)
        assert torch.equal(heatmaps.encode(*place((20, 20), (28, 24)), GRID, 2), one.maximum(other))

    @pytest.mark.parametrize("centre", ["exact", "cell"])
    def test_off_the_map_or_not_labelled_draws_nothing(self, centre):
        uv, labelled = place((-0.1, 20), (64, 20), (20, 48), (float("nan"), 3), (20, 20))
        labelled[0, 4] = False
        assert not heatmaps.encode(uv, labelled, GRID, 1, centre).any()

    def test_nobody(self):
        uv, labelled = torch.zeros(2, 0, 3, 2), torch.zeros(2, 0, 3, dtype=torch.bool)
        maps = heatmaps.encode(uv, labelled, GRID, 1)
        assert maps.shape == (2, 3, 12, 16) and not maps.any()
        peaks = heatmaps.peaks(maps, GRID, 5)
        assert not peaks.found.any() and peaks.uv.isnan().all() and not peaks.score.any() and not peaks.cell.any()

    def test_memory_is_that_of_the_maps_and_not_of_the_people(self, widest):
        """No tensor in it is larger than the maps, however many people there are."""
        grid = Grid(64, 48, 1)
        uv, labelled = crowd(0, batch=1, people=20, grid=grid)
        assert widest(lambda: heatmaps.encode(uv, labelled, grid, 1)) == 2 * 48 * 64

    def test_an_unknown_centre(self, unchecked):
        with pytest.raises(BadInput, match="centre: found 'corner', expected 'exact' or 'cell'"):
            heatmaps.encode(*place((20, 20)), GRID, 1, "corner")

    @pytest.mark.parametrize("sigma", [0, -1, math.nan])
    def test_sigma(self, sigma):
        with pytest.raises(BadInput, match="sigma"):
            heatmaps.encode(*place((20, 20)), GRID, sigma)


class TestPeaks:
    @pytest.mark.parametrize("plateaus", ["one", "none"])
    @given(seed=seeds, levels=st.sampled_from([3, 10, 1000]), window=st.sampled_from([1, 3, 5]))
    def test_equals_a_plain_loop(self, plateaus, seed, levels, window):
        torch.manual_seed(seed)
        grid, reach = Grid(7, 5, 2), window // 2
        maps = torch.randint(0, levels, (2, 2, 5, 7)) / levels
        peaks = heatmaps.peaks(maps, grid, 40, 0.3, window, "none", plateaus)
        for b in range(2):
            for j in range(2):
                expected = []
                for at in [(r, c) for r in range(5) for c in range(7)]:
                    here = maps[b, j][at]
                    others = [
                        (r, c)
                        for r in range(max(0, at[0] - reach), min(5, at[0] + reach + 1))
                        for c in range(max(0, at[1] - reach), min(7, at[1] + reach + 1))
                        if (r, c) != at
                    ]
                    lower = all(
                        here > maps[b, j][o] if plateaus == "none" or o < at else here >= maps[b, j][o] for o in others
                    )
                    if here > 0.3 and lower:
                        expected.append((-here.item(), list(at)))
                expected.sort()
                assert found(peaks, b, j) == [at for _, at in expected]
                n = len(expected)
                assert peaks.score[b, j, :n].tolist() == [-s for s, _ in expected] and not peaks.score[b, j, n:].any()
                assert peaks.found[b, j].tolist() == [True] * n + [False] * (40 - n)
                assert torch.equal(peaks.uv[b, j, :n], grid.centres(peaks.cell[b, j, :n]))

    def test_two_equal_neighbours_are_one_peak_or_none(self):
        maps = impulses((4, 5), (4, 6))
        assert found(heatmaps.peaks(maps, GRID)) == [[4, 5]]
        assert found(heatmaps.peaks(maps, GRID, plateaus="none")) == []
        maps = impulses((4, 6), (5, 5))  # the first in the order of rows
        assert found(heatmaps.peaks(maps, GRID)) == [[4, 6]]

    @pytest.mark.parametrize("apart, one, none", [(0, 1, 1), (1, 1, 0), (2, 2, 2), (3, 2, 2)])
    def test_two_people_some_cells_apart(self, apart, one, none):
        maps = heatmaps.encode(*place((22, 22), (22 + 4 * apart, 22)), GRID, 1.1, "cell")
        assert heatmaps.peaks(maps, GRID).found.sum() == one
        assert heatmaps.peaks(maps, GRID, plateaus="none").found.sum() == none

    def test_the_border_takes_part_and_does_not_wrap(self):
        corners = [[0, 0], [0, 15], [5, 0], [5, 15], [11, 0], [11, 15]]
        for refine in ("none", "quarter", "log", "centroid"):
            peaks = heatmaps.peaks(impulses(*corners), GRID, refine=refine)
            assert found(peaks) == corners
            assert torch.equal(peaks.uv[0, 0, :6], GRID.centres(peaks.cell[0, 0, :6]))

    def test_the_threshold_is_strict_and_the_best_are_kept(self):
        maps = impulses((2, 2), value=0.5) + impulses((6, 6), value=0.75) + impulses((6, 12), value=0.75)
        assert found(heatmaps.peaks(maps, GRID, threshold=0.5)) == [[6, 6], [6, 12]]
        assert found(heatmaps.peaks(maps, GRID, 2)) == [[6, 6], [6, 12]]
        assert found(heatmaps.peaks(maps, GRID, 1)) == [[6, 6]]

    def test_not_a_number_is_no_peak(self):
        maps = impulses((2, 2), (6, 6))
        maps[0, 0, 6, 7] = torch.nan
        assert found(heatmaps.peaks(maps, GRID)) == [[2, 2]]

    def test_half_precision_and_graphs(self):
        maps = heatmaps.encode(*place((21, 22)), GRID, 1).bfloat16().requires_grad_()
        peaks = heatmaps.peaks(maps, GRID)
        assert peaks.uv.dtype == torch.float32 and not peaks.uv.requires_grad
        assert (peaks.uv[0, 0, 0] - torch.tensor([21.0, 22])).abs().max() < 0.1

    def test_take(self):
        uv = torch.tensor([[10.0, 20], [42, 30]]).reshape(1, 2, 1, 2).expand(2, 2, 2, 2)
        peaks = heatmaps.peaks(heatmaps.encode(uv, torch.ones(2, 2, 2, dtype=torch.bool), GRID, 1, "cell"), GRID)
        at, score, cell = peaks.take(1, torch.tensor([[0, 1], [1, -1]]))
        assert at[0].tolist() == [[10, 22], [42, 30]] and at[1, 0].tolist() == [42, 30] and at[1, 1].isnan().all()
        assert score.tolist() == [[1, 1], [1, 0]] and cell.tolist() == [[[5, 2], [7, 10]], [[7, 10], [0, 0]]]
        assert peaks.take(0, torch.zeros(0, 2, dtype=torch.long))[0].shape == (0, 2, 2)

    @pytest.mark.parametrize(
        "field, given", [("count", {"count": 0}), ("window", {"window": 2}), ("threshold", {"threshold": -0.1})]
    )
    def test_bad_input(self, field, given):
        with pytest.raises(BadInput, match=field):
            heatmaps.peaks(impulses(), GRID, **given)
        with pytest.raises(BadInput, match=r"\(12, 16\).*\(16, 12\)"):
            heatmaps.peaks(impulses(), Grid(12, 16, 4))

    @pytest.mark.parametrize("given", [{"refine": "logarithm"}, {"plateaus": "all"}])
    def test_unknown_options(self, unchecked, given):
        with pytest.raises(BadInput, match=f"{next(iter(given))}: .*'none'"):
            heatmaps.peaks(impulses(), GRID, **given)


class TestRefine:
    @given(seed=seeds, sigma=st.floats(0.6, 3))
    def test_the_logarithm_finds_a_lone_gaussian_everywhere(self, seed, sigma):
        torch.manual_seed(seed)
        uv = torch.rand(8, 1, 1, 2) * torch.tensor([64, 48])
        uv[0] *= 0.01  # in the corner
        peaks = heatmaps.peaks(heatmaps.encode(uv, torch.ones(8, 1, 1, dtype=torch.bool), GRID, sigma), GRID)
        assert peaks.found.sum((1, 2)).tolist() == [1] * 8
        assert (peaks.uv[:, 0, :1] - uv[:, 0]).abs().max() < 1e-3 * 4

    @given(seed=seeds)
    def test_people_five_sigma_apart_come_back(self, seed):
        torch.manual_seed(seed)
        lattice = torch.cartesian_prod(torch.arange(3), torch.arange(2)) * 20 + 10
        uv = (lattice + torch.rand(6, 2) * 6 - 3).reshape(1, 6, 1, 2)
        peaks = heatmaps.peaks(heatmaps.encode(uv, torch.ones(1, 6, 1, dtype=torch.bool), GRID, 0.7), GRID)
        assert peaks.found.sum() == 6
        assert torch.cdist(uv[0, :, 0], peaks.uv[0, 0, :6]).min(1).values.max() < 1e-3 * 4

    @pytest.mark.parametrize("u, offset", [(17, -0.25), (19, 0.25), (18, 0)])
    def test_a_quarter_to_the_higher_neighbour(self, u, offset):
        peaks = heatmaps.peaks(heatmaps.encode(*place((u, 22)), GRID, 1), GRID, refine="quarter")
        assert peaks.uv[0, 0, 0].tolist() == [18 + 4 * offset, 22]

    def test_no_quarter_at_the_border(self):
        peaks = heatmaps.peaks(heatmaps.encode(*place((3, 47)), GRID, 1), GRID, refine="quarter")
        assert peaks.uv[0, 0, 0].tolist() == [2, 46]

    def test_the_centroid_of_seven_by_seven(self):
        maps = impulses((5, 6)) + impulses((5, 8), value=0.5) + impulses((8, 6), value=0.5)
        maps += impulses((4, 4), value=-9.0) + impulses((5, 10), value=0.09)  # negative; outside of the window
        peaks = heatmaps.peaks(maps, GRID, 1, refine="centroid")
        assert peaks.uv[0, 0, 0].tolist() == [(6.5 + 2 * 0.25) * 4, (5.5 + 3 * 0.25) * 4]

    def test_the_centroid_pulls_neighbours_together_and_the_logarithm_does_not(self):
        maps = heatmaps.encode(*place((22, 22), (34, 22)), GRID, 1.1, "cell")
        gap = {r: heatmaps.peaks(maps, GRID, refine=r).uv[0, 0, :2, 0].diff().abs().item() for r in ("log", "centroid")}
        assert gap["log"] == pytest.approx(12, abs=1e-3) and gap["centroid"] < 6

    @pytest.mark.parametrize("width, height", [(1, 1), (2, 9), (9, 2), (9, 9)])
    def test_a_flat_map_or_one_too_narrow_moves_nothing(self, width, height):
        peaks = heatmaps.peaks(torch.ones(1, 1, height, width), Grid(width, height, 4), refine="log")
        assert peaks.found.sum() == 1 and peaks.uv[0, 0, 0].tolist() == [2, 2]
