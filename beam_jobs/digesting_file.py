"""Writes a file and digests it on the way."""

import hashlib
import io

from etils import epath

from beam_jobs import storage


class DigestingFile(io.RawIOBase):
    """A file that digests what is written to it, so that it need not be read again, from a bucket even.

    Args:
        path: The file.
    """

    def __init__(self, path: epath.Path):
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    @property
    def digest(self) -> storage.FileDigest:
        """The digest of what has been written so far."""
        return storage.FileDigest(self._sha256.hexdigest(), self._bytes)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._bytes

    def write(self, content: bytes) -> int:
        """Appends bytes."""
        if self.closed:  # PyArrow ends also a file that was given up, when it lets go of it.
            return len(content)
        content = bytes(content)  # TensorFlow, which writes into buckets, takes nothing else.
        self._file.write(content)
        self._sha256.update(content)
        self._bytes += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
