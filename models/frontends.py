"""The front ends: they convert waveforms, `(batch, samples)`, to the format of a branch."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from models import filters, fourier, products
from models.config import FrontEndConfig, ModelConfig
from models.formats import filter_scale, frame_size
from models.typing import Tensor


class FrontEnd(keras.layers.Layer):
    """Base class: computes `features(bands(waveform))`.

    The two steps are separate because a spectrum is augmented between them. The features of a clip depend on this clip
    alone. A front end always computes in float32, because spectra overflow 16-bit floats.

    Attributes:
        hop: Number of samples from one frame of `bands` to the next.
        silence: The value of `bands` where there is no sound.
    """

    hop = 1
    silence = 0.0

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def bands(self, waveform: Tensor) -> Tensor:
        """Returns what is augmented: log bands, `(batch, frames, bands)`, or the `(batch, samples)` waveform itself."""
        return waveform

    def features(self, bands: Tensor) -> Tensor:
        """Returns the input of the encoder, given the result of `bands`."""
        return bands

    def call(self, waveform: Tensor) -> Tensor:
        return self.features(self.bands(waveform))

    def get_config(self) -> dict:
        return {"name": self.name}


@keras.saving.register_keras_serializable("diptych")
class Waveform(FrontEnd):
    """The waveform without any change, `(batch, samples)`."""


class _FilterBank(FrontEnd):
    """Log of filtered Fourier spectra, `(batch, samples) -> (batch, frames, n_bands)` float32.

    There are `1 + samples // hop` frames if frames are centered, and `1 + (samples - window) // hop` otherwise.

    The Fourier transform has float32 accuracy on every device, see `models.fourier`. The product with the filters need
    not: no factor is negative, so a device that rounds both to bfloat16 changes a band by at most 0.8 %.

    Args:
        options: How to compute the spectra. None for the defaults.
        sample_rate: In Hz.
        n_bands: Number of bands.
        name: Name of the layer.

    Raises:
        ValueError: The options do not fit the sample rate, or there are too many bands for the length of the transform.
            When called: the waveform is too short for a frame.
    """

    format_name = "log_mel"
    power = 2  # exponent of the Fourier magnitudes before the filters

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
        self.sample_rate = sample_rate
        self.n_bands = n_bands
        self.options.check(sample_rate=sample_rate)
        self.window = self.options.window(sample_rate)
        self.hop = self.options.hop(sample_rate)
        self._filters = filters.filter_bank(  # (frequencies, n_bands)
            self.scale,
            bands=n_bands,
            fft_length=self.options.fft_length,
            sample_rate=sample_rate,
            low_hz=self.options.low_hz,
            high_hz=self.options.high_hz,
        )

    @property
    def scale(self) -> str:
        """The frequency scale of the filters, see `models.filters.filter_bank`."""
        return filter_scale(self.format_name, mel_scale=self.options.mel_scale)

    @property
    def silence(self) -> float:
        if self.options.log == "natural":
            return float(np.log(self.options.floor))
        return float(20 / self.power * np.log10(self.options.floor))

    def bands(self, waveform: Tensor) -> Tensor:
        frames = self._frames(waveform)  # (batch, frames, window)
        spectrum = fourier.power_spectrum(frames, window=self.window, fft_length=self.options.fft_length)
        if self.power == 1:
            spectrum = ops.sqrt(spectrum)
        x = products.product(spectrum, self._filters)  # (batch, frames, n_bands)
        if self.options.log == "natural":
            return ops.log(x + self.options.floor)
        # In dB: 20 log10 of magnitudes, 10 log10 of powers.
        return 20 / self.power * ops.log10(ops.maximum(x, self.options.floor))

    def _frames(self, waveform: Tensor) -> Tensor:
        """Cuts `(batch, samples)` into overlapping frames, `(batch, frames, window)`."""
        samples, hop, window = waveform.shape[1], self.hop, self.window
        shortest = self.options.shortest(1, sample_rate=self.sample_rate)
        if samples is not None and samples < shortest:
            raise ValueError(
                f"{samples} samples are too few for a frame of the {self.name}: give at least {shortest} samples"
            )
        if self.options.centre:
            waveform = ops.pad(waveform, [[0, 0], [(window + 1) // 2, window // 2]], mode="reflect")
        hops_per_frame = -(-window // hop)
        waveform = ops.pad(waveform, [[0, 0], [0, hops_per_frame * hop - window]])
        hops = ops.shape(waveform)[1] // hop
        x = ops.reshape(waveform[:, : hops * hop], (-1, hops, hop))  # (batch, hops, hop)
        frames = hops - hops_per_frame + 1
        return ops.concatenate([x[:, i : frames + i] for i in range(hops_per_frame)], axis=-1)[..., :window]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "options": self.options.model_dump(),
            "sample_rate": self.sample_rate,
            "n_bands": self.n_bands,
        }

    @classmethod
    def from_config(cls, config: dict) -> "_FilterBank":
        fields = dict(config)
        options = FrontEndConfig(**fields.pop("options"))
        return cls(options, **fields)


@keras.saving.register_keras_serializable("diptych")
class Spectrogram(_FilterBank):
    """Log of the Fourier magnitudes in bands that are evenly spaced in Hz, see `_FilterBank`."""

    format_name = "spectrogram"
    power = 1


@keras.saving.register_keras_serializable("diptych")
class LogMel(_FilterBank):
    """Log-mel energies, see `_FilterBank`."""


@keras.saving.register_keras_serializable("diptych")
class Mfcc(_FilterBank):
    """The first `n_mfcc` coefficients of the orthonormal DCT-II of `LogMel`, `(batch, frames, n_mfcc)`.

    Augmentations change the log-mel bands, before the DCT: masked bands and shifted bands have no counterpart among
    cepstral coefficients.
    """

    format_name = "mfcc"

    def __init__(self, options: FrontEndConfig | None = None, *, n_mfcc: int = 13, **kwargs):
        super().__init__(options, **kwargs)
        self.n_mfcc = frame_size("mfcc", n_mels=self.n_bands, n_mfcc=n_mfcc)
        self._dct = filters.cosine_transform(self.n_bands, n_mfcc)  # (n_bands, n_mfcc)

    def features(self, bands: Tensor) -> Tensor:
        # Logs of different signs cancel, so what a device rounds away from a large one shows in a small coefficient.
        return products.float32_product(bands, self._dct)  # (batch, frames, n_mfcc)

    def get_config(self) -> dict:
        return {**super().get_config(), "n_mfcc": self.n_mfcc}


_OF_SPECTRA: Mapping[str, type[_FilterBank]] = {"spectrogram": Spectrogram, "log_mel": LogMel, "mfcc": Mfcc}


def build(format_name: str, config: ModelConfig) -> FrontEnd:
    """Builds the front end of a format.

    Args:
        format_name: One of `models.formats.FORMATS`.
        config: The model's config.

    Raises:
        KeyError: There is no such format.
        ValueError: The sizes or the options of the front end do not fit together.
    """
    name = f"{format_name}_front_end"
    if format_name == "waveform":
        return Waveform(name=name)
    own = {"n_mfcc": config.n_mfcc} if format_name == "mfcc" else {}
    layer = _OF_SPECTRA[format_name]
    return layer(config.front_end, sample_rate=config.sample_rate, n_bands=config.n_mels, name=name, **own)
