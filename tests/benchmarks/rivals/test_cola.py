import math

import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.audio import pcm
from tests.benchmarks.rivals import cola


def slow_cross_entropy(similarities):
    """Writes out the softmax for one anchor after the other."""
    losses = []
    for anchor, row in enumerate(np.asarray(similarities, np.float64)):
        losses.append(-math.log(math.exp(row[anchor]) / sum(math.exp(value) for value in row)))
    return sum(losses) / len(losses)


def test_the_cross_entropy_is_that_of_each_row():
    similarities = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    assert float(cola.cross_entropy(tf.constant(similarities))) == pytest.approx(slow_cross_entropy(similarities))


def test_equal_similarities_leave_chance():
    assert float(cola.cross_entropy(tf.zeros((5, 5)))) == pytest.approx(math.log(5))


def test_the_loss_compares_the_crops_of_a_batch_by_a_bilinear_form(examples, config_of):
    method = cola.Cola(config_of("cola"), examples)
    batch = next(method._batches)
    loss = float(method.loss(batch))

    crops = tf.concat([batch["a"], batch["b"]], axis=0)
    embeddings = method.encoder(method.front_end(pcm.to_float(crops)), training=True).numpy().astype(np.float64)
    (kernel, bias, scale, offset), (matrix,) = (head.get_weights() for head in method.heads)
    linear = embeddings @ kernel + bias
    centered = linear - linear.mean(axis=1, keepdims=True)
    deviations = np.sqrt(linear.var(axis=1, keepdims=True) + 1e-3)
    projections = np.tanh(centered / deviations * scale + offset)
    anchors, positives = np.split(projections, 2)
    # The layer multiplies from the right, so its matrix is that of the form, transposed.
    similarities = [[anchor @ matrix.T @ positive for positive in positives] for anchor in anchors]
    assert loss == pytest.approx(slow_cross_entropy(similarities), rel=1e-4)


def test_a_step_trains_the_encoder_and_both_heads(examples, config_of):
    method = cola.Cola(config_of("cola"), examples)
    before = [np.array(variable) for variable in method._variables]
    method._update(next(method._batches))
    assert all(np.any(np.array(new) != old) for new, old in zip(method._variables, before, strict=True))
