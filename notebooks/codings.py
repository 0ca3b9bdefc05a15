# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Codings: what a map can say, before any network says it
#
# ![Ceiling of each coding against people in the picture](../figures/codings/cpu/ceiling.png)
#
# A network that finds people in one pass draws maps, and somebody reads people off them. How well that can go *at best* is no question of the
# network: write the truth into the maps, read it back, and look who is missing. Nothing is trained here and nothing is estimated; every number
# is what the coding itself loses. Above: the share of people who come back, by the number of people in the picture.
#
# - **Time and memory**: 45 s on 2 cores (`smoke`: 20 s), 1 GB.
# - **Data**: people of the synthetic worlds `duet`, `studio` and `solo`; crowds are people of `solo`, put together.
# - **You need**: [`start.ipynb`](start.ipynb) for the camera. [`worlds.ipynb`](worlds.ipynb) shows the pictures.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; smoke asks fewer people, the others do the same
seed: int = 0  # the first of three draws of noise
data: str = "synthetic"  # the only choice here
out: str = ""  # folder for figures and tables; default: runs/codings/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd
import torch

from mp3d import exercises, plots
from mp3d.codings import anchors, depth, heatmaps, orpm, tags
from mp3d.codings.grid import Grid
from mp3d.experiments.codings import ceiling, grouping, maps, selection
from mp3d.experiments.codings.crowds import crowd
from mp3d.experiments.codings.curves import wide
from mp3d.experiments.codings.drawn import drawn
from mp3d.notebook import begin, exercise, source, table
from mp3d.skeletons import MPI17
from mp3d.synthetic.render import render
from mp3d.synthetic.worlds import takes

run = begin("codings", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %%
seeds, few = range(seed, seed + 3), run.profile == "smoke"
scenes = 4 if few else 60


def show(df, name, caption, x, y="", **more):
    run.show(plots.curves(df, x, y, **more), name, caption)


def tell(df, name, caption, digits=1, **how):
    run.table(wide(df, **how), caption, name, len(seeds), digits=digits)


# %% [markdown]
# ## 1. Six codings
#
# | coding | invented for | what a cell holds | who is lost |
# |---|---|---|---|
# | heatmaps | 2D pose | how near a joint is | two people's same joint in one cell |
# | tags (associative embedding) | ORPM-AE, TDBU | a number that is alike within a person | the same, and whose tags come too close |
# | part affinity fields | SMAP | a bone's direction | whose pelvis, or a joint on the way, is not found |
# | occlusion-robust pose maps | ORPM-AE | a bone vector, written at several joints | whose every site somebody nearer covers |
# | root depth, part relative depth | SMAP, TDBU | depth at the pelvis; difference along a bone | whose pelvis another's covers |
# | anchors | PandaNet | a whole person, relative to a box of fixed size | who shares all anchors with somebody, or falls to NMS |
#
# One pixel convention serves all: the cell in row $i$ and column $j$ covers $[js, (j+1)s) \times [is, (i+1)s)$ px, and its centre is at $+\tfrac12$.

# %% tags=["nbval-check-output"]
symbols = [
    ("uv", "(B, P, J, 2)", "px", "joints of P people in B pictures"),
    ("maps", "(B, C, H, W)", "-", "C channels of H x W cells"),
    ("s", "1", "px", "stride: the side of a cell"),
    ("tag", "(B, J, K)", "-", "what the tag map says at K detections of joint J"),
    ("rho(j)", "J of 17", "-", "sites: joints at whose pixels joint j is written too"),
    ("t_D", "1", "cells", "a site nearer than this to somebody else's is not read"),
    ("O", "(H, W, A)", "-", "per-object normalised overlap: IoU over the best that the same person has"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")

# %% [markdown]
# ## 2. With a pencil
#
# **A heatmap.** A joint at $u = 13.0$ px, stride 4, so at 3.25 cells: between the centres 2.5 and 3.5. A Gaussian of $\sigma = 1$ cell has
# the values $e^{-0.28}$, $e^{-0.03}$ and $e^{-0.78}$ at the centres 2.5, 3.5 and 4.5. The highest is 3.5, an error of 1 px. The logarithms lie on a
# parabola, and its top is at 3.25: the joint, exactly.
#
# **Tags.** Two people with the tags 0 and 2, all joints alike: pull 0; push $\frac{1}{2^2}(e^{-2} + e^{-2}) = 0.0677$ (ordered pairs, $\sigma = 1$).
#
# **Anchors.** A joint is off by a quarter of the anchor in x and in y: the unit squares share $0.75^2 = 0.5625$, IoU $0.5625 / (2 - 0.5625) = 0.391$. Not
# enough for a label, which asks 0.5.

# %% tags=["nbval-check-output"]
line, joint = Grid(8, 1, 4), torch.tensor([[[[13.0, 2.0]]]])
known = torch.ones(1, 1, 1, dtype=torch.bool)
bump = heatmaps.encode(joint, known, line, 1.0)
for refine in ("none", "log"):
    print(f"heatmap, {refine}: u = {heatmaps.peaks(bump, line, 1, refine=refine).uv[0, 0, 0, 0]:.3f} px")
two = torch.tensor([[[[2.0, 2.0]], [[26.0, 2.0]]]])
names = tags.encode(two, torch.ones(1, 2, 1, dtype=torch.bool), torch.tensor([[0.0, 2.0]]), line, radius=0)
print({k: round(v.item(), 4) for k, v in tags.loss(names, two, torch.ones(1, 2, 1, dtype=torch.bool), line).items()})
print("IoU of joints:", round(anchors.iou_of_joints(torch.tensor([0.25, 0.25]), torch.zeros(2)).item(), 3))
print("sites of a wrist:", [MPI17.joints[i] for i in orpm.sites()[4].nonzero()[:, 0].tolist()])

# %% [markdown]
# ## 3. What they draw
#
# One picture, and over it the maps of one joint (left wrist) or of the bone that ends there. Red is negative. This is all code that it takes:

# %%
source(drawn)

# %% tags=["nbval-ignore-output"]
batch = render(takes("studio", 3, 6), 256, 160, 3).batch[2:3]
layers, image = drawn(batch, "l_wrist"), batch.image[0].permute(1, 2, 0).numpy()
shown = [plots.overlay(image, values, -high, high) for values, high in layers.values()]
run.picture(plots.sheet(shown, list(layers), columns=3, width=760), "maps", "What each coding draws over one picture.")

# %% [markdown]
# ## 4. Heatmaps
#
# **How exact?** The mean error of a lone joint that is written and read, by the size of a cell. A Gaussian drawn about the *exact* place and read by its
# parabola loses nothing at any resolution; drawn about the cell's centre, as the public codes of SMAP and associative embedding do, it has lost the place before anybody reads it. In the table a
# row is the Gaussian's centre (*exact*, or its *cell*'s) and how the place is refined: *none*, a *quarter* of a cell towards the higher neighbour, the
# *log*arithm's parabola, the *centroid* of 7 x 7 cells. What counts as a peak, and what of two equal neighbours:

# %%
source(heatmaps._highest)

# %% tags=["nbval-ignore-output"]
exact = grouping.precision(seeds, 100 if few else 1000)
tell(exact, "precision", "Mean error of a lone joint by stride (px), Gaussian's centre and read-out.", digits=2)
close = grouping.merging(seeds, 50 if few else 300, (0, 1, 2, 3, 4))
tell(close, "merging", "Two people's same joint, by their distance in cells.", digits=2)

# %% [markdown]
# Two people whose same joint falls into neighbouring cells are one peak. With the released test of SMAP, strictly above all eight neighbours ("plateaus lost"), they are
# *none*: both cells are equal, and neither is higher. Where Gaussians are summed, as SMAP's blur does, two cells apart are still one peak.
#
# ## 5. Who belongs to whom: tags
#
# **The question**: how much noise may tags have? ORPM-AE takes the detection with the highest *score* among those whose tag is near enough; the field
# solves an assignment by the nearest *tag* (Hungarian method).

# %% tags=["nbval-ignore-output"]
tell(
    grouping.tag_noise(seeds, 4 if few else 20), "tag_noise", "Joints with the right person, %, by noise / gap of tags."
)
run.judge("orpm_ae", grouping.tag_study(seeds, scenes // 4), "C.tags")

# %% [markdown]
# ## 6. Who belongs to whom: part affinity fields
#
# A link between two detections is scored along the line between them. SMAP's test wants 95 % of the points on the field. On *exact* fields,
# how many true links pass? It depends on the convention that places a joint in its cell: one for all (ours), or two that are mixed (the release, whose
# labels begin at a cell's corner and whose detections at its centre). A trained network blurs its maps, so its authors never see it:

# %% tags=["nbval-ignore-output"]
tell(
    grouping.link_acceptance(seeds, scenes // 2),
    "links",
    "True links that pass, in %, by half the band's width in cells.",
)

# %% [markdown]
# **Near first or far first?** SMAP hands out joints person by person, the nearest first, bone by bone, with a penalty for links longer than the bone would be at that depth
# (*length*); the 2D way (OpenPose) takes the best links of all. Joints behind other people are drawn (as labels have them) or left out (as by a network that cannot see them).
# Noise on the maps was set so that the 2D way's 2DPCK is about that of the paper's Table 4 (92.4), and not touched after.

# %% tags=["nbval-ignore-output"]
crowds = grouping.association(seeds, 1 if few else 8, (2, 5) if few else (2, 5, 10, 20))
by_people = grouping.association_curves(crowds)
by_people = by_people[by_people["panel"].str.endswith("noisy")]
show(by_people, "association", "Joints with the right person, noisy maps.", "people in the picture", "right, %")
run.judge("smap", grouping.association_study(seeds, 2 if few else 24, 5 if few else 10), "C.association")

# %% [markdown]
# What the order of people does is too small to be seen here. What helps is to know how long a bone may be: fewer wrong links. And the 2D way places *more* joints, since it
# needs no pelvis to begin with.
#
# ## 7. Occlusion-robust pose maps
#
# Each joint's bone vector is written at its own pixel *and* at those of its limb, the neck and the pelvis. Who loses a wrist reads it at the elbow. **The
# question**: what is that redundancy worth as detections are lost? *Paper* is ORPM-AE's order of sites, *mehta* the older one, *naive* reads each joint at its own
# pixel and takes the mean bone otherwise. A site nearer than $t_D$ cells to another person's is not read, since somebody may have written over it: 3 is what two squares of 3 x 3
# need to be apart (our choice, and the rows without a number), 2 the least at which nothing wrong can be read.

# %% tags=["nbval-ignore-output"]
lost = maps.dropout(seeds, scenes, people=(1, 4)).replace({"paper_t2": "paper, t_D = 2"})
lost = lost[lost["panel"].str.startswith("joints")]
show(lost, "dropout", "The share of exact joints as detections are lost, alone and among four.", "share of joints lost")
tell(maps.losses(seeds, scenes // 4, people=(1,)), "losses", "One person after what is lost.")
studies = [maps.readouts(seeds, scenes), maps.meetings(seeds, scenes // 2), maps.errors_along_tree(seeds, scenes)]
run.judge("orpm_ae", pd.concat(studies, ignore_index=True), "C.readout", "C.meet", "C.tree")

# %% [markdown]
# **The price of bones.** Errors add up along the tree: noise of $s$ mm in every bone is $s\sqrt{d}$ in a joint at depth $d$, against $s$ everywhere if joints are stored relative to
# the pelvis. And people who meet overwrite one another's bones, the nearer person those of the farther. The test by $t_D$
# costs both of them bones that were right; without it the farther one reads the other's:

# %% tags=["nbval-ignore-output"]
tell(
    maps.propagation(seeds, scenes),
    "tree",
    "Error of a joint when every stored vector has 20 mm, mm.",
    index=["x"],
    columns="series",
)
tell(
    maps.conflicts(seeds, scenes // 4),
    "conflicts",
    "Two people, the second half a metre behind, by their gap in cells.",
)

# %% [markdown]
# ## 8. Depth
#
# **With and without the field of view.** A picture shows size, and size goes with $f/Z$. A reader that knows nothing but how tall somebody is in the picture learns $Z$ on some cameras, or
# a normalised depth: $Z w / f$ (SMAP's text) or $Z / (f s)$ (its code, $s$ px of the network's picture for one of the image); then it meets lenses that it has not seen.

# %%
source(depth.normalise)

# %% tags=["nbval-ignore-output"]
VIEWS = {"raw": "Z", "released": "Z / (f s)", "paper": "Z w / f", "default_f": "Z / (f s), read with f = w"}
zoomed = maps.zoom(seeds, scenes // 2).replace(VIEWS)
show(zoomed, "zoom", "Root depth as focal length and distance grow alike.", "focal length / that of training", log="x")
studies = [
    maps.field_of_view(seeds, scenes),
    maps.overlaps(seeds, scenes // 2),
    maps.point_against_line(seeds, scenes // 2),
]
run.judge("smap", pd.concat(studies, ignore_index=True), "C.fov", "C.parts")

# %% [markdown]
# Normalisation is what makes a depth survive another lens, and the code's form more than the text's, wherever pictures have several shapes. But the focal length must be known:
# read with the default $f = w$ the error is larger than without any normalisation, within `duet`'s lenses (SMAP prints the opposite, 67 against 120 cm, on
# MuPoTS-3D, where the default is nearer to the truth).
#
# **Noise in the depth maps.** SMAP reads a bone's relative depth at ten points along the bone, TDBU a joint's at one pixel:

# %% tags=["nbval-ignore-output"]
tell(maps.noise_and_outliers(seeds, scenes // 2), "depth_noise", "Mean error of a bone's relative depth, mm.")
tell(maps.root_readout(seeds, scenes // 4), "root_readout", "The root map read so many cells beside the pelvis, %.")

# %% [markdown]
# ## 9. Anchors
#
# An anchor belongs to the person whom it overlaps most. Where two people overlap, an anchor between them overlaps both: PandaNet asks of an anchor that its *predicted pose* fits, too.
# **The question**: what does that selection do when the regressor averages two people, and what when it is perfect?

# %% tags=["nbval-ignore-output"]
two = selection.pono_of_two((1.0, 0.5, 0.2))
pale = np.full((160, 256, 3), 255, np.uint8)
shown = [plots.overlay(pale, np.where(one.owner == 0, one.score, -one.score), -1, 1) for one in two.values()]
run.picture(plots.sheet(shown, [f"apart by {x:g} of a width" for x in two], columns=3, width=700), "pono",
            "PONO of two people's anchors: blue the first's, red the second's, the darker the better.")  # fmt: skip
tell(selection.sharing(), "sharing", "Two boxes, by their distance in widths.", columns="gap")
sizes = selection.anchor_fit(seeds, scenes, ("duet", "studio", "street"), (1, 2, 3, 6, 10))
tell(sizes, "sizes", "Mean IoU of a box with the best of so many sizes.", digits=2, index=["series"])
studies = [selection.selections(seeds, scenes // 2), selection.placements(seeds, scenes)]
run.judge("pandanet", pd.concat(studies, ignore_index=True), "C")

# %% [markdown]
# Selection by pose does drop the anchors between two people where the regressor averages them, and nothing else. Whether that is worth anything in 3DPCK or AP (Table 1:
# 0.1 to 2.5 points) this run cannot see; with a perfect regressor it does nothing at all.
#
# **Where people are** follows from a pose of known size and its joints in the picture. The farther away, the more a pixel is worth, and the linear solution pulls far people
# towards the camera:

# %% tags=["nbval-ignore-output"]
tell(
    selection.placement(seeds, 20 if few else 100),
    "placement",
    "Depth of a person by reprojection, by distance in m.",
    digits=2,
)
tell(
    selection.noisy_readout(seeds, 20 if few else 100),
    "noisy",
    "Pose and root at 10 m from noisy predictions, by 2D noise in px.",
)

# %% [markdown]
# **Weights that are learnt.** PandaNet weighs its losses by learnt numbers. Let the losses stand still: gradient descent then makes each weight 1 / loss. Equation 13 as it
# is printed lacks one regulariser, and its total falls for ever:

# %% tags=["nbval-ignore-output"]
weights = selection.weighting()
weights = weights[weights["x"].isin((0, 5, 100, 400))]
tell(weights, "weights", "Learnt weights while the losses stand still, by step.", digits=2)

# %% [markdown]
# ## 10. The ceiling of each
#
# **The question** of the notebook: how many people survive being written and read? Crowds of 1 to 30 people in a picture of 256 x 160 px, maps of stride 4, one tolerance: half a cell,
# 50 mm. It is not one contest. Tags and fields have to find joints and whose they are; pose maps are *given* that, and have to find the bones; for root depth, anchors and top-down it
# only counts whether there is a place for somebody: a cell of their own, an anchor, a box that suppression at 0.5 leaves.

# %% tags=["nbval-ignore-output"]
crowded = ceiling.ceiling(seeds, 1 if few else 8, (1, 3, 8) if few else (1, 2, 3, 5, 8, 12, 20, 30))
show(crowded, "ceiling", "What comes back, by the number of people.", "people in the picture", "carried, %")
strides = ceiling.ceiling_by_stride(seeds, 1 if few else 8)
tell(strides, "by_stride", "The same for eight people, by the stride of the maps in px, %.")
tell(ceiling.meeting(seeds, 2 if few else 8), "meeting", "The same for two who come together, by their gap in mm, %.")
trip = ceiling.round_trip(seeds, scenes // 4).set_index(["people", "labels", "stride"])
run.table(trip, "SMAP's chain on ideal maps, to the end.", "round_trip", seeds=len(seeds))
who = ceiling.lost(crowd(12, seed, 1)).groupby(["coding", "reason"])
who = who.agg(people=("person", "nunique"), joints=("joints", "sum"))
run.table(who, "Who is lost in one crowd of twelve.", "lost")

# %% [markdown]
# ## 11. What the papers leave open, and what we chose
#
# - *Occluded joints in the maps.* Drawn (ORPM-AE's data have them) or not (what a network can learn): section 6 shows both.
# - *Ties.* Two equal neighbouring cells are one peak here, none in SMAP's release.
# - *Which person owns a cell.* Heatmaps: the maximum; tags: whose joint is nearer to the cell's centre; pose maps, root depth: the nearer person; affinity fields and part depth: the
#   mean, as SMAP has it.
# - *Anchors that overlap nobody* belong to nobody; an argmax would give them to person 0.
#
# ## 12. Exercises
#
# **1.** Three neighbouring values of a Gaussian; how far is its top from the middle one, in cells? *Hint*: a parabola through the logarithms.


# %%
def top(low, middle, high):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(top, exercises.top, (np.exp(-0.5), 1.0, np.exp(-0.5)), (np.exp(-0.28125), np.exp(-0.03125), np.exp(-0.78125)))

# %% [markdown]
# **2.** An isolated person loses each joint with probability p. How likely is a wrist (five sites: shoulder, elbow, wrist, neck, pelvis) still read exactly, by the naive read-out and by the
# paper's? Only the wrist's own bone counts. *Hint*: when is nothing left?


# %%
def wrist_is_read(p):
    return ...  # your answer: naive, paper


# %% tags=["nbval-check-output"]
exercise(wrist_is_read, exercises.wrist_is_read, (0.1,), (0.5,))

# %% [markdown]
# **3.** Two boxes of the same size, apart by a share d of their width: their IoU, and up to which d does NMS at 0.5 remove one of them? *Hint*: which part of a width is shared, which part
# covered by either?


# %%
def iou_apart(d):
    return ...  # your answer: the IoU, and that d


# %% tags=["nbval-check-output"]
exercise(iou_apart, exercises.iou_apart, (0.25,), (1 / 3,), (1.5,))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - A coding has a ceiling of its own. A difference between variants that stay below it may be the network's; where one reaches it, it is the coding's.
# - Redundancy pays where detections are lost. Knowing how long a bone may be pays where maps are noisy, while the order of people makes no difference that this run can see.
#   Normalisation pays where lenses change and the focal length is known. Finer maps pay everywhere but for anchors.
# - Next: [`threedmppe.ipynb`](threedmppe.ipynb), which needs none of this, a crop for everybody.
#
# **References**: A. Newell et al., *Associative Embedding*, NeurIPS 2017. Z. Cao et al., *OpenPose*, TPAMI 2019 (part affinity fields). D. Mehta et al., *Single-Shot Multi-Person 3D Pose
# Estimation*, 3DV 2018 (ORPM). A. Benzine et al., ICIP 2019 (ORPM-AE) and CVPR 2020 (PandaNet). J. Zhen et al., *SMAP*, ECCV 2020. To cite this project see `CITATION.cff`.
