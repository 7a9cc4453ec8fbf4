"""The clips of an embedder: what is known of them apart from their vectors."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from beam_jobs.embedding.read import Embeddings
from beam_jobs.embedding.table import Rows
from components.evaluator.labels import LabelCounts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clips:
    """Clips in the order in which they are stored, split by split. The rows of a clip are consecutive.

    Attributes:
        clip_ids: str (clips,), as objects.
        splits: str (clips,).
        folds: int (clips,), the fold of each clip, or 0.
        label_values: int (labels,), the class indices of all clips, one clip after the other.
        label_offsets: int (clips + 1,): clip i has `label_values[label_offsets[i] : label_offsets[i + 1]]`.
        rows: int (clips,), the number of rows of each clip: its windows, or 1 if a row is a clip.
    """

    clip_ids: np.ndarray
    splits: np.ndarray
    folds: np.ndarray
    label_values: np.ndarray
    label_offsets: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def clip_of_row(self) -> np.ndarray:
        """Index of the clip that each row belongs to, int (rows,)."""
        return np.repeat(np.arange(len(self)), self.rows)

    @property
    def label_counts(self) -> np.ndarray:
        """Number of labels of each clip, int (clips,)."""
        return np.diff(self.label_offsets)

    def labels(self, index: int) -> tuple[int, ...]:
        """Returns the class indices of a clip."""
        return tuple(self.label_values[self.label_offsets[index] : self.label_offsets[index + 1]].tolist())

    def targets(self, classes: int) -> np.ndarray:
        """Returns the labels as a multi-hot array, bool (clips, classes)."""
        multi_hot = np.zeros((len(self), classes), bool)
        multi_hot[np.repeat(np.arange(len(self)), self.label_counts), self.label_values] = True
        return multi_hot

    def alone_in(self, classes: Iterable[int]) -> np.ndarray:
        """Returns which clips have one of these classes and no other label, bool (clips,)."""
        alone = self.label_counts == 1
        alone[alone] = np.isin(self.label_values[self.label_offsets[:-1][alone]], list(classes))
        return alone

    def take(self, chosen: np.ndarray, *, classes: Iterable[int]) -> "Clips":
        """Returns some of the clips, with some of their labels.

        Args:
            chosen: bool (clips,), the clips to keep.
            classes: The labels to keep.
        """
        return self._with_labels(np.isin(self.label_values, list(classes))).reordered(np.flatnonzero(chosen))

    def labeled_only_in(self, chosen: np.ndarray) -> "Clips":
        """Returns all clips, of which only the chosen ones keep their labels, so that a probe passes over the others.

        Args:
            chosen: bool (clips,).
        """
        return self._with_labels(np.repeat(chosen, self.label_counts))

    def reordered(self, places: np.ndarray) -> "Clips":
        """Returns the clips at some places, in their order.

        Args:
            places: int (places,), indices of clips.
        """
        counts = self.label_counts[places]
        ends = np.cumsum(counts)
        values = np.arange(counts.sum()) - np.repeat(ends - counts - self.label_offsets[places], counts)
        return Clips(
            clip_ids=self.clip_ids[places],
            splits=self.splits[places],
            folds=self.folds[places],
            label_values=self.label_values[values],
            label_offsets=np.append(0, ends),
            rows=self.rows[places],
        )

    def _with_labels(self, kept: np.ndarray) -> "Clips":
        """Returns all clips with some of their labels, given by `kept`, bool (labels,)."""
        offsets = np.append(0, np.cumsum(kept))[self.label_offsets]
        return dataclasses.replace(self, label_values=self.label_values[kept], label_offsets=offsets)


def read_clips(embeddings: Embeddings, embedder: str) -> Clips:
    """Reads the clips of an embedder, without vectors."""
    blocks = (rows for split in embeddings.info.splits for rows in embeddings.blocks(embedder, split))
    parts = [_merged(_of_rows(rows)) for rows in blocks if len(rows)]
    return _merged(_joined(parts))  # The rows of a clip may lie in two blocks.


def count_labels(clips: Clips, *, label_names: Sequence[str]) -> LabelCounts:
    """Counts the labels of clips."""
    classes = len(label_names)
    splits = sorted(set(clips.splits.tolist()))
    split_of_label = np.repeat(clips.splits, clips.label_counts)
    is_alone = clips.label_counts == 1
    alone_label = clips.label_values[clips.label_offsets[:-1][is_alone]]
    fold_of_label = np.repeat(clips.folds, clips.label_counts)
    in_folds = np.unique(np.stack([fold_of_label, clips.label_values])[:, fold_of_label > 0], axis=1)
    return LabelCounts(
        label_names=label_names,
        unlabeled=int(np.sum(clips.label_counts == 0)),
        several=int(np.sum(clips.label_counts > 1)),
        labeled={split: int(np.sum((clips.splits == split) & (clips.label_counts > 0))) for split in splits},
        positives={
            split: np.bincount(clips.label_values[split_of_label == split], minlength=classes).tolist()
            for split in splits
        },
        alone=Counter(zip(clips.folds[is_alone].tolist(), alone_label.tolist(), strict=True)),
        folds_of_class=np.bincount(in_folds[1], minlength=classes).tolist(),
    )


def sample(clips: Clips, chosen: np.ndarray, *, most: int) -> np.ndarray:
    """Returns some of the chosen clips, bool (clips,): those whose names have the least hashes, so always the same."""
    indices = np.flatnonzero(chosen)
    if len(indices) <= most:
        return chosen
    digests = [hashlib.blake2b(str(clips.clip_ids[i]).encode(), digest_size=8).digest() for i in indices]
    kept = np.zeros(len(clips), bool)
    kept[indices[np.argsort(np.array(digests, "S8"), kind="stable")[:most]]] = True
    return kept


def means_over_clips(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Averages values over the rows of each clip.

    Args:
        values: (rows, k).
        rows: int (clips,), the number of rows of each clip, at least 1.

    Returns:
        (clips, k).
    """
    return np.add.reduceat(values, np.cumsum(rows) - rows, axis=0) / rows[:, None].astype(values.dtype)


def _of_rows(rows: Rows) -> Clips:
    """Returns each row as a clip of its own."""
    return Clips(
        clip_ids=rows.clip_ids,
        splits=rows.splits,
        folds=rows.folds,
        label_values=rows.label_values,
        label_offsets=rows.label_offsets,
        rows=np.ones(len(rows), int),
    )


def _merged(clips: Clips) -> Clips:
    """Makes one clip of consecutive ones of the same name and split."""
    if not len(clips):
        return clips
    is_other = (clips.clip_ids[1:] != clips.clip_ids[:-1]) | (clips.splits[1:] != clips.splits[:-1])
    first = np.flatnonzero(np.append(True, is_other))
    return dataclasses.replace(clips.reordered(first), rows=np.add.reduceat(clips.rows, first))


def _joined(parts: Sequence[Clips]) -> Clips:
    """Puts the clips of consecutive blocks one after the other."""

    def joined(name: str, dtype: type) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts]) if parts else np.array([], dtype)

    return Clips(
        clip_ids=joined("clip_ids", object),
        splits=joined("splits", str).astype(str),
        folds=joined("folds", int),
        label_values=joined("label_values", int),
        label_offsets=np.append(0, np.cumsum(joined("label_counts", int))),
        rows=joined("rows", int),
    )
