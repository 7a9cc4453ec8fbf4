"""An hour of sound takes bounded memory, measured in fresh processes."""

import pytest

from tests.benchmarks import measuring

MODULE = "tests.benchmarks.embed_memory"
MOST_MIB = 2048

# What an hour takes more than a minute: its audio takes 220 MiB, and TensorFlow may copy it.
MORE_FOR_AN_HOUR_MIB = 2 * 220


@pytest.fixture(scope="module", params=["tiny"])
def model(request, tmp_path_factory):
    """The untrained model of a preset."""
    folder = tmp_path_factory.mktemp(request.param)
    measuring.in_a_fresh_process(MODULE, "--export", request.param, folder)
    return folder


def _peak_mib(call, model, minutes):
    return measuring.in_a_fresh_process(MODULE, "--call", call, model, minutes)["peak_mib"]


@pytest.mark.slow
@pytest.mark.parametrize("call", ["serving_default", "windows", "frames", "inputs", "wav_bytes", "model"])
def test_an_hour_takes_less_than_2_gib(model, call):
    assert _peak_mib(call, model, 60) < MOST_MIB


@pytest.mark.slow
@pytest.mark.parametrize("model", ["small"], indirect=True)
def test_the_wide_encoders_of_small_leave_room_for_an_hour(model):
    # An hour would take many minutes. That memory grows with the sound alone is tested with `tiny`.
    assert _peak_mib("serving_default", model, 1) < MOST_MIB - MORE_FOR_AN_HOUR_MIB


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
