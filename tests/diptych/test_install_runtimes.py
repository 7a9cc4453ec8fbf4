"""Installs what the Exporter's page names for its files, without TensorFlow, into an environment of its own."""

import sys

import keras
import pytest

from models import dual
from models.config import ModelConfig
from tests import corpora
from tests.components.exporter.runtimes import files
from tests.diptych.test_install import LOCK, succeed, wheel  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow

_PROGRAM = """
import sys, diptych
for file in ("model.tflite", "model.onnx"):
    embedder = diptych.load(file)
    assert embedder.embed_file("rain.mp3").shape == (embedder.dim,) == (32,)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def test_files_for_other_runtimes_are_loaded_without_tensorflow(wheel, tmp_path):  # noqa: F811
    keras.utils.set_random_seed(0)
    model = dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5))
    for runtime, name in (("litert", "model.tflite"), ("onnx", "model.onnx")):
        (content,) = files.convert(model, runtime, ["int8"])
        (tmp_path / name).write_bytes(content)
    corpora.write_format(tmp_path / "rain.mp3", seconds=3.0)
    succeed(sys.executable, "-m", "venv", tmp_path / "venv")
    install = (tmp_path / "venv" / "bin" / "pip", "install", "--quiet")
    packages = ("av", "numpy", "soundfile", "soxr", "ai-edge-litert", "onnxruntime")
    succeed(*install, "--constraint", LOCK, *packages)
    succeed(*install, "--no-deps", wheel)
    succeed(tmp_path / "venv" / "bin" / "python", "-c", _PROGRAM, cwd=tmp_path)
