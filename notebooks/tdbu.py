# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # TDBU: from boxes and from the whole frame, and one pose of two
#
# ![Two moments seen by each branch and by both](../figures/tdbu/cpu/branches.jpg)
#
# Yu Cheng, Bo Wang, Bo Yang, Robby T. Tan: *Monocular 3D Multi-Person Pose Estimation by Integrating Top-Down and Bottom-Up Networks*, CVPR 2021. One branch cuts everybody out
# and looks at each at the same scale, over time; the other sees the whole frame, and how people stand to one another. The paper's idea is that each fails where the other does not. Their people are matched in space,
# and a small network makes one pose of two. Afterwards you can say where each branch fails and match people by hand.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 9 min on 2 cores, 2 GB; `run.json` beside the figures has the seconds of the stored run.
#   The paper's networks (HRNet-w32 twice, a graph network of 19.8 million parameters and two temporal ones of 17.0 and 16.9 million) need a GPU: the `paper` profile.
# - **Data**: the synthetic worlds `duet`, `solo` and `street`, drawn here as videos ([`worlds.ipynb`](worlds.ipynb)).
# - **You need**: [`codings.ipynb`](codings.ipynb), sections 1 and 2, for heatmaps and tags; [`metrics.ipynb`](metrics.ipynb) for PCK, AP of roots, F1. What the authors' published
#   outputs on real videos say is in [`tdbu_mupots.ipynb`](tdbu_mupots.ipynb).

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings of each network; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
out: str = ""  # folder for figures and tables; default: runs/tdbu/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd
import torch

from mp3d import exercises, plots
from mp3d.camera import Camera
from mp3d.experiments.pinet import spread
from mp3d.experiments.tdbu import show, tables
from mp3d.experiments.tdbu.networks import Home, whole
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import tdbu
from mp3d.papers.tdbu import bottomup, integration, lifting, matching, topdown

run = begin("tdbu", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The problem
#
# A *top-down* method finds boxes and estimates the person in each. Everybody comes at the same scale, however far they are. But a box may hold two people, or half of one, and what is not in
# it does not exist: how far somebody is has to be told from their size alone. A *bottom-up* method looks at the frame as a whole. It sees who stands before whom, but somebody far off
# is a few pixels, and joints have to be put together to people. The paper lets both look, and the second sees what the first has seen.

# %% tags=["nbval-check-output"]
symbols = [
    ("H", "(K, S, S)", "-", "top-down heatmaps of *everybody* in an enlarged box, with tags beside them"),
    ("c", "(K,)", "-", "confidence of a joint: its peak's height; 0: not found; 0.1: placed without having been found"),
    (
        "h_root, h_rel",
        "(1, H, W), (K-1, H, W)",
        "depth",
        "bottom-up maps: depth of roots, and of joints behind their root",
    ),
    ("P_TD, P_BU", "(K, 3)", "mm", "one person's pose in the camera's frame, by each branch"),
    ("Sim", "(N, M)", "-", "likeness of N and M people, equation 5"),
    ("s sigma", "1", "mm", "at this distance a joint's likeness is exp(-1/2); ours: section 9"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")
for name, config in {"paper": tdbu.TDBUConfig(), "small": tdbu.SMALL}.items():
    with torch.device("meta"):
        parts = {"crop": topdown.PersonNet, "frame": bottomup.FrameNet, "lift": lifting.Lift}
        size = {part: f"{sum(p.numel() for p in make(config).parameters()):,}" for part, make in parts.items()}
    print(f"{name}: parameters {size}; windows of {3**config.layers} frames")

# %% [markdown]
# ## 2. Matching with a pencil (equations 5 and 6)
#
# One joint each, confidences 1, $s\sigma = 250$ mm. Two people of the top-down branch stand at $z = 4.0$ m and $4.5$ m, on the optical axis; the bottom-up branch has them at $4.25$ m
# and $4.0$ m. Likeness at $250$ mm is $e^{-1/2} = 0.607$, at $0$ mm $1$, at $500$ mm $e^{-2} = 0.135$:
# $\text{Sim} = \begin{pmatrix} 0.607 & 1 \\ 0.607 & 0.135 \end{pmatrix}$. The best sum pairs the first with the second and the second with the first: $1.607$.

# %% tags=["nbval-check-output"]
td, bu = (np.array([[[0.0, 0, z]] for z in depths]) for depths in ((4000, 4500), (4250, 4000)))
sure = np.ones((2, 1))
print(matching.similarity(td, bu, sure, sure).round(3).tolist(), matching.match(td, bu, sure, sure))

# %%
source(matching.similarity)

# %% [markdown]
# ## 3. The top-down branch
#
# **Everybody in the box** (section 3.1, Figure 3). The box is enlarged and the network shows all people's joints in it, with a tag each that says which belong together. The box's own person
# is chosen *afterwards*: the group that fits the box best. Below, two people whose boxes overlap, in one box, as of a detector that took two for one (the paper's Figure 3): what a network sees in it
# that looks for one person, and what this one sees.

# %% tags=["nbval-ignore-output"]
home = Home("duet", run.profile, seed, run.cache, budget)
videos = tables.videos("duet", run.profile)
close = tables.singles(run.profile, "overlap")[0][1]
run.picture(show.bad_box(home, close), "boxes", "One box around two people, and the highest of all joints' heatmaps.")

# %% [markdown]
# **From 2D to space**. A graph network lifts a frame's joints: every joint tells its neighbours what it knows, the more the surer it is, $A_{ij} \propto c_j e^{-\text{hops}(i,j)}$; bones have a graph of
# their own. Then two temporal networks look at the frames around: one mends the pose, the other says how far off the pelvis is. Joints enter in the camera's units, $(u - c_x)/f$, so that
# size tells depth.

# %%
source(lifting.affinity)

# %%
source(lifting.DirectedGCN.forward)

# %% [markdown]
# ## 4. The bottom-up branch
#
# Its input is the frame with the top-down heatmaps beside it, put back where their crops were. For people far off, too, they come from a crop at full size; put back, their blobs are as small as they are. It gives heatmaps, tags, and two kinds of depth,
# read where the joints are (equations 3 and 4). *Where* is on the map: the released code reads at a quarter of the picture's pixels, whatever the map's size
# ([`tdbu_mupots.ipynb`](tdbu_mupots.ipynb) shows what became of it).

# %% tags=["nbval-ignore-output"]
run.picture(show.guided(home, close), "guide", "What the bottom-up network is given, with the boxes of our detector.")

# %%
source(bottomup.decode)

# %% [markdown]
# ## 5. One pose of two
#
# The integration network gets both poses, seen from between their two roots, and all confidences; what it says is added to the mean of both weighted by confidence. It learns from true poses that are spoiled: joints
# masked, shifted, one of the two poses left out. Two discriminators watch over it: of one person's pose, and of how two people stand to one another.

# %%
source(integration.IntegrationMLP.forward)

# %% [markdown]
# ## 6. Where each branch fails, and what joining mends (Figures 1, 4, 5, 6)
#
# A test video of `duet`, two moments of it, as Figure 4 without SMAP's row. Drawn are the poses *in space*, projected by the picture's camera, and below each the same poses from the side, with the truth in pale grey: in the
# picture a wrong depth cannot be seen. Bottom-up joints lie on their rays by construction, so in the picture they look right if they were found right, whatever their depth. Rings are joints that were not found in the picture. A
# person has one colour in both rows; whom a branch invented has one of the next.

# %% tags=["nbval-ignore-output"]
name, batch = videos[-1]
ways = show.branches(home, batch)
run.picture(show.beside(batch, ways, [0, len(batch) - 1]), "branches", f"Two moments of {name}: truth and branches.")

# %% [markdown]
# The same people from above, three frames in one panel: black where they stand, blue where they were put; a red cross is somebody who was missed, an orange square somebody who is not there.

# %% tags=["nbval-ignore-output"]
some = {key: people[:3] for key, people in ways.items()}
run.show(plots.from_above(show.above(batch[:3], some)), "above", f"Three frames of {name} from above.")

# %% [markdown]
# **Figure 5**: the first frame by cameras that went around the people, clockwise as seen from above, by 0, 45 and 90 degrees; without perspective, the truth in pale grey. Beside it the same in a figure that you can turn.

# %% tags=["nbval-ignore-output"]
run.picture(
    show.from_sides(batch, ways["joined"], [0]), "sides", f"The first frame of {name}, joined, and from three sides."
)
space = plots.skeletons_3d(show.in_space(batch, ways["joined"], 0))
run.show(space, "space", "The first frame in space: truth and result.")

# %% [markdown]
# **Figure 6** shows where the whole method fails. The paper names two causes: constant heavy occlusion, and unusual poses. Below are the two frames of this video with the largest mean error of roots, whoever was missed counting 3 m: by this measure
# failures are of depth, or of finding people. Compare each with the two causes.

# %% tags=["nbval-ignore-output"]
bad = show.worst(batch, ways["joined"])
run.picture(show.from_sides(batch, ways["joined"], bad), "failures", f"Where the whole method fails most in {name}.")

# %% [markdown]
# ## 7. Results
#
# **Table 3** on `duet`: both branches, both together, and 3DMPPE. The paper on MuPoTS-3D: 3DMPPE 82.5 (PCK) and 31.8 (PCK_abs), TDBU 89.6 and 48.0. Three things to know before the order of the rows here. The paper's TDBU has had semi-supervised training (section 3.4); without it Table 1 has 88.9 and 47.4, and
# the rows here are without it. TDBU sees a video and has to find people; 3DMPPE sees single pictures, and is given the true boxes. And all networks here are small and trained for minutes, both methods by the table below. The joined row holds everybody whom either branch found: read PCK
# with recall and precision, and `_both`, which is of those alone whom both branches found.

# %% tags=["nbval-ignore-output"]
run.table(show.trainings(home), "What the networks learn from.", "trainings", 0)
study = tables.worlds(["duet", "solo", "street"], run.profile, run.cache, budget, seed, seeds)
results = run.study(study)
number = len(study.seeds)
found = {world: spread(results[results["variant"] == world]) for world in ("duet", "solo", "street")}
duet = found["duet"]
means = show.means(duet, ["td", "bu", "full", "threedmppe"])
run.table(means, "Table 3 on `duet`: %, and mm of those found.", "duet", number, means.attrs["protocol"])
run.judge("tdbu", duet, "T3.")

# %% [markdown]
# **What came out**. The stored run trained each network once, ten times as long as `cpu` does by itself (`--budget 10`); intervals, in brackets, are of test videos alone.
#
# - **Roots** are nearer joined than from boxes, by 102 mm [38 to 180]; against the frame it is open, 310 mm and 317. AP of roots is 41 joined, 38 from boxes, 34 from the frame: joined against the frame is just settled, joined against boxes open.
# - **Poses** are better joined than from the frame and worse than from boxes: 3DPCK of those whom both branches found is 52, 49 and 55. PCK_abs is not settled against boxes (19 and 22). Precision falls from 97 to 89 %, since whoever one branch invented stays.
# - **3DMPPE is 26 points of 3DPCK ahead** of the joined rows, after half as long a training. Our reading: TDBU loses it in 2D. With the true 2D joints the same lifting has 89 ([`tdbu_ablation.ipynb`](tdbu_ablation.ipynb), "TD, true boxes and 2D joints"). 3DMPPE never asks for 2D joints: it reads all three coordinates off the picture.


# %% [markdown]
# **Table 4** on `street`, LoCO's F1 of joints in space: many people, most of them far. Its pictures are 480 x 288 px; 2D networks learn from windows of 192 x 128 px at changing zoom, as PandaNet does ([`pandanet.ipynb`](pandanet.ipynb)), since whole people are some 16 px high. **Table 5** on `solo`, one person, by the networks of `duet`.

# %% tags=["nbval-ignore-output"]
rows = ["td", "bu", "full"]
crowd = show.means(found["street"], rows, ["f1_0.4", "f1_0.8", "f1_1.2", "recall", "precision", "rt_error"])
run.table(crowd, "Table 4 on `street`: F1 (%) within 0.4, 0.8, 1.2 m.", "street", number, crowd.attrs["protocol"])
alone = show.means(found["solo"], rows, ["mpjpe", "pa_mpjpe", "recall", "rt_error"])
run.table(alone, "Table 5 on `solo`: mm of those found.", "solo", number, alone.attrs["protocol"])
run.judge("tdbu", found["street"], "T4.full_")
run.judge("tdbu", found["solo"], "T5.single")

# %% [markdown]
# - **`street`** is hardly learned in these minutes. Joined, 44 % of the people are found, and 41 % of whom one finds are there; F1 is 3.5 % within 0.4 m and 15 % within 1.2 m (the paper on JTA: 57 and 73). Whether joining raises the first is open. Roots are 6 m off from the frame, 15 m from boxes, 14 m joined.
#   Our reading: of a height of 16 px one is 6 % of the distance, and the crops' network is off by more.
# - **`solo`**: joined is worse than top-down, PA-MPJPE 149 mm and 127 (22 mm [9 to 36]), against the paper's order; from the frame it is 170. Roots are 433 mm off joined, 488 from boxes (open), 505 from the frame.


# %% [markdown]
# **Table 6**: PA-MPJPE on single pictures of three splits of `duet`: the test split; `overlap`, where in each picture two people's boxes have an IoU above 0.3; `border`, where the border cuts off a quarter or more of somebody's joints. The last two are other
# scenes seen by other cameras, not a part of the first, and everybody in a picture counts, also who is overlapped by nobody. The temporal networks see nothing but the one frame. So that all are judged on the same people, PA-MPJPE is of those whom the top-down branch, the joined method and 3DMPPE
# all found with all joints (`common`, % of everybody); `drop` is how much larger it is where people overlap.

# %% tags=["nbval-ignore-output"]
close_study = tables.overlapped(run.profile, run.cache, budget, seed, seeds)
overlap = spread(run.study(close_study))
columns = [f"{metric}{end}" for metric in ("pa_mpjpe_common", "common", "recall") for end in tables.SPLITS.values()]
means = show.means(overlap, ["td", "full", "threedmppe"], [*columns[:3], "drop", *columns[3:]])
run.table(means, "Table 6: PA-MPJPE (mm), and what overlap adds.", "overlap", number, means.attrs["protocol"])
run.judge("tdbu", overlap, "T6.least_")

# %% [markdown]
# Overlap costs 21 mm top-down, 24 joined, 22 for 3DMPPE; the differences are open: joined may cost 11 mm more than 3DMPPE, or 7 mm less. Joined, one finds more people, which a union must: 68 % of those of `overlap`, top-down 60, at a precision of 85 and 93 %; 76 % of those of `border`, top-down 65, at 65 and 85 %.


# %% [markdown]
# **Who gains?** The paper's Figure 1: occlusion harms from boxes, distance harms from the frame. Here people near and far are of the test split, those overlapped of `overlap`, those cut off of `border`, with how many they are: 3DPCK of everybody and recall in %, error of the root in mm of
# those found, with intervals. A branch that finds fewer people may find the easier ones: its root error is of other people than the other's. `loss_far` is 3DPCK of people near less that of people far, `loss_overlapped` that of people whole and alone less that of the overlapped. Both branches and the joined
# method have our detector's boxes, 3DMPPE the true ones.

# %% tags=["nbval-ignore-output"]
gains = show.who_gains(overlap, run.profile)
run.table(gains, "By who they are: mean [95 % interval].", "groups", number)
losses = show.means(overlap, ["td", "bu", "full", "threedmppe"], ["loss_far", "loss_overlapped"])
run.table(losses, "What distance and overlap take from 3DPCK of everybody (points).", "losses", number)
run.judge("tdbu", overlap, "F1.")

# %% [markdown]
# - **3DPCK falls alike in both branches.** Distance takes 9 points from boxes and 8 from the frame, overlap 29 and 26: the second in the paper's order, open by a hair [-0.02 to 6.41]. Our reading: boxes come from a bottom-up network here, so whom the frame does not show gets no box, either.
# - **Joined against boxes**: 3DPCK of everybody is higher where people are cut off (14 and 9; 5.2 points [3.5 to 7.0]); near, far and overlapped it is open. Divided by recall, boxes' poses are better but for those cut off.
# - **Joined against the frame**: roots are *farther* off, 870 mm and 541 of the overlapped, 475 and 391 above 4 m. Our reading: the joined row has people, too, whom boxes alone found, and where boxes are wrong the network cannot know.
# - **What the frame is for**: roots of the overlapped are 541 mm off from the frame, 1,006 from boxes, and 710 from boxes with one person each; above 4 m 391, 613 and 513. Overlap is the paper's reason to look at the frame; distance, here, is another.
# - **Everybody in the box** is worse than one person a box where people overlap, too: by 7.0 points [5.2 to 8.7], and by 296 mm in roots. The ablation has our reading.
# - **Cut off**: metres, for everybody, 3DMPPE with true boxes included. Our reading: size tells depth, and half of somebody is smaller.


# %% [markdown]
# ## 8. Video in, people out
#
# `TDBU.predict(frames, camera)` takes the frames of a video and gives everybody's pose in the camera's frame, with a number that stays with them. Boxes come from the bottom-up network without its guide. Without a camera it assumes a focal length of the picture's width. Size in the picture
# goes with focal length over distance, so where the true focal length is shorter, everybody is put too far off, in about the ratio of the two: 1.7 times in video D7 of `duet`, whose focal length is 0.59 of the width; the cell prints it for the video here. Give the camera where you know it.

# %% tags=["nbval-ignore-output"]
model = whole(home)
model.save(run.out / "network.pt")
frames = batch.image[:5].permute(0, 2, 3, 1).numpy()
height, width = frames.shape[1:3]
camera = Camera(*batch.k[0].double().tolist(), width, height)
people = model.predict(frames, camera)
for at, some in enumerate(people):
    print(f"frame {at}:", ", ".join(f"{p.identity} at {p.root[2] / 1000:.1f} m" for p in some) or "nobody found")
print(f"without a camera all depths would be taken about {width / camera.fx:.2f} times as large")

# %% [markdown]
# ## 9. What the paper does not say, and what we chose
#
# - **The detector** (Mask R-CNN in the paper): our bottom-up network without a guide. What true boxes change is in [`tdbu_ablation.ipynb`](tdbu_ablation.ipynb).
# - **The tracker**: by likeness of 2D poses from frame to frame. The released files have one track for each annotated person, so nobody can be lost there.
# - **Sizes, thresholds, $s\sigma$, strengths of all augmentations**, the discriminators: not given; ours stand in `TDBUConfig`, `Spoiling`, `train.Noise`, `matching.REACH` (250 mm) and `matching.DEEP` (5 % of the depth, where that is more).
# - **Root depth** of the bottom-up branch is learned as $Z v / f$ with the focal length $f$ in pixels and a constant $v$ (`TDBUConfig.view`), as focal lengths differ here: what it says is how many pixels high somebody is. The top-down branch learns it in metres, from joints in the camera's units, $(u - c_x)/f$. The released depths are fitted to the truth of each video before they are scored; nothing is here.
# - **Joints that a branch did not find**: top-down, the graph network completes them; bottom-up, a pelvis that was not found is put between the hips, or in the middle of all joints. Both count little (0.1). Other joints stay unknown to the bottom-up branch (0).
# - **Who was found by one branch alone** stays in all joined rows, by their pose in that branch.
# - **`street`** has networks of its own: windows to learn from, a depth unit a fourth as large ($v$, as people are four times as far). Nothing else differs between the worlds. 2D tracks that lifting learns from are disturbed by 4 % of a person's size (`networks.NOISE`): on training videos 2D joints are off by about that.
#
# ## 10. Exercises
#
# **1.** The likeness of two joints that are `far` mm apart, of confidences `a` and `b`. *Hint*: equation 5 takes the smaller one.


# %%
def likeness(far, a, b, reach=250.0):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(likeness, exercises.likeness, (0.0, 1.0, 0.5), (250.0, 1.0, 1.0), (500.0, 0.2, 0.9))

# %% [markdown]
# **2.** The best pairing of two and two people, as the column of each row. *Hint*: only two pairings are possible.


# %%
def best_pairing(sim):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(best_pairing, exercises.best_pairing, ([[0.9, 0.8], [0.8, 0.1]],), ([[0.9, 0.1], [0.8, 0.5]],))

# %% [markdown]
# **3.** Two branches say `td` and `bu` (mm from the pelvis, one coordinate) with confidences: where is the joint in the *linear* integration? `None` if nobody knows. *Hint*: a missing pose must not pull the other to zero.


# %%
def linear_joint(td, bu, sure_td, sure_bu):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(linear_joint, exercises.linear_joint, (400.0, 430.0, 1.0, 0.5), (400.0, 0.0, 0.8, 0.0), (0.0, 0.0, 0.0, 0.0))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Boxes give scale, the frame gives company; a heatmap put back into the frame hands one to the other.
# - Match in space, not in the order of detection, and let nobody be matched twice.
# - Where one branch knows nothing, weight it with nothing.
# - Next: [`tdbu_ablation.ipynb`](tdbu_ablation.ipynb) for each part's worth; [`tdbu_mupots.ipynb`](tdbu_mupots.ipynb) for the authors' own outputs.
#
# **References**: Y. Cheng et al., CVPR 2021, and *Graph and Temporal Convolutional Networks for 3D Multi-person Pose Estimation in Monocular Videos*, AAAI 2021. K. Sun et al., *HRNet*, CVPR 2019. D. Pavllo et al., CVPR 2019.
# M. Fabbri et al., *LoCO*, CVPR 2020. To cite this project see `CITATION.cff`.
