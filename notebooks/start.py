# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start here: a camera, seventeen joints, two people
#
# ![Each interaction of the synthetic people](../figures/start/cpu/interactions.png)
#
# Ten minutes, nothing is trained. Afterwards you can read PI-Net's tables, and the millimetres of the other papers: what
# they are measured between, what an alignment takes away, and why depth is the hard part.
#
# - **Time and memory**: 10 s on a laptop in every profile, 0.6 GB.
# - **Data**: the synthetic world `duet`, made here. Nothing is downloaded.
# - **You need**: NumPy. No knowledge of the field.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; here they all do the same
seed: int = 0  # of the synthetic scene
data: str = "synthetic"  # the only choice here
out: str = ""  # folder for figures and tables; default: runs/start/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd

from mp3d import exercises, plots
from mp3d.camera import Camera
from mp3d.experiments import gallery
from mp3d.metrics.errors import joint_errors, mpjpe, pa_mpjpe
from mp3d.metrics.pck import auc3d, pck3d, rescale_bones
from mp3d.notebook import begin, exercise, source, table
from mp3d.skeletons import H36M17, MPI17, convert

run = begin("start", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The problem
#
# One picture from one camera; several people in it. Wanted: where each of their joints is, in millimetres, in the
# frame of the camera. These symbols mean the same in every notebook:

# %% tags=["nbval-check-output"]
symbols = [
    ("X, Y, Z", "3", "mm", "a point: right, down, forward from the camera"),
    ("u, v", "2", "px", "its pixel; (0, 0) is the corner of the image, a pixel's centre is at 0.5"),
    ("f, c", "4", "px", "focal lengths and principal point of the camera"),
    ("xyz", "(P, 17, 3)", "mm", "poses of P people, 17 joints each"),
    ("root", "(P, 3)", "mm", "joint 14, the pelvis"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. The camera, with a pencil
#
# A pinhole camera divides by depth: $u = f\,X/Z + c_x$ and $v = f\,Y/Z + c_y$. Take $f = 1000$ px, $c = (500, 400)$,
# and a point half a metre to the right, 20 cm up (down is positive, so $-200$), two metres away:
# $u = 1000 \cdot 500/2000 + 500 = 750$ and $v = 1000 \cdot (-200)/2000 + 400 = 300$.

# %% tags=["nbval-check-output"]
camera = Camera(fx=1000, fy=1000, cx=500, cy=400, width=1000, height=800)
point = np.array([500.0, -200.0, 2000.0])
print("pixel:", camera.project(point))
print("twice as far, twice as large:", camera.project(2 * point))
print("and back, if the depth is told:", camera.back_project(camera.project(point), np.array(2000.0)))

# %% [markdown]
# The second line is the whole difficulty. A point twice as far and twice as large falls on the same pixel, so one
# picture cannot tell them apart: depth has to be guessed from what one knows of bodies. Estimates are therefore
# wrong along the ray more than across it.

# %% tags=["nbval-ignore-output"]
run.show(plots.hand_check(point, camera), "pinhole", "The same pixel belongs to every point of a ray.")

# %% [markdown]
# ## 3. Seventeen joints
#
# Data sets disagree about what a body is. Here everything is turned into the order of MuPoTS-3D, `MPI17`, and every
# joint says where it comes from: *native*, *derived* (a midpoint) or *approximate* (really another point of the body).

# %% tags=["nbval-check-output"]
print("joints:", ", ".join(f"{i} {name}" for i, name in enumerate(MPI17.joints)))
_, flags = convert(np.zeros((17, 3)), H36M17, MPI17)
words = np.array(["absent", "native", "derived", "approximate"])[flags]
print("from Human3.6M, not native:", ", ".join(f"{j} {w}" for j, w in zip(MPI17.joints, words) if w != "native"))

# %% tags=["nbval-ignore-output"]
run.show(plots.joint_chart(MPI17), "joints", "MPI17: joint numbers and names; the person faces you.")

# %% [markdown]
# ## 4. Two people
#
# `duet` is a synthetic world that mirrors MuPoTS-3D, a test set of 20 real videos: two or three people who do something
# together. In a hand shake the hands do meet, so one body tells of the other. That is what PI-Net hopes to use.

# %%
from mp3d.synthetic.estimator import estimate
from mp3d.synthetic.worlds import scenes

some = scenes("duet", 20, seed=seed, split="test", kinds=["handshake"])
scene = next(s for s in some if len(s.people) == 2)
truth, guess = scene.xyz, estimate([scene], seed=seed)[0]
run.show(
    plots.skeletons_3d({"truth": truth, "estimate": guess}, camera=scene.camera),
    "two_people",
    "Two people and what an estimator that looks at them one by one makes of them. Turn it.",
)

# %% [markdown]
# What else they do, alone and together. Left limbs are darker. `apart` is a control: people who ignore each other.

# %% tags=["nbval-ignore-output"]
run.show(plots.scene_sheet(*gallery.actions(seed)), "actions", "Each action of one person, at two moments.")
run.show(plots.scene_sheet(*gallery.interactions(seed)), "interactions", "Each interaction.")

# %% tags=["nbval-check-output"]
print("poses:", truth.shape, "estimates:", guess.shape)
print("every joint lies before the camera:", bool((truth[..., 2] > 0).all()))
print("re-projection agrees with the stored pixels:", np.allclose(scene.camera.project(truth), scene.uv))

# %% [markdown]
# The estimate comes from a stand-in for 3DMPPE, the estimator that PI-Net starts from. It is no network: it adds errors to
# the truth, person by person and along the ray, as we suppose 3DMPPE's to be, and of the size that is published. How much
# of the error is depth? It is the largest part, in every joint but the pelvis, whose true depth is given:

# %% tags=["nbval-ignore-output"]
from mp3d.synthetic.worlds import sequences

people = [s for video in sequences("duet", seed=0, frames=5) for s in video]
guesses = estimate(people, seed=seed)
gap = np.concatenate([g - s.xyz for g, s in zip(guesses, people)])
rows = pd.DataFrame({"mean |error|, mm": np.abs(gap).mean((0, 1))}, index=["across, x", "down, y", "depth, z"])
run.table(rows, "Where the stand-in is wrong.", "error_by_axis", protocol=f"{len(gap)} poses, 17 joints, roots given")

# %% [markdown]
# ## 5. The errors, by hand
#
# **MPJPE**, mean per joint position error: put both pelvises at the origin, take the mean distance over the joints.
# Take a toy person `G` and estimate them 10 % too large. Each joint is then off by a tenth of its distance from the
# pelvis: the head top, 700 mm above it, by 70 mm, the neck by 50, a hip by 10, the pelvis by 0. The mean of the 17
# numbers is 39.66 mm.

# %% tags=["nbval-check-output"]
G = exercises.TOY_POSE
turned = G @ np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]).T  # a quarter turn about the vertical
cases = {"10 % too large": 1.1 * G, "turned by 90 degrees": turned, "one metre to the left": G - (1000, 0, 0)}
rows = {
    name: {
        "MPJPE": float(mpjpe(pose, G)),
        "PA-MPJPE": float(pa_mpjpe(pose, G)),
        "with scale": float(pa_mpjpe(pose, G, scale=True)),
    }
    for name, pose in cases.items()
}
table(pd.DataFrame(rows).T.abs().round(4), "Three ways to be wrong, in mm.", digits=4)

# %% [markdown]
# An alignment is a decision about which mistakes count. **PA-MPJPE** first turns and shifts the estimate onto the
# truth, so that the squared distances are least (Procrustes alignment); papers do it with scale or without. PI-Net's
# released code takes it *without*: somebody estimated too large stays wrong. Nothing here sees the metre to the left.

# %%
source(pa_mpjpe)

# %% [markdown]
# **3DPCK** counts joints that are closer than 150 mm, in percent, over the 14 joints of MuPoTS-3D, after giving the
# estimate the true bone lengths. **AUC** is its mean over the thresholds 0, 5, ..., 150 mm; nothing is closer than
# 0 mm, so even a perfect estimate scores 30 of 31.

# %% tags=["nbval-check-output"]
perfect = joint_errors(G, G)
large = joint_errors(rescale_bones(1.3 * G, G), G)
print("a perfect pose: 3DPCK", round(float(pck3d(perfect)), 1), " AUC", round(float(auc3d(perfect)), 4))
print("30 % too large, bones rescaled: 3DPCK", round(float(pck3d(large)), 1))
wrist = G + np.eye(17)[:, 4:5] * (151, 0, 0)
print("one wrist 151 mm aside, as it is: 3DPCK", round(float(pck3d(joint_errors(wrist, G))), 4))
print("the same, bones rescaled: 3DPCK", round(float(pck3d(joint_errors(rescale_bones(wrist, G), G))), 4))

# %% [markdown]
# ## 6. How a notebook here works
#
# - Its second cell holds the **parameters**. `papermill notebooks/pinet.ipynb out.ipynb -p profile smoke` sets them;
#   a misspelt name is an error.
# - A **profile** is a size: `smoke` (seconds, shows that it runs), `cpu` (minutes on a laptop), `gpu`, `paper`.
# - Beside a paper's **claim** stands a **verdict**: *holds*, *contradicted*, *open* or *not run*. It comes from the **paired
#   difference**, the error of one variant less that of the other on the same scene with the same training seed, and its
#   95 % interval by the **bootstrap**: the mean is taken again and again over seeds and scenes drawn with replacement.
# - An **instance** is one person in one picture; a mean "by people" counts instances, a mean "by sequence" does not.
# - Numbers of synthetic worlds are never set beside a paper's numbers without saying so.
# - Figures and tables are written to `runs/NOTEBOOK/PROFILE`, with a page, `index.html`, that shows them all.

# %% [markdown]
# ## 7. Exercises
#
# **1.** Somebody 1.75 m tall is 525 px high in the image of a camera with $f = 1500$ px. How far away are they?
# *Hint*: similar triangles. Write the function for any focal length and height.


# %%
def depth_from_height(focal, height_mm, height_px):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(depth_from_height, exercises.depth_from_height, (1500, 1750, 525), (1000, 1600, 400))

# %% [markdown]
# **2.** MPJPE in three lines of NumPy, for two poses of shape (17, 3), joint 14 of each at the origin. *Hint*: `axis=1`.


# %%
def my_mpjpe(pred, true):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(my_mpjpe, exercises.mpjpe_by_hand, (1.1 * G, G), (turned + (300, 0, 90), G - (1000, 0, 0)))

# %% [markdown]
# **3.** The pelvis is one of PI-Net's 17 joints and always right after root alignment. Its Table 2 says 126.0 mm: what
# would it say without the pelvis? *Hint*: the sum of the errors stays.


# %%
def without_the_pelvis(mpjpe_of_17):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(without_the_pelvis, exercises.without_the_pelvis, (126.0,))

# %% [markdown]
# **4.** An estimator finds every pixel exactly but takes each joint to be 5 % farther away than it is. Where does it put
# a joint that is truly at `xyz`? *Hint*: back-project by hand; the answer is one product.


# %%
def wrong_root(xyz, depth_error):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(wrong_root, exercises.wrong_root, (G + (300, 0, 4000), 0.05))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - One pixel fixes a ray; depth is inferred, and is the largest part of the error.
# - All three measures forgive a wrong place. PA-MPJPE also forgives a wrong turn; 3DPCK forgives wrong bone lengths, but not a
#   turn. Always ask which.
# - Next: [`pinet.ipynb`](pinet.ipynb), the first paper.
#
# **References**: D. Mehta et al., *Single-shot multi-person 3D pose estimation from monocular RGB*, 3DV 2018
# (MuPoTS-3D, 3DPCK). C. Ionescu et al., *Human3.6M*, PAMI 2014 (MPJPE). To cite this project see `CITATION.cff`.
