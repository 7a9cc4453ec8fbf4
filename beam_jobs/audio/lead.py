"""Passes over what lies long before a segment: its packets are read, and not decoded."""

import dataclasses

import av

from beam_jobs.audio.sound import Segment

PROBE = Segment(end_s=1.0)
"""What of the beginning of a file tells how its clock fits its sound."""

FORMATS = frozenset({"matroska", "mov"})
"""Each packet of these containers, by FFmpeg's names, says when it sounds, on a clock that seldom starts again."""

# Up to here, decoding all takes no time worth saving, and gives the very samples of the whole file. Where packets are
# passed over, a clock in milliseconds may shift the segment by one of them.
_LEAST_S = 60.0
# What a decoder returns first may depend on packets before. So much before the segment is decoded, too.
_RUN_UP_S = 2.0
# After a larger step from packet to packet, the clock may have started again.
_LONGEST_STEP_S = 60.0


class UncertainClockError(Exception):
    """What was passed over does not tell when the rest sounds, so that all of the track must be decoded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beginning:
    """What is passed over of a track, and what its first second tells about its clock.

    Attributes:
        until_s: When the first packet to decode sounds at the earliest, in seconds on the player's clock.
        begin_s: When the sound of the track begins on that clock.
        ahead_s: How much later than the times of its packets it sounds: encoders put some samples before the sound.
    """

    until_s: float
    begin_s: float
    ahead_s: float


class Lead:
    """The packets of a track that come long before a segment.

    Args:
        track: The track.
        start_s: When the player's clock starts, as the packets count time.
        until_s: See `Beginning`.
    """

    def __init__(self, track: av.AudioStream, *, start_s: float, until_s: float):
        self._tick_s = float(track.time_base)
        self._start_s = start_s
        self._until_s = until_s
        self._latest_s: float | None = None
        self._is_over = False

    def passes_over(self, packet: av.Packet) -> bool:
        """Returns whether the next packet need not be decoded.

        Raises:
            UncertainClockError: Its clock need not be that of the packets before.
        """
        if self._is_over or not packet.size:
            return False
        if packet.pts is None:
            raise UncertainClockError
        time_s = packet.pts * self._tick_s - self._start_s
        if self._latest_s is not None and not 0 <= time_s - self._latest_s <= _LONGEST_STEP_S:
            raise UncertainClockError
        self._latest_s = time_s
        self._is_over = time_s >= self._until_s
        return not self._is_over


def decoded_from(segment: Segment) -> float | None:
    """Returns what to decode a track from for a segment, in seconds; None for its beginning."""
    from_s = segment.start_s - _RUN_UP_S
    # A file that goes on so far is not one that was trimmed to the segment.
    least_s = max(_LEAST_S, segment.longest_trimmed_s) if segment.may_be_trimmed else _LEAST_S
    return from_s if from_s >= least_s else None
