import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from components.evaluator.probes import few_shot, neighbors


def _data(*, train=60, tested=25, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(train + tested, 6)).astype(np.float32)
    labels = rng.integers(classes, size=train + tested)
    x += 0.8 * rng.normal(size=(classes, 6)).astype(np.float32)[labels]
    return x[:train], labels[:train], x[train:], labels[train:]


def test_knn_agrees_with_scikit_learn(monkeypatch):
    x, labels, tested, _ = _data()
    votes = neighbors.knn(x, np.eye(3, dtype=bool)[labels], tested)
    reference = KNeighborsClassifier(10, metric="cosine", weights=lambda distance: np.exp(-distance / 0.07))
    expected = reference.fit(x, labels).predict_proba(tested)
    np.testing.assert_allclose(votes, expected, atol=1e-5)
    monkeypatch.setattr(neighbors, "_CELLS", 100)
    np.testing.assert_allclose(neighbors.knn(x, np.eye(3, dtype=bool)[labels], tested), votes, atol=1e-6)


def test_knn_takes_what_there_is_and_several_labels():
    x = np.eye(3, dtype=np.float32)
    votes = neighbors.knn(x, np.array([[1, 1], [0, 1], [0, 0]], bool), np.array([[2, 0, 0], [0, 0, 0]], np.float32))
    assert votes[0, 0] > 0.99
    assert votes[0, 1] > 0.99
    np.testing.assert_allclose(votes[1], [1 / 3, 2 / 3], rtol=1e-5)  # A silent clip is as far from all.


def test_a_few_shots_are_8_clips_of_each_class_or_all():
    rng = np.random.default_rng(0)
    labels = np.array([0] * 50 + [1] * 20 + [2] * 3)[rng.permutation(73)]
    drawn = few_shot.draw(np.eye(4, dtype=bool)[labels], seed=(0, 1))
    assert np.bincount(labels[drawn]).tolist() == [8, 8, 3]
    assert drawn.tolist() == few_shot.draw(np.eye(4, dtype=bool)[labels], seed=(0, 1)).tolist()
    assert drawn.tolist() != few_shot.draw(np.eye(4, dtype=bool)[labels], seed=(0, 2)).tolist()
    several = few_shot.draw(np.ones((30, 2), bool), seed=(0,))
    assert len(several) == 8  # Each counts for both classes.


def test_the_few_shot_probe_agrees_with_scikit_learn():
    x, labels, tested, _ = _data(train=24)
    targets = np.eye(4, dtype=bool)[labels]  # The last class has no clip.
    logits = few_shot.classify(x, targets, tested, single_label=True)
    reference = LogisticRegression(C=1.0, max_iter=1000, tol=1e-8).fit(x, labels)
    np.testing.assert_allclose(
        np.exp(logits[:, :3]) / np.exp(logits[:, :3]).sum(axis=1, keepdims=True),
        reference.predict_proba(tested),
        atol=0.02,
    )
    assert (logits.argmax(axis=1) < 3).all()
    by_class = few_shot.classify(x, targets, tested, single_label=False)
    for k in range(3):
        expected = LogisticRegression(C=1.0, max_iter=1000, tol=1e-8).fit(x, labels == k).decision_function(tested)
        np.testing.assert_allclose(by_class[:, k], expected, atol=0.1)
