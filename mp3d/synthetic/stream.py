"""An endless stream of annotated pictures to train on, in constant memory.

`Stream(...)(step)` is a pure function of the step, as `training.fit` wants it: a run that was killed goes on with the
pictures it would have had. Pictures are drawn by the block, on the device where the network is, and one block is kept
at a time. Each is shown `reuse` times, in another order and company, before the next block is drawn: a step pays for
1 / `reuse` of its pictures. Who is in the next block is drawn by another thread meanwhile, on the processor.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from mp3d.batch import Batch
from mp3d.data.tdbu_outputs import Video
from mp3d.errors import BadInput
from mp3d.synthetic.mupots import mupots_takes
from mp3d.synthetic.render import render
from mp3d.synthetic.takes import Takes
from mp3d.synthetic.worlds import takes


@dataclass(frozen=True)
class Stream:
    """Batches of pictures of a synthetic world.

    Parameters
    ----------
    world, split, seed : of `worlds.takes`. Clothes, places and light follow from the seed alone: pictures to test on
        want a seed that no training has
    width, height : px
    batch : pictures a step
    reuse : how often each picture is shown
    block : pictures drawn together, a multiple of `batch`
    device : where they are drawn
    videos : of `data.tdbu_outputs`: their motion instead of the world's own, for `duet`

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
    videos: Sequence[Video] = ()
    _kept: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self):
        if min(self.batch, self.reuse, self.block) < 1 or self.block % self.batch:
            found = (self.batch, self.reuse, self.block)
            raise BadInput("Stream", "batch, reuse, block", found, "positive, and a block of whole batches")

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        steps = self.block // self.batch
        round_, place = divmod(step, steps)
        number, again = divmod(round_, self.reuse)
        order = np.random.default_rng([self.seed, number, again]).permutation(self.block)
        chosen = order[place * self.batch : (place + 1) * self.batch]
        return self._drawn(number)[torch.from_numpy(chosen).to(self.device)]

    def _drawn(self, number: int) -> Batch:
        """The pictures of a block; those of another block go before they come."""
        kept = self._kept
        if kept.get("number") != number:
            kept.pop("batch", None)
            coming = kept.pop("coming", {}).get(number)
            some = self._cast(number) if coming is None else coming.result()
            kept["number"] = number
            kept["batch"] = render(some, self.width, self.height, self._look(number), self.device).batch
            pool = kept.setdefault("pool", ThreadPoolExecutor(1))
            kept["coming"] = {number + 1: pool.submit(self._cast, number + 1)}
        return kept["batch"]

    def _look(self, number: int) -> int:
        return int(np.random.default_rng([self.seed, number]).integers(2**31))

    def _cast(self, number: int) -> Takes:
        """Who is in a block, and where."""
        if self.videos:
            return mupots_takes(self.videos, self._look(number), self.block)
        return takes(self.world, self.block, self.seed, self.split, start=number * self.block)
