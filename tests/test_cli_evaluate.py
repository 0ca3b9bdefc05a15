"""`mp3d evaluate`: the table of the metric, what it rests on, and nothing written where something is wrong."""

import numpy as np
import pandas as pd
import pytest
import typer
from scipy.io import savemat
from typer.testing import CliRunner

from mp3d.cli_evaluate import evaluate_app
from mp3d.data.mupots import annotations
from mp3d.data.writers.mupots import fixture
from mp3d.errors import BadInput, MissingData, Mp3dError
from mp3d.metrics import mupots

app = typer.Typer()
app.add_typer(evaluate_app, name="evaluate")


def call(*words) -> str:
    result = CliRunner().invoke(app, ["evaluate", "mupots", *map(str, words)])
    if isinstance(result.exception, Mp3dError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def files(tmp_path):
    """Two videos; person 0 is predicted, half a metre too far; in TS10 also somebody who is not there."""
    fixture(tmp_path)
    preds_2d, preds_3d = {}, {}
    for name in ("TS1", "TS10"):
        truth = annotations(tmp_path, name)
        for frame in np.flatnonzero(truth.valid.any(1)):
            uv, xyz = truth.annot2[frame, :1], truth.univ_annot3[frame, :1] + (0, 0, 500)
            if name == "TS10":
                uv, xyz = np.concatenate([uv, uv + 900]), np.concatenate([xyz, xyz])
            preds_2d[f"{name}_img_{frame:06d}"], preds_3d[f"{name}_img_{frame:06d}"] = uv, xyz
    savemat(tmp_path / "2.mat", preds_2d)
    savemat(tmp_path / "3.mat", preds_3d)
    return tmp_path, "--pred-2d", tmp_path / "2.mat", "--pred-3d", tmp_path / "3.mat"


def test_the_table_its_averages_and_the_protocol(files):
    out = call(*files)
    assert "only 2 of 20 videos are there" in out
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.startswith("TS")}
    assert rows == {"TS1": "60.00", "TS10": "33.33"}  # 3 of 5 people, 3 of 9
    assert "mean of videos" in out and "46.67" in out
    assert "all people" in out and "42.86" in out  # 6 of 14
    assert "people annotated: 14, missed: 8; extra predictions: 3" in out
    for line in (
        "name: MuPoTS-3D, official",
        "truth: univ_annot3",
        "alignment: bone rescaling",
        "uses ground truth: bone lengths",
        "frame: root-relative",
        "people: all annotated people, missed ones wrong",
        "joints: 14 of 17",
        "threshold: error < 150 mm",
        "average: one row a video (published: their plain mean)",
    ):
        assert f"  {line}\n" in out


def test_matched_and_absolute(files):
    out = call(*files, "--matched")
    rows = [line.split()[-1] for line in out.splitlines() if line.startswith(("TS", "mean of videos", "all people"))]
    assert rows == ["100.00"] * 4
    out = call(*files, "--matched", "--absolute")
    assert "frame: absolute" in out and "matched people only" in out
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("TS")] == ["0.00", "0.00"]


def test_csv_holds_the_table(files):
    root, _, two, _, three = files
    call(*files, "--csv", root / "new" / "table.csv")
    first = (root / "new" / "table.csv").read_text().splitlines()[0]
    assert first.startswith("# name: MuPoTS-3D, official") and "uses ground truth: bone lengths" in first
    table = pd.read_csv(root / "new" / "table.csv", index_col=0, comment="#")
    videos = mupots.truth(root, ("TS1", "TS10"))
    pd.testing.assert_frame_equal(table, mupots.evaluate(videos, two, three), rtol=0, atol=1e-12)


def test_other_protocols(files):
    root, *_, three = files
    out = call(root, "--pred-3d", three, "--protocol", "tdbu")  # needs no 2D
    assert "ddddwee1" in out and "250 mm" in out and "missed: 0" in out
    out = call(*files, "--protocol", "smap", "--absolute")
    assert "14 of 15" in out and "PCK_root, pooled over people, at most 150 mm: 0.00" in out


def test_what_is_wrong_is_said_and_nothing_is_written(files):
    root, _, two, _, three = files
    table = root / "table.csv"
    with pytest.raises(BadInput, match="official, tdbu, smap"):
        call(*files, "--protocol", "matlab", "--csv", table)
    with pytest.raises(BadInput, match="--pred-2d"):
        call(root, "--pred-3d", three, "--csv", table)
    with pytest.raises(MissingData, match=r"none\.mat"):
        call(root, "--pred-2d", two, "--pred-3d", root / "none.mat", "--csv", table)
    with pytest.raises(MissingData, match="TS1"):
        call(root / "MultiPersonTestSet" / "TS1", "--pred-2d", two, "--pred-3d", three, "--csv", table)
    savemat(three, {"TS1_img_000000": np.zeros((1, 17, 3))})
    with pytest.raises(BadInput, match=r"3\.mat: TS1_img_000001: found nothing"):
        call(*files, "--csv", table)
    assert not table.exists()


def test_a_file_that_cannot_be_written(files):
    root = files[0]
    (root / "file").write_text("")
    with pytest.raises(BadInput, match="--csv"):
        call(*files, "--csv", root / "file" / "table.csv")
