"""Graph convolution (Kipf and Welling, ICLR 2017) over a graph learned from the input."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LearnedGraphConv(nn.Module):
    """Graph convolutions on a fixed number of nodes, with one adjacency for each input.

    H_0 = X W_in + node;  A = I + softmax(Q K^T / sqrt(width)), Q = H_0 W_q, K = H_0 W_k; H_l+1 =
    ReLU(A H_l W_l), no ReLU after the last layer. `node` is a learned vector for each node: without
    it, two joints at the same place would be the same to the network.

    Parameters
    ----------
    nodes : number of nodes
    features : numbers a node has, in and out
    width : numbers a node has in between
    layers : graph convolutions
    """

    def __init__(self, nodes: int, features: int, width: int, layers: int):
        super().__init__()
        self.lift = nn.Linear(features, width)
        self.node = nn.Parameter(torch.randn(nodes, width))
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.convolutions = nn.ModuleList(
            nn.Linear(width, features if layer == layers - 1 else width) for layer in range(layers)
        )

    def adjacency(self, h: Float[Tensor, "B N W"]) -> Float[Tensor, "B N N"]:
        """What each node (row) takes from each other: itself once, and a learned share of all."""
        share = (self.query(h) @ self.key(h).mT / h.shape[-1] ** 0.5).softmax(-1)
        return torch.eye(h.shape[1], device=h.device, dtype=h.dtype) + share

    def forward(self, x: Float[Tensor, "B N F"]) -> tuple[Float[Tensor, "B N F"], Float[Tensor, "B N N"]]:
        """The nodes' new features, and the adjacency that led to them."""
        h = self.lift(x) + self.node
        adjacency = self.adjacency(h)
        for layer, convolution in enumerate(self.convolutions, 1):
            h = convolution(adjacency @ h)
            if layer < len(self.convolutions):
                h = h.relu()
        return h, adjacency
