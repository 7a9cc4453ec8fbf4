"""Where training runs: one device, the GPUs of a machine, those of several machines, or a TPU; one loop for all."""

import contextlib
import json
import os
from collections.abc import Iterator

import keras
import tensorflow as tf

from components.errors import UserError

_TF_CONFIG = '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}'


def make(name: str, *, tpu: str = "local") -> tf.distribute.Strategy:
    """The distribution strategy of that config name. Call it before anything else of TensorFlow.

    Args:
        name: "one", "mirrored", "multi_worker", "tpu", or "auto": a TPU where there is one, else several machines where
            TF_CONFIG names them, else all GPUs of this one where there are two.
        tpu: Name of the TPU; "local" for the one that this machine is of.

    Raises:
        UserError: if there is no such TPU, or TF_CONFIG does not name the machines.
    """
    if name == "auto":
        name, tpu = _found(), os.environ.get("TPU_NAME", tpu)
    if name == "tpu":
        return _tpu(tpu)
    if name == "multi_worker":
        if _workers() < 2:
            raise UserError(
                f"trainer.strategy=multi_worker needs at least two machines in TF_CONFIG: set it to {_TF_CONFIG}."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "one" or (name == "auto" and len(gpus) < 2):
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    return tf.distribute.MirroredStrategy([device.name for device in gpus or tf.config.list_logical_devices("CPU")])


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one, of all that train together, that writes."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    resolver = strategy.cluster_resolver
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and not resolver.task_id


def agreed(strategy: tf.distribute.Strategy, value: float) -> float:
    """A figure that every process worked out by itself, the same in all: what is decided by it must be, too."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value
    replicas = strategy.run(lambda: tf.constant(value, tf.float64))
    return float(strategy.reduce(tf.distribute.ReduceOp.MEAN, replicas, axis=None))


@contextlib.contextmanager
def precision(name: str, *, strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Within the block layers are built to compute in "float32" or "bfloat16"; "auto" is bfloat16 on a TPU."""
    if name == "auto":
        name = "bfloat16" if isinstance(strategy, tf.distribute.TPUStrategy) else "float32"
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if name == "bfloat16" else name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _found() -> str:
    if "TPU_NAME" in os.environ or os.path.exists("/dev/accel0"):
        return "tpu"
    return "multi_worker" if _workers() > 1 else "auto"


def _workers() -> int:
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    except ValueError as error:
        raise UserError(f"TF_CONFIG is no JSON ({error}): correct it, or unset it.") from error
    named = config.get("task", {}) if isinstance(config, dict) else None
    if not isinstance(named, dict) or ("cluster" in config and not {"type", "index"} <= set(named)):
        raise UserError(f"TF_CONFIG does not say which machine this is: set it to {_TF_CONFIG}, or unset it.")
    return sum(len(config.get("cluster", {}).get(kind, ())) for kind in ("chief", "worker"))


def _tpu(name: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"trainer.strategy=tpu: there is no TPU {name!r} ({reason}); name it with trainer.tpu, or choose another "
            "strategy. It needs tensorflow-tpu in TensorFlow's place, see deploy/tpu."
        ) from error
