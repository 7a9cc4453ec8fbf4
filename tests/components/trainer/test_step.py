import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.audio import pcm
from components.trainer import input_pipeline, schedules, step
from models import contrastive
from tests.components.trainer import cluster, training


@pytest.mark.parametrize(
    ("way", "replicas"),
    [
        ("one encoder", 2),
        pytest.param("in whole batches", 2, marks=pytest.mark.slow),
        pytest.param("all pairs", 2, marks=pytest.mark.slow),
        pytest.param("in whole batches", 4, marks=pytest.mark.slow),
        pytest.param("in micro-batches", 2, marks=pytest.mark.slow),
        pytest.param("in micro-batches", 4, marks=pytest.mark.slow),
    ],
)
def test_replicas_train_as_one_device_on_the_same_global_batch(examples, one_device, tmp_path, way, replicas):
    """This includes augmentation, mixing partners, dropout, synchronized batch norm, the norms and gradient caching."""
    output = tmp_path / "result"
    arguments = [way, str(examples), str(output), str(replicas)]
    command = [sys.executable, "-m", "tests.components.trainer.train_replicas", *arguments]
    process = subprocess.Popen(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    expected = training.train_on_replicas(way, examples, strategy=one_device)
    assert process.wait() == 0
    replicated = pickle.loads(output.read_bytes())
    np.testing.assert_allclose(replicated.losses, expected.losses, rtol=5e-5)
    assert training.distance(replicated.weights, expected.weights) < 5e-5
    for name in step.NORM_LOGS:
        assert replicated.logs[name] == pytest.approx(expected.logs[name], rel=1e-3), name
    if expected.validated:
        _check_validated_alike(replicated, expected)
    # One device resumes from the checkpoint of several replicas.
    settings = training.config(**training.REPLICA_CONFIGS[way])
    setup = training.set_up(settings, strategy=one_device, optimizer=training.sgd)
    assert training.checkpoints(setup, f"{output}.checkpoints").step == training.REPLICA_STEPS
    for restored, saved in zip(setup.model.get_weights(), replicated.weights, strict=True):
        np.testing.assert_array_equal(restored, saved)


def test_the_objective_all_is_the_mean_of_four_losses(examples, one_device):
    """The same projections come from the model called once for each order of the crops."""
    settings = training.config(**training.ANY_ORDER, objective="all", temperature=0.3)
    setup = training.set_up(settings, strategy=one_device)
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=setup.model.crop_samples, seed=0)
    batch = next(iter(input_pipeline.training_batches(examples, options, with_ids=False)))
    loss, _ = setup.loss(setup.project(batch, index=0))
    crops = [pcm.to_float(batch[name]) for name in "ab"]
    (a_in_a, b_in_b), (b_in_a, a_in_b) = (
        setup.model(ordered, training=True) for ordered in (crops, [crops[1], crops[0]])
    )
    pairs = [(a_in_a, b_in_b), (b_in_a, a_in_b), (a_in_a, b_in_a), (a_in_b, b_in_b)]
    expected = np.mean([contrastive.nt_xent(*pair, temperature=0.3) for pair in pairs])
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_initial_temperature_changes_linearly():
    settings = training.config(initial_temperature=0.5, temperature_steps=10, temperature=0.1)
    schedule = schedules.temperature(settings)
    values = [float(schedule(tf.constant(done, tf.int64))) for done in (0, 5, 10, 50)]
    np.testing.assert_allclose(values, [0.5, 0.3, 0.1, 0.1], rtol=1e-6)


def test_mixing_grows_from_none_to_that_of_the_paper(examples, one_device):
    only_mixing = {**training.ONE_ENCODER, "model__augment_b__time_mask_seconds": 0.0}
    unmixed = {"model__augment_a__mixing": False, "model__augment_b__mixing": False}
    growing, whole, none = (
        training.set_up(training.config(**only_mixing, **changes), strategy=one_device)
        for changes in ({"mixing_steps": 4}, {}, unmixed)
    )
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=growing.model.crop_samples, seed=0)
    batch = next(iter(input_pipeline.training_batches(examples, options, with_ids=False)))

    def difference(other, *, steps_done):
        for one in (growing, other):
            one.optimizer.iterations.assign(steps_done)
        pairs = zip(growing.project(batch, index=0), other.project(batch, index=0), strict=True)
        return max(float(tf.reduce_max(tf.abs(mine - theirs))) for mine, theirs in pairs)

    assert difference(none, steps_done=0) < 1e-5
    assert difference(none, steps_done=1) > 1e-3 < difference(whole, steps_done=1)
    assert difference(whole, steps_done=4) < 1e-5 > difference(whole, steps_done=9)
    growing.optimizer.iterations.assign(1)
    assert (float(growing.mixing_share()), whole.mixing_share()) == (0.25, 1.0)


@pytest.mark.slow
def test_the_first_step_has_the_initial_temperature(examples, one_device):
    settings = training.config(initial_temperature=0.5, temperature_steps=10, temperature=0.1)
    arguments = {"strategy": one_device, "steps": 1}
    warm = training.train(settings, examples, **arguments)
    assert warm.losses == training.train(training.config(temperature=0.5), examples, **arguments).losses


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_step_of_a_replica_compiles_under_xla(examples, one_device, precision):
    """A TPU needs static shapes, no strings, and only operations that XLA has. XLA draws other random numbers."""
    setup = training.set_up(training.config(**training.ANY_ORDER, precision=precision), strategy=one_device)
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=setup.model.crop_samples, seed=0)
    batches = input_pipeline.training_batches(examples, options, with_ids=False)
    compiled = tf.function(setup.run_on_replica, jit_compile=True, autograph=False)
    losses = [float(compiled(batch)[0]) for batch in batches.take(2)]
    expected = training.train(training.config(**training.ANY_ORDER), examples, strategy=one_device, steps=2)
    np.testing.assert_allclose(losses, expected.losses, rtol=1e-3 if precision == "float32" else 0.05)


def test_the_time_of_arrival_is_taken_before_the_work_on_the_batch():
    dataset = tf.data.Dataset.from_tensors({"a": tf.ones(4), "b": tf.ones(4)})

    @tf.function
    def take(iterator):
        batch, wait_s = step.timed_next(iterator)
        return tf.math.add_n(list(batch.values())), wait_s

    iterator = iter(dataset)
    (work,) = [op for op in take.get_concrete_function(iterator).graph.get_operations() if op.type == "AddN"]
    for part in work.inputs:
        (arrived,) = part.op.control_inputs
        assert arrived.type == "Timestamp"
        assert "IteratorGetNext" in {op.type for op in arrived.control_inputs}
    total, wait_s = take(iterator)
    assert total.numpy().tolist() == [2, 2, 2, 2]
    assert 0 <= float(wait_s) < 60


def test_a_keras_that_sums_gradients_in_an_unknown_way_is_refused(one_device, monkeypatch):
    """They would be summed twice without a word."""
    (owner,) = [cls for cls in keras.optimizers.SGD.__mro__ if "_all_reduce_sum_gradients" in vars(cls)]
    monkeypatch.delattr(owner, "_all_reduce_sum_gradients")
    with pytest.raises(RuntimeError, match=rf"keras {keras.__version__} .*summed twice"):
        training.set_up(training.config(), strategy=one_device)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["one encoder", "without mixing", "in micro-batches"])
def test_two_processes_train_as_one(examples, tmp_path, one_device, way):
    """A host reads a half of each batch. Crops, mixing partners, other augmentations and dropout stay the same."""
    arguments = [way, str(examples), str(tmp_path / "result")]
    command = [sys.executable, "-m", "tests.components.trainer.train_worker", *arguments]
    workers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for environment in cluster.environments(2)
    ]
    expected = training.train_on_replicas(way, examples, strategy=one_device)
    for worker in workers:
        assert "mean over hosts: 0.5" in worker.communicate(timeout=280)[0]
        assert worker.returncode == 0
    trained = pickle.loads((tmp_path / "result").read_bytes())
    np.testing.assert_allclose(trained.losses, expected.losses, rtol=5e-5)
    assert training.distance(trained.weights, expected.weights) < 5e-5
    if expected.validated:
        _check_validated_alike(trained, expected)


def _check_validated_alike(on_replicas, on_one):
    figures, expected = on_replicas.validated.figures, on_one.validated.figures
    ranks = [name for name in expected if name.startswith("effective_rank_")]
    assert ranks
    for name in ("loss", *ranks):
        assert figures[name] == pytest.approx(expected[name], rel=1e-3), name
