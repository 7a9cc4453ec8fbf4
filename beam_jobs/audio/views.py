"""Shows a decoder a part of a file, or a file with another header, without copying it."""

import io
import os
from typing import BinaryIO


class View(io.RawIOBase):
    """A part of a file, as a file of its own. It has no name from which a decoder could guess its format.

    Args:
        file: The file, which must stay open. It may also be a view.
        start: Where the part begins.
        stop: Where the part ends; None for the end of the file.
        head: What to show before the part, e.g. a header in place of what lies before `start`.
    """

    def __init__(self, file: "BinaryIO | View", *, start: int = 0, stop: int | None = None, head: bytes = b""):
        self._file = file
        self._head = head
        self._start = start
        stop = file.seek(0, os.SEEK_END) if stop is None else stop
        self._size = len(head) + max(0, stop - start)
        self._position = 0

    def readinto(self, buffer: memoryview) -> int:
        target = memoryview(buffer).cast("B")
        count = max(0, min(len(target), self._size - self._position))
        content = self._head[self._position :][:count]
        if not content:
            self._file.seek(self._start + self._position - len(self._head))
            content = self._file.read(count)
        target[: len(content)] = content
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def read_at(file: BinaryIO | View, offset: int, count: int) -> bytes:
    """Returns up to `count` bytes of a file from an offset on."""
    file.seek(offset)
    return file.read(count)
