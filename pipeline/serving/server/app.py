"""The application: all routes, and how it answers what goes wrong."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.serving.server import kserve, metrics, page, rest, service
from pipeline.serving.server.admission import Admission, refusal
from pipeline.serving.server.limits import Refused
from pipeline.serving.server.service import Service


def build(of: Service, *, hosts: Sequence[str]) -> Admission:
    """Returns the application.

    Args:
        of: What answers.
        hosts: The names by which callers may address the server, or "*" for any.
    """
    health = [
        Route("/v2/health/live", _live),
        Route("/v2/health/ready", _ready),
        Route("/metrics", _metrics),
        # Where TensorFlow Serving has them.
        Route("/monitoring/prometheus/metrics", _metrics),
    ]
    application = Starlette(
        # The busiest first, because they are tried one after the other.
        routes=[*kserve.routes(), *rest.routes(), *page.routes(), *health],
        # Otherwise a page on the web could read the sounds of a server on the reader's own machine, by a name that
        # leads there.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={Refused: _refused, HTTPException: _unknown, ClientDisconnect: _gone, Exception: _bug},
    )
    application.state.service = of
    application.state.admission = Admission(application, limits=of.limits, metrics=of.metrics)
    return application.state.admission


async def _live(request: Request) -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    is_ready = not request.app.state.admission.is_draining
    return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)


async def _metrics(request: Request) -> Response:
    return Response(service.of(request).metrics.render(), headers={"content-type": metrics.CONTENT_TYPE})


async def _refused(request: Request, refused: Refused) -> Response:
    service.of(request).metrics.count_refused(refused.reason)
    return refusal(refused)


async def _unknown(request: Request, error: HTTPException) -> Response:
    what = f"{request.method} {request.url.path}"
    message = f"{what}: {error.detail}."
    if error.status_code == 404:
        message = f"There is no {what}."
    elif error.status_code == 405:
        # Starlette joins a set, whose order differs from process to process.
        allowed = sorted(error.headers["Allow"].split(", "))
        message = f"{what}: {error.detail}: use {' or '.join(allowed)}."
    return JSONResponse({"error": message}, status_code=error.status_code, headers=error.headers)


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # To nobody.


async def _bug(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The server failed; its log says how."}, status_code=500)
