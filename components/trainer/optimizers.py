"""The optimiser and its schedule from a config."""

from collections.abc import Sequence

import keras
from keras import ops

from components.trainer.config import TrainerConfig


def make(config: TrainerConfig, *, variables: Sequence[keras.Variable]) -> keras.Optimizer:
    """Adam as in the paper, or what a batch of tens of thousands needs, built; call it in the strategy's scope.

    Weight decay is decoupled (Loshchilov & Hutter 2019) and leaves out norms and biases, which are one-dimensional.
    """
    kind = {"adam": keras.optimizers.Adam, "lamb": keras.optimizers.Lamb, "lars": Lars}[config.optimizer]
    optimizer = kind(
        learning_rate=make_schedule(config),
        weight_decay=config.weight_decay or None,
        use_ema=config.ema > 0,
        ema_momentum=config.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
    optimizer.build(variables)
    return optimizer


def make_schedule(config: TrainerConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """Cosine decay over all steps (paper, section 3), after a linear warm-up if one is asked for."""
    warmup = config.warmup_steps
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else config.learning_rate,
        decay_steps=config.steps - warmup,
        alpha=config.final_learning_rate / config.learning_rate,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


class Lars(keras.optimizers.SGD):
    """SGD with momentum, each kernel's step a fixed share of its own norm (You et al. 2017).

    Args:
        trust: That share, before the learning rate.
        momentum: Of SGD.
        kwargs: See `keras.optimizers.SGD`.
    """

    def __init__(self, *, trust: float = 0.001, momentum: float = 0.9, **kwargs):
        super().__init__(momentum=momentum, **kwargs)
        self.trust = trust

    def update_step(self, gradient, variable, learning_rate) -> None:  # noqa: ANN001 (Keras')
        """One variable's update."""
        if len(variable.shape) > 1:
            weights, slope = (ops.sqrt(ops.sum(ops.square(x))) for x in (variable, gradient))
            usable = ops.logical_and(weights > 0, slope > 0)
            gradient = gradient * ops.where(usable, self.trust * weights / ops.maximum(slope, 1e-12), 1.0)
        super().update_step(gradient, variable, learning_rate)
