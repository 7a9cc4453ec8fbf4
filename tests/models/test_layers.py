import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models import layers
from tests.reference import relative_error


def _gradients(layer, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.square(y) * tf.range(1.0, y.shape[1] + 1)[None, :, None])
    return y, tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [2, 5])
@given(length=st.integers(10, 64), channels=st.sampled_from([1, 3]))
def test_half_overlap_conv_is_keras_conv(padding, strides, length, channels):
    x = np.random.default_rng(length).normal(size=(2, length, channels)).astype("float32")
    ours = layers.HalfOverlapConv1D(4, strides=strides, padding=padding)
    plain = keras.layers.Conv1D(4, 2 * strides, strides=strides, padding=padding, use_bias=False)
    plain.build(x.shape), ours.build(x.shape)
    assert ours.kernel.shape == plain.kernel.shape
    plain.kernel.assign(ours.kernel)
    (found, gradients), (expected, expected_gradients) = _gradients(ours, x), _gradients(plain, x)
    assert found.shape == expected.shape == ours.compute_output_shape(x.shape)
    assert relative_error(found, expected.numpy()) < 1e-5
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        assert relative_error(gradient, reference.numpy()) < 1e-5


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization_is_keras_group_normalization(groups):
    rng = np.random.default_rng(0)
    x = (3 + 2 * rng.normal(size=(4, 50, 6))).astype("float32")
    ours = layers.GroupNormalization(groups)
    plain = keras.layers.GroupNormalization(groups, epsilon=1e-5)
    for layer in (ours, plain):
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(0.5, 1.5, 6))
        layer.beta.assign(np.linspace(-1, 1, 6))
    (found, gradients), (expected, expected_gradients) = _gradients(ours, x), _gradients(plain, x)
    assert relative_error(found, expected.numpy()) < 1e-5
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        assert relative_error(gradient, reference.numpy()) < 1e-3


def test_group_normalization_does_not_look_at_other_examples():
    x = np.random.default_rng(0).normal(size=(3, 20, 4)).astype("float32") * [[[1]], [[1000]], [[1e-3]]]
    layer = layers.GroupNormalization(2)
    np.testing.assert_allclose(layer(x)[:1], layer(x[:1]), rtol=1e-6)


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="cannot split 6 channels into 4 groups"):
        layers.GroupNormalization(4).build((None, 10, 6))


@pytest.mark.parametrize("norm", ["batch:2", "group", "group:0", "layer", ""])
def test_unknown_norms_are_refused(norm):
    with pytest.raises(ValueError, match="unknown norm"):
        layers.normalization(norm, name="norm")
