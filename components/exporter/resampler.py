"""Resamples within a TensorFlow graph, with a polyphase filter of windowed sincs that is designed when the graph runs.

The filter is the one of soxr's recipe HQ, with which recordings are resampled for training: a sinc under a Kaiser
window that passes all below 0.91 of the lower Nyquist frequency, and nothing above it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# In units of the lower Nyquist frequency, and of samples at twice that frequency. Fitted to soxr's own output.
_PASSBAND_END = 0.91363
_HALF_WIDTH = 98
_BETA = 12.9

_OUTPUTS_PER_BLOCK = 32  # At least; a product with a narrower matrix is slow.
_OUTPUTS_AT_A_TIME = 2**16
_MOST_WEIGHTS = 2**21


class Resampler(NamedTuple):
    """A filter that turns blocks of samples into blocks of resampled ones. All are scalars but the weights.

    Attributes:
        step: int64, input samples from one block to the next.
        reach: int64, input samples before and after those of a block that it depends on.
        weights: float32 (step + 2 * reach, outputs of a block).
    """

    step: tf.Tensor
    reach: tf.Tensor
    weights: tf.Tensor


def can_resample(rate: tf.Tensor, *, sample_rate: int) -> tf.Tensor:
    """Returns whether the filter for a rate is small enough. It is large if the rates have no simple ratio.

    Args:
        rate: int64 scalar, the rate of the input in Hz.
        sample_rate: That of the output.
    """
    outputs, step = _block(rate, sample_rate=sample_rate)
    return outputs * (step + 2 * _reach(rate, sample_rate=sample_rate)) <= _MOST_WEIGHTS


def design(rate: tf.Tensor, *, sample_rate: int) -> Resampler:
    """Returns the filter for a rate; see `can_resample` for the arguments. That for the same rate changes nothing."""
    outputs, step = _block(rate, sample_rate=sample_rate)
    reach = _reach(rate, sample_rate=sample_rate)
    inputs = tf.cast(tf.range(-reach, step + reach), tf.float64)[:, None]
    ratio = tf.cast(rate, tf.float64) / sample_rate
    distance = inputs - tf.cast(tf.range(outputs), tf.float64) * ratio
    is_same = rate == sample_rate
    half = tf.where(is_same, tf.constant(0.5, tf.float64), _HALF_WIDTH * tf.maximum(ratio, 1.0))
    cutoff = tf.where(is_same, tf.constant(1.0, tf.float64), (1 + _PASSBAND_END) / 2 / tf.maximum(ratio, 1.0))
    window = tf.math.bessel_i0(_BETA * tf.sqrt(tf.nn.relu(1 - (distance / half) ** 2)))
    window = tf.where(tf.abs(distance) <= half, window / tf.math.bessel_i0(tf.constant(_BETA, tf.float64)), 0.0)
    return Resampler(step, reach, tf.cast(cutoff * _sinc(cutoff * distance) * window, tf.float32))


def resampled_length(samples: tf.Tensor, rate: tf.Tensor, *, sample_rate: int) -> tf.Tensor:
    """Returns how many samples a sound has after resampling, at least 1, int64."""
    return tf.maximum((2 * samples * sample_rate + rate) // (2 * rate), 1)


def resample(
    read: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    samples: tf.Tensor,
    length: tf.Tensor,
    filter_: Resampler,
    *,
    finish: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tf.Tensor:
    """Resamples a sound piece by piece, in memory for the result. Beyond its ends it is silent.

    Args:
        read: Returns the given number of samples from a given one on, float32; both are int64 scalars.
        samples: int64 scalar, the number of samples of the sound.
        length: int64 scalar, that of the result.
        filter_: The filter.
        finish: Returns what becomes of a piece of the result, in the same shape.

    Returns:
        float32 (length,).
    """
    width = tf.shape(filter_.weights, out_type=tf.int64)
    blocks = (length + width[1] - 1) // width[1]
    at_a_time = tf.maximum(_OUTPUTS_AT_A_TIME // width[1], 1)

    def add(piece: tf.Tensor, pieces: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        block = tf.cast(piece, tf.int64) * at_a_time
        count = tf.minimum(at_a_time, blocks - block)
        first = block * filter_.step - filter_.reach
        needed = (count - 1) * filter_.step + width[0]
        begin, end = tf.clip_by_value(first, 0, samples), tf.clip_by_value(first + needed, 0, samples)
        before = tf.minimum(begin - first, needed)
        sound = tf.pad(read(begin, end - begin), [[before, needed - before - (end - begin)]])
        starts = tf.range(count) * filter_.step
        inputs = tf.gather(sound, starts[:, None] + tf.range(width[0]))
        return piece + 1, pieces.write(piece, finish(tf.reshape(inputs @ filter_.weights, (-1,))))

    pieces = tf.TensorArray(tf.float32, size=0, dynamic_size=True, infer_shape=False, element_shape=(None,))
    _, pieces = tf.while_loop(
        lambda piece, _: tf.cast(piece, tf.int64) * at_a_time < blocks,
        add,
        (tf.constant(0), pieces),
        parallel_iterations=1,
    )
    return pieces.concat()[:length]


def _block(rate: tf.Tensor, *, sample_rate: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the outputs of a block and the inputs from one block to the next: the ratio of the rates, expanded."""
    divisor, _ = tf.while_loop(lambda _, b: b > 0, lambda a, b: (b, a % b), (rate, tf.constant(sample_rate, tf.int64)))
    up, down = sample_rate // divisor, rate // divisor
    repeats = -(-_OUTPUTS_PER_BLOCK // up)
    return up * repeats, down * repeats


def _reach(rate: tf.Tensor, *, sample_rate: int) -> tf.Tensor:
    longest = tf.math.ceil(_HALF_WIDTH * tf.maximum(tf.cast(rate, tf.float64) / sample_rate, 1.0))
    return tf.where(rate == sample_rate, tf.constant(1, tf.int64), tf.cast(longest, tf.int64) + 1)


def _sinc(x: tf.Tensor) -> tf.Tensor:
    """Returns sin(pi x) / (pi x)."""
    safe = tf.where(x == 0, tf.ones_like(x), x)
    return tf.where(x == 0, tf.ones_like(x), tf.sin(math.pi * safe) / (math.pi * safe))
