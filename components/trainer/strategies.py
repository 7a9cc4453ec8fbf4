"""Distribution strategies: one device, the GPUs of one machine, the GPUs of several machines, or a TPU."""

import contextlib
import os
import re
from collections.abc import Iterator

import tensorflow as tf

from beam_jobs import error_text
from components.errors import UserError
from components.trainer import devices

_LOST_MACHINE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
# What TensorFlow says of other machines, but not of storage, whose errors have the same types.
_ON_MACHINES = re.compile(r"Collective ops|heartbeat timeout|/job:\w+/(replica:\d+/)?task:\d")
_PLACE = ("Graph execution error", "Detected at", "<stack", " ", "\t")


def make(name: str, *, tpu: str = devices.LOCAL_TPU) -> tf.distribute.Strategy:
    """Returns the distribution strategy with the given name. Call it before any other use of TensorFlow.

    Args:
        name: "one", "mirrored", "multi_worker", "tpu" or "auto". "auto" is a TPU if there is one, otherwise several
            machines if TF_CONFIG names them, otherwise all GPUs of this machine if there are at least two, otherwise
            one device.
        tpu: Name of the TPU. "local" for the TPU of this machine, or with "auto" for that of TPU_NAME if it is set.

    Raises:
        UserError: The TPU does not exist, or TF_CONFIG does not name the machines.
    """
    if name == "auto":
        name = devices.choose_strategy(tpu=tpu)
        if tpu == devices.LOCAL_TPU:
            tpu = os.environ.get("TPU_NAME", tpu)
    if name == "tpu":
        return _tpu_strategy(tpu)
    if name == "multi_worker":
        if devices.count_workers() < 2:
            raise UserError(
                "trainer.strategy=multi_worker needs at least two machines in TF_CONFIG: set it to "
                f"{devices.TF_CONFIG}."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "one" or (name == "auto" and len(gpus) < 2):
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    replicas = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in replicas])


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the files. Of the processes that train together, one does."""
    return not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or devices.task().writes


def reads_elsewhere(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether TensorFlow reads the input of some replica in another process, which has no Python of ours.

    That is so on a slice of several TPU hosts, which one process drives. Machines of TF_CONFIG read for themselves.
    """
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    jobs = {tf.DeviceSpec.from_string(device).job for device in strategy.extended.worker_devices}
    return not jobs <= {None, "localhost"}


def input_hosts(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of hosts that read the input, each a part of it."""
    devices = [tf.DeviceSpec.from_string(device) for device in strategy.extended.worker_devices]
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):  # It names the devices of this host alone.
        return strategy.num_replicas_in_sync // len(devices)
    return len({(device.job, device.task) for device in devices})


def mean_over_hosts(strategy: tf.distribute.Strategy, value: float) -> float:
    """Returns the mean of a value that each host computed by itself.

    Hosts that decide by this mean, rather than by their own value, decide alike.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value
    replicas = strategy.run(lambda: tf.constant(value, tf.float64))
    return float(strategy.reduce(tf.distribute.ReduceOp.MEAN, replicas, axis=None))


@contextlib.contextmanager
def lost_machine_errors() -> Iterator[None]:
    """Turns TensorFlow's error when another machine of TF_CONFIG is gone into a `UserError`.

    TensorFlow misses the heartbeat of such a machine after some seconds, and aborts what waits for it.
    """
    try:
        yield
    except _LOST_MACHINE as error:
        # TensorFlow puts the place in the graph before the reason.
        lines = [line for line in error.message.splitlines() if line and not line.startswith(_PLACE)]
        if devices.count_workers() < 2 or not any(_ON_MACHINES.search(line) for line in lines):
            raise
        reason = lines[0].rstrip(".:")
        raise UserError(
            f"Another machine of TF_CONFIG has stopped or cannot be reached ({reason}): run the same command again on "
            "all machines, which continues from the last checkpoint."
        ) from error


def _tpu_strategy(name: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != devices.LOCAL_TPU:
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    # RuntimeError: Google's API client is missing. OSError: this is no machine of Google Cloud.
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = error_text.first_line(error)
        raise UserError(
            f"trainer.strategy=tpu: there is no TPU {name!r} ({reason}); name it with trainer.tpu, or choose another "
            "strategy; a TPU needs tensorflow-tpu instead of tensorflow, and a named one google-api-python-client and "
            "oauth2client, see deploy/tpu."
        ) from error
