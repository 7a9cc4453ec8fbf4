"""Says where the Trainer would train, without TensorFlow, which takes seconds to load."""

import dataclasses
import json
import os

from components.errors import UserError

TF_CONFIG = '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}'
"""An example for messages."""

LOCAL_TPU = "local"
"""The `trainer.tpu` that names the TPU of this machine."""


def choose_strategy(*, tpu: str) -> str:
    """Returns the strategy that "auto" stands for, or "auto" if only the GPUs of this machine decide it.

    A TPU shows by its name, by TPU_NAME, by TPU_ACCELERATOR_TYPE, or by /dev/accel0. From v5e on it has no such device,
    but /dev/vfio, which other devices have, too.

    Args:
        tpu: The name of the TPU, `trainer.tpu`.

    Raises:
        UserError: See `count_workers`.
    """
    is_named = tpu != LOCAL_TPU or "TPU_NAME" in os.environ or os.environ.get("TPU_ACCELERATOR_TYPE")
    if is_named or os.path.exists("/dev/accel0"):
        return "tpu"
    if count_workers() > 1:
        return "multi_worker"
    return "auto"


def trains_on_tpu(strategy: str, *, tpu: str) -> bool:
    """Returns whether `trainer.strategy` and `trainer.tpu` lead to a TPU on this machine.

    Raises:
        UserError: See `count_workers`.
    """
    return strategy == "tpu" or (strategy == "auto" and choose_strategy(tpu=tpu) == "tpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Which of the machines that train together this one is.

    Attributes:
        type: "chief", "worker" or another one of TF_CONFIG.
        index: Its number among those of its type, from 0.
        writes: Whether it writes the files. One machine does: the chief, or the first worker where there is no chief.
    """

    type: str
    index: int
    writes: bool


def task() -> Task:
    """Returns what TF_CONFIG says of this machine; without TF_CONFIG it is the only one.

    Raises:
        UserError: See `count_workers`.
    """
    cluster, task = _read_tf_config()
    if not cluster:
        return Task(type="worker", index=0, writes=True)
    try:
        kind, index = task["type"], int(task["index"])
    except (ValueError, TypeError) as error:
        raise _unknown_machine() from error
    writes = kind == "chief" or (kind == "worker" and index == 0 and "chief" not in cluster)
    return Task(type=kind, index=index, writes=writes)


def count_workers() -> int:
    """Returns the number of machines in TF_CONFIG that train.

    Raises:
        UserError: TF_CONFIG is not JSON, or does not say which of the machines this is.
    """
    cluster, _ = _read_tf_config()
    return len(cluster.get("chief", ())) + len(cluster.get("worker", ()))


def _read_tf_config() -> tuple[dict[str, list[str]], dict[str, object]]:
    """Returns the cluster and the task of TF_CONFIG; both are empty without TF_CONFIG.

    Raises:
        UserError: See `count_workers`.
    """
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not JSON ({error}): correct it, or unset it.") from error
    task = config.get("task", {}) if isinstance(config, dict) else None
    if not isinstance(task, dict) or ("cluster" in config and not {"type", "index"} <= set(task)):
        raise _unknown_machine()
    return config.get("cluster", {}), task


def _unknown_machine() -> UserError:
    return UserError(f"TF_CONFIG does not say which machine this is: set it to {TF_CONFIG}, or unset it.")
