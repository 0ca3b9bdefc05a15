"""The stream is a function of the step, and shows each picture as often as it says."""

import pytest
import torch

from mp3d.errors import BadInput
from mp3d.synthetic.stream import Stream


def stream(**more):
    return Stream("duet", **{"seed": 1, "width": 32, "height": 24, "batch": 4, "reuse": 2, "block": 8} | more)


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
