"""Measures how loud 16-bit clips are. 0 dBFS is the level of a full-scale square wave."""

import numpy as np

from beam_jobs.audio.pcm import FULL_SCALE

SILENT_DBFS = -60.0
"""Clips with a lower RMS level count as silent, in dBFS."""

FLOOR_DBFS = -100.0
"""The lowest level that is reported, in dBFS; digital silence has it."""


def level_dbfs(audio: np.ndarray) -> float:
    """Returns the RMS level of a clip in dBFS, at least -100.

    Args:
        audio: int16 (samples,).
    """
    return to_dbfs(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))))


def clipped_share(audio: np.ndarray) -> float:
    """Returns the share of int16 samples that are at full scale, from 0 to 1."""
    return float(np.mean((audio >= 32767) | (audio <= -32767)))


def peak(audio: np.ndarray) -> int:
    """Returns the largest magnitude among int16 samples, from 0 to 32768."""
    return max(int(audio.max()), -int(audio.min()))


def to_dbfs(magnitude: float) -> float:
    """Converts a magnitude on the scale of int16, 0 to 32768, to dBFS, at least -100."""
    return max(FLOOR_DBFS, 20 * float(np.log10(max(magnitude, 1e-9) / FULL_SCALE)))
