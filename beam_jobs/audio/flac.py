"""Finds out from the frames of a FLAC file how long it is, because its header may be wrong.

The header, STREAMINFO, is wrong in files that were cut or joined without decoding them, and in those of recorders that
crashed. Each frame has its own number, and checksums that tell it from other bytes. RFC 9639 describes the format.
"""

import dataclasses
import itertools
import os
import struct
from collections.abc import Iterator

from beam_jobs.audio import tags
from beam_jobs.audio.sound import BinaryFile
from beam_jobs.audio.views import read_at

# How a file begins: the magic number, and the type and the size of STREAMINFO.
_START = b"fLaC\x00\x00\x00\x22"
_LAST_BLOCK = 0x80
_STREAMINFO_BYTES = 34
# STREAMINFO numbers samples with 36 bits. The four bits before them mean something else.
_NUMBERS = 2**36
_ID3V1_BYTES = 128
_LONGEST_HEADER = 16
READ_AHEAD = 2**14
"""libFLAC reads at most so many bytes more than it decodes."""

# The last frame is looked for in so many bytes. Frames of music have 16,000 at most.
_TAIL_BYTES = 2**17
# So much is read to find a frame somewhere in a file.
_PROBE_BYTES = 2**15
# By chance, a few other bytes look like the header of a frame.
_MOST_CANDIDATES = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """What the header and the frames of a FLAC file say about its length, in samples.

    Attributes:
        promised: What the header promises; 0 if it does not say.
        first: The number of the first sample. In a file that was cut out of another, it may count from there.
        held: How much the frames hold; None if the end is not that of a frame.
        breaks_off: Whether the file ends inside a frame.
        promised_at: Offset of the five bytes that hold the promise.
    """

    promised: int
    first: int
    held: int | None
    breaks_off: bool
    promised_at: int


def find_start(file: BinaryFile) -> int | None:
    """Returns where a FLAC file begins, which is after a tag if there is one. None if it is no FLAC file."""
    start = tags.size(read_at(file, 0, tags.LONGEST_HEADER))
    return start if read_at(file, start, 4) == b"fLaC" else None


def inspect(file: BinaryFile, *, start: int, size: int) -> Stream | None:
    """Reads the header and the last frame; None if the header is damaged.

    Args:
        file: The file.
        start: Where "fLaC" is in it.
        size: The size of the file in bytes.
    """
    info = read_at(file, start + 8, _STREAMINFO_BYTES)
    audio_start = _find_audio(file, start + 4)
    if len(info) < _STREAMINFO_BYTES or audio_start is None:
        return None
    block_samples = struct.unpack_from(">H", info, 2)[0]
    promised = int.from_bytes(info[13:18], "big") % _NUMBERS
    first_frame = _parse_header(read_at(file, audio_start, _LONGEST_HEADER), block_samples=block_samples)
    first = first_frame[0] if first_frame else 0
    end, breaks_off = _find_end(file, audio_start, size, block_samples=block_samples, expected=promised)
    return Stream(
        promised=promised,
        first=first,
        held=None if end is None else end - first,
        breaks_off=breaks_off,
        promised_at=start + 8 + 13,
    )


def is_in_order(file: BinaryFile, *, start: int) -> bool:
    """Whether the frames are numbered in order, as far as some of them tell.

    They are not if several files of one length were joined. libFLAC would find a sample in any of them.

    Args:
        file: The file.
        start: Where "fLaC" is in it.
    """
    begin, size = _find_audio(file, start + 4), file.seek(0, os.SEEK_END)
    first = read_at(file, begin, _LONGEST_HEADER)
    if any(_START in read_at(file, offset, _TAIL_BYTES) for offset in (begin, max(begin, size - _TAIL_BYTES))):
        return False
    # Closer together towards both ends, because one of the files may be far smaller than the other.
    distances = [size >> k for k in range(1, (size // _PROBE_BYTES).bit_length())]
    numbers = []
    for offset in sorted({*distances, *(size - distance for distance in distances)}):
        probe = read_at(file, max(begin, offset), _PROBE_BYTES)
        # The first bytes of a header are the same in most frames, so that few other bytes look like it.
        at = probe.find(first[:3])
        if at >= 0 and (header := _parse_header(probe[at : at + _LONGEST_HEADER], block_samples=1)):
            numbers.append(header[0])
    return numbers == sorted(numbers)


def corrected_head(file: BinaryFile, stream: Stream) -> bytes:
    """Returns the beginning of a file up to its promise, which becomes what the file holds."""
    head = read_at(file, 0, stream.promised_at + 5)
    stored = int.from_bytes(head[-5:], "big")
    return head[:-5] + (stored - stored % _NUMBERS + stream.held).to_bytes(5, "big")


def find_next(file: BinaryFile, *, begin: int) -> int | None:
    """Returns where the next FLAC file begins that was joined to a file; None if there is none.

    Args:
        file: A FLAC file.
        begin: Where to begin the search, in the file's frames.
    """
    size, step = file.seek(0, os.SEEK_END), 2**22
    for offset in range(max(begin, (find_start(file) or 0) + 1), size, step):
        found = read_at(file, offset, step + len(_START) - 1).find(_START)
        if found >= 0:
            return offset + found
    return None


def _find_audio(file: BinaryFile, offset: int) -> int | None:
    """Returns where the frames begin, after the metadata blocks."""
    while len(header := read_at(file, offset, 4)) == 4:
        offset += 4 + int.from_bytes(header[1:], "big")
        if header[0] & _LAST_BLOCK:
            return offset
    return None


def _find_end(file: BinaryFile, begin: int, size: int, *, block_samples: int, expected: int) -> tuple[int | None, bool]:
    """Returns the number of the sample after the last frame, if that frame is whole, and whether it is cut off.

    A checksum over the whole frame takes milliseconds, and is left out if the frame ends at the expected sample.
    """
    offset = max(begin, size - _TAIL_BYTES)
    tail = read_at(file, offset, size - offset)
    if tail[-_ID3V1_BYTES:].startswith(b"TAG"):
        tail = tail[:-_ID3V1_BYTES]
    seen = []
    for at, end in itertools.islice(_headers_backwards(tail, block_samples=block_samples), _MOST_CANDIDATES):
        if end == expected:
            return end, False
        seen.append((at, end))
    for at, end in seen:
        if _crc16(tail[at:]) == 0:
            return end, False
    # A frame is real if it is the first, or another one ends where it begins.
    breaks_off = any(offset + at == begin for at, _ in seen) or any(
        _crc16(tail[before:at]) == 0 for (at, _), (before, _) in itertools.pairwise(seen)
    )
    return None, breaks_off


def _headers_backwards(tail: bytes, *, block_samples: int) -> Iterator[tuple[int, int]]:
    """Yields what look like frame headers, the last first: offset, and number of the sample after the frame."""
    at = len(tail)
    while (at := max(tail.rfind(b"\xff\xf8", 0, at), tail.rfind(b"\xff\xf9", 0, at))) >= 0:
        if header := _parse_header(tail[at : at + _LONGEST_HEADER], block_samples=block_samples):
            yield at, header[1]


def _parse_header(header: bytes, *, block_samples: int) -> tuple[int, int] | None:
    """Returns the numbers of a frame's first sample and of the sample after it; None if this is no frame header."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    number, at = _parse_number(header, 4)
    extra = {6: 1, 7: 2}.get(size_code, 0)
    crc_at = at + extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if number is None or size_code == 0 or rate_code == 15 or crc_at >= len(header):
        return None
    if _crc8(header[:crc_at]) != header[crc_at]:
        return None
    if extra:
        samples = int.from_bytes(header[at : at + extra], "big") + 1
    elif size_code == 1:
        samples = 192
    else:
        samples = 576 << (size_code - 2) if size_code < 6 else 256 << (size_code - 8)
    start = number if header[1] & 1 else number * block_samples
    return start, start + samples


def _parse_number(header: bytes, at: int) -> tuple[int | None, int]:
    """Returns a number that is coded like a character of UTF-8, and the offset after it."""
    lead = header[at]
    ones = 8 - (lead ^ 0xFF).bit_length()
    if ones == 0:
        return lead, at + 1
    rest = header[at + 1 : at + ones]
    if ones in (1, 8) or len(rest) < ones - 1 or any(byte & 0xC0 != 0x80 for byte in rest):
        return None, at
    number = lead & (0x7F >> ones)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, at + ones


def _crc_table(polynomial: int, *, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> (bits - 1) else 0)
            value &= 2**bits - 1
        table.append(value)
    return table


_CRC8 = _crc_table(0x07, bits=8)
_CRC16 = _crc_table(0x8005, bits=16)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    """Returns the checksum of a frame, which is 0 if the frame is whole: it ends with the checksum of the rest."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value
