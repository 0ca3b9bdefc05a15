import inspect
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.metrics import mpjpe
from mp3d.metrics.panoptic import ACTIVITIES, activity, compare, counts, evaluate
from mp3d.metrics.people import helped
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import MPI17, SMAP15, convert

CAMERA = Camera(1000, 1000, 960, 540, 1920, 1080)
UPPER = [(0, -700, 0), (0, -500, 0), (-200, -500, 0), (-200, -200, 0), (-200, 50, 0)]
ARM = [(200, -500, 0), (200, -200, 0), (200, 50, 0)]
LEGS = [(-100, 0, 0), (-100, 400, 0), (-100, 800, 0), (100, 0, 0), (100, 400, 0), (100, 800, 0)]
G = np.array(UPPER + ARM + LEGS + [(0, 0, 0), (0, -250, 0), (0, -600, 0)], float)

PELVIS = 14
NEAR, FAR = (-800.0, 0.0, 4000.0), (800.0, 0.0, 5000.0)


def person(at, pose=G, **more):
    return Person.of(pose + np.array(at), CAMERA, **more)


def scene(*people, sequence="160422_haggling1"):
    return Scene(CAMERA, people, "panoptic", sequence)


def score(true, pred, **options):
    """The row of all people, for one scene or several."""
    true, pred = ([true], [pred]) if isinstance(true, Scene) else (true, pred)
    return evaluate(true, pred, **options).loc["all"]


@pytest.mark.parametrize("matching", ["hungarian", "registration"])
class TestBothMatchings:
    def test_perfect(self, matching):
        true = scene(person(NEAR), person(FAR))
        row = score(true, list(true.people[::-1]), matching=matching)
        assert row[["mpjpe", "rt_error"]].tolist() == [0, 0]
        assert row[["pck", "pcod", "recall", "precision"]].tolist() == [100] * 4
        assert row["people"] == 2

    def test_one_of_two_missed(self, matching):
        """3DPCK is 50 %, MPJPE does not notice; nobody found at all counts as well."""
        true = scene(person(NEAR), person(FAR))
        row = score([true, true], [true.people[:1], true.people], matching=matching)
        assert row[["pck", "recall", "precision"]].tolist() == [75, 75, 100]
        row = score([true, true], [true.people, []], matching=matching)
        assert row[["mpjpe", "pck", "recall", "pcod"]].tolist() == [0, 50, 50, 100]

    def test_a_shift_is_no_error_of_the_pose(self, matching):
        true = scene(person(NEAR))
        row = score(true, [person(np.add(NEAR, (3, 4, 120)))], matching=matching)
        assert row["mpjpe"] == pytest.approx(0)
        assert row["rt_error"] == pytest.approx(np.sqrt(3**2 + 4**2 + 120**2))

    def test_scaled_along_the_rays(self, matching):
        """A wrong depth with the right picture: the root is |q - 1| times its distance off."""
        true = scene(person(NEAR))
        row = score(true, [Person.of(1.2 * true.people[0].xyz, CAMERA)], matching=matching)
        assert row["rt_error"] == pytest.approx(0.2 * np.linalg.norm(NEAR))

    def test_what_moves_joints_alone_does_not_move_people(self, matching):
        """SMAP's RefineNet leaves roots where they are: RtError, PCOD and recall are the same with and without it."""
        rng = np.random.default_rng(0)
        true = scene(person(NEAR), person(FAR))
        pred = [person(np.add(at, rng.normal(0, 50, 3))) for at in (NEAR, FAR)]
        moved = [replace(p, xyz=p.xyz + rng.normal(0, 50, (17, 1)) * (np.arange(17) != PELVIS)[:, None]) for p in pred]
        one, other = (score(true, people, matching=matching) for people in (pred, moved))
        assert one["mpjpe"] == pytest.approx(0) and other["mpjpe"] > 20
        assert one[["rt_error", "pcod", "recall"]].tolist() == other[["rt_error", "pcod", "recall"]].tolist()

    def test_somebody_who_is_not_there(self, matching):
        true = scene(person(NEAR))
        row = score(true, [person(FAR), true.people[0]], matching=matching)
        assert row[["mpjpe", "pck", "recall", "precision"]].tolist() == [0, 100, 100, 50]

    def test_an_empty_image(self, matching):
        row = score([scene(), scene(person(NEAR))], [[person(FAR)], [person(NEAR)]], matching=matching)
        assert row[["recall", "precision", "people"]].tolist() == [100, 50, 1]
        assert np.isnan(row["pcod"])


class TestMatching:
    @pytest.mark.parametrize("shift, recall", [(69.2, 100), (69.3, 0)])
    def test_registration_at_30_px_of_the_network(self, shift, recall):
        """832 / 1920 of an image px: 30 px of the network are 69.23 px of the image."""
        true = scene(person((0, 0, 4000)))
        pred = replace(true.people[0], uv=true.people[0].uv + [shift, 0])
        assert score(true, [pred], matching="registration")["recall"] == recall

    @pytest.mark.parametrize("shift, recall", [(112.4, 100), (112.6, 0)])
    def test_registration_in_an_upright_image(self, shift, recall):
        """512 / 1920, since the height decides: 30 px of the network are 112.5 px."""
        camera = Camera(1000, 1000, 540, 960, 1080, 1920)
        one = Person.of(G + [0, 0, 4000], camera)
        pred = replace(one, uv=one.uv + [shift, 0])
        assert score(Scene(camera, (one,)), [pred], matching="registration")["recall"] == recall

    def test_registration_leaves_out_whose_root_is_hidden(self):
        seen = np.full(17, VISIBLE, np.uint8)
        seen[PELVIS] = HIDDEN
        true = scene(person(NEAR, visibility=seen), person(FAR))
        row = score(true, [*true.people, person((0, 2000, 9000))], matching="registration")
        assert row[["people", "recall", "precision"]].tolist() == [1, 100, 50]  # finding him is no false alarm
        assert score(true, true.people)["people"] == 2

    def test_hungarian_within_half_the_diagonal(self):
        true = scene(person((0, 0, 4000)))
        width, height = true.people[0].box[2:]
        for part, recall in ((0.49, 100), (0.51, 0)):
            pred = replace(true.people[0], uv=true.people[0].uv + part * np.array([width, height]))
            assert score(true, [pred])["recall"] == recall

    def test_a_far_prediction_takes_nobody_from_another(self):
        """Assignment without a limit would pair both wrongly, since the sum is smaller, and lose both."""
        true = scene(person((-1500, 0, 4000)), person((1500, 0, 4000)))
        first = true.people[0]
        pred = [replace(first, uv=first.uv + [20.0, 0.0]), replace(first, uv=first.uv - [300.0, 0.0])]
        assert score(true, pred)["recall"] == 50

    def test_nobody_counts_who_cannot_be_seen(self):
        hidden = np.full(17, HIDDEN, np.uint8)
        true = scene(person(NEAR, visibility=hidden), person(FAR))
        assert score(true, true.people)["people"] == 1


class TestJoints:
    def test_the_fifteen_with_the_root(self):
        pose = G.copy()
        pose[0] += [0, 0, 150]  # not below 150 mm
        pose[15:] += 900  # spine and head are not among them
        row = score(scene(person(NEAR)), [person(NEAR, pose)])
        assert row["mpjpe"] == pytest.approx(150 / 15)
        assert row["pck"] == pytest.approx(100 * 14 / 15)

    def test_joints_that_were_not_predicted(self):
        """MPJPE is over the predicted ones, in 3DPCK they are wrong (SMAP)."""
        pose = G.copy()
        pose[4] = np.nan
        pose[0] += [0, 0, 140]
        row = score(scene(person(NEAR)), [person(NEAR, pose)])
        assert row["mpjpe"] == pytest.approx(140 / 14)
        assert row["pck"] == pytest.approx(100 * 14 / 15)

    def test_trap_03_no_head_top_in_joints19(self):
        pose = G.copy()
        pose[0] = np.nan
        row = score(scene(person(NEAR, pose)), [person(NEAR)])
        assert row[["mpjpe", "pck"]].tolist() == [0, 100]
        assert counts([scene(person(NEAR, pose))], [[person(NEAR)]])["joints"].tolist() == [14]

    def test_a_person_without_a_root_does_not_count(self):
        pose = G.copy()
        pose[PELVIS] = np.nan
        true = scene(person(NEAR, pose), person(FAR))
        assert score(true, true.people)["people"] == 1


class TestDepth:
    @pytest.mark.parametrize("definition, expected", [("paper", 0), ("mupots", 100), ("panoptic", 100)])
    def test_three_definitions(self, definition, expected):
        """A metre apart in truth, 100 mm in the prediction."""
        true, pred = scene(person(NEAR), person(FAR)), [person(NEAR), person((800, 0, 4100))]
        table = evaluate([true], [pred], pcod=definition)
        assert table.loc["all", "pcod"] == expected
        assert f"PCOD: {definition}" in table.attrs["protocol"]


class TestTable:
    def test_mean_of_activities_and_of_people(self):
        shifted = person(NEAR, G * 1.1)
        each = mpjpe(convert(1.1 * G, MPI17, SMAP15)[0], convert(G, MPI17, SMAP15)[0], root=SMAP15.root)
        pizza = [scene(person(NEAR), sequence="160906_pizza1")] * 3
        table = evaluate([*pizza, scene(person(NEAR))], [*[[shifted]] * 3, [person(NEAR)]])
        assert table.index.tolist() == ["haggling", "pizza", "mean", "all"]
        assert table["mpjpe"].tolist() == pytest.approx(np.array([0, 1, 1 / 2, 3 / 4]) * each)
        assert table["people"].tolist() == [1, 3, 4, 4]

    def test_activities(self):
        names = ["160422_haggling1", "160226_mafia2", "160906_ultimatum1", "160906_pizza1", "D7"]
        assert [activity(name) for name in names] == [*ACTIVITIES, "other"]

    def test_intervals_over_sequences(self):
        sequences = [f"16042{i}_mafia1" for i in range(4)]
        true = [scene(person(NEAR), sequence=s) for s in sequences]
        pred = [[person(np.add(NEAR, (0, 0, 10 * i)))] for i in range(4)]
        table = evaluate(true, pred, over="sequence")
        low, mean, high = table.loc["mafia", ["rt_error low", "rt_error", "rt_error high"]]
        assert low < mean < high and mean == pytest.approx(15)
        assert table.loc["all", ["recall low", "recall high"]].tolist() == [100, 100]
        assert np.isnan(table.loc["mean", "rt_error low"])

    def test_oracles_are_named(self):
        true, pred = scene(person(NEAR)), [person(np.add(NEAR, (0, 0, 90)), 1.3 * G)]
        plain = evaluate([true], [pred])
        assert "ORACLE" not in plain.attrs["protocol"]
        assert plain.loc["all", "mpjpe"] > 50
        for oracle, zero in (("scale", "mpjpe"), ("bones", "mpjpe"), ("root", "rt_error")):
            table = evaluate([true], [pred], oracle=oracle)
            assert "ORACLE" in table.attrs["protocol"]
            assert table.loc["all", zero] == pytest.approx(0, abs=1e-9)
        assert evaluate([true], [pred], oracle="root").loc["all", "mpjpe"] == plain.loc["all", "mpjpe"]

    @given(st.integers(0, 2**31))
    def test_against_plain_loops(self, seed):
        rng = np.random.default_rng(seed)
        true, pred = [], []
        for _ in range(4):
            places = [(900.0 * i - 1350, 0.0, rng.uniform(3000, 6000)) for i in range(4)]
            found = rng.random(4) < 0.7
            true.append(scene(*(person(at) for at in places)))
            noise = rng.normal(0, 60, (4, 17, 3))
            pred.append([person(at, G + n) for at, n, f in zip(places, noise, found, strict=True) if f])
        errors, good, roots, people = [], 0, [], 0
        for s, found in zip(true, pred, strict=True):
            for t in s.people:
                people += 1
                mine = [p for p in found if abs(p.xyz[PELVIS, 0] - t.xyz[PELVIS, 0]) < 400]
                if mine:
                    a, b = (x.xyz[:15] - x.xyz[PELVIS] for x in (mine[0], t))
                    distance = np.linalg.norm(a - b, axis=-1)
                    errors.append(distance.mean())
                    good += (distance < 150).sum()
                    roots.append(np.linalg.norm(mine[0].xyz[PELVIS] - t.xyz[PELVIS]))
        row = score(true, [[p[i] for i in rng.permutation(len(p))] for p in pred])
        assert row["recall"] == pytest.approx(100 * len(errors) / people)
        assert row["pck"] == pytest.approx(100 * good / (15 * people))
        if errors:
            assert row["mpjpe"] == pytest.approx(np.mean(errors))
            assert row["rt_error"] == pytest.approx(np.mean(roots))


def test_bad_input():
    true = scene(person(NEAR))
    with pytest.raises(BadInput, match="predicted"):
        evaluate([true], [])
    with pytest.raises(BadInput, match="no scene"):
        evaluate([], [])
    with pytest.raises(BadInput, match="matching"):
        inspect.unwrap(compare)(true, [], "3d")
    with pytest.raises(BadInput, match="oracle"):
        inspect.unwrap(helped)(true.xyz, true.xyz, "everything", MPI17, PELVIS)
