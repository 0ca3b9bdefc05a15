"""The stacked hourglass: published counts, what comes out, and all of it said again without modules."""

import pytest
import torch
import torch.nn.functional as F

from mp3d.nn.hourglass import Hourglass, Residual, plain


def small(branches=(3, 2), stages=2, width=16, depth=2, seed=0, **more) -> Hourglass:
    torch.manual_seed(seed)
    return Hourglass(branches, stages, width, depth, **more)


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


def flat(outputs) -> list[torch.Tensor]:
    return [maps for stage in outputs for (scale,) in [stage] for maps in scale]


def count(network) -> int:
    return sum(weight.numel() for weight in network.parameters())


def residual(channels: int, out: int, shortcut: bool) -> int:
    """Its parameters: three convolutions with biases, normalisations before them, perhaps a shortcut."""
    half = out // 2
    layers = (channels + 1) * half + (9 * half + 1) * half + (half + 1) * out + 2 * (channels + 2 * half)
    return layers + shortcut * (channels + 1) * out


# ---------------------------------------------------------------------------------------------- counts and shapes


def test_the_authors_count_less_the_shortcuts_they_do_not_use():
    """32,819,328 in their PyTorch version, which makes a 1x1 shortcut for every residual: 14 a stage and one before."""
    with torch.device("meta"):
        assert count(Hourglass((16,), 8)) == 32_819_328 - (8 * 14) * 257 * 256 - 129 * 128 == 25_434_112
        assert count(Hourglass((43, 14, 1))) == 12_933_736


def test_a_stage_is_made_of_fourteen_residuals():
    with torch.device("meta"):
        a, b = (Hourglass((16,), stages) for stages in (2, 3))
    one = 14 * residual(256, 256, False) + 257 * 256 + 2 * 256  # with the unit behind
    assert count(b) - count(a) == one + 257 * 16 + 257 * 256 + 17 * 256  # maps, and what goes on from both
    stem = (3 * 49 + 1) * 64 + 2 * 64 + residual(64, 128, True) + residual(128, 128, False) + residual(128, 256, True)
    assert sum(p.numel() for p in a.stem.parameters()) == stem


def test_the_code_that_orpm_ae_builds_on_counts_the_same_but_for_a_normalisation():
    """3x3 for every residual, 128 channels more a level, 68 maps, 4 stages; its stem is not normalised."""
    with torch.device("meta"):
        network = Hourglass((68,), 4, increase=128, block=plain)
    assert count(network) == 138_893_840 + 2 * 64
    assert (
        count(network.stages[0])
        == 9 * 256 * 256
        + 256
        + 9 * 256 * 256
        + 256
        + sum(9 * (f * f + f * (f + 128) + (f + 128) * f) + 3 * f + 128 for f in (256, 384, 512, 640))
        + 9 * 768 * 768
        + 768
    )


def test_it_can_be_small():
    assert count(Hourglass((43, 14, 1), 1, 32, 3)) < 60_000


def test_maps_are_at_a_quarter_by_stage_and_branch_of_one_scale():
    with torch.device("meta"), torch.no_grad():
        outputs = Hourglass((43, 14, 1))(torch.empty(1, 3, 512, 832))
    assert [len(stage) for stage in outputs] == [1, 1, 1, 1]
    assert all([m.shape for m in stage[0]] == [(1, c, 128, 208) for c in (43, 14, 1)] for stage in outputs)


@pytest.mark.parametrize("depth, lowest", [(1, (8, 12)), (2, (4, 6)), (4, (1, 1))])
def test_depth_is_how_often_the_maps_are_halved(depth, lowest):
    network, seen = small(stages=1, depth=depth).eval(), []
    network.stages[0].register_forward_hook(lambda *call: seen.append(call[2].shape[2:]))
    level = network.stages[0][0]
    while isinstance(level.inner[2], type(level)):
        level = level.inner[2]
    level.inner[2].register_forward_hook(lambda *call: seen.append(call[2].shape[2:]))
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 96))
    assert seen == [lowest, (16, 24)]


@pytest.mark.parametrize("sides", [(16, 16), (20, 36), (28, 16)])
def test_multiples_of_four_that_every_level_can_halve_are_enough(sides):
    assert all(side % Hourglass.multiple == 0 for side in sides)
    with torch.no_grad():
        outputs = flat(small().eval()(torch.rand(1, 3, *sides)))
    assert {maps.shape[2:] for maps in outputs} == {(sides[0] // 4, sides[1] // 4)}
    assert all(maps.isfinite().all() for maps in outputs)


def test_width_grows_by_the_increase_at_each_halving():
    network, widths = small(stages=1, width=8, depth=3, increase=4).eval(), []
    level = network.stages[0][0]
    for _ in range(3):
        level.inner[1].register_forward_hook(lambda *call: widths.append(call[2].shape[1]))
        level = level.inner[2]
    with torch.no_grad():
        network(torch.rand(1, 3, 32, 32))
    assert widths == [12, 16, 20]


# ------------------------------------------------------------------------------------------------------ behaviour


@pytest.mark.parametrize("block", [Residual, plain])
def test_every_parameter_learns_when_every_output_is_in_the_loss(block):
    network = small(stages=3, block=block)
    sum(maps.square().mean() for maps in flat(network(torch.rand(2, 3, 32, 32)))).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and (weight.grad.abs().max() > 0 or "bias" in name), name


def test_gradients_pass_both_ways_between_stages():
    network, passing = small(stages=2), []
    for way in (network.from_features[0], network.from_maps[0]):
        way.register_forward_pre_hook(lambda _, given: passing.append(given[0].requires_grad))
    last = network(torch.rand(2, 3, 32, 32))[-1]
    assert passing == [True, True]
    sum(maps.square().mean() for maps in last[0]).backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_the_first_stage_needs_none_after_it():
    two, one = lively(small(stages=2)), small(stages=1).eval()
    state, picture = two.state_dict(), torch.rand(2, 3, 32, 48)
    one.load_state_dict({name: state[name] for name in one.state_dict()})
    with torch.no_grad():
        for a, b in zip(flat(one(picture)), flat(two(picture)[:1]), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_same_seed_is_the_same_network():
    picture = torch.rand(2, 3, 32, 32)
    a, b = (flat(small(seed=3)(picture)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(a[0], flat(small(seed=4)(picture))[0])


def test_pictures_of_a_batch_do_not_know_one_another_in_evaluation():
    network, pictures = lively(small()), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together = flat(network(pictures))
        alone = [flat(network(picture[None])) for picture in pictures]
    for maps, *singles in zip(together, *alone, strict=True):
        torch.testing.assert_close(maps, torch.cat(singles))


def test_a_residual_whose_branch_is_nothing_is_its_shortcut():
    block, x = Residual(8, 8), torch.randn(2, 8, 4, 4)
    for values in block.branch[-1].parameters():
        torch.nn.init.zeros_(values)
    assert torch.equal(block(x), x)


# -------------------------------------------------------------------------------------- the same, said again


class Again:
    """The forward pass in evaluation mode from the state dict, one layer after another."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name, stride=1):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state[f"{name}.bias"], stride, weight.shape[-1] // 2)

    def norm(self, x, name):
        weight, bias, mean, var = (
            self.state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return ((x - mean) / (var + 1e-5) ** 0.5 * weight + bias).clamp(min=0)

    def block(self, x, name):
        if f"{name}.branch.0.weight" not in self.state:
            return self.conv(x, f"{name}.0").clamp(min=0)
        y = x
        for layer in (0, 3, 6):
            y = self.conv(self.norm(y, f"{name}.branch.{layer}"), f"{name}.branch.{layer + 2}")
        return y + (self.conv(x, f"{name}.shortcut") if f"{name}.shortcut.weight" in self.state else x)

    @staticmethod
    def pool(x):
        return x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))

    def level(self, x, name, depth):
        y = self.block(self.pool(x), f"{name}.inner.1")
        inner = f"{name}.inner.2"
        y = self.level(y, inner, depth - 1) if depth > 1 else self.block(y, inner)
        y = self.block(y, f"{name}.inner.3").repeat_interleave(2, 2).repeat_interleave(2, 3)
        return self.block(x, f"{name}.past") + y

    def __call__(self, x, stages, depth, branches):
        x = self.norm(self.conv(x, "stem.0.0", 2), "stem.0.1")
        x = self.pool(self.block(x, "stem.1"))
        x, outputs = self.block(self.block(x, "stem.3"), "stem.4"), []
        for stage in range(stages):
            y = self.block(self.level(x, f"stages.{stage}.0", depth), f"stages.{stage}.1")
            last = f"stages.{stage}.2"
            y = (
                self.norm(self.conv(y, f"{last}.0"), f"{last}.1")
                if f"{last}.1.weight" in self.state
                else (self.block(y, last))
            )
            maps = self.conv(y, f"maps.{stage}")
            outputs.append([maps.split(branches, 1)])
            if stage < stages - 1:
                x = x + self.conv(y, f"from_features.{stage}") + self.conv(maps, f"from_maps.{stage}")
        return outputs


@pytest.mark.parametrize("more", [{}, {"increase": 8}, {"increase": 8, "block": plain}])
def test_equals_the_same_layers_one_after_another(more):
    network, picture = lively(small(stages=2, **more)).double(), torch.rand(2, 3, 32, 48).double()
    with torch.no_grad():
        wanted = Again(network.state_dict())(picture, 2, 2, (3, 2))
        for a, b in zip(flat(network(picture)), flat(wanted), strict=True):
            assert a.std() > 1e-5
            torch.testing.assert_close(a, b)
