"""How sure a score is: its interval over resampled test recordings, and that of its difference from a baseline's score.

A resampling draws as many recordings as there are, with replacement and with all their clips, for the parts of one
recording are right or wrong together; every set of features gets the same ones, so that a difference is paired. In
cross-validation the recordings of each fold are drawn by themselves.

Resamplings have a higher mAP than other clips would have, because a positive clip that is drawn twice ranks right
beside itself. `Resampled` therefore moves them all, so that their mean is the score. The interval then holds the mean
mAP of other sets of as many clips in about 95 of 100 cases (`tests/components/evaluator/test_bootstrap.py`), where
plain percentiles lie above it and those of the basic bootstrap, which turn the skew around, below.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import sparse

from components.evaluator.probes.result import ProbeResult
from components.evaluator.recordings import recording_numbers

RESAMPLINGS = 1000
_WEIGHT_BYTES = 2**25  # Of the weights of all clips in the resamplings that are scored at a time.

Metric = Literal["accuracy", "mAP"]


Interval = tuple[float, float]
"""A 95 % interval."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resampled:
    """A score, or a difference of two, and what it is in the resamplings.

    Attributes:
        score: On all clips.
        resamplings: float64 (resamplings,); NaN where there is no score.
    """

    score: float
    resamplings: np.ndarray

    def __sub__(self, other: "Resampled") -> "Resampled":
        return Resampled(score=self.score - other.score, resamplings=self.resamplings - other.resamplings)

    @property
    def centered(self) -> np.ndarray:
        """The resamplings, moved so that their mean is the score."""
        return self.resamplings + (self.score - np.nanmean(self.resamplings))

    def interval(self, *, lowest: float = 0.0) -> Interval:
        """Returns the 2.5th and the 97.5th percentile of the moved resamplings, from `lowest` to 1."""
        low, high = np.nanpercentile(self.centered, [2.5, 97.5]).clip(lowest, 1.0)
        return float(low), float(high)


def mean(parts: Sequence[Resampled]) -> Resampled:
    """Returns the mean of scores."""
    return Resampled(
        score=float(np.mean([part.score for part in parts])),
        resamplings=np.mean([part.resamplings for part in parts], axis=0),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired comparison of a set of features with a baseline.

    Attributes:
        baseline: The set that it is compared with.
        difference: Its score minus that of the baseline, on the clips that both have.
        interval: 95 % interval of the difference.
        above_zero: Share of the moved resamplings in which it is better, among those that have a score.
        clips: Number of clips that both have.
    """

    baseline: str
    difference: float
    interval: Interval
    above_zero: float
    clips: int


def intervals(results: Mapping[str, ProbeResult], *, metric: Metric, seed: int) -> dict[str, Interval]:
    """Returns the interval of the score of each set of features, over its own test clips."""
    return {name: one.interval() for name, one in resample(results, metric=metric, seed=seed).items()}


def compare(results: Mapping[str, ProbeResult], *, baseline: str, metric: Metric, seed: int) -> dict[str, Comparison]:
    """Compares every other set of features with a baseline, on the test clips that both have.

    Args:
        results: Set of features -> result of its probe.
        baseline: One of the sets.
        metric: What the scores are.
        seed: Fixes the resamplings.
    """
    groups: dict[bytes, tuple[np.ndarray, list[str]]] = {}  # The names of shared clips, and who shares them.
    base_ids = results[baseline].tested.clip_ids
    for name, result in results.items():
        if name != baseline:
            common = _are_among(base_ids, result.tested.clip_ids)
            groups.setdefault(common.tobytes(), (base_ids[common], []))[1].append(name)
    compared: dict[str, Comparison] = {}
    for ids, names in groups.values():
        if len(ids):
            on_both = {name: _restricted(results[name], ids) for name in (baseline, *names)}
            compared.update(_compare(on_both, baseline=baseline, metric=metric, seed=seed))
    return {name: compared[name] for name in results if name in compared}


def _are_among(clip_ids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns which names are among others, bool (clip_ids,). `np.isin` compares each two of Python's strings."""
    known = set(others.tolist())
    return np.fromiter((clip_id in known for clip_id in clip_ids.tolist()), bool, len(clip_ids))


def scores_on_shared(result: ProbeResult, other: ProbeResult, *, metric: Metric) -> tuple[float, float]:
    """Returns the scores of two sets of features on the test clips that both have; NaN if they have none."""
    ids = result.tested.clip_ids[_are_among(result.tested.clip_ids, other.tested.clip_ids)]
    if not len(ids):
        return np.nan, np.nan
    on_both = (_restricted(result, ids), _restricted(other, ids))
    first, second = (_on_all(one, _scorer(one, metric)) for one in on_both)
    return first, second


def _on_all(result: ProbeResult, score: Callable[[np.ndarray], np.ndarray]) -> float:
    """Returns the score of all clips, each drawn once."""
    return float(score(np.ones((len(result.tested), 1), np.float32))[0])


def _compare(results: Mapping[str, ProbeResult], *, baseline: str, metric: Metric, seed: int) -> dict[str, Comparison]:
    resampled = resample(results, metric=metric, seed=seed)
    compared = {}
    for name in results:
        if name != baseline:
            difference = resampled[name] - resampled[baseline]
            moved = difference.centered
            compared[name] = Comparison(
                baseline=baseline,
                difference=difference.score,
                interval=difference.interval(lowest=-1.0),
                above_zero=float(np.mean(moved[~np.isnan(moved)] > 0)),
                clips=len(results[baseline].tested),
            )
    return compared


def _restricted(result: ProbeResult, clip_ids: np.ndarray) -> ProbeResult:
    """Returns a result on some of its test clips, in a given order."""
    order = np.argsort(result.tested.clip_ids.astype(str), kind="stable")
    places = order[np.searchsorted(result.tested.clip_ids[order].astype(str), clip_ids.astype(str))]
    return dataclasses.replace(result, tested=result.tested.reordered(places), logits=result.logits[places])


def resample(results: Mapping[str, ProbeResult], *, metric: Metric, seed: int) -> dict[str, Resampled]:
    """Scores all sets of features in the same resamplings.

    Args:
        results: Set of features -> result. Sets with the same test clips get the same resamplings.
        metric: What the scores are.
        seed: Fixes the resamplings.
    """
    resampled = {}
    for name, result in results.items():
        score = _scorer(result, metric)
        rng = np.random.default_rng(seed)
        step = max(1, _WEIGHT_BYTES // (4 * max(1, len(result.tested))))
        recordings = recording_numbers(result.tested.clip_ids)
        parts = [
            score(draw(result.tested.folds, recordings, count=min(step, RESAMPLINGS - first), rng=rng))
            for first in range(0, RESAMPLINGS, step)
        ]
        resampled[name] = Resampled(score=_on_all(result, score), resamplings=np.concatenate(parts))
    return resampled


def draw(folds: np.ndarray, recordings: np.ndarray, *, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws recordings with replacement, within each fold.

    Nothing can be drawn of a fold that is one recording. Its clips are drawn, as if each were a recording.

    Args:
        folds: int (clips,).
        recordings: int (clips,), the number of each clip's recording, from 0 in the order in which they come.
        count: Number of resamplings.
        rng: Draws.

    Returns:
        float32 (clips, resamplings), how often each clip is drawn.
    """
    weights = np.zeros((len(folds), count), np.float32)
    for fold in np.unique(folds):
        members = np.flatnonzero(folds == fold)
        units = np.unique(recordings[members], return_inverse=True)[1]
        if units.max() == 0:
            units = np.arange(len(members))
        drawable = units.max() + 1
        for resampling in range(count):
            drawn = np.bincount(rng.integers(drawable, size=drawable), minlength=drawable)
            weights[members, resampling] = drawn[units]
    return weights


def _scorer(result: ProbeResult, metric: Metric) -> Callable[[np.ndarray], np.ndarray]:
    """Returns what scores a result in resamplings: float32 (clips, resamplings) -> float64 (resamplings,)."""
    if metric == "accuracy":
        correct = result.predictions == result.tested.label_values
        return lambda weights: _mean_accuracy(correct, result.tested.folds, weights)
    targets = result.tested.targets(result.logits.shape[1])
    with_positives = np.unique(result.tested.label_values)
    rankings = [Ranking(targets[:, k], result.logits[:, k]) for k in with_positives]
    return lambda weights: _mean_average_precision(rankings, weights)


def _mean_accuracy(correct: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the mean of the folds' accuracies among the drawn clips: as many as their recordings have."""
    of_folds = [
        weights[(folds == fold) & correct].sum(axis=0, dtype=np.float64)
        / weights[folds == fold].sum(axis=0, dtype=np.float64)
        for fold in np.unique(folds)
    ]
    return np.mean(of_folds, axis=0)


class Ranking:
    """The test clips of a class, best first, in runs that each end with equal scores of which one is positive.

    A sparse matrix adds up the clips of each run in all resamplings, ten times as fast as NumPy does along rows.

    Args:
        truth: bool (clips,), with a positive clip.
        scores: float (clips,).
    """

    def __init__(self, truth: np.ndarray, scores: np.ndarray):
        order = np.argsort(-scores, kind="stable").astype(np.int32)
        ranked, positive = scores[order], truth[order]
        last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
        group = np.cumsum(last_of_equals) - last_of_equals  # The number of each clip's group of equal scores.
        with_positive = np.unique(group[positive])
        ends = np.flatnonzero(last_of_equals)[with_positive] + 1
        positives = np.searchsorted(group[positive], with_positive)
        # The clips after the last positive one do not count.
        self._runs = _adding(order[: ends[-1]], np.append(0, ends), clips=len(order))
        self._positives = _adding(order[positive], np.append(positives, positive.sum()), clips=len(order))

    def average_precisions(self, weights: np.ndarray) -> np.ndarray:
        """Returns the average precision in each resampling; NaN without a positive clip.

        Args:
            weights: float32 (clips, resamplings), see `draw`.
        """
        down_to, found = np.cumsum(self._runs @ weights, axis=0), self._positives @ weights  # (runs, resamplings)
        found_down_to = np.cumsum(found, axis=0)
        precision = np.divide(found_down_to, down_to, out=np.zeros(down_to.shape), where=down_to > 0, dtype=np.float64)
        total = found_down_to[-1].astype(np.float64)
        return np.divide((found * precision).sum(axis=0), total, out=np.full(len(total), np.nan), where=total > 0)


def _adding(clips_in_order: np.ndarray, bounds: np.ndarray, *, clips: int) -> sparse.csr_matrix:
    """Returns a matrix (runs, clips) that adds up the clips between each two bounds."""
    ones = np.ones(len(clips_in_order), np.float32)
    return sparse.csr_matrix((ones, clips_in_order, bounds), shape=(len(bounds) - 1, clips))


def _mean_average_precision(rankings: list[Ranking], weights: np.ndarray) -> np.ndarray:
    sums, known = np.zeros(weights.shape[1]), np.zeros(weights.shape[1], int)
    for ranking in rankings:
        values = ranking.average_precisions(weights)
        sums += np.nan_to_num(values)
        known += ~np.isnan(values)
    return np.divide(sums, known, out=np.full(len(sums), np.nan), where=known > 0)
