import inspect
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from benchmarks.mupots import FRAMES, PEOPLE, made, plain, predicted
from mp3d.data.mupots import SEQUENCES, Annotations
from mp3d.errors import BadInput, MissingData
from mp3d.metrics import JOINT_GROUPS, interval, joint_errors, mupots, pa_mpjpe
from mp3d.skeletons import MPI17

UPPER = [(0, -700, 0), (0, -500, 0), (-200, -500, 0), (-200, -200, 0), (-200, 50, 0)]
ARM = [(200, -500, 0), (200, -200, 0), (200, 50, 0)]
LEGS = [(-100, 0, 0), (-100, 400, 0), (-100, 800, 0), (100, 0, 0), (100, 400, 0), (100, 800, 0)]
G = np.array(UPPER + ARM + LEGS + [(0, 0, 0), (0, -250, 0), (0, -600, 0)], float)
A, B = G + (-800, 0, 4000), G + (800, 0, 4000)
COLUMNS = [*JOINT_GROUPS, "Total"]
MODES = [(False, True), (False, False), (True, True), (True, False)]

seeds = st.integers(0, 2**31)


def seen(xyz):
    return 1000 * xyz[..., :2] / xyz[..., 2:] + 500


def video(poses, valid=None, occluded=None):
    """Annotations (frames, people, 17, 3), valid and visible unless said otherwise; both truths are one."""
    poses = np.array(poses, float)
    valid = np.ones(poses.shape[:2], bool) if valid is None else np.array(valid)
    occluded = np.zeros(poses.shape[:3], bool) if occluded is None else occluded
    return Annotations(seen(poses), poses, poses, valid, occluded)


@pytest.fixture
def toy():
    """The pipeline's worked example: 20 videos of A and B, one frame each, two in TS1, where B is once invalid."""
    truth, preds_2d, preds_3d = {}, {}, {}
    deeper = A + (0, 0, 100)
    for name in SEQUENCES:
        frames = 2 if name == "TS1" else 1
        occluded = np.zeros((frames, 2, 17), bool)
        occluded[:, 0, 4] = True
        truth[name] = video([[A, B]] * frames, [[True, True], [True, False]][:frames], occluded)
        for frame in range(frames):
            preds_2d[f"{name}_img_{frame:06d}"] = seen(np.array([A, B]))
            preds_3d[f"{name}_img_{frame:06d}"] = np.array([deeper, B])
    preds_3d["TS1_img_000000"][0, 4] = deeper[3] + (0, 0, -250)
    preds_3d["TS1_img_000001"][0] = 1.2 * G + (-800, 0, 4100)
    preds_2d["TS2_img_000000"][1, :, 0] += 45
    return truth, preds_2d, preds_3d


def stored(folder, truth, preds_2d, preds_3d):
    """The official files, written with scipy alone."""
    for name, annotated in truth.items():
        cells, labels = np.empty(annotated.valid.shape, object), np.empty(annotated.valid.shape, object)
        for i, k in np.ndindex(cells.shape):
            fields = {field: getattr(annotated, field)[i, k].T for field in ("annot2", "annot3", "univ_annot3")}
            cells[i, k] = fields | {"isValidFrame": np.array([[annotated.valid[i, k]]], np.uint8)}
            labels[i, k] = annotated.occluded[i, k][None].astype(float)
        (folder / "MultiPersonTestSet" / name).mkdir(parents=True)
        savemat(folder / "MultiPersonTestSet" / name / "annot.mat", {"annotations": cells})
        savemat(folder / "MultiPersonTestSet" / name / "occlusion.mat", {"occlusion_labels": labels})
    savemat(folder / "preds_2d_kpt_mupots.mat", preds_2d)
    savemat(folder / "preds_3d_kpt_mupots.mat", preds_3d)
    return folder, folder / "preds_2d_kpt_mupots.mat", folder / "preds_3d_kpt_mupots.mat"


def rough(seed, videos=3):
    rng = np.random.default_rng(seed)
    shapes = rng.integers((1, 1), (6, 4), (videos, 2))
    truth = {name: made(rng, int(f), int(p), rough=True) for name, (f, p) in zip(SEQUENCES, shapes)}
    return truth, *predicted(rng, truth, rough=True)


class TestOfficial:
    @pytest.mark.parametrize("relative", [True, False])
    @pytest.mark.parametrize("from_files", [True, False])
    def test_the_worked_example(self, toy, relative, from_files, tmp_path):
        toy = stored(tmp_path, *toy) if from_files else toy
        table = mupots.evaluate(*toy, relative=relative)
        assert list(table.index) == list(SEQUENCES) and list(table.columns) == COLUMNS
        expected = [97.6190, 50, *[100] * 18]
        assert table["Total"].tolist() == pytest.approx(expected, abs=5e-5)
        assert table["Total"].mean() == pytest.approx(97.380952, abs=5e-7)
        assert table.loc["TS1", "Wrist"] == pytest.approx(83.333, abs=5e-4)
        assert (table.drop(index="TS2").drop(columns=["Wrist", "Total"]) == 100).all(axis=None)
        table = mupots.evaluate(*toy, matched=True, relative=relative)
        assert table["Total"].tolist() == pytest.approx([97.6190, *[100] * 19], abs=5e-5)
        assert table["Total"].mean() == pytest.approx(99.880952, abs=5e-7)

    def test_the_worked_example_to_the_millimetre(self, toy):
        relative, absolute = mupots.official(*toy), mupots.official(*toy, relative=False)
        assert relative.counts().loc["TS1"].tolist() == [3, 3, 0, 1]  # nobody may take the B who is not valid
        assert relative.counts().loc["TS2"].tolist() == [2, 1, 1, 1]
        assert relative.pck(pooled=True)["Total"].item() == pytest.approx(97.386760, abs=5e-7)
        assert relative.pck(True, pooled=True)["Total"].item() == pytest.approx(99.821429, abs=5e-7)
        both = relative.averages()
        assert both["Total"].tolist() == pytest.approx([97.380952, 97.386760], abs=5e-7)
        assert both.loc["mean of videos", ["low", "high"]].tolist() == list(
            interval(relative.pck()["Total"].to_numpy(), bounds=(0, 100))[1:]
        )
        assert (both["low"] < both["Total"]).all() and (both["high"] <= 100).all()
        expected = np.zeros(17)
        expected[4] = 353.5534
        assert relative.errors[0] == pytest.approx(expected, abs=5e-5)
        expected = np.full(17, 100.0)
        expected[4] = 291.548
        assert absolute.errors[0] == pytest.approx(expected, abs=5e-4)
        assert absolute.errors[2] == pytest.approx(np.full(17, 100))  # 1.2 G, with its bones rescaled
        for errors in (relative, absolute):
            assert errors.pck(joints="visible").loc["TS1", "Total"] == 100  # 40 of 40
            assert errors.pck(joints="occluded").loc["TS1", ["Wrist", "Total"]].tolist() == [50, 50]
            assert np.isnan(errors.pck(joints="occluded").loc["TS1", "Head"])

    def test_an_average_over_videos_and_over_people_differ(self):
        truth = {"TS1": video([[A]]), "TS2": video([[A, B, G + (0, 0, 9000)]])}
        preds_2d = {"TS1_img_000000": seen(A[None]), "TS2_img_000000": np.zeros((0, 17, 2))}
        preds_3d = {"TS1_img_000000": A[None], "TS2_img_000000": np.zeros((0, 17, 3))}
        errors = mupots.official(truth, preds_2d, preds_3d)
        assert errors.averages()["Total"].tolist() == [50, 25]
        assert "average: " not in errors.averages().attrs["protocol"]
        assert errors.auc()["Total"].tolist() == pytest.approx([96.7742, 0], abs=5e-5)
        # Where nobody was found there is nothing to score.
        matched = errors.pck(matched=True)
        assert matched.loc["TS1"].tolist() == [100] * 9 and matched.loc["TS2"].isna().all()
        assert errors.averages(matched=True)["Total"].tolist() == [100, 100]

    @settings(max_examples=40)
    @given(seeds)
    def test_equals_the_plain_loop(self, seed):
        data = rough(seed)
        for matched, relative in MODES:
            fast, slow = (way(*data, matched=matched, relative=relative) for way in (mupots.evaluate, plain))
            assert list(fast.columns) == list(slow.columns) and list(fast.index) == list(slow.index)
            np.testing.assert_allclose(fast.to_numpy(), slow.to_numpy(), rtol=0, atol=1e-9)

    def test_the_rough_data_hold_what_they_should(self):
        counts = dict.fromkeys(("missed", "extra", "invalid frames", "nobody", "zero", "stub", "tie"), 0)
        for seed in range(5):
            truth, preds_2d, preds_3d = rough(seed)
            errors = mupots.official(truth, preds_2d, preds_3d)
            total = errors.counts().sum()
            counts["missed"] += total["missed"]
            counts["extra"] += total["extra"]
            counts["invalid frames"] += sum((~v.valid.any(1)).sum() for v in truth.values())
            counts["nobody"] += sum(len(uv) == 0 for uv in preds_2d.values())
            counts["zero"] += sum((uv == 0).all(-1).sum() for uv in preds_2d.values())
            counts["stub"] += np.isnan(errors.errors).any(1).sum()
            counts["tie"] += sum(len(uv) > 1 and len(np.unique(uv, axis=0)) < len(uv) for uv in preds_2d.values())
        assert min(counts.values()) > 0, counts

    @given(seeds)
    def test_properties(self, seed):
        truth, preds_2d, preds_3d = rough(seed, videos=2)
        errors = mupots.official(truth, preds_2d, preds_3d)
        everybody, matched = errors.pck(), errors.pck(matched=True)
        counts = errors.counts()
        recall = counts["matched"] / counts["annotated"].replace(0, np.nan)
        for name in truth:
            if counts.loc[name, "matched"]:
                # all = matched * recall: never more, and as much only where nobody was missed or all joints are wrong
                assert everybody.loc[name].to_numpy() == pytest.approx(matched.loc[name].to_numpy() * recall[name])
            sizes = [len(joints) for joints in JOINT_GROUPS.values()]
            groups = everybody.loc[name, list(JOINT_GROUPS)]
            assert everybody.loc[name, "Total"] == pytest.approx(np.average(groups, weights=sizes), nan_ok=True)
        curve = np.array([errors.pck(threshold=float(t))["Total"].to_numpy() for t in (0, 50, 150, 400)])
        assert (np.diff(curve[:, ~np.isnan(curve[0])], axis=0) >= 0).all()
        # predictions that come after the others and agree with nobody change nothing
        more_2d = {k: np.concatenate([v, np.full((2, 17, 2), -1e4)]) for k, v in preds_2d.items()}
        more_3d = {k: np.concatenate([v, np.ones((2, 17, 3))]) for k, v in preds_3d.items()}
        more = mupots.official(truth, more_2d, more_3d)
        np.testing.assert_array_equal(more.errors, errors.errors)
        assert (more.counts()["extra"] - counts["extra"]).sum() == 2 * sum(v.valid.any(1).sum() for v in truth.values())

    def test_the_order_of_annotation_matters(self):
        far = G + (0, 0, 5000)
        uv = seen(np.array([A, A + (100, 0, 0)]))  # 25 px apart
        both = video([[A, far]])
        both = replace(both, annot2=uv[None])
        preds = {"TS1_img_000000": uv[1:]}, {"TS1_img_000000": far[None]}
        assert mupots.official({"TS1": both}, *preds).pairs.choice.tolist() == [0, -1]

    def test_truth_is_univ_annot3_and_invalid_cells_do_not_match(self):
        data = video([[G + (0, 0, 1000), A]], [[False, True]])
        data = replace(data, annot2=seen(np.array([[A, A]])), annot3=data.annot3 + np.nan)
        preds = {"TS1_img_000000": seen(A[None])}, {"TS1_img_000000": A[None]}
        errors = mupots.official({"TS1": data}, *preds)
        assert errors.pairs.person.tolist() == [1] and errors.errors.max() == 0

    def test_pelvis_spine_and_head_are_not_scored(self):
        preds = {"TS1_img_000000": seen(A[None])}, {"TS1_img_000000": A[None] + 0.0}
        preds[1]["TS1_img_000000"][0, 16] += (0, 300, 0)  # below the neck instead of above
        errors = mupots.official({"TS1": video([[A]])}, *preds)
        assert errors.errors[0, 16] > 150 and errors.pck()["Total"].item() == 100

    def test_frames_without_valid_people_need_no_predictions(self):
        data = {"TS1": video([[A], [B]], [[False], [True]]), "TS2": video([[A]], [[False]])}
        preds = {"TS1_img_000001": seen(B[None])}, {"TS1_img_000001": B[None]}
        table = mupots.evaluate(data, *preds)
        assert table.loc["TS1", "Total"] == 100 and np.isnan(table.loc["TS2", "Total"])

    def test_nobody_at_all(self):
        errors = mupots.official({"TS1": video([[A]], [[False]])}, {}, {})
        assert errors.errors.shape == (0, 17) and errors.counts().loc["TS1"].tolist() == [0, 0, 0, 0]
        for table in (errors.pck(), errors.auc(), errors.mpjpe(), errors.averages(), errors.pck(pooled=True)):
            assert np.isnan(table.to_numpy()).all()
        assert np.isnan(mupots.pck_root(errors.pairs))
        assert len(mupots.tdbu({"TS1": video([[A]], [[False]])}, {}, relative=False).errors) == 0

    def test_alignments(self, toy):
        pairs = mupots.pair(*toy)
        found, tall = pairs.matched, 2  # TS1 frame 1: 1.2 G, 100 mm deeper
        assert mupots.score(pairs).errors[tall].max() < 1e-9
        none = mupots.score(pairs, alignment="none")
        assert none.errors[tall] == pytest.approx(0.2 * np.linalg.norm(G, axis=-1))
        assert none.mpjpe().loc["TS1", "Total"] == pytest.approx(none.errors[:3].mean())
        for alignment, scale in (("rigid", False), ("similarity", True)):
            errors = mupots.score(pairs, alignment=alignment)
            expected = pa_mpjpe(pairs.pred[found], pairs.true[found], scale=scale)
            assert errors.errors[found].mean(-1) == pytest.approx(expected, abs=1e-9)
            placed = mupots.score(pairs, relative=False, alignment=alignment)
            assert placed.errors[tall, 14] == pytest.approx(100, abs=30)  # at the predicted root
        assert (mupots.score(pairs, alignment="none", relative=False).errors[~found] > 9e4).all()

    def test_the_caption_says_what_the_truth_was_used_for(self, toy):
        captions = {a: mupots.score(mupots.pair(*toy), alignment=a).pck().attrs["protocol"] for a in mupots._ALIGNMENT}
        assert "uses ground truth: bone lengths;" in captions["bones"]
        assert "uses ground truth: nothing;" in captions["none"]
        assert "size of each pose" in captions["similarity"]
        official = mupots.evaluate(*toy, matched=True, relative=False).attrs["protocol"]
        for words in ("20 of 20", "univ_annot3", "40 px", "absolute", "matched people only", "14 of 17", "< 150 mm"):
            assert words in official
        assert "<= 150 mm" in mupots.official(*toy).pck(joints="visible").attrs["protocol"]

    def test_the_real_set_has_as_many_people(self):
        assert len(FRAMES) == len(PEOPLE) == len(SEQUENCES) == 20
        assert sum(FRAMES) == 8370
        assert sum(n * people for n, people in zip(FRAMES, PEOPLE)) == 20899
        assert [ts for ts, people in enumerate(PEOPLE, 1) if people != 2] == [7, *range(13, 21)]  # three people
        assert set(PEOPLE) == {2, 3}


class TestPredictions:
    """What a file may hold, and what is said of what it may not."""

    def good(self):
        truth = {"TS1": video([[A, B], [A, B]])}
        names = ["TS1_img_000000", "TS1_img_000001"]
        both = np.array([A, B])
        return truth, {n: seen(both) for n in names}, {n: both.copy() for n in names}

    @pytest.mark.parametrize("nobody", [np.zeros((0, 17, 3)), np.zeros((0, 0)), np.zeros((1, 0)), np.zeros(0)])
    def test_nobody_in_any_shape(self, nobody):
        truth, preds_2d, preds_3d = self.good()
        preds_3d["TS1_img_000001"], preds_2d["TS1_img_000001"] = nobody, nobody[..., :2] if nobody.ndim == 3 else nobody
        errors = mupots.official(truth, preds_2d, preds_3d)
        assert errors.pairs.choice.tolist() == [0, 1, -1, -1]

    def test_nobody_in_a_file(self, tmp_path):
        truth, preds_2d, preds_3d = self.good()
        preds_2d["TS1_img_000001"], preds_3d["TS1_img_000001"] = np.zeros((0, 17, 2)), []
        savemat(tmp_path / "2.mat", preds_2d)
        savemat(tmp_path / "3.mat", preds_3d)
        assert mupots.evaluate(truth, tmp_path / "2.mat", str(tmp_path / "3.mat"))["Total"].item() == 50

    def test_single_precision_and_whole_numbers(self):
        truth, preds_2d, preds_3d = self.good()
        preds_2d = {k: v.round().astype(np.int32) for k, v in preds_2d.items()}
        preds_3d = {k: v.astype(np.float32) for k, v in preds_3d.items()}
        errors = mupots.official(truth, preds_2d, preds_3d)
        assert errors.errors.dtype == np.float64 and errors.errors.max() < 1e-3

    @pytest.mark.parametrize("which, file", [(1, "2.mat"), (2, "3.mat")])
    @pytest.mark.parametrize(
        "bad, found",
        [
            (None, "found nothing"),
            (np.zeros((17, 3)), "shape (17, 3)"),
            (np.zeros((2, 17, 4)), "shape (2, 17, 4)"),
            (np.zeros((2, 15, 3)), "shape (2, 15, 3)"),
            (np.zeros((2, 17, 0)), "shape (2, 17, 0)"),
            (np.full((2, 17, 3), np.nan), "NaN or infinity"),
            (np.full((2, 17, 3), -np.inf), "NaN or infinity"),
            (np.full((2, 17, 3), 1e200), "1e+200"),
            (np.zeros((2, 17, 3), complex), "numbers"),
            ("people", "numbers"),
        ],
    )
    @pytest.mark.parametrize("from_files", [True, False])
    def test_bad_arrays_are_named(self, which, file, bad, found, from_files, tmp_path):
        data = self.good()
        if isinstance(bad, np.ndarray) and bad.shape == (2, 17, 3):
            bad = bad[..., : which + 1]
        data[which]["TS1_img_000001"] = bad
        if bad is None:
            del data[which]["TS1_img_000001"]
        if from_files:
            savemat(tmp_path / "2.mat", data[1])
            savemat(tmp_path / "3.mat", data[2])
            data = data[0], tmp_path / "2.mat", tmp_path / "3.mat"
        with pytest.raises(BadInput) as caught:
            mupots.evaluate(*data)
        assert caught.value.field == "TS1_img_000001" and found in str(caught.value)
        where = str(tmp_path / file) if from_files else f"preds_{which + 1}d"
        assert caught.value.where == where

    def test_other_numbers_of_people(self):
        truth, preds_2d, preds_3d = self.good()
        preds_3d["TS1_img_000001"] = preds_3d["TS1_img_000001"][:1]
        with pytest.raises(BadInput, match="preds_3d: TS1_img_000001: found 1 people, expected 2, as in preds_2d"):
            mupots.evaluate(truth, preds_2d, preds_3d)
        truth, preds_2d, preds_3d = self.good()  # the MATLAB would not notice these
        preds_3d["TS1_img_000001"] = np.array([A, B, B])
        with pytest.raises(BadInput, match="found 3 people, expected 2"):
            mupots.evaluate(truth, preds_2d, preds_3d)

    def test_missing_files(self, toy, tmp_path):
        root, *files = stored(tmp_path, *toy)
        with pytest.raises(MissingData, match=r"none\.mat"):
            mupots.evaluate(root, tmp_path / "none.mat", files[1])
        (root / "MultiPersonTestSet" / "TS7" / "annot.mat").unlink()
        with pytest.raises(MissingData, match="TS7"):
            mupots.evaluate(root, *files)

    def test_a_damaged_file(self, toy, tmp_path):
        root, two, three = stored(tmp_path, *toy)
        three.write_bytes(three.read_bytes()[:5000])
        with pytest.raises(BadInput, match="preds_3d"):
            mupots.evaluate(root, two, three)

    @pytest.mark.parametrize(
        "call",
        [
            lambda good: mupots.pair({}, *good[1:]),
            lambda good: mupots.pair(good[0], None, good[2]),
            lambda good: mupots.pair({"TS1": video([[1e200 * A, B]] * 2)}, *good[1:]),
            lambda good: inspect.unwrap(mupots.pair)(*good, by="nearest"),
            lambda good: inspect.unwrap(mupots.score)(mupots.pair(*good), alignment="scale"),
            lambda good: inspect.unwrap(mupots.Errors.pck)(mupots.official(*good), joints="hidden"),
        ],
    )
    def test_bad_options(self, call):
        with pytest.raises(BadInput):
            call(self.good())


class TestTdbu:
    def test_bones_go_by_the_loop_counter(self):
        assert mupots.MISINDEXED_BONES[:5] == ((15, 1), (1, 15), (0, 1), (16, 2), (2, 3))
        assert (4, 5) in mupots.MISINDEXED_BONES and (7, 8) in mupots.MISINDEXED_BONES
        errors = joint_errors(mupots.rescale_misindexed(1.3 * G, G), G, root=None)
        assert errors.max() == pytest.approx(161.6, abs=0.05)

    def test_it_scores_the_toy_set_otherwise(self, toy):
        truth, _, preds_3d = toy
        assert mupots.evaluate(*toy)["Total"].mean() == pytest.approx(97.380952, abs=5e-7)
        fitted = mupots.tdbu(truth, preds_3d, alignment="similarity")
        assert (fitted.pck() == 100).all(axis=None)
        auc = fitted.auc(thresholds=mupots.AUC_THRESHOLDS["tdbu"])
        assert auc.loc["TS3", "Total"] == pytest.approx(97.5, abs=1e-9)
        for words in ("ddddwee1", "annot3", "250 mm", "may serve twice", "similarity Procrustes", "size of each pose"):
            assert words in fitted.pck().attrs["protocol"]

    def test_truth_is_annot3(self):
        data = video([[A]])
        data = replace(data, univ_annot3=data.univ_annot3 + np.nan)
        assert mupots.tdbu({"TS1": data}, {"TS1_img_000000": A[None]}).errors.max() < 1e-9

    def test_one_prediction_serves_everybody_and_place_does_not_matter(self):
        errors = mupots.tdbu({"TS1": video([[A, B]])}, {"TS1_img_000000": A[None] + (3000, 0, 0)})
        assert errors.pairs.choice.tolist() == [0, 0] and errors.errors.max() < 1e-9
        assert errors.counts().loc["TS1"].tolist() == [2, 2, 0, 0]

    def test_absolute_tests_the_depth_alone(self):
        # B's root is at (800, 0, 4000); the prediction is elsewhere, at 1.02 times the depth: 2 % of |(800, 0, 4000)|
        pred = {"TS1_img_000000": G[None] + (-2000, 700, 4080)}
        absolute = mupots.tdbu({"TS1": video([[B]])}, pred, relative=False)
        assert absolute.errors[0] == pytest.approx(np.full(17, 0.02 * np.hypot(800, 4000)))
        assert "direction of each root" in absolute.pck().attrs["protocol"]
        # The release compares with the true depth filed under the prediction's number, whoever that is.
        filed = mupots.tdbu({"TS1": video([[B]])}, pred, relative=False, depths={"TS1_img_000000": [4080]})
        assert filed.errors.max() < 1e-9

    def test_missed_people_and_frames_without_predictions(self):
        odd = np.random.default_rng(0).normal(0, 900, (1, 17, 3))
        preds = {"TS1_img_000000": odd, "TS1_img_000001": np.zeros((0, 17, 3))}
        for relative in (True, False):
            errors = mupots.tdbu({"TS1": video([[A], [A]])}, preds, relative)
            assert errors.pairs.choice.tolist() == [-1, -1] and errors.pck()["Total"].item() == 0

    def test_cells_that_are_not_valid_may_be_nan(self):
        data = video([[A + np.nan, B]], [[False, True]])
        assert mupots.tdbu({"TS1": data}, {"TS1_img_000000": B[None]}).pck()["Total"].item() == 100

    @pytest.mark.parametrize("depths", [{}, {"TS1_img_000000": []}, {"TS1_img_000000": [0.0]}])
    def test_bad_depths(self, depths):
        with pytest.raises(BadInput, match="TS1_img_000000"):
            mupots.tdbu({"TS1": video([[B]])}, {"TS1_img_000000": B[None]}, relative=False, depths=depths)


class TestSmap:
    def test_the_neck_hangs_on_the_pelvis(self):
        skeleton = mupots.SMAP_MPI15
        assert skeleton.joints == MPI17.joints[:15]
        assert skeleton.parents[1] == 14 and skeleton.parents[14] == -1
        assert skeleton.parents[2:14] == MPI17.parents[2:14]
        bent = A.copy()
        bent[15] += (0, 0, 200)  # the spine, which the official neck follows
        preds = {"TS1_img_000000": seen(A[None])}, {"TS1_img_000000": bent[None]}
        assert mupots.official({"TS1": video([[A]])}, *preds).errors[0, 1] > 1
        assert mupots.smap({"TS1": video([[A]])}, *preds).errors.max() < 1e-9

    def test_the_toy_set_with_17_or_15_joints(self, toy):
        truth, preds_2d, preds_3d = toy
        whole = mupots.smap(*toy)
        cut = mupots.smap(truth, *({k: v[:, :15] for k, v in preds.items()} for preds in (preds_2d, preds_3d)))
        np.testing.assert_array_equal(whole.errors, cut.errors)
        assert whole.errors.shape == (41, 15)
        assert whole.pck()["Total"].mean() == pytest.approx(97.380952, abs=5e-7)
        assert "SMAP" in whole.pck().attrs["protocol"] and "14 of 15" in whole.pck().attrs["protocol"]

    def test_pck_root_counts_150_and_is_pooled(self):
        truth = {"TS1": video([[A]]), "TS2": video([[A, B]])}
        preds_2d = {"TS1_img_000000": seen(A[None]), "TS2_img_000000": seen(np.array([A, B]))}
        preds_3d = {"TS1_img_000000": A[None] + (0, 0, 150), "TS2_img_000000": np.array([A + (0, 0, 150.1), 3 * B])}
        pairs = mupots.smap(truth, preds_2d, preds_3d).pairs
        assert mupots.pck_root(pairs) == pytest.approx(100 / 3)
        far = {**preds_2d, "TS2_img_000000": preds_2d["TS2_img_000000"] + [[[0, 0]], [[500, 0]]]}
        pairs = mupots.smap(truth, far, preds_3d).pairs
        assert mupots.pck_root(pairs) == pytest.approx(100 / 3)
        assert mupots.pck_root(pairs, matched=True) == 50
