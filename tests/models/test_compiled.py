"""Training steps under XLA with static shapes and bfloat16 compute: what a TPU would compile, compiled here."""

import keras
import numpy as np
import pytest

from models import contrastive, dual
from models.config import AugmentConfig, ModelConfig
from models.formats import FORMATS

if keras.backend.backend() != "tensorflow":
    pytest.skip("tf.function is what these tests compile", allow_module_level=True)
import tensorflow as tf

# One encoder of each family, and every format. XLA takes its time over the deep ones.
PAIRS = [
    pytest.param({"encoders": {"waveform": "conv160", "log_mel": "cnn6"}}, id="conv stack and CNN"),
    pytest.param({"formats": "spectrogram+mfcc", "encoders": {"spectrogram": "cnn6", "mfcc": "cnn6"}}, id="spectra"),
    pytest.param(
        {"formats": "log_mel+log_mel", "encoders": {"log_mel": "resnet22"}}, id="ResNet", marks=pytest.mark.slow
    ),
    pytest.param(
        {"formats": "waveform+waveform", "encoders": {"waveform": "res1dnet31"}},
        id="Res1dNet",
        marks=pytest.mark.slow,
    ),
]


@pytest.fixture
def set_policy():
    """Sets Keras' precision for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def _audio():
    """Two views of four tones; of noise alone, all embeddings would be near one another and rounding would show."""
    tones = np.sin(np.outer([0.03, 0.1, 0.3, 1.0], np.arange(8000)))
    return (0.3 * tones + 0.01 * np.random.default_rng(0).normal(size=(2, 4, 8000))).astype("float32")


def _step(pair, *, jit_compile):
    """Loss and length of the gradient of one training step from the same weights, and the model behind it."""
    keras.utils.set_random_seed(0)
    config = ModelConfig(
        width=1 / 32,
        crop_seconds=0.5,
        projector_dim=16,
        projector_norm="batch",
        dropout=0.0,
        augment_a=AugmentConfig(),
        augment_b=AugmentConfig(),
        **pair,
    )
    model = dual.DualEncoder(config)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=jit_compile)
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(contrastive.nt_xent(*model((a, b), training=True)))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, tf.linalg.global_norm(gradients)

    return [float(x) for x in step(*_audio())], model


@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-3), ("mixed_bfloat16", 0.1)])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_compiled_step_is_the_plain_one(pair, policy, tolerance, set_policy):
    expected, plain = _step(pair, jit_compile=False)
    set_policy(policy)
    found, model = _step(pair, jit_compile=True)
    assert found == pytest.approx(expected, rel=tolerance)
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    for variable, reference in zip(model.non_trainable_variables, plain.non_trainable_variables, strict=True):
        np.testing.assert_allclose(np.asarray(variable), np.asarray(reference), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", FORMATS)
def test_augmented_views_compile(name, policy, set_policy):
    set_policy(policy)
    bands = 0 if name in ("waveform", "mfcc") else 10
    augment = AugmentConfig(mixing=True, time_mask_seconds=0.1, frequency_mask=bands, frequency_shift=bands)
    config = ModelConfig(formats=f"{name}+{name}", augment_a=augment, augment_b=augment, width=1 / 32, crop_seconds=0.5)
    model = dual.DualEncoder(config)
    (audio, _), encoder_input = _audio(), tf.function(model.encoder_input, jit_compile=True)
    found = encoder_input(0, audio, training=True)
    assert found.shape == model.encoder_input(0, audio, training=False).shape
    assert np.isfinite(found).all()
    assert not np.allclose(found, model.encoder_input(0, audio, training=False))
