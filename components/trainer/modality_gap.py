"""Measures the gap between the two branches' projections."""

import tensorflow as tf


def modality_gap(z_a: tf.Tensor, z_b: tf.Tensor) -> tf.Tensor:
    """Returns the distance between the mean normalized projections of the two branches.

    This is the modality gap of Liang et al. (2022), "Mind the Gap: Understanding the Modality Gap in Multi-modal
    Contrastive Representation Learning", with formats for modalities. It is 0 if the branches fill the same region of
    the sphere, and 2 if each is a point opposite the other. With n clips, branches without a gap have one of about
    sqrt(2 / n) by chance if their projections are spread over the sphere.

    Args:
        z_a: Projections of branch A, `(clips, dim)`, of any length.
        z_b: Those of branch B.

    Returns:
        A float32 scalar.
    """
    centers = [tf.reduce_mean(tf.math.l2_normalize(tf.cast(z, tf.float32), axis=1), axis=0) for z in (z_a, z_b)]
    return tf.norm(centers[0] - centers[1])
