import numpy as np
import pytest

from beam_jobs.embedding.embedder import Framing
from components.embedder.baselines import function_embedder
from components.embedder.baselines.function_embedder import FunctionEmbedder
from components.errors import UserError

FRAMING = Framing(sample_rate=8000, window_samples=4, hop_samples=2)


def test_a_model_without_finite_vectors_is_refused_at_once():
    embedder = FunctionEmbedder(lambda windows: {"log": 1 / windows[:, :2]}, framing=FRAMING, source="log.tflite")
    assert embedder.dims == {"log": 2}
    assert embedder.embed(np.ones((3, 4), np.float32))["log"].tolist() == [[1, 1]] * 3
    with pytest.raises(UserError, match="log.tflite gives a vector 'log' that is not finite for faint noise"):
        FunctionEmbedder(lambda windows: {"log": windows[:, :2] * np.nan}, framing=FRAMING, source="log.tflite")


def test_a_function_that_fails_is_an_error_of_its_model():
    def fail(windows):
        raise RuntimeError("no such operation.\nat line 7")

    with pytest.raises(UserError, match=r"x.pb cannot embed windows of 4 samples \(no such operation\): leave it out"):
        FunctionEmbedder(fail, framing=FRAMING, source="x.pb")


def test_windows_keep_their_duration_at_another_sample_rate():
    framing = Framing(sample_rate=16000, window_samples=48000, hop_samples=24001)
    assert function_embedder.at_sample_rate(framing, 16000) == framing
    expected = Framing(sample_rate=32000, window_samples=96000, hop_samples=48002)
    assert function_embedder.at_sample_rate(framing, 32000) == expected
    shortest = Framing(sample_rate=1, window_samples=1, hop_samples=1)
    assert function_embedder.at_sample_rate(FRAMING, 1) == shortest
