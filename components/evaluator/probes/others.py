"""The columns that others publish, too: k-NN, 8-shot linear and retrieval, on the mean vector of each clip."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from beam_jobs.embedding.read import Embeddings
from components import metrics
from components.evaluator import vectors
from components.evaluator.clips import Clips, sample
from components.evaluator.features import FeatureSet
from components.evaluator.probes import bootstrap, few_shot, neighbors, retrieval
from components.evaluator.probes.bootstrap import Interval, Metric, Resampled
from components.evaluator.probes.result import ProbeResult
from components.evaluator.recordings import recording_numbers

MAX_CLIPS = 20_000
"""Training clips, and test clips, that are compared; of more, a sample that is the same for every set of features."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A score of one set of features.

    Attributes:
        score: The score.
        interval: Its 95 % interval over other test recordings.
        spread: Standard deviation of the score over draws of training clips; None if nothing is drawn.
    """

    score: float
    interval: Interval
    spread: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """The scores of one set of features.

    Attributes:
        knn: Accuracy or mAP of the nearest neighbors.
        few_shot: Mean accuracy or mAP of linear classifiers on 8 clips a class.
        retrieval: mAP of queries by example; None if no two test clips share a label.
    """

    knn: Column
    few_shot: Column
    retrieval: Column | None


def score(
    embeddings: Embeddings,
    sets: Sequence[FeatureSet],
    clips: Clips,
    *,
    chosen: np.ndarray,
    scored: Collection[int],
    classes: int,
    metric: Metric,
    by_fold: bool,
    seed: int,
) -> dict[str, Columns]:
    """Scores all sets of features of one embedder.

    Args:
        embeddings: The embeddings.
        sets: The sets of features.
        clips: All clips of the embedder.
        chosen: bool (clips,), the clips that the probe uses.
        scored: The classes that are scored.
        classes: Number of classes.
        metric: Accuracy if each clip has one label, otherwise mAP.
        by_fold: Whether the folds are tested in turn, otherwise the eval split.
        seed: Fixes what is drawn.
    """
    chosen = _sample(clips, chosen, by_fold=by_fold)
    columns = tuple(dict.fromkeys(column for one in sets for column in one.columns))
    means = vectors.read_means(embeddings, sets[0].embedder, clips, chosen=chosen, columns=columns)
    used = clips.take(chosen, classes=scored)
    found = {}
    for one in sets:
        x = vectors.concatenated(means, one.columns)
        scorer = _Scorer(x, used, classes=classes, metric=metric, by_fold=by_fold, seed=seed)
        found[one.name] = Columns(knn=scorer.knn(), few_shot=scorer.few_shot(), retrieval=scorer.retrieval())
    return found


def _sample(clips: Clips, chosen: np.ndarray, *, by_fold: bool) -> np.ndarray:
    """Returns the chosen clips, of each part at most `MAX_CLIPS`."""
    if by_fold:
        return sample(clips, chosen, most=MAX_CLIPS)
    train, tested = (sample(clips, chosen & (clips.splits == split), most=MAX_CLIPS) for split in ("train", "eval"))
    return train | tested


class _Scorer:
    """Scores the mean vectors of one set of features.

    Args:
        x: float32 (clips, dim).
        clips: The clips, with the labels that are scored.
        classes: See `score`, also for the other three.
        metric: See there.
        by_fold: See there.
        seed: See there.
    """

    def __init__(self, x: np.ndarray, clips: Clips, *, classes: int, metric: Metric, by_fold: bool, seed: int):
        self._x, self._clips, self._metric, self._seed = x, clips, metric, seed
        self._targets = clips.targets(classes)
        self._by_fold = by_fold
        self._is_tested = clips.folds > 0 if by_fold else clips.splits == "eval"

    def knn(self) -> Column:
        return self._column(
            self._results(
                [
                    (neighbors.knn(self._x[train], self._targets[train], self._x[tested]), tested)
                    for train, tested in self._divisions()
                ]
            )
        )

    def few_shot(self) -> Column:
        """Tests each draw on the eval split, on one of the folds in turn or, for a mAP, on all folds."""
        divisions = list(self._divisions())
        results = []
        for number in range(few_shot.DRAWS):
            of_draw = divisions if self._metric == "mAP" else [divisions[number % len(divisions)]]
            results += self._results([self._few_shot(train, tested, number=number) for train, tested in of_draw])
        return dataclasses.replace(
            self._column(results), spread=float(np.std([result.score for result in results], ddof=1))
        )

    def _few_shot(self, train: np.ndarray, tested: np.ndarray, *, number: int) -> tuple[np.ndarray, np.ndarray]:
        train = train[few_shot.draw(self._targets[train], seed=(self._seed, number))]
        logits = few_shot.classify(
            self._x[train],
            self._targets[train],
            self._x[tested],
            single_label=bool((self._clips.label_counts == 1).all()),
        )
        return logits, tested

    def retrieval(self) -> Column | None:
        tested = self._is_tested
        recordings = recording_numbers(self._clips.clip_ids[tested])
        found = retrieval.retrieve(self._x[tested], self._targets[tested], recordings=recordings)
        return None if np.isnan(found.score) else Column(score=found.score, interval=found.interval(recordings))

    def _divisions(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the indices of the training and of the test clips: of each fold, or of the splits."""
        if not self._by_fold:
            yield np.flatnonzero(self._clips.splits == "train"), np.flatnonzero(self._is_tested)
            return
        for fold in sorted(set(self._clips.folds.tolist()) - {0}):
            yield np.flatnonzero(self._clips.folds != fold), np.flatnonzero(self._clips.folds == fold)

    def _results(self, tests: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[ProbeResult]:
        """Returns the results of tests, given by the logits and the indices of the tested clips.

        Folds become one test where the score is a mAP: it would be higher within each, where fewer clips compete.
        """
        if self._metric == "mAP":
            logits, tested = zip(*tests, strict=True)
            tests = [(np.concatenate(logits), np.concatenate(tested))]
        return [self._result(logits, tested) for logits, tested in tests]

    def _result(self, logits: np.ndarray, tested: np.ndarray) -> ProbeResult:
        clips = self._clips.reordered(tested)
        if self._metric == "accuracy":
            value = float(np.mean(logits.argmax(axis=1) == clips.label_values))
        else:
            value = metrics.mean(metrics.average_precisions(self._targets[tested], logits)) or 0.0
        return ProbeResult(score=value, class_scores=[], details={}, tested=clips, logits=logits)

    def _column(self, results: Sequence[ProbeResult]) -> Column:
        """Returns the mean score, with the interval of the mean when the recordings of each test are drawn again."""
        resampled = bootstrap.mean([self._resampled(result) for result in results])
        return Column(score=resampled.score, interval=resampled.interval())

    def _resampled(self, result: ProbeResult) -> Resampled:
        """Returns the score and its resamplings. Those of one fold are drawn apart from those of another."""
        seed = self._seed + int(result.tested.folds.max(initial=0))
        return bootstrap.resample({"": result}, metric=self._metric, seed=seed)[""]
