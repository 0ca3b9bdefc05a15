"""The stream is a function of the step, and shows each picture as often as it says."""

from dataclasses import replace

import pytest
import torch

from mp3d.data.tdbu_outputs import Video
from mp3d.errors import BadInput
from mp3d.synthetic import worlds
from mp3d.synthetic.stream import Stream


def stream(**more):
    return Stream(**{"world": "duet", "seed": 1, "width": 32, "height": 24, "batch": 4, "reuse": 2, "block": 8} | more)


def test_a_step_s_pictures_do_not_depend_on_the_steps_before():
    one, other = stream(), stream()
    late = one(5)
    for step in range(6):
        batch = other(step)
    assert torch.equal(late.image, batch.image) and torch.equal(late.visibility, batch.visibility)
    assert not torch.equal(late.image, stream(seed=2)(5).image)


def test_each_picture_is_shown_reuse_times_before_the_next_block():
    shown = [tuple(p.flatten().tolist()) for step in range(8) for p in stream()(step).image]
    first, second = shown[:16], shown[16:]
    assert len(set(first)) == 8 and all(first.count(p) == 2 for p in set(first))
    assert not set(first) & set(second)
    assert first[:8] != first[8:]  # in another order


def test_a_block_is_whole_batches():
    with pytest.raises(BadInput, match="whole batches"):
        stream(block=6)
    with pytest.raises(BadInput, match="positive"):
        stream(reuse=0)


def test_splits_and_worlds_have_people_of_their_own(monkeypatch):
    monkeypatch.setitem(worlds.WORLDS, "duet", replace(worlds.DUET, block=16))
    monkeypatch.setitem(worlds.WORLDS, "studio", replace(worlds.STUDIO, block=8))
    train, test, border = (stream(split=split)(0) for split in ("train", "test", "border"))
    assert not train.xyz[0, 0].equal(test.xyz[0, 0])
    inside = (border.visibility > 0).float().mean(-1)[border.there]
    assert ((inside > 0) & (inside <= 0.75)).any()  # somebody is cut
    assert (stream(world="studio")(0).there.sum(1) >= 3).all()


def test_motion_of_real_videos(monkeypatch):
    asked = []

    def stands_in(videos, seed, count):
        asked.append((videos, seed, count))
        return worlds.takes("duet", count, seed=7)

    monkeypatch.setattr("mp3d.synthetic.stream.mupots_takes", stands_in)
    videos = (object.__new__(Video),)

    def filmed():
        return stream(videos=videos)

    one = filmed()(3)
    assert torch.equal(one.image, filmed()(3).image)
    assert not one.xyz[one.there][0].equal(stream()(3).xyz[0, 0])
    assert {(v, n) for v, _, n in asked} == {(videos, 8)} and len({seed for _, seed, _ in asked}) > 1


def test_one_block_is_kept():
    some = stream()
    for step in range(0, 12, 2):
        some(step)
    assert some._kept["batch"].image.shape[0] == 8 and list(some._kept["coming"]) == [3]
