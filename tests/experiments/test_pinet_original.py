"""PI-Net's own experiment on fixtures in its authors' formats."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from mp3d.data.writers import threedmppe as writer
from mp3d.errors import BadInput
from mp3d.experiments import pinet_original
from mp3d.papers.pinet import PINetConfig
from mp3d.published import load

MUCO, MUPOTS = "MuCo-3DHP_with_posenent_result_filter.json", "MuPoTS-3D_with_posenet_result.json"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authors")
    writer.fixture(folder)
    return folder


def test_the_files_give_pinets_input(files):
    images, people = pinet_original.read(files / MUPOTS, PINetConfig(order="near2d"))
    assert people.lengths.tolist() == [len(image.poses) for image in images for _ in image.poses]
    error = (people.poses - people.truth)[people.real].numpy()  # padding stays out
    np.testing.assert_allclose(error, np.broadcast_to(writer.ERROR, error.shape), atol=1e-6)


def test_from_the_command_line_to_table_2(files, tmp_path, monkeypatch):
    import typer

    app = typer.Typer()
    app.command()(pinet_original.main)
    small = pinet_original.pinet.PROFILES["smoke"]
    monkeypatch.setitem(pinet_original.pinet.PROFILES, "paper", small)
    call = [str(files / MUCO), str(files / MUPOTS), "--out", str(tmp_path), "--steps", "2"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert re.search(r"2 steps of batch 16", done.output)
    table = pinet_original.table2(files / MUPOTS, pinet_original.PINet.load(tmp_path / "network.pt"))
    assert (tmp_path / "table_2.csv").read_text().startswith("metric,mm,TS1,TS10,AVG,")
    # an error that is the same at all joints: none after root alignment
    assert table.loc[("mpjpe", "input, here"), ["TS1", "TS10", "AVG"]].max() == pytest.approx(0, abs=1e-6)
    assert table.loc[("mpjpe", "input, paper"), "AVG"] == load("pinet").number("T2_mpjpe/3DMPPE/AVG")
    assert table.loc[("pa_mpjpe", "refined, paper"), "TS20"] == load("pinet").number("T2_pa/PI-Net/S20")
    assert table.loc[("mpjpe", "refined, here"), "AVG"] > 0
    again = (tmp_path / "network.pt").stat().st_mtime_ns
    assert CliRunner().invoke(app, call).exit_code == 0
    assert (tmp_path / "network.pt").stat().st_mtime_ns == again  # it is read, not trained again


def test_a_file_without_posenets_poses_is_refused(files):
    with pytest.raises(BadInput, match="keypoints_cam_posenet"):
        pinet_original.read(files / "MuPoTS-3D.json", PINetConfig())
