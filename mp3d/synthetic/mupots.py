"""Takes with the motion of real people: TDBU's published estimates of MuPoTS-3D's videos, where they are at hand.

Kept: who does what with whom and where, frame by frame, as the estimates have it; MuPoTS-3D's image sizes; a camera
with the focal lengths that `data.tdbu_outputs` assumes. Invented: hands, toes and the nose (`complete`), how stout
people are, the floor (a plane through the ankles). Not kept: anything but the poses of people whom the release saw and
whose poses agree with their 2D joints. Estimates are not anatomy: bones change their lengths from frame to frame, feet
slide and sink, and people may pass through one another.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mp3d.data.tdbu_outputs import Video
from mp3d.errors import BadInput
from mp3d.synthetic.body import _ACROSS, _COLUMN, POINTS
from mp3d.synthetic.takes import Takes, join, takes_of

PEOPLE = 3
_J = {name: POINTS.index(name) for name in POINTS}


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def stature(xyz: Float[np.ndarray, "*n 17 3"]) -> Float[np.ndarray, "*n"]:
    """How tall somebody is, mm: the bones from ankle to top of the head over their part of the stature (`body`)."""

    def bone(a: str, b: str) -> np.ndarray:
        return np.linalg.norm(xyz[..., _J[a], :] - xyz[..., _J[b], :], axis=-1)

    legs = sum(bone(f"{s}_hip", f"{s}_knee") + bone(f"{s}_knee", f"{s}_ankle") for s in "rl") / 2
    trunk = bone("pelvis", "spine") + bone("spine", "neck")
    return (legs + trunk + bone("neck", "head_top")) / (1 - _COLUMN["ankle"] / sum(_COLUMN.values()))


def complete(xyz: Float[np.ndarray, "*n 17 3"]) -> Float[np.ndarray, "*n 22 3"]:
    """`body.POINTS` from the MPI17 joints: hands go on from the forearms, toes and nose point ahead.

    Ahead is what is square to the hips (for the toes) or the shoulders (for the nose) and to the spine, in a frame
    with y down; lengths are `body`'s parts of the stature.
    """
    j = {name: xyz[..., index, :] for name, index in _J.items() if index < 17}
    tall = stature(xyz)[..., None]
    down = j["pelvis"] - j["neck"]
    ends = []
    for s in "rl":
        ends.append(j[f"{s}_wrist"] + _unit(j[f"{s}_wrist"] - j[f"{s}_elbow"]) * _ACROSS["hand"] * tall)
    ahead = _unit(np.cross(j["r_hip"] - j["l_hip"], down))
    for s in "rl":  # as in `body.forward`
        shank = _unit(j[f"{s}_ankle"] - j[f"{s}_knee"])
        instep = _unit(ahead - 0.85 * (ahead * shank).sum(-1, keepdims=True) * shank)
        ends.append(j[f"{s}_ankle"] + _unit(instep + 0.35 * shank) * _ACROSS["foot"] * tall)
    skull = j["head_top"] - j["head"]
    face = np.cross(j["r_shoulder"] - j["l_shoulder"], down)
    up = _unit(skull)
    face = _unit(face - (face * up).sum(-1, keepdims=True) * up)
    length = np.linalg.norm(skull, axis=-1, keepdims=True)
    ends.append(j["head"] + 0.35 * skull + 0.55 * length * face)
    return np.concatenate([xyz, np.stack(ends, -2)], -2)


def floor(
    ankles: Float[np.ndarray, "N 3"], height: float | int, steps: int = 20
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """Rotation and translation of a camera from ankles that stand `height` mm above the floor, most of them.

    A plane y = a + b x + c z by reweighted least squares (bisquare weights on the distance from the median, a third of
    the weight for ankles above the plane, which are lifted feet), with b and c drawn to 0 where the ankles do not tell
    them. The world's origin is the point of the floor below the ankles' mean, its z axis the camera's on the floor.
    """
    x, y, z = ankles.T
    middle = ankles.mean(0)
    design = np.stack([np.ones_like(x), (x - middle[0]) / 1000, (z - middle[2]) / 1000], -1)
    weight, fit = np.ones_like(x), np.zeros(3)
    for _ in range(steps):
        left = design.T * weight
        fit = np.linalg.solve(left @ design + np.diag([1e-9, 1.0, 1.0]) * 0.02 * len(x), left @ y)
        gap = y - design @ fit  # positive below the plane
        scale = max(4.7 * 1.48 * np.median(np.abs(gap)), 20.0)
        weight = np.clip(1 - (gap / scale) ** 2, 0, 1) ** 2 * np.where(gap < 0, 1 / 3, 1.0)
    normal = _unit(np.array([-fit[1] / 1000, 1.0, -fit[2] / 1000]))  # down, in the camera's frame
    ahead = _unit(np.array([0.0, 0.0, 1.0]) - normal[2] * normal)
    rotation = np.stack([np.cross(normal, ahead), normal, ahead], -1)
    on_plane = np.array([middle[0], fit[0], middle[2]])
    return rotation, on_plane + height * normal


def mupots_takes(videos: Sequence[Video], seed: int, count: int) -> Takes:
    """`count` frames drawn from these videos, as takes of the world `duet`, kind and split "mupots".

    Poses are TDBU's integrated ones at the true root depths. Frames in which nobody can be relied on are not drawn;
    where there are fewer frames than asked for, frames come again. The order is drawn, too.

    Raises
    ------
    BadInput
        for no frames to draw from, or a negative count
    """
    parts = [_video(video, seed) for video in videos]
    total = sum(map(len, parts))
    if count < 0 or not total:
        raise BadInput("mupots_takes", "videos, count", (f"{total} frames", count), "a frame and a count >= 0")
    rng = np.random.default_rng([seed, 1])
    rounds = [rng.permutation(total) for _ in range(-(-count // total) or 1)]
    return join(parts).take(np.concatenate(rounds)[:count])


def _video(video: Video, seed: int) -> Takes:
    """All frames of a video in which somebody can be relied on."""
    points = complete(video.xyz())
    sure = video.seen & video.agrees() & (points[..., 2] > 0).all(-1)
    frames = np.flatnonzero(sure.any(1))
    tall = np.median(stature(video.xyz()), 0)  # of each person, over the video
    girth = np.random.default_rng([seed, 0, int(video.name[2:])]).uniform(0.92, 1.15, len(tall))
    feet = points[..., [_J["r_ankle"], _J["l_ankle"]], :][sure].reshape(-1, 3)
    rotation, translation = (
        floor(feet, float(_COLUMN["ankle"] * tall.mean())) if len(feet) else (np.eye(3), np.zeros(3))
    )
    n = len(frames)
    placed, size = np.full((n, PEOPLE, 22, 3), np.nan), np.full((n, PEOPLE), np.nan)
    row, person = np.nonzero(sure[frames])
    place = np.arange(len(row)) - np.searchsorted(row, row)
    placed[row, place], size[row, place] = points[frames[row], person], (tall * girth)[person]
    camera = video.camera
    return takes_of(
        placed,
        size,
        camera.k[None].repeat(n, 0),
        np.array([[camera.width, camera.height]]).repeat(n, 0),
        rotation[None].repeat(n, 0),
        translation[None].repeat(n, 0),
        kind=("mupots",) * n,
        sequence=(video.name,) * n,
        frame=frames,
        world="duet",
        split="mupots",
        seed=seed,
        motion="tdbu",
    )
