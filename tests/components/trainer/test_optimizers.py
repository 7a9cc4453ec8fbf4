import keras
import numpy as np
import pytest

from components.trainer import TrainerConfig, optimizers
from pipeline.configs import overrides


def _one_step(gradients, *, weights, **changes):
    """Takes one step, at a learning rate of 0.1 by default; returns the weights, the optimizer and its variables."""
    fields = {"learning_rate": 0.1, "final_learning_rate": 0.1, "steps": 10, **changes}
    config = overrides.replace(TrainerConfig(), fields)
    variables = [keras.Variable(np.array(value, "float32"), name=f"v{i}") for i, value in enumerate(weights)]
    optimizer = optimizers.make(config, variables=variables)
    optimizer.apply([keras.ops.convert_to_tensor(np.array(g, "float32")) for g in gradients], variables)
    return [variable.numpy() for variable in variables], optimizer, variables


KERNEL, BIAS = [[3.0, 0.0], [0.0, 4.0]], [5.0, 5.0]


@pytest.mark.parametrize("optimizer", ["adam", "lamb", "lars"])
def test_weight_decay_shrinks_kernels_but_not_norms_and_biases(optimizer):
    none = [np.zeros((2, 2)), np.zeros(2)]
    (kernel, bias), _, _ = _one_step(none, weights=[KERNEL, BIAS], optimizer=optimizer, weight_decay=0.5)
    np.testing.assert_allclose(kernel, np.array(KERNEL) * (1 - 0.5 * 0.1), rtol=1e-6)
    np.testing.assert_array_equal(bias, BIAS)


def test_lars_moves_a_kernel_in_proportion_to_its_norm_and_a_bias_as_sgd_does():
    gradient = np.array([[0.0, 1.0], [0.0, 0.0]])
    for scale in (1e-3, 1e3):
        (kernel, bias), _, _ = _one_step([scale * gradient, [1.0, 0.0]], weights=[KERNEL, BIAS], optimizer="lars")
        np.testing.assert_allclose(np.array(KERNEL) - kernel, 0.1 * 0.001 * 5.0 * gradient, rtol=1e-3, atol=1e-9)
        np.testing.assert_allclose(bias, [4.9, 5.0], rtol=1e-6)


def test_lamb_moves_a_kernel_by_its_norm():
    gradient = np.array([[0.0, 1.0], [0.0, 0.0]])
    (kernel, _), _, _ = _one_step([gradient, [0.0, 0.0]], weights=[KERNEL, BIAS], optimizer="lamb")
    np.testing.assert_allclose(np.array(KERNEL) - kernel, 0.1 * 5.0 * gradient, rtol=1e-3, atol=1e-9)


def test_the_moving_average_starts_at_the_first_step_and_replaces_the_weights_only_at_the_end():
    (first, _), optimizer, variables = _one_step([np.ones((2, 2)), [0.0, 0.0]], weights=[KERNEL, BIAS], ema=0.75)
    optimizer.apply([keras.ops.ones((2, 2)), keras.ops.zeros(2)], variables)
    second = variables[0].numpy()
    assert not np.array_equal(first, second)
    optimizer.finalize_variable_values(variables)
    np.testing.assert_allclose(variables[0].numpy(), 0.75 * first + 0.25 * second, rtol=1e-6)


def test_the_schedule_warms_up_and_then_decays_as_a_cosine():
    fields = {"learning_rate": 1.0, "final_learning_rate": 0.1, "steps": 110, "warmup_steps": 10}
    schedule = optimizers.make_schedule(overrides.replace(TrainerConfig(), fields))
    rates = [float(schedule(step)) for step in (0, 5, 10, 60, 110, 200)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1, 0.1])
