"""Ends connections on which a request arrives too slowly, or an answer is not taken."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection that has a limited time for each request to arrive whole, from its first byte or from the start.

    Uvicorn itself limits only the time between requests.

    Attributes:
        read_s: That time, in seconds.
    """

    read_s = 30.0

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._disarm()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():  # The answer is still not taken, so that closing would wait.
            self.transport.abort()

    def _watch(self) -> None:
        """Starts the clock while a part of a request is here, and stops it when all of it is."""
        state = self.conn.their_state
        begun, _ = self.conn.trailing_data if state is h11.IDLE else (b"", False)
        is_partial = state is h11.SEND_BODY or (state is h11.IDLE and (begun or self.cycle is None))
        if not is_partial:
            self._disarm()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.read_s, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def limited(*, read_s: float) -> type[Connection]:
    """Returns the class of connections with a limit."""
    return type("LimitedConnection", (Connection,), {"read_s": read_s})
