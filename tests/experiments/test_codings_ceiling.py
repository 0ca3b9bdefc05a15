"""What codings carry at best, and who is lost."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mp3d.codings import orpm, tags
from mp3d.codings.grid import Grid
from mp3d.experiments.codings import ceiling as ceilings
from mp3d.experiments.codings.ceiling import (
    CODINGS,
    anchor_sizes,
    carried,
    ceiling,
    ceiling_by_stride,
    lost,
    meeting,
    round_trip,
)
from mp3d.experiments.codings.crowds import crowd, pair
from mp3d.experiments.codings.drawn import drawn
from mp3d.experiments.codings.maps import Written
from mp3d.skeletons import MPI17

IN_CELLS = CODINGS[:5]


def at(table, **where):
    """The values of a curve table by x."""
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) and not table["x"].duplicated().any()
    return table.set_index("x")["value"]


def people(batch, coding, stride=4):
    """Who is carried as a whole."""
    return (carried(batch, stride)[coding] == batch.labelled).all(-1)


def test_one_person_is_carried_by_all():
    batch = crowd(1, 2, 12, depth=(5000, 12_000))
    assert batch.labelled.float().mean() > 0.98
    found = carried(batch)
    assert tuple(found) == CODINGS
    whole = batch.labelled.all(-1)  # the border cuts nothing from a tree
    for coding, joints in found.items():
        assert torch.equal(joints[whole], batch.labelled[whole]), coding


def test_the_border_cuts_limbs_from_fields_alone():
    batch = crowd(1, 5, 40)
    found, rows = carried(batch), lost(batch)
    missing = {coding: (batch.labelled & ~joints).any(-1)[:, 0] for coding, joints in found.items()}
    assert missing["fields, near first"].any()
    assert not missing["tags, greedy"].any() and not missing["ORPM"].any() and not missing["root depth"].any()
    told = rows[(rows["coding"] == "fields") & (rows["reason"] == "cut off")]
    assert told["picture"].to_list() == missing["fields, near first"].nonzero()[:, 0].tolist()
    joints = (batch.labelled & ~found["fields, near first"]).sum((1, 2))
    assert told["joints"].to_list() == joints[joints > 0].tolist()


def test_of_two_people_in_the_same_cells_one_is_left():
    alone = crowd(1, 0, 12, depth=(5000, 5500))
    alone = alone[alone.labelled.all(-1)[:, 0].nonzero()[:5, 0]]
    behind = 1.2 * alone.xyz  # the same pixels, the same angles, farther and larger
    batch = replace(
        alone,
        xyz=torch.cat([behind, alone.xyz], 1),
        uv=torch.cat([alone.uv] * 2, 1),
        visibility=torch.cat([alone.visibility] * 2, 1),
    )
    found = {coding: joints.all(-1) for coding, joints in carried(batch).items()}
    for coding in ("root depth", "top-down", "anchors"):
        assert found[coding][:, 1].tolist() == [coding != "anchors"] * 5, coding
        assert not found[coding][:, 0].any() or coding == "anchors"
    assert (found["anchors"].sum(1) == 1).all()  # the first in the list has all anchors: equal boxes
    for coding in ("tags, greedy", "tags, hungarian", "fields, 2D", "fields, near first"):
        assert (found[coding].sum(1) == 1).all()
    assert not found["ORPM"].any()  # too close to read anything
    rows = lost(batch)
    told = dict(list(rows.groupby(["coding", "reason"])))
    assert told["heatmaps", "same cell"][["picture", "person", "other", "joints"]].to_numpy().tolist() == [
        [b, 0, 1, 17] for b in range(5)
    ]
    assert (told["root depth", "same cell"]["person"] == 0).all() and len(told["root depth", "same cell"]) == 5
    assert (told["top-down", "box dropped"]["person"] == 0).all() and len(told["top-down", "box dropped"]) == 5
    assert (told["anchors", "no anchor of their own"]["person"] == 1).all()
    both = told["pose maps", "overwritten"], told["pose maps", "too close"]
    assert [(set(t["person"]), set(t["joints"])) for t in both] == [({0}, {17}), ({1}, {17})]
    assert not len(rows[rows["coding"] == "tags"])  # equally near to the cell's middle


def test_meeting_people_are_lost():
    table = meeting((0,), 4, gaps=(0, 200, 1000))
    assert set(table["series"]) == set(CODINGS) and set(table["panel"]) == {"people", "joints"}
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    for coding in CODINGS:
        share = at(table, panel="people", series=coding)
        assert share[1000] == 100 and share[0] < 90, coding
    for coding in IN_CELLS:
        share = at(table, panel="people", series=coding)
        assert share[0] < 30 and share[0] + 10 < share[200] <= 100, coding


def test_ceilings_fall_with_the_crowd_and_rise_with_the_resolution():
    table = ceiling((0, 1), 3, people=(2, 6, 20))
    assert list(table) == ["panel", "series", "x", "value", "low", "high"]
    assert table["value"].between(0, 100).all() and len(table) == 2 * 3 * len(CODINGS)
    fine = ceiling_by_stride((0, 1), 3, 20, strides=(2, 4)).assign(stride=lambda t: t["x"])
    pd.testing.assert_series_equal(
        *(t["value"].reset_index(drop=True) for t in (fine[fine["x"] == 4], table[table["x"] == 20]))
    )
    fine = fine[fine["x"] == 2].assign(x=20)
    for coding in CODINGS:
        share = {panel: at(table, panel=panel, series=coding) for panel in ("people", "joints")}
        least = 5 if coding in IN_CELLS else 1
        assert share["joints"][2] > share["joints"][20] + least, coding
        # Somebody is whole only if all of their joints are: roughly as many fall at least.
        assert share["people"][20] < share["joints"][20] + 2
    for coding in IN_CELLS:
        assert at(fine, panel="people", series=coding)[20] > at(table, panel="people", series=coding)[20] + 10
    one, other = (at(table, panel="people", series=coding) for coding in ("anchors", "top-down"))
    assert (one <= other).all()


def test_who_is_lost_is_not_carried():
    batch = crowd(20, 1, 4)
    found, rows = carried(batch), lost(batch)
    assert list(rows) == ["picture", "person", "coding", "reason", "other", "joints"]

    def told(coding):
        part = rows[rows["coding"] == coding]
        return set(zip(part["picture"], part["person"], strict=True))

    gone = {coding: set(map(tuple, (~joints.any(-1)).nonzero().tolist())) for coding, joints in found.items()}
    assert gone["top-down"] == told("top-down") != set()
    assert gone["anchors"] == told("anchors")
    z = batch.xyz[:, :, MPI17.root, 2]
    assert gone["root depth"] <= told("root depth")
    part = rows[(rows["coding"] == "root depth") & (rows["other"] >= 0)]
    assert all(z[b, q] < z[b, p] for b, p, q in part[["picture", "person", "other"]].to_numpy())
    merged = rows[rows["coding"] == "heatmaps"]
    whole = carried(batch)["tags, greedy"]
    for b, p, q in merged[["picture", "person", "other"]].to_numpy():  # one peak is not two people's
        both = torch.tensor([p, q])
        assert not (whole[b, both] == batch.labelled[b, both]).all()
    assert len(merged) > 10
    missing = (batch.labelled & ~found["ORPM"]).any(-1)
    assert set(map(tuple, missing.nonzero().tolist())) <= told("pose maps")


def test_who_is_told_of_pose_maps_and_tags_is_lost_in_them():
    batch = crowd(12, 2, 2)
    rows, grid = lost(batch), Grid.over(256, 160, 4)
    told = {key: part.drop_duplicates(["picture", "person"]) for key, part in rows.groupby(["coding", "reason"])}
    mean = torch.full((17, 3), 77.0)
    maps, _ = orpm.encode(orpm.to_bones(batch.xyz), batch.uv, batch.labelled, batch.xyz[:, :, MPI17.root, 2], grid)
    _, site = orpm.read(maps, batch.uv, batch.labelled, grid, "paper", mean)
    unread = (site < 0) & batch.labelled
    some = [
        tuple(row)
        for key in ("overwritten", "too close")
        for row in told["pose maps", key][["picture", "person"]].to_numpy()
    ]
    assert set(map(tuple, unread.any(-1).nonzero().tolist())) == set(some) != set()
    covered = Written(batch, mean)
    cover = torch.zeros_like(unread)
    for b, p, j in (batch.labelled & (torch.arange(17) != MPI17.root)).nonzero().tolist():
        cover[b, p, j] = all(
            not torch.equal(maps[b, j, :, v, u], covered.bones[b, p, j])
            for s in orpm.sites()[j].nonzero()[:, 0].tolist()
            if batch.labelled[b, p, s]
            for u, v in [(batch.uv[b, p, s] / 4).floor().long().tolist()]
        )
    assert set(map(tuple, cover.any(-1).nonzero().tolist())) == {
        tuple(row) for row in told["pose maps", "overwritten"][["picture", "person"]].to_numpy()
    }
    names = torch.arange(1.0, 13).expand(2, -1)
    cells, _ = grid.cells(batch.uv.transpose(1, 2))
    read = tags.read(tags.encode(batch.uv, batch.labelled, names, grid), cells).mT
    wrong = (read != names[..., None]) & batch.labelled
    part = rows[rows["coding"] == "tags"]
    assert set(map(tuple, wrong.any(-1).nonzero().tolist())) == set(zip(part["picture"], part["person"], strict=True))
    assert all(wrong[b, p].sum() <= n for (b, p), n in part.groupby(["picture", "person"])["joints"].sum().items())
    assert wrong.any()


def test_a_round_trip_loses_what_the_cells_lose():
    table = round_trip((0, 1), 6, strides=(2, 4)).set_index(["labels", "people", "stride"]).sort_index()
    assert list(table) == ["found", "uv", "dz", "dz_median", "root", "mpjpe"] and table.notna().all(axis=None)
    alone = table.loc["exact", 1]
    assert (alone["found"] > 98).all() and (alone["uv"] < 0.02).all() and (alone["root"] < 1).all()
    assert (alone[["dz", "mpjpe"]] < 0.5).all(axis=None) and (table["dz_median"] <= table["dz"]).all()
    # The mean distance from the centre of a unit square.
    cells = table.loc["cell", 1]["uv"]
    np.testing.assert_allclose(cells / cells.index, 0.3826, rtol=0.1)
    assert (table.loc["exact", 5]["root"] > alone["root"]).all()  # a nearer root's square covers a farther one
    for _, rows in table.groupby(["labels", "people"]):
        fine, coarse = rows.iloc[0], rows.iloc[1]
        assert (
            fine["found"] >= coarse["found"]
            and (fine[["dz", "root", "mpjpe"]] <= coarse[["dz", "root", "mpjpe"]]).all()
        )


def test_a_round_trip_of_nobody_in_view_finds_nothing():
    batch = crowd(1, 0, 2)
    gone = replace(batch, visibility=torch.zeros_like(batch.visibility))
    read = ceilings._read_back(gone, Grid.over(256, 160, 4))
    assert set(read) == {"exact", "cell"} and all(len(part) == 0 for parts in read.values() for part in parts)


def test_the_order_of_people_does_not_matter():
    batch, order = crowd(6, 4, 3), torch.tensor([3, 0, 5, 1, 4, 2])
    turned = replace(batch, **{name: getattr(batch, name)[:, order] for name in ("xyz", "uv", "visibility")})
    one, other = carried(batch), carried(turned)
    for coding in CODINGS:
        assert torch.equal(one[coding][:, order], other[coding]), coding


def test_nobody_is_lost_at_a_distance():
    batch = pair(1500, 3, 4, depth=5000)
    rows = lost(batch)
    assert len(rows) == 0
    hidden = lost(batch, hidden_roots=True)
    assert set(hidden["reason"]) <= {"root hidden"}
    assert len(hidden) == (batch.visibility[..., MPI17.root] == 1).sum()
    assert all(people(batch, coding).all() for coding in CODINGS)


def test_anchors_fit_other_crowds():
    sizes = anchor_sizes()
    assert sizes.shape == (9, 2) and (np.diff(sizes.prod(-1)) > 0).all()
    assert sizes.min() > 3 and sizes.max() == pytest.approx(120, rel=0.6)


def test_what_is_drawn_lies_at_the_joint_and_along_its_bone():
    batch = crowd(1, seed=0, scenes=1)
    j, uv = MPI17.index("l_wrist"), batch.uv[0, 0]
    layers = drawn(batch, "l_wrist")
    assert len(layers) == 6 and all(values.shape == (40, 64) for values, _ in layers.values())
    row, column = np.unravel_index(layers["heatmap"][0].argmax(), (40, 64))
    assert (column, row) == tuple((uv[j] // 4).long().tolist())
    z = batch.xyz[0, 0, :, 2]
    elbow = MPI17.parents[j]
    assert layers["pose map, z of the bone"][0][row, column] == pytest.approx(float(z[j] - z[elbow]), abs=0.01)
    assert layers["root depth"][0].max() == pytest.approx(float(z[MPI17.root]))
