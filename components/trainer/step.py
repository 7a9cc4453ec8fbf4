"""One training step, the same on one device and on many replicas; of a batch that exceeds memory, too."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from beam_jobs.audio import pcm
from components.trainer.input_pipeline import Batch
from models import contrastive
from models.dual import DualEncoder

Logs = dict[str, tf.Tensor]
SIMILARITY_LOGS = ("top1", "positive_similarity", "negative_similarity", "alignment", "uniformity")
NORM_LOGS = ("gradient_norm", "parameter_norm", "update_norm")
_SHOWN = 64
LOGS = ("loss", *SIMILARITY_LOGS, *NORM_LOGS, "input_wait_s")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setup:
    """What a step works with.

    Attributes:
        model: Built in the strategy's scope.
        optimizer: Built, too; its `iterations` count the steps.
        strategy: Any of TensorFlow's synchronous ones.
        batch_size: Clips of a global batch.
        micro_batch: Clips that a replica embeds at a time; its whole share of the batch unless the batch is larger
            than memory.
        temperature: tau of the loss.
        seed: Of the augmentations.
    """

    model: DualEncoder
    optimizer: keras.Optimizer
    strategy: tf.distribute.Strategy
    batch_size: int
    micro_batch: int
    temperature: float
    seed: int

    @property
    def micro_batches(self) -> int:
        """In how many parts a replica embeds its share of a batch."""
        return self.batch_size // (self.strategy.num_replicas_in_sync * self.micro_batch)

    @property
    def variables(self) -> list[tf.Variable]:
        """What is trained."""
        return [variable.value for variable in self.model.trainable_variables]

    def project(self, batch: Batch, *, part: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
        """The projections of this replica's micro-batch number `part`, augmented; float32 `(micro_batch, dim)` each.

        What is random about an example's augmentations derives from the seed, the step and its place in the global
        batch: parts are dealt out to the replicas in turn.
        """
        replicas, replica = self.strategy.num_replicas_in_sync, tf.distribute.get_replica_context()
        step = tf.cast(self.optimizer.iterations.value, tf.int64)
        shape = (self.batch_size, self.model.draws_per_example)
        draws = tf.random.stateless_uniform(shape, seed=tf.stack([tf.cast(self.seed, tf.int64), step]))
        first = (part * replicas + replica.replica_id_in_sync_group) * self.micro_batch
        draws = tf.slice(draws, [first, 0], [self.micro_batch, self.model.draws_per_example])
        projections = self.model((pcm.to_float(batch["a"]), pcm.to_float(batch["b"])), training=True, draws=draws)
        return tuple(tf.cast(z, tf.float32) for z in projections)

    def global_loss(self, projections: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Logs]:
        """Mean loss of this replica's pairs, and the logs of the global batch, from this replica's projections.

        The others' are gathered: the negatives are those of the whole batch. The gradient is that of the sum of the
        replicas' losses.
        """
        spread = {}
        if self.strategy.num_replicas_in_sync > 1:
            replica = tf.distribute.get_replica_context()
            spread["gather"] = functools.partial(replica.all_gather, axis=1)
            spread["first"] = replica.replica_id_in_sync_group * len(projections[0])
        losses, logs = contrastive.nt_xent_with_logs(*projections, temperature=self.temperature, **spread)
        return tf.reduce_mean(losses), logs

    def update(self, gradients: Sequence[tf.Tensor]) -> Logs:
        """Applies this replica's share of the gradients, which the optimizer sums over the replicas; gives the norms.

        `gradient_norm` is that of the share times the replicas: a sum of its own would be as much traffic again.
        """
        before = [tf.identity(variable) for variable in self.variables]
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        updates = [after - then for after, then in zip(self.variables, before, strict=True)]
        return {
            "gradient_norm": tf.linalg.global_norm(gradients) * self.strategy.num_replicas_in_sync,
            "parameter_norm": tf.linalg.global_norm(before),
            "update_norm": tf.linalg.global_norm(updates),
        }

    def step_on_replica(self, batch: Batch) -> tf.Tensor:
        """A whole step on this replica's share of a batch, embedded at once; gives the `LOGS` but for the wait.

        Each replica takes its share of the global loss, the mean over its pairs by the number of replicas. Summed over
        replicas, as the optimizer does, the gradients are those of one device with the whole batch.
        """
        with tf.GradientTape() as tape:
            loss, logs = self.global_loss(self.project(batch, part=0))
            share = loss / self.strategy.num_replicas_in_sync
        norms = self.update(tape.gradient(share, self.variables))
        logs = {"loss": loss, **logs, **norms}
        return tf.stack([logs[name] for name in LOGS[:-1]])


def make_step(setup: Setup) -> Callable[[Sequence[Iterator[Batch]]], list[tf.Tensor]]:
    """Builds `step(iterators) -> the LOGS` that embeds each replica's share of the batch at once."""

    def step(iterators: Sequence[Iterator[Batch]]) -> list[tf.Tensor]:
        batch, waited = timed_next(iterators[0])
        logs = setup.strategy.run(setup.step_on_replica, args=(batch,))
        return [*tf.unstack(setup.strategy.reduce(tf.distribute.ReduceOp.MEAN, logs, axis=None)), waited]

    return step


def timed_next(iterator: Iterator[Batch]) -> tuple[Batch, tf.Tensor]:
    """The next element, and the seconds that it took to come."""
    asked = tf.timestamp()
    with tf.control_dependencies([asked]):
        batch = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
        return batch, tf.timestamp() - asked


def make_validation(
    model: DualEncoder, *, temperature: float
) -> Callable[[tf.Tensor, tf.Tensor], tuple[Logs, tf.Tensor]]:
    """Builds `validate(features of view A, of view B) -> (logs, similarities)`; both are `(clips, dim)`.

    The logs are the contrastive loss and what belongs to it, the similarities those of the first crops, branch A in
    rows, branch B in columns.
    """
    projector = model.projector

    def project(features: tf.Tensor) -> tf.Tensor:
        # As in training, batch norm in the projector takes each branch's own statistics: the running ones are of both.
        # Called without its state, it leaves those alone.
        state = projector.trainable_variables, projector.non_trainable_variables
        return projector.stateless_call(*state, features, training=True)[0]

    @tf.function
    def validate(a: tf.Tensor, b: tf.Tensor) -> tuple[Logs, tf.Tensor]:
        projections = [project(features) for features in (a, b)]
        losses, logs = contrastive.nt_xent_with_logs(*projections, temperature=temperature)
        a, b = (tf.math.l2_normalize(tf.cast(z[:_SHOWN], tf.float32), axis=1) for z in projections)
        return {"loss": tf.reduce_mean(losses), **logs}, tf.matmul(a, b, transpose_b=True)

    return validate
