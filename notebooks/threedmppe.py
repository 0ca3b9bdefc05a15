# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3DMPPE: the baseline that all five papers compare with
#
# ![Pictures, and the people that 3DMPPE finds in them](../figures/threedmppe/cpu/estimated.jpg)
#
# From a picture to people in millimetres, top-down: everybody is cropped out and estimated alone (Moon, Chang and Lee, ICCV 2019).
# Afterwards you know where a crop's depth comes from, whom it puts in the wrong place and why, and what the five papers' baseline
# can and cannot do. Above: test pictures of the synthetic world `duet`, and what the networks trained here make of them.
#
# - **Time and memory**: `smoke` 20 s, `cpu` 8 min on 2 cores, 1.5 GB; `run.json` beside the figures has the seconds of the stored run.
#   The paper's own networks (34 million parameters each, 256 px) train for days: the `paper` profile.
# - **Data**: the synthetic world `duet`, drawn here ([`worlds.ipynb`](worlds.ipynb)).
# - **You need**: [`start.ipynb`](start.ipynb) for the camera, and what a convolution is.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; auto: gpu where CUDA is, else cpu
seed: int = 0  # the first; what is drawn for training, and the networks' first weights
seeds: int = 0  # how many trainings; 0: as many as the profile says
budget: float = 1.0  # factor on the profile's training steps
data: str = "synthetic"  # the only choice here
out: str = ""  # folder for figures and tables; default: runs/threedmppe/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd
import torch

from mp3d import exercises, plots
from mp3d.codings import crops
from mp3d.experiments import threedmppe as experiment
from mp3d.experiments.pinet import spread
from mp3d.notebook import begin, exercise, source, table
from mp3d.papers.threedmppe import PROFILES, SMALL, PoseNet, RootNet, ThreeDMPPEConfig, distance, soft_argmax, squares
from mp3d.study import summary
from mp3d.synthetic import worlds
from mp3d.synthetic.render import render

run = begin("threedmppe", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. One picture, one box, one person
#
# Three networks in a row: a detector draws boxes; **RootNet** looks into each box and says where the root (the pelvis) is, in
# millimetres; **PoseNet** looks into the same box and says where the joints are relative to the root. The detector is taken as given
# here: boxes are the truth's, tight around the joints. What a detector would add to the errors is not measured.
#
# The trouble is depth. A crop is scaled to a fixed size, so a person of 1.7 m at 3 m and one at 6 m look the same to the network.

# %% tags=["nbval-check-output"]
symbols = [
    ("B", "(4,)", "px", "a tight box: x, y, width, height"),
    ("s", "1", "px", "side of the square that is cropped: the longer side of B, times 1.25"),
    ("f", "1", "px", "focal length of the picture"),
    ("k", "1", "mm", "distance at which something of 2 m x 2 m fills the square"),
    ("gamma", "1", "-", "what RootNet says: depth / k"),
    ("volume", "(J, D, H, W)", "-", "PoseNet's scores: D bins of depth, H x W cells"),
    ("a, b, d", "(J,)", "cells, bins", "where a joint is in that volume"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. k with a pencil
#
# The one idea of the paper. Take the area of the square box in the picture, $A_{img} = s^2$, and suppose that the person fills
# $A_{real} = 2\,\mathrm{m} \times 2\,\mathrm{m}$ of the world. Then they stand at
#
# $$k = \sqrt{f_x f_y \frac{A_{real}}{A_{img}}} = \frac{2000\,f}{s}\ \mathrm{mm}.$$
#
# A box of $200 \times 400$ px at $(100, 50)$: the longer side is 400, the square has $s = 1.25 \cdot 400 = 500$, about the same centre. With
# $f = 1500$ that is $k = 2000 \cdot 1500 / 500 = 6000$ mm. Double the box, halve k. (The released code cuts one pixel off each
# box and gets 6015.04.)

# %% tags=["nbval-check-output"]
camera = torch.tensor([1500.0, 1500, 960, 540])
boxes = torch.tensor([[100.0, 50, 200, 400], [100, 50, 400, 800], [100, 50, 0, 400]])
exact, kept = squares(boxes, 1920, 1080)
released, _ = squares(boxes, 1920, 1080, ThreeDMPPEConfig(pixels="released"))
rows = {"square, x": exact[:, 0], "y": exact[:, 1], "s": exact[:, 2], "k": distance(exact, camera)}
rows |= {"k, released": distance(released, camera), "kept": kept}
table(
    pd.DataFrame(rows, index=["200 x 400", "400 x 800", "0 x 400"]),
    "px and mm; a box of no area is rejected.",
    digits=2,
)

# %% [markdown]
# k knows nothing of the person. The box of a child, of somebody bent or seated, of somebody whom the border cuts is smaller than that
# of an adult who stands in the same place, so k puts them too far away. RootNet's $\gamma$ has to see all this *in the crop*:
#
# $$Z_{root} = \gamma\,k .$$

# %%
source(RootNet.forward)

# %% [markdown]
# ## 3. PoseNet: a volume, and the mean place in it
#
# PoseNet gives each joint a volume of scores around the root, 2 m deep. Taking the highest cell would have no gradient
# and no place between cells; PoseNet takes the **mean place under a softmax** (integral regression). With a pencil: a row of four
# cells with scores $0, \ln 3, 0, 0$ has weights $1, 3, 1, 1$ sixths, so the mean of the cells' centres $0.5, 1.5, 2.5, 3.5$ is
# $(0.5 + 4.5 + 2.5 + 3.5) / 6 = 1.833$: not the centre of the second cell, since the others pull.

# %% tags=["nbval-check-output"]
row = torch.tensor([[[0.0, np.log(3), 0, 0]]])
print("mean place:", round(soft_argmax(row, 0.5).item(), 3))
flat = soft_argmax(torch.zeros(1, 1, 64), 0.0).item()
print(f"a volume that says nothing: {flat}, or {(flat / 64 - 0.5) * 2000:.3f} mm of depth (released convention)")
for name, config in {"paper": ThreeDMPPEConfig(), "small": SMALL}.items():
    sizes = [sum(p.numel() for p in net(config).parameters()) for net in (RootNet, PoseNet)]
    shape = f"{config.crop} px -> {config.bins} x {config.cells} x {config.cells}"
    print(f"{name}: RootNet {sizes[0]:,} and PoseNet {sizes[1]:,} parameters, {shape}")

# %% [markdown]
# A joint at cell $(a, b)$ and bin $d$ of a square at $(x_0, y_0)$ goes back to $u = x_0 + a\,s/W$, $v = y_0 + b\,s/H$, $Z = Z_{root} + (d/D - \tfrac12) \cdot 2000$, and
# along its ray to $X = (u - c_x)\,Z/f$. **Each joint uses its own Z**: an error in depth moves it sideways too, along the ray. And of
# the root only the depth is imposed: the pelvis is a joint like any other, found in the volume.

# %%
source(crops.crops)

# %% [markdown]
# ## 4. Training
#
# Pictures of `duet`, everyone who can be seen in them, cropped. In the paper PoseNet's crops are turned, scaled, mirrored, recoloured and
# partly hidden; RootNet's neither scaled nor hidden, since a scaled crop would belong to another k. Here (but in profile `paper`) they are
# mirrored and recoloured, PoseNet's scaled by 10 %: pictures come in any number, with occlusion of their own, and a training of a few
# thousand steps is only slowed down by more. Two networks a seed, trained apart; all sizes stand in `mp3d.papers.threedmppe.PROFILES`.

# %%
study = experiment.study(run.profile, run.cache, budget, seed, seeds)
wide = run.study(study)
results = spread(wide)
size, number = PROFILES[run.profile], len(study.seeds)
print(f"{number} seed(s); crops of {size.config.crop} px out of pictures of {size.width} x {size.height}")

# %% [markdown]
# ## 5. Results
#
# **The question**: what does it cost to find out where people are, and how much of it is k's, how much gamma's? Five modes of the same
# networks on the same 20 test videos. *True roots* is the mode of all of PI-Net's tables. The papers' numbers are of MuPoTS-3D, with a
# far larger network: they are not set beside these, but their order can be asked for.

# %% tags=["nbval-ignore-output"]
metrics = ["mpjpe", "pck3d", "pck3d_abs", "depth_error", "pck_root", "ap_root"]
means = summary(results, metrics, by="scene")
run.table(
    means,
    "mpjpe in mm, depth_error in % of the depth, the others in %.",
    "modes",
    protocol=means.attrs["protocol"] + "; true boxes",
)

# %% tags=["nbval-ignore-output"]
run.judge("threedmppe", results, "root", "pose", "ours")
run.judge("threedmppe", None, "audit", data="what other papers print")

# %% [markdown]
# - MPJPE and 3DPCK forgive everything about the root. Look at `pck3d_abs` to see what a wrong depth costs: the whole body is moved
#   along its ray.
# - *k alone* is close already: the joints of an adult who stands span some 1.65 m, and 1.25 times that is 2 m. So one best constant for
#   all adds nothing, and what RootNet adds to k is too little for this run to tell. What is left has to be *seen*, and much of it cannot be: people's heights differ by some 4 % on
#   average (`body.sample_body`: 1.73 m, deviation 95 mm), and nothing in a crop tells a tall person far away from a short one nearby.
# - So a root-relative error of 80 mm goes with roots that are off by 4 % of their depth: of the joints that are right in the pose, half are
#   at the wrong place in the room (`pck3d` against `pck3d_abs`).
# - The flip test costs a second pass and helps by what is printed above; the roots are not touched by it.
#
# ## 6. Whom a crop puts in the wrong place
#
# **The question**: what gamma would each person have needed, and what did RootNet say? On the diagonal is who is placed right.
# The children are the same people, drawn again at 0.65 of their size in the same places (with an adult's proportions, which a child has
# not); nobody of that size was in training.

# %%
model = experiment.trained(run.profile, seed, run.cache, budget)
model.save(run.out / "network.pt")
constant = experiment.best_constant(run.profile, seed)
failed = experiment.failures(model, run.profile)
by_group = failed.groupby("group", sort=False)[["needed", "found", "error"]].median()
by_group.insert(0, "people", failed.groupby("group", sort=False).size())

# %% tags=["nbval-ignore-output"]
run.table(by_group, "Median gamma needed and found; median error of the root's depth, %.", "failures", digits=2,
          protocol=f"seed {seed}, single pictures of duet, true boxes; best constant {constant:.2f}")  # fmt: skip
run.show(
    plots.gammas(failed),
    "gammas",
    "The gamma that people would need against the one that RootNet gives, by what is unusual about them.",
)

# %% [markdown]
# - *Children* need a smaller gamma, and nothing in a crop tells a small person nearby from a large one far away. RootNet gives them
#   an adult's, and so an adult's distance. A method that sees the whole picture could go by the floor and the feet.
# - *Bent*: the box is low, k is too large. This one can be seen in the crop, and is learnt as far as the training has people who bend.
# - *Cut* by the border: the box is smaller than the person, by a factor that the crop tells only in part.
# - *Hidden*: the true box is whole all the same. A detector's would not be, so this row is kinder than life.
#
# **And other pictures?** The same networks on `duet` with another field of view, with people who overlap, with people cut by the border:

# %% tags=["nbval-ignore-output"]
splits = experiment.by_split(model, run.profile, constant)
run.table(
    splits.set_index(["split", "mode"])[["n", *metrics]],
    "mpjpe in mm, depth_error in % of the depth, the others in %.",
    "splits",
    protocol=f"seed {seed}",
)
costs = experiment.cost(model, (1, 2, 4, 8, 16))
seconds = costs.filter(like="seconds_").median().rename(lambda name: name.removeprefix("seconds_"))
each = {"ms a picture": 1000 * seconds, "of it ms a person": 1000 * seconds / seconds.index.astype(int)}
run.table(
    pd.DataFrame(each).rename_axis("people"), "RootNet, PoseNet and its flip test.", "cost", 0, "median, this machine"
)
run.judge("threedmppe", costs, "cost")

# %% [markdown]
# The time of a top-down method grows with the number of people: every crop passes both networks (the detector is not counted). That is the argument of SMAP (Table 5) and
# PandaNet (Figure 5) for a single pass. Now the pictures:

# %% tags=["nbval-ignore-output"]
some = worlds.takes("duet", 6, seed=11, split="test")
batch = render(some, size.width, size.height, seed=5).batch
people, _ = experiment.estimates(model, batch, "rootnet")
drawn = []
for image, k, poses in zip(batch.image, batch.k.numpy(), people, strict=True):
    uv = poses[..., :2] / poses[..., 2:] * k[:2] + k[2:]
    drawn.append(plots.drawn_people(image.permute(1, 2, 0).numpy(), uv, scale=2))
depths = [", ".join(f"{z / 1000:.1f}" for z in poses[:, 14, 2]) for poses in people]
true = [
    ", ".join(f"{z / 1000:.1f}" for z in xyz[there][:, 14, 2])
    for xyz, there in zip(batch.xyz, batch.there, strict=True)
]
titles = [f"depth {a} m, true {b} m" for a, b in zip(depths, true, strict=True)]
run.picture(
    plots.sheet(drawn, titles, columns=3), "estimated", "Test pictures with the estimated people; root depths below."
)

# %% [markdown]
# ## 7. What the paper does not say, and what we chose
#
# - **The pixel.** The released code takes a cell's corner in training and mirrors about its centre in the flip test, up to half a cell apart, and
#   cuts a pixel off every box. Here a cell stands for its centre; `pixels="released"` does as the code does.
# - **Whom RootNet is trained on.** The code picks, among MuCo's composited people, those who stand apart. Nobody stands inside
#   another here, so all with a root between 1.5 and 7.5 m are used.
# - **Size.** `small` is a residual network of our own, 64 px crops and 16 bins, so that it trains in minutes. Its numbers are worth the
#   direction of a difference, not its size.
# - **Augmentation.** Light, as section 4 says; the full one is that of profile `paper`. There, as in the code, k is not changed when a crop is
#   turned, though a turned square covers another part of the picture.
# - **The root** is RootNet's point, at the depth that each mode imposes. PoseNet's pelvis is another point: a joint like the others.
#
# ## 8. Exercises
#
# **1.** A square of side s px in a camera of focal length f px: k, in mm. *Hint*: similar triangles.


# %%
def k_of(side, focal):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(k_of, exercises.k_of, (500, 1500), (250, 1000))

# %% [markdown]
# **2.** RootNet is right about an adult at 4 m. How far off is a child of 0.65 of the size whose crop looks the same, if it
# stands at 4 m too? *Hint*: the child's box is 0.65 times as large.


# %%
def error_of_a_child(depth, size):
    return ...  # your answer, mm


# %% tags=["nbval-check-output"]
exercise(error_of_a_child, exercises.error_of_a_child, (4000, 0.65), (3000, 0.8))

# %% [markdown]
# **3.** Bin and cell to camera: the joint at cells (a, b), bin d of a volume with n cells and bins a side, in the square (x, y, s), with the root at
# depth z, focal length f and principal point (cx, cy). *Hint*: section 3, centres of cells are counted in by a, b and d already.


# %%
def to_camera(place, n, square, z, f, c):
    return ...  # your answer, [X, Y, Z] in mm


# %% tags=["nbval-check-output"]
cases = [(place, 64, (400, 300, 256), 4000, 1500, (960, 540)) for place in ((32, 32, 32), (16, 48, 40))]
exercise(to_camera, exercises.to_camera, *cases)

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - Depth comes from the size of a box, corrected by what the crop shows. What the crop cannot show (size of the person, what is cut off)
#   becomes an error of depth, and through the rays one of X and Y.
# - Root-relative numbers hide it. `pck3d_abs`, AP_root and RtError show it.
# - Next: [`pinet.ipynb`](pinet.ipynb) refines poses like these with everybody else's in the picture; [`codings.ipynb`](codings.ipynb) has the
#   ways without crops.
#
# **References**: G. Moon, J. Y. Chang and K. M. Lee, *Camera Distance-aware Top-down Approach for 3D Multi-person Pose Estimation from a
# Single RGB Image*, ICCV 2019. X. Sun et al., *Integral Human Pose Regression*, ECCV 2018. To cite this project see `CITATION.cff`.
