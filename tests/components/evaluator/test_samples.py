"""Baselines that have embedded a sample of the clips."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from beam_jobs.embedding.read import Embeddings
from components.errors import UserError
from components.evaluator import Evaluator, EvaluatorConfig, evaluation, preparation
from components.evaluator.clips import read_clips
from components.evaluator.features import sets_of
from components.evaluator.probes import mlp
from tests.components import harness
from tests.components.stored_embeddings import write_embeddings

pytestmark = pytest.mark.usefixtures("blank_pictures")

EMBEDDERS = {"trained": {"embedding": (8, 1.5)}, "mfcc_mean_std": {"mfcc_mean_std": (4, 0.3)}}
NAMES = ("tone", "noise")
CONFIG = {"mlp_epochs": 1, "mlp_hidden": 4}

# Of each clip: its labels, its fold, or 0 for none, and its number of rows.
LABELED = [((k % 2,), 0, 1) for k in range(20)]
UNLABELED = [((), 0, 1)] * 20
IN_FOLDS = {"train": [((k % 2,), k % 5 + 1, 1) for k in range(20)] + [((), k % 5 + 1, 1) for k in range(20)]}
# Every third clip has both labels.
SEVERAL = {"train": [((0, 1) if k % 3 == 0 else (k % 2,), k % 5 + 1, 1) for k in range(20)]}

TOO_FEW = {
    "no labeled clip to train on": (
        {"train": LABELED + UNLABELED, "eval": LABELED}, {"train": range(20, 40), "eval": range(20)},
    ),
    "no labeled clip to test on": (
        {"train": LABELED, "eval": LABELED + UNLABELED}, {"train": range(20), "eval": range(20, 40)},
    ),
    "no clip to test on": ({"train": LABELED, "eval": LABELED}, {"train": range(20), "eval": []}),
    "four clips to test on": ({"train": LABELED, "eval": LABELED}, {"train": range(20), "eval": range(4)}),
    "a class to train on and another to test on": (
        {"train": LABELED, "eval": LABELED}, {"train": range(0, 20, 2), "eval": range(1, 20, 2)},
    ),
    "no labeled clip in folds": (IN_FOLDS, {"train": range(20, 40)}),
    "labels in one fold": (IN_FOLDS, {"train": [0, 5, 10, 15, *range(20, 40)]}),
    "one class in folds": (IN_FOLDS, {"train": [*range(0, 20, 2), *range(20, 40)]}),
    "several labels in one fold": (SEVERAL, {"train": [0, 5, 10, 15]}),
    "no clip at all": (IN_FOLDS, {"train": []}),
}  # fmt: skip


def _write(folder, clips, sampled, *, embedders=EMBEDDERS, names=NAMES):
    has_folds = any(fold for of_split in clips.values() for _, fold, _ in of_split)
    samples = {name: sampled for name in embedders if name != "trained"}
    return write_embeddings(folder, clips, embedders, label_names=names, has_folds=has_folds, samples=samples)


def _evaluate(folder, stored, **config):
    run = harness.execute(Evaluator(EvaluatorConfig(**CONFIG, **config)), folder / "run", embeddings=stored)
    report = json.loads((run.outputs["evaluation"] / "metrics.json").read_text())
    return report, json.loads((run.outputs["blessing"] / "blessing.json").read_text()), run


@pytest.mark.parametrize("case", TOO_FEW)
def test_a_baseline_whose_sample_has_too_few_labels_is_left_out_and_named(tmp_path, case):
    clips, sampled = TOO_FEW[case]
    stored = _write(tmp_path / "embeddings", clips, sampled)
    report, blessing, run = _evaluate(tmp_path, stored)
    for field in ("scores", "intervals", "knn", "few_shot", "retrieval"):
        assert list(report[field]) == ["embedding", "both"], field
    assert report["comparison"] == {}
    of_all = f"{sum(map(len, sampled.values()))} of {sum(map(len, clips.values()))} clips"
    said = f"mfcc_mean_std left out, as its sample of {of_all} has too few labels to train and to test on"
    assert said in report["note"]
    assert said in run.result.summary
    assert blessing["reasons"][0].startswith("compared with neither untrained/both nor mfcc_mean_std")
    assert run.progress.updates[-1] == (2, 2, "probes")


@pytest.mark.parametrize("case", ["no labeled clip to test on", "no clip to test on"])
def test_a_mean_average_precision_of_no_class_is_no_score(tmp_path, case):
    embeddings = Embeddings(_write(tmp_path / "embeddings", *TOO_FEW[case]))
    sets = sets_of("mfcc_mean_std", embeddings.info.embedders["mfcc_mean_std"])
    clips = read_clips(embeddings, "mfcc_mean_std")
    with pytest.raises(ValueError, match="no tested clip has a label that is scored"):
        mlp.probe(embeddings, sets, clips, scored=(0, 1), classes=2, by_fold=False, config=EvaluatorConfig(**CONFIG))


def test_the_others_are_compared_with_a_baseline_that_can_be_probed(tmp_path):
    embedders = {**EMBEDDERS, "untrained": {"embedding": (8, 0.3)}, "yamnet": {"yamnet": (4, 0.3)}}
    whole = {"train": range(40)}
    samples = {"untrained": {"train": range(20, 40)}, "mfcc_mean_std": whole, "yamnet": whole}
    stored = write_embeddings(
        tmp_path / "embeddings", IN_FOLDS, embedders, label_names=NAMES, has_folds=True, samples=samples
    )
    report, blessing, _ = _evaluate(tmp_path, stored)
    assert list(report["scores"]) == ["embedding", "both", "mfcc_mean_std", "yamnet"]
    assert {one["baseline"] for one in report["comparison"].values()} == {"mfcc_mean_std"}
    assert blessing["blessed"]


def test_a_baseline_of_the_comparison_that_cannot_be_probed_compares_nothing(tmp_path):
    stored = _write(tmp_path / "embeddings", *TOO_FEW["labels in one fold"])
    report, _, _ = _evaluate(tmp_path, stored, baseline="mfcc_mean_std")
    assert report["comparison"] == {}
    assert "mfcc_mean_std left out" in report["note"]
    with pytest.raises(UserError, match="evaluator.baseline=yamnet is not among the embeddings"):
        _evaluate(tmp_path, stored, baseline="yamnet")


def test_a_difference_is_that_of_the_same_clips_and_classes(tmp_path):
    """The eval split of the sample lacks a class that the model is scored on."""
    clips = {
        "train": [((k % 3,), 0, 1) for k in range(30)],
        "eval": [((2, k % 2) if k % 4 == 3 else (k % 2,), 0, 1) for k in range(40)],
    }
    sampled = {"train": range(30), "eval": [k for k in range(40) if k % 4 != 3]}
    stored = _write(tmp_path / "embeddings", clips, sampled, names=("tone", "noise", "rare"))
    embeddings, config = Embeddings(stored), EvaluatorConfig(**CONFIG, probe="mlp")
    prepared = preparation.prepare(embeddings, config)
    assert prepared.choice.classes == (0, 1, 2)
    found = evaluation.evaluate(embeddings, prepared, config, progress=harness.RecordedProgress())
    expected = {}
    for name in ("both", "mfcc_mean_std"):
        result = found.comparable[name]
        places = {clip_id: place for place, clip_id in enumerate(result.tested.clip_ids)}
        rows = [places[f"eval{k}"] for k in sampled["eval"]]
        truth, logits = result.tested.targets(3)[rows][:, :2], result.logits[rows][:, :2]
        expected[name] = average_precision_score(truth, logits, average="macro")
    assert found.on_shared_clips("both", "mfcc_mean_std") == pytest.approx(tuple(expected.values()))
    compared = found.report.comparison["both"]
    np.testing.assert_allclose(compared.difference, expected["both"] - expected["mfcc_mean_std"], atol=1e-9)
    assert compared.clips == 30
