import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer import gradient_cache, input_pipeline
from tests.components.trainer import training


@pytest.mark.parametrize(
    ("micro_batch", "changes"),
    [
        (4, {"pairs_per_clip": 2, **training.ONE_ENCODER}),
        pytest.param(4, {}, marks=pytest.mark.slow),
        pytest.param(8, {}, marks=pytest.mark.slow),
        pytest.param(8, {"objective": "all"}, marks=pytest.mark.slow),
    ],
    ids=["one encoder", "4", "8", "all"],
)
def test_gradient_caching_gives_the_gradient_of_the_whole_batch(examples, one_device, micro_batch, changes):
    """After one step the momentum is the gradient. Dropout masks are those of the whole batch, too."""
    settings = {**training.GROUP_NORM, "temperature": 0.01, "model__dropout": 0.5, **changes}
    arguments = {"strategy": one_device, "steps": 1, "optimizer": lambda: keras.optimizers.SGD(1.0, momentum=0.9)}
    whole = training.train(training.config(**settings), examples, **arguments)
    cached = training.train(training.config(**settings, micro_batch=micro_batch), examples, **arguments)
    assert training.distance(cached.optimizer_variables[2:], whole.optimizer_variables[2:]) < 1e-5
    for name, value in whole.logs.items():
        if name != "input_wait_s":
            assert cached.logs[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.slow
def test_with_dropout_and_batch_norm_the_third_pass_repeats_the_first(examples, one_device):
    """With one micro-batch, caching must equal the plain step. Otherwise the gradient is not that of the loss."""
    arguments = {"strategy": one_device, "steps": 3, "optimizer": lambda: keras.optimizers.SGD(0.1)}
    settings = training.config(model__dropout=0.5, batch_size=8)
    plain = training.train(settings, examples, **arguments)
    cached = training.train(settings, examples, **arguments, caching=True)
    np.testing.assert_allclose(cached.losses, plain.losses, rtol=1e-5)
    assert training.distance(cached.weights, plain.weights) < 1e-5


@pytest.mark.slow
def test_the_passes_compile_under_xla(examples, one_device):
    """Each is compiled by itself, because the loops over micro-batches are between them."""
    settings = training.config(**training.IN_MICRO_BATCHES, **training.ANY_ORDER)
    setup = training.set_up(settings, strategy=one_device)
    cache = gradient_cache.GradientCache(setup)
    reset, embed, differentiate_loss, back_propagate, apply_gradients = (
        tf.function(function, jit_compile=True, autograph=False)
        for function in (
            cache.reset,
            cache.embed,
            cache.differentiate_loss,
            cache.back_propagate,
            cache.apply_gradients,
        )
    )
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=setup.model.crop_samples, seed=0)
    micro_batches = input_pipeline.training_batches(examples, options, micro_batch=4, with_ids=False)
    batch, losses = [], []
    for micro_batch in micro_batches.take(8):
        batch.append(micro_batch)
        if len(batch) == setup.micro_batches:
            reset()
            for index, each in enumerate(batch):
                embed(each, tf.constant(index))
            losses.append(float(differentiate_loss()[0]))
            for index, each in enumerate(batch):
                back_propagate(each, tf.constant(index))
            apply_gradients()
            batch = []
    expected = training.train(settings, examples, strategy=one_device, steps=2)
    np.testing.assert_allclose(losses, expected.losses, rtol=1e-3)


@pytest.mark.slow
def test_caching_in_bfloat16(examples, one_device):
    settings = training.config(**training.IN_MICRO_BATCHES, precision="bfloat16")
    trained = training.train(settings, examples, strategy=one_device, steps=2)
    settings = training.config(**training.IN_MICRO_BATCHES)
    expected = training.train(settings, examples, strategy=one_device, steps=2)
    np.testing.assert_allclose(trained.losses, expected.losses, rtol=0.05)
