"""The classical baseline every embedding has to beat: mean and standard deviation of MFCCs."""

import math

import tensorflow as tf

from models import frontends, subclips
from models.config import FrontEndConfig

_OPTIONS, _SAMPLE_RATE = FrontEndConfig(), 16000  # the defaults, and the sample rate that they are for


class MfccStatistics:
    """Mean and standard deviation over time of 13 MFCCs (paper, section 3), of each sub-clip."""

    def __init__(self, *, sample_rate: int, crop: int):
        self.crop = crop
        self.mfcc = frontends.Mfcc(
            FrontEndConfig(
                fft_length=_OPTIONS.fft_length * 2 ** max(0, math.ceil(math.log2(sample_rate / _SAMPLE_RATE))),
                high_hz=min(_OPTIONS.high_hz, sample_rate / 2),
            ),
            sample_rate=sample_rate,
        )

    def windows(self, audio: tf.Tensor) -> tf.Tensor:
        """Float32 (batch, samples) in [-1, 1] -> (batch, windows, 26): means, then standard deviations."""
        cut = subclips.split_into_subclips(audio, crop=self.crop, stride=subclips.half_crop(self.crop))
        mfcc = self.mfcc(tf.reshape(cut, (-1, self.crop)))
        statistics = tf.concat([tf.reduce_mean(mfcc, axis=1), tf.math.reduce_std(mfcc, axis=1)], axis=-1)
        return tf.reshape(statistics, (tf.shape(cut)[0], tf.shape(cut)[1], 2 * self.mfcc.n_mfcc))
