"""Turns the sound that a caller gives into what the model takes: float32, mono, at the model's sample rate."""

import numpy as np
import numpy.typing as npt

from beam_jobs.audio import DecodeError, checks, decode, resample
from beam_jobs.audio.pcm import FULL_SCALE
from beam_jobs.audio.sound import at_rate, to_mono
from diptych.errors import DiptychError

_MOST_CHANNELS = 64
"""An array with more columns has its axes the other way round, or is a batch."""

_MOST_CHANNELS_OF_A_CLICK = 8
"""In one or two rows, more columns are samples: no sound has two samples, and more channels than 7.1 has."""

_HIGHEST_RATE_HZ = 10**7
"""Far above that, resampling takes time without end."""

_INTEGERS = {"int8": 0, "int16": 0, "int32": 0, "uint8": 128}
"""Integer types of audio files -> the value that is silence. Full scale is half their range."""


def prepare(waveform: npt.ArrayLike, sample_rate: float, *, target: int) -> npt.NDArray[np.float32]:
    """Returns a sound as the model takes it.

    Args:
        waveform: (samples,) or (samples, channels): floating point with full scale 1, or int16, int32, int8 or uint8.
        sample_rate: Its sample rate in Hz.
        target: The model's sample rate in Hz.

    Returns:
        float32 (samples,), the mean of the channels, resampled with soxr's HQ recipe as files are.

    Raises:
        DiptychError: It is not such a sound, or no sound that ingest would take: no samples, NaN, far beyond full
            scale, channels that cancel each other.
    """
    rate = _rate(sample_rate)
    channels = _scaled(_array(waveform))
    try:
        largest = max(float(channels.max()), -float(channels.min()))
        resample.check_range(largest)  # Before float32, in which a large float64 becomes infinite.
        channels = channels.astype(np.float32)
        mono = to_mono(channels, channel_axis=1)
        mixed = float(np.abs(mono).max())
        decode.check_phase(round(FULL_SCALE * mixed), mixed_peak=lambda: mixed, channel_peak=lambda: largest)
    except DecodeError as error:
        raise DiptychError(f"The waveform {_of_waveform(error)}.") from error
    samples = at_rate(np.ascontiguousarray(mono), rate, sample_rate=target)
    if not samples.size:
        raise DiptychError(
            f"The waveform of {len(mono)} samples at {rate:,} Hz is shorter than a sample at {target:,} Hz: give more."
        )
    return samples


def _of_waveform(error: DecodeError) -> str:
    """Returns the message of the decoder as what is said of a waveform."""
    return f"cannot be embedded, because {error}" if error.cause == "opposite phase" else str(error)


def _rate(sample_rate: float) -> int:
    try:
        number = float("nan") if isinstance(sample_rate, bool | str | bytes) else float(sample_rate)
    except (OverflowError, TypeError, ValueError):
        number = float("nan")
    if not number.is_integer():
        raise DiptychError(f"sample_rate is {sample_rate!r}: give the number of samples a second, e.g. 44100.")
    if not checks.LOWEST_RATE_HZ <= number <= _HIGHEST_RATE_HZ:
        raise DiptychError(f"sample_rate is {number:.12g}, which no sound has: give it in Hz, e.g. 44100.")
    return int(number)


def _array(waveform: npt.ArrayLike) -> np.ndarray:
    """Returns the waveform as (samples, channels), of the type that it has."""
    if isinstance(waveform, str | bytes):
        raise DiptychError("The waveform is text: give its samples, or a path to `embed_file`.")
    if masked := np.ma.count_masked(waveform) if np.ma.isMaskedArray(waveform) else 0:
        raise DiptychError(f"The waveform has {masked:,} masked samples: fill them, e.g. waveform.filled(0).")
    try:
        array = np.asarray(waveform)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DiptychError(f"The waveform is no array of numbers ({error}): give (samples,).") from error
    if array.dtype.kind not in "biufc":
        kind = f"an array of {array.dtype.name}" if isinstance(waveform, np.ndarray) else type(waveform).__name__
        raise DiptychError(f"The waveform is no array of numbers, but {kind}: give (samples,).")
    if array.ndim == 1:
        array = array[:, None]
    shape = f"The waveform has the shape {np.shape(array)}"
    if array.ndim != 2:
        raise DiptychError(f"{shape}: give one sound, (samples,) or (samples, channels).")
    if not array.size:
        raise DiptychError("The waveform has no samples: give at least one.")
    if array.shape[1] > (_MOST_CHANNELS if len(array) > 2 else _MOST_CHANNELS_OF_A_CLICK):
        raise DiptychError(
            f"{shape}, which would be {array.shape[1]:,} channels: give one sound, (samples,) or (samples, channels), "
            "e.g. waveform.T."
        )
    return array


def _scaled(array: np.ndarray) -> np.ndarray:
    """Returns floating-point samples with full scale 1, (samples, channels)."""
    name = array.dtype.name
    if name in _INTEGERS:
        full_scale = np.float32(2 ** (8 * array.dtype.itemsize - 1))
        return (array.astype(np.float32) - np.float32(_INTEGERS[name])) / full_scale
    if array.dtype.kind != "f":
        raise DiptychError(
            f"The waveform is {name}, of which the full scale is not known: give floating point in [-1, 1], or int16."
        )
    return array
