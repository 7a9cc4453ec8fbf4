"""A file in a bucket for libraries that expect one of Python's."""

import io
import os
from typing import BinaryIO


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
