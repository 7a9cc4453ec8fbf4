"""The SavedModel: two signatures over the same windows of a clip."""

import json
import os
from typing import Any

import keras
import tensorflow as tf
from etils import epath

import models.dual  # noqa: F401 (registers the classes that `load_model` looks up)
from components import base
from models import subclips


def load_keras(path: epath.Path) -> keras.Model:
    """Loads a `.keras` file with our model classes registered."""
    return keras.models.load_model(os.fspath(path), compile=False)


def export(model: keras.Model, directory: epath.Path) -> dict[str, Any]:
    """Writes a `DualEncoder` as a TensorFlow SavedModel.

    Signatures, both with `audio` float32 (batch, samples) in [-1, 1], one sample or more, at the model's sample rate:
        serving_default: `embedding` (batch, dim), the mean over the sub-clips with the formats concatenated, and each
            encoder's embedding under its name (the format, or e.g. `log_mel_a`), (batch, its dim).
        windows: the same keys before the mean, (batch, windows, dim).

    Args:
        model: The model; only its encoders are used.
        directory: Becomes the SavedModel.

    Returns:
        What `assets.extra/embedding_info.json` in the SavedModel says: formats, sizes, sample rate, crop, signatures.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    audio = [tf.TensorSpec((None, None), tf.float32, name="audio")]
    archive.add_endpoint("serving_default", lambda audio: subclips.embed_clips(model, audio), input_signature=audio)
    archive.add_endpoint("windows", lambda audio: subclips.embed_subclips(model, audio), input_signature=audio)
    archive.write_out(os.fspath(directory), verbose=False)
    info = describe(model)
    path = epath.Path(directory) / base.EMBEDDING_INFO
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(info, indent=2))
    return info


def describe(model: keras.Model) -> dict[str, Any]:
    """What a user of the SavedModel has to know, as plain JSON."""
    dims = dict(model.dims)
    total = sum(dims.values())
    sizes = {"embedding": total, **dims}
    return {
        "formats": list(model.formats),
        "dims": dims,
        "dim": total,
        "sample_rate": model.sample_rate,
        "crop_samples": model.crop_samples,
        "stride_samples": subclips.half_crop(model.crop_samples),
        "input": "audio float32 (batch, samples) in [-1, 1]",
        "signatures": {
            "serving_default": {name: f"float32 (batch, {dim})" for name, dim in sizes.items()},
            "windows": {name: f"float32 (batch, windows, {dim})" for name, dim in sizes.items()},
        },
    }
