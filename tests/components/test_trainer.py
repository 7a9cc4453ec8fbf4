import csv
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from components import base
from components.errors import UserError
from components.trainer import Trainer, TrainerConfig, build, input_pipeline, summaries
from pipeline import overrides
from tests.components import stage

TINY = {
    "model.width": 1 / 64,
    "model.crop_seconds": 0.5,
    "model.projector_dim": 16,
    "model.projector_norm": "batch",
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
        split: [(stage.sound(i % 2, seconds=1.0, seed=(hash(split) % 7, i)), (i % 2,), 0) for i in range(count)]
        for split, count in (("train", 21), ("valid", 5))
    }
    stage.write_examples(folder / "examples", clips, label_names=("tone", "noise"))
    return {"examples": folder / "examples", "anomalies": folder / "anomalies"}


def _weights(path):
    return keras.models.load_model(path, compile=False).get_weights()


class _StopsAt(stage.RecordedProgress):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def update(self, done, **figures):
        if done == self.step:
            raise KeyboardInterrupt


def _execute(config, inputs, folder, *, progress=None):
    folder = epath.Path(folder)
    outputs = {name: folder / "outputs" / name for name in Trainer.outputs}
    for path in (*outputs.values(), folder / "work"):
        path.mkdir(parents=True, exist_ok=True)
    context = base.StageContext(
        work_dir=folder / "work", tensorboard_dir=folder / "events", progress=progress or stage.RecordedProgress()
    )
    return Trainer(config).execute(inputs=inputs, outputs=outputs, context=context), outputs, context


def test_a_run_leaves_models_history_and_events(inputs, tmp_path):
    result, outputs, context = _execute(_config(), inputs, tmp_path)
    assert result.figures["loss"] > 0
    initial, final = (_weights(outputs["model"] / name) for name in ("initial.keras", "model.keras"))
    assert any(not np.array_equal(a, b) for a, b in zip(initial, final, strict=True))
    rows = list(csv.DictReader((outputs["model_run"] / "history.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    assert json.loads((outputs["model"] / "training.json").read_text())["steps"] == 6
    assert [call[0] for call in context.progress.calls] == [1, 2, 3, 4, 5, 6]
    assert _tags(tmp_path / "events") >= {
        "train/loss",
        "train/top1",
        "valid/loss",
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
    log.views(build.build_model(config.model, seed=0), batch)
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


def test_a_stopped_run_resumes_to_the_same_weights(inputs, tmp_path):
    config = _config(model__augment_b__frequency_shift=10, model__augment_a__mixing=True)
    _, whole, _ = _execute(config, inputs, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _execute(config, inputs, tmp_path / "stopped", progress=_StopsAt(3))
    _, resumed, context = _execute(config, inputs, tmp_path / "stopped")
    assert context.progress.calls[0][0] == 4, "it did not start again"
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


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(inputs, tmp_path):
    _, whole, _ = _execute(_config(), inputs, tmp_path / "whole")
    program = (
        "import os, signal, sys; from tests.components import test_trainer as t\n"
        "class Killed(t.stage.RecordedProgress):\n"
        "    def update(self, done, **figures):\n"
        "        if done == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "inputs = {name: t.epath.Path(path) for name, path in zip(('examples', 'anomalies'), sys.argv[2:])}\n"
        "t._execute(t._config(), inputs, sys.argv[1], progress=Killed())"
    )
    arguments = [str(tmp_path / "killed"), *(str(inputs[name]) for name in ("examples", "anomalies"))]
    assert subprocess.run([sys.executable, "-c", program, *arguments], check=False).returncode == -9
    _, resumed, context = _execute(_config(), inputs, tmp_path / "killed")
    assert context.progress.calls[0][0] == 5, "the last checkpoint was that of step 4"
    pair = (_weights(folder["model"] / "model.keras") for folder in (whole, resumed))
    for expected, found in zip(*pair, strict=True):
        np.testing.assert_array_equal(found, expected)


_REPLICAS = """
import sys
import numpy as np
import keras, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from etils import epath
from components.trainer import build, input_pipeline, step
from tests.components.test_trainer import _config

def losses(strategy):
    config = _config(model__augment_a__mixing=False, model__augment_b__mixing=False, model__dropout=0.0,
                     model__augment_b__frequency_shift=0, learning_rate=1e-4)
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = build.build_model(config.model, seed=0)
        optimizer = keras.optimizers.Adam(1e-4)
        optimizer.build(model.trainable_variables)
    batches = input_pipeline.training_batches(epath.Path(sys.argv[1]), batch_size=8, crop_samples=8000, seed=0)
    loop = step.make_loop(model, optimizer, strategy=strategy, temperature=0.1)
    iterator = iter(strategy.experimental_distribute_dataset(batches))
    return [float(loop(iterator, tf.constant(2))["loss"]) for _ in range(3)], model.get_weights()

one, one_weights = losses(build.make_strategy("one"))
two, two_weights = losses(build.make_strategy("mirrored"))
np.testing.assert_allclose(two, one, rtol=1e-4)
for a, b in zip(one_weights, two_weights):
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=2e-4)
print("equal")
"""


def test_two_replicas_train_as_one_device_on_the_same_global_batch(inputs):
    command = [sys.executable, "-c", _REPLICAS, str(inputs["examples"])]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("equal")


def _take(inputs, count, **options):
    batches = input_pipeline.training_batches(
        inputs["examples"], batch_size=8, crop_samples=4000, **{"seed": 0, **options}
    )
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
    from beam_jobs import examples

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
        ({"model__front_end__low_hz": 7900}, "low_hz 7900 up to high_hz 7800 Hz: they must rise"),
    ],
)
def test_a_config_that_cannot_work_is_refused_before_anything_runs(changes, message):
    with pytest.raises(UserError, match=message):
        Trainer(_config(**changes)).check()


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
