import keras
import numpy as np
import pytest
import tensorflow as tf

from models import contrastive, dual

AUGMENTED = (
    {"mixing": True, "time_mask_seconds": 0.1},
    {"mixing": True, "time_mask_seconds": 0.1, "frequency_mask": 10, "frequency_shift": 20},
)
SMALL = {"width": 1 / 32, "crop_seconds": 0.5, "projector_dim": 16}


@pytest.fixture
def audio():
    return (np.random.default_rng(0).normal(size=(4, 8000)) * 0.1).astype("float32")


def _build(**options):
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(**{**SMALL, **options})


def test_two_formats_have_two_encoders_and_one_projector(audio):
    model = _build()
    assert model.formats == model.branches == ("waveform", "log_mel")
    assert [z.shape for z in model((audio, audio))] == [(4, 16), (4, 16)]
    assert {name: e.shape for name, e in model.embed(audio).items()} == {"waveform": (4, 16), "log_mel": (4, 16)}
    assert model.dims == {"waveform": 16, "log_mel": 16}


@pytest.mark.parametrize("name", ["waveform", "log_mel"])
def test_one_format_shares_the_encoder(name, audio):
    model = _build(formats=(name, name))
    assert model.formats == (name,)
    z_a, z_b = model((audio, audio))
    np.testing.assert_array_equal(z_a, z_b)
    both = _build()
    assert len(model.trainable_variables) < len(both.trainable_variables)


def test_saving_keeps_everything(audio, tmp_path):
    model = _build(augmentations=AUGMENTED, projector_norm="batch", seed=3)
    model((audio, audio), training=True)  # moves the batch statistics
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    for name, expected in model.embed(audio).items():
        np.testing.assert_array_equal(again.embed(audio)[name], expected)
    for found, expected in zip(again((audio, audio)), model((audio, audio)), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_views_are_augmented_in_training_only(audio):
    model = _build(augmentations=AUGMENTED, seed=1)
    for branch in range(2):
        plain = model.view(branch, audio, training=False)
        assert not np.array_equal(model.view(branch, audio, training=True), plain)
        assert model.view(branch, audio, training=True).shape == plain.shape
    np.testing.assert_array_equal(model.view(0, audio, training=False), audio)
    assert model.view(1, audio, training=False).shape == (4, 49, 80)


def test_embeddings_do_not_depend_on_batch_mates(audio):
    model = _build(projector_norm="batch")
    loud = np.concatenate([audio[:1], 100 * audio[1:]])
    for name, alone in model.embed(audio[:1]).items():
        np.testing.assert_allclose(model.embed(loud)[name][:1], alone, rtol=1e-4, atol=1e-6)


def test_silence_and_full_scale_are_finite():
    model = _build()
    audio = np.stack([np.zeros(8000), np.ones(8000), np.resize([1.0, -1.0], 8000)]).astype("float32")
    assert all(np.isfinite(e).all() for e in model.embed(audio).values())


def test_it_learns_to_match_its_own_batch(audio):
    model, optimizer = _build(projector_norm="batch", dropout=0.0), keras.optimizers.Adam(1e-2)
    audio = np.stack([np.sin(np.arange(8000) * 0.05 * 1.5**i) for i in range(8)]).astype("float32")

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(contrastive.nt_xent(*model((audio, audio), training=True)))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    losses = [float(step()) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoders": {"waveform": "conv320", "log_mel": "cnn14"}}, "conv320 gives 16 and cnn14 gives 64"),
        ({"encoders": {"waveform": "cnn10", "log_mel": "cnn10"}}, "'cnn10' reads spectra.*'waveform'"),
        ({"encoders": {"waveform": "conv320"}}, "no encoder is given for the format 'log_mel'"),
        ({"formats": ("waveform", "melody")}, "waveform\\+melody"),
        ({"formats": ("waveform",)}, "choose two"),
        ({"augmentations": ({"frequency_shift": 3}, {})}, "a waveform has no bands"),
        ({"augmentations": ({"reverb": 1}, {})}, "unknown augmentation 'reverb'"),
        ({"width": 1e-4}, "leaves none"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        _build(**options)
