# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # PandaNet: which anchors, which weights, how much time
#
# ![Differences between selections and weights](../figures/pandanet_ablation/cpu/parts.png)
#
# The paper's two ablations are Tables 1 and 2: which anchors are called people, and which weights of losses are learned. Here each difference has an interval, the weights are
# looked at, and beside them stand the traps that the equations hold and the choices that the paper does not mention. Afterwards you can say what a learned weight means,
# why two of the paper's equations have no minimum, and what "constant time" is constant in.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 10 min on 2 cores, 2 GB; networks that [`pandanet.ipynb`](pandanet.ipynb) trained at this profile and budget are found.
# - **Data**: the synthetic world `studio`, drawn here, and single pictures of people who overlap; for times one picture of `street`. Where you have
#   them in one folder, the network is read on `jta`, `panoptic` and `mupots3d` too.
# - **You need**: [`pandanet.ipynb`](pandanet.ipynb).

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings of each network; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
data: str = "synthetic"  # or the folder of JTA, Panoptic, MuPoTS-3D, to be read in all ways as well
out: str = ""  # folder for figures and tables; default: runs/pandanet_ablation/PROFILE

# %% tags=["nbval-check-output"]
import pandas as pd

from mp3d import exercises, plots
from mp3d.experiments.pandanet import cost, networks, show, steps, tables
from mp3d.experiments.pinet import spread
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import pandanet, threedmppe
from mp3d.papers.threedmppe import ThreeDMPPE
from mp3d.study import summary

run = begin("pandanet_ablation", globals(), folders=True)

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. What differs
#
# Seven networks, all trained for as many steps on the same pictures in the same order. With one training of each, as in `cpu`, intervals are of test pictures alone: another training could come out
# differently.

# %% tags=["nbval-check-output"]
symbols = [
    ("full", "selection by poses, all weights learned", "Tables 1 and 2, last rows"),
    ("box", "an anchor is read where its *box* fits", "Table 1"),
    ("none", "an anchor is read where it overlaps enough: all of A+", "Table 1"),
    ("unit", "no weight is learned: all are 1", "Table 2"),
    ("task", "one weight a task is learned", "Table 2"),
    ("anchor", "and one an anchor size, of score and boxes", "Table 2"),
    ("no_subpixel", "maps of half the sides", "section 3.1"),
    ("score_..., nms_...", "the full network, read otherwise", "not in the paper"),
]
table(pd.DataFrame(symbols, columns=["variant", "what", "where"]), "Variants.")

# %% [markdown]
# ## 2. Weights with a pencil
#
# Two losses, $0.5$ and $0.0006$, are added. The first decides. With $\lambda L + \log(1/\lambda)$ for each, the best weights are $1/L$: $2$ and $1667$. Both terms are then $1$, and a
# tenth off the one counts as much as a tenth off the other. The sum is $1 + \log 0.5 + 1 + \log 0.0006 = -6.1$: a negative loss means nothing by itself.

# %% tags=["nbval-check-output"]
for loss in (0.5, 0.0006):
    weight, least = exercises.best_weight(loss)
    print(f"loss {loss}: weight {weight:.0f}, weighted {weight * loss:.0f}, with log(1 / lambda) {least:.2f}")

# %% [markdown]
# ## 3. Which anchors are called people (Table 1)
#
# **The question**: does it help to keep anchors silent that fit no pose? On videos of `studio`, and on single pictures chosen for people who overlap ("_overlap").

# %%
source(pandanet.loss)

# %% tags=["nbval-ignore-output"]
study = tables.variants(run.profile, run.cache, budget, seed, seeds)
whole, number = spread(run.study(study)), len(study.seeds)
metrics = ["recall", "precision", "ap", "pck", "mpjpe"]
metrics += [f"{name}_overlap" for name in ("recall", "ap", "pck", "mpjpe")]
rows = ["none", "box", "full", "nms_ceiling", "size_ceiling"]
means = show.means(whole[whole["variant"].isin(rows)], metrics)
run.table(means, "Table 1: %, and mm of those found.", "selection", number, means.attrs["protocol"])
run.judge("pandanet", whole, "T1.")

# %% [markdown]
# **Read recall and precision with it**: all three are read at the same score, 0.3, and mean different things by it. Without selection nearly everybody is found, and a third of all that is found is nobody, somebody found twice, or somebody who does not count; with either selection
# precision is far higher, and where people overlap some are not found. 3DPCK counts who was missed as wrong and lets false alarms go free, so where people overlap it prefers the first; on the videos the three hardly differ. AP, which looks at all scores, hardly tells them apart in the stored run,
# and neither does the error of those found. The paper gives AP and 3DPCK without the score they were read at.
#
# **Who is kept silent?** Anchors of $A^+$ that two people share, and all others. Shared ones stand between two people and overlap them well: they have the larger PONO, and $A^{++}$ asks for PONO too. So the others
# are counted as if they had the same PONO.

# %% tags=["nbval-ignore-output"]
where = run.profile, seed, run.cache, budget
each = {s: networks.trained("full", "studio", run.profile, s, run.cache, budget) for s in study.seeds}
model = each[study.seeds[0]]
overlap = tables.pictures("studio", run.profile, "overlap")
crossed = pd.concat(steps.crossed(network, overlap).assign(seed=s) for s, network in each.items())
shown = crossed.groupby("variant", sort=False)[["n", "pono", "kept", "overlap"]].mean()
words = "Anchors of A+: a group's number and PONO; kept in A++ and overlap of poses at equal PONO, %."
run.table(shown, words, "crossed", number, "means over groups of pictures", digits=2)
run.judge("pandanet", crossed, "F4.")

# %% [markdown]
# ## 4. Which weights are learned (Table 2)
#
# **The question**: is it the weights that make the network learn at all? In the paper, without them, hardly anything is right.

# %% tags=["nbval-ignore-output"]
levels = ["unit", "task", "anchor", "full", "nms_ceiling", "size_ceiling"]
means = show.means(whole[whole["variant"].isin(levels)], metrics)
run.table(means, "Table 2: %, and mm of those found.", "weights", number, means.attrs["protocol"])
pairs = {
    "selection": [("box", "none"), ("full", "none"), ("full", "box")],
    "weights": [("task", "unit"), ("anchor", "task"), ("full", "anchor")],
    "maps": [("full", "no_subpixel")],
}
forest = pd.concat(
    show.gaps(whole, some, metric).assign(table=f"{name}, {words}")
    for name, some in pairs.items()
    for metric, words in (("ap", "AP"), ("pck", "3DPCK"))
)
run.show(plots.forest(forest, "first less second (points)", "studio"), "parts", "Above zero: the first is better.")
run.judge("pandanet", whole, "T2.", "S31.")

# %% [markdown]
# **What the weights learn.** First their paths: the mean logarithm of each task's weights, by step. Then what they came to, by joint and anchor. Only products are shown: a task's weight can be had for those
# of its anchors, so neither means anything alone. And an anchor's weight is best at one over its *share* of all losses: one that is rarely anybody's gets a large weight, however uncertain it is. "Certainty" below
# has these shares taken out.

# %% tags=["nbval-ignore-output"]
paths = pd.concat([show.paths(name, *where).assign(panel=f"learned: {name}") for name in ("task", "anchor", "full")])
run.show(plots.curves(paths, "step", "mean log weight", columns=3), "paths", "Weights by step.")
titles = {"uv": "2D poses", "xyz": "3D poses"}
run.show(plots.weights_map(show.learned(model), titles), "learned", "Learned weights by joint and anchor.")
size = networks.sized("full", "studio", run.profile, 1)
windows = [networks.stream("studio", size, seed)(step) for step in range(8)]
weights = [show.weight_table(net, steps.shares(net, windows)).assign(seed=s) for s, net in each.items()]
run.judge("pandanet", pd.concat(weights), "S35.")

# %% [markdown]
# **A loss without a minimum.** Equations 13 and 14 have no $\log(1/\lambda)$ for the weight of the task. Divide it by $c$ and multiply the weights of all anchors and joints by $c$: what is
# compared with the truth stays as it was, and the loss falls by $\log c$, as far as one likes. With the term that the text promises, nothing changes.

# %% tags=["nbval-check-output"]
balance = pd.DataFrame({factor: steps.balance(factor) for factor in (1, 10, 100, 5000)}).T
table(balance.rename_axis("c"), "The loss of one task of 0.4.", digits=2)

# %% [markdown]
# ## 5. Where the unit square teaches nothing
#
# **The question**: equation 7 is flat once squares no longer touch. How many joints is that? The derivative is largest half an anchor away and jumps to zero at one. An untrained network says the anchor's
# middle for every joint; then every joint an anchor's width or height away is lost.

# %% tags=["nbval-ignore-output"]
run.show(
    plots.curves(steps.unit_square(), "off by (anchor sizes)", "", columns=2), "square", "Loss of a joint, equation 7."
)
videos = [batch for _, batch in tables.pictures("studio", run.profile)[:8]]
lost = steps.beyond(model, videos).set_index("size")
run.table(lost, "Joints an anchor size away or more, %.", "beyond", 1, "anchors of A+ in eight test videos")

# %% [markdown]
# ## 6. Time against people (Figure 5)
#
# **The question**: what does one more person cost? The network sees the same picture whoever is in it; what is left grows with what was found: suppression, and placing people. A picture of `street`, and exact
# maps of its first 1 to 60 people; times do not depend on what networks have learned. 3DMPPE has the true boxes: one person after another, as Figure 5 suggests, and all of them in one batch, as its code has it.

# %% tags=["nbval-ignore-output"]
crowd = tables.pictures("street", run.profile)[5][1][:1]
config = networks.sized("full", "street", run.profile, 1).config
people = (1, 60) if run.profile == "smoke" else cost.PEOPLE
costs = cost.cost(config, crowd, ThreeDMPPE(threedmppe.PROFILES[run.profile].config), people)
run.show(
    plots.curves(show.costs(costs), "people in the picture", "ms", log="y"), "cost", "Time of one picture, by part."
)
run.table(show.median_costs(costs), "Medians, ms.", "cost", protocol="medians of rounds, this machine at this moment")
run.judge("pandanet", costs, "F5.")

# %% [markdown]
# ## 7. What the paper does not say
#
# What each choice changes, points against ours: in the full network's reading, in how it is scored, and in the maps' size. Widths, the number of anchors, augmentation, labels at the start and optimiser are not varied here;
# which minimum places people, and anchors that overlap nobody, are in [`codings.ipynb`](codings.ipynb).

# %% tags=["nbval-ignore-output"]
run.table(show.choices(whole), "Change by choice.", "choices", number, "paired over test videos")

# %% tags=["nbval-ignore-output"]
if data != "synthetic":
    ways = {"full": pandanet.Reading()} | {k: way for k, way in tables.READINGS.items() if k != "0.3"}
    for kind, measured in tables.on_data(data, run.profile, seed, run.cache, budget, ways).items():
        means = summary(measured, [m for m in ("mpjpe", "recall", "pck", "pck_rel_all") if m in measured])
        run.table(means, f"Readings on {kind}.", kind, protocol=measured.attrs["protocol"], data=kind)

# %% [markdown]
# ## 8. Exercises
#
# **1.** The weight at which $\lambda L + \log(1/\lambda)$ is least, and its value there, for a loss `loss`. *Hint*: section 2.


# %%
def best_weight(loss):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(best_weight, exercises.best_weight, (0.5,), (0.0006,))

# %% [markdown]
# **2.** Joints at `places`, in anchor coordinates; the network says the anchor's middle for all. Of how many does it learn nothing? *Hint*: one direction is enough.


# %%
def joints_lost(places):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(joints_lost, exercises.joints_lost, ([(0.2, 0.3), (1.1, 0.0), (-0.5, 0.9), (0.0, -1.2)],))

# %% [markdown]
# **3.** One look at all takes `network` ms, one at each person `each` ms. From how many people is the first faster? *Hint*: not at a draw.


# %%
def faster_from(network, each):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(faster_from, exercises.faster_from, (40, 12), (36, 12), (140, 20))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Weights that are learned make tasks of any size count alike. They need a term that stops them.
# - Look where a loss is flat before you train with it.
# - One pass costs the same for one and for sixty; what comes after it does not, but little.
# - Next: [`codings.ipynb`](codings.ipynb) for the same selections without a network; [`smap_ablation.ipynb`](smap_ablation.ipynb) for the time of the bottom-up way.
#
# **References**: A. Benzine et al., CVPR 2020. F. Chabot et al., *LapNet*, arXiv:1911.01149. A. Kendall et al., CVPR 2018. G. Moon et al., *3DMPPE*, ICCV 2019. To cite this project see
# `CITATION.cff`.
