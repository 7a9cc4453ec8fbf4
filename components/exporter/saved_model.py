"""Exports the encoders as a SavedModel. `root.Root` says what can be called, `endpoints` what it returns."""

import contextlib
import io
import os
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from etils import epath

from components import keras_file
from components.embedding_info import EmbeddingInfo
from components.exporter import description, golden, serve_once, warm_up
from components.exporter.root import Root
from models import layers
from models.dual import DualEncoder


def load_keras(path: epath.Path) -> DualEncoder:
    """Loads a model from a `.keras` file, see `keras_file.load`."""
    return keras_file.load(path, way_out="import or train another one")


def export(model: DualEncoder, directory: epath.Path, *, training: Mapping[str, object] | None = None) -> EmbeddingInfo:
    """Writes a model as a TensorFlow SavedModel.

    It takes float32 waveforms in [-1, 1] at the model's sample rate, with at least one sample. Another number of
    dimensions, or clips without samples, is an InvalidArgumentError that says so. An empty batch has empty outputs. A
    clip with a NaN or an infinity has an embedding of NaN, and the others of its batch are not affected. Apart from the
    sound and the outputs, the memory of a call does not grow with the length of the clips, nor with their number.

    Args:
        model: The model. Only its front ends and encoders are used.
        directory: Becomes the SavedModel.
        training: The record of its training, for the info; None if there is none.

    Returns:
        The info that was written into the SavedModel.
    """
    with _one_replica(model):
        root = Root(model)
        content = golden.make(root, model)
        info = description.describe(model, training=training, golden_sha256=golden.digest(content))
        root.describe(info.to_json())
        tf.saved_model.save(root, os.fspath(directory), signatures=root.functions())
    info.write(directory)
    (epath.Path(directory) / serve_once.GOLDEN_FILE).write_bytes(content)
    with np.load(io.BytesIO(content)) as arrays:
        warm_up.write(epath.Path(directory), arrays)
    return info


@contextlib.contextmanager
def _one_replica(model: DualEncoder) -> Iterator[None]:
    """Stops batch normalization from exchanging moments within the `with` block.

    A SavedModel runs in one replica, and the exchange has gradients of its own, which TensorFlow saves with a warning.
    """
    norms = [
        layer
        for encoder in model.encoders.values()
        for layer in encoder.layers
        if isinstance(layer, layers.BatchNormalization) and layer.synchronized
    ]
    for layer in norms:
        layer.synchronized = False
    try:
        yield
    finally:
        for layer in norms:
            layer.synchronized = True
