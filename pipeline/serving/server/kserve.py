"""The Open Inference Protocol, also called KServe v2, with Triton's extension for tensors that follow the JSON."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.serving.server import binary_tensors, calls, service, tensors
from pipeline.serving.server.limits import Limits, Refused
from pipeline.serving.server.served import DEFAULT_SIGNATURE, ServedVersion, Signature, Tensor

_VERSION = "1"
_MOST_DIMENSIONS = 8
_DATATYPES = {
    tf.float16: "FP16",
    tf.float32: "FP32",
    tf.float64: "FP64",
    tf.int32: "INT32",
    tf.int64: "INT64",
    tf.string: "BYTES",
}


def routes() -> list[Route]:
    """Returns the routes, except those of the server's own health."""
    model = "/v2/models/{name}"
    found = [Route("/v2", _server)]
    for path in (model, model + "/versions/{version:number}"):
        found += [
            Route(path + "/infer", _infer, methods=["POST"]),
            Route(path + "/ready", _model_ready),
            Route(path, _model),
        ]
    return found


async def _server(request: Request) -> Response:
    return JSONResponse({"name": "diptych", "version": _VERSION, "extensions": [binary_tensors.EXTENSION]})


async def _model_ready(request: Request) -> Response:
    _version(request)
    is_ready = not request.app.state.admission.is_draining
    document = {"name": request.path_params["name"], "ready": is_ready}
    return JSONResponse(document, status_code=200 if is_ready else 503)


async def _model(request: Request) -> Response:
    version = _version(request)
    signature = version.signatures[DEFAULT_SIGNATURE]
    return JSONResponse(
        {
            "name": service.of(request).models.name,
            "versions": [str(one.number) for one in service.of(request).models.served],
            "platform": version.platform,
            "inputs": [_described(name, tensor) for name, tensor in signature.inputs.items()],
            "outputs": [_described(name, tensor) for name, tensor in signature.outputs.items()],
        }
    )


async def _infer(request: Request) -> Response:
    of = service.of(request)
    version = _version(request)
    body = await service.body_of(request)
    head, rest = binary_tensors.split(body, request.headers.get(binary_tensors.HEADER))
    asked = await of.converted(lambda: _asked(head, rest, version, limits=of.limits), size=len(body))
    results = await calls.call(version, asked.signature, asked.inputs, batcher=of.batcher, limits=of.limits)
    document: dict[str, object] = {"model_name": of.models.name, "model_version": str(version.number)}
    if asked.request_id is not None:
        document["id"] = asked.request_id
    described = [(name, results[name], asked.signature.outputs[name]) for name in asked.outputs]
    binary = [name for name, wants_binary in asked.outputs.items() if wants_binary]
    if binary:
        return binary_tensors.answer(document, [(_head(*one), one[1], one[0] in binary) for one in described])
    document["outputs"] = [
        {**_head(name, array, tensor), "data": tensors.to_json(array.reshape(-1), name="")}
        for name, array, tensor in described
    ]
    return await of.answer(document, size=sum(array.nbytes for _, array, _ in described))


def _version(request: Request) -> ServedVersion:
    parameters = request.path_params
    return service.of(request).models.find(parameters["name"], version=parameters.get("version"))


def _described(name: str, tensor: Tensor) -> dict[str, object]:
    shape = [-1] if tensor.shape is None else [-1 if size is None else size for size in tensor.shape]
    return {"name": name, "datatype": _DATATYPES[tensor.dtype], "shape": shape}


def _head(name: str, array: np.ndarray, tensor: Tensor) -> dict[str, object]:
    return {"name": name, "datatype": _DATATYPES[tensor.dtype], "shape": list(array.shape)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a request asks for.

    Attributes:
        request_id: The request's `id`, which the answer repeats.
        signature: The signature to call: the parameter `signature_name`, or the default one.
        inputs: Name -> array.
        outputs: Name of an output that is wanted -> whether it shall follow the JSON.
    """

    request_id: str | None
    signature: Signature
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, bool]


def _asked(head: bytes, rest: memoryview, version: ServedVersion, *, limits: Limits) -> _Asked:
    document = tensors.parse(head)
    parameters = _object(document, "parameters")
    signature = calls.signature(version, parameters.get("signature_name"))
    inputs = {}
    for given in _objects(document, "inputs"):
        name = given.get("name")
        tensor = signature.inputs.get(name) if isinstance(name, str) else None
        if tensor is None:
            names = ", ".join(sorted(signature.inputs))
            raise Refused(400, f"The signature {signature.name} takes {names}, and no {name}.")
        if name in inputs:
            raise Refused(400, f"{name} is given twice.")
        inputs[name], rest = _input(given, tensor, rest, name=name)
    if rest:
        raise Refused(400, f"{len(rest):,} bytes follow those that the inputs announce.")
    calls.check(version, signature, inputs, limits=limits)
    return _Asked(
        request_id=_request_id(document),
        signature=signature,
        inputs=inputs,
        outputs=_outputs(document, parameters, signature),
    )


def _request_id(document: Mapping[str, object]) -> str | None:
    given = document.get("id")
    if given is None:
        return None
    if not isinstance(given, str):
        raise Refused(400, "id must be a string.")
    try:
        given.encode()
    except UnicodeEncodeError as error:  # The parser that takes NaN lets it through, and no answer can repeat it.
        raise Refused(400, "id holds half of a surrogate pair: send whole characters.") from error
    return given


def _input(
    given: Mapping[str, object], tensor: Tensor, rest: memoryview, *, name: str
) -> tuple[np.ndarray, memoryview]:
    """Returns the array of an input, and what follows its bytes."""
    datatype = _DATATYPES[tensor.dtype]
    if given.get("datatype") != datatype:
        raise Refused(400, f"The datatype of {name} is {given.get('datatype')}: send {datatype}.")
    shape = given.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise Refused(400, f"The shape of {name} must be a list of sizes.")
    if len(shape) > _MOST_DIMENSIONS:
        raise Refused(400, f"The shape of {name} has {len(shape)} sizes, more than any signature takes.")
    parameters = _object(given, "parameters")
    size = parameters.get(binary_tensors.SIZE)
    if size is not None:
        dtype = None if tensor.dtype == tf.string else np.dtype(tensor.dtype.as_numpy_dtype)
        array, rest = binary_tensors.read(rest, size, dtype=dtype, name=name)
    elif tensor.dtype == tf.string:
        array = tensors.objects(_strings(given.get("data"), parameters, name=name))
    else:
        array = tensors.to_array(given.get("data"), tensor, name=name).reshape(-1)
    # Python's numbers, because NumPy's product would overflow.
    count = 1
    for length in shape:
        count *= length
    if array.size != count:
        raise Refused(400, f"{name} has {array.size:,} values, and its shape {shape} tells of {count:,}.")
    return array.reshape(shape), rest


def _strings(data: object, parameters: Mapping[str, object], *, name: str) -> list[bytes]:
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise Refused(400, f"The data of {name} must be a list of strings.")
    tensors.check_strings(len(data), name=name)
    if parameters.get("content_type") == "base64":
        return [tensors.from_base64(text, name=name) for text in data]
    return [text.encode(errors="surrogatepass") for text in data]


def _outputs(document: Mapping[str, object], parameters: Mapping[str, object], signature: Signature) -> dict[str, bool]:
    all_binary = parameters.get("binary_data_output") is True
    wanted = (
        _objects(document, "outputs") if document.get("outputs") else [{"name": name} for name in signature.outputs]
    )
    found = {}
    for one in wanted:
        name = one.get("name")
        if not isinstance(name, str) or name not in signature.outputs:
            raise Refused(400, f"The signature {signature.name} has no output {name}.")
        found[name] = _object(one, "parameters").get("binary_data", all_binary) is True
    return found


def _object(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise Refused(400, f"{name} must be an object.")
    return value


def _objects(document: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Refused(400, f"{name} must be a list of objects.")
    if not value:
        raise Refused(400, f"{name} is empty.")
    return value
