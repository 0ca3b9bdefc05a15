"""Who is who from frame to frame: 2D poses that are alike, the most alike first.

The paper has a tracker of its own kind ([45], learned); this is the plainest one, and our choice. Where identities are
known, as in the worlds, it is not needed.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mp3d.papers.tdbu.topdown import picture_oks

LEAST, PATIENCE = 0.3, 10
"""How alike two poses of a track are at least, and for how many frames somebody may be out of sight (our choice)."""


def track(
    uv: Sequence[Float[Tensor, "_ 17 2"]], sure: Sequence[Float[Tensor, "_ 17"]], least: float | int = LEAST
) -> list[Int[Tensor, " _"]]:
    """A number for everybody in every frame, the same for one person as long as they are followed.

    Everybody is compared with where each track was last, the most alike pairs first; who is like nobody starts a track.

    Parameters
    ----------
    uv, sure : by frame, px and confidences
    """
    last: dict[int, tuple[int, Tensor, Tensor]] = {}
    found, fresh = [], 0
    for frame, (places, known) in enumerate(zip(uv, sure, strict=True)):
        alive = {number: seen for number, seen in last.items() if frame - seen[0] - 1 <= PATIENCE}
        alike = sorted(
            (
                (picture_oks(places[i], known[i], seen[1], seen[2]), -i, -number)
                for i in range(len(places))
                for number, seen in alive.items()
            ),
            reverse=True,
        )
        numbers, taken = [-1] * len(places), set()
        for value, i, number in alike:
            if value > least and numbers[-i] < 0 and -number not in taken:
                numbers[-i] = -number
                taken.add(-number)
        for i, number in enumerate(numbers):
            if number < 0:
                numbers[i], fresh = fresh, fresh + 1
            last[numbers[i]] = (frame, places[i], known[i])
        found.append(torch.tensor(numbers, dtype=torch.long))
    return found
