import collections

import keras
import numpy as np
import pytest
from keras import ops

from models import formats, fourier, frontends
from models.config import FrontEndConfig, ModelConfig
from tests.models.gradients import value_and_gradients

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function")


@pytest.fixture(params=["cpu", "gpu", "tpu"])
def device(request, monkeypatch):
    """The kind of devices that Keras lists. Everything is still computed on the CPU."""
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: [f"{request.param}:0"])
    return request.param


def _power_in_double_precision(frames, fft_length):
    window = frames.shape[-1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return np.abs(np.fft.rfft(frames.astype("float64") * hann, fft_length)) ** 2


@pytest.mark.parametrize(("window", "fft_length"), [(320, 512), (401, 512), (512, 512), (2, 4), (25, 27)])
def test_the_power_spectrum_equals_that_of_numpy_on_every_device(device, window, fft_length):
    frames = np.random.default_rng(0).normal(size=(2, 3, window)).astype("float32")
    power = fourier.power_spectrum(frames, window=window, fft_length=fft_length)
    expected = _power_in_double_precision(frames, fft_length)
    assert power.dtype == "float32"
    np.testing.assert_allclose(power, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize(("window", "fft_length"), [(32, 64), (33, 64), (64, 64)])
def test_the_gradient_with_respect_to_the_frames(device, window, fft_length):
    rng = np.random.default_rng(0)
    frames, direction = rng.normal(size=(2, 3, window)).astype("float32"), rng.normal(size=(2, 3, window))
    weights = rng.normal(size=fft_length // 2 + 1).astype("float32")
    _, (gradient,) = value_and_gradients(
        lambda x: ops.sum(fourier.power_spectrum(x, window=window, fft_length=fft_length) * weights), [frames]
    )
    ahead, behind = (_power_in_double_precision(frames + sign * 1e-3 * direction, fft_length) for sign in (1, -1))
    # The power is quadratic, so the difference quotient is exact.
    assert np.sum(gradient * direction) == pytest.approx(np.sum((ahead - behind) / 2e-3 * weights), rel=1e-4)


@on_tensorflow
@pytest.mark.parametrize("name", formats.SPECTRA)
def test_front_ends_and_their_gradients_compile(device, name):
    import tensorflow as tf  # only here, because the other tests also run on JAX

    front_end = frontends.build(name, ModelConfig(front_end=FrontEndConfig(centre=True)))
    waveform = tf.constant(np.random.default_rng(0).normal(size=(2, 1600)).astype("float32"))

    def features_and_gradient(waveform):
        with tf.GradientTape() as tape:
            tape.watch(waveform)
            features = front_end(waveform)
        return features, tape.gradient(features, waveform)

    compiled = tf.function(features_and_gradient, jit_compile=True)
    for value, expected in zip(compiled(waveform), features_and_gradient(waveform), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@on_tensorflow
def test_only_where_a_tpu_is_seen_the_transform_is_made_of_products(device):
    import tensorflow as tf  # only here, because the other tests also run on JAX

    front_end = frontends.build("log_mel", ModelConfig())
    graph = tf.function(front_end.__call__).get_concrete_function(tf.TensorSpec((None, None), tf.float32)).graph
    count = collections.Counter(operation.type for operation in graph.get_operations())
    products = count["MatMul"] + count["BatchMatMulV2"] + count["Einsum"]
    expected = (0, 2 * 6 + 1) if device == "tpu" else (1, 1)  # the last product is that of the filters
    assert (count["RFFT"], products) == expected


@pytest.mark.skipif(keras.distribution.list_devices()[0].startswith("tpu"), reason="there is one")
def test_no_tpu_is_seen_here():
    assert keras.distribution.list_devices()
    assert not fourier._sees_a_tpu()
