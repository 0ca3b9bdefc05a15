# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # PI-Net, ablated: order, attention, direction, unit
#
# Wen Guo, Enric Corona, Francesc Moreno-Noguer, Xavier Alameda-Pineda: *PI-Net: Pose Interacting Network for
# Multi-Person Monocular 3D Pose Estimation*, WACV 2021, section 4.4.
#
# ![Differences between the variants with their intervals](../figures/pinet_ablation/cpu/forest.png)
#
# Tables 4, 5 and 6 decide between variants by 0.1 to 1.4 mm, from one training run each. Here every variant is trained
# with several seeds, differences are paired over seeds and scenes, and an interval says which of them can be seen at
# all. Afterwards you can say what an ablation table shows and what it cannot, and add a variant of your own.
#
# | profile | time | memory | what its numbers are worth |
# |---|---|---|---|
# | `smoke` | 20 s | 1 GB | that it runs |
# | `cpu` | 10 min on 2 cores | 2 GB | large effects only |
# | `gpu` | 10 min on a data-centre GPU | 4 GB | direction and size |
#
# - **Data**: the synthetic world `duet`, made here.
# - **Before**: [`pinet.ipynb`](pinet.ipynb).

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper
seed: int = 0  # the first of the training seeds
budget: float = 1.0  # multiplies the profile's training steps
seeds: int = 0  # how many; 0: as many as the profile says
data: str = "synthetic"  # the only choice here
out: str = ""  # folder for figures and tables; default: runs/pinet_ablation/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd

from mp3d import exercises, plots
from mp3d.experiments import pinet as experiment
from mp3d.experiments import pinet_tables as tables
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import pinet

run = begin("pinet_ablation", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The question, and its arithmetic
#
# Variant A scores 121.7 mm, variant B 122.0 mm. Is A better? That depends on how much either would move if it were
# trained again, and on how much scenes differ. The same scenes and the same seeds for both take most of the second
# away: what counts is the spread of the *differences*.

# %% tags=["nbval-check-output"]
symbols = [
    (
        "d_st",
        "(S, T)",
        "mm",
        "error of PI-Net less error of the variant, seed s, test sequence t: positive is better than PI-Net",
    ),
    ("mean", "", "mm", "of d, each sequence weighted by the people in it (MPJPE) or equally (3DPCK)"),
    ("[low, high]", "", "mm", "95 % interval: bootstrap, seeds and sequences drawn again with replacement"),
    ("half width", "", "mm", "the effect that this run could have seen"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# **With a pencil.** Four scenes, errors of A: 100, 120, 140, 120 mm, of B: 101, 121.5, 140.5, 121 mm. Unpaired, the scenes'
# spread of 16 mm drowns everything. Paired, the differences are 1, 1.5, 0.5, 1: mean 1, deviation 0.41. With four numbers the
# half width is $3.18 \cdot 0.41/\sqrt 4 = 0.65$, where 3.18 is Student's t for three degrees of freedom (1.96 would need many
# more). A is better by $1.0 \pm 0.65$ mm; with the first three scenes alone the interval would reach below zero.

# %% tags=["nbval-check-output"]
a, b = np.array([100, 120, 140.0, 120]), np.array([101, 121.5, 140.5, 121])
print("paired:             {:.2f} +- {:.2f}".format(*exercises.paired_interval(b, a)))
print("paired, three only: {:.2f} +- {:.2f}".format(*exercises.paired_interval(b[:3], a[:3])))
wide = 2.45 * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 4)  # Student's t, six degrees of freedom
print(f"unpaired:           {b.mean() - a.mean():.2f} +- {wide:.2f}")

# %% [markdown]
# ## 2. The variants
#
# They are one dataclass with other fields; Table 6's parameter counts come out to the last printed digit.

# %%
source(pinet.PINetConfig)

# %% tags=["nbval-check-output"]
table(tables.counts(), "Parameters of the variants at the paper's width, 256.")

# %% [markdown]
# - **Order** (Table 4): in use it can only matter with three people or more. A network trained in another order differs
#   everywhere.
# - **Without attention, one direction** (Table 5, first row): the target comes first, so its output sees *no other person*,
#   except through the group's mean and deviation. In the paper this already gives 77 % of the whole gain.
# - **GCN** (Table 6): the paper gives neither width nor how pairs are merged, and its 34 M parameters are undetermined. Ours
#   averages over pairs; its nodes are joints with three features, not coordinates. The count above is at width 256, for
#   comparison; the one trained is a third as wide as the others, which makes a training step cost the same.

# %%
source(pinet.order)

# %% [markdown]
# ## 3. Training
#
# The networks that `pinet.ipynb` has trained at this profile and budget are found and not trained again. A stopped run
# goes on where it stopped.

# %% tags=["nbval-ignore-output"]
study = experiment.study(["input", *experiment.VARIANTS], run.profile, run.cache, budget, seed, seeds)
results = experiment.spread(run.study(study))
seeds = results["seed"].nunique()
size = pinet.PROFILES[run.profile]
print(
    f"{len(study.variants) - 1} networks x {seeds} seeds, {round(size.fit.steps * run.budget)} steps of {size.batch} "
    f"sequences, hidden {size.hidden} (the paper's is 256)"
)

# %% [markdown]
# ## 4. Table 4: the order
#
# Near to far 121.7, random 121.88, reverse 122.23 mm: is near to far best?

# %% tags=["nbval-ignore-output"]
rows = {"pinet": "T4/Intuitive", "random": "T4/Random", "reverse": "T4/Reverse", "near2d": ""}
run.table(tables.against_paper(results, rows), "Table 4. Paper: MuPoTS-3D; here: `duet`.", "table_4", seeds)
run.judge("pinet", results, "T4", "ours.order_2d")

# %% [markdown]
# ## 5. Table 5: attention and direction
#
# The paper's own rows say less than its text: attention *without* the second direction makes MPJPE worse (122.7 to
# 123.10) and PA-MPJPE better (86.69 to 86.42), and the gains quoted for the second direction are those without attention.

# %% tags=["nbval-ignore-output"]
rows = {"neither": "T5/neither", "no_bi": "T5/no_bi", "no_att": "T5/no_att", "pinet": "T5/PI-Net"}
run.table(tables.against_paper(results, rows), "Table 5. Paper: MuPoTS-3D; here: `duet`.", "table_5", seeds)
run.judge("pinet", results, "T5")

# %% [markdown]
# ## 6. Table 6: the unit
#
# "None" is the input. Is the 3-layer GRU best, and does a graph network over pairs bring nothing?

# %% tags=["nbval-ignore-output"]
rows = {
    "input": "T6/None",
    "gcn": "T6/GCN",
    "lstm2": "T6/2 LSTM",
    "lstm3": "T6/3 LSTM",
    "lstm4": "T6/4 LSTM",
    "gru2": "T6/2 GRU",
    "pinet": "T6/3 GRU",
    "gru4": "T6/4 GRU",
}
run.table(tables.against_paper(results, rows), "Table 6. Paper: MuPoTS-3D; here: `duet`.", "table_6", seeds)
run.judge("pinet", results, "T6")

# %% [markdown]
# ## 7. What the tables lack: controls
#
# `self` sees nobody else: it loses the companions *and* the group's mean and deviation. `shuffled` sees strangers: it keeps
# the group's layout and loses only what the companions do. The difference to `shuffled` is what companions tell.
# `composited` is `shuffled` tested on real groups: PI-Net's own case, since MuCo's pictures are pasted together from people
# recorded alone (our strangers keep the true layout, so the real case is harder).

# %% tags=["nbval-ignore-output"]
rows = {"input": "T6/None", "self": "", "shuffled": "", "composited": "", "neither": "T5/neither", "pinet": "T5/PI-Net"}
run.table(tables.against_paper(results, rows), "Controls. Paper: MuPoTS-3D; here: `duet`.", "controls", seeds)
controls = ("ours.self", "ours.companions", "ours.real", "ours.composited", "ours.statistics", "ours.strangers")
run.judge("pinet", results, *controls)

# %% [markdown]
# ### All differences at once
#
# Each line compares a variant with PI-Net as the paper has it; left of zero is worse than PI-Net. Open diamonds are the paper's
# single-run differences, on other data: compare their size with the width of the intervals.

# %% tags=["nbval-ignore-output"]
differences = tables.ablation(results)
run.table(differences, "Each variant against PI-Net: gain in MPJPE, mm, 95 % interval.", "differences", seeds, digits=2)
shown = differences[differences["label"] != "input"]  # the whole gain: it would squeeze the rest
run.show(plots.forest(shown, "gain over PI-Net in MPJPE (mm)"), "forest", "All variants against PI-Net.")

# %% tags=["nbval-ignore-output"]
spread = results.groupby(["variant", "seed"])["mpjpe"].mean().groupby("variant").std(ddof=1).rename("deviation")
run.table(
    spread.to_frame(),
    "How much retraining alone moves a variant: standard deviation over seeds, mm.",
    "seeds",
    seeds,
    digits=2,
)

# %% tags=["nbval-ignore-output"]
told = ["pinet", "self", "shuffled", "gcn", "update", "released_padding"]
figure = plots.learning_curves(tables.curves(study), told)
run.show(figure, "curves", "Training loss; the other variants are grey. What still falls is not done.")

# %% [markdown]
# ## 8. What the paper does not say
#
# - How many runs, and which epoch: its tables are single numbers. If retraining moves the paper's networks on MuPoTS-3D as
#   much as ours here, 0.1 mm cannot be told from it.
# - Whether the order changes in training, in use, or both: here both. `pinet.ipynb` has the others.
# - The graph network's width and merging; the 133 M of "None" (3DMPPE's pose network has 34.3 M by our count).
# - Our variants are trained for a fraction of the paper's steps, at a smaller width in `cpu`: an *open* here says that
#   this run could not see it, not that it is not there.

# %% [markdown]
# ## 9. Exercises
#
# **1.** Parameters of a bidirectional GRU with `layers` layers. *Hint*: three gates, each with input weights, recurrent
# weights and two biases; layers above the first read both directions.


# %%
def gru_parameters(inputs, hidden, layers):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(gru_parameters, exercises.gru_parameters, (51, 256, 3), (51, 256, 2))

# %% [markdown]
# **2.** The paired mean difference and the half width of its 95 % interval, $t_{n-1}\,s/\sqrt n$, for two arrays of errors.
# *Hint*: `ddof=1`; `scipy.stats.t.ppf(0.975, n - 1)`.


# %%
def paired_interval(a, b):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(paired_interval, exercises.paired_interval, (b, a))

# %% [markdown]
# **3.** Table 2 of the paper averages over people, PI-Net's row of Table 1 over sequences. Given each sequence's error and
# number of people, return the mean over sequences, then the mean over people. *Hint*: the second is a weighted mean.


# %%
def two_averages(error, people):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(two_averages, exercises.two_averages, (np.array([100.0, 150]), np.array([300, 100])))

# %% [markdown]
# **4.** (Open.) Add a variant: `PINetConfig(layers=1)`, say, to `experiment.VARIANTS`, run the notebook again (only the new
# variant is trained), and read off whether you could have seen the difference you expected.

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Pair what can be paired, and say how large an effect could have been seen.
# - Two controls are needed: one that sees nobody, one that sees strangers.
#
# **References**: W. Guo et al., *PI-Net*, WACV 2021. G. Moon et al., *Camera distance-aware top-down approach for 3D
# multi-person pose estimation*, ICCV 2019. To cite this project see `CITATION.cff`.
