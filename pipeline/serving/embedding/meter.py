"""Shows how far the embedding is and how fast."""

import time

from components import base

_MANY_BYTES = 100_000_000


class Meter:
    """Reports progress by the size of the files, so that the time left is right also for files of mixed lengths.

    Args:
        progress: Gets the reports.
        total_bytes: Size of all clips.
        done_bytes: Size of those that an earlier run has embedded.
        clips: Number of all clips.
        done_clips: Number of those that an earlier run has embedded.
        sample_rate: Of the samples that are counted, in Hz.
    """

    def __init__(
        self,
        progress: base.Progress,
        *,
        total_bytes: int,
        done_bytes: int,
        clips: int,
        done_clips: int,
        sample_rate: int,
    ):
        self._progress = progress
        self._unit, self._scale = ("MB", 1_000_000) if total_bytes > _MANY_BYTES else ("KB", 1_000)
        self._total_bytes = total_bytes
        self._bytes = done_bytes
        self._clips = clips
        self._done_clips = done_clips
        self._sample_rate = sample_rate
        self._samples = 0
        self._started = time.monotonic()

    def add(self, *, size: int, samples: int) -> None:
        """Counts a clip that is embedded, or could not be.

        Args:
            size: Of its file in bytes.
            samples: Of its sound; 0 if it could not be embedded.
        """
        self._bytes += size
        self._done_clips += 1
        self._samples += samples
        self.show()

    def show(self, *, bytes_within: float = 0.0, samples_within: int = 0) -> None:
        """Reports the progress.

        Args:
            bytes_within: How much of the current clip is embedded, in bytes of its file.
            samples_within: The same in samples.
        """
        seconds = (self._samples + samples_within) / self._sample_rate
        self._progress.update(
            int((self._bytes + bytes_within) / self._scale),
            total=int(self._total_bytes / self._scale),
            unit=self._unit,
            files=f"{self._done_clips:,}/{self._clips:,}",
            speed=f"{seconds / max(1e-6, time.monotonic() - self._started):,.1f} x real time",
        )
