# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # SMAP: everybody's depth from one look at the whole picture
#
# ![A picture, the maps that SMAP makes of it, and the people read from them](../figures/smap/cpu/maps.jpg)
#
# Jianan Zhen, Qi Fang, Jiaming Sun, Wentao Liu, Wei Jiang, Hujun Bao, Xiaowei Zhou: *SMAP: Single-Shot Multi-Person Absolute 3D Pose
# Estimation*, ECCV 2020. No boxes and no crops: one pass gives maps in which joints, their bonds and their depths are written, and people
# are put together from them, the nearest first. Afterwards you can read such maps by eye, put a crowd together by hand, say what
# "absolute" costs, and run the method on a picture of your own.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 6 min on 2 cores, 2 GB; `run.json` beside the figures has the seconds of the stored run.
#   The paper's own network (91 million parameters, 832 x 512 px) trains for days: the `paper` profile.
# - **Data**: the synthetic worlds `duet`, `studio` and `solo`, drawn here ([`worlds.ipynb`](worlds.ipynb)). Where you have them in one folder, also
#   `mupots3d`, `panoptic` and `h36m` to be tested on, and `muco3dhp` and `coco2017` to be trained on besides.
# - **You need**: [`metrics.ipynb`](metrics.ipynb) for PCK, AUC and PCOD, [`codings.ipynb`](codings.ipynb) for what maps can hold,
#   [`threedmppe.ipynb`](threedmppe.ipynb) for the method it is compared with.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings of each network; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
data: str = "synthetic"  # or the folder of MuPoTS-3D, Panoptic, Human3.6M, to be tested on as well
picture: str = ""  # a picture of your own, e.g. "~/party.jpg", for section 8
focal: float = 0.0  # its focal length in px; 0: its width
out: str = ""  # folder for figures and tables; default: runs/smap/PROFILE

# %% tags=["nbval-check-output"]

import numpy as np
import pandas as pd
import torch

from mp3d import exercises, plots
from mp3d.codings import affinity, depth
from mp3d.experiments import shown
from mp3d.experiments.smap import networks, show, steps, tables
from mp3d.experiments.pinet import spread
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import smap
from mp3d.papers.smap import PROFILES, SMALL, RefineNet, SMAPConfig
from mp3d.skeletons import SMAP15

run = begin("smap", globals(), folders=True)

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The problem
#
# A top-down method looks at everybody alone and guesses the distance from the size of a box
# ([`threedmppe.ipynb`](threedmppe.ipynb)). But distance can be seen in the rest of the picture too: in the floor, in where feet stand, in who hides
# whom. SMAP looks once, at everything, and writes what it sees into maps of a quarter of the sides of its input, the canvas:

# %% tags=["nbval-check-output"]
symbols = [
    ("heatmaps", "(15, H, W)", "-", "1 where somebody's joint is, falling off around it: one map a joint"),
    ("fields", "(14, 2, H, W)", "-", "part affinity fields: along each bone, the unit vector from parent to child"),
    ("roots", "(1, H, W)", "mm", "root-depth map: at each pelvis its depth, times w / f; elsewhere nothing is asked"),
    ("parts", "(14, H, W)", "mm", "part relative-depth maps: along each bone, how much farther the child is"),
    ("w, f", "1", "px", "width of the picture, focal length"),
    ("Z, Z~", "(P,)", "mm", "depth of a person's root; Z~ = Z w / f"),
    ("D", "(14,)", "mm", "mean length of a bone in the training set"),
    ("d_cons, lambda", "1", "px, -", "how long a bone may be in the picture; its slack, 1.2"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")
for name, config in {"paper": SMAPConfig(), "one stage": SMAPConfig(stages=1), "small": SMALL}.items():
    number = sum(p.numel() for p in smap.Network(config).parameters())
    print(f"{name}: {number:,} parameters, {sum(config.maps)} maps, canvas {config.canvas[0]} x {config.canvas[1]} px")
print(f"RefineNet: {sum(p.numel() for p in RefineNet().parameters()):,} parameters")

# %% [markdown]
# ## 2. Two formulas with a pencil
#
# **Depth over field of view** (equation 1). Two cameras, $f = 1000$ px and $f = 2000$ px, both 1920 px wide. Somebody 3 m from the first and
# somebody 6 m from the second are equally tall in the picture, and by size alone nothing tells them apart. So the network is not asked to: it learns
# $\tilde Z = Z\,w/f$, which is $3000 \cdot 1.92 = 5760$ mm for both; $f$ comes back in after the network.
#
# **How long may a bone be?** (equation 2). A forearm of $D = 240$ mm at $Z = 3$ m in the first camera is $240 \cdot 1000 / 3000 = 80$ px long, held
# across the line of sight (the paper counts in picture widths: $240 / 5760$). SMAP allows $\lambda = 1.2$ times as much (released code; the paper gives no number), $d_{cons} = 96$ px. A link of 192 px is twice too
# long and loses $1 - 96/192 = 0.5$ of its score.

# %% tags=["nbval-check-output"]
z, f = torch.tensor([3000.0, 6000.0]), torch.tensor([1000.0, 2000.0])
print("Z w / f:", depth.normalise(z, f, 1920.0).tolist(), "mm")
allowed = 1.2 * 240 * 1000 / 3000
print("d_cons:", allowed, "px; penalty of 192 px:", affinity.penalty(np.array([192.0]), np.array([allowed]))[0])

# %% [markdown]
# ## 3. The maps, one by one
#
# A picture of the test set, and the maps as they *should* be, in eight tiles. Read them: the heatmap of the left wrists has a peak for each wrist, hidden ones
# too. A field's colour is its direction. In the map of relative depth red bones lead away from the camera, blue ones towards it.
# The root-depth map says something at each pelvis and is silent elsewhere.

# %%
source(smap.targets)

# %% tags=["nbval-ignore-output"]
batch = shown.test_pictures("duet", run.profile)[13][1][:1]
run.picture(show.true_maps(batch, PROFILES[run.profile].config), "targets", "What the maps should be.")

# %% [markdown]
# ## 4. Association: who owns which joint?
#
# Peaks are joints without owners. A field gives every pair of peaks a score: how far it points from one to the other. OpenPose takes pairs by
# falling score (**2DPA**, 2D part association). SMAP (**DAPA**, depth-aware) lets people choose *one after the other, from near to far*, because who
# is in front is seen, and who is behind is guessed; and links longer than the person's depth allows lose score.

# %%
source(smap.associate)

# %% [markdown]
# The two cases of the paper's Figure 3, made exactly, without a network. Left to right: candidate links, fields, what 2DPA makes of them, what DAPA
# does. Above, the neck of the one in front also lies where that of the one behind would be (in the paper it is the pelvis; where people hang on their
# pelvis, one pelvis is one person, and there is nothing to decide); below, a stray response at somebody else's ankle.

# %% tags=["nbval-ignore-output"]
for name, case in {"contested": steps.contested(), "noisy_ankle": steps.noisy_ankle()}.items():
    run.picture(show.case(case), name, f"{name}: links, fields, 2DPA, DAPA.")

# %% [markdown]
# **Step by step** on a crowd of eight, of whom two have their pelvis hidden, so that six can be found: for each bone from the pelvis outwards, for each
# person from near to far, the candidates with a positive score. Here are the steps at which somebody had a choice: *free* says whether a nearer person has
# taken the candidate, *penalty* what its length costs.

# %% tags=["nbval-ignore-output"]
crowd = steps.crowded()
walked = steps.walk(crowd.found, crowd.k)
choices = walked[walked["score"] > 0].groupby(["step", "person"]).filter(lambda rows: len(rows) > 1)
table(choices.drop(columns="step").head(8).round(2), "Candidates with a positive score.", digits=2)

# %% tags=["nbval-ignore-output"]
run.picture(show.case(crowd), "crowd", "Eight people, six pelvises: links, fields, 2DPA, DAPA.")

# %% [markdown]
# ## 5. From maps to millimetres
#
# The root's depth is read at its peak, $Z = \tilde Z f/w$. Along each bone the relative depth is read at ten points, and the depths are added from the pelvis
# outwards. A pencil: root 3000 mm, pelvis to neck $-50$, neck to shoulder $+20$, to elbow $-100$, to wrist $-150$: the wrist is at
# $3000 - 280 = 2720$ mm. Then each joint goes along its own ray to its depth, $X = (u - c_x)\,Z/f$.
#
# Where a bone was not found, everything beyond it is missing. **RefineNet**, five linear layers, sees the pose in the picture and in space, with zeros for
# what is missing, and says where all 15 joints are. It cannot move the root.

# %% tags=["nbval-check-output"]
bones, joints, dz = smap.BONES, SMAP15.joints, torch.zeros(14)
for child, value in {"neck": -50, "l_shoulder": 20, "l_elbow": -100, "l_wrist": -150}.items():
    dz[[joints[c] for _, c in bones].index(child)] = value
depths = depth.chain(dz, torch.tensor(3000.0), bones)
print({joint: depths[joints.index(joint)].item() for joint in ("pelvis", "neck", "l_elbow", "l_wrist")})

# %%
source(smap.joint_depths)

# %% [markdown]
# ## 6. Training
#
# One network for each world, as the paper has one for each data set, then RefineNet on other pictures of the training split. Beside it 3DMPPE, trained on
# the same world for a fifth of the steps of its own notebook, and tested with *true boxes*; and a network that learns the depth of every pixel of a
# person. The picture below is that of section 3: compare the two sheets, tile by tile.
# All sizes stand in `mp3d.papers.smap.PROFILES`.

# %% tags=["nbval-ignore-output"]
study = tables.worlds(["duet", "studio", "solo"], run.profile, run.cache, budget, seed, seeds)
whole = run.study(study)
worlds = {world: spread(whole[whole["variant"] == world]) for world in study.variants}
model = networks.trained("full", "duet", run.profile, seed, run.cache, budget)
model.save(run.out / "network.pt")
number = len(study.seeds)
found, canvas = model.maps(batch.image)
people = model.people(found, canvas, batch.k)
run.picture(
    show.found_maps(batch, model), "maps", "What the network makes of the same picture, and who is read from it."
)

# %% [markdown]
# ## 7. Results
#
# **The question**: does one look at the whole picture place people better than a look at each of them? Tables 2 and 6 to 9 on `duet`, which mirrors
# MuPoTS-3D. The paper's numbers are of real video and of far larger networks: what can be asked here is their order. With one training of each
# network, as in `cpu`, intervals are of test videos alone: another training could come out differently.

# %% tags=["nbval-ignore-output"]
means = show.means(worlds["duet"])
run.table(
    means, "% of matched people, but `_all`; errors in mm and % of depth.", "duet", number, means.attrs["protocol"]
)
run.table(show.by_scene(worlds["duet"]), "By test video, %.", "duet_scenes", number)
run.judge("smap", worlds["duet"], "T2.", "T6.", "T7.", "T8.", "T9.", "ours.duet")

# %% [markdown]
# **Figure 4**: the same, at six thresholds each. *FitT* takes 3DMPPE's pose and puts it where it fits the *true* joints in the picture best: depth from size, by
# arithmetic. *k alone* is 3DMPPE with the area of the box for a depth.

# %% tags=["nbval-ignore-output"]
curves = plots.curves(show.pck_curves(worlds["duet"]), "threshold (mm)", "right (%)", columns=2)
run.show(curves, "pck", "Roots and joints that are right, by the threshold.")
run.judge("smap", worlds["duet"], "F4.")

# %% [markdown]
# **Figure 6**: true against predicted depth. The dense network sees the surfaces of people; roots lie behind them, and where somebody is hidden it
# reads whoever is in front.

# %% tags=["nbval-ignore-output"]
run.show(
    plots.root_depths(show.root_depths(run.profile, seed, run.cache, budget)), "depths", "Depth of roots, test videos."
)
run.judge("smap", worlds["duet"], "F6.")

# %% [markdown]
# **Figure 5**: who is put in the wrong place? The same groups of people as in [`threedmppe.ipynb`](threedmppe.ipynb), section 6.

# %% tags=["nbval-ignore-output"]
failed = tables.by_group(run.profile, seed, run.cache, budget)
grouped = failed.groupby("group", sort=False)
run.table(grouped[["smap", "threedmppe"]].median().assign(people=grouped.size(), missed=grouped["smap"].apply(lambda e: e.isna().sum())),
          "Median error of the root's depth, %; people whom SMAP missed.", "failures", protocol=f"seed {seed}")  # fmt: skip
failures = spread(run.study(tables.failures(run.profile, run.cache, budget, seed, seeds)))
run.judge("smap", failures, "F5.")

# %% [markdown]
# **Order in depth** (Figure 1). From above: numbers are places in the order from near to far; equal numbers at both ends of a line are right.

# %% tags=["nbval-ignore-output"]
run.show(show.order(model, run.profile), "order", "A test picture of `duet`, from above.")
words = "Table 1 on `studio`: errors in mm, PCOD in %."
run.table(shown.activities(worlds["studio"]), words, "studio", number, "mean over an activity's test videos")
run.judge("smap", worlds["studio"], "T1.")
run.table(show.means(worlds["solo"], ["mpjpe", "rt_error", "recall"]), "Table 10 on `solo`, mm and %.", "solo", number)
run.judge("smap", worlds["solo"], "T10.")

# %% [markdown]
# **Before you conclude from `duet` that crops win**: 3DMPPE is given the true boxes, so it misses nobody, and sees everybody in a crop of their own. The profile `cpu` shows SMAP a picture of 160 x 96 px: with a focal
# length of 130 px somebody of 1.7 m at 5 m is $1.7 \cdot 130 / 5 = 44$ px high. On the paper's canvas, 832 px wide, it would be 230 px. Our guess is that size in the picture, and a network of a fortieth of
# the weights, are most of the difference; the profiles `gpu` and `paper` are the test. The order of variants of SMAP itself, in [`smap_ablation.ipynb`](smap_ablation.ipynb), does not depend on the rival.

# %% [markdown]
# **On real pictures**, where `data` is the folder that has them: MuPoTS-3D, Panoptic or Human3.6M by their own protocols, with a network trained on what the
# paper trains on if that is there too, else with the one above.

# %% tags=["nbval-ignore-output"]
if data != "synthetic":
    ways = {"smap": smap.Reading(), "smap_unrefined": smap.Reading(refined="no")}
    for kind, measured in tables.on_data(data, ways, run.profile, seed, run.cache, budget).items():
        run.table(measured, f"{kind}, by sequence.", kind, protocol=measured.attrs["protocol"], data=kind)
        run.judge("smap", measured, *show.ASKED[kind], data=kind)

# %% [markdown]
# ## 8. A picture of your own
#
# Set `picture` (and `focal`, if you know it) and run again. All depths go with `focal`; who is nearer than whom does not depend on it. The network of this run has seen nothing but drawn people: expect little of a photograph;
# a network of the `paper` profile is read the same way. Without a file, a test picture stands in.

# %% tags=["nbval-ignore-output"]
image, camera = shown.own(picture, focal, batch)
people = model.predict(image, camera)
run.picture(shown.drawn(image, people), "own", ", ".join(f"{p.root[2] / 1000:.1f} m" for p in people) or "nobody found")
run.judge("smap", None, "F1.", "F2.", "F7.")

# %% [markdown]
# ## 9. What the paper does not say, and what we chose
#
# - **The network** is called hourglass; the released code has MSPN, a chain of ResNet encoders with decoders. `trunk="hourglass"` is the other.
# - **Units of the losses** (0.1, 5, 10) are not given. `loss="paper"` takes heatmaps up to 1, unit vectors and metres; the released code takes means
#   of 255ths, 127ths and centimetres, of the hardest maps at the finest scale: `loss="released"`, which `small` is trained with.
# - **Normalisation**: $Z\,w/f$ with the picture's own width (equation 1) breaks where pictures do not fill the canvas: the same person, cut out of a wide
#   picture, would have another $\tilde Z$. The released code's $Z/(f s)$ does not; times the canvas' width it is the default here.
# - **The map's size** is that of the input in the paper's text, a quarter of its sides in the released code and here. Along a bone depth is read at ten
#   points, as released.
# - **The root's depth** is learned at the true roots; the supplement's "detected" ones are nowhere at first.
# - **Bones' lengths** are measured on the training people, as the paper says; the released code has one table for all data.
# - **Pelvis**: no pelvis found, no person. The paper's half bodies need another root.
# - What reading, scales, order, filter and metrics change is measured in [`smap_ablation.ipynb`](smap_ablation.ipynb).
#
# ## 10. Exercises
#
# **1.** The root-depth map's value for somebody at depth z mm, in a picture w px wide with focal length f. *Hint*: equation 1.


# %%
def normalised_depth(z, f, w):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(normalised_depth, exercises.normalised_depth, (3000, 1000, 1920), (6000, 2000, 1920))

# %% [markdown]
# **2.** A forearm's link of so many px, with this score before: what is left of it at depth z with focal length f? *Hint*: section 2; nothing is added
# where the link is short enough.


# %%
def link_after_penalty(score, length, bone, z, f):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(link_after_penalty, exercises.link_after_penalty, (0.9, 192, 240, 3000, 1000), (0.9, 50, 240, 3000, 1000))

# %% [markdown]
# **3.** The depth of a wrist: the root's, and what the bones on the way add, `None` for one that was not found. *Hint*: where something is missing
# the answer is NaN, not a number that looks like one.


# %%
def wrist_depth(root, bones):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(wrist_depth, exercises.wrist_depth, (3000, [-50, 20, -100, -150]), (3000, [-50, None, -100, -150]))

# %% [markdown]
# **4.** FitT in one line: a bone of so many mm, held across the line of sight, is px long. How far away? And what if the pose that is fitted is
# 10 % too large? *Hint*: similar triangles; a pose a tenth too large stands a tenth too far away.


# %%
def depth_from_bone(length, px, f):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(depth_from_bone, exercises.depth_from_bone, (500, 125, 1000), (550, 125, 1000))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Maps make the cost of a picture independent of the number of people, and let depth be seen in the whole picture.
# - Depth is learned in focal lengths; the focal length comes back in afterwards, and with it every error in it.
# - A tree from the pelvis is fragile: a lost joint takes all that hangs on it. RefineNet fills it in with what is usual.
# - Next: [`smap_ablation.ipynb`](smap_ablation.ipynb) takes the parts away one by one.
#
# **References**: J. Zhen et al., *SMAP*, ECCV 2020. Z. Cao et al., *Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields*, CVPR 2017.
# W. Li et al., *Rethinking on Multi-Stage Networks for Human Pose Estimation*, 2019. To cite this project see `CITATION.cff`.
