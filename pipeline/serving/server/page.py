"""The page for people: drop or record a sound, and see what the model makes of it."""

import base64
import dataclasses
import functools
import importlib.resources

import anyio.to_thread
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beam_jobs.audio import pcm
from pipeline.serving.server import calls, service, sounds
from pipeline.serving.server.limits import Refused
from pipeline.serving.server.served import ServedVersion, Signature

_WHOLE = "embedding"
_COLUMNS = 1000
_FILES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript", "draw.js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes() -> list[Route]:
    """Returns the routes."""
    return [
        Route("/", _index),
        Route("/page/static/{file}", _static),
        Route("/page/info", _info),
        Route("/page/embed", _embed, methods=["POST"]),
        Route("/page/sounds/{row:number}", _sound),
    ]


@functools.cache
def _contents() -> dict[str, bytes]:
    """Returns the files of the page by name, so that no name in a request is ever opened."""
    folder = importlib.resources.files("pipeline.serving.server") / "static"
    return {name: (folder / name).read_bytes() for name in _FILES}


async def _index(request: Request) -> Response:
    return _file("index.html")


async def _static(request: Request) -> Response:
    name = request.path_params["file"]
    if name not in _FILES:
        raise Refused(404, f"The page has no file {name}.")
    return _file(name)


def _file(name: str) -> Response:
    headers = {
        "content-security-policy": _POLICY,
        "cache-control": "no-cache",
        "permissions-policy": "microphone=(self)",
        "x-content-type-options": "nosniff",
    }
    return Response(_contents()[name], media_type=_FILES[name], headers=headers)


async def _info(request: Request) -> Response:
    of = service.of(request)
    version = of.models.current
    return await of.answer(
        {
            "name": of.models.name,
            "version": version.number,
            "dim": version.info.dim,
            "formats": list(version.info.formats),
            "sample_rate": version.info.sample_rate,
            "window_seconds": version.info.crop_samples / version.info.sample_rate,
            "has_neighbors": of.neighbors is not None,
            "most_seconds": of.limits.seconds,
            "most_bytes": of.limits.body_bytes,
        },
        size=0,
    )


async def _embed(request: Request) -> Response:
    """Embeds a recording, the body of the request."""
    of = service.of(request)
    version = of.models.current
    rate = version.info.sample_rate
    body = await service.body_of(request)
    if not body:
        raise Refused(400, "The body is empty: send the content of an audio file.")
    samples = await of.sounds.decode(body, sample_rate=rate)
    inputs = {next(iter(_signature(version).inputs)): pcm.to_float(samples)[None]}
    calls.check(version, _signature(version), inputs, limits=of.limits)
    outputs = await calls.call(version, _signature(version), inputs, batcher=of.batcher, limits=of.limits)
    vectors = {name: values[0] for name, values in outputs.items()}
    picture = await anyio.to_thread.run_sync(
        functools.partial(sounds.picture, samples, rate=rate, columns=_COLUMNS), limiter=of.drawing
    )
    neighbors, note = await _neighbors(of, version, vectors)
    return await of.answer(
        {
            "seconds": samples.size / rate,
            "version": version.number,
            "sample_rate": rate,
            "samples": _base64(samples.astype("<i2", copy=False)),
            "picture": {"bands": picture.shape[0], "columns": picture.shape[1], "values": _base64(picture)},
            "embedding": vectors[_WHOLE],
            "parts": dict(version.info.dims),
            "neighbors": neighbors,
            "note": note,
        },
        size=samples.nbytes,
    )


async def _sound(request: Request) -> Response:
    """Returns a stored sound as WAV, by the number of its row."""
    of = service.of(request)
    if of.neighbors is None:
        raise Refused(404, "This server has no --index.")
    place = await anyio.to_thread.run_sync(of.neighbors.place, request.path_params["row"], limiter=of.drawing)
    rate = of.models.current.info.sample_rate
    content = await of.sounds.listed(place.path, start_s=place.start_s, end_s=place.end_s, sample_rate=rate)
    return service.Whole(content, media_type="audio/wav", headers={"cache-control": "no-store"})


async def _neighbors(
    of: service.Service, version: ServedVersion, vectors: dict[str, np.ndarray]
) -> tuple[list[dict[str, object]], str]:
    """Returns the nearest neighbors, and why there are none."""
    if of.neighbors is None:
        return [], ""
    try:
        found = await anyio.to_thread.run_sync(of.neighbors.find, version, vectors, limiter=of.drawing)
    except Refused as refused:
        return [], refused.message
    return [dataclasses.asdict(neighbor) for neighbor in found], ""


def _signature(version: ServedVersion) -> Signature:
    return calls.signature(version, None)


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array)).decode()
