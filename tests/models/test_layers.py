import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from models import layers
from tests.models.gradients import value_and_gradients
from tests.models.plain import twin
from tests.reference import relative_error


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _compare(layer, plain, x, *, tolerance=1e-4, training=False):
    """Checks that two layers with the same weights have the same output and gradients, of the input and the weights."""
    for each in (layer, plain):
        each.build(x.shape)
    assert [v.shape for v in layer.weights] == [v.shape for v in plain.weights]
    plain.set_weights(layer.get_weights())
    results = []
    for each in (layer, plain):

        def loss(x, *weights, each=each):
            options = {"training": training} if "Batch" in type(each).__name__ else {}
            y, _ = each.stateless_call(weights, each.non_trainable_variables, x, **options)
            slope = ops.reshape(np.cos(np.arange(np.prod(y.shape))).astype("float32"), y.shape)
            return ops.sum(ops.square(y) * slope)

        arrays = [x, *(np.asarray(v) for v in layer.trainable_variables)]
        results.append((np.asarray(each(x)), *value_and_gradients(loss, arrays)[1]))
    for actual, expected in zip(*results, strict=True):
        assert actual.shape == expected.shape
        assert relative_error(actual, expected) < tolerance
    assert results[0][0].shape == tuple(layer.compute_output_shape(x.shape))


@given(
    length=st.integers(10, 60),
    channels=st.sampled_from([1, 3]),
    filters=st.sampled_from([2, 12]),
    padding=st.sampled_from(["valid", "same"]),
    form=st.sampled_from([(10, 5, 1), (4, 2, 1), (3, 1, 1), (3, 1, 2), (1, 1, 1), (2, 1, 1), (11, 5, 1)]),
)
def test_conv_equals_keras_conv(length, channels, filters, padding, form):
    size, strides, dilation = form
    if padding == "valid" and length < (size - 1) * dilation + 1:
        return
    options = {"strides": strides, "dilation_rate": dilation, "padding": padding}
    _compare(
        layers.Conv1D(filters, size, **options),
        keras.layers.Conv1D(filters, size, use_bias=False, **options),
        _random(2, length, channels, seed=length),
    )


@pytest.mark.parametrize("shape", [(4, 50, 6), (2, 7, 5, 6)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization_equals_keras_group_normalization(groups, shape):
    _compare(
        layers.GroupNormalization(groups),
        keras.layers.GroupNormalization(groups, epsilon=1e-5),
        3 + 2 * _random(*shape),
        tolerance=1e-3,
    )


@pytest.mark.parametrize("shape", [(4, 6), (4, 50, 6), (2, 7, 5, 6)])
@pytest.mark.parametrize("training", [False, True])
def test_batch_normalization_equals_keras_batch_normalization(training, shape):
    _compare(
        layers.BatchNormalization(),
        keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9),
        3 + 2 * _random(*shape),
        tolerance=1e-3,
        training=training,
    )


def test_the_running_variance_is_unbiased():
    x, layer = _random(3, 4, 2), layers.BatchNormalization()
    layer(x, training=True)
    flat = x.reshape(-1, 2).astype("float64")
    np.testing.assert_allclose(layer.moving_mean, 0.1 * flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * flat.var(axis=0, ddof=1), rtol=1e-5)


@pytest.mark.parametrize(
    "shape", [(1,), (2,), (3, 7), (4096, 4095), (2**12, 2**12), (2**24 + 1,), (2**16, 2**15), (2**15, 2**10, 2**10)]
)
@pytest.mark.parametrize("replicas", [1, 8])
@pytest.mark.parametrize("unknown", [None, 0, -1])
def test_the_factor_of_the_unbiased_variance_is_right_for_any_number_of_entries(shape, replicas, unknown):
    sizes = list(shape)
    if unknown is not None:
        if keras.config.backend() != "tensorflow":
            pytest.skip("only TensorFlow has sizes that are not known")
        sizes[unknown] = ops.convert_to_tensor(sizes[unknown], "int32")
    factor = ops.cast(layers._unbiasing_factor(sizes, replicas=replicas), "float32")
    entries = math.prod(shape) * replicas
    assert float(factor) == float(np.float32(entries / max(entries - 1, 1)))


def test_a_frozen_batch_normalization_does_not_change():
    x, layer = _random(3, 4, 2), layers.BatchNormalization()
    layer(x)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), layer(x))
    np.testing.assert_array_equal(layer.moving_mean, 0)


def test_group_normalization_of_an_example_does_not_depend_on_the_others():
    x = _random(3, 20, 4) * np.float32([[[1]], [[1000]], [[1e-3]]])
    layer = layers.GroupNormalization(2)
    np.testing.assert_allclose(layer(x)[:1], layer(x[:1]), rtol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "group:2"])
def test_norms_are_computed_in_float32_under_bfloat16(norm):
    x = 30 + _random(2, 300, 4)  # The mean alone uses most of the 8 bits of a bfloat16.
    layer = layers.normalization(norm, name="norm")
    layer.dtype_policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    rounded = np.asarray(ops.cast(ops.cast(x, "bfloat16"), "float32"))
    plain = layers.normalization(norm, name="norm")
    options = {"training": True} if norm == "batch" else {}
    normalized = layer(ops.cast(x, "bfloat16"), **options)
    assert keras.backend.standardize_dtype(normalized.dtype) == "bfloat16"
    assert relative_error(ops.cast(normalized, "float32"), np.asarray(plain(rounded, **options))) < 0.005


def test_the_norm_of_a_constant_input_is_finite():
    for norm in ("batch", "group:1"):
        layer = layers.normalization(norm, name="norm")
        options = {"training": True} if norm == "batch" else {}
        assert np.isfinite(layer(np.full((2, 9, 4), 1e4, "float32"), **options)).all()


def test_groups_that_do_not_divide_the_channels_are_an_error():
    with pytest.raises(ValueError, match="cannot split 6 channels into 4 groups"):
        layers.GroupNormalization(4).build((None, 10, 6))


@pytest.mark.parametrize("norm", ["batch:2", "group", "group:0", "layer", ""])
def test_an_unknown_norm_is_an_error(norm):
    with pytest.raises(ValueError, match="unknown norm"):
        layers.normalization(norm, name="norm")


def test_the_twin_has_keras_layers_only():
    inputs = keras.Input((None, 4))
    x = layers.normalization("group:2", name="group")(layers.Conv1D(4, 4, strides=2, name="conv")(inputs))
    model = twin(keras.Model(inputs, layers.normalization("batch", name="batch")(x)))
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="it compiles with JAX: make test-jax")
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 2)])
@pytest.mark.parametrize("length", [1, 13])
def test_conv1d_compiles_with_jax(size, stride, length):
    import jax

    layer = layers.Conv1D(4, size, strides=stride, padding="same")
    x = _random(2, length, 3)
    layer.build(x.shape)
    np.testing.assert_allclose(jax.jit(layer)(x), layer(x), atol=1e-5)
