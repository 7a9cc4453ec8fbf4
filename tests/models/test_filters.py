import numpy as np
import pytest
import scipy.fft
import scipy.signal
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models import filters
from tests.compiled_librosa import librosa

BAND_EDGES = [(0.0, 8000.0), (80.0, 7600.0), (50.0, 8000.0), (60.0, 7800.0)]


def _triangles(scale, low_hz, high_hz, *, bands=80, fft_length=512):
    return filters.filter_bank(
        scale, bands=bands, fft_length=fft_length, sample_rate=16000, low_hz=low_hz, high_hz=high_hz
    )


@given(window=st.integers(2, 65), padding=st.integers(0, 40), seed=st.integers(0, 99))
def test_the_folded_transform_gives_the_power_spectrum_of_the_windowed_frame(window, padding, seed):
    fft_length = (window + padding + 1) // 2 * 2
    frame = np.random.default_rng(seed).normal(size=window)
    cosines, sines = filters.folded_fourier_bases(window, fft_length)
    n = np.arange(1, window // 2 + 1)
    power = ((frame[n] + frame[window - n]) @ cosines) ** 2 + ((frame[n] - frame[window - n]) @ sines) ** 2
    expected = np.abs(scipy.fft.rfft(frame * scipy.signal.get_window("hann", window), fft_length)) ** 2
    np.testing.assert_allclose(power, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("edges", BAND_EDGES)
def test_htk_filters_equal_tensorflows(edges):
    expected = tf.signal.linear_to_mel_weight_matrix(80, 257, 16000, *edges, dtype=tf.float64)
    np.testing.assert_allclose(_triangles("htk", *edges), expected, atol=1e-6)


@pytest.mark.parametrize("edges", BAND_EDGES)
def test_slaney_filters_equal_librosas(edges):
    expected = librosa().filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=edges[0], fmax=edges[1])
    np.testing.assert_allclose(_triangles("slaney", *edges), expected.T, atol=1e-6 * expected.max())


def test_linear_filters_are_evenly_spaced_with_peaks_of_one():
    matrix = _triangles("linear", 0.0, 8000.0, bands=31, fft_length=1024)  # 250 Hz apart, 16 bins
    np.testing.assert_array_equal(matrix.argmax(axis=0), 16 * np.arange(1, 32))
    np.testing.assert_array_equal(matrix.max(axis=0), 1.0)
    np.testing.assert_allclose(matrix[16:-16].sum(axis=1), 1.0, atol=1e-6)  # Neighbors add up to 1.
    np.testing.assert_allclose(matrix[1:17, 0], np.arange(1, 17) / 16)


def test_filters_without_a_frequency_are_an_error():
    with pytest.raises(ValueError, match="400 bands are too many for an fft_length of 512 at 16000 Hz"):
        _triangles("htk", 60.0, 7800.0, bands=400)


@given(
    scale=st.sampled_from(["htk", "slaney", "linear"]),
    bands=st.integers(1, 200),
    half=st.integers(1, 150),
    low_hz=st.floats(0.0, 3000.0),
    room_hz=st.floats(1.0, 5000.0),
)
def test_exactly_filters_with_a_column_of_zeros_are_refused(scale, bands, half, low_hz, room_hz):
    options = {
        "bands": bands,
        "fft_length": 2 * half,
        "sample_rate": 16000,
        "low_hz": low_hz,
        "high_hz": low_hz + room_hz,
    }
    # Not `filter_bank`, whose float32 turns the tip of a filter that barely holds a frequency into 0.
    points = filters._points(scale, fft_length=2 * half, sample_rate=16000)[:, None]
    matrix = filters._triangles(points, filters._edges(scale, bands=bands, low_hz=low_hz, high_hz=options["high_hz"]))
    if matrix.any(axis=0).all():
        filters.check_bands(scale, **options)
    else:
        with pytest.raises(ValueError, match=f"{bands} bands are too many"):
            filters.check_bands(scale, **options)


def test_any_number_of_bands_and_edges_without_room_are_refused():
    options = {"fft_length": 512, "sample_rate": 16000, "high_hz": 7800.0}
    for bands, low_hz in ((10**18, 60.0), (80, np.nextafter(7800.0, 0.0))):
        with pytest.raises(ValueError, match="bands are too many"):
            filters.check_bands("htk", bands=bands, low_hz=low_hz, **options)


@pytest.mark.parametrize(("bands", "coefficients"), [(80, 13), (64, 20), (5, 5), (1, 1)])
def test_cosine_transform_equals_scipys(bands, coefficients):
    expected = scipy.fft.dct(np.eye(bands), norm="ortho")[:, :coefficients]
    np.testing.assert_allclose(filters.cosine_transform(bands, coefficients), expected, atol=1e-6)
