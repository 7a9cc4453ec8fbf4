import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from components import metrics
from components.evaluator.probes import bootstrap
from components.evaluator.probes.result import ProbeResult
from tests.components.evaluator.scattered_clips import clips_of


def _result(labels, logits, *, folds=None, ids=None):
    return ProbeResult(
        score=0.0, class_scores=[], details={}, tested=clips_of(labels, folds=folds, ids=ids),
        logits=np.asarray(logits, np.float32),
    )  # fmt: skip


@given(seed=st.integers(0, 1000), clips=st.integers(1, 30), levels=st.sampled_from([1, 3, 10**6]))
def test_average_precisions_of_resamplings_agree_with_scikit_learn(seed, clips, levels):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(clips) < 0.4, rng.integers(levels, size=clips).astype(np.float32)
    if not truth.any():
        return
    weights = rng.integers(3, size=(clips, 5)).astype(np.float32)
    found = bootstrap.Ranking(truth, scores).average_precisions(weights)
    for resampling in range(5):
        drawn = weights[:, resampling]
        if not drawn[truth].any():
            assert np.isnan(found[resampling])
            continue
        expected = sklearn.metrics.average_precision_score(truth, scores, sample_weight=drawn)
        np.testing.assert_allclose(found[resampling], expected, rtol=1e-9)


def test_the_scores_of_resamplings_are_those_of_the_drawn_clips():
    rng = np.random.default_rng(0)
    labels = [tuple(np.flatnonzero(rng.random(3) < 0.5).tolist()) for _ in range(40)]
    result = _result(labels, rng.normal(size=(40, 4)))
    resampled = bootstrap.resample({"x": result}, metric="mAP", seed=3)["x"].resamplings
    weights = bootstrap.draw(result.tested.folds, np.arange(40), count=len(resampled), rng=np.random.default_rng(3))
    assert (weights.sum(axis=0) == 40).all()
    targets = result.tested.targets(4)
    for number in (0, 1, 500):
        drawn = np.repeat(np.arange(40), weights[:, number].astype(int))
        expected = metrics.multi_label(targets[drawn], result.logits[drawn])["mAP"]
        np.testing.assert_allclose(resampled[number], expected)


def test_the_clips_of_each_fold_are_drawn_by_themselves():
    folds = np.array([1] * 30 + [2] * 10)
    labels = [(0,)] * 40
    logits = np.where(np.arange(40)[:, None] % 2 == [0, 1], 1.0, 0.0)  # Every second clip is classified correctly.
    result = _result(labels, logits, folds=folds)
    resampled = bootstrap.resample({"x": result}, metric="accuracy", seed=0)["x"]
    score, resampled = resampled.score, resampled.resamplings
    weights = bootstrap.draw(folds, np.arange(40), count=len(resampled), rng=np.random.default_rng(0))
    assert (weights[:30].sum(axis=0) == 30).all()
    correct = (np.arange(40) % 2 == 0)[:, None] * weights
    np.testing.assert_allclose(resampled, (correct[:30].sum(axis=0) / 30 + correct[30:].sum(axis=0) / 10) / 2)
    assert score == 0.5
    low, high = bootstrap.Resampled(score=score, resamplings=resampled).interval()
    assert low < 0.5 < high
    # The variance of the mean of two folds, each that of a binomial share.
    np.testing.assert_allclose(resampled.std(), np.sqrt(0.25 / 30 + 0.25 / 10) / 2, rtol=0.1)


def _parts(recordings, parts, *, seed, share=0.7):
    """Draws recordings in five folds, each with a share of right answers of its own, and classifies their parts."""
    rng = np.random.default_rng(seed)
    right = np.repeat(rng.beta(0.6 * share, 0.6 * (1 - share), size=recordings), parts)
    correct = rng.random(recordings * parts) < right
    ids = [f"{k // parts}.wav@{10 * (k % parts)}.00" if parts > 1 else f"{k}.wav" for k in range(len(correct))]
    folds = np.repeat(np.arange(recordings) % 5 + 1, parts)
    return _result([(0,)] * len(correct), np.stack([correct, ~correct], axis=1), folds=folds, ids=ids), correct


@pytest.mark.parametrize("parts", [1, 6])
def test_an_interval_holds_the_accuracy_on_other_recordings_as_often_as_it_says(monkeypatch, parts):
    """With the parts drawn one by one, the intervals of six parts held it in 59 of 100 cases."""
    monkeypatch.setattr(bootstrap, "RESAMPLINGS", 200)
    held = 0
    for seed in range(150):
        low, high = bootstrap.intervals({"x": _parts(100, parts, seed=seed)[0]}, metric="accuracy", seed=seed)["x"]
        held += low <= 0.7 <= high
    assert 0.88 <= held / 150 <= 0.99


def test_recordings_are_drawn_with_all_their_parts():
    """The weights are those of a slow bootstrap, which draws the recordings by name with the same random numbers."""
    result, correct = _parts(12, 4, seed=1)
    kept = np.random.default_rng(2).permutation(48)[:37]  # Recordings of one to four parts, in mixed order.
    result = _result(
        [(0,)] * 37, result.logits[kept], folds=result.tested.folds[kept], ids=result.tested.clip_ids[kept]
    )
    resampled = bootstrap.resample({"x": result}, metric="accuracy", seed=5)["x"].resamplings
    rng, of_folds = np.random.default_rng(5), []
    for fold in range(1, 6):
        parts_of = {}
        for clip_id, right in zip(result.tested.clip_ids, correct[kept], strict=True):
            name = clip_id.split("@")[0]
            if int(name.removesuffix(".wav")) % 5 + 1 == fold:
                parts_of.setdefault(name, []).append(right)
        parts = list(parts_of.values())
        of_folds.append([])
        for _ in range(bootstrap.RESAMPLINGS):
            drawn = [parts[k] for k in rng.integers(len(parts), size=len(parts))]
            of_folds[-1].append(np.mean(np.concatenate(drawn)))
    np.testing.assert_allclose(resampled, np.mean(of_folds, axis=0))


def test_recordings_of_one_clip_are_drawn_as_clips():
    folds = np.array([2, 1, 1, 2, 2, 1, 1, 2])
    found = bootstrap.draw(folds, np.arange(8), count=50, rng=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    for fold in (1, 2):
        for resampling in range(50):
            np.testing.assert_array_equal(
                found[folds == fold, resampling], np.bincount(rng.integers(4, size=4), minlength=4)
            )


def test_the_clips_of_a_fold_that_is_one_recording_are_drawn():
    weights = bootstrap.draw(np.ones(30, int), np.zeros(30, int), count=100, rng=np.random.default_rng(0))
    assert (weights.sum(axis=0) == 30).all()
    assert weights.std() > 0.5


def test_a_difference_is_far_surer_than_either_score():
    """Both sets are right and wrong on the same clips, but for a few on which only the first one is right."""
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.7
    better = right.copy()
    better[np.flatnonzero(~right)[:12]] = True
    results = {
        name: _result([(0,)] * 400, np.stack([values, ~values], axis=1)) for name, values in
        {"first": better, "second": right}.items()
    }  # fmt: skip
    compared = bootstrap.compare(results, baseline="second", metric="accuracy", seed=0)
    assert list(compared) == ["first"]
    one = compared["first"]
    np.testing.assert_allclose(one.difference, 12 / 400)
    low, high = one.interval
    assert 0 < low < one.difference < high
    assert one.above_zero == 1.0
    (first_low, first_high), (second_low, _) = bootstrap.intervals(results, metric="accuracy", seed=0).values()
    assert high - low < (first_high - first_low) / 2
    assert first_low > second_low


def test_resamplings_without_a_positive_clip_are_none_in_which_the_baseline_is_better():
    """One of eight resamplings draws neither positive clip, and so has no mAP."""
    labels = [(0,), (0,), *[()] * 38]
    logits = np.linspace(1.0, 0.0, 40)[:, None]
    results = {"best": _result(labels, logits), "worst": _result(labels, -logits)}
    resampled = bootstrap.resample(results, metric="mAP", seed=0)
    unknown = np.isnan(resampled["best"].resamplings)
    assert 0.05 < unknown.mean() < 0.25
    assert (resampled["best"].resamplings[~unknown] > resampled["worst"].resamplings[~unknown]).all()
    assert bootstrap.compare(results, baseline="worst", metric="mAP", seed=0)["best"].above_zero == 1.0


def test_sets_on_different_clips_are_compared_on_those_that_both_have():
    rng = np.random.default_rng(1)
    labels = [(int(label),) for label in rng.integers(2, size=30)]
    logits = rng.normal(size=(30, 2))
    whole = _result(labels, logits, ids=[f"c{k}" for k in range(30)])
    part = [25, 3, 7, 20, 11, 12, 2, 28]  # In another order.
    sampled = _result([labels[k] for k in part], -logits[part], ids=[f"c{k}" for k in part])
    apart = _result(labels[:3], logits[:3], ids=["x", "y", "z"])
    results = {"whole": whole, "sampled": sampled, "apart": apart}
    compared = bootstrap.compare(results, baseline="sampled", metric="mAP", seed=0)
    assert compared["whole"].clips == len(part)
    assert "apart" not in compared  # It has no clip in common.
    assert bootstrap.compare(results, baseline="whole", metric="mAP", seed=0)["sampled"].clips == len(part)
    scores = bootstrap.scores_on_shared(whole, sampled, metric="mAP")
    targets = whole.tested.targets(2)[part]
    expected = [metrics.multi_label(targets, values)["mAP"] for values in (logits[part], -logits[part])]
    np.testing.assert_allclose(scores, expected)
    np.testing.assert_allclose(compared["whole"].difference, expected[0] - expected[1])
    assert np.isnan(bootstrap.scores_on_shared(whole, apart, metric="mAP")).all()


@pytest.mark.parametrize("metric", ["accuracy", "mAP"])
def test_the_clips_are_drawn_in_parts_so_that_memory_is_bounded(monkeypatch, metric):
    rng = np.random.default_rng(0)
    result = _result([(k % 2,) for k in range(20)], rng.normal(size=(20, 2)), folds=[1 + k % 2 for k in range(20)])
    whole = bootstrap.resample({"x": result}, metric=metric, seed=0)["x"].resamplings
    monkeypatch.setattr(bootstrap, "_WEIGHT_BYTES", 4 * 20 * 7)
    parts = bootstrap.resample({"x": result}, metric=metric, seed=0)["x"].resamplings
    assert len(parts) == len(whole) == bootstrap.RESAMPLINGS
    np.testing.assert_allclose(np.mean(parts), np.mean(whole), atol=0.02)


def test_resamplings_are_moved_to_the_score_and_no_further_than_scores_go():
    skewed = np.random.default_rng(0).gamma(2.0, 0.05, size=1000)
    one = bootstrap.Resampled(score=0.04, resamplings=skewed)
    np.testing.assert_allclose(one.centered.mean(), 0.04)
    low, high = np.percentile(skewed, [2.5, 97.5]) + 0.04 - skewed.mean()
    assert low < 0
    np.testing.assert_allclose(one.interval(), (0.0, high))
    np.testing.assert_allclose(one.interval(lowest=-1.0), (low, high))
    difference = one - bootstrap.Resampled(score=0.01, resamplings=skewed - 0.3)
    np.testing.assert_allclose(difference.interval(), (0.03, 0.03))  # Its bias of 0.27 is gone.
    unknown = bootstrap.Resampled(score=0.5, resamplings=np.array([0.4, np.nan, 0.6]))
    assert 0.4 <= unknown.interval()[0] < 0.5 < unknown.interval()[1] <= 0.6


COVERAGE = {
    "few clips of each of ten classes": (100, 3, 10, 2.0),
    "ten of a hundred clips": (100, 10, 10, 1.5),
    "rare classes": (400, 5, 20, 2.0),
    "frequent classes": (400, 40, 5, 1.5),
    "classes that are told apart well": (200, 4, 10, 3.0),
}


def _draw(rng, clips, classes, share, distances):
    truth = rng.random((clips, classes)) < share
    truth[0, ~truth.any(axis=0)] = True
    return truth, rng.normal(size=truth.shape) + truth * distances


@pytest.mark.slow
@pytest.mark.parametrize("case", COVERAGE)
def test_an_interval_holds_the_map_of_other_clips_as_often_as_it_says(case, monkeypatch):
    """Many sets of clips are drawn; their mean mAP is what the interval of each should hold. Both sides are missed."""
    monkeypatch.setattr(bootstrap, "RESAMPLINGS", 400)
    clips, positives, classes, distance = COVERAGE[case]
    rng = np.random.default_rng(0)
    distances = np.linspace(distance - 0.7, distance + 0.7, classes)
    draws = [_draw(rng, clips, classes, positives / clips, distances) for _ in range(1000)]
    truths = np.array([np.mean(metrics.average_precisions(truth, scores)) for truth, scores in draws])
    expected = truths.mean()
    intervals = []
    for truth, scores in draws[:200]:
        result = _result([tuple(np.flatnonzero(row).tolist()) for row in truth], scores)
        intervals.append(bootstrap.intervals({"x": result}, metric="mAP", seed=len(intervals))["x"])
    low, high = np.array(intervals).T
    assert 0.89 <= np.mean((low <= expected) & (expected <= high)) <= 0.99
    assert np.mean(low > expected) < 0.08
    assert np.mean(high < expected) < 0.08


@pytest.mark.slow
def test_the_interval_of_a_difference_holds_that_of_other_clips(monkeypatch):
    """Two sets of features whose scores for a clip are alike, as those of two encoders are."""
    monkeypatch.setattr(bootstrap, "RESAMPLINGS", 400)
    rng, held, differences, intervals = np.random.default_rng(0), [], [], []
    for number in range(1000):
        truth, scores = _draw(rng, 200, 8, 0.03, 2.0)
        better = scores + 0.5 * truth + 0.5 * rng.normal(size=truth.shape)
        values = [np.mean(metrics.average_precisions(truth, each)) for each in (better, scores)]
        differences.append(values[0] - values[1])
        if number < 200:
            labels = [tuple(np.flatnonzero(row).tolist()) for row in truth]
            results = {"better": _result(labels, better), "base": _result(labels, scores)}
            compared = bootstrap.compare(results, baseline="base", metric="mAP", seed=number)["better"]
            np.testing.assert_allclose(compared.difference, differences[-1], atol=1e-6)
            intervals.append(compared.interval)
    held = [low <= np.mean(differences) <= high for low, high in intervals]
    assert 0.89 <= np.mean(held) <= 0.99
