"""From a waveform to the format a branch sees: `(batch, samples) -> (batch, frames, bands)`, or the waveform itself."""

import keras
import numpy as np
from keras import ops

from models.catalog import HOP_SECONDS, LOG_MEL_HIGH_HZ
from models.typing import Tensor

WINDOW_SECONDS = 2 * HOP_SECONDS


@keras.saving.register_keras_serializable("diptych")
class LogMel(keras.layers.Layer):
    """Log-mel filter bank energies, `(batch, samples)` float32 -> `(batch, frames, n_mels)` float32.

    Power spectrum of 20-ms periodic Hann windows every 10 ms (paper, section 3), without centring:
    `frames = samples // hop - 1`. Then HTK mel triangles of peak 1 and the natural log of energy + `floor`. The
    paper leaves FFT size, band edges, scale and floor open; these are Diptych's choices.

    The transform is one matmul with a windowed Fourier basis: about 1 % of an encoder's work, and no FFT op to hinder
    an export. Each clip's features depend on that clip alone. Always float32: spectra overflow 16-bit floats.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_mels: int = 80,
        fft_length: int = 512,
        low_hz: float = 60.0,
        high_hz: float = LOG_MEL_HIGH_HZ,
        floor: float = 1e-6,
        **kwargs,
    ):
        super().__init__(dtype="float32", trainable=False, **kwargs)
        if not 0 <= low_hz < high_hz <= sample_rate / 2:
            raise ValueError(
                f"mel band edges {low_hz:g}-{high_hz:g} Hz must rise and stay below half the sample rate, "
                f"{sample_rate / 2:g} Hz"
            )
        self.sample_rate, self.n_mels, self.fft_length = sample_rate, n_mels, fft_length
        self.low_hz, self.high_hz, self.floor = low_hz, high_hz, floor
        self.hop = round(HOP_SECONDS * sample_rate)
        self.window = round(WINDOW_SECONDS * sample_rate)
        self._basis = windowed_fourier_basis(self.window, fft_length)
        self._mel = mel_filters(
            n_mels=n_mels, fft_length=fft_length, sample_rate=sample_rate, low_hz=low_hz, high_hz=high_hz
        )
        if not self._mel.any(axis=0).all():
            raise ValueError(
                f"{n_mels} mel bands are too many for an FFT of {fft_length}, some hold no frequency: choose fewer"
            )

    @property
    def silence(self) -> float:
        """The value of a band without energy."""
        return float(np.log(self.floor))

    def call(self, waveform: Tensor) -> Tensor:
        hops = ops.shape(waveform)[1] // self.hop
        x = ops.reshape(waveform[:, : hops * self.hop], (-1, hops, self.hop))
        frames = ops.concatenate([x[:, :-1], x[:, 1:]], axis=-1)  # (batch, hops - 1, window): windows overlap by half
        spectrum = ops.matmul(frames, self._basis)  # (batch, frames, real bins then imaginary bins)
        bins = self.fft_length // 2 + 1
        power = ops.square(spectrum[..., :bins]) + ops.square(spectrum[..., bins:])
        return ops.log(ops.matmul(power, self._mel) + self.floor)

    def get_config(self) -> dict:
        names = ("sample_rate", "n_mels", "fft_length", "low_hz", "high_hz", "floor")
        config = {key: value for key, value in super().get_config().items() if key in ("name",)}
        return {**config, **{name: getattr(self, name) for name in names}}


def windowed_fourier_basis(window: int, fft_length: int) -> np.ndarray:
    """The real Fourier transform of a periodic-Hann-windowed frame, zero-padded to `fft_length`, as a matrix.

    Returns:
        `(window, 2 * bins)` float32: the cosine columns of the `fft_length // 2 + 1` bins, then the sine columns.
    """
    n = np.arange(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    angle = 2 * np.pi * np.outer(n, np.arange(fft_length // 2 + 1)) / fft_length
    return (hann[:, None] * np.concatenate([np.cos(angle), -np.sin(angle)], axis=1)).astype(np.float32)


def mel_filters(*, n_mels: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """HTK mel triangles of peak 1, straight in mel, as `tf.signal.linear_to_mel_weight_matrix` draws them.

    Returns:
        `(fft_length // 2 + 1, n_mels)` float32; the row of 0 Hz is zero.
    """

    def to_mel(hz: float | np.ndarray) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hz) / 700.0)

    bins = to_mel(np.linspace(0.0, sample_rate / 2, fft_length // 2 + 1)[1:])[:, None]
    edges = np.linspace(to_mel(low_hz), to_mel(high_hz), n_mels + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return np.pad(triangles, [[1, 0], [0, 0]]).astype(np.float32)
