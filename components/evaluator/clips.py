"""The clips that the Evaluator reads, and the same clips after embedding."""

import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import sampling


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredClip:
    """A clip to embed.

    Attributes:
        audio: int16 (samples,).
        clip_id: Name of the clip.
        labels: Class indices.
        fold: Number of the official fold, or 0.
        split: Split of the clip.
    """

    audio: np.ndarray
    clip_id: str
    labels: tuple[int, ...]
    fold: int
    split: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clips:
    """Embedded clips, in the order of the examples. The sub-clips of a clip are consecutive.

    Attributes:
        features: Set of features (e.g. "waveform", "untrained/both", "mfcc_mean_std") -> float32 (subclips, dim).
        subclip_counts: int (clips,), the number of sub-clips of each clip.
        clip_ids: Name of each clip.
        labels: Class indices of each clip.
        folds: int (clips,), the official fold of each clip, or 0.
        splits: str (clips,), the split of each clip.
    """

    features: Mapping[str, np.ndarray]
    subclip_counts: np.ndarray
    clip_ids: list[str]
    labels: list[tuple[int, ...]]
    folds: np.ndarray
    splits: np.ndarray

    @property
    def clip_of_subclip(self) -> np.ndarray:
        """Index of the clip that each sub-clip belongs to, int (subclips,)."""
        return np.repeat(np.arange(len(self.clip_ids)), self.subclip_counts)

    def clip_means(self, values: np.ndarray) -> np.ndarray:
        """Averages values over the sub-clips of each clip.

        Args:
            values: (subclips, k).

        Returns:
            (clips, k).
        """
        starts = np.cumsum(self.subclip_counts) - self.subclip_counts
        return np.add.reduceat(values, starts, axis=0) / self.subclip_counts[:, None]

    def targets(self, classes: int) -> np.ndarray:
        """Returns the labels as a multi-hot array, bool (clips, classes)."""
        multi_hot = np.zeros((len(self.labels), classes), bool)
        for row, labels in zip(multi_hot, self.labels, strict=True):
            row[list(labels)] = True
        return multi_hot

    def take(self, chosen: np.ndarray, *, classes: Collection[int]) -> "Clips":
        """Returns some of the clips, with some of their labels.

        Args:
            chosen: bool (clips,), the clips to keep.
            classes: The labels to keep.
        """
        indices = np.flatnonzero(chosen)
        features = self.features
        if not chosen.all():
            features = {name: values[chosen[self.clip_of_subclip]] for name, values in self.features.items()}
        return Clips(
            features=features,
            subclip_counts=self.subclip_counts[chosen],
            clip_ids=[self.clip_ids[index] for index in indices],
            labels=[tuple(label for label in self.labels[index] if label in classes) for index in indices],
            folds=self.folds[chosen],
            splits=self.splits[chosen],
        )


def read_clips(directory: epath.Path, *, splits: Iterable[str], limit: int | None) -> Iterator[StoredClip]:
    """Yields the clips of the given splits, in order.

    Args:
        directory: The examples.
        splits: Names of the splits to read.
        limit: Maximum number of clips per split, which are drawn from the whole split, always the same; None reads all.
    """
    info = examples.read_info(directory)
    for split in splits:
        for clip in read_split(info, split, limit=limit, parse=functools.partial(examples.parse, storage=info.storage)):
            yield StoredClip(
                audio=clip["audio"],
                clip_id=clip["clip_id"].decode(),
                labels=tuple(int(label) for label in clip["labels"]),
                fold=int(clip["fold"]),
                split=split,
            )


def read_split(
    info: examples.ExamplesInfo, split: str, *, limit: int | None, parse: sampling.Parser
) -> Iterator[Mapping[str, np.ndarray]]:
    """Yields the clips of a split, or a sample of them that is always the same, in order.

    Args:
        info: The examples.
        split: The split.
        limit: Maximum number of clips; None reads all.
        parse: Parses a serialized Example.
    """
    numbers = np.arange(info.splits[split])
    if limit is not None and limit < len(numbers):
        numbers = sampling.drawing_order(info, split, count=limit, seed=0)[:limit]
    yield from sampling.read_clips(info, split, numbers=numbers, parse=parse).as_numpy_iterator()
