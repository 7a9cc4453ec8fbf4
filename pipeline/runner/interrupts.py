"""Turns Ctrl-C and SIGTERM into one exception, which can be deferred while a change must not be cut in two."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to stop.

    Attributes:
        signal: SIGINT or SIGTERM.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.signal = signal.Signals(number)

    @property
    def message(self) -> str:
        """What to tell the user."""
        cause = "Ctrl-C" if self.signal == signal.SIGINT else self.signal.name
        return f"Stopped by {cause}: nothing incomplete was published, and the same command continues from here."

    @property
    def exit_status(self) -> int:
        """Exit status of a process that the signal stopped, as shells report it: 130 or 143."""
        return 128 + self.signal


_deferred_signals: list[int] | None = None
"""Signals that arrived inside `deferred`, or None outside of it."""


@contextlib.contextmanager
def as_exceptions() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise `Interrupted` in the main thread until the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread can set signal handlers.
        return
    handlers = {number: signal.signal(number, _handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Makes signals wait until the block ends, and then raise `Interrupted`. Use it inside `as_exceptions`."""
    global _deferred_signals
    _deferred_signals = []
    try:
        yield
    finally:
        arrived = _deferred_signals
        _deferred_signals = None
    if arrived:
        raise Interrupted(arrived[0])


def _handle(number: int, frame: FrameType | None) -> None:
    del frame  # The interpreter passes it to every signal handler.
    if _deferred_signals is None:
        raise Interrupted(number)
    _deferred_signals.append(number)
