"""Exports the encoders as a SavedModel with two signatures over the sub-clips of a clip."""

import functools
import os
from collections.abc import Callable

import keras
import tensorflow as tf
from etils import epath

from components import keras_file
from components.embedding_info import EmbeddingInfo
from components.exporter import endpoints
from models import subclip_starts
from models.dual import DualEncoder


def load_keras(path: epath.Path) -> DualEncoder:
    """Loads a model from a `.keras` file, see `keras_file.load`."""
    return keras_file.load(path, way_out="import or train another one")


def export(model: DualEncoder, directory: epath.Path) -> EmbeddingInfo:
    """Writes a model as a TensorFlow SavedModel.

    Both signatures take `audio`, float32 (batch, samples) in [-1, 1] at the model's sample rate, with at least one
    sample. Another number of dimensions, or clips without samples, is an InvalidArgumentError that says so. An empty
    batch has empty outputs. A clip with a NaN or an infinity has an embedding of NaN, and the others of its batch are
    not affected. Apart from the audio and the outputs, the memory of a call does not grow with the length of the clips.
    The outputs are:

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
    for name, embed in (("serving_default", endpoints.embed_clips), ("windows", endpoints.embed_subclips)):
        archive.add_endpoint(name, functools.partial(_serve, embed, model), input_signature=audio)
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
        stride_samples=subclip_starts.half_crop(model.crop_samples),
        input="audio float32 (batch, samples) in [-1, 1]",
        signatures={
            "serving_default": {name: f"float32 (batch, {dim})" for name, dim in output_dims.items()},
            "windows": {name: f"float32 (batch, windows, {dim})" for name, dim in output_dims.items()},
        },
    )


def _serve(
    embed: Callable[[DualEncoder, tf.Tensor], dict[str, tf.Tensor]], model: DualEncoder, audio: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Checks the audio of a call and embeds it. Networks fail on an empty batch, so it gets a clip that is dropped."""
    audio, batch = _checked(audio)
    return {name: values[:batch] for name, values in embed(model, audio).items()}


def _checked(audio: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks the shape of the audio of a call, with messages that the caller of a server gets to see.

    Returns:
        The audio, with at least one clip and one sample, and the number of clips that were given.
    """
    shape = tf.shape(audio)
    # Counted, because TensorFlow believes the signature and takes the rank from there when it optimizes the graph.
    dimensions = tf.size(tf.where(shape >= 0))
    is_batch = tf.debugging.Assert(
        dimensions == 2,
        ["audio must have two dimensions, (batch, samples); a single clip is a batch of one; its shape is", shape],
    )
    with tf.control_dependencies([is_batch]):
        has_samples = tf.debugging.Assert(
            tf.logical_or(shape[0] == 0, shape[-1] > 0),
            ["audio has no samples; every clip needs at least one; its shape is", shape],
        )
    with tf.control_dependencies([has_samples]):
        batch, samples = tf.identity(shape[0]), tf.identity(shape[-1])
    # All that follows takes the shape from here, so that nothing else fails before the checks.
    audio = tf.reshape(audio, (batch, samples))
    missing = [[0, tf.cast(batch == 0, tf.int32)], [0, tf.cast(samples == 0, tf.int32)]]
    # Only if needed, because it copies the audio.
    return tf.cond(tf.reduce_any(tf.equal(missing, 1)), lambda: tf.pad(audio, missing), lambda: audio), batch
