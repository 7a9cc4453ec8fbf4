"""Estimates the memory that training takes, without taking it.

All sizes are in bytes. Weights and the optimizer's moments exist already when the estimate is made. On top of them, the
tensors of a replica's step take at once

    live = activations + loss                                       if the replica embeds its share of a batch at once
    live = weights + projections + max(activations, loss, update)   with gradient caching, part by part

    activations   a micro-batch, its projections and the gradient of the weights, from the traced graph; linear in the
                  pairs of the micro-batch, and independent of the batch
    loss          a block of similarities in a few copies, and the projections of all replicas with their gradients
    update        gradients, old weights and their difference; replaces the above if it is larger
    weights       with gradient caching: the gradients, summed over the micro-batches
    projections   with gradient caching: those of the replica's share of a batch, and their gradients

TensorFlow's pool takes more than what lives at once, and the process more than the pool:

    pool    = _POOL_TO_LIVE * live
    process = pool + clips + _PROCESS_BYTES

    clips         those that are being read, the batches on their way, and the clips of the validation

The two constants are measured: `tests.benchmarks.memory_estimate` compares the estimates with what training takes.
"""

import copy
import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from beam_jobs import storage
from beam_jobs.examples import ExamplesInfo
from components.trainer import clip_order, input_pipeline, live_tensors, strategies
from components.trainer.config import TrainerConfig
from components.trainer.step import TrainingStep
from models import contrastive

# Calibrated by tests.benchmarks.memory_estimate.
_POOL_TO_LIVE = 1.5  # Branches are computed at the same time, and kernels need memory to work in.
_PROCESS_BYTES = 400 * 2**20  # Graphs, compiled kernels, threads, and what oneDNN keeps.

_LOSS_COPIES = 5  # A block is in memory this many times.
_BATCHES_AHEAD = 4  # Micro-batches that the input pipeline holds besides the clips that it is reading.
_READS_AHEAD = 2  # Clips that the input pipeline holds for each one that it reads at a time.
# What it holds for gradient caching: the batch at hand, the next one, and one that is being put together.
_SHARES_AHEAD = 3


def pool_bytes(*, live: float) -> float:
    """Returns what a pool of TensorFlow takes for live tensors, in bytes."""
    return _POOL_TO_LIVE * live


def process_bytes(*, live: float, clips: float) -> float:
    """Returns what a process takes for live tensors and for clips, in bytes, besides what it holds already."""
    return pool_bytes(live=live) + clips + _PROCESS_BYTES


class StepMemory:
    """Estimates what a replica's step takes, for any micro-batch.

    Args:
        training_step: The step. Its variables need no memory any more.
    """

    def __init__(self, training_step: TrainingStep):
        self._step = training_step
        self._replicas = training_step.strategy.num_replicas_in_sync
        self._weight_bytes = sum(4 * math.prod(variable.shape) for variable in training_step.variables)
        self._traced: dict[int, int] = {}

    def live_bytes(self, micro_batch: int, share: int) -> float:
        """Returns the most bytes of tensors that live at once.

        Args:
            micro_batch: Pairs that the replica embeds at a time.
            share: Pairs of the replica's share of a batch.
        """
        step, projections = self._step, self._step.objective.projections
        projection_bytes = projections * 4 * share * step.model.projector.output_layer.units
        similarities = min(4 * share * share * self._replicas, contrastive.MAX_SIMILARITIES)
        loss = 4 * _LOSS_COPIES * similarities + 2 * (1 + self._replicas) * projection_bytes
        batch = 2 * 2 * micro_batch * step.model.crop_samples  # int16
        activations, update = batch + self._activation_bytes(micro_batch), 3 * self._weight_bytes
        if micro_batch == share:
            return max(activations + loss, update)
        return self._weight_bytes + projection_bytes + max(activations, loss, update)

    def _activation_bytes(self, micro_batch: int) -> float:
        """Traces the graph for the first two sizes that it is asked for, and follows the line through them for others.

        Activations grow linearly with the number of pairs.
        """
        if micro_batch in self._traced:
            return self._traced[micro_batch]
        if len(self._traced) < 2:
            graph = _trace_passes(self._step, micro_batch)
            self._traced[micro_batch] = live_tensors.peak_bytes(graph.graph, graph.outputs)
            return self._traced[micro_batch]
        (pairs, low), (more_pairs, high) = sorted(self._traced.items())
        return low + (high - low) * (micro_batch - pairs) / (more_pairs - pairs)


class HostMemory:
    """Estimates what training on a CPU takes of its machine, besides what the process holds already."""

    def __init__(self, training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo):
        self.live_bytes = StepMemory(training_step).live_bytes
        self._replicas = len(training_step.strategy.extended.worker_devices)
        self._crop_pair_bytes = 2 * 2 * training_step.model.crop_samples  # int16
        self._probe_clips = min(config.probe_clips, info.splits.get("valid", 0))
        clip_bytes = storage.size(info.files("train")[0]) / max(info.shard_lengths["train"][0], 1)
        self._read_bytes = clip_bytes * _clips_held(training_step, config=config, info=info)

    def needs(self, micro_batch: int, share: int) -> float:
        """Returns the bytes that the process takes for micro-batches of a replica's share of a batch."""
        live = self._replicas * self.live_bytes(micro_batch, share)
        return process_bytes(live=live, clips=self.input_bytes(micro_batch, share))

    def input_bytes(self, micro_batch: int, share: int) -> float:
        """Returns the bytes of `needs` that the clips take, which are on the host wherever a step is computed."""
        crop_pairs = self._probe_clips + _BATCHES_AHEAD * self._replicas * micro_batch
        if micro_batch < share:
            crop_pairs += _SHARES_AHEAD * self._replicas * share
        return crop_pairs * self._crop_pair_bytes + self._read_bytes

    def needs_of_pool(self, micro_batch: int, share: int) -> float:
        """Returns the bytes that TensorFlow's pool takes of `needs`."""
        return pool_bytes(live=self._replicas * self.live_bytes(micro_batch, share))


def _clips_held(training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo) -> int:
    """Returns how many stored clips the input pipeline of a host holds."""
    held = _READS_AHEAD * input_pipeline.reads_at_a_time(info.directory)
    if config.clips_per_read > 1:
        hosts = strategies.input_hosts(training_step.strategy)
        window = clip_order.window_clips(config.clips_per_read, hosts=hosts)
        held += clip_order.WINDOWS * min(window, info.splits["train"] // hosts)
    return held


def _trace_passes(training_step: TrainingStep, micro_batch: int) -> tf.types.experimental.ConcreteFunction:
    """Traces the projection of a micro-batch and the gradient of the weights. Nothing is computed."""
    step = copy.copy(training_step)
    step.micro_batch = micro_batch
    model, count = step.model, len(step.model.trainable_variables)
    variables = [*model.trainable_variables, *model.non_trainable_variables]

    def passes(values: Sequence[tf.Tensor], batch: dict[str, tf.Tensor], upstream: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(values[:count])
            # The values stand in for the variables, which a strategy lets nobody but its replicas read.
            with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
                projections = tf.stack(step.project(batch, index=0))
            product = tf.reduce_sum(projections * upstream)
        return tape.gradient(product, values[:count])

    crops = tf.TensorSpec((micro_batch, model.crop_samples), tf.int16)
    return tf.function(passes, autograph=False).get_concrete_function(
        [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables],
        {"a": crops, "b": crops},
        tf.TensorSpec((step.objective.projections, micro_batch, model.projector.output_layer.units), tf.float32),
    )
