from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.metrics.jta import DISTANCES, JOINT_GROUPS, evaluate, evaluate_pck
from mp3d.scene import HIDDEN, Person, Scene
from mp3d.skeletons import JTA22

CAMERA = Camera(1158, 1158, 960, 540, 1920, 1080)
SPINE4 = JTA22.index("spine4")


def body():
    """(22, 3) mm: a body with its spine4 at the origin, the hips 60 mm below and 100 mm to either side."""
    rows = {"head_top": (0, -800, 0), "head": (0, -650, 0), "neck": (0, -550, 0)}
    for side, x in (("r", -1), ("l", 1)):
        rows |= {
            f"{side}_{name}": (x * out, y, 0) for name, out, y in [("clavicle", 80, -520), ("shoulder", 200, -500)]
        }
        rows |= {f"{side}_{name}": (x * 250, y, 0) for name, y in [("elbow", -250), ("wrist", 0)]}
        rows |= {f"{side}_{name}": (x * 100, y, 0) for name, y in [("hip", 60), ("knee", 450), ("ankle", 900)]}
    rows |= {f"spine{i}": (0, -500 + 125 * i, 0) for i in range(5)}
    return np.array([rows[joint] for joint in JTA22.joints], float)


BODY = body()


def person(at=(0, 0, 8000), pose=BODY, score=1.0, **more):
    return Person.of(pose + np.array(at, float), CAMERA, skeleton=JTA22, score=score, **more).canonical()


def scene(*people, sequence="seq_258"):
    return Scene(CAMERA, people, "jta", sequence)


class TestF1:
    def test_perfect_and_empty(self):
        true = scene(person((-2000, 0, 8000)), person((2000, 0, 9000)))
        table = evaluate([true, scene()], [true.people[::-1], []])
        assert table.index.tolist() == ["0.4", "0.8", "1.2"]
        assert (table.to_numpy() == 100).all()
        assert table.attrs["images"] == 2

    def test_mean_over_images(self):
        """One image of two people of whom one is found, one perfect image: F1 is (2/3 + 1) / 2."""
        true = scene(person((-4000, 0, 9000)), person((4000, 0, 9000)))
        table = evaluate([true, scene(person())], [true.people[:1], [person()]])
        assert table.loc["0.4"].tolist() == pytest.approx([100, 75, 100 * (2 / 3 + 1) / 2])

    @pytest.mark.parametrize("depth, good", [(400, "0.4 0.8 1.2"), (401, "0.8 1.2"), (1201, "")])
    def test_absolute_positions(self, depth, good):
        table = evaluate([scene(person())], [[person((0, 0, 8000 + depth))]])
        assert table["f1"].to_dict() == {t: 100.0 * (t in good.split()) for t in table.index}

    @pytest.mark.parametrize("rule, expected", [("loco", 50), ("optimal", 100)])
    def test_the_example_of_the_rule(self, rule, expected):
        """Truth at 0 and 0.3 m, predictions at 0.1 and -0.35 m."""
        true, pred = ([person((1000 * x, 0, 8000)) for x in xs] for xs in ((0, 0.3), (0.1, -0.35)))
        table = evaluate([scene(*true)], [pred], rule=rule)
        assert table.loc["0.4", "f1"] == expected
        assert rule in table.attrs["protocol"]

    @pytest.mark.parametrize("u, counts", [(0.0, True), (1920.9, True), (-1.0, False), (1921.0, False)])
    def test_trap_19_joints_inside_the_image_both_ends_included(self, u, counts):
        one = person()
        uv = one.uv.copy()
        uv[:, 0] = u
        true = scene(replace(one, uv=uv))
        assert evaluate([true], [[]]).loc["0.4", "f1"] == (0 if counts else 100)

    def test_hidden_people(self):
        """With one joint visible they count, with all their hidden joints."""
        hidden = np.full(22, HIDDEN, np.uint8)
        true = scene(person(visibility=hidden))
        assert evaluate([true], [[]]).loc["0.4", "f1"] == 100
        assert evaluate([true], [[]], drop_hidden=False).loc["0.4", "f1"] == 0
        hidden[3] = 2  # a clavicle, which is not among the 14
        true = scene(person(visibility=hidden))
        assert evaluate([true], [[person()]]).loc["0.4", "recall"] == 100
        assert evaluate([true], [[]]).loc["0.4", "recall"] == 0

    @given(st.integers(0, 2**31))
    def test_optimal_is_never_lower_and_more_is_found_further_out(self, seed):
        rng = np.random.default_rng(seed)
        places = rng.uniform((-2000, -100, 7000), (2000, 100, 9000), (5, 3))
        true = [scene(*map(person, places))]
        pred = [[person(at) for at in places + rng.normal(0, 400, (5, 3))]]
        loco, optimal = (evaluate(true, pred, rule=rule)["f1"].to_numpy() for rule in ("loco", "optimal"))
        assert (optimal >= loco - 1e-9).all()
        assert (np.diff(loco) >= -1e-9).all() and (np.diff(optimal) >= -1e-9).all()

    def test_intervals(self):
        sequences = [f"seq_{i}" for i in range(5)]
        true = [scene(person(), sequence=s) for s in sequences]
        pred = [[person()] if i else [] for i in range(5)]
        low, f1, high = evaluate(true, pred, over="sequence").loc["0.8", ["f1 low", "f1", "f1 high"]]
        assert 0 <= low < f1 == 80 < high == 100


def far(metres):
    """Where the root is exactly so far from the camera, off its axis."""
    return (600.0 * metres, 0.0, 800.0 * metres)


class TestPck:
    def test_a_missed_person_of_m(self):
        true = scene(*(person((1500 * i - 3000, 0, 9000)) for i in range(4)))
        table = evaluate_pck([true], [true.people[1:]])
        assert table.loc["all", ["pck", "recall", "ap", "people"]].tolist() == [75, 75, 75, 4]
        assert table.loc["all", "mpjpe"] == 0
        assert evaluate_pck([true], [[]]).loc["all", ["pck", "recall", "ap"]].tolist() == [0, 0, 0]

    def test_bins(self):
        metres = (9.999, 10, 15, 25, 35, 45, 90)
        true = [scene(person(far(d))) for d in metres]
        pred = [s.people for s in true[:-1]]
        table = evaluate_pck(true, [*pred, []])
        assert table.index.tolist() == [*DISTANCES, "all"]
        assert table["people"].tolist() == [1, 2, 1, 1, 2, 7]
        assert table["pck"].tolist() == pytest.approx([100, 100, 100, 100, 50, 100 * 6 / 7])
        assert table["ap"].tolist() == pytest.approx([100, 100, 100, 100, 50, 100 * 6 / 7])

    def test_a_bin_leaves_the_others_people_alone(self):
        """Near and far in one picture: finding the far one is no false positive of the near bin. Nobody is at 25 m."""
        true = scene(person(far(8)), person((0, 0, 35000)))
        table = evaluate_pck([true], [true.people])
        assert table.loc[["<10", "30-40"], "ap"].tolist() == [100, 100]
        assert np.isnan(table.loc["20-30", "pck"])

    @given(st.integers(0, 2**31))
    def test_bins_are_a_partition_and_pck_is_at_most_recall(self, seed):
        rng = np.random.default_rng(seed)
        true = [scene(*(person((3000 * i - 6000, 0, rng.uniform(8, 50) * 1000)) for i in range(4))) for _ in range(4)]
        pred = []
        for s in true:
            noise = rng.normal(0, 80, (4, 22, 3)) * (rng.random(4) < 0.8)[:, None, None]
            people = [person((0, 0, 0), p.native.xyz + n) for p, n in zip(s.people, noise, strict=True)]
            pred.append([p for p in people if rng.random() < 0.7])
        table = evaluate_pck(true, pred, matching="hungarian")
        bins, everybody = table.iloc[:-1], table.loc["all"]
        assert bins["people"].sum() == everybody["people"] == 16
        for metric in ("pck", "recall"):
            pooled = (bins[metric] * bins["people"]).sum() / 16
            assert pooled == pytest.approx(everybody[metric])
        assert (table["pck"].dropna() <= table["recall"].dropna() + 1e-9).all()
        joints = evaluate_pck(true, pred, by="joint", matching="hungarian")
        assert joints.loc["all", "pck"] == pytest.approx(everybody["pck"])
        sizes = [len(group) for group in JOINT_GROUPS.values()]
        assert np.average(joints["pck"][:-1], weights=sizes) == pytest.approx(everybody["pck"])
        assert joints.attrs["recall"] == pytest.approx(everybody["recall"])

    def test_groups_weigh_as_in_the_published_table(self):
        """PandaNet's Table 4: 43.9 is the plain mean over the 22 joints; its own row gives 83.4 and prints 83.2."""
        sizes = [len(group) for group in JOINT_GROUPS.values()]
        assert sum(sizes) == 22 and {j for group in JOINT_GROUPS.values() for j in group} == set(JTA22.joints)
        earlier = [41.1, 44.6, 44.9, 33.8, 27.2, 19.0, 74.4, 73.9, 25.7, 8.9]
        own = [92.7, 99.1, 97.0, 78.4, 72.1, 60.1, 99.9, 87.8, 71.8, 58.0]
        assert np.average(earlier, weights=sizes) == pytest.approx(43.9, abs=0.05)
        assert np.average(own, weights=sizes) == pytest.approx(83.4, abs=0.05)

    def test_by_joint(self):
        pose = BODY.copy()
        pose[JTA22.index("r_wrist")] += [0, 0, 150]  # not below 150 mm
        pose[JTA22.index("l_wrist")] += [0, 0, 149.9]
        table = evaluate_pck([scene(person())], [[person(pose=pose)]], by="joint")
        expected = dict.fromkeys([*JOINT_GROUPS, "all"], 100.0) | {"wrists": 50.0, "all": 100 * 21 / 22}
        assert table["pck"].to_dict() == pytest.approx(expected)
        assert table.attrs["ap"] == 100

    def test_the_root(self):
        """spine4 is scored and aligned at: moved alone, all other joints are wrong, but not from the hips."""
        pose = BODY.copy()
        pose[SPINE4] += [0, 0, 200]
        true, pred = [scene(person())], [[person(pose=pose)]]
        assert evaluate_pck(true, pred).loc["all", "pck"] == pytest.approx(100 / 22)
        assert evaluate_pck(true, pred, root="mid_hip").loc["all", "pck"] == pytest.approx(100 * 21 / 22)

    def test_people_of_the_canonical_joints(self):
        """Without JTA's spine the middle of the hips serves; joints without truth do not count."""
        true = replace(person(), native=None)
        pose = true.xyz.copy()
        pose[4] += 200.0  # right wrist
        pred = replace(true, xyz=pose)
        table = evaluate_pck([scene(true)], [[pred]], root="mid_hip", by="joint")
        assert table.loc[["wrists", "head", "hips"], "pck"].tolist() == [50, 100, 100]
        assert np.isnan(table.loc["clavicles", "pck"])
        assert evaluate_pck([scene(true)], [[pred]]).loc["all", "people"] == 0  # no spine4

    def test_who_counts(self):
        hidden = np.full(22, HIDDEN, np.uint8)
        true = scene(person((-1500, 0, 9000), visibility=hidden), person((90000, 0, 9000)), person())
        table = evaluate_pck([true], [[person()]])
        assert table.loc["all", ["people", "pck", "ap"]].tolist() == [1, 100, 100]

    def test_oracles(self):
        true, pred = [scene(person())], [[person(pose=1.5 * BODY)]]
        assert evaluate_pck(true, pred, matching="hungarian").loc["all", "pck"] < 50
        for root in ("spine4", "mid_hip"):
            for oracle in ("scale", "bones"):
                table = evaluate_pck(true, pred, matching="hungarian", root=root, oracle=oracle)
                assert "ORACLE" in table.attrs["protocol"]
                assert table.loc["all", "mpjpe"] == pytest.approx(0, abs=1e-9)

    def test_intervals(self):
        true = [scene(person(), sequence=f"seq_{i}") for i in range(5)]
        pred = [[person()] if i else [] for i in range(5)]
        row = evaluate_pck(true, pred, over="sequence").loc["all"]
        assert 0 <= row["pck low"] < row["pck"] == 80 < row["pck high"] == 100
        joints = evaluate_pck(true, pred, by="joint", over="sequence")
        assert joints.loc["all", ["pck low", "pck high"]].tolist() == pytest.approx(row[["pck low", "pck high"]], abs=3)


def test_bad_input():
    for function in (evaluate, evaluate_pck):
        with pytest.raises(BadInput, match="no scene"):
            function([], [])
        with pytest.raises(BadInput, match="predicted"):
            function([scene()], [])
