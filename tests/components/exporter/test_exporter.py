import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.embedding_info import EmbeddingInfo
from components.exporter import Exporter, infra_validator, saved_model
from models import dual, subclips
from models.config import ModelConfig
from tests.components import harness, stored_examples

CROP = 0.5


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and the execution that exported it."""
    folder = tmp_path_factory.mktemp("exporter")
    keras.utils.set_random_seed(0)
    model = dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=CROP))
    (folder / "model").mkdir()
    model.save(folder / "model" / "model.keras")
    clips = [(stored_examples.sound(k % 2, seed=k, seconds=1.0 + 0.1 * k), (), 0) for k in range(4)]
    examples = stored_examples.write_examples(folder / "examples", {"train": clips[:3], "valid": clips[3:]})
    inputs = {"model": examples.parent / "model", "examples": examples}
    return model, harness.execute(Exporter(), folder, **inputs)


def test_the_signatures_answer_as_documented(exported):
    model, run = exported
    signatures = tf.saved_model.load(str(run.outputs["saved_model"])).signatures
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 17000)).astype(np.float32)
    expected = {name: np.asarray(value) for name, value in subclips.embed_subclips(model, audio).items()}
    windows = signatures["windows"](audio=tf.constant(audio))
    clips = signatures["serving_default"](audio=tf.constant(audio))
    assert set(windows) == set(clips) == {"embedding", "waveform", "log_mel"}
    for name, value in expected.items():
        np.testing.assert_allclose(windows[name], value, atol=1e-5)
        np.testing.assert_allclose(clips[name], value.mean(axis=1), atol=1e-5)
    info = EmbeddingInfo.read(run.outputs["saved_model"])
    assert info.dims == {name: expected[name].shape[-1] for name in ("waveform", "log_mel")}
    assert (info.sample_rate, info.crop_samples) == (16000, 8000)
    assert info.formats == ("waveform", "log_mel")


def test_each_of_two_encoders_of_one_format_has_an_output():
    model = dual.DualEncoder(ModelConfig(formats="mfcc+mfcc", share_encoder=False, width=0.03125))
    info = saved_model.describe(model)
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
        "silence",
        "short_clip",
    }
    assert set(blessing["latency_ms"]) == {"one_clip", "batch_of_4"}
    assert run.result.figures["blessed"] == 1
    assert list(run.context.tensorboard_dir.glob("events*"))


def test_a_model_that_differs_from_the_reference_is_not_blessed(exported):
    _, run = exported
    other = dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=CROP))
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 9000)).astype(np.float32)
    blessing = infra_validator.validate(run.outputs["saved_model"], audio=audio, reference=other, tolerance=1e-4)
    assert not blessing.blessed
    assert not blessing.checks["same_as_keras"].passed
    assert blessing.checks["alone_as_in_a_batch"].passed


def test_an_output_that_is_not_a_number_is_not_blessed():
    zeros, one_nan = np.zeros(2, np.float32), np.array([0.0, np.nan], np.float32)
    check = infra_validator._check_close([(zeros, zeros), (one_nan, zeros)], scale=1.0, tolerance=1e-4)
    assert not check.passed


def test_a_damaged_saved_model_is_not_blessed_and_the_reason_is_given(exported, tmp_path):
    model, _ = exported
    audio = np.zeros((2, 9000), np.float32)
    blessing = infra_validator.validate(tmp_path, audio=audio, reference=model, tolerance=1e-4)
    assert not blessing.blessed
    assert "SavedModel" in blessing.checks["loads"].detail
    assert set(blessing.to_dict()) == {"blessed", "checks"}


@pytest.fixture(scope="module")
def signatures(exported):
    _, run = exported
    return tf.saved_model.load(str(run.outputs["saved_model"])).signatures


@pytest.mark.parametrize("signature", ["serving_default", "windows"])
class TestUnusualAudio:
    def test_the_number_of_dimensions_and_the_lack_of_samples_are_said(self, signatures, signature):
        embed = signatures[signature]
        for shape in ((9000,), (2, 9000, 1), (1, 2, 3, 4), ()):
            with pytest.raises(
                tf.errors.InvalidArgumentError, match=r"audio must have two dimensions, \(batch, samples\)"
            ):
                embed(audio=tf.zeros(shape))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"audio has no samples; .*its shape is\] \[2 0\]"):
            embed(audio=tf.zeros((2, 0)))
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a float tensor but is a int16 tensor"):
            embed(audio=tf.zeros((2, 9000), tf.int16))

    def test_an_empty_batch_has_empty_outputs(self, signatures, signature):
        embed = signatures[signature]
        for samples in (9000, 1, 0):
            outputs = embed(audio=tf.zeros((0, samples)))
            assert {name: (values.shape[0], values.shape[-1]) for name, values in outputs.items()} == {
                "embedding": (0, 32),
                "waveform": (0, 16),
                "log_mel": (0, 16),
            }

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_value_that_is_no_number_spoils_its_own_clip_alone(self, signatures, signature, value):
        embed = signatures[signature]
        audio = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 9000)).astype(np.float32)
        whole = embed(audio=tf.constant(audio))
        audio[1, 5000] = value
        for name, values in embed(audio=tf.constant(audio)).items():
            np.testing.assert_allclose(values[0], whole[name][0], atol=1e-5)
            assert np.isnan(values[1].numpy()).all(axis=-1).any()


def test_the_fresh_process_finds_no_accelerator(tmp_path, monkeypatch):
    """A GPU's memory belongs to the process that trained, and a TPU to one process at a time."""
    script = tmp_path / "child.py"
    script.write_text("import os, sys, numpy\nnumpy.savez(sys.argv[3], **{k: v for k, v in os.environ.items()})\n")
    monkeypatch.setattr(infra_validator, "_SCRIPT", script)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("DIPTYCH_TEST", "kept")
    child = infra_validator._serve_once(tmp_path, np.zeros((1, 1), np.float32))
    assert {
        name: str(child[name]) for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    } == {
        "CUDA_VISIBLE_DEVICES": "-1",
        "HIP_VISIBLE_DEVICES": "-1",
        "ROCR_VISIBLE_DEVICES": "-1",
    }
    assert str(child["TPU_LIBRARY_PATH"]) == "/dev/null"
    assert str(child["DIPTYCH_TEST"]) == "kept"
