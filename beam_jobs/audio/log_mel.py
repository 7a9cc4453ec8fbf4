"""Computes log-mel spectrograms with NumPy, for statistics and pictures, so that workers do not need TensorFlow.

The parameters are those of the models' log-mel front end: periodic Hann windows of 20 ms every 10 ms, an FFT of 512
points, the power spectrum, 80 HTK mel bands between 60 and 7800 Hz with a peak of 1, and the natural logarithm of the
energy plus 1e-6.
"""

import functools

import numpy as np
import scipy.fft

from beam_jobs.audio import pcm
from models import filters

BANDS = 80
FLOOR = 1e-6
"""The energy added to each band before the logarithm."""

_WINDOW_S = 0.02
_HOP_S = 0.01
_FFT_SIZE = 512
_LOW_HZ = 60.0
_HIGH_HZ = 7800.0


def log_mel(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Returns the log-mel energies of one clip.

    Args:
        audio: int16, or floating point in [-1, 1], (samples,). A clip shorter than a window is padded with zeros.
        sample_rate: In Hz. Bands above half of it have no energy.

    Returns:
        float32 (frames, 80), the natural logarithm of the energies, with at least one frame.
    """
    length = round(_WINDOW_S * sample_rate)
    hop = round(_HOP_S * sample_rate)
    fft_size = max(_FFT_SIZE, 1 << (length - 1).bit_length())
    samples = pcm.to_float(audio)
    samples = np.pad(samples, (0, max(0, length - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    power = np.abs(scipy.fft.rfft(frames * window, fft_size)) ** 2
    return np.log(power @ mel_matrix(sample_rate=sample_rate, fft_size=fft_size) + np.float32(FLOOR))


@functools.lru_cache(maxsize=8)
def mel_matrix(*, sample_rate: int, fft_size: int) -> np.ndarray:
    """Returns the HTK mel filters, float32 (fft_size // 2 + 1, 80); see `models.filters.filter_bank`."""
    return filters.filter_bank(
        "htk",
        bands=BANDS,
        fft_length=fft_size,
        sample_rate=sample_rate,
        low_hz=_LOW_HZ,
        high_hz=_HIGH_HZ,
        allow_empty=True,
    )
