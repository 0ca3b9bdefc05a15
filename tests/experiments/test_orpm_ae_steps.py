"""How a joint is read, rule by rule: the same site as `codings.orpm` reads, in pictures that were not chosen."""

import numpy as np
import pytest
import torch

from mp3d.canvas import Canvas
from mp3d.codings import orpm, tags
from mp3d.errors import BadInput
from mp3d.experiments.codings.crowds import crowd
from mp3d.experiments.orpm_ae import steps
from mp3d.papers import orpm_ae
from mp3d.papers.orpm_ae import ORPMAEConfig, Reading
from mp3d.scene import VISIBLE
from mp3d.skeletons import MPI17

CONFIG = ORPMAEConfig(canvas=(256, 192), heatmap_sigma=1.1)


@pytest.fixture(scope="module")
def case() -> steps.Case:
    return steps.case()


def test_the_walk_ends_where_the_joint_is_read():
    ends = set()
    batch = crowd(5, seed=2, scenes=6, depth=(2500, 6000))
    for b in range(len(batch)):
        one = batch[b : b + 1]
        goal = orpm_ae.targets(one, CONFIG)
        own = 10.0 * torch.arange(5.0)[None]
        maps = orpm_ae.Maps(goal.heatmaps, goal.bones, tags.encode(one.uv, one.labelled, own, CONFIG.grid))
        maps.heatmaps[:, ::3] *= 0  # what was not found
        found = orpm_ae.detect(maps, Canvas((1.0, 1.0), (0, 0), 256), CONFIG)
        people = tags.group(found.peaks, found.tags)[0]
        _, score, cell = found.peaks.take(0, people)
        uv = CONFIG.grid.centres(cell).float()[None]
        _, site = orpm.read(maps.bones, uv, score[None], CONFIG.grid, "paper", torch.zeros(17, 3))
        for person in range(len(people)):
            for joint in ("l_wrist", "r_knee", "head", "spine", "neck"):
                last = steps.walk(found, person, joint, CONFIG).iloc[-1]
                read = site[0, person, MPI17.index(joint)].item()
                assert last["site"] == (MPI17.joints[read] if read >= 0 else "")
                ends.add(last["rule"].split(":")[0])
    assert ends == {"own pixel", "limb", "neck", "pelvis", "mean"}


def test_the_case_tries_every_site_and_reads_the_truth(case):
    walked = case.walk()
    assert walked["rule"].tolist() == ["own pixel", "limb: elbow", "limb: shoulder", "neck", "pelvis"]
    assert walked["valid"].tolist() == [False] * 4 + [True]
    assert walked["why"].str.contains("from another's elbow").sum() == 1
    wrist, elbow = MPI17.index("l_wrist"), MPI17.index("l_elbow")
    assert case.batch.visibility[0, case.person, wrist] != VISIBLE
    xyz = case.batch.xyz[0, case.person]
    read = walked.iloc[-1][["x", "y", "z"]].to_numpy(float)
    np.testing.assert_allclose(read, (xyz[wrist] - xyz[elbow]).numpy(), atol=0.1)
    np.testing.assert_allclose(case.ends(read), case.ends(), atol=0.1)
    np.testing.assert_allclose(case.ends(), case.batch.uv[0, case.person, [elbow, wrist]].numpy(), atol=0.1)


def test_what_is_missed_is_read_elsewhere(case):
    assert case.walk("pelvis")["rule"].iloc[-1] == "mean"
    assert case.walk("l_elbow")["why"].iloc[1] == "not found"


def test_who_is_not_there_is_named(case):
    with pytest.raises(BadInput, match="person"):
        steps.walk(case.found(), 9, "l_wrist", steps.CONFIG)
    with pytest.raises(BadInput, match="missed"):
        case.walk(*MPI17.joints)
    with pytest.raises(BadInput, match="readout"):
        steps.walk(case.found(), 0, "l_wrist", steps.CONFIG, Reading(readout="naive"))
    with pytest.raises(BadInput, match="joint"):
        steps.walk(case.found(), 0, "l_hand", steps.CONFIG)
