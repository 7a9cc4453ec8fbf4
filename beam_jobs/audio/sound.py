"""The values that the readers of audio files share."""

import contextlib
import dataclasses
import io
import itertools
import mmap
from collections.abc import Callable, Iterator

import numpy as np
import soxr

from beam_jobs.audio.views import View

Source = str | bytes | View
"""What a reader takes: the path of a local file, the content of a file, or a view of a file."""

Content = bytes | mmap.mmap
"""The bytes of a source, as `content_of` yields them."""

BinaryFile = io.FileIO | io.BytesIO | View
"""A source that was opened."""

SOXR_QUALITY = "HQ"
"""soxr's recipe for all resampling."""

# A file at most this much longer than a segment holds only that segment, with the padding of its codec.
_TRIMMED_SLACK_S = 1.0


class DecodeError(Exception):
    """The file cannot be used; the message says why.

    Attributes:
        cause: The kind of failure, under which it is counted: "missing", "unreadable", "truncated", "too short",
            "silent", "opposite phase", "out of range", "non-finite", "timed out", "crashed" or "too long".
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
        start_s: Where the samples begin in the file, in seconds: see `Segment.bounds`.
    """

    samples: np.ndarray
    rate: int
    codec: str
    start_s: float = 0.0


class Samples:
    """Collects the mono samples that a reader decodes block by block.

    Attributes:
        rate: The highest rate of a block, in Hz.
    """

    def __init__(self):
        self._blocks: list[tuple[int, np.ndarray]] = []
        self._size = 0
        self.rate = 0

    def __len__(self) -> int:
        return self._size

    def append(self, block: np.ndarray, *, rate: int) -> None:
        """Adds a block.

        Args:
            block: float32 (samples,).
            rate: Its sample rate in Hz.
        """
        self._blocks.append((rate, block))
        self._size += block.size
        self.rate = max(self.rate, rate)

    def join(self) -> np.ndarray:
        """Returns all blocks as one array, float32 (samples,), at the highest rate of a block."""
        runs = [np.zeros(0, np.float32)]
        for rate, blocks in itertools.groupby(self._blocks, key=lambda block: block[0]):
            samples = [block for _, block in blocks]
            run = np.concatenate(samples) if len(samples) > 1 else samples[0]
            runs.append(at_rate(run, rate, sample_rate=self.rate))
        return np.concatenate(runs) if len(runs) > 2 else runs[-1]


def at_rate(samples: np.ndarray, rate: int, *, sample_rate: int) -> np.ndarray:
    """Resamples float32 (samples,) from `rate` to `sample_rate`, both in Hz."""
    if rate == sample_rate:
        return samples
    return soxr.resample(samples, rate, sample_rate, quality=SOXR_QUALITY)


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

    @classmethod
    def listed(cls, start_s: float | None, end_s: float | None, *, trimmed: bool | None) -> "Segment":
        """Returns what to read of the file of a listed clip; see `beam_jobs.sources.Clip` for the arguments."""
        if start_s is None or trimmed:
            return cls()
        return cls(start_s=start_s, end_s=end_s, may_be_trimmed=trimmed is None)

    def bounds(self, length_s: float) -> tuple[float, float]:
        """Returns where to start and stop reading a file of the given length, all in seconds."""
        if self.end_s is None:
            return self.start_s, length_s
        if self.may_be_trimmed and length_s <= self.longest_trimmed_s:
            return 0.0, length_s
        return self.start_s, min(self.end_s, length_s)

    @property
    def needed_s(self) -> float:
        """How much of a recording to decode, in seconds. Whatever comes later does not change the result."""
        if self.end_s is None:
            return np.inf
        if self.may_be_trimmed:
            return max(self.end_s, self.longest_trimmed_s)
        return self.end_s

    @property
    def longest_trimmed_s(self) -> float:
        """How long a file that was trimmed to the segment is at most, in seconds."""
        return self.end_s - self.start_s + _TRIMMED_SLACK_S


def open_file(source: Source) -> BinaryFile:
    """Opens a source for reading its bytes."""
    if isinstance(source, str):
        return open(source, "rb", buffering=0)
    return io.BytesIO(source) if isinstance(source, bytes) else View(source)


def open_source(source: Source) -> str | io.BytesIO | View:
    """Returns a source in the form that PyAV opens: a path, or an open file."""
    return source if isinstance(source, str) else open_file(source)


@contextlib.contextmanager
def content_of(source: Source) -> Iterator[Content]:
    """Yields the bytes of a source. Those of a local file are mapped, so that only what is looked at is read."""
    if not isinstance(source, str):
        yield source if isinstance(source, bytes) else open_file(source).read()
        return
    with open(source, "rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # It is empty, or no regular file.
            yield b""
            return
        with mapped:
            yield mapped


def to_mono(block: np.ndarray, *, channel_axis: int, loudest: bool = False) -> np.ndarray:
    """Averages the channels of a two-dimensional block of samples, or returns the largest magnitude of them."""
    channels = np.moveaxis(block, channel_axis, 0)
    if loudest:
        return np.abs(channels).max(axis=0)
    if len(channels) == 1:
        return channels[0]
    # NumPy's own mean takes 20 times as long for interleaved channels.
    total = channels[0] + channels[1]
    for channel in channels[2:]:
        total += channel
    total /= len(channels)
    return total
