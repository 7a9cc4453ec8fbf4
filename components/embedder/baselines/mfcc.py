"""The classical baseline that every embedding has to beat: mean and standard deviation of MFCCs."""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from beam_jobs.embedding.embedder import Framing
from models import frontends
from models.config import FrontEndConfig

NAME = "mfcc_mean_std"

_DEFAULTS = FrontEndConfig()
_DEFAULT_SAMPLE_RATE = 16000  # The sample rate that the default front end is made for, in Hz.


class MfccStatistics:
    """Mean and standard deviation of 13 MFCCs over the frames of each window (paper, section 3).

    Args:
        framing: The windows to take.
    """

    def __init__(self, framing: Framing):
        self.framing = framing
        # At higher sample rates the STFT's window has more samples and needs a longer FFT. At lower ones the bands end
        # at half the sample rate.
        doublings = max(0, math.ceil(math.log2(framing.sample_rate / _DEFAULT_SAMPLE_RATE)))
        self.mfcc = frontends.Mfcc(
            FrontEndConfig(
                fft_length=_DEFAULTS.fft_length * 2**doublings,
                high_hz=min(_DEFAULTS.high_hz, framing.sample_rate / 2),
            ),
            sample_rate=framing.sample_rate,
        )
        self.dims: Mapping[str, int] = {NAME: 2 * self.mfcc.n_mfcc}
        windows = tf.TensorSpec((None, framing.window_samples), tf.float32)
        self._statistics = tf.function(self.statistics, input_signature=[windows], autograph=False)

    def statistics(self, windows: tf.Tensor) -> tf.Tensor:
        """Returns 13 means, then 13 standard deviations, float32 (windows, 26), of float32 (windows, samples)."""
        mfcc = self.mfcc(windows)  # (windows, frames, 13)
        return tf.concat([tf.reduce_mean(mfcc, axis=1), tf.math.reduce_std(mfcc, axis=1)], axis=-1)

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        return {NAME: self._statistics(tf.constant(windows)).numpy()}
