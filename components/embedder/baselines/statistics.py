"""Baselines without weights: mean and standard deviation over time of MFCCs (paper, section 3) or of log-mel bands."""

import tensorflow as tf

from beam_jobs.embedding.embedder import Framing
from components.embedder.baselines import options
from components.embedder.baselines.function_embedder import FunctionEmbedder
from models import frontends

FRONT_ENDS = {"mfcc_mean_std": frontends.Mfcc, "log_mel_mean_std": frontends.LogMel}


def load(name: str, *, framing: Framing) -> FunctionEmbedder:
    """Returns an embedder whose vectors are the means over the frames, and then the standard deviations.

    Args:
        name: One of `FRONT_ENDS`; the embedding has this name, too.
        framing: The windows.
    """
    front_end = FRONT_ENDS[name](
        options.statistics(framing.sample_rate), sample_rate=framing.sample_rate, n_bands=options.STATISTICS_BANDS
    )

    @tf.function(input_signature=[tf.TensorSpec((None, framing.window_samples), tf.float32)], autograph=False)
    def embed(windows: tf.Tensor) -> dict[str, tf.Tensor]:
        features = front_end(windows)  # (windows, frames, bands or coefficients)
        statistics = [tf.reduce_mean(features, axis=1), tf.math.reduce_std(features, axis=1)]
        return {name: tf.concat(statistics, axis=-1)}

    return FunctionEmbedder(embed, framing=framing, source=f"The baseline {name}")
