"""Standardizes features for the probes."""

import numpy as np

_MIN_DEVIATION = 1e-8


class Standardizer:
    """Scales features to zero mean and unit variance, as measured on the training features.

    Constant features become zero.

    Args:
        x: The training features, (subclips, dim).
    """

    def __init__(self, x: np.ndarray):
        deviation = x.std(axis=0, dtype=np.float64)
        self._mean = x.mean(axis=0, dtype=np.float64)
        self._scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > _MIN_DEVIATION)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns standardized features, float32 of the shape of `x`."""
        return ((x - self._mean) * self._scale).astype(np.float32)
