"""Builds the optimizer and its learning rate schedule from a config."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
from keras import ops

from components.trainer.config import TrainerConfig


def make(config: TrainerConfig, *, variables: Sequence[keras.Variable]) -> keras.Optimizer:
    """Returns the optimizer, built for the given variables. Call it in the strategy's scope.

    Weight decay is decoupled (Loshchilov & Hutter 2019). It does not apply to norms and biases, i.e. to variables of
    one dimension.
    """
    optimizers = {"adam": keras.optimizers.Adam, "lamb": keras.optimizers.Lamb, "lars": Lars}
    optimizer = optimizers[config.optimizer](
        learning_rate=make_schedule(config),
        weight_decay=config.weight_decay or None,
        use_ema=config.ema > 0,
        ema_momentum=config.ema,
    )
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
    optimizer.build(variables)
    return optimizer


def make_schedule(config: TrainerConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a cosine decay over all steps (paper, section 3), after the linear warm-up if there is one."""
    initial, warmup_target = config.learning_rate, None
    if config.warmup_steps:
        initial, warmup_target = 0.0, config.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        initial,
        decay_steps=config.steps - config.warmup_steps,
        alpha=config.final_learning_rate / config.learning_rate,
        warmup_target=warmup_target,
        warmup_steps=config.warmup_steps,
    )


class Lars(keras.optimizers.SGD):
    """LARS: SGD with momentum, whose step for each kernel is proportional to the kernel's norm (You et al. 2017).

    Variables of one dimension get the steps of SGD.

    Args:
        trust: Ratio of a kernel's step to its norm, before the learning rate.
        momentum: Momentum of SGD.
        **kwargs: Passed on to `keras.optimizers.SGD`.
    """

    def __init__(self, *, trust: float = 0.001, momentum: float = 0.9, **kwargs):
        super().__init__(momentum=momentum, **kwargs)
        self.trust = trust

    def update_step(self, gradient, variable, learning_rate) -> None:  # noqa: ANN001 (Keras' signature)
        """Updates one variable."""
        if len(variable.shape) > 1:
            weight_norm, gradient_norm = (ops.sqrt(ops.sum(ops.square(x))) for x in (variable, gradient))
            is_usable = ops.logical_and(weight_norm > 0, gradient_norm > 0)
            ratio = self.trust * weight_norm / ops.maximum(gradient_norm, 1e-12)
            gradient = gradient * ops.where(is_usable, ratio, 1.0)
        super().update_step(gradient, variable, learning_rate)


class AveragedWeights:
    """Swaps the moving averages of the weights into the model and back.

    Args:
        optimizer: Keeps the averages, if its `use_ema` is set. Otherwise nothing is swapped.
        variables: The variables that it trains.

    Attributes:
        are_active: Whether the model has the averages in place of its weights.
    """

    def __init__(self, optimizer: keras.Optimizer, *, variables: Sequence[keras.Variable]):
        self._optimizer, self._variables = optimizer, variables
        self.are_active = False

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Gives the model the averages within the `with` block."""
        if not self._optimizer.use_ema:
            yield
            return
        weights = [variable.numpy() for variable in self._variables]
        self.are_active = True
        try:
            self._optimizer.finalize_variable_values(self._variables)
            yield
        finally:
            for variable, value in zip(self._variables, weights, strict=True):
                variable.assign(value)
            self.are_active = False
