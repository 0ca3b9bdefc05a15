"""ORPM-AE: counts, targets, losses by hand, exact maps read back, files of detections, training, bad input."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mp3d.batch import Batch
from mp3d.camera import Camera, project
from mp3d.canvas import Canvas, fit_canvas, on_canvas
from mp3d.codings import heatmaps, orpm, tags
from mp3d.errors import BadInput, MissingData
from mp3d.experiments.codings.crowds import crowd, pair
from mp3d.papers import orpm_ae
from mp3d.papers.orpm_ae import METRES, MOST, PROFILES, QUIET, ROOT, SMALL, Detections, Maps, ORPMAEConfig, Reading
from mp3d.skeletons import MPI17
from mp3d.synthetic.stream import Stream
from mp3d.training import FitConfig, learning_rate

CANVAS = replace(SMALL, canvas=(256, 160))
TINY = PROFILES["smoke"].config
NECK, SHOULDER, ELBOW, WRIST, KNEE = map(MPI17.index, ("neck", "r_shoulder", "r_elbow", "r_wrist", "r_knee"))
MEAN = torch.full((17, 3), 7.0)
K = torch.tensor([260.0, 260, 128, 80])
SIDE = {
    "shoulder": (200, -600, 10),
    "elbow": (400, -600, 60),
    "wrist": (600, -600, 40),
    "hip": (200, 100, -10),
    "knee": (250, 500, -50),
    "ankle": (250, 900, 30),
}
STAR = {"head_top": (0, -1000, 40), "neck": (0, -600, 20), "pelvis": (0, 0, 0), "spine": (0, -300, 30)}
STAR |= {"head": (0, -800, 0)}
STAR |= {f"{s}_{name}": (x if s == "l" else -x, y, z) for name, (x, y, z) in SIDE.items() for s in "lr"}
STAR = torch.tensor([STAR[joint] for joint in MPI17.joints], dtype=torch.float32)
"""mm: somebody with spread arms and legs, whose joints are 3 cells apart at 4 m."""


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def stars(*x: float | int) -> Batch:
    """One picture of spread people, 4 m away and so many mm to the right: all in view for |x| of 1300 or less."""
    xyz = STAR + torch.tensor([[at, 0.0, 4000] for at in x]).reshape(-1, 1, 3)
    uv = project(xyz, K)
    seen = torch.full(uv.shape[:2], 2, dtype=torch.uint8)
    return Batch(torch.zeros(1, 3, 160, 256, dtype=torch.uint8), xyz[None], uv[None], seen[None], K[None])


def exact(batch: Batch, config: ORPMAEConfig = CANVAS, centre="cell") -> tuple[Maps, Canvas]:
    """The maps that a perfect network gives, people's tags 10 apart, and where they lie."""
    moved, canvas = on_canvas(batch, config.canvas)
    goal = orpm_ae.targets(moved, config)
    own = 10.0 * torch.arange(batch.uv.shape[1]).expand(len(batch), -1)
    heat = heatmaps.encode(moved.uv, moved.labelled, config.grid, config.heatmap_sigma, centre)
    return Maps(heat, goal.bones, tags.encode(moved.uv, moved.labelled, own, config.grid)), canvas


def detected(batch: Batch, config: ORPMAEConfig = CANVAS, centre="cell") -> Detections:
    return orpm_ae.detect(*exact(batch, config, centre), config)


def read(found: Detections, k=K, config=CANVAS, **reading) -> list:
    """The people of the one picture."""
    (people,) = orpm_ae.decode(found, k[None], config, MEAN, Reading(**reading))
    return people


def pose(person) -> np.ndarray:
    return person.xyz - person.xyz[ROOT]


def without(found: Detections, *joints: int) -> Detections:
    """Detections of these joints lost; those of all that are left keep their bones."""
    at = found.peaks.found.nonzero()
    kept = ~torch.isin(at[:, 1], torch.tensor(joints))
    there = found.peaks.found.clone()
    there[:, list(joints)] = False
    return replace(found, peaks=replace(found.peaks, found=there), bones=found.bones[kept])


# ---- network ------------------------------------------------------------------------------------


def count(config: ORPMAEConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in orpm_ae.Network(config).parameters())


def test_parameters_of_the_paper_s_network():
    """The public code's 138,893,840 with 68 maps, its stem's unused normalisation, and 17 maps more a stack."""
    ours = 138_893_840 + 128 + 4 * 17 * (256 + 1) + 3 * 17 * 256
    assert count(ORPMAEConfig(norm="none")) == ours == 138_924_500
    hourglass = sum(2 * width + (width + 128) for width in (256, 384, 512, 640)) + 768
    normed = 128 + 128 + 256 + 4 * (hourglass + 2 * 256)  # channels: of the stem, of the stacks
    assert count(ORPMAEConfig()) == ours + 2 * normed  # a scale and a shift each


@pytest.mark.parametrize("stacks, number", [(1, 1_316_117), (2, 2_606_858), (3, 3_897_599)])
def test_parameters_of_the_small_network(stacks, number):
    assert count(replace(SMALL, stacks=stacks)) == number


@pytest.mark.parametrize("norm", ["group", "none"])
@pytest.mark.parametrize("stacks", [1, 3])
def test_each_stack_gives_five_maps_a_joint(norm, stacks):
    outputs = orpm_ae.Network(replace(TINY, norm=norm, stacks=stacks))(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    assert len(outputs) == stacks
    for maps in outputs:
        assert maps.heatmaps.shape == maps.tags.shape == (2, 17, 16, 24) and maps.bones.shape == (2, 17, 3, 16, 24)


def test_more_stacks_leave_the_first_as_it_was_and_losses_add_up():
    torch.manual_seed(0)
    config, batch = replace(TINY, stacks=3), _small()
    goal = orpm_ae.sample(batch, config)
    three, one = orpm_ae.Network(config), orpm_ae.Network(replace(TINY, stacks=1))
    one.load_state_dict({name: w for name, w in three.state_dict().items() if name in one.state_dict()})
    with torch.no_grad():
        outputs, (alone,) = three(goal.images), one(goal.images)
        each = [orpm_ae.loss([maps], goal.targets, config) for maps in outputs]
        whole = orpm_ae.loss(outputs, goal.targets, config)
    for first, same in zip(outputs[0], alone):
        torch.testing.assert_close(first, same)
    assert len({terms["loss"].item() for terms in each}) == 3
    for name, term in whole.items():
        assert term.item() == pytest.approx(sum(terms[name].item() for terms in each))
    assert whole["loss"].item() == pytest.approx(sum(whole[name].item() for name in ("heatmaps", "bones", "tags")))


def test_all_parameters_learn():
    torch.manual_seed(0)
    network, goal = orpm_ae.Network(TINY), orpm_ae.sample(_small(), TINY)
    orpm_ae.loss(network(goal.images), goal.targets, TINY)["loss"].backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients)


def test_an_untrained_network_is_quiet_and_no_term_of_its_loss_drowns_another():
    torch.manual_seed(0)
    goal = orpm_ae.sample(Stream("duet", 0, 160, 96, 4, block=4)(0), SMALL)
    with torch.no_grad():
        outputs = orpm_ae.Network(SMALL)(goal.images)
    assert all(QUIET / 3 < part.std() < 3 * QUIET for maps in outputs for part in maps)
    terms = orpm_ae.loss(outputs, goal.targets, SMALL)
    weighted = [terms[name].item() for name in ("heatmaps", "bones", "tags")]
    assert max(weighted) < 10 * min(weighted)


# ---- targets ------------------------------------------------------------------------------------


def test_targets_of_somebody_wholly_in_view():
    batch = stars(0)
    goal = orpm_ae.targets(batch, CANVAS)
    cells, _ = CANVAS.grid.cells(batch.uv[0, 0])
    for joint, (row, column) in enumerate(cells.tolist()):
        assert goal.heatmaps[0, joint, row, column] == 1 and (goal.heatmaps[0, joint] == 1).sum() == 1
    assert torch.equal(goal.mask[0].sum((1, 2)), 9 * orpm.sites().sum(1))
    assert goal.uv is batch.uv and goal.labelled.all()


@pytest.mark.parametrize("relative, origin", [("parent", ELBOW), ("pelvis", ROOT)])
def test_bones_are_in_metres_from_the_parent_or_the_pelvis(relative, origin):
    goal = orpm_ae.targets(stars(0), replace(CANVAS, relative=relative))
    written = goal.bones[0, WRIST].permute(1, 2, 0)[goal.mask[0, WRIST]]
    expected = METRES * (STAR[WRIST] - STAR[origin])
    torch.testing.assert_close(written, expected.expand(45, 3))


@pytest.mark.parametrize("relative", ["parent", "pelvis"])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=10)
def test_poses_undo_vectors(relative, seed):
    torch.manual_seed(seed)
    config, xyz = replace(SMALL, relative=relative), 1000 * torch.randn(2, 3, 17, 3)
    found = orpm_ae.poses(orpm_ae.vectors(xyz, config), config)
    torch.testing.assert_close(found, xyz - xyz[:, :, ROOT, None], atol=1e-2, rtol=0)
    off = orpm_ae.vectors(xyz, config)
    off[:, :, ROOT] = 50  # what a network says of the pelvis
    assert (orpm_ae.poses(off, config)[:, :, ROOT] == 0).all()


def test_hidden_joints_are_drawn_if_wanted_and_their_bones_always():
    batch = stars(0)
    batch.visibility[0, 0, WRIST] = 1
    both = [orpm_ae.targets(batch, replace(CANVAS, hidden=hidden)) for hidden in (True, False)]
    assert [goal.heatmaps[0, WRIST].max().item() for goal in both] == [1, 0]
    assert torch.equal(both[0].heatmaps[0, ELBOW], both[1].heatmaps[0, ELBOW])
    assert torch.equal(both[0].mask, both[1].mask) and both[1].labelled.all()


def test_targets_do_not_depend_on_the_order_of_people():
    batch, order = crowd(5, 0, 3), [3, 0, 4, 1, 2]
    turned = replace(batch, **{name: getattr(batch, name)[:, order] for name in ("xyz", "uv", "visibility")})
    one, other = (orpm_ae.targets(some, CANVAS) for some in (batch, turned))
    assert one.mask.any()
    for name in ("heatmaps", "bones", "mask"):
        assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("first", [1.0, 1.5])
def test_of_two_behind_one_another_the_nearer_is_written(first):
    """They have all pixels in common: one is 1.5 times as large and as far as the other."""
    batch = stars(0, 0)
    xyz = batch.xyz * torch.tensor([first, 2.5 - first]).reshape(1, 2, 1, 1)
    goal, near = (orpm_ae.targets(some, CANVAS) for some in (replace(batch, xyz=xyz), stars(0)))
    torch.testing.assert_close(goal.bones, near.bones)


def test_targets_of_a_mirrored_picture_are_mirrored():
    batch, swap = crowd(3, 1, 3), list(MPI17.mirror)
    flip = torch.tensor([-1.0, 1, 1])
    mirrored = replace(
        batch,
        xyz=batch.xyz[:, :, swap] * flip,
        uv=torch.stack([256 - batch.uv[:, :, swap, 0], batch.uv[:, :, swap, 1]], -1),
        visibility=batch.visibility[:, :, swap],
    )
    one, other = (orpm_ae.targets(some, CANVAS) for some in (batch, mirrored))
    torch.testing.assert_close(other.heatmaps, one.heatmaps[:, swap].flip(-1))
    torch.testing.assert_close(other.bones, one.bones[:, swap].flip(-1) * flip[:, None, None])
    assert torch.equal(other.mask, one.mask[:, swap].flip(-1))


# ---- losses -------------------------------------------------------------------------------------


def nothing(like: Maps) -> Maps:
    return Maps(*map(torch.zeros_like, like))


def test_exact_maps_cost_nothing_but_what_the_kernel_leaves():
    batch, config = stars(-900, 900), CANVAS
    terms = orpm_ae.loss([exact(batch)[0]], orpm_ae.targets(batch, config), config)
    assert terms["heatmaps"] == terms["bones"] == 0
    assert terms["tags"].item() == pytest.approx(config.weights[2] * 0.5 * np.exp(-50), abs=1e-12)


@pytest.mark.parametrize("push, expected", [("paper", 2 / 3), ("public", 1 / 2)])
def test_terms_of_empty_maps_by_hand(push, expected):
    batch, config = stars(-1300, 0, 1300), replace(CANVAS, push=push, weights=(2, 3, 0.5))
    goal = orpm_ae.targets(batch, config)
    terms = orpm_ae.loss([nothing(exact(batch)[0])], goal, config)
    assert terms["heatmaps"].item() == pytest.approx(2 * goal.heatmaps.square().mean().item())
    assert terms["tags"].item() == pytest.approx(0.5 * expected)
    squares = [goal.bones[0, j, :, row, column] ** 2 for _, j, row, column in goal.mask.nonzero().tolist()]
    assert terms["bones"].item() == pytest.approx(3 * torch.stack(squares).mean().item(), rel=1e-4)


def test_the_literal_loss_is_the_masked_one_diluted_and_asks_for_zeros():
    batch, config = stars(0), replace(CANVAS, weights=(0, 1, 0))
    literal, goal = replace(config, orpm="literal"), orpm_ae.targets(batch, config)
    empty = nothing(exact(batch)[0])
    written = goal.mask.float().mean().item()
    masked = orpm_ae.loss([empty], goal, config)["bones"].item()
    assert orpm_ae.loss([empty], goal, literal)["bones"].item() == pytest.approx(masked * written, rel=1e-4)
    # half a metre where nothing is written
    beside = exact(batch)[0]
    beside = beside._replace(bones=beside.bones + 0.5 * ~goal.mask[:, :, None])
    assert orpm_ae.loss([beside], goal, config)["bones"] == 0
    assert orpm_ae.loss([beside], goal, literal)["bones"].item() == pytest.approx(0.25 * (1 - written), rel=1e-4)


def test_only_cells_in_which_something_is_written_learn_bones():
    goal = orpm_ae.targets(crowd(3, 2, 2), CANVAS)
    maps = Maps(goal.heatmaps, torch.full_like(goal.bones, 9.0).requires_grad_(), goal.heatmaps)
    orpm_ae.loss([maps], goal, CANVAS)["loss"].backward()
    assert torch.equal((maps.bones.grad != 0).all(2), goal.mask) and goal.mask.any()


@pytest.mark.parametrize("push", ["paper", "public"])
def test_a_picture_of_nobody_teaches_heatmaps_alone(push):
    batch = stars(0)
    nobody = replace(batch, xyz=batch.xyz * torch.nan, uv=batch.uv * torch.nan, visibility=batch.visibility * 0)
    config = replace(CANVAS, push=push)
    goal = orpm_ae.targets(nobody, config)
    assert not (goal.heatmaps.any() or goal.bones.any() or goal.mask.any())
    maps = Maps(*(torch.full_like(part, 0.3).requires_grad_() for part in exact(batch)[0]))
    terms = orpm_ae.loss([maps], goal, config)
    terms["loss"].backward()
    assert terms["heatmaps"].item() == pytest.approx(0.09) and terms["bones"] == terms["tags"] == 0
    assert maps.heatmaps.grad.all() and not maps.bones.grad.any() and not maps.tags.grad.any()


# ---- from maps to people ------------------------------------------------------------------------


@pytest.mark.parametrize("grouping", ["greedy", "hungarian"])
@pytest.mark.parametrize("readout", ["paper", "mehta", "naive"])
@pytest.mark.parametrize("relative", ["parent", "pelvis"])
def test_exact_maps_give_everyone_back(grouping, readout, relative):
    config = replace(CANVAS, relative=relative)
    batch = stars(-1300, 0, 1300)
    people = read(detected(batch, config), config=config, grouping=grouping, readout=readout)
    assert [person.identity for person in people] == [0, 1, 2]
    for person, true in zip(people, batch.xyz[0].numpy()):  # of equal scores those on the left come first
        np.testing.assert_allclose(pose(person), STAR, atol=0.01)
        assert np.linalg.norm(person.root - true[ROOT]) < 100  # pixels are known to half a cell
        assert person.score == 1 and (person.visibility == 2).all()


def test_worlds_people_side_by_side_are_given_back():
    """Poses of `solo`, 1.8 m apart, all pictures at once."""
    batch = pair(1800, 0, 8)
    assert batch.labelled.all()
    for some, xyz in zip(orpm_ae.decode(detected(batch), batch.k, CANVAS, MEAN), batch.xyz.numpy(), strict=True):
        assert len(some) == 2
        for person in some:
            true = xyz[np.linalg.norm(xyz[:, ROOT] - person.root, axis=-1).argmin()]
            np.testing.assert_allclose(pose(person), true - true[ROOT], atol=0.01)


def test_places_are_as_exact_as_pixels():
    """Heatmaps drawn around the joints themselves, not their cells' centres: up to their neighbours' flanks."""
    batch = stars(-900, 900)
    for person, true in zip(read(detected(batch, centre="exact")), batch.xyz[0].numpy()):
        np.testing.assert_allclose(person.xyz, true, atol=1)
        np.testing.assert_allclose(person.uv, project(true, K.numpy()), atol=0.01)


def coded(batch: Batch) -> Detections:
    """The bone that is read in joint s's cell is longer by s + 1 mm than it is."""
    found = detected(batch)
    site = found.peaks.found.nonzero()[:, 1]
    return replace(found, bones=orpm.to_bones(STAR) + (site + 1.0)[:, None, None])


def sites_of(person) -> list[int]:
    """Where each bone of a person of `coded` was read, -1 for the mean; nothing can be said of the pelvis' own."""
    bones = torch.from_numpy(person.xyz - person.xyz[MPI17.parents, :])
    known = (bones - orpm.to_bones(STAR.double())).round()
    mean = (bones - MEAN).abs().amax(1) < 0.1
    return [-1 if m else int(s[0]) - 1 for m, s in zip(mean, known)]


ARM, LEG = (SHOULDER, ELBOW, WRIST), tuple(MPI17.index(f"r_{joint}") for joint in ("hip", "knee", "ankle"))


@pytest.mark.parametrize(
    "lost, paper, mehta",
    [
        ((), ARM, (WRIST,) * 3),
        ((WRIST,), (SHOULDER, ELBOW, ELBOW), (ELBOW,) * 3),
        ((ELBOW,), (SHOULDER, WRIST, WRIST), (WRIST,) * 3),
        ((WRIST, ELBOW), (SHOULDER,) * 3, (SHOULDER,) * 3),
        (ARM, (NECK,) * 3, (NECK,) * 3),
        ((*ARM, NECK), (ROOT,) * 3, (ROOT,) * 3),
        ((*ARM, NECK, ROOT), (-1,) * 3, None),
    ],
)
def test_what_was_not_detected_is_read_elsewhere(lost, paper, mehta):
    found = without(coded(stars(-900, 900)), *lost)
    people = read(found)
    assert len(people) == 2
    for person in people:
        assert tuple(sites_of(person)[j] for j in ARM) == paper
        assert tuple(sites_of(person)[j] for j in LEG) == LEG
        assert np.array_equal(person.visibility == 2, [j not in lost for j in range(17)])
    others = read(found, readout="mehta")
    assert mehta is not None or others == []
    for person in others:
        assert tuple(sites_of(person)[j] for j in ARM) == mehta
    for person in read(found, readout="naive"):
        assert tuple(sites_of(person)[j] for j in ARM) == tuple(-1 if j in lost else j for j in ARM)


def test_what_is_read_elsewhere_is_the_same_value():
    found, batch = detected(stars(-900, 900)), stars(-900, 900)
    for lost in ((WRIST,), ARM, (*ARM, NECK), (*ARM, ROOT)):
        for person, true in zip(read(without(found, *lost)), batch.xyz[0].numpy(), strict=True):
            np.testing.assert_allclose(pose(person), STAR, atol=0.01)
            # a joint that was not found has its pose's pixel
            np.testing.assert_allclose(person.uv[list(lost)], project(true[list(lost)], K.numpy()), atol=5)


def test_a_faint_joint_is_seen_but_read_elsewhere():
    found = coded(stars(-900, 900))
    score = found.peaks.score.clone()
    score[:, WRIST] *= 0.15
    for person in read(replace(found, peaks=replace(found.peaks, score=score))):
        assert sites_of(person)[WRIST] == ELBOW and person.visibility[WRIST] == 2
        assert person.score == pytest.approx(16.15 / 17)


def test_somebody_too_near_is_in_the_way():
    """Another's wrist of the same side lies 2 cells from mine, which then tells nothing of my arm."""
    batch = stars(-900, 900)
    uv = batch.uv.clone()
    uv[0, 1, WRIST] = uv[0, 0, WRIST] - torch.tensor([8.0, 0])
    found = coded(replace(batch, uv=uv))
    mine, theirs = read(found)
    assert [sites_of(mine)[j] for j in ARM] == [SHOULDER, ELBOW, ELBOW]
    assert [sites_of(theirs)[j] for j in ARM] == [SHOULDER, ELBOW, ELBOW]
    assert [sites_of(read(found, t_d=2)[0])[j] for j in ARM] == list(ARM)
    assert [sites_of(mine)[j] for j in LEG] == list(LEG)


def test_bones_are_read_in_a_peak_s_cell_wherever_its_refined_place_is():
    found = detected(stars(-900, 900))
    moved = replace(found.peaks, uv=found.peaks.uv + 2.1)  # out of the cell
    for one, other in zip(read(found), read(replace(found, peaks=moved)), strict=True):
        np.testing.assert_allclose(pose(other), pose(one), atol=1e-3)
        np.testing.assert_allclose(other.uv, one.uv + 2.1, atol=1e-4)


def test_pictures_are_read_as_each_alone():
    batch = pair(1500, 2, 3)
    whole = orpm_ae.decode(detected(batch), batch.k, CANVAS, MEAN)
    for b, some in enumerate(whole):
        (alone,) = orpm_ae.decode(detected(batch[b : b + 1]), batch.k[b : b + 1], CANVAS, MEAN)
        assert len(some) == len(alone) == 2
        for one, other in zip(some, alone):
            np.testing.assert_allclose(one.xyz, other.xyz, atol=1e-3)


def test_people_in_another_order_are_the_same_people():
    """Their tags go from 0, 10, 20 to 20, 0, 10."""
    batch = stars(-1300, 0, 1300)
    turned = replace(batch, xyz=batch.xyz[:, [1, 2, 0]], uv=batch.uv[:, [1, 2, 0]])
    found = [detected(some) for some in (batch, turned)]
    assert not torch.equal(found[0].tags, found[1].tags)
    for one, other in zip(read(found[0]), read(found[1]), strict=True):
        np.testing.assert_array_equal(one.xyz, other.xyz)


def test_a_pose_does_not_depend_on_the_camera_its_place_does():
    found = detected(stars(-900, 900))
    base, aside, far = (
        read(found, k) for k in (K, K + torch.tensor([0, 0, 13.0, 0]), K * torch.tensor([1.5, 1.5, 1, 1]))
    )
    for one, moved, other in zip(base, aside, far, strict=True):
        np.testing.assert_allclose(pose(moved), pose(one), atol=1e-3)
        np.testing.assert_allclose(pose(other), pose(one), atol=1e-3)
        assert moved.root[0] == pytest.approx(one.root[0] - 13 / 260 * one.root[2], abs=20)
        assert other.root[2] == pytest.approx(1.5 * one.root[2], rel=0.02)


def test_a_picture_of_twice_the_size_is_read_the_same():
    batch = stars(-900, 900)
    large = replace(batch, image=torch.zeros(1, 3, 320, 512, dtype=torch.uint8), uv=2 * batch.uv, k=2 * batch.k)
    for one, other in zip(read(detected(batch)), read(detected(large), 2 * K), strict=True):
        np.testing.assert_allclose(other.xyz, one.xyz, atol=0.05)
        np.testing.assert_allclose(other.uv, 2 * one.uv, atol=1e-4)


def test_people_found_without_a_neck_are_whole_but_for_its_pixel():
    for person, true in zip(read(without(detected(stars(-900, 900)), NECK)), stars(-900, 900).xyz[0].numpy()):
        np.testing.assert_allclose(pose(person), STAR, atol=0.01)
        assert person.visibility[NECK] == 1 and (np.delete(person.visibility, NECK) == 2).all()
        assert np.linalg.norm(person.root - true[ROOT]) < 100


def test_people_are_grouped_as_the_reading_says():
    """Wrists of tags 0.1 and 0.9, people at 0 and 2: the better wrist goes first, or the differences' sum decides."""
    found = detected(stars(-900, 900))
    tag, score = found.tags / 5, found.peaks.score.clone()
    tag[0, WRIST, :2], score[0, WRIST, :2] = torch.tensor([0.1, 0.9]), torch.tensor([0.8, 0.9])
    found = replace(found, tags=tag, peaks=replace(found.peaks, score=score))
    places = {found.peaks.uv[0, WRIST, k, 0].item(): k for k in (0, 1)}
    for grouping, expected in (("greedy", [1, 0]), ("hungarian", [0, 1])):
        people = read(found, grouping=grouping, near=2)
        assert [places[float(person.uv[WRIST, 0])] for person in people] == expected
    for near, seen in ((0.05, 1), (0.15, 2)):
        assert read(found, near=near)[0].visibility[WRIST] == seen


@pytest.mark.parametrize("grouping", ["greedy", "hungarian"])
def test_where_all_tags_are_equal_there_are_as_many_people_with_a_joint_of_each_type(grouping):
    found = detected(stars(-1300, 0, 1300))
    people = read(replace(found, tags=torch.zeros_like(found.tags)), grouping=grouping)
    assert len(people) <= 3 and all(np.isfinite(person.xyz).all() for person in people)
    (groups,) = tags.group(found.peaks, torch.zeros_like(found.tags), grouping)
    assert groups.shape == (3, 17)
    assert all(sorted(column) == [0, 1, 2] for column in groups.T.tolist())


def test_detections_of_nobody_are_nobody():
    """Two wrists that no person's tag fits, one of the tag of somebody who has a better one."""
    (heat, bones, tag), canvas = exact(stars(-900, 900))
    for column, own in ((4, 70.0), (10, 70.0), (60, 0.0)):
        heat[0, WRIST, 35, column], tag[0, WRIST, 35, column] = 0.9, own
    found = orpm_ae.detect(Maps(heat, bones, tag), canvas, CANVAS)
    assert found.peaks.found.sum() == 2 * 17 + 3
    people = read(found)
    assert len(people) == 2
    for person in people:
        np.testing.assert_allclose(pose(person), STAR, atol=0.01)


def test_of_more_detections_than_are_kept_the_best_stay():
    (heat, bones, tag), canvas = exact(stars(-900, 900))
    heat[0, KNEE, ::4, ::4] = 0.5
    found = orpm_ae.detect(Maps(heat, bones, tag), canvas, CANVAS)
    assert found.peaks.found.shape == (1, 17, MOST) and found.peaks.found[0, KNEE].all()
    for person in read(found):
        np.testing.assert_allclose(pose(person), STAR, atol=0.01)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_maps_without_a_peak_are_nobody(value):
    maps, canvas = exact(stars(-900, 900))
    found = orpm_ae.detect(Maps(*(torch.full_like(part, value) for part in maps)), canvas, CANVAS)
    assert not found.peaks.found.any() and found.bones.shape == (0, 17, 3)
    assert read(found) == read(found, readout="mehta", grouping="hungarian") == []


@pytest.mark.parametrize("part", ["heatmaps", "tags"])
def test_one_map_that_is_nan_costs_that_joint_s_detection_alone(part):
    maps, canvas = exact(stars(-900, 900))
    getattr(maps, part)[:, WRIST] = torch.nan
    found = orpm_ae.detect(maps, canvas, CANVAS)
    assert found.peaks.found.sum() == 32 and found.bones.isfinite().all()
    for person in read(found):
        np.testing.assert_allclose(pose(person), STAR, atol=0.01)
        assert person.visibility[WRIST] == 1


def test_detections_whose_bones_are_nan_are_none():
    maps, canvas = exact(stars(-900, 900))
    maps.bones[..., : CANVAS.grid.width // 2] = torch.nan  # where the first person stands
    (person,) = read(orpm_ae.detect(maps, canvas, CANVAS))
    np.testing.assert_allclose(pose(person), STAR, atol=0.01)


def test_two_joints_are_nobody_three_are_somebody():
    found = detected(stars(-900, 900))
    assert read(without(found, *range(2, 17))) == []
    for person in read(without(found, *range(3, 17))):
        assert np.isfinite(person.xyz).all() and np.isfinite(person.uv).all() and (person.visibility == 2).sum() == 3


def test_who_fits_nowhere_before_the_camera_is_nobody():
    found = detected(stars(-900, 900))
    assert read(replace(found, bones=-found.bones)) == []  # upside down


def test_maps_of_another_size_are_refused():
    maps, canvas = exact(stars(0))
    with pytest.raises(BadInput, match="maps"):
        orpm_ae.detect(maps, canvas, SMALL)


# ---- files of detections ------------------------------------------------------------------------


@pytest.mark.parametrize("people", [(), (-900, 900)])
def test_saved_detections_are_the_same(people, tmp_path):
    batch = stars(*people) if people else replace(stars(0), visibility=torch.zeros(1, 1, 17, dtype=torch.uint8))
    large = replace(batch, image=torch.zeros(1, 3, 250, 333, dtype=torch.uint8))
    found = detected(large)
    found.save(tmp_path / "found.npz")
    again = Detections.load(tmp_path / "found.npz")
    assert again.canvas == found.canvas and found.peaks.found.any() == bool(people)
    there = found.peaks.found
    assert torch.equal(again.peaks.found, there) and torch.equal(again.bones, found.bones)
    for name in ("uv", "score", "cell"):
        one, other = getattr(found.peaks, name), getattr(again.peaks, name)
        assert one.dtype == other.dtype and torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))
    assert torch.equal(again.tags[there], found.tags[there])
    for one, other in zip(read(found), read(again), strict=True):
        np.testing.assert_array_equal(one.xyz, other.xyz)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("stored") / "found.npz"
    detected(stars(-900, 900)).save(path)
    return path.read_bytes()


@given(data=st.data())
@settings(max_examples=30)
def test_a_file_with_wrong_bytes_is_refused_or_read(data, stored, tmp_path_factory):
    path = tmp_path_factory.mktemp("broken") / "found.npz"
    place = data.draw(st.integers(0, len(stored) - 1))
    cut = data.draw(st.booleans())
    rest = b"" if cut else bytes([stored[place] ^ data.draw(st.integers(1, 255))]) + stored[place + 1 :]
    path.write_bytes(stored[:place] + rest)
    try:
        found = Detections.load(path)
    except BadInput as error:
        assert error.where == str(path) and error.field == "file"
    else:
        assert not cut and len(found.bones) == 34


def _other(path, kind: str) -> None:
    content = {"shape": np.array([1, 17, 30]), "at": np.zeros((0, 3), np.int32)}
    if kind == "text":
        path.write_text("no detections")
    elif kind == "array":
        np.save(path.open("wb"), np.zeros(3))
    elif kind == "words":
        np.savez(path, **{name: np.array(["a"]) for name in content})
    elif kind == "objects":
        np.savez(path, at=np.array([{}], object))
    elif kind == "part":
        np.savez(path, **content)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["text", "array", "words", "objects", "part", "folder"])
def test_what_is_no_file_of_detections_is_refused(kind, tmp_path):
    _other(tmp_path / "found.npz", kind)
    with pytest.raises(BadInput, match="detections that mp3d wrote"):
        Detections.load(tmp_path / "found.npz")


def test_detections_that_are_not_there_and_a_folder_that_is_not(tmp_path):
    with pytest.raises(MissingData, match=r"found\.npz"):
        Detections.load(tmp_path / "found.npz")
    with pytest.raises(BadInput, match="folder"):
        detected(stars(0)).save(tmp_path / "none" / "found.npz")


# ---- training, whole ----------------------------------------------------------------------------


def _small() -> Batch:
    return Stream("duet", 0, 64, 40, 4, block=4)(0)


@pytest.fixture(scope="module")
def model() -> orpm_ae.ORPMAE:
    batch = _small()
    return orpm_ae.train(lambda step: batch, TINY, PROFILES["smoke"].fit, progress=False)


def test_training_is_the_same_twice(model):
    batch = _small()
    again = orpm_ae.train(lambda step: batch, TINY, PROFILES["smoke"].fit, progress=False)
    for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("relative", ["parent", "pelvis"])
def test_the_mean_is_that_of_what_is_stored(relative):
    batch, config = _small(), replace(TINY, relative=relative)
    origin = [p if relative == "parent" and p >= 0 else ROOT for p in MPI17.parents]
    people = [xyz - xyz[origin] for some in batch.xyz for xyz in some if xyz.isfinite().all()]
    assert len(people) == batch.there.sum()
    torch.testing.assert_close(orpm_ae.mean_vectors(lambda step: batch, config, 20), torch.stack(people).mean(0))


def test_a_network_learns_pictures_by_heart():
    """Four pictures of nine people, shown 200 times: people are told apart, their poses far better than the mean."""
    batch = Stream("duet", 2, 96, 64, 4, block=4)(0)
    config = replace(SMALL, stacks=1, width=32, increase=16, canvas=(96, 64), weights=(1.0, 3.0, 1e-2))
    how = FitConfig(200, lr=5e-3, warmup=10, every=200)
    model = orpm_ae.train(lambda step: batch, config, how, progress=False)
    goal = orpm_ae.sample(batch, config)
    with torch.no_grad():
        (maps,) = model.network(goal.images)
    left, empty = (orpm_ae.loss([some], goal.targets, config) for some in (maps, nothing(maps)))
    assert left["heatmaps"] < 0.15 * empty["heatmaps"] and left["bones"] < 0.05 * empty["bones"]
    assert left["tags"] < 0.2 * empty["tags"]
    mean, errors = orpm_ae.poses(model.mean, config), []
    for people, xyz, there in zip(model.estimate(batch.image, batch.k), batch.xyz, batch.there):
        true = (xyz - xyz[:, ROOT, None])[there]
        found = torch.from_numpy(np.stack([pose(person) for person in people])).float()
        gap, rest = ((some - true).norm(dim=-1).mean(-1) for some in (found[:, None], mean))
        errors += [(gap[i, j], rest[j]) for i, j in zip(*linear_sum_assignment(gap))]
    assert len(errors) >= 8 and batch.there.sum() == 9
    found, constant = torch.tensor(errors).mean(0)
    assert found < 0.5 * constant


def test_the_rate_falls_as_in_the_paper():
    how = PROFILES["paper"].fit
    rates = [learning_rate(step, how) for step in (1000, 69_999, 70_000, 199_999, 200_000, 219_999, 220_000, 239_999)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6, 1e-7, 1e-7])
    assert (how.steps, PROFILES["paper"].batch, PROFILES["paper"].config) == (240_000, 30, ORPMAEConfig())


def test_a_saved_network_is_the_same_and_another_configuration_is_refused(model, tmp_path):
    model.save(tmp_path / "network.pt")
    again = orpm_ae.ORPMAE.load(tmp_path / "network.pt", TINY)
    images = _small().image
    for one, other in zip(again.maps(images)[0][-1], model.maps(images)[0][-1]):
        torch.testing.assert_close(one, other)
    assert torch.equal(again.mean, model.mean) and model.mean.any()
    with pytest.raises(BadInput, match="stacks"):
        orpm_ae.ORPMAE.load(tmp_path / "network.pt", replace(TINY, stacks=3))


def test_maps_of_each_stack_a_few_pictures_at_a_time(model):
    images = _small().image
    model.train()
    ((first, last), canvas), ((_, few), _) = model.maps(images), model.maps(images, chunk=3)
    assert model.training and canvas == fit_canvas(images, TINY.canvas)[1]
    model.eval()
    torch.testing.assert_close(last, few)
    assert not torch.allclose(last.heatmaps, first.heatmaps)


def test_one_picture_of_ones_own(unchecked, model):
    image = np.full((90, 130, 3), 60, np.uint8)
    camera = Camera(120, 120, 65, 45, 130, 90)
    assert model.predict(image) == [] and model.predict(image, camera) == []
    for bad, words in (
        ((image.astype(float), None), "uint8"),
        ((image[..., 0], None), "RGB"),
        ((image[:0], None), "image"),
        ((image, Camera(120, 120, 65, 45, 90, 130)), "130 x 90"),
    ):
        with pytest.raises(BadInput, match=words):
            model.predict(*bad)
    with pytest.raises(BadInput, match="images"):
        model.detect(torch.zeros(1, 3, 40, 64))


@pytest.mark.parametrize(
    "change",
    [
        {"norm": "batch"},
        {"relative": "neck"},
        {"orpm": "mask"},
        {"push": "newell"},
        {"canvas": (160, 100)},
        {"canvas": (160,)},
        {"canvas": (0, 64)},
        {"weights": (1, 1)},
        {"weights": (1, 1, -1)},
        {"stacks": 0},
        {"width": 0},
        {"width": 24},
        {"increase": 4},
        {"increase": -8},
        {"depth": 0},
        {"radius": -1},
        {"t_det": -0.1},
        {"weights": (1, float("nan"), 1)},
        {"push_sigma": float("nan")},
        {"heatmap_sigma": 0},
    ],
)
def test_a_configuration_says_what_is_wrong(unchecked, change):
    with pytest.raises(BadInput, match=next(iter(change))):
        replace(SMALL, **change)


@pytest.mark.parametrize(
    "change", [{"grouping": "nearest"}, {"readout": "neck"}, {"near": -1}, {"t_c": -1}, {"t_d": -1}]
)
def test_a_reading_says_what_is_wrong(unchecked, change):
    with pytest.raises(BadInput, match=next(iter(change))):
        Reading(**change)


def test_every_picture_needs_its_camera():
    found = detected(stars(-900, 900))
    with pytest.raises(BadInput, match=r"cameras.*0.*1, one a picture"):
        orpm_ae.decode(found, torch.zeros(0, 4), CANVAS, torch.zeros(17, 3))


def test_a_stream_without_people_has_no_mean():
    nobody = _small()
    nobody = replace(nobody, uv=torch.full_like(nobody.uv, torch.nan), xyz=torch.full_like(nobody.xyz, torch.nan))
    assert (orpm_ae.mean_vectors(lambda step: nobody, TINY, 5) == 0).all()
