"""TDBU, who is whom and one pose of two: equations 5 to 7 by hand, what does not count, gates, spoiled pairs."""

from itertools import permutations

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d.errors import BadInput
from mp3d.metrics.errors import align
from mp3d.papers.tdbu import integration, matching
from mp3d.papers.tdbu.integration import (
    IntegrationGate,
    IntegrationMLP,
    Pairs,
    Spoiling,
    gated,
    hard,
    linear,
    mean,
    spoil,
)
from mp3d.papers.tdbu.matching import LEAST, REACH, match, match_in_order, match_released, oks, similarity
from mp3d.skeletons import MPI17

ROOT, NECK, WRIST, ANKLE = map(MPI17.index, ("pelvis", "neck", "r_wrist", "l_ankle"))
SEEDS = st.integers(0, 2**31)
JUNK = (0.0, np.nan, 1e7, np.inf, -np.inf)
"""What may stand at a joint that is not known."""


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def crowd(rng: np.random.Generator, people: int, joints: int = 17) -> np.ndarray:
    """mm: poses of a metre or two about roots 3 to 6 m away."""
    root = rng.uniform([-2000, -500, 3000], [2000, 500, 6000], (people, 3))
    return root[:, None] + rng.normal(0, 400, (people, joints, 3))


def drawn(seed: int, people: int = 5, sure: float = 1.0) -> Pairs:
    """Two views of the same people, each joint known with this probability; float64."""
    rng = np.random.default_rng(seed)
    true = crowd(rng, people)
    poses = [true + rng.normal(0, 60, true.shape) for _ in range(2)]
    confidence = [rng.uniform(0.1, 1, true.shape[:2]) * (rng.random(true.shape[:2]) < sure) for _ in range(2)]
    return Pairs(*map(torch.from_numpy, (*poses, *confidence)))


def without(pairs: Pairs, branch: str, content: float = 0.0) -> Pairs:
    """Nobody is known to a branch."""
    pose = torch.full_like(pairs.td, content)
    return pairs._replace(**{branch: pose, f"sure_{branch}": torch.zeros_like(pairs.sure_td)})


def random_mlp(seed: int = 0, width: int = 16) -> IntegrationMLP:
    """One that has learned something, float64."""
    torch.manual_seed(seed)
    network = IntegrationMLP(width).double()
    torch.nn.init.normal_(network.layers[-1].weight, std=0.3)
    torch.nn.init.normal_(network.layers[-1].bias, std=0.3)
    return network


def random_gate(seed: int = 0, width: int = 16, gain: float = 1.0) -> IntegrationGate:
    torch.manual_seed(seed)
    network = IntegrationGate(width).double()
    torch.nn.init.normal_(network.layers[-1].weight, std=gain)
    return network


WAYS = {
    "mean": mean,
    "linear": linear,
    "hard": hard,
    "gated": lambda pairs: gated(pairs, *torch.full((2, len(pairs.td)), 0.7, dtype=torch.float64)),
    "gate": random_gate(),
    "mlp": random_mlp(),
}


# ---- similarity -------------------------------------------------------------------------------------


def test_oks_is_1_at_0_and_falls_to_the_root_of_1_by_e_at_its_reach():
    assert oks(np.zeros(3)).tolist() == [1, 1, 1]
    assert oks(np.array([REACH, 2 * REACH])) == pytest.approx(np.exp([-0.5, -2.0]))
    assert oks(np.array([30.0]), reach=30) == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize("reach", [0, -1, float("nan")])
def test_a_reach_that_is_not_positive_is_refused(reach):
    with pytest.raises(BadInput, match="reach"):
        oks(np.zeros(1), reach)


def test_similarity_by_hand():
    """17 terms, not 18; the smaller confidence; one joint at its reach, one far off."""
    td = crowd(np.random.default_rng(0), 1)
    bu = td.copy()
    bu[0, WRIST, 1] += REACH
    bu[0, ANKLE, 2] += 100 * REACH
    ones = np.ones((1, 17))
    assert similarity(td, td, ones, ones) == pytest.approx(17)
    assert similarity(td, bu, ones, ones) == pytest.approx(15 + np.exp(-0.5))
    low = ones.copy()
    low[0, NECK], low[0, WRIST] = 0.25, 0.5
    for one, other in ((ones, low), (low, ones)):
        assert similarity(td, bu, one, other) == pytest.approx(14 + 0.25 + 0.5 * np.exp(-0.5))


def test_each_of_the_top_down_people_may_have_a_reach_of_their_own():
    rng = np.random.default_rng(0)
    td, bu, sure = crowd(rng, 3), crowd(rng, 2), [np.ones((n, 17)) for n in (3, 2)]
    reach = np.array([100.0, 300, 2000])
    found = similarity(td, bu, *sure, reach)
    for i, one in enumerate(reach):
        np.testing.assert_array_equal(found[i], similarity(td, bu, *sure, float(one))[i])
    assert similarity(td[:0], bu, sure[0][:0], sure[1], reach[:0]).shape == (0, 2)
    far = td[:1] + [0, 0, 900]
    assert match(td[:1], far, *[np.ones((1, 17))] * 2) == []
    assert match(td[:1], far, *[np.ones((1, 17))] * 2, reach[2:]) == [(0, 0)]


@given(seed=SEEDS, people=st.integers(0, 4), others=st.integers(0, 4))
def test_similarity_is_the_same_from_either_side_and_no_more_than_what_is_shared(seed, people, others):
    rng = np.random.default_rng(seed)
    poses = [crowd(rng, n) for n in (people, others)]
    sure = [rng.random((n, 17)) for n in (people, others)]
    alike = similarity(*poses, *sure)
    assert alike.shape == (people, others)
    np.testing.assert_allclose(similarity(*poses[::-1], *sure[::-1]), alike.T, rtol=1e-12)
    shared = np.minimum(sure[0][:, None], sure[1][None]).sum(-1)
    assert (alike >= 0).all() and (alike <= shared).all()


@pytest.mark.parametrize("junk", JUNK)
def test_what_stands_at_a_joint_that_is_not_known_plays_no_part(junk):
    pairs = drawn(1, 3, sure=0.6)
    poses, sure = [p.numpy() for p in pairs[:2]], [c.numpy() for c in pairs[2:]]
    spoiled = [np.where(known[..., None] > 0, pose, junk) for pose, known in zip(poses, sure)]
    np.testing.assert_array_equal(similarity(*spoiled, *sure), similarity(*poses, *sure))
    assert match(*spoiled, *sure) == match(*poses, *sure)


def test_wrong_poses_and_confidences_are_named(unchecked):
    one, sure = np.zeros((2, 17, 3)), np.ones((2, 17))
    hole, negative = one.copy(), sure.copy()
    hole[0, 3, 1], negative[1, 2] = np.nan, -0.1
    for bad, name in (
        ((one, hole, sure, sure), "bu"),
        ((hole, one, sure, sure), "td"),
        ((one, one, sure, negative), "bu"),
        ((one, one, sure * np.nan, sure), "td"),
        ((one, one[:, :14], sure, sure[:, :14]), "bu"),
        ((one, one, sure[:1], sure), "td"),
    ):
        with pytest.raises(BadInput, match=name):
            similarity(*bad)


# ---- who is whom ------------------------------------------------------------------------------------


def similar(wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Poses and confidences of which `similarity` is the matrix wanted: a joint for each pair, known to both alone."""
    n, m = wanted.shape
    td, bu, sure_td, sure_bu = np.zeros((n, n * m, 3)), np.zeros((m, n * m, 3)), np.zeros((n, n * m)), None
    sure_bu = np.zeros((m, n * m))
    for joint, (i, j) in enumerate(np.ndindex(n, m)):
        sure_td[i, joint] = sure_bu[j, joint] = 1
        bu[j, joint, 0] = REACH * np.sqrt(-2 * np.log(wanted[i, j]))
    return td, bu, sure_td, sure_bu


def test_the_hungarian_method_finds_more_than_the_best_pair_first():
    """The largest first has 0.9 + 0.1; each row's best takes the first column twice."""
    given_ = similar(np.array([[0.9, 0.8], [0.8, 0.1]]))
    alike = similarity(*given_)
    np.testing.assert_allclose(alike, [[0.9, 0.8], [0.8, 0.1]])
    pairs = match(*given_)
    assert pairs == [(0, 1), (1, 0)] and sum(alike[pair] for pair in pairs) == pytest.approx(1.6)
    assert alike.argmax(1).tolist() == [0, 0]


@given(seed=SEEDS, people=st.integers(0, 4), others=st.integers(0, 4))
def test_pairs_have_the_largest_sum_and_nobody_is_in_two(seed, people, others):
    rng = np.random.default_rng(seed)
    given_ = similar(rng.uniform(0.05, 1, (people, others)))
    pairs, alike = match(*given_), similarity(*given_)
    assert len(pairs) == min(people, others) == len({i for i, _ in pairs}) == len({j for _, j in pairs})
    if people <= others:
        every = [sum(alike[i, j] for i, j in enumerate(some)) for some in permutations(range(others), people)]
    else:
        every = [sum(alike[i, j] for j, i in enumerate(some)) for some in permutations(range(people), others)]
    assert sum(alike[pair] for pair in pairs) == pytest.approx(max(every))


@given(seed=SEEDS, order=st.permutations(range(4)))
def test_people_in_another_order_have_the_same_partners(seed, order):
    td, bu, sure_td, sure_bu = (part.numpy() for part in drawn(seed, 4))
    before = match(td, bu, sure_td, sure_bu)
    after = match(td, bu[order], sure_td, sure_bu[order])
    assert before == [(i, i) for i in range(4)]  # two views of the same
    assert [(i, order[j]) for i, j in after] == before


@pytest.mark.parametrize("share, found", [(0.95, []), (1.05, [(0, 0)])])
def test_pairs_that_are_hardly_alike_are_none(share, found):
    """All joints as far off as leaves `LEAST` of what is shared, a little less or more; of any confidence."""
    td = crowd(np.random.default_rng(0), 1)
    bu = td + [0, 0, REACH * np.sqrt(-2 * np.log(share * LEAST))]
    for sure in (np.ones((1, 17)), np.full((1, 17), 0.2)):
        assert match(td, bu, sure, sure) == found
    assert match(td, bu, sure, sure, least=0) == [(0, 0)]


def test_who_shares_no_joint_is_nobody_s_partner_and_no_people_are_no_pairs():
    pose, sure = crowd(np.random.default_rng(0), 1), np.ones((1, 17))
    upper = sure * (np.arange(17) < 8)
    assert match(pose, pose, upper, sure - upper, least=0) == match(pose, pose, sure, 0 * sure, least=0) == []
    nobody, none = np.zeros((0, 17, 3)), np.zeros((0, 17))
    assert match(nobody, pose, none, sure) == match(pose, nobody, sure, none) == match(nobody, nobody, none, none) == []


def test_without_matching_the_first_goes_with_the_first():
    assert match_in_order(2, 3) == match_in_order(3, 2) == [(0, 0), (1, 1)]
    assert match_in_order(0, 2) == match_in_order(2, 0) == []


# ---- the released matching --------------------------------------------------------------------------


def test_the_released_code_compares_the_pelvis_and_eight_joints():
    """[14, 8, 9, 11, 12, 5, 6, 2, 3] of the same order of joints (lib/posematcher.py)."""
    assert sorted(matching.RELEASED_JOINTS) == sorted([14, 8, 9, 11, 12, 5, 6, 2, 3])


def rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@given(seed=SEEDS)
def test_the_released_code_knows_people_by_shape_wherever_they_stand_and_look(seed):
    rng = np.random.default_rng(seed)
    td, order = crowd(rng, 4), rng.permutation(4)
    bu = np.stack([rng.uniform(0.5, 2) * pose @ rotation(rng) + rng.normal(0, 3000, 3) for pose in td])[order]
    assert [order[j] for _, j in match_released(td, bu)] == [0, 1, 2, 3]
    assert match(td, bu, np.ones((4, 17)), np.ones((4, 17))) != [(i, int(np.argmax(order == i))) for i in range(4)]


def test_the_released_code_may_give_one_person_to_two_and_to_anybody():
    rng = np.random.default_rng(3)
    td, bu = crowd(rng, 3), crowd(rng, 1)
    assert match_released(td, bu) == [(0, 0), (1, 0), (2, 0)]
    assert match_released(td, bu[:0]) == [] == match_released(td[:0], bu)


def test_the_released_code_does_not_turn_people_inside_out():
    """A mirror image fits exactly, if mirroring is allowed; a disturbed copy fits best, as it is not."""
    rng = np.random.default_rng(4)
    td = crowd(rng, 1)
    mirrored, disturbed = td * [-1, 1, 1], td + rng.normal(0, 30, td.shape)
    assert match_released(td, np.concatenate([mirrored, disturbed])) == [(0, 1)]
    moved = matching._moved(mirrored[0], td[0])
    wanted = align(mirrored, td, scale=True)[0]
    np.testing.assert_allclose(moved, wanted - wanted[ROOT], atol=1e-6)
    assert np.linalg.norm(moved - (td[0] - td[0, ROOT]), axis=-1).mean() > 100


def test_poses_without_a_size_or_with_holes_can_be_compared():
    td = crowd(np.random.default_rng(5), 2)
    td[0, WRIST] = np.nan
    td[1] = td[1, ROOT]
    assert match_released(td, td)[0] == (0, 0) and len(match_released(td, td * np.nan)) == 2


# ---- one pose of two --------------------------------------------------------------------------------


def test_the_mean_is_by_confidence():
    pairs = drawn(0, 2)
    w, v = (sure[..., None] for sure in pairs[2:])
    torch.testing.assert_close(mean(pairs), (w * pairs.td + v * pairs.bu) / (w + v))
    once, twice = torch.tensor([[[3.0] * 3] * 17]), torch.tensor([[[9.0] * 3] * 17])
    sure = torch.ones(1, 17)
    torch.testing.assert_close(mean(Pairs(once, twice, sure, sure / 2)), torch.full((1, 17, 3), 5.0))


def test_linear_is_the_mean_of_poses_at_the_bottom_up_root():
    pairs = drawn(0, 2)
    w, v = (sure[..., None] for sure in pairs[2:])
    local = [pose - pose[:, ROOT, None] for pose in pairs[:2]]
    wanted = (w * local[0] + v * local[1]) / (w + v) + pairs.bu[:, ROOT, None]
    torch.testing.assert_close(linear(pairs), wanted)
    moved = pairs._replace(td=pairs.td + torch.tensor([100.0, 0, 900]))
    torch.testing.assert_close(linear(moved), wanted)  # where the top-down branch stands plays no part


def test_hard_is_the_top_down_pose_at_the_bottom_up_root():
    pairs = drawn(0)
    found = hard(pairs)
    torch.testing.assert_close(found - found[:, ROOT, None], pairs.td - pairs.td[:, ROOT, None])
    torch.testing.assert_close(found[:, ROOT], pairs.bu[:, ROOT])


@given(seed=SEEDS, w=st.floats(0, 1), v=st.floats(-2, 2))
def test_two_equal_poses_are_one_whatever_their_weights(seed, w, v):
    pairs = drawn(seed, 3)
    pairs = pairs._replace(bu=pairs.td)
    weights = (torch.full((3,), x, dtype=torch.float64) for x in (w, v))
    found = [mean(pairs), linear(pairs), hard(pairs), gated(pairs, *weights), random_gate(seed)(pairs)]
    for pose in (*found, IntegrationMLP(8).double()(pairs)):
        torch.testing.assert_close(pose, pairs.td, rtol=1e-9, atol=1e-6)


def test_the_gate_mixes_poses_and_depths_apart():
    pairs, ones = drawn(0), torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(gated(pairs, ones, ones), pairs.td)
    local = [pose - pose[:, ROOT, None] for pose in pairs[:2]]
    for w, v in ((0.0, 1.0), (1.0, 0.0), (0.25, 1.5), (0.8, -0.5)):
        found = gated(pairs, w * ones, v * ones)
        torch.testing.assert_close(found - found[:, ROOT, None], w * local[0] + (1 - w) * local[1])
        root = found[:, ROOT]
        torch.testing.assert_close(root[:, 2], v * pairs.td[:, ROOT, 2] + (1 - v) * pairs.bu[:, ROOT, 2])
        torch.testing.assert_close(root[:, :2] / root[:, 2:], pairs.td[:, ROOT, :2] / pairs.td[:, ROOT, 2:])


def test_the_gate_s_weights_are_bounded_and_each_reaches_its_end():
    pairs = drawn(0, 40)
    w, v = (torch.cat(some) for some in zip(*(random_gate(seed, gain=8.0).weights(pairs) for seed in range(20))))
    assert (w > 0).all() and (w < 1).all() and w.min() < 0.05 and w.max() > 0.95
    assert (v > -2).all() and (v < 2).all() and v.min() < -1.9 and v.max() > 1.9
    gate = random_gate()
    torch.testing.assert_close(gate(pairs), gated(pairs, *gate.weights(pairs)))


def test_the_gate_is_shown_both_poses_from_the_pelvis_and_both_depths_in_metres():
    """As in the release: two poses, two depths, the top-down one first; what is not known is 0."""
    pairs, gate, seen = drawn(0), random_gate(), []
    pairs.sure_td[0, WRIST] = pairs.sure_bu[1, ROOT] = 0
    gate.layers.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    gate.weights(pairs)
    poses = [(pose - pose[:, ROOT, None]) / 1000 for pose in pairs[:2]]
    depths = torch.stack([pose[:, ROOT, 2] / 1000 for pose in pairs[:2]], 1)
    poses[0][0, WRIST], poses[1][1], depths[1, 1] = 0, 0, 0
    torch.testing.assert_close(seen[0], torch.cat([poses[0].flatten(1), poses[1].flatten(1), depths], 1))


@pytest.mark.parametrize("content", [0.0, np.nan])
@pytest.mark.parametrize("branch, other", [("td", "bu"), ("bu", "td")])
def test_who_is_known_to_one_branch_alone_is_not_pulled_to_the_camera(branch, other, content):
    pairs = without(drawn(0), branch, content)
    for name in ("mean", "linear", "hard", "gated", "gate"):
        torch.testing.assert_close(WAYS[name](pairs), getattr(pairs, other), msg=name)
    torch.testing.assert_close(IntegrationMLP(8).double()(pairs), getattr(pairs, other))
    assert (WAYS["mlp"](pairs) - getattr(pairs, other)).norm(dim=-1).mean() < 3000  # as far as it moves others


@given(seed=SEEDS, junk=st.sampled_from(JUNK), lost=st.sampled_from(["joints", "td", "bu", "both", "root"]))
def test_no_way_looks_at_joints_that_are_not_known(seed, junk, lost):
    pairs = drawn(seed, 4, sure=0.6)
    if lost in ("td", "both"):
        pairs.sure_td[0] = 0
    if lost in ("bu", "both"):
        pairs.sure_bu[0] = 0
    if lost == "root":
        pairs.sure_td[0, ROOT] = pairs.sure_bu[1, ROOT] = 0
    other = pairs._replace(
        td=pairs.td.where(pairs.sure_td[..., None] > 0, junk), bu=pairs.bu.where(pairs.sure_bu[..., None] > 0, junk)
    )
    nobody = (pairs.sure_td + pairs.sure_bu == 0)[..., None].expand(-1, -1, 3)
    for name, way in WAYS.items():
        found = way(other)
        assert torch.equal(found.nan_to_num(-1), way(pairs).nan_to_num(-1)), name
        assert torch.equal(found.isnan(), nobody & torch.tensor(name != "mlp")), name


def test_joints_that_one_branch_lacks_are_the_other_s():
    pairs = drawn(0)
    pairs.sure_td[:, WRIST] = pairs.sure_bu[:, ANKLE] = 0
    half = torch.full((5,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(mean(pairs)[:, WRIST], pairs.bu[:, WRIST])
    for found in (linear(pairs), hard(pairs)):
        torch.testing.assert_close(found[:, WRIST], pairs.bu[:, WRIST])
        torch.testing.assert_close(found[:, ANKLE] - pairs.bu[:, ROOT], pairs.td[:, ANKLE] - pairs.td[:, ROOT])
    found = gated(pairs, half, half)
    torch.testing.assert_close(found[:, WRIST] - found[:, ROOT], pairs.bu[:, WRIST] - pairs.bu[:, ROOT])
    torch.testing.assert_close(found[:, ANKLE] - found[:, ROOT], pairs.td[:, ANKLE] - pairs.td[:, ROOT])


@pytest.mark.parametrize("field", ["sure_td", "sure_bu"])
def test_where_a_branch_lacks_the_root_the_top_down_pose_is_not_moved(field):
    pairs = drawn(0)
    getattr(pairs, field)[:, ROOT] = 0
    for way in (WAYS["linear"], WAYS["hard"], WAYS["gated"], WAYS["gate"]):
        torch.testing.assert_close(way(pairs)[:, NECK], pairs.td[:, NECK])
        torch.testing.assert_close(way(pairs)[:, ROOT], (pairs.bu if field == "sure_td" else pairs.td)[:, ROOT])


@pytest.mark.parametrize("name", WAYS)
def test_no_people_are_no_poses(name):
    none = Pairs(*(part[:0] for part in drawn(0)))
    assert WAYS[name](none).shape == (0, 17, 3)


def test_nobody_known_is_nobody_and_the_network_s_own_pose_at_the_camera():
    pairs = without(without(drawn(0), "td", np.nan), "bu")
    for name in ("mean", "linear", "hard", "gated", "gate"):
        assert WAYS[name](pairs).isnan().all()
    assert (IntegrationMLP(8).double()(pairs) == 0).all() and WAYS["mlp"](pairs).isfinite().all()
    assert not any(there.any() for there in pairs.there)


def test_an_untrained_network_is_the_mean_and_puts_what_nobody_knows_in_the_middle():
    pairs = drawn(1, sure=0.5)
    found, start = IntegrationMLP(8).double()(pairs), mean(pairs)
    known = start.isfinite()
    assert 0 < (~known).sum() < known.sum()
    torch.testing.assert_close(found[known], start[known])
    middle = IntegrationMLP.middle(pairs)[:, None].expand_as(found)
    torch.testing.assert_close(found[~known], middle[~known])


def test_the_middle_lies_between_the_roots_or_what_stands_for_them():
    pairs = drawn(2)
    torch.testing.assert_close(IntegrationMLP.middle(pairs), (pairs.td[:, ROOT] + pairs.bu[:, ROOT]) / 2)
    alone = without(pairs, "bu", np.nan)
    torch.testing.assert_close(IntegrationMLP.middle(alone), pairs.td[:, ROOT])
    alone.sure_td[:, ROOT] = 0
    others = [joint for joint in range(17) if joint != ROOT]
    torch.testing.assert_close(IntegrationMLP.middle(alone), pairs.td[:, others].mean(1))


@given(seed=SEEDS, lost=st.sampled_from(["", "td", "bu"]))
def test_people_who_are_moved_are_found_as_far_aside(seed, lost):
    pairs = drawn(seed, 3, sure=0.7)
    pairs = without(pairs, lost) if lost else pairs
    pairs.sure_td[:, NECK] = 1 if lost != "td" else 0  # somebody is known
    pairs.sure_bu[:, NECK] = 1 if lost != "bu" else 0
    shift = torch.tensor([700.0, -200.0, 1500.0], dtype=torch.float64)
    moved = pairs._replace(td=pairs.td + shift, bu=pairs.bu + shift)
    for name in ("mean", "linear", "hard", "mlp"):
        torch.testing.assert_close(WAYS[name](moved), WAYS[name](pairs) + shift, equal_nan=True, rtol=1e-9, atol=1e-6)


def test_a_network_can_tell_its_branches_and_joints_apart():
    """Each of the 136 numbers moves the result; both branches exchanged are something else."""
    pairs, network = drawn(0, 1), random_mlp()
    exchanged = Pairs(pairs.bu, pairs.td, pairs.sure_bu, pairs.sure_td)
    assert (network(pairs) - network(exchanged)).abs().max() > 1
    inputs = [part.clone().requires_grad_() for part in pairs]
    (network(Pairs(*inputs)) - mean(pairs)).square().sum().backward()
    assert all((part.grad != 0).any(-1).all() for part in inputs)


def test_parameters():
    width = 512
    paper = [(136, width), (width, width), (width, 51)]
    released = [(104, width), (width, width), (width, width), (width, 2)]
    for network, layers in ((IntegrationMLP(), paper), (IntegrationGate(), released)):
        assert sum(p.numel() for p in network.parameters()) == sum(a * b + b for a, b in layers)
    assert sum(a * b + b for a, b in released) == 580_098


def test_gradients_are_finite_whatever_is_missing():
    pairs = drawn(3, 6, sure=0.5)
    pairs.sure_td[0], pairs.sure_bu[1] = 0, 0
    pairs.sure_td[2:4, ROOT] = pairs.sure_bu[2:4, ROOT] = 1
    pairs = pairs._replace(td=pairs.td.where(pairs.sure_td[..., None] > 0, torch.nan), bu=pairs.bu.clone())
    for network in (random_gate(1), random_mlp(1)):
        network(pairs).nansum().backward()
        gradients = [p.grad for p in network.parameters()]
        assert all(g is not None and g.isfinite().all() and g.any() for g in gradients)


# ---- loss and spoiled pairs -------------------------------------------------------------------------


def test_the_loss_is_the_mean_squared_distance_in_square_metres():
    true = drawn(0, 2).td
    found = true.clone()
    found[0, WRIST, 0] += 300
    found[1, NECK] += torch.tensor([0.0, 600, 800])
    assert integration.loss(found, true).item() == pytest.approx((0.09 + 1.0) / 34)
    true[1, NECK, 2] = torch.nan
    assert integration.loss(found, true).item() == pytest.approx(0.09 / 33)
    assert integration.loss(found, true * torch.nan) == 0


def standing(count: int) -> torch.Tensor:
    return torch.from_numpy(crowd(np.random.default_rng(0), count)).float()


def test_spoiled_pairs_have_the_rates_they_should():
    true = standing(4000)
    pairs = spoil(true, Spoiling(), torch.Generator().manual_seed(0))
    td, bu = pairs.there
    assert (td | bu).all()  # never both
    assert (~td).float().mean().item() == pytest.approx(0.075, abs=0.015)
    assert (~bu).float().mean().item() == pytest.approx(0.075, abs=0.015)
    for pose, sure, there in ((pairs.td, pairs.sure_td, td), (pairs.bu, pairs.sure_bu, bu)):
        known = sure[sure > 0]
        assert known.min() >= 0.3 and known.max() <= 1 and known.mean().item() == pytest.approx(0.65, abs=0.01)
        assert (sure[there] == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
        assert (pose[sure == 0] == 0).all()


@pytest.mark.parametrize("branch, shift, depth", [("td", 30, 0.02), ("bu", 60, 0.01)])
def test_joints_are_shifted_and_people_moved_along_their_rays(branch, shift, depth):
    true = standing(4000)
    quiet = {f"{name}_{one}": 0 for name in ("shift", "depth") for one in ("td", "bu")} | {"mask": 0, "drop": 0}
    how = Spoiling(**(quiet | {f"shift_{branch}": shift}))
    pairs = spoil(true, how, torch.Generator().manual_seed(0))
    moved = (getattr(pairs, branch) - true) * getattr(pairs, f"sure_{branch}")[..., None]  # the less sure, the farther
    assert moved.std().item() == pytest.approx(shift, rel=0.02) and moved.mean().abs() < 1
    assert moved.std(1).mean().item() == pytest.approx(shift, rel=0.05)  # each joint by itself
    pairs = spoil(true, Spoiling(**(quiet | {f"depth_{branch}": depth})), torch.Generator().manual_seed(0))
    moved = getattr(pairs, branch) - true
    by = moved[:, ROOT, 2] / true[:, ROOT, 2]
    assert by.std().item() == pytest.approx(depth, rel=0.05) and by.mean().abs() < 0.002
    wanted = (by[:, None] * true[:, ROOT])[:, None].expand_as(moved)  # the same for all joints, on the root's ray
    torch.testing.assert_close(moved, wanted, rtol=0, atol=0.01)
    other = getattr(pairs, "bu" if branch == "td" else "td")
    torch.testing.assert_close(other, true)


def test_spoiling_is_drawn_from_the_generator_alone_and_leaves_the_truth():
    true = standing(8)
    before = true.clone()
    one, same, other = (spoil(true, Spoiling(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same)) and not torch.equal(one.td, other.td)
    assert torch.equal(true, before)
    moved = one.to("cpu")
    assert isinstance(moved, Pairs) and torch.equal(moved.bu, one.bu)


@pytest.mark.parametrize("joint", [WRIST, ROOT])
def test_joints_without_truth_are_not_known(joint):
    true = standing(50)
    true[:, joint, 1] = torch.nan
    pairs = spoil(true, Spoiling(mask=0, drop=0), torch.Generator().manual_seed(0))
    for pose, sure in (pairs[::2], pairs[1::2]):
        assert pose.isfinite().all() and (sure[:, joint] == 0).all() and (sure > 0).sum() == 50 * 16


def test_everything_may_be_dropped_or_masked():
    true = standing(20)
    pairs = spoil(true, Spoiling(drop=1, mask=0), torch.Generator().manual_seed(0))
    td, bu = pairs.there
    assert (td ^ bu).all() and td.any() and bu.any()
    masked = spoil(true, Spoiling(mask=1), torch.Generator().manual_seed(0))
    assert not any(there.any() for there in masked.there) and (masked.td == 0).all()
