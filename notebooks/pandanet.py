# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # PandaNet: a person in every anchor
#
# ![A street of sixty people, drawn, with the poses that were found](../figures/pandanet/cpu/street.jpg)
#
# Abdallah Benzine, Florian Chabot, Bertrand Luvison, Quoc Cuong Pham, Catherine Achard: *PandaNet: Anchor-Based Single-Shot Multi-Person 3D Pose Estimation*,
# CVPR 2020. A detector that says, for each box, not only that somebody is there but the whole pose, in the picture and in space. No joints have to be found
# one by one, and none be put together. Afterwards you can say which anchors learn from whom, why some must keep silent, where the loss of a joint stops
# teaching, and what a pose without a size can and cannot tell about distance.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 10 min on 2 cores, 2 GB; `run.json` beside the figures has the seconds of the stored run.
#   The paper's own network (64 million parameters, pictures of 928 x 576) needs a GPU: the `paper` profile.
# - **Data**: the synthetic worlds `street`, `studio` and `duet`, drawn here ([`worlds.ipynb`](worlds.ipynb)). Where you have them in one folder, also
#   `jta`, `panoptic`, `mupots3d`, `muco3dhp` and `coco2017`, to be trained on and tested on.
# - **You need**: [`codings.ipynb`](codings.ipynb), section 4, for anchors without a network; [`metrics.ipynb`](metrics.ipynb) for 3DPCK and AP.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings of each network; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
data: str = "synthetic"  # or the folder of JTA, Panoptic, MuPoTS-3D, to be tested on as well
picture: str = ""  # a picture of your own, e.g. "~/party.jpg", for section 9
focal: float = 0.0  # its focal length in px; 0: its width
out: str = ""  # folder for figures and tables; default: runs/pandanet/PROFILE

# %% tags=["nbval-check-output"]
import pandas as pd
import torch

from mp3d import exercises, plots
from mp3d.codings import anchors
from mp3d.experiments.pandanet import networks, show, steps, tables
from mp3d.experiments.shown import activities, drawn, own
from mp3d.experiments.pinet import spread
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import pandanet
from mp3d.skeletons import MPI17

run = begin("pandanet", globals(), folders=True)

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The problem
#
# A street, sixty people, the farthest a dozen pixels high. A method that first finds boxes and then looks into each one sixty times is slow. One that finds joints
# in maps has to tell wrists apart that lie in the same cell, and has one cell to write both into. PandaNet asks something else of each cell: *if one of these $N_A$
# boxes, standing here, belongs to a person, what is that person like?* One cell is enough for a whole person. What can go wrong moves elsewhere: a box
# over two people cannot say one pose, and it should know that.

# %% tags=["nbval-check-output"]
symbols = [
    ("A", "(H, W, N_A, 4)", "px", "anchors: boxes of a few sizes, standing at every cell"),
    ("C", "(H, W, N_A)", "-", "score: whether an anchor is to be read"),
    ("B", "(H, W, N_A, 4)", "-", "offsets from the anchor to the person's box"),
    ("P2D", "(H, W, N_A, K, 2)", "-", "joints in the anchor's coordinates: from its centre, by its width and height"),
    ("P3D", "(H, W, N_A, K, 3)", "-", "joints from the pelvis, all bones together 1 long: without a size"),
    ("O", "(H, W, N_A)", "-", "PONO: overlap with one's person, by the best that any anchor has with that person"),
    ("A+", "set", "-", "anchors of O above 0.5: these learn boxes and poses"),
    ("A++", "set", "-", "those of them whose pose fits too: these shall score"),
    ("lambda", "tasks, anchors, joints", "-", "weights of losses, learned like everything else"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. Three formulas with a pencil
#
# **PONO**. Two anchors have most of a person; their IoUs with that person's box are $0.6$ and $0.4$. The best is $0.6$, so they have $O = 1$ and $0.4 / 0.6 = 0.67$. Both are in $A^+$. A
# person whom no anchor fits better than $0.2$ has a best anchor with $O = 1$ all the same: nobody is left out for being of a rare size.
#
# **Unit squares** (equation 6). A joint's place is judged by the overlap of two squares, as wide as the anchor is wide and as high as it is high. A quarter of an anchor off to one
# side: intersection $0.75$, union $1.25$, IoU $0.6$, loss $(1 - 0.6)^2 = 0.16$. A whole anchor off: no overlap, loss $1$; farther off, still $1$.
#
# **Labels** (equation 9). $O = 0.8$ and joints that are a tenth of the anchor off both ways: intersection $0.81$, IoU $0.81 / 1.19 = 0.68$, product $0.54$: to be read. A quarter off both
# ways: IoU $0.39$, product $0.31$: to be silent.

# %% tags=["nbval-check-output"]
boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
some = torch.tensor([[0.0, 0.0, 10.0, 6.0], [0.0, 0.0, 10.0, 4.0], [40.0, 0.0, 10.0, 10.0]])
person, overlap = anchors.assign(some[None, :, None], boxes)
for name, values in (("overlap", overlap), ("PONO", anchors.pono(person, overlap, 1))):
    print(name, [f"{value:.2f}" for value in values.flatten().tolist()])
for off in ((0.25, 0.0), (1.0, 0.0), (0.1, 0.1), (0.25, 0.25)):
    iou = anchors.iou_of_joints(torch.tensor(off), torch.zeros(2)).item()
    print(f"a joint {off} off: IoU {iou:.2f}, loss {(1 - iou) ** 2:.2f}, with O = 0.8 {0.8 * iou:.2f}")

# %% [markdown]
# ## 3. The network (Figure 3)
#
# Darknet-53, a pyramid, its levels brought to one size and laid side by side, a sub-pixel convolution that doubles the maps' sides, and four heads. The paper gives neither widths nor the size of the
# maps. Below, every part of the one that follows the paper, and of ours, with what it gives (channels x rows x columns).

# %% tags=["nbval-check-output"]
parts = {"paper": pandanet.PandaNetConfig(), "small": pandanet.SMALL}
both = pd.concat({name: show.module_table(config) for name, config in parts.items()}, axis=1)
table(both.fillna("-"), "Parts, with shapes and parameters.")
for name, config in parts.items():
    print(f"{name}: {sum(p.numel() for p in pandanet.Network(config).parameters()):,} parameters")

# %%
source(pandanet.targets)

# %% [markdown]
# ## 4. Losses and their weights
#
# Boxes, joints and 3D poses are learned by the anchors of $A^+$ alone; the score by all. The four losses are of very different size: that of 3D poses is in squares of parts of a body, and the
# score's is a mean over all anchors, of which most are silent and easy. So each gets a weight that is learned: a term $\lambda L + \log(1/\lambda)$ is least at
# $\lambda = 1/L$. Not only one a task, but one an anchor size and joint: wrists are less certain than hips, small people less than large ones.

# %%
source(pandanet.loss)

# %% [markdown]
# ## 5. Training, and the anchors of two people (Figure 4)
#
# A network learns `street` here, one `studio` and one `duet`, each from windows of pictures at random places and scales. All sizes stand in `mp3d.papers.pandanet.PROFILES`.
# Below, the anchors of the network of `studio` on a test picture in which two people overlap. In each cell the anchor with the most overlap is shown.

# %% tags=["nbval-ignore-output"]
found = {world: run.study(tables.world(world, run.profile, run.cache, budget, seed, seeds)) for world in tables.BESIDE}
number = found["street"]["seed"].nunique()
where = run.profile, seed, run.cache, budget
model = networks.trained("full", "studio", *where)
looked = steps.look(model, steps.overlapping(*tables.SIZES[run.profile]))
run.picture(plots.anchor_sheet(**vars(looked)), "anchors", "Whose the anchors are, which learn, which shall be read.")

# %% [markdown]
# Between the two people, anchors change hands from one cell to the next. Where what the network says there fits neither pose well, the fourth picture is dark, and equation 9 crosses the anchor out. Nothing in it looks for two
# people: where the pose fits, the anchor stays. Whether shared anchors really fit worse is counted in [`pandanet_ablation.ipynb`](pandanet_ablation.ipynb), section 3.

# %% [markdown]
# ## 6. A street of sixty (Figure 1)
#
# The largest crowd among the test pictures. Seen from above on the right side of the second figure are the same people at the training set's mean size, which is what a user gets. On the left side, everybody has
# the true size: the paper's Figure 1 does that too, and says so. The pose and its pixels leave one number open, and it is the one that says how far off somebody is.
#
# **What is learned first**: where people are, and how high. Which way somebody faces is hard to tell from a few dozen pixels, and as long as it cannot be told, the best answer for left and right is the middle between: in the stored run, a short
# one, most poses of the street are upright lines, with wrists as good as lost (Table 4 below). On `studio`, where people are larger, 3DPCK is about twice as high after as many steps (section 7).

# %% tags=["nbval-ignore-output"]
crowd = tables.pictures("street", run.profile)[5][1][:1]
model = networks.trained("full", "street", *where)
model.save(run.out / "network.pt")
people = model.estimate(crowd.image, crowd.k)[0]
image = crowd.image[0].permute(1, 2, 0).numpy()
length = model.length.item()
panels = {
    "true sizes (ORACLE)": show.from_above(crowd, people, length),
    "mean size": show.from_above(crowd, people, None),
}
right = len(panels["mean size"].dropna())
words = f"{right} found of {int(pandanet.people_of(crowd).sum())}, and {len(people) - right} who are not there."
run.picture(drawn(image, people, MPI17), "street", words)
run.show(plots.from_above(panels), "above", "Where the sixty are, and where they were put.")

# %%
source(pandanet.decode)

# %% [markdown]
# ## 7. Results
#
# **Table 3** on `street`: 3DPCK by distance, joints of people who were missed counted wrong. Beside PandaNet our ORPM-AE, trained on as many windows of the same pictures, and two ceilings: the
# truth after suppression, which drops whoever's box overlaps a nearer one's by more than half; and true poses at the mean size. The paper does not say which millimetres its own are.
# *Mean size* is what a user gets, and what the claims are judged by. *Scaled*: every pose, of all methods, is given the true sum of limb lengths, an oracle. It can harm: a network that is unsure says the mean of several poses, whose bones
# are short, and scaling stretches them. Recall, precision and AP belong to the numbers: people wrongly found cost 3DPCK nothing. The others' AP is of boxes around their joints and over the people they give, so that one wrong joint
# spoils a box: it is not to be compared with PandaNet's.

# %% tags=["nbval-ignore-output"]
street = spread(found["street"])
overall = ["recall", "precision", "ap", "pck", "pck_scaled", "mpjpe", "mpjpe_scaled"]
means = show.means(street, overall)
run.table(means, "`street`: %, and mm of those found.", "street", number, means.attrs["protocol"])
sizes = {"mean size": "pck_", "true size (ORACLE)": "pck_scaled_"}
kinds = sizes | {"recall": "recall_"}
distance = pd.concat({name: show.by_distance(street, prefix) for name, prefix in kinds.items()})
run.table(distance, "Table 3: 3DPCK, and recall, by distance (m), %.", "distance", number, means.attrs["protocol"])
run.show(plots.curves(show.distance_curves(street), "distance (m)", "3DPCK (%)"), "distances", "3DPCK by distance.")
run.judge("pandanet", found["street"], "T3.", "F1.", "F2.")

# %% [markdown]
# **Table 4**: the same by joint. MPI's skeleton, in which all of `mp3d` compares, has no clavicles and one spine instead of five.

# %% tags=["nbval-ignore-output"]
joints = pd.concat({name: show.by_joint(street, prefix) for name, prefix in sizes.items()})
run.table(joints, "Table 4: 3DPCK by joint, %.", "joints", number, means.attrs["protocol"])
run.judge("pandanet", found["street"], "T4.")

# %% [markdown]
# **Table 5** on `studio`, by activity, beside the network of [`orpm_ae.ipynb`](orpm_ae.ipynb), trained on as many pictures as PandaNet. **Table 6** on `duet`, beside
# [`threedmppe.ipynb`](threedmppe.ipynb)'s two networks, which are given the true boxes and 0.2 times this run's budget, which takes about as long to train.

# %% tags=["nbval-ignore-output"]
studio, duet = spread(found["studio"]), spread(found["duet"])
activity = activities(studio, ["mpjpe", "pck", "recall"]).rename(index=show.NAMES)
run.table(activity, "Table 5: `studio`, mm and %.", "studio", number)
for name, world in (("everything", studio), ("duet", duet)):
    means = show.means(world, overall)
    words = f"{'Table 6, `duet`' if name == 'duet' else 'All of `studio`'}: %, and mm of those found."
    run.table(means, words, name, number, means.attrs["protocol"])
run.judge("pandanet", found["studio"], "T5.")
run.judge("pandanet", found["duet"], "T6.")

# %% [markdown]
# ## 8. On real pictures
#
# Where `data` is the folder that has them: JTA, Panoptic, MuPoTS-3D, with a network trained on their training splits if those are there too, else with one of the synthetic worlds.

# %% tags=["nbval-ignore-output"]
if data != "synthetic":
    for kind, measured in tables.on_data(data, run.profile, seed, run.cache, budget).items():
        run.table(measured, f"{kind}, by sequence.", kind, protocol=measured.attrs["protocol"], data=kind)
        if kind == "jta":
            for name, part in (("distance", show.by_distance), ("joint", show.by_joint)):
                run.table(part(measured), f"3DPCK by {name}, %.", f"{kind}_{name}", data=kind)
            run.judge("pandanet", measured, "T3.falls", "T4.arms", "T4.legs", data=kind)

# %% [markdown]
# ## 9. A picture of your own
#
# Set `picture` (and `focal`, if you know it) and run again. The network of this run has seen nothing but drawn people: expect little of a photograph. Without a file, a test picture
# stands in. Distances are those of people of mean size.

# %% tags=["nbval-ignore-output"]
image, camera = own(picture, focal, tables.pictures("street", run.profile)[1][1])
people = model.predict(image, camera)
places = ", ".join(f"{p.root[2] / 1000:.0f} m" for p in people) or "nobody found"
run.picture(drawn(image, people, MPI17), "own", f"Found at {places}.")

# %% [markdown]
# ## 10. What the paper does not say, and what we chose
#
# - **Widths, levels, the maps' size**: not given. A quarter of the picture's sides here; one sub-pixel convolution less is measured in
#   [`pandanet_ablation.ipynb`](pandanet_ablation.ipynb), section 4.
# - **Boxes**: around all joints, hidden ones too, and a little larger; not clipped. Whoever has no joint in the picture, or none that is visible, does not count.
# - **Who is whom**: predictions and people are matched one to one by the mean distance of their joints in the picture, up to half the diagonal of the true box: the same for methods that give boxes and those that do not. AP is of boxes (IoU 0.5; PandaNet's own,
# for others those around their joints), the area under the whole curve. Matching by boxes: the ablation, section 7.
# - **Millimetres**: see section 7.
# - **Score and suppression**: 0.3 and 0.5 here, 0.05 for AP; others in the ablation, section 7. Up to 5,000 anchors are looked at: a large person has hundreds.
# - **Equations 13 and 14** lack a term without which their weights have no bound: the ablation, section 4. It is added here.
# - **Which minimum** places people: pixels are fitted, not the linear equations, which put small people too near ([`codings.ipynb`](codings.ipynb)).
# - **Optimiser**: Adam, with weights that move faster than other parameters (`pace`), since trainings are short. The `paper` profile has the paper's SGD. No weight decay, no mirrored pictures.
# - **By crowd density and overlap** ORPM-AE and PandaNet are not compared here.
# - What the paper's words and tables say differently is in [`audit.ipynb`](audit.ipynb): hips, elbows, spines against AP, labels of Table 5.
# - **Panoptic's skeleton** has no top of the head and no spine: for training they are put half way and at the end of lines, else no pose would be whole. In the test they do not count.
# - **Weights at the start** are 1, and labels depend on what the network says. At first hardly any pose fits, hardly an anchor is to be read, and the score learns silence. A start with labels of overlap alone would be a way out; it is not
#   taken.
#
# ## 11. Exercises
#
# **1.** PONO from the IoUs of all of one person's anchors. *Hint*: section 2.


# %%
def pono_of(ious):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(pono_of, exercises.pono_of, ([0.6, 0.4],), ([0.2, 0.1, 0.05],))

# %% [markdown]
# **2.** The IoU of two unit squares that are `dx` and `dy` apart. *Hint*: both have area 1; they may not touch at all.


# %%
def iou_of_squares(dx, dy):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(iou_of_squares, exercises.iou_of_squares, (0.25, 0.0), (0.25, 0.25), (1.5, 0.0))

# %% [markdown]
# **3.** Somebody's bones are `true` mm long together, and taken for `mean` mm. The pose fits its pixels. At which depth is somebody put who stands at `z`? *Hint*: a pose twice as large fits the
# same pixels twice as far away.


# %%
def depth_at_mean_size(z, true, mean):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(depth_at_mean_size, exercises.depth_at_mean_size, (10.0, 4000.0, 4400.0), (50.0, 3000.0, 4400.0))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - An anchor is enough for a whole person, and no grouping can go wrong. What suppression drops is lost.
# - An anchor that cannot fit a pose should not be read: the network's own error says which.
# - A pose has no size. Whoever says how far off somebody is has taken it from elsewhere.
# - Next: [`pandanet_ablation.ipynb`](pandanet_ablation.ipynb) for selections, weights, time and traps.
#
# **References**: A. Benzine et al., CVPR 2020. F. Chabot et al., *LapNet*, arXiv:1911.01149. J. Redmon and A. Farhadi, *YOLO9000*, CVPR 2017, and *YOLOv3*, arXiv:1804.02767. A. Kendall et al.,
# *Multi-Task Learning Using Uncertainty to Weigh Losses*, CVPR 2018. M. Fabbri et al., *JTA*, ECCV 2018. To cite this project see `CITATION.cff`.
