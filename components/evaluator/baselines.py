"""The classical baseline that every embedding has to beat: mean and standard deviation of MFCCs."""

import math

import tensorflow as tf

from models import frontends, subclip_starts, subclips
from models.config import FrontEndConfig

_DEFAULTS = FrontEndConfig()
_DEFAULT_SAMPLE_RATE = 16000  # The sample rate that the default front end is made for, in Hz.


class MfccStatistics:
    """Mean and standard deviation of 13 MFCCs over the frames of each sub-clip (paper, section 3).

    Args:
        sample_rate: Sample rate of the audio, in Hz.
        crop: Length of a sub-clip, in samples.
    """

    def __init__(self, *, sample_rate: int, crop: int):
        self.crop = crop
        # At higher sample rates the STFT's window has more samples and needs a longer FFT. At lower ones the bands end
        # at half the sample rate.
        doublings = max(0, math.ceil(math.log2(sample_rate / _DEFAULT_SAMPLE_RATE)))
        self.mfcc = frontends.Mfcc(
            FrontEndConfig(
                fft_length=_DEFAULTS.fft_length * 2**doublings,
                high_hz=min(_DEFAULTS.high_hz, sample_rate / 2),
            ),
            sample_rate=sample_rate,
        )

    def statistics(self, audio: tf.Tensor) -> tf.Tensor:
        """Computes the statistics of every sub-clip.

        Args:
            audio: float32 (batch, samples) in [-1, 1].

        Returns:
            (batch, subclips, 26): 13 means, then 13 standard deviations.
        """
        stride = subclip_starts.half_crop(self.crop)
        waveforms = subclips.split_into_subclips(audio, crop=self.crop, stride=stride)  # (batch, subclips, crop)
        mfcc = self.mfcc(tf.reshape(waveforms, (-1, self.crop)))  # (batch * subclips, frames, 13)
        statistics = tf.concat([tf.reduce_mean(mfcc, axis=1), tf.math.reduce_std(mfcc, axis=1)], axis=-1)
        return tf.reshape(statistics, (tf.shape(waveforms)[0], tf.shape(waveforms)[1], 2 * self.mfcc.n_mfcc))
