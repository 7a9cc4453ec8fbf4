import json

import numpy as np
import pytest

from components.errors import UserError
from components.trainer import input_pipeline, train
from tests.components.trainer import trainer_runs, training


def test_a_run_leaves_models_history_and_events(inputs, tmp_path, trainings, monkeypatch):
    trainings.install(monkeypatch, draws=True)
    run = trainer_runs.execute(trainer_runs.config(), inputs, tmp_path)
    assert run.result.figures["loss"] > 0
    initial, final = trainer_runs.weights(run, "initial.keras"), trainer_runs.weights(run)
    assert any(not np.array_equal(a, b) for a, b in zip(initial, final, strict=True))
    rows = trainer_runs.history(run)
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    record = json.loads((run.outputs["model"] / "training.json").read_text())
    assert record["steps"] == record["config"]["steps"] == 6
    assert record["data"]["clips"]["train"] > 0
    assert record["data"]["description"] == "test"
    assert record["validation"]["metric"]
    assert [done for done, _, _ in run.progress.updates] == [1, 2, 3, 4, 5, 6]
    assert run.tags() >= {
        "config",
        *(f"train/{name}" for name in ("loss", "top1", "alignment", "uniformity", "learning_rate", "clips_per_s")),
        *(f"train/{name}_norm" for name in ("gradient", "parameter", "update")),
        *(f"step_ms/{name}" for name in ("input", "host", "device")),
        "memory/process_gib",
        *(f"valid/{name}" for name in ("loss", "effective_rank_waveform", "effective_rank_log_mel", "probe_accuracy")),
        "valid/similarity",
        "views/0_a_waveform/audio",
        "views/0_b_log_mel/spectrum",
    }


def test_without_a_valid_split_different_clips_of_the_first_batch_are_shown(examples, one_device):
    settings = training.config(**training.ONE_ENCODER, pairs_per_clip=4)
    setup = training.set_up(settings, strategy=one_device)
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=8000, seed=0, pairs_per_clip=4)
    shown = train._first_micro_batch(examples, options, setup)
    assert len(shown["a"]) == len(set(shown["clip_id"].numpy())) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("output", "file"), [("model", "training.json"), ("model_run", "history.csv")])
def test_a_model_that_cannot_be_written_is_one_sentence_and_its_checkpoints_stay(inputs, tmp_path, output, file):
    config, blocked = trainer_runs.config(steps=2), tmp_path / "outputs" / output / file
    blocked.mkdir(parents=True)
    with pytest.raises(UserError, match=rf"cannot be written to .*/outputs/{output} \(Is a directory\): make room"):
        trainer_runs.execute(config, inputs, tmp_path)
    blocked.rmdir()
    assert trainer_runs.execute(config, inputs, tmp_path).result.summary.endswith("nothing was left to train")
