import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from components.trainer import validation


def _clusters(rng, *, clips, classes, dim, spread):
    labels = np.arange(clips) % classes
    return rng.normal(size=(classes, dim))[labels] + spread * rng.normal(size=(clips, dim)), labels


def _left_out(features, targets, ridge):
    """Each clip predicted by a regression that is really fitted without it."""
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    predicted = np.zeros(targets.shape)
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        model = Ridge(alpha=ridge * len(x)).fit(x[others], targets[others].astype(float))
        predicted[i] = model.predict(x[i : i + 1])[0]
    return predicted


@pytest.mark.parametrize("dim", [5, 60])
@pytest.mark.parametrize("several_labels", [False, True])
def test_probe_is_that_of_regressions_fitted_without_each_clip(dim, several_labels):
    rng = np.random.default_rng(0)
    features, labels = _clusters(rng, clips=40, classes=4, dim=dim, spread=2.0)
    targets = np.eye(4, dtype=bool)[labels]
    if several_labels:
        targets |= rng.random(targets.shape) < 0.2
    predictions = [_left_out(features, targets, ridge) for ridge in validation._RIDGES]
    best = min(predictions, key=lambda predicted: np.mean((predicted - targets) ** 2))
    name, score = validation.ridge_probe(features, targets)
    if several_labels:
        expected = np.mean([average_precision_score(targets[:, k], best[:, k]) for k in range(4)])
        assert (name, score) == ("mAP", pytest.approx(expected, abs=1e-6))
    else:
        assert (name, score) == ("accuracy", np.mean(best.argmax(axis=1) == labels))


def test_probe_tells_features_that_know_the_class_from_noise():
    rng = np.random.default_rng(1)
    features, labels = _clusters(rng, clips=200, classes=5, dim=30, spread=0.3)
    targets = np.eye(5, dtype=bool)[labels]
    assert validation.ridge_probe(features, targets)[1] > 0.95
    assert validation.ridge_probe(rng.normal(size=features.shape), targets)[1] < 0.4


@settings(deadline=None)
@given(dim=st.integers(1, 12), seed=st.integers(0, 100), level=st.floats(1e-3, 1e3))
def test_effective_rank_lies_between_one_and_the_dimensions(dim, seed, level):
    rng = np.random.default_rng(seed)
    rank = validation.effective_rank(level * rng.normal(size=(40, dim)) + 3.0)
    assert 1.0 <= rank <= dim + 1e-6


def test_effective_rank_of_what_is_known():
    rng = np.random.default_rng(0)
    assert validation.effective_rank(rng.normal(size=(20_000, 8))) == pytest.approx(8.0, abs=0.02)
    line = rng.normal(size=(100, 1)) @ rng.normal(size=(1, 8))
    assert validation.effective_rank(line) == pytest.approx(1.0, abs=1e-6)
    assert validation.effective_rank(np.full((10, 8), 5.0, np.float32)) == 1.0
    both = np.concatenate([np.eye(2), -np.eye(2)])
    assert validation.effective_rank(both) == pytest.approx(2.0)
