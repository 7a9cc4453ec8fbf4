"""Metrics of multi-label classification: mAP, AUC and d' (paper, section 3; Gemmeke et al. 2017).

All classes are ranked at once. Memory is bounded: a few classes at a time are ranked, see `_CELLS`.
"""

import dataclasses
from collections.abc import Iterator
from typing import TypedDict

import numpy as np
from scipy import stats

_AUC_MARGIN = 1e-6  # Keeps d' finite for a perfect ranking.
_CELLS = 2**21  # Scores that are ranked at a time, about 100 MB with all that is computed from them.


class MultiLabelScores(TypedDict):
    """Scores of a multi-label classifier, averaged over the classes with equal weight (macro average).

    Attributes:
        mAP: Mean average precision over the classes with a positive clip; None if there is no such class.
        AUC: Mean area under the ROC curve over the classes with a positive and a negative clip, or None.
        d_prime: d' of `AUC`, or None.
        average_precision: Average precision of each class; None for a class without a positive clip.
        classes_left_out: Number of classes without a positive clip.
    """

    mAP: float | None
    AUC: float | None
    d_prime: float | None
    average_precision: list[float | None]
    classes_left_out: int


def multi_label(targets: np.ndarray, scores: np.ndarray) -> MultiLabelScores:
    """Scores a multi-label classifier.

    Args:
        targets: bool (clips, classes), True where a clip belongs to a class.
        scores: float (clips, classes), higher where a class is more likely. Logits and probabilities give the same
            result, because only the order counts.

    Raises:
        ValueError: A score is not finite.
    """
    precisions, areas = average_precisions(targets, scores), areas_under_roc(targets, scores)
    auc = mean(areas)
    return {
        "mAP": mean(precisions),
        "AUC": auc,
        "d_prime": None if auc is None else d_prime(auc),
        "average_precision": [None if np.isnan(value) else float(value) for value in precisions],
        "classes_left_out": int(np.isnan(precisions).sum()),
    }


def mean(values: np.ndarray) -> float | None:
    """Returns the mean over the classes that have a value, i.e. are not NaN, or None if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def average_precisions(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Computes the average precision of each class, as scikit-learn's `average_precision_score` does.

    It is the mean over the positive clips of the precision among the clips that score at least as high.

    Args:
        targets: bool (clips, classes).
        scores: float (clips, classes).

    Returns:
        float64 (classes,), NaN for a class without a positive clip.

    Raises:
        ValueError: A score is not finite.
    """
    sums = np.zeros(targets.shape[1])
    for ranked in _ranked(targets, scores):
        np.add.at(sums, ranked.classes, ranked.positives_down_to / ranked.clips_down_to)
    positives = targets.sum(axis=0)
    return np.divide(sums, positives, out=np.full(len(sums), np.nan), where=positives > 0)


def areas_under_roc(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Computes the area under the ROC curve of each class, as scikit-learn's `roc_auc_score` does.

    It is the share of the pairs of a positive and a negative clip in which the positive one scores higher. Pairs of
    equal scores count half.

    Args:
        targets: bool (clips, classes).
        scores: float (clips, classes).

    Returns:
        float64 (classes,), NaN for a class without a positive or without a negative clip.

    Raises:
        ValueError: A score is not finite.
    """
    wrong = np.zeros(targets.shape[1])
    for ranked in _ranked(targets, scores):
        negatives_down_to = ranked.clips_down_to - ranked.positives_down_to
        negatives_above = ranked.clips_above - ranked.positives_above
        np.add.at(wrong, ranked.classes, (negatives_down_to + negatives_above) / 2)
    positives = targets.sum(axis=0)
    pairs = positives * (len(targets) - positives)
    return 1.0 - np.divide(wrong, pairs, out=np.full(len(wrong), np.nan), where=pairs > 0)


def precision_at(targets: np.ndarray, scores: np.ndarray, *, recalls: np.ndarray) -> np.ndarray:
    """Computes the interpolated precision-recall curve of each class: the best precision at a recall or a higher one.

    Args:
        targets: bool (clips, classes).
        scores: float (clips, classes).
        recalls: float (points,), from 0 to 1.

    Returns:
        float64 (classes, points), NaN for a class without a positive clip.

    Raises:
        ValueError: A score is not finite.
    """
    curves = np.full((targets.shape[1], len(recalls)), np.nan)
    for ranked in _ranked(targets, scores):
        for index in np.unique(ranked.classes):
            in_class = ranked.classes == index
            found = ranked.positives_down_to[in_class]  # In the order of falling scores.
            precision = found / ranked.clips_down_to[in_class]
            best_from = np.maximum.accumulate(precision[::-1])[::-1]
            places = np.searchsorted(found, np.ceil(recalls * len(found) - 1e-9))
            curves[index] = best_from[np.minimum(places, len(found) - 1)]
    return curves


def mean_precision_at(targets: np.ndarray, scores: np.ndarray, *, recalls: np.ndarray) -> np.ndarray:
    """Returns the mean over the classes with a positive clip of `precision_at`, float64 (points,)."""
    curves = precision_at(targets, scores, recalls=recalls)
    known = curves[~np.isnan(curves[:, 0])]
    return known.mean(axis=0) if len(known) else np.zeros(len(recalls))


def d_prime(auc: float) -> float:
    """Returns d' = sqrt(2) * Phi^-1(AUC), where Phi^-1 is the quantile function of the standard normal distribution.

    Args:
        auc: Area under the ROC curve. Values of 0 and 1 are moved inwards by 1e-6, so that d' stays finite.
    """
    return float(np.sqrt(2.0) * stats.norm.ppf(np.clip(auc, _AUC_MARGIN, 1.0 - _AUC_MARGIN)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ranked:
    """Where positive clips stand in the ranking of their class. Clips with equal scores share a place.

    Attributes:
        classes: int (positives,), the class.
        clips_above: int (positives,), the clips that score higher.
        clips_down_to: int (positives,), the clips that score at least as high.
        positives_above: int (positives,), the positive ones among `clips_above`.
        positives_down_to: int (positives,), the positive ones among `clips_down_to`.
    """

    classes: np.ndarray
    clips_above: np.ndarray
    clips_down_to: np.ndarray
    positives_above: np.ndarray
    positives_down_to: np.ndarray


def _ranked(targets: np.ndarray, scores: np.ndarray) -> Iterator[_Ranked]:
    """Yields the places of all positive clips, some classes at a time."""
    clips, classes = scores.shape
    step = max(1, _CELLS // max(1, clips))
    for first in range(0, classes if clips else 0, step):
        falling = -scores[:, first : first + step].T  # (classes, clips)
        if not np.isfinite(falling).all():
            raise ValueError("a score is not finite")
        order = np.argsort(falling, axis=1)
        falling = np.take_along_axis(falling, order, axis=1)
        is_positive = np.take_along_axis(targets[:, first : first + step].T, order, axis=1)
        is_start = np.ones(falling.shape, bool)
        is_start[:, 1:] = falling[:, 1:] != falling[:, :-1]
        rows, places = np.nonzero(is_positive)
        before = np.zeros((len(falling), clips + 1), np.int32)  # The positives before each place.
        np.cumsum(is_positive, axis=1, out=before[:, 1:])
        above = _starts(is_start)[rows, places]
        down_to = clips - _starts(_ends(is_start)[:, ::-1])[rows, clips - 1 - places]
        yield _Ranked(
            classes=first + rows,
            clips_above=above,
            clips_down_to=down_to,
            positives_above=before[rows, above],
            positives_down_to=before[rows, down_to],
        )


def _ends(is_start: np.ndarray) -> np.ndarray:
    """Returns where a run of equal scores ends, bool (classes, clips)."""
    is_end = np.ones_like(is_start)
    is_end[:, :-1] = is_start[:, 1:]
    return is_end


def _starts(is_start: np.ndarray) -> np.ndarray:
    """Returns the place where the run of each place starts, int (classes, clips)."""
    places = np.arange(is_start.shape[1], dtype=np.int32)
    return np.maximum.accumulate(np.where(is_start, places, 0), axis=1)
