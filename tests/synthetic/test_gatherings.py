"""Gatherings and people alone: who sits where, hands on tables, who looks at whom. Lengths in mm."""

import numpy as np
import pytest

from mp3d.synthetic.body import sample_body
from mp3d.synthetic.gatherings import ALONE, GATHERINGS, SIZES
from mp3d.synthetic.motion import Draw
from mp3d.synthetic.shots import _shots, _spared
from mp3d.synthetic.worlds import STUDIO

N, HEAD, PELVIS, WRISTS = 24, 16, 14, [4, 7]


@pytest.fixture(scope="module", params=[(kind, p) for kind in GATHERINGS for p in sorted({*SIZES[kind]})], ids=str)
def act(request):
    kind, people = request.param
    rng = np.random.default_rng(people)
    bodies = sample_body(rng, (N, 1, people))
    t = rng.uniform(0, 20, (N, 1)) + np.arange(5) / 5
    return kind, people, GATHERINGS[kind](Draw(rng, N), bodies, t)


def test_people_stand_or_sit_on_the_floor(act):
    kind, people, act = act
    assert act.points.shape == (N, 5, people, 22, 3) and np.isfinite(act.points).all()
    ankles = -act.points[..., [10, 13], 1]
    assert ankles.min() > 0 and (ankles.min(-1) < 110).mean() > 0.95
    pelvis = -act.points[..., PELVIS, 1].mean((1, 2))
    if kind in ("haggling", "pizza"):
        assert pelvis.min() > 750
    elif kind == "ultimatum":
        assert pelvis.max() < 700
    else:  # seated or standing, all of a circle
        assert 5 < (pelvis < 650).sum() < N and ((pelvis < 650) | (pelvis > 750)).all()


def test_hands_are_over_the_table(act):
    kind, _, act = act
    if kind in ("haggling", "mafia"):
        assert act.table is None
        return
    x, z, radius, height = act.table.T[..., None, None]
    away = np.hypot(act.points[..., PELVIS, 0] - x, act.points[..., PELVIS, 2] - z)
    assert (away > radius).all() and (away < radius + 420).all()  # nobody's trunk is in it, everybody is at it
    wrists = act.points[..., WRISTS, :]
    x, z, radius, height = (v[..., None] for v in (x, z, radius, height))
    over = (np.hypot(wrists[..., 0] - x, wrists[..., 2] - z) < radius) & (-wrists[..., 1] > height)
    assert over.any(-1).mean() > (0.9 if kind == "ultimatum" else 0.2)


def test_a_circle_faces_its_middle(act):
    _, _, act = act
    roots = act.points[..., PELVIS, ::2]
    ahead = act.points[..., 21, ::2] - act.points[..., HEAD, ::2]  # where the nose is
    inward = roots.mean(2, keepdims=True) - roots
    cos = (ahead * inward).sum(-1) / np.linalg.norm(ahead, axis=-1) / np.linalg.norm(inward, axis=-1)
    assert np.median(cos) > 0.7


def test_no_bone_passes_through_a_table_top():
    """A person upright at the origin: a top of 500 mm at 700 mm height cuts the legs, one 2 m away does not."""
    points = np.zeros((3, 1, 1, 22, 3))
    points[..., 1] = -np.linspace(0, 1700, 22)
    table = np.array([[0.0, 0, 500, 700], [2000, 0, 500, 700], [np.nan] * 4])
    assert _spared(points, table).tolist() == [False, True, True]
    assert _spared(points, table + [[0, 0, 0, 1100]]).tolist() == [True, True, True]  # above the head
    points[..., 0] = 1000 - np.linspace(0, 1700, 22)  # leaning: over the top's edge above it, outside below
    assert _spared(points[:1], np.array([[0.0, 0, 250, 700]])).tolist() == [True]


@pytest.mark.parametrize("kind", ["ultimatum", "pizza"])
def test_tables_stand_in_the_takes(kind):
    (shots,) = list(_shots(STUDIO, kind, 4, np.random.default_rng(0), 2))[:1]
    takes = shots.takes(STUDIO, "train", 0, kind, "train-0", np.arange(len(shots.k)))
    assert np.isfinite(takes.table).all() and (takes.table[:, 2] > 300).all() and (takes.table[:, 3] > 600).all()
    world = (takes.points[:, :4] - takes.translation[:, None, None]) @ takes.rotation[:, None]
    away = np.hypot(world[:, :, PELVIS, 0] - takes.table[:, :1], world[:, :, PELVIS, 2] - takes.table[:, 1:2])
    assert (away > takes.table[:, 2:3]).all()  # the table is where the people are, in the world's frame
    assert np.isnan(takes.ball).all()


@pytest.mark.parametrize("kind", ALONE)
def test_one_person_alone(kind):
    rng = np.random.default_rng(0)
    t = np.arange(9)[None] / 8 + np.zeros((N, 1))
    act = ALONE[kind](Draw(rng, N), sample_body(rng, (N, 1, 1)), t)
    assert act.points.shape == (N, 9, 1, 22, 3) and act.table is None and np.isnan(act.ball).all()
    roots = act.points[:, :, 0, PELVIS]
    assert np.abs(roots[..., ::2]).max() < 2300
    way = np.linalg.norm(np.diff(roots, axis=1), axis=-1).sum(1)
    assert (way > 500).all() == (kind == "walking")
    assert (np.median(-roots[..., 1]) < 650) == (kind == "sitting")
