"""Turns Ctrl-C, SIGTERM and `stop` into one exception, which can be deferred while a change must not be cut in two."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A signal, or a thread of this process with `stop`, asked the process to stop.

    Attributes:
        signal: SIGINT or SIGTERM.
        reason: What `stop` was called with, or "".
    """

    def __init__(self, number: int, *, reason: str = ""):
        super().__init__(reason or signal.Signals(number).name)
        self.signal = signal.Signals(number)
        self.reason = reason

    @property
    def message(self) -> str:
        """What to tell the user."""
        if self.reason:
            return self.reason
        cause = "Ctrl-C" if self.signal == signal.SIGINT else self.signal.name
        return f"Stopped by {cause}: nothing incomplete was published, and the same command continues from here."

    @property
    def exit_status(self) -> int:
        """Exit status of a process that the signal stopped, as shells report it: 130 or 143."""
        return 128 + self.signal


def stop(reason: str) -> None:
    """Interrupts the main thread of this process from another thread, as SIGTERM would.

    Args:
        reason: A sentence for the user.
    """
    global _reason
    _reason = reason
    # Sent to the main thread, so that it also ends what it waits for.
    if signal.getsignal(signal.SIGTERM) is _handle:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)


_reason = ""
"""Why `stop` was called, or "" if it was not."""

_deferred_signals: list[int] | None = None
"""Signals that arrived inside `deferred`, or None outside of it."""


@contextlib.contextmanager
def as_exceptions() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise `Interrupted` in the main thread until the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread can set signal handlers.
        return
    global _reason
    _reason = ""
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
        raise Interrupted(arrived[0], reason=_reason)


def _handle(number: int, frame: FrameType | None) -> None:
    del frame  # The interpreter passes it to every signal handler.
    if _deferred_signals is None:
        raise Interrupted(number, reason=_reason)
    _deferred_signals.append(number)
