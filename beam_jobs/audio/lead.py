"""Passes over what lies long before a segment: decoding it takes many times as long as reading its packets."""

import dataclasses

import av

from beam_jobs.audio.sound import Segment

PROBE = Segment(end_s=1.0)
"""What of the beginning of a file tells how its clock fits its sound."""

# Decoding less takes no time worth saving, and gives the very samples of the whole file: where some packets are passed
# over, times that are rounded to milliseconds may shift a segment by one.
_LEAST_S = 60.0
# What a decoder returns first may depend on packets before. So much before the segment is decoded, too.
_RUN_UP_S = 2.0
# Each packet of these formats says when it sounds, on a clock that seldom starts again.
_FORMATS = ("matroska/", "mov/")
# After a larger step from packet to packet, the clock may have started again.
_LONGEST_STEP_S = 60.0


class UncertainClockError(Exception):
    """What was passed over does not tell when the rest sounds, so that all of the track must be decoded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beginning:
    """What the beginning of a track tells about its clock.

    Attributes:
        begin_s: When its sound begins on the player's clock, in seconds.
        ahead_s: How much later than the times of its packets it sounds: encoders put some samples before the sound.
    """

    begin_s: float
    ahead_s: float


class Lead:
    """The packets of a track that come long before a segment.

    Args:
        track: The track.
        start_s: When the player's clock starts, as the packets count time.
        segment: What to read.
    """

    def __init__(self, track: av.AudioStream, *, start_s: float, segment: Segment):
        self._tick_s = float(track.time_base)
        self._start_s = start_s
        self._until_s = decoded_from(segment)
        self._latest_s: float | None = None

    def passes_over(self, packet: av.Packet) -> bool:
        """Returns whether the next packet need not be decoded.

        Raises:
            UncertainClockError: Its clock need not be that of the packets before.
        """
        if not self._until_s or not packet.size:
            return False
        if packet.pts is None:
            raise UncertainClockError
        time_s = packet.pts * self._tick_s - self._start_s
        if self._latest_s is not None and not 0 <= time_s - self._latest_s <= _LONGEST_STEP_S:
            raise UncertainClockError
        self._latest_s = time_s
        if time_s >= self._until_s:
            self._until_s = 0.0
        return self._until_s > 0


def decoded_from(segment: Segment) -> float:
    """Returns what to decode a track from for a segment, in seconds; 0 for its beginning."""
    from_s = segment.start_s - _RUN_UP_S
    # A file that goes on so far is not one that was trimmed to the segment.
    least_s = max(_LEAST_S, segment.longest_trimmed_s) if segment.may_be_trimmed else _LEAST_S
    return from_s if from_s >= least_s else 0.0


def has_clock(codec: str) -> bool:
    """Returns whether packets can be passed over in a file, by FFmpeg's names of its container and its codec."""
    return codec.startswith(_FORMATS)
