"""What holds for all tests: checked shapes, few examples, one thread, real files if any."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Before any module of mp3d is imported: every annotated shape is checked in every call. Two modules make
# closures by the thousand, and wrapping each of them would take minutes.
ROOT = Path(__file__).resolve().parents[1]
UNCHECKED = {"mp3d.synthetic.motion", "mp3d.synthetic.interactions"}
MODULES = {".".join(f.relative_to(ROOT).with_suffix("").parts) for f in (ROOT / "mp3d").rglob("[!_]*.py")}
PACKAGES = {".".join(f.parent.relative_to(ROOT).parts) for f in (ROOT / "mp3d").glob("*/__init__.py")}
install_import_hook(sorted(MODULES | PACKAGES - {"mp3d.synthetic"} - UNCHECKED), "beartype.beartype")

settings.register_profile("mp3d", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("mp3d")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small tensors: more threads only wait for one another, the more so under pytest-xdist."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real files (`MP3D_SAMPLES`); without it tests that need it are skipped."""
    folder = os.environ.get("MP3D_SAMPLES", "")
    if not folder:
        pytest.skip("MP3D_SAMPLES is not set: the folder of small real files, see CONTRIBUTING.md")
    if not Path(folder).is_dir():
        pytest.fail(f"MP3D_SAMPLES is set to {folder!r}, which is not a folder")
    return Path(folder)


TOY = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A toy

# %% tags=["parameters"]
profile: str = "auto"  # smoke, cpu, gpu or paper
seed: int = 0  # of everything random
budget: float = 1.0  # multiplies the training steps
out: str = ""  # folder for results

# %% tags=["nbval-check-output"]
from mp3d.notebook import begin

run = begin("toy", globals())

# %% tags=["nbval-ignore-output"]
run.provenance()

# %%
import pandas as pd
import plotly.graph_objects as go

line = go.Scatter(x=[1, 2], y=[run.seed, run.budget])
run.show(go.Figure(line, layout={"title": "A line", "template": "none"}), "a_line")
run.table(pd.DataFrame({"budget": [run.budget]}), "What it was.", "budget")

# %% tags=["nbval-check-output"]
run.finish()
"""


@pytest.fixture
def toy(tmp_path) -> Path:
    """The root of a project with one small notebook, notebooks/toy.py."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "toy.py").write_text(TOY)
    return tmp_path
