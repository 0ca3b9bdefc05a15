"""begin() refuses what papermill lets pass; what is shown is stored; nothing is half written."""

import json
from statistics import fmean

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest

from mp3d import notebook
from mp3d.claims import judge, load_claims, read
from mp3d.errors import BadInput
from mp3d.notebook import begin, exercise, resolve_profile, source, table
from mp3d.plots.style import MAX_POINTS
from mp3d.study import Study

PARAMETERS = """profile: str = "auto"  # size
seed: int = 0
budget: float = 1.0
out: str = ""
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Begin a run as papermill would, with these parameters injected."""
    monkeypatch.delenv("MP3D_PROFILE", raising=False)

    def start(**injected):
        values = {"profile": "smoke", "out": str(tmp_path / "results"), **injected}
        cell = "# Parameters\n" + "".join(f"{k} = {v!r}\n" for k, v in values.items())
        space = {"In": ["", PARAMETERS, cell, "run = begin('toy', globals())"]}
        exec(PARAMETERS + cell, space)
        return begin("toy", space)

    return start


# ----------------------------------------------------------------------------------------- begin
def test_begin_takes_what_is_declared_and_prints_names_alone(start, tmp_path, capsys):
    run = start(seed=3, budget=2)
    assert capsys.readouterr().out == "toy: parameters profile, seed, budget, out\n"
    assert (run.profile, run.seed, run.budget) == ("smoke", 3, 2.0)
    assert run.out == tmp_path / "results"
    assert run.device.type in ("cpu", "cuda")


def test_data_may_be_a_folder_that_is_there_where_a_notebook_reads_some(tmp_path):
    space = {"In": ["profile: str = 'smoke'\nseed: int = 0\ndata: str = 'synthetic'\nout: str = ''"]}
    space |= {"profile": "smoke", "seed": 0, "out": str(tmp_path / "results")}
    for folders in (False, True):
        begin("toy", space | {"data": "synthetic"}, folders)
        with pytest.raises(BadInput, match="data: found '/not/there', expected 'synthetic', "):
            begin("toy", space | {"data": "/not/there"}, folders)
    begin("toy", space | {"data": str(tmp_path)}, folders=True)
    with pytest.raises(BadInput, match="all that this notebook reads"):
        begin("toy", space | {"data": str(tmp_path)})


def test_verdicts_on_other_data_stand_beside_those_on_synthetic_ones(start):
    run = start()
    for data in ("synthetic", "panoptic"):
        run.judge("pinet", None, "audit.gain_pck", data=data)
    run.finish()
    back = json.loads((run.out / "claims.json").read_text())
    assert {v["data"] for v in back} == {"synthetic", "panoptic"}


@pytest.mark.parametrize(
    ("injected", "told"),
    [
        ({"sedd": 1}, "'sedd'.* profile, seed, budget, out .did you mean seed"),
        ({"seed": 0.5}, "seed: found 0.5 .float., expected int"),
        ({"seed": True}, "seed: found True .bool., expected int"),
        ({"seed": "7"}, "seed: found '7' .str., expected int"),
        ({"budget": "much"}, "budget: found 'much' .str., expected float"),
        ({"profile": None}, "profile: found None"),
        ({"profile": "fast"}, "'fast', expected auto, smoke, cpu, gpu, paper"),
    ],
)
def test_begin_refuses_what_is_misspelt_or_mistyped(start, tmp_path, injected, told):
    with pytest.raises(BadInput, match=told):
        start(**injected)
    assert list(tmp_path.iterdir()) == []


def test_begin_wants_profile_and_seed():
    with pytest.raises(BadInput, match="seed: found no such parameter"):
        begin("toy", {"In": ["profile: str = 'smoke'"], "profile": "smoke"})
    with pytest.raises(BadInput, match="profile: found no such parameter"):
        begin("nobody_s", {"In": []})


def test_begin_refuses_a_type_that_it_cannot_check():
    space = {"In": ["profile: str = 'smoke'\nseed: int = 0\nsizes: list = []"]}
    with pytest.raises(BadInput, match="sizes: found annotation list"):
        begin("toy", {**space, "profile": "smoke", "seed": 0, "sizes": []})


def test_begin_refuses_a_folder_that_cannot_be_written_to(start, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(BadInput, match=r"out: found .*file.below .*, expected a folder that can"):
        start(out=str(tmp_path / "file" / "below"))
    assert (tmp_path / "file").read_text() == "kept"


def test_begin_again_in_an_open_notebook(tmp_path):
    """A cell that failed, an old injected cell and values made since do not disturb."""
    old, new = "# Parameters\nsedd = 1\n", "# Parameters\nseed = 1\n"
    space = {"In": ["", PARAMETERS, "1 +", old, new, "steps: int = 5\nerror = 80.2"]}
    exec(PARAMETERS + new + "steps = 5\nerror = 80.2", space)
    space |= {"profile": "smoke", "out": str(tmp_path)}
    assert begin("toy", space).seed == 1


def test_begin_reads_the_script_where_no_history_is_kept(tmp_path, monkeypatch):
    """As under nbval."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "toy.py").write_text("# %%\n" + PARAMETERS)
    monkeypatch.setattr(notebook, "checkout", lambda: tmp_path)
    space = {"In": [""]}
    exec(PARAMETERS.replace("auto", "smoke"), space)
    assert begin("toy", space).out == tmp_path / "runs" / "toy" / "smoke"
    with pytest.raises(BadInput, match="seed: found 'x'"):
        begin("toy", {**space, "seed": "x"})


def test_the_profile_comes_from_parameter_then_environment_then_device(monkeypatch):
    monkeypatch.setenv("MP3D_PROFILE", "paper")
    assert resolve_profile("cpu") == "cpu"
    assert resolve_profile("auto") == "paper"
    monkeypatch.setenv("MP3D_PROFILE", "Cpu")
    with pytest.raises(BadInput, match="variable MP3D_PROFILE: profile: found 'Cpu'"):
        resolve_profile("auto")
    monkeypatch.delenv("MP3D_PROFILE")
    for cuda, profile in ((True, "gpu"), (False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda cuda=cuda: cuda)
        assert resolve_profile("auto") == profile


# --------------------------------------------------------------------------------- show and finish
def figure(points: int = 3) -> go.Figure:
    x = np.arange(points, dtype=float)
    return go.Figure(go.Scatter(x=x, y=x), layout={"title": "A line"})


def test_finish_writes_all_that_was_shown_and_says_where_it_is_from(start, capsys):
    run = start(seed=5)
    run.provenance()
    run.show(figure(), "a_line")
    errors = pd.DataFrame({"mpjpe": [80.123]}, index=["full"])
    run.table(errors, "Errors, mm.", "errors", seeds=3, protocol="root-relative")
    assert sorted(run.out.iterdir()) == []  # not before finish
    run.finish()
    shown = capsys.readouterr().out
    assert "smoke, budget 1, seed 5" in shown
    assert "Errors, mm. Profile smoke, synthetic data, 3 seeds, root-relative." in shown
    assert "Figure a_line: A line" in shown
    assert shown.endswith("toy: finished\n")

    files = {path.name for path in run.out.iterdir()}
    assert files == {"a_line.json", "errors.csv", "index.html", "plotly.min.js", "run.json"}
    back = pd.read_csv(run.out / "errors.csv", index_col=0)
    pd.testing.assert_frame_equal(back, errors)  # all digits, though the table shows one
    assert plotly.io.read_json(run.out / "a_line.json").data[0].type == "scatter"
    facts = json.loads((run.out / "run.json").read_text())
    assert facts["parameters"]["seed"] == 5
    assert facts["files"] == ["a_line.json", "errors.csv"]
    assert {"profile", "revision", "device", "threads", "versions", "seconds", "seconds_from_nothing"} <= set(facts)
    page = (run.out / "index.html").read_text()
    assert "Errors, mm." in page
    assert "http" not in page.replace("http://www.w3.org", "")  # opens without a network


def test_a_run_that_fails_leaves_the_earlier_results(start):
    first = start()
    first.show(figure(), "a_line")
    first.finish()
    before = {path.name: path.read_bytes() for path in first.out.iterdir()}
    second = start(seed=1)
    second.show(figure(4), "a_line")
    with pytest.raises(BadInput):
        second.show(figure(), "A line!")
    assert {path.name: path.read_bytes() for path in first.out.iterdir()} == before
    third = start()
    third.table(pd.DataFrame({"a": [1]}), "Other.", "other")
    third.finish()
    assert not (first.out / "a_line.json").exists()  # a file that the last run did not make


def test_a_figure_holds_at_most_so_many_points(start):
    run = start()
    run.show(figure(MAX_POINTS), "full")
    with pytest.raises(BadInput, match=f"points: found {MAX_POINTS + 1}, expected at most"):
        run.show(figure(MAX_POINTS + 1), "over")
    moving = go.Figure(figure(1000).data, frames=[go.Frame(data=figure(600).data)] * 2)
    with pytest.raises(BadInput, match="points: found 2200"):
        run.show(moving, "frames_count")
    with pytest.raises(BadInput, match="points: found 2500"):
        run.show(go.Figure(go.Heatmap(z=np.zeros((50, 50)))), "a_map")


def test_a_name_must_do_for_a_file(start):
    with pytest.raises(BadInput, match=r"name: found '\.\./up'"):
        start().show(figure(), "../up")


def test_png_where_a_browser_is(monkeypatch, capsys):
    pytest.importorskip("kaleido")
    if notebook.browser() is None:
        pytest.skip("no browser on this machine")
    picture = notebook.png(figure())
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 20_000


@pytest.mark.parametrize("path", ["/bin/false", "/no/such/browser"])
def test_no_png_and_no_error_without_a_browser(monkeypatch, path):
    monkeypatch.setenv("BROWSER_PATH", path)
    assert notebook.png(figure()) is None


# --------------------------------------------------------------------------------- table, exercise
def test_a_table_can_be_read_aloud(capsys):
    df = pd.DataFrame({"a<b": [1.234, np.nan]}, index=["x", "y"])
    html = notebook._html(df, "Less & more.", 2)
    assert "<caption>Less &amp; more.</caption>" in html
    assert html.count('<th scope="row">') == 2
    assert '<th scope="col">a&lt;b</th>' in html
    assert "<th>" not in html
    table(df, "Less & more.", digits=2)
    assert capsys.readouterr().out.split() == ["Less", "&", "more.", "a<b", "x", "1.23", "y"]


def test_source_is_the_library_s_own(capsys):
    source(notebook.Run.finish)
    shown = capsys.readouterr().out
    assert shown.startswith("# mp3d.notebook.Run.finish\ndef finish(self)")
    assert "\n    facts = " in shown  # a method stands at the margin


@pytest.mark.parametrize(
    ("attempt", "verdict"),
    [
        (lambda x: ..., "not yet"),
        (lambda x: None, "not yet"),
        (..., "not yet"),
        (lambda x: 1 / 0, "not yet: ZeroDivisionError: division by zero"),
        (lambda x: sum(x) / 2, "close to the solution: False"),
        (
            lambda x: [sum(x) / len(x)],
            "close to the solution: False",
        ),  # right, but of another shape
        (lambda x: np.mean(x) + 1e-9, "close to the solution: True"),
        (2.0, "close to the solution: False"),
    ],
)
def test_exercise(attempt, verdict, capsys):
    exercise(attempt, fmean, ([1, 2, 3],), ([5, 5],))
    assert capsys.readouterr().out.splitlines()[0] == f"fmean: {verdict}"


def test_exercise_with_a_plain_answer(capsys):
    exercise(2, fmean, ([1, 2, 3],))
    assert capsys.readouterr().out == "fmean: close to the solution: True\nsolution: statistics.fmean\n"


# ---------------------------------------------------------------------------------------- claims
def test_claims_are_kept_with_what_they_ran_on(start, capsys):
    audits = judge(load_claims("pinet"))[:5]
    run = start(budget=0.5)
    run.claims(audits)
    run.finish()
    back = read(run.out / "claims.json")
    assert [verdict.claim for verdict in back] == [verdict.claim for verdict in audits]
    assert {(v.notebook, v.profile, v.data, v.budget) for v in back} == {("toy", "smoke", "synthetic", 0.5)}
    assert f"{audits[0].verdict:<13}{audits[0].claim}" in capsys.readouterr().out
    assert "<caption>Claims. Profile smoke" in (run.out / "index.html").read_text("utf-8")


def unit(config, seed):
    """A unit of a study, for the test below."""
    return pd.DataFrame({"scene": ["A", "B"], "n": [1, 2], "mpjpe": [config["error"] + seed, config["error"]]})


def test_verdicts_of_several_cells_are_kept_together_and_a_study_s_time_counts(start, capsys):
    run = start()
    assert run.workers == 1 and run.cache == run.out / "cache"  # an own folder for results: nothing goes elsewhere
    study = Study("toy", unit, {"pinet": {"error": 90.0}, "input": {"error": 120.0}}, (0, 1), run.cache)
    results = run.study(study)
    assert run._kept_seconds == 0 and len(results) == 8
    run.judge("pinet", results, "T2.mpjpe")
    run.judge("pinet", results, "T2.pa", "audit.gain_pck")
    run.finish()
    found = {verdict.claim: verdict.verdict for verdict in read(run.out / "claims.json")}
    assert found["pinet.T2.mpjpe"] == "holds" and found["pinet.T2.pa"] == "not run"
    assert set(found) >= {"pinet.audit.gain_pck"}
    spent = json.loads((run.out / "run.json").read_text())
    assert spent["seconds"] == spent["seconds_from_nothing"] < 60

    again = start()
    for path in run.cache.glob("*.json"):  # as if each unit had taken 100 s
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 100.0}))
    pd.testing.assert_frame_equal(again.study(study), results)
    again.finish()
    spent = json.loads((again.out / "run.json").read_text())  # two variants, two seeds
    assert spent["seconds"] < 60 and spent["seconds_from_nothing"] == pytest.approx(400 + spent["seconds"], abs=0.11)
    capsys.readouterr()


def test_a_kept_network_counts_once_unless_this_run_made_it(start):
    run = start()
    run._found, run._made = {"a": 100.0, "b": 50.0}, {"b"}
    facts = run.facts()
    assert facts["seconds_from_nothing"] - facts["seconds"] == pytest.approx(100, abs=0.11)


def test_networks_are_shared_by_the_notebooks_of_a_clone(monkeypatch, tmp_path, start):
    monkeypatch.setattr(notebook, "checkout", lambda: tmp_path)
    assert start(out=str(tmp_path / "runs" / "toy" / "cpu")).cache == tmp_path / "runs" / "cache"
    assert start(profile="cpu").workers >= 1
