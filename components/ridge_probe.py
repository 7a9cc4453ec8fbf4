"""A linear probe in closed form: validation chooses the best model by it, and the Exporter compares runtimes."""

import numpy as np

from components import metrics

MIN_CLIPS = 2
"""A class with fewer positive clips, or fewer others, is not scored: without its only clip, nothing can learn it."""

_RIDGES = tuple(10.0**power for power in range(-3, 5))


def scored_classes(targets: np.ndarray) -> np.ndarray:
    """Returns the indices of the classes that have enough positive and negative clips to be scored.

    Args:
        targets: bool `(clips, classes)`.
    """
    positives = targets.sum(axis=0)
    return np.flatnonzero((positives >= MIN_CLIPS) & (len(targets) - positives >= MIN_CLIPS))


def count_scored_clips(targets: np.ndarray) -> int:
    """Returns the number of clips that have a label of a scored class."""
    return int(targets[:, scored_classes(targets)].any(axis=1).sum())


def metric_name(targets: np.ndarray) -> str:
    """Returns "accuracy" if each clip has exactly one label, otherwise "mAP"."""
    return "accuracy" if (targets.sum(axis=1) == 1).all() else "mAP"


def can_score(targets: np.ndarray) -> bool:
    """Returns whether there are enough scored classes for a score: two for the accuracy, one for the mAP."""
    return len(scored_classes(targets)) >= (2 if metric_name(targets) == "accuracy" else 1)


def score(features: np.ndarray, targets: np.ndarray) -> tuple[str, float | None]:
    """Returns the leave-one-out score of a ridge regression from frozen features to labels.

    Each clip is predicted by the regression on all other clips; see `leave_one_out`. Classes with too few clips are
    left out of the score, and so are clips without another class in the accuracy.

    Args:
        features: `(clips, dim)`.
        targets: bool `(clips, classes)`, at least one label per clip.

    Returns:
        The name of the score, see `metric_name`, and its value: the share of clips whose class is predicted, or the
        mean over the classes of the average precision. None if the classes do not allow a score, see `can_score`.
    """
    metric = metric_name(targets)
    if not can_score(targets):
        return metric, None
    targets = targets[:, scored_classes(targets)]
    predictions = leave_one_out(features, targets)
    if metric == "accuracy":
        in_class = targets.any(axis=1)
        return metric, float(np.mean(predictions.argmax(axis=1)[in_class] == targets.argmax(axis=1)[in_class]))
    return metric, metrics.multi_label(targets, predictions)["mAP"]


def leave_one_out(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Predicts each clip by a ridge regression on all other clips.

    The hat matrix gives these predictions in closed form. The strength of the ridge is the one with the least squared
    error. Every prediction uses the shares of the classes among all clips as its intercept, not among the other clips:
    without one of its positives, the share of a class is a little smaller. Alone, this difference would rank all
    positives of a class last, so that features without information would score far below chance. The slopes still lack
    the clip, too, so that such features score somewhat below chance in classes with few positives.

    Args:
        features: `(clips, dim)`. They are standardized over all clips.
        targets: bool `(clips, classes)`.

    Returns:
        `(clips, classes)`, higher where a class is more likely.
    """
    clips, shares = len(targets), targets.mean(axis=0)
    y = targets - shares
    components, squares = _principal_components(_standardized(features))
    products = components.T @ y  # (rank, classes)
    best, least_error = np.zeros_like(y), np.inf
    for ridge in _RIDGES:
        weights = 1.0 / (squares + ridge * clips)  # (rank,)
        residuals = y - components @ (weights[:, None] * products)
        leverage = components**2 @ weights + 1.0 / clips  # 1 / clips is the leverage of the intercept.
        predictions = y - residuals / np.maximum(1.0 - leverage, 1e-9)[:, None]
        predictions += y / (clips - 1)  # The intercept of all clips instead of that of the other clips.
        error = float(np.mean((y - predictions) ** 2))
        if error < least_error:
            best, least_error = predictions, error
    return best + shares


def _standardized(features: np.ndarray) -> np.ndarray:
    """Returns features of zero mean and unit variance, float64, without the constant ones."""
    deviation = features.std(axis=0)
    is_varied = deviation > 1e-8
    return (features - features.mean(axis=0))[:, is_varied].astype(np.float64) / deviation[is_varied]


def _principal_components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the principal components of features of zero mean.

    The eigenvectors of the smaller one of the two matrices of products give them in a fraction of the SVD's time.

    Args:
        x: `(clips, dim)`.

    Returns:
        The components, `(clips, rank)`, and their sums of squares, `(rank,)`.
    """
    clips, dim = x.shape
    if clips < dim:
        squares, vectors = np.linalg.eigh(x @ x.T)
        squares = np.maximum(squares, 0.0)
        return vectors * np.sqrt(squares), squares
    squares, vectors = np.linalg.eigh(x.T @ x)
    return x @ vectors, np.maximum(squares, 0.0)
