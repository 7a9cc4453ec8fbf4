"""Metrics of multi-label classification: mAP, AUC and d' (paper, section 3; Gemmeke et al. 2017)."""

from typing import TypedDict

import numpy as np
from scipy import stats
from sklearn import metrics

_AUC_MARGIN = 1e-6  # Keeps d' finite for a perfect ranking.


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
    """
    positives = targets.sum(axis=0)
    average_precision: list[float | None] = [None] * targets.shape[1]
    areas = []
    for index in np.flatnonzero(positives):
        truth, score = targets[:, index], scores[:, index]
        average_precision[index] = float(metrics.average_precision_score(truth, score))
        if positives[index] < len(targets):
            areas.append(float(metrics.roc_auc_score(truth, score)))
    known = [value for value in average_precision if value is not None]
    auc = float(np.mean(areas)) if areas else None
    return {
        "mAP": float(np.mean(known)) if known else None,
        "AUC": auc,
        "d_prime": None if auc is None else d_prime(auc),
        "average_precision": average_precision,
        "classes_left_out": int(np.sum(positives == 0)),
    }


def d_prime(auc: float) -> float:
    """Returns d' = sqrt(2) * Phi^-1(AUC), where Phi^-1 is the quantile function of the standard normal distribution.

    Args:
        auc: Area under the ROC curve. Values of 0 and 1 are moved inwards by 1e-6, so that d' stays finite.
    """
    return float(np.sqrt(2.0) * stats.norm.ppf(np.clip(auc, _AUC_MARGIN, 1.0 - _AUC_MARGIN)))
