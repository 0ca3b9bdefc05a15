"""Scenes as padded tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mp3d.batch import Batch
from mp3d.errors import BadInput
from mp3d.synthetic import worlds


@pytest.fixture(scope="module")
def scenes():
    found = [s for s in worlds.scenes("duet", 40, seed=0) if s.camera.width == 1920]
    picture = np.zeros((1080, 1920, 3), np.uint8)
    two, three = (next(s for s in found if len(s.people) == n) for n in (2, 3))
    return [replace(s, image=picture) for s in (two, three)]


def test_people_are_padded_with_nan_and_nobody_there(scenes):
    batch = Batch.of(scenes)
    assert batch.xyz.shape == (2, 3, 17, 3) and len(batch) == 2
    assert batch.there.tolist() == [[True, True, False], [True, True, True]]
    assert batch.xyz[0, 2].isnan().all() and not batch.labelled[0, 2].any()
    assert torch.allclose(batch.xyz[1].double(), torch.from_numpy(scenes[1].xyz), atol=1e-2)
    some = batch[torch.tensor([1])].to("cpu")
    assert torch.equal(some.uv[0], batch.uv[1])


def test_a_picture_without_people_keeps_one_empty_place(scenes):
    batch = Batch.of([replace(scenes[0], people=())])
    assert batch.xyz.shape == (1, 1, 17, 3) and not batch.there.any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: [], "at least one"),
        (lambda s: [replace(s[0], image=None)], r"scenes\[0\].image"),
        (lambda s: [s[0], replace(s[1], image=s[1].image[:500])], r"scenes\[1\].image"),
    ],
)
def test_pictures_must_be_there_and_of_one_size(scenes, change, said):
    with pytest.raises(BadInput, match=said):
        Batch.of(change(scenes))
