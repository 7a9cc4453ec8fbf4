import dataclasses
import json
import re

import numpy as np
import pytest

from components.errors import UserError
from components.trainer import collapse, input_pipeline, validation
from tests.components.trainer import trainer_runs, training

pytestmark = pytest.mark.usefixtures("built_once", "blank_pictures")
_VALIDATE = validation.Validation.run


def _config(**changes):
    return trainer_runs.config(**training.ONE_ENCODER, **changes)


def _set_scores(monkeypatch, *scores, metric="loss"):
    """Gives the next validations these scores."""
    left = iter(scores)
    monkeypatch.setattr(
        validation.Validation,
        "run",
        lambda self: dataclasses.replace(_VALIDATE(self), score=next(left), metric=metric),
    )


def test_the_best_model_by_validation_is_published(inputs, tmp_path, monkeypatch):
    config = _config(eval_every=2, checkpoint_every=1, keep_checkpoints=10)
    _set_scores(monkeypatch, 0.1, 0.9, 0.5)
    whole = trainer_runs.execute(config, inputs, tmp_path)
    assert json.loads((whole.outputs["model"] / "training.json").read_text())["best_step"] == 4
    assert "6 steps, best at 4, loss" in whole.result.summary
    # A run of the same config that is stopped at step 4 has those weights.
    _set_scores(monkeypatch, 0.1, 0.9)
    with pytest.raises(KeyboardInterrupt):
        trainer_runs.execute(config, inputs, tmp_path / "stopped", progress=trainer_runs.StopsAt(5))
    (tmp_path / "stopped" / "work" / "checkpoints" / "step-00000005").rename(tmp_path / "gone")
    _set_scores(monkeypatch, 0.5)
    resumed = trainer_runs.execute(config, inputs, tmp_path / "stopped")
    for weights, expected in zip(trainer_runs.weights(resumed), trainer_runs.weights(whole), strict=True):
        np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize(("metric", "best"), [("probe_mAP", 6), ("loss", 2)])
def test_a_resumed_run_does_not_compare_scores_of_different_metrics(
    inputs, tmp_path, monkeypatch, caplog, metric, best
):
    config = _config(eval_every=2, checkpoint_every=1)
    _set_scores(monkeypatch, 0.9, metric="loss")
    with pytest.raises(KeyboardInterrupt):
        trainer_runs.execute(config, inputs, tmp_path, progress=trainer_runs.StopsAt(3))
    _set_scores(monkeypatch, 0.1, 0.2, metric=metric)
    resumed = trainer_runs.execute(config, inputs, tmp_path)
    assert json.loads((resumed.outputs["model"] / "training.json").read_text())["best_step"] == best
    said = "the best model so far, of step 2, was chosen by loss, and now probe_mAP chooses" in caplog.text
    assert said == (metric == "probe_mAP")


def test_training_stops_early_without_a_better_model_for_long(inputs, tmp_path, monkeypatch, caplog):
    _set_scores(monkeypatch, 0.5, 0.4, 0.3, 0.2, 0.1)
    config = _config(eval_every=1, patience=2)
    result = trainer_runs.execute(config, inputs, tmp_path).result
    assert (result.figures["steps"], result.figures["best_step"]) == (3, 1)
    assert "stopped early: no better model since step 1, 2 validations ago" in caplog.text


def test_collapse_is_warned_of_once_at_the_third_validation(inputs, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(collapse, "effective_rank", lambda features: 1.5)
    # 5 clips fill at most 4 dimensions, so a bound of 1000 becomes 2.
    config = _config(eval_every=1, collapse_rank=1000.0)
    trainer_runs.execute(config, inputs, tmp_path)
    (warning,) = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert warning.startswith(
        "the waveform embeddings have collapsed: at step 3 they fill 1.5 dimensions, below the 2 of"
    )


def test_a_loss_that_is_not_finite_names_the_step_and_its_clips(inputs, tmp_path):
    config = _config(learning_rate=1e38, steps_per_loop=5, log_every=100, eval_every=100, checkpoint_every=1)
    with pytest.raises(UserError, match=r"no longer finite at step.*checkpoint.*lower trainer.learning_rate") as caught:
        trainer_runs.execute(config, inputs, tmp_path)
    step, ids = re.search(r"at step (\d+), on the clips (.*?) and 3 more", str(caught.value)).groups()
    options = input_pipeline.InputOptions(batch_size=8, crop_samples=8000, seed=0)
    *_, batch = input_pipeline.training_batches(inputs["examples"], options).take(int(step))
    assert ids.split(", ") == [clip_id.decode() for clip_id in batch["clip_id"][:5].numpy()]


def test_a_finished_training_without_its_history_has_no_loss(inputs, tmp_path):
    config = _config(steps=2)
    trainer_runs.execute(config, inputs, tmp_path)
    (tmp_path / "work" / "history.csv").unlink()
    again = trainer_runs.execute(config, inputs, tmp_path)
    # Python's parser alone takes NaN, which is not JSON.
    record = json.loads((again.outputs["model"] / "training.json").read_text(), parse_constant=pytest.fail)
    assert (record["loss"], record["top1"]) == (None, None)
    assert again.result.summary == "2 steps, resumed at step 2, nothing was left to train"
    assert again.result.figures["steps"] == 2
    assert not {"loss", "top1"} & set(again.result.figures)
