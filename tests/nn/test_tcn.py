"""Temporal convolutions: both forms agree at every frame; counts, shifts, gradients, what is refused."""

import pytest
import torch

from mp3d.errors import BadInput
from mp3d.nn.tcn import TemporalConvNet


def net(features=6, out=4, channels=8, layers=3, dropout=0.25) -> TemporalConvNet:
    torch.manual_seed(0)
    return TemporalConvNet(features, out, channels, layers, dropout)


def lively(network):
    """In evaluation mode, every normalisation and slope with numbers of its own."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            for values in (layer.weight, layer.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                torch.nn.init.normal_(values, std=0.2)
        if isinstance(layer, torch.nn.PReLU):
            torch.nn.init.uniform_(layer.weight, 0.1, 0.4)
    return network.eval()


def windows(x, size):
    """(B, T, size, F): the frames around each frame, the first and the last one repeated."""
    frames = torch.arange(x.shape[1])[:, None] + torch.arange(size) - size // 2
    return x[:, frames.clamp(0, x.shape[1] - 1)]


@pytest.mark.parametrize("features, out, number", [(51, 51, 17_004_604), (34, 1, 16_901_130)])
def test_parameters_are_those_of_the_release(features, out, number):
    with torch.device("meta"):
        network = TemporalConvNet(features, out)
    c, units = 1024, 1 + 4 * 2
    first, blocks, last = 3 * features * c, 4 * (3 + 1) * c**2, c * out + out
    normalisations_and_slopes = units * (2 * c + 1)
    assert first + blocks + last + normalisations_and_slopes == number
    assert sum(p.numel() for p in network.parameters()) == number
    assert network.window == 243


@pytest.mark.parametrize("layers, length", [(1, 1), (1, 2), (1, 9), (2, 30), (3, 1), (3, 5), (3, 27), (3, 100), (5, 7)])
def test_sliding_gives_at_every_frame_what_its_window_gives(layers, length):
    network, x = lively(net(layers=layers)), torch.randn(2, length, 6)
    assert network.window == 3**layers
    with torch.no_grad():
        track = network.slide(x)
        assert track.shape == (2, length, 4) and track.std() > 1e-2
        each = network(windows(x, network.window).flatten(0, 1)).unflatten(0, (2, length))
    torch.testing.assert_close(track, each, rtol=0, atol=1e-5)


def test_equals_the_sums_over_the_window_written_out():
    network, x = lively(net(layers=2)).double(), torch.randn(1, 9, 6).double()

    def unit(part, taps):
        y = sum(part.conv.weight[:, :, k] @ tap for k, tap in enumerate(taps))
        norm, slope, _ = part.after
        y = (y - norm.running_mean) / (norm.running_var + 1e-5) ** 0.5 * norm.weight + norm.bias
        return torch.where(y > 0, y, slope.weight * y)

    with torch.no_grad():
        y = [unit(network.first, x[0, 3 * t : 3 * t + 3]) for t in range(3)]
        wide, narrow = network.blocks[0]
        wanted = network.last.weight[:, :, 0] @ (y[1] + unit(narrow, [unit(wide, y)])) + network.last.bias
        torch.testing.assert_close(network(x)[0], wanted)


def test_a_track_shifted_in_time_gives_shifted_values():
    network, x, edge = lively(net()), torch.randn(2, 80, 6), 13
    with torch.no_grad():
        before, after = network.slide(x), network.slide(x.roll(1, 1))
    torch.testing.assert_close(after[:, edge + 1 : 80 - edge], before[:, edge : 79 - edge])


def test_a_frame_is_seen_as_far_as_the_window_reaches():
    network, x = lively(net()), torch.randn(1, 80, 6)
    x.requires_grad_()
    network.slide(x)[0, 40].sum().backward()
    seen = (x.grad[0].abs().sum(-1) > 0).nonzero().flatten().tolist()
    assert seen == list(range(40 - 13, 40 + 14))


def test_tracks_of_a_batch_do_not_know_one_another_in_evaluation():
    network, x = lively(net()), torch.randn(3, 40, 6)
    with torch.no_grad():
        torch.testing.assert_close(network.slide(x), torch.cat([network.slide(track[None]) for track in x]))
        assert network.slide(x[:0]).shape == (0, 40, 4) and network(x[:0, :27]).shape == (0, 4)


@pytest.mark.parametrize("layers", [1, 3])
def test_every_parameter_learns(layers):
    network = net(layers=layers, dropout=0)
    network(torch.randn(8, network.window, 6)).square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0, name


def test_dropout_is_in_the_blocks_and_only_in_training():
    network, x = net(dropout=0.5), torch.randn(8, 27, 6)
    assert [part.p for part in network.modules() if isinstance(part, torch.nn.Dropout)] == [0, 0.5, 0.5, 0.5, 0.5]
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_sliding_while_training_is_refused():
    with pytest.raises(BadInput, match="evaluation"):
        net().slide(torch.randn(1, 40, 6))


def test_other_windows_and_other_features_are_refused():
    network = net().eval()
    for length in (1, 26, 28, 81):
        with pytest.raises(BadInput, match=f"{length} frames, expected 27"):
            network(torch.randn(2, length, 6))
    for call in (network, network.slide):
        with pytest.raises(BadInput, match="5 features a frame, expected 6"):
            call(torch.randn(2, 27, 5))
    with pytest.raises(BadInput, match="0 frames"):
        network.slide(torch.randn(2, 0, 6))


@pytest.mark.parametrize("field, found", [("layers", 0), ("features", 0), ("out", 0), ("channels", 0), ("dropout", 1)])
def test_networks_without_something_are_refused(field, found):
    with pytest.raises(BadInput, match=field):
        TemporalConvNet(**{"features": 6, "out": 4, "channels": 8, "layers": 2} | {field: found})
