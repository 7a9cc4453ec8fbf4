import librosa
import numpy as np
import pytest

from beam_jobs.embedding.embedder import Framing
from components.embedder.baselines import mfcc


def statistics_of(audio, *, sample_rate=16000):
    """Returns the MFCC baseline, and what it makes of one window."""
    framing = Framing(sample_rate=sample_rate, window_samples=audio.size, hop_samples=audio.size)
    baseline = mfcc.MfccStatistics(framing)
    return baseline, baseline.embed(audio[None])[mfcc.NAME][0]


def test_mfcc_agrees_with_librosa():
    audio = np.random.default_rng(0).normal(scale=0.1, size=16000).astype(np.float32)
    audio += 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    # librosa centers the window of 320 samples in a frame of 512, with 96 samples on either side.
    power = librosa.feature.melspectrogram(
        y=np.pad(audio, 96), sr=16000, n_fft=512, win_length=320, hop_length=160, center=False,
        n_mels=80, fmin=60, fmax=7800, htk=True, norm=None,
    )  # fmt: skip
    expected = librosa.feature.mfcc(S=np.log(power + 1e-6), n_mfcc=13, norm="ortho").T
    baseline, statistics = statistics_of(audio)
    coefficients = baseline.mfcc(audio[None])[0].numpy()
    assert coefficients.shape == expected.shape
    # The filters are triangles on the mel axis here, and on the frequency axis in librosa.
    np.testing.assert_allclose(coefficients, expected, atol=0.05)
    np.testing.assert_allclose(statistics, np.concatenate([expected.mean(0), expected.std(0)]), atol=0.05)


@pytest.mark.parametrize("sample_rate", [2000, 8000, 22050, 44100, 48000])
def test_mfcc_statistics_exist_at_any_sample_rate(sample_rate):
    audio = np.random.default_rng(0).normal(size=sample_rate).astype(np.float32)
    _, statistics = statistics_of(audio, sample_rate=sample_rate)
    assert statistics.shape == (26,)
    assert np.isfinite(statistics).all()
