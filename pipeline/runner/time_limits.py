"""Stops a run whose stage takes longer than it may, as SIGTERM would."""

import contextlib
import threading
from collections.abc import Iterator

from pipeline.console.durations import duration
from pipeline.runner import interrupts


@contextlib.contextmanager
def limited(stage: str, *, minutes: float | None) -> Iterator[None]:
    """Interrupts the main thread when the block takes longer than `minutes`; None for no limit.

    The Trainer saves a checkpoint, as after any signal. Call it inside `interrupts.as_exceptions()`.
    """
    if minutes is None:
        yield
        return
    reason = (
        f"{stage} has reached its limit of {duration(60 * minutes)} (--time-limit): nothing incomplete was published, "
        "and the same command continues from here."
    )
    lock = threading.Lock()
    is_over = False

    def stop() -> None:
        with lock:
            if not is_over:
                interrupts.stop(reason)

    timer = threading.Timer(60 * minutes, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:  # A timer that has just fired would otherwise stop what comes next.
            is_over = True
