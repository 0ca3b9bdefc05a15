# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # TDBU on real people: what the released outputs tell of pairs, weights and depths
#
# ![Both weights of every person, and the depth weight by video](../figures/tdbu_mupots/cpu/gate.png)
#
# Yu Cheng et al.: *Monocular 3D Multi-Person Pose Estimation by Integrating Top-Down and Bottom-Up Networks*, CVPR 2021, section 3.3 and Table 1. The
# authors released what their pipeline gave for MuPoTS-3D's 20 videos, step by step: top-down, bottom-up, integrated. Here these files are taken apart.
# Afterwards you can recover the weights of a mixture from its parts, tell a score from a score after a fit, and say what a release can and cannot decide.
#
# - **Time and memory**: `smoke` 10 s, `cpu` 1 min, 0.7 GB. One small network is trained, for section 7; `smoke` looks at two videos, the other profiles at all 20.
# - **Data**: `tdbu_mupots`, real people without pictures: `mp3d data fetch tdbu_mupots` (63 MB). Without it every cell runs and says that it has nothing
#   to look at; sections 1 and 2 and the exercises need nothing.
# - **You need**: [`audit.ipynb`](audit.ipynb), whose section 6 shows that the depths in these files were fitted to the truth, and [`metrics.ipynb`](metrics.ipynb) for AP_root and
#   PCOD.
#
# Releasing outputs beside code is rare and generous, and it is why anything can be checked here. What is found below says nothing against the idea of
# integrating two branches; it says what these files can be used for.

# %% tags=["parameters"]
profile: str = "auto"  # smoke: videos 1 and 6; cpu, gpu and paper: all 20
seed: int = 0  # of shuffled people, shuffled weights, and scores drawn at random
samples: str = ""  # folder of TDBU's outputs; default: where `mp3d data fetch` puts them, or MP3D_SAMPLES
out: str = ""  # folder for figures and tables; default: runs/tdbu_mupots/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from mp3d import exercises, plots
from mp3d.data import tdbu_outputs
from mp3d.experiments import oracle
from mp3d.experiments.tdbu import networks, release
from mp3d.metrics import ap_root
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers.tdbu import integration, matching

run = begin("tdbu_mupots", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. Two answers for one person
#
# The top-down branch (TD) looks at one person at a time, the bottom-up branch (BU) at the whole picture. Each says where everybody's joints are. Who of the one is
# who of the other has to be found out (*matching*), and two answers have to become one (*integration*). The paper claims that TD is better at poses,
# BU at root depth, and the integration of both better than either.

# %% tags=["nbval-check-output"]
symbols = [
    ("P", "(17, 3)", "mm", "a pose: td, bu or integrated; pelvis at zero, and the depth z of its root apart"),
    ("w", "1", "", "weight of the top-down pose: integrated = w td + (1 - w) bu, between 0 and 1"),
    ("v", "1", "", "weight of the top-down depth: z = v z_td + (1 - v) z_bu, between -2 and 2"),
    ("Sim", "(N, M)", "", "similarity of N top-down and M bottom-up people, equations 5 and 6"),
    ("ẑ = a z + b", "(n,)", "mm", "what was done to the depths of a video before they were stored"),
    ("MAE, R²", "1", "mm, 1", "mean error of root depths; share of their variance that is explained"),
    ("AP_root", "1", "%", "average precision of roots nearer than 250 mm"),
    ("PCK_abs", "1", "%", "joints nearer than 150 mm in the camera's frame; of exact poses, roots"),
    ("PCOD", "1", "%", "pairs of people in the right order of depth"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. With a pencil
#
# **A weight above 1.** TD says 3500 mm, BU 4000 mm. With v = 0.75 the depth is 0.75 · 3500 + 0.25 · 4000 = 3625. With v = 1.2 it is 1.2 · 3500 - 0.2 · 4000 = 3400: outside
# of both. No mean does that; it moves the answer *away* from the bottom-up one.
#
# **A person twice.** Of two TD people the first resembles the BU people by 0.9 and 0.8, the second by 0.8 and 0.1. If each takes the best, both take the first.
# An assignment gives the first person the second best, for a sum of 1.6.
#
# **A fit.** True depths 2, 4, 6 m, predicted 3, 1, 2. About their means that is (-2, 0, 2) and (1, -1, 0). Least squares has the slope
# -2 / 2 = -1: it turns the order round, and ẑ = 3, 5, 4. Procrustes alignment in one dimension is the same: its "rotation" is a sign, its scale
# |-2| / 2. R² = 1 - (1 + 1 + 4) / 8 = 0.25, and the correlation was -0.5: ρ² is what is left, whatever the sign. A prediction 1, 0, 1 becomes 4, 4, 4.
#
# **AP without scores.** Three of four roots are near enough. If the wrong one has the lowest score, AP = 3 / 4. If it has the highest, AP = (1/2 + 2/3 + 3/4) / 4 = 0.479.

# %% tags=["nbval-check-output"]
print("v = 0.75 and 1.2:", [round(v * 3500 + (1 - v) * 4000) for v in (0.75, 1.2)], "mm")
alike = np.array([[0.9, 0.8], [0.8, 0.1]])
rows, columns = linear_sum_assignment(-alike)
print("each takes the best:", alike.argmax(1).tolist(), "- assigned:", columns.tolist(), alike[rows, columns].sum())
true = np.array([2.0, 4, 6])
for pred in ([3.0, 1, 2], [1.0, 0, 1]):
    a, b = oracle.fit(np.array(pred), true)
    print(pred, "->", (a * np.array(pred) + b).round(6).tolist())
found, place = [np.full((1, 3), x) for x in (0.0, 0, 0, 900)], [np.zeros((1, 3))] * 4
for scores in ([4.0, 3, 2, 1], [1.0, 2, 3, 4]):
    print("AP:", round(ap_root(found, [np.array([s]) for s in scores], place), 3))

# %% [markdown]
# ## 3. What was released
#
# **The question**: what do the files hold, and what can be seen in them without any truth? Two true things are there, the depth of each pelvis and who is who; true
# poses are not, nor pictures, nor raw depths, nor the list of people whom the bottom-up network found.

# %%
folder = tdbu_outputs.folder(samples)
numbers = release.SMOKE if run.profile == "smoke" else range(1, 21)
videos = tdbu_outputs.read(folder, numbers) if folder else []
real = {"seeds": 0, "data": "TDBU's released"}
fitted = "depths fitted to the truth by video before release"
print(f"{len(videos)} videos" if videos else "NOT RUN, the files are not here: mp3d data fetch tdbu_mupots")

# %% tags=["nbval-ignore-output"]
if videos:
    run.table(release.holdings(videos), "What each video holds; %, mm.", "holdings", **real)
    print(
        "a bottom-up pose, laid on its top-down pose, moves by at most", round(max(map(release.moved, videos)), 3), "mm"
    )

# %% [markdown]
# - 8,370 frames, 49 tracks, 20,899 people in frames. **Nobody is missed and nobody invented**: there is one track for each annotated person, with 2D
#   joints in every frame, so detection and tracking cannot fail here. `hidden` are guesses behind others.
# - **Bottom-up poses are not the network's.** Laid on their top-down pose, by turning and scaling, they move by two thousandths of a millimetre: this was done to them before
#   they were stored. Their heading, their size and, with it, part of their error came from the other branch.
# - **One person for two** (`same_person`): one bottom-up shape and depth, to the last bit, is given to two people in 3 to 37 % of the frames of TS1 to TS5, and
#   in 9 to 92 % of TS6 to TS20. `same_depth` has a few more: two shapes whose depth was read at one pixel.
# - **Flat**: bottom-up poses are 22 to 36 mm thick in TS6 to TS20, the wide pictures, and 56 to 131 mm in TS1 to TS5; top-down poses 69 to 148 mm everywhere. By our
#   reading of the released code, joints' depths are looked up at a fourth of their pixel. For the square pictures of TS1 to TS5 that is right; in the wide ones the map is
#   2.1 times smaller, not 4, so the look-up lands on something else, nearer to the top left corner. Flat poses are what one expects of it. The maps were not released: this is
#   consistent, not proven.
# - **TS6**: on the way to the network 2D joints are divided by the height of the neck above the pelvis, with its sign. It is of the other sign in 43 % of TS6, where people
#   lie on the floor (elsewhere at most 1.2 %). Of its poses 14 % point the other way from their 2D joints, 20 % of those with the neck below; elsewhere none does. The sign has
#   to do with it, and is not all.
# - Affinities are not shown: all 17 rows of each person's matrix are equal (a test of this project checks it), so the graph network's mixing hands every joint one and the
#   same mean.
#
# ## 4. Pairs
#
# **The question**: are these pairs those of equations 5 and 6? The paper compares joints in the camera's frame, weighs them with confidence, and assigns people one to
# one:

# %%
source(matching.similarity)

# %% [markdown]
# The released code lays each bottom-up pose on the top-down one, compares x and y of nine joints, and takes the best, as often as it likes:

# %%
source(matching.match_released)

# %% [markdown]
# A controlled test: people of the bottom-up branch are shuffled in each frame, and each rule is asked to find the released pairs again. Only frames take part in which nobody
# is given twice, where there is an answer. A bottom-up person has no place of its own in the files, so it is put on the ray of its partner, at its own depth. That,
# and that its shape was laid on its partner's, makes the task easy: it tests consistency, not truth.

# %% tags=["nbval-ignore-output"]
if videos:
    pairs = release.by_rule(release.pairings(videos, seed))
    run.table(pairs, "Released pairs found again after shuffling, %.", "pairings", **real, protocol=fitted)
    run.table(release.reached(videos), "Released pairs that are alike enough, %; apart: median, mm.", "reached", **real)

# %% [markdown]
# - **The released rule** makes every one of the 10,048 pairs, 100.0 %. Our reading of it, which nine joints and no mirror image included, is right.
# - **Equations 5 and 6** on shapes alone give 99.9 %, mostly because the shapes were laid on one another. With places they find 83 %, and reject 16 %: the two depths are
#   too far apart. Over all pairs 78 % are alike enough (80 % as the mean over videos); all are, if roots are laid on one another. Who is rejected depends on our reach of 250 mm and on our limit
#   of 2 %; the paper gives neither.
# - **Without an assignment**, each taking the best, 5 % of the people share a partner, even here, where all partners are there.
#
# So the pairs of the files were not made by equations 5 and 6, and in many frames they are not one to one. What equations 5 and 6 would have made of the raw output
# cannot be told: the other candidates are not in the files.
#
# ## 5. What the gate learned
#
# **The question**: how does the released network integrate? The paper's has three layers that give a pose; the released one gives two numbers, w and v. They were not stored, but
# three known poses and one unknown weight are 48 equations, and least squares leaves nothing over.

# %%
source(integration.gated)

# %% tags=["nbval-ignore-output"]
if videos:
    df = release.weights(videos)
    print("largest coordinate left over:", f"{df['off'].max():.1e} mm")
    print("correlation of w and v:", round(df["w"].corr(df["v"]), 4))
    off = pd.DataFrame({video.name: release.rebuilt(video, df) for video in videos}).T.max()
    print("from the released poses, mm at most:", off.round(4).to_dict())
    run.table(release.gate(df), "Weights of the top-down branch; above_1, bu_nearer in %.", "gate", digits=3, **real)
    run.show(plots.gate_weights(df), "gate", "Both weights of a person, and the depth weight's range by video.")

# %% [markdown]
# - **Nothing is left over**: less than a ten-thousandth of a millimetre. With these weights `gated` gives the released integration, pose and root; `hard` and `linear` do not.
# - **w**: 0.585 to 0.851, median 0.765. The pose is a true mean, three quarters top-down, and hardly differs between people.
# - **v**: 0.33 to 1.34, median 1.02, above 1 in 57 % of the cases. There the depth lies outside of both. That is no accident of a few: it is the typical case.
# - **One number, not two**: w and v correlate to 0.9999. Whoever gets more of the top-down pose gets more of the top-down depth, on one line.
# - **Does it know whom to trust?** Where bottom-up is nearer to the truth (19 % of the cases), v should be small. Its median is 0.99 there and 1.02
#   elsewhere, smaller in 14 of the 19 videos that have such cases: a trace of knowledge, no more.
#
# ## 6. Root depth, video by video
#
# **The question**: what do three series of depths know, against two constants that see no picture but know the truth: the mean depth of the video, and of each person in it?
# The top-down and the bottom-up depths were fitted to the truth of the video, and the integrated ones mixed from these; [`audit.ipynb`](audit.ipynb) shows the traces and draws the errors.

# %% tags=["nbval-ignore-output"]
if videos:
    size = "smoke" if run.profile == "smoke" else "cpu"
    network = networks.trained("joined", networks.Home("duet", size, seed, run.cache)).network
    ours = {video.name: release.joined(video, network) for video in videos}
    depths = release.depths(df, seed, ours)
    found = release.table(videos, depths, seed, ours)
    by_video = release.by_video(found)
    for metric, caption in (("mae", "MAE, mm"), ("r2", "R²"), ("within_150", "Within 150 mm, %"),
                            ("within_250", "Within 250 mm, %"), ("pcod", "PCOD, %")):  # fmt: skip
        some = by_video.filter(regex=f"^{metric} ").rename(columns=lambda name: name.split()[1])
        some.loc["mean"] = some.mean()
        run.table(some, f"{caption}.", metric, digits=2 if metric == "r2" else 1, **real, protocol=fitted)

# %% tags=["nbval-ignore-output"]
if videos:
    run.show(
        plots.over_time(release.track(df), "root depth (m)"),
        "track",
        "TS1: the true depth of one person, and the bottom-up depths given to this person and to the other.",
    )

# %% [markdown]
# - **Top-down** knows a lot: 168 mm on the mean over videos, R² 0.84, PCOD 85 %.
# - **Bottom-up** has 511 mm and R² 0.10, against 554 mm of the video's mean. One constant a person, 281 mm, is far better. In nine of the 15 wide videos its R² is 0.01
#   or less: least squares found nothing to hold on to and gave everybody the mean.
# - **Integrated** beats top-down in 12 of 20 videos, 160 against 168 mm on the mean.
#
# In TS1, above, bottom-up depths jump between two levels: now one person has the nearer one, now the other, now both. That is what a matching that is blind to place
# will do, and the fit then draws both levels towards the mean. **Is the bottom-up network at fault?** Look only at frames in which its depths stand in the true order. Choosing them by the
# truth raises the correlation by itself, so the same depths are also dealt to other chosen frames, in the true order again:

# %% tags=["nbval-ignore-output"]
if videos:
    run.table(release.in_order(df, seed=seed), "Bottom-up depths: % of frames in the true order, correlation with the truth in all frames, in these, and dealt.",
              "in_order", **real, digits=2)  # fmt: skip

# %% [markdown]
# - **TS1 to TS5**: 0.80 to 0.86 where nobody is confused, against 0.39 to 0.66 by order alone. There the network follows people in depth.
# - **TS6 to TS20**: in 8 of the 9 videos with enough such frames the depths know hardly anything beyond the order (TS12 is the exception). That fits a look-up that goes wrong in
#   wide pictures, section 3, and is no proof of it.
#
# ## 7. Does bottom-up help?
#
# **The question**: whence come these 8 mm? The weights are known, so parts can be exchanged. *mean_for_bu*: the true mean of the video stands in for the bottom-up depth.
# *one_weight*: each video gets the median of its weights. *shuffled*: weights are dealt to other people and frames of the video. *ours* is another network in the place of the released one: of the
# paper's form, three layers that give a pose, trained by the `cpu` profile on true poses of synthetic people that were spoiled ([`tdbu.ipynb`](tdbu.ipynb), section 5): depths alike in both branches, joints twice as much in the bottom-up one.

# %% tags=["nbval-ignore-output"]
if videos:
    columns = ["mae", "within_250", "line_250", "pcod", "pck_root", "px"]
    run.table(release.means(found, columns), "mm, %, px; means over videos.", "variants", **real, protocol=fitted)
    changed = ["integrated", "mean_for_bu", "one_weight", "shuffled"]
    run.show(
        plots.forest(release.differences(found, "mae", "td", changed), "MAE less top-down's (mm)", "released outputs"),
        "exchanged",
        "The top-down error changed by integration with parts exchanged; hollow: the interval lies across zero.",
    )
run.judge("tdbu", found if videos else None, "R6.", data=real["data"])

# %% [markdown]
# - **The bottom-up depth is not what helps.** With a constant in its place the error is the same: 0.6 mm more, 95 % interval -2.1 to 4.4.
# - **The weights are.** One weight a video, whatever its people: 168 mm, nothing gained. Other people's weights: 174 mm, worse. So the network, which sees both poses and both
#   depths, corrects the top-down depth of each person by moving it from or towards the middle of the video. Where that comes from, the files do not say: bottom-up *poses*
#   may have a part in it.
# - **Our network** puts people where the plain mean of both does: 299 mm off and 295, against 168 of top-down alone, which it does not improve. All confidences are 1 here, and depths spoiled alike do not teach which branch has the worse ones. Its poses lie 39 px from the 2D joints, the plain mean's 19; our reading is that people unlike those it knows look
#   spoiled to it. Neither was tested further.
# - **The best line**: least squares is not kind to depths of which some are right and some are another person's. `line_250` is the share within 250 mm under the best scale and
#   shift of each video, found by a search that sees the truth: 52 % for bottom-up, 84 % for top-down. The raw depths are one such line, so they cannot be better by more
#   than what the search missed.
# - **Poses**: at the true depth the integrated ones lie 14.9 px from the 2D joints, top-down ones 14.3, their plain mean with bottom-up ones 19.0. The top-down pose
#   was made from these very joints, so it has the advantage. Which pose is nearer to the truth is not in the files.
# - **Verdicts** are on these files. *Contradicted* for bottom-up depths means: not from what was released. The paper's runs need not have had the same slips.
#
# ## 8. What a fit does to AP_root and PCK_abs
#
# **The question**: what are the paper's numbers worth beside others'? The released evaluation puts each pose on the ray of the *true* root, at the ratio of predicted and
# true depth. So a root is off by |q - 1| times its distance, q the ratio. If poses were exact, PCK_abs would be the share of roots within 150 mm: that is
# computed here. AP_root needs scores, and the files have none: between *ap_unknown*, scores at random, and *ap_best*, the nearest first, lies what useful scores give.

# %% tags=["nbval-ignore-output"]
if videos:
    shown = "real roots, fitted; Table 1 has another protocol"
    run.table(release.beside_paper(found), "Table 1, and the released roots with exact poses, %.", "table_1", **real, protocol=shown)  # fmt: skip
    halves = ["td", "td_half", "bu", "bu_half", "integrated", "integrated_half", "constant", "constant_half"]
    columns = ["mae", "r2", "ap_unknown", "ap_best", "pck_root"]
    run.table(release.means(found, columns, halves), "The fit as released, and with the other half of the video alone.", "halves", **real, digits=2)  # fmt: skip

# %% [markdown]
# - **A constant**, each person's true mean, would have a PCK_abs of 51 % with exact poses, and an AP_root of 50 to 64 %. That is above every row of Table 1. So neither number
#   says how much a network knows, unless it is said what it took from the truth.
# - **Half the truth**: with the fit to the other half of each video, integrated roots within 150 mm fall from 56 to 45 %, and the mean error rises from 160 to 205 mm. These fits still
#   see the video. What the raw depths would score, more or less, is not in the files: a network that knows metres needs no fit.
# - **Hard integration** cannot be had from these files: on bottom-up roots 12 % of exact poses' joints are right, and 44 % under the best line of each video; Table 1 has 46.2, with
#   estimated poses. In all likelihood the paper's depths, matching or evaluation were others.
# - **The order** of Table 1, bottom-up before top-down in AP_root by 0.9 points, is the other way round here, by 47 to 50 points, whatever the scores.
#
# ## 9. What cannot be decided from the release
#
# - Whether bottom-up is better at root depth: its raw depths and maps are missing, and two slips stand between network and file.
# - Whether equations 5 and 6 pair people better than shapes do: the candidates are missing.
# - Whether integration improves poses: true poses are not in it. With MuPoTS-3D's own annotations (`mupots3d`) and `mp3d evaluate mupots` you can tell.
# - Whether the files are the run behind the paper. The release's README expects a PCK_abs of 48.03 from them, and Table 3 has 48.0.
# - Ours: a root lies on the ray through its 2D pelvis; focal lengths are assumed (they move roots off the axis, not their depths); confidences are 1 in equations 5
#   and 6, since none of the bottom-up network are there; *linear* weighs both alike.
#
# ## 10. Exercises
#
# **1.** Given three poses (17, 3), return the weight w with which `mixed` comes closest to w td + (1 - w) bu. *Hint*: a line through `bu`, and the foot of a perpendicular.


# %%
def weight_of(td, bu, mixed):
    return ...  # your answer


# %% tags=["nbval-check-output"]
td, bu = np.arange(51.0).reshape(17, 3), np.ones((17, 3))
exercise(weight_of, exercises.weight_of, (td, bu, 0.7 * td + 0.3 * bu), (td, bu, td + [0, 0, 1]))

# %% [markdown]
# **2.** The depth of the gate in mm, and how far it lies outside of the interval between the two. *Hint*: section 2; 0 inside.


# %%
def outside_by(td, bu, v):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(outside_by, exercises.outside_by, (3500, 4000, 0.75), (3500, 4000, 1.2), (4000, 3500, -0.1))

# %% [markdown]
# **3.** AP_root in % of predictions by falling score, 1 for each that finds somebody new, 0 for all others. *Hint*: the precision at each hit, over all people.


# %%
def ap_in_order(hits, people):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(ap_in_order, exercises.ap_in_order, ([1, 1, 1, 0], 4), ([0, 1, 1, 1], 4), ([1, 0, 1], 5))

# %% [markdown]
# **4.** How far, in mm, is a root (x, y, z) from where it is seen when its depth is taken `ratio` times too large? *Hint*: x and y go along.


# %%
def moved_by(root, ratio):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(moved_by, exercises.moved_by, ([0, 0, 4000], 1.05), ([1500, -200, 4000], 0.95))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Outputs tell what code did: a weight leaves nothing over, an alignment leaves nothing to move, a matching rule finds its own pairs.
# - To ask what a part gives, put something that knows nothing in its place.
# - A fit to the truth turns constants into competitors. Say what was fitted, to what, and put the constant beside it.
# - Next: [`audit.ipynb`](audit.ipynb) for the paper's own tables, and [`worlds.ipynb`](worlds.ipynb) for scenes whose truth is complete.
#
# **References**: Y. Cheng, B. Wang, B. Yang, R. T. Tan, *Monocular 3D Multi-Person Pose Estimation by Integrating Top-Down and Bottom-Up Networks*, CVPR 2021, and their released code
# (3dpose/3D-Multi-Person-Pose); the copy of the outputs read here is named in `data_manifest.yaml`. D. Mehta et al., *Single-Shot Multi-Person 3D Pose Estimation From Monocular
# RGB*, 3DV 2018, for MuPoTS-3D. To cite this project see `CITATION.cff`.
