import functools

import numpy as np
import pytest
import soxr
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.exporter import resampler

USUAL_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)


@functools.cache
def _function(sample_rate):
    @tf.function(input_signature=[tf.TensorSpec((None,)), tf.TensorSpec((), tf.int64)], autograph=False)
    def resample(sound, rate):
        samples = tf.size(sound, out_type=tf.int64)
        return resampler.resample(
            lambda first, count: sound[first : first + count],
            samples,
            resampler.resampled_length(samples, rate, sample_rate=sample_rate),
            resampler.design(rate, sample_rate=sample_rate),
        )

    return resample


def _resample(sound, rate, *, sample_rate=16000):
    return _function(sample_rate)(tf.constant(sound, tf.float32), tf.constant(rate, tf.int64)).numpy()


def _noise(rate, *, seconds, highest_hz):
    """Returns noise below a frequency, float32 (samples,)."""
    spectrum = np.fft.rfft(np.random.default_rng(rate).normal(size=round(rate * seconds)))
    spectrum[np.fft.rfftfreq(round(rate * seconds), 1 / rate) > highest_hz] = 0
    sound = np.fft.irfft(spectrum, round(rate * seconds))
    fade = np.minimum(np.arange(sound.size) / (0.05 * rate), 1)  # soxr treats abrupt ends in its own way.
    sound *= fade * fade[::-1]
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def _snr_db(expected, actual):
    assert actual.shape == expected.shape
    return 10 * np.log10(np.mean(np.square(expected)) / max(np.mean(np.square(actual - expected)), 1e-30))


@pytest.mark.parametrize("sample_rate", [16000, 32000, 44100])
@pytest.mark.parametrize("rate", USUAL_RATES)
def test_usual_rates_are_resampled_like_soxr(rate, sample_rate):
    sound = _noise(rate, seconds=0.7, highest_hz=0.45 * min(rate, sample_rate))
    expected = soxr.resample(sound, rate, sample_rate, quality="HQ")
    assert resampler.can_resample(tf.constant(rate, tf.int64), sample_rate=sample_rate)
    assert _snr_db(expected, _resample(sound, rate, sample_rate=sample_rate)) > 65


@pytest.mark.parametrize("rate", USUAL_RATES)
def test_what_lies_above_the_new_nyquist_frequency_is_removed_as_soxr_removes_it(rate):
    sound = np.random.default_rng(0).normal(0, 0.1, rate).astype(np.float32)  # Also all of the filter's slope.
    assert _snr_db(soxr.resample(sound, rate, 16000, quality="HQ"), _resample(sound, rate)) > 50
    if rate > 20000:
        high = np.sin(2 * np.pi * 9000 * np.arange(rate) / rate)
        assert np.abs(_resample(high, rate)[500:-500]).max() < 1e-4


def test_the_same_rate_changes_no_bit():
    sound = np.random.default_rng(0).normal(size=100_001).astype(np.float32)
    np.testing.assert_array_equal(_resample(sound, 16000), sound)


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 300_000), rate=st.sampled_from(USUAL_RATES))
def test_every_length_is_the_same_sum_of_sincs(samples, rate):
    """Pieces are joined without a seam, the sound is silent beyond its ends, and the length is soxr's."""
    sound = np.random.default_rng(samples).uniform(-0.5, 0.5, samples).astype(np.float32)
    resampled = _resample(sound, rate)
    assert len(resampled) == max(1, len(soxr.resample(sound, rate, 16000, quality="HQ")))
    seams = np.arange(0, len(resampled), resampler._OUTPUTS_AT_A_TIME)
    for place in {0, len(resampled) // 2, len(resampled) - 1, *seams, *(seams[1:] - 1)}:
        np.testing.assert_allclose(resampled[place], _directly(sound, rate, place), atol=1e-5)


def _directly(sound, rate, place):
    """Returns one resampled value, as the definition of the filter says."""
    if rate == 16000:
        return sound[place]
    ratio = max(rate / 16000, 1)
    distance = np.arange(sound.size) - place * rate / 16000
    within = np.abs(distance) <= 98 * ratio
    cutoff, distance = (1 + 0.91363) / 2 / ratio, distance[within]
    window = np.i0(12.9 * np.sqrt(1 - (distance / (98 * ratio)) ** 2)) / np.i0(12.9)
    return np.sum(cutoff * np.sinc(cutoff * distance) * window * sound[within])


@pytest.mark.parametrize("rate", [11127, 44101, 95999])
def test_rates_in_no_simple_ratio_have_no_filter(rate):
    assert not resampler.can_resample(tf.constant(rate, tf.int64), sample_rate=16000)
