import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from components.evaluator.probes import regression


def _features(*, rows=150, dim=12, seed=0):
    """Draws correlated features of very different variances and means."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dim, dim)) * np.logspace(0, -2, dim)[:, None]
    return (rng.normal(size=(rows, dim)) @ mixing + 3 * rng.normal(size=dim)).astype(np.float32), rng


def _labels(x, rng, *, classes):
    return np.argmax(
        (x - x.mean(axis=0)) @ rng.normal(size=(x.shape[1], classes)) + rng.normal(size=(len(x), classes)), axis=1
    )


def _standardized(x, rows):
    return (x - x[rows].mean(axis=0)) / x[rows].std(axis=0)


@pytest.mark.parametrize(("standardize", "is_inverted"), [(True, True), (False, True), (True, False), (False, False)])
def test_softmax_regressions_agree_with_scikit_learn(monkeypatch, standardize, is_inverted):
    if not is_inverted:  # As with more features.
        monkeypatch.setattr(regression, "_MOST_INVERTED", 0)
    x, rng = _features()
    labels = _labels(x, rng, classes=4)
    strengths = [0.01, 1.0, 30.0, 1.0]
    in_training = np.array([np.arange(150) % 5 != fold for fold in (0, 0, 0, 3)])
    found = regression.fit(
        x, np.eye(4, dtype=bool)[labels], in_training=in_training, strengths=strengths, kind="softmax",
        standardize=standardize, tolerance=1e-10,
    )  # fmt: skip
    for problem, rows in enumerate(in_training):
        features = _standardized(x.astype(np.float64), rows) if standardize else x.astype(np.float64)
        reference = LogisticRegression(C=strengths[problem], tol=1e-8, max_iter=10_000).fit(
            features[rows], labels[rows]
        )
        expected = reference.decision_function(features)
        logits = found.logits(x, problem=problem)
        np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))
        logits -= logits.mean(axis=1, keepdims=True)
        expected -= expected.mean(axis=1, keepdims=True)
        assert np.abs(logits - expected).max() < 5e-3 * np.abs(expected).max()


def test_sigmoid_regressions_agree_with_scikit_learn_class_by_class():
    x, rng = _features(seed=1)
    targets = (x - x.mean(axis=0)) @ rng.normal(size=(12, 3)) + rng.normal(size=(150, 3)) > [0, 1, 2]
    in_training = np.array([np.arange(150) % 5 != fold for fold in (0, 4)])
    found = regression.fit(x, targets, in_training=in_training, strengths=[0.3, 3.0], kind="sigmoid", tolerance=1e-10)
    for problem, rows in enumerate(in_training):
        features = _standardized(x.astype(np.float64), rows)
        for k in range(3):
            reference = LogisticRegression(C=[0.3, 3.0][problem], tol=1e-8, max_iter=10_000)
            expected = reference.fit(features[rows], targets[rows, k]).decision_function(features)
            assert np.abs(found.logits(x, problem=problem)[:, k] - expected).max() < 5e-3 * np.abs(expected).max()


def test_the_default_tolerance_gives_the_same_classes():
    x, rng = _features(rows=400)
    labels = _labels(x, rng, classes=5)
    data = {"in_training": np.ones((3, 400), bool), "strengths": [0.1, 1.0, 10.0], "kind": "softmax"}
    exact = regression.fit(x, np.eye(5, dtype=bool)[labels], **data, tolerance=1e-10)
    quick = regression.fit(x, np.eye(5, dtype=bool)[labels], **data)
    assert quick.converged.all()
    for problem in range(3):
        same = exact.logits(x, problem=problem).argmax(axis=1) == quick.logits(x, problem=problem).argmax(axis=1)
        assert same.mean() > 0.985


def test_constant_features_and_absent_classes_do_no_harm():
    x, _ = _features(rows=40, dim=3)
    x[:, 1] = 7.0
    targets = np.eye(4, dtype=bool)[np.arange(40) % 3]  # The last class has no row.
    found = regression.fit(x, targets, in_training=np.ones((1, 40), bool), strengths=[1.0], kind="softmax")
    assert (found.weights[:, :, 1] == 0).all()
    logits = found.logits(x, problem=0)
    assert np.isfinite(logits).all()
    assert (logits.argmax(axis=1) < 3).all()


@pytest.mark.parametrize("magnitude", [1.0, 1e-7, 1e5])
def test_sparse_features_agree_with_scikit_learn(magnitude):
    """Some units of a ReLU fire for no training row, but for rows that are tested."""
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=120)
    prototypes = rng.normal(size=(4, 48))
    x = np.maximum(rng.normal(size=(120, 48)) + prototypes[labels] - rng.uniform(0.5, 4, 48), 0)
    x = (magnitude * x).astype(np.float32)
    in_training = np.array([np.arange(120) % 5 != fold for fold in range(5)])
    is_dead = np.array([(np.ptp(x[rows], axis=0) == 0) & (np.ptp(x, axis=0) > 0) for rows in in_training])
    assert is_dead.any(axis=1).sum() >= 3
    found = regression.fit(
        x, np.eye(4, dtype=bool)[labels], in_training=in_training, strengths=[1.0] * 5, kind="softmax", tolerance=1e-10
    )
    for problem, rows in enumerate(in_training):
        assert (found.weights[problem][:, is_dead[problem]] == 0).all()
        scaler = StandardScaler().fit(x[rows].astype(np.float64))
        reference = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000)
        reference.fit(scaler.transform(x[rows].astype(np.float64)), labels[rows])
        expected = reference.decision_function(scaler.transform(x[~rows].astype(np.float64)))
        logits = found.logits(x[~rows], problem=problem)
        logits -= logits.mean(axis=1, keepdims=True)
        # scikit-learn leaves a dead unit unscaled, and gives it the weight 0, as no training row has it.
        expected -= expected.mean(axis=1, keepdims=True)
        assert np.abs(logits - expected).max() < 5e-3 * np.abs(expected).max()


def test_a_feature_that_is_larger_in_the_tested_rows_keeps_its_scale():
    x, rng = _features(rows=150)
    x[::5, 3] += 3e3 * x[:, 3].std()
    labels = _labels(_features(rows=150)[0], rng, classes=3)
    rows = np.arange(150) % 5 != 0
    targets = np.eye(3, dtype=bool)[labels]
    with_tested = regression.fit(
        x, targets, in_training=rows[None], strengths=[1.0], kind="softmax", tolerance=1e-10
    ).logits(x[rows], problem=0)
    alone = regression.fit(
        x[rows], targets[rows], in_training=np.ones((1, 120), bool), strengths=[1.0], kind="softmax", tolerance=1e-10
    ).logits(x[rows], problem=0)
    assert np.abs(with_tested - alone).max() < 5e-3 * np.abs(alone).max()


def test_memory_is_bounded_by_evaluating_rows_in_parts(monkeypatch):
    x, rng = _features()
    targets = np.eye(3, dtype=bool)[rng.integers(3, size=150)]
    data = {"in_training": np.ones((2, 150), bool), "strengths": [0.1, 1.0], "kind": "softmax", "tolerance": 1e-9}
    whole = regression.fit(x, targets, **data)
    monkeypatch.setattr(regression, "_CELLS", 40)
    parts = regression.fit(x, targets, **data)
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=0.02, atol=1e-3 * np.abs(whole.weights).max())


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_far_logits_give_exact_losses_and_no_subnormal_derivatives(kind):
    """Matrix products with subnormal numbers take many times as long."""
    rng = np.random.default_rng(0)
    logits = rng.uniform(-300, 300, (200, 1, 7)).astype(np.float32)
    targets = np.eye(7, dtype=bool)[rng.integers(7, size=200)][:, None]
    shares = np.full((200, 1), 1 / 200, np.float32)
    exact = logits.astype(np.float64)
    if kind == "softmax":
        probabilities = special.softmax(exact, axis=2)
        expected = (special.logsumexp(exact, axis=2, keepdims=True) - exact)[targets]
    else:
        probabilities = special.expit(exact)
        expected = np.logaddexp(0, np.where(targets, -exact, exact))
    loss, errors = (regression._softmax if kind == "softmax" else regression._sigmoid)(logits, targets, shares)
    np.testing.assert_allclose(loss, expected.sum() / 200, rtol=1e-5)
    np.testing.assert_allclose(errors, (probabilities - targets) / 200, atol=1e-8)
    assert not ((errors != 0) & (np.abs(errors) < np.finfo(np.float32).tiny)).any()
