"""The clips of a call, one after the other in one tensor. Batches of equal and of different lengths take one path."""

from typing import NamedTuple

import tensorflow as tf


class Clips(NamedTuple):
    """At least one clip.

    Attributes:
        samples: float32 (samples of all clips,), in [-1, 1].
        lengths: int64 (clips,), the number of samples of each, at least 1.
    """

    samples: tf.Tensor
    lengths: tf.Tensor


def from_audio(audio: tf.Tensor, *, name: str) -> tuple[Clips, tf.Tensor]:
    """Checks the audio of a call, with messages that the caller of a server gets to see.

    Args:
        audio: float32 (batch, samples).
        name: Name of the input, for the messages.

    Returns:
        The clips, and how many of them the caller gave. Networks fail on an empty batch, so it becomes a silent clip,
        whose results the caller must not get.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs: the audio has another number of dimensions, or clips
            without samples.
    """
    shape = tf.shape(audio)
    # Counted, because TensorFlow believes the signature and takes the rank from there when it optimizes the graph.
    dimensions = tf.size(tf.where(shape >= 0))
    is_batch = require(
        dimensions == 2,
        f"{name} must have two dimensions, (batch, samples); a single clip is a batch of one; its shape is",
        shape,
    )
    with tf.control_dependencies([is_batch]):
        has_samples = require(
            tf.logical_or(shape[0] == 0, shape[-1] > 0),
            f"{name} has no samples; every clip needs at least one; its shape is",
            shape,
        )
    with tf.control_dependencies([has_samples]):
        batch, samples = tf.identity(shape[0]), tf.identity(shape[-1])
    # All that follows takes the shape from here, so that nothing else fails before the checks.
    flat = tf.reshape(audio, (-1,))
    clips, samples = tf.maximum(batch, 1), tf.maximum(samples, 1)
    # Only if needed, because it copies the audio.
    flat = tf.cond(batch == 0, lambda: tf.zeros((samples,)), lambda: flat)
    return Clips(flat, tf.fill((clips,), tf.cast(samples, tf.int64))), batch


def require(condition: tf.Tensor, *message: str | tf.Tensor) -> tf.Operation:
    """Returns an operation that raises an InvalidArgumentError with the message unless the condition holds.

    `tf.debugging.Assert` does the same, but makes two functions for each check, which take time to trace and to load.
    """
    return tf.raw_ops.Assert(condition=condition, data=[tf.convert_to_tensor(part) for part in message])
