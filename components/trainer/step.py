"""One training step, on one device or many replicas."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import keras
import tensorflow as tf

from beam_jobs.audio import pcm
from components.trainer import strategies
from components.trainer.input_pipeline import Batch
from models import contrastive
from models.dual import DualEncoder
from models.objective import Objective

Logs = dict[str, tf.Tensor]
"""Name of a log -> float32 scalar."""

Step = Callable[[Iterator[Batch]], list[tf.Tensor]]
"""Takes one step on the next batch of the iterator. Returns the values of `LOGS`, in that order."""

ResultT = TypeVar("ResultT")

GradientAndVariable = tuple[tf.Tensor, tf.Variable]

SIMILARITY_LOGS = ("top1", "positive_similarity", "negative_similarity", "alignment", "uniformity")
NORM_LOGS = ("gradient_norm", "parameter_norm", "update_norm")
REPLICA_LOGS = ("loss", *SIMILARITY_LOGS, *NORM_LOGS)
LOGS = (*REPLICA_LOGS, "input_wait_s")


class TrainingStep:
    """The parts of a training step that each replica runs.

    A replica computes the loss of its own pairs against all crops of the global batch, and divides it by the number of
    replicas. The gradients are summed over the replicas, so they are those of one device with the whole batch.

    Args:
        model: Built in the strategy's scope.
        optimizer: Built in the strategy's scope. Its `iterations` count the steps. From now on it takes gradients that
            are summed over the replicas already.
        strategy: Any synchronous strategy.
        batch_size: Pairs of crops in a global batch.
        micro_batch: Pairs that a replica embeds at a time: its whole share of the batch, or fewer if the batch is
            larger than memory.
        objective: Which projections of a clip are contrasted.
        decoupled: Whether the positive is left out of the denominator of the loss.
        pairs_per_clip: How many consecutive pairs are of one clip; a divisor of `micro_batch`.
        temperature: Maps the number of steps done, an int64 scalar, to tau of the loss.
        mixing_share: Maps it to the share of mixing, see `DualEncoder.weaken_mixing`. If None, mixing is as it is.
        seed: Seed of augmentations and dropout.

    Attributes:
        model, optimizer, strategy, batch_size, micro_batch, pairs_per_clip, objective, seed: See above.
        micro_batches: Number of micro-batches in a replica's share of a batch.
        variables: The trainable variables of the model.
    """

    def __init__(
        self,
        model: DualEncoder,
        optimizer: keras.Optimizer,
        *,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        micro_batch: int,
        objective: Objective,
        decoupled: bool,
        pairs_per_clip: int,
        temperature: Callable[[tf.Tensor], tf.Tensor | float],
        mixing_share: Callable[[tf.Tensor], tf.Tensor] | None,
        seed: int,
    ):
        self.model, self.optimizer, self.strategy = model, optimizer, strategy
        self.batch_size, self.micro_batch, self.pairs_per_clip = batch_size, micro_batch, pairs_per_clip
        self.micro_batches = batch_size // (strategy.num_replicas_in_sync * micro_batch)
        self.variables: list[tf.Variable] = [variable.value for variable in model.trainable_variables]
        self.objective, self.seed = objective, seed
        self._schedule, self._mixing_share = temperature, mixing_share
        self._nt_xent = functools.partial(
            contrastive.nt_xent_with_logs, decoupled=decoupled, pairs_per_clip=pairs_per_clip
        )
        _take_summed_gradients(optimizer)

    def project(self, batch: Batch, *, index: tf.Tensor | int) -> list[tf.Tensor]:
        """Augments, embeds and projects one of this replica's micro-batches.

        The random numbers of an example's augmentations and dropout derive from the seed, the step and the place of the
        example in the global batch.

        Args:
            batch: The micro-batch.
            index: Its number among this replica's micro-batches.

        Returns:
            The projections of the objective, float32 `(micro_batch, projector_dim)` each.
        """
        width = self.model.draws_per_example
        shape = (self.batch_size, len(self.objective.orders) * width)
        draws = tf.random.stateless_uniform(shape, seed=tf.stack([tf.cast(self.seed, tf.int64), self._steps_done()]))
        draws = tf.slice(draws, [self._place_in_batch(index), 0], [self.micro_batch, shape[1]])
        crops = (pcm.to_float(batch["a"]), pcm.to_float(batch["b"]))  # float32 (micro_batch, crop_samples) each
        projections: list[tf.Tensor] = []
        for number, (for_a, for_b) in enumerate(self.objective.orders):
            of_order = draws[:, number * width : (number + 1) * width]
            if self._mixing_share is not None:
                of_order = self.model.weaken_mixing(of_order, share=self.mixing_share())
            projections += self.model((crops[for_a], crops[for_b]), training=True, draws=of_order)
        return [tf.cast(z, tf.float32) for z in projections]

    def _place_in_batch(self, index: tf.Tensor | int) -> tf.Tensor | int:
        """Returns the place in the global batch of the first example of one of this replica's micro-batches.

        Each host reads adjacent examples, and deals them to its replicas in turn, a micro-batch at a time.
        """
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        per_host = self.strategy.num_replicas_in_sync // strategies.input_hosts(self.strategy)
        host, replica_of_host = replica // per_host, replica % per_host
        return ((host * self.micro_batches + index) * per_host + replica_of_host) * self.micro_batch

    def temperature(self) -> tf.Tensor | float:
        """Returns tau of the next step."""
        return self._schedule(self._steps_done())

    def mixing_share(self) -> tf.Tensor | float:
        """Returns the share of mixing in the next step."""
        return 1.0 if self._mixing_share is None else self._mixing_share(self._steps_done())

    def _steps_done(self) -> tf.Tensor:
        return tf.cast(self.optimizer.iterations.value, tf.int64)

    def loss(self, projections: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Logs]:
        """Computes this replica's loss. The negatives are gathered from all replicas.

        The gradient with respect to the projections is that of the sum of all replicas' losses.

        Args:
            projections: This replica's, `(pairs, projector_dim)` for each projection of the objective.

        Returns:
            The mean loss of this replica's pairs, and the logs (`SIMILARITY_LOGS`) of the global batch, which are those
            of branch A's projections of one crop and branch B's of the other.
        """
        nt_xent = functools.partial(self._nt_xent, temperature=self.temperature())
        if self.strategy.num_replicas_in_sync > 1:
            replica = tf.distribute.get_replica_context()
            nt_xent = functools.partial(
                nt_xent,
                gather=functools.partial(replica.all_gather, axis=1),
                first=replica.replica_id_in_sync_group * (self.batch_size // self.strategy.num_replicas_in_sync),
            )
        of_pairs = [nt_xent(projections[one], projections[other]) for one, other in self.objective.pairs]
        losses, logs = zip(*of_pairs, strict=True)
        return tf.reduce_mean(tf.stack(losses)), logs[0]

    def loss_share(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns this replica's share of the global loss, which is to be differentiated."""
        return loss / self.strategy.num_replicas_in_sync

    def apply_gradients(self, gradients: Sequence[tf.Tensor]) -> Logs:
        """Updates the weights.

        Args:
            gradients: Of this replica's share of the global loss.

        Returns:
            The `NORM_LOGS`, the same on each replica.
        """
        gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        before = [tf.identity(variable) for variable in self.variables]
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        updates = [new - old for new, old in zip(self.variables, before, strict=True)]
        return {
            "gradient_norm": tf.linalg.global_norm(gradients),
            "parameter_norm": tf.linalg.global_norm(before),
            "update_norm": tf.linalg.global_norm(updates),
        }

    def on_each_replica(self, function: Callable[..., ResultT], *, args: tuple[Batch | tf.Tensor, ...] = ()) -> ResultT:
        """Runs a function as `Strategy.run` does, but without AutoGraph. Each replica has a result of its own.

        AutoGraph would take seconds to rewrite the function and what it calls. There is nothing to rewrite: no loop or
        condition in Python depends on a tensor.
        """
        return tf.autograph.experimental.do_not_convert(self.strategy.run)(function, args=args)

    def run_on_replica(self, batch: Batch) -> tf.Tensor:
        """Takes a whole step on this replica's share of a batch, embedded at once.

        Returns:
            The values of `REPLICA_LOGS`, float32 `(logs,)`.
        """
        with tf.GradientTape() as tape:
            loss, logs = self.loss(self.project(batch, index=0))
            share = self.loss_share(loss)
        norms = self.apply_gradients(tape.gradient(share, self.variables))
        logs = {"loss": loss, **logs, **norms}
        return tf.stack([logs[name] for name in REPLICA_LOGS])


def _take_summed_gradients(optimizer: keras.Optimizer) -> None:
    """Makes an optimizer take gradients that are summed over the replicas already.

    The step sums them, because it logs the norm of their sum. Keras would sum them again, and has no public option
    against it.

    Raises:
        RuntimeError: This version of Keras sums them in another way.
    """
    if not hasattr(optimizer, "_all_reduce_sum_gradients"):
        raise RuntimeError(
            f"keras {keras.__version__} sums gradients in a way that this code does not know, and they would be summed "
            "twice: adapt components.trainer.step, or install the version of Keras in pyproject.toml."
        )

    def as_they_are(gradients_and_variables: Iterable[GradientAndVariable]) -> list[GradientAndVariable]:
        return list(gradients_and_variables)

    optimizer._all_reduce_sum_gradients = as_they_are


def make_step(training_step: TrainingStep) -> Step:
    """Returns a function that takes a step, in which each replica embeds its share of the batch at once.

    The function must be called inside a `tf.function`.
    """
    strategy = training_step.strategy

    def step(iterator: Iterator[Batch]) -> list[tf.Tensor]:
        batch, wait_s = timed_next(iterator)
        logs = training_step.on_each_replica(training_step.run_on_replica, args=(batch,))
        return [*tf.unstack(strategy.reduce(tf.distribute.ReduceOp.MEAN, logs, axis=None)), wait_s]

    return step


def timed_next(iterator: Iterator[Batch]) -> tuple[Batch, tf.Tensor]:
    """Returns the next element, and how many seconds it took to arrive."""
    started = tf.timestamp()
    with tf.control_dependencies([started]):
        batch = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
        arrived = tf.timestamp()
    # What is computed from the batch waits for the time to be taken. It would keep all threads busy first otherwise.
    with tf.control_dependencies([arrived]):
        batch = tf.nest.map_structure(_on_its_device, batch, expand_composites=True)
    return batch, arrived - started


def _on_its_device(tensor: tf.Tensor) -> tf.Tensor:
    with tf.device(tensor.device):
        return tf.identity(tensor)
