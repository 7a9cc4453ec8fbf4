"""The matrices of the spectral front ends, in NumPy."""

import numpy as np


def folded_fourier_bases(window: int, fft_length: int) -> tuple[np.ndarray, np.ndarray]:
    """The Fourier transform of a frame under a periodic Hann window, folded about the frame's middle.

    Counted from the middle, the window and the cosines are even and the sines odd. So the cosine part needs only the
    sums of samples at equal distance from the middle, and the sine part only their differences: two matrices of half
    the height in place of one. Sample 0 has no partner, and the window silences it.

    Returns:
        Two float32 `(window // 2, fft_length // 2 + 1)` matrices: for `x[n] + x[window - n]` and for
        `x[n] - x[window - n]`, n = 1 ... window // 2. The squares of both products add up to the power spectrum.
    """
    n = np.arange(1, window // 2 + 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    hann[2 * n == window] /= 2  # the middle, added to itself
    angle = 2 * np.pi * np.outer(n - window / 2, np.arange(fft_length // 2 + 1)) / fft_length
    return tuple((hann[:, None] * part(angle)).astype(np.float32) for part in (np.cos, np.sin))


def triangles(
    scale: str,
    *,
    bands: int,
    fft_length: int,
    sample_rate: int,
    low_hz: float,
    high_hz: float,
    allow_empty: bool = False,
) -> np.ndarray:
    """Triangular filters that reach from the middle of one neighbour to that of the other.

    Args:
        scale: `"linear"`, evenly spaced in Hz, peak 1; `"htk"`, evenly spaced and straight in HTK mel, peak 1, as
            `tf.signal.linear_to_mel_weight_matrix`; `"slaney"`, evenly spaced in Slaney mel, straight in Hz, all of one
            area, as `librosa.filters.mel`.
        bands: How many.
        fft_length: Points of the Fourier transform.
        sample_rate: Hz.
        low_hz: Lower edge of the lowest.
        high_hz: Upper edge of the highest.
        allow_empty: Whether a filter may hold no frequency, e.g. one above half the sample rate.

    Returns:
        `(fft_length // 2 + 1, bands)` float32.

    Raises:
        ValueError: if a filter holds no frequency, unless `allow_empty`.
    """
    hz = np.linspace(0.0, sample_rate / 2, fft_length // 2 + 1)[:, None]
    if scale == "htk":
        matrix = _triangles(_hz_to_htk(hz), np.linspace(_hz_to_htk(low_hz), _hz_to_htk(high_hz), bands + 2))
    elif scale == "slaney":
        edges = _slaney_to_hz(np.linspace(_hz_to_slaney(low_hz), _hz_to_slaney(high_hz), bands + 2))
        matrix = _triangles(hz, edges) * (2.0 / (edges[2:] - edges[:-2]))
    else:
        matrix = _triangles(hz, np.linspace(low_hz, high_hz, bands + 2))
    if not allow_empty and not matrix.any(axis=0).all():
        raise ValueError(
            f"{bands} bands are too many for an fft_length of {fft_length} at {sample_rate} Hz, some hold no "
            "frequency: choose fewer, or a longer one"
        )
    return matrix.astype(np.float32)


def cosine_transform(bands: int, coefficients: int) -> np.ndarray:
    """The first columns of the orthonormal DCT-II, `(bands, coefficients)` float32."""
    angle = np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(coefficients))
    matrix = np.sqrt(2.0 / bands) * np.cos(angle)
    matrix[:, 0] /= np.sqrt(2.0)
    return matrix.astype(np.float32)


def _triangles(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0.0, np.minimum((points - low) / (middle - low), (high - points) / (high - middle)))


def _hz_to_htk(hz: float | np.ndarray) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


# Slaney's scale: straight up to 1000 Hz = 15 mel, and then 27 mel for each factor of 6.4.
_SLOPE, _CORNER_HZ, _CORNER_MEL, _LOG_STEP = 200.0 / 3.0, 1000.0, 15.0, np.log(6.4) / 27.0


def _hz_to_slaney(hz: float) -> float:
    return hz / _SLOPE if hz < _CORNER_HZ else _CORNER_MEL + np.log(hz / _CORNER_HZ) / _LOG_STEP


def _slaney_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < _CORNER_MEL, mel * _SLOPE, _CORNER_HZ * np.exp((mel - _CORNER_MEL) * _LOG_STEP))
