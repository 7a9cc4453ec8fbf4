import dataclasses

import numpy as np
import pytest

from components.evaluator.probes import linear, mlp
from tests.components.evaluator.scattered_clips import scattered_clips


def test_linear_probe_scores_high_on_separable_features_and_low_on_noise():
    clips = scattered_clips()
    good = linear.probe(clips, "x", classes=4, c_grid=(0.01, 0.1, 1.0))
    noise = linear.probe(clips, "noise", classes=4, c_grid=(0.01, 0.1, 1.0))
    assert good.score > 0.9
    assert noise.score < 0.4
    assert set(good.details["folds"]) == {"1", "2", "3", "4", "5"}
    np.testing.assert_allclose(good.score, np.mean(list(good.details["folds"].values())))
    truth = np.array([label for (label,) in clips.labels])
    np.testing.assert_allclose(np.mean(good.predictions == truth), good.score)  # All folds have the same size.


def test_linear_probe_selects_the_regularization_on_the_first_fold():
    result = linear.probe(scattered_clips(separation=0.7), "x", classes=4, c_grid=(1e-4, 0.1, 10.0))
    accuracy_by_c = result.details["first_fold_by_C"]
    assert accuracy_by_c[str(result.details["C"])] == max(accuracy_by_c.values()) == result.details["folds"]["1"]


def test_linear_probe_never_trains_on_the_fold_it_is_tested_on():
    """Each fold holds a class that no other fold has, so a correct probe is always wrong."""
    clips = scattered_clips(classes=5, folds=5)
    fold_of_class = np.array([1 + label for (label,) in clips.labels])
    clips = dataclasses.replace(clips, folds=fold_of_class)
    assert linear.probe(clips, "x", classes=5, c_grid=(0.1, 1.0)).score == 0.0


def test_mlp_probe_learns_several_labels_per_clip():
    splits = ["train"] * 140 + ["valid"] * 20 + ["eval"] * 40
    clips = scattered_clips(splits=splits, folds=0)
    clips = dataclasses.replace(clips, labels=[(a, 4) if a < 2 else (a,) for (a,) in clips.labels])
    options = {"hidden": 32, "epochs": 12, "patience": 6, "batch_size": 32, "learning_rate": 1e-2, "seed": 0}
    good = mlp.probe(clips, "x", classes=6, **options)
    noise = mlp.probe(clips, "noise", classes=6, **options)
    assert good.score > 0.9 > 0.7 > noise.score
    assert good.class_scores[5] is None  # No clip has this class.
    assert good.details["classes_left_out"] == 1
    again = mlp.probe(clips, "x", classes=6, **options)
    np.testing.assert_allclose(again.score, good.score, atol=1e-3)


@pytest.mark.parametrize(("valid", "selects"), [(199, False), (200, True)])
def test_mlp_probe_selects_its_epoch_only_with_enough_validation_clips(valid, selects):
    splits = ["train"] * 60 + ["valid"] * valid + ["eval"] * 20
    clips = scattered_clips(clips=len(splits), splits=splits, folds=0)
    options = {"hidden": 32, "epochs": 8, "patience": 2, "batch_size": 32, "learning_rate": 0.1, "seed": 0}
    details = mlp.probe(clips, "noise", classes=5, **options).details
    if selects:
        assert 1 <= details["best_epoch"] <= details["epochs"]
    else:
        assert details["best_epoch"] is None
        assert details["epochs"] == 8
