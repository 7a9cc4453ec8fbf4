"""What changes over the steps of a training besides the learning rate, which the optimizer changes.

Each schedule is a function of the number of steps done, an int64 scalar.
"""

from collections.abc import Callable

import tensorflow as tf

from components.trainer.config import TrainerConfig


def temperature(config: TrainerConfig) -> Callable[[tf.Tensor], tf.Tensor | float]:
    """Returns the schedule of tau, the temperature of the loss.

    tau changes linearly from `config.initial_temperature`, if there is one, and stays at `config.temperature`.
    """
    if config.initial_temperature is None:
        return lambda steps_done: config.temperature
    difference = config.initial_temperature - config.temperature
    return lambda steps_done: (
        config.initial_temperature - difference * _share_done(steps_done, steps=config.temperature_steps)
    )


def mixing_share(config: TrainerConfig) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Returns the schedule of how strongly clips are mixed, see `DualEncoder.weaken_mixing`; None if it never changes.

    The share grows linearly from 0, and is 1 from `config.mixing_steps` on.
    """
    if not config.mixing_steps:
        return None
    return lambda steps_done: _share_done(steps_done, steps=config.mixing_steps)


def _share_done(steps_done: tf.Tensor, *, steps: int) -> tf.Tensor:
    return tf.minimum(tf.cast(steps_done, tf.float32) / steps, 1.0)
