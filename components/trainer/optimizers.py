"""Builds the optimizer and its learning rate schedule from a config."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
from keras import ops

from components.trainer.config import TrainerConfig
from models.dual import DualEncoder
from models.typing import Tensor


def make(
    config: TrainerConfig, *, variables: Sequence[keras.Variable], factors: Sequence[float] | None = None
) -> keras.Optimizer:
    """Returns the optimizer, built for the given variables. Call it in the strategy's scope.

    Weight decay does not apply to norms and biases, i.e. to variables of one dimension. Adam's is decoupled (Loshchilov
    & Hutter 2019). That of LAMB and LARS is part of the step whose length they choose, as in their papers.

    Args:
        config: The Trainer's config.
        variables: What it trains.
        factors: Multiply the learning rate of each variable; None is 1 for all. They multiply the weight decay of LAMB
            and LARS, too, and not that of Adam.
    """
    optimizers = {"adam": keras.optimizers.Adam, "lamb": Lamb, "lars": Lars}
    optimizer = optimizers[config.optimizer](
        learning_rate=make_schedule(config),
        weight_decay=config.weight_decay or None,
        use_ema=config.ema > 0,
        ema_momentum=config.ema,
    )
    if config.optimizer == "adam":
        optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
    optimizer.build(variables)
    if factors is not None and set(factors) != {1.0}:
        _multiply_learning_rates(optimizer, factors)
    return optimizer


def learning_rate_factors(config: TrainerConfig, *, model: DualEncoder) -> list[float]:
    """Returns the factor of the learning rate of each trainable variable of a model: that of its branch, or 1."""
    # If both branches share an encoder, there is one name. `TrainerConfig` checks that their factors are equal then.
    of_embedding = dict(zip(model.embedding_names, config.branch_learning_rates, strict=False))
    of_variable = {
        id(variable): factor
        for name, factor in of_embedding.items()
        for variable in model.encoders[name].trainable_variables
    }
    return [of_variable.get(id(variable), 1.0) for variable in model.trainable_variables]


def _multiply_learning_rates(optimizer: keras.Optimizer, factors: Sequence[float]) -> None:
    """Makes an optimizer use the learning rate times a factor for each variable.

    Keras has one learning rate for all variables. But it calls `update_step` for each variable in turn.
    """
    update_step = optimizer.update_step

    def with_factor(gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        factor = factors[optimizer._get_variable_index(variable)]
        update_step(gradient, variable, ops.cast(learning_rate, "float32") * factor)

    optimizer.update_step = with_factor


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

    Variables of one dimension get the steps of SGD, without weight decay.

    Args:
        trust: Ratio of a kernel's step to its norm, before the learning rate.
        weight_decay: beta of the paper: the gradient is g + beta w, and the trust ratio |w| / (|g| + beta |w|).
        momentum: Momentum of SGD.
        **kwargs: Passed on to `keras.optimizers.SGD`.
    """

    def __init__(self, *, trust: float = 0.001, weight_decay: float | None = None, momentum: float = 0.9, **kwargs):
        super().__init__(momentum=momentum, **kwargs)
        self.trust, self.decay = trust, weight_decay or 0.0

    def update_step(self, gradient, variable, learning_rate) -> None:  # noqa: ANN001 (Keras' signature)
        """Updates one variable."""
        if len(variable.shape) > 1:
            weight_norm = _norm(variable)
            ratio = _ratio(weight_norm, _norm(gradient) + self.decay * weight_norm, factor=self.trust)
            gradient = ratio * (gradient + self.decay * variable)
        super().update_step(gradient, variable, learning_rate)


class Lamb(keras.optimizers.Lamb):
    """LAMB: Adam, whose step for each variable is as long as the variable's norm (You et al. 2020).

    Without weight decay it is `keras.optimizers.Lamb`, which decays the weights apart from the step.

    Args:
        weight_decay: lambda of the paper: the step r + lambda w gets the length of w, where r is Adam's step. Variables
            of one dimension have no decay.
        **kwargs: Passed on to `keras.optimizers.Lamb`.
    """

    def __init__(self, *, weight_decay: float | None = None, **kwargs):
        super().__init__(**kwargs)
        self.decay = weight_decay or 0.0

    def update_step(self, gradient, variable, learning_rate) -> None:  # noqa: ANN001 (Keras' signature)
        """Updates one variable."""
        step = ops.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (1.0 - self.beta_1) * (gradient - m))
        self.assign_add(v, (1.0 - self.beta_2) * (ops.square(gradient) - v))
        mean, mean_square = m / (1.0 - self.beta_1**step), v / (1.0 - self.beta_2**step)
        update = mean / (ops.sqrt(mean_square) + self.epsilon)
        if len(variable.shape) > 1:
            update = update + self.decay * variable
        ratio = _ratio(_norm(variable), _norm(update))
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * ratio * update)


def _norm(x: Tensor) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(x)))


def _ratio(weight_norm: Tensor, step_norm: Tensor, *, factor: float = 1.0) -> Tensor:
    """Returns the trust ratio, `factor` times a weight's norm over that of its step; 1 if either is 0."""
    is_usable = ops.logical_and(weight_norm > 0, step_norm > 0)
    return ops.where(is_usable, factor * weight_norm / ops.maximum(step_norm, 1e-12), 1.0)


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
