"""The values that the readers of audio files share."""

import dataclasses
import io
from collections.abc import Callable

import numpy as np

Source = str | bytes
"""What a reader takes: the path of a local file, or the content of a file."""

# A file at most this much longer than a segment holds only that segment, with the padding of its codec.
_TRIMMED_SLACK_S = 1.0


class DecodeError(Exception):
    """The file cannot be used; the message says why.

    Attributes:
        cause: The kind of failure, under which it is counted: "missing", "unreadable", "truncated", "too short",
            "silent", "non-finite", "timed out", "crashed" or "too long".
        transient: Whether another try may succeed, because the failure need not be damage of the file.
    """

    def __init__(self, cause: str, message: str, *, transient: bool = False):
        super().__init__(message)
        self.cause = cause
        self.transient = transient


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sound:
    """The sound of a file, or of a segment of it.

    Attributes:
        samples: float32 (samples,), the mean of the channels. Full scale is 1.
        rate: Sample rate in Hz.
        codec: Container and codec of the file, e.g. "wav/pcm_16".
    """

    samples: np.ndarray
    rate: int
    codec: str


class Samples:
    """Collects the mono samples that a reader decodes block by block."""

    def __init__(self):
        self._blocks: list[np.ndarray] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, block: np.ndarray, *, rate: int) -> None:
        """Adds a block.

        Args:
            block: float32 (samples,).
            rate: Sample rate of the file in Hz.
        """
        self._blocks.append(block)
        self._size += block.size

    def join(self) -> np.ndarray:
        """Returns all blocks as one array, float32 (samples,)."""
        if len(self._blocks) == 1:
            return self._blocks[0]
        return np.concatenate([np.zeros(0, np.float32), *self._blocks])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """The part of a recording to read.

    Attributes:
        start_s: Where the segment begins, in seconds.
        end_s: Where it ends, in seconds; None for the end of the file.
        may_be_trimmed: Whether the file may have been trimmed to the segment already. If so, a file that is hardly
            longer than the segment is read as a whole.
        collect: Makes what a reader appends its blocks to. A reader that starts over makes another one.
    """

    start_s: float = 0.0
    end_s: float | None = None
    may_be_trimmed: bool = False
    collect: Callable[[], Samples] = dataclasses.field(default=Samples, compare=False)

    def bounds(self, length_s: float) -> tuple[float, float]:
        """Returns where to start and stop reading a file of the given length, all in seconds."""
        if self.end_s is None:
            return self.start_s, length_s
        if self.may_be_trimmed and length_s <= self._longest_trimmed_s:
            return 0.0, length_s
        return self.start_s, min(self.end_s, length_s)

    @property
    def needed_s(self) -> float:
        """How much of a recording to decode, in seconds. Whatever comes later does not change the result."""
        if self.end_s is None:
            return np.inf
        if self.may_be_trimmed:
            return max(self.end_s, self._longest_trimmed_s)
        return self.end_s

    @property
    def _longest_trimmed_s(self) -> float:
        return self.end_s - self.start_s + _TRIMMED_SLACK_S


def open_source(source: Source) -> str | io.BytesIO:
    """Returns a source in the form that soundfile and PyAV open: a path, or a file in memory."""
    return io.BytesIO(source) if isinstance(source, bytes) else source


def to_mono(block: np.ndarray, *, channel_axis: int) -> np.ndarray:
    """Averages the channels of a two-dimensional block of samples."""
    if block.shape[channel_axis] == 1:
        return block.squeeze(channel_axis)
    return block.mean(axis=channel_axis)
