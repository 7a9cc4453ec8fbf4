"""TensorFlow Serving's gRPC service, which calls a SavedModel in this process."""

import concurrent.futures
import contextlib

import grpc
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)


class Stub(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Serves one version.

    Attributes:
        refusals: How many calls it refuses for lack of resources before it answers.
        calls: How many calls of Predict it has had.
    """

    def __init__(self, saved_model, *, version):
        self._model = tf.saved_model.load(str(saved_model))
        self._version = version
        self.refusals = 0
        self.calls = 0

    def Predict(self, request, context):
        self.calls += 1
        self._check(request.model_spec, context)
        if self.refusals:
            self.refusals -= 1
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        try:
            outputs = self._model.signatures[request.model_spec.signature_name](**inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        self._check(request.model_spec, context)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        response.model_spec.version.value = self._version
        signatures = any_pb2.Any()
        signatures.Pack(get_model_metadata_pb2.SignatureDefMap())
        response.metadata["signature_def"].CopyFrom(signatures)
        return response

    def _check(self, spec, context):
        if spec.name != "diptych" or spec.version.value not in (0, self._version):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")


@contextlib.contextmanager
def running(saved_model, *, version=7):
    """Yields the address of the service and the stub."""
    stub = Stub(saved_model, version=version)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(stub, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}", stub
    finally:
        server.stop(None).wait()
