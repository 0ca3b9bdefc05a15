# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # ORPM-AE: stacks, read-outs, tags, and what the paper leaves open
#
# ![Differences between numbers of stacks and ways of reading](../figures/orpm_ae_ablation/cpu/parts.png)
#
# The paper's one ablation is Table 1: stacks, and the naive read-out. Here each has an interval, and beside them stand the choices that the paper makes without comparing, or does
# not mention. Afterwards you can say which differences come from training and which from reading, and what a test of grouping needs.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 10 min on 2 cores, 2 GB; networks that [`orpm_ae.ipynb`](orpm_ae.ipynb) trained at this profile and budget are found.
# - **Data**: the synthetic world `studio`, drawn here. Where you have them in one folder, the networks are read on `panoptic` and `h36m` too.
# - **You need**: [`orpm_ae.ipynb`](orpm_ae.ipynb).

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings of each network; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
data: str = "synthetic"  # or the folder of Panoptic, Human3.6M, to be read in all ways as well
out: str = ""  # folder for figures and tables; default: runs/orpm_ae_ablation/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd

from mp3d import exercises, plots
from mp3d.experiments.orpm_ae import networks, show, tables
from mp3d.experiments.pinet import spread
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import orpm_ae
from mp3d.study import summary

run = begin("orpm_ae_ablation", globals(), folders=True)

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. What differs
#
# Networks differ by what they were asked *and* by chance: a small difference between two of them says little until it was seen in several trainings. Readings of one network's
# detections differ by nothing but the reading. All readings here start from one file: the network sees each picture once.

# %% tags=["nbval-check-output"]
symbols = [
    ("1-HG, 2-HG, ...", "network", "stacks, each trained for as many steps; full: the most of this profile"),
    ("stack1, ...", "reading", "the full network's earlier outputs"),
    ("paper, mehta, naive", "reading", "where bones are read"),
    ("no_test, t_d2", "reading", "no distance, or 2 cells instead of 3, to other people's joints"),
    ("t_c_0.1, t_c_0.5", "reading", "scores above 0.1 or 0.5, instead of 0.2, may be read from"),
    ("near_0.5, near_2", "reading", "tags nearer than 0.5 or 2, instead of 1, are one person's"),
    ("hungarian", "reading", "assignment of tags, joint by joint (public code), instead of the best score first"),
    ("pelvis", "network of one stack", "vectors from the pelvis, not from the parent"),
    ("literal", "network of one stack", "pose maps are compared everywhere, not where something is written"),
    ("public_push", "network of one stack", "the push of the public codes"),
    ("seen_only", "network of one stack", "no hidden joints in heatmaps"),
    ("..._naive", "reading", "that network, read naively"),
]
table(pd.DataFrame(symbols, columns=["variant", "differs in", "what"]), "Variants.")

# %% [markdown]
# ## 2. Finding fewer, with a pencil
#
# Four people, one joint each, off by 50, 100, 200 and 400 mm. One method finds all: MPJPE 187.5 mm, and two of four joints within 150 mm, 50 %. Another misses the two hard
# ones: MPJPE 75 mm, and still 50 % of everybody's joints. The paper says neither how predictions are matched nor how missed people count. So MPJPE never stands alone here.

# %% tags=["nbval-check-output"]
off = np.array([[50.0], [100.0], [200.0], [400.0]])
for found in ([True] * 4, [True, True, False, False]):
    mpjpe, right = exercises.found_and_right(off, found)
    print(f"found {sum(found)} of 4: MPJPE {mpjpe} mm, right {right} % of everybody's joints")

# %% [markdown]
# ## 3. Stacks
#
# **The question**: does each stack help at equal steps? Deeper networks have more weights and take longer: parameters stand in the table.

# %%
source(orpm_ae.ORPMAEConfig)

# %% tags=["nbval-ignore-output"]
study = tables.stacks(run.profile, run.cache, budget, seed, seeds)
whole, number = tables.named(run.study(study), run.profile), len(study.seeds)
names = [f"{n}-HG" for n in networks.STACKS[run.profile]]
early = [v for v in whole["variant"].unique() if v.startswith("stack")]
means = show.means(whole[whole["variant"].isin([*names, *early])])
sizes = {n: f"{sum(p.numel() for p in orpm_ae.Network(networks.config(n, run.profile)).parameters()):,}" for n in names}
words = "By stacks: mm and %."
run.table(means.assign(parameters=pd.Series(sizes)), words, "stacks", number, means.attrs["protocol"])
run.judge("orpm_ae", whole, "T1.second", "T1.third", "T1.fourth", "T1.stacks", "ours.refined", "ours.first_alone")

# %% [markdown]
# ## 4. Read-outs and grouping
#
# **The question**: on the same detections, what do order, distance and grouping change? [`codings.ipynb`](codings.ipynb) asks the same of exact maps, where redundancy saves about
# 100 mm at hidden joints, since whatever is hidden is not found there. This network has learned to find hidden joints too, and what it says at their own pixels is then read.

# %% tags=["nbval-ignore-output"]
readings = whole[whole["variant"].isin(tables.READINGS)]
means = show.means(readings)
run.table(means, "Readings of the full network: mm and %.", "readings", number, means.attrs["protocol"])
pairs = {
    "stacks": [*zip(names[1:], names[:-1], strict=True), *((e, "full") for e in early)],
    "reading": [(name, "paper") for name in tables.READINGS if name != "paper"],
}
forest = pd.concat([show.gaps(whole, some).assign(table=name) for name, some in pairs.items()])
run.show(
    plots.forest(forest, "MPJPE less that of the other (mm)", "studio"), "parts", "Below zero: the first is better."
)
run.judge("orpm_ae", whole, "T1.naive", "T1.readout", "ours.mehta", "ours.distance", "ours.grouping")

# %% [markdown]
# By what is lost of somebody, as in [`orpm_ae.ipynb`](orpm_ae.ipynb), section 7, all people together:

# %% tags=["nbval-ignore-output"]
levels = show.level_curves(tables.levels(run.profile, study.seeds, run.cache, budget))
shown = levels.pivot_table("value", ["panel", "place"], "series", sort=False)
shown["people"] = levels.groupby(["panel", "place"], sort=False)["people"].max()
run.table(shown, "MPJPE (mm) by the share of joints lost: none, up to 10, 30, 50, 100 %.", "levels", number)

# %% tags=["nbval-ignore-output"]
if data != "synthetic":
    for kind, measured in tables.on_data(data, tables.READINGS, run.profile, seed, run.cache, budget).items():
        means = summary(measured, ["mpjpe", "recall", "precision", "pck_rel_all"]).xs("mean", axis=1, level=1)
        run.table(means, f"Readings on {kind}.", kind, protocol=measured.attrs["protocol"], data=kind)
        run.judge("orpm_ae", measured, "T1.naive", "ours.mehta", "ours.distance", "ours.grouping", data=kind)

# %% [markdown]
# ## 5. How much noise may tags have?
#
# **The question**: the same detections, their tags moved at random; the threshold is 1. The push of equation 2 has no reason to
# leave more than a few times its $\sigma$ between two people, so noise of half a threshold is not little.

# %% tags=["nbval-ignore-output"]
noisy = spread(run.study(tables.tag_noise(run.profile, run.cache, budget, seed, seeds)))
curves = plots.curves(show.noise_curves(noisy), "noise on tags (deviation)", "%")
run.show(curves, "tags", "People and joints as tags get noisy, by way of grouping.")
run.judge("orpm_ae", noisy, "ours.noise")

# %% [markdown]
# ## 6. What the network is asked
#
# **The question**: networks of one stack that differ in one thing each. Bones from the parent are short, so a network may err less on each; but their errors add up. The words of
# the paper compare pose maps everywhere. The public codes push with another kernel. And whether hidden joints belong into heatmaps is not said. Vectors from the pelvis are longer, and
# most cells are empty: for `pelvis` and `literal` the weight of pose maps is changed so that a network which says 0 pays as much, else the comparison would be one of weights.

# %% tags=["nbval-ignore-output"]
changed = spread(run.study(tables.changes(run.profile, run.cache, budget, seed, seeds)))
means = show.means(changed)
run.table(means, "Networks of one stack: mm and %.", "changes", number, means.attrs["protocol"])
forest = show.gaps(changed, [(name, "1-HG") for name in (*networks.CHANGES, "1-HG_naive", "seen_only_naive")])
run.show(plots.forest(forest, "MPJPE less that of 1-HG (mm)", "studio"), "changes", "Below zero: the change is better.")
run.judge("orpm_ae", changed, "ours.bones", "ours.masked", "ours.push", "ours.hidden", "ours.seen_naive")

# %% [markdown]
# ## 7. What the paper does not say
#
# What each threshold and rule changes, on the detections of the full network: mm of MPJPE, points of recall and of 3DPCK over everybody, against ours. Stacks, losses and
# heatmaps are in sections 3 and 6; input size, the weights of the losses, $\sigma$, patches, and how the remaining detections start people are not varied here.

# %% tags=["nbval-ignore-output"]
run.table(show.choices(whole), "Change by choice.", "choices", number, "paired over test videos", digits=2)

# %% [markdown]
# ## 8. Exercises
#
# **1.** Every bone is off by so many mm, at random and independently. How far off is a joint that many bones from the pelvis (root mean square)? *Hint*: variances add.


# %%
def error_down_the_tree(error, depth):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(error_down_the_tree, exercises.error_down_the_tree, (20, 4), (20, 1))

# %% [markdown]
# **2.** From errors (P, J) in mm and who was found: MPJPE of those found, and the percent of everybody's joints within 150 mm. *Hint*: section 2.


# %%
def found_and_right(errors, found):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(found_and_right, exercises.found_and_right, ([[50], [100], [200], [400]], [True, True, False, False]))

# %% [markdown]
# **3.** The public codes assign detections to people at the least sum of costs, 100 times the *rounded* gap of tags less the score. The cost of a gap? Whom does a person with
# tag 0 get, a detection with tag 0.4 and score 0.9, or one with tag 0.1 and score 0.8? *Hint*: both gaps round to the same.


# %%
def cost_of_a_tag(gap, score):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(cost_of_a_tag, exercises.cost_of_a_tag, (0.4, 0.9), (0.1, 0.8), (0.6, 0.9))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Compare readings on one network's detections, networks over several trainings.
# - MPJPE over those who were found needs recall beside it.
# - Next: [`codings.ipynb`](codings.ipynb) for the same codings without a network; [`smap_ablation.ipynb`](smap_ablation.ipynb) for fields instead of tags.
#
# **References**: A. Benzine et al., ICIP 2019. D. Mehta et al., 3DV 2018. A. Newell et al., *Associative Embedding*, NIPS 2017. B. Cheng et al., *HigherHRNet*, CVPR 2020. To cite
# this project see `CITATION.cff`.
