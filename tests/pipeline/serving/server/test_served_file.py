"""A file for another runtime behind the server: what it says of odd sounds, and what its runtime raises."""

import json

import numpy as np
import pytest

from components.errors import UserError
from pipeline.serving.embedding.exported_file import ExportedFile
from pipeline.serving.server import served_file
from pipeline.serving.server.versions import Version
from tests.components.exporter.runtimes import files
from tests.pipeline.serving.server.running import PREDICT, ask, error_of, running

_, _, ONNX, _, _ = files.SMALL


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of the model that is also `exported`."""
    return files.small(tmp_path_factory) / ONNX.file


class Failing:
    """A runtime that embeds silence and nothing else."""

    def __init__(self, runtime):
        self.info = runtime.info
        self._runtime = runtime

    def windows(self, audio):
        if audio.any():
            raise RuntimeError("[ONNXRuntimeError] : Non-zero status code.\nmore")
        return self._runtime.windows(audio)


def test_a_sound_with_nan_gets_the_answer_of_the_saved_model(exported, file):
    sound = np.linspace(-0.5, 0.5, 20000)
    sound[19000] = np.nan
    names = ("serving_default", "windows")
    requests = [json.dumps({"signature_name": name, "inputs": [sound.tolist()]}) for name in names]
    answers = []
    for model in (exported, file):
        with running(model) as server:
            answers.append([ask(server, PREDICT, data=request).json()["outputs"] for request in requests])
    for of_saved_model, of_file in zip(*answers, strict=True):
        assert set(of_file) == set(of_saved_model)
        assert np.isnan(np.array(of_file["embedding"])).any()
        for name, values in of_file.items():
            np.testing.assert_allclose(np.array(values), np.array(of_saved_model[name]), atol=1e-5)


def test_what_the_runtime_raises_is_an_answer(file, monkeypatch):
    runtime = ExportedFile(str(file)).runtime
    monkeypatch.setattr(ExportedFile, "runtime", Failing(runtime))
    with running(file) as server:
        message = error_of(ask(server, PREDICT, {"instances": [[0.5]]}), status=500)
        assert message == "The model failed: [ONNXRuntimeError] : Non-zero status code."
        assert ask(server, PREDICT, {"instances": [[0.0]]}).status_code == 200


def test_a_file_that_loads_and_does_not_run_is_refused_at_the_start(file, monkeypatch):
    runtime = ExportedFile(str(file)).runtime
    monkeypatch.setattr(Failing, "windows", lambda self, audio: 1 / 0)
    monkeypatch.setattr(ExportedFile, "runtime", Failing(runtime))
    with pytest.raises(UserError, match=rf"{ONNX.file} is loaded, but does not run \(division by zero\): copy it"):
        served_file.load(Version(1, str(file)))
