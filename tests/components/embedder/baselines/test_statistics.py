import numpy as np
import pytest

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines
from tests.compiled_librosa import librosa
from tests.components.embedder.baselines import checks
from tests.reference import relative_error

FRAMING = Framing(sample_rate=16000, window_samples=16000, hop_samples=8000)


def _log_mel(audio):
    """Returns librosa's log-mel spectrogram with the settings of Diptych's models, (bands, frames)."""
    # librosa centers the window of 320 samples in a frame of 512, with 96 samples on either side.
    power = librosa().feature.melspectrogram(
        y=np.pad(audio, 96), sr=16000, n_fft=512, win_length=320, hop_length=160, center=False,
        n_mels=80, fmin=60, fmax=7800, htk=True, norm=None,
    )  # fmt: skip
    return np.log(power + 1e-6)


def _sound():
    audio = np.random.default_rng(0).normal(scale=0.1, size=16000).astype(np.float32)
    return audio + 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)


@pytest.mark.parametrize(("name", "size"), [("mfcc_mean_std", 13), ("log_mel_mean_std", 80)])
def test_statistics_are_those_of_librosas_spectra(name, size):
    embedder = baselines.parse(name, framing=FRAMING).load()
    checks.check(embedder, dims={name: 2 * size})
    assert embedder.framing == FRAMING
    expected = _log_mel(_sound())
    if name == "mfcc_mean_std":
        expected = librosa().feature.mfcc(S=expected, n_mfcc=size, norm="ortho")
    # The filters are triangles on the mel axis here, and on the frequency axis in librosa.
    statistics = np.concatenate([expected.mean(axis=1), expected.std(axis=1)])
    np.testing.assert_allclose(embedder.embed(_sound()[None])[name][0], statistics, atol=0.05)


def test_the_random_projection_is_hears():
    """Compares with HEAR's steps, one frame after the other."""
    embedder = baselines.parse("random_projection", framing=FRAMING).load()
    checks.check(embedder, dims={"random_projection": 4096})
    audio, window = _sound(), round(4096 / 44100 * 16000)
    filters = librosa().filters.mel(sr=16000, n_fft=4096, n_mels=256)
    projection = np.random.default_rng(0).random((256, 4096)) / np.sqrt(256)
    padded = np.pad(audio, ((window + 1) // 2, window // 2), mode="reflect")
    frames = [padded[start : start + window] for start in range(0, len(audio) + 1, 400)]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    expected = [np.log(filters @ np.abs(np.fft.rfft(hann * frame, 4096)) ** 2 + 1e-4) @ projection for frame in frames]
    assert relative_error(embedder.embed(audio[None])["random_projection"][0], np.mean(expected, axis=0)) < 1e-3


@pytest.mark.parametrize("name", ["mfcc_mean_std", "log_mel_mean_std", "random_projection"])
@pytest.mark.parametrize("sample_rate", [2000, 8000, 22050, 48000])
def test_spectra_exist_at_any_sample_rate(name, sample_rate):
    framing = Framing(sample_rate=sample_rate, window_samples=sample_rate, hop_samples=sample_rate)
    embedder = baselines.parse(name, framing=framing).load()
    assert np.isfinite(embedder.embed(checks.windows(framing, count=2))[name]).all()
