"""The renderer against the exact geometry: where things are drawn, what is hidden, and that chance is seeded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mp3d.batch import Batch
from mp3d.errors import BadInput
from mp3d.scene import HIDDEN, VISIBLE
from mp3d.synthetic import looks, render, worlds
from mp3d.synthetic.body import CAPSULES, POINTS, ray_capsule, skin

BARE = ("duet", "studio")


@pytest.fixture
def bare(monkeypatch):
    """No things, no hair, no nose: the body as `body.visibility` knows it."""
    dress = looks.dress

    def undressed(takes, seed):
        scene = dress(takes, seed)
        keep = scene.capsules.part < len(CAPSULES)
        return replace(
            scene,
            capsules=looks._only(scene.capsules, keep),
            boxes=looks._only(scene.boxes, scene.boxes.picture < 0),
        )

    monkeypatch.setattr(render, "dress", undressed)


@pytest.fixture(scope="module")
def takes():
    return {name: worlds.takes(name, 24, seed=3) for name in BARE}


def exact(takes, i, k, width, height):
    """Depth (mm) and person of each pixel by `ray_capsule`, one picture, no background."""
    there = np.isfinite(takes.size[i])
    first, last, radius = skin(takes.points[i, there], takes.size[i, there])
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(u - k[2]) / k[0], (v - k[3]) / k[1], np.ones_like(u)], -1).reshape(-1, 3)
    length = np.linalg.norm(rays, axis=-1, keepdims=True)
    enter = ray_capsule(rays / length, first.reshape(-1, 3), last.reshape(-1, 3), radius.reshape(-1)) / length
    person = enter.argmin(-1) // len(CAPSULES)
    depth = enter.min(-1)
    return depth.reshape(height, width), np.where(np.isfinite(depth), person, -1).reshape(height, width)


@pytest.mark.parametrize("world", BARE)
def test_pixels_are_those_of_the_exact_ray_test(bare, takes, world):
    some = takes[world][:3]
    drawn = render.render(some, 128, 96, seed=0)
    for i in range(3):
        depth, person = exact(some, i, drawn.batch.k[i].double().numpy(), 128, 96)
        found = drawn.instance[i].numpy()
        assert (found == person).mean() > 0.999  # rays that graze a surface may differ in float32
        same = (found == person) & (person >= 0)
        assert same.sum() > 100
        assert np.abs(drawn.depth[i].numpy()[same] - depth[same]).max() < 1


@pytest.mark.parametrize("world", BARE)
@pytest.mark.parametrize("size", [(128, 96), (256, 160)])
def test_visibility_is_that_of_the_exact_test(bare, takes, world, size):
    some = takes[world]
    found = render.render(some, *size, seed=0).batch.visibility.numpy()
    both = (found > 0) & (some.visibility > 0)
    assert both.sum() > 500 and (some.visibility[both] == HIDDEN).any()
    assert (found == some.visibility)[both].mean() >= 0.99


def test_things_hide_and_nothing_else_changes(takes):
    some = takes["duet"]
    found = render.render(some, 128, 96, seed=0).batch.visibility.numpy()
    both = (found > 0) & (some.visibility > 0)
    assert not ((found == VISIBLE) & (some.visibility == HIDDEN))[both].any()
    assert 0.9 < (found == some.visibility)[both].mean() < 1


def test_a_ball_is_drawn_where_it_projects(takes):
    """The middle of its pixels is the projection of its middle, to half a pixel."""
    rng = np.random.default_rng(0)
    place = np.stack([rng.uniform(-900, 900, 24), rng.uniform(-600, 600, 24), rng.uniform(2000, 2400, 24)], -1)
    some = replace(takes["duet"], ball=place, points=np.full_like(takes["duet"].points, np.nan))
    some = replace(some, size=np.full_like(some.size, np.nan))
    drawn = render.render(some, 128, 96, seed=0)
    seen = 0
    for i in range(len(some)):
        k = drawn.batch.k[i].numpy()
        uv = place[i, :2] / place[i, 2] * k[:2] + k[2:]
        reach = 110 / place[i, 2] * k[0] + 1
        near = np.abs(drawn.depth[i].numpy() - place[i, 2]) < 115
        rows, columns = np.nonzero(near & (drawn.instance[i].numpy() == render.THING))
        if len(rows) and (uv > reach).all() and (uv < np.array([128, 96]) - reach).all():
            seen += 1
            assert np.abs(np.array([columns.mean(), rows.mean()]) + 0.5 - uv).max() < 0.5
    assert seen >= 10


def test_a_visible_joint_s_pixel_shows_its_person(takes):
    some = takes["duet"]
    drawn = render.render(some, 512, 384, seed=0)
    i, p, j = np.nonzero(drawn.batch.visibility.numpy() == VISIBLE)
    column, row = np.floor(drawn.batch.uv[i, p, j].numpy()).astype(int).T
    assert (drawn.instance[i, row, column].numpy() == p).mean() > 0.97  # the pixel's centre is not the joint
    at = drawn.depth[i, row, column].numpy()
    assert np.median(drawn.batch.xyz[i, p, j, 2].numpy() - at) > 0  # skin is before the joint


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(takes):
    some = takes["studio"][:4]
    one, again, other = (render.render(some, 64, 40, seed=s) for s in (1, 1, 2))
    assert torch.equal(one.batch.image, again.batch.image)
    assert not torch.equal(one.batch.image, other.batch.image)
    assert torch.allclose(one.batch.uv, other.batch.uv, equal_nan=True)


def test_right_and_left_wear_the_same(takes):
    scene = looks.dress(takes["studio"], 5)
    solids = scene.capsules
    pairs = [(a.replace("r_", "l_"), b.replace("r_", "l_")) for a, b, _ in CAPSULES]
    names = [(a, b) for a, b, _ in CAPSULES]
    checked = 0
    for right, mirrored in enumerate(pairs):
        if mirrored != names[right] and mirrored in names:
            one, two = (np.flatnonzero(solids.part == part) for part in (right, names.index(mirrored)))
            for field in ("paint", "below", "picture", "owner"):
                assert np.array_equal(getattr(solids, field)[one], getattr(solids, field)[two])
            checked += 1
    assert checked == 7


def test_who_sits_sits_on_something(takes):
    some = worlds.takes("duet", 64, seed=0, kinds=["apart"])
    stools = looks._stools(some, lambda picture, world: world)
    assert 0 < len(stools[0]) < 64
    hips = [POINTS.index(n) for n in ("r_hip", "l_hip", "pelvis")]
    for picture, centre, half in zip(stools[0], stools[1], stools[3], strict=True):
        world = (
            np.einsum("ji,pkj->pki", some.rotation[picture], some.points[picture] - some.translation[picture]) / 1000
        )
        gap = world[:, hips, 1] - (centre[1] - half[1])  # y down: below 0 is above the seat
        assert (np.abs(gap[:, 2] + 0.06 * some.size[picture] / 1000) < 0.01).any()


def test_the_picture_shows_all_of_the_image_or_in_the_split_border_nothing_else(takes):
    some = takes["duet"]
    whole, cut = (render.render(replace(some, split=split), 128, 96, seed=0).batch for split in ("test", "border"))
    inside = (some.visibility > 0) & np.isfinite(whole.uv.numpy()).all(-1)
    assert (whole.visibility.numpy()[inside] > 0).all()
    assert ((cut.visibility.numpy() > 0) <= (some.visibility > 0))[inside | (some.visibility == 0)].all()
    assert (cut.k[:, 0] > whole.k[:, 0]).all()


def test_nobody_and_somebody_behind_the_camera_are_no_error(takes):
    some = takes["duet"][:4]
    empty = replace(some, points=np.full_like(some.points, np.nan), size=np.full_like(some.size, np.nan))
    drawn = render.render(empty, 64, 48, seed=0)
    assert (drawn.instance < 0).all() and not drawn.batch.there.any() and (drawn.batch.visibility == 0).all()
    behind = some.points * np.array([1, 1, -1])
    drawn = render.render(replace(some, points=behind), 64, 48, seed=0)
    assert (drawn.instance < 0).all() and (drawn.batch.visibility == 0).all()


def test_bad_input_is_named(takes):
    some = takes["duet"]
    with pytest.raises(BadInput, match="one take"):
        render.render(some[:0], 64, 48, seed=0)
    with pytest.raises(BadInput, match="positive sides"):
        render.render(some, 0, 48, seed=0)
    k = some.k.copy()
    for focal in (-1, 0, np.nan):
        k[3, 0] = focal
        with pytest.raises(BadInput, match="focal lengths above 0"):
            render.render(replace(some, k=k), 64, 48, seed=0)
    with pytest.raises(BadInput, match="a seed of 0 or more"):
        render.render(some, 64, 48, seed=-1)


def test_scenes_carry_picture_camera_and_visibility(takes):
    some = takes["duet"][:3]
    drawn = render.render(some, 64, 48, seed=0)
    scenes = drawn.scenes(some)
    again = Batch.of(scenes)
    assert torch.equal(again.image, drawn.batch.image)
    assert torch.equal(again.visibility, drawn.batch.visibility)
    assert torch.allclose(again.uv, drawn.batch.uv, atol=1e-3, equal_nan=True)
    assert scenes[0].camera.width == 64 and scenes[0].kind == some.kind[0]


def test_the_camera_is_scaled_about_the_image_s_middle_wherever_its_own_is(takes):
    """By points: what is in the image's middle stays in the picture's, and all distances shrink alike."""
    some = takes["duet"][:4]
    some = replace(some, k=some.k + np.array([0, 0, 35.0, -60]))
    found = render.render(some, 64, 48, seed=0).batch.uv.double().numpy()
    scale = np.minimum(64 / some.image[:, 0], 48 / some.image[:, 1])[:, None, None, None]
    expected = (some.uv - some.image[:, None, None] / 2) * scale + [32, 24]
    assert np.allclose(found, expected, atol=1e-3, equal_nan=True)


def test_a_hidden_joint_s_pixel_shows_something_nearer(takes):
    """The picture's own depth buffer, against the rays through the joints."""
    some = takes["studio"]
    drawn = render.render(some, 512, 288, seed=0)
    seen, z = drawn.batch.visibility.numpy(), drawn.batch.xyz[..., 2].numpy()
    for state, least in ((HIDDEN, 0.97), (VISIBLE, 0.97)):
        i, p, j = np.nonzero(seen == state)
        column, row = np.floor(drawn.batch.uv[i, p, j].numpy()).astype(int).T
        gap = z[i, p, j] - drawn.depth[i, row, column].numpy()  # from the surface to the joint
        own = drawn.instance[i, row, column].numpy() == p
        good = gap > 0 if state == HIDDEN else own & (gap > -30) & (gap < 250)
        assert len(i) > 200 and good.mean() > least


def test_a_mirrored_person_is_drawn_mirrored(monkeypatch):
    """Nothing but the pose tells left from right: the mirror image of a body is drawn as the picture's mirror image."""
    dress = looks.dress

    def plain(takes, seed):  # no light from one side, no faults of the camera, no things
        scene = dress(takes, seed)
        calm = {"direct": 0, "ambient": 1, "shade": 0, "blur": 0, "noise": 0}
        places = replace(scene.places, **{n: np.full(len(takes), float(v)) for n, v in calm.items()})
        keep = scene.capsules.part < looks.PROP
        boxes = looks._only(scene.boxes, scene.boxes.picture < 0)
        return replace(scene, capsules=looks._only(scene.capsules, keep), places=places, boxes=boxes)

    monkeypatch.setattr(render, "dress", plain)
    some = worlds.takes("solo", 6, seed=1)
    mirror = [POINTS.index(other(name)) for name in POINTS]
    flipped = replace(some, points=some.points[:, :, mirror] * [-1, 1, 1], k=some.k * 1.0)
    flipped.k[:, 2] = some.image[:, 0] - some.k[:, 2]
    one, two = (render.render(t, 120, 120, seed=0) for t in (some, flipped))
    person = one.instance == 0
    assert torch.equal(person, (two.instance == 0).flip(-1)) and person.sum() > 500
    gap = (one.batch.image.int() - two.batch.image.flip(-1).int()).abs().amax(1)[person]
    assert (gap <= 2).float().mean() > 0.99


def other(joint):
    """The same joint of the other side."""
    side = {"r_": "l_", "l_": "r_"}.get(joint[:2])
    return joint if side is None else side + joint[2:]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_the_same_geometry(takes):
    some = takes["studio"][:8]
    one, other_ = (render.render(some, 128, 96, seed=0, device=device) for device in ("cpu", "cuda"))
    assert (one.instance == other_.instance.cpu()).float().mean() > 0.999
    assert (one.batch.visibility == other_.batch.visibility.cpu()).float().mean() > 0.999
