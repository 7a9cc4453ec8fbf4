import dataclasses
import re

import pytest
import tensorflow as tf

from beam_jobs import examples as stored
from components import host_memory
from components.errors import UserError
from components.trainer import checks, live_tensors, memory
from pipeline.configs import overrides, presets
from tests.components.trainer import training


@pytest.fixture
def one_device():
    return tf.distribute.OneDeviceStrategy("cpu:0")


@pytest.fixture
def info(examples):
    return dataclasses.replace(stored.read_info(examples), splits={"train": 40})


def _graph(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    return traced.graph, traced.outputs


def test_a_tensor_lives_from_its_operation_to_its_last_reader():
    def function(x):
        first = tf.concat([x, x], axis=0)  # 2,000 bytes, read last
        second = tf.concat([first, first], axis=0)  # 4,000 bytes, read once
        return tf.reduce_sum(second) + tf.reduce_sum(first)

    assert live_tensors.peak_bytes(*_graph(function, (250,))) == 6000


def test_a_reshaped_tensor_and_equal_casts_take_no_memory_of_their_own():
    def function(x):
        doubled = tf.concat([x, x], axis=0)  # 2,000 bytes
        halves = [tf.cast(tf.reshape(doubled, (2, -1)), tf.bfloat16) for _ in range(3)]  # 1,000 bytes, once
        return tf.concat([tf.reshape(half, (-1,)) for half in halves], axis=0)  # 3,000 bytes

    assert live_tensors.peak_bytes(*_graph(function, (250,))) == 4000


def _limited(monkeypatch, free):
    limit = host_memory.Limit(place="this machine", total=free, free=free)
    monkeypatch.setattr(host_memory, "limits", lambda: [limit])


def _refusal(config, *, strategy, info):
    with pytest.raises(UserError) as error:
        memory.check(training.set_up(config, strategy=strategy), config=config, info=info)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "share", "fields"),
    [
        ({"batch_size": 32}, 0.5, r"micro_batch=(4|8|16), which"),
        ({"batch_size": 30}, 0.5, r"micro_batch=(10|6|5) trainer.model.mixing_group=(2|3|5), which"),
        ({"batch_size": 31}, 0.6, r"batch_size=\d+ trainer.micro_batch=\d+"),
        ({"batch_size": 32, "micro_batch": 16}, 0.7, r"micro_batch=(4|8), which"),
    ],
)
def test_the_refusal_names_fields_that_fit_and_are_valid(one_device, info, monkeypatch, changes, share, fields):
    """The limit lies between what a micro-batch of 2 and the refused one need."""
    config = training.config(**changes, precision="float32", model__crop_seconds=1.0, model__width=0.125)
    setup = training.set_up(config, strategy=one_device)
    host = memory.HostMemory(setup, config=config, info=info)
    least, needs = (host.needs(micro_batch, config.batch_size) for micro_batch in (2, setup.micro_batch))
    _limited(monkeypatch, int(least + share * (needs - least)))
    message = _refusal(config, strategy=one_device, info=info)
    assert message.count("\n") == 0
    assert message.startswith("Training needs about ")
    assert re.search(f"use trainer.{fields}", message)
    assignments = re.findall(r"trainer\.([a-z_.]+)=(\d+)", message)
    changed = overrides.replace(config, {name: int(value) for name, value in assignments})
    checks.check_batch_size(changed, replicas=1)
    memory.check(training.set_up(changed, strategy=one_device), config=changed, info=info)


def test_what_no_micro_batch_makes_fit_has_another_way_out(one_device, info, monkeypatch):
    _limited(monkeypatch, 2**20)
    message = _refusal(training.config(), strategy=one_device, info=info)
    assert "and this machine has 1 MiB free; even trainer.micro_batch=2 needs about" in message
    assert message.endswith("or train where there is more memory.")


def test_replicas_of_one_machine_share_its_memory(info):
    config = training.config()
    devices = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    setup = training.set_up(config, strategy=strategy)
    host = memory.HostMemory(setup, config=config, info=info)
    live = memory.StepMemory(setup).live_bytes(setup.micro_batch, setup.micro_batch)
    assert host.needs_of_pool(setup.micro_batch, setup.micro_batch) == len(devices) * memory._POOL_TO_LIVE * live


@pytest.mark.slow
def test_the_preset_final_fits_a_core_of_the_tpu_that_it_names(monkeypatch):
    config = presets.config("final").trainer
    assert config.micro_batch == 128
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "v3-32")
    settings = overrides.replace(config, {"precision": "bfloat16", "batch_size": 1024})  # A core's share.
    setup = training.set_up(settings, strategy=tf.distribute.OneDeviceStrategy("cpu:0"))
    estimate = memory.StepMemory(setup)
    (budget,) = memory._tpu_budgets(setup, estimate.live_bytes)
    assert budget.place == "a core of a TPU v3"
    assert estimate.live_bytes(128, 1024) < budget.free < estimate.live_bytes(256, 1024)
