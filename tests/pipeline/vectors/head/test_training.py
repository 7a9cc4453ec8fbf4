"""The head against scikit-learn, and its cross-validation against what it should be."""

import numpy as np
import pytest
from sklearn import linear_model, preprocessing

from pipeline.vectors.head import training


def blobs(*, files, classes, dim=12, noise=1.0, seed=0):
    random = np.random.default_rng(seed)
    centers = random.normal(size=(classes, dim))
    labels = np.arange(files) % classes
    x = centers[labels] + noise * random.normal(size=(files, dim))
    return x.astype(np.float32), np.eye(classes, dtype=bool)[labels]


def train(x, targets):
    """Trains on files with numbers for names."""
    files = [f"{row}.wav" for row in range(len(x))]
    return training.train(x, targets, files=files, classes=names(targets.shape[1]))


def names(count):
    return [f"class {i}" for i in range(count)]


@pytest.mark.parametrize("several", [False, True])
def test_the_final_head_is_that_of_scikit_learn(several):
    x, targets = blobs(files=120, classes=3, noise=2.0)
    if several:
        targets = targets | np.roll(targets, 1, axis=0) & (np.arange(120) % 2 == 0)[:, None]
    head, validated = train(x, targets)
    assert head.activation == ("sigmoid" if several else "softmax")
    scaled = preprocessing.StandardScaler().fit_transform(x)
    if several:
        models = [
            linear_model.LogisticRegression(C=validated.strength, tol=1e-6, max_iter=5000).fit(scaled, column)
            for column in targets.T
        ]
        expected = np.stack([model.predict_proba(scaled)[:, 1] for model in models], axis=1)
    else:
        model = linear_model.LogisticRegression(C=validated.strength, tol=1e-6, max_iter=5000)
        expected = model.fit(scaled, targets.argmax(axis=1)).predict_proba(scaled)
    np.testing.assert_allclose(head.scores(x), expected, atol=5e-3)


def test_separate_classes_score_one_and_labels_without_a_meaning_score_chance():
    x, targets = blobs(files=100, classes=4, noise=0.01)
    _, validated = train(x, targets)
    assert (validated.score, validated.low, validated.metric) == (1.0, 1.0, "accuracy")
    noise = np.random.default_rng(0).normal(size=(400, 12)).astype(np.float32)
    _, validated = train(noise, blobs(files=400, classes=4)[1])
    assert validated.low < 0.25 < validated.high
    assert validated.high - validated.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 * 0.75 / 400), rel=0.25)


def test_a_class_of_one_file_is_learned_and_counted_as_missed():
    x, targets = blobs(files=41, classes=2, noise=0.01)
    targets = np.column_stack([targets, np.zeros(41, bool)])
    targets[40] = [False, False, True]
    _, validated = train(x, targets)
    assert validated.class_scores["class 2"] == 0.0
    assert validated.class_files["class 2"] == 1
    assert validated.score == pytest.approx(40 / 41, abs=0.01)
