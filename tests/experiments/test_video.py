"""Real people: folds by video, and the two-sided comparison on the published poses (with MP3D_SAMPLES)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mp3d.errors import BadInput
from mp3d.experiments import video
from mp3d.experiments.pinet import spread
from mp3d.papers.pinet import PINet, PINetConfig


def test_the_folder_is_the_parameter_or_the_variable_or_none(monkeypatch, tmp_path):
    for variable in ("MP3D_SAMPLES", "MP3D_DATA"):
        monkeypatch.delenv(variable, raising=False)
    assert video.folder("") is None
    assert video.folder(str(tmp_path)) == tmp_path
    monkeypatch.setenv("MP3D_SAMPLES", str(tmp_path))
    assert video.folder("") == tmp_path
    monkeypatch.setenv("MP3D_DATA", str(tmp_path))
    assert video.folder("") == tmp_path  # nothing fetched yet
    (tmp_path / "tdbu_mupots").mkdir()
    assert video.folder("") == tmp_path / "tdbu_mupots"
    with pytest.raises(BadInput, match="samples"):
        video.folder(str(tmp_path / "nowhere"))


def test_videos_are_never_divided_between_folds(samples):
    scenes = video.people(str(samples), "smoke")
    assert min(len(scene.people) for scene in scenes) >= 2
    parts = video.folds(scenes, seed=3)
    assert sorted(np.concatenate(parts)) == list(range(len(scenes)))
    names = [{scenes[i].sequence for i in part} for part in parts]
    assert sum(map(len, names)) == len(set.union(*names)) == len(video.SMOKE)


def test_a_study_across_videos(samples, tmp_path):
    table = spread(video.study(Path(samples), "smoke", tmp_path).table())
    assert set(table["variant"]) == {"input_video", "composited_video", *video.NETWORKS}
    assert set(table["scene"]) == {f"TS{n}" for n in video.SMOKE}
    assert table.query("variant == 'input_video'")["mpjpe"].between(80, 260).all()
    ridge = video.ridge(Path(samples), "smoke")
    before, after = (
        ridge.query(f"variant == '{v}'")["mpjpe"].mean() for v in ("ridge_input_video", "ridge_self_video")
    )
    assert after < before
    assert len(video.by_video(pd.concat([ridge, table]))) == len(video.SMOKE)


def test_an_untrained_network_moves_people_and_the_truth_stays(samples):
    layers, track, checks = video.before_after(Path(samples), PINet(PINetConfig(hidden=8)), "smoke")
    assert layers["estimate"].shape == layers["refined"].shape and len(track) == 150
    assert (checks["px before"] < 30).all() and (checks["moved, mm"] > 50).all()
