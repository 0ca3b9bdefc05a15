# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Same names, other points: a tour of the data sets
#
# ![Every joint set on one body](../figures/data_tour/cpu/joint_sets.png)
#
# Half an hour, nothing is trained. Afterwards you can open any data set of the five papers, put it into one frame, one unit and one
# set of joints, and say what that cost. The picture above is the trouble in short: eleven lists of joints for one body, numbered
# each in its own way; what is orange is another point of the body under a borrowed name.
#
# - **Time and memory**: 20 s on a laptop (`smoke`: 15 s), 0.5 GB.
# - **Data**: `mupots3d`, `muco3dhp`, `mpi_inf_3dhp`, `panoptic`, `jta`, `h36m`, `pw3d`, `coco2017`, `mpii`, each as a tiny fixture in its exact
#   format, made here, or your own copy where `MP3D_DATA` has it; and the synthetic world `duet`. Nothing is downloaded.
# - **You need**: [`start.ipynb`](start.ipynb), for the camera and the seventeen joints.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; here they all do the same
seed: int = 0  # of the synthetic people
own: bool = True  # read your own copies under MP3D_DATA where they are; False: fixtures only
out: str = ""  # folder for figures and tables; default: runs/data_tour/PROFILE

# %% tags=["nbval-check-output"]
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from mp3d import exercises, plots
from mp3d.camera import Camera, Lens
from mp3d.data import human36m, jta, mupots, panoptic
from mp3d.experiments import data_tour as tour
from mp3d.metrics import mpjpe
from mp3d.notebook import begin, display, exercise, source, table
from mp3d.skeletons import H36M17, MPI17, convert
from mp3d.synthetic.worlds import sequences

run = begin("data_tour", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. The problem
#
# Papers train on one data set, test on another, and write "joint 8" or "the neck" for both. Four things differ without an error
# message: which point of the body a name means, in which order joints are listed, in which unit and frame they stand, and how a
# camera is written down. Each of these slips leaves a skeleton that looks like a skeleton.
#
# Here every reader converts at the door: `MPI17`, millimetres, the camera's frame, x right, y down, z forward. What the data set itself has
# stays beside it, in `person.native`.

# %% tags=["nbval-check-output"]
symbols = [
    ("X", "3", "mm, cm or m", "a point in the world's frame"),
    ("x", "3", "mm", "the same point in the camera's frame"),
    ("R", "(3, 3)", "", "rotation from world to camera"),
    ("t", "3", "as X", "of x = R X + t; not the camera's place"),
    ("T", "3", "as X", "the camera's place in the world: x = R (X - T), so t = -R T"),
    ("f, c", "2 each", "px", "focal lengths and principal point"),
    ("v", "(J,)", "", "visibility: 0 absent, 1 hidden, 2 visible"),
    ("source", "(J,)", "", "0 absent, 1 native, 2 derived (a midpoint), 3 approximate (another point)"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. One point, with a pencil
#
# A camera is turned by a 3-4-5 triangle: $R = \begin{pmatrix}0.8&0&0.6\\0&1&0\\-0.6&0&0.8\end{pmatrix}$, $t = (0, 1500, 3500)$ mm, $f = 1000$ px,
# $c = (960, 540)$. A wrist is at $X = (500, -1000, 1000)$ mm. Then $RX = (1000, -1000, 500)$, $x = RX + t = (1000, 500, 4000)$, and the pixel is
# $(1000 \cdot 1000/4000 + 960,\; 1000 \cdot 500/4000 + 540) = (1210, 665)$. The camera itself stands at $T = -R^\top t = (2100, -1500, -2800)$.
#
# The first four rows are the same camera as four data sets write it. The others are slips that somebody has made.

# %% tags=["nbval-check-output"]
R = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
X, t = np.array([500.0, -1000, 1000]), np.array([0.0, 1500, 3500])
T = -R.T @ t
camera = Camera(1000, 1000, 960, 540, 1920, 1080, R, t)
stored = R.T  # mmpose keeps the transposed matrix and calls it R
forms = {
    "3DMPPE's Human3.6M, mm: R X + t": R @ X + t,
    "Human3.6M as released, mm: R (X - T)": R @ (X - T),
    "mmpose's Human3.6M, m: R'(X - T), R stored transposed": 1000 * stored.T @ (X / 1000 - T / 1000),
    "Panoptic, cm: R X + t": 10 * (R @ (X / 10) + t / 10),
    "slip: R read transposed": R.T @ X + t,
    "slip: t in cm, X in mm": R @ X + t / 10,
    "slip: t taken for the place, R (X - t)": R @ (X - t),
    "slip: the place taken for t, R X + T": R @ X + T,
}
rows = []
for name, x in forms.items():
    uv = camera.project(x)
    off = "behind the camera" if x[2] < 0 else f"{np.linalg.norm(uv - camera.project(R @ X + t)):.0f} px"
    rows.append((name, x.round(3), off))
table(pd.DataFrame(rows, columns=["how it is written", "x, mm", "off by"]), "The same camera, and what slips cost.")

# %% [markdown]
# A slip in the camera is the kind sort: it costs hundreds of pixels, or the person is behind the camera, and one look at a
# re-projection shows it. That is why readers here check it. 3DMPPE's Human3.6M files exist in two versions with the same
# keys, $RX + t$ since June 2020 and $R(X - t)$ before; the reader decides by the stored boxes. Joints are the unkind sort: a few centimetres.
#
# ## 3. All data sets side by side
#
# One scene of each, as its reader yields it. *Native in MPI17*: how many of the seventeen joints the data set has under that name.

# %% tags=["nbval-ignore-output"]
folder = tempfile.TemporaryDirectory()
roots = tour.fixtures(Path(folder.name))
found = tour.samples(roots, own, run.seed)
stand_ins, banner = [k for k in found if found[k].whose == "fixture"], "synthetic stand-in, numbers are not results"
if stand_ins:
    display(f"{banner}: {', '.join(stand_ins)}", markdown=f"> **{banner}**: {', '.join(stand_ins)}")
kind = "fixtures" if len(stand_ins) == len(roots) else "fixtures and own copies"
run.table(tour.read_table(found), "What readers yield.", "read", data=kind)

# %%
table(tour.disk_table(found), "What lies on disk, and its terms: data_manifest.yaml.")

# %% [markdown]
# Three units of length, four frames. Only MuPoTS-3D, MuCo-3DHP and MPI-INF-3DHP speak `MPI17`. MuPoTS-3D ships no intrinsics, COCO and MPII have none:
# papers assume 1500 px, or the picture's width. "Passed on" says whether the terms let a project hand the files to others;
# mostly not, and this project holds none of them. In the next figure all cameras share a scale: pixels less the principal point, over
# the focal length. The assumed cameras of COCO and MPII see as through a tube, so that everybody is far away.

# %% tags=["nbval-ignore-output"]
scenes = {f"{name} ({sample.whose})": sample.scene for name, sample in found.items()}
run.show(
    plots.side_by_side(scenes), "side_by_side", "One scene of each data set as rays, in its own joints, one scale."
)

# %% [markdown]
# ## 4. Joints
#
# The body faces you, so its right hand is on your left. Look for the pelvis: joint 14, 4, 2, 0, 6, or nowhere. Right before left or left
# before right: MPI, Human3.6M, JTA and MPII list the right side first; COCO, 3DPW (SMPL) and Panoptic the left one. Panoptic's joint 1 is the nose
# in `joints19` and the top of the head in the older `joints15`; both are in use, some sequences have only the older one.

# %% tags=["nbval-ignore-output"]
run.show(plots.joint_sets(tour.SETS), "joint_sets", "Every joint set on one body, and what MPI17 takes of it.")

# %% tags=["nbval-ignore-output"]
run.show(plots.source_map(tour.sources()), "sources", "Where each of MPI17's joints comes from, a row a joint set.")

# %% [markdown]
# Twelve columns are native everywhere; neck and pelvis are native or a midpoint, but for Human3.6M's neck. These fourteen are `CORE14`, joints 1
# to 14 of MPI17, and metrics across data sets use no others. Orange and red cells are numbers with a caveat, not errors: a midpoint of the
# hips *is* Panoptic's and Human3.6M's pelvis; Human3.6M's joint 10 is *not* the top of the head.
#
# ## 5. Conversions, and what they lose
#
# **There and back.** The people of `duet` are sent to each joint set and back to MPI17. What does not return is lost; a midpoint returns
# shifted. This shows loss of names, and it is the friendly case: everybody has one body. An approximate joint comes back unmoved
# here, because it was made of itself; and `duet`'s pelvis is the middle of the hips by construction.

# %%
videos = sequences("duet", run.seed, frames=5)
poses = np.concatenate([scene.xyz for video in videos for scene in video])
lost = tour.there_and_back(poses).rename(
    columns={"neck": "neck, mm", "pelvis": "pelvis, mm", "other": "others, mm at most"}
)
run.table(lost, "MPI17 to each joint set and back.", "there_and_back", protocol=f"{len(poses)} people of duet")

# %% [markdown]
# **Real people.** What a data set means by a name shows only on its own people. The table was measured once, on 4, 4 and 10 poses of the
# public samples of mmpose, most of which may not be passed on, and is typed in (other people in each, so read orders of magnitude):

# %% tags=["nbval-check-output"]
table(tour.measured(), "Same names in three data sets, mm.")

# %% [markdown]
# A neck of Human3.6M or MPI-INF-3DHP lies 3 to 8 cm from the middle of the shoulders, Panoptic's within 1 cm; Panoptic's hips stand 6 cm
# closer together. With an MPJPE of 50 to 100 mm this is no detail: a method trained on one and tested on the other is charged for it.
#
# COCO has no neck at all. 3DMPPE takes the midpoint of the shoulders; SMAP goes up by 0.185 of the trunk. Which is nearer? It depends on
# whose neck is meant. On `duet` the best share is where our own body model put the neck, so the line shows the shape of
# the cost, not who is right; the real points stand beside it.

# %% tags=["nbval-ignore-output"]
shares = np.linspace(0, 0.25, 26)
fig = plots.neck_rule(shares, tour.neck_rule(poses, shares), tour.NECKS, {"midpoint": 0, "SMAP": 0.185})
run.show(fig, "neck_rule", "How far a neck made of shoulders and hips is off, by the share of the trunk.")
pixels = tour.neck_pixels(videos)
rows = pd.DataFrame({"mean error, px": list(pixels.values())}, index=["midpoint (3DMPPE)", "0.185 (SMAP)"])
run.table(rows, "The neck of duet, written and read as COCO's.", "neck_pixels")

# %% [markdown]
# ## 6. Cameras
#
# **A factor of two.** A lens bends rays: $x' = x(1 + k_1 r^2 + \dots) + $ tangential terms. OpenCV, and Panoptic with it, writes $2p_1xy + p_2(r^2 + 2x^2)$;
# Human3.6M's own model has the terms $2p_1xy$ and $2p_2x^2$ once instead of twice. With a pencil: $p_2 = -0.0015$, nothing else, a ray at $x = 0.4$, $f = 1000$ px.
# OpenCV: $-0.0015 \cdot 3 \cdot 0.16 \cdot 1000 = -0.72$ px; Human3.6M: $-0.0015 \cdot 2 \cdot 0.16 \cdot 1000 = -0.48$ px.

# %% tags=["nbval-check-output"]
ray = np.array([0.4, 0.0])
for name, factor in (("OpenCV", 2), ("Human3.6M", 1)):
    shift = 1000 * (Lens(0, 0, 0, -0.0015, 0, tangential=factor).distort(ray) - ray)[0]
    print(f"{name}: {shift:.2f} px")

# %% [markdown]
# A quarter of a pixel. On 4 real frames of Human3.6M the wrong factor costs 0.05 to 0.22 px, and no lens at all, as 3DMPPE has it, at most 1.2 to
# 3.4 px (`data_manifest.yaml`); without Panoptic's lens joints are 6 to 13 px off on average, up to 59 (a test on 4 real frames). The curves are of the fixtures' lenses, which are made up.

# %% tags=["nbval-ignore-output"]
rig = human36m.mmpose_cameras(next(roots["h36m"].rglob("cameras.pkl")))[9, "54138969"]
dome = next(panoptic.scenes(roots["panoptic"], ["160422_ultimatum1"])).camera
gaps = {}
for name, one, other in (("Human3.6M", rig, "OpenCV's factor 2"), ("Panoptic", dome, "Human3.6M's factor 1")):
    gap = tour.lens_gap(one.lens, one.fx, np.linspace(0, one.width / 2, 13))
    gaps[f"{name}: no lens"] = gap.rename(columns={"none": "gap"})
    gaps[f"{name}: {other}"] = gap.rename(columns={"tangential": "gap"})
run.show(plots.lens_gap(gaps), "lens_gap", "What a wrong model of the lens costs, worst direction; fixtures' lenses.")

# %% [markdown]
# **JTA** stores no camera; its README says 1158 px. Older files have other axes: x, forward, up. The file itself tells which: $u - 960$ is
# 1158 times $x/z$ in the right axes alone (exercise 4). posepile takes 1167 px, because the game's lens makes labels drift from the video.

# %% tags=["nbval-check-output"]
new, old = roots["jta"] / "annotations/test/seq_256.json", Path(folder.name) / "old.json"
tour.old_axes(new, old)
new, old = jta.Annotations(new), jta.Annotations(old)
print("older axes seen:", new.old, old.old, "; the same people:", np.allclose(new[1].xyz, old[1].xyz))
print(f"1167 for 1158 px, at the picture's edge: {960 * (1167 / 1158 - 1):.2f} px")

# %% [markdown]
# **MuPoTS-3D** ships no intrinsics, but 2D and 3D joints: a line fit. In MPI-INF-3DHP, by the same laboratory, hips and spine are 0.6 to 2.1 px
# off between 2D and 3D, by design (4 frames; `data_manifest.yaml`), so the reader leaves them out. Does it matter? Here `duet` is written in MuPoTS' format with these three joints moved
# 2 px away from the pelvis in 2D.

# %%
source(mupots.intrinsics)

# %% tags=["nbval-ignore-output"]
bias = tour.intrinsics_bias(videos[6])
run.table(
    bias.round(2) + 0.0,
    "Error of the camera found, px.",
    "intrinsics",
    digits=2,
    protocol="video D7, 5 frames of 3 people",
)

# %% [markdown]
# From one person fx is off by 7 px; over a video that cancels, because people turn about the vertical. fy, off by half a pixel, hardly changes.
# Without the three joints the camera is exact.
#
# ## 7. Round trips: what a format keeps
#
# `mp3d data make duet DIR --format F` writes `duet` as if it were a real data set, for six formats. Written and read back, the largest difference of
# a native joint is the precision of the format. *Visibility*: how many of these joints have the same 0, 1 or 2.

# %%
trips = tour.round_trips(videos)
shown = trips.rename(columns={"mm": "mm at most", "px": "px at most", "visibility": "visibility, %"})
shown["mm at most"] = [f"{v:.1g}" if v > 1e-6 else "-" if np.isnan(v) else "0" for v in trips["mm"]]
shown["px at most"] = [f"{v:.1g}" if v > 1e-6 else "0" for v in trips["px"]]
run.table(shown, "duet, written and read back.", "round_trips")

# %% [markdown]
# 0 is exact, up to the rounding of the last bit. Panoptic keeps six significant digits of a coordinate in cm; JTA micrometres in 3D, but whole pixels in
# 2D: up to 0.7 px. COCO keeps no depth. MuPoTS, JTA and COCO say who is hidden (what they miss are joints outside the picture); MuCo, Panoptic and Human3.6M do
# not: one joint in five of `duet` is hidden and comes back as visible.
#
# ## 8. Four traps, live
#
# Each prints two lines: what lies in the file, and what the reader makes of it.

# %% tags=["nbval-check-output"]
place, name = roots["panoptic"], "160422_ultimatum1"
body = panoptic.bodies(panoptic.frames(place, name)[0][100])[1]
view = panoptic.cameras(place / name / f"calibration_{name}.json")["00_16"]
hip = view.project(view.to_camera(body.xyz[12])).round().astype(int)
print(f"1 Panoptic, a missing hip: {body.xyz[12]} mm, confidence {body.confidence[12]:g}; seen at pixel {hip}")
scene = next(panoptic.scenes(place, [name], ["00_16"]))
print(f"  as read, absent: {', '.join(tour.absent(scene.people[1].native))}")

bodies = np.stack([scene.people[0].native.xyz for scene in human36m.scenes(roots["h36m"], [9])])
mixed = tour.swapped(bodies)
error = mpjpe(convert(mixed, H36M17, MPI17)[0], convert(bodies, H36M17, MPI17)[0]).mean()
print(f"2 Human3.6M under swapped names: MPJPE {error:.0f} mm, and every bone has its length")
print("  by the bend of the knees, swapped:", human36m.sides_swapped(bodies), human36m.sides_swapped(mixed))

# %% tags=["nbval-check-output"]
truth, scene = mupots.annotations(roots["mupots3d"], "TS1"), next(mupots.scenes(roots["mupots3d"], ["TS1"]))
arm, flags = [2, 3, 4], truth.occluded[0, 0].astype(int)
print(f"3 MuPoTS, a right arm in occlusion.mat: {flags[arm]}; with COCO's codes nobody would be visible")
print(f"  as read: {scene.visibility[0, arm]}, visible {int((scene.visibility[0] == 2).sum())} of 17")

print("4 MuPoTS sorted by name:", *sorted(mupots.SEQUENCES)[:4], "...; TS10 by its third letter: TS" + "TS10"[2])
print(f"  that one's pictures are {mupots.size('TS1')} px, TS10's {mupots.size('TS10')}")

# %% [markdown]
# In the first, (0, 0, 0) is a point on the dome's floor: it projects into the picture, where a wrong joint looks like a
# joint. (The ankle is there, but its confidence is 0.1 sharp, and a joint counts above it.) In the second, the skeleton is valid in every way but
# one. That is why readers test geometry and not names. The tests of `mp3d/data` hold many such traps (`pytest -k trap`), found in released programs and files.
#
# ## 9. What papers do not say, and what we chose
#
# - **Which neck, which head.** Tables across data sets name joints only. Here: a flag a joint, and `CORE14` for comparisons.
# - **How Panoptic's 15 and 19 joints are mixed.** SMAP scores the 15 everywhere; others drop joint 1. Here: two joint sets, never one average.
# - **Where a pixel's number lies**: at its corner or its centre. Nobody says. Here: each data set's numbers unchanged; MPII, which counts from 1,
#   less 1.
# - **Visible.** Nothing in Panoptic says who is hidden. Here: 2 inside the picture, 1 outside, 0 below confidence 0.1.
# - **Known faults.** Three sequences of Human3.6M's S9 are 200 mm aside; papers' numbers are mostly with the fault, so `correct_s9` is off.
# - **MuPoTS-3D.json** of 3DMPPE: whether its 3D is `annot3` or `univ_annot3` is written nowhere. Here: as the file has it; on your copy a re-projection tells.
#
# ## 10. Exercises
#
# **1.** A calibration gives R and the camera's place T. Which t goes into $x = RX + t$? *Hint*: the camera's place must become 0.


# %%
def published_t(rotation, place):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(published_t, exercises.published_t, (R, T), (np.eye(3), np.array([0.0, -1600, 3000])))

# %% [markdown]
# **2.** mmpose stores metres, and a matrix called R with $x = R^\top(X - T)$. Give x in mm. *Hint*: one line.


# %%
def from_mmpose(point, rotation, place):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(from_mmpose, exercises.from_mmpose, (X / 1000, R.T, T / 1000), (X / 1000, np.eye(3), X / 1000))

# %% [markdown]
# **3.** SMAP's neck from COCO's joints, an array (17, 3) of x, y, v: the middle of the shoulders (5, 6), up by 0.185 of the way from the middle of
# the hips (11, 12). Its v is the worst of the four. *Hint*: return three numbers; mind that 0.185 must not touch v.


# %%
def smap_neck(points):
    return ...  # your answer


# %% tags=["nbval-check-output"]
toy = np.column_stack([np.arange(17) * 10, 480 - np.arange(17) * 20, [2] * 11 + [1] + [2] * 5]).astype(float)
exercise(smap_neck, exercises.smap_neck, (toy,), (toy[::-1],))

# %% [markdown]
# **4.** JTA's rows are frame, person, joint, u, v, x, y, z, occluded, self-occluded. Find the focal length by least squares through the
# principal point (960, 540). What does it say of a file with the older axes? *Hint*: $\sum (u - 960)\,x/z + \dots$ over $\sum (x/z)^2 + \dots$.


# %%
def jta_focal(rows):
    return ...  # your answer


# %% tags=["nbval-check-output"]
one = np.array([[1, 0, 2, 1249, 453, 1.0, -0.3, 4.0, 0, 0], [1, 0, 16, 815, 612, -0.5, 0.25, 4.0, 0, 0]])
older = one[:, [0, 1, 2, 3, 4, 5, 7, 6, 8, 9]] * [1, 1, 1, 1, 1, 1, 1, -1, 1, 1]
exercise(jta_focal, exercises.jta_focal, (one,), (older,))

# %% tags=["nbval-check-output"]
folder.cleanup()
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - A wrong camera costs hundreds of pixels and is seen at once; a wrong joint costs centimetres and is not.
# - Compare data sets on `CORE14`; ask of every other joint whether it is native, derived or approximate.
# - Trust geometry, not labels: re-project, bend the knees, fit the focal length. `mp3d data verify --level semantic` does so on your copy.
# - `mp3d data list` says how to get each data set; with `MP3D_DATA` set this notebook reads yours.
# - Next: [`audit.ipynb`](audit.ipynb), what the papers' tables say when they are recomputed.
#
# **References**: D. Mehta et al., 3DV 2017 (MPI-INF-3DHP) and 3DV 2018 (MuPoTS-3D, MuCo-3DHP). H. Joo et al., *Panoptic Studio*, PAMI 2019. M. Fabbri et al.,
# ECCV 2018 (JTA). C. Ionescu et al., PAMI 2014 (Human3.6M). T. von Marcard et al., ECCV 2018 (3DPW). T.-Y. Lin et al., ECCV 2014 (COCO). M. Andriluka et
# al., CVPR 2014 (MPII). mmpose, posepile and 3DMPPE's code, for conventions. To cite this project see `CITATION.cff`.
