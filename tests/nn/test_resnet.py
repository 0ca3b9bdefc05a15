"""The trunks: counts, shapes, names, strides."""

import pytest
import torch

from mp3d.nn.resnet import Basic, Bottleneck, ResNet50, SmallResNet, upsample


def count(network) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_parameters_are_those_of_torchvision_without_its_classifier():
    trunk = ResNet50()
    assert count(trunk) == 25_557_032 - 2048 * 1000 - 1000
    state = trunk.state_dict()
    assert len(state) == 320 - 2  # 53 convolutions, as many normalisations of 5 tensors
    assert state["layer3.0.conv2.weight"].shape == (256, 256, 3, 3)
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert not [name for name in state if name.startswith("layer1.1.downsample")]
    strides = {name: m.stride for name, m in trunk.named_modules() if name.startswith("layer2.0.conv")}
    assert strides == {"layer2.0.conv1": (1, 1), "layer2.0.conv2": (2, 2), "layer2.0.conv3": (1, 1)}


@pytest.mark.parametrize("trunk, size", [(ResNet50(), 64), (SmallResNet(8), 48)])
def test_maps_have_the_trunks_stride(trunk, size):
    with torch.no_grad():
        maps = trunk.eval()(torch.rand(2, 3, size, size))
    assert maps.shape == (2, trunk.channels, size // trunk.stride, size // trunk.stride)
    assert maps.isfinite().all() and maps.std() > 0


def test_the_small_trunk_is_small():
    assert count(SmallResNet()) == 308_448


def test_a_shifted_picture_gives_shifted_maps():
    trunk = SmallResNet(8).eval()
    picture = torch.zeros(1, 3, 128, 128)
    picture[:, :, 40:70, 40:70] = torch.rand(1, 3, 30, 30)
    with torch.no_grad():
        here, there = trunk(picture), trunk(picture.roll((16, 32), (2, 3)))
    torch.testing.assert_close(there[..., 3:6, 4:6], here[..., 2:5, 2:4])


@pytest.mark.parametrize("block", [Basic(8, 8), Bottleneck(32, 8)])
def test_a_block_whose_branch_is_nothing_is_the_identity(block):
    last = block.bn2 if isinstance(block, Basic) else block.bn3
    torch.nn.init.zeros_(last.weight)
    x = torch.rand(2, 8 if isinstance(block, Basic) else 32, 4, 4)
    torch.testing.assert_close(block.eval()(x), x)


def test_upsample_doubles_and_counts():
    network = upsample(16, 8, 3)
    assert network(torch.rand(1, 16, 2, 3)).shape == (1, 8, 16, 24)
    assert count(network) == 16 * 8 * 16 + 2 * 8 * 8 * 16 + 3 * 2 * 8
