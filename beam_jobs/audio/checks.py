"""Checks a decoded file against what its header promises."""

from beam_jobs.audio import ogg
from beam_jobs.audio.sound import DecodeError, Segment, Sound, Source

CODEC_SLACK_S = 0.1
"""How much sound a codec may add or remove at either end."""

# A file that holds less than this share of what its header promises is truncated. Headers are often a little off.
_MIN_SHARE_OF_PROMISED = 0.9
LOWEST_RATE_HZ = 1000
"""Below it is no sound. A file of one kilobyte that claims 1 Hz would be resampled to hours."""


def check_rate(rate: int) -> None:
    """Raises DecodeError for a sample rate, in Hz, that is too low for any sound."""
    if rate < LOWEST_RATE_HZ:
        raise DecodeError(
            "unreadable", f"claims {rate:,} samples a second, fewer than {LOWEST_RATE_HZ:,}; no sound does"
        )


def is_long_enough(seconds: float, *, promised_s: float) -> bool:
    """Whether about as much sound was decoded as is promised."""
    return promised_s - seconds <= max(CODEC_SLACK_S, (1 - _MIN_SHARE_OF_PROMISED) * promised_s)


def check_length(seconds: float, *, promised_s: float) -> None:
    """Raises DecodeError if clearly less sound was decoded than the header promises."""
    if not is_long_enough(seconds, promised_s=promised_s):
        raise DecodeError("truncated", f"holds {seconds:.2f} s of the {promised_s:.2f} s that its header promises")


def check_promise(sound: Sound, segment: Segment, *, promised_share: float) -> None:
    """Raises DecodeError if a segment ends before its time because its file was cut short.

    Args:
        sound: What was decoded of the segment.
        segment: The segment.
        promised_share: How much sound the file's header promises, as a multiple of what the file holds.
    """
    if promised_share > 1 and _ends_early(sound, segment):
        seconds = sound.samples.size / sound.rate
        start_s, end_s = segment.bounds(promised_share * (segment.start_s + seconds))
        check_length(seconds, promised_s=end_s - start_s)


def check_end(sound: Sound, segment: Segment) -> None:
    """Raises DecodeError if a segment ends before its time. Its file breaks off."""
    if _ends_early(sound, segment):
        raise DecodeError("truncated", f"breaks off after {segment.start_s + sound.samples.size / sound.rate:.2f} s")


def _ends_early(sound: Sound, segment: Segment) -> bool:
    """Whether a segment ends where its file does, and perhaps too early."""
    return segment.end_s is None or (sound.samples.size + 1) / sound.rate < segment.end_s - segment.start_s


def check_end_of_ogg(source: Source, *, seconds: float, granule_rate: int) -> None:
    """Raises DecodeError if an Ogg file was cut short.

    Args:
        source: The file.
        seconds: How much of it was decoded.
        granule_rate: Units of the pages' granule positions in a second.
    """
    page = ogg.find_incomplete_page(source)
    if page is None:
        return
    if not page.is_last:
        raise DecodeError("truncated", f"breaks off after {seconds:.2f} s, before its last page")
    # Only the last page is damaged. Its granule position says how long the stream was.
    check_length(seconds, promised_s=page.granule / granule_rate)
