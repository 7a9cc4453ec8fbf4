import os

import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines
from components.embedder.baselines import packages
from components.errors import UserError
from tests.components.embedder.baselines import checks
from tests.reference import relative_error

COMPARED = Framing(sample_rate=8000, window_samples=8000, hop_samples=4000)
WHEEL = os.environ.get("SPEECH_EMBEDDING_WHEEL", "")
BANDS = np.random.default_rng(0).normal(size=(512, 32)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(76 * 32, 96)).astype(np.float32)


class _StandIn(tf.Module):
    """Has the two steps of speech_embedding with their inputs and outputs, and with linear weights."""

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32)])
    def spectrogram(self, audio):
        audio = tf.expand_dims(tf.expand_dims(audio, 1), -1)
        values = tf.nn.conv2d(audio, BANDS[None, :, None], (1, 160), "VALID")
        return tf.maximum(values, tf.reduce_max(values) - 80000.0)  # The original's limit is 80 dB.

    @tf.function(input_signature=[tf.TensorSpec((None, 76, 32, 1), tf.float32)])
    def embedding(self, frames):
        return tf.nn.conv2d(frames, WEIGHTS.reshape(76, 32, 1, 96), 1, "VALID")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with both models of the stand-in. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("models")
    module = _StandIn()
    for name, function in (("melspectrogram", module.spectrogram), ("embedding_model", module.embedding)):
        traced = [function.get_concrete_function()]
        content = tf.lite.TFLiteConverter.from_concrete_functions(traced, module).convert()
        (folder / f"{name}.tflite").write_bytes(content)
    return folder


def test_the_vectors_are_means_over_all_inputs_of_the_network(models):
    embedder = baselines.parse(f"speech_embedding={models}", framing=COMPARED).load()
    assert embedder.framing == Framing(sample_rate=16000, window_samples=16000, hop_samples=8000)
    sounds, vectors = checks.check(embedder, dims={"speech_embedding": 96})
    for sound, vector in zip(sounds, vectors["speech_embedding"], strict=True):
        values = np.stack([32768 * sound[start : start + 512] @ BANDS for start in range(0, 16000 - 511, 160)])
        frames = np.maximum(values, values.max() - 80000) / 10 + 2
        inputs = [frames[start : start + 76].ravel() for start in range(0, len(frames) - 75, 8)]
        assert len(inputs) == 3
        assert relative_error(vector, np.mean([x @ WEIGHTS for x in inputs], axis=0)) < 1e-4


def test_windows_are_long_enough_for_the_network(models):
    short = Framing(sample_rate=16000, window_samples=4000, hop_samples=2000)
    embedder = baselines.parse(f"speech_embedding={models / 'embedding_model.tflite'}", framing=short).load()
    assert embedder.framing == Framing(sample_rate=16000, window_samples=12512, hop_samples=2000)
    assert embedder.embed(checks.windows(embedder.framing))["speech_embedding"].shape == (3, 96)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_model_that_was_cut_short_is_named(models, tmp_path, share):
    """TFLite itself would read beyond the end and take the process with it."""
    for name in ("melspectrogram", "embedding_model"):
        content = (models / f"{name}.tflite").read_bytes()
        length = len(content) if name == "melspectrogram" else int(share * len(content))
        (tmp_path / f"{name}.tflite").write_bytes(content[:length])
    with pytest.raises(UserError, match="embedding_model.tflite of .* cannot be loaded as a TFLite model"):
        baselines.parse(f"speech_embedding={tmp_path}", framing=COMPARED).load()


@pytest.mark.slow
@pytest.mark.skipif(not WHEEL, reason="SPEECH_EMBEDDING_WHEEL does not name the wheel of pyopen-wakeword 1.1.0")
def test_the_vectors_are_those_of_the_wheels_own_steps():
    """Follows the wheel's code for streams: 80 ms of sound after the other, an embedding after every eight frames."""
    embedder = baselines.parse(f"speech_embedding={WHEEL}", framing=COMPARED).load()
    sounds, vectors = checks.check(embedder, dims={"speech_embedding": 96})
    spectrogram, network = (
        tf.lite.Interpreter(model_content=content)
        for content in packages.read(WHEEL, ("melspectrogram.tflite", "embedding_model.tflite"))
    )

    def call(interpreter, values):
        index = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(index, values.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(index, values.astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    for sound, vector in zip(sounds, vectors["speech_embedding"], strict=True):
        mels, embedded = np.empty((0, 32)), []
        for start in range(0, 16000 - 1760 + 1, 1280):
            mels = np.concatenate([mels, call(spectrogram, 32768 * sound[None, start : start + 1760])[0, 0] / 10 + 2])
            if len(mels) >= 76:
                embedded.append(call(network, mels[None, :76, :, None]).ravel())
                mels = mels[8:]
        assert len(embedded) == 3
        assert relative_error(vector, np.mean(embedded, axis=0)) < 1e-4
