import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models import contrastive
from tests.reference import fixture, needs_reference, relative_error


def _slow(z_a, z_b, temperature):
    """Eq. (1), anchor by anchor, in float64."""
    z = np.concatenate([z_a, z_b]).astype("float64")
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    n = len(z_a)
    similarity = z @ z.T / temperature
    anchors = []
    for i in range(2 * n):
        positive = similarity[i, (i + n) % (2 * n)]
        others = [similarity[i, k] for k in range(2 * n) if k != i]
        anchors.append(-positive + np.log(np.sum(np.exp(others))))
    return np.array(anchors[:n]) + np.array(anchors[n:])


@given(pairs=st.integers(1, 9), dim=st.integers(2, 6), temperature=st.floats(0.05, 2.0), seed=st.integers(0, 99))
def test_equals_the_slow_reference(pairs, dim, temperature, seed):
    z_a, z_b = np.random.default_rng(seed).normal(size=(2, pairs, dim)).astype("float32")
    found = contrastive.nt_xent(z_a, z_b, temperature=temperature)
    np.testing.assert_allclose(found, _slow(z_a, z_b, temperature), rtol=1e-4, atol=1e-5)


@needs_reference
@pytest.mark.parametrize("case", "abcde")
def test_equals_the_float64_oracle_in_value_and_gradient(case):
    vectors = {key[2:]: value for key, value in fixture("ntxent").items() if key.startswith(f"{case}/")}
    z_a, z_b = (tf.constant(vectors[name], tf.float32) for name in "uv")
    with tf.GradientTape() as tape:
        tape.watch([z_a, z_b])
        loss, logs = contrastive.nt_xent_with_logs(z_a, z_b, temperature=float(vectors["tau"]))
        mean = tf.reduce_mean(loss) / 2
    anchors = vectors["per_anchor"]
    np.testing.assert_allclose(loss, anchors[: len(loss)] + anchors[len(loss) :], rtol=1e-5, atol=1e-8)
    assert float(logs["top1"]) == pytest.approx(vectors["top1_acc"])
    for found, name in zip(tape.gradient(mean, [z_a, z_b]), "uv", strict=True):
        expected = vectors[f"grad_{name}_mean_over_anchors"]
        if np.abs(expected).max() > 0:  # a single pair has no negative, and no gradient
            assert relative_error(found, expected) < 1e-5
        else:
            np.testing.assert_allclose(found, 0.0, atol=1e-12)


@pytest.mark.parametrize("pairs", [2, 16, 256])
def test_at_equal_similarities_an_anchor_loses_the_log_of_the_others(pairs):
    loss, logs = contrastive.nt_xent_with_logs(np.ones((pairs, 4)), np.ones((pairs, 4)))
    np.testing.assert_allclose(loss, 2 * math.log(2 * pairs - 1), rtol=1e-6)
    assert float(logs["top1"]) == 0.0, "a tie is no hit"


def test_logs_of_well_separated_pairs():
    z = np.eye(8, dtype="float32")
    _, logs = contrastive.nt_xent_with_logs(z, z)
    assert {name: float(value) for name, value in logs.items()} == pytest.approx(
        {"top1": 1.0, "positive_similarity": 1.0, "negative_similarity": 0.0}
    )


def test_a_zero_projection_is_finite():
    z_a, z_b = tf.zeros((3, 4)), tf.ones((3, 4))
    with tf.GradientTape() as tape:
        tape.watch([z_a, z_b])
        loss = contrastive.nt_xent(z_a, z_b)
    assert np.isfinite(loss).all()
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, [z_a, z_b]))


def test_bfloat16_projections_are_compared_in_float32():
    z_a, z_b = (tf.cast(tf.random.stateless_normal((64, 32), (i, 0)), tf.bfloat16) for i in range(2))
    found = contrastive.nt_xent(z_a, z_b)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, _slow(*(tf.cast(z, tf.float32).numpy() for z in (z_a, z_b)), 0.1), rtol=1e-4)
