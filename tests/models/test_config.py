import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import frontends
from models.config import FrontEndConfig


@pytest.mark.parametrize("module", ["config", "catalog", "formats", "compatibility", "norms", "frozen_config"])
def test_importing_it_does_not_import_keras(module):
    program = f"import sys, models.{module}; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@given(
    frames=st.integers(1, 9),
    window=st.integers(2, 50),
    hop=st.integers(1, 60),
    centre=st.booleans(),
)
def test_the_shortest_waveform_has_the_frames_and_one_sample_less_has_one_fewer(frames, window, hop, centre):
    options = FrontEndConfig(
        window_seconds=window / 1000,
        hop_seconds=hop / 1000,
        fft_length=64,
        low_hz=0.0,
        high_hz=500.0,
        centre=centre,
    )
    layer = frontends.Spectrogram(options, sample_rate=1000, n_bands=4)
    shortest = options.shortest(frames, sample_rate=1000)
    assert layer(np.ones((1, shortest), "float32")).shape[1] >= frames
    if shortest > options.shortest(1, sample_rate=1000):
        assert layer(np.ones((1, shortest - 1), "float32")).shape[1] == frames - 1
    else:
        with pytest.raises(ValueError, match="too few for a frame"):
            layer(np.ones((1, shortest - 1), "float32"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 160}, "hop\n +Extra inputs are not permitted"),
        ({"window_seconds": 1e-5}, "0 and 160 samples at 16000 Hz"),
        ({"fft_length": 256}, "fft_length 256 does not fit a window of 320 samples.*of at least 320, e.g. 512"),
        ({"fft_length": 401}, "an even number"),
        ({"low_hz": 8000.0}, "low_hz 8000 is not below high_hz 7800: choose a lower low_hz"),
        ({"low_hz": -1.0}, "low_hz\n +Input should be greater than or equal to 0"),
        ({"high_hz": 9000.0}, "16000 Hz has no room for bands up to high_hz 9000.*at most 8000.*at least 18000"),
        ({"mel_scale": "bark"}, "mel_scale\n +Input should be 'htk' or 'slaney'.*'bark'"),
        ({"log": "base 2"}, "log\n +Input should be 'natural' or 'decibel'.*'base 2'"),
        ({"fft_length": True}, "fft_length\n +Value error, must be a number, not true or false"),
        ({"floor": 0.0}, "floor\n +Input should be greater than or equal to 0.0{36}1 "),
        ({"floor": 1e-50}, "floor\n +Input should be greater than or equal to 0.0{36}1 "),
        ({"floor": 1e38}, "floor\n +Input should be less than or equal to 10{37} "),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FrontEndConfig(**options).check(sample_rate=16000)


def test_the_suggested_fft_length_fits():
    options = FrontEndConfig(window_seconds=0.1)
    with pytest.raises(ValueError, match="does not fit") as error:
        options.check(sample_rate=16000)
    suggested = int(re.search(r"e\.g\. (\d+)", str(error.value))[1])
    FrontEndConfig(window_seconds=0.1, fft_length=suggested).check(sample_rate=16000)
