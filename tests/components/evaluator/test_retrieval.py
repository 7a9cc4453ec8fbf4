import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from components import metrics
from components.evaluator.probes import retrieval


def _data(*, recordings=17, seed=0):
    """Draws vectors, some of which are equal, labels and recordings, of which some have two parts."""
    rng = np.random.default_rng(seed)
    x, targets = rng.normal(size=(recordings + 3, 4)), rng.random((recordings + 3, 5)) < 0.25
    targets[:2] = False
    x[[5, 9, 12]] = x[7]
    return x.astype(np.float32), targets, np.array([0, 0, 1, 1, 2, 2, *range(3, recordings)])


def _average_precisions(x, targets, recordings, weights):
    """Ranks the clips that are drawn, each as often as it is drawn; NaN for a query without a relevant one."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    similarity, found = unit @ unit.T, []
    for query in range(len(x)):
        others = recordings != recordings[query]
        relevant = (targets[others] & targets[query]).any(axis=1)
        scores, drawn = similarity[others, query].round(6), weights[others]
        known = relevant.any()
        found.append(average_precision_score(relevant, scores, sample_weight=drawn) if known else np.nan)
    return np.array(found)


@pytest.mark.parametrize("cells", [1, 2**24])
def test_retrieval_agrees_with_its_definition(monkeypatch, cells):
    monkeypatch.setattr(retrieval, "_CELLS", cells)
    monkeypatch.setattr(retrieval, "_RANKED_CELLS", cells)
    x, targets, recordings = _data()
    found = retrieval.retrieve(x, targets, recordings=recordings)
    expected = _average_precisions(x, targets, recordings, np.ones(len(x)))
    np.testing.assert_allclose(found.precisions, expected, rtol=1e-6)
    np.testing.assert_allclose(found.score, np.nanmean(expected))


def test_the_average_precisions_are_those_of_every_other_score_to_the_last_digit():
    rng = np.random.default_rng(1)
    relevant, similarity = rng.random((30, 200)) < 0.2, rng.integers(80, size=(30, 200)).astype(np.float32)
    relevant[3] = False
    precisions, _ = retrieval._score(relevant, similarity)
    np.testing.assert_array_equal(precisions, metrics.average_precisions(relevant.T, similarity.T))


def test_influences_are_the_slopes_of_the_score_when_a_recording_weighs_more():
    x, targets, recordings = _data()
    x = x.round(2)

    def score(weights):
        precisions = _average_precisions(x, targets, recordings, weights)
        known = ~np.isnan(precisions)
        return np.average(precisions[known], weights=weights[known])

    influences = retrieval.retrieve(x, targets, recordings=recordings).influences(recordings)
    for number in range(17):
        more, less = (1 + step * (recordings == number) for step in (1e-5, -1e-5))
        np.testing.assert_allclose(influences[number], (score(more) - score(less)) / 2e-5, atol=1e-6)
    np.testing.assert_allclose(influences.sum(), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("recordings", "classes", "parts", "separation"), [(60, 5, 1, 1.6), (30, 3, 1, 3.2), (30, 4, 3, 1.6)]
)
def test_an_interval_holds_the_map_of_other_recordings_as_often_as_it_says(recordings, classes, parts, separation):
    """Resampled queries held it in two of three cases."""
    rng = np.random.default_rng(0)
    centers, numbers = separation * np.eye(8)[:classes], np.repeat(np.arange(recordings), parts)
    scores, intervals = [], []
    for _ in range(200):
        labels = rng.integers(classes, size=recordings)
        x = (centers[labels] + rng.normal(size=(recordings, 8)))[numbers] + 0.5 * rng.normal(size=(len(numbers), 8))
        found = retrieval.retrieve(
            x.astype(np.float32), np.eye(classes, dtype=bool)[labels[numbers]], recordings=numbers
        )
        scores.append(found.score)
        intervals.append(found.interval(numbers))
    low, high = np.array(intervals).T
    expected = np.mean(scores)
    assert 0.92 <= np.mean((low <= expected) & (expected <= high)) <= 0.99
    assert np.mean(low > expected) < 0.06
    assert np.mean(high < expected) < 0.06


def test_perfect_searches_leave_nothing_open_and_searches_for_nothing_have_no_score():
    x, targets = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], np.eye(2, dtype=bool)[[0, 0, 1, 1]]
    found = retrieval.retrieve(x, targets, recordings=np.arange(4))
    assert (found.score, found.interval(np.arange(4))) == (1.0, (1.0, 1.0))
    alone = retrieval.retrieve(x, targets, recordings=np.array([0, 0, 1, 1]))
    assert np.isnan(alone.score)
    with pytest.raises(ValueError, match="not finite"):
        retrieval.retrieve(x * np.nan, targets, recordings=np.arange(4))


def test_searches_that_are_perfect_but_for_rounding_have_an_interval():
    """40 clips with 2 labels, which are easy to tell apart, gave NaN: 1 has no logit."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    x = 20 * np.eye(8)[labels] + rng.normal(size=(40, 8))
    found = retrieval.retrieve(x.astype(np.float32), np.eye(2, dtype=bool)[labels], recordings=np.arange(40))
    assert np.any(found.influences(np.arange(40)))  # Else the case is another one.
    assert (found.score, found.interval(np.arange(40))) == (1.0, (1.0, 1.0))


@pytest.mark.parametrize("score", [1e-300, 1e-14, 1e-9, 1e-3, 0.999, 1 - 1e-9, 1 - 1e-14, 1 - 2**-53])
def test_an_interval_near_0_or_1_is_finite_and_holds_the_score(score):
    """Influences of perfect searches are off by some 1e-15, which is much where the score is as near to 1."""
    half = min(1e-3, score, 1 - score) / 2
    precisions = score + half * np.array([-1.0, 1.0] * 20)
    found = retrieval.Retrieval(precisions=precisions, in_rankings=np.array([1e-13, -1e-13] * 20))
    low, high = found.interval(np.arange(40))
    assert 0 <= low <= found.score <= high <= 1
    assert high - low < 1e-3
