"""From a track of 2D poses to poses in space: a directed graph network and two temporal ones (section 3.1).

The paper refers to its predecessor, GnTCN (arXiv 2012.11806); widths are those of the released code. 2D joints are in
the camera's units, (uv - c) / f, so that size tells depth without a calibration at test time (our choice; the release
divides pixels by a constant, and then fits depths to the truth). Poses are in metres here, mm outside.
"""

from collections import deque

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mp3d.errors import BadInput
from mp3d.nn.tcn import TemporalConvNet
from mp3d.papers.tdbu.config import TDBUConfig
from mp3d.skeletons import MPI17

JOINTS, ROOT, LIMBS = len(MPI17), MPI17.root, MPI17.limbs
METRES = 1e-3
TYPICAL = 4.0
"""m, root depth of an untrained network (our choice)."""


# ---- graphs --------------------------------------------------------------------------------------------------------


def hops(neighbours: list[set[int]]) -> Int[Tensor, "N N"]:
    """How many edges lie between any two nodes of a connected graph."""
    far = torch.zeros(len(neighbours), len(neighbours), dtype=torch.long)
    for start in range(len(neighbours)):
        seen, queue = {start: 0}, deque([start])
        while queue:
            node = queue.popleft()
            for other in neighbours[node] - seen.keys():
                seen[other] = seen[node] + 1
                queue.append(other)
        far[start] = torch.tensor([seen[node] for node in range(len(neighbours))])
    return far


JOINT_HOPS = hops([{a + b - j for a, b in LIMBS if j in (a, b)} for j in range(JOINTS)])
"""Bones between any two joints."""
BONE_HOPS = hops([{i for i, other in enumerate(LIMBS) if set(other) & set(bone)} - {b} for b, bone in enumerate(LIMBS)])
"""Steps from bone to bone; bones that share a joint are neighbours."""


def incidence() -> Float[Tensor, "16 17"]:
    """Bones from joints: -1 at a bone's parent, 1 at its child; blind to where the person is."""
    matrix = torch.zeros(len(LIMBS), JOINTS)
    for row, (parent, child) in enumerate(LIMBS):
        matrix[row, parent], matrix[row, child] = -1.0, 1.0
    return matrix


def affinity(sure: Float[Tensor, "B N"], distance: Int[Tensor, "N N"], decay: bool = True) -> Float[Tensor, "B N N"]:
    """What each node (row) takes of each: A_ij = c_j exp(-hops) / sum over j (GnTCN eq. 1); rows sum to 1.

    A node of confidence 0 tells nobody anything. Where all are 0, hops alone decide.

    Parameters
    ----------
    sure : confidences
    decay : False: no hops, as in the released files, where every joint is told the same
    """
    near = torch.exp(-distance.to(sure)) if decay else torch.ones_like(distance, dtype=sure.dtype)
    weight = sure[:, None, :].where((sure > 0).any(-1)[:, None, None], 1.0) * near
    return weight / weight.sum(-1, keepdim=True)


class Dense(nn.Module):
    """A linear layer at every node, with weights of its own for each: the graph alone would not tell joints apart."""

    def __init__(self, nodes: int, features: int, out: int):
        super().__init__()
        bound = features**-0.5
        self.weight = nn.Parameter(torch.empty(nodes, features, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(nodes, out))

    def forward(self, x: Float[Tensor, "B N F"]) -> Float[Tensor, "B N out"]:
        """Node by node."""
        return torch.einsum("bnf,nfo->bno", x, self.weight) + self.bias


class Propagation(nn.Module):
    """Two dense layers on what the graph brings together, and what came in beside it; without a graph, they alone."""

    def __init__(self, nodes: int, features: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(*(Dense(nodes, features, width), nn.ReLU(), Dense(nodes, width, width), nn.ReLU()))

    def forward(self, x: Float[Tensor, "B N F"], mix: Float[Tensor, "B N N"] | None = None) -> Float[Tensor, "B N out"]:
        """(B, N, width), or with a graph (B, N, F + width)."""
        return self.layers(x) if mix is None else torch.cat([x, self.layers(mix @ x)], -1)


class DirectedGCN(nn.Module):
    """A pose in space from one frame's joints: a graph of joints and one of bones (GnTCN). The paper's: 19,799,551
    parameters."""

    def __init__(self, config: TDBUConfig = TDBUConfig()):
        super().__init__()
        self.config, width = config, config.graph
        bones = len(LIMBS)
        self.joints = nn.ModuleList(Propagation(JOINTS, f, width) for f in (2, width, 2 * width))
        self.bones = nn.ModuleList(Propagation(bones, f, width) for f in (width, 2 * width))
        self.join = Propagation(JOINTS, 6 * width, width)
        self.out = nn.Sequential(Dense(JOINTS, width, 3), Dense(JOINTS, 3, 3))
        matrix = incidence()
        self.register_buffer("to_bones", matrix, persistent=False)
        self.register_buffer("to_joints", torch.linalg.pinv(matrix), persistent=False)
        self.register_buffer("joint_hops", JOINT_HOPS.clone(), persistent=False)
        self.register_buffer("bone_hops", BONE_HOPS.clone(), persistent=False)

    def forward(self, uv: Float[Tensor, "B 17 2"], sure: Float[Tensor, "B 17"]) -> Float[Tensor, "B 17 3"]:
        """m, seen from the pelvis.

        Parameters
        ----------
        uv : in any unit, anything where the confidence is 0
        sure : confidences; a bone has the product of its ends' (our choice; the release has part affinity fields)
        """
        x, graph = centred(uv, sure), affinity(sure, self.joint_hops, self.config.decay)
        first = self.joints[0](x)
        joints = self.joints[2](self.joints[1](first, graph), graph)
        parent, child = (torch.tensor(ends, device=sure.device) for ends in zip(*LIMBS, strict=True))
        graph = affinity(sure[:, parent] * sure[:, child], self.bone_hops, self.config.decay)
        bones = self.bones[1](self.bones[0](self.to_bones @ first, graph), graph)
        pose = self.out(self.join(torch.cat([joints, self.to_joints @ bones], -1)))
        return pose - pose[:, ROOT, None]


def centred(uv: Float[Tensor, "B 17 2"], sure: Float[Tensor, "B 17"]) -> Float[Tensor, "B 17 2"]:
    """Joints seen from the pelvis, by their spread: what a pose is apart from place and size; 0 if not known.

    From the middle of all that is known where the pelvis is not. The spread is that about the middle, never negative
    and rarely small; the release divides by neck minus pelvis, which turns people upside down who are.
    """
    on = (sure > 0)[..., None]
    uv = uv.where(on, 0.0)
    middle = uv.sum(1, keepdim=True) / on.sum(1, keepdim=True).clamp(min=1)
    spread = ((uv - middle).square() * on).sum((1, 2)) / on.sum((1, 2)).clamp(min=1)
    spread = spread.where(spread > 1e-12, 1.0).sqrt()[:, None, None]
    centre = uv[:, ROOT, None].where(on[:, ROOT, None], middle)
    return ((uv - centre) / spread).where(on, 0.0)


# ---- tracks --------------------------------------------------------------------------------------------------------


def filled(uv: Float[Tensor, "T 17 2"], sure: Float[Tensor, "T 17"]) -> Float[Tensor, "T 17 2"]:
    """A track without gaps: joints that are not known lie between where they were and will be.

    Beyond a joint's first and last time it stays there; one that is never known lies in the middle of those known in
    the frame; where nobody is known at all, at 0.
    """
    pose, known = uv.detach().double().cpu().numpy().copy(), (sure > 0).cpu().numpy()
    time = np.arange(len(pose))
    for joint in np.flatnonzero(known.any(0)):
        at = known[:, joint]
        for axis in range(2):
            pose[:, joint, axis] = np.interp(time, time[at], pose[at, joint, axis])
    some = known.any(0)
    pose[:, ~some] = pose[:, some].mean(1, keepdims=True) if some.any() else 0.0
    return torch.from_numpy(pose).to(uv)


class Lift(nn.Module):
    """Graph network, pose network over time, depth network over time; `track` is all three."""

    def __init__(self, config: TDBUConfig = TDBUConfig()):
        super().__init__()
        self.config = config
        self.graph = DirectedGCN(config)
        size = (config.channels, config.layers, config.dropout)
        self.pose, self.root = TemporalConvNet(3 * JOINTS, 3 * JOINTS, *size), TemporalConvNet(2 * JOINTS, 1, *size)
        for network in (self.pose, self.root):
            nn.init.zeros_(network.last.weight)
            nn.init.zeros_(network.last.bias)

    def refined(self, poses: Float[Tensor, "B T 17 3"], every: bool = True) -> Float[Tensor, "B *t 17 3"]:
        """m: the pose network's, added to each frame's own (our choice: untrained it changes nothing).

        Parameters
        ----------
        every : all frames of tracks; or of windows the middle one
        """
        more = self.pose.slide(poses.flatten(2)) if every else self.pose(poses.flatten(2))
        own = poses if every else poses[:, poses.shape[1] // 2]
        pose = own + more.unflatten(-1, (JOINTS, 3))
        return pose - pose[..., ROOT : ROOT + 1, :]

    def depth(self, uv: Float[Tensor, "B T 17 2"], every: bool = True) -> Float[Tensor, "B *t"]:
        """m: how far off the pelvis is, from joints in the camera's units without gaps."""
        x = uv.flatten(2)
        return TYPICAL + (self.root.slide(x) if every else self.root(x)).squeeze(-1)

    @torch.no_grad()
    def track(
        self, uv: Float[Tensor, "T 17 2"], sure: Float[Tensor, "T 17"], temporal: bool = True
    ) -> Float[Tensor, "T 17 3"]:
        """mm, camera-centric: one person's poses over any time; the pelvis lies on its pixel's ray, at its depth.

        Parameters
        ----------
        uv : in the camera's units; anything where the confidence is 0
        temporal : False: the graph network's poses
        """
        if uv.shape[1:] != (JOINTS, 2) or sure.shape != uv.shape[:2] or not len(uv):
            raise BadInput(
                "Lift.track", "uv, sure", (tuple(uv.shape), tuple(sure.shape)), "(T, 17, 2), (T, 17), T >= 1"
            )
        if not uv[sure > 0].isfinite().all():
            raise BadInput("Lift.track", "uv", "not finite where confidence is above 0", "finite joints")
        training = self.training
        self.eval()
        whole = filled(uv, sure)
        poses = self.graph(whole, sure)[None]
        if temporal:
            poses = self.refined(poses)
        root = placed(whole[:, ROOT], self.depth(whole[None])[0])
        self.train(training)
        return (poses[0] + root[:, None]) / METRES


def placed(uv: Float[Tensor, "*n 2"], z: Float[Tensor, "*n"]) -> Float[Tensor, "*n 3"]:
    """The point at depth z on the ray of uv, in the camera's units."""
    return torch.cat([uv, torch.ones_like(uv[..., :1])], -1) * z[..., None]


def to_camera(uv: Float[Tensor, "*n J 2"], k: Float[Tensor, "*#n 4"]) -> Float[Tensor, "*n J 2"]:
    """px to the camera's units."""
    return (uv - k[..., None, 2:]) / k[..., None, :2]


# ---- losses --------------------------------------------------------------------------------------------------------


def pose_loss(found: Float[Tensor, "*n 17 3"], true: Float[Tensor, "*n 17 3"]) -> Float[Tensor, ""]:
    """Mean squared distance of joints, m², of true ones seen from their pelvis; NaN truth does not count."""
    true = (true - true[..., ROOT : ROOT + 1, :]) * METRES
    known = true.isfinite().all(-1)
    off = (found - true.where(known[..., None], 0.0)).square().sum(-1)
    return (off * known).sum() / known.sum().clamp(min=1)


def reprojection_error(
    poses: Float[Tensor, "B 17 3"],
    roots: Float[Tensor, "B 3"],
    uv: Float[Tensor, "B 17 2"],
    sure: Float[Tensor, "B 17"],
) -> Float[Tensor, " B"]:
    """E_rep: squared distance of projected joints from the 2D ones, by the person's squared size in the picture, mean
    over joints with confidences as weights (our form; the paper's is in its supplement). Poses and roots in m."""
    xyz = poses + roots[:, None]
    seen = xyz[..., :2] / xyz[..., 2:].clamp(min=0.1)
    on = (sure > 0)[..., None]
    low, high = uv.where(on, torch.inf).amin(1), uv.where(on, -torch.inf).amax(1)
    size = (high - low).square().sum(-1).nan_to_num(1.0, posinf=1.0).clamp(min=1e-6)
    off = (seen - uv.where(on, 0.0)).square().sum(-1) * sure
    return off.sum(-1) / sure.sum(-1).clamp(min=1e-6) / size


def perspective_error(
    graph: nn.Module,
    poses: Float[Tensor, "B 17 3"],
    roots: Float[Tensor, "B 3"],
    angles: Float[Tensor, " B"],
) -> Float[Tensor, " B"]:
    """E_mp: turn each pose about the vertical through its root, look at it, lift it again, turn it back: the mean
    squared distance from the first pose, m² (our form, after the paper's reference [4])."""
    turn = turned(angles)
    seen = poses @ turn.mT + roots[:, None]
    again = graph(seen[..., :2] / seen[..., 2:].clamp(min=0.1), torch.ones_like(poses[..., 0]))
    return (again @ turn - poses).square().sum(-1).mean(-1)


def turned(angles: Float[Tensor, " B"]) -> Float[Tensor, "B 3 3"]:
    """Rotations about y, the camera's vertical; columns x are turned as x -> R x."""
    sin, cos, zero, one = angles.sin(), angles.cos(), torch.zeros_like(angles), torch.ones_like(angles)
    rows = [cos, zero, sin, zero, one, zero, -sin, zero, cos]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
