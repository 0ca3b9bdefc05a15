"""The solutions that readers are measured by, against the library and against numbers from the papers."""

import itertools
import json

import numpy as np
import pytest
import torch

from mp3d import exercises
from mp3d.camera import Camera, project
from mp3d.codings import affinity, anchors, depth, heatmaps, orpm, tags, translation
from mp3d.codings.grid import Grid
from mp3d.data import coco, human36m, jta
from mp3d.data.writers import coco as coco_writer
from mp3d.data.writers import human36m as human36m_writer
from mp3d.data.writers import jta as jta_writer
from mp3d.experiments import oracle
from mp3d.metrics import roots
from mp3d.metrics.errors import mpjpe
from mp3d.metrics.matching import greedy_2d
from mp3d.metrics.pck import AUC_THRESHOLDS, auc3d
from mp3d.metrics.roots import pcod
from mp3d.papers import pinet, smap
from mp3d.papers.tdbu import matching, semi
from mp3d.papers.tdbu.discriminators import Discriminators
from mp3d.papers.tdbu.integration import Pairs, gated, linear
from mp3d.papers.tdbu.lifting import affinity as affinity_of
from mp3d.papers.threedmppe import Outputs, ThreeDMPPEConfig, decode, distance
from mp3d.skeletons import MPI17, SMAP15
from mp3d.synthetic.body import ray_capsule
from mp3d.synthetic.render import _nearest


def poses(people=3, seed=0):
    return np.random.default_rng(seed).normal(size=(people, 17, 3)) * (200, 500, 150) + (0, 0, 4000)


def test_start():
    camera = Camera(1500, 1500, 960, 540, 1920, 1080)
    feet_and_head = camera.project(np.array([[0.0, 900, 5000], [0, -850, 5000]]))
    assert exercises.depth_from_height(1500, 1750, feet_and_head[0, 1] - feet_and_head[1, 1]) == pytest.approx(5000)
    a, b = poses(2)
    assert exercises.mpjpe_by_hand(a, b) == pytest.approx(mpjpe(a, b).item())
    relative = np.linalg.norm((a - a[14]) - (b - b[14]), axis=1)
    assert exercises.without_the_pelvis(relative.mean()) == pytest.approx(np.delete(relative, 14).mean())
    assert exercises.without_the_pelvis(126.0) == pytest.approx(133.9, abs=0.05)  # PI-Net's spec 4.7
    uv = camera.project(a)
    np.testing.assert_allclose(exercises.wrong_root(a, 0.05), camera.back_project(uv, a[:, 2] * 1.05), rtol=1e-9)


def test_pinet():
    group = poses(4)
    expected = pinet.order(group, "near")
    for person in range(4):
        np.testing.assert_array_equal(exercises.near_to_far(group[:, 14], person), expected[person])
    together = np.zeros((3, 3))  # three people at one place: nobody is lost, each comes first in turn
    assert [list(exercises.near_to_far(together, n)) for n in range(3)] == [
        [0, 1, 2],
        [1, 0, 2],
        [2, 0, 1],
    ]

    batch = torch.from_numpy(group)[None]
    mean, std = pinet.statistics(batch, torch.ones(1, 4, 17, dtype=torch.bool))
    np.testing.assert_allclose(exercises.normalised(group), ((batch - mean) / std)[0].numpy())

    model = pinet.PINet(pinet.PINetConfig(hidden=8)).double()
    e = torch.randn(1, 3, 16, dtype=torch.float64)
    _, weights = model.attend(e, torch.ones(1, 3, dtype=torch.bool))
    a, b = (p.detach().numpy() for p in model.attention.parameters())
    np.testing.assert_allclose(exercises.attention_weights(e[0].numpy(), a, b), weights[0].detach().numpy())


def test_pinet_scale():
    toy = np.zeros((17, 3))
    toy[:, 1] = np.linspace(-700, 800, 17)
    assert exercises.what_scale_hides(toy, 1.0) == pytest.approx((0, 0), abs=1e-6)
    rigid = 0.1 * np.abs(toy[:, 1] - toy[:, 1].mean()).mean()
    assert exercises.what_scale_hides(toy, 1.1) == pytest.approx((rigid, 0), abs=1e-6)
    assert exercises.what_scale_hides(exercises.TOY_POSE, 1.1)[0] == pytest.approx(39.3417, abs=1e-4)  # spec 4.9


@pytest.mark.parametrize(("inputs", "hidden", "layers"), [(51, 256, 2), (51, 256, 3), (5, 7, 4)])
def test_gru_parameters(inputs, hidden, layers):
    gru = torch.nn.GRU(inputs, hidden, layers, bidirectional=True)
    assert exercises.gru_parameters(inputs, hidden, layers) == sum(p.numel() for p in gru.parameters())


def test_averages():
    a, b = np.array([3.0, 5, 7]), np.array([2.0, 3, 4])
    assert exercises.paired_interval(a, b) == pytest.approx((2, 4.302653 / np.sqrt(3)))  # t of two degrees of freedom
    # PI-Net's Table 2, row 3DMPPE, MPJPE: 122.91 over sequences, 126.0 over people
    error = [90.9, 159.3, 121.8, 113.5, 107.8, 121.1, 113.8, 138.2, 99.7, 98.4]
    error += [119.6, 115.4, 143.7, 151.7, 111.7, 101.8, 105.6, 115.8, 140.7, 187.7]
    frames = [
        201,
        251,
        401,
        301,
        261,
        541,
        431,
        551,
        501,
        251,
        701,
        251,
        341,
        626,
        801,
        501,
        401,
        126,
        431,
        501,
    ]
    people = np.array([3 if n in (7, *range(13, 21)) else 2 for n in range(1, 21)]) * frames
    assert exercises.two_averages(np.array(error), people) == pytest.approx((122.91, 125.955), abs=0.006)


def test_metrics():
    for name in ("mupots", "tdbu"):
        assert exercises.auc_of_a_perfect_pose(AUC_THRESHOLDS[name]) == pytest.approx(
            auc3d(np.zeros((1, 14)), thresholds=AUC_THRESHOLDS[name])
        )
    assert exercises.all_from_matched(80.0, 4, 3) == 60
    assert exercises.greedy([[3, 9], [0, 9]]) == [1, -1]
    rng = np.random.default_rng(0)
    for _ in range(50):  # against the library, from joints
        true, pred = rng.uniform(0, 60, (2, 4, 17, 2))
        counts = (np.abs(true[:, None, 1:14] - pred[None, :, 1:14]) < 40).all(-1).sum(-1)
        assert exercises.greedy(counts) == greedy_2d(true, pred).tolist()
        z = rng.uniform(2000, 5000, (2, 5))
        assert exercises.ordinal_accuracy(*z, 300) == pytest.approx(pcod([z[1]], [z[0]]))


def test_audit():
    assert exercises.which_mean([1, 2, 3], [0, 0, 1], 2.05) == 0
    assert exercises.which_mean([1, 2, 3], [0, 0, 1], 2.95) == 1
    assert exercises.which_mean([1, 2, 3], [0, 0, 1], 2.5) == 2
    assert exercises.share_matched(exercises.all_from_matched(80.0, 4, 3), 80.0) == 0.75
    true, noise = np.random.default_rng(0).normal(size=(2, 1000)) * 900
    fitted = oracle.lift(true, noise=700.0).loc["fitted"]
    slope, intercept = oracle.fit(true + noise, true)
    error = true - slope * (true + noise) - intercept
    assert exercises.after_the_fit(np.corrcoef(true, true + noise)[0, 1], true.std())[1] == pytest.approx(error.std())
    assert exercises.after_the_fit(fitted["rho"], 1.0)[0] == pytest.approx(fitted["r2"])


def test_data_tour(tmp_path):
    """Against the readers, on their fixtures."""
    human36m_writer.fixture(tmp_path)
    rig = human36m.mmpose_cameras(next(tmp_path.rglob("cameras.pkl")))[9, "54138969"]
    place = -rig.rotation.T @ rig.translation
    np.testing.assert_allclose(exercises.published_t(rig.rotation, place), rig.translation)
    point = np.array([100.0, -200.0, 900.0])
    mine = exercises.from_mmpose(point / 1000, rig.rotation.T, place / 1000)
    np.testing.assert_allclose(mine, rig.to_camera(point))

    coco_writer.fixture(tmp_path)
    native = next(coco.scenes(tmp_path, like="smap")).people[0].native
    neck = exercises.smap_neck(np.column_stack([native.uv, native.visibility]))
    canonical = next(coco.scenes(tmp_path, like="smap")).people[0]
    np.testing.assert_allclose(neck, [*canonical.uv[1], canonical.visibility[1]])

    jta_writer.fixture(tmp_path)
    rows = np.array(json.loads((tmp_path / "annotations/test/seq_256.json").read_text()), float)
    assert exercises.jta_focal(rows) == pytest.approx(jta.FOCAL, rel=0.01)
    assert exercises.jta_focal(rows[:, [0, 1, 2, 3, 4, 5, 7, 6, 8, 9]] * [1] * 10) < 0.5 * jta.FOCAL


def test_the_pictures_solutions_are_those_of_the_library():
    rng = np.random.default_rng(0)
    uv = project(np.array([[0.0, 0, 10_000], [0, 1700, 10_000]]), np.array([1158.0, 1158, 0, 0]))
    assert exercises.height_in_px(1700, 10_000, 1158) == pytest.approx(uv[1, 1] - uv[0, 1])
    edge = exercises.outline(110, 3000, 150)
    ball = np.array([[0.0, 0, 3000]])
    rays = np.array([[edge / 150 * share, 0, 1] for share in (0.999, 1.001)])
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    assert np.isfinite(ray_capsule(rays, ball, ball + [0, 1e-3, 0], np.array([110.0]))[:, 0]).tolist() == [True, False]
    pixel, depth = rng.integers(5, size=30), rng.integers(1, 6, size=30) * 1.0
    found = _nearest(torch.tensor(depth, dtype=torch.float32), torch.tensor(pixel), 7)
    assert exercises.nearest(pixel, depth, 7) == torch.where(found == 30, -1, found).tolist()


def test_the_baseline_s_solutions_are_those_of_the_library():
    square, camera = torch.tensor([400.0, 300, 256, 256]), torch.tensor([1500.0, 1500, 960, 540])
    assert exercises.k_of(256, 1500) == pytest.approx(distance(square, camera).item())
    child = distance(square * torch.tensor([1, 1, 0.65, 0.65]), camera) - distance(square, camera)
    assert exercises.error_of_a_child(exercises.k_of(256, 1500), 0.65) == pytest.approx(child.item(), rel=1e-5)
    places = torch.rand(1, 17, 3) * 64
    outputs = Outputs(places, torch.tensor([4000.0]), square[None], torch.tensor([0]), torch.tensor([0]), torch.ones(1))
    ((person,),) = decode(outputs, camera[None], ThreeDMPPEConfig())
    for joint, place in enumerate(places[0].tolist()):
        found = exercises.to_camera(place, 64, (400, 300, 256), 4000, 1500, (960, 540))
        assert np.allclose(found, person.xyz[joint], atol=1e-2)


def test_the_codings_solutions_are_those_of_the_library():
    place, line = 13.7, Grid(8, 1, 4)
    uv = torch.tensor([[[[place, 2.0]]]])
    maps = heatmaps.encode(uv, torch.ones(1, 1, 1, dtype=torch.bool), line, 1.0)
    best = int(maps.argmax())
    three = maps.flatten()[best - 1 : best + 2].tolist()
    assert (best + 0.5 + exercises.top(*three)) * 4 == pytest.approx(place, abs=1e-4)
    assert exercises.wrist_is_read(0.3) == pytest.approx((0.7, 1 - 0.3 ** int(orpm.sites()[4].sum())))
    for gap in (0.0, 0.25, 1 / 3, 1.5):
        boxes = torch.tensor([[0.0, 0, 10, 20], [10 * gap, 0, 10, 20]])
        assert exercises.iou_apart(gap)[0] == pytest.approx(anchors.iou(boxes[0], boxes[1]).item(), abs=1e-6)
    limit = exercises.iou_apart(0)[1]
    for gap, kept in ((limit - 0.01, 1), (limit + 0.01, 2)):
        boxes = torch.tensor([[0.0, 0, 10, 20], [10 * gap, 0, 10, 20]])
        assert len(anchors.nms(boxes, torch.tensor([0.9, 0.8]))) == kept


def test_smaps_solutions_are_those_of_the_library():
    z, f = torch.tensor([3000.0]), torch.tensor([900.0])
    assert exercises.normalised_depth(3000, 900, 1920) == pytest.approx(depth.normalise(z, f, 1920.0).item())
    for px in (50.0, 96.0, 192.0, 400.0):
        penalty = affinity.penalty(np.array([px]), np.array([1.2 * 240 * 1000 / 3000]))[0]
        assert exercises.link_after_penalty(0.9, px, 240, 3000, 1000) == pytest.approx(0.9 + penalty)
    bones, dz = smap.BONES, torch.zeros(14)
    arm = {"neck": -50.0, "l_shoulder": 20.0, "l_elbow": -100.0, "l_wrist": -150.0}
    for joint, value in arm.items():
        dz[[child for _, child in bones].index(SMAP15.index(joint))] = value
    chained = depth.chain(dz, torch.tensor(3000.0), bones)[SMAP15.index("l_wrist")]
    assert exercises.wrist_depth(3000, list(arm.values())) == pytest.approx(chained.item())
    assert np.isnan(exercises.wrist_depth(3000, [-50, None, -100, -150]))
    bone = torch.tensor([[0.0, 0, 0], [0, 500, 0]])
    at = translation.fit(bone, torch.tensor([[640.0, 360], [640, 485]]), torch.tensor([1000.0, 1000, 640, 360]))
    assert exercises.depth_from_bone(500, 125, 1000) == pytest.approx(at[2].item(), rel=1e-4)


def test_the_ablations_solutions_are_those_of_the_library():
    rng = np.random.default_rng(0)
    for _ in range(20):
        true, pred = rng.uniform(2000, 4000, (2, 4))
        assert exercises.pairs_right(pred, true) == roots.ordinal_pairs(pred, true)[0]
    k = torch.tensor([[1000.0, 1000, 960, 540]])
    wrong = depth.denormalise(depth.normalise(torch.tensor([4000.0]), k[0, 0], 1920), 1500.0, 1920)
    assert exercises.wrong_focal(4000, 1500, 1000) == pytest.approx(abs(wrong.item() - 4000))
    errors = np.full((1, 14), 75.0)
    assert exercises.auc_of_constant(75) == pytest.approx(auc3d(errors))
    assert exercises.auc_of_constant(0) == pytest.approx(100 * 30 / 31)


def test_orpm_aes_solutions_are_those_of_the_library():
    line, on = Grid(8, 1, 4), torch.ones(1, 2, 3, dtype=torch.bool)
    uv = torch.full((1, 2, 3, 2), 2.0)
    uv[:, 1, :, 0] = 22.0
    maps = torch.zeros(1, 3, 1, 8)
    for gap in (0.0, 1.0, 2.5):
        maps[..., 5] = gap
        found = tags.loss(maps, uv, on, line)
        assert exercises.push_of_two(gap) == pytest.approx(found["push"].item())
        assert found["pull"].item() == 0
        maps[:, 1:, 0, 5] = 0
        one = tags.loss(maps, uv[:, 1:], on[:, 1:], line)
        assert exercises.pull_of_one(gap, 3) == pytest.approx(one["pull"].item(), abs=1e-6)
    assert exercises.next_joint([0.1, 0.8, 3.0], [0.5, 0.9, 1.0], 0.0) == 1
    assert exercises.next_joint([2.0], [1.0], 0.0) == -1
    arm = [MPI17.index(j) for j in ("r_wrist", "r_elbow", "r_shoulder", "neck", "pelvis")]
    grid, uv = Grid(40, 40, 4), torch.full((1, 17, 2), 2.0)
    uv[0, :, 0] = torch.arange(17) * 8 + 2.0
    maps, mean = torch.zeros(17, 3, 40, 40), torch.zeros(17, 3)
    for joint in range(3):
        for valid in itertools.product([False, True], repeat=5):
            known = torch.zeros(1, 17, dtype=torch.bool)
            known[0, [site for site, good in zip(arm, valid) if good]] = True
            known[0, MPI17.index("head")] = True  # so that there is somebody
            site = orpm.read(maps, uv, known, grid, "paper", mean)[1][0, arm[joint]].item()
            assert (arm.index(site) if site >= 0 else -1) == exercises.read_at(joint, valid)


def test_its_ablations_solutions_are_those_of_the_library():
    rng = np.random.default_rng(0)
    steps = torch.from_numpy(rng.normal(0, 20 / 3**0.5, (20_000, 17, 3))).float()
    wrist, shoulder = MPI17.index("l_wrist"), MPI17.index("l_shoulder")
    off = orpm.from_bones(steps).square().sum(-1).mean(0).sqrt()
    assert off[wrist].item() == pytest.approx(exercises.error_down_the_tree(20, 5), rel=0.02)
    assert off[shoulder].item() == pytest.approx(exercises.error_down_the_tree(20, 3), rel=0.02)
    off = [[50], [100], [200], [400]]
    assert exercises.found_and_right(off, [1, 1, 1, 1]) == pytest.approx((187.5, 50))
    assert exercises.found_and_right(off, [1, 1, 0, 0]) == pytest.approx((75, 50))
    assert exercises.cost_of_a_tag(0.4, 0.9) < exercises.cost_of_a_tag(0.1, 0.8) < exercises.cost_of_a_tag(0.6, 0.9)


def test_pandanets_solutions_are_those_of_the_library():
    anchor = torch.tensor([[10.0, 10.0]])
    box = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
    some = torch.tensor([[0.0, 0.0, 10.0, 6.0], [0.0, 0.0, 10.0, 4.0], [3.0, 0.0, 10.0, 10.0]])
    person, overlap = anchors.assign(some[None, :, None], box)
    ious = overlap.flatten().tolist()
    np.testing.assert_allclose(exercises.pono_of(ious), anchors.pono(person, overlap, 1).flatten(), rtol=1e-6)
    rng = np.random.default_rng(0)
    for dx, dy in rng.uniform(-1.5, 1.5, (50, 2)):
        iou = anchors.iou_of_joints(torch.tensor([dx, dy]), torch.zeros(2, dtype=torch.float64))
        assert exercises.iou_of_squares(dx, dy) == pytest.approx(iou.item())
        box = anchors.iou(
            torch.tensor([0.0, 0, 10, 10]), torch.cat([torch.tensor([10 * dx, 10 * dy]).float(), anchor[0]])
        )
        assert exercises.iou_of_squares(dx, dy) == pytest.approx(box.item(), abs=1e-6)
    pose = torch.from_numpy(rng.normal(0, 300, (17, 3)))
    k, place = torch.tensor([1000.0, 1000, 480, 270], dtype=torch.float64), torch.tensor([500.0, 100, 10_000])
    at = translation.fit(1.1 * pose, project(pose + place, k), k)
    assert exercises.depth_at_mean_size(10_000, 4000, 4400) == pytest.approx(at[2].item(), rel=1e-6)


def test_its_ablation_s_solutions_are_those_of_the_library():
    for loss in (0.01, 0.4, 3.0):
        weight, least = exercises.best_weight(loss)
        log = torch.tensor(weight).log().requires_grad_()
        value = log.exp() * loss - log
        assert value.item() == pytest.approx(least, abs=1e-6)
        assert torch.autograd.grad(value, log)[0].item() == pytest.approx(0, abs=1e-6)
    places = [(0.2, 0.3), (1.1, 0.0), (-0.5, 0.9), (0.0, -1.2)]
    said = torch.zeros(4, 2, requires_grad=True)
    loss = (1 - anchors.iou_of_joints(torch.tensor(places), said)).square().sum()
    slopes = torch.autograd.grad(loss, said)[0]
    assert exercises.joints_lost(places) == (slopes == 0).all(1).sum().item() == 2
    assert (
        exercises.faster_from(40, 12) == 4 and exercises.faster_from(36, 12) == 4 and exercises.faster_from(5, 12) == 1
    )


def test_the_releases_solutions_are_those_of_the_library():
    rng = np.random.default_rng(0)
    td, bu = rng.normal(0, 300, (2, 17, 3))
    assert exercises.weight_of(td, bu, 0.7 * td + 0.3 * bu) == pytest.approx(0.7)
    root = np.array([500.0, -300, 4000])
    pair = Pairs(*(torch.from_numpy(pose + root * q)[None] for pose, q in ((td - td[14], 1), (bu - bu[14], 1.2))),
                 *torch.ones(2, 1, 17, dtype=torch.float64))  # fmt: skip
    for v, outside in ((0.5, 0), (1.25, 200), (-0.5, 400)):
        weights = torch.tensor([0.7], dtype=torch.float64), torch.tensor([v], dtype=torch.float64)
        z = gated(pair, *weights)[0, 14, 2].item()
        assert exercises.outside_by(4000, 4800, v) == pytest.approx((z, outside))
    assert exercises.moved_by(root, 0.9) == pytest.approx(np.linalg.norm(0.9 * root - root))
    for hits in itertools.product([0, 1], repeat=4):
        true = [np.zeros((1, 3))] * 4
        pred = [np.full((1, 3), 0.0 if hit else 9e3) for hit in hits]
        ap = roots.ap_root(pred, [np.array([-i * 1.0]) for i in range(4)], true)
        assert exercises.ap_in_order(hits, 4) == pytest.approx(100 * ap)


def test_tdbu():
    a, b = np.zeros((1, 1, 3)), np.array([[[0.0, 0, 250]]])
    for sure in ((1.0, 1.0), (0.2, 0.9)):
        found = matching.similarity(a, b, *(np.array([[c]]) for c in sure))
        assert exercises.likeness(250.0, *sure) == pytest.approx(found.item())
    assert exercises.best_pairing([[0.9, 0.8], [0.8, 0.1]]) == [1, 0]  # the greedy choice has 1.0, this one 1.6
    places, roots = (400.0, 430.0), (4000.0, 4300.0)
    for sure in ((1.0, 0.5), (0.8, 0.0), (0.0, 0.3)):
        poses = [torch.full((1, 17, 3), root + place) for root, place in zip(roots, places)]
        for pose, root in zip(poses, roots):
            pose[:, 14] = root
        known = [torch.full((1, 17), 0.5) for _ in sure]  # the pelvises
        for c, value in zip(known, sure):
            c[:, 0] = value
        found = linear(Pairs(*poses, *known))[0, 0, 0].item()
        assert exercises.linear_joint(*places, *sure) == pytest.approx(found - roots[1], abs=1e-3)
    assert exercises.linear_joint(1.0, 2.0, 0.0, 0.0) is None


def test_tdbu_ablation():
    assert exercises.naturalness(0.9, 0.7, 0.4) == pytest.approx(0.6)
    judges = Discriminators()
    pair = torch.randn(2, 1, 17, 3, generator=torch.Generator().manual_seed(0)) * 300
    with torch.no_grad():
        parts = judges.single(pair[0]), judges.single(pair[1]), judges.pair(*pair)
        assert exercises.naturalness(*(part.item() for part in parts)) == pytest.approx(judges(*pair).item())
    sure = torch.tensor([[1.0, 0.5, 0.0]])
    hops = torch.tensor([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    for row in range(3):
        found = exercises.affinities(hops[row].tolist(), sure[0].tolist())
        assert found == pytest.approx(affinity_of(sure, hops)[0, row].tolist())
    errors = torch.tensor([1.0, 3.0, 2.0])
    assert 6 * exercises.easy_weights(errors, 2) == pytest.approx(semi.weights(errors, errors, 2).numpy())
