"""Converts 16-bit PCM to floating point."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

FULL_SCALE = 32768.0
"""The magnitude of the most negative int16 sample, which becomes -1."""

LARGEST = 32.0
"""A magnitude that no sound has in which full scale is 1, see `resample.check_range`.

It is 30 dB above full scale. No recorder leaves so much room, and a sound in the range of integers that stays below it
would be silent.
"""

Samples = TypeVar("Samples", np.ndarray, "tf.Tensor")


def to_float(samples: Samples) -> Samples:
    """Converts int16 samples to float32 in [-1, 1). Floating-point samples only become float32.

    Args:
        samples: NumPy array or TensorFlow tensor of any shape.

    Returns:
        float32, of the same kind and shape.
    """
    is_int16 = samples.dtype == np.int16
    if isinstance(samples, np.ndarray):
        samples = samples.astype(np.float32)
    else:
        # Imported here because the decoder's child process runs without TensorFlow.
        import tensorflow as tf

        samples = tf.cast(samples, tf.float32)
    return samples / FULL_SCALE if is_int16 else samples
