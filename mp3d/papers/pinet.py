"""PI-Net: Pose Interacting Network for multi-person 3D pose (Guo et al., WACV 2021).

People who stand together tell of each other: PI-Net refines the 3D poses that any estimator gives,
without the image. For each person it reads the poses as a sequence, this person first, then the
others from near to far (section 3.2); a bidirectional GRU embeds them (eq. 2), attention mixes the
embeddings (eq. 3), and fully connected layers give the refined poses (section 3.3). "Released code"
below is the authors' code, which in places does otherwise than the paper.

PI-Net maps poses in the camera frame to poses in the camera frame and has no picture plane; so
`targets` and `decode` take sequences and tensors, where a paper with images takes scenes and cameras.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mp3d.errors import BadInput
from mp3d.nn.gcn import LearnedGraphConv
from mp3d.skeletons import MPI17
from mp3d.training import FitConfig, fit, load_model, save_model

Poses = np.ndarray | Tensor  # (P, 17, 3) mm; what comes from outside is checked by `_checked`


@dataclass(frozen=True)
class PINetConfig:
    """What PI-Net is made of; the defaults give the 3.41 M parameters of Table 6.

    With `cell="gcn"` (end of section 3.2) attention, direction, head and order play no part, and
    `layers` and `hidden` are those of the graph network: the paper takes 4 layers and gives no
    width.
    """

    cell: Literal["gru", "lstm", "gcn"] = "gru"  # section 4.4, Table 6
    layers: int = 3  # section 3.3
    hidden: int = 256  # section 3.4; one direction's
    bidirectional: bool = True  # section 3.1, Table 5
    attention: bool = True  # eq. 3, Table 5
    # What the fully connected layers see. "update": u alone, section 3.1;
    # "concat": [e; u], the released code and the only reading that gives the counts of Table 6.
    head: Literal["concat", "update"] = "concat"
    # "near": by 3D distance of the roots, section 3.2; "reverse", "random": Table 4;
    # "near2d": by distance of the boxes' centres in px, released code.
    order: Literal["near", "near2d", "reverse", "random"] = "near"
    # Scenes with fewer people than the largest of a batch are padded. "exact": padding counts
    # nowhere, our choice; "released": zeros enter the statistics, the attention and the loss,
    # released code.
    padding: Literal["exact", "released"] = "exact"
    # Controls, our choice. In training, companions are "real", or "shuffled": strangers from other
    # sequences stand in their places. "none": everyone alone, in training and in refining. Otherwise
    # `refine` and `predict` use the companions they are given; for "shuffled",
    # `mp3d.experiments.pinet.refined` puts strangers in first.
    companions: Literal["real", "shuffled", "none"] = "real"

    def __post_init__(self):
        for field in fields(self):
            found, allowed = getattr(self, field.name), get_args(field.type)
            if allowed and found not in allowed:
                raise BadInput("PINetConfig", field.name, repr(found), f"one of {allowed}")
        for field in ("layers", "hidden"):
            if getattr(self, field) < 1:
                raise BadInput("PINetConfig", field, getattr(self, field), "at least 1")


@dataclass(frozen=True)
class Profile:
    """The size of an experiment: `scenes` to train on, `frames` of a test sequence, and so on."""

    scenes: int
    frames: int
    hidden: int
    batch: int
    seeds: int
    fit: FitConfig


PROFILES = {
    "smoke": Profile(96, 2, 16, 16, 1, FitConfig(8, lr=3e-3, warmup=2, clip=1.0)),
    "cpu": Profile(8_000, 20, 96, 48, 3, FitConfig(1_300, lr=3e-3, warmup=100, clip=1.0)),
    "gpu": Profile(20_000, 25, 256, 1024, 3, FitConfig(1_600, lr=3e-3, warmup=100, clip=1.0)),
    # Section 3.4: 33.4k images, 80.7k people, 25 epochs at batch 4.
    "paper": Profile(33_400, 500, 256, 4, 3, FitConfig(504_375, lr=1e-5, lr_end=1e-8, every=20_175)),
}


# --------------------------------------------------------------------------------------------------
# Sequences of people: section 3.2


@dataclass(frozen=True, eq=False)
class Sequences:
    """B sequences of up to P people, the person to refine first, padded with zeros at the end.

    Parameters
    ----------
    poses : mm, camera frame; the initial estimates
    lengths : people in each sequence, on the CPU
    truth : mm; NaN where a joint is not known
    """

    poses: Float[Tensor, "B P J 3"]
    lengths: Int[Tensor, " B"]
    truth: Float[Tensor, "B P J 3"] | None = None

    @property
    def real(self) -> Bool[Tensor, "B P"]:
        """Where a person stands, rather than padding."""
        return _real(self.lengths, self.poses)

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, rows: Any) -> "Sequences":
        """Some of the sequences, by mask, slice or indices, padded to the longest of these."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        truth = None if self.truth is None else self.truth[rows][:, :longest]
        return Sequences(self.poses[rows][:, :longest], lengths, truth)

    def to(self, *device_or_dtype: Any) -> "Sequences":
        """The same on another device or in another precision."""
        truth = None if self.truth is None else self.truth.to(*device_or_dtype)
        return replace(self, poses=self.poses.to(*device_or_dtype), truth=truth)


def order(
    poses: Num[np.ndarray, "*S P J 3"],
    rule: str,
    boxes: Num[np.ndarray, "*S P 4"] | None = None,
    rng: np.random.Generator | None = None,
) -> Int[np.ndarray, "*S P P"]:
    """rho of section 3.2: row n is the sequence in which person n is refined, n itself first.

    Parameters
    ----------
    poses : mm; the root is joint 14
    rule : "near", "near2d", "reverse", "random"
    boxes : x, y, width, height in px, for "near2d"
    rng : for "random"

    Raises
    ------
    BadInput
        "near2d" without boxes or with one that is not finite, "random" without a generator.

    Notes
    -----
    The sort is stable, so people at equal distances keep their order and nobody is lost; the
    released code takes distances as dictionary keys and drops one of the two. For two people all
    rules agree.
    """
    if rule == "random":
        if rng is None:
            raise BadInput("pinet.order", "rng", None, 'a generator, for the order "random"')
        rank = rng.random((*poses.shape[:-2], poses.shape[-3]))
    else:
        if rule == "near2d":
            if boxes is None or not np.isfinite(boxes).all():
                found = None if boxes is None else "NaN or infinity"
                raise BadInput("pinet.order", "boxes", found, 'boxes in px, for the order "near2d"')
            place = boxes[..., :2] + boxes[..., 2:] / 2
        else:
            place = poses[..., MPI17.root, :]
        rank = np.linalg.norm(place[..., :, None, :] - place[..., None, :, :], axis=-1)
        if rule == "reverse":
            rank = -rank
    people = np.arange(poses.shape[-3])
    rank[..., people, people] = -np.inf
    return rank.argsort(axis=-1, kind="stable")


def sequences(
    poses: Sequence[Poses],
    config: PINetConfig,
    truth: Sequence[Poses] | None = None,
    boxes: Sequence[np.ndarray] | None = None,
    seed: int = 0,
) -> Sequences:
    """One sequence for each person of each scene: scene by scene, in each scene person by person.

    Parameters
    ----------
    poses : each scene's estimates, (P, 17, 3) mm in the camera frame
    truth : each scene's true poses, NaN where unknown
    boxes : each scene's boxes (x, y, width, height in px), for the order "near2d"
    seed : for the order "random", which is drawn once for each sequence

    Raises
    ------
    BadInput
        No scene, a scene without people, a wrong shape, an estimate that is not finite, or no finite
        boxes for "near2d".
    """
    scenes = [_checked(f"poses[{i}]", scene) for i, scene in enumerate(poses)]
    if not scenes:
        raise BadInput("PINet", "poses", "no scene", "at least one")
    counts = np.array([len(scene) for scene in scenes])
    for name, others, shape in (("truth", truth, (len(MPI17), 3)), ("boxes", boxes, (4,))):
        if others is not None:
            found, expected = [np.shape(other) for other in others], [(n, *shape) for n in counts]
            if found != expected:
                raise BadInput("PINet", name, _brief(found), _brief(expected))
    first = counts.cumsum() - counts  # each scene's first person among all people
    rng = np.random.default_rng(seed)

    who = np.zeros((counts.sum(), counts.max()), int)  # (B, P): who of all people
    for n in np.unique(counts):
        these = np.flatnonzero(counts == n)
        rho = order(
            np.stack([scenes[s] for s in these]),
            config.order,
            None if boxes is None else np.stack([boxes[s] for s in these]),
            rng,
        )
        rows = first[these, None] + np.arange(n)
        who[rows.ravel(), :n] = (first[these, None, None] + rho).reshape(-1, n)
    lengths = torch.from_numpy(counts.repeat(counts))
    if config.companions == "none":
        who, lengths = who[:, :1], torch.ones_like(lengths)
    padding = torch.arange(who.shape[1]) >= lengths[:, None]

    def gather(people: Sequence[Poses]) -> Tensor:
        flat = torch.as_tensor(np.concatenate([np.asarray(p) for p in people]))[who]
        flat[padding] = 0
        return flat

    return Sequences(gather(scenes), lengths, None if truth is None else gather(truth))


def strangers(people: Sequences, rng: np.random.Generator) -> Sequences:
    """The companions change places with those of other sequences: a control, our choice.

    A stranger's root stands where the companion's stood, in the estimate and in the truth, so
    distances and order stay; what the companion's pose tells of the person to refine is gone. At a
    place in the sequence at which only one of `people` has a companion, that one stays. Strangers may
    come from the same video, with another moment of the same people.
    (MuCo, on which PI-Net was trained, is composited of people recorded alone: there, all are
    strangers.)
    """
    poses = people.poses.clone()
    truth = None if people.truth is None else people.truth.clone()
    for position in range(1, poses.shape[1]):
        places = rng.permutation(np.flatnonzero(people.lengths > position))
        givers = np.roll(places, 1)  # nobody keeps the companion that was there
        for now, before in ((poses, people.poses), (truth, people.truth)):
            if now is not None and before is not None:
                moved = before[givers, position]
                roots = before[:, position, MPI17.root, None]
                now[places, position] = moved - roots[givers] + roots[places]
    return Sequences(poses, people.lengths, truth)


def batches(people: Sequences, config: PINetConfig, size: int, seed: int) -> Callable[[int], Sequences]:
    """Step -> `size` sequences drawn at random; for `fit`, hence a pure function of the step."""
    people = people.to(torch.float32)

    def batch(step: int) -> Sequences:
        rng = np.random.default_rng([seed, step])
        drawn = people[rng.integers(len(people), size=size)]
        return strangers(drawn, rng) if config.companions == "shuffled" else drawn

    return batch


# --------------------------------------------------------------------------------------------------
# Normalisation and targets: section 3.3, "normalised with their mean and standard deviation"


def statistics(
    poses: Float[Tensor, "B P J 3"], real: Bool[Tensor, "B P J"]
) -> tuple[Float[Tensor, "B 1 1 3"], Float[Tensor, "B 1 1 3"]]:
    """Mean and standard deviation (ddof 1) of each sequence and axis over all its joints, in mm.

    The 1e-4 mm of the released code are added to the deviation. As the statistics are the
    sequence's own, f(s x + t) = s f(x) + t: the network cannot correct where the group stands, nor
    its extent along an axis.
    """
    weight = real[..., None].to(poses.dtype)
    count = weight.sum((1, 2), keepdim=True)
    mean = (weight * poses).sum((1, 2), keepdim=True) / count
    variance = (weight * (poses - mean) ** 2).sum((1, 2), keepdim=True) / (count - 1)
    return mean, variance.sqrt() + 1e-4


@dataclass(frozen=True, eq=False)
class Targets:
    """True poses, normalised by their own statistics, and what each joint counts in the loss."""

    poses: Float[Tensor, "B P J 3"]
    weight: Float[Tensor, "B P J"]


def targets(people: Sequences, config: PINetConfig) -> Targets:
    """What the network has to give for these sequences: every person is supervised (section 3.1).

    "exact": the mean over all known joints of real people; "released": over all entries, padding
    included.
    """
    if people.truth is None:
        raise BadInput("pinet.targets", "truth", None, "true poses to train towards")
    known = people.truth.isfinite().all(-1) & people.real[..., None]
    truth = people.truth.where(known[..., None], 0)
    counted = known if config.padding == "exact" else torch.ones_like(known)
    mean, std = statistics(truth, counted)
    return Targets((truth - mean) / std, known.to(truth.dtype) / counted.sum())


# --------------------------------------------------------------------------------------------------
# The network: section 3.3, Figure 2


class Outputs(NamedTuple):
    """Refined poses in normalised units, and the input's statistics (mm) to undo the normalisation.

    `attention[b, n, m]` is what person n takes from person m; None for a network without attention.
    """

    poses: Float[Tensor, "B P J 3"]
    attention: Float[Tensor, "B P P"] | None
    mean: Float[Tensor, "B 1 1 3"]
    std: Float[Tensor, "B 1 1 3"]


class PINet(nn.Module):
    """Pose Interacting Network: 3,408,896 parameters; 126.0 -> 121.7 mm on MuPoTS-3D (Table 6).

    There is no dropout and no batch normalisation: it does the same in training and in use.
    """

    def __init__(self, config: PINetConfig = PINetConfig()):
        super().__init__()
        self.config = config
        numbers = 3 * len(MPI17)  # 51
        if config.cell == "gcn":
            self.graph = LearnedGraphConv(2 * len(MPI17), 3, config.hidden, config.layers)
            return
        directions = 2 if config.bidirectional else 1
        embedding = directions * config.hidden  # E = 512 in section 3.4
        # A learned initial state, zero at first: released code. The LSTM's c0 stays zero, by the
        # counts of Table 6.
        self.h0 = nn.Parameter(torch.zeros(directions * config.layers, 1, config.hidden))
        self.rnn = (nn.GRU if config.cell == "gru" else nn.LSTM)(
            numbers,
            config.hidden,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        if config.attention:
            self.attention = nn.Linear(embedding, embedding)  # A and b of eq. 3
        seen = 2 * embedding if config.attention and config.head == "concat" else embedding
        # "A few fully connected layers"; LayerNorm and the missing last bias: released code.
        self.head = nn.Sequential(
            nn.LayerNorm(seen),
            nn.Linear(seen, config.hidden),
            nn.ReLU(),
            nn.LayerNorm(config.hidden),
            nn.Linear(config.hidden, config.hidden // 2),
            nn.LayerNorm(config.hidden // 2),
            nn.Linear(config.hidden // 2, numbers, bias=False),
        )

    def forward(
        self,
        poses: Float[Tensor, "B P J 3"],
        lengths: Int[Tensor, " B"],
        only_first: bool = False,
    ) -> Outputs:
        """Refine everyone in every sequence, although the order is made for the first of them.

        Parameters
        ----------
        poses : mm, camera frame; the person to refine first, zeros at the end where there are fewer
            than P
        lengths : people in each sequence
        only_first : at test the last layers are needed "only for the person-of-interest" (section
            3.1); the refined poses are then (B, 1, J, 3)
        """
        real = _real(lengths, poses)
        counted = real if self.config.padding == "exact" else torch.ones_like(real)
        mean, std = statistics(poses, counted[..., None].expand(poses.shape[:-1]))
        x = ((poses - mean) / std).to(next(self.parameters()).dtype)

        if self.config.cell == "gcn":
            return Outputs(self.pairs(x, real, only_first), None, mean, std)

        e = self.embed(x.flatten(2), lengths)
        features, attention = e, None
        if self.config.attention:
            u, attention = self.attend(e, counted)
            features = torch.cat([e, u], -1) if self.config.head == "concat" else u
        q = self.head(features[:, :1] if only_first else features)
        return Outputs(q.unflatten(-1, (-1, 3)), attention, mean, std)

    def embed(self, x: Float[Tensor, "B P F"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B P E"]:
        """Eq. 2: e = Bi-RNN(p_1, ..., p_N); zero where there is padding."""
        h0 = self.h0.expand(-1, len(x), -1).contiguous()
        state = h0 if self.config.cell == "gru" else (h0, torch.zeros_like(h0))
        if (lengths == x.shape[1]).all():
            return self.rnn(x, state)[0]
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        e, _ = self.rnn(packed, state)
        return pad_packed_sequence(e, batch_first=True, total_length=x.shape[1])[0]

    def attend(
        self, e: Float[Tensor, "B P E"], counted: Bool[Tensor, "B P"]
    ) -> tuple[Float[Tensor, "B P E"], Float[Tensor, "B P P"]]:
        """Eq. 3: W_nm = e_n^T (A e_m + b), softmax over m; u = W e."""
        scores = e @ self.attention(e).mT
        weights = scores.masked_fill(~counted[:, None, :], -torch.inf).softmax(-1)
        return weights @ e, weights

    def pairs(
        self, x: Float[Tensor, "B P J 3"], real: Bool[Tensor, "B P"], only_first: bool = False
    ) -> Float[Tensor, "B Q J 3"]:
        """The graph network of section 3.2, on the joints of two people at a time.

        Our choice, as the paper says little: the nodes are the 34 joints, with 3 features each, rather
        than a node for each coordinate; with several companions a person's refined poses are averaged;
        someone alone is paired with themselves.
        """
        refine = real[:, :1] if only_first else real  # (B, Q)
        others = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)[: refine.shape[1]]
        alone = real.sum(1)[:, None, None] == 1
        chosen = refine[:, :, None] & real[:, None, :] & (others | alone)
        sequence, n, m = chosen.nonzero(as_tuple=True)
        joints, _ = self.graph(torch.cat([x[sequence, n], x[sequence, m]], 1))
        q = torch.zeros_like(x[:, : refine.shape[1]])
        q = q.index_put((sequence, n), joints[:, : x.shape[2]].to(x.dtype), accumulate=True)
        companions = (real.sum(1) - 1).clamp(min=1)
        return q / companions[:, None, None, None]

    def predict(self, people: Sequences, chunk: int = 1024) -> Float[Tensor, "B J 3"]:
        """The first person of each sequence, refined, in mm; equal lengths together, unpadded.

        Parameters
        ----------
        chunk : sequences at a time, which bounds the memory
        """
        device = next(self.parameters()).device
        refined = torch.empty_like(people.poses[:, 0])
        with torch.no_grad():
            for n in people.lengths.unique():
                for rows in (people.lengths == n).nonzero()[:, 0].split(chunk):
                    part = people[rows].to(device)
                    refined[rows] = decode(self(part.poses, part.lengths, True)).to(refined)
        return refined

    def refine(self, poses: Poses, boxes: np.ndarray | None = None, seed: int = 0) -> Poses:
        """Refine everyone in a scene in one batched pass of P sequences, each in its own order.

        The others in `poses` are the companions, whatever `config.companions` was trained with, but for
        "none".

        Parameters
        ----------
        poses : (P, 17, 3) mm in the camera frame, P at least 1
        boxes : x, y, width, height in px, for the order "near2d"
        seed : for the order "random"

        Returns
        -------
        (P, 17, 3) mm, an array or a tensor as `poses` is.

        Raises
        ------
        BadInput
            Nobody, a wrong shape, a joint that is not finite, or no finite boxes for "near2d".
        """
        return self.refine_all([poses], None if boxes is None else [boxes], seed)[0]

    def refine_all(
        self,
        scenes: Sequence[Poses],
        boxes: Sequence[np.ndarray] | None = None,
        seed: int = 0,
    ) -> list[Poses]:
        """`refine` for many scenes at once: the same numbers, sooner."""
        people = sequences(scenes, self.config, boxes=boxes, seed=seed)
        refined = self.predict(people).split([len(scene) for scene in scenes])
        return [
            new.to(old) if isinstance(old, Tensor) else new.numpy().astype(old.dtype)
            for new, old in zip(refined, scenes, strict=True)
        ]

    def save(self, path: Path) -> None:
        """Write the weights and the configuration to one file; BadInput where its folder is not there or closed."""
        save_model(self, path)

    @classmethod
    def load(cls, path: Path, config: PINetConfig | None = None) -> "PINet":
        """Read a network that `save` or `fit` wrote; BadInput where it is not of `config`."""
        return load_model(cls, PINetConfig, path, config)


def loss(outputs: Outputs, targets: Targets) -> dict[str, Float[Tensor, ""]]:
    """L1 in normalised units, by axis, and as "loss" the mean of the three axes.

    The paper has the L1 loss in camera coordinates, added over people (section 3.3); the released
    code has this.
    """
    error = (outputs.poses - targets.poses).abs() * targets.weight[..., None]
    x, y, z = error.sum((0, 1, 2))
    return {"loss": (x + y + z) / 3, "x": x, "y": y, "z": z}


def decode(outputs: Outputs) -> Float[Tensor, "B J 3"]:
    """The first person of each sequence, in mm, with the statistics of the input.

    "Just retain the first person" (section 3.4): the order was made for this one. The truth's own
    statistics, by which the targets are normalised, are not known in use.
    """
    return (outputs.poses * outputs.std + outputs.mean)[:, 0]


def train(
    people: Sequences,
    config: PINetConfig,
    profile: Profile,
    seed: int = 0,
    start: "PINet | None" = None,
    **options: Any,
) -> PINet:
    """A PI-Net trained on these sequences: a new one, or a copy of `start`, trained on.

    The hidden size is the configuration's, not the profile's. `options` are those of `fit` (out, validate, ...).
    """
    if start is not None:
        model = copy.deepcopy(start)
    else:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = PINet(config)

    def terms(network: nn.Module, batch: Sequences) -> dict[str, Tensor]:
        return loss(network(batch.poses, batch.lengths), targets(batch, config))

    fit(model, batches(people, config, profile.batch, seed), terms, profile.fit, **options)
    return model


def _real(lengths: Int[Tensor, " B"], poses: Float[Tensor, "B P J 3"]) -> Bool[Tensor, "B P"]:
    return torch.arange(poses.shape[1], device=poses.device) < lengths.to(poses.device)[:, None]


def _brief(shapes: list) -> str:
    return f"shapes {shapes[:3]}{'...' if len(shapes) > 3 else ''}"


def _checked(field: str, poses: Poses) -> np.ndarray:
    array = poses.detach().cpu().numpy() if isinstance(poses, Tensor) else np.asarray(poses)
    expected = f"(P, {len(MPI17)}, 3) floating-point mm, P at least 1"
    if array.shape[1:] != (len(MPI17), 3) or not len(array) or array.dtype.kind != "f":
        raise BadInput("PINet", field, f"shape {array.shape}, {array.dtype}", expected)
    if not np.isfinite(array).all():
        person, joint = np.argwhere(~np.isfinite(array))[0][:2]
        raise BadInput("PINet", f"{field}[{person}, {joint}]", array[person, joint], "finite mm")
    return array
