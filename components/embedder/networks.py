"""Diptych's own models as embedders: SavedModels and `.keras` files."""

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import storage
from beam_jobs.embedding.embedder import Framing
from components import keras_file
from components.embedding_info import EmbeddingInfo
from models import subclip_starts


class ServedModel:
    """A SavedModel that Diptych exported, called as a model server calls it.

    Args:
        folder: Its folder.
    """

    def __init__(self, folder: epath.PathLike):
        info = EmbeddingInfo.read(folder)
        self.framing = info.framing
        self.dims = dict(info.dims)
        # Errors stay TensorFlow's, because only the caller knows how the user named the model.
        with storage.without_wildcards(folder) as readable:
            self._model = tf.saved_model.load(readable)

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        # A clip as long as a window has one, whose embedding is the mean over the clip.
        outputs = self._model.signatures["serving_default"](audio=tf.constant(windows))
        return {name: outputs[name].numpy() for name in self.dims}


class KerasModel:
    """Encoders in a `.keras` file: as they are before training, or of a model that was imported.

    Args:
        file: The file.

    Raises:
        UserError: It holds another model.
    """

    def __init__(self, file: epath.PathLike):
        # Other errors stay Keras', because only the caller knows whether a stage wrote the file, which can run again.
        model = keras_file.load(file, way_out="give a folder that `diptych import-panns` wrote")
        crop = model.crop_samples
        self.framing = Framing(
            sample_rate=model.sample_rate, window_samples=crop, hop_samples=subclip_starts.half_crop(crop)
        )
        self.dims = dict(model.dims)

        @tf.function(input_signature=[tf.TensorSpec((None, crop), tf.float32)], autograph=False)
        def embed(windows: tf.Tensor) -> dict[str, tf.Tensor]:
            embeddings = model.embed(windows, training=False)
            return {name: embeddings[name] for name in model.embedding_names}

        self._embed = embed

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values.numpy() for name, values in self._embed(tf.constant(windows)).items()}
