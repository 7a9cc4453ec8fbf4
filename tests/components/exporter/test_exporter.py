import json
import os
import pathlib
import signal
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from components.exporter import description, fresh_process, infra_validator, serve_once
from models import dual, subclips
from models.config import ModelConfig
from tests import exports
from tests.components import stored_examples
from tests.components.exporter.conftest import CROP


def test_the_signatures_answer_as_documented(exported):
    model, run = exported
    signatures = tf.saved_model.load(str(run.outputs["saved_model"])).signatures
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 17000)).astype(np.float32)
    expected = {name: np.asarray(value) for name, value in subclips.embed_subclips(model, audio).items()}
    windows = signatures["windows"](audio=tf.constant(audio))
    clips = signatures["serving_default"](audio=tf.constant(audio))
    assert set(clips) == {"embedding", "waveform", "log_mel"}
    assert set(windows) == {*clips, "start_s", "end_s"}
    for name, value in expected.items():
        np.testing.assert_allclose(windows[name], value, atol=1e-5)
        np.testing.assert_allclose(clips[name], value.mean(axis=1), atol=1e-5)
    info = EmbeddingInfo.read(run.outputs["saved_model"])
    assert info.dims == {name: expected[name].shape[-1] for name in ("waveform", "log_mel")}
    assert (info.sample_rate, info.crop_samples) == (16000, 8000)
    assert info.formats == ("waveform", "log_mel")


def test_each_of_two_encoders_of_one_format_has_an_output():
    model = dual.DualEncoder(ModelConfig(formats="mfcc+mfcc", share_encoder=False, width=0.03125))
    info = description.describe(model)
    assert (info.formats, info.dims, info.dim) == (("mfcc", "mfcc"), {"mfcc_a": 16, "mfcc_b": 16}, 32)


def test_a_clip_does_not_depend_on_its_batch_mates(exported):
    _, run = exported
    embed = tf.saved_model.load(str(run.outputs["saved_model"])).signatures["serving_default"]
    quiet = np.random.default_rng(0).uniform(-1e-3, 1e-3, (1, 16000)).astype(np.float32)
    loud = np.ones_like(quiet)
    alone = embed(audio=tf.constant(quiet))["embedding"]
    np.testing.assert_allclose(
        embed(audio=tf.constant(np.concatenate([loud, quiet])))["embedding"][1:], alone, atol=1e-5
    )


def test_a_valid_model_is_blessed_and_every_check_is_listed(exported):
    _, run = exported
    blessing = json.loads((run.outputs["infra_blessing"] / "infra_blessing.json").read_text())
    assert blessing["blessed"]
    assert set(blessing["checks"]) == {
        "loads",
        "outputs",
        "same_as_keras",
        "mean_of_windows",
        "alone_as_in_a_batch",
        "long_clip",
        "metadata",
        "golden",
        "silence",
        "short_clip",
    }
    # More clips are embedded a few at a time.
    assert exports.CLIPS > 4
    assert set(blessing["latency_ms"]) == {"one_clip", "batch_of_4"}
    assert run.result.figures["blessed"] == 1
    assert list(run.context.tensorboard_dir.glob("events*"))


def test_a_model_that_differs_from_the_reference_is_not_blessed(tmp_path_factory, monkeypatch):
    run, answers = exports.execution(tmp_path_factory)
    saved_model = run.outputs["saved_model"]
    other = dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=CROP))
    audio = infra_validator.read_clips(
        saved_model.parents[1] / "examples", count=exports.CLIPS, crop_samples=other.crop_samples
    )
    monkeypatch.setattr(infra_validator, "_serve_once", lambda *args, **options: answers)
    blessing = infra_validator.validate(saved_model, audio=audio, reference=other, tolerance=1e-4)
    assert not blessing.blessed
    assert not blessing.checks["same_as_keras"].passed
    assert blessing.checks["alone_as_in_a_batch"].passed


@pytest.mark.parametrize("changed", ["inputs/embedding", "__call__/embedding", "frames/embedding"])
def test_a_golden_vector_of_any_function_that_differs_is_noticed(tmp_path_factory, changed):
    _, answers = exports.execution(tmp_path_factory)
    assert infra_validator._check_golden(answers).passed
    for part in ("batch", "one_by_one"):
        other = {**answers, f"{part}/{changed}": 1.001 * answers[f"{part}/{changed}"]}
        assert not infra_validator._check_golden(other).passed


def test_metadata_that_the_file_does_not_say_is_not_blessed(exported, tmp_path_factory, monkeypatch):
    model, run = exported
    _, answers = exports.execution(tmp_path_factory)
    monkeypatch.setattr(infra_validator, "_serve_once", lambda *_, **__: {**answers, "metadata": np.array(b"{}")})
    blessing = infra_validator.validate(
        run.outputs["saved_model"], audio=np.zeros((2, 9000), np.float32), reference=model, tolerance=1e-4
    )
    assert "metadata" in blessing.failed


def test_an_output_that_is_not_a_number_is_not_blessed():
    zeros, one_nan = np.zeros(2, np.float32), np.array([0.0, np.nan], np.float32)
    check = infra_validator._check_close([(zeros, zeros), (one_nan, zeros)], scale=1.0, tolerance=1e-4)
    assert not check.passed


def test_a_damaged_saved_model_is_not_blessed_and_the_reason_is_given(exported, tmp_path):
    model, _ = exported
    audio = np.zeros((2, 9000), np.float32)
    blessing = infra_validator.validate(tmp_path, audio=audio, reference=model, tolerance=1e-4)
    assert not blessing.blessed
    assert blessing.checks["loads"].detail.startswith("it cannot be loaded: ")
    assert "SavedModel" in blessing.checks["loads"].detail
    assert set(blessing.to_dict()) == {"blessed", "checks"}


def test_the_fresh_process_finds_no_accelerator(tmp_path, monkeypatch):
    """A GPU's memory belongs to the process that trained, and a TPU to one process at a time."""
    script = tmp_path / "child.py"
    script.write_text("import os, sys, numpy\nnumpy.savez(sys.argv[-1], **{k: v for k, v in os.environ.items()})\n")
    monkeypatch.setattr(infra_validator, "_SCRIPT", script)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("DIPTYCH_TEST", "kept")
    child = infra_validator._serve_once(tmp_path, np.zeros((1, 1), np.float32), long_samples=1, python=sys.executable)
    assert {
        name: str(child[name]) for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    } == {
        "CUDA_VISIBLE_DEVICES": "-1",
        "HIP_VISIBLE_DEVICES": "-1",
        "ROCR_VISIBLE_DEVICES": "-1",
    }
    assert str(child["TPU_LIBRARY_PATH"]) == "/dev/null"
    assert str(child["DIPTYCH_TEST"]) == "kept"


def test_long_clips_are_checked_in_a_bounded_piece(exported, tmp_path):
    model, _ = exported
    long = np.zeros(300 * 16000, np.int16)
    examples = stored_examples.write_examples(tmp_path / "examples", {"train": [(long, (), 0)] * 2})
    audio = infra_validator.read_clips(examples, count=4, crop_samples=model.crop_samples)
    assert audio.shape == (2, 20000)  # Four sub-clips of 8,000 samples, each half a crop after the one before.
    assert audio.base is None or audio.base.nbytes < 1e6


def _kill_the_check():
    """Kills the fresh process of the InfraValidator as soon as there is one, as the system does without memory."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for children in pathlib.Path("/proc/self/task").glob("*/children"):
            for child in children.read_text().split():
                if b"serve_once.py" in pathlib.Path("/proc", child, "cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
                    return
        time.sleep(0.01)


def test_a_check_that_is_killed_is_no_verdict_on_the_model(exported):
    model, run = exported
    killer = threading.Thread(target=_kill_the_check)
    killer.start()
    with pytest.raises(UserError, match="was ended by SIGKILL, most likely because memory was short: free memory"):
        infra_validator.validate(
            run.outputs["saved_model"], audio=np.zeros((2, 9000), np.float32), reference=model, tolerance=1e-4
        )
    killer.join()


def test_a_check_without_an_answer_is_no_verdict_on_the_model(exported, monkeypatch):
    model, run = exported
    monkeypatch.setattr(infra_validator, "_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(UserError, match="gave no answer within 0.01 seconds: run the same command again"):
        infra_validator.validate(
            run.outputs["saved_model"], audio=np.zeros((2, 9000), np.float32), reference=model, tolerance=1e-4
        )


def _save_signatures(folder, functions):
    module = tf.Module()
    audio = tf.TensorSpec((None, None), tf.float32, name="audio")
    module.functions = {name: tf.function(function) for name, function in functions.items()}
    signatures = {name: function.get_concrete_function(audio) for name, function in module.functions.items()}
    tf.saved_model.save(module, str(folder), signatures=signatures)


def test_a_missing_signature_is_named(exported, tmp_path, monkeypatch, capsys):
    def in_this_process(command, **_):
        with pytest.raises(SystemExit) as ended:
            serve_once.main(*command[2:])
        assert ended.value.code == fresh_process.MODEL_FAILED
        raise fresh_process.ModelError(capsys.readouterr().out.splitlines()[-1])

    model, _ = exported
    _save_signatures(tmp_path, {"serving_default": lambda audio: {"embedding": audio}})
    monkeypatch.setattr(fresh_process, "run", in_this_process)
    audio = np.zeros((2, 9000), np.float32)
    blessing = infra_validator.validate(tmp_path, audio=audio, reference=model, tolerance=1e-4)
    assert blessing.failed == ["outputs"]
    assert blessing.checks["outputs"].detail == (
        "there is no signature windows and no frames and no wav_bytes and no inputs, only serving_default"
    )
    assert blessing.checks["loads"].passed


@pytest.mark.slow
def test_a_check_that_runs_out_of_memory_is_no_verdict_on_the_model(exported, tmp_path):
    model, _ = exported

    def embed(audio):
        return {"embedding": tf.random.uniform((2**42,)) + tf.reduce_sum(audio)}  # 16 TiB

    _save_signatures(tmp_path, dict.fromkeys(serve_once.SIGNATURES, embed))
    with pytest.raises(UserError, match="ran out of memory: free memory, or lower exporter.validation_clips"):
        infra_validator.validate(tmp_path, audio=np.zeros((2, 9000), np.float32), reference=model, tolerance=1e-4)
