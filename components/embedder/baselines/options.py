"""The settings of the baselines' spectra."""

import math
from collections.abc import Mapping

from models.config import FrontEndConfig

_DEFAULTS = FrontEndConfig()
_DEFAULT_SAMPLE_RATE = 16000  # The sample rate that the default front end is made for, in Hz.

STATISTICS_BANDS = 80
"""Mel bands of `mfcc_mean_std` and `log_mel_mean_std`, as in Diptych's models."""
PROJECTED_BANDS = 256
"""Mel bands of `random_projection`, as in HEAR's baseline."""
PROJECTION_DIM = 4096
"""Size of the vectors of `random_projection`, as in HEAR's baseline."""
PROJECTION_SEED = 0
"""Seed of the numbers of `random_projection`."""

_HEAR_SAMPLE_RATE, _HEAR_WINDOW, _HEAR_HOP_SECONDS = 44100, 4096, 0.025

MUSICNN_SAMPLE_RATE, MUSICNN_BANDS, MUSICNN_FRAMES = 16000, 96, 187
MUSICNN = FrontEndConfig(
    window_seconds=512 / MUSICNN_SAMPLE_RATE,
    hop_seconds=256 / MUSICNN_SAMPLE_RATE,
    fft_length=512,
    low_hz=0.0,
    high_hz=MUSICNN_SAMPLE_RATE / 2,
    mel_scale="slaney",
    floor=1e-4,  # musicnn's log10(1 + 10000 x) is 4 + log10(x + 1e-4).
)
"""The spectra of musicnn (Pons and Serra 2019), the mel spectrogram of librosa."""
MUSICNN_OUTPUTS: Mapping[str, str] = {
    "MTT_musicnn": "penultimate",
    "MSD_musicnn": "penultimate",
    "MTT_vgg": "pool5",
    "MSD_vgg": "pool5",
}
"""The networks in the wheel of musicnn -> the last layer before the tags. The first one is the default."""

SPEECH_FILES = ("melspectrogram.tflite", "embedding_model.tflite")
"""The two parts of Google's speech_embedding: from a waveform to its spectrogram, and from there to vectors."""


def musicnn_files(network: str) -> tuple[str, str]:
    """Returns the files with the weights of a network in the wheel of musicnn: index and data of a checkpoint."""
    return f"{network}/.index", f"{network}/.data-00000-of-00001"


def statistics(sample_rate: int) -> FrontEndConfig:
    """Returns the default front end of Diptych's models, adapted to a sample rate.

    At higher sample rates the STFT's window has more samples and needs a longer FFT. At lower ones the bands end at
    half the sample rate.
    """
    doublings = max(0, math.ceil(math.log2(sample_rate / _DEFAULT_SAMPLE_RATE)))
    return FrontEndConfig(
        fft_length=_DEFAULTS.fft_length * 2**doublings, high_hz=min(_DEFAULTS.high_hz, sample_rate / 2)
    )


def random_projection(sample_rate: int) -> FrontEndConfig:
    """Returns the spectra of HEAR's baseline at a sample rate, with bands up to half of it.

    HEAR's baseline computes at 44.1 kHz, where its window of 93 ms has the 4,096 samples of its FFT.
    """
    window_seconds = _HEAR_WINDOW / _HEAR_SAMPLE_RATE
    window = round(window_seconds * sample_rate)
    return FrontEndConfig(
        window_seconds=window_seconds,
        hop_seconds=_HEAR_HOP_SECONDS,
        fft_length=max(_HEAR_WINDOW, 1 << (window - 1).bit_length()),
        low_hz=0.0,
        high_hz=sample_rate / 2,
        mel_scale="slaney",
        floor=1e-4,
        centre=True,
    )
