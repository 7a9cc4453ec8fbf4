import csv
import dataclasses
import itertools
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from components.errors import UserError
from components.trainer import Trainer, TrainerConfig, checks, compiled_loop, input_pipeline, summaries, validation
from pipeline.configs import overrides
from tests.components import harness, stored_examples
from tests.components.trainer import training

TINY = {
    **training.TINY_MODEL,
    "steps": 6,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "steps_per_loop": 1,
    "log_every": 2,
    "eval_every": 3,
    "checkpoint_every": 2,
}


def _config(**changes):
    return overrides.replace(TrainerConfig(), {**TINY, **{name.replace("__", "."): v for name, v in changes.items()}})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = epath.Path(tmp_path_factory.mktemp("inputs"))
    (folder / "anomalies").mkdir()
    (folder / "anomalies" / "anomalies.json").write_text("[]")
    clips = {
        split: [(stored_examples.sound(i % 2, seconds=1.0, seed=(len(split), i)), (i % 2,), 0) for i in range(count)]
        for split, count in (("train", 21), ("valid", 5))
    }
    stored_examples.write_examples(folder / "examples", clips, label_names=("tone", "noise"))
    return {"examples": folder / "examples", "anomalies": folder / "anomalies"}


def _weights(path):
    return keras.models.load_model(path, compile=False).get_weights()


class _StopsAt(harness.RecordedProgress):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def update(self, done, **figures):
        if done == self.step:
            raise KeyboardInterrupt


def _execute(config, inputs, folder, *, progress=None):
    run = harness.execute(Trainer(config), folder, progress=progress, keep_outputs=True, **inputs)
    return run.result, run.outputs, run.context


def test_a_run_leaves_models_history_and_events(inputs, tmp_path):
    result, outputs, context = _execute(_config(), inputs, tmp_path)
    assert result.figures["loss"] > 0
    initial, final = (_weights(outputs["model"] / name) for name in ("initial.keras", "model.keras"))
    assert any(not np.array_equal(a, b) for a, b in zip(initial, final, strict=True))
    rows = list(csv.DictReader((outputs["model_run"] / "history.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    assert json.loads((outputs["model"] / "training.json").read_text())["steps"] == 6
    assert [done for done, _, _ in context.progress.updates] == [1, 2, 3, 4, 5, 6]
    assert _tags(tmp_path / "tensorboard") >= {
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


@pytest.mark.parametrize("formats", ["waveform+spectrogram", "log_mel+mfcc", "log_mel+log_mel"])
def test_both_views_can_be_seen_and_heard(formats, tmp_path):
    config = _config(
        model__formats=formats,
        model__share_encoder=False,
        model__augment_a__time_mask_seconds=0.1,
        model__augment_b__frequency_mask=5,
    )
    batch = {name: np.ones((5, 8000), np.int16) for name in "ab"} | {"clip_id": tf.constant(["clip"] * 5)}
    log = summaries.TrainingLog(epath.Path(tmp_path), history=epath.Path(tmp_path / "history.csv"), first=0)
    log.views(checks.build_model(config.model, seed=0), batch)
    log.close(epath.Path(tmp_path / "copy.csv"))
    pictures = {name: "log_mel" if name == "waveform" else "spectrum" for name in formats.split("+")}
    expected = {
        f"views/{i}_{branch}_{name}/{kind}"
        for i in range(4)
        for branch, name in zip("ab", formats.split("+"), strict=True)
        for kind in ("audio", pictures[name])
    }
    assert _tags(tmp_path) == expected


def _tags(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag for tags in events.Tags().values() if isinstance(tags, list) for tag in tags}


def _stop(where, monkeypatch):
    """Has the next run stop at its third step."""
    make, look = compiled_loop.make_loop, validation.Evaluation.look

    def make_stopping(setup):
        loop = make(setup)

        def stopping(*arguments):
            found = loop(*arguments)
            if int(setup.optimizer.iterations.value) == 3:
                if where == "in the loop, not finite":
                    setup.model.trainable_variables[0].assign(setup.model.trainable_variables[0] * np.nan)
                raise KeyboardInterrupt  # Python raises it as soon as the call of the compiled loop has ended
            return found

        return stopping

    def stopped_look(self):
        look(self)
        raise KeyboardInterrupt

    if where.startswith("in the loop"):
        monkeypatch.setattr(compiled_loop, "make_loop", make_stopping)
    if where == "in a look":
        monkeypatch.setattr(validation.Evaluation, "look", stopped_look)
    return _StopsAt(3) if where == "between" else None


@pytest.mark.parametrize(
    ("where", "ema"),
    [
        ("in the loop", 0.0),
        pytest.param("between", 0.0, marks=pytest.mark.slow),
        pytest.param("in a look", 0.9, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_resumes_to_the_same_weights(inputs, tmp_path, monkeypatch, where, ema):
    config = _config(model__augment_b__frequency_shift=10, model__augment_a__mixing=True, ema=ema)
    _, whole, _ = _execute(config, inputs, tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        _execute(config, inputs, tmp_path / "stopped", progress=_stop(where, patched))
    _, resumed, context = _execute(config, inputs, tmp_path / "stopped")
    assert context.progress.updates[0][0] == 4, "it did not start again"
    pair = (_weights(folder["model"] / "model.keras") for folder in (whole, resumed))
    for expected, found in zip(*pair, strict=True):
        np.testing.assert_array_equal(found, expected)
    histories = [
        [
            [row["step"], row["loss"]]
            for row in csv.DictReader((out["model_run"] / "history.csv").read_text().splitlines())
        ]
        for out in (whole, resumed)
    ]
    assert histories[0][-1] == histories[1][-1]


def test_a_model_that_cannot_be_written_is_one_sentence_and_nothing_is_lost(inputs, tmp_path):
    config, blocked = _config(steps=2), tmp_path / "outputs" / "model" / "training.json"
    blocked.mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot be written to .*/outputs/model \(Is a directory\): make room"):
        _execute(config, inputs, tmp_path)
    blocked.rmdir()
    assert _execute(config, inputs, tmp_path)[0].summary.endswith("resumed at its end")


def test_what_is_not_finite_is_not_kept_when_a_run_is_stopped(inputs, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        _execute(_config(), inputs, tmp_path, progress=_stop("in the loop, not finite", monkeypatch))
    assert [path.name for path in (tmp_path / "work" / "checkpoints").iterdir()] == ["step-00000002"]


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(inputs, tmp_path):
    _, whole, _ = _execute(_config(), inputs, tmp_path / "whole")
    program = (
        "import os, signal, sys; from tests.components.trainer import test_trainer as t\n"
        "class Killed(t.harness.RecordedProgress):\n"
        "    def update(self, done, **figures):\n"
        "        if done == int(sys.argv[4]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "inputs = {name: t.epath.Path(path) for name, path in zip(('examples', 'anomalies'), sys.argv[2:])}\n"
        "t._execute(t._config(), inputs, sys.argv[1], progress=Killed())"
    )
    arguments = [str(tmp_path / "killed"), *(str(inputs[name]) for name in ("examples", "anomalies"))]
    arguments.append(str(random.randint(3, 6)))
    assert subprocess.run([sys.executable, "-c", program, *arguments], check=False).returncode == -9
    folder = tmp_path / "killed" / "work" / "checkpoints"
    last = max(int(path.name.partition("-")[2]) for path in folder.iterdir())
    assert last >= 2
    _, resumed, context = _execute(_config(), inputs, tmp_path / "killed")
    assert context.progress.updates[0][0] == last + 1
    pair = (_weights(folder["model"] / "model.keras") for folder in (whole, resumed))
    for expected, found in zip(*pair, strict=True):
        np.testing.assert_array_equal(found, expected)


def _take(inputs, count, **options):
    arguments = {"batch_size": 8, "crop_samples": 4000, "seed": 0, **options}
    batches = input_pipeline.training_batches(inputs["examples"], **arguments)
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches.take(count)]


def test_batches_are_repeatable_and_resumable(inputs):
    first = _take(inputs, 5)
    for again, start in (
        (_take(inputs, 5), 0),
        (_take(inputs, 2, start_step=3), 3),
        (_take(inputs, 4, start_step=1), 1),
    ):
        for found, expected in zip(again, first[start:], strict=True):
            for name in expected:
                np.testing.assert_array_equal(found[name], expected[name])
    other = _take(inputs, 1, seed=1)[0]
    assert not np.array_equal(other["a"], first[0]["a"])


def test_a_pass_shows_each_clip_at_most_once_and_the_next_in_another_order(inputs):
    batches = _take(inputs, 4)
    passes = [np.concatenate([batch["clip_id"] for batch in batches[i : i + 2]]).tolist() for i in (0, 2)]
    assert all(len(set(ids)) == 16 for ids in passes)
    assert passes[0] != passes[1]


def test_views_are_two_windows_of_their_clip(inputs):
    clips = {clip["clip_id"].numpy(): clip["audio"].numpy() for clip in examples.dataset(inputs["examples"], "train")}
    batch = _take(inputs, 1)[0]
    assert batch["a"].dtype == np.int16
    assert batch["a"].shape == (8, 4000)
    for clip_id, *views in zip(batch["clip_id"], batch["a"], batch["b"], strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(clips[clip_id], 4000)
        assert all((windows == view).all(axis=1).any() for view in views)
    assert any(not np.array_equal(a, b) for a, b in zip(batch["a"], batch["b"], strict=True))


@pytest.mark.parametrize(("length", "samples"), [(1, 5), (3, 10), (10, 10), (11, 10), (7, 13)])
def test_crop_tiles_or_pads_short_clips(length, samples):
    audio = np.arange(1, length + 1, dtype=np.int16)
    for seed in range(20):
        tiled = input_pipeline.crop(audio, samples=samples, seed=[seed, 0], short_clips="tile").numpy()
        np.testing.assert_array_equal(tiled, (tiled[0] - 1 + np.arange(samples)) % length + 1)
        padded = input_pipeline.crop(audio, samples=samples, seed=[seed, 0], short_clips="pad").numpy()
        kept = min(length, samples)
        np.testing.assert_array_equal(np.diff(padded[:kept]), 1)
        np.testing.assert_array_equal(padded[kept:], 0)


def test_every_crop_can_be_drawn():
    starts = {int(input_pipeline.crop(np.arange(4, dtype=np.int16), samples=3, seed=[i, 0])[0]) for i in range(50)}
    assert starts == {0, 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 22}, "trainer.batch_size=22 is more than the 21 clips.*at most 21"),
        ({"model__sample_rate": 22050}, "trainer.model.sample_rate=22050 is not that of the examples, 16000 Hz"),
        ({"model__n_mels": 400}, "trainer.model: 400 bands are too many.*choose fewer"),
        ({"learning_rate": 1e38}, "no longer finite at step.*checkpoint.*Lower trainer.learning_rate"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(inputs, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        _execute(_config(**changes), inputs, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__encoders__log_mel": "cnn14"}, "conv320 gives 8 and cnn14 gives 32"),
        ({"model__formats": "waveform+smell"}, "choose two of waveform, spectrogram, log_mel, mfcc"),
        (
            {"model__augment_a__frequency_shift": 3},
            "Branch A is a waveform.*add trainer.model.augment_a.frequency_shift=0",
        ),
        ({"warmup_steps": 6}, "trainer.warmup_steps=6 leaves nothing"),
        ({"final_learning_rate": 0.1}, "trainer.final_learning_rate=0.1 is above trainer.learning_rate=0.01"),
        ({"model__crop_seconds": 0.05}, "a crop of 0.05 s is too short for conv320.*at least 0.0597 s"),
        (
            {"model__sample_rate": 8000},
            "8000 Hz has no room for bands.*at most 4000, or a sample rate of at least 15600",
        ),
        ({"model__encoders__mfcc": "conv320", "model__formats": "mfcc+mfcc"}, "'conv320' reads waveforms.*'mfcc'"),
        ({"model__padding": "valid", "model__formats": "mfcc+mfcc"}, "13 bands of mfcc are too few for cnn10.*16, or"),
        ({"model__n_mfcc": 81, "model__formats": "mfcc+mfcc"}, "n_mfcc 81 is more than the 80 mel bands"),
        ({"model__padding": "valid", "model__crop_seconds": 0.1}, "0.1 s is too short for cnn10 on log_mel.*0.17 s"),
        ({"model__front_end__fft_length": 256}, "trainer.model: fft_length 256 does not fit a window of 320 samples"),
        ({"model__front_end__low_hz": 7900}, "low_hz 7900 is not below high_hz 7800: choose a lower"),
    ],
)
def test_a_config_that_cannot_work_is_refused_before_anything_runs(changes, message):
    pair = {"model__encoders__waveform": "conv320", "model__encoders__log_mel": "cnn10"}
    with pytest.raises(UserError, match=message):
        Trainer(_config(**{**pair, **changes})).check()


@pytest.mark.parametrize("norm", ["layer", "group", "group:0", "batch:2", ""])
def test_an_unknown_norm_is_refused_with_those_there_are(norm):
    with pytest.raises(UserError, match="model.norm: must be batch, or group:G for a number G of groups"):
        _config(model__norm=norm)


def test_a_fatal_anomaly_stops_training(inputs, tmp_path):
    anomalies = [
        {"severity": "warning", "name": "quiet", "message": "Quiet."},
        {"severity": "fatal", "name": "few", "message": "Only one clip."},
    ]
    (tmp_path / "anomalies.json").write_text(json.dumps(anomalies))
    with pytest.raises(UserError, match="cannot be trained on: Only one clip"):
        _execute(_config(), {**inputs, "anomalies": epath.Path(tmp_path)}, tmp_path / "run")


class _Scored(validation.Evaluation):
    """Scores each look at the valid split as it is told to."""

    scores: Iterator[float]

    def look(self):
        return dataclasses.replace(super().look(), score=next(self.scores))


def _score(monkeypatch, *scores):
    monkeypatch.setattr(validation, "Evaluation", _Scored)
    monkeypatch.setattr(_Scored, "scores", iter(scores), raising=False)


def test_the_best_model_by_the_valid_split_is_the_one_that_is_kept(inputs, tmp_path, monkeypatch):
    config = _config(eval_every=2, checkpoint_every=1, keep_checkpoints=10)
    _score(monkeypatch, 0.1, 0.9, 0.5)
    result, outputs, _ = _execute(config, inputs, tmp_path)
    assert json.loads((outputs["model"] / "training.json").read_text())["best_step"] == 4
    assert "6 steps, best at 4, loss" in result.summary
    # A run of the same config that is stopped at step 4 has those weights.
    _score(monkeypatch, 0.1, 0.9)
    with pytest.raises(KeyboardInterrupt):
        _execute(config, inputs, tmp_path / "stopped", progress=_StopsAt(5))
    (tmp_path / "stopped" / "work" / "checkpoints" / "step-00000005").rename(tmp_path / "gone")
    _score(monkeypatch, 0.5)
    _, resumed, _ = _execute(config, inputs, tmp_path / "stopped")
    for expected, found in zip(*(_weights(o["model"] / "model.keras") for o in (outputs, resumed)), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_training_stops_early_without_a_better_model_for_long(inputs, tmp_path, monkeypatch, caplog):
    _score(monkeypatch, 0.5, 0.4, 0.3, 0.2, 0.1)
    result, _, _ = _execute(_config(steps=20, eval_every=2, patience=2), inputs, tmp_path)
    assert (result.figures["steps"], result.figures["best_step"]) == (6, 2)
    assert "stopped early: no better model since step 2, 2 looks at the valid split ago" in caplog.text


def test_collapse_is_warned_of_at_the_third_look_and_once(inputs, tmp_path, caplog, monkeypatch):
    ranks = itertools.cycle([1.5, 2.5])  # of waveform and log_mel
    monkeypatch.setattr(validation, "effective_rank", lambda features: next(ranks))
    # Of 5 clips, which fill 4 dimensions at the most: a bound of 1000 says nothing about them.
    _execute(_config(steps=5, eval_every=1, collapse_rank=1000.0), inputs, tmp_path)
    warnings = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    (warning,) = warnings
    assert warning.startswith(
        "the waveform embeddings have collapsed: at step 3 they fill 1.5 dimensions, below the 2 of"
    )


def test_a_loss_that_is_not_finite_names_the_step_and_its_clips(inputs, tmp_path):
    config = _config(learning_rate=1e38, steps_per_loop=5, log_every=100, eval_every=100, checkpoint_every=1)
    with pytest.raises(UserError, match="no longer finite at step") as caught:
        _execute(config, inputs, tmp_path)
    step, ids = re.search(r"at step (\d+), on the clips (.*?) and 3 more", str(caught.value)).groups()
    batch = _take(inputs, int(step), crop_samples=8000)[-1]
    assert ids.split(", ") == [clip_id.decode() for clip_id in batch["clip_id"][:5]]


@pytest.mark.parametrize(
    ("changes", "replicas", "message"),
    [
        ({"batch_size": 8}, 3, "trainer.batch_size=8 cannot be split evenly among 3 replicas: choose 6, or"),
        ({"batch_size": 64, "micro_batch": 48}, 1, "trainer.micro_batch=48 does not divide 64: choose a divisor"),
        ({"batch_size": 64, "micro_batch": 64}, 2, "does not divide a replica's 32 clips of trainer.batch_size=64"),
        (
            {"batch_size": 64, "micro_batch": 16},
            1,
            "no whole number of mixing groups of 32: make trainer.micro_batch",
        ),
        ({"batch_size": 64}, 4, "no whole number of mixing groups.*make trainer.batch_size a multiple of 128, or"),
    ],
)
def test_a_batch_that_cannot_be_split_is_refused(changes, replicas, message):
    with pytest.raises(UserError, match=message):
        checks.check_split(_config(**changes), replicas=replicas)


@pytest.mark.parametrize(
    ("changes", "replicas", "micro_batch"),
    [
        ({"batch_size": 8}, 1, 8),  # smaller than a mixing group, which then is the batch
        ({"batch_size": 128}, 4, 32),
        ({"batch_size": 256, "micro_batch": 64}, 2, 64),
        ({"batch_size": 6, "model__augment_a__mixing": False, "model__augment_b__mixing": False}, 3, 2),
    ],
)
def test_how_many_clips_a_replica_embeds_at_a_time(changes, replicas, micro_batch):
    assert checks.check_split(_config(**changes), replicas=replicas) == micro_batch


def test_crops_longer_than_every_clip_are_refused_unless_they_are_repeated(inputs):
    info = examples.read_info(inputs["examples"])
    checks.check_crops(_config(short_clips="tile"), info, crop_samples=16001)
    checks.check_crops(_config(short_clips="pad"), info, crop_samples=16000)
    with pytest.raises(UserError, match=r"crop_seconds=0.5 is longer than every clip \(the longest has 1 s\)"):
        checks.check_crops(_config(short_clips="pad"), info, crop_samples=16001)


def test_one_clip_alone_has_no_negatives(tmp_path):
    folder = stored_examples.write_examples(tmp_path / "examples", {"train": [(stored_examples.sound(0), (), 0)]})
    with pytest.raises(UserError, match="has 1 clips, and one alone has no negatives: add audio"):
        checks.check_examples(_config(batch_size=2), examples.read_info(folder))
