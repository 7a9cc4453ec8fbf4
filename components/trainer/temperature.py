"""The temperature of the loss over the steps of a training."""

from collections.abc import Callable

import tensorflow as tf

from components.trainer.config import TrainerConfig


def make_schedule(config: TrainerConfig) -> Callable[[tf.Tensor], tf.Tensor | float]:
    """Returns a function from the number of steps done, an int64 scalar, to tau.

    tau changes linearly from `config.initial_temperature`, if there is one, and stays at `config.temperature`.
    """
    if config.initial_temperature is None:
        return lambda steps_done: config.temperature
    difference = config.initial_temperature - config.temperature

    def schedule(steps_done: tf.Tensor) -> tf.Tensor:
        done = tf.minimum(tf.cast(steps_done, tf.float32) / config.temperature_steps, 1.0)
        return config.initial_temperature - difference * done

    return schedule
