import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import catalog, contrastive, dual
from models.config import AugmentConfig, ModelConfig
from models.formats import FORMATS

AUGMENTED = (
    AugmentConfig(mixing=True, time_mask_seconds=0.1),
    AugmentConfig(mixing=True, time_mask_seconds=0.1, frequency_mask=10, frequency_shift=20),
)
NOT_AUGMENTED = {"augment_a": AugmentConfig(), "augment_b": AugmentConfig()}
ENCODERS = {name: "conv160" if name == "waveform" else "cnn6" for name in FORMATS}  # Those with the fewest layers.
SMALL = {"encoders": ENCODERS, "width": 1 / 32, "crop_seconds": 0.5, "projector_dim": 16, **NOT_AUGMENTED}
FRAMES = {"waveform": (8000,), "spectrogram": (49, 80), "log_mel": (49, 80), "mfcc": (49, 13)}


@pytest.fixture
def audio():
    return (np.random.default_rng(0).normal(size=(4, 8000)) * 0.1).astype("float32")


def _build(*, seed=None, dtype=None, name=None, **fields):
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(ModelConfig.model_validate({**SMALL, **fields}), seed=seed, dtype=dtype, name=name)


def test_two_formats_have_two_encoders_and_one_projector(audio):
    model = _build()
    assert model.formats == model.embedding_names == ("waveform", "log_mel")
    assert [z.shape for z in model((audio, audio))] == [(4, 16), (4, 16)]
    assert {name: e.shape for name, e in model.embed(audio).items()} == {"waveform": (4, 16), "log_mel": (4, 16)}
    assert model.dims == {"waveform": 16, "log_mel": 16}


@pytest.mark.parametrize("name", FORMATS)
def test_one_format_shares_the_encoder(name, audio):
    model = _build(formats=f"{name}+{name}")
    assert model.formats == (name, name)
    assert model.embedding_names == (name,)
    z_a, z_b = model((audio, audio))
    np.testing.assert_array_equal(z_a, z_b)
    assert len(model.encoders) == 1


def test_one_format_has_two_encoders_if_the_branches_do_not_share(audio):
    model = _build(formats="log_mel+log_mel", share_encoder=False)
    assert model.embedding_names == ("log_mel_a", "log_mel_b")
    embedded = model.embed(audio)
    for branch, (name, z) in enumerate(zip(model.embedding_names, model((audio, audio)), strict=True)):
        encoded = model.encoders[name](model.encoder_input(branch, audio, training=False))
        np.testing.assert_allclose(embedded[name], encoded, rtol=1e-5)
        np.testing.assert_allclose(model.projector(encoded), z, rtol=1e-4, atol=1e-6)
    assert not np.allclose(embedded["log_mel_a"], embedded["log_mel_b"])


def test_share_encoder_has_no_effect_on_two_formats():
    assert _build(share_encoder=False).embedding_names == ("waveform", "log_mel")


OPTIONS = {
    "formats": st.tuples(st.sampled_from(FORMATS), st.sampled_from(FORMATS)),
    "share_encoder": st.booleans(),
    "norm": st.sampled_from([None, "batch", "group:1"]),
    "padding": st.sampled_from([None, "same"]),
    "front_end": st.fixed_dictionaries(
        {},
        optional={
            "hop_seconds": st.sampled_from([0.005, 0.02]),
            "mel_scale": st.just("slaney"),
            "log": st.just("decibel"),
            "centre": st.just(True),
        },
    ),
    "n_mels": st.sampled_from([40, 80]),
    "n_mfcc": st.sampled_from([13, 20]),
}


@pytest.mark.slow
@given(**OPTIONS)
def test_saving_keeps_everything_with_any_options(tmp_path_factory, **options):
    _check_that_saving_keeps_everything(tmp_path_factory, **options)


@settings(max_examples=1)
@given(**OPTIONS)
@example(
    formats=("waveform", "mfcc"),
    share_encoder=False,
    norm="batch",
    padding="same",
    front_end={"hop_seconds": 0.02, "mel_scale": "slaney", "log": "decibel", "centre": True},
    n_mels=40,
    n_mfcc=20,
)
def test_saving_keeps_everything(tmp_path_factory, **options):
    _check_that_saving_keeps_everything(tmp_path_factory, **options)


def _check_that_saving_keeps_everything(tmp_path_factory, *, formats, **options):
    augment_a, augment_b = (AUGMENTED[name != "waveform"] for name in formats)
    model = _build(
        formats="+".join(formats),
        augment_a=augment_a,
        augment_b=augment_b,
        projector_norm="batch",
        seed=3,
        **options,
    )
    audio = (np.random.default_rng(0).normal(size=(4, 8000)) * 0.1).astype("float32")
    model((audio, audio), training=True)  # updates the running statistics
    path = tmp_path_factory.mktemp("dual") / "model.keras"
    model.save(path)
    again = keras.models.load_model(path)
    assert again.get_config() == model.get_config()
    assert (again.config, again.seed) == (model.config, model.seed)
    for name, expected in model.embed(audio).items():
        np.testing.assert_array_equal(again.embed(audio)[name], expected)
    for branch in range(2):
        expected = model.encoder_input(branch, audio, training=False)
        np.testing.assert_array_equal(again.encoder_input(branch, audio, training=False), expected)
    for projection, expected in zip(again((audio, audio)), model((audio, audio)), strict=True):
        np.testing.assert_array_equal(projection, expected)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="It checks what the Exporter does.")
def test_a_model_of_mixed_precision_keeps_its_precision_and_name_and_embeds_in_float32(tmp_path):
    path, audio = tmp_path / "model.keras", (np.random.default_rng(0).normal(size=(2, 8000)) * 0.1).astype("float32")
    model = _build(projector_norm="batch", dtype="mixed_bfloat16", name="mine")
    model.save(path)
    assert keras.config.dtype_policy().name == "float32"
    again = keras.models.load_model(path)
    assert (again.name, again.dtype_policy.name) == ("mine", "mixed_bfloat16")
    parts = [again.projector, again.projector.hidden, *(encoder.layers[2] for encoder in again.encoders.values())]
    assert {part.dtype_policy.name for part in parts} == {"mixed_bfloat16"}
    single = dual.DualEncoder(model.config)
    single.set_weights(model.get_weights())
    for name, expected in model.embed(audio).items():
        embedding = np.asarray(again.embed(audio)[name])
        assert embedding.dtype == np.float32
        np.testing.assert_array_equal(embedding, expected)
        error = np.abs(embedding - single.embed(audio)[name]).max() / np.abs(expected).max()
        assert 0 < error < 0.03


@pytest.mark.parametrize("name", FORMATS)
def test_encoder_inputs_are_augmented_in_training_only(name, audio):
    on_bands = {} if name == "waveform" else {"frequency_mask": 10, "frequency_shift": 20}
    augment_a = {"mixing": True, "time_mask_seconds": 0.1, **on_bands}
    model = _build(formats=f"{name}+{name}", augment_a=augment_a, seed=1)
    plain = model.encoder_input(0, audio, training=False)
    assert plain.shape == (4, *FRAMES[name])
    augmented = model.encoder_input(0, audio, training=True)
    assert augmented.shape == plain.shape
    assert np.isfinite(augmented).all()
    assert not np.array_equal(augmented, plain)
    np.testing.assert_array_equal(model.encoder_input(1, audio, training=True), plain)
    np.testing.assert_array_equal(model.mix(1, audio, training=True), audio)


def test_masked_frames_of_mfccs_equal_those_of_silence(audio):
    model = _build(formats="mfcc+mfcc", augment_a={"time_mask_seconds": 10.0}, seed=0)
    silence = np.asarray(model.encoder_input(0, 0 * audio[:1], training=False))[0, 0]
    plain, masked = (np.asarray(model.encoder_input(0, audio, training=training)) for training in (False, True))
    is_masked = np.isclose(masked, silence, atol=1e-3).all(axis=-1)
    assert is_masked.any()
    np.testing.assert_array_equal(masked[~is_masked], plain[~is_masked])


def test_options_reach_the_front_ends_and_the_encoders(audio):
    model = _build(
        formats="spectrogram+mfcc",
        encoders=catalog.pair("small"),
        front_end={"hop_seconds": 0.02, "centre": True},
        n_mels=40,
        n_mfcc=20,
        norm="group:2",
        padding="valid",
    )
    assert [model.encoder_input(branch, audio, training=False).shape for branch in range(2)] == [
        (4, 26, 40),
        (4, 26, 20),
    ]
    assert not any("moving_mean" in weight.path for weight in model.weights)
    with pytest.raises(ValueError, match="cnn10 needs an input of at least 16 frames, not 15"):
        model.embed(audio[:, : 14 * 320])


def test_encoders_can_be_chosen_as_a_pair():
    encoders = _build(encoders=catalog.pair("base"), norm="batch").encoders
    assert {name: encoder.name for name, encoder in encoders.items()} == {"waveform": "res1dnet31", "log_mel": "cnn14"}


@pytest.mark.parametrize("formats", ["waveform+log_mel", "spectrogram+mfcc"])
def test_embeddings_do_not_depend_on_batch_mates(formats, audio):
    model = _build(formats=formats, projector_norm="batch")
    loud = np.concatenate([audio[:1], 100 * audio[1:]])
    for name, alone in model.embed(audio[:1]).items():
        np.testing.assert_allclose(model.embed(loud)[name][:1], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("formats", ["waveform+log_mel", "spectrogram+mfcc"])
def test_silence_and_full_scale_are_finite(formats):
    model = _build(formats=formats)
    audio = np.stack([np.zeros(8000), np.ones(8000), np.resize([1.0, -1.0], 8000)]).astype("float32")
    assert all(np.isfinite(e).all() for e in model.embed(audio).values())


def test_encoder_inputs_stay_float32_under_mixed_precision(audio):
    options = {"augment_a": AUGMENTED[0], "augment_b": AUGMENTED[1], "seed": 0}
    expected = [_build(**options).encoder_input(branch, audio, training=True) for branch in range(2)]
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = _build(**options)
        for branch in range(2):
            np.testing.assert_array_equal(model.encoder_input(branch, audio, training=True), expected[branch])
        projections = model((audio, audio), training=True)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert all(keras.backend.standardize_dtype(z.dtype) == "bfloat16" for z in projections)
    assert all(np.isfinite(keras.ops.cast(z, "float32")).all() for z in projections)


class Learner(keras.Model):
    """Concatenates both projections, so that `fit` can pass them to a loss."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def call(self, audio, training=False):
        return keras.ops.concatenate(self.model((audio, audio), training=training), axis=-1)


@pytest.mark.slow
def test_training_on_one_batch_halves_its_loss():
    learner = Learner(_build(projector_norm="batch", dropout=0.0))
    learner.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=lambda _, z: contrastive.nt_xent(*keras.ops.split(z, 2, axis=-1)),
        jit_compile=keras.backend.backend() == "jax",
    )
    audio = np.stack([np.sin(np.arange(8000) * 0.05 * 1.5**i) for i in range(8)]).astype("float32")
    losses = learner.fit(audio, np.zeros(8), batch_size=8, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoders": {"waveform": "conv320", "log_mel": "cnn14"}}, "conv320 gives 16 and cnn14 gives 64"),
        ({"encoders": {"waveform": "cnn10", "log_mel": "cnn10"}}, "'cnn10' reads spectra.*'waveform'"),
        ({"formats": "waveform+melody"}, "waveform\\+melody"),
        ({"formats": "waveform"}, "choose two"),
        ({"augment_a": {"frequency_shift": 3}}, "a waveform has no bands"),
        ({"augment_a": {"reverb": 1}}, "augment_a.reverb\n +Extra inputs are not permitted"),
        ({"front_end": {"hop": 160}}, "front_end.hop\n +Extra inputs are not permitted"),
        ({"front_end": {"high_hz": 9000.0}}, "16000 Hz has no room"),
        ({"formats": "mfcc+mfcc", "n_mfcc": 81}, "n_mfcc 81 is more than the 80 mel bands"),
        ({"formats": "mfcc+mfcc", "padding": "valid"}, "cnn6 needs at least 16 bands, not 13"),
        ({"norm": "layer"}, "norm\n +Value error, must be batch, or group:G for a number G of groups"),
        ({"width": 1e-4}, "leaves none"),
    ],
)
def test_a_config_that_cannot_be_built_is_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        _build(**options)
