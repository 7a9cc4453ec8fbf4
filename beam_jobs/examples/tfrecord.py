"""Writes TFRecord files, checks them, and tells the sizes of their records."""

import contextlib
import functools
import struct
from collections.abc import Callable, Iterator
from types import TracebackType

import google_crc32c
from etils import epath

from beam_jobs import google_storage, storage
from beam_jobs.digesting_file import DigestingFile
from beam_jobs.remote_file import is_remote

_CRC = 4
_HEAD = 8 + _CRC  # Bytes of a record's length and its checksum.

FRAME = _HEAD + _CRC
"""Bytes that a record takes in its file besides its own."""


class Writer:
    """Writes one TFRecord file, and digests it on the way. Use it in a `with` statement.

    `tf.io.TFRecordWriter` writes the same bytes, but then the whole file must be read again for its digest, which is a
    second transfer if it is in a bucket.

    Args:
        path: The file.

    Attributes:
        sizes: The bytes of each record so far.
    """

    def __init__(self, path: epath.Path):
        self._file = DigestingFile(path)
        self.sizes: list[int] = []

    @property
    def digest(self) -> storage.FileDigest:
        """The digest of what has been written so far."""
        return self._file.digest

    def write(self, record: bytes) -> None:
        """Appends one record: its length and its bytes, each followed by a checksum."""
        length = struct.pack("<Q", len(record))
        for part in (length, _masked_crc(length), record, _masked_crc(record)):
            self._file.write(part)
        self.sizes.append(len(record))

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def checked_sizes(path: epath.Path) -> list[int]:
    """Reads a whole TFRecord file, and returns the bytes of each record.

    Raises:
        ValueError: The file is damaged; the message says where.
        OSError: The file cannot be read.
    """
    found, position = [], 0
    with path.open("rb") as file:
        while head := file.read(_HEAD):
            length, crc = head[:8], head[8:]
            if crc != _masked_crc(length):
                raise ValueError(f"at byte {position:,}")
            record, crc = file.read(int.from_bytes(length, "little")), file.read(_CRC)
            if crc != _masked_crc(record):
                raise ValueError(f"in the record at byte {position:,}")
            found.append(len(record))
            position += FRAME + len(record)
    return found


def sizes(path: epath.Path) -> list[int]:
    """Returns the bytes of each record of a TFRecord file, of which it reads 12 bytes a record.

    In a bucket, TensorFlow reads more at a time (`remote_file.TENSORFLOW_READ_BYTES`); Google's client does not.

    Raises:
        ValueError: The file is damaged; the message says where. Damage inside a record is not found.
        OSError: The file cannot be read.
    """
    found, position, end = [], 0, storage.size(path)
    with _range_reader(path) as read:
        while position < end:
            head = read(start=position, size=_HEAD)
            if len(head) < _HEAD or head[8:] != _masked_crc(head[:8]):
                raise ValueError(f"at byte {position:,}")
            found.append(int.from_bytes(head[:8], "little"))
            position += FRAME + found[-1]
    if position > end:
        raise ValueError(f"in the record at byte {position - FRAME - found[-1]:,}")
    return found


@contextlib.contextmanager
def _range_reader(path: epath.Path) -> Iterator[Callable[..., bytes]]:
    """Yields what reads `size` bytes of a file from `start` on. It is called for millions of records."""
    if google_storage.is_used_for(path):
        yield functools.partial(storage.read_range, path)
        return
    # epath's own files of this machine are buffered.
    with path.open("rb") if is_remote(path) else open(path, "rb", buffering=0) as file:

        def read(*, start: int, size: int) -> bytes:
            file.seek(start)
            return file.read(size)

        yield read


def _masked_crc(content: bytes) -> bytes:
    """Returns the CRC-32C in the form that TFRecord files have: rotated, plus a constant."""
    crc = google_crc32c.value(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
