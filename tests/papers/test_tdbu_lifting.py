"""TDBU, from tracks to space: graphs, gaps, the errors of equation 10 by hand, discriminators, what students learn."""

from dataclasses import fields, replace

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mp3d.camera import project
from mp3d.errors import BadInput
from mp3d.papers.tdbu import discriminators, semi
from mp3d.papers.tdbu.config import PROFILES, TDBUConfig
from mp3d.papers.tdbu.discriminators import LEAST, NATURAL, Discriminators, Joined, adversarial, neighbours
from mp3d.papers.tdbu.integration import IntegrationGate, IntegrationMLP
from mp3d.papers.tdbu.lifting import (
    BONE_HOPS,
    JOINT_HOPS,
    METRES,
    TYPICAL,
    Dense,
    DirectedGCN,
    Lift,
    Propagation,
    affinity,
    centred,
    filled,
    hops,
    incidence,
    perspective_error,
    placed,
    pose_loss,
    reprojection_error,
    to_camera,
    turned,
)
from mp3d.papers.tdbu.semi import Lesson, People, train_student, weights
from mp3d.skeletons import MPI17
from mp3d.training import FitConfig

TINY = PROFILES["smoke"].config
ROOT, NECK, WRIST, KNEE = map(MPI17.index, ("pelvis", "neck", "r_wrist", "l_knee"))
SEEDS = st.integers(0, 2**31)


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def bodies(seed: int, *people: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """m, float64: poses seen from the pelvis, where the pelvis is, and joints in the camera's units."""
    generator = torch.Generator().manual_seed(seed)
    poses = 0.3 * torch.randn(*people, 17, 3, generator=generator, dtype=torch.float64)
    poses = poses - poses[..., ROOT : ROOT + 1, :]
    root = torch.rand(*people, 3, generator=generator, dtype=torch.float64) * 2 + torch.tensor([-1.0, -1, 3])
    xyz = poses + root[..., None, :]
    return poses, root, xyz[..., :2] / xyz[..., 2:]


def tracks(seed: int, time: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints in the camera's units, and confidences above 0."""
    generator = torch.Generator().manual_seed(seed)
    uv = bodies(seed, 1)[2].float() + 0.01 * torch.randn(time, 17, 2, generator=generator).cumsum(0)
    return uv, 0.5 + 0.5 * torch.rand(time, 17, generator=generator)


def lively(config: TDBUConfig = TINY, seed: int = 0) -> Lift:
    """Networks that have learned something."""
    torch.manual_seed(seed)
    lift = Lift(config)
    for network in (lift.pose, lift.root):
        nn.init.normal_(network.last.weight, std=0.1)
        nn.init.normal_(network.last.bias, std=0.1)
    return lift.eval()


# ---- graphs -----------------------------------------------------------------------------------------


def floyd_warshall(edges: list[tuple[int, int]], nodes: int) -> np.ndarray:
    far = np.full((nodes, nodes), np.inf)
    np.fill_diagonal(far, 0)
    for a, b in edges:
        far[a, b] = far[b, a] = 1
    for k in range(nodes):
        far = np.minimum(far, far[:, k, None] + far[None, k])
    return far


def test_hops_are_shortest_ways():
    limbs = MPI17.limbs
    np.testing.assert_array_equal(JOINT_HOPS, floyd_warshall(list(limbs), 17))
    touching = [(i, j) for i in range(16) for j in range(i) if set(limbs[i]) & set(limbs[j])]
    np.testing.assert_array_equal(BONE_HOPS, floyd_warshall(touching, 16))
    assert JOINT_HOPS[MPI17.index("r_wrist"), MPI17.index("l_wrist")] == 6
    assert JOINT_HOPS[MPI17.index("head_top"), MPI17.index("l_ankle")] == 6
    ring = [{1, 3}, {0, 2}, {1, 3}, {0, 2}]
    assert hops(ring).tolist() == [[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]]


@given(seed=SEEDS, known=st.floats(0, 1), decay=st.booleans())
def test_what_a_node_takes_sums_to_1_and_none_of_it_comes_from_who_knows_nothing(seed, known, decay):
    generator = torch.Generator().manual_seed(seed)
    sure = torch.rand(3, 17, generator=generator) * (torch.rand(3, 17, generator=generator) < known)
    taken = affinity(sure, JOINT_HOPS, decay)
    torch.testing.assert_close(taken.sum(-1), torch.ones(3, 17))
    some = (sure > 0).any(-1)
    assert (taken[some].mT[sure[some] == 0] == 0).all() and (taken >= 0).all()


def test_affinities_by_hand():
    """A chain of three: 1, 1/e and 1/e², by confidence."""
    chain, e = hops([{1}, {0, 2}, {1}]), np.exp(-1)
    row = np.array([0.5, 0.2 * e, 0.0])
    taken = affinity(torch.tensor([[0.5, 0.2, 0.0]]), chain)
    np.testing.assert_allclose(taken[0, 0], row / row.sum(), rtol=1e-6)
    own = taken[0].diagonal()
    assert own[0] > 0 and own[2] == 0
    np.testing.assert_allclose(affinity(torch.zeros(1, 3), chain)[0, 1], np.array([e, 1, e]) / (1 + 2 * e), rtol=1e-6)


def test_without_hops_every_joint_is_told_the_same():
    """As in the released files: the mean by confidence."""
    sure = torch.rand(2, 17, generator=torch.Generator().manual_seed(0))
    taken = affinity(sure, JOINT_HOPS, decay=False)
    assert torch.equal(taken, taken[:, :1].expand_as(taken))
    torch.testing.assert_close(taken[:, 3], sure / sure.sum(-1, keepdim=True))


def test_bones_are_blind_to_where_somebody_stands_and_tell_all_else():
    matrix = incidence().double()
    joints = torch.randn(17, 5, dtype=torch.float64)
    torch.testing.assert_close(matrix @ (joints + torch.arange(5)), matrix @ joints)
    torch.testing.assert_close(torch.linalg.pinv(matrix) @ matrix @ joints, joints - joints.mean(0))
    for row, (parent, child) in enumerate(MPI17.limbs):
        torch.testing.assert_close((matrix @ joints)[row], joints[child] - joints[parent])


def test_a_dense_layer_is_one_linear_map_a_node():
    torch.manual_seed(0)
    layer = Dense(4, 3, 5)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 3)
    wanted = torch.stack([x[:, n] @ layer.weight[n] + layer.bias[n] for n in range(4)], 1)
    torch.testing.assert_close(layer(x), wanted)
    assert count(layer) == 4 * (3 * 5 + 5)


# ---- the graph network ------------------------------------------------------------------------------


def test_parameters_are_those_of_the_release():
    w = 256

    def two(nodes: int, features: int) -> int:
        return nodes * (features * w + w + w * w + w)

    graph = two(17, 2) + two(17, w) + two(17, 2 * w) + two(16, w) + two(16, 2 * w) + two(17, 6 * w)
    graph += 17 * (w * 3 + 3 + 3 * 3 + 3)
    with torch.device("meta"):
        lift = Lift()
    assert count(lift.graph) == graph == 19_799_551
    assert (count(lift.pose), count(lift.root)) == (17_004_604, 16_901_130)
    assert count(lift) == 19_799_551 + 17_004_604 + 16_901_130


@pytest.mark.parametrize("decay", [True, False])
def test_the_graph_network_written_out(decay):
    torch.manual_seed(0)
    network = DirectedGCN(replace(TINY, decay=decay, graph=4)).double()
    for p in network.parameters():
        nn.init.normal_(p, std=0.7)
    uv, sure = bodies(0, 1)[2], torch.rand(1, 17, dtype=torch.float64)
    sure[0, WRIST] = 0
    on = sure[0] > 0

    def dense(layer, x):
        return torch.stack([x[n] @ layer.weight[n] + layer.bias[n] for n in range(len(x))])

    def prop(layer, x, graph=None):
        mixed = x if graph is None else graph @ x
        for one in (layer.layers[0], layer.layers[2]):
            mixed = dense(one, mixed).relu()
        return mixed if graph is None else torch.cat([x, mixed], 1)

    def shares(c, far):
        a = torch.stack(
            [torch.stack([c[j] * (np.exp(-far[i, j]) if decay else 1.0) for j in range(len(c))]) for i in range(len(c))]
        )
        return a / a.sum(1, keepdim=True)

    x = torch.where(on[:, None], uv[0], 0.0)
    spread = (uv[0][on] - uv[0][on].mean(0)).square().sum(1).mean().sqrt()
    x = torch.where(on[:, None], (x - uv[0, ROOT]) / spread, 0.0)
    ends = torch.tensor(MPI17.limbs)
    joint_graph = shares(sure[0], JOINT_HOPS.double().numpy())
    bone_graph = shares(sure[0, ends[:, 0]] * sure[0, ends[:, 1]], BONE_HOPS.double().numpy())
    first = prop(network.joints[0], x)
    joints = prop(network.joints[2], prop(network.joints[1], first, joint_graph), joint_graph)
    bones = prop(network.bones[0], first[ends[:, 1]] - first[ends[:, 0]], bone_graph)
    bones = torch.linalg.pinv(incidence().double()) @ prop(network.bones[1], bones, bone_graph)
    assert joints.shape == (17, 12) and bones.shape == (17, 12)
    pose = prop(network.join, torch.cat([joints, bones], 1))
    pose = dense(network.out[1], dense(network.out[0], pose))
    torch.testing.assert_close(network(uv, sure)[0], pose - pose[ROOT], rtol=1e-5, atol=1e-5)
    assert pose.abs().max() > 0.1


def test_without_a_graph_a_layer_hands_on_what_it_makes_and_with_one_also_what_it_got():
    torch.manual_seed(0)
    layer, x = Propagation(4, 3, 5), torch.randn(2, 4, 3)
    assert layer(x).shape == (2, 4, 5)
    found = layer(x, torch.eye(4).expand(2, 4, 4))
    torch.testing.assert_close(found, torch.cat([x, layer(x)], -1))


@given(seed=SEEDS)
def test_a_pose_is_the_same_wherever_it_is_seen_and_however_large(seed):
    network, (_, _, uv) = lively().graph, bodies(seed, 2)
    uv, sure = uv.float(), torch.rand(2, 17, generator=torch.Generator().manual_seed(seed))
    pose = network(uv, sure)
    assert (pose[:, ROOT] == 0).all()
    torch.testing.assert_close(network(900 * uv + torch.tensor([320.0, 200]), sure), pose, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(network(0.3 * uv - 2, sure), pose, rtol=1e-3, atol=1e-4)
    assert (network(-uv, sure) - pose).abs().max() > 1e-4  # upside down is another pose


@pytest.mark.parametrize("junk", [0.0, 1e6, torch.nan, torch.inf])
def test_what_stands_at_a_joint_that_is_not_known_plays_no_part(junk):
    network, (_, _, uv) = lively().graph, bodies(0, 3)
    sure = torch.rand(3, 17) + 0.1
    sure[0, [WRIST, NECK]] = sure[1, ROOT] = sure[2] = 0
    spoiled = uv.float().where(sure[..., None] > 0, junk)
    assert torch.equal(network(spoiled, sure), network(uv.float(), sure))
    assert network(spoiled, sure).isfinite().all()


def test_joints_by_their_spread_by_hand():
    uv, sure = torch.zeros(1, 17, 2), torch.zeros(1, 17)
    uv[0, ROOT], uv[0, NECK] = torch.tensor([3.0, 8]), torch.tensor([3.0, 2])
    sure[0, [ROOT, NECK]] = 0.7
    found = centred(uv, sure)  # 3 from the middle each
    assert found[0, NECK].tolist() == pytest.approx([0, -2]) and found[0, ROOT].tolist() == [0, 0]
    assert (found[0, [j for j in range(17) if j not in (ROOT, NECK)]] == 0).all()
    sure[0, ROOT], sure[0, KNEE] = 0, 0.2
    uv[0, KNEE] = torch.tensor([3.0, 6])  # without a pelvis from the middle
    assert centred(uv, sure)[0, [NECK, KNEE]].tolist() == pytest.approx(np.array([[0, -1], [0, 1]]))


@given(seed=SEEDS)
def test_the_spread_is_positive_also_of_who_is_upside_down(seed):
    """The release divides by neck minus pelvis, which is not."""
    uv, sure = bodies(seed, 2)[2], torch.ones(2, 17, dtype=torch.float64)
    found = centred(uv, sure)
    torch.testing.assert_close(centred(-uv, sure), -found)
    torch.testing.assert_close(centred(5 * uv - 3, sure), found)
    torch.testing.assert_close(
        (found - found.mean(1, keepdim=True)).square().sum(-1).mean(1).sqrt(), torch.ones(2).double()
    )


def test_one_joint_or_none_or_all_in_one_place_have_no_spread_and_a_gradient():
    uv = torch.zeros(3, 17, 2)
    uv[0] = 5.0
    uv[1, WRIST] = 2.0
    sure = torch.zeros(3, 17)
    sure[0], sure[1, WRIST] = 1, 1
    uv.requires_grad_()
    found = centred(uv, sure)
    assert (found == 0).all()
    found.sum().backward()
    assert uv.grad.isfinite().all()


# ---- tracks -----------------------------------------------------------------------------------------


def filled_plainly(uv: np.ndarray, known: np.ndarray) -> np.ndarray:
    out = np.zeros(uv.shape)
    some = [j for j in range(uv.shape[1]) if known[:, j].any()]
    for j in some:
        at = np.flatnonzero(known[:, j])
        for t in range(len(uv)):
            before, after = at[at <= t], at[at >= t]
            if not len(before) or not len(after):
                out[t, j] = uv[at[0] if not len(before) else at[-1], j]
            elif before[-1] == after[0]:
                out[t, j] = uv[t, j]
            else:
                a, b = before[-1], after[0]
                out[t, j] = uv[a, j] + (uv[b, j] - uv[a, j]) * (t - a) / (b - a)
    for j in range(uv.shape[1]):
        if j not in some and some:
            out[:, j] = out[:, some].mean(1)
    return out


@given(seed=SEEDS, time=st.integers(1, 12), known=st.floats(0, 1), junk=st.sampled_from([0.0, torch.nan, 1e9]))
def test_gaps_are_filled_from_both_sides(seed, time, known, junk):
    uv, sure = tracks(seed, time)
    sure = sure * (torch.rand(time, 17, generator=torch.Generator().manual_seed(seed)) < known)
    found = filled(uv.where(sure[..., None] > 0, junk), sure)
    np.testing.assert_allclose(found, filled_plainly(uv.double().numpy(), (sure > 0).numpy()), atol=1e-6)
    assert found.dtype == uv.dtype and torch.equal(found[sure > 0], uv[sure > 0])
    torch.testing.assert_close(filled(found, torch.ones_like(sure)), found)


def test_an_untrained_network_over_time_changes_no_pose_and_stands_somebody_at_4_m():
    torch.manual_seed(0)
    lift, (uv, sure) = Lift(TINY).eval(), tracks(0, 12)
    with torch.no_grad():
        own = lift.graph(filled(uv, sure), sure)
        torch.testing.assert_close(lift.refined(own[None])[0], own)
        assert (lift.depth(uv[None]) == TYPICAL).all()
    track = lift.track(uv, sure)
    torch.testing.assert_close(track, lift.track(uv, sure, temporal=False))
    assert TYPICAL == 4
    torch.testing.assert_close(track[:, ROOT, 2], torch.full((12,), 4000.0))
    torch.testing.assert_close(track - track[:, ROOT, None], own / METRES, rtol=1e-3, atol=0.01)


@pytest.mark.parametrize("time", [1, 2, 8, 9, 40])
def test_a_track_is_what_each_window_says(time):
    lift, (uv, sure) = lively(), tracks(1, time)
    half = lift.pose.window // 2
    with torch.no_grad():
        own = lift.graph(uv, sure)
        at = (torch.arange(time)[:, None] + torch.arange(-half, half + 1)).clamp(0, time - 1)
        pose, depth = lift.refined(own[at], every=False), lift.depth(uv[at], every=False)
    track = lift.track(uv, sure)
    assert track.shape == (time, 17, 3) and (pose - own).abs().max() > 0.01
    torch.testing.assert_close(track, (pose + placed(uv[:, ROOT], depth)[:, None]) / METRES, rtol=1e-4, atol=0.05)


def test_the_pelvis_lies_on_its_ray_and_the_depth_moves_the_pose_along_it():
    lift, (uv, sure) = lively(), tracks(2, 15)
    track = lift.track(uv, sure)
    torch.testing.assert_close(track[:, ROOT, :2] / track[:, ROOT, 2:], uv[:, ROOT], rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        lift.root.last.bias += 1.5
    moved = lift.track(uv, sure) - track
    wanted = 1500 * torch.cat([uv[:, ROOT], torch.ones(15, 1)], 1)
    torch.testing.assert_close(moved, wanted[:, None].expand_as(moved), rtol=1e-4, atol=0.01)


def test_a_track_that_comes_later_is_the_same_track_later():
    lift, (uv, sure) = lively(), tracks(3, 60)
    edge, late = lift.pose.window // 2, 7
    whole, part = lift.track(uv, sure), lift.track(uv[late:], sure[late:])
    torch.testing.assert_close(part[edge:], whole[late + edge :], rtol=1e-4, atol=0.05)
    assert (part[0] - whole[late]).abs().max() > 0.5  # at its start it has another past


def test_joints_that_are_not_known_are_completed_and_what_stands_there_plays_no_part():
    lift, (uv, sure) = lively(), tracks(4, 20)
    sure[3:9, WRIST] = sure[:, KNEE] = sure[12] = sure[:4, ROOT] = 0
    tracks_ = [lift.track(uv.where(sure[..., None] > 0, junk), sure) for junk in (0.0, torch.nan, 1e9)]
    assert tracks_[0].isfinite().all() and all(torch.equal(one, tracks_[0]) for one in tracks_)
    assert lift.track(uv * torch.nan, 0 * sure).isfinite().all()  # nobody, nowhere


def test_lifting_leaves_the_networks_as_they_were():
    lift, (uv, sure) = lively(), tracks(5, 5)
    lift.train()
    before = {name: value.clone() for name, value in lift.state_dict().items()}
    lift.track(uv, sure)
    assert lift.training and all(torch.equal(value, before[name]) for name, value in lift.state_dict().items())


def test_wrong_tracks_are_named(unchecked):
    lift, (uv, sure) = lively(), tracks(6, 4)
    hole = uv.clone()
    hole[2, 5, 1] = torch.nan
    for bad, words in (
        ((uv[:0], sure[:0]), "T >= 1"),
        ((uv[:, :14], sure[:, :14]), r"\(4, 14, 2\)"),
        ((uv, sure[:3]), r"\(3, 17\)"),
        ((hole, sure), "not finite"),
    ):
        with pytest.raises(BadInput, match=words):
            lift.track(*bad)


def test_units_of_the_camera():
    poses, root, uv = bodies(0, 3)
    k = torch.tensor([[500.0, 510, 320, 240], [900, 900, 128, 80], [60, 61, 0, 0]]).double()
    px = project(poses + root[:, None], k[:, None])
    torch.testing.assert_close(to_camera(px, k), uv)
    torch.testing.assert_close(placed(uv, (poses + root[:, None])[..., 2]), poses + root[:, None])


# ---- errors -----------------------------------------------------------------------------------------


def test_the_pose_loss_by_hand():
    poses, root, _ = bodies(0, 2)
    true, found = 1000 * (poses + root[:, None]), poses.clone()
    assert pose_loss(found, true).item() == pytest.approx(0, abs=1e-20)
    found[0, WRIST] += torch.tensor([0.3, 0, 0.4])
    assert pose_loss(found, true).item() == pytest.approx(0.25 / 34)
    true[1, KNEE] = torch.nan
    assert pose_loss(found, true).item() == pytest.approx(0.25 / 33)
    true[0, ROOT] = torch.nan  # without its pelvis a pose is nowhere
    assert pose_loss(found, true).item() == pytest.approx(0, abs=1e-20)
    assert pose_loss(found, true * torch.nan) == 0


def test_poses_that_project_onto_the_joints_cost_nothing():
    poses, root, uv = bodies(1, 4)
    sure = torch.rand(4, 17, dtype=torch.float64)
    assert (reprojection_error(poses, root, uv, sure) < 1e-25).all()
    sure[:, NECK] = 0
    uv[:, NECK] = torch.nan
    assert (reprojection_error(poses, root, uv, sure) < 1e-25).all()


def test_the_reprojection_error_by_hand():
    """One joint off by d in the picture: c d² / (sum of c) / diagonal²; the same from twice as near."""
    poses, root, uv = bodies(2, 2)
    sure = torch.rand(2, 17, dtype=torch.float64) + 0.1
    diagonal = (uv.amax(1) - uv.amin(1)).square().sum(-1)
    inner = int((uv[0] - uv[0].mean(0)).abs().sum(-1).argmin())  # not one that spans the box
    off = poses.clone()
    off[0, inner, :2] += 0.02 * (poses + root[:, None])[0, inner, 2]
    found = reprojection_error(off, root, uv, sure)
    assert found[0].item() == pytest.approx((sure[0, inner] * 2 * 0.02**2 / sure[0].sum() / diagonal[0]).item())
    assert found[1] < 1e-25
    torch.testing.assert_close(reprojection_error(2 * off, 2 * root, uv, sure), found)


def test_who_is_not_seen_costs_nothing_and_who_stands_behind_the_camera_is_no_number_s_end():
    poses, root, uv = bodies(3, 2)
    assert (reprojection_error(poses, root, uv, torch.zeros(2, 17, dtype=torch.float64)) == 0).all()
    poses.requires_grad_()
    for place in (-root, root * torch.tensor([1, 1, 0])):  # in the camera itself
        behind = reprojection_error(poses, place, uv, torch.ones(2, 17, dtype=torch.float64))
        behind.sum().backward()
        assert behind.isfinite().all() and poses.grad.isfinite().all()


def yaw(poses: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turned about y, from z towards x."""
    x, y, z = poses.unbind(-1)
    c, s = angles.cos()[:, None], angles.sin()[:, None]
    return torch.stack([c * x + s * z, y, c * z - s * x], -1)


class Oracle(nn.Module):
    """Knows who was turned how far, and checks that this is what it is shown."""

    def __init__(self, poses, root, angles):
        super().__init__()
        self.turned = yaw(poses, angles)
        xyz = self.turned + root[:, None]
        self.seen = xyz[..., :2] / xyz[..., 2:]

    def forward(self, uv, sure):
        torch.testing.assert_close(uv, self.seen)
        assert (sure == 1).all()
        return self.turned


@given(seed=SEEDS, turns=st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_an_oracle_sees_the_same_pose_from_every_side(seed, turns):
    (poses, root, _), angles = bodies(seed, 3), torch.tensor(turns, dtype=torch.float64)
    root[:, 2] += 3  # nobody comes behind the camera
    error = perspective_error(Oracle(poses, root, angles), poses, root, angles)
    assert error.shape == (3,) and (error < 1e-25).all()


def test_the_perspective_error_by_hand():
    """Who always sees the same pose is wrong by how far that turns back from it; of depth alone: 2 - 2 cos."""
    poses = torch.zeros(2, 17, 3, dtype=torch.float64)
    poses[:, WRIST, 2] = 0.5
    angles = torch.tensor([0.0, 1.0], dtype=torch.float64)

    class Same(nn.Module):
        def forward(self, uv, sure):
            return poses

    root = torch.tensor([[0.0, 0, 4]] * 2, dtype=torch.float64)
    found = perspective_error(Same(), poses, root, angles)
    assert found.tolist() == pytest.approx([0, 0.25 * (2 - 2 * np.cos(1)) / 17])


def test_turning_is_a_rotation_about_the_vertical():
    angles = torch.tensor([0.0, 0.7, -2.0, np.pi / 2], dtype=torch.float64)
    turn = turned(angles)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).double().expand(4, 3, 3))
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(4).double())
    torch.testing.assert_close(turn @ turned(0.3 - angles), turned(torch.full((4,), 0.3).double()))
    vectors = torch.randn(4, 17, 3, dtype=torch.float64)
    torch.testing.assert_close(vectors @ turn.mT, yaw(vectors, angles))
    torch.testing.assert_close(turn[3] @ torch.tensor([0.0, 0, 1]).double(), torch.tensor([1.0, 0, 0]).double())


def test_a_network_that_says_nothing_yet_has_gradients():
    """All joints in one place: no spread to divide by."""
    poses = torch.zeros(2, 17, 3, requires_grad=True)
    error = perspective_error(lively().graph, poses, torch.tensor([[0.0, 0, 4]] * 2), torch.ones(2))
    error.sum().backward()
    assert poses.grad.isfinite().all()


# ---- discriminators ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judges() -> Discriminators:
    """Ones with opinions, float64."""
    torch.manual_seed(0)
    made = Discriminators().double()
    for network in (made.one, made.two):
        nn.init.normal_(network[-2].weight, std=0.5)
    return made


def mm(seed: int, people: int) -> torch.Tensor:
    poses, root, _ = bodies(seed, people)
    return 1000 * (poses + root[:, None])


def test_one_person_is_judged_wherever_they_stand_and_two_by_how_they_stand_to_one_another(judges):
    a, b, shift = mm(0, 4), mm(1, 4), torch.tensor([500.0, -80, 3000])
    torch.testing.assert_close(judges.single(a + shift), judges.single(a))
    torch.testing.assert_close(judges.pair(a + shift, b + shift), judges.pair(a, b))
    torch.testing.assert_close(judges.pair(b, a), judges.pair(a, b))
    assert (judges.pair(a, b + shift) - judges.pair(a, b)).abs().min() > 1e-4
    assert judges.single(a).std() > 0.01 and judges.pair(a, b).std() > 0.01


def test_the_first_discriminator_is_shown_lengths_of_bones_in_metres():
    judges, seen = Discriminators().double(), []
    judges.one.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    pose = mm(2, 1)
    judges.single(pose)
    parent, child = (list(ends) for ends in zip(*MPI17.limbs))
    lengths = (pose[:, child] - pose[:, parent]).norm(dim=-1) / 1000
    torch.testing.assert_close(seen[0], torch.cat([((pose - pose[:, ROOT, None]) / 1000).flatten(1), lengths], 1))


def test_equation_9(judges):
    a, b = mm(0, 3), mm(1, 3)
    whole = 0.25 * (judges.single(a) + judges.single(b)) + 0.5 * judges.pair(a, b)
    torch.testing.assert_close(judges(a, b), whole)
    paired = torch.tensor([True, False, True])
    torch.testing.assert_close(judges(a, b, paired), torch.where(paired, whole, judges.single(a)))


def test_who_is_alone_is_judged_alone_whatever_stands_for_the_other(judges):
    a, b, paired = mm(0, 3), mm(1, 3), torch.tensor([True, False, False])
    spoiled = b.clone()
    spoiled[1:] = torch.nan
    torch.testing.assert_close(judges(a, spoiled, paired), judges(a, b, paired))
    judges.zero_grad()
    judges(a, spoiled, paired).sum().backward()
    assert all(p.grad.isfinite().all() for p in judges.parameters())


@pytest.mark.parametrize("bias, value", [(60.0, 1 - LEAST), (-60.0, LEAST)])
def test_judgements_stay_off_0_and_1(bias, value):
    judges = Discriminators().double()
    for network in (judges.one, judges.two):
        nn.init.constant_(network[-2].bias, bias)
    found = judges(mm(0, 2), mm(1, 2))
    assert found.tolist() == pytest.approx([value] * 2, abs=1e-12)
    assert discriminators.discriminator_loss(found, found).isfinite()


def test_the_loss_of_who_knows_nothing_and_of_who_knows_all():
    half, one, none = torch.full((4,), 0.5), torch.full((4,), 1 - LEAST), torch.full((3,), LEAST)
    assert discriminators.discriminator_loss(half, half).item() == pytest.approx(2 * np.log(0.5))
    assert discriminators.discriminator_loss(one, none).item() == pytest.approx(0, abs=3 * LEAST)
    assert discriminators.discriminator_loss(none, one) < -18


def test_what_poses_are_told_as_printed_hardly_moves_them_where_it_should():
    for printed, value, slope in ((False, -np.log(0.01), -100.0), (True, np.log(0.99), -1 / 0.99)):
        seen_through = torch.tensor([0.01], dtype=torch.float64, requires_grad=True)
        told = discriminators.generator_loss(seen_through, printed)
        told.backward()
        assert told.item() == pytest.approx(value) and seen_through.grad.item() == pytest.approx(slope)


@pytest.mark.parametrize("printed", [False, True])
def test_each_side_moves_its_own_alone(judges, printed):
    a, b, paired = mm(0, 3).requires_grad_(), mm(1, 3).requires_grad_(), torch.tensor([True, True, False])
    true = (mm(2, 5), mm(3, 5), torch.ones(5, dtype=torch.bool))
    sides = adversarial(judges, (a, b, paired), true, printed)
    wanted = discriminators.generator_loss(judges(a, b, paired), printed)
    torch.testing.assert_close(sides["natural"], wanted)
    torch.testing.assert_close(sides["judges"], -discriminators.discriminator_loss(judges(*true), judges(a, b, paired)))
    judges.zero_grad()
    sides["natural"].backward(retain_graph=True)
    assert all(p.grad is None or not p.grad.any() for p in judges.parameters())
    assert a.grad.abs().sum((1, 2)).all() and b.grad.abs().sum((1, 2)).tolist()[2] == 0 and b.grad[:2].any()
    moved = a.grad.clone()
    sides["judges"].backward()
    assert torch.equal(a.grad, moved) and all(p.grad.any() for p in judges.parameters())


def test_discriminators_learn_what_is_natural():
    """Poses twice as large are not; after some steps they are told apart."""
    torch.manual_seed(0)
    judges = Discriminators()
    optimiser = torch.optim.Adam(judges.parameters(), lr=3e-3)
    everybody = torch.ones(32, dtype=torch.bool)
    for step in range(60):
        a, b, c, d = (mm(4 * step + i, 32).float() for i in range(4))
        told = adversarial(judges, (2 * a, 2 * b, everybody), (c, d, everybody))["judges"]
        optimiser.zero_grad()
        told.backward()
        optimiser.step()
    assert told < 0.4 < -2 * np.log(0.5) and judges(a, b).mean() > 0.8 > 0.2 > judges(2 * a, 2 * b).mean()


def test_joints_in_one_place_are_judged_with_a_gradient(judges):
    pose = mm(0, 1)
    pose[0, WRIST] = pose[0, MPI17.index("r_elbow")]
    pose.requires_grad_()
    judges.single(pose).sum().backward()
    assert pose.grad.isfinite().all() and pose.grad.any()


def test_neighbours():
    roots = torch.tensor([[0.0, 0, 3000], [900, 0, 3000], [0, 0, 3500], [0, 0, 9000]])
    assert neighbours(roots).tolist() == [2, 0, 0, 2]
    assert neighbours(roots[:1]).tolist() == [-1] and neighbours(roots[:0]).tolist() == []
    many = torch.randn(20, 3)
    plain = [min((j for j in range(20) if j != i), key=lambda j: (many[i] - many[j]).norm().item()) for i in range(20)]
    assert neighbours(many).tolist() == plain


@pytest.mark.parametrize("combine, kind", [("pose", IntegrationMLP), ("gate", IntegrationGate)])
def test_what_is_trained_together_is_what_the_configuration_says(combine, kind):
    joined = Joined(replace(TINY, combine=combine))
    assert isinstance(joined.network, kind) and isinstance(joined.judges, Discriminators)
    assert joined.network.layers[0].out_features == TINY.integration


# ---- without poses ----------------------------------------------------------------------------------


@given(seed=SEEDS, number=st.integers(1, 8), sign=st.sampled_from(["easy", "printed"]), epochs=st.floats(0.01, 100))
def test_weights_have_a_mean_of_2_and_lead_from_easy_to_hard_or_as_printed_back(seed, number, sign, epochs):
    errors = torch.rand(2, number, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = weights(*errors, epochs, sign)
    assert found.mean().item() == pytest.approx(2) and (found > 0).all()
    same = weights(errors[0], errors[0], epochs, sign)
    order = errors[0].argsort()
    rising = same[order].diff()
    assert (rising >= 0).all() if sign == "printed" else (rising <= 0).all()


def test_equation_11_by_hand():
    """Errors 0 and ln 3 are weighted 3 to 1, or as printed 1 to 3; with a hundred epochs about alike."""
    error, none = torch.tensor([0.0, np.log(3)]), torch.zeros(2)
    assert weights(error, none, 1).tolist() == pytest.approx([1.5 + 1, 0.5 + 1])
    assert weights(error, none, 1, "printed").tolist() == pytest.approx([0.5 + 1, 1.5 + 1])
    assert weights(error, error, 2).tolist() == pytest.approx(4 * np.array([3**0.5, 1]) / (1 + 3**0.5))
    assert weights(error, error, 1e6).tolist() == pytest.approx([2, 2], abs=1e-5)
    assert weights(error, error, 1e-3, "printed").tolist() == pytest.approx([0, 4])


def test_a_sample_s_weight_depends_on_who_else_is_in_the_batch():
    """Softmax runs over samples; the mean is kept, each weight is not."""
    error = torch.tensor([0.1, 0.2, 2.0])
    assert weights(error, error, 1)[0] > 1.2 * weights(error[:2], error[:2], 1)[0]


def test_weights_have_no_gradient():
    error = torch.rand(4, requires_grad=True)
    assert not weights(error, error, 1).requires_grad


@pytest.mark.parametrize(
    "change, name", [({"sign": "hard"}, "sign"), ({"epochs": 0}, "epochs"), ({"epochs": -1}, "epochs")]
)
def test_wrong_weights_are_named(unchecked, change, name):
    with pytest.raises(BadInput, match=name):
        weights(torch.zeros(2), torch.zeros(2), **({"epochs": 1} | change))


def lesson(seed: int, people: int = 8) -> Lesson:
    """Two and two together, the last one alone."""
    _, root, uv = (part.float() for part in bodies(seed, people))
    other = torch.arange(people) ^ 1
    other[-1] = -1
    a, b = mm(seed + 1, 6).float(), mm(seed + 2, 6).float()
    angles = torch.rand(people, generator=torch.Generator().manual_seed(seed)) * 6
    return Lesson(People(uv, torch.ones(people, 17), root, other), angles, (a, b, torch.ones(6, dtype=torch.bool)))


def student(seed: int = 0) -> semi.Student:
    torch.manual_seed(seed)
    return semi.Student(lively(seed=seed).graph)


@pytest.mark.parametrize(
    "terms, parts",
    [
        (("reprojection",), {"reprojection"}),
        (("perspective",), {"perspective"}),
        (("reprojection", "discriminators"), {"reprojection", "natural", "judges"}),
        (semi.TERMS, {"reprojection", "perspective", "natural", "judges"}),
    ],
)
def test_equation_10_has_the_terms_that_are_named(terms, parts):
    found = semi.loss(student(), lesson(0), terms)
    assert set(found) == {"loss", *parts}
    assert found["loss"].item() == pytest.approx(sum(found[name].item() for name in parts), rel=1e-5)


@pytest.mark.parametrize("terms", [(), ("reprojection", "smoothness")])
def test_terms_that_there_are_not_are_named(terms):
    with pytest.raises(BadInput, match="terms"):
        semi.loss(student(), lesson(0), terms)


def test_each_term_of_equation_10_by_its_parts():
    learner, some = student(), lesson(1)
    people, found = some.people, semi.loss(learner, some, epochs=0.5, sign="printed")
    poses = learner(people)
    rep = reprojection_error(poses, people.root, people.uv, people.sure)
    mp = perspective_error(learner.graph, poses, people.root, some.angles)
    weight = weights(rep, mp, 0.5, "printed")
    torch.testing.assert_close(found["reprojection"], (weight * rep).mean())
    torch.testing.assert_close(found["perspective"], (weight * mp).mean())
    xyz = 1000 * (poses + people.root[:, None])
    paired = torch.tensor([True] * 7 + [False])
    judged = learner.judges(xyz, xyz[[1, 0, 3, 2, 5, 4, 7, 0]], paired)
    torch.testing.assert_close(found["natural"], -NATURAL * judged.log().mean())
    true = learner.judges(*some.natural)
    torch.testing.assert_close(found["judges"], -(true.log().mean() + (1 - judged).log().mean()))


def test_who_learns_is_moved_by_each_term_and_the_discriminators_by_their_own_alone():
    for terms, moved in ((("reprojection",), False), (("perspective",), False), (("discriminators",), True)):
        learner = student()
        semi.loss(learner, lesson(0), terms)["loss"].backward()
        assert all(p.grad.any() for p in learner.graph.out.parameters())
        assert any(p.grad is not None and p.grad.any() for p in learner.judges.parameters()) == moved


def test_lessons_are_moved_whole():
    some = lesson(0)
    moved = some.to("cpu")
    for f in fields(People):
        assert torch.equal(getattr(moved.people, f.name), getattr(some.people, f.name))
    assert torch.equal(moved.angles, some.angles)
    assert all(torch.equal(a, b) for a, b in zip(moved.natural, some.natural, strict=True))


HOW = FitConfig(60, lr=1e-2, every=20)


def test_a_student_comes_to_project_onto_its_joints_and_the_teacher_stays():
    teacher, some = lively(seed=3).graph, lesson(5, 16)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    made = train_student(teacher, lambda step: some, HOW, ("reprojection",), progress=False)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    people = some.people
    with torch.no_grad():
        was, left = (
            reprojection_error(graph(people.uv, people.sure), people.root, people.uv, people.sure).mean()
            for graph in (teacher, made)
        )
    assert left < 0.3 * was and not made.training and isinstance(made, DirectedGCN)


def test_students_of_one_seed_are_one_and_who_was_interrupted_goes_on(tmp_path):
    teacher, how = lively().graph, replace(HOW, steps=4, every=1)

    class Interrupted(Exception):
        pass

    def until(end: int):
        def lessons(step: int) -> Lesson:
            if step == end:
                raise Interrupted
            return lesson(step)

        return lessons

    torch.manual_seed(1)
    one = train_student(teacher, until(9), how, progress=False, seed=2)
    torch.manual_seed(5)
    with pytest.raises(Interrupted):
        train_student(teacher, until(2), how, progress=False, seed=2, out=tmp_path)
    resumed = train_student(teacher, until(9), how, progress=False, seed=2, out=tmp_path)
    other = train_student(teacher, until(9), how, progress=False, seed=3)
    for a, b in zip(one.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.out[0].weight, other.out[0].weight)
