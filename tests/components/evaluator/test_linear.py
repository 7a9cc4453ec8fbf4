import dataclasses

import numpy as np
from sklearn.linear_model import LogisticRegression

from beam_jobs.embedding.read import Embeddings
from components.evaluator.clips import read_clips
from components.evaluator.features import sets_of
from components.evaluator.probes import linear
from tests.components.evaluator.scattered_clips import scattered_clips
from tests.components.stored_embeddings import write_embeddings


def test_linear_probe_scores_high_on_separable_features_and_low_on_noise():
    x, clips = scattered_clips()
    good = linear.probe(x, clips, classes=4, c_grid=(0.01, 0.1, 1.0))
    noise = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    bad = linear.probe(noise, clips, classes=4, c_grid=(0.01, 0.1, 1.0))
    assert good.score > 0.9
    assert bad.score < 0.4
    assert set(good.details["folds"]) == {"1", "2", "3", "4", "5"}
    np.testing.assert_allclose(good.score, np.mean(list(good.details["folds"].values())))
    np.testing.assert_allclose(good.details["spread"], np.std(list(good.details["folds"].values()), ddof=1))
    np.testing.assert_allclose(np.mean(good.predictions == good.tested.label_values), good.score)


def test_linear_probe_agrees_with_scikit_learn():
    x, clips = scattered_clips(separation=0.6, dim=20)
    result = linear.probe(x, clips, classes=4, c_grid=(0.1,))
    means = np.add.reduceat(x, np.cumsum(clips.rows) - clips.rows) / clips.rows[:, None]
    for fold in range(1, 6):
        inside = clips.folds == fold
        rows = ~inside[clips.clip_of_row]
        mean, deviation = x[rows].mean(axis=0, dtype=float), x[rows].std(axis=0, dtype=float)
        reference = LogisticRegression(C=0.1, tol=1e-6, max_iter=5000)
        reference.fit((x[rows] - mean) / deviation, clips.label_values[clips.clip_of_row[rows]])
        expected = np.mean(reference.predict((means[inside] - mean) / deviation) == clips.label_values[inside])
        assert abs(result.details["folds"][str(fold)] - expected) <= 1 / inside.sum() + 1e-9


def test_linear_probe_selects_the_regularization_on_the_first_fold():
    x, clips = scattered_clips(separation=0.7)
    result = linear.probe(x, clips, classes=4, c_grid=(1e-4, 0.1, 10.0))
    accuracy_by_c = result.details["first_fold_by_C"]
    assert accuracy_by_c[str(result.details["C"])] == max(accuracy_by_c.values()) == result.details["folds"]["1"]


def test_linear_probe_never_trains_on_the_fold_it_is_tested_on():
    """Each fold holds a class that no other fold has, so a correct probe is always wrong."""
    x, clips = scattered_clips(classes=5, folds=5)
    clips = dataclasses.replace(clips, folds=clips.label_values + 1)
    assert linear.probe(x, clips, classes=5, c_grid=(0.1, 1.0)).score == 0.0


def test_a_test_fold_changes_no_classifier_that_tests_it():
    x, clips = scattered_clips()
    inside = clips.folds == 2
    doubled = x * np.where(inside, 2, 1).astype(np.float32)[clips.clip_of_row, None]
    rng = np.random.default_rng(0)
    mixed = dataclasses.replace(
        clips, label_values=np.where(inside, rng.permutation(clips.label_values), clips.label_values)
    )
    before = linear.probe(x, clips, classes=4, c_grid=(0.1,)).logits[inside]
    np.testing.assert_allclose(linear.probe(x, mixed, classes=4, c_grid=(0.1,)).logits[inside], before, atol=1e-3)
    # Logits are linear, so that without another classifier the bias is what remains of twice the old ones.
    bias = 2 * before - linear.probe(doubled, clips, classes=4, c_grid=(0.1,)).logits[inside]
    np.testing.assert_allclose(bias, np.broadcast_to(bias[0], bias.shape), atol=0.01 * np.abs(before).max())


def test_clips_of_no_fold_and_of_several_labels_are_not_tested(tmp_path):
    rng = np.random.default_rng(0)
    stored = [((int(rng.integers(3)),), k % 4, 2) for k in range(60)] + [((0, 1), 1, 2), ((), 2, 1)]
    embedders = {"trained": {"waveform": (6, 2.0), "log_mel": (4, 0.0)}}
    folder = write_embeddings(tmp_path / "e", {"train": stored}, embedders, label_names="abcd", has_folds=True)
    embeddings = Embeddings(folder)
    clips = read_clips(embeddings, "trained")
    sets = sets_of("trained", embeddings.info.embedders["trained"])
    options = {"scored": (0, 1, 2), "classes": 4, "c_grid": (0.1, 1.0)}
    results = linear.probe_all(embeddings, sets, clips, **options)
    assert list(results) == ["waveform", "log_mel", "both"]
    assert results["waveform"].score > 0.75 > 0.5 > results["log_mel"].score
    tested = results["both"].tested
    assert len(tested) == 45  # Of 60, every fourth is in fold 0.
    assert results["both"].class_scores[3] is None
    assert results["both"].details["trained_on"] == "sub-clips"


def test_of_too_many_sub_clips_the_means_are_taken_and_of_too_many_clips_a_sample(tmp_path, monkeypatch):
    stored = [((k % 2,), k % 4 + 1, 3) for k in range(40)]
    folder = write_embeddings(tmp_path / "e", {"train": stored}, {"trained": {"x": (5, 3.0)}}, label_names="ab")
    embeddings = Embeddings(folder)
    sets, clips = sets_of("trained", embeddings.info.embedders["trained"]), read_clips(embeddings, "trained")
    options = {"scored": (0, 1), "classes": 2, "c_grid": (1.0,)}
    for most, trained_on, tested in ((120, "sub-clips", 40), (119, "the mean of each clip", 40), (39, None, 39)):
        monkeypatch.setattr(linear, "_ELEMENTS", 5 * most)
        result = linear.probe_all(embeddings, sets, clips, **options)["x"]
        assert result.score > 0.9
        assert len(result.tested) == tested
        if trained_on:
            assert result.details["trained_on"] == trained_on
    assert result.details["sample"] == "39 of 40 clips"
