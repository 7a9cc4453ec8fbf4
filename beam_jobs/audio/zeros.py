"""Finds zeros where sound should be: what an interrupted download leaves of a file that had got its full size at once.

Some decoders pass over zeros, others take them for sound.
"""

from collections import Counter
from collections.abc import Iterator

import av
import numpy as np

from beam_jobs.audio import checks
from beam_jobs.audio.sound import Source, content_of

_CODECS = """
    aac aac_latm ac3 alac amrnb amrwb ape dca eac3 flac mlp mp1 mp1float mp2 mp2float mp3 mp3float mpc7 mpc8 opus
    libopus speex libspeex tak truehd tta vorbis libvorbis wavpack wmalossless wmapro wmav1 wmav2 wmavoice
"""
# Decoders of codecs that store no sound as a long run of zeros. Others do, such as PCM, where silence is one.
_COMPRESSED = frozenset(_CODECS.split())
# Decoders of pictures that are black where there are zeros.
_RAW_PICTURES = frozenset({"rawvideo", "bitpacked", "r10k", "r210", "v210", "v308", "v408", "v410", "y41p", "yuv4"})
# Files may be filled up to the end of a sector, or of a block of the disk.
_LARGEST_FILLING = 4096
# Headers of packets and chunks may have some zeros, and 100 ms of speech may be fewer.
_SMALLEST_HOLE = 256
_BLOCK = 2**20


class Packets:
    """Where the packets of a track lie in its file."""

    def __init__(self, track: av.AudioStream, container: av.container.InputContainer):
        self._has_zeros = _may_have_zeros(track)
        self._is_known = not any(_may_have_zeros(other) for other in container.streams if other.index != track.index)
        self._gaps: list[tuple[int, int]] = []
        self._distances: Counter[int] = Counter()
        self._start: int | None = None
        self._end = 0
        self._position = 0
        self._smallest_step = 0

    def add(self, packet: av.Packet) -> None:
        """Notes the next packet of the track. If it has no position, it follows on the one before."""
        if self._start is None:
            if packet.pos is None:
                return
            self._start = self._end = packet.pos
        start = self._end if packet.pos is None else packet.pos
        if packet.pos is not None:
            self._note_step(packet.pos)
        if self._has_zeros and start - self._end >= _SMALLEST_HOLE:
            self._gaps.append((self._end, start))
        self._distances[max(packet.size, start + packet.size - self._end)] += 1
        self._end = max(self._end, start + packet.size)

    def count_zeros(self, source: Source, *, seconds: float, is_all: bool, has_length: bool) -> int:
        """Counts zeros that are no sound, in runs that would have been longer than the slack of codecs.

        Args:
            source: The file.
            seconds: How long the packets are.
            is_all: Whether the last packet is that of the track, so that zeros right behind it count, too.
            has_length: Whether the header tells the length, so that zeros at the end of the file may be anything.

        Returns:
            The number of bytes.
        """
        if self._start is None or not self._is_known or seconds <= 0:
            return 0
        slack = checks.CODEC_SLACK_S * (self._end - self._start) / seconds
        least = max(_SMALLEST_HOLE, round(slack), self._usual_distance() + 1, self._smallest_step + 1)
        with content_of(source) as content:
            data = _without_filling(np.frombuffer(content, np.uint8))
            stop = data.size if is_all else self._end
            runs = list(_runs(data, self._start, stop, least=least))
            del data  # It would keep the file from being closed.
        last = self._end if has_length else stop
        holes = ((start, end) for start, end in runs if start <= self._end or end == last)
        return sum(end - start for start, end in holes if self._is_hole(start, end, stop=stop))

    def _note_step(self, position: int) -> None:
        """Notes by how much the position has changed.

        In ASF it is that of a block of the container, with several packets and zeros for the rest, and all steps are
        multiples of its size.
        """
        step = position - self._position
        if step > 0 and self._distances:
            self._smallest_step = min(step, self._smallest_step or step)
        self._position = position

    def _is_hole(self, start: int, end: int, *, stop: int) -> bool:
        """Whether zeros are no sound, which in some codecs only those between packets are."""
        gaps = [*self._gaps, (self._end, stop)]
        return not self._has_zeros or any(min(end, b) - max(start, a) >= _SMALLEST_HOLE for a, b in gaps)

    def _usual_distance(self) -> int:
        """Returns a distance from packet to packet, in bytes, that most do not exceed.

        Zeros are usual at the end of a packet of silence and, in some formats, between packets. The largest distances
        may be due to what is missing.
        """
        distances = sorted(self._distances)
        counts = np.cumsum([self._distances[distance] for distance in distances])
        return distances[int(np.searchsorted(counts, 0.75 * counts[-1]))]


def _may_have_zeros(stream: av.stream.Stream) -> bool:
    """Whether a stream may hold long runs of zeros that are sound or pictures."""
    name = stream.codec_context.name if stream.codec_context else ""
    return name in _RAW_PICTURES if stream.type == "video" else stream.type == "audio" and name not in _COMPRESSED


def _without_filling(data: np.ndarray) -> np.ndarray:
    """Returns a file, uint8 (bytes,), without the few zeros at its end that are no hole."""
    tail = data[-_LARGEST_FILLING:]
    used = np.flatnonzero(tail)
    return data[: data.size - tail.size + int(used[-1]) + 1] if used.size else data


def _runs(data: np.ndarray, begin: int, stop: int, *, least: int) -> Iterator[tuple[int, int]]:
    """Yields where runs of zeros begin and end of which at least `least` lie between two places in uint8 (bytes,)."""
    data = data[:stop]
    # A run holds one of these blocks as a whole, so that most of the bytes need not be looked at.
    step = least // 2
    end = begin
    for start in (begin + step * np.flatnonzero(data[begin::step] == 0)).tolist():
        if start < end or data[start : start + step].any():
            continue
        before = np.flatnonzero(data[max(end, start - step) : start])
        start -= min(start - end, step) - (int(before[-1]) + 1 if before.size else 0)
        end = _end_of_zeros(data, start)
        if end - start >= least:
            yield start, end


def _end_of_zeros(data: np.ndarray, start: int) -> int:
    """Returns where the first byte is from `start` on that is not zero."""
    for block in range(start, data.size, _BLOCK):
        found = np.flatnonzero(data[block : block + _BLOCK])
        if found.size:
            return block + int(found[0])
    return max(start, data.size)
