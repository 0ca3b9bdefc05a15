# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Worlds to train on: pictures whose truth is known to the last digit
#
# ![Pictures of four synthetic worlds](../figures/worlds/cpu/worlds.jpg)
#
# Four rows, four worlds: `duet`, `studio`, `street`, `solo`. They stand in for MuPoTS-3D, CMU Panoptic, JTA and Human3.6M wherever a notebook
# trains, so that nobody has to sign a licence before the first result. Afterwards you know how such a picture is made, what is true about it,
# and what of the real data it keeps and what not.
#
# - **Time and memory**: 30 s on a laptop (`smoke`: 15 s), 1 GB. Nothing is trained.
# - **Data**: the synthetic worlds `duet`, `studio`, `street` and `solo`, drawn here; real poses of `tdbu_mupots` where they are at hand (section 5).
# - **You need**: [`start.ipynb`](start.ipynb) for the camera.

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper; smoke draws fewer pictures, the others do the same
seed: int = 0  # of people, places and light
data: str = "synthetic"  # the only choice here
samples: str = ""  # folder of the TDBU release's files for section 5; default: the variable MP3D_SAMPLES
out: str = ""  # folder for figures and tables; default: runs/worlds/PROFILE

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd

from mp3d import exercises, plots
from mp3d.data import tdbu_outputs
from mp3d.experiments import video, world_statistics
from mp3d.notebook import begin, exercise, source, table
from mp3d.synthetic import render as renderer
from mp3d.synthetic.body import ray_capsule
from mp3d.synthetic.mupots import mupots_takes
from mp3d.synthetic.render import render
from mp3d.synthetic.stream import Stream
from mp3d.synthetic.worlds import WORLDS, takes

run = begin("worlds", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %% [markdown]
# ## 1. A person is nineteen capsules
#
# A capsule is all that lies within a radius of a line: a limb. Nineteen of them make a body; a nose and hair are added, so that one
# sees where the face is. To draw one, ask of every pixel's ray where it enters. With a pencil: the ray straight ahead, $(0, 0, 1)$, meets a capsule that lies
# across the view from $(-200, 0, 3000)$ to $(200, 0, 3000)$ with radius 50 at $z = 2950$. Another one, from $(0, 0, 2000)$ to $(0, 300, 2000)$ with radius
# 40, at 1960. The nearest wins: that is a depth buffer. A joint at $(0, 0, 3000)$ in the first capsule is **hidden** by the second, and by nothing else
# than this comparison: 1960 comes before 2950, the skin around the joint.

# %% tags=["nbval-check-output"]
symbols = [
    ("points", "(N, P, 22, 3)", "mm", "joints, hands, toes and nose of P people in N pictures, camera frame"),
    ("k", "(N, 4)", "px", "fx, fy, cx, cy"),
    ("depth", "(N, H, W)", "mm", "what each pixel's ray meets first"),
    ("instance", "(N, H, W)", "-", "whose it is: a person's number, -1 background, -2 a thing"),
    ("visibility", "(N, P, 17)", "-", "0 outside the picture, 1 hidden, 2 visible"),
]
table(pd.DataFrame(symbols, columns=["symbol", "shape", "unit", "meaning"]), "Symbols.")
first = np.array([[-200.0, 0, 3000], [0, 0, 2000]])
last = np.array([[200.0, 0, 3000], [0, 300, 2000]])
print("enters at", ray_capsule(np.array([[0.0, 0, 1]]), first, last, np.array([50.0, 40])).round(6).tolist()[0])

# %% [markdown]
# The renderer does this for a batch in one go: each solid is bounded by a rectangle of pixels, all pairs (solid, pixel) are tested at once, and one
# `scatter_reduce` keeps the nearest. The depth's bits and the pair's number make one integer, and the least of these is the nearest:

# %%
source(renderer._nearest)

# %% [markdown]
# ## 2. Pictures
#
# **The question**: do they look as intended? There is no number for that. Look at the sheet.

# %%
pictures = {name: render(takes(name, 4, seed), 256, 160, seed + i) for i, name in enumerate(WORLDS)}

# %% tags=["nbval-ignore-output"]
shown = [image for drawn in pictures.values() for image in drawn.batch.image.permute(0, 2, 3, 1).numpy()]
kinds = [f"{name}: {kind.replace('_', ' ')}" for name in WORLDS for kind in takes(name, 4, seed).kind]
run.picture(plots.sheet(shown, kinds, columns=4, width=880), "worlds", "Four pictures of each world.")

# %% [markdown]
# What one picture comes with: the picture; the joints, as dots where they are visible and as rings where they are hidden;
# depth, the nearer the darker; and whose each pixel is.

# %% tags=["nbval-ignore-output"]
one = pictures["studio"]
image, depth, whose = plots.layers(
    one.batch.image[0].permute(1, 2, 0).numpy(), one.depth[0].numpy(), one.instance[0].numpy()
)
people = plots.drawn_people(image, one.batch.uv[0].numpy(), one.batch.visibility[0].numpy(), scale=2)
run.picture(
    plots.sheet([image, people, depth, whose], columns=4, width=880), "layers", "A picture and what is known of it."
)

# %% [markdown]
# ## 3. Is it exact?
#
# The same question, answered by other code: `body.visibility` tests the ray through each joint against every capsule in double precision, one scene after
# the other, without a picture. It knows people alone. The renderer also has things (posts, crates, stools, tables, balls), and other people's hair: what
# these hide is hidden in the picture alone. Nothing may be seen that the exact test hides. (Without things and hair the two agree in every joint that was
# tried; the tests ask for 99 %.)

# %%
rows = {}
for name in ("duet", "studio", "solo"):
    exact = takes(name, 16 if run.profile == "smoke" else 200, seed + 1)
    drawn = render(exact, 256, 160, seed).batch.visibility.numpy()
    both = (drawn > 0) & (exact.visibility > 0)
    rows[name] = {"joints": both.sum(), "same, %": 100 * (drawn == exact.visibility)[both].mean()}
    rows[name]["hidden in the picture alone, %"] = 100 * ((drawn == 1) & (exact.visibility == 2))[both].mean()
    rows[name]["seen though hidden, %"] = 100 * ((drawn == 2) & (exact.visibility == 1))[both].mean()

# %% tags=["nbval-ignore-output"]
run.table(pd.DataFrame(rows).T, "The picture's visibility against the exact test.", "exact", digits=2,
          protocol="256 x 160 px; joints inside both images; without things: tests/synthetic/test_render.py")  # fmt: skip

# %% [markdown]
# ## 4. What the worlds keep, in numbers
#
# **The question**: are there as many people, as far away, as much hidden and overlapping as in the real data? Lines are the worlds; diamonds are what is printed
# or known of the data set that each mirrors, and there is little: hardly a paper says how much of its test set is hidden.

# %% tags=["nbval-ignore-output"]
folder = video.folder(samples)
videos = list(tdbu_outputs.read(folder)) if folder and run.profile != "smoke" else []
measured = world_statistics.table(24 if run.profile == "smoke" else 256, seed, "test", videos)
run.show(
    plots.world_statistics(measured, world_statistics.PUBLISHED, world_statistics.QUANTITIES),
    "statistics",
    "How many people, how far, how high in pixels, how much hidden, outside and overlapping, in each world.",
)

# %% [markdown]
# Three further splits make things hard on purpose: `fov`, focal lengths and distances both larger by a factor (2 for `duet`), so that
# every field of view is narrower than any in training and people are as high in the picture as there; `overlap`, two boxes with
# an IoU above 0.3 in every picture; `border`, somebody cut by the border in every one.

# %% tags=["nbval-ignore-output"]
hard, words = [], []
for split in ("fov", "overlap", "border"):
    some = takes("duet", 4, seed, split)
    hard += list(render(some, 256, 160, seed).batch.image.permute(0, 2, 3, 1).numpy()[:3])
    words += [split] * 3
run.picture(plots.sheet(hard, words, columns=3, width=660), "splits", "The hard splits of duet.")

# %% [markdown]
# ## 5. Real motion
#
# Motion by rules is smooth and purposeful, but poorer than people's. Where the poses are at hand that TDBU published for MuPoTS-3D's videos, `duet` can be
# filled with them: real interactions, as somebody's network saw them, drawn by the same renderer with the same truth. Their `motion` says so, for good:

# %% tags=["nbval-ignore-output"]
if videos:
    real = mupots_takes(videos, seed, 6)
    shown = list(render(real, 256, 160, seed).batch.image.permute(0, 2, 3, 1).numpy())
    run.picture(plots.sheet(shown, [f"{s}, motion: {real.motion}" for s in real.sequence], columns=3, width=660), "real_motion",
                "Poses that TDBU published for MuPoTS-3D, drawn as duet.")  # fmt: skip
else:
    print("The release is not at hand: mp3d data fetch tdbu_mupots")

# %% [markdown]
# ## 6. Left and right
#
# A network has to tell a left arm from a right one. If it could do so by colour, it would learn nothing else. So clothes, hair, face and the print on a shirt are
# mirror images of themselves; what is left to go by is what we go by: where the face, the chest and the toes are, and which way knees and elbows
# bend. `tests/synthetic/test_render.py` draws people and their mirror images,
# and compares the pictures.
#
# ## 7. A stream to train on
#
# `Stream` is a pure function of the step, so that a training which was killed goes on with the pictures it would have had. It keeps one block of pictures; each is
# shown a few times, in another company.

# %% tags=["nbval-check-output"]
stream = Stream("duet", seed, 64, 40, batch=4, reuse=2, block=8)
batch = stream(5)
print(tuple(batch.image.shape), batch.image.dtype, "uv", tuple(batch.uv.shape))
print(
    "the same step, asked of another stream:",
    bool((Stream("duet", seed, 64, 40, 4, reuse=2, block=8)(5).image == batch.image).all()),
)

# %% [markdown]
# ## 8. Exercises
#
# **1.** How many pixels high is somebody of 1.7 m at a distance, in a picture with a focal length in px? *Hint*: similar triangles, and forget the
# camera's height.


# %%
def height_in_px(height, distance, focal):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(height_in_px, exercises.height_in_px, (1700, 10000, 1158), (1700, 4000, 1500))

# %% [markdown]
# **2.** A ball of radius r mm, its centre at (0, 0, z): how large is the radius of its outline, in px? *Hint*: not f r / z. The ray that touches the ball makes a right
# angle with the radius.


# %%
def outline(radius, z, focal):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(outline, exercises.outline, (110, 3000, 150), (500, 1000, 1000))

# %% [markdown]
# **3.** A depth buffer in four lines: for each pixel the number of the nearest surface (of equals the first), -1 for none. `pixel[i]` is where surface i is seen, `depth[i]` how far.
# *Hint*: a loop will do.


# %%
def nearest(pixel, depth, pixels):
    return ...  # your answer


# %% tags=["nbval-check-output"]
exercise(nearest, exercises.nearest, ([0, 1, 1, 3], [5.0, 4.0, 3.0, 9.0], 4), ([2, 2], [1.0, 1.0], 3))

# %% tags=["nbval-check-output"]
run.finish()

# %% [markdown]
# ## What to keep, and what next
#
# - These pictures are honest about geometry and poor in everything else: no cloth, no hands, few places. A number measured on them says which of two
#   methods is better *here*.
# - Every world's docstring says what it keeps (`mp3d.synthetic.worlds`).
# - Next: [`codings.ipynb`](codings.ipynb), what can be written into maps over such a picture; [`threedmppe.ipynb`](threedmppe.ipynb), a baseline trained on them.
#
# **References**: D. Mehta et al., 3DV 2018 (MuPoTS-3D). H. Joo et al., ICCV 2015 (CMU Panoptic). M. Fabbri et al., ECCV 2018 (JTA). C. Ionescu et al.,
# TPAMI 2014 (Human3.6M). C. Ericson, *Real-Time Collision Detection*, 2005 (capsules). To cite this project see `CITATION.cff`.
