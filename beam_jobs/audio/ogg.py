"""Whether an Ogg file was cut short. Its header promises no length, so only its end can tell.

The last page of a stream is to carry an end-of-stream flag, but its absence alone is too little evidence: recorded
radio and some encoders never set it. A file that breaks off in the midst of a page is enough: whoever wrote it wrote
whole pages, and a download that stops hits the border between two of them, a few kB apart, by rare chance only. Such a
file, and one whose missing end was filled up with zeros, passes for whole.
"""

import dataclasses
import io
import os
import struct

_HEAD = struct.Struct("<4sBBqIIIB")  # mark, version 0, flags, granule position, serial, number, checksum, segments
_MARK = b"OggS"
_END_OF_STREAM = 0x04
_LARGEST_PAGE = _HEAD.size + 255 + 255 * 255  # bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class CutPage:
    """A page that the file breaks off in.

    Attributes:
        is_last: Whether it is the last one of its stream, so that no other is missing.
        granule: Where it was to end, counted from the beginning: in samples, for Opus at 48 kHz.
    """

    is_last: bool
    granule: int


def cut_page(source: str | bytes) -> CutPage | None:
    """The page that a local file, or the bytes of one, breaks off in; None if it ends with a page or tells nothing."""
    tail = _tail(source, size=2 * _LARGEST_PAGE)
    start = tail.rfind(_MARK)
    if start < 0:
        return None
    head = tail[start : start + _HEAD.size]
    if len(head) < _HEAD.size:
        return CutPage(is_last=False, granule=0)
    _, _, flags, granule, *_, segments = _HEAD.unpack(head)
    sizes = tail[start + _HEAD.size :][:segments]
    there = len(tail) - start - _HEAD.size - len(sizes)
    if len(sizes) == segments and there >= sum(sizes):
        behind = tail[len(tail) - there + sum(sizes) :]  # perhaps the first letters of a mark; or tags, say
        return CutPage(is_last=False, granule=0) if behind and _MARK.startswith(behind) else None
    return CutPage(is_last=bool(flags & _END_OF_STREAM), granule=granule)


def _tail(source: str | bytes, *, size: int) -> bytes:
    with open(source, "rb") if isinstance(source, str) else io.BytesIO(source) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read()
