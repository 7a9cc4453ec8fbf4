import json

import keras
import pytest
from etils import epath

from beam_jobs.examples import read_info
from components.errors import UserError
from components.evaluator import Evaluator, EvaluatorConfig
from components.evaluator.probes.choice import choose_probe
from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from tests import tensorboard_server
from tests.components import harness, stored_examples

CROP = 0.5


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Untrained models of two formats ("dual") and of one ("single"), and examples ("folds", "splits", "unlabelled").

    The format of "single" is mfcc, whose name is close to that of the baseline.
    """
    folder = tmp_path_factory.mktemp("evaluator")
    made = {}
    for name, formats in {"dual": "waveform+log_mel", "single": "mfcc+mfcc"}.items():
        made[name] = epath.Path(folder / name)
        keras.utils.set_random_seed(0)
        model = dual.DualEncoder(ModelConfig(formats=formats, width=0.03125, crop_seconds=CROP))
        (made[name] / "model").mkdir(parents=True)
        model.save(str(made[name] / "model" / "initial.keras"))
        saved_model.export(model, made[name] / "saved_model")
    clips = [(stored_examples.sound(k % 2, seed=k), (k % 2,), k % 5 + 1) for k in range(20)]
    made["folds"] = stored_examples.write_examples(
        folder / "folds", {"train": clips[:15], "valid": clips[15:]}, label_names=("tone", "noise"), has_folds=True
    )
    without_folds = [(audio, labels, 0) for audio, labels, _ in clips]
    splits = {"train": without_folds[:10], "valid": without_folds[10:14], "eval": without_folds[14:]}
    made["splits"] = stored_examples.write_examples(folder / "splits", splits, label_names=("tone", "noise", "never"))
    made["unlabelled"] = stored_examples.write_examples(folder / "unlabelled", {"train": [(clips[0][0], (), 0)]})
    return made


def _evaluate(artifacts, model, examples, folder, **config):
    """Executes the Evaluator and returns the content of `metrics.json` and of `blessing.json`, and the execution."""
    inputs = {
        "examples": artifacts[examples],
        "model": artifacts[model] / "model",
        "saved_model": artifacts[model] / "saved_model",
    }
    run = harness.execute(Evaluator(EvaluatorConfig(**config)), folder, **inputs)
    report = json.loads((run.outputs["evaluation"] / "metrics.json").read_text())
    blessing = json.loads((run.outputs["blessing"] / "blessing.json").read_text())
    return report, blessing, run


def test_examples_with_folds_get_the_linear_probe(artifacts, tmp_path):
    report, blessing, run = _evaluate(artifacts, "dual", "folds", tmp_path)
    assert (report["probe"], report["metric"]) == ("linear", "accuracy")
    sets = ["waveform", "log_mel", "both", "untrained/waveform", "untrained/log_mel", "untrained/both", "mfcc_mean_std"]
    assert list(report["scores"]) == sets
    assert report["scores"]["both"] == report["scores"]["untrained/both"]  # The model is not trained.
    assert report["scores"]["mfcc_mean_std"] > 0.9
    assert not blessing["blessed"]
    assert "NOT blessed" in run.result.summary
    assert run.progress.updates[-1] == (7, 7, "probes")
    folder = run.context.tensorboard_dir
    assert list(folder.glob("events*"))
    assert len((folder / "embedding.tsv").read_text().splitlines()) == 20
    tensorboard_server.check_tags(folder)
    assert len((folder / "labels.tsv").read_text().splitlines()) == 21


def test_examples_with_an_eval_split_get_the_mlp_probe(artifacts, tmp_path):
    report, _, _ = _evaluate(artifacts, "single", "splits", tmp_path, mlp_epochs=5, mlp_hidden=16)
    assert (report["probe"], report["metric"]) == ("mlp", "mAP")
    assert list(report["scores"]) == ["mfcc", "both", "untrained/mfcc", "untrained/both", "mfcc_mean_std"]
    assert report["scores"]["mfcc"] == report["scores"]["both"]
    assert report["details"]["by_class"]["both"][2] is None


def test_unlabelled_examples_are_blessed_without_a_probe(artifacts, tmp_path):
    report, blessing, run = _evaluate(artifacts, "dual", "unlabelled", tmp_path)
    assert run.progress.updates == []  # The clips are not even embedded.
    assert report["probe"] is None
    assert report["scores"] == {}
    assert blessing["blessed"]
    assert "no labels" in run.result.summary


def test_labels_that_cannot_be_probed_give_no_score_and_no_blessing(artifacts, tmp_path):
    clips = [(stored_examples.sound(0), (0,), 0)]
    examples = {"train": clips, "eval": [(stored_examples.sound(1), (), 0)]}
    bare = stored_examples.write_examples(tmp_path / "bare", examples, label_names=("tone",))
    artifacts = {**artifacts, "bare": bare}
    report, blessing, run = _evaluate(artifacts, "single", "bare", tmp_path / "run")
    assert (report["probe"], report["scores"]) == (None, {})
    assert run.result.summary == "not probed: no clip of the split eval has a label; NOT blessed"
    assert not blessing["blessed"]
    assert "evaluator.probe=none pushes it without a score" in blessing["reasons"][0]
    _, blessing, _ = _evaluate(artifacts, "single", "bare", tmp_path / "advised", probe="none")
    assert blessing["blessed"]


def test_one_class_has_no_score(artifacts, tmp_path):
    clips = [(stored_examples.sound(0, seed=k), (0,), 0) for k in range(4)]
    one = stored_examples.write_examples(tmp_path / "one", {"train": clips, "eval": clips}, label_names=("tone",))
    report, blessing, run = _evaluate({**artifacts, "one": one}, "single", "one", tmp_path / "run")
    assert (report["probe"], report["scores"], blessing["blessed"]) == (None, {}, False)
    assert "mAP" not in run.result.summary


def test_clips_that_cannot_be_probed_are_left_out_and_counted(artifacts, tmp_path):
    """Among folds: a clip without a label, one with two labels, and a class of one clip."""
    clips = [(stored_examples.sound(k % 2, seed=k), (k % 2,), k % 3 + 1) for k in range(18)]
    odd = [(stored_examples.sound(0, seed=99 + k), labels, k + 1) for k, labels in enumerate([(), (0, 1), (2,)])]
    examples = {"train": [odd[0], *clips[:9], odd[1], *clips[9:]], "valid": [odd[2]]}
    mixed = stored_examples.write_examples(
        tmp_path / "mixed", examples, label_names=("tone", "noise", "rare"), has_folds=True
    )
    report, _, run = _evaluate({**artifacts, "mixed": mixed}, "single", "mixed", tmp_path / "run")
    assert report["probe"] == "linear"
    assert report["scores"]["mfcc_mean_std"] > 0.9
    assert report["details"]["by_class"]["both"][2] is None
    left_out = "1 clip without a label; 1 clip with several labels; 1 of 3 classes, not in two folds (rare)"
    assert report["note"] == f"left out: {left_out}"
    assert run.result.summary.endswith(f"; left out: {left_out}")
    assert "probe/confusion" in run.tags()


def test_the_labels_are_checked_as_soon_as_the_statistics_are_there(artifacts, tmp_path):
    counts = {"train": ([10, 0], 4), "eval": ([0, 6], 0)}
    splits = {
        name: {"clips": 14, "unlabelled_clips": none, "several_labels_clips": 0, "label_counts": by_class,
               "fold_labels": [[0, label, clips] for label, clips in enumerate(by_class) if clips]}
        for name, (by_class, none) in counts.items()
    }  # fmt: skip
    (tmp_path / "statistics.json").write_text(json.dumps({"label_names": ["tone", "noise"], "splits": splits}))
    inputs = {"examples": artifacts["splits"], "statistics": epath.Path(tmp_path)}
    Evaluator(EvaluatorConfig()).check_inputs(inputs)
    with pytest.raises(UserError, match="evaluator.probe=mlp cannot work, because no class has clips, and is missing"):
        Evaluator(EvaluatorConfig(probe="mlp")).check_inputs(inputs)
    # With a bound on the clips, only those clips count.
    Evaluator(EvaluatorConfig(probe="mlp", max_clips=6)).check_inputs(inputs)
    with pytest.raises(UserError, match="evaluator.probe=mlp cannot work"):
        Evaluator(EvaluatorConfig(probe="mlp", max_clips=1)).check_inputs(inputs)


@pytest.mark.parametrize(("probe", "examples"), [("linear", "splits"), ("mlp", "folds"), ("mlp", "unlabelled")])
def test_a_probe_that_the_examples_do_not_allow_is_refused_in_one_sentence(artifacts, probe, examples):
    with pytest.raises(UserError, match=r"evaluator\.probe"):
        choose_probe(probe, info=read_info(artifacts[examples]))
