import numpy as np
import pytest

from components.evaluator.predictions import Predictions
from pipeline.evaluation.report import clips, gathering


def predictions(truth, logits, *, classes=3):
    targets = np.zeros((len(truth), classes), bool)
    for row, labels in zip(targets, truth, strict=True):
        row[labels] = True
    names = np.array([f"{row}.wav" for row in range(len(truth))], object)
    return Predictions(
        clip_ids=names, splits=np.full(len(truth), "eval", object), targets=targets, logits=np.array(logits, np.float32)
    )


def test_the_hardest_clips_are_those_whose_class_is_least_likely():
    found = predictions([[0], [0], [1], [2]], [[3, 0, 0], [0, 5, 0], [2, 0, 0], [0.3, 0.3, 0.0]])
    assert clips.hardest(found, is_single=True).tolist() == [1, 2, 3]
    assert clips.hardest(found, is_single=True, most=1).tolist() == [1]


def test_one_class_does_not_fill_the_list():
    found = predictions([[0]] * 9 + [[1]], [[0, 5 + i, 0] for i in range(9)] + [[1, 0, 0]])
    assert clips.hardest(found, is_single=True).tolist() == [8, 7, 9]


def test_clips_with_several_classes_and_with_none():
    found = predictions([[0, 1], [], [2], [0]], [[5, -4, 0], [9, 9, 9], [0, 0, -6], [8, 0, 0]])
    assert clips.hardest(found, is_single=False).tolist() == [2, 0, 3]


@pytest.mark.parametrize("is_single", [True, False])
def test_probabilities(is_single):
    probabilities = clips.probabilities_of(np.array([[0.0, 1000.0, -1000.0]]), is_single=is_single)
    np.testing.assert_allclose(probabilities[0, 1:], [1, 0], atol=1e-9)
    assert probabilities[0, 0] == (0.0 if is_single else 0.5)


def test_confusion_leaves_out_classes_that_are_not_tested():
    found = predictions([[0], [0], [2], [2]], [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], classes=4)
    confusion, shown = gathering.confusion_matrix(found)
    assert shown.tolist() == [0, 2, 3]
    np.testing.assert_allclose(confusion, [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0]])
