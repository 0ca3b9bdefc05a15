"""MSPN: the counts of the release, what comes out, and all of it said again without modules."""

import pytest
import torch
import torch.nn.functional as F

from mp3d.nn.mspn import MSPN, Head, unit

SMAP = (43, 14, 1)
SMALL = {"width": 4, "blocks": (1, 2, 1, 1), "decoder": 8}


def small(branches=(3, 2), stages=2, seed=0) -> MSPN:
    torch.manual_seed(seed)
    return MSPN(branches, stages, **SMALL)


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
    return [maps for stage in outputs for scale in stage for maps in scale]


# ---------------------------------------------------------------------------------------------- counts and shapes


@pytest.mark.parametrize(
    "stages, weights, buffers", [(1, 26_050_488, 63_396), (2, 58_684_592, 142_160), (3, 91_318_696, 220_924)]
)
def test_the_release_has_as_many_parameters_and_statistics(stages, weights, buffers):
    with torch.device("meta"):
        network = MSPN(SMAP, stages)
    assert sum(p.numel() for p in network.parameters()) == weights
    assert sum(b.numel() for b in network.buffers()) == buffers


def test_its_parts_have_as_many_parameters():
    with torch.device("meta"):
        network = MSPN(SMAP, 1)
    stage = network.stages[0]
    stem, encoder, heads, whole = (
        sum(p.numel() for p in part.parameters()) for part in (network.stem, stage.encoder, stage.heads, stage)
    )
    assert (stem, encoder, heads, whole - encoder) == (9_600, 23_524_992, 1_330_872, 2_515_896)


def test_maps_of_the_paper_are_58_a_scale_at_a_quarter():
    with torch.device("meta"), torch.no_grad():
        outputs = MSPN(SMAP)(torch.empty(1, 3, 512, 832))
    assert [len(stage) for stage in outputs] == [4, 4, 4]
    for stage in outputs:
        for scale in stage:
            assert [maps.shape for maps in scale] == [(1, channels, 128, 208) for channels in SMAP]
            assert sum(maps.shape[1] for maps in scale) == 4 * 15 - 2


def test_its_multiple_is_what_it_halves():
    network, seen = small(stages=1).eval(), []
    network.stages[0].encoder[-1].register_forward_hook(lambda *call: seen.append(call[2].shape[2:]))
    with torch.no_grad():
        network(torch.rand(1, 3, 2 * MSPN.multiple, 3 * MSPN.multiple))
    assert seen == [(2, 3)]


@pytest.mark.parametrize("sides, cells", [((40, 72), (10, 18)), ((33, 50), (9, 13))])
def test_other_sides_are_not_refused_but_rounded_up(sides, cells):
    """`SMAPConfig` refuses them."""
    with torch.no_grad():
        outputs = flat(small().eval()(torch.rand(1, 3, *sides)))
    assert {maps.shape[2:] for maps in outputs} == {cells}
    assert all(maps.isfinite().all() for maps in outputs)


# ------------------------------------------------------------------------------------------------------ behaviour


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_every_parameter_learns_when_every_output_is_in_the_loss(stages):
    network = small(stages=stages)
    sum(maps.square().mean() for maps in flat(network(torch.rand(2, 3, 64, 64)))).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        # A bias before a normalisation of the batch changes nothing: its gradient is rounding.
        if "bias" not in name:
            assert weight.grad.abs().max() > 0, name


def test_a_later_stage_learns_through_the_earlier_ones():
    network = small(stages=3)
    last = network(torch.rand(2, 3, 64, 64))[-1]
    sum(maps.square().mean() for scale in last for maps in scale).backward()
    without = {name for name, weight in network.named_parameters() if weight.grad is None}
    assert without and all(".heads." in name and not name.startswith("stages.2") for name in without)


def test_gradients_pass_all_ways_between_stages():
    network, passing = small(stages=2), []
    first = network.stages[0]
    for way in (first.onward, *first.skip_encoder, *first.skip_decoder):
        way.register_forward_pre_hook(lambda _, given: passing.append(given[0].requires_grad))
    network(torch.rand(2, 3, 64, 64))
    assert passing == [True] * 9


def test_the_first_stage_needs_none_after_it():
    two, one = lively(small(stages=2)), small(stages=1).eval()
    state = two.state_dict()
    one.load_state_dict({name: state[name] for name in one.state_dict()})
    picture = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        for a, b in zip(flat(one(picture)), flat(two(picture)[:1]), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("level", range(4))
def test_each_level_hands_the_next_stage_both_of_its_features(level):
    network, picture = lively(small()), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(picture)
        for skips in (network.stages[0].skip_encoder, network.stages[0].skip_decoder):
            kept = skips[level][1].bias.clone()
            skips[level][1].bias += 1
            after = network(picture)
            assert all(torch.equal(a, b) for a, b in zip(flat(before[:1]), flat(after[:1]), strict=True))
            assert all(not torch.equal(a, b) for a, b in zip(before[1][-1], after[1][-1], strict=True))
            skips[level][1].bias.copy_(kept)


def test_the_same_seed_is_the_same_network():
    picture = torch.rand(2, 3, 32, 64)
    a, b = (flat(small(seed=3)(picture)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(a[0], flat(small(seed=4)(picture))[0])


def test_pictures_of_a_batch_do_not_know_one_another_in_evaluation():
    network, pictures = lively(small()), torch.rand(3, 3, 64, 32)
    with torch.no_grad():
        together = flat(network(pictures))
        alone = [flat(network(picture[None])) for picture in pictures]
    for maps, *singles in zip(together, *alone, strict=True):
        torch.testing.assert_close(maps, torch.cat(singles))


def test_memory_format_changes_nothing():
    network, picture = lively(small()), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = flat(network(picture))
        after = flat(network.to(memory_format=torch.channels_last)(picture.to(memory_format=torch.channels_last)))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b)


def test_a_unit_may_go_below_zero_only_without_its_relu():
    x = torch.randn(4, 3, 8, 8)
    assert unit(3, 5)(x).min() == 0
    assert unit(3, 5, relu=False)(x).min() < 0
    assert Head(3, 2)(x).min() < 0
    assert unit(3, 5, 7, 2)(x).shape == (4, 5, 4, 4)


# -------------------------------------------------------------------------------------- the same, said again


class Again:
    """MSPN's forward pass in evaluation mode from its state dict, one layer after another."""

    def __init__(self, state, stages):
        self.state, self.stages = state, stages

    def conv(self, x, name, stride=1):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state[f"{name}.bias"], stride, weight.shape[-1] // 2)

    def norm(self, x, name):
        weight, bias, mean, var = (
            self.state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / (var + 1e-5) ** 0.5 * weight + bias

    def unit(self, x, name, stride=1):
        return self.norm(self.conv(x, f"{name}.0", stride), f"{name}.1")

    def bottleneck(self, x, name, stride):
        y = self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1").clamp(min=0)
        y = self.norm(self.conv(y, f"{name}.conv2", stride), f"{name}.bn2").clamp(min=0)
        y = self.norm(self.conv(y, f"{name}.conv3"), f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.state:
            x = self.unit(x, f"{name}.downsample", stride)
        return (x + y).clamp(min=0)

    @staticmethod
    def resized(x, size):
        """Bilinear as two matrices; the first cell on the first, the last on the last."""
        for axis, n in zip((2, 3), size, strict=True):
            old = x.shape[axis]
            at = torch.linspace(0, old - 1, n, dtype=x.dtype)
            matrix = (1 - (at[:, None] - torch.arange(old)).abs()).clamp(min=0)
            x = (matrix @ x.movedim(axis, -2)).movedim(-2, axis)
        return x

    def stage(self, x, skips, name, blocks, branches):
        size, encoded, decoded, scales = x.shape[2:], [], None, []
        fine = {}
        for level, number in enumerate(blocks):
            for block in range(number):
                stride = 2 if level and block == 0 else 1
                x = self.bottleneck(x, f"{name}.encoder.{level}.{block}", stride)
            x = x + skips[level] if skips else x
            encoded.append(x)
        for step, level in enumerate((3, 2, 1, 0)):
            y = self.unit(encoded[level], f"{name}.lateral.{step}")
            if step:
                y = y + self.unit(self.resized(decoded, y.shape[2:]), f"{name}.up.{step - 1}")
            decoded = fine[level] = y.clamp(min=0)
            maps = []
            for branch in range(branches):
                head = f"{name}.heads.{step}.{branch}"
                maps.append(self.resized(self.unit(self.unit(decoded, f"{head}.0").clamp(min=0), f"{head}.1"), size))
            scales.append(maps)
        if f"{name}.onward.0.weight" not in self.state:
            return scales, None, None
        skips = [
            self.unit(encoded[level], f"{name}.skip_encoder.{level}").clamp(min=0)
            + self.unit(fine[level], f"{name}.skip_decoder.{level}").clamp(min=0)
            for level in range(4)
        ]
        return scales, self.unit(decoded, f"{name}.onward").clamp(min=0), skips

    def __call__(self, x, blocks, branches):
        x, skips, outputs = F.max_pool2d(self.unit(x, "stem.0", 2).clamp(min=0), 3, 2, 1), None, []
        for number in range(self.stages):
            maps, x, skips = self.stage(x, skips, f"stages.{number}", blocks, branches)
            outputs.append(maps)
        return outputs


def test_equals_the_same_layers_one_after_another():
    network, picture = lively(small(stages=3)).double(), torch.rand(2, 3, 64, 96).double()
    with torch.no_grad():
        wanted = Again(network.state_dict(), 3)(picture, SMALL["blocks"], 2)
        for a, b in zip(flat(network(picture)), flat(wanted), strict=True):
            assert a.std() > 1e-3
            torch.testing.assert_close(a, b)
