"""Trainings on JAX against a slow version. `make test-jax` runs these tests; on TensorFlow they are skipped."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from components.trainer import optimizers
from models.config import EncodersConfig, WidthsConfig
from models.dual import DualEncoder
from tests.benchmarks.accelerator.train import read_cell
from tests.reference import relative_error

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="it runs on JAX: make test-jax")

_STEPS = 3


def _config(**changes):
    config = read_cell("waveform+log_mel").config
    # Conv320, because a Res1dNet takes minutes to compile and to train without being compiled.
    encoders = {"encoders": EncodersConfig(waveform="conv320"), "widths": WidthsConfig()}
    model = config.model.model_copy(update={"crop_seconds": 0.25, **encoders})
    # LARS, because Adam's first steps are as long for a gradient that is all rounding as for any other.
    lars = {"optimizer": "lars", "learning_rate": 1e-3, "final_learning_rate": 1e-5}
    return config.model_copy(update={"model": model, "batch_size": 4, **lars, **changes})


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(0).integers(-9000, 9000, (9, 8000), dtype=np.int16)


@pytest.fixture(scope="module")
def training(clips):
    from tests.benchmarks.accelerator.training import Training

    return Training(_config(), clips)


def _weights(model):
    return [variable.numpy() for variable in model.variables]


def _distance(model, other):
    """Returns how far the trainable weights of two models are apart, together."""
    pairs = zip(model.trainable_variables, other.trainable_variables, strict=True)
    return np.sqrt(sum(np.sum(np.square(one.numpy() - two.numpy())) for one, two in pairs))


def _one_step_at_a_time(training, clips, *, seed, steps):
    """Takes the steps with Keras' own loop over variables and a schedule of exactly that many steps."""
    import jax

    keras.utils.set_random_seed(seed + 1)
    model = DualEncoder(training.model.config, seed=seed)
    optimizer = optimizers.make(_config(steps=steps), variables=model.trainable_variables)
    order, of_step = jax.random.split(jax.random.key(seed))
    for number in range(steps):
        crops, draws = training.batch(clips, number, order, jax.random.fold_in(of_step, number))
        values = [
            [v.value for v in variables] for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        (_, non_trainable), gradients = jax.value_and_grad(training.loss, has_aux=True)(*values, crops, draws)
        for variable, value in zip(model.non_trainable_variables, non_trainable, strict=True):
            variable.assign(value)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return model


def test_compiled_steps_are_those_of_keras_own_loop(training, clips):
    training.train(seed=1, steps=_STEPS)
    slow = _one_step_at_a_time(training, clips, seed=1, steps=_STEPS)
    shorter = _one_step_at_a_time(training, clips, seed=1, steps=_STEPS - 1)
    # Compiled sums round in another order, which batches of four clips make much of: 1 % of the last step.
    assert _distance(training.model, slow) < 0.05 * _distance(training.model, shorter)


def test_loss_and_gradients_are_those_of_the_trainers_step(training, clips, tmp_path):
    import jax

    config, model = _config(), training.model
    crops, _ = training.batch(clips, 0, jax.random.key(0), jax.random.key(1))
    np.save(tmp_path / "crops.npy", np.round(np.asarray(crops) * 32768).astype(np.int16))
    (tmp_path / "config.json").write_text(config.model_dump_json())
    model.save_weights(tmp_path / "model.weights.h5")
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.accelerator.tensorflow_step", tmp_path],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        check=True,
    )
    expected = np.load(tmp_path / "step.npz")
    (loss, _), gradients = jax.value_and_grad(training.loss, has_aux=True)(
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
        crops,
        expected["draws"],
    )
    np.testing.assert_allclose(loss, expected["loss"], rtol=1e-4)
    flat = np.concatenate([np.ravel(gradient) for gradient in gradients])
    assert relative_error(flat, expected["gradients"]) < 1e-2


def test_trainings_after_one_another_do_not_touch_each_other(training):
    training.train(seed=1, steps=_STEPS)
    first = _weights(training.model)
    training.train(seed=2, steps=_STEPS)
    other = _weights(training.model)
    training.train(seed=1, steps=_STEPS)
    for again, once in zip(_weights(training.model), first, strict=True):
        np.testing.assert_array_equal(again, once)
    assert any(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_pass_visits_each_clip_once(training, clips):
    import jax

    numbered = np.repeat(np.arange(len(clips), dtype=np.int16)[:, None], clips.shape[1], axis=1)
    key = jax.random.key(0)
    passes = []
    for epoch in range(3):
        batches = [training.batch(numbered, 2 * epoch + place, key, jax.random.key(place))[0] for place in range(2)]
        crops = np.round(np.concatenate(batches, axis=1) * 32768).astype(int)  # (2, 8, samples)
        assert (crops == crops[:1, :, :1]).all()  # Both crops are of one clip, and nothing else.
        passes.append(crops[0, :, 0].tolist())
    assert all(len(set(one)) == 8 for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_crops_start_anywhere(training, clips):
    import jax

    ramp = np.tile(np.arange(clips.shape[1], dtype=np.int16), (len(clips), 1))
    key = jax.random.key(0)
    starts = np.concatenate(
        [np.round(training.batch(ramp, n, key, jax.random.key(n))[0][..., 0] * 32768).ravel() for n in range(60)]
    )
    last = clips.shape[1] - training.model.crop_samples
    assert 0 <= starts.min() < 0.02 * last
    assert 0.98 * last < starts.max() <= last


@pytest.mark.parametrize(
    "field",
    [
        {"micro_batch": 2},
        {"ema": 0.9},
        {"initial_temperature": 0.5},
        {"pairs_per_clip": 2},
        {"precision": "bfloat16"},
    ],
)
def test_what_is_not_built_is_refused(clips, field):
    from tests.benchmarks.accelerator.training import Training

    with pytest.raises(ValueError, match=next(iter(field))):
        Training(_config(**field), clips)
