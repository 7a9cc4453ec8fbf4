import keras
import numpy as np
import pytest
import scipy.fft
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.audio import log_mel as numpy_log_mel
from models import formats, frontends
from models.config import FrontEndConfig, ModelConfig
from tests.compiled_librosa import librosa
from tests.reference import fixture, relative_error

SPECTRAL = {name: frontends.build(name, ModelConfig()) for name in formats.SPECTRA}
PANNS = FrontEndConfig(
    window_seconds=0.032,
    hop_seconds=0.010,
    fft_length=1024,
    low_hz=50.0,
    high_hz=14000.0,
    mel_scale="slaney",
    log="decibel",
    floor=1e-10,
    centre=True,
)


def _noise(*shape, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) * 0.1).astype("float32")


def _tf_log_mel(waveform):
    spectrum = tf.abs(tf.signal.stft(waveform, 320, 160, fft_length=512))
    matrix = tf.signal.linear_to_mel_weight_matrix(80, 257, 16000, 60.0, 7800.0)
    return tf.math.log(tf.square(spectrum) @ matrix + 1e-6).numpy()


def test_log_mel_equals_tf_signal():
    waveform = _noise(2, 16000)
    log_mel, expected = frontends.LogMel()(waveform), _tf_log_mel(waveform)
    assert log_mel.shape == expected.shape == (2, 99, 80)
    assert relative_error(log_mel, expected) < 1e-4


@pytest.mark.parametrize("samples", [32000, 32319, 1024])
def test_the_front_end_of_panns_equals_librosas(samples):
    waveform = _noise(samples)
    power = librosa().feature.melspectrogram(
        y=waveform, sr=32000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=14000, pad_mode="reflect"
    )
    expected = librosa().power_to_db(power, amin=1e-10, top_db=None).T
    log_mel = frontends.LogMel(PANNS, sample_rate=32000, n_bands=64)(waveform[None])[0]
    assert log_mel.shape == expected.shape == (1 + samples // 320, 64)
    assert relative_error(log_mel, expected) < 1e-4


@pytest.mark.parametrize(("window", "fft_length"), [(400, 512), (320, 512), (401, 512)])
@pytest.mark.parametrize("centre", [True, False])
def test_a_window_shorter_than_the_fft_equals_librosas(window, fft_length, centre):
    waveform = _noise(8000)
    # librosa centers the window in the frame of the FFT. Without `center`, zeros must shift the waveform to match.
    padding = (0, 0)
    if not centre:
        before = (fft_length - window) // 2
        padding = (before, fft_length - window - before)
    spectrum = librosa().stft(
        np.pad(waveform, padding),
        n_fft=fft_length, win_length=window, hop_length=160, center=centre, pad_mode="reflect",
    )  # fmt: skip
    mel = librosa().filters.mel(sr=16000, n_fft=fft_length, n_mels=40, fmin=60, fmax=7800)
    expected = np.log((np.abs(spectrum) ** 2).T @ mel.T + 1e-6)
    options = FrontEndConfig(window_seconds=window / 16000, fft_length=fft_length, mel_scale="slaney", centre=centre)
    log_mel = frontends.LogMel(options, n_bands=40)(waveform[None])[0]
    assert log_mel.shape == expected.shape
    assert relative_error(log_mel, expected) < 1e-4


@pytest.mark.parametrize("logarithm", ["ln_plus1e-6", "dB_max1e-10"])
@pytest.mark.parametrize("mel_scale", ["tf", "slaney"])
@pytest.mark.parametrize("centring", ["nocentre", "centre"])
@pytest.mark.parametrize("fft_length", [320, 512])
def test_log_mel_equals_the_reference(fft_length, centring, mel_scale, logarithm):
    vectors = fixture("logmel")
    options = FrontEndConfig(
        fft_length=fft_length,
        low_hz=0.0,
        high_hz=8000.0,
        centre=centring == "centre",
        mel_scale=mel_scale.replace("tf", "htk"),
        log="natural" if logarithm.startswith("ln") else "decibel",
        floor=1e-6 if logarithm.startswith("ln") else 1e-10,
    )
    if (fft_length, mel_scale) == (320, "tf"):
        with pytest.raises(ValueError, match="80 bands are too many for an fft_length of 320"):
            frontends.LogMel(options)
        return
    log_mel = frontends.LogMel(options)(vectors["wave"][None])[0]
    name = f"logmel/{fft_length}/{centring}/p2/{mel_scale}/{logarithm}"
    assert log_mel.shape == tuple(vectors[f"{name}/shape"])
    assert relative_error(log_mel[:: int(vectors["frame_step"])], vectors[name]) < 1e-4


@pytest.mark.parametrize(("log", "centre"), [("natural", False), ("decibel", True)])
def test_spectrogram_is_the_log_of_linear_bands_of_magnitudes(log, centre):
    waveform = _noise(8000)
    padded = np.pad(waveform, 160 if centre else 0, mode="reflect")
    magnitude = np.abs(tf.signal.stft(padded, 320, 160, 512))
    hz, edges = np.arange(257) * 31.25, np.linspace(60, 7800, 82)
    bands = [magnitude @ np.interp(hz, edges[i : i + 3], [0, 1, 0]) for i in range(80)]
    bands = np.stack(bands, axis=-1)
    expected = np.log(bands + 1e-6) if log == "natural" else librosa().amplitude_to_db(bands, amin=1e-6, top_db=None)
    layer = frontends.Spectrogram(FrontEndConfig(log=log, centre=centre))
    assert relative_error(layer(waveform[None])[0], expected) < 1e-4


def test_mfccs_equal_those_of_scipy_and_tf_signal():
    waveform = _noise(2, 16000)
    mfcc, log_mel = np.asarray(frontends.Mfcc()(waveform)), _tf_log_mel(waveform)
    assert mfcc.shape == (2, 99, 13)
    assert relative_error(mfcc, scipy.fft.dct(log_mel, norm="ortho")[..., :13]) < 1e-4
    expected = tf.signal.mfccs_from_log_mel_spectrograms(log_mel).numpy()[..., :13]
    expected[..., 0] /= np.sqrt(2)  # Coefficient 0 of TensorFlow's DCT is not orthonormal.
    assert relative_error(mfcc, expected) < 1e-4


def test_log_mel_equals_the_numpy_log_mel_of_the_statistics():
    waveform = _noise(8000)
    expected = numpy_log_mel.log_mel(waveform, sample_rate=16000)
    assert relative_error(frontends.LogMel()(waveform[None])[0], expected) < 1e-4


@given(loudness=st.floats(1e-6, 1e3), samples=st.integers(320, 2000), name=st.sampled_from(formats.SPECTRA))
def test_a_clip_does_not_depend_on_its_batch_mates(loudness, samples, name):
    quiet, loud = _noise(1, samples), _noise(1, samples, seed=1) * np.float32(loudness)
    together = np.asarray(SPECTRAL[name](np.concatenate([quiet, loud])))
    assert relative_error(together[:1], np.asarray(SPECTRAL[name](quiet))) < 1e-5


@pytest.mark.parametrize("log", ["natural", "decibel"])
@pytest.mark.parametrize("name", formats.SPECTRA)
def test_silence_is_the_value_of_silent_bands(name, log):
    layer = frontends.build(name, ModelConfig(front_end=FrontEndConfig(log=log, floor=1e-8)))
    bands = layer.bands(np.zeros((1, 1600), "float32"))
    assert np.isfinite(layer.silence)
    np.testing.assert_allclose(bands, layer.silence, rtol=1e-6)
    assert np.isfinite(np.asarray(layer(np.zeros((1, 1600), "float32")))).all()


def test_the_waveform_front_end_changes_nothing():
    waveform, layer = _noise(2, 100), frontends.build("waveform", ModelConfig())
    np.testing.assert_array_equal(layer(waveform), waveform)
    np.testing.assert_array_equal(layer.bands(waveform), waveform)
    assert layer.silence == 0.0


@pytest.mark.parametrize("name", formats.FORMATS)
def test_front_ends_stay_float32_under_mixed_precision(name):
    waveform = _noise(1, 1600)
    expected = np.asarray(frontends.build(name, ModelConfig())(waveform))
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        features = np.asarray(frontends.build(name, ModelConfig())(waveform))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_config_round_trips(name):
    front_end = PANNS.model_copy(update={"high_hz": 6000.0})
    config = ModelConfig(sample_rate=22050, n_mels=40, n_mfcc=20, front_end=front_end)
    layer = frontends.build(name, config)
    again = type(layer).from_config(layer.get_config())
    waveform = _noise(1, 3000)
    np.testing.assert_array_equal(again(waveform), layer(waveform))
    assert again.get_config() == layer.get_config()
    if name != "waveform":
        assert layer(waveform).shape[-1] == formats.frame_size(name, n_mels=40, n_mfcc=20)


def test_a_waveform_too_short_for_a_frame_is_an_error():
    message = "319 samples are too few for a frame of the log_mel_front_end: give at least 320 samples"
    with pytest.raises(ValueError, match=message):
        frontends.build("log_mel", ModelConfig())(_noise(1, 319))


@pytest.mark.parametrize("floor", [1e-37, 1e37])
@pytest.mark.parametrize("log", ["natural", "decibel"])
@pytest.mark.parametrize("name", ["spectrogram", "log_mel", "mfcc"])
def test_silence_is_finite_with_any_floor_that_the_config_allows(name, log, floor):
    layer = frontends.build(name, ModelConfig(front_end=FrontEndConfig(log=log, floor=floor)))
    bands = np.asarray(layer.bands(np.zeros((1, 1600), "float32")))
    np.testing.assert_allclose(bands, layer.silence, rtol=1e-5)
    assert np.isfinite(layer.features(bands)).all()


def test_another_format_has_no_front_end():
    with pytest.raises(KeyError, match="chroma"):
        frontends.build("chroma", ModelConfig())
