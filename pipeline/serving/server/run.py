"""Runs the HTTP server until SIGTERM or Ctrl-C, and then answers what it has begun."""

import contextlib
import dataclasses
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType

import uvicorn

from components.errors import UserError
from pipeline.serving.server import app, connections
from pipeline.serving.server.admission import Admission
from pipeline.serving.server.batching import Batcher
from pipeline.serving.server.limits import Limits
from pipeline.serving.server.metrics import Metrics
from pipeline.serving.server.models import Models
from pipeline.serving.server.neighbors import Neighbors
from pipeline.serving.server.service import Service
from pipeline.serving.server.sounds import Sounds

_KEEP_ALIVE_S = 20
_CLOSING_S = 10
_LOOK_S = 1
"""Time to end a look at the folder of versions; the load of one takes longer, and nobody waits for it."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LOOPBACK_NAMES = ("127.0.0.1", "[::1]", "localhost")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What to serve, and where.

    Attributes:
        model: A SavedModel, a file for another runtime, a folder of versions, or the name of a bundled model; see
            `Models`.
        name: What callers call the model.
        index: Embeddings to search in, see `Neighbors`; None for none.
        features: Which of them.
        host: Address to listen at.
        port: Port to listen at; 0 for any that is free.
        limits: The bounds.
        drain_s: How long it refuses further work before it ends, at least.
    """

    model: str
    name: str = "diptych"
    index: str | None = None
    features: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    limits: Limits = dataclasses.field(default_factory=Limits)
    drain_s: float = 0.0


def serve(settings: Settings) -> None:
    """Serves a model until the process gets SIGTERM or SIGINT.

    Raises:
        UserError: There is no such model or index, the port is taken, or the process may not open so many connections.
    """
    with prepared(settings) as server:
        server.run()
        has_ended = False
        try:
            has_ended = not server.force_exit and _threads_end(server.service)
        finally:
            if not has_ended:
                # The model computes for callers that get no answer, or is loaded. Python would wait for it, or crash.
                sys.stdout.flush()
                os._exit(0)


def _threads_end(service: Service) -> bool:
    """Ends the threads that are in TensorFlow for long, and returns whether they have ended."""
    loads_nothing = service.models.stop(wait_s=_LOOK_S)
    return service.batcher.close(wait_s=_CLOSING_S) and loads_nothing


@contextlib.contextmanager
def prepared(settings: Settings) -> Iterator["Server"]:
    """Yields a server that has loaded the model, and ends its threads and processes afterwards; see `serve`."""
    limits = settings.limits
    connections.allow(limits.connections)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_bound(settings.host, settings.port))
        metrics = Metrics()
        models = Models(settings.model, name=settings.name, metrics=metrics)
        neighbors = None
        if settings.index:
            neighbors = Neighbors(settings.index, features=settings.features, version=models.current)
        batcher = Batcher(clips=limits.batch_clips, metrics=metrics)
        stack.callback(batcher.close, wait_s=0.0)
        sounds = Sounds(seconds=limits.seconds)
        stack.callback(sounds.close)
        service = Service(
            models=models, batcher=batcher, limits=limits, metrics=metrics, sounds=sounds, neighbors=neighbors
        )
        models.start()
        stack.callback(models.stop, wait_s=0.0)
        yield Server(service, listener, settings=settings)


def _bound(host: str, port: int) -> socket.socket:
    """Returns a socket that has the port, but listens only when the model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            stack.pop_all()
    except OSError as error:
        raise UserError(
            f"The server cannot listen at {host}, port {port} ({error.strerror}): give another --port or --host."
        ) from error
    return listener


class Server(uvicorn.Server):
    """Ends when it is told to, all work is done and the time to drain is over; at once when it is told twice.

    Args:
        service: What answers.
        listener: A socket that has a port.
        settings: See `Settings`.

    Attributes:
        url: Its address.
        admission: Knows the work.
        service: What answers.
    """

    def __init__(self, service: Service, listener: socket.socket, *, settings: Settings):
        host, port, *_ = listener.getsockname()
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.service = service
        self.admission = app.build(service, hosts=_LOOPBACK_NAMES if settings.host in _LOOPBACK else ["*"])
        super().__init__(_config(self.admission, settings.limits))
        self._listener = listener
        self._drain_s = settings.drain_s
        self._told_at = 0.0

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        super().run(sockets or [self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        models = self.service.models
        print(
            f"Serving version {models.current.number} of {models.name} at {self.url}/ (Ctrl-C ends it)",
            flush=True,
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.admission.is_draining:
            self.should_exit = self.force_exit = True
            # Uvicorn and asyncio would write a page for each caller that gets no answer.
            for name in ("uvicorn.error", "asyncio"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            return
        self.admission.is_draining = True
        self._told_at = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        is_told = await super().on_tick(counter)
        is_over = time.monotonic() - self._told_at >= self._drain_s
        return is_told or (self.admission.is_draining and self.admission.is_idle and is_over)


def _config(admission: Admission, limits: Limits) -> uvicorn.Config:
    # Uvicorn warns of each request that is not HTTP, which any scanner sends; asyncio warns of callers that have gone.
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return uvicorn.Config(
        admission,
        http=connections.limited(read_s=limits.read_s, take_s=limits.answer_s),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_CLOSING_S,
    )
