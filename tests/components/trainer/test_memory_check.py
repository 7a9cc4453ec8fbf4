import dataclasses
import re

import pytest
import tensorflow as tf

from components import host_memory
from components.errors import UserError
from components.trainer import checks, memory, memory_check
from pipeline.configs import overrides, presets
from tests.components.trainer import trainer_runs, training


def _limited(monkeypatch, *, most, free=None):
    """Bounds the memory: what other processes hold is `most - free`."""
    limit = host_memory.Limit(place="this machine", total=most, free=most if free is None else free, most=most)
    monkeypatch.setattr(host_memory, "limits", lambda: [limit])


def _check(config, *, strategy, info, resumed=False):
    memory_check.check(training.set_up(config, strategy=strategy), config=config, info=info, resumed=resumed)


def _refusal(config, *, strategy, info):
    with pytest.raises(UserError) as error:
        _check(config, strategy=strategy, info=info)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "share", "fields"),
    [
        ({"batch_size": 32, **training.ONE_ENCODER}, 0.5, r"micro_batch=(4|8|16), which"),
        pytest.param({"batch_size": 32}, 0.5, r"micro_batch=(4|8|16), which", marks=pytest.mark.slow),
        pytest.param(
            {"batch_size": 30},
            0.5,
            r"micro_batch=(10|6|5) trainer.model.mixing_group=(2|3|5), which",
            marks=pytest.mark.slow,
        ),
        pytest.param({"batch_size": 31}, 0.6, r"batch_size=\d+ trainer.micro_batch=\d+", marks=pytest.mark.slow),
        pytest.param({"batch_size": 32, "micro_batch": 16}, 0.7, r"micro_batch=(4|8), which", marks=pytest.mark.slow),
    ],
)
def test_the_refusal_names_fields_that_fit_and_are_valid(one_device, info, monkeypatch, changes, share, fields):
    """The limit lies between what a micro-batch of 2 and the refused one need."""
    config = training.config(**changes, precision="float32", model__crop_seconds=1.0, model__width=0.125)
    setup = training.set_up(config, strategy=one_device)
    host = memory.HostMemory(setup, config=config, info=info)
    least, needs = (host.needs(micro_batch, config.batch_size) for micro_batch in (2, setup.micro_batch))
    _limited(monkeypatch, most=int(least + share * (needs - least)))
    message = _refusal(config, strategy=one_device, info=info)
    assert message.count("\n") == 0
    assert message.startswith("Training needs about ")
    assert re.search(f"use trainer.{fields}", message)
    assignments = re.findall(r"trainer\.([a-z_.]+)=(\d+)", message)
    changed = overrides.replace(config, {name: int(value) for name, value in assignments})
    checks.check_batch_size(changed, replicas=1)
    _check(changed, strategy=one_device, info=info)


def test_what_no_micro_batch_makes_fit_is_refused_at_the_start_and_else_a_warning(
    one_device, info, monkeypatch, caplog
):
    config = training.config(**training.ONE_ENCODER)
    setup = training.set_up(config, strategy=one_device)
    advice = (
        r"choose a lower trainer.model.width, .* \(even trainer.micro_batch=2 needs about .*\), or train where .*\."
    )
    _limited(monkeypatch, most=2**20)
    with pytest.raises(UserError, match=f"and this machine has at most 1 MiB for it: {advice}"):
        memory_check.check(setup, config=config, info=info, resumed=False)
    with caplog.at_level("WARNING", logger="absl"):
        memory_check.check(setup, config=config, info=info, resumed=True)
        _limited(monkeypatch, most=2**50, free=2**20)
        memory_check.check(setup, config=config, info=info, resumed=False)
    of_resumed, now = caplog.messages
    assert re.search(f"and this machine has at most 1 MiB for it: {advice}", of_resumed)
    assert re.search(f"and this machine has only 1 MiB free now: end other programs, or {advice}", now)


def test_clips_that_are_held_to_shuffle_are_named_where_only_they_do_not_fit(one_device, info, monkeypatch):
    config = training.config(**training.ONE_ENCODER, clips_per_read=8)
    one_by_one = overrides.replace(config, {"clips_per_read": 1})
    many = dataclasses.replace(info, splits={"train": 10**6})
    setup = training.set_up(config, strategy=one_device)
    enough = memory.HostMemory(setup, config=one_by_one, info=many).needs(setup.micro_batch, config.batch_size)
    _limited(monkeypatch, most=int(1.01 * enough))
    memory_check.check(setup, config=one_by_one, info=many, resumed=False)
    with pytest.raises(UserError, match=r"choose a lower trainer\.clips_per_read, a lower trainer\.model\.width, "):
        memory_check.check(setup, config=config, info=many, resumed=False)


@pytest.mark.slow
def test_memory_that_other_programs_hold_is_a_warning_with_a_smaller_micro_batch(one_device, info, monkeypatch, caplog):
    _limited(monkeypatch, most=2**50, free=2**32)
    config = training.config(batch_size=4096, precision="float32", model__width=0.125)
    with caplog.at_level("WARNING", logger="absl"):
        _check(config, strategy=one_device, info=info)
    (message,) = caplog.messages
    assert "and this machine has only 4.0 GiB free now: end other programs, or use trainer.micro_batch=" in message


@pytest.mark.slow
def test_a_training_that_has_taken_steps_is_warned_and_goes_on(inputs, tmp_path, monkeypatch, caplog):
    with pytest.raises(KeyboardInterrupt):
        trainer_runs.execute(trainer_runs.config(), inputs, tmp_path, progress=trainer_runs.StopsAt(3))
    _limited(monkeypatch, most=2**20)
    with caplog.at_level("WARNING", logger="absl"):
        resumed = trainer_runs.execute(trainer_runs.config(), inputs, tmp_path)
    assert resumed.progress.updates[0][0] == 4
    assert any("and this machine has at most 1 MiB for it" in message for message in caplog.messages)
    with pytest.raises(UserError, match="and this machine has at most 1 MiB for it"):
        trainer_runs.execute(trainer_runs.config(), inputs, tmp_path / "new")


def test_training_goes_on_without_an_estimate(one_device, info, monkeypatch, caplog):
    def fail():
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(host_memory, "limits", fail)
    config = training.config(**training.ONE_ENCODER)
    with caplog.at_level("WARNING", logger="absl"):
        _check(config, strategy=one_device, info=info)
    assert caplog.messages == ["memory is not checked before training (FileNotFoundError: /proc/meminfo)"]


def test_tensorflow_says_how_much_a_device_gives():
    """On the CPU, because there is no GPU here. Devices that do not exist are left out."""
    tf.config.list_logical_devices()
    assert memory_check._free_bytes_of_devices(["CPU:0", "GPU:7"])["CPU:0"] > 0
    assert set(memory_check._free_bytes_of_devices(["CPU:0", "GPU:7"])) == {"CPU:0"}


def test_on_a_gpu_the_host_holds_the_clips(one_device, info, monkeypatch):
    """The GPU is the CPU under another name."""
    config = training.config(**training.ONE_ENCODER)
    setup = training.set_up(config, strategy=one_device)
    monkeypatch.setattr(memory_check, "_gpus", lambda strategy: ["CPU:0"])
    host, (gpu, *limits) = (
        memory.HostMemory(setup, config=config, info=info),
        memory_check._budgets(setup, config=config, info=info),
    )
    assert gpu.place == "CPU:0"
    assert gpu.needs(16, 16) == host.needs_of_pool(16, 16)
    assert limits
    assert all(limit.needs(16, 16) == host.input_bytes(16, 16) < host.needs(16, 16) for limit in limits)


@pytest.mark.slow
def test_the_preset_final_fits_a_core_of_the_tpu_that_it_names(monkeypatch):
    config = presets.config("final").trainer
    assert config.micro_batch == 128
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "v3-32")
    settings = overrides.replace(config, {"precision": "bfloat16", "batch_size": 1024})  # A core's share.
    setup = training.set_up(settings, strategy=tf.distribute.OneDeviceStrategy("cpu:0"))
    estimate = memory.StepMemory(setup)
    (budget,) = memory_check._tpu_budgets(setup, estimate.live_bytes)
    assert budget.place == "a core of a TPU v3"
    assert estimate.live_bytes(128, 1024) < budget.free < estimate.live_bytes(256, 1024)
