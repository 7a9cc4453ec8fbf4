"""The interface of HEAR 2021."""

import types

import numpy as np
import pytest
import tensorflow as tf

import diptych
from tests.diptych import small_model, wheels


@pytest.fixture(scope="module")
def model(exported):
    return diptych.load_model(str(exported))


def test_a_model_has_the_attributes(model, embedder):
    assert isinstance(model, tf.Module)
    assert (model.sample_rate, type(model.sample_rate)) == (16000, int)
    assert model.scene_embedding_size == model.timestamp_embedding_size == embedder.dim


def test_a_scene_has_the_vector_of_the_sound(model, embedder):
    audio = np.random.default_rng(0).uniform(-1, 1, (3, 20000)).astype(np.float32)
    scenes = diptych.get_scene_embeddings(tf.constant(audio), model)
    assert scenes.dtype == tf.float32
    for sound, scene in zip(audio, scenes.numpy(), strict=True):
        np.testing.assert_allclose(scene, embedder.embed(sound, 16000), rtol=0, atol=1e-5 * np.abs(scene).max())


def test_timestamps_are_those_of_the_frames_in_milliseconds(model, embedder):
    audio = np.random.default_rng(0).uniform(-1, 1, (2, 20000)).astype(np.float32)
    embedding, timestamps = diptych.get_timestamp_embeddings(tf.constant(audio), model)
    for sound, vectors, times in zip(audio, embedding.numpy(), timestamps.numpy(), strict=True):
        frames = embedder.frames(sound, 16000)
        np.testing.assert_allclose(times, 1000 * frames.timestamps, atol=1e-3)
        np.testing.assert_allclose(vectors, frames.embedding, rtol=0, atol=1e-5 * np.abs(vectors).max())


def test_what_hear_cannot_use_is_refused(tmp_path):
    with pytest.raises(diptych.DiptychError, match="HEAR needs a SavedModel: name one"):
        diptych.load_model()
    with pytest.raises(FileNotFoundError, match="There is no model"):
        diptych.load_model(str(tmp_path / "nowhere"))
    small_model.write(tmp_path, sample_rate=8000)
    with pytest.raises(diptych.DiptychError, match="works at 8000 Hz, and HEAR only knows 16000, 22050"):
        diptych.load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.full((2, 900), 9000, np.int16), "audio is int16: give floating point in"),
        ([["a"]], "audio is string: give floating point in"),
        (np.zeros(900), r"audio has the shape \(900,\): give \(sounds, samples\), with at least one sample"),
        (np.zeros((2, 3, 900)), r"audio has the shape \(2, 3, 900\)"),
        (np.zeros((2, 0)), r"audio has the shape \(2, 0\)"),
        ([[0.0], [0.0, 0.0]], "audio is no array of numbers, but list"),
        (None, "audio is no array of numbers, but NoneType"),
    ],
)
@pytest.mark.parametrize("embed", [diptych.get_scene_embeddings, diptych.get_timestamp_embeddings])
def test_what_is_no_audio_is_refused_in_one_sentence(model, embed, audio, message):
    with pytest.raises(diptych.DiptychError, match=message) as caught:
        embed(audio, model)
    assert "\n" not in str(caught.value)


def test_audio_may_be_of_64_bits(model):
    audio = tf.constant(np.random.default_rng(0).uniform(-1, 1, (2, 20000)))
    of_32_bits = diptych.get_scene_embeddings(tf.cast(audio, tf.float32), model)
    np.testing.assert_array_equal(diptych.get_scene_embeddings(audio, model), of_32_bits)


class _NoTorch(types.ModuleType):
    """Stands in for PyTorch, which hearvalidator imports, and asks a model in TensorFlow only whether it is one."""

    nn = types.SimpleNamespace(Module=type("Module", (), {}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore: IMPORTANT. A common bug")
def test_hearvalidator_accepts_the_module(exported, embedder, tmp_path, monkeypatch, capsys):
    """Runs hearvalidator's own code. Its bound on Python is ignored, and PyTorch is a stand-in."""
    monkeypatch.syspath_prepend(wheels.unpacked("hearvalidator==2021.0.6", tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "torch", _NoTorch("torch"))
    from hearvalidator import validate

    monkeypatch.setattr("sys.argv", ["hear-validator", "diptych", "--model", str(exported), "--device", "/CPU:0"])
    validate.main()
    assert "Looks good!" in capsys.readouterr().out
