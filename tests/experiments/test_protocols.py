"""The same predictions under several protocols: what must hold whatever the predictions are."""

import numpy as np
import pytest

from mp3d.experiments import protocols
from mp3d.metrics import mupots
from mp3d.skeletons import MPI17


@pytest.fixture(scope="module")
def found():
    videos = protocols.test_videos(3)
    truth = protocols.annotated(videos)
    return videos, truth, protocols.variants(truth, *protocols.predicted(videos, 1))


def test_videos_are_as_long_in_proportion_as_mupots(found):
    lengths = [len(video) for video in protocols.test_videos(40)]
    assert len(lengths) == 20 and max(lengths) == lengths[14] == 40 and min(lengths) == lengths[17] == 6


def test_everybody_has_one_size_and_stands_where_they_stood(found):
    _, truth, _ = found
    for video in truth.values():
        parents, children = map(list, zip(*MPI17.limbs))
        size = np.linalg.norm(video.univ_annot3[:, :, children] - video.univ_annot3[:, :, parents], axis=-1).sum(-1)
        np.testing.assert_allclose(size, protocols.ADULT)
        np.testing.assert_allclose(video.univ_annot3[:, :, 14], video.annot3[:, :, 14])


def test_the_one_size_is_about_the_mean_of_the_people():
    parents, children = map(list, zip(*MPI17.limbs))
    xyz = np.concatenate([scene.xyz for video in protocols.test_videos(4) for scene in video])
    mean = np.linalg.norm(xyz[:, children] - xyz[:, parents], axis=-1).sum(-1).mean()
    assert mean == pytest.approx(protocols.ADULT, rel=0.01)


def test_predictions_are_the_same_for_a_seed_and_agree_with_their_pixels(found):
    videos, truth, _ = found
    uv, xyz = protocols.predicted(videos, 1)
    again = protocols.predicted(videos, 1)
    assert all((uv[name] == again[0][name]).all() and (xyz[name] == again[1][name]).all() for name in uv)
    assert any(
        (a.shape != b.shape or (a != b).any()) for a, b in zip(uv.values(), protocols.predicted(videos, 2)[0].values())
    )
    scene = videos[0][0]
    np.testing.assert_allclose(scene.camera.project(xyz["TS1_img_000000"]), uv["TS1_img_000000"])
    official = mupots.evaluate(truth, uv, xyz)  # what `mp3d evaluate mupots` gives
    assert official["Total"].tolist() == protocols.variants(truth, uv, xyz)["official"].pck()["Total"].tolist()


def test_tables(found):
    _, _, variants = found
    rows = protocols.pck_table(variants).set_index(["variant", "people", "mean"])["pck"]
    for name in variants:
        assert rows[name, "matched", "videos"] >= rows[name, "all", "videos"]  # cannot be lower
    assert rows["similarity Procrustes", "all", "people"] >= rows["rigid Procrustes", "all", "people"] - 1
    pooled = variants["official"].pck(pooled=True)["Total"].iloc[0]
    assert rows["official", "all", "people"] == pytest.approx(pooled)
    wide = protocols.side_by_side(protocols.pck_table(variants))
    assert list(wide.index) == list(variants)
    assert wide.loc["TDBU", "matched"] == rows["TDBU", "matched", "videos"]
    used = wide["taken from the truth"]  # said of every row, also where two use the same
    assert used.notna().all() and used["SMAP"] == used["official"] == "bone lengths"
    errors = protocols.error_table(variants["official"].pairs)
    assert (errors.loc["PA-MPJPE, with scale"] < errors.loc["MPJPE"]).all()
    over = errors.loc["MPJPE"]
    assert over["over people, no pelvis"] == pytest.approx(over["over people"] * 17 / 16)  # the pelvis is always right
