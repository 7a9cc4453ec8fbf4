"""Finds where each file starts in a file that joins several, e.g. with `cat`."""

import re
from collections.abc import Callable, Iterator, Sequence

from beam_jobs.audio import mp4, transport_stream
from beam_jobs.audio.sound import Content, Source, content_of

_EBML = bytes.fromhex("1A45DFA3")
_MATROSKA_SEGMENT = bytes.fromhex("18538067")
_ASF = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
_ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_ASF_DATA_HEADER_BYTES = 50
_UNKNOWN_SIZE = 0xFFFFFFFF
_WAVPACK_FIRST = 0x800  # A flag of the first block of each moment.


def starts(content: Content) -> list[int]:
    """Returns where each file starts, beginning with 0; only 0 for one file, and for formats that are not known here.

    Looks at little of a file that says how long it is.
    """
    if found := mp4.starts(content) or transport_stream.starts(content):
        return found
    for header, end_of in _HEADERS:
        if header.match(content):
            return list(_starts_by_size(content, header, end_of))
    for signature in _SIGNATURES:
        if signature.match(content):
            return [match.start() for match in signature.finditer(content)]
    return [0]


def missing_share(source: Source) -> float:
    """Returns which share of an AVI, WMA or WMV file is missing according to its header, from 0 to 1."""
    with content_of(source) as content:
        if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
            promised = _riff_end(content, 0)
        elif content[:16] == _ASF:
            promised = _asf_end(content, 0)
        else:
            return 0.0
        return max(0.0, 1 - len(content) / promised) if promised else 0.0


def _starts_by_size(
    content: Content, header: re.Pattern[bytes], end_of: Callable[[Content, int], int]
) -> Iterator[int]:
    """Yields where each file starts, if its header says how long it is."""
    start = 0
    while True:
        yield start
        end = end_of(content, start)
        if end >= len(content):
            return
        if end <= start or not header.match(content, end):
            # A live recording does not know its size. Where less of a file is there than it says, the next lies inside.
            following = header.search(content, start + 1, end if end > start else len(content))
            if following is None:
                return
            end = following.start()
        start = end


def _riff_end(content: Content, start: int) -> int:
    size = int.from_bytes(content[start + 4 : start + 8], "little")
    if size in (0, _UNKNOWN_SIZE):  # It was written to a pipe, or its recorder crashed.
        return 0
    return start + 8 + size + size % 2


def _asf_end(content: Content, start: int) -> int:
    """Returns where a WMA or WMV file ends: before the next header, or where its last object does."""
    end = start
    has_sound = False
    while end + 24 <= len(content) and (end == start or content[end : end + 16] != _ASF):
        size = int.from_bytes(content[end + 16 : end + 24], "little")
        is_sound = content[end : end + 16] == _ASF_DATA
        if has_sound and end + size > len(content):  # An index that is cut short, or no object but tags.
            break
        if size < 24 or (is_sound and size <= _ASF_DATA_HEADER_BYTES):  # A live recording.
            return 0
        has_sound |= is_sound
        end += size
    return end


def _wavpack_end(content: Content, start: int) -> int:
    """Returns where a WavPack file ends: before the block with the first sample of the next."""
    end = start
    while end >= 0 and end + 32 <= len(content):
        number, flags = (int.from_bytes(content[end + i : end + i + 4], "little") for i in (16, 24))
        if end > start and number == 0 and flags & _WAVPACK_FIRST:
            return end
        end += 8 + int.from_bytes(content[end + 4 : end + 8], "little")
        if content[end : end + 4] != b"wvpk":  # Tags come after the last block.
            end = content.find(b"wvpk", end)
    return len(content)


def _matroska_end(content: Content, start: int) -> int:
    for identifier in (_EBML, _MATROSKA_SEGMENT):
        if content[start : start + 4] != identifier:
            return 0
        # The number of leading zeros in the first byte says how many bytes the size has. Ones alone mean "unknown".
        size_bytes = 9 - content[start + 4].bit_length()
        largest = (1 << 7 * size_bytes) - 1
        start += 4 + size_bytes
        size = int.from_bytes(content[start - size_bytes : start], "big") & largest
        if size == largest:
            return 0
        start += size
    return start


def _pattern(text: bytes) -> re.Pattern[bytes]:
    return re.compile(text, re.DOTALL)


# What a file of each format starts with, and where it ends.
_HEADERS: Sequence[tuple[re.Pattern[bytes], Callable[[Content, int], int]]] = (
    (_pattern(rb"RIFF.{4}AVI "), _riff_end),
    (_pattern(re.escape(_ASF)), _asf_end),
    (_pattern(re.escape(_EBML) + rb".{1,60}?(?:matroska|webm)"), _matroska_end),
    (_pattern(rb"wvpk.{4}[\x02-\x10]\x04"), _wavpack_end),
)
# The same for formats that do not say where a file ends.
_SIGNATURES = (
    _pattern(rb"#!AMR(?:-WB)?\n"),
    _pattern(rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09"),
    _pattern(rb"MAC .\x0f\x00\x00"),  # Monkey's Audio
    _pattern(rb"TTA[12][\x01-\x03]\x00"),
    _pattern(rb"nut/multimedia container\x00"),
)
