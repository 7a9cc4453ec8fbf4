"""Checks before training that a step fits into memory, and names the largest micro-batch that does.

The check does not rest on TensorFlow's own "out of memory": on a CPU, an allocation that fails within a kernel may end
the process with SIGSEGV, and the system may kill it before an allocation fails.

A replica's step takes, besides the weights and the optimizer's moments, which exist when this is called:

    activations   what lives at once while a micro-batch is projected and its gradient computed, from the traced graph;
                  it holds the gradients of the weights, too
    loss          blocks of similarities
    update        gradients, old weights and their difference
    caching       with gradient caching: the sums of gradients, and the projections of the replica's share of a batch

and its host the input: shuffle buffers, batches on their way, and the clips of the validation.
`tests.benchmarks.memory_estimate` compares the estimate with what TensorFlow takes.
"""

import copy
import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf
from absl import logging

from beam_jobs import storage
from beam_jobs.examples import ExamplesInfo
from components import host_memory
from components.errors import UserError
from components.trainer import live_tensors
from components.trainer.config import TrainerConfig
from components.trainer.step import TrainingStep

# Calibrated by tests.benchmarks.memory_estimate.
_POOL_TO_LIVE = 1.25  # TensorFlow's pools hand out larger pieces than they are asked for.
_PROCESS_TO_LIVE = 1.5  # A process also keeps what its pool and oneDNN have freed.
_PROCESS_BYTES = 250 * 2**20  # Graphs, compiled kernels, threads.

_SIMILARITIES = 2**25  # Most similarities in a block of `models.contrastive`.
_LOSS_COPIES = 5  # A block is in memory this many times.
_BATCHES_AHEAD = 4  # Batches that the input pipeline holds besides its shuffle buffer.
_SMALLEST = 2  # Smallest trainer.micro_batch.
_SHARE_TO_USE = 0.9  # Of the free memory, by the micro-batch that a message names.

# Generation of a TPU -> GiB for a replica.
_TPU_GIB = {"v2": 8, "v3": 16, "v4": 32, "v5litepod": 16, "v5e": 16, "v5p": 95, "v6e": 32}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Budget:
    """Memory that a step must fit into.

    Attributes:
        place: What has this memory, as the subject of a sentence.
        free: Bytes that may still be taken.
        needs: Micro-batch, clips of a replica's share of a batch -> bytes that training takes of it.
    """

    place: str
    free: int
    needs: Callable[[int, int], float]


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
            micro_batch: Clips that the replica embeds at a time.
            share: Clips of the replica's share of a batch.
        """
        step, projection_bytes = self._step, 2 * 4 * share * self._step.model.projector.output_layer.units
        similarities = min(4 * share * share * self._replicas, _SIMILARITIES)
        loss = 4 * _LOSS_COPIES * similarities + 2 * (1 + self._replicas) * projection_bytes
        batch = 2 * 2 * micro_batch * step.model.crop_samples  # int16
        activations, update = batch + self._activation_bytes(micro_batch), 3 * self._weight_bytes
        if micro_batch == share:
            return max(activations + loss, update)
        return self._weight_bytes + projection_bytes + max(activations, loss, update)

    def _activation_bytes(self, micro_batch: int) -> float:
        """Traces the graph for the first two sizes that it is asked for; activations are linear in the clips."""
        if micro_batch in self._traced:
            return self._traced[micro_batch]
        if len(self._traced) < 2:
            graph = _trace_passes(self._step, micro_batch)
            self._traced[micro_batch] = live_tensors.peak_bytes(graph.graph, graph.outputs)
            return self._traced[micro_batch]
        (clips, low), (more_clips, high) = sorted(self._traced.items())
        return low + (high - low) * (micro_batch - clips) / (more_clips - clips)


class HostMemory:
    """Estimates what training on a CPU takes of its machine, besides what the process holds already."""

    def __init__(self, training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo):
        self._live_bytes = StepMemory(training_step).live_bytes
        self._replicas = len(training_step.strategy.extended.worker_devices)
        self._crop_pair_bytes = 2 * 2 * training_step.model.crop_samples  # int16
        self._probe_clips = min(config.probe_clips, info.splits.get("valid", 0))
        clip_bytes = storage.size(info.files("train")[0]) / max(info.shard_lengths["train"][0], 1)
        self._shuffled_bytes = min(config.shuffle_buffer, info.splits["train"]) * clip_bytes

    def needs(self, micro_batch: int, share: int) -> float:
        """Returns the bytes that the process takes for micro-batches of a replica's share of a batch."""
        crop_pairs = self._probe_clips + _BATCHES_AHEAD * self._replicas * micro_batch
        readers = 1 if micro_batch == share else 2  # Gradient caching reads each batch twice.
        read = crop_pairs * self._crop_pair_bytes + readers * self._shuffled_bytes
        return _PROCESS_BYTES + read + self._replicas * _PROCESS_TO_LIVE * self._live_bytes(micro_batch, share)

    def needs_of_pool(self, micro_batch: int, share: int) -> float:
        """Returns the bytes that TensorFlow's pool takes of `needs`."""
        return self._replicas * _POOL_TO_LIVE * self._live_bytes(micro_batch, share)


def check(training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo) -> None:
    """Checks that a step fits into the memory of its device, of the machine and of its container.

    Raises:
        UserError: It does not. The message names the largest micro-batch that fits, or another way out.
    """
    budgets = _budgets(training_step, config=config, info=info)
    replicas = training_step.strategy.num_replicas_in_sync
    micro_batch, share = training_step.micro_batch, config.batch_size // replicas
    lacking = [budget for budget in budgets if budget.needs(micro_batch, share) > budget.free]
    if not lacking:
        return
    worst = max(lacking, key=lambda budget: budget.needs(micro_batch, share) - budget.free)
    needs, free = (host_memory.text(count) for count in (worst.needs(micro_batch, share), worst.free))
    least = host_memory.text(worst.needs(_SMALLEST, share))  # All sizes between these two follow.
    for changes in _smaller_steps(config, replicas=replicas):
        smaller_share = changes.get("batch_size", config.batch_size) // replicas
        if all(
            budget.needs(changes["micro_batch"], smaller_share) <= _SHARE_TO_USE * budget.free for budget in budgets
        ):
            raise UserError(
                f"Training needs about {needs} for a micro-batch of {micro_batch:,}, and {worst.place} has {free} "
                f"free: use {_assignments(changes)}{_explain(changes)}."
            )
    raise UserError(
        f"Training needs about {needs} for a micro-batch of {micro_batch:,}, and {worst.place} has {free} free; even "
        f"trainer.micro_batch={_SMALLEST} needs about {least}: choose a lower trainer.model.width, a shorter "
        "trainer.model.crop_seconds or a smaller trainer.batch_size, or train where there is more memory."
    )


def _smaller_steps(config: TrainerConfig, *, replicas: int) -> Iterator[dict[str, int]]:
    """Yields changes of the config that make a step smaller, in the order in which to try them.

    First come the micro-batches of the same batch, the largest first; then those that need smaller mixing groups; then
    smaller batches, because a replica's share may have no divisor that fits.
    """
    share, model = config.batch_size // replicas, config.model
    group = model.mixing_group if model.augment_a.mixing or model.augment_b.mixing else 1
    sizes = range(config.micro_batch_size(replicas=replicas) - 1, 1, -1)
    divisors = [size for size in sizes if share % size == 0]
    yield from ({"micro_batch": size} for size in divisors if size % group == 0)
    for size in divisors:
        if regroup := _mixing_group(size, group):
            yield {"micro_batch": size, **regroup}
    for size in sizes:
        if (regroup := _mixing_group(size, group)) or size % group == 0:
            yield {"batch_size": share // size * size * replicas, "micro_batch": size, **regroup}


def _mixing_group(size: int, group: int) -> dict[str, int]:
    """Returns the smaller mixing group that divides a micro-batch, or nothing if `group` divides it or none does."""
    parts = [part for part in range(2, min(size, group) + 1) if size % part == 0]
    if size % group == 0 or not parts:
        return {}
    return {"model.mixing_group": parts[-1]}


def _assignments(changes: dict[str, int]) -> str:
    return " ".join(f"trainer.{name}={value}" for name, value in changes.items())


def _explain(changes: dict[str, int]) -> str:
    if "batch_size" in changes:
        return ", because no part that fits divides the batch"
    text = ", which embeds the same batch part by part (with the same gradient, except for batch norm and dropout"
    if "model.mixing_group" in changes:
        text += "; clips are mixed within smaller groups"
    return f"{text})"


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
        tf.TensorSpec((2, micro_batch, model.projector.output_layer.units), tf.float32),
    )


def _budgets(training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo) -> list[_Budget]:
    """Returns the memory of the devices that this process trains on."""
    live = StepMemory(training_step).live_bytes
    strategy = training_step.strategy
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return _tpu_budgets(training_step, live)
    devices = [tf.DeviceSpec.from_string(name) for name in strategy.extended.worker_devices]
    gpus = [f"GPU:{device.device_index}" for device in devices if device.device_type == "GPU"]
    if gpus:
        return [
            _Budget(place=name, free=free, needs=lambda *sizes: _POOL_TO_LIVE * live(*sizes))
            for name, free in _free_gpu_bytes(gpus).items()
        ]
    host = HostMemory(training_step, config=config, info=info)
    budgets = [_Budget(place=limit.place, free=limit.free, needs=host.needs) for limit in host_memory.limits()]
    if (pool := _free_pool_bytes()) is not None:
        place = "TensorFlow's pool (TF_CPU_BFC_MEM_LIMIT_IN_MB)"
        budgets.append(_Budget(place=place, free=pool, needs=host.needs_of_pool))
    return budgets


def _free_pool_bytes() -> int | None:
    """Returns what TensorFlow's pool on the CPU may still take, or None if there is no pool or it has no limit."""
    limit = os.environ.get("TF_CPU_BFC_MEM_LIMIT_IN_MB", "")
    if os.environ.get("TF_CPU_ALLOCATOR_USE_BFC", "").lower() not in ("1", "true") or not limit.isdigit():
        return None
    return int(limit) * 2**20 - tf.config.experimental.get_memory_info("CPU:0")["current"]


def _free_gpu_bytes(names: Sequence[str]) -> dict[str, int]:
    """Returns what TensorFlow's pool on each GPU may still take, by the GPU's name."""
    # Not a public module, but nothing else says how much of a GPU TensorFlow may take.
    from tensorflow.python.client import device_lib

    limits = {device.name.removeprefix("/device:"): device.memory_limit for device in device_lib.list_local_devices()}
    return {
        name: limits[name] - tf.config.experimental.get_memory_info(name)["current"]
        for name in names
        if limits.get(name)
    }


def _tpu_budgets(training_step: TrainingStep, live: Callable[[int, int], float]) -> list[_Budget]:
    """Returns the memory of a TPU core, if the environment names its generation; Google's TPU VMs set the variable.

    XLA fuses operations that the estimate counts one by one, so a step takes less than the estimate.
    """
    generation = os.environ.get("TPU_ACCELERATOR_TYPE", "").partition("-")[0]
    if generation not in _TPU_GIB:
        logging.info("TPU_ACCELERATOR_TYPE does not name a known TPU, so memory is not checked before training")
        return []
    variables = (*training_step.model.variables, *training_step.optimizer.variables)
    held = sum(4 * math.prod(variable.shape) for variable in variables)
    return [_Budget(place=f"a core of a TPU {generation}", free=_TPU_GIB[generation] * 2**30 - held, needs=live)]
