import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from components import metrics
from tests.reference import fixture


def _average_precision(truth, scores):
    """Averages the precision over the ranks where recall rises. Equal scores share a rank."""
    total = 0.0
    for threshold in sorted(set(scores), reverse=True):
        retrieved = scores >= threshold
        new_positives = truth & (scores == threshold)
        total += new_positives.sum() / truth.sum() * (truth & retrieved).sum() / retrieved.sum()
    return total


def _area(truth, scores):
    """Returns the share of (positive, negative) pairs that are in the right order. Equal scores count half."""
    pairs = scores[truth][:, None] - scores[~truth][None]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean()


@given(seed=st.integers(0, 1000), clips=st.integers(2, 30), levels=st.integers(2, 6))
def test_metrics_agree_with_their_definitions(seed, clips, levels):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random((clips, 4)) < 0.4, rng.integers(levels, size=(clips, 4)) / levels
    result = metrics.multi_label(truth, scores)
    with_positives = [k for k in range(4) if truth[:, k].any()]
    assert result["classes_left_out"] == 4 - len(with_positives)
    if not with_positives:
        assert result["mAP"] is None
        return
    expected = [_average_precision(truth[:, k], scores[:, k]) for k in with_positives]
    np.testing.assert_allclose(result["mAP"], np.mean(expected))
    areas = [_area(truth[:, k], scores[:, k]) for k in with_positives if not truth[:, k].all()]
    if areas:
        np.testing.assert_allclose(result["AUC"], np.mean(areas))


@given(
    seed=st.integers(0, 1000),
    clips=st.integers(1, 60),
    levels=st.sampled_from([1, 2, 5, 10**6]),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    cells=st.sampled_from([1, 100, 2**21]),
)
def test_every_class_agrees_with_scikit_learn(seed, clips, levels, dtype, cells):
    rng = np.random.default_rng(seed)
    targets = rng.random((clips, 5)) < rng.choice([0.0, 0.1, 0.5, 1.0], size=5)
    scores = (rng.integers(levels, size=(clips, 5)) / levels - 0.5).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_CELLS", cells)
        precisions, areas = metrics.average_precisions(targets, scores), metrics.areas_under_roc(targets, scores)
    for k in range(5):
        truth, score = targets[:, k], scores[:, k].astype(np.float64)
        expected = sklearn.metrics.average_precision_score(truth, score) if truth.any() else np.nan
        np.testing.assert_allclose(precisions[k], expected, rtol=1e-9, atol=1e-9)
        expected = sklearn.metrics.roc_auc_score(truth, score) if truth.any() and not truth.all() else np.nan
        np.testing.assert_allclose(areas[k], expected, rtol=1e-9, atol=1e-9)


def test_metrics_agree_with_the_reference_with_and_without_ties():
    vectors = fixture("map")
    scores = vectors["scores"]
    targets = np.unpackbits(vectors["targets"], axis=0)[: len(scores)].astype(bool)
    halves = np.round(2 * scores) / 2
    for prefix, values in (("", scores), ("tied_", halves)):
        for name, compute in (("ap", metrics.average_precisions), ("auc", metrics.areas_under_roc)):
            np.testing.assert_allclose(compute(targets, values), vectors[prefix + name], rtol=1e-9)
    logits = vectors["subclip_logits"].mean(axis=0)
    result = metrics.multi_label(vectors["subclip_y"].astype(bool), logits)
    np.testing.assert_allclose(result["mAP"], vectors["subclip_mAP_logit_mean"], rtol=1e-9)


@given(seed=st.integers(0, 1000), clips=st.integers(1, 40), levels=st.sampled_from([2, 5, 10**6]))
def test_precision_recall_curves_agree_with_scikit_learn(seed, clips, levels):
    rng = np.random.default_rng(seed)
    targets, scores = rng.random((clips, 3)) < 0.3, rng.integers(levels, size=(clips, 3)).astype(float)
    recalls = np.linspace(0, 1, 11)
    curves = metrics.precision_at(targets, scores, recalls=recalls)
    for k in range(3):
        if not targets[:, k].any():
            assert np.isnan(curves[k]).all()
            continue
        precision, recall, _ = sklearn.metrics.precision_recall_curve(targets[:, k], scores[:, k])
        # The last point of scikit-learn's curve, a precision of 1 at a recall of 0, has no threshold.
        expected = [precision[:-1][recall[:-1] >= point - 1e-9].max() for point in recalls]
        np.testing.assert_allclose(curves[k], expected, rtol=1e-9)


def test_clips_that_do_not_exist_have_no_score():
    result = metrics.multi_label(np.zeros((0, 3), bool), np.zeros((0, 3), np.float32))
    assert (result["mAP"], result["AUC"], result["d_prime"], result["classes_left_out"]) == (None, None, None, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_an_error(value):
    with pytest.raises(ValueError, match="not finite"):
        metrics.multi_label(np.ones((2, 1), bool), np.array([[0.0], [value]]))


def test_d_prime_of_known_areas():
    np.testing.assert_allclose(metrics.d_prime(0.5), 0.0, atol=1e-12)
    # The area for two normal distributions of unit variance whose means are 1 apart.
    np.testing.assert_allclose(metrics.d_prime(0.76024994), 1.0, atol=1e-6)
    assert np.isfinite(metrics.d_prime(1.0))
