"""Crowds, and what heatmaps, tags and part affinity fields do as their maps get worse."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mp3d.camera import project
from mp3d.claims import judge, load_claims
from mp3d.codings import heatmaps
from mp3d.errors import BadInput
from mp3d.experiments.codings import crowds, grouping
from mp3d.experiments.codings.crowds import crowd, pair
from mp3d.experiments.codings.curves import point, share
from mp3d.skeletons import MPI17
from mp3d.synthetic.body import ray_capsule, sample_body, skin, visibility

CURVE = ["panel", "series", "x", "value", "low", "high"]


def at(table, **where):
    """The values of a curve table in the order of x, by x."""
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) and not table["x"].duplicated().any()
    return table.set_index("x")["value"]


# ---- crowds


def test_crowds_stand_apart_in_view():
    batch = crowd(8, 3, 5)
    root, root_uv = batch.xyz[:, :, MPI17.root], batch.uv[:, :, MPI17.root]
    gap = (root[:, :, None] - root[:, None]).norm(dim=-1) + 1e9 * torch.eye(8)
    assert gap.min() >= 0.999 * crowds.GAP  # on the floor; roots differ in height besides
    along = root.norm(dim=-1)
    assert along.min() > 2400 and along.max() < 14_500 and root[..., 2].min() > 2300
    assert ((root_uv[..., 0] >= 0) & (root_uv[..., 0] < 256)).all()
    assert batch.there.all() and batch.labelled.any(-1).all()
    torch.testing.assert_close(project(batch.xyz, batch.k[:, None, None]), batch.uv, rtol=1e-4, atol=1e-2)
    inside = ((batch.uv >= 0) & (batch.uv < torch.tensor([256, 160]))).all(-1)
    assert torch.equal(inside, batch.labelled)
    assert torch.equal(crowd(8, 3, 5).uv, batch.uv) and not torch.equal(crowd(8, 4, 5).uv, batch.uv)


def test_visibility_by_pairs_is_that_of_all_at_once():
    rng = np.random.default_rng(0)
    points, size = crowds._people(12, seed=1)
    place = np.stack([rng.uniform(-500, 500, 12), np.full(12, 1000), 3000 + 900 * rng.permutation(12)], -1)
    points = (points + place[:, None]).reshape(2, 6, 22, 3)
    size, inside = size.reshape(2, 6), rng.random((2, 6, 17)) < 0.9
    body = replace(sample_body(rng, (2, 6)), stature=size, girth=np.ones((2, 6)))
    expected = visibility(body, points, inside)
    np.testing.assert_array_equal(crowds._visibility(points, size, inside, True), expected)
    others = crowds._visibility(points, size, inside, False)
    assert (others >= expected).all() and (others[expected == 0] == 0).all()
    hidden = [(v == 1).sum() for v in (others, expected)]
    assert 20 < hidden[0] < hidden[1]
    for n, a in np.ndindex(2, 6):  # somebody else's capsule is met before the joint
        far = np.linalg.norm(points[n, a, :17], axis=-1)
        rest = [b for b in range(6) if b != a]
        entered = ray_capsule(points[n, a, :17] / far[:, None], *skin(points[n, rest], size[n, rest])).min((0, 2))
        np.testing.assert_array_equal(others[n, a], np.where(inside[n, a], np.where(entered < far, 1, 2), 0))
    alone = crowd(1, 0, 20, themselves=False)
    assert (alone.visibility != 1).all() and (crowd(1, 0, 20).visibility == 1).any()


def test_pairs_are_the_same_people_at_any_gap():
    near, far = pair(200, 5, 6), pair(1500, 5, 6, behind=700, depth=5000)
    root = MPI17.root
    across = far.xyz[:, 1, root] - far.xyz[:, 0, root]
    np.testing.assert_allclose(across[:, 0], 1500, atol=1)
    assert (across[:, 2] > 500).all() and torch.equal(near.there, torch.ones(6, 2, dtype=torch.bool))
    right, left = (near.uv[:, :, MPI17.index(f"{side}_hip"), 0] for side in "rl")
    assert (right < left).all()  # they face the camera
    bones = [b.xyz - b.xyz[:, :, root, None] for b in (near, far)]
    torch.testing.assert_close(bones[0].norm(dim=-1), bones[1].norm(dim=-1), rtol=0, atol=0.5)


@pytest.mark.parametrize("call", [lambda: crowd(0, 0, 1), lambda: crowd(1, 0, 0), lambda: pair(1, 0, 0)])
def test_nobody_is_refused(call):
    with pytest.raises(BadInput, match=r"people|scene"):
        call()


def test_more_people_than_the_floor_holds_are_refused():
    with pytest.raises(BadInput, match="room"):
        crowd(30, 0, 1, depth=(2500, 3000))


# ---- curves and matches


def test_a_point_weighs_by_what_there_is_and_leaves_out_what_is_not():
    row = point("a", 1, np.array([[1.0, np.nan, 3], [2, np.nan, 5]]), np.array([1, 1, 3]))
    assert row["value"] == pytest.approx((1.5 + 3 * 4) / 4) and row["low"] <= row["value"] <= row["high"]
    values, n = share(torch.tensor([1, 1, 0]), torch.tensor([1, 3, 0]))
    row = point("a", 1, values, n, "b", (0, 100))
    assert list(row) == CURVE and row["value"] == pytest.approx(50) and 0 <= row["low"] < 50 < row["high"] == 100
    empty = point("b", 1, *share(*torch.zeros(2, 2, dtype=torch.long)))
    assert np.isnan([empty[name] for name in ("value", "low", "high")]).all()


def test_found_people_are_matched_where_most_is_right():
    uv = torch.tensor([[[0.0, 0], [10, 0], [20, 0]], [[0, 50], [10, 50], [20, 50]]])
    labelled = torch.tensor([[True, True, True], [True, True, False]])
    mixed = torch.stack([uv[1, 0], uv[0, 1] + 1, uv[0, 2]])  # a neighbour's first joint
    nothing = torch.full((2,), torch.nan)
    rest = torch.stack([nothing, nothing, uv[1, 2]])  # a joint that is not labelled
    right, wrong = grouping.match(torch.stack([rest, mixed]), uv, labelled, 2)
    assert right.tolist() == [[False, True, True], [False, False, False]] and wrong == 1
    assert grouping.match(torch.stack([rest, mixed]), uv, labelled, 1)[0].sum() == 1  # 1 px each way is too far
    right, wrong = grouping.match(torch.zeros(0, 3, 2), uv, labelled, 2)
    assert not right.any() and wrong == 0


# ---- heatmaps


def test_precision_has_closed_forms():
    table = grouping.precision((0, 1, 2), 60, strides=(2, 8))
    assert list(table) == CURVE
    assert at(table, panel="px", series="exact, log").max() < 0.01
    centre = at(table, panel="cells", series="cell, none")
    # The mean distance from the centre of a unit square: (sqrt(2) + log(1 + sqrt(2))) / 6.
    np.testing.assert_allclose(centre, 0.3826, atol=0.03)
    for refine in ("quarter", "log", "centroid"):  # what lies between the cells is lost
        np.testing.assert_allclose(at(table, panel="cells", series=f"cell, {refine}"), centre, atol=0.01)
    px, cells = (at(table, panel=panel, series="exact, quarter") for panel in ("px", "cells"))
    np.testing.assert_allclose(px, cells * px.index, rtol=1e-6)
    assert (cells < 0.6 * centre).all()


def test_two_peaks_merge_as_the_release_has_it():
    table = grouping.merging((0,), 8, distances=(0, 1, 2, 3, 6))
    release, ours = "cell, centroid, plateaus lost, summed", "exact, log"
    assert at(table, panel="peaks", series=release).to_list() == [1, 0, 1, 2, 2]
    assert at(table, panel="peaks", series="cell, centroid, plateaus lost").to_list() == [1, 0, 2, 2, 2]
    assert at(table, panel="peaks", series=ours).to_list() == [1, 1, 2, 2, 2]
    apart = at(table, panel="peaks' distance (cells)", series=release)
    assert apart.isna().to_list() == [True, True, True, False, False]
    assert apart[3] == pytest.approx(1, abs=0.1) and apart[6] == pytest.approx(6, abs=0.1)
    error = at(table, panel="error (cells)", series=ours)
    assert error[0] == pytest.approx(0, abs=1e-3) and error[6] == pytest.approx(0, abs=1e-3)
    assert error[1] == pytest.approx(0.5, abs=0.02)  # one peak for two, a cell apart
    assert np.isnan(at(table, panel="error (cells)", series=release)[1])


# ---- tags


def test_tag_noise_from_exact_to_chance():
    table = grouping.tag_noise((0, 1), 4, people=(1, 5), noise=(0, 0.2, 0.5, 100))
    assert list(table) == CURVE
    for method in ("greedy", "hungarian"):
        crowded = at(table, panel="5 people", series=method)
        assert crowded[0] == 100 and crowded[100] < 20  # every detection is a person alone, and dropped
        assert crowded[0.2] > crowded[0.5] + 10 > crowded[100] + 20
        assert at(table, panel="1 people", series=method)[0] == 100
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()


def test_tag_study_is_judged():
    table = grouping.tag_study((0, 1, 2), 6)
    assert {"variant", "seed", "scene", "n", "accuracy"} == set(table)
    claims = load_claims("orpm_ae", "C.tags")
    assert [v.verdict for v in judge(claims, table)] == ["holds"]


# ---- fields


def test_links_of_the_release_need_wide_bands():
    table = grouping.link_acceptance((0, 1), 6, widths=(1, 2))
    drawn = {series: at(table, panel="as drawn", series=series) for series in table["series"].unique()}
    for series in ("one convention, between the cells", "one convention, cells' centres"):
        assert drawn[series].to_list() == [100, 100]
    assert drawn["release"][1] < 70 < drawn["release, not rounded"][1] < 95
    assert drawn["release"][2] > 98 and drawn["release, not rounded"][2] > 98
    blurred = at(table, panel="blurred by 0.7 cells", series="release")
    assert blurred[1] > drawn["release"][1] + 15


def test_who_comes_first_has_the_contested_joint():
    pelvis, neck, focal = MPI17.root, MPI17.index("neck"), torch.tensor([200.0])
    found = torch.zeros(1, 17, 2, dtype=torch.bool)
    found[0, pelvis], found[0, neck, 0] = True, True
    uv = torch.full((1, 17, 2, 2), torch.nan)
    uv[0, pelvis], uv[0, neck, 0] = torch.tensor([[90.0, 100], [110, 100]]), torch.tensor([100.0, 60])
    peaks = heatmaps.Peaks(uv, found.float(), torch.zeros(1, 17, 2, 2, dtype=torch.long), found)
    bones = [sorted(bone) for bone in grouping.BONES]
    spine = MPI17.index("spine")
    uv[0, spine, 0], found[0, spine, 0] = torch.tensor([100.0, 80]), True
    links = torch.full((1, len(bones), 2, 2), -1.0)
    for e, bone in enumerate(bones):
        if bone in (sorted((pelvis, spine)), sorted((spine, neck))):
            links[0, e] = torch.where(found[0, grouping.BONES[e][0]][:, None] & found[0, grouping.BONES[e][1]], 0.3, -1)
    for depths, nearest in (([5000.0, 3000.0], 1), ([3000.0, 5000.0], 0)):
        z = torch.tensor([depths])
        for grouping_, owner in (("near first", nearest), ("far first", 1 - nearest)):
            chosen = grouping.group_by_fields(peaks, links, z, focal, grouping_)[0]
            assert chosen[chosen[:, pelvis] == owner, neck].tolist() == [0]
            assert chosen[chosen[:, pelvis] == 1 - owner, neck].tolist() == [-1]
    # 22 px to the spine: at 3 m a mean bone of 250 mm may have 20 px, at 30 m 2 px.
    linked = [
        (grouping.group_by_fields(peaks, links, torch.tensor([[far, far]]), focal, "near first, length")[0] >= 0)
        for far in (3000.0, 30_000.0)
    ]
    assert linked[0][:, spine].any() and not linked[1][:, spine].any()


def rows_of(seen):
    return pd.DataFrame(grouping._grouped(seen)).set_index(["variant", "scene"])


def test_people_apart_are_grouped_exactly():
    seen = grouping._exact(pair(1500, 0, 4, depth=5000), "drawn", 2)
    rows = rows_of(seen)
    assert set(rows.index.levels[0]) == set(grouping.GROUPINGS)
    assert (rows[["right", "recall", "pck"]] == 100).all(axis=None) and (rows["wrong"] == 0).all()
    pd.testing.assert_frame_equal(rows, rows_of(grouping._noisy(seen, 0, 0, 0)))
    assert rows_of(grouping._noisy(seen, 0, 20, 0))["right"].mean() < 60  # nothing but noise is left of the fields


def test_association_table_and_curves():
    table = grouping.association((0, 1), 3, people=(2, 12))
    assert set(table) == {"seed", "people", "maps", "variant", "scene", "n", "right", "wrong", "recall", "pck"}
    assert len(table) == 2 * 2 * 3 * 4 * len(grouping.GROUPINGS)
    found = grouping.association_curves(table)
    assert set(found) == set(CURVE) and len(found) == 2 * 4 * len(grouping.GROUPINGS)
    part = table[(table["people"] == 12) & (table["variant"] == "2D") & table["maps"].str.endswith(" not drawn, noisy")]
    point = at(found, panel="joints behind others not drawn, noisy", series="2D")
    assert point[12] == pytest.approx(np.average(part["right"], weights=part["n"]))
    clean, noisy = (found[found["panel"].str.endswith(end)]["value"].mean() for end in ("clean", "noisy"))
    assert clean > noisy + 1
    for series in grouping.GROUPINGS:  # fuller pictures are harder
        crowded = at(found, panel="joints behind others drawn, noisy", series=series)
        assert crowded[2] > crowded[12] + 2
    recall = grouping.association_curves(table, "recall")
    assert recall["value"].between(0, 100).all() and not recall["value"].equals(found["value"])


def test_association_study_is_judged():
    table = grouping.association_study((0, 1, 2), 8)
    assert {"variant", "seed", "scene", "n", "right", "wrong", "recall", "pck"} == set(table)
    assert set(table["variant"]) == {v + s for v in grouping.GROUPINGS for s in ("", ", drawn")}
    verdicts = {
        v.claim.removeprefix("smap.C.association_"): v for v in judge(load_claims("smap", "C.association"), table)
    }
    assert all(v.verdict != "not run" for v in verdicts.values())
    assert verdicts["length"].difference > 0.5 and verdicts["wrong"].difference > 0  # how well, the notebook says
