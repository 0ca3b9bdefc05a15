"""Darknet: its size, what it gives, its residuals."""

import pytest
import torch

from mp3d.nn.darknet import Darknet, Residual


def test_darknet_53_has_its_parameters():
    with torch.device("meta"):
        network = Darknet()
    assert sum(p.numel() for p in network.parameters()) == 40_584_928
    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())
    assert convolutions == 52  # and the classifier's layer, which is not here


def test_every_group_halves_the_sides():
    found = Darknet((4, 8, 16), (1, 2))(torch.zeros(2, 3, 32, 48))
    assert [tuple(x.shape) for x in found] == [(2, 8, 16, 24), (2, 16, 8, 12)]


def test_a_residual_whose_branch_says_nothing_is_the_identity():
    unit = Residual(8).eval()
    torch.nn.init.zeros_(unit.branch[1][1].weight)
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(unit(x), x)


def test_as_many_groups_as_widths_say():
    with pytest.raises(ValueError):
        Darknet((4, 8, 16), (1,))
