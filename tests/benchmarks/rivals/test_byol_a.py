import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.rivals import byol_a


@pytest.fixture(scope="module")
def method(examples, config_of):
    return byol_a.ByolA(config_of("byol_a"), examples)


def variables_of(networks):
    return [variable for network in networks for variable in network.trainable_variables]


def values_of(networks):
    return [np.array(variable) for variable in variables_of(networks)]


def test_the_distance_is_that_of_vectors_of_length_one():
    rng = np.random.default_rng(0)
    predictions, aims = rng.normal(size=(2, 6, 5)).astype(np.float32)
    expected = []
    for prediction, aim in zip(predictions, aims, strict=True):
        difference = prediction / np.linalg.norm(prediction) - aim / np.linalg.norm(aim)
        expected.append(difference @ difference)
    np.testing.assert_allclose(byol_a.squared_distance(predictions, aims), expected, rtol=1e-5)


def test_the_target_moves_by_the_rest_of_the_decay():
    target, online = keras.Variable([1.0, -2.0]), keras.Variable([3.0, 0.0])
    byol_a.move_toward([target], [online], decay=0.9)
    np.testing.assert_allclose(target, [1.2, -1.8], rtol=1e-6)


def test_a_target_begins_as_the_online_network_and_follows_each_update(examples, config_of):
    method = byol_a.ByolA(config_of("byol_a"), examples)
    target, online = method.target, method._online
    before = values_of(target)
    for value, same in zip(before, values_of(online), strict=True):
        np.testing.assert_array_equal(value, same)

    method._update(next(method._batches))
    after = zip(values_of(target), before, values_of(online), strict=True)
    for value, old, trained in after:
        np.testing.assert_allclose(value, 0.99 * old + 0.01 * trained, rtol=1e-4, atol=1e-7)
    assert any(np.any(trained != old) for trained, old in zip(values_of(online), before, strict=True))


def test_no_gradient_flows_into_the_target(method):
    targets = [variable.value for variable in variables_of(method.target)]
    with tf.GradientTape() as tape:
        loss = method.loss(next(method._batches))
    into_target, into_online = tape.gradient(loss, [targets, [variable.value for variable in method._variables]])
    assert into_target == [None] * len(targets)
    assert all(gradient is not None for gradient in into_online)


def test_the_loss_predicts_each_view_from_the_other(method, monkeypatch):
    batch = next(method._batches)
    views = tf.random.stateless_normal((2, 8, *method._bands(batch).shape[1:]), seed=(0, 1))
    monkeypatch.setattr(method._views, "draw", lambda x: (views[0], views[1]))
    loss = float(method.loss(batch))

    first, second = (method._mean + method._deviation * view for view in views)
    projector, predictor = method.heads
    encoder, target_projector = method.target
    expected = []
    for seen, hidden in ((first, second), (second, first)):
        p = predictor(projector(method.encoder(seen, training=True), training=True), training=True).numpy()
        t = target_projector(encoder(hidden, training=True), training=True).numpy()
        cosines = np.sum(p * t, axis=1) / np.linalg.norm(p, axis=1) / np.linalg.norm(t, axis=1)
        expected.append(np.mean(2 - 2 * cosines))
    assert loss == pytest.approx(sum(expected), rel=1e-4)
