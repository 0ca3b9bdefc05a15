"""The worlds in numbers: by hand on one frame; what is printed has a source."""

from dataclasses import replace

import numpy as np
import pytest

from mp3d.experiments.world_statistics import PUBLISHED, QUANTITIES, measure, summary, table
from mp3d.synthetic.street import EDGES, SHARES
from mp3d.synthetic.worlds import WORLDS, takes


@pytest.fixture(scope="module")
def numbers():
    with pytest.MonkeyPatch.context() as patch:
        for name, world in WORLDS.items():
            patch.setitem(WORLDS, name, replace(world, block=6, people=(world.people[0], min(world.people[1], 8))))
        return table(6), {name: takes(name, 6, 0, "test") for name in WORLDS}


def test_of_every_world_every_quantity_that_it_has(numbers):
    df, drawn = numbers
    assert list(df.columns) == ["world", "split", "motion", "quantity", "value"] and df["value"].notna().all()
    for name, some in drawn.items():
        found = df[df["world"] == name].groupby("quantity")["value"]
        assert set(found.groups) == set(QUANTITIES) - ({"overlap"} if name == "solo" else set())
        np.testing.assert_array_equal(found.get_group("people"), some.people)
        assert found.size()["distance"] == found.size()["height"] == some.people.sum()
    assert df[df["quantity"].isin(["hidden", "outside", "overlap"])]["value"].between(0, 1).all()


def test_one_frame_by_hand(numbers):
    """Scenes say the same as the arrays."""
    _, drawn = numbers
    some = drawn["studio"][:1]
    (scene,) = some.scenes()
    df = measure(some).groupby("quantity")["value"].apply(list)
    np.testing.assert_allclose(df["distance"], np.linalg.norm(scene.roots, axis=-1) / 1000)
    np.testing.assert_allclose(df["height"], scene.boxes[:, 3])
    visibility = scene.visibility
    assert df["outside"] == pytest.approx([(visibility == 0).mean()])
    assert df["hidden"] == pytest.approx([(visibility == 1).sum() / (visibility > 0).sum()])


def test_quantiles(numbers):
    df, _ = numbers
    rows = summary(df)
    assert (rows["low"] <= rows["median"]).all() and (rows["median"] <= rows["high"]).all()
    one = rows[(rows["world"] == "duet") & (rows["quantity"] == "people")].iloc[0]
    value = df[(df["world"] == "duet") & (df["quantity"] == "people")]["value"]
    assert one["n"] == 6 and one["mean"] == value.mean() and one["motion"] == "rules"


def test_known_numbers_have_a_source_and_a_meaning():
    assert PUBLISHED["source"].str.len().min() > 10
    assert set(PUBLISHED["world"]) <= set(WORLDS) and set(PUBLISHED["quantity"]) <= set(QUANTITIES)
    assert set(PUBLISHED["what"]) == {"share", "least", "most", "mean"}
    assert (PUBLISHED["share"].notna() == (PUBLISHED["what"] == "share")).all()
    jta = PUBLISHED[(PUBLISHED["world"] == "street") & (PUBLISHED["quantity"] == "distance")]
    shares = jta[jta["what"] == "share"]
    assert shares["value"].tolist() == list(EDGES[1:-1])
    np.testing.assert_allclose(shares["share"], np.cumsum(SHARES)[:-1], atol=1e-9)
    mupots = PUBLISHED[PUBLISHED["world"] == "duet"]["share"].iloc[0]
    assert 2 * mupots + 3 * (1 - mupots) == pytest.approx(20899 / 8370)  # people a frame
    assert PUBLISHED[PUBLISHED["world"] == "studio"]["value"].item() == pytest.approx(0.12, abs=0.005)  # 88 % inside
