"""The trained and the untrained encoders as embedders."""

import os

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import storage
from beam_jobs.embedding.embedder import Framing
from components.embedding_info import EmbeddingInfo
from models import subclip_starts
from models.dual import DualEncoder  # This import also registers the class, so that `load_model` finds it.


class ServedModel:
    """The exported model, called as a model server calls it.

    Args:
        saved_model: Folder of the SavedModel.
    """

    def __init__(self, saved_model: epath.Path):
        info = EmbeddingInfo.read(saved_model)
        self.framing = info.framing
        self.dims = dict(info.dims)
        with storage.without_wildcards(saved_model) as readable:
            self._model = tf.saved_model.load(readable)

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        # A clip as long as a window has one, whose embedding is the mean over the clip.
        outputs = self._model.signatures["serving_default"](audio=tf.constant(windows))
        return {name: outputs[name].numpy() for name in self.dims}


class UntrainedModel:
    """The encoders before training.

    Args:
        file: `initial.keras` in the Trainer's folder.
    """

    def __init__(self, file: epath.Path):
        model: DualEncoder = keras.models.load_model(os.fspath(file), compile=False)
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
