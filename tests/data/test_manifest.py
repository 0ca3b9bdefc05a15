"""The manifest: what may stand in it, that ours does, and that notebooks and manifest name the same data."""

import ast
import copy
import re
from pathlib import Path

import pytest
import yaml

from mp3d import skeletons
from mp3d.data import manifest
from mp3d.errors import BadInput, MissingData
from mp3d.scene import Scene
from mp3d.synthetic import worlds

ROOT = Path(__file__).resolve().parents[2]
IDS = [dataset.id for dataset in manifest.load().datasets]
READERS = {  # the data sets that a module of mp3d.data reads
    "mupots": {"mupots3d"},
    "threedmppe": {"mupots3d", "muco3dhp"},
    "mpi_inf_3dhp": {"mpi_inf_3dhp"},
    "panoptic": {"panoptic"},
    "jta": {"jta"},
    "human36m": {"h36m"},
    "pw3d": {"pw3d"},
    "coco": {"coco2017"},
    "mpii": {"mpii"},
    "tdbu_outputs": {"tdbu_mupots"},
}


@pytest.fixture
def entry():
    """A small entry that is right, and a function that loads a manifest of it."""
    whole = yaml.safe_load((ROOT / "data_manifest.yaml").read_text("utf-8"))
    return copy.deepcopy(next(d for d in whole["datasets"] if d["id"] == "coco2017"))


def load(folder, *entries, text=None):
    path = folder / "m.yaml"
    content = {"schema": "mp3d.data_manifest/1", "datasets": list(entries)}
    path.write_text(yaml.safe_dump(content) if text is None else text, "utf-8")
    manifest._load.cache_clear()
    return manifest.load(path)


def put(entry, place, value):
    """Set entry["a"][0]["b"] for "a.0.b"; delete it if the value is Ellipsis."""
    *path, last = [int(p) if p.isdigit() else p for p in place.split(".")]
    for part in path:
        entry = entry[part]
    if value is ...:
        del entry[last]
    else:
        entry[last] = value


def test_a_good_entry_is_read(tmp_path, entry):
    found = load(tmp_path, entry).datasets[0]
    assert found.files[0].md5 == "f4bbac642086de4f52a3fdda2de5fa2c"
    assert found.files[0].splits == ("train2017", "val2017")
    with pytest.raises(Exception, match="frozen"):
        found.title = "other"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("id", "Coco", r"Coco\.id"),
        ("id", "../coco", "id"),
        ("title", ..., r"coco2017\.title"),
        ("surprise", 1, r"coco2017\.surprise: .*not permitted"),
        ("homepage", "ftp://x", "homepage"),
        ("access.kind", "email", "automated, but email"),
        ("access.steps", [], r"access\.steps"),
        ("licence.redistribute", "maybe", r"licence\.redistribute"),
        ("licence.commercial", "perhaps", r"licence\.commercial"),
        ("urls.0.as_of", "in spring", r"urls\[0\]\.as_of"),
        ("files.2.reason", None, "null without a reason"),
        ("files.0.hash_source", None, "belong together"),
        ("files.0.confidence", None, "belong together"),
        ("files.0.confidence", "sure", r"files\[0\]\.confidence"),
        ("files.0.sha256", "abc", r"coco2017\.files\[0\]\.sha256"),
        ("files.0.md5", "F" * 32, "md5"),
        ("files.0.bytes", -1, "bytes"),
        ("files.0.path", "../x", "relative path"),
        ("files.0.path", "/x", "relative path"),
        ("files.0.path", "C:/x", "relative path"),
        ("files.0.path", "a\\b", "relative path"),
        ("files.0.urls", ["file:///etc/passwd"], "urls"),
        ("files.1.path", "annotations_trainval2017.zip", "twice"),
        ("layout.0.glob", "a/../../b", "relative path"),
        ("layout.0.max", 0, "max is less than min"),
        ("layout.0.min", "one", "min"),
        ("facts.fps", ..., r"facts\.fps"),
        ("facts.notes.fps", ..., "fps is null without a note"),
        ("facts.notes.speed", "fast", "no fact"),
        ("splits.val2017.confidence", None, "confidence"),
        ("protocols.smap.split", "test", "not there"),
        ("used_by", ["../x.ipynb"], "used_by"),
        ("fixtures.builder", "os.system", r"fixtures\.builder"),
        ("fixtures.builder", "mp3d.data.writers.coco.write", "builder"),
        ("checks.0.kind", "magic", r"checks\[0\]\.kind"),
        ("checks.0.tolerance", {}, "tolerance"),
        ("hash_lists", [{"glob": "*"}], r"hash_lists\[0\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, entry, place, value, message):
    put(entry, place, value)
    with pytest.raises(BadInput, match=message) as error:
        load(tmp_path, entry)
    assert str(error.value).startswith("m.yaml: ")


def test_an_automated_entry_has_something_to_fetch(tmp_path, entry):
    for file in entry["files"]:
        del file["urls"]
    with pytest.raises(BadInput, match="no address with a hash"):
        load(tmp_path, entry)


def test_ids_are_unique(tmp_path, entry):
    with pytest.raises(BadInput, match="coco2017 is there twice"):
        load(tmp_path, entry, copy.deepcopy(entry))


@pytest.mark.parametrize(
    "text",
    [
        "schema: mp3d.data_manifest/1\nschema: mp3d.data_manifest/1\ndatasets: []\n",
        "schema: mp3d.data_manifest/1\ndatasets: [{id: a, access: {kind: open, kind: email}}]\n",
        "schema: &x mp3d.data_manifest/1\ndatasets: [*x]\n",
        "schema: !!python/object/apply:os.system ['true']\ndatasets: []\n",
        "schema: [\n",
        "datasets: []\n",
        "schema: mp3d.data_manifest/2\ndatasets: []\n",
        "schema: mp3d.data_manifest/1\ndatasets: [3]\n",
        "schema: mp3d.data_manifest/1\ndatasets: {a: 1}\n",
        "schema: mp3d.data_manifest/1\ndatasets: !!set {duet, jta}\n",
        "schema: 1" + ":59" * 3000,
        "schema: mp3d.data_manifest/1\ndatasets: [{id: 1" + ":59" * 3000 + "}]",
        "[1, 2]\n",
        "? {a: 1}\n: 2\n",
        "[" * 2000,
        "\x00",
        "",
    ],
)
def test_yaml_that_is_refused(tmp_path, text):
    with pytest.raises(BadInput, match=r"m\.yaml"):
        load(tmp_path, text=text)


def test_a_message_stays_short(tmp_path, entry):
    next(iter(entry["protocols"].values()))["split"] = "A" * 5000
    with pytest.raises(BadInput, match="AAAA") as error:
        load(tmp_path, entry)
    assert len(str(error.value)) < 1000


def test_outside_a_clone_it_is_missing(tmp_path):
    with pytest.raises(MissingData, match="clone"):
        manifest.load(tmp_path / "data_manifest.yaml")


# -- ours ---------------------------------------------------------------------------------------------------


def test_all_data_sets_are_there():
    assert set(IDS) == {*worlds.WORLDS, "mupots3d", *set().union(*READERS.values())}
    with pytest.raises(BadInput, match="one of duet, studio, street, solo, mupots3d"):
        manifest.get("mupots")


@pytest.mark.parametrize("name", IDS)
def test_an_entry_names_things_that_exist(name):
    from mp3d.data import verify

    dataset = manifest.get(name)
    assert re.search(rf"^@\w+\{{{dataset.citation},$", (ROOT / "references.bib").read_text("utf-8"), re.MULTILINE)
    assert {row.format for row in dataset.layout} <= set(verify.FORMATS)
    assert {check.kind for check in dataset.checks} <= {*verify.CHECKS, *verify.FILE_CHECKS}
    assert not dataset.checks or name in verify.SCENES
    joints = dataset.facts.joint_set
    sets = joints.values() if isinstance(joints, dict) else [joints]
    for joint_set, root in zip(
        sets, dataset.facts.root.values() if isinstance(dataset.facts.root, dict) else [None] * 9
    ):
        found = getattr(skeletons, joint_set)
        assert root is None or found.root == root
        assert not isinstance(dataset.facts.root, int) or found.root in (dataset.facts.root, 0)
    splits = dataset.splits.values()
    frames = dataset.facts.frames.get("per_sequence") if isinstance(dataset.facts.frames, dict) else None
    if isinstance(frames, list):
        assert sum(frames) == dataset.facts.frames["total"] == next(iter(splits)).count
        people = [3 if i + 1 in dataset.facts.persons["three"] else 2 for i in range(len(frames))]
        assert sum(f * p for f, p in zip(frames, people)) == dataset.facts.persons["cells"]


@pytest.mark.parametrize("world", worlds.WORLDS.values(), ids=lambda world: world.name)
def test_a_synthetic_world_is_what_its_entry_says(world):
    entry = manifest.get(world.name)
    names, _, people = zip(*world.videos)
    assert entry.splits["test"].sequences == names
    assert entry.facts.sequences == len(names)
    assert entry.facts.camera["focal"] == "{:.0f} to {:.0f} px".format(*world.focal)
    assert entry.facts.fps == world.rate
    stated = entry.facts.persons
    if "three" in stated:
        stated = {"per_sequence": [3 if i + 1 in stated["three"] else 2 for i in range(len(names))]}
    assert tuple(stated["per_sequence"]) == people
    sizes = entry.facts.image_size
    assert {tuple(size) for size in (sizes if isinstance(sizes[0], list) else [sizes])} == set(world.images)


def test_lists_of_hashes():
    from mp3d.data.verify import hash_list

    rows = {row.csv: hash_list(row) for dataset in manifest.load().datasets for row in dataset.hash_lists}
    sizes = {Path(name).name: len(found) for name, found in rows.items()}
    assert sizes == {"mupots_mats.csv": 40, "mupots_frames.csv.gz": 8370, "tdbu_mupots.csv": 305}
    frames = rows["mp3d/data/hashes/mupots_frames.csv.gz"]
    assert sum(known.bytes for known in frames.values()) == 5_628_616_363
    per_sequence = [sum(name.startswith(f"MultiPersonTestSet/TS{i}/") for name in frames) for i in range(1, 21)]
    assert per_sequence == manifest.get("mupots3d").facts.frames["per_sequence"]


@pytest.mark.parametrize("name", [i for i in IDS if manifest.get(i).fixtures])
def test_a_fixture_is_small_and_read(tmp_path, name):
    from mp3d.data.verify import SCENES

    folder = manifest.fixture(name, tmp_path / name)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 200_000
    scenes = list(SCENES[name](folder))
    assert scenes
    assert all(isinstance(scene, Scene) and scene.world == name for scene in scenes)


def test_a_folder_is_present_if_it_holds_something(tmp_path):
    assert not manifest.present(tmp_path / "nowhere")
    assert not manifest.present(tmp_path)
    (tmp_path / "x").write_text("x")
    assert manifest.present(tmp_path)
    assert not manifest.present(tmp_path / "x")  # a file is no folder


def test_steps_are_numbered():
    dataset = manifest.get("jta")
    assert dataset.numbered == [f"  {i}. {step}" for i, step in enumerate(dataset.access.steps, 1)]
    assert dataset.steps.splitlines()[1:] == dataset.numbered


def test_require(tmp_path, monkeypatch):
    monkeypatch.delenv("MP3D_DATA", raising=False)
    with pytest.raises(MissingData, match=r"(?s)MP3D_DATA is not set.*1\. Open http://gvv"):
        manifest.require("mupots3d")
    monkeypatch.setenv("MP3D_DATA", str(tmp_path))
    with pytest.raises(MissingData, match=r"(?s)mupots3d: not there.*mp3d data import"):
        manifest.require("mupots3d")
    (tmp_path / "mupots3d").mkdir()
    with pytest.raises(MissingData):
        manifest.require("mupots3d")
    (tmp_path / "mupots3d" / "x").write_text("x")
    assert manifest.require("mupots3d") == tmp_path / "mupots3d"
    with pytest.raises(MissingData, match="duet"):
        manifest.fixture("duet", tmp_path)


# -- notebooks ----------------------------------------------------------------------------------------------

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def said(script: str) -> set[str]:
    """The ids in backticks in the bullet `- **Data**:` of a notebook's first cells."""
    text = re.sub(r"^# ?", "", script.split("# %% tags=")[0], flags=re.MULTILINE)
    bullet = re.search(r"^- \*\*Data\*\*:(.*?)(?=^- |^\s*$|\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([a-z0-9_]+)`", bullet[1])) & set(IDS) if bullet else set()


def used(script: str) -> list[set[str]]:
    """For each place in the code that names data, the ids that it may mean."""
    found = []
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("require", "fixture") and node.args[0].value in IDS:
                found.append({node.args[0].value})
        elif isinstance(node, ast.ImportFrom) and node.module == "mp3d.data":
            found += [READERS[alias.name] for alias in node.names if alias.name in READERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mp3d.data."):
            found += [READERS[part] for part in node.module.split(".")[2:3] if part in READERS]
    return found


def test_the_bullet_is_found():
    script = "# %% [markdown]\n# # T\n#\n# - **Data**: `duet`, and\n#   `tdbu_mupots` if `x`.\n# - **Else**: `jta`\n"
    assert said(script + '\n# %% tags=["parameters"]\n# - **Data**: `jta`\n') == {"duet", "tdbu_mupots"}
    code = 'from mp3d.data import mupots, safe\nfrom mp3d.data.jta import scenes\nmanifest.require("panoptic")\n'
    assert used(code) == [{"mupots3d"}, {"jta"}, {"panoptic"}]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_the_manifest_says_it_uses(path):
    script = path.read_text("utf-8")
    name = f"notebooks/{path.stem}.ipynb"
    listed = {dataset.id for dataset in manifest.load().datasets if name in dataset.used_by}
    assert said(script) == listed
    for ids in used(script):
        assert ids & listed, f"{name} uses {' or '.join(ids)} and does not say so"


@pytest.mark.parametrize("name", IDS)
def test_the_notebooks_of_an_entry_exist(name):
    for notebook in manifest.get(name).used_by:
        assert (ROOT / notebook).is_file(), f"{notebook} is listed under {name} and is not there"
