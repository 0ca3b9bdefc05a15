"""Experiments on pose maps and depth maps: closed forms, limits, and slow plain references."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mp3d.claims import judge, load_claims
from mp3d.codings import orpm
from mp3d.errors import BadInput
from mp3d.experiments.codings import maps
from mp3d.experiments.codings.crowds import blank, crowd, pair
from mp3d.skeletons import MPI17
from mp3d.synthetic import worlds
from mp3d.synthetic.worlds import takes

NECK, PELVIS, SPINE = map(MPI17.index, ("neck", "pelvis", "spine"))
MEAN = torch.full((17, 3), 77.0)
NOT_ROOT = [joint for joint in range(17) if joint != PELVIS]


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Worlds draw whole blocks; here few frames are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(worlds.WORLDS, "duet", replace(worlds.DUET, block=16))
        yield


def way(joint):
    """The joints from one to the pelvis, which is left out."""
    found = []
    while joint != PELVIS:
        found.append(joint)
        joint = MPI17.parents[joint]
    return found


def values(table, panel, series):
    rows = table[(table["panel"] == panel) & (table["series"] == series)]
    return dict(zip(rows["x"], rows["value"]))


@pytest.fixture(scope="module")
def alone():
    """Wholly visible people, one a scene."""
    batch = crowd(1, 0, 24, depth=(4000, 9000))
    return maps.Written(batch[batch.labelled.all(-1)[:, 0]], MEAN)


def test_depth_in_the_tree():
    assert [len(way(joint)) for joint in range(17)] == maps.DEPTH_IN_TREE
    assert maps.DEPTH_IN_TREE[MPI17.index("l_wrist")] == 5 and maps.DEPTH_IN_TREE[MPI17.index("l_ankle")] == 3


def test_a_blank_picture_has_the_cameras_of_a_rendered_one():
    some = takes("duet", 12, 0, "test")
    batch = blank(some)
    scale = np.minimum(256 / some.image[:, 0], 160 / some.image[:, 1])[:, None, None, None]
    centre = some.image[:, None, None] / 2
    expected = (some.uv - centre) * scale + np.array([128, 80])
    there = np.isfinite(some.size)
    np.testing.assert_allclose(batch.uv.numpy()[there], expected[there], atol=1e-3)
    np.testing.assert_array_equal(batch.there, there)
    inside = ((batch.uv >= 0) & (batch.uv < torch.tensor([256, 160]))).all(-1)
    assert (inside | ~batch.labelled).all()


# ---- occlusion-robust pose maps ------------------------------------------------------------------


def test_losses_take_what_they_say(alone):
    batch, rng = alone.batch, np.random.default_rng(0)
    gone = {loss: ~maps.found_after(loss, batch, rng) for loss in maps.LOSSES}
    names = {"nothing": [], "neck": [NECK], "pelvis": [PELVIS], "neck and pelvis": [NECK, PELVIS]}
    for loss, joints in names.items():
        assert (gone[loss] == torch.isin(torch.arange(17), torch.tensor(joints))).all(), loss
    wrists = [MPI17.index("r_wrist"), MPI17.index("l_wrist")]
    assert (gone["wrist"][..., wrists].sum(-1) == 1).all() and (gone["wrist"].sum(-1) == 1).all()
    assert (gone["limb"].sum(-1) == 3).all()
    torch.testing.assert_close(gone["hidden"], batch.visibility == 1)
    many = ~maps.found_after(0.3, crowd(20, 0, 20), rng)
    out = (~crowd(20, 0, 20).labelled).float().mean().item()
    assert many.float().mean().item() == pytest.approx(0.3 + 0.7 * out, abs=0.02)
    with pytest.raises(BadInput, match=r"loss.*'head'.*neck and pelvis"):
        maps.found_after("head", batch, rng)


@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
@settings(max_examples=15)
def test_which_joints_of_somebody_alone_stay_exact(alone, seed, rate):
    found = maps.found_after(rate, alone.batch, np.random.default_rng(seed))
    either = found[..., NECK] | found[..., PELVIS]
    for readout in ("paper", "mehta", "naive"):
        error, reported = alone.errors(found, readout, 3)
        exact = (error < maps.EXACT) & reported[..., None]
        for joint in NOT_ROOT:
            if readout == "naive":
                expected = found[..., way(joint)].all(-1)
            elif readout == "mehta":
                expected = either
            elif joint == SPINE:
                expected = either | found[..., SPINE]
            elif MPI17.joints[joint].split("_")[-1] in ("hip", "knee", "ankle"):
                side = MPI17.joints[joint][:2]
                expected = either | found[..., [MPI17.index(side + j) for j in ("hip", "knee", "ankle")]].any(-1)
            else:
                expected = either
            assert (exact[..., joint] == expected).all(), (readout, MPI17.joints[joint])


@pytest.mark.parametrize("readout", ["paper", "mehta", "naive"])
def test_the_closed_form_is_the_mean_over_all_losses(readout):
    """Each of neck, pelvis, spine and a leg's joints is there or not: all cases, weighed."""
    rate, total = 0.35, 0.0
    for case in range(64):
        n, p, s, hip, knee, ankle = (bool(case >> i & 1) for i in range(6))
        weight = np.prod([1 - rate if there else rate for there in (n, p, s, hip, knee, ankle)])
        either, leg, q = n or p, hip or knee or ankle, 1 - rate
        if readout == "mehta":
            share = either
        elif readout == "paper":
            share = (9 * either + 6 * (either or leg) + (either or s)) / 16
        else:
            arm = s * n * q * (1 + q + q * q)
            share = (s + s * n + 2 * s * n * q + 2 * arm + 2 * (hip + hip * knee + hip * knee * ankle)) / 16
        total += weight * share
    assert maps.expected_exact(rate, readout) == pytest.approx(total)


def test_drop_out_follows_the_closed_form():
    table = maps.dropout(range(6), 48, people=(1,), rates=(0, 0.4, 1))
    exact, mpjpe = "joints exact, %, one person", "MPJPE, mm, one person"
    for readout in ("paper", "mehta", "naive"):
        seen, form = values(table, exact, readout), values(table, exact, f"{readout}, closed form")
        assert seen[0] == form[0] == 100 and seen[1] == form[1] == 0
        assert seen[0.4] == pytest.approx(form[0.4], abs=4)
        # With nothing found there is the mean pose, whichever the read-out.
        assert values(table, mpjpe, readout)[0] < 1e-3
        assert values(table, mpjpe, readout)[1] == pytest.approx(values(table, mpjpe, "paper")[1])
    assert values(table, mpjpe, "paper")[0.4] < values(table, mpjpe, "mehta")[0.4] < values(table, mpjpe, "naive")[0.4]


def test_neck_or_pelvis_is_enough():
    table = maps.losses((0,), 16, people=(1,))
    for loss in maps.LOSSES[:-1]:
        for readout in ("paper", "mehta"):
            assert values(table, "joints exact, %, one person", readout)[loss] == 100
    assert values(table, "joints exact, %, one person", "mehta")["neck and pelvis"] == 0
    # Legs keep their own pixels: 6 joints and the spine of 16.
    assert values(table, "joints exact, %, one person", "paper")["neck and pelvis"] == pytest.approx(100 * 7 / 16)


@given(st.integers(0, 10**6), st.integers(0, 500))
@settings(max_examples=8)
def test_overwritten_as_painted_by_hand(seed, gap):
    batch = pair(gap, seed % 5, 2, behind=400)
    written, rho = maps.Written(batch, MEAN), orpm.sites()
    for b in range(2):
        owner = -np.ones((17, 40, 64), int)
        for person in (1, 0):  # far to near
            for joint in range(17):
                for site in np.flatnonzero(rho[joint]):
                    u, v = (batch.uv[b, person, site] / 4).floor().long().tolist()
                    if batch.labelled[b, person, site]:
                        owner[joint, max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2] = person
        for person in range(2):
            for joint in NOT_ROOT:
                cells = [
                    (batch.uv[b, person, site] / 4).floor().long().tolist()
                    for site in np.flatnonzero(rho[joint])
                    if batch.labelled[b, person, site]
                ]
                expected = not any(owner[joint, v, u] == person for u, v in cells)
                assert written.overwritten()[b, person, joint] == expected


@given(st.integers(0, 10**6), st.integers(0, 600))
@settings(max_examples=10)
def test_at_two_cells_from_others_nothing_wrong_is_read(seed, gap):
    written = maps.Written(pair(gap, seed % 7, 3, behind=300), MEAN)
    batch = written.batch
    bones, site = orpm.read(written.maps, batch.uv, batch.labelled, maps.GRID, "paper", MEAN, t_d=2)
    torch.testing.assert_close(bones[site >= 0], written.bones[site >= 0], rtol=0, atol=0)


def test_conflicts_end_where_people_are_apart():
    table = maps.conflicts((0, 1), 8, gaps=(0, 200, 1500))
    x = sorted(table["x"].unique())
    assert x == pytest.approx([0, 200 * 220 / 4000 / 4, 1500 * 220 / 4000 / 4])
    assert table.loc[table["x"] == x[-1], "value"].max() < 1e-3
    assert values(table, "farther person: bones lost, %", "all sites")[0] > 0
    # Nobody writes over the nearer one; only the test keeps them from being read.
    assert max(values(table, "nearer person: MPJPE, mm", "no test").values()) < 1e-3
    assert values(table, "nearer person: MPJPE, mm", "t_D = 3")[0] > 10


def test_errors_add_up_along_the_tree():
    table = maps.propagation((0, 1, 2), 600, noise=30)
    for joint in NOT_ROOT:
        name, depth = MPI17.joints[joint], len(way(joint))
        form = values(table, "RMS error, mm", "closed form")[name]
        assert form == pytest.approx(30 * np.sqrt(depth))
        assert values(table, "RMS error, mm", "bones")[name] == pytest.approx(form, rel=0.06)
        assert values(table, "RMS error, mm", "direct")[name] == pytest.approx(30, rel=0.06)
    assert maps.propagation((0,), 5, noise=0)["value"].max() == 0


# ---- depth: the field of view --------------------------------------------------------------------


def test_a_size_reader_learns_a_power_law():
    height = np.linspace(20, 90, 50)
    read = maps.SizeReader(height, 3e5 * height**-1.1)
    np.testing.assert_allclose(read(np.array([10.0, 200])), 3e5 * np.array([10.0, 200]) ** -1.1)


def test_what_each_target_gives_people_of_one_height():
    """1700 mm tall, across the view: height in px = f s 1700 / Z. All is known but the focal length."""
    rng, n = np.random.default_rng(0), 40
    root = np.stack([rng.uniform(-500, 500, n), rng.uniform(-300, 300, n), rng.uniform(3000, 8000, n)], -1)

    def people(focal):
        k = np.tile([focal, focal, 960.0, 540], (n, 1))
        height = focal * 0.1 * 1700 / root[:, 2]
        return {
            "scene": np.zeros(n, int),
            "height": height,
            "k": k,
            "width": np.full(n, 1920.0),
            "scale": np.full(n, 0.1),
            "root": root,
        }

    train, test = people(1000.0), people(2500.0)
    z = root[:, 2]
    expected = {"raw": z / 2.5, "released": z, "paper": z, "default_f": z * 1920 / 2500}
    for view, depth in expected.items():
        learnt = "released" if view == "default_f" else view
        reader = maps.SizeReader(train["height"], z / maps._target(learnt, train))
        error, found = maps._fov_errors(view, reader, test)
        np.testing.assert_allclose(found, depth, rtol=1e-9)
        if view == "default_f":
            # X and Y of the root do not depend on the focal length (SMAP section 3.3).
            np.testing.assert_allclose(error, np.abs(depth - z), rtol=1e-6)
        if view in ("released", "paper"):
            assert error.max() < 1e-5


@pytest.fixture(scope="module")
def views():
    return maps.field_of_view((0, 1), 12, train=16)


def test_the_field_of_view_table(views):
    of = {variant: rows.set_index(["seed", "scene"]) for variant, rows in views.groupby("variant")}
    assert set(of) == set(maps.VIEWS)
    for where in ("within", "beyond"):
        # A reader that rises with height ranks people alike, whatever it reads.
        assert of["default_f"][f"order_{where}"].equals(of["released"][f"order_{where}"])
        # But 0.3 m, SMAP's third class, is another distance.
        assert not of["default_f"][f"pcod_{where}"].equals(of["released"][f"pcod_{where}"])
    assert of["raw"]["rt_beyond"].mean() > 3 * of["released"]["rt_beyond"].mean()
    zoomed = maps.zoom((0,), 12, factors=(1, 2), train=16)
    rt = {view: values(zoomed, "RtError, m", view) for view in maps.VIEWS}
    assert rt["released"][2] == pytest.approx(2 * rt["released"][1], rel=0.1)
    # Half the distance is missing.
    distance = np.nanmean(takes("duet", 12, 0, "test").points[:, :, PELVIS, 2]) / 1000
    assert rt["raw"][2] == pytest.approx(distance, rel=0.25)


# ---- depth: read-outs ----------------------------------------------------------------------------


def test_how_far_off_a_root_can_be_read():
    table = maps.root_readout((0, 1, 2), 60, people=(1,), errors=(0, 1, 1.5, 3))
    own = values(table, "own depth, %", "one person")
    assert own[0] == 100 and own[1] > 98 and own[3] == 0  # a root at the border is moved off the map
    # Even within its cell, a root moved by d has its own square left of it with probability 2 - d, 1 < d < 2.
    angle = np.linspace(0, 2 * np.pi, 10_001)[:-1]
    stays = [np.clip(2 - np.abs(1.5 * side), 0, 1) for side in (np.cos(angle), np.sin(angle))]
    assert own[1.5] == pytest.approx(100 * (stays[0] * stays[1]).mean(), abs=8)
    total = table.groupby("x")["value"].sum()
    np.testing.assert_allclose(total, 100)


def test_noise_of_one_cell_and_of_a_line():
    table = maps.noise_and_outliers((0, 1), 40, noises=(0, 100), shares=(0, 0.2))
    point, line = (values(table, "noise, mm", name) for name in ("point", "line"))
    assert point[0] < 1e-3 and line[0] < 1e-3
    assert point[100] == pytest.approx(100 * np.sqrt(2 / np.pi), rel=0.06)
    assert 100 * np.sqrt(2 / np.pi / 10) < line[100] < point[100]
    outliers = "share of cells that are anything within +-1 m"
    assert values(table, outliers, "point")[0.2] == pytest.approx(0.2 * 500, rel=0.15)


def test_every_claim_on_maps_is_judged(views):
    tables = {
        ("orpm_ae", "C.readout"): maps.readouts((0, 1), 6, world="duet"),
        ("orpm_ae", "C.meet"): maps.meetings((0, 1), 4, gaps=(0, 300)),
        ("orpm_ae", "C.tree"): maps.errors_along_tree((0, 1), 20),
        ("smap", "C.fov"): views,
        ("smap", "C.parts_near"): (parts := maps.overlaps((0, 1), 4, gaps=(0, 300))),
        ("smap", "C.parts_both"): parts,
        ("smap", "C.parts_line"): maps.point_against_line((0, 1), 6),
    }
    for (paper, start), table in tables.items():
        verdicts = judge(load_claims(paper, start), table)
        assert verdicts and all(v.verdict != "not run" and v.seeds == 2 for v in verdicts), start


def test_near_wins_keeps_the_nearer_person_and_apart_nobody_is_wrong():
    apart = maps.overlaps((0,), 6, gaps=(1500,), behind=1500).set_index("variant")
    assert (apart[["near_person", "far_person"]] < 1e-3).all(axis=None)
    close = (
        maps.overlaps((0,), 6, gaps=(0,), behind=1500).set_index("variant").groupby("variant").mean(numeric_only=True)
    )
    assert close.loc["near", "near_person"] < 1e-3 < 1 < close.loc["mean", "near_person"]
