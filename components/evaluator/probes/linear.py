"""The linear probe: softmax regression, scored by cross-validation over the folds."""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from beam_jobs.embedding.read import Embeddings
from components.evaluator import vectors
from components.evaluator.clips import Clips, means_over_clips, sample
from components.evaluator.features import FeatureSet
from components.evaluator.probes import regression
from components.evaluator.probes.regression import Regressions
from components.evaluator.probes.result import ProbeResult

_ELEMENTS = 2**28  # Of the features of all embeddings together that are held, 1 GB of float32.
_NEVER = -1e9  # The logit of a class that no clip has.


def probe_all(
    embeddings: Embeddings,
    sets: Sequence[FeatureSet],
    clips: Clips,
    *,
    scored: Collection[int],
    classes: int,
    c_grid: Sequence[float],
) -> dict[str, ProbeResult]:
    """Probes each set of features of one embedder, see `probe`.

    Memory is bounded: where the sub-clips would take more than 1 GB, the regressions train on the mean of each clip,
    and on a sample of the clips if that is still too much.

    Args:
        embeddings: The embeddings.
        sets: The sets of features.
        clips: All clips of the embedder. Those with exactly one label, which is scored, are used.
        scored: The classes that are scored.
        classes: Number of classes.
        c_grid: See `probe`.

    Returns:
        Name of the set -> result.
    """
    embedder = sets[0].embedder
    dims = embeddings.info.embedders[embedder].dims
    columns = tuple(dict.fromkeys(column for one in sets for column in one.columns))
    most = max(1, _ELEMENTS // sum(dims[column] for column in columns))
    alone = clips.alone_in(scored)
    chosen = sample(clips, alone, most=most)
    by_row = int(clips.rows[chosen].sum()) <= most
    used = clips.take(chosen, classes=scored)
    read = vectors.read_rows if by_row else vectors.read_means
    values = read(embeddings, embedder, clips, chosen=chosen, columns=columns)
    if not by_row:
        used = dataclasses.replace(used, rows=np.ones_like(used.rows))
    details = {"trained_on": "sub-clips" if by_row else "the mean of each clip"}
    if len(used) < alone.sum():
        details["sample"] = f"{len(used):,} of {int(alone.sum()):,} clips"
    results = {}
    for one in sets:
        result = probe(vectors.concatenated(values, one.columns), used, classes=classes, c_grid=c_grid)
        results[one.name] = dataclasses.replace(result, details={**details, **result.details})
    return results


def probe(x: np.ndarray, clips: Clips, *, classes: int, c_grid: Sequence[float]) -> ProbeResult:
    """Trains and tests a softmax regression on each fold; the score is the mean accuracy over folds (paper, table 4).

    The regression is L2-regularized and trains on every sub-clip, standardized by the training folds. It averages the
    logits over the sub-clips of a test clip, which is the logit of their mean.

    The first fold selects the regularization for all folds ("hyper-parameters of the classifier are selected with
    split 1"), so the accuracy on the first fold is slightly optimistic. All strengths are trained together, and then
    all other folds.

    Every fit starts from zero. Fits that started from the weights of another fold scored up to 12 percentage points
    too high when they stopped early: those weights were trained on this fold's test clips.

    Args:
        x: The features, float32 (rows, dim).
        clips: The clips of the rows, with exactly one label each. Clips of fold 0 are only trained on.
        classes: Number of classes.
        c_grid: Inverse regularization strengths to select from (scikit-learn's `C`).
    """
    labels = clips.label_values
    folds = sorted(set(clips.folds.tolist()) - {0})
    means = means_over_clips(x, clips.rows)

    first = _train(x, clips, folds=folds[:1] * len(c_grid), strengths=c_grid)
    in_first = clips.folds == folds[0]
    logits_by_c = [first.logits(means[in_first], problem=i) for i in range(len(c_grid))]
    accuracies = [float(np.mean(logits.argmax(axis=1) == _local(labels)[in_first])) for logits in logits_by_c]
    best = int(np.argmax(accuracies))

    present = np.unique(labels)
    logits = np.full((len(clips), classes), _NEVER, np.float32)
    logits[np.ix_(in_first, present)] = logits_by_c[best]
    others = _train(x, clips, folds=folds[1:], strengths=[c_grid[best]] * (len(folds) - 1))
    for number, fold in enumerate(folds[1:]):
        in_fold = clips.folds == fold
        logits[np.ix_(in_fold, present)] = others.logits(means[in_fold], problem=number)
    return _result(
        clips,
        logits,
        classes=classes,
        details={
            "C": c_grid[best],
            "first_fold_by_C": {str(c): accuracy for c, accuracy in zip(c_grid, accuracies, strict=True)},
            "not_converged": int(np.sum(~first.converged) + np.sum(~others.converged)),
        },
    )


def _local(labels: np.ndarray) -> np.ndarray:
    """Numbers the classes that occur, int (clips,)."""
    return np.unique(labels, return_inverse=True)[1]


def _train(x: np.ndarray, clips: Clips, *, folds: Sequence[int], strengths: Sequence[float]) -> Regressions:
    """Trains a regression for each of the folds, on all the others."""
    local = _local(clips.label_values)
    targets = np.eye(local.max() + 1, dtype=bool)[np.repeat(local, clips.rows)]
    in_training = np.array([np.repeat(clips.folds != fold, clips.rows) for fold in folds])
    used = in_training.any(axis=0)
    return regression.fit(
        x if used.all() else x[used],
        targets[used],
        in_training=in_training[:, used],
        strengths=strengths,
        kind="softmax",
    )


def _result(clips: Clips, logits: np.ndarray, *, classes: int, details: dict[str, object]) -> ProbeResult:
    """Scores the clips that are in a fold."""
    is_tested = clips.folds > 0
    tested = clips.take(is_tested, classes=range(classes))
    logits = logits[is_tested]
    correct = logits.argmax(axis=1) == tested.label_values
    folds = sorted(set(tested.folds.tolist()))
    accuracies = {str(fold): float(correct[tested.folds == fold].mean()) for fold in folds}
    recalls: list[float | None] = []
    for label in range(classes):
        in_class = tested.label_values == label
        recalls.append(float(correct[in_class].mean()) if in_class.any() else None)
    values = list(accuracies.values())
    return ProbeResult(
        score=float(np.mean(values)),
        class_scores=recalls,
        details={"folds": accuracies, "spread": float(np.std(values, ddof=1)), **details},
        tested=tested,
        logits=logits,
    )
