"""Resamples decoded audio and converts it to 16 bits."""

import math

import numpy as np
import soxr

from beam_jobs.audio.pcm import FULL_SCALE, LARGEST
from beam_jobs.audio.sound import SOXR_QUALITY, DecodeError, Sound, at_rate

_INTEGER_SCALES = (2**15, 2**23, 2**31)

_LEAST_OF_INTEGERS = 64.0
"""Integers of 16 bits below it would be a sound below -54 dBFS; floats that far are rather a sound of another scale."""

_MOST_WITH_ALL_DIGITS = 1e12


def to_int16(sound: Sound, *, sample_rate: int) -> np.ndarray:
    """Resamples with soxr's HQ recipe, rounds to 16 bits and saturates values beyond their range.

    Args:
        sound: Mono audio.
        sample_rate: The sample rate of the result in Hz.

    Returns:
        int16 (samples,).

    Raises:
        DecodeError: The audio holds NaN or infinity, or exceeds full scale by far.
    """
    return _in_16_bits(at_rate(sound.samples, sound.rate, sample_rate=sample_rate))


def _in_16_bits(samples: np.ndarray) -> np.ndarray:
    if not samples.size:
        return samples.astype(np.int16)
    # Resampling keeps what is not finite. Unlike `np.isfinite`, `min` and `max` need no memory.
    largest = max(float(samples.max()), -float(samples.min()))
    check_range(largest)
    scaled = samples * FULL_SCALE
    np.rint(scaled, out=scaled)
    if largest >= 1 - 1 / FULL_SCALE:
        np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled)
    return scaled.astype(np.int16)


class Stream:
    """Resamples the blocks of a recording one by one, to the same samples as `to_int16` of the whole.

    Args:
        rate: The sample rate of the blocks in Hz.
        sample_rate: The sample rate of the result in Hz.
    """

    def __init__(self, rate: int, *, sample_rate: int):
        self._soxr: soxr.ResampleStream | None = None
        if rate != sample_rate:
            self._soxr = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality=SOXR_QUALITY)

    def add(self, block: np.ndarray, *, is_last: bool = False) -> np.ndarray:
        """Returns what the next block adds to the result, int16 (samples,). The filter holds back the newest samples.

        Args:
            block: float32 (samples,), possibly empty.
            is_last: Whether no block follows.

        Raises:
            DecodeError: as `to_int16` does.
        """
        samples = block
        if self._soxr is not None:
            samples = self._soxr.resample_chunk(np.ascontiguousarray(samples), last=is_last)
        return _in_16_bits(samples)


def check_range(largest: float) -> None:
    """Raises DecodeError for a largest magnitude that no sound has in which full scale is 1."""
    if not math.isfinite(largest):
        raise DecodeError("non-finite", "holds NaN or infinite samples")
    if largest > LARGEST:
        shown = f"{largest:,.0f}" if largest < _MOST_WITH_ALL_DIGITS else f"{largest:.3g}"
        scale = next((scale for scale in _INTEGER_SCALES if _LEAST_OF_INTEGERS <= largest <= scale), None)
        way_out = f"divide them by {scale:,}" if scale else "scale them to between -1 and 1"
        raise DecodeError("out of range", f"holds samples up to {shown}, where full scale is 1; {way_out}")


def shorter_than_a_sample(sample_rate: int) -> DecodeError:
    """Returns the error for a few samples at a high rate, of which resampling leaves none."""
    return DecodeError("too short", f"its sound is shorter than one sample at {sample_rate:,} Hz")
