"""COLA (Saeed et al. 2021, "Contrastive Learning of General-Purpose Audio Representations").

Two crops of a clip are a positive pair, the crops of the other clips are the negatives, and nothing is augmented. As in
the authors' code (google-research/cola), a projection is a linear layer, layer normalization and tanh, and the
similarity of two projections is bilinear. Unlike there, the encoder is a CNN10 in place of an EfficientNet-B0, with
Diptych's log-mel spectra; clips are not scaled to one energy, and no noise is added to one of the crops.
"""

import keras
import tensorflow as tf
from keras import layers

from beam_jobs.audio import pcm
from components.trainer.input_pipeline import Batch
from tests.benchmarks.rivals.methods import OneEncoder

PROJECTION_DIM = 512


class Cola(OneEncoder):
    """COLA's step, see `OneEncoder`."""

    def build_heads(self) -> tuple[keras.Model, keras.Model]:
        """Returns the projection and the matrix of the bilinear similarity."""
        dim = self.encoder.output_shape[-1]
        projection = keras.Sequential(
            [keras.Input((dim,)), layers.Dense(PROJECTION_DIM), layers.LayerNormalization(), layers.Activation("tanh")]
        )
        bilinear = keras.Sequential(
            [
                keras.Input((PROJECTION_DIM,)),
                layers.Dense(PROJECTION_DIM, use_bias=False, kernel_initializer="random_normal"),
            ]
        )
        return projection, bilinear

    def loss(self, batch: Batch) -> tf.Tensor:
        projection, bilinear = self.heads
        crops = tf.concat([batch["a"], batch["b"]], axis=0)  # One batch for batch norm, as in the authors' code.
        embeddings = self.encoder(self.front_end(pcm.to_float(crops)), training=True)  # (2 clips, dim)
        anchors, positives = tf.split(projection(embeddings, training=True), 2)  # (clips, PROJECTION_DIM) each
        return cross_entropy(tf.matmul(anchors, bilinear(positives), transpose_b=True))


def cross_entropy(similarities: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-entropy of picking out each anchor's positive among the positives of all anchors.

    Args:
        similarities: float32 `(anchors, positives)`; the positive of an anchor has its index.

    Returns:
        float32 (). If all similarities are equal, it is ln(anchors).
    """
    labels = tf.range(similarities.shape[0])
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=similarities))
