"""Warm-up requests: TensorFlow Serving calls a model with them before it takes requests, so that no caller waits."""

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from etils import epath
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from components.exporter import serve_once

FILE = "assets.extra/tf_serving_warmup_requests"
"""Path of the file inside the SavedModel's folder, where TensorFlow Serving looks for it."""


def write(saved_model: epath.Path, golden: Mapping[str, np.ndarray]) -> None:
    """Writes a request for each signature: the first of the golden sounds alone, and all of them in a batch.

    Args:
        saved_model: The SavedModel's folder.
        golden: The arrays of the golden vectors.
    """
    path = saved_model / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(os.fspath(path)) as file:
        for signature in serve_once.SIGNATURES:
            name, values = serve_once.golden_input(signature, golden)
            for batch in (values[:1], values):
                file.write(_request(signature, {name: batch}).SerializeToString())


def _request(signature: str, inputs: Mapping[str, np.ndarray]) -> prediction_log_pb2.PredictionLog:
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(name="diptych", signature_name=signature),
        inputs={name: tf.make_tensor_proto(values) for name, values in inputs.items()},
    )
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
