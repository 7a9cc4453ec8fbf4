import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.trainer.modality_gap import modality_gap


def gap(z_a, z_b):
    return float(modality_gap(tf.constant(z_a, tf.float32), tf.constant(z_b, tf.float32)))


@settings(deadline=None)
@given(seed=st.integers(0, 100), clips=st.integers(1, 20), dim=st.integers(1, 8), length=st.floats(1e-2, 1e3))
def test_it_is_the_distance_of_the_mean_directions(seed, clips, dim, length):
    rng = np.random.default_rng(seed)
    z_a, z_b = rng.normal(size=(2, clips, dim)) + rng.normal(size=(2, 1, dim))
    centers = [sum(z / np.sqrt(sum(value**2 for value in z)) for z in branch) / clips for branch in (z_a, z_b)]
    expected = np.sqrt(sum((a - b) ** 2 for a, b in zip(*centers, strict=True)))
    assert gap(z_a, z_b) == pytest.approx(expected, abs=1e-5)
    assert gap(z_b, z_a) == pytest.approx(expected, abs=1e-5)
    assert gap(length * z_a, z_b) == pytest.approx(expected, abs=1e-5)


def test_known_gaps():
    points = np.eye(4)
    assert gap(points, points) == 0
    assert gap(points, points[::-1]) == 0
    assert gap(np.ones((3, 2)), -np.ones((3, 2))) == pytest.approx(2)
    assert gap(np.zeros((3, 2)), np.zeros((3, 2))) == 0


def test_by_chance_it_falls_with_the_number_of_clips():
    rng = np.random.default_rng(0)
    gaps = [gap(*rng.normal(size=(2, 200, 32))) for _ in range(50)]
    assert np.mean(gaps) == pytest.approx(np.sqrt(2 / 200), rel=0.1)
