"""The compiled loop over steps."""

from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from components.trainer import gradient_cache, step
from components.trainer.input_pipeline import Batch


def make_loop(
    setup: step.Setup, *, caching: bool | None = None
) -> Callable[[Sequence[Iterator[Batch]], tf.Tensor], tuple[step.Logs, tf.Tensor]]:
    """Builds the compiled inner loop, `loop(iterators, steps) -> (logs, bad)`.

    It takes two iterators over the same micro-batches, or one if a batch is embedded at once. `logs` are the means of
    `step.LOGS` over the steps: the loss of a pair, what `models.contrastive.nt_xent_with_logs` says of it, the norms of
    gradient, weights and update, and the seconds that a step waited for its input. `bad` counts the steps ahead of the
    first one with a loss, a gradient or weights that are not finite; if there is none, it is `steps`.

    Args:
        setup: What is trained, and how.
        caching: Whether to cache gradients; None for where a batch has several parts.
    """
    caching = setup.micro_batches > 1 if caching is None else caching
    one = (gradient_cache if caching else step).make_step(setup)

    @tf.function
    def loop(iterators: Sequence[Iterator[Batch]], steps: tf.Tensor) -> tuple[step.Logs, tf.Tensor]:
        total, bad = tf.zeros(len(step.LOGS)), steps
        for i in tf.range(steps):
            logs = tf.stack([tf.cast(value, tf.float32) for value in one(iterators)])
            bad = tf.where(tf.reduce_all(tf.math.is_finite(logs)), bad, tf.minimum(bad, i))
            total += logs
        return dict(zip(step.LOGS, tf.unstack(total / tf.cast(steps, tf.float32)), strict=True)), bad

    return loop
