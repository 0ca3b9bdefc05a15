"""The worlds' promises: streams, people, cameras, what is seen. Lengths in mm."""

from dataclasses import replace

import numpy as np
import pytest

from mp3d.errors import BadInput
from mp3d.skeletons import MPI17, NATIVE
from mp3d.synthetic.body import LOWER_ARMS, capsules, segment_distance
from mp3d.synthetic.gatherings import SIZES
from mp3d.synthetic.shots import _shots
from mp3d.synthetic.street import EDGES, SHARES
from mp3d.synthetic.worlds import (
    DUET,
    KINDS,
    MAX_PENETRATION,
    SOLO,
    STREET,
    STUDIO,
    WORLDS,
    films,
    scenes,
    sequences,
)

DRAWN = {"duet": 160, "studio": 60, "street": 32, "solo": 128}
OUTSIDE = {"duet": 0.01, "studio": 0.12, "street": 0.03, "solo": 0.02}  # share of joints outside the image, at most


@pytest.fixture
def small_blocks(monkeypatch):
    """Scenes are drawn by the block; with small ones short streams are cheap, and yet several blocks long."""
    for name, world in WORLDS.items():
        monkeypatch.setitem(WORLDS, name, replace(world, block=4))


@pytest.fixture(scope="module")
def drawn():
    with pytest.MonkeyPatch.context() as patch:
        for name, count in DRAWN.items():
            patch.setitem(WORLDS, name, replace(WORLDS[name], block=count))
        return {name: scenes(name, count, seed=0) for name, count in DRAWN.items()}


@pytest.fixture(scope="module")
def videos():
    return sequences("duet", seed=0, frames=13)


def content(scene):
    """Everything a scene holds, as bytes."""
    camera = scene.camera
    arrays = (scene.xyz, scene.uv, scene.visibility, camera.k, camera.rotation, camera.translation)
    names = (scene.world, scene.sequence, scene.frame, scene.kind, camera.width, camera.height)
    return repr(names).encode() + b"".join(a.tobytes() for a in arrays)


def contents(some):
    return [content(scene) for scene in some]


def inside(scene):
    """(P, 17): which joints fall into the image."""
    return ((scene.uv >= 0) & (scene.uv < [scene.camera.width, scene.camera.height])).all(-1)


# ----------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("world", WORLDS)
def test_a_shorter_stream_is_the_beginning_of_a_longer_one(world, small_blocks):
    kinds = WORLDS[world].kinds[-1:]
    whole = contents(scenes(world, 10, seed=0, kinds=kinds))
    assert contents(scenes(world, 7, seed=0, kinds=kinds)) == whole[:7]
    assert contents(scenes(world, 5, seed=0, kinds=kinds, start=3)) == whole[3:8]
    assert contents(scenes(world, 1, seed=0, kinds=kinds, start=8)) == whole[8:9]  # without what comes before
    assert len(set(whole)) == 10 and scenes(world, 0, seed=0) == []


def test_seeds_splits_and_videos_have_streams_of_their_own(small_blocks, videos):
    some = [scenes("duet", 8, s, p, kinds=["talk"]) for s, p in ((0, "train"), (1, "train"), (0, "test"), (1, "test"))]
    poses = [scene.xyz.tobytes() for part in [*some, *videos] for scene in part]
    assert len(set(poses)) == len(poses)


def test_videos_are_the_same_each_time_and_differ_by_seed_and_split(monkeypatch):
    monkeypatch.setitem(WORLDS, "duet", replace(DUET, videos=DUET.videos[:4]))
    asked = ((0, "test"), (0, "test"), (1, "test"), (0, "train"))
    some, again, *others = (sequences("duet", seed, split, frames=2) for seed, split in asked)
    assert [contents(v) for v in again] == [contents(v) for v in some]
    poses = {video[0].xyz.tobytes() for part in (some, *others) for video in part}
    assert len(poses) == 12


# ------------------------------------------------------------------------------------------ scenes


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_every_kind_and_number_of_people_occurs(world, drawn):
    some = drawn[world.name]
    kinds = [scene.kind for scene in some]
    assert set(kinds) == set(world.kinds)
    share = np.array([kinds.count(kind) for kind in world.kinds]) / len(some)
    assert np.abs(share - 1 / len(world.kinds)).max() < 0.15
    low, high = world.people
    people = [len(scene.people) for scene in some]
    if world is STREET:
        assert min(people) < 6 and max(people) > 40 and 16 < np.mean(people) < 26  # 21 on average in JTA
    else:
        assert set(people) == set(range(low, high + 1))
    assert {(s.camera.width, s.camera.height) for s in some} == set(world.images)


def test_only_the_kinds_that_are_asked_for(small_blocks):
    some = scenes("duet", 8, seed=0, kinds=["apart", "sparring"])
    assert {scene.kind for scene in some} == {"apart", "sparring"}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_a_scene_agrees_with_its_camera(world, drawn):
    shares = []
    for scene in filter(lambda scene: scene.people, drawn[world.name]):
        np.testing.assert_allclose(scene.camera.project(scene.xyz), scene.uv, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(scene.visibility == 0, ~inside(scene))  # 0 only outside the image
        assert inside(scene).mean(-1).min() >= world.inside  # single frames: the promise holds frame by frame
        assert [p.identity for p in scene.people] == list(range(len(scene.people)))
        assert all((p.source == NATIVE).all() and p.skeleton is MPI17 for p in scene.people)
        shares.append(np.bincount(scene.visibility.ravel(), minlength=3) / scene.visibility.size)
        floor = scene.camera.to_world(scene.xyz)[..., 1]
        assert floor.max() < 0 and floor.max(-1).min() > -110  # everybody's lower ankle is at an ankle's height
        turn, place = scene.camera.rotation, scene.camera.to_world(np.zeros(3))
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) > 0 and world.height[0] <= -place[1] <= world.height[1]
        assert world.focal[0] <= scene.camera.fx <= world.focal[1]
    outside, hidden, seen = np.mean(shares, 0)
    assert outside < OUTSIDE[world.name] and 0.1 < hidden < 0.4 and seen > 0.6
    assert world is not STUDIO or outside > 0.03  # people are cut


def test_people_stand_as_far_off_and_as_large_as_in_the_real_data(drawn):
    for world, (near, far) in ((DUET, (2400, 9000)), (STUDIO, (1500, 8000)), (SOLO, (3000, 6000))):
        depth = np.concatenate([scene.roots[:, 2] for scene in drawn[world.name]])
        assert near < depth.min() and depth.max() < far
        low, high = world.depth
        assert ((depth > low - 500) & (depth < high + 500)).mean() > (0.4 if world is STUDIO else 0.95)
        height = np.concatenate([s.boxes[:, 3] / s.camera.height for s in drawn[world.name]])
        assert 0.3 < np.median(height) < 0.6


def test_a_street_is_as_deep_as_in_jta(drawn):
    away = np.concatenate([np.linalg.norm(scene.roots, axis=-1) for scene in drawn["street"]]) / 1000
    assert away.min() >= EDGES[0] and away.max() <= EDGES[-1]
    share = np.histogram(away, EDGES)[0] / len(away)
    assert np.abs(share - SHARES).max() < 0.08
    height = np.concatenate([s.boxes[:, 3] for s in drawn["street"] if s.people])
    assert height.min() > 10 and height.max() < 1100 and np.median(height) < 150  # small people


def test_four_cameras_see_the_solo(drawn):
    cameras = {scene.camera.k.tobytes() + scene.camera.rotation.tobytes(): scene.camera for scene in drawn["solo"]}
    assert len(cameras) == 4
    for camera in cameras.values():  # each looks at the middle of the room, at chest height
        assert camera.project(np.array([[0.0, -930, 0]]) @ camera.rotation.T + camera.translation) == pytest.approx(
            np.array([[camera.cx, camera.cy]])
        )


def test_nobody_passes_through_anybody():
    """Depth of every pair of capsules, from the distance of their axes: at most 90 mm for arms, 30 for the rest."""
    rng, deepest = np.random.default_rng(0), np.zeros(2)
    for world, most in ((DUET, 2), (DUET, 3), (STUDIO, 8)):
        for kind in world.kinds:
            people = min(most, SIZES.get(kind, (0, 8))[1])
            for shots in _shots(world, kind, people, rng, 16 // people):
                first, last, radius = capsules(shots.bodies, shots.points)
                for a in range(people):
                    for b in range(a):
                        p = [v[:, :, a, :, None] for v in (first, last, radius[..., None])]
                        q = [v[:, :, b, None, :] for v in (first, last, radius[..., None])]
                        depth = (p[2] + q[2])[..., 0] - segment_distance(p[0], p[1], q[0], q[1])
                        arms = np.broadcast_to(LOWER_ARMS[:, None] & LOWER_ARMS, depth.shape)
                        deepest = np.maximum(deepest, [depth[arms].max(), depth[~arms].max()])
    assert (deepest <= np.array(MAX_PENETRATION) + 1e-6).all()
    assert MAX_PENETRATION == (90.0, 30.0)  # as the module's docstring says
    assert deepest[0] > 20  # hands do meet


def test_a_studio_of_every_size():
    for people in range(3, 9):
        world = replace(STUDIO, people=(people, people))
        shots = next(_shots(world, "talk", people, np.random.default_rng(people), 2))
        assert shots.points.shape[1:] == (1, people, 22, 3) and (shots.visibility == 2).mean() > 0.4


# ------------------------------------------------------------------------------------------ videos


def test_videos_have_the_people_and_kinds_they_promise(videos):
    assert [v[0].sequence for v in videos] == [f"D{i}" for i in range(1, 21)]
    three = {7, *range(13, 21)}  # as in MuPoTS-3D
    assert {i for i, v in enumerate(videos, 1) if len(v[0].people) == 3} == three
    assert all(len(v[0].people) == 2 for i, v in enumerate(videos, 1) if i not in three)
    assert {v[0].kind for v in videos} == set(KINDS)


def test_a_video_is_of_the_same_people_before_a_fixed_camera(videos):
    bones = [(j, p) for j, p in enumerate(MPI17.parents) if j not in (0, 2, 5, 8, 11, 14)]  # the rigid ones
    child, parent = np.array(bones).T
    for video in videos:
        first = video[0]
        assert [s.frame for s in video] == list(range(13)) and {s.kind for s in video} == {first.kind}
        assert all(s.camera.k.tolist() == first.camera.k.tolist() for s in video)
        assert all((s.camera.rotation == first.camera.rotation).all() for s in video)
        assert all([p.identity for p in s.people] == [p.identity for p in first.people] for s in video)
        xyz = np.stack([s.xyz for s in video])
        length = np.linalg.norm(xyz[..., child, :] - xyz[..., parent, :], axis=-1)
        np.testing.assert_allclose(length, length[:1].repeat(13, 0), rtol=1e-9)  # nobody is exchanged
        speed = np.linalg.norm(np.diff(xyz, axis=0), axis=-1) * DUET.rate / 1000
        assert 0.02 < speed.max() < 10  # m/s
        assert np.mean([inside(s).mean(-1) for s in video], 0).min() >= DUET.inside


@pytest.mark.parametrize("world", [STREET, SOLO, STUDIO], ids=lambda world: world.name)
def test_videos_of_the_other_worlds(world):
    for film, (name, kind, people) in zip(films(world.name, 0, frames=3), world.videos, strict=True):
        assert film.sequence == (name,) * 3 and film.kind == (kind,) * 3
        assert film.people.tolist() == [people] * 3 and film.frame.tolist() == [0, 1, 2]
        assert (film.size == film.size[:1])[:, :people].all() and (film.rotation == film.rotation[:1]).all()
        xyz = film.points[:, :people]
        bone = np.linalg.norm(xyz[:, :, 9] - xyz[:, :, 10], axis=-1)  # a shank: everyone keeps their place
        np.testing.assert_allclose(bone, bone[:1].repeat(3, 0), rtol=1e-9)
        speed = np.linalg.norm(np.diff(xyz, axis=0), axis=-1) * world.rate / 1000
        assert 0 < speed.max() < 10


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scenes("Duet", 1, 0), "world: found 'Duet', expected one of duet, studio, street, solo"),
        (lambda: sequences("town", 0), "world: found 'town'"),
        (lambda: scenes("duet", 1, 0, split="val"), "split: found 'val', expected one of train, test"),
        (lambda: sequences("duet", 0, split="all"), "split: found 'all'"),
        (lambda: scenes("duet", 1, 0, kinds=["hug"]), "kinds: found 'hug'"),
        (lambda: scenes("studio", 1, 0, kinds=["sparring"]), "kinds: found 'sparring'"),
        (lambda: scenes("duet", 1, 0, kinds=[]), "count, start, kinds"),
        (lambda: scenes("duet", -1, 0), "count, start, kinds"),
        (lambda: scenes("duet", 1, 0, start=-1), "count, start, kinds"),
        (lambda: scenes("solo", 1, 0, "overlap"), "split: found 'overlap' of solo"),
        (lambda: sequences("duet", 0, "border"), "split: found 'border'"),
        (lambda: sequences("duet", 0, frames=0), "frames: found 0, expected at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(BadInput, match=message):
        call()
