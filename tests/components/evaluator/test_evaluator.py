import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from etils import epath

from beam_jobs.embedding.read import Embeddings
from components.errors import DamagedFile, UserError
from components.evaluator import Evaluator, EvaluatorConfig, predictions, preparation
from components.evaluator.recordings import recording_of
from tests import tensorboard_server
from tests.components import harness
from tests.components.stored_embeddings import write_embeddings

pytestmark = pytest.mark.usefixtures("blank_pictures")

EMBEDDERS = {
    "trained": {"waveform": (8, 1.5), "log_mel": (6, 1.5)},
    "untrained": {"waveform": (8, 0.3), "log_mel": (6, 0.3)},
    "mfcc_mean_std": {"mfcc_mean_std": (4, 0.3)},
}
FEW = {
    "trained": {"embedding": (8, 1.5)},
    "untrained": {"embedding": (8, 0.3)},
    "mfcc_mean_std": {"mfcc_mean_std": (4, 0.3)},
}
"""A set of each embedder: building and tracing a probe for each takes most of the time of a test."""
SETS = ["waveform", "log_mel", "both", "untrained/waveform", "untrained/log_mel", "untrained/both", "mfcc_mean_std"]
NAMES = ("tone", "noise", "never")


def _clips(count, *, folds=0):
    return [((k % 2,), k % folds + 1 if folds else 0, 2) for k in range(count)]


FOLDS = {"train": _clips(30, folds=5), "valid": _clips(10, folds=5)}
SEVERAL = {"train": [((k % 2, 2) if k % 3 else (k % 2,), 0, 1) for k in range(50)], "valid": [((0, 1), 0, 2)] * 4}
SPLITS = {"train": _clips(40), "valid": _clips(4), "eval": _clips(20)}


def _evaluate(folder, clips, *, embedders=EMBEDDERS, has_folds=False, samples=None, names=NAMES, **config):
    """Executes the Evaluator and returns the content of `metrics.json` and of `blessing.json`, and the execution."""
    stored = folder / "embeddings"
    if not stored.exists():
        write_embeddings(stored, clips, embedders, label_names=names, has_folds=has_folds, samples=samples)
    config = EvaluatorConfig(**{"mlp_epochs": 2, "mlp_hidden": 8, **config})
    run = harness.execute(Evaluator(config), folder / "run", embeddings=stored)
    report = json.loads((run.outputs["evaluation"] / "metrics.json").read_text())
    blessing = json.loads((run.outputs["blessing"] / "blessing.json").read_text())
    return report, blessing, run


@pytest.mark.parametrize(("clips", "probe", "metric"), [(FOLDS, "linear", "accuracy"), (SPLITS, "mlp", "mAP")])
def test_every_set_gets_every_score_with_its_interval(tmp_path, clips, probe, metric):
    report, blessing, run = _evaluate(tmp_path, clips, has_folds=probe == "linear")
    assert (report["probe"], report["metric"]) == (probe, metric)
    for field in ("scores", "intervals", "knn", "few_shot", "retrieval"):
        assert list(report[field]) == SETS, field
    for name, score in report["scores"].items():
        low, high = report["intervals"][name]
        assert 0 <= low <= score <= high <= 1
        for column in ("knn", "few_shot", "retrieval"):
            low, high = report[column][name]["interval"]
            assert 0 <= low <= report[column][name]["score"] <= high <= 1
    assert report["scores"]["both"] > report["scores"]["untrained/both"]
    assert list(report["comparison"]) == [name for name in SETS if name != "untrained/both"]
    compared = report["comparison"]["both"]
    assert compared["baseline"] == "untrained/both"
    np.testing.assert_allclose(compared["difference"], report["scores"]["both"] - report["scores"]["untrained/both"])
    assert report["few_shot"]["both"]["spread"] >= 0
    assert report["details"]["by_class"]["both"][2] is None
    assert blessing["blessed"]
    assert run.result.summary.startswith(f"{probe} probe {metric}: waveform ")
    assert "; better than untrained/both and mfcc_mean_std; left out: 1 of 3 classes" in run.result.summary
    assert run.progress.updates[-1] == (7, 7, "probes")


def test_tensorboard_shows_the_evaluation(tmp_path):
    _, _, run = _evaluate(tmp_path, FOLDS, embedders=FEW, has_folds=True)
    tensorboard_server.check_tags(run.context.tensorboard_dir)
    assert {"probe/confusion", "pr/micro/pr_curves"} <= set(run.tags())


def test_an_encoder_that_is_alone_is_both_too(tmp_path):
    embedders = {
        "trained": {"mfcc": (6, 2.0)},
        "untrained": {"mfcc": (6, 0.2)},
        "mfcc_mean_std": {"mfcc_mean_std": (3, 0.1)},
    }
    report, _, run = _evaluate(tmp_path, SPLITS, embedders=embedders)
    assert list(report["scores"]) == ["mfcc", "both", "untrained/mfcc", "untrained/both", "mfcc_mean_std"]
    for field in ("scores", "intervals", "knn"):
        assert report[field]["mfcc"] == report[field]["both"]
    assert report["comparison"]["untrained/mfcc"]["difference"] == 0.0
    assert len(run.progress.updates) == 5


def test_a_labeled_folder_gets_folds_and_says_so(tmp_path):
    clips = {"train": _clips(38), "valid": _clips(2)}
    report, _, run = _evaluate(tmp_path, clips, embedders=FEW)
    assert (report["probe"], report["metric"]) == ("linear", "accuracy")
    assert len(report["details"]["probes"]["both"]["folds"]) == 5
    assert report["note"].startswith("5 folds were made, each recording in one")
    assert report["note"] in run.result.summary


@pytest.mark.parametrize("sampled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_clips_with_several_labels_are_cross_validated_without_an_eval_split(tmp_path, sampled):
    """All columns test each clip once, and a baseline on a sample is compared on the clips that both have."""
    embedders = {"trained": {"embedding": (8, 2.0)}, "mfcc_mean_std": EMBEDDERS["mfcc_mean_std"]}
    samples = {"mfcc_mean_std": {"train": range(0, 50, 2)}} if sampled else None
    report, blessing, run = _evaluate(tmp_path, SEVERAL, embedders=embedders, samples=samples, mlp_epochs=1)
    assert (report["probe"], report["metric"]) == ("mlp", "mAP")
    assert report["note"].startswith("5 folds were made, each recording in one")
    assert sorted(report["details"]["probes"]["both"]["folds"]) == ["1", "2", "3", "4", "5"]
    assert report["details"]["clips_by_class"]["tested"] == report["details"]["clips_by_class"]["all"]
    assert report["scores"]["both"] > report["scores"]["mfcc_mean_std"]
    for column in ("knn", "few_shot", "retrieval"):
        assert 0.3 < report[column]["both"]["score"] <= 1
    assert report["comparison"]["both"]["clips"] == (29 if sampled else 54)  # With all of the valid split.
    assert blessing["blessed"]
    predicted = predictions.read(run.outputs["evaluation"])
    assert sorted(predicted.clip_ids) == sorted([*(f"train{k}" for k in range(50)), *(f"valid{k}" for k in range(4))])


def test_clips_with_several_labels_keep_the_folds_that_they_have(tmp_path):
    clips = {"train": [((k % 2, 2) if k % 3 else (k % 2,), k // 2 % 4, 1) for k in range(40)]}
    report, _, run = _evaluate(tmp_path, clips, embedders={"trained": {"embedding": (6, 2.0)}}, has_folds=True)
    assert (report["probe"], report["note"]) == ("mlp", None)
    assert sorted(report["details"]["probes"]["both"]["folds"]) == ["1", "2", "3"]
    assert len(predictions.read(run.outputs["evaluation"]).clip_ids) == 30


def test_one_recording_a_class_cannot_be_divided(tmp_path):
    clips = {"train": [((k % 2,), 0, 2, f"{k % 2}.wav@{k}.00") for k in range(20)]}
    report, blessing, _ = _evaluate(tmp_path, clips)
    assert report["probe"] is None
    assert "fewer than two classes" in report["note"]
    assert not blessing["blessed"]


def test_folds_are_made_for_the_probe_that_they_allow(tmp_path):
    """Whole recordings leave the linear probe one class in two folds. The mlp probe divides what that passes over."""
    several = [((0, 1), 0, 1, f"b{k}.wav@10.00") for k in range(2)]
    clips = [((0,), 0, 1, f"a.wav@{k}.00") for k in range(10)] + [((1,), 0, 1, f"b{k}.wav@0.00") for k in range(12)]
    write_embeddings(tmp_path / "stored", {"train": clips + several}, FEW, label_names=NAMES)
    prepared = preparation.prepare(Embeddings(tmp_path / "stored"), EvaluatorConfig())
    assert prepared.choice.probe == "mlp"
    for of_one in prepared.clips.values():
        assert (of_one.folds > 0).all()
        folds_of = {recording_of(name): set() for name in of_one.clip_ids}
        for name, fold in zip(of_one.clip_ids, of_one.folds.tolist(), strict=True):
            folds_of[recording_of(name)].add(fold)
        assert all(len(numbers) == 1 for numbers in folds_of.values())


def test_a_baseline_on_a_sample_is_compared_on_the_clips_that_both_have(tmp_path):
    samples = {
        "untrained": {"train": range(15), "valid": range(5)},
        "mfcc_mean_std": {"train": range(12), "valid": []},
    }
    report, blessing, run = _evaluate(tmp_path, FOLDS, has_folds=True, samples=samples)
    assert report["comparison"]["both"]["clips"] == 20
    assert report["comparison"]["untrained/waveform"]["clips"] == 20
    assert report["comparison"]["mfcc_mean_std"]["clips"] == 12
    assert "untrained on a sample of 20 of 40 clips; mfcc_mean_std on a sample of 12 of 40 clips" in report["note"]
    assert report["details"]["clips_by_embedder"] == {"trained": 40, "untrained": 20, "mfcc_mean_std": 12}
    assert blessing["blessed"]
    assert "sample of 20 of 40" in run.result.summary


@pytest.mark.parametrize(
    ("clips", "sampled"),
    [
        (FOLDS, {"train": range(20), "valid": range(5)}),
        pytest.param(SPLITS, {"train": range(0, 40, 3), "valid": range(4), "eval": range(10)}, marks=pytest.mark.slow),
    ],
)
def test_the_model_learns_from_the_same_sample_as_the_baseline_that_it_is_compared_with(tmp_path, clips, sampled):
    has_folds = clips is FOLDS
    samples = {"untrained": sampled, "mfcc_mean_std": sampled}
    whole, *_ = _evaluate(tmp_path / "whole", clips, embedders=FEW, has_folds=has_folds, samples=samples)
    shutil.copytree(tmp_path / "whole" / "embeddings", tmp_path / "alike" / "embeddings")
    _keep(tmp_path / "alike" / "embeddings", {f"{split}{index}" for split, kept in sampled.items() for index in kept})
    alike, *_ = _evaluate(tmp_path / "alike", clips, has_folds=has_folds)
    assert whole["details"]["clips_by_embedder"]["trained"] > alike["details"]["clips_by_embedder"]["trained"]
    assert whole["comparison"] == alike["comparison"]


def _keep(folder, clip_ids):
    """Removes all clips of the trained model from a folder of embeddings but some."""
    info = json.loads((folder / "embeddings.json").read_text())
    trained = info["embedders"]["trained"]
    for split, files in trained["files"].items():
        kept = set()
        for name in files:
            table = pq.read_table(folder / "trained" / name)
            table = table.filter([clip_id in clip_ids for clip_id in table["clip_id"].to_pylist()])
            pq.write_table(table, folder / "trained" / name)
            files[name] = len(table)
            kept |= set(table["clip_id"].to_pylist())
        trained["clips"][split] = len(kept)
    (folder / "embeddings.json").write_text(json.dumps(info))


def test_the_baseline_of_the_comparison_can_be_chosen(tmp_path):
    report, _, _ = _evaluate(tmp_path, FOLDS, embedders=FEW, has_folds=True, baseline="mfcc_mean_std")
    assert {one["baseline"] for one in report["comparison"].values()} == {"mfcc_mean_std"}
    with pytest.raises(
        UserError, match=r"evaluator\.baseline=yamnet is not among the embeddings: set it to one of embedding"
    ):
        _evaluate(tmp_path, FOLDS, baseline="yamnet")


def test_a_model_alone_is_scored_without_a_comparison(tmp_path):
    report, blessing, run = _evaluate(tmp_path, SPLITS, embedders={"trained": {"embedding": (5, 2.0)}})
    assert list(report["scores"]) == ["embedding", "both"]
    assert report["comparison"] == {}
    assert not blessing["blessed"]  # There is nothing that it beats.
    assert "untrained" not in run.result.summary


def test_unlabeled_clips_are_blessed_without_a_probe(tmp_path):
    report, blessing, run = _evaluate(tmp_path, {"train": [((), 0, 1)] * 3}, names=())
    assert run.progress.updates == []
    assert (report["probe"], report["scores"]) == (None, {})
    assert blessing["blessed"]
    assert "no labels" in run.result.summary


def test_labels_that_cannot_be_probed_give_no_score_and_no_blessing(tmp_path):
    clips = {"train": [((0,), 0, 1)], "eval": [((), 0, 1)]}
    report, blessing, run = _evaluate(tmp_path, clips, names=("tone",))
    assert (report["probe"], report["scores"]) == (None, {})
    assert "no class has two clips and is missing from two others" in run.result.summary
    assert not blessing["blessed"]
    assert "evaluator.probe=none pushes it without a score" in blessing["reasons"][0]
    assert _evaluate(tmp_path, clips, probe="none")[1]["blessed"]
    with pytest.raises(
        UserError, match=r"evaluator\.probe=mlp cannot work, because no class has two clips and is missing"
    ):
        _evaluate(tmp_path, clips, probe="mlp")


def test_clips_that_cannot_be_probed_are_left_out_and_counted(tmp_path):
    """Among folds: a clip without a label, one with two labels, and a class of one clip."""
    odd = [((), 1, 2), ((0, 1), 2, 1), ((2,), 3, 2)]
    report, _, run = _evaluate(
        tmp_path,
        {"train": [odd[0], *_clips(18, folds=3), odd[1]], "valid": [odd[2]]},
        embedders=FEW,
        has_folds=True,
    )
    assert report["details"]["by_class"]["both"][2] is None
    left_out = "1 clip without a label; 1 clip with several labels; 1 of 3 classes, not in two folds (never)"
    assert report["note"] == f"left out: {left_out}"
    assert run.result.summary.endswith(f"; left out: {left_out}")


def test_a_damaged_file_is_named(tmp_path):
    _evaluate(tmp_path, SPLITS, probe="none")
    (tmp_path / "embeddings" / "untrained" / "eval-00001-of-00002.parquet").write_bytes(b"PAR1")
    with pytest.raises(DamagedFile, match="eval-00001-of-00002.parquet is damaged"):
        _evaluate(tmp_path, SPLITS)


def test_the_labels_are_checked_as_soon_as_the_statistics_are_there(tmp_path):
    counts = {"train": ([10, 0], 4), "eval": ([0, 6], 0)}
    splits = {
        name: {"clips": 14, "unlabelled_clips": none, "several_labels_clips": 0, "label_counts": by_class,
               "fold_labels": [[0, label, clips] for label, clips in enumerate(by_class) if clips]}
        for name, (by_class, none) in counts.items()
    }  # fmt: skip
    statistics = {"label_names": ["tone", "noise"], "splits": splits}
    (tmp_path / "statistics.json").write_text(json.dumps(statistics))
    inputs = {"statistics": epath.Path(tmp_path)}
    Evaluator(EvaluatorConfig()).check_inputs(inputs)
    with pytest.raises(UserError, match="evaluator.probe=mlp cannot work, because no class has clips, and is missing"):
        Evaluator(EvaluatorConfig(probe="mlp")).check_inputs(inputs)
    del splits["eval"]
    splits["train"]["fold_labels"].append([0, 1, 5])
    (tmp_path / "statistics.json").write_text(json.dumps(statistics))
    Evaluator(EvaluatorConfig(probe="linear")).check_inputs(inputs)
    Evaluator(EvaluatorConfig(probe="mlp")).check_inputs({})
