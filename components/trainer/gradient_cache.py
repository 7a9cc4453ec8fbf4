"""Training steps on batches that exceed memory, with the exact gradient of the whole batch ("GradCache").

The input gives the micro-batches of a step twice, and a step makes three passes (Gao et al. 2021, "Scaling Deep
Contrastive Learning Batch Size under Memory Limited Setup"):

1. Embed. Every micro-batch is projected without a gradient tape. Only the projections are kept.
2. Differentiate the loss. The projections of all micro-batches give the loss, and its gradient with respect to each
   projection. No encoder is involved.
3. Back-propagate. Every micro-batch is projected again, with a tape, and the gradient of its projections is propagated
   to the weights. The gradients of the weights are summed over the micro-batches.

Besides the model, memory holds the activations of one micro-batch, one gradient for each weight, and 8 bytes for each
element of the projections.

The gradient is exact if what a network does with an example does not depend on the other micro-batches. This holds for
group normalization. It holds for augmentation and dropout, too, because their random numbers derive from the place of
an example in the batch. Batch normalization uses the statistics of a micro-batch (of all replicas), as in "ghost
batches", and updates its running statistics once for each micro-batch. They are restored after the first pass, so that
each micro-batch counts once.
"""

from collections.abc import Iterator

import tensorflow as tf

from components.trainer.input_pipeline import Batch
from components.trainer.step import NORM_LOGS, SIMILARITY_LOGS, Step, TrainingStep, timed_next


def make_step(training_step: TrainingStep) -> Step:
    """Returns a function that takes a step, in which each replica embeds one micro-batch at a time.

    The iterator gives all micro-batches of a step, and then all of them again. The function must be called inside a
    `tf.function`.

    The loops over micro-batches are outside `Strategy.run`, because MirroredStrategy's collectives (in batch
    normalization and in the optimizer) cannot be in a loop inside it.
    """
    strategy, micro_batches = training_step.strategy, training_step.micro_batches
    with strategy.scope():
        cache = GradientCache(training_step)

    def step(iterator: Iterator[Batch]) -> list[tf.Tensor]:
        total_wait_s = tf.zeros((), tf.float64)
        training_step.on_each_replica(cache.reset)
        for index in tf.range(micro_batches):
            batch, wait_s = timed_next(iterator)
            training_step.on_each_replica(cache.embed, args=(batch, index))
            total_wait_s += wait_s
        loss_logs = training_step.on_each_replica(cache.differentiate_loss)
        for index in tf.range(micro_batches):
            batch, wait_s = timed_next(iterator)
            training_step.on_each_replica(cache.back_propagate, args=(batch, index))
            total_wait_s += wait_s
        norm_logs = training_step.on_each_replica(cache.apply_gradients)
        loss_logs = strategy.reduce(tf.distribute.ReduceOp.MEAN, loss_logs, axis=None)
        norm_logs = strategy.reduce(tf.distribute.ReduceOp.MEAN, norm_logs, axis=None)
        return [*tf.unstack(loss_logs), *tf.unstack(norm_logs), total_wait_s]

    return step


class GradientCache:
    """The three passes of a step on a replica, and what the replica keeps between them.

    Build it in the strategy's scope.
    """

    def __init__(self, training_step: TrainingStep):
        self._step = training_step
        self._micro_batches, self._micro_batch = training_step.micro_batches, training_step.micro_batch
        self._dim = training_step.model.projector.output_layer.units
        self._projections = training_step.objective.projections
        # Holds the projections after the first pass, and their gradients after the second.
        shape = (self._micro_batches, self._projections, self._micro_batch, self._dim)
        self._cache = _replica_variable(tf.zeros(shape))
        self._gradients = [_replica_variable(tf.zeros(variable.shape)) for variable in training_step.variables]
        # The running statistics of batch normalization, and their values before the step.
        self._statistics = training_step.model.non_trainable_weights
        self._saved_statistics = [_replica_variable(tf.zeros(each.shape, each.dtype)) for each in self._statistics]

    def reset(self) -> None:
        """Begins a step: zeroes the gradients of the weights and saves the running statistics."""
        for gradient in self._gradients:
            gradient.assign(tf.zeros_like(gradient))
        for saved, running in zip(self._saved_statistics, self._statistics, strict=True):
            saved.assign(running.value)

    def embed(self, batch: Batch, index: tf.Tensor) -> None:
        """First pass: keeps the projections of a micro-batch."""
        projections = tf.stack(self._step.project(batch, index=index))  # (projections, micro_batch, dim)
        tf.raw_ops.ResourceScatterUpdate(resource=self._cache.handle, indices=index, updates=projections)

    def differentiate_loss(self) -> tf.Tensor:
        """Second pass: replaces the projections with their gradients.

        Returns:
            The loss and the `SIMILARITY_LOGS`, float32 `(logs,)`.
        """
        for saved, running in zip(self._saved_statistics, self._statistics, strict=True):
            running.assign(saved.read_value())
        cache = self._cache.read_value()  # (micro_batches, projections, micro_batch, dim)
        cache = tf.transpose(cache, (1, 0, 2, 3))  # (projections, micro_batches, micro_batch, dim)
        projections = tf.unstack(tf.reshape(cache, (self._projections, -1, self._dim)))  # (pairs, dim) each
        with tf.GradientTape() as tape:
            tape.watch(projections)
            loss, logs = self._step.loss(projections)
            share = self._step.loss_share(loss)
        gradients = tf.stack(tape.gradient(share, projections))  # (projections, pairs, dim)
        gradients = tf.reshape(gradients, (self._projections, self._micro_batches, self._micro_batch, self._dim))
        self._cache.assign(tf.transpose(gradients, (1, 0, 2, 3)))
        return tf.stack([loss, *(logs[name] for name in SIMILARITY_LOGS)])

    def back_propagate(self, batch: Batch, index: tf.Tensor) -> None:
        """Third pass: adds a micro-batch's part to the gradients of the weights."""
        with tf.GradientTape() as tape:
            projections = tf.stack(self._step.project(batch, index=index))
            # The gradient of this product with respect to the projections is the cached gradient, so its gradient with
            # respect to the weights is that of the loss, by the chain rule.
            product = tf.reduce_sum(projections * self._cache.read_value()[index])
        gradients = tape.gradient(product, self._step.variables)
        for total, gradient in zip(self._gradients, gradients, strict=True):
            total.assign_add(gradient)

    def apply_gradients(self) -> tf.Tensor:
        """Ends the step: updates the weights.

        Returns:
            The `NORM_LOGS`, float32 `(logs,)`.
        """
        norms = self._step.apply_gradients([gradient.read_value() for gradient in self._gradients])
        return tf.stack([norms[name] for name in NORM_LOGS])


def _replica_variable(initial: tf.Tensor) -> tf.Variable:
    """Creates a variable that has its own value on each replica."""
    return tf.Variable(
        initial,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.NONE,
    )
