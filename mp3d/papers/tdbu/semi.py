"""Learning from tracks without poses (section 3.4, equations 10 and 11): a student, led by what it can check itself.

A teacher, trained where poses are known, is copied; the student goes on with 2D tracks alone. Two errors tell how far
to trust it: its poses should project onto the 2D joints, and look the same from another side. The discriminators keep
poses natural. What is lifted is a frame, by the graph network; where people stand is the teacher's, and stays.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mp3d.errors import BadInput
from mp3d.papers.tdbu.discriminators import NATURAL, Discriminators, adversarial
from mp3d.papers.tdbu.lifting import METRES, DirectedGCN, perspective_error, reprojection_error
from mp3d.training import FitConfig, fit


@dataclass(frozen=True, eq=False)
class People:
    """N people in single frames.

    Parameters
    ----------
    uv, sure : 2D joints in the camera's units, their confidences
    root : m, where the pelvis is
    other : who of the N is nearest to each in their frame, -1 for nobody
    """

    uv: Float[Tensor, "N 17 2"]
    sure: Float[Tensor, "N 17"]
    root: Float[Tensor, "N 3"]
    other: Int[Tensor, " N"]


def weights(
    reprojection: Float[Tensor, " N"],
    perspective: Float[Tensor, " N"],
    epochs: float | int,
    sign: Literal["easy", "printed"] = "easy",
) -> Float[Tensor, " N"]:
    """Equation 11, times N, so that their mean is 2 whatever the batch; without a gradient.

    As printed, softmax(E / r) gives the *largest* error the most, where the text wants easy samples first: "easy", the
    default, is softmax(-E / r). With a large r both are alike for all.
    """
    if sign not in ("easy", "printed"):
        raise BadInput("semi.weights", "sign", repr(sign), "'easy' or 'printed'")
    if not epochs > 0:
        raise BadInput("semi.weights", "epochs", epochs, "a positive number")
    side = -1.0 if sign == "easy" else 1.0
    shares = [(side * error.detach() / epochs).softmax(0) for error in (reprojection, perspective)]
    return len(reprojection) * (shares[0] + shares[1])


@dataclass(frozen=True, eq=False)
class Lesson:
    """A step's people without poses, angles to look at them from, and natural poses: two people each, if together."""

    people: People
    angles: Float[Tensor, " N"]
    natural: tuple[Float[Tensor, "M 17 3"], Float[Tensor, "M 17 3"], Bool[Tensor, " M"]]

    def to(self, device: torch.device | str) -> "Lesson":
        """The same on another device."""
        people = People(*(getattr(self.people, f.name).to(device) for f in fields(People)))
        return Lesson(people, self.angles.to(device), tuple(part.to(device) for part in self.natural))


class Student(nn.Module):
    """The graph network that learns, and its discriminators."""

    def __init__(self, teacher: DirectedGCN):
        super().__init__()
        self.config, self.graph, self.judges = teacher.config, deepcopy(teacher), Discriminators()

    def forward(self, people: People) -> Float[Tensor, "N 17 3"]:
        """m, seen from the pelvis."""
        return self.graph(people.uv, people.sure)


TERMS = ("reprojection", "perspective", "discriminators")


def loss(
    student: nn.Module,
    lesson: Lesson,
    terms: Sequence[str] = TERMS,
    epochs: float | int = 10,
    sign: Literal["easy", "printed"] = "easy",
) -> dict[str, Float[Tensor, ""]]:
    """Equation 10 with those of its `TERMS` that are named: Table 2's rows are four choices.

    What the discriminators say weighs `NATURAL` (our choice; 1 as printed). The weights of equation 11 are made of both
    errors, whichever are named.

    Parameters
    ----------
    epochs : r of equation 11
    """
    if not terms or set(terms) - set(TERMS):
        raise BadInput("semi.loss", "terms", terms, f"some of {TERMS}")
    people = lesson.people
    poses = student(people)
    errors = {
        "reprojection": reprojection_error(poses, people.root, people.uv, people.sure),
        "perspective": perspective_error(student.graph, poses, people.root, lesson.angles),
    }
    weight = weights(*errors.values(), epochs, sign)
    parts = {name: (weight * error).mean() for name, error in errors.items() if name in terms}
    if "discriminators" in terms:
        xyz = (poses + people.root[:, None]) / METRES
        found = (xyz, xyz[people.other.clamp(min=0)], people.other >= 0)
        sides = adversarial(student.judges, found, lesson.natural)
        parts |= {"natural": NATURAL * sides["natural"], "judges": sides["judges"]}
    return {"loss": sum(parts.values()), **parts}


def train_student(
    teacher: DirectedGCN,
    lessons: Callable[[int], Lesson],
    how: FitConfig,
    terms: Sequence[str] = TERMS,
    epochs: float | int = 10,
    sign: Literal["easy", "printed"] = "easy",
    seed: int = 0,
    out: Path | None = None,
    **options: Any,
) -> DirectedGCN:
    """A copy of the teacher that has learned from tracks without poses.

    Parameters
    ----------
    lessons : step -> what is learned from, a pure function
    terms, epochs, sign : of `loss`
    out, options : see `fit`
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        learner = Student(teacher)
    fit(learner, lessons, lambda network, batch: loss(network, batch, terms, epochs, sign), how, out, **options)
    return learner.graph.eval()
