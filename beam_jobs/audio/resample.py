"""Resamples decoded audio and converts it to 16 bits."""

import numpy as np
import soxr

from beam_jobs.audio.pcm import FULL_SCALE
from beam_jobs.audio.sound import DecodeError, Sound


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
    samples = sound.samples
    if not np.isfinite(samples).all():
        raise DecodeError("non-finite", "holds NaN or infinite samples")
    if sound.rate != sample_rate:
        samples = soxr.resample(samples, sound.rate, sample_rate, quality="HQ")
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
