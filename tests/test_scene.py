"""People and scenes: one joint set in, the canonical one out, and what is absent stays absent."""

import numpy as np
import pytest

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import ABSENT, COCO17, DERIVED, MPI17, NATIVE, PANOPTIC19

CAMERA = Camera(1000, 1000, 500, 400, 1000, 800)


def test_nobody_is_somebody_with_zero_people():
    empty = Scene(CAMERA, ())
    shapes = [getattr(empty, name).shape for name in ("xyz", "uv", "visibility", "roots", "boxes")]
    assert shapes == [(0, 17, 3), (0, 17, 2), (0, 17), (0, 3), (0, 4)]
    assert empty.visibility.dtype == np.uint8


def test_canonical_keeps_the_native_joints():
    xyz = np.random.default_rng(0).normal(size=(19, 3)) + (0, 0, 3000)
    xyz[PANOPTIC19.index("r_wrist")] = np.nan
    native = Person.of(xyz, CAMERA, identity=4, skeleton=PANOPTIC19)
    person = native.canonical()
    assert person.native is native and person.identity == 4 and person.skeleton is MPI17
    assert (person.root == xyz[PANOPTIC19.index("pelvis")]).all()
    assert person.source[MPI17.index("r_wrist")] == ABSENT and np.isnan(person.xyz[MPI17.index("r_wrist")]).all()
    assert person.source[MPI17.index("l_knee")] == NATIVE
    assert person.source[MPI17.index("head_top")] == ABSENT == person.visibility[MPI17.index("head_top")]
    assert person.canonical() is person


def test_canonical_in_two_dimensions():
    """COCO: no 3D anywhere; a midpoint is as visible as its worse end."""
    uv = np.random.default_rng(1).uniform(0, 800, (17, 2))
    seen = np.full(17, VISIBLE, np.uint8)
    seen[COCO17.index("l_hip")] = HIDDEN
    coco = Person(np.full((17, 3), np.nan), uv, seen, np.ones(17, np.uint8), skeleton=COCO17)
    person = coco.canonical()
    pelvis = MPI17.index("pelvis")
    assert (person.uv[pelvis] == uv[[11, 12]].mean(0)).all()
    assert person.source[pelvis] == DERIVED and person.visibility[pelvis] == HIDDEN
    assert np.isnan(person.xyz).all()
    with pytest.raises(BadInput, match="a joint set with a root"):
        _ = coco.root
