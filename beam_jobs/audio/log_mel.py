"""The log-mel spectrogram in NumPy, for statistics and pictures: no TensorFlow, so a worker stays light.

The same parameters as the models' log-mel front end: 20 ms periodic Hann, 10 ms hop, FFT of 512, power, 80 HTK mel
bands of 60-7800 Hz with peak 1, natural log of the energy plus 1e-6.
"""

import functools

import numpy as np
import scipy.fft

from beam_jobs.audio import pcm
from models import filters

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
    samples = pcm.to_float(audio)
    samples = np.pad(samples, (0, max(0, length - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    power = np.abs(scipy.fft.rfft(frames * window, fft_size)) ** 2
    return np.log(power @ mel_matrix(sample_rate=sample_rate, fft_size=fft_size) + np.float32(FLOOR))


@functools.lru_cache(maxsize=8)
def mel_matrix(*, sample_rate: int, fft_size: int) -> np.ndarray:
    """Returns the HTK mel filters, float32 (fft_size // 2 + 1, 80); see `models.filters.triangles`."""
    return filters.triangles(
        "htk",
        bands=BANDS,
        fft_length=fft_size,
        sample_rate=sample_rate,
        low_hz=_LOW_HZ,
        high_hz=_HIGH_HZ,
        allow_empty=True,
    )
