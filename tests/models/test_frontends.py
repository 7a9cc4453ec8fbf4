import librosa
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import log_mel as numpy_log_mel
from models import catalog, frontends
from tests.reference import fixture, needs_reference, relative_error


def _noise(*shape, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) * 0.1).astype("float32")


def _tf_log_mel(waveform):
    spectrum = tf.abs(tf.signal.stft(waveform, 320, 160, fft_length=512))
    matrix = tf.signal.linear_to_mel_weight_matrix(80, 257, 16000, 60.0, 7800.0)
    return tf.math.log(tf.square(spectrum) @ matrix + 1e-6)


def test_equals_tf_signal():
    waveform = _noise(2, 16000)
    found, expected = frontends.LogMel()(waveform), _tf_log_mel(waveform)
    assert found.shape == expected.shape == (2, 99, 80)
    assert relative_error(found, expected.numpy()) < 1e-4


def test_equals_librosa():
    # librosa draws its triangles in Hz rather than in mel, so the filters are ours and the spectrum librosa's.
    waveform = _noise(16000)
    spectrum = librosa.stft(waveform, n_fft=512, win_length=320, hop_length=160, window="hann", center=False)
    # It centres the window in its FFT frame: 96 samples later, so compare frames of a waveform delayed by as much.
    delayed = np.pad(waveform, (96, 0))
    spectrum = librosa.stft(delayed, n_fft=512, win_length=320, hop_length=160, window="hann", center=False)
    filters = frontends.mel_filters(n_mels=80, fft_length=512, sample_rate=16000, low_hz=60.0, high_hz=7800.0)
    expected = np.log((np.abs(spectrum) ** 2).T @ filters + 1e-6)
    assert relative_error(frontends.LogMel()(waveform[None])[0][: len(expected)], expected) < 1e-4


def test_filters_are_close_to_librosas_htk():
    ours = frontends.mel_filters(n_mels=80, fft_length=512, sample_rate=16000, low_hz=60.0, high_hz=7800.0)
    theirs = librosa.filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=60, fmax=7800, htk=True, norm=None)
    assert np.abs(ours - theirs.T).max() < 0.01  # straight in mel against straight in Hz
    assert ours.any(axis=0).all(), "a band without a bin would be constant"


@needs_reference
def test_equals_the_reference():
    vectors = fixture("logmel")
    found = frontends.LogMel(low_hz=0.0, high_hz=8000.0)(vectors["wave"][None])[0]
    assert relative_error(found, vectors["logmel/512/nocentre/p2/tf/ln_plus1e-6"]) < 1e-4


def test_equals_the_numpy_one_of_the_statistics():
    waveform = _noise(8000)
    expected = numpy_log_mel.log_mel(waveform, sample_rate=16000)
    assert relative_error(frontends.LogMel()(waveform[None])[0], expected) < 1e-4


@given(loudness=st.floats(1e-6, 1e3), samples=st.integers(320, 2000))
def test_a_clip_does_not_depend_on_its_batch_mates(loudness, samples):
    quiet, loud = _noise(1, samples), _noise(1, samples, seed=1) * np.float32(loudness)
    layer = frontends.LogMel()
    together = layer(np.concatenate([quiet, loud]))
    np.testing.assert_allclose(together[:1], layer(quiet), atol=2e-5)


def test_silence_is_the_log_floor():
    layer = frontends.LogMel()
    np.testing.assert_allclose(layer(np.zeros((1, 1600), "float32")), layer.silence, rtol=1e-6)


def test_stays_float32_under_mixed_precision():
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        assert frontends.LogMel()(_noise(1, 1600)).dtype == tf.float32
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


def test_bands_without_a_frequency_are_refused():
    with pytest.raises(ValueError, match="400 mel bands are too many for an FFT of 512"):
        frontends.LogMel(n_mels=400)


def test_the_shortest_crop_of_the_catalog_gives_a_frame():
    shortest = 2 * round(catalog.HOP_SECONDS * 16000)
    assert frontends.LogMel()(_noise(1, shortest)).shape == (1, 1, 80)


def test_band_edges_above_nyquist_are_refused():
    with pytest.raises(ValueError, match="4000 Hz"):
        frontends.LogMel(sample_rate=8000)
