"""HRNet: the count of the release, what reaches the output, and all of it said again without modules."""

import pytest
import torch
import torch.nn.functional as F

from mp3d.errors import BadInput
from mp3d.nn.hrnet import HRNet

SMALL = {"width": 4, "blocks": 1, "bottlenecks": 1, "stem": 4}
DEPTHS = [(1,), (1, 1), (1, 2, 1)]


def small(modules=(1, 2, 1), seed=0, **more) -> HRNet:
    torch.manual_seed(seed)
    return HRNet(modules=modules, **SMALL | more)


def lively(network):
    """In evaluation mode, every normalisation with statistics and weights of its own."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                torch.nn.init.normal_(values, std=0.2)
    return network.eval()


def count(network) -> int:
    return sum(weight.numel() for weight in network.parameters())


# ----------------------------------------------------------------------------------------------------------- counts


def conv(channels, out, kernel=3) -> int:
    """Without a bias; the normalisation after it has two numbers a channel."""
    return channels * out * kernel**2 + 2 * out


def bottleneck(channels, width) -> int:
    shortcut = conv(channels, 4 * width, 1) if channels != 4 * width else 0
    return conv(channels, width, 1) + conv(width, width) + conv(width, 4 * width, 1) + shortcut


def fusion(widths, outputs) -> int:
    up = sum(conv(widths[s], widths[t], 1) for t in range(outputs) for s in range(t + 1, len(widths)))
    down = sum(
        (t - s - 1) * conv(widths[s], widths[s]) + conv(widths[s], widths[t]) for t in range(outputs) for s in range(t)
    )
    return up + down


def exchange(widths, outputs, blocks) -> int:
    return sum(blocks * 2 * conv(w, w) for w in widths) + fusion(widths, outputs)


def test_the_body_has_the_parameters_of_pose_hrnet_w32():
    """28,535,552 is also what users of the released body count in it; the paper says 28.5 M."""
    with torch.device("meta"):
        network = HRNet()
    w = (32, 64, 128, 256)
    stem = conv(3, 64) + conv(64, 64) + bottleneck(64, 64) + 3 * bottleneck(256, 64)
    transitions = (conv(256, w[0]) + conv(256, w[1]), conv(w[1], w[2]), conv(w[2], w[3]))
    stages = (exchange(w[:2], 2, 4), 4 * exchange(w[:3], 3, 4), 2 * exchange(w, 4, 4) + exchange(w, 1, 4))
    assert stem == count(network.stem)
    assert transitions == tuple(map(count, network.transitions))
    assert stages == tuple(map(count, network.stages))
    assert count(network) == 28_535_552
    assert count(network) + (w[0] * 17 + 17) == 28_536_113  # with the head of COCO's joints
    assert not [name for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d) and m.bias is not None]


def test_with_the_20_maps_of_tdbu_only_the_first_layer_grows():
    with torch.device("meta"):
        assert count(HRNet(20)) - count(HRNet()) == 17 * 64 * 9


# ----------------------------------------------------------------------------------------------- shapes and input


@pytest.mark.parametrize("modules", DEPTHS)
@pytest.mark.parametrize("channels", [3, 20])
def test_maps_are_a_quarter_of_the_sides(modules, channels):
    network = small(modules, channels=channels).eval()
    branches = len(modules) + 1
    assert network.multiple == {2: 8, 3: 16, 4: 32}[branches]
    with torch.no_grad():
        maps = network(torch.rand(2, channels, 2 * network.multiple, 3 * network.multiple))
    assert maps.shape == (2, 4, network.multiple // 2, 3 * network.multiple // 4)
    assert maps.isfinite().all() and maps.min() == 0 and maps.std() > 0


def test_the_branches_are_half_as_large_and_twice_as_wide_one_after_another():
    network, seen = small(), []
    network.stages[2][0].register_forward_hook(lambda _, given, found: seen.extend((given[0], found)))
    network(torch.rand(2, 3, 64, 96))
    branches, fused = ([tuple(x.shape) for x in xs] for xs in seen)
    assert branches == [(2, 4, 16, 24), (2, 8, 8, 12), (2, 16, 4, 6), (2, 32, 2, 3)]
    assert fused == branches[:1]


@pytest.mark.parametrize("modules", DEPTHS)
def test_other_sides_are_refused(modules):
    network = small(modules).eval()
    for sides in ((network.multiple, network.multiple * 3 // 2), (0, network.multiple)):
        with pytest.raises(BadInput, match=f"multiples of {network.multiple}"):
            network(torch.rand(1, 3, *sides))
    with pytest.raises(BadInput, match="20 channels, expected 3"):
        network(torch.rand(1, 20, 64, 64))


@pytest.mark.parametrize(
    "field, found", [("modules", ()), ("modules", (1, 0)), *((name, 0) for name in ("channels", *SMALL))]
)
def test_networks_without_something_are_refused(field, found):
    with pytest.raises(BadInput, match=field):
        HRNet(**SMALL | {field: found})


# ------------------------------------------------------------------------------------------------------ behaviour


@pytest.mark.parametrize("modules", DEPTHS)
def test_every_parameter_learns(modules):
    network = small(modules)
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0, name


def test_a_far_pixel_is_seen_only_through_the_coarse_branches():
    def seen(network) -> float:
        torch.manual_seed(2)
        picture = torch.rand(1, 3, 32, 256)
        picture.requires_grad_()
        network(picture)[:, :, :, 0].sum().backward()
        return picture.grad[..., 96:].abs().max()

    assert seen(lively(small((1,)))) == 0
    assert seen(lively(small((1, 1, 1)))) > 0


@pytest.mark.parametrize("modules", DEPTHS)
@pytest.mark.parametrize("axis", [2, 3])
def test_a_picture_shifted_by_the_multiple_gives_shifted_maps(modules, axis):
    """And by half of it other ones: the coarsest branch falls between."""
    network = lively(small(modules)).double()
    step = network.multiple
    sides = [step, step]
    sides[axis - 2] = 32 * step
    picture = torch.rand(1, 3, *sides).double()
    with torch.no_grad():
        maps, whole, half = (network(picture.roll(by, axis)) for by in (0, step, step // 2))

    def inside(maps):
        return maps.narrow(axis, maps.shape[axis] // 2 - step, 2 * step)

    torch.testing.assert_close(inside(whole), inside(maps.roll(step // 4, axis)))
    assert not torch.allclose(inside(half), inside(maps.roll(step // 8, axis)), rtol=1e-3)


def test_pictures_of_a_batch_do_not_know_one_another_in_evaluation():
    network, pictures = lively(small()).double(), torch.rand(3, 3, 64, 32).double()
    with torch.no_grad():
        torch.testing.assert_close(network(pictures), torch.cat([network(p[None]) for p in pictures]))
        assert network(pictures[:0]).shape == (0, 4, 16, 8)


def test_the_same_seed_is_the_same_network():
    picture = torch.rand(2, 3, 32, 64)
    a, b, other = (small(seed=seed)(picture) for seed in (3, 3, 4))
    assert torch.equal(a, b) and not torch.equal(a, other)


# -------------------------------------------------------------------------------------- the same, said again


class Again:
    """HRNet's forward pass in evaluation mode from its state dict, one block a branch."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, conv, norm, stride=1):
        weight = self.state[f"{conv}.weight"]
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
        weight, bias, mean, var = (
            self.state[f"{norm}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / (var + 1e-5) ** 0.5 * weight + bias

    def unit(self, x, name, stride=1):
        return self.conv(x, f"{name}.0", f"{name}.1", stride)

    def block(self, x, name):
        y, number = x, 1
        while f"{name}.conv{number}.weight" in self.state:
            y = self.conv(y if number == 1 else y.clamp(min=0), f"{name}.conv{number}", f"{name}.bn{number}")
            number += 1
        if f"{name}.downsample.0.weight" in self.state:
            x = self.unit(x, f"{name}.downsample")
        return (x + y).clamp(min=0)

    def brought(self, x, source, target, name):
        if source == target:
            return x
        if source > target:
            times = 2 ** (source - target)
            return self.unit(x, f"{name}.0").repeat_interleave(times, 2).repeat_interleave(times, 3)
        for halving in range(target - source):
            x = self.unit(x if halving == 0 else x.clamp(min=0), f"{name}.{halving}", 2)
        return x

    def __call__(self, x, modules):
        x = self.unit(self.unit(x, "stem.0", 2).clamp(min=0), "stem.1", 2).clamp(min=0)
        xs = [self.block(x, "stem.2")]
        for stage, number in enumerate(modules):
            new = self.unit(xs[-1], f"transitions.{stage}.{stage + 1}", 2).clamp(min=0)
            if stage == 0:
                xs = [self.unit(xs[0], "transitions.0.0").clamp(min=0)]
            xs = [*xs, new]
            for module in range(number):
                name = f"stages.{stage}.{module}"
                xs = [self.block(x, f"{name}.branches.{branch}.0") for branch, x in enumerate(xs)]
                last = stage == len(modules) - 1 and module == number - 1
                fused = []
                for target in range(1 if last else len(xs)):
                    parts = [self.brought(x, s, target, f"{name}.ways.{target}.{s}") for s, x in enumerate(xs)]
                    fused.append(torch.stack(parts).sum(0).clamp(min=0))
                xs = fused
        return xs[0]


@pytest.mark.parametrize("modules", DEPTHS)
def test_equals_the_same_layers_one_after_another(modules):
    network, picture = lively(small(modules)).double(), torch.rand(2, 3, 64, 96).double()
    with torch.no_grad():
        found = network(picture)
        assert found.std() > 1e-3
        torch.testing.assert_close(found, Again(network.state_dict())(picture, modules))
