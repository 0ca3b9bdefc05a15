"""Tables on data sets' own formats: the truth is perfect, what is wrong costs what it should."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mp3d.camera import Camera
from mp3d.data import jta, mupots, panoptic, pictures
from mp3d.data.writers import coco as coco_files
from mp3d.data.writers import human36m as human36m_files
from mp3d.data.writers import jta as jta_files
from mp3d.data.writers import muco as muco_files
from mp3d.data.writers import mupots as mupots_files
from mp3d.data.writers import panoptic as panoptic_files
from mp3d.errors import BadInput, MissingData
from mp3d.experiments import real
from mp3d.experiments.smap import tables
from mp3d.metrics import mupots as official
from mp3d.metrics import panoptic as protocol
from mp3d.metrics.jta import DISTANCES, JOINT_GROUPS
from mp3d.papers.smap import Reading
from mp3d.scene import HIDDEN, VISIBLE, Person, Scene
from mp3d.skeletons import JTA22, MPI17, SMAP15, convert, convert_visibility
from mp3d.synthetic import worlds

SIZE = 208, 128
MUPOTS = {"recall", "precision", "pck_rel", "pck_abs", "pck_root", "pck_rel_all", "pck_abs_all", "pck2d", "pcod"}
PANOPTIC = {"recall", "precision", "pck_rel_all", "pcod", "pck2d"}


def paint(shots):
    for shot in shots:
        shot.path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (shot.scene.camera.width, shot.scene.camera.height)).save(shot.path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with all data sets, each as small as it can be."""
    base = tmp_path_factory.mktemp("data")
    mupots_files.fixture(base / "mupots3d")
    muco_files.fixture(base / "muco3dhp")
    panoptic_files.fixture(base / "panoptic")
    human36m_files.fixture(base / "h36m")
    coco_files.fixture(base / "coco2017")
    annotations = base / "coco2017" / "annotations"
    (annotations / "person_keypoints_val2017.json").rename(annotations / "person_keypoints_train2017.json")
    paint(pictures.from_mupots(base / "mupots3d"))
    paint(pictures.from_human36m(base / "h36m", "test"))
    for sequence, camera, frames in (("160226_mafia1", "00_16", (20, 21)), ("160422_ultimatum1", "00_30", (100, 103))):
        for frame in frames:
            path = panoptic.image_path(base / "panoptic", sequence, camera, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (1920, 1080)).save(path)
    return base


@pytest.fixture(scope="module")
def tests(data):
    return real.load_test(data)


def smap15(person, xyz):
    """In the network's joints; a joint without truth is not found."""
    pose, source = convert(xyz, MPI17, SMAP15)
    uv = convert(person.uv, MPI17, SMAP15)[0]
    return Person(pose, uv, convert_visibility(person.visibility, MPI17, SMAP15), source, skeleton=SMAP15)


def truth(shots, kind, joints="smap15"):
    """A network that knows it all: for each call the people of the next pictures, on their canvases."""
    coming = iter(shots)

    def predict(images, cameras):
        assert images.shape[1:] == (3, SIZE[1], SIZE[0])
        assert len(images) == len(cameras)
        found = []
        for _ in range(len(images)):
            shot = next(coming)
            people = []
            for person in pictures.place(shot, *SIZE).scene.people:
                xyz = person.xyz
                if kind == "mupots3d":  # the official evaluation scores another truth than the one that is seen
                    video = mupots.annotations(shot.path.parents[1], shot.scene.sequence)
                    xyz = video.univ_annot3[shot.scene.frame, person.identity]
                people.append(smap15(person, xyz) if joints == "smap15" else replace(person, xyz=xyz))
            found.append(people[::-1])
        return found

    return predict


def changed(predict, change):
    """A network that does something to each person it knows; None: it misses them."""

    def other(images, cameras):
        people = [[change(n, p) for n, p in enumerate(some)] for some in predict(images, cameras)]
        return [[p for p in some if p is not None] for some in people]

    return other


def run(tests, kind, change=None, joints="smap15"):
    predict = truth(tests[kind], kind, joints)
    predict = predict if change is None else changed(predict, change)
    return real.evaluate(lambda *seen: {"smap": predict(*seen)}, tests[kind], kind, *SIZE, batch=2)


def test_what_is_there_is_found(data, tests, tmp_path):
    assert {kind: len(shots) for kind, shots in tests.items()} == {
        "mupots3d": 6,
        "panoptic": 4,
        "h36m": len(tests["h36m"]),
    }
    assert len(real.load_test(data, every=2)["mupots3d"]) == 3
    for kind in tests:
        assert list(real.load_test(data / kind)) == [kind]  # a data set's own folder
    assert list(real.load_test(data / "mupots3d" / "MultiPersonTestSet")) == ["mupots3d"]
    with pytest.raises(MissingData, match="no test pictures of mupots3d, panoptic, h36m"):
        real.load_test(tmp_path)
    mupots_files.fixture(tmp_path)
    with pytest.raises(MissingData, match=r"img_000000\.jpg: no such picture"):
        real.load_test(tmp_path)


def test_training_pictures_are_found_with_cocos_beside(data, tmp_path):
    shots, flat = real.load_train(data, "mupots3d")
    assert [shot.scene.world for shot in shots] == ["muco3dhp", "muco3dhp"]
    assert [shot.path.parent.name for shot in flat] == ["train2017", "train2017"]
    muco_files.fixture(tmp_path / "muco3dhp")
    assert real.load_train(tmp_path, "mupots3d")[1] == []
    with pytest.raises(MissingData, match="panoptic: not there"):
        real.load_train(tmp_path, "panoptic")
    with pytest.raises(BadInput, match="kind: found 'coco'"):
        real.load_train(tmp_path, "coco")


@pytest.mark.parametrize("joints", ["smap15", "mpi17"])
@pytest.mark.parametrize(
    ("kind", "percent"), [("mupots3d", MUPOTS), ("panoptic", PANOPTIC), ("h36m", PANOPTIC - {"pcod"})]
)
def test_the_truth_is_perfect(tests, kind, percent, joints):
    table = run(tests, kind, joints=joints)
    assert list(table)[:4] == ["variant", "seed", "scene", "n"]
    assert table["n"].sum() == sum(len(shot.scene.people) for shot in tests[kind])
    for name in percent:
        assert np.allclose(table[name], 100), name
    for name in ("mpjpe", "rt_error", "depth_error"):
        assert (table[name].abs() < 1e-2).all(), name
    if kind == "mupots3d":
        assert table["scene"].tolist() == ["TS1", "TS10"]
        assert np.allclose(table["auc_rel"], 100 * 30 / 31)  # nothing is below 0 mm
        assert (table["pcod_mupots"] == 100).all()
    if kind == "panoptic":
        assert table["scene"].tolist() == ["160226_mafia1", "160422_ultimatum1"]
    if kind == "h36m":
        assert table["pcod"].isna().all()  # one person, no pair
        assert set(table["scene"]) <= set(protocol.ACTIVITIES) | {"Directions", "Greeting", "Discussion"}


@pytest.mark.parametrize("kind", ["mupots3d", "panoptic"])
def test_people_too_far_away_have_wrong_roots_alone(tests, kind):
    table = run(tests, kind, lambda _, person: replace(person, xyz=person.xyz + [0, 0, 200.0]))
    assert np.allclose(table["rt_error"], 200, atol=0.01)
    assert np.allclose(table["recall"], 100)
    assert np.allclose(table["pcod"], 100)
    assert (table["mpjpe"] < 0.01).all()
    assert np.allclose(table["pck_rel_all"], 100)
    assert (table["depth_error"] > 1).all()
    if kind == "mupots3d":
        assert (table[["pck_root", "pck_abs", "pck_abs_all"]] == 0).all(axis=None)


def test_pixels_elsewhere_count_in_2dpck_alone(tests):
    """By 12 px of the canvas, more than half of any head and less than what people are matched by."""
    table = run(tests, "panoptic", lambda _, person: replace(person, uv=person.uv + [12.0, 0.0]))
    assert (table["pck2d"] == 0).all()
    assert np.allclose(table["recall"], 100)
    table = run(tests, "panoptic", lambda _, person: replace(person, uv=person.uv + [0.3, 0.0]))
    assert np.allclose(table["pck2d"], 100)


@pytest.mark.parametrize(("part", "percent"), [(0.49, 100), (0.51, 0)])
def test_2dpck_is_within_half_of_the_head_of_joints_that_are_seen(tests, part, percent):
    for kind in ("mupots3d", "panoptic"):
        people = []
        for shot in tests[kind]:
            people.append([])
            for person in shot.scene.people:
                top = "head_top" if np.isfinite(person.uv[0, 0]) else "head"  # joints19 has no head top
                head = np.linalg.norm(person.uv[MPI17.index(top)] - person.uv[MPI17.index("neck")])
                uv = person.uv + part * head * np.sqrt(0.5)  # along both axes: people are matched within 40 px of each
                people[-1].append(replace(person, uv=uv, native=None))
        assert np.allclose(real.score(tests[kind], people, kind)["pck2d"], percent), kind


@pytest.mark.parametrize("kind", ["mupots3d", "panoptic"])
def test_joints_that_are_hidden_or_added_play_no_part_in_2d(tests, kind):
    def hidden(_, person):
        uv, visibility = person.uv.copy(), person.visibility.copy()
        uv[visibility < 2] += 300
        return replace(person, uv=uv, visibility=np.full_like(visibility, 2))

    def added(_, person):
        """Its right arm was not found; RefineNet put it somewhere."""
        uv, visibility = person.uv.copy(), person.visibility.copy()
        uv[9:12], visibility[9:12] = 1e4, 1
        return replace(person, uv=uv, visibility=visibility)

    if kind == "mupots3d":  # whose hidden joints are in the picture
        assert np.allclose(run(tests, kind, hidden)["pck2d"], 100)
    table = run(tests, kind, added)
    assert (table["pck2d"].between(70, 99)).all()
    assert np.allclose(table[["recall", "pck_rel_all", "precision"]], 100)


def test_some_of_the_pictures_are_scored_alone(tests):
    some = {"mupots3d": tests["mupots3d"][::2]}
    table = run(some, "mupots3d")
    assert table["n"].tolist() == [4, 3]
    assert np.allclose(table["pck_abs_all"], 100)


@pytest.mark.parametrize("kind", ["mupots3d", "panoptic"])
def test_a_missing_joint_is_wrong_and_costs_no_mpjpe(tests, kind):
    wrist = SMAP15.index("l_wrist")

    def lost(_, person):
        xyz, uv, visibility = person.xyz.copy(), person.uv.copy(), person.visibility.copy()
        xyz[wrist], uv[wrist], visibility[wrist] = np.nan, np.nan, 0
        return replace(person, xyz=xyz, uv=uv, visibility=visibility)

    table = run(tests, kind, lost)
    assert (table["mpjpe"] < 0.01).all()
    assert np.allclose(table["recall"], 100)
    assert (table["pck2d"] < 100).all()
    if kind == "mupots3d":
        for name in ("pck_rel", "pck_abs", "pck_rel_all", "pck_abs_all"):
            assert np.allclose(table[name], 100 * 13 / 14)
    else:
        assert (table["pck_rel_all"] < 100).all()


def test_a_joint_beyond_a_missing_one_is_wrong_in_mupots(tests):
    def lost(_, person):
        xyz = person.xyz.copy()
        xyz[SMAP15.index("l_elbow")] = np.nan
        return replace(person, xyz=xyz)

    assert np.allclose(run(tests, "mupots3d", lost)["pck_rel"], 100 * 12 / 14)


@pytest.mark.parametrize("kind", ["mupots3d", "panoptic"])
def test_missed_people_cost_recall_and_invented_ones_precision(tests, kind):
    table = run(tests, kind, lambda n, person: person if n == 0 else None).set_index("scene")
    people = {}
    for shot in tests[kind]:
        people.setdefault(shot.scene.sequence, []).append(len(shot.scene.people))
    for scene, counts in people.items():
        share = 100 * len(counts) / sum(counts)
        assert table.loc[scene, "recall"] == pytest.approx(share)
        assert table.loc[scene, "pck_rel_all"] == pytest.approx(share, abs=2)  # not all have as many joints
        assert table.loc[scene, "precision"] == pytest.approx(100)
        assert np.isnan(table.loc[scene, "pcod"])  # no pair is left
    if kind == "mupots3d":
        assert np.allclose(table[["pck_rel", "pck_abs", "pck_root"]], 100)

    shots = tests[kind]
    predict = truth(shots, kind)

    def twice(images, cameras):
        return [[*some, *(replace(p, uv=p.uv + 500.0) for p in some)] for some in predict(images, cameras)]

    table = real.evaluate(lambda *seen: {"smap": twice(*seen)}, shots, kind, *SIZE, batch=2)
    assert np.allclose(table["precision"], 50)
    assert np.allclose(table["recall"], 100)


def test_swapped_depths_are_a_wrong_order(tests):
    def pushed(n, person):
        return replace(person, xyz=person.xyz + [0, 0, 2000.0 * n])

    table = run(tests, "mupots3d", pushed)  # in the truth's reverse order: farther first
    assert (table["pcod"] < 50).all()


@pytest.mark.parametrize("kind", ["mupots3d", "panoptic", "h36m"])
def test_nobody_found_anywhere_is_a_result(tests, kind):
    table = run(tests, kind, lambda n, person: None)
    assert (table[["recall", "pck_rel_all"]] == 0).all(axis=None)
    assert table[["precision", "mpjpe", "rt_error", "pck2d"]].isna().all(axis=None)


def test_noise_scores_as_the_protocols_themselves_say(tests):
    generator = np.random.default_rng(0)

    def noisy(_, person):
        return replace(person, xyz=person.xyz + generator.normal(0, 90, person.xyz.shape))

    shots = tests["mupots3d"]
    people = [changed(truth([shot], "mupots3d", "mpi17"), noisy)(*_empty())[0] for shot in shots]
    people = [[replace(p, uv=shot.scene.people[p.identity].uv) for p in some] for shot, some in zip(shots, people)]
    table = real.score(shots, people, "mupots3d").set_index("scene")
    images = [f"{shot.scene.sequence}_img_{shot.scene.frame:06d}" for shot in shots]
    flat = {name: np.stack([p.uv for p in some]) for name, some in zip(images, people, strict=True)}
    deep = {name: np.stack([p.xyz for p in some]) for name, some in zip(images, people, strict=True)}
    root = shots[0].path.parents[1]
    videos = {name: mupots.annotations(root, name) for name in ("TS1", "TS10")}
    for relative, mode in ((True, "rel"), (False, "abs")):
        errors = official.smap(videos, flat, deep, relative)
        assert 5 < errors.pck(True)["Total"].mean() < 95
        assert table[f"pck_{mode}"].tolist() == errors.pck(True)["Total"].tolist()
        assert table[f"pck_{mode}_all"].tolist() == errors.pck()["Total"].tolist()
        if relative:
            assert table["auc_rel"].tolist() == errors.auc(True)["Total"].tolist()
    pooled = (table["pck_root"] * table["n"] * table["recall"]).sum() / (table["n"] * table["recall"]).sum()
    assert pooled == pytest.approx(official.pck_root(errors.pairs, matched=True))

    shots = tests["panoptic"]
    people = [changed(lambda *_, s=shot: [list(s.scene.people)], noisy)(*_empty())[0] for shot in shots]
    table = real.score(shots, people, "panoptic", variant="noisy", seed=3)
    expected = protocol.evaluate([shot.scene for shot in shots], people)
    for name in ("mpjpe", "rt_error", "pcod", "recall", "precision"):
        assert table[name].tolist() == pytest.approx(expected.loc[["mafia", "ultimatum"], name].tolist()), name
    assert (table["variant"] == "noisy").all()
    assert (table["seed"] == 3).all()
    assert "15 joints" in table.attrs["protocol"]


def _empty():
    """One picture."""
    return np.zeros((1, 3, SIZE[1], SIZE[0]), np.uint8), np.ones((1, 4))


def test_bad_input_is_named(tests):
    shots = tests["panoptic"]
    with pytest.raises(BadInput, match="kind: found 'coco'"):
        real.score(shots, [[]] * len(shots), "coco")
    with pytest.raises(BadInput, match="kind: found 'coco'"):
        real.load_test("", kinds=("jta", "coco"))
    with pytest.raises(BadInput, match="people: found of 1 pictures, expected of 4, as shots"):
        real.score(shots, [[]], "panoptic")
    with pytest.raises(BadInput, match="people: found of 0 pictures, expected of some"):
        real.score([], [], "panoptic")
    with pytest.raises(BadInput, match="smap: found people of 1 pictures, expected 2"):
        real.evaluate(lambda images, cameras: {"smap": [[]]}, shots, "panoptic", *SIZE, batch=2)


def test_a_notebook_s_way_from_a_folder_to_tables(data, tmp_path):
    """Trained on MuCo and COCO where they are there, else on the world that mirrors the data; read in two ways."""
    paint(pictures.from_muco(data / "muco3dhp"))
    paint(pictures.from_coco(data / "coco2017"))
    ways = {"smap": Reading(), "smap_unrefined": Reading(refined="no")}
    few = tmp_path / "data"  # with tests of Panoptic and nothing to train on for them
    few.mkdir()
    for name in ("mupots3d", "muco3dhp", "coco2017", "panoptic"):
        (few / name).symlink_to(data / name)
    found = tables.on_data(str(few), ways, "smoke", 0, tmp_path / "keep", 1.0)
    assert set(found) == {"mupots3d", "panoptic"}
    for table in found.values():
        assert set(table["variant"]) == set(ways) and {"recall", "pck_rel_all", "scene", "n"} <= set(table)
    assert "trained on mupots3d and coco" in found["mupots3d"].attrs["protocol"]
    assert "trained on studio" in found["panoptic"].attrs["protocol"]


@pytest.mark.parametrize("kind", ["panoptic", "h36m"])
def test_people_of_another_size_are_perfect_with_the_true_one(tests, kind):
    table = run(tests, kind, lambda _, person: replace(person, xyz=0.5 * person.xyz), joints="mpi17")
    assert (table["mpjpe"] > 10).all()
    assert (table["pck_rel_all"] < 100).all()
    assert (table["mpjpe_scaled"] < 0.01).all()
    assert np.allclose(table["pck_rel_all_scaled"], 100)


# -- JTA ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A folder with two sequences of JTA's test split and one to train on, two frames of each, of `street`'s people."""
    base = tmp_path_factory.mktemp("street")
    videos = worlds.sequences("street", seed=0, frames=2)
    for split, some in (("test", videos[:2]), ("train", videos[:1])):
        frames = jta.LOCO_FRAMES[split]
        moved = [replace(scene, frame=frames[scene.frame] - 1) for video in some for scene in video]
        jta_files.write(moved, base / "jta", split)
        for number in jta.sequences(base / "jta", split):
            for frame in frames[:2]:
                path = jta.image_path(base / "jta", split, number, frame)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (1920, 1080)).save(path)
    return base


@pytest.fixture(scope="module")
def crowds(street):
    return real.load_test(street, kinds=("jta",))


def counted(shots):
    """Everybody in these pictures who counts: one joint at least on screen, and one not hidden."""
    people = []
    for shot in shots:
        for person in shot.scene.people:
            inside = ((person.native.uv >= 0) & (person.native.uv <= (1920, 1080))).all(-1)
            if inside.any() and (person.native.visibility == VISIBLE).any():
                people.append(person)
    return people


def test_jta_is_found_where_it_is_asked_for(street, crowds, tmp_path):
    assert [(s.scene.sequence, s.scene.frame, s.path.name) for s in crowds["jta"]] == [
        (sequence, frame, f"{frame}.jpg") for sequence in ("seq_256", "seq_258") for frame in (10, 20)
    ]
    assert len(real.load_test(street / "jta", 2, ("mupots3d", "jta"))["jta"]) == 2  # its own folder
    with pytest.raises(MissingData, match="no test pictures of mupots3d, panoptic, h36m"):
        real.load_test(street)  # methods that are not made for crowds do not see it
    jta_files.fixture(tmp_path / "jta")
    with pytest.raises(MissingData, match=r"10\.jpg: no picture .* to_imgs\.py"):
        real.load_test(tmp_path, kinds=("jta",))


def test_frames_of_jta_that_nobody_is_in_are_tested_but_not_trained_on(street, tmp_path):
    shutil.copytree(street / "jta", tmp_path / "jta")
    for split, number, frame in (("test", 256, 30), ("train", 0, 11)):
        Image.new("RGB", (1920, 1080)).save(jta.image_path(tmp_path / "jta", split, number, frame))
    shots = real.load_test(tmp_path, kinds=("jta",))["jta"]
    assert [len(shot.scene.people) for shot in shots if shot.scene.frame == 30] == [0]
    table = run({"jta": shots}, "jta", joints="mpi17")
    assert np.allclose(table["recall"], 100)
    assert [shot.scene.frame for shot in real.load_train(tmp_path, "jta")[0]] == [1, 6]


def test_jta_s_training_pictures(street, tmp_path):
    shots, flat = real.load_train(street, "jta")
    assert [(s.scene.sequence, s.scene.frame) for s in shots] == [("seq_0", 1), ("seq_0", 6)]
    assert flat == []
    person = shots[0].scene.people[0]
    assert person.native is None
    assert person.xyz.dtype == np.float32
    jta_files.fixture(tmp_path / "jta")
    with pytest.raises(MissingData, match=r"1\.jpg: no picture"):
        real.load_train(tmp_path, "jta")


def test_the_truth_is_perfect_on_jta(crowds):
    shots = crowds["jta"]
    table = run(crowds, "jta", joints="mpi17")
    assert list(table)[:4] == ["variant", "seed", "scene", "n"]
    assert table["scene"].tolist() == ["seq_256", "seq_258"]
    assert table["n"].sum() == len(counted(shots)) > 0
    for name in ("recall", "ap", "pck", "pck_scaled"):
        assert np.allclose(table[name], 100), name
    predicted = [sum(len(s.scene.people) for s in shots if s.scene.sequence == name) for name in table["scene"]]
    assert np.allclose(table["precision"], 100 * table["n"] / predicted)
    assert (table[["mpjpe", "mpjpe_scaled"]] < 0.01).all(axis=None)
    for name in DISTANCES:
        known = table[[f"pck_{name}", f"pck_scaled_{name}", f"recall_{name}"]].dropna()
        assert np.allclose(known, 100), name
    known = table[[f"recall_{name}" for name in DISTANCES]].notna()
    assert known.any(axis=None) and not known.all(axis=None)
    groups = {name for name in JOINT_GROUPS if f"pck_{name}" in table}
    assert groups == set(JOINT_GROUPS) - {"clavicles"}  # which MPI17 lacks
    assert "16 of its 22 joints" in table.attrs["protocol"] and "ORACLE" in table.attrs["protocol"]


def test_who_is_missed_on_jta_is_wrong_and_who_is_too_small_is_not(crowds):
    shots = crowds["jta"]
    table = run(crowds, "jta", lambda n, person: person if n % 2 else None, "mpi17")
    assert (table["recall"].between(1, 99)).all()
    assert np.allclose(table["pck"], table["recall"], atol=2)  # not all have as many joints
    assert (table["ap"] <= table["recall"] + 1e-9).all()
    table = run(crowds, "jta", lambda _, person: replace(person, xyz=0.5 * person.xyz), "mpi17")
    assert (table["pck"] < 80).all() and (table["mpjpe"] > 100).all()
    assert np.allclose(table["pck_scaled"], 100) and (table["mpjpe_scaled"] < 0.01).all()
    table = run(crowds, "jta", lambda *_: None, "mpi17")
    assert (table[["recall", "pck", "pck_scaled", "ap"]] == 0).all(axis=None)
    assert table[["precision", "mpjpe"]].isna().all(axis=None)
    assert table["n"].sum() == len(counted(shots))


def test_who_is_unsure_counts_for_ap_alone(crowds):
    def unsure(n, person):
        return replace(person, score=0.9 if n % 2 else 0.1)

    shots = crowds["jta"]
    predict = changed(truth(shots, "jta", "mpi17"), unsure)

    def variants(images, cameras):
        people = predict(images, cameras)
        return {"all": people, "sure": people, "none": people}

    table = real.evaluate(variants, shots, "jta", *SIZE, batch=2, above={"sure": 0.5, "none": 0.95})
    mean = table.groupby("variant")[["recall", "ap", "pck"]].mean()
    assert np.allclose(mean["ap"], 100)
    assert mean.loc["all", "recall"] == pytest.approx(100)
    assert 1 < mean.loc["sure", "recall"] < 99
    assert mean.loc["none", "recall"] == mean.loc["none", "pck"] == 0


def test_all_of_jta_s_joints_say_whether_somebody_counts(crowds):
    shot = crowds["jta"][0]
    whole = shot.scene.people[0]
    people = []
    for seen in ([], ["l_clavicle"]):
        visibility = np.full(len(JTA22), HIDDEN, np.uint8)
        visibility[[JTA22.index(name) for name in seen]] = VISIBLE
        native = replace(whole.native, uv=np.full((22, 2), 500.0), visibility=visibility)
        people.append(native.canonical())
    for person, number in zip(people, (0, 1), strict=True):
        one = replace(shot, scene=replace(shot.scene, people=(person,)))
        assert real.score([one], [[]], "jta")["n"].tolist() == [number]


def test_somebody_is_taken_back_to_the_file_with_the_box_they_were_found_in():
    camera = Camera(1000.0, 1000.0, 500.0, 400.0, 1000, 800)
    canvas = Scene(Camera(500.0, 500.0, 260.0, 207.0, 520, 414), ())
    placed = pictures.Placed(canvas, camera, np.diag([0.5, 0.5]), np.array([10.0, 7.0]), 500.0)
    uv = np.linspace([30.0, 27.0], [90.0, 187.0], 17)
    person = replace(Person.of(np.full((17, 3), 1000.0), camera), uv=uv, detection=np.array([30.0, 27, 60, 160]))
    found = real._in_file(person, placed)
    np.testing.assert_allclose(found.uv[[0, -1]], [[40, 40], [160, 360]])
    np.testing.assert_allclose(found.detection, [40, 40, 120, 320])
    assert real._in_file(replace(person, detection=None), placed).detection is None
