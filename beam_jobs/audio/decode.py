"""Decodes any audio file to 16-bit mono at a given rate, and checks that a clip is worth storing."""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from beam_jobs.audio import levels, readers, resample
from beam_jobs.audio.pcm import FULL_SCALE
from beam_jobs.audio.sound import DecodeError, Segment, Sound, Source

# Many videos end before the end of their listed segment. A clip is used if it has at least this share of the segment.
_MIN_SHARE_OF_SEGMENT = 0.5
# So much louder than their mean are channels that cancel each other. Unrelated sounds are 3 dB louder.
_LEAST_CANCELLATION_DB = 30.0
# So much louder they must be before resampling, too. Less is asked there, because above half of the clip's sample rate
# the channels may hold something that does not cancel.
_LEAST_LOSS_DB = 15.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The limits that decide whether a clip is stored or quarantined.

    Attributes:
        min_seconds: Shorter clips are "too short".
        min_peak_dbfs: Clips with a lower peak are "silent". With None, only clips whose samples are all zero are.
        timeout_s: Decoding that takes longer is stopped, and the clip counts as "timed out".
    """

    min_seconds: float = 0.1
    min_peak_dbfs: float | None = None
    timeout_s: float = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded clip.

    Attributes:
        samples: int16 (samples,), mono, at the requested rate.
        rate: Sample rate of the clip's file, in Hz.
        codec: Container and codec of the clip's file, e.g. "wav/pcm_16".
    """

    samples: np.ndarray
    rate: int
    codec: str


def decode_file(
    path: str | os.PathLike[str],
    *,
    sample_rate: int = 16000,
    start_s: float | None = None,
    end_s: float | None = None,
) -> np.ndarray:
    """Decodes a file, or a segment of it.

    Averages the channels, resamples with soxr's HQ setting, and saturates values outside the 16-bit range.

    Args:
        path: A local path, or any other that `storage.open_path` opens, e.g. gs://.
        sample_rate: Rate to resample to, in Hz.
        start_s: Where the segment begins, in seconds; None for the beginning of the file.
        end_s: Where the segment ends, in seconds; None for the end of the file. If the file ends before, the result
            ends with the file.

    Returns:
        int16 (samples,), with at least one sample.

    Raises:
        DecodeError: if the file is missing or unreadable, ends well before its header says, has no sample in the
            segment, holds samples that are not finite or far beyond full scale, or if its channels cancel each other.
    """
    source, segment = readers.fetch(path), Segment(start_s=start_s or 0.0, end_s=end_s)
    sound = readers.read(source, segment)
    samples = resample.to_int16(sound, sample_rate=sample_rate)
    if not samples.size:
        raise DecodeError("too short", "no sample" if start_s is None else f"no sample after {start_s:g} s")
    _check_phase(levels.peak(samples), sound, source=source, segment=segment)
    return samples


def decode_clip(
    source: Source,
    *,
    sample_rate: int,
    rules: Rules,
    start_s: float | None = None,
    end_s: float | None = None,
    trimmed: bool | None = None,
) -> Decoded:
    """Decodes one listed clip like `decode_file`, and checks that it is worth storing.

    Args:
        source: A local path or the content of a file, as `readers.fetch` returns it.
        sample_rate: Rate to resample to, in Hz.
        rules: The limits that the clip must meet.
        start_s: Where the clip begins in its recording according to the list, in seconds; None for the whole file.
        end_s: Where the clip ends in its recording according to the list, in seconds.
        trimmed: Whether the file holds the clip alone (True) or the whole recording (False); None if that is unknown.

    Raises:
        DecodeError: as `decode_file` does, and if the clip has less than half of its listed length, is too short or
            is silent.
    """
    listed_s = 0.0 if start_s is None else end_s - start_s
    segment = Segment.listed(start_s, end_s, trimmed=trimmed)
    sound = readers.read(source, segment)
    samples = resample.to_int16(sound, sample_rate=sample_rate)
    _check_length(samples.size / sample_rate, min_seconds=rules.min_seconds, listed_s=listed_s)
    peak = levels.peak(samples)
    _check_phase(peak, sound, source=source, segment=segment)
    check_level(peak, rules=rules)
    return Decoded(samples=samples, rate=sound.rate, codec=sound.codec)


def _check_length(seconds: float, *, min_seconds: float, listed_s: float) -> None:
    # A segment that lies beyond the end of its recording counts as truncated, not as too short.
    is_beyond_end = listed_s > 0 and seconds == 0
    if seconds < min_seconds and not is_beyond_end:
        raise DecodeError("too short", f"{seconds:.3f} s, less than {min_seconds:g} s")
    if seconds < _MIN_SHARE_OF_SEGMENT * listed_s:
        raise DecodeError("truncated", f"holds {seconds:.2f} s of the {listed_s:.2f} s that the list promises")
    if seconds == 0:
        raise DecodeError("too short", "no sample")


def _check_phase(peak: int, sound: Sound, *, source: Source, segment: Segment) -> None:
    check_phase(
        peak,
        mixed_peak=lambda: float(np.abs(sound.samples).max()),
        # Reading the file again costs less than to watch the channels of every clip.
        channel_peak=lambda: float(readers.read(source, segment, loudest=True).samples.max()),
    )


def check_phase(peak: int, *, mixed_peak: Callable[[], float], channel_peak: Callable[[], float]) -> None:
    """Raises DecodeError if a clip is silent only because its channels cancel each other.

    Args:
        peak: The largest magnitude of its int16 samples.
        mixed_peak: Returns the largest magnitude of the mean of its channels before resampling, where full scale is 1;
            called for silent clips.
        channel_peak: Returns the largest magnitude in its channels; called for silent clips.
    """
    peak_dbfs = levels.to_dbfs(peak)
    if peak_dbfs >= levels.SILENT_DBFS:
        return
    channel_dbfs = levels.to_dbfs(channel_peak() * FULL_SCALE)
    # What lies above half of the sample rate, such as the calls of bats, is lost by resampling, and not by mixing.
    lost_by_mixing_db = channel_dbfs - levels.to_dbfs(mixed_peak() * FULL_SCALE)
    if channel_dbfs - peak_dbfs > _LEAST_CANCELLATION_DB and lost_by_mixing_db > _LEAST_LOSS_DB:
        raise DecodeError(
            "opposite phase",
            f"its channels peak at {channel_dbfs:.0f} dBFS and cancel each other; invert one of them",
        )


def check_level(peak: int, *, rules: Rules) -> None:
    """Raises DecodeError if a clip is silent.

    Args:
        peak: Its largest magnitude, see `levels.peak`.
        rules: Say what is silent.
    """
    if peak == 0:
        raise DecodeError("silent", "digital silence")
    peak_dbfs = levels.to_dbfs(peak)
    if rules.min_peak_dbfs is not None and peak_dbfs < rules.min_peak_dbfs:
        raise DecodeError("silent", f"peak {peak_dbfs:.0f} dBFS, below {rules.min_peak_dbfs:g}")
