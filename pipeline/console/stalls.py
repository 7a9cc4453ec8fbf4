"""Says when a stage makes no progress for long."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from pipeline.console.durations import duration

STALL_MINUTES = 15.0
"""Time without progress after which a command says so, if no flag gives another."""

_LOOKS = 20
"""How often it is looked within the time after which a stall is said."""


class StallWatch:
    """Watches a stage from a thread of its own within a `with` block.

    Args:
        stage: Name of the stage.
        after_s: Time without progress after which that is said, in seconds. It is said again after twice as long, four
            times as long and so on, and also when the stage goes on.
        tell: Called with the sentence, in the thread or in that of `progressed`.
    """

    def __init__(self, stage: str, *, after_s: float, tell: Callable[[str], None]):
        self._stage, self._after_s, self._tell = stage, after_s, tell
        self._lock = threading.Lock()
        self._done, self._where = -1, "it began"
        self._since, self._next_s = time.monotonic(), after_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    def progressed(self, done: int, *, where: str) -> None:
        """Takes note of a report of progress.

        Args:
            done: Number of units done. The same number as before is no progress.
            where: The same for people, e.g. "300/1,000 steps".
        """
        with self._lock:
            if done == self._done:
                return
            stalled_s = time.monotonic() - self._since
            was_said = self._next_s > self._after_s
            self._done, self._where = done, where
            self._since, self._next_s = time.monotonic(), self._after_s
        if was_said:
            self._tell(f"{self._stage}: goes on after {duration(stalled_s)} without progress, at {where}")

    def __enter__(self) -> "StallWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._after_s / _LOOKS):
            with self._lock:
                stalled_s = time.monotonic() - self._since
                if stalled_s < self._next_s:
                    continue
                self._next_s *= 2
                where = self._where
            self._tell(
                f"{self._stage}: no progress for {duration(stalled_s)}, since {where}; it may wait for a disk, a "
                "network, memory or a dead worker of a Beam job. Ctrl-C stops it, and the same command continues"
            )
