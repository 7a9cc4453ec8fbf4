"""Holds the decoded samples of a recording of any length."""

import contextlib
import tempfile

import numpy as np

from beam_jobs.audio.sound import DecodeError

# 17 minutes at 16 kHz. A longer recording goes to the temporary folder, 115 MB an hour.
_BYTES_IN_MEMORY = 2**25
SAMPLE_BYTES = np.dtype(np.int16).itemsize


class Spool:
    """The int16 samples of a recording, in memory if it is short and otherwise in a temporary file.

    The file has no name and vanishes with the process.

    Args:
        bytes_in_memory: A recording that takes more goes to the file; None for 32 MiB.

    Attributes:
        start_s: Where the samples begin in the file that they were decoded from, in seconds.
    """

    def __init__(self, *, bytes_in_memory: int | None = None):
        size = bytes_in_memory or _BYTES_IN_MEMORY
        self._file = tempfile.SpooledTemporaryFile(max_size=size)  # noqa: SIM115 - closed by `close`
        self._size = 0
        self.start_s = 0.0

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        """Bytes that the samples take."""
        return self._size * SAMPLE_BYTES

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forgets the samples."""
        with contextlib.suppress(OSError):  # What did not fit is written once more, and fails once more.
            self._file.close()

    def clear(self) -> None:
        """Removes all samples."""
        self._file.seek(0)
        self._file.truncate()
        self._size = 0

    def append(self, samples: np.ndarray) -> None:
        """Adds samples, int16 (samples,).

        Raises:
            DecodeError: if the temporary folder has no room for them.
        """
        try:
            self._file.seek(self.nbytes)
            self._file.write(memoryview(samples).cast("B"))
            self._file.flush()
        except OSError as error:
            folder = tempfile.tempdir or "the temporary folder"
            raise DecodeError(
                "too long",
                f"its sound does not fit into {folder} ({error.strerror}); let TMPDIR name a folder with room",
                transient=True,
            ) from error
        self._size += samples.size

    def read(self, start: int, end: int) -> np.ndarray:
        """Returns the samples from `start` up to `end` or up to the last one, int16 (samples,)."""
        self._file.seek(start * SAMPLE_BYTES)
        return np.frombuffer(self._file.read((min(end, self._size) - start) * SAMPLE_BYTES), np.int16)
