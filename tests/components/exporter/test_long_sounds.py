"""An hour of sound takes bounded memory, measured in fresh processes."""

import pytest

from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from tests.benchmarks import measuring

MOST_MIB = 2048


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    saved_model.export(dual.DualEncoder(ModelConfig(width=1 / 16, crop_seconds=2.0)), folder)
    return folder


def _peak_mib(call, model, minutes):
    peak = measuring.in_a_fresh_process("tests.benchmarks.embed_memory", "--call", call, model, minutes)
    return peak["peak_mib"]


@pytest.mark.slow
@pytest.mark.parametrize("call", ["serving_default", "windows", "inputs", "wav_bytes", "model"])
def test_an_hour_takes_less_than_2_gib(model, call):
    assert _peak_mib(call, model, 60) < MOST_MIB


@pytest.mark.slow
def test_the_memory_of_frames_grows_with_the_result_alone(model):
    peaks = [_peak_mib("frames", model, minutes) for minutes in (1, 5)]
    # 4 minutes of audio take 15 MiB, and their 4,800 frames of 128 numbers take 2 MiB.
    assert peaks[1] - peaks[0] < 100


@pytest.mark.slow
@pytest.mark.parametrize("signature", ["serving_default", "windows"])
def test_the_memory_of_a_call_does_not_grow_with_the_length_of_a_clip(model, signature):
    peaks = [_peak_mib(signature, model, minutes) for minutes in (3, 30)]
    # The audio of 27 minutes takes 99 MiB, and TensorFlow may copy it.
    assert peaks[1] - peaks[0] < 2 * 99 + 50
