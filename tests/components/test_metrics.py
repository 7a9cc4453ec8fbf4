import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components import metrics


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


def test_d_prime_of_known_areas():
    np.testing.assert_allclose(metrics.d_prime(0.5), 0.0, atol=1e-12)
    # The area for two normal distributions of unit variance whose means are 1 apart.
    np.testing.assert_allclose(metrics.d_prime(0.76024994), 1.0, atol=1e-6)
    assert np.isfinite(metrics.d_prime(1.0))
