"""Exports the encoders as a SavedModel with two signatures over the sub-clips of a clip."""

import os

import keras
import tensorflow as tf
from etils import epath

from components.embedding_info import EmbeddingInfo
from models import subclips
from models.dual import DualEncoder  # This import also registers the class, so that `load_model` finds it.


def load_keras(path: epath.Path) -> DualEncoder:
    """Loads a model from a `.keras` file."""
    return keras.models.load_model(os.fspath(path), compile=False)


def export(model: DualEncoder, directory: epath.Path) -> EmbeddingInfo:
    """Writes a model as a TensorFlow SavedModel.

    Both signatures take `audio`, float32 (batch, samples) in [-1, 1] at the model's sample rate, with at least one
    sample. Their outputs are:

    * serving_default: `embedding` (batch, dim), the mean over the sub-clips with all encoders concatenated, and the
      embedding of each encoder under its name, e.g. `log_mel` or `log_mel_a`, (batch, its dim).
    * windows: the same names before the mean, (batch, windows, dim).

    Args:
        model: The model. Only its front ends and encoders are used.
        directory: Becomes the SavedModel.

    Returns:
        The info that was written into the SavedModel.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    audio = [tf.TensorSpec((None, None), tf.float32, name="audio")]
    archive.add_endpoint("serving_default", lambda audio: subclips.embed_clips(model, audio), input_signature=audio)
    archive.add_endpoint("windows", lambda audio: subclips.embed_subclips(model, audio), input_signature=audio)
    archive.write_out(os.fspath(directory), verbose=False)
    info = describe(model)
    info.write(directory)
    return info


def describe(model: DualEncoder) -> EmbeddingInfo:
    """Returns the info of a model's SavedModel."""
    dims = dict(model.dims)
    total = sum(dims.values())
    output_dims = {"embedding": total, **dims}
    return EmbeddingInfo(
        formats=tuple(model.formats),
        dims=dims,
        dim=total,
        sample_rate=model.sample_rate,
        crop_samples=model.crop_samples,
        stride_samples=subclips.half_crop(model.crop_samples),
        input="audio float32 (batch, samples) in [-1, 1]",
        signatures={
            "serving_default": {name: f"float32 (batch, {dim})" for name, dim in output_dims.items()},
            "windows": {name: f"float32 (batch, windows, {dim})" for name, dim in output_dims.items()},
        },
    )
