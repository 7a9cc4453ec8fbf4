import librosa
import numpy as np
import pytest
import tensorflow as tf

from components.evaluator import baselines


def test_mfcc_agrees_with_librosa():
    audio = np.random.default_rng(0).normal(scale=0.1, size=16000).astype(np.float32)
    audio += 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    baseline = baselines.MfccStatistics(sample_rate=16000, crop=16000)
    # librosa centers the window of 320 samples in a frame of 512, with 96 samples on either side.
    power = librosa.feature.melspectrogram(
        y=np.pad(audio, 96), sr=16000, n_fft=512, win_length=320, hop_length=160, center=False,
        n_mels=80, fmin=60, fmax=7800, htk=True, norm=None,
    )  # fmt: skip
    expected = librosa.feature.mfcc(S=np.log(power + 1e-6), n_mfcc=13, norm="ortho").T
    mfcc = baseline.mfcc(audio[None])[0].numpy()
    assert mfcc.shape == expected.shape
    # The filters are triangles on the mel axis here, and on the frequency axis in librosa.
    np.testing.assert_allclose(mfcc, expected, atol=0.05)
    statistics = baseline.statistics(tf.constant(audio[None]))[0, 0].numpy()
    np.testing.assert_allclose(statistics, np.concatenate([expected.mean(0), expected.std(0)]), atol=0.05)


@pytest.mark.parametrize("sample_rate", [2000, 8000, 22050, 44100, 48000])
def test_mfcc_statistics_exist_at_any_sample_rate(sample_rate):
    audio = np.random.default_rng(0).normal(size=(1, sample_rate)).astype(np.float32)
    statistics = baselines.MfccStatistics(sample_rate=sample_rate, crop=sample_rate).statistics(tf.constant(audio))
    assert statistics.shape == (1, 1, 26)
    assert np.isfinite(statistics).all()
