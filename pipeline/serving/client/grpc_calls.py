"""TensorFlow Serving's gRPC API, the PredictionService."""

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, predict_pb2, prediction_service_pb2_grpc

from pipeline.serving.client import servers
from pipeline.serving.client.servers import Described

_TIMEOUT_S = 300.0
_SIGNATURE = "serving_default"
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "tensorflow.serving.PredictionService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "30s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
_OPTIONS = [
    ("grpc.service_config", json.dumps(_RETRIES)),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]

_Answer = TypeVar("_Answer")


class GrpcServer:
    """A server at a grpc:// or, with encryption, grpcs:// address; see `servers.Server`."""

    def __init__(self, url: str, *, name: str):
        self.url = url
        self.name = name
        scheme, _, address = url.partition("://")
        address = address.rstrip("/")
        if scheme == "grpcs":
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), options=_OPTIONS)
        else:
            channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def newest_version(self) -> int:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=model_pb2.ModelSpec(name=self.name), metadata_field=["signature_def"]
        )
        answer = self._call(lambda: self._service.GetModelMetadata(request, timeout=_TIMEOUT_S))
        return answer.model_spec.version.value

    def described(self, version: int) -> Described | None:
        return None

    def predict(self, audio: np.ndarray, *, version: int) -> Mapping[str, np.ndarray]:
        spec = model_pb2.ModelSpec(name=self.name, signature_name=_SIGNATURE)
        spec.version.value = version
        request = predict_pb2.PredictRequest(model_spec=spec, inputs={"audio": tf.make_tensor_proto(audio)})
        answer = self._call(lambda: self._service.Predict(request, timeout=_TIMEOUT_S))
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def _call(self, call: Callable[[], _Answer]) -> _Answer:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise servers.unreachable(self.url, error.details()) from error
            raise servers.refused(self.url, error.details() or error.code().name) from error
