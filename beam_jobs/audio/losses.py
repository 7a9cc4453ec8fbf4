"""Counts how much of a track is lost to damage."""

import av

# A pause is stored in few bytes. One with this share of the bytes that sound takes was sound.
_SHARE_OF_BYTES_IN_A_HOLE = 0.5
_LONG_HOLE_S = 0.5


class Losses:
    """What is lost of a track, from packet to packet.

    Args:
        track: The track.
        is_alone: Whether its file holds nothing else.
        is_resumed: Whether FFmpeg leaves out what follows on damage, until it is sure again where a packet begins.

    Attributes:
        error: The first error, if any.
        inside_s: How many seconds are lost between the first and the last sample.
        at_end_s: How many seconds of packets after the last sample are broken. They may be tags.
        sizes: Bytes of each packet.
    """

    def __init__(self, track: av.AudioStream, *, is_alone: bool, is_resumed: bool):
        self._time_base = track.time_base
        self._is_alone = is_alone
        self._is_resumed = is_resumed
        self._before: av.Packet | None = None
        self._is_suspect = False
        self._sound_s = 0.0
        self.error: Exception | None = None
        self.inside_s = 0.0
        self.at_end_s = 0.0
        self.sizes: list[int] = []

    def add_error(self, packet: av.Packet, error: Exception) -> None:
        """Counts a packet that does not decode."""
        self.error = self.error or error
        self.sizes.append(packet.size)
        self.at_end_s += float((packet.duration or 0) * self._time_base)
        self._is_suspect = True

    def add_sound(self, packet: av.Packet, *, pause_s: float, seconds: float) -> None:
        """Counts a packet that decodes.

        Args:
            packet: The packet.
            pause_s: The pause before it.
            seconds: How much sound is there with it, without pauses.
        """
        # Where a broadcast was cut, the first packets lack what they refer to.
        if self._before is not None and seconds:
            self.inside_s += self.at_end_s
            if pause_s and self._is_hole(packet, pause_s):
                self.inside_s += pause_s
        if seconds:
            self.at_end_s = 0.0
            self._is_suspect = packet.is_corrupt
            self._before, self._sound_s = packet, seconds
        self.sizes.append(packet.size)

    def _is_hole(self, packet: av.Packet, pause_s: float) -> bool:
        """Whether sound was there where a pause is."""
        if packet.is_corrupt or self._is_suspect:  # Something is wrong with the packets around it.
            return True
        before = self._before
        if not self._is_alone or packet.pos is None or before.pos is None:
            return False
        if self._is_resumed:  # What is left out may be far shorter than what is missing.
            pause_s = min(pause_s, _LONG_HOLE_S)
        usual = pause_s * sum(self.sizes) / self._sound_s
        return packet.pos - before.pos - before.size > _SHARE_OF_BYTES_IN_A_HOLE * usual
