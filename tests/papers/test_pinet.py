"""PI-Net: counts, wiring, and the properties of the spec's section 8."""

import itertools
import os
import re

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mp3d import profiles
from mp3d.errors import BadInput, MissingData
from mp3d.papers.pinet import (
    PROFILES,
    Outputs,
    PINet,
    PINetConfig,
    Profile,
    Sequences,
    batches,
    decode,
    loss,
    order,
    sequences,
    statistics,
    strangers,
    targets,
    train,
)
from mp3d.training import FitConfig

SMALL = {"hidden": 16, "layers": 2}


def network(**config) -> PINet:
    torch.manual_seed(0)
    net = PINet(PINetConfig(**SMALL | config))
    with torch.no_grad():
        for weight in net.parameters():  # also those that start at zero, and large: all must matter
            weight.add_(0.2 * torch.randn(weight.shape))
    return net


def people(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 300, (count, 17, 3)) + rng.normal((0, 0, 4000), 800, (count, 1, 3))


def count(**config) -> int:
    return sum(weight.numel() for weight in PINet(PINetConfig(**config)).parameters())


# --------------------------------------------------------------------------------------------------
# The counted model


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        ({"layers": 2}, 2_225_664),
        ({"layers": 3}, 3_408_896),
        ({"layers": 4}, 4_592_128),
        ({"cell": "lstm", "layers": 2}, 2_778_112),
        ({"cell": "lstm", "layers": 3}, 4_355_584),
        ({"cell": "lstm", "layers": 4}, 5_933_056),
        ({"attention": False}, 3_014_144),
        ({"bidirectional": False}, 1_265_920),
        ({"attention": False, "bidirectional": False}, 1_134_080),
        ({"head": "update"}, 3_276_800),
        (  # in; a vector a node; query and key; three convolutions; out
            {"cell": "gcn", "layers": 4},
            (3 * 256 + 256) + 34 * 256 + 2 * 256 * 256 + 3 * (256 * 256 + 256) + (256 * 3 + 3),
        ),
    ],
)
def test_parameters(config, parameters):
    assert count(**config) == parameters


def fixture_network() -> PINet:
    """The original model's weights for its wiring fixture (spec 1.10)."""
    net = PINet()
    rnn = [
        f"rnn.{kind}_l{layer}{direction}"
        for layer in range(3)
        for direction in ("", "_reverse")
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    linear = ["head.1.weight", "head.1.bias", "head.4.weight", "head.4.bias", "head.6.weight"]
    norm = [f"head.{layer}.{kind}" for layer in (0, 3, 5) for kind in ("weight", "bias")]
    names = ["h0", *rnn, *linear, *norm, "attention.weight", "attention.bias"]
    weights = dict(net.named_parameters())
    assert sorted(names) == sorted(weights)
    random = np.random.RandomState(1234)
    with torch.no_grad():
        for name in names:
            values = 0.08 * random.standard_normal(tuple(weights[name].shape))
            ones = name in norm and name.endswith("weight")
            weights[name].copy_(torch.from_numpy(values + ones))
    return net


def fixture_poses(n: int) -> torch.Tensor:
    p, j, q = np.meshgrid(range(n), range(17), range(3), indexing="ij")
    return torch.from_numpy(100.0 * p * (q + 1) + 37.0 * ((j * (q + 2)) % 11) + 1000 * q)[None]


@pytest.mark.parametrize(
    ("n", "first", "last", "total", "attention"),
    [
        (1, (133.908, 1050.324, 2188.552), (28.693, 1015.970, 2237.122), 60643.55, (1.0,)),
        (
            2,
            (119.836, 1189.110, 2186.451),
            (128.654, 1030.212, 2420.220),
            132039.80,
            (0.89150, 0.10850),
        ),
    ],
)
def test_wiring_of_the_original_model(n, first, last, total, attention):
    out = fixture_network()(fixture_poses(n).float(), torch.tensor([n]))
    poses = (out.poses * out.std + out.mean)[0].detach()
    assert poses[0, 0].numpy() == pytest.approx(first, abs=1e-2)
    assert poses[-1, -1].numpy() == pytest.approx(last, abs=1e-2)
    assert poses.double().sum().item() == pytest.approx(total, abs=0.05)
    assert out.attention[0, 0].detach().numpy() == pytest.approx(attention, abs=1e-5)


def test_statistics_and_loss_of_the_original_model():
    x = fixture_poses(2).float()
    pair = Sequences(x, torch.tensor([2]), x)
    out = fixture_network()(x, pair.lengths)
    assert out.mean.flatten().numpy() == pytest.approx((235.000, 1269.765, 2328.471), abs=1e-3)
    assert out.std.flatten().numpy() == pytest.approx((132.327, 156.261, 194.483), abs=1e-3)
    terms = {name: term.item() for name, term in loss(out, targets(pair, PINetConfig())).items()}
    expected = {"loss": 1.069093, "x": 1.119363, "y": 1.037292, "z": 1.050623}
    assert terms == pytest.approx(expected, abs=1e-5)


# --------------------------------------------------------------------------------------------------
# Orders

RULES = ("near", "near2d", "reverse", "random")


@given(st.integers(1, 6), st.sampled_from(RULES), st.integers(0, 99))
def test_orders_are_permutations_that_begin_with_the_target(n, rule, seed):
    rng = np.random.default_rng(seed)
    poses, boxes = rng.integers(0, 3, (n, 17, 3)) * 1.0, rng.integers(0, 3, (n, 4)) * 1.0  # ties
    rho = order(poses, rule, boxes, rng)
    assert (rho[:, 0] == np.arange(n)).all()
    assert (np.sort(rho) == np.arange(n)).all()
    if n <= 2:
        assert (rho == order(poses, "near")).all()


def test_near_by_roots_and_by_boxes_differ():
    poses = np.zeros((3, 17, 3))
    poses[:, 14] = (-1500, 0, 3000), (-1200, 0, 6000), (-900, 0, 3000)
    boxes = np.array([[0, 0, 100, 200], [150, 0, 100, 200], [400, 0, 100, 200]], float)
    assert order(poses, "near")[0].tolist() == [0, 2, 1]
    assert order(poses, "near2d", boxes)[0].tolist() == [0, 1, 2]
    assert order(poses, "reverse")[0].tolist() == [0, 1, 2]


def test_equal_distances_lose_nobody():
    boxes = np.array([[0, 0, 100, 200], [-200, 0, 100, 200], [200, 0, 100, 200]], float)
    assert order(np.zeros((3, 17, 3)), "near2d", boxes)[0].tolist() == [0, 1, 2]
    assert order(np.zeros((3, 17, 3)), "near").tolist() == [[0, 1, 2], [1, 0, 2], [2, 0, 1]]


def test_random_order_puts_everyone_everywhere():
    poses = np.zeros((200, 4, 17, 3))
    rho = order(poses, "random", rng=np.random.default_rng(0))
    found = set(map(tuple, rho[:, 2].tolist()))
    assert found == {(2, *rest) for rest in itertools.permutations((0, 1, 3))}


@pytest.mark.parametrize("rule", ["near", "near2d", "reverse"])
def test_sequences_equal_the_plain_loop(rule):
    scenes = [people(n, seed=n) for n in (2, 1, 3, 2)]
    truth = [scene + 10 for scene in scenes]
    boxes = [np.random.default_rng(len(s)).random((len(s), 4)) for s in scenes]
    made = sequences(scenes, PINetConfig(order=rule), truth, boxes)
    row = 0
    for scene, true, box in zip(scenes, truth, boxes, strict=True):
        for n in range(len(scene)):
            rho = order(scene, rule, box)[n]
            assert made.lengths[row] == len(scene)
            np.testing.assert_array_equal(made.poses[row, : len(scene)], scene[rho])
            np.testing.assert_array_equal(made.truth[row, : len(scene)], true[rho])
            assert not made.poses[row, len(scene) :].any()
            row += 1
    assert row == len(made)


# --------------------------------------------------------------------------------------------------
# Normalisation and loss


@given(st.integers(1, 4), st.integers(0, 99))
def test_statistics_are_those_of_numpy_and_undo_themselves(n, seed):
    x = torch.from_numpy(people(n, seed))[None]
    mean, std = statistics(x, torch.ones(x.shape[:-1], dtype=torch.bool))
    np.testing.assert_allclose(mean.flatten(), x.reshape(-1, 3).numpy().mean(0))
    np.testing.assert_allclose(std.flatten(), x.reshape(-1, 3).numpy().std(0, ddof=1) + 1e-4)
    undone = decode(Outputs((x - mean) / std, None, mean, std))
    torch.testing.assert_close(undone, x[:, 0])


def known_pair() -> Sequences:
    made = sequences([people(2)], PINetConfig(), [people(2, seed=1)])
    made.truth[0, 1, 5] = torch.nan
    return made


def test_loss_is_zero_exactly_where_the_outputs_are_the_targets():
    pair = known_pair()
    goal = targets(pair, PINetConfig())
    mean, std = statistics(pair.poses, torch.ones(2, 2, 17, dtype=torch.bool))
    assert loss(Outputs(goal.poses, None, mean, std), goal)["loss"] == 0
    off = goal.poses.clone()
    off[0, 1, 5] += 1  # not known: does not count
    assert loss(Outputs(off, None, mean, std), goal)["loss"] == 0
    off[0, 1, 6, 2] += 3  # one of 67 known joints, one of three axes
    terms = loss(Outputs(off, None, mean, std), goal)
    assert terms["z"].item() == pytest.approx(3 / 67)
    assert terms["loss"].item() == pytest.approx(1 / 67)
    assert terms["x"] == terms["y"] == 0


def padded(pair: Sequences, by: int) -> Sequences:
    zeros = torch.zeros(len(pair), by, 17, 3, dtype=pair.poses.dtype)
    poses, truth = (torch.cat([x, zeros], 1) for x in (pair.poses, pair.truth))
    return Sequences(poses, pair.lengths, truth)


@pytest.mark.parametrize("config", [{}, {"cell": "lstm"}, {"cell": "gcn"}, {"head": "update"}])
def test_padding_counts_nowhere(config):
    net, pair = network(**config), known_pair()
    more = padded(pair, 2)
    out, wide = net(pair.poses, pair.lengths), net(more.poses, more.lengths)
    torch.testing.assert_close(wide.poses[:, :2], out.poses)
    if out.attention is not None:
        torch.testing.assert_close(wide.attention[:, :2, :2], out.attention)
    terms, wide_terms = (loss(o, targets(p, net.config)) for o, p in ((out, pair), (wide, more)))
    assert wide_terms["loss"].item() == pytest.approx(terms["loss"].item(), rel=1e-6)


def test_released_padding_enters_statistics_attention_and_loss():
    net, pair = network(padding="released"), known_pair()
    more = padded(pair, 1)
    out, wide = net(pair.poses, pair.lengths), net(more.poses, more.lengths)
    assert not torch.allclose(wide.mean, out.mean)
    rows = more.poses.reshape(2, 3 * 17, 3).numpy()  # a third of them zeros
    np.testing.assert_allclose(wide.mean[:, 0, 0], rows.mean(1))
    np.testing.assert_allclose(wide.std[:, 0, 0], rows.std(1, ddof=1) + 1e-4)

    x = ((more.poses - wide.mean) / wide.std).float()
    e = net.embed(x.flatten(2), more.lengths).detach().numpy()
    assert not e[:, 2].any()
    a, b = net.attention.weight.detach().numpy(), net.attention.bias.detach().numpy()
    w = np.exp(np.einsum("bne,ef,bmf->bnm", e, a, e) + (e @ b)[..., None])  # the padding's score: e_n b
    np.testing.assert_allclose(wide.attention.detach(), w / w.sum(-1, keepdims=True), rtol=1e-4)
    assert (wide.attention[:, 0, 2] > 0).all()

    goal, wide_goal = targets(pair, net.config), targets(more, net.config)
    for n, weight in ((2, goal.weight), (3, wide_goal.weight)):  # sequence 0 has one joint that is not known
        torch.testing.assert_close(weight.sum((1, 2)), torch.tensor([33.0, 34.0], dtype=weight.dtype) / (2 * n * 17))
    truth = more.truth.nan_to_num().reshape(2, 3 * 17, 3).numpy()
    expected = (truth - truth.mean(1, keepdims=True)) / (truth.std(1, ddof=1, keepdims=True) + 1e-4)
    np.testing.assert_allclose(wide_goal.poses.reshape(2, 3 * 17, 3), expected)


# --------------------------------------------------------------------------------------------------
# What the network can and cannot see


def moved(x: np.ndarray, others: float) -> np.ndarray:
    """The companions' limbs moved, the statistics kept."""
    y = x.copy()
    y[1:] += others * np.random.default_rng(5).normal(0, 100, y[1:].shape)
    for axis in range(3):
        rest = y[1:, :, axis]
        y[1:, :, axis] = (rest - rest.mean()) / rest.std() * x[1:, :, axis].std()
        y[1:, :, axis] += x[1:, :, axis].mean()
    return y


@pytest.mark.parametrize(
    ("config", "sees"),
    [
        ({"bidirectional": False, "attention": False}, False),
        ({"bidirectional": False}, True),
        ({"attention": False}, True),
        ({}, True),
        ({"cell": "gcn"}, True),
    ],
)
def test_only_direction_or_attention_lets_the_target_see_others(config, sees):
    net = network(**config).double()
    x = people(3)
    first = [net(torch.from_numpy(y)[None], torch.tensor([3])).poses[0, 0] for y in (x, moved(x, 1.0))]
    assert torch.allclose(*first, atol=1e-6) is not sees


@given(
    st.tuples(*[st.floats(-5000, 5000)] * 3),
    st.tuples(*[st.floats(0.5, 2)] * 3),
    st.sampled_from(["gru", "gcn"]),
)
def test_equivariant_to_translation_and_scale_of_each_axis(shift, scale, cell):
    net, x = network(cell=cell).double(), people(3)
    rule = (np.array(scale), np.array(shift))
    lengths = torch.tensor([3])
    out, other = (decode(net(torch.from_numpy(y)[None], lengths)) for y in (x, x * rule[0] + rule[1]))
    other, out = other.detach().numpy(), out.detach().numpy()
    np.testing.assert_allclose(other, out * rule[0] + rule[1], atol=0.05)


def test_not_equivariant_to_swapped_axes():
    net, x = network().double(), people(2)
    swapped = net.refine(x[..., [1, 0, 2]])[..., [1, 0, 2]]
    assert np.abs(swapped - net.refine(x)).max() > 1


def test_attention_rows_sum_to_one_and_one_person_attends_to_himself():
    net = network()
    out = net(torch.from_numpy(people(4))[None], torch.tensor([4]))
    torch.testing.assert_close(out.attention.sum(-1), torch.ones(1, 4))
    e = torch.randn(1, 1, 32)
    u, weights = net.attend(e, torch.ones(1, 1, dtype=torch.bool))
    assert weights.item() == 1
    assert torch.equal(u, e)


def test_attend_is_equation_3():
    net, e = network(), torch.randn(1, 3, 32)
    u, weights = net.attend(e, torch.ones(1, 3, dtype=torch.bool))
    a, b = net.attention.weight, net.attention.bias
    w = torch.stack([torch.stack([e[0, n] @ (a @ e[0, m] + b) for m in range(3)]) for n in range(3)])
    w = w.exp() / w.exp().sum(1, keepdim=True)
    torch.testing.assert_close(weights[0], w)
    torch.testing.assert_close(u[0], w @ e[0])


def test_gcn_takes_the_mean_over_pairs_and_alone_the_person_twice():
    net = network(cell="gcn").double()
    x = torch.randn(1, 3, 17, 3).double()
    together = net.pairs(x, torch.ones(1, 3, dtype=torch.bool))[0, 0]
    pairs = [net.graph(torch.cat([x[:, 0], x[:, m]], 1))[0][0, :17] for m in (1, 2)]
    torch.testing.assert_close(together, (pairs[0] + pairs[1]) / 2)
    alone = net.pairs(x[:, :1], torch.ones(1, 1, dtype=torch.bool))[0, 0]
    torch.testing.assert_close(alone, net.graph(torch.cat([x[:, 0], x[:, 0]], 1))[0][0, :17])


# --------------------------------------------------------------------------------------------------
# Refining

VARIANTS = [
    {},
    {"cell": "lstm"},
    {"cell": "gcn"},
    {"padding": "released"},
    {"companions": "none"},
    {"order": "near2d"},
    {"order": "reverse", "head": "update"},
]


@pytest.mark.parametrize("config", VARIANTS)
def test_all_at_once_equals_one_person_and_one_scene_at_a_time(config):
    torch.manual_seed(0)
    net = PINet(PINetConfig(**SMALL | config))
    scenes = [people(n, seed=n) for n in (3, 1, 2, 5, 2)]
    boxes = [np.random.default_rng(n).uniform(0, 900, (len(s), 4)) for n, s in enumerate(scenes)]
    for scene, box, refined in zip(scenes, boxes, net.refine_all(scenes, boxes), strict=True):
        np.testing.assert_allclose(net.refine(scene, box), refined, atol=1e-3)
        rho = order(scene, net.config.order, box)
        if net.config.companions == "none":
            rho = rho[:, :1]
        for n, sequence in enumerate(rho):  # section 3.4: n independent times
            x = torch.from_numpy(scene[sequence])[None]
            alone = decode(net(x, torch.tensor([len(sequence)])))[0].detach()
            np.testing.assert_allclose(refined[n], alone, atol=1e-3)


def test_refined_has_the_type_of_the_input():
    net = network()
    for dtype in (np.float32, np.float64):
        refined = net.refine(people(2).astype(dtype))
        assert refined.dtype == dtype
        tensor = net.refine(torch.from_numpy(people(2).astype(dtype)))
        np.testing.assert_array_equal(tensor.numpy(), refined)


def test_everyone_is_refined_whatever_their_place_in_the_list():
    net, x = network().double(), people(4)
    np.testing.assert_allclose(net.refine(x[[2, 0, 3, 1]]), net.refine(x)[[2, 0, 3, 1]], atol=1e-3)


def test_without_companions_others_do_not_matter():
    net, x = network(companions="none"), people(3)
    np.testing.assert_allclose(net.refine(x)[:1], net.refine(x[:1]), atol=1e-3)
    assert np.abs(network().refine(x)[:1] - network().refine(x[:1])).max() > 1


# --------------------------------------------------------------------------------------------------
# Training


def test_strangers_take_the_places_and_leave_the_targets():
    scenes = [people(2 + i % 2, seed=i) for i in range(8)]
    made = sequences(scenes, PINetConfig(), [s + 7 for s in scenes])[[0, 2, 5, 7, 10, 12, 15, 17]]
    swapped = strangers(made, np.random.default_rng(0))
    torch.testing.assert_close(swapped.poses[:, 0], made.poses[:, 0])
    torch.testing.assert_close(swapped.poses[:, :, 14], made.poses[:, :, 14])
    torch.testing.assert_close(swapped.truth[made.real], swapped.poses[made.real] + 7)
    for position in (1, 2):
        there = made.lengths > position
        bodies = [p[there, position] - p[there, position, 14:15] for p in (made.poses, swapped.poses)]
        taken = (bodies[1][:, None] - bodies[0]).abs().amax((-1, -2)) < 1e-6
        assert (taken.sum(0) == 1).all()  # everyone is somebody's companion again,
        assert not taken.diagonal().any()  # but not in the same place
    assert not swapped.poses[~made.real].any()


def test_batches_are_pure_functions_of_the_step():
    made = sequences([people(2 + i % 2, seed=i) for i in range(8)], PINetConfig())
    for companions in ("real", "shuffled"):
        config = PINetConfig(companions=companions)
        batch, again = batches(made, config, 16, seed=3), batches(made, config, 16, seed=3)
        later = batch(5)
        batch(0)
        assert torch.equal(later.poses, again(5).poses)
        assert not torch.equal(batch(6).lengths, again(5).lengths)
        assert len(later) == 16
        assert later.poses.dtype == torch.float32


def biased(count: int, seed: int) -> tuple[list, list]:
    """Two people who hardly move, estimated with one error, the same in every scene."""
    rng = np.random.default_rng(seed)
    bias = np.random.default_rng(0).normal(0, 100, (17, 3))
    base = people(2) + np.array([[[-600, 0, 0]], [[600, 0, 0]]])
    truth = [base + rng.normal(0, 20, base.shape) for _ in range(count)]
    return [scene + bias for scene in truth], truth


def test_training_removes_an_error_that_all_scenes_share(tmp_path):
    config = PINetConfig(hidden=32, layers=1)
    profile = Profile(200, 1, 32, 32, 1, FitConfig(100, lr=1e-2, warmup=10, clip=1.0))
    estimates, truth = biased(200, seed=1)
    net = train(sequences(estimates, config, truth), config, profile, out=tmp_path)

    estimates, truth = biased(50, seed=2)
    new = sequences(estimates, config, truth).to(torch.float32)
    refined, goal = net(new.poses, new.lengths), targets(new, config)
    unrefined = refined._replace(poses=(new.poses - refined.mean) / refined.std)
    assert loss(refined, goal)["loss"] < 0.3 * loss(unrefined, goal)["loss"]

    loaded = PINet.load(tmp_path / "checkpoint.pt", config)
    np.testing.assert_array_equal(loaded.refine(estimates[0]), net.refine(estimates[0]))


def test_training_depends_on_the_seed_alone():
    estimates, truth = biased(20, seed=1)
    config, profile = PINetConfig(**SMALL), Profile(20, 1, 16, 8, 1, FitConfig(3))
    made = sequences(estimates, config, truth)
    a, b, c = (train(made, config, profile, seed=seed).refine(estimates[0]) for seed in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_profiles():
    assert list(PROFILES) == list(profiles.PROFILES) == ["smoke", "cpu", "gpu", "paper"]
    paper = PROFILES["paper"]
    assert (paper.hidden, paper.batch) == (256, 4)
    assert paper.fit.steps == 25 * 80_700 // 4  # section 3.4
    assert (paper.fit.lr, paper.fit.lr_end, paper.fit.power) == (1e-5, 1e-8, 0.9)


# --------------------------------------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("poses", "said"),
    [
        (np.zeros((0, 17, 3)), "at least 1"),
        (np.zeros((2, 16, 3)), r"\(2, 16, 3\)"),
        (np.zeros((17, 3)), r"\(17, 3\)"),
        (np.zeros((2, 17, 3), int), "int"),
        (np.where(np.arange(17)[None, :, None] == 4, np.nan, people(2)), r"poses\[0\]\[0, 4\].*nan"),
        (torch.full((1, 17, 3), torch.inf), "inf"),
    ],
)
def test_poses_that_cannot_be_refined(poses, said):
    with pytest.raises(BadInput, match=said):
        network().refine(poses)


def test_order_near2d_needs_boxes_of_these_people():
    net = network(order="near2d")
    with pytest.raises(BadInput, match="boxes"):
        net.refine(people(2))
    with pytest.raises(BadInput, match="boxes"):
        net.refine(people(2), np.zeros((3, 4)))
    with pytest.raises(BadInput, match="boxes: found NaN"):
        net.refine(people(2), np.array([[0, 0, 100, 200], [np.nan, 0, 100, 200]]))


def test_a_random_order_needs_a_generator():
    with pytest.raises(BadInput, match="rng"):
        order(people(3), "random")


def test_scenes_and_truth_must_be_the_same_people():
    with pytest.raises(BadInput, match="truth"):
        sequences([people(2)], PINetConfig(), [people(3)])
    with pytest.raises(BadInput, match="at least one"):
        sequences([], PINetConfig())
    with pytest.raises(BadInput, match="truth"):
        targets(sequences([people(2)], PINetConfig()), PINetConfig())


@pytest.mark.parametrize("config", [{"cell": "rnn"}, {"order": "far"}, {"padding": ""}, {"layers": 0}, {"head": "e"}])
def test_configurations_that_do_not_exist(config):
    jaxtyping.config.update("jaxtyping_disable", True)  # the hook would be first to complain
    try:
        with pytest.raises(BadInput, match=f"PINetConfig: {next(iter(config))}"):
            PINetConfig(**config)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_checkpoint_of_another_configuration(tmp_path):
    net = network()
    net.save(tmp_path / "net.pt")
    again = PINet.load(tmp_path / "net.pt", net.config)
    np.testing.assert_array_equal(again.refine(people(2)), net.refine(people(2)))
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]

    with pytest.raises(BadInput, match=r"net\.pt: order: found 'near', expected 'random'"):
        PINet.load(tmp_path / "net.pt", PINetConfig(**SMALL, order="random"))
    with pytest.raises(BadInput, match="hidden: found 16, expected 256"):
        PINet.load(tmp_path / "net.pt", PINetConfig(layers=2))
    with pytest.raises(MissingData, match=r"other\.pt"):
        PINet.load(tmp_path / "other.pt")


def test_saving_where_no_file_can_be(tmp_path):
    (tmp_path / "file").touch()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    folders = [tmp_path / "missing", tmp_path / "file"]
    if not os.access(closed, os.W_OK):  # root may write anywhere
        folders.append(closed)
    for folder in folders:
        with pytest.raises(BadInput, match=re.escape(str(folder / "net.pt"))):
            network().save(folder / "net.pt")
    assert sorted(tmp_path.rglob("*")) == [closed, tmp_path / "file"]
