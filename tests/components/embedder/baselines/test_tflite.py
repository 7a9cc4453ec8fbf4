import dataclasses
import re
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines
from components.errors import UserError
from tests.components import embedding_infos
from tests.components.embedder.baselines import checks
from tests.reference import relative_error

COMPARED = Framing(sample_rate=8000, window_samples=16000, hop_samples=6000)
WEIGHTS = np.random.default_rng(0).normal(size=(4000, 9)).astype(np.float32)


class Model(tf.Module):
    """Has the inputs and outputs of YAMNet, of a classifier of one window, and of a model that takes batches."""

    def frames(self, audio):
        """Returns vectors for each 0.25 s, (batch, frames, 9)."""
        return tf.squeeze(tf.nn.conv2d(audio[:, :, None, None], WEIGHTS[:, None, None], (4000, 1), "VALID"), 2)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
    def yamnet(self, waveform):
        frames = self.frames(tf.expand_dims(waveform, 0))[0]
        return [frames[:, :3], frames[:, :5], frames[:, :7]]

    @tf.function(input_signature=[tf.TensorSpec((1, 8000), tf.float32)])
    def window(self, audio):
        return {"vector": tf.reduce_mean(self.frames(audio), axis=1)[:, :5]}

    @tf.function(input_signature=[tf.TensorSpec((None, 8000), tf.float32)])
    def batch(self, audio):
        return {"embedding": tf.reduce_mean(self.frames(audio), axis=1)[:, :5], "label": self.frames(audio)[:, 0, :2]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a TFLite file of each function. Tests must not write to it."""
    place, model = tmp_path_factory.mktemp("models"), Model()
    for name in ("yamnet", "window", "batch"):
        functions = [getattr(model, name).get_concrete_function()]
        content = tf.lite.TFLiteConverter.from_concrete_functions(functions, model).convert()
        (place / f"{name}.tflite").write_bytes(content)
        described = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        described.signatureDefs = []
        (place / f"{name}_without_signature.tflite").write_bytes(
            flatbuffer_utils.convert_object_to_bytearray(described)
        )
    return place


def load(spec):
    return baselines.parse(spec, framing=COMPARED).load()


def expected(sounds):
    parts = sounds.reshape(len(sounds), -1, 4000)
    return (parts @ WEIGHTS).mean(axis=1)[:, :5]


@pytest.mark.parametrize("file", ["yamnet", "window", "window_without_signature", "batch"])
def test_signatures_and_tensors_from_waveforms_to_vectors_will_do(folder, file):
    embedder = load(f"mine={folder / file}.tflite")
    if file == "yamnet":
        assert embedder.framing == Framing(sample_rate=16000, window_samples=32000, hop_samples=12000)
    else:
        assert embedder.framing == Framing(sample_rate=16000, window_samples=8000, hop_samples=4000)
    sounds, vectors = checks.check(embedder, dims={"embedding": 5})
    assert relative_error(vectors["embedding"], expected(sounds)) < 1e-4


def test_a_file_of_diptych_tells_its_sample_rate(folder, tmp_path):
    info = dataclasses.replace(embedding_infos.LOG_MEL, sample_rate=22050)
    shutil.copy(folder / "window.tflite", tmp_path / "own.tflite")
    with zipfile.ZipFile(tmp_path / "own.tflite", "a") as archive:
        archive.writestr("embedding_info.json", info.to_json())
    assert load(f"mine={tmp_path / 'own.tflite'}").framing == info.framing
    assert load(f"mine@8000={tmp_path / 'own.tflite'}").framing.sample_rate == 8000


def test_one_of_several_tensors_is_named(folder):
    file = folder / "yamnet_without_signature.tflite"
    with pytest.raises(UserError, match="has several outputs") as error:
        load(f"mine={file}")
    name = re.search(r"(\S+) \[8, 5\]", str(error.value))[1]
    embedder = load(f"mine:{name}@32000={file}")
    assert embedder.framing.sample_rate == 32000
    assert dict(embedder.dims) == {"embedding": 5}


def test_a_model_with_quantized_input_is_refused(folder, tmp_path):
    model = Model()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.window.get_concrete_function()], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.ones((1, 8000), np.float32)] for _ in range(2))
    converter.inference_input_type = tf.int8
    (tmp_path / "int8.tflite").write_bytes(converter.convert())
    with pytest.raises(
        UserError, match="int8.tflite has no signature or method whose only input is a float32 waveform"
    ):
        load(f"mine={tmp_path / 'int8.tflite'}")


def test_a_file_that_was_cut_short_is_refused(folder, tmp_path):
    content = (folder / "batch.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cut.tflite cannot be loaded as a TFLite model"):
        load(f"mine={tmp_path / 'cut.tflite'}")
