"""Ends connections on which a request arrives too slowly, or an answer is not taken; and how many may be open."""

import asyncio
import resource

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from components.errors import UserError

_OTHER_FILES = 256
"""More than are open besides connections: files of the model and of the index, pipes to the decoders."""


def allow(most: int) -> None:
    """Lets the process have so many connections open, each of which is a file to the system.

    The usual limit of a process is 1,024 files. Beyond it the server could not even refuse a connection.

    Raises:
        UserError: The system does not let it.
    """
    wanted = most + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, OverflowError, ValueError) as error:  # macOS allows less than the limit that it names.
        raise UserError(
            f"--max-connections {most} takes {wanted:,} open files, which the system does not let this process have: "
            "give a lower number, or raise the limit, which `ulimit -Hn` shows."
        ) from error


class Connection(H11Protocol):
    """A connection that has a limited time for each request to arrive whole, and for what is sent to be taken.

    Uvicorn itself limits only the time between requests.

    Attributes:
        read_s: Time for a request to arrive, in seconds: from the start, from its first byte, or from the end of a body
            that went on after its answer.
        take_s: Time for a part of an answer to be taken, in seconds.
    """

    read_s = 30.0
    take_s = 120.0

    _arriving: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # Writing is paused while anything is not taken, also by `close`.
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:  # A part of the next request was here already.
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

    def _watch(self) -> None:
        """Lets the clock run while the server waits for a request, or for the rest of one.

        What arrives has ended uvicorn's own clock for the time between requests.
        """
        state = self.conn.their_state
        is_waiting = state in (h11.IDLE, h11.SEND_BODY)
        is_partial = state is h11.SEND_BODY or (state is h11.IDLE and self.conn.trailing_data[0])
        if self._arriving is not None and not is_partial:
            self._arriving.cancel()
            self._arriving = None
        if self._arriving is None and is_waiting:
            self._arriving = self.loop.call_later(self.read_s, self.transport.abort)


def limited(*, read_s: float, take_s: float) -> type[Connection]:
    """Returns the class of connections with these limits."""
    return type("LimitedConnection", (Connection,), {"read_s": read_s, "take_s": take_s})
