import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.audio import log_mel


def test_filters_equal_those_of_tensorflow():
    reference = tf.signal.linear_to_mel_weight_matrix(80, 257, 16000, 60.0, 7800.0).numpy()
    np.testing.assert_allclose(log_mel.mel_matrix(sample_rate=16000, fft_size=512), reference, atol=1e-4)


def test_energies_equal_those_of_tensorflow():
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)
    spectrum = tf.signal.stft(audio, 320, 160, 512)
    mel = tf.matmul(tf.abs(spectrum) ** 2, tf.signal.linear_to_mel_weight_matrix(80, 257, 16000, 60.0, 7800.0))
    np.testing.assert_allclose(log_mel.log_mel(audio, sample_rate=16000), tf.math.log(mel + 1e-6), atol=1e-3)


@settings(deadline=None, max_examples=25)
@given(samples=st.integers(1, 2000), rate=st.sampled_from([8000, 16000, 44100]))
def test_silence_of_any_length_gives_the_floor(samples, rate):
    energies = log_mel.log_mel(np.zeros(samples, np.int16), sample_rate=rate)
    assert energies.shape[1] == 80
    assert len(energies) >= 1
    np.testing.assert_allclose(energies, np.log(1e-6), rtol=1e-5)
