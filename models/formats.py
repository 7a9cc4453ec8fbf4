"""The formats in which an encoder can read a sound."""

SPECTRA = ("spectrogram", "log_mel", "mfcc")
FORMATS = ("waveform", *SPECTRA)


def frame_size(name: str, *, n_mels: int, n_mfcc: int) -> int:
    """Returns the number of values in a frame of a spectral format.

    Args:
        name: One of `SPECTRA`.
        n_mels: Bands of the spectrogram and of the log-mel spectrogram.
        n_mfcc: Coefficients of the MFCCs.

    Raises:
        ValueError: There are more coefficients than mel bands.
    """
    if name != "mfcc":
        return n_mels
    if n_mfcc > n_mels:
        raise ValueError(
            f"n_mfcc {n_mfcc} is more than the {n_mels} mel bands that MFCCs are computed from: choose at most {n_mels}"
        )
    return n_mfcc


def filter_scale(name: str, *, mel_scale: str) -> str:
    """Returns the frequency scale of the filters of one of `SPECTRA`, see `models.filters.filter_bank`."""
    return "linear" if name == "spectrogram" else mel_scale
