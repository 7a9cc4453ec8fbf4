import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from components.trainer import ridge_probe


def _clusters(rng, *, clips, classes, dim, spread):
    labels = np.arange(clips) % classes
    return rng.normal(size=(classes, dim))[labels] + spread * rng.normal(size=(clips, dim)), labels


def _leave_one_out(features, targets, ridge):
    """Predicts each clip by a regression that is fitted without it."""
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    predicted = np.zeros(targets.shape)
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        model = Ridge(alpha=ridge * len(x)).fit(x[others], targets[others].astype(float))
        predicted[i] = model.predict(x[i : i + 1])[0]
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
    name, score = ridge_probe.score(features, targets)
    if several_labels:
        expected = np.mean([average_precision_score(targets[:, k], best[:, k]) for k in range(4)])
        assert (name, score) == ("mAP", pytest.approx(expected, abs=1e-6))
    else:
        assert (name, score) == ("accuracy", np.mean(best.argmax(axis=1) == labels))


def test_the_probe_tells_features_that_separate_the_classes_from_noise():
    rng = np.random.default_rng(1)
    features, labels = _clusters(rng, clips=200, classes=5, dim=30, spread=0.3)
    targets = np.eye(5, dtype=bool)[labels]
    assert ridge_probe.score(features, targets)[1] > 0.95
    assert ridge_probe.score(rng.normal(size=features.shape), targets)[1] < 0.4
