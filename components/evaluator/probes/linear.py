"""Probes: small classifiers on frozen embeddings (paper, section 3). The encoders are never touched."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from concurrent import futures
from typing import Any

import keras
import numpy as np
import threadpoolctl
from sklearn import linear_model

from components import metrics
from components.evaluator.embeddings import Clips

_TOLERANCE, _MAX_ITERATIONS = 1e-3, 1000
_PREDICT_BATCH = 4096
_FEWEST_TO_CHOOSE_BY = 200  # validation clips, see `mlp`


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        score: The headline figure in [0, 1]: accuracy or mAP.
        class_scores: The same per class (recall or average precision); None for a class without a test clip.
        details: Everything else worth keeping, as plain JSON.
        predictions: int (clips,), the class predicted for each clip when it was a test clip (-1: never); None for mlp.
    """

    score: float
    class_scores: list[float | None]
    details: dict[str, Any]
    predictions: np.ndarray | None = None


def linear(clips: Clips, name: str, *, classes: int, c_grid: Sequence[float]) -> ProbeResult:
    """Softmax regression in the examples' own cross-validation (paper, table 4): accuracy, mean over the folds.

    L2-regularised; features standardised by the training folds. The regularisation is chosen with fold 1 as the test
    fold and kept for all ("hyper-parameters of the classifier are selected with split 1"), so fold 1's own accuracy is
    slightly flattering. The logits are averaged over the sub-clips, which for a linear probe is the logit of the mean.

    Chosen by measuring on ESC-50 with untrained encoders (128 dimensions, each at its best C): training on every
    sub-clip gave 40 % on folds 1 and 2 against 38 % on the clips' means, for three times the time, about 0.7 s a fit on
    one core. float32 with a gradient tolerance of 1e-3 agrees with float64 and 1e-4 within half a point in half the
    iterations. Every fit starts from zero: started from the weights of another fold, whose training clips include
    this fold's test clips, and stopped early, it scored up to 12 points too high.

    Args:
        clips: All clips, one label each; those of fold 0 only ever train.
        name: The set of features to probe.
        classes: Number of classes.
        c_grid: Inverse strengths of the regularisation to choose from, as scikit-learn's `C`.
    """
    labels = np.array([label for (label,) in clips.labels])
    folds = sorted(set(clips.folds.tolist()) - {0})
    # One thread a fit and as many fits as cores: the matrices are too small to be shared among threads.
    with threadpoolctl.threadpool_limits(1), futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        fit = functools.partial(_fit_fold, clips, name, labels)
        first = dict(zip(c_grid, pool.map(lambda c: fit(folds[0], c), c_grid), strict=True))
        in_first = clips.folds == folds[0]
        correct = {c: float(np.mean(predicted == labels[in_first])) for c, predicted in first.items()}
        best = max(c_grid, key=lambda c: correct[c])
        predictions, tested = np.full_like(labels, -1), clips.folds > 0
        predictions[in_first] = first[best]
        for fold, predicted in zip(folds[1:], pool.map(lambda fold: fit(fold, best), folds[1:]), strict=True):
            predictions[clips.folds == fold] = predicted
    hits = predictions == labels
    by_fold = {str(fold): float(hits[clips.folds == fold].mean()) for fold in folds}
    return ProbeResult(
        score=float(np.mean(list(by_fold.values()))),
        class_scores=[
            float(hits[tested & (labels == k)].mean()) if (tested & (labels == k)).any() else None
            for k in range(classes)
        ],
        details={"C": best, "folds": by_fold, "first_fold_by_C": {str(c): value for c, value in correct.items()}},
        predictions=predictions,
    )


def _fit_fold(clips: Clips, name: str, labels: np.ndarray, fold: int, c: float) -> np.ndarray:
    """Trains on all other folds; the class predicted for each clip of this one."""
    train = (clips.folds != fold)[clips.owner]
    x = clips.features[name]
    scale = _Standardiser(x[train])
    model = linear_model.LogisticRegression(C=c, tol=_TOLERANCE, max_iter=_MAX_ITERATIONS)
    with threadpoolctl.threadpool_limits(1):  # OpenMP's limit is each thread's own
        model.fit(scale(x[train]), labels[clips.owner[train]])
    test = scale(clips.clip_means(x)[clips.folds == fold])
    return model.predict(test)


def mlp(
    clips: Clips,
    name: str,
    *,
    classes: int,
    hidden: int,
    epochs: int,
    patience: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> ProbeResult:
    """One hidden layer and a sigmoid per class (paper, section 3): mAP, AUC and d' on the eval split.

    Trained on each sub-clip of the train split with its clip's labels. The weights of the epoch with the best mAP on
    the valid split are kept, if that holds at least 200 clips, and the last epoch's otherwise: on the generated corpus,
    whose valid split has 24, the choice was noise that cost up to 0.08 mAP. Logits are averaged over sub-clips.

    Args:
        clips: Clips of the splits train, eval and, if there is one, valid.
        name: The set of features to probe.
        classes: Number of classes.
        hidden: Hidden units (paper: 512).
        epochs: Most passes over the train split.
        patience: Epochs without a better validation mAP after which to stop.
        batch_size: Sub-clips in a step.
        learning_rate: Of Adam.
        seed: Fixes weights and order.
    """
    keras.utils.set_random_seed(seed)
    targets = clips.targets(classes)
    x, train = clips.features[name], (clips.splits == "train")[clips.owner]
    x = _Standardiser(x[train])(x)
    model = keras.Sequential(
        [keras.Input((x.shape[1],)), keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(classes)]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate), loss=keras.losses.BinaryCrossentropy(from_logits=True)
    )
    callbacks = []
    valid = clips.splits == "valid"
    if valid.sum() >= _FEWEST_TO_CHOOSE_BY and targets[valid].any():
        callbacks = [
            _ScoreSplit(clips, x, targets, split="valid"),
            keras.callbacks.EarlyStopping("valid_mAP", mode="max", patience=patience, restore_best_weights=True),
        ]
    history = model.fit(
        x[train],
        targets[clips.owner[train]].astype(np.float32),
        batch_size=batch_size,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    ).history
    found = _score_split(model, clips, x, targets, split="eval")
    class_scores = found.pop("average_precision")
    chosen_by = history.get("valid_mAP", [])
    found |= {"epochs": len(history["loss"]), "best_epoch": int(np.argmax(chosen_by)) + 1 if chosen_by else None}
    return ProbeResult(score=found["mAP"], class_scores=class_scores, details=found)


def _score_split(model: keras.Model, clips: Clips, x: np.ndarray, targets: np.ndarray, *, split: str) -> dict[str, Any]:
    logits = np.zeros((len(x), targets.shape[1]), np.float32)
    wanted = (clips.splits == split)[clips.owner]
    # Called directly: `predict` sets up an input pipeline each time, longer than a small probe's epoch.
    chunks = np.array_split(x[wanted], wanted.sum() // _PREDICT_BATCH + 1)
    logits[wanted] = np.concatenate([np.asarray(model(chunk)) for chunk in chunks])
    test = clips.splits == split
    return metrics.multi_label(targets[test], clips.clip_means(logits)[test])


class _ScoreSplit(keras.callbacks.Callback):
    """Adds `<split>_mAP` to the logs of each epoch, for `EarlyStopping` to read."""

    def __init__(self, clips: Clips, x: np.ndarray, targets: np.ndarray, *, split: str):
        super().__init__()
        self.arguments, self.split = (clips, x, targets), split

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Scores the split with the weights as they are."""
        logs[f"{self.split}_mAP"] = _score_split(self.model, *self.arguments, split=self.split)["mAP"]


class _Standardiser:
    """Zero mean and unit variance as measured on the training features; constant features become zero."""

    def __init__(self, x: np.ndarray):
        self.mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        self.scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-8)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return ((x - self.mean) * self.scale).astype(np.float32)
