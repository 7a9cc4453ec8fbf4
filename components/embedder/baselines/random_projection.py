"""The naive baseline of HEAR (Turian et al. 2022): a random projection of the log-mel spectrum, averaged over time."""

import numpy as np
import tensorflow as tf

from beam_jobs.embedding.embedder import Framing
from components.embedder.baselines import options
from components.embedder.baselines.function_embedder import FunctionEmbedder
from models import frontends

NAME = "random_projection"


def load(*, framing: Framing) -> FunctionEmbedder:
    """Returns an embedder with vectors of `options.PROJECTION_DIM` values.

    It differs from HEAR's code in three ways. It computes at the sample rate of the windows instead of 44.1 kHz, so its
    bands end at half of that. It draws the projection with NumPy, so the numbers are others from the same distribution.
    At both ends of a window it reflects the sound instead of adding silence.

    Args:
        framing: The windows.
    """
    front_end = frontends.LogMel(
        options.random_projection(framing.sample_rate),
        sample_rate=framing.sample_rate,
        n_bands=options.PROJECTED_BANDS,
    )
    projection = tf.constant(_projection())

    @tf.function(input_signature=[tf.TensorSpec((None, framing.window_samples), tf.float32)], autograph=False)
    def embed(windows: tf.Tensor) -> dict[str, tf.Tensor]:
        # The mean of the projections is the projection of the mean.
        return {NAME: tf.matmul(tf.reduce_mean(front_end(windows), axis=1), projection)}

    return FunctionEmbedder(embed, framing=framing, source=f"The baseline {NAME}")


def _projection() -> np.ndarray:
    """Returns float32 (bands, dim), evenly distributed between 0 and 1 / sqrt(bands), as in HEAR's code."""
    bands = options.PROJECTED_BANDS
    uniform = np.random.default_rng(options.PROJECTION_SEED).random((bands, options.PROJECTION_DIM))
    return (uniform / np.sqrt(bands)).astype(np.float32)
