"""Finds out how much sound a file holds, and corrects a header that says something else.

The decoders believe the header. It is wrong in files of recorders that crashed, of programs that write to a pipe, and
with sound beyond 4 GiB, and it does not count what was joined to the file later. In all of these, sound goes on where a
decoder would stop. A header that promises more than there is tells that the file was cut short.
"""

import dataclasses
import os
import re
import struct

from beam_jobs.audio import chunks, flac, trailers
from beam_jobs.audio.chunks import Chunks, SoundField
from beam_jobs.audio.sound import BinaryFile, DecodeError
from beam_jobs.audio.views import View, read_at

# Programs that write to a pipe do not know the size. They leave the largest number, or one that is a little less.
_UNKNOWN_SIZES = (range(2**31 - 2**16, 2**31 + 2**16), range(2**32 - 2**16, 2**32), range(2**63 - 2**16, 2**64))
# The type of a block of sound in a Creative Voice File, whose size sox gives 8 bytes too small.
_VOC_SOUND = 9
_SOX_ERROR = 8
_VOC_ENDS = (b"\0", b"\0" + trailers.VOC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extent:
    """How far the sound of a file goes, and what its header says.

    Attributes:
        promised_share: How much sound the header promises, as a multiple of what the file holds. More than 1 if the
            file was cut short.
        breaks_off: Whether the file was cut short, whatever its header promises.
        corrected: The file with a header that is right, and without a rest that libsndfile would take for sound; None
            if the decoders read the file as it is.
        next_file: Where another file begins that was joined to this one; None if there is none.
        is_sequential: Whether decoding must begin with the file, because its frames do not count from 0.
        ends_whole: Whether the end of the file is surely there, so that what is missing is missing inside.
    """

    promised_share: float = 1.0
    breaks_off: bool = False
    corrected: View | None = None
    next_file: int | None = None
    is_sequential: bool = False
    ends_whole: bool = False


def inspect(file: BinaryFile, *, will_seek: bool = False) -> Extent:
    """Compares the header of a file with its content; all is well with formats whose header has no size.

    It reads a few hundred bytes, 128 kB of a FLAC file, and all of a file that does not know its size.

    Args:
        file: The file.
        will_seek: Whether the beginning of the file will not be read. It costs a closer look at FLAC.

    Raises:
        DecodeError: if the file holds several chunks of sound.
    """
    if not file.seekable():
        return Extent()
    size = file.seek(0, os.SEEK_END)
    head = read_at(file, 0, 64)
    if head.startswith((b"fLaC", b"ID3")) and (start := flac.find_start(file)) is not None:
        return _inspect_flac(file, start, size, will_seek=will_seek)
    if container := chunks.CONTAINERS.get((head[:4], head[8:12])):
        sound = chunks.find_sound(file, size, container)
        return _compare(file, size, sound, container) if sound else Extent()
    if head.startswith((trailers.AU, trailers.AU_LITTLE_ENDIAN)):
        order, (start, stored, *_) = trailers.parse_au(head)
        return _compare(file, size, SoundField(start=start, stored=stored, size_at=8, size=order + "I"))
    if head.startswith(b"ALawSoundFile**"):
        return _compare(file, size, SoundField(start=32, stored=int.from_bytes(head[18:22], "big")))
    if head.startswith(trailers.SPHERE):
        sound = _find_sphere(file)
        return _compare(file, size, sound) if sound else Extent()
    if head.startswith(trailers.VOC):
        return _inspect_voc(file, int.from_bytes(head[20:22], "little"), size)
    return Extent()


def find_files(file: BinaryFile) -> list[int]:
    """Returns where each of the files begins that were joined to one."""
    starts: list[int] = []
    next_file: int | None = 0
    while next_file is not None:
        starts.append(sum(starts[-1:]) + next_file)
        view = View(file, start=starts[-1])
        is_flac = flac.find_start(view) is not None
        next_file = flac.find_next(view, begin=0) if is_flac else inspect(view).next_file
    return starts


def _inspect_flac(file: BinaryFile, start: int, size: int, *, will_seek: bool) -> Extent:
    stream = flac.inspect(file, start=start, size=size)
    if stream is None:
        return Extent()
    if stream.held == stream.promised and not (will_seek and not flac.is_in_order(file, start=start)):
        return Extent(is_sequential=stream.first > 0, ends_whole=True)
    if (next_file := flac.find_next(file, begin=start)) is not None:
        return Extent(next_file=next_file)
    # A header that promises more is right, unless the file was evidently cut out of another.
    is_wrong = stream.held is not None and (stream.held >= stream.promised or stream.first > 0)
    head = flac.corrected_head(file, stream) if is_wrong else b""
    return Extent(
        breaks_off=stream.breaks_off,
        corrected=View(file, start=len(head), head=head) if is_wrong else None,
        is_sequential=stream.first > 0,
        ends_whole=is_wrong,
    )


def _inspect_voc(file: BinaryFile, at: int, size: int) -> Extent:
    """Follows the blocks of a Creative Voice File: one byte for the type, 0 at the end, and three for the size."""
    while at < size:
        header = read_at(file, at, 4)
        if header[0] == 0:
            return Extent(next_file=trailers.follow(file, size, at=at + 1, container=None)[1])
        at += 4 + int.from_bytes(header[1:], "little")
        if header[0] == _VOC_SOUND and read_at(file, at + _SOX_ERROR, 1 + len(trailers.VOC)) in _VOC_ENDS:
            at += _SOX_ERROR
    return Extent(breaks_off=at > size)


def _find_sphere(file: BinaryFile) -> SoundField | None:
    """Reads the header of NIST SPHERE, which is text. None if it does not tell the size, as with compressed sound."""
    first_lines = read_at(file, 0, 16).split(b"\n")
    header_bytes = int(first_lines[1]) if first_lines[1].strip().isdigit() else 1024
    header = read_at(file, 0, header_bytes)
    fields = dict(re.findall(rb"(\w+) -(?:i|s\d+) (\d+)\s", header))
    try:
        names = (b"sample_count", b"channel_count", b"sample_n_bytes")
        count, channels, sample_bytes = (int(fields[name]) for name in names)
    except KeyError:
        return None
    if b"embedded-" in header:
        return None
    return SoundField(start=header_bytes, stored=count * channels * sample_bytes)


def _compare(file: BinaryFile, size: int, sound: SoundField, container: Chunks | None = None) -> Extent:
    """Compares the size of the sound with what the file holds."""
    there = size - sound.start
    promised = max(0, sound.stored - sound.excess)
    is_unknown = promised > there and any(sound.stored in sizes for sizes in _UNKNOWN_SIZES)
    if there <= 0:
        return Extent(breaks_off=promised > 0 and not is_unknown)
    held, next_file = there, None
    if promised < there:
        held, next_file = trailers.find_end(file, size, start=sound.start, promised=promised, container=container)
    elif is_unknown and (next_file := trailers.find_next(file, sound.start, size)) is not None:
        held = next_file - sound.start
    is_wrong = held != promised and sound.size_at is not None
    is_believed = container.is_believed if container else sound.size_at is not None
    corrected = None
    if is_wrong or (held < there and not is_believed):
        head = _corrected_head(file, sound, held, container) if is_wrong else read_at(file, 0, sound.start)
        stop = None if is_believed else sound.start + held
        corrected = View(file, start=sound.start, stop=stop, head=head)
    return Extent(
        promised_share=1.0 if is_unknown else max(1.0, promised / max(1, held)),
        corrected=corrected,
        next_file=next_file,
    )


def _corrected_head(file: BinaryFile, sound: SoundField, held: int, container: Chunks | None) -> bytes:
    """Returns the beginning of a file up to its sound, with the right size of the sound."""
    head = read_at(file, 0, sound.start)
    size_bytes = struct.calcsize(sound.size)
    largest = 256**size_bytes - 1
    stored = held + sound.excess
    corrected = (
        head[: sound.size_at] + struct.pack(sound.size, min(stored, largest)) + head[sound.size_at + size_bytes :]
    )
    if stored <= largest or container is None:
        return corrected
    if container is not chunks.WAV:
        raise DecodeError("unreadable", "holds more than the 4 GiB that its format can count; convert it to another")
    # RF64 is WAV with a chunk for large sizes: of the file, of the sound, and of two things that do not matter.
    large_sizes = struct.pack("<4sIQQQI", b"ds64", 28, len(head) + 28 + held, held, 0, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + large_sizes + corrected[12:]
