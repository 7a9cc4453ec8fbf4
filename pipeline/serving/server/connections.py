"""Ends connections on which a request arrives too slowly, or an answer is not taken."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection that has a limited time for each request to arrive whole, and for what is sent to be taken.

    Uvicorn itself limits only the time between requests.

    Attributes:
        read_s: Time for a request to arrive, from the start or from what arrives first after another one, in seconds.
        take_s: Time in which so much of an answer must be taken that more of it can be sent, in seconds.
    """

    read_s = 30.0
    take_s = 120.0

    _arriving: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._untaken = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._untaken.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in filter(None, (self._arriving, self._untaken)):
            timer.cancel()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():  # The answer is still not taken, so that closing would wait.
            self.transport.abort()

    def _watch(self) -> None:
        """Starts the clock while a part of a request is here or none, and stops it when all of it is.

        Whatever arrives has ended uvicorn's own clock, also an empty line or the rest of a body after its answer.
        """
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            if self._arriving is not None:
                self._arriving.cancel()
                self._arriving = None
        elif self._arriving is None:
            self._arriving = self.loop.call_later(self.read_s, self.transport.abort)


def limited(*, read_s: float, take_s: float) -> type[Connection]:
    """Returns the class of connections with these limits."""
    return type("LimitedConnection", (Connection,), {"read_s": read_s, "take_s": take_s})
