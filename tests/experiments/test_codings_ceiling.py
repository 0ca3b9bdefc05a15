"""What codings carry at best, and who is lost."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mp3d.experiments.codings.ceiling import CODINGS, anchor_sizes, carried, ceiling, lost, meeting
from mp3d.experiments.codings.crowds import crowd, pair
from mp3d.experiments.codings.drawn import drawn
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
    fine = ceiling((0, 1), 3, people=(20,), stride=2)
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


def test_the_order_of_people_does_not_matter():
    batch, order = crowd(6, 4, 3), torch.tensor([3, 0, 5, 1, 4, 2])
    turned = replace(batch, **{name: getattr(batch, name)[:, order] for name in ("xyz", "uv", "visibility")})
    one, other = carried(batch), carried(turned)
    for coding in CODINGS:
        assert torch.equal(one[coding][:, order], other[coding]), coding


def test_nobody_is_lost_at_a_distance():
    batch = pair(1500, 3, 4, depth=5000)
    rows = lost(batch)
    assert set(rows["reason"]) <= {"root hidden"}
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
