"""How much companions can tell, before any network: ridge regression on the world `duet`, by kind of interaction."""

import pandas as pd

from mp3d.coupling import companion_gain
from mp3d.synthetic import worlds
from mp3d.synthetic.estimator import estimate

SIZES = {"smoke": (160, 1), "cpu": (4000, 3), "gpu": (20_000, 3), "paper": (20_000, 3)}
"""Scenes, over all kinds, and seeds of the estimates' errors, by profile."""


def ridge_on_duet(profile: str, frame: str = "pair") -> pd.DataFrame:
    """Ridge regression without (`ridge_self`) and with (`ridge`) the nearest companion, as a study's table.

    Each kind of interaction is fitted on its own, so the regression knows what people do together, which a network
    has to find out; independent frames, three-fold. A row a variant, seed (of the estimates' errors) and kind.

    Parameters
    ----------
    frame : "pair" or "camera", see `mp3d.coupling`
    """
    count, seeds = SIZES[profile]
    scenes = worlds.scenes("duet", count, seed=0, split="train")
    truths = [s.camera.to_world(s.xyz) for s in scenes]
    groups, kinds = [str(i) for i in range(count)], [s.kind for s in scenes]
    tables = []
    for seed in range(seeds):
        estimates = [s.camera.to_world(e) for s, e in zip(scenes, estimate(scenes, seed, split="test"), strict=True)]
        found = companion_gain(estimates, truths, groups, kinds, frame, folds=3, seed=seed)
        for column, variant in (("alone", "ridge_self"), ("companion", "ridge")):
            rows = found.assign(total=found[column] * found["n"]).groupby("kind")[["total", "n"]].sum()
            tables.append(
                pd.DataFrame({"variant": variant, "seed": seed, "scene": rows.index, "n": rows["n"].to_numpy()}).assign(
                    mpjpe=(rows["total"] / rows["n"]).to_numpy()
                )
            )
    return pd.concat(tables, ignore_index=True)
