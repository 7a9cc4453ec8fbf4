"""A SavedModel that is described as Diptych's are, has signatures for sound and for WAV files, and is fast to make."""

import numpy as np
import tensorflow as tf

from components.embedding_info import EmbeddingInfo

WINDOW, HOP, RATE = 4000, 2000, 16000
DIMS = {"first": 3, "second": 2}


class TinyModel(tf.Module):
    """Projects windows onto random directions.

    Args:
        seed: Chooses the directions.
    """

    def __init__(self, seed=0):
        super().__init__()
        directions = np.random.default_rng(seed).normal(size=(WINDOW, sum(DIMS.values())))
        self._directions = tf.Variable(directions, dtype=tf.float32)

    def embed(self, audio):
        """Returns all embeddings of windows, (batch, windows, 5)."""
        samples = tf.shape(audio)[1]
        with tf.control_dependencies([tf.debugging.Assert(samples > 0, ["audio has no samples"])]):
            repeated = tf.tile(audio, [1, tf.where(samples < WINDOW, -(-WINDOW // tf.maximum(samples, 1)), 1)])
        repeated = repeated[:, : tf.maximum(samples, WINDOW)]
        starts = tf.range(0, tf.shape(repeated)[1] - WINDOW + 1, HOP)
        windows = tf.map_fn(lambda start: repeated[:, start : start + WINDOW], starts, fn_output_signature=tf.float32)
        return tf.transpose(windows @ self._directions, (1, 0, 2))

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="audio")])
    def serving_default(self, audio):
        return self._named(tf.reduce_mean(self.embed(audio), axis=1))

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="audio")])
    def windows(self, audio):
        return self._named(self.embed(audio))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="wav_bytes")])
    def wav_bytes(self, wav_bytes):
        def of_one(content):
            audio, _ = tf.audio.decode_wav(content, desired_channels=1)
            return tf.reduce_mean(self.embed(tf.transpose(audio)), axis=1)[0]

        return {"embedding": tf.map_fn(of_one, wav_bytes, tf.TensorSpec((5,), tf.float32))}

    def _named(self, vectors):
        return {"embedding": vectors, "first": vectors[..., :3], "second": vectors[..., 3:]}


def write(folder, *, seed=0):
    """Writes the SavedModel and returns its folder."""
    model = TinyModel(seed)
    signatures = {name: getattr(model, name) for name in ("serving_default", "windows", "wav_bytes")}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    EmbeddingInfo(
        formats=("first", "second"),
        dims=DIMS,
        dim=5,
        sample_rate=RATE,
        crop_samples=WINDOW,
        stride_samples=HOP,
        input="audio float32 (batch, samples) in [-1, 1]",
        signatures={},
    ).write(folder)
    return folder
