"""Checks before training that it fits into memory, and names the largest micro-batch that does.

The check does not rest on TensorFlow's own "out of memory": on a CPU, an allocation that fails within a kernel may end
the process with SIGSEGV, and the system may kill it before an allocation fails. `components.trainer.memory` estimates
what training takes; this module knows what there is.

What can never fit is refused. What other programs leave no room for now is a warning, because they may end.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
from absl import logging

from beam_jobs import error_text
from beam_jobs.examples import ExamplesInfo
from components import host_memory
from components.errors import UserError
from components.trainer import memory
from components.trainer.config import TrainerConfig
from components.trainer.step import TrainingStep

_SHARE_TO_USE = 0.9  # Of the free memory, by the micro-batch that a message names.

# Generation of a TPU -> GiB for a replica.
_TPU_GIB = {"v2": 8, "v3": 16, "v4": 32, "v5litepod": 16, "v5e": 16, "v5p": 95, "v6e": 32}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Budget:
    """Memory that a step must fit into.

    Attributes:
        place: What has this memory, as the subject of a sentence.
        most: Bytes that training could have of it if no other process took any.
        free: Bytes of it that may be taken now.
        needs: Micro-batch, clips of a replica's share of a batch -> bytes that training takes of it.
        holds_clips: Whether it also holds the clips that the input pipeline has read.
    """

    place: str
    most: int
    free: int
    needs: Callable[[int, int], float]
    holds_clips: bool = False


def check(training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo, resumed: bool) -> None:
    """Checks that a step fits into the memory of its device, of the machine and of its container.

    It warns if a step does not fit now because of what other processes hold.

    Args:
        training_step: The step. Its variables need no memory any more.
        config: The config.
        info: The examples.
        resumed: Whether the training has taken steps before, which is better evidence than an estimate: it is never
            refused.

    Raises:
        UserError: It can never fit. The message names the largest micro-batch that does, or another way out.
    """
    try:
        budgets = _budgets(training_step, config=config, info=info)
        refusal = _shortage(budgets, training_step, config=config, now=False)
        shortage = refusal or _shortage(budgets, training_step, config=config, now=True)
    except Exception as error:  # Without an estimate, training is as good as ever.
        reason = error_text.first_line(error)
        logging.warning("memory is not checked before training (%s: %s)", type(error).__name__, reason)
        return
    if refusal and not resumed:
        raise UserError(refusal)
    if shortage:
        logging.warning("%s", shortage)


def _shortage(
    budgets: Sequence[_Budget], training_step: TrainingStep, *, config: TrainerConfig, now: bool
) -> str | None:
    """Returns why a step does not fit into what is free now, or into what there is, and the way out.

    Returns None if it fits.
    """
    given = [(budget, budget.free if now else budget.most) for budget in budgets]
    replicas = training_step.strategy.num_replicas_in_sync
    micro_batch, share = training_step.micro_batch, config.batch_size // replicas
    lacking = [(budget, count) for budget, count in given if budget.needs(micro_batch, share) > count]
    if not lacking:
        return None
    worst, count = max(lacking, key=lambda pair: pair[0].needs(micro_batch, share) - pair[1])
    needs, has = host_memory.text(worst.needs(micro_batch, share)), host_memory.text(count)
    smallest = max(2, config.pairs_per_clip)
    least = host_memory.text(worst.needs(smallest, share))  # All sizes between these two follow.
    problem = f"Training needs about {needs} for a micro-batch of {micro_batch:,}, and {worst.place} has "
    problem += f"only {has} free now: end other programs, or" if now else f"at most {has} for it:"
    for changes in _smaller_steps(config, replicas=replicas):
        sizes = changes["micro_batch"], changes.get("batch_size", config.batch_size) // replicas
        if all(budget.needs(*sizes) <= _SHARE_TO_USE * count for budget, count in given):
            return f"{problem} use {_assignments(changes)}{_explain(changes)}."
    fewer = "a lower trainer.clips_per_read, " if worst.holds_clips and config.clips_per_read > 1 else ""
    return (
        f"{problem} choose {fewer}a lower trainer.model.width, a shorter trainer.model.crop_seconds, or a smaller "
        f"trainer.batch_size (even trainer.micro_batch={smallest} needs about {least}), or train where there is more "
        "memory."
    )


def _smaller_steps(config: TrainerConfig, *, replicas: int) -> Iterator[dict[str, int]]:
    """Yields changes of the config that make a step smaller, in the order in which to try them.

    First come the micro-batches of the same batch, the largest first; then those that need smaller mixing groups; then
    smaller batches, because a replica's share may have no divisor that fits.
    """
    share, model, pairs = config.batch_size // replicas, config.model, config.pairs_per_clip
    group = model.mixing_group if model.augment_a.mixing or model.augment_b.mixing else 1
    sizes = [size for size in range(config.micro_batch_size(replicas=replicas) - 1, 1, -1) if size % pairs == 0]
    divisors = [size for size in sizes if share % size == 0]
    yield from ({"micro_batch": size} for size in divisors if size % group == 0)
    for size in divisors:
        if regroup := _mixing_group(size, group=group, pairs_per_clip=pairs):
            yield {"micro_batch": size, **regroup}
    for size in sizes:
        if (regroup := _mixing_group(size, group=group, pairs_per_clip=pairs)) or size % group == 0:
            yield {"batch_size": share // size * size * replicas, "micro_batch": size, **regroup}


def _mixing_group(size: int, *, group: int, pairs_per_clip: int) -> dict[str, int]:
    """Returns the smaller mixing group of more than one clip that divides a micro-batch.

    Returns nothing if `group` divides it, or none does.
    """
    parts = [part for part in range(pairs_per_clip + 1, min(size, group) + 1) if size % part == 0]
    if size % group == 0 or not parts:
        return {}
    return {"model.mixing_group": parts[-1]}


def _assignments(changes: dict[str, int]) -> str:
    return " ".join(f"trainer.{name}={value}" for name, value in changes.items())


def _explain(changes: dict[str, int]) -> str:
    if "batch_size" in changes:
        return ", because no part that fits divides the batch"
    text = ", which embeds the same batch part by part (with the same gradient, except for batch norm"
    if "model.mixing_group" in changes:
        text += "; clips are mixed within smaller groups"
    return f"{text})"


def _budgets(training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo) -> list[_Budget]:
    """Returns the memory of the devices that this process trains on, and of their host."""
    host = memory.HostMemory(training_step, config=config, info=info)
    live, strategy, limits = host.live_bytes, training_step.strategy, host_memory.limits()
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return _tpu_budgets(training_step, live)
    if gpus := _gpus(strategy):
        of_gpus = [
            _Budget(place=name, most=free, free=free, needs=lambda *sizes: memory.pool_bytes(live=live(*sizes)))
            for name, free in _free_bytes_of_devices(gpus).items()
        ]
        return [*of_gpus, *(_budget(limit, needs=host.input_bytes) for limit in limits)]
    budgets = [_budget(limit, needs=host.needs) for limit in limits]
    if (pool := _free_pool_bytes()) is not None:
        place = "TensorFlow's pool (TF_CPU_BFC_MEM_LIMIT_IN_MB)"
        budgets.append(_Budget(place=place, most=pool, free=pool, needs=host.needs_of_pool))
    return budgets


def _budget(limit: host_memory.Limit, *, needs: Callable[[int, int], float]) -> _Budget:
    return _Budget(place=limit.place, most=limit.most, free=limit.free, needs=needs, holds_clips=True)


def _free_pool_bytes() -> int | None:
    """Returns what TensorFlow's pool on the CPU may still take, or None if there is no pool or it has no limit."""
    limit = os.environ.get("TF_CPU_BFC_MEM_LIMIT_IN_MB", "")
    if os.environ.get("TF_CPU_ALLOCATOR_USE_BFC", "").lower() not in ("1", "true") or not limit.isdigit():
        return None
    return int(limit) * 2**20 - tf.config.experimental.get_memory_info("CPU:0")["current"]


def _gpus(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the names of the GPUs of this process, e.g. GPU:0."""
    devices = [tf.DeviceSpec.from_string(name) for name in strategy.extended.worker_devices]
    return [f"GPU:{device.device_index}" for device in devices if device.device_type == "GPU"]


def _free_bytes_of_devices(names: Sequence[str]) -> dict[str, int]:
    """Returns what TensorFlow may still take of each device that tells its limit, by the device's name.

    A GPU's limit is what was free on it when TensorFlow started, whether TensorFlow has taken all of it at once or lets
    its pool grow (TF_FORCE_GPU_ALLOW_GROWTH).
    """
    # Not a public module, but nothing else says how much of a GPU TensorFlow may take.
    from tensorflow.python.client import device_lib

    limits = {device.name.removeprefix("/device:"): device.memory_limit for device in device_lib.list_local_devices()}
    return {
        name: limits[name] - tf.config.experimental.get_memory_info(name)["current"]
        for name in names
        if limits.get(name)
    }


def _tpu_budgets(training_step: TrainingStep, live: Callable[[int, int], float]) -> list[_Budget]:
    """Returns the memory of a TPU core, if TPU_ACCELERATOR_TYPE in the environment names its generation.

    XLA fuses operations that the estimate counts one by one, and pads shapes to the TPU's tiles, which it does not
    count. No TPU has been tried.
    """
    generation = os.environ.get("TPU_ACCELERATOR_TYPE", "").partition("-")[0]
    if generation not in _TPU_GIB:
        logging.info("TPU_ACCELERATOR_TYPE does not name a known TPU, so memory is not checked before training")
        return []
    variables = (*training_step.model.variables, *training_step.optimizer.variables)
    held = sum(4 * math.prod(variable.shape) for variable in variables)
    free = _TPU_GIB[generation] * 2**30 - held
    return [_Budget(place=f"a core of a TPU {generation}", most=free, free=free, needs=live)]
