import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mp3d.study as module
from mp3d.errors import BadInput
from mp3d.study import Study, UnitFailed, digest, interval, matrix, share, summary, write_json

SCENES = ["A", "B", "C"]


def draw(config, seed):
    """A unit: leaves a mark in its folder whenever it runs, and fails or is killed where told to."""
    with Path(config["log"]).open("a") as log:
        log.write(f"{config['name']}-{seed}\n")
    if config.get("fails_at") == seed:
        raise ValueError("diverged")
    if config.get("killed_at") == seed:
        raise KeyboardInterrupt
    values = np.random.default_rng([len(config["name"]), seed]).normal(100, 10, 3)
    return pd.DataFrame({"scene": SCENES, "n": [2, 3, 4], "mpjpe": values, "pck3d": [1 / 3, np.nan, 0.1]})


def broken(config, seed):
    return config["result"] if isinstance(config["result"], str) else pd.DataFrame(config["result"])


def study(folder, **changes):
    variants = {name: {"name": name, "log": str(folder / "log")} for name in ("one", "other")}
    for variant, extra in changes.items():
        variants[variant] |= extra
    return Study("toy", draw, variants, (0, 1), folder / "units")


def ran(folder):
    return (folder / "log").read_text().split()


def test_a_row_for_each_variant_seed_and_scene(tmp_path):
    table = study(tmp_path).table()
    assert list(table) == ["variant", "seed", "scene", "n", "mpjpe", "pck3d"]
    assert len(table) == 2 * 2 * 3
    expected = np.random.default_rng([5, 1]).normal(100, 10, 3)
    assert matrix(table, "other", "mpjpe").loc[1].tolist() == expected.tolist()


def test_stored_units_return_bit_for_bit_and_do_not_run_again(tmp_path):
    first = study(tmp_path).table()
    pd.testing.assert_frame_equal(study(tmp_path).table(), first, check_exact=True)
    assert len(ran(tmp_path)) == 4


@pytest.mark.parametrize("end, error", [("fails_at", UnitFailed), ("killed_at", KeyboardInterrupt)])
def test_an_interrupted_study_resumes_with_what_is_missing(tmp_path, end, error):
    with pytest.raises(error) as caught:
        study(tmp_path, other={end: 1}).table()
    if error is UnitFailed:
        assert str(caught.value) == "variant 'other', seed 1: ValueError: diverged"
        assert isinstance(caught.value.__cause__, ValueError)
    (tmp_path / "log").unlink()
    again = study(tmp_path)
    assert again.missing() == [("other", 0), ("other", 1)]  # another configuration is another unit
    again.table()
    assert ran(tmp_path) == ["other-0", "other-1"]


def test_two_processes_give_what_one_gives(tmp_path):
    alone = study(tmp_path)
    alone.table()
    failing = study(tmp_path, other={"fails_at": 1})
    with pytest.raises(UnitFailed, match="variant 'other', seed 1: ValueError: diverged"):
        failing.table(workers=2)
    assert failing.missing() == [("other", 1)]
    one, again = (json.loads(units.path("other", 0).read_text())["columns"] for units in (alone, failing))
    assert str(one) == str(again)  # NaN included


def test_a_notebooks_function_cannot_reach_other_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "__module__", "__main__")
    with pytest.raises(BadInput, match="workers=1"):
        study(tmp_path).table(workers=2)


def test_configuration_data_and_code_decide_the_unit(tmp_path):
    source = tmp_path / "model.py"
    source.write_text("WIDTH = 1\n")
    spec = importlib.util.spec_from_file_location("model", source)
    sys.modules["model"] = model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)

    def path(width=1, data="duet", seed=0):
        return Study("toy", draw, {"one": {"width": width}}, (0,), tmp_path, data, (model,)).path("one", seed)

    first = path()
    assert path() == first
    assert len({first, path(width=2), path(data="studio"), path(seed=1)}) == 4
    source.write_text("WIDTH = 2\n")
    assert path() != first


def test_what_cannot_be_hashed_is_refused():
    with pytest.raises(BadInput, match="found object"):
        digest({"width": object()})


def test_time_left_is_judged_by_stored_units(tmp_path):
    units = study(tmp_path)
    assert units.seconds_left() is None
    units.table()
    units.path("one", 0).unlink()
    stored = [json.loads(units.path(*unit).read_text())["seconds"] for unit in (("one", 1), ("other", 0), ("other", 1))]
    assert units.seconds_left() == pytest.approx(np.mean(stored))
    assert units.seconds_left(workers=2) == pytest.approx(np.mean(stored) / 2)


@pytest.mark.parametrize(
    "result",
    [
        "a number",
        {"scene": ["A"], "n": [1]},
        {"scene": ["A"], "mpjpe": [1.0]},
        {"scene": ["A", "A"], "n": [1, 1], "mpjpe": [1.0, 2.0]},
        {"scene": [], "n": [], "mpjpe": []},
        {"scene": ["A"], "n": [1], "mpjpe": [1.0], "seed": [0]},
    ],
)
def test_a_unit_must_return_scenes(tmp_path, result):
    with pytest.raises(UnitFailed, match="variant 'one', seed 0: BadInput: run"):
        Study("toy", broken, {"one": {"result": result}}, (0,), tmp_path).table()
    assert not list(tmp_path.iterdir())


def test_a_truncated_unit_is_named(tmp_path):
    units = study(tmp_path)
    units.table()
    path = units.path("one", 0)
    path.write_text(path.read_text()[:40])
    with pytest.raises(BadInput, match="delete the file") as error:
        units.table()
    assert error.value.where == str(path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file.json"
    write_json(path, {"old": 1 / 3})
    with pytest.raises(TypeError):
        write_json(path, {"new": [1, object()]})
    assert json.loads(path.read_text()) == {"old": 1 / 3}
    assert list(path.parent.iterdir()) == [path]


class TestInterval:
    def test_closed_forms(self):
        assert interval(np.full((3, 4), 7.0)) == pytest.approx((7, 7, 7))
        mean, low, high = interval(np.array([[2.0]]))
        assert mean == 2 and np.isnan(low) and np.isnan(high)
        weights = np.array([1.0, 3.0])
        assert interval(np.array([[0.0, 4.0], [2.0, 2.0]]), weights)[0] == pytest.approx(2.5)

    def test_seeds_and_scenes_both_count(self):
        by_seed = np.repeat([[-1.0], [0.0], [1.0]], 20, axis=1)
        by_scene = np.repeat(np.linspace(-1, 1, 20)[None], 3, axis=0)
        for values in (by_seed, by_scene):
            _, low, high = interval(values)
            assert low < -0.2 and high > 0.2

    def test_one_row_resamples_columns_alone(self):
        values = np.random.default_rng(0).normal(0, 1, (1, 400))
        _, low, high = interval(values)
        assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)

    @settings(max_examples=10)
    @given(st.integers(0, 1000))
    def test_shift_and_scale(self, seed):
        values = np.random.default_rng(seed).normal(0, 1, (3, 5))
        moved = np.array(interval(10 + 2 * values))
        assert moved == pytest.approx(10 + 2 * np.array(interval(values)))
        assert interval(values) == interval(values)

    @pytest.mark.parametrize("seeds, spread", [(3, (1, 0.3)), (3, (0.05, 1)), (5, (1, 0.3))])
    def test_it_holds_the_truth_as_often_as_it_says(self, seeds, spread):
        rng, hits = np.random.default_rng(0), 0
        for _ in range(100):
            noise = rng.normal(0, 0.3, (seeds, 20))
            values = noise + rng.normal(0, spread[0], (seeds, 1)) + rng.normal(0, spread[1], (1, 20))
            _, low, high = interval(values)
            hits += low <= 0 <= high
        assert hits >= 90


class TestSummary:
    def test_means_by_instance_and_by_scene(self, tmp_path):
        table = study(tmp_path).table()
        rows = table[table["variant"] == "one"]
        by_instance, by_scene = (summary(table, ["mpjpe"], by) for by in ("instance", "scene"))
        assert by_instance.loc["one", ("mpjpe", "mean")] == pytest.approx(np.average(rows["mpjpe"], weights=rows["n"]))
        assert by_scene.loc["one", ("mpjpe", "mean")] == pytest.approx(rows["mpjpe"].mean())
        assert by_instance.attrs["protocol"].startswith("2 seeds x 3 scenes, mean by instance, 95 %")

    def test_scenes_without_a_value_are_left_out(self, tmp_path):
        mean = summary(study(tmp_path).table(), ["pck3d"], "scene").loc["one", ("pck3d", "mean")]
        assert mean == pytest.approx((1 / 3 + 0.1) / 2)

    def test_bad_tables(self, tmp_path):
        table = study(tmp_path).table()
        with pytest.raises(BadInput, match="'image'"):
            summary(table, ["mpjpe"], "image")
        with pytest.raises(BadInput, match="twice"):
            summary(pd.concat([table, table]), ["mpjpe"])
        table.loc[0, "n"] = 99
        with pytest.raises(BadInput, match="several values for scene 'A'"):
            summary(table, ["mpjpe"])


def test_a_digest_sees_what_code_does_and_not_how_it_is_told():
    told = '"""A module."""\n\ndef f(x: int) -> int:\n    """Twice."""\n    return 2 * x  # twice\n'
    plain, other = "def f(x):\n    return 2 * x\n", "def f(x):\n    return 3 * x\n"
    assert module._meaning(told) == module._meaning(plain) != module._meaning(other)
    assert digest(1, "a") == digest(1, "a") != digest(1, "b")
    assert digest(1, code=(module,)) != digest(1, code=(digest,)) != digest(1)


def with_network(config, seed):
    """A unit that needs a network, which another unit may have made."""
    file = Path(config["folder"]) / "network.pt"
    share(file, lambda: file.write_text("weights"))
    return pd.DataFrame({"scene": ["a"], "n": [1], "error": [float(seed)]})


def test_what_units_share_is_made_once_and_its_time_is_found(tmp_path):
    variants = {name: {"folder": str(tmp_path), "name": name} for name in ("one", "other")}
    units = Study("s", with_network, variants, (0,), tmp_path / "units")
    units.table()
    made, found = units.shared()
    assert made == set(found) == {str(tmp_path / "network.pt")}
    (tmp_path / "network.pt.seconds").write_text("60.0")
    later = Study("later", with_network, variants, (1,), tmp_path / "units")
    later.table()
    assert later.shared() == (set(), {str(tmp_path / "network.pt"): 60.0})
    assert later.seconds_kept() < 60
