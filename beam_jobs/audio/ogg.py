"""Detects Ogg files that were cut short. Their header does not give a length, so only their end can tell.

The last page of a stream should carry an end-of-stream flag. A missing flag alone proves nothing, because recordings of
radio streams and some encoders never set it. A file that ends inside a page was cut short, because programs write whole
pages. A download that stops exactly between two pages, which are a few kilobytes long, is rare.

Two kinds of damage go unnoticed: a cut between two pages, and a missing end that was filled up with zeros.
"""

import dataclasses
import os
import struct

from beam_jobs.audio.sound import Source

# RFC 3533, section 6: capture pattern, version, flags, granule position, stream's serial number, page number, checksum,
# number of segments. A table with the size of each segment follows, and then the segments.
_HEADER = struct.Struct("<4sBBqIIIB")
_CAPTURE_PATTERN = b"OggS"
_END_OF_STREAM = 0x04
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


def find_incomplete_page(source: Source) -> IncompletePage | None:
    """Returns the page that a file ends inside of, or None if the file ends after a page or is not Ogg."""
    tail = _tail(source, size=2 * _LARGEST_PAGE_BYTES)
    start = tail.rfind(_CAPTURE_PATTERN)
    if start < 0:
        return None
    page = tail[start:]
    if len(page) < _HEADER.size:
        return IncompletePage(is_last=False, granule=0)
    _, _, flags, granule, *_, segments = _HEADER.unpack_from(page)
    sizes = page[_HEADER.size : _HEADER.size + segments]
    page_bytes = _HEADER.size + segments + sum(sizes)
    if len(sizes) < segments or len(page) < page_bytes:
        return IncompletePage(is_last=bool(flags & _END_OF_STREAM), granule=granule)
    rest = page[page_bytes:]
    # The rest may be the first letters of the next page's capture pattern, or something else, such as tags.
    if rest and _CAPTURE_PATTERN.startswith(rest):
        return IncompletePage(is_last=False, granule=0)
    return None


def _tail(source: Source, *, size: int) -> bytes:
    if isinstance(source, bytes):
        return source[-size:]
    with open(source, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read()
