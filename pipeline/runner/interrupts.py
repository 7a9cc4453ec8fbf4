"""Turns Ctrl-C, SIGTERM, SIGHUP and `stop` into one exception, which can be deferred while a change must not be cut."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TextIO


class Interrupted(KeyboardInterrupt):
    """A signal, or a thread of this process with `stop`, asked the process to stop.

    Attributes:
        signal: SIGINT, SIGTERM or SIGHUP, which a terminal sends when it is closed.
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
        """Exit status of a process that the signal stopped, as shells report it: 130, 143 or 129."""
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

_terminals: list[TextIO] = []
"""The output streams that are shown on a terminal."""


@contextlib.contextmanager
def as_exceptions() -> Iterator[None]:
    """Makes SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the main thread until the block ends.

    SIGHUP stays ignored if it is, as `nohup` promises.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread can set signal handlers.
        return
    global _reason, _terminals
    _reason = ""
    _terminals = [stream for stream in (sys.stdout, sys.stderr) if stream.isatty()]
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    handlers = {number: signal.signal(number, _handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Makes signals wait until the block ends. Use it inside `as_exceptions`. A block within a block is a part of it.

    Raises:
        Interrupted: A signal came. It takes the place of an error that ended the block, which becomes its context: who
            tries again after that error must not go on after a signal.
    """
    global _deferred_signals
    if _deferred_signals is not None:
        yield
        return
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
    if number == signal.SIGHUP:
        # A shell that ends sends it to its commands, and so does the kernel. The second must not stop the saving.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _leave_closed_terminals()
    if _deferred_signals is None:
        raise Interrupted(number, reason=_reason)
    _deferred_signals.append(number)


def _leave_closed_terminals() -> None:
    """Discards what is still written to a terminal that is closed, because writing there fails."""
    for stream in _terminals:
        if not stream.isatty():
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
