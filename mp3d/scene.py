"""The record that flows through everything: a camera, the people before it, an image where there is one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Num, UInt8

from mp3d.camera import Camera
from mp3d.errors import BadInput
from mp3d.skeletons import MPI17, NATIVE, Skeleton, convert, convert_visibility

ABSENT, HIDDEN, VISIBLE = range(3)


@dataclass(frozen=True, eq=False)
class Person:
    """One person in one image, true or predicted.

    Parameters
    ----------
    xyz : (J, 3) mm in the camera frame, NaN where a joint is absent
    uv : (J, 2) px
    visibility : (J,) 0 absent, 1 hidden, 2 visible
    source : (J,) 0 absent, 1 native, 2 derived, 3 approximate, as `skeletons.convert` gives it
    identity : who this is, equal in all frames of a sequence
    score : a detector's confidence, 1 for a true person
    native : the same person in the data set's own joints, where those are others (`canonical`)
    detection : x, y, width, height in px of a tight box that a detector gave, where it gave one apart from the joints
    """

    xyz: Float[np.ndarray, "J 3"]
    uv: Float[np.ndarray, "J 2"]
    visibility: UInt8[np.ndarray, " J"]
    source: UInt8[np.ndarray, " J"]
    identity: int = 0
    skeleton: Skeleton = MPI17
    score: float = 1.0
    native: "Person | None" = None
    detection: Float[np.ndarray, " 4"] | None = None

    def __post_init__(self):
        if self.xyz.shape != (len(self.skeleton), 3):
            raise BadInput("Person", "xyz", self.xyz.shape, f"({len(self.skeleton)}, 3) for {self.skeleton}")

    @classmethod
    def of(
        cls,
        xyz: Num[np.ndarray, "J 3"],
        camera: Camera,
        visibility: UInt8[np.ndarray, " J"] | None = None,
        source: UInt8[np.ndarray, " J"] | None = None,
        **more: Any,
    ) -> "Person":
        """A person from the 3D pose alone: `uv` is its projection, joints are visible and native unless said."""
        xyz = np.asarray(xyz, float)
        there = np.isfinite(xyz).all(-1)
        visibility = np.where(there, VISIBLE, ABSENT).astype(np.uint8) if visibility is None else visibility
        source = np.where(there, NATIVE, ABSENT).astype(np.uint8) if source is None else source
        return cls(xyz, camera.project(xyz), visibility, source, **more)

    def canonical(self) -> "Person":
        """The person in `MPI17`, with the data set's own joints kept as `native`; one in `MPI17` is returned as is."""
        if self.skeleton == MPI17:
            return self
        xyz, source = convert(self.xyz, self.skeleton, MPI17)
        uv, _ = convert(self.uv, self.skeleton, MPI17)
        visibility = convert_visibility(self.visibility, self.skeleton, MPI17)
        source = np.where(visibility > ABSENT, source, ABSENT).astype(np.uint8)
        return replace(self, xyz=xyz, uv=uv, visibility=visibility, source=source, skeleton=MPI17, native=self)

    @property
    def root(self) -> Float[np.ndarray, " 3"]:
        """(3,) mm: the root joint of the skeleton."""
        if self.skeleton.root is None:
            raise BadInput("Person.root", "skeleton", self.skeleton, "a joint set with a root")
        return self.xyz[self.skeleton.root]

    @property
    def box(self) -> Float[np.ndarray, " 4"]:
        """(4,) x, y, width, height in px of the tightest box around the joints, not enlarged."""
        low, high = np.nanmin(self.uv, 0), np.nanmax(self.uv, 0)
        return np.concatenate([low, high - low])


@dataclass(frozen=True, eq=False)
class Scene:
    """People before a camera at one moment.

    Parameters
    ----------
    people : truth or predictions, all of one joint set
    world : where it comes from: a synthetic world or a data set, e.g. "duet"
    sequence, frame : its place in a video, e.g. "D7", 12
    kind : what the people do together, where that is known, e.g. "handshake"
    image : (H, W, 3) uint8, or None
    """

    camera: Camera
    people: tuple[Person, ...]
    world: str = ""
    sequence: str = ""
    frame: int = 0
    kind: str = ""
    image: UInt8[np.ndarray, "H W 3"] | None = None

    @property
    def xyz(self) -> Float[np.ndarray, "P J 3"]:
        """(P, J, 3) mm."""
        return self._each("xyz", (len(MPI17), 3))

    @property
    def uv(self) -> Float[np.ndarray, "P J 2"]:
        """(P, J, 2) px."""
        return self._each("uv", (len(MPI17), 2))

    @property
    def visibility(self) -> UInt8[np.ndarray, "P J"]:
        """(P, J) 0 absent, 1 hidden, 2 visible."""
        return self._each("visibility", (len(MPI17),)).astype(np.uint8)

    @property
    def roots(self) -> Float[np.ndarray, "P 3"]:
        """(P, 3) mm."""
        return self._each("root", (3,))

    @property
    def boxes(self) -> Float[np.ndarray, "P 4"]:
        """(P, 4) x, y, width, height in px, not enlarged."""
        return self._each("box", (4,))

    def _each(self, field: str, shape: tuple[int, ...]) -> np.ndarray:
        """A field of everybody; `shape` is that of one person, where nobody is there to ask."""
        return np.stack([getattr(person, field) for person in self.people]) if self.people else np.zeros((0, *shape))
