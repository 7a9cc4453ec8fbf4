"""A file in a bucket for libraries that expect one of Python's."""

from __future__ import annotations

import errno
import io
import os
import pathlib
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from etils import epath

UNFINISHED = ".writing"
"""Suffix of files and folders that are still being written. Readers ignore them."""

TENSORFLOW_READ_BYTES = 384 * 2**10
"""Bytes of a read of TensorFlow from a file in a bucket, at least; `pipeline.tensorflow_settings` sets it."""

_BLOCK_BYTES = 2**20


class UrlError(OSError):
    """A URL is of a service that Diptych does not read, or names no bucket."""


def is_remote(path: epath.PathLike) -> bool:
    """Returns whether a path is a URL, e.g. gs://bucket/name, rather than a path on this machine."""
    return "://" in str(path)


def check_url(path: epath.PathLike) -> None:
    """Checks that a path can be read if it is a URL.

    Raises:
        UrlError: It is a URL, and not one of Cloud Storage, or one without a bucket.
    """
    if not is_remote(path):
        return
    scheme, _, place = os.fspath(path).partition("://")
    if scheme != "gs":
        raise UrlError(
            f"{path} is neither on this machine nor in Cloud Storage (gs://), which is all that Diptych reads: "
            "download it, and give the file"
        )
    if not place.partition("/")[0]:
        raise UrlError(f"{path} names no bucket: give gs://BUCKET/NAME")


def open_path(path: epath.PathLike) -> pathlib.Path | epath.Path:
    """Returns a path that can be read and written: pathlib's for this machine, epath's for any other place.

    Raises:
        UrlError: See `check_url`.
        ImportError: The path is remote, and only what `import diptych` needs is installed.
    """
    if not is_remote(path):
        return pathlib.Path(path)
    check_url(path)
    try:
        # Imported here because they need the extra `pipeline`.
        from etils import epath

        from beam_jobs import google_path  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{path} is not on this machine, and the packages that read it are not installed: copy it here, or install "
            "Diptych with its extra `pipeline`"
        ) from error
    return epath.Path(path)


def open_buffered(file: epath.Path) -> BinaryIO:
    """Opens a file for reading, a megabyte at a time.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not file.exists():  # TensorFlow would only say so when it reads.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(file))
    return io.BufferedReader(RemoteFile(file.open("rb")), _BLOCK_BYTES)


class RemoteFile(io.RawIOBase):
    """A file that TensorFlow has opened for reading, with all that a file of Python has.

    Args:
        file: What `tf.io.gfile.GFile` returns.
    """

    def __init__(self, file: BinaryIO):
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()
