"""One training step, the same on one device and on many replicas."""

from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from components.trainer.input_pipeline import Batch
from models import contrastive
from models.dual import DualEncoder

Logs = dict[str, tf.Tensor]
LOGS = ("loss", "top1", "positive_similarity", "negative_similarity", "alignment", "uniformity", "gradient_norm")


def to_float(pcm: tf.Tensor) -> tf.Tensor:
    """int16 PCM as float32 in [-1, 1)."""
    return tf.cast(pcm, tf.float32) / 32768.0


def make_loop(
    model: DualEncoder, optimizer: keras.Optimizer, *, strategy: tf.distribute.Strategy, temperature: float
) -> Callable[[Iterator[Batch], tf.Tensor], Logs]:
    """Builds the compiled inner loop, `loop(iterator, steps) -> logs`.

    The negatives are those of the global batch: projections are gathered from all replicas, here rather than in a
    layer, and each replica takes its share of the global loss. Summed over replicas, as the optimizer does, the
    gradients are those of one device with the whole batch.

    Returns:
        The loop; its logs are the means over its steps of `LOGS`: `loss` (per pair), `gradient_norm`, and those of
        `models.contrastive.nt_xent_with_logs`.
    """
    replicas = strategy.num_replicas_in_sync

    def replica_step(batch: Batch) -> tf.Tensor:
        with tf.GradientTape() as tape:
            projections = model((to_float(batch["a"]), to_float(batch["b"])), training=True)
            if replicas > 1:
                context = tf.distribute.get_replica_context()
                projections = [context.all_gather(z, axis=0) for z in projections]
            losses, logs = contrastive.nt_xent_with_logs(*projections, temperature=temperature)
            loss = tf.reduce_mean(losses)
            share = loss / replicas
        variables = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(share, variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        logs = {"loss": loss, **logs, "gradient_norm": tf.linalg.global_norm(gradients) * replicas}
        return tf.stack([logs[name] for name in LOGS])

    @tf.function
    def loop(iterator: Iterator[Batch], steps: tf.Tensor) -> Logs:
        total = tf.zeros(len(LOGS))
        for _ in tf.range(steps):
            logs = strategy.run(replica_step, args=(next(iterator),))  # the same on all replicas, but for the norm
            total += strategy.reduce(tf.distribute.ReduceOp.MEAN, logs, axis=None)
        return dict(zip(LOGS, tf.unstack(total / tf.cast(steps, tf.float32)), strict=True))

    return loop


def make_validation(model: DualEncoder, batch: Batch, *, temperature: float) -> Callable[[], Logs]:
    """Builds `validate() -> logs`: the contrastive loss of one fixed batch, without augmentation or dropout."""

    @tf.function
    def validate() -> Logs:
        projections = model((to_float(batch["a"]), to_float(batch["b"])), training=False)
        losses, logs = contrastive.nt_xent_with_logs(*projections, temperature=temperature)
        return {"loss": tf.reduce_mean(losses), **logs}

    return validate
