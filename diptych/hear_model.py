"""A SavedModel as HEAR expects a model: neither a loaded SavedModel nor a Keras model is a `tf.Module`."""

import tensorflow as tf

from diptych import runtimes
from diptych.errors import DiptychError
from diptych.runtimes.savedmodel import SavedModel

_SAMPLE_RATES = (16000, 22050, 32000, 44100, 48000)
"""Those that HEAR has its tasks in."""


class HearModel(tf.Module):
    """A model for HEAR.

    Attributes:
        sample_rate: In Hz.
        scene_embedding_size: Size of the embedding of a sound.
        timestamp_embedding_size: Size of an embedding in time.

    Args:
        path: See `diptych.load`.
    """

    def __init__(self, path: str):
        super().__init__(name="diptych")
        runtime = runtimes.load(path)
        if not isinstance(runtime, SavedModel):
            raise DiptychError(f"HEAR needs a model in TensorFlow, and {path} is none: give a SavedModel.")
        if runtime.info.sample_rate not in _SAMPLE_RATES:
            rates = ", ".join(map(str, _SAMPLE_RATES))
            raise DiptychError(f"{path} works at {runtime.info.sample_rate} Hz, and HEAR only knows {rates}.")
        self.sample_rate = runtime.info.sample_rate
        self.scene_embedding_size = self.timestamp_embedding_size = runtime.info.dim
        self._runtime = runtime

    def scene_embeddings(self, audio: tf.Tensor) -> tf.Tensor:
        """See `diptych.get_scene_embeddings`."""
        return self._call("serving_default", audio)["embedding"]

    def timestamp_embeddings(self, audio: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `diptych.get_timestamp_embeddings`."""
        outputs = self._call("frames", audio)
        return outputs["embedding"], 1000 * outputs["timestamps"]

    def _call(self, signature: str, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._runtime.call(signature, _checked(audio))


def _checked(audio: tf.Tensor) -> tf.Tensor:
    """Returns sounds as the signatures take them, float32 (sounds, samples).

    Raises:
        DiptychError: They are something else.
    """
    try:
        sounds = tf.convert_to_tensor(audio)
    except (TypeError, ValueError) as error:
        raise DiptychError(
            f"audio is no array of numbers, but {type(audio).__name__}: give (sounds, samples)."
        ) from error
    if not sounds.dtype.is_floating:
        raise DiptychError(f"audio is {sounds.dtype.name}: give floating point in [-1, 1].")
    if sounds.shape.rank is not None and (sounds.shape.rank != 2 or sounds.shape[1] == 0):
        raise DiptychError(
            f"audio has the shape {tuple(sounds.shape)}: give (sounds, samples), with at least one sample."
        )
    return tf.cast(sounds, tf.float32)
