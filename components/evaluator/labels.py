"""Counts which clips have which labels. This decides what can be probed, and is known long before there is a model."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

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
        folds_of_class: Number of folds in which each class has clips, in index order; None if it is not known.
    """

    label_names: Sequence[str]
    unlabeled: int
    several: int
    labeled: Mapping[str, int]
    positives: Mapping[str, Sequence[int]]
    alone: Mapping[tuple[int, int], int]
    folds_of_class: Sequence[int] | None

    @property
    def has_eval(self) -> bool:
        """Whether there are labeled clips to test on, which are never trained on."""
        return bool(self.labeled.get("eval"))

    @property
    def has_folds(self) -> bool:
        """Whether a clip with one label has a fold."""
        return any(fold for fold, _ in self.alone)

    @property
    def can_make_folds(self) -> bool:
        """Whether clips with one label have to be divided into folds: there are no folds, and no eval split."""
        return bool(self.alone) and not self.has_folds and not self.has_eval


def from_statistics(statistics: ExampleStatistics) -> LabelCounts:
    """Returns the counts of all clips, as StatisticsGen has found them.

    Raises:
        KeyError: An older version of Diptych wrote the statistics, which lack the counts by fold.
    """
    splits = statistics["splits"]
    alone: Counter[tuple[int, int]] = Counter()
    for split in splits.values():
        alone.update({(fold, label): clips for fold, label, clips in split["fold_labels"]})
    names, several = statistics["label_names"], sum(split["several_labels_clips"] for split in splits.values())
    return LabelCounts(
        label_names=names,
        unlabeled=sum(split["unlabelled_clips"] for split in splits.values()),
        several=several,
        labeled={name: split["clips"] - split["unlabelled_clips"] for name, split in splits.items()},
        positives={name: split["label_counts"] for name, split in splits.items()},
        alone=alone,
        folds_of_class=None
        if several
        else [sum((fold > 0) & (label == k) for fold, label in alone) for k in range(len(names))],
    )
