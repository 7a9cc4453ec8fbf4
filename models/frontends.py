"""From a waveform to the format a branch sees: `(batch, samples) -> (batch, frames, bands)`, or the waveform itself."""

import keras
import numpy as np
from keras import ops

from models import filters
from models.config import FrontEndConfig, ModelConfig
from models.formats import frame_size
from models.typing import Tensor


class FrontEnd(keras.layers.Layer):
    """Base: `features(bands(waveform))`; in between is where a spectrum is augmented.

    Each clip's features depend on that clip alone. Always float32: spectra overflow 16-bit floats.

    Attributes:
        hop: Samples from one frame of `bands` to the next.
        silence: The value of `bands` where there is no sound.
    """

    hop = 1
    silence = 0.0

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def bands(self, waveform: Tensor) -> Tensor:
        """What is augmented: the `(batch, samples)` waveform itself, or its log bands, `(batch, frames, bands)`."""
        return waveform

    def features(self, bands: Tensor) -> Tensor:
        """What the encoder reads, from `bands`."""
        return bands

    def call(self, waveform: Tensor) -> Tensor:
        return self.features(self.bands(waveform))

    def get_config(self) -> dict:
        return {"name": self.name}


@keras.saving.register_keras_serializable("diptych")
class Waveform(FrontEnd):
    """The waveform as it is, `(batch, samples)`."""


class _FilterBank(FrontEnd):
    """Log of filtered Fourier spectra, `(batch, samples) -> (batch, frames, n_bands)` float32.

    Without centring there are `1 + (samples - window) // hop` frames, with it `1 + samples // hop`.

    The transform is two matmuls with a windowed and folded Fourier basis, a small share of an encoder's work, and no
    FFT op to hinder an export.

    Args:
        options: How to compute the spectra; None for the defaults.
        sample_rate: In Hz.
        n_bands: Number of bands.
        name: Name of the layer.

    Raises:
        ValueError: The options do not fit the sample rate, or there are too many bands for the transform; when called,
            the waveform is too short for a frame.
    """

    power = 2  # of the Fourier magnitudes

    def __init__(
        self,
        options: FrontEndConfig | None = None,
        *,
        sample_rate: int = 16000,
        n_bands: int = 80,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.options = options or FrontEndConfig()
        self.sample_rate, self.n_bands = sample_rate, n_bands
        self.options.check(sample_rate=sample_rate)
        self.window, self.hop = self.options.window(sample_rate), self.options.hop(sample_rate)
        matrix = filters.triangles(
            self.scale,
            bands=n_bands,
            fft_length=self.options.fft_length,
            sample_rate=sample_rate,
            low_hz=self.options.low_hz,
            high_hz=self.options.high_hz,
        )
        heard = matrix.any(axis=1)
        self._filters = matrix[heard]
        self._bases = [basis[:, heard] for basis in filters.folded_fourier_bases(self.window, self.options.fft_length)]

    @property
    def scale(self) -> str:
        """Of the filters, see `models.filters.triangles`."""
        return self.options.mel_scale

    @property
    def silence(self) -> float:
        floor = self.options.floor
        return float(np.log(floor) if self.options.log == "natural" else 20 / self.power * np.log10(floor))

    def bands(self, waveform: Tensor) -> Tensor:
        frames, half = self._frames(waveform), self.window // 2
        after = frames[..., 1 : half + 1]
        before = ops.flip(frames[..., self.window - half : self.window], axis=-1)
        cosines, sines = self._bases
        energy = ops.square(ops.matmul(after + before, cosines)) + ops.square(ops.matmul(after - before, sines))
        x = ops.matmul(energy if self.power == 2 else ops.sqrt(energy), self._filters)  # (batch, frames, n_bands)
        if self.options.log == "natural":
            return ops.log(x + self.options.floor)
        return 20 / self.power * ops.log10(ops.maximum(x, self.options.floor))

    def _frames(self, waveform: Tensor) -> Tensor:
        """`(batch, frames, window or more)`: each frame is the hop it begins with and the next ones."""
        samples, hop, window = waveform.shape[1], self.hop, self.window
        shortest = self.options.shortest(1, sample_rate=self.sample_rate)
        if samples is not None and samples < shortest:
            raise ValueError(f"{samples} samples are too few for a frame of the {self.name}: give {shortest} or more")
        if self.options.centre:
            waveform = ops.pad(waveform, [[0, 0], [(window + 1) // 2, window // 2]], mode="reflect")
        hops = -(-window // hop)  # in a frame
        waveform = ops.pad(waveform, [[0, 0], [0, hops * hop - window]])
        count = ops.shape(waveform)[1] // hop
        x = ops.reshape(waveform[:, : count * hop], (-1, count, hop))
        return ops.concatenate([x[:, i : count - hops + 1 + i] for i in range(hops)], axis=-1)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "options": self.options.model_dump(),
            "sample_rate": self.sample_rate,
            "n_bands": self.n_bands,
        }

    @classmethod
    def from_config(cls, config: dict) -> "_FilterBank":
        return cls(**{**config, "options": FrontEndConfig(**config["options"])})


@keras.saving.register_keras_serializable("diptych")
class Spectrogram(_FilterBank):
    """Log of the Fourier magnitudes in bands evenly spaced in Hz; see `_FilterBank`."""

    power = 1
    scale = "linear"


@keras.saving.register_keras_serializable("diptych")
class LogMel(_FilterBank):
    """Log-mel energies; see `_FilterBank`."""


@keras.saving.register_keras_serializable("diptych")
class Mfcc(_FilterBank):
    """The first `n_mfcc` coefficients of the orthonormal DCT-II of `LogMel`, `(batch, frames, n_mfcc)`.

    A block of dropped frames, a dropped band and a shift of bands mean on cepstra what they mean on the log-mel bands
    that these come from, so that is where they are augmented.
    """

    def __init__(self, options: FrontEndConfig | None = None, *, n_mfcc: int = 13, **kwargs):
        super().__init__(options, **kwargs)
        self.n_mfcc = frame_size("mfcc", n_mels=self.n_bands, n_mfcc=n_mfcc)
        self._cosines = filters.cosine_transform(self.n_bands, n_mfcc)

    def features(self, bands: Tensor) -> Tensor:
        return ops.matmul(bands, self._cosines)

    def get_config(self) -> dict:
        return {**super().get_config(), "n_mfcc": self.n_mfcc}


def build(format_name: str, config: ModelConfig) -> FrontEnd:
    """Builds the front end of a format.

    Args:
        format_name: One of `models.formats.FORMATS`.
        config: The model's config.

    Raises:
        ValueError: The sizes or the options of the front end do not fit together.
    """
    name = f"{format_name}_front_end"
    if format_name == "waveform":
        return Waveform(name=name)
    sizes = {"sample_rate": config.sample_rate, "n_bands": config.n_mels}
    if format_name == "spectrogram":
        return Spectrogram(config.front_end, name=name, **sizes)
    if format_name == "log_mel":
        return LogMel(config.front_end, name=name, **sizes)
    return Mfcc(config.front_end, n_mfcc=config.n_mfcc, name=name, **sizes)
