"""Parses the header of a WAV file within a TensorFlow graph.

A file is a list of chunks: a name of 4 bytes, a length of 4 bytes, and as many bytes, with one more if they are odd.
The chunk `fmt ` says how the samples are stored, and `data` holds them. Others, also unknown ones, are passed over.
"""

from typing import NamedTuple, TypeVar

import tensorflow as tf

from components.exporter import resampler, sounds

LOWEST_RATE, HIGHEST_RATE = 4000, 384000
"""Rates beyond are errors of the header, and would make a small file a long sound."""

MOST_CHUNKS = 1000
"""A file with more would take long and is no recording."""

PCM, FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_LENGTH = 2**32 - 1  # In a file of more than 4 GB, and in one that was written to a pipe.

T = TypeVar("T")


class Header(NamedTuple):
    """How the samples of a file are stored. All are int64 scalars.

    Attributes:
        encoding: `PCM` or `FLOAT`.
        channels: Number of channels.
        rate: In Hz.
        sample_bytes: Bytes of a sample: 1 to 4 in PCM, 4 or 8 in floating point.
        start: Where the samples begin in the file.
        frames: How many samples of each channel the file holds, at least 1. A file that was cut off holds less than its
            header says.
    """

    encoding: tf.Tensor
    channels: tf.Tensor
    rate: tf.Tensor
    sample_bytes: tf.Tensor
    start: tf.Tensor
    frames: tf.Tensor


class _Chunks(NamedTuple):
    """Where the chunks of a file are; -1 if there is none. All are int64 scalars.

    Attributes:
        next: Where the next chunk to look at begins.
        format: The content of the chunk `fmt `.
        data: The content of the chunk `data`.
        data_bytes: Its length.
        large_bytes: Its length according to the chunk `ds64` of files of more than 4 GB.
    """

    next: tf.Tensor
    format: tf.Tensor
    data: tf.Tensor
    data_bytes: tf.Tensor
    large_bytes: tf.Tensor


def read(file: tf.Tensor, index: tf.Tensor, *, sample_rate: int) -> tuple[tf.Tensor, Header]:
    """Reads the header of a file.

    Args:
        file: string scalar, the content of the file.
        index: int32 scalar, the place of the file in its batch, for the messages.
        sample_rate: The rate in Hz that the sound will be resampled to.

    Returns:
        The file, which is not there before it was checked, and its header.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs: the message says what is wrong with which file.
    """
    begins = tf.reduce_any(tf.equal(_piece(file, 0, 4), [b"RIFF", b"RF64", b"BW64"]))
    is_wav = begins & tf.equal(_piece(file, 8, 4), b"WAVE")
    file = require(is_wav, "is no WAV file, which begins with RIFF and WAVE", [], index, then=file)
    chunks = _find_chunks(file)
    has_both = (chunks.format >= 0) & (chunks.data >= 0)
    file = require(has_both, "has no chunk fmt that is followed by a chunk data", [], index, then=file)
    return file, _checked(_parse(file, chunks), index, sample_rate=sample_rate)


def _find_chunks(file: tf.Tensor) -> _Chunks:
    length = _length(file)

    def look(chunks: _Chunks) -> tuple[_Chunks]:
        name, size, content = _piece(file, chunks.next, 4), _number(file, chunks.next + 4, 4), chunks.next + 8
        found = _Chunks(
            next=content + size + size % 2,
            format=tf.where(tf.equal(name, b"fmt "), content, chunks.format),
            data=tf.where(tf.equal(name, b"data") & (chunks.format >= 0), content, chunks.data),
            data_bytes=size,
            large_bytes=tf.where(tf.equal(name, b"ds64"), _number(file, content + 8, 8), chunks.large_bytes),
        )
        return (found,)

    none = tf.constant(-1, tf.int64)
    (chunks,) = tf.while_loop(
        lambda chunks: (chunks.data < 0) & (chunks.next + 8 <= length),
        look,
        (_Chunks(tf.constant(12, tf.int64), none, none, none, none),),
        maximum_iterations=MOST_CHUNKS,
        parallel_iterations=1,
    )
    is_large = (chunks.data_bytes == _UNKNOWN_LENGTH) & (chunks.large_bytes > 0)
    data_bytes = tf.where(is_large, chunks.large_bytes, chunks.data_bytes)
    # A recorder that was killed has written no lengths yet: neither that of the samples nor that of the file.
    is_unfinished = (data_bytes == 0) & (length > _number(file, tf.constant(4, tf.int64), 4) + 8)
    return chunks._replace(data_bytes=tf.where(is_unfinished, length, data_bytes))


def _parse(file: tf.Tensor, chunks: _Chunks) -> Header:
    encoding, channels, rate, frame_bytes = (
        _number(file, chunks.format + offset, size) for offset, size in ((0, 2), (2, 2), (4, 4), (12, 2))
    )
    # The identifier of an extensible format begins with the number that other formats have in front.
    encoding = tf.where(encoding == _EXTENSIBLE, _number(file, chunks.format + 24, 2), encoding)
    held_bytes = tf.minimum(chunks.data_bytes, _length(file) - chunks.data)
    return Header(
        encoding=encoding,
        channels=channels,
        rate=rate,
        sample_bytes=tf.where(frame_bytes % tf.maximum(channels, 1) == 0, frame_bytes // tf.maximum(channels, 1), 0),
        start=chunks.data,
        frames=held_bytes // tf.maximum(frame_bytes, 1),
    )


def _checked(header: Header, index: tf.Tensor, *, sample_rate: int) -> Header:
    """Raises an error if the samples cannot be decoded or resampled; see `read`."""
    width = header.sample_bytes
    header = require(header.channels >= 1, "has no channels", [], index, then=header)
    is_pcm = (header.encoding == PCM) & (width >= 1) & (width <= 4)
    is_float = (header.encoding == FLOAT) & ((width == 4) | (width == 8))
    header = require(
        is_pcm | is_float,
        "is stored neither as PCM (1) of 8 to 32 bits nor as floating point (3) of 32 or 64 bits, but in the encoding, "
        "with channels, bytes per sample",
        [header.encoding, header.channels, width],
        index,
        then=header,
    )
    rate = header.rate
    header = require(
        (rate == sample_rate) | ((rate >= LOWEST_RATE) & (rate <= HIGHEST_RATE)),
        f"has a sample rate that is neither {sample_rate} Hz nor from {LOWEST_RATE} to {HIGHEST_RATE} Hz",
        [rate],
        index,
        then=header,
    )
    header = require(
        resampler.can_resample(header.rate, sample_rate=sample_rate),
        f"has a sample rate in no simple ratio to {sample_rate} Hz; resample it first, e.g. to {sample_rate} Hz",
        [rate],
        index,
        then=header,
    )
    return require(header.frames > 0, "has no samples", [], index, then=header)


def require(condition: tf.Tensor, problem: str, values: list[tf.Tensor], index: tf.Tensor, *, then: T) -> T:
    """Returns tensors that are there only if a condition holds, and else raises an error that names the file."""
    check = sounds.require(condition, "wav_bytes: the file with the index", index, f"of the batch {problem}", *values)
    with tf.control_dependencies([check]):
        return tf.nest.map_structure(tf.identity, then)


def _length(file: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(file), tf.int64)


def _piece(file: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """Returns bytes of a file, less of them where it ends."""
    return tf.strings.substr(file, tf.minimum(tf.cast(start, tf.int64), _length(file)), tf.constant(size, tf.int64))


def _number(file: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """Returns a number of some bytes, the lowest first, as int64. Bytes beyond the end of the file are zeros."""
    parts = tf.io.decode_raw(_piece(file, start, size), tf.uint8, fixed_length=size)
    return tf.reduce_sum(tf.bitwise.left_shift(tf.cast(parts, tf.int64), tf.range(0, 8 * size, 8, dtype=tf.int64)))
