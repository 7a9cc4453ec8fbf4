"""The log-mel spectrogram in NumPy, for statistics and pictures: no TensorFlow, so a worker stays light.

The same parameters as the models' log-mel front end: 20 ms periodic Hann, 10 ms hop, FFT of 512, power, 80 HTK mel
bands of 60-7800 Hz with peak 1, natural log of the energy plus 1e-6.
"""

import functools

import numpy as np
import scipy.fft

BANDS = 80
FLOOR = 1e-6
_FFT_SIZE = 512
_LOW_HZ, _HIGH_HZ = 60.0, 7800.0


def log_mel(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Log-mel energies of one clip.

    Args:
        audio: int16 or floating point in [-1, 1], (samples,).
        sample_rate: In Hz; the bands above its half stay at the floor.

    Returns:
        float32 (frames, 80), with one frame where the clip is shorter than a window.
    """
    length, hop = round(0.02 * sample_rate), round(0.01 * sample_rate)
    fft_size = max(_FFT_SIZE, 1 << (length - 1).bit_length())
    samples = to_float(audio)
    samples = np.pad(samples, (0, max(0, length - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    power = np.abs(scipy.fft.rfft(frames * window, fft_size)) ** 2
    return np.log(power @ mel_matrix(sample_rate=sample_rate, fft_size=fft_size) + np.float32(FLOOR))


def to_float(audio: np.ndarray) -> np.ndarray:
    """int16 PCM as float32 in [-1, 1); floating point audio as it is."""
    return audio.astype(np.float32) / 32768.0 if audio.dtype == np.int16 else audio.astype(np.float32)


@functools.lru_cache(maxsize=8)
def mel_matrix(*, sample_rate: int, fft_size: int) -> np.ndarray:
    """HTK triangular filters without area normalisation, triangles on the mel axis, float32 (fft_size // 2 + 1, 80)."""
    edges = np.linspace(_hz_to_mel(_LOW_HZ), _hz_to_mel(_HIGH_HZ), BANDS + 2)
    bins = _hz_to_mel(np.linspace(0.0, sample_rate / 2, fft_size // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _hz_to_mel(frequency: float | np.ndarray) -> np.ndarray:
    return 2595.0 * np.log10(1.0 + np.asarray(frequency) / 700.0)
