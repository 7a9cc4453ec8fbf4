"""Counts which clips have which labels. This decides what can be probed, and is known long before there is a model."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from beam_jobs import examples
from beam_jobs.statistics.example_statistics import ExampleStatistics


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """How many clips have which labels.

    Attributes:
        label_names: Class names in index order.
        unlabeled: Number of clips without a label.
        several: Number of clips with more than one label.
        labeled: Split -> number of clips with a label.
        positives: Split -> number of clips of each class, in index order.
        alone: (fold, class) -> number of clips of this fold that have this label and no other; fold 0 is that of the
            clips without a fold.
    """

    label_names: Sequence[str]
    unlabeled: int
    several: int
    labeled: Mapping[str, int]
    positives: Mapping[str, Sequence[int]]
    alone: Mapping[tuple[int, int], int]

    @property
    def has_folds(self) -> bool:
        """Whether a clip with one label has a fold."""
        return any(fold for fold, _ in self.alone)


def from_statistics(statistics: ExampleStatistics) -> LabelCounts:
    """Returns the counts of all clips, as StatisticsGen has found them.

    Raises:
        KeyError: An older version of Diptych wrote the statistics, which lack the counts by fold.
    """
    splits = statistics["splits"]
    alone: Counter[tuple[int, int]] = Counter()
    for split in splits.values():
        alone.update({(fold, label): clips for fold, label, clips in split["fold_labels"]})
    return LabelCounts(
        label_names=statistics["label_names"],
        unlabeled=sum(split["unlabelled_clips"] for split in splits.values()),
        several=sum(split["several_labels_clips"] for split in splits.values()),
        labeled={name: split["clips"] - split["unlabelled_clips"] for name, split in splits.items()},
        positives={name: split["label_counts"] for name, split in splits.items()},
        alone=alone,
    )


def from_clips(clips: Iterable[tuple[Sequence[int], int, str]], *, label_names: Sequence[str]) -> LabelCounts:
    """Counts clips, given by their class indices, fold and split."""
    unlabeled = several = 0
    labeled: Counter[str] = Counter()
    positives: dict[str, list[int]] = {}
    alone: Counter[tuple[int, int]] = Counter()
    for labels, fold, split in clips:
        counts = positives.setdefault(split, [0] * len(label_names))
        for label in labels:
            counts[label] += 1
        unlabeled += not labels
        labeled[split] += bool(labels)
        several += len(labels) > 1
        if len(labels) == 1:
            alone[fold, labels[0]] += 1
    return LabelCounts(
        label_names=label_names,
        unlabeled=unlabeled,
        several=several,
        labeled=labeled,
        positives=positives,
        alone=alone,
    )


def read(info: examples.ExamplesInfo, *, limit: int | None = None) -> LabelCounts:
    """Counts the clips of stored examples, which are read for this, but whose audio is not decoded.

    Args:
        info: The examples.
        limit: Maximum number of clips per split; None counts all.
    """
    if not info.label_names:
        return from_clips((), label_names=())
    # Imported here because it imports TensorFlow, which the statistics spare.
    from components.evaluator.clips import read_split

    clips = (
        (clip["labels"].tolist(), int(clip["fold"]), split)
        for split in info.splits
        for clip in read_split(info, split, limit=limit, parse=examples.parse_labels)
    )
    return from_clips(clips, label_names=info.label_names)
