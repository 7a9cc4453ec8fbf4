"""The compiled loop over steps."""

from collections.abc import Callable, Iterator

import tensorflow as tf

from components.trainer import gradient_cache, step
from components.trainer.input_pipeline import Batch

CompiledLoop = Callable[[Iterator[Batch], tf.Tensor], tuple[step.Logs, tf.Tensor]]
"""Takes an iterator over the input and a number of steps, int32 (). Returns `(logs, finite_steps)`, see `make_loop`."""


def times(training_step: step.TrainingStep, *, caching: bool | None = None) -> int:
    """Returns how many times the loop of `make_loop` takes the micro-batches of each step."""
    return 2 if _caches(training_step, caching) else 1


def make_loop(training_step: step.TrainingStep, *, caching: bool | None = None) -> CompiledLoop:
    """Builds the compiled loop, `loop(iterator, steps) -> (logs, finite_steps)`.

    With gradient caching the iterator gives all micro-batches of a step twice, see `times`. The loop returns:

    * `logs`: means over the steps, by the names in `step.LOGS`: the loss of a pair, the logs of
      `models.contrastive.nt_xent_with_logs`, the norms of gradient, weights and update, and the seconds that a step
      waited for its input.
    * `finite_steps`: the number of steps before the first one whose logs are not all finite, int32 (). If all are, it
      is the number of steps.

    Args:
        training_step: The step.
        caching: Whether to cache gradients. By default only if a replica's share of a batch has several micro-batches.
    """
    make_step = gradient_cache.make_step if _caches(training_step, caching) else step.make_step
    take_step = make_step(training_step)

    @tf.function
    def loop(iterator: Iterator[Batch], steps: tf.Tensor) -> tuple[step.Logs, tf.Tensor]:
        total, finite_steps = tf.zeros(len(step.LOGS)), steps
        for i in tf.range(steps):
            logs = tf.stack([tf.cast(value, tf.float32) for value in take_step(iterator)])
            is_finite = tf.reduce_all(tf.math.is_finite(logs))
            finite_steps = tf.where(is_finite, finite_steps, tf.minimum(finite_steps, i))
            total += logs
        means = tf.unstack(total / tf.cast(steps, tf.float32))
        return dict(zip(step.LOGS, means, strict=True)), finite_steps

    return loop


def _caches(training_step: step.TrainingStep, caching: bool | None) -> bool:
    return training_step.micro_batches > 1 if caching is None else caching
