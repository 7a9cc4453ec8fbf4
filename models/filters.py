"""The matrices of the spectral front ends, computed with NumPy."""

import numpy as np


def folded_fourier_bases(window: int, fft_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the basis of the Fourier transform under a periodic Hann window, folded about the middle of the frame.

    Around the middle of the frame, the window and the cosines are even functions and the sines are odd. So the cosine
    part depends only on the sums of samples n and window - n, and the sine part only on their differences. This halves
    the height of both matrices. Sample 0 has no counterpart, but the window is 0 there.

    Args:
        window: Length of the window, in samples.
        fft_length: Number of points of the Fourier transform.

    Returns:
        Two float32 `(window // 2, fft_length // 2 + 1)` matrices. Their rows belong to n = 1 ... window // 2: the first
        multiplies `x[n] + x[window - n]`, the second `x[n] - x[window - n]`. The squares of the two products add up to
        the power spectrum.
    """
    n = np.arange(1, window // 2 + 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    hann[2 * n == window] /= 2  # The middle sample is added to itself.
    angle = 2 * np.pi * np.outer(n - window / 2, np.arange(fft_length // 2 + 1)) / fft_length
    cosines, sines = hann[:, None] * np.cos(angle), hann[:, None] * np.sin(angle)
    return cosines.astype(np.float32), sines.astype(np.float32)


def filter_bank(
    scale: str,
    *,
    bands: int,
    fft_length: int,
    sample_rate: int,
    low_hz: float,
    high_hz: float,
    allow_empty: bool = False,
) -> np.ndarray:
    """Returns a bank of triangular filters. Each filter spans the range between the centers of its two neighbors.

    Args:
        scale: One of

            * `"linear"`: Evenly spaced in Hz, with peaks of 1.
            * `"htk"`: Evenly spaced on the HTK mel scale and triangular on it, with peaks of 1, like
              `tf.signal.linear_to_mel_weight_matrix`.
            * `"slaney"`: Evenly spaced on the Slaney mel scale, triangular in Hz, with equal areas, like
              `librosa.filters.mel`.
        bands: Number of filters.
        fft_length: Number of points of the Fourier transform.
        sample_rate: In Hz.
        low_hz: Lower edge of the lowest filter.
        high_hz: Upper edge of the highest filter.
        allow_empty: Whether a filter may contain no frequency of the transform, e.g. above half the sample rate.

    Returns:
        `(fft_length // 2 + 1, bands)` float32.

    Raises:
        ValueError: A filter contains no frequency, and `allow_empty` is false.
    """
    if not allow_empty:
        check_bands(scale, bands=bands, fft_length=fft_length, sample_rate=sample_rate, low_hz=low_hz, high_hz=high_hz)
    points = _points(scale, fft_length=fft_length, sample_rate=sample_rate)
    edges = _edges(scale, bands=bands, low_hz=low_hz, high_hz=high_hz)
    matrix = _triangles(points[:, None], edges)
    if scale == "slaney":
        matrix *= 2.0 / (edges[2:] - edges[:-2])
    return matrix.astype(np.float32)


def check_bands(scale: str, *, bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float) -> None:
    """Checks that each filter of a `filter_bank` contains a frequency of the transform. It takes the same arguments.

    Raises:
        ValueError: One contains none.
    """
    points = _points(scale, fft_length=fft_length, sample_rate=sample_rate)
    is_full = bands <= 2 * len(points)  # A frequency lies in at most two filters. So a huge number takes no memory.
    if is_full:
        edges = _edges(scale, bands=bands, low_hz=low_hz, high_hz=high_hz)
        first = np.searchsorted(points, edges[:-2], side="right")  # The first frequency above the lower edge.
        end = np.searchsorted(points, edges[2:], side="left")  # The first one that is not below the upper edge.
        is_full = bool((first < end).all())
    if not is_full:
        raise ValueError(
            f"{bands} bands are too many for an fft_length of {fft_length} at {sample_rate} Hz, because some contain "
            "no frequency: choose fewer bands, or a longer fft_length"
        )


def htk_centers(bands: int, *, low_hz: float, high_hz: float) -> np.ndarray:
    """Returns the centers in Hz of the filters of an HTK `filter_bank`, `(bands,)` float64."""
    mel = np.linspace(_hz_to_htk(low_hz), _hz_to_htk(high_hz), bands + 2)[1:-1]
    return 700.0 * np.expm1(mel / 1127.0)


def cosine_transform(bands: int, coefficients: int) -> np.ndarray:
    """Returns the first columns of the orthonormal DCT-II, `(bands, coefficients)` float32."""
    angle = np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(coefficients))
    matrix = np.sqrt(2.0 / bands) * np.cos(angle)
    matrix[:, 0] /= np.sqrt(2.0)
    return matrix.astype(np.float32)


def _points(scale: str, *, fft_length: int, sample_rate: int) -> np.ndarray:
    """Returns the frequencies of the transform where the filters are triangular: in mel for `"htk"`, else in Hz."""
    hz = np.linspace(0.0, sample_rate / 2, fft_length // 2 + 1)
    return _hz_to_htk(hz) if scale == "htk" else hz


def _edges(scale: str, *, bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Returns the edges of the filters in the unit of `_points`, `(bands + 2,)`: filter i spans edges i to i + 2."""
    if scale == "htk":
        return np.linspace(_hz_to_htk(low_hz), _hz_to_htk(high_hz), bands + 2)
    if scale == "slaney":
        return _slaney_to_hz(np.linspace(_hz_to_slaney(low_hz), _hz_to_slaney(high_hz), bands + 2))
    return np.linspace(low_hz, high_hz, bands + 2)


def _triangles(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    low, center, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (points - low) / (center - low)
    falling = (high - points) / (high - center)
    return np.maximum(0.0, np.minimum(rising, falling))


def _hz_to_htk(hz: float | np.ndarray) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


# The Slaney scale is linear up to 1000 Hz, which is 15 mel. Above, 27 mel correspond to a factor of 6.4.
_HZ_PER_MEL = 200.0 / 3.0
_CORNER_HZ, _CORNER_MEL = 1000.0, 15.0
_LOG_HZ_PER_MEL = np.log(6.4) / 27.0


def _hz_to_slaney(hz: float) -> float:
    if hz < _CORNER_HZ:
        return hz / _HZ_PER_MEL
    return _CORNER_MEL + np.log(hz / _CORNER_HZ) / _LOG_HZ_PER_MEL


def _slaney_to_hz(mel: np.ndarray) -> np.ndarray:
    linear = mel * _HZ_PER_MEL
    logarithmic = _CORNER_HZ * np.exp((mel - _CORNER_MEL) * _LOG_HZ_PER_MEL)
    return np.where(mel < _CORNER_MEL, linear, logarithmic)
