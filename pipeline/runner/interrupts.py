"""Ctrl-C and SIGTERM as one exception that can be held off while something must not be cut in two."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The run was told to stop.

    Attributes:
        signal: SIGINT or SIGTERM.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.signal = signal.Signals(number)


_held: list[int] | None = None


def _handle(number: int, frame: FrameType | None) -> None:
    del frame
    if _held is not None:
        _held.append(number)
    else:
        raise Interrupted(number)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM raise `Interrupted` in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may set handlers.
        return
    before = {number: signal.signal(number, _handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Within the block (inside `raised`) a signal waits, and raises when the block ends."""
    global _held
    _held = []
    try:
        yield
    finally:
        waiting, _held = _held, None
    if waiting:
        raise Interrupted(waiting[0])
