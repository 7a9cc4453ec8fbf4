import math

import numpy as np
import tensorflow as tf

from tests.benchmarks.rivals import views


def slow_resized_crop(x, draws):
    """Crops and interpolates one spectrum, point by point; the ends of the crop are ends of the result."""
    frames, bands = x.shape
    canvas = np.zeros((int(1.5 * frames), bands))
    before = (len(canvas) - frames) // 2
    canvas[before : before + frames] = x
    length = min(max(int((0.6 + 0.9 * draws[0]) * frames), 1), len(canvas))
    height = min(max(int((0.6 + 0.9 * draws[1]) * bands), 1), bands)
    top = int(draws[2] * (len(canvas) - length + 1))
    left = int(draws[3] * (bands - height + 1))
    crop = canvas[top : top + length, left : left + height]
    result = np.zeros((frames, bands))
    for t in range(frames):
        for f in range(bands):
            row, column = t * (length - 1) / (frames - 1), f * (height - 1) / (bands - 1)
            r, c = min(math.floor(row), length - 2), min(math.floor(column), height - 2)
            (a, b), (d, e) = crop[r : r + 2, c : c + 2]
            of_row = (a + (column - c) * (b - a), d + (column - c) * (e - d))
            result[t, f] = of_row[0] + (row - r) * (of_row[1] - of_row[0])
    return result


def test_a_resized_crop_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 21, 16)).astype(np.float32)
    draws = rng.random((24, 4), np.float32)
    draws[0], draws[1] = 0.0, 0.999
    expected = [slow_resized_crop(one, draw) for one, draw in zip(x, draws, strict=True)]
    np.testing.assert_allclose(views.resized_crop(tf.constant(x), tf.constant(draws)), expected, atol=5e-4)


def test_a_mix_adds_energies():
    rng = np.random.default_rng(0)
    x, past = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    shares = np.array([0.0, 0.25, 0.4], np.float32)
    mixed = views.mix(tf.constant(x), tf.constant(past), shares=tf.constant(shares))
    for one, own, other, share in zip(mixed.numpy(), x, past, shares, strict=True):
        np.testing.assert_allclose(np.exp(one), (1 - share) * np.exp(own) + share * np.exp(other), rtol=1e-5)


def test_the_first_batch_is_not_mixed_and_later_ones_are_mixed_with_what_came_before(monkeypatch):
    monkeypatch.setattr(views, "resized_crop", lambda x, draws: x)
    drawn = views.Views((2, 3), seed=0, past=4)
    quiet, loud = tf.fill((3, 2, 3), -4.0), tf.fill((3, 2, 3), 4.0)
    for view in drawn.draw(quiet):
        np.testing.assert_allclose(view, quiet, atol=1e-6)
    for view in drawn.draw(loud):
        assert (view.numpy() < 4.0).all()
    # The place of the oldest spectrum was taken first.
    np.testing.assert_array_equal(drawn._past[:, 0, 0], [4.0, 4.0, -4.0, 4.0])
    first, second = drawn.draw(quiet)
    assert np.abs(first - second).max() > 0.01


def test_two_views_of_a_spectrum_differ():
    first, second = views.Views((20, 16), seed=0, past=8).draw(tf.random.stateless_normal((4, 20, 16), seed=(0, 0)))
    assert np.abs(first - second).max() > 0.1
