"""From a waveform to the format a branch sees: `(batch, samples) -> (batch, frames, bands)`, or the waveform itself."""

import dataclasses

import keras
import numpy as np
from keras import ops

from models import filters
from models.formats import FrontEndOptions, frame_size
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
        sample_rate: Hz.
        n_bands: Bands.
        **options: Those of `models.formats.FrontEndOptions`, and the layer's `name`.

    Raises:
        ValueError: for options that do not exist or fit, or too many bands; when called, for a waveform that is too
            short.
    """

    power = 2  # of the Fourier magnitudes

    def __init__(self, *, sample_rate: int = 16000, n_bands: int = 80, name: str | None = None, **options):
        super().__init__(name=name)
        self.sample_rate, self.n_bands, self.options = sample_rate, n_bands, FrontEndOptions.of(options)
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
        sizes = {"sample_rate": self.sample_rate, "n_bands": self.n_bands}
        return {**super().get_config(), **sizes, **dataclasses.asdict(self.options)}


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

    def __init__(self, *, n_mfcc: int = 13, **kwargs):
        super().__init__(**kwargs)
        self.n_mfcc = frame_size("mfcc", n_mels=self.n_bands, n_mfcc=n_mfcc)
        self._cosines = filters.cosine_transform(self.n_bands, n_mfcc)

    def features(self, bands: Tensor) -> Tensor:
        return ops.matmul(bands, self._cosines)

    def get_config(self) -> dict:
        return {**super().get_config(), "n_mfcc": self.n_mfcc}


def build(
    name: str, *, sample_rate: int = 16000, n_mels: int = 80, n_mfcc: int = 13, options: FrontEndOptions | None = None
) -> FrontEnd:
    """Builds the front end of a format.

    Args:
        name: One of `models.formats.FORMATS`.
        sample_rate: Hz.
        n_mels: Bands of the spectrogram and of the log-mel spectrogram.
        n_mfcc: Coefficients of the MFCCs.
        options: Of the spectral formats.

    Raises:
        ValueError: for options or sizes that do not fit.
    """
    if name == "waveform":
        return Waveform(name="waveform_front_end")
    sizes = {"sample_rate": sample_rate, "n_bands": n_mels, **({"n_mfcc": n_mfcc} if name == "mfcc" else {})}
    layer = {"spectrogram": Spectrogram, "log_mel": LogMel, "mfcc": Mfcc}[name]
    return layer(name=f"{name}_front_end", **sizes, **dataclasses.asdict(options or FrontEndOptions()))
