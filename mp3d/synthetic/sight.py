"""What a camera sees of many people: `body.visibility` for crowds."""

from dataclasses import fields

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from mp3d.synthetic.body import _ADJOIN, Body, _axis_distance, capsules, ray_capsule

_CHUNK = 512  # pairs of people looked at together


def seen(
    size: Float[np.ndarray, " M"],
    points: Float[np.ndarray, "M 22 3"],
    inside: Bool[np.ndarray, "M 17"],
    scene: Int[np.ndarray, " M"],
) -> UInt8[np.ndarray, "M 17"]:
    """`body.visibility` of people in one row, ordered by `scene`: only those who may hide somebody are asked.

    A ball bounds each person's capsules, a cone the directions to the ball. Somebody is hidden at most by people
    whose cones meet theirs and whose nearest point is nearer than their farthest.

    Parameters
    ----------
    size : stature times girth, mm
    points : camera frame, mm
    inside : which joints lie in the image
    scene : people of other scenes hide nobody
    """
    joints = points[:, :17]
    body = Body(*(size if f.name == "stature" else np.ones_like(size) for f in fields(Body)))
    first, last, radius = capsules(body, points)
    distance = np.sqrt((joints * joints).sum(-1))
    rays = joints / distance[..., None]
    mine = ray_capsule(rays, first, last, radius)  # (M, 17, K)
    skin = _ADJOIN | (_axis_distance(joints, first, last) < radius[:, None])
    surface = np.minimum(np.where(skin, mine, np.inf).min(-1), distance)
    enter = np.where(skin, np.inf, mine).min(-1)
    a, b = _pairs(first, last, radius, scene)
    for start in range(0, len(a), _CHUNK):
        i, j = a[start : start + _CHUNK], b[start : start + _CHUNK]
        np.minimum.at(enter, i, ray_capsule(rays[i], first[j], last[j], radius[j]).min(-1))
    return np.where(inside, np.where(enter < surface - 1e-6, 1, 2), 0).astype(np.uint8)


def _pairs(first: np.ndarray, last: np.ndarray, radius: np.ndarray, scene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of people, and of others who may hide them."""
    centre = (first.min(1) + first.max(1)) / 2
    ends = [(np.linalg.norm(end - centre[:, None], axis=-1) + radius).max(-1) for end in (first, last)]
    ball, away = np.maximum(*ends), np.linalg.norm(centre, axis=-1)
    cone = np.where(away > ball, np.arcsin(np.minimum(ball / away, 1.0)), np.pi)
    way, start, pairs = centre / away[:, None], 0, [np.zeros((0, 2), int)]
    for count in np.unique(scene, return_counts=True)[1].tolist():
        s = slice(start, start + count)
        apart = np.arccos(np.clip(way[s] @ way[s].T, -1, 1))
        may = (apart <= cone[s, None] + cone[s] + 1e-6) & (away[s, None] + ball[s, None] > away[s] - ball[s])
        np.fill_diagonal(may, False)
        pairs.append(np.argwhere(may) + start)
        start += count
    a, b = np.concatenate(pairs).T
    return a, b
