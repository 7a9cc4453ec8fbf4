"""Converts a model for LiteRT, formerly TensorFlow Lite."""

import io
import zipfile
from collections.abc import Iterator, Sequence

import tensorflow as tf

from components.embedding_info import NAME_IN_FILES, EmbeddingInfo
from components.exporter.runtimes import window
from models.dual import DualEncoder


def convert(model: DualEncoder, *, precisions: Sequence[str], info: EmbeddingInfo) -> Iterator[bytes]:
    """Yields the content of `.tflite` files of built-in operations alone, with the signature `serving_default`.

    Behind each model is a zip archive with the info, a convention of TFLite: `unzip` opens it, and runtimes ignore it.

    Args:
        model: The model.
        precisions: See `variants.PRECISIONS`.
        info: Describes the files.
    """
    module = window.module(model)
    function = module.embed.get_concrete_function()
    for precision in precisions:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "fp16":
            converter.target_spec.supported_types = [tf.float16]
        file = io.BytesIO(converter.convert())
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(zipfile.ZipInfo(f"{NAME_IN_FILES}.json"), info.to_json())
        yield file.getvalue()
