# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # SMAP, ablated: scale of depth, scales of supervision, order of people
#
# ![What each part of the design adds, with its interval](../figures/smap_ablation/cpu/parts.png)
#
# Jianan Zhen et al.: *SMAP: Single-Shot Multi-Person Absolute 3D Pose Estimation*, ECCV 2020, section 4.5 and supplement 3. Tables 3, 4, 5 and 11, the
# choice of a focal length, and what the paper leaves unsaid. What differs before training is trained anew; what differs after it is read from one
# and the same network. Afterwards you can tell the two kinds of ablation apart, and say which of SMAP's parts this run can see working.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 7 min on 2 cores, 2 GB; `run.json` beside the figures has the seconds of the stored run.
# - **Data**: the synthetic worlds `duet` and `studio`, drawn here ([`worlds.ipynb`](worlds.ipynb)). Ways of reading are also compared on `mupots3d`,
#   `panoptic` and `h36m`, where you have them in one folder, after training on `muco3dhp` and `coco2017` if these are there too.
# - **You need**: [`smap.ipynb`](smap.ipynb), and [`metrics.ipynb`](metrics.ipynb) for PCK, AUC and PCOD.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings of each network; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
data: str = "synthetic"  # or the folder of MuPoTS-3D, Panoptic, Human3.6M, to be read in all ways as well
out: str = ""  # folder for figures and tables; default: runs/smap_ablation/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd

from mp3d import exercises, plots
from mp3d.experiments import threedmppe as crops
from mp3d.experiments.smap import cost, networks, show, tables
from mp3d.metrics import roots
from mp3d.experiments.pinet import spread
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import smap

run = begin("smap_ablation", globals(), folders=True)

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. Two kinds of ablation
#
# Leave normalisation out, and another network is trained: it differs by chance as well, by its first weights and by what it saw when. Leave the length of bones out
# of the association, and the same maps are read in another way: nothing differs but that. The first kind needs several trainings before a small difference
# says anything; the second only scenes.

# %% tags=["nbval-check-output"]
symbols = [
    ("full", "network", "the profile's network"),
    ("no_normalisation", "network", "the root-depth map holds Z, not Z w / f"),
    ("no_multiscale", "network", "only the finest scale is supervised"),
    ("one_stage, two_stages", "network", "stages of the chain"),
    ("root_2d", "network", "without relative depth: heatmaps, fields, root depth"),
    ("root_only", "network", "the root's heatmap and depth alone"),
    ("paper_loss", "network", "sums in the paper's losses, one set of labels; elsewhere those of the released code"),
    ("no_refine", "reading", "without RefineNet"),
    ("dapa, 2dpa", "reading", "depth-aware association; OpenPose's, all pairs at once"),
    ("dapa_far", "reading", "from far to near"),
    ("dapa_no_length, dapa_filter", "reading", "no limit on bones; a filter (paper) for the penalty (released)"),
    ("sum3, flip", "reading", "the sum of three scales; of the mirrored picture too (released)"),
    ("rays", "reading", "joints that were found back on their rays after RefineNet (released)"),
]
table(pd.DataFrame(symbols, columns=["variant", "differs in", "what"]), "Variants.")

# %% [markdown]
# ## 2. PCOD with a pencil
#
# Three people at 3.0, 3.2 and 5.0 m, found at 3.1, 3.0 and 4.9 m. Three pairs. The first two people stand within 0.3 m of each other, and are found so:
# *roughly the same*, right. The other pairs are in the right order and farther apart: right. PCOD as in the paper: 3 of 3. By signs alone the first pair is
# wrong: 2 of 3. Now found at 3.0, 3.6 and 5.0 m: the paper's definition has the first pair wrong, the released code has it right, since the order is.

# %% tags=["nbval-check-output"]
true = np.array([3000.0, 3200, 5000])
for found in ([3100.0, 3000, 4900], [3000.0, 3600, 5000]):
    z = np.array(found)
    counted = {name: roots.ordinal_pairs(z, true, name) for name in ("paper", "mupots")}
    signs = roots.ordinal_pairs(z, true, tolerance=0)
    print(found, {name: f"{a} of {b}" for name, (a, b) in (counted | {"signs": signs}).items()})

# %% [markdown]
# ## 3. Training
#
# Networks that [`smap.ipynb`](smap.ipynb) has trained at this profile and budget are found and not trained again. A stopped run goes on where it stopped.
# With one training of each network, as in `cpu`, intervals are of test videos alone. Variants that are one network at this profile have equal rows: in
# `cpu` the full network has one stage.

# %%
source(smap.SMAPConfig)

# %% tags=["nbval-ignore-output"]
study = tables.networks(run.profile, run.cache, budget, seed, seeds)
results = tables.with_same(spread(run.study(study)), run.profile)
number = len(study.seeds)

# %% [markdown]
# ## 4. Tables 3 and 11: parts left out
#
# **The question**: which part does what? In the paper normalisation is everything for the root (PCK_root 45.5 to 5.7) and hardly anything for the pose
# (PCK_rel 80.5 to 78.9); scales of supervision help the pose (80.5 to 75.4 without) and the order in depth, RefineNet the pose, the 2D branches the root.

# %% tags=["nbval-ignore-output"]
parts = results[results["variant"].isin([*networks.VARIANTS, "no_refine", "threedmppe"])]
means = show.means(parts)
run.table(
    means, "% of matched people, but `_all`; errors in mm and % of depth.", "parts", number, means.attrs["protocol"]
)
run.show(plots.forest(show.differences(parts, "full", ["pck_root", "pck_rel"]), "full less variant (points)"), "parts",
         "What each part adds to PCK_root and PCK_rel.")  # fmt: skip
run.judge("smap", results, "T3.", "T11.", "ours.networks")

# %% [markdown]
# ## 5. Table 4: 2D and depth-aware association
#
# **The question**: on the same maps, does depth help to say who owns which joint? The paper's gains are 0.1 to 0.5 points on MuPoTS-3D, 0.7 to 2.1 on
# Panoptic. [`codings.ipynb`](codings.ipynb) asks the same of exact maps. Here the maps are a network's, with RefineNet after each; `duet` has two or
# three people, `studio` up to eight.

# %% tags=["nbval-ignore-output"]
study = tables.readings(run.profile, run.cache, budget, seed, seeds)
readings = {"duet": results, "studio": spread(run.study(study))}
for world, df in readings.items():
    df = readings[world] = df[df["variant"].isin(tables.READINGS)]
    means = show.means(df, ["recall", "precision", "pck2d", "pck_root", "pck_abs", "pck_rel", "pcod"])
    run.table(means, f"Readings of one network on `{world}`, %.", f"readings_{world}", number)
    run.judge("smap", df, f"T4.{world}", f"F3.{world}", f"ours.reading_{world}")

# %% tags=["nbval-ignore-output"]
shown = pd.concat([show.differences(df, "dapa", ["pck2d"]).assign(table=world) for world, df in readings.items()])
run.show(
    plots.forest(shown, "DAPA less variant, 2DPCK (points)", "both worlds"),
    "readings",
    "What each way of reading costs or gives.",
)

# %% tags=["nbval-ignore-output"]
if data != "synthetic":
    for kind, measured in tables.on_data(data, tables.READINGS, run.profile, seed, run.cache, budget).items():
        means = show.means(measured, ["recall", "precision", "pck2d", "pck_rel_all", "rt_error", "pcod"])
        run.table(means, f"Readings on {kind}.", kind, protocol=measured.attrs["protocol"], data=kind)
        run.judge("smap", measured, f"T4.{'duet' if kind == 'mupots3d' else 'studio'}", data=kind)

# %% [markdown]
# ## 6. Supplement 3.2: which focal length?
#
# **The question**: what does it cost not to know the camera? With $\tilde Z$ the network's own answer does not depend on $f$, and a wrong $f$ scales all depths
# alike: the order stays. A network without normalisation has to guess the field of view from the picture. `fov`: fields of view narrower than any in training, everybody as much farther away.

# %% tags=["nbval-ignore-output"]
cameras = run.study(tables.intrinsics(run.profile, run.cache, budget, seed, seeds))
measured = cameras.groupby("variant", sort=False)[
    [c for c in cameras if c.startswith(("rt_error", "depth_error", "pcod"))]
].mean()
run.table(
    measured,
    "rt_error in mm, depth_error in % of the depth, the others in %.",
    "intrinsics",
    number,
    "mean over test videos",
)
run.judge("smap", cameras, "S32.")

# %% [markdown]
# ## 7. Table 5: time and memory by number of people
#
# **The question**: what does one more person cost? The network sees the same picture whoever is in it; association has more to link; a top-down
# method looks at everybody. Memory is measured on a GPU alone.

# %% tags=["nbval-ignore-output"]
model = networks.trained("full", "duet", run.profile, seed, run.cache, budget).to(run.device)
top_down = crops.trained(run.profile, seed, run.cache, tables.CROPS * budget).to(run.device)
people = (3, 20) if run.profile == "smoke" else (3, 5, 10, 20)
costs = cost.cost(model, top_down, people)
run.show(
    plots.curves(show.costs(costs), "people in the picture", "ms", log="y"), "cost", "Time of one picture, by part."
)
run.table(
    show.median_costs(costs),
    "Medians; ms, and MB on a GPU.",
    "cost",
    0,
    "this machine; true boxes for 3DMPPE",
    digits=2,
)
run.judge("smap", costs, "T5.")

# %% [markdown]
# ## 8. What the paper does not say
#
# Each line is one choice, and what it changed above:

# %% tags=["nbval-ignore-output"]
run.table(show.choices(readings["duet"]), "Changes on `duet`, points.", "choices", number, digits=2)

# %% [markdown]
# - **Order, penalty, filter, scales, mirrored picture**: section 5.
# - **AUC**: over 0, 5, ..., 150 mm, as released, nothing can be right at 0; without it every AUC is a thirtieth higher.
# - **PCOD**: the released code for MuPoTS-3D counts a pair as right if the order is right, however far apart: never below the paper's.
# - **Rays**: for MuPoTS-3D the released code puts joints back on their rays after RefineNet. The paper does not mention it.
# - **Losses and labels**: section 4's `paper_loss` has the paper's sums, of all maps, and one size of labels. In `smoke`, `cpu` and `gpu` the others have the
#   released code's means, its hardest maps and its label sets, which get finer from scale to scale. Two changes at once, at a learning rate chosen for
#   the released ones.
#
# ## 9. Exercises
#
# **1.** How many pairs are in the right class, by the paper's PCOD? *Hint*: section 2; three classes.


# %%
def pairs_right(pred, true):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(
    pairs_right,
    exercises.pairs_right,
    ([3100, 3000, 4900], [3000, 3200, 5000]),
    ([3000, 3600, 5000], [3000, 3200, 5000]),
)

# %% [markdown]
# **2.** The normalised depth of somebody at z mm is right, but the focal length that undoes it is not. How far off is the root's depth, in mm?
# *Hint*: does the picture's width matter?


# %%
def wrong_focal(z, used, true):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(wrong_focal, exercises.wrong_focal, (4000, 1920, 1500), (4000, 1500, 1500))

# %% [markdown]
# **3.** Every joint is off by the same number of mm. The AUC in % over 0, 5, ..., 150 mm? *Hint*: 31 thresholds; an error equal to one is not below it.


# %%
def auc_of_constant(error):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(auc_of_constant, exercises.auc_of_constant, (75,), (0,), (149,))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Say which kind of ablation a table is: of trainings, or of readings. They need different evidence.
# - A metric's definition can be worth more than a method: compare AUC's and PCOD's two with the differences between methods.
# - Next: [`codings.ipynb`](codings.ipynb) for the same codings without a network.
#
# **References**: J. Zhen et al., *SMAP*, ECCV 2020, with supplement. Z. Cao et al., *Realtime Multi-Person 2D Pose Estimation using Part Affinity
# Fields*, CVPR 2017. To cite this project see `CITATION.cff`.
