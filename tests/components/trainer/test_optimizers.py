import keras
import numpy as np
import pytest

from components.errors import UserError
from components.trainer import TrainerConfig, optimizers
from components.trainer.model import build_model
from pipeline.configs import overrides
from tests.components.trainer import training


def _one_step(gradients, *, weights, factors=None, **changes):
    """Takes one step, at a learning rate of 0.1 by default; returns the weights, the optimizer and its variables."""
    fields = {"learning_rate": 0.1, "final_learning_rate": 0.1, "steps": 10, **changes}
    config = overrides.replace(TrainerConfig(), fields)
    variables = [keras.Variable(np.array(value, "float32"), name=f"v{i}") for i, value in enumerate(weights)]
    optimizer = optimizers.make(config, variables=variables, factors=factors)
    optimizer.apply([keras.ops.convert_to_tensor(np.array(g, "float32")) for g in gradients], variables)
    return [variable.numpy() for variable in variables], optimizer, variables


KERNEL, BIAS = [[3.0, 0.0], [0.0, 4.0]], [5.0, 5.0]


def test_adams_weight_decay_shrinks_kernels_but_not_norms_and_biases():
    none = [np.zeros((2, 2)), np.zeros(2)]
    (kernel, bias), _, _ = _one_step(none, weights=[KERNEL, BIAS], optimizer="adam", weight_decay=0.5)
    np.testing.assert_allclose(kernel, np.array(KERNEL) * (1 - 0.5 * 0.1), rtol=1e-6)
    np.testing.assert_array_equal(bias, BIAS)


def _lars_by_hand(w, gradients, *, rate, decay):
    """You et al. 2017, algorithm 1: eta = 0.001, m = 0.9; layers of one dimension by SGD."""
    velocity = np.zeros_like(w)
    for gradient in gradients:
        local_rate = 1.0
        if w.ndim > 1:
            local_rate = 0.001 * np.linalg.norm(w) / (np.linalg.norm(gradient) + decay * np.linalg.norm(w))
            gradient = gradient + decay * w
        velocity = 0.9 * velocity + rate * local_rate * gradient
        w = w - velocity
    return w


def _lamb_by_hand(w, gradients, *, rate, decay):
    """You et al. 2020, algorithm 2, with phi(x) = x, beta1 = 0.9, beta2 = 0.999; no decay in one dimension."""
    m = v = np.zeros_like(w)
    for step, gradient in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        update = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)
        if w.ndim > 1:
            update = update + decay * w
        w = w - rate * np.linalg.norm(w) / np.linalg.norm(update) * update
    return w


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(("optimizer", "by_hand"), [("lars", _lars_by_hand), ("lamb", _lamb_by_hand)])
def test_lars_and_lamb_take_the_steps_of_their_papers(optimizer, by_hand, decay):
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape) for shape in ((3, 4), (2, 3, 5), (4,))]
    gradients = [[0.1 * random.normal(size=w.shape) for w in weights] for _ in range(5)]
    fields = {"learning_rate": 0.1, "final_learning_rate": 0.1, "optimizer": optimizer, "weight_decay": decay}
    variables = [keras.Variable(w.astype("float32"), name=f"v{i}") for i, w in enumerate(weights)]
    ours = optimizers.make(overrides.replace(TrainerConfig(), fields), variables=variables)
    for each in gradients:
        ours.apply([keras.ops.convert_to_tensor(g.astype("float32")) for g in each], variables)
    for variable, w, own_gradients in zip(variables, weights, zip(*gradients, strict=True), strict=True):
        np.testing.assert_allclose(variable.numpy(), by_hand(w, own_gradients, rate=0.1, decay=decay), rtol=2e-5)


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


@pytest.mark.parametrize("optimizer", ["adam", "lamb", "lars"])
def test_factors_multiply_the_learning_rate_of_each_variable(optimizer):
    gradients = [np.full((2, 2), 0.3), np.full(2, 0.2)]
    plain, _, _ = _one_step(gradients, weights=[KERNEL, BIAS], optimizer=optimizer)
    scaled, _, _ = _one_step(gradients, weights=[KERNEL, BIAS], optimizer=optimizer, factors=[3.0, 1.0])
    np.testing.assert_allclose(scaled[0] - KERNEL, 3 * (plain[0] - KERNEL), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(scaled[1], plain[1], rtol=1e-6)


@pytest.mark.parametrize(("optimizer", "is_multiplied"), [("adam", False), ("lamb", True), ("lars", True)])
def test_factors_multiply_the_weight_decay_that_is_part_of_the_step(optimizer, is_multiplied):
    """Along a gradient in the first row, only the weight decay moves the second row."""
    fields = {"optimizer": optimizer, "weight_decay": 0.5}
    gradients = [[[0.3, 0.3], [0.0, 0.0]], [0.0, 0.0]]
    (plain, _), _, _ = _one_step(gradients, weights=[KERNEL, BIAS], **fields)
    (scaled, _), _, _ = _one_step(gradients, weights=[KERNEL, BIAS], factors=[3.0, 1.0], **fields)
    decay = plain[1, 1] - 4.0
    assert decay < 0
    assert scaled[1, 1] - 4.0 == pytest.approx((3 if is_multiplied else 1) * decay, rel=1e-2)


def test_the_factors_are_those_of_the_branches():
    config = training.config(branch_learning_rates=[0.5, 2.0])
    model = build_model(config.model, seed=0)
    factors = optimizers.learning_rate_factors(config, model=model)
    of_encoders = [len(model.encoders[name].trainable_variables) for name in ("waveform", "log_mel")]
    of_projector = len(model.projector.trainable_variables)
    assert [factors.count(factor) for factor in (0.5, 2.0, 1.0)] == [*of_encoders, of_projector]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"branch_learning_rates": [1, 0]}, "both must be more than 0"),
        ({"branch_learning_rates": [1, 2], "model.formats": "log_mel+log_mel"}, "share one encoder"),
    ],
)
def test_factors_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        overrides.replace(TrainerConfig(), fields)
