"""Crowds: nobody stands in anybody, the number of people is kept, empty streets. Lengths in mm."""

from dataclasses import replace

import numpy as np
import pytest

from mp3d.synthetic import street
from mp3d.synthetic.body import Body, penetration, sample_body
from mp3d.synthetic.worlds import MAX_PENETRATION, STREET, WORLDS, films, takes


def test_a_full_street_of_a_small_size_is_not_entangled(monkeypatch):
    """40 people within 12 m: of every pair the exact test of `body.penetration`."""
    monkeypatch.setattr(street, "_DRAWN", (1.0, 0.0, 0.0, 0.0, 0.0))
    rng = np.random.default_rng(0)
    k, image, rotation, translation = street._cameras(STREET, rng, 1)
    crowd = street._crowd(STREET, ("mixed",), np.array([40]), rng, k, image, rotation, translation, 1)
    assert 15 < len(crowd.scene) <= 40
    a, b = np.triu_indices(len(crowd.scene), 1)
    for contact, limit in zip((True, False), MAX_PENETRATION, strict=True):
        one, other = crowd.body[a][:, None], crowd.body[b][:, None]
        assert penetration(one, crowd.points[a], other, crowd.points[b], contact).max() <= limit


def test_who_stands_in_somebody_is_not_let_in():
    body = sample_body(np.random.default_rng(0), (3,))
    points = takes("solo", 1, 0, kinds=["standing"]).points[:, :1].repeat(3, 0)
    points = points + np.array([0.0, 50.0, 3000.0])[:, None, None, None] * [1, 0, 0]
    crowd = street.Crowd(np.array([0, 0, 0]), np.array([7, 8, 9]), body, points)
    assert street._admitted(crowd, 1, np.array([3])).tolist() == [0, 2]
    assert street._admitted(crowd, 0, np.array([1])).tolist() == [0]  # no more than there are to be
    apart = replace_scene(crowd, [0, 1, 1])
    assert street._admitted(apart, 0, np.array([1, 2])).tolist() == [0, 1, 2]


def replace_scene(crowd, scene):
    return street.Crowd(np.array(scene), crowd.group, crowd.body, crowd.points)


def test_nobody_is_left_out_or_added(monkeypatch):
    monkeypatch.setitem(WORLDS, "street", replace(STREET, people=(9, 9), block=4))
    some = takes("street", 4, 0)
    assert some.people.tolist() == [9] * 4 and some.points.shape[1] == 9
    assert np.isnan(some.ball).all() and np.isnan(some.table).all()


def test_a_street_may_be_empty(monkeypatch):
    monkeypatch.setitem(WORLDS, "street", replace(STREET, people=(0, 0), block=4))
    some = takes("street", 3, 0)
    assert some.people.tolist() == [0, 0, 0] and [s.people for s in some.scenes()] == [()] * 3
    assert some.uv.shape == (3, 0, 17, 2)


def test_walkers_walk_and_talkers_stay(monkeypatch):
    videos = (("C1", "passing", 6), ("C2", "gathered", 6))
    monkeypatch.setitem(WORLDS, "street", replace(STREET, videos=videos))
    monkeypatch.setattr(street, "KINDS", {"passing": (0, 1, 0, 0, 0, 0, 0, 0), "gathered": (0, 0, 0, 0, 0, 1, 0, 0)})
    roots = [film.points[:, :6, 14] for film in films("street", 0, frames=9)]
    walk, talk = (np.linalg.norm(root[-1] - root[0], axis=-1) for root in roots)
    assert walk.min() > 300 and talk.max() < 200  # within 0.64 s


def test_bodies_in_a_row_are_joined():
    body = sample_body(np.random.default_rng(0), (2,))
    crowd = street.Crowd(np.array([0, 1]), np.array([0, 1]), body, np.zeros((2, 1, 22, 3)))
    both = street._joined([crowd, crowd.take(np.array([1]))])
    assert isinstance(both.body, Body) and both.scene.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(both.body.stature, body.stature[[0, 1, 1]])


@pytest.mark.parametrize("kind", street.KINDS)
def test_weights_are_of_all_groups(kind):
    assert len(street.KINDS[kind]) == len(street._GROUPS) and sum(street.KINDS[kind]) == pytest.approx(1)
