"""How loud a clip is."""

import numpy as np

SILENT_DBFS = -60.0
"""Clips of a lower level count as silent."""
FLOOR_DBFS = -100.0


def level_dbfs(audio: np.ndarray) -> float:
    """RMS level of int16 samples relative to a full-scale square wave, in dB, not below -100."""
    return decibels(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))))


def clipped_share(audio: np.ndarray) -> float:
    """Share of int16 samples at either end of the range."""
    return float(np.mean((audio >= 32767) | (audio <= -32767)))


def magnitude(audio: np.ndarray) -> int:
    """Largest magnitude of int16 samples, up to 32768."""
    return max(int(audio.max()), -int(audio.min()))


def decibels(magnitude: float) -> float:
    """A magnitude of up to 32768 relative to that, in dB, not below -100."""
    return max(FLOOR_DBFS, 20 * float(np.log10(max(magnitude, 1e-9) / 32768.0)))
