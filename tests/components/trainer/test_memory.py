import dataclasses

import pytest
import tensorflow as tf

from components.trainer import clip_order, memory, strategies
from models import contrastive
from tests.components.trainer import training


def test_activations_grow_with_the_clips(one_device):
    """Those of other micro-batches than the first two are not traced."""
    setup = training.set_up(training.config(**training.ONE_ENCODER), strategy=one_device)
    follows, traced = memory.StepMemory(setup), memory.StepMemory(setup)
    for micro_batch in (2, 16):
        follows.live_bytes(micro_batch, 16)
    assert follows.live_bytes(4, 16) == pytest.approx(traced.live_bytes(4, 16), rel=0.02)


def test_the_loss_takes_a_block_of_similarities(one_device, monkeypatch):
    setup = training.set_up(training.config(**training.ONE_ENCODER), strategy=one_device)
    estimate = memory.StepMemory(setup)
    whole = estimate.live_bytes(16, 16)
    monkeypatch.setattr(contrastive, "MAX_SIMILARITIES", 100)
    assert whole - estimate.live_bytes(16, 16) == 4 * memory._LOSS_COPIES * (4 * 16 * 16 - 100)


def test_replicas_of_one_machine_share_its_memory(info):
    config = training.config(**training.ONE_ENCODER)
    devices = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    setup = training.set_up(config, strategy=strategy)
    host = memory.HostMemory(setup, config=config, info=info)
    live = memory.StepMemory(setup).live_bytes(setup.micro_batch, setup.micro_batch)
    assert host.needs_of_pool(setup.micro_batch, setup.micro_batch) == len(devices) * memory._POOL_TO_LIVE * live


@pytest.mark.parametrize(("clips", "window"), [(10**6, 256 * 8), (1000, 1000 // 4)])
def test_a_host_holds_windows_of_its_own_part_of_the_clips(info, one_device, monkeypatch, clips, window):
    monkeypatch.setattr(strategies, "input_hosts", lambda strategy: 4)
    setup = training.set_up(training.config(**training.ONE_ENCODER), strategy=one_device)
    of_split = dataclasses.replace(info, splits={"train": clips})
    one, several = (
        memory._clips_held(setup, config=training.config(clips_per_read=count), info=of_split) for count in (1, 8)
    )
    assert several - one == clip_order.WINDOWS * window
