"""How strongly clips are mixed over the steps of a training."""

from collections.abc import Callable

import tensorflow as tf

from components.trainer.config import TrainerConfig


def make_schedule(config: TrainerConfig) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Returns a function from the number of steps done, an int64 scalar, to the share of mixing; None if it is fixed.

    The share grows linearly from 0, and is 1 from `config.mixing_steps` on.
    """
    if not config.mixing_steps:
        return None
    return lambda steps_done: tf.minimum(tf.cast(steps_done, tf.float32) / config.mixing_steps, 1.0)
