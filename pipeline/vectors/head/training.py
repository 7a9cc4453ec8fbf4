"""Trains a linear classifier on vectors, and scores it by cross-validation."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from components import metrics
from components.evaluator.clips import Clips
from components.evaluator.folds import make_folds
from components.evaluator.probes import bootstrap, regression
from components.evaluator.probes.result import ProbeResult

STRENGTHS = (1e-3, 0.01, 0.1, 1.0, 10.0, 100.0)
"""Inverse strengths of the penalty to choose from, scikit-learn's C."""

_SEED = 0
_FLOATS = 2**28  # That training holds, 1 GiB.


def most_files(*, dim: int, classes: int) -> int:
    """Returns how many files can be trained on in 1 GiB.

    A vector is held three times: as it is, with a bias, and where it is in a fold. Logits are held for each strength.
    """
    return _FLOATS // (3 * dim + (len(STRENGTHS) + 3) * classes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """A linear classifier.

    Attributes:
        classes: Names of the classes.
        activation: "softmax" if every file has one class, otherwise "sigmoid".
        kernel: float32 (dim, classes).
        bias: float32 (classes,).
    """

    classes: tuple[str, ...]
    activation: str
    kernel: np.ndarray
    bias: np.ndarray

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the probabilities of the classes, float (rows, classes), of vectors (rows, dim)."""
        logits = vectors @ self.kernel + self.bias
        return special.expit(logits) if self.activation == "sigmoid" else special.softmax(logits, axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """The score of heads on files that they were not trained on.

    Attributes:
        metric: "accuracy" with softmax, "mAP" with sigmoid.
        score: In [0, 1].
        low: Lower end of its 95 % bootstrap interval over the files.
        high: Upper end.
        folds: Number of folds.
        files: Number of files.
        strength: The inverse strength of the penalty that scored best, which the final head is trained with.
        class_scores: Class -> recall or average precision; None if it has no file.
        class_files: Class -> number of its files.
    """

    metric: str
    score: float
    low: float
    high: float
    folds: int
    files: int
    strength: float
    class_scores: Mapping[str, float | None]
    class_files: Mapping[str, int]


def train(
    x: np.ndarray, targets: np.ndarray, *, files: Sequence[str], classes: Sequence[str]
) -> tuple[Head, CrossValidation]:
    """Trains a head on all files, and scores heads that were trained on some of them by the others.

    It is a logistic regression on standardized features with an L2 penalty: one softmax if every file has one class,
    otherwise a sigmoid for each class. All strengths are trained at once. The one for a fold is that which scores best
    on the other folds, so that the score of a fold chooses nothing that it scores.

    Args:
        x: float32 (files, dim).
        targets: bool (files, classes), at least one True in each row.
        files: Names of the files. They decide the folds, see `components.evaluator.folds`.
        classes: Names of the classes.
    """
    activation = "softmax" if (targets.sum(axis=1) == 1).all() else "sigmoid"
    clips = _clips(files, targets)
    folds = make_folds(clips)
    numbers = np.unique(folds)
    logits = np.empty((len(STRENGTHS), *targets.shape), np.float32)
    for number in numbers:
        tested = folds == number
        in_training = np.tile(~tested, (len(STRENGTHS), 1))
        fitted = regression.fit(x, targets, in_training=in_training, strengths=STRENGTHS, kind=activation)
        for strength in range(len(STRENGTHS)):
            logits[strength, tested] = fitted.logits(x[tested], problem=strength)
    best, chosen = _choose(logits, targets, folds, activation)
    everything = np.ones((1, len(x)), bool)
    final = regression.fit(x, targets, in_training=everything, strengths=[STRENGTHS[best]], kind=activation)
    head = Head(
        classes=tuple(classes), activation=activation, kernel=final.weights[0].T.copy(), bias=final.biases[0].copy()
    )
    tested = dataclasses.replace(clips, folds=folds)
    return head, _score(chosen, targets, tested, activation, classes=classes, strength=STRENGTHS[best])


def _clips(files: Sequence[str], targets: np.ndarray) -> Clips:
    rows, labels = np.nonzero(targets)
    return Clips(
        clip_ids=np.array(files, object),
        splits=np.full(len(files), "train"),
        folds=np.zeros(len(files), int),
        label_values=labels,
        label_offsets=np.searchsorted(rows, np.arange(len(files) + 1)),
        rows=np.ones(len(files), int),
    )


def _choose(logits: np.ndarray, targets: np.ndarray, folds: np.ndarray, activation: str) -> tuple[int, np.ndarray]:
    """Chooses the strength of the penalty.

    Args:
        logits: (strengths, files, classes), of heads that were not trained on the file.
        targets: See `train`.
        folds: int (files,).
        activation: See `Head`.

    Returns:
        The index of the best one, and for each fold the logits with the one that is best on the others.
    """

    def best(rows: np.ndarray) -> int:
        return int(np.argmax([_headline(values[rows], targets[rows], activation) for values in logits]))

    chosen = np.empty_like(logits[0])
    for number in np.unique(folds):
        tested = folds == number
        chosen[tested] = logits[best(~tested)][tested]
    return best(np.ones(len(folds), bool)), chosen


def _headline(logits: np.ndarray, targets: np.ndarray, activation: str) -> float:
    if activation == "softmax":
        return float(targets[np.arange(len(targets)), logits.argmax(axis=1)].mean())
    return metrics.mean(metrics.average_precisions(targets, logits)) or 0.0


def _score(
    logits: np.ndarray,
    targets: np.ndarray,
    tested: Clips,
    activation: str,
    *,
    classes: Sequence[str],
    strength: float,
) -> CrossValidation:
    numbers = np.unique(tested.folds)
    if activation == "softmax":
        metric, correct = "accuracy", targets[np.arange(len(targets)), logits.argmax(axis=1)]
        score = float(np.mean([correct[tested.folds == number].mean() for number in numbers]))
        of_classes = [float(correct[of_class].mean()) if of_class.any() else None for of_class in targets.T]
    else:
        metric, score = "mAP", _headline(logits, targets, activation)
        precisions = metrics.average_precisions(targets, logits)
        of_classes = [None if np.isnan(value) else float(value) for value in precisions]
    result = ProbeResult(score=score, class_scores=of_classes, details={}, tested=tested, logits=logits)
    low, high = bootstrap.intervals({"head": result}, metric=metric, seed=_SEED)["head"]
    return CrossValidation(
        metric=metric,
        score=score,
        low=low,
        high=high,
        folds=len(numbers),
        files=len(targets),
        strength=strength,
        class_scores=dict(zip(classes, of_classes, strict=True)),
        class_files=dict(zip(classes, targets.sum(axis=0).tolist(), strict=True)),
    )
