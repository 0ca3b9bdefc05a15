"""TDBU's experiments: tracks and pairs to learn from, scores by hand, kept parts, studies end to end."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from mp3d import plots
from mp3d.claims import judge, load_claims
from mp3d.codings.anchors import iou
from mp3d.codings.crops import views
from mp3d.experiments import threedmppe as crops
from mp3d.experiments.codings.crowds import pair
from mp3d.experiments.pinet import spread
from mp3d.experiments.scores import People
from mp3d.experiments.shown import scenes
from mp3d.experiments.tdbu import networks, show, steps, tables
from mp3d.experiments.tdbu.networks import Home
from mp3d.papers.tdbu import PROFILES
from mp3d.papers.tdbu.lifting import ROOT
from mp3d.papers.tdbu.topdown import Found, tight
from mp3d.papers.tdbu.train import train_lift
from mp3d.scene import ABSENT, VISIBLE
from mp3d.synthetic.render import render
from mp3d.synthetic.stream import Stream
from mp3d.synthetic.worlds import takes


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    return tmp_path_factory.mktemp("tdbu")


@pytest.fixture(scope="module", autouse=True)
def short():
    """Two test videos of a world, and pictures of `duet` to learn from: to draw others takes longer than 3 steps."""
    videos, singles = tables.videos, tables.singles
    with pytest.MonkeyPatch.context() as patch:
        for where in (networks, networks.pandanet):
            patch.setattr(where, "Stream", lambda world, *how, **more: Stream("duet", *how, **more))
        patch.setattr(tables, "videos", lambda world, profile: videos(world, profile)[:2])
        patch.setattr(tables, "singles", lambda profile, split: singles(profile, split)[:2])
        patch.setattr(crops, "trained", crops.trained)
        yield


@pytest.fixture(scope="module")
def home(keep):
    return Home("duet", "smoke", 0, keep)


# ---- what is learned from -----------------------------------------------------------------------------


def test_windows_are_stretches_of_one_track_and_a_function_of_the_step():
    people = networks.everyone(networks.tracks("duet", "smoke", 0)[:3])
    draw = networks.windows(people, 9, 16, seed=3)
    some, again, other = draw(5), draw(5), draw(6)
    assert torch.equal(some.uv, again.uv) and not torch.equal(some.uv, other.uv)
    assert some.xyz.shape == (16, 9, 17, 3) and (some.sure == 1).all()
    seen = some.xyz[..., :2] / some.xyz[..., 2:]
    assert torch.allclose(seen, some.uv, atol=1e-4)
    for window in some.xyz:  # of one of them, frame after frame, ends repeated
        tracks = [xyz for _, xyz in people if (xyz == window[4]).all(-1).all(-1).any()]
        assert len(tracks) == 1
        at = [int((tracks[0] == frame).all(-1).all(-1).nonzero()[0]) for frame in window]
        assert all(b - a in (0, 1) for a, b in itertools.pairwise(at))


def test_pairs_are_nearest_neighbours_of_one_frame():
    some = networks.tracks("duet", "smoke", 0)[:2]
    a, b, together = networks.pairs(some, 32, seed=0)(0)
    assert together.all() and (a[:, ROOT] - b[:, ROOT]).norm(dim=-1).gt(100).all()
    alone = networks.tracks("solo", "smoke", 0)[:1]
    a, b, together = networks.pairs(alone, 8, seed=0)(0)
    assert not together.any() and torch.equal(a, b)


def test_lessons_hold_no_truth_of_unlabelled_videos(home):
    films = networks.tracks("duet", "smoke", 0)
    size = networks.sized(home)
    some = networks.windows(networks.everyone(films[:1]), 3**size.config.layers, 4, 0)
    teacher = train_lift(some, size.config, size.graph, size.temporal)
    draw = tables.lessons(films[:1], films[1:4], teacher, seed=0)
    lesson, again = draw(2), draw(2)
    people = lesson.people
    assert torch.equal(people.uv, again.people.uv) and torch.equal(lesson.angles, again.angles)
    assert len(people.root) >= tables.LESSON
    mates = people.other[people.other >= 0]
    assert (people.other[mates] >= 0).all() and (people.other != torch.arange(len(people.other))).all()
    on_ray = people.root[:, :2] / people.root[:, 2:]
    assert torch.allclose(on_ray, people.uv[:, ROOT], atol=1e-4)
    true = torch.cat([xyz[:, ROOT] for film in films[1:4] for _, xyz in networks.everyone([film])]) / 1000
    assert torch.cdist(people.root, true).amin(1).median() > 0.01  # places are the teacher's


# ---- scores -------------------------------------------------------------------------------------------


def test_the_truth_has_full_marks():
    batch = pair(1600, 0, 4)
    people = [[replace(p, visibility=np.full(17, VISIBLE, np.uint8)) for p in s.people] for s in scenes(batch)]
    found = tables.scored("one", batch, people)
    for name in ("ap_root", "pck_rel_all", "pck_abs_all", "recall", "precision", "pck_rel_far"):
        assert found[name] == pytest.approx(100), name
    assert found["pa_mpjpe"] == pytest.approx(0, abs=1e-6) and found["auc_rel_all"] == pytest.approx(100 * 30 / 31)
    moved = [[replace(p, xyz=p.xyz + [0, 0, 200]) for p in some] for some in people]
    found = tables.scored("one", batch, moved)
    assert found["pck_rel_all"] == found["ap_root"] == pytest.approx(100)  # 200 mm are within 250
    assert found["pck_abs_all"] == 0 and found["rt_error_far"] == pytest.approx(200)
    lost = [[replace(p, xyz=np.where(np.arange(17)[:, None] == ROOT, np.nan, p.xyz)) for p in some] for some in people]
    found = tables.scored("one", batch, [[one[0], *rest[1:]] for one, rest in zip(lost, moved, strict=True)])
    assert found["recall"] == 100 and found["rt_error"] == found["rt_z"] == pytest.approx(200)  # of roots there are
    nobody = tables.scored("one", batch, [[] for _ in people])
    assert nobody["pck_rel_all"] == nobody["recall"] == nobody["ap_root"] == 0 and np.isnan(nobody["pa_mpjpe"])


def test_ways_are_compared_on_the_people_of_both_branches():
    batch = pair(1600, 0, 4)
    people = [[replace(p, visibility=np.full(17, VISIBLE, np.uint8)) for p in s.people] for s in scenes(batch)]
    first = [some[:1] for some in people]
    aside = [[replace(p, xyz=p.xyz + [0, 0, 200]) for p in some] for some in people]
    ways = {"td": people, "bu": first, "full": aside, "none": [[] for _ in people]}
    found = tables.compared("one", batch, ways, "_x")
    assert found["n"] == 8 and found["recall_x@bu"] == 50 and found["pck_rel_all_x@bu"] == 50
    assert [found[f"pck_rel_both_x@{way}"] for way in ways] == pytest.approx([100, 100, 100, 0])
    assert [found[f"pck_abs_both_x@{way}"] for way in ways] == pytest.approx([100, 100, 0, 0])
    assert not [name for name in tables.compared("one", batch, {"td": people}) if "both" in name]


def test_groups_of_people():
    batch = pair(250, 0, 6)  # one before the other
    known = People(batch, [[] for _ in range(6)])
    groups = tables.groups(batch, known)
    assert set(groups) == set(show.GROUPS)
    assert (groups["near"] ^ groups["far"]).all()
    assert (groups["clear"] == ~(groups["overlapped"] | groups["cut"])).all()
    assert groups["overlapped"].any()
    apart = pair(1600, 0, 4)
    assert not tables.groups(apart, People(apart, [[] for _ in range(4)]))["overlapped"].any()


def test_f1_of_the_truth():
    batch = pair(1600, 0, 2)
    people = [list(scene.people) for scene in scenes(batch)]
    assert all(value == pytest.approx(100) for value in tables.f1(batch, people).values())
    assert set(tables.f1(batch, people)) == {"f1_0.4", "f1_0.8", "f1_1.2"}


def test_true_joints_are_those_of_the_person_of_the_box():
    batch = render(takes("duet", 6, 0, "border"), 160, 100, seed=1).batch
    seen = batch.visibility.clone()
    seen[0, 0] = ABSENT  # has no box: the next person's is the first
    batch = replace(batch, visibility=seen)
    rows = [(b, p) for b, boxes in enumerate(tight(batch)) for p in range(len(boxes)) if boxes[p].isfinite().all()]
    number = [sum(one == b for one, _ in rows[:i]) for i, (b, _) in enumerate(rows)]
    order = np.random.default_rng(0).permutation(len(rows))[:-1]  # one was not found
    picture, box = (torch.tensor([some[i] for i in order]) for some in ([b for b, _ in rows], number))
    n = len(order)
    some = views(torch.ones(n, 4), picture, 32)
    found = Found(picture, box, torch.zeros(n, 17, 2), torch.zeros(n, 17), torch.zeros(n, 17, 8, 8), some)
    known = tables.true_joints(found, batch)
    for i, row in enumerate(order):
        b, p = rows[row]
        shown = batch.labelled[b, p]
        assert torch.equal(known.sure[i] > 0, shown) and known.uv[i][~shown].isnan().all()
        assert torch.equal(known.uv[i][shown], batch.uv[b, p][shown])
    assert (known.sure == 0).any() and torch.equal(known.picture, picture)


# ---- networks that are kept -----------------------------------------------------------------------------


def test_parts_are_named_by_what_decides_them(home):
    folders = {part: networks.place(part, home) for part in networks.PARTS}
    assert len(set(folders.values())) == len(folders)
    other = replace(home, budget=2.0)
    assert all(networks.place(part, other) != folder for part, folder in folders.items())
    with pytest.MonkeyPatch.context() as patch:  # whose heatmaps guide decides, but not for the detector
        patch.setitem(networks.PARTS, "person", {"crop": 64})
        changed = {part for part in networks.PARTS if networks.place(part, home) != folders[part]}
    assert changed == {"person", "frame", "frame_joints"}


def test_street_is_learned_from_windows_and_seen_whole(home):
    street = replace(home, world="street")
    wide = networks.sized(street)
    assert wide.config.canvas == networks.WIDE["smoke"] == (wide.width, wide.height) == (96, 64)
    assert networks.stream(street)(0).image.shape == (wide.batch, 3, 64, 64)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        learn = networks.train.train_bottom_up
        patch.setattr(networks.train, "train_bottom_up", lambda *a, **k: seen.append(a[2]) or learn(*a, **k))
        detector = networks.trained("detector", street)
    assert [config.canvas for config in seen] == [(64, 64)] and detector.config.canvas == (96, 64)


def test_a_part_is_trained_once(home, monkeypatch):
    first = networks.trained("person", home)

    def never(*_, **__):
        raise AssertionError("trained twice")

    monkeypatch.setattr(networks.train, "train_top_down", never)
    again = networks.trained("person", home)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


# ---- studies --------------------------------------------------------------------------------------------


def test_branches_end_to_end(home):
    table = spread(tables.branches("smoke", home.keep).table(progress=False))
    assert set(tables.ROWS + tables.OTHERS) == set(table["variant"])
    assert table.groupby("variant").size().eq(2).all()
    assert {"ap_root", "auc_rel_all", "pck_rel_all", "pck_abs_all", "recall"} <= set(table)
    means = show.means(table, tables.ROWS)
    assert list(means.index) == [show.NAMES[row] for row in tables.ROWS]


def test_worlds_and_overlap_end_to_end(home):
    table = tables.worlds(["duet", "street"], "smoke", home.keep).table(progress=False)
    duet = spread(table[table["variant"] == "duet"])
    assert set(duet["variant"]) == {"td", "bu", "full", "threedmppe"}
    street = spread(table[table["variant"] == "street"])
    assert street["f1_0.4"].notna().all() and set(street["variant"]) == {"td", "bu", "full"}
    close = spread(tables.overlapped("smoke", home.keep).table(progress=False))
    assert set(close["variant"]) == {"td_one", "td", "bu_plain", "bu", "full", "threedmppe"} and (close["n"] > 0).all()
    known = close.dropna(subset=["drop"])
    assert np.allclose(known["drop"], known["pa_mpjpe_common_overlap"] - known["pa_mpjpe_common"])
    assert set(known["variant"]) <= set(tables.RIVALS)
    assert close.groupby("scene")["common_border"].nunique().le(1).all()  # the same people
    for metric in ("pck_rel_overlapped_overlap", "pck_rel_cut_border", "loss_overlapped", "loss_far"):
        assert metric in close
    verdicts = judge(load_claims("tdbu", "F1.", "T6."), close)
    assert len(verdicts) == 7


def test_learning_without_poses_end_to_end(home):
    table = spread(tables.unlabelled("smoke", home.keep).table(progress=False))
    assert set(table["variant"]) == {"teacher", "labelled", "sharp", "sharp_printed", *tables.TERMS}


# ---- pictures, and exact steps ----------------------------------------------------------------------------


def test_pictures_are_drawn(home):
    batch = tables.videos("duet", "smoke")[0][1]
    assert show.bad_box(home, batch).ndim == 3 and show.guided(home, batch).ndim == 3
    ways = show.branches(home, batch)
    assert show.beside(batch, ways, [0]).ndim == 3
    assert show.from_sides(batch, ways["joined"], [0, 1]).ndim == 3
    assert len(show.worst(batch, ways["joined"])) == 2
    plots.from_above(show.above(batch, ways))
    plots.skeletons_3d(show.in_space(batch, ways["joined"], 0))


def test_a_picture_of_the_truth_lies_on_the_truth():
    batch = tables.videos("duet", "smoke")[0][1]
    scene = scenes(batch)[0]
    view = show.View.of(batch, 0)
    xyz, seen = view.ordered(batch, scene.people[::-1])  # found in another order, drawn in that of the truth
    np.testing.assert_array_equal(xyz, view.true[0])
    space = show.in_space(batch, [some.people[::-1] for some in scenes(batch)], 0)
    np.testing.assert_array_equal(space["estimate"], space["truth"])
    uv = view.k[:2] * xyz[..., :2] / xyz[..., 2:] + view.k[2:]
    np.testing.assert_allclose(uv, np.stack([person.uv for person in scene.people]), atol=1e-2)
    blank = np.full((*view.size[::-1], 3), 255, np.uint8)
    drawn = view.on_picture(blank, xyz, seen)
    assert (drawn != 255).any() and drawn.shape[1] == 8 * view.size[0]


def test_a_turned_picture_shows_depth_and_the_truth_in_grey():
    batch = tables.videos("duet", "smoke")[0][1]
    view = show.View.of(batch, 0)
    missed = np.full_like(view.true[0], np.nan), view.true[1]

    def columns(angle: int, xyz: np.ndarray) -> np.ndarray:
        """Where anything coloured is drawn."""
        return np.flatnonzero(np.ptp(view.turned(angle, xyz, view.true[1]), axis=2).max(0))

    assert not np.ptp(view.turned(0, *missed), axis=2).any() and (view.turned(0, *missed) < 255).any()
    nearer, right = view.true[0] - [0.0, 0.0, 300.0], view.true[0] + [300.0, 0.0, 0.0]
    assert columns(0, right).min() > columns(0, view.true[0]).min()
    np.testing.assert_array_equal(columns(0, nearer), columns(0, view.true[0]))
    assert columns(90, nearer).min() > columns(90, view.true[0]).min()  # seen from the left, the camera is to the right
    np.testing.assert_array_equal(columns(90, right), columns(90, view.true[0]))


def test_from_above_also_shows_whom_nobody_is_there_for():
    batch = tables.videos("duet", "smoke")[0][1][:1]
    one, other = scenes(batch)[0].people[:2]
    ghost = replace(one, uv=one.uv + 500, xyz=one.xyz + [2000.0, 0.0, 1000.0])
    panel = show.above(batch, {"way": [[ghost, other]]})["way"]
    assert panel["x_found"].isna().tolist() == [True, False, False] and panel["x"].isna().tolist() == [
        False,
        False,
        True,
    ]
    np.testing.assert_allclose(panel["z_found"].iloc[2], ghost.root[2] / 1000)
    np.testing.assert_allclose(panel.loc[1, ["x", "z"]], panel.loc[1, ["x_found", "z_found"]], atol=1e-6)


def test_the_pair_for_a_picture_of_one_box_are_large_and_both_seen():
    batch = render(takes("duet", 8, 0, "overlap"), 160, 100, seed=1).batch
    boxes = tight(batch)
    share = iou(boxes[:, :, None], boxes[:, None]).nan_to_num(0.0)
    low = torch.minimum(boxes[:, :, None, 3], boxes[:, None, :, 3])
    both = (share >= 0.2) & (share <= 0.5) & ~torch.eye(boxes.shape[1], dtype=torch.bool)
    b, one, other = show.closest(batch)
    assert both[b, one, other] and low[b, one, other] == low[both].max()


def test_groups_are_printed_with_people_and_intervals(home):
    overlap = spread(tables.overlapped("smoke", home.keep).table(progress=False))
    overlap["recall_near"] = overlap["recall_near"].fillna(0.0)
    wide = show.who_gains(overlap, "smoke")
    assert next(iter(wide)) == "people" and (wide["people"] >= 0).all()
    one = show.by_group(overlap, ("td",), {"near": ""}).set_index("metric").loc["recall"]
    assert wide.loc[("recall", "below 4 m"), "TD"] == f"{one['mean']:.1f} [{one['low']:.1f}, {one['high']:.1f}]"
    table = show.trainings(home)
    assert (table[["steps", "a step"]] > 0).all().all()


def test_reprojection_is_blind_along_rays():
    found = steps.along_rays()
    assert all(errors["reprojection"] < 1e-12 for errors in found.values())
    assert found[0]["mpjpe"] == 0 and found[300]["mpjpe"] > 2 * found[100]["mpjpe"] > 100


def test_depth_is_misread_where_the_input_is_no_quarter_of_the_picture():
    found = steps.misread(6)
    right, slip = found["where the pelvis is"], found["a quarter of the picture's"]
    assert (right == 0).all() and slip.iloc[0] == 0 and slip.iloc[1] > 50


def test_profiles_have_all_sizes():
    assert set(PROFILES) == set(tables.FRAMES) == set(networks.WIDE) == {"smoke", "cpu", "gpu", "paper"}
