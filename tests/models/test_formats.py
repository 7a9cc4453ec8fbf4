import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import formats, frontends


@given(
    frames=st.integers(1, 9),
    window=st.integers(2, 50),
    hop=st.integers(1, 60),
    centre=st.booleans(),
)
def test_the_shortest_waveform_gives_so_many_frames_and_one_sample_less_does_not(frames, window, hop, centre):
    options = {"window_seconds": window / 1000, "hop_seconds": hop / 1000, "fft_length": 64, "high_hz": 500.0}
    layer = frontends.Spectrogram(sample_rate=1000, n_bands=4, low_hz=0.0, centre=centre, **options)
    shortest = layer.options.shortest(frames, sample_rate=1000)
    assert layer(np.ones((1, shortest), "float32")).shape[1] >= frames
    if shortest > layer.options.shortest(1, sample_rate=1000):
        assert layer(np.ones((1, shortest - 1), "float32")).shape[1] == frames - 1
    else:
        with pytest.raises(ValueError, match="too few for a frame"):
            layer(np.ones((1, shortest - 1), "float32"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 160}, "unknown front-end option 'hop'.*window_seconds, hop_seconds"),
        ({"window_seconds": 1e-5}, "0 and 160 samples at 16000 Hz"),
        ({"fft_length": 256}, "fft_length 256 does not fit a window of 320 samples.*from 320 on, e.g. 512"),
        ({"fft_length": 401}, "an even number"),
        ({"low_hz": 8000.0}, "they must rise"),
        ({"low_hz": -1.0}, "they must rise"),
        ({"high_hz": 9000.0}, "16000 Hz has no room for bands up to high_hz 9000.*at most 8000.*at least 18000"),
        ({"mel_scale": "bark"}, "unknown mel_scale 'bark': it is 'htk' or 'slaney'"),
        ({"log": "base 2"}, "unknown log 'base 2': it is 'natural' or 'decibel'"),
        ({"floor": 0.0}, "floor 0 leaves the logarithm of silence infinite"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        formats.FrontEndOptions.of(options).check(sample_rate=16000)


def test_the_fft_length_that_is_suggested_fits():
    options = formats.FrontEndOptions.of({"window_seconds": 0.1})
    with pytest.raises(ValueError, match="does not fit") as refused:
        options.check(sample_rate=16000)
    suggested = int(re.search(r"e\.g\. (\d+)", str(refused.value))[1])
    formats.FrontEndOptions.of({"window_seconds": 0.1, "fft_length": suggested}).check(sample_rate=16000)


def test_frame_sizes():
    assert [formats.frame_size(name, n_mels=64, n_mfcc=20) for name in formats.SPECTRA] == [64, 64, 20]
    with pytest.raises(ValueError, match="n_mfcc 65 is more than the 64 mel bands.*at most 64"):
        formats.frame_size("mfcc", n_mels=64, n_mfcc=65)
