"""TensorFlow Serving's REST API, `/v1/models/...`."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.serving.server import calls, service, tensors
from pipeline.serving.server.limits import Limits, Refused
from pipeline.serving.server.served import ServedVersion, Signature

_INSTANCES, _INPUTS, _SIGNATURE = "instances", "inputs", "signature_name"


def routes() -> list[Route]:
    """Returns the routes."""
    model = "/v1/models/{name:model}"
    found = []
    for path in (model, model + "/versions/{version:number}"):
        found += [
            Route(path + ":predict", _predict, methods=["POST"]),
            Route(path + ":{method}", _unsupported, methods=["POST"]),
            Route(path + "/metadata", _metadata),
            Route(path, _status),
        ]
    return [*found, Route(model + "/labels/{label:path}", _labeled, methods=["GET", "POST"])]


async def _status(request: Request) -> Response:
    models = service.of(request).models
    version = request.path_params.get("version")
    models.find(request.path_params["name"], version=version)
    states = models.states()
    if version is not None:
        states = [state for state in states if state["version"] == str(version)]
    return JSONResponse({"model_version_status": states})


async def _metadata(request: Request) -> Response:
    version = _version(request)
    models = service.of(request).models
    return JSONResponse(
        {
            "model_spec": {"name": models.name, "signature_name": "", "version": str(version.number)},
            "metadata": {
                "signature_def": {"signature_def": version.signature_def},
                # TensorFlow Serving has no such entry. `diptych client` reads the rate and the windows here.
                "embedding_info": dataclasses.asdict(version.info),
            },
        }
    )


async def _predict(request: Request) -> Response:
    of = service.of(request)
    version = _version(request)
    body = await service.body_of(request)
    asked = await of.converted(lambda: _asked(body, version, limits=of.limits), size=len(body))
    outputs = await calls.call(version, asked.signature, asked.inputs, batcher=of.batcher, limits=of.limits)
    size = sum(array.nbytes for array in outputs.values())
    return await of.answer(_columns(outputs) if asked.in_columns else _rows(outputs), size=size)


async def _unsupported(request: Request) -> Response:
    raise Refused(400, f"The model has no method {request.path_params['method']}: call :predict.")


async def _labeled(request: Request) -> Response:
    label = request.path_params["label"]
    raise Refused(404, f"This server knows no labels such as {label}: name a version, or none for the newest one.")


def _version(request: Request) -> ServedVersion:
    parameters = request.path_params
    return service.of(request).models.find(parameters["name"], version=parameters.get("version"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a request asks for.

    Attributes:
        signature: The signature to call.
        inputs: Name -> array.
        in_columns: Whether the request has `inputs`, and not `instances`; the answer has the same form.
    """

    signature: Signature
    inputs: Mapping[str, np.ndarray]
    in_columns: bool


def _asked(body: bytes, version: ServedVersion, *, limits: Limits) -> _Asked:
    document = tensors.parse(body)
    in_columns = _INPUTS in document
    if in_columns == (_INSTANCES in document):
        raise Refused(400, f"The body must have either {_INSTANCES} or {_INPUTS}.")
    signature = calls.signature(version, document.get(_SIGNATURE))
    values = _of_inputs(document, signature) if in_columns else _of_instances(document, signature)
    inputs = {
        name: tensors.to_array(value, signature.inputs[name], name=name)
        for name, value in values.items()
        if name in signature.inputs
    }
    unknown = [name for name in values if name not in signature.inputs]
    if unknown:
        raise Refused(400, f"The signature {signature.name} takes {_names(signature)}, and no {unknown[0]}.")
    calls.check(version, signature, inputs, limits=limits)
    return _Asked(signature=signature, inputs=inputs, in_columns=in_columns)


def _of_inputs(document: Mapping[str, tensors.Json], signature: Signature) -> dict[str, tensors.Json]:
    """Returns the values of a request in columns."""
    value = document[_INPUTS]
    if isinstance(value, dict):
        return value
    return {_only_input(signature): value}


def _of_instances(document: Mapping[str, tensors.Json], signature: Signature) -> dict[str, tensors.Json]:
    """Returns the values of a request in rows."""
    rows = document[_INSTANCES]
    if not isinstance(rows, list) or not rows:
        raise Refused(400, f"{_INSTANCES} must be a list with at least one clip.")
    if not isinstance(rows[0], dict) or list(rows[0]) == ["b64"]:
        return {_only_input(signature): rows}
    names = list(rows[0])
    if not all(isinstance(row, dict) and set(row) == set(names) for row in rows):
        raise Refused(400, f"All {_INSTANCES} must have the same names of inputs: {', '.join(names)}.")
    return {name: [row[name] for row in rows] for name in names}


def _only_input(signature: Signature) -> str:
    if len(signature.inputs) != 1:
        raise Refused(
            400, f"The signature {signature.name} has several inputs: give them by name, {_names(signature)}."
        )
    return next(iter(signature.inputs))


def _names(signature: Signature) -> str:
    return ", ".join(sorted(signature.inputs))


def _columns(outputs: Mapping[str, np.ndarray]) -> dict[str, object]:
    values = {name: tensors.to_json(array, name=name) for name, array in outputs.items()}
    return {"outputs": next(iter(values.values())) if len(values) == 1 else values}


def _rows(outputs: Mapping[str, np.ndarray]) -> dict[str, object]:
    values = {name: tensors.to_json(array, name=name) for name, array in outputs.items()}
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    clips = len(next(iter(values.values())))
    return {"predictions": [{name: rows[clip] for name, rows in values.items()} for clip in range(clips)]}
