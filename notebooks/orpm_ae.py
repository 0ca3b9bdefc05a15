# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # ORPM-AE: poses written where they can still be read
#
# ![A picture, the maps of one joint that the network makes of it, and whose joints they are](../figures/orpm_ae/cpu/maps.jpg)
#
# Abdallah Benzine, Bertrand Luvison, Quoc Cuong Pham, Catherine Achard: *Deep, Robust and Single Shot 3D Multi-Person Human Pose Estimation from
# Monocular Images*, ICIP 2019. One pass over the whole picture gives, for every joint, where it is, whose it is, and how it stands to its parent in space.
# The last is written several times over, so that it can be read even where the joint itself is hidden. Afterwards you can read such maps by eye, group joints
# by their tags, find a hidden wrist's place by hand, and say what redundancy and depth of the network are each worth.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 10 min on 2 cores, 2 GB; `run.json` beside the figures has the seconds of the stored run.
#   The paper's own network (139 million parameters, 240,000 steps on eight GPUs) took its authors five days: the `paper` profile.
# - **Data**: the synthetic worlds `studio` and `solo`, drawn here ([`worlds.ipynb`](worlds.ipynb)). Where you have them in one folder, also
#   `panoptic` and `h36m`, to be trained on and tested on.
# - **You need**: [`codings.ipynb`](codings.ipynb), sections 2 and 5, for tags and pose maps without a network; [`metrics.ipynb`](metrics.ipynb) for MPJPE and 3DPCK.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings of each network; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
data: str = "synthetic"  # or the folder of Panoptic, Human3.6M, to be tested on as well
picture: str = ""  # a picture of your own, e.g. "~/party.jpg", for section 8
focal: float = 0.0  # its focal length in px; 0: its width
out: str = ""  # folder for figures and tables; default: runs/orpm_ae/PROFILE

# %% tags=["nbval-check-output"]
import pandas as pd
import torch

from mp3d import exercises, plots
from mp3d.codings import orpm, tags
from mp3d.codings.grid import Grid
from mp3d.experiments.orpm_ae import networks, show, steps, tables
from mp3d.experiments.shown import test_pictures
from mp3d.experiments.shown import activities, drawn, own
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import orpm_ae
from mp3d.skeletons import MPI17
from mp3d.study import summary

run = begin("orpm_ae", globals(), folders=True)

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The problem
#
# A map can hold a number at every pixel: a joint's coordinates, say, at the joint's own pixel. But in a room full of people many joints are behind somebody, behind
# oneself or off the picture. There the map has nothing to say, or says something of somebody else. Mehta et al. (2018) therefore write a joint's coordinates at *several*
# pixels: its own, those of its limb, the neck, the pelvis. This paper puts such maps into a deep network of stacked hourglasses and groups joints by learned
# tags instead of part affinity fields. Five maps for each of $K$ joints come out of each stack:

# %% tags=["nbval-check-output"]
symbols = [
    ("heatmaps", "(K, H, W)", "-", "1 where somebody's joint is, falling off around it"),
    (
        "tags e",
        "(K, H, W)",
        "-",
        "a number at each joint: alike within a person, unlike between people; nobody says which number",
    ),
    ("bones", "(K, 3, H, W)", "m", "X, Y, Z from a joint's parent to the joint, at all its sites"),
    ("e_n", "(N,)", "-", "reference embedding: the mean of a person's tags"),
    ("sigma", "1", "-", "how far apart the push wants people: 1"),
    (
        "t_AE, t_C, t_D",
        "1",
        "-, -, cells",
        "thresholds: of tags 1, of a site's score 0.2, of its distance to others' joints 3",
    ),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")
for name, config in {"paper": orpm_ae.ORPMAEConfig(), "small": orpm_ae.SMALL}.items():
    number = sum(p.numel() for p in orpm_ae.Network(config).parameters())
    print(f"{name}: {number:,} parameters, {config.stacks} stacks, canvas {config.canvas[0]} x {config.canvas[1]} px")

# %% [markdown]
# ## 2. Two formulas with a pencil
#
# **Tags** (equation 2). Two people, two joints each. Tags of the first: $0.1$ and $0.3$, mean $0.2$; of the second: $2.0$ and $2.4$, mean $2.2$. *Pull*: the squared distances
# from the means are $0.01, 0.01$ and $0.04, 0.04$, their mean is $0.025$. *Push*: two ordered pairs, each $e^{-(2.2-0.2)^2/2} = e^{-2} = 0.1353$, over $N^2 = 4$: $0.0677$.
# Were all tags equal, pull would be $0$ and push $2/4$.
#
# **The tree sum** (section 3.1). Each joint is stored as the vector from its parent. Pelvis to spine $(0, -200, 10)$, spine to neck $(0, -250, 0)$, neck to shoulder
# $(150, 20, 0)$: the shoulder is at $(150, -430, 10)$ mm from the pelvis. An error of 30 mm in the spine moves the shoulder by 30 mm, and all that hangs on it.

# %% tags=["nbval-check-output"]
line, everyone = Grid(8, 1, 4), torch.ones(1, 2, 2, dtype=torch.bool)
places = torch.tensor([[[[2.0, 2.0], [2.0, 2.0]], [[22.0, 2.0], [22.0, 2.0]]]])
names = torch.zeros(1, 2, 1, 8)
names[0, :, 0, 0], names[0, :, 0, 5] = torch.tensor([0.1, 0.3]), torch.tensor([2.0, 2.4])
print({name: round(value.item(), 4) for name, value in tags.loss(names, places, everyone, line).items()})
bones = torch.zeros(17, 3)
for joint, vector in {"spine": [0, -200, 10], "neck": [0, -250, 0], "l_shoulder": [150, 20, 0]}.items():
    bones[MPI17.index(joint)] = torch.tensor(vector, dtype=torch.float32)
print("shoulder:", orpm.from_bones(bones)[MPI17.index("l_shoulder")].tolist(), "mm")

# %% [markdown]
# ## 3. The maps, one by one (Figure 1)
#
# A test picture of `studio`, and the maps of one joint, the right wrist, as they *should* be. Read them: the heatmap has a peak for each right wrist in the picture, hidden
# ones too. The three pose maps hold the vector from elbow to wrist, and they hold it at five places a person: wrist, elbow, shoulder, neck, pelvis. Where two
# people's places coincide, the nearer one has the cell. Tags are shown as one colour a person; here any numbers that part them.

# %%
source(orpm.encode)

# %% tags=["nbval-ignore-output"]
batch = test_pictures("studio", run.profile)[4][1][:1]
run.picture(
    show.true_maps(batch, networks.config("full", run.profile)), "targets", "What the maps of a joint should be."
)

# %% [markdown]
# ## 4. How a hidden wrist is read, step by step (section 3.2)
#
# The maps are exact here, but whatever is hidden is not found. Somebody stands behind somebody else, left wrist out of sight. The rules: the joint's own pixel; the joints
# of its limb, from the extremity inwards; the neck; the pelvis; and at last the mean of the training set. A site is *valid* if a joint was found there, with a score above $t_C$, and no
# joint of the same limb, neck or pelvis of somebody else is within $t_D$ cells: there the nearer person may have written over it. Move the slider from rule to rule.

# %% tags=["nbval-ignore-output"]
case = steps.case()
walked = case.walk()
bone = walked.iloc[-1][["x", "y", "z"]].to_numpy(float)
figure = plots.readout_steps(case.image, case.people, walked, case.person, case.ends(bone), case.ends())
run.show(figure, "steps", "Where the left wrist of the one behind is read: the sites tried, in order.")

# %% [markdown]
# The vector that is read is exact, though nothing of the arm could be used: it was written at the pelvis too. And if the pelvis had been missed as well:

# %% tags=["nbval-check-output"]
for missed in ((), ("pelvis",)):
    tried = case.walk(*missed)
    words = [f"{rule} ({why})" for rule, why in zip(tried["rule"], tried["why"], strict=True)]
    print(f"missed {', '.join(missed) or 'no more'}: " + "; ".join(words))

# %%
source(orpm.read)

# %% [markdown]
# ## 5. From detections to people (section 3.5)
#
# Peaks of the heatmaps are joints without owners, each with a tag. Every neck starts a person. Then, again and again: of all pairs of a person and a free
# detection whose tag is near enough to the person's mean, the one with the *highest score* is taken, and the mean is taken anew. What is left starts new people, from
# the pelvis, the head and so on (the paper says "a new pool" and no more). The poses that are read are relative to the pelvis; where people stand is a fit of the pose to its pixels, ours.

# %%
source(tags.group)

# %% [markdown]
# ## 6. Training
#
# One network a number of stacks, all for as many steps and on the same pictures in the same order, so that nothing differs but stacks and chance. The loss is the sum over stacks of
# the three terms of equation 3. All sizes stand in `mp3d.papers.orpm_ae.PROFILES`. Below, what the deepest network makes of the picture of section 3.

# %%
source(orpm_ae.loss)

# %% tags=["nbval-ignore-output"]
study = tables.stacks(run.profile, run.cache, budget, seed, seeds)
whole = tables.named(run.study(study), run.profile)
number = len(study.seeds)
model = networks.trained("full", "studio", run.profile, seed, run.cache, budget)
model.save(run.out / "network.pt")
run.picture(show.found_maps(batch, model), "maps", "What the network makes of the same picture.")
apart = show.tag_spread(model, test_pictures("studio", run.profile)[4][1])
print(f"tags: {apart['within']:.2f} from a person's mean, {apart['between']:.2f} to the next person's (medians)")

# %% [markdown]
# ## 7. Results
#
# **Table 1**, on `studio`, whose first eight test videos mirror Panoptic's four activities. In the paper each further stack lowers MPJPE: 91.8, 78.3, 73.8, 68.5 mm; and reading
# every joint at its own pixel (*naive*, the paper's NR) costs 50 mm. The paper's numbers are of real pictures and of far larger networks: what can be asked here is their order.
# With one training of each network, as in `cpu`, intervals are of test videos alone: another training could come out differently.

# %% tags=["nbval-ignore-output"]
stacks = [f"{n}-HG" for n in networks.STACKS[run.profile]]
rows = whole[whole["variant"].isin([*stacks, "naive", "mehta"])]
words = "Table 1 on `studio`: MPJPE of matched people, mm."
run.table(activities(rows, ["mpjpe"]), words, "studio", number, "mean over an activity's test videos")
means = show.means(rows)
words = "All test videos: mm; recall, precision and 3DPCK over everybody in %."
run.table(means, words, "states", number, means.attrs["protocol"])
run.judge("orpm_ae", whole, "T1.", "ours.refined", "ours.first_alone", "ours.mehta", "ours.distance", "ours.grouping")

# %% [markdown]
# **Where is redundancy worth most?** The same network, three read-outs: the error of people by the share of their joints that are hidden, and that are off the
# picture.

# %% tags=["nbval-ignore-output"]
levels = show.level_curves(tables.levels(run.profile, study.seeds, run.cache, budget))
if len(levels):  # in `smoke` nobody is found
    figure = plots.curves(levels, "joints (%)", "MPJPE (mm)", columns=2)
    run.show(figure, "levels", "MPJPE by what share of somebody is lost.")

# %% [markdown]
# **Table 2**: one person a picture. The network learns `solo` from nothing; beside it the people of `studio` who are wholly in the picture and hardly hidden. They are other
# people in other pictures: each mean has its interval, their difference has none, and so there is no verdict.

# %% tags=["nbval-ignore-output"]
study = tables.alone(run.profile, run.cache, budget, seed, seeds)
both = pd.concat([whole[whole["variant"] == "full"].replace({"variant": {"full": "studio"}}), run.study(study)])
both = summary(both.replace({"variant": {"full": "solo"}}), ["mpjpe", "mpjpe_whole"])
run.table(both, "Table 2: MPJPE of all and of whole people, mm.", "alone", number, "mean over people, 95 % bootstrap")
run.judge("orpm_ae", None, "T2.", "F1.", "S2.")

# %% [markdown]
# **On real pictures**, where `data` is the folder that has them: Panoptic and Human3.6M, with a network trained on their training splits if those are there too, else with
# one of the synthetic worlds.

# %% tags=["nbval-ignore-output"]
if data != "synthetic":
    for kind, measured in tables.on_data(data, tables.READINGS, run.profile, seed, run.cache, budget).items():
        run.table(measured, f"{kind}, by sequence.", kind, protocol=measured.attrs["protocol"], data=kind)
        run.judge("orpm_ae", measured, "T1.naive", "ours.mehta", "ours.distance", "ours.grouping", data=kind)

# %% [markdown]
# ## 8. A picture of your own
#
# Set `picture` (and `focal`, if you know it) and run again. Poses do not depend on the focal length, places do. The network of this run has seen nothing but drawn people:
# expect little of a photograph. Without a file, a test picture stands in.

# %% tags=["nbval-ignore-output"]
image, camera = own(picture, focal, batch)
people = model.predict(image, camera)
found = ", ".join(f"{p.root[2] / 1000:.1f} m" for p in people) or "nobody found"
run.picture(
    drawn(image, people, MPI17), "own", f"Found at {found}; rings are joints that were not found in the picture."
)

# %% [markdown]
# ## 9. What the paper does not say, and what we chose
#
# - **Sizes**: input, maps, patches, channels are not given. Ours are the public code's, or smaller; all stand in `ORPMAEConfig`.
# - **Weights** $\lambda$ and the push's $\sigma$: ours stand there too. They are not varied here.
# - **Thresholds** $t_{AE}$, $t_C$, $t_D$: measured in [`orpm_ae_ablation.ipynb`](orpm_ae_ablation.ipynb), section 7.
# - **Pose maps' loss**: "the euclidean distance" between maps asks for zeros wherever nobody is. Here cells count in which something is written; the other is measured in the ablation, section 6,
#   and so is whether **hidden joints** are drawn into heatmaps.
# - **Remaining detections** "create a new pool": the next joint type starts people. Whoever has fewer than three joints is dropped. Not varied here.
# - **Matching and missed people**: predictions and people are matched in 2D; recall stands beside every MPJPE.
# - **Learning rate**: the paper's falls three times by ten. In trainings as short as these one that falls all the time learned more; the `paper` profile has the paper's.
# - The odd means of the paper's tables are in [`audit.ipynb`](audit.ipynb).
#
# ## 10. Exercises
#
# **1.** The push of two people whose mean tags are `gap` apart. *Hint*: section 2; both ordered pairs count.


# %%
def push_of_two(gap, sigma=1.0):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(push_of_two, exercises.push_of_two, (2.0,), (0.0,), (2.0, 2.0))

# %% [markdown]
# **2.** One person, K tags, all equal but one, which is `gap` off. The pull? *Hint*: the odd one pulls the mean along.


# %%
def pull_of_one(gap, joints):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(pull_of_one, exercises.pull_of_one, (1.0, 2), (3.0, 17))

# %% [markdown]
# **3.** Which detection does a person take next, by its index; -1 if none? *Hint*: the best score, not the nearest tag.


# %%
def next_joint(tags, scores, reference, near=1.0):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(next_joint, exercises.next_joint, ([0.1, 0.8, 3.0], [0.5, 0.9, 1.0], 0.0), ([2.0], [1.0], 0.0))

# %% [markdown]
# **4.** Where is a joint of an arm read? Joints and sites: 0 wrist, 1 elbow, 2 shoulder, 3 neck, 4 pelvis; -1 is the mean. *Hint*: the own pixel, then from the extremity inwards.


# %%
def read_at(joint, valid):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(
    read_at, exercises.read_at, (1, [True, False, True, True, True]), (0, [False] * 3 + [True] * 2), (2, [False] * 5)
)

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Write down in several places what may be hidden in one.
# - A tag needs no meaning: it is enough that people's differ. Who is grouped wrongly gets somebody else's arm.
# - An error near the pelvis moves everything beyond it.
# - Next: [`orpm_ae_ablation.ipynb`](orpm_ae_ablation.ipynb) takes the choices one by one; [`smap.ipynb`](smap.ipynb) groups by fields and knows where people stand.
#
# **References**: A. Benzine et al., ICIP 2019. D. Mehta et al., *Single-Shot Multi-Person 3D Pose Estimation From Monocular RGB*, 3DV 2018. A. Newell et al., *Associative
# Embedding*, NIPS 2017, and *Stacked Hourglass Networks*, ECCV 2016. To cite this project see `CITATION.cff`.
