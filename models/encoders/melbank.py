"""MelBank: a learnable filter bank over the raw waveform, followed by CNN10. It is not in the paper.

The strided convolutions of the paper's small waveform encoder hear 30 to 480 ms at a time, and a mean over time
follows. CNN10 on log-mel spectra hears about a second. MelBank gives CNN10 the output of filters that are learned from
the waveform (cf. LEAF, Zeghidour et al. 2021). They come in pairs, which start as a cosine and a sine with a Hann
window, at frequencies that are evenly spaced on the mel scale. The log energy of a pair takes the place of a mel band.

The start is made for 16 kHz, with the edges of the bands and the floor that the log-mel spectrogram has by default. At
another rate the frequencies are other ones, in proportion, and so is the length of a frame.
"""

import keras
import numpy as np
from keras import ops

from models import filters
from models.catalog import MELBANK_HOP
from models.config import FrontEndConfig
from models.encoders import cnn
from models.layers import Conv1D
from models.typing import Shape, Tensor

NAME = "melbank"
BANDS = 80
TAPS = 320
_SAMPLE_RATE = 16000
_LOG_MEL = FrontEndConfig()


@keras.saving.register_keras_serializable("diptych")
class MelWavelets(keras.initializers.Initializer):
    """Initializes a kernel `(taps, 1, 2 * bands)` with windowed cosines, then sines, of mel-spaced frequencies."""

    def __call__(self, shape: Shape, dtype: str | None = None) -> Tensor:
        taps, _, outputs = shape
        time = np.arange(taps) - taps / 2
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taps) / taps)
        centers = filters.htk_centers(outputs // 2, low_hz=_LOG_MEL.low_hz, high_hz=_LOG_MEL.high_hz)
        angles = 2 * np.pi * np.outer(time, centers / _SAMPLE_RATE)
        kernel = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * hann[:, None]
        return ops.cast(kernel[:, None], dtype or "float32")


def trunk(name: str, waveform: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """Maps `(batch, samples)` to `(batch, dim)`. `models.encoders.build` checks the arguments."""
    del name  # There is one network.
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    initializer = MelWavelets()
    stem = Conv1D(2 * BANDS, TAPS, strides=MELBANK_HOP, padding="same", kernel_initializer=initializer, name="filters")
    x = ops.cast(stem(x), "float32")  # (batch, frames, 2 * BANDS). The squares of quiet sounds need float32.
    energy = ops.square(x[..., :BANDS]) + ops.square(x[..., BANDS:])  # (batch, frames, BANDS)
    bands = ops.log(energy + _LOG_MEL.floor)
    return cnn.trunk("cnn10", bands, norm=norm, padding=padding, width=width, dropout=dropout)
