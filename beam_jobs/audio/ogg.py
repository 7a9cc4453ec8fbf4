"""Finds what libsndfile and FFmpeg overlook in Ogg files: chains, cuts, and starts in the middle of a stream.

Their header does not give a length, so only their end can tell whether they were cut short. The last page of a stream
should carry an end-of-stream flag. A missing flag alone proves nothing, because recordings of radio streams and some
encoders never set it. A file that ends inside a page was cut short, because programs write whole pages. A cut exactly
between two pages goes unnoticed; it is rare, because pages are a few kilobytes long.
"""

import dataclasses
import math
import os
import struct
import zlib
from collections.abc import Iterator

from beam_jobs.audio import vorbis
from beam_jobs.audio.sound import Content, Source, open_file
from beam_jobs.audio.views import read_at

# RFC 3533, section 6: capture pattern, version, flags, granule position, stream's serial number, page number, checksum,
# number of segments. A table with the size of each segment follows, and then the segments.
_HEADER = struct.Struct("<4sBBqIIIB")
CAPTURE_PATTERN = b"OggS"
_BEGIN_OF_STREAM = 0x02
_END_OF_STREAM = 0x04
_CHECKSUM = slice(22, 26)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_LARGEST_PAGE_BYTES = _HEADER.size + 255 + 255 * 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class IncompletePage:
    """A page that the file ends inside of.

    Attributes:
        is_last: Whether this is the last page of its stream, so that no other page is missing.
        granule: The granule position at the end of the page: the number of samples from the beginning of the stream,
            at 48 kHz for Opus.
    """

    is_last: bool
    granule: int


_NOT_THE_LAST = IncompletePage(is_last=False, granule=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Page:
    """A page: where it starts and ends in the file, its header's fields, and the sizes of its segments."""

    start: int
    end: int
    flags: int
    granule: int
    stream: int
    number: int
    segments: bytes


def starts_of_links(content: Content) -> list[int]:
    """Returns where each link of a chain starts, beginning with 0. A file that is no chain has one link."""
    starts = [0]
    was_beginning = True
    for page in _pages(content):
        # All streams of a link, e.g. pictures and sound, begin before any of them goes on.
        is_beginning = bool(page.flags & _BEGIN_OF_STREAM)
        if is_beginning and not was_beginning:
            starts.append(page.start)
        was_beginning = is_beginning
    return starts


def start_of_hole(content: Content) -> float:
    """Returns when a page of sound is missing or damaged in a link, in seconds from its beginning; infinity if none is.

    libsndfile passes over pages with a wrong checksum. It would repeat what comes after the hole. Recordings of radio
    streams lack the pages between the headers and where they begin, which is no hole.
    """
    rates: dict[int, int] = {}
    numbers: dict[int, int] = {}
    granules: dict[int, int] = {}
    for page in _pages(content):
        stream = page.stream
        if page.flags & _BEGIN_OF_STREAM:
            rates[stream] = _granules_per_second(content[page.end - sum(page.segments) : page.end])
        is_hole = page.number > numbers.get(stream, page.number) + 1 and granules.get(stream, 0) > 0
        if rates.get(stream) and (is_hole or not _is_intact(content, page)):
            return granules.get(stream, 0) / rates[stream]
        numbers[stream] = page.number
        if page.granule >= 0:  # Others are pages on which no packet ends.
            granules[stream] = page.granule
    return math.inf


def _is_intact(content: Content, page: _Page) -> bool:
    """Whether the checksum of a page is right, or the file ends inside of it."""
    if page.end > len(content):
        return True
    data = (
        content[page.start : page.start + _CHECKSUM.start] + bytes(4) + content[page.start + _CHECKSUM.stop : page.end]
    )
    # It is that of zlib without its inversions, and with the bits of each byte and of the result in reverse order.
    checksum = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    stored = content[page.start + _CHECKSUM.start : page.start + _CHECKSUM.stop]
    return checksum == int.from_bytes(stored.translate(_REVERSED), "big")


def _granules_per_second(header: bytes) -> int:
    """Returns what the first packet of a stream says about its clock; 0 for pictures, text and unknown codecs."""
    if header.startswith(b"OpusHead"):
        return 48000
    if header.startswith(b"\x7fFLAC"):
        return int.from_bytes(header[27:30], "big") >> 4
    for name, at in ((vorbis.IDENTIFICATION, 12), (b"Speex   ", 36)):
        if header.startswith(name):
            return int.from_bytes(header[at : at + 4], "little")
    return 0


def needs_ffmpeg(content: Content) -> bool:
    """Whether libsndfile would misread a link: it has several streams, or starts in the middle of a Vorbis stream.

    libsndfile does not know the clock that several streams share. It takes the number of the last sample for the length
    even if the first sample has another number than 0.
    """
    packets: list[bytes] = []
    unfinished = b""
    for index, page in enumerate(_pages(content)):
        if index and page.flags & _BEGIN_OF_STREAM:
            return True
        position = page.end - sum(page.segments)
        for size in page.segments:
            unfinished += content[position : position + size]
            position += size
            if size < 255:
                packets.append(unfinished)
                unfinished = b""
        if index and not vorbis.is_stream(packets):
            return False
        if len(packets) > vorbis.HEADERS and page.granule >= 0:
            samples = vorbis.count_samples(packets)
            # The last page may hold more than it says, because its end is cut off.
            is_end = bool(page.flags & _END_OF_STREAM)
            return page.granule > samples if is_end else page.granule != samples
    return False


def find_incomplete_page(source: Source) -> IncompletePage | None:
    """Returns the page that a file ends inside of, or None if the file ends after a page or is not Ogg."""
    tail = _tail(source, size=2 * _LARGEST_PAGE_BYTES)
    start = tail.rfind(CAPTURE_PATTERN)
    if start < 0:
        return _NOT_THE_LAST if tail and _is_zeros(tail) else None
    page = tail[start:]
    if len(page) < _HEADER.size:
        return _NOT_THE_LAST
    _, _, flags, granule, *_, segments = _HEADER.unpack_from(page)
    sizes = page[_HEADER.size : _HEADER.size + segments]
    page_bytes = _HEADER.size + segments + sum(sizes)
    if len(sizes) < segments or len(page) < page_bytes:
        return IncompletePage(is_last=bool(flags & _END_OF_STREAM), granule=granule)
    rest = page[page_bytes:]
    if rest and _is_zeros(rest) and not flags & _END_OF_STREAM:
        return _NOT_THE_LAST
    # The rest may be the first letters of the next page's capture pattern, or something else, such as tags.
    if rest and CAPTURE_PATTERN.startswith(rest):
        return _NOT_THE_LAST
    return None


def _pages(content: Content, *, start: int = 0) -> Iterator[_Page]:
    """Yields the pages of a file. Whatever lies between two of them is passed over."""
    while (start := content.find(CAPTURE_PATTERN, start)) >= 0 and start + _HEADER.size <= len(content):
        _, version, flags, granule, stream, number, _, count = _HEADER.unpack_from(content, start)
        segments = content[start + _HEADER.size : start + _HEADER.size + count]
        end = start + _HEADER.size + count + sum(segments)
        if version or (end < len(content) and content[end : end + 4] != CAPTURE_PATTERN):
            # Either these letters are sound, or the page is incomplete and another link starts inside of it.
            nearest = content.find(CAPTURE_PATTERN, start + 4)
            if version or 0 <= nearest < end:
                start += 4
                continue
        yield _Page(start=start, end=end, flags=flags, granule=granule, stream=stream, number=number, segments=segments)
        start = end


def _is_zeros(data: bytes) -> bool:
    """Whether data is what an incomplete download leaves where nothing has arrived."""
    return not data.strip(b"\0")


def _tail(source: Source, *, size: int) -> bytes:
    with open_file(source) as file:
        return read_at(file, max(0, file.seek(0, os.SEEK_END) - size), size)
