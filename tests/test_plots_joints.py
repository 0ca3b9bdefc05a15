"""Figures of joint sets and cameras show what they are given, stay small, refuse what they cannot draw."""

import warnings

import numpy as np
import pandas as pd
import pytest

from mp3d.camera import Camera
from mp3d.data import coco
from mp3d.data.writers import coco as coco_writer
from mp3d.errors import BadInput
from mp3d.experiments.data_tour import NECKS, SETS, sources
from mp3d.plots import joints, style
from mp3d.scene import Person, Scene
from mp3d.skeletons import COCO17, CORE14, H36M17, JTA22, MPI17, Skeleton


def test_every_joint_of_every_set_has_a_place_and_its_number():
    fig = joints.joint_sets([*SETS, CORE14])
    assert style.points(fig) <= style.MAX_POINTS
    for number, skeleton in enumerate([*SETS, CORE14], 1):
        axis = "x" if number == 1 else f"x{number}"
        marks = [t for t in fig.data if t.xaxis == axis and t.text is not None]
        shown = {int(j): name for t in marks for j, name in zip(t.text, t.hovertext, strict=True)}
        assert shown == dict(enumerate(skeleton.joints))
        places = {(x, y) for t in marks for x, y in zip(t.x, t.y, strict=True)}
        assert len(places) == len(skeleton), f"two joints of {skeleton} at one place"


def test_sides_are_those_of_a_person_who_faces_the_reader():
    fig = joints.joint_sets([COCO17])
    at = {name: x for t in fig.data if t.text is not None for name, x in zip(t.hovertext, t.x, strict=True)}
    assert at["r_wrist"] < at["r_shoulder"] < 0 < at["l_shoulder"] < at["l_wrist"] and at["nose"] == 0


def test_what_mpi17_takes_of_a_set():
    assert (joints._uses(MPI17) == 0).all()
    uses = dict(zip(H36M17.joints, joints._uses(H36M17).tolist(), strict=True))
    assert [name for name, use in uses.items() if use == 1] == ["torso", "thorax", "nose", "head_upper"]
    uses = dict(zip(JTA22.joints, joints._uses(JTA22).tolist(), strict=True))
    assert uses["spine2"] == 1 and uses["l_hip"] == 0 and uses["spine4"] == uses["l_clavicle"] == 2


def test_a_joint_without_a_place_is_refused():
    with pytest.raises(BadInput, match="tail"):
        joints.joint_sets([Skeleton("CAT", ("head", "tail"), (-1, 0), None)])


def test_source_map_has_the_flags():
    df = sources()
    fig = joints.source_map(df)
    np.testing.assert_array_equal(fig.data[0].z, df.to_numpy())
    row = list(fig.data[0].text)[list(df.index).index("COCO17")]
    assert row[MPI17.index("neck")] == "mid" and row[MPI17.index("spine")] == "–" and row[MPI17.index("r_hip")] == ""
    for bad in (df + 1, df.iloc[:0]):
        with pytest.raises(BadInput, match="source_map"):
            joints.source_map(bad)


def test_side_by_side_draws_rays_and_people_without_depth(tmp_path):
    camera = Camera(1000, 500, 400, 300, 800, 600)
    xyz = np.column_stack([np.arange(17.0) * 10, np.arange(17.0) * 20, np.full(17, 2000.0)])
    coco_writer.fixture(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig = joints.side_by_side({"one": Scene(camera, (Person.of(xyz, camera),)), "two": next(coco.scenes(tmp_path))})
    edge = fig.data[0]
    assert edge.x.tolist() == pytest.approx([-0.4, 0.4, 0.4, -0.4, -0.4])
    assert edge.y.tolist() == pytest.approx([-0.6, -0.6, 0.6, 0.6, -0.6])
    drawn = {(t, x, y) for d in fig.data[1:4] for t, x, y in zip(d.text, d.x.tolist(), d.y.tolist(), strict=True) if t}
    assert all((x, y) == pytest.approx(xyz[MPI17.index(t), :2] / 2000) for t, x, y in drawn)
    assert {t for t, _, _ in drawn} == set(MPI17.joints)
    assert any(t.xaxis == "x2" and t.text is not None for t in fig.data)
    with pytest.raises(BadInput, match="side_by_side"):
        joints.side_by_side({})


def test_side_by_side_draws_the_nearest_of_a_crowd():
    camera = Camera(1000, 1000, 500, 500, 1000, 1000)
    people = [Person.of(np.zeros((17, 3)) + [0, 0, z], camera, identity=i) for i, z in enumerate((9e3, 2e3, 5e3))]
    fig = joints.side_by_side({"crowd": Scene(camera, tuple(people))}, people=2)
    assert len(fig.data) == 1 + 2 * 3  # the edge, and three strokes a person


def test_curves():
    gap = pd.DataFrame({"radius": [0.0, 100.0, 2000.0], "gap": [0.0, 0.5, 9.0]})
    fig = joints.lens_gap({"none": gap})
    assert fig.data[0].y.tolist() == [0.5]  # no logarithm of 0; nothing beyond the picture
    with pytest.raises(BadInput, match="gap"):
        joints.lens_gap({"none": gap.rename(columns={"gap": "x"})})
    fig = joints.neck_rule(np.array([0.0, 0.2]), np.array([40.0, 60.0]), NECKS, {"SMAP": 0.185})
    assert fig.data[0].y.tolist() == [40, 60] and [t.name for t in fig.data[1:]] == [
        "Human3.6M, real", "MPI-INF-3DHP, real", "Panoptic, real",
    ]  # fmt: skip
    assert fig.data[1].y.tolist() == [60.5, 41] and fig.data[1].error_y.array.tolist() == [18.5, 0]
