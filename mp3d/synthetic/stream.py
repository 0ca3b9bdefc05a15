"""An endless stream of annotated pictures to train on, in constant memory.

`Stream(...)(step)` is a pure function of the step, as `training.fit` wants it: a run that was killed goes on with the
pictures it would have had. Pictures are drawn by the block, on the device where the network is, and one block is kept
at a time. Each is shown `reuse` times, in another order and company, before the next block is drawn: a step pays for
1 / `reuse` of its pictures.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from mp3d.batch import Batch
from mp3d.errors import BadInput
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import takes


@dataclass(frozen=True)
class Stream:
    """Batches of pictures of a synthetic world.

    Parameters
    ----------
    world, split, seed : of `worlds.takes`; clothes, places and light are drawn with the same seed
    width, height : px
    batch : pictures a step
    reuse : how often each picture is shown
    block : pictures drawn together, a multiple of `batch`
    device : where they are drawn

    Raises
    ------
    BadInput : a block that is no multiple of the batch, or a number that is not positive
    """

    world: str
    seed: int
    width: int
    height: int
    batch: int = 32
    split: str = "train"
    reuse: int = 1
    block: int = 256
    device: str = "cpu"
    _drawn: object = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if min(self.batch, self.reuse, self.block) < 1 or self.block % self.batch:
            found = (self.batch, self.reuse, self.block)
            raise BadInput("Stream", "batch, reuse, block", found, "positive, and a block of whole batches")
        object.__setattr__(self, "_drawn", lru_cache(maxsize=1)(self._draw))

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        steps = self.block // self.batch
        round_, place = divmod(step, steps)
        number, again = divmod(round_, self.reuse)
        order = np.random.default_rng([self.seed, number, again]).permutation(self.block)
        chosen = order[place * self.batch : (place + 1) * self.batch]
        return self._drawn(number)[torch.from_numpy(chosen).to(self.device)]

    def _draw(self, number: int) -> Batch:
        some = takes(self.world, self.block, self.seed, self.split, start=number * self.block)
        look = int(np.random.default_rng([self.seed, number]).integers(2**31))
        return render(some, self.width, self.height, look, self.device, crop=self.split == "border").batch
