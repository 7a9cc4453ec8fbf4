"""The config of the dual-format model. Defaults are the paper's (section 3) wherever it gives a value.

This module does not import Keras, so that a command can check a config without the seconds that Keras takes to load.
"""

import re
from collections.abc import Mapping
from typing import Literal

import pydantic

from models import catalog
from models.frozen_config import FrozenConfig

_SMALL = catalog.pair("small")

MOST_WIDE = 100.0
"""Largest width. No machine holds the weights of so wide a network."""

# More than any use needs, and few enough to count samples.
_LONGEST_FRAME_S = 60.0
_LONGEST_CROP_S = 3600.0
_HIGHEST_RATE_HZ = 1_000_000
_LONGEST_FFT = 10_000_000


class EncodersConfig(FrozenConfig):
    """The encoder of each format, one of `models.catalog.ENCODERS`. Formats that no branch uses are ignored."""

    waveform: str = pydantic.Field(_SMALL["waveform"], description="Encoder of the raw waveform.")
    spectrogram: str = pydantic.Field(_SMALL["spectrogram"], description="Encoder of the linear spectrogram.")
    log_mel: str = pydantic.Field(_SMALL["log_mel"], description="Encoder of the log-mel spectrogram.")
    mfcc: str = pydantic.Field(_SMALL["mfcc"], description="Encoder of the MFCCs.")

    def for_format(self, format_name: str) -> str:
        """Returns the name of the encoder of one of `models.formats.FORMATS`."""
        return getattr(self, format_name)


class WidthsConfig(FrozenConfig):
    """The width of each format's encoder, where it is not `ModelConfig.width`."""

    waveform: float | None = pydantic.Field(
        None, gt=0, le=MOST_WIDE, description="Width on the raw waveform; null: model.width."
    )
    spectrogram: float | None = pydantic.Field(None, gt=0, le=MOST_WIDE, description="Width on the linear spectrogram.")
    log_mel: float | None = pydantic.Field(None, gt=0, le=MOST_WIDE, description="Width on the log-mel spectrogram.")
    mfcc: float | None = pydantic.Field(None, gt=0, le=MOST_WIDE, description="Width on the MFCCs.")


class FrontEndConfig(FrozenConfig):
    """How the front end computes spectra. The paper gives window and hop (section 3); the rest is Diptych's choice."""

    window_seconds: float = pydantic.Field(
        0.020, gt=0, le=_LONGEST_FRAME_S, description="Length of the periodic Hann window, in seconds."
    )
    hop_seconds: float = pydantic.Field(
        0.010, gt=0, le=_LONGEST_FRAME_S, description="Time from one frame to the next, in seconds."
    )
    fft_length: int = pydantic.Field(
        512,
        ge=2,
        le=_LONGEST_FFT,
        description="Points of the FFT, an even number; the window is padded with zeros to it.",
    )
    low_hz: float = pydantic.Field(60.0, ge=0, description="Lower edge of the lowest band, in Hz.")
    high_hz: float = pydantic.Field(7800.0, gt=0, description="Upper edge of the highest band, in Hz.")
    mel_scale: Literal["htk", "slaney"] = pydantic.Field(
        "htk",
        description="htk: triangles with peaks of 1 on the mel axis, as in TensorFlow; slaney: triangles of equal area "
        "in Hz, as in librosa and PANNs.",
    )
    log: Literal["natural", "decibel"] = pydantic.Field(
        "natural",
        description="natural: ln(x + floor); decibel: 10 log10(max(x, floor)) of energies, 20 log10 of magnitudes.",
    )
    # A float32 below 1.2e-38 may count as 0, and one above 3.4e38 is infinite.
    floor: float = pydantic.Field(1e-6, ge=1e-37, le=1e37, description="Keeps the logarithm of silence finite.")
    centre: bool = pydantic.Field(
        False,
        description="true: frame t is centered on sample t x hop, and the ends of the waveform are reflected, as in "
        "librosa and PANNs; false: frame t begins at that sample.",
    )

    def window(self, sample_rate: int) -> int:
        """Returns the length of the window in samples."""
        return round(self.window_seconds * sample_rate)

    def hop(self, sample_rate: int) -> int:
        """Returns the number of samples from one frame to the next."""
        return round(self.hop_seconds * sample_rate)

    def shortest(self, frames: int, *, sample_rate: int) -> int:
        """Returns the length in samples of the shortest waveform that has the given number of frames."""
        window, hop = self.window(sample_rate), self.hop(sample_rate)
        if self.centre:
            return max((frames - 1) * hop, window // 2 + 2)  # The reflected ends must be shorter than the waveform.
        return (frames - 1) * hop + window

    def check(self, *, sample_rate: int) -> None:
        """Checks that spectra can be computed at a sample rate.

        Raises:
            ValueError: The message names the field that does not fit, and a value that does.
        """
        window, hop = self.window(sample_rate), self.hop(sample_rate)
        if window < 2 or hop < 1:
            raise ValueError(
                f"window_seconds {self.window_seconds:g} and hop_seconds {self.hop_seconds:g} are {window} and {hop} "
                f"samples at {sample_rate} Hz: choose longer ones"
            )
        if self.fft_length < window or self.fft_length % 2:
            raise ValueError(
                f"fft_length {self.fft_length} does not fit a window of {window} samples ({self.window_seconds:g} s at "
                f"{sample_rate} Hz): choose an even number of at least {window}, e.g. {1 << (window - 1).bit_length()}"
            )
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz {self.low_hz:g} is not below high_hz {self.high_hz:g}: choose a lower low_hz")
        if self.high_hz > sample_rate / 2:
            raise ValueError(
                f"a sample rate of {sample_rate} Hz has no room for bands up to high_hz {self.high_hz:g}: choose a "
                f"high_hz of at most {sample_rate / 2:g}, or a sample rate of at least {2 * self.high_hz:g}"
            )


class AugmentConfig(FrozenConfig):
    """The augmentations of one branch (paper, section 2.2). 0 and false turn an augmentation off."""

    mixing: bool = pydantic.Field(False, description="Adds another clip as noise, before any spectral transform.")
    time_mask_seconds: float = pydantic.Field(0.0, ge=0, description="Longest block of time to drop, in seconds.")
    frequency_mask: int = pydantic.Field(0, ge=0, description="Largest number of adjacent bands to drop; spectra only.")
    frequency_shift: int = pydantic.Field(0, ge=0, description="Largest shift up or down, in bands; spectra only.")

    def longest_time_mask(self, *, sample_rate: int, hop: int) -> int:
        """Returns the length of the longest block of time to drop, in frames that are `hop` samples apart."""
        return round(self.time_mask_seconds * sample_rate / hop)


class ModelConfig(FrozenConfig):
    """The dual-format model, see `models.dual.DualEncoder`."""

    formats: str = pydantic.Field(
        "waveform+log_mel",
        description="Formats of branch A and branch B: two of waveform, spectrogram, log_mel, mfcc, or one twice.",
    )
    encoders: EncodersConfig = EncodersConfig()
    share_encoder: bool = pydantic.Field(
        True,
        description="Whether two branches of the same format share one encoder; false gives each branch its own.",
    )
    norm: str | None = pydantic.Field(
        None,
        description="Normalization in all encoders: batch, or group:G for G groups; null: each family's default.",
    )
    padding: Literal["same", "valid"] | None = pydantic.Field(
        None,
        description="Padding in all encoders; valid is PANNs' and needs longer crops; null: each family's default.",
    )
    width: float = pydantic.Field(
        1.0, gt=0, le=MOST_WIDE, description="Multiplies every channel count of the encoders."
    )
    widths: WidthsConfig = WidthsConfig()
    dropout: float = pydantic.Field(
        0.2, ge=0, lt=1, description="Dropout rate after each block of a 2-D encoder (PANNs: 0.2)."
    )
    crop_seconds: float = pydantic.Field(3.0, gt=0, le=_LONGEST_CROP_S, description="Length of a crop, in seconds.")
    sample_rate: int = pydantic.Field(
        16000, ge=2000, le=_HIGHEST_RATE_HZ, description="In Hz; must equal that of the examples."
    )
    n_mels: int = pydantic.Field(80, ge=1, description="Bands of the spectrogram and of the log-mel spectrogram.")
    n_mfcc: int = pydantic.Field(13, ge=1, description="Coefficients of the MFCCs.")
    front_end: FrontEndConfig = FrontEndConfig()
    projector_dim: int = pydantic.Field(512, ge=1, description="Size of the projections, which the loss compares.")
    projector_norm: Literal["none", "batch"] = pydantic.Field(
        "none",
        description="Normalization after the projector's hidden layer: none in the paper; small batches need batch.",
    )
    augment_a: AugmentConfig = AugmentConfig(mixing=True)
    augment_b: AugmentConfig = AugmentConfig(mixing=True, frequency_shift=10)
    mixing_group: int = pydantic.Field(
        32, ge=2, description="Consecutive examples of a batch among which mixing partners are drawn."
    )

    @pydantic.field_validator("norm")
    @classmethod
    def _check_norm(cls, norm: str | None) -> str | None:
        if norm is not None and not re.fullmatch("batch|group:[1-9][0-9]{0,8}", norm):
            raise ValueError("must be batch, or group:G for a number G of groups, e.g. group:1")
        return norm

    @property
    def format_names(self) -> tuple[str, ...]:
        """The formats of branch A and branch B."""
        return tuple(self.formats.split("+"))

    def width_for(self, format_name: str) -> float:
        """Returns the width of the encoder of one of `models.formats.FORMATS`."""
        width = getattr(self.widths, format_name)
        return self.width if width is None else width


def of_saved_model(config: Mapping[str, object]) -> ModelConfig:
    """Returns the config of a model from what `.keras` files store of it, see `models.dual.DualEncoder.get_config`.

    Fields that an older file lacks get their defaults. `seed`, `name` and `dtype` are ignored.

    Raises:
        KeyError: The formats, the encoders or the augmentations are missing.
        ValueError: A format has no encoder, a field is unknown, or a value is wrong.
    """
    fields = {name: value for name, value in config.items() if name not in ("seed", "name", "dtype")}
    formats, encoders = fields["formats"], fields["encoders"]
    for format_name in formats:
        if format_name not in encoders:
            raise ValueError(f"no encoder is given for the format {format_name!r}")
    augment_a, augment_b = fields.pop("augmentations")
    fields |= {"formats": "+".join(formats), "augment_a": augment_a, "augment_b": augment_b}
    return ModelConfig.model_validate(fields)
