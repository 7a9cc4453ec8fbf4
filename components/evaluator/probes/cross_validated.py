"""Trains classifiers on few clips, and chooses by cross-validation among them how much each may fit."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from components import metrics
from components.evaluator.clips import Clips, means_over_clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.features import FeatureSet
from components.evaluator.folds import make_folds_to_choose
from components.evaluator.probes import networks as networks_module
from components.evaluator.probes import regression
from components.evaluator.probes.networks import Networks, Weights
from components.evaluator.probes.regression import Regressions
from components.evaluator.vectors import concatenated

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Inverse strengths C of the penalties of the regressions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen:
    """The classifier that cross-validation has chosen for a set of features.

    Attributes:
        regression: The regression, or None if the network is better.
        weights: Those of the network with one copy, for the statistics of all training rows.
        details: The mAP of all candidates in cross-validation, and which one was chosen.
    """

    regression: Regressions | None
    weights: Weights
    details: dict[str, object]


def choose(
    sets: Sequence[FeatureSet],
    vectors: Mapping[str, np.ndarray],
    clips: Clips,
    *,
    classes: int,
    config: EvaluatorConfig,
) -> dict[str, Chosen]:
    """Trains networks with one hidden layer and logistic regressions, and chooses one for each set of features.

    The training clips are divided into 5 folds. A candidate is a network after a number of epochs, or a regression with
    a penalty of one strength. Each is trained on every 4 folds and scored by the mAP of all clips, each classified
    without its own fold. The best one, trained on all clips, is chosen; the evaluation clips have no part in it. All
    sets of features are treated alike.

    Args:
        sets: The sets of features.
        vectors: Name of the embedding -> float16 (rows, dim), those of the training clips.
        clips: The training clips, with the labels to learn.
        classes: Number of classes.
        config: The settings of the mlp probe.
    """
    folds = make_folds_to_choose(clips)
    targets = clips.targets(classes)
    weights, scores_by_epoch = _train_networks(sets, vectors, clips, folds=folds, targets=targets, config=config)
    chosen = {}
    for one in sets:
        x = concatenated(vectors, one.columns)
        by_strength = [_score_regression(x, clips, targets, folds=folds, strength=c) for c in STRENGTHS]
        by_epoch = scores_by_epoch[one.name]
        best = int(np.argmax(by_strength))
        is_linear = by_strength[best] >= max(by_epoch)
        chosen[one.name] = Chosen(
            regression=_regressions(x, clips, targets, folds=folds, left_out=[0], strength=STRENGTHS[best])
            if is_linear
            else None,
            weights=weights[one.name],
            details={
                "hidden": 0 if is_linear else config.mlp_hidden,
                "C": STRENGTHS[best] if is_linear else None,
                "epochs": config.mlp_epochs,
                "best_epoch": None if is_linear else int(np.argmax(by_epoch)) + 1,
                "cross_validated": {
                    "folds": int(folds.max()),
                    "mAP_by_C": {str(c): score for c, score in zip(STRENGTHS, by_strength, strict=True)},
                    "mAP_by_epoch": by_epoch,
                },
            },
        )
    return chosen


def _train_networks(
    sets: Sequence[FeatureSet],
    vectors: Mapping[str, np.ndarray],
    clips: Clips,
    *,
    folds: np.ndarray,
    targets: np.ndarray,
    config: EvaluatorConfig,
) -> tuple[dict[str, Weights], dict[str, list[float]]]:
    """Trains a network for each fold without it and one with all clips, side by side.

    Returns:
        Name of the set -> the weights of the network with all clips after the best epoch, and name of the set -> the
        mAP in cross-validation after each epoch.
    """
    copies = int(folds.max()) + 1
    networks = Networks(
        sets,
        statistics=networks_module.measure(vectors),
        hidden=config.mlp_hidden,
        classes=targets.shape[1],
        copies=copies,
        learning_rate=config.mlp_learning_rate,
        seed=config.seed,
    )
    clip_of_row = clips.clip_of_row
    row_weights = (np.arange(1, copies + 1)[:, None] != folds[clip_of_row]).astype(np.float32)  # The last copy: all.
    rng = np.random.default_rng(config.seed)
    scores: dict[str, list[float]] = {one.name: [] for one in sets}
    best: dict[str, Weights] = {}
    for _ in range(config.mlp_epochs):
        order = rng.permutation(len(clip_of_row))
        for first in range(0, len(order), config.mlp_batch_size):
            rows = order[first : first + config.mlp_batch_size]
            batch = {name: values[rows] for name, values in vectors.items()}
            networks.step(batch, targets[clip_of_row[rows]], row_weights=row_weights[:, rows])
        for name, logits in networks.logits(vectors).items():
            left_out = logits[folds[clip_of_row] - 1, np.arange(len(clip_of_row))]  # (rows, classes)
            score = _mean_average_precision(targets, means_over_clips(left_out, clips.rows))
            if score > max(scores[name], default=-1.0):
                best[name] = [array[-1:] for array in networks.weights(name)]
            scores[name].append(score)
    return best, scores


def _score_regression(x: np.ndarray, clips: Clips, targets: np.ndarray, *, folds: np.ndarray, strength: float) -> float:
    """Returns the mAP of one strength in cross-validation."""
    numbers = range(1, int(folds.max()) + 1)
    regressions = _regressions(x, clips, targets, folds=folds, left_out=numbers, strength=strength)
    means = means_over_clips(x, clips.rows)
    scores = np.zeros(targets.shape, np.float32)
    for problem, fold in enumerate(numbers):
        scores[folds == fold] = regressions.logits(means[folds == fold], problem=problem)
    return _mean_average_precision(targets, scores)


def _regressions(
    x: np.ndarray, clips: Clips, targets: np.ndarray, *, folds: np.ndarray, left_out: Sequence[int], strength: float
) -> Regressions:
    """Trains a regression for each of the folds to leave out; fold 0 has no clip."""
    return regression.fit(
        x,
        targets[clips.clip_of_row],
        in_training=np.array([np.repeat(folds != fold, clips.rows) for fold in left_out]),
        strengths=[strength] * len(left_out),
        kind="sigmoid",
    )


def _mean_average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    return metrics.mean(metrics.average_precisions(targets, scores)) or 0.0
