"""The classical baseline every embedding has to beat: mean and standard deviation of MFCCs."""

import numpy as np
import tensorflow as tf
from scipy import fft

from models import frontends, views

COEFFICIENTS = 13  # paper, section 3: "for MFCCs we follow the convention and take 13 features"


class MfccStatistics:
    """Mean and standard deviation over time of 13 MFCCs, of each sub-clip."""

    def __init__(self, *, sample_rate: int, crop: int):
        self.crop = crop
        self.log_mel = frontends.LogMel(sample_rate=sample_rate)
        # Orthonormal DCT-II over the mel bands, as a matrix (bands, coefficients).
        self.dct = fft.dct(np.eye(self.log_mel.n_mels, dtype=np.float32), axis=1, norm="ortho")[:, :COEFFICIENTS]

    def mfcc(self, audio: tf.Tensor) -> tf.Tensor:
        """MFCCs of the log-mel front end, float32 (batch, samples) -> (batch, frames, 13)."""
        return self.log_mel(audio) @ self.dct

    def windows(self, audio: tf.Tensor) -> tf.Tensor:
        """Float32 (batch, samples) in [-1, 1] -> (batch, windows, 26): means, then standard deviations."""
        cut = views.subclips(audio, crop=self.crop, stride=views.half_crop(self.crop))
        mfcc = self.mfcc(tf.reshape(cut, (-1, self.crop)))
        statistics = tf.concat([tf.reduce_mean(mfcc, axis=1), tf.math.reduce_std(mfcc, axis=1)], axis=-1)
        return tf.reshape(statistics, (tf.shape(cut)[0], tf.shape(cut)[1], 2 * COEFFICIENTS))
