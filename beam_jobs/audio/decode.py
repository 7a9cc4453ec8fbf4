"""Any audio file to 16-bit mono at one rate, and what a clip must be like to be stored."""

import dataclasses

import numpy as np
from etils import epath

from beam_jobs.audio import levels, readers
from beam_jobs.audio.readers import DecodeError

# A segment is used as long as half of what the list promises is there: many videos end within their segment.
_LIST_SHARE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """Which clips are refused.

    Attributes:
        min_seconds: Shorter clips are "too short".
        min_peak_dbfs: Clips whose largest sample is below are "silent"; None for those of zeros alone.
        timeout_s: Decoding that takes longer is given up: "timed out".
    """

    min_seconds: float = 0.1
    min_peak_dbfs: float | None = None
    timeout_s: float = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip: `samples` int16 (samples,), and the `rate` in Hz and `codec` (as in "wav/pcm_16") of its file."""

    samples: np.ndarray
    rate: int
    codec: str


def decode_file(
    path: epath.PathLike,
    *,
    sample_rate: int = 16000,
    start_s: float | None = None,
    end_s: float | None = None,
) -> np.ndarray:
    """Decodes a file, or a segment of it.

    Channels are averaged, resampling is soxr's HQ, values beyond the 16-bit range saturate.

    Args:
        path: Local, or anything `epath` opens (gs://).
        sample_rate: To resample to, in Hz.
        start_s: Where the segment begins, in seconds; None for the beginning.
        end_s: Where it ends; None for the end of the file. A file that ends sooner gives what there is.

    Returns:
        int16 (samples,), at least one.

    Raises:
        DecodeError: if the file is missing, unreadable, ends well before its header says, has no sample in the
            segment, or holds NaN or infinity.
    """
    sound = readers.read(readers.fetch(path), start_s=start_s or 0.0, end_s=end_s)
    samples = _to_int16(sound, sample_rate=sample_rate)
    if not samples.size:
        raise DecodeError("too short", "no sample" if start_s is None else f"no sample after {start_s:g} s")
    return samples


def decode_clip(
    source: str | bytes,
    *,
    sample_rate: int,
    rules: Rules,
    start_s: float | None = None,
    end_s: float | None = None,
    trimmed: bool | None = None,
) -> Decoded:
    """Decodes one clip of a list, as `decode_file` does, and refuses what is not worth storing.

    Args:
        source: From `audio_files.fetch`.
        sample_rate: To resample to, in Hz.
        rules: To judge by.
        start_s: Where the list says that the clip begins in its recording, in seconds; None for the whole file.
        end_s: Where it ends.
        trimmed: See `sources.Clip`.

    Raises:
        DecodeError: as `decode_file` does, and for less than half of the segment, too few samples or silence.
    """
    if start_s is None or trimmed:
        sound = readers.read(source)
    else:
        sound = readers.read(source, start_s=start_s, end_s=end_s, unless_whole=trimmed is None)
    samples = _to_int16(sound, sample_rate=sample_rate)
    seconds = samples.size / sample_rate
    listed_s = 0.0 if start_s is None else end_s - start_s
    if seconds < rules.min_seconds and (samples.size or not listed_s):
        raise DecodeError("too short", f"{seconds:.3f} s, less than {rules.min_seconds:g} s")
    if seconds < _LIST_SHARE * listed_s:
        raise DecodeError("truncated", f"holds {seconds:.2f} s of the {listed_s:.2f} s that the list promises")
    if not samples.size:
        raise DecodeError("too short", "no sample")
    _check_level(samples, min_peak_dbfs=rules.min_peak_dbfs)
    return Decoded(samples=samples, rate=sound.rate, codec=sound.codec)


def _to_int16(sound: readers.Sound, *, sample_rate: int) -> np.ndarray:
    samples = sound.samples
    if not np.isfinite(samples).all():
        raise DecodeError("non-finite", "holds NaN or infinite samples")
    if sound.rate != sample_rate:
        import soxr

        samples = soxr.resample(samples, sound.rate, sample_rate, quality="HQ")
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def _check_level(samples: np.ndarray, *, min_peak_dbfs: float | None) -> None:
    peak = levels.magnitude(samples)
    if peak == 0:
        raise DecodeError("silent", "digital silence")
    level = levels.decibels(peak)
    if min_peak_dbfs is not None and level < min_peak_dbfs:
        raise DecodeError("silent", f"peak {level:.0f} dBFS, below {min_peak_dbfs:g}")
