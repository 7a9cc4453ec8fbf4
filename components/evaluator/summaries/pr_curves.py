"""Precision-recall curves for TensorBoard's tab of that name."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.plugins.pr_curve import summary

POINTS = 101
"""Points of a curve, at recalls of 1, 0.99, ..., 0."""

CHOSEN = 5
"""Number of the best classes that have a curve, and of the worst."""


class Counts(NamedTuple):
    """What a classifier gets right and wrong at each point of a curve, float64 (points,) each."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    true_negatives: np.ndarray
    false_negatives: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Share of positives among what is taken for positive; 1 where nothing is."""
        taken = self.true_positives + self.false_positives
        return np.divide(self.true_positives, taken, out=np.ones_like(taken), where=taken > 0)

    @property
    def recall(self) -> np.ndarray:
        """Share of the positives that is found."""
        return self.true_positives / (self.true_positives + self.false_negatives)


def counts(targets: np.ndarray, scores: np.ndarray, *, points: int = POINTS) -> Counts:
    """Counts at evenly spaced recalls, from 1 down to 0.

    Each point is that of the highest threshold with at least this recall. Evenly spaced thresholds would put most
    points of a rare class where precision is close to 0.

    Args:
        targets: bool (clips,), at least one of them true.
        scores: float (clips,), higher where the class is more likely. Equal scores pass a threshold together.
        points: Number of points.
    """
    order = np.argsort(-scores, kind="stable")
    targets, scores = targets[order], scores[order]
    found = np.cumsum(targets)
    is_last_of_equal = np.append(scores[1:] != scores[:-1], True)
    taken = np.flatnonzero(is_last_of_equal) + 1  # Number of clips that pass each threshold.
    found = found[taken - 1]
    positives = int(found[-1])
    wanted = np.ceil(np.linspace(1, 0, points) * positives - 1e-9)
    place = np.searchsorted(found, wanted)
    true = np.where(wanted > 0, found[place], 0).astype(float)
    passed = np.where(wanted > 0, taken[place], 0)
    false = passed - true
    negatives = len(targets) - positives
    return Counts(true, false, negatives - false, positives - true)


def write(targets: np.ndarray, scores: np.ndarray, *, names: Sequence[str], best_first: Sequence[int]) -> None:
    """Writes a curve over all classes ("micro"), and those of the best and the worst classes, to the default writer.

    Args:
        targets: bool (clips, classes).
        scores: float (clips, classes), comparable over classes.
        names: Name of each class.
        best_first: The classes with a test clip, best first. Each has a true target.
    """
    if not best_first:
        return
    tested = list(best_first)
    _write("pr/micro", counts(targets[:, tested].ravel(), scores[:, tested].ravel()), title="all classes")
    worst = tested[max(CHOSEN, len(tested) - CHOSEN) :][::-1]
    for group, classes in (("best", tested[:CHOSEN]), ("worst", worst)):
        for place, k in enumerate(classes, start=1):
            _write(f"pr {group}/{place} {names[k]}", counts(targets[:, k], scores[:, k]), title=names[k])


def _write(tag: str, curve: Counts, *, title: str) -> None:
    positives = int(curve.true_positives[0] + curve.false_negatives[0])
    of = int(positives + curve.false_positives[0] + curve.true_negatives[0])
    content = summary.raw_data_pb(
        tag,
        true_positive_counts=curve.true_positives,
        false_positive_counts=curve.false_positives,
        true_negative_counts=curve.true_negatives,
        false_negative_counts=curve.false_negatives,
        precision=curve.precision,
        recall=curve.recall,
        num_thresholds=len(curve.recall),
        display_name=tag,
        description=f"{title}: {positives:,} positives of {of:,}. What is called threshold is 1 - recall.",
    )
    tf.summary.experimental.write_raw_pb(content.SerializeToString(), step=0)
