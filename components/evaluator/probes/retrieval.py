"""Retrieval by example: each clip searches those of other recordings. How sure the mean of all searches is.

Each clip is a query, and stands in the ranking of every other one, so that two searches are alike: resampled queries
say too little of what other recordings would give (their intervals held it in two of three cases). The interval is
that of the infinitesimal jackknife instead: how the mAP changes if a recording counts a little more, both as queries
and in the rankings of others, is its influence, and the squares of the influences add up to the variance. One pass
over the rankings yields all of them.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy import special, stats

from components.evaluator.probes.bootstrap import Interval
from components.evaluator.probes.neighbors import normalized

_CELLS = 2**24  # Similarities that are held at a time, 64 MB.
_RANKED_CELLS = 2**20  # Similarities that are ranked at a time, about 100 MB with all that is computed from them.
_ROUNDING = 1e-12  # A mAP that is nearer to 0 or 1 counts as 0 or 1: the influences are no more exact than that.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval:
    """What the searches found.

    Attributes:
        precisions: float64 (clips,), the average precision of each query; NaN if no clip is relevant.
        in_rankings: float64 (clips,), how the sum of the precisions grows with the weight of a clip in the rankings.
    """

    precisions: np.ndarray
    in_rankings: np.ndarray

    @property
    def score(self) -> float:
        """The mAP; NaN if no query has a relevant clip."""
        known = self.precisions[~np.isnan(self.precisions)]
        return float(known.mean()) if len(known) else np.nan

    def influences(self, recordings: np.ndarray) -> np.ndarray:
        """Returns how the mAP grows with the weight of each recording, float64 (recordings,). Their sum is 0.

        Args:
            recordings: int (clips,), the number of each clip's recording, from 0.
        """
        known = ~np.isnan(self.precisions)
        of_clips = np.where(known, np.nan_to_num(self.precisions) - self.score, 0.0) + self.in_rankings
        return np.bincount(recordings, weights=of_clips) / known.sum()

    def interval(self, recordings: np.ndarray) -> Interval:
        """Returns the 95 % interval of the mAP over other recordings. It is symmetric around the logit of the mAP.

        Args:
            recordings: See `influences`.
        """
        influences = self.influences(recordings)
        count = len(influences)
        variance = count / (count - 1) * np.sum(influences**2)
        scale = self.score * (1 - self.score)
        # Where all searches are perfect, the influences are 0 but for rounding, and their quotient could be anything.
        if not variance or scale < _ROUNDING:
            return self.score, self.score
        of_logit = np.sqrt(variance) / scale
        ends = special.logit(self.score) + stats.t.ppf(0.975, count - 1) * of_logit * np.array([-1.0, 1.0])
        low, high = special.expit(ends)
        return float(low), float(high)


def retrieve(vectors: np.ndarray, targets: np.ndarray, *, recordings: np.ndarray) -> Retrieval:
    """Ranks the clips by their cosine similarity to each clip; those that share a label with it are relevant.

    The clips of its own recording do not count, for they sound alike.

    Args:
        vectors: float32 (clips, dim), mean vectors.
        targets: bool (clips, classes).
        recordings: int (clips,), a number for the recording of each clip.

    Raises:
        ValueError: A vector is not finite.
    """
    vectors = normalized(vectors)
    if not np.isfinite(vectors).all():
        raise ValueError("a vector is not finite")
    labels = targets.astype(np.float32)
    precisions, in_rankings = np.empty(len(vectors)), np.zeros(len(vectors))
    step = max(1, _CELLS // max(1, len(vectors)))
    for first in range(0, len(vectors), step):
        queries = np.arange(first, min(first + step, len(vectors)))
        similarity = vectors @ vectors[queries].T  # (clips, queries)
        relevant = labels @ labels[queries].T > 0
        own = recordings[:, None] == recordings[queries]
        similarity[own], relevant[own] = -2.0, False  # They rank below all, where they do not count.
        for part in _parts(len(queries), clips=len(vectors)):
            precisions[queries[part]], growth = _score(relevant[:, part].T, similarity[:, part].T)
            in_rankings += growth
    return Retrieval(precisions=precisions, in_rankings=in_rankings)


def _parts(queries: int, *, clips: int) -> Iterator[slice]:
    step = max(1, _RANKED_CELLS // max(1, clips))
    for first in range(0, queries, step):
        yield slice(first, first + step)


def _score(relevant: np.ndarray, similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the average precisions of some queries, and how their sum grows with the weight of each clip.

    An average precision is the mean over the relevant clips of found / down to, the number of relevant and of all
    clips that are at least as similar. A clip adds to `down to` of every relevant clip that is no more similar than
    itself. If it is relevant, it also adds to their `found`, and to the mean.

    Args:
        relevant: bool (queries, clips).
        similarity: float32 (queries, clips).

    Returns:
        float64 (queries,), NaN where no clip is relevant, and float64 (clips,).
    """
    order = np.argsort(-similarity, axis=1)
    ranked, is_found = np.take_along_axis(similarity, order, axis=1), np.take_along_axis(relevant, order, axis=1)
    first, last = _bounds_of_equals(ranked)
    down_to = last + 1.0
    found = np.take_along_axis(np.cumsum(is_found, axis=1, dtype=np.float64), last, axis=1)
    precision = found / down_to
    total = is_found.sum(axis=1, keepdims=True)
    # Added up from the first to the last one, as `metrics.average_precisions` does.
    mean = np.cumsum(is_found * precision, axis=1)[:, -1:] / np.maximum(total, 1)
    growth = -_sum_from(is_found * precision / down_to, first)
    growth += is_found * (_sum_from(is_found / down_to, first) + precision - mean)
    growth /= np.maximum(total, 1)
    growth = np.bincount(order.ravel(), weights=growth.ravel(), minlength=similarity.shape[1])
    return np.where(total > 0, mean, np.nan)[:, 0], growth


def _bounds_of_equals(ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first and the last place of the run of equal values that each place is in, int (rows, places)."""
    places = np.arange(ranked.shape[1])
    differs = ranked[:, 1:] != ranked[:, :-1]
    edge = np.ones((len(ranked), 1), bool)
    starts, ends = np.hstack([edge, differs]), np.hstack([differs, edge])
    first = np.maximum.accumulate(np.where(starts, places, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, places, places[-1])[:, ::-1], axis=1)[:, ::-1]
    return first, last


def _sum_from(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Returns the sum of each row's values from a place on, for every place in `first`."""
    return np.take_along_axis(np.cumsum(values[:, ::-1], axis=1)[:, ::-1], first, axis=1)
