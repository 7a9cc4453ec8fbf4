"""Finds the sound in containers that consist of chunks: WAV and its relatives, AIFF, 8SVX and CAF."""

import dataclasses
import struct

from beam_jobs.audio.sound import BinaryFile
from beam_jobs.audio.views import read_at


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunks:
    """How a container stores its chunks.

    Attributes:
        name: The format of a chunk's name, see `struct`.
        size: The format of its size, which follows.
        first: Where the first chunk begins.
        sound: The name of the chunk that holds the sound.
        alignment: Chunks are filled up to a multiple of so many bytes.
        counts_header: Whether the size includes name and size.
        prefix: So many bytes at the beginning of the chunk `sound` are not sound.
        is_believed: Whether libsndfile stops at the end of that chunk.
    """

    name: str = "4s"
    size: str
    first: int = 12
    sound: bytes
    alignment: int = 2
    counts_header: bool = False
    prefix: int = 0
    is_believed: bool = True

    @property
    def header(self) -> struct.Struct:
        return struct.Struct(self.size[0] + self.name + self.size[1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundField:
    """The sound of a file as its header describes it.

    Attributes:
        start: Where the sound begins.
        stored: The size that the header has, in bytes.
        size_at: Where the header has it; None if it is not one number.
        size: How it is stored, see `struct`.
        excess: So much of the size is not sound, in bytes.
    """

    start: int
    stored: int
    size_at: int | None = None
    size: str = "<I"
    excess: int = 0


# A file that was filled with zeros looks like millions of empty chunks.
_MOST_CHUNKS = 10_000
GUID = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
WAV = Chunks(size="<I", sound=b"data")
_AIFF = Chunks(size=">I", sound=b"SSND", prefix=8)
_SVX = Chunks(size=">I", sound=b"BODY", is_believed=False)
_W64 = Chunks(name="16s", size="<Q", first=40, sound=b"data" + GUID, alignment=8, counts_header=True, is_believed=False)
# The first four bytes of a file, and those at offset 8 -> how it stores its chunks.
CONTAINERS = {
    (b"RIFF", b"WAVE"): WAV,
    (b"RIFX", b"WAVE"): Chunks(size=">I", sound=b"data"),
    (b"RF64", b"WAVE"): WAV,
    (b"BW64", b"WAVE"): WAV,
    (b"FORM", b"AIFF"): _AIFF,
    (b"FORM", b"AIFC"): _AIFF,
    (b"FORM", b"8SVX"): _SVX,
    (b"FORM", b"16SV"): _SVX,
    (b"riff", b"\xa5\xd6\x28\xdb"): _W64,
    (b"caff", b"desc"): Chunks(size=">Q", first=8, sound=b"data", alignment=1, prefix=4),
}


def find_sound(file: BinaryFile, size: int, container: Chunks) -> SoundField | None:
    """Follows the chunks to that with the sound; None if there is none."""
    at, long_size_at = container.first, None
    header = container.header
    for _ in range(_MOST_CHUNKS):
        if at + header.size > size:
            break
        name, stored = header.unpack(read_at(file, at, header.size))
        content = at + header.size
        if name == b"ds64":
            # RF64 and BW64 have the size here if it is beyond 4 GiB, or might have become so.
            long_size_at = content + 8
        elif name == container.sound:
            start = content + container.prefix
            if long_size_at and stored in (0, 2**32 - 1):
                (stored,) = struct.unpack("<Q", read_at(file, long_size_at, 8))
                return SoundField(start=start, stored=stored, size_at=long_size_at, size="<Q")
            excess = container.prefix + (header.size if container.counts_header else 0)
            size_at = content - struct.calcsize(container.size)
            return SoundField(start=start, stored=stored, size_at=size_at, size=container.size, excess=excess)
        at = after(at, stored, container)
    return None


def after(at: int, stored: int, container: Chunks) -> int:
    """Returns where a chunk ends that begins at an offset and has a stored size."""
    header_bytes = container.header.size
    length = max(stored, header_bytes) if container.counts_header else header_bytes + stored
    return at + length + -length % container.alignment
