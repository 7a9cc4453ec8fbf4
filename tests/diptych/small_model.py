"""A SavedModel with the signatures of an exported one, which is written in a second: its vectors are a few spectra."""

import numpy as np
import tensorflow as tf

from components.embedding_info import EmbeddingInfo

RATE, CROP, STRIDE, HOP, DIMS = 16000, 8000, 4000, 320, {"waveform": 4, "log_mel": 6}


class _Model(tf.Module):
    def __init__(self):
        super().__init__()
        self._kernel = tf.Variable(np.random.default_rng(0).normal(size=(CROP // 2 + 1, 10)), dtype=tf.float32)

    def _embed(self, audio, starts, length):
        """Embeds windows that begin at `starts`; the sound is repeated where it is shorter. (batch, windows, 10)."""
        positions = (starts[:, None] + tf.range(CROP)) % length
        windows = tf.gather(audio, positions, axis=1)
        return tf.tanh(tf.math.log1p(tf.abs(tf.signal.rfft(windows))) @ self._kernel / 40)

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="audio")])
    def windows(self, audio):
        length = tf.shape(audio)[1]
        last = tf.maximum(length - CROP, 0)
        starts = tf.minimum(tf.range(1 + (last + STRIDE - 1) // STRIDE) * STRIDE, last)
        embedding = self._embed(audio, starts, length)
        waveform, log_mel = tf.split(embedding, list(DIMS.values()), axis=-1)
        return {"embedding": embedding, "waveform": waveform, "log_mel": log_mel}

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="audio")])
    def serving_default(self, audio):
        return {name: tf.reduce_mean(values, axis=1) for name, values in self.windows(audio).items()}

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="audio")])
    def frames(self, audio):
        batch, length = tf.unstack(tf.shape(audio))
        times = tf.range(1 + (length - 1) // HOP) * HOP
        timestamps = tf.tile(tf.cast(times, tf.float32)[None] / RATE, (batch, 1))
        return {"embedding": self._embed(audio, times, length), "timestamps": timestamps}


def write(folder, *, signatures=("serving_default", "windows", "frames"), sample_rate=RATE):
    """Writes the model with some of its signatures."""
    model = _Model()
    functions = {name: getattr(model, name).get_concrete_function() for name in signatures}
    tf.saved_model.save(model, str(folder), signatures=functions)
    EmbeddingInfo(
        formats=tuple(DIMS),
        dims=DIMS,
        dim=sum(DIMS.values()),
        sample_rate=sample_rate,
        crop_samples=CROP,
        stride_samples=STRIDE,
        input="audio",
        signatures={},
    ).write(folder)
