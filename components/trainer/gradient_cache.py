"""Steps of a batch that exceeds memory, with the exact gradient of the whole batch (Gao et al. 2021, "GradCache").

A step reads its micro-batches twice. First they are embedded without a tape and their projections kept; the loss of all
of them gives the gradient of each projection. Then every micro-batch is embedded again, with a tape, and pulls that
gradient back to the weights. So memory is that of one micro-batch, the gradients, and 8 bytes a projected number.

What a network does with an example must not depend on the other micro-batches. Group normalisation does not. Batch
normalisation takes its statistics from a micro-batch (of all replicas), not from the batch: training is that of "ghost"
batches, each pass sees the same ones, and the running statistics move once for each. Dropout's masks are drawn part by
part, so they are others than the whole batch's; they and the running statistics are put back after the first pass, so
that the second one repeats it.
"""

from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from components.trainer import step as steps
from components.trainer.input_pipeline import Batch


def make_step(setup: steps.Setup) -> Callable[[Sequence[Iterator[Batch]]], list[tf.Tensor]]:
    """Builds `step(iterators) -> the LOGS`, to be called inside a `tf.function`; both iterators give the same.

    The loops over micro-batches lie outside `Strategy.run`, because MirroredStrategy's collectives (of batch
    normalisation and of the optimizer) cannot lie in a loop inside it.
    """
    with setup.strategy.scope():
        cache = Cache(setup)

    def step(iterators: Sequence[Iterator[Batch]]) -> list[tf.Tensor]:
        run, first, second = setup.strategy.run, *iterators
        waited = tf.zeros((), tf.float64)
        run(cache.begin)
        for part in tf.range(setup.micro_batches):
            batch, wait = steps.timed_next(first)
            run(cache.embed, args=(batch, part))
            waited += wait
        logs = run(cache.differentiate)
        for part in tf.range(setup.micro_batches):
            batch, wait = steps.timed_next(second)
            run(cache.pull_back, args=(batch, part))
            waited += wait
        norms = run(cache.update)
        reduced = [setup.strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for value in (logs, norms)]
        return [*tf.unstack(reduced[0]), *tf.unstack(reduced[1]), waited]

    return step


class Cache:
    """What a replica keeps during a step, and the parts of a step that use it. Build it in the strategy's scope."""

    def __init__(self, setup: steps.Setup):
        self._setup = setup
        self._size = (2, setup.micro_batches, setup.micro_batch, setup.model.projector.output_layer.units)
        # First the projections, then their gradients.
        self._projections = _own(tf.zeros((self._size[1], 2, *self._size[2:])))
        self._gradients = [_own(tf.zeros(variable.shape)) for variable in setup.variables]
        self._passing = setup.model.non_trainable_variables  # running statistics, states of dropout
        self._kept = [_own(tf.zeros(variable.shape, variable.dtype)) for variable in self._passing]

    def begin(self) -> None:
        for gradient in self._gradients:
            gradient.assign(tf.zeros_like(gradient))
        for kept, variable in zip(self._kept, self._passing, strict=True):
            kept.assign(variable.value)

    def embed(self, batch: Batch, part: tf.Tensor) -> None:
        self._put(part, tf.stack(self._setup.project(batch, part=part)))

    def differentiate(self) -> tf.Tensor:
        for kept, variable in zip(self._kept, self._passing, strict=True):
            variable.assign(kept.read_value())
        parts = self._projections.read_value()
        own = tf.unstack(tf.reshape(tf.transpose(parts, (1, 0, 2, 3)), (2, -1, self._size[-1])))
        with tf.GradientTape() as tape:
            tape.watch(own)
            loss, logs = self._setup.global_loss(own)
            share = loss / self._setup.strategy.num_replicas_in_sync
        gradients = tf.reshape(tf.stack(tape.gradient(share, own)), self._size)
        self._projections.assign(tf.transpose(gradients, (1, 0, 2, 3)))
        return tf.stack([{"loss": loss, **logs}[name] for name in ("loss", *steps.SIMILARITY_LOGS)])

    def pull_back(self, batch: Batch, part: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            projections = tf.stack(self._setup.project(batch, part=part))
            product = tf.reduce_sum(projections * self._projections.read_value()[part])
        gradients = tape.gradient(product, self._setup.variables)
        for total, gradient in zip(self._gradients, gradients, strict=True):
            total.assign_add(gradient)

    def update(self) -> tf.Tensor:
        norms = self._setup.update([gradient.read_value() for gradient in self._gradients])
        return tf.stack([norms[name] for name in steps.NORM_LOGS])

    def _put(self, part: tf.Tensor, value: tf.Tensor) -> None:
        tf.raw_ops.ResourceScatterUpdate(resource=self._projections.handle, indices=part, updates=value)


def _own(initial: tf.Tensor) -> tf.Variable:
    """A variable of which each replica has its own value."""
    return tf.Variable(
        initial,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.NONE,
    )
