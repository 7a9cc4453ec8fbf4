"""Bounds how many requests the server holds at a time, and how much of them; and counts all of them."""

import time

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.server.limits import DRAINING, Limits, Refused
from pipeline.serving.server.metrics import Metrics

_RETRY_S = 1
_SOUNDS = "/page/sounds/"

_APIS = {"/v1/": "rest", "/v2/": "kserve", "/v2": "kserve", "/page/": "page", "/metrics": "metrics"}
"""Beginning of a path -> name of the interface in the metrics."""


def refusal(refused: Refused) -> JSONResponse:
    """Returns the answer to a request that is refused."""
    message = refused.message.encode(errors="backslashreplace").decode()  # It may repeat half of a surrogate pair.
    return JSONResponse({"error": message}, status_code=refused.status, headers=refused.headers)


class Admission:
    """The outermost layer of the application.

    Requests that make work, which are those with a body and those for sounds, are admitted as far as the limits allow.
    All others, such as probes, are always answered.

    Args:
        app: What answers.
        limits: The bounds.
        metrics: Counts the requests.

    Attributes:
        is_draining: Whether no further work is admitted, because the server is about to end.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, metrics: Metrics):
        self.is_draining = False
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._requests = 0
        self._bytes = 0

    @property
    def is_idle(self) -> bool:
        """Whether all work is done and its answers are sent."""
        return self._requests == 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["method"] == "POST" or scope["path"].startswith(_SOUNDS):
                await self._admit(scope, receive, watched)
            else:
                await self._app(scope, receive, watched)
        except Refused as refused:
            if not status:
                self._metrics.count_refused(refused.reason)
                await refusal(refused)(scope, receive, watched)
        finally:
            api = next((name for start, name in _APIS.items() if scope["path"].startswith(start)), "other")
            self._metrics.observe_request(api, status, seconds=time.perf_counter() - started)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request as soon as its body is here, if there is room for it."""
        body = _Body(receive, admission=self, promised=_content_length(scope))
        if self.is_draining:
            raise Refused(503, "The server is about to end: ask another one.", reason=DRAINING, retry_after_s=_RETRY_S)
        if self._requests >= self._limits.requests:
            raise Refused(
                429,
                f"The server has {self._requests} requests already: try again in {_RETRY_S} s.",
                reason="requests",
                retry_after_s=_RETRY_S,
            )
        self._requests += 1
        self._metrics.set_in_progress(self._requests)
        try:
            body.reserve_promised()
            await self._answer(scope, body.receive, send)
        finally:
            body.release()
            self._requests -= 1
            self._metrics.set_in_progress(self._requests)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request in time, or gives it up."""
        with anyio.move_on_after(self._limits.answer_s) as deadline:
            await self._app(scope, receive, send)
        if deadline.cancelled_caught:
            message = f"There was no answer within {self._limits.answer_s:g} s: send less at a time."
            raise Refused(503, message, reason="slow", retry_after_s=_RETRY_S)

    def reserve(self, size: int) -> None:
        """Reserves room for bytes of a body.

        Raises:
            Refused: There is none.
        """
        if self._bytes + size > self._limits.all_bodies_bytes:
            raise Refused(
                429,
                f"The server has no room for this request now: try again in {_RETRY_S} s.",
                reason="bytes",
                retry_after_s=_RETRY_S,
            )
        self._bytes += size

    def release(self, size: int) -> None:
        """Gives room back."""
        self._bytes -= size

    @property
    def largest_body(self) -> int:
        """The most bytes of a body."""
        return self._limits.body_bytes


class _Body:
    """The body of a request, whose bytes are counted while they arrive.

    Args:
        receive: Returns the next message of the server.
        admission: Has the room.
        promised: The length that the headers tell; 0 if they do not.
    """

    def __init__(self, receive: Receive, *, admission: Admission, promised: int):
        self._receive = receive
        self._admission = admission
        self._promised = promised
        self._reserved = 0
        self._received = 0

    def reserve_promised(self) -> None:
        """Reserves room for the length that the headers tell; see `_reserve`."""
        self._reserve(self._promised)

    async def receive(self) -> Message:
        """Returns the next message of the server."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._reserve(self._received)
        return message

    def release(self) -> None:
        """Gives the room back."""
        self._admission.release(self._reserved)

    def _reserve(self, size: int) -> None:
        """Sees to it that so many bytes are reserved.

        Raises:
            Refused: The body is too large, or there is no room for it.
        """
        largest = self._admission.largest_body
        if size > largest:
            raise Refused(
                413, f"The body has more than {largest:,} bytes: send fewer or shorter sounds at a time.", reason="body"
            )
        if size > self._reserved:
            self._admission.reserve(size - self._reserved)
            self._reserved = size


def _content_length(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() and len(length) < 20 else 0
