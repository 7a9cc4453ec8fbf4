"""Tells sound from what may follow the sound in a file, to find where it ends."""

import re
import struct

from beam_jobs.audio import chunks, tags
from beam_jobs.audio.chunks import Chunks
from beam_jobs.audio.sound import BinaryFile, DecodeError
from beam_jobs.audio.views import read_at

AU = b".snd"
AU_LITTLE_ENDIAN = b"dns."
SPHERE = b"NIST_1A\n"
VOC = b"Creative Voice File\x1a"
# How files begin that may be joined to another, besides AU and those of `chunks.CONTAINERS`.
_MAGIC = (SPHERE, VOC, b"fLaC\0\0\0\x22")
_MAGIC_BYTES = 4
_HEADER_BYTES = 32
_MOST_AU_ENCODINGS = 27
_BLOCK = 2**22
# A size of more than 32 bits is stored without its upper bits.
_WRAP = 2**32
# Besides tags, a few bytes of anything may follow the sound, and chunks, even if the file was cut short inside of one.
_JUNK_BYTES = 1024
_CHUNK_NAME = re.compile(rb"[A-Za-z0-9_.+() \xa9-]{4}")
_USUAL_CHUNKS = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX", b"cue ", b"smpl", b"JUNK", b"PAD ", b"FLLR")


def find_end(
    file: BinaryFile, size: int, *, start: int, promised: int, container: Chunks | None
) -> tuple[int, int | None]:
    """Finds where the sound of a file ends, which may be after the end that its header promises.

    Args:
        file: The file.
        size: Its size in bytes.
        start: Where the sound begins.
        promised: The size of the sound in bytes, according to the header.
        container: How the file stores its chunks; None if it has none.

    Returns:
        How many bytes of sound there are, and where another file begins that was joined to it, or None.

    Raises:
        DecodeError: if more chunks of sound follow.
    """
    for end in range(start + promised, size + 1, _WRAP):
        aligned = end + -end % (container.alignment if container else 1)
        # Some programs do not align what follows.
        for at in {aligned: None, end: None}:
            goes_on, next_file = follow(file, size, at=at, container=container)
            if not goes_on:
                return end - start, next_file
    # This file does not know its size, or breaks off. In both cases another one may have been joined to it.
    next_file = find_next(file, start, size)
    return (size if next_file is None else next_file) - start, next_file


def follow(file: BinaryFile, size: int, *, at: int, container: Chunks | None) -> tuple[bool, int | None]:
    """Returns whether sound goes on at an offset, and where another file begins, or None; see `find_end`."""
    while size - at > _JUNK_BYTES:
        head = read_at(file, at, _HEADER_BYTES)
        if _is_header(head):
            return False, at
        if head.startswith(tags.BEGINNINGS) or _is_zero(file, at, size):
            return False, None
        if container is None:
            return True, None
        name, stored = container.header.unpack_from(head)
        if name == container.sound:
            raise DecodeError("unreadable", "holds several chunks of sound; convert it to a file with one")
        after = chunks.after(at, stored, container)
        is_chunk = (name[4:] == chunks.GUID or _CHUNK_NAME.fullmatch(name)) and after <= size + container.alignment
        if not is_chunk and name not in _USUAL_CHUNKS:
            return True, None
        at = after
    return False, None


def parse_au(head: bytes) -> tuple[str, tuple[int, ...]]:
    """Reads the header of an AU file.

    Returns:
        The byte order, see `struct`; and where the sound begins, its size, its encoding, its rate and its channels.
    """
    order = ">" if head.startswith(AU) else "<"
    return order, struct.unpack_from(f"{order}5I", head.ljust(_HEADER_BYTES, b"\0"), 4)


def find_next(file: BinaryFile, begin: int, size: int) -> int | None:
    """Returns where the next file of the same format begins that was joined to a file; None if there is none.

    Args:
        file: The file.
        begin: Where to begin the search, in the file's sound.
        size: The size of the file in bytes.
    """
    magic = read_at(file, 0, _MAGIC_BYTES)
    for offset in range(begin, size, _BLOCK):
        block = read_at(file, offset, _BLOCK + _HEADER_BYTES)
        at = block.find(magic)
        while at >= 0:
            if _is_header(block[at : at + _HEADER_BYTES]):
                return offset + at
            at = block.find(magic, at + 1)
    return None


def _is_header(head: bytes) -> bool:
    """Whether a file begins with these bytes. The four letters of AU alone may be sound."""
    if not head.startswith((AU, AU_LITTLE_ENDIAN)):
        return (head[:4], head[8:12]) in chunks.CONTAINERS or head.startswith(_MAGIC)
    _, (start, _, encoding, _, channels) = parse_au(head)
    return 24 <= start < 2**16 and 0 < encoding <= _MOST_AU_ENCODINGS and 0 < channels < 2**8


def _is_zero(file: BinaryFile, at: int, size: int) -> bool:
    """Whether the rest of a file is zeros, with which some recorders fill it. Of gigabytes it looks at samples."""
    block, most = 2**16, 64
    offsets = range(at, size, max(block, (size - at) // most))
    return not any(read_at(file, offset, block).strip(b"\0") for offset in (*offsets, max(at, size - block)))
