"""Resamples decoded audio and converts it to 16 bits."""

import numpy as np
import soxr

from beam_jobs.audio.pcm import FULL_SCALE
from beam_jobs.audio.sound import DecodeError, Sound

_QUALITY = "HQ"


def to_int16(sound: Sound, *, sample_rate: int) -> np.ndarray:
    """Resamples with soxr's HQ recipe, rounds to 16 bits and saturates values beyond their range.

    Args:
        sound: Mono audio.
        sample_rate: The sample rate of the result in Hz.

    Returns:
        int16 (samples,).

    Raises:
        DecodeError: The audio holds NaN or infinity.
    """
    samples = _checked(sound.samples)
    if sound.rate != sample_rate:
        samples = soxr.resample(samples, sound.rate, sample_rate, quality=_QUALITY)
    return _rounded(samples)


class Stream:
    """Resamples the blocks of a recording one by one, to the same samples as `to_int16` of the whole.

    Args:
        rate: The sample rate of the blocks in Hz.
        sample_rate: The sample rate of the result in Hz.
    """

    def __init__(self, rate: int, *, sample_rate: int):
        self._soxr: soxr.ResampleStream | None = None
        if rate != sample_rate:
            self._soxr = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality=_QUALITY)

    def add(self, block: np.ndarray, *, is_last: bool = False) -> np.ndarray:
        """Returns what the next block adds to the result, int16 (samples,). The filter holds back the newest samples.

        Args:
            block: float32 (samples,), possibly empty.
            is_last: Whether no block follows.

        Raises:
            DecodeError: as `to_int16` does.
        """
        samples = _checked(block)
        if self._soxr is not None:
            samples = self._soxr.resample_chunk(np.ascontiguousarray(samples), last=is_last)
        return _rounded(samples)


def _checked(samples: np.ndarray) -> np.ndarray:
    if not np.isfinite(samples).all():
        raise DecodeError("non-finite", "holds NaN or infinite samples")
    return samples


def _rounded(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
