"""What TF_CONFIG says of this machine, next to what TensorFlow makes of it."""

import json

import pytest
import tensorflow as tf

from components.errors import UserError
from components.trainer import TrainerConfig, devices
from pipeline.runner import standalone

WORKERS, WITH_CHIEF = {"worker": ["a:1", "b:1"]}, {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


def set_tf_config(monkeypatch, cluster, kind, index):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))


@pytest.fixture(autouse=True)
def no_tpu(monkeypatch):
    for name in ("TPU_NAME", "TPU_ACCELERATOR_TYPE", "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "lock"),
    [
        (WORKERS, "worker", 0, ".lock"),
        (WORKERS, "worker", 1, ".lock-worker-1"),
        (WORKERS, "worker", "1", ".lock-worker-1"),
        (WITH_CHIEF, "chief", 0, ".lock"),
        (WITH_CHIEF, "worker", 0, ".lock-worker-0"),
        (WITH_CHIEF, "worker", 1, ".lock-worker-1"),
    ],
)
@pytest.mark.parametrize("strategy", ["auto", "multi_worker"])
def test_one_of_the_machines_writes(monkeypatch, cluster, kind, index, lock, strategy):
    set_tf_config(monkeypatch, cluster, kind, index)
    task, resolver = devices.task(), tf.distribute.cluster_resolver.TFConfigClusterResolver()
    assert (task.type, task.index) == (resolver.task_type, resolver.task_id) == (kind, int(index))
    assert task.writes == (lock == ".lock")
    assert standalone._lock_name(TrainerConfig(strategy=strategy)) == lock
    assert devices.count_workers() == sum(map(len, cluster.values()))


def test_a_machine_alone_writes(monkeypatch):
    assert devices.task().writes
    set_tf_config(monkeypatch, WORKERS, "worker", 1)
    for strategy in ("one", "mirrored", "tpu"):  # They train apart from the others.
        assert standalone._lock_name(TrainerConfig(strategy=strategy)) == ".lock"
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "v5litepod-8")
    assert standalone._lock_name(TrainerConfig(strategy="auto")) == ".lock"


def test_an_index_that_is_no_number_is_refused(monkeypatch):
    set_tf_config(monkeypatch, WORKERS, "worker", "first")
    with pytest.raises(UserError, match="TF_CONFIG does not say which machine this is: set it to"):
        devices.task()


def test_a_wrong_tf_config_takes_no_lock_of_the_machine_that_writes(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": WORKERS}))
    with pytest.raises(UserError, match="TF_CONFIG does not say which machine this is"):
        standalone._lock_name(TrainerConfig(strategy="multi_worker"))
