"""Finds the records of a TFRecord file and reads single ones, without reading the rest of the file."""

import os
import struct
from typing import NamedTuple

import tensorflow as tf
from etils import epath

# A record is its length (uint64), a checksum of the length (uint32), its bytes, and a checksum of them (uint32).
_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


class RecordPlace(NamedTuple):
    """Where a record is: its file, the position of its first byte, and its length in bytes."""

    file: str
    start: int
    length: int


def record_places(file: str) -> list[RecordPlace]:
    """Returns the place of each record of a TFRecord file, in order. Only the records' headers are read.

    Raises:
        tf.errors.DataLossError: The file ends within a record, as TensorFlow's own reader raises it.
    """
    places = []
    with epath.Path(file).open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        start, end = 0, stream.tell()
        while start < end:
            stream.seek(start)
            header = stream.read(_HEADER.size)
            length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else end
            place = RecordPlace(file, start + _HEADER.size, length)
            start = place.start + length + _FOOTER_BYTES
            if start > end:
                raise tf.errors.DataLossError(None, None, f"truncated record at {place.start} in {file}")
            places.append(place)
    return places


def read_record(place: RecordPlace) -> bytes:
    """Returns the bytes of one record, a serialized Example."""
    with epath.Path(place.file).open("rb") as stream:
        stream.seek(place.start)
        return stream.read(place.length)
