"""The bounds of the server, and the error of a request that is refused."""

import dataclasses

MIB = 2**20

DRAINING = "draining"
"""The reason of a request that is refused because the server is about to end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the server takes on at a time.

    Attributes:
        body_bytes: The largest body of a request. A larger one is answered with 413.
        seconds: The most sound in a request, all of its clips together. More is answered with 413.
        requests: How many requests may be read, wait or be computed at a time. Further ones are answered with 429.
        all_bodies_bytes: How large the bodies of all these may be together. Further ones are answered with 429.
        connections: How many connections may be open. Further ones are answered with 503.
        read_s: A connection is closed if a request does not arrive within so many seconds.
        answer_s: A request is given up if it is not answered within so many seconds, and a connection is closed if a
            part of an answer is not taken within as many.
        batch_clips: Clips of equal length that the model gets at a time.
    """

    body_bytes: int = 32 * MIB
    seconds: float = 600.0
    requests: int = 64
    all_bodies_bytes: int = 256 * MIB
    connections: int = 1024
    read_s: float = 30.0
    answer_s: float = 120.0
    batch_clips: int = 8


class Refused(Exception):
    """A request that is not answered as it was meant.

    Args:
        status: The HTTP status.
        message: One sentence for the caller.
        reason: A word for the metrics.
        retry_after_s: When to try again; None if that would not help.
    """

    def __init__(self, status: int, message: str, *, reason: str = "invalid", retry_after_s: int | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        # The next request is to go to another server.
        return {**headers, "connection": "close"} if self.reason == DRAINING else headers
