"""The parts of the server that answer requests."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.convertors import IntegerConvertor, StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.serving.server import tensors
from pipeline.serving.server.batching import Batcher
from pipeline.serving.server.limits import Limits, Refused
from pipeline.serving.server.metrics import Metrics
from pipeline.serving.server.models import Models
from pipeline.serving.server.neighbors import Neighbors
from pipeline.serving.server.sounds import Sounds

_PORTION_BYTES = 2**18
_WRITTEN_BYTES = 2**15
"""So much is written at once, without waiting for the reader."""

_INLINE_BYTES = 2**20
"""Less takes a few milliseconds, which others can wait; handing it to a thread costs as much under load."""

_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """What the routes share.

    Attributes:
        models: The version that is served.
        batcher: Calls signatures.
        limits: The bounds.
        metrics: For Prometheus.
        sounds: Decodes recordings.
        neighbors: Searches among stored embeddings; None without `--index`.
        drawing: Limits how many threads work for the page at a time.
    """

    models: Models
    batcher: Batcher
    limits: Limits
    metrics: Metrics
    sounds: Sounds
    neighbors: Neighbors | None
    drawing: anyio.CapacityLimiter = dataclasses.field(default_factory=lambda: anyio.CapacityLimiter(2))
    # One document is parsed at a time, so that only one takes the memory for that.
    _parsing: anyio.CapacityLimiter = dataclasses.field(default_factory=lambda: anyio.CapacityLimiter(1))

    async def converted(self, convert: Callable[[], _Result], *, size: int) -> _Result:
        """Returns what a function makes of some bytes, or bytes of something. Other requests go on while it is much."""
        if size < _INLINE_BYTES:
            return convert()
        return await anyio.to_thread.run_sync(convert, limiter=self._parsing)

    async def answer(self, document: dict[str, object], *, size: int) -> Response:
        """Returns a document, which may hold arrays of so many bytes, as the answer."""
        return Whole(await self.converted(lambda: tensors.dump(document), size=size), media_type="application/json")


class _Number(IntegerConvertor):
    """A number in a path; Starlette's own raises an error for thousands of digits."""

    regex = "[0-9]{1,19}"


class _ModelName(StringConvertor):
    """A model's name in a path. A colon ends it, so that other methods than POST of `:predict` get 405, and not 404."""

    regex = "[^/:]+"


register_url_convertor("number", _Number())
register_url_convertor("model", _ModelName())


def of(request: Request) -> Service:
    """Returns the service of the application that a request has reached."""
    return request.app.state.service


async def body_of(request: Request) -> bytes:
    """Returns the body of a request.

    Raises:
        Refused: It is compressed, or it does not fit; see `admission`.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "The body is compressed: send it as it is.")
    return await request.body()


class Whole(Response):
    """An answer that is sent in portions, each when the one before is taken, so that no slow reader costs memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) <= _WRITTEN_BYTES:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body)
        for start in range(0, len(body), _PORTION_BYTES):
            portion = bytes(body[start : start + _PORTION_BYTES])
            await send({"type": "http.response.body", "body": portion, "more_body": True})
        await send({"type": "http.response.body", "body": b""})  # When the last portion is taken.
