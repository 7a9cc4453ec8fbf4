"""Cuts sounds into windows and embeds them in batches, whatever the lengths of the sounds.

All windows have the same length, so a batch takes windows of several sounds, or some of the windows of a long one.
Memory depends on the size of a batch alone, or on the number of windows if they are fewer.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

import numpy as np

from beam_jobs.audio import pcm
from beam_jobs.embedding.embedder import Embedder, Framing

Key = TypeVar("Key")

_FIRST_WINDOWS = 256
"""A batch has room for so many windows before there are more."""


class BatchMemoryError(MemoryError):
    """A batch does not fit into memory."""


class Sound(Protocol):
    """The samples of a sound; `beam_jobs.audio.spool.Spool` is one, and so is `ArraySound`."""

    def __len__(self) -> int:
        """Returns the number of samples."""

    def read(self, start: int, end: int) -> np.ndarray:
        """Returns the samples from `start` to `end` or to the last one, int16 or float32 in [-1, 1], (samples,)."""


class ArraySound:
    """A sound in memory, int16 or float32 in [-1, 1], (samples,)."""

    def __init__(self, samples: np.ndarray):
        self._samples = samples

    def __len__(self) -> int:
        return self._samples.size

    def read(self, start: int, end: int) -> np.ndarray:
        return self._samples[start:end]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddedWindows(Generic[Key]):
    """Consecutive windows of one sound after embedding.

    Attributes:
        key: The sound's.
        starts: int (windows,), the first sample of each window.
        ends: int (windows,), the sample after its last one, no later than the end of the sound.
        samples: Length of the sound.
        vectors: Name of the embedding -> float32 (windows, dim).
        is_last: Whether the last window of the sound is among them.
    """

    key: Key
    starts: np.ndarray
    ends: np.ndarray
    samples: int
    vectors: Mapping[str, np.ndarray]
    is_last: bool


def embed(
    sounds: Iterable[tuple[Key, Sound]], embedder: Embedder, *, batch_size: int
) -> Iterator[EmbeddedWindows[Key]]:
    """Embeds the windows of sounds in order. All batches but the last one are full.

    Args:
        sounds: Pairs of a key and a sound of at least one sample at the embedder's sample rate. A sound is read while
            the next one is not asked for yet, so it may be closed then.
        embedder: See `Embedder`.
        batch_size: Windows in a batch.

    Raises:
        BatchMemoryError: So many windows do not fit into memory.
    """
    batch = np.empty((0, embedder.framing.window_samples), np.float32)
    waiting: list[_Slice[Key]] = []
    filled = 0
    for key, sound in sounds:
        starts = np.array(embedder.framing.starts(len(sound)))
        first = 0
        while first < len(starts):
            count = min(batch_size - filled, len(starts) - first)
            if filled + count > len(batch):
                batch = _with_room(batch, at_least=filled + count, most=batch_size)
            for row, start in enumerate(starts[first : first + count], filled):
                batch[row] = read_window(sound, int(start), framing=embedder.framing)
            taken = starts[first : first + count]
            first, filled = first + count, filled + count
            waiting.append(_Slice(key=key, starts=taken, samples=len(sound), is_last=first == len(starts)))
            if filled == batch_size:
                yield from _embed_batch(batch, waiting, embedder)
                waiting, filled = [], 0
    if filled:
        yield from _embed_batch(batch[:filled], waiting, embedder)


def _with_room(batch: np.ndarray, *, at_least: int, most: int) -> np.ndarray:
    """Returns a batch with its windows, float32 (windows, window_samples), and room for more of them."""
    rows = min(most, max(at_least, 2 * len(batch), _FIRST_WINDOWS))
    try:
        larger = np.empty((rows, batch.shape[1]), np.float32)
    except MemoryError as error:
        raise BatchMemoryError(f"{rows:,} windows do not fit into memory") from error
    larger[: len(batch)] = batch
    return larger


def clip_means(pieces: Iterable[EmbeddedWindows[Key]]) -> Iterator[EmbeddedWindows[Key]]:
    """Averages the vectors of each sound over its windows.

    Args:
        pieces: What `embed` yields.

    Yields:
        One piece for each sound, which is all of it, with the means.
    """
    sums: dict[str, np.ndarray] = {}
    count = 0
    for piece in pieces:
        count += len(piece.starts)
        for name, values in piece.vectors.items():
            sums[name] = sums.get(name, 0.0) + values.sum(axis=0, dtype=np.float64)
        if piece.is_last:
            means = {name: (total / count)[None].astype(np.float32) for name, total in sums.items()}
            yield dataclasses.replace(piece, starts=np.zeros(1, int), ends=np.array([piece.samples]), vectors=means)
            sums, count = {}, 0


def read_window(sound: Sound, start: int, *, framing: Framing) -> np.ndarray:
    """Returns a window, float32 (window_samples,) in [-1, 1]. A shorter sound is repeated to fill it."""
    samples = pcm.to_float(sound.read(start, start + framing.window_samples))
    return samples if samples.size == framing.window_samples else np.resize(samples, framing.window_samples)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Slice(Generic[Key]):
    """The windows of a batch that are of one sound."""

    key: Key
    starts: np.ndarray
    samples: int
    is_last: bool


def _embed_batch(
    batch: np.ndarray, slices: Iterable[_Slice[Key]], embedder: Embedder
) -> Iterator[EmbeddedWindows[Key]]:
    vectors = embedder.embed(batch)
    row = 0
    for piece in slices:
        rows = slice(row, row + len(piece.starts))
        yield EmbeddedWindows(
            key=piece.key,
            starts=piece.starts,
            ends=np.minimum(piece.starts + embedder.framing.window_samples, piece.samples),
            samples=piece.samples,
            vectors={name: values[rows] for name, values in vectors.items()},
            is_last=piece.is_last,
        )
        row = rows.stop
