"""The formats of a sound and how the spectral ones are made, without making any.

Nothing here imports Keras, so a config can be refused before the second it takes to load it.
"""

import dataclasses
from collections.abc import Mapping

SPECTRA = ("spectrogram", "log_mel", "mfcc")
FORMATS = ("waveform", *SPECTRA)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEndOptions:
    """How spectra are made. The paper gives window and hop (section 3); the rest is Diptych's choice.

    Attributes:
        window_seconds: Length of the periodic Hann window.
        hop_seconds: From one frame to the next.
        fft_length: Points of the Fourier transform, even; the window is padded with zeros to it.
        low_hz: Lower edge of the lowest band.
        high_hz: Upper edge of the highest band.
        mel_scale: `"htk"`, triangles of peak 1 on the mel axis, as TensorFlow's; `"slaney"`, triangles of equal area in
            Hz, as librosa's and PANNs'.
        log: `"natural"`, ln(x + floor); `"decibel"`, 10 log10(max(x, floor)) of energies, 20 log10 of magnitudes.
        floor: Keeps the logarithm of silence finite.
        centre: Whether frame t has its middle, rather than its beginning, at t hops, as librosa's and PANNs' have; the
            ends of the waveform are reflected.
    """

    window_seconds: float = 0.020
    hop_seconds: float = 0.010
    fft_length: int = 512
    low_hz: float = 60.0
    high_hz: float = 7800.0
    mel_scale: str = "htk"
    log: str = "natural"
    floor: float = 1e-6
    centre: bool = False

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "FrontEndOptions":
        """Those given, and the defaults of the others.

        Raises:
            ValueError: if one does not exist, with those that do.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                raise ValueError(f"unknown front-end option {name!r}: they are {', '.join(known)}")
        return cls(**options)

    def window(self, sample_rate: int) -> int:
        """Length of the window in samples."""
        return round(self.window_seconds * sample_rate)

    def hop(self, sample_rate: int) -> int:
        """From one frame to the next, in samples."""
        return round(self.hop_seconds * sample_rate)

    def shortest(self, frames: int, *, sample_rate: int) -> int:
        """Samples that so many frames take."""
        window, hop = self.window(sample_rate), self.hop(sample_rate)
        if self.centre:
            return max((frames - 1) * hop, window // 2 + 2)  # what is reflected must be shorter than the waveform
        return (frames - 1) * hop + window

    def check(self, *, sample_rate: int) -> None:
        """Refuses what no spectrum can be made with.

        Raises:
            ValueError: naming the option.
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
                f"{sample_rate} Hz): choose an even number from {window} on, e.g. {1 << (window - 1).bit_length()}"
            )
        if not 0 <= self.low_hz < self.high_hz:
            raise ValueError(f"bands from low_hz {self.low_hz:g} up to high_hz {self.high_hz:g} Hz: they must rise")
        if self.high_hz > sample_rate / 2:
            raise ValueError(
                f"a sample rate of {sample_rate} Hz has no room for bands up to high_hz {self.high_hz:g}: choose a "
                f"high_hz of at most {sample_rate / 2:g}, or a sample rate of at least {2 * self.high_hz:g}"
            )
        for name, choices in {"mel_scale": ("htk", "slaney"), "log": ("natural", "decibel")}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: it is {' or '.join(map(repr, choices))}")
        if self.floor <= 0:
            raise ValueError(f"floor {self.floor:g} leaves the logarithm of silence infinite: choose more than 0")


def frame_size(name: str, *, n_mels: int, n_mfcc: int) -> int:
    """How many values a frame of a spectral format holds.

    Args:
        name: One of `SPECTRA`.
        n_mels: Bands of the spectrogram and of the log-mel spectrogram.
        n_mfcc: Coefficients of the MFCCs.

    Raises:
        ValueError: if more coefficients are wanted than there are bands.
    """
    if name != "mfcc":
        return n_mels
    if n_mfcc > n_mels:
        raise ValueError(f"n_mfcc {n_mfcc} is more than the {n_mels} mel bands they come from: choose at most {n_mels}")
    return n_mfcc
