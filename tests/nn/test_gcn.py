"""The learned graph."""

import torch

from mp3d.nn.gcn import LearnedGraphConv


def graph(**more) -> LearnedGraphConv:
    torch.manual_seed(0)
    return LearnedGraphConv(**{"nodes": 5, "features": 3, "width": 8, "layers": 3} | more)


def test_adjacency_is_the_node_itself_and_a_share_of_all():
    _, adjacency = graph()(torch.randn(4, 5, 3))
    share = adjacency - torch.eye(5)
    assert (share > 0).all()
    torch.testing.assert_close(share.sum(-1), torch.ones(4, 5))


def test_adjacency_is_learned_from_the_input():
    _, adjacency = graph()(torch.randn(2, 5, 3))
    assert not torch.allclose(adjacency[0], adjacency[1])


def test_equals_the_sum_over_neighbours_written_out():
    net, x = graph(layers=2), torch.randn(1, 5, 3)
    y, adjacency = net(x)
    h = [net.lift(x[0, i]) + net.node[i] for i in range(5)]
    h = [net.convolutions[0](sum(adjacency[0, i, j] * h[j] for j in range(5))) for i in range(5)]
    h = [v.clamp(min=0) for v in h]
    h = [net.convolutions[1](sum(adjacency[0, i, j] * h[j] for j in range(5))) for i in range(5)]
    torch.testing.assert_close(y[0], torch.stack(h))


def test_permuting_the_nodes_with_their_vectors_permutes_the_result():
    net, x, order = graph(), torch.randn(2, 5, 3), torch.tensor([3, 0, 4, 1, 2])
    before, _ = net(x)
    with torch.no_grad():
        net.node.copy_(net.node[order])
    torch.testing.assert_close(net(x[:, order])[0], before[:, order])


def test_parameters():
    lift, node, query_key = 3 * 8 + 8, 5 * 8, 2 * 8 * 8
    convolutions = 2 * (8 * 8 + 8) + (8 * 3 + 3)
    assert sum(p.numel() for p in graph().parameters()) == lift + node + query_key + convolutions
