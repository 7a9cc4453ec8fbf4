"""Trains a contender for a given processor time."""

import dataclasses
import math
import time

import tensorflow as tf

from components.trainer import optimizers
from components.trainer.config import TrainerConfig
from tests.benchmarks.rivals.methods import Method

_LAST_STEPS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """How a training went.

    Attributes:
        steps: Number of steps.
        cpu_minutes: Minutes of processor time, over all cores.
        minutes: Minutes by the clock.
        loss: Mean loss of the last steps.
    """

    steps: int
    cpu_minutes: float
    minutes: float
    loss: float


def train(method: Method, config: TrainerConfig, *, cpu_minutes: float) -> Trained:
    """Trains until the processor time is used up, on all threads of this process and the input pipeline's together.

    The learning rate follows the Trainer's schedule over the share of the time that is used, not over steps. The first
    step is not timed, because it traces the graph.

    Args:
        method: Trains the model.
        config: Has the schedule.
        cpu_minutes: The time.

    Raises:
        SystemExit: The loss is not finite.
    """
    schedule, rate = optimizers.make_schedule(config), tf.Variable(config.learning_rate, trainable=False)
    method.optimizer.learning_rate = lambda: rate  # A function, so that the compiled step reads the variable.
    rate.assign(schedule(0))
    losses = [method.step()]
    started, started_cpu = time.monotonic(), time.process_time()
    used = 0.0
    while used < 60 * cpu_minutes:
        rate.assign(schedule(used / (60 * cpu_minutes) * config.steps))
        losses.append(method.step())
        if not math.isfinite(losses[-1]):
            raise SystemExit(f"The loss is {losses[-1]} after {len(losses)} steps: --set a lower learning_rate.")
        used = time.process_time() - started_cpu
    last = losses[-_LAST_STEPS:]
    return Trained(
        steps=len(losses),
        cpu_minutes=used / 60,
        minutes=(time.monotonic() - started) / 60,
        loss=sum(last) / len(last),
    )
