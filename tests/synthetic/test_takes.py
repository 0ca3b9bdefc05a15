"""Takes: arrays that say the same as the scenes; visibility of crowds; boxes. Lengths in mm."""

from dataclasses import fields, replace

import numpy as np
import pytest

from mp3d.errors import BadInput
from mp3d.synthetic.body import Body, sample_body, visibility
from mp3d.synthetic.interactions import INTERACTIONS
from mp3d.synthetic.motion import Draw
from mp3d.synthetic.sight import seen
from mp3d.synthetic.takes import join, largest_iou, takes_of
from mp3d.synthetic.worlds import WORLDS, takes


@pytest.fixture(scope="module")
def duet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WORLDS, "duet", replace(WORLDS["duet"], block=16))
        return takes("duet", 24, 3, "test", ["talk", "pass_ball"], start=5)


def test_scenes_hold_what_takes_hold(duet):
    assert len(duet) == 24 and duet.start == 5 and duet.points.shape == (24, 3, 22, 3)
    for i, scene in enumerate(duet.scenes()):
        n = len(scene.people)
        assert n == duet.people[i] and np.isnan(duet.points[i, n:]).all() and (duet.visibility[i, n:] == 0).all()
        np.testing.assert_array_equal(scene.xyz, duet.points[i, :n, :17])
        np.testing.assert_array_equal(scene.visibility, duet.visibility[i, :n])
        np.testing.assert_array_equal(scene.uv, duet.uv[i, :n])
        assert (scene.world, scene.sequence, scene.frame, scene.kind) == ("duet", "test-3", 5 + i, duet.kind[i])
        np.testing.assert_array_equal(scene.camera.k, duet.k[i])
        assert (scene.camera.width, scene.camera.height) == tuple(duet.image[i])
    assert duet.motion == "rules" and set(duet.people) == {2, 3}


def test_slices_and_joins_keep_frames_together(duet):
    part = duet[3:9]
    assert len(part) == 6 and part.start == 8 and part.kind == duet.kind[3:9]
    np.testing.assert_array_equal(part.points, duet.points[3:9])
    again = join([duet[:3], part, duet[9:]])
    assert again.kind == duet.kind and again.frame.tolist() == duet.frame.tolist()
    np.testing.assert_array_equal(again.size, duet.size)
    back = duet.take(np.arange(24)[::-1])
    assert back.kind == duet.kind[::-1] and back.frame.tolist() == duet.frame.tolist()[::-1]
    assert len(duet[:0]) == 0 and duet[:0].scenes() == [] and duet[:0].start == 0


def test_a_ball_is_where_hands_are(duet):
    """Of those who pass a ball it is within reach of a wrist or in the air between people; of others there is none."""
    there = np.isfinite(duet.ball).all(-1)
    assert there.tolist() == [kind == "pass_ball" for kind in duet.kind]
    wrists = duet.points[there][:, :, [4, 7]].reshape(there.sum(), -1, 3)
    away = np.nanmin(np.linalg.norm(wrists - duet.ball[there][:, None], axis=-1), 1)
    assert np.median(away) < 300 and away.max() < 2000
    assert np.isnan(duet.table).all()


def test_a_world_that_was_drawn_is_not_changed_by_who_gets_it(duet):
    first = takes("solo", 4, 0)
    first.points[:] = 0
    assert (takes("solo", 4, 0).points[:, 0, :, 2] > 1000).all()


# -------------------------------------------------------------------------------------- visibility


def crowd(people, scenes, seed):
    """Bodies (scenes, people) and points in the camera frame, close together."""
    rng = np.random.default_rng(seed)
    bodies = sample_body(rng, (scenes, 1, people))
    points = INTERACTIONS["apart"](Draw(rng, scenes), bodies, rng.uniform(0, 20, (scenes, 1))).points[:, 0]
    return bodies[:, 0], points + rng.uniform([-2000, 900, 3000], [2000, 1500, 9000], (scenes, 1, 1, 3))


@pytest.mark.parametrize("people", [1, 2, 7])
def test_a_crowd_is_seen_as_by_the_plain_test(people):
    bodies, points = crowd(people, 12, people)
    points = np.where(points[..., 2:] > 600, points, points + [0.0, 0, 4000])
    inside = np.random.default_rng(0).random((12, people, 17)) < 0.9
    size, scene = (bodies.stature * bodies.girth).reshape(-1), np.arange(12).repeat(people)
    found = seen(size, points.reshape(-1, 22, 3), inside.reshape(-1, 17), scene)
    expected = visibility(bodies, points, inside)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    assert (expected == 1).mean() > 0.1


def test_people_of_other_scenes_hide_nobody():
    bodies, points = crowd(1, 1, 0)
    size = np.repeat(bodies.stature * bodies.girth, 2)
    two = np.concatenate([points[:, 0], points[:, 0] + [0.0, 0, 400]])  # one right behind the other
    inside = np.ones((2, 17), bool)
    assert (seen(size, two, inside, np.array([0, 0]))[1] == 1).mean() > 0.8
    np.testing.assert_array_equal(
        seen(size, two, inside, np.array([0, 1])), visibility(crowd_body(size), two[:, None], inside[:, None])[:, 0]
    )


def crowd_body(size):
    return Body(*((size if f.name == "stature" else np.ones_like(size))[:, None] for f in fields(Body)))


def test_takes_of_given_people(duet):
    more = {name: getattr(duet, name) for name in ("kind", "sequence", "frame", "world", "split", "seed")}
    made = takes_of(duet.points, duet.size, duet.k, duet.image, duet.rotation, duet.translation, **more)
    np.testing.assert_array_equal(made.visibility, duet.visibility)  # of duet by `body.visibility`
    assert np.isnan(made.ball).all() and made.motion == "rules"


def test_takes_of_bad_input(duet):
    more = {name: getattr(duet, name) for name in ("kind", "sequence", "frame", "world", "split", "seed")}
    arrays = [duet.points, duet.size, duet.k, duet.image, duet.rotation, duet.translation]
    with pytest.raises(BadInput, match="size: found an empty place"):
        takes_of(arrays[0], arrays[1] * [[np.nan, 1, 1]], *arrays[2:], **more)
    with pytest.raises(BadInput, match="points: found a joint behind"):
        takes_of(-arrays[0], *arrays[1:], **more)
    with pytest.raises(BadInput, match="index: found 3"):
        duet[3]


# ------------------------------------------------------------------------------------------- boxes


def test_largest_overlap_by_hand():
    """Boxes 0..2 and 1..3 of height 1: intersection 1, union 3; empty places and one person overlap nobody."""
    uv = np.full((3, 3, 2, 2), np.nan)
    uv[0, 0], uv[0, 1] = [[0, 0], [2, 1]], [[1, 0], [3, 1]]
    uv[1, 0] = [[0, 0], [2, 1]]
    uv[2] = [[[0, 0], [1, 1]], [[5, 5], [6, 6]], [[0, 0], [1, 0.5]]]
    np.testing.assert_allclose(largest_iou(uv), [1 / 3, 0, 0.5])
    assert largest_iou(uv[:, :1]).tolist() == [0, 0, 0]
