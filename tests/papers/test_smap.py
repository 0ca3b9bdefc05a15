"""SMAP: counts, closed forms of targets and losses, exact maps read back, and what happens to bad input."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch

from mp3d.batch import Batch
from mp3d.camera import Camera, project
from mp3d.canvas import fit_canvas
from mp3d.codings import depth
from mp3d.codings.grid import Grid
from mp3d.errors import BadInput
from mp3d.experiments.codings.crowds import crowd
from mp3d.papers import smap
from mp3d.papers.smap import BONES, PROFILES, SMALL, Maps, Reading, RefineNet, SMAPConfig
from mp3d.papers.smap.decode import LENGTHS
from mp3d.papers.smap.network import _with_mirrored, read
from mp3d.papers.smap.refine import inputs
from mp3d.papers.smap.targets import HARDEST, PICKED, ROOT, UNITS, WEIGHTS, Targets, metric, normalised
from mp3d.papers.smap.train import mean_lengths, pairs, registered
from mp3d.skeletons import MPI17, SMAP15

TINY = replace(PROFILES["smoke"].config, loss="paper", labels="plain")
CANVAS = replace(SMALL, canvas=(256, 160), loss="paper", labels="plain")


@pytest.fixture
def unchecked():
    """The shape checks of the tests would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def people() -> Batch:
    """Six pictures of two people each, well apart."""
    return crowd(2, seed=3, scenes=6, depth=(2500, 5000))


def exact(batch: Batch, config: SMAPConfig, shown=None) -> Maps:
    """The maps that a perfect network gives: roots in a square of cells around each, the nearest in front."""
    goal = smap.targets(batch, config, shown)
    grid = Grid.over(*config.canvas, 4)
    there = goal.root.isfinite()
    roots, _ = depth.encode_root(goal.root.nan_to_num(), goal.root_uv, there, grid)
    return goal.sets[-1]._replace(roots=roots)


def canvas_of(batch: Batch, config: SMAPConfig):
    return fit_canvas(batch.image, config.canvas)[1]


# ---- network ------------------------------------------------------------------------------------


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("stages, number", [(1, 26_050_488), (2, 58_684_592), (3, 91_318_696)])
def test_parameters_are_the_released_ones(stages, number):
    assert count(smap.Network(SMAPConfig(stages=stages))) == number


def test_refinenet_has_the_released_number_of_parameters():
    assert count(RefineNet()) == 159_469


def test_there_are_4j_minus_2_maps():
    assert sum(SMAPConfig().maps) == 4 * len(SMAP15) - 2


@pytest.mark.parametrize("trunk", ["mspn", "hourglass"])
@pytest.mark.parametrize("branches", ["all", "root_2d", "root"])
def test_outputs_have_the_shapes_of_their_branches(trunk, branches):
    config = replace(TINY, trunk=trunk, branches=branches, stages=2, width=8)
    outputs = smap.Network(config)(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert len(outputs) == 2 and len(outputs[0]) == (4 if trunk == "mspn" else 1)
    for maps in (maps for scales in outputs for maps in scales):
        assert maps.heatmaps.shape == (2, 1 if branches == "root" else 15, 16, 16)
        assert maps.roots.shape == (2, 1, 16, 16)
        assert (maps.fields is None) == (branches == "root")
        assert (maps.parts is None) == (branches != "all")
        if maps.fields is not None:
            assert maps.fields.shape == (2, 14, 2, 16, 16)


def test_all_parameters_of_all_branches_learn(people):
    config = replace(TINY, canvas=(256, 160), stages=2)
    torch.manual_seed(0)
    network = smap.Network(config).train()
    smap.loss(network(people.image), smap.targets(people, config), config)["loss"].backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    # a single number's may cancel: the root's offset is pulled as often up as down
    assert all(g.abs().sum() > 0 for g in gradients if g.numel() > 1)


# ---- canvas -------------------------------------------------------------------------------------


# ---- normalisation ------------------------------------------------------------------------------


def test_normalised_depth_by_hand():
    k, z = torch.tensor([[200.0, 200, 128, 80]]), torch.tensor([[4000.0]])
    assert normalised(z, k, CANVAS).item() == pytest.approx(20 * 256)
    paper = replace(CANVAS, normalisation="paper")
    assert normalised(z, k, paper).item() == pytest.approx(20 * 256)  # the picture fills the width: the two are one
    assert normalised(z, k, paper, 100).item() == pytest.approx(20 * 100)
    assert normalised(z, k, CANVAS, 100).item() == pytest.approx(20 * 256)
    assert normalised(z, k, replace(CANVAS, normalisation="none")).item() == 4000


@pytest.mark.parametrize("normalisation", ["paper", "released", "none"])
def test_metric_undoes_normalised(normalisation):
    config = replace(CANVAS, normalisation=normalisation)
    k, z, shown = torch.tensor([[210.0, 210, 128, 80]]), torch.tensor([[2500.0, 7000]]), 160
    torch.testing.assert_close(metric(normalised(z, k, config, shown), k, config, shown), z)


def test_neither_form_depends_on_the_size_of_the_canvas():
    """A larger canvas of the same shape scales width and focal length alike."""
    z = torch.tensor([[3000.0]])
    values = {}
    for sides in ((256, 160), (832, 512)):
        config = replace(SMALL, canvas=sides)
        _, canvas = fit_canvas(torch.zeros(1, 3, 160, 256, dtype=torch.uint8), config.canvas)
        k, shown = canvas.camera(torch.tensor([[180.0, 180, 128, 80]])), canvas.shown
        for form in ("paper", "released"):
            values[sides, form] = normalised(z, k, replace(config, normalisation=form), shown).item()
    assert max(values.values()) == pytest.approx(min(values.values()), rel=0.02)  # 832 x 512 is a little wider


def test_a_picture_cut_at_its_sides_keeps_its_depths_in_the_released_form_alone():
    """The same pixels, 100 columns of 256: nothing about anybody's size has changed."""
    z, k = torch.tensor([[3000.0]]), torch.tensor([[180.0, 180, 128, 80]])
    found = {}
    for width in (256, 100):
        _, canvas = fit_canvas(torch.zeros(1, 3, 160, width, dtype=torch.uint8), CANVAS.canvas)
        for form in ("paper", "released"):
            config = replace(CANVAS, normalisation=form)
            found[form, width] = normalised(z, canvas.camera(k), config, canvas.shown).item()
    assert found["released", 256] == pytest.approx(found["released", 100])
    assert found["paper", 256] == pytest.approx(2.56 * found["paper", 100])


# ---- targets ------------------------------------------------------------------------------------


def test_targets_hold_what_the_paper_says(people):
    goal = smap.targets(people, CANVAS)
    (maps,) = goal.sets
    assert 0.8 < maps.heatmaps.amax() <= 1
    norm = maps.fields.norm(dim=2)
    assert norm.amax() <= 1 + 1e-5
    drawn = maps.parts != 0
    z = people.xyz[:, :, PICKED, 2]
    for e, (parent, child) in enumerate(BONES):
        least, most = (z[..., child] - z[..., parent]).aminmax()
        assert (maps.parts[:, e][drawn[:, e]] >= least - 1).all() and (maps.parts[:, e][drawn[:, e]] <= most + 1).all()
    torch.testing.assert_close(goal.root, z[:, :, ROOT] * 256 / people.k[:, :1])
    assert all(mask.all() for mask in goal.valid.values())


def test_without_depth_only_what_2d_joints_tell_counts(people):
    """COCO has no top of the head: 1 heatmap, 2 maps of its field and 14 of relative depth do not count."""
    top = [joint for joint in range(17) if joint == 0]
    seen, uv = people.visibility.clone(), people.uv.clone()
    seen[:, :, top], uv[:, :, top] = 0, torch.nan
    flat = replace(people, xyz=torch.full_like(people.xyz, torch.nan), uv=uv, visibility=seen)
    goal = smap.targets(flat, CANVAS)
    zeros = {name: (~mask[0]).sum().item() for name, mask in goal.valid.items()}
    assert zeros == {"heatmaps": 1, "fields": 1, "parts": 14}
    assert not goal.root.isfinite().any()


def test_a_picture_without_anybody_is_background(people):
    nobody = replace(
        people,
        xyz=torch.full_like(people.xyz, torch.nan),
        uv=torch.full_like(people.uv, torch.nan),
        visibility=torch.zeros_like(people.visibility),
    )
    goal = smap.targets(nobody, CANVAS)
    assert all(mask.all() for mask in goal.valid.values()) and goal.sets[0].heatmaps.amax() == 0


@pytest.mark.parametrize("normalisation", ["paper", "released", "none"])
def test_people_behind_the_camera_have_no_root_depth(people, normalisation):
    """Even where a data set says that their joints are in the picture."""
    xyz = people.xyz.clone()
    xyz[:, 0, :, 2] *= -1
    config = replace(CANVAS, normalisation=normalisation)
    goal = smap.targets(replace(people, xyz=xyz), config)
    assert goal.root[:, 0].isnan().all() and goal.root[:, 1].isfinite().any()
    assert smap.loss([[_constant(6, 0.0)]], goal, config)["root"].isfinite()


def test_released_label_sets_grow_finer_and_the_coarse_ones_want_both_ends_seen(people):
    hidden = replace(people, visibility=torch.ones_like(people.visibility))
    goal = smap.targets(hidden, replace(CANVAS, labels="released"))
    assert len(goal.sets) == 5
    areas = [(maps.heatmaps > 0.5).sum().item() for maps in goal.sets]
    assert areas == sorted(areas, reverse=True) and areas[0] > 2 * areas[-1]
    assert [maps.fields.abs().sum().item() > 0 for maps in goal.sets] == [False, False, True, True, True]


# ---- loss ---------------------------------------------------------------------------------------


def _constant(batch: int, value: float, height: int = 40, width: int = 64) -> Maps:
    full = torch.full
    heat, roots = full((batch, 15, height, width), value), full((batch, 1, height, width), value)
    return Maps(heat, roots, full((batch, 14, 2, height, width), value), full((batch, 14, height, width), value))


def _nothing(batch: int, roots: int = 0) -> Targets:
    """Targets of 0, everything valid; `roots` people with a root depth of 0 in the first picture's corner."""
    maps = _constant(batch, 0.0)
    root = torch.full((batch, 2), torch.nan)
    root[0, :roots] = 0
    valid = {"heatmaps": 15, "fields": 14, "parts": 14}
    masks = {name: torch.ones(batch, number, dtype=torch.bool) for name, number in valid.items()}
    return Targets((maps,), root, torch.full((batch, 2, 2), 2.0), masks)


def test_loss_of_constant_maps_as_released():
    """Targets 0, predictions c in the released units: c^2 at coarse scales, 2 c^2 (heatmaps, fields) at the finest."""
    config, c = replace(CANVAS, loss="released"), 3.0
    maps = _constant(2, 0.0)._replace(
        heatmaps=torch.full((2, 15, 40, 64), c / UNITS["heatmaps"]),
        fields=torch.full((2, 14, 2, 40, 64), c / UNITS["fields"]),
        parts=torch.full((2, 14, 40, 64), c / UNITS["parts"]),
    )
    fine = smap.loss([[maps]], _nothing(2), config)
    assert (fine["heatmaps"] + fine["fields"]).item() == pytest.approx(WEIGHTS["2d"] * 2 * c**2, rel=1e-4)
    assert fine["parts"].item() == pytest.approx(WEIGHTS["parts"] * c**2, rel=1e-4)
    both = smap.loss([[maps, maps]], _nothing(2), config)
    coarse = {name: 4 * (both[name] - fine[name]).item() for name in both}
    assert coarse["heatmaps"] + coarse["fields"] == pytest.approx(WEIGHTS["2d"] * c**2, rel=1e-3)
    assert coarse["parts"] == pytest.approx(WEIGHTS["parts"] * c**2, rel=1e-3)


def test_loss_of_constant_maps_as_in_the_paper():
    cells, c = 40 * 64, 0.5
    terms = smap.loss([[_constant(3, c)]], _nothing(3), CANVAS)
    assert terms["heatmaps"].item() == pytest.approx(0.1 * 15 * cells * c**2, rel=1e-4)
    assert terms["fields"].item() == pytest.approx(0.1 * 28 * cells * c**2, rel=1e-4)
    assert terms["parts"].item() == pytest.approx(5 * 14 * cells * (c / 1000) ** 2, rel=1e-4)
    assert terms["root"].item() == 0
    assert terms["loss"].item() == pytest.approx(sum(v.item() for k, v in terms.items() if k != "loss"), rel=1e-5)


@pytest.mark.parametrize("loss, expected", [("paper", 10 * 2 * 1.5 / 3), ("released", 10 * 150 / 256)])
def test_root_loss_is_a_sum_over_a_pictures_people_or_a_mean_over_all(loss, expected):
    """Two people 1,500 mm off in the first of three pictures."""
    terms = smap.loss([[_constant(3, 1500.0)]], _nothing(3, roots=2), replace(CANVAS, loss=loss))
    assert terms["root"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["paper", "released"])
def test_only_the_cells_of_roots_learn_root_depth(people, loss):
    config = replace(CANVAS, loss=loss)
    goal, maps = smap.targets(people, config), _constant(6, 0.0)
    maps.roots.requires_grad_()
    smap.loss([[maps]], goal, config)["root"].backward()
    cells, inside = Grid(64, 40, 4).cells(goal.root_uv)
    expected = torch.zeros(6, 40, 64, dtype=torch.bool)
    for b, p in (inside & goal.root.isfinite()).nonzero().tolist():
        expected[b, cells[b, p, 0], cells[b, p, 1]] = True
    assert expected.sum() > 6 and torch.equal(maps.roots.grad[:, 0] != 0, expected)


@pytest.mark.parametrize("loss", ["paper", "released"])
def test_maps_that_do_not_count_have_no_gradient(people, loss):
    config = replace(CANVAS, loss=loss)
    goal = smap.targets(people, config)
    goal.valid["heatmaps"][:, 3] = False
    goal.valid["parts"] = torch.zeros(6, 14, dtype=torch.bool)
    goal.root[:] = torch.nan
    maps = Maps(*(part.requires_grad_() for part in _constant(6, 0.3)))
    terms = smap.loss([[maps, maps]], goal, config)
    terms["loss"].backward()
    assert maps.heatmaps.grad[:, 3].abs().sum() == 0 and maps.heatmaps.grad[:, 4].abs().sum() > 0
    assert maps.parts.grad.abs().sum() == 0 and terms["root"].item() == 0
    assert maps.roots.grad.isfinite().all() and maps.roots.grad.abs().sum() == 0


def test_the_hardest_of_equal_maps_are_like_all():
    config = replace(CANVAS, loss="released")
    maps = _constant(1, 0.2)
    assert max(HARDEST.values()) < 28
    fine = smap.loss([[maps]], _nothing(1), config)["parts"]
    both = smap.loss([[maps, maps]], _nothing(1), config)["parts"]
    torch.testing.assert_close(both, 1.25 * fine)


def test_without_multiscale_only_the_finest_counts():
    config = replace(CANVAS, multiscale=False)
    wrong, right = _constant(1, 5.0), _constant(1, 0.0)
    assert smap.loss([[wrong, right]], _nothing(1), config)["loss"].item() == 0
    assert smap.loss([[right, wrong]], _nothing(1), config)["loss"].item() > 0


def test_the_root_weighs_as_much_with_normalisation_as_without():
    """Before a camera whose f is the canvas' width the two maps are one, and so must their losses be."""
    batch = crowd(2, seed=3, scenes=2)
    batch = replace(batch, k=batch.k.clone().index_fill_(1, torch.tensor([0, 1]), float(CANVAS.canvas[0])))
    found = {}
    for form in ("released", "none"):
        config = replace(CANVAS, normalisation=form, loss="released")
        maps = exact(batch, config)._replace(roots=torch.full((2, 1, 40, 64), 5000.0))
        found[form] = smap.loss([[maps]], smap.targets(batch, config), config)["root"].item()
    assert found["released"] == pytest.approx(found["none"]) and found["none"] > 0


# ---- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", ["paper", "released", "none"])
def test_exact_maps_give_everyone_back(people, normalisation):
    config = replace(CANVAS, normalisation=normalisation)
    found = smap.decode(exact(people, config), canvas_of(people, config), people.k, config)
    right = joints = 0
    for b, some in enumerate(found):
        true = people.xyz[b, :, PICKED].numpy()
        assert len(some) == 2
        depths = [person.root[2] for person in some]
        assert depths == sorted(depths)  # near first
        for person in some:
            error = np.linalg.norm(person.xyz - true, axis=-1)
            who = np.nanargmin(error[:, ROOT])
            assert person.root[2] == pytest.approx(true[who, ROOT, 2], rel=1e-3)
            assert np.array_equal(np.isfinite(person.xyz).all(-1), person.visibility == 2)
            labelled = people.labelled[b, who, PICKED].numpy()
            right += (error[who] < 60)[labelled].sum()
            joints += labelled.sum()
    assert right / joints > 0.85


def test_the_root_does_not_move_sideways_with_the_focal_length(people):
    """Z goes with f, so X and Y of the root stay; those of other joints do not."""
    maps, canvas = exact(people, CANVAS), canvas_of(people, CANVAS)
    k = people.k * torch.tensor([1.5, 1.5, 1, 1])
    for some, others in zip(
        smap.decode(maps, canvas, people.k, CANVAS), smap.decode(maps, canvas, k, CANVAS), strict=True
    ):
        for one, other in zip(some, others, strict=True):
            np.testing.assert_allclose(other.root[:2], one.root[:2], rtol=1e-4)
            assert other.root[2] == pytest.approx(1.5 * one.root[2], rel=1e-4)


def test_without_normalisation_the_focal_length_changes_no_depth(people):
    config = replace(CANVAS, normalisation="none")
    maps, canvas = exact(people, config), canvas_of(people, config)
    one = smap.decode(maps, canvas, people.k, config, Reading(length="none"))
    other = smap.decode(maps, canvas, people.k * 2, config, Reading(length="none"))
    assert [p.root[2] for some in one for p in some] == [p.root[2] for some in other for p in some]


@pytest.mark.parametrize("branches, joints, placed", [("root_2d", 3, 1), ("root", 1, 1)])
def test_without_part_depths_only_roots_are_placed(people, branches, joints, placed):
    config = replace(CANVAS, branches=branches)
    found = smap.decode(exact(people, config), canvas_of(people, config), people.k, config)
    for person in (person for some in found for person in some):
        assert np.isfinite(person.xyz).all(-1).sum() == placed and np.isfinite(person.root).all()
        assert (person.visibility == 2).sum() >= joints
    assert sum(map(len, found)) == 12


def test_no_peaks_no_pelvis_no_depth_nobody(people):
    canvas, maps = canvas_of(people, CANVAS), exact(people, CANVAS)
    empty = [[] for _ in range(6)]
    for changed in (
        maps._replace(heatmaps=torch.zeros_like(maps.heatmaps)),
        maps._replace(roots=torch.zeros_like(maps.roots)),
        maps._replace(roots=-maps.roots),
        maps._replace(roots=torch.full_like(maps.roots, torch.nan)),
        Maps(*(torch.full_like(part, torch.nan) for part in maps)),
    ):
        for reading in (Reading(), Reading(association="2dpa")):
            assert smap.decode(changed, canvas, people.k, CANVAS, reading) == empty
    heat = maps.heatmaps.clone()
    heat[:, ROOT] = 0
    assert smap.decode(maps._replace(heatmaps=heat), canvas, people.k, CANVAS) == empty


def test_nan_in_one_map_costs_that_map_alone(people):
    canvas, maps = canvas_of(people, CANVAS), exact(people, CANVAS)
    parts = maps.parts.clone()
    parts[:, 4] = torch.nan  # to the left wrist
    child = BONES[4][1]
    for some in smap.decode(maps._replace(parts=parts), canvas, people.k, CANVAS):
        for person in some:
            assert np.isnan(person.xyz[child]).all() and np.isfinite(person.root).all()


def test_a_filter_drops_what_the_penalty_only_lowers(people):
    """With bones said to be a tenth as long, the filter leaves roots; the penalty cannot exceed 1."""
    maps, canvas, found = exact(people, CANVAS), canvas_of(people, CANVAS), {}
    for length in ("penalty", "filter"):
        some = smap.decode(maps, canvas, people.k, CANVAS, Reading(length=length), LENGTHS / 10)
        found[length] = sum((person.visibility == 2).sum() for of in some for person in of)
    assert found["penalty"] > found["filter"] == 12


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"cameras": torch.zeros(6, 4)}, "focal lengths positive"),
        ({"cameras": torch.ones(5, 4)}, "cameras"),
        ({"config": replace(SMALL, canvas=(320, 160))}, "maps"),
    ],
)
def test_decode_refuses(people, changes, words):
    given_ = {"cameras": people.k, "config": CANVAS} | changes
    with pytest.raises(BadInput, match=words):
        smap.decode(exact(people, CANVAS), canvas_of(people, CANVAS), given_["cameras"], given_["config"])


# ---- scales, mirrored pictures ------------------------------------------------------------------


def test_three_scales_are_summed_but_for_depth():
    scales = [_constant(1, float(value)) for value in (1, 10, 100, 1000)]
    one, three = read([scales], Reading()), read([scales], Reading(scales=3))
    assert one.heatmaps[0, 0, 0, 0] == 1000 and three.heatmaps[0, 0, 0, 0] == 1110
    assert three.fields[0, 0, 0, 0, 0] == 1110 and three.parts[0, 0, 0, 0] == three.roots[0, 0, 0, 0] == 1000


def test_a_mirrored_pictures_maps_fall_onto_the_pictures(people):
    """A network that is exact on both: heatmaps double, fields stay."""
    maps = exact(people, CANVAS)
    both = _with_mirrored(maps, exact(mirrored(people), CANVAS))
    torch.testing.assert_close(both.heatmaps, 2 * maps.heatmaps, atol=2e-3, rtol=0)
    # the two mirrored halves of a band may differ in cells on its very edge
    off = (both.fields - maps.fields).abs() > 1e-2
    assert off.float().mean() < 2e-3


# ---- RefineNet ----------------------------------------------------------------------------------


def test_refinenets_input_by_hand():
    uv, xyz = torch.zeros(1, 15, 2), torch.zeros(1, 15, 3)
    uv[0, ROOT], xyz[0, ROOT] = torch.tensor([50.0, 60]), torch.tensor([100.0, 200, 3000])
    uv[0, 0], xyz[0, 0] = torch.tensor([52.0, 40]), torch.tensor([120.0, -300, 3100])
    uv[0, 1:2] = torch.nan
    rows = inputs(uv, xyz).unflatten(1, (15, 5))[0]
    assert rows[ROOT].tolist() == [50, 60, 10, 20, 300]
    assert rows[0].tolist() == [2, -20, 2, -50, 10]
    assert rows[1].tolist() == [0] * 5


def test_moving_a_person_in_space_changes_three_inputs():
    rng = torch.Generator().manual_seed(0)
    uv, xyz = torch.rand(1, 15, 2, generator=rng) * 100, torch.rand(1, 15, 3, generator=rng) * 1000
    change = inputs(uv, xyz + torch.tensor([100.0, -50, 700])) - inputs(uv, xyz)
    assert (change[0].abs() > 1e-2).nonzero()[:, 0].tolist() == [5 * ROOT + 2, 5 * ROOT + 3, 5 * ROOT + 4]


@pytest.mark.parametrize("rays", [False, True])
def test_refinement_keeps_roots_and_completes_people(people, rays):
    torch.manual_seed(0)
    network = RefineNet().eval()
    canvas = canvas_of(people, CANVAS)
    found = smap.decode(exact(people, CANVAS), canvas, people.k, CANVAS)
    for some, k in zip(found, people.k, strict=True):
        uv = torch.from_numpy(np.stack([p.uv for p in some])).float()
        for before, after in zip(some, smap.refine(network, some, uv, k, rays), strict=True):
            np.testing.assert_allclose(after.root, before.root, rtol=1e-6)
            assert np.isfinite(after.xyz).all()
            had = before.visibility == 2
            assert (after.visibility[had] == 2).all() and (after.visibility[~had] == 1).all()
            np.testing.assert_array_equal(after.uv[had], before.uv[had])
            if rays:
                shown = project(after.xyz, k.double().numpy())
                np.testing.assert_allclose(shown[had], before.uv[had], atol=0.02)


def test_roots_are_registered_to_their_mutual_nearest():
    found, true = torch.tensor([[0.0, 0], [3, 0], [50, 0]]), torch.tensor([[1.0, 0], [40, 0]])
    who, whom = registered(found, true, 5)
    assert who.tolist() == [0] and whom.tolist() == [0]
    who, whom = registered(found, true, 10.5)
    assert who.tolist() == [0, 2] and whom.tolist() == [0, 1]


# ---- training, whole ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    size = PROFILES["smoke"]
    batch = _small()
    return smap.train(lambda step: batch, lambda step: batch, size.config, size, out=tmp_path_factory.mktemp("smap"))


def _small() -> Batch:
    from mp3d.synthetic.stream import Stream

    return Stream("duet", 0, 64, 40, 4, block=4)(0)


def test_training_is_the_same_twice(model, tmp_path):
    batch, size = _small(), PROFILES["smoke"]
    again = smap.train(lambda step: batch, lambda step: batch, size.config, size, out=tmp_path)
    for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_bones_are_measured_in_the_training_set(model):
    batch = _small()
    lengths = mean_lengths(lambda step: batch, people=3)
    assert torch.allclose(model.lengths, mean_lengths(lambda step: batch), rtol=1e-3)
    assert ((lengths / LENGTHS > 0.7) & (lengths / LENGTHS < 1.5)).all()


def test_a_network_learns_a_picture_by_heart_and_refinenet_its_poses():
    """Eight pictures, shown 150 times: most people near their place; RefineNet halves the error at least."""
    config = replace(TINY, canvas=(128, 96), width=12, decoder=32)
    from mp3d.synthetic.stream import Stream

    batch = Stream("solo", 2, 128, 96, 8, block=8)(0)
    size = replace(
        PROFILES["smoke"],
        config=config,
        fit=replace(PROFILES["smoke"].fit, steps=150, lr=1e-2, warmup=10, every=150),
        refinement=smap.Refinement(pictures=8, epochs=150, batch=8, lr=0.01, halve=60),
    )
    model = smap.train(lambda step: batch, lambda step: batch, config, size)
    found = model.estimate(batch.image, batch.k, Reading(refined="no"))
    assert sum(map(len, found)) >= 6
    gaps = [abs(some[0].root[2] / batch.xyz[b, 0, 14, 2].item() - 1) for b, some in enumerate(found) if some]
    assert sorted(gaps)[3] < 0.05
    assert model.refines
    rows, goals = pairs(model, lambda step: batch, 8)
    better = (model.refinement(rows) - goals).square().mean()
    assert better < 0.5 * goals.square().mean()
    for some, plain in zip(model.estimate(batch.image, batch.k), found, strict=True):
        for one, other in zip(some, plain, strict=True):
            assert np.isfinite(one.xyz).all() and not np.allclose(one.xyz, other.xyz, atol=1)
            np.testing.assert_allclose(one.root, other.root)


class Exact(smap.Network):
    """A network that gives back the exact maps of the pictures it is shown, or their mirrored ones'."""

    def __init__(self, batch: Batch, config: SMAPConfig):
        super().__init__(replace(config, width=4, decoder=4))
        self.batch = batch

    def forward(self, images):
        (i,) = [i for i, image in enumerate(self.batch.image) if torch.equal(image, images[0])][:1] or [None]
        flipped = i is None
        if flipped:
            (i,) = [i for i, image in enumerate(self.batch.image) if torch.equal(image.flip(-1), images[0])][:1]
        one = self.batch[i : i + 1]
        return [[exact(mirrored(one) if flipped else one, CANVAS)]]


def mirrored(batch: Batch) -> Batch:
    """The truth of the mirrored picture, 256 px wide."""
    swap = list(MPI17.mirror)
    uv = batch.uv[:, :, swap].clone()
    uv[..., 0] = 256 - uv[..., 0]
    return replace(batch, uv=uv, xyz=batch.xyz[:, :, swap], visibility=batch.visibility[:, :, swap])


@pytest.fixture(scope="module")
def marked(people) -> Batch:
    """The same people; each picture has a mark of its own, left of the middle."""
    image = people.image.clone()
    for b in range(len(image)):
        image[b, :, b, 3 * b + 1] = 255
    return replace(people, image=image)


def test_refinenet_learns_from_the_pose_of_the_person_it_is_to_mend(marked):
    """Of exact maps every input is, up to half a cell, its own goal: root-relative joints in cm."""
    model = smap.SMAP(CANVAS)
    model.network = Exact(marked, CANVAS)
    rows, goals = pairs(model, lambda step: marked[step : step + 1], 6)
    assert len(rows) >= 8
    found = rows.unflatten(1, (15, 5))[:, :, 2:]
    known = (found != 0).any(-1)
    known[:, ROOT] = False
    gap = (found - goals.unflatten(1, (15, 3))).norm(dim=-1)[known]
    assert gap.median() < 3  # cm; other people's joints are off by far more
    assert (gap < 10).float().mean() > 0.9


def test_the_flip_test_reads_the_mirrored_picture_too(marked):
    model = smap.SMAP(CANVAS)
    model.network = Exact(marked, CANVAS)
    plain, both = (model.maps(marked.image[:2], Reading(flip=flip), chunk=1)[0] for flip in (False, True))
    torch.testing.assert_close(both.heatmaps, 2 * plain.heatmaps, atol=2e-3, rtol=0)
    torch.testing.assert_close(both.parts, plain.parts)


def test_each_scale_has_the_label_set_that_is_its_own():
    """Of five sets, coarse to fine, the last stage takes the finer four, the others the coarser four."""
    config = replace(CANVAS, labels="released")
    goal = _nothing(1)
    sets = tuple(_constant(1, float(i)) for i in range(5))
    goal = Targets(sets, goal.root, goal.root_uv, goal.valid)
    coarse, fine = [sets[i] for i in range(4)], [sets[i] for i in range(1, 5)]
    assert smap.loss([coarse, fine], goal, config)["loss"].item() == 0
    assert smap.loss([fine, fine], goal, config)["loss"].item() > 0
    assert smap.loss([[sets[4]]], goal, config)["loss"].item() == 0  # an hourglass' only scale is its finest


def test_three_scales_of_a_network_without_them_are_refused(model):
    with pytest.raises(BadInput, match="scales"):
        replaced = smap.SMAP(replace(model.config, multiscale=False))
        replaced.maps(_small().image, Reading(scales=3))


def test_a_saved_network_is_the_same_and_another_configuration_is_refused(model, tmp_path):
    model.save(tmp_path / "network.pt")
    again = smap.SMAP.load(tmp_path / "network.pt", model.config)
    images = _small().image
    torch.testing.assert_close(again.maps(images)[0].heatmaps, model.maps(images)[0].heatmaps)
    with pytest.raises(BadInput, match="stages"):
        smap.SMAP.load(tmp_path / "network.pt", replace(model.config, stages=3))


def test_one_picture_of_ones_own(unchecked, model):
    image = np.zeros((90, 130, 3), np.uint8)
    camera = Camera(120, 120, 65, 45, 130, 90)
    assert isinstance(model.predict(image), list) and isinstance(model.predict(image, camera), list)
    for bad, words in (
        ((image.astype(float), None), "uint8"),
        ((image[..., 0], None), "RGB"),
        ((image, Camera(120, 120, 65, 45, 90, 130)), "130 x 90"),
    ):
        with pytest.raises(BadInput, match=words):
            model.predict(*bad)


def test_images_of_another_kind_are_refused(unchecked, model):
    with pytest.raises(BadInput, match="images"):
        model.maps(torch.zeros(1, 3, 40, 64))


@pytest.mark.parametrize(
    "change",
    [
        {"trunk": "vgg"},
        {"canvas": (250, 160)},
        {"canvas": (256,)},
        {"stages": 0},
        {"branches": "2d"},
        {"normalisation": "z"},
        {"loss": "l2"},
        {"trunk": "hourglass", "canvas": (32, 64)},
        {"labels": "fine"},
    ],
)
def test_a_configuration_says_what_is_wrong(unchecked, change):
    with pytest.raises(BadInput, match=list(change)[-1]):
        SMAPConfig(**change)


@pytest.mark.parametrize("change", [{"association": "3d"}, {"scales": 2}, {"relaxation": 0}, {"refined": "yes"}])
def test_a_reading_says_what_is_wrong(unchecked, change):
    with pytest.raises(BadInput, match=next(iter(change))):
        Reading(**change)
