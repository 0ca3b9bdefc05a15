# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # PI-Net: do people in a picture tell of each other?
#
# Wen Guo, Enric Corona, Francesc Moreno-Noguer, Xavier Alameda-Pineda: *PI-Net: Pose Interacting Network for
# Multi-Person Monocular 3D Pose Estimation*, WACV 2021.
#
# ![Two people: estimate, refined pose and truth](../figures/pinet/cpu/before_after.png)
#
# PI-Net takes the 3D poses that any estimator gives, without the picture, and refines each with the help of the others.
# Afterwards you can say how it works, equation by equation; what it gains and on what; and whether the gain comes
# *from the companions*, which is the paper's idea and a question that its tables do not settle.
#
# | profile | time | memory | what its numbers are worth |
# |---|---|---|---|
# | `smoke` | 20 s | 1 GB | that it runs |
# | `cpu` | 10 min on 2 cores, half of it 3DMPPE's training (section 7) | 2 GB | the direction of effects that need few steps |
# | `gpu` | 10 min on a data-centre GPU | 4 GB | direction and size |
#
# - **Data**: the synthetic world `duet`, made here; and, if they are at hand, real poses of 20 videos, `tdbu_mupots` (section 8;
#   `mp3d data fetch tdbu_mupots`, 63 MB). The authors' own files are read by `python -m mp3d.experiments.pinet_original`.
# - **Before**: [`start.ipynb`](start.ipynb), and PyTorch.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper
seed: int = 0  # the first of the training seeds
budget: float = 1.0  # multiplies the profile's training steps
seeds: int = 0  # how many; 0: as many as the profile says
data: str = "synthetic"  # the only choice here; section 8 adds real poses
samples: str = ""  # folder of the TDBU release's files for section 8; default: the variable MP3D_SAMPLES
out: str = ""  # folder for figures and tables; default: runs/pinet/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd
import torch

from mp3d import exercises, plots
from mp3d.experiments import calibration, coupling, network_made, video
from mp3d.experiments import pinet as experiment
from mp3d.experiments import pinet_tables as tables
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers import pinet
from mp3d.papers.pinet import PINet, PINetConfig

run = begin("pinet", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The problem
#
# A top-down estimator such as 3DMPPE cuts each person out of the picture and looks at the crop alone. Its errors are
# large where the crop says little: in depth, at hidden joints, at wrists and ankles. But two who shake hands have their
# hands at one place; two who dance face to face mirror each other. PI-Net reads all estimates and corrects each (eq. 1):
# $[q_1, \ldots, q_N] = \Pi(p_1, \ldots, p_N)$.

# %% tags=["nbval-check-output"]
symbols = [
    ("p_n", "(17, 3)", "mm", "estimate of person n, camera frame, absolute"),
    ("q_n", "(17, 3)", "mm", "the refined pose"),
    ("rho_n", "(N,)", "", "order in which person n is refined: n first, then near to far"),
    ("e", "(N, E)", "", "embeddings, of a bidirectional GRU over the sequence (eq. 2); E = 512 in the paper"),
    ("A, b", "(E, E), (E,)", "", "attention's parameters (eq. 3)"),
    ("W", "(N, N)", "", "attention weights, each row sums to 1"),
    ("u", "(N, E)", "", "W e, the embeddings mixed"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. Two steps with a pencil
#
# **The order.** Three people, seen from person 0, by a camera of $f = 1000$ px. In space person 2 is nearer: 600 mm to the
# right at the same depth, while person 1 stands 3 m farther back. In the picture person 1 is nearer: $1000 \cdot 400/6000 = 67$ px
# against $1000 \cdot 600/3000 = 200$ px. The paper orders by space, the released code by the centres of the boxes.

# %% tags=["nbval-check-output"]
poses = np.zeros((3, 17, 3))
poses[:, 14] = [(0, 0, 3000), (400, 0, 6000), (600, 0, 3000)]
boxes = np.array([[400, 0, 200, 560], [517, 140, 100, 280], [600, 0, 200, 560]], float)
print("near in space (paper):     ", pinet.order(poses, "near")[0])
print("near in the picture (code):", pinet.order(poses, "near2d", boxes)[0])
print("two people, near, reverse: ", [pinet.order(poses[:2], rule)[1].tolist() for rule in ("near", "reverse")])

# %% [markdown]
# **Attention.** Two people with embeddings $e_1 = (1, 0)$ and $e_2 = (0, 2)$, $A$ the identity and $b = 0$: the scores
# $e_n^\top(A e_m + b)$ are 1 and 0 for the first, 0 and 4 for the second. Softmax gives $1/(1 + \exp(-1)) = 0.731$ and
# $1/(1 + \exp(-4)) = 0.982$ for themselves. And $b$? It adds $e_n^\top b$ to a whole row, and softmax takes it away again: it
# plays no part and never learns. 512 of the 3,408,896 parameters of Table 6 do nothing.

# %% tags=["nbval-check-output"]
e = np.array([[1.0, 0], [0, 2]])
weights = exercises.attention_weights(e, np.eye(2), np.zeros(2))
print(weights.round(3))
print("b plays no part:", np.allclose(weights, exercises.attention_weights(e, np.eye(2), np.array([5.0, -3]))))

# %% [markdown]
# ## 3. The method, in the paper's order
#
# **Normalisation** (section 3.3, "normalised with their mean and standard deviation"). Which mean? The released code
# takes one per group and axis, over all joints of all people, and normalises the *truth* by the truth's own. So the
# network learns nothing about where the group stands, nor how large it is: move or stretch the input along an axis
# and the output moves or stretches with it.

# %%
source(pinet.statistics)

# %% tags=["nbval-check-output"]
torch.manual_seed(0)
net = PINet(PINetConfig(hidden=32)).double()
group = np.random.default_rng(0).normal(size=(3, 17, 3)) * (300, 500, 200) + (0, 0, 4000)
move, stretch = np.array([500.0, -100, 900]), np.array([1.3, 0.8, 1.1])
same = np.allclose(net.refine(group * stretch + move), net.refine(group) * stretch + move, atol=0.01)
print("f(s x + t) = s f(x) + t:", same)
out = net(torch.from_numpy(group)[None], torch.tensor([3]))
print("one sequence:", tuple(out.poses.shape), "attention:", tuple(out.attention.shape))

# %% [markdown]
# **Embedding** (eq. 2). The person to refine comes first, so the forward pass knows whom it works for when it meets
# the others; the backward pass brings what it found back to the first place.

# %%
source(PINet.embed)

# %% [markdown]
# **Attention** (eq. 3): $W_{nm} = e_n^\top (A\,e_m + b)$, a softmax over each row, $u = W e$. No division by $\sqrt E$, one head.

# %%
source(PINet.attend)

# %% [markdown]
# **Head.** Three fully connected layers, the same for everybody, give the whole normalised pose (there is no residual
# connection). The text feeds them $u$; but the parameter counts of Table 6 come out only if $[e; u]$ enters, with LayerNorms
# and a learned first state. (The missing last bias is the released code's; 51 numbers do not show in the counts.)

# %% tags=["nbval-check-output"]
table(tables.counts(), "Parameters at the paper's width, 256; `pinet` is the 3-layer GRU.")

# %% [markdown]
# **Loss** (section 3.3): L1, for everybody in the sequence, not only the first. "In camera coordinates" says the paper;
# the released code takes it in normalised units, and so do we.

# %%
source(pinet.targets)
source(pinet.loss)

# %% [markdown]
# **In use** the truth's statistics are not known: the output is de-normalised with the input's, and of each sequence the first
# person is kept.

# %%
source(pinet.decode)

# %% [markdown]
# ## 4. Training
#
# Estimates come from a stand-in for 3DMPPE. Its errors are made crop by crop and along the ray, as we suppose 3DMPPE's to be,
# and fitted, on one draw, to the MPJPE, PA-MPJPE and 3DPCK by joint that PI-Net's Tables 2 and 3 give for 3DMPPE (`python -m
# mp3d.experiments.calibration`). On this run's people and draw:

# %% tags=["nbval-ignore-output"]
scenes, estimates = experiment.people_to_test(run.profile)
fitted = calibration.against_targets(scenes, estimates)
run.table(fitted, "The stand-in on `duet` against 3DMPPE on MuPoTS-3D: mm and percent.", "calibration")

# %% [markdown]
# Beside PI-Net we train what the paper lacks: `self`, which sees nobody else; `shuffled`, whose companions are strangers put
# in their places; `neither`, which knows of the others only the mean and deviation of the group. The paper trains 504,000
# steps of batch 4 at a learning rate of 1e-5; we have minutes: a narrower network, fewer and larger steps.

# %% tags=["nbval-ignore-output"]
variants = ["input", "pinet", "self", "shuffled", "neither", "near2d", "update", "released_padding"]
study = experiment.study(variants, run.profile, run.cache, budget, seed, seeds)
results = experiment.spread(run.study(study))
seeds = results["seed"].nunique()
size = pinet.PROFILES[run.profile]
people = int(results.query("variant == 'input' and seed == @seed")["n"].sum())
print(
    f"{len(variants) - 1} networks x {seeds} seeds, {round(size.fit.steps * run.budget)} steps of {size.batch} "
    f"sequences, hidden {size.hidden}; tested on {people} people in 20 sequences"
)

# %% [markdown]
# ## 5. Results
#
# ### Does refinement help? Tables 1 and 2, Figure 1
#
# The paper's answer on MuPoTS-3D: 3DPCK 81.2 to 82.5 %, MPJPE 126.0 to 121.7 mm, PA-MPJPE 88.4 to 85.79 mm, from one
# training run. Its text swaps the last two gains (it says 2.6 and 4.3 mm), and its Table 2 averages over people, while
# the 3DPCK of Table 1 is the mean of sequences: we print both.
#
# **Do not compare the size of the gain.** It is many times the paper's here, because the stand-in's errors are noise on a true
# pose and partly the same for everybody; a network's own errors are not so easily removed. What can be compared are
# *differences between variants*, below.

# %% tags=["nbval-ignore-output"]
sequences, protocol = tables.by_sequence(results, run.profile), "PI-Net's protocols, true roots, all matched"
run.table(sequences, "Tables 1 and 2 on `duet`: mm, mm, percent.", "tables_1_2", seeds, protocol)
run.judge("pinet", results, "T1", "T2", "F1")

# %% tags=["nbval-ignore-output"]
figure = plots.gain_by_sequence(tables.gain_by_scene(results))
run.show(
    figure, "gain_by_sequence", "Gain in MPJPE by sequence; diamonds: the paper's S1 to S20, which are other scenes."
)

# %% tags=["nbval-ignore-output"]
network = experiment.trained(study.variants["pinet"].network, run.profile, seed, run.cache, run.budget)
network.save(run.out / "network.pt")  # for your own poses: PINet.load(...).refine(poses)
after = experiment.refined(network, scenes, estimates, 0)
shown = tables.typical(scenes, estimates, after)
layers = {"truth": scenes[shown].xyz, "estimate": estimates[shown], "refined": after[shown]}
figure = plots.skeletons_3d(layers, camera=scenes[shown].camera)
run.show(figure, "before_after", "Figure 1 on `duet`: the scene of two people whose gain is the median one.")

# %% [markdown]
# ### Which joints gain? Table 3
#
# In the paper shoulders, elbows, wrists and knees gain, head and neck lose 0.1 and ankles 0.5 points.

# %% tags=["nbval-ignore-output"]
joints = tables.by_joint(results)
run.table(joints, 'Table 3, 3DPCK in percent. Columns with "paper" are MuPoTS-3D, the others `duet`.', "table_3", seeds)
run.judge("pinet", results, "T3")
run.show(plots.gain_by_joint(tables.gain_by_group(results)), "gain_by_joint", "Gain in 3DPCK by joint.")

# %% [markdown]
# ### Is it the companions? What the paper does not ask
#
# A refiner learns from pairs of estimate and truth what this estimator usually gets wrong, and that needs no companion.
# Controls tell the parts apart: `self`, `neither`, `shuffled`; and `composited`, which is trained on strangers and tested on
# real groups. The last is PI-Net's own case: its training set, MuCo, is *pasted together* from
# people recorded one by one, so nothing in it says how people interact.

# %% tags=["nbval-ignore-output"]
parts = tables.gains(results, tables.PARTS)
run.table(parts, "Where the gain comes from: paired differences in MPJPE, mm, 95 % interval.", "parts", seeds)
run.judge("pinet", results, "ours.self", "ours.comp", "ours.real", "ours.strangers", "ours.statistics")

# %% [markdown]
# Mind what a control controls. `self` loses more than the companions' poses: its mean and deviation are those of one
# body, and since input and truth are normalised each by its own, even a network that meets its training target exactly
# leaves an error, a larger one for people alone (a person's size cannot be corrected at all). Strangers keep the layout
# of the group, so `shuffled` is the fair control; `self` is the one that a reader would build first.

# %% tags=["nbval-ignore-output"]
run.table(experiment.floors(run.profile), "What is left where the training target is met exactly: mm.", "floors", seeds)

# %% [markdown]
# ### How much could companions tell?
#
# No network can find what is not there. Ridge regression (linear regression with a penalty on large weights) of the truth
# from the estimates, without and with the nearest companion, says how much a linear model finds. Both know where the
# companion stands; poses are turned so that the companion lies on $+x$ (the *pair frame*), where a mirror image is linear.
# `apart`, people who ignore each other, should give nothing: check the row. Ridge is fitted for each kind of interaction, sees
# one companion and other draws of errors; PI-Net has to find the kind out. So ridge is a yardstick, not a rival.

# %% tags=["nbval-ignore-output"]
linear = coupling.ridge_on_duet(run.profile)
by_kind = tables.gain_by_kind(results, linear, run.profile)
run.table(by_kind, "Gain in MPJPE by knowing the companions, mm.", "coupling", seeds, "intervals over seeds; ridge: 3")
run.judge("pinet", linear, "ours.linear")
run.show(plots.coupling(by_kind), "coupling", "What companions tell, by kind of interaction.")

# %% [markdown]
# ### Attention and distance
#
# Section 4.4 says the weights are large on the diagonal and smaller the further away a person is; no figure shows it.

# %% tags=["nbval-ignore-output"]
weights = experiment.attention_matrix(network, scenes, estimates)
figure = plots.attention_matrix(weights, ["self", "near", "far"])
run.show(figure, "attention", "Mean attention in scenes of three: each row says from whom that person takes how much.")
figure = plots.attention_by_distance(experiment.attention_pairs(network, scenes, estimates))
run.show(figure, "attention_by_distance", "Weight of the person to refine on companions, by their distance.")
run.judge("pinet", results, "S4")

# %% tags=["nbval-ignore-output"]
errors = tables.by_layer(scenes, {"before": estimates, "after": after})
run.show(plots.error_by_distance(errors), "error_by_distance", "Error against the distance to the nearest person.")

# %% [markdown]
# ## 6. What the paper does not say
#
# | silent or contradicted | our choice | measured below as |
# |---|---|---|
# | order by 3D roots (text) or 2D boxes (code) | roots | `near2d` |
# | what enters the head: $u$ (text) or $[e; u]$ (counts) | $[e; u]$ | `update` |
# | padding when groups of 2 and 3 share a batch: zeros leak into statistics, attention and loss (code) | masked | `released_padding` |
# | Procrustes with or without scale | without (code) | the last table of this section |
# | one person in the picture | alone, N = 1; the code duplicates the person in training | exists in no test scene |
# | people at equal distances | nobody is lost; the code drops one | exercise 1 |
# | average over people or over sequences | both printed | Tables 1 and 2 above |
# | whether the order changes in training, in use, or both | both | `test_random`, `test_reverse`: trained near to far, used otherwise |

# %% tags=["nbval-ignore-output"]
effects = tables.gains(results, tables.CHOICES)
run.table(effects, "Effect of each choice on MPJPE, mm; negative: worse than ours.", "choices", seeds)
run.judge("pinet", results, "S3", "ours.order", "ours.head", "ours.padding")
run.show(plots.forest(effects, "gain in MPJPE (mm)"), "choices", "Effect of what the paper leaves open.")
run.table(tables.alignments(results), "PA-MPJPE with and without scale: mm.", "alignments", seeds)

# %% [markdown]
# **Poses that it was not trained for.** Estimates of another estimator (half the error in depth, twice across, people too small
# instead of too large), and estimates at wrong root depths, which PI-Net cannot mend (the failure of Figure 3):

# %% tags=["nbval-ignore-output"]
run.table(tables.gains(results, tables.OTHERS), "Gain in MPJPE over those estimates, mm.", "others", seeds)
run.judge("pinet", results, "S1", "F3")

# %% [markdown]
# **The paper against its own tables.** Averages recomputed, statements checked cell by cell: no study is needed for these.

# %% tags=["nbval-ignore-output"]
run.judge("pinet", None, "audit", data="the paper's own tables")

# %% [markdown]
# ## 7. Poses that a network made from pictures
#
# Everything up to here refines the stand-in's poses: truth with errors drawn as we think that 3DMPPE's are. Now 3DMPPE itself, as
# [`threedmppe.ipynb`](threedmppe.ipynb) trains it on pictures of `duet`, makes the poses, with the true root depths, as in the paper.
# **The question**: is what was found above a property of our stand-in? The network is small and so are its pictures, so its errors are its own:
# what it has not seen, it guesses. PI-Net's networks come from above and are trained further on its poses in other pictures (2,000 in profile
# `cpu`); so does the network that sees nobody else, and what both gain they owe to being trained on this estimator's errors. There is *one*
# 3DMPPE: the intervals are over PI-Net's seeds and the videos. (The first time this cell trains it, for some minutes.)

# %% tags=["nbval-ignore-output"]
made = experiment.spread(run.study(network_made.study(run.profile, run.cache, budget, seed, seeds)))
run.table(tables.gains(made, network_made.PAIRS), "Gains on 3DMPPE's poses, mm.", "crops", seeds)
run.table(network_made.errors(made), "On 3DMPPE's poses: mm, and 3DPCK in percent.", "crops_errors", seeds)
run.judge("pinet", made, "crops")

# %% [markdown]
# ## 8. Real people
#
# What the pipeline of another method, TDBU, gave for all 20 videos of MuPoTS-3D is published: 2D joints, 3D poses of its
# top-down and bottom-up halves and of both integrated, true root depths; *not*
# the 3D truth of MuPoTS-3D. `data_manifest.yaml` says where anyone gets the 32 MB: one `git clone`.

# %% tags=["nbval-ignore-output"]
folder = video.folder(samples)
if folder is None:
    print(
        "NOT RUN: no folder of the TDBU release (parameter `samples` or MP3D_SAMPLES). The rest of this notebook stands."
    )
else:
    shown, track, checks = video.before_after(folder, network, run.profile)
    run.table(
        checks, "PI-Net, trained on `duet`, on real poses.", "video_checks", protocol=video.CHECKS, data=video.DATA
    )
    run.show(plots.skeletons_3d(shown), "video_pose", "One frame of TS9: TDBU's poses before and after PI-Net.")
    run.show(plots.over_time(track, "height (mm)"), "video_jitter", "Height of a wrist over time, before and after.")

# %% [markdown]
# **Do companions tell anything in real videos** of people talking, sparring, playing ball? There is no 3D truth here, so
# TDBU's integrated poses at the true root depths stand in for it, *a truth that is itself estimated*. The stand-in's
# test errors are added, in training too; ridge regression and PI-Net learn on some videos and are tested on the others, on
# every fifth frame and on people whose pseudo-truth fits their 2D joints. The networks come from `duet` and are then
# trained further: three thousand poses are too few to begin with nothing. A gain by companions is one that strangers,
# people of another moment or video, do not give.

# %% tags=["nbval-ignore-output"]
if folder is not None:
    linear = video.ridge(folder, run.profile, seed, seeds)
    learned = experiment.spread(run.study(video.study(folder, run.profile, run.cache, budget, seed, seeds)))
    real = pd.concat([linear, learned], ignore_index=True)
    run.table(tables.gains(real, video.PAIRS), "Gain by companions, mm.", "video", seeds, data=video.DATA)
    run.table(video.by_video(real), "MPJPE in mm against the pseudo-truth.", "video_by_video", seeds, data=video.DATA)
    run.judge("pinet", real, "video", data=video.DATA)

# %% [markdown]
# ## 9. Exercises
#
# **1.** The order of section 3.2 for one person: indices, near to far, the person first, *also* when somebody else has the
# same root. *Hint*: a stable sort, and give the person a distance that nobody else can have.


# %%
def near_to_far(roots, person):
    return ...  # your answer


# %% tags=["nbval-check-output"]
same_place = np.array([(0.0, 0, 4000), (0, 0, 4000), (900, 0, 4000)])
exercise(near_to_far, exercises.near_to_far, *((poses[:, 14], n) for n in range(3)), (same_place, 1))

# %% [markdown]
# **2.** Normalise a group as the released code does. *Hint*: one mean an axis over all joints of all people; `ddof=1`.


# %%
def normalised(poses):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(normalised, exercises.normalised, (group,))

# %% [markdown]
# **3.** Equation 3 in NumPy. *Hint*: all scores are one matrix product; subtract each row's maximum before `exp`.


# %%
def attention_weights(e, a, b):
    return ...  # your answer


# %% tags=["nbval-check-output"]
e, a = np.array([[1.0, 0, 2], [0, 1, 1]]), np.array([[0.5, 1, 0], [0, 0.5, 0], [0, 0, 0.5]])
exercise(attention_weights, exercises.attention_weights, (e, a, np.ones(3)))

# %% [markdown]
# **4.** Somebody is estimated 10 % too large and otherwise perfectly. Return the PA-MPJPE aligned without scale, as in PI-Net's
# code, and with scale, both. *Hint*: `mp3d.metrics.errors.pa_mpjpe`.


# %%
def what_scale_hides(true, factor):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(what_scale_hides, exercises.what_scale_hides, (exercises.TOY_POSE, 1.1))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Part of a refiner's gain needs no companion; controls that see nobody, and strangers, belong in every such table.
# - On `duet` bodies are coupled by construction, and the verdicts above say how much of that PI-Net takes. Whether people in
#   real videos tell of each other is another question; section 8 has what could be asked without the 3D truth.
# - Normalising input and truth by their own statistics decides what can be learnt: size and place cannot.
# - Next: [`pinet_ablation.ipynb`](pinet_ablation.ipynb), Tables 4, 5 and 6 with intervals.
#
# **References**: W. Guo et al., WACV 2021 (PI-Net). G. Moon et al., ICCV 2019 (3DMPPE). D. Mehta et al., 3DV 2018 (MuPoTS-3D,
# MuCo-3DHP). Y. Cheng et al., CVPR 2021 (TDBU). To cite this project see `CITATION.cff`.
