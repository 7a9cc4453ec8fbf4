import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from components import metrics, ridge_probe


def _clusters(rng, *, clips, classes, dim, spread):
    labels = np.arange(clips) % classes
    return rng.normal(size=(classes, dim))[labels] + spread * rng.normal(size=(clips, dim)), labels


def _long_tail(*, clips=2000, classes=527):
    """Draws labels with AudioSet's kind of class sizes: most classes have a handful of clips or none."""
    rng = np.random.default_rng(0)
    shares = 0.45 / np.arange(1, classes + 1) ** 1.3
    targets = rng.random((clips, classes)) < shares
    targets[~targets.any(axis=1), 0] = True
    return targets


def _leave_one_out(features, targets, ridge):
    """Predicts each clip by a regression that is fitted without it, and adds the share of each class in all clips."""
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    predicted = np.zeros(targets.shape)
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        model = Ridge(alpha=ridge * len(x)).fit(x[others], targets[others].astype(float))
        predicted[i] = model.predict(x[i : i + 1])[0] - targets[others].mean(axis=0) + targets.mean(axis=0)
    return predicted


@pytest.mark.parametrize("dim", [5, 60])
@pytest.mark.parametrize("several_labels", [False, True])
def test_the_score_is_that_of_regressions_fitted_without_each_clip(dim, several_labels):
    rng = np.random.default_rng(0)
    features, labels = _clusters(rng, clips=40, classes=4, dim=dim, spread=2.0)
    targets = np.eye(4, dtype=bool)[labels]
    if several_labels:
        targets |= rng.random(targets.shape) < 0.2
    predictions = [_leave_one_out(features, targets, ridge) for ridge in ridge_probe._RIDGES]
    best = min(predictions, key=lambda predicted: np.mean((predicted - targets) ** 2))
    np.testing.assert_allclose(ridge_probe.leave_one_out(features, targets), best, atol=1e-9)
    name, score = ridge_probe.score(features, targets)
    if several_labels:
        expected = np.mean([average_precision_score(targets[:, k], best[:, k]) for k in range(4)])
        assert (name, score) == ("mAP", pytest.approx(expected, abs=1e-6))
    else:
        assert (name, score) == ("accuracy", np.mean(best.argmax(axis=1) == labels))


@pytest.mark.parametrize("dim", [None, 128, 1024])
def test_a_perfect_embedding_scores_high_with_a_long_tail_of_classes(dim):
    """As in AudioSet, most of the classes among 2,000 clips have a single one."""
    targets = _long_tail()
    features = targets.astype(float)
    if dim is not None:
        features = features @ np.random.default_rng(1).normal(size=(targets.shape[1], dim))
    metric, score = ridge_probe.score(features, targets)
    assert metric == "mAP"
    assert score > 0.97


@pytest.mark.parametrize("dim", [64, 600])
def test_an_embedding_without_information_scores_chance(dim):
    """The mean of the other clips' labels alone would rank all positives last: an accuracy of 0."""
    labels = np.arange(400) % 20
    targets = np.eye(20, dtype=bool)[labels]
    scores = [ridge_probe.score(np.random.default_rng(seed).normal(size=(400, dim)), targets)[1] for seed in range(10)]
    assert 0.03 < np.mean(scores) < 0.07
    two_labels = targets | np.roll(targets, 7, axis=0)
    scores = [
        ridge_probe.score(np.random.default_rng(seed).normal(size=(400, dim)), two_labels)[1] for seed in range(5)
    ]
    chance = np.random.default_rng(0).normal(size=two_labels.shape)
    expected = np.mean([average_precision_score(two_labels[:, k], chance[:, k]) for k in range(20)])
    assert np.mean(scores) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("dim", [64, 600])
def test_an_embedding_without_information_never_beats_chance_with_a_long_tail_of_classes(dim):
    """It scores below chance: what is fitted without a positive clip leans a little away from it."""
    targets = _long_tail(clips=600)
    targets = targets[:, ridge_probe.scored_classes(targets)]
    rng = np.random.default_rng(0)
    chance = metrics.multi_label(targets, rng.normal(size=targets.shape))["mAP"]
    score = np.mean([ridge_probe.score(rng.normal(size=(600, dim)), targets)[1] for _ in range(3)])
    assert 0.3 * chance < score < 1.1 * chance


def test_constant_features_score_as_the_largest_class_does():
    targets = np.eye(3, dtype=bool)[np.repeat([0, 1, 2], [30, 10, 10])]
    assert ridge_probe.score(np.ones((50, 4)), targets) == ("accuracy", pytest.approx(0.6))


def test_classes_with_too_few_clips_are_left_out():
    targets = np.zeros((20, 5), bool)
    for k, positives in enumerate((0, 1, 2, 18, 19)):
        targets[:positives, k] = True
    assert ridge_probe.scored_classes(targets).tolist() == [2, 3]
    single = np.eye(3, dtype=bool)[np.repeat([0, 1, 2], [8, 8, 1])]
    separated = single @ np.eye(3)
    assert ridge_probe.score(separated, single) == ("accuracy", 1.0)


@pytest.mark.parametrize(
    "targets",
    [np.ones((30, 1), bool), np.ones((30, 4), bool), np.eye(30, dtype=bool), np.eye(2, dtype=bool)[[0] * 29 + [1]]],
    ids=["one class", "every clip has every label", "one clip a class", "a class of one clip"],
)
def test_labels_that_tell_nothing_give_no_score(targets):
    assert ridge_probe.score(np.random.default_rng(0).normal(size=(30, 8)), targets)[1] is None


def test_the_probe_tells_features_that_separate_the_classes_from_noise():
    rng = np.random.default_rng(1)
    features, labels = _clusters(rng, clips=200, classes=5, dim=30, spread=0.3)
    targets = np.eye(5, dtype=bool)[labels]
    assert ridge_probe.score(features, targets)[1] > 0.95
    assert ridge_probe.score(rng.normal(size=features.shape), targets)[1] < 0.4
