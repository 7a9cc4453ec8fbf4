"""The Trainer's steps on JAX, from clips in the memory of the accelerator."""

import dataclasses
import functools
import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from components.trainer import optimizers
from components.trainer.config import TrainerConfig
from models import contrastive
from models.dual import DualEncoder
from models.objective import OBJECTIVES

_STEPS_PER_CALL = 500
_INT16 = 32768.0
_NOT_BUILT: Mapping[str, object] = {
    "branch_learning_rates": (1.0, 1.0),
    "ema": 0.0,
    "initial_model": None,
    "initial_temperature": None,
    "micro_batch": None,
    "mixing_steps": 0,
    "pairs_per_clip": 1,
    "patience": None,
    "precision": "auto",
}
"""Fields of the Trainer's config that nothing here reads -> their defaults."""


class State(NamedTuple):
    """What a step changes: the values of Keras' variables, in Keras' order."""

    trainable: list[jax.Array]
    non_trainable: list[jax.Array]
    optimizer: list[jax.Array]
    loss: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """How a training went.

    Attributes:
        steps: Number of steps.
        seconds: Time of the steps. The first training of a `Training` compiles in it.
        loss: Of the last step.
    """

    steps: int
    seconds: float
    loss: float


class Training:
    """Trains one model after another, compiled once.

    Order of the clips, crops, augmentations, loss, optimizer and schedule are the Trainer's, with other random numbers.
    The last weights are kept, not the best by a probe.

    Args:
        config: What to train. Its `steps` only give the shape of the learning rate's schedule.
        clips: int16 `(clips, samples)`, at least as many as a batch and as long as a crop.

    Raises:
        ValueError: The config asks for what is not built here.
    """

    def __init__(self, config: TrainerConfig, clips: np.ndarray):
        changed = [name for name, default in _NOT_BUILT.items() if getattr(config, name) != default]
        if changed:
            raise ValueError(f"{', '.join(changed)}: not built here, leave the default")
        self._config = config
        self.model = DualEncoder(config.model, seed=config.seed)
        self._clips = jnp.asarray(clips)
        self._schedule, self._rate = optimizers.make_schedule(config), _Rate()
        self._optimizer = optimizers.make(config, variables=self.model.trainable_variables)
        self._optimizer.learning_rate = self._rate  # So that one compiled step serves trainings of any length.
        self._run = jax.jit(self._run_steps, donate_argnums=0)

    def train(self, *, seed: int, steps: int) -> Trained:
        """Trains `model` from fresh weights.

        Args:
            seed: Of the weights and of all that is drawn.
            steps: Number of steps.

        Raises:
            FloatingPointError: The loss is not finite.
        """
        keras.utils.set_random_seed(seed + 1)
        fresh = DualEncoder(self._config.model, seed=seed)
        optimizer = optimizers.make(self._config, variables=fresh.trainable_variables)
        state = State(
            trainable=[variable.value for variable in fresh.trainable_variables],
            non_trainable=[variable.value for variable in fresh.non_trainable_variables],
            optimizer=[variable.value for variable in optimizer.variables],
            loss=jnp.zeros(()),
        )
        started = time.monotonic()
        for first in range(0, steps, _STEPS_PER_CALL):
            last = min(first + _STEPS_PER_CALL, steps)
            state = self._run(state, self._clips, jax.random.key(seed), first, last, steps)
            if not math.isfinite(float(state.loss)):
                raise FloatingPointError(f"the loss is {state.loss} after {last} steps")
        for variables, values in (
            (self.model.trainable_variables, state.trainable),
            (self.model.non_trainable_variables, state.non_trainable),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return Trained(steps=steps, seconds=time.monotonic() - started, loss=float(state.loss))

    def _run_steps(self, state: State, clips: jax.Array, key: jax.Array, first: int, last: int, steps: int) -> State:
        """Takes the steps `first` to `last` - 1 of `steps`."""

        def step(number: jax.Array, state: State) -> State:
            order, of_step = jax.random.split(key)
            crops, draws = self.batch(clips, number, order, jax.random.fold_in(of_step, number))
            (loss, non_trainable), gradients = jax.value_and_grad(self.loss, has_aux=True)(
                state.trainable, state.non_trainable, crops, draws
            )
            self._rate.now = self._schedule(number / steps * self._config.steps)
            trainable, optimizer_values = self._optimizer.stateless_apply(state.optimizer, gradients, state.trainable)
            return State(trainable, non_trainable, optimizer_values, loss)

        return jax.lax.fori_loop(first, last, step, state)

    def batch(
        self, clips: jax.Array, number: jax.Array, order: jax.Array, of_step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the crops `(2, batch, crop_samples)` and the draws of a step.

        Each pass visits the clips in an order of its own, and leaves out what remains after its last whole batch.
        """
        batch, (count, samples) = self._config.batch_size, clips.shape
        epoch, place = jnp.divmod(number, count // batch)
        numbers = jax.random.permutation(jax.random.fold_in(order, epoch), count)
        numbers = jax.lax.dynamic_slice(numbers, (place * batch,), (batch,))
        for_starts, for_draws = jax.random.split(of_step)
        crop = self.model.crop_samples
        starts = jax.random.randint(for_starts, (2, batch), 0, samples - crop + 1)
        cut = functools.partial(jax.lax.dynamic_slice, clips, slice_sizes=(1, crop))
        crops = jax.vmap(jax.vmap(lambda clip, start: cut((clip, start))[0]), in_axes=(None, 0))(numbers, starts)
        width = len(OBJECTIVES[self._config.objective].orders) * self.model.draws_per_example
        return crops / _INT16, jax.random.uniform(for_draws, (batch, width))

    def loss(
        self, trainable: list[jax.Array], non_trainable: list[jax.Array], crops: jax.Array, draws: jax.Array
    ) -> tuple[jax.Array, list[jax.Array]]:
        objective, width = OBJECTIVES[self._config.objective], self.model.draws_per_example
        projections: list[jax.Array] = []
        for number, (for_a, for_b) in enumerate(objective.orders):
            projected, non_trainable = self.model.stateless_call(
                trainable,
                non_trainable,
                (crops[for_a], crops[for_b]),
                training=True,
                draws=draws[:, number * width : (number + 1) * width],
            )
            projections += projected
        nt_xent = functools.partial(
            contrastive.nt_xent, temperature=self._config.temperature, decoupled=self._config.decoupled
        )
        losses = [nt_xent(projections[one], projections[other]) for one, other in objective.pairs]
        return jnp.mean(jnp.stack(losses)), non_trainable


class _Rate:
    """A learning rate that Keras asks for while it traces a step."""

    now: jax.Array | float = 0.0

    def __call__(self) -> jax.Array | float:
        return self.now
