"""Joint sets against the tables of the data sets' own papers and code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3d import skeletons
from mp3d.errors import BadInput
from mp3d.skeletons import (
    ABSENT,
    APPROXIMATE,
    COCO17,
    CORE14,
    DERIVED,
    H36M17,
    JTA22,
    MPI17,
    MPI28,
    MPII16,
    MUCO21,
    NATIVE,
    PANOPTIC15,
    PANOPTIC19,
    SMAP15,
    SMPL24,
    convert,
    convert_visibility,
    flip,
)

ALL = [MPI17, CORE14, MUCO21, SMAP15, H36M17, COCO17, PANOPTIC15, PANOPTIC19, JTA22, MPII16, MPI28, SMPL24]
sets = st.sampled_from(ALL)


def poses(skeleton, seed=0, batch=(2,)):
    return np.random.default_rng(seed).normal(size=(*batch, len(skeleton), 3))


@pytest.mark.parametrize("skeleton", ALL, ids=str)
def test_the_name_tells_the_size_and_the_import(skeleton):
    assert len(skeleton) == int(skeleton.name[-2:])
    assert getattr(skeletons, skeleton.name) is skeleton


@pytest.mark.parametrize("skeleton", ALL, ids=str)
def test_tree_and_mirror(skeleton):
    mirror = np.array(skeleton.mirror)
    assert (mirror[mirror] == np.arange(len(skeleton))).all()
    assert skeleton.parents.count(-1) == 1
    assert skeleton.root is None or skeleton.parents[skeleton.root] == -1
    for joint in range(len(skeleton)):  # every joint hangs on the top, without a cycle
        steps = 0
        while joint >= 0:
            joint, steps = skeleton.parents[joint], steps + 1
            assert steps <= len(skeleton)
    # the parent of a mirrored joint is the mirrored parent, but where the tree hangs on one side (COCO)
    if skeleton is not COCO17:
        parents = np.array(skeleton.parents)
        inner = parents >= 0
        assert (mirror[parents[inner]] == parents[mirror[inner]]).all()


def test_mupots_order_and_parents():
    assert MPI17.index("pelvis") == 14 == MPI17.root
    # specs: 1,15,1,2,3,1,5,6,14,8,9,14,11,12,14,14,1 with the root its own parent in MATLAB
    assert MPI17.parents == (1, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1)
    pairs = {(j, m) for j, m in enumerate(MUCO21.mirror) if j < m}
    assert pairs == {(2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (17, 18), (19, 20)}


# published index lists: what stands at each place of the first set, as an index into the second
PERMUTATIONS = [
    (MPI17, SMAP15, [1, 0, 14, 5, 6, 7, 11, 12, 13, 2, 3, 4, 8, 9, 10]),
    (SMAP15, MPI17, [1, 0, 9, 10, 11, 3, 4, 5, 12, 13, 14, 6, 7, 8, 2, None, None]),
    (H36M17, MPI17, [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]),
    (MUCO21, MPI17, list(range(17))),
    (MPI17, CORE14, list(range(1, 15))),
    (JTA22, MPI17, [0, 2, 4, 5, 6, 8, 9, 10, 16, 17, 18, 19, 20, 21, (16, 19), 13, 1]),
    (
        COCO17,
        MPI17,
        [None, (5, 6), 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, (11, 12), None, (3, 4)],
    ),
    (PANOPTIC19, MPI17, [None, 0, 9, 10, 11, 3, 4, 5, 12, 13, 14, 6, 7, 8, 2, None, (16, 18)]),
    (PANOPTIC15, MPI17, [1, 0, 9, 10, 11, 3, 4, 5, 12, 13, 14, 6, 7, 8, 2, None, None]),
    (MPII16, MPI17, [9, 7, 12, 11, 10, 13, 14, 15, 2, 1, 0, 3, 4, 5, 6, None, None]),
]


@pytest.mark.parametrize(("src", "dst", "table"), PERMUTATIONS, ids=lambda x: str(x) if x in ALL else "")
def test_conversion_tables(src, dst, table):
    given_poses = poses(src)
    got, source = convert(given_poses, src, dst)
    for joint, part in enumerate(table):
        if part is None:
            assert np.isnan(got[:, joint]).all() and source[joint] == ABSENT
        elif isinstance(part, tuple):
            np.testing.assert_allclose(got[:, joint], given_poses[:, list(part)].mean(1), atol=1e-12)
            assert source[joint] in (DERIVED, APPROXIMATE)
        else:
            np.testing.assert_array_equal(got[:, joint], given_poses[:, part])


def test_what_is_approximate():
    def flagged(src, flag):
        return {MPI17.joints[j] for j in np.flatnonzero(convert(poses(src), src, MPI17)[1] == flag)}

    assert flagged(H36M17, APPROXIMATE) == {"head_top", "neck", "spine", "head"}
    assert flagged(JTA22, APPROXIMATE) == {"spine"}
    assert flagged(JTA22, DERIVED) == {"pelvis"}
    assert flagged(COCO17, DERIVED) == {"neck", "pelvis"}
    assert flagged(PANOPTIC19, APPROXIMATE) == {"head"}


def test_core14_is_native_or_a_midpoint_everywhere_but_in_human36m():
    for src in ALL:
        source = convert(poses(src), src, CORE14)[1]
        wanted = {NATIVE, DERIVED, APPROXIMATE} if src is H36M17 else {NATIVE, DERIVED}
        assert set(source) <= wanted, src


@given(sets, sets)
def test_there_and_back_is_the_identity_where_both_are_native(src, dst):
    given_poses = poses(src)
    there, out = convert(given_poses, src, dst)
    back, home = convert(there, dst, src)
    for joint, name in enumerate(src.joints):
        if name in dst.joints:
            assert home[joint] == NATIVE == out[dst.index(name)]
            np.testing.assert_array_equal(back[:, joint], given_poses[:, joint])


@given(sets)
def test_to_itself_is_the_identity(skeleton):
    given_poses = poses(skeleton)
    got, source = convert(given_poses, skeleton, skeleton)
    np.testing.assert_array_equal(got, given_poses)
    assert (source == NATIVE).all()


@given(sets)
def test_flipping_twice_is_the_identity(skeleton):
    given_poses = poses(skeleton)
    np.testing.assert_array_equal(flip(flip(given_poses, skeleton), skeleton), given_poses)


def test_a_flip_swaps_right_and_left():
    pose = np.zeros((17, 3))
    pose[MPI17.index("r_wrist")] = (-300, 10, 20)
    np.testing.assert_array_equal(flip(pose, MPI17)[MPI17.index("l_wrist")], (300, 10, 20))


def test_a_missing_joint_stays_missing():
    pose = poses(COCO17)
    pose[:, COCO17.index("l_hip")] = np.nan
    got, _ = convert(pose, COCO17, MPI17)
    assert np.isnan(got[:, [11, 14]]).all() and np.isfinite(got[:, 8]).all()


def test_bad_input():
    with pytest.raises(BadInput, match="16 joints, expected 17 for H36M17"):
        convert(np.zeros((16, 3)), H36M17, MPI17)
    with pytest.raises(BadInput, match="r_knee"):
        MPI17.index("right_knee")


def test_mpi28_holds_mpi17_and_muco21():
    """specs of MPI-INF-3DHP: the selection that its own code calls 'relevant', and MuCo's four extras."""
    native = poses(MPI28)
    mpi17, source = convert(native, MPI28, MPI17)
    assert (source == NATIVE).all()
    assert (mpi17 == native[:, [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]]).all()
    assert (convert(native, MPI28, MUCO21)[0][:, 17:] == native[:, [17, 12, 27, 22]]).all()


def test_smpl24_in_mpi17():
    native = poses(SMPL24)
    mpi17, source = convert(native, SMPL24, MPI17)
    wanted = [12, 17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7, 0, 6, 15]
    assert (mpi17[:, 1:] == native[:, wanted]).all()
    assert source[0] == ABSENT and source[15] == APPROXIMATE and (np.delete(source, [0, 15]) == NATIVE).all()


def test_a_midpoint_is_as_visible_as_the_worse_end():
    seen = np.full(17, 2, np.uint8)
    seen[[COCO17.index("l_hip"), COCO17.index("nose")]] = 1, 0
    mpi17 = convert_visibility(seen, COCO17, MPI17)
    assert mpi17[MPI17.index("pelvis")] == 1
    assert mpi17[MPI17.index("neck")] == 2
    assert mpi17[MPI17.index("head_top")] == 0 == mpi17[MPI17.index("spine")]
    with pytest.raises(BadInput, match="16 joints"):
        convert_visibility(seen[:16], COCO17, MPI17)
