import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.audio import pcm
from components.trainer import gradient_cache, input_pipeline, step
from pipeline.configs import overrides
from tests.components import stored_examples
from tests.components.trainer import training


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    clips = [(stored_examples.sound(i % 2, seconds=1.0, seed=i), (i % 2,), 0) for i in range(40)]
    folder = tmp_path_factory.mktemp("examples") / "examples"
    return stored_examples.write_examples(folder, {"train": clips}, label_names=("tone", "noise"))


@pytest.fixture(scope="module")
def one_device():
    return tf.distribute.OneDeviceStrategy("cpu:0")


@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_replicas_train_as_one_device_on_the_same_global_batch(examples, one_device, tmp_path, replicas):
    """Augmentation, mixing partners and synchronised batch norm included; and in parts, too."""
    output = tmp_path / "result"
    command = [sys.executable, "-m", "tests.components.trainer.training", str(examples), str(output), str(replicas)]
    other = subprocess.Popen(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    whole = training.train(training.config(), examples, strategy=one_device, steps=training.STEPS)
    parts = training.train(training.config(**training.IN_PARTS), examples, strategy=one_device, steps=3)
    assert other.wait() == 0
    for expected, found in zip((whole, parts), pickle.loads(output.read_bytes()), strict=True):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
        assert training.distance(found[2], expected[2]) < 1e-4
    # What several replicas have saved one device goes on from.
    setup = training.set_up(training.config(), strategy=one_device)
    assert training.checkpoints(setup, f"{output}.checkpoints").step == training.STEPS
    weights = pickle.loads(output.read_bytes())[0][2]
    for restored, saved in zip(setup.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(restored, saved)


@pytest.mark.parametrize("micro_batch", [4, 8])
def test_gradient_caching_gives_the_gradient_of_the_whole_batch(examples, one_device, micro_batch):
    """After one step the momentum is the gradient."""
    settings = {**training.GROUP_NORM, "temperature": 0.01}
    arguments = {"strategy": one_device, "steps": 1, "optimizer": lambda: keras.optimizers.SGD(1.0, momentum=0.9)}
    _, logs, _, whole = training.train(training.config(**settings), examples, **arguments)
    _, cached_logs, _, cached = training.train(
        training.config(**settings, micro_batch=micro_batch), examples, **arguments
    )
    assert training.distance(cached[2:], whole[2:]) < 1e-5
    for name, value in logs.items():
        if name != "input_wait_s":
            assert cached_logs[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_with_dropout_and_batch_norm_the_second_pass_repeats_the_first(examples, one_device):
    """Of a batch in one part caching must be the plain step, or the gradient is of other projections than the loss."""
    arguments = {"strategy": one_device, "steps": 3, "optimizer": lambda: keras.optimizers.SGD(0.1)}
    settings = training.config(model__dropout=0.5, batch_size=8)
    losses, _, weights, _ = training.train(settings, examples, **arguments)
    cached_losses, _, cached, _ = training.train(settings, examples, **arguments, caching=True)
    np.testing.assert_allclose(cached_losses, losses, rtol=1e-5)
    assert training.distance(cached, weights) < 1e-5


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_the_step_of_a_replica_compiles_under_xla(examples, one_device, precision):
    """What a TPU asks of it: static shapes, no strings, and operations that XLA knows. It draws by itself, though."""
    settings = training.config(**training.WHOLE_CLIPS)
    setup = training.set_up(overrides.replace(settings, {"precision": precision}), strategy=one_device)
    batches = input_pipeline.training_batches(
        examples, batch_size=16, crop_samples=setup.model.crop_samples, seed=0, with_ids=False
    )
    compiled = tf.function(setup.step_on_replica, jit_compile=True)
    losses = [float(compiled(batch)[0]) for batch in batches.take(2)]
    expected, _, _, _ = training.train(settings, examples, strategy=one_device, steps=2)
    np.testing.assert_allclose(losses, expected, rtol=1e-3 if precision == "float32" else 0.05)


@pytest.mark.slow
def test_the_parts_of_gradient_caching_compile_under_xla(examples, one_device):
    """As `test_the_step_of_a_replica_compiles_under_xla`; they are functions of their own, with loops between them."""
    settings = training.config(**training.IN_PARTS, **training.WHOLE_CLIPS)
    setup = training.set_up(settings, strategy=one_device)
    cache = gradient_cache.Cache(setup)
    begin, embed, differentiate, pull_back, update = (
        tf.function(part, jit_compile=True)
        for part in (cache.begin, cache.embed, cache.differentiate, cache.pull_back, cache.update)
    )
    batches = input_pipeline.training_batches(
        examples, batch_size=16, micro_batch=4, crop_samples=setup.model.crop_samples, seed=0, with_ids=False
    )
    batch, losses = [], []
    for micro_batch in batches.take(8):
        batch.append(micro_batch)
        if len(batch) == setup.micro_batches:
            begin()
            for part, each in enumerate(batch):
                embed(each, tf.constant(part))
            losses.append(float(differentiate()[0]))
            for part, each in enumerate(batch):
                pull_back(each, tf.constant(part))
            update()
            batch = []
    expected, _, _, _ = training.train(settings, examples, strategy=one_device, steps=2)
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


@pytest.mark.slow
def test_caching_in_bfloat16(examples, one_device):
    settings = training.config(precision="bfloat16", **training.IN_PARTS)
    losses, _, _, _ = training.train(settings, examples, strategy=one_device, steps=2)
    expected, _, _, _ = training.train(training.config(**training.IN_PARTS), examples, strategy=one_device, steps=2)
    np.testing.assert_allclose(losses, expected, rtol=0.05)


def test_validation_leaves_the_model_as_it_is_and_falls_when_it_learns(examples, one_device):
    """With batch norm in the projector, whose running statistics are of both branches and fit neither."""
    settings = training.config(learning_rate=5e-3, batch_size=16)
    batch = next(iter(input_pipeline.training_batches(examples, batch_size=16, crop_samples=8000, seed=1)))
    losses = []

    def look(model):
        before = model.get_weights()
        features = [model.encode(i, pcm.to_float(batch["ab"[i]]), training=False) for i in range(2)]
        losses.append(float(step.make_validation(model, temperature=0.1)(*features)[0]["loss"]))
        for found, expected in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(found, expected)

    training.train(settings, examples, strategy=one_device, steps=40, every=(20, look))
    assert losses[1] < losses[0] - 0.5


WORKER = """
import json, os, pickle, sys
from tests.components.trainer import training
from components.trainer import strategies
strategy = strategies.make("multi_worker")
examples, output = sys.argv[1:]
result = training.train(training.config(**training.WHOLE_CLIPS), examples, strategy=strategy, steps=training.STEPS)
if strategies.is_chief(strategy):
    with open(output, "wb") as file:
        pickle.dump(result, file)
print("the same for all:", strategies.agreed(strategy, float(strategies.is_chief(strategy))))
"""


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path, one_device):
    """Each step sees every clip, because two hosts deal them out in another order; a crop is a whole clip."""
    clips = [(stored_examples.sound(i % 2, seconds=0.5, seed=i), (i % 2,), 0) for i in range(16)]
    examples = stored_examples.write_examples(tmp_path / "examples", {"train": clips})
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(examples), str(tmp_path / "result")],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for environment in training.environments(2)
    ]
    losses, _, weights, _ = training.train(
        training.config(**training.WHOLE_CLIPS), examples, strategy=one_device, steps=training.STEPS
    )
    for worker in workers:
        assert "the same for all: 0.5" in worker.communicate(timeout=280)[0]
        assert worker.returncode == 0
    found = pickle.loads((tmp_path / "result").read_bytes())
    np.testing.assert_allclose(found[0], losses, rtol=1e-4)
    assert training.distance(found[2], weights) < 1e-4
