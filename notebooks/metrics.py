# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One prediction, many numbers: the field's metrics and protocols
#
# ![The same predictions under several protocols](../figures/metrics/cpu/protocols.png)
#
# Twenty minutes, nothing is trained. Afterwards you can check every metric of the five papers with a pencil, and you know which
# questions to ask of a number before you compare it with another one. The picture above is the point: nobody has moved,
# only the protocol.
#
# - **Time and memory**: 15 s on a laptop (`smoke`: 10 s), 0.7 GB.
# - **Data**: the synthetic world `duet`, made here, in the place of MuPoTS-3D. Your own predictions of the real
#   data set are scored by `mp3d evaluate mupots`, by the same functions.
# - **You need**: [`start.ipynb`](start.ipynb), which has MPJPE and 3DPCK by hand.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; all but smoke do the same
seed: int = 0  # of the predictions' errors
data: str = "synthetic"  # the only choice here
out: str = ""  # folder for figures and tables; default: runs/metrics/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd

from mp3d import exercises, plots
from mp3d.experiments import protocols
from mp3d.metrics import auc3d, joint_errors, mpjpe, pa_mpjpe, pck3d, rescale_bones
from mp3d.metrics import ap_root, assign_2d, average_precision, greedy_2d, interval, nearest_poses, pcod
from mp3d.metrics import joint_matches, mrpe, pck_root, precision_recall_f1
from mp3d.notebook import begin, exercise, source, table

run = begin("metrics", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. A number is six choices
#
# "3DPCK 81.2 on MuPoTS-3D" leaves six things open. The same prediction gets another number for each:
#
# | choice | examples | who chooses what |
# |---|---|---|
# | truth | where people stand (`annot3`), or everybody at one size (`univ_annot3`) | official: one size; TDBU's script: where they stand |
# | matching | by pixels, by root, by the shape of the pose | official: 13 joints within 40 px; SMAP on Panoptic: root within 30 px; TDBU: shape |
# | alignment | none, root, bone lengths of the truth, Procrustes with or without scale | official: root and bone lengths; PI-Net's PA: no scale |
# | joints | 14 of 17, 15, 16, 17 | the pelvis is always right after root alignment |
# | threshold | below 150 mm, at most 150 mm, 0 to 150 or 0 to 195 | AUC of TDBU's script has 40 thresholds, the official one 31 |
# | mean | over people, over videos; over all people, over those found | headline: the mean of 20 videos |
#
# Everything marked *uses the truth* in this notebook takes something from the ground truth before it scores. That is no
# crime: MuPoTS-3D wants to know whether a pose is right, not how tall somebody is. But it has to be said.

# %% tags=["nbval-check-output"]
symbols = [
    ("true, pred", "(P, 17, 3)", "mm", "poses of P people; joint 14 is the pelvis"),
    ("uv", "(P, 17, 2)", "px", "their joints in the picture"),
    ("e", "(P, 17)", "mm", "distance of each joint to the truth"),
    ("t", "1", "mm", "threshold; 150 unless said"),
    ("z", "(P,)", "mm", "depths of the roots"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. Joints, with a pencil
#
# The stiff toy person `G` of [`start.ipynb`](start.ipynb), estimated in four ways: 30 % too large; the right arm stretched
# 160 mm to the side; a wrist on the wrong side; turned by a quarter about the vertical.

# %% tags=["nbval-check-output"]
G = exercises.TOY_POSE
stretched, crossed = G.copy(), G.copy()
stretched[3:5] += (-160, 0, 0)
crossed[4] = (150, 0, -100)
turned = G @ np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]).T
cases = {"30 % too large": 1.3 * G, "arm stretched": stretched, "wrist misplaced": crossed, "turned": turned}
rows = {
    name: {
        "MPJPE": float(mpjpe(pose, G)),
        "PA, rigid": float(pa_mpjpe(pose, G)),
        "PA, scaled": float(pa_mpjpe(pose, G, scale=True)),
        "3DPCK": float(pck3d(joint_errors(pose, G))),
        "3DPCK, bones rescaled": float(pck3d(joint_errors(rescale_bones(pose, G), G))),
        "AUC, bones rescaled": float(auc3d(joint_errors(rescale_bones(pose, G), G))),
    }
    for name, pose in cases.items()
}
table(pd.DataFrame(rows).T.abs().round(2), "mm, and percent of the 14 scored joints.", digits=2)

# %% tags=["nbval-ignore-output"]
run.show(plots.poses_by_hand(cases, G), "by_hand", "Four wrong estimates (blue) over the truth (grey), from the front.")

# %% [markdown]
# Read the table by column, pencil in hand:
#
# - *30 % too large* costs every joint 30 % of its distance from the pelvis; giving the estimate the true bone lengths takes all of
#   it away, and so does a Procrustes fit with scale. For the official 3DPCK size does not exist.
# - *Arm stretched*: elbow and wrist are 160 mm off, so 12 of 14 joints are right. The upper arm, 340 mm long, is cut to the true 300 mm,
#   which brings the elbow to $(-141, 265)$ from the shoulder, 145.5 mm off, and the wrist with it: all 14 are right.
# - *Turned*: a rigid fit finds nothing wrong at all.
# - The fit minimises the *squared* error. Its mean distance may be larger than without it: the misplaced wrist pulls the
#   whole body along. PA-MPJPE is not a lower bound of MPJPE.
#
# The bone lengths are given from the pelvis outwards, each bone keeping the direction that was *predicted*:

# %%
source(rescale_bones)

# %% [markdown]
# ## 3. Who is compared with whom
#
# With several people somebody has to say which prediction belongs to whom. The official rule looks at pixels: in the order of
# *annotation*, each person takes the free prediction with the most joints within 40 px, in u and in v. One joint is
# enough. So the order of annotation matters: below, `p1` fits both people, and whoever is asked first takes it.

# %% tags=["nbval-check-output"]
b = np.stack([100.0 + 10 * np.arange(14), np.full(14, 200.0)], 1)
g1, g2, p1, p2 = b, b + (10, 0), b + (10, 0), b - (35, 0)
p2[1:7] -= (500, 0)
for name, order in {"g1 before g2": [g1, g2], "g2 before g1": [g2, g1]}.items():
    joints = tuple(range(1, 14))
    print(
        name,
        "->",
        [("nobody", "p1", "p2")[i + 1] for i in greedy_2d(np.stack(order), np.stack([p1, p2]), joints=joints)],
    )
print(
    "optimal assignment ->", [("nobody", "p1", "p2")[i + 1] for i in assign_2d(np.stack([g1, g2]), np.stack([p1, p2]))]
)
people = {"g1": b[1:], "p1": p1[1:], "g2": g2[1:], "p2": p2[1:]}

# %% tags=["nbval-ignore-output"]
run.show(
    plots.matching(people, [("g1", "p1")]),
    "matching",
    "g1 is asked first and takes p1, with all 13 joints; g2 is left without anybody.",
)

# %% [markdown]
# TDBU's script never looks where people stand. It lays each prediction onto the person by a similarity (turn, size, place) and takes
# the one with the smallest error left, as often as it likes. Three metres to the left is no error for it:

# %% tags=["nbval-check-output"]
two = np.stack([G, turned])
away = np.stack([1.5 * G + (3000, 0, 0)])
print("shape alone:", nearest_poses(two, away).tolist(), "(one prediction, given to two people)")

# %% [markdown]
# ## 4. Where people are
#
# Root-relative metrics do not know where anybody is. These do; each is one line of arithmetic.
#
# **RtError** (SMAP; 3DMPPE calls it MRPE) is the mean distance of predicted roots from the true ones, **PCK_root** the share
# of them that is closer than 150 mm. Below one root is 50 mm off (30 aside, 40 in depth), the other 200 mm.
#
# **AP_root** takes predicted roots by falling score; each claims the nearest true root if that one is closer than 250 mm and still
# free. The loop that 3DMPPE released forgets the first step, so a perfect detector of two people scores one half. **PCOD** asks of
# each pair who is nearer; within 300 mm of each other they count as equally far. SMAP's text has three
# classes; its code also accepts any two depths of the right *sign*.

# %% tags=["nbval-check-output"]
roots = np.array([[0.0, 0, 3000], [1000, 0, 3000]])
off = roots + np.array([[30.0, 0, 40], [0, 0, 200]])
print(f"RtError: {mrpe(off, roots):.1f} mm, PCK_root: {pck_root(off, roots):.1f} %")
for definition in ("released", "corrected"):
    print(f"AP_root, {definition}:", ap_root([roots], [np.array([0.9, 0.8])], [roots], definition=definition))
true_z, pred_z = [np.array([3000.0, 3100, 5000])], [np.array([3000.0, 3500, 4000])]
for definition in ("paper", "mupots", "panoptic"):
    print(f"PCOD, {definition}: {pcod(pred_z, true_z, definition=definition):.1f} %")

# %% [markdown]
# The pairs, by hand: people 1 and 2 stand 100 mm apart, *equally far*, and are predicted 500 mm apart: wrong by class, right by
# sign. 1 and 3, and 2 and 3, are right. Two of three, three of three; and the code for Panoptic looks at neighbours in the list alone.
#
# **F1** (LoCO, on JTA) throws all joints of one type into a bag: no people, no matching of bodies. Each true joint keeps its nearest
# prediction, each prediction its nearest true joint. Two true joints at 0 and 0.3 m, two predictions at 0.1 and -0.35 m,
# 0.4 m allowed: both true joints want the prediction at 0.1. An optimal matching would find both.

# %% tags=["nbval-check-output"]
true_joints = np.array([[[0.0, 0, 0]], [[300, 0, 0]]])
pred_joints = np.array([[[100.0, 0, 0]], [[-350, 0, 0]]])
for rule in ("loco", "optimal"):
    print(f"F1, {rule}:", precision_recall_f1(*joint_matches(pred_joints, true_joints, 400.0, rule))[2])

# %% [markdown]
# **AP** of boxes (PandaNet) is the detection metric of PASCAL VOC: area under precision over recall. A wrong box *behind* all right
# ones costs nothing, one before them does:

# %% tags=["nbval-check-output"]
box, far = np.array([[0.0, 0, 10, 20]]), np.array([[50.0, 0, 10, 20]])
for name, scores in {"wrong box last": [0.9, 0.1], "wrong box first": [0.1, 0.9]}.items():
    print(f"AP, {name}:", average_precision([np.concatenate([box, far])], [np.array(scores)], [box]))

# %% [markdown]
# ## 5. The same predictions, scored in ten ways
#
# Now a whole test set: 20 videos as long in proportion as those of MuPoTS-3D, and the predictions of the stand-in for 3DMPPE behind
# a detector that misses who is hidden. Everything below is measured on the *same* predictions.

# %%
videos = protocols.test_videos(4 if run.profile == "smoke" else 40)
truth = protocols.annotated(videos)
found = protocols.variants(truth, *protocols.predicted(videos, seed))
pairs = found["official"].pairs
run.table(found["official"].counts(), "People by video.", "people", digits=0)

# %% [markdown]
# **The question**: how far apart can two papers be that predict the same?

# %% tags=["nbval-ignore-output"]
numbers = protocols.pck_table(found)
by_video = numbers[numbers["mean"] == "videos"]
run.table(
    protocols.side_by_side(numbers),
    "3DPCK (%) of the same predictions, mean over 20 videos.",
    "protocols",
    protocol="150 mm, 14 joints; each row's own matching, truth and alignment",
)
run.show(
    plots.protocol_slide(by_video),
    "protocols",
    "3DPCK of the same predictions under each protocol, with 95 % intervals over videos.",
)

# %% [markdown]
# - *No bone rescaling* against *official*: the truth's bone lengths, given to everybody, are worth 13 points here, because the
#   stand-in makes people too large, as it is meant to. A method with the right sizes gains less.
# - *All* against *matched*: who was missed counts as 14 wrong joints, or not at all. Matched can never be lower: it is all people's
#   number times annotated / matched. A paper whose "matched" row is below its "all" row mixed two runs
#   (PI-Net's Table 1 does, in six videos: [`audit.ipynb`](audit.ipynb)).
# - *TDBU* matches by shape, so that nearly everybody finds a prediction and *all* is nearly *matched*; it rescales along the wrong
#   bones. *TDBU, Procrustes* is what the same script offers instead: it turns, moves and scales each pose onto its truth, which gives
#   19 points more than the official number over all people, with predictions that did not change.
# - *SMAP* scores the same joints; only the neck hangs on another joint.
# - In absolute mode TDBU's script puts each root on its *true* ray: of where somebody stands only the depth can be wrong.
#
# Two smaller choices, on the official protocol and on MPJPE:

# %% tags=["nbval-ignore-output"]
official = numbers[numbers["variant"] == "official"]
by_mean = official.pivot_table(index="people", columns="mean", values="pck").add_prefix("mean over ")
run.table(by_mean, "Official 3DPCK (%) by mean.", "means", protocol="bone lengths of the truth")
run.table(
    protocols.error_table(pairs),
    "Mean joint error (mm) of matched people.",
    "alignments",
    protocol="17 joints unless said, truth: univ_annot3, onto which PA fits each pose",
)

# %% [markdown]
# MPJPE has no threshold, but conventions all the same: PI-Net's 126.0 mm with the pelvis are 133.9 without it, and its AVG is over
# people, where its 3DPCK is over videos. The curve shows why one threshold is little to know of a method:

# %% tags=["nbval-ignore-output"]
curves = {
    name: found[name].errors[found[name].pairs.matched][:, :14]
    for name in ("official", "no bone rescaling", "rigid Procrustes", "similarity Procrustes")
}
run.show(plots.threshold_curve(curves), "thresholds", "3DPCK at other thresholds than 150 mm, matched people.")

# %% [markdown]
# ## 6. How sure is such a number?
#
# The frames of a video resemble each other, so 8,370 frames are not 8,370 measurements: there are 20 videos. The **bootstrap** draws
# 20 videos with replacement, thousands of times, and takes the mean anew; 95 % of the means are the interval. With 20 videos
# it is several points wide. Two methods on the *same* videos can be told apart more finely than that, by the interval of
# their difference, video by video; but a difference of 0.1 between two papers that share neither code nor protocol says nothing.

# %%
source(interval)

# %% tags=["nbval-ignore-output"]
one, other = (found[name].pck()["Total"].to_numpy() for name in ("official", "SMAP"))
rows = {
    "official": interval(one, bounds=(0, 100)),
    "SMAP's": interval(other, bounds=(0, 100)),
    "difference": interval(other - one),
}
rows = pd.DataFrame(rows, index=["3DPCK, points", "low", "high"]).T
run.table(rows, "Means over 20 videos and their paired difference.", "paired", digits=2)

# %% [markdown]
# ## 7. What papers do not say, and what we chose
#
# - **The mean.** Nobody states it beside the number. Official: a row a video; papers print their plain mean; PI-Net mixes both in one
#   column. Tables here say it, and `mp3d evaluate` prints both.
# - **AP_root**: released and corrected differ by the first prediction's share. We report the corrected one, and name it.
# - **PCOD**: the paper's three classes first; the code's variants by name. The one for MuPoTS-3D is never lower.
# - **Matching of ORPM-AE and PandaNet on Panoptic** is stated nowhere: ours is optimal in 2D, with recall beside it.
# - **Missing joints**: masked, never zero. A joint at exactly (0, 0) counts as missing for the official matching.
#
# ## 8. Exercises
#
# **1.** The official AUC averages 3DPCK over the thresholds 0, 5, ..., 150 mm. What does a perfect pose score? *Hint*: an error has to be
# below the threshold. Write it for any list of thresholds.


# %%
def auc_of_a_perfect_pose(thresholds):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(auc_of_a_perfect_pose, exercises.auc_of_a_perfect_pose, (range(0, 151, 5),), (range(0, 196, 5),))

# %% [markdown]
# **2.** A paper prints 82.6 % over matched people and says that 1,203 of 1,293 were matched. What does it score over all people?
# *Hint*: count correct joints.


# %%
def all_from_matched(matched_pck, annotated, matched):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(all_from_matched, exercises.all_from_matched, (82.6, 1293, 1203), (70.0, 10, 10))

# %% [markdown]
# **3.** The official matching, from the numbers of agreeing joints: `agreeing[person][prediction]`. Return a prediction for each
# person, -1 for nobody. *Hint*: first come, first served; ties go to the first prediction; zero joints are no match.


# %%
def greedy(agreeing):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(greedy, exercises.greedy, ([[3, 9], [0, 9]],), ([[5, 5], [13, 2], [1, 1]],), ([[0, 0]],))

# %% [markdown]
# **4.** PCOD in the paper's three classes, in percent, for the depths of a few people. *Hint*: `np.triu_indices(n, 1)` gives the
# pairs.


# %%
def ordinal_accuracy(true_z, pred_z, tolerance):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(ordinal_accuracy, exercises.ordinal_accuracy, (true_z[0], pred_z[0], 300), (pred_z[0], true_z[0], 50))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Ask six things of a number: truth, matching, alignment, joints, threshold, mean. And which of them use the truth.
# - On the same predictions, protocols here are tens of points apart; papers compare methods that differ by one.
# - Score your own predictions of MuPoTS-3D, without MATLAB: `mp3d evaluate mupots MultiPersonTestSet --pred-2d preds_2d.mat --pred-3d
#   preds_3d.mat`, with `--protocol tdbu` or `smap` beside it.
# - Next: [`data_tour.ipynb`](data_tour.ipynb), what the data sets hold; [`audit.ipynb`](audit.ipynb), what the papers' tables say when they
#   are recomputed.
#
# **References**: D. Mehta et al., *Single-Shot Multi-Person 3D Pose Estimation from Monocular RGB*, 3DV 2018 (MuPoTS-3D). G. Moon et al., *Camera
# Distance-aware Top-down Approach*, ICCV 2019 (AP_root). J. Zhen et al., *SMAP*, ECCV 2020 (PCOD). M. Fabbri et al., *Compressed
# Volumetric Heatmaps*, CVPR 2020 (LoCO). Y. Cheng et al., CVPR 2021 (TDBU). To cite this project see `CITATION.cff`.
