"""Training steps compiled by XLA with static shapes, in float32 and in bfloat16, as on a TPU."""

import keras
import numpy as np
import pytest

from models import contrastive, dual
from models.config import AugmentConfig, ModelConfig
from models.formats import FORMATS

if keras.backend.backend() != "tensorflow":
    pytest.skip("tf.function is what these tests compile", allow_module_level=True)
import tensorflow as tf

# One encoder of each family, and every format. XLA takes long to compile an encoder.
PAIRS = [
    pytest.param({"encoders": {"waveform": "conv160", "log_mel": "cnn6"}}, id="conv stack and CNN"),
    pytest.param({"formats": "spectrogram+mfcc", "encoders": {"spectrogram": "cnn6", "mfcc": "cnn6"}}, id="spectra"),
    pytest.param({"formats": "log_mel+log_mel", "encoders": {"log_mel": "resnet22"}}, id="ResNet"),
    pytest.param({"formats": "waveform+waveform", "encoders": {"waveform": "res1dnet31"}}, id="Res1dNet"),
]


@pytest.fixture
def set_policy():
    """Sets Keras' dtype policy for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def _audio():
    """Returns two crops of four clips, `(2, 4, 8000)`.

    They contain tones, because the embeddings of noise are so similar that rounding errors matter.
    """
    tones = np.sin(np.outer([0.03, 0.1, 0.3, 1.0], np.arange(8000)))
    return (0.3 * tones + 0.01 * np.random.default_rng(0).normal(size=(2, 4, 8000))).astype("float32")


def _step(pair, *, jit_compile):
    """Runs one training step from fixed initial weights; returns [loss, gradient norm] and the model."""
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


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-3), ("mixed_bfloat16", 0.1)])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_compiled_step_equals_the_uncompiled_step(pair, policy, tolerance, set_policy):
    """Of the fast tests, that of the Trainer's step compares a compiled one, and the next test compiles all formats."""
    expected, uncompiled = _step(pair, jit_compile=False)
    set_policy(policy)
    result, compiled = _step(pair, jit_compile=True)
    assert result == pytest.approx(expected, rel=tolerance)
    assert all(v.dtype == "float32" for v in compiled.trainable_variables)
    for variable, reference in zip(compiled.non_trainable_variables, uncompiled.non_trainable_variables, strict=True):
        np.testing.assert_allclose(np.asarray(variable), np.asarray(reference), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        *((name, "float32") for name in FORMATS),
        ("log_mel", "mixed_bfloat16"),
        *(pytest.param(name, "mixed_bfloat16", marks=pytest.mark.slow) for name in FORMATS if name != "log_mel"),
    ],
)
def test_augmented_encoder_inputs_compile(name, policy, set_policy):
    set_policy(policy)
    bands = 0 if name in ("waveform", "mfcc") else 10
    augment = AugmentConfig(mixing=True, time_mask_seconds=0.1, frequency_mask=bands, frequency_shift=bands)
    config = ModelConfig(
        formats=f"{name}+{name}",
        encoders={name: "conv160" if name == "waveform" else "cnn6"},
        augment_a=augment,
        augment_b=augment,
        width=1 / 32,
        crop_seconds=0.5,
    )
    model = dual.DualEncoder(config)
    (audio, _), encoder_input = _audio(), tf.function(model.encoder_input, jit_compile=True)
    augmented, plain = encoder_input(0, audio, training=True), model.encoder_input(0, audio, training=False)
    assert augmented.shape == plain.shape
    assert np.isfinite(augmented).all()
    assert not np.allclose(augmented, plain)
