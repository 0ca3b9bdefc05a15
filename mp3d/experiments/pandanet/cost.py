"""What PandaNet costs by number of people, beside a top-down method (Figure 5)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from mp3d.batch import Batch
from mp3d.canvas import Canvas, on_canvas
from mp3d.codings import anchors as coding
from mp3d.experiments.smap.cost import median
from mp3d.papers import pandanet
from mp3d.papers.pandanet import Maps, PandaNet, PandaNetConfig
from mp3d.papers.threedmppe import ThreeDMPPE, true_boxes

PEOPLE = (1, 10, 20, 40, 60)


def _first(batch: Batch, people: int) -> Batch:
    """The same picture, with nobody but its first people."""
    return replace(batch, **{name: getattr(batch, name)[:, :people] for name in ("xyz", "uv", "visibility")})


def exact_maps(batch: Batch, sizes: Float[Tensor, "A 2"], config: PandaNetConfig) -> tuple[Maps, Canvas]:
    """What a perfect network says of pictures: at everybody's anchors of A+ their box and pose, with a probability of
    their PONO; elsewhere nobody. Poses that are not known as a whole are 0."""
    moved, canvas = on_canvas(batch, config.canvas)
    goal = pandanet.targets(moved, sizes, config)
    anchors = coding.grid_anchors(sizes.to(moved.uv), config.grid(*config.canvas))
    at = coding.labels(goal.pono).nonzero(as_tuple=True)
    anchor, person = anchors[at[1:]], goal.person[at]
    shape = goal.pono.shape
    maps = Maps(*(torch.zeros(*shape, *more) for more in ((), (4,), (17, 2), (17, 3))))
    maps = Maps(*(part.to(moved.uv.device) for part in maps))
    maps.score.fill_(-20.0)
    maps.score[at] = goal.pono[at].clamp(max=1 - 1e-3).logit()
    maps.boxes[at] = coding.encode_boxes(anchor, goal.boxes[at[0], person])
    maps.uv[at] = coding.encode_pose(anchor, goal.uv[at[0], person]).nan_to_num()
    maps.xyz[at] = goal.xyz[at[0], person].nan_to_num()
    return maps, canvas


def cost(
    config: PandaNetConfig,
    crowd: Batch,
    other: ThreeDMPPE,
    people: Sequence[int] = PEOPLE,
    rounds: int = 5,
    repeats: int = 3,
) -> pd.DataFrame:
    """Milliseconds of one picture with so many people, as a study's table: of this machine at this moment.

    Variants: network; reading, from exact maps to people in mm; pandanet, both; threedmppe, from true boxes, a loop of
    the two networks over people as its code has it, without the flip test; threedmppe_batch, all people at once.
    Metrics: ms_N; growth, the last number's ms by the first's. Rows "pandanet, N people" have time, in % of PandaNet's
    mean for the first number. No network needs to be trained for it.

    Parameters
    ----------
    crowd : one picture; its anchors are k-means of its boxes, and its first N people are those who are found
    rounds : they take the place of seeds; each is the median of some repeats
    """
    device, rows = next(other.parameters()).device, []
    model = PandaNet(config).to(device)
    boxes = coding.pose_box(on_canvas(crowd, config.canvas)[0].uv[pandanet.people_of(crowd)])
    model.sizes.copy_(coding.kmeans(boxes[:, 2:], config.count))
    pictures = {number: _first(crowd, number).to(device) for number in people}
    for seed in range(rounds):
        for number, batch in pictures.items():
            maps, canvas = exact_maps(batch, model.sizes, config)
            boxes = true_boxes(batch)[0][batch.there[0]]
            parts: dict[str, Callable] = {
                "network": lambda b=batch: model.maps(b.image),
                "reading": lambda b=batch, m=maps, c=canvas: pandanet.decode(
                    pandanet.detect(m, model.sizes, config), c, b.k, 4000.0
                ),
                "threedmppe": lambda b=batch, some=boxes: [
                    other.estimate(b.image, [box[None]], b.k, flip=False) for box in some
                ],
                "threedmppe_batch": lambda b=batch, some=boxes: other.estimate(b.image, [some], b.k, flip=False),
            }
            rows += [(name, seed, number, 1000 * median(work, repeats, device)[0]) for name, work in parts.items()]
    long = pd.DataFrame(rows, columns=["variant", "seed", "people", "ms"])
    ours = long[long["variant"].isin(["network", "reading"])].groupby(["seed", "people"], as_index=False)["ms"].sum()
    long = pd.concat([long, ours.assign(variant="pandanet")], ignore_index=True)
    wide = long.pivot_table(index=["variant", "seed"], columns="people", values="ms")
    table = wide.add_prefix("ms_").assign(growth=wide[people[-1]] / wide[people[0]]).reset_index()
    whole = long[long["variant"] == "pandanet"]
    first = whole[whole["people"] == people[0]]["ms"].mean()
    named = [f"pandanet, {number} people" for number in whole["people"]]
    extra = pd.DataFrame(
        {"variant": named, "seed": whole["seed"].to_numpy(), "time": (100 * whole["ms"] / first).to_numpy()}
    )
    return pd.concat([table, extra], ignore_index=True).rename_axis(columns=None).assign(scene="one picture", n=1)
