"""Figures of merit of multi-label classification: mAP, AUC and d' (paper, section 3; Gemmeke et al. 2017)."""

from typing import Any

import numpy as np
from scipy import stats
from sklearn import metrics

_AUC_MARGIN = 1e-6  # keeps d' finite where the ranking is perfect


def multi_label(targets: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Scores a multi-label classifier, each class weighing the same (macro).

    Args:
        targets: bool (clips, classes).
        scores: float (clips, classes), higher for likelier; logits serve as well as probabilities.

    Returns:
        `mAP` and `AUC`, means over the classes that have a positive (for the AUC: and a negative) among the clips;
        `d_prime`, sqrt(2) times the normal quantile of the mean AUC; `average_precision`, per class, None for a class
        without a positive; `classes_left_out`, how many those are. All None if no class is left.
    """
    positives = targets.sum(axis=0)
    precision: list[float | None] = [None] * targets.shape[1]
    areas = []
    for index in np.flatnonzero(positives):
        truth, score = targets[:, index], scores[:, index]
        precision[index] = float(metrics.average_precision_score(truth, score))
        if positives[index] < len(targets):
            areas.append(float(metrics.roc_auc_score(truth, score)))
    known = [value for value in precision if value is not None]
    area = float(np.mean(areas)) if areas else None
    return {
        "mAP": float(np.mean(known)) if known else None,
        "AUC": area,
        "d_prime": None if area is None else d_prime(area),
        "average_precision": precision,
        "classes_left_out": int(np.sum(positives == 0)),
    }


def d_prime(auc: float) -> float:
    """sqrt(2) times the standard normal quantile of the area under the ROC curve; finite for perfect rankings too."""
    return float(np.sqrt(2.0) * stats.norm.ppf(np.clip(auc, _AUC_MARGIN, 1.0 - _AUC_MARGIN)))
