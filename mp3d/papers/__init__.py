"""One module a paper, to be read from top to bottom beside it.

Each holds, in this order: what the paper adds, its `Config` (every field with the paper's section,
or "our choice"), `PROFILES` (all that differs between profiles), the targets, the network, the
loss, and decoding.
"""
