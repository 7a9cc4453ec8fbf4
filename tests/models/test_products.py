"""Products of the front ends on devices that round their factors, emulated on the CPU."""

import contextlib

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from models import contrastive, filters, formats, frontends, products
from models.config import FrontEndConfig, ModelConfig
from tests.models.gradients import value_and_gradients

SIGNIFICANT_BITS = {"bfloat16": 8, "tf32": 11}


def _round(x, bits):
    """Rounds float32 to a number of significant bits."""
    unit = np.uint32(1) << np.uint32(24 - bits)  # of the stored significand
    stored = np.asarray(x, "float32").view(np.uint32)
    return ((stored + unit // 2) & ~(unit - np.uint32(1))).view(np.float32)


@contextlib.contextmanager
def _device(bits):
    """Rounds the factors of all of Keras' products, as TPUs and GPUs do, in eager execution.

    Those that round to 8 bits are TPUs, which Keras lists. They compute an FFT from products, so it rounds as well.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("matmul", "dot", "tensordot"):
            product = getattr(keras.src.backend.numpy, name)
            patch.setattr(
                keras.src.backend.numpy,
                name,
                lambda a, b, *options, product=product: product(_round(a, bits), _round(b, bits), *options),
            )
        einsum = keras.src.backend.numpy.einsum
        patch.setattr(
            keras.src.backend.numpy,
            "einsum",
            lambda equation, *factors: einsum(equation, *(_round(x, bits) for x in factors)),
        )
        if bits == 8:
            rfft = keras.src.backend.math.rfft
            patch.setattr(keras.src.backend.math, "rfft", lambda x, length: rfft(_round(x, bits), length))
            patch.setattr(keras.distribution, "list_devices", lambda: ["tpu:0"])
        yield


def _clip(name):
    rng, t = np.random.default_rng(0), np.arange(8000) / 16000
    noise = rng.normal(size=t.size)
    if name == "noise":
        return (0.1 * noise).astype("float32")
    if name == "clean tone":  # over a noise floor of -70 dBFS
        return (0.9 * np.sin(2 * np.pi * 1000 * t) + 10 ** (-70 / 20) * noise).astype("float32")
    low = np.convolve(noise, np.hanning(64), "same")  # quiet, and hardly anything above 500 Hz
    return (0.01 * low / low.std() + 1e-5 * noise).astype("float32")


def _bands_in_double_precision(front_end, waveform):
    """Computes `front_end.bands` with NumPy's FFT in float64."""
    options, window = front_end.options, front_end.window
    frames = np.lib.stride_tricks.sliding_window_view(waveform.astype("float64"), window)[:: front_end.hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    magnitude = np.abs(np.fft.rfft(frames * hann, options.fft_length))
    matrix = filters.filter_bank(
        front_end.scale,
        bands=front_end.n_bands,
        fft_length=options.fft_length,
        sample_rate=front_end.sample_rate,
        low_hz=options.low_hz,
        high_hz=options.high_hz,
    )
    return np.log(magnitude**front_end.power @ matrix.astype("float64") + options.floor)


@pytest.mark.parametrize("floor", [1e-6, 1e-10])
@pytest.mark.parametrize("clip", ["noise", "clean tone", "quiet"])
@pytest.mark.parametrize("device", SIGNIFICANT_BITS)
def test_spectra_have_float32_accuracy_on_every_device(device, clip, floor):
    waveform = _clip(clip)
    for name in formats.SPECTRA:
        front_end = frontends.build(name, ModelConfig(front_end=FrontEndConfig(floor=floor)))
        expected = _bands_in_double_precision(front_end, waveform)
        features = expected @ front_end._dct.astype("float64") if name == "mfcc" else expected
        with _device(SIGNIFICANT_BITS[device]):
            np.testing.assert_allclose(front_end.bands(waveform[None])[0], expected, atol=0.01, err_msg=name)
            np.testing.assert_allclose(front_end(waveform[None])[0], features, atol=0.01, err_msg=name)


@pytest.mark.parametrize(("device", "error"), [("bfloat16", 2**-8), ("tf32", 2**-11)])
def test_an_emulated_device_rounds_the_factors_of_plain_products(device, error):
    x = np.float32(1 + error)  # lies in the middle between two numbers of the device
    with _device(SIGNIFICANT_BITS[device]):
        for product in (ops.matmul, ops.dot, lambda a, b: ops.einsum("ij,jk->ik", a, b)):
            assert abs(float(product([[x]], [[np.float32(1)]])[0, 0]) - x) == np.float32(error)


@given(exponent=st.integers(-30, 30), seed=st.integers(0, 99))
def test_the_pieces_of_a_number_are_exact_and_fit_bfloat16(exponent, seed):
    x = (np.random.default_rng(seed).normal(size=50) * 2.0**exponent).astype("float32")
    for pieces in (products._split(ops.convert_to_tensor(x)), products._split_constant(x)):
        pieces = np.asarray(pieces)
        np.testing.assert_array_equal(pieces.sum(axis=0, dtype="float64"), x)
        np.testing.assert_array_equal(_round(pieces, 8), pieces)


def test_the_gradient_of_a_float32_product_is_that_of_a_product():
    rng = np.random.default_rng(0)
    x, matrix = rng.normal(size=(3, 5)).astype("float32"), rng.normal(size=(5, 4)).astype("float32")
    value, (gradient,) = value_and_gradients(lambda x: ops.sum(ops.square(products.float32_product(x, matrix))), [x])
    assert value == pytest.approx(np.sum((x @ matrix) ** 2), rel=1e-6)
    np.testing.assert_allclose(gradient, 2 * x @ matrix @ matrix.T, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function")
def test_the_compiler_keeps_the_pieces():
    import tensorflow as tf  # only here, because the other tests also run on JAX

    x = np.random.default_rng(0).normal(size=(20, 30)).astype("float32")
    compiled = tf.function(lambda x: tf.stack(products._split(x)), jit_compile=True)
    np.testing.assert_array_equal(compiled(x), np.asarray(products._split(tf.constant(x))))


@pytest.mark.parametrize("device", SIGNIFICANT_BITS)
@pytest.mark.parametrize("spread", [0.05, 1.0])  # nearly collapsed, and spread out
def test_a_device_that_rounds_changes_the_loss_by_less_than_a_percent(device, spread):
    z = np.random.default_rng(0).normal(size=(2, 256, 512))
    z[1] = z[0] + 0.5 * z[1]
    z = (np.random.default_rng(1).normal(size=512) + spread * z).astype("float32")
    expected = np.asarray(contrastive.nt_xent(*z))
    with _device(SIGNIFICANT_BITS[device]):
        np.testing.assert_allclose(contrastive.nt_xent(*z), expected, rtol=0.01)


@pytest.mark.parametrize("options", [{}, {"centre": True, "fft_length": 330, "log": "decibel"}])
@pytest.mark.parametrize("name", formats.SPECTRA)
def test_front_ends_for_other_runtimes_compute_the_same(name, options):
    front_end = frontends.build(name, ModelConfig(front_end=FrontEndConfig(**options), n_mels=30))
    noise = np.random.default_rng(0).normal(size=3200)
    waveform = np.stack([noise, 1e-3 * noise + np.sin(np.arange(3200) * 0.3)]).astype("float32")
    expected = np.asarray(front_end(waveform))
    with products.kept_in_float32():
        other = np.asarray(front_end(waveform))
    assert not products.are_kept_in_float32()
    np.testing.assert_allclose(other, expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
def test_products_for_other_runtimes_are_products(shape):
    rng = np.random.default_rng(0)
    x, matrix = rng.normal(size=shape).astype("float32"), rng.normal(size=(5, 4)).astype("float32")
    with products.kept_in_float32():
        for product in (products.product, products.float32_product):
            np.testing.assert_allclose(product(x, matrix), x @ matrix, rtol=1e-5, atol=1e-6)
