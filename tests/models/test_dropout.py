import keras
import numpy as np
import pytest
from keras import ops

from models import dropout, encoders

RATE = 0.25


def _draws(batch, *, seed=0):
    return np.random.default_rng(seed).random((batch, dropout.DRAWS_PER_KEY), dtype="float32")


def _kept(draws, *, layers=1, places=20_000):
    """Returns which places each of several layers keeps, boolean (layers, batch, places)."""
    x = np.ones((len(draws), places), "float32")
    layer, outputs = dropout.Dropout(RATE), []
    with dropout.masks_from(draws):
        for layer.index in range(layers):
            outputs.append(ops.convert_to_numpy(layer(x, training=True)))
    np.testing.assert_allclose(np.unique(outputs), [0.0, 1.0 / (1.0 - RATE)], rtol=1e-6)
    return np.array(outputs) > 0


def test_masks_keep_the_given_share_and_look_independent():
    """Over places, examples and layers, the share and all correlations are within five standard deviations."""
    kept = _kept(_draws(8), layers=3)
    deviation = np.sqrt(RATE * (1 - RATE))
    np.testing.assert_allclose(kept.mean(), 1 - RATE, atol=5 * deviation / np.sqrt(kept.size))
    np.testing.assert_allclose(kept.mean(axis=2), 1 - RATE, atol=5 * deviation / np.sqrt(kept.shape[2]))
    rows = kept.reshape(-1, kept.shape[2])
    correlations = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlations).max() < 5 / np.sqrt(kept.shape[2])
    for lag in (1, 2, 3, 64, 1000):
        assert abs(np.corrcoef(rows[:, lag:].ravel(), rows[:, :-lag].ravel())[0, 1]) < 5 / np.sqrt(rows.size)


def test_masks_of_neighboring_keys_differ():
    draws = np.zeros((2, 2), "float32")
    draws[1, 1] = 2.0**-16  # The next key.
    first, second = _kept(draws)[0]
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(len(first))


def test_a_mask_depends_on_the_example_alone():
    draws = _draws(6)
    whole = _kept(draws, layers=2)
    parts = np.concatenate([_kept(draws[:2], layers=2), _kept(draws[2:], layers=2)], axis=1)
    np.testing.assert_array_equal(parts, whole)
    assert not np.array_equal(_kept(_draws(6, seed=1), layers=2), whole)


def test_the_layers_of_an_encoder_are_numbered_in_order():
    layers = [layer for layer in encoders.build("resnet22", width=1 / 64).layers if isinstance(layer, dropout.Dropout)]
    assert [layer.index for layer in layers] == list(range(1, 12))


@pytest.mark.parametrize("name", ["cnn6", "resnet22"])
def test_an_encoder_drops_the_same_for_an_example_in_any_batch(name):
    encoder = encoders.build(name, width=1 / 64, norm="group:1", dropout=0.5)
    x, draws = np.random.default_rng(0).normal(size=(4, 64, 80)).astype("float32"), _draws(4)

    def embed(rows):
        with dropout.masks_from(draws[rows]):
            return ops.convert_to_numpy(encoder(x[rows], training=True))

    whole = embed(slice(0, 4))
    np.testing.assert_allclose(np.concatenate([embed(slice(0, 1)), embed(slice(1, 4))]), whole, rtol=1e-4, atol=1e-5)
    with dropout.masks_from(draws):  # A second call drops the same.
        for _ in range(2):
            np.testing.assert_allclose(ops.convert_to_numpy(encoder(x, training=True)), whole, rtol=1e-4, atol=1e-5)
    assert not np.allclose(whole, ops.convert_to_numpy(encoder(x, training=False)), rtol=1e-2)


def test_without_draws_and_outside_of_training_it_is_keras_dropout():
    x = np.ones((4, 1000), "float32")
    keras.utils.set_random_seed(0)
    expected = ops.convert_to_numpy(keras.layers.Dropout(RATE, seed=1)(x, training=True))
    layer = dropout.Dropout(RATE, seed=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x, training=True)), expected)
    with dropout.masks_from(_draws(4)):
        np.testing.assert_array_equal(ops.convert_to_numpy(layer(x, training=False)), x)
